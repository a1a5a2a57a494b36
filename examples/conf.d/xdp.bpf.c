// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// Packets by protocol, in the driver: before the kernel's network stack, and before any drop in it.

#include "kernel.bpf.h"
#include "maps.bpf.h"

#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

// The protocol above IPv4 or IPv6 (below 256), or else the EtherType (above 1500). What a flood may send
// is not bounded by us: LRU.
struct {
    __uint(type, BPF_MAP_TYPE_LRU_PERCPU_HASH);
    __uint(max_entries, 1024);
    __type(key, u32);
    __type(value, u64);
} xdp_packets_total SEC(".maps"), xdp_bytes_total SEC(".maps");

SEC("xdp/lo")
int protocols(struct xdp_md *ctx)
{
    void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
    u64 length = end - data;
    struct ethhdr *ethernet = data;
    if ((void *)(ethernet + 1) > end)
        return XDP_PASS;

    u32 protocol = bpf_ntohs(ethernet->h_proto);
    struct iphdr *ipv4 = (void *)(ethernet + 1);
    struct ipv6hdr *ipv6 = (void *)(ethernet + 1);
    if (protocol == ETH_P_IP && (void *)(ipv4 + 1) <= end)
        protocol = ipv4->protocol;
    else if (protocol == ETH_P_IPV6 && (void *)(ipv6 + 1) <= end)
        protocol = ipv6->nexthdr;

    increment_map(&xdp_packets_total, &protocol, 1);
    increment_map(&xdp_bytes_total, &protocol, length);
    return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
