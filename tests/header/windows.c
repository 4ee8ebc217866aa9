/* The implementation behind windows.h, which defines min, max, near, far, small and more. */
#include <windows.h>

#define DTCODEC_IMPLEMENTATION
#include "dtcodec.h"
