/* The tests of circulant layers and of products with circulant packets, which every transform they can be built on has
 * to pass: a program defines how, with TRANSFORM for its name, and includes this. */
#ifndef DTC_TESTS_LAYERS_H
#define DTC_TESTS_LAYERS_H

#define DTCODEC_FFT_IMPLEMENTATION
#include "dtcodec_fft.h"

#include "helpers.h"

/* A layer in memory of exactly its size, off malloc's alignment, with vectors and a batch of Gaussian values. */
typedef struct fixture {
    size_t rows, columns, block, batch, count;
    unsigned char *memory;
    dtc_circulant_layer *layer;
    float *vectors, *inputs, *output_gradient;
} fixture;

static fixture fixture_new(size_t rows, size_t columns, size_t block, size_t batch) {
    fixture f;
    size_t bytes = dtc_circulant_layer_bytes(rows, columns, block, batch);
    dtc_status status;
    f.rows = rows;
    f.columns = columns;
    f.block = block ? block : rows > columns ? rows : columns;
    f.batch = batch;
    f.count = dtc_circulant_vector_count(rows, columns, block);
    f.memory = (unsigned char *)memory(bytes + 1);
    status = dtc_circulant_layer_open(&f.layer, f.memory + 1, bytes, rows, columns, block, batch);
    CHECK(status == DTC_OK, "%zu x %zu, block %zu: %s", rows, columns, block, dtc_status_string(status));
    f.vectors = drawn(f.count, noise_gaussian, 0, 1);
    f.inputs = drawn(batch * columns, noise_gaussian, 0, 2);
    f.output_gradient = drawn(batch * rows, noise_gaussian, 0, 3);
    assert_int_equal(dtc_circulant_layer_load(f.layer, f.vectors), DTC_OK);
    return f;
}

static void fixture_free(fixture *f) {
    dtc_circulant_layer_close(f->layer);
    free(f->memory);
    free(f->vectors);
    free(f->inputs);
    free(f->output_gradient);
}

/* Which entry of the vectors stands at W[i][j]. */
static size_t entry(const fixture *f, size_t i, size_t j) {
    size_t side = (f->columns + f->block - 1) / f->block, within = f->block + i % f->block - j % f->block;
    return (i / f->block * side + j / f->block) * f->block + within % f->block;
}

/* Whether results are near double-precision ones: all together to 5e-7, and each one to 2e-6 of the largest. */
static void check_near(const fixture *f, const char *what, const float *result, const double *expected, size_t count) {
    double squares = 0, errors = 0, worst = 0, largest = 0;
    size_t i;
    for (i = 0; i < count; i++) {
        double error = fabs((double)result[i] - expected[i]);
        squares += expected[i] * expected[i];
        errors += error * error;
        if (!(error <= worst)) worst = error; /* NaN, too */
        if (fabs(expected[i]) > largest) largest = fabs(expected[i]);
    }
    CHECK(errors <= 2.5e-13 * squares && worst <= 2e-6 * largest,
          "%s of %zu x %zu, block %zu, batch %zu: relative error %g, at worst %g of %g", what, f->rows, f->columns,
          f->block, f->batch, sqrt(errors / squares), worst, largest);
}

static void check_layer(size_t rows, size_t columns, size_t block, size_t batch) {
    fixture f = fixture_new(rows, columns, block, batch);
    float *outputs = floats(batch * rows), *input_gradient = floats(batch * columns), *gradient = floats(f.count);
    double *expected_outputs = (double *)memory(batch * rows * sizeof(double));
    double *expected_inputs = (double *)memory(batch * columns * sizeof(double));
    double *expected_vectors = (double *)memory(f.count * sizeof(double));
    unsigned char *used = (unsigned char *)memory(f.count);
    size_t s, i, j, v;
    memset(used, 0, f.count);
    for (s = 0; s < batch * rows; s++) expected_outputs[s] = 0;
    for (s = 0; s < batch * columns; s++) expected_inputs[s] = 0;
    for (s = 0; s < f.count; s++) expected_vectors[s] = 0;
    for (i = 0; i < rows; i++) {
        for (j = 0; j < columns; j++) {
            v = entry(&f, i, j);
            used[v] = 1;
            for (s = 0; s < batch; s++) {
                double x = (double)f.inputs[s * columns + j], g = (double)f.output_gradient[s * rows + i];
                expected_outputs[s * rows + i] += (double)f.vectors[v] * x;
                expected_inputs[s * columns + j] += (double)f.vectors[v] * g;
                expected_vectors[v] += g * x;
            }
        }
    }
    assert_int_equal(dtc_circulant_forward(f.layer, outputs, f.inputs, batch), DTC_OK);
    assert_int_equal(dtc_circulant_backward_inputs(f.layer, input_gradient, f.output_gradient, batch), DTC_OK);
    assert_int_equal(dtc_circulant_backward_vectors(f.layer, gradient, f.inputs, f.output_gradient, batch), DTC_OK);
    check_near(&f, "outputs", outputs, expected_outputs, batch * rows);
    check_near(&f, "input gradient", input_gradient, expected_inputs, batch * columns);
    check_near(&f, "vector gradient", gradient, expected_vectors, f.count);
    for (v = 0; v < f.count; v++)
        CHECK(used[v] || float_bits(gradient[v]) == 0, "%zu x %zu, block %zu: entry %zu is cut off", rows, columns,
              block, v);
    free(outputs);
    free(input_gradient);
    free(gradient);
    free(expected_outputs);
    free(expected_inputs);
    free(expected_vectors);
    free(used);
    fixture_free(&f);
}

