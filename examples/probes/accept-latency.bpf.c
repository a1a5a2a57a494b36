// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// How long TCP connections that are established wait for their server to accept them.

#include <linux/ptrace.h>

#include "kernel.bpf.h"
#include "maps.bpf.h"

// 2^26 us = 67 s.
#define MAX_BUCKET 26

struct key {
    u32 port;
    u32 bucket;
};

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 4096);
    __type(key, struct key);
    __type(value, u64);
} accept_queue_seconds SEC(".maps");

// When connections came into a queue, by socket. LRU: those that are never accepted go by themselves.
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 16384);
    __type(key, u64);
    __type(value, u64);
} queued SEC(".maps");

static __always_inline int add(struct sock *connection)
{
    u64 id = (u64)connection, now = bpf_ktime_get_ns();

    bpf_map_update_elem(&queued, &id, &now, BPF_ANY);
    return 0;
}

// The function that queues connections, which compilers may have made part of the one before it; so both. The listening socket, the
// request, the new socket.
SEC("kprobe/inet_csk_reqsk_queue_add")
int BPF_KPROBE(added, struct sock *listener, void *request, struct sock *connection)
{
    return add(connection);
}

SEC("kprobe/inet_csk_complete_hashdance")
int BPF_KPROBE(completed, struct sock *listener, struct sock *connection)
{
    return add(connection);
}

SEC("kretprobe/inet_csk_accept")
int BPF_KRETPROBE(accepted, struct sock *connection)
{
    u64 id = (u64)connection, *since = bpf_map_lookup_elem(&queued, &id);
    if (!since)
        return 0;

    u64 microseconds = (bpf_ktime_get_ns() - *since) / 1000;
    bpf_map_delete_elem(&queued, &id);

    struct key key = { .port = BPF_CORE_READ(connection, __sk_common.skc_num) };
    increment_exp2_histogram(&accept_queue_seconds, key, microseconds, MAX_BUCKET);
    return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
