/* This file compiles the implementation of dtcodec_fft.h for all trainers. */
#define DTCODEC_FFT_IMPLEMENTATION
#include "dtcodec_fft.h"
