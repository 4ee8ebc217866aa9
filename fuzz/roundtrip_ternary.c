/* ternary: every value decodes to 0 or to its sign times its block's scale. */

#include "fuzz.h"

enum { COUNT_MAX = 700 };

/* Tells whether value j is far enough above the others to be sent apart: above 12 root mean squares. */
static int is_far(const float *values, size_t count, size_t j) {
    double squares = 0;
    size_t i;
    for (i = 0; i < count; i++)
        if (fabsf(values[i]) < fabsf(values[j])) squares += (double)values[i] * (double)values[i];
    return fabs((double)values[j]) > 11.999 * sqrt(squares / (double)count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static float values[COUNT_MAX], decoded[COUNT_MAX];
    struct fuzz_input input;
    unsigned options;
    size_t count, i, j, block;
    int coded, apart;
    dtc_spec spec;
    dtc_info info;
    input.data = data;
    input.size = size;
    options = fuzz_byte(&input);
    memset(&spec, 0, sizeof spec);
    spec.codec = DTC_TERNARY;
    spec.ternary.pack = (dtc_pack)(options & 1);
    spec.no_checksum = options >> 1 & 1;
    if (options & 4) spec.block = fuzz_byte(&input);
    if (options & 8) spec.workers = fuzz_byte(&input) * 257u;
    if (options & 16) spec.rows = fuzz_byte(&input);
    if (options & 32) spec.ternary.clip = fuzz_float(&input);
    if (options & 64) spec.ternary.scale = fuzz_float(&input);
    if (options & 128) spec.seed = fuzz_byte(&input);
    count = fuzz_values(&input, values, COUNT_MAX);
    if (!fuzz_roundtrip(&spec, values, count, decoded, &info)) return 0;
    if (info.codec == DTC_RAW) {
        REQUIRE(memcmp(values, decoded, 4 * count) == 0);
        return 0;
    }
    block = spec.block ? spec.block : count;
    coded = spec.block && spec.workers <= 1 && spec.ternary.pack == DTC_PACK_HUFFMAN;
    apart = !spec.block && spec.workers <= 1 && spec.ternary.pack == DTC_PACK_HUFFMAN && !(spec.ternary.clip > 0) &&
            !(spec.ternary.scale > 0);
    for (i = 0; i < count; i += block) {
        float scale = 0, largest = 0;
        for (j = i; j < count && j < i + block; j++) {
            REQUIRE(decoded[j] == 0 || (decoded[j] < 0) == (values[j] < 0));
            REQUIRE(values[j] != 0 || decoded[j] == 0);
            if (apart && values[j] != 0 && memcmp(decoded + j, values + j, 4) == 0 && is_far(values, count, j))
                continue;
            if (decoded[j] != 0) {
                REQUIRE(scale == 0 || scale == fabsf(decoded[j]));
                scale = fabsf(decoded[j]);
            }
            if (fabsf(values[j]) > largest) largest = fabsf(values[j]);
        }
        for (j = i; j < count && j < i + block; j++) /* no outlier, though it is exact */
            if (fabsf(values[j]) == scale && scale > largest) largest = scale;
        if (spec.ternary.scale > 0) REQUIRE(scale == 0 || scale == spec.ternary.scale);
        /* coded scales are 2^(1/64) apart */
        if (!(spec.ternary.scale > 0)) REQUIRE((double)scale <= (double)largest * (coded ? 1.0109 : 1));
        /* what reaches the scale is certain to be kept */
        for (j = i; j < count && j < i + block; j++) REQUIRE(scale == 0 || fabsf(values[j]) < scale || decoded[j] != 0);
    }
    return 0;
}
