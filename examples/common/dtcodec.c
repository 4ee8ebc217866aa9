/* This file compiles the implementation of dtcodec.h for all trainers. */
#define DTCODEC_IMPLEMENTATION
#include "dtcodec.h"
