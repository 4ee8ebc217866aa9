/* What the codecs stand on, from inside: bit streams, plane-ordered fields, checksum, logarithm, random numbers. */
/* Turns the processor's features on and off for the code under test. */
static int processor_is_asked = 1;
#define DTCI_CPU_HAS(feature) (processor_is_asked && __builtin_cpu_supports(feature))
#define DTC_STATIC
#include "helpers.h"

static void test_streams(void **state) {
    static unsigned char bytes[40000];
    static uint32_t fields[4000];
    static unsigned widths[4000];
    uint64_t seed = 1;
    size_t n, i, bits;
    (void)state;
    for (n = 0; n < 4000; n += 1 + n / 3) {
        dtci_bit_writer w;
        dtci_bit_reader r;
        dtci_bits_begin(&w, bytes, sizeof bytes);
        for (i = bits = 0; i < n; i++) {
            widths[i] = (unsigned)(noise_u64(&seed) % 33);
            fields[i] = (uint32_t)(noise_u64(&seed) & (((uint64_t)1 << widths[i]) - 1));
            dtci_bits_append(&w, fields[i], widths[i]);
            bits += widths[i];
        }
        dtci_bits_close(&w);
        assert_int_equal(w.p - bytes, (bits + 7) / 8);
        dtci_bits_start(&r, bytes, (bits + 7) / 8);
        for (i = 0; i < n; i++) {
            dtci_bits_refill(&r);
            assert_int_equal(dtci_bits_read(&r, widths[i]), fields[i]);
        }
        assert_true(dtci_bits_done(&r));
        dtci_bits_start(&r, bytes, (bits + 7) / 8 + 1); /* a byte too many is noticed */
        for (i = 0; i < n; i++) {
            dtci_bits_refill(&r);
            (void)dtci_bits_read(&r, widths[i]);
        }
        assert_false(dtci_bits_done(&r));
    }
}

/* Bit `bit` of field e of n, by the wire format's words. */
static unsigned field_bit(const unsigned char *bytes, size_t e, size_t n, unsigned bits, unsigned bit) {
    size_t group = e / 256, at = 32 * bits * group, plane;
    unsigned part, shift = 0;
    if (n - 256 * group < 256) {
        size_t place = (e % 256) * bits + bit;
        return (unsigned)bytes[at + place / 8] >> place % 8 & 1;
    }
    e %= 256;
    for (;; shift += part) {
        part = bits - shift >= 8 ? 8 : bits - shift >= 4 ? 4 : bits - shift >= 2 ? 2 : 1;
        plane = 32 * (size_t)part;
        if (bit < shift + part) return (unsigned)bytes[at + e % plane] >> (e / plane * part + bit - shift) & 1;
        at += plane;
    }
}

static void test_fields(void **state) {
    uint64_t seed = 2;
    unsigned bits, bit;
    size_t n, i, first;
    (void)state;
    for (bits = 1; bits <= 24; bits++) {
        for (n = 0; n <= 600; n++) {
            size_t size = dtci_fields_bytes(n, bits);
            guarded bytes = guarded_new(size, 0);
            uint32_t fields[600], back[600];
            for (i = 0; i < n; i++) fields[i] = (uint32_t)noise_u64(&seed) & ((1u << bits) - 1);
            for (first = 0; first < n; first += 256) {
                size_t m = n - first < 256 ? n - first : 256;
                dtci_fields_pack(bytes.p, fields + first, first, m, bits);
                dtci_fields_unpack(back + first, bytes.p, first, m, bits);
            }
            assert_memory_equal(back, fields, n * sizeof *fields);
            assert_true(guarded_intact(&bytes, size));
            if (n % 256 && (n % 256) * bits % 8) assert_int_equal(bytes.p[size - 1] >> (n % 256) * bits % 8, 0);
            for (i = n % 16; i < n; i += 16)
                for (bit = 0; bit < bits; bit++)
                    assert_int_equal(field_bit(bytes.p, i, n, bits, bit), fields[i] >> bit & 1);
            guarded_free(&bytes);
        }
    }
}

