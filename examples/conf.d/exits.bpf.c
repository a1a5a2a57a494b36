// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// How processes end: with which exit code, or by which signal.

#include "kernel.bpf.h"
#include "maps.bpf.h"

struct kill_key {
    u32 signal;
    char command[16];
};

// Exit codes are 0 to 255.
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 256);
    __type(key, u32);
    __type(value, u64);
} process_exits_total SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 1024);
    __type(key, struct kill_key);
    __type(value, u64);
} process_kills_total SEC(".maps");

SEC("tp_btf/sched_process_exit")
int BPF_PROG(sched_process_exit, struct task_struct *task)
{
    // Other threads than the first one end without the process ending.
    if (task->pid != task->tgid)
        return 0;

    // As in wait(2): the signal in the low 7 bits, else the exit code in the second byte.
    int status = task->exit_code;
    u32 signal = status & 0x7f, code = (status >> 8) & 0xff;

    if (!signal) {
        increment_map(&process_exits_total, &code, 1);
        return 0;
    }

    struct kill_key key = { .signal = signal };
    bpf_get_current_comm(&key.command, sizeof(key.command));
    increment_map(&process_kills_total, &key, 1);
    return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
