/* One of several files that use the header: NAME is the function it defines, main in one of them. */
#include "dtcodec.h"
#include "dtcodec.h"

int NAME(void);

int NAME(void) {
    static const unsigned char packet[12] = {0xd7, 0, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0};
    dtc_info info;
    return dtc_inspect(packet, sizeof packet, &info) != DTC_OK || info.packet_bytes != sizeof packet;
}
