/* tcp_trainer against peers that fail or mean harm: it goes on, with bounded memory, and to the same bits. */
#include <math.h>
#include <sys/socket.h>

#include "tests/tcp_group.h"

static size_t epochs_of(const char *log) {
    char *text = text_of(in_dir(log));
    size_t epochs = occurrences(text, "\nepoch ");
    free(text);
    return epochs;
}

static void await_exclusions(size_t times) {
    await("server.log", "dropped worker 2 (127.0.0.1:", times);
}

/* A worker that says hello and then nothing, again and again, costs a timeout each time; its exclusions double. */
static void a_silent_worker_that_joins_again_stops_nobody(void **state) {
    (void)state;
    struct group group = start_group(1, "", "--timeout 1");
    double joined[3];
    for (size_t i = 0; i < 3; i++) {
        struct connection connection = connect_to(&group);
        join(&connection, "raw", false);
        joined[i] = clock_seconds();
        await_exclusions(i + 1);
        connection_close(&connection);
    }
    /* one second of silence, then an exclusion of one and of two seconds */
    assert_true(joined[1] - joined[0] > 1.9);
    assert_true(joined[2] - joined[1] > 2.9);
    char *log = text_of(in_dir("server.log"));
    assert_says(log, "sends nothing for 1 s (--timeout); it may come back in 1 s\n");
    assert_says(log, "; it may come back in 4 s\n");
    assert_int_equal(occurrences(log, "dropped worker 1"), 0);
    free(log);
    size_t before = epochs_of("server.log");
    await("server.log", "\nepoch ", before + 2);
}

static void nobody_waits_for_a_worker_that_is_excluded_alone(void **state) {
    (void)state;
    struct group group = start_group(1, "", "--timeout 2");
    struct connection connection = connect_to(&group);
    join(&connection, "raw", false);
    await_exclusions(1); /* for two seconds */
    kill_child(group.worker[0]);
    await("server.log", "dropped worker 1 (127.0.0.1:", 1);
    connection_close(&connection);
    connection = connect_to(&group);
    double start_s = clock_seconds();
    join(&connection, "raw", false);
    assert_true(clock_seconds() - start_s < 1.0);
    connection_close(&connection);
}

/* Connections that say nothing take all slots before the workers come. */
static void idle_connections_make_room(void **state) {
    (void)state;
    struct group group = start_group(0, "", "--timeout 20");
    struct connection idle[40];
    for (size_t i = 0; i < 40; i++) idle[i] = connect_to(&group);
    for (size_t i = 0; i < 2; i++) {
        char words[64];
        snprintf(words, sizeof words, "--port %s", group.port);
        group.worker[i] = start(i ? "b.log" : "a.log", "worker", words);
    }
    await("server.log", "\nepoch ", 1);
    await("server.log", "dropped 127.0.0.1:", 40);
    char *log = text_of(in_dir("server.log"));
    assert_says(log, "makes room for a newer connection: it has sent no hello yet");
    assert_says(log, "sends no hello for 2 s");
    assert_int_equal(occurrences(log, "dropped worker"), 0);
    free(log);
    for (size_t i = 0; i < 40; i++) connection_close(&idle[i]);
}

/* Two workers that read nothing more cost a round one timeout, not two. */
static void sockets_that_are_full_are_waited_for_at_once(void **state) {
    (void)state;
    const char *const words = "--net 64-8192-4 --workers 3";
    char hello_text[SETTINGS_TEXT_BYTES];
    struct group group = start_group(1, words, "--timeout 2");
    struct connection full[2];
    shared_settings("raw", false, hello_text);
    /* the words of the settings that differ from the other runs */
    char *net = strstr(hello_text, "--net 64-16-4"), *workers = strstr(hello_text, "--workers 2"), text[2048];
    assert_true(net && workers && net < workers);
    snprintf(text, sizeof text, "%.*s--net 64-8192-4%.*s--workers 3%s", (int)(net - hello_text), hello_text,
             (int)(workers - net - 13), net + 13, workers + 11);
    for (size_t i = 0; i < 2; i++) {
        uint8_t hello[HELLO_BYTES] = {(uint8_t)(2 + i), 0, 0, 0};
        int least = 4096;
        full[i] = connect_to(&group);
        setsockopt(full[i].fd, SOL_SOCKET, SO_RCVBUF, &least, sizeof least);
        memcpy(hello + 4, text, strlen(text));
        send_one(&full[i], HELLO, 0, hello, 4 + strlen(text));
    }
    double start_s = clock_seconds();
    await("server.log", "accepted no more bytes for 2 s (--timeout)", 2);
    assert_true(clock_seconds() - start_s < 3.9);
    await("server.log", "\nepoch ", 1);
    for (size_t i = 0; i < 2; i++) connection_close(&full[i]);
}

/* Raw packets of infinities, which the trainers' encoder refuses, to be freed. */
static uint8_t *infinite_message(size_t *bytes) {
    const size_t counts[4] = {1024, 16, 64, 4};
    uint8_t *message = (uint8_t *)allocate(8192, 1);
    float values[1024];
    dtc_spec raw = raw_spec();
    for (size_t i = 0; i < 1024; i++) values[i] = INFINITY;
    *bytes = 0;
    for (size_t i = 0; i < 4; i++) {
        size_t packet;
        assert_int_equal(dtc_encode(&raw, message + *bytes, 8192 - *bytes, &packet, values, counts[i], NULL, 0),
                         DTC_OK);
        *bytes += packet;
    }
    return message;
}

static void infinity_in_every_round_ends_in_a_line(void **state) {
    (void)state;
    struct group group = start_group(1, "", "--timeout 8");
    struct connection connection = connect_to(&group);
    uint32_t round = join(&connection, "raw", false);
    size_t bytes;
    uint8_t *message = infinite_message(&bytes);
    for (struct frame frame = {0};; round++) {
        struct error error;
        send_one(&connection, MESSAGE, round, message, bytes);
        if (!frame_wait(&connection, PATIENCE_S, &frame, &error)) fail_msg("%s", error.text);
        if (frame.type == REFUSED) break;
        assert_true(frame.bytes > 0); /* the other worker's gradient counts */
        frame_done(&connection);
        if (frame.type != UPDATE_REPORT) continue;
        connection_close(&connection); /* a report is due: come back in another epoch */
        connection = connect_to(&group);
        round = join(&connection, "raw", false) - 1;
    }
    char *log = text_of(in_dir("server.log"));
    assert_says(log, "the message of worker 2 is ignored: its values are not finite\n");
    assert_says(log, ": sends values that are not finite in 8 rounds in a row");
    assert_int_equal(occurrences(log, "is skipped"), 0);
    free(log);
    await_progress("server.log");
    connection_close(&connection);
    free(message);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_silent_worker_that_joins_again_stops_nobody, kill_children),
        cmocka_unit_test_teardown(nobody_waits_for_a_worker_that_is_excluded_alone, kill_children),
        cmocka_unit_test_teardown(idle_connections_make_room, kill_children),
        cmocka_unit_test_teardown(sockets_that_are_full_are_waited_for_at_once, kill_children),
        cmocka_unit_test_teardown(infinity_in_every_round_ends_in_a_line, kill_children),
    };
    program_start(argc, argv, "tcp_trainer", TCP_WORDS);
    return cmocka_run_group_tests(tests, make_data, remove_data);
}
