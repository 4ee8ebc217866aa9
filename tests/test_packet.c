/* What holds for packets of every codec: sizes, failures that leave nothing behind, damage, error feedback, sums. */
#include "helpers.h"

/* Every key of every codec, and what they do to one another. */
static const char *const specs[] = {
    "raw",
    "raw:type=bf16",
    "raw:type=fp16",
    "raw:rows=1,workers=3,block=5",
    "raw:checksum=0",
    "ternary",
    "ternary:clip=1,seed=7",
    "ternary:scale=3",
    "ternary:block=64",
    "ternary:pack=base3",
    "ternary:workers=5",
    "ternary:workers=5,pack=base3",
    "ternary:rows=1,block=7,workers=3,pack=base3",
    "ternary:block=1",
    "ternary:checksum=0",
    "ternary:pack=base3,block=40,checksum=0",
    "ternary:workers=5,pack=base3,checksum=0",
    "quant",
    "quant:floor=2,probe=6,sample=0.5",
    "quant:bits=1",
    "quant:bits=4",
    "quant:bits=16",
    "quant:bits=5,entropy=none",
    "quant:bits=4,grid=even",
    "quant:bits=4,rounding=stochastic,seed=9",
    "quant:bits=4,grid=even,rounding=stochastic,seed=9",
    "quant:bits=3,block=64",
    "quant:bits=3,block=100,grid=even,entropy=none",
    "quant:bits=8,block=2",
    "quant:bits=4,workers=6",
    "quant:bits=4,workers=6,entropy=none",
    "quant:bits=6,min=-1,max=1",
    "quant:min=-2",
    "quant:rows=1,max=0.5,bits=7",
    "quant:rate=3",
    "quant:rate=0.5,block=1000",
    "quant:max-error=0.01",
    "quant:max-error=0.01,grid=even,rounding=stochastic,workers=2",
    "quant:rotate=1",
    "quant:rotate=1,bits=4,seed=3",
    "quant:rotate=1,bits=3,entropy=none,seed=5,block=100,checksum=0",
    "quant:rotate=1,rate=2,block=1000",
    "quant:rotate=1,bits=4,grid=even,workers=3,entropy=none,min=-1,max=1",
    "quant:rotate=1,bits=5,rounding=stochastic,checksum=0",
    "quant:bits=2,checksum=0",
    "quant:bits=4,entropy=none,checksum=0",
    "quant:bits=4,block=50,grid=even,checksum=0",
    "factor:rows=10",
    "factor:rank=1,rows=10,workers=3,block=5,seed=3",
    "factor:rank=2,rows=10,value=bf16",
    "factor:rank=3,rows=10,value=fp16,checksum=0",
    "factor:rank=2,rows=10,value=3,checksum=0",
    "circulant:rows=10",
    "circulant:rows=10,block=7,value=bf16,workers=3",
    "circulant:rows=5,block=3,value=8",
    "circulant:rows=10,block=16,value=fp16,checksum=0",
    "circulant:rows=10,block=4,value=1,checksum=0",
    "sensing",
    "sensing:ratio=0.6,bits=1,seed=8,checksum=0",
    "sensing:ratio=1,bits=3,seed=9,block=256",
    "sensing:ratio=0.1,bits=32",
    "sensing:bits=6,scale=2,workers=9,checksum=0",
    "sensing:ratio=0.7,bits=2,block=256,rows=1,workers=3",
    "sensing:ratio=0.5,bits=3,keep=0.1",
};

typedef enum kind { GAUSSIAN, SPARSE, ZEROS, CONSTANT, DENORMAL, HUGE_VALUES, KINDS } kind;

/* A spec of a matrix, where the count is not one of so many rows, becomes one of a single row. */
static dtc_spec spec_for(const char *text, size_t count) {
    dtc_spec spec = spec_of(text);
    if (spec.rows && count % spec.rows) spec.rows = 1;
    return spec;
}

static float *values_of(kind what, size_t count) {
    float *values = drawn(count, noise_gaussian, what == SPARSE ? 0.9 : 0, 1 + count);
    size_t i;
    for (i = 0; i < count; i++) {
        if (what == ZEROS) values[i] = 0;
        if (what == CONSTANT) values[i] = -0.3f;
        if (what == DENORMAL) values[i] *= 1e-41f;
        if (what == HUGE_VALUES) values[i] = i % 3 ? copysignf(FLT_MAX, values[i]) : values[i];
    }
    return values;
}

static int has_blocks(dtc_codec codec) {
    return codec != DTC_RAW && codec != DTC_FACTOR;
}

/* Whether decoding needs it. */
static int has_seed(const dtc_spec *spec) {
    return spec->codec == DTC_SENSING || (spec->codec == DTC_QUANT && spec->quant.rotate);
}

/* Whether all blocks would have the step that a search finds, so that the packet has no blocks. */
static int has_one_step(const dtc_spec *spec) {
    return spec->codec == DTC_QUANT && spec->quant.rate > 0 && spec->workers <= 1 && !spec->quant.rotate;
}

/* What the head of a packet of this spec may take, checksum included. */
static size_t head_room(const dtc_spec *spec, size_t count) {
    return 16 - (spec->no_checksum ? 4u : 0u) + (spec->rows && count ? 4u : 0u) + (spec->workers > 1 ? 4u : 0u) +
           (has_blocks(spec->codec) && !has_one_step(spec) && spec->block && spec->block < count ? 4u : 0u) +
           (has_seed(spec) ? 8u : 0u);
}

static int all_bytes_are(const void *p, size_t bytes, unsigned char byte) {
    size_t i;
    for (i = 0; i < bytes && ((const unsigned char *)p)[i] == byte; i++) {
    }
    return i == bytes;
}

static int all_finite(const float *values, size_t count) {
    size_t i;
    for (i = 0; i < count && isfinite(values[i]); i++) {
    }
    return i == count;
}

/* Decodes with exactly the scratch that dtc_inspect asks for, into watched memory; on failure nothing is written. */
static dtc_status watched_decode(guarded *values, size_t count, const unsigned char *bytes, size_t size,
                                 const dtc_decode_options *options, size_t misaligned) {
    unsigned char *scratch;
    dtc_info info;
    dtc_status status;
    (void)dtc_inspect(bytes, size, &info);
    scratch = workspace(misaligned + info.decode_scratch + GUARD_BYTES) + misaligned;
    memset(scratch + info.decode_scratch, GUARD_FILL, GUARD_BYTES);
    memset(values->p, GUARD_FILL, values->bytes);
    status = dtc_decode((float *)(void *)values->p, count, bytes, size, options, scratch, info.decode_scratch);
    assert_true(guarded_intact(values, status == DTC_OK ? 4 * count : 0));
    assert_true(all_bytes_are(scratch + info.decode_scratch, GUARD_BYTES, GUARD_FILL));
    return status;
}

