// As much JSON as a plugin's options need: values are slices of the text, looked at where they are.
#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stddef.h>

// The text of one value, or what is left of one.
struct json {
    const char *at, *end;
};

// Takes the next member off an object that begins at `object`; false: there is none, or it is no object. `key` is the text between the quotes,
// escapes as they are.
bool json_member(struct json *object, struct json *key, struct json *value);

// Takes the next element off an array; false: there is none, or it is no array.
bool json_element(struct json *array, struct json *value);

// Whether `text` is one value and nothing else.
bool json_valid(struct json text);

// Whether a slice is exactly this text.
bool json_is(struct json slice, const char *text);

// A string's bytes with its escapes undone, NUL at the end, to be freed. NULL: it is no string.
char *json_string(struct json value);

#endif
