/* quant: how far off a value may be, what a packet may cost, and that stochastic rounding is unbiased. */
#include "helpers.h"
#include "training.h"

/* The grid of a packet without rows, block, workers: the width of its bins, and where the first one's centre is. */
typedef struct grid {
    double step, first;
    size_t bins;
} grid;

static grid grid_of(const packet *made) {
    dtc_info info = inspect(made);
    double a = (double)float_from_bits(get32(made->bytes + 12)), b = (double)float_from_bits(get32(made->bytes + 16));
    grid g;
    assert_int_equal(info.codec, DTC_QUANT);
    g.bins = (size_t)1 << info.spec.quant.bits;
    g.step = info.spec.quant.grid == DTC_GRID_EVEN ? 2 * b : a;
    g.first = info.spec.quant.grid == DTC_GRID_EVEN ? a + b : a * (double)(int32_t)get32(made->bytes + 16);
    return g;
}

static void range_of(const float *values, size_t count, double *min, double *max) {
    size_t i;
    *min = *max = (double)values[0];
    for (i = 1; i < count; i++) {
        *min = fmin(*min, (double)values[i]);
        *max = fmax(*max, (double)values[i]);
    }
}

/* Half the distance between the floats around x, at the most: what rounding the decoded value to fp32 adds. */
static double half_ulp(double x) {
    return fabs(x) / 16777216 + 7.1e-46;
}

static double largest_error(const float *values, const float *decoded, size_t count) {
    double largest = 0;
    size_t i;
    for (i = 0; i < count; i++) largest = fmax(largest, fabs((double)values[i] - (double)decoded[i]));
    return largest;
}

/* Nearest rounding: half a bin. The bins are as narrow as their number allows, and values decode to their centres. */
static void check_half_bin(const char *text, const float *values, size_t count) {
    packet made = encode(text, values, count);
    float *decoded = decode(&made);
    grid g = grid_of(&made);
    double min, max, levels = (double)g.bins;
    size_t i;
    range_of(values, count, &min, &max);
    if (inspect(&made).spec.quant.grid == DTC_GRID_ZERO) levels -= 1;
    CHECK(g.step <= (max - min) / levels * (1 + 3e-7) + 3e-45, "%s: bins of %g over %g", text, g.step, max - min);
    for (i = 0; i < count; i++) {
        double bin = floor(((double)decoded[i] - g.first) / g.step + 0.5), off = (double)values[i] - (double)decoded[i];
        CHECK(fabs(off) <= g.step / 2 * (1 + 1e-9) + half_ulp((double)decoded[i]), "%s: %g is off by %g, bins of %g",
              text, (double)values[i], off, g.step);
        CHECK(bin >= 0 && bin < (double)g.bins, "%s: bin %g of %zu", text, bin, g.bins);
        CHECK(fabs((double)decoded[i] - g.first - bin * g.step) <= 2 * half_ulp((double)decoded[i]), "%s: %g", text,
              (double)decoded[i]);
    }
    free(decoded);
    free(made.bytes);
}

static void test_half_bin(void **state) {
    static const char *const rests[] = {"", ",grid=even", ",entropy=none", ",grid=even,entropy=none"};
    static const double scales[] = {1, 1e-20, 1e30, 3e-43}, offsets[] = {0, 7, -7};
    char text[64];
    int bits;
    size_t r, s, o, i;
    (void)state;
    for (s = 0; s < LENGTH(scales); s++) {
        for (o = 0; o < LENGTH(offsets); o++) {
            float *values = floats(2000);
            uint64_t seed = 1;
            for (i = 0; i < 2000; i++) values[i] = (float)((noise_gaussian(&seed) + offsets[o]) * scales[s]);
            for (bits = 2; bits <= 16; bits++) { /* the two grid points of one bit do not span the range */
                for (r = 0; r < LENGTH(rests); r++) {
                    snprintf(text, sizeof text, "quant:bits=%d%s", bits, rests[r]);
                    check_half_bin(text, values, 2000);
                }
            }
            free(values);
        }
    }
}

