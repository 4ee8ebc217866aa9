#include "links.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bytes.h"
#include "metrics.h"

enum { TEXT_BYTES = 512 }; /* a refusal's at most; also limits the other answers */
static const double pause_s = 0.05, dial_again_s = 0.2;

/* ---- Addresses ------------------------------------------------------------------------------------------------- */

size_t links_count(const char *list) {
    size_t count = 1;
    for (; *list; list++) count += *list == ',';
    return count;
}

bool links_address(const char *list, size_t n, char host[256], char port[8]) {
    for (; n > 1 && list; n--) list = strchr(list, ',') ? strchr(list, ',') + 1 : NULL;
    if (!list) return false;
    size_t length = strcspn(list, ","), colon = length;
    while (colon > 0 && list[colon - 1] != ':') colon--;
    size_t port_bytes = length - colon, first = *list == '[', host_bytes = colon ? colon - 1 : 0;
    if (first && (host_bytes < 2 || list[host_bytes - 1] != ']')) return false;
    host_bytes -= 2 * first;
    if (host_bytes == 0 || host_bytes > 255 || port_bytes == 0 || port_bytes > 5) return false;
    snprintf(host, 256, "%.*s", (int)host_bytes, list + first);
    snprintf(port, 8, "%.*s", (int)port_bytes, list + colon);
    return strspn(port, "0123456789") == port_bytes && strcspn(host, first ? "[]" : "[]:") == host_bytes;
}

void links_create(struct links *links, size_t id, size_t peers, const char *list, bool founder, int listener,
                  const char *shared, double timeout, size_t payload_limit) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    memset(links, 0, sizeof *links);
    links->shared = shared;
    links->timeout = timeout;
    links->listener = listener;
    links->looked = clock_seconds();
    links->in_limit = payload_limit > statement_bytes(peers) ? payload_limit : statement_bytes(peers);
    links->ledger = ledger_create(id, peers, (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec,
                                  founder); /* later, newer */
    links->link = (struct link *)allocate(peers, sizeof *links->link);
    for (size_t i = 0; i < peers; i++) {
        struct link *link = &links->link[i];
        link->id = i + 1;
        links_address(list, i + 1, link->host, link->port);
        set_error(&link->why, "never came");
        link->gone = link->id == id; /* nothing goes to itself */
    }
}

static struct book *book_of(struct links *links, const struct link *link) {
    return &links->ledger.book[link->id - 1];
}

static void close_out(struct link *link) {
    if (link->stage != LINK_DOWN) connection_close(&link->out);
    link->stage = LINK_DOWN;
}

static void close_in(struct link *link) {
    if (link->in_open) connection_close(&link->in);
    link->in_open = link->delivered = false;
}

void links_free(struct links *links) {
    for (size_t i = 0; i < links->ledger.peers; i++) {
        close_out(&links->link[i]);
        close_in(&links->link[i]);
    }
    for (size_t i = 0; i < LINK_STRANGERS; i++)
        if (links->stranger[i].open) connection_close(&links->stranger[i].connection);
    free(links->link);
    ledger_free(&links->ledger);
    memset(links, 0, sizeof *links);
}

bool links_ready(const struct links *links, size_t id) {
    return links->link[id - 1].stage == LINK_UP && links->ledger.book[id - 1].flight == 0;
}

bool links_complete(const struct links *links) {
    for (size_t i = 0; i < links->ledger.peers; i++) {
        const struct link *link = &links->link[i];
        if (!link->gone && (link->stage != LINK_UP || !link->in_open)) return false;
    }
    return true;
}

size_t links_lowest(const struct links *links) {
    size_t lowest = 1;
    while (lowest != links->ledger.id && links->link[lowest - 1].gone) lowest++;
    return lowest;
}

/* ---- Sending --------------------------------------------------------------------------------------------------- */

uint8_t *links_send(struct links *links, size_t id, enum link_frame type, uint32_t number, size_t bytes) {
    struct link *link = &links->link[id - 1];
    link->out_sent = links->clock;
    if (type == LINK_PUSH || type == LINK_CONFIRM || type == LINK_ASK) links->bytes_out += FRAME_HEAD_BYTES + bytes;
    return frame_queue(&link->out, (uint8_t)type, number, bytes);
}

