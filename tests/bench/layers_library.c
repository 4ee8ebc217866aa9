/* Circulant layers on KissFFT's library, one sample at a time. */
#define TRANSFORM "KissFFT's library"
#include "layers.h"

int main(void) {
    measure_layers();
    measure_products();
    return 0;
}
