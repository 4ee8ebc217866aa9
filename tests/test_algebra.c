/* Packets computed with: sums, multiples and products with a vector, without decoding. */
#include "helpers.h"

#include "training.h"

static const char images[] = "/usr/share/datasets/fashion-mnist";

/* A codec under which K workers' packets add, and whether their sum is one of integers. %d is K. */
typedef struct summed {
    const char *spec;
    int exact; /* decodes to the float nearest to the exact sum of decodes; and the order does not show */
    int fixed; /* in the size of its terms */
} summed;

static const summed codecs[] = {
    {"raw:workers=%d", 0, 1},
    {"raw:type=bf16,workers=%d", 0, 1},
    {"ternary:scale=0.5,workers=%d", 1, 0},
    {"ternary:scale=0.5,workers=%d,pack=base3", 1, 1},
    {"ternary:scale=0.5,workers=%d,pack=base3,block=100,checksum=0", 1, 1},
    {"quant:bits=4,min=-2,max=2,workers=%d", 1, 0},
    {"quant:bits=4,min=-2,max=2,workers=%d,entropy=none", 1, 1},
    {"quant:bits=5,min=-2,max=2,workers=%d,grid=even", 1, 0},
    {"quant:bits=8,min=-1,max=3,workers=%d,grid=even,entropy=none,block=300", 1, 1},
    {"quant:bits=3,min=-2,max=2,workers=%d,rounding=stochastic", 1, 0},
    {"quant:bits=12,min=-2,max=2,workers=%d", 1, 0},
    {"quant:bits=4,min=-3,max=3,rotate=1,workers=%d", 1, 0},
    {"quant:bits=4,min=-3,max=3,rotate=1,workers=%d,grid=even,entropy=none", 1, 1},
};

/* Of these the sum is one of measurements, which decode to something else than the sum of what terms decode to. */
static const char *const sensed[] = {"sensing:ratio=0.5,bits=8,scale=4,workers=%d",
                                     "sensing:ratio=1,bits=4,scale=4,workers=%d",
                                     "sensing:ratio=0.5,bits=32,workers=%d"};

/* A sum in memory of exactly what dtc_packet_add_bound says. */
static packet add(const packet *a, const packet *b) {
    size_t bound = dtc_packet_add_bound(a->bytes, a->size, b->bytes, b->size);
    size_t scratch_bytes = dtc_packet_add_scratch(a->bytes, a->size, b->bytes, b->size);
    guarded room = guarded_new(bound, 1), scratch = guarded_new(scratch_bytes, 3);
    packet sum;
    dtc_status status =
        dtc_packet_add(room.p, bound, &sum.size, a->bytes, a->size, b->bytes, b->size, scratch.p, scratch_bytes);
    CHECK(status == DTC_OK, "%s", dtc_status_string(status));
    CHECK(guarded_intact(&room, sum.size) || guarded_intact(&room, bound), "%zu bytes", sum.size);
    assert_true(guarded_intact(&scratch, scratch_bytes));
    sum.bytes = (unsigned char *)memory(sum.size);
    memcpy(sum.bytes, room.p, sum.size);
    guarded_free(&room);
    guarded_free(&scratch);
    return sum;
}

static dtc_status try_add(const packet *a, const packet *b) {
    static unsigned char sum[100000], scratch[4000000];
    size_t bytes = 1;
    dtc_status status =
        dtc_packet_add(sum, sizeof sum, &bytes, a->bytes, a->size, b->bytes, b->size, scratch, sizeof scratch);
    assert_int_equal(status == DTC_OK, bytes > 0);
    if (!dtc_packet_add_bound(a->bytes, a->size, b->bytes, b->size)) assert_int_not_equal(status, DTC_OK);
    return status;
}

/* The sum of packets[first..first + n), as a tree. */
static packet add_tree(const packet *packets, size_t first, size_t n) {
    packet a, b, sum;
    if (n == 1) {
        sum.size = packets[first].size;
        sum.bytes = (unsigned char *)memory(sum.size);
        memcpy(sum.bytes, packets[first].bytes, sum.size);
        return sum;
    }
    a = add_tree(packets, first, n / 2);
    b = add_tree(packets, first + n / 2, n - n / 2);
    sum = add(&b, &a);
    free(a.bytes);
    free(b.bytes);
    return sum;
}

