/* The implementation, where macros of many platforms are defined. */
#include "hostile.h"

#define DTCODEC_IMPLEMENTATION
#include "dtcodec.h"