/* One bit decodes to two means: sign times mean for values around 0, whose error is 1 - 2 / pi for Gaussian ones; 0 and
 * one mean where most values are 0, which stay 0. */
static void test_one_bit(void **state) {
    static const char *const rests[] = {"", ",entropy=none", ",block=500"};
    size_t r, i;
    int kind;
    (void)state;
    for (r = 0; r < LENGTH(rests); r++) {
        for (kind = 0; kind < 4; kind++) {
            static const double most[] = {0.37, 0.7, 0.02, 0.9};
            float *values = drawn(50000, noise_gaussian, kind == 1 ? 0.99 : 0, 7), *decoded;
            double error = 0, norm = 0;
            char text[64];
            snprintf(text, sizeof text, "quant:bits=1%s", rests[r]);
            for (i = 0; i < 50000; i++) {
                if (kind == 2) values[i] += 5;
                if (kind == 3) values[i] *= values[i] * values[i];
            }
            decoded = round_trip(text, values, 50000);
            for (i = 0; i < 50000; i++) {
                double off = (double)values[i] - (double)decoded[i];
                error += off * off;
                norm += (double)values[i] * (double)values[i];
                if (kind == 1 && float_bits(values[i]) == 0) assert_true(float_bits(decoded[i]) == 0);
            }
            CHECK(error <= most[kind] * norm, "%s, kind %d: %.4f", text, kind, error / norm);
            free(decoded);
            free(values);
        }
    }
}

/* unbiased=0: the least squared error, on any distribution. */
static void test_rotated_least(void **state) {
    static const double most[] = {0.365, 0.0925, 0.0231, 0.0058};
    static const noise draws[] = {noise_gaussian, noise_laplace};
    int rate;
    size_t d, i;
    (void)state;
    for (d = 0; d < LENGTH(draws); d++) {
        float *values = drawn(MEBI, draws[d], d ? 0.9 : 0, 4), *decoded;
        for (rate = 1; rate <= 4; rate++) {
            double error = 0, norm = 0;
            char text[64];
            snprintf(text, sizeof text, "quant:rotate=1,unbiased=0,rate=%d,seed=3", rate);
            decoded = round_trip(text, values, MEBI);
            for (i = 0; i < MEBI; i++) {
                double off = (double)values[i] - (double)decoded[i];
                error += off * off;
                norm += (double)values[i] * (double)values[i];
            }
            CHECK(error <= most[rate - 1] * norm, "%s, %zu: %.5f", text, d, error / norm);
            free(decoded);
        }
        free(values);
    }
}

/* Each block is as fine as its own range. Steps of coded grids are up to 2^(1/32) larger. */
static void test_blocks(void **state) {
    static const char *const specs[] = {"quant:bits=5,block=100", "quant:bits=5,block=100,grid=even",
                                        "quant:bits=5,block=100,entropy=none"};
    float *values = drawn(1050, noise_gaussian, 0, 2), *decoded;
    size_t s, i, b;
    (void)state;
    for (i = 0; i < 1050; i++) values[i] = ldexpf(values[i], (int)(i / 100) * 3);
    for (s = 0; s < LENGTH(specs); s++) {
        decoded = round_trip(specs[s], values, 1050);
        for (b = 0; b < 11; b++) {
            size_t n = b < 10 ? 100 : 50;
            double min, max;
            range_of(values + 100 * b, n, &min, &max);
            assert_true(largest_error(values + 100 * b, decoded + 100 * b, n) <=
                        (max - min) / 31 / 2 * (s ? 1.000001 : 1.02190));
        }
        free(decoded);
    }
    free(values);
}

