// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// Maps of every kind and no program: the tests write the entries themselves.

#include "test.bpf.h"

// Hash maps by key size, for decoders.
MAP(HASH, k1_total, 1, 64);
MAP(HASH, k2_total, 2, 64);
MAP(HASH, k4_total, 4, 64);
MAP(HASH, k6_total, 6, 64);
MAP(HASH, k8_total, 8, 64);
MAP(HASH, k16_total, 16, 64);
MAP(HASH, k24_total, 24, 64);
MAP(HASH, k32_total, 32, 64);
MAP(HASH, k64_total, 64, 64);
// A counter whose name doesn't end in _total.
MAP(HASH, plain, 4, 64);
MAP(HASH, level, 4, 64);

// Histograms: the bucket alone, and a label before it.
MAP(HASH, h4, 4, 256);
MAP(HASH, h8, 8, 256);
MAP(ARRAY, h_array, 4, 8);
MAP(PERCPU_HASH, h_percpu, 4, 64);

// The kinds of map.
MAP(HASH, hash_total, 4, 64);
MAP(LRU_HASH, lru_total, 4, 64);
MAP(ARRAY, array_total, 4, 4);
MAP(ARRAY, single_total, 4, 1);
MAP(PERCPU_HASH, pc_hash_total, 4, 64);
MAP(LRU_PERCPU_HASH, pc_lru_total, 4, 64);
MAP(PERCPU_ARRAY, pc_array_total, 4, 4);
MAP(PERCPU_ARRAY, pc_single_total, 4, 1);

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 4);
    __uint(map_flags, BPF_F_MMAPABLE);
    __type(key, u32);
    __type(value, u64);
} mmaped_total SEC(".maps");

// A value that no metric can be made of.
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 4);
    __type(key, u32);
    __type(value, u32);
} narrow_total SEC(".maps");

// A struct for a shaper: requests, requests in flight, nanoseconds.
struct requests {
    u64 total;
    __s32 in_flight;
    u32 unused;
    u64 nanoseconds;
};
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 16);
    __type(key, u32);
    __type(value, struct requests);
} requests SEC(".maps");
