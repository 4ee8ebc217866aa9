/* dtcodec_fft.h: circulant and block-circulant layers on their vectors alone, by real Fourier transforms.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the dtcodec authors
 *
 * Companion of dtcodec.h, whose circulant packets carry such layers.
 */

/* ====================================================================================================================
 * MANUAL
 * ====================================================================================================================
 *
 * A block-circulant matrix W of rows x columns has ceil(rows / block) x ceil(columns / block) circulant blocks. Each is
 * given by a vector c of `block` floats, W[i][j] = c[(i - j) mod block] within the block, so that a layer of n x n has
 * n parameters in place of n^2 and costs O(n log n). Blocks that reach beyond the matrix are cut off. The vectors stand
 * row by row: [ceil(rows / block)][ceil(columns / block)][block]. With one block that is as large as the matrix this is
 * the layer of Cheng et al. (An exploration of parameter redundancy in deep networks with circulant projections, ICCV
 * 2015) and Araujo et al. (Training compact deep learning models for video classification using circulant matrices,
 * 2018).
 *
 * FIRST USE
 *
 * In exactly one file of the program, linked with KissFFT (Debian: libkissfft-dev, -lkissfft-float):
 *
 *     #define DTCODEC_FFT_IMPLEMENTATION
 *     #include "dtcodec_fft.h"
 *
 * and in every other one the #include alone. (Or, with DTC_STATIC defined before it, in any file.) Then, for batches of
 * up to 64 samples:
 *
 *     size_t bytes = dtc_circulant_layer_bytes(rows, columns, block, 64);
 *     void *memory = malloc(bytes);
 *     dtc_circulant_layer *layer;
 *     dtc_status status = dtc_circulant_layer_open(&layer, memory, bytes, rows, columns, block, 64);
 *
 * and each step
 *
 *     dtc_circulant_layer_load(layer, vectors);
 *     dtc_circulant_forward(layer, outputs, inputs, batch);
 *     dtc_circulant_backward_inputs(layer, input_gradient, output_gradient, batch);
 *     dtc_circulant_backward_vectors(layer, vector_gradient, inputs, output_gradient, batch);
 *
 * The vectors of a circulant packet, from dtc_decode_circulant, are loaded in the same way: so a received matrix is
 * applied in O(n log n), without being written out. For a single product one call does it all, in scratch:
 *
 *     size_t need = dtc_fft_packet_matvec_scratch(packet, packet_bytes, 0);
 *     status = dtc_fft_packet_matvec(y, packet, packet_bytes, x, 0, scratch, need);
 *
 * With one block of 1024 x 1024 it is some 30 times as fast as dtc_packet_matvec, of 4096 x 4096 some 100 times.
 *
 * WHICH TRANSFORM
 *
 *     default                        KissFFT's library, <kissfft/kiss_fftr.h>: one sample at a time
 *     DTCODEC_FFT_KISSFFT_SOURCES    KissFFT's sources (its kiss_fft.c and kiss_fftr.c, on the include path), compiled
 *                                    here with a vector of floats as their scalar: one sample a lane, which is several
 *                                    times as fast from a few samples on. GCC and clang, where floats are computed as
 *                                    such (on 32-bit x86: -msse2 -mfpmath=sse). Nothing to link. A group of samples
 *                                    that does not fill the lanes costs as much as one that does.
 *     DTCODEC_FFT_LANES              floats of that vector, a power of two: 8 where the compiler may use AVX, else 4
 *     DTCODEC_FFT_FORWARD and other hooks
 *                                    any other library. All five or none, before the implementation; a plan is memory
 *                                    aligned to 64 bytes, `size` is even and has no prime factors but 2, 3 and 5:
 *
 *         DTCODEC_FFT_PLAN_BYTES(size)               bytes of a plan for real transforms of `size` values, both ways
 *         DTCODEC_FFT_PLAN_OPEN(plan, bytes, size)   makes it in the memory void *plan; 0: failed
 *         DTCODEC_FFT_PLAN_CLOSE(plan)               frees what that took elsewhere
 *         DTCODEC_FFT_FORWARD(plan, spectrum, values)    values[size] to spectrum[size / 2 + 1][re, im]
 *         DTCODEC_FFT_INVERSE(plan, values, spectrum)    the inverse, times size; may destroy the spectrum. Both are
 *                                    floats aligned to 64 bytes, and do not overlap
 *
 * CONTRACTS
 *
 *   - Nothing is allocated: a layer lives in the caller's memory, of any alignment. (What a hook's plan allocates,
 *     dtc_circulant_layer_close gives back; with KissFFT it need not be called.)
 *   - A layer is used by one thread at a time; several layers by several.
 *   - Floats are aligned as the compiler aligns them. Inputs and outputs must not overlap.
 *   - A sample's outputs do not depend on the others of its batch. Twiddle factors come from the C library, so that the
 *     last bits differ between platforms; errors are those of transforms in fp32, about 1e-7 of a result's norm.
 *   - NaN and infinity are computed with, as in any layer; they reach all outputs of their sample's block.
 */

#ifndef DTCODEC_FFT_H
#define DTCODEC_FFT_H

#include "dtcodec.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The smallest even 2^a 3^b 5^c that is no smaller than n: the sizes KissFFT is fast at. 0: there is none. */
DTC_API size_t dtc_fft_good_size(size_t n);

