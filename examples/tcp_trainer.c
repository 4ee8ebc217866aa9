/* tcp_trainer: trains a neural net over TCP, with a parameter server and workers on one or several machines.
 *
 * Every process holds a replica of the parameters. In each round each worker sends one message, with one packet for
 * each tensor of its gradient. With --exchange parameters it instead sends its parameters after some epochs, and with
 * --exchange changes their change since the last average. The server decodes the messages, encodes their mean as an
 * update, and sends the update to all workers. Then the server and all workers decode the same update and apply it. So
 * all replicas stay equal to the bit; a CRC at every report checks it.
 *
 *   worker:  HELLO (number, settings)                 server:  WELCOME (number), STATE (parameters), STATE (momentum)
 *            RANGES (floats; none: skipped)                    RANGES (their maxima), with --add-packets
 *            MESSAGE (packets; none: skipped)                  UPDATE, UPDATE_REPORT or UPDATE_LAST (packets; none)
 *            REPORT (CRC, meter), after the last two           REFUSED (text), instead of any of these
 *
 * With --add-packets the workers first agree on a grid for each tensor, so that their packets add. The server then adds
 * the packets without decoding them and sends the sum.
 *
 * A worker that fails or sends an invalid frame is dropped, and the others go on. A worker can come back in any round:
 * the server sends the present state to every worker that joins.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/error.h"
#include "common/exchange/aggregate.h"
#include "common/exchange/grid.h"
#include "common/exchange/metrics.h"
#include "common/exchange/options.h"
#include "common/exchange/tensor_message.h"
#include "common/exchange/trainer.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/tensors.h"
#include "common/transport/clients.h"
#include "common/transport/connection.h"
#include "common/transport/processes.h"

enum { TEST_BATCH = 1000 };

struct tcp_settings {
    const char *host;
    uint64_t port, worker_id;
    double timeout, link_mbps;
    const char *key_file;
    bool insecure;
};

/* ---- Worker ---------------------------------------------------------------------------------------------------- */

struct worker {
    struct trainer *trainer;
    const struct tcp_settings *tcp;
    bool resume; /* the next join continues from the worker's checkpoint */
    struct pace pace;
    struct connection server;
};

/* Waits for a frame of one type; UPDATE stands for all three types of updates. The time limit is longer than --timeout,
 * because the server may first wait for every other worker in turn. */
static bool expect(struct worker *worker, enum frame_type type, struct frame *frame, struct error *error) {
    double seconds = worker->tcp->timeout * (double)(worker->trainer->settings.workers + 2);
    if (!frame_wait(&worker->server, seconds, frame, error)) return false;
    if (frame->type == REFUSED) {
        say(worker->trainer->id, "the server at %s refuses: %.*s", worker->server.name, (int)frame->bytes,
            (const char *)frame->payload);
        exit(1);
    }
    return frame->type == type || (type == UPDATE && (frame->type == UPDATE_REPORT || frame->type == UPDATE_LAST)) ||
           set_error(error, "sends a frame of type %d out of turn", frame->type);
}

static bool send_frame(struct worker *worker, enum frame_type type, uint64_t round, const uint8_t *payload,
                       size_t bytes, struct error *error) {
    return frame_send(&worker->server, &worker->pace, (uint8_t)type, (uint32_t)round, payload, bytes,
                      worker->tcp->timeout, error);
}

/* Reads momentum and residual from the worker's own checkpoint. A checkpoint of another round ends the program. */
static void resume_worker(struct worker *worker, uint64_t round) {
    struct trainer *trainer = worker->trainer;
    struct error error;
    if (trainer_resume_at(trainer, round, &error)) return;
    say(trainer->id, "%s", error.text);
    exit(1);
}

