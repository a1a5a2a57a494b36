// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only

#include "kind.bpf.h"

SEC("uretprobe/libc.so.6:getpgid")
int counted(void *ctx)
{
    return count_mine();
}
