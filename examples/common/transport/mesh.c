#include "mesh.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../bytes.h"
#include "../clock.h"
#include "../log.h"
#include "../memory.h"

enum { TEXT_BYTES = 512 };        /* largest text of a refusal, and largest payload of any answer */
enum { TURN_FRAMES = 64 };        /* most frames that one turn reads from a connection */
enum { QUEUE_BYTES = 64 * 1024 }; /* a peer that leaves more answers unread is not heard */
static const double pause_s = 0.05, dial_again_s = 0.2, hello_s = 2.0;

/* ---- Addresses --------------------------------------------------------------------------------------------------- */

size_t mesh_address_count(const char *list) {
    size_t count = 1;
    for (; *list; list++) count += *list == ',';
    return count;
}

bool mesh_address(const char *list, size_t n, char host[256], char port[8]) {
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

void mesh_create(struct mesh *mesh, size_t id, size_t peers, const char *list, bool founder, size_t payload_limit) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    memset(mesh, 0, sizeof *mesh);
    mesh->looked = clock_seconds();
    mesh->in_limit = payload_limit > statement_bytes(peers) ? payload_limit : statement_bytes(peers);
    /* the time as the process number, so that a later process has a larger number */
    mesh->ledger = ledger_create(id, peers, (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec, founder);
    mesh->link = (struct link *)allocate(peers, sizeof *mesh->link);
    for (size_t i = 0; i < peers; i++) {
        struct link *link = &mesh->link[i];
        link->id = i + 1;
        mesh_address(list, i + 1, link->host, link->port);
        set_error(&link->why, "it never connected");
        link->gone = link->id == id; /* a peer has no link to itself */
    }
}

static struct book *book_of(struct mesh *mesh, const struct link *link) {
    return &mesh->ledger.book[link->id - 1];
}

static void close_out(struct link *link) {
    if (link->stage != LINK_DOWN) connection_close(&link->out);
    link->stage = LINK_DOWN;
}

static void close_in(struct link *link) {
    if (link->in_open) connection_close(&link->in);
    link->in_open = link->delivered = false;
}

void mesh_free(struct mesh *mesh) {
    for (size_t i = 0; i < mesh->ledger.peers; i++) {
        close_out(&mesh->link[i]);
        close_in(&mesh->link[i]);
    }
    for (size_t i = 0; i < MESH_STRANGERS; i++)
        if (mesh->stranger[i].open) connection_close(&mesh->stranger[i].connection);
    free(mesh->link);
    ledger_free(&mesh->ledger);
    memset(mesh, 0, sizeof *mesh);
}

bool mesh_ready(const struct mesh *mesh, size_t id) {
    return mesh->link[id - 1].stage == LINK_UP && mesh->ledger.book[id - 1].flight == 0;
}

bool mesh_complete(const struct mesh *mesh) {
    for (size_t i = 0; i < mesh->ledger.peers; i++) {
        const struct link *link = &mesh->link[i];
        if (!link->gone && (link->stage != LINK_UP || !link->in_open)) return false;
    }
    return true;
}

size_t mesh_lowest(const struct mesh *mesh) {
    size_t lowest = 1;
    while (lowest != mesh->ledger.id && mesh->link[lowest - 1].gone) lowest++;
    return lowest;
}

/* ---- Sending ----------------------------------------------------------------------------------------------------- */

uint8_t *mesh_send(struct mesh *mesh, size_t id, enum link_frame type, uint32_t number, size_t bytes) {
    struct link *link = &mesh->link[id - 1];
    link->out_sent = mesh->clock;
    if (type == LINK_PUSH || type == LINK_CONFIRM || type == LINK_ASK) mesh->bytes_out += FRAME_HEAD_BYTES + bytes;
    return frame_queue(&link->out, (uint8_t)type, number, bytes);
}

uint8_t *mesh_push(struct mesh *mesh, size_t id, size_t bytes) {
    uint64_t weight = ledger_push(&mesh->ledger, id);
    if (weight == 0) return NULL;
    uint8_t *payload = mesh_send(mesh, id, LINK_PUSH, ++mesh->link[id - 1].pushed, 8 + bytes);
    put_u64(payload, weight);
    return payload + 8;
}

static size_t unsent(const struct connection *connection) {
    return connection->queued - connection->queue_sent;
}

bool mesh_has_room(const struct mesh *mesh, size_t id) {
    return unsent(&mesh->link[id - 1].out) <= mesh->in_limit;
}

void mesh_done(struct mesh *mesh) {
    mesh->done = true;
    for (size_t i = 0; i < mesh->ledger.peers; i++)
        if (mesh->link[i].stage == LINK_UP) mesh_send(mesh, i + 1, LINK_DONE, 0, 0);
}

static void tell(struct mesh *mesh, struct link *link) {
    size_t bytes = statement_bytes(mesh->ledger.peers);
    memcpy(mesh_send(mesh, link->id, LINK_LEDGER, 0, bytes), mesh->statement, bytes);
}

void mesh_tell(struct mesh *mesh, const uint8_t *statement) {
    mesh->statement = statement;
    for (size_t i = 0; i < mesh->ledger.peers; i++)
        if (mesh->link[i].stage == LINK_UP) tell(mesh, &mesh->link[i]);
}

/* Sends the reason why the connection ends, if the socket takes the frame at once. */
static void send_text(struct connection *connection, enum link_frame type, const char *text) {
    struct error ignored;
    struct pace unpaced = {0.0, 0.0};
    size_t bytes = strlen(text) < TEXT_BYTES ? strlen(text) : TEXT_BYTES;
    memcpy(frame_queue(connection, (uint8_t)type, 0, bytes), text, bytes);
    connection_flush(connection, &unpaced, &ignored);
}

/* ---- Losing a connection or a peer ------------------------------------------------------------------------------- */

static void write_off(struct mesh *mesh, struct link *link, const char *reason) {
    struct book *book = book_of(mesh, link);
    say(mesh->ledger.id,
        "peer %zu (%s:%s) is written off: %.250s; it received a weight of %.6f from this peer and sent %.6f%s",
        link->id, link->host, link->port, reason, (double)book->sent / (double)WEIGHT_ONE,
        (double)book->received / (double)WEIGHT_ONE, book->flight ? "; the push in flight comes back" : "");
    ledger_write_off(&mesh->ledger, link->id);
    close_out(link);
    close_in(link);
    link->gone = true;
    link->asks = link->done = link->leaving = false;
}

static void lose_out(struct mesh *mesh, struct link *link, const char *reason) {
    bool refused = link->out.failure == ECONNREFUSED && (book_of(mesh, link)->incarnation || !mesh->ledger.founder);
    if (!refused || !book_of(mesh, link)->incarnation) set_error(&link->why, "%s", reason);
    close_out(link);
    link->dial_at = mesh->clock + dial_again_s;
    if (link->leaving)
        link->told = true; /* the peer had this peer's ledger already, and ended */
    else if (refused)
        write_off(mesh, link, link->why.text);
}

static void lose_in(struct link *link, const char *reason) {
    set_error(&link->why, "%s", reason);
    close_in(link);
}

void mesh_reject(struct mesh *mesh, struct link *link, const char *reason) {
    send_text(&link->in, LINK_WRITTEN_OFF, reason);
    write_off(mesh, link, reason);
}

/* ---- Connecting -------------------------------------------------------------------------------------------------- */

/* Records the number of a peer's process, and writes an older process of that peer off. Returns false if the process
 * itself is written off. */
static bool meet(struct mesh *mesh, struct link *link, uint64_t incarnation) {
    struct book *book = book_of(mesh, link);
    if (incarnation == book->incarnation) return true;
    if (incarnation <= link->newest) return false;
    if (book->incarnation) write_off(mesh, link, "it was started anew");
    book->incarnation = link->newest = incarnation;
    link->gone = link->done = link->leaving = link->asks = link->told = false;
    link->pushed = link->mixed = 0;
    link->up_at = mesh->clock;
    return true;
}

static void dial(struct mesh *mesh, struct link *link) {
    struct error error;
    link->out_heard = mesh->clock;
    if (!tcp_dial(link->host, link->port, &link->out, &error)) {
        lose_out(mesh, link, error.text);
        return;
    }
    link->stage = LINK_GREETING;
    connection_limit(&link->out, TEXT_BYTES);
    uint8_t *hello = mesh_send(mesh, link->id, LINK_HELLO, 0, LINK_HELLO_HEAD + strlen(mesh->settings));
    link_hello_put(hello, mesh->ledger.id, mesh->ledger.incarnation, mesh->ledger.founder, mesh->settings);
}

/* Handles a WELCOME: the link is up, and the push in flight has arrived or comes back. Returns false if the frame is
 * invalid. */
static bool welcomed(struct mesh *mesh, struct link *link, const struct frame *frame) {
    struct book *book = book_of(mesh, link);
    uint64_t process, newest = link->newest;
    uint32_t came;
    if (!link_welcome_get(frame->payload, frame->bytes, &process, &came)) return false;
    struct connection out = link->out;
    link->stage = LINK_DOWN; /* meet() shall not close this connection with those of an earlier process */
    bool met = meet(mesh, link, process);
    link->out = out;
    link->stage = LINK_GREETING;
    if (!met) return false;
    if (newest && newest != link->newest) say(mesh->ledger.id, "peer %zu (%s) joined", link->id, link->out.name);
    if (came != link->pushed && !(book->flight && came == link->pushed - 1)) return false;
    if (came == link->pushed)
        ledger_acknowledged(&mesh->ledger, link->id);
    else
        ledger_returned(&mesh->ledger, link->id);
    link->pushed = came;
    link->stage = LINK_UP;
    link->dialed++;
    if (came) mesh_send(mesh, link->id, LINK_CONFIRM, came, 0);
    if (mesh->done) mesh_send(mesh, link->id, LINK_DONE, 0, 0);
    if (mesh->statement) tell(mesh, link);
    return true;
}

/* Returns whether a hello must wait: it comes from a new process of a peer whose older process is not written off. The
 * hello is believed when that older process is written off, or when the new one answers at the peer's own address,
 * which this peer dials as soon as it loses its connection with the older one. */
static bool premature(const struct mesh *mesh, const struct frame *frame) {
    struct hello hello;
    if (frame->type != LINK_HELLO || !link_hello_get(frame->payload, frame->bytes, &hello)) return false;
    if (hello.id > mesh->ledger.peers || hello.founder) return false;
    return mesh->ledger.book[hello.id - 1].incarnation && hello.process > mesh->link[hello.id - 1].newest;
}

/* Checks the hello of a new connection and makes the connection a peer's. On failure the error says why, and *answer is
 * the type of the frame that tells the peer so. */
static bool greet(struct mesh *mesh, struct connection *connection, const struct frame *frame, enum link_frame *answer,
                  struct error *error) {
    struct hello hello;
    char option[256], their_option[256];
    *answer = LINK_REFUSED;
    if (frame->type != LINK_HELLO || !link_hello_get(frame->payload, frame->bytes, &hello))
        return set_error(error, "does not begin with a hello");
    if (settings_differ(mesh->settings, hello.settings, option, their_option))
        return set_error(error, "peer %zu runs with %.180s, you with %.180s", mesh->ledger.id, option, their_option);
    size_t id = hello.id;
    if (id > mesh->ledger.peers || id == mesh->ledger.id)
        return set_error(error, "asks to be peer %zu, but this is peer %zu of %zu", id, mesh->ledger.id,
                         mesh->ledger.peers);

    struct link *link = &mesh->link[id - 1];
    bool anew = hello.process > link->newest;
    if (anew && hello.founder && (link->newest || link->gone))
        return set_error(error, "there was a peer %zu already: start it with --join", id);
    if (anew && mesh->done) return set_error(error, "the training is over");
    if (!meet(mesh, link, hello.process)) {
        *answer = LINK_WRITTEN_OFF;
        return set_error(error, "this peer %zu was written off: start it again with --join", id);
    }
    if (anew && !hello.founder) say(mesh->ledger.id, "peer %zu (%s) joined", id, connection->name);
    close_in(link);
    frame_done(connection);
    connection_limit(connection, mesh->in_limit);
    link->in = *connection;
    link->in_open = true;
    link->in_heard = mesh->clock;
    link->accepted++;
    uint8_t *welcome = frame_queue(&link->in, LINK_WELCOME, 0, LINK_WELCOME_BYTES);
    link_welcome_put(welcome, mesh->ledger.incarnation, link->mixed);
    return true;
}

/* ---- Receiving --------------------------------------------------------------------------------------------------- */

static bool acknowledged(struct mesh *mesh, struct link *link, uint32_t number) {
    if (number == 0 && mesh->statement) {
        link->told = true;
        return true;
    }
    if (number == 0 || number != link->pushed || book_of(mesh, link)->flight == 0) return false;
    mesh->bytes_in += FRAME_HEAD_BYTES;
    ledger_acknowledged(&mesh->ledger, link->id);
    mesh_send(mesh, link->id, LINK_CONFIRM, number, 0);
    return true;
}

/* Handles the answers over the connection that this peer dialed. */
static void hear_out(struct mesh *mesh, struct link *link) {
    struct error error;
    struct frame frame;
    for (size_t i = 0; i < TURN_FRAMES && link->stage != LINK_DOWN; i++, frame_done(&link->out)) {
        enum frame_state state = frame_read(&link->out, &frame, &error);
        if (state == FRAME_FAILED && link->out.failure)
            lose_out(mesh, link, error.text);
        else if (state == FRAME_FAILED)
            write_off(mesh, link, error.text);
        if (state != FRAME_WHOLE) return;
        link->out_heard = mesh->clock;
        bool good = link->stage == LINK_GREETING ? frame.type == LINK_WELCOME && welcomed(mesh, link, &frame)
                    : frame.type == LINK_ACK     ? acknowledged(mesh, link, frame.round)
                                                 : frame.type == LINK_BEAT;
        if (frame.type == LINK_WRITTEN_OFF || (frame.type == LINK_REFUSED && !mesh->started)) {
            mesh->ended = true;
            set_error(&mesh->reason, "peer %zu (%s) refuses: %.*s", link->id, link->out.name, (int)frame.bytes,
                      (const char *)frame.payload);
            return;
        }
        if (!good) {
            write_off(mesh, link, frame.type == LINK_REFUSED ? "it refuses this peer" : "answers out of turn");
            return;
        }
    }
}

/* Handles a frame over the connection that the other peer dialed. PUSH, REPORT and LEDGER are left for mesh_receive.
 * Returns false if the peer must not send the frame now. */
static bool take(struct mesh *mesh, struct link *link) {
    const struct frame *frame = &link->frame;
    bool empty = frame->bytes == 0;
    switch (frame->type) {
    case LINK_PUSH:
        link->delivered = true;
        return !link->done && frame->round == link->mixed + 1 && frame->bytes >= 8 &&
               book_of(mesh, link)->unconfirmed == 0 && ledger_plausible(&mesh->ledger, get_u64(frame->payload));
    case LINK_REPORT:
    case LINK_LEDGER:
        link->delivered = true;
        return true;
    case LINK_CONFIRM:
        ledger_confirmed(&mesh->ledger, link->id);
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

/* Returns whether this peer reads from the connection that the other peer dialed. */
static bool listens(const struct link *link) {
    return link->in_open && !link->delivered && unsent(&link->in) <= QUEUE_BYTES;
}

static void hear_in(struct mesh *mesh, struct link *link) {
    struct error error;
    for (size_t i = 0; i < TURN_FRAMES && listens(link); i++) {
        size_t had = link->in.have;
        enum frame_state state = frame_read(&link->in, &link->frame, &error);
        if (state != FRAME_FAILED && link->in.have > had) link->in_heard = mesh->clock;
        if (state == FRAME_FAILED && link->in.failure) {
            lose_in(link, error.text);
            return;
        }
        if (state == FRAME_PARTIAL) return;
        if (state == FRAME_FAILED || !take(mesh, link)) {
            mesh_reject(mesh, link, state == FRAME_FAILED ? error.text : "sends a frame out of turn");
            return;
        }
        if (!link->delivered) frame_done(&link->in);
    }
}

static void drop_stranger(struct mesh *mesh, struct stranger *stranger, const char *reason) {
    say(mesh->ledger.id, "dropped %s: %s", stranger->connection.name, reason);
    connection_close(&stranger->connection);
    stranger->open = false;
}

static void hear_stranger(struct mesh *mesh, struct stranger *stranger) {
    struct frame frame;
    struct error error;
    enum link_frame answer = LINK_REFUSED;
    enum frame_state state = frame_read(&stranger->connection, &frame, &error);
    bool waits = state == FRAME_PARTIAL || (state == FRAME_WHOLE && premature(mesh, &frame));
    if (state == FRAME_WHOLE && waits && !stranger->greeted) {
        stranger->greeted = true;
        stranger->deadline = mesh->clock + mesh->timeout;
    }
    if (waits && mesh->clock < stranger->deadline) return;
    if (state == FRAME_PARTIAL)
        set_error(&error, "no hello for %g s", hello_s);
    else if (waits)
        set_error(&error, "says that it is peer %u, which is here already", get_u32(frame.payload));
    else if (state == FRAME_WHOLE && greet(mesh, &stranger->connection, &frame, &answer, &error)) {
        stranger->open = false; /* the connection is a peer's now */
        return;
    }
    if (state == FRAME_WHOLE) send_text(&stranger->connection, answer, error.text);
    drop_stranger(mesh, stranger, error.text);
}

/* Accepts a connection, in the place of the oldest stranger if there is no other. Returns false if none waits. */
static bool accept_stranger(struct mesh *mesh) {
    struct connection connection;
    struct stranger *place = mesh->stranger;
    if (!tcp_accept(mesh->listener, &connection)) return false;
    for (size_t i = 1; i < MESH_STRANGERS && place->open; i++) {
        struct stranger *other = &mesh->stranger[i];
        if (!other->open || other->since < place->since) place = other;
    }
    if (place->open) drop_stranger(mesh, place, "makes room for a newer connection");
    connection_limit(&connection, LINK_HELLO_BYTES);
    memset(place, 0, sizeof *place);
    place->open = true;
    place->connection = connection;
    place->since = ++mesh->strangers;
    place->deadline = mesh->clock + hello_s;
    hear_stranger(mesh, place); /* a peer's hello may be here, and then no newer connection takes the place */
    return true;
}

/* Sends queued frames, dials, sends BEAT on an idle connection, and gives up connections and peers that time out. */
static void tend(struct mesh *mesh, struct link *link) {
    struct error error;
    double now = mesh->clock;
    char silent[64];
    snprintf(silent, sizeof silent, "nothing came for %g s (--timeout)", mesh->timeout);
    if (link->gone) return;
    if (link->stage == LINK_DOWN && !link->leaving && now >= link->dial_at) dial(mesh, link);
    if (link->stage == LINK_UP && now > link->out_sent + mesh->timeout / 4 && unsent(&link->out) == 0)
        mesh_send(mesh, link->id, LINK_BEAT, 0, 0);
    if (link->stage != LINK_DOWN) {
        size_t before = unsent(&link->out);
        if (!connection_flush(&link->out, &mesh->pace, &error)) {
            lose_out(mesh, link, error.text);
        } else {
            size_t left = unsent(&link->out);
            if (left && left < before)
                link->out_heard = now; /* the buffers were full, and the other peer reads again */
            if (link->stage == LINK_UP) link->up_at = now;
            if (now > link->out_heard + mesh->timeout) lose_out(mesh, link, silent);
        }
    }
    if (link->in_open && !connection_flush(&link->in, &mesh->pace, &error)) lose_in(link, error.text);
    if (link->in_open && now > link->in_heard + mesh->timeout) lose_in(link, silent);
    if (!link->gone && !link->leaving && link->stage != LINK_UP && now > link->up_at + mesh->timeout)
        write_off(mesh, link, link->why.text);
}

/* Waits for an event on any connection, or until the deadline. Returns whether a new connection waits. */
static bool await_event(const struct mesh *mesh, double deadline) {
    size_t peers = mesh->ledger.peers, slots = 2 * peers + MESH_STRANGERS + 1;
    struct pollfd *poll_fd = (struct pollfd *)allocate(slots, sizeof *poll_fd), *in = poll_fd + peers;
    struct pollfd *stranger = in + peers, *listener = stranger + MESH_STRANGERS;
    double now = clock_seconds(), wait = deadline < now + pause_s ? deadline - now : pause_s;
    bool sends = mesh->pace.free_at <= now; /* no link has to wait for its turn */
    if (mesh->busy && !sends && wait > mesh->pace.free_at - now) wait = mesh->pace.free_at - now;
    for (size_t i = 0; i < slots; i++) poll_fd[i].fd = -1;
    for (size_t i = 0; i < peers; i++) {
        const struct link *link = &mesh->link[i];
        if (link->stage != LINK_DOWN) poll_fd[i].fd = link->out.fd;
        if (link->in_open) in[i].fd = link->in.fd;
        poll_fd[i].events = sends && connection_waits(&link->out) ? POLLIN | POLLOUT : POLLIN;
        in[i].events = (short)((listens(link) ? POLLIN : 0) | (sends && connection_waits(&link->in) ? POLLOUT : 0));
    }
    for (size_t i = 0; i < MESH_STRANGERS; i++) {
        if (mesh->stranger[i].open) stranger[i].fd = mesh->stranger[i].connection.fd;
        stranger[i].events = POLLIN;
    }
    listener->fd = mesh->listener;
    listener->events = POLLIN;
    poll(poll_fd, (nfds_t)slots, wait > 0.0 ? (int)(wait * 1000.0) + 1 : 0);
    bool somebody = listener->revents != 0;
    free(poll_fd);
    return somebody;
}

/* Waits for an event on any connection until the deadline, and serves all connections once. */
static void pump(struct mesh *mesh, double deadline) {
    size_t peers = mesh->ledger.peers;
    if (!mesh->busy) pace_idle(&mesh->pace);
    bool somebody = await_event(mesh, deadline);
    double now = clock_seconds();
    /* time in which this peer slept or computed must not count as silence of the others */
    mesh->clock += now - mesh->looked < mesh->timeout / 8 ? now - mesh->looked : mesh->timeout / 8;
    mesh->looked = now;
    mesh->busy = false;
    mesh->turn = (mesh->turn + 1) % peers; /* so that each link has a chance of a paced peer's next bytes */
    for (size_t i = 0; i < peers && !mesh->ended; i++) {
        struct link *link = &mesh->link[(i + mesh->turn) % peers];
        hear_out(mesh, link);
        hear_in(mesh, link);
        tend(mesh, link);
        mesh->busy = mesh->busy || unsent(&link->out) || unsent(&link->in);
    }
    for (size_t i = 0; i < MESH_STRANGERS; i++)
        if (mesh->stranger[i].open) hear_stranger(mesh, &mesh->stranger[i]);
    for (size_t i = 0; i < MESH_STRANGERS && somebody; i++) somebody = accept_stranger(mesh);
}

struct link *mesh_receive(struct mesh *mesh, double deadline) {
    do {
        pump(mesh, deadline);
        for (size_t i = 0; i < mesh->ledger.peers; i++)
            if (mesh->link[i].delivered) return &mesh->link[i];
    } while (!mesh->ended && clock_seconds() < deadline);
    return NULL;
}

void mesh_accept(struct mesh *mesh, struct link *link) {
    if (link->frame.type == LINK_PUSH) {
        mesh->bytes_in += FRAME_HEAD_BYTES + link->frame.bytes + FRAME_HEAD_BYTES; /* the push and its confirmation */
        mesh->bytes_out += FRAME_HEAD_BYTES;
        ledger_receive(&mesh->ledger, link->id, get_u64(link->frame.payload));
        link->mixed++;
        frame_queue(&link->in, LINK_ACK, link->mixed, 0);
    } else if (link->frame.type == LINK_LEDGER) {
        link->leaving = true;
        frame_queue(&link->in, LINK_ACK, 0, 0);
    }
    link->delivered = false;
    frame_done(&link->in);
}
