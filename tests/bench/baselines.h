/* Three compressors of the literature, to compare the codecs with, written from their definitions. Each function writes
 * what a receiver would decode and returns the bits of what would be sent, without heads and checksums. */
#ifndef DTC_TESTS_BENCH_BASELINES_H
#define DTC_TESTS_BENCH_BASELINES_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "examples/common/memory.h"

enum { TOPK_CHUNK = 4096, TOPK_PLACE_BITS = 12, TOPK_VALUE_BITS = 2, TOPK_LEVELS = 4, MINMAX_BLOCK = 512 };

/* ---- Top-k: SparseLoCo (Sarfi et al. 2025) --------------------------------------------------------------------- */

struct topk_entry {
    float value;
    size_t place;
};

static inline int topk_larger(const void *a, const void *b) {
    const struct topk_entry *x = (const struct topk_entry *)a, *y = (const struct topk_entry *)b;
    float p = fabsf(x->value), q = fabsf(y->value);
    return p != q ? (p < q) - (p > q) : (x->place > y->place) - (x->place < y->place);
}

static inline int topk_ascending(const void *a, const void *b) {
    float x = ((const struct topk_entry *)a)->value, y = ((const struct topk_entry *)b)->value;
    return (x > y) - (x < y);
}

/* Replaces ascending values by the nearest of four levels, which Lloyd's algorithm finds for these values. */
static inline void topk_quantize(struct topk_entry *entry, size_t count) {
    size_t end[TOPK_LEVELS + 1] = {0}, was[TOPK_LEVELS + 1];
    double level[TOPK_LEVELS] = {0};
    for (size_t i = 1; i <= TOPK_LEVELS; i++) end[i] = count * i / TOPK_LEVELS;
    do {
        memcpy(was, end, sizeof was);
        for (size_t l = 0; l < TOPK_LEVELS; l++) {
            double sum = 0;
            for (size_t i = end[l]; i < end[l + 1]; i++) sum += (double)entry[i].value;
            if (end[l + 1] > end[l]) level[l] = sum / (double)(end[l + 1] - end[l]);
        }
        for (size_t l = 1; l < TOPK_LEVELS; l++) {
            double middle = (level[l - 1] + level[l]) / 2;
            while (end[l] > end[l - 1] && (double)entry[end[l] - 1].value > middle) end[l]--;
            while (end[l] < end[l + 1] && (double)entry[end[l]].value <= middle) end[l]++;
        }
    } while (memcmp(was, end, sizeof was) != 0);
    for (size_t l = 0; l < TOPK_LEVELS; l++)
        for (size_t i = end[l]; i < end[l + 1]; i++) entry[i].value = (float)level[l];
}

/* Keeps the `kept` largest of every 4096 values, each as a place of 12 bits and one of four levels of the tensor. */
static inline double topk(const float *values, size_t count, float *decoded, int kept) {
    struct topk_entry *chunk = (struct topk_entry *)allocate(TOPK_CHUNK, sizeof *chunk);
    struct topk_entry *all = (struct topk_entry *)allocate(count, sizeof *all);
    size_t sent = 0;
    for (size_t first = 0; first < count; first += TOPK_CHUNK) {
        size_t n = count - first < TOPK_CHUNK ? count - first : TOPK_CHUNK;
        size_t keep = ((size_t)kept * n + TOPK_CHUNK - 1) / TOPK_CHUNK;
        for (size_t i = 0; i < n; i++) {
            chunk[i].value = values[first + i];
            chunk[i].place = first + i;
        }
        qsort(chunk, n, sizeof *chunk, topk_larger);
        memcpy(all + sent, chunk, keep * sizeof *chunk);
        sent += keep;
    }
    qsort(all, sent, sizeof *all, topk_ascending);
    topk_quantize(all, sent);
    memset(decoded, 0, count * sizeof *decoded);
    for (size_t i = 0; i < sent; i++) decoded[all[i].place] = all[i].value;
    free(chunk);
    free(all);
    return (double)sent * (TOPK_PLACE_BITS + TOPK_VALUE_BITS) + 32.0 * TOPK_LEVELS;
}

/* ---- Min-max quantization --------------------------------------------------------------------------------------- */

/* Rounds every value to a uniform grid from the least to the largest value of its block of 512. A block sends the two
 * as fp32. */
