/* Messages: many tensors in one call, all or nothing, and what each tensor's values become. */
#include "helpers.h"

enum { TENSORS = 9, SHORT = 5 };

static const size_t counts[TENSORS] = {40 * 30, 30, 0, 20 * 10, 10, 700, 512, 513, 1};
static const size_t rows[TENSORS] = {40, 0, 0, 20, 10, 0, 2, 27, 0};

static const char *const specs[] = {
    "raw",
    "raw:type=bf16,checksum=0",
    "ternary",
    "ternary:block=64,pack=base3",
    "ternary:workers=3,scale=2",
    "quant",
    "quant:bits=4",
    "quant:bits=2,rounding=stochastic",
    "quant:bits=4,block=32",
    "quant:bits=8,entropy=none",
    "quant:bits=4,min=-4,max=4,workers=5,entropy=none",
    "quant:rate=1",
    "quant:max-error=0.01",
    "quant:rotate=1,bits=4",
    "factor:rank=2",
    "factor:rank=1,value=8,checksum=0",
    "sensing:ratio=0.5,bits=8",
    "sensing:bits=4,scale=8,workers=2,seed=3",
    "circulant:block=5",
    "circulant:value=bf16",
};

/* A model: tensors of each shape, whose scales lie up to 10^6 apart. */
typedef struct model {
    dtc_tensor tensors[TENSORS];
    float *all, *residuals;
    size_t values;
} model;

static model model_of(uint64_t seed, int residual) {
    size_t t, i, at = 0;
    model m;
    memset(&m, 0, sizeof m);
    for (t = 0; t < TENSORS; t++) m.values += counts[t];
    m.all = drawn(m.values, noise_gaussian, 0, seed);
    m.residuals = floats(m.values);
    memset(m.residuals, 0, 4 * m.values);
    for (t = 0; t < TENSORS; at += counts[t], t++) {
        float scale = t % 3 == 0 ? 1.0f : t % 3 == 1 ? 1e-3f : 1e-6f;
        for (i = 0; i < counts[t]; i++) m.all[at + i] *= scale;
        m.tensors[t].values = counts[t] ? m.all + at : NULL;
        m.tensors[t].residual = residual && counts[t] ? m.residuals + at : NULL;
        m.tensors[t].count = counts[t];
        m.tensors[t].rows = rows[t];
    }
    return m;
}

static void model_free(model *m) {
    free(m->all);
    free(m->residuals);
}

/* Encodes the model in exactly the capacity and the scratch that were asked for, between guards. */
static packet encode_model(const dtc_spec *spec, const model *m) {
    size_t bound = dtc_message_bound(spec, m->tensors, TENSORS), need = dtc_message_scratch(spec, m->tensors, TENSORS);
    guarded scratch = guarded_new(need, 1), room = guarded_new(bound, 3);
    packet made;
    dtc_status status = dtc_message_encode(spec, room.p, bound, &made.size, m->tensors, TENSORS, scratch.p, need);
    CHECK(status == DTC_OK, "%s", dtc_status_string(status));
    assert_true(made.size <= bound && guarded_intact(&scratch, need) && guarded_intact(&room, bound));
    made.bytes = (unsigned char *)memory(made.size);
    memcpy(made.bytes, room.p, made.size);
    guarded_free(&scratch);
    guarded_free(&room);
    return made;
}

static dtc_status decode_model(model *to, const dtc_spec *spec, const packet *made) {
    size_t need = dtc_message_scratch(spec, to->tensors, TENSORS);
    guarded scratch = guarded_new(need, 1);
    dtc_status status = dtc_message_decode(to->tensors, TENSORS, made->bytes, made->size, NULL, scratch.p, need);
    assert_true(guarded_intact(&scratch, need));
    guarded_free(&scratch);
    return status;
}

static double distance(const float *a, const float *b, size_t n) {
    double sum = 0;
    size_t i;
    for (i = 0; i < n; i++) sum += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    return sum;
}

