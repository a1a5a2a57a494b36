// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// As programs-no-target, with a section that is none on any kernel.

#include "works.bpf.h"

SEC("tp_bf/sched_switch")
int BPF_PROG(for_nothing)
{
    return 0;
}
