// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// What the objects here share: each counts the test's event (see test.bpf.h), or what else its kind of program sees, in `kind_total[1]`.

#ifndef EXPORTER_KIND_BPF_H
#define EXPORTER_KIND_BPF_H

#include "test.bpf.h"

#if defined(__TARGET_ARCH_x86)
#define SYS_GETPGID "__x64_sys_getpgid"
#else
#define SYS_GETPGID "__arm64_sys_getpgid"
#endif

// UDP packets to this port count.
#define PORT 34997

MAP(HASH, kind_total, 4, 4);

static __always_inline int count(void)
{
    u32 key = 1;
    increment_map(&kind_total, &key, 1);
    return 0;
}

static __always_inline int count_mine(void)
{
    return mine() ? count() : 0;
}

#endif
