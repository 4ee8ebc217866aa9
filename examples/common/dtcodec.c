/* The one file that compiles the implementation of dtcodec.h. */
#define DTCODEC_IMPLEMENTATION
#include "dtcodec.h"
