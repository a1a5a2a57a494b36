// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// Processes killed because memory ran out, with their names on all kernels (the tracepoint of examples/conf.d/oom-kills has them since 6.9),
// and whether it was the node's memory or a cgroup's.

#include <linux/ptrace.h>

#include "kernel.bpf.h"
#include "maps.bpf.h"

struct key {
    u64 cgroup;
    char command[16];
    u32 scope;
    u32 padding;
};

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 1024);
    __type(key, struct key);
    __type(value, u64);
} oom_victims_total SEC(".maps");

SEC("kprobe/oom_kill_process")
int BPF_KPROBE(oom_kill_process, struct oom_control *control)
{
    struct task_struct *victim = BPF_CORE_READ(control, chosen);
    struct key key = { .scope = BPF_CORE_READ(control, memcg) != NULL };

    key.cgroup = BPF_CORE_READ(victim, cgroups, dfl_cgrp, kn, id);
    BPF_CORE_READ_STR_INTO(&key.command, victim, comm);
    increment_map(&oom_victims_total, &key, 1);
    return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
