// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only

#include "kind-packets.bpf.h"

SEC("cgroup_skb/egress")
int counted(struct __sk_buff *ctx)
{
    // The packet begins with its IP header here.
    if (ours((void *)(long)ctx->data, (void *)(long)ctx->data_end))
        count();
    return 1;
}