/* A layer: plans, its vectors' transforms, and room for a batch. */
typedef struct dtc_circulant_layer dtc_circulant_layer;

/* Bytes of memory for a layer that takes up to `batch` samples at a time. 0: not representable, or rows, columns or
 * batch are 0. */
DTC_API size_t dtc_circulant_layer_bytes(size_t rows, size_t columns, size_t block, size_t batch);

/* Makes a layer of rows x columns in `memory`, which must stay until the layer is used no more. Blocks of any size, 0
 * for max(rows, columns). A block that is a good size is transformed at that size, others within a good one that is at
 * least as large as the block's rows + columns - 1. *layer is NULL on failure.
 * Errors: ARGUMENT (a null pointer, or sizes of which dtc_circulant_layer_bytes is 0), SCRATCH (memory_bytes is less
 * than it says), LIMIT (the transform's library made no plan). */
DTC_API dtc_status dtc_circulant_layer_open(dtc_circulant_layer **layer, void *memory, size_t memory_bytes, size_t rows,
                                            size_t columns, size_t block, size_t batch);

/* Gives back what the hooks' plans took. The memory remains the caller's. NULL is ignored. */
DTC_API void dtc_circulant_layer_close(dtc_circulant_layer *layer);

/* Takes the vectors' transforms, which serve until the next load; the vectors themselves are not kept.
 * Errors: ARGUMENT. */
DTC_API dtc_status dtc_circulant_layer_load(dtc_circulant_layer *layer, const float *vectors);

/* outputs = inputs W^T: outputs is batch x rows, inputs batch x columns, row-major.
 * Errors: ARGUMENT (a null pointer, no vectors loaded, or more samples than the layer was opened for). */
DTC_API dtc_status dtc_circulant_forward(dtc_circulant_layer *layer, float *outputs, const float *inputs, size_t batch);

/* input_gradient = output_gradient W: batch x columns from batch x rows. Errors: as dtc_circulant_forward. */
DTC_API dtc_status dtc_circulant_backward_inputs(dtc_circulant_layer *layer, float *input_gradient,
                                                 const float *output_gradient, size_t batch);

/* The gradient by the vectors, shaped as they are, summed over the batch: each of its entries is the sum of the dense
 * gradient output_gradient^T inputs over the matrix entries that share it; 0 where all of them are cut off. Needs no
 * vectors loaded. Errors: as dtc_circulant_forward. */
DTC_API dtc_status dtc_circulant_backward_vectors(dtc_circulant_layer *layer, float *vector_gradient,
                                                  const float *inputs, const float *output_gradient, size_t batch);

/* Bytes of scratch that dtc_fft_packet_matvec needs; 0: it is no packet. */
DTC_API size_t dtc_fft_packet_matvec_scratch(const void *packet, size_t packet_bytes, int transposed);

/* y = W x, W being a packet's matrix, or y = W^T x if transposed, as dtc_packet_matvec of dtcodec.h, for packets of
 * every codec: circulant ones in O(n log n), where blocks are so large that it pays, else by that call. By transforms
 * it differs from that by some 1e-7 of y's norm, and where sums pass FLT_MAX y is infinite or NaN, not bounded. Takes
 * the vectors' transforms at every call: to multiply with one packet's matrix again and again, open a layer.
 * Errors: as dtc_packet_matvec, and LIMIT (the transform's library made no plan). y is untouched on failure. */
DTC_API dtc_status dtc_fft_packet_matvec(float *y, const void *packet, size_t packet_bytes, const float *x,
                                         int transposed, void *scratch, size_t scratch_bytes);

#ifdef __cplusplus
}
#endif

/* Users can stop reading here. */

#endif /* DTCODEC_FFT_H */

/* ====================================================================================================================
 * IMPLEMENTATION
 * ==================================================================================================================*/

#if (defined(DTCODEC_FFT_IMPLEMENTATION) || defined(DTC_STATIC)) && !defined(DTCI_FFT_IMPLEMENTED)
#define DTCI_FFT_IMPLEMENTED

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DTCI_FFT_FN static inline

#ifdef DTC_STATIC
#define DTCI_FFT_API static inline
#else
#define DTCI_FFT_API
#endif

#define DTCI_FFT_ALIGN    64u
#define DTCI_FFT_SIZE_MAX ((size_t)1 << 30) /* of a matrix's side, a block, a batch, a transform */

/* --------------------------------------------------------------------------------------------------------------------
 * The transform. dtci_fft_real is a float, or a vector of as many as there are lanes: samples transformed at once
 * ------------------------------------------------------------------------------------------------------------------*/

#if defined(DTCODEC_FFT_FORWARD)

#define DTCI_FFT_LANES 1u
typedef float dtci_fft_real;

DTCI_FFT_FN size_t dtci_fft_plan_bytes(size_t size) {
    (void)size; /* which a macro may not need, as other arguments */
    return DTCODEC_FFT_PLAN_BYTES(size);
}

DTCI_FFT_FN int dtci_fft_plan_open(void *plan, size_t bytes, size_t size) {
    (void)bytes;
    return DTCODEC_FFT_PLAN_OPEN(plan, bytes, size);
}

DTCI_FFT_FN void dtci_fft_plan_close(void *plan) {
    (void)plan;
    DTCODEC_FFT_PLAN_CLOSE(plan);
}

