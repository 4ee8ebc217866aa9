/* Rates: what packets cost, every byte counted, beside the entropy of what they hold. */
#include "helpers.h"

/* Order-0 entropy of decoded values, and what it rests on. */
typedef struct histogram {
    double entropy;             /* bits a value */
    size_t singletons, nonzero; /* values whose bin holds no other; values that are not 0 */
} histogram;

#define SLOTS ((size_t)1 << 21) /* of a hash table; twice the values, so that probes stay short */

static histogram histogram_of(const float *values, size_t count) {
    uint32_t *keys = (uint32_t *)memory(SLOTS * sizeof *keys);
    uint32_t *counts = (uint32_t *)calloc(SLOTS, sizeof *counts);
    histogram h = {0, 0, 0};
    size_t i, slot;
    assert_non_null(counts);
    for (i = 0; i < count; i++) {
        uint32_t key = float_bits(values[i] + 0.0f); /* -0 is 0 */
        for (slot = key * 2654435769u >> 11; counts[slot] && keys[slot] != key;) slot = (slot + 1) % SLOTS;
        keys[slot] = key;
        counts[slot]++;
    }
    for (slot = 0; slot < SLOTS; slot++) {
        if (counts[slot]) h.entropy -= counts[slot] * log2((double)counts[slot] / (double)count) / (double)count;
        if (counts[slot] && keys[slot]) h.nonzero += counts[slot];
        if (counts[slot] == 1) h.singletons++;
    }
    free(counts);
    free(keys);
    return h;
}

/* Entropy of the bins of this width; what the encoder does is found out from its packet, this only finds the width. */
static double entropy_at(const float *values, size_t count, double step) {
    static uint32_t counts[1 << 18];
    double entropy = 0;
    size_t i;
    memset(counts, 0, sizeof counts);
    for (i = 0; i < count; i++)
        counts[(size_t)((int)floor((double)values[i] / step + 0.5) + (1 << 17)) % LENGTH(counts)]++;
    for (i = 0; i < LENGTH(counts); i++)
        if (counts[i]) entropy -= counts[i] * log2((double)counts[i] / (double)count) / (double)count;
    return entropy;
}

/* The width at which the bins of the values have this entropy. */
static double step_for(const float *values, size_t count, double entropy, double finest) {
    double low = finest, high = 20;
    int i;
    for (i = 0; i < 14; i++) {
        double step = sqrt(low * high);
        *(entropy_at(values, count, step) > entropy ? &low : &high) = step;
    }
    return sqrt(low * high);
}

static const double entropies[] = {0.05, 0.2, 0.5, 1, 2, 4, 7, 10, 12};

/* What a packet with bins of this width costs, against the bins' entropy; the decoded values tell the bins apart. */
static void check_rate(const char *name, const float *values, double step) {
    dtc_spec spec = spec_of("quant");
    packet made;
    float *decoded;
    histogram h;
    double bits;
    spec.quant.max_error = (float)(step / 2);
    made = encode_spec(&spec, values, MEBI);
    decoded = decode(&made);
    h = histogram_of(decoded, MEBI);
    bits = 8.0 * (double)made.size / (double)MEBI;
    assert_int_equal(inspect(&made).codec, DTC_QUANT);
    /* Entropy takes the histogram for known. To tell the decoder of a bin that holds one value costs about as much as
     * coding that value, which no coder gets round: entropy is no measure where most values sit alone. */
    if (2 * h.singletons < h.nonzero)
        CHECK(bits <= 1.02 * h.entropy + 0.01, "%s: %.5f bits a value, entropy %.5f, %zu singletons of %zu", name, bits,
              h.entropy, h.singletons, h.nonzero);
    free(decoded);
    free(made.bytes);
}

