/* SIMD twins give the same bits as the plain C next to them, on all short lengths and alignments. The tests are skipped
 * where there is nothing to compare: the processor has no AVX2, or all of this program is compiled for AVX2. */
/* Turns the processor's features on and off for the code under test. */
static int processor_is_asked = 1;
#define DTCI_CPU_HAS(feature) (processor_is_asked && __builtin_cpu_supports(feature))
#define DTC_STATIC
#define DTC_NO_SENSING
#define DTC_NO_CIRCULANT
#include "helpers.h"

enum { PLAIN, SIMD };

static void test_scan(void **state) {
    enum { MOST = 600 };
    static const float odd[] = {0.0f, -0.0f, 1e-40f, -1e-40f, FLT_MAX, -FLT_MAX, INFINITY, -INFINITY, NAN};
    unsigned char *room = (unsigned char *)memory(4 * MOST + 32);
    float *values = floats(MOST), *residual = floats(MOST);
    uint64_t seed = 1;
    size_t n, off, i;
    (void)state;
    for (n = 0; n <= MOST; n++) {
        for (off = 0; off < 32; off += n < 140 ? 1 : 5) {
            dtci_source source;
            dtci_stats stats[2];
            int simd;
            fill(values, n, noise_gaussian, 0.1, ++seed);
            fill(residual, n, noise_laplace, 0.1, ++seed);
            for (i = off % 4; i < n; i += 7 + noise_u64(&seed) % 50)
                values[i] = odd[noise_u64(&seed) % (off % 3 ? 4 : LENGTH(odd))];
            memcpy(room + off, values, 4 * n);
            source.values = (const float *)(const void *)(room + off);
            source.residual = off % 2 ? residual : NULL;
            for (simd = PLAIN; simd <= SIMD; simd++) {
                processor_is_asked = simd;
                stats[simd] = dtci_scan(&source, 0, n);
            }
            assert_int_equal(stats[PLAIN].finite, stats[SIMD].finite);
            assert_memory_equal(&stats[PLAIN].min, &stats[SIMD].min, sizeof(float));
            assert_memory_equal(&stats[PLAIN].max, &stats[SIMD].max, sizeof(float));
            if (stats[PLAIN].finite) assert_memory_equal(&stats[PLAIN].squares, &stats[SIMD].squares, sizeof(double));
        }
    }
    free(room);
    free(values);
    free(residual);
}

/* The sums of factor, which are doubles. */
static void test_accumulate(void **state) {
    enum { MOST = 256 };
    double sums[2][MOST];
    unsigned char *room = (unsigned char *)memory(4 * MOST + 32);
    float *values = floats(MOST);
    uint64_t seed = 9;
    size_t n, off, j;
    int simd;
    (void)state;
    for (n = 0; n <= MOST; n++) {
        for (off = 0; off < 32; off += 3) {
            double weight = noise_gaussian(&seed);
            fill(values, n, noise_gaussian, 0.1, ++seed);
            memcpy(room + off, values, 4 * n);
            for (j = 0; j < MOST; j++) sums[PLAIN][j] = sums[SIMD][j] = noise_gaussian(&seed);
            for (simd = PLAIN; simd <= SIMD; simd++) {
                processor_is_asked = simd;
                dtci_factor_accumulate(sums[simd], (const char *)(room + off), weight, n);
            }
            assert_memory_equal(sums[PLAIN], sums[SIMD], sizeof sums[0]);
        }
    }
    free(room);
    free(values);
}

/* A float of any sign and exponent, often with few bits; or zero. */
static float any_float(uint64_t *seed) {
    static const uint32_t masks[] = {0xffffffffu, 0xff800000u, 0xff800001u, 0xfffff000u, 0x80000003u};
    uint32_t bits = (uint32_t)noise_u64(seed) & masks[noise_u64(seed) % LENGTH(masks)];
    float value;
    if (bits << 1 >= 0xff000000u) bits &= 0x80000000u;
    memcpy(&value, &bits, 4);
    return value;
}

