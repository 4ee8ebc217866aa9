/* dtc decode: packets to a file of floats. */
#include <stdlib.h>
#include <string.h>

#include "../common/bytes.h"
#include "command.h"
#include "file.h"
#include "input.h"
#include "message.h"
#include "npy.h"
#include "packets.h"
#include "safetensors.h"

/* Appends values to the output, and changes their bytes to little-endian where they are. */
static bool write_values(float *values, size_t count, struct output *output, struct error *error) {
    uint8_t *bytes = (uint8_t *)values;
    for (size_t i = 0; i < count; i++) {
        float value = values[i];
        put_f32(bytes + 4 * i, value);
    }
    return output_write(output, values, 4 * count, error);
}

/* Decodes one packet and appends its values to the output. */
static bool decode_packet(const uint8_t *packet, const dtc_info *info, struct output *output, struct error *error) {
    float *values = (float *)malloc(4 * info->count + 1);
    void *scratch = malloc(info->decode_scratch + 1);
    bool good = values && scratch;
    if (!good) {
        set_error(error, "no memory to decode %zu values", info->count);
    } else {
        dtc_status status =
            dtc_decode(values, info->count, packet, info->packet_bytes, NULL, scratch, info->decode_scratch);
        good = status == DTC_OK || set_error(error, "%s", dtc_status_string(status));
    }
    good = good && write_values(values, info->count, output, error);
    free(values);
    free(scratch);
    return good;
}

/* Decodes all packets as one message with the tensors of --like, in which small tensors share a packet. */
static bool decode_message(const struct packets *packets, const struct input *like, struct output *output,
                           struct error *error) {
    const struct packet *last = &packets->packet[packets->count - 1];
    size_t count = 0;
    float *values;
    if (!message_decode(packets->bytes, last->at + last->info.packet_bytes, &like->arrays, &values, error))
        return false;
    for (size_t i = 0; i < like->arrays.count; i++) count += like->arrays.array[i].count;
    bool good = write_values(values, count, output, error);
    free(values);
    return good;
}

/* Whether each packet has the count of one tensor of --like, in their order. */
static bool fits(const struct packets *packets, const struct input *like) {
    bool equal = like->arrays.count == packets->count;
    for (size_t i = 0; i < packets->count && equal; i++)
        equal = packets->packet[i].info.count == like->arrays.array[i].count;
    return equal;
}

/* Returns the head of a .npy with the shape of --like, or of the packets, of which the caller frees it. */
static void *head_of_npy(const struct packets *packets, const struct input *like, size_t *bytes) {
    size_t shape[2] = {0, 0}, dimensions = 1;
    if (like && like->arrays.count == 1)
        return npy_head(like->arrays.array[0].shape, like->arrays.array[0].dimensions, bytes);
    if (like)
        for (size_t i = 0; i < like->arrays.count; i++) shape[0] += like->arrays.array[i].count;
    else
        for (size_t i = 0; i < packets->count; i++) shape[0] += packets->packet[i].info.count;
    if (!like && packets->count == 1 && packets->packet[0].info.rows > 1) {
        dimensions = 2;
        shape[0] = packets->packet[0].info.rows;
        shape[1] = packets->packet[0].info.columns;
    }
    return npy_head(shape, dimensions, bytes);
}

/* Writes what stands before the values. */
static bool write_head(enum format format, const struct packets *packets, const struct input *like,
                       struct output *output, struct error *error) {
    size_t bytes = 0;
    if (format == FORMAT_RAW) return true;
    void *head =
        format == FORMAT_NPY ? head_of_npy(packets, like, &bytes) : (void *)safetensors_head(&like->arrays, &bytes);
    bool good = head ? output_write(output, head, bytes, error) : set_error(error, "no memory for its head");
    free(head);
    return good;
}

/* Writes the values. */
static bool write_all(const struct packets *packets, const struct input *like, struct output *output,
                      struct error *error) {
    struct error why;
    if (like && !fits(packets, like)) {
        if (decode_message(packets, like, output, &why)) return true;
        return set_error(error,
                         "its %zu packets are not those of the %zu tensors of --like, neither alone nor as a "
                         "message (%.250s): name the file that was encoded",
                         packets->count, like->arrays.count, why.text);
    }
    for (size_t i = 0; i < packets->count; i++) {
        const struct packet *packet = &packets->packet[i];
        if (!decode_packet(packets->bytes + packet->at, &packet->info, output, &why))
            return set_error(error, "packet %zu at byte %zu: %.350s", i, packet->at, why.text);
    }
    return true;
}

/* Writes OUT. The error names the file that is at fault. */
static int write_out(const struct packets *packets, const struct input *like, const char *from, const char *to) {
    struct output output;
    struct error error;
    if (!output_open(&output, to, &error)) return fail(to, &error);
    const char *path = to;
    bool good = write_head(format_of_path(to), packets, like, &output, &error);
    if (good) {
        path = from;
        good = write_all(packets, like, &output, &error);
    }
    if (good) return output_commit(&output, &error) ? EXIT_GOOD : fail(to, &error);
    output_discard(&output);
    return fail(path, &error);
}

int decode_run(const struct settings *settings, char **arguments, int count) {
    struct packets packets;
    struct input like;
    struct error error;
    const char *from = arguments[0], *to = arguments[1];
    enum format format = format_of_path(to);
    (void)count;
    memset(&like, 0, sizeof like);
    if (settings->like && !input_read(&like, settings->like, FORMAT_AUTO, &error)) return fail(settings->like, &error);
    if (format == FORMAT_SAFETENSORS && like.format != FORMAT_SAFETENSORS) {
        input_free(&like);
        return misuse("%s: names and shapes are needed: give --like FILE.safetensors", to);
    }
    bool good = packets_read(&packets, from, &error);
    int code = good ? write_out(&packets, settings->like ? &like : NULL, from, to) : fail(from, &error);
    packets_free(&packets);
    input_free(&like);
    return code;
}
