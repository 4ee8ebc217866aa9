/* factor: given factors come back to the bit and decode to their product; approximations are near the best there are.
 */
#include "helpers.h"
#include "training.h"

enum { IMAGES_STEPS = 100 };

static const char images_dir[] = "/usr/share/datasets/fashion-mnist";

/* LAPACK's singular values of a column-major m x n matrix (Fortran: all by reference, lengths of texts at the end). */
void dgesdd_(const char *job, const int *m, const int *n, double *a, const int *a_stride, double *singular, double *u,
             const int *u_stride, double *vt, const int *vt_stride, double *work, const int *work_count, int *integers,
             int *info, size_t job_length);

/* Descending; as many as the shorter side. A row-major matrix is its transpose's columns, which has the same ones. */
static double *singular_values(const float *values, size_t rows, size_t columns) {
    size_t least = rows < columns ? rows : columns, i;
    int m = (int)columns, n = (int)rows, one = 1, info, work_count = (int)(8 * least + rows + columns + 100);
    double *a = (double *)memory(rows * columns * sizeof *a), *singular = (double *)memory(least * sizeof *singular);
    double *work = (double *)memory((size_t)work_count * sizeof *work), none;
    int *integers = (int *)memory(8 * least * sizeof *integers);
    for (i = 0; i < rows * columns; i++) a[i] = (double)values[i];
    dgesdd_("N", &m, &n, a, &m, singular, &none, &one, &none, &one, work, &work_count, integers, &info, 1);
    assert_int_equal(info, 0);
    free(integers);
    free(work);
    free(a);
    return singular;
}

/* The Frobenius norm of x - y, y NULL being zeros. */
static double distance(const float *x, const float *y, size_t count) {
    double sum = 0;
    size_t i;
    for (i = 0; i < count; i++) {
        double off = (double)x[i] - (y ? (double)y[i] : 0);
        sum += off * off;
    }
    return sqrt(sum);
}

/* By the definition: in double, in the order of k, rounded once. */
static float *product(const float *u, const float *v, size_t rank, size_t rows, size_t columns) {
    float *values = floats(rows * columns);
    size_t i, j, k;
    for (i = 0; i < rows; i++)
        for (j = 0; j < columns; j++) {
            volatile double sum = rank ? (double)u[i] * (double)v[j] : 0;
            for (k = 1; k < rank; k++) sum += (double)u[k * rows + i] * (double)v[k * columns + j];
            values[i * columns + j] = (float)fmin(fmax(sum, -(double)FLT_MAX), (double)FLT_MAX);
        }
    return values;
}

/* A packet of given factors, in exactly the scratch it needs. */
static packet encode_factors(const char *text, const float *u, const float *v, size_t rank, size_t rows,
                             size_t columns) {
    dtc_spec spec = spec_of(text);
    size_t need = dtc_encode_factors_scratch(&spec, rank, rows, columns), bound;
    unsigned char *scratch = (unsigned char *)memory(need), *room;
    packet made;
    dtc_status status;
    spec.rows = rows;
    bound = dtc_encode_bound(&spec, rows * columns);
    room = (unsigned char *)memory(bound);
    status = dtc_encode_factors(&spec, room, bound, &made.size, u, v, rank, rows, columns, scratch, need);
    CHECK(status == DTC_OK, "%s, rank %zu, %zu x %zu: %s", text, rank, rows, columns, dtc_status_string(status));
    made.bytes = (unsigned char *)memory(made.size);
    memcpy(made.bytes, room, made.size);
    free(room);
    free(scratch);
    return made;
}

static dtc_status decode_factors(const packet *made, float *u, float *v, size_t *rank, size_t rows, size_t columns) {
    dtc_info info = inspect(made);
    unsigned char *scratch = (unsigned char *)memory(info.decode_scratch);
    dtc_status status =
        dtc_decode_factors(u, v, rank, rows, columns, made->bytes, made->size, NULL, scratch, info.decode_scratch);
    free(scratch);
    return status;
}

static const struct {
    size_t rank, rows, columns;
} shapes[] = {{1, 4, 9},    {1, 2, 1000}, {1, 1000, 2},  {2, 17, 19},   {3, 7, 300},    {3, 300, 7},
              {5, 64, 256}, {7, 257, 31}, {16, 40, 400}, {4, 100, 513}, {64, 392, 784}, {1, 5, 4001}};

