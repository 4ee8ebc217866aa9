/* The shared library that dtcodec.py loads: all functions of dtcodec.h, and dtc_layout. */
#define DTCODEC_IMPLEMENTATION
#include "libdtcodec.h"

#define STRUCT(type) \
    { #type, 0, sizeof(type) }
#define FIELD(type, field) \
    { #type "." #field, offsetof(type, field), sizeof(((type *)0)->field) }

#define NUMBER(name) \
    { #name, name, 0 }

/* Every struct that dtcodec.py passes or reads, with every field, in the order of the header; then the numbers. */
static const dtc_layout_row layout[] = {
    STRUCT(dtc_spec),
    FIELD(dtc_spec, codec),
    FIELD(dtc_spec, seed),
    FIELD(dtc_spec, rows),
    FIELD(dtc_spec, block),
    FIELD(dtc_spec, workers),
    FIELD(dtc_spec, no_checksum),
    FIELD(dtc_spec, raw.type),
    FIELD(dtc_spec, ternary.clip),
    FIELD(dtc_spec, ternary.scale),
    FIELD(dtc_spec, ternary.pack),
    FIELD(dtc_spec, quant.bits),
    FIELD(dtc_spec, quant.floor),
    FIELD(dtc_spec, quant.probe),
    FIELD(dtc_spec, quant.sample),
    FIELD(dtc_spec, quant.nmse),
    FIELD(dtc_spec, quant.rate),
    FIELD(dtc_spec, quant.max_error),
    FIELD(dtc_spec, quant.rounding),
    FIELD(dtc_spec, quant.entropy),
    FIELD(dtc_spec, quant.grid),
    FIELD(dtc_spec, quant.rotate),
    FIELD(dtc_spec, quant.biased),
    FIELD(dtc_spec, quant.min_given),
    FIELD(dtc_spec, quant.max_given),
    FIELD(dtc_spec, quant.min),
    FIELD(dtc_spec, quant.max),
    FIELD(dtc_spec, factor.rank),
    FIELD(dtc_spec, factor.value.type),
    FIELD(dtc_spec, factor.value.bits),
    FIELD(dtc_spec, sensing.ratio),
    FIELD(dtc_spec, sensing.bits),
    FIELD(dtc_spec, sensing.scale),
    FIELD(dtc_spec, sensing.keep),
    FIELD(dtc_spec, circulant.value.type),
    FIELD(dtc_spec, circulant.value.bits),
    STRUCT(dtc_info),
    FIELD(dtc_info, codec),
    FIELD(dtc_info, count),
    FIELD(dtc_info, rows),
    FIELD(dtc_info, columns),
    FIELD(dtc_info, packet_bytes),
    FIELD(dtc_info, decode_scratch),
    FIELD(dtc_info, workers),
    FIELD(dtc_info, terms),
    FIELD(dtc_info, seed),
    FIELD(dtc_info, spec),
    STRUCT(dtc_decode_options),
    FIELD(dtc_decode_options, skip_checksum),
    FIELD(dtc_decode_options, max_iterations),
    FIELD(dtc_decode_options, tolerance),
    FIELD(dtc_decode_options, method),
    FIELD(dtc_decode_options, max_work),
    STRUCT(dtc_tensor),
    FIELD(dtc_tensor, values),
    FIELD(dtc_tensor, residual),
    FIELD(dtc_tensor, count),
    FIELD(dtc_tensor, rows),
    NUMBER(DTC_TERNARY),
    NUMBER(DTC_QUANT),
    NUMBER(DTC_OK),
    NUMBER(DTC_ERROR_NONFINITE),
    NUMBER(DTC_PACK_BASE3),
    NUMBER(DTC_ENTROPY_NONE),
    NUMBER(DTC_METHOD_AUTO),
    NUMBER(DTC_METHOD_ISTA),
    NUMBER(DTC_METHOD_FISTA),
    NUMBER(DTC_METHOD_LINEAR),
};

const dtc_layout_row *dtc_layout(size_t *count) {
    *count = sizeof layout / sizeof layout[0];
    return layout;
}
