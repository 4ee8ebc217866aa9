/* The one file with the implementation. */
#define DTCODEC_IMPLEMENTATION
#include "dtcodec.h"
