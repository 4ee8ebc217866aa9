/* Faults that were found once, each by a packet or a call built by hand. */
#include "damage.h"

#define SCRATCH_ROOM (8 * MEBI)

/* ---- packets built by hand */

typedef struct writer {
    unsigned char bytes[4096];
    size_t size;
} writer;

static void put(writer *w, uint64_t value, size_t bytes) {
    assert_true(w->size + bytes <= sizeof w->bytes);
    put_bytes(w->bytes + w->size, value, bytes);
    w->size += bytes;
}

/* A head without rows, block or seed; workers 1 are not written. */
static void put_head(writer *w, unsigned codec, unsigned variant, size_t count, size_t packet_bytes,
                     unsigned workers_terms) {
    put(w, 0xd7, 1);
    put(w, codec, 1);
    put(w, workers_terms ? 8 : 0, 1);
    put(w, variant, 1);
    put(w, count, 4);
    put(w, packet_bytes, 4);
    if (workers_terms) put(w, workers_terms, 4);
}

#define WORKERS(workers, terms) ((unsigned)(workers) | (unsigned)(terms) << 16)

/* In memory of its very size. */
static packet packet_of(const writer *w) {
    packet made;
    made.size = w->size;
    made.bytes = (unsigned char *)memory(w->size);
    memcpy(made.bytes, w->bytes, w->size);
    return made;
}

static packet copy_of(const packet *from) {
    packet made;
    made.size = from->size;
    made.bytes = (unsigned char *)memory(from->size);
    memcpy(made.bytes, from->bytes, from->size);
    return made;
}

static packet constant_packet(const char *text, float value, size_t count) {
    float *values = floats(count);
    packet made;
    size_t i;
    for (i = 0; i < count; i++) values[i] = value;
    made = encode(text, values, count);
    free(values);
    return made;
}

/* ---- calls, whose outputs are watched */

static dtc_status decode_status(const packet *p) {
    float values[1024];
    dtc_info info;
    size_t count = dtc_inspect(p->bytes, p->size, &info) == DTC_OK ? info.count : 0;
    dtc_status status;
    assert_true(count <= LENGTH(values));
    values[0] = 77;
    status = dtc_decode(values, count, p->bytes, p->size, NULL, workspace(info.decode_scratch), info.decode_scratch);
    if (status != DTC_OK) assert_float_equal(values[0], 77, 0);
    return status;
}

/* A sum that comes out decodes. It goes to *sum, if that is wanted, which the caller frees. */
static dtc_status add_status(const packet *a, const packet *b, packet *sum) {
    size_t bound = dtc_packet_add_bound(a->bytes, a->size, b->bytes, b->size);
    size_t need = dtc_packet_add_scratch(a->bytes, a->size, b->bytes, b->size);
    size_t capacity = bound > a->size ? bound : a->size, bytes = 1;
    unsigned char *room;
    packet made;
    dtc_status status;
    assert_true(capacity <= MEBI);
    if (need < SCRATCH_ROOM) need = SCRATCH_ROOM;
    room = (unsigned char *)memory(capacity);
    status = dtc_packet_add(room, capacity, &bytes, a->bytes, a->size, b->bytes, b->size, workspace(need), need);
    assert_int_equal(status == DTC_OK, bytes > 0);
    made.bytes = room;
    made.size = bytes;
    if (status == DTC_OK) assert_int_equal(decode_status(&made), DTC_OK);
    if (sum && status == DTC_OK)
        *sum = made;
    else
        free(room);
    return status;
}

/* A multiple that comes out decodes; a packet that is refused is left as it was. */
static dtc_status scale_status(const packet *p, float weight) {
    packet scaled = copy_of(p);
    dtc_status status = dtc_packet_scale(scaled.bytes, scaled.size, weight);
    if (status != DTC_OK) assert_memory_equal(scaled.bytes, p->bytes, p->size);
    if (status == DTC_OK) assert_int_equal(decode_status(&scaled), DTC_OK);
    free(scaled.bytes);
    return status;
}

