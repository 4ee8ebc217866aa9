/* The payload decoders behind a head that always passes: its size field is made to match the input, and the checksum
 * is not looked at, so that every mutation gets through. Also the checksum itself: it is either right or refused. */

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static unsigned char packet[4096];
    dtc_info info;
    size_t i;
    if (size < 12 || size > sizeof packet) return 0;
    memcpy(packet, data, size);
    packet[0] = 0xd7;
    packet[1] = (unsigned char)(DTC_WIRE_VERSION << 4 | packet[1] % (DTC_CIRCULANT + 1));
    for (i = 0; i < 4; i++) packet[8 + i] = (unsigned char)(size >> 8 * i & 255);
    packet[5] &= 31; /* at most 8191 values */
    packet[6] = packet[7] = 0;
    fuzz_decode(packet, size);
    if (dtc_inspect(packet, size, &info) == DTC_OK && !info.spec.no_checksum && info.count < 256) {
        float values[256];
        uint32_t crc = 0xffffffffu, sent = 0;
        static unsigned char scratch[1 << 20];
        dtc_status status = dtc_decode(values, info.count, packet, size, NULL, scratch, sizeof scratch);
        for (i = 0; i + 4 < size; i++) {
            int bit;
            crc ^= packet[i];
            for (bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
        }
        for (i = 0; i < 4; i++) sent |= (uint32_t)packet[size - 4 + i] << 8 * i;
        REQUIRE((status == DTC_ERROR_CHECKSUM) == (~crc != sent));
    }
    return 0;
}
