#include "npy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/bytes.h"

enum { MOST_DIMENSIONS = 64, START_BYTES = 10 }; /* NumPy allows 64 dimensions */

static const char magic[] = "\x93NUMPY";

/* The head's text, a Python dict such as {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }. */
struct head_text {
    const char *at, *end;
};

/* What the text says. */
struct head {
    char descr[16];
    bool fortran_order;
    size_t dimensions, shape[MOST_DIMENSIONS];
};

static void skip_blanks(struct head_text *text) {
    while (text->at < text->end && (*text->at == ' ' || *text->at == '\n' || *text->at == '\t')) text->at++;
}

/* Skips blanks and then `token`, if it stands there. */
static bool take_token(struct head_text *text, const char *token) {
    size_t length = strlen(token);
    skip_blanks(text);
    if ((size_t)(text->end - text->at) < length || memcmp(text->at, token, length) != 0) return false;
    text->at += length;
    return true;
}

/* Reads a string in either kind of quotes. Too long ones are refused, for no valid string is long. */
static bool take_string(struct head_text *text, char *string, size_t capacity) {
    skip_blanks(text);
    if (text->at == text->end || (*text->at != '\'' && *text->at != '"')) return false;
    char quote = *text->at++;
    size_t length = 0;
    for (; text->at < text->end && *text->at != quote; text->at++) {
        if (length + 1 == capacity || *text->at < ' ' || *text->at > '~') return false;
        string[length++] = *text->at;
    }
    string[length] = 0;
    return text->at++ < text->end;
}

/* Reads a size, which Python 2 may have ended by an L. */
static bool take_size(struct head_text *text, size_t *size) {
    skip_blanks(text);
    const char *first = text->at;
    for (*size = 0; text->at < text->end && *text->at >= '0' && *text->at <= '9'; text->at++) {
        size_t digit = (size_t)(*text->at - '0');
        if (*size > (SIZE_MAX - digit) / 10) return false;
        *size = 10 * *size + digit;
    }
    if (text->at == first) return false;
    take_token(text, "L");
    return true;
}

/* Reads a tuple of sizes: (), (3,), (3, 4). */
static bool take_shape(struct head_text *text, struct head *head, struct error *error) {
    head->dimensions = 0;
    if (!take_token(text, "(")) return set_error(error, "its shape is no tuple of sizes: save it again with NumPy");
    for (bool comma = true; !take_token(text, ")"); comma = take_token(text, ",")) {
        if (head->dimensions == MOST_DIMENSIONS)
            return set_error(error, "its shape has more than %d dimensions: reshape the array", MOST_DIMENSIONS);
        if (!comma || !take_size(text, &head->shape[head->dimensions++]))
            return set_error(error,
                             "dimension %zu of its shape is no size below 2^%zu: the head is damaged, save it again",
                             head->dimensions, 8 * sizeof(size_t));
    }
    return true;
}

/* Reads one "key: value" of the dict. *seen has a bit for each key that came before. */
static bool take_item(struct head_text *text, struct head *head, unsigned *seen, struct error *error) {
    static const char *const keys[] = {"descr", "fortran_order", "shape"};
    char key[16];
    unsigned number = 0;
    if (!take_string(text, key, sizeof key) || !take_token(text, ":"))
        return set_error(error, "its head is no dict of descr, fortran_order and shape: save it again with NumPy");
    while (number < 3 && strcmp(key, keys[number]) != 0) number++;
    if (number == 3) return set_error(error, "its head has an unknown key %s: save it again with NumPy", key);
    if (*seen >> number & 1) return set_error(error, "its head has the key %s twice: save it again with NumPy", key);
    *seen |= 1u << number;
    if (number == 0)
        return take_string(text, head->descr, sizeof head->descr) ||
               set_error(error, "its dtype is no plain type: use an array of float16, float32 or float64");
    if (number == 2) return take_shape(text, head, error);
    head->fortran_order = take_token(text, "True");
    return head->fortran_order || take_token(text, "False") ||
           set_error(error, "its fortran_order is neither True nor False: save it again with NumPy");
}

static bool parse_head(struct head_text text, struct head *head, struct error *error) {
    unsigned seen = 0;
    if (!take_token(&text, "{")) return set_error(error, "its head is no Python dict: save it again with NumPy");
    for (bool comma = true; !take_token(&text, "}"); comma = take_token(&text, ",")) {
        if (!comma) return set_error(error, "its head has no comma between two keys: save it again with NumPy");
        if (!take_item(&text, head, &seen, error)) return false;
    }
    skip_blanks(&text);
    if (text.at != text.end) return set_error(error, "text follows the dict of its head: save it again with NumPy");
    return seen == 7 || set_error(error, "its head lacks descr, fortran_order or shape: save it again with NumPy");
}

