#include "tensor_message.h"

#include <stdlib.h>
#include <string.h>

#include "../memory.h"
#include "../random.h"

#define SMALL_BITS 3 /* bits of small tensors under quant:rate=B */

/* A tensor of fewer values has too few measurements under sensing: its values cannot be found. So quant sends it. */
enum { SENSING_LEAST = 1024, UNSENSED_BITS = 4 };

/* Whether the spec is factor without a rank, which sends the factors that the caller has. */
static bool sends_factors(const dtc_spec *spec) {
    return spec->codec == DTC_FACTOR && spec->factor.rank == 0;
}

/* Whether the tensor is sent as the vectors of a circulant layer: the spec is circulant, and the vectors are smaller
 * than the matrix. */
static bool sends_vectors(const dtc_spec *spec, const struct tensor *tensor) {
    return spec->codec == DTC_CIRCULANT && tensor->rows * tensor->columns < tensor->whole[0] * tensor->whole[1];
}

/* Whether the budget of quant:rate=B is too small for a tensor of `count` values: it would hold only a few of them. */
static bool is_starved(const dtc_spec *spec, size_t count) {
    return (double)spec->quant.rate * (double)count / 8 < 64;
}

/* Returns the rate of large tensors under quant:rate=B, so that the message takes about B bits a value although small
 * tensors take more. Returns 0 if all tensors keep the rate of the spec. */
static float rate_of_large(const dtc_spec *spec, const struct tensors *model) {
    double left = (double)spec->quant.rate * (double)model->values / 8;
    size_t large = model->values;
    if (spec->codec != DTC_QUANT || !(spec->quant.rate > 0 && spec->quant.rate < SMALL_BITS) || spec->workers > 1 ||
        spec->quant.min_given || spec->quant.max_given)
        return 0;
    for (size_t i = 0; i < model->count; i++) {
        size_t count = model->tensor[i].rows * model->tensor[i].columns;
        if (!is_starved(spec, count)) continue;
        left -= SMALL_BITS * (double)count / 8 + 48; /* 48: head, checksum and grid */
        large -= count;
    }
    double rate = large ? 8 * left / (double)large : 0;
    return rate > (double)spec->quant.rate / 2 ? (float)rate : 0;
}

/* Whether quant sends the tensor in place of sensing. Where workers agree on grids, all tensors keep the codec. */
static bool is_unsensed(const dtc_spec *spec, size_t count) {
    return spec->codec == DTC_SENSING && count < SENSING_LEAST && spec->workers <= 1 && !(spec->sensing.scale > 0);
}

/* Returns the spec of a tensor's packet. `rate` is that of rate_of_large. */
static dtc_spec spec_of(const dtc_spec *spec, float rate, const struct tensor *tensor) {
    const dtc_value *value = NULL; /* how to send the tensor itself, if the codec does not apply to it */
    dtc_spec own = *spec;
    if (rate > 0 && is_starved(spec, tensor->rows * tensor->columns)) {
        own.quant.rate = 0;
        own.quant.bits = SMALL_BITS;
    } else if (rate > 0) {
        own.quant.rate = rate;
    }
    if (is_unsensed(spec, tensor->rows * tensor->columns)) {
        own.codec = DTC_QUANT;
        own.quant.bits = UNSENSED_BITS;
        own.block = 0;
    }
    if (spec->codec == DTC_FACTOR) own.rows = tensor->rows;
    if (sends_factors(spec)) value = &spec->factor.value;
    if (sends_vectors(spec, tensor)) {
        own.rows = tensor->whole[0];
        own.block = tensor->columns;
    } else if (spec->codec == DTC_CIRCULANT) {
        own.block = 0;
        value = &spec->circulant.value;
    }
    if (value) {
        own.codec = value->bits ? DTC_QUANT : DTC_RAW;
        own.raw.type = value->type;
        own.quant.bits = value->bits;
    }
    return own;
}

size_t message_bound(const dtc_spec *spec, const struct tensors *model) {
    size_t bound = 0;
    float rate = rate_of_large(spec, model);
    for (size_t i = 0; i < model->count; i++) {
        const struct tensor *tensor = &model->tensor[i];
        const dtc_spec own = spec_of(spec, rate, tensor);
        bound += dtc_encode_bound(&own, sends_vectors(spec, tensor) ? tensor->whole[0] * tensor->whole[1]
                                                                    : tensor->rows * tensor->columns);
    }
    return bound;
}