/* No value is off by more, be the bound far below the values' precision or far above the values. */
static void test_max_error(void **state) {
    static const char *const rests[] = {
        "",         ",grid=even", ",rounding=stochastic", ",grid=even,rounding=stochastic", ",entropy=none,workers=3",
        ",block=70"};
    static const double scales[] = {1, 1e-30, 1e30, 1e-42};
    char text[96];
    size_t r, s, i;
    int power, raw = 0, zeros = 0;
    (void)state;
    for (s = 0; s < LENGTH(scales); s++) {
        float *values = drawn(500, noise_laplace, 0.05, 3);
        for (i = 0; i < 500; i++) values[i] = (float)((double)values[i] * scales[s]);
        for (power = -33; power <= 9; power++) {
            double bound = ldexp(1.37 * scales[s], power);
            if ((float)bound <= 0 || bound > (double)FLT_MAX) continue;
            for (r = 0; r < LENGTH(rests); r++) {
                packet made;
                float *decoded;
                double off;
                snprintf(text, sizeof text, "quant:max-error=%.9g%s", bound, rests[r]);
                bound = (double)spec_of(text).quant.max_error;
                made = encode(text, values, 500);
                decoded = decode(&made);
                off = largest_error(values, decoded, 500);
                CHECK(off <= bound, "%s: off by %.9g", text, off);
                raw += inspect(&made).codec == DTC_RAW;
                if (power == 9 && rests[r][0] == 0) { /* all are 0 */
                    assert_int_equal(made.size, 24);
                    for (i = 0; i < 500; i++) assert_true(decoded[i] == 0);
                    zeros++;
                }
                free(decoded);
                free(made.bytes);
            }
        }
        free(values);
    }
    assert_true(raw > 0 && zeros > 0);
}

/* At most `rate` bits a value, and at least a part `least` of that. */
static void check_rate(noise draw, double zeros, size_t count, double rate, const char *rest, double least) {
    float *values = drawn(count, draw, zeros, count);
    char text[64];
    packet made;
    double bits;
    snprintf(text, sizeof text, "quant:rate=%g%s", rate, rest);
    made = encode(text, values, count);
    bits = 8.0 * (double)made.size / (double)count;
    CHECK(bits <= rate * (1 + 1e-7), "%s, %zu values: %.4f bits", text, count, bits);
    CHECK(bits >= least * rate, "%s, %zu values: %.4f bits", text, count, bits);
    free(made.bytes);
    free(values);
}

/* Where the data has as much to tell, the packet comes close to what it may take. */
static void test_rate(void **state) {
    static const double rates[] = {0.05, 0.07, 0.1, 0.3, 0.5, 0.9, 1, 1.1, 1.5, 2, 3, 4.7, 6, 8, 10, 12, 13, 14};
    static const size_t counts[] = {10000, 31623, 100000};
    static const noise draws[] = {noise_gaussian, noise_laplace};
    size_t r, c, d;
    (void)state;
    for (r = 0; r < LENGTH(rates); r++) {
        for (c = 0; c < LENGTH(counts); c++)
            for (d = 0; d < LENGTH(draws); d++) /* some hundred bytes cannot be filled so closely */
                check_rate(draws[d], 0, counts[c], rates[r], "", rates[r] * (double)counts[c] < 2000 ? 0 : 0.98);
        if (r % 3 == 0) check_rate(draws[r % 2], 0, MEBI, rates[r], "", 0.98);
    }
    for (d = 0; d < LENGTH(draws); d++) {
        check_rate(draws[d], 0, 50000, 2.5, ",grid=even", 0.98);
        check_rate(draws[d], 0, 50000, 2.5, ",rounding=stochastic", 0.98);
        check_rate(draws[d], 0, 50000, 0.5, ",grid=even,rounding=stochastic", 0.98);
        check_rate(draws[d], 0, 50000, 3, ",block=1000", 0.98);
        check_rate(draws[d], 0.9, 50000, 0.6, "", 0.98);
        check_rate(draws[d], 0.99, 50000, 0.1, "", 0.98);
    }
}

/* The ceiling holds for any data, down to where the head alone is above it. (Stochastic rounding has to tell apart at
 * least two bins, so that there it takes more.) */