DTCI_FFT_FN void dtci_fft_forward(void *plan, dtci_fft_real *spectrum, const dtci_fft_real *values) {
    DTCODEC_FFT_FORWARD(plan, spectrum, values);
}

DTCI_FFT_FN void dtci_fft_inverse(void *plan, dtci_fft_real *values, dtci_fft_real *spectrum) {
    DTCODEC_FFT_INVERSE(plan, values, spectrum);
}

#else /* KissFFT */

#if defined(DTCODEC_FFT_KISSFFT_SOURCES)

#include <float.h>

/* 16: half precision is computed as such, too */
#if FLT_EVAL_METHOD != 0 && FLT_EVAL_METHOD != -1 && FLT_EVAL_METHOD != 16
#error "DTCODEC_FFT_KISSFFT_SOURCES needs floats that are computed as floats; on 32-bit x86: -msse2 -mfpmath=sse"
#endif

#if defined(KISS_FFT_H)
#error "with DTCODEC_FFT_KISSFFT_SOURCES, include dtcodec_fft.h before kiss_fft.h, whose types it makes of its own"
#endif

#if defined(DTCODEC_FFT_LANES)
#define DTCI_FFT_LANES DTCODEC_FFT_LANES
#elif defined(__AVX__)
#define DTCI_FFT_LANES 8u
#else
#define DTCI_FFT_LANES 4u
#endif

/* Aligned as a float is, because KissFFT lays its plans out without regard to more; it costs nothing where the data are
 * aligned. */
typedef float dtci_fft_real __attribute__((vector_size(4 * DTCI_FFT_LANES), aligned(4), may_alias));

static const dtci_fft_real dtci_fft_zero = {0};

/* KissFFT under names of its own, all static: its headers with names that declare as static, then its sources, whose
 * definitions inherit that. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wunknown-warning-option"
#pragma GCC diagnostic ignored "-Wold-style-declaration"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wcast-align"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wnewline-eof"

#pragma push_macro("ERROR")
#pragma push_macro("WARNING")
#pragma push_macro("INFO")
#pragma push_macro("DEBUG")
#pragma push_macro("STRINGIFY")
#pragma push_macro("TOSTRING")
#pragma push_macro("USE_SIMD")
#pragma push_macro("FIXED_POINT")
#undef ERROR
#undef WARNING
#undef INFO
#undef DEBUG
#undef STRINGIFY
#undef TOSTRING
#undef USE_SIMD
#undef FIXED_POINT

#define DTCI_FFT_STATIC         static __attribute__((unused))
#define kiss_fft_scalar         dtci_fft_real
#define kiss_fft_cpx            dtci_kiss_cpx
#define kiss_fft_state          dtci_kiss_state
#define kiss_fft_cfg            dtci_kiss_cfg
#define kiss_fftr_state         dtci_kissr_state
#define kiss_fftr_cfg           dtci_kissr_cfg
#define kiss_fft_alloc          DTCI_FFT_STATIC dtci_kiss_alloc
#define kiss_fft                DTCI_FFT_STATIC dtci_kiss
#define kiss_fft_stride         DTCI_FFT_STATIC dtci_kiss_stride
#define kiss_fft_cleanup        DTCI_FFT_STATIC dtci_kiss_cleanup
#define kiss_fft_next_fast_size DTCI_FFT_STATIC dtci_kiss_next_fast_size
#define kiss_fftr_alloc         DTCI_FFT_STATIC dtci_kissr_alloc
#define kiss_fftr               DTCI_FFT_STATIC dtci_kissr
#define kiss_fftri              DTCI_FFT_STATIC dtci_kissri
#define KISS_FFT_MALLOC(bytes)  NULL /* sizes that would need it are not used */
#define KISS_FFT_FREE(pointer)  ((void)(pointer))

#include "_kiss_fft_guts.h"
#include "kiss_fftr.h"

#undef kiss_fft_alloc
#undef kiss_fft
#undef kiss_fft_stride
#undef kiss_fft_cleanup
#undef kiss_fft_next_fast_size
#undef kiss_fftr_alloc
#undef kiss_fftr
#undef kiss_fftri
#define kiss_fft_alloc          dtci_kiss_alloc
#define kiss_fft                dtci_kiss
#define kiss_fft_stride         dtci_kiss_stride
#define kiss_fft_cleanup        dtci_kiss_cleanup
#define kiss_fft_next_fast_size dtci_kiss_next_fast_size
#define kiss_fftr_alloc         dtci_kissr_alloc
#define kiss_fftr               dtci_kissr
#define kiss_fftri              dtci_kissri

/* Where it takes a scalar to be a number; and nothing is printed. */
#undef HALF_OF
#undef kf_cexp
#undef KISS_FFT_ERROR
#define HALF_OF(x)          ((x)*0.5f)
#define kf_cexp(x, phase)   ((x)->r = _mm_set1_ps(cos(phase)), (x)->i = _mm_set1_ps(sin(phase)))
#define _mm_set1_ps(x)      ((float)(x) + dtci_fft_zero)
#define KISS_FFT_ERROR(...) ((void)0)

#include "kiss_fft.c"
#define USE_SIMD
#include "kiss_fftr.c"

#else

#include <kissfft/kiss_fftr.h>

#define DTCI_FFT_LANES 1u
typedef float dtci_fft_real;
typedef char dtci_assert_kiss_fft_scalar_is_float[sizeof(kiss_fft_scalar) == sizeof(float) ? 1 : -1];

