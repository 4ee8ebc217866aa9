/* tcp_trainer against peers that fail or mean harm: it goes on, with bounded memory, and to the same bits. */
#include <errno.h>
#include <math.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "examples/common/random.h"
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

/* ---- Faults ---------------------------------------------------------------------------------------------------- */

/* The CRC-32 of the parameters in a log, as text to be freed. */
static char *crc_in(const char *log) {
    const char *at = strstr(log, "of CRC-32 ");
    if (!at) fail_msg("no CRC: %s", log);
    return strndup(at + 10, 8);
}

/* The CRC-32 of a run's parameters, as text to be freed. */
static char *crc_of(const char *words) {
    char *log = run("local", words, 0), *crc = crc_in(log);
    free(log);
    return crc;
}

/* Waits until a server has ended well, and compares its parameters. */
static void assert_ends_with(pid_t server, const char *name, const char *expected) {
    int code = end_of(server);
    char *log = text_of(in_dir(name));
    if (code) fail_msg("exit code %d: %s", code, log);
    char *crc = crc_in(log);
    assert_string_equal(crc, expected);
    free(crc);
    free(log);
}

static void a_killed_server_and_worker_go_on_to_the_same_bits(void **state) {
    (void)state;
    char words[512], *expected = crc_of("--epochs 40");
    snprintf(words, sizeof words, "--epochs 40 --link-mbps 20 --save %s", in_dir("kept"));
    struct group group = start_group(2, "", words); /* each epoch takes 0.06 s */
    await("server.log", "\nepoch 5/", 1);
    kill_child(group.server);
    kill_child(group.worker[1]);
    snprintf(words, sizeof words, "--port %s --epochs 40 --save %s --resume %s", group.port, in_dir("kept"),
             in_dir("kept"));
    group.server = start("resumed.log", "server", words);
    snprintf(words, sizeof words, "--port %s --worker-id 2", group.port);
    group.worker[1] = start("b.log", "worker", words);
    assert_ends_with(group.server, "resumed.log", expected);
    char *log = text_of(in_dir("resumed.log"));
    assert_int_equal(occurrences(log, "\nepoch 4/"), 0); /* it did not begin anew; epoch 5 is printed, then saved */
    assert_int_equal(occurrences(log, "\nepoch 40/"), 1);
    assert_int_equal(end_of(group.worker[0]), 0);
    free(log);
    free(expected);
}

/* A server that is killed between the checkpoints of its workers and its own resumes an epoch earlier than these. */
static void workers_that_saved_before_their_server_resume_with_it(void **state) {
    (void)state;
    const char *const codec = "--codec ternary --residual";
    char words[512], command[1024], *expected;
    snprintf(words, sizeof words, "%s --epochs 6", codec);
    expected = crc_of(words);
    snprintf(words, sizeof words, "%s --epochs 2 --save %s", codec, in_dir("early"));
    free(run("local", words, 0));
    snprintf(words, sizeof words, "%s --epochs 3 --save %s", codec, in_dir("late"));
    free(run("local", words, 0));
    snprintf(command, sizeof command, "mv %s %s", in_dir("early"), in_dir("late"));
    assert_int_equal(system(command), 0);
    snprintf(words, sizeof words, "%s --epochs 6 --resume %s", codec, in_dir("late"));
    char *crc = crc_of(words);
    assert_string_equal(crc, expected);
    assert_int_equal(unlink(in_dir("late.worker1.before")), 0); /* without it worker 1 cannot go on */
    struct group group = start_group(0, codec, "");
    kill_children(state);
    snprintf(words, sizeof words, "%s --port %s --epochs 6 --resume %s --timeout 2", codec, group.port, in_dir("late"));
    start("server.log", "server", words);
    await("server.log", "listening at 127.0.0.1:", 1);
    snprintf(words, sizeof words, "%s --port %s --worker-id 1 --resume %s", codec, group.port, in_dir("late"));
    char *log = run("worker", words, 1);
    assert_says(log, "/late.worker1: its round is 48, but the server is in round 32: leave --resume out");
    free(log);
    free(crc);
    free(expected);
}

/* Ends a connection with a reset. */
static void reset(struct connection *connection) {
    const struct linger at_once = {1, 0};
    setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    connection_close(connection);
}