static void test_given(void **state) {
    size_t s, i, rank;
    (void)state;
    for (s = 0; s < LENGTH(shapes); s++) {
        size_t r = shapes[s].rank, rows = shapes[s].rows, columns = shapes[s].columns;
        float *u = drawn(r * rows, noise_laplace, 0.3, s), *v = drawn(r * columns, noise_gaussian, 0.1, s + 100);
        float *expected, *decoded, *u_back = floats(r * rows), *v_back = floats(r * columns);
        packet made;
        dtc_info info;
        for (i = 0; i < columns; i++) v[i] *= i % 2 ? 1e20f : -1e-20f; /* so that the order of additions matters */
        made = encode_factors("factor", u, v, r, rows, columns);
        info = inspect(&made);
        assert_int_equal(info.codec, DTC_FACTOR);
        assert_int_equal(info.count, rows * columns);
        assert_int_equal(info.rows, rows);
        assert_int_equal(info.columns, columns);
        assert_int_equal(info.spec.factor.rank, r);
        assert_int_equal(made.size, 20 + 4 + 2 * 12 + 4 * r * (rows + columns));
        expected = product(u, v, r, rows, columns);
        decoded = decode(&made);
        CHECK(memcmp(decoded, expected, 4 * rows * columns) == 0, "rank %zu, %zu x %zu", r, rows, columns);
        rank = r;
        assert_int_equal(decode_factors(&made, u_back, v_back, &rank, rows, columns), DTC_OK);
        assert_int_equal(rank, r);
        assert_memory_equal(u_back, u, 4 * r * rows);
        assert_memory_equal(v_back, v, 4 * r * columns);
        free(decoded);
        free(expected);
        free(v_back);
        free(u_back);
        free(made.bytes);
        free(v);
        free(u);
    }
}

/* Sums that leave float are bounded; those that only pass through its outside are not. */
static void test_given_extremes(void **state) {
    static const float u[] = {FLT_MAX, 1e-45f, FLT_MAX, -1e-45f, /**/ 0, 0, FLT_MAX, 1};
    static const float v[] = {FLT_MAX, 1, 0, -FLT_MAX, 1e-45f, FLT_MAX, /**/ 0, 0, 0, FLT_MAX, 0, 0};
    packet made = encode_factors("factor", u, v, 2, 4, 6);
    float *expected = product(u, v, 2, 4, 6), *decoded = decode(&made);
    (void)state;
    assert_memory_equal(decoded, expected, sizeof(float) * 24);
    assert_true(decoded[0] == FLT_MAX && decoded[3] == -FLT_MAX && decoded[1] == FLT_MAX);
    assert_true(decoded[2 * 6 + 3] == 0 && decoded[6 + 1] == 1e-45f);
    free(decoded);
    free(expected);
    free(made.bytes);
}

/* value= rounds the factors as the codec of that name does, each vector with a scale of its own. */
static void test_values(void **state) {
    static const struct {
        const char *spec, *u_as, *v_as;
        dtc_type type;
        int bits;
    } cases[] = {{"factor:value=bf16", "raw:type=bf16", "raw:type=bf16", DTC_TYPE_BF16, 0},
                 {"factor:value=fp16", "raw:type=fp16", "raw:type=fp16", DTC_TYPE_FP16, 0},
                 {"factor:value=4", "quant:bits=4,block=60,entropy=none", "quant:bits=4,block=90,entropy=none",
                  DTC_TYPE_FP32, 4},
                 {"factor:value=11", "quant:bits=11,block=60,entropy=none", "quant:bits=11,block=90,entropy=none",
                  DTC_TYPE_FP32, 11}};
    enum { RANK = 5, ROWS = 60, COLUMNS = 90 };
    float *u = drawn(RANK * ROWS, noise_gaussian, 0, 1), *v = drawn(RANK * COLUMNS, noise_laplace, 0, 2);
    size_t c, i, rank;
    (void)state;
    for (i = 0; i < RANK * ROWS; i++) u[i] = ldexpf(u[i], (int)(i / ROWS));
    for (c = 0; c < LENGTH(cases); c++) {
        packet made = encode_factors(cases[c].spec, u, v, RANK, ROWS, COLUMNS);
        float *u_rounded = round_trip(cases[c].u_as, u, RANK * ROWS), u_back[RANK * ROWS];
        float *v_rounded = round_trip(cases[c].v_as, v, RANK * COLUMNS), v_back[RANK * COLUMNS];
        float *expected = product(u_rounded, v_rounded, RANK, ROWS, COLUMNS), *decoded = decode(&made);
        rank = RANK;
        assert_int_equal(inspect(&made).spec.factor.value.type, cases[c].type);
        assert_int_equal(inspect(&made).spec.factor.value.bits, cases[c].bits);
        assert_int_equal(decode_factors(&made, u_back, v_back, &rank, ROWS, COLUMNS), DTC_OK);
        assert_memory_equal(u_back, u_rounded, sizeof u_back);
        assert_memory_equal(v_back, v_rounded, sizeof v_back);
        assert_memory_equal(decoded, expected, 4 * ROWS * COLUMNS);
        free(decoded);
        free(expected);
        free(v_rounded);
        free(u_rounded);
        free(made.bytes);
    }
    free(v);
    free(u);
}

