// What the host calls: the interface `collecting` of wit/plugin.wit. What is returned is freed by the generated code, so it is all allocated.
#include <stdlib.h>
#include <string.h>

#include "bindings/plugin.h"
#include "loadavg.h"

// The bindings want the object file with the component's type linked in; here `wasm-tools component embed` adds the type.
void __component_type_object_force_link_plugin(void) {}

static void *allocate(size_t count, size_t size) {
    void *memory = calloc(count, size);
    if (!memory) abort();
    return memory;
}

void exports_exporter_plugin_collecting_catalogue(exports_exporter_plugin_collecting_list_description_t *ret) {
    ret->len = 1;
    ret->ptr = allocate(1, sizeof *ret->ptr);
    plugin_string_dup(&ret->ptr[0].name, COLLECTOR_NAME);
    plugin_string_dup(&ret->ptr[0].summary, COLLECTOR_SUMMARY);
    plugin_string_dup(&ret->ptr[0].options_schema, "");
}

bool exports_exporter_plugin_collecting_open(plugin_string_t *name, plugin_string_t *options, uint32_t *ret, plugin_string_t *err) {
    const char *why = "there is no collector of that name here";
    if (name->len == strlen(COLLECTOR_NAME) && memcmp(name->ptr, COLLECTOR_NAME, name->len) == 0) {
        why = options_parse((const char *)options->ptr, options->len);
    }
    if (why) plugin_string_dup(err, why);
    // Nothing is kept: one handle serves all.
    *ret = 0;
    // What comes in is ours to free.
    plugin_string_free(name);
    plugin_string_free(options);
    return why == NULL;
}

static void fill(const double numbers[WINDOW_COUNT], exports_exporter_plugin_collecting_list_family_t *ret) {
    ret->len = 1;
    ret->ptr = allocate(1, sizeof *ret->ptr);
    exports_exporter_plugin_collecting_family_t *family = &ret->ptr[0];
    plugin_string_dup(&family->name, COLLECTOR_NAME);
    plugin_string_dup(&family->help, "Runnable tasks, averaged over a window.");
    plugin_string_dup(&family->unit, "");
    family->kind = EXPORTER_PLUGIN_TYPES_KIND_GAUGE;
    family->label_names.len = 1;
    family->label_names.ptr = allocate(1, sizeof *family->label_names.ptr);
    plugin_string_dup(&family->label_names.ptr[0], "window");
    family->samples.len = WINDOW_COUNT;
    family->samples.ptr = allocate(WINDOW_COUNT, sizeof *family->samples.ptr);
    for (size_t window = 0; window < WINDOW_COUNT; window++) {
        exports_exporter_plugin_collecting_sample_t *sample = &family->samples.ptr[window];
        sample->label_values.len = 1;
        sample->label_values.ptr = allocate(1, sizeof *sample->label_values.ptr);
        plugin_string_dup(&sample->label_values.ptr[0], WINDOWS[window]);
        sample->value.tag = EXPORTS_EXPORTER_PLUGIN_COLLECTING_VALUE_NUMBER;
        sample->value.val.number.tag = EXPORTS_EXPORTER_PLUGIN_COLLECTING_NUMBER_REAL;
        sample->value.val.number.val.real = numbers[window];
    }
}

// The operator's view of an error of the host.
static void refuse(const exporter_plugin_files_file_error_t *error, exports_exporter_plugin_collecting_failure_t *failure) {
    const plugin_string_t *why = NULL;
    failure->tag = EXPORTS_EXPORTER_PLUGIN_COLLECTING_FAILURE_UNREACHABLE;
    if (error->tag == EXPORTER_PLUGIN_FILES_FILE_ERROR_DENIED) {
        failure->tag = EXPORTS_EXPORTER_PLUGIN_COLLECTING_FAILURE_DENIED;
        why = &error->val.denied;
    } else if (error->tag == EXPORTER_PLUGIN_FILES_FILE_ERROR_IO) {
        why = &error->val.io;
    }
    if (why) {
        plugin_string_dup_n(&failure->val.unreachable, (const char *)why->ptr, why->len);
    } else {
        plugin_string_dup(&failure->val.unreachable, LOADAVG_PATH " is not there");
    }
}

bool exports_exporter_plugin_collecting_collect(uint32_t collector, exports_exporter_plugin_collecting_request_t *request,
                                                exports_exporter_plugin_collecting_list_family_t *ret,
                                                exports_exporter_plugin_collecting_failure_t *err) {
    plugin_string_t path;
    plugin_list_u8_t text;
    exporter_plugin_files_file_error_t error;
    double numbers[WINDOW_COUNT];
    plugin_string_set(&path, LOADAVG_PATH);
    bool good = exporter_plugin_files_read(&path, &text, &error);
    if (!good) {
        refuse(&error, err);
        exporter_plugin_files_file_error_free(&error);
    } else {
        good = loadavg_parse((const char *)text.ptr, text.len, numbers);
        plugin_list_u8_free(&text);
        if (good) {
            fill(numbers, ret);
        } else {
            err->tag = EXPORTS_EXPORTER_PLUGIN_COLLECTING_FAILURE_INVALID;
            plugin_string_dup(&err->val.invalid, LOADAVG_PATH ": expected three numbers");
        }
    }
    exports_exporter_plugin_collecting_request_free(request);
    return good;
}
