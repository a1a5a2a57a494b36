// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// The same with the kernel's storage in cgroups.

#include "test.bpf.h"

// BPF_MAP_TYPE_CGRP_STORAGE (Linux 6.2), which older headers don't have.
#define CGRP_STORAGE 32

struct {
    __uint(type, CGRP_STORAGE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, int);
    __type(value, u64);
} chosen SEC(".maps");

MAP(HASH, storage_total, 4, 16);