static double squares(const float *a, size_t n) {
    double sum = 0;
    size_t i;
    for (i = 0; i < n; i++) sum += (double)a[i] * (double)a[i];
    return sum;
}

/* Large tensors are what their own packets are; what is added is weight times what is decoded; the residual is what
 * the receiver lacks, to the bit. */
static void test_round_trips(void **state) {
    size_t s, i;
    int residual;
    (void)state;
    for (s = 0; s < 2 * LENGTH(specs); s++) {
        dtc_spec spec = spec_of(specs[s / 2]);
        model sent = model_of(s, residual = (int)(s & 1)), got = model_of(99, 0), sum = model_of(98, 0);
        float *x = floats(sent.values), *before = floats(sum.values);
        size_t need = dtc_message_scratch(&spec, sum.tensors, TENSORS);
        void *scratch = memory(need);
        packet made;
        for (i = 0; i < sent.values; i++) {
            if (residual) sent.residuals[i] = sent.all[(i * 7) % sent.values] * 1e-3f;
            x[i] = residual ? sent.all[i] + sent.residuals[i] : sent.all[i];
        }
        made = encode_model(&spec, &sent);
        CHECK(decode_model(&got, &spec, &made) == DTC_OK, "%s", specs[s / 2]);
        memcpy(before, sum.all, 4 * sum.values);
        assert_int_equal(dtc_message_decode_add(sum.tensors, TENSORS, 0.5f, made.bytes, made.size, NULL, scratch, need),
                         DTC_OK);
        for (i = 0; i < sent.values; i++) {
            float left = x[i] - got.all[i], added = fmaf(0.5f, got.all[i], before[i]);
            CHECK(float_bits(sum.all[i]) == float_bits(added), "%s, value %zu", specs[s / 2], i);
            if (residual && spec.codec != DTC_SENSING)
                CHECK(float_bits(sent.residuals[i]) == float_bits(left), "%s, value %zu", specs[s / 2], i);
        }
        free(scratch);
        free(before);
        free(x);
        free(made.bytes);
        model_free(&sent);
        model_free(&got);
        model_free(&sum);
    }
}

/* Encoding that replaces the values makes the same message and the same residuals, and the values are what the message
 * decodes to, to the bit. In every third model some tensors have a residual and others have none. */
static void test_encode_decoded(void **state) {
    size_t s, t;
    (void)state;
    for (s = 0; s < 3 * LENGTH(specs); s++) {
        dtc_spec spec = spec_of(specs[s / 3]);
        model one = model_of(s, s % 3 > 0), two = model_of(s, s % 3 > 0), got = model_of(99, 0);
        size_t need = dtc_message_scratch(&spec, two.tensors, TENSORS);
        guarded scratch = guarded_new(need, 1), room;
        packet made;
        size_t bytes;
        dtc_status status;
        memcpy(one.residuals, got.all, 4 * one.values);
        memcpy(two.residuals, got.all, 4 * two.values);
        for (t = 0; t < TENSORS && s % 3 == 2; t += 2) one.tensors[t].residual = two.tensors[t].residual = NULL;
        made = encode_model(&spec, &one);
        room = guarded_new(dtc_message_bound(&spec, two.tensors, TENSORS), 3);
        status = dtc_message_encode_decoded(&spec, room.p, dtc_message_bound(&spec, two.tensors, TENSORS), &bytes,
                                            two.tensors, TENSORS, scratch.p, need);
        CHECK(status == DTC_OK && bytes == made.size, "%s: %s", specs[s / 3], dtc_status_string(status));
        assert_memory_equal(room.p, made.bytes, made.size);
        assert_int_equal(decode_model(&got, &spec, &made), DTC_OK);
        CHECK(memcmp(two.all, got.all, 4 * got.values) == 0, "%s", specs[s / 3]);
        CHECK(memcmp(two.residuals, one.residuals, 4 * one.values) == 0, "%s", specs[s / 3]);
        assert_true(guarded_intact(&scratch, need));
        guarded_free(&scratch);
        guarded_free(&room);
        free(made.bytes);
        model_free(&one);
        model_free(&two);
        model_free(&got);
    }
}