/* A float x so that weight * value + x lies halfway between two floats, or close by. */
static float near_half(float weight, float value, uint64_t *seed) {
    double product = (double)weight * (double)value;
    float half = (float)product, x = 1 + (float)(noise_u64(seed) % 999) / 8388608;
    if (isfinite(half)) x = ldexpf(x, 24 + ilogbf(half));
    return isfinite(x) && isfinite(half) ? x : half;
}

/* The sums of dtc_decode_add against the C library's fmaf: random, halfway between floats, denormal, too large, zero.
 */
static void test_add_weighted(void **state) {
    enum { MOST = 256 };
    unsigned char *room[2] = {(unsigned char *)memory(4 * MOST + 32), (unsigned char *)memory(4 * MOST + 32)};
    float *chunk = floats(MOST), *to = floats(MOST);
    uint64_t seed = 12, twice = 0;
    size_t n, i, round;
    int simd;
    (void)state;
    for (n = 0; n <= MOST; n++) {
        for (round = 0; round < 64; round++) {
            size_t off = round % 32;
            float weight = round % 4 ? any_float(&seed) : 1 + 1.0f / 8388608;
            for (i = 0; i < n; i++) {
                chunk[i] = any_float(&seed);
                if (round % 4 == 0) chunk[i] = (1 - 1.0f / 8388608) * ldexpf(1, (int)(noise_u64(&seed) % 250) - 149);
                to[i] = i % 3 || weight == 0 || chunk[i] == 0 ? any_float(&seed) : near_half(weight, chunk[i], &seed);
                if (i % 2) to[i] = -to[i];
                twice += fmaf(weight, chunk[i], to[i]) < (float)((double)weight * (double)chunk[i] + (double)to[i]);
            }
            for (simd = PLAIN; simd <= SIMD; simd++) {
                processor_is_asked = simd;
                memcpy(room[simd] + off, to, 4 * n);
                dtci_floats_add_weighted((char *)room[simd] + off, chunk, weight, n);
            }
            for (i = 0; i < n; i++) to[i] = fmaf(weight, chunk[i], to[i]);
            CHECK(memcmp(room[PLAIN] + off, to, 4 * n) == 0, "plain: %zu values, weight %g", n, (double)weight);
            CHECK(memcmp(room[SIMD] + off, to, 4 * n) == 0, "SIMD: %zu values, weight %g", n, (double)weight);
        }
    }
    assert_true(twice > 1000); /* the sums that two roundings make too large */
    free(room[0]);
    free(room[1]);
    free(chunk);
    free(to);
}

/* Encodes and decodes as dtc_encode_residual, dtc_decode and dtc_decode_add do, into guarded memory. */
typedef struct result {
    guarded packet, residual, decoded, added;
    size_t bytes;
} result;

static result run(int simd, const dtc_spec *spec, const unsigned char *values, const float *residual, size_t n,
                  size_t off) {
    size_t bound = dtc_encode_bound(spec, n), scratch_bytes = dtc_encode_scratch(spec, n);
    const float *from = (const float *)(const void *)values;
    dtc_info info;
    result made;
    processor_is_asked = simd;
    made.packet = guarded_new(bound, off);
    made.residual = guarded_new(4 * n, off);
    made.decoded = guarded_new(4 * n, off);
    made.added = guarded_new(4 * n, off);
    memcpy(made.residual.p, residual, 4 * n);
    memcpy(made.added.p, residual, 4 * n);
    assert_int_equal(dtc_encode_residual(spec, made.packet.p, bound, &made.bytes, from,
                                         (float *)(void *)made.residual.p, n, workspace(scratch_bytes), scratch_bytes),
                     DTC_OK);
    assert_int_equal(dtc_inspect(made.packet.p, made.bytes, &info), DTC_OK);
    assert_int_equal(dtc_decode((float *)(void *)made.decoded.p, n, made.packet.p, made.bytes, NULL,
                                workspace(info.decode_scratch), info.decode_scratch),
                     DTC_OK);
    assert_int_equal(dtc_decode_add((float *)(void *)made.added.p, n, 0.3f, made.packet.p, made.bytes, NULL,
                                    workspace(info.decode_scratch), info.decode_scratch),
                     DTC_OK);
    if (!spec->no_checksum) /* without a residual the values are read where they are */
        assert_int_equal(
            dtc_encode(spec, made.packet.p, bound, &made.bytes, from, n, workspace(scratch_bytes), scratch_bytes),
            DTC_OK);
    assert_true(guarded_intact(&made.packet, bound));
    assert_true(guarded_intact(&made.residual, 4 * n));
    assert_true(guarded_intact(&made.decoded, 4 * n));
    assert_true(guarded_intact(&made.added, 4 * n));
    return made;
}

