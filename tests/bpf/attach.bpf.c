// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// The same event through each kind of tracepoint program.

#include "test.bpf.h"

#include <bpf/bpf_core_read.h>

MAP(HASH, seen_total, 4, 16);

static __always_inline int seen(u32 kind)
{
    increment_map(&seen_total, &kind, 1);
    return 0;
}

SEC("raw_tp/sys_enter")
int raw(struct bpf_raw_tracepoint_args *ctx)
{
    u32 argument;
    return event(ctx, &argument) ? seen(1) : 0;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(typed, struct pt_regs *regs, long id)
{
    return id == NR_GETPGID && mine() ? seen(2) : 0;
}

SEC("tracepoint/raw_syscalls/sys_enter")
int traced(void *ctx)
{
    // The format of the tracepoint: 8 bytes common to all, then the number of the call.
    long id = *(long *)(ctx + 8);
    return id == NR_GETPGID && mine() ? seen(3) : 0;
}

// Not wanted unless somebody asks for it: two of them, as their ids must not clash.
SEC("?raw_tp/sys_enter")
int optional(struct bpf_raw_tracepoint_args *ctx)
{
    u32 argument;
    return event(ctx, &argument) ? seen(4) : 0;
}

SEC("?raw_tp/sys_exit")
int optional_too(struct bpf_raw_tracepoint_args *ctx)
{
    return mine() ? seen(5) : 0;
}