/* A message that takes more work to decode than a receiver accepts by default is decoded by its own encoder. */
static void test_encode_decoded_beyond_max_work(void **state) {
    enum { SIDE = 320 };
    dtc_spec spec = spec_of("factor:rank=128,value=2");
    float *values = drawn(SIDE * SIDE, noise_gaussian, 0, 1), *got = floats(SIDE * SIDE);
    dtc_tensor sent = {values, NULL, SIDE * SIDE, SIDE}, to = {got, NULL, SIDE * SIDE, SIDE};
    size_t bound = dtc_message_bound(&spec, &sent, 1), need = dtc_message_scratch(&spec, &sent, 1), bytes;
    void *room = memory(bound), *scratch = memory(need);
    dtc_decode_options options = {0};
    (void)state;
    assert_int_equal(dtc_message_encode_decoded(&spec, room, bound, &bytes, &sent, 1, scratch, need), DTC_OK);
    assert_int_equal(dtc_message_decode(&to, 1, room, bytes, NULL, scratch, need), DTC_ERROR_LIMIT);
    options.max_work = UINT64_MAX;
    assert_int_equal(dtc_message_decode(&to, 1, room, bytes, &options, scratch, need), DTC_OK);
    assert_memory_equal(got, values, 4 * SIDE * SIDE);
    free(values);
    free(got);
    free(room);
    free(scratch);
}

/* No tensor is erased because another one is larger: the relative error of each is about that of its own packet. */
static void test_scales(void **state) {
    static const struct {
        const char *text;
        double most;
    } cases[] = {{"quant", 0.05}, {"quant:bits=4", 0.06}, {"quant:bits=8", 3e-4}, {"quant:nmse=0.1", 0.5}};
    size_t c, t, at;
    (void)state;
    for (c = 0; c < LENGTH(cases); c++) {
        dtc_spec spec = spec_of(cases[c].text);
        model sent = model_of(c, 0), got = model_of(99, 0);
        packet made = encode_model(&spec, &sent);
        assert_int_equal(decode_model(&got, &spec, &made), DTC_OK);
        for (t = at = 0; t < TENSORS; at += counts[t], t++) {
            double error = distance(got.all + at, sent.all + at, counts[t]);
            CHECK(error <= cases[c].most * squares(sent.all + at, counts[t]), "%s, tensor %zu: %g of %g", cases[c].text,
                  t, error, squares(sent.all + at, counts[t]));
        }
        free(made.bytes);
        model_free(&sent);
        model_free(&got);
    }
}

/* A net of few weights costs little more than its bits. */
static void test_small_models(void **state) {
    static const size_t shapes[][4] = {{20, 5, 8, 2}, {200, 10, 50, 5}, {480, 20, 400, 100}};
    static float values[1000];
    static unsigned char room[8192], scratch[1 << 20];
    size_t c, t, i, bytes, all;
    unsigned bits;
    (void)state;
    for (c = 0; c < LENGTH(shapes); c++) {
        for (bits = 1; bits <= 8; bits++) {
            dtc_tensor tensors[4];
            uint64_t random = c;
            dtc_spec spec = spec_of("quant");
            spec.quant.bits = (int)bits;
            for (t = all = 0; t < 4; all += shapes[c][t++]) {
                memset(&tensors[t], 0, sizeof tensors[t]);
                tensors[t].values = values + all;
                tensors[t].count = shapes[c][t];
                for (i = 0; i < shapes[c][t]; i++)
                    values[all + i] = (float)(noise_gaussian(&random) * (t & 1 ? 0.001 : 1));
            }
            assert_int_equal(dtc_message_encode(&spec, room, sizeof room, &bytes, tensors, 4, scratch, sizeof scratch),
                             DTC_OK);
            CHECK(bytes <= (all * bits + 7) / 8 + 60, "%zu values of %u bits in %zu bytes", all, bits, bytes);
        }
    }
}

