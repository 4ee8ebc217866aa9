#include "message.h"

#include <stdlib.h>
#include <string.h>

#include "random.h"

size_t message_bound(const dtc_spec *spec, const struct tensors *model) {
    size_t bound = 0;
    for (size_t i = 0; i < model->count; i++)
        bound += dtc_encode_bound(spec, model->tensor[i].rows * model->tensor[i].columns);
    return bound;
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
    for (size_t i = 0; i < model->count; i++) {
        size_t scratch = dtc_encode_scratch(spec, model->tensor[i].rows * model->tensor[i].columns);
        if (scratch > encoder.scratch_bytes) encoder.scratch_bytes = scratch;
    }
    encoder.capacity = message_bound(spec, model);
    encoder.message = (uint8_t *)allocate(encoder.capacity, 1);
    encoder.scratch = (uint8_t *)allocate(encoder.scratch_bytes, 1);
    encoder.residual = residual ? tensors_like(model) : tensors_create(NULL, 0);
    return encoder;
}

void encoder_free(struct encoder *encoder) {
    free(encoder->message);
    free(encoder->scratch);
    tensors_free(&encoder->residual);
    memset(encoder, 0, sizeof *encoder);
}

bool encoder_encode(struct encoder *encoder, const struct tensors *values, uint64_t seed, struct error *error) {
    encoder->bytes = 0;
    if (!tensors_finite(values)) return set_error(error, "%s", dtc_status_string(DTC_ERROR_NONFINITE));
    for (size_t i = 0; i < values->count; i++) {
        const struct tensor *tensor = &values->tensor[i];
        size_t count = tensor->rows * tensor->columns, bytes, left = encoder->capacity - encoder->bytes;
        uint8_t *packet = encoder->message + encoder->bytes;
        encoder->spec.seed = random_bits(seed, i);
        dtc_status status = encoder->residual.count
                                ? dtc_encode_residual(&encoder->spec, packet, left, &bytes, tensor->values,
                                                      encoder->residual.tensor[i].values, count, encoder->scratch,
                                                      encoder->scratch_bytes)
                                : dtc_encode(&encoder->spec, packet, left, &bytes, tensor->values, count,
                                             encoder->scratch, encoder->scratch_bytes);
        if (status != DTC_OK) {
            encoder->bytes = 0;
            return set_error(error, "tensor %zu: %s", i, dtc_status_string(status));
        }
        encoder->bytes += bytes;
    }
    return true;
}

static dtc_status add_packet(struct decoder *decoder, struct tensor *sum, float weight, const uint8_t *packet,
                             size_t bytes_left, size_t *packet_bytes) {
    dtc_info info;
    size_t count = sum->rows * sum->columns;
    dtc_status status = dtc_inspect(packet, bytes_left, &info);
    if (status != DTC_OK) return status;
    if (info.count != count) return DTC_ERROR_COUNT;
    if (info.decode_scratch > decoder->scratch_bytes) {
        uint8_t *grown = (uint8_t *)realloc(decoder->scratch, info.decode_scratch);
        if (!grown) return DTC_ERROR_LIMIT;
        decoder->scratch = grown;
        decoder->scratch_bytes = info.decode_scratch;
    }
    *packet_bytes = info.packet_bytes;
    return dtc_decode_add(sum->values, count, weight, packet, info.packet_bytes, NULL, decoder->scratch,
                          decoder->scratch_bytes);
}

bool decoder_add(struct decoder *decoder, struct tensors *sum, float weight, const uint8_t *message, size_t bytes,
                 struct error *error) {
    size_t at = 0, packet_bytes = 0;
    for (size_t i = 0; i < sum->count; i++, at += packet_bytes) {
        dtc_status status = add_packet(decoder, &sum->tensor[i], weight, message + at, bytes - at, &packet_bytes);
        if (status != DTC_OK) return set_error(error, "packet %zu of the message: %s", i, dtc_status_string(status));
    }
    if (at != bytes) return set_error(error, "%zu bytes follow the message's %zu packets", bytes - at, sum->count);
    return true;
}
