/* The implementation of dtcodec.h, for programs that do not compile it in a file of their own. */
#define DTCODEC_IMPLEMENTATION
#include "dtcodec.h"
