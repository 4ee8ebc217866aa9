/* dtcodec_fft.h: circulant and block-circulant layers, computed on their vectors by real Fourier transforms.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the dtcodec authors
 *
 * The header is a companion of dtcodec.h: the circulant packets of dtcodec.h carry the vectors of such layers.
 *
 * CONTENTS
 *
 *     Manual              matrices, first use, choice of the transform, contracts
 *     Declarations        layers, products with packets
 *     Implementation      present with DTCODEC_FFT_IMPLEMENTATION or DTC_STATIC only:
 *         Transform       hooks, KissFFT's sources, KissFFT's library
 *         Layers
 *         Packets
 */

/* ====================================================================================================================
 * MANUAL
 * ====================================================================================================================
 *
 * MATRICES
 *
 * A block-circulant matrix W of rows x columns is cut into ceil(rows / block) x ceil(columns / block) square blocks.
 * Blocks at the right and the lower border may reach beyond the matrix; W has only their part inside. Each block is
 * given by a vector c of `block` floats: element (i, j) of the block is c[(i - j) mod block]. The vectors are one array
 * [ceil(rows / block)][ceil(columns / block)][block].
 *
 * A layer of n x n with one block has n parameters in place of n^2, and a product with it costs O(n log n). Such layers
 * are those of Cheng et al. (An exploration of parameter redundancy in deep networks with circulant projections, ICCV
 * 2015) and Araujo et al. (Training compact deep learning models for video classification using circulant matrices,
 * 2018).
 *
 * FIRST USE
 *
 * Exactly one file of the program defines DTCODEC_FFT_IMPLEMENTATION before it includes the header:
 *
 *     #define DTCODEC_FFT_IMPLEMENTATION
 *     #include "dtcodec_fft.h"
 *
 * Every other file includes the header without that macro. Instead of this, any file may define DTC_STATIC before the
 * include; the file then has a static copy of all functions. The program is linked with KissFFT (Debian:
 * libkissfft-dev, -lkissfft-float).
 *
 * A program opens a layer once, here for batches of up to 64 samples:
 *
 *     size_t bytes = dtc_circulant_layer_bytes(rows, columns, block, 64);
 *     void *memory = malloc(bytes);
 *     dtc_circulant_layer *layer;
 *     dtc_status status = dtc_circulant_layer_open(&layer, memory, bytes, rows, columns, block, 64);
 *
 * In each step it loads the vectors and computes:
 *
 *     dtc_circulant_layer_load(layer, vectors);
 *     dtc_circulant_forward(layer, outputs, inputs, batch);
 *     dtc_circulant_backward_inputs(layer, input_gradient, output_gradient, batch);
 *     dtc_circulant_backward_vectors(layer, vector_gradient, inputs, output_gradient, batch);
 *
 * The vectors may come from a circulant packet (dtc_decode_circulant). The matrix of the packet is then multiplied in
 * O(n log n) without being written out. One call multiplies the matrix of a packet with one vector, in scratch:
 *
 *     size_t need = dtc_fft_packet_matvec_scratch(packet, packet_bytes, 0);
 *     status = dtc_fft_packet_matvec(y, packet, packet_bytes, x, 0, scratch, need);
 *
 * This call is about 30 times as fast as dtc_packet_matvec with one block of 1024 x 1024, and about 100 times with one
 * block of 4096 x 4096.
 *
 * CHOICE OF THE TRANSFORM
 *
 * By default the header uses the library of KissFFT, <kissfft/kiss_fftr.h>, which transforms one sample at a time. The
 * following macros, defined before the implementation, choose another transform:
 *
 *     DTCODEC_FFT_KISSFFT_SOURCES    compiles the sources of KissFFT (kiss_fft.c and kiss_fftr.c, on the include path)
 *                                    in this file, with a vector of floats as their scalar. Each lane of the vector is
 *                                    one sample. From a few samples on this is several times as fast as the library. A
 *                                    group of samples that does not fill the lanes costs as much as a full group. The
 *                                    macro needs GCC or clang, and floats that are computed as floats (on 32-bit x86:
 *                                    -msse2 -mfpmath=sse). The program is not linked with KissFFT.
 *     DTCODEC_FFT_LANES              number of lanes with DTCODEC_FFT_KISSFFT_SOURCES, a power of two. Default: 8 if
 *                                    the compiler may use AVX, else 4.
 *     DTCODEC_FFT_PLAN_BYTES(size)
 *     DTCODEC_FFT_PLAN_OPEN(plan, bytes, size)
 *     DTCODEC_FFT_PLAN_CLOSE(plan)
 *     DTCODEC_FFT_FORWARD(plan, spectrum, values)
 *     DTCODEC_FFT_INVERSE(plan, values, spectrum)
 *                                    use another library. A program defines all five hooks or none.
 *
 * What the hooks do, for transforms of `size` real values. size is even and has no prime factors but 2, 3 and 5:
 *
 *     hook                                           meaning
 *     DTCODEC_FFT_PLAN_BYTES(size)                   bytes of memory of a plan for both directions
 *     DTCODEC_FFT_PLAN_OPEN(plan, bytes, size)       makes the plan in the memory void *plan; 0 if that fails
 *     DTCODEC_FFT_PLAN_CLOSE(plan)                   frees what the plan holds outside its memory
 *     DTCODEC_FFT_FORWARD(plan, spectrum, values)    transforms values[size] to spectrum[size / 2 + 1][re, im]
 *     DTCODEC_FFT_INVERSE(plan, values, spectrum)    computes `size` times the inverse; may destroy the spectrum
 *
 * The memory of a plan, spectrum and values are aligned to 64 bytes. spectrum and values are floats and do not overlap.
 *
 * CONTRACTS
 *
 *   - The functions allocate nothing. A layer lives in memory that the caller provides, of any alignment. A plan of a
 *     hook may allocate memory; dtc_circulant_layer_close frees it. With KissFFT that call is not needed.
 *   - One thread at a time may use a layer. Different threads may use different layers at the same time.
 *   - Arrays of floats are aligned as the compiler aligns floats. Inputs and outputs must not overlap.
 *   - The outputs of a sample do not depend on the other samples of its batch.
 *   - Twiddle factors come from the C library, so the last bits of results differ between platforms. The error is that
 *     of transforms in fp32, about 1e-7 of the norm of a result.
 *   - A NaN or an infinity in a sample is not refused. It reaches all outputs of that sample.
 */

