// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only

#include "kind.bpf.h"

SEC("raw_tp/sys_enter")
int counted(struct bpf_raw_tracepoint_args *ctx)
{
    return ctx->args[1] == NR_GETPGID ? count_mine() : 0;
}
