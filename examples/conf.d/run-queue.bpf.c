// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// How long tasks that could run wait for a CPU.

#include "kernel.bpf.h"
#include "maps.bpf.h"

// 2^26 us = 67 s.
#define MAX_BUCKET 26
#define TASK_RUNNING 0

// The only label is the bucket, so it is the index of an array.
struct key {
    u32 bucket;
};

// Per-CPU, as this is the scheduler's hottest path.
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, MAX_BUCKET + 2);
    __type(key, u32);
    __type(value, u64);
} run_queue_seconds SEC(".maps");

// Since when the tasks that wait now have been waiting, by thread id. Only waiting tasks are in it.
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 16384);
    __type(key, u32);
    __type(value, u64);
} waiting SEC(".maps");

static __always_inline void starts_waiting(struct task_struct *task)
{
    u32 thread = task->pid;
    u64 now = bpf_ktime_get_ns();

    // 0 is a CPU's idle task, which never waits.
    if (thread)
        bpf_map_update_elem(&waiting, &thread, &now, BPF_ANY);
}

static __always_inline bool can_run(struct task_struct *task)
{
    if (bpf_core_field_exists(struct task_struct, __state))
        return task->__state == TASK_RUNNING;
    return ((struct task_struct___state *)task)->state == TASK_RUNNING;
}

SEC("tp_btf/sched_wakeup")
int BPF_PROG(sched_wakeup, struct task_struct *task)
{
    starts_waiting(task);
    return 0;
}

SEC("tp_btf/sched_wakeup_new")
int BPF_PROG(sched_wakeup_new, struct task_struct *task)
{
    starts_waiting(task);
    return 0;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(sched_switch, bool preempted, struct task_struct *previous, struct task_struct *next)
{
    if (preempted || can_run(previous))
        starts_waiting(previous);

    u32 thread = next->pid;
    u64 *since = bpf_map_lookup_elem(&waiting, &thread);
    if (!since)
        return 0;

    struct key key = {};
    increment_exp2_histogram(&run_queue_seconds, key, (bpf_ktime_get_ns() - *since) / 1000, MAX_BUCKET);
    bpf_map_delete_elem(&waiting, &thread);
    return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