static void test_square(void **state) {
    static const size_t sizes[] = {192, 210, 255, 256, 257, 300, 343,  486,  500,  509, 512,
                                   600, 625, 729, 784, 960, 999, 1000, 1009, 1023, 1024};
    size_t n, i;
    (void)state;
    for (n = 1; n <= 132; n++) check_layer(n, n, 0, 3);
    for (i = 0; i < LENGTH(sizes); i++) check_layer(sizes[i], sizes[i], 0, 2);
}

static void test_rectangular(void **state) {
    static const size_t shapes[][3] = {/* one block: cut below, or at the side, or larger than the matrix */
                                       {1, 9, 0},
                                       {9, 1, 0},
                                       {7, 12, 0},
                                       {12, 7, 0},
                                       {50, 784, 0},
                                       {784, 50, 0},
                                       {100, 64, 128},
                                       {5, 3, 8},
                                       {5, 3, 100},
                                       {2, 2, 1024},
                                       {600, 1024, 0},
                                       /* several: whole ones, and ragged ones of good sizes, odd, prime, and 1 */
                                       {64, 96, 16},
                                       {64, 96, 32},
                                       {70, 99, 16},
                                       {99, 70, 32},
                                       {33, 65, 8},
                                       {40, 30, 7},
                                       {41, 29, 13},
                                       {13, 17, 1},
                                       {17, 13, 2},
                                       {17, 13, 3},
                                       {18, 31, 4},
                                       {100, 200, 50},
                                       {101, 203, 51},
                                       {10, 784, 10},
                                       {784, 10, 10},
                                       {128, 300, 128}};
    size_t i;
    (void)state;
    for (i = 0; i < LENGTH(shapes); i++) check_layer(shapes[i][0], shapes[i][1], shapes[i][2], 5);
}

/* Full groups of lanes and what is left over; a sample's results have the same bits in any batch. */
static void test_batches(void **state) {
    enum { MOST = 19, ROWS = 21, COLUMNS = 35, BLOCK = 10 };
    float outputs[MOST * ROWS], input_gradient[MOST * COLUMNS], alone[COLUMNS];
    fixture f;
    size_t batch, s;
    (void)state;
    for (batch = 1; batch <= MOST; batch++) check_layer(ROWS, COLUMNS, BLOCK, batch);
    f = fixture_new(ROWS, COLUMNS, BLOCK, MOST);
    assert_int_equal(dtc_circulant_forward(f.layer, outputs, f.inputs, MOST), DTC_OK);
    assert_int_equal(dtc_circulant_backward_inputs(f.layer, input_gradient, f.output_gradient, MOST), DTC_OK);
    for (s = 0; s < MOST; s++) {
        assert_int_equal(dtc_circulant_forward(f.layer, alone, f.inputs + s * COLUMNS, 1), DTC_OK);
        assert_memory_equal(alone, outputs + s * ROWS, ROWS * sizeof(float));
        assert_int_equal(dtc_circulant_backward_inputs(f.layer, alone, f.output_gradient + s * ROWS, 1), DTC_OK);
        assert_memory_equal(alone, input_gradient + s * COLUMNS, COLUMNS * sizeof(float));
    }
    fixture_free(&f);
}

