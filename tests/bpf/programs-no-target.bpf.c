// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// One program that works beside one that is for something that no kernel has.

#include "works.bpf.h"

SEC("tp_btf/exporter_host_has_no_such_tracepoint")
int BPF_PROG(for_nothing)
{
    return 0;
}
