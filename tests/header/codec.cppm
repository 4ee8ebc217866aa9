// A C++20 module that exports a function of the header.
module;
#define DTC_STATIC
#include "dtcodec.h"
export module codec;
export using ::dtc_encode_bound;
