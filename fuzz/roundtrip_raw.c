/* raw: fp32 is the same bits, bf16 and fp16 are the nearest, and NaN and infinities stay what they are. */

#include "fuzz.h"

enum { COUNT_MAX = 600 };

static void check_value(dtc_type type, float x, float decoded) {
    double magnitude = fabs((double)x), error = fabs((double)x - (double)decoded), largest, half_step;
    if (type == DTC_TYPE_FP32) {
        REQUIRE(fuzz_bits(x) == fuzz_bits(decoded));
    } else if (!fuzz_finite(x)) {
        REQUIRE(x != x ? decoded != decoded : x == decoded);
    } else {
        int exponent, lowest = type == DTC_TYPE_BF16 ? -125 : -13, digits = type == DTC_TYPE_BF16 ? 8 : 11;
        frexp(magnitude, &exponent);
        largest = type == DTC_TYPE_BF16 ? ldexp(255, 120) : 65504;
        half_step = ldexp(0.5, (exponent > lowest ? exponent : lowest) - digits);
        REQUIRE(fuzz_finite(decoded) && signbit(decoded) == signbit(x));
        REQUIRE(magnitude > largest ? fabs((double)decoded) == largest : error <= half_step);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static float values[COUNT_MAX], decoded[COUNT_MAX];
    struct fuzz_input input;
    unsigned options;
    size_t count, i;
    dtc_spec spec;
    dtc_info info;
    input.data = data;
    input.size = size;
    options = fuzz_byte(&input);
    memset(&spec, 0, sizeof spec);
    spec.codec = DTC_RAW;
    spec.raw.type = (dtc_type)(options % 3);
    spec.no_checksum = options >> 2 & 1;
    spec.workers = options >> 3 & 3;
    spec.rows = options >> 5;
    spec.block = options;
    count = fuzz_values(&input, values, COUNT_MAX);
    if (fuzz_roundtrip(&spec, values, count, decoded, &info))
        for (i = 0; i < count; i++) check_value(spec.raw.type, values[i], decoded[i]);
    return 0;
}
