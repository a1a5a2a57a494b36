// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// Who allocates the kernel's memory, by kernel stack.

#include "kernel.bpf.h"
#include "maps.bpf.h"

#define FRAMES 6
// One allocation in so many is looked at, and counts for all of them: walking the stack costs more than
// the allocation. A power of two.
#define SAMPLING 64
// The innermost frames are this program and what runs it.
#define SKIP_FRAMES 2

struct key {
    u64 stack[FRAMES];
};

// A kernel has thousands of such stacks: the ones seen last stay. It bounds the number of series.
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 512);
    __type(key, struct key);
    __type(value, u64);
} kmalloc_bytes_total SEC(".maps");

// In 5.19 and 6.0 the cache comes before the sizes.
typedef void (*btf_trace_kmalloc___cache)(void *, unsigned long, const void *, void *, unsigned long,
                                          unsigned long, unsigned int);

SEC("tp_btf/kmalloc")
int kmalloc(u64 *ctx)
{
    if (bpf_get_prandom_u32() % SAMPLING)
        return 0;

    struct key key = {};
    u64 allocated;

    if (tracepoint_takes(btf_trace_kmalloc___cache))
        allocated = tracepoint_argument(ctx, 4);
    else
        allocated = tracepoint_argument(ctx, 3);

    if (bpf_get_stack(ctx, key.stack, sizeof(key.stack), SKIP_FRAMES) > 0)
        increment_map(&kmalloc_bytes_total, &key, allocated * SAMPLING);
    return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
