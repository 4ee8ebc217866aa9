/* The toy codec signs (room.h) by the public functions alone, in a copy of dtcodec.h that has its room. The copy is
 * built by tests/test_toy_codec.sh. Other codecs are left out, except quant, which shall work as before. */
#define DTC_STATIC
#define DTC_NO_TERNARY
#define DTC_NO_FACTOR
#define DTC_NO_SENSING
#define DTC_NO_CIRCULANT
#include "tests/damage.h"

enum { MOST = 700 };

static const char *const specs[] = {
    "signs",           "signs:checksum=0",
    "signs:block=1",   "signs:block=3,workers=5",
    "signs:scale=0.5", "signs:scale=0.25,block=100,workers=2,checksum=0",
    "signs:block=257",
};

/* The decoded values by the definition of the codec. */
static void define(float *decoded, const dtc_spec *spec, const float *values, size_t count) {
    size_t block = spec->block && spec->block < count ? spec->block : count, first, n, i;
    for (first = 0; first < count; first += n) {
        double sum = 0;
        n = count - first < block ? count - first : block;
        for (i = 0; i < n; i++) sum += fabs((double)values[first + i]);
        for (i = 0; i < n; i++) {
            float scale = spec->ternary.scale > 0 ? spec->ternary.scale : (float)(sum / (double)n);
            decoded[first + i] = signbit(values[first + i]) ? -scale : scale;
        }
    }
}

static int is_stored(const dtc_spec *spec, size_t count) {
    size_t block = spec->block && spec->block < count ? spec->block : count;
    return count && 4 * ((count + block - 1) / block) + (count + 7) / 8 > 4 * count;
}

static void test_spec_text(void **state) {
    static const char *const texts[] = {"signs", "signs:scale=0.5",
                                        "signs:scale=0.25,rows=2,block=4,workers=3,checksum=0"};
    char text[256];
    dtc_spec spec;
    size_t i;
    (void)state;
    for (i = 0; i < LENGTH(texts); i++) {
        spec = spec_of(texts[i]);
        assert_int_equal(spec.codec, DTC_SIGNS);
        assert_int_equal(dtc_spec_format(&spec, text, sizeof text), DTC_OK);
        assert_string_equal(text, texts[i]);
    }
    assert_int_equal(float_bits(spec.ternary.scale), float_bits(0.25f));
    assert_true(spec.rows == 2 && spec.block == 4 && spec.workers == 3 && spec.no_checksum);
    assert_int_equal(dtc_spec_parse("signs:scale=auto", &spec, NULL), DTC_OK);
    assert_true(spec.ternary.scale <= 0);
    assert_int_equal(dtc_spec_parse("sign", &spec, NULL), DTC_ERROR_SPEC_CODEC);
    assert_int_equal(dtc_spec_parse("signs:clip=1", &spec, NULL), DTC_ERROR_SPEC_KEY);
    assert_int_equal(dtc_spec_parse("signs:scale=1,scale=1", &spec, NULL), DTC_ERROR_SPEC_KEY);
    assert_int_equal(dtc_spec_parse("signs:scale=-1", &spec, NULL), DTC_ERROR_SPEC_VALUE);
}

static void test_spec_fields(void **state) {
    static const float scales[] = {-1, NAN, INFINITY};
    dtc_spec spec = spec_of("signs");
    unsigned char room[64];
    float value = 1;
    char text[256];
    size_t i, bytes;
    (void)state;
    for (i = 0; i < LENGTH(scales); i++) {
        spec.ternary.scale = scales[i];
        assert_int_equal(dtc_encode_bound(&spec, 1), 0);
        assert_int_equal(dtc_encode_scratch(&spec, 1), 0);
        assert_int_equal(dtc_spec_format(&spec, text, sizeof text), DTC_ERROR_SPEC);
        assert_int_equal(dtc_encode(&spec, room, sizeof room, &bytes, &value, 1, workspace(1000), 1000),
                         DTC_ERROR_SPEC);
    }
}

/* A packet written down byte by byte. Its first block has 4 values, and its second block has one value. */
static void test_bytes(void **state) {
    static const unsigned char expected[] = {0xd7, 0x06, 0x04, 0x00, 0x05, 0x00, 0x00, 0x00, 0x19,
                                             0x00, 0x00, 0x00, 0x04, 0x00, 0x00, 0x00, 0x00, 0x00,
                                             0x00, 0x40, 0x00, 0x00, 0xa0, 0x40, 0x0a};
    static const float values[] = {1, -3, 2, -2, 5}, decoded[] = {2, -2, 2, -2, 5};
    packet made = encode("signs:block=4,checksum=0", values, 5);
    float *back = decode(&made);
    (void)state;
    assert_int_equal(made.size, sizeof expected);
    assert_memory_equal(made.bytes, expected, sizeof expected);
    assert_memory_equal(back, decoded, sizeof decoded);
    free(back);
    free(made.bytes);
}

