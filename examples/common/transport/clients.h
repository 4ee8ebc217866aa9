/* The server's side of many connections: who is here, who owes a frame until when, who is dropped and why.
 *
 * A peer is NEW until its hello is checked, WAITING until the next round begins, then ACTIVE. Whoever sends garbage, or
 * too much, or nothing in time, is dropped with a line that names it; nobody can make the server wait for longer.
 */
#ifndef EXAMPLES_PEERS_H
#define EXAMPLES_PEERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "frame.h"
#include "metrics.h"
#include "options.h"
#include "trainer.h"

enum frame_type { HELLO = 1, WELCOME, STATE, REFUSED, MESSAGE, UPDATE, UPDATE_REPORT, UPDATE_LAST, REPORT, RANGES };

/* A hello: the worker's number (4 bytes; 0: any) and the settings it runs with. A report: the parameters' CRC-32 (4
 * bytes) and the meter. */
enum { HELLO_BYTES = 4 + SHARED_BYTES, REPORT_BYTES = 4 + METER_BYTES };

enum peer_stage { PEER_FREE, PEER_NEW, PEER_WAITING, PEER_ACTIVE };

struct peer {
    enum peer_stage stage;
    struct connection connection;
    size_t id;          /* of the worker; 0 while NEW */
    bool delivered;     /* the frame asked of an ACTIVE peer has come */
    struct frame frame; /* that frame, until the next is asked for */
    double deadline;    /* until when a NEW or ACTIVE peer must deliver */
};

struct peers {
    int listener;
    const char *shared;  /* what every worker's settings must be */
    size_t workers;      /* at most */
    size_t frame_limit;  /* bytes of the largest payload a worker may send */
    double timeout;      /* seconds a peer may take to deliver */
    struct pace pace;    /* of all that is sent to them */
    uint32_t round;      /* frames are of it, both ways */
    uint8_t wanted;      /* type of the frame that is being collected */
    size_t wanted_least; /* its least size */
    struct peer *peer;   /* as many as `slots` */
    size_t slots;
};

/* Finds room for the workers and some strangers. The other fields are the caller's to set. Free with peers_free, which
 * closes every connection. */
void peers_create(struct peers *peers, size_t workers);
void peers_free(struct peers *peers);

/* Waits until so many are WAITING or ACTIVE, or the timeout is over; returns how many are. */
size_t peers_await(struct peers *peers, size_t wanted);

/* Sends an ACTIVE peer a frame, or drops it. */
bool peers_send(struct peers *peers, struct peer *peer, enum frame_type type, const uint8_t *payload, size_t bytes);

/* Sends every ACTIVE peer a frame; returns the bytes, heads included, that all took. */
size_t peers_send_all(struct peers *peers, enum frame_type type, const uint8_t *payload, size_t bytes);

/* Has every ACTIVE peer deliver a new frame, of this type and at least this size, or be dropped. */
void peers_collect(struct peers *peers, enum frame_type wanted, size_t least_bytes);

/* The next ACTIVE peer, in the order of the workers' numbers, whose frame is not empty; NULL: no more. *id is the
 * number of the last one, 0 at first. */
struct peer *peers_next(const struct peers *peers, size_t *id);

/* Ends a peer's connection with a line that names it. `refuse`: the peer is told why, and shall not come back. */
void peers_drop(struct peers *peers, struct peer *peer, bool refuse, const char *reason);

#endif
