#include "packets.h"

#include <stdlib.h>
#include <string.h>

#include "file.h"

/* Appends a packet to the list, whose length doubles when it is full. */
static bool append(struct packets *packets, const struct packet *packet, struct error *error) {
    size_t count = packets->count;
    if ((count & (count - 1)) == 0) {
        struct packet *grown = (struct packet *)realloc(packets->packet, (count ? 2 * count : 1) * sizeof *grown);
        if (!grown) return set_error(error, "no memory for more than %zu packets", count);
        packets->packet = grown;
    }
    packets->packet[packets->count++] = *packet;
    return true;
}

bool packets_read(struct packets *packets, const char *path, struct error *error) {
    size_t size;
    struct packet packet;
    memset(packets, 0, sizeof *packets);
    if (!file_read(path, &packets->bytes, &size, error)) return false;
    if (size == 0) return set_error(error, "is empty: it holds no packet");
    for (packet.at = 0; packet.at < size; packet.at += packet.info.packet_bytes) {
        dtc_status status = dtc_inspect(packets->bytes + packet.at, size - packet.at, &packet.info);
        if (status != DTC_OK)
            return set_error(error, "packet %zu at byte %zu: %s", packets->count, packet.at, dtc_status_string(status));
        if (!append(packets, &packet, error)) return false;
    }
    return true;
}

void packets_free(struct packets *packets) {
    free(packets->bytes);
    free(packets->packet);
    memset(packets, 0, sizeof *packets);
}
