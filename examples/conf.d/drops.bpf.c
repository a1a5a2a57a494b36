// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// Packets that the kernel dropped, by its reason.

#include "kernel.bpf.h"
#include "maps.bpf.h"

// Our numbers for the kernel's unlisted reasons start here.
#define OTHER 1000

// A kernel has some 130 reasons.
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 512);
    __type(key, u32);
    __type(value, u64);
} dropped_packets_total SEC(".maps");

// Before 5.17 there are no reasons.
typedef void (*btf_trace_kfree_skb___plain)(void *, struct sk_buff *, void *);

// Only the names count: each kernel has its own numbers, which the loader puts in.
enum skb_drop_reason {
    SKB_CONSUMED,
    SKB_DROP_REASON_NOT_SPECIFIED,
    SKB_DROP_REASON_NO_SOCKET,
    SKB_DROP_REASON_SOCKET_CLOSE,
    SKB_DROP_REASON_SOCKET_FILTER,
    SKB_DROP_REASON_SOCKET_RCVBUFF,
    SKB_DROP_REASON_SOCKET_BACKLOG,
    SKB_DROP_REASON_PKT_TOO_SMALL,
    SKB_DROP_REASON_PKT_TOO_BIG,
    SKB_DROP_REASON_TCP_CSUM,
    SKB_DROP_REASON_UDP_CSUM,
    SKB_DROP_REASON_ICMP_CSUM,
    SKB_DROP_REASON_IP_CSUM,
    SKB_DROP_REASON_IP_INHDR,
    SKB_DROP_REASON_NETFILTER_DROP,
    SKB_DROP_REASON_OTHERHOST,
    SKB_DROP_REASON_IP_RPFILTER,
    SKB_DROP_REASON_UNICAST_IN_L2_MULTICAST,
    SKB_DROP_REASON_XFRM_POLICY,
    SKB_DROP_REASON_IP_NOPROTO,
    SKB_DROP_REASON_PROTO_MEM,
    SKB_DROP_REASON_TCP_FLAGS,
    SKB_DROP_REASON_TCP_ZEROWINDOW,
    SKB_DROP_REASON_TCP_OLD_DATA,
    SKB_DROP_REASON_TCP_OVERWINDOW,
    SKB_DROP_REASON_TCP_OFOMERGE,
    SKB_DROP_REASON_TCP_INVALID_SEQUENCE,
    SKB_DROP_REASON_TCP_RESET,
    SKB_DROP_REASON_TCP_CLOSE,
    SKB_DROP_REASON_TCP_OLD_ACK,
    SKB_DROP_REASON_TCP_LISTEN_OVERFLOW,
    SKB_DROP_REASON_IP_OUTNOROUTES,
    SKB_DROP_REASON_IP_INNOROUTES,
    SKB_DROP_REASON_BPF_CGROUP_EGRESS,
    SKB_DROP_REASON_IPV6DISABLED,
    SKB_DROP_REASON_NEIGH_FAILED,
    SKB_DROP_REASON_NEIGH_QUEUEFULL,
    SKB_DROP_REASON_QDISC_DROP,
    SKB_DROP_REASON_QDISC_OVERLIMIT,
    SKB_DROP_REASON_CPU_BACKLOG,
    SKB_DROP_REASON_XDP,
    SKB_DROP_REASON_TC_INGRESS,
    SKB_DROP_REASON_TC_EGRESS,
    SKB_DROP_REASON_UNHANDLED_PROTO,
    SKB_DROP_REASON_DEV_READY,
    SKB_DROP_REASON_FULL_RING,
    SKB_DROP_REASON_NOMEM,
    SKB_DROP_REASON_QUEUE_PURGE,
};

#define is_reason(reason, name)                                 \
    (bpf_core_enum_value_exists(enum skb_drop_reason, name) &&  \
     (reason) == bpf_core_enum_value(enum skb_drop_reason, name))

// The numbers of drops.yaml, which are the same on all kernels.
static __always_inline u32 stable_number(u32 reason)
{
#define KNOWN(number, name)                          \
    if (is_reason(reason, SKB_DROP_REASON_##name))   \
        return number
    KNOWN(1, NOT_SPECIFIED);
    KNOWN(2, NO_SOCKET);
    KNOWN(3, SOCKET_CLOSE);
    KNOWN(4, SOCKET_FILTER);
    KNOWN(5, SOCKET_RCVBUFF);
    KNOWN(6, SOCKET_BACKLOG);
    KNOWN(7, PKT_TOO_SMALL);
    KNOWN(8, PKT_TOO_BIG);
    KNOWN(9, TCP_CSUM);
    KNOWN(10, UDP_CSUM);
    KNOWN(11, ICMP_CSUM);
    KNOWN(12, IP_CSUM);
    KNOWN(13, IP_INHDR);
    KNOWN(14, NETFILTER_DROP);
    KNOWN(15, OTHERHOST);
    KNOWN(16, IP_RPFILTER);
    KNOWN(17, UNICAST_IN_L2_MULTICAST);
    KNOWN(18, XFRM_POLICY);
    KNOWN(19, IP_NOPROTO);
    KNOWN(20, PROTO_MEM);
    KNOWN(21, TCP_FLAGS);
    KNOWN(22, TCP_ZEROWINDOW);
    KNOWN(23, TCP_OLD_DATA);
    KNOWN(24, TCP_OVERWINDOW);
    KNOWN(25, TCP_OFOMERGE);
    KNOWN(26, TCP_INVALID_SEQUENCE);
    KNOWN(27, TCP_RESET);
    KNOWN(28, TCP_CLOSE);
    KNOWN(29, TCP_OLD_ACK);
    KNOWN(30, TCP_LISTEN_OVERFLOW);
    KNOWN(31, IP_OUTNOROUTES);
    KNOWN(32, IP_INNOROUTES);
    KNOWN(33, BPF_CGROUP_EGRESS);
    KNOWN(34, IPV6DISABLED);
    KNOWN(35, NEIGH_FAILED);
    KNOWN(36, NEIGH_QUEUEFULL);
    KNOWN(37, QDISC_DROP);
    KNOWN(38, QDISC_OVERLIMIT);
    KNOWN(39, CPU_BACKLOG);
    KNOWN(40, XDP);
    KNOWN(41, TC_INGRESS);
    KNOWN(42, TC_EGRESS);
    KNOWN(43, UNHANDLED_PROTO);
    KNOWN(44, DEV_READY);
    KNOWN(45, FULL_RING);
    KNOWN(46, NOMEM);
    KNOWN(47, QUEUE_PURGE);
#undef KNOWN
    return OTHER + reason;
}

SEC("tp_btf/kfree_skb")
int kfree_skb(u64 *ctx)
{
    u32 number = 1;

    if (!tracepoint_takes(btf_trace_kfree_skb___plain)) {
        u32 reason = tracepoint_argument(ctx, 2);

        // Freed after use: no drop.
        if (is_reason(reason, SKB_CONSUMED))
            return 0;
        number = stable_number(reason);
    }
    increment_map(&dropped_packets_total, &number, 1);
    return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