/* A packet with damage in its payload is refused for that by decoding, and by adding on either side of a sound one or
 * to itself. */
static void check_refused(const packet *bad, const packet *good, const char *what) {
    dtc_status status = decode_status(bad);
    CHECK(status == DTC_ERROR_PAYLOAD, "%s: decoding: %s", what, dtc_status_string(status));
    status = add_status(bad, bad, NULL);
    CHECK(status == DTC_ERROR_PAYLOAD, "%s: (bad, bad): %s", what, dtc_status_string(status));
    status = add_status(bad, good, NULL);
    CHECK(status == DTC_ERROR_PAYLOAD, "%s: (bad, good): %s", what, dtc_status_string(status));
    status = add_status(good, bad, NULL);
    CHECK(status == DTC_ERROR_PAYLOAD, "%s: (good, bad): %s", what, dtc_status_string(status));
}

static void check_scale_refused(const packet *bad, const char *what) {
    dtc_status status = scale_status(bad, 0.5f);
    CHECK(status == DTC_ERROR_PAYLOAD, "%s: scaling: %s", what, dtc_status_string(status));
}

/* ---- claims of nested packets */

/* A sensing packet of 256 values in 52 bytes. Its nested packet claims 2^26 measurements, of which a quant packet holds
 * any number as constants, and at least the head of tokens. */
static packet claiming(unsigned coding) {
    writer w;
    w.size = 0;
    put_head(&w, DTC_SENSING, 0, 256, 52, WORKERS(2, 1));
    w.bytes[2] |= 16;
    put(&w, 5, 8);   /* seed */
    put(&w, 128, 4); /* measurements */
    put_head(&w, DTC_QUANT, 3 | coding << 5, (size_t)1 << 26, 24, WORKERS(2, 1));
    put(&w, 0x3f800000, 4);
    put(&w, 0, 4);
    assert_int_equal(w.size, 52);
    return packet_of(&w);
}

static void test_nested_claim(void **state) {
    packet constant = claiming(2);
    size_t bound = dtc_packet_add_bound(constant.bytes, 52, constant.bytes, 52);
    size_t need = dtc_packet_add_scratch(constant.bytes, 52, constant.bytes, 52);
    (void)state;
    assert_int_equal(decode_status(&constant), DTC_ERROR_PAYLOAD);
    CHECK(bound <= 64 + 8 * 256, "%zu bytes for the sum", bound);
    CHECK(need <= 4 * MEBI, "%zu bytes of scratch", need);
    assert_int_equal(add_status(&constant, &constant, NULL), DTC_ERROR_PAYLOAD);
    free(constant.bytes);
}

/* ---- quant: grids, padding, fields */

static void test_quant_grids(void **state) {
    static const char *const specs[] = {"quant:bits=4,min=-1,max=1,workers=2,entropy=none,checksum=0",
                                        "quant:bits=4,min=-1,max=1,workers=2,entropy=none"};
    float *values = drawn(5, noise_gaussian, 0, 1);
    size_t s;
    (void)state;
    for (s = 0; s < LENGTH(specs); s++) {
        packet good = encode(specs[s], values, 5), bad = copy_of(&good);
        size_t grid = 16, last = good.size - (s ? 5 : 1);
        assert_int_equal(good.bytes[3], 3); /* 4 bits, grid zero, fields */
        put_bytes(bad.bytes + grid, 0x7fc00000, 4);
        repair_checksum(bad.bytes, bad.size);
        check_refused(&bad, &good, "a step of NaN");
        check_scale_refused(&bad, "a step of NaN");
        memcpy(bad.bytes, good.bytes, good.size);
        put_bytes(bad.bytes + grid + 4, 0x80000000, 4);
        repair_checksum(bad.bytes, bad.size);
        check_refused(&bad, &good, "lowest out of range");
        check_scale_refused(&bad, "lowest out of range");
        memcpy(bad.bytes, good.bytes, good.size);
        bad.bytes[last] |= 0x80; /* 5 fields of 5 bits */
        repair_checksum(bad.bytes, bad.size);
        check_refused(&bad, &good, "padding bits");
        check_scale_refused(&bad, "padding bits");
        free(bad.bytes);
        free(good.bytes);
    }
    free(values);
}

