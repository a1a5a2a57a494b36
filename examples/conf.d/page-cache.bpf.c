// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// Pages of files that come into the page cache and leave it, by device.

#include "kernel.bpf.h"
#include "maps.bpf.h"

// Disks, and a number for every tmpfs, overlay and network mount.
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 1024);
    __type(key, u32);
    __type(value, u64);
} page_cache_added_pages_total SEC(".maps"), page_cache_removed_pages_total SEC(".maps");

static __always_inline void count(void *map, struct trace_event_raw_mm_filemap_op_page_cache *event)
{
    // The kernel's own layout of device numbers: 12 bits of major, 20 of minor.
    u32 device = device_number(event->s_dev >> 20, event->s_dev & 0xfffff);
    u64 pages = 1;

    // Newer kernels cache several pages as one folio.
    if (bpf_core_field_exists(event->order))
        pages <<= event->order & 31;
    increment_map(map, &device, pages);
}

// A plain tracepoint, because its record has the device ready; the arguments, as tp_btf sees them,
// changed from pages to folios.

SEC("tracepoint/filemap/mm_filemap_add_to_page_cache")
int added(struct trace_event_raw_mm_filemap_op_page_cache *event)
{
    count(&page_cache_added_pages_total, event);
    return 0;
}

SEC("tracepoint/filemap/mm_filemap_delete_from_page_cache")
int removed(struct trace_event_raw_mm_filemap_op_page_cache *event)
{
    count(&page_cache_removed_pages_total, event);
    return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
