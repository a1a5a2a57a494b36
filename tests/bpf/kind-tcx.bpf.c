// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only

#include "kind-packets.bpf.h"

// TCX_NEXT of <linux/bpf.h>, which is newer than the headers that this is compiled with.
#define NEXT -1

SEC("tcx/ingress/lo")
int counted(struct __sk_buff *ctx)
{
    void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
    if (data + sizeof(struct ethhdr) <= end && ours(data + sizeof(struct ethhdr), end))
        count();
    return NEXT;
}
