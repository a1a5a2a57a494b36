// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// One program that works beside one that the verifier refuses.

#include "works.bpf.h"

SEC("raw_tp/sys_enter")
int reads_anything(struct bpf_raw_tracepoint_args *ctx)
{
    u32 key = *(volatile u32 *)(ctx->args[0] + 8);
    increment_map(&ran_total, &key, 1);
    return 0;
}
