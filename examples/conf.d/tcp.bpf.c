// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// TCP: what connections go through, which can't be made, and which lose packets.

#include "kernel.bpf.h"
#include "maps.bpf.h"

#define AF_INET6 10
#define IPPROTO_TCP 6
#define STATE_SYN_SENT 2
#define STATE_CLOSE 7

struct states {
    u32 from;
    u32 to;
};

// An IPv4 address is written as ::ffff:a.b.c.d, which decodes to a.b.c.d.
struct address {
    u32 words[4];
};

// 13 states.
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 256);
    __type(key, struct states);
    __type(value, u64);
} tcp_state_changes_total SEC(".maps");

// LRU: the addresses that had trouble last. A public server meets any number of them.
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 1024);
    __type(key, struct address);
    __type(value, u64);
} tcp_connect_failures_total SEC(".maps"), tcp_retransmits_total SEC(".maps");

static __always_inline struct address remote_address(const struct sock *sk)
{
    struct address address = { .words = { [2] = bpf_htonl(0xffff) } };

    // Kernels without IPv6 have no such field.
    if (bpf_core_field_exists(struct sock_common, skc_v6_daddr) && sk->__sk_common.skc_family == AF_INET6)
        BPF_CORE_READ_INTO(&address, sk, __sk_common.skc_v6_daddr);
    else
        address.words[3] = sk->__sk_common.skc_daddr;
    return address;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(inet_sock_set_state, const struct sock *sk, int from, int to)
{
    if (sk->sk_protocol != IPPROTO_TCP)
        return 0;

    struct states states = { .from = from, .to = to };
    increment_map(&tcp_state_changes_total, &states, 1);

    if (from == STATE_SYN_SENT && to == STATE_CLOSE) {
        struct address address = remote_address(sk);
        increment_map(&tcp_connect_failures_total, &address, 1);
    }
    return 0;
}

SEC("tp_btf/tcp_retransmit_skb")
int BPF_PROG(tcp_retransmit_skb, const struct sock *sk)
{
    struct address address = remote_address(sk);

    increment_map(&tcp_retransmits_total, &address, 1);
    return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
