/* quant:rotate=1: what is decoded has the very projection onto the values that makes it unbiased, in every block. */

#include "fuzz.h"

enum { COUNT_MAX = 300 };

/* Parts are turned apart, and each keeps its projection: so does their sum. */
static void check_block(const float *values, const float *decoded, size_t n) {
    double largest = 0, squares = 0, dot = 0;
    size_t i;
    for (i = 0; i < n; i++) {
        largest = fmax(largest, fabs((double)values[i]));
        squares += (double)values[i] * (double)values[i];
        dot += (double)values[i] * (double)decoded[i];
    }
    if (largest < 1e-30 || largest > 1e30) return; /* steps may then be denormal, or bounded */
    REQUIRE(fabs(dot - squares) <= 1e-4 * squares);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static float values[COUNT_MAX], decoded[COUNT_MAX];
    struct fuzz_input input;
    unsigned options, more;
    size_t count, i, block;
    dtc_spec spec;
    dtc_info info;
    input.data = data;
    input.size = size;
    options = fuzz_byte(&input);
    more = fuzz_byte(&input);
    memset(&spec, 0, sizeof spec);
    spec.codec = DTC_QUANT;
    spec.seed = fuzz_byte(&input);
    spec.quant.rotate = 1;
    spec.quant.rounding = (dtc_rounding)(options & 1);
    spec.quant.entropy = (dtc_entropy)(options >> 1 & 1);
    spec.quant.grid = (dtc_grid)(options >> 2 & 1);
    spec.quant.min_given = spec.quant.max_given = options >> 3 & 1;
    spec.no_checksum = options >> 5 & 1;
    if (spec.quant.max_given) spec.quant.max = fuzz_float(&input);
    spec.quant.min = -spec.quant.max;
    if (options & 64) spec.block = fuzz_byte(&input);
    if (options & 128) spec.workers = fuzz_byte(&input);
    if (more < 224) {
        spec.quant.bits = (int)(1 + more % 15);
    } else if (more >= 248) {
        spec.quant.rate = (float)fuzz_byte(&input) / 8;
    }
    count = fuzz_values(&input, values, COUNT_MAX);
    if (!fuzz_roundtrip(&spec, values, count, decoded, &info)) return 0;
    if (info.codec == DTC_RAW) {
        REQUIRE(memcmp(values, decoded, 4 * count) == 0);
    } else if (spec.quant.rounding != DTC_ROUNDING_STOCHASTIC && !spec.quant.max_given && info.spec.quant.bits > 2 &&
               !(spec.quant.rate > 0)) { /* a coarse grid may round a whole part to zero */
        block = spec.block ? spec.block : count;
        for (i = 0; i < count; i += block) check_block(values + i, decoded + i, count - i < block ? count - i : block);
    }
    return 0;
}