#endif

/* A plan is this, followed by the memory of both. */
typedef struct dtci_fft_plan {
    kiss_fftr_cfg forward, inverse;
} dtci_fft_plan;

DTCI_FFT_FN size_t dtci_fft_kiss_bytes(size_t size, int inverse) {
    size_t bytes = 0;
    (void)kiss_fftr_alloc((int)size, inverse, NULL, &bytes);
    return (bytes + DTCI_FFT_ALIGN - 1) & ~(size_t)(DTCI_FFT_ALIGN - 1);
}

DTCI_FFT_FN size_t dtci_fft_plan_bytes(size_t size) {
    return DTCI_FFT_ALIGN + dtci_fft_kiss_bytes(size, 0) + dtci_fft_kiss_bytes(size, 1);
}

DTCI_FFT_FN int dtci_fft_plan_open(void *memory, size_t bytes, size_t size) {
    dtci_fft_plan *plan = (dtci_fft_plan *)memory;
    size_t forward = dtci_fft_kiss_bytes(size, 0), inverse = bytes - DTCI_FFT_ALIGN - forward;
    char *p = (char *)memory + DTCI_FFT_ALIGN;
    plan->inverse = kiss_fftr_alloc((int)size, 1, p + forward, &inverse);
    plan->forward = kiss_fftr_alloc((int)size, 0, p, &forward);
    return plan->forward && plan->inverse;
}

DTCI_FFT_FN void dtci_fft_plan_close(void *plan) {
    (void)plan;
}

DTCI_FFT_FN void dtci_fft_forward(void *plan, dtci_fft_real *spectrum, const dtci_fft_real *values) {
    kiss_fftr(((dtci_fft_plan *)plan)->forward, values, (kiss_fft_cpx *)spectrum);
}

DTCI_FFT_FN void dtci_fft_inverse(void *plan, dtci_fft_real *values, dtci_fft_real *spectrum) {
    kiss_fftri(((dtci_fft_plan *)plan)->inverse, (const kiss_fft_cpx *)spectrum, values);
}

#if defined(DTCODEC_FFT_KISSFFT_SOURCES)
/* As if it had never been there: a program may use KissFFT besides, in this file, too. */
#undef CHECK_OVERFLOW_OP
#undef C_ADD
#undef C_ADDTO
#undef C_FIXDIV
#undef C_MUL
#undef C_MULBYSCALAR
#undef C_SUB
#undef C_SUBFROM
#undef DEBUG
#undef ERROR
#undef HALF_OF
#undef INFO
#undef KISS_FFT_ALIGN_CHECK
#undef KISS_FFT_ALIGN_SIZE_UP
#undef KISS_FFT_API
#undef KISS_FFT_COS
#undef KISS_FFT_DEBUG
#undef KISS_FFT_ERROR
#undef KISS_FFT_FREE
#undef KISS_FFT_H
#undef KISS_FFT_INFO
#undef KISS_FFT_LOG_MSG
#undef KISS_FFT_MALLOC
#undef KISS_FFT_SIN
#undef KISS_FFT_TMP_ALLOC
#undef KISS_FFT_TMP_FREE
#undef KISS_FFT_WARNING
#undef KISS_FTR_H
#undef MAXFACTORS
#undef STRINGIFY
#undef S_MUL
#undef TOSTRING
#undef USE_SIMD
#undef WARNING
#undef _kiss_fft_guts_h
#undef _mm_set1_ps
#undef kf_cexp
#undef kiss_fft
#undef kiss_fft_alloc
#undef kiss_fft_cfg
#undef kiss_fft_cleanup
#undef kiss_fft_cpx
#undef kiss_fft_free
#undef kiss_fft_log_h
#undef kiss_fft_next_fast_size
#undef kiss_fft_scalar
#undef kiss_fft_state
#undef kiss_fft_stride
#undef kiss_fftr
#undef kiss_fftr_alloc
#undef kiss_fftr_cfg
#undef kiss_fftr_free
#undef kiss_fftr_next_fast_size_real
#undef kiss_fftr_state
#undef kiss_fftri
#undef pcpx
#pragma pop_macro("ERROR")
#pragma pop_macro("WARNING")
#pragma pop_macro("INFO")
#pragma pop_macro("DEBUG")
#pragma pop_macro("STRINGIFY")
#pragma pop_macro("TOSTRING")
#pragma pop_macro("USE_SIMD")
#pragma pop_macro("FIXED_POINT")
#pragma GCC diagnostic pop
#endif

#endif /* KissFFT */

/* --------------------------------------------------------------------------------------------------------------------
 * Layers
 * ------------------------------------------------------------------------------------------------------------------*/

struct dtc_circulant_layer {
    size_t rows, columns, block, batch;
    size_t block_rows, block_columns; /* blocks beneath each other, and side by side */
    size_t tall, wide;                /* of a block, what the matrix has at the most: the rest is cut off everywhere */
    size_t size, bins;                /* of a transform: reals, and complex numbers */
    size_t stride;                    /* from one spectrum to the next: 2 * bins, aligned */
    size_t plan_bytes, bytes;
    void *plan;
    float *spectra;         /* [block_rows][block_columns][2 * bins]: of the vectors, divided by size */
    dtci_fft_real *inputs;  /* [groups of lanes][block_columns][stride] */
    dtci_fft_real *outputs; /* [groups of lanes][block_rows][stride] */
    dtci_fft_real *sum;     /* [stride] */
    dtci_fft_real *values;  /* [size] */
    int loaded;
};

