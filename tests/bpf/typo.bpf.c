// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// A program for a tracepoint that no kernel has.

#include "test.bpf.h"

MAP(HASH, ran_total, 4, 16);

SEC("tp_btf/sched_swich")
int misspelt(void *ctx)
{
    u32 number = 1;
    increment_map(&ran_total, &number, 1);
    return 0;
}
