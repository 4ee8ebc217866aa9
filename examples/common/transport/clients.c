#include "clients.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../clock.h"
#include "../log.h"
#include "../memory.h"

enum { SPARE_SLOTS = 16 };
static const double hello_s = 2.0, least_exclusion_s = 0.1, most_exclusion_s = 3600.0;
static const double forgiving = 10.0; /* a worker that has served so many times its last exclusion is like a new one */

void clients_create(struct clients *clients, size_t workers) {
    memset(clients, 0, sizeof *clients);
    clients->workers = workers;
    clients->slots = workers + SPARE_SLOTS;
    clients->client = (struct client *)allocate(clients->slots, sizeof *clients->client);
    clients->past = (struct past *)allocate(workers, sizeof *clients->past);
}

void clients_free(struct clients *clients) {
    for (size_t i = 0; i < clients->slots; i++)
        if (clients->client[i].stage != CLIENT_FREE) connection_close(&clients->client[i].connection);
    free(clients->client);
    free(clients->past);
    memset(clients, 0, sizeof *clients);
}

/* Returns the client of a worker if it has reached the given stage, else NULL. */
static struct client *find(const struct clients *clients, size_t id, enum client_stage least) {
    for (size_t i = 0; i < clients->slots; i++)
        if (clients->client[i].stage >= least && clients->client[i].id == id) return &clients->client[i];
    return NULL;
}

/* Excludes the worker of an ACTIVE client for a time, and returns the seconds. */
static double exclude(struct clients *clients, const struct client *client) {
    struct past *past = &clients->past[client->id - 1];
    double now = clock_seconds(), wait = 2.0 * past->wait;
    if (now - client->since > forgiving * past->wait) wait = 0.0;
    if (wait < client->waited) wait = client->waited;
    if (wait < least_exclusion_s) wait = least_exclusion_s;
    if (wait > most_exclusion_s) wait = most_exclusion_s;
    past->wait = wait;
    past->until = now + wait;
    return wait;
}

void clients_drop(struct clients *clients, struct client *client, bool refuse, const char *reason) {
    char back[64] = "";
    if (client->stage == CLIENT_ACTIVE) {
        double wait = exclude(clients, client);
        if (wait >= 1.0) snprintf(back, sizeof back, "; it may come back in %.0f s", wait);
    }
    if (client->stage == CLIENT_NEW)
        say(0, "dropped %s: %s", client->connection.name, reason);
    else
        say(0, "dropped worker %zu (%s) in round %u: %s%s", client->id, client->connection.name, clients->round, reason,
            back);
    if (refuse) {
        struct pace unpaced = {0.0, 0.0};
        struct error ignored;
        frame_send(&client->connection, &unpaced, REFUSED, clients->round, (const uint8_t *)reason, strlen(reason), 0.0,
                   &ignored);
    }
    connection_close(&client->connection);
    memset(client, 0, sizeof *client);
}

/* Returns a slot that is free; if there is none, that of the oldest NEW client, which is dropped. There are more slots
 * than workers, so that there is always one of both. */
static struct client *free_slot(struct clients *clients) {
    struct client *oldest = NULL;
    for (size_t i = 0; i < clients->slots; i++) {
        struct client *client = &clients->client[i];
        if (client->stage == CLIENT_FREE) return client;
        if (client->stage == CLIENT_NEW && (!oldest || client->deadline < oldest->deadline)) oldest = client;
    }
    clients_drop(clients, oldest, false, "makes room for a newer connection: it has sent no hello yet");
    return oldest;
}

/* Checks a hello and makes the client WAITING. On failure the error says why. */
static bool greet(struct clients *clients, struct client *client, struct error *error) {
    struct hello hello;
    char option[256], their_option[256];
    if (client->frame.type != HELLO || !hello_get(client->frame.payload, client->frame.bytes, &hello))
        return set_error(error, "does not begin with a hello");
    if (settings_differ(clients->settings, hello.settings, option, their_option))
        return set_error(error, "the server runs with %s, the worker with %s", option, their_option);

    size_t id = hello.id;
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
        clients_drop(clients, client, client->connection.failure == EACCES, error.text);
    } else if (state == FRAME_WHOLE && client->stage == CLIENT_NEW) {
        if (!greet(clients, client, &error)) clients_drop(clients, client, true, error.text);
    } else if (state == FRAME_WHOLE) {
        client->delivered = true;
        client->waited += clock_seconds() - clients->collects;
        if (client->frame.type != clients->wanted || client->frame.round != clients->round ||
            client->frame.bytes < clients->wanted_least)
            clients_drop(clients, client, true, "sends a frame out of turn");
    }
}

static void accept_client(struct clients *clients) {
    struct connection connection;
    if (!tcp_accept(clients->listener, &connection)) return;
    struct client *client = free_slot(clients);
    connection_limit(&connection, HELLO_BYTES);
    client->stage = CLIENT_NEW;
    client->connection = connection;
    client->deadline = clock_seconds() + hello_s;
    hear(clients, client); /* a worker's hello may be here, and then no newer connection takes the slot */
}

/* Returns whether the client must deliver a frame before its deadline. */
static bool owes(const struct client *client) {
    return client->stage == CLIENT_NEW || (client->stage == CLIENT_ACTIVE && !client->delivered);
}