uint8_t *links_push(struct links *links, size_t id, size_t bytes) {
    uint64_t weight = ledger_push(&links->ledger, id);
    if (weight == 0) return NULL;
    uint8_t *payload = links_send(links, id, LINK_PUSH, ++links->link[id - 1].pushed, 8 + bytes);
    put_u64(payload, weight);
    return payload + 8;
}

void links_done(struct links *links) {
    links->done = true;
    for (size_t i = 0; i < links->ledger.peers; i++)
        if (links->link[i].stage == LINK_UP) links_send(links, i + 1, LINK_DONE, 0, 0);
}

static void tell(struct links *links, struct link *link) {
    size_t bytes = statement_bytes(links->ledger.peers);
    memcpy(links_send(links, link->id, LINK_LEDGER, 0, bytes), links->statement, bytes);
}

void links_tell(struct links *links, const uint8_t *statement) {
    links->statement = statement;
    for (size_t i = 0; i < links->ledger.peers; i++)
        if (links->link[i].stage == LINK_UP) tell(links, &links->link[i]);
}

/* Sends a last word, if the socket takes it at once. */
static void send_text(struct connection *connection, enum link_frame type, const char *text) {
    struct error ignored;
    size_t bytes = strlen(text) < TEXT_BYTES ? strlen(text) : TEXT_BYTES;
    memcpy(frame_queue(connection, (uint8_t)type, 0, bytes), text, bytes);
    connection_flush(connection, &ignored);
}

/* ---- Losing ---------------------------------------------------------------------------------------------------- */

static void write_off(struct links *links, struct link *link, const char *reason) {
    struct book *book = book_of(links, link);
    say(links->ledger.id, "peer %zu (%s:%s) is written off: %.250s; it got %.6f and gave %.6f here%s", link->id,
        link->host, link->port, reason, (double)book->sent / (double)WEIGHT_ONE,
        (double)book->received / (double)WEIGHT_ONE, book->flight ? "; a push on its way there comes back" : "");
    ledger_write_off(&links->ledger, link->id);
    close_out(link);
    close_in(link);
    link->gone = true;
    link->asks = link->done = link->leaving = false;
}

static void lose_out(struct links *links, struct link *link, const char *reason) {
    bool refused = link->out.failure == ECONNREFUSED && (book_of(links, link)->incarnation || !links->ledger.founder);
    if (!refused || !book_of(links, link)->incarnation) set_error(&link->why, "%s", reason);
    close_out(link);
    link->dial_at = links->clock + dial_again_s;
    if (link->leaving)
        link->told = true; /* it had what it waited for */
    else if (refused)
        write_off(links, link, link->why.text);
}

static void lose_in(struct link *link, const char *reason) {
    set_error(&link->why, "%s", reason);
    close_in(link);
}

void links_reject(struct links *links, struct link *link, const char *reason) {
    send_text(&link->in, LINK_WRITTEN_OFF, reason);
    write_off(links, link, reason);
}

/* ---- Meeting --------------------------------------------------------------------------------------------------- */

/* Takes note of which process a peer is. False: one that is gone. */
static bool meet(struct links *links, struct link *link, uint64_t incarnation) {
    struct book *book = book_of(links, link);
    if (incarnation == book->incarnation) return true;
    if (incarnation <= link->newest) return false;
    if (book->incarnation) write_off(links, link, "it was started anew");
    book->incarnation = link->newest = incarnation;
    link->gone = link->done = link->leaving = link->asks = link->told = false;
    link->pushed = link->mixed = 0;
    link->up_at = links->clock;
    return true;
}

static void dial(struct links *links, struct link *link) {
    struct error error;
    link->out_heard = links->clock;
    if (!tcp_dial(link->host, link->port, &link->out, &error)) {
        lose_out(links, link, error.text);
        return;
    }
    size_t text_bytes = strlen(links->shared);
    link->stage = LINK_GREETING;
    connection_limit(&link->out, TEXT_BYTES);
    uint8_t *hello = links_send(links, link->id, LINK_HELLO, 0, LINK_HELLO_HEAD + text_bytes);
    put_u32(hello, (uint32_t)links->ledger.id);
    put_u64(hello + 4, links->ledger.incarnation);
    hello[12] = links->ledger.founder;
    memcpy(hello + LINK_HELLO_HEAD, links->shared, text_bytes);
}

