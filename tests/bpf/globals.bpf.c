// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// Exports the globals that the host has written values into.

#include "test.bpf.h"

enum mode { MODE_OFF, MODE_SLOW, MODE_FAST = 70000 };

const volatile u64 big = 1;
const volatile __s64 below = -1;
const volatile u16 small = 7;
const volatile __s8 tiny = -7;
const volatile bool on = false;
const volatile enum mode mode = MODE_OFF;
const volatile char name[8] = "nobody";
const volatile u32 list[4] = {9, 9, 9, 9};
const volatile double ratio = 0;
volatile u32 variable = 3;
// Not volatile: the compiler puts its value into the code.
const u32 folded[2] = {1, 2};

struct value {
    u32 of;
    u32 index;
};

// What each global is, by the number of its line above and its index.
MAP(HASH, global_values, sizeof(struct value), 64);
// How often that was asked for.
MAP(HASH, asked_total, 4, 64);

static __always_inline void tell(u32 of, u32 index, u64 value)
{
    struct value key = {of, index};
    bpf_map_update_elem(&global_values, &key, &value, BPF_ANY);
}

SEC("raw_tp/sys_enter")
int tell_globals(struct bpf_raw_tracepoint_args *ctx)
{
    u32 argument;

    if (!event(ctx, &argument))
        return 0;
    increment_map(&asked_total, &argument, 1);
    tell(0, 0, big);
    tell(1, 0, -below);
    tell(2, 0, small);
    tell(3, 0, -tiny);
    tell(4, 0, on);
    tell(5, 0, mode);
    for (u32 i = 0; i < 8; i++)
        tell(6, i, name[i]);
    for (u32 i = 0; i < 4; i++)
        tell(7, i, list[i]);
    // There are no floating point instructions: the bits.
    tell(8, 0, *(const volatile u64 *)&ratio);
    tell(9, 0, variable);
    tell(10, 0, ((const volatile u32 *)folded)[argument & 1]);
    return 0;
}
