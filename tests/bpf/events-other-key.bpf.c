// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// A version of events.bpf.c with another key.

#include "test.bpf.h"

MAP(HASH, events_total, 4, 1024);

SEC("raw_tp/sys_enter")
int count_event(struct bpf_raw_tracepoint_args *ctx)
{
    u32 argument;

    if (event(ctx, &argument))
        increment_map(&events_total, &argument, 1);
    return 0;
}
