// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// A version of events.bpf.c that loads and cannot be attached: no kernel has this tracepoint.

#include "test.bpf.h"

MAP(HASH, events_total, 20, 1024);

SEC("tracepoint/exporter_host/no_such_tracepoint")
int count_event(void *ctx)
{
    return 0;
}
