#include "connection.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../bytes.h"
#include "../clock.h"
#include "../memory.h"

enum { PIECE_BYTES = 16384 }; /* most bytes that paced sending gives to the socket at once */

static void name_address(const struct sockaddr *address, socklen_t bytes, char *name) {
    char host[54] = "?", port[16] = "?";
    getnameinfo(address, bytes, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
    snprintf(name, CONNECTION_NAME_BYTES, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}

static struct addrinfo *resolve(const char *host, const char *port, int flags, struct error *error) {
    struct addrinfo hints, *found = NULL;
    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = flags;
    int failure = getaddrinfo(host, port, &hints, &found);
    if (failure) set_error(error, "--host %s --port %s: %s", host, port, gai_strerror(failure));
    return failure ? NULL : found;
}

static void prepare(int fd) {
    int yes = 1;
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

bool tcp_permitted(const char *host, struct error *error) {
    struct error unresolved;
    struct addrinfo *addresses = resolve(host, "0", 0, &unresolved);
    bool good = true;
    for (const struct addrinfo *address = addresses; address; address = address->ai_next)
        good = good && security_permits(address->ai_addr);
    if (addresses) freeaddrinfo(addresses);
    return good || set_error(error,
                             "%s is no loopback address: give all processes the same --key-file, or --insecure if "
                             "everybody in the network is trusted",
                             host);
}

int tcp_listen(const char *host, const char *port, char *name, struct error *error) {
    if (!tcp_permitted(host, error)) return -1;
    struct addrinfo *address = resolve(host, port, AI_PASSIVE, error);
    if (!address) return -1;
    int yes = 1, fd = socket(address->ai_family, address->ai_socktype, address->ai_protocol);
    if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    struct sockaddr_storage bound;
    socklen_t bound_bytes = sizeof bound;
    if (fd < 0 || bind(fd, address->ai_addr, address->ai_addrlen) != 0 || listen(fd, 64) != 0 ||
        getsockname(fd, (struct sockaddr *)&bound, &bound_bytes) != 0) {
        set_error(error, "--host %s --port %s: cannot listen there: %s", host, port, strerror(errno));
        if (fd >= 0) close(fd);
        fd = -1;
    } else {
        prepare(fd);
        name_address((struct sockaddr *)&bound, bound_bytes, name);
    }
    freeaddrinfo(address);
    return fd;
}

static void write_head(uint8_t head[FRAME_HEAD_BYTES], uint8_t type, uint32_t round, size_t bytes) {
    const uint8_t start[8] = {'D', 'T', 'C', 'T', FRAME_PROTOCOL, type, 0, 0};
    memcpy(head, start, sizeof start);
    put_u32(head + 8, round);
    put_u32(head + 12, (uint32_t)bytes);
}

/* Sends the challenge, if there is a key, as far as the socket takes it. Returns false if the connection is lost. */
static bool offer(struct connection *connection) {
    uint8_t challenge[FRAME_HEAD_BYTES + NONCE_BYTES];
    if (!security_keyed() || connection->offered == sizeof challenge) return true;
    write_head(challenge, FRAME_CHALLENGE, 0, NONCE_BYTES);
    memcpy(challenge + FRAME_HEAD_BYTES, connection->session.nonce, NONCE_BYTES);
    ssize_t now =
        send(connection->fd, challenge + connection->offered, sizeof challenge - connection->offered, MSG_NOSIGNAL);
    if (now > 0) connection->offered += (size_t)now;
    return now >= 0 || errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

bool tcp_accept(int listener, struct connection *connection) {
    struct sockaddr_storage address;
    socklen_t bytes = sizeof address;
    memset(connection, 0, sizeof *connection);
    connection->fd = accept(listener, (struct sockaddr *)&address, &bytes);
    if (connection->fd < 0) return false;
    prepare(connection->fd);
    name_address((struct sockaddr *)&address, bytes, connection->name);
    session_begin(&connection->session);
    offer(connection);
    return true;
}

/* Waits until the socket is ready for `events`; returns false at the deadline. */
static bool wait_for(int fd, short events, double deadline) {
    for (;;) {
        struct pollfd poll_fd = {fd, events, 0};
        double left = deadline - clock_seconds();
        int ready = poll(&poll_fd, 1, left > 0.0 ? (int)(left * 1000.0) + 1 : 0);
        if (ready > 0) return true;
        if (ready == 0 && left <= 0.0) return false;
    }
}

/* Begins to connect. If it returns false and errno is EINPROGRESS, the connection is under way; with any other errno it
 * failed, and the socket is closed. */
static bool begin_connect(const struct addrinfo *address, struct connection *connection) {
    if (!security_permits(address->ai_addr)) {
        errno = EACCES;
        return false;
    }
    connection->fd = socket(address->ai_family, address->ai_socktype, address->ai_protocol);
    if (connection->fd < 0) return false;
    prepare(connection->fd);
    name_address(address->ai_addr, address->ai_addrlen, connection->name);
    if (connect(connection->fd, address->ai_addr, address->ai_addrlen) == 0) return true;
    int failure = errno;
    if (failure != EINPROGRESS) close(connection->fd);
    errno = failure;
    return false;
}

static bool connect_address(const struct addrinfo *address, double deadline, struct connection *connection) {
    int failure = 0;
    socklen_t bytes = sizeof failure;
    if (begin_connect(address, connection)) return true;
    if (errno != EINPROGRESS) return false;
    if (!wait_for(connection->fd, POLLOUT, deadline))
        failure = ETIMEDOUT;
    else if (getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &failure, &bytes) != 0)
        failure = errno;
    if (failure == 0) return true;
    close(connection->fd);
    errno = failure;
    return false;
}

static void begin_dialed(struct connection *connection) {
    connection->dialed = true;
    session_begin(&connection->session);
    offer(connection);
}

bool tcp_connect(const char *host, const char *port, double seconds, struct connection *connection,
                 struct error *error) {
    double deadline = clock_seconds() + seconds;
    memset(connection, 0, sizeof *connection);
    struct addrinfo *addresses = resolve(host, port, 0, error);
    if (!addresses) return false;
    bool good = false;
    for (const struct addrinfo *address = addresses; address && !good; address = address->ai_next)
        good = connect_address(address, deadline, connection);
    if (!good) set_error(error, "no server at %s:%s: %s", host, port, strerror(errno));
    if (good) begin_dialed(connection);
    freeaddrinfo(addresses);
    return good;
}

bool tcp_dial(const char *host, const char *port, struct connection *connection, struct error *error) {
    memset(connection, 0, sizeof *connection);
    struct addrinfo *address = resolve(host, port, 0, error);
    if (!address) return false;
    bool good = begin_connect(address, connection) || errno == EINPROGRESS;
    connection->failure = good ? 0 : errno;
    if (good) begin_dialed(connection);
    if (!good) set_error(error, "%s", strerror(errno));
    freeaddrinfo(address);
    return good;
}

void connection_close(struct connection *connection) {
    close(connection->fd);
    free(connection->buffer);
    free(connection->queue);
    memset(connection, 0, sizeof *connection);
}

void connection_limit(struct connection *connection, size_t payload_bytes) {
    free(connection->buffer);
    connection->capacity = FRAME_HEAD_BYTES + payload_bytes;
    connection->buffer = (uint8_t *)allocate(connection->capacity + NONCE_BYTES + TAG_BYTES, 1);
}

/* Says why the other end's first frame shows that one end alone has a key. */
static bool refuse_first(struct connection *connection, struct error *error) {
    connection->failure = EACCES;
    return set_error(error, security_keyed() ? "does not show that it has the key (--key-file)"
                                             : "has a key, but this process has none: give both the same --key-file");
}

/* Checks the head that has arrived. Returns the frame's size, with head and tag; 0: the head is invalid. */
static size_t check_head(struct connection *connection, struct error *error) {
    const uint8_t *head = connection->buffer;
    size_t size = FRAME_HEAD_BYTES + (size_t)get_u32(head + 12);
    bool first = security_keyed() ? !connection->session.keyed : !connection->verified;
    bool challenge = head[5] == FRAME_CHALLENGE;
    if (memcmp(head, "DTCT", 4) != 0)
        set_error(error, "sends garbage (%02x%02x%02x%02x is not the head of a frame)", head[0], head[1], head[2],
                  head[3]);
    else if (head[4] != FRAME_PROTOCOL)
        set_error(error, "speaks protocol version %d, not %d: use the same version of the program", head[4],
                  FRAME_PROTOCOL);
    else if (head[6] || head[7])
        set_error(error, "sends garbage (reserved bytes of a frame's head are not zero)");
    else if (challenge != (security_keyed() && !connection->session.keyed) && first)
        refuse_first(connection, error);
    else if (challenge && (!first || size != FRAME_HEAD_BYTES + NONCE_BYTES))
        set_error(error, "sends garbage (a challenge that is none)");
    else if (!challenge && size > connection->capacity)
        set_error(error, "announces %zu bytes, but the limit is %zu", size, connection->capacity);
    else
        return size + (connection->session.keyed ? TAG_BYTES : 0);
    return 0;
}

/* Takes a frame of so many bytes that has arrived as a whole. FRAME_PARTIAL: it was a challenge; read on. */
static enum frame_state take_frame(struct connection *connection, size_t size, struct frame *frame,
                                   struct error *error) {
    struct session *session = &connection->session;
    const uint8_t *bytes = connection->buffer;
    if (security_keyed() && !session->keyed) {
        session_start(session, connection->dialed, bytes + FRAME_HEAD_BYTES);
        connection->have = 0;
        return FRAME_PARTIAL;
    }
    if (session->keyed) size -= TAG_BYTES;
    if (session->keyed && !connection->verified && !session_verify(session, bytes, size, bytes + size)) {
        connection->failure = EACCES;
        set_error(error, session->count[1] ? "sends a frame with a wrong tag" : "has another key (--key-file)");
        return FRAME_FAILED;
    }
    connection->verified = true;
    frame->type = bytes[5];
    frame->round = get_u32(bytes + 8);
    frame->payload = connection->buffer + FRAME_HEAD_BYTES;
    frame->bytes = size - FRAME_HEAD_BYTES;
    return FRAME_WHOLE;
}

enum frame_state frame_read(struct connection *connection, struct frame *frame, struct error *error) {
    offer(connection);
    for (;;) {
        size_t size = FRAME_HEAD_BYTES;
        if (connection->have >= FRAME_HEAD_BYTES && !(size = check_head(connection, error))) return FRAME_FAILED;
        if (connection->have >= FRAME_HEAD_BYTES && connection->have == size) {
            enum frame_state state = take_frame(connection, size, frame, error);
            if (state != FRAME_PARTIAL) return state;
            continue;
        }
        ssize_t got = recv(connection->fd, connection->buffer + connection->have, size - connection->have, 0);
        if (got > 0) {
            connection->have += (size_t)got;
        } else if (got == 0) {
            connection->failure = EPIPE;
            set_error(error,
                      connection->have ? "closed the connection after %zu bytes of a frame" : "closed the connection",
                      connection->have);
            return FRAME_FAILED;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return FRAME_PARTIAL;
        } else if (errno != EINTR) {
            connection->failure = errno;
            set_error(error, "connection lost: %s", strerror(errno));
            return FRAME_FAILED;
        }
    }
}

bool frame_wait(struct connection *connection, double seconds, struct frame *frame, struct error *error) {
    double deadline = clock_seconds() + seconds;
    for (;;) {
        enum frame_state state = frame_read(connection, frame, error);
        if (state != FRAME_PARTIAL) return state == FRAME_WHOLE;
        if (!wait_for(connection->fd, POLLIN, deadline)) return set_error(error, "nothing came for %.0f s", seconds);
    }
}

bool connection_idle(struct connection *connection, struct error *error) {
    uint8_t byte;
    ssize_t got = recv(connection->fd, &byte, 1, MSG_PEEK);
    if (got > 0) return set_error(error, "sends out of turn");
    if (got == 0) return set_error(error, "closed the connection");
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ||
           set_error(error, "connection lost: %s", strerror(errno));
}

void frame_done(struct connection *connection) {
    connection->have = 0;
    connection->verified = false;
}

void pace_idle(struct pace *pace) {
    double now = clock_seconds();
    if (pace->free_at < now) pace->free_at = now;
}

/* Sleeps until the link is free, and marks it as busy for the time that `bytes` take. If the sleep lasts too long, the
 * next pieces of the same message make up for it. */
static void pace_sleep(struct pace *pace, size_t bytes) {
    double wait = pace->free_at - clock_seconds();
    if (wait > 0.0) {
        struct timespec pause = {(time_t)wait, (long)((wait - (double)(time_t)wait) * 1e9)};
        while (nanosleep(&pause, &pause) != 0 && errno == EINTR) continue;
    }
    pace->free_at += (double)bytes / pace->bytes_per_second;
}

void parcel_start(struct connection *connection, struct parcel *parcel, uint8_t type, uint32_t round,
                  const uint8_t *payload, size_t bytes) {
    memset(parcel, 0, sizeof *parcel);
    write_head(parcel->head, type, round, bytes);
    parcel->payload = payload;
    parcel->bytes = bytes;
    parcel->size = FRAME_HEAD_BYTES + bytes;
    if (!connection->session.keyed) return;
    session_tag(&connection->session, parcel->head, FRAME_HEAD_BYTES, payload, bytes, parcel->tag);
    parcel->size += TAG_BYTES;
}

/* Returns how many bytes from parcel->sent on lie in one piece of memory, and stores where. */
static size_t parcel_next(const struct parcel *parcel, const uint8_t **bytes) {
    size_t tag_at = FRAME_HEAD_BYTES + parcel->bytes;
    if (parcel->sent < FRAME_HEAD_BYTES) {
        *bytes = parcel->head + parcel->sent;
        return FRAME_HEAD_BYTES - parcel->sent;
    }
    bool payload = parcel->sent < tag_at;
    *bytes = payload ? parcel->payload + (parcel->sent - FRAME_HEAD_BYTES) : parcel->tag + (parcel->sent - tag_at);
    return (payload ? tag_at : parcel->size) - parcel->sent;
}

/* Sleeps until the link may send the next piece of a parcel, which has so many bytes. Returns the seconds. */
static double pace_parcel(struct pace *pace, struct parcel *parcel, size_t bytes) {
    double start = clock_seconds();
    if (bytes > PIECE_BYTES) bytes = PIECE_BYTES;
    if (parcel->sent == 0) pace_idle(pace);
    pace_sleep(pace, bytes);
    parcel->paid += bytes;
    return clock_seconds() - start;
}

enum parcel_state parcel_send(struct connection *connection, struct pace *pace, struct parcel *parcel, double *paused,
                              struct error *error) {
    bool paced = pace->bytes_per_second > 0.0;
    while (parcel->sent < parcel->size) {
        const uint8_t *bytes;
        size_t left = parcel_next(parcel, &bytes);
        if (paced && parcel->sent == parcel->paid) *paused += pace_parcel(pace, parcel, left);
        if (paced && left > parcel->paid - parcel->sent) left = parcel->paid - parcel->sent;
        ssize_t now = send(connection->fd, bytes, left, MSG_NOSIGNAL);
        if (now >= 0) {
            parcel->sent += (size_t)now;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (paced) pace_idle(pace); /* the receiver is slow, not the sender */
            return PARCEL_BLOCKED;
        } else if (errno != EINTR) {
            set_error(error, "connection lost: %s", strerror(errno));
            return PARCEL_FAILED;
        }
    }
    return PARCEL_SENT;
}

/* Waits for the other end's challenge, if there is a key. */
static bool await_key(struct connection *connection, double deadline, struct error *error) {
    struct frame unread; /* a frame that comes with the challenge stays where it is */
    while (security_keyed() && !connection->session.keyed) {
        if (frame_read(connection, &unread, error) == FRAME_FAILED) return false;
        if (!connection->session.keyed && !wait_for(connection->fd, POLLIN, deadline))
            return set_error(error, "does not show that it has the key (--key-file)");
    }
    return true;
}

bool frame_send(struct connection *connection, struct pace *pace, uint8_t type, uint32_t round, const uint8_t *payload,
                size_t bytes, double seconds, struct error *error) {
    struct parcel parcel;
    double deadline = clock_seconds() + seconds, paused = 0.0;
    if (!await_key(connection, deadline, error)) return false;
    parcel_start(connection, &parcel, type, round, payload, bytes);
    for (;;) {
        enum parcel_state state = parcel_send(connection, pace, &parcel, &paused, error);
        if (state != PARCEL_BLOCKED) return state == PARCEL_SENT;
        if (!wait_for(connection->fd, POLLOUT, deadline + paused))
            return set_error(error, "accepted no more bytes for %.0f s", seconds);
    }
}

uint8_t *frame_queue(struct connection *connection, uint8_t type, uint32_t round, size_t bytes) {
    size_t size = FRAME_HEAD_BYTES + bytes + (security_keyed() ? TAG_BYTES : 0);
    if (connection->queued + size > connection->queue_capacity && connection->queue_sent) {
        connection->queued -= connection->queue_sent;
        connection->tagged -= security_keyed() ? connection->queue_sent : 0;
        memmove(connection->queue, connection->queue + connection->queue_sent, connection->queued);
        connection->queue_sent = 0;
    }
    size_t needed = connection->queued + size;
    if (needed > connection->queue_capacity) {
        uint8_t *grown = (uint8_t *)allocate(2 * needed, 1);
        if (connection->queued) memcpy(grown, connection->queue, connection->queued);
        free(connection->queue);
        connection->queue = grown;
        connection->queue_capacity = 2 * needed;
    }
    uint8_t *head = connection->queue + connection->queued;
    write_head(head, type, round, bytes);
    connection->queued = needed;
    return head + FRAME_HEAD_BYTES;
}

/* Tags the queued frames whose payloads have been written since the last call. */
static void tag_queue(struct connection *connection) {
    while (connection->tagged < connection->queued) {
        uint8_t *head = connection->queue + connection->tagged, *payload = head + FRAME_HEAD_BYTES;
        size_t bytes = get_u32(head + 12);
        session_tag(&connection->session, head, FRAME_HEAD_BYTES, payload, bytes, payload + bytes);
        connection->tagged += FRAME_HEAD_BYTES + bytes + TAG_BYTES;
    }
}

bool connection_waits(const struct connection *connection) {
    if (!security_keyed()) return connection->queued > 0;
    return connection->offered < FRAME_HEAD_BYTES + NONCE_BYTES || (connection->queued && connection->session.keyed);
}

bool connection_flush(struct connection *connection, struct pace *pace, struct error *error) {
    bool paced = pace->bytes_per_second > 0.0;
    bool good = offer(connection);
    if (good && security_keyed() && !connection->session.keyed) return true;
    if (good && security_keyed()) tag_queue(connection);
    while (good && connection->queue_sent < connection->queued) {
        size_t left = connection->queued - connection->queue_sent;
        if (paced && pace->free_at > clock_seconds()) return true;
        if (paced && left > PIECE_BYTES) left = PIECE_BYTES;
        ssize_t now = send(connection->fd, connection->queue + connection->queue_sent, left, MSG_NOSIGNAL);
        if (now < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            if (paced) pace_idle(pace); /* the receiver is slow, not the sender */
            return true;
        }
        good = now >= 0 || errno == EINTR;
        if (now > 0) connection->queue_sent += (size_t)now;
        if (now > 0 && paced) pace->free_at += (double)now / pace->bytes_per_second;
    }
    if (!good) {
        connection->failure = errno;
        return set_error(error, "connection lost: %s", strerror(errno));
    }
    connection->queued = connection->queue_sent = connection->tagged = 0;
    return true;
}