/* Encodes `steps` gradients of Gaussian values with a residual. Returns the most bytes of a message; *growth becomes
 * the largest norm of a tensor's residual, relative to the norm of its gradient. */
static size_t train(const char *text, const size_t *sizes, size_t tensor_count, int steps, double *growth) {
    dtc_spec spec = spec_of(text);
    dtc_tensor tensors[3];
    size_t t, i, at, bytes, most = 0, values = 0;
    float *all, *residuals;
    int step;
    for (t = 0; t < tensor_count; t++) values += sizes[t];
    all = floats(values);
    residuals = floats(values);
    memset(residuals, 0, 4 * values);
    for (t = at = 0; t < tensor_count; at += sizes[t], t++) {
        tensors[t].values = all + at;
        tensors[t].residual = residuals + at;
        tensors[t].count = sizes[t];
        tensors[t].rows = 0;
    }
    *growth = 0;
    for (step = 0; step < steps; step++) {
        size_t capacity = dtc_message_bound(&spec, tensors, tensor_count);
        size_t need = dtc_message_scratch(&spec, tensors, tensor_count);
        void *message = memory(capacity), *scratch = memory(need);
        float *drawn_values = drawn(values, noise_gaussian, 0, 70 + (uint64_t)step);
        for (t = at = 0; t < tensor_count; at += sizes[t], t++)
            for (i = 0; i < sizes[t]; i++) all[at + i] = drawn_values[at + i] * (t % 2 ? 1e-3f : 1.0f);
        spec.seed = dtc_seed(1, (uint64_t)step, 0);
        assert_int_equal(dtc_message_encode(&spec, message, capacity, &bytes, tensors, tensor_count, scratch, need),
                         DTC_OK);
        most = bytes > most ? bytes : most;
        for (t = 0; t < tensor_count; t++) {
            double ratio = sqrt(squares(tensors[t].residual, sizes[t]) / squares(tensors[t].values, sizes[t]));
            *growth = ratio > *growth ? ratio : *growth;
        }
        free(drawn_values);
        free(message);
        free(scratch);
    }
    free(all);
    free(residuals);
    return most;
}

/* A rate that is too low for small tensors: large tensors pay for them, and their residuals stay small. */
static void test_rates(void **state) {
    static const size_t tiny[] = {25, 10}, small[] = {200, 10}, mixed[] = {150000, 20, 2000};
    static const float rates[] = {2, 1, 0.5f, 0.1f};
    size_t i;
    (void)state;
    for (i = 0; i < sizeof rates / sizeof *rates; i++) {
        char text[32];
        double growth;
        size_t bytes;
        snprintf(text, sizeof text, "quant:rate=%g", (double)rates[i]);
        bytes = train(text, tiny, 2, 200, &growth);
        CHECK(growth < 2 && bytes <= 35 * 3 / 8 + 60, "%s: 35 values, %g times, %zu bytes", text, growth, bytes);
        bytes = train(text, small, 2, 200, &growth);
        CHECK(growth < 2 && bytes <= 210 * 3 / 8 + 80, "%s: 210 values, %g times, %zu bytes", text, growth, bytes);
        bytes = train(text, mixed, 3, 60, &growth);
        CHECK((float)bytes <= rates[i] * 152020 / 8, "%s: %zu bytes", text, bytes);
        CHECK(growth < 4 / sqrt((double)rates[i]), "%s: %g times", text, growth);
    }
}

