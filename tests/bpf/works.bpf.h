// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// A program that works, for objects in which another one does not.

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