/* Whoever asks for factors says how much room there is, and of what shape; failures leave it alone. */
static void test_give_back(void **state) {
    enum { RANK = 3, ROWS = 20, COLUMNS = 30 };
    float *u = drawn(RANK * ROWS, noise_gaussian, 0, 1), *v = drawn(RANK * COLUMNS, noise_gaussian, 0, 2), *dense;
    packet made = encode_factors("factor:value=3", u, v, RANK, ROWS, COLUMNS), stored;
    guarded to_u = guarded_new(4 * RANK * ROWS, 0), to_v = guarded_new(4 * RANK * COLUMNS, 0);
    float *u_back = (float *)(void *)to_u.p, *v_back = (float *)(void *)to_v.p;
    unsigned char *scratch = (unsigned char *)memory(inspect(&made).decode_scratch);
    size_t rank = RANK - 1, need = inspect(&made).decode_scratch;
    (void)state;
    assert_int_equal(decode_factors(&made, u_back, v_back, &rank, ROWS, COLUMNS), DTC_ERROR_CAPACITY);
    assert_int_equal(rank, 0);
    rank = 0;
    assert_int_equal(decode_factors(&made, NULL, NULL, &rank, ROWS, COLUMNS), DTC_ERROR_CAPACITY);
    rank = RANK;
    assert_int_equal(decode_factors(&made, u_back, v_back, &rank, COLUMNS, ROWS), DTC_ERROR_COUNT);
    assert_int_equal(rank, 0);
    rank = RANK;
    assert_int_equal(decode_factors(&made, u_back, v_back, &rank, ROWS, COLUMNS + 1), DTC_ERROR_COUNT);
    rank = RANK;
    assert_int_equal(decode_factors(&made, u_back, v_back, &rank, ROWS, SIZE_MAX), DTC_ERROR_ARGUMENT);
    rank = RANK;
    assert_int_equal(decode_factors(&made, NULL, v_back, &rank, ROWS, COLUMNS), DTC_ERROR_ARGUMENT);
    rank = RANK;
    assert_int_equal(decode_factors(&made, u_back, NULL, &rank, ROWS, COLUMNS), DTC_ERROR_ARGUMENT);
    assert_int_equal(decode_factors(&made, u_back, v_back, NULL, ROWS, COLUMNS), DTC_ERROR_ARGUMENT);
    rank = RANK;
    assert_int_equal(dtc_decode_factors(u_back, v_back, &rank, ROWS, COLUMNS, NULL, made.size, NULL, scratch, need),
                     DTC_ERROR_ARGUMENT);
    rank = RANK;
    assert_int_equal(
        dtc_decode_factors(u_back, v_back, &rank, ROWS, COLUMNS, made.bytes, made.size, NULL, scratch, need - 1),
        DTC_ERROR_SCRATCH);
    rank = RANK;
    made.bytes[40] ^= 1;
    assert_int_equal(decode_factors(&made, u_back, v_back, &rank, ROWS, COLUMNS), DTC_ERROR_CHECKSUM);
    made.bytes[40] ^= 1;
    dense = decode(&made);
    stored = encode("raw", dense, ROWS * COLUMNS);
    rank = RANK;
    assert_int_equal(decode_factors(&stored, u_back, v_back, &rank, ROWS, COLUMNS), DTC_ERROR_CODEC);
    assert_true(guarded_intact(&to_u, 0) && guarded_intact(&to_v, 0));
    rank = RANK;
    assert_int_equal(decode_factors(&made, u_back, v_back, &rank, ROWS, COLUMNS), DTC_OK);
    assert_true(guarded_intact(&to_u, 4 * RANK * ROWS) && guarded_intact(&to_v, 4 * RANK * COLUMNS));
    free(stored.bytes);
    free(dense);
    free(scratch);
    guarded_free(&to_v);
    guarded_free(&to_u);
    free(made.bytes);
    free(v);
    free(u);
}

