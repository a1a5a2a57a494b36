// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// Maps whose keys and values are structs, and no program: the tests write the entries themselves.

#include "test.bpf.h"

struct traffic {
    u64 requests;
    struct {
        u64 bytes;
        __s32 balance;
    } in;
    union {
        u32 open;
        u32 other;
    };
    double seconds;
    u16 narrow;
    u32 flags : 4;
};

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 16);
    __type(key, u32);
    __type(value, struct traffic);
} traffic SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_HASH);
    __uint(max_entries, 16);
    __type(key, u32);
    __type(value, struct traffic);
} traffic_percpu SEC(".maps");

// Every number that is no integer of four or eight bytes, nor a double.
struct small {
    u8 unsigned_byte;
    signed char signed_byte;
    u16 unsigned_short;
    short signed_short;
    bool set;
    float single;
    char *pointer;
};

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 16);
    __type(key, u32);
    __type(value, struct small);
} small SEC(".maps");

// `traffic` without its type.
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 16);
    __uint(key_size, sizeof(u32));
    __uint(value_size, sizeof(struct traffic));
} untyped SEC(".maps");

enum direction { IN, OUT = 7, ODD = -2 };

struct flow {
    char command[16];
    u16 port;
    enum direction direction;
    __s32 priority;
    struct {
        u8 kind;
        u8 address[4];
    } peer;
};

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 16);
    __type(key, struct flow);
    __type(value, u64);
} flows_total SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_HASH);
    __uint(max_entries, 16);
    __type(key, __s64);
    __type(value, u64);
} signed_total SEC(".maps");