static void test_round_trips(void **state) {
    float *values = drawn(MOST, noise_laplace, 0.2, 1), expected[MOST], added[MOST];
    size_t s, count, i;
    (void)state;
    for (s = 0; s < LENGTH(specs); s++) {
        dtc_spec spec = spec_of(specs[s]);
        for (count = 0; count <= MOST; count += count < 20 || (count > 250 && count < 260) ? 1 : 61) {
            packet made = encode(specs[s], values, count);
            int stored = is_stored(&spec, count);
            float *back = decode(&made);
            assert_int_equal(inspect(&made).codec, stored ? DTC_RAW : DTC_SIGNS);
            if (stored)
                memcpy(expected, values, 4 * count);
            else
                define(expected, &spec, values, count);
            if (count) assert_memory_equal(back, expected, 4 * count);
            for (i = 0; i < count; i++) added[i] = (float)i;
            assert_int_equal(dtc_decode_add(added, count, -3.0f, made.bytes, made.size, NULL, NULL, 0), DTC_OK);
            for (i = 0; i < count; i++)
                assert_true(float_bits(added[i]) == float_bits((float)((double)i - 3.0 * (double)back[i])));
            free(back);
            free(made.bytes);
        }
    }
    free(values);
}

/* Error feedback: what was decoded in all steps, and the last residual, are the sum of what was encoded. */
static void test_residual(void **state) {
    enum { COUNT = 300, STEPS = 20 };
    float *values = floats(COUNT), *residual = floats(COUNT), *before = floats(COUNT), expected[COUNT];
    dtc_spec spec = spec_of("signs:block=50");
    size_t bound = dtc_encode_bound(&spec, COUNT), scratch_bytes = dtc_encode_scratch(&spec, COUNT), bytes, i;
    unsigned char *room = (unsigned char *)memory(bound);
    double sent[COUNT] = {0}, wanted[COUNT] = {0};
    int step;
    (void)state;
    for (i = 0; i < COUNT; i++) residual[i] = 0;
    for (step = 0; step < STEPS; step++) {
        packet made;
        float *back;
        fill(values, COUNT, noise_gaussian, 0, (uint64_t)step);
        for (i = 0; i < COUNT; i++) before[i] = values[i] + residual[i];
        assert_int_equal(dtc_encode_residual(&spec, room, bound, &bytes, values, residual, COUNT,
                                             workspace(scratch_bytes), scratch_bytes),
                         DTC_OK);
        made.bytes = room;
        made.size = bytes;
        back = decode(&made);
        define(expected, &spec, before, COUNT);
        assert_memory_equal(back, expected, sizeof expected);
        for (i = 0; i < COUNT; i++) {
            assert_int_equal(float_bits(residual[i]), float_bits(before[i] - back[i]));
            sent[i] += (double)back[i];
            wanted[i] += (double)values[i];
        }
        free(back);
    }
    for (i = 0; i < COUNT; i++) assert_true(fabs(sent[i] + (double)residual[i] - wanted[i]) < 1e-4);
    memcpy(before, residual, 4 * COUNT);
    values[COUNT - 1] = NAN;
    assert_int_equal(dtc_encode_residual(&spec, room, bound, &bytes, values, residual, COUNT, workspace(scratch_bytes),
                                         scratch_bytes),
                     DTC_ERROR_NONFINITE);
    assert_int_equal(bytes, 0);
    assert_memory_equal(residual, before, 4 * COUNT);
    free(values);
    free(residual);
    free(before);
    free(room);
}

static void test_scale(void **state) {
    static const float values[] = {1, -3, 2, -2, 6, 0.5f}, halved[] = {-1, 1, -1, 1, -1.625f, -1.625f};
    packet made = encode("signs:block=4", values, 6);
    unsigned char *before = (unsigned char *)memory(made.size);
    float *back;
    (void)state;
    assert_int_equal(dtc_packet_scale(made.bytes, made.size, -0.5f), DTC_OK);
    back = decode(&made);
    assert_memory_equal(back, halved, sizeof halved);
    memcpy(before, made.bytes, made.size);
    assert_int_equal(dtc_packet_scale(made.bytes, made.size, FLT_MAX), DTC_ERROR_NONFINITE);
    assert_memory_equal(made.bytes, before, made.size);
    free(before);
    free(back);
    free(made.bytes);
}

