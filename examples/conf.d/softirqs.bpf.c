// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// Soft interrupts: how many, and how long they wait between being raised and being served.

#include "kernel.bpf.h"
#include "maps.bpf.h"

#define KINDS 10
// 2^20 us = 1 s.
#define MAX_BUCKET 20
#define LATE_NANOSECONDS 1000000

struct key {
    u32 kind;
    u32 bucket;
};

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, KINDS);
    __type(key, u32);
    __type(value, u64);
} softirqs_total SEC(".maps"), softirqs_late_total SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_HASH);
    __uint(max_entries, KINDS * (MAX_BUCKET + 2));
    __type(key, struct key);
    __type(value, u64);
} softirq_wait_seconds SEC(".maps");

// When each kind was raised on this CPU, 0 if it is not pending. They run on the CPU that raised them.
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, KINDS);
    __type(key, u32);
    __type(value, u64);
} raised SEC(".maps");

SEC("tp_btf/softirq_raise")
int BPF_PROG(softirq_raise, u32 kind)
{
    u64 *since = bpf_map_lookup_elem(&raised, &kind);

    // Raised again while pending: it has been waiting since the first time.
    if (since && !*since)
        *since = bpf_ktime_get_ns();
    return 0;
}

SEC("tp_btf/softirq_entry")
int BPF_PROG(softirq_entry, u32 kind)
{
    increment_map(&softirqs_total, &kind, 1);

    u64 *since = bpf_map_lookup_elem(&raised, &kind);
    if (!since || !*since)
        return 0;

    u64 waited = bpf_ktime_get_ns() - *since;
    *since = 0;
    if (waited > LATE_NANOSECONDS)
        increment_map(&softirqs_late_total, &kind, 1);

    struct key key = { .kind = kind };
    increment_exp2_histogram(&softirq_wait_seconds, key, waited / 1000, MAX_BUCKET);
    return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
