#include "clients.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "../bytes.h"
#include "../clock.h"
#include "../log.h"
#include "../memory.h"

enum { SPARE_SLOTS = 16 };

void clients_create(struct clients *clients, size_t workers) {
    memset(clients, 0, sizeof *clients);
    clients->workers = workers;
    clients->slots = workers + SPARE_SLOTS;
    clients->client = (struct client *)allocate(clients->slots, sizeof *clients->client);
}

void clients_free(struct clients *clients) {
    for (size_t i = 0; i < clients->slots; i++)
        if (clients->client[i].stage != CLIENT_FREE) connection_close(&clients->client[i].connection);
    free(clients->client);
    memset(clients, 0, sizeof *clients);
}

/* Returns the client of a worker if it has reached the given stage, else NULL. */
static struct client *find(const struct clients *clients, size_t id, enum client_stage least) {
    for (size_t i = 0; i < clients->slots; i++)
        if (clients->client[i].stage >= least && clients->client[i].id == id) return &clients->client[i];
    return NULL;
}

void clients_drop(struct clients *clients, struct client *client, bool refuse, const char *reason) {
    if (client->stage == CLIENT_NEW)
        say(0, "dropped %s: %s", client->connection.name, reason);
    else
        say(0, "dropped worker %zu (%s) in round %u: %s", client->id, client->connection.name, clients->round, reason);
    if (refuse) {
        struct pace unpaced = {0.0, 0.0};
        struct error ignored;
        frame_send(&client->connection, &unpaced, REFUSED, clients->round, (const uint8_t *)reason, strlen(reason), 0.0,
                   &ignored);
    }
    connection_close(&client->connection);
    memset(client, 0, sizeof *client);
}

static void accept_client(struct clients *clients) {
    struct connection connection;
    if (!tcp_accept(clients->listener, &connection)) return;
    struct client *client = clients->client, *end = clients->client + clients->slots;
    while (client < end && client->stage != CLIENT_FREE) client++;
    if (client == end) {
        say(0, "dropped %s: %zu clients are here already", connection.name, clients->slots);
        connection_close(&connection);
        return;
    }
    connection_limit(&connection, HELLO_BYTES);
    client->stage = CLIENT_NEW;
    client->connection = connection;
    client->deadline = clock_seconds() + clients->timeout;
}

/* Checks a hello and makes the client WAITING. On failure the error says why. */
static bool greet(struct clients *clients, struct client *client, struct error *error) {
    const struct frame *frame = &client->frame;
    char theirs[SETTINGS_TEXT_BYTES], option[256], their_option[256];
    if (frame->type != HELLO || frame->bytes < 4 || frame->bytes >= HELLO_BYTES)
        return set_error(error, "does not begin with a hello");
    memcpy(theirs, frame->payload + 4, frame->bytes - 4);
    theirs[frame->bytes - 4] = 0;
    settings_difference(clients->settings, theirs, option, their_option);
    if (*option) return set_error(error, "the server runs with %s, the worker with %s", option, their_option);

    size_t id = get_u32(frame->payload);
    if (id > clients->workers)
        return set_error(error, "asks to be worker %zu, but there are %zu workers", id, clients->workers);
    if (id && find(clients, id, CLIENT_WAITING)) return set_error(error, "there is a worker %zu already", id);
    if (id == 0)
        while (++id <= clients->workers && find(clients, id, CLIENT_WAITING)) continue;
    if (id > clients->workers) return set_error(error, "all %zu workers are here already", clients->workers);
    client->id = id;
    client->stage = CLIENT_WAITING;
    frame_done(&client->connection);
    connection_limit(&client->connection, clients->frame_limit);
    return true;
}

/* Reads what a client has sent. A client that must not send now, or sends an invalid frame, is dropped. */
static void hear(struct clients *clients, struct client *client) {
    struct error error;
    if (client->stage == CLIENT_WAITING || client->delivered) {
        if (!connection_idle(&client->connection, &error)) clients_drop(clients, client, false, error.text);
        return;
    }
    enum frame_state state = frame_read(&client->connection, &client->frame, &error);
    if (state == FRAME_FAILED) {
        clients_drop(clients, client, false, error.text);
    } else if (state == FRAME_WHOLE && client->stage == CLIENT_NEW) {
        if (!greet(clients, client, &error)) clients_drop(clients, client, true, error.text);
    } else if (state == FRAME_WHOLE) {
        client->delivered = true;
        if (client->frame.type != clients->wanted || client->frame.round != clients->round ||
            client->frame.bytes < clients->wanted_least)
            clients_drop(clients, client, true, "sends a frame out of turn");
    }
}

