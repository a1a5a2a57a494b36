// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only

#include "kind.bpf.h"

SEC("tp_btf/sys_enter")
int BPF_PROG(counted, struct pt_regs *regs, long id)
{
    return id == NR_GETPGID ? count_mine() : 0;
}
