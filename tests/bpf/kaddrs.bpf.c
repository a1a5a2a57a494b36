// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// Exports the address that the host wrote into a global.

#include "test.bpf.h"

const volatile u64 kaddr_schedule = 0;
const volatile u64 kaddr_do_exit = 0;

MAP(HASH, addresses_total, 8, 16);

SEC("raw_tp/sys_enter")
int addresses(struct bpf_raw_tracepoint_args *ctx)
{
    u32 argument;
    u64 one = kaddr_schedule, other = kaddr_do_exit;
    if (!event(ctx, &argument))
        return 0;
    increment_map(&addresses_total, &one, 1);
    increment_map(&addresses_total, &other, 2);
    return 0;
}
