/* A server of tcp_trainer with its workers, and what a test needs to talk to it as worker 2. */
#ifndef DTC_TESTS_TCP_GROUP_H
#define DTC_TESTS_TCP_GROUP_H

#include "examples/common/bytes.h"
#include "examples/common/exchange/tensor_message.h"
#include "examples/common/exchange/trainer.h"
#include "examples/common/transport/clients.h"
#include "tests/program.h"

/* What each run is started with; shared_settings says the same. */
#define TCP_WORDS "--net 64-16-4 --batch 16 --workers 2 --lr 0.05 --timeout 60"

static inline void await_progress(const char *log) {
    char *text = text_of(in_dir(log));
    size_t epochs = occurrences(text, "\nepoch ");
    free(text);
    await(log, "\nepoch ", epochs + 2);
}

/* A server that trains until it is killed, and its workers. */
struct group {
    pid_t server, worker[2];
    char port[16];
};

static inline struct group start_group(size_t workers, const char *words, const char *server_words) {
    struct group group;
    char all[1024];
    snprintf(all, sizeof all, "--port 0 --epochs 1000000 %s %s", words, server_words);
    group.server = start("server.log", "server", all);
    await("server.log", "listening at 127.0.0.1:", 1);
    char *log = text_of(in_dir("server.log"));
    snprintf(group.port, sizeof group.port, "%.0f", field_after(log, "listening at 127.0.0.1:"));
    free(log);
    for (size_t i = 0; i < workers; i++) {
        snprintf(all, sizeof all, "--port %s --worker-id %zu %s", group.port, i + 1, words);
        group.worker[i] = start(i ? "b.log" : "a.log", "worker", all);
    }
    return group;
}

static inline struct connection connect_to(const struct group *group) {
    struct connection connection;
    struct error error;
    if (!tcp_connect("127.0.0.1", group->port, PATIENCE_S, &connection, &error)) fail_msg("%s", error.text);
    connection_limit(&connection, 1 << 20);
    return connection;
}

/* The settings of these runs, with a codec and perhaps --add-packets, as a hello tells them. */
static inline void shared_settings(const char *codec, bool add_packets, char text[SETTINGS_TEXT_BYTES]) {
    struct trainer trainer;
    struct error error;
    char words[256], *arguments[16];
    int count = 0;
    snprintf(words, sizeof words, "--net 64-16-4 --batch 16 --lr 0.05 --workers 2 --data %s --codec %s%s", dir, codec,
             add_packets ? " --add-packets" : "");
    for (char *word = strtok(words, " "); word; word = strtok(NULL, " ")) arguments[count++] = word;
    memset(&trainer, 0, sizeof trainer);
    trainer_defaults(&trainer.settings);
    struct option_table table = trainer_options(&trainer.settings);
    if (!options_parse(&table, 1, ROLE_WORKER, count, arguments, &error) || !trainer_load(&trainer, &table, 1, &error))
        fail_msg("%s", error.text);
    memcpy(text, trainer.settings_text, SETTINGS_TEXT_BYTES);
    trainer_free(&trainer);
}

/* Says the hello of worker 2. */
static inline void say_hello(struct connection *connection, const char *codec, bool add_packets) {
    uint8_t hello[HELLO_BYTES] = {2, 0, 0, 0};
    shared_settings(codec, add_packets, (char *)hello + 4);
    send_one(connection, HELLO, 0, hello, 4 + strlen((char *)hello + 4));
}

/* Joins as worker 2 does, and returns the round. */
static inline uint32_t join(struct connection *connection, const char *codec, bool add_packets) {
    say_hello(connection, codec, add_packets);
    uint32_t round = receive_one(connection, WELCOME).round;
    receive_one(connection, STATE);
    receive_one(connection, STATE);
    return round;
}

/* A message of zeros in place of a gradient, to be freed. */
static inline uint8_t *zeros_message(const char *codec, size_t *bytes) {
    const size_t shapes[4][2] = {{16, 64}, {1, 16}, {4, 16}, {1, 4}};
    struct tensors tensors = tensors_create(shapes, 4);
    struct error error;
    dtc_spec spec;
    dtc_spec_parse(codec, &spec, NULL);
    struct encoder encoder = encoder_create(&spec, false, &tensors);
    assert_true(encoder_encode(&encoder, &tensors, NULL, 1, &error));
    uint8_t *message = (uint8_t *)allocate(encoder.bytes, 1);
    memcpy(message, encoder.message, encoder.bytes);
    *bytes = encoder.bytes;
    encoder_free(&encoder);
    tensors_free(&tensors);
    return message;
}

#endif