/* Encoding given factors: every capacity and scratch, misaligned factors, what is not finite, what is out of range. */
static void test_give(void **state) {
    static const char *const specs[] = {"factor", "factor:value=bf16,checksum=0", "factor:value=2"};
    static const size_t ranks[] = {0, 2, 3, 4}; /* of 8 x 8: at 4, the product is stored */
    float *u = drawn(32, noise_gaussian, 0, 1), *v = drawn(32, noise_gaussian, 0, 2);
    size_t s, r, capacity, bytes;
    (void)state;
    for (s = 0; s < LENGTH(specs); s++) {
        for (r = 0; r < LENGTH(ranks); r++) {
            packet made = encode_factors(specs[s], u, v, ranks[r], 8, 8);
            dtc_spec spec = spec_of(specs[s]);
            size_t need = dtc_encode_factors_scratch(&spec, ranks[r], 8, 8);
            guarded scratch = guarded_new(need, 3), odd_u = guarded_new(128, 1), odd_v = guarded_new(128, 2);
            const float *at_u = (const float *)(const void *)odd_u.p, *at_v = (const float *)(const void *)odd_v.p;
            memcpy(odd_u.p, u, 128);
            memcpy(odd_v.p, v, 128);
            assert_in_range(made.size, 20, 256 + 20);
            if (s == 0) assert_int_equal(inspect(&made).codec, ranks[r] < 4 ? DTC_FACTOR : DTC_RAW);
            for (capacity = 0; capacity <= made.size + 1; capacity++) {
                guarded to = guarded_new(capacity, 0);
                dtc_status status =
                    dtc_encode_factors(&spec, to.p, capacity, &bytes, at_u, at_v, ranks[r], 8, 8, scratch.p, need);
                assert_int_equal(status, capacity < made.size ? DTC_ERROR_CAPACITY : DTC_OK);
                assert_int_equal(bytes, capacity < made.size ? 0 : made.size);
                if (status == DTC_OK) assert_memory_equal(to.p, made.bytes, made.size);
                assert_true(guarded_intact(&to, capacity) && guarded_intact(&scratch, need));
                guarded_free(&to);
            }
            if (need) {
                guarded to = guarded_new(made.size, 0);
                assert_int_equal(
                    dtc_encode_factors(&spec, to.p, made.size, &bytes, u, v, ranks[r], 8, 8, scratch.p, need - 1),
                    DTC_ERROR_SCRATCH);
                assert_int_equal(bytes, 0);
                guarded_free(&to);
            }
            guarded_free(&odd_v);
            guarded_free(&odd_u);
            guarded_free(&scratch);
            free(made.bytes);
        }
    }
    free(v);
    free(u);
}

