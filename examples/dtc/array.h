/* Arrays of floats as a file holds them: views of its bytes, which become fp32 on demand. */
#ifndef DTC_ARRAY_H
#define DTC_ARRAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The types of elements: IEEE binary16, the upper half of a binary32, binary32 and binary64. */
enum dtype { DTYPE_F16, DTYPE_BF16, DTYPE_F32, DTYPE_F64 };

struct array {
    char *name; /* of a tensor in .safetensors; NULL: it has none */
    enum dtype dtype;
    bool big_endian;
    bool fortran_order; /* the first index runs fastest in the file */
    size_t dimensions;
    size_t *shape;        /* `dimensions` sizes; NULL if there are none, for a single number */
    size_t count;         /* product of the shape */
    const uint8_t *bytes; /* the elements, within the bytes of the file */
};

/* The arrays of one file, in the order of their bytes. */
struct arrays {
    size_t count;
    struct array *array;
};

/* Returns the bytes of one element. */
size_t dtype_bytes(enum dtype dtype);

/* Sets *count to the product of a shape. Returns false if it, times `element_bytes`, is more than a size_t holds. */
bool shape_count(const size_t *shape, size_t dimensions, size_t element_bytes, size_t *count);

/* Returns the rows of an array as a matrix: its first dimension, or 1 if it has fewer than two dimensions or no
 * elements. */
size_t array_rows(const struct array *array);

/* Writes the elements to values[0..count) in C order (the last index runs fastest), as fp32. A binary64 is rounded, and
 * becomes infinite beyond the range of fp32. */
void array_floats(const struct array *array, float *values);

/* Frees names, shapes and the list, but not the bytes of the file. */
void arrays_free(struct arrays *arrays);

#endif
