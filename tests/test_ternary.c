/* ternary: what it decodes to, where its digits stand, and that it is unbiased. */
#include "helpers.h"

static float float_at(const unsigned char *p) {
    return float_from_bits(get32(p));
}

/* Largest magnitude and root mean square of values. */
static void measure(const float *values, size_t count, double *largest, double *sigma) {
    double squares = 0;
    size_t i;
    *largest = 0;
    for (i = 0; i < count; i++) {
        *largest = fmax(*largest, fabs((double)values[i]));
        squares += (double)values[i] * (double)values[i];
    }
    *sigma = sqrt(squares / (double)count);
}

/* Digit i of n, by the wire format's words. */
static int digit_at(const unsigned char *bytes, size_t i, size_t n) {
    static const int powers[] = {1, 3, 9, 27, 81};
    size_t group = i / 160, left = n - 160 * group, stride = left < 160 ? (left + 4) / 5 : 32;
    i %= 160;
    return bytes[32 * group + i % stride] / powers[i / stride] % 3;
}

/* Every value is a digit times the scale, and has the sign of what was encoded, or is 0. A single value is stored. */
static void test_wire(void **state) {
    size_t count, i;
    (void)state;
    for (count = 2; count <= 700; count += 1 + count / 50) {
        float *values = drawn(count, noise_gaussian, 0.1, count), *decoded;
        packet plain = encode("ternary:pack=base3,seed=3,checksum=0", values, count);
        packet coded = encode("ternary:seed=3", values, count);
        float scale = float_at(plain.bytes + 12);
        assert_int_equal(plain.size, 12 + 4 + (count + 4) / 5);
        decoded = decode(&plain);
        for (i = 0; i < count; i++) {
            assert_true(decoded[i] == scale * (float)(digit_at(plain.bytes + 16, i, count) - 1));
            assert_true(decoded[i] == 0 || (decoded[i] > 0) == (values[i] > 0));
        }
        decode_into(values, &coded); /* packing does not change the values */
        assert_memory_equal(values, decoded, count * sizeof *values);
        free(decoded);
        free(coded.bytes);
        free(plain.bytes);
        free(values);
    }
}

/* A coded byte is at most 242: the mode, a field of the tokens, is shifted to where its neighbour is that, or more. */
static void test_coded_bytes(void **state) {
    float *values = (float *)calloc(3200, sizeof *values), decoded[3200];
    static unsigned char scratch[1 << 20];
    packet made;
    size_t i;
    (void)state;
    assert_non_null(values);
    for (i = 0; i < 3200; i += 480) values[i] = 1; /* the lowest digits of bytes, which are 122 then, and else 121 */
    made = encode("ternary:scale=1,checksum=0", values, 3200);
    assert_int_equal(made.bytes[3], 1);
    assert_int_equal(made.bytes[16], 121);
    assert_in_range(inspect(&made).decode_scratch, 1, sizeof scratch);
    made.bytes[16] = 241;
    assert_int_equal(dtc_decode(decoded, 3200, made.bytes, made.size, NULL, scratch, sizeof scratch), DTC_OK);
    made.bytes[16] = 242;
    assert_int_equal(dtc_decode(decoded, 3200, made.bytes, made.size, NULL, scratch, sizeof scratch),
                     DTC_ERROR_PAYLOAD);
    free(made.bytes);
    free(values);
}