/* So many frames of random bytes, whose heads are valid but for type and size, each over a connection of its own. */
static void send_random_frames(const struct group *group, size_t count) {
    for (uint64_t i = 0; i < count; i++) {
        uint8_t frame[1024] = {'D', 'T', 'C', 'T', FRAME_PROTOCOL};
        size_t bytes = (size_t)random_bits(1, i) % (sizeof frame - FRAME_HEAD_BYTES);
        for (size_t k = 0; k < bytes; k++) frame[FRAME_HEAD_BYTES + k] = (uint8_t)random_bits(i + 2, k);
        frame[5] = (uint8_t)(random_bits(0, i) % 16);
        put_u32(frame + 12, (uint32_t)(i % 8 ? bytes : random_bits(1, i)));
        struct connection connection = connect_to(group);
        send_raw(&connection, frame, FRAME_HEAD_BYTES + bytes);
        connection_close(&connection);
    }
}

/* A worker's hello, a byte at a time, is understood: its answer is that the number is taken. */
static void say_hello_slowly(const struct group *group) {
    uint8_t hello[FRAME_HEAD_BYTES + HELLO_BYTES] = {'D', 'T', 'C', 'T', FRAME_PROTOCOL, HELLO};
    shared_settings("raw", false, (char *)hello + 20);
    put_u32(hello + 16, 2);
    put_u32(hello + 12, (uint32_t)(4 + strlen((char *)hello + 20)));
    struct connection connection = connect_to(group);
    for (size_t i = 0; i < FRAME_HEAD_BYTES + get_u32(hello + 12); i++) {
        send_raw(&connection, hello + i, 1);
        nanosleep(&(struct timespec){0, 500000}, NULL);
    }
    receive_one(&connection, REFUSED);
    await("server.log", "there is a worker 2 already", 1);
    connection_close(&connection);
}

static void strangers_change_neither_memory_nor_result(void **state) {
    (void)state;
    uint8_t huge[FRAME_HEAD_BYTES] = {'D', 'T', 'C', 'T', FRAME_PROTOCOL, HELLO};
    put_u64(huge + 8, (uint64_t)1 << 63);
    char *expected = crc_of("--epochs 20");
    struct group group = start_group(2, "", "--epochs 20 --link-mbps 20");
    await("server.log", "\nepoch 3/", 1);
    kill(group.worker[1], SIGSTOP); /* the round waits for it */
    struct connection stalled = connect_to(&group), connection;
    send_random_frames(&group, 20);
    await("server.log", "dropped 127.0.0.1:", 21);
    double before_kb = memory_kb(group.server);

    for (size_t i = 0; i < 1000; i++) {
        connection = connect_to(&group);
        connection_close(&connection);
    }
    send_random_frames(&group, 1000);
    say_hello_slowly(&group);
    connection_close(&stalled);
    connection = connect_to(&group);
    send_raw(&connection, huge, sizeof huge);
    await("server.log", "announces 2147483664 bytes", 1);
    connection_close(&connection);
    connection = connect_to(&group);
    put_u64(huge + 8, (uint64_t)100 << 32);
    send_raw(&connection, huge, sizeof huge);
    reset(&connection);
    await("server.log", "connection lost: Connection reset by peer", 1);
    await("server.log", "dropped 127.0.0.1:", 21 + 2000 + 3);
    double grown_kb = memory_kb(group.server) - before_kb;
    if (grown_kb > GROWTH_KB) fail_msg("the server has grown by %.0f KiB", grown_kb);
    char *log = text_of(in_dir("server.log"));
    assert_int_equal(occurrences(log, "\nepoch 20/"), 0);
    free(log);
    kill(group.worker[1], SIGCONT);
    assert_ends_with(group.server, "server.log", expected);
    free(expected);
}

/* ---- Keys ------------------------------------------------------------------------------------------------------ */

/* Writes a key file that the user alone can read, and returns its path. */
static const char *key_file(const char *name, const char *key) {
    const char *path = in_dir(name);
    write_bytes(dir, name, (const uint8_t *)key, strlen(key), 0);
    assert_int_equal(chmod(path, 0600), 0);
    return path;
}

static const char first_key[] = "5f0c1c7b9f0e4f6a8d3b2a190817263544536271809fafbecdddecfb0a192837";

static void a_key_changes_no_bit_of_the_training(void **state) {
    (void)state;
    char words[512];
    snprintf(words, sizeof words, "--epochs 3 --link-mbps 50 --key-file %s", key_file("key", first_key));
    char *plain = crc_of("--epochs 3"), *keyed = crc_of(words);
    assert_string_equal(plain, keyed);
    free(plain);
    free(keyed);
}

