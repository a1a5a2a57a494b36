// What the decoder does, apart from how it is called: compiles natively too, for its test.
#ifndef DECODER_H
#define DECODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DECODER_NAME "tcp_state"
#define DECODER_SUMMARY "4 bytes, a TCP state: its name"
#define DECODER_SCHEMA "{\"type\": \"object\", \"properties\": {\"lowercase\": {\"type\": \"boolean\"}}}"

struct options {
    bool lowercase;
};

// Longest text or error message, with its NUL.
#define TEXT_MAX 96

// Reads the options' JSON, an object of booleans. False: `error` says why not.
bool options_parse(const char *json, size_t length, struct options *options, char error[TEXT_MAX]);

// The text of one cell. False: `text` says why there is none.
bool decode_cell(const uint8_t *cell, size_t length, const struct options *options, char text[TEXT_MAX]);

#endif
