// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// What layout.bpf.c and its next version layout-again.bpf.c share. FIRST and SECOND are the members
// of a value of io, in their order in memory.

#include "test.bpf.h"

struct io {
    u64 FIRST;
    u64 SECOND;
};

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 16);
    __type(key, u32);
    __type(value, struct io);
} io SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 16);
    __type(key, u32);
    __type(value, u64);
} kept_total SEC(".maps");

SEC("raw_tp/sys_enter")
int count_io(struct bpf_raw_tracepoint_args *ctx)
{
    struct io *found, one = {};
    u32 argument;

    if (!event(ctx, &argument))
        return 0;
    increment_map(&kept_total, &argument, 1);
    bpf_map_update_elem(&io, &argument, &one, BPF_NOEXIST);
    found = bpf_map_lookup_elem(&io, &argument);
    if (found)
        __sync_fetch_and_add(&found->reads, 1);
    return 0;
}
