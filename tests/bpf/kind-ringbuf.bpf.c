// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// Counts what it could reserve and submit.

#include "kind.bpf.h"

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 1 << 16);
} samples SEC(".maps");

SEC("raw_tp/sys_enter")
int counted(struct bpf_raw_tracepoint_args *ctx)
{
    if (ctx->args[1] != NR_GETPGID || !mine())
        return 0;
    u64 *sample = bpf_ringbuf_reserve(&samples, sizeof(*sample), 0);
    if (!sample)
        return 0;
    *sample = ctx->args[1];
    bpf_ringbuf_submit(sample, 0);
    return count();
}
