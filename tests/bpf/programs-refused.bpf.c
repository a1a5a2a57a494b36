// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// One program that works beside one that the verifier refuses.

#include "test.bpf.h"

MAP(HASH, ran_total, 4, 16);

SEC("raw_tp/sys_enter")
int works(struct bpf_raw_tracepoint_args *ctx)
{
    u32 argument, number = 1;
    if (event(ctx, &argument))
        increment_map(&ran_total, &number, 1);
    return 0;
}

SEC("raw_tp/sys_enter")
int reads_anything(struct bpf_raw_tracepoint_args *ctx)
{
    u32 key = *(volatile u32 *)(ctx->args[0] + 8);
    increment_map(&ran_total, &key, 1);
    return 0;
}