static void test_give_arguments(void **state) {
    static unsigned char to[1000];
    float u[20] = {1, 2}, v[20] = {3, 4};
    dtc_spec spec = spec_of("factor"), raw = spec_of("raw"), bad = spec;
    size_t bytes = 9, i;
    (void)state;
    assert_int_equal(dtc_encode_factors(NULL, to, 1000, &bytes, u, v, 1, 10, 10, NULL, 0), DTC_ERROR_ARGUMENT);
    assert_int_equal(bytes, 0);
    assert_int_equal(dtc_encode_factors(&spec, to, 1000, NULL, u, v, 1, 10, 10, NULL, 0), DTC_ERROR_ARGUMENT);
    assert_int_equal(dtc_encode_factors(&spec, NULL, 1000, &bytes, u, v, 1, 10, 10, NULL, 0), DTC_ERROR_ARGUMENT);
    assert_int_equal(dtc_encode_factors(&spec, to, 1000, &bytes, NULL, v, 1, 10, 10, NULL, 0), DTC_ERROR_ARGUMENT);
    assert_int_equal(dtc_encode_factors(&spec, to, 1000, &bytes, u, NULL, 1, 10, 10, NULL, 0), DTC_ERROR_ARGUMENT);
    assert_int_equal(dtc_encode_factors(&spec, to, 1000, &bytes, u, v, 1, SIZE_MAX, 2, NULL, 0), DTC_ERROR_ARGUMENT);
    assert_int_equal(dtc_encode_factors(&spec, to, 1000, &bytes, u, v, 1, 2, SIZE_MAX, NULL, 0), DTC_ERROR_ARGUMENT);
    assert_int_equal(dtc_encode_factors(&spec, to, 1000, &bytes, u, v, SIZE_MAX, 2, 2, NULL, 0), DTC_ERROR_ARGUMENT);
    assert_int_equal(dtc_encode_factors(&raw, to, 1000, &bytes, u, v, 1, 10, 10, NULL, 0), DTC_ERROR_CODEC);
    bad.factor.value.bits = 17;
    assert_int_equal(dtc_encode_factors(&bad, to, 1000, &bytes, u, v, 1, 10, 10, NULL, 0), DTC_ERROR_SPEC);
    assert_int_equal(dtc_encode_factors_scratch(&bad, 1, 10, 10), 0);
    assert_int_equal(dtc_encode_factors_scratch(NULL, 1, 10, 10), 0);
    for (i = 0; i < 40; i++) { /* in u, and in v */
        float *place = i < 20 ? &u[i] : &v[i - 20], good = *place;
        *place = i % 3 ? INFINITY : NAN;
        bytes = 9;
        assert_int_equal(dtc_encode_factors(&spec, to, 1000, &bytes, u, v, 2, 10, 10, NULL, 0), DTC_ERROR_NONFINITE);
        assert_int_equal(bytes, 0);
        *place = good;
    }
    assert_int_equal(dtc_encode_factors(&spec, to, 1000, &bytes, u, v, 2, 10, 10, NULL, 0), DTC_OK);
    assert_int_equal(dtc_encode_factors(&spec, to, 1000, &bytes, NULL, v, 5, 0, 4, NULL, 0), DTC_OK); /* no values */
    assert_int_equal(dtc_encode_factors(&spec, to, 1000, &bytes, u, NULL, 5, 4, 0, NULL, 0), DTC_OK);
}

/* Near the Eckart-Young optimum on real gradients of every shape there is, and transposed. */
static void test_optimum(void **state) {
    static const int ranks[] = {1, 2, 4, 8};
    struct training training;
    struct error error;
    size_t t, turned, r, i, j, k;
    (void)state;
    CHECK(training_run(&training, images_dir, IMAGES_STEPS, &error), "%s", error.text);
    for (t = 0; t < training.gradient.count; t += 2) {
        const struct tensor *gradient = &training.gradient.tensor[t];
        for (turned = 0; turned < 2; turned++) {
            size_t rows = turned ? gradient->columns : gradient->rows;
            size_t columns = turned ? gradient->rows : gradient->columns, least = rows < columns ? rows : columns;
            float *values = floats(rows * columns);
            double *singular;
            for (i = 0; i < rows; i++)
                for (j = 0; j < columns; j++)
                    values[i * columns + j] = gradient->values[turned ? j * rows + i : i * columns + j];
            singular = singular_values(values, rows, columns);
            for (r = 0; r < LENGTH(ranks); r++) {
                double best = 0, error_norm;
                dtc_spec spec = spec_of("factor");
                packet made;
                float *decoded;
                spec.rows = rows;
                spec.factor.rank = ranks[r];
                made = encode_spec(&spec, values, rows * columns);
                assert_int_equal(inspect(&made).codec, DTC_FACTOR);
                assert_int_equal(inspect(&made).spec.factor.rank, ranks[r]);
                decoded = decode(&made);
                for (k = (size_t)ranks[r]; k < least; k++) best += singular[k] * singular[k];
                error_norm = distance(values, decoded, rows * columns);
                CHECK(error_norm <= 1.03 * sqrt(best) && error_norm >= (1 - 1e-6) * sqrt(best),
                      "%zu x %zu, rank %d: %.3g, not %.3g", rows, columns, ranks[r], error_norm, sqrt(best));
                free(decoded);
                free(made.bytes);
            }
            free(singular);
            free(values);
        }
    }
    training_free(&training);
}

