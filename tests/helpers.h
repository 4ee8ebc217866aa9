/* What the codec tests share: seeded data, packets in memory of exactly their size, and watched memory. */
#ifndef DTC_TESTS_HELPERS_H
#define DTC_TESTS_HELPERS_H

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dtcodec.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define MEBI          ((size_t)1 << 20)

/* Checks a condition, saying which case it was. */
#define CHECK(condition, ...)                \
    do {                                     \
        if (!(condition)) {                  \
            print_error("%s: ", #condition); \
            print_error(__VA_ARGS__);        \
            print_error("\n");               \
            fail();                          \
        }                                    \
    } while (0)

/* malloc that cannot fail, also of 0 bytes. */
static inline void *memory(size_t bytes) {
    void *p = malloc(bytes ? bytes : 1);
    assert_non_null(p);
    return p;
}

static inline float *floats(size_t count) {
    return (float *)memory(count * sizeof(float));
}

static inline uint32_t float_bits(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return bits;
}

static inline float float_from_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, 4);
    return x;
}

static inline uint32_t get32(const unsigned char *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Seeded data. The generator is splitmix64 and shares nothing with the one under test. */
static inline uint64_t noise_u64(uint64_t *state) {
    uint64_t x = *state += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* In (0, 1). */
static inline double noise_uniform(uint64_t *state) {
    return ((double)(noise_u64(state) >> 12) + 0.5) / 4503599627370496.0;
}

static inline double noise_gaussian(uint64_t *state) {
    double radius = sqrt(-2 * log(noise_uniform(state)));
    return radius * cos(6.283185307179586 * noise_uniform(state));
}

static inline double noise_laplace(uint64_t *state) {
    double u = noise_uniform(state) - 0.5;
    return u < 0 ? log(1 + 2 * u) : -log(1 - 2 * u);
}

typedef double (*noise)(uint64_t *state);

/* Draws of which a part `zeros` is exact zero. */
static inline void fill(float *values, size_t count, noise draw, double zeros, uint64_t seed) {
    size_t i;
    for (i = 0; i < count; i++) values[i] = zeros > 0 && noise_uniform(&seed) < zeros ? 0.0f : (float)draw(&seed);
}

static inline float *drawn(size_t count, noise draw, double zeros, uint64_t seed) {
    float *values = floats(count);
    fill(values, count, draw, zeros, seed);
    return values;
}

static inline dtc_spec spec_of(const char *text) {
    const char *at;
    dtc_spec spec;
    CHECK(dtc_spec_parse(text, &spec, &at) == DTC_OK, "\"%s\" at \"%s\"", text, at);
    return spec;
}

/* Scratch that calls share, so that a test of many small packets does not spend its time in the allocator. */
static inline unsigned char *workspace(size_t bytes) {
    static unsigned char *room;
    static size_t size;
    if (bytes >= size) {
        free(room);
        size = 2 * bytes + 1;
        room = (unsigned char *)memory(size);
    }
    return room;
}

/* A packet in memory of its very size, so that a sanitizer sees every byte read past it. */
typedef struct packet {
    unsigned char *bytes;
    size_t size;
} packet;

static inline packet encode_spec(const dtc_spec *spec, const float *values, size_t count) {
    size_t bound = dtc_encode_bound(spec, count), scratch_bytes = dtc_encode_scratch(spec, count);
    unsigned char *room = (unsigned char *)memory(bound);
    packet made;
    dtc_status status =
        dtc_encode(spec, room, bound, &made.size, values, count, workspace(scratch_bytes), scratch_bytes);
    CHECK(status == DTC_OK, "%s, %zu values", dtc_status_string(status), count);
    CHECK(made.size <= bound, "%zu bytes of %zu", made.size, bound);
    made.bytes = (unsigned char *)memory(made.size);
    memcpy(made.bytes, room, made.size);
    free(room);
    return made;
}

static inline packet encode(const char *text, const float *values, size_t count) {
    dtc_spec spec = spec_of(text);
    return encode_spec(&spec, values, count);
}

static inline dtc_info inspect(const packet *made) {
    dtc_info info;
    assert_int_equal(dtc_inspect(made->bytes, made->size, &info), DTC_OK);
    assert_int_equal(info.packet_bytes, made->size);
    return info;
}

static inline void decode_into(float *values, const packet *made) {
    dtc_info info = inspect(made);
    dtc_status status = dtc_decode(values, info.count, made->bytes, made->size, NULL, workspace(info.decode_scratch),
                                   info.decode_scratch);
    CHECK(status == DTC_OK, "%s", dtc_status_string(status));
}

static inline float *decode(const packet *made) {
    float *values = floats(inspect(made).count);
    decode_into(values, made);
    return values;
}

/* Encodes and decodes. */
static inline float *round_trip(const char *text, const float *values, size_t count) {
    packet made = encode(text, values, count);
    float *decoded = decode(&made);
    assert_int_equal(inspect(&made).count, count);
    free(made.bytes);
    return decoded;
}

/* Memory with a watched band on either side, `misaligned` bytes off malloc's alignment. */
#define GUARD_BYTES 64u
#define GUARD_FILL  0xa5

typedef struct guarded {
    unsigned char *base, *p;
    size_t bytes, misaligned;
} guarded;

static inline guarded guarded_new(size_t bytes, size_t misaligned) {
    guarded g;
    g.bytes = bytes;
    g.misaligned = misaligned;
    g.base = (unsigned char *)memory(2 * GUARD_BYTES + misaligned + bytes);
    g.p = g.base + GUARD_BYTES + misaligned;
    memset(g.base, GUARD_FILL, 2 * GUARD_BYTES + misaligned + bytes);
    return g;
}

/* Whether nothing outside p[0..bytes) was written, `bytes` being at most the size at birth. */
static inline int guarded_intact(const guarded *g, size_t bytes) {
    size_t total = 2 * GUARD_BYTES + g->misaligned + g->bytes, i;
    for (i = 0; i < total; i++) {
        int inside = g->base + i >= g->p && g->base + i < g->p + bytes;
        if (!inside && g->base[i] != GUARD_FILL) return 0;
    }
    return 1;
}

static inline void guarded_free(guarded *g) {
    free(g->base);
    g->base = g->p = NULL;
}

#endif /* DTC_TESTS_HELPERS_H */