/* Adds packets of `workers` tensors in two orders, and compares with the sum of what they decode to. */
static void check_sum(const summed *codec, size_t workers, const float *const *tensors, size_t count) {
    packet *packets = (packet *)memory(workers * sizeof(packet)), chain, tree, other;
    double *sum = (double *)memory(count * sizeof(double)), *size = (double *)memory(count * sizeof(double));
    float *decoded;
    char text[100];
    size_t w, i;
    snprintf(text, sizeof text, codec->spec, (int)workers);
    for (i = 0; i < count; i++) sum[i] = size[i] = 0;
    for (w = 0; w < workers; w++) {
        dtc_spec spec = spec_of(text);
        spec.seed = spec.quant.rotate ? 5 : w;
        packets[w] = encode_spec(&spec, tensors[w], count);
        decoded = decode(&packets[w]);
        for (i = 0; i < count; i++) {
            sum[i] += (double)decoded[i];
            size[i] += fabs((double)decoded[i]);
        }
        free(decoded);
    }
    chain = add_tree(packets, 0, 1);
    for (w = 1; w < workers; w++) {
        packet longer = add(&chain, &packets[w]);
        if (codec->fixed)
            CHECK(longer.size == packets[0].size, "%s: %zu, then %zu", text, packets[0].size, longer.size);
        assert_int_equal(inspect(&longer).terms, w + 1);
        free(chain.bytes);
        chain = longer;
    }
    tree = add_tree(packets, 0, workers);
    if (codec->exact) CHECK(tree.size == chain.size && memcmp(tree.bytes, chain.bytes, tree.size) == 0, "%s", text);
    other = encode(text, tensors[0], count); /* one more than there is room for */
    assert_int_equal(try_add(&chain, &packets[0]), DTC_ERROR_TERMS);
    free(other.bytes);
    decoded = decode(&chain);
    for (i = 0; i < count; i++) {
        double allowed = codec->exact ? ldexp(size[i], -23) : ldexp(size[i], strstr(text, "bf16") ? -8 : -23);
        allowed *= codec->exact ? 1 : (double)workers;
        CHECK(fabs((double)decoded[i] - sum[i]) <= allowed, "%s, value %zu: %.9g, not %.9g", text, i,
              (double)decoded[i], sum[i]);
    }
    free(decoded);
    free(tree.bytes);
    free(chain.bytes);
    for (w = 0; w < workers; w++) free(packets[w].bytes);
    free(packets);
    free(size);
    free(sum);
}

static void test_sums(void **state) {
    static const size_t counts[] = {1, 7, 256, 1000, 4500}, workers[] = {2, 3, 16, 255};
    static const float *tensors[255];
    size_t c, k, n, w;
    (void)state;
    for (k = 0; k < LENGTH(workers); k++) {
        for (n = 0; n < LENGTH(counts); n++) {
            if (counts[n] * workers[k] > 300000) continue;
            for (w = 0; w < workers[k]; w++) tensors[w] = drawn(counts[n], noise_gaussian, 0.5, w + 1);
            for (c = 0; c < LENGTH(codecs); c++) {
                if (strstr(codecs[c].spec, "rotate") && counts[n] < 256) continue; /* stored */
                if (counts[n] == 1 && c > 1) continue;
                check_sum(&codecs[c], workers[k], tensors, counts[n]);
            }
            for (w = 0; w < workers[k]; w++) free((void *)(uintptr_t)tensors[w]);
        }
    }
}

/* Sums of measurements are those of the sum: by the linear estimate they decode to the sum of estimates, whatever the
 * order. */
