/* What a rate buys: errors near the bound, a ceiling that holds, packets that always carry something, outliers apart.
 */
#include "helpers.h"

/* Squared error over squared norm, and bits a value. */
static double error_of(const char *text, const float *values, size_t count, double *bits) {
    packet made = encode(text, values, count);
    float *decoded = decode(&made);
    double error = 0, norm = 0;
    size_t i;
    for (i = 0; i < count; i++) {
        double off = (double)values[i] - (double)decoded[i];
        error += off * off;
        norm += (double)values[i] * (double)values[i];
    }
    *bits = 8.0 * (double)made.size / (double)count;
    free(decoded);
    free(made.bytes);
    return error / norm;
}

/* The bound is the least error of any scalar quantizer with uniform thresholds, a zero bin of free width and centroids,
 * at this entropy. It was computed from the densities. */
static void test_bound(void **state) {
    static const struct {
        double rate, gaussian, laplace;
    } rows[] = {{.1, .908, .832}, {.219, .812, .701}, {.5, .616, .487},
                {1, .348, .261},  {2, .0889, .0729},  {3, .0222, .0190}};
    size_t r, d;
    (void)state;
    for (d = 0; d < 2; d++) {
        float *values = drawn(MEBI, d ? noise_laplace : noise_gaussian, 0, 1 + d);
        for (r = 0; r < LENGTH(rows); r++) {
            double bound = d ? rows[r].laplace : rows[r].gaussian, bits, error, nearest;
            char text[64];
            snprintf(text, sizeof text, "quant:rate=%g", rows[r].rate);
            error = error_of(text, values, MEBI, &bits);
            CHECK(bits <= rows[r].rate, "%s: %.4f bits", text, bits);
            CHECK(error <= 1.04 * bound, "%s: %.4f, bound %.4f", text, error, bound);
            snprintf(text, sizeof text, "quant:rate=%g,rounding=nearest", rows[r].rate);
            nearest = error_of(text, values, MEBI, &bits);
            CHECK(nearest > error, "%s: %.4f and %.4f", text, nearest, error);
        }
        free(values);
    }
}

/* rounding=rd with bits has less error at the bits that it comes to than rounding to the nearest has. */
static void test_bits(void **state) {
    float *values = drawn(100000, noise_laplace, 0.5, 3);
    int bits;
    (void)state;
    for (bits = 2; bits <= 8; bits++) {
        double spent, error, rate, nearest;
        char text[64];
        snprintf(text, sizeof text, "quant:rounding=rd,bits=%d", bits);
        error = error_of(text, values, 100000, &spent);
        snprintf(text, sizeof text, "quant:rounding=nearest,rate=%.5f", spent);
        nearest = error_of(text, values, 100000, &rate);
        CHECK(error < nearest, "%d bits: %.3g at %.4f bits, nearest %.3g at %.4f", bits, error, spent, nearest, rate);
    }
    free(values);
}

/* Tensors of every kind, shape k: constant plus noise, huge, tiny, sparse, heavy tails, one outlier, signs, integers.
 */
static void shape(float *values, size_t count, int kind, uint64_t *seed) {
    double centre = exp(10 * noise_gaussian(seed)), scale = exp(5 * noise_gaussian(seed));
    size_t i;
    for (i = 0; i < count; i++) {
        double g = noise_gaussian(seed), u = noise_uniform(seed), x = g;
        if (kind == 0) x = centre + scale * g;
        if (kind == 1) x = scale * g;
        if (kind == 2) x = 3e38 * (2 * u - 1);
        if (kind == 3) x = 1e-42 * g;
        if (kind == 4) x = u < 0.01 ? g : 0;
        if (kind == 5) x = g * g * g * g * g;
        if (kind == 6) x = i == count / 2 ? 1e6 : g;
        if (kind == 7) x = u < 0.5 ? -1 : 1;
        if (kind == 8) x = floor(4 * u);
        values[i] = (float)x;
    }
}

/* The rate is a ceiling, unless the packet is already the smallest that carries something: a head, a place and a float.
 * Whatever has information uses the budget, and no packet is empty. */
