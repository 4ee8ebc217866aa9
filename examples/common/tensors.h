/* A set of tensors: a net's parameters, its gradient, its momentum, a codec's residuals. */
#ifndef EXAMPLES_TENSORS_H
#define EXAMPLES_TENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tensor {
    float *values; /* rows x columns, row-major, inside `all` */
    size_t rows, columns;
    size_t whole[2]; /* rows and columns of the block-circulant matrix whose vectors its rows are; 0: of none */
};

struct tensors {
    size_t count;
    struct tensor *tensor;
    size_t values; /* of all tensors together */
    float *all;    /* the values of every tensor, one after the other */
};

/* Zeroed tensors of these shapes, none of them circulant: rows and columns of each in turn, count pairs. Free with
 * tensors_free. */
struct tensors tensors_create(const size_t (*shapes)[2], size_t count);

/* Zeroed tensors of the same shapes as `model`. Free with tensors_free. */
struct tensors tensors_like(const struct tensors *model);

void tensors_free(struct tensors *tensors);

/* Tensor `index` alone; the values are those of `tensors`. */
struct tensors tensors_one(const struct tensors *tensors, size_t index);

void tensors_clear(struct tensors *tensors);

/* Copies the values; the shapes must be the same. */
void tensors_copy(struct tensors *to, const struct tensors *from);

/* Whether no value is NaN or infinite. */
bool tensors_finite(const struct tensors *tensors);

/* CRC-32 of the values' bits: replicas that agree have the same. */
uint32_t tensors_crc(const struct tensors *tensors);

#endif