/* A layer opened for many samples takes fewer, and none; vectors are those of the last load. */
static void test_reuse(void **state) {
    float ones[8] = {1, 0, 0, 0, 0, 0, 0, 0}, gradient[8], outputs[8];
    fixture f = fixture_new(8, 8, 0, 6);
    size_t i;
    (void)state;
    assert_int_equal(dtc_circulant_layer_load(f.layer, ones), DTC_OK);
    assert_int_equal(dtc_circulant_forward(f.layer, outputs, f.inputs, 1), DTC_OK);
    for (i = 0; i < 8; i++) assert_float_equal(outputs[i], f.inputs[i], 1e-5f);
    assert_int_equal(dtc_circulant_layer_load(f.layer, f.vectors), DTC_OK);
    assert_int_equal(dtc_circulant_forward(f.layer, outputs, ones, 1), DTC_OK);
    for (i = 0; i < 8; i++) assert_float_equal(outputs[i], f.vectors[i], 1e-5f);
    assert_int_equal(dtc_circulant_backward_vectors(f.layer, gradient, ones, f.output_gradient, 1), DTC_OK);
    for (i = 0; i < 8; i++) assert_float_equal(gradient[i], f.output_gradient[i], 1e-5f);
    assert_int_equal(dtc_circulant_forward(f.layer, NULL, NULL, 0), DTC_OK);
    assert_int_equal(dtc_circulant_backward_inputs(f.layer, NULL, NULL, 0), DTC_OK);
    assert_int_equal(dtc_circulant_backward_vectors(f.layer, gradient, NULL, NULL, 0), DTC_OK);
    for (i = 0; i < 8; i++) assert_int_equal(float_bits(gradient[i]), 0);
    fixture_free(&f);
}

static void test_misuse(void **state) {
    size_t bytes = dtc_circulant_layer_bytes(6, 4, 3, 2), i;
    float values[16] = {0}, out[16];
    unsigned char *room = (unsigned char *)memory(bytes);
    dtc_circulant_layer *layer;
    static const size_t unusable[][4] = {
        {0, 4, 2, 1},
        {4, 0, 2, 1},
        {4, 4, 2, 0},
        {SIZE_MAX, SIZE_MAX, 1, 1},
        {4, 4, SIZE_MAX, 1},
        {SIZE_MAX, 1, 0, 1},
        {4, 4, 2, SIZE_MAX},
        {(size_t)1 << 30, (size_t)1 << 30, 0, (size_t)1 << 30},
        /* the transforms alone are more than memory, which nothing after them undoes */
        {(size_t)1 << 30, (size_t)1 << 30, 1, 1}};
    (void)state;
    for (i = 0; i < LENGTH(unusable); i++) {
        const size_t *u = unusable[i];
        assert_int_equal(dtc_circulant_layer_bytes(u[0], u[1], u[2], u[3]), 0);
        assert_int_equal(dtc_circulant_layer_open(&layer, room, bytes, u[0], u[1], u[2], u[3]), DTC_ERROR_ARGUMENT);
        assert_null(layer);
    }
    assert_int_equal(dtc_circulant_layer_open(NULL, room, bytes, 6, 4, 3, 2), DTC_ERROR_ARGUMENT);
    assert_int_equal(dtc_circulant_layer_open(&layer, NULL, bytes, 6, 4, 3, 2), DTC_ERROR_ARGUMENT);
    assert_int_equal(dtc_circulant_layer_open(&layer, room, bytes - 1, 6, 4, 3, 2), DTC_ERROR_SCRATCH);
    assert_null(layer);
    assert_int_equal(dtc_circulant_layer_open(&layer, room, bytes, 6, 4, 3, 2), DTC_OK);
    assert_int_equal(dtc_circulant_forward(layer, out, values, 1), DTC_ERROR_ARGUMENT); /* nothing is loaded */
    assert_int_equal(dtc_circulant_backward_inputs(layer, out, values, 1), DTC_ERROR_ARGUMENT);
    assert_int_equal(dtc_circulant_backward_vectors(layer, out, values, values, 1), DTC_OK);
    assert_int_equal(dtc_circulant_layer_load(layer, NULL), DTC_ERROR_ARGUMENT);
    assert_int_equal(dtc_circulant_layer_load(NULL, values), DTC_ERROR_ARGUMENT);
    assert_int_equal(dtc_circulant_layer_load(layer, values), DTC_OK);
    assert_int_equal(dtc_circulant_forward(layer, out, values, 3), DTC_ERROR_ARGUMENT);
    assert_int_equal(dtc_circulant_forward(NULL, out, values, 1), DTC_ERROR_ARGUMENT);
    assert_int_equal(dtc_circulant_forward(layer, NULL, values, 1), DTC_ERROR_ARGUMENT);
    assert_int_equal(dtc_circulant_forward(layer, out, NULL, 1), DTC_ERROR_ARGUMENT);
    assert_int_equal(dtc_circulant_backward_inputs(layer, out, values, 3), DTC_ERROR_ARGUMENT);
    assert_int_equal(dtc_circulant_backward_inputs(layer, out, NULL, 1), DTC_ERROR_ARGUMENT);
    assert_int_equal(dtc_circulant_backward_vectors(layer, NULL, values, values, 1), DTC_ERROR_ARGUMENT);
    assert_int_equal(dtc_circulant_backward_vectors(layer, out, NULL, values, 1), DTC_ERROR_ARGUMENT);
    assert_int_equal(dtc_circulant_backward_vectors(layer, out, values, NULL, 1), DTC_ERROR_ARGUMENT);
    assert_int_equal(dtc_circulant_backward_vectors(layer, out, values, values, 3), DTC_ERROR_ARGUMENT);
    dtc_circulant_layer_close(layer);
    dtc_circulant_layer_close(NULL);
    free(room);
}

