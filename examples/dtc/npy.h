/* The .npy format of NumPy, versions 1.0 to 3.0: one array of floats. */
#ifndef DTC_NPY_H
#define DTC_NPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/error.h"
#include "array.h"

/* Returns whether the bytes begin as every .npy file does. */
bool npy_begins(const uint8_t *bytes, size_t size);

/* Finds the array of a .npy file of float16, float32 or float64, in either byte order and in C or Fortran order. The
 * result is one array, which points into `bytes`; free it with arrays_free. Nothing in the file is trusted. On failure
 * there is nothing to free. */
bool npy_read(const uint8_t *bytes, size_t size, struct arrays *arrays, struct error *error);

/* Writes the head of a .npy file of little-endian float32 in C order. Returns the head, which the caller frees, and its
 * size; the elements follow it. NULL: no memory. */
char *npy_head(const size_t *shape, size_t dimensions, size_t *size);

#endif