/* Sends the hello and receives the server's state. */
static bool join(struct worker *worker, uint64_t *round, struct error *error) {
    struct trainer *trainer = worker->trainer;
    struct tensors *state[] = {&trainer->parameters, &trainer->velocity};
    uint8_t hello[HELLO_BYTES];
    size_t bytes = hello_put(hello, trainer->id, trainer->settings_text);
    struct frame frame;
    if (!send_frame(worker, HELLO, 0, hello, bytes, error) || !expect(worker, WELCOME, &frame, error)) return false;
    if (!welcome_get(frame.payload, frame.bytes, (size_t)trainer->settings.workers, &trainer->id))
        return set_error(error, "sends a bad welcome");
    *round = frame.round;
    frame_done(&worker->server);
    for (size_t i = 0; i < 2; i++) {
        if (!expect(worker, STATE, &frame, error)) return false;
        tensors_clear(state[i]);
        if (!decoder_add(&trainer->decoder, state[i], 1.0f, frame.payload, frame.bytes, error)) return false;
        frame_done(&worker->server);
    }
    if (worker->resume) resume_worker(worker, *round);
    worker->resume = false;
    return true;
}

static bool report(struct worker *worker, uint64_t round, struct error *error) {
    struct trainer *trainer = worker->trainer;
    struct meter meter = trainer_take_meter(trainer);
    uint8_t payload[REPORT_BYTES];
    if (!trainer_save(trainer, false, round + 1, error)) say(trainer->id, "%s", error->text);
    put_u32(payload, tensors_crc(&trainer->parameters));
    meter_put(payload + 4, &meter);
    return send_frame(worker, REPORT, round, payload, sizeof payload, error);
}

/* Agrees with the other workers on the range of each tensor's grid. */
static bool agree_on_ranges(struct worker *worker, uint64_t round, struct error *error) {
    struct trainer *trainer = worker->trainer;
    size_t count = trainer->values.count, sent = 4 * count;
    uint8_t *ranges = (uint8_t *)allocate(count, 4);
    struct frame reply;
    for (size_t i = 0; i < count; i++) {
        float range = encoder_range(&trainer->encoder, i, &trainer->values.tensor[i]);
        put_f32(ranges + 4 * i, range);
        if (!isfinite(range)) sent = 0;
    }
    bool good = send_frame(worker, RANGES, round, ranges, sent, error) && expect(worker, RANGES, &reply, error) &&
                ((reply.bytes == 4 * count || !sent) || set_error(error, "sends %zu bytes of ranges", reply.bytes));
    free(ranges);
    if (!good) return false;
    for (size_t i = 0; i < reply.bytes / 4 && i < count; i++)
        trainer->encoder.range[i] = get_f32(reply.payload + 4 * i);
    trainer->meter.bytes_up += FRAME_HEAD_BYTES + sent;
    trainer->meter.bytes_down += FRAME_HEAD_BYTES + reply.bytes;
    frame_done(&worker->server);
    return true;
}

/* Computes one round and exchanges its messages. *type receives the type of the update. */
static bool work_round(struct worker *worker, uint64_t round, enum frame_type *type, struct error *error) {
    struct trainer *trainer = worker->trainer;
    struct meter *meter = &trainer->meter;
    struct frame update;
    trainer_compute(trainer, round);
    double start = clock_seconds();
    if (trainer->encoder.range && !agree_on_ranges(worker, round, error)) return false;
    meter->transfer_s += clock_seconds() - start;
    if (trainer_encode(trainer, round, error))
        meter->values += trainer->values.values;
    else
        say(trainer->id, "skips round %llu: %s", (unsigned long long)round, error->text);

    start = clock_seconds();
    if (!send_frame(worker, MESSAGE, round, trainer->encoder.message, trainer->encoder.bytes, error) ||
        !expect(worker, UPDATE, &update, error))
        return false;
    meter->transfer_s += clock_seconds() - start;
    meter->bytes_up += FRAME_HEAD_BYTES + trainer->encoder.bytes;
    meter->bytes_down += FRAME_HEAD_BYTES + update.bytes;

    if (update.round != round)
        return set_error(error, "sends an update of round %u in round %llu", update.round, (unsigned long long)round);
    if (!trainer_apply(trainer, round, update.payload, update.bytes, error)) return false;
    *type = (enum frame_type)update.type;
    frame_done(&worker->server);
    return *type == UPDATE || report(worker, round, error);
}

