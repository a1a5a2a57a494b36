// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// Sends each of the test's events through a ring buffer: another version of ring-buffer.bpf.c.

#include "ring-buffer.bpf.h"

SEC("raw_tp/sys_enter")
int send_event_again(struct bpf_raw_tracepoint_args *ctx)
{
    return send_sample(ctx, 0);
}
