// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// How long reads and writes of files take, whether from the page cache or from a device.

#include "kernel.bpf.h"
#include "maps.bpf.h"

// 2^26 us = 67 s.
#define MAX_BUCKET 26
#define S_IFMT 0170000
#define S_IFREG 0100000

enum operation { READ, WRITE };

struct key {
    char filesystem[16];
    u32 operation;
    u32 bucket;
};

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 2048);
    __type(key, struct key);
    __type(value, u64);
} file_operation_seconds SEC(".maps");

// When the operations under way began, by thread. One whose end we missed is overwritten by the thread's next.
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 16384);
    __type(key, u64);
    __type(value, u64);
} begun SEC(".maps");

static __always_inline int begin(struct file *file)
{
    u64 thread = bpf_get_current_pid_tgid(), now = bpf_ktime_get_ns();

    // Pipes, sockets and terminals wait for somebody, not for a file system.
    if ((file->f_inode->i_mode & S_IFMT) == S_IFREG)
        bpf_map_update_elem(&begun, &thread, &now, BPF_ANY);
    return 0;
}

static __always_inline int end(struct file *file, enum operation operation)
{
    u64 thread = bpf_get_current_pid_tgid(), *start = bpf_map_lookup_elem(&begun, &thread);
    if (!start)
        return 0;

    u64 microseconds = (bpf_ktime_get_ns() - *start) / 1000;
    bpf_map_delete_elem(&begun, &thread);

    struct key key = { .operation = operation };
    bpf_probe_read_kernel_str(key.filesystem, sizeof(key.filesystem), file->f_inode->i_sb->s_type->name);
    increment_exp2_histogram(&file_operation_seconds, key, microseconds, MAX_BUCKET);
    return 0;
}

SEC("fentry/vfs_read")
int BPF_PROG(read_begins, struct file *file)
{
    return begin(file);
}

SEC("fexit/vfs_read")
int BPF_PROG(read_ends, struct file *file)
{
    return end(file, READ);
}

SEC("fentry/vfs_write")
int BPF_PROG(write_begins, struct file *file)
{
    return begin(file);
}

SEC("fexit/vfs_write")
int BPF_PROG(write_ends, struct file *file)
{
    return end(file, WRITE);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