/* Whatever fails, nothing has changed. */
static void test_nothing_changes(void **state) {
    size_t s, bad, need, bound, bytes;
    (void)state;
    for (s = 0; s < LENGTH(specs); s++) {
        dtc_spec spec = spec_of(specs[s]);
        for (bad = 0; bad < 8; bad++) {
            model sent = model_of(s, 1), kept = model_of(s, 1);
            unsigned char *room;
            void *scratch;
            dtc_status status,
                want[] = {DTC_ERROR_NONFINITE, DTC_ERROR_CAPACITY, DTC_ERROR_SCRATCH, DTC_ERROR_ARGUMENT};
            memcpy(sent.residuals, sent.all, 4 * sent.values);
            if (bad % 4 == 0) sent.all[sent.values - 1] = sent.residuals[sent.values - 1] = FLT_MAX;
            if (bad % 4 == 3) sent.tensors[7].rows = 26;
            memcpy(kept.all, sent.all, 4 * sent.values);
            memcpy(kept.residuals, sent.residuals, 4 * sent.values);
            bound = dtc_message_bound(&spec, kept.tensors, TENSORS);
            need = bad % 4 == 2 ? 1000 : dtc_message_scratch(&spec, kept.tensors, TENSORS);
            room = (unsigned char *)memory(bound);
            scratch = memory(need);
            status = (bad < 4 ? dtc_message_encode : dtc_message_encode_decoded)(
                &spec, room, bad % 4 == 1 ? bound - 1 : bound, &bytes, sent.tensors, TENSORS, scratch, need);
            CHECK(status == want[bad % 4] && bytes == 0, "%s, fault %zu: %s", specs[s], bad, dtc_status_string(status));
            assert_memory_equal(sent.residuals, kept.residuals, 4 * sent.values);
            assert_memory_equal(sent.all, kept.all, 4 * sent.values);
            free(room);
            free(scratch);
            model_free(&sent);
            model_free(&kept);
        }
    }
}

/* Every prefix, bytes that follow, every flipped bit, other counts and too little scratch are refused; no value of any
 * tensor changes. */
static void test_malformed(void **state) {
    static const char *const few[] = {"quant:bits=4", "ternary", "quant:nmse=0.5", "sensing:ratio=0.1,bits=4"};
    size_t s, n;
    (void)state;
    for (s = 0; s < LENGTH(few); s++) {
        dtc_spec spec = spec_of(few[s]);
        model sent = model_of(s, 0), got = model_of(99, 0), kept = model_of(99, 0);
        packet made = encode_model(&spec, &sent), cut;
        cut.bytes = (unsigned char *)memory(made.size + 1);
        for (n = 0; n <= made.size + 1; n++) {
            cut.size = n;
            memcpy(cut.bytes, made.bytes, n < made.size ? n : made.size);
            cut.bytes[n < made.size ? n : made.size] = 0;
            if (n != made.size) CHECK(decode_model(&got, &spec, &cut) != DTC_OK, "%s: %zu bytes", few[s], n);
        }
        cut.size = made.size;
        for (n = 0; n < made.size; n++) {
            cut.bytes[n] ^= (unsigned char)(1 << n % 8);
            CHECK(decode_model(&got, &spec, &cut) != DTC_OK, "%s: byte %zu", few[s], n);
            cut.bytes[n] ^= (unsigned char)(1 << n % 8);
        }
        for (n = 0; n < TENSORS; n++) {
            got.tensors[n].count ^= 1;
            got.tensors[n].rows = 0;
            if (!got.tensors[n].values) got.tensors[n].values = got.all;
            CHECK(decode_model(&got, &spec, &made) == DTC_ERROR_COUNT, "%s: tensor %zu", few[s], n);
            got.tensors[n].count ^= 1;
            got.tensors[n].rows = rows[n];
        }
        assert_memory_equal(got.all, kept.all, 4 * kept.values);
        assert_int_equal(decode_model(&got, &spec, &made), DTC_OK);
        free(cut.bytes);
        free(made.bytes);
        model_free(&sent);
        model_free(&got);
        model_free(&kept);
    }
}

