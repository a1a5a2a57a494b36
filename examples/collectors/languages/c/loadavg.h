// What the collector makes of /proc/loadavg, apart from how it is called: compiles natively too, for its test.
#ifndef LOADAVG_H
#define LOADAVG_H

#include <stdbool.h>
#include <stddef.h>

#define COLLECTOR_NAME "load_average"
#define COLLECTOR_SUMMARY "the load average over 1, 5 and 15 minutes"
#define LOADAVG_PATH "/proc/loadavg"
#define WINDOW_COUNT 3

extern const char *const WINDOWS[WINDOW_COUNT];

// The number of each window. False: the text makes no sense.
bool loadavg_parse(const char *text, size_t length, double numbers[WINDOW_COUNT]);

// NULL: all is well, otherwise a sentence for the operator.
const char *options_parse(const char *json, size_t length);

#endif
