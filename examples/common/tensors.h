/* A set of tensors: a net's parameters, its gradient, its momentum, or a codec's residuals. */
#ifndef EXAMPLES_TENSORS_H
#define EXAMPLES_TENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tensor {
    float *values; /* rows x columns, row-major; a part of `all` in struct tensors */
    size_t rows, columns;
    size_t whole[2]; /* If the rows are the vectors of a block-circulant matrix: its rows and columns. Else 0, 0. */
};

struct tensors {
    size_t count;
    struct tensor *tensor;
    size_t values; /* number of values in all tensors together */
    float *all;    /* the values of all tensors, one tensor after another */
};

/* A matrix as its factors: the sum over k < rank of u_k v_k^T. Rank 0 means that there are no factors. */
struct factors {
    size_t rank;
    const float *u; /* rank x rows */
    const float *v; /* rank x columns */
};

/* Creates `count` zeroed tensors; shapes[i] holds the rows and columns of tensor i. No tensor is circulant. Free the
 * result with tensors_free. */
struct tensors tensors_create(const size_t (*shapes)[2], size_t count);

/* Creates zeroed tensors of the same shapes as `model`. Free the result with tensors_free. */
struct tensors tensors_like(const struct tensors *model);

void tensors_free(struct tensors *tensors);

/* Returns a set that holds tensor `index` alone. The set uses the memory of `tensors` and must not be freed. */
struct tensors tensors_one(const struct tensors *tensors, size_t index);

/* Sets all values to zero. */
void tensors_clear(struct tensors *tensors);

/* Copies the values. Both sets must have the same shapes. */
void tensors_copy(struct tensors *to, const struct tensors *from);

/* Adds weight * from to the values. Both sets must have the same shapes. */
void tensors_add(struct tensors *to, float weight, const struct tensors *from);

/* Returns whether no value is NaN or infinite. */
bool tensors_finite(const struct tensors *tensors);

/* Returns the CRC-32 of the values' bits. Equal replicas have equal CRCs. */
uint32_t tensors_crc(const struct tensors *tensors);

#endif