/* What the other said at last about this peer's pushes. */
static bool welcomed(struct links *links, struct link *link, const struct frame *frame) {
    struct book *book = book_of(links, link);
    if (frame->bytes != LINK_WELCOME_BYTES) return false;
    struct connection out = link->out;
    uint32_t came = get_u32(frame->payload + 8);
    link->stage = LINK_DOWN; /* lest it is closed with what an earlier process had */
    bool met = meet(links, link, get_u64(frame->payload));
    link->out = out;
    link->stage = LINK_GREETING;
    if (!met) return false;
    if (came != link->pushed && !(book->flight && came == link->pushed - 1)) return false;
    if (came == link->pushed)
        ledger_acknowledged(&links->ledger, link->id);
    else
        ledger_returned(&links->ledger, link->id);
    link->pushed = came;
    link->stage = LINK_UP;
    link->dialed++;
    if (came) links_send(links, link->id, LINK_CONFIRM, came, 0);
    if (links->done) links_send(links, link->id, LINK_DONE, 0, 0);
    if (links->statement) tell(links, link);
    return true;
}

/* Checks a stranger's hello and takes its connection over. */
static bool greet(struct links *links, struct connection *connection, const struct frame *frame,
                  enum link_frame *answer, struct error *error) {
    char theirs[SHARED_BYTES], option[256], their_option[256];
    *answer = LINK_REFUSED;
    if (frame->type != LINK_HELLO || frame->bytes < LINK_HELLO_HEAD || frame->bytes >= LINK_HELLO_BYTES)
        return set_error(error, "does not begin with a hello");
    memcpy(theirs, frame->payload + LINK_HELLO_HEAD, frame->bytes - LINK_HELLO_HEAD);
    theirs[frame->bytes - LINK_HELLO_HEAD] = 0;
    options_difference(links->shared, theirs, option, their_option);
    if (*option)
        return set_error(error, "peer %zu runs with %.180s, you with %.180s", links->ledger.id, option, their_option);
    size_t id = get_u32(frame->payload);
    if (id == 0 || id > links->ledger.peers || id == links->ledger.id)
        return set_error(error, "wants to be peer %zu, to peer %zu of %zu", id, links->ledger.id, links->ledger.peers);

    struct link *link = &links->link[id - 1];
    uint64_t incarnation = get_u64(frame->payload + 4);
    bool founder = frame->payload[12], anew = incarnation > link->newest;
    if (anew && founder && (link->newest || link->gone))
        return set_error(error, "there was a peer %zu already: start it with --join", id);
    if (anew && links->done) return set_error(error, "the training is over");
    if (!meet(links, link, incarnation)) {
        *answer = LINK_WRITTEN_OFF;
        return set_error(error, "this peer %zu was written off: start it again with --join", id);
    }
    if (anew && !founder) say(links->ledger.id, "peer %zu (%s) joined", id, connection->name);
    close_in(link);
    frame_done(connection);
    connection_limit(connection, links->in_limit);
    link->in = *connection;
    link->in_open = true;
    link->in_heard = links->clock;
    link->accepted++;
    uint8_t *welcome = frame_queue(&link->in, LINK_WELCOME, 0, LINK_WELCOME_BYTES);
    put_u64(welcome, links->ledger.incarnation);
    put_u32(welcome + 8, link->mixed);
    return true;
}

/* ---- Hearing --------------------------------------------------------------------------------------------------- */

static bool acknowledged(struct links *links, struct link *link, uint32_t number) {
    if (number == 0 && links->statement) {
        link->told = true;
        return true;
    }
    if (number == 0 || number != link->pushed || book_of(links, link)->flight == 0) return false;
    links->bytes_in += FRAME_HEAD_BYTES;
    ledger_acknowledged(&links->ledger, link->id);
    links_send(links, link->id, LINK_CONFIRM, number, 0);
    return true;
}