/* Widths that give the entropies, as far as 16-bit bins can tell the values apart so well; then the finest of all. */
static void test_quant(void **state) {
    static const struct {
        const char *name;
        noise draw;
        double zeros;
    } sources[] = {
        {"Gaussian", noise_gaussian, 0},
        {"Laplace", noise_laplace, 0},
        {"Gaussian, 44 % zeros", noise_gaussian, 0.44},
        {"Laplace, 44 % zeros", noise_laplace, 0.44},
        {"Laplace, 70 % zeros", noise_laplace, 0.70},
        {"Gaussian, 90 % zeros", noise_gaussian, 0.90},
        {"Laplace, 99 % zeros", noise_laplace, 0.99},
    };
    size_t s, e, i;
    (void)state;
    for (s = 0; s < LENGTH(sources); s++) {
        float *values = drawn(MEBI, sources[s].draw, sources[s].zeros, 1 + s), min = 0, max = 0;
        double finest;
        for (i = 0; i < MEBI; i++) {
            min = fminf(min, values[i]);
            max = fmaxf(max, values[i]);
        }
        finest = ((double)max - (double)min) / 65000;
        for (e = 0; e < LENGTH(entropies) && entropy_at(values, MEBI, finest) > entropies[e]; e++)
            check_rate(sources[s].name, values, step_for(values, MEBI, entropies[e], finest));
        assert_in_range(e, sources[s].zeros > 0 ? 2 : 9, 9);
        check_rate(sources[s].name, values, finest);
        free(values);
    }
}

/* P(k) = (1 - t) / (1 + t) * t^|k|: its entropy in bits. */
static double geometric_entropy(double t) {
    double zero = (1 - t) / (1 + t);
    return -log2(zero) - log2(t) * 2 * t / (1 - t) * zero / (1 - t);
}

static void test_geometric(void **state) {
    size_t e, i;
    (void)state;
    for (e = 0; e < LENGTH(entropies); e++) {
        double low = 0, high = 1;
        uint64_t seed = 100 + e;
        float *values = floats(MEBI);
        for (i = 0; i < 50; i++)
            *(geometric_entropy((low + high) / 2) < entropies[e] ? &low : &high) = (low + high) / 2;
        for (i = 0; i < MEBI; i++) { /* the difference of two one-sided draws is two-sided */
            double a = floor(log(noise_uniform(&seed)) / log(low)), b = floor(log(noise_uniform(&seed)) / log(low));
            values[i] = (float)(a - b);
        }
        check_rate("geometric", values, 1.0);
        free(values);
    }
}

/* Whatever the coder may choose, plain fields of the same bins are the ceiling, but for rounding to bytes. */
static void test_never_above_fields(void **state) {
    static const size_t counts[] = {1, 10, 100, 1000, 5000, 100000};
    char coded[64], plain[64];
    int bits;
    size_t c;
    (void)state;
    for (bits = 1; bits <= 16; bits++) {
        for (c = 0; c < LENGTH(counts); c++) {
            float *values = drawn(counts[c], noise_uniform, 0, (uint64_t)bits);
            packet huffman, fields;
            snprintf(coded, sizeof coded, "quant:bits=%d", bits);
            snprintf(plain, sizeof plain, "quant:bits=%d,entropy=none", bits);
            huffman = encode(coded, values, counts[c]);
            fields = encode(plain, values, counts[c]);
            CHECK(huffman.size <= fields.size, "%s, %zu values", coded, counts[c]);
            free(huffman.bytes);
            free(fields.bytes);
            free(values);
        }
    }
}

static void test_ternary(void **state) {
    float *values = drawn(MEBI, noise_gaussian, 0, 7);
    packet coded = encode("ternary:clip=2.5", values, MEBI),
           plain = encode("ternary:clip=2.5,pack=base3", values, MEBI);
    (void)state;
    CHECK(8.0 * (double)coded.size <= 1.25 * (double)MEBI, "%zu bytes", coded.size);
    CHECK(plain.size <= (MEBI + 4) / 5 + 24, "%zu bytes", plain.size);
    free(plain.bytes);
    free(coded.bytes);
    free(values);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quant),
        cmocka_unit_test(test_geometric),
        cmocka_unit_test(test_never_above_fields),
        cmocka_unit_test(test_ternary),
    };
    return cmocka_run_group_tests_name("entropy", tests, NULL, NULL);
}
