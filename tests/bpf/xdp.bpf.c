// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// Packets by EtherType, on an interface that only the test's own network namespace has.

#include "test.bpf.h"

#include <bpf/bpf_endian.h>
#include <linux/if_ether.h>

MAP(PERCPU_HASH, frames_total, 4, 64);

SEC("xdp/exhtest0")
int frames(struct xdp_md *ctx)
{
    void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
    struct ethhdr *ethernet = data;
    if ((void *)(ethernet + 1) > end)
        return XDP_PASS;
    u32 key = bpf_ntohs(ethernet->h_proto);
    increment_map(&frames_total, &key, 1);
    return XDP_PASS;
}