static void check_same(guarded *a, guarded *b, size_t bytes, const char *what, const char *spec, size_t n, size_t off) {
    CHECK(memcmp(a->p, b->p, bytes) == 0, "%s: %s of %zu values, off by %zu", spec, what, n, off);
    guarded_free(a);
    guarded_free(b);
}

static void check_codec(const char *text, size_t n, size_t off, uint64_t seed) {
    dtc_spec spec = spec_of(text);
    float *values = drawn(n, n % 3 ? noise_gaussian : noise_laplace, n % 5 ? 0 : 0.5, seed);
    float *residual = drawn(n, noise_gaussian, 0, seed + 1);
    guarded from = guarded_new(4 * n, off);
    result plain, simd;
    memcpy(from.p, values, 4 * n);
    spec.seed = seed;
    spec.no_checksum = off % 2;
    plain = run(PLAIN, &spec, from.p, residual, n, off);
    simd = run(SIMD, &spec, from.p, residual, n, off);
    CHECK(plain.bytes == simd.bytes, "%s: %zu values, off by %zu", text, n, off);
    check_same(&plain.packet, &simd.packet, plain.bytes, "packet", text, n, off);
    check_same(&plain.residual, &simd.residual, 4 * n, "residual", text, n, off);
    check_same(&plain.decoded, &simd.decoded, 4 * n, "decoded values", text, n, off);
    check_same(&plain.added, &simd.added, 4 * n, "sum", text, n, off);
    guarded_free(&from);
    free(values);
    free(residual);
}

static void test_codecs(void **state) {
    static const char *const texts[] = {
        "raw",
        "raw:type=bf16",
        "raw:type=fp16",
        "ternary",
        "ternary:pack=base3",
        "ternary:pack=base3,block=300",
        "ternary:pack=base3,workers=200",
        "quant:bits=1,entropy=none",
        "quant:bits=2,entropy=none",
        "quant:bits=3,entropy=none,rounding=stochastic",
        "quant:bits=4,entropy=none,block=257",
        "quant:bits=5,entropy=none,grid=even,rounding=stochastic",
        "quant:bits=7,entropy=none,min=-1,max=2",
        "quant:bits=8,entropy=none",
        "quant:bits=8,entropy=none,grid=even,workers=65535",
        "quant:bits=11,entropy=none",
        "quant:bits=16,entropy=none,workers=256",
        "quant:bits=6",
        "quant:bits=6,grid=even,block=512",
        "quant:bits=4",
        "quant:rate=2",
    };
    static const size_t more[] = {159, 160, 161, 255, 256, 257, 320, 511, 512, 513, 1279, 1280, 1281, 2600, 4099};
    size_t s, n, off;
    (void)state;
    for (s = 0; s < LENGTH(texts); s++) {
        for (n = 0; n <= 130; n++) check_codec(texts[s], n, n % 32, 100 * n);
        for (n = 0; n < LENGTH(more); n++)
            for (off = 0; off < 32; off += n < 12 ? 5 : 1) check_codec(texts[s], more[n], off, 1000 * n + off);
    }
}

/* Fields of 8, 4 and 2 bits and bytes of five digits, which have kernels of their own, on every length up to some
 * blocks. */
static void test_lengths(void **state) {
    static const char *const texts[] = {
        "quant:bits=8,entropy=none,block=1024",
        "quant:bits=4,entropy=none,block=512",
        "quant:bits=2,entropy=none",
        "ternary:pack=base3",
    };
    size_t s, n;
    (void)state;
    for (s = 0; s < LENGTH(texts); s++)
        for (n = 0; n <= 4096; n++) check_codec(texts[s], n, n % 32, n);
}

/* The digit of a value is not 0 if and only if its draw of 24 bits is below |value| / scale * 2^24, also where the two
 * are as near as floats can be: fp32 cannot decide there. */
