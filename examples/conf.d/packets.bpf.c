// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// Packets and bytes by network interface, direction and protocol.

#include "kernel.bpf.h"
#include "maps.bpf.h"

enum direction { RECEIVE, TRANSMIT };

struct key {
    u32 interface;
    u16 protocol;
    u16 direction;
};

// A handful of protocols for each interface and direction. Every packet comes by here: per-CPU.
struct {
    __uint(type, BPF_MAP_TYPE_LRU_PERCPU_HASH);
    __uint(max_entries, 2048);
    __type(key, struct key);
    __type(value, u64);
} interface_packets_total SEC(".maps"), interface_bytes_total SEC(".maps");

static __always_inline void count(struct sk_buff *packet, struct net_device *device, u16 direction)
{
    struct key key = {
        .interface = device->ifindex,
        .protocol = bpf_ntohs(packet->protocol),
        .direction = direction,
    };

    increment_map(&interface_packets_total, &key, 1);
    increment_map(&interface_bytes_total, &key, packet->len);
}

SEC("tp_btf/netif_receive_skb")
int BPF_PROG(netif_receive_skb, struct sk_buff *packet)
{
    count(packet, packet->dev, RECEIVE);
    return 0;
}

// Rather than net_dev_xmit, which comes when the driver may have freed the packet already.
SEC("tp_btf/net_dev_start_xmit")
int BPF_PROG(net_dev_start_xmit, struct sk_buff *packet, struct net_device *device)
{
    count(packet, device, TRANSMIT);
    return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
