#include "peers.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"

enum { SPARE_SLOTS = 16 };

void peers_create(struct peers *peers, size_t workers) {
    memset(peers, 0, sizeof *peers);
    peers->workers = workers;
    peers->slots = workers + SPARE_SLOTS;
    peers->peer = (struct peer *)allocate(peers->slots, sizeof *peers->peer);
}

void peers_free(struct peers *peers) {
    for (size_t i = 0; i < peers->slots; i++)
        if (peers->peer[i].stage != PEER_FREE) connection_close(&peers->peer[i].connection);
    free(peers->peer);
    memset(peers, 0, sizeof *peers);
}

/* The worker's peer, if it is at least at this stage; else NULL. */
static struct peer *find(const struct peers *peers, size_t id, enum peer_stage least) {
    for (size_t i = 0; i < peers->slots; i++)
        if (peers->peer[i].stage >= least && peers->peer[i].id == id) return &peers->peer[i];
    return NULL;
}

void peers_drop(struct peers *peers, struct peer *peer, bool refuse, const char *reason) {
    if (peer->stage == PEER_NEW)
        say(0, "dropped %s: %s", peer->connection.name, reason);
    else
        say(0, "dropped worker %zu (%s) in round %u: %s", peer->id, peer->connection.name, peers->round, reason);
    if (refuse) {
        struct pace unpaced = {0.0, 0.0};
        struct error ignored;
        frame_send(&peer->connection, &unpaced, REFUSED, peers->round, (const uint8_t *)reason, strlen(reason), 0.0,
                   &ignored);
    }
    connection_close(&peer->connection);
    memset(peer, 0, sizeof *peer);
}

static void accept_peer(struct peers *peers) {
    struct connection connection;
    if (!tcp_accept(peers->listener, &connection)) return;
    struct peer *peer = peers->peer, *end = peers->peer + peers->slots;
    while (peer < end && peer->stage != PEER_FREE) peer++;
    if (peer == end) {
        say(0, "dropped %s: %zu peers are here already", connection.name, peers->slots);
        connection_close(&connection);
        return;
    }
    connection_limit(&connection, HELLO_BYTES);
    peer->stage = PEER_NEW;
    peer->connection = connection;
    peer->deadline = clock_seconds() + peers->timeout;
}

/* Checks a hello and lets the peer wait for the next round. */
static bool greet(struct peers *peers, struct peer *peer, struct error *error) {
    const struct frame *frame = &peer->frame;
    char theirs[SHARED_BYTES], option[256], their_option[256];
    if (frame->type != HELLO || frame->bytes < 4 || frame->bytes >= HELLO_BYTES)
        return set_error(error, "does not begin with a hello");
    memcpy(theirs, frame->payload + 4, frame->bytes - 4);
    theirs[frame->bytes - 4] = 0;
    options_difference(peers->shared, theirs, option, their_option);
    if (*option) return set_error(error, "the server runs with %s, the worker with %s", option, their_option);

    size_t id = get_u32(frame->payload);
    if (id > peers->workers) return set_error(error, "wants to be worker %zu of %zu", id, peers->workers);
    if (id && find(peers, id, PEER_WAITING)) return set_error(error, "there is a worker %zu already", id);
    if (id == 0)
        while (++id <= peers->workers && find(peers, id, PEER_WAITING)) continue;
    if (id > peers->workers) return set_error(error, "all %zu workers are here already", peers->workers);
    peer->id = id;
    peer->stage = PEER_WAITING;
    frame_done(&peer->connection);
    connection_limit(&peer->connection, peers->frame_limit);
    return true;
}

/* Takes what a peer has sent. */
static void hear(struct peers *peers, struct peer *peer) {
    struct error error;
    if (peer->stage == PEER_WAITING || peer->delivered) {
        if (!connection_idle(&peer->connection, &error)) peers_drop(peers, peer, false, error.text);
        return;
    }
    enum frame_state state = frame_read(&peer->connection, &peer->frame, &error);
    if (state == FRAME_FAILED) {
        peers_drop(peers, peer, false, error.text);
    } else if (state == FRAME_WHOLE && peer->stage == PEER_NEW) {
        if (!greet(peers, peer, &error)) peers_drop(peers, peer, true, error.text);
    } else if (state == FRAME_WHOLE) {
        peer->delivered = true;
        if (peer->frame.type != peers->wanted || peer->frame.round != peers->round ||
            peer->frame.bytes < peers->wanted_least)
            peers_drop(peers, peer, true, "sends a frame out of turn");
    }
}