/* Of one term, fields are below 2^bits, though there is room for more. */
static void test_quant_fields(void **state) {
    unsigned coding, terms;
    (void)state;
    for (coding = 0; coding <= 3; coding += 3) {
        for (terms = 1; terms <= 2; terms++) {
            writer w;
            packet good, bad;
            w.size = 0;
            put_head(&w, DTC_QUANT, 3 | coding << 5, 4, 16 + 8 + 3, WORKERS(4, terms));
            put(&w, 0x3f800000, 4); /* step */
            put(&w, 0, 4);          /* lowest */
            put(&w, 15 * terms, 3); /* four fields of the 6 bits that hold 4 * 15 */
            good = packet_of(&w);
            bad = copy_of(&good);
            assert_int_equal(decode_status(&good), DTC_OK);
            assert_int_equal(add_status(&good, &good, NULL), DTC_OK);
            bad.bytes[24]++;
            check_refused(&bad, &good, coding ? "wide fields" : "fields");
            free(bad.bytes);
            free(good.bytes);
        }
    }
}

/* Bins count from the least `lowest` of all blocks, fields from their own block's. A bin below that of its block would
 * be a negative field. */
static void test_quant_tokens_of_blocks(void **state) {
    static const char *const specs[] = {"quant:bits=4,block=64,checksum=0",
                                        "quant:bits=4,block=64,workers=2,checksum=0"};
    float values[128];
    size_t s, i;
    (void)state;
    for (i = 0; i < 128; i++) values[i] = i % 8 ? (i < 64 ? 0.0f : 1.0f) : (float)(i / 8 % 8);
    values[0] = -8, values[1] = 7, values[64] = 0, values[65] = 15;
    for (s = 0; s < LENGTH(specs); s++) {
        packet good = encode(specs[s], values, 128), bad = copy_of(&good);
        size_t grids = 12 + 4 + 4 * s;
        assert_int_equal(good.bytes[3], 0x23); /* 4 bits, grid zero, tokens */
        assert_int_equal(get32(good.bytes + grids + 4), 0xfffffff8u);
        assert_int_equal(get32(good.bytes + grids + 12), 0);
        bad.bytes[grids + 12] = 1;
        CHECK(decode_status(&bad) == DTC_ERROR_PAYLOAD, "%s: a bin below its block's lowest", specs[s]);
        if (s) check_refused(&bad, &good, "a bin below its block's lowest");
        memcpy(bad.bytes, good.bytes, good.size);
        put_bytes(bad.bytes + grids + 12, 0xffffffffu, 4); /* 15 above it is one field too many */
        CHECK(decode_status(&bad) == DTC_ERROR_PAYLOAD, "%s: a bin above its block's highest", specs[s]);
        if (s) check_refused(&bad, &good, "a bin above its block's highest");
        free(bad.bytes);
        free(good.bytes);
    }
}

/* ---- ternary: padding, digits */

static void test_ternary_fields(void **state) {
    unsigned variant, terms;
    (void)state;
    for (variant = 2; variant <= 5; variant += 3) {
        for (terms = variant == 2 ? 1 : 2; terms <= 3; terms++) {
            writer w;
            packet good, bad;
            w.size = 0;
            put_head(&w, DTC_TERNARY, variant, 3, 16 + 4 + 2, WORKERS(7, terms));
            put(&w, 0x3f800000, 4);                        /* scale */
            put(&w, 0x111 * terms - terms + 2 * terms, 2); /* three digits of the 4 bits that hold 14 */
            good = packet_of(&w);
            bad = copy_of(&good);
            assert_int_equal(decode_status(&good), DTC_OK);
            assert_int_equal(add_status(&good, &good, NULL), DTC_OK);
            bad.bytes[21] |= 0x10;
            check_refused(&bad, &good, "padding bits");
            memcpy(bad.bytes, good.bytes, good.size);
            bad.bytes[20]++;
            check_refused(&bad, &good, "a digit above 2 * terms");
            free(bad.bytes);
            free(good.bytes);
        }
    }
}

