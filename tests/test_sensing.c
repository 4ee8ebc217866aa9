/* sensing: against least squares that know the support, its reference formulas in double, and hostile packets. */
/* Turns the processor's features on and off for the code under test. */
static int processor_is_asked = 1;
#define DTCI_CPU_HAS(feature) (processor_is_asked && __builtin_cpu_supports(feature))
#define DTC_STATIC
#define DTC_NO_TERNARY
#define DTC_NO_FACTOR
#define DTC_NO_CIRCULANT
#include "helpers.h"

/* What a packet says, taken apart: for each value the sign, for each row whether it is measured, and the measurements
 * where they stand among the rows. Of one block. */
typedef struct problem {
    size_t count, size, measurements;
    double *signs, *rows, *y;
} problem;

static double *doubles(size_t n) {
    double *x = (double *)memory(n * sizeof *x);
    memset(x, 0, n * sizeof *x);
    return x;
}

static void hadamard(double *x, size_t n) {
    size_t h, i, j;
    for (h = 1; h < n; h *= 2) {
        for (i = 0; i < n; i += 2 * h) {
            for (j = i; j < i + h; j++) {
                double a = x[j], b = x[j + h];
                x[j] = a + b;
                x[j + h] = a - b;
            }
        }
    }
}

static problem open_problem(const packet *made) {
    const dtc_info info = inspect(made);
    dtci_opened opened;
    dtci_arena arena;
    dtci_sensing s;
    dtci_sensing_part part;
    problem p;
    size_t i, j = 0;
    float *rows, *y;
    void *scratch;
    assert_int_equal(info.codec, DTC_SENSING);
    scratch = memory(info.decode_scratch);
    arena = dtci_arena_of(scratch, info.decode_scratch);
    assert_int_equal(dtci_packet_open(&opened, &info.count, made->bytes, made->size, NULL, &arena), DTC_OK);
    s = dtci_sensing_of(&opened.packet.head, get32(opened.packet.payload));
    part = dtci_sensing_at(&s, 0);
    assert_int_equal(part.values, info.count);
    p.count = info.count;
    p.size = (size_t)1 << part.log2_size;
    p.measurements = part.measurements;
    p.signs = doubles(p.size);
    p.rows = doubles(p.size);
    p.y = doubles(p.size);
    rows = floats(p.size);
    y = floats(p.measurements);
    dtci_nest_decode(y, &opened.nested[0]);
    dtci_sensing_rows(rows, &s, &part);
    for (i = 0; i < p.size; i++) {
        float one = 1;
        dtci_sensing_flip(&one, &s, i, 1);
        p.signs[i] = i < p.count ? (double)one : 0;
        p.rows[i] = (double)rows[i];
        if (rows[i] > 0) p.y[i] = (double)y[j++];
    }
    assert_int_equal(j, p.measurements);
    free(scratch);
    free(rows);
    free(y);
    return p;
}

static void close_problem(problem *p) {
    free(p->signs);
    free(p->rows);
    free(p->y);
}

/* to := A x among the rows; to := A^T y. They may be the same array. */
static void measure(double *to, const problem *p, const double *x) {
    size_t i;
    for (i = 0; i < p->size; i++) to[i] = x[i] * p->signs[i];
    hadamard(to, p->size);
    for (i = 0; i < p->size; i++) to[i] *= p->rows[i] / sqrt((double)p->size);
}

static void transpose(double *to, const problem *p, const double *y) {
    size_t i;
    for (i = 0; i < p->size; i++) to[i] = y[i] * p->rows[i];
    hadamard(to, p->size);
    for (i = 0; i < p->size; i++) to[i] *= p->signs[i] / sqrt((double)p->size);
}

