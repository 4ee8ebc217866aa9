#include "safetensors.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "../common/bytes.h"

enum { START_BYTES = 8, MOST_DIMENSIONS = 64 };

/* A tensor of the head, with the place of its elements. */
struct entry {
    struct array array;
    size_t begin, end; /* data_offsets: bytes after the head */
    size_t number;     /* place in the head */
};

struct entries {
    size_t count;
    struct entry *entry;
};

/* Names are quoted in errors up to this length. */
#define NAME "%.100s"

/* Reads a whole number from JSON, whose numbers are doubles: above 2^53 they would be rounded. */
static bool whole_number(const cJSON *item, size_t *number) {
    double value = item->valuedouble;
    if (!cJSON_IsNumber(item) || !(value >= 0.0 && value <= 9007199254740992.0) || value > (double)(SIZE_MAX / 2))
        return false;
    *number = (size_t)value;
    return (double)*number == value;
}

static bool read_dtype(const cJSON *item, struct array *array, struct error *error) {
    static const char *const names[] = {"F16", "BF16", "F32", "F64"};
    static const enum dtype dtypes[] = {DTYPE_F16, DTYPE_BF16, DTYPE_F32, DTYPE_F64};
    if (!cJSON_IsString(item))
        return set_error(error, "tensor " NAME " has no dtype: the head is damaged", array->name);
    for (size_t i = 0; i < 4; i++) {
        array->dtype = dtypes[i];
        if (strcmp(item->valuestring, names[i]) == 0) return true;
    }
    return set_error(error, "tensor " NAME " is of dtype %.16s, not F32, F16, BF16 or F64: convert it or leave it out",
                     array->name, item->valuestring);
}

static bool read_shape(const cJSON *list, struct array *array, struct error *error) {
    size_t most = 0;
    const cJSON *item;
    cJSON_ArrayForEach(item, list) most++;
    if (!cJSON_IsArray(list) || most > MOST_DIMENSIONS)
        return set_error(error, "tensor " NAME " has no shape of at most %d dimensions: the head is damaged",
                         array->name, MOST_DIMENSIONS);
    array->shape = (size_t *)calloc(most + 1, sizeof *array->shape);
    if (!array->shape) return set_error(error, "no memory for its head");
    cJSON_ArrayForEach(item, list) if (!whole_number(item, &array->shape[array->dimensions++])) return set_error(
        error, "tensor " NAME ": dimension %zu of its shape is no size: the head is damaged", array->name,
        array->dimensions);
    return shape_count(array->shape, array->dimensions, dtype_bytes(array->dtype), &array->count) ||
           set_error(error, "tensor " NAME " has a shape of more values than memory can hold: the head is damaged",
                     array->name);
}

static bool read_offsets(const cJSON *list, struct entry *entry, struct error *error) {
    size_t bytes = entry->array.count * dtype_bytes(entry->array.dtype);
    const cJSON *begin = list ? list->child : NULL, *end = begin ? begin->next : NULL;
    if (!cJSON_IsArray(list) || !end || end->next || !whole_number(begin, &entry->begin) ||
        !whole_number(end, &entry->end) || entry->begin > entry->end)
        return set_error(error, "tensor " NAME " has no data_offsets [begin, end]: the head is damaged",
                         entry->array.name);
    return entry->end - entry->begin == bytes ||
           set_error(error, "tensor " NAME " needs %zu bytes, but its data_offsets hold %zu: the head is damaged",
                     entry->array.name, bytes, entry->end - entry->begin);
}

