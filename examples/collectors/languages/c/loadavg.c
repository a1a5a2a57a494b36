// The collector load_average: the three numbers of /proc/loadavg, which the sidecar grants.
#include "loadavg.h"

#include "json.h"

const char *const WINDOWS[WINDOW_COUNT] = {"1m", "5m", "15m"};

// Digits with a fraction, as the kernel prints them; strtod would drag locales into the component.
static bool take_number(const char **at, const char *end, double *number) {
    const char *start = *at;
    double scale = 0;
    *number = 0;
    for (; *at < end && ((**at >= '0' && **at <= '9') || (**at == '.' && scale == 0)); (*at)++) {
        if (**at == '.') {
            scale = 1;
            continue;
        }
        *number = *number * 10 + (**at - '0');
        scale *= 10;
    }
    if (scale > 1) *number /= scale;
    return *at > start;
}

bool loadavg_parse(const char *text, size_t length, double numbers[WINDOW_COUNT]) {
    const char *end = text + length;
    for (size_t window = 0; window < WINDOW_COUNT; window++) {
        if (!take_number(&text, end, &numbers[window]) || text == end || *text++ != ' ') return false;
    }
    return true;
}

const char *options_parse(const char *text, size_t length) {
    struct json json = {text, text + length}, key, value;
    if (!json_valid(json)) return "the options are no JSON";
    return json_member(&json, &key, &value) ? COLLECTOR_NAME " has no options" : NULL;
}