/* What comes back over a connection that this peer dialed. */
static void hear_out(struct links *links, struct link *link) {
    struct error error;
    struct frame frame;
    for (enum frame_state state; link->stage != LINK_DOWN; frame_done(&link->out)) {
        state = frame_read(&link->out, &frame, &error);
        if (state == FRAME_FAILED && link->out.failure)
            lose_out(links, link, error.text);
        else if (state == FRAME_FAILED)
            write_off(links, link, error.text);
        if (state != FRAME_WHOLE) return;
        link->out_heard = links->clock;
        bool good = link->stage == LINK_GREETING ? frame.type == LINK_WELCOME && welcomed(links, link, &frame)
                    : frame.type == LINK_ACK     ? acknowledged(links, link, frame.round)
                                                 : frame.type == LINK_BEAT;
        if (frame.type == LINK_WRITTEN_OFF || (frame.type == LINK_REFUSED && !links->started)) {
            links->ended = true;
            set_error(&links->reason, "peer %zu (%s) refuses: %.*s", link->id, link->out.name, (int)frame.bytes,
                      (const char *)frame.payload);
            return;
        }
        if (!good) {
            write_off(links, link, frame.type == LINK_REFUSED ? "it refuses this peer" : "answers out of turn");
            return;
        }
    }
}

/* Deals with a frame that a peer sends; what is the caller's is left to be delivered. False: out of turn. */
static bool take(struct links *links, struct link *link) {
    const struct frame *frame = &link->frame;
    bool empty = frame->bytes == 0;
    switch (frame->type) {
    case LINK_PUSH:
        link->delivered = true;
        return !link->done && frame->round == link->mixed + 1 && frame->bytes >= 8 &&
               book_of(links, link)->unconfirmed == 0 && ledger_plausible(&links->ledger, get_u64(frame->payload));
    case LINK_REPORT:
    case LINK_LEDGER:
        link->delivered = true;
        return true;
    case LINK_CONFIRM:
        ledger_confirmed(&links->ledger, link->id);
        return empty && frame->round == link->mixed;
    case LINK_ASK:
        return link->asks = empty;
    case LINK_BEAT:
        frame_queue(&link->in, LINK_BEAT, 0, 0);
        return empty;
    case LINK_DONE:
        return link->done = empty;
    default:
        return false;
    }
}

static void hear_in(struct links *links, struct link *link) {
    struct error error;
    while (link->in_open && !link->delivered) {
        size_t had = link->in.have;
        enum frame_state state = frame_read(&link->in, &link->frame, &error);
        if (state != FRAME_FAILED && link->in.have > had) link->in_heard = links->clock;
        if (state == FRAME_FAILED && link->in.failure) {
            lose_in(link, error.text);
            return;
        }
        if (state == FRAME_PARTIAL) return;
        if (state == FRAME_FAILED || !take(links, link)) {
            links_reject(links, link, state == FRAME_FAILED ? error.text : "sends a frame out of turn");
            return;
        }
        if (!link->delivered) frame_done(&link->in);
    }
}

static void hear_stranger(struct links *links, size_t slot) {
    struct connection *connection = &links->stranger[slot].connection;
    struct frame frame;
    struct error error;
    enum link_frame answer = LINK_REFUSED;
    enum frame_state state = frame_read(connection, &frame, &error);
    bool late = links->clock >= links->stranger[slot].deadline;
    if (state == FRAME_PARTIAL && !late) return;
    links->stranger[slot].open = false;
    if (state == FRAME_WHOLE && greet(links, connection, &frame, &answer, &error)) return;
    if (state == FRAME_PARTIAL) set_error(&error, "no hello for %g s (--timeout)", links->timeout);
    say(links->ledger.id, "dropped %s: %s", connection->name, error.text);
    if (state == FRAME_WHOLE) send_text(connection, answer, error.text);
    connection_close(connection);
}

static void accept_stranger(struct links *links) {
    struct connection connection;
    size_t slot = 0;
    if (!tcp_accept(links->listener, &connection)) return;
    while (slot < LINK_STRANGERS && links->stranger[slot].open) slot++;
    if (slot == LINK_STRANGERS) {
        say(links->ledger.id, "dropped %s: too many others have sent no hello yet", connection.name);
        connection_close(&connection);
        return;
    }
    connection_limit(&connection, LINK_HELLO_BYTES);
    links->stranger[slot].open = true;
    links->stranger[slot].connection = connection;
    links->stranger[slot].deadline = links->clock + links->timeout;
}

