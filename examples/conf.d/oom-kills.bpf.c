// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// Processes killed because memory ran out, of the node or of their cgroup.

#include "kernel.bpf.h"
#include "maps.bpf.h"

struct key {
    u64 cgroup;
    char command[16];
};

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 1024);
    __type(key, struct key);
    __type(value, u64);
} oom_kills_total SEC(".maps");

// Since 6.9 (and backports); before it, the only argument is the process id, and the victim's name can't be known.
typedef void (*btf_trace_mark_victim___task)(void *, struct task_struct *, unsigned int);

SEC("tp_btf/mark_victim")
int mark_victim(u64 *ctx)
{
    struct key key = {};

    if (tracepoint_takes(btf_trace_mark_victim___task)) {
        struct task_struct *victim = (void *)tracepoint_argument(ctx, 0);

        key.cgroup = BPF_CORE_READ(victim, cgroups, dfl_cgrp, kn, id);
        BPF_CORE_READ_STR_INTO(&key.command, victim, comm);
    }
    increment_map(&oom_kills_total, &key, 1);
    return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