static void test_rate_ceiling(void **state) {
    static const char *const rests[] = {"", ",grid=even", ",min=-1,max=1", ",max=0.5,grid=even", ",workers=5"};
    static const double rates[] = {0.05, 0.2, 1, 3, 8, 16, 20, 31.9};
    static const double zeros[] = {0, 0.5, 0.99, 0.9999, 1};
    static const size_t counts[] = {10, 40, 100, 300, 1000, 5000, 20000};
    size_t r, c, z;
    (void)state;
    for (r = 0; r < LENGTH(rates); r++)
        for (c = 0; c < LENGTH(counts); c++)
            for (z = 0; z < LENGTH(zeros); z++)
                if (rates[r] * (double)counts[c] / 8 >= 28)
                    check_rate(noise_gaussian, zeros[z], counts[c], rates[r], rests[(r + c + z) % LENGTH(rests)], 0);
}

/* Exact zeros stay exact zeros on the default grid, whatever else there is. */
static void test_zeros(void **state) {
    static const char *const rests[] = {"", ",rounding=stochastic", ",entropy=none", ",block=33", ",workers=3"};
    char text[64];
    int bits;
    size_t r, i;
    uint64_t seed = 4;
    (void)state;
    for (bits = 2; bits <= 16; bits++) {
        for (r = 0; r < LENGTH(rests); r++) {
            float values[500], *decoded;
            double shift = noise_gaussian(&seed), scale = exp(20 * noise_gaussian(&seed));
            for (i = 0; i < 500; i++) values[i] = i % 3 ? (float)((noise_gaussian(&seed) + shift) * scale) : 0;
            snprintf(text, sizeof text, "quant:bits=%d%s", bits, rests[r]);
            decoded = round_trip(text, values, 500);
            for (i = 0; i < 500; i += 3) assert_int_equal(float_bits(decoded[i]), 0);
            free(decoded);
        }
    }
}

/* A constant costs its grid alone, and is exact. */
static void test_constants(void **state) {
    static const float constants[] = {0, 1, -0.3f, FLT_MAX, -FLT_MAX, FLT_MIN, 1e-45f, -3e-44f};
    static const char *const specs[] = {"quant",
                                        "quant:bits=auto",
                                        "quant:nmse=0.3",
                                        "quant:bits=1",
                                        "quant:bits=16,grid=even",
                                        "quant:rounding=stochastic",
                                        "quant:grid=even,rounding=stochastic",
                                        "quant:entropy=none",
                                        "quant:max-error=1e-9",
                                        "quant:rate=1",
                                        "quant:rate=5,grid=even"};
    static const size_t counts[] = {2, 3, 300, 5000};
    size_t c, s, n, i;
    (void)state;
    for (c = 0; c < LENGTH(constants); c++) {
        for (s = 0; s < LENGTH(specs); s++) {
            for (n = 0; n < LENGTH(counts); n++) {
                float *values = floats(counts[n]), *decoded;
                packet made;
                for (i = 0; i < counts[n]; i++) values[i] = constants[c];
                made = encode(specs[s], values, counts[n]);
                decoded = decode(&made);
                if (!(spec_of(specs[s]).quant.max_error > 0)) { /* which may store it */
                    CHECK(memcmp(decoded, values, 4 * counts[n]) == 0, "%s of %g", specs[s], (double)constants[c]);
                    CHECK(made.size <= 24, "%s of %g: %zu bytes", specs[s], (double)constants[c], made.size);
                }
                assert_true(largest_error(values, decoded, counts[n]) <= 1e-9);
                free(decoded);
                free(made.bytes);
                free(values);
            }
        }
    }
}

