/* Folder exchange: the exchange of tensors by codecs: packing, agreed grids, residuals, checkpoints, metrics, options,
 * and a replica with what it does in a round.
 *
 * A message holds a set of tensors as packets, one packet for each tensor, one after another. dtc_inspect tells the
 * size of each packet, so that a receiver can walk the message.
 */
#ifndef EXAMPLES_TENSOR_MESSAGE_H
#define EXAMPLES_TENSOR_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../error.h"
#include "../tensors.h"
#include "dtcodec.h"

/* Returns the most bytes of any message of tensors shaped like `model` under the spec. */
size_t message_bound(const dtc_spec *spec, const struct tensors *model);

/* Returns the spec of raw fp32, which loses nothing. */
dtc_spec raw_spec(void);

/* Encodes messages of one set of shapes under one spec. Most codecs encode every tensor alike. The exceptions are:
 *   - factor with a rank approximates every matrix by one of that rank.
 *   - factor without a rank sends a tensor as its factors, if the caller has them and they are smaller.
 *   - circulant sends the vectors of circulant layers.
 *   - quant with a rate sends tensors whose budget is below 64 bytes with 3 bits, because that budget would hold only a
 *     few of their values, and gives the large tensors a lower rate: the message as a whole keeps the rate. If the
 * small tensors would take half of all bytes, every tensor has the rate of the spec. Factors and vectors are sent
 * without a residual. Under the last two codecs all other tensors are sent as raw or quant, as value= says. */
struct encoder {
    dtc_spec spec;
    float rate;              /* of large tensors under quant with a rate; 0: that of the spec */
    float *range;            /* the agreed range of each tensor's grid (grid.h); NULL: none */
    struct tensors residual; /* of error feedback; empty if there is none. It belongs in checkpoints. */
    uint8_t *message;        /* the last message */
    size_t bytes, capacity;  /* of the message; every message fits the capacity */
    uint8_t *scratch;
    size_t scratch_bytes;
};

/* Creates an encoder of tensors shaped like `model`. Free it with encoder_free. */
struct encoder encoder_create(const dtc_spec *spec, bool residual, const struct tensors *model);

void encoder_free(struct encoder *encoder);

/* Encodes `values` into encoder->message. `factors` holds the factors of each tensor; NULL: there are none. `seed` must
 * be new for every message. If a value is NaN or infinite, the function fails under any codec and changes nothing. */
bool encoder_encode(struct encoder *encoder, const struct tensors *values, const struct factors *factors, uint64_t seed,
                    struct error *error);

/* Returns the range of tensor `index` for encoder->range. It is infinite if a value is NaN or infinite. */
float encoder_range(const struct encoder *encoder, size_t index, const struct tensor *tensor);

/* Memory for one packet, and the packet in it. */
struct packet {
    uint8_t *data;
    size_t capacity, bytes;
};

/* Encodes tensor `index` alone, as encoder_encode does, into packet->data. `factors` may be NULL. raw without a
 * residual accepts NaN and infinities here. */
bool encoder_packet(struct encoder *encoder, size_t index, const struct tensor *tensor, const struct factors *factors,
                    uint64_t seed, struct packet *packet, struct error *error);

/* Returns whether the message has one packet for each tensor of `model`, with as many values. Only the packets' heads
 * are checked. */
bool message_fits(const uint8_t *message, size_t bytes, const struct tensors *model);

/* Scratch of decoding. It starts as zero and grows on demand. The caller frees `scratch`. */
struct decoder {
    uint8_t *scratch;
    size_t scratch_bytes;
};

/* Computes sum += weight * the tensors in message[0..bytes). A packet that is a sum of packets counts as their mean.
 * The message is not trusted: it must hold one packet of the right count for each tensor and nothing else. On failure
 * some tensors may have been added already. */
bool decoder_add(struct decoder *decoder, struct tensors *sum, float weight, const uint8_t *message, size_t bytes,
                 struct error *error);

/* Adds messages without decoding them. An adder starts as zero. `bytes` = 0 begins a new sum. */
struct adder {
    uint8_t *sum, *next; /* the sum, and memory for the next sum */
    size_t bytes;        /* of the sum */
    size_t sum_capacity, next_capacity;
    uint8_t *scratch;
    size_t scratch_bytes;
};

void adder_free(struct adder *adder);

/* Adds a message to the sum, packet by packet. The message is not trusted. On failure the sum is unchanged. */
bool adder_add(struct adder *adder, const uint8_t *message, size_t bytes, struct error *error);

#endif
