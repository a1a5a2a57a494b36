// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// System calls, and which of them fail with what.

#include "kernel.bpf.h"
#include "maps.bpf.h"

// Above it are the kernel's internal codes (ERESTARTSYS, ...): no program ever sees those.
#define MAX_VISIBLE_ERRNO 511

struct error_key {
    u32 syscall;
    u32 error;
};

// There are fewer than 512 system calls. Millions of calls in a second: per-CPU.
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_HASH);
    __uint(max_entries, 512);
    __type(key, u32);
    __type(value, u64);
} syscalls_total SEC(".maps");

// A call fails in a handful of ways each; the rarest go first should it ever be full.
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 4096);
    __type(key, struct error_key);
    __type(value, u64);
} syscall_errors_total SEC(".maps");

// The number of the call that these registers are in; -1 for calls of 32-bit programs, whose numbers
// mean other calls.
static __always_inline s32 syscall_number(void *registers)
{
#if defined(__TARGET_ARCH_x86)
    struct pt_regs___x86 *regs = registers;
    const u64 user32_cs = 0x23;
    return regs->cs == user32_cs ? -1 : (s32)regs->orig_ax;
#elif defined(__TARGET_ARCH_arm64)
    struct pt_regs___arm64 *regs = registers;
    const u64 mode32 = 0x10;
    return regs->pstate & mode32 ? -1 : regs->syscallno;
#else
#error "where does this architecture keep the number of a system call?"
#endif
}

SEC("tp_btf/sys_enter")
int BPF_PROG(sys_enter, void *regs)
{
    s32 syscall = syscall_number(regs);

    if (syscall >= 0)
        increment_map(&syscalls_total, &syscall, 1);
    return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(sys_exit, void *regs, s64 result)
{
    if (result >= 0 || result < -MAX_VISIBLE_ERRNO)
        return 0;

    s32 syscall = syscall_number(regs);
    if (syscall < 0)
        return 0;

    struct error_key key = { .syscall = syscall, .error = -result };
    increment_map(&syscall_errors_total, &key, 1);
    return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
