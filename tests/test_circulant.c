/* Block-circulant matrices: projection of dense ones, exactness of circulant ones, vectors that are given. */
#include "helpers.h"

typedef struct shape {
    size_t rows, columns, block;
} shape;

/* One block and many, whole and cut off, of one value, larger than a row, longer than what is worked on at a time. */
static const shape shapes[] = {
    {8, 8, 0},  {7, 12, 0}, {12, 7, 0}, {50, 784, 0},  {20, 20, 5},   {21, 23, 5}, {9, 40, 16},
    {40, 9, 8}, {5, 6, 4},  {4, 4, 6},  {6, 5000, 20}, {300, 300, 0}, {64, 64, 2}, {100, 30, 29},
};

static size_t block_of(const shape *s) {
    return s->block ? s->block : s->rows > s->columns ? s->rows : s->columns;
}

static size_t vectors_of(const shape *s) {
    return dtc_circulant_vector_count(s->rows, s->columns, s->block);
}

/* Which of the vectors' values stands at W[i][j]. */
static size_t entry(const shape *s, size_t i, size_t j) {
    size_t block = block_of(s), across = (s->columns + block - 1) / block;
    return (i / block * across + j / block) * block + (block + i % block - j % block) % block;
}

static float *expand(const shape *s, const float *vectors) {
    float *matrix = floats(s->rows * s->columns);
    size_t i, j;
    for (i = 0; i < s->rows; i++)
        for (j = 0; j < s->columns; j++) matrix[i * s->columns + j] = vectors[entry(s, i, j)];
    return matrix;
}

static dtc_spec spec_of_shape(const shape *s, const char *value) {
    char text[100];
    snprintf(text, sizeof text, "circulant:rows=%zu,block=%zu,value=%s", s->rows, s->block, value);
    return spec_of(text);
}

static packet encode_given(const dtc_spec *spec, const float *vectors, size_t rows, size_t columns) {
    dtc_spec shaped = *spec;
    size_t bound, need = dtc_encode_circulant_scratch(spec, rows, columns);
    unsigned char *room;
    packet made;
    dtc_status status;
    shaped.rows = rows;
    bound = dtc_encode_bound(&shaped, rows * columns);
    room = (unsigned char *)memory(bound);
    status = dtc_encode_circulant(spec, room, bound, &made.size, vectors, rows, columns, workspace(need), need);
    CHECK(status == DTC_OK, "%zu x %zu: %s", rows, columns, dtc_status_string(status));
    made.bytes = (unsigned char *)memory(made.size);
    memcpy(made.bytes, room, made.size);
    free(room);
    return made;
}

static dtc_status decode_given(float *vectors, size_t count, const packet *made) {
    size_t need = inspect(made).decode_scratch;
    return dtc_decode_circulant(vectors, count, made->bytes, made->size, NULL, workspace(need), need);
}

/* The least squares of sum over i, j of (W[i][j] - c[entry])^2, solved entry by entry from the matrix; entries that
 * have no place are 0. And no other vectors are nearer: what is left sums to zero over each entry's places. */
