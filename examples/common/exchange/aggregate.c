#include "aggregate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"

/* Raises ranges to those of a frame; false, and nothing is done, if they are none. */
static bool raise_ranges(uint8_t *ranges, size_t bytes, const struct frame *frame) {
    bool good = frame->bytes == bytes;
    for (size_t at = 0; good && at < bytes; at += 4) {
        float range = get_f32(frame->payload + at);
        good = isfinite(range) && range >= 0.0f;
    }
    for (size_t at = 0; good && at < bytes; at += 4)
        if (get_f32(frame->payload + at) > get_f32(ranges + at)) memcpy(ranges + at, frame->payload + at, 4);
    return good;
}

void aggregate_ranges(struct peers *peers, struct trainer *trainer) {
    size_t bytes = 4 * trainer->parameters.count, settled = 0, id = 0;
    uint8_t *ranges = (uint8_t *)allocate(bytes, 1);
    peers_collect(peers, RANGES, 0);
    for (struct peer *peer; (peer = peers_next(peers, &id));)
        if (raise_ranges(ranges, bytes, &peer->frame))
            settled = bytes;
        else
            peers_drop(peers, peer, true, "sends ranges that are none");
    trainer->meter.bytes_down += peers_send_all(peers, RANGES, ranges, settled);
    free(ranges);
}

/* Adds the messages up in trainer->adder; false if there are not two of them that add. */
static bool add_up(const struct peers *peers, struct trainer *trainer) {
    struct adder *adder = &trainer->adder;
    size_t messages = 0, id = 0;
    struct error error;
    adder->bytes = 0;
    for (const struct peer *peer; (peer = peers_next(peers, &id)); messages++)
        if (!adder_add(adder, peer->frame.payload, peer->frame.bytes, &error)) {
            say(0, "round %u: the messages are decoded, as worker %zu's does not add: %s", peers->round, id,
                error.text);
            return false;
        }
    return messages > 1 && message_fits(adder->sum, adder->bytes, &trainer->parameters);
}

/* Leaves the mean of the messages in trainer->values, summed in the order of the workers' numbers; false if one had to
 * be dropped. */
static bool average(struct peers *peers, struct trainer *trainer) {
    size_t messages = 0, id = 0;
    struct error error;
    while (peers_next(peers, &id)) messages++;
    tensors_clear(&trainer->values);
    id = 0;
    for (struct peer *peer; (peer = peers_next(peers, &id));)
        if (!decoder_add(&trainer->decoder, &trainer->values, 1.0f / (float)messages, peer->frame.payload,
                         peer->frame.bytes, &error)) {
            peers_drop(peers, peer, true, error.text);
            return false;
        }
    return true;
}

bool aggregate_messages(struct peers *peers, struct trainer *trainer, const uint8_t **update, size_t *bytes,
                        struct error *error) {
    struct encoder *encoder = &trainer->encoder;
    struct meter *meter = &trainer->meter;
    size_t messages = 0, id = 0;
    double start = clock_seconds();
    bool sum = trainer->settings.add_packets && add_up(peers, trainer);
    while (!sum && !average(peers, trainer)) continue;
    meter->decode_s += clock_seconds() - start;
    for (const struct peer *peer; (peer = peers_next(peers, &id)); messages++)
        meter->bytes_up += FRAME_HEAD_BYTES + peer->frame.bytes;
    meter->values += messages * trainer->values.values;
    *update = sum ? trainer->adder.sum : encoder->message;
    *bytes = sum ? trainer->adder.bytes : 0;
    if (sum) return true;

    bool usable = messages && tensors_finite(&trainer->values);
    if (!usable)
        say(0, "round %u is skipped: %s", peers->round,
            messages ? "the workers' mean is not finite" : "there is no worker's message");
    if (!usable && trainer->settings.exchange == EXCHANGE_PARAMETERS) {
        tensors_copy(&trainer->values, &trainer->parameters); /* where the workers go back to */
        usable = true;
    }
    if (usable && !trainer_encode(trainer, peers->round, error)) return false;
    *bytes = usable ? encoder->bytes : 0;
    return true;
}

bool aggregate_reports(struct peers *peers, struct trainer *trainer, struct metrics *metrics, uint64_t epoch,
                       double accuracy) {
    struct meter *meters = (struct meter *)allocate(peers->workers, sizeof *meters), own;
    size_t *ids = (size_t *)allocate(peers->workers, sizeof *ids), reports = 0, id = 0;
    uint32_t crc = tensors_crc(&trainer->parameters);
    bool equal = true;
    peers_collect(peers, REPORT, REPORT_BYTES);
    for (struct peer *peer; (peer = peers_next(peers, &id));)
        if (get_u32(peer->frame.payload) == crc) {
            ids[reports] = id;
            meters[reports++] = meter_get(peer->frame.payload + 4);
        } else {
            equal = false;
            peers_drop(peers, peer, true, "REPLICAS DRIFT: its parameters are not the server's");
        }
    own = trainer_take_meter(trainer);
    metrics_epoch(metrics, epoch, trainer->settings.epochs, meters, ids, reports, &own, accuracy);
    free(meters);
    free(ids);
    return equal;
}