static void who_lacks_the_key_is_shut_out(void **state) {
    (void)state;
    char server_words[256], words[512];
    snprintf(server_words, sizeof server_words, "--key-file %s", key_file("key", first_key));
    struct group group = start_group(2, "", "");
    snprintf(words, sizeof words, "--port %s %s", group.port, server_words);
    char *log = run("worker", words, 1); /* the server has no key */
    assert_says(log, "does not show that it has the key (--key-file)");
    free(log);
    await("server.log", "has a key, but this process has none: give both the same --key-file", 1);
    kill_children(state);

    group = start_group(2, server_words, "");
    struct connection stranger = connect_to(&group);
    say_hello(&stranger, "raw", false);
    await("server.log", "does not show that it has the key (--key-file)", 1);
    connection_close(&stranger);
    snprintf(words, sizeof words, "--port %s", group.port);
    log = run("worker", words, 1);
    assert_says(log, "has a key, but this process has none: give both the same --key-file");
    free(log);
    snprintf(words, sizeof words, "--port %s --key-file %s", group.port,
             key_file("other", "another key, which has more than 32 bytes"));
    log = run("worker", words, 1);
    assert_says(log, "has another key (--key-file)");
    free(log);
    await("server.log", "has another key (--key-file)", 1);
    log = text_of(in_dir("server.log"));
    assert_int_equal(occurrences(log, "dropped worker"), 0);
    free(log);
    await_progress("server.log");
}

/* Writes the tag after a frame, as computed from the definition in security.h, by libcrypto's one-shot function. */
static void write_tag(const uint8_t key[32], uint64_t counter, uint8_t *frame, size_t bytes) {
    uint8_t text[8192], mac[32];
    assert_true(8 + bytes <= sizeof text);
    put_u64(text, counter);
    memcpy(text + 8, frame, bytes);
    assert_non_null(HMAC(EVP_sha256(), key, 32, text, 8 + bytes, mac, NULL));
    memcpy(frame + bytes, mac, TAG_BYTES);
}

static void read_raw(const struct connection *connection, uint8_t *bytes, size_t size) {
    for (size_t have = 0; have < size;) {
        ssize_t got = recv(connection->fd, bytes + have, size - have, 0);
        assert_true(got > 0 || (got < 0 && errno == EAGAIN));
        if (got > 0) have += (size_t)got;
    }
}

/* Joins by the definition in security.h, without the code under test. Returns the round. */
static uint32_t join_by_definition(const struct connection *connection, uint8_t key[32]) {
    uint8_t offer[48] = {'D', 'T', 'C', 'T', FRAME_PROTOCOL, 255, 0, 0, 0, 0, 0, 0, 32}, theirs[48], text[83], mac[32];
    uint8_t hello[FRAME_HEAD_BYTES + HELLO_BYTES + TAG_BYTES] = {'D', 'T', 'C', 'T', FRAME_PROTOCOL, HELLO};
    uint8_t welcome[8 + 20 + TAG_BYTES];
    for (uint8_t i = 0; i < 32; i++) offer[16 + i] = i;
    send_raw(connection, offer, sizeof offer);
    read_raw(connection, theirs, sizeof theirs);
    memcpy(text, "dtcodec trainers 1", 18);
    text[18] = 0;
    memcpy(text + 19, offer + 16, 32);
    memcpy(text + 51, theirs + 16, 32);
    HMAC(EVP_sha256(), first_key, (int)strlen(first_key), text, sizeof text, key, NULL);
    put_u32(hello + 16, 2);
    shared_settings("raw", false, (char *)hello + 20);
    put_u32(hello + 12, (uint32_t)(4 + strlen((char *)hello + 20)));
    size_t hello_bytes = FRAME_HEAD_BYTES + get_u32(hello + 12);
    write_tag(key, 0, hello, hello_bytes);
    send_raw(connection, hello, hello_bytes + TAG_BYTES);
    read_raw(connection, welcome + 8, sizeof welcome - 8);
    assert_int_equal(welcome[8 + 5], WELCOME);
    put_u64(welcome, 0);
    text[18] = 1;
    uint8_t back[32];
    HMAC(EVP_sha256(), first_key, (int)strlen(first_key), text, sizeof text, back, NULL);
    HMAC(EVP_sha256(), back, 32, welcome, 8 + 20, mac, NULL);
    assert_memory_equal(welcome + 28, mac, TAG_BYTES);
    return get_u32(welcome + 16);
}