/* Works until the training is over (true) or the server is lost (false). */
static bool work(struct worker *worker, struct error *error) {
    const struct trainer_settings *settings = &worker->trainer->settings;
    const dtc_spec raw = raw_spec(), *specs[] = {&settings->codec, &settings->down_codec, &raw};
    size_t limit = 0;
    for (size_t i = 0; i < 3; i++) {
        size_t bound = message_bound(specs[i], &worker->trainer->parameters);
        if (bound > limit) limit = bound;
    }
    connection_limit(&worker->server, limit);
    uint64_t round = 0;
    enum frame_type type = UPDATE;
    if (!join(worker, &round, error)) return false;
    for (; type != UPDATE_LAST; round++)
        if (!work_round(worker, round, &type, error)) return false;
    return true;
}

/* Runs a worker. If it loses the server, it connects again, and gives up after --timeout seconds without a server. */
static bool run_worker(struct trainer *trainer, const struct tcp_settings *tcp, struct error *error) {
    struct worker worker = {trainer, tcp, trainer->settings.resume != NULL, {tcp->link_mbps * 1e6 / 8.0, 0.0}, {0}};
    char port[16];
    trainer_start(trainer, &trainer->settings.codec, (size_t)trainer->settings.batch);
    snprintf(port, sizeof port, "%llu", (unsigned long long)tcp->port);

    bool done = false;
    double give_up = clock_seconds() + tcp->timeout;
    while (!done && clock_seconds() < give_up) {
        const struct timespec pause = {0, 200000000};
        if (tcp_connect(tcp->host, port, tcp->timeout, &worker.server, error)) {
            done = work(&worker, error);
            bool shut_out = worker.server.failure == EACCES && !worker.server.session.count[1];
            if (!done) say(trainer->id, "lost the server at %s: %s", worker.server.name, error->text);
            connection_close(&worker.server);
            if (shut_out) return false; /* the keys stay different */
            give_up = clock_seconds() + tcp->timeout;
        }
        if (!done) nanosleep(&pause, NULL);
    }
    return done && trainer_sound(trainer, &trainer->reported, error);
}

/* ---- Server ---------------------------------------------------------------------------------------------------- */

struct server {
    struct trainer *trainer;
    struct clients clients;
    struct metrics metrics;
    uint64_t round;
    bool drifted; /* a worker's replica differed from the server's */
};

/* Sends tensors to all workers that have just joined. */
static bool send_state(struct server *server, const struct tensors *state, struct error *error) {
    dtc_spec raw = raw_spec();
    struct encoder encoder = encoder_create(&raw, false, state);
    bool good = encoder_encode(&encoder, state, NULL, 0, error);
    if (good) clients_send_all(&server->clients, true, STATE, encoder.message, encoder.bytes);
    encoder_free(&encoder);
    return good;
}

/* Waits for workers, and lets those in that are WAITING. The first round waits for all workers, a later one for at
 * least one. */
static bool muster(struct server *server, bool first, struct error *error) {
    struct clients *clients = &server->clients;
    size_t wanted = first ? clients->workers : 1, here = clients_await(clients, wanted), joining = 0;
    if (here == 0) return set_error(error, "no worker for %g s (--timeout): giving up", clients->timeout);
    if (here < wanted) say(0, "starts with %zu of %zu workers; the others may join later", here, wanted);
    clients_admit(clients);
    for (size_t i = 0; i < clients->slots; i++) {
        struct client *client = &clients->client[i];
        uint8_t welcome[WELCOME_BYTES];
        if (!client->joins) continue;
        joining += clients_send(clients, client, WELCOME, welcome, welcome_put(welcome, client->id));
    }
    if (joining == 0) return true;
    if (!send_state(server, &server->trainer->parameters, error) ||
        !send_state(server, &server->trainer->velocity, error))
        return false;
    for (size_t i = 0; i < clients->slots; i++) {
        const struct client *client = &clients->client[i];
        if (client->joins && !first)
            say(0, "worker %zu (%s) joined in round %u", client->id, client->connection.name, clients->round);
    }
    return true;
}

