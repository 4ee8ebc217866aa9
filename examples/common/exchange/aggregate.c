#include "aggregate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../bytes.h"
#include "../clock.h"
#include "../log.h"
#include "../memory.h"

enum { INFINITE_ROUNDS = 8 }; /* a worker that sends values that are not finite in so many rounds is dropped */

/* Raises each range to that of a frame, if the frame's is larger. If a range of the frame is negative or not finite, or
 * their number is wrong, the function changes nothing and returns false. */
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

void aggregate_ranges(struct clients *clients, struct trainer *trainer) {
    size_t bytes = 4 * trainer->parameters.count, settled = 0, id = 0;
    uint8_t *ranges = (uint8_t *)allocate(bytes, 1);
    clients_collect(clients, RANGES, 0, NULL, NULL);
    for (struct client *client; (client = clients_next(clients, &id));)
        if (raise_ranges(ranges, bytes, &client->frame))
            settled = bytes;
        else
            clients_drop(clients, client, true, "sends invalid ranges");
    trainer->meter.bytes_down += clients_send_all(clients, false, RANGES, ranges, settled);
    free(ranges);
}

/* Adds all messages in trainer->adder. Returns false if there are fewer than two messages, or they do not add. */
static bool add_up(const struct clients *clients, struct trainer *trainer) {
    struct adder *adder = &trainer->adder;
    size_t messages = 0, id = 0;
    struct error error;
    adder->bytes = 0;
    for (const struct client *client; (client = clients_next(clients, &id)); messages++)
        if (!adder_add(adder, client->frame.payload, client->frame.bytes, &error)) {
            say(0, "round %u: the messages are decoded, because that of worker %zu does not add: %s", clients->round,
                id, error.text);
            return false;
        }
    return messages > 1 && message_fits(adder->sum, adder->bytes, &trainer->parameters);
}

/* The mean of the messages, to which a message is added while the server waits for later ones. */
struct early {
    struct clients *clients;
    struct trainer *trainer;
    size_t workers;   /* the messages that are expected: each has the weight 1 / workers */
    size_t added, id; /* the messages that are added, and the number of the worker of the last one */
    bool usable;      /* false if a worker has sent no message or one that cannot be decoded */
    double seconds;   /* of decoding */
};

/* Adds the messages that have arrived, up to the first worker that has not delivered yet. */
static void add_arrived(void *context) {
    struct early *early = (struct early *)context;
    const struct client *client;
    struct error error;
    size_t id = early->id;
    double start = clock_seconds();
    while (early->usable && (client = clients_active(early->clients, &id)) && client->delivered) {
        early->usable = client->frame.bytes &&
                        decoder_add(&early->trainer->decoder, &early->trainer->values, 1.0f / (float)early->workers,
                                    client->frame.payload, client->frame.bytes, &error);
        early->id = id;
        early->added++;
    }
    early->seconds += clock_seconds() - start;
}

/* Waits for the workers' messages, and adds them in the meantime unless packets are to be added. */
static struct early collect(struct clients *clients, struct trainer *trainer) {
    struct early early = {clients, trainer, 0, 0, 0, !trainer->settings.add_packets, 0.0};
    double start = clock_seconds();
    size_t id = 0;
    while (clients_active(clients, &id)) early.workers++;
    tensors_clear(&trainer->values);
    clients_collect(clients, MESSAGE, 0, early.usable ? add_arrived : NULL, &early);
    trainer->meter.transfer_s += clock_seconds() - start - early.seconds;
    trainer->meter.decode_s += early.seconds;
    return early;
}

/* Ignores the messages whose values are not finite in this round, and drops the workers that send such messages in too
 * many rounds. Returns whether there was such a message. */
static bool ignore_infinite(struct clients *clients, struct trainer *trainer) {
    struct error error;
    bool found = false;
    size_t id = 0;
    for (struct client *client; (client = clients_next(clients, &id));) {
        tensors_clear(&trainer->values);
        if (decoder_add(&trainer->decoder, &trainer->values, 1.0f, client->frame.payload, client->frame.bytes,
                        &error) &&
            tensors_finite(&trainer->values)) {
            client->infinite = 0;
            continue;
        }
        found = true;
        say(0, "round %u: the message of worker %zu is ignored: its values are not finite", clients->round, id);
        client->frame.bytes = 0;
        if (++client->infinite < INFINITE_ROUNDS) continue;
        set_error(&error, "sends values that are not finite in %d rounds in a row", INFINITE_ROUNDS);
        clients_drop(clients, client, true, error.text);
    }
    return found;
}

