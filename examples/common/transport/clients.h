/* The clients of a server: the connections of its workers, and the frames that the workers owe.
 *
 * A client is NEW until the server has checked its hello, WAITING until the next round begins, and then ACTIVE. The
 * server drops a client that sends invalid bytes, too many bytes, or nothing before its deadline, and logs the reason.
 * So no client can delay a round for longer than the timeout. A NEW client has two seconds for its hello, and if all
 * slots are taken, the oldest NEW client makes room.
 *
 * A worker that was dropped while ACTIVE stays WAITING, when it is back, for as long as the server had waited for it,
 * and at least twice as long as the last time. It is let in earlier if no other worker is there.
 */
#ifndef EXAMPLES_CLIENTS_H
#define EXAMPLES_CLIENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../error.h"
#include "connection.h"
#include "hello.h"

/* The types of frames between a server and its workers; tcp_trainer.c describes the protocol. */
enum frame_type { HELLO = 1, WELCOME, STATE, REFUSED, MESSAGE, UPDATE, UPDATE_REPORT, UPDATE_LAST, REPORT, RANGES };

enum client_stage { CLIENT_FREE, CLIENT_NEW, CLIENT_WAITING, CLIENT_ACTIVE };

struct client {
    enum client_stage stage;
    struct connection connection;
    size_t id;          /* number of the worker; 0 while NEW */
    bool delivered;     /* whether an ACTIVE client has sent the frame that clients_collect asked for */
    struct frame frame; /* that frame, valid until the next clients_collect */
    double deadline;    /* clock_seconds() before which a NEW or ACTIVE client must deliver */
    bool joins;         /* ACTIVE since the last clients_admit */
    double since;       /* clock_seconds() when it became ACTIVE */
    double waited;      /* seconds that the server has waited for it in this round */
    size_t infinite;    /* rounds in a row in which its message had values that are not finite */
};

/* What the server remembers of a worker that was dropped. */
struct past {
    double wait;  /* seconds of its last exclusion; 0: none */
    double until; /* clock_seconds() of the end of that exclusion */
};

struct clients {
    int listener;
    const char *settings; /* settings text that every worker must have */
    size_t workers;       /* most workers */
    size_t frame_limit;   /* bytes of the largest payload that a worker may send */
    double timeout;       /* seconds a client may take to deliver */
    struct pace pace;     /* of all that the server sends */
    uint32_t round;       /* of the frames in both directions */
    uint8_t wanted;       /* type of the frame that clients_collect asked for */
    size_t wanted_least;  /* least bytes of its payload */
    double collects;      /* clock_seconds() when it began to wait for these frames */
    struct past *past;    /* past[n - 1] is that of worker n */
    struct client *client;
    size_t slots; /* length of `client` */
};

/* Allocates slots for the workers and for 16 more connections. The caller then sets `listener`, `settings`,
 * `frame_limit`, `timeout` and `pace`. Free the clients with clients_free, which also closes their connections. */
void clients_create(struct clients *clients, size_t workers);
void clients_free(struct clients *clients);

/* Waits until `wanted` clients are WAITING or ACTIVE, or until the timeout; returns how many are. */
size_t clients_await(struct clients *clients, size_t wanted);

/* Begins a round: makes WAITING clients ACTIVE and sets `joins` for these alone. Workers that have failed are left out
 * until their exclusion ends, unless there would be no ACTIVE client. */
void clients_admit(struct clients *clients);

/* Sends a frame to an ACTIVE client. On failure the client is dropped. */
bool clients_send(struct clients *clients, struct client *client, enum frame_type type, const uint8_t *payload,
                  size_t bytes);

/* Sends a frame to every ACTIVE client, or to those alone that have just joined. All clients that take no bytes are
 * waited for at once and dropped after the timeout. Returns how many bytes were sent to those that took the frame,
 * heads included. */
size_t clients_send_all(struct clients *clients, bool joining, enum frame_type type, const uint8_t *payload,
                        size_t bytes);

/* Waits until every ACTIVE client has delivered a frame of this type with a payload of at least `least_bytes`. Clients
 * that do not deliver it before the timeout are dropped. If `arrived` is not NULL, it is called whenever bytes have
 * arrived, and can use the frames of the clients that have delivered. */
void clients_collect(struct clients *clients, enum frame_type wanted, size_t least_bytes,
                     void (*arrived)(void *context), void *context);

/* Iterates over the ACTIVE clients, in the order of the workers' numbers. *id is the number of the previous client, at
 * first 0. Returns the next client, and stores its number in *id; NULL: there is no more. */
struct client *clients_active(const struct clients *clients, size_t *id);

/* Iterates as clients_active does, over the clients whose frame has a payload. All of them must have delivered. */
struct client *clients_next(const struct clients *clients, size_t *id);

/* Closes a client's connection and logs the reason. If `refuse` is true, the client receives the reason in a REFUSED
 * frame and should not connect again. */
void clients_drop(struct clients *clients, struct client *client, bool refuse, const char *reason);

#endif
