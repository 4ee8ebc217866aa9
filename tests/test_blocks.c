/* Grids and scales of blocks that are coded: they cost what they tell, and are read, scaled and refused as others are.
 */
#include <math.h>
#include <string.h>

#include "helpers.h"

enum { BLOCK = 64, HEAD_FEATURES = 16, CODED = 8 };

static double error_of(const float *decoded, const float *values, size_t count) {
    double error = 0, squares = 0;
    size_t i;
    for (i = 0; i < count; i++) {
        double e = (double)decoded[i] - (double)values[i];
        error += e * e;
        squares += (double)values[i] * (double)values[i];
    }
    return error / squares;
}

/* Returns the features of a packet without rows, workers and seed, but with blocks. */
static unsigned features_of(const packet *made) {
    return made->bytes[2] & 32 ? made->bytes[HEAD_FEATURES] : 0;
}

/* A matrix of an embedding's gradient: one row in 1000 is not zero, and a block is a row. */
static void test_rows_of_zeros(void **state) {
    static const struct {
        const char *spec;
        size_t bytes;
        double error;
    } cases[] = {{"quant:bits=4,block=64", 3000, 0.005}, {"ternary:block=64", 1200, 0.5}};
    size_t count = (size_t)50257 * BLOCK, c, i;
    float *values = floats(count), *decoded;
    packet made;
    (void)state;
    for (i = 0; i < count; i++) values[i] = i / BLOCK % 1000 ? 0 : (float)((int)(i * 7919 % 2001) - 1000) * 1e-6f;
    for (c = 0; c < LENGTH(cases); c++) {
        made = encode(cases[c].spec, values, count);
        decoded = decode(&made);
        CHECK(made.size < cases[c].bytes, "%s: %zu bytes", cases[c].spec, made.size);
        CHECK(error_of(decoded, values, count) < cases[c].error, "%g", error_of(decoded, values, count));
        for (i = 0; i < count; i++) CHECK(i / BLOCK % 1000 == 0 || float_bits(decoded[i]) == 0, "value %zu", i);
        free(decoded);
        free(made.bytes);
    }
    free(values);
}

/* A tensor of zeros costs what tells that its scales are 0, for any number of blocks. */
static void test_zeros(void **state) {
    size_t count = (size_t)1000 * BLOCK, i;
    float *values = floats(count), *decoded;
    packet made;
    (void)state;
    memset(values, 0, 4 * count);
    made = encode("ternary:block=64", values, count);
    assert_int_equal(made.size, HEAD_FEATURES + 1 + 8 + 4);
    decoded = decode(&made);
    for (i = 0; i < count; i++) CHECK(float_bits(decoded[i]) == 0, "value %zu", i);
    free(decoded);
    free(made.bytes);
    free(values);
}

/* The grids of 64 values cost at most 0.15 bits a value: the limits are the bits of the bins and that much. */
static void test_cost(void **state) {
    static const struct {
        const char *spec;
        noise draw;
        double bits, error;
    } cases[] = {{"quant:bits=4,block=64", noise_gaussian, 3.90, 0.0086},
                 {"quant:bits=2,block=64", noise_gaussian, 1.70, 0.217},
                 {"quant:bits=4,block=64", noise_laplace, 3.58, 0.0131},
                 {"quant:max-error=0.05,block=64", noise_gaussian, 5.52, 0.00085},
                 {"ternary:block=64", noise_gaussian, 1.36, 0.957},
                 {"ternary:block=64", noise_laplace, 1.25, 0.884}};
    size_t count = (size_t)1 << 18, c;
    (void)state;
    for (c = 0; c < LENGTH(cases); c++) {
        float *values = drawn(count, cases[c].draw, 0, 5), *decoded;
        packet made = encode(cases[c].spec, values, count);
        double bits = 8.0 * (double)made.size / (double)count, error;
        decoded = decode(&made);
        error = error_of(decoded, values, count);
        CHECK(features_of(&made) & CODED, "%s: features %u", cases[c].spec, features_of(&made));
        CHECK(bits < cases[c].bits && error < cases[c].error, "%s: %g bits, error %g", cases[c].spec, bits, error);
        free(decoded);
        free(made.bytes);
        free(values);
    }
}

