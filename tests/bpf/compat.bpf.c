// A program as ebpf_exporter's documentation has them: libbpf's headers, the few kernel types it needs, and nothing of exporter-host.

#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define TASK_COMM_LEN 16
#define MAX_SLOT 27

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;

struct task_struct {
    int pid;
    int tgid;
    char comm[TASK_COMM_LEN];
} __attribute__((preserve_access_index));

struct fork_key_t {
    u32 parent;
    char comm[TASK_COMM_LEN];
};

struct slot_key_t {
    u32 parent;
    u32 slot;
};

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1024);
    __type(key, struct fork_key_t);
    __type(value, u64);
} forks_total SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, (MAX_SLOT + 2) * 128);
    __type(key, struct slot_key_t);
    __type(value, u64);
} fork_distance SEC(".maps");

static inline void bump(void *map, void *key, u64 by)
{
    u64 zero = 0, *count = bpf_map_lookup_elem(map, key);
    if (!count) {
        bpf_map_update_elem(map, key, &zero, BPF_NOEXIST);
        count = bpf_map_lookup_elem(map, key);
        if (!count)
            return;
    }
    __sync_fetch_and_add(count, by);
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(sched_process_fork, struct task_struct *parent, struct task_struct *child)
{
    struct fork_key_t key = {};
    struct slot_key_t slot = {};

    key.parent = parent->tgid;
    bpf_probe_read_kernel_str(&key.comm, sizeof(key.comm), &parent->comm);
    bump(&forks_total, &key, 1);

    slot.parent = parent->tgid;
    slot.slot = 2;
    bump(&fork_distance, &slot, 1);
    slot.slot = MAX_SLOT + 1;
    bump(&fork_distance, &slot, 3);
    return 0;
}

char LICENSE[] SEC("license") = "GPL";
