// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// Counts the benchmark's events by process in LRU maps. The argument of an event has the map's number in the bits from MAP_BIT
// on, and the process below.

#include "../../bpf/test.bpf.h"

#define MAP_BIT 24
#define GROUPS 8

struct key {
    u32 group;
    u32 process;
};

#define PROCESSES(name_)                   \
    struct {                               \
        __uint(type, BPF_MAP_TYPE_LRU_HASH); \
        __uint(max_entries, 1024);         \
        __type(key, struct key);           \
        __type(value, u64);                \
    } name_ SEC(".maps")

PROCESSES(slow_total);
PROCESSES(middle_total);
PROCESSES(fast_total);

// Of each map: events, and insertions behind them.
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 6);
    __type(key, u32);
    __type(value, u64);
} happened SEC(".maps");

static __always_inline void note(u32 what)
{
    u64 *count = bpf_map_lookup_elem(&happened, &what);
    if (count)
        __sync_fetch_and_add(count, 1);
}

static __always_inline void count(void *map, u32 number, u32 process)
{
    struct key key = {.group = process % GROUPS, .process = process};
    u64 one = 1;
    u64 *known = bpf_map_lookup_elem(map, &key);

    if (known) {
        __sync_fetch_and_add(known, 1);
    } else {
        // An event that did not get into the map has not happened.
        if (bpf_map_update_elem(map, &key, &one, BPF_NOEXIST))
            return;
        note(number + 3);
    }
    note(number);
}

SEC("raw_tp/sys_enter")
int count_event(struct bpf_raw_tracepoint_args *ctx)
{
    u32 argument;

    if (!event(ctx, &argument))
        return 0;
    u32 process = argument & ((1 << MAP_BIT) - 1);
    switch (argument >> MAP_BIT) {
    case 0:
        count(&slow_total, 0, process);
        break;
    case 1:
        count(&middle_total, 1, process);
        break;
    default:
        count(&fast_total, 2, process);
    }
    return 0;
}