/* Sends what can be sent, and keeps the times: dials, gives a sign of life, gives up. */
static void tend(struct links *links, struct link *link) {
    struct error error;
    double now = links->clock;
    char silent[64];
    snprintf(silent, sizeof silent, "nothing came for %g s (--timeout)", links->timeout);
    if (link->gone) return;
    if (link->stage == LINK_DOWN && !link->leaving && now >= link->dial_at) dial(links, link);
    if (link->stage == LINK_UP && now > link->out_sent + links->timeout / 4)
        links_send(links, link->id, LINK_BEAT, 0, 0);
    if (link->stage != LINK_DOWN) {
        size_t unsent = link->out.queued - link->out.queue_sent;
        if (!connection_flush(&link->out, &error)) {
            lose_out(links, link, error.text);
        } else {
            size_t left = link->out.queued - link->out.queue_sent;
            if (left && left < unsent) link->out_heard = now; /* all buffers were full, and the other takes it */
            if (link->stage == LINK_UP) link->up_at = now;
            if (now > link->out_heard + links->timeout) lose_out(links, link, silent);
        }
    }
    if (link->in_open && !connection_flush(&link->in, &error)) lose_in(link, error.text);
    if (link->in_open && now > link->in_heard + links->timeout) lose_in(link, silent);
    if (!link->gone && !link->leaving && link->stage != LINK_UP && now > link->up_at + links->timeout)
        write_off(links, link, link->why.text);
}

/* One look at all connections, waiting at most until the deadline for something to happen. */
static void pump(struct links *links, double deadline) {
    size_t peers = links->ledger.peers, slots = 2 * peers + LINK_STRANGERS + 1;
    struct pollfd *poll_fd = (struct pollfd *)allocate(slots, sizeof *poll_fd), *in = poll_fd + peers;
    struct pollfd *stranger = in + peers, *listener = stranger + LINK_STRANGERS;
    for (size_t i = 0; i < slots; i++) poll_fd[i].fd = -1;
    for (size_t i = 0; i < peers; i++) {
        const struct link *link = &links->link[i];
        if (link->stage != LINK_DOWN) poll_fd[i].fd = link->out.fd;
        if (link->in_open) in[i].fd = link->in.fd;
        poll_fd[i].events = link->out.queued ? POLLIN | POLLOUT : POLLIN;
        in[i].events = link->in.queued ? POLLIN | POLLOUT : POLLIN;
    }
    for (size_t i = 0; i < LINK_STRANGERS; i++) {
        if (links->stranger[i].open) stranger[i].fd = links->stranger[i].connection.fd;
        stranger[i].events = POLLIN;
    }
    listener->fd = links->listener;
    listener->events = POLLIN;
    double now = clock_seconds(), wait = deadline < now + pause_s ? deadline - now : pause_s;
    poll(poll_fd, (nfds_t)slots, wait > 0.0 ? (int)(wait * 1000.0) + 1 : 0);
    bool somebody = listener->revents != 0;
    free(poll_fd);
    now = clock_seconds();
    /* what this peer slept or computed through is not the others' silence */
    links->clock += now - links->looked < links->timeout / 8 ? now - links->looked : links->timeout / 8;
    links->looked = now;
    for (size_t i = 0; i < peers && !links->ended; i++) {
        hear_out(links, &links->link[i]);
        hear_in(links, &links->link[i]);
        tend(links, &links->link[i]);
    }
    for (size_t i = 0; i < LINK_STRANGERS; i++)
        if (links->stranger[i].open) hear_stranger(links, i);
    if (somebody) accept_stranger(links);
}

struct link *links_receive(struct links *links, double deadline) {
    do {
        pump(links, deadline);
        for (size_t i = 0; i < links->ledger.peers; i++)
            if (links->link[i].delivered) return &links->link[i];
    } while (!links->ended && clock_seconds() < deadline);
    return NULL;
}

void links_accept(struct links *links, struct link *link) {
    if (link->frame.type == LINK_PUSH) {
        links->bytes_in += FRAME_HEAD_BYTES + link->frame.bytes + FRAME_HEAD_BYTES; /* with its confirmation */
        links->bytes_out += FRAME_HEAD_BYTES;
        ledger_receive(&links->ledger, link->id, get_u64(link->frame.payload));
        link->mixed++;
        frame_queue(&link->in, LINK_ACK, link->mixed, 0);
    } else if (link->frame.type == LINK_LEDGER) {
        link->leaving = true;
        frame_queue(&link->in, LINK_ACK, 0, 0);
    }
    link->delivered = false;
    frame_done(&link->in);
}