/* Room for sums: the size depends on the count alone, a field is digit + terms. */
static void test_fields(void **state) {
    static const struct {
        const char *spec;
        size_t bits;
    } cases[] = {{"ternary:pack=base3,workers=2,seed=3", 3},   {"ternary:pack=base3,workers=3,seed=3", 3},
                 {"ternary:pack=base3,workers=4,seed=3", 4},   {"ternary:pack=base3,workers=7,seed=3", 4},
                 {"ternary:pack=base3,workers=100,seed=3", 8}, {"ternary:pack=base3,workers=32767,seed=3", 16}};
    float *values = drawn(512, noise_gaussian, 0, 4), *zeros = (float *)calloc(512, sizeof *zeros);
    float *expected = round_trip("ternary:seed=3", values, 512);
    size_t c;
    (void)state;
    assert_non_null(zeros);
    for (c = 0; c < LENGTH(cases); c++) {
        packet made = encode(cases[c].spec, values, 512), empty = encode(cases[c].spec, zeros, 512);
        float *decoded = decode(&made), *nothing = decode(&empty);
        assert_int_equal(made.size, 16 + 4 + 4 + 64 * cases[c].bits);
        assert_int_equal(empty.size, made.size);
        assert_memory_equal(decoded, expected, 512 * sizeof *decoded);
        assert_memory_equal(nothing, zeros, 512 * sizeof *zeros);
        free(nothing);
        free(decoded);
        free(empty.bytes);
        free(made.bytes);
    }
    free(expected);
    free(zeros);
    free(values);
}

/* The scale is the largest magnitude after clipping, rounded up by at most a bit; or what is given. */
static void test_scale(void **state) {
    static const struct {
        const char *spec;
        double clip;
    } cases[] = {{"ternary", 2.5}, {"ternary:clip=1", 1}, {"ternary:clip=0.1", 0.1}, {"ternary:clip=1e30", 1e30}};
    static const double magnitudes[] = {1, 1e-30, 1e30, 1e-42};
    size_t c, m, i;
    (void)state;
    for (c = 0; c < LENGTH(cases); c++) {
        for (m = 0; m < LENGTH(magnitudes); m++) {
            float *values = drawn(3000, noise_laplace, 0, 5);
            double largest, sigma, wanted, scale;
            packet made;
            for (i = 0; i < 3000; i++) values[i] = (float)((double)values[i] * magnitudes[m]);
            measure(values, 3000, &largest, &sigma);
            wanted = fmin(largest, cases[c].clip * sigma);
            made = encode(cases[c].spec, values, 3000);
            scale = (double)float_at(made.bytes + 12);
            CHECK(scale >= wanted * (1 - 1e-12) && scale <= wanted * (1 + 1.3e-7) + 1.5e-45, "%s: %g, not %g",
                  cases[c].spec, scale, wanted);
            free(made.bytes);
            made = encode("ternary:scale=0.7,clip=9", values, 3000);
            assert_true(float_at(made.bytes + 12) == 0.7f);
            free(made.bytes);
            free(values);
        }
    }
}

/* Each block has its scale; a block of zeros stays zero. */
static void test_blocks(void **state) {
    float *values = drawn(1000, noise_gaussian, 0, 6), *decoded;
    packet made;
    double largest, sigma;
    size_t i, b;
    (void)state;
    for (i = 0; i < 1000; i++) values[i] = i / 70 == 3 ? 0.0f : ldexpf(values[i], (int)(i / 70));
    made = encode("ternary:block=70,pack=base3", values, 1000);
    decoded = decode(&made);
    for (b = 0; b < 15; b++) {
        size_t n = b < 14 ? 70 : 20;
        float scale = float_at(made.bytes + 16 + 4 * b);
        measure(values + 70 * b, n, &largest, &sigma);
        assert_true(fabs((double)scale - fmin(largest, 2.5 * sigma)) <= 1.3e-7 * (double)scale);
        for (i = 70 * b; i < 70 * b + n; i++) assert_true(decoded[i] == 0 || fabsf(decoded[i]) == scale);
    }
    free(decoded);
    free(made.bytes);
    free(values);
}

/* Coded scales are at most 2^(1/64) above those that they stand for, never below, and the mean over many seeds is the
 * clipped value. A block of zeros stays zero. */
