/* dtc_inspect on any bytes, walked as a message of concatenated packets. */

#include "fuzz.h"

/* Scratch is in proportion to the values: two bytes each where only bins wait there, four more for an integer to
 * rotate, floats where more does. Each block of a quantized packet takes its grid and the bins of its coded grid. */
static size_t scratch_bound(const dtc_info *info) {
    size_t each = info->codec > DTC_QUANT ? 64 : info->spec.quant.rotate ? 6 : 2;
    size_t blocks = info->spec.block ? info->count / info->spec.block + 1 : 0;
    return each * info->count + 12 * blocks + 131072;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    size_t at = 0;
    while (at < size) {
        dtc_info info, zero;
        dtc_status status = dtc_inspect(data + at, size - at, &info);
        if (status != DTC_OK) {
            memset(&zero, 0, sizeof zero);
            REQUIRE(memcmp(&info, &zero, sizeof info) == 0);
            REQUIRE(dtc_status_string(status)[0] != 'u' || status == DTC_ERROR_CODEC); /* "unknown status" */
            break;
        }
        REQUIRE(info.packet_bytes > 0 && info.packet_bytes <= size - at);
        REQUIRE(info.rows * info.columns == info.count);
        REQUIRE(info.terms >= 1 && info.terms <= info.workers);
        REQUIRE(info.decode_scratch <= scratch_bound(&info));
        REQUIRE(info.codec == info.spec.codec);
        /* the same answer without the bytes that follow, none with one byte fewer */
        REQUIRE(dtc_inspect(data + at, info.packet_bytes, &zero) == DTC_OK && !memcmp(&info, &zero, sizeof info));
        REQUIRE(dtc_inspect(data + at, info.packet_bytes - 1, &zero) != DTC_OK);
        at += info.packet_bytes;
    }
    return 0;
}