/* Returns whether the client must deliver a frame before its deadline. */
static bool owes(const struct client *client) {
    return client->stage == CLIENT_NEW || (client->stage == CLIENT_ACTIVE && !client->delivered);
}

/* Waits for an event on any connection until the deadline, and serves all connections once. */
static void pump(struct clients *clients, double deadline) {
    struct pollfd *poll_fd = (struct pollfd *)allocate(clients->slots + 1, sizeof *poll_fd);
    for (size_t i = 0; i < clients->slots; i++) {
        const struct client *client = &clients->client[i];
        /* A worker that has reported may send its next message before the server asks for it. The server does not read
         * from it until then: poll skips the descriptor -1. */
        bool deaf = client->stage == CLIENT_FREE || (client->delivered && clients->wanted == REPORT);
        poll_fd[i].fd = deaf ? -1 : client->connection.fd;
        poll_fd[i].events = POLLIN;
        if (owes(client) && client->deadline < deadline) deadline = client->deadline;
    }
    poll_fd[clients->slots].fd = clients->listener;
    poll_fd[clients->slots].events = POLLIN;
    double left = deadline - clock_seconds();
    int ready = poll(poll_fd, (nfds_t)clients->slots + 1, left > 0.0 ? (int)(left * 1000.0) + 1 : 0);
    for (size_t i = 0; i < clients->slots; i++) {
        struct client *client = &clients->client[i];
        if (ready > 0 && poll_fd[i].revents) hear(clients, client);
        if (owes(client) && clock_seconds() >= client->deadline) {
            struct error error;
            if (client->connection.have)
                set_error(&error, "sends half a frame (%zu bytes) and then nothing for %g s (--timeout)",
                          client->connection.have, clients->timeout);
            else
                set_error(&error, "sends nothing for %g s (--timeout)", clients->timeout);
            clients_drop(clients, client, false, error.text);
        }
    }
    if (ready > 0 && poll_fd[clients->slots].revents) accept_client(clients);
    free(poll_fd);
}

size_t clients_await(struct clients *clients, size_t wanted) {
    double deadline = clock_seconds() + clients->timeout;
    for (;;) {
        size_t here = 0;
        for (size_t i = 0; i < clients->slots; i++) here += clients->client[i].stage >= CLIENT_WAITING;
        if (here >= wanted || clock_seconds() >= deadline) return here;
        pump(clients, deadline);
    }
}

bool clients_send(struct clients *clients, struct client *client, enum frame_type type, const uint8_t *payload,
                  size_t bytes) {
    struct error error;
    if (frame_send(&client->connection, &clients->pace, (uint8_t)type, clients->round, payload, bytes, clients->timeout,
                   &error))
        return true;
    clients_drop(clients, client, false, error.text);
    return false;
}

size_t clients_send_all(struct clients *clients, enum frame_type type, const uint8_t *payload, size_t bytes) {
    size_t sent = 0;
    for (size_t i = 0; i < clients->slots; i++)
        sent += clients->client[i].stage == CLIENT_ACTIVE &&
                clients_send(clients, &clients->client[i], type, payload, bytes);
    return sent * (FRAME_HEAD_BYTES + bytes);
}

void clients_collect(struct clients *clients, enum frame_type wanted, size_t least_bytes) {
    double deadline = clock_seconds() + clients->timeout;
    clients->wanted = (uint8_t)wanted;
    clients->wanted_least = least_bytes;
    for (size_t i = 0; i < clients->slots; i++) {
        struct client *client = &clients->client[i];
        if (client->stage != CLIENT_ACTIVE) continue;
        client->deadline = deadline;
        client->delivered = false;
        frame_done(&client->connection);
    }
    for (bool missing = true; missing;) {
        missing = false;
        for (size_t i = 0; i < clients->slots; i++)
            missing |= clients->client[i].stage == CLIENT_ACTIVE && !clients->client[i].delivered;
        if (missing) pump(clients, deadline);
    }
}

struct client *clients_next(const struct clients *clients, size_t *id) {
    while (++*id <= clients->workers) {
        struct client *client = find(clients, *id, CLIENT_ACTIVE);
        if (client && client->frame.bytes) return client;
    }
    return NULL;
}