static void test_projection(void **state) {
    size_t n, i, j, v;
    (void)state;
    for (n = 0; n < LENGTH(shapes); n++) {
        const shape *s = &shapes[n];
        size_t count = s->rows * s->columns, vectors = vectors_of(s);
        dtc_spec spec = spec_of_shape(s, "fp32");
        float *matrix = drawn(count, noise_gaussian, 0, n), *found = floats(vectors), *expected, *decoded;
        double *sum = (double *)memory(vectors * sizeof(double)), *left = (double *)memory(vectors * sizeof(double));
        size_t *places = (size_t *)memory(vectors * sizeof(size_t));
        packet made = encode_spec(&spec, matrix, count);
        dtc_info info = inspect(&made);
        assert_int_equal(info.codec, DTC_CIRCULANT);
        assert_int_equal(decode_given(found, vectors, &made), DTC_OK);
        for (v = 0; v < vectors; v++) sum[v] = left[v] = 0, places[v] = 0;
        for (i = 0; i < s->rows; i++) {
            for (j = 0; j < s->columns; j++) {
                sum[entry(s, i, j)] += (double)matrix[i * s->columns + j];
                places[entry(s, i, j)]++;
            }
        }
        for (v = 0; v < vectors; v++) {
            float mean = places[v] ? (float)(sum[v] / (double)places[v]) : 0;
            CHECK(float_bits(found[v]) == float_bits(mean), "%zu x %zu, block %zu: entry %zu is %g, not %g", s->rows,
                  s->columns, s->block, v, (double)found[v], (double)mean);
        }
        expected = expand(s, found);
        decoded = decode(&made);
        assert_memory_equal(decoded, expected, 4 * count);
        for (i = 0; i < s->rows; i++)
            for (j = 0; j < s->columns; j++)
                left[entry(s, i, j)] += (double)matrix[i * s->columns + j] - (double)decoded[i * s->columns + j];
        for (v = 0; v < vectors; v++)
            CHECK(fabs(left[v]) <= 1e-6 * (double)places[v], "%zu x %zu, block %zu: entry %zu leaves %g", s->rows,
                  s->columns, s->block, v, left[v]);
        free(decoded);
        free(expected);
        free(made.bytes);
        free(places);
        free(left);
        free(sum);
        free(found);
        free(matrix);
    }
}

/* What is circulant comes out to the bit: encoded as a matrix, and as vectors; with the odd values, too. */
static void test_exact(void **state) {
    const float odd[] = {-0.0f, 0.0f, FLT_MAX, -FLT_MAX, 1e-41f, -1e-45f, FLT_MIN, 0.1f};
    size_t n, v;
    int kind;
    (void)state;
    for (n = 0; n < LENGTH(shapes); n++) {
        for (kind = 0; kind < 2; kind++) {
            const shape *s = &shapes[n];
            size_t count = s->rows * s->columns, vectors = vectors_of(s);
            dtc_spec spec = spec_of_shape(s, "fp32");
            float *given = drawn(vectors, noise_gaussian, 0, 7 * n), *matrix, *decoded, *found = floats(vectors);
            packet made, dense;
            for (v = 0; kind && v < vectors; v++) given[v] = odd[v % LENGTH(odd)];
            matrix = expand(s, given);
            made = encode_given(&spec, given, s->rows, s->columns);
            CHECK(made.size <= 4 * vectors + 40, "%zu values in %zu bytes", vectors, made.size);
            assert_int_equal(decode_given(found, vectors, &made), DTC_OK);
            assert_memory_equal(found, given, 4 * vectors);
            decoded = decode(&made);
            assert_memory_equal(decoded, matrix, 4 * count);
            free(decoded);
            dense = encode_spec(&spec, matrix, count);
            assert_int_equal(dense.size, made.size);
            decoded = decode(&dense);
            CHECK(memcmp(decoded, matrix, 4 * count) == 0, "%zu x %zu, block %zu", s->rows, s->columns, s->block);
            free(decoded);
            free(dense.bytes);
            free(made.bytes);
            free(found);
            free(matrix);
            free(given);
        }
    }
}

