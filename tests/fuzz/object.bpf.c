// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// Maps of several kinds and globals of all types, whose BTF the target label_layout replaces. object.bpf.o is made of it by
// examples/build-bpf.sh tests/fuzz tests/fuzz/object.bpf.c

#include "../bpf/test.bpf.h"

enum mode { SLOW = -1, FAST = 1 };
enum wide { LARGE = 1ULL << 40 };

struct key {
    u32 pid;
    union {
        u64 address;
        struct {
            u32 low, high;
        };
    };
    char comm[16];
    u32 flag : 1, rest : 31;
    enum mode mode;
};

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 64);
    __type(key, struct key);
    __type(value, u64);
} by_struct_total SEC(".maps");

MAP(HASH, hash_total, 4, 64);
MAP(PERCPU_ARRAY, single_total, 4, 1);
MAP(LRU_PERCPU_HASH, lru_total, 8, 64);

const volatile u8 small = 1;
const volatile __s64 large = -1;
const volatile _Bool on = 1;
const volatile enum mode mode = FAST;
const volatile enum wide wide = LARGE;
const volatile char name[8] = "abc";
const volatile u32 list[4] = {1, 2};
const u32 folded = 3;
volatile struct key zero;
volatile struct key *pointer = &zero;