/* Finds the head's text after the magic string, the version and the length. */
static bool find_head(const uint8_t *bytes, size_t size, struct head_text *text, struct error *error) {
    size_t start = START_BYTES, length;
    if (!npy_begins(bytes, size)) return set_error(error, "does not begin as a .npy file does: is it of another kind?");
    if (size < START_BYTES + 2) return set_error(error, "truncated: %zu bytes are no .npy file: fetch it again", size);
    if (bytes[6] < 1 || bytes[6] > 3 || bytes[7] != 0)
        return set_error(error, "is of .npy version %d.%d, not 1.0, 2.0 or 3.0: save it again with NumPy", bytes[6],
                         bytes[7]);
    length = (size_t)(bytes[8] | bytes[9] << 8);
    if (bytes[6] > 1) {
        start += 2;
        length = get_u32(bytes + 8);
    }
    if (length > size - start)
        return set_error(error, "truncated: its head has %zu bytes, but %zu follow: fetch it again", length,
                         size - start);
    text->at = (const char *)bytes + start;
    text->end = text->at + length;
    return true;
}

static bool find_dtype(const char *descr, struct array *array, struct error *error) {
    static const char *const types[] = {"f2", "f4", "f8"};
    static const enum dtype dtypes[] = {DTYPE_F16, DTYPE_F32, DTYPE_F64};
    for (size_t i = 0; i < 3 && (descr[0] == '<' || descr[0] == '>'); i++) {
        if (strcmp(descr + 1, types[i]) != 0) continue;
        array->dtype = dtypes[i];
        array->big_endian = descr[0] == '>';
        return true;
    }
    return set_error(error, "its dtype is %s: convert it with astype('float32'); float16 and float64 are fine, too",
                     descr);
}

bool npy_begins(const uint8_t *bytes, size_t size) {
    return size >= 6 && memcmp(bytes, magic, 6) == 0;
}

bool npy_read(const uint8_t *bytes, size_t size, struct arrays *arrays, struct error *error) {
    struct head_text text;
    struct head head;
    struct array array;
    memset(arrays, 0, sizeof *arrays);
    memset(&head, 0, sizeof head);
    memset(&array, 0, sizeof array);
    if (!find_head(bytes, size, &text, error) || !parse_head(text, &head, error) ||
        !find_dtype(head.descr, &array, error))
        return false;
    size_t element_bytes = dtype_bytes(array.dtype), left = size - (size_t)((const uint8_t *)text.end - bytes);
    if (!shape_count(head.shape, head.dimensions, element_bytes, &array.count))
        return set_error(error, "its shape has more values than memory can hold: the head is damaged");
    if (array.count * element_bytes != left)
        return set_error(error, "its shape asks for %zu bytes of values, but %zu follow the head: fetch it again",
                         array.count * element_bytes, left);
    array.fortran_order = head.fortran_order;
    array.dimensions = head.dimensions;
    array.bytes = (const uint8_t *)text.end;
    array.shape = (size_t *)calloc(head.dimensions + 1, sizeof *array.shape);
    arrays->array = (struct array *)calloc(1, sizeof array);
    if (!array.shape || !arrays->array) {
        free(array.shape);
        free(arrays->array);
        arrays->array = NULL;
        return set_error(error, "no memory for its head");
    }
    memcpy(array.shape, head.shape, head.dimensions * sizeof *array.shape);
    arrays->array[0] = array;
    arrays->count = 1;
    return true;
}

char *npy_head(const size_t *shape, size_t dimensions, size_t *size) {
    size_t capacity = START_BYTES + 128 + 24 * dimensions, length = START_BYTES;
    char *head = (char *)malloc(capacity);
    if (!head) return NULL;
    length += (size_t)snprintf(head + length, capacity - length, "{'descr': '<f4', 'fortran_order': False, 'shape': (");
    for (size_t i = 0; i < dimensions; i++)
        length += (size_t)snprintf(head + length, capacity - length, i && dimensions > 1 ? ", %zu" : "%zu", shape[i]);
    length += (size_t)snprintf(head + length, capacity - length, dimensions == 1 ? ",), }" : "), }");
    while ((length + 1) % 64) head[length++] = ' '; /* the elements start at a multiple of 64 */
    head[length++] = '\n';
    memcpy(head, magic, 6);
    head[6] = 1;
    head[7] = 0;
    head[8] = (char)((length - START_BYTES) & 255);
    head[9] = (char)((length - START_BYTES) >> 8);
    *size = length;
    return head;
}