/* bits=auto is the entropy of a quantization by `probe` bits, rounded, plus `floor`. */
static void test_auto(void **state) {
    static const noise draws[] = {noise_gaussian, noise_laplace, noise_uniform};
    size_t d, i, z;
    int probe, floor_bits;
    (void)state;
    for (d = 0; d < LENGTH(draws); d++) {
        for (z = 0; z < 2; z++) {
            float *values = drawn(20000, draws[d], z ? 0.7 : 0, 5);
            double min, max;
            range_of(values, 20000, &min, &max);
            for (probe = 1; probe <= 8; probe++) {
                double counts[256] = {0}, entropy = 0;
                for (i = 0; i < 20000; i++) {
                    double bins = (double)(1 << probe), bin = floor(((double)values[i] - min) / (max - min) * bins);
                    counts[(int)fmin(bin, bins - 1)]++;
                }
                for (i = 0; i < 256; i++)
                    if (counts[i] > 0) entropy -= counts[i] / 20000 * log2(counts[i] / 20000);
                if (fabs(entropy - floor(entropy) - 0.5) < 0.001) continue; /* either way is right */
                for (floor_bits = 1; floor_bits <= 12; floor_bits += 5) {
                    int wanted = (int)floor(entropy + 0.5) + floor_bits;
                    char text[64];
                    packet made;
                    snprintf(text, sizeof text, "quant:sample=1,probe=%d,floor=%d", probe, floor_bits);
                    made = encode(text, values, 20000);
                    assert_int_equal(inspect(&made).spec.quant.bits, wanted < 16 ? wanted : 16);
                    free(made.bytes);
                    if (probe != 4 || floor_bits != 6) continue;
                    made = encode("quant:bits=auto", values, 20000); /* a part of them tells nearly the same */
                    assert_in_range(inspect(&made).spec.quant.bits, wanted - 1, wanted + 1);
                    free(made.bytes);
                }
            }
            free(values);
        }
    }
}

/* The range given is the grid's, so that packets of different data add; what is outside is clipped to it. */
static void test_range(void **state) {
    static const char *const specs[] = {"quant:bits=6,min=-1,max=2", "quant:bits=6,min=-1,max=2,grid=even",
                                        "quant:bits=6,min=-1,max=2,rounding=stochastic",
                                        "quant:bits=6,min=-1,max=2,grid=even,rounding=stochastic"};
    size_t s, i, d;
    (void)state;
    for (s = 0; s < LENGTH(specs); s++) {
        packet first = {NULL, 0};
        for (d = 0; d < 3; d++) {
            float *values = drawn(400, noise_gaussian, 0, d), *decoded;
            packet made;
            double step;
            for (i = 0; i < 400; i++) values[i] *= d == 0 ? 1.0f : d == 1 ? 100.0f : 0.01f;
            made = encode(specs[s], values, 400);
            step = grid_of(&made).step;
            decoded = decode(&made);
            if (d == 0) first = made;
            assert_memory_equal(made.bytes + 12, first.bytes + 12, 8);
            assert_int_equal(made.bytes[3] & 31, first.bytes[3] & 31);
            for (i = 0; i < 400; i++) {
                double clipped = fmax(-1, fmin(2, (double)values[i]));
                CHECK(fabs(clipped - (double)decoded[i]) <= step * 1.000001, "%s: %g for %g", specs[s],
                      (double)decoded[i], (double)values[i]);
            }
            free(decoded);
            if (d) free(made.bytes);
            free(values);
        }
        free(first.bytes);
    }
}

/* A few bins of very many: tables of symbols end long before the bins do, which a sanitizer watches. */
static void test_empty_bins(void **state) {
    static const double spreads[] = {1e-5, 1e-4, 1e-3, 1e-2};
    size_t s, i;
    (void)state;
    for (s = 0; s < LENGTH(spreads); s++) {
        float *values = drawn(5000, noise_gaussian, s % 2 ? 0.5 : 0, 8), *decoded;
        for (i = 0; i < 5000; i++) values[i] = (float)((double)values[i] * spreads[s]);
        decoded = round_trip("quant:bits=16,min=-1,max=1", values, 5000);
        assert_true(largest_error(values, decoded, 5000) <= 2.0 / 65535 / 2 * 1.000001);
        free(decoded);
        free(values);
    }
}