/* Appends the packet of an array without checksum. */
static void append(packet *to, const char *text, const float *values, size_t count) {
    packet made = encode(text, values, count);
    to->bytes = (unsigned char *)realloc(to->bytes, to->size + made.size);
    assert_non_null(to->bytes);
    memcpy(to->bytes + to->size, made.bytes, made.size);
    to->size += made.size;
    free(made.bytes);
}

/* Levels are above 0 and at most 1, one a tensor, and raw. */
static void test_levels(void **state) {
    static const struct {
        const char *text;
        float level;
        size_t number;
        dtc_status status;
    } cases[] = {
        {"raw", 0.25f, 2, DTC_OK},
        {"raw:type=fp16", 1.0f, 2, DTC_OK},
        {"raw", 0.0f, 2, DTC_ERROR_PAYLOAD},
        {"raw", -0.5f, 2, DTC_ERROR_PAYLOAD},
        {"raw", 1.5f, 2, DTC_ERROR_PAYLOAD},
        {"raw", INFINITY, 2, DTC_ERROR_PAYLOAD},
        {"raw", NAN, 2, DTC_ERROR_PAYLOAD},
        {"raw", 0.5f, 3, DTC_ERROR_COUNT},
        {"ternary", 1.0f, 2, DTC_ERROR_COUNT},
    };
    static unsigned char scratch[1 << 18];
    float values[SHORT] = {1, 2, 3, 4, 5}, got[SHORT];
    dtc_tensor tensors[2];
    size_t c;
    (void)state;
    memset(tensors, 0, sizeof tensors);
    tensors[0].values = got;
    tensors[0].count = 3;
    tensors[1].values = got + 3;
    tensors[1].count = 2;
    for (c = 0; c < LENGTH(cases); c++) {
        float levels[3] = {1, 1, 1};
        packet message = {NULL, 0};
        dtc_status status;
        memset(got, 0, sizeof got);
        levels[1] = cases[c].level;
        append(&message, cases[c].text, levels, cases[c].number);
        append(&message, "raw", values, SHORT);
        status = dtc_message_decode(tensors, 2, message.bytes, message.size, NULL, scratch, sizeof scratch);
        CHECK(status == cases[c].status, "case %zu: %s", c, dtc_status_string(status));
        assert_true(got[0] == (status == DTC_OK ? 1 : 0));
        assert_true(got[4] == (status == DTC_OK ? 5 * cases[c].level : 0));
        free(message.bytes);
    }
}

