/* The .safetensors format: 8 bytes with the size of a head, the head as JSON, and the elements of named tensors. */
#ifndef DTC_SAFETENSORS_H
#define DTC_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/error.h"
#include "array.h"

enum { SAFETENSORS_HEAD_LIMIT = 1 << 24 }; /* most bytes of a head: room for some 100000 tensors */

/* Finds the tensors of a .safetensors file of F16, BF16, F32 or F64, in the order of their elements in the file. They
 * point into `bytes`; free them with arrays_free. Nothing in the file is trusted: every byte of the elements must
 * belong to exactly one tensor. On failure there is nothing to free. */
bool safetensors_read(const uint8_t *bytes, size_t size, struct arrays *arrays, struct error *error);

/* Writes the head of a .safetensors file of F32 tensors with the names and shapes of `like`. Returns the head, which
 * the caller frees, and its size; the elements follow it in the same order. NULL: no memory. */
uint8_t *safetensors_head(const struct arrays *like, size_t *size);

#endif
