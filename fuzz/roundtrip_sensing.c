/* sensing: by every method what is decoded is finite; where all rows are measured it is the values but for the
 * quantizer's error; and the linear estimate of exact measurements is a projection: nearer to the values than 0 is.
 * With `keep` the packet is that of values whose smaller magnitudes are 0. */

#include "fuzz.h"

enum { COUNT_MAX = 600 };

static double square(const float *x, const float *y, size_t count) {
    double sum = 0;
    size_t i;
    for (i = 0; i < count; i++) sum += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
    return sum;
}

static void check_methods(const dtc_spec *spec, const float *values, size_t count) {
    static float zeros[COUNT_MAX], decoded[COUNT_MAX];
    static unsigned char packet[8 * COUNT_MAX + 100], scratch[1 << 20];
    dtc_decode_options options;
    double whole = square(values, zeros, count);
    size_t bytes, i;
    int method;
    memset(&options, 0, sizeof options);
    REQUIRE(dtc_encode_scratch(spec, count) <= sizeof scratch);
    REQUIRE(dtc_encode(spec, packet, sizeof packet, &bytes, values, count, scratch, sizeof scratch) == DTC_OK);
    options.max_iterations = 5;
    for (method = DTC_METHOD_AUTO; method <= DTC_METHOD_LINEAR; method++) {
        options.method = (dtc_method)method;
        REQUIRE(dtc_decode(decoded, count, packet, bytes, &options, scratch, sizeof scratch) == DTC_OK);
        for (i = 0; i < count; i++) REQUIRE(fuzz_finite(decoded[i]));
    }
    if (spec->sensing.keep > 0 && spec->sensing.keep < 1) return;
    if (whole < 1e-60 || whole > 1e60) return; /* denormals, and bounds, are less exact */
    if (spec->sensing.bits == 32) REQUIRE(square(values, decoded, count) <= 1.0001 * whole);
    if (spec->sensing.bits > 2 && spec->sensing.ratio == 1 && !(spec->sensing.scale > 0))
        REQUIRE(square(values, decoded, count) <= 0.2 * whole);
}

/* Compares with the packet of values of which all but the largest were set to 0. The values are one block. */
static void check_kept(const dtc_spec *spec, const float *values, size_t count) {
    static float kept[COUNT_MAX];
    static unsigned char packet[8 * COUNT_MAX + 100], expected[8 * COUNT_MAX + 100], scratch[1 << 20];
    dtc_spec plain = *spec;
    size_t most = (size_t)ceil((double)spec->sensing.keep * (double)count - 1e-4), bytes, expected_bytes, i, j;
    plain.sensing.keep = 0;
    for (i = 0; i < count; i++) {
        size_t before = 0;
        for (j = 0; j < count; j++)
            before += fabsf(values[j]) > fabsf(values[i]) || (j < i && fabsf(values[j]) == fabsf(values[i]));
        kept[i] = before < most ? values[i] : 0;
    }
    REQUIRE(dtc_encode(spec, packet, sizeof packet, &bytes, values, count, scratch, sizeof scratch) == DTC_OK);
    REQUIRE(dtc_encode(&plain, expected, sizeof expected, &expected_bytes, kept, count, scratch, sizeof scratch) ==
            DTC_OK);
    REQUIRE(bytes == expected_bytes && memcmp(packet, expected, bytes) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const int bits[] = {0, 1, 2, 3, 4, 8, 16, 32};
    static float values[COUNT_MAX], decoded[COUNT_MAX];
    struct fuzz_input input;
    unsigned options;
    size_t count;
    dtc_spec spec;
    dtc_info info;
    input.data = data;
    input.size = size;
    options = fuzz_byte(&input);
    memset(&spec, 0, sizeof spec);
    spec.codec = DTC_SENSING;
    spec.sensing.bits = bits[options & 7];
    spec.no_checksum = options >> 3 & 1;
    spec.sensing.ratio = (float)fuzz_byte(&input) / 255;
    spec.sensing.keep = (float)fuzz_byte(&input) / 255;
    if (options & 16) spec.block = fuzz_byte(&input) * 16u;
    if (options & 32) spec.workers = fuzz_byte(&input) * 257u;
    if (options & 64) spec.seed = fuzz_byte(&input);
    if (options & 128) spec.sensing.scale = fuzz_float(&input);
    count = fuzz_values(&input, values, COUNT_MAX);
    if (!fuzz_roundtrip(&spec, values, count, decoded, &info)) return 0;
    if (info.codec == DTC_RAW)
        REQUIRE(memcmp(values, decoded, 4 * count) == 0);
    else
        check_methods(&spec, values, count);
    if (info.codec == DTC_SENSING && spec.sensing.keep > 0 && spec.sensing.ratio < 0.4f && !spec.block)
        check_kept(&spec, values, count); /* at this ratio no block is cut into powers of two */
    return 0;
}
