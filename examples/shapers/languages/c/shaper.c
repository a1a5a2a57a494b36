// The shaper hits_misses: a map's value of two u64, hits and misses, becomes two counters.
#include "shaper.h"

#include <stdlib.h>
#include <string.h>

#include "json.h"

static const char *const FAMILIES[FAMILY_COUNT] = {"_hits_total", "_misses_total"};

static bool metric_parse(struct json json, struct metric *metric) {
    struct json key, value, label;
    while (json_member(&json, &key, &value)) {
        if (json_is(key, "name")) metric->name = json_string(value);
        if (json_is(key, "help")) metric->help = json_string(value);
        if (!json_is(key, "labels")) continue;
        while (json_element(&value, &label)) {
            char **more = realloc(metric->labels, (metric->label_count + 1) * sizeof *more);
            char *text = json_string(label);
            if (!more || !text) return false;
            metric->labels = more;
            metric->labels[metric->label_count++] = text;
        }
    }
    return metric->name && metric->help;
}

const char *options_parse(const char *text, size_t length, struct metric *metric) {
    struct json json = {text, text + length}, key, value;
    *metric = (struct metric){0};
    bool found = false;
    if (!json_valid(json)) return "the options are no JSON";
    while (json_member(&json, &key, &value)) {
        if (!json_is(key, "metric")) return SHAPER_NAME " has no options";
        found = metric_parse(value, metric);
    }
    return found ? NULL : "the host did not say which metric this is for";
}

char *family_name(const struct metric *metric, size_t family) {
    char *name = malloc(strlen(metric->name) + strlen(FAMILIES[family]) + 1);
    if (!name) abort();
    return strcat(strcpy(name, metric->name), FAMILIES[family]);
}