/* The factors of a batch are its gradient, at a quarter of the size. */
static void test_batch(void **state) {
    struct training training;
    struct error error;
    size_t t;
    (void)state;
    CHECK(training_run(&training, images_dir, 2, &error), "%s", error.text);
    for (t = 0; t < training.gradient.count; t += 2) {
        const struct tensor *gradient = &training.gradient.tensor[t];
        size_t rows = gradient->rows, columns = gradient->columns;
        struct factors factors = net_factors(&training.net, t);
        packet made = encode_factors("factor", factors.u, factors.v, factors.rank, rows, columns);
        float *decoded = decode(&made);
        assert_int_equal(factors.rank, TRAINING_BATCH);
        assert_int_equal(inspect(&made).codec, t == 0 ? DTC_FACTOR : DTC_RAW);
        assert_true(distance(gradient->values, decoded, rows * columns) <=
                    1e-6 * distance(gradient->values, NULL, rows * columns));
        if (t == 0) assert_in_range(made.size, 1, rows * columns);
        free(decoded);
        free(made.bytes);
    }
    training_free(&training);
}

/* A matrix of a lower rank than asked for is met, with no more vectors than it takes. */
static void test_deficient(void **state) {
    static const double magnitudes[] = {1, 1e-30, 1e30, 1e-38};
    size_t s, m, i;
    (void)state;
    for (s = 0; s < LENGTH(shapes); s++) {
        for (m = 0; m < LENGTH(magnitudes); m++) {
            size_t rows = shapes[s].rows, columns = shapes[s].columns, rank = shapes[s].rank < 4 ? shapes[s].rank : 4;
            float *u = drawn(rank * rows, noise_gaussian, 0, s), *v = drawn(rank * columns, noise_gaussian, 0, s + 9);
            float *values, *decoded;
            dtc_spec spec = spec_of("factor");
            packet made;
            for (i = 0; i < rank * rows; i++) u[i] = (float)((double)u[i] * magnitudes[m]);
            values = product(u, v, rank, rows, columns);
            for (i = 0; i < rows * columns; i++) /* a row and a column of zeros */
                if (rows > 2 && columns > 2 && (i / columns == 1 || i % columns == columns - 1)) values[i] = 0;
            spec.rows = rows;
            spec.factor.rank = (int)rank;
            if (4 * (rank + 3) * (rows + columns) + 44 < 4 * rows * columns) spec.factor.rank += 3;
            made = encode_spec(&spec, values, rows * columns);
            decoded = decode(&made);
            CHECK(distance(values, decoded, rows * columns) <= 4e-7 * distance(values, NULL, rows * columns),
                  "rank %zu, %zu x %zu: %g", rank, rows, columns,
                  distance(values, decoded, rows * columns) / distance(values, NULL, rows * columns));
            for (i = 0; i < rows * columns; i++)
                if (rows > 2 && columns > 2 && (i / columns == 1 || i % columns == columns - 1))
                    assert_true(decoded[i] == 0);
            free(decoded);
            free(made.bytes);
            free(values);
            free(v);
            free(u);
        }
    }
}

static void test_degenerate(void **state) {
    static const float constants[] = {0, 1, -0.3f, FLT_MAX, -FLT_MAX, 1e-45f, -1e-40f};
    float values[30 * 40], *decoded;
    size_t c, i;
    packet made;
    (void)state;
    for (c = 0; c < LENGTH(constants); c++) {
        for (i = 0; i < LENGTH(values); i++) values[i] = constants[c];
        made = encode("factor:rank=3,rows=30", values, LENGTH(values));
        assert_int_equal(inspect(&made).codec, DTC_FACTOR);
        assert_int_equal(inspect(&made).spec.factor.rank, constants[c] != 0);
        assert_int_equal(made.size, 20 + 4 + (constants[c] != 0 ? 2 * 12 + 4 * 70 : 0));
        decoded = decode(&made);
        for (i = 0; i < LENGTH(values); i++)
            CHECK(fabs((double)decoded[i] - (double)constants[c]) <= 3e-7 * fabs((double)constants[c]), "%g: %g",
                  (double)constants[c], (double)decoded[i]);
        free(decoded);
        free(made.bytes);
    }
}