static void test_sensing(void **state) {
    static const size_t workers[] = {2, 3, 16, 255};
    size_t s, k, w, i, count = 3000;
    dtc_decode_options linear;
    (void)state;
    memset(&linear, 0, sizeof linear);
    linear.method = DTC_METHOD_LINEAR;
    for (s = 0; s < LENGTH(sensed); s++) {
        for (k = 0; k < LENGTH(workers); k++) {
            packet packets[255], chain, tree;
            double *sum = (double *)memory(count * sizeof(double)), error = 0, square = 0;
            float *decoded = floats(count), *all = floats(count);
            unsigned char *scratch;
            char text[100];
            dtc_info info;
            snprintf(text, sizeof text, sensed[s], (int)workers[k]);
            for (i = 0; i < count; i++) sum[i] = 0, all[i] = 0;
            for (w = 0; w < workers[k]; w++) {
                float *values = drawn(count, noise_gaussian, 0.9, w + 1);
                packets[w] = encode(text, values, count);
                for (i = 0; i < count; i++) sum[i] += (double)values[i];
                free(values);
            }
            chain = add_tree(packets, 0, 1);
            for (w = 1; w < workers[k]; w++) {
                packet longer = add(&chain, &packets[w]);
                free(chain.bytes);
                chain = longer;
            }
            tree = add_tree(packets, 0, workers[k]);
            assert_int_equal(inspect(&chain).terms, workers[k]);
            assert_int_equal(tree.size, chain.size);
            if (s < 2) assert_memory_equal(tree.bytes, chain.bytes, tree.size);
            assert_int_equal(try_add(&chain, &packets[0]), DTC_ERROR_TERMS);
            for (i = 0; i < count; i++) all[i] = (float)sum[i];
            info = inspect(&chain);
            scratch = (unsigned char *)memory(info.decode_scratch);
            assert_int_equal(dtc_decode(decoded, count, chain.bytes, chain.size, &linear, scratch, info.decode_scratch),
                             DTC_OK);
            {
                packet whole = encode(s == 1 ? "sensing:ratio=1,bits=32" : "sensing:ratio=0.5,bits=32", all, count);
                float *expected = floats(count);
                info = inspect(&whole);
                scratch = (unsigned char *)realloc(scratch, info.decode_scratch + 1);
                assert_int_equal(
                    dtc_decode(expected, count, whole.bytes, whole.size, &linear, scratch, info.decode_scratch),
                    DTC_OK);
                for (i = 0; i < count; i++) {
                    double off = (double)decoded[i] - (double)expected[i];
                    error += off * off;
                    square += (double)expected[i] * (double)expected[i];
                }
                free(expected);
                free(whole.bytes);
            }
            CHECK(error <= (s == 0 ? 2e-3 : s == 1 ? 0.4 : 1e-10) * square, "%s: %g", text, error / square);
            free(scratch);
            free(tree.bytes);
            free(chain.bytes);
            for (w = 0; w < workers[k]; w++) free(packets[w].bytes);
            free(all);
            free(decoded);
            free(sum);
        }
    }
}

/* Real gradients, of as many batches as there are workers. */
static void test_real_sums(void **state) {
    static const float *tensors[16];
    struct training training;
    struct error error;
    size_t c, w, i;
    float largest = 0;
    (void)state;
    if (!training_run(&training, images, 5, &error)) fail_msg("%s", error.text);
    enum { COUNT = 20000 };
    for (i = 0; i < COUNT; i++) largest = fmaxf(largest, fabsf(training.gradient.all[i]));
    for (w = 0; w < 16; w++) {
        float *values = floats(COUNT);
        for (i = 0; i < COUNT; i++) values[i] = training.gradient.all[16 * i % training.gradient.values + w] / largest;
        tensors[w] = values;
    }
    for (c = 0; c < LENGTH(codecs); c++) check_sum(&codecs[c], 16, tensors, COUNT);
    for (w = 0; w < 16; w++) free((void *)(uintptr_t)tensors[w]);
    training_free(&training);
}

