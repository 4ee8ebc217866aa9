/* A file of packets: one packet, or a message of several in a row. */
#ifndef DTC_PACKETS_H
#define DTC_PACKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/error.h"
#include "dtcodec.h"

struct packet {
    size_t at; /* offset in the file */
    dtc_info info;
};

struct packets {
    uint8_t *bytes; /* of the file */
    size_t count;
    struct packet *packet;
};

/* Reads the heads of all packets of a file. On failure `packets` holds those before the fault, and the error says where
 * the fault is. In both cases the caller calls packets_free. */
bool packets_read(struct packets *packets, const char *path, struct error *error);

void packets_free(struct packets *packets);

#endif
