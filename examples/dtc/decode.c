/* dtc decode: packets to a file of floats. */
#include <stdlib.h>
#include <string.h>

#include "../common/bytes.h"
#include "command.h"
#include "file.h"
#include "input.h"
#include "npy.h"
#include "packets.h"
#include "safetensors.h"

/* Decodes one packet and appends its values to the output. */
static bool decode_packet(const uint8_t *packet, const dtc_info *info, struct output *output, struct error *error) {
    float *values = (float *)malloc(4 * info->count + 1);
    uint8_t *scratch = (uint8_t *)malloc(info->decode_scratch + 1), *bytes = (uint8_t *)values;
    bool good = values && scratch;
    if (!good) {
        set_error(error, "no memory to decode %zu values", info->count);
    } else {
        dtc_status status =
            dtc_decode(values, info->count, packet, info->packet_bytes, NULL, scratch, info->decode_scratch);
        good = status == DTC_OK || set_error(error, "%s", dtc_status_string(status));
    }
    for (size_t i = 0; good && i < info->count; i++) { /* each float becomes little-endian where it is */
        float value = values[i];
        put_f32(bytes + 4 * i, value);
    }
    good = good && output_write(output, values, 4 * info->count, error);
    free(values);
    free(scratch);
    return good;
}

/* Checks that the packets have the counts of the tensors of --like. */
static bool check_like(const struct packets *packets, const struct input *like, const char *path, struct error *error) {
    if (like->arrays.count != packets->count)
        return set_error(error, "has %zu packets, but %.200s has %zu tensors: name the file that was encoded",
                         packets->count, path, like->arrays.count);
    for (size_t i = 0; i < packets->count; i++)
        if (packets->packet[i].info.count != like->arrays.array[i].count)
            return set_error(error,
                             "packet %zu has %zu values, but tensor %zu of %.200s has %zu: name the file that "
                             "was encoded",
                             i, packets->packet[i].info.count, i, path, like->arrays.array[i].count);
    return true;
}

/* Returns the head of a .npy with the shape of --like, or of the packets, of which the caller frees it. */
static void *head_of_npy(const struct packets *packets, const struct input *like, size_t *bytes) {
    size_t shape[2] = {0, 0}, dimensions = 1;
    if (like && like->arrays.count == 1)
        return npy_head(like->arrays.array[0].shape, like->arrays.array[0].dimensions, bytes);
    for (size_t i = 0; i < packets->count; i++) shape[0] += packets->packet[i].info.count;
    if (packets->count == 1 && packets->packet[0].info.rows > 1) {
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

/* Writes OUT. The error names the file that is at fault. */
static int write_out(const struct packets *packets, const struct input *like, const char *from, const char *to) {
    struct output output;
    struct error error, why;
    if (!output_open(&output, to, &error)) return fail(to, &error);
    if (!write_head(format_of_path(to), packets, like, &output, &error)) {
        output_discard(&output);
        return fail(to, &error);
    }
    for (size_t i = 0; i < packets->count; i++) {
        const struct packet *packet = &packets->packet[i];
        if (decode_packet(packets->bytes + packet->at, &packet->info, &output, &why)) continue;
        output_discard(&output);
        set_error(&error, "packet %zu at byte %zu: %.350s", i, packet->at, why.text);
        return fail(from, &error);
    }
    return output_commit(&output, &error) ? EXIT_GOOD : fail(to, &error);
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
    if (good && settings->like) good = check_like(&packets, &like, settings->like, &error);
    int code = good ? write_out(&packets, settings->like ? &like : NULL, from, to) : fail(from, &error);
    packets_free(&packets);
    input_free(&like);
    return code;
}