/* Where the sum goes: onto either of its terms, or into too little room. */
static void test_places(void **state) {
    size_t c, count = 1300;
    float *first = drawn(count, noise_gaussian, 0.5, 1), *second = drawn(count, noise_gaussian, 0.5, 2);
    (void)state;
    for (c = 0; c < LENGTH(codecs); c++) {
        char text[100];
        packet a, b, sum;
        size_t bound, need, bytes, capacity;
        unsigned char *scratch;
        snprintf(text, sizeof text, codecs[c].spec, 3);
        a = encode(text, first, count);
        b = encode(text, second, count);
        sum = add(&a, &b);
        bound = dtc_packet_add_bound(a.bytes, a.size, b.bytes, b.size);
        need = dtc_packet_add_scratch(a.bytes, a.size, b.bytes, b.size);
        scratch = (unsigned char *)memory(need);
        for (int onto = 0; onto < 2; onto++) {
            const packet *kept = onto ? &b : &a;
            unsigned char *place = (unsigned char *)memory(bound);
            memcpy(place, onto ? a.bytes : b.bytes, onto ? a.size : b.size);
            if (onto)
                assert_int_equal(
                    dtc_packet_add(place, bound, &bytes, place, a.size, kept->bytes, kept->size, scratch, need),
                    DTC_OK);
            else
                assert_int_equal(
                    dtc_packet_add(place, bound, &bytes, kept->bytes, kept->size, place, b.size, scratch, need),
                    DTC_OK);
            CHECK(bytes == sum.size && memcmp(place, sum.bytes, bytes) == 0, "%s, onto %d", text, onto);
            free(place);
        }
        for (capacity = 0; capacity < sum.size; capacity += capacity + 40 < sum.size && capacity > 40 ? 37 : 1) {
            guarded room = guarded_new(capacity, 0);
            bytes = 1;
            CHECK(dtc_packet_add(room.p, capacity, &bytes, a.bytes, a.size, b.bytes, b.size, scratch, need) ==
                      DTC_ERROR_CAPACITY,
                  "%s, %zu of %zu bytes", text, capacity, sum.size);
            assert_int_equal(bytes, 0);
            assert_true(guarded_intact(&room, capacity));
            guarded_free(&room);
        }
        if (need)
            assert_int_equal(
                dtc_packet_add(a.bytes, a.size, &bytes, a.bytes, a.size, b.bytes, b.size, scratch, need - 1),
                DTC_ERROR_SCRATCH);
        free(scratch);
        free(sum.bytes);
        free(b.bytes);
        free(a.bytes);
    }
    free(second);
    free(first);
}

/* Each reason for which packets do not add has its own status, and text. */
static void test_mismatches(void **state) {
    static const struct {
        const char *a, *b;
        size_t count_b;
        dtc_status status;
    } cases[] = {
        {"raw:workers=2", "quant:bits=4,workers=2", 120, DTC_ERROR_INCOMPATIBLE_CODEC},
        {"raw:workers=2", "raw:workers=2", 60, DTC_ERROR_INCOMPATIBLE_COUNT},
        {"raw:workers=2,rows=3", "raw:workers=2,rows=4", 120, DTC_ERROR_INCOMPATIBLE_SHAPE},
        {"raw:workers=2,rows=3", "raw:workers=2", 120, DTC_ERROR_INCOMPATIBLE_SHAPE},
        {"raw:workers=2", "raw:workers=3", 120, DTC_ERROR_INCOMPATIBLE_WORKERS},
        {"raw:workers=2", "raw:workers=2,type=bf16", 120, DTC_ERROR_INCOMPATIBLE_PACKING},
        {"raw", "raw", 120, DTC_ERROR_TERMS},
        {"ternary:scale=1,workers=2,block=50", "ternary:scale=1,workers=2,block=60", 120, DTC_ERROR_INCOMPATIBLE_BLOCK},
        {"ternary:scale=1,workers=2", "ternary:scale=2,workers=2", 120, DTC_ERROR_INCOMPATIBLE_GRID},
        {"ternary:scale=1,workers=2", "ternary:scale=1,workers=2,pack=base3", 120, DTC_ERROR_INCOMPATIBLE_PACKING},
        {"quant:bits=4,min=-1,max=1,workers=2", "quant:bits=4,min=-1,max=2,workers=2", 120,
         DTC_ERROR_INCOMPATIBLE_GRID},
        {"quant:bits=4,min=-1,max=1,workers=2", "quant:bits=5,min=-1,max=1,workers=2", 120,
         DTC_ERROR_INCOMPATIBLE_GRID},
        {"quant:bits=4,min=-1,max=1,workers=2", "quant:bits=4,min=-1,max=1,workers=2,entropy=none", 120,
         DTC_ERROR_INCOMPATIBLE_PACKING},
        {"quant:bits=4,min=-1,max=1,workers=2,rotate=1,seed=1", "quant:bits=4,min=-1,max=1,workers=2,rotate=1,seed=2",
         120, DTC_ERROR_INCOMPATIBLE_SEED},
        {"quant:bits=4,workers=2,rotate=1", "quant:bits=4,workers=2,rotate=1", 120, DTC_ERROR_INCOMPATIBLE_GRID},
        {"factor:rank=1,rows=10,workers=2", "factor:rank=1,rows=12,workers=2", 120, DTC_ERROR_INCOMPATIBLE_SHAPE},
        {"factor:rank=3,rows=10,workers=2", "factor:rank=3,rows=10,workers=2", 120, DTC_ERROR_INCOMPATIBLE},
        {"sensing:ratio=0.5,scale=1,workers=2,seed=1", "sensing:ratio=0.5,scale=1,workers=2,seed=2", 120,
         DTC_ERROR_INCOMPATIBLE_SEED},
        {"sensing:ratio=0.5,scale=1,workers=2", "sensing:ratio=0.25,scale=1,workers=2", 120,
         DTC_ERROR_INCOMPATIBLE_SHAPE},
        {"sensing:ratio=0.5,scale=1,workers=2", "sensing:ratio=0.5,scale=2,workers=2", 120,
         DTC_ERROR_INCOMPATIBLE_GRID},
        {"circulant:rows=12,workers=2", "circulant:rows=12,block=6,workers=2", 120, DTC_ERROR_INCOMPATIBLE_BLOCK},
    };
    float *values = drawn(120, noise_gaussian, 0, 3), *others = drawn(120, noise_gaussian, 0, 4);
    size_t i;
    (void)state;
    for (i = 0; i < LENGTH(cases); i++) {
        packet a = encode(cases[i].a, values, 120), b = encode(cases[i].b, others, cases[i].count_b);
        dtc_status status = try_add(&a, &b), back = try_add(&b, &a);
        CHECK(status == cases[i].status && back == status, "%s and %s: %s", cases[i].a, cases[i].b,
              dtc_status_string(status));
        a.bytes[a.size - 1] ^= 1; /* damage comes first, or not at all */
        if (cases[i].status == DTC_ERROR_INCOMPATIBLE_GRID) assert_int_equal(try_add(&a, &b), DTC_ERROR_CHECKSUM);
        free(a.bytes);
        free(b.bytes);
    }
    free(others);
    free(values);
}

