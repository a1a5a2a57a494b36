// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// Samples the test's thread by the kernel's own clock.

#include "test.bpf.h"

#include <linux/bpf_perf_event.h>

MAP(PERCPU_ARRAY, ticks_total, 4, 1);

SEC("perf_event/type=1,config=0,frequency=499")
int tick(struct bpf_perf_event_data *ctx)
{
    u32 key = 0;
    if (mine())
        increment_map(&ticks_total, &key, 1);
    return 0;
}
