// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// Calls of a function of the C library, and its returns; and the mark that the host passes when all is attached.

#include "test.bpf.h"

MAP(HASH, uprobe_total, 4, 16);
MAP(ARRAY, marks_total, 4, 1);

static __always_inline int seen(u32 kind)
{
    if (mine())
        increment_map(&uprobe_total, &kind, 1);
    return 0;
}

SEC("uprobe/libc.so.6:getpgid")
int called(struct pt_regs *ctx)
{
    return seen(1);
}

SEC("uretprobe/libc.so.6:getpgid")
int returned(struct pt_regs *ctx)
{
    return seen(2);
}

SEC("uprobe//proc/self/exe:post_attach_mark")
int marked(struct pt_regs *ctx)
{
    u32 zero = 0;
    increment_map(&marks_total, &zero, 1);
    return 0;
}
