// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only

#include "kind.bpf.h"

SEC("fentry/" SYS_GETPGID)
int BPF_PROG(counted, struct pt_regs *regs)
{
    return count_mine();
}