/* Where the layer's arrays stand in its memory. */
typedef struct dtci_fft_offsets {
    size_t plan, spectra, inputs, outputs, sum, values;
} dtci_fft_offsets;

DTCI_FFT_FN size_t dtci_fft_min(size_t a, size_t b) {
    return a < b ? a : b;
}

/* a * b, or SIZE_MAX where that is more. */
DTCI_FFT_FN size_t dtci_fft_times(size_t a, size_t b) {
    return b && a > SIZE_MAX / b ? SIZE_MAX : a * b;
}

/* Appends an aligned array to *total bytes, SIZE_MAX from the first one on that is too large, and returns where it
 * stands. */
DTCI_FFT_FN size_t dtci_fft_append(size_t *total, size_t bytes) {
    size_t at = *total, most = SIZE_MAX - DTCI_FFT_ALIGN;
    int fits = at <= most && bytes <= most - at;
    *total = fits ? (at + bytes + DTCI_FFT_ALIGN - 1) & ~(size_t)(DTCI_FFT_ALIGN - 1) : SIZE_MAX;
    return at;
}

DTCI_FFT_API size_t dtc_fft_good_size(size_t n) {
    uint64_t best = 0, fives, threes, m;
    if (n > DTCI_FFT_SIZE_MAX) return 0;
    for (fives = 2; fives <= 2 * DTCI_FFT_SIZE_MAX; fives *= 5) {
        for (threes = fives; threes <= 2 * DTCI_FFT_SIZE_MAX; threes *= 3) {
            for (m = threes; m < n;) m *= 2;
            if (!best || m < best) best = m;
        }
    }
    return (size_t)best;
}

/* The layer's sizes, and where its arrays will stand; 0: not representable. */
DTCI_FFT_FN int dtci_fft_shape(dtc_circulant_layer *layer, dtci_fft_offsets *at, size_t rows, size_t columns,
                               size_t block, size_t batch) {
    size_t groups, spectrum, total = 0;
    memset(layer, 0, sizeof *layer);
    if (!dtc_circulant_vector_count(rows, columns, block) || !batch) return 0;
    if (!block) block = rows > columns ? rows : columns;
    if (rows > DTCI_FFT_SIZE_MAX || columns > DTCI_FFT_SIZE_MAX || block > DTCI_FFT_SIZE_MAX ||
        batch > DTCI_FFT_SIZE_MAX)
        return 0;
    layer->rows = rows;
    layer->columns = columns;
    layer->block = block;
    layer->batch = batch;
    layer->block_rows = (rows + block - 1) / block;
    layer->block_columns = (columns + block - 1) / block;
    layer->tall = dtci_fft_min(rows, block);
    layer->wide = dtci_fft_min(columns, block);
    /* KissFFT allocates for a size of 2, so 4 at the least */
    layer->size = dtc_fft_good_size(layer->tall + layer->wide < 5 ? 4 : layer->tall + layer->wide - 1);
    if (block >= 4 && block <= layer->size && dtc_fft_good_size(block) == block) layer->size = block;
    /* so that sizes of plans and spectra, of less than 16 such arrays each, are no more than a size_t holds */
    if (!layer->size || layer->size > SIZE_MAX / 16 / sizeof(dtci_fft_real)) return 0;
    layer->bins = layer->size / 2 + 1;
    layer->plan_bytes = dtci_fft_plan_bytes(layer->size);
    groups = (batch + DTCI_FFT_LANES - 1) / DTCI_FFT_LANES;
    spectrum = 2 * layer->bins * sizeof(dtci_fft_real);
    spectrum = (spectrum + DTCI_FFT_ALIGN - 1) & ~(size_t)(DTCI_FFT_ALIGN - 1);
    layer->stride = spectrum / sizeof(dtci_fft_real);
    (void)dtci_fft_append(&total, sizeof *layer);
    at->plan = dtci_fft_append(&total, layer->plan_bytes);
    at->spectra = dtci_fft_append(&total, dtci_fft_times(dtci_fft_times(layer->block_rows, layer->block_columns),
                                                         2 * layer->bins * sizeof(float)));
    at->inputs = dtci_fft_append(&total, dtci_fft_times(dtci_fft_times(groups, layer->block_columns), spectrum));
    at->outputs = dtci_fft_append(&total, dtci_fft_times(dtci_fft_times(groups, layer->block_rows), spectrum));
    at->sum = dtci_fft_append(&total, spectrum);
    at->values = dtci_fft_append(&total, layer->size * sizeof(dtci_fft_real));
    layer->bytes = total;
    return total < SIZE_MAX - DTCI_FFT_ALIGN;
}

DTCI_FFT_API size_t dtc_circulant_layer_bytes(size_t rows, size_t columns, size_t block, size_t batch) {
    dtc_circulant_layer layer;
    dtci_fft_offsets at;
    return dtci_fft_shape(&layer, &at, rows, columns, block, batch) ? layer.bytes + DTCI_FFT_ALIGN - 1 : 0;
}

