// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// One program that works beside one that is for something that no kernel has.

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

SEC("tp_btf/exporter_host_has_no_such_tracepoint")
int BPF_PROG(for_nothing)
{
    return 0;
}
