#include "grid.h"

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

bool grid_fixed(const dtc_info *info, uint64_t workers) {
    bool fixed = info->codec == DTC_RAW || (info->codec == DTC_TERNARY && info->spec.ternary.pack == DTC_PACK_BASE3) ||
                 (info->codec == DTC_QUANT && info->spec.quant.entropy == DTC_ENTROPY_NONE) ||
                 (info->codec == DTC_SENSING && info->workers > 1);
    return fixed && info->workers >= workers;
}