/* Vectors of fewer bits are what raw and quant make of them. */
static void test_values(void **state) {
    static const char *const values[][2] = {
        {"fp32", "raw"},       {"bf16", "raw:type=bf16"}, {"fp16", "raw:type=fp16"}, {"1", "quant:bits=1"},
        {"4", "quant:bits=4"}, {"8", "quant:bits=8"},     {"16", "quant:bits=16"}};
    size_t n, k;
    (void)state;
    for (n = 0; n < LENGTH(shapes); n++) {
        for (k = 0; k < LENGTH(values); k++) {
            const shape *s = &shapes[n];
            size_t count = s->rows * s->columns, vectors = vectors_of(s);
            dtc_spec spec = spec_of_shape(s, values[k][0]);
            float *given = drawn(vectors, noise_laplace, 0.1, n), *rounded = round_trip(values[k][1], given, vectors);
            float *expected = expand(s, rounded), *decoded, *found = floats(vectors);
            packet made = encode_given(&spec, given, s->rows, s->columns);
            dtc_info info = inspect(&made);
            assert_int_equal(info.codec, DTC_CIRCULANT);
            assert_int_equal(info.rows, s->rows);
            assert_int_equal(info.columns, s->columns);
            assert_int_equal(info.spec.block, s->block);
            if (spec.circulant.value.bits < 16 || vectors > 100) { /* else quant itself stores */
                assert_int_equal(info.spec.circulant.value.bits, spec.circulant.value.bits);
                assert_int_equal(info.spec.circulant.value.type, spec.circulant.value.type);
            }
            decoded = decode(&made);
            CHECK(memcmp(decoded, expected, 4 * count) == 0, "%zu x %zu, block %zu, %s", s->rows, s->columns, s->block,
                  values[k][0]);
            assert_int_equal(decode_given(found, vectors, &made), DTC_OK);
            assert_memory_equal(found, rounded, 4 * vectors);
            free(decoded);
            free(made.bytes);
            free(found);
            free(expected);
            free(rounded);
            free(given);
        }
    }
}

/* Where vectors would not be smaller than the matrix, that is stored: as it is, or as the vectors make it. */
static void test_stored(void **state) {
    static const shape stored[] = {{1, 30, 0}, {30, 1, 0},   {1, 1, 1},   {10, 10, 1}, {3, 3, 2},
                                   {4, 4, 16}, {4, 4, 1000}, {1, 30, 10}, {2, 2, 2},   {2, 3, 2}};
    size_t n;
    (void)state;
    for (n = 0; n < LENGTH(stored); n++) {
        const shape *s = &stored[n];
        size_t count = s->rows * s->columns, vectors = vectors_of(s), need;
        dtc_spec spec = spec_of_shape(s, "bf16"), plain = spec_of("raw");
        float *matrix = drawn(count, noise_gaussian, 0, n), *given = drawn(vectors, noise_gaussian, 0, n), *expected;
        packet made = encode_spec(&spec, matrix, count), again;
        float *decoded = decode(&made);
        unsigned char *room;
        size_t bytes;
        CHECK(inspect(&made).codec == DTC_RAW, "%zu x %zu, block %zu", s->rows, s->columns, s->block);
        assert_memory_equal(decoded, matrix, 4 * count);
        free(decoded);
        free(made.bytes);
        made = encode_given(&spec, given, s->rows, s->columns);
        expected = expand(s, given);
        plain.rows = s->rows;
        again = encode_spec(&plain, expected, count);
        assert_int_equal(again.size, made.size);
        assert_memory_equal(again.bytes, made.bytes, made.size);
        assert_int_equal(decode_given(given, vectors, &made), DTC_ERROR_CODEC);
        need = dtc_encode_circulant_scratch(&spec, s->rows, s->columns);
        room = (unsigned char *)memory(made.size);
        assert_int_equal(
            dtc_encode_circulant(&spec, room, made.size, &bytes, given, s->rows, s->columns, workspace(need), need),
            DTC_OK);
        assert_int_equal(
            dtc_encode_circulant(&spec, room, made.size - 1, &bytes, given, s->rows, s->columns, workspace(need), need),
            DTC_ERROR_CAPACITY);
        assert_int_equal(bytes, 0);
        free(room);
        free(again.bytes);
        free(made.bytes);
        free(expected);
        free(given);
        free(matrix);
    }
}

