/* A mesh of equal peers. Each peer dials every other peer, and sends over the connection that it dialed.
 *
 *   dialer:  HELLO (number, process, settings)        dialed:  WELCOME (process, number of the last push)
 *            PUSH (weight, ...), later CONFIRM                 ACK
 *            ASK (for weight), BEAT, DONE (no more pushes)     BEAT
 *            REPORT, LEDGER (its statement, at the end)        ACK (of the ledger: number 0)
 *                                                              REFUSED or WRITTEN_OFF (text), instead of any of these
 *
 * The pushes over a link are numbered, and only one is in flight, so that no push is mixed twice. When a lost
 * connection is dialed again, WELCOME tells whether the last push had arrived. Only mesh_receive waits, until its
 * deadline. Frames that the socket does not take at once are queued.
 *
 * A peer whose connection is lost has `timeout` seconds to come back. If its machine answers that no process listens
 * at the port any more, the peer has no time. A peer that does not come back is written off (ledger.h) with a line in
 * the log. A peer that sends an invalid frame is written off at once. If a peer comes back after it was written off,
 * the others tell it so, and it ends. A new process of that peer may join.
 *
 * A hello cannot take the place of a living peer. If the hello of a new process comes while the older one is not
 * written off, the hello waits until it is, or until the new process answers at the peer's address. Other strangers
 * have two seconds for their hello, and the oldest of 16 strangers makes room for a new one. In each turn a peer reads
 * a limited number of frames from each connection, and it reads nothing from a peer that leaves its answers unread.
 */
#ifndef EXAMPLES_MESH_H
#define EXAMPLES_MESH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../error.h"
#include "connection.h"
#include "hello.h"
#include "ledger.h"

enum link_frame {
    LINK_HELLO = 1,
    LINK_WELCOME,
    LINK_REFUSED,
    LINK_WRITTEN_OFF,
    LINK_PUSH,
    LINK_ACK,
    LINK_CONFIRM,
    LINK_ASK,
    LINK_BEAT,
    LINK_DONE,
    LINK_REPORT,
    LINK_LEDGER
};

/* hello.h says what a hello and a welcome hold. A push begins with its weight (8 bytes). */
enum { MESH_STRANGERS = 16 };

enum link_stage { LINK_DOWN, LINK_GREETING, LINK_UP };

/* The two connections with one other peer. */
struct link {
    size_t id; /* number of the other peer */
    char host[256], port[8];
    struct error why; /* why a connection was lost last, or could not be made */
    bool gone;        /* the peer is written off */
    uint64_t newest;  /* largest number of a process of the peer that was met */
    bool leaving;     /* the peer's ledger has arrived: it may end */
    bool done;        /* the peer pushes no more */
    bool asks;        /* the peer asks for weight; the caller clears this */

    enum link_stage stage; /* of the connection that this peer dialed */
    struct connection out;
    uint64_t dialed;                            /* how many times that connection came up */
    uint32_t pushed;                            /* number of the last push */
    bool told;                                  /* the other peer has this peer's ledger */
    double out_heard, out_sent, dial_at, up_at; /* times of mesh->clock, like in_heard */

    bool in_open; /* whether the connection that the other peer dialed is open */
    struct connection in;
    uint64_t accepted; /* how many times that connection came up */
    uint32_t mixed;    /* number of the last push that arrived */
    double in_heard;
    bool delivered; /* `frame` is there for mesh_receive */
    struct frame frame;
};

/* An accepted connection whose hello has not arrived, or must wait. */
struct stranger {
    bool open, greeted; /* greeted: its hello has arrived */
    struct connection connection;
    uint64_t since;  /* mesh->strangers when it was accepted */
    double deadline; /* of mesh->clock */
};

struct mesh {
    double clock;         /* seconds in which this peer served its connections; a pause counts at most timeout / 8 */
    double looked;        /* clock_seconds() when this peer served its connections last */
    const char *settings; /* settings text that every peer must have */
    double timeout;       /* seconds until a silent peer is lost */
    struct pace pace;     /* of all that this peer sends */
    bool busy;            /* bytes were left to send in the last turn */
    size_t turn;          /* number of the link that was served first in it */
    int listener;
    bool started, done;       /* this peer has begun to train; it pushes no more */
    const uint8_t *statement; /* this peer's statement for the others; NULL: there is none yet */
    struct ledger ledger;
    uint64_t bytes_out, bytes_in; /* of PUSH, ACK and CONFIRM frames, heads included; bytes_out also counts ASK */
    size_t in_limit;              /* bytes of the largest payload that a peer may send */
    struct link *link;            /* link[n - 1] is the link with peer n */
    struct stranger stranger[MESH_STRANGERS];
    uint64_t strangers; /* number of connections accepted so far */
    bool ended;         /* another peer says that this one must end, for this reason: */
    struct error reason;
};

/* Creates the mesh of peer `id`. `list` holds the address of each peer in order, as in "host:port,[::1]:7420".
 * `founder`: the peer starts with a share of the weight. `payload_limit`: bytes of the largest push or report.
 * The caller then sets `settings`, `timeout`, `listener` and `pace`. The settings text and the listener stay the
 * caller's. Free the mesh with mesh_free, which also closes its connections. */
void mesh_create(struct mesh *mesh, size_t id, size_t peers, const char *list, bool founder, size_t payload_limit);
void mesh_free(struct mesh *mesh);

/* Returns the number of addresses in a list. */
size_t mesh_address_count(const char *list);

/* Reads the n-th address of a list, n from 1. Returns false if it is not host:port. */
bool mesh_address(const char *list, size_t n, char host[256], char port[8]);

/* Returns whether this peer can push to peer `id` now. */
bool mesh_ready(const struct mesh *mesh, size_t id);

/* Returns whether both connections with every peer that is not written off are up. */
bool mesh_complete(const struct mesh *mesh);

/* Returns the lowest number of a peer that is not written off; the peer itself counts. */
size_t mesh_lowest(const struct mesh *mesh);

/* Queues a push of half the weight to a ready peer. The push carries `bytes` bytes after the weight, and the function
 * returns where the caller writes them. NULL: the weight cannot be halved again. */
uint8_t *mesh_push(struct mesh *mesh, size_t id, size_t bytes);

/* Queues a frame for a peer whose link is up, and returns where the caller writes its payload. */
uint8_t *mesh_send(struct mesh *mesh, size_t id, enum link_frame type, uint32_t number, size_t bytes);

/* Returns whether so few bytes wait for peer `id` that a frame that it can do without should be queued, too. */
bool mesh_has_room(const struct mesh *mesh, size_t id);

/* Tells all peers that this peer pushes no more. */
void mesh_done(struct mesh *mesh);

/* Sends this peer's statement to all peers. The caller keeps the statement until mesh_free. */
void mesh_tell(struct mesh *mesh, const uint8_t *statement);

/* Serves all connections until a PUSH, REPORT or LEDGER has arrived, and returns its link. Returns NULL at the deadline
 * (of clock_seconds), or if this peer must end. The caller gives the frame back with mesh_accept or mesh_reject. */
struct link *mesh_receive(struct mesh *mesh, double deadline);

/* Acknowledges the frame and books its weight. */
void mesh_accept(struct mesh *mesh, struct link *link);

/* Refuses the frame: the peer that sent it is told the reason and written off. */
void mesh_reject(struct mesh *mesh, struct link *link, const char *reason);

#endif