#ifndef DTCODEC_FFT_H
#define DTCODEC_FFT_H

#include "dtcodec.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Returns the smallest good size that is at least n. A good size is an even number 2^a 3^b 5^c, at which KissFFT is
 * fast. 0: n is above 2^30. */
DTC_API size_t dtc_fft_good_size(size_t n);

/* A layer holds the plan of the transform, the transforms of its vectors, and room for a batch. */
typedef struct dtc_circulant_layer dtc_circulant_layer;

/* Returns the bytes of memory of a layer that takes up to `batch` samples at a time. A block of 0 stands for max(rows,
 * columns). 0: rows, columns or batch is 0; or rows, columns, block or batch is above 2^30; or a size_t cannot hold the
 * result. */
DTC_API size_t dtc_circulant_layer_bytes(size_t rows, size_t columns, size_t block, size_t batch);

/* Makes a layer of rows x columns in `memory`. The caller keeps the memory as long as it uses the layer. block is any
 * size; 0 stands for max(rows, columns). On failure *layer is NULL.
 *
 * The size of the transform decides the speed. Let S be the smallest good size (dtc_fft_good_size) that is at least 4
 * and at least min(rows, block) + min(columns, block) - 1. The transform has the size of the block if that is a good
 * size from 4 to S, else the size S.
 *
 * Errors: ARGUMENT (a null pointer, or sizes for which dtc_circulant_layer_bytes returns 0), SCRATCH (memory_bytes is
 * less than dtc_circulant_layer_bytes), LIMIT (the transform's library made no plan). */
DTC_API dtc_status dtc_circulant_layer_open(dtc_circulant_layer **layer, void *memory, size_t memory_bytes, size_t rows,
                                            size_t columns, size_t block, size_t batch);

/* Frees what the plan of a hook allocated. The memory of the layer stays the caller's. NULL is allowed. */
DTC_API void dtc_circulant_layer_close(dtc_circulant_layer *layer);