/* Matrices: u v^T of few ranks, vectors of circulant ones. */
static void test_matrices(void **state) {
    enum { ROWS = 160, COLUMNS = 200, COUNT = ROWS * COLUMNS };
    static const char *const specs[] = {"factor:rank=2,rows=160,workers=16",
                                        "factor:rank=1,rows=160,workers=16,value=bf16",
                                        "factor:rank=2,rows=160,workers=16,value=8", "circulant:rows=160,workers=16",
                                        "circulant:rows=160,block=40,workers=16,value=8"};
    size_t s, w, i;
    (void)state;
    for (s = 0; s < LENGTH(specs); s++) {
        packet sum = {NULL, 0};
        double *exact = (double *)memory(COUNT * sizeof(double));
        float *decoded;
        for (i = 0; i < COUNT; i++) exact[i] = 0;
        for (w = 0; w < 16; w++) {
            float *values = drawn(COUNT, noise_gaussian, 0, w + 10);
            packet made = encode(specs[s], values, COUNT);
            decoded = decode(&made);
            for (i = 0; i < COUNT; i++) exact[i] += (double)decoded[i];
            free(decoded);
            if (w) {
                packet longer = add(&sum, &made);
                free(made.bytes);
                free(sum.bytes);
                sum = longer;
            } else {
                sum = made;
            }
            free(values);
        }
        assert_int_equal(inspect(&sum).terms, 16);
        if (s < 3) assert_int_equal(inspect(&sum).spec.factor.rank, s == 1 ? 16 : 32);
        decoded = decode(&sum);
        for (i = 0; i < COUNT; i++)
            CHECK(fabs((double)decoded[i] - exact[i]) <= 1e-5, "%s, value %zu: %g, not %g", specs[s], i,
                  (double)decoded[i], exact[i]);
        free(decoded);
        free(sum.bytes);
        free(exact);
    }
}

static const char *const any[] = {
    "raw:rows=30",
    "raw:rows=30,type=fp16,checksum=0",
    "ternary:rows=30",
    "ternary:rows=30,pack=base3,block=100",
    "quant:rows=30",
    "quant:rows=30,bits=4,grid=even,block=70",
    "quant:rows=30,bits=5,entropy=none",
    "quant:rows=30,bits=5,rotate=1",
    "factor:rows=30,rank=3",
    "factor:rows=30,rank=3,value=8",
    "circulant:rows=30",
    "circulant:rows=30,block=10,value=bf16",
    "sensing:rows=30,ratio=0.5,bits=6",
    "sensing:rows=30,ratio=0.5,bits=32",
};

