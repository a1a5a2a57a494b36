// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// Adding to the maps that become metrics.
//
// A metric's map has u64 values; its key is the labels, in the order of the YAML, without holes:
// write `struct key key = {};`, so that padding is zero and equal labels are equal bytes.
//
// All additions are atomic, in per-CPU maps too: a tracepoint may interrupt another one on the same
// CPU, and on a line that no other CPU touches the atomic costs next to nothing.
//
// Conventions of histograms (the key's last member is `bucket`, an unsigned integer):
//
//   exp2      bucket i counts the values v with 2^(i-1) < v <= 2^i; 0 and 1 are in bucket 0
//   exp2zero  bucket 0 counts zeros; bucket i > 0 is exp2's bucket i-1
//   linear    bucket i counts the value i; divide by the width of a step first, rounding up
//
// Larger values than the last bucket's are counted in the last bucket, max_bucket. The slot after it,
// max_bucket + 1, holds the sum of the raw values. One set of labels so takes max_bucket + 2 entries.

#ifndef EXPORTER_MAPS_BPF_H
#define EXPORTER_MAPS_BPF_H

#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_helpers.h>

// The counter at `key`, made with value 0 if it is not there. NULL if the map is full.
static __always_inline __u64 *map_counter(void *map, const void *key)
{
    __u64 *counter = bpf_map_lookup_elem(map, key);
    if (counter)
        return counter;

    __u64 zero = 0;
    // Another CPU may have been faster: its entry is as good as ours.
    bpf_map_update_elem(map, key, &zero, BPF_NOEXIST);
    return bpf_map_lookup_elem(map, key);
}

// Adds `by` to the counter at `key`. A full map (that is not an LRU) drops the addition.
static __always_inline void increment_map(void *map, const void *key, __u64 by)
{
    __u64 *counter = map_counter(map, key);
    if (counter)
        __sync_fetch_and_add(counter, by);
}

// The smallest i with v <= 2^i.
static __always_inline __u64 exp2_bucket(__u64 v)
{
    if (v <= 1)
        return 0;

    // The number of bits of v - 1, by halving: no loop, so old verifiers are content as well.
    __u64 rest = v - 1, bits = 1;
    if (rest >> 32) { bits += 32; rest >>= 32; }
    if (rest >> 16) { bits += 16; rest >>= 16; }
    if (rest >> 8)  { bits += 8;  rest >>= 8; }
    if (rest >> 4)  { bits += 4;  rest >>= 4; }
    if (rest >> 2)  { bits += 2;  rest >>= 2; }
    if (rest >> 1)  { bits += 1; }
    return bits;
}

static __always_inline __u64 exp2zero_bucket(__u64 v)
{
    return v ? exp2_bucket(v) + 1 : 0;
}

// `key` is a variable (not a pointer) whose member `bucket` these macros overwrite: they are macros
// because every metric has its own key type.
#define increment_histogram_bucket(map, key, index, value, max_bucket) \
    do {                                                               \
        __u64 index_ = (index);                                        \
        (key).bucket = index_ < (max_bucket) ? index_ : (max_bucket);  \
        increment_map((map), &(key), 1);                               \
        (key).bucket = (max_bucket) + 1;                               \
        increment_map((map), &(key), (value));                         \
    } while (0)

#define increment_exp2_histogram(map, key, value, max_bucket)                                     \
    do {                                                                                          \
        __u64 value_ = (value);                                                                   \
        increment_histogram_bucket((map), key, exp2_bucket(value_), value_, (max_bucket));        \
    } while (0)

#define increment_exp2zero_histogram(map, key, value, max_bucket)                                 \
    do {                                                                                          \
        __u64 value_ = (value);                                                                   \
        increment_histogram_bucket((map), key, exp2zero_bucket(value_), value_, (max_bucket));    \
    } while (0)

#define increment_linear_histogram(map, key, value, max_bucket)                                   \
    do {                                                                                          \
        __u64 value_ = (value);                                                                   \
        increment_histogram_bucket((map), key, value_, value_, (max_bucket));                     \
    } while (0)

#endif