static void test_ceiling(void **state) {
    static const char *const rests[] = {"",          ",rounding=nearest", ",rounding=stochastic",
                                        ",rotate=1", ",grid=even",        ",block=300"};
    uint64_t seed = 1;
    int t;
    (void)state;
    for (t = 0; t < 2000; t++) {
        size_t count = (size_t)exp(noise_uniform(&seed) * log(t % 10 ? 20000.0 : 100000.0)) + 1, i;
        double rate = 0.002 * exp(noise_uniform(&seed) * log(5000.0)), bits, error;
        float *values = floats(count);
        int kind = t % 9, some = 0;
        char text[96];
        snprintf(text, sizeof text, "quant:rate=%.6g%s", rate, rests[t / 9 % 6]);
        shape(values, count, kind, &seed);
        for (i = 0; i < count; i++) some |= fabsf(values[i]) > 1e-18f;
        error = error_of(text, values, count, &bits);
        CHECK(bits <= rate * (1 + 1e-6) || bits * (double)count < 8 * 29.5, "%s of %zu, shape %d: %.4f bits", text,
              count, kind, bits);
        if (kind != 0 && kind < 3 && rate * (double)count > 4000 && rate < 9)
            CHECK(bits >= 0.97 * rate, "%s of %zu, shape %d: %.4f bits", text, count, kind, bits);
        if (some && (t / 9 % 6 < 2 || t / 9 % 6 == 5)) /* unbiased rounding and grids without 0 may exceed 1 */
            CHECK(error < 1, "%s of %zu, shape %d: error %g", text, count, kind, error);
        free(values);
    }
}

/* With a residual, tensors of any size always send something: no value waits for ever. */
static void test_never_nothing(void **state) {
    static const char *const specs[] = {"quant:rate=0.5", "quant:rate=1", "quant:rate=2", "quant:rate=3",
                                        "quant:rotate=1,rate=1"};
    size_t s, count, i;
    (void)state;
    for (s = 0; s < LENGTH(specs); s++) {
        dtc_spec spec = spec_of(specs[s]);
        for (count = 1; count <= 2000; count += count < 400 ? 3 : 37) {
            float *values = drawn(count, noise_gaussian, 0, count), *residual = floats(count);
            size_t bound = dtc_encode_bound(&spec, count), scratch = dtc_encode_scratch(&spec, count), bytes;
            unsigned char *to = (unsigned char *)memory(bound);
            double left = 0, norm = 0;
            int step;
            memset(residual, 0, 4 * count);
            for (step = 1; step <= 400; step++) {
                spec.seed = (uint64_t)step;
                assert_int_equal(
                    dtc_encode_residual(&spec, to, bound, &bytes, values, residual, count, workspace(scratch), scratch),
                    DTC_OK);
            }
            for (i = 0; i < count; i++) {
                left += (double)residual[i] * (double)residual[i];
                norm += (double)values[i] * (double)values[i];
            }
            CHECK(left <= (double)count * (double)count * norm, "%s of %zu: %g times the gradient", specs[s], count,
                  left / norm);
            free(to);
            free(residual);
            free(values);
        }
    }
}

/* A packet of the largest values alone fits into just its size, though its head has no seed; and what it leaves in the
 * residual is exactly the other values. */
static void test_largest(void **state) {
    static const char *const specs[] = {"quant:rate=1.1,seed=5", "quant:rotate=1,rate=1.1,seed=5",
                                        "quant:rounding=stochastic,rate=1.1,seed=5", "quant:rate=1.1,block=7"};
    size_t s, i;
    (void)state;
    for (s = 0; s < LENGTH(specs); s++) {
        float *values = drawn(200, noise_gaussian, 0, s), *residual = floats(200), *decoded;
        dtc_spec spec = spec_of(specs[s]);
        size_t scratch = dtc_encode_scratch(&spec, 200), bytes;
        unsigned char *room = (unsigned char *)memory(scratch), *to;
        packet made = encode(specs[s], values, 200);
        decoded = decode(&made);
        assert_in_range(made.size, 23, 27);
        to = (unsigned char *)memory(made.size);
        assert_int_equal(dtc_encode(&spec, to, made.size - 1, &bytes, values, 200, room, scratch), DTC_ERROR_CAPACITY);
        assert_int_equal(bytes, 0);
        memset(residual, 0, 800);
        assert_int_equal(dtc_encode_residual(&spec, to, made.size, &bytes, values, residual, 200, room, scratch),
                         DTC_OK);
        assert_int_equal(bytes, made.size);
        assert_memory_equal(to, made.bytes, bytes);
        for (i = 0; i < 200; i++) {
            assert_true(float_bits(decoded[i]) == 0 || float_bits(decoded[i]) == float_bits(values[i]));
            assert_true(float_bits(residual[i]) == (float_bits(decoded[i]) ? 0 : float_bits(values[i])));
        }
        free(to);
        free(room);
        free(decoded);
        free(made.bytes);
        free(residual);
        free(values);
    }
}

