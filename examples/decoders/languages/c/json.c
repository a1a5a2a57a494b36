#include "json.h"

#include <stdlib.h>
#include <string.h>

static void skip_space(struct json *json) {
    while (json->at < json->end && (*json->at == ' ' || *json->at == '\t' || *json->at == '\r' || *json->at == '\n')) json->at++;
}

static bool take(struct json *json, char token) {
    skip_space(json);
    if (json->at == json->end || *json->at != token) return false;
    json->at++;
    return true;
}

static bool skip_string(struct json *json) {
    if (!take(json, '"')) return false;
    for (; json->at < json->end && *json->at != '"'; json->at++) {
        if (*json->at == '\\' && json->at + 1 < json->end) json->at++;
    }
    return take(json, '"');
}

static bool skip_value(struct json *json) {
    skip_space(json);
    if (json->at == json->end) return false;
    struct json member, value;
    switch (*json->at) {
    case '"':
        return skip_string(json);
    case '{':
        while (json_member(json, &member, &value)) {}
        return take(json, '}');
    case '[':
        while (json_element(json, &value)) {}
        return take(json, ']');
    default: {
        const char *start = json->at;
        while (json->at < json->end && !strchr(",]} \t\r\n", *json->at)) json->at++;
        return json->at > start;
    }
    }
}

// The next item's text; `opening` or a comma comes before it. Where there is none, `list` is left at the closing bracket.
static bool next(struct json *list, char opening, char closing) {
    if (!take(list, opening) && !take(list, ',')) return false;
    skip_space(list);
    return list->at < list->end && *list->at != closing;
}

bool json_member(struct json *object, struct json *key, struct json *value) {
    if (!next(object, '{', '}')) return false;
    key->at = object->at + 1;
    if (!skip_string(object)) return false;
    key->end = object->at - 1;
    if (!take(object, ':')) return false;
    skip_space(object);
    value->at = object->at;
    if (!skip_value(object)) return false;
    value->end = object->at;
    return true;
}

bool json_element(struct json *array, struct json *value) {
    if (!next(array, '[', ']')) return false;
    value->at = array->at;
    if (!skip_value(array)) return false;
    value->end = array->at;
    return true;
}

bool json_valid(struct json text) {
    if (!skip_value(&text)) return false;
    skip_space(&text);
    return text.at == text.end;
}

bool json_is(struct json slice, const char *text) {
    size_t length = strlen(text);
    return (size_t)(slice.end - slice.at) == length && memcmp(slice.at, text, length) == 0;
}

// Appends a character as UTF-8.
static char *utf8(char *out, unsigned code) {
    if (code < 0x80) {
        *out++ = (char)code;
    } else if (code < 0x800) {
        *out++ = (char)(0xc0 | code >> 6);
        *out++ = (char)(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        *out++ = (char)(0xe0 | code >> 12);
        *out++ = (char)(0x80 | (code >> 6 & 0x3f));
        *out++ = (char)(0x80 | (code & 0x3f));
    } else {
        *out++ = (char)(0xf0 | code >> 18);
        *out++ = (char)(0x80 | (code >> 12 & 0x3f));
        *out++ = (char)(0x80 | (code >> 6 & 0x3f));
        *out++ = (char)(0x80 | (code & 0x3f));
    }
    return out;
}

static bool hex4(const char *at, const char *end, unsigned *code) {
    if (end - at < 4) return false;
    *code = 0;
    for (int index = 0; index < 4; index++) {
        char digit = at[index];
        unsigned number = digit >= '0' && digit <= '9'   ? (unsigned)(digit - '0')
                          : digit >= 'a' && digit <= 'f' ? (unsigned)(digit - 'a' + 10)
                          : digit >= 'A' && digit <= 'F' ? (unsigned)(digit - 'A' + 10)
                                                         : 16;
        if (number > 15) return false;
        *code = *code << 4 | number;
    }
    return true;
}

char *json_string(struct json value) {
    if (value.end - value.at < 2 || *value.at != '"') return NULL;
    // Undoing an escape never makes a text longer.
    char *string = malloc((size_t)(value.end - value.at)), *out = string;
    if (!string) abort();
    const char *end = value.end - 1;
    for (const char *at = value.at + 1; at < end; at++) {
        if (*at != '\\') {
            *out++ = *at;
            continue;
        }
        unsigned code, low;
        switch (*++at) {
        case 'n': *out++ = '\n'; break;
        case 't': *out++ = '\t'; break;
        case 'r': *out++ = '\r'; break;
        case 'b': *out++ = '\b'; break;
        case 'f': *out++ = '\f'; break;
        case 'u':
            if (!hex4(at + 1, end, &code)) {
                free(string);
                return NULL;
            }
            at += 4;
            // Two of them make one character beyond the first 65536.
            if (code >= 0xd800 && code < 0xdc00 && end - at > 6 && at[1] == '\\' && at[2] == 'u' && hex4(at + 3, end, &low)) {
                code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                at += 6;
            }
            out = utf8(out, code);
            break;
        default: *out++ = *at;
        }
    }
    *out = '\0';
    return string;
}
