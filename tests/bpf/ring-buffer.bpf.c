// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// Sends each of the test's events through a ring buffer, instead of counting it.

#include "ring-buffer.bpf.h"

SEC("raw_tp/sys_enter")
int send_event(struct bpf_raw_tracepoint_args *ctx)
{
    return send_sample(ctx, 0);
}