/* weight times what was decoded, in place; the packet stays one. */
static void test_scale(void **state) {
    static const float weights[] = {1, 0.25f, -3, 0, 1e-3f};
    float *values = drawn(30 * 40, noise_gaussian, 0, 3);
    size_t s, w, i;
    (void)state;
    for (s = 0; s < LENGTH(any); s++) {
        for (w = 0; w < LENGTH(weights); w++) {
            packet made = encode(any[s], values, 30 * 40);
            float *before = decode(&made), *after;
            double coarse = strstr(any[s], "16") ? 0x1p-8 : 1e-6;
            assert_int_equal(dtc_packet_scale(made.bytes, made.size, weights[w]), DTC_OK);
            after = decode(&made);
            for (i = 0; i < 30 * 40; i++) {
                double expected = (double)before[i] * (double)weights[w];
                CHECK(fabs((double)after[i] - expected) <= coarse * (fabs(expected) + fabs((double)weights[w])),
                      "%s, %g times: %g became %g", any[s], (double)weights[w], (double)before[i], (double)after[i]);
            }
            free(after);
            free(before);
            assert_int_equal(dtc_packet_scale(made.bytes, made.size, float_from_bits(0x7f800000)), DTC_ERROR_ARGUMENT);
            assert_int_equal(dtc_packet_scale(made.bytes, made.size - 1, 1), DTC_ERROR_TRUNCATED);
            assert_int_equal(dtc_packet_scale(NULL, 0, 1), DTC_ERROR_ARGUMENT);
            free(made.bytes);
        }
    }
    for (s = 2; s < 8; s++) { /* scales that would be infinite leave the packet as it was */
        packet made = encode(any[s], values, 30 * 40);
        unsigned char *copy = (unsigned char *)memory(made.size);
        memcpy(copy, made.bytes, made.size);
        assert_int_equal(dtc_packet_scale(made.bytes, made.size, FLT_MAX),
                         s < 4 || s == 5 ? DTC_ERROR_NONFINITE : DTC_OK);
        if (s < 4 || s == 5) assert_memory_equal(copy, made.bytes, made.size);
        free(copy);
        free(made.bytes);
    }
    free(values);
}

/* y = W x and W^T x, against the decoded matrix. */
static void test_matvec(void **state) {
    enum { ROWS = 30, COLUMNS = 40, COUNT = ROWS * COLUMNS };
    float *values = drawn(COUNT, noise_gaussian, 0, 3), *x = drawn(COLUMNS, noise_gaussian, 0, 4);
    guarded from = guarded_new(4 * COLUMNS, 3);
    const float *misaligned = (const float *)(const void *)from.p;
    size_t s, i, j;
    int transposed;
    (void)state;
    memcpy(from.p, x, 4 * COLUMNS);
    for (s = 0; s < LENGTH(any); s++) {
        packet made = encode(any[s], values, COUNT);
        float *decoded = decode(&made);
        for (transposed = 0; transposed < 2; transposed++) {
            size_t outputs = transposed ? COLUMNS : ROWS, inputs = transposed ? ROWS : COLUMNS;
            size_t need = dtc_packet_matvec_scratch(made.bytes, made.size, transposed);
            guarded scratch = guarded_new(need, 1), y = guarded_new(4 * outputs, 1);
            float *to = (float *)(void *)y.p;
            assert_int_equal(dtc_packet_matvec(to, made.bytes, made.size, misaligned, transposed, scratch.p, need - 1),
                             DTC_ERROR_SCRATCH);
            assert_true(guarded_intact(&y, 0));
            assert_int_equal(dtc_packet_matvec(to, made.bytes, made.size, misaligned, transposed, scratch.p, need),
                             DTC_OK);
            assert_true(guarded_intact(&y, 4 * outputs) && guarded_intact(&scratch, need));
            for (i = 0; i < outputs; i++) {
                double sum = 0, size = 0;
                float got;
                memcpy(&got, y.p + 4 * i, 4);
                for (j = 0; j < inputs; j++) {
                    double term = (double)decoded[transposed ? j * COLUMNS + i : i * COLUMNS + j] * (double)x[j];
                    sum += term;
                    size += fabs(term);
                }
                CHECK(fabs((double)got - sum) <= 1e-6 * size, "%s: %g, not %g", any[s], (double)got, sum);
            }
            guarded_free(&y);
            guarded_free(&scratch);
        }
        free(decoded);
        free(made.bytes);
    }
    guarded_free(&from);
    free(x);
    free(values);
}

