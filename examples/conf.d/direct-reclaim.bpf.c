// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// How long tasks are held up because they must free memory themselves before they get some.

#include "kernel.bpf.h"
#include "maps.bpf.h"

// 2^26 us = 67 s.
#define MAX_BUCKET 26

enum scope { SCOPE_NODE, SCOPE_CGROUP };

struct key {
    u32 scope;
    u32 bucket;
};

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 2 * (MAX_BUCKET + 2));
    __type(key, struct key);
    __type(value, u64);
} direct_reclaim_seconds SEC(".maps");

// When the tasks in reclaim now began, by thread id.
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 16384);
    __type(key, u32);
    __type(value, u64);
} began SEC(".maps");

static __always_inline void begin(void)
{
    u32 thread = bpf_get_current_pid_tgid();
    u64 now = bpf_ktime_get_ns();

    bpf_map_update_elem(&began, &thread, &now, BPF_ANY);
}

static __always_inline void end(u32 scope)
{
    u32 thread = bpf_get_current_pid_tgid();
    u64 *start = bpf_map_lookup_elem(&began, &thread);
    if (!start)
        return;

    struct key key = { .scope = scope };
    increment_exp2_histogram(&direct_reclaim_seconds, key, (bpf_ktime_get_ns() - *start) / 1000, MAX_BUCKET);
    bpf_map_delete_elem(&began, &thread);
}

SEC("tp_btf/mm_vmscan_direct_reclaim_begin")
int node_begin(void *ctx)
{
    begin();
    return 0;
}

SEC("tp_btf/mm_vmscan_direct_reclaim_end")
int node_end(void *ctx)
{
    end(SCOPE_NODE);
    return 0;
}

SEC("tp_btf/mm_vmscan_memcg_reclaim_begin")
int cgroup_begin(void *ctx)
{
    begin();
    return 0;
}

SEC("tp_btf/mm_vmscan_memcg_reclaim_end")
int cgroup_end(void *ctx)
{
    end(SCOPE_CGROUP);
    return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