/* Reads the two states and an update, which are of any size. */
static void await_update(const struct connection *connection) {
    for (size_t i = 0; i < 3; i++) {
        static uint8_t frame[65536];
        read_raw(connection, frame, FRAME_HEAD_BYTES);
        assert_true(get_u32(frame + 12) + TAG_BYTES <= sizeof frame);
        read_raw(connection, frame, get_u32(frame + 12) + TAG_BYTES);
    }
}

static void a_frame_that_is_changed_or_repeated_is_refused(void **state) {
    (void)state;
    char words[512];
    snprintf(words, sizeof words, "--key-file %s", key_file("key", first_key));
    struct group group = start_group(1, words, "");
    for (size_t wrong = 0; wrong < 4; wrong++) {
        struct connection connection = connect_to(&group);
        uint8_t key[32], frame[64] = {'D', 'T', 'C', 'T', FRAME_PROTOCOL, MESSAGE};
        put_u32(frame + 8, join_by_definition(&connection, key));
        if (wrong != 3)
            write_tag(key, wrong == 1 ? 2 : 1, frame, FRAME_HEAD_BYTES); /* 1: after one that was left out */
        if (wrong == 0) frame[8] ^= 1;                                   /* changed */
        send_raw(&connection, frame, FRAME_HEAD_BYTES + TAG_BYTES);      /* 3: without a tag */
        if (wrong == 2) {                                                /* repeated */
            await_update(&connection);
            send_raw(&connection, frame, FRAME_HEAD_BYTES + TAG_BYTES);
        }
        await("server.log", "sends a frame with a wrong tag", wrong + 1);
        connection_close(&connection);
    }
    await_progress("server.log");
}

static void without_a_key_only_loopback_is_allowed(void **state) {
    (void)state;
    char words[512];
    const char *const refused[][2] = {{"server", "--host 0.0.0.0 --port 0"}, {"worker", "--host 192.0.2.1"}};
    for (size_t i = 0; i < 2; i++) {
        char *log = run(refused[i][0], refused[i][1], 2);
        assert_says(log, " is no loopback address: give all processes the same --key-file, or --insecure if");
        free(log);
    }
    start("server.log", "server", "--host 0.0.0.0 --port 0 --insecure");
    await("server.log", "listening at 0.0.0.0:", 1);
    snprintf(words, sizeof words, "--host 0.0.0.0 --port 0 --key-file %s", key_file("key", first_key));
    start("server.log", "server", words);
    await("server.log", "listening at 0.0.0.0:", 1);
}

static void a_bad_key_file_is_named(void **state) {
    (void)state;
    char words[512];
    snprintf(words, sizeof words, "--key-file %s", key_file("short", "31 bytes are not enough, a key.\n"));
    char *log = run("local", words, 2);
    assert_says(log, "/short: a key has 32 to 1024 bytes: openssl rand -hex 32 >");
    free(log);
    snprintf(words, sizeof words, "--key-file %s", key_file("key", first_key));
    assert_int_equal(chmod(in_dir("key"), 0640), 0);
    log = run("local", words, 2);
    assert_says(log, "/key: other users can read it: chmod 600 ");
    free(log);
    log = run("local", "--key-file /nowhere/key", 2);
    assert_says(log, "--key-file /nowhere/key: cannot be read: No such file");
    free(log);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_silent_worker_that_joins_again_stops_nobody, kill_children),
        cmocka_unit_test_teardown(nobody_waits_for_a_worker_that_is_excluded_alone, kill_children),
        cmocka_unit_test_teardown(idle_connections_make_room, kill_children),
        cmocka_unit_test_teardown(sockets_that_are_full_are_waited_for_at_once, kill_children),
        cmocka_unit_test_teardown(infinity_in_every_round_ends_in_a_line, kill_children),
        cmocka_unit_test_teardown(a_killed_server_and_worker_go_on_to_the_same_bits, kill_children),
        cmocka_unit_test_teardown(workers_that_saved_before_their_server_resume_with_it, kill_children),
        cmocka_unit_test_teardown(strangers_change_neither_memory_nor_result, kill_children),
        cmocka_unit_test_teardown(a_key_changes_no_bit_of_the_training, kill_children),
        cmocka_unit_test_teardown(who_lacks_the_key_is_shut_out, kill_children),
        cmocka_unit_test_teardown(a_frame_that_is_changed_or_repeated_is_refused, kill_children),
        cmocka_unit_test_teardown(without_a_key_only_loopback_is_allowed, kill_children),
        cmocka_unit_test_teardown(a_bad_key_file_is_named, kill_children),
    };
    program_start(argc, argv, "tcp_trainer", TCP_WORDS);
    return cmocka_run_group_tests(tests, make_data, remove_data);
}
