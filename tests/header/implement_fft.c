/* The one file with the implementation of dtcodec_fft.h. */
#define DTCODEC_FFT_IMPLEMENTATION
#include "dtcodec_fft.h"