/* Workers agree on a grid by dtc_range, and their messages add. */
static void test_sums(void **state) {
    static const char *const adding[] = {"quant:bits=6,workers=3", "quant:bits=8,entropy=none,workers=3",
                                         "ternary:workers=3,pack=base3", "sensing:ratio=1,bits=12,workers=3,seed=5",
                                         "raw:workers=3"};
    size_t s, w, t, i, need;
    (void)state;
    for (s = 0; s < LENGTH(adding); s++) {
        dtc_spec spec = spec_of(adding[s]);
        model workers[3], mean = model_of(9, 0), got = model_of(99, 0);
        packet sum = {NULL, 0};
        float range = 0;
        dtc_info info;
        memset(mean.all, 0, 4 * mean.values);
        for (w = 0; w < 3; w++) {
            workers[w] = model_of(w, 0);
            for (t = 0; t < TENSORS; t++) {
                float own = dtc_range(&spec, workers[w].tensors[t].values, NULL, counts[t]);
                range = own > range ? own : range;
            }
        }
        dtc_spec_set_range(&spec, range);
        for (w = 0; w < 3; w++) {
            packet made, next;
            size_t bound;
            void *scratch;
            made = encode_model(&spec, &workers[w]);
            assert_int_equal(decode_model(&got, &spec, &made), DTC_OK);
            for (i = 0; i < mean.values; i++) mean.all[i] += got.all[i];
            if (!sum.bytes) {
                sum = made;
                continue;
            }
            bound = dtc_message_add_bound(sum.bytes, sum.size, made.bytes, made.size);
            need = dtc_message_add_scratch(sum.bytes, sum.size, made.bytes, made.size);
            scratch = memory(need);
            next.bytes = (unsigned char *)memory(bound);
            assert_int_equal(dtc_message_add(next.bytes, bound, &next.size, sum.bytes, sum.size, made.bytes, made.size,
                                             scratch, need),
                             DTC_OK);
            assert_int_equal(dtc_inspect(made.bytes, made.size, &info), DTC_OK);
            assert_int_equal(dtc_message_add(next.bytes, bound, &i, sum.bytes, sum.size, made.bytes, info.packet_bytes,
                                             scratch, need),
                             DTC_ERROR_TRUNCATED);
            assert_true(i == 0);
            assert_int_equal(dtc_message_add(next.bytes, bound, &next.size, sum.bytes, sum.size, made.bytes, made.size,
                                             scratch, need),
                             DTC_OK);
            free(scratch);
            free(made.bytes);
            free(sum.bytes);
            sum = next;
        }
        assert_int_equal(dtc_inspect(sum.bytes, sum.size, &info), DTC_OK);
        assert_int_equal(info.terms, 3);
        assert_int_equal(decode_model(&got, &spec, &sum), DTC_OK);
        CHECK(distance(got.all, mean.all, mean.values) <= 1e-6 * squares(mean.all, mean.values), "%s: %g of %g",
              adding[s], distance(got.all, mean.all, mean.values), squares(mean.all, mean.values));
        free(sum.bytes);
        for (w = 0; w < 3; w++) model_free(&workers[w]);
        model_free(&mean);
        model_free(&got);
    }
}

/* Packets with own grids do not add: neither do messages. */
static void test_messages_that_do_not_add(void **state) {
    dtc_spec spec = spec_of("quant:bits=4");
    model sent = model_of(1, 0);
    packet made = encode_model(&spec, &sent);
    unsigned char sum[8];
    size_t bytes = 7;
    (void)state;
    assert_int_equal(dtc_message_add(sum, sizeof sum, &bytes, made.bytes, made.size, made.bytes, made.size, NULL, 0),
                     DTC_ERROR_TERMS);
    assert_int_equal(bytes, 0);
    assert_int_equal(dtc_message_add(sum, sizeof sum, &bytes, NULL, 0, NULL, 0, NULL, 0), DTC_OK);
    assert_int_equal(bytes, 0);
    assert_int_equal(dtc_message_add_bound(NULL, 0, NULL, 0), 0);
    free(made.bytes);
    model_free(&sent);
}

/* The scratch that a spec tells is enough for every packet of it, and for sums. */
static void test_decode_scratch_bound(void **state) {
    size_t s, n;
    (void)state;
    for (s = 0; s < LENGTH(specs); s++) {
        dtc_spec spec = spec_of(specs[s]);
        for (n = 1; n < 100000; n = n * 5 / 3 + 1) {
            float *values = drawn(n, s & 1 ? noise_laplace : noise_gaussian, 0, n);
            packet made;
            spec.rows = spec.codec == DTC_FACTOR || spec.codec == DTC_CIRCULANT ? (n % 4 ? 1 : 4) : 0;
            made = encode_spec(&spec, values, n);
            CHECK(inspect(&made).decode_scratch <= dtc_decode_scratch_bound(&spec, n), "%s, %zu values", specs[s], n);
            free(made.bytes);
            free(values);
        }
        assert_int_equal(dtc_decode_scratch_bound(&spec, (size_t)1 << 30), 0);
    }
    assert_int_equal(dtc_decode_scratch_bound(NULL, 1), 0);
}