/* ---- sums and multiples that leave the range of their type */

static void check_overflow(const packet *p, float weight, dtc_codec codec) {
    assert_int_equal(inspect(p).codec, codec);
    assert_int_equal(decode_status(p), DTC_OK);
    assert_int_equal(scale_status(p, 0.5f), DTC_OK);
    assert_int_equal(scale_status(p, weight), DTC_ERROR_NONFINITE);
    assert_int_equal(scale_status(p, -weight), DTC_ERROR_NONFINITE);
}

static void test_factor_scale(void **state) {
    float values[64];
    packet made;
    size_t i;
    (void)state;
    for (i = 0; i < 64; i++) values[i] = (float)((i / 8 + 1) * (i % 8 + 1));
    made = encode("factor:rank=1,rows=8", values, 64);
    check_overflow(&made, 1e38f, DTC_FACTOR);
    free(made.bytes);
}

static void test_circulant_scale(void **state) {
    packet made = constant_packet("circulant:rows=8", 1e38f, 64);
    (void)state;
    check_overflow(&made, 10, DTC_CIRCULANT);
    free(made.bytes);
    made = constant_packet("circulant:rows=8,value=bf16", 1e38f, 64);
    check_overflow(&made, 10, DTC_CIRCULANT);
    free(made.bytes);
}

/* Vectors in fp16 reach 65504, raw or nested. */
static void test_circulant_scale_fp16(void **state) {
    packet made = constant_packet("circulant:rows=8,value=fp16", 6e4f, 64);
    (void)state;
    check_overflow(&made, 2, DTC_CIRCULANT);
    free(made.bytes);
}

/* Of four values of 3e38 among sixteen, this seed's measurements are sums that reach 3e38. */
static void test_sensing_range(void **state) {
    float values[16] = {0};
    packet made;
    (void)state;
    values[2] = values[5] = values[6] = values[11] = 3e38f;
    made = encode("sensing:bits=32,ratio=0.5,workers=2,seed=3", values, 16);
    check_overflow(&made, 10, DTC_SENSING);
    assert_int_equal(add_status(&made, &made, NULL), DTC_ERROR_NONFINITE);
    free(made.bytes);
}

static void test_raw_range(void **state) {
    static const struct {
        const char *spec;
        float large;
    } cases[] = {{"raw:workers=2", 3e38f}, {"raw:type=bf16,workers=2", 3e38f}, {"raw:type=fp16,workers=2", 6e4f}};
    size_t c;
    (void)state;
    for (c = 0; c < LENGTH(cases); c++) {
        packet large = constant_packet(cases[c].spec, cases[c].large, 5);
        packet minus = constant_packet(cases[c].spec, -cases[c].large, 5);
        check_overflow(&large, 2, DTC_RAW);
        CHECK(add_status(&large, &large, NULL) == DTC_ERROR_NONFINITE, "%s", cases[c].spec);
        CHECK(add_status(&minus, &minus, NULL) == DTC_ERROR_NONFINITE, "%s", cases[c].spec);
        assert_int_equal(add_status(&large, &minus, NULL), DTC_OK);
        free(minus.bytes);
        free(large.bytes);
    }
}

