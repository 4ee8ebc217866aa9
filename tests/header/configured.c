/* All that configures the header comes from the compiler's options. */
#include "dtcodec.h"
