// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// Programs started, by command.

#include "kernel.bpf.h"
#include "maps.bpf.h"

struct key {
    char command[16];
};

// LRU: names may be anything, and the ones that are not started any more may be forgotten.
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 1024);
    __type(key, struct key);
    __type(value, u64);
} execs_total SEC(".maps");

SEC("tp_btf/sched_process_exec")
int BPF_PROG(sched_process_exec)
{
    struct key key = {};

    // The task has its new name already. The helper fills the rest with zeros.
    bpf_get_current_comm(&key.command, sizeof(key.command));
    increment_map(&execs_total, &key, 1);
    return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