/* The mean over many seeds is the value: each within six sigma of its own, all together within six of theirs. */
static void check_unbiased(const char *text) {
    enum { COUNT = 200, SEEDS = 3000 };
    static double sum[COUNT];
    float *values = drawn(COUNT, noise_gaussian, 0.1, 6), decoded[COUNT];
    dtc_spec spec = spec_of(text);
    double total = 0, expected = 0;
    size_t i;
    grid g = {0, 0, 0};
    memset(sum, 0, sizeof sum);
    for (spec.seed = 1; spec.seed <= SEEDS; spec.seed++) {
        packet made = encode_spec(&spec, values, COUNT);
        g = grid_of(&made);
        decode_into(decoded, &made);
        for (i = 0; i < COUNT; i++) {
            CHECK(fabs((double)decoded[i] - (double)values[i]) <= g.step * 1.000001, "%s: %g for %g", text,
                  (double)decoded[i], (double)values[i]);
            sum[i] += (double)decoded[i];
        }
        free(made.bytes);
    }
    for (i = 0; i < COUNT; i++) {
        double t = ((double)values[i] - g.first) / g.step, part = t - floor(t);
        double deviation = g.step * sqrt(part * (1 - part) / SEEDS), off = sum[i] / SEEDS - (double)values[i];
        if (part < 1e-4 || part > 1 - 1e-4) { /* on a bin's centre */
            CHECK(fabs(off) <= 0.01 * g.step, "%s, value %zu: off by %g", text, i, off);
            continue;
        }
        CHECK(fabs(off) < 6 * deviation, "%s, value %zu: off by %.1f sigma", text, i, off / deviation);
        total += off * off / deviation / deviation;
        expected += 1;
    }
    assert_true(expected > 150);
    CHECK(fabs(total - expected) < 6 * sqrt(2 * expected), "%s: %g over %g values", text, total, expected);
    free(values);
}

static void test_unbiased(void **state) {
    (void)state;
    check_unbiased("quant:bits=2,rounding=stochastic");
    check_unbiased("quant:bits=4,rounding=stochastic");
    check_unbiased("quant:bits=1,grid=even,rounding=stochastic");
    check_unbiased("quant:bits=3,grid=even,rounding=stochastic,entropy=none");
    check_unbiased("quant:max-error=0.5,rounding=stochastic");
}

/* Coding does not change values: with and without entropy coding they are the same, unless grids are coded. */
static void test_coding(void **state) {
    static const char *const grids[] = {"", ",grid=even", ",rounding=stochastic,seed=5", ",block=77,workers=2",
                                        ",workers=9"};
    float *values = drawn(6000, noise_laplace, 0.3, 7);
    char text[64];
    size_t g;
    int bits;
    (void)state;
    for (bits = 1; bits <= 12; bits++) {
        for (g = 0; g < LENGTH(grids); g++) {
            float *coded, *plain;
            snprintf(text, sizeof text, "quant:bits=%d%s", bits, grids[g]);
            coded = round_trip(text, values, 6000);
            snprintf(text, sizeof text, "quant:bits=%d,entropy=none%s", bits, grids[g]);
            plain = round_trip(text, values, 6000);
            CHECK(memcmp(coded, plain, 4 * 6000) == 0, "%s", text);
            free(plain);
            free(coded);
        }
    }
    free(values);
}

/* Sum of squares of values less others (or less zeros). */
static double distance(const float *values, const float *others, size_t count) {
    double sum = 0;
    size_t i;
    for (i = 0; i < count; i++) {
        double off = (double)values[i] - (others ? (double)others[i] : 0);
        sum += off * off;
    }
    return sum;
}

static const char images[] = "/usr/share/datasets/fashion-mnist";

/* Variance over the squared norm of the unbiased code, at so many bits of whole packet a value: at most these. */
static const struct { double rate, error; } rotated_limits[] = {{1, 0.56}, {2, 0.104}, {3, 0.0236}, {4, 0.0059}};