/* A search for a rate or an error gives all blocks one step, so that a block changes nothing. */
static void test_searched(void **state) {
    static const char *const specs[][2] = {{"quant:rate=1", "quant:rate=1,block=64"},
                                           {"quant:nmse=0.001", "quant:nmse=0.001,block=64"},
                                           {"quant", "quant:block=100"}};
    size_t count = 20000, s;
    float *values = drawn(count, noise_laplace, 0.5, 6);
    (void)state;
    for (s = 0; s < LENGTH(specs); s++) {
        packet plain = encode(specs[s][0], values, count), blocks = encode(specs[s][1], values, count);
        CHECK(plain.size == blocks.size && memcmp(plain.bytes, blocks.bytes, plain.size) == 0, "%s", specs[s][1]);
        free(plain.bytes);
        free(blocks.bytes);
    }
    free(values);
}

/* Scaling changes the multiplier alone, and is refused where the largest step or scale would be infinite. */
static void check_scaled(const char *spec) {
    static const float weights[] = {0.5f, -3, 0, 1e-30f};
    size_t count = 5000, w, i;
    float *values = drawn(count, noise_gaussian, 0, 7), *decoded, *scaled;
    packet made = encode(spec, values, count), copy;
    CHECK(features_of(&made) & CODED, "features %u", features_of(&made));
    decoded = decode(&made);
    copy.size = made.size;
    copy.bytes = (unsigned char *)memory(made.size);
    for (w = 0; w < LENGTH(weights); w++) {
        memcpy(copy.bytes, made.bytes, made.size);
        CHECK(dtc_packet_scale(copy.bytes, copy.size, weights[w]) == DTC_OK, "%g", (double)weights[w]);
        scaled = decode(&copy);
        for (i = 0; i < count; i++) {
            double exact = (double)weights[w] * (double)decoded[i];
            CHECK(fabs((double)scaled[i] - exact) <= 2e-7 * fabs(exact) + 1e-44, "%g: %g, not %g", (double)weights[w],
                  (double)scaled[i], exact);
        }
        free(scaled);
    }
    memcpy(copy.bytes, made.bytes, made.size);
    CHECK(dtc_packet_scale(copy.bytes, copy.size, 3e37f) == DTC_OK, "scales below 10");
    CHECK(dtc_packet_scale(copy.bytes, copy.size, 1e3f) == DTC_ERROR_NONFINITE, "the multiplier would be infinite");
    scaled = decode(&copy);
    free(scaled);
    free(copy.bytes);
    free(decoded);
    free(made.bytes);
    free(values);
}

static void test_scale(void **state) {
    (void)state;
    check_scaled("quant:bits=6,block=50");
    check_scaled("ternary:block=50");
}

/* A fault of the beginning: this value in the 4 bytes at this offset of the payload. */
typedef struct fault {
    size_t at;
    uint32_t value;
    dtc_status status;
} fault;

