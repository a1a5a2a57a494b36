// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// A version of events.bpf.c that does not load: no kernel has this tracepoint.

#include "test.bpf.h"

MAP(HASH, events_total, 20, 1024);

SEC("tp_btf/exporter_host_has_no_such_tracepoint")
int BPF_PROG(count_event)
{
    return 0;
}