/* A tensor that is zero on all workers has a range of 0: its packets add, and their sum is zero. */
static void test_zero_range(void **state) {
    static const char *const specs[] = {"quant:bits=4,min=0,max=0,workers=4",
                                        "quant:bits=1,min=0,max=0,workers=4",
                                        "quant:bits=4,min=0,max=0,workers=4,entropy=none",
                                        "quant:bits=4,min=0,max=0,workers=4,grid=even,block=100",
                                        "quant:rotate=1,bits=4,min=0,max=0,workers=4,seed=3",
                                        "quant:bits=4,min=-0,max=0,workers=4",
                                        "quant:bits=8,min=5,max=5,workers=2"};
    enum { COUNT = 300 };
    static float values[COUNT];
    size_t s, i;
    (void)state;
    for (s = 0; s < LENGTH(specs); s++) {
        packet made = encode(specs[s], values, COUNT);
        size_t bound = dtc_packet_add_bound(made.bytes, made.size, made.bytes, made.size);
        packet sum;
        float *decoded, expected = s == 6 ? 10 : 0; /* a value is clipped to the range */
        sum.bytes = (unsigned char *)memory(bound);
        assert_int_equal(dtc_packet_add(sum.bytes, bound, &sum.size, made.bytes, made.size, made.bytes, made.size,
                                        workspace(1000000), 1000000),
                         DTC_OK);
        decoded = decode(&sum);
        for (i = 0; i < COUNT; i++) CHECK(decoded[i] == expected, "%s: %g", specs[s], (double)decoded[i]);
        free(decoded);
        free(sum.bytes);
        free(made.bytes);
    }
}

/* Fields of fixed width are checked while they are added, several strides of them: apart and in place come to the same
 * bytes, and damage anywhere is found. */
static void test_checked_sums(void **state) {
    static const char *const specs[] = {"ternary:scale=0.5,workers=9,pack=base3",
                                        "quant:bits=8,min=-2,max=2,workers=16,entropy=none",
                                        "quant:bits=3,min=-2,max=2,workers=2,entropy=none,block=1000"};
    enum { COUNT = 80123 };
    float *values = drawn(COUNT, noise_gaussian, 0, 5), *others = drawn(COUNT, noise_gaussian, 0, 6);
    size_t i, at;
    (void)state;
    for (i = 0; i < LENGTH(specs); i++) {
        packet a = encode(specs[i], values, COUNT), b = encode(specs[i], others, COUNT), sum = add(&a, &b);
        unsigned char *room = (unsigned char *)memory(sum.size);
        size_t bytes;
        for (at = 0; at < a.size; at += at < 64 ? 1 : 3967) { /* of either, in turn */
            packet *hurt = at % 2 ? &a : &b;
            dtc_status status;
            hurt->bytes[at] ^= 16;
            status = dtc_packet_add(room, sum.size, &bytes, a.bytes, a.size, b.bytes, b.size, NULL, 0);
            CHECK(status != DTC_OK && bytes == 0, "%s, byte %zu", specs[i], at);
            if (at >= 24) assert_int_equal(status, DTC_ERROR_CHECKSUM);
            hurt->bytes[at] ^= 16;
        }
        memcpy(room, b.bytes, b.size);
        assert_int_equal(dtc_packet_add(room, sum.size, &bytes, a.bytes, a.size, room, b.size, NULL, 0), DTC_OK);
        assert_int_equal(bytes, sum.size);
        assert_memory_equal(room, sum.bytes, sum.size);
        free(room);
        free(sum.bytes);
        free(b.bytes);
        free(a.bytes);
    }
    free(others);
    free(values);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums),         cmocka_unit_test(test_sensing),    cmocka_unit_test(test_real_sums),
        cmocka_unit_test(test_places),       cmocka_unit_test(test_mismatches), cmocka_unit_test(test_matrices),
        cmocka_unit_test(test_scale),        cmocka_unit_test(test_matvec),     cmocka_unit_test(test_zero_range),
        cmocka_unit_test(test_checked_sums),
    };
    return cmocka_run_group_tests_name("algebra", tests, NULL, NULL);
}
