/* What the fuzz targets share. A target is one file with LLVMFuzzerTestOneInput; it aborts where a promise is broken.
 */

#ifndef FUZZ_H
#define FUZZ_H

#include "dtcodec.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition) ((condition) ? (void)0 : fuzz_broken(__FILE__, __LINE__, #condition))

static inline void fuzz_broken(const char *file, int line, const char *condition) {
    fprintf(stderr, "%s:%d: broken: %s\n", file, line, condition);
    abort();
}

enum { FUZZ_GUARD = 64, FUZZ_GUARD_BYTE = 0xa5 };

/* Memory of which the last bytes are lent out, so that AddressSanitizer sees what is accessed behind them. What lies
 * before them is a guard. */
struct fuzz_memory {
    unsigned char *start;
    size_t size;
};

static inline void *fuzz_lend(struct fuzz_memory *memory, size_t bytes) {
    unsigned char *lent;
    if (memory->size < bytes + FUZZ_GUARD) {
        free(memory->start);
        memory->size = 2 * bytes + FUZZ_GUARD;
        memory->start = (unsigned char *)malloc(memory->size);
        REQUIRE(memory->start);
        memset(memory->start, 0, memory->size);
    }
    lent = memory->start + memory->size - bytes;
    memset(lent - FUZZ_GUARD, FUZZ_GUARD_BYTE, FUZZ_GUARD);
    return lent;
}

/* Whether the guard before lent memory is as it was. */
static inline int fuzz_intact(const void *lent) {
    const unsigned char *guard = (const unsigned char *)lent - FUZZ_GUARD;
    int i;
    for (i = 0; i < FUZZ_GUARD; i++)
        if (guard[i] != FUZZ_GUARD_BYTE) return 0;
    return 1;
}

/* The input as a sequence of fields; zeros after its end. */
struct fuzz_input {
    const uint8_t *data;
    size_t size;
};

static inline void fuzz_take(struct fuzz_input *input, void *to, size_t bytes) {
    size_t n = bytes < input->size ? bytes : input->size;
    memset(to, 0, bytes);
    if (n) memcpy(to, input->data, n);
    input->data += n;
    input->size -= n;
}

static inline unsigned fuzz_byte(struct fuzz_input *input) {
    uint8_t byte;
    fuzz_take(input, &byte, 1);
    return byte;
}