/* Drops a client that has not delivered before its deadline. */
static void drop_late(struct clients *clients, struct client *client) {
    struct error error;
    bool is_new = client->stage == CLIENT_NEW;
    double seconds = is_new ? hello_s : clients->timeout;
    const char *option = is_new ? "" : " (--timeout)";
    if (client->connection.have)
        set_error(&error, "sends half a frame (%zu bytes) and then nothing for %g s%s", client->connection.have,
                  seconds, option);
    else
        set_error(&error, is_new ? "sends no hello for %g s%s" : "sends nothing for %g s%s", seconds, option);
    client->waited += clock_seconds() - clients->collects;
    clients_drop(clients, client, false, error.text);
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
        if (owes(client) && clock_seconds() >= client->deadline) drop_late(clients, client);
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

static void admit(struct client *client) {
    client->stage = CLIENT_ACTIVE;
    client->joins = true;
    client->since = clock_seconds();
}

void clients_admit(struct clients *clients) {
    double now = clock_seconds();
    size_t active = 0;
    for (size_t i = 0; i < clients->slots; i++) {
        struct client *client = &clients->client[i];
        client->joins = false;
        client->waited = 0.0;
        if (client->stage == CLIENT_WAITING && now >= clients->past[client->id - 1].until) admit(client);
        active += client->stage == CLIENT_ACTIVE;
    }
    for (size_t i = 0; i < clients->slots && !active; i++)
        if (clients->client[i].stage == CLIENT_WAITING) admit(&clients->client[i]);
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

/* Sends more of a parcel to an ACTIVE client, which is dropped if it fails or the deadline is over. Returns whether
 * there is more to send. */
static bool send_more(struct clients *clients, struct client *client, struct parcel *parcel, double start,
                      double *paused) {
    struct error error;
    enum parcel_state state = parcel_send(&client->connection, &clients->pace, parcel, paused, &error);
    if (state == PARCEL_SENT) return false;
    double waited = clock_seconds() - start - *paused;
    if (state == PARCEL_BLOCKED && waited < clients->timeout) return true;
    if (state == PARCEL_BLOCKED) set_error(&error, "accepted no more bytes for %g s (--timeout)", clients->timeout);
    client->waited += waited;
    clients_drop(clients, client, false, error.text);
    return false;
}

size_t clients_send_all(struct clients *clients, bool joining, enum frame_type type, const uint8_t *payload,
                        size_t bytes) {
    struct parcel *parcel = (struct parcel *)allocate(clients->slots, sizeof *parcel);
    struct pollfd *poll_fd = (struct pollfd *)allocate(clients->slots, sizeof *poll_fd);
    double start = clock_seconds(), paused = 0.0;
    size_t left = 0, sent = 0;
    for (size_t i = 0; i < clients->slots; i++) {
        struct client *client = &clients->client[i];
        bool receives = client->stage == CLIENT_ACTIVE && (client->joins || !joining);
        if (receives) parcel_start(&client->connection, &parcel[i], (uint8_t)type, clients->round, payload, bytes);
        poll_fd[i].fd = receives ? client->connection.fd : -1;
        poll_fd[i].events = POLLOUT;
        left += receives;
    }
    while (left) {
        for (size_t i = 0; i < clients->slots; i++) {
            if (poll_fd[i].fd < 0 || send_more(clients, &clients->client[i], &parcel[i], start, &paused)) continue;
            poll_fd[i].fd = -1;
            sent += clients->client[i].stage == CLIENT_ACTIVE;
            left--;
        }
        double wait = start + paused + clients->timeout - clock_seconds();
        if (left) poll(poll_fd, (nfds_t)clients->slots, wait > 0.0 ? (int)(wait * 1000.0) + 1 : 0);
    }
    free(poll_fd);
    free(parcel);
    return sent * (FRAME_HEAD_BYTES + bytes);
}

/* Calls a function, and gives the clients that owe a frame as much more time as it takes. */
static void call_meanwhile(struct clients *clients, void (*arrived)(void *context), void *context, double *deadline) {
    double start = clock_seconds();
    arrived(context);
    double seconds = clock_seconds() - start;
    for (size_t i = 0; i < clients->slots; i++) clients->client[i].deadline += seconds;
    *deadline += seconds;
}

void clients_collect(struct clients *clients, enum frame_type wanted, size_t least_bytes,
                     void (*arrived)(void *context), void *context) {
    clients->collects = clock_seconds();
    double deadline = clients->collects + clients->timeout;
    clients->wanted = (uint8_t)wanted;
    clients->wanted_least = least_bytes;
    for (size_t i = 0; i < clients->slots; i++) {
        struct client *client = &clients->client[i];
        if (client->stage != CLIENT_ACTIVE) continue;
        client->deadline = deadline - client->waited;
        client->delivered = false;
        frame_done(&client->connection);
    }
    for (bool missing = true; missing;) {
        missing = false;
        for (size_t i = 0; i < clients->slots; i++)
            missing |= clients->client[i].stage == CLIENT_ACTIVE && !clients->client[i].delivered;
        if (!missing) break;
        pump(clients, deadline);
        if (arrived) call_meanwhile(clients, arrived, context, &deadline);
    }
}

struct client *clients_active(const struct clients *clients, size_t *id) {
    while (++*id <= clients->workers) {
        struct client *client = find(clients, *id, CLIENT_ACTIVE);
        if (client) return client;
    }
    return NULL;
}

struct client *clients_next(const struct clients *clients, size_t *id) {
    struct client *client = clients_active(clients, id);
    while (client && !client->frame.bytes) client = clients_active(clients, id);
    return client;
}
