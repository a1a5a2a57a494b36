// Runs natively: make test
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loadavg.h"

static void expect(bool good, const char *what) {
    if (good) return;
    fprintf(stderr, "failed: %s\n", what);
    exit(1);
}

static bool parse(const char *text, double numbers[WINDOW_COUNT]) {
    return loadavg_parse(text, strlen(text), numbers);
}

int main(void) {
    double numbers[WINDOW_COUNT];
    expect(parse("0.25 0.5 12.00 2/345 6789\n", numbers), "three numbers");
    expect(numbers[0] == 0.25 && numbers[1] == 0.5 && numbers[2] == 12, "their values");
    expect(!parse("0.25 x\n", numbers) && !parse("0.25 0.5", numbers) && !parse("", numbers), "a file that says something else");
    expect(!options_parse("{}", 2) && options_parse("{\"color\": 1}", 12) && options_parse("{", 1), "there are no options");
    puts("ok");
    return 0;
}
