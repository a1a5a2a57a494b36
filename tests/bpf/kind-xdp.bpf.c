// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only

#include "kind-packets.bpf.h"

SEC("xdp/lo")
int counted(struct xdp_md *ctx)
{
    void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
    if (data + sizeof(struct ethhdr) <= end && ours(data + sizeof(struct ethhdr), end))
        count();
    return XDP_PASS;
}
