// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// A program that the verifier refuses: it reads through a number.

#include "test.bpf.h"

MAP(HASH, refused_total, 4, 16);

SEC("raw_tp/sys_enter")
int reads_anything(struct bpf_raw_tracepoint_args *ctx)
{
    u32 key = *(volatile u32 *)(ctx->args[0] + 8);
    increment_map(&refused_total, &key, 1);
    return 0;
}