/* Any count, any data: it fits, decodes, costs no more than said, and comes out the same twice. */
static void check_round_trip(const char *text, kind what, size_t count) {
    dtc_spec spec = spec_for(text, count);
    float *values = values_of(what, count);
    packet made = encode_spec(&spec, values, count), again = encode_spec(&spec, values, count);
    guarded decoded = guarded_new(4 * count, 0);
    CHECK(watched_decode(&decoded, count, made.bytes, made.size, NULL, 0) == DTC_OK, "%s, %zu values of kind %d", text,
          count, (int)what);
    CHECK(all_finite((float *)(void *)decoded.p, count), "%s, %zu values of kind %d", text, count, (int)what);
    CHECK(made.size <= 4 * count + head_room(&spec, count), "%s, %zu values: %zu bytes", text, count, made.size);
    CHECK(dtc_encode_bound(&spec, count) == 4 * count + head_room(&spec, count), "%s, %zu values", text, count);
    CHECK(made.size == again.size && memcmp(made.bytes, again.bytes, made.size) == 0, "%s, %zu values", text, count);
    guarded_free(&decoded);
    free(again.bytes);
    free(made.bytes);
    free(values);
}

static void test_counts(void **state) {
    static const size_t counts[] = {0, 1, 2, 4, 5, 63, 64, 65, 159, 160, 161, 255, 256, 257, 4095, 4096, 4097};
    size_t s, c;
    (void)state;
    for (s = 0; s < LENGTH(specs); s++)
        for (c = 0; c < LENGTH(counts); c++) check_round_trip(specs[s], GAUSSIAN, counts[c]);
}

static void test_large(void **state) {
    static const char *const large[] = {"raw:type=fp16",
                                        "ternary",
                                        "ternary:pack=base3,block=1000",
                                        "quant",
                                        "quant:rate=0.4",
                                        "quant:bits=5,entropy=none",
                                        "sensing:ratio=0.1",
                                        "quant:max-error=0.001,block=1000"};
    size_t s;
    (void)state;
    for (s = 0; s < LENGTH(large); s++) check_round_trip(large[s], s % 2 ? GAUSSIAN : SPARSE, MEBI + 1);
}

static void test_kinds(void **state) {
    static const size_t counts[] = {1, 3, 257, 4500};
    size_t s, c;
    int what;
    (void)state;
    for (s = 0; s < LENGTH(specs); s++)
        for (what = SPARSE; what < KINDS; what++)
            for (c = 0; c < LENGTH(counts); c++) check_round_trip(specs[s], (kind)what, counts[c]);
}

/* Ten values: what is not payload is at most 24 bytes. */
static void test_small(void **state) {
    float *values = values_of(GAUSSIAN, 10);
    char text[64];
    int bits;
    packet made;
    (void)state;
    for (bits = 1; bits <= 16; bits++) {
        snprintf(text, sizeof text, "quant:bits=%d", bits);
        made = encode(text, values, 10);
        CHECK(made.size <= (size_t)(10 * bits + 7) / 8 + 24, "%s: %zu bytes", text, made.size);
        free(made.bytes);
    }
    made = encode("ternary", values, 10);
    assert_in_range(made.size, 1, 2 + 24);
    free(made.bytes);
    made = encode("raw", values, 10);
    assert_in_range(made.size, 1, 40 + 24);
    free(made.bytes);
    made = encode("raw:type=bf16", values, 10);
    assert_in_range(made.size, 1, 20 + 24);
    free(made.bytes);
    free(values);
}

/* A short capacity fails and leaves what is beyond it alone; the packet's own size is enough. */
static void check_capacity(const dtc_spec *spec, const char *text, const float *values, size_t count,
                           const packet *made, size_t capacity) {
    size_t scratch_bytes = dtc_encode_scratch(spec, count), bytes = 99;
    guarded room = guarded_new(capacity, 0);
    dtc_status status =
        dtc_encode(spec, room.p, capacity, &bytes, values, count, workspace(scratch_bytes), scratch_bytes);
    CHECK(status == (capacity < made->size ? DTC_ERROR_CAPACITY : DTC_OK), "%s, %zu values, %zu of %zu bytes: %s", text,
          count, capacity, made->size, dtc_status_string(status));
    CHECK(bytes == (capacity < made->size ? 0 : made->size), "%s, %zu of %zu bytes", text, capacity, made->size);
    CHECK(guarded_intact(&room, capacity), "%s, %zu of %zu bytes", text, capacity, made->size);
    if (status == DTC_OK) assert_memory_equal(room.p, made->bytes, made->size);
    guarded_free(&room);
}

static void test_capacity(void **state) {
    static const size_t counts[] = {0, 3, 67, 4500};
    size_t s, c, capacity;
    int what;
    (void)state;
    for (s = 0; s < LENGTH(specs); s++) {
        for (c = 0; c < LENGTH(counts); c++) {
            for (what = GAUSSIAN; what < KINDS; what++) {
                dtc_spec spec = spec_for(specs[s], counts[c]);
                float *values = values_of((kind)what, counts[c]);
                packet made = encode_spec(&spec, values, counts[c]);
                /* each capacity of the small packets, some of the others */
                size_t step = made.size < 400 && what == GAUSSIAN ? 1 : made.size / 8;
                for (capacity = 0; capacity < made.size; capacity += step)
                    check_capacity(&spec, specs[s], values, counts[c], &made, capacity);
                check_capacity(&spec, specs[s], values, counts[c], &made, made.size - 1);
                check_capacity(&spec, specs[s], values, counts[c], &made, made.size);
                check_capacity(&spec, specs[s], values, counts[c], &made, made.size + 1);
                free(made.bytes);
                free(values);
            }
        }
    }
}

