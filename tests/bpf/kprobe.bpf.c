// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// One program that attaches nowhere, and one that does.

#include "test.bpf.h"

MAP(HASH, kprobe_total, 4, 16);

SEC("kprobe/exporter_host_has_no_such_function")
int impossible(struct pt_regs *ctx)
{
    u32 key = 1;
    increment_map(&kprobe_total, &key, 1);
    return 0;
}

SEC("raw_tp/sys_enter")
int possible(struct bpf_raw_tracepoint_args *ctx)
{
    u32 argument, key = 2;
    if (event(ctx, &argument))
        increment_map(&kprobe_total, &key, 1);
    return 0;
}