/* Runs one round with the ACTIVE workers. */
static bool serve_round(struct server *server, enum frame_type type, struct error *error) {
    struct trainer *trainer = server->trainer;
    const struct trainer_settings *settings = &trainer->settings;
    struct clients *clients = &server->clients;
    const uint8_t *update;
    size_t bytes;
    double start = clock_seconds();
    if (settings->add_packets && grid_open(&settings->codec)) aggregate_ranges(clients, trainer);
    trainer->meter.transfer_s += clock_seconds() - start;
    if (!aggregate_messages(clients, trainer, &update, &bytes, error)) return false;
    start = clock_seconds();
    trainer->meter.bytes_down += clients_send_all(clients, false, type, update, bytes);
    trainer->meter.transfer_s += clock_seconds() - start;
    return trainer_apply(trainer, server->round, update, bytes, error);
}

/* Runs all rounds that are left. */
static bool serve(struct server *server, struct error *error) {
    struct trainer *trainer = server->trainer;
    uint64_t rounds;
    double accuracy = 0.0;
    if (!trainer_rounds(trainer, server->round, &rounds, error)) return false;
    for (bool first = true; server->round < rounds; server->round++, first = false) {
        uint64_t done = server->round + 1, epoch = done / trainer->report_rounds * trainer->report_epochs;
        bool reports = done % trainer->report_rounds == 0;
        enum frame_type type = done == rounds ? UPDATE_LAST : reports ? UPDATE_REPORT : UPDATE;
        server->clients.round = (uint32_t)server->round;
        if (!muster(server, first, error) || !serve_round(server, type, error)) return false;
        metrics_progress(&server->metrics, done, rounds);
        if (!reports) continue;
        accuracy = trainer_accuracy(trainer);
        if (!aggregate_reports(&server->clients, trainer, &server->metrics, epoch, accuracy)) server->drifted = true;
        if (!trainer_save(trainer, true, done, error)) return false;
    }
    if (!trainer_end(trainer, &server->metrics, accuracy, error)) return false;
    return !server->drifted || set_error(error, "replicas drifted, see above: this must not happen");
}

/* Runs a server on a listening socket. */
static bool run_server(struct trainer *trainer, const struct tcp_settings *tcp, int listener, struct error *error) {
    const struct trainer_settings *settings = &trainer->settings;
    struct server server;
    memset(&server, 0, sizeof server);
    trainer_start(trainer, &settings->down_codec, TEST_BATCH);
    printf("net %s of %zu parameters\n", settings->net.text, trainer->parameters.values);
    clients_create(&server.clients, (size_t)settings->workers);
    server.clients.listener = listener;
    server.clients.settings = trainer->settings_text;
    server.clients.timeout = tcp->timeout;
    server.clients.frame_limit = REPORT_BYTES + message_bound(&settings->codec, &trainer->parameters);
    server.trainer = trainer;
    server.clients.pace.bytes_per_second = tcp->link_mbps * 1e6 / 8.0;
    bool good = trainer_resume(trainer, true, &server.round, error) &&
                metrics_open(&server.metrics, settings->metrics, settings->resume != NULL, &settings->codec,
                             settings->add_packets ? &settings->codec : &settings->down_codec, error) &&
                serve(&server, error);
    clients_free(&server.clients);
    return good;
}

/* ---- Command line ---------------------------------------------------------------------------------------------- */

#define FIELD(name) offsetof(struct tcp_settings, name)

static const struct option tcp_option[] = {
    {"host", OPTION_TEXT, FIELD(host), ROLE_ANY, false, 0, 0, NULL,
     "server: address to listen at (0.0.0.0: all addresses); worker: address of the server"},
    {"port", OPTION_COUNT, FIELD(port), ROLE_ANY, false, 0, 65535, NULL,
     "port of the server; 0 with server or local: any free port"},
    {"worker-id", OPTION_COUNT, FIELD(worker_id), ROLE_WORKER, false, 0, 1024, NULL,
     "number of this worker, from 1 to --workers; 0: any free number"},
    {"timeout", OPTION_REAL, FIELD(timeout), ROLE_ANY, false, 0.1, 1e6, NULL,
     "seconds until a silent server or worker is lost"},
    {"key-file", OPTION_TEXT, FIELD(key_file), ROLE_ANY, false, 0, 0, NULL,
     "file with a key that all processes share; without it, --host must be a loopback address"},
    {"insecure", OPTION_FLAG, FIELD(insecure), ROLE_ANY, false, 0, 0, NULL,
     "allow any --host without a key: whoever reaches the port can take part in the training"},
    {"link-mbps", OPTION_REAL, FIELD(link_mbps), ROLE_ANY, false, 0, 1e6, NULL,
     "most Mbit/s that each process sends; 0: no limit"},
};