/* One byte of scratch too few fails, at any alignment, in both directions; and leaves all outputs alone. */
static void test_scratch(void **state) {
    size_t s, misaligned;
    (void)state;
    for (s = 0; s < LENGTH(specs); s++) {
        dtc_spec spec = spec_of(specs[s]);
        float *values = values_of(GAUSSIAN, 5000);
        packet made = encode_spec(&spec, values, 5000);
        size_t need = dtc_encode_scratch(&spec, 5000), room = made.size;
        dtc_info info = inspect(&made);
        for (misaligned = 0; misaligned < 64; misaligned += 21) {
            guarded scratch = guarded_new(need, misaligned), decoded = guarded_new(4 * 5000, 0);
            guarded to = guarded_new(room, 0);
            size_t bytes = 99;
            assert_int_equal(dtc_encode(&spec, to.p, room, &bytes, values, 5000, scratch.p, need), DTC_OK);
            assert_int_equal(bytes, made.size);
            assert_memory_equal(to.p, made.bytes, made.size);
            assert_true(guarded_intact(&scratch, need));
            if (need > 0) {
                dtc_status status = dtc_encode(&spec, to.p, room, &bytes, values, 5000, scratch.p, need - 1);
                CHECK(status == DTC_ERROR_SCRATCH, "%s: %s", specs[s], dtc_status_string(status));
                assert_int_equal(bytes, 0);
                status = dtc_encode(&spec, to.p, room, &bytes, values, 5000, NULL, need);
                CHECK(status == DTC_ERROR_SCRATCH, "%s: %s", specs[s], dtc_status_string(status));
            }
            guarded_free(&scratch);
            scratch = guarded_new(info.decode_scratch, misaligned);
            if (info.decode_scratch > 0) {
                float *into = (float *)(void *)decoded.p;
                assert_int_equal(
                    dtc_decode(into, 5000, made.bytes, made.size, NULL, scratch.p, info.decode_scratch - 1),
                    DTC_ERROR_SCRATCH);
                assert_int_equal(dtc_decode(into, 5000, made.bytes, made.size, NULL, NULL, info.decode_scratch),
                                 DTC_ERROR_SCRATCH);
                assert_true(guarded_intact(&decoded, 0));
            }
            guarded_free(&scratch);
            guarded_free(&decoded);
            guarded_free(&to);
        }
        free(made.bytes);
        free(values);
    }
}

static void test_cut_and_extended(void **state) {
    static const size_t counts[] = {0, 1, 300, 4500};
    size_t s, c, size;
    (void)state;
    for (s = 0; s < LENGTH(specs); s++) {
        for (c = 0; c < LENGTH(counts); c++) {
            float *values = values_of(s % 2 ? SPARSE : GAUSSIAN, counts[c]);
            dtc_spec spec = spec_for(specs[s], counts[c]);
            packet made = encode_spec(&spec, values, counts[c]);
            guarded decoded = guarded_new(4 * counts[c], 0);
            unsigned char *longer = (unsigned char *)memory(made.size + 1);
            dtc_info info;
            for (size = 0; size < made.size; size++) {
                unsigned char *prefix = (unsigned char *)memory(size);
                memcpy(prefix, made.bytes, size);
                CHECK(watched_decode(&decoded, counts[c], prefix, size, NULL, 0) == DTC_ERROR_TRUNCATED,
                      "%s, %zu values, %zu of %zu bytes", specs[s], counts[c], size, made.size);
                assert_int_equal(dtc_inspect(prefix, size, &info), DTC_ERROR_TRUNCATED);
                assert_true(all_bytes_are(&info, sizeof info, 0));
                free(prefix);
            }
            memcpy(longer, made.bytes, made.size);
            longer[made.size] = 0;
            CHECK(watched_decode(&decoded, counts[c], longer, made.size + 1, NULL, 0) == DTC_ERROR_SIZE, "%s",
                  specs[s]);
            free(longer);
            guarded_free(&decoded);
            free(made.bytes);
            free(values);
        }
    }
}

