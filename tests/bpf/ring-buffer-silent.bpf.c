// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// Sends each of the test's events through a ring buffer, and wakes nobody.

#include "test.bpf.h"

struct sample {
    u32 argument;
    char command[16];
};

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 1 << 20);
} samples_total SEC(".maps");

SEC("raw_tp/sys_enter")
int send_event(struct bpf_raw_tracepoint_args *ctx)
{
    struct sample sample = {};

    if (!event(ctx, &sample.argument))
        return 0;
    bpf_get_current_comm(&sample.command, sizeof(sample.command));
    bpf_ringbuf_output(&samples_total, &sample, sizeof(sample), BPF_RB_NO_WAKEUP);
    return 0;
}