DTCI_FFT_API dtc_status dtc_circulant_layer_open(dtc_circulant_layer **layer, void *memory, size_t memory_bytes,
                                                 size_t rows, size_t columns, size_t block, size_t batch) {
    dtc_circulant_layer shape;
    dtci_fft_offsets at;
    char *p;
    if (layer) *layer = NULL;
    if (!layer || !memory || !dtci_fft_shape(&shape, &at, rows, columns, block, batch)) return DTC_ERROR_ARGUMENT;
    if (memory_bytes < shape.bytes + DTCI_FFT_ALIGN - 1) return DTC_ERROR_SCRATCH;
    p = (char *)memory + (size_t)(0 - (uintptr_t)memory) % DTCI_FFT_ALIGN;
    shape.plan = p + at.plan;
    shape.spectra = (float *)(void *)(p + at.spectra);
    shape.inputs = (dtci_fft_real *)(void *)(p + at.inputs);
    shape.outputs = (dtci_fft_real *)(void *)(p + at.outputs);
    shape.sum = (dtci_fft_real *)(void *)(p + at.sum);
    shape.values = (dtci_fft_real *)(void *)(p + at.values);
    if (!dtci_fft_plan_open(shape.plan, shape.plan_bytes, shape.size)) return DTC_ERROR_LIMIT;
    *layer = (dtc_circulant_layer *)(void *)p;
    **layer = shape;
    return DTC_OK;
}

DTCI_FFT_API void dtc_circulant_layer_close(dtc_circulant_layer *layer) {
    if (layer) dtci_fft_plan_close(layer->plan);
}

/* The transforms of the blocks of n samples' rows of `width` values each, as [blocks][stride], a sample a lane;
 * lanes without a sample are zero. */
DTCI_FFT_FN void dtci_fft_analyze(dtc_circulant_layer *layer, dtci_fft_real *spectra, const float *samples,
                                  size_t width, size_t n) {
    size_t first, i, lane;
    for (first = 0; first < width; first += layer->block) {
        size_t used = dtci_fft_min(layer->block, width - first);
        float *to = (float *)layer->values;
        if (n < DTCI_FFT_LANES) memset(to, 0, used * sizeof(dtci_fft_real));
        if (n == DTCI_FFT_LANES) /* as below, for a compiler that unrolls it */
            for (i = 0; i < used; i++)
                for (lane = 0; lane < DTCI_FFT_LANES; lane++)
                    to[i * DTCI_FFT_LANES + lane] = samples[lane * width + first + i];
        else
            for (i = 0; i < used; i++)
                for (lane = 0; lane < n; lane++) to[i * DTCI_FFT_LANES + lane] = samples[lane * width + first + i];
        memset(to + used * DTCI_FFT_LANES, 0, (layer->size - used) * sizeof(dtci_fft_real));
        dtci_fft_forward(layer->plan, spectra, layer->values);
        spectra += layer->stride;
    }
}

/* What is in layer->sum becomes the block that begins at `first` of n samples' rows. */
DTCI_FFT_FN void dtci_fft_synthesize(dtc_circulant_layer *layer, float *samples, size_t width, size_t first, size_t n) {
    size_t used = dtci_fft_min(layer->block, width - first), i, lane;
    const float *from = (const float *)layer->values;
    dtci_fft_inverse(layer->plan, layer->values, layer->sum);
    if (n == DTCI_FFT_LANES)
        for (i = 0; i < used; i++)
            for (lane = 0; lane < DTCI_FFT_LANES; lane++)
                samples[lane * width + first + i] = from[i * DTCI_FFT_LANES + lane];
    else
        for (i = 0; i < used; i++)
            for (lane = 0; lane < n; lane++) samples[lane * width + first + i] = from[i * DTCI_FFT_LANES + lane];
}

/* layer->sum = the sum over n blocks of their vector's transform, conjugated if sign is -1, times what they act on. The
 * vectors' transforms are `stride` floats apart. */
DTCI_FFT_FN void dtci_fft_accumulate(dtc_circulant_layer *layer, const float *vectors, size_t stride,
                                     const dtci_fft_real *operands, size_t n, float sign) {
    size_t k, i;
    for (k = 0; k < 2 * layer->bins; k += 2) {
        const float *c = vectors + k;
        const dtci_fft_real *x = operands + k;
        dtci_fft_real re = c[0] * x[0] - sign * c[1] * x[1], im = c[0] * x[1] + sign * c[1] * x[0];
        for (i = 1; i < n; i++) {
            c += stride;
            x += layer->stride;
            re += c[0] * x[0] - sign * c[1] * x[1];
            im += c[0] * x[1] + sign * c[1] * x[0];
        }
        layer->sum[k] = re;
        layer->sum[k + 1] = im;
    }
}

DTCI_FFT_FN int dtci_fft_usable(const dtc_circulant_layer *layer, const void *to, const void *from, size_t batch) {
    return layer && batch <= layer->batch && ((to && from) || !batch);
}

