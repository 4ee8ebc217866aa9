/* What a codec does to the tensors of a model: bits, error and speed. */
#ifndef DTC_MEASURE_H
#define DTC_MEASURE_H

#include <stdbool.h>
#include <stddef.h>

#include "../common/error.h"
#include "dtcodec.h"
#include "input.h"
#include "progress.h"
#include "specs.h"

struct measurement {
    char spec[SPEC_TEXT_BYTES];
    double bits;   /* a value, with head and checksum */
    double nmse;   /* sum of the squared errors / sum of the squared values; 0 if all values are 0 and decode to 0 */
    double cosine; /* of the angle between the values and the decoded values; 1 if both are 0 */
    double encode_s, decode_s, add_s; /* seconds a value to encode, to decode, and to decode and add */
};

/* Measures one codec on all tensors, as messages of up to 64 MB of values. The error and the bits are those of all
 * values. The speeds are medians of several runs, on the first of these messages. With `residual` the encoder takes
 * error feedback. The bits are then those after several rounds with the same values, since what waits in the residual
 * makes packets larger; the error is that of the first round. `progress` counts the values of one run; it may be NULL.
 */
bool measure(const dtc_spec *spec, const struct model *model, bool residual, struct progress *progress,
             struct measurement *result, struct error *error);

#endif