static void test_coded_scales(void **state) {
    enum { COUNT = 600, BLOCK = 60, SEEDS = 1500 };
    static double sum[COUNT];
    float *values = drawn(COUNT, noise_gaussian, 0, 12), decoded[COUNT], scales[COUNT / BLOCK] = {0};
    dtc_spec spec = spec_of("ternary:block=60");
    size_t i, b;
    (void)state;
    memset(sum, 0, sizeof sum);
    for (i = 0; i < COUNT; i++) values[i] = i / BLOCK == 4 ? 0 : ldexpf(values[i], 3 * (int)(i / BLOCK));
    for (spec.seed = 1; spec.seed <= SEEDS; spec.seed++) {
        packet made = encode_spec(&spec, values, COUNT);
        assert_int_equal(made.bytes[2] & 32, 32);
        decode_into(decoded, &made);
        for (i = 0; i < COUNT; i++) {
            float magnitude = fabsf(decoded[i]);
            sum[i] += (double)decoded[i];
            if (magnitude > 0 && !(scales[i / BLOCK] > 0)) scales[i / BLOCK] = magnitude;
            assert_true(magnitude <= 0 || (magnitude >= scales[i / BLOCK] && magnitude <= scales[i / BLOCK]));
        }
        free(made.bytes);
    }
    for (b = 0; b < COUNT / BLOCK; b++) {
        double largest, sigma, wanted, scale = (double)scales[b];
        measure(values + BLOCK * b, BLOCK, &largest, &sigma);
        wanted = fmin(largest, 2.5 * sigma);
        CHECK(scale >= wanted * (1 - 1e-12) && scale <= wanted * 1.0109, "block %zu: %g, not %g", b, scale, wanted);
        for (i = BLOCK * b; i < BLOCK * (b + 1); i++) {
            double x = fmax(-scale, fmin(scale, (double)values[i]));
            double deviation = sqrt(fabs(x) * (scale - fabs(x)) / SEEDS), off = sum[i] / SEEDS - x;
            CHECK(fabs(off) <= 6 * deviation + 1e-6 * scale, "value %zu: off by %g, sigma %g", i, off, deviation);
        }
    }
    free(values);
}

/* With a residual the scales that fit the digits are coded, and the residual is what these packets lack. */
static void test_coded_residual(void **state) {
    enum { COUNT = 5000 };
    float *values = drawn(COUNT, noise_laplace, 0, 13), *residual = floats(COUNT), *decoded;
    dtc_spec spec = spec_of("ternary:block=50");
    size_t bound = dtc_encode_bound(&spec, COUNT), scratch = dtc_encode_scratch(&spec, COUNT), i;
    unsigned char *room = (unsigned char *)memory(scratch);
    packet made;
    (void)state;
    made.bytes = (unsigned char *)memory(bound);
    memset(residual, 0, 4 * COUNT);
    assert_int_equal(dtc_encode_residual(&spec, made.bytes, bound, &made.size, values, residual, COUNT, room, scratch),
                     DTC_OK);
    assert_int_equal(made.bytes[2] & 32, 32);
    decoded = decode(&made);
    for (i = 0; i < COUNT; i++) {
        float left = values[i] - decoded[i];
        CHECK(float_bits(left) == float_bits(residual[i]), "value %zu: %g, not %g", i, (double)residual[i],
              (double)left);
    }
    free(decoded);
    free(made.bytes);
    free(room);
    free(residual);
    free(values);
}

