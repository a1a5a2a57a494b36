// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// Page faults of user programs by cgroup.

#include "kernel.bpf.h"
#include "maps.bpf.h"

// Bits of the error code of x86's page faults.
#define FAULT_WRITE 0x02
#define FAULT_FETCH 0x10

enum access { ACCESS_READ, ACCESS_WRITE, ACCESS_EXECUTE };

struct key {
    u64 cgroup;
    u32 access;
    u32 padding;
};

// LRU: cgroups come and go. Per-CPU: a starting program faults thousands of times.
struct {
    __uint(type, BPF_MAP_TYPE_LRU_PERCPU_HASH);
    __uint(max_entries, 4096);
    __type(key, struct key);
    __type(value, u64);
} page_faults_total SEC(".maps");

SEC("tp_btf/page_fault_user")
int BPF_PROG(page_fault_user, unsigned long address, void *regs, unsigned long error)
{
    struct key key = { .cgroup = bpf_get_current_cgroup_id() };

    if (error & FAULT_FETCH)
        key.access = ACCESS_EXECUTE;
    else
        key.access = error & FAULT_WRITE ? ACCESS_WRITE : ACCESS_READ;
    increment_map(&page_faults_total, &key, 1);
    return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
