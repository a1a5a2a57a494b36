// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// How long block devices take, from a request's issue to the device to its completion.

#include "kernel.bpf.h"
#include "maps.bpf.h"

// 2^26 us = 67 s: requests time out after 30 s.
#define MAX_BUCKET 26
#define OPERATION_MASK 0xff

struct key {
    u32 device;
    u32 operation;
    u32 bucket;
};

// Some 70 sets of device and operation; LRU, as devices come and go.
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 2048);
    __type(key, struct key);
    __type(value, u64);
} block_io_seconds SEC(".maps");

// When the requests under way were issued. Requests come from fixed pools and their addresses are used
// again, so one whose completion we missed is overwritten, not leaked.
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 16384);
    __type(key, u64);
    __type(value, u64);
} issued SEC(".maps");

// Before 5.11 (and its backports) the request comes second.
typedef void (*btf_trace_block_rq_issue___queue)(void *, struct request_queue *, struct request *);

SEC("tp_btf/block_rq_issue")
int block_rq_issue(u64 *ctx)
{
    u64 now = bpf_ktime_get_ns(), request;

    if (tracepoint_takes(btf_trace_block_rq_issue___queue))
        request = tracepoint_argument(ctx, 1);
    else
        request = tracepoint_argument(ctx, 0);
    bpf_map_update_elem(&issued, &request, &now, BPF_ANY);
    return 0;
}

SEC("tp_btf/block_rq_complete")
int BPF_PROG(block_rq_complete, struct request *request)
{
    u64 id = (u64)request, *start = bpf_map_lookup_elem(&issued, &id);
    if (!start)
        return 0;

    u64 microseconds = (bpf_ktime_get_ns() - *start) / 1000;
    bpf_map_delete_elem(&issued, &id);

    struct gendisk *disk;
    if (bpf_core_field_exists(struct request_queue, disk))
        disk = request->q->disk;
    else
        disk = ((struct request___disk *)request)->rq_disk;

    struct key key = {
        .device = disk ? device_number(disk->major, disk->first_minor) : 0,
        .operation = request->cmd_flags & OPERATION_MASK,
    };
    increment_exp2_histogram(&block_io_seconds, key, microseconds, MAX_BUCKET);
    return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