/* A value far outside the others is sent as it is, and the scale is that of the others. */
static void test_outliers(void **state) {
    static const struct {
        const char *spec;
        int apart;
    } cases[] = {{"ternary", 1},         {"ternary:pack=base3", 0}, {"ternary:clip=2.5", 0},
                 {"ternary:scale=1", 0}, {"ternary:workers=2", 0},  {"ternary:block=2048", 0}};
    enum { COUNT = 4096, PLACE = 777 };
    float *values = drawn(COUNT, noise_gaussian, 0, 14), *decoded;
    double largest, sigma;
    size_t c, i;
    packet made;
    (void)state;
    values[PLACE] = 0;
    measure(values, COUNT, &largest, &sigma);
    values[PLACE] = -1e6f;
    for (c = 0; c < LENGTH(cases); c++) {
        made = encode(cases[c].spec, values, COUNT);
        assert_int_equal(made.bytes[2] & 32 ? made.bytes[12] : 0, cases[c].apart ? 2 : 0);
        decoded = decode(&made);
        assert_int_equal(float_bits(decoded[PLACE]) == float_bits(values[PLACE]), cases[c].apart);
        for (i = 0; i < COUNT && cases[c].apart; i++)
            CHECK(i == PLACE || fabs((double)decoded[i]) <= 2.51 * sigma, "value %zu: %g", i, (double)decoded[i]);
        free(decoded);
        if (cases[c].apart) assert_int_equal(dtc_packet_scale(made.bytes, made.size, 1e37f), DTC_ERROR_NONFINITE);
        assert_int_equal(dtc_packet_scale(made.bytes, made.size, 0.5f), DTC_OK);
        decoded = decode(&made);
        if (cases[c].apart) assert_true(float_bits(decoded[PLACE]) == float_bits(-5e5f));
        free(decoded);
        free(made.bytes);
    }
    memset(values, 0, 4 * COUNT);
    for (i = 0; i < COUNT; i += 300) values[i] = 1 + (float)i; /* 14 values, in a packet of them alone */
    made = encode("ternary", values, COUNT);
    assert_int_equal(made.size, 13 + 4 + 2 + 14 * 6 + 4);
    decoded = decode(&made);
    assert_memory_equal(decoded, values, 4 * COUNT);
    free(decoded);
    free(made.bytes);
    free(values);
}

static void test_extremes(void **state) {
    static const float constants[] = {1, -0.3f, FLT_MAX, -FLT_MAX, FLT_MIN, 1e-45f, -3e-44f};
    float values[300], *decoded;
    size_t c, i;
    packet made;
    (void)state;
    for (c = 0; c < LENGTH(constants); c++) { /* a constant is its own scale, and never drawn to 0 */
        for (i = 0; i < 300; i++) values[i] = constants[c];
        decoded = round_trip("ternary", values, 300);
        assert_memory_equal(decoded, values, sizeof values);
        free(decoded);
    }
    memset(values, 0, sizeof values);
    made = encode("ternary", values, 300); /* zeros cost no payload but the scale */
    assert_int_equal(made.size, 16 + 4);
    decoded = decode(&made);
    assert_memory_equal(decoded, values, sizeof values);
    free(decoded);
    free(made.bytes);
}

/* The mean over many seeds is the value, clipped; each within six sigma of its own, all together within six of theirs.
 */
static void check_unbiased(const char *text, double bound) {
    enum { COUNT = 200, SEEDS = 4000 };
    static double sum[COUNT];
    float *values = drawn(COUNT, noise_laplace, 0.1, 7), decoded[COUNT];
    dtc_spec spec = spec_of(text);
    double total = 0, scale = 0;
    size_t i, n = 0;
    memset(sum, 0, sizeof sum);
    for (spec.seed = 1; spec.seed <= SEEDS; spec.seed++) {
        packet made = encode_spec(&spec, values, COUNT);
        decode_into(decoded, &made);
        scale = (double)float_at(made.bytes + 12);
        for (i = 0; i < COUNT; i++) sum[i] += (double)decoded[i];
        free(made.bytes);
    }
    assert_true(bound <= 0 || scale <= bound * 1.0001);
    for (i = 0; i < COUNT; i++) {
        double x = fmax(-scale, fmin(scale, (double)values[i])), chance = fabs(x) / scale;
        double deviation = scale * sqrt(chance * (1 - chance) / SEEDS), off = sum[i] / SEEDS - x;
        if (deviation < 1e-6 * scale) {
            assert_true(fabs(off) <= 1e-3 * scale);
            continue;
        }
        CHECK(fabs(off) < 6 * deviation, "%s, value %zu: off by %.1f sigma", text, i, off / deviation);
        total += off * off / deviation / deviation;
        n++;
    }
    assert_true(n > COUNT / 2);
    CHECK(fabs(total - (double)n) < 6 * sqrt(2.0 * (double)n), "%s: %g over %zu values", text, total, n);
    free(values);
}

