/* The clients of a server: the connections of its workers, and the frames that the workers owe.
 *
 * A client is NEW until the server has checked its hello, WAITING until the next round begins, and then ACTIVE. The
 * server drops a client that sends invalid bytes, too many bytes, or nothing before its deadline, and logs the reason.
 * So no client can delay the server for longer than the timeout.
 */
#ifndef EXAMPLES_CLIENTS_H
#define EXAMPLES_CLIENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../error.h"
#include "../settings_text.h"
#include "connection.h"

/* The types of frames between a server and its workers; tcp_trainer.c describes the protocol. */
enum frame_type { HELLO = 1, WELCOME, STATE, REFUSED, MESSAGE, UPDATE, UPDATE_REPORT, UPDATE_LAST, REPORT, RANGES };

/* A hello holds the worker's number (4 bytes; 0: any free number) and its settings text. */
enum { HELLO_BYTES = 4 + SETTINGS_TEXT_BYTES };

enum client_stage { CLIENT_FREE, CLIENT_NEW, CLIENT_WAITING, CLIENT_ACTIVE };

struct client {
    enum client_stage stage;
    struct connection connection;
    size_t id;          /* number of the worker; 0 while NEW */
    bool delivered;     /* whether an ACTIVE client has sent the frame that clients_collect asked for */
    struct frame frame; /* that frame, valid until the next clients_collect */
    double deadline;    /* clock_seconds() before which a NEW or ACTIVE client must deliver */
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
    struct client *client;
    size_t slots; /* length of `client` */
};

/* Allocates slots for the workers and for 16 more connections. The caller then sets `listener`, `settings`,
 * `frame_limit`, `timeout` and `pace`. Free the clients with clients_free, which also closes their connections. */
void clients_create(struct clients *clients, size_t workers);
void clients_free(struct clients *clients);

/* Waits until `wanted` clients are WAITING or ACTIVE, or until the timeout; returns how many are. */
size_t clients_await(struct clients *clients, size_t wanted);

/* Sends a frame to an ACTIVE client. On failure the client is dropped. */
bool clients_send(struct clients *clients, struct client *client, enum frame_type type, const uint8_t *payload,
                  size_t bytes);

/* Sends a frame to every ACTIVE client. Returns how many bytes were sent to those that took it, heads included. */
size_t clients_send_all(struct clients *clients, enum frame_type type, const uint8_t *payload, size_t bytes);

/* Waits until every ACTIVE client has delivered a frame of this type with a payload of at least `least_bytes`. Clients
 * that do not deliver it before the timeout are dropped. */
void clients_collect(struct clients *clients, enum frame_type wanted, size_t least_bytes);

/* Iterates over the ACTIVE clients whose frame has a payload, in the order of the workers' numbers. *id is the number
 * of the previous client, at first 0. Returns the next client, and stores its number in *id; NULL: there is no more. */
struct client *clients_next(const struct clients *clients, size_t *id);

/* Closes a client's connection and logs the reason. If `refuse` is true, the client receives the reason in a REFUSED
 * frame and should not connect again. */
void clients_drop(struct clients *clients, struct client *client, bool refuse, const char *reason);

#endif