static void test_matvec(void **state) {
    enum { ROWS = 7, COLUMNS = 90 };
    float *values = drawn(ROWS * COLUMNS, noise_gaussian, 0, 2), *x = drawn(COLUMNS, noise_gaussian, 0, 3), y[COLUMNS];
    packet made = encode("signs:rows=7,block=100", values, (size_t)ROWS * COLUMNS);
    float *matrix = decode(&made);
    int transposed, i, j;
    (void)state;
    for (transposed = 0; transposed < 2; transposed++) {
        size_t scratch_bytes = dtc_packet_matvec_scratch(made.bytes, made.size, transposed);
        assert_int_equal(
            dtc_packet_matvec(y, made.bytes, made.size, x, transposed, workspace(scratch_bytes), scratch_bytes),
            DTC_OK);
        for (i = 0; i < (transposed ? COLUMNS : ROWS); i++) {
            double sum = 0;
            for (j = 0; j < (transposed ? ROWS : COLUMNS); j++)
                sum += (double)matrix[transposed ? j * COLUMNS + i : i * COLUMNS + j] * (double)x[j];
            assert_true(fabs((double)y[i] - sum) < 1e-5);
        }
    }
    free(values);
    free(x);
    free(matrix);
    free(made.bytes);
}

static void test_inspect(void **state) {
    static const char *const texts[] = {"signs", "signs:block=4",
                                        "signs:scale=0.25,rows=2,block=4,workers=3,checksum=0"};
    float *values = drawn(10, noise_gaussian, 0, 4);
    char text[256];
    size_t i;
    (void)state;
    for (i = 0; i < LENGTH(texts); i++) {
        packet made = encode(texts[i], values, 10);
        dtc_info info = inspect(&made);
        dtc_spec spec = spec_of(texts[i]);
        assert_int_equal(dtc_spec_format(&info.spec, text, sizeof text), DTC_OK);
        assert_string_equal(text, texts[i]);
        assert_true(info.codec == DTC_SIGNS && info.count == 10 && info.terms == 1 && info.decode_scratch == 0);
        assert_int_equal(info.rows, spec.rows ? spec.rows : 1);
        assert_int_equal(info.workers, spec.workers ? spec.workers : 1);
        if (spec.ternary.scale > 0) { /* no spec can give a negative scale or a NaN, so none is told */
            assert_int_equal(dtc_packet_scale(made.bytes, made.size, -1.0f), DTC_OK);
            info = inspect(&made);
            assert_int_equal(dtc_spec_format(&info.spec, text, sizeof text), DTC_OK);
            put_bytes(made.bytes + made.size - 2 - 4 * 3, 0x7fc00000u, 4);
            info = inspect(&made);
            assert_int_equal(dtc_spec_format(&info.spec, text, sizeof text), DTC_OK);
        }
        free(made.bytes);
    }
    free(values);
}

static void test_sums_refused(void **state) {
    static const float values[] = {1, 2, 3, 4};
    packet a = encode("signs:workers=2", values, 4), alone = encode("signs", values, 4);
    unsigned char sum[100];
    size_t bytes = 1;
    (void)state;
    assert_int_equal(dtc_packet_add_bound(a.bytes, a.size, a.bytes, a.size), 0);
    assert_int_equal(dtc_packet_add_scratch(a.bytes, a.size, a.bytes, a.size), 0);
    assert_int_equal(dtc_packet_add(sum, sizeof sum, &bytes, a.bytes, a.size, a.bytes, a.size, NULL, 0),
                     DTC_ERROR_INCOMPATIBLE);
    assert_int_equal(bytes, 0);
    assert_int_equal(dtc_packet_add(sum, sizeof sum, &bytes, alone.bytes, alone.size, alone.bytes, alone.size, NULL, 0),
                     DTC_ERROR_TERMS);
    free(a.bytes);
    free(alone.bytes);
}

