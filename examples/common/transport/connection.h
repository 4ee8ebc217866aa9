/* TCP: connections that carry frames, with time limits, a limit on sizes, and pacing to a slower link's speed.
 *
 * A frame is a head of 16 bytes ("DTCT", protocol version, type, two zero bytes, round, payload bytes; little-endian)
 * and its payload. Sockets never block: every wait has a deadline.
 */
#ifndef EXAMPLES_FRAME_H
#define EXAMPLES_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

enum { FRAME_PROTOCOL = 1, FRAME_HEAD_BYTES = 16, CONNECTION_NAME_BYTES = 80 };

struct frame {
    uint8_t type;
    uint32_t round;
    uint8_t *payload; /* in the connection's buffer: until frame_done */
    size_t bytes;
};

struct connection {
    int fd;
    char name[CONNECTION_NAME_BYTES]; /* the peer's address:port */
    uint8_t *buffer;                  /* what has arrived of the frame under way */
    size_t have, capacity;
    uint8_t *queue; /* frames that connection_flush has yet to send, from queue[queue_sent] on */
    size_t queued, queue_sent, queue_capacity;
    int failure; /* errno of what ended it; 0: nothing did, so far */
};

/* A link's speed, shared by all that is sent over it; all zero: as fast as it goes. */
struct pace {
    double bytes_per_second;
    double free_at; /* clock_seconds() when the link has sent what it was given */
};

/* A listening socket on host:port (port "0": any) that does not block, or -1. `name` (CONNECTION_NAME_BYTES) receives
 * its address. */
int tcp_listen(const char *host, const char *port, char *name, struct error *error);

/* Takes over a connection that waits at the listener; false if there is none. */
bool tcp_accept(int listener, struct connection *connection);

/* Connects within so many seconds. */
bool tcp_connect(const char *host, const char *port, double seconds, struct connection *connection,
                 struct error *error);

/* Begins to connect, without waiting, to the first address of that name: frames can be queued at once. */
bool tcp_dial(const char *host, const char *port, struct connection *connection, struct error *error);

/* Closes an open connection and frees its buffers. */
void connection_close(struct connection *connection);

/* Refuses frames with a larger payload from now on. Only between frames. */
void connection_limit(struct connection *connection, size_t payload_bytes);

enum frame_state { FRAME_PARTIAL, FRAME_WHOLE, FRAME_FAILED };

/* Reads what has arrived, no further than the end of the frame, without waiting. FRAME_FAILED: the peer is gone or
 * sends what is no frame. */
enum frame_state frame_read(struct connection *connection, struct frame *frame, struct error *error);

/* Waits for a whole frame, at most so many seconds. */
bool frame_wait(struct connection *connection, double seconds, struct frame *frame, struct error *error);

/* Whether the peer is there and sends nothing, as it should when it is not its turn. */
bool connection_idle(struct connection *connection, struct error *error);

/* Gives the frame's buffer back, so that the next frame can be read. */
void frame_done(struct connection *connection);

/* Sends a frame, in at most so many seconds (the time that pacing takes not counted). */
bool frame_send(struct connection *connection, struct pace *pace, uint8_t type, uint32_t round, const uint8_t *payload,
                size_t bytes, double seconds, struct error *error);

/* Queues a frame for connection_flush; its payload is the caller's to write, before the connection is used again. */
uint8_t *frame_queue(struct connection *connection, uint8_t type, uint32_t round, size_t bytes);

/* Sends what the socket takes of the queue now; false when the connection is lost. */
bool connection_flush(struct connection *connection, struct error *error);

#endif
