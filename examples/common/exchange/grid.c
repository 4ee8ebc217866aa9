#include "grid.h"

#include <math.h>

bool grid_prepare(dtc_spec *spec, uint64_t workers, struct error *error) {
    if (spec->codec == DTC_FACTOR || spec->codec == DTC_CIRCULANT)
        return set_error(error, "a codec whose packets cannot be added here: use raw, ternary, quant or sensing");
    if (spec->workers == 0) spec->workers = (uint32_t)workers;
    if (spec->workers < workers)
        return set_error(error, "workers=%u: room for sums of fewer packets than there are workers", spec->workers);
    if (dtc_encode_bound(spec, 1) == 0)
        return set_error(error, "%llu workers: sums of so many packets do not fit", (unsigned long long)workers);
    if ((spec->codec == DTC_TERNARY || spec->codec == DTC_QUANT) && spec->block && grid_open(spec))
        return set_error(error, "block=%zu: workers agree on one grid a tensor: leave block out", spec->block);
    if (spec->codec == DTC_QUANT && !spec->quant.min_given != !spec->quant.max_given)
        return set_error(error, "min or max alone: give both or neither");
    if (spec->codec == DTC_QUANT && (spec->quant.rotate || spec->quant.bits <= 0))
        return set_error(error, "%s: each worker would have a grid of its own: use bits=N",
                         spec->quant.rotate ? "rotate=1" : "bits chosen by the values");
    return true;
}

bool grid_open(const dtc_spec *spec) {
    if (spec->codec == DTC_TERNARY) return !(spec->ternary.scale > 0);
    if (spec->codec == DTC_SENSING) return !(spec->sensing.scale > 0) && spec->sensing.bits != 32;
    return spec->codec == DTC_QUANT && !(spec->quant.min_given && spec->quant.max_given);
}

uint64_t grid_seed(const dtc_spec *spec, uint64_t shared, uint64_t own) {
    return spec->codec == DTC_SENSING ? shared : own;
}

float grid_range(const dtc_spec *spec, const float *values, const float *residual, size_t count) {
    double clip = spec->ternary.clip > 0 ? (double)spec->ternary.clip : 2.5, squares = 0.0;
    float most = 0.0f;
    for (size_t i = 0; i < count; i++) {
        float value = fabsf(residual ? values[i] + residual[i] : values[i]);
        if (!isfinite(value)) return INFINITY;
        squares += (double)value * (double)value;
        if (value > most) most = value;
    }
    if (spec->codec == DTC_QUANT || count == 0) return most;
    double deviation = sqrt(squares / (double)count), bound = clip * deviation;
    if (spec->codec == DTC_SENSING) /* measurements are nearly Gaussian: Max, Quantizing for minimum distortion, 1960 */
        return (float)((1.35 + 0.33 * (spec->sensing.bits ? spec->sensing.bits : 4)) * deviation);
    float up = (float)bound; /* the bound to which the encoder itself would clip, rounded up as there */
    if ((double)up < bound) up = nextafterf(up, INFINITY);
    return up < most ? up : most;
}

void grid_set(dtc_spec *spec, float range) {
    if (spec->codec == DTC_TERNARY) {
        spec->ternary.scale = range;
    } else if (spec->codec == DTC_SENSING) {
        spec->sensing.scale = range;
    } else {
        spec->quant.min_given = spec->quant.max_given = 1;
        spec->quant.min = range > 0.0f ? -range : 0.0f; /* never -0 */
        spec->quant.max = range;
    }
}

bool grid_fixed(const dtc_info *info, uint64_t workers) {
    bool fixed = info->codec == DTC_RAW || (info->codec == DTC_TERNARY && info->spec.ternary.pack == DTC_PACK_BASE3) ||
                 (info->codec == DTC_QUANT && info->spec.quant.entropy == DTC_ENTROPY_NONE) ||
                 (info->codec == DTC_SENSING && info->workers > 1);
    return fixed && info->workers >= workers;
}
