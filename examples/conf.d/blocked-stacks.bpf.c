// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// What tasks wait for that cannot be interrupted (state D), by kernel stack.

#include "kernel.bpf.h"
#include "maps.bpf.h"

#define FRAMES 8
// The innermost frames are this program, what runs it, and the scheduler.
#define SKIP_FRAMES 4
#define TASK_UNINTERRUPTIBLE 2
// Shorter waits trouble nobody, and are not worth a stack's place.
#define SHORTEST_NS 1000000

struct key {
    u64 stack[FRAMES];
};

struct blocked {
    u64 since;
    struct key at;
};

// The stacks seen last stay. It bounds the number of series.
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 512);
    __type(key, struct key);
    __type(value, u64);
} blocked_waits_total SEC(".maps");

// The tasks that are blocked now, by thread.
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 4096);
    __type(key, u32);
    __type(value, struct blocked);
} now_blocked SEC(".maps");

// Too large for the stack of a program.
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, u32);
    __type(value, struct blocked);
} scratch SEC(".maps");

static __always_inline u32 state_of(struct task_struct *task)
{
    if (bpf_core_field_exists(task->__state))
        return task->__state;
    return ((struct task_struct___state *)task)->state;
}

static __always_inline void remember(void *ctx, struct task_struct *task)
{
    u32 zero = 0, thread = task->pid;
    struct blocked *blocked = bpf_map_lookup_elem(&scratch, &zero);
    if (!blocked)
        return;

    __builtin_memset(blocked, 0, sizeof(*blocked));
    blocked->since = bpf_ktime_get_ns();
    if (bpf_get_stack(ctx, blocked->at.stack, sizeof(blocked->at.stack), SKIP_FRAMES) > 0)
        bpf_map_update_elem(&now_blocked, &thread, blocked, BPF_ANY);
}

SEC("tp_btf/sched_switch")
int BPF_PROG(sched_switch, bool preempted, struct task_struct *before, struct task_struct *after)
{
    if (!preempted && (state_of(before) & 0xff) == TASK_UNINTERRUPTIBLE)
        remember(ctx, before);

    u32 thread = after->pid;
    struct blocked *blocked = bpf_map_lookup_elem(&now_blocked, &thread);
    if (!blocked)
        return 0;

    if (bpf_ktime_get_ns() - blocked->since >= SHORTEST_NS)
        increment_map(&blocked_waits_total, &blocked->at, 1);
    bpf_map_delete_elem(&now_blocked, &thread);
    return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