/* Vectors that are given, and asked for, with each capacity, cut, damaged, and misaligned. */
static void test_given(void **state) {
    static const char *const values[] = {"fp32", "bf16", "3"};
    const shape s = {12, 20, 6};
    size_t vectors = vectors_of(&s), k, size, bit;
    (void)state;
    for (k = 0; k < LENGTH(values); k++) {
        dtc_spec spec = spec_of_shape(&s, values[k]);
        size_t need = dtc_encode_circulant_scratch(&spec, s.rows, s.columns), bytes, decode_need;
        float *given = drawn(vectors, noise_gaussian, 0, k), *expected = floats(vectors);
        packet made = encode_given(&spec, given, s.rows, s.columns);
        guarded found = guarded_new(4 * vectors, 1), scratch = guarded_new(need, 3), from = guarded_new(4 * vectors, 1);
        guarded matrix = guarded_new(4 * s.rows * s.columns, 0);
        decode_need = inspect(&made).decode_scratch;
        assert_int_equal(decode_given(expected, vectors, &made), DTC_OK);
        memcpy(from.p, given, 4 * vectors);
        for (size = 0; size <= made.size; size++) {
            guarded to = guarded_new(size, 0);
            unsigned char *prefix = (unsigned char *)memory(size);
            dtc_status status = dtc_encode_circulant(&spec, to.p, size, &bytes, (float *)(void *)from.p, s.rows,
                                                     s.columns, scratch.p, need);
            assert_int_equal(status, size < made.size ? DTC_ERROR_CAPACITY : DTC_OK);
            assert_int_equal(bytes, size < made.size ? 0 : size);
            assert_true(guarded_intact(&to, size) && guarded_intact(&scratch, need));
            if (status == DTC_OK) assert_memory_equal(to.p, made.bytes, size);
            memcpy(prefix, made.bytes, size);
            memset(found.p, GUARD_FILL, found.bytes);
            status = dtc_decode_circulant((float *)(void *)found.p, vectors, prefix, size, NULL, workspace(decode_need),
                                          decode_need);
            assert_int_equal(status, size < made.size ? DTC_ERROR_TRUNCATED : DTC_OK);
            assert_true(guarded_intact(&found, size < made.size ? 0 : 4 * vectors));
            free(prefix);
            guarded_free(&to);
        }
        assert_memory_equal(found.p, expected, 4 * vectors);
        for (bit = 0; bit < 8 * made.size; bit++) {
            dtc_decode_options skip;
            dtc_status status, whole;
            memset(&skip, 0, sizeof skip);
            skip.skip_checksum = 1;
            made.bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
            memset(found.p, GUARD_FILL, found.bytes);
            assert_int_not_equal(dtc_decode_circulant((float *)(void *)found.p, vectors, made.bytes, made.size, NULL,
                                                      workspace(100000), 100000),
                                 DTC_OK);
            assert_true(guarded_intact(&found, 0));
            status = dtc_decode_circulant((float *)(void *)found.p, vectors, made.bytes, made.size, &skip,
                                          workspace(100000), 100000);
            assert_true(guarded_intact(&found, status == DTC_OK ? 4 * vectors : 0));
            whole = dtc_decode((float *)(void *)matrix.p, s.rows * s.columns, made.bytes, made.size, &skip,
                               workspace(100000), 100000);
            CHECK(status == whole || status == DTC_ERROR_COUNT || status == DTC_ERROR_CODEC || whole == DTC_ERROR_COUNT,
                  "value=%s, bit %zu: %s, and %s", values[k], bit, dtc_status_string(status), dtc_status_string(whole));
            made.bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        }
        guarded_free(&matrix);
        guarded_free(&from);
        guarded_free(&scratch);
        guarded_free(&found);
        free(made.bytes);
        free(expected);
        free(given);
    }
}