/* Transforms the vectors, [ceil(rows / block)][ceil(columns / block)][block]. The layer uses the transforms until the
 * next load. It keeps no pointer to the vectors. Errors: ARGUMENT (a null pointer). */
DTC_API dtc_status dtc_circulant_layer_load(dtc_circulant_layer *layer, const float *vectors);

/* Computes outputs = inputs W^T. outputs is batch x rows, inputs is batch x columns, both row-major.
 * Errors: ARGUMENT (a null pointer, no vectors loaded, or a batch above that of dtc_circulant_layer_open). */
DTC_API dtc_status dtc_circulant_forward(dtc_circulant_layer *layer, float *outputs, const float *inputs, size_t batch);

/* Computes input_gradient = output_gradient W. input_gradient is batch x columns, output_gradient is batch x rows, both
 * row-major. Errors: those of dtc_circulant_forward. */
DTC_API dtc_status dtc_circulant_backward_inputs(dtc_circulant_layer *layer, float *input_gradient,
                                                 const float *output_gradient, size_t batch);

/* Computes the gradient with respect to the vectors, summed over the batch. vector_gradient has the shape of the
 * vectors. Each of its floats is the sum of the dense gradient output_gradient^T inputs over the elements of W that
 * this float of the vectors gives, and 0 if there are none inside the matrix. inputs is batch x columns,
 * output_gradient is batch x rows, both row-major. No vectors need to be loaded.
 * Errors: ARGUMENT (a null pointer, or a batch above that of dtc_circulant_layer_open). */
DTC_API dtc_status dtc_circulant_backward_vectors(dtc_circulant_layer *layer, float *vector_gradient,
                                                  const float *inputs, const float *output_gradient, size_t batch);

/* Returns the bytes of scratch that dtc_fft_packet_matvec needs. 0: packet[0..packet_bytes) is not a packet. */
DTC_API size_t dtc_fft_packet_matvec_scratch(const void *packet, size_t packet_bytes, int transposed);

/* Computes y = W x for the matrix W of a packet, or y = W^T x if `transposed` is not 0, with the shapes of
 * dtc_packet_matvec of dtcodec.h. Circulant packets with large blocks are multiplied by transforms, in O(n log n). All
 * other packets are passed on to dtc_packet_matvec. With transforms y differs from the result of dtc_packet_matvec by
 * about 1e-7 of its norm, and sums above FLT_MAX are infinite or NaN, not bounded. Each call transforms the vectors
 * anew; a program that multiplies with one matrix many times opens a layer instead. On failure y is unchanged.
 * Errors: those of dtc_packet_matvec, and LIMIT (the transform's library made no plan). */
DTC_API dtc_status dtc_fft_packet_matvec(float *y, const void *packet, size_t packet_bytes, const float *x,
                                         int transposed, void *scratch, size_t scratch_bytes);

#ifdef __cplusplus
}
#endif

/* The documentation for users ends here. */

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
#define DTCI_FFT_API DTC_API
#else
#define DTCI_FFT_API
#endif

#define DTCI_FFT_ALIGN    64u
#define DTCI_FFT_SIZE_MAX ((size_t)1 << 30) /* largest rows, columns, block, batch and transform */

/* --------------------------------------------------------------------------------------------------------------------
 * Transform
 *
 * dtci_fft_real is a vector of DTCI_FFT_LANES floats, or a float if there is one lane. Each lane is one sample.
 * ------------------------------------------------------------------------------------------------------------------*/

#if defined(DTCODEC_FFT_FORWARD)

#define DTCI_FFT_LANES 1u
typedef float dtci_fft_real;