static void check_close_draws(size_t count, int exponent, int near) {
    float unit = ldexpf(1, exponent - 24), values[3000], decoded[3000];
    dtci_random random = dtci_random_of(5);
    char spec[64];
    packet made;
    size_t i;
    for (i = 0; i < count; i++) {
        int32_t draw = (int32_t)(dtci_random_at(&random, (uint32_t)i) >> 8);
        values[i] = (float)(draw + (i % 3 ? 0 : near)) * (i & 1 ? -unit : unit);
    }
    snprintf(spec, sizeof spec, "ternary:scale=%.9g,seed=5,pack=base3", (double)ldexpf(1, exponent));
    made = encode(spec, values, count);
    decode_into(decoded, &made);
    for (i = 0; i < count; i++) {
        float draw = (float)(dtci_random_at(&random, (uint32_t)i) >> 8);
        assert_true((decoded[i] != 0) == (draw < fabsf(values[i]) / unit));
    }
    free(made.bytes);
}

static void test_close_draws(void **state) {
    static const size_t counts[] = {2, 31, 32, 33, 255, 256, 257, 3000};
    static const int exponents[] = {24, 0, -100, 120};
    size_t c, e;
    int near;
    (void)state;
    for (processor_is_asked = 0; processor_is_asked < 2; processor_is_asked++)
        for (c = 0; c < LENGTH(counts); c++)
            for (e = 0; e < LENGTH(exponents); e++)
                for (near = -2; near <= 2; near++) check_close_draws(counts[c], exponents[e], near);
    processor_is_asked = 1;
}

/* Makes values that fp32 could put into the wrong bin: each is next to a border between bins of width 1, and the range
 * is -top / 2 .. top / 2, so that the step of `top` + 1 bins is 1. */
static void fill_borders(float *values, size_t n, uint32_t top, uint64_t *seed) {
    size_t i;
    for (i = 0; i < n; i++) {
        float border = (float)(noise_u64(seed) % top) - (float)(top / 2) + 0.5f;
        uint64_t kind = noise_u64(seed) % 4;
        values[i] = kind == 0 ? border : kind == 1 ? nextafterf(border, 1e9f) : nextafterf(border, -1e9f);
        if (i % 256 > 1 && n % 3 == 0) values[i] = 0; /* one border is enough to make a group unsure */
    }
    for (i = 0; i + 1 < n; i += 256) {
        values[i] = -(float)(top / 2);
        values[i + 1] = (float)top - (float)(top / 2);
    }
}

/* Values at the borders of bins, and blocks that change how later or earlier blocks must be coded. */
static void test_borders(void **state) {
    static const unsigned bits[] = {8, 4, 2};
    enum { COUNT = 3072 };
    float *values = floats(COUNT), *zeros = floats(COUNT);
    uint64_t seed = 3;
    size_t b, n, kind;
    (void)state;
    memset(zeros, 0, sizeof *zeros * COUNT);
    for (b = 0; b < LENGTH(bits); b++) {
        for (n = COUNT - 3; n <= COUNT; n++) {
            for (kind = 0; kind < 6; kind++) {
                uint32_t top = (1u << bits[b]) - 1;
                guarded from = guarded_new(4 * n, kind);
                result plain, simd;
                dtc_spec spec;
                char text[64];
                size_t i;
                snprintf(text, sizeof text, "quant:bits=%u,entropy=none,block=1024%s", bits[b],
                         kind == 5 ? ",min=-0.5,max=1" : "");
                spec = spec_of(text);
                fill_borders(values, n, top, &seed);
                for (i = 0; i < n; i++) { /* the second or third block needs grid=even, has outliers, or is constant */
                    if (kind == 1 && i >= 1024 && i < 2048) values[i] += 3e7f;
                    if (kind == 2 && i == 2500) values[i] = 1e30f;
                    if (kind == 3 && i >= 2048) values[i] = -0.0f;
                    if (kind == 4) values[i] *= 1e-41f;
                }
                memcpy(from.p, values, 4 * n);
                plain = run(PLAIN, &spec, from.p, zeros, n, kind);
                simd = run(SIMD, &spec, from.p, zeros, n, kind);
                CHECK(plain.bytes == simd.bytes, "%s: kind %zu", text, kind);
                check_same(&plain.packet, &simd.packet, plain.bytes, "packet", text, n, kind);
                check_same(&plain.residual, &simd.residual, 4 * n, "residual", text, n, kind);
                check_same(&plain.decoded, &simd.decoded, 4 * n, "decoded values", text, n, kind);
                check_same(&plain.added, &simd.added, 4 * n, "sum", text, n, kind);
                guarded_free(&from);
            }
        }
    }
    free(values);
    free(zeros);
}