/* Makes the memory at least `need` bytes large. Returns false if there is no memory. */
static bool grow(uint8_t **scratch, size_t *scratch_bytes, size_t need) {
    if (need <= *scratch_bytes) return true;
    uint8_t *grown = (uint8_t *)realloc(*scratch, need);
    if (!grown) return false;
    *scratch = grown;
    *scratch_bytes = need;
    return true;
}

dtc_spec raw_spec(void) {
    dtc_spec spec;
    memset(&spec, 0, sizeof spec);
    return spec;
}

struct encoder encoder_create(const dtc_spec *spec, bool residual, const struct tensors *model) {
    struct encoder encoder;
    memset(&encoder, 0, sizeof encoder);
    encoder.spec = *spec;
    encoder.rate = rate_of_large(spec, model);
    encoder.capacity = message_bound(spec, model);
    encoder.message = (uint8_t *)allocate(encoder.capacity, 1);
    encoder.residual = residual ? tensors_like(model) : tensors_create(NULL, 0);
    return encoder;
}

void encoder_free(struct encoder *encoder) {
    free(encoder->range);
    free(encoder->message);
    free(encoder->scratch);
    tensors_free(&encoder->residual);
    memset(encoder, 0, sizeof *encoder);
}

float encoder_range(const struct encoder *encoder, size_t index, const struct tensor *tensor) {
    const float *residual = encoder->residual.count ? encoder->residual.tensor[index].values : NULL;
    return dtc_range(&encoder->spec, tensor->values, residual, tensor->rows * tensor->columns);
}

bool encoder_packet(struct encoder *encoder, size_t index, const struct tensor *tensor, const struct factors *factors,
                    uint64_t seed, struct packet *packet, struct error *error) {
    size_t rows = tensor->rows, columns = tensor->columns, count = rows * columns, need;
    dtc_spec spec = spec_of(&encoder->spec, encoder->rate, tensor);
    dtc_status status;
    spec.seed = random_bits(seed, index);
    if (encoder->range) dtc_spec_set_range(&spec, encoder->range[index]);
    size_t rank = factors && sends_factors(&encoder->spec) ? factors->rank : 0;
    bool smaller = rank && rank * (rows + columns) < count;
    bool vectors = sends_vectors(&encoder->spec, tensor);
    need = smaller   ? dtc_encode_factors_scratch(&encoder->spec, rank, rows, columns)
           : vectors ? dtc_encode_circulant_scratch(&spec, tensor->whole[0], tensor->whole[1])
                     : dtc_encode_scratch(&spec, count);
    if (!grow(&encoder->scratch, &encoder->scratch_bytes, need))
        status = DTC_ERROR_LIMIT;
    else if (smaller)
        status = dtc_encode_factors(&encoder->spec, packet->data, packet->capacity, &packet->bytes, factors->u,
                                    factors->v, rank, rows, columns, encoder->scratch, encoder->scratch_bytes);
    else if (vectors)
        status = dtc_encode_circulant(&spec, packet->data, packet->capacity, &packet->bytes, tensor->values,
                                      tensor->whole[0], tensor->whole[1], encoder->scratch, encoder->scratch_bytes);
    else if (encoder->residual.count)
        status = dtc_encode_residual(&spec, packet->data, packet->capacity, &packet->bytes, tensor->values,
                                     encoder->residual.tensor[index].values, count, encoder->scratch,
                                     encoder->scratch_bytes);
    else
        status = dtc_encode(&spec, packet->data, packet->capacity, &packet->bytes, tensor->values, count,
                            encoder->scratch, encoder->scratch_bytes);
    return status == DTC_OK || set_error(error, "tensor %zu: %s", index, dtc_status_string(status));
}

bool encoder_encode(struct encoder *encoder, const struct tensors *values, const struct factors *factors, uint64_t seed,
                    struct error *error) {
    encoder->bytes = 0;
    if (!tensors_finite(values)) return set_error(error, "%s", dtc_status_string(DTC_ERROR_NONFINITE));
    size_t at = 0;
    for (size_t i = 0; i < values->count; i++) {
        struct packet packet = {encoder->message + at, encoder->capacity - at, 0};
        if (!encoder_packet(encoder, i, &values->tensor[i], factors ? &factors[i] : NULL, seed, &packet, error))
            return false;
        at += packet.bytes;
    }
    encoder->bytes = at;
    return true;
}