/* A value far outside the others travels apart, and the others keep their precision. */
static void test_outliers(void **state) {
    static const char *const specs[] = {"quant:bits=auto",
                                        "quant:nmse=0.0025",
                                        "quant:bits=8",
                                        "quant:bits=8,entropy=none",
                                        "quant:bits=8,grid=even",
                                        "quant:bits=8,block=1000",
                                        "quant:bits=8,rounding=stochastic",
                                        "quant:rate=6",
                                        "quant:max-error=0.01"};
    static const size_t counts[] = {300, 5000, 262144};
    size_t s, c, i;
    (void)state;
    for (s = 0; s < LENGTH(specs); s++) {
        for (c = 0; c < LENGTH(counts); c++) {
            float *values = drawn(counts[c], noise_gaussian, 0.1, s), *decoded;
            double error = 0, norm = 0;
            packet made;
            values[counts[c] / 3] = 1e4f;
            values[counts[c] / 2] = -3e5f;
            made = encode(specs[s], values, counts[c]);
            decoded = decode(&made);
            for (i = 0; i < counts[c]; i++) {
                double off = (double)values[i] - (double)decoded[i];
                if (fabsf(values[i]) > 1000) {
                    assert_true(off == 0);
                    continue;
                }
                error += off * off;
                norm += (double)values[i] * (double)values[i];
            }
            CHECK(error < 0.01 * norm, "%s of %zu: %g", specs[s], counts[c], error / norm);
            assert_int_equal(inspect(&made).codec, DTC_QUANT);
            assert_int_equal(dtc_packet_scale(made.bytes, made.size, 2), DTC_OK);
            decode_into(decoded, &made);
            assert_true(decoded[counts[c] / 3] == 2e4f && decoded[counts[c] / 2] == -6e5f);
            assert_int_equal(dtc_packet_scale(made.bytes, made.size, FLT_MAX), DTC_ERROR_NONFINITE);
            free(decoded);
            free(made.bytes);
            free(values);
        }
    }
}

/* Most values are 0 and the rest is alike: there are no outliers, and the packet stays as small as it was. */
static void test_no_outliers(void **state) {
    float *values = drawn(3200000, noise_gaussian, 0.999, 5);
    double bits;
    (void)state;
    (void)error_of("quant:bits=4", values, 3200000, &bits);
    CHECK(bits < 0.02, "%.4f bits", bits);
    free(values);
}

/* The squared error is at most `nmse`, and near it, for values of continuous distributions. Where the mean is large, it
 * is small enough to tell the values from their mean. */
static void test_nmse(void **state) {
    static const char *const rests[] = {"",          ",grid=even",    ",rounding=stochastic", ",rounding=rd",
                                        ",rotate=1", ",entropy=none", ",block=300",           ",rotate=1,unbiased=0"};
    static const double aims[] = {0.01, 1e-4, 0.001, 0.05, 0.3};
    uint64_t seed = 1;
    int t;
    (void)state;
    for (t = 0; t < 1000; t++) {
        size_t count = (size_t)exp(noise_uniform(&seed) * log(t % 10 ? 20000.0 : 400000.0)) + 1, i;
        double nmse = aims[t % 5], bits, error, mean = 0, spread = 0, norm = 0;
        const char *rest = rests[t / 5 % 8];
        float *values = floats(count);
        int kind = t / 40 % 9;
        char text[96];
        snprintf(text, sizeof text, "quant:nmse=%g%s", nmse, rest);
        shape(values, count, kind, &seed);
        for (i = 0; i < count; i++) mean += (double)values[i] / (double)count;
        for (i = 0; i < count; i++) {
            spread += ((double)values[i] - mean) * ((double)values[i] - mean);
            norm += (double)values[i] * (double)values[i];
        }
        error = error_of(text, values, count, &bits);
        if (!(norm > 0)) error = 0;
        CHECK(error <= 1.0001 * nmse, "%s of %zu, shape %d: error %g", text, count, kind, error);
        CHECK(error * norm <= 1.0001 * fmin(4 * nmse, 0.9) * spread + 1e-14 * norm, "%s of %zu, shape %d: %g of spread",
              text, count, kind, error * norm / spread);
        if ((kind == 1 || kind == 2) && count > 2000 && nmse < 0.1)
            CHECK(error >= 0.95 * nmse, "%s of %zu, shape %d: error %g", text, count, kind, error);
        free(values);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bound),         cmocka_unit_test(test_bits),    cmocka_unit_test(test_ceiling),
        cmocka_unit_test(test_never_nothing), cmocka_unit_test(test_largest), cmocka_unit_test(test_outliers),
        cmocka_unit_test(test_no_outliers),   cmocka_unit_test(test_nmse),
    };
    return cmocka_run_group_tests_name("rate", tests, NULL, NULL);
}