/* Raw carries NaN and infinity, and so do its sums and multiples. */
static void test_raw_nonfinite(void **state) {
    static const char *const specs[] = {"raw:workers=2", "raw:type=bf16,workers=2", "raw:type=fp16,workers=2"};
    size_t s;
    (void)state;
    for (s = 0; s < LENGTH(specs); s++) {
        const float values[4] = {INFINITY, -INFINITY, NAN, 2};
        packet made = encode(specs[s], values, 4), one = constant_packet(specs[s], 1, 4), sum;
        float decoded[4];
        assert_int_equal(add_status(&made, &one, &sum), DTC_OK);
        decode_into(decoded, &sum);
        assert_true(isinf(decoded[0]) && decoded[0] > 0 && isinf(decoded[1]) && decoded[1] < 0 && isnan(decoded[2]));
        assert_float_equal(decoded[3], 3, 0);
        assert_int_equal(dtc_packet_scale(made.bytes, made.size, -2), DTC_OK);
        decode_into(decoded, &made);
        assert_true(isinf(decoded[0]) && decoded[0] < 0 && isinf(decoded[1]) && decoded[1] > 0 && isnan(decoded[2]));
        assert_float_equal(decoded[3], -4, 0);
        free(sum.bytes);
        free(one.bytes);
        free(made.bytes);
    }
}

/* The largest number of fp16 is 65504: two workers' 30000 add, the third's do not. */
static void test_fp16_steps(void **state) {
    packet one = constant_packet("raw:type=fp16,workers=4", 30000, 3), two;
    float decoded[3];
    (void)state;
    assert_int_equal(add_status(&one, &one, &two), DTC_OK);
    decode_into(decoded, &two);
    assert_float_equal(decoded[2], 60000, 0);
    assert_int_equal(add_status(&two, &one, NULL), DTC_ERROR_NONFINITE);
    assert_int_equal(add_status(&two, &two, NULL), DTC_ERROR_NONFINITE);
    free(two.bytes);
    free(one.bytes);
}

/* ---- even grids of denormal halves */

static packet even_packet(uint32_t offset, uint32_t half) {
    writer w;
    w.size = 0;
    put_head(&w, DTC_QUANT, 0x50, 8, 20, 0); /* 1 bit, grid even, constant */
    put(&w, offset, 4);
    put(&w, half, 4);
    return packet_of(&w);
}

/* Every reader's status, with the processor's control word set, where there is one. */
static void check_flushing(const packet *made, unsigned control) {
    float values[8] = {0}, x[8] = {1, 1, 1, 1, 1, 1, 1, 1}, y[8] = {0};
    dtc_status decoded, added, product, transposed, scaled;
    packet copy = copy_of(made);
    size_t need = 4096;
    unsigned char *scratch = workspace(need);
#if defined(__GNUC__) && defined(__SSE2__)
    unsigned before = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(before | control);
#endif
    decoded = dtc_decode(values, 8, made->bytes, made->size, NULL, scratch, need);
    added = dtc_decode_add(values, 8, 1, made->bytes, made->size, NULL, scratch, need);
    product = dtc_packet_matvec(y, made->bytes, made->size, x, 0, scratch, need);
    transposed = dtc_packet_matvec(y, made->bytes, made->size, x, 1, scratch, need);
    scaled = dtc_packet_scale(copy.bytes, copy.size, 2);
#if defined(__GNUC__) && defined(__SSE2__)
    __builtin_ia32_ldmxcsr(before);
#endif
    CHECK(decoded == DTC_ERROR_PAYLOAD, "control %x: %s", control, dtc_status_string(decoded));
    CHECK(added == DTC_ERROR_PAYLOAD, "control %x: %s", control, dtc_status_string(added));
    CHECK(product == DTC_ERROR_PAYLOAD, "control %x: %s", control, dtc_status_string(product));
    CHECK(transposed == DTC_ERROR_PAYLOAD, "control %x: %s", control, dtc_status_string(transposed));
    CHECK(scaled == DTC_ERROR_PAYLOAD, "control %x: %s", control, dtc_status_string(scaled));
    assert_memory_equal(copy.bytes, made->bytes, made->size);
    free(copy.bytes);
}

