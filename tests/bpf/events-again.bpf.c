// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// The next version of events.bpf.c: its map as it was, another map, and no count of the arguments from 100 on.

#include "test.bpf.h"

struct key {
    char command[16];
    u32 argument;
};

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1024);
    __type(key, struct key);
    __type(value, u64);
} events_total SEC(".maps");

MAP(HASH, large_total, 4, 16);

SEC("raw_tp/sys_enter")
int count_small(struct bpf_raw_tracepoint_args *ctx)
{
    struct key key = {};

    if (!event(ctx, &key.argument))
        return 0;
    if (key.argument >= 100) {
        increment_map(&large_total, &key.argument, 1);
        return 0;
    }
    bpf_get_current_comm(&key.command, sizeof(key.command));
    increment_map(&events_total, &key, 1);
    return 0;
}
