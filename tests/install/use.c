/* A program that uses the installed header: it encodes and decodes an array. It compiles as C and as C++. Without the
 * macro IMPLEMENT, another file implements the functions. */
#ifdef IMPLEMENT
#define DTCODEC_IMPLEMENTATION
#endif
#include <dtcodec.h>
#include <math.h>
#include <stdio.h>

int main(void) {
    static float values[1000], decoded[1000];
    static unsigned char packet[2100], scratch[4096];
    size_t bytes;
    dtc_spec spec;
    double error = 0.0, square = 0.0;
    for (int i = 0; i < 1000; i++) values[i] = (float)sin(0.1 * i);
    dtc_status status = dtc_spec_parse("raw:type=bf16", &spec, NULL);
    if (status == DTC_OK)
        status = dtc_encode(&spec, packet, sizeof packet, &bytes, values, 1000, scratch, sizeof scratch);
    if (status == DTC_OK) status = dtc_decode(decoded, 1000, packet, bytes, NULL, scratch, sizeof scratch);
    if (status != DTC_OK) {
        fprintf(stderr, "%s\n", dtc_status_string(status));
        return 1;
    }
    for (int i = 0; i < 1000; i++) error += pow((double)(values[i] - decoded[i]), 2.0);
    for (int i = 0; i < 1000; i++) square += pow((double)values[i], 2.0);
    printf("version %d.%d.%d, %u bytes, error %.1e\n", DTC_VERSION_MAJOR, DTC_VERSION_MINOR, DTC_VERSION_PATCH,
           (unsigned)bytes, error / square);
    return !(bytes < 2100 && error > 0.0 && error < 1e-5 * square);
}
