/* dtc_decode and dtc_decode_add on any bytes, walked as a message of concatenated packets. */

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    dtc_info info;
    size_t at = 0, budget = FUZZ_COUNT_MAX;
    for (; at < size && dtc_inspect(data + at, size - at, &info) == DTC_OK; at += info.packet_bytes) {
        if (info.count > budget) break; /* many packets of many values would only be slow */
        budget -= info.count;
        fuzz_decode(data + at, size - at);
    }
    return 0;
}