/* Where factors are no smaller, the values are stored; also those that are no matrix. */
static void test_stored(void **state) {
    static const struct {
        const char *spec;
        size_t count;
    } cases[] = {{"factor", 1000},
                 {"factor:rows=1", 1000},
                 {"factor:rows=1000", 1000},
                 {"factor:rank=1,rows=2", 4},
                 {"factor:rank=5,rows=10", 100},
                 {"factor:rank=65535,rows=100", 10000},
                 {"factor:rank=1,rows=3", 12}, /* 7 values and two heads are more than 12 values */
                 {"factor:rows=7", 0}};
    size_t c;
    (void)state;
    for (c = 0; c < LENGTH(cases); c++) {
        float *values = drawn(cases[c].count, noise_gaussian, 0, c), *decoded;
        packet made = encode(cases[c].spec, values, cases[c].count);
        CHECK(inspect(&made).codec == DTC_RAW, "%s", cases[c].spec);
        decoded = decode(&made);
        assert_memory_equal(decoded, values, 4 * cases[c].count);
        free(decoded);
        free(made.bytes);
        free(values);
    }
}

/* What is wrong in a payload is found before anything is written. 6 x 8 values; rank at 16, the packet of u at 20 and
 * that of v at 32 + 24. */
static void test_damage(void **state) {
    static const struct {
        size_t at;
        unsigned char byte;
        dtc_status status;
    } damages[] = {
        {3, 1, DTC_ERROR_HEAD},                /* no such variant */
        {12, 0, DTC_ERROR_HEAD},               /* no rows */
        {12, 12, DTC_ERROR_PAYLOAD},           /* another shape */
        {16, 0, DTC_ERROR_SIZE},               /* rank 0 has no payload */
        {16, 2, DTC_ERROR_PAYLOAD},            /* another rank than the packets have */
        {16, 4, DTC_ERROR_HEAD},               /* factors as large as the values */
        {19, 0xff, DTC_ERROR_HEAD},            /* likewise, by far */
        {20, 0, DTC_ERROR_PAYLOAD},            /* no packet */
        {21, 1, DTC_ERROR_PAYLOAD},            /* one of ternary */
        {21, 3, DTC_ERROR_PAYLOAD},            /* one of factor */
        {21, 0x10, DTC_ERROR_PAYLOAD},         /* of another version */
        {22, 1, DTC_ERROR_PAYLOAD},            /* with a checksum */
        {22, 2, DTC_ERROR_PAYLOAD},            /* with rows */
        {22, 16, DTC_ERROR_PAYLOAD},           /* with a seed */
        {23, 1, DTC_ERROR_PAYLOAD},            /* of half the size */
        {28, 11, DTC_ERROR_SIZE},              /* shorter than a head */
        {28, 35, DTC_ERROR_PAYLOAD},           /* a byte short */
        {28, 200, DTC_ERROR_SIZE},             /* beyond the payload */
        {31, 0xff, DTC_ERROR_SIZE},            /* by far */
        {32 + 3, 0x7f, DTC_ERROR_PAYLOAD},     /* infinity, with the byte below */
        {56, 0, DTC_ERROR_PAYLOAD},            /* as above, in the packet of v */
        {57, 4, DTC_ERROR_PAYLOAD},            /**/
        {58, 1, DTC_ERROR_PAYLOAD},            /**/
        {60, 7, DTC_ERROR_PAYLOAD},            /**/
        {64, 43, DTC_ERROR_PAYLOAD},           /**/
        {64, 45, DTC_ERROR_PAYLOAD},           /**/
        {68 + 28 + 3, 0xff, DTC_ERROR_PAYLOAD} /* NaN */
    };
    static const float u[6] = {-1.9999999f, 2, 3, 4, 5, 6}, v[8] = {1, 2, 3, 4, 5, 6, 7, -1.9999999f};
    size_t d, i;
    (void)state;
    for (d = 0; d < LENGTH(damages); d++) {
        packet made = encode_factors("factor:checksum=0", u, v, 1, 6, 8);
        float decoded[48], u_back[48], v_back[48];
        static unsigned char scratch[1 << 18];
        dtc_status status;
        size_t rank = 6;
        dtc_info info;
        assert_int_equal(made.size, 16 + 4 + 12 + 24 + 12 + 32);
        assert_int_not_equal(made.bytes[damages[d].at], damages[d].byte);
        made.bytes[damages[d].at] = damages[d].byte;
        memset(decoded, GUARD_FILL, sizeof decoded);
        memset(u_back, GUARD_FILL, sizeof u_back);
        memset(v_back, GUARD_FILL, sizeof v_back);
        status = dtc_decode(decoded, 48, made.bytes, made.size, NULL, scratch, sizeof scratch);
        CHECK(status == damages[d].status, "byte %zu, %u: %s", damages[d].at, damages[d].byte,
              dtc_status_string(status));
        assert_int_equal(dtc_inspect(made.bytes, made.size, &info), status == DTC_ERROR_PAYLOAD ? DTC_OK : status);
        status = dtc_decode_factors(u_back, v_back, &rank, 6, 8, made.bytes, made.size, NULL, scratch, sizeof scratch);
        assert_int_equal(status, damages[d].at == 12 && damages[d].byte ? DTC_ERROR_COUNT : damages[d].status);
        assert_int_equal(rank, 0);
        for (i = 0; i < sizeof decoded; i++)
            assert_true(((unsigned char *)decoded)[i] == GUARD_FILL && ((unsigned char *)u_back)[i] == GUARD_FILL &&
                        ((unsigned char *)v_back)[i] == GUARD_FILL);
        free(made.bytes);
    }
}

