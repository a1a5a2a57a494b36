// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// One program that works, one that is off, one that cannot be attached.

#include "test.bpf.h"

MAP(HASH, ran_total, 4, 16);

static __always_inline int ran(struct bpf_raw_tracepoint_args *ctx, u32 number)
{
    u32 argument;
    if (event(ctx, &argument))
        increment_map(&ran_total, &number, 1);
    return 0;
}

SEC("raw_tp/sys_enter")
int works(struct bpf_raw_tracepoint_args *ctx)
{
    return ran(ctx, 1);
}

SEC("?raw_tp/sys_enter")
int off(struct bpf_raw_tracepoint_args *ctx)
{
    return ran(ctx, 2);
}

SEC("tracepoint/exporter_host/no_such_tracepoint")
int unattachable(void *ctx)
{
    return 0;
}
