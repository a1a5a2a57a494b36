// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// How well the page cache does: pages used from it, and pages that had to be read or made first.

#include "kernel.bpf.h"
#include "maps.bpf.h"

enum { USED, ADDED, KINDS };

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, KINDS);
    __type(key, u32);
    __type(value, u64);
} page_cache_accesses_total SEC(".maps");

static __always_inline int count(u32 kind)
{
    increment_map(&page_cache_accesses_total, &kind, 1);
    return 0;
}

SEC("fentry/folio_mark_accessed")
int BPF_PROG(used)
{
    return count(USED);
}

SEC("raw_tp/mm_filemap_add_to_page_cache")
int added(void *ctx)
{
    return count(ADDED);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