DTCI_FFT_API dtc_status dtc_circulant_layer_load(dtc_circulant_layer *layer, const float *vectors) {
    size_t count, block, first, n, lane, d, k;
    float *values, *to, scale;
    if (!layer || !vectors) return DTC_ERROR_ARGUMENT;
    count = layer->block_rows * layer->block_columns;
    block = layer->block;
    values = (float *)layer->values;
    to = layer->spectra;
    scale = 1.0f / (float)layer->size;
    for (first = 0; first < count; first += n) {
        n = dtci_fft_min(count - first, DTCI_FFT_LANES);
        /* The circulant is laid into a larger one: what lies above the diagonal moves to that one's end. Where sizes
         * are equal, it is the same place. */
        memset(values, 0, layer->size * sizeof(dtci_fft_real));
        for (lane = 0; lane < n; lane++) {
            for (d = 0; d < layer->tall; d++) values[d * DTCI_FFT_LANES + lane] = vectors[d];
            for (d = block + 1 - layer->wide; d < block; d++)
                values[(layer->size + d - block) * DTCI_FFT_LANES + lane] = vectors[d];
            vectors += block;
        }
        dtci_fft_forward(layer->plan, layer->sum, layer->values);
        for (lane = 0; lane < n; lane++)
            for (k = 0; k < 2 * layer->bins; k++)
                *to++ = ((const float *)layer->sum)[k * DTCI_FFT_LANES + lane] * scale;
    }
    layer->loaded = 1;
    return DTC_OK;
}

DTCI_FFT_API dtc_status dtc_circulant_forward(dtc_circulant_layer *layer, float *outputs, const float *inputs,
                                              size_t batch) {
    size_t first, n, p, stride;
    if (!dtci_fft_usable(layer, outputs, inputs, batch) || !layer->loaded) return DTC_ERROR_ARGUMENT;
    stride = 2 * layer->bins;
    for (first = 0; first < batch; first += n) {
        n = dtci_fft_min(batch - first, DTCI_FFT_LANES);
        dtci_fft_analyze(layer, layer->inputs, inputs + first * layer->columns, layer->columns, n);
        for (p = 0; p < layer->block_rows; p++) {
            dtci_fft_accumulate(layer, layer->spectra + p * layer->block_columns * stride, stride, layer->inputs,
                                layer->block_columns, 1);
            dtci_fft_synthesize(layer, outputs + first * layer->rows, layer->rows, p * layer->block, n);
        }
    }
    return DTC_OK;
}

DTCI_FFT_API dtc_status dtc_circulant_backward_inputs(dtc_circulant_layer *layer, float *input_gradient,
                                                      const float *output_gradient, size_t batch) {
    size_t first, n, q, stride;
    if (!dtci_fft_usable(layer, input_gradient, output_gradient, batch) || !layer->loaded) return DTC_ERROR_ARGUMENT;
    stride = 2 * layer->bins;
    for (first = 0; first < batch; first += n) {
        n = dtci_fft_min(batch - first, DTCI_FFT_LANES);
        dtci_fft_analyze(layer, layer->outputs, output_gradient + first * layer->rows, layer->rows, n);
        for (q = 0; q < layer->block_columns; q++) {
            dtci_fft_accumulate(layer, layer->spectra + q * stride, layer->block_columns * stride, layer->outputs,
                                layer->block_rows, -1);
            dtci_fft_synthesize(layer, input_gradient + first * layer->columns, layer->columns, q * layer->block, n);
        }
    }
    return DTC_OK;
}

/* The spectrum of one block's gradient, summed over samples, into one lane of layer->sum. */
DTCI_FFT_FN void dtci_fft_correlate(dtc_circulant_layer *layer, size_t lane, size_t p, size_t q, size_t groups) {
    size_t stride = layer->stride, k, g, i;
    float *sum = (float *)layer->sum + lane;
    for (k = 0; k < 2 * layer->bins; k += 2) {
        const dtci_fft_real *x = layer->inputs + q * stride + k, *y = layer->outputs + p * stride + k;
        dtci_fft_real total[2];
        float re = 0, im = 0;
        total[0] = x[0] * y[0] + x[1] * y[1];
        total[1] = x[0] * y[1] - x[1] * y[0];
        for (g = 1; g < groups; g++) {
            x += layer->block_columns * stride;
            y += layer->block_rows * stride;
            total[0] += x[0] * y[0] + x[1] * y[1];
            total[1] += x[0] * y[1] - x[1] * y[0];
        }
        for (i = 0; i < DTCI_FFT_LANES; i++) {
            re += ((const float *)&total[0])[i];
            im += ((const float *)&total[1])[i];
        }
        sum[k * DTCI_FFT_LANES] = re;
        sum[(k + 1) * DTCI_FFT_LANES] = im;
    }
}

