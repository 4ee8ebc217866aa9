/* Values for the benchmarks, the same in every run: Gaussian, Laplace, and the gradient of an embedding. */
#ifndef DTC_TESTS_BENCH_DATA_H
#define DTC_TESTS_BENCH_DATA_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "examples/common/memory.h"

/* The rows of an embedding: GPT-2's vocabulary, which is a prime number. A batch has EMBEDDING_TOKENS tokens. */
enum { EMBEDDING_ROWS = 50257, EMBEDDING_COLUMNS = 64, EMBEDDING_TOKENS = 4096 };

/* Returns a number in (0, 1). */
static inline double uniform(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return ((double)(*state >> 11) + 0.5) / 9007199254740992.0;
}

/* Box and Muller. A sum of twelve uniform numbers would have no tail. */
static inline double gaussian(uint64_t *state) {
    double radius = sqrt(-2 * log(uniform(state)));
    return radius * cos(6.283185307179586 * uniform(state));
}

static inline float *gaussian_values(size_t count) {
    float *values = (float *)allocate(count, sizeof(float));
    uint64_t state = 1;
    for (size_t i = 0; i < count; i++) values[i] = (float)gaussian(&state);
    return values;
}

static inline float *laplace_values(size_t count) {
    float *values = (float *)allocate(count, sizeof(float));
    uint64_t state = 2;
    for (size_t i = 0; i < count; i++) {
        double u = uniform(&state) - 0.5;
        values[i] = (float)(u < 0 ? log1p(2 * u) : -log1p(-2 * u));
    }
    return values;
}

/* The gradient of an embedding of EMBEDDING_ROWS x EMBEDDING_COLUMNS. The tokens of the batch are drawn from Zipf's
 * law: the token of rank r has a probability in proportion to 1 / r. Each token adds a vector of Gaussian values to its
 * row, and the rows of tokens that do not occur stay zero. */
static inline float *embedding_gradient(void) {
    float *values = (float *)allocate((size_t)EMBEDDING_ROWS * EMBEDDING_COLUMNS, sizeof(float));
    double *below = (double *)allocate(EMBEDDING_ROWS + 1, sizeof(double)); /* sum of 1 / r over the ranks before */
    uint64_t state = 3;
    for (size_t r = 0; r < EMBEDDING_ROWS; r++) below[r + 1] = below[r] + 1.0 / (double)(r + 1);
    for (size_t token = 0; token < EMBEDDING_TOKENS; token++) {
        double at = uniform(&state) * below[EMBEDDING_ROWS];
        size_t low = 0, high = EMBEDDING_ROWS;
        while (high - low > 1) {
            size_t middle = (low + high) / 2;
            *(below[middle] <= at ? &low : &high) = middle;
        }
        /* the rows of frequent tokens are no neighbours */
        float *row = values + low * 31337 % EMBEDDING_ROWS * EMBEDDING_COLUMNS;
        for (size_t c = 0; c < EMBEDDING_COLUMNS; c++) row[c] += (float)gaussian(&state);
    }
    free(below);
    return values;
}

#endif /* DTC_TESTS_BENCH_DATA_H */
