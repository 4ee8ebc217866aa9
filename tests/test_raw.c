/* raw: what it carries unchanged, and how it rounds to halves. */
#define DTC_STATIC
#define DTC_NO_TERNARY
#define DTC_NO_QUANT
#define DTC_NO_FACTOR
#define DTC_NO_SENSING
#define DTC_NO_CIRCULANT
#include "helpers.h"

static void test_unchanged(void **state) {
    static const uint32_t special[] = {0x00000000u, 0x80000000u, 0x00000001u, 0x807fffffu, 0x7f7fffffu, 0xff7fffffu,
                                       0x7f800000u, 0xff800000u, 0x7fc00000u, 0xffc12345u, 0x7f800001u, 0x7fbfffffu};
    float values[1000], *back;
    uint64_t seed = 1;
    size_t i;
    packet made;
    (void)state;
    for (i = 0; i < 1000; i++) {
        uint32_t bits = i < LENGTH(special) ? special[i] : (uint32_t)noise_u64(&seed);
        memcpy(&values[i], &bits, 4);
    }
    made = encode("raw", values, 1000);
    back = decode(&made);
    assert_memory_equal(back, values, sizeof values);
    assert_int_equal(made.size, 16 + sizeof values);
    for (i = 0; i < 1000; i++) assert_int_equal(get32(made.bytes + 12 + 4 * i), float_bits(values[i]));
    free(back);
    free(made.bytes);
}

/* A kind of half: fields of the exponent and the mantissa. */
typedef struct half_format {
    const char *spec;
    unsigned exponent_bits, mantissa_bits;
    uint32_t (*from_float)(float);
    float (*to_float)(uint32_t);
} half_format;

static uint32_t fp16_from_float(float x) {
    return dtci_fp16_from_float(x);
}

static float fp16_to_float(uint32_t half) {
    return dtci_fp16_to_float(half);
}

static uint32_t bf16_from_float(float x) {
    return dtci_bf16_from_float(x);
}

static float bf16_to_float(uint32_t half) {
    return dtci_bf16_to_float(half);
}

static const half_format formats[] = {
    {"raw:type=fp16", 5, 10, fp16_from_float, fp16_to_float},
    {"raw:type=bf16", 8, 7, bf16_from_float, bf16_to_float},
};

/* The value of a half by its definition; NaN and infinities apart. */
static double half_value(const half_format *format, uint32_t half) {
    unsigned m = format->mantissa_bits;
    int exponent = (int)(half >> m & ((1u << format->exponent_bits) - 1)),
        bias = (1 << (format->exponent_bits - 1)) - 1;
    double mantissa = half & ((1u << m) - 1);
    double value =
        exponent ? ldexp(mantissa + (double)(1u << m), exponent - bias - (int)m) : ldexp(mantissa, 1 - bias - (int)m);
    return half >> 15 ? -value : value;
}

static uint32_t half_infinity(const half_format *format) {
    return ((1u << format->exponent_bits) - 1) << format->mantissa_bits;
}

static void test_halves(void **state) {
    size_t f;
    (void)state;
    for (f = 0; f < LENGTH(formats); f++) {
        const half_format *format = &formats[f];
        uint32_t infinity = half_infinity(format), half;
        for (half = 0; half < 65536; half++) {
            float value = format->to_float(half);
            uint32_t back = format->from_float(value);
            if ((half & 0x7fff) > infinity) { /* NaN stays NaN, of the same sign */
                assert_true((float_bits(value) & 0x7fffffffu) > 0x7f800000u);
                assert_true((back & 0x7fff) > infinity && back >> 15 == half >> 15);
                continue;
            }
            assert_int_equal(back, half);
            if ((half & 0x7fff) == infinity)
                assert_int_equal(float_bits(value), (half >> 15) << 31 | 0x7f800000u);
            else
                assert_int_equal(float_bits(value), float_bits((float)half_value(format, half)));
        }
    }
}

/* The nearest half, of two equally near ones the even; the finite do not become infinite. */
static uint32_t nearest_half(const half_format *format, float x) {
    double magnitude = fabs((double)x), below, above;
    uint32_t low = 0, high = half_infinity(format) - 1;
    uint32_t sign = float_bits(x) >> 31 << 15;
    if (magnitude >= half_value(format, high)) return sign | high;
    while (high - low > 1) { /* halves ascend with their values */
        uint32_t middle = (low + high) / 2;
        *(half_value(format, middle) <= magnitude ? &low : &high) = middle;
    }
    below = magnitude - half_value(format, low);
    above = half_value(format, high) - magnitude;
    return sign | (below < above || (below == above && low % 2 == 0) ? low : high);
}

static void check_rounding(const half_format *format, float x) {
    CHECK(format->from_float(x) == nearest_half(format, x), "%s of %.9g: %04x, not %04x", format->spec, (double)x,
          (unsigned)format->from_float(x), (unsigned)nearest_half(format, x));
}

static void test_rounding(void **state) {
    uint64_t seed = 2;
    size_t f;
    int i;
    (void)state;
    for (f = 0; f < LENGTH(formats); f++) {
        const half_format *format = &formats[f];
        uint32_t half;
        for (half = 0; half + 1 < half_infinity(format); half++) { /* ties, and what is beside them */
            float tie = (float)((half_value(format, half) + half_value(format, half + 1)) / 2);
            check_rounding(format, tie);
            check_rounding(format, -tie);
            check_rounding(format, nextafterf(tie, 0));
            check_rounding(format, nextafterf(tie, INFINITY));
        }
        for (i = 0; i < 200000; i++) {
            uint32_t bits = (uint32_t)noise_u64(&seed);
            if (i % 2) bits = (bits & 0x83ffffffu) + 0x32000000u; /* near fp16's subnormals */
            if ((bits & 0x7f800000u) != 0x7f800000u) check_rounding(format, float_from_bits(bits));
        }
        check_rounding(format, FLT_MAX);
        check_rounding(format, -FLT_MAX);
        check_rounding(format, 65504.0f);
        check_rounding(format, 65519.996f);
        check_rounding(format, 65520.0f);
        check_rounding(format, FLT_MIN);
        check_rounding(format, float_from_bits(1));
    }
}

/* Packets of halves hold what the conversions give; NaN and infinities, too. */
static void test_half_packets(void **state) {
    float values[1000], *back;
    uint64_t seed = 3;
    size_t f, i;
    (void)state;
    for (i = 0; i < 1000; i++) values[i] = float_from_bits((uint32_t)noise_u64(&seed));
    values[10] = INFINITY;
    values[11] = -INFINITY;
    values[12] = NAN;
    for (f = 0; f < LENGTH(formats); f++) {
        packet made = encode(formats[f].spec, values, 1000);
        assert_int_equal(made.size, 16 + 2000);
        back = decode(&made);
        for (i = 0; i < 1000; i++) {
            uint32_t half = formats[f].from_float(values[i]);
            assert_int_equal(made.bytes[12 + 2 * i] | (unsigned)made.bytes[13 + 2 * i] << 8, half);
            if (isnan(values[i]))
                assert_true(isnan(back[i]));
            else
                assert_int_equal(float_bits(back[i]), float_bits(formats[f].to_float(half)));
        }
        assert_true(isinf(back[10]) && back[10] > 0 && isinf(back[11]) && back[11] < 0);
        free(back);
        free(made.bytes);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unchanged),
        cmocka_unit_test(test_halves),
        cmocka_unit_test(test_rounding),
        cmocka_unit_test(test_half_packets),
    };
    return cmocka_run_group_tests_name("raw", tests, NULL, NULL);
}
