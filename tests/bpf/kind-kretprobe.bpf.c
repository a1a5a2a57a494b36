// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only

#include "kind.bpf.h"

SEC("kretprobe/" SYS_GETPGID)
int counted(void *ctx)
{
    return count_mine();
}
