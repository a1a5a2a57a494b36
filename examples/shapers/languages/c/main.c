// What the host calls: the interface `shaping` of wit/plugin.wit. What is returned is freed by the generated code, so it is all allocated.
#include <stdlib.h>
#include <string.h>

#include "bindings/plugin.h"
#include "shaper.h"

// The bindings want the object file with the component's type linked in; here `wasm-tools component embed` adds the type.
void __component_type_object_force_link_plugin(void) {}

static void *allocate(size_t count, size_t size) {
    if (count == 0) return NULL;
    void *memory = calloc(count, size);
    if (!memory) abort();
    return memory;
}

void exports_exporter_plugin_shaping_catalogue(exports_exporter_plugin_shaping_list_description_t *ret) {
    ret->len = 1;
    ret->ptr = allocate(1, sizeof *ret->ptr);
    plugin_string_dup(&ret->ptr[0].name, SHAPER_NAME);
    plugin_string_dup(&ret->ptr[0].summary, SHAPER_SUMMARY);
    plugin_string_dup(&ret->ptr[0].options_schema, "");
}

static void fill(const struct metric *metric, exports_exporter_plugin_shaping_opened_t *ret) {
    memset(ret, 0, sizeof *ret);
    ret->families.len = ret->numbers.len = FAMILY_COUNT;
    ret->families.ptr = allocate(FAMILY_COUNT, sizeof *ret->families.ptr);
    ret->numbers.ptr = allocate(FAMILY_COUNT, sizeof *ret->numbers.ptr);
    for (size_t index = 0; index < FAMILY_COUNT; index++) {
        exports_exporter_plugin_shaping_family_t *family = &ret->families.ptr[index];
        char *name = family_name(metric, index);
        plugin_string_dup(&family->name, name);
        free(name);
        plugin_string_dup(&family->help, metric->help);
        plugin_string_dup(&family->unit, "");
        family->kind = EXPORTER_PLUGIN_TYPES_KIND_COUNTER;
        family->labels.len = metric->label_count;
        family->labels.ptr = allocate(metric->label_count, sizeof *family->labels.ptr);
        for (size_t label = 0; label < metric->label_count; label++) {
            plugin_string_dup(&family->labels.ptr[label], metric->labels[label]);
        }
        ret->numbers.ptr[index].offset = (uint32_t)(8 * index);
        ret->numbers.ptr[index].encoding = EXPORTS_EXPORTER_PLUGIN_SHAPING_NUMBER_TYPE_U64;
    }
}

bool exports_exporter_plugin_shaping_open(plugin_string_t *name, plugin_string_t *options, exports_exporter_plugin_shaping_opened_t *ret,
                                          plugin_string_t *err) {
    struct metric metric;
    const char *why = "there is no shaper of that name here";
    if (name->len == strlen(SHAPER_NAME) && memcmp(name->ptr, SHAPER_NAME, name->len) == 0) {
        why = options_parse((const char *)options->ptr, options->len, &metric);
    }
    if (why) {
        plugin_string_dup(err, why);
    } else {
        // Nothing is kept: one handle serves all.
        fill(&metric, ret);
    }
    // What comes in is ours to free.
    plugin_string_free(name);
    plugin_string_free(options);
    return why == NULL;
}

void exports_exporter_plugin_shaping_place(uint32_t shaper, uint32_t rows, exports_exporter_plugin_shaping_cells_t *keys,
                                           exports_exporter_plugin_shaping_list_cells_t *labels, exports_exporter_plugin_shaping_placed_t *ret) {
    memset(ret, 0, sizeof *ret);
    ret->placements.len = (size_t)rows * FAMILY_COUNT;
    ret->placements.ptr = allocate(ret->placements.len, sizeof *ret->placements.ptr);
    // Number 0 of every row goes to family 0, number 1 to family 1.
    for (uint32_t index = 0; index < ret->placements.len; index++) {
        exports_exporter_plugin_shaping_placement_t *placement = &ret->placements.ptr[index];
        placement->row = index / FAMILY_COUNT;
        placement->family = placement->number = index % FAMILY_COUNT;
        placement->slot.tag = EXPORTS_EXPORTER_PLUGIN_SHAPING_SLOT_VALUE;
        placement->scale = 1.0;
    }
    exports_exporter_plugin_shaping_cells_free(keys);
    exports_exporter_plugin_shaping_list_cells_free(labels);
}
