/* Circulant layers on KissFFT's sources, one sample a lane. */
#define TRANSFORM "KissFFT's sources"
#define DTCODEC_FFT_KISSFFT_SOURCES
#include "layers.h"

int main(void) {
    measure_layers();
    measure_products();
    return 0;
}
