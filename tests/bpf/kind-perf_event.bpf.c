// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only

#include "kind.bpf.h"

SEC("perf_event/type=1,config=0,frequency=99")
int counted(void *ctx)
{
    return count_mine();
}
