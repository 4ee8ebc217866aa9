/* quant: no value is off by more than its grid allows; max_error, nmse and rate hold. */

#include "fuzz.h"

enum { COUNT_MAX = 300 };

static float clipped(float x, float min, float max) {
    return x < min ? min : x > max ? max : x;
}

/* How far a value of a block may be off: half a bin, or a whole one where rounding is stochastic; what rounding the
 * result to fp32 adds; and a range far from 0 for its width is as fine as exact sums of `workers` packets allow. */
static double tolerance(const dtc_spec *spec, const dtc_info *info, float min, float max) {
    int stochastic = spec->quant.rounding == DTC_ROUNDING_STOCHASTIC, even = info->spec.quant.grid == DTC_GRID_EVEN;
    double levels = ldexp(1, info->spec.quant.bits) - !even - stochastic;
    double reach = fabs((double)(-min > max ? min : max)), range = (double)max - (double)min;
    int coded = spec->block && !even && spec->quant.entropy == DTC_ENTROPY_HUFFMAN && spec->workers <= 1 &&
                !spec->quant.min_given && !spec->quant.max_given;
    double lattice = coded ? 1.0225 : 1; /* the steps of coded grids are 2^(1/32) apart */
    double half = lattice * range / levels / 2, finest = reach * info->workers * ldexp(1, -27);
    if (range > 0 && half < finest) half = finest;
    return (stochastic ? 2 : 1) * half * (1 + 1e-6) + ldexp(reach + half, -24) + ldexp(1, -148);
}

static void check_block(const dtc_spec *spec, const dtc_info *info, const float *values, const float *decoded,
                        size_t n) {
    float min = values[0], max = values[0];
    double allowed;
    size_t i;
    for (i = 1; i < n; i++) {
        min = values[i] < min ? values[i] : min;
        max = values[i] > max ? values[i] : max;
    }
    if (spec->quant.min_given) min = spec->quant.min;
    if (spec->quant.max_given) max = spec->quant.max;
    if (max < min && spec->quant.min_given) max = min;
    if (max < min) min = max;
    allowed = tolerance(spec, info, min, max);
    if (info->spec.quant.bits == 1 && !spec->quant.min_given && !spec->quant.max_given) /* grid points that are means */
        allowed += (double)max - (double)min;
    for (i = 0; i < n; i++) REQUIRE(fabs((double)clipped(values[i], min, max) - (double)decoded[i]) <= allowed);
}

/* Whether nmse is asked for, or is the default because nothing else is. */
static int holds_squares(const dtc_spec *spec) {
    int asked = spec->quant.bits || spec->quant.rate > 0 || spec->quant.floor || spec->quant.probe ||
                spec->quant.sample > 0 || spec->quant.min_given || spec->quant.max_given;
    return spec->quant.nmse > 0 || !asked;
}

static void check_squares(const float *values, const float *decoded, size_t count, double nmse) {
    double squares = 0, errors = 0;
    size_t i;
    for (i = 0; i < count; i++) {
        double error = (double)values[i] - (double)decoded[i];
        squares += (double)values[i] * (double)values[i];
        errors += error * error;
    }
    REQUIRE(errors <= nmse * squares * (1 + 1e-9));
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
    spec.quant.rounding = options & 1 ? DTC_ROUNDING_STOCHASTIC : DTC_ROUNDING_AUTO;
    spec.quant.entropy = (dtc_entropy)(options >> 1 & 1);
    spec.quant.grid = (dtc_grid)(options >> 2 & 1);
    spec.quant.min_given = options >> 3 & 1;
    spec.quant.max_given = options >> 4 & 1;
    spec.no_checksum = options >> 5 & 1;
    if (spec.quant.min_given) spec.quant.min = fuzz_float(&input);
    if (spec.quant.max_given) spec.quant.max = fuzz_float(&input);
    if (options & 64) spec.block = fuzz_byte(&input);
    if (options & 128) spec.workers = fuzz_byte(&input);
    if (more < 144) {
        spec.quant.bits = (int)(1 + more % 8);
    } else if (more < 160) { /* few, as they are slow */
        spec.quant.bits = (int)(1 + more % 16);
    } else if (more < 192) {
        spec.quant.floor = (int)(more % 8);
        spec.quant.probe = (int)(more / 8 % 4);
    } else if (more < 240) {
        spec.quant.max_error = fuzz_float(&input);
    } else if (more < 248) {
        spec.quant.min_given = spec.quant.max_given = 0;
        spec.quant.min = spec.quant.max = 0;
        spec.quant.nmse = (float)(fuzz_byte(&input) + 1) / (more & 1 ? 300 : 30000);
    } else { /* a search among grids: slower still */
        spec.quant.rate = (float)(fuzz_byte(&input) + 1) / (more & 1 ? 8 : 128);
    }
    count = fuzz_values(&input, values, COUNT_MAX);
    if (!fuzz_roundtrip(&spec, values, count, decoded, &info)) return 0;
    if (info.codec == DTC_RAW) {
        REQUIRE(memcmp(values, decoded, 4 * count) == 0);
    } else if (spec.quant.max_error > 0) {
        for (i = 0; i < count; i++)
            REQUIRE(fabs((double)values[i] - (double)decoded[i]) <= (double)spec.quant.max_error);
    } else if (holds_squares(&spec)) {
        check_squares(values, decoded, count, spec.quant.nmse > 0 ? (double)spec.quant.nmse : 0.01);
    } else if (!(spec.quant.rate > 0)) { /* a rate's grid is as coarse as it takes */
        block = spec.block ? spec.block : count;
        for (i = 0; i < count; i += block)
            check_block(&spec, &info, values + i, decoded + i, count - i < block ? count - i : block);
    }
    return 0;
}
