// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// What tail.bpf.c and its next version tail-unattachable.bpf.c share: the event is counted under
// VERSION by a program that another one calls through a program array.

#include "test.bpf.h"

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 16);
    __type(key, u32);
    __type(value, u64);
} calls_total SEC(".maps");

int leaf(struct bpf_raw_tracepoint_args *ctx);

struct {
    __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
    __uint(max_entries, 1);
    __uint(key_size, 4);
    __array(values, int (void *));
} jumps SEC(".maps") = {.values = {[0] = (void *)&leaf}};

SEC("raw_tp")
int leaf(struct bpf_raw_tracepoint_args *ctx)
{
    u32 version = VERSION, argument;

    if (event(ctx, &argument))
        increment_map(&calls_total, &version, 1);
    return 0;
}

SEC("raw_tp/sys_enter")
int entry(struct bpf_raw_tracepoint_args *ctx)
{
    bpf_tail_call(ctx, &jumps, 0);
    return 0;
}