static void check_rotated(const char *name, const float *values, size_t count) {
    size_t r;
    for (r = 0; r < LENGTH(rotated_limits); r++) {
        char text[64];
        packet made;
        float *decoded;
        double error, bits;
        snprintf(text, sizeof text, "quant:rotate=1,rate=%g,seed=11", rotated_limits[r].rate);
        made = encode(text, values, count);
        decoded = decode(&made);
        bits = 8.0 * (double)made.size / (double)count;
        error = distance(values, decoded, count) / distance(values, NULL, count);
        CHECK(bits <= rotated_limits[r].rate, "%s, %s: %.4f bits", name, text, bits);
        CHECK(error <= rotated_limits[r].error, "%s, %s: %.5f", name, text, error);
        free(decoded);
        free(made.bytes);
    }
}

static void test_rotated_gaussian(void **state) {
    float *values = drawn(MEBI, noise_gaussian, 0, 4);
    (void)state;
    check_rotated("Gaussian", values, MEBI);
    free(values);
}

static void test_rotated_gradient(void **state) {
    struct training training;
    struct error error;
    (void)state;
    if (!training_run(&training, images, 40, &error)) fail_msg("%s", error.text);
    check_rotated("gradient", training.gradient.all, training.gradient.values);
    training_free(&training);
}

/* The mean of k packets of as many seeds comes nearer as 1 / sqrt(k). */
static void check_mean(const char *name, const char *text, const float *values, size_t count, size_t seeds) {
    double *sum = (double *)memory(count * sizeof(double)), first = 0, error;
    float *mean = floats(count);
    dtc_spec spec = spec_of(text);
    size_t k, i;
    for (i = 0; i < count; i++) sum[i] = 0;
    for (k = 1; k <= seeds; k++) {
        packet made;
        float *decoded;
        spec.seed = k;
        made = encode_spec(&spec, values, count);
        decoded = decode(&made);
        for (i = 0; i < count; i++) sum[i] += (double)decoded[i];
        first += distance(values, decoded, count);
        free(decoded);
        free(made.bytes);
        if (k != 16 && k != seeds) continue;
        for (i = 0; i < count; i++) mean[i] = (float)(sum[i] / (double)k);
        error = distance(values, mean, count) * (double)k / (first / (double)k);
        CHECK(error > 0.8 && error < 1.2, "%s, %s, %zu seeds: %.3f of 1/k", name, text, k, error);
    }
    free(mean);
    free(sum);
}

/* Whatever the values: parts of 512 or more have all but lost their shape once rotated. */
static void test_rotated_unbiased(void **state) {
    static const char *const specs[] = {"quant:rotate=1,rate=1.5", "quant:rotate=1,bits=2,entropy=none,grid=even",
                                        "quant:rotate=1,bits=4,rounding=stochastic"};
    enum { COUNT = 3072 };
    float *gaussian = drawn(COUNT, noise_gaussian, 0, 8), *sparse = drawn(COUNT, noise_laplace, 0.9, 8);
    struct training training;
    struct error error;
    size_t s, i;
    (void)state;
    if (!training_run(&training, images, 10, &error)) fail_msg("%s", error.text);
    for (i = 0; i < COUNT; i++) sparse[i] += 0.3f; /* not symmetric */
    for (s = 0; s < LENGTH(specs); s++) {
        check_mean("Gaussian", specs[s], gaussian, COUNT, 1024);
        check_mean("sparse", specs[s], sparse, COUNT, 1024);
        check_mean("gradient", specs[s], training.gradient.all, 65536, 64);
    }
    training_free(&training);
    free(sparse);
    free(gaussian);
}