/* Every reader refuses the packet with this status and leaves its output as it was. dtc_inspect reads no payload. */
static void refused(const char *what, packet *bad, dtc_status expected) {
    static const float x[64] = {0};
    float values[64], kept[64];
    unsigned char sum[400], *before = (unsigned char *)memory(bad->size);
    size_t count = get32(bad->bytes + 4), bytes = 1, i;
    dtc_status seen[6];
    dtc_info info;
    for (i = 0; i < 64; i++) values[i] = kept[i] = (float)i;
    assert_true(count <= 64);
    memcpy(before, bad->bytes, bad->size);
    seen[0] = dtc_decode(values, count, bad->bytes, bad->size, NULL, NULL, 0);
    seen[1] = dtc_decode_add(values, count, 1, bad->bytes, bad->size, NULL, NULL, 0);
    seen[2] = dtc_packet_add(sum, sizeof sum, &bytes, bad->bytes, bad->size, bad->bytes, bad->size, NULL, 0);
    seen[3] = dtc_packet_scale(bad->bytes, bad->size, 2);
    seen[4] = dtc_packet_matvec(values, bad->bytes, bad->size, x, 0, workspace(1000), 1000);
    seen[5] = dtc_inspect(bad->bytes, bad->size, &info);
    if (expected == DTC_ERROR_PAYLOAD || expected == DTC_ERROR_CHECKSUM) {
        CHECK(seen[5] == DTC_OK, "%s: dtc_inspect gives %d", what, (int)seen[5]);
        seen[5] = expected;
    }
    for (i = 0; i < LENGTH(seen); i++)
        CHECK(seen[i] == expected, "%s: reader %zu gives %d, not %d", what, i, (int)seen[i], (int)expected);
    assert_memory_equal(values, kept, sizeof kept);
    assert_memory_equal(bad->bytes, before, bad->size);
    assert_int_equal(bytes, 0);
    free(before);
}

/* Sets bytes of a sound packet, repairs its checksum, and expects every reader to refuse it. */
static void refused_with(const packet *sound, size_t at, uint64_t value, size_t bytes, dtc_status expected) {
    char what[64];
    packet bad;
    snprintf(what, sizeof what, "byte %zu", at);
    bad.size = sound->size;
    bad.bytes = (unsigned char *)memory(bad.size);
    memcpy(bad.bytes, sound->bytes, bad.size);
    put_bytes(bad.bytes + at, value, bytes);
    repair_checksum(bad.bytes, bad.size);
    refused(what, &bad, expected);
    free(bad.bytes);
}

/* 43 values in blocks of 20 have 3 scales, then 43 bits in 6 bytes. The last 5 bits are padding. */
static void test_malformed(void **state) {
    enum { SCALES = 20, BITS = SCALES + 12, LAST = BITS + 5 }; /* after a head with block and workers */
    float *values = drawn(43, noise_gaussian, 0, 5);
    packet sound = encode("signs:block=20,workers=2", values, 43), bad;
    unsigned bit;
    (void)state;
    assert_int_equal(sound.size, LAST + 1 + 4);
    for (bit = 3; bit < 8; bit++) refused_with(&sound, LAST, sound.bytes[LAST] | 1u << bit, 1, DTC_ERROR_PAYLOAD);
    for (bit = 0; bit < 3; bit++) {
        refused_with(&sound, SCALES + 4 * (size_t)bit, 0x7fc00000u, 4, DTC_ERROR_PAYLOAD);
        refused_with(&sound, SCALES + 4 * (size_t)bit, 0xff800000u, 4, DTC_ERROR_PAYLOAD);
    }
    refused_with(&sound, 3, 2, 1, DTC_ERROR_HEAD);              /* variant */
    refused_with(&sound, 18, 2, 2, DTC_ERROR_HEAD);             /* terms */
    refused_with(&sound, 4, 50, 1, DTC_ERROR_SIZE);             /* count: a byte of bits too few */
    refused_with(&sound, 4, 40, 1, DTC_ERROR_SIZE);             /* count: a byte of bits too many */
    refused_with(&sound, 12, 30, 1, DTC_ERROR_SIZE);            /* block: a scale too many */
    refused_with(&sound, 12, 10, 1, DTC_ERROR_SIZE);            /* block: two scales too few */
    refused_with(&sound, 8, sound.size - 1, 1, DTC_ERROR_SIZE); /* packet_bytes */
    refused_with(&sound, 1, 0x07, 1, DTC_ERROR_CODEC);          /* the next number after the toy's */
    bad.size = sound.size;
    bad.bytes = (unsigned char *)memory(bad.size);
    memcpy(bad.bytes, sound.bytes, bad.size);
    bad.bytes[BITS] ^= 1;
    refused("a bit flipped", &bad, DTC_ERROR_CHECKSUM);
    free(bad.bytes);
    free(sound.bytes);
    free(values);
}