#define FLUSH_TO_ZERO     0x8000u
#define DENORMALS_AS_ZERO 0x0040u

/* |offset| is above 2^28 |half|, though half is denormal. A processor that takes it for 0 must not take the packet for
 * one of a constant. */
static void test_denormal_half(void **state) {
    packet made = even_packet(0x3f800000, 0x000116c2);
    (void)state;
    check_flushing(&made, 0);
    check_flushing(&made, FLUSH_TO_ZERO);
    check_flushing(&made, DENORMALS_AS_ZERO);
    check_flushing(&made, FLUSH_TO_ZERO | DENORMALS_AS_ZERO);
    free(made.bytes);
}

/* offset = 2^28 half is the most there may be. A multiple that rounds half down, to the least denormal, would have
 * more; it is refused, or else decodes. */
static void test_rounded_half(void **state) {
    packet made = even_packet(float_bits(0x1p-72f), float_bits(0x1p-100f));
    (void)state;
    assert_int_equal(decode_status(&made), DTC_OK);
    (void)scale_status(&made, 1.25f * 0x1p-49f);
    free(made.bytes);
}

/* ---- what encoding asks for */

static const char *const specs[] = {
    "raw",
    "raw:type=bf16",
    "raw:workers=3",
    "ternary",
    "ternary:pack=base3",
    "ternary:block=64",
    "ternary:scale=3,workers=9",
    "ternary:scale=3,workers=9,pack=base3,checksum=0",
    "ternary:pack=base3,block=1000",
    "quant",
    "quant:floor=2,probe=6,sample=0.5",
    "quant:bits=1",
    "quant:bits=4",
    "quant:bits=16",
    "quant:bits=8,entropy=none",
    "quant:bits=5,entropy=none",
    "quant:bits=4,grid=even",
    "quant:bits=3,block=64",
    "quant:bits=3,block=1000,grid=even,entropy=none",
    "quant:bits=16,block=256",
    "quant:bits=4,workers=6",
    "quant:bits=4,workers=6,entropy=none",
    "quant:bits=12,min=-1,max=1,workers=255",
    "quant:min=-2",
    "quant:rate=3",
    "quant:rate=0.5,block=1000",
    "quant:max-error=0.01",
    "quant:max-error=0.01,grid=even,rounding=stochastic,workers=2",
    "quant:rotate=1",
    "quant:rotate=1,bits=4",
    "quant:rotate=1,bits=14",
    "quant:rotate=1,bits=3,entropy=none,block=100",
    "quant:rotate=1,bits=3,block=4096",
    "quant:rotate=1,rate=2",
    "quant:rotate=1,rate=2,block=1000",
    "quant:rotate=1,bits=4,grid=even,workers=3,entropy=none,min=-1,max=1",
    "factor:rows=1",
    "factor:rank=1,rows=1,value=bf16",
    "factor:rank=300,rows=1,value=8",
    "circulant:rows=1",
    "circulant:rows=1,block=7,value=bf16",
    "circulant:rows=1,block=1000,value=4",
    "sensing",
    "sensing:ratio=1,bits=3,block=256",
    "sensing:ratio=0.1,bits=32",
    "sensing:ratio=0.7,bits=2,block=4096,workers=3",
    "sensing:ratio=0.3,bits=16,scale=4",
    "sensing:ratio=0.2,bits=3,keep=0.03",
};

