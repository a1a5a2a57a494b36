// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// TCP segments that are sent again, by where they go and what state the connection is in.

#include "kernel.bpf.h"
#include "maps.bpf.h"

#define AF_INET6 10

struct key {
    u32 address[4];
    u32 port;
    u32 state;
};

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 1024);
    __type(key, struct key);
    __type(value, u64);
} tcp_retransmitted_segments_total SEC(".maps");

SEC("fentry/tcp_retransmit_skb")
int BPF_PROG(retransmit, struct sock *sk, struct sk_buff *skb, int segments)
{
    // An IPv4 address is written as ::ffff:a.b.c.d, which decodes to a.b.c.d.
    struct key key = {
        .address = { [2] = bpf_htonl(0xffff) },
        .port = bpf_ntohs(sk->__sk_common.skc_dport),
        .state = sk->__sk_common.skc_state,
    };

    if (bpf_core_field_exists(struct sock_common, skc_v6_daddr) && sk->__sk_common.skc_family == AF_INET6)
        BPF_CORE_READ_INTO(&key.address, sk, __sk_common.skc_v6_daddr);
    else
        key.address[3] = sk->__sk_common.skc_daddr;
    increment_map(&tcp_retransmitted_segments_total, &key, segments);
    return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