/* A seed has no place in the head of signs. */
static void test_seed_refused(void **state) {
    static const float values[] = {1, -2, 3, -4};
    unsigned char seeded[64];
    packet sound = encode("signs:seed=9,checksum=0", values, 4), bad;
    (void)state;
    assert_int_equal(sound.size, 12 + 4 + 1);
    memcpy(seeded, sound.bytes, 12);
    put_bytes(seeded + 12, 9, 8);
    memcpy(seeded + 20, sound.bytes + 12, 5);
    seeded[2] |= 16;
    seeded[8] = 25;
    bad.bytes = seeded;
    bad.size = 25;
    refused("a seed", &bad, DTC_ERROR_HEAD);
    free(sound.bytes);
}

static void test_bounds(void **state) {
    float *values = drawn(MOST, noise_laplace, 0, 6);
    size_t s, count, bytes;
    (void)state;
    for (s = 0; s < LENGTH(specs); s++) {
        dtc_spec spec = spec_of(specs[s]), seeded = spec;
        size_t bound_before = 0, scratch_before = 0;
        seeded.seed = 77;
        for (count = 0; count <= MOST; count++) {
            size_t bound = dtc_encode_bound(&spec, count), scratch_bytes = dtc_encode_scratch(&spec, count);
            packet made = encode_spec(&spec, values, count); /* which checks the bound */
            unsigned char *room = (unsigned char *)memory(made.size);
            assert_true(bound >= bound_before && scratch_bytes >= scratch_before && scratch_bytes > 0);
            assert_int_equal(dtc_encode_bound(&seeded, count), bound);
            assert_int_equal(dtc_encode_scratch(&seeded, count), scratch_bytes);
            assert_int_equal(
                dtc_encode(&spec, room, made.size, &bytes, values, count, workspace(scratch_bytes), scratch_bytes),
                DTC_OK);
            assert_memory_equal(room, made.bytes, made.size);
            assert_int_equal(
                dtc_encode(&spec, room, made.size - 1, &bytes, values, count, workspace(scratch_bytes), scratch_bytes),
                DTC_ERROR_CAPACITY);
            assert_int_equal(
                dtc_encode(&spec, room, made.size, &bytes, values, count, workspace(scratch_bytes), scratch_bytes - 1),
                DTC_ERROR_SCRATCH);
            bound_before = bound;
            scratch_before = scratch_bytes;
            free(room);
            free(made.bytes);
        }
    }
    free(values);
}

static void test_nonfinite(void **state) {
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    float values[MOST];
    unsigned char room[4 * MOST + 100];
    size_t s, i, at, bytes;
    (void)state;
    for (s = 0; s < LENGTH(specs); s++) {
        dtc_spec spec = spec_of(specs[s]);
        for (i = 0; i < LENGTH(bad); i++) {
            for (at = 0; at < MOST; at += 233) {
                fill(values, MOST, noise_gaussian, 0, 7);
                values[at] = bad[i];
                bytes = 1;
                assert_int_equal(dtc_encode(&spec, room, sizeof room, &bytes, values, MOST, workspace(20000), 20000),
                                 DTC_ERROR_NONFINITE);
                assert_int_equal(bytes, 0);
            }
        }
    }
}

/* The codecs beside the toy: quant is there, and what was left out stays so. */
static void test_other_codecs(void **state) {
    static const dtc_codec left_out[] = {DTC_TERNARY, DTC_FACTOR, DTC_SENSING, DTC_CIRCULANT};
    static const char *const names[] = {"ternary", "factor", "sensing", "circulant"};
    static const float values[] = {-3, -2, -1, 0, 1, 2, 3, 4};
    float *back = round_trip("quant:bits=3,entropy=none", values, 8);
    dtc_spec spec;
    char text[256];
    size_t i;
    (void)state;
    assert_memory_equal(back, values, sizeof values);
    free(back);
    for (i = 0; i < LENGTH(left_out); i++) {
        assert_int_equal(dtc_spec_parse(names[i], &spec, NULL), DTC_ERROR_SPEC_CODEC);
        memset(&spec, 0, sizeof spec);
        spec.codec = left_out[i];
        assert_int_equal(dtc_spec_format(&spec, text, sizeof text), DTC_ERROR_CODEC);
        assert_int_equal(dtc_encode_bound(&spec, 8), 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spec_text),   cmocka_unit_test(test_spec_fields),  cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_round_trips), cmocka_unit_test(test_residual),     cmocka_unit_test(test_scale),
        cmocka_unit_test(test_matvec),      cmocka_unit_test(test_inspect),      cmocka_unit_test(test_sums_refused),
        cmocka_unit_test(test_malformed),   cmocka_unit_test(test_seed_refused), cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_nonfinite),   cmocka_unit_test(test_other_codecs),
    };
    return cmocka_run_group_tests_name("toy", tests, NULL, NULL);
}
