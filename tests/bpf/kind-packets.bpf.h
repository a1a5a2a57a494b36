// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// UDP packets to the test's port, for kinds of programs that see packets.

#ifndef EXPORTER_KIND_PACKETS_BPF_H
#define EXPORTER_KIND_PACKETS_BPF_H

#include "kind.bpf.h"

#include <bpf/bpf_endian.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>

// Whether what begins at `data` is an IPv4 header (without options) and such a packet's.
static __always_inline bool ours(void *data, void *end)
{
    struct iphdr *ip = data;
    struct udphdr *udp = (void *)(ip + 1);
    if ((void *)(udp + 1) > end || ip->ihl != 5 || ip->protocol != IPPROTO_UDP)
        return false;
    return udp->dest == bpf_htons(PORT);
}

#endif
