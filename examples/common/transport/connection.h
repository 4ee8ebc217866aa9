/* Folder transport: TCP connections, processes, a server's clients, and the mesh of peers with its ledger of weights.
 *
 * A connection carries frames. A frame is a head of 16 bytes ("DTCT", protocol version, type, two zero bytes, round,
 * payload bytes; little-endian) and its payload. The receiver limits the size of a frame, every wait has a deadline,
 * and the sender can be paced to the speed of a slower link. Sockets never block. If the process has a key
 * (security.h), the functions below exchange the challenges, tag what they send, and verify what they read.
 */
#ifndef EXAMPLES_CONNECTION_H
#define EXAMPLES_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../error.h"
#include "security.h"

enum { FRAME_PROTOCOL = 1, FRAME_HEAD_BYTES = 16, CONNECTION_NAME_BYTES = 80 };
enum { FRAME_CHALLENGE = 255 }; /* the type of a challenge, which callers never see */

struct frame {
    uint8_t type;
    uint32_t round;
    uint8_t *payload; /* in the connection's buffer; valid until frame_done */
    size_t bytes;     /* of the payload */
};

struct connection {
    int fd;
    char name[CONNECTION_NAME_BYTES]; /* address:port of the other end */
    uint8_t *buffer;                  /* the received part of the current frame */
    size_t have, capacity;            /* bytes of that part, and of the buffer */
    uint8_t *queue;                   /* frames for connection_flush; unsent from queue[queue_sent] on */
    size_t queued, queue_sent, queue_capacity;
    int failure;    /* errno of the failure that ended the connection; 0: none so far; EACCES: a wrong key or tag */
    bool dialed;    /* by this end */
    bool verified;  /* the tag of the frame in `buffer` is right */
    size_t offered; /* sent bytes of the challenge */
    size_t tagged;  /* bytes of `queue` whose tags are written */
    struct session session;
};

/* The speed of a link. All connections that send over the link share one struct pace. If it is zero, there is no limit.
 */
struct pace {
    double bytes_per_second;
    double free_at; /* clock_seconds() at which the link has sent all bytes that it was given */
};

/* Returns whether security.h lets this process talk to all addresses of a host; true, too, if it has no address. */
bool tcp_permitted(const char *host, struct error *error);

/* Opens a listening, non-blocking socket on host:port and returns it; returns -1 on failure. Port "0" stands for any
 * free port. `name` (CONNECTION_NAME_BYTES) receives the address and the port. The caller closes the socket. */
int tcp_listen(const char *host, const char *port, char *name, struct error *error);

/* Accepts a connection that waits at the listener; returns false if none waits. Close it with connection_close. */
bool tcp_accept(int listener, struct connection *connection);

/* Connects to host:port within `seconds`. Close the connection with connection_close. */
bool tcp_connect(const char *host, const char *port, double seconds, struct connection *connection,
                 struct error *error);

/* Begins to connect to the first address of host:port and does not wait. Frames can be queued at once. */
bool tcp_dial(const char *host, const char *port, struct connection *connection, struct error *error);

/* Closes an open connection and frees its buffers. */
void connection_close(struct connection *connection);

/* Sets the largest payload that the connection accepts. The call is allowed only between frames. */
void connection_limit(struct connection *connection, size_t payload_bytes);

enum frame_state { FRAME_PARTIAL, FRAME_WHOLE, FRAME_FAILED };

/* Reads the bytes that have arrived, up to the end of the current frame, and does not wait. FRAME_FAILED: the other end
 * closed the connection, the connection failed, or the bytes are no valid frame. */
enum frame_state frame_read(struct connection *connection, struct frame *frame, struct error *error);

/* Waits for a whole frame for up to `seconds`. */
bool frame_wait(struct connection *connection, double seconds, struct frame *frame, struct error *error);

/* Returns true if the connection is open and no byte waits to be read. It is for a sender that must not send now. */
bool connection_idle(struct connection *connection, struct error *error);

/* Releases the frame's payload, so that the next frame can be read. */
void frame_done(struct connection *connection);

/* Sends a frame within `seconds`. The time that pacing takes does not count. */
bool frame_send(struct connection *connection, struct pace *pace, uint8_t type, uint32_t round, const uint8_t *payload,
                size_t bytes, double seconds, struct error *error);

/* A frame on its way to one of several connections that are served at once. */
struct parcel {
    uint8_t head[FRAME_HEAD_BYTES];
    const uint8_t *payload; /* the caller's, until the parcel is sent */
    size_t size, sent;      /* bytes of the frame with its tag, and how many of them were sent */
    size_t bytes;           /* of the payload */
    uint8_t tag[TAG_BYTES];
    size_t paid; /* bytes that pacing allows to send */
};

enum parcel_state { PARCEL_SENT, PARCEL_BLOCKED, PARCEL_FAILED };

/* Starts a frame, and sends as much of it as the socket takes. PARCEL_BLOCKED: call parcel_send again when the socket
 * takes more. *paused grows by the seconds that pacing took. No other frame may be sent meanwhile. */
void parcel_start(struct connection *connection, struct parcel *parcel, uint8_t type, uint32_t round,
                  const uint8_t *payload, size_t bytes);
enum parcel_state parcel_send(struct connection *connection, struct pace *pace, struct parcel *parcel, double *paused,
                              struct error *error);

/* Queues a frame for connection_flush and returns its payload. The caller must write the payload before the next call
 * for this connection. */
uint8_t *frame_queue(struct connection *connection, uint8_t type, uint32_t round, size_t bytes);

/* Returns whether connection_flush has bytes that it may send now. */
bool connection_waits(const struct connection *connection);

/* Sends as much of the queue as socket and pace take without waiting; returns false if the connection is lost. The
 * caller calls pace_idle before the first frame that it queues after the link had nothing to send. */
bool connection_flush(struct connection *connection, struct pace *pace, struct error *error);

/* Tells a pace that its link has had nothing to send until now. */
void pace_idle(struct pace *pace);

#endif
