// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// References to the last level cache and misses, from the CPUs' performance counters.

#include "kernel.bpf.h"
#include "maps.bpf.h"

#include <linux/bpf_perf_event.h>

// One slot: the CPU is the only label, and per-CPU maps have it by themselves. A hash rather than an
// array, whose zeros would say "no misses" where there are no counters.
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_HASH);
    __uint(max_entries, 1);
    __type(key, u32);
    __type(value, u64);
} llc_references_total SEC(".maps"), llc_misses_total SEC(".maps");

// The programs run for one event in sample_period, which the kernel chooses to reach the frequency.
// Types and configs are those of perf_event_open(2).

SEC("perf_event/type=0,config=2,frequency=99")
int references(struct bpf_perf_event_data *ctx)
{
    u32 slot = 0;

    increment_map(&llc_references_total, &slot, ctx->sample_period);
    return 0;
}

SEC("perf_event/type=0,config=3,frequency=99")
int misses(struct bpf_perf_event_data *ctx)
{
    u32 slot = 0;

    increment_map(&llc_misses_total, &slot, ctx->sample_period);
    return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