static void test_misuse(void **state) {
    static unsigned char to[1000], scratch[1 << 20];
    float vectors[40] = {1, 2, 3}, found[40], bad[40] = {1, INFINITY};
    dtc_spec spec = spec_of("circulant:block=10"), other = spec_of("raw"), wrong = spec;
    size_t bytes = 9, need = dtc_encode_circulant_scratch(&spec, 20, 20);
    dtc_info info;
    (void)state;
    assert_int_equal(dtc_encode_circulant(NULL, to, 1000, &bytes, vectors, 20, 20, scratch, need), DTC_ERROR_ARGUMENT);
    assert_int_equal(bytes, 0);
    assert_int_equal(dtc_encode_circulant(&spec, NULL, 1000, &bytes, vectors, 20, 20, scratch, need),
                     DTC_ERROR_ARGUMENT);
    assert_int_equal(dtc_encode_circulant(&spec, to, 1000, NULL, vectors, 20, 20, scratch, need), DTC_ERROR_ARGUMENT);
    assert_int_equal(dtc_encode_circulant(&spec, to, 1000, &bytes, NULL, 20, 20, scratch, need), DTC_ERROR_ARGUMENT);
    assert_int_equal(dtc_encode_circulant(&spec, to, 1000, &bytes, vectors, 0, 20, scratch, need), DTC_ERROR_ARGUMENT);
    assert_int_equal(dtc_encode_circulant(&spec, to, 1000, &bytes, vectors, SIZE_MAX, 20, scratch, need),
                     DTC_ERROR_ARGUMENT);
    assert_int_equal(dtc_encode_circulant(&spec, to, 1000, &bytes, vectors, 65536, 65536, scratch, need),
                     DTC_ERROR_ARGUMENT);
    assert_int_equal(dtc_encode_circulant(&other, to, 1000, &bytes, vectors, 20, 20, scratch, need), DTC_ERROR_CODEC);
    assert_int_equal(dtc_encode_circulant_scratch(&other, 20, 20), 0);
    assert_int_equal(dtc_encode_circulant_scratch(NULL, 20, 20), 0);
    wrong.circulant.value.bits = 17;
    assert_int_equal(dtc_encode_circulant(&wrong, to, 1000, &bytes, vectors, 20, 20, scratch, need), DTC_ERROR_SPEC);
    assert_int_equal(dtc_encode_circulant(&spec, to, 1000, &bytes, vectors, 20, 20, scratch, need - 1),
                     DTC_ERROR_SCRATCH);
    assert_int_equal(dtc_encode_circulant(&spec, to, 1000, &bytes, vectors, 20, 20, NULL, need), DTC_ERROR_SCRATCH);
    assert_int_equal(dtc_encode_circulant(&spec, to, 1000, &bytes, bad, 20, 20, scratch, need), DTC_ERROR_NONFINITE);
    assert_int_equal(bytes, 0);
    assert_int_equal(dtc_encode_circulant(&spec, to, 1000, &bytes, vectors, 20, 20, scratch, need), DTC_OK);
    assert_int_equal(dtc_inspect(to, bytes, &info), DTC_OK);
    need = info.decode_scratch;
    assert_int_equal(dtc_decode_circulant(NULL, 40, to, bytes, NULL, scratch, need), DTC_ERROR_ARGUMENT);
    assert_int_equal(dtc_decode_circulant(found, 40, NULL, bytes, NULL, scratch, need), DTC_ERROR_ARGUMENT);
    assert_int_equal(dtc_decode_circulant(found, 39, to, bytes, NULL, scratch, need), DTC_ERROR_COUNT);
    assert_int_equal(dtc_decode_circulant(found, 41, to, bytes, NULL, scratch, need), DTC_ERROR_COUNT);
    assert_int_equal(dtc_decode_circulant(found, 40, to, bytes, NULL, scratch, need - 1), DTC_ERROR_SCRATCH);
    assert_int_equal(dtc_decode_circulant(found, 40, to, bytes, NULL, scratch, need), DTC_OK);
    assert_memory_equal(found, vectors, sizeof vectors);
}