bool message_fits(const uint8_t *message, size_t bytes, const struct tensors *model) {
    dtc_info info;
    size_t at = 0;
    for (size_t i = 0; i < model->count; i++, at += info.packet_bytes)
        if (dtc_inspect(message + at, bytes - at, &info) != DTC_OK ||
            info.count != model->tensor[i].rows * model->tensor[i].columns)
            return false;
    return at == bytes;
}

/* sum += weight * the vectors of a packet. The rows of `sum` are the vectors of a block-circulant matrix, which must
 * have the shape and blocks of the packet's. */
static dtc_status add_vectors(struct decoder *decoder, struct tensor *sum, float weight, const uint8_t *packet,
                              const dtc_info *info) {
    size_t count = sum->rows * sum->columns;
    if (info->rows != sum->whole[0] || info->columns != sum->whole[1] || info->spec.block != sum->columns)
        return DTC_ERROR_COUNT;
    float *vectors = (float *)allocate(count, sizeof(float));
    dtc_status status = dtc_decode_circulant(vectors, count, packet, info->packet_bytes, NULL, decoder->scratch,
                                             decoder->scratch_bytes);
    for (size_t i = 0; i < count && status == DTC_OK; i++) sum->values[i] += weight * vectors[i];
    free(vectors);
    return status;
}

static dtc_status decode_packet(struct decoder *decoder, struct tensor *sum, float weight, const uint8_t *packet,
                                size_t bytes_left, size_t *packet_bytes) {
    dtc_info info;
    size_t count = sum->rows * sum->columns;
    dtc_status status = dtc_inspect(packet, bytes_left, &info);
    if (status != DTC_OK) return status;
    bool vectors = info.codec == DTC_CIRCULANT && sum->whole[0] > 0;
    if (!vectors && info.count != count) return DTC_ERROR_COUNT;
    if (!grow(&decoder->scratch, &decoder->scratch_bytes, info.decode_scratch)) return DTC_ERROR_LIMIT;
    *packet_bytes = info.packet_bytes;
    if (vectors) return add_vectors(decoder, sum, weight, packet, &info);
    return dtc_decode_add(sum->values, count, weight / (float)info.terms, packet, info.packet_bytes, NULL,
                          decoder->scratch, decoder->scratch_bytes);
}

bool decoder_add(struct decoder *decoder, struct tensors *sum, float weight, const uint8_t *message, size_t bytes,
                 struct error *error) {
    size_t at = 0, packet_bytes = 0;
    for (size_t i = 0; i < sum->count; i++, at += packet_bytes) {
        dtc_status status = decode_packet(decoder, &sum->tensor[i], weight, message + at, bytes - at, &packet_bytes);
        if (status != DTC_OK) return set_error(error, "packet %zu of the message: %s", i, dtc_status_string(status));
    }
    if (at != bytes) return set_error(error, "%zu bytes follow the message's %zu packets", bytes - at, sum->count);
    return true;
}

void adder_free(struct adder *adder) {
    free(adder->sum);
    free(adder->next);
    free(adder->scratch);
    memset(adder, 0, sizeof *adder);
}

bool adder_add(struct adder *adder, const uint8_t *message, size_t bytes, struct error *error) {
    if (adder->bytes == 0) {
        if (!grow(&adder->sum, &adder->sum_capacity, bytes)) return set_error(error, "no memory for a message's sum");
        memcpy(adder->sum, message, bytes);
        adder->bytes = bytes;
        return true;
    }
    size_t bound = dtc_message_add_bound(adder->sum, adder->bytes, message, bytes),
           scratch = dtc_message_add_scratch(adder->sum, adder->bytes, message, bytes), sum_bytes;
    if (!grow(&adder->next, &adder->next_capacity, bound) || !grow(&adder->scratch, &adder->scratch_bytes, scratch))
        return set_error(error, "no memory for the sum of two messages");
    dtc_status status = dtc_message_add(adder->next, bound, &sum_bytes, adder->sum, adder->bytes, message, bytes,
                                        adder->scratch, adder->scratch_bytes);
    if (status != DTC_OK) return set_error(error, "the sum of two messages: %s", dtc_status_string(status));
    uint8_t *sum = adder->next;
    size_t capacity = adder->next_capacity;
    adder->next = adder->sum;
    adder->next_capacity = adder->sum_capacity;
    adder->sum = sum;
    adder->sum_capacity = capacity;
    adder->bytes = sum_bytes;
    return true;
}
