/* Declarations, then the implementation twice. */
#include "dtcodec.h"
#define DTCODEC_IMPLEMENTATION
#include "dtcodec.h"
#include "dtcodec.h"

int main(void) {
    return dtc_status_string(DTC_OK)[0] == 0;
}