/* Reads one tensor of the head: its dtype, shape and data_offsets, each exactly once. */
static bool read_entry(const cJSON *item, struct entry *entry, struct error *error) {
    static const char *const keys[] = {"dtype", "shape", "data_offsets"};
    const cJSON *field, *found[3] = {NULL, NULL, NULL};
    entry->array.name = strdup(item->string);
    if (!entry->array.name) return set_error(error, "no memory for its head");
    if (!cJSON_IsObject(item))
        return set_error(error, "tensor " NAME " is no object: the head is damaged", item->string);
    cJSON_ArrayForEach(field, item) {
        size_t key = 0;
        while (key < 3 && strcmp(field->string, keys[key]) != 0) key++;
        if (key == 3 || found[key])
            return set_error(error, "tensor " NAME " has the key " NAME "%s: the head is damaged", item->string,
                             field->string, key == 3 ? ", which is unknown" : " twice");
        found[key] = field;
    }
    return read_dtype(found[0], &entry->array, error) && read_shape(found[1], &entry->array, error) &&
           read_offsets(found[2], entry, error);
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct entry *)a)->array.name, ((const struct entry *)b)->array.name);
}

static int by_place(const void *a, const void *b) {
    const struct entry *x = (const struct entry *)a, *y = (const struct entry *)b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end) return x->end < y->end ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

/* Sorts the entries by place. Fails if two have one name, or if they do not cover the `bytes` after the head exactly.
 */
static bool sort_entries(struct entries *entries, size_t bytes, struct error *error) {
    struct entry *entry = entries->entry;
    size_t at = 0;
    qsort(entry, entries->count, sizeof *entry, by_name);
    for (size_t i = 1; i < entries->count; i++)
        if (by_name(&entry[i - 1], &entry[i]) == 0)
            return set_error(error, "tensor " NAME " is there twice: give each tensor a name of its own",
                             entry[i].array.name);
    qsort(entry, entries->count, sizeof *entry, by_place);
    for (size_t i = 0; i < entries->count; at = entry[i++].end) {
        if (entry[i].end > bytes)
            return set_error(error, "truncated: tensor " NAME " ends at byte %zu of %zu after the head: fetch it again",
                             entry[i].array.name, entry[i].end, bytes);
        if (entry[i].begin != at)
            return set_error(error,
                             "tensor " NAME " begins at byte %zu after the head, but %s %zu: the head is damaged",
                             entry[i].array.name, entry[i].begin,
                             entry[i].begin < at ? "the tensor before it ends at" : "no tensor has the bytes from", at);
    }
    return at == bytes || set_error(error, "%zu bytes follow its last tensor: fetch it again", bytes - at);
}

static bool read_entries(const cJSON *root, struct entries *entries, struct error *error) {
    size_t most = 0;
    const cJSON *item;
    bool metadata = false;
    cJSON_ArrayForEach(item, root) most++;
    entries->entry = (struct entry *)calloc(most + 1, sizeof *entries->entry);
    if (!entries->entry) return set_error(error, "no memory for its %zu tensors", most);
    cJSON_ArrayForEach(item, root) {
        if (strcmp(item->string, "__metadata__") == 0) {
            if (metadata) return set_error(error, "__metadata__ is there twice: the head is damaged");
            metadata = true;
            continue;
        }
        struct entry *entry = &entries->entry[entries->count++];
        entry->number = entries->count;
        if (!read_entry(item, entry, error)) return false;
    }
    return true;
}

/* Parses the head. On success the caller frees *root. */
static bool parse_head(const uint8_t *bytes, size_t size, size_t *head_bytes, cJSON **root, struct error *error) {
    if (size < START_BYTES)
        return set_error(error, "truncated: %zu bytes are no .safetensors file: fetch it again", size);
    uint64_t length = get_u64(bytes);
    if (length > size - START_BYTES)
        return set_error(error, "its head has %llu bytes, but %zu follow: it is truncated or of another kind",
                         (unsigned long long)length, size - START_BYTES);
    if (length > SAFETENSORS_HEAD_LIMIT)
        return set_error(error, "its head has %llu bytes, more than %d: split it into several files",
                         (unsigned long long)length, SAFETENSORS_HEAD_LIMIT);
    const char *text = (const char *)bytes + START_BYTES, *rest = text, *end = text + length;
    *head_bytes = START_BYTES + (size_t)length;
    *root = length && text[0] == '{' ? cJSON_ParseWithLengthOpts(text, (size_t)length, &rest, 0) : NULL;
    if (!*root)
        return set_error(error, "its head is no JSON object from byte %zu on: it is damaged or of another kind",
                         (size_t)(rest - (const char *)bytes));
    while (rest < end && *rest == ' ') rest++;
    if (rest == end) return true;
    cJSON_Delete(*root);
    return set_error(error, "text follows the JSON of its head at byte %zu: it is damaged",
                     (size_t)(rest - (const char *)bytes));
}