static double dot(const double *a, const double *b, size_t n) {
    double sum = 0;
    size_t i;
    for (i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

/* Least squares on the support of `truth`, by conjugate gradients. */
static double *oracle(const problem *p, const float *truth) {
    double *x = doubles(p->size), *g = doubles(p->size), *d = doubles(p->size), *q = doubles(p->size), old, now;
    size_t i;
    int k;
    transpose(g, p, p->y);
    for (i = 0; i < p->size; i++) d[i] = g[i] = i < p->count && truth[i] != 0 ? g[i] : 0;
    now = dot(g, g, p->size);
    for (k = 0; k < 60 && now > 0; k++) {
        double along;
        measure(q, p, d);
        along = now / dot(q, q, p->size);
        transpose(q, p, q);
        for (i = 0; i < p->size; i++) {
            x[i] += along * d[i];
            if (i < p->count && truth[i] != 0) g[i] -= along * q[i];
        }
        old = now;
        now = dot(g, g, p->size);
        for (i = 0; i < p->size; i++) d[i] = g[i] + now / old * d[i];
    }
    free(q);
    free(d);
    free(g);
    return x;
}

static double squares(const float *x, size_t n) {
    double sum = 0;
    size_t i;
    for (i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    return sum;
}

/* |x - truth|^2 / |truth|^2 */
static double error_of(const float *x, const float *truth, size_t n) {
    double sum = 0;
    size_t i;
    for (i = 0; i < n; i++) sum += ((double)x[i] - (double)truth[i]) * ((double)x[i] - (double)truth[i]);
    return sum / squares(truth, n);
}

static float *decode_by(const packet *made, dtc_method method, uint32_t iterations, float tolerance) {
    dtc_info info = inspect(made);
    float *values = floats(info.count);
    dtc_decode_options options;
    memset(&options, 0, sizeof options);
    options.method = method;
    options.max_iterations = iterations;
    options.tolerance = tolerance;
    assert_int_equal(dtc_decode(values, info.count, made->bytes, made->size, &options, workspace(info.decode_scratch),
                                info.decode_scratch),
                     DTC_OK);
    return values;
}

/* k values that are not 0, anywhere: Gaussian, or of one magnitude. */
static float *sparse(size_t count, size_t k, int equal, uint64_t seed) {
    float *x = floats(count);
    memset(x, 0, 4 * count);
    while (k > 0) {
        size_t i = (size_t)(noise_u64(&seed) % count);
        double draw = noise_gaussian(&seed);
        if (x[i] != 0 || draw == 0) continue;
        x[i] = equal ? (draw < 0 ? -1.0f : 1.0f) : (float)draw;
        k--;
    }
    return x;
}

static const struct {
    const char *ratio;
    double part; /* of the measurements: values that are not 0 */
} sparsities[] = {{"0.5", 0.05}, {"0.5", 0.15}, {"0.5", 0.25}, {"0.25", 0.05}, {"0.25", 0.12}, {"0.25", 0.18}};

static packet encode_sparse(size_t s, int bits, const float *x, size_t count, uint64_t seed) {
    char text[100];
    snprintf(text, sizeof text, "sensing:ratio=%s,bits=%d,seed=%llu", sparsities[s].ratio, bits,
             (unsigned long long)seed);
    return encode(text, x, count);
}

static float *sparse_of(size_t s, size_t count, int equal, uint64_t seed) {
    return sparse(count, (size_t)(sparsities[s].part * atof(sparsities[s].ratio) * (double)count + 0.5), equal, seed);
}

/* Eight-bit measurements: the squared error is at most twice that of least squares on the true support, on average over
 * some signals. (Values of one magnitude make measurements on a lattice, whose beat with the quantizer's can add one
 * wrong value to a signal.) */
static void test_oracle(void **state) {
    static const size_t counts[] = {4096, 65536};
    size_t c, s, i;
    int equal, trial;
    (void)state;
    for (c = 0; c < LENGTH(counts); c++) {
        for (s = 0; s < LENGTH(sparsities); s++) {
            for (equal = 0; equal < 2; equal++) {
                double least = 0, found = 0;
                for (trial = 1; trial <= (c == 0 ? 8 : 1); trial++) {
                    float *x = sparse_of(s, counts[c], equal, (uint64_t)trial);
                    packet made = encode_sparse(s, 8, x, counts[c], (uint64_t)trial + 10);
                    problem p = open_problem(&made);
                    double *best = oracle(&p, x), off = 0;
                    float *decoded = decode(&made);
                    for (i = 0; i < counts[c]; i++) off += (best[i] - (double)x[i]) * (best[i] - (double)x[i]);
                    least += off / squares(x, counts[c]);
                    found += error_of(decoded, x, counts[c]);
                    free(decoded);
                    free(best);
                    close_problem(&p);
                    free(made.bytes);
                    free(x);
                }
                CHECK(found <= 2 * least, "%zu values, ratio %s, %g, %s: %g of %g", counts[c], sparsities[s].ratio,
                      sparsities[s].part, equal ? "equal" : "Gaussian", found, least);
            }
        }
    }
}

/* Measurements without noise: what is sparse comes out to a relative error of 1e-6 in norm. */
static void test_exact(void **state) {
    static const size_t counts[] = {4000, 4096, 65536, 70000};
    size_t c, s;
    int equal;
    (void)state;
    for (c = 0; c < LENGTH(counts); c++) {
        for (s = 0; s < LENGTH(sparsities); s++) {
            for (equal = 0; equal < 2; equal++) {
                float *x = sparse_of(s, counts[c], equal, 7), *decoded;
                packet made = encode_sparse(s, 32, x, counts[c], 8);
                decoded = decode(&made);
                CHECK(sqrt(error_of(decoded, x, counts[c])) <= 1e-6, "%zu values, ratio %s, %g, %s: %g", counts[c],
                      sparsities[s].ratio, sparsities[s].part, equal ? "equal" : "Gaussian",
                      sqrt(error_of(decoded, x, counts[c])));
                free(decoded);
                free(made.bytes);
                free(x);
            }
        }
    }
}

/* A measurement is the sum of the signed values, a Hadamard row's signs apart, over sqrt(N). */
static void test_measurements(void **state) {
    enum { COUNT = 1000, SIZE = 1024 };
    float *x = drawn(COUNT, noise_gaussian, 0, 3);
    packet made = encode("sensing:ratio=0.3,bits=32,seed=5", x, COUNT);
    problem p = open_problem(&made);
    size_t row, i, plus = 0;
    (void)state;
    assert_int_equal(p.size, SIZE);
    assert_int_equal(p.measurements, 300); /* 307 of 1024 rows: as many of 1000 values */
    for (row = 0; row < SIZE; row++) {
        double sum = 0;
        if (p.rows[row] == 0) continue;
        for (i = 0; i < COUNT; i++) {
            size_t both = row & i;
            int odd = 0;
            for (; both; both &= both - 1) odd = !odd;
            sum += p.signs[i] * (odd ? -1 : 1) * (double)x[i];
        }
        CHECK(fabs(sum / sqrt(SIZE) - p.y[row]) < 1e-5, "row %zu: %g, not %g", row, p.y[row], sum / sqrt(SIZE));
    }
    for (i = 0; i < COUNT; i++) plus += p.signs[i] > 0;
    assert_in_range(plus, 420, 580);
    close_problem(&p);
    free(made.bytes);
    free(x);
}

/* Every row is as likely: over many seeds each is measured in about its share, and neighbours independently. */
static void test_rows(void **state) {
    enum { SIZE = 64, SEEDS = 4000 };
    static unsigned times[SIZE], pairs[SIZE];
    dtci_sensing s;
    dtci_sensing_part part;
    float rows[SIZE];
    size_t i;
    uint64_t seed;
    (void)state;
    memset(&s, 0, sizeof s);
    s.count = s.block = SIZE;
    s.measurements = 16;
    for (seed = 0; seed < SEEDS; seed++) {
        size_t taken = 0;
        s.random = dtci_random_of(seed);
        part = dtci_sensing_at(&s, 0);
        processor_is_asked = seed % 2;
        dtci_sensing_rows(rows, &s, &part);
        for (i = 0; i < SIZE; i++) {
            taken += rows[i] > 0;
            times[i] += rows[i] > 0;
            pairs[i] += rows[i] > 0 && rows[(i + 1) % SIZE] > 0;
        }
        assert_int_equal(taken, 16);
    }
    for (i = 0; i < SIZE; i++) {
        /* a quarter, and 16 * 15 / (64 * 63) of them; 5 sigma */
        CHECK(abs((int)times[i] - 1000) < 137, "row %zu: %u times", i, times[i]);
        CHECK(abs((int)pairs[i] - 238) < 75, "rows %zu and next: %u times", i, pairs[i]);
    }
}

/* The denoiser computes its formulas, with what the processor has and without, and also where the values end within a
 * vector: x = p g r, p = 1 / (1 + odds (1 + t/32)^-32), t = k r^2, and the mean of dx/dr; behind the values, 0. */
static void test_denoiser(void **state) {
    enum { SIZE = 1024, VALUES = 709 };
    const double level = 0.05, density = 0.2, variance = 1.5, total = level + variance, gain = variance / total;
    const double odds = (1 - density) / density * sqrt(total / level);
    float *x = drawn(SIZE, noise_gaussian, 0.7, 1), *w = drawn(SIZE, noise_gaussian, 0, 2);
    int twin;
    (void)state;
    for (twin = 0; twin < 2; twin++) {
        double slopes = 0, chances = 0, powers = 0, slope;
        dtci_sensing_prior prior;
        dtci_sensing_work work;
        size_t i;
        memset(&work, 0, sizeof work);
        work.size = work.room = SIZE;
        work.values = VALUES;
        processor_is_asked = twin;
        work.x = floats(SIZE);
        work.w = floats(SIZE);
        memcpy(work.x, x, 4 * SIZE);
        memcpy(work.w, w, 4 * SIZE);
        prior.density = density;
        prior.variance = variance;
        slope = dtci_sensing_denoise(&work, level, &prior);
        for (i = 0; i < SIZE; i++) {
            double r = (double)x[i] + (double)w[i], t = 0.5 * gain / level * r * r;
            double e = pow(1 + t / 32, -32), p = i < VALUES ? 1 / (1 + odds * e) : 0, expected = p * gain * r;
            CHECK(fabs((double)work.w[i] - r) < 1e-6, "value %zu: r = %g, not %g", i, (double)work.w[i], r);
            CHECK(fabs((double)work.x[i] - expected) < 1e-5, "value %zu: %g, not %g", i, (double)work.x[i], expected);
            chances += p;
            powers += p * gain * r * gain * r;
            slopes += gain * (p + 2 * p * (1 - p) * t / (1 + t / 32));
        }
        CHECK(fabs(slope - slopes / SIZE) < 1e-5, "slope %g, not %g", slope, slopes / SIZE);
        CHECK(fabs(prior.density - chances / VALUES) < 1e-5, "density %g, not %g", prior.density, chances / VALUES);
        CHECK(fabs(prior.variance - powers / chances - gain * level) < 1e-5, "variance %g, not %g", prior.variance,
              powers / chances + gain * level);
        free(work.w);
        free(work.x);
    }
    free(w);
    free(x);
}

/* What ISTA minimizes. */
static double objective(const problem *p, const float *x, double lambda) {
    double *ax = doubles(p->size), sum = 0;
    size_t i;
    for (i = 0; i < p->count; i++) {
        ax[i] = (double)x[i];
        sum += lambda * fabs((double)x[i]);
    }
    measure(ax, p, ax);
    for (i = 0; i < p->size; i++) sum += 0.5 * (p->y[i] - ax[i]) * (p->y[i] - ax[i]);
    free(ax);
    return sum;
}

/* A 1024th of the largest |A^T y|. */
static double lambda_of(const problem *p) {
    double *g = doubles(p->size), largest = 0;
    size_t i;
    transpose(g, p, p->y);
    for (i = 0; i < p->count; i++) largest = fabs(g[i]) > largest ? fabs(g[i]) : largest;
    free(g);
    return largest / 1024;
}

/* ISTA, and FISTA with restarts, as their papers have them, in double. */
static double *reference(const problem *p, int fista, int iterations, double lambda) {
    double *x = doubles(p->size), *v = doubles(p->size), *g = doubles(p->size), *step = doubles(p->size), t = 1;
    size_t i;
    for (; iterations > 0; iterations--) {
        double next = (1 + sqrt(1 + 4 * t * t)) / 2, beyond = fista ? (t - 1) / next : 0, uphill = 0;
        measure(g, p, v);
        for (i = 0; i < p->size; i++) g[i] = p->y[i] - g[i];
        transpose(g, p, g);
        for (i = 0; i < p->count; i++) {
            double r = v[i] + g[i], soft = fabs(r) > lambda ? copysign(fabs(r) - lambda, r) : 0;
            step[i] = soft - x[i];
            uphill += (v[i] - soft) * step[i];
            x[i] = soft;
        }
        for (i = 0; i < p->count; i++) v[i] = x[i] + (uphill > 0 ? 0 : beyond) * step[i];
        t = uphill > 0 ? 1 : next;
    }
    free(step);
    free(g);
    free(v);
    return x;
}

/* ISTA and FISTA do exactly as many of their formulas' steps as they are allowed. */
static void test_ista(void **state) {
    static const int rounds[] = {1, 2, 3, 10, 40};
    static const size_t counts[] = {256, 700, 1};
    size_t c, r, i;
    int fista;
    (void)state;
    for (c = 0; c < LENGTH(counts); c++) {
        float *x = drawn(counts[c], noise_laplace, 0.7, 4);
        packet made;
        problem p;
        x[0] = 1;
        made = encode("sensing:ratio=0.5,bits=5,seed=5,checksum=0", x, counts[c]);
        if (inspect(&made).codec == DTC_RAW) { /* of one value, a packet of measurements would be larger */
            assert_int_equal(counts[c], 1);
            free(made.bytes);
            free(x);
            continue;
        }
        p = open_problem(&made);
        for (r = 0; r < LENGTH(rounds); r++) {
            for (fista = 0; fista < 2; fista++) {
                double *expected = reference(&p, fista, rounds[r], lambda_of(&p));
                float *decoded =
                    decode_by(&made, fista ? DTC_METHOD_FISTA : DTC_METHOD_ISTA, (uint32_t)rounds[r], 1e-30f);
                for (i = 0; i < p.count; i++)
                    CHECK(fabs((double)decoded[i] - expected[i]) < 2e-5, "%s, %d rounds, value %zu: %g, not %g",
                          fista ? "FISTA" : "ISTA", rounds[r], i, (double)decoded[i], expected[i]);
                free(decoded);
                free(expected);
            }
        }
        close_problem(&p);
        free(made.bytes);
        free(x);
    }
}

/* FISTA has come to ISTA's objective, or below, in a tenth of the steps; the default is nearer to the truth in a
 * fiftieth. */
static void test_speed_of_convergence(void **state) {
    size_t s;
    uint32_t rounds;
    (void)state;
    for (s = 0; s < LENGTH(sparsities); s++) {
        float *x = sparse_of(s, 4096, 0, 3);
        packet made = encode_sparse(s, 8, x, 4096, 4);
        problem p = open_problem(&made);
        double lambda = lambda_of(&p);
        for (rounds = 100; rounds <= 200; rounds *= 2) {
            float *slow = decode_by(&made, DTC_METHOD_ISTA, 10 * rounds, 1e-30f);
            float *fast = decode_by(&made, DTC_METHOD_FISTA, rounds, 1e-30f);
            float *found = decode_by(&made, DTC_METHOD_AUTO, rounds / 5, 0);
            double reached = objective(&p, slow, lambda), faster = objective(&p, fast, lambda);
            CHECK(faster <= reached * (1 + 1e-5), "ratio %s, %g, %u rounds: %.9g, ISTA %.9g", sparsities[s].ratio,
                  sparsities[s].part, rounds, faster, reached);
            CHECK(error_of(found, x, 4096) <= error_of(slow, x, 4096), "ratio %s, %g, %u rounds: %g, ISTA %g",
                  sparsities[s].ratio, sparsities[s].part, rounds, error_of(found, x, 4096), error_of(slow, x, 4096));
            free(found);
            free(fast);
            free(slow);
        }
        close_problem(&p);
        free(made.bytes);
        free(x);
    }
}

/* All rows measured: the rotation, and back; what is lost is what the quantizer lost. Whatever the count. */
static void test_ratio_1(void **state) {
    static const size_t counts[] = {1, 3, 64, 1000, 4096, 70000};
    size_t c;
    (void)state;
    for (c = 0; c < LENGTH(counts); c++) {
        float *x = drawn(counts[c], noise_laplace, 0, 6), *decoded, *linear;
        packet made = encode("sensing:ratio=1,bits=8,seed=9", x, counts[c]);
        decoded = decode(&made);
        linear = decode_by(&made, DTC_METHOD_LINEAR, 0, 0);
        /* 8 bits load a Gaussian to within 0.00015 of its square (Max, 1960, extended) */
        CHECK(error_of(decoded, x, counts[c]) < 2e-4, "%zu values: %g", counts[c], error_of(decoded, x, counts[c]));
        assert_memory_equal(decoded, linear, 4 * counts[c]);
        free(linear);
        free(decoded);
        free(made.bytes);
        free(x);
    }
}

/* The cheap estimate is a projection: it and its error are orthogonal; and over many seeds its mean is the values times
 * the part of the rows that is measured. */
static void test_linear(void **state) {
    enum { COUNT = 512, SEEDS = 2000 };
    static double mean[COUNT];
    float *x = drawn(COUNT, noise_gaussian, 0, 2);
    char text[64];
    size_t i;
    int seed;
    (void)state;
    for (seed = 1; seed <= SEEDS; seed++) {
        packet made;
        float *decoded;
        double along = 0;
        snprintf(text, sizeof text, "sensing:ratio=0.25,bits=32,seed=%d", seed);
        made = encode(text, x, COUNT);
        decoded = decode_by(&made, DTC_METHOD_LINEAR, 0, 0);
        for (i = 0; i < COUNT; i++) {
            along += (double)decoded[i] * ((double)x[i] - (double)decoded[i]);
            mean[i] += (double)decoded[i] / SEEDS;
        }
        CHECK(fabs(along) < 1e-5 * squares(x, COUNT), "seed %d: %g", seed, along);
        free(decoded);
        free(made.bytes);
    }
    /* an estimate is off by sqrt(m/N (1 - m/N)) sigma */
    for (i = 0; i < COUNT; i++)
        CHECK(fabs(mean[i] - 0.25 * (double)x[i]) < 5 * 0.433 / sqrt(SEEDS), "value %zu: %g of %g", i, mean[i],
              (double)x[i]);
    free(x);
}

typedef enum shape { GAUSSIAN, LAPLACE, SPARSE, CONSTANT, ONE, RUN, RAMP, ALTERNATING, HEAVY, SHAPES } shape;

static float *shaped(shape what, size_t count) {
    float *x = drawn(count, what == GAUSSIAN ? noise_gaussian : noise_laplace, what == SPARSE ? 0.8 : 0, 5);
    size_t i;
    for (i = 0; i < count; i++) {
        if (what == CONSTANT) x[i] = -3;
        if (what == ONE) x[i] = i == count / 3 ? 1e-20f : 0;
        if (what == RUN) x[i] = i >= count / 2 && i < count / 2 + count / 8 ? x[i] : 0;
        if (what == RAMP) x[i] = (float)(i % 100);
        if (what == ALTERNATING) x[i] = i & 1 ? 1.0f : -1.0f;
        if (what == HEAVY) x[i] *= x[i] * x[i] * 1e10f;
    }
    return x;
}

/* Error feedback needs this: what is decoded is nearer to the values than 0 is, and, but for a little, than the linear
 * estimate is; whatever they look like. */
static void test_never_worse(void **state) {
    static const char *const specs[] = {"ratio=0.05,bits=8",         "ratio=0.25",        "ratio=0.25,bits=1",
                                        "ratio=0.5,bits=2",          "ratio=0.5,bits=32", "ratio=0.8,bits=1",
                                        "ratio=0.3,bits=3,block=256"};
    static const size_t counts[] = {100, 1024, 5000};
    size_t s, c;
    int what;
    (void)state;
    for (s = 0; s < LENGTH(specs); s++) {
        for (c = 0; c < LENGTH(counts); c++) {
            for (what = GAUSSIAN; what < SHAPES; what++) {
                char text[100];
                float *x = shaped((shape)what, counts[c]), *decoded, *linear;
                packet made;
                double error, plain;
                snprintf(text, sizeof text, "sensing:seed=3,%s", specs[s]);
                made = encode(text, x, counts[c]);
                decoded = decode(&made);
                linear = decode_by(&made, DTC_METHOD_LINEAR, 0, 0);
                error = error_of(decoded, x, counts[c]);
                plain = error_of(linear, x, counts[c]);
                CHECK(error < 1 && plain < 1 && error < 1.05 * plain + 1e-6,
                      "%s, %zu values of shape %d: %g, linear %g", text, counts[c], what, error, plain);
                free(linear);
                free(decoded);
                free(made.bytes);
                free(x);
            }
        }
    }
}

/* Limits are kept: no more rounds than allowed, and an end where nothing is gained. */
static void test_limits(void **state) {
    float *x = drawn(3000, noise_laplace, 0.5, 8), *one, *other, untouched[2] = {1, 2};
    packet made = encode("sensing:ratio=0.5,bits=6,seed=1", x, 3000);
    dtc_info info = inspect(&made);
    dtc_decode_options options;
    (void)state;
    /* tolerances beyond which any progress is none: the third round is the second one in vain */
    one = decode_by(&made, DTC_METHOD_AUTO, 0, 0.9999f);
    other = decode_by(&made, DTC_METHOD_AUTO, 3, 0);
    assert_memory_equal(one, other, 4 * 3000);
    free(other);
    other = decode_by(&made, DTC_METHOD_AUTO, 2, 0);
    assert_memory_not_equal(one, other, 4 * 3000);
    free(other);
    free(one);
    one = decode_by(&made, DTC_METHOD_FISTA, 0, 1e9f);
    other = decode_by(&made, DTC_METHOD_ISTA, 1, 0);
    assert_memory_equal(one, other, 4 * 3000);
    free(other);
    other = decode_by(&made, DTC_METHOD_ISTA, 2, 0);
    assert_memory_not_equal(one, other, 4 * 3000);
    free(other);
    free(one);

    memset(&options, 0, sizeof options);
    options.method = (dtc_method)4;
    memcpy(x, untouched, sizeof untouched);
    assert_int_equal(
        dtc_decode(x, 3000, made.bytes, made.size, &options, workspace(info.decode_scratch), info.decode_scratch),
        DTC_ERROR_ARGUMENT);
    assert_memory_equal(x, untouched, sizeof untouched);
    free(made.bytes);
    free(x);
}

/* With a scale, packets have the same size and grid whatever is in them, so that they can be added. */
static void test_shared_scale(void **state) {
    enum { COUNT = 1000, HEAD = 12 + 4 + 8, GRID = HEAD + 4 + 16, FIELDS = GRID + 8 };
    float *a = drawn(COUNT, noise_gaussian, 0, 1), *b = drawn(COUNT, noise_laplace, 0.9, 2);
    const char *text = "sensing:ratio=0.25,bits=4,scale=3,workers=2,seed=5,checksum=0";
    packet first = encode(text, a, COUNT), second = encode(text, b, COUNT);
    (void)state;
    assert_int_equal(first.size, FIELDS + dtci_fields_bytes(250, 5)); /* 15 bins, twice */
    assert_int_equal(second.size, first.size);
    assert_memory_equal(first.bytes, second.bytes, FIELDS);
    free(second.bytes);
    free(first.bytes);
    free(b);
    free(a);
}

/* Sets the values of one block to 0 but for the `kept` that come first when they are sorted by magnitude and then by
 * index. */
static void keep_first(float *x, size_t n, size_t kept) {
    char *gone = (char *)memory(n);
    size_t i, j;
    for (i = 0; i < n; i++) {
        size_t before = 0;
        for (j = 0; j < n; j++) before += fabsf(x[j]) > fabsf(x[i]) || (fabsf(x[j]) == fabsf(x[i]) && j < i);
        gone[i] = before >= kept;
    }
    for (i = 0; i < n; i++)
        if (gone[i]) x[i] = 0;
    free(gone);
}

/* Returns the values that keep=part/whole leaves, block by block. A last block is cut into powers of two if all rows
 * are measured. */
static float *kept_of(const float *x, size_t count, size_t block, int all_rows, size_t part, size_t whole) {
    float *kept = floats(count);
    size_t first, n;
    memcpy(kept, x, 4 * count);
    for (first = 0; first < count; first += n) {
        n = count - first < block ? count - first : block;
        while (all_rows && (n & (n - 1))) n &= n - 1;
        keep_first(kept + first, n, (n * part + whole - 1) / whole);
    }
    return kept;
}

static const struct {
    const char *spec;
    size_t block;
    int all_rows;
} kept_specs[] = {{"ratio=0.5,bits=32", 65536, 0},
                  {"ratio=0.25", 65536, 0},
                  {"ratio=0.19,bits=3,block=256", 256, 0},
                  {"ratio=0.5,bits=1,block=512,scale=2,workers=3", 512, 0},
                  {"ratio=1,bits=5", 65536, 1},
                  {"ratio=1,bits=16,block=256", 256, 1}};

static const struct {
    const char *text;
    size_t part, whole;
} keeps[] = {{"0.5", 1, 2},      {"0.1", 1, 10}, {"0.01", 1, 100},
             {"0.001", 1, 1000}, {"0.7", 7, 10}, {"1e-30", 1, 1000000}};

/* Values of six kinds. In kind 1 most magnitudes are equal to others; the zeros of kind 2 are ties, too. Kind 3 is
 * denormal, kind 4 constant, and kind 5 differs in the lowest bits only. */
static float *values_to_keep(int what, size_t count) {
    float *x = drawn(count, what == 0 ? noise_gaussian : noise_laplace, what == 2 ? 0.995 : 0, 12);
    size_t i;
    for (i = 0; i < count; i++) {
        if (what == 0) x[i] *= x[i] * x[i];
        if (what == 1) x[i] = truncf(2 * x[i]);
        if (what == 3) x[i] *= 1e-43f;
        if (what == 4) x[i] = i % 3 ? 0.5f : -0.5f;
        if (what == 5) x[i] = float_from_bits(float_bits(x[i] < 0 ? -1.0f : 1.0f) + (uint32_t)(i * 7 % 600));
    }
    return x;
}

/* With `keep` the packet is, to the bit, that of values whose smaller magnitudes were set to 0 before. */
static void test_keep(void **state) {
    static const size_t counts[] = {40, 256, 700, 1001, 2049};
    size_t s, c, k, compared = 0;
    int what;
    (void)state;
    for (s = 0; s < LENGTH(kept_specs); s++) {
        for (c = 0; c < LENGTH(counts); c++) {
            for (k = 0; k < LENGTH(keeps); k++) {
                for (what = 0; what < 6; what++) {
                    size_t count = counts[c];
                    char plain[100], text[120];
                    float *x = values_to_keep(what, count);
                    float *kept =
                        kept_of(x, count, kept_specs[s].block, kept_specs[s].all_rows, keeps[k].part, keeps[k].whole);
                    packet made, expected;
                    snprintf(plain, sizeof plain, "sensing:seed=11,%s", kept_specs[s].spec);
                    snprintf(text, sizeof text, "%s,keep=%s", plain, keeps[k].text);
                    made = encode(text, x, count);
                    expected = encode(plain, kept, count);
                    if (inspect(&made).codec == DTC_SENSING) { /* raw loses nothing, so that it sends all values */
                        CHECK(made.size == expected.size && !memcmp(made.bytes, expected.bytes, made.size),
                              "%s, %zu values of kind %d", text, count, what);
                        compared++;
                    }
                    free(expected.bytes);
                    free(made.bytes);
                    free(kept);
                    free(x);
                }
            }
        }
    }
    assert_in_range(compared, 900, 1080);
}

/* Of equal magnitudes the first ones stay: a packet of the first 100 of 1000 values. keep=1 keeps all, and so does 0,
 * the default. */
static void test_keep_ties(void **state) {
    enum { COUNT = 1000, KEPT = 100 };
    float *x = floats(COUNT), *first = floats(COUNT);
    packet made, expected;
    dtc_spec spec = spec_of("sensing:ratio=0.5,bits=8,seed=2");
    size_t i;
    (void)state;
    for (i = 0; i < COUNT; i++) {
        x[i] = i % 2 ? 3.0f : -3.0f;
        first[i] = i < KEPT ? x[i] : 0;
    }
    expected = encode_spec(&spec, first, COUNT);
    spec.sensing.keep = 0.1f; /* as a float it is above 0.1 */
    assert_true((double)spec.sensing.keep > 0.1);
    made = encode_spec(&spec, x, COUNT);
    assert_int_equal(made.size, expected.size);
    assert_memory_equal(made.bytes, expected.bytes, made.size);
    free(expected.bytes);
    free(made.bytes);

    spec.sensing.keep = 0;
    expected = encode_spec(&spec, x, COUNT);
    spec.sensing.keep = 1;
    made = encode_spec(&spec, x, COUNT);
    assert_int_equal(made.size, expected.size);
    assert_memory_equal(made.bytes, expected.bytes, made.size);
    free(expected.bytes);
    free(made.bytes);
    free(first);
    free(x);
}

/* The largest sums of values and residual are measured. What is left out stays in the residual. */
static void test_keep_residual(void **state) {
    enum { COUNT = 3000, BLOCK = 1024 };
    const dtc_spec spec = spec_of("sensing:ratio=0.3,bits=6,block=1024,keep=0.05,seed=4");
    float *x = drawn(COUNT, noise_laplace, 0, 1), *residual = drawn(COUNT, noise_laplace, 0, 2), *sum = floats(COUNT);
    float *before = floats(COUNT), *kept, *decoded;
    size_t bound = dtc_encode_bound(&spec, COUNT), need = dtc_encode_scratch(&spec, COUNT), i;
    void *scratch = memory(need);
    packet made, expected;
    (void)state;
    for (i = 0; i < COUNT; i++) sum[i] = x[i] + residual[i];
    kept = kept_of(sum, COUNT, BLOCK, 0, 5, 100);
    expected = encode("sensing:ratio=0.3,bits=6,block=1024,seed=4", kept, COUNT);
    made.bytes = (unsigned char *)memory(bound);
    assert_int_equal(dtc_encode_residual(&spec, made.bytes, bound, &made.size, x, residual, COUNT, scratch, need),
                     DTC_OK);
    assert_int_equal(made.size, expected.size);
    assert_memory_equal(made.bytes, expected.bytes, made.size);
    decoded = decode(&made);
    for (i = 0; i < COUNT; i++) CHECK(residual[i] == sum[i] - decoded[i], "value %zu", i);

    for (i = 0; i < 3; i++) { /* not finite: a value, a part of the residual, or only their sum */
        memcpy(before, residual, 4 * COUNT);
        if (i == 0) x[7] = NAN;
        if (i == 1) x[7] = 0, residual[7] = before[7] = -INFINITY;
        if (i == 2) x[7] = residual[7] = before[7] = 3e38f;
        assert_int_equal(dtc_encode_residual(&spec, made.bytes, bound, &made.size, x, residual, COUNT, scratch, need),
                         DTC_ERROR_NONFINITE);
        assert_int_equal(made.size, 0);
        assert_memory_equal(residual, before, 4 * COUNT);
    }
    free(decoded);
    free(made.bytes);
    free(expected.bytes);
    free(kept);
    free(scratch);
    free(before);
    free(sum);
    free(residual);
    free(x);
}

/* Of dense values with heavy tails, the largest ones alone can be found, and all together cannot. The bounds were
 * measured by this test: errors of 0.32 and 0.59 at ratio=0.19, 0.67 and 0.95 at ratio=0.038. */
static void test_keep_error(void **state) {
    static const struct {
        const char *plain, *keep;
        double most;
    } cases[] = {{"sensing:ratio=0.19,bits=3,seed=1", "0.03", 0.6},
                 {"sensing:ratio=0.038,bits=3,seed=1", "0.005", 0.75}};
    enum { COUNT = 65536 };
    float *x = values_to_keep(0, COUNT);
    size_t c;
    (void)state;
    for (c = 0; c < LENGTH(cases); c++) {
        char text[100];
        float *plain = round_trip(cases[c].plain, x, COUNT), *kept;
        snprintf(text, sizeof text, "%s,keep=%s", cases[c].plain, cases[c].keep);
        kept = round_trip(text, x, COUNT);
        CHECK(error_of(kept, x, COUNT) < cases[c].most * error_of(plain, x, COUNT), "%s: %g, without %g", text,
              error_of(kept, x, COUNT), error_of(plain, x, COUNT));
        free(kept);
        free(plain);
    }
    free(x);
}

/* What no encoder writes. */
static void test_hostile(void **state) {
    static const char plain[] = "sensing:checksum=0", blocks[] = "sensing:block=256,checksum=0";
    static const struct {
        const char *spec;
        size_t at;
        unsigned char byte;
        dtc_status status;
    } damages[] = {
        {plain, 3, 1, DTC_ERROR_HEAD},                                         /* a variant */
        {plain, 13, 0, DTC_ERROR_HEAD},                                        /* no measurements */
        {plain, 13, 5, DTC_ERROR_HEAD},                                        /* 1280 of 1024 rows */
        {plain, 12, 1, DTC_ERROR_PAYLOAD},                                     /* 257 of them, but 250 are there */
        {plain, 16, 0, DTC_ERROR_PAYLOAD},                                     /* nested: magic, */
        {plain, 17, 1, DTC_ERROR_PAYLOAD},                                     /* ternary, */
        {plain, 17, 4, DTC_ERROR_PAYLOAD},                                     /* measurements of measurements, */
        {plain, 18, 1, DTC_ERROR_PAYLOAD},                                     /* a checksum, */
        {plain, 20, 0, DTC_ERROR_PAYLOAD},                                     /* another count, */
        {plain, 24, 0, DTC_ERROR_PAYLOAD},                                     /* shorter than its place, */
        {plain, 27, 1, DTC_ERROR_PAYLOAD},                                     /* or longer, */
        {plain, 31, 0xff, DTC_ERROR_PAYLOAD},                                  /* a step of NaN */
        {blocks, 12, 128, DTC_ERROR_HEAD},                                     /* a block that is no power of two, */
        {blocks, 13, 3, DTC_ERROR_HEAD},      {blocks, 13, 4, DTC_ERROR_HEAD}, /* or larger than the count */
    };
    float *x = drawn(1000, noise_gaussian, 0, 1), *decoded = floats(1000), *before = drawn(1000, noise_gaussian, 0, 2);
    size_t i;
    (void)state;
    for (i = 0; i < LENGTH(damages); i++) {
        packet made = encode(damages[i].spec, x, 1000);
        dtc_info info = inspect(&made);
        size_t need = info.decode_scratch;
        dtc_status status;
        CHECK(made.bytes[damages[i].at] != damages[i].byte, "%s, byte %zu", damages[i].spec, damages[i].at);
        made.bytes[damages[i].at] = damages[i].byte;
        memcpy(decoded, before, 4 * 1000);
        status = dtc_inspect(made.bytes, made.size, &info);
        assert_int_equal(status, damages[i].status == DTC_ERROR_PAYLOAD ? DTC_OK : damages[i].status);
        if (info.decode_scratch > need) need = info.decode_scratch;
        status = dtc_decode(decoded, 1000, made.bytes, made.size, NULL, workspace(need), need);
        CHECK(status == damages[i].status, "%s, byte %zu: %s", damages[i].spec, damages[i].at,
              dtc_status_string(status));
        assert_memory_equal(decoded, before, 4 * 1000);
        free(made.bytes);
    }
    free(before);
    free(decoded);
    free(x);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_oracle),
        cmocka_unit_test(test_exact),
        cmocka_unit_test(test_measurements),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_denoiser),
        cmocka_unit_test(test_ista),
        cmocka_unit_test(test_speed_of_convergence),
        cmocka_unit_test(test_ratio_1),
        cmocka_unit_test(test_linear),
        cmocka_unit_test(test_never_worse),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_shared_scale),
        cmocka_unit_test(test_keep),
        cmocka_unit_test(test_keep_ties),
        cmocka_unit_test(test_keep_residual),
        cmocka_unit_test(test_keep_error),
        cmocka_unit_test(test_hostile),
    };
    return cmocka_run_group_tests_name("sensing", tests, NULL, NULL);
}
