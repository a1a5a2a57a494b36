// What the shaper does, apart from how it is called: compiles natively too, for its test.
#ifndef SHAPER_H
#define SHAPER_H

#include <stdbool.h>
#include <stddef.h>

#define SHAPER_NAME "hits_misses"
#define SHAPER_SUMMARY "a value of two u64, hits and misses: two counters"

#define FAMILY_COUNT 2

// What the host knows of the metric. The strings are allocated.
struct metric {
    char *name, *help, **labels;
    size_t label_count;
};

// Reads the options' JSON. NULL: all is well, otherwise a sentence for the operator.
const char *options_parse(const char *json, size_t length, struct metric *metric);

// The name of a family, allocated.
char *family_name(const struct metric *metric, size_t family);

#endif
