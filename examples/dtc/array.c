#include "array.h"

#include <stdlib.h>
#include <string.h>

#include "../common/bytes.h"

size_t dtype_bytes(enum dtype dtype) {
    return dtype == DTYPE_F64 ? 8 : dtype == DTYPE_F32 ? 4 : 2;
}

bool shape_count(const size_t *shape, size_t dimensions, size_t element_bytes, size_t *count) {
    size_t product = 1;
    for (size_t i = 0; i < dimensions; i++)
        if (shape[i] == 0) {
            *count = 0;
            return true;
        }
    for (size_t i = 0; i < dimensions; i++) {
        if (shape[i] > SIZE_MAX / element_bytes / product) return false;
        product *= shape[i];
    }
    *count = product;
    return true;
}

size_t array_rows(const struct array *array) {
    return array->dimensions >= 2 && array->count ? array->shape[0] : 1;
}

static float float_of_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static float float_of_half(uint32_t half) {
    uint32_t sign = (half & 0x8000u) << 16, exponent = half >> 10 & 31, mantissa = half & 0x3ffu;
    if (exponent == 31) return float_of_bits(sign | 0x7f800000u | mantissa << 13);
    if (exponent) return float_of_bits(sign | (exponent + 112) << 23 | mantissa << 13);
    float value = (float)mantissa / 16777216.0f; /* a denormal is a multiple of 2^-24 */
    return sign ? -value : value;
}

/* Reads the element at `bytes`. */
static float element(const uint8_t *bytes, enum dtype dtype, bool big_endian) {
    uint8_t reversed[8];
    size_t size = dtype_bytes(dtype);
    if (big_endian) {
        for (size_t i = 0; i < size; i++) reversed[i] = bytes[size - 1 - i];
        bytes = reversed;
    }
    switch (dtype) {
    case DTYPE_F16:
        return float_of_half((uint32_t)(bytes[0] | bytes[1] << 8));
    case DTYPE_BF16:
        return float_of_bits((uint32_t)bytes[0] << 16 | (uint32_t)bytes[1] << 24);
    case DTYPE_F32:
        return get_f32(bytes);
    case DTYPE_F64:
        break;
    }
    return (float)get_f64(bytes);
}

/* Reads the elements in C order of an array whose first index runs fastest. */
static void reordered_floats(const struct array *array, float *values) {
    size_t size = dtype_bytes(array->dtype), last = array->dimensions - 1, outer = array->count / array->shape[last];
    size_t stride = outer * size; /* of the last index */
    for (size_t i = 0; i < outer; i++) {
        size_t rest = i, at = 0, place = outer;
        for (size_t d = last; d-- > 0;) { /* i counts the other indices in C order */
            place /= array->shape[d];
            at += rest % array->shape[d] * place;
            rest /= array->shape[d];
        }
        for (size_t j = 0; j < array->shape[last]; j++)
            *values++ = element(array->bytes + at * size + j * stride, array->dtype, array->big_endian);
    }
}

void array_floats(const struct array *array, float *values) {
    size_t size = dtype_bytes(array->dtype);
    if (array->count && array->fortran_order && array->dimensions >= 2)
        reordered_floats(array, values);
    else
        for (size_t i = 0; i < array->count; i++)
            values[i] = element(array->bytes + i * size, array->dtype, array->big_endian);
}

void arrays_free(struct arrays *arrays) {
    for (size_t i = 0; i < arrays->count; i++) {
        free(arrays->array[i].name);
        free(arrays->array[i].shape);
    }
    free(arrays->array);
    memset(arrays, 0, sizeof *arrays);
}
