/* What becomes of a codec that is left out: the text of a spec does not know its name, and neither its specs nor its
 * packets, here of no values, are carried out. A codec that has no packets of no values has malformed ones here. */
#define DTCODEC_IMPLEMENTATION
#include "dtcodec.h"

#include <stdio.h>

static int check(dtc_codec codec, unsigned char variant, int left_out) {
    dtc_status expected = left_out ? DTC_ERROR_CODEC : DTC_OK;
    unsigned char packet[100] = {0xd7, 0, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0};
    static const char *const names[] = {"raw", "ternary", "quant", "factor", "sensing:bits=32", "circulant"};
    static unsigned char scratch[2000000];
    const float values[3] = {1, 2, 3};
    dtc_spec spec;
    dtc_info info;
    size_t bytes;
    int right;
    packet[1] = (unsigned char)codec;
    packet[3] = variant;
    right = (dtc_inspect(packet, 12, &info) == DTC_ERROR_CODEC) == left_out &&
            (dtc_decode(NULL, 0, packet, 12, NULL, NULL, 0) == DTC_ERROR_CODEC) == left_out;
    if (codec <= DTC_QUANT) right &= dtc_inspect(packet, 12, &info) == expected;
    right &= dtc_spec_parse(names[codec], &spec, NULL) == (left_out ? DTC_ERROR_SPEC_CODEC : DTC_OK);
    spec.codec = codec;
    spec.sensing.bits = 32;
    right &= dtc_encode(&spec, packet, sizeof packet, &bytes, values, 3, scratch, sizeof scratch) == expected;
    right &= (dtc_encode_bound(&spec, 3) == 0) == left_out;
    if (!right) printf("%s is %s, and should not be\n", names[codec], left_out ? "there" : "left out");
    return right;
}

int main(void) {
    int right = check(DTC_RAW, 0, 0);
#ifdef DTC_NO_TERNARY
    right &= check(DTC_TERNARY, 3, 1);
#else
    right &= check(DTC_TERNARY, 3, 0);
#endif
#ifdef DTC_NO_QUANT
    right &= check(DTC_QUANT, 0x40, 1);
#else
    right &= check(DTC_QUANT, 0x40, 0);
#endif
#ifdef DTC_NO_FACTOR
    right &= check(DTC_FACTOR, 0, 1);
#else
    right &= check(DTC_FACTOR, 0, 0);
#endif
#ifdef DTC_NO_SENSING
    right &= check(DTC_SENSING, 0, 1);
#else
    right &= check(DTC_SENSING, 0, 0);
#endif
#ifdef DTC_NO_CIRCULANT
    right &= check(DTC_CIRCULANT, 0, 1);
#else
    right &= check(DTC_CIRCULANT, 0, 0);
#endif
    return !right;
}