/* A value that is not finite is found in every place, although the twin looks at sums of squares alone. */
static void test_nonfinite(void **state) {
    static const float odd[] = {INFINITY, -INFINITY, NAN};
    enum { COUNT = 2300 };
    dtc_spec spec = spec_of("quant:bits=8,entropy=none,block=1024");
    size_t bound = dtc_encode_bound(&spec, COUNT), scratch_bytes = dtc_encode_scratch(&spec, COUNT), bytes, i;
    unsigned char *room = (unsigned char *)memory(bound);
    float *values = drawn(COUNT, noise_gaussian, 0, 9);
    (void)state;
    processor_is_asked = SIMD;
    for (i = 0; i < COUNT; i++) {
        float kept = values[i];
        values[i] = odd[i % LENGTH(odd)];
        assert_int_equal(dtc_encode(&spec, room, bound, &bytes, values, COUNT, workspace(scratch_bytes), scratch_bytes),
                         DTC_ERROR_NONFINITE);
        values[i] = kept * 1e30f; /* its square is not finite, but it is */
        assert_int_equal(dtc_encode(&spec, room, bound, &bytes, values, COUNT, workspace(scratch_bytes), scratch_bytes),
                         DTC_OK);
        values[i] = kept;
    }
    free(room);
    free(values);
}

/* Scales at which a sum of many, or a multiple, leaves a float's range, is denormal, or negative. */
static void test_scales(void **state) {
    static const char *const texts[] = {
        "ternary:scale=3e38,workers=9,pack=base3",
        "ternary:scale=1e-44,pack=base3",
        "quant:bits=4,entropy=none,min=-3e38,max=3e38,workers=3",
        "quant:bits=4,entropy=none,min=-3e38,max=3e38,workers=3,grid=even",
        "quant:bits=8,entropy=none,min=-1e-42,max=1e-42",
        "quant:bits=8,entropy=none,min=-1,max=1",
        "quant:bits=8,entropy=none,min=16000,max=16001",
        "quant:bits=16,entropy=none,min=-100,max=1,workers=256",
    };
    enum { COUNT = 700 };
    float *values = drawn(COUNT, noise_gaussian, 0.1, 7);
    size_t s, i;
    (void)state;
    for (s = 0; s < LENGTH(texts); s++) {
        packet made = encode(texts[s], values, COUNT), sum = made;
        float *decoded[2] = {floats(COUNT), floats(COUNT)};
        int simd, turn;
        dtc_info info = inspect(&made);
        sum.bytes = (unsigned char *)memory(made.size);
        memcpy(sum.bytes, made.bytes, made.size);
        for (turn = 0; turn < 2; turn++) {
            for (i = 1; i < info.workers && i < 9 && !turn; i++)
                assert_int_equal(dtc_packet_add(sum.bytes, sum.size, &sum.size, sum.bytes, sum.size, made.bytes,
                                                made.size, workspace(100000), 100000),
                                 DTC_OK);
            for (simd = PLAIN; simd <= SIMD; simd++) {
                processor_is_asked = simd;
                decode_into(decoded[simd], &sum);
            }
            CHECK(memcmp(decoded[PLAIN], decoded[SIMD], 4 * COUNT) == 0, "%s", texts[s]);
            for (i = 0; i < COUNT; i++) assert_true(isfinite(decoded[SIMD][i]));
            assert_int_equal(dtc_packet_scale(sum.bytes, sum.size, -0.25f), DTC_OK);
        }
        free(made.bytes);
        free(sum.bytes);
        free(decoded[0]);
        free(decoded[1]);
    }
    free(values);
}