DTCI_FFT_FN size_t dtci_fft_plan_bytes(size_t size) {
    (void)size; /* the hooks need not use their arguments */
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

/* 16 means that half precision is not widened either */
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

/* The vector is aligned as a float, because KissFFT does not align the vectors in its plans further. On data that are
 * aligned this costs nothing. */
typedef float dtci_fft_real __attribute__((vector_size(4 * DTCI_FFT_LANES), aligned(4), may_alias));

static const dtci_fft_real dtci_fft_zero = {0};

/* KissFFT is compiled with static functions and names that no other copy of KissFFT has. Its headers are included while
 * macros put `static` before each function name; the definitions in its sources inherit that. */
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
#define KISS_FFT_MALLOC(bytes)  NULL /* only sizes that need no malloc are used */
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

/* Replaces the macros that need a scalar that is a number, and those that print. */
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

/* The start of a plan's memory. The memory of the two KissFFT plans follows. */
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
/* Removes all macros of KissFFT: the program may include KissFFT itself in this file. */
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
    size_t block_rows, block_columns; /* number of blocks in a column and in a row of blocks */
    size_t used_rows, used_columns;   /* most rows and columns of a block that lie inside the matrix */
    size_t size, frequencies;         /* real values of a transform; complex numbers of its spectrum */
    size_t stride;                    /* dtci_fft_real from one spectrum to the next: 2 * frequencies, rounded up */
    size_t plan_bytes, bytes;         /* of the plan; of the whole layer */
    void *plan;
    float *spectra;         /* transforms of the vectors / size: [block_rows][block_columns][2 * frequencies] */
    dtci_fft_real *inputs;  /* spectra: [groups of DTCI_FFT_LANES samples][block_columns][stride] */
    dtci_fft_real *outputs; /* spectra: [groups of DTCI_FFT_LANES samples][block_rows][stride] */
    dtci_fft_real *sum;     /* a spectrum: [stride] */
    dtci_fft_real *values;  /* [size] */
    int loaded;             /* nonzero: `spectra` are valid */
};

/* Offsets of the layer's arrays in its memory, in bytes. */
typedef struct dtci_fft_offsets {
    size_t plan, spectra, inputs, outputs, sum, values;
} dtci_fft_offsets;

