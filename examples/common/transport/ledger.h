/* Weights that are neither created nor lost: the accounts of gossip, in which peers push parts of a weight.
 *
 * A weight is a whole number of units of 2^-56, so that it adds and halves exactly. The weights of all peers together
 * start as WEIGHT_ONE. No peer stores the sum. Instead each peer has a book for every other peer: how much weight it
 * sent to that peer and received from it. The weight of a lost peer follows from these books and the peer's first
 * share. So the weights of the living peers and the weights that were written off add up to exactly 1.
 *
 * A push is in flight, and its weight still belongs to the sender, until the receiver acknowledges it. Then the sender
 * books the push and confirms it. The receiver adds the weight when the push arrives, but does not spend it before the
 * confirmation. If the receiver dies before its acknowledgement arrives, the sender takes the weight back. The
 * receiver cannot have passed any part of that weight on.
 */
#ifndef EXAMPLES_LEDGER_H
#define EXAMPLES_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEIGHT_ONE ((uint64_t)1 << 56)

/* The accounts of one peer with one other peer. */
struct book {
    uint64_t incarnation;    /* number of the other peer's process; 0: no process has been met */
    uint64_t sent, received; /* booked with that process; the sums and their difference are modulo 2^64 */
    uint64_t flight;         /* sent, but not yet acknowledged */
    uint64_t unconfirmed;    /* received last; not to be spent before the confirmation */
    uint64_t lost;           /* sent minus received with earlier processes of the other peer */
};

struct ledger {
    size_t id, peers;     /* this peer's number, from 1, and the number of peers */
    uint64_t incarnation; /* number of this process */
    bool founder;         /* whether the process started with a share */
    uint64_t weight;      /* this peer's weight, without the weight in flight */
    struct book *book;    /* book[n - 1] is the book with peer n */
};

/* Returns the weight that a peer starts with. The shares differ by at most one unit and add up to WEIGHT_ONE. */
uint64_t weight_share(size_t id, size_t peers);

/* Creates a ledger. The weight of a founder is its share; that of any other peer is 0. Free it with ledger_free. */
struct ledger ledger_create(size_t id, size_t peers, uint64_t incarnation, bool founder);
void ledger_free(struct ledger *ledger);

/* Starts a push of half the weight that may be spent, and returns its weight. 0: the weight cannot be halved again.
 * Only one push to each peer can be in flight. */
uint64_t ledger_push(struct ledger *ledger, size_t to);

/* Books the push in flight, if there is one, after its acknowledgement. */
void ledger_acknowledged(struct ledger *ledger, size_t to);

/* Takes the weight of the push in flight, if there is one, back. */
void ledger_returned(struct ledger *ledger, size_t to);

/* Returns whether another peer can have sent so much weight. */
bool ledger_plausible(const struct ledger *ledger, uint64_t weight);

/* Books a push that has arrived. Its weight cannot be spent yet. */
void ledger_receive(struct ledger *ledger, size_t from, uint64_t weight);

/* Releases the weight of the last push from a peer: the sender has confirmed it. */
void ledger_confirmed(struct ledger *ledger, size_t from);

/* Closes the book with a peer whose process is lost. The weight in flight comes back; the rest is written off. */
void ledger_write_off(struct ledger *ledger, size_t peer);

/* A statement is a ledger as bytes, which each peer sends to the others at the end. statement_get reads the statement
 * of the peer ledger->id, and returns false if the bytes are no statement of that peer. */
size_t statement_bytes(size_t peers);
void statement_put(uint8_t *bytes, const struct ledger *ledger);
bool statement_get(const uint8_t *bytes, size_t size, struct ledger *ledger);

/* The sum of all weights at the end. */
struct settlement {
    uint64_t living;     /* sum of the living peers' weights */
    int64_t written_off; /* sum of the weights that were written off */
    bool exact;          /* both sums add up to WEIGHT_ONE, and the books of every two living peers agree */
    size_t differ[2];    /* two peers whose books do not agree; 0, 0: none */
    int64_t *written;    /* written[n - 1]: the weight of peer n's lost processes */
};

/* Adds up the ledgers. ledger[n - 1] is that of peer n; if its weight and its incarnation are 0, the peer is lost. The
 * caller frees `written`.
 * Pushes between two lost peers are in no book, so that `written` of these two can be wrong by such pushes. Their sum
 * is not affected. */
struct settlement ledger_settle(const struct ledger *ledger, size_t peers);

#endif
