// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// The kernel's types, as far as our programs use them.
//
// This is deliberately no vmlinux.h generated from a kernel's BTF. Each struct below names only the
// fields that we read, and `preserve_access_index` lets the loader (CO-RE) put in the offsets of the
// kernel it loads on. So objects build in milliseconds on any machine (a container, CI, another
// kernel) that has clang and libbpf's headers, the same object runs on every kernel with BTF, and what
// we depend on can be read here. Add a struct or a field when a program needs one. Order and padding
// don't matter; names and types do. Bit fields need BPF_CORE_READ_BITFIELD.
//
// `name___suffix` is another shape of `name` (the loader ignores what follows the three underscores):
// for fields and arguments that changed from one kernel to another. Ask bpf_core_field_exists, or
// tracepoint_takes, which shape this kernel has; the verifier then drops the code for the other one.

#ifndef EXPORTER_KERNEL_BPF_H
#define EXPORTER_KERNEL_BPF_H

#include <linux/bpf.h>
#include <linux/in6.h>
#include <linux/types.h>
#include <stdbool.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 s32;
typedef __s64 s64;

// Whether the running kernel's tracepoint has the prototype of this typedef, which is called
// btf_trace_TRACEPOINT___suffix and starts with a `void *` like the kernel's own.
#define tracepoint_takes(prototype) bpf_core_type_exists(prototype)

// Argument n (from 0) of a tp_btf program's context, where it depends on tracepoint_takes. In assembler,
// since a compiler that sees ctx[1] in one branch and ctx[0] in the other may compute the index at run
// time, which the verifier refuses.
#define tracepoint_argument(ctx, n)                                          \
    ({                                                                       \
        u64 argument_;                                                       \
        asm volatile("%0 = *(u64 *)(%1 + %2)"                                \
                     : "=r"(argument_)                                       \
                     : "r"(ctx), "i"((n) * sizeof(u64)));                    \
        argument_;                                                           \
    })

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

// === Tasks and cgroups ===

struct kernfs_node {
    u64 id;
};

struct cgroup {
    struct kernfs_node *kn;
};

struct css_set {
    struct cgroup *dfl_cgrp;
};

struct task_struct {
    s32 pid;
    s32 tgid;
    int exit_code;
    unsigned int __state;
    struct css_set *cgroups;
    char comm[16];
};

// Before 5.14.
struct task_struct___state {
    long state;
};

// Registers of a task in a system call, by architecture.
struct pt_regs___x86 {
    unsigned long orig_ax;
    unsigned long cs;
};

struct pt_regs___arm64 {
    u64 pstate;
    s32 syscallno;
};

// === Timers ===

struct timer_list {
    void (*function)(struct timer_list *);
};

// === Block devices ===

struct gendisk {
    int major;
    int first_minor;
};

struct request_queue {
    struct gendisk *disk;
};

struct request {
    struct request_queue *q;
    unsigned int cmd_flags;
};

// Before 5.15 the disk is found through the request.
struct request___disk {
    struct gendisk *rq_disk;
};

// === Network ===

struct net_device {
    int ifindex;
};

struct sk_buff {
    struct net_device *dev;
    unsigned int len;
    __be16 protocol;
};

struct sock_common {
    unsigned short skc_family;
    unsigned char skc_state;
    __be32 skc_daddr;
    __be16 skc_dport;
    u16 skc_num;
    struct in6_addr skc_v6_daddr;
};

struct sock {
    struct sock_common __sk_common;
    u16 sk_protocol;
};

// === Files ===

struct file_system_type {
    const char *name;
};

struct super_block {
    struct file_system_type *s_type;
};

struct inode {
    unsigned short i_mode;
    struct super_block *i_sb;
};

struct file {
    struct inode *f_inode;
};

// === Memory ===

struct mem_cgroup;

struct oom_control {
    struct mem_cgroup *memcg;
    struct task_struct *chosen;
};


// The page cache.
struct trace_event_raw_mm_filemap_op_page_cache {
    u32 s_dev;
    u8 order;
};

#pragma clang attribute pop

// === Helpers ===

// A device number as the `majorminor` decoder (and stat(2)) has it; the kernel's own is laid out
// differently.
static __always_inline u32 device_number(u32 major, u32 minor)
{
    return (minor & 0xff) | (major << 8) | ((minor & 0xfff00) << 12);
}

#endif