/* A packet of a matrix, whatever its codec, times a Gaussian vector: as dtc_packet_matvec has it. */
static void check_product(const char *codec, size_t rows, size_t columns, size_t block, int transformed) {
    fixture f = {rows, columns, block, 1, 0, NULL, NULL, NULL, NULL, NULL};
    size_t count = rows * columns, i;
    float *matrix = drawn(count, noise_gaussian, 0, 4), *x = drawn(rows + columns, noise_gaussian, 0, 5);
    char text[100];
    packet made;
    int transposed;
    snprintf(text, sizeof text, "%s,rows=%zu", codec, rows);
    if (block) snprintf(text + strlen(text), sizeof text - strlen(text), ",block=%zu", block);
    made = encode(text, matrix, count);
    for (transposed = 0; transposed < 2; transposed++) {
        size_t outputs = transposed ? columns : rows, direct_need, need;
        float *direct = floats(outputs);
        double *expected = (double *)memory(outputs * sizeof(double));
        guarded y = guarded_new(4 * outputs, 0), scratch;
        float *to = (float *)(void *)y.p;
        direct_need = dtc_packet_matvec_scratch(made.bytes, made.size, transposed);
        need = dtc_fft_packet_matvec_scratch(made.bytes, made.size, transposed);
        CHECK((need != direct_need) == transformed, "%s x %zu: %zu bytes of scratch, and %zu", text, columns, need,
              direct_need);
        scratch = guarded_new(need, 1 + (size_t)transposed);
        assert_int_equal(dtc_fft_packet_matvec(to, made.bytes, made.size, x, transposed, scratch.p, need - 1),
                         DTC_ERROR_SCRATCH);
        assert_int_equal(dtc_fft_packet_matvec(to, made.bytes, made.size, x, transposed, NULL, need),
                         DTC_ERROR_SCRATCH);
        assert_int_equal(dtc_fft_packet_matvec(to, made.bytes, made.size, NULL, transposed, scratch.p, need),
                         DTC_ERROR_ARGUMENT);
        assert_int_equal(dtc_fft_packet_matvec(NULL, made.bytes, made.size, x, transposed, scratch.p, need),
                         DTC_ERROR_ARGUMENT);
        assert_true(guarded_intact(&y, 0) && guarded_intact(&scratch, 0));
        assert_int_equal(dtc_fft_packet_matvec(to, made.bytes, made.size, x, transposed, scratch.p, need), DTC_OK);
        assert_true(guarded_intact(&y, 4 * outputs) && guarded_intact(&scratch, need));
        assert_int_equal(
            dtc_packet_matvec(direct, made.bytes, made.size, x, transposed, workspace(direct_need), direct_need),
            DTC_OK);
        for (i = 0; i < outputs; i++) expected[i] = (double)direct[i];
        if (transformed)
            check_near(&f, text, to, expected, outputs);
        else
            assert_memory_equal(to, direct, 4 * outputs);
        guarded_free(&scratch);
        guarded_free(&y);
        free(expected);
        free(direct);
    }
    free(made.bytes);
    free(x);
    free(matrix);
}