/* A nested packet that says it is rotated would need more scratch than was asked for. */
static void test_nested_rotated(void **state) {
    float *u = drawn(40, noise_gaussian, 0, 1), *v = drawn(50, noise_gaussian, 0, 2), decoded[2000];
    packet made = encode_factors("factor:value=4,checksum=0", u, v, 1, 40, 50);
    size_t need = inspect(&made).decode_scratch;
    unsigned char *scratch = (unsigned char *)memory(need);
    (void)state;
    assert_int_equal(made.bytes[21], DTC_QUANT);
    assert_int_equal(dtc_decode(decoded, 2000, made.bytes, made.size, NULL, scratch, need), DTC_OK);
    made.bytes[23] |= 0x80;
    assert_int_equal(inspect(&made).decode_scratch, need);
    assert_int_equal(dtc_decode(decoded, 2000, made.bytes, made.size, NULL, scratch, need), DTC_ERROR_PAYLOAD);
    free(scratch);
    free(made.bytes);
    free(v);
    free(u);
}

/* Error feedback turns a few directions a step into all of them. */
static void test_feedback(void **state) {
    static const char *const specs[] = {"factor:rank=2,rows=40", "factor:rank=2,rows=40,value=bf16",
                                        "factor:rank=2,rows=40,value=6"};
    enum { COUNT = 40 * 60, STEPS = 60 };
    size_t s, i;
    int step;
    (void)state;
    for (s = 0; s < LENGTH(specs); s++) {
        float *values = drawn(COUNT, noise_gaussian, 0, 3), *residual = (float *)calloc(COUNT, sizeof *residual);
        float *sum = (float *)calloc(COUNT, sizeof *sum), *mean = floats(COUNT);
        dtc_spec spec = spec_of(specs[s]);
        size_t bound = dtc_encode_bound(&spec, COUNT), need = dtc_encode_scratch(&spec, COUNT);
        unsigned char *scratch = (unsigned char *)memory(need);
        packet made;
        assert_true(residual && sum);
        made.bytes = (unsigned char *)memory(bound);
        for (step = 0; step < STEPS; step++) {
            float *decoded;
            spec.seed = (uint64_t)step;
            assert_int_equal(
                dtc_encode_residual(&spec, made.bytes, bound, &made.size, values, residual, COUNT, scratch, need),
                DTC_OK);
            decoded = decode(&made);
            for (i = 0; i < COUNT; i++) sum[i] += decoded[i];
            free(decoded);
        }
        for (i = 0; i < COUNT; i++) mean[i] = sum[i] / STEPS;
        CHECK(distance(values, mean, COUNT) < 0.25 * distance(values, NULL, COUNT), "%s: %g", specs[s],
              distance(values, mean, COUNT) / distance(values, NULL, COUNT));
        free(made.bytes);
        free(scratch);
        free(mean);
        free(sum);
        free(residual);
        free(values);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_given),          cmocka_unit_test(test_given_extremes),
                                       cmocka_unit_test(test_values),         cmocka_unit_test(test_give_back),
                                       cmocka_unit_test(test_give),           cmocka_unit_test(test_give_arguments),
                                       cmocka_unit_test(test_optimum),        cmocka_unit_test(test_batch),
                                       cmocka_unit_test(test_deficient),      cmocka_unit_test(test_degenerate),
                                       cmocka_unit_test(test_stored),         cmocka_unit_test(test_damage),
                                       cmocka_unit_test(test_nested_rotated), cmocka_unit_test(test_feedback)};
    return cmocka_run_group_tests_name("factor", tests, NULL, NULL);
}
