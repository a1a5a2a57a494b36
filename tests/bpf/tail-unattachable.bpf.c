// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// The next version of tail.bpf.c, of which one program cannot be attached: no kernel has this
// tracepoint.

#define VERSION 2
#include "tail.bpf.h"

SEC("tracepoint/exporter_host/no_such_tracepoint")
int broken(void *ctx)
{
    return 0;
}
