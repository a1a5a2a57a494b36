// Runs natively: make test
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decoder.h"

static void expect(bool good, const char *what) {
    if (good) return;
    fprintf(stderr, "failed: %s\n", what);
    exit(1);
}

int main(void) {
    char text[TEXT_MAX];
    struct options options;
    expect(options_parse("{}", 2, &options, text), "no options are fine");
    expect(decode_cell((const uint8_t[]){1, 0, 0, 0}, 4, &options, text) && !strcmp(text, "ESTABLISHED"), "1 is ESTABLISHED");
    expect(decode_cell((const uint8_t[]){0, 1, 0, 0}, 4, &options, text) && !strcmp(text, "UNKNOWN:256"), "256 is unknown");
    expect(!decode_cell((const uint8_t[]){9}, 1, &options, text) && !strcmp(text, DECODER_NAME " wants 4 bytes, got 1"), "1 byte is no state");

    const char *lower = " {\"lowercase\" : true} ";
    expect(options_parse(lower, strlen(lower), &options, text) && options.lowercase, "lowercase is an option");
    expect(decode_cell((const uint8_t[]){10, 0, 0, 0}, 4, &options, text) && !strcmp(text, "listen"), "10 is listen");

    const char *other = "{\"color\": true}", *wrong = "{\"lowercase\": 1}", *cut = "{\"lowercase\"";
    expect(!options_parse(other, strlen(other), &options, text) && strstr(text, "has no option `color`"), "color is no option");
    expect(!options_parse(wrong, strlen(wrong), &options, text) && strstr(text, "true or false"), "1 is no boolean");
    expect(!options_parse(cut, strlen(cut), &options, text), "an object has an end");
    puts("ok");
    return 0;
}