static void test_unbiased(void **state) {
    (void)state;
    check_unbiased("ternary", 0);
    check_unbiased("ternary:clip=1", 0);
    check_unbiased("ternary:scale=20,pack=base3", 20);
}

/* A value's draw depends on the seed and its index alone: not on what else the tensor holds. */
static void test_seekable(void **state) {
    float *values = drawn(5000, noise_gaussian, 0, 8);
    float *all = round_trip("ternary:scale=4,seed=99", values, 5000), *part;
    float *other = round_trip("ternary:scale=4,seed=100", values, 5000);
    size_t count;
    (void)state;
    assert_memory_not_equal(all, other, 5000 * sizeof *all);
    for (count = 2; count < 5000; count += 1 + count / 3) {
        part = round_trip("ternary:scale=4,seed=99", values, count);
        assert_memory_equal(part, all, count * sizeof *all);
        free(part);
        part = round_trip("ternary:scale=4,seed=99,block=13", values, count);
        assert_memory_equal(part, all, count * sizeof *all);
        free(part);
    }
    free(other);
    free(all);
    free(values);
}

/* With a residual and scales of its own, a packet leaves less than 0.6 |x|^2, or less than 1 - 0.64 c if the best scale
 * leaves 1 - c. That is more than the least that three levels can leave (0.190 for Gaussian values: Max, Quantizing for
 * minimum distortion, 1960), because it trains better. One value, which is exactly ternary, leaves nothing. No tensor,
 * however small its values are, waits for ever, and a clip that is given bounds the choice. */
static void test_left_residual(void **state) {
    static const double most[] = {0.30, 0.54};
    static const size_t counts[] = {1, 2, 7, 300, 100000};
    size_t d, c, i;
    (void)state;
    for (d = 0; d < 2; d++) {
        for (c = 0; c < 2 * LENGTH(counts); c++) {
            size_t count = counts[c / 2], bytes;
            float *values = drawn(count, d ? noise_laplace : noise_gaussian, 0, 3 + c), *residual = floats(count);
            dtc_spec spec = spec_of("ternary");
            size_t bound = dtc_encode_bound(&spec, count), scratch = dtc_encode_scratch(&spec, count);
            unsigned char *to = (unsigned char *)memory(bound), *room = (unsigned char *)memory(scratch);
            double left = 0, norm = 0;
            memset(residual, 0, 4 * count);
            for (i = 0; i < count && c % 2; i++) values[i] *= 1e-42f;
            assert_int_equal(dtc_encode_residual(&spec, to, bound, &bytes, values, residual, count, room, scratch),
                             DTC_OK);
            for (i = 0; i < count; i++) {
                left += (double)residual[i] * (double)residual[i];
                norm += (double)values[i] * (double)values[i];
            }
            CHECK(left < norm, "%zu values, %g of %g", count, left, norm);
            if (count == 1) CHECK(left <= 1e-12 * norm, "one value: %g of %g", left, norm);
            if (count > 1000 && c % 2 == 0) CHECK(left < most[d] * norm, "%zu values, %g", count, left / norm);
            free(room);
            free(to);
            free(residual);
            free(values);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wire),           cmocka_unit_test(test_coded_bytes),
        cmocka_unit_test(test_fields),         cmocka_unit_test(test_scale),
        cmocka_unit_test(test_blocks),         cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_unbiased),       cmocka_unit_test(test_seekable),
        cmocka_unit_test(test_left_residual),  cmocka_unit_test(test_coded_scales),
        cmocka_unit_test(test_coded_residual), cmocka_unit_test(test_outliers),
    };
    return cmocka_run_group_tests_name("ternary", tests, NULL, NULL);
}