/* Any count, in blocks or not; nothing is lost but to rounding. */
static void test_rotated_counts(void **state) {
    static const size_t blocks[] = {0, 1, 7, 100, 256, 1000};
    size_t count, b;
    (void)state;
    for (count = 0; count < 2100; count += count < 70 ? 1 : 97) {
        float *values = drawn(count, noise_gaussian, 0.2, count);
        for (b = 0; b < LENGTH(blocks); b++) {
            char text[80];
            packet made;
            float *decoded;
            snprintf(text, sizeof text, "quant:rotate=1,bits=14,seed=%zu,block=%zu", count, blocks[b]);
            made = encode(text, values, count);
            decoded = decode(&made);
            CHECK(distance(values, decoded, count) <= 1e-6 * distance(values, NULL, count), "%s", text);
            free(decoded);
            free(made.bytes);
        }
        free(values);
    }
}

/* Magnitudes at either end of what a float holds, zeros, and one value among zeros. */
static void test_rotated_extremes(void **state) {
    static const double scales[] = {1e-38, 1e-20, 1e20, 1e38};
    size_t s, i;
    (void)state;
    for (s = 0; s < LENGTH(scales); s++) {
        float *values = drawn(5000, noise_uniform, 0.1, s), *decoded;
        for (i = 0; i < 5000; i++) values[i] *= (float)scales[s];
        decoded = round_trip("quant:rotate=1,bits=10", values, 5000);
        CHECK(distance(values, decoded, 5000) <= 1e-4 * distance(values, NULL, 5000), "scale %g", scales[s]);
        free(decoded);
        for (i = 0; i < 5000; i++) values[i] = i == 4321 ? (float)scales[s] : 0.0f;
        decoded = round_trip("quant:rotate=1,bits=3", values, 5000);
        CHECK(distance(values, decoded, 5000) <= 1e-4 * distance(values, NULL, 5000), "one of %g", scales[s]);
        free(decoded);
        for (i = 0; i < 5000; i++) values[i] = 0;
        decoded = round_trip("quant:rotate=1,bits=3", values, 5000);
        assert_true(distance(decoded, NULL, 5000) == 0);
        free(decoded);
        free(values);
    }
}

/* With a range that is given, packets have one grid: sums of integers are sums of values. */
static void test_rotated_shared(void **state) {
    float *values = drawn(3000, noise_gaussian, 0, 1), *others = drawn(3000, noise_gaussian, 0, 2);
    packet a = encode("quant:rotate=1,bits=8,min=-6,max=6,seed=3,workers=4,entropy=none", values, 3000);
    packet b = encode("quant:rotate=1,bits=8,min=-6,max=6,seed=3,workers=4,entropy=none", others, 3000);
    float *decoded = decode(&a);
    size_t steps = 4 * 7; /* 2048 + 512 + 256 + 128 + 32 + 16 + 8 */
    (void)state;
    assert_int_equal(a.size, b.size);
    assert_int_equal(inspect(&a).seed, 3);
    assert_memory_equal(a.bytes + 24, b.bytes + 24, steps);
    CHECK(distance(values, decoded, 3000) <= 3000 * 0.03 * 0.03, "%g", distance(values, decoded, 3000));
    free(decoded);
    free(b.bytes);
    free(a.bytes);
    free(others);
    free(values);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rotated_gaussian),
        cmocka_unit_test(test_rotated_gradient),
        cmocka_unit_test(test_rotated_unbiased),
        cmocka_unit_test(test_rotated_counts),
        cmocka_unit_test(test_rotated_extremes),
        cmocka_unit_test(test_rotated_shared),
        cmocka_unit_test(test_half_bin),
        cmocka_unit_test(test_one_bit),
        cmocka_unit_test(test_rotated_least),
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_max_error),
        cmocka_unit_test(test_rate),
        cmocka_unit_test(test_rate_ceiling),
        cmocka_unit_test(test_zeros),
        cmocka_unit_test(test_constants),
        cmocka_unit_test(test_auto),
        cmocka_unit_test(test_range),
        cmocka_unit_test(test_empty_bins),
        cmocka_unit_test(test_unbiased),
        cmocka_unit_test(test_coding),
    };
    return cmocka_run_group_tests_name("quant", tests, NULL, NULL);
}
