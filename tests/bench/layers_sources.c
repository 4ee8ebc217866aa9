/* Circulant layers on KissFFT's sources, one sample a lane. */
#define TRANSFORM "KissFFT's sources"
#define DTCODEC_FFT_KISSFFT_SOURCES
#include "layers.h"

int main(void) {
    return measure_layers();
}
