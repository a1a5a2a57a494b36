// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// The version after perf-array-again.bpf.c, another one that says how large the array is.

#include "test.bpf.h"

struct sample {
    u32 argument;
    char command[16];
};

struct {
    __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
    __uint(max_entries, 256);
    __uint(key_size, sizeof(u32));
    __uint(value_size, sizeof(u32));
} samples_total SEC(".maps");

SEC("raw_tp/sys_enter")
int send_anew(struct bpf_raw_tracepoint_args *ctx)
{
    struct sample sample = {};

    if (!event(ctx, &sample.argument))
        return 0;
    bpf_get_current_comm(&sample.command, sizeof(sample.command));
    bpf_perf_event_output(ctx, &samples_total, BPF_F_CURRENT_CPU, &sample, sizeof(sample));
    return 0;
}
