/* Tensors as messages: one packet for each tensor, one after the other; dtc_inspect's packet_bytes walks them. */
#ifndef EXAMPLES_MESSAGE_H
#define EXAMPLES_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dtcodec.h"
#include "error.h"
#include "net.h"
#include "tensors.h"

/* Bytes that are enough for any message of this shape under this spec. */
size_t message_bound(const dtc_spec *spec, const struct tensors *model);

/* What decodes anywhere and loses nothing: raw fp32. */
dtc_spec raw_spec(void);

/* Encodes messages of one shape under one spec. factor with a rank approximates every matrix. Without one it sends the
 * factors that a net has of its gradient where they are smaller, circulant the vectors of circulant layers, both
 * without a residual; all else goes as raw or quant then, as their value= says. */
struct encoder {
    dtc_spec spec;
    float *range;            /* of each tensor's grid, as grid.h has the workers agree on it; NULL: not agreed on */
    struct tensors residual; /* of error feedback; empty without it. The trainer's state: goes into checkpoints */
    uint8_t *message;        /* the last message */
    size_t bytes, capacity;  /* of it; no message of this shape and spec is larger than the capacity */
    uint8_t *scratch;
    size_t scratch_bytes;
};

/* Free with encoder_free. */
struct encoder encoder_create(const dtc_spec *spec, bool residual, const struct tensors *model);

void encoder_free(struct encoder *encoder);

/* Encodes `values` into encoder->message. `net` is the one whose last gradient they are; NULL where they are something
 * else. `seed` must be new for every message. Values that are NaN or infinite are refused, whatever the codec, before
 * anything has changed. */
bool encoder_encode(struct encoder *encoder, const struct tensors *values, const struct net *net, uint64_t seed,
                    struct error *error);

/* How far the grid of tensor `index` has to reach, for encoder->range. Infinite if a value is NaN or infinite. */
float encoder_range(const struct encoder *encoder, size_t index, const struct tensor *tensor);

/* Encodes tensor `index` of a message alone, as encoder_encode does, but leaves raw values' NaN and infinities in. */
bool encoder_packet(struct encoder *encoder, size_t index, const struct tensor *tensor, const struct net *net,
                    uint64_t seed, uint8_t *packet, size_t capacity, size_t *bytes, struct error *error);

/* Whether the message is of a packet a tensor, by their heads. */
bool message_fits(const uint8_t *message, size_t bytes, const struct tensors *model);

/* Scratch of decoding, which grows as packets ask for it; all zero at first, free the pointer at last. */
struct decoder {
    uint8_t *scratch;
    size_t scratch_bytes;
};

/* sum += weight * the tensors in message[0..bytes), which must be all there is in it. A packet that is the sum of some
 * counts as their mean. The message is trusted in nothing; on failure part of it may have been added. */
bool decoder_add(struct decoder *decoder, struct tensors *sum, float weight, const uint8_t *message, size_t bytes,
                 struct error *error);

/* Adds messages up without decoding them. All zero at first; `bytes` = 0 starts a new sum. */
struct adder {
    uint8_t *sum, *next; /* the sum; where the next one is made */
    size_t bytes;        /* of the sum */
    size_t sum_capacity, next_capacity;
    uint8_t *scratch;
    size_t scratch_bytes;
};

void adder_free(struct adder *adder);

/* Adds a message, packet by packet. The message is trusted in nothing; on failure the sum is what it was. */
bool adder_add(struct adder *adder, const uint8_t *message, size_t bytes, struct error *error);

#endif