/* Whether the peer has a deadline. */
static bool owes(const struct peer *peer) {
    return peer->stage == PEER_NEW || (peer->stage == PEER_ACTIVE && !peer->delivered);
}

/* Waits until something happens, at most until the deadline, and deals with it. */
static void pump(struct peers *peers, double deadline) {
    struct pollfd *poll_fd = (struct pollfd *)allocate(peers->slots + 1, sizeof *poll_fd);
    for (size_t i = 0; i < peers->slots; i++) {
        const struct peer *peer = &peers->peer[i];
        /* who has reported may go on with the next round, and is not heard until then; poll skips -1 */
        bool deaf = peer->stage == PEER_FREE || (peer->delivered && peers->wanted == REPORT);
        poll_fd[i].fd = deaf ? -1 : peer->connection.fd;
        poll_fd[i].events = POLLIN;
        if (owes(peer) && peer->deadline < deadline) deadline = peer->deadline;
    }
    poll_fd[peers->slots].fd = peers->listener;
    poll_fd[peers->slots].events = POLLIN;
    double left = deadline - clock_seconds();
    int ready = poll(poll_fd, (nfds_t)peers->slots + 1, left > 0.0 ? (int)(left * 1000.0) + 1 : 0);
    for (size_t i = 0; i < peers->slots; i++) {
        struct peer *peer = &peers->peer[i];
        if (ready > 0 && poll_fd[i].revents) hear(peers, peer);
        if (owes(peer) && clock_seconds() >= peer->deadline) {
            struct error error;
            if (peer->connection.have)
                set_error(&error, "sends half a frame (%zu bytes) and then nothing for %g s (--timeout)",
                          peer->connection.have, peers->timeout);
            else
                set_error(&error, "sends nothing for %g s (--timeout)", peers->timeout);
            peers_drop(peers, peer, false, error.text);
        }
    }
    if (ready > 0 && poll_fd[peers->slots].revents) accept_peer(peers);
    free(poll_fd);
}

size_t peers_await(struct peers *peers, size_t wanted) {
    double deadline = clock_seconds() + peers->timeout;
    for (;;) {
        size_t here = 0;
        for (size_t i = 0; i < peers->slots; i++) here += peers->peer[i].stage >= PEER_WAITING;
        if (here >= wanted || clock_seconds() >= deadline) return here;
        pump(peers, deadline);
    }
}

bool peers_send(struct peers *peers, struct peer *peer, enum frame_type type, const uint8_t *payload, size_t bytes) {
    struct error error;
    if (frame_send(&peer->connection, &peers->pace, (uint8_t)type, peers->round, payload, bytes, peers->timeout,
                   &error))
        return true;
    peers_drop(peers, peer, false, error.text);
    return false;
}

size_t peers_send_all(struct peers *peers, enum frame_type type, const uint8_t *payload, size_t bytes) {
    size_t sent = 0;
    for (size_t i = 0; i < peers->slots; i++)
        sent += peers->peer[i].stage == PEER_ACTIVE && peers_send(peers, &peers->peer[i], type, payload, bytes);
    return sent * (FRAME_HEAD_BYTES + bytes);
}

void peers_collect(struct peers *peers, enum frame_type wanted, size_t least_bytes) {
    double deadline = clock_seconds() + peers->timeout;
    peers->wanted = (uint8_t)wanted;
    peers->wanted_least = least_bytes;
    for (size_t i = 0; i < peers->slots; i++) {
        struct peer *peer = &peers->peer[i];
        if (peer->stage != PEER_ACTIVE) continue;
        peer->deadline = deadline;
        peer->delivered = false;
        frame_done(&peer->connection);
    }
    for (bool missing = true; missing;) {
        missing = false;
        for (size_t i = 0; i < peers->slots; i++)
            missing |= peers->peer[i].stage == PEER_ACTIVE && !peers->peer[i].delivered;
        if (missing) pump(peers, deadline);
    }
}

struct peer *peers_next(const struct peers *peers, size_t *id) {
    while (++*id <= peers->workers) {
        struct peer *peer = find(peers, *id, PEER_ACTIVE);
        if (peer && peer->frame.bytes) return peer;
    }
    return NULL;
}