/* Every field of the beginning that is out of its range is refused, and no change of a byte is harmful. */
static void check_malformed(const char *spec, const fault *cases, size_t n, size_t scaled) {
    size_t count = 2000, c, at = HEAD_FEATURES + 1;
    float *values = drawn(count, noise_gaussian, 0, 8), *decoded = floats(count);
    packet made = encode(spec, values, count);
    dtc_info info = inspect(&made);
    unsigned char *scratch = workspace(info.decode_scratch + 100000), *bytes = (unsigned char *)memory(made.size);
    CHECK(features_of(&made) & CODED, "features %u", features_of(&made));
    for (c = 0; c < n; c++) {
        unsigned i;
        memcpy(bytes, made.bytes, made.size);
        for (i = 0; i < 4; i++) bytes[at + cases[c].at + i] = (unsigned char)(cases[c].value >> 8 * i & 255);
        CHECK(dtc_decode(decoded, count, bytes, made.size, NULL, scratch, info.decode_scratch) == cases[c].status,
              "field at %zu: %x", cases[c].at, (unsigned)cases[c].value);
        if (cases[c].at < scaled || cases[c].status == DTC_ERROR_SIZE)
            CHECK(dtc_packet_scale(bytes, made.size, 1) == cases[c].status, "scaled: field at %zu: %x", cases[c].at,
                  (unsigned)cases[c].value);
    }
    for (c = 0; c < made.size * 8; c++) {
        dtc_info changed;
        memcpy(bytes, made.bytes, made.size);
        bytes[c / 8] ^= (unsigned char)(1u << c % 8);
        if (dtc_inspect(bytes, made.size, &changed) != DTC_OK || changed.count != count) continue;
        (void)dtc_decode(decoded, count, bytes, made.size, NULL, scratch, changed.decode_scratch);
    }
    free(bytes);
    free(decoded);
    free(made.bytes);
    free(values);
}

static void test_malformed(void **state) {
    static const fault quant[] = {{0, 0x7f800000u, DTC_ERROR_PAYLOAD}, {0, 0x7fc00000u, DTC_ERROR_PAYLOAD},
                                  {4, 12288u, DTC_ERROR_PAYLOAD},      {4, 0xffffffffu, DTC_ERROR_PAYLOAD},
                                  {8, 0x7fffffffu, DTC_ERROR_PAYLOAD}, {8, 0x80000000u, DTC_ERROR_PAYLOAD},
                                  {12, 0xffffffffu, DTC_ERROR_SIZE},   {16, 0xffffffffu, DTC_ERROR_SIZE}};
    static const fault ternary[] = {{0, 0x7f800000u, DTC_ERROR_PAYLOAD},
                                    {0, 0xffc00000u, DTC_ERROR_PAYLOAD},
                                    {4, 0xffffffffu, DTC_ERROR_SIZE},
                                    {4, 100000u, DTC_ERROR_SIZE}};
    (void)state;
    check_malformed("quant:bits=4,block=20,checksum=0", quant, LENGTH(quant), 8);
    check_malformed("ternary:block=20,checksum=0", ternary, LENGTH(ternary), 4);
}

/* Scales of ternary are coded where neither sums, a given size nor denormals forbid it, and if that saves bytes. */
static void test_ternary_coded(void **state) {
    static const struct {
        const char *spec;
        float factor; /* of the first block */
        int coded;
    } cases[] = {{"ternary:block=10", 1, 1},           {"ternary:block=10", 1e-30f, 1},
                 {"ternary:block=10", 1e-39f, 0},      {"ternary:block=10,pack=base3", 1, 0},
                 {"ternary:block=10,workers=2", 1, 0}, {"ternary:block=10,scale=1", 1, 0},
                 {"ternary:block=1000", 1, 0}};
    size_t count = 2000, c, i;
    (void)state;
    for (c = 0; c < LENGTH(cases); c++) {
        float *values = drawn(count, noise_gaussian, 0, 9);
        packet made;
        for (i = 0; i < 10; i++) values[i] *= cases[c].factor;
        made = encode(cases[c].spec, values, count);
        CHECK(!(features_of(&made) & CODED) == !cases[c].coded, "%s, %g", cases[c].spec, (double)cases[c].factor);
        free(made.bytes);
        free(values);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_of_zeros), cmocka_unit_test(test_zeros), cmocka_unit_test(test_cost),
        cmocka_unit_test(test_searched),      cmocka_unit_test(test_scale), cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_ternary_coded),
    };
    return cmocka_run_group_tests_name("blocks", tests, NULL, NULL);
}