static uint32_t crc_by_bits(const unsigned char *p, size_t bytes) {
    uint32_t crc = 0xffffffffu;
    unsigned bit;
    for (; bytes; p++, bytes--) {
        crc ^= *p;
        for (bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return ~crc;
}

static void test_checksum(void **state) {
    static unsigned char bytes[60000];
    uint64_t seed = 3;
    size_t i, k, off;
    (void)state;
    for (i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char)noise_u64(&seed);
    for (k = 0; k < 2; k++) { /* by the table, and by the instruction */
        processor_is_asked = (int)k;
        assert_int_equal(dtci_crc32c((const unsigned char *)"123456789", 9), 0xe3069283u);
        assert_int_equal(dtci_crc32c(bytes, 0), 0);
        for (i = 0; i <= 280; i++)
            for (off = 0; off < 9; off++) assert_int_equal(dtci_crc32c(bytes + off, i), crc_by_bits(bytes + off, i));
        for (i = 0; i < 20; i++) { /* three streams of 8 KiB once, twice */
            assert_int_equal(dtci_crc32c(bytes + i, 24570 + i), crc_by_bits(bytes + i, 24570 + i));
            assert_int_equal(dtci_crc32c(bytes + i, 49145 + i), crc_by_bits(bytes + i, 49145 + i));
        }
    }
}

static void test_logarithm(void **state) {
    uint64_t seed = 4;
    uint32_t x;
    int i;
    (void)state;
    for (i = 0; i < 32; i++) assert_int_equal(dtci_log2(1u << i), (uint32_t)i << 16);
    for (x = 1; x < 100000; x++) assert_true(fabs(dtci_log2(x) / 65536.0 - log2(x)) < 1.1 / 65536);
    for (i = 0; i < 100000; i++) {
        x = (uint32_t)noise_u64(&seed) | 1;
        assert_true(fabs(dtci_log2(x) / 65536.0 - log2(x)) < 1.1 / 65536);
    }
}

static void test_rounding_to_float(void **state) {
    uint64_t seed = 5;
    int i;
    (void)state;
    for (i = 0; i < 100000; i++) {
        double x = ldexp(noise_uniform(&seed), (int)(noise_u64(&seed) % 280) - 150);
        float up = dtci_float_up(x), down = dtci_float_down(x);
        if (x > (double)FLT_MAX) continue;
        assert_true((double)up >= x && (double)down <= x);
        assert_true(nextafterf(down, INFINITY) == up || down == up);
        assert_true(down < up || (double)up == x);
    }
}

/* Pearson's statistic of `buckets` equally likely counts; its expectation is buckets - 1, its variance twice that. */
static double chi_square(const uint32_t *counts, size_t buckets) {
    double expected = 0, sum = 0;
    size_t i;
    for (i = 0; i < buckets; i++) expected += counts[i] / (double)buckets;
    for (i = 0; i < buckets; i++) sum += (counts[i] - expected) * (counts[i] - expected) / expected;
    return sum;
}

/* The seeds are fixed: this either holds or does not, and six sigma leave room for neither luck nor bias. */
static void check_chi_square(const char *what, uint64_t of, const uint32_t *counts, size_t buckets) {
    double free = (double)buckets - 1, off = (chi_square(counts, buckets) - free) / sqrt(2 * free);
    CHECK(fabs(off) < 6, "%s %llu: %.1f sigma", what, (unsigned long long)of, off);
}

static const uint64_t seeds[] = {0, 1, 2, 3, 255, 65536, 0xffffffffu, 0x100000000u, 0x8000000000000000u, UINT64_MAX};

static void test_random_uniform(void **state) {
    size_t s;
    (void)state;
    for (s = 0; s < LENGTH(seeds); s++) {
        dtci_random random = dtci_random_of(seeds[s]);
        static uint32_t high[4096], low[4096], top[24];
        double sum = 0;
        uint32_t i;
        memset(high, 0, sizeof high);
        memset(low, 0, sizeof low);
        memset(top, 0, sizeof top);
        for (i = 0; i < MEBI; i++) {
            uint32_t x = dtci_random_at(&random, i);
            high[x >> 20]++;
            low[x & 4095]++;
            sum += x;
        }
        check_chi_square("high bits of seed", seeds[s], high, 4096);
        check_chi_square("low bits of seed", seeds[s], low, 4096);
        assert_true(fabs(sum / (double)MEBI / 4294967296.0 - 0.5) < 6 / sqrt(12.0 * (double)MEBI));
    }
}

/* Pairs of numbers that may be akin: neighbours, strides of rows, one index under neighbouring seeds. */
static void check_pairs(const char *what, uint64_t seed_a, uint64_t seed_b, uint32_t lag) {
    dtci_random a = dtci_random_of(seed_a), b = dtci_random_of(seed_b);
    static uint32_t joint[4096];
    uint32_t i;
    memset(joint, 0, sizeof joint);
    for (i = 0; i < 1 << 18; i++) joint[dtci_random_at(&a, i) >> 26 << 6 | dtci_random_at(&b, i + lag) >> 26]++;
    check_chi_square(what, seed_a, joint, 4096);
}

static void test_random_independent(void **state) {
    static const uint32_t lags[] = {1, 2, 3, 4, 8, 16, 256, 784, 1024, 65536};
    size_t s, l;
    unsigned bit;
    (void)state;
    for (s = 0; s < LENGTH(seeds); s++)
        for (l = 0; l < LENGTH(lags); l++) check_pairs("lags of seed", seeds[s], seeds[s], lags[l]);
    for (bit = 0; bit < 64; bit++) check_pairs("a bit more than seed", 12345, 12345 ^ (uint64_t)1 << bit, 0);
    for (s = 0; s < 30; s++) {
        check_pairs("seed and its successor", s, s + 1, 0);
        check_pairs("seed and its successor, shifted", s, s + 1, 1);
    }
}

/* Sums over many seeds at one index, as error feedback over many steps sees them. */
static void test_random_over_seeds(void **state) {
    static uint32_t counts[1024];
    uint32_t index;
    uint64_t seed;
    (void)state;
    for (index = 0; index < 1000000; index += 99999) {
        memset(counts, 0, sizeof counts);
        for (seed = 0; seed < 1 << 17; seed++) {
            dtci_random random = dtci_random_of(seed);
            counts[dtci_random_at(&random, index) >> 22]++;
        }
        check_chi_square("seeds at index", index, counts, 1024);
    }
}

/* Fields of every width add up, where sums have room: apart and in place, plain and by what the processor has. */
static void test_fields_sum(void **state) {
    unsigned bits;
    (void)state;
    for (bits = 1; bits <= 24; bits++) {
        uint32_t a[600], b[600], sum[256];
        unsigned char packed_a[1800], packed_b[1800], packed[1800];
        uint64_t seed = bits;
        size_t i, at;
        for (i = 0; i < 600; i++) {
            a[i] = (uint32_t)(noise_u64(&seed) >> (64 - bits));
            b[i] = (uint32_t)(noise_u64(&seed) % (((uint64_t)1 << bits) - a[i]));
        }
        for (at = 0; at < 600; at += 256) {
            dtci_fields_pack(packed_a, a + at, at, 600 - at < 256 ? 600 - at : 256, bits);
            dtci_fields_pack(packed_b, b + at, at, 600 - at < 256 ? 600 - at : 256, bits);
        }
        for (int way = 0; way < 4; way++) {
            processor_is_asked = way & 1;
            memcpy(packed, packed_a, sizeof packed);
            dtci_fields_add_all(packed, way & 2 ? packed : packed_a, packed_b, 600, bits, NULL);
            for (at = 0; at < 600; at += 256) {
                size_t n = 600 - at < 256 ? 600 - at : 256;
                dtci_fields_unpack(sum, packed, at, n, bits);
                for (i = 0; i < n; i++)
                    CHECK(sum[i] == a[at + i] + b[at + i], "%u bits, field %zu, way %d", bits, at + i, way);
            }
        }
    }
}

/* Fields are sound if none is above the largest that they may be and their padding is zero. */
static void test_fields_sound(void **state) {
    static const size_t places[] = {0, 31, 130, 255, 256, 300, 511, 512, 598, 599};
    uint64_t seed = 9;
    unsigned bits;
    (void)state;
    for (bits = 1; bits <= 24; bits++) {
        for (int turn = 0; turn < 40; turn++) {
            uint32_t all = ((uint32_t)1 << bits) - 1, fields[600];
            uint32_t largest = turn == 0 ? all : turn == 1 ? 0 : (uint32_t)noise_u64(&seed) & all;
            size_t size = dtci_fields_bytes(600, bits), i, at, place = places[turn % 10];
            unsigned char packed[1800];
            for (i = 0; i < 600; i++) fields[i] = (uint32_t)(noise_u64(&seed) % ((uint64_t)largest + 1));
            fields[(place + 77) % 600] = largest;
            for (int above = 0; above < 2; above++) {
                if (above && largest == all) continue;
                if (above) fields[place] = largest + 1 + (uint32_t)(noise_u64(&seed) % (all - largest));
                for (at = 0; at < 600; at += 256)
                    dtci_fields_pack(packed, fields + at, at, 600 - at < 256 ? 600 - at : 256, bits);
                for (processor_is_asked = 0; processor_is_asked < 2; processor_is_asked++)
                    CHECK(dtci_fields_valid(packed, 600, bits, largest) == !above, "%u bits, %u, field %zu", bits,
                          (unsigned)largest, place);
                processor_is_asked = 1;
            }
            if (88 * bits % 8 == 0) continue; /* 88 fields are left after the last group */
            packed[size - 1] |= 0x80;
            assert_false(dtci_fields_valid(packed, 600, bits, largest));
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streams),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_fields_sum),
        cmocka_unit_test(test_fields_sound),
        cmocka_unit_test(test_checksum),
        cmocka_unit_test(test_logarithm),
        cmocka_unit_test(test_rounding_to_float),
        cmocka_unit_test(test_random_uniform),
        cmocka_unit_test(test_random_independent),
        cmocka_unit_test(test_random_over_seeds),
    };
    return cmocka_run_group_tests_name("bits", tests, NULL, NULL);
}
