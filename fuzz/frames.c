/* The frames of the trainers, on any bytes. The first byte says in what pieces they come. */

#include "fuzz.h"

#include "../examples/common/transport/connection.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PAYLOAD_MOST = 2000, INPUT_MOST = 1 << 14 };

/* Reads frames until more bytes must come (returns true) or the connection has failed. */
static bool read_frames(struct connection *connection) {
    struct frame frame;
    struct error error;
    enum frame_state state;
    while ((state = frame_read(connection, &frame, &error)) == FRAME_WHOLE) {
        REQUIRE(frame.bytes <= PAYLOAD_MOST);
        frame_done(connection);
    }
    REQUIRE(state != FRAME_FAILED || *error.text);
    return state == FRAME_PARTIAL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct connection connection;
    size_t piece = size ? 1 + data[0] * (size_t)4 : 1, at, n;
    bool good = true;
    int ends[2];
    if (size > INPUT_MOST) return 0;
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    REQUIRE(fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0);
    memset(&connection, 0, sizeof connection);
    connection.fd = ends[0];
    connection_limit(&connection, PAYLOAD_MOST);
    for (at = 1; at < size && good; at += n) { /* nobody reads from a connection that has failed: the socket fills up */
        n = piece < size - at ? piece : size - at;
        REQUIRE(send(ends[1], data + at, n, MSG_NOSIGNAL) == (ssize_t)n);
        good = read_frames(&connection);
    }
    close(ends[1]);
    if (good) REQUIRE(!read_frames(&connection));
    connection_close(&connection);
    return 0;
}