static void test_product(void **state) {
    static const size_t shapes[][3] = {{100, 100, 0}, {257, 257, 0},  {90, 130, 0},   {130, 90, 0},   {100, 200, 300},
                                       {40, 300, 20}, {150, 200, 70}, {200, 301, 64}, {202, 198, 33}, {300, 40, 20}};
    static const char *const codecs[] = {"circulant:workers=3", "circulant:value=bf16", "circulant:value=8,checksum=0"};
    size_t i, k;
    (void)state;
    for (i = 0; i < LENGTH(shapes); i++)
        for (k = 0; k < LENGTH(codecs); k++) check_product(codecs[k], shapes[i][0], shapes[i][1], shapes[i][2], 1);
    /* where transforms do not pay, and what is no circulant packet */
    check_product("circulant:value=fp16", 12, 20, 6, 0);
    check_product("circulant:value=fp16", 10, 784, 0, 0);
    check_product("circulant:value=fp16", 100, 100, 1, 0);
    check_product("raw:type=bf16", 100, 100, 0, 0);
    check_product("ternary:scale=auto", 100, 100, 0, 0);
    check_product("quant:bits=4", 100, 100, 0, 0);
    check_product("factor:rank=2", 100, 100, 0, 0);
    check_product("sensing:ratio=1", 100, 100, 0, 0);
}

/* Whole packets, cut, lengthened and damaged ones: what dtc_packet_matvec refuses is refused for the same reason, with
 * y and what surrounds scratch as they were. */
static void check_refusal(const unsigned char *bytes, size_t size, size_t *transformed) {
    enum { SIDE_MAX = 4000 };
    static float x[SIDE_MAX], direct[SIDE_MAX];
    dtc_info info;
    size_t direct_need = dtc_packet_matvec_scratch(bytes, size, 1),
           need = dtc_fft_packet_matvec_scratch(bytes, size, 1);
    guarded y, scratch;
    dtc_status status;
    if (dtc_inspect(bytes, size, &info) == DTC_OK && (info.rows > SIDE_MAX || info.columns > SIDE_MAX)) return;
    y = guarded_new(sizeof direct, 0);
    scratch = guarded_new(need, 3);
    status = dtc_fft_packet_matvec((float *)(void *)y.p, bytes, size, x, 1, scratch.p, need);
    assert_int_equal(status, dtc_packet_matvec(direct, bytes, size, x, 1, workspace(direct_need), direct_need));
    assert_true(guarded_intact(&scratch, need) && guarded_intact(&y, status == DTC_OK ? 4 * info.columns : 0));
    *transformed += need != direct_need;
    guarded_free(&scratch);
    guarded_free(&y);
}

static void test_refused(void **state) {
    static const char *const texts[] = {"circulant:rows=60", "circulant:rows=60,checksum=0",
                                        "circulant:rows=60,block=60,value=4,checksum=0"};
    float *matrix = drawn(60 * 60, noise_gaussian, 0, 6);
    size_t k, size, bit;
    (void)state;
    for (k = 0; k < LENGTH(texts); k++) {
        packet made = encode(texts[k], matrix, 60 * 60);
        unsigned char *more = (unsigned char *)memory(made.size + 1);
        size_t transformed = 0;
        for (size = 0; size < made.size; size++) {
            unsigned char *prefix = (unsigned char *)memory(size), y[4] = {0};
            memcpy(prefix, made.bytes, size);
            assert_int_equal(dtc_fft_packet_matvec((float *)(void *)y, prefix, size, matrix, 0, workspace(100), 100),
                             DTC_ERROR_TRUNCATED);
            check_refusal(prefix, size, &transformed);
            free(prefix);
        }
        memcpy(more, made.bytes, made.size);
        more[made.size] = 0;
        check_refusal(more, made.size + 1, &transformed);
        assert_int_equal(transformed, 0);
        for (bit = 0; bit < 8 * made.size; bit++) {
            made.bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
            check_refusal(made.bytes, made.size, &transformed);
            made.bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        }
        assert_true(transformed > 4 * made.size); /* most bits are the payload's */
        free(more);
        free(made.bytes);
    }
    assert_int_equal(dtc_fft_packet_matvec_scratch(NULL, 10, 0), 0);
    assert_int_equal(dtc_fft_packet_matvec(matrix, NULL, 10, matrix + 60, 0, workspace(100), 100), DTC_ERROR_ARGUMENT);
    free(matrix);
}

static int layer_tests(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_square),  cmocka_unit_test(test_rectangular), cmocka_unit_test(test_batches),
        cmocka_unit_test(test_reuse),   cmocka_unit_test(test_misuse),      cmocka_unit_test(test_product),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests_name(TRANSFORM, tests, NULL, NULL);
}

#endif
