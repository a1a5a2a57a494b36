// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// Maps that a YAML can be wrong about, and a program whose SEC() was forgotten.

#include "test.bpf.h"

struct operation {
    u8 op;
    u32 device;
};
MAP(HASH, operations_total, sizeof(struct operation), 16);

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 16);
    __type(key, struct operation);
    __type(value, u64);
} padded_total SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 1 << 16);
} samples_total SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_TASK_STORAGE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, int);
    __type(value, u64);
} stored_total SEC(".maps");

MAP(HASH, ran_total, 4, 16);
MAP(HASH, eight_total, 8, 16);
MAP(HASH, latency, 4, 16);

SEC("raw_tp/sys_enter")
int works(struct bpf_raw_tracepoint_args *ctx)
{
    u32 argument, number = 1;
    if (event(ctx, &argument))
        increment_map(&ran_total, &number, 1);
    return 0;
}

int forgotten(void *ctx)
{
    u32 number = 2;
    increment_map(&ran_total, &number, 1);
    return 0;
}