DTCI_FFT_API dtc_status dtc_circulant_backward_vectors(dtc_circulant_layer *layer, float *vector_gradient,
                                                       const float *inputs, const float *output_gradient,
                                                       size_t batch) {
    size_t count, block, size, groups, first, n, lane, d, g;
    const float *values;
    float scale;
    if (!dtci_fft_usable(layer, inputs, output_gradient, batch) || !vector_gradient) return DTC_ERROR_ARGUMENT;
    count = layer->block_rows * layer->block_columns;
    block = layer->block;
    size = layer->size;
    scale = 1.0f / (float)size;
    groups = (batch + DTCI_FFT_LANES - 1) / DTCI_FFT_LANES;
    if (!batch) memset(vector_gradient, 0, count * block * sizeof(float));
    if (!batch) return DTC_OK;
    for (g = 0; g < groups; g++) {
        first = g * DTCI_FFT_LANES;
        n = dtci_fft_min(batch - first, DTCI_FFT_LANES);
        dtci_fft_analyze(layer, layer->inputs + g * layer->block_columns * layer->stride,
                         inputs + first * layer->columns, layer->columns, n);
        dtci_fft_analyze(layer, layer->outputs + g * layer->block_rows * layer->stride,
                         output_gradient + first * layer->rows, layer->rows, n);
    }
    for (first = 0; first < count; first += n) {
        n = dtci_fft_min(count - first, DTCI_FFT_LANES);
        if (n < DTCI_FFT_LANES) memset(layer->sum, 0, layer->stride * sizeof(dtci_fft_real));
        for (lane = 0; lane < n; lane++)
            dtci_fft_correlate(layer, lane, (first + lane) / layer->block_columns,
                               (first + lane) % layer->block_columns, groups);
        dtci_fft_inverse(layer->plan, layer->values, layer->sum);
        values = (const float *)layer->values;
        for (lane = 0; lane < n; lane++) { /* back from where load laid the vector out */
            size_t p = (first + lane) / layer->block_columns, q = (first + lane) % layer->block_columns;
            size_t tall = dtci_fft_min(block, layer->rows - p * block);
            size_t wide = dtci_fft_min(block, layer->columns - q * block);
            for (d = 0; d < block; d++) {
                int low = d < tall;
                int high = d + wide > block;
                float sum = low ? values[d * DTCI_FFT_LANES + lane] : 0;
                if (high && !(low && size == block)) sum += values[(size + d - block) * DTCI_FFT_LANES + lane];
                *vector_gradient++ = sum * scale;
            }
        }
    }
    return DTC_OK;
}

/* --------------------------------------------------------------------------------------------------------------------
 * Packets
 * ------------------------------------------------------------------------------------------------------------------*/

/* Bytes of scratch that multiplying a packet's matrix by transforms takes, and of those what holds the vectors. 0: only
 * dtc_packet_matvec can do it, or is no slower: transforming a value takes as long as eight products, as measured. */
DTCI_FFT_FN size_t dtci_fft_packet_scratch(dtc_info *info, size_t *vectors, const void *packet, size_t packet_bytes) {
    dtc_circulant_layer layer;
    dtci_fft_offsets at;
    size_t work, total = 0;
    if (dtc_inspect(packet, packet_bytes, info) != DTC_OK || info->packet_bytes != packet_bytes) return 0;
    if (info->codec != DTC_CIRCULANT || !dtci_fft_shape(&layer, &at, info->rows, info->columns, info->spec.block, 1))
        return 0;
    if (info->count / 8 / (layer.block_rows + 1) / (layer.block_columns + 1) < layer.size) return 0;
    work = layer.bytes + DTCI_FFT_ALIGN - 1;
    (void)dtci_fft_append(&total, layer.block_rows * layer.block_columns * layer.block * sizeof(float));
    *vectors = total;
    (void)dtci_fft_append(&total, work > info->decode_scratch ? work : info->decode_scratch);
    return total < SIZE_MAX - DTCI_FFT_ALIGN ? total + DTCI_FFT_ALIGN - 1 : 0;
}

DTCI_FFT_API size_t dtc_fft_packet_matvec_scratch(const void *packet, size_t packet_bytes, int transposed) {
    dtc_info info;
    size_t vectors, need = dtci_fft_packet_scratch(&info, &vectors, packet, packet_bytes);
    return need ? need : dtc_packet_matvec_scratch(packet, packet_bytes, transposed);
}

DTCI_FFT_API dtc_status dtc_fft_packet_matvec(float *y, const void *packet, size_t packet_bytes, const float *x,
                                              int transposed, void *scratch, size_t scratch_bytes) {
    dtc_info info;
    dtc_circulant_layer *layer = NULL;
    size_t bytes, need = dtci_fft_packet_scratch(&info, &bytes, packet, packet_bytes);
    dtc_status status;
    float *vectors;
    char *work; /* decoding's, then the layer's */
    if (!need) return dtc_packet_matvec(y, packet, packet_bytes, x, transposed, scratch, scratch_bytes);
    if (!x || !y) return DTC_ERROR_ARGUMENT;
    if (need > (scratch ? scratch_bytes : 0)) return DTC_ERROR_SCRATCH;
    work = (char *)scratch + (size_t)(0 - (uintptr_t)scratch) % DTCI_FFT_ALIGN;
    vectors = (float *)(void *)work;
    work += bytes;
    need -= bytes + DTCI_FFT_ALIGN - 1;
    status = dtc_decode_circulant(vectors, dtc_circulant_vector_count(info.rows, info.columns, info.spec.block), packet,
                                  packet_bytes, NULL, work, need);
    if (status == DTC_OK)
        status = dtc_circulant_layer_open(&layer, work, need, info.rows, info.columns, info.spec.block, 1);
    if (status == DTC_OK) status = dtc_circulant_layer_load(layer, vectors);
    if (status == DTC_OK)
        status = transposed ? dtc_circulant_backward_inputs(layer, y, x, 1) : dtc_circulant_forward(layer, y, x, 1);
    dtc_circulant_layer_close(layer);
    return status;
}

#ifdef __cplusplus
}
#endif

/* Nothing internal is left behind but the mark that the implementation was there. */
#undef DTCI_FFT_ALIGN
#undef DTCI_FFT_API
#undef DTCI_FFT_FN
#undef DTCI_FFT_LANES
#undef DTCI_FFT_SIZE_MAX
#undef DTCI_FFT_STATIC

#endif /* implementation */
