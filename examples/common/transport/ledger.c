#include "ledger.h"

#include <stdlib.h>
#include <string.h>

#include "../bytes.h"
#include "../memory.h"

enum { STATEMENT_HEAD_BYTES = 25, STATEMENT_BOOK_BYTES = 32 };

uint64_t weight_share(size_t id, size_t peers) {
    return WEIGHT_ONE / peers + (id <= WEIGHT_ONE % peers);
}

struct ledger ledger_create(size_t id, size_t peers, uint64_t incarnation, bool founder) {
    struct ledger ledger = {id, peers, incarnation, founder, founder ? weight_share(id, peers) : 0, NULL};
    ledger.book = (struct book *)allocate(peers, sizeof *ledger.book);
    return ledger;
}

void ledger_free(struct ledger *ledger) {
    free(ledger->book);
    memset(ledger, 0, sizeof *ledger);
}

uint64_t ledger_push(struct ledger *ledger, size_t to) {
    uint64_t spendable = ledger->weight;
    for (size_t i = 0; i < ledger->peers; i++) spendable -= ledger->book[i].unconfirmed;
    ledger->weight -= spendable / 2;
    return ledger->book[to - 1].flight = spendable / 2;
}

void ledger_acknowledged(struct ledger *ledger, size_t to) {
    struct book *book = &ledger->book[to - 1];
    book->sent += book->flight;
    book->flight = 0;
}

void ledger_returned(struct ledger *ledger, size_t to) {
    struct book *book = &ledger->book[to - 1];
    ledger->weight += book->flight;
    book->flight = 0;
}

bool ledger_plausible(const struct ledger *ledger, uint64_t weight) {
    return weight > 0 && weight <= WEIGHT_ONE - ledger->weight;
}

void ledger_receive(struct ledger *ledger, size_t from, uint64_t weight) {
    struct book *book = &ledger->book[from - 1];
    ledger->weight += weight;
    book->received += weight;
    book->unconfirmed = weight;
}

void ledger_confirmed(struct ledger *ledger, size_t from) {
    ledger->book[from - 1].unconfirmed = 0;
}

void ledger_write_off(struct ledger *ledger, size_t peer) {
    struct book *book = &ledger->book[peer - 1];
    ledger_returned(ledger, peer);
    book->lost += book->sent - book->received;
    book->incarnation = book->sent = book->received = book->unconfirmed = 0;
}

size_t statement_bytes(size_t peers) {
    return STATEMENT_HEAD_BYTES + peers * STATEMENT_BOOK_BYTES;
}

void statement_put(uint8_t *bytes, const struct ledger *ledger) {
    put_u64(bytes, ledger->id);
    put_u64(bytes + 8, ledger->incarnation);
    put_u64(bytes + 16, ledger->weight);
    bytes[24] = ledger->founder;
    bytes += STATEMENT_HEAD_BYTES;
    for (size_t i = 0; i < ledger->peers; i++, bytes += STATEMENT_BOOK_BYTES) {
        put_u64(bytes, ledger->book[i].incarnation);
        put_u64(bytes + 8, ledger->book[i].sent);
        put_u64(bytes + 16, ledger->book[i].received);
        put_u64(bytes + 24, ledger->book[i].lost);
    }
}

bool statement_get(const uint8_t *bytes, size_t size, struct ledger *ledger) {
    if (size != statement_bytes(ledger->peers) || get_u64(bytes) != ledger->id || get_u64(bytes + 16) > WEIGHT_ONE)
        return false;
    ledger->incarnation = get_u64(bytes + 8);
    ledger->weight = get_u64(bytes + 16);
    ledger->founder = bytes[24];
    bytes += STATEMENT_HEAD_BYTES;
    for (size_t i = 0; i < ledger->peers; i++, bytes += STATEMENT_BOOK_BYTES) {
        ledger->book[i].incarnation = get_u64(bytes);
        ledger->book[i].sent = get_u64(bytes + 8);
        ledger->book[i].received = get_u64(bytes + 16);
        ledger->book[i].lost = get_u64(bytes + 24);
    }
    return true;
}

struct settlement ledger_settle(const struct ledger *ledger, size_t peers) {
    struct settlement end;
    uint64_t written_off = 0;
    memset(&end, 0, sizeof end);
    end.written = (int64_t *)allocate(peers, sizeof *end.written);
    for (size_t n = 0; n < peers; n++) {
        uint64_t gone = ledger[n].incarnation && ledger[n].founder ? 0 : weight_share(n + 1, peers);
        for (size_t i = 0; i < peers; i++) {
            const struct book *to = &ledger[i].book[n], *back = &ledger[n].book[i];
            if (!ledger[i].incarnation) continue;
            gone += to->lost;
            bool both = ledger[n].incarnation && to->incarnation == ledger[n].incarnation &&
                        back->incarnation == ledger[i].incarnation;
            if (!both) {
                gone += to->sent - to->received;
            } else if (to->sent != back->received) {
                end.differ[0] = i + 1;
                end.differ[1] = n + 1;
            }
        }
        end.living += ledger[n].weight;
        end.written[n] = (int64_t)gone;
        written_off += gone;
    }
    end.written_off = (int64_t)written_off;
    end.exact = !end.differ[0] && end.living + written_off == WEIGHT_ONE;
    return end;
}