/* dtc_range tells what the encoder itself would choose; an infinite range is refused. */
static void test_range(void **state) {
    float values[4] = {1.0f, -3.0f, 0.5f, 0.0f}, residual[4] = {1.0f, -1.0f, 0.0f, 0.0f};
    static unsigned char scratch[1 << 18], room[100];
    dtc_spec quant = spec_of("quant:bits=4"), ternary = spec_of("ternary"), sensing = spec_of("sensing:bits=8");
    dtc_spec clipped = spec_of("ternary:clip=1"), raw = spec_of("raw"), bad;
    size_t bytes;
    (void)state;
    assert_true(dtc_range(&quant, values, residual, 4) == 4.0f && dtc_range(&quant, values, NULL, 4) == 3.0f);
    assert_true(dtc_range(&ternary, values, residual, 4) == 4.0f);
    assert_true(fabs((double)dtc_range(&clipped, values, residual, 4) - sqrt(20.25 / 4)) < 1e-6);
    assert_true(fabs((double)dtc_range(&sensing, values, residual, 4) - 3.99 * sqrt(20.25 / 4)) < 1e-4);
    assert_true(dtc_range(&raw, values, NULL, 4) == 0 && dtc_range(&quant, values, NULL, 0) == 0);
    dtc_spec_set_range(&quant, 2);
    assert_true(quant.quant.min_given && quant.quant.max_given && quant.quant.min == -2 && quant.quant.max == 2);
    dtc_spec_set_range(&quant, 0);
    assert_true(float_bits(quant.quant.min) == 0 && quant.quant.max == 0);
    values[2] = NAN;
    assert_true(isinf(dtc_range(&quant, values, residual, 4)));
    bad = quant;
    dtc_spec_set_range(&bad, INFINITY);
    values[2] = 0;
    assert_int_equal(dtc_encode(&bad, room, sizeof room, &bytes, values, 4, scratch, sizeof scratch), DTC_ERROR_SPEC);
}

/* Seeds of neighbouring steps and workers differ in about half of their bits. */
static void test_seed(void **state) {
    uint64_t step, worker, flipped = 0, pairs = 0;
    (void)state;
    for (step = 0; step < 64; step++) {
        for (worker = 0; worker < 64; worker++) {
            uint64_t seed = dtc_seed(7, step, worker), other = dtc_seed(7, step + 1, worker) ^ seed,
                     third = dtc_seed(7, worker, step) ^ seed;
            assert_true(seed && other && (third || step == worker) && dtc_seed(8, step, worker) != seed);
            for (; other; other &= other - 1) flipped++;
            pairs++;
        }
    }
    assert_true(flipped > 31 * pairs && flipped < 33 * pairs);
}

/* A spec that could not be read is taken by nothing. */
static void test_failed_spec(void **state) {
    static unsigned char scratch[1 << 18], room[100];
    float values[4] = {1, 2, 3, 4};
    char text[100];
    dtc_spec spec;
    size_t bytes;
    (void)state;
    assert_int_equal(dtc_spec_parse("quant:bits=17", &spec, NULL), DTC_ERROR_SPEC_VALUE);
    assert_int_equal(dtc_encode(&spec, room, sizeof room, &bytes, values, 4, scratch, sizeof scratch), DTC_ERROR_CODEC);
    assert_int_equal(dtc_encode_bound(&spec, 4), 0);
    assert_int_equal(dtc_encode_scratch(&spec, 4), 0);
    assert_int_equal(dtc_spec_format(&spec, text, sizeof text), DTC_ERROR_CODEC);
    assert_true(dtc_range(&spec, values, NULL, 4) == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_encode_decoded),
        cmocka_unit_test(test_encode_decoded_beyond_max_work),
        cmocka_unit_test(test_scales),
        cmocka_unit_test(test_small_models),
        cmocka_unit_test(test_rates),
        cmocka_unit_test(test_nothing_changes),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_sums),
        cmocka_unit_test(test_messages_that_do_not_add),
        cmocka_unit_test(test_decode_scratch_bound),
        cmocka_unit_test(test_range),
        cmocka_unit_test(test_seed),
        cmocka_unit_test(test_failed_spec),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
