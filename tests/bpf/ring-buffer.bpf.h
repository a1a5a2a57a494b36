// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// What ring-buffer.bpf.c and its relatives share: each of the test's events is sent through a ring
// buffer, instead of being counted.

#include "test.bpf.h"

struct sample {
    u32 argument;
    char command[16];
};

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 1 << 20);
} samples_total SEC(".maps");

static __always_inline int send_sample(struct bpf_raw_tracepoint_args *ctx, u64 flags)
{
    struct sample sample = {};

    if (!event(ctx, &sample.argument))
        return 0;
    bpf_get_current_comm(&sample.command, sizeof(sample.command));
    bpf_ringbuf_output(&samples_total, &sample, sizeof(sample), flags);
    return 0;
}
