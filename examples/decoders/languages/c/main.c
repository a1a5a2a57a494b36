// What the host calls: the interface `decoding` of wit/plugin.wit. What is returned is freed by the generated code, so it is all allocated.
#include <stdlib.h>
#include <string.h>

#include "bindings/plugin.h"
#include "decoder.h"

// The bindings want the object file with the component's type linked in; here `wasm-tools component embed` adds the type.
void __component_type_object_force_link_plugin(void) {}

#define MAX_OPEN 64
static struct options opened[MAX_OPEN];
static uint32_t open_count;

void exports_exporter_plugin_decoding_catalogue(exports_exporter_plugin_decoding_list_description_t *ret) {
    ret->len = 1;
    ret->ptr = calloc(1, sizeof *ret->ptr);
    if (!ret->ptr) abort();
    plugin_string_dup(&ret->ptr[0].name, DECODER_NAME);
    plugin_string_dup(&ret->ptr[0].summary, DECODER_SUMMARY);
    plugin_string_dup(&ret->ptr[0].options_schema, DECODER_SCHEMA);
}

bool exports_exporter_plugin_decoding_open(plugin_string_t *name, plugin_string_t *options, uint32_t *ret, plugin_string_t *err) {
    char why[TEXT_MAX];
    bool good = false;
    if (name->len != strlen(DECODER_NAME) || memcmp(name->ptr, DECODER_NAME, name->len) != 0) {
        plugin_string_dup(err, "there is no decoder of that name here");
    } else if (open_count == MAX_OPEN) {
        plugin_string_dup(err, "too many decoders are open");
    } else if (!options_parse((const char *)options->ptr, options->len, &opened[open_count], why)) {
        plugin_string_dup(err, why);
    } else {
        *ret = open_count++;
        good = true;
    }
    // What comes in is ours to free.
    plugin_string_free(name);
    plugin_string_free(options);
    return good;
}

void exports_exporter_plugin_decoding_decode(uint32_t decoder, exports_exporter_plugin_decoding_cells_t *input,
                                             exports_exporter_plugin_decoding_decoded_t *ret) {
    size_t rows = input->ends.len, used = 0, start = 0;
    memset(ret, 0, sizeof *ret);
    if (rows > 0) {
        ret->cells.bytes.ptr = malloc(rows * TEXT_MAX);
        ret->cells.ends.ptr = calloc(rows, sizeof *ret->cells.ends.ptr);
        ret->errors.ptr = calloc(rows, sizeof *ret->errors.ptr);
        if (!ret->cells.bytes.ptr || !ret->cells.ends.ptr || !ret->errors.ptr) abort();
    }
    for (size_t row = 0; row < rows; row++) {
        size_t end = input->ends.ptr[row];
        char text[TEXT_MAX];
        if (decode_cell(input->bytes.ptr + start, end - start, &opened[decoder % MAX_OPEN], text)) {
            memcpy(ret->cells.bytes.ptr + used, text, strlen(text));
            used += strlen(text);
        } else {
            exports_exporter_plugin_decoding_row_error_t *error = &ret->errors.ptr[ret->errors.len++];
            error->row = (uint32_t)row;
            plugin_string_dup(&error->message, text);
        }
        ret->cells.ends.ptr[row] = (uint32_t)used;
        start = end;
    }
    ret->cells.bytes.len = used;
    ret->cells.ends.len = rows;
    // The generated code frees lists that are not empty.
    if (used == 0) free(ret->cells.bytes.ptr);
    if (ret->errors.len == 0) free(ret->errors.ptr);
    exports_exporter_plugin_decoding_cells_free(input);
}