DTCI_FFT_FN size_t dtci_fft_min(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Returns a * b, or SIZE_MAX if a size_t cannot hold the product. */
DTCI_FFT_FN size_t dtci_fft_times(size_t a, size_t b) {
    return b && a > SIZE_MAX / b ? SIZE_MAX : a * b;
}

/* Appends an aligned array to *total bytes and returns its offset. *total becomes SIZE_MAX, and stays so, if a size_t
 * cannot hold the sum. */
DTCI_FFT_FN size_t dtci_fft_append(size_t *total, size_t bytes) {
    size_t at = *total, limit = SIZE_MAX - DTCI_FFT_ALIGN;
    int fits = at <= limit && bytes <= limit - at;
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

/* Computes the sizes of a layer and the offsets of its arrays. Returns 0 where dtc_circulant_layer_bytes does. */
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
    layer->used_rows = dtci_fft_min(rows, block);
    layer->used_columns = dtci_fft_min(columns, block);
    /* at least 4, because KissFFT allocates for a size of 2 */
    layer->size = layer->used_rows + layer->used_columns - 1;
    layer->size = dtc_fft_good_size(layer->size < 4 ? 4 : layer->size);
    if (block >= 4 && block <= layer->size && dtc_fft_good_size(block) == block) layer->size = block;
    /* plans and spectra have less than 16 times these bytes each, so a size_t holds their sizes */
    if (!layer->size || layer->size > SIZE_MAX / 16 / sizeof(dtci_fft_real)) return 0;
    layer->frequencies = layer->size / 2 + 1;
    layer->plan_bytes = dtci_fft_plan_bytes(layer->size);
    groups = (batch + DTCI_FFT_LANES - 1) / DTCI_FFT_LANES;
    spectrum = 2 * layer->frequencies * sizeof(dtci_fft_real);
    spectrum = (spectrum + DTCI_FFT_ALIGN - 1) & ~(size_t)(DTCI_FFT_ALIGN - 1);
    layer->stride = spectrum / sizeof(dtci_fft_real);
    (void)dtci_fft_append(&total, sizeof *layer);
    at->plan = dtci_fft_append(&total, layer->plan_bytes);
    at->spectra = dtci_fft_append(&total, dtci_fft_times(dtci_fft_times(layer->block_rows, layer->block_columns),
                                                         2 * layer->frequencies * sizeof(float)));
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

/* Transforms n <= DTCI_FFT_LANES samples of `width` values each, block by block, to spectra of [blocks][stride]. Lane k
 * is sample k; lanes without a sample are zero. */
DTCI_FFT_FN void dtci_fft_analyze(dtc_circulant_layer *layer, dtci_fft_real *spectra, const float *samples,
                                  size_t width, size_t n) {
    size_t first, i, lane;
    for (first = 0; first < width; first += layer->block) {
        size_t used = dtci_fft_min(layer->block, width - first);
        float *to = (float *)layer->values;
        if (n < DTCI_FFT_LANES) memset(to, 0, used * sizeof(dtci_fft_real));
        if (n == DTCI_FFT_LANES) /* a constant count lets the compiler unroll the loop */
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

/* Transforms layer->sum back, to the block of n samples of `width` values that begins at value `first`. */
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

/* Sets layer->sum to the sum over n blocks of the spectrum of the block's vector times the spectrum of its operand. If
 * sign is -1, the spectrum of the vector is conjugated. The spectra of the vectors are `stride` floats apart. */
DTCI_FFT_FN void dtci_fft_accumulate(dtc_circulant_layer *layer, const float *vectors, size_t stride,
                                     const dtci_fft_real *operands, size_t n, float sign) {
    size_t k, i;
    for (k = 0; k < 2 * layer->frequencies; k += 2) {
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

/* Tells whether a layer can compute a batch from one array to the other. An empty batch needs no arrays. */
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
        /* The block becomes part of a circulant matrix of the transform's size: elements above the diagonal come from
         * the end of its vector. If the sizes are equal, both vectors are the same. */
        memset(values, 0, layer->size * sizeof(dtci_fft_real));
        for (lane = 0; lane < n; lane++) {
            for (d = 0; d < layer->used_rows; d++) values[d * DTCI_FFT_LANES + lane] = vectors[d];
            for (d = block + 1 - layer->used_columns; d < block; d++)
                values[(layer->size + d - block) * DTCI_FFT_LANES + lane] = vectors[d];
            vectors += block;
        }
        dtci_fft_forward(layer->plan, layer->sum, layer->values);
        for (lane = 0; lane < n; lane++)
            for (k = 0; k < 2 * layer->frequencies; k++)
                *to++ = ((const float *)layer->sum)[k * DTCI_FFT_LANES + lane] * scale;
    }
    layer->loaded = 1;
    return DTC_OK;
}

DTCI_FFT_API dtc_status dtc_circulant_forward(dtc_circulant_layer *layer, float *outputs, const float *inputs,
                                              size_t batch) {
    size_t first, n, p, stride;
    if (!dtci_fft_usable(layer, outputs, inputs, batch) || !layer->loaded) return DTC_ERROR_ARGUMENT;
    stride = 2 * layer->frequencies;
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
    stride = 2 * layer->frequencies;
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

/* Computes the spectrum of the gradient of block (p, q), summed over all samples, in one lane of layer->sum. */
DTCI_FFT_FN void dtci_fft_correlate(dtc_circulant_layer *layer, size_t lane, size_t p, size_t q, size_t groups) {
    size_t stride = layer->stride, k, g, i;
    float *sum = (float *)layer->sum + lane;
    for (k = 0; k < 2 * layer->frequencies; k += 2) {
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
        for (lane = 0; lane < n; lane++) { /* undoes the layout of dtc_circulant_layer_load */
            size_t p = (first + lane) / layer->block_columns, q = (first + lane) % layer->block_columns;
            size_t used_rows = dtci_fft_min(block, layer->rows - p * block);
            size_t used_columns = dtci_fft_min(block, layer->columns - q * block);
            for (d = 0; d < block; d++) {
                int low = d < used_rows;
                int high = d + used_columns > block;
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

/* Returns the bytes of scratch for a product by transforms, and in *vectors the bytes of them that hold the vectors. 0:
 * dtc_packet_matvec must be used, or is not slower: by measurement, transforming one value takes as long as eight
 * products. */
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
    char *work; /* scratch of decoding, later the memory of the layer */
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

/* Removes all internal macros except the mark that the implementation was compiled. */
#undef DTCI_FFT_ALIGN
#undef DTCI_FFT_API
#undef DTCI_FFT_FN
#undef DTCI_FFT_LANES
#undef DTCI_FFT_SIZE_MAX
#undef DTCI_FFT_STATIC

#endif /* implementation */