/* Writes the mean of the decoded messages to trainer->values. They are summed in the order of the workers' numbers. The
 * early mean is used once, if it holds these very messages. If a message cannot be decoded, its worker is dropped, and
 * the function returns false. It also returns false if the caller shall try again without messages whose values are not
 * finite. */
static bool average(struct clients *clients, struct trainer *trainer, struct early *early) {
    size_t messages = 0, id = 0;
    struct error error;
    while (clients_next(clients, &id)) messages++;
    bool added = early->usable && early->added == messages && early->workers == messages;
    early->usable = false;
    if (!added) tensors_clear(&trainer->values);
    id = 0;
    for (struct client *client; !added && (client = clients_next(clients, &id));)
        if (!decoder_add(&trainer->decoder, &trainer->values, 1.0f / (float)messages, client->frame.payload,
                         client->frame.bytes, &error)) {
            clients_drop(clients, client, true, error.text);
            return false;
        }
    if (!tensors_finite(&trainer->values)) return !ignore_infinite(clients, trainer);
    id = 0;
    for (struct client *client; (client = clients_next(clients, &id));) client->infinite = 0;
    return true;
}

/* Returns whether the values of the sum in trainer->adder are finite. Among all packets raw alone has others. */
static bool sum_finite(struct trainer *trainer) {
    struct error error;
    const struct adder *adder = &trainer->adder;
    if (trainer->settings.codec.codec != DTC_RAW) return true;
    tensors_clear(&trainer->values);
    return decoder_add(&trainer->decoder, &trainer->values, 1.0f, adder->sum, adder->bytes, &error) &&
           tensors_finite(&trainer->values);
}

bool aggregate_messages(struct clients *clients, struct trainer *trainer, const uint8_t **update, size_t *bytes,
                        struct error *error) {
    struct encoder *encoder = &trainer->encoder;
    struct meter *meter = &trainer->meter;
    size_t messages = 0, id = 0;
    struct early early = collect(clients, trainer);
    double start = clock_seconds();
    bool sum = trainer->settings.add_packets && add_up(clients, trainer) && sum_finite(trainer);
    while (!sum && !average(clients, trainer, &early)) continue;
    meter->decode_s += clock_seconds() - start;
    for (const struct client *client; (client = clients_next(clients, &id)); messages++)
        meter->bytes_up += FRAME_HEAD_BYTES + client->frame.bytes;
    meter->values += messages * trainer->values.values;
    *update = sum ? trainer->adder.sum : encoder->message;
    *bytes = sum ? trainer->adder.bytes : 0;
    if (sum) return true;

    bool usable = messages && tensors_finite(&trainer->values);
    if (!usable)
        say(0, "round %u is skipped: %s", clients->round,
            messages ? "the workers' mean is not finite" : "there is no worker's message");
    if (!usable && trainer->settings.exchange == EXCHANGE_PARAMETERS) {
        tensors_copy(
            &trainer->values,
            &trainer->parameters); /* the workers replace their parameters by the update: go back to the last ones */
        usable = true;
    }
    if (usable && !trainer_encode(trainer, clients->round, error)) return false;
    *bytes = usable ? encoder->bytes : 0;
    return true;
}

bool aggregate_reports(struct clients *clients, struct trainer *trainer, struct metrics *metrics, uint64_t epoch,
                       double accuracy) {
    struct meter *meters = (struct meter *)allocate(clients->workers, sizeof *meters), own;
    size_t *ids = (size_t *)allocate(clients->workers, sizeof *ids), reports = 0, id = 0;
    uint32_t crc = tensors_crc(&trainer->parameters);
    bool equal = true;
    clients_collect(clients, REPORT, REPORT_BYTES, NULL, NULL);
    for (struct client *client; (client = clients_next(clients, &id));)
        if (get_u32(client->frame.payload) == crc) {
            ids[reports] = id;
            meters[reports++] = meter_get(client->frame.payload + 4);
        } else {
            equal = false;
            clients_drop(clients, client, true, "REPLICAS DRIFT: its parameters are not the server's");
        }
    own = trainer_take_meter(trainer);
    metrics_epoch(metrics, epoch, trainer->settings.epochs, meters, ids, reports, &own, accuracy);
    free(meters);
    free(ids);
    return equal;
}