static void test_small_scratch(void **state) {
    static const size_t counts[] = {0, 1, 4};
    size_t s, c, wrong = 0;
    (void)state;
    for (s = 0; s < LENGTH(specs); s++) {
        dtc_spec spec = spec_of(specs[s]);
        for (c = 0; c < LENGTH(counts); c++) {
            size_t need = dtc_encode_scratch(&spec, counts[c]);
            if (need <= (spec.codec == DTC_SENSING ? 65536 : 16384)) continue; /* sensing has a decoder's tables */
            print_error("%s, %zu values: %zu bytes of scratch\n", specs[s], counts[c], need);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

/* All counts to 5000, then those about powers of two and multiples of blocks. */
static size_t next_count(size_t count) {
    static const size_t steps[] = {4096, 1000};
    size_t best = 5000, s;
    if (count < 5000) return count + 1;
    best = count + 4096;
    for (s = 0; s < LENGTH(steps); s++) {
        size_t about = count / steps[s] * steps[s], k;
        for (k = 0; k < 2; k++, about += steps[s]) {
            size_t from = about - 2, to = about + 2;
            if (count + 1 >= from && count + 1 <= to && count + 1 < best) best = count + 1;
            if (from > count && from < best) best = from;
        }
    }
    return best;
}

/* How often what encoding asks for shrinks as the count grows, or depends on the seed. Counts are multiples of rows. */
static size_t unsteady(const char *text) {
    dtc_spec spec = spec_of(text), seeded = spec;
    size_t bound = 0, scratch = 0, shrinks = 0, seeds = 0, count = 0;
    seeded.seed = 0x123456789abcdef0u;
    while (count <= 70000) {
        size_t to_bound = dtc_encode_bound(&spec, count), to_scratch = dtc_encode_scratch(&spec, count);
        size_t other_bound = dtc_encode_bound(&seeded, count), other_scratch = dtc_encode_scratch(&seeded, count);
        assert_true(to_bound > 0);
        if ((to_bound < bound || to_scratch < scratch) && !shrinks++)
            print_error("%s, %zu values: bound %zu after %zu, scratch %zu after %zu\n", text, count, to_bound, bound,
                        to_scratch, scratch);
        if ((to_bound != other_bound || to_scratch != other_scratch) && !seeds++)
            print_error("%s, %zu values: with a seed bound %zu, not %zu, scratch %zu, not %zu\n", text, count,
                        other_bound, to_bound, other_scratch, to_scratch);
        bound = to_bound;
        scratch = to_scratch;
        count = spec.rows > 1 ? count + spec.rows : next_count(count);
    }
    return shrinks + seeds;
}

/* Buffers for a count do for any smaller one, whatever the seed. */
static void test_growing_needs(void **state) {
    static const char *const matrices[] = {"factor:rows=8",
                                           "factor:rank=1,rows=64,value=4",
                                           "factor:rank=20,rows=64,value=fp16",
                                           "circulant:rows=8",
                                           "circulant:rows=64,value=4",
                                           "circulant:rows=64,block=7,value=bf16",
                                           "quant:rows=8,rotate=1,bits=4",
                                           "ternary:rows=8,block=100"};
    size_t s, wrong = 0;
    (void)state;
    for (s = 0; s < LENGTH(specs); s++) wrong += unsteady(specs[s]);
    for (s = 0; s < LENGTH(matrices); s++) wrong += unsteady(matrices[s]);
    CHECK(wrong == 0, "%zu times", wrong);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nested_claim),    cmocka_unit_test(test_quant_grids),
        cmocka_unit_test(test_quant_fields),    cmocka_unit_test(test_quant_tokens_of_blocks),
        cmocka_unit_test(test_ternary_fields),  cmocka_unit_test(test_factor_scale),
        cmocka_unit_test(test_circulant_scale), cmocka_unit_test(test_circulant_scale_fp16),
        cmocka_unit_test(test_sensing_range),   cmocka_unit_test(test_raw_range),
        cmocka_unit_test(test_raw_nonfinite),   cmocka_unit_test(test_fp16_steps),
        cmocka_unit_test(test_denormal_half),   cmocka_unit_test(test_rounded_half),
        cmocka_unit_test(test_small_scratch),   cmocka_unit_test(test_growing_needs),
    };
    return cmocka_run_group_tests_name("regressions", tests, NULL, NULL);
}
