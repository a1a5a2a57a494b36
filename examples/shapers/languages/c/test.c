// Runs natively: make test
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shaper.h"

static void expect(bool good, const char *what) {
    if (good) return;
    fprintf(stderr, "failed: %s\n", what);
    exit(1);
}

int main(void) {
    struct metric metric;
    const char *options = "{\"metric\": {\"name\": \"cache\", \"help\": \"A \\\"help\\\" \\u00e9.\", \"labels\": [\"level\", \"cpu\"]}}";
    expect(!options_parse(options, strlen(options), &metric), "a metric is enough");
    expect(!strcmp(metric.name, "cache") && !strcmp(metric.help, "A \"help\" \xc3\xa9."), "name and help are read");
    expect(metric.label_count == 2 && !strcmp(metric.labels[1], "cpu"), "labels are read");
    expect(!strcmp(family_name(&metric, 1), "cache_misses_total"), "families are called after the metric");

    const char *other = "{\"color\": 1}", *cut = "{\"metric\": {";
    const char *why = options_parse(other, strlen(other), &metric);
    expect(why && strstr(why, "has no options"), "there are no options");
    expect(options_parse(cut, strlen(cut), &metric) != NULL, "an object has an end");
    puts("ok");
    return 0;
}