/* Low byte first, so that an input means the same on every machine. */
static inline float fuzz_float(struct fuzz_input *input) {
    uint32_t bits = 0;
    float x;
    int i;
    for (i = 0; i < 4; i++) bits |= (uint32_t)fuzz_byte(input) << 8 * i;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline uint32_t fuzz_bits(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline int fuzz_finite(float x) {
    return (fuzz_bits(x) & 0x7f800000u) != 0x7f800000u;
}

/* Values: most of them a byte each, of one magnitude, so that inputs are short and bins repeat. */
static inline size_t fuzz_values(struct fuzz_input *input, float *values, size_t most) {
    unsigned kind = fuzz_byte(input);
    int exponent = (int)(fuzz_byte(input) % 250) - 140;
    size_t repeat = kind & 4 ? 1 + fuzz_byte(input) : 1, n = 0;
    while (input->size && n < most) {
        float x = kind & 1 ? fuzz_float(input) : (float)ldexp((double)fuzz_byte(input) - 128, exponent);
        size_t i;
        if (kind & 2) x += (float)ldexp(1, exponent + 10);
        for (i = 0; i < repeat && n < most; i++) values[n++] = x;
    }
    return n;
}

enum { FUZZ_COUNT_MAX = 1 << 13 }; /* the most values that a fuzzer lets a packet ask for */

/* The vectors of a circulant packet can be had where the matrix can, and they are what it is made of. */
static inline void fuzz_decode_circulant(const uint8_t *packet, const dtc_info *info, const dtc_decode_options *options,
                                         const float *values, dtc_status status, void *scratch) {
    static struct fuzz_memory memory;
    size_t block = info->spec.block, count, i;
    float *vectors;
    if (!block) block = info->rows > info->columns ? info->rows : info->columns;
    count = dtc_circulant_vector_count(info->rows, info->columns, block);
    vectors = (float *)fuzz_lend(&memory, 4 * count);
    memset(vectors, 0x11, 4 * count);
    REQUIRE(dtc_decode_circulant(vectors, count + 1, packet, info->packet_bytes, options, scratch,
                                 info->decode_scratch) == DTC_ERROR_COUNT);
    REQUIRE(dtc_decode_circulant(vectors, count, packet, info->packet_bytes, options, scratch, info->decode_scratch) ==
            status);
    REQUIRE(fuzz_intact(vectors));
    for (i = 0; status != DTC_OK && i < count; i++) REQUIRE(fuzz_bits(vectors[i]) == 0x11111111u);
    for (i = 0; status == DTC_OK && i < info->count; i++) {
        size_t row = i / info->columns, column = i % info->columns, across = (info->columns + block - 1) / block;
        size_t vector = row / block * across + column / block;
        size_t at = (block + row % block - column % block) % block;
        REQUIRE(fuzz_bits(values[i]) == fuzz_bits(vectors[vector * block + at]));
    }
}

/* What every decoder promises of any bytes. */
static inline void fuzz_decode(const uint8_t *packet, size_t size) {
    static struct fuzz_memory first_memory, again_memory, scratch_memory;
    dtc_decode_options options;
    float *values, *again;
    dtc_info info;
    dtc_status status, repeated;
    size_t i;
    void *scratch;
    memset(&options, 0, sizeof options);
    options.skip_checksum = 1;
    options.max_iterations = 3; /* a fuzzer has little time for each input */
    if (dtc_inspect(packet, size, &info) != DTC_OK || info.count > FUZZ_COUNT_MAX) return;
    values = (float *)fuzz_lend(&first_memory, 4 * info.count);
    again = (float *)fuzz_lend(&again_memory, 4 * info.count);
    scratch = fuzz_lend(&scratch_memory, info.decode_scratch);
    memset(values, 0x11, 4 * info.count);
    memset(again, 0, 4 * info.count);
    if (info.decode_scratch)
        REQUIRE(dtc_decode(values, info.count, packet, info.packet_bytes, &options, scratch, info.decode_scratch - 1) ==
                DTC_ERROR_SCRATCH);
    REQUIRE(dtc_decode(values, info.count + 1, packet, info.packet_bytes, &options, scratch, info.decode_scratch) ==
            DTC_ERROR_COUNT);
    status = dtc_decode(values, info.count, packet, info.packet_bytes, &options, scratch, info.decode_scratch);
    REQUIRE(fuzz_intact(values) && fuzz_intact(scratch));
    if (info.codec == DTC_CIRCULANT) fuzz_decode_circulant(packet, &info, &options, values, status, scratch);
    if (status != DTC_OK) {
        for (i = 0; i < info.count; i++) REQUIRE(fuzz_bits(values[i]) == 0x11111111u);
        REQUIRE(dtc_decode_add(values, info.count, 1.5f, packet, info.packet_bytes, &options, scratch,
                               info.decode_scratch) == status);
        for (i = 0; i < info.count; i++) REQUIRE(fuzz_bits(values[i]) == 0x11111111u);
        return;
    }
    if (info.codec != DTC_RAW)
        for (i = 0; i < info.count; i++) REQUIRE(fuzz_finite(values[i]));
    repeated = dtc_decode(again, info.count, packet, info.packet_bytes, &options, scratch, info.decode_scratch);
    REQUIRE(repeated == DTC_OK && memcmp(values, again, 4 * info.count) == 0);
    for (i = 0; i < info.count; i++) again[i] = 0.75f * (float)i;
    REQUIRE(dtc_decode_add(again, info.count, -2.5f, packet, info.packet_bytes, &options, scratch,
                           info.decode_scratch) == DTC_OK);
    for (i = 0; i < info.count; i++) {
        float sum = fmaf(-2.5f, values[i], 0.75f * (float)i);
        REQUIRE(fuzz_bits(again[i]) == fuzz_bits(sum) || (again[i] != again[i] && sum != sum));
    }
    REQUIRE(fuzz_intact(again) && fuzz_intact(scratch));
}

/* Whether a codec may round otherwise with a residual than without: only where it chooses its own scales. */
static inline int fuzz_rounds_for_residual(const dtc_spec *spec) {
    if (spec->codec == DTC_TERNARY) return !(spec->ternary.scale > 0);
    return spec->codec == DTC_QUANT && !spec->quant.min_given && !spec->quant.max_given &&
           (spec->quant.rounding == DTC_ROUNDING_STOCHASTIC || spec->quant.rotate ||
            (spec->quant.rounding == DTC_ROUNDING_AUTO && spec->quant.rate > 0));
}

/* Whether what is left is no longer than what was to be sent, also where 0 is far from what the codec can send. */
static inline int fuzz_contracts(const dtc_spec *spec) {
    return fuzz_rounds_for_residual(spec) && (spec->codec == DTC_TERNARY || spec->quant.rotate ||
                                              (spec->quant.grid == DTC_GRID_ZERO && !(spec->quant.max_error > 0)));
}

/* What is left is no longer than what was to be sent, where scales and squares are far from the limits of fp32. */
static inline void fuzz_require_contraction(const float *left, const float *sent, size_t count) {
    double squares = 0, before = 0, least = HUGE_VAL, most = 0;
    size_t i;
    for (i = 0; i < count; i++) {
        double magnitude = fabs((double)sent[i]);
        squares += (double)left[i] * (double)left[i];
        before += magnitude * magnitude;
        if (magnitude > 0 && magnitude < least) least = magnitude;
        if (magnitude > most) most = magnitude;
    }
    if (most < 1e30 && least > 1e-30) REQUIRE(squares <= 1.0001 * before);
}

/* What every codec promises of any values under a spec that it takes. Leaves in `decoded` what a receiver gets, in
 * `info` what its packet says; returns 0 where encoding was refused for a documented reason. */
static inline int fuzz_roundtrip(const dtc_spec *spec, const float *values, size_t count, float *decoded,
                                 dtc_info *info) {
    static struct fuzz_memory packet_memory, again_memory, scratch_memory, residual_memory, sum_memory;
    size_t bound = dtc_encode_bound(spec, count), scratch_bytes = dtc_encode_scratch(spec, count), bytes = 77, i, cut;
    unsigned char *packet = (unsigned char *)fuzz_lend(&packet_memory, bound), *again;
    void *scratch = fuzz_lend(&scratch_memory, scratch_bytes), *decode_scratch;
    float *residual = (float *)fuzz_lend(&residual_memory, 4 * count);
    float *sum = (float *)fuzz_lend(&sum_memory, 4 * count);
    int finite = 1;
    dtc_status status = dtc_encode(spec, packet, bound, &bytes, values, count, scratch, scratch_bytes);
    REQUIRE(fuzz_intact(packet) && fuzz_intact(scratch));
    for (i = 0; i < count; i++) finite &= fuzz_finite(values[i]);
    if (status != DTC_OK) {
        REQUIRE(bytes == 0);
        REQUIRE(bound ? status == DTC_ERROR_NONFINITE && !finite && spec->codec != DTC_RAW : status == DTC_ERROR_SPEC);
        return 0;
    }
    REQUIRE(bound && bytes <= bound);
    REQUIRE(finite || spec->codec == DTC_RAW);

    /* the same bytes again, in exactly that room, and in no less */
    again = (unsigned char *)fuzz_lend(&again_memory, bytes);
    REQUIRE(dtc_encode(spec, again, bytes, &cut, values, count, scratch, scratch_bytes) == DTC_OK);
    REQUIRE(cut == bytes && memcmp(packet, again, bytes) == 0 && fuzz_intact(again));
    again = (unsigned char *)fuzz_lend(&again_memory, bytes - 1);
    REQUIRE(dtc_encode(spec, again, bytes - 1, &cut, values, count, scratch, scratch_bytes) == DTC_ERROR_CAPACITY);
    REQUIRE(cut == 0 && fuzz_intact(again));
    cut = (fuzz_bits(count ? values[0] : 0) >> 3) % bytes;
    again = (unsigned char *)fuzz_lend(&again_memory, cut);
    REQUIRE(dtc_encode(spec, again, cut, &i, values, count, scratch, scratch_bytes) == DTC_ERROR_CAPACITY);
    REQUIRE(i == 0 && fuzz_intact(again));

    /* decoded whole, and not in parts */
    memcpy(again = (unsigned char *)fuzz_lend(&again_memory, cut), packet, cut);
    REQUIRE(dtc_inspect(again, cut, info) == DTC_ERROR_TRUNCATED);
    REQUIRE(dtc_decode(decoded, count, again, cut, NULL, NULL, 0) == DTC_ERROR_TRUNCATED);
    memcpy(again = (unsigned char *)fuzz_lend(&again_memory, bytes), packet, bytes);
    REQUIRE(dtc_inspect(again, bytes, info) == DTC_OK);
    REQUIRE(info->count == count && info->packet_bytes == bytes && info->terms == 1);
    REQUIRE(info->workers == (spec->workers ? spec->workers : 1));
    REQUIRE(info->rows == (spec->rows && count ? spec->rows : 1) && info->rows * info->columns == count);
    REQUIRE(info->codec == spec->codec || info->codec == DTC_RAW);
    decode_scratch = fuzz_lend(&scratch_memory, info->decode_scratch);
    REQUIRE(dtc_decode(decoded, count, again, bytes, NULL, decode_scratch, info->decode_scratch) == DTC_OK);
    REQUIRE(fuzz_intact(decode_scratch));
    if (!spec->no_checksum) {
        again[cut] ^= (unsigned char)(1u << (bytes & 7));
        REQUIRE(dtc_decode(sum, count, again, bytes, NULL, decode_scratch, info->decode_scratch) != DTC_OK);
    }

    /* error feedback: the packet is that of the sum, and what is left is exactly what it does not hold */
    for (i = 0; i < count; i++) {
        residual[i] = values[(i + 1) % count] * 0.125f;
        sum[i] = values[i] + residual[i];
    }
    scratch = fuzz_lend(&scratch_memory, scratch_bytes);
    again = (unsigned char *)fuzz_lend(&again_memory, bound);
    status = dtc_encode_residual(spec, packet, bound, &bytes, values, residual, count, scratch, scratch_bytes);
    REQUIRE(fuzz_intact(packet) && fuzz_intact(scratch) && fuzz_intact(residual));
    if (status == DTC_OK) {
        dtc_info sum_info;
        float *received = (float *)malloc(4 * count + 1);
        REQUIRE(received && dtc_encode(spec, again, bound, &cut, sum, count, scratch, scratch_bytes) == DTC_OK);
        REQUIRE(fuzz_rounds_for_residual(spec) || (cut == bytes && memcmp(packet, again, bytes) == 0));
        REQUIRE(dtc_inspect(packet, bytes, &sum_info) == DTC_OK);
        decode_scratch = fuzz_lend(&scratch_memory, sum_info.decode_scratch);
        REQUIRE(dtc_decode(received, count, packet, bytes, NULL, decode_scratch, sum_info.decode_scratch) == DTC_OK);
        for (i = 0; i < count; i++) REQUIRE(fuzz_bits(residual[i]) == fuzz_bits(sum[i] - received[i]));
        if (fuzz_rounds_for_residual(spec) && !(spec->quant.max_error > 0))
            fuzz_require_contraction(residual, sum, count);
        free(received);
    } else {
        finite = 1;
        for (i = 0; i < count; i++) finite &= fuzz_finite(sum[i]);
        REQUIRE(status == DTC_ERROR_NONFINITE && !finite && bytes == 0);
        for (i = 0; i < count; i++)
            REQUIRE(fuzz_bits(residual[i]) == fuzz_bits(values[(i + 1) % count] * 0.125f) ||
                    residual[i] != residual[i]);
    }
    return 1;
}

#endif
