// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// Sizes that programs ask malloc for: those that use the system's C library.
//
// A uprobe costs a microsecond or so for each call, in all these programs: load it to find something
// out, and remove it then.

#include "kernel.bpf.h"
#include "maps.bpf.h"

// For struct pt_regs as user space knows it.
#include <linux/ptrace.h>

// One for zero, and up to 2^32.
#define MAX_BUCKET 33

// The only label is the bucket, so it is the index of an array.
struct key {
    u32 bucket;
};

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, MAX_BUCKET + 2);
    __type(key, u32);
    __type(value, u64);
} malloc_bytes SEC(".maps");

SEC("uprobe/libc.so.6:malloc")
int BPF_KPROBE(libc_malloc, unsigned long size)
{
    struct key key = {};

    increment_exp2zero_histogram(&malloc_bytes, key, size, MAX_BUCKET);
    return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
