// The decoder tcp_state: 4 bytes, a TCP state of the kernel, become its name.
#include "decoder.h"

#include <string.h>

#include "json.h"

// include/net/tcp_states.h, from 1 on.
static const char *const STATES[] = {
    "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT",
    "CLOSE", "CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING", "NEW_SYN_RECV",
};
#define STATE_COUNT (sizeof STATES / sizeof *STATES)

// Appends as much as there is room for. Not snprintf: that would drag files and locales of the C library into the component.
static void append(char text[TEXT_MAX], const char *more, size_t length) {
    size_t used = strlen(text), room = TEXT_MAX - 1 - used;
    if (length > room) length = room;
    memcpy(text + used, more, length);
    text[used + length] = '\0';
}

static void append_number(char text[TEXT_MAX], uint32_t number) {
    char digits[10];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    append(text, digits + at, sizeof digits - at);
}

#define APPEND(text, literal) append(text, literal, strlen(literal))

bool decode_cell(const uint8_t *cell, size_t length, const struct options *options, char text[TEXT_MAX]) {
    text[0] = '\0';
    if (length != 4) {
        APPEND(text, DECODER_NAME " wants 4 bytes, got ");
        append_number(text, (uint32_t)length);
        return false;
    }
    uint32_t state = cell[0] | (uint32_t)cell[1] << 8 | (uint32_t)cell[2] << 16 | (uint32_t)cell[3] << 24;
    if (state >= 1 && state <= STATE_COUNT) {
        APPEND(text, STATES[state - 1]);
    } else {
        APPEND(text, "UNKNOWN:");
        append_number(text, state);
    }
    if (options->lowercase) {
        for (char *letter = text; *letter; letter++) {
            if (*letter >= 'A' && *letter <= 'Z') *letter += 'a' - 'A';
        }
    }
    return true;
}

bool options_parse(const char *text, size_t length, struct options *options, char error[TEXT_MAX]) {
    struct json json = {text, text + length}, key, value;
    error[0] = '\0';
    *options = (struct options){0};
    if (!json_valid(json)) {
        APPEND(error, "the options are no JSON");
        return false;
    }
    while (json_member(&json, &key, &value)) {
        if (!json_is(key, "lowercase")) {
            size_t key_length = (size_t)(key.end - key.at);
            APPEND(error, DECODER_NAME " has no option `");
            append(error, key.at, key_length < 24 ? key_length : 24);
            APPEND(error, "`; it has: lowercase");
            return false;
        }
        if (!json_is(value, "true") && !json_is(value, "false")) {
            APPEND(error, "`lowercase` is true or false");
            return false;
        }
        options->lowercase = json_is(value, "true");
    }
    return true;
}