/* Moves the arrays of the entries to a list, and frees what is left of the entries. */
static bool take_arrays(struct entries *entries, const uint8_t *elements, struct arrays *arrays, struct error *error) {
    arrays->array = (struct array *)calloc(entries->count + 1, sizeof *arrays->array);
    for (size_t i = 0; i < entries->count && arrays->array; i++) {
        arrays->array[i] = entries->entry[i].array;
        arrays->array[i].bytes = elements + entries->entry[i].begin;
        entries->entry[i].array.name = NULL;
        entries->entry[i].array.shape = NULL;
        arrays->count++;
    }
    return arrays->array || set_error(error, "no memory for its %zu tensors", entries->count);
}

bool safetensors_read(const uint8_t *bytes, size_t size, struct arrays *arrays, struct error *error) {
    struct entries entries = {0, NULL};
    cJSON *root = NULL;
    size_t head_bytes = 0;
    memset(arrays, 0, sizeof *arrays);
    if (!parse_head(bytes, size, &head_bytes, &root, error)) return false;
    bool good = read_entries(root, &entries, error) && sort_entries(&entries, size - head_bytes, error) &&
                take_arrays(&entries, bytes + head_bytes, arrays, error);
    cJSON_Delete(root);
    for (size_t i = 0; i < entries.count; i++) {
        free(entries.entry[i].array.name);
        free(entries.entry[i].array.shape);
    }
    free(entries.entry);
    return good;
}

/* Adds tensor `array`, whose elements begin at byte `begin`, to the head. */
static bool add_entry(cJSON *root, const struct array *array, size_t begin) {
    cJSON *entry = cJSON_AddObjectToObject(root, array->name), *shape, *offsets;
    if (!entry || !cJSON_AddStringToObject(entry, "dtype", "F32")) return false;
    shape = cJSON_AddArrayToObject(entry, "shape");
    offsets = cJSON_AddArrayToObject(entry, "data_offsets");
    if (!shape || !offsets) return false;
    for (size_t i = 0; i < array->dimensions; i++)
        if (!cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)array->shape[i]))) return false;
    return cJSON_AddItemToArray(offsets, cJSON_CreateNumber((double)begin)) &&
           cJSON_AddItemToArray(offsets, cJSON_CreateNumber((double)(begin + 4 * array->count)));
}

uint8_t *safetensors_head(const struct arrays *like, size_t *size) {
    cJSON *root = cJSON_CreateObject();
    bool good = root != NULL;
    size_t begin = 0;
    for (size_t i = 0; i < like->count && good; begin += 4 * like->array[i++].count)
        good = add_entry(root, &like->array[i], begin);
    char *text = good ? cJSON_PrintUnformatted(root) : NULL;
    cJSON_Delete(root);
    if (!text) return NULL;
    size_t length = strlen(text), padded = (length + 7) / 8 * 8; /* the elements are aligned */
    uint8_t *head = (uint8_t *)malloc(START_BYTES + padded);
    if (head) {
        put_u64(head, padded);
        memset(head + START_BYTES, ' ', padded);
        memcpy(head + START_BYTES, text, length);
        *size = START_BYTES + padded;
    }
    cJSON_free(text);
    return head;
}
