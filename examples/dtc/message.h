/* Whole messages, as dtc_message_encode makes them for trainers: small tensors share a packet. */
#ifndef DTC_MESSAGE_H
#define DTC_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/error.h"
#include "array.h"
#include "dtcodec.h"

/* Encodes all arrays as one message. On success the caller frees *message. */
bool message_encode(const dtc_spec *spec, const struct arrays *arrays, uint8_t **message, size_t *bytes,
                    struct error *error);

/* Decodes a message of tensors with the shapes of `like`. On success the caller frees *values, which holds the values
 * of one tensor after another. */
bool message_decode(const uint8_t *message, size_t bytes, const struct arrays *like, float **values,
                    struct error *error);

#endif