/* A flipped bit is caught; without a checksum, it is refused or gives values that are all written and finite. */
static void check_flips(const char *text, kind what, size_t count, size_t every) {
    float *values = values_of(what, count);
    dtc_spec spec = spec_for(text, count);
    packet made = encode_spec(&spec, values, count);
    int checksum = !spec.no_checksum;
    guarded decoded = guarded_new(4 * count, 0);
    const float *floats_decoded = (const float *)(const void *)decoded.p;
    dtc_decode_options skip;
    size_t bit, i;
    memset(&skip, 0, sizeof skip);
    skip.skip_checksum = 1;
    for (bit = 0; bit < 8 * made.size; bit += every) {
        dtc_status status;
        made.bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        status = watched_decode(&decoded, count, made.bytes, made.size, NULL, 0);
        CHECK(!checksum || status != DTC_OK, "%s, %zu values: bit %zu", text, count, bit);
        if (checksum) status = watched_decode(&decoded, count, made.bytes, made.size, &skip, 0);
        if (status == DTC_OK) {
            int raw = inspect(&made).codec == DTC_RAW; /* carries anything */
            for (i = 0; i < count; i++)
                CHECK(!all_bytes_are(&floats_decoded[i], 4, GUARD_FILL) && (raw || isfinite(floats_decoded[i])),
                      "%s, %zu values: bit %zu, value %zu", text, count, bit, i);
        }
        made.bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    guarded_free(&decoded);
    free(made.bytes);
    free(values);
}

static void test_flips(void **state) {
    size_t s;
    (void)state;
    for (s = 0; s < LENGTH(specs); s++) {
        check_flips(specs[s], GAUSSIAN, 0, 1);
        check_flips(specs[s], CONSTANT, 9, 1);
        check_flips(specs[s], GAUSSIAN, 91, 1);
        check_flips(specs[s], SPARSE, 300, 1);
    }
    /* several streams; every few bits, as these packets are long */
    check_flips("ternary:checksum=0,clip=1000", SPARSE, 21000, 31);
    check_flips("quant:bits=3,checksum=0", SPARSE, 4100, 5);
    check_flips("quant:bits=3,checksum=0", GAUSSIAN, 4100, 11);
    check_flips("quant:bits=3,checksum=0,block=2000", SPARSE, 4100, 5);
    check_flips("factor:rank=1,rows=7,checksum=0", GAUSSIAN, 91, 1);
    check_flips("factor:rank=3,rows=32,value=5,checksum=0", GAUSSIAN, 32 * 40, 1);
    check_flips("circulant:rows=7,block=3,checksum=0", GAUSSIAN, 91, 1);
    check_flips("circulant:rows=64,value=3,block=16,checksum=0", GAUSSIAN, 64 * 100, 1);
    check_flips("sensing:bits=2,seed=1,checksum=0", SPARSE, 2000, 3);
}

/* NaN and infinities are refused wherever they stand; the residual stays. */
static void test_nonfinite(void **state) {
    const float bad[] = {float_from_bits(0x7fc00000u), float_from_bits(0xff800001u), INFINITY, -INFINITY};
    static const size_t places[] = {0, 1, 7, 8, 150, 255, 256, 299};
    size_t s, b, p;
    (void)state;
    for (s = 0; s < LENGTH(specs); s++) {
        dtc_spec spec = spec_of(specs[s]);
        size_t scratch_bytes = dtc_encode_scratch(&spec, 300), room = dtc_encode_bound(&spec, 300), bytes;
        unsigned char *scratch = (unsigned char *)memory(scratch_bytes), *to = (unsigned char *)memory(room);
        float *values = values_of(GAUSSIAN, 300), *residual = values_of(SPARSE, 300), *before = values_of(SPARSE, 300);
        for (b = 0; b < LENGTH(bad); b++) {
            for (p = 0; p < LENGTH(places); p++) {
                float good = values[places[p]];
                dtc_status status;
                values[places[p]] = bad[b];
                bytes = 99;
                status = dtc_encode(&spec, to, room, &bytes, values, 300, scratch, scratch_bytes);
                if (spec.codec == DTC_RAW) {
                    assert_int_equal(status, DTC_OK);
                } else {
                    CHECK(status == DTC_ERROR_NONFINITE, "%s, place %zu: %s", specs[s], places[p],
                          dtc_status_string(status));
                    assert_int_equal(bytes, 0);
                }
                bytes = 99;
                status = dtc_encode_residual(&spec, to, room, &bytes, values, residual, 300, scratch, scratch_bytes);
                assert_int_equal(status, DTC_ERROR_NONFINITE);
                assert_int_equal(bytes, 0);
                assert_memory_equal(residual, before, 300 * sizeof *residual);
                values[places[p]] = good;
            }
        }
        /* finite values whose sum with the residual is not */
        values[5] = residual[5] = FLT_MAX;
        assert_int_equal(dtc_encode_residual(&spec, to, room, &bytes, values, residual, 300, scratch, scratch_bytes),
                         DTC_ERROR_NONFINITE);
        free(before);
        free(residual);
        free(values);
        free(to);
        free(scratch);
    }
}

static void test_misaligned(void **state) {
    size_t s, off;
    (void)state;
    for (s = 0; s < LENGTH(specs); s++) {
        dtc_spec spec = spec_of(specs[s]);
        float *values = values_of(GAUSSIAN, 700), *decoded;
        packet made = encode_spec(&spec, values, 700);
        size_t need = dtc_encode_scratch(&spec, 700), bytes;
        decoded = decode(&made);
        for (off = 1; off < 8; off += 2) {
            guarded from = guarded_new(4 * 700, off), to = guarded_new(made.size, off),
                    scratch = guarded_new(need, off);
            guarded out = guarded_new(4 * 700, off);
            memcpy(from.p, values, 4 * 700);
            assert_int_equal(dtc_encode(&spec, to.p, made.size, &bytes, (float *)(void *)from.p, 700, scratch.p, need),
                             DTC_OK);
            assert_int_equal(bytes, made.size);
            assert_memory_equal(to.p, made.bytes, made.size);
            assert_int_equal(watched_decode(&out, 700, to.p, bytes, NULL, off), DTC_OK);
            assert_memory_equal(out.p, decoded, 4 * 700);
            guarded_free(&out);
            guarded_free(&scratch);
            guarded_free(&to);
            guarded_free(&from);
        }
        free(decoded);
        free(made.bytes);
        free(values);
    }
}

/* A message of many packets is walked by their sizes alone. */
static void test_concatenated(void **state) {
    unsigned char *message = (unsigned char *)memory(LENGTH(specs) * 2000), *at = message;
    size_t end = 0, s;
    (void)state;
    for (s = 0; s < LENGTH(specs); s++) {
        float *values = values_of(GAUSSIAN, 10 * s);
        packet made = encode(specs[s], values, 10 * s);
        memcpy(message + end, made.bytes, made.size);
        end += made.size;
        free(made.bytes);
        free(values);
    }
    for (s = 0; s < LENGTH(specs); s++) {
        float *values = values_of(GAUSSIAN, 10 * s), *expected = round_trip(specs[s], values, 10 * s);
        guarded decoded = guarded_new(40 * s, 0);
        dtc_info info;
        assert_int_equal(dtc_inspect(at, end - (size_t)(at - message), &info), DTC_OK);
        assert_int_equal(info.count, 10 * s);
        assert_int_equal(watched_decode(&decoded, 10 * s, at, info.packet_bytes, NULL, 0), DTC_OK);
        assert_memory_equal(decoded.p, expected, 40 * s);
        at += info.packet_bytes;
        guarded_free(&decoded);
        free(expected);
        free(values);
    }
    assert_true(at == message + end);
    free(message);
}

static void test_arguments(void **state) {
    static const size_t absurd[] = {0x3fffff01u, 0x40000000u, 0x80000000u, SIZE_MAX / 4, SIZE_MAX / 4 + 1, SIZE_MAX};
    float values[10] = {1, 2, 3}, residual[10] = {0}, decoded[10] = {0};
    static unsigned char to[1000], scratch[1 << 20];
    size_t bytes, s, a;
    (void)state;
    for (s = 0; s < LENGTH(specs); s++) {
        dtc_spec spec = spec_of(specs[s]), bad = spec;
        dtc_info info;
        bytes = 99;
        assert_int_equal(dtc_encode(NULL, to, 1000, &bytes, values, 10, scratch, sizeof scratch), DTC_ERROR_ARGUMENT);
        assert_int_equal(bytes, 0);
        assert_int_equal(dtc_encode(&spec, to, 1000, NULL, values, 10, scratch, sizeof scratch), DTC_ERROR_ARGUMENT);
        bytes = 99;
        assert_int_equal(dtc_encode(&spec, NULL, 1000, &bytes, values, 10, scratch, sizeof scratch),
                         DTC_ERROR_ARGUMENT);
        assert_int_equal(bytes, 0);
        bytes = 99;
        assert_int_equal(dtc_encode(&spec, to, 1000, &bytes, NULL, 10, scratch, sizeof scratch), DTC_ERROR_ARGUMENT);
        assert_int_equal(bytes, 0);
        assert_int_equal(dtc_encode(&spec, NULL, 0, &bytes, values, 10, scratch, sizeof scratch), DTC_ERROR_CAPACITY);
        assert_int_equal(dtc_encode_residual(&spec, to, 1000, &bytes, values, NULL, 10, scratch, sizeof scratch),
                         DTC_ERROR_ARGUMENT);
        assert_int_equal(dtc_encode_residual(&spec, to, 1000, &bytes, NULL, residual, 10, scratch, sizeof scratch),
                         DTC_ERROR_ARGUMENT);
        bad.workers = 65536;
        assert_int_equal(dtc_encode_bound(&bad, 10), 0);
        assert_int_equal(dtc_encode(&bad, to, 1000, &bytes, values, 10, scratch, sizeof scratch), DTC_ERROR_SPEC);
        bad = spec;
        bad.rows = 3; /* does not divide 10 */
        assert_int_equal(dtc_encode_bound(&bad, 10), 0);
        assert_int_equal(dtc_encode(&bad, to, 1000, &bytes, values, 10, scratch, sizeof scratch), DTC_ERROR_SPEC);
        for (a = 0; a < LENGTH(absurd); a++) {
            assert_int_equal(dtc_encode_bound(&spec, absurd[a]), 0);
            assert_int_equal(dtc_encode_scratch(&spec, absurd[a]), 0);
            bytes = 99;
            assert_int_not_equal(dtc_encode(&spec, to, 1000, &bytes, values, absurd[a], scratch, sizeof scratch),
                                 DTC_OK);
            assert_int_equal(bytes, 0);
        }

        assert_int_equal(dtc_encode(&spec, to, 1000, &bytes, values, 10, scratch, sizeof scratch), DTC_OK);
        assert_int_equal(dtc_inspect(NULL, bytes, &info), DTC_ERROR_ARGUMENT);
        assert_int_equal(dtc_inspect(to, bytes, NULL), DTC_ERROR_ARGUMENT);
        assert_int_equal(dtc_decode(NULL, 10, to, bytes, NULL, scratch, sizeof scratch), DTC_ERROR_ARGUMENT);
        assert_int_equal(dtc_decode(decoded, 10, NULL, bytes, NULL, scratch, sizeof scratch), DTC_ERROR_ARGUMENT);
        assert_int_equal(dtc_decode(decoded, 9, to, bytes, NULL, scratch, sizeof scratch), DTC_ERROR_COUNT);
        assert_int_equal(dtc_decode(decoded, 11, to, bytes, NULL, scratch, sizeof scratch), DTC_ERROR_COUNT);
        assert_int_equal(dtc_decode(decoded, 0, to, bytes, NULL, scratch, sizeof scratch), DTC_ERROR_COUNT);
        assert_int_equal(dtc_decode(decoded, SIZE_MAX, to, bytes, NULL, scratch, sizeof scratch), DTC_ERROR_COUNT);
        assert_int_equal(dtc_decode_add(decoded, 10, NAN, to, bytes, NULL, scratch, sizeof scratch),
                         DTC_ERROR_ARGUMENT);
        assert_int_equal(dtc_decode_add(decoded, 10, INFINITY, to, bytes, NULL, scratch, sizeof scratch),
                         DTC_ERROR_ARGUMENT);
        assert_int_equal(dtc_decode_add(NULL, 10, 1, to, bytes, NULL, scratch, sizeof scratch), DTC_ERROR_ARGUMENT);
        assert_true(all_bytes_are(decoded, sizeof decoded, 0));
    }
    for (s = DTC_CIRCULANT + 1; s < 100; s += 17) {
        dtc_spec none;
        memset(&none, 0, sizeof none);
        none.codec = (dtc_codec)s;
        bytes = 99;
        assert_int_equal(dtc_encode(&none, to, 1000, &bytes, values, 10, scratch, sizeof scratch), DTC_ERROR_CODEC);
        assert_int_equal(bytes, 0);
    }
    assert_int_equal(dtc_encode_bound(NULL, 10), 0);
    assert_int_equal(dtc_encode_scratch(NULL, 10), 0);
}

/* What no encoder writes, in the head and in what the payload begins with. */
static void test_damage(void **state) {
    static const char raw[] = "raw:checksum=0", fields[] = "quant:bits=3,entropy=none,min=-3,max=4,checksum=0";
    static const char even[] = "quant:bits=3,grid=even,entropy=none,checksum=0";
    static const char ternary[] = "ternary:pack=base3,scale=1,checksum=0";
    /* rows at 12, block at 16, workers at 20, terms at 22 */
    static const char shaped[] = "ternary:pack=base3,rows=2,block=5,workers=4,checksum=0";
    static const struct {
        const char *spec;
        size_t at;
        unsigned char byte;
        dtc_status status;
    } damages[] = {
        {raw, 0, 0xd6, DTC_ERROR_MAGIC},        {raw, 1, 0x10, DTC_ERROR_WIRE_VERSION},
        {raw, 1, 0xf0, DTC_ERROR_WIRE_VERSION}, {raw, 1, 0x0f, DTC_ERROR_CODEC},
        {raw, 1, 0x06, DTC_ERROR_CODEC},        {raw, 2, 0x20, DTC_ERROR_HEAD},
        {raw, 2, 0x80, DTC_ERROR_HEAD},         {raw, 3, 0x03, DTC_ERROR_HEAD},
        {raw, 4, 0x0b, DTC_ERROR_SIZE},         {raw, 7, 0x40, DTC_ERROR_LIMIT},
        {raw, 7, 0xff, DTC_ERROR_LIMIT},        {raw, 8, 0x01, DTC_ERROR_SIZE},
        {raw, 11, 0xff, DTC_ERROR_TRUNCATED},   {ternary, 3, 6, DTC_ERROR_HEAD},
        {ternary, 15, 0xff, DTC_ERROR_PAYLOAD}, /* an infinite scale */
        {ternary, 16, 243, DTC_ERROR_PAYLOAD},  {shaped, 12, 0, DTC_ERROR_HEAD},
        {shaped, 12, 3, DTC_ERROR_HEAD},        {shaped, 15, 1, DTC_ERROR_HEAD},
        {shaped, 16, 0, DTC_ERROR_HEAD},        {shaped, 16, 10, DTC_ERROR_HEAD},
        {shaped, 19, 0xff, DTC_ERROR_HEAD},     {shaped, 20, 0, DTC_ERROR_HEAD},
        {shaped, 20, 1, DTC_ERROR_HEAD},        {shaped, 22, 0, DTC_ERROR_HEAD},
        {shaped, 22, 5, DTC_ERROR_HEAD},        {shaped, 23, 1, DTC_ERROR_HEAD},
        {fields, 15, 0xff, DTC_ERROR_PAYLOAD}, /* an infinite step */
        {fields, 19, 0x7f, DTC_ERROR_PAYLOAD}, /* the first bin is beyond 2^24 steps */
        {fields, 19, 0x80, DTC_ERROR_PAYLOAD},  {fields, 23, 0xff, DTC_ERROR_PAYLOAD}, /* padding */
        {even, 15, 0xff, DTC_ERROR_PAYLOAD},                                           /* an infinite offset */
        {even, 15, 0x7e, DTC_ERROR_PAYLOAD}, /* an offset beyond 2^28 halves of a bin */
    };
    float values[10] = {1, 2, 3, -1};
    size_t i;
    (void)state;
    for (i = 0; i < LENGTH(damages); i++) {
        packet made = encode(damages[i].spec, values, 10);
        guarded decoded = guarded_new(sizeof values, 0);
        dtc_info info = inspect(&made);
        dtc_status status, inspected;
        assert_int_not_equal(made.bytes[damages[i].at], damages[i].byte);
        made.bytes[damages[i].at] = damages[i].byte;
        status = watched_decode(&decoded, 10, made.bytes, made.size, NULL, 0);
        CHECK(status == damages[i].status, "%s, byte %zu: %s", damages[i].spec, damages[i].at,
              dtc_status_string(status));
        inspected = dtc_inspect(made.bytes, made.size, &info);
        assert_int_equal(inspected, status == DTC_ERROR_PAYLOAD ? DTC_OK : status);
        guarded_free(&decoded);
        free(made.bytes);
    }
}

/* Whether a packet with a residual has other digits or scales than one without. */
static int fits_scales(const dtc_spec *spec) {
    if (spec->codec == DTC_TERNARY) return !(spec->ternary.scale > 0);
    return spec->codec == DTC_QUANT && !spec->quant.min_given && !spec->quant.max_given && spec->quant.rotate;
}

static double square_of(const float *values, size_t count) {
    double sum = 0;
    size_t i;
    for (i = 0; i < count; i++) sum += (double)values[i] * (double)values[i];
    return sum;
}

/* Error feedback: the packet is that of values + residual, but for scales that are fitted, which make the error no
 * larger than the values; and the residual is what the receiver lacks, to the bit. */
static void test_residual(void **state) {
    static const size_t counts[] = {0, 1, 255, 5000};
    size_t s, c, i;
    (void)state;
    for (s = 0; s < LENGTH(specs); s++) {
        for (c = 0; c < LENGTH(counts); c++) {
            size_t count = counts[c], bytes, room, need;
            dtc_spec spec = spec_for(specs[s], count), same;
            float *values = values_of(GAUSSIAN, count), *x = floats(count), *left = floats(count), *decoded;
            guarded residual = guarded_new(4 * count, 0);
            unsigned char *to, *scratch;
            packet made;
            fill((float *)(void *)residual.p, count, noise_laplace, 0, 5);
            for (i = 0; i < count; i++) x[i] = values[i] + ((float *)(void *)residual.p)[i];
            same = spec;
            if (spec.codec == DTC_QUANT && !spec.quant.min_given && !spec.quant.max_given &&
                spec.quant.rounding != DTC_ROUNDING_RD)
                same.quant.rounding = DTC_ROUNDING_NEAREST; /* as it is with a residual */
            made = encode_spec(&same, x, count);
            room = dtc_encode_bound(&spec, count);
            need = dtc_encode_scratch(&spec, count);
            to = (unsigned char *)memory(room);
            scratch = (unsigned char *)memory(need);
            assert_int_equal(
                dtc_encode_residual(&spec, to, room, &bytes, values, (float *)(void *)residual.p, count, scratch, need),
                DTC_OK);
            if (spec.codec == DTC_TERNARY && !(spec.ternary.scale > 0)) /* digits of their own, and so another size */
                made.bytes = (unsigned char *)realloc(made.bytes, bytes), made.size = bytes;
            CHECK(bytes == made.size, "%s, %zu values", specs[s], count);
            CHECK(fits_scales(&spec) || memcmp(to, made.bytes, bytes) == 0, "%s, %zu values", specs[s], count);
            memcpy(made.bytes, to, bytes);
            decoded = decode(&made);
            for (i = 0; i < count; i++) left[i] = x[i] - decoded[i];
            CHECK(memcmp(residual.p, left, 4 * count) == 0, "%s, %zu values", specs[s], count);
            CHECK(!fits_scales(&spec) || square_of(left, count) <= 1.00001 * square_of(x, count), "%s, %zu values",
                  specs[s], count);
            assert_true(guarded_intact(&residual, 4 * count));
            /* too small a capacity leaves the residual alone */
            assert_int_equal(dtc_encode_residual(&spec, to, made.size / 2, &bytes, values, (float *)(void *)residual.p,
                                                 count, scratch, need),
                             DTC_ERROR_CAPACITY);
            CHECK(memcmp(residual.p, left, 4 * count) == 0, "%s, %zu values", specs[s], count);
            free(scratch);
            free(to);
            free(decoded);
            free(made.bytes);
            guarded_free(&residual);
            free(left);
            free(x);
            free(values);
        }
    }
}

/* The residual of a constant gradient does not grow without bound, whatever the count: random rounding alone is no
 * contraction, and made it grow a thousandfold and more. The bounds are four times what was measured. */
static void test_bounded(void **state) {
    static const struct {
        const char *spec;
        double most; /* |residual|^2 / |gradient|^2 */
    } cases[] = {
        {"ternary", 25},
        {"ternary:block=512", 20},
        {"ternary:block=64", 20},
        {"ternary:clip=1", 100},
        {"quant:bits=2", 4},
        {"quant:bits=4,rounding=stochastic", 0.25},
        {"quant:bits=2,rounding=stochastic", 50},
        {"quant:bits=1,rounding=stochastic", 800},
        {"quant:bits=3,rounding=stochastic,grid=even", 1.2},
        {"quant:bits=2,rounding=stochastic,block=100", 20},
        {"quant:rotate=1,bits=2", 2.2},
        {"quant:rotate=1,bits=1,grid=even", 8.5},
        {"quant:rotate=1,bits=2,rounding=stochastic", 55},
        {"quant", 0.05},
        {"quant:bits=1", 300},
        {"quant:rate=4", 270}, /* here, below 64 values, and below, packets of the largest values alone */
        {"quant:rate=2", 9300},
        {"quant:rotate=1,rate=2", 9300},
        {"quant:max-error=0.5", 1},
        {"sensing", 450},
        {"sensing:ratio=0.5,keep=0.1", 2800},
        {"factor:rank=1", 1e-9},
        {"raw:type=fp16", 1e-6},
    };
    static const size_t counts[] = {1, 2, 3, 10, 64, 128, 640, 5000};
    size_t c, k;
    (void)state;
    for (c = 0; c < LENGTH(cases); c++) {
        for (k = 0; k < LENGTH(counts); k++) {
            size_t count = counts[k], bytes, step;
            dtc_spec spec = spec_for(cases[c].spec, count);
            size_t capacity = dtc_encode_bound(&spec, count), need = dtc_encode_scratch(&spec, count);
            float *gradient = values_of(GAUSSIAN, count), *residual = floats(count);
            void *to = memory(capacity), *scratch = memory(need);
            double worst = 0;
            memset(residual, 0, 4 * count);
            for (step = 1; step <= 300; step++) {
                double now;
                spec.seed = step;
                assert_int_equal(
                    dtc_encode_residual(&spec, to, capacity, &bytes, gradient, residual, count, scratch, need), DTC_OK);
                now = square_of(residual, count) / square_of(gradient, count);
                worst = now > worst ? now : worst;
            }
            CHECK(worst <= cases[c].most, "%s, %zu values: %g", cases[c].spec, count, worst);
            free(scratch);
            free(to);
            free(residual);
            free(gradient);
        }
    }
}

/* After many steps, what was received plus the residual is the true sum, and the residual has not grown with them. */
static void test_feedback(void **state) {
    static const char *const coarse[] = {"ternary",
                                         "ternary:block=50,clip=1",
                                         "quant:bits=1",
                                         "quant:bits=2",
                                         "quant:bits=2,rounding=stochastic",
                                         "quant:rate=1.5,grid=even",
                                         "quant:max-error=0.7",
                                         "raw:type=bf16",
                                         "sensing",
                                         "sensing:ratio=0.5,bits=2",
                                         "sensing:ratio=0.9,bits=1",
                                         "sensing:ratio=0.5,bits=3,keep=0.1"};
    enum { COUNT = 500, STEPS = 200 };
    size_t s, i;
    int step;
    (void)state;
    for (s = 0; s < LENGTH(coarse); s++) {
        static unsigned char to[8192], scratch[1 << 21];
        static double sent[COUNT], received[COUNT];
        static float values[COUNT], residual[COUNT], decoded[COUNT];
        dtc_spec spec = spec_of(coarse[s]);
        memset(sent, 0, sizeof sent);
        memset(received, 0, sizeof received);
        memset(residual, 0, sizeof residual);
        assert_in_range(dtc_encode_scratch(&spec, COUNT), 0, sizeof scratch);
        for (step = 0; step < STEPS; step++) {
            size_t bytes;
            spec.seed = (uint64_t)step;
            fill(values, COUNT, noise_gaussian, 0.2, (uint64_t)step);
            assert_int_equal(
                dtc_encode_residual(&spec, to, sizeof to, &bytes, values, residual, COUNT, scratch, sizeof scratch),
                DTC_OK);
            assert_int_equal(dtc_decode(decoded, COUNT, to, bytes, NULL, scratch, sizeof scratch), DTC_OK);
            for (i = 0; i < COUNT; i++) {
                sent[i] += (double)values[i];
                received[i] += (double)decoded[i];
            }
        }
        for (i = 0; i < COUNT; i++) {
            double off = received[i] + (double)residual[i] - sent[i];
            CHECK(fabs(off) < 1e-3, "%s, value %zu: off by %g", coarse[s], i, off);
            CHECK(fabsf(residual[i]) < 60, "%s, value %zu: residual %g", coarse[s], i, (double)residual[i]);
        }
    }
}

static void test_add(void **state) {
    static const float weights[] = {1, 0, -1, 0.1f, 3e10f, -7e-30f};
    size_t s, w, i;
    (void)state;
    for (s = 0; s < LENGTH(specs); s++) {
        float *values = values_of(GAUSSIAN, 5000), *decoded, *start = floats(5000), *sum = floats(5000);
        packet made = encode(specs[s], values, 5000);
        dtc_info info = inspect(&made);
        unsigned char *scratch = (unsigned char *)memory(info.decode_scratch);
        decoded = decode(&made);
        fill(start, 5000, noise_laplace, 0.1, 3);
        for (w = 0; w < LENGTH(weights); w++) {
            memcpy(sum, start, 4 * 5000);
            assert_int_equal(
                dtc_decode_add(sum, 5000, weights[w], made.bytes, made.size, NULL, scratch, info.decode_scratch),
                DTC_OK);
            for (i = 0; i < 5000; i++) {
                float expected = fmaf(weights[w], decoded[i], start[i]);
                CHECK(float_bits(sum[i]) == float_bits(expected), "%s, weight %g, value %zu", specs[s],
                      (double)weights[w], i);
            }
        }
        memcpy(sum, start, 4 * 5000);
        made.bytes[made.size - 1] ^= 1;
        if (!spec_of(specs[s]).no_checksum) {
            assert_int_equal(dtc_decode_add(sum, 5000, 1, made.bytes, made.size, NULL, scratch, info.decode_scratch),
                             DTC_ERROR_CHECKSUM);
            assert_memory_equal(sum, start, 4 * 5000);
        }
        free(scratch);
        free(made.bytes);
        free(sum);
        free(start);
        free(decoded);
        free(values);
    }
}

static void test_info(void **state) {
    float *values = values_of(GAUSSIAN, 600);
    size_t s;
    (void)state;
    for (s = 0; s < LENGTH(specs); s++) {
        dtc_spec spec = spec_of(specs[s]);
        packet made;
        dtc_info info;
        spec.rows = 20;
        made = encode_spec(&spec, values, 600);
        info = inspect(&made);
        CHECK(info.codec == spec.codec || (info.codec == DTC_RAW && made.size >= 4 * 600), "%s", specs[s]);
        assert_int_equal(info.spec.codec, info.codec);
        assert_int_equal(info.count, 600);
        assert_int_equal(info.rows, 20);
        assert_int_equal(info.columns, 30);
        assert_int_equal(info.spec.rows, 20);
        assert_int_equal(info.workers, spec.workers ? spec.workers : 1);
        assert_int_equal(info.spec.workers, spec.workers > 1 ? spec.workers : 0);
        assert_int_equal(info.terms, 1);
        assert_int_equal(info.seed, has_seed(&info.spec) ? spec.seed : 0);
        assert_int_equal(info.spec.quant.rotate, info.codec == DTC_QUANT ? spec.quant.rotate : 0);
        assert_int_equal(info.spec.no_checksum, spec.no_checksum);
        assert_int_equal(info.spec.block, has_blocks(info.codec) && spec.block < 600 ? spec.block : 0);
        if (info.codec == DTC_RAW)
            assert_int_equal(info.spec.raw.type, spec.codec == DTC_RAW ? spec.raw.type : DTC_TYPE_FP32);
        if (info.codec == DTC_SENSING) {
            float ratio = spec.sensing.ratio > 0 ? spec.sensing.ratio : 0.25f;
            assert_true(fabsf(info.spec.sensing.ratio - ratio) < 0.5f / (float)(spec.block ? spec.block : 1024));
            assert_int_equal(info.spec.sensing.bits, spec.sensing.bits ? spec.sensing.bits : 4);
        }
        if (info.codec == DTC_QUANT && spec.quant.bits) assert_int_equal(info.spec.quant.bits, spec.quant.bits);
        if (info.codec == DTC_QUANT && spec.quant.bits != 1) assert_int_equal(info.spec.quant.grid, spec.quant.grid);
        free(made.bytes);
    }
    free(values);
}

static void test_status_strings(void **state) {
    static const dtc_status all[] = {DTC_OK,
                                     DTC_ERROR_ARGUMENT,
                                     DTC_ERROR_SPEC,
                                     DTC_ERROR_COUNT,
                                     DTC_ERROR_SPEC_CODEC,
                                     DTC_ERROR_SPEC_KEY,
                                     DTC_ERROR_SPEC_VALUE,
                                     DTC_ERROR_CAPACITY,
                                     DTC_ERROR_SCRATCH,
                                     DTC_ERROR_TRUNCATED,
                                     DTC_ERROR_MAGIC,
                                     DTC_ERROR_HEAD,
                                     DTC_ERROR_SIZE,
                                     DTC_ERROR_CHECKSUM,
                                     DTC_ERROR_PAYLOAD,
                                     DTC_ERROR_WIRE_VERSION,
                                     DTC_ERROR_CODEC,
                                     DTC_ERROR_NONFINITE,
                                     DTC_ERROR_LIMIT,
                                     DTC_ERROR_INCOMPATIBLE};
    size_t i, j;
    (void)state;
    for (i = 0; i < LENGTH(all); i++)
        for (j = 0; j < i; j++) assert_string_not_equal(dtc_status_string(all[i]), dtc_status_string(all[j]));
    assert_string_equal(dtc_status_string((dtc_status)9), "unknown status");
}

/* A report agrees with what decoding gives, under every codec. */
static void test_report(void **state) {
    static const char *const reported[] = {"raw",
                                           "raw:type=bf16",
                                           "ternary",
                                           "quant",
                                           "quant:bits=2",
                                           "quant:rate=.05",
                                           "quant:rotate=1,bits=3",
                                           "sensing:ratio=.5",
                                           "factor:rows=50,rank=2",
                                           "circulant:rows=50"};
    size_t s, i;
    (void)state;
    for (s = 0; s < LENGTH(reported); s++) {
        float *values = drawn(2500, noise_laplace, 0.1, s), *decoded;
        packet made = encode(reported[s], values, 2500);
        dtc_info info = inspect(&made);
        double error = 0, norm = 0, most = 0, reach = 0;
        size_t erased = 0, nonzeros = 0;
        dtc_report report;
        assert_int_equal(dtc_packet_report(&report, values, 2500, made.bytes, made.size, workspace(info.decode_scratch),
                                           info.decode_scratch),
                         DTC_OK);
        decoded = decode(&made);
        for (i = 0; i < 2500; i++) {
            double e = fabs((double)values[i] - (double)decoded[i]);
            error += e * e;
            norm += (double)values[i] * (double)values[i];
            most = e > most ? e : most;
            reach = fabs((double)decoded[i]) > reach ? fabs((double)decoded[i]) : reach;
            nonzeros += float_bits(values[i]) << 1 != 0;
            erased += float_bits(values[i]) << 1 != 0 && float_bits(decoded[i]) << 1 == 0;
        }
        CHECK(fabs(report.nmse - error / norm) <= 1e-12 && fabs(report.max_error - most) <= 0, "%s", reported[s]);
        CHECK(report.codec == info.codec && report.erased == erased && report.nonzeros == nonzeros &&
                  report.largest_decoded >= reach && report.largest_decoded <= reach,
              "%s", reported[s]);
        CHECK(fabs(report.bits - 8.0 * (double)made.size / 2500) < 1e-12, "%s", reported[s]);
        CHECK(report.cosine <= 1 + 1e-12 && report.cosine >= (report.nmse < 0.9 ? 0.3 : 0), "%s: %g", reported[s],
              report.cosine);
        made.bytes[made.size - 1] ^= 1;
        assert_int_equal(dtc_packet_report(&report, values, 2500, made.bytes, made.size, workspace(info.decode_scratch),
                                           info.decode_scratch),
                         DTC_ERROR_CHECKSUM);
        assert_true(report.nonzeros == 0 && report.bits <= 0);
        free(decoded);
        free(made.bytes);
        free(values);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_report),     cmocka_unit_test(test_counts),
        cmocka_unit_test(test_large),      cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_small),      cmocka_unit_test(test_capacity),
        cmocka_unit_test(test_scratch),    cmocka_unit_test(test_cut_and_extended),
        cmocka_unit_test(test_flips),      cmocka_unit_test(test_nonfinite),
        cmocka_unit_test(test_misaligned), cmocka_unit_test(test_concatenated),
        cmocka_unit_test(test_arguments),  cmocka_unit_test(test_damage),
        cmocka_unit_test(test_residual),   cmocka_unit_test(test_bounded),
        cmocka_unit_test(test_feedback),   cmocka_unit_test(test_add),
        cmocka_unit_test(test_info),       cmocka_unit_test(test_status_strings),
    };
    return cmocka_run_group_tests_name("packet", tests, NULL, NULL);
}
