/* NaN and infinities are refused wherever they stand, also where the compiler was told that there are none. */
#include "dtcodec.h"

#include <stdio.h>
#include <string.h>

int main(void) {
    static const char *const specs[] = {"ternary",
                                        "quant",
                                        "quant:bits=8",
                                        "quant:max-error=0.1",
                                        "quant:rate=3",
                                        "factor:rows=20",
                                        "circulant:rows=10,block=7"};
    static const uint32_t bits[] = {0x7f800000u, 0xff800000u, 0x7fc00000u, 0xff800001u, 0x7fffffffu};
    static unsigned char packet[5000], scratch[2000000];
    static float values[1000];
    size_t s, b, at, bytes;
    int wrong = 0;
    for (s = 0; s < sizeof specs / sizeof *specs; s++) {
        dtc_spec spec;
        wrong += dtc_spec_parse(specs[s], &spec, NULL) != DTC_OK;
        for (b = 0; b < sizeof bits / sizeof *bits; b++) {
            for (at = 0; at < 1000; at += 111) {
                memset(values, 0, sizeof values);
                wrong +=
                    dtc_encode(&spec, packet, sizeof packet, &bytes, values, 1000, scratch, sizeof scratch) != DTC_OK;
                memcpy(&values[at], &bits[b], 4);
                if (dtc_encode(&spec, packet, sizeof packet, &bytes, values, 1000, scratch, sizeof scratch) !=
                    DTC_ERROR_NONFINITE) {
                    printf("%s takes 0x%08x at %d\n", specs[s], (unsigned)bits[b], (int)at);
                    wrong++;
                }
            }
        }
    }
    return wrong != 0;
}