/* What no encoder makes, behind a head and a nested head that are right: rows at 12, block at 16, nested from 20 on. */
static void test_malformed(void **state) {
    static const struct {
        size_t at;
        unsigned char byte;
        dtc_status status;
    } damages[] = {
        {3, 1, DTC_ERROR_HEAD},                                       /* no such variant */
        {12, 1, DTC_ERROR_HEAD},                                      /* of one row: it would be stored */
        {16, 1, DTC_ERROR_HEAD},                                      /* blocks of one value, too */
        {16, 5, DTC_ERROR_PAYLOAD},                                   /* other blocks: not so many vectors */
        {20, 0xd6, DTC_ERROR_PAYLOAD},                                /* no packet */
        {21, 1, DTC_ERROR_PAYLOAD},                                   /* one of another codec */
        {21, 5, DTC_ERROR_PAYLOAD},                                   /* itself circulant */
        {22, 1, DTC_ERROR_PAYLOAD},                                   /* with a checksum */
        {22, 2, DTC_ERROR_PAYLOAD},                                   /* with a shape */
        {24, 39, DTC_ERROR_PAYLOAD},                                  /* too few vectors */
        {24, 41, DTC_ERROR_PAYLOAD},   {28, 171, DTC_ERROR_PAYLOAD},  /* shorter, or longer than the payload */
        {28, 173, DTC_ERROR_PAYLOAD},  {35, 0x7f, DTC_ERROR_PAYLOAD}, /* infinity */
    };
    static unsigned char to[1000], scratch[1 << 20];
    float vectors[40] = {1, 2, 3}, found[400];
    dtc_spec spec = spec_of("circulant:block=10,checksum=0");
    size_t n, bytes;
    (void)state;
    for (n = 0; n < LENGTH(damages); n++) {
        dtc_status status;
        assert_int_equal(dtc_encode_circulant(&spec, to, 1000, &bytes, vectors, 20, 20, scratch, sizeof scratch),
                         DTC_OK);
        assert_int_equal(bytes, 20 + 12 + 160);
        assert_int_not_equal(to[damages[n].at], damages[n].byte);
        to[damages[n].at] = damages[n].byte;
        status = dtc_decode(found, 400, to, bytes, NULL, scratch, sizeof scratch);
        CHECK(status == damages[n].status, "byte %zu: %s", damages[n].at, dtc_status_string(status));
    }
}

static void test_vectors(void **state) {
    (void)state;
    assert_int_equal(dtc_circulant_vector_count(4, 4, 0), 4);
    assert_int_equal(dtc_circulant_vector_count(50, 784, 0), 784);
    assert_int_equal(dtc_circulant_vector_count(50, 784, 16), 4 * 49 * 16);
    assert_int_equal(dtc_circulant_vector_count(5, 3, 8), 8);
    assert_int_equal(dtc_circulant_vector_count(5, 3, 1), 15);
    assert_int_equal(dtc_circulant_vector_count(0, 3, 1), 0);
    assert_int_equal(dtc_circulant_vector_count(3, 0, 1), 0);
    assert_int_equal(dtc_circulant_vector_count(SIZE_MAX, SIZE_MAX, 2), 0);
    assert_int_equal(dtc_circulant_vector_count(SIZE_MAX, 1, 0), 0);
}

/* A wrong number of vectors is found before the payload is looked at, as a wrong count is by dtc_decode. */
static void test_count_first(void **state) {
    static const float vectors[3] = {1, 2, 3};
    unsigned char bytes[100];
    float back[4];
    size_t size;
    dtc_spec spec;
    (void)state;
    assert_int_equal(dtc_spec_parse("circulant:checksum=0", &spec, NULL), DTC_OK);
    assert_int_equal(dtc_encode_circulant(&spec, bytes, sizeof bytes, &size, vectors, 3, 3, workspace(100000), 100000),
                     DTC_OK);
    bytes[17] = 1; /* the packet of the vectors becomes one of ternary */
    assert_int_equal(dtc_decode_circulant(back, 4, bytes, size, NULL, workspace(100000), 100000), DTC_ERROR_COUNT);
    assert_int_equal(dtc_decode_circulant(back, 3, bytes, size, NULL, workspace(100000), 100000), DTC_ERROR_PAYLOAD);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_projection), cmocka_unit_test(test_exact),   cmocka_unit_test(test_values),
        cmocka_unit_test(test_stored),     cmocka_unit_test(test_given),   cmocka_unit_test(test_misuse),
        cmocka_unit_test(test_malformed),  cmocka_unit_test(test_vectors), cmocka_unit_test(test_count_first),
    };
    return cmocka_run_group_tests_name("circulant", tests, NULL, NULL);
}
