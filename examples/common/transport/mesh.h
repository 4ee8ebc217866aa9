/* Links between peers of whom none is the master: each dials every other, and sends over what it dialed.
 *
 *   dialer:  HELLO (who, which process of it, settings)   dialed:  WELCOME (its process, the last push that came)
 *            PUSH (weight, ...), later CONFIRM                      ACK
 *            ASK (for weight), BEAT, DONE (no more pushes)          BEAT
 *            REPORT, LEDGER (its books, at the end)                 ACK (of the ledger: number 0)
 *                                                                   REFUSED or WRITTEN_OFF (text), in place of any
 *
 * Pushes are numbered, and one at a time is under way on a link: none can be mixed twice. When a connection is lost and
 * dialed again, WELCOME tells whether the last one had come. Waiting is nowhere but in links_receive, until its
 * deadline: what cannot be sent at once is queued.
 *
 * A process whose connection is lost has `timeout` seconds to come back, none if its machine says that nobody listens
 * there any more; then it is written off (ledger.h), with a line that names it, and so is at once who sends what no
 * peer sends. A peer that others wrote off is told so when it comes back, and ends; started anew, it may join.
 */
#ifndef EXAMPLES_LINKS_H
#define EXAMPLES_LINKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "frame.h"
#include "ledger.h"
#include "options.h"
#include "trainer.h"

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

/* A hello: number (4 bytes), process (8), whether it starts with a share (1), settings. A welcome: process (8), number
 * of the last push that came (4). A push begins with its weight (8). */
enum { LINK_HELLO_HEAD = 13, LINK_HELLO_BYTES = LINK_HELLO_HEAD + SHARED_BYTES, LINK_WELCOME_BYTES = 12 };
enum { LINK_STRANGERS = 16 };

enum link_stage { LINK_DOWN, LINK_GREETING, LINK_UP };

struct link {
    size_t id;
    char host[256], port[8];
    struct error why; /* its connection was lost last, or could not be made */
    bool gone;        /* written off */
    uint64_t newest;  /* process that was ever met */
    bool leaving;     /* its ledger has come: it may end */
    bool done;        /* it pushes no more */
    bool asks;        /* for weight; the caller's to clear */

    enum link_stage stage; /* of what this peer dialed */
    struct connection out;
    uint64_t dialed;                            /* how many times it came up */
    uint32_t pushed;                            /* number of the last push */
    bool told;                                  /* the other has this peer's ledger */
    double out_heard, out_sent, dial_at, up_at; /* all times are of links->clock */

    bool in_open; /* what the other dialed */
    struct connection in;
    uint64_t accepted; /* how many times it did */
    uint32_t mixed;    /* number of the last push that came */
    double in_heard;
    bool delivered; /* `frame` waits to be taken */
    struct frame frame;
};

struct links {
    double clock, looked; /* seconds, of which only part count when this peer was busy; when it last looked */
    const char *shared;   /* what every peer's settings must be */
    double timeout;
    int listener;
    bool started, done;       /* this peer trains; it pushes no more */
    const uint8_t *statement; /* what it tells at the end; NULL: not yet */
    struct ledger ledger;
    uint64_t bytes_out, bytes_in; /* of pushes and what acknowledges them */
    size_t in_limit;
    struct link *link; /* of peer n: link[n - 1] */
    struct {
        bool open;
        struct connection connection;
        double deadline;
    } stranger[LINK_STRANGERS];
    bool ended; /* a peer says that this one must end, for this reason: */
    struct error reason;
};

/* Links of peer `id` to those at the addresses in `list`, as in "host:port,[::1]:7420": that of peer n is the n-th.
 * `founder`: it starts with a share of the weight. `shared` and the listener are lent, the latter to be closed by the
 * caller. Free with links_free, which closes all connections. */
void links_create(struct links *links, size_t id, size_t peers, const char *list, bool founder, int listener,
                  const char *shared, double timeout, size_t payload_limit);
void links_free(struct links *links);

/* How many addresses there are in a list; the n-th of them. False: there is none. */
size_t links_count(const char *list);
bool links_address(const char *list, size_t n, char host[256], char port[8]);

/* Whether a peer can be pushed to now. */
bool links_ready(const struct links *links, size_t id);

/* Whether every peer that is not gone is linked both ways. */
bool links_complete(const struct links *links);

/* Lowest number of a peer that is not gone. */
size_t links_lowest(const struct links *links);

/* Queues a push of half the weight, and returns where its `bytes` after the weight are to be written; NULL: the weight
 * can be halved no more. The peer must be ready. */
uint8_t *links_push(struct links *links, size_t id, size_t bytes);

/* Queues a frame for a peer that is up, and returns where its payload is to be written. */
uint8_t *links_send(struct links *links, size_t id, enum link_frame type, uint32_t number, size_t bytes);

/* Tells all that this peer pushes no more; and, later, its ledger. */
void links_done(struct links *links);
void links_tell(struct links *links, const uint8_t *statement);

/* Works until a PUSH, REPORT or LEDGER has come, or the deadline (of clock_seconds), or the end of this peer: only then
 * there is none, NULL. Its frame is to be given back by links_accept, which acknowledges, or links_reject. */
struct link *links_receive(struct links *links, double deadline);
void links_accept(struct links *links, struct link *link);
void links_reject(struct links *links, struct link *link, const char *reason);

#endif
