// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// Who uses the CPUs: the command that runs, looked up 99 times a second on each CPU.

#include "kernel.bpf.h"
#include "maps.bpf.h"

#include <linux/bpf_perf_event.h>

struct key {
    char command[16];
};

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 2048);
    __type(key, struct key);
    __type(value, u64);
} cpu_samples_total SEC(".maps");

// Type 1, config 0 is the kernel's own clock: it needs no hardware counters. 99 rather than 100, so as
// not to march in step with things that happen 100 times a second.
SEC("perf_event/type=1,config=0,frequency=99")
int sample(struct bpf_perf_event_data *ctx)
{
    struct key key = {};

    // Thread 0 is the idle one.
    if (!(u32)bpf_get_current_pid_tgid())
        return 0;
    bpf_get_current_comm(&key.command, sizeof(key.command));
    increment_map(&cpu_samples_total, &key, 1);
    return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