/* Sums of three packets under every packing, their multiples and their decoded values are the same. */
static void test_sums(void **state) {
    static const char *const texts[] = {
        "raw:workers=3",
        "raw:type=bf16,workers=3",
        "raw:type=fp16,workers=3",
        "ternary:scale=0.5,workers=3",
        "ternary:scale=0.5,workers=9",
        "ternary:scale=0.5,workers=3,pack=base3",
        "ternary:scale=0.5,workers=40,pack=base3,block=300",
        "quant:bits=1,min=-1,max=1,workers=3,entropy=none",
        "quant:bits=3,min=-1,max=1,workers=3,entropy=none,block=100",
        "quant:bits=8,min=-1,max=1,workers=16,entropy=none",
        "quant:bits=4,min=-1,max=1,workers=3",
        "quant:bits=4,min=-1,max=1,workers=3,block=256",
        "quant:bits=5,grid=even,min=-1,max=1,workers=4",
        "quant:rotate=1,bits=4,min=-1,max=1,workers=3,seed=5",
    };
    static const size_t counts[] = {1, 100, 256, 700, 1280, 3000, 20000};
    size_t s, c, room = 4000000;
    (void)state;
    for (s = 0; s < LENGTH(texts); s++) {
        for (c = 0; c < LENGTH(counts); c++) {
            size_t n = counts[c], i;
            float *values = drawn(n, noise_gaussian, 0.3, 10 * s + c), *decoded[2] = {floats(n), floats(n)};
            dtc_spec spec;
            packet sum[2];
            int simd;
            assert_int_equal(dtc_spec_parse(texts[s], &spec, NULL), DTC_OK);
            if (spec.block >= n) spec.block = 0;
            for (simd = PLAIN; simd <= SIMD; simd++) {
                packet made;
                processor_is_asked = simd;
                made = encode_spec(&spec, values, n);
                sum[simd] = made;
                for (i = 0; i < 2; i++) {
                    size_t bound = dtc_packet_add_bound(sum[simd].bytes, sum[simd].size, made.bytes, made.size);
                    packet next;
                    next.bytes = (unsigned char *)memory(bound);
                    assert_int_equal(dtc_packet_add(next.bytes, bound, &next.size, sum[simd].bytes, sum[simd].size,
                                                    made.bytes, made.size, workspace(room), room),
                                     DTC_OK);
                    if (i > 0) free(sum[simd].bytes);
                    sum[simd] = next;
                }
                assert_int_equal(dtc_packet_scale(sum[simd].bytes, sum[simd].size, 1.0f / 3), DTC_OK);
                decode_into(decoded[simd], &sum[simd]);
                free(made.bytes);
            }
            CHECK(sum[PLAIN].size == sum[SIMD].size && !memcmp(sum[PLAIN].bytes, sum[SIMD].bytes, sum[SIMD].size) &&
                      !memcmp(decoded[PLAIN], decoded[SIMD], 4 * n),
                  "%s, %zu values", texts[s], n);
            for (simd = PLAIN; simd <= SIMD; simd++) {
                free(sum[simd].bytes);
                free(decoded[simd]);
            }
            free(values);
        }
    }
}

/* Why there is nothing to compare, or NULL. */
static const char *without_twins(void) {
#if !defined(__x86_64__)
    return "only x86-64 has twins";
#elif defined(__AVX2__)
    return "compiled for AVX2, without twins";
#else
    return __builtin_cpu_supports("avx2") ? NULL : "the processor has no AVX2";
#endif
}

int main(void) {
    const char *reason = without_twins();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scan),        cmocka_unit_test(test_accumulate), cmocka_unit_test(test_add_weighted),
        cmocka_unit_test(test_codecs),      cmocka_unit_test(test_lengths),    cmocka_unit_test(test_borders),
        cmocka_unit_test(test_close_draws), cmocka_unit_test(test_nonfinite),  cmocka_unit_test(test_scales),
        cmocka_unit_test(test_sums),
    };
    if (reason) {
        printf("1..%d\n", (int)LENGTH(tests));
        for (size_t i = 0; i < LENGTH(tests); i++) printf("ok %d - %s # SKIP %s\n", (int)i + 1, tests[i].name, reason);
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