static inline double minmax(const float *values, size_t count, float *decoded, int bits) {
    const double steps = ldexp(1, bits) - 1;
    size_t blocks = 0;
    for (size_t first = 0; first < count; first += MINMAX_BLOCK, blocks++) {
        size_t end = count - first < MINMAX_BLOCK ? count : first + MINMAX_BLOCK;
        float low = values[first], high = values[first];
        for (size_t i = first; i < end; i++) {
            low = fminf(low, values[i]);
            high = fmaxf(high, values[i]);
        }
        double step = ((double)high - (double)low) / steps;
        for (size_t i = first; i < end; i++) {
            double bin = step > 0 ? floor(((double)values[i] - (double)low) / step + 0.5) : 0;
            decoded[i] = (float)((double)low + bin * step);
        }
    }
    return (double)count * bits + 64.0 * (double)blocks;
}

/* ---- EDEN (Vargaftik et al. 2022) -------------------------------------------------------------------------------- */

/* The quantizer of 2^bits levels with the least squared error of a standard normal value, by Lloyd's algorithm. */
static inline void eden_levels(double *level, int bits) {
    const int levels = 1 << bits;
    for (int l = 0; l < levels; l++) level[l] = 4.0 * (l + 0.5) / levels - 2;
    for (int turn = 0; turn < 10000; turn++) {
        double low_density = 0, low_mass = 0;
        for (int l = 0; l < levels; l++) {
            double border = l + 1 < levels ? (level[l] + level[l + 1]) / 2 : (double)INFINITY;
            double density = exp(-border * border / 2) / sqrt(6.283185307179586);
            double mass = erfc(-border / sqrt(2)) / 2;
            level[l] = (low_density - density) / (mass - low_mass); /* the mean between the two borders */
            low_density = density;
            low_mass = mass;
        }
    }
}

/* Multiplies 2^k values with the Hadamard matrix, divided by the root of their number. */
static inline void eden_hadamard(double *x, size_t count) {
    const double scale = 1 / sqrt((double)count);
    for (size_t half = 1; half < count; half *= 2)
        for (size_t i = 0; i < count; i += 2 * half)
            for (size_t j = i; j < i + half; j++) {
                double a = x[j], b = x[j + half];
                x[j] = a + b;
                x[j + half] = a - b;
            }
    for (size_t i = 0; i < count; i++) x[i] *= scale;
}

/* One sign a value. */
static inline void eden_signs(double *x, size_t count, uint64_t state) {
    for (size_t i = 0; i < count; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        if (state >> 63) x[i] = -x[i];
    }
}

/* One part, in place: rotates, rounds to the levels, and rotates back. */
static inline void eden_part(double *x, size_t count, const double *level, int bits, bool least) {
    double square = 0, product = 0, levels_square = 0;
    for (size_t i = 0; i < count; i++) square += x[i] * x[i];
    if (square == 0) return;
    eden_signs(x, count, count);
    eden_hadamard(x, count);
    const double normal = sqrt((double)count / square);
    for (size_t i = 0; i < count; i++) {
        int l = 0;
        while (l + 1 < 1 << bits && x[i] * normal > (level[l] + level[l + 1]) / 2) l++;
        product += x[i] * level[l];
        levels_square += level[l] * level[l];
        x[i] = level[l];
    }
    const float scale = (float)(least ? product / levels_square : square / product);
    for (size_t i = 0; i < count; i++) x[i] *= (double)scale;
    eden_hadamard(x, count);
    eden_signs(x, count, count);
}

/* The tensor is cut into parts whose sizes are powers of two, the largest first, so that nothing is filled up. A part
 * sends one of 2^bits levels a value, and its scale as fp32. The scale is the one without bias, or with `least` the one
 * of the least squared error. */
static inline double eden(const float *values, size_t count, float *decoded, int bits, bool least) {
    double *x = (double *)allocate(count, sizeof *x), level[16], sent = (double)count * bits;
    eden_levels(level, bits);
    for (size_t first = 0, size; first < count; first += size) {
        for (size = 1; size <= (count - first) / 2;) size *= 2;
        for (size_t i = 0; i < size; i++) x[i] = (double)values[first + i];
        eden_part(x, size, level, bits, least);
        for (size_t i = 0; i < size; i++) decoded[first + i] = (float)x[i];
        sent += 32;
    }
    free(x);
    return sent;
}

#endif /* DTC_TESTS_BENCH_BASELINES_H */
