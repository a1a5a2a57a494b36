// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// What the test objects share: an event that a test makes exactly as often as it wants.
//
// The event is the system call getpgid(argument), made by one thread: the one whose id the test has put into the map `target`.
// So tests that run at the same time, and other programs, don't count.

#ifndef EXPORTER_TEST_BPF_H
#define EXPORTER_TEST_BPF_H

#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <linux/types.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "maps.bpf.h"

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;

#if defined(__TARGET_ARCH_x86)
#define NR_GETPGID 121
#else
#define NR_GETPGID 155
#endif

// [0]: the id of the thread whose events count.
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, u32);
    __type(value, u64);
} target SEC(".maps");

static __always_inline bool mine(void)
{
    u32 zero = 0;
    u64 *thread = bpf_map_lookup_elem(&target, &zero);
    return thread && *thread && *thread == (u32)bpf_get_current_pid_tgid();
}

// Whether this raw_tp/sys_enter is the test's event, and then its argument.
static __always_inline bool event(struct bpf_raw_tracepoint_args *ctx, u32 *argument)
{
    struct pt_regs *regs = (void *)ctx->args[0];
    u64 value = 0;

    if (ctx->args[1] != NR_GETPGID || !mine())
        return false;
    bpf_probe_read_kernel(&value, sizeof(value), (void *)&PT_REGS_PARM1(regs));
    *argument = value;
    return true;
}

#define MAP(type_, name_, key_size_, entries)  \
    struct {                                   \
        __uint(type, BPF_MAP_TYPE_##type_);    \
        __uint(max_entries, entries);          \
        __uint(key_size, key_size_);           \
        __uint(value_size, sizeof(u64));       \
    } name_ SEC(".maps")

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#endif
