// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only

#include "kind.bpf.h"

struct task_struct;

SEC("lsm/task_getpgid")
int BPF_PROG(counted, struct task_struct *task, int result)
{
    count_mine();
    return result;
}