static void help(const struct option_table tables[2]) {
    printf(
        "tcp_trainer: trains a neural net with a parameter server and workers over TCP\n\n"
        "  tcp_trainer local  [options]    a server and --workers workers on this machine\n"
        "  tcp_trainer server [options]    waits for workers, and prints the epochs and the table\n"
        "  tcp_trainer worker [options]    works for the server at --host and --port, with the server's options\n\n"
        "Options, with their defaults in brackets (--worker-id is for workers only; --epochs and --metrics are not for "
        "them):\n");
    options_help(tables, 2, ROLE_SERVED);
    printf("\nCodecs, for example: raw:type=fp32|bf16|fp16, ternary:clip=2.5, quant:bits=1..16,rounding=stochastic;\n"
           "the manual in dtcodec.h lists all. To bring a lost worker back, start it again.\n"
           "Exit codes: 0 done, 1 failed, 2 wrong options or data, 3 the training diverged.\n");
}

static bool run(struct trainer *trainer, struct tcp_settings *tcp, unsigned role, struct error *error) {
    char address[CONNECTION_NAME_BYTES], port[16];
    snprintf(port, sizeof port, "%llu", (unsigned long long)tcp->port);
    trainer->id = (size_t)tcp->worker_id;
    if (role == ROLE_WORKER) return run_worker(trainer, tcp, error);

    int listener = tcp_listen(tcp->host, port, address, error);
    if (listener < 0) return false;
    printf("listening at %s for %llu workers\n", address, (unsigned long long)trainer->settings.workers);
    fflush(stdout);
    tcp->port = strtoul(strrchr(address, ':') + 1, NULL, 10);
    size_t workers = role == ROLE_LOCAL ? (size_t)trainer->settings.workers : 0;
    pid_t *worker = (pid_t *)allocate(workers, sizeof *worker);
    bool good;
    size_t copy = processes_start(worker, workers);
    if (copy) {
        close(listener);
        trainer->id = copy;
        good = run_worker(trainer, tcp, error);
    } else {
        good = run_server(trainer, tcp, listener, error);
        close(listener);
        bool workers_good = processes_end(worker, workers, !good, NULL) == workers;
        if (good && !workers_good) good = set_error(error, "a worker failed, see above; the others finished");
    }
    free(worker);
    return good;
}

int main(int argc, char **argv) {
    static const char *const role_names[] = {"server", "worker", "local"};
    static const unsigned roles[] = {ROLE_SERVER, ROLE_WORKER, ROLE_LOCAL};
    struct trainer trainer;
    struct tcp_settings tcp = {"127.0.0.1", 7420, 0, 60.0, 0.0, NULL, false};
    struct error error;
    memset(&trainer, 0, sizeof trainer);
    trainer_defaults(&trainer.settings);
    const struct option_table tables[] = {trainer_options(&trainer.settings),
                                          {tcp_option, sizeof tcp_option / sizeof *tcp_option, &tcp}};
    if (options_want_help(argc, argv)) {
        help(tables);
        return 0;
    }
    unsigned role = 0;
    for (size_t i = 0; i < 3 && argc > 1; i++)
        if (strcmp(argv[1], role_names[i]) == 0) role = roles[i];
    if (role == ROLE_LOCAL) tcp.port = 0;
    bool good = role ? options_parse(tables, 2, role, argc - 2, argv + 2, &error) &&
                           security_set(tcp.key_file, tcp.insecure, &error) && tcp_permitted(tcp.host, &error) &&
                           trainer_load(&trainer, tables, 2, &error)
                     : set_error(&error, "the first argument must be local, server or worker: see --help");
    int code = good ? 0 : 2;
    if (good && !run(&trainer, &tcp, role, &error)) code = trainer.diverged ? EXIT_DIVERGED : 1;
    if (good && code) say(trainer.id, "%s", error.text);
    if (code == 2) fprintf(stderr, "tcp_trainer: %s\n", error.text);
    trainer_free(&trainer);
    return code;
}
