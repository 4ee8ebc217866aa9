/* Weights that are never made nor lost: the books of gossip, where peers push each other parts of a weight.
 *
 * A weight is a whole number of units of 2^-56, so it adds and halves exactly. All peers together start with
 * WEIGHT_ONE. Nobody keeps the sum: each peer keeps, for every other, how much it sent there and received from there.
 * What a dead peer held is the balance of these books and its first share, so the living and what was written off are
 * exactly 1.
 *
 * A push is in flight, and still its sender's, until the receiver's acknowledgement; the sender books it then and
 * confirms that. The receiver adds it at once, but does not push it on until it is confirmed. So, if the receiver dies
 * after mixing and before its acknowledgement arrived, the sender takes the weight back, and no part of it can be
 * anywhere else: it died unspent.
 */
#ifndef EXAMPLES_LEDGER_H
#define EXAMPLES_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEIGHT_ONE ((uint64_t)1 << 56)

/* One peer's books with another. */
struct book {
    uint64_t incarnation;    /* the other's process; 0: none met */
    uint64_t sent, received; /* with that process, booked; these sums, and their balance, are modulo 2^64 */
    uint64_t flight;         /* sent, but not acknowledged */
    uint64_t unconfirmed;    /* received last, not to be spent yet */
    uint64_t lost;           /* sent less received with the other's processes that are gone */
};

struct ledger {
    size_t id, peers;     /* own number, from 1; how many peers there are */
    uint64_t incarnation; /* of this process */
    bool founder;         /* it started with a share */
    uint64_t weight;      /* its own, without what is in flight */
    struct book *book;    /* of peer n: book[n - 1] */
};

/* The weight that a peer starts with: WEIGHT_ONE dealt as evenly as units allow. */
uint64_t weight_share(size_t id, size_t peers);

/* A founder has its share, any other nothing. Free with ledger_free. */
struct ledger ledger_create(size_t id, size_t peers, uint64_t incarnation, bool founder);
void ledger_free(struct ledger *ledger);

/* Half of what may be spent leaves for that peer; 0: it can be halved no more. One push at a time for each peer. */
uint64_t ledger_push(struct ledger *ledger, size_t to);

/* The push that is in flight, if any, was acknowledged, or comes back. */
void ledger_acknowledged(struct ledger *ledger, size_t to);
void ledger_returned(struct ledger *ledger, size_t to);

/* Whether a peer can have sent so much. */
bool ledger_plausible(const struct ledger *ledger, uint64_t weight);

/* A push arrives; and its sender knows that it did. */
void ledger_receive(struct ledger *ledger, size_t from, uint64_t weight);
void ledger_confirmed(struct ledger *ledger, size_t from);

/* The other's process is gone: what is in flight comes back, the rest is closed. */
void ledger_write_off(struct ledger *ledger, size_t peer);

/* A ledger as bytes, for the others. False for what is none of that peer's. */
size_t statement_bytes(size_t peers);
void statement_put(uint8_t *bytes, const struct ledger *ledger);
bool statement_get(const uint8_t *bytes, size_t size, struct ledger *ledger);

/* All that there is at the end. */
struct settlement {
    uint64_t living;     /* the sum of their weights */
    int64_t written_off; /* the sum of those who are not there */
    bool exact;          /* the two are WEIGHT_ONE, and the books of each two of the living agree */
    size_t differ[2];    /* two whose books do not, or 0 */
    int64_t *written;    /* peer n's processes that are gone: written[n - 1] */
};

/* Adds up the ledgers of the living: ledger[n - 1] is peer n's, living if its weight and incarnation are not both 0.
 * Two dead peers' pushes to each other are in no living book, so that what each of them held is known but for these;
 * the sum is not affected. Free `written`. */
struct settlement ledger_settle(const struct ledger *ledger, size_t peers);

#endif
