/* gossip_trainer: trains a neural net over TCP on equal peers. There is no server, and no peer waits for another.
 *
 * The algorithm is GoSGD (Blot, Picard, Cord and Thome 2016). Each peer takes steps of SGD on its part of every epoch's
 * samples. After each step, with probability p, a peer halves its weight and pushes its parameters x_s, with the other
 * half a_s of the weight, to a random peer. The receiver, with weight a and parameters x, mixes them,
 * x := (a x + a_s x_s) / (a + a_s), and adds the weights. So the peers stay near a consensus, in which each peer counts
 * by its weight. The weights add up to exactly 1 (ledger.h), however often peers are lost and come back (mesh.h).
 *
 * --difference pushes differences to a public copy, as CHOCO-SGD does (Koloskova, Stich and Jaggi 2019). Both ends of a
 * link keep a copy of what the receiver knows of the sender. A push is Q(x - copy), both ends add the decoded push to
 * the copy, and the receiver mixes the copy. The next difference contains what a packet lost, so that the peers
 * converge with few bits, too. All copies start as the net's first parameters. After a link was lost, its copies start
 * again, and the first push is lossless.
 *
 * A checkpoint holds a peer's parameters and momentum at the end of an epoch. When all peers resume, their weights are
 * equal again, and each one continues from its own epoch.
 *
 * All peers report their epochs to the peer of the lowest number, which prints them. If it is lost, the next one
 * prints.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/error.h"
#include "common/exchange/gossip_reports.h"
#include "common/exchange/metrics.h"
#include "common/exchange/options.h"
#include "common/exchange/tensor_message.h"
#include "common/exchange/trainer.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/random.h"
#include "common/tensors.h"
#include "common/transport/connection.h"
#include "common/transport/ledger.h"
#include "common/transport/mesh.h"
#include "common/transport/processes.h"

/* A push holds the weight (8 bytes), the step (4) and the packets. */
enum { PUSH_HEAD_BYTES = 12, TEST_BATCH = 1000 };

struct gossip_settings {
    const char *peers;
    uint64_t id;
    double probability, timeout;
    bool difference, join;
    double link_mbps;
    const char *key_file;
    bool insecure;
};

/* The public copies of a link's two ends, and the numbers of the connections for which they were made. */
struct copies {
    struct tensors out, in;
    uint64_t dialed, accepted;
};

struct gossip {
    struct trainer *trainer;
    const struct gossip_settings *settings;
    struct mesh mesh;
    struct reports reports;
    struct tensors first;   /* the parameters at the beginning */
    struct copies *copies;  /* copies[n - 1] belongs to the link with peer n */
    struct ledger *ledgers; /* ledgers[n - 1] is that of peer n, once the peer has sent its statement */
    uint64_t step, steps;   /* present step, and number of steps */
};

/* ---- Pushes ---------------------------------------------------------------------------------------------------- */

static void push(struct gossip *gossip, struct link *link) {
    struct trainer *trainer = gossip->trainer;
    struct copies *copies = &gossip->copies[link->id - 1];
    struct encoder *encoder = &trainer->encoder;
    struct error error;
    double start = clock_seconds();
    tensors_copy(&trainer->values, &trainer->parameters);
    if (gossip->settings->difference) {
        bool anew = copies->dialed != link->dialed;
        if (anew) tensors_copy(&copies->out, &gossip->first);
        bool far = link->dialed > 1 || gossip->settings->join || trainer->settings.resume;
        if (anew && far) encoder = &gossip->reports.raw;
        for (size_t i = 0; i < copies->out.values; i++) trainer->values.all[i] -= copies->out.all[i];
    }
    bool good = encoder_encode(encoder, &trainer->values, NULL, trainer_seed(trainer, gossip->step), &error);
    trainer->meter.encode_s += clock_seconds() - start;
    if (!good) {
        say(trainer->id, "pushes nothing in step %llu: %s", (unsigned long long)gossip->step, error.text);
        return;
    }
    uint8_t *payload = mesh_push(&gossip->mesh, link->id, PUSH_HEAD_BYTES - 8 + encoder->bytes);
    if (!payload) return;
    put_u32(payload, (uint32_t)gossip->step);
    memcpy(payload + 4, encoder->message, encoder->bytes);
    trainer->meter.values += trainer->values.values;
    link->asks = false;
    copies->dialed = link->dialed;
    start = clock_seconds();
    if (gossip->settings->difference)
        decoder_add(&trainer->decoder, &copies->out, 1.0f, encoder->message, encoder->bytes, &error);
    trainer->meter.decode_s += clock_seconds() - start;
}

/* Pushes, after a step, to a peer that asks for weight; else, with probability p, to a random peer. */
static void maybe_push(struct gossip *gossip) {
    struct mesh *mesh = &gossip->mesh;
    uint64_t key = random_bits(random_bits(gossip->trainer->settings.seed, SEED_GOSSIP), gossip->trainer->id);
    size_t ready = 0, chosen = 0, peers = mesh->ledger.peers;
    bool wants = random_unit(key, 2 * gossip->step) < gossip->settings->probability;
    for (size_t id = 1; id <= peers; id++) {
        if (!mesh_ready(mesh, id)) continue;
        ready++;
        if (mesh->link[id - 1].asks) chosen = id;
    }
    if (!chosen && wants && ready) {
        size_t skip = (size_t)(random_bits(key, 2 * gossip->step + 1) % ready);
        for (chosen = 1; !mesh_ready(mesh, chosen) || skip-- > 0;) chosen++;
    }
    if (chosen) push(gossip, &mesh->link[chosen - 1]);
}

static bool mix(struct gossip *gossip, const struct link *link, struct error *error) {
    struct trainer *trainer = gossip->trainer;
    struct copies *copies = &gossip->copies[link->id - 1];
    struct tensors *theirs = gossip->settings->difference ? &copies->in : &trainer->values;
    const struct frame *frame = &link->frame;
    uint64_t own = gossip->mesh.ledger.weight, weight = get_u64(frame->payload);
    double start = clock_seconds();
    if (frame->bytes < PUSH_HEAD_BYTES) return set_error(error, "sends a push without a step");
    if (gossip->settings->difference && copies->accepted != link->accepted)
        tensors_copy(theirs, &gossip->first);
    else if (!gossip->settings->difference)
        tensors_clear(theirs);
    copies->accepted = link->accepted;
    if (!decoder_add(&trainer->decoder, theirs, 1.0f, frame->payload + PUSH_HEAD_BYTES, frame->bytes - PUSH_HEAD_BYTES,
                     error))
        return false;
    if (!tensors_finite(theirs)) return set_error(error, "pushes parameters that are not finite");
    float part = (float)((double)weight / ((double)own + (double)weight));
    float *x = trainer->parameters.all;
    for (size_t i = 0; i < theirs->values && own; i++) x[i] += part * (theirs->all[i] - x[i]);
    if (!own) { /* this peer has just joined */
        tensors_copy(&trainer->parameters, theirs);
        gossip->step = get_u32(frame->payload + 8);
    }
    trainer->meter.decode_s += clock_seconds() - start;
    return true;
}

/* ---- Training -------------------------------------------------------------------------------------------------- */

/* Waits up to `seconds` for a frame, and handles all frames that have arrived. Returns false if this peer must end. */
static bool hear(struct gossip *gossip, double seconds, struct error *error) {
    struct mesh *mesh = &gossip->mesh;
    double start = clock_seconds(), deadline = start + seconds, others = 0.0;
    for (size_t i = 0; i <= mesh->ledger.peers; i++, deadline = 0.0) {
        struct link *link = mesh_receive(mesh, deadline);
        double received = clock_seconds();
        if (!link) break;
        bool good = link->frame.type == LINK_PUSH ? mix(gossip, link, error)
                    : link->frame.type == LINK_REPORT
                        ? reports_take(&gossip->reports, link, error)
                        : statement_get(link->frame.payload, link->frame.bytes, &gossip->ledgers[link->id - 1]) ||
                              set_error(error, "sends an invalid ledger");
        if (good)
            mesh_accept(mesh, link);
        else
            mesh_reject(mesh, link, error->text);
        others += clock_seconds() - received;
    }
    gossip->trainer->meter.transfer_s += clock_seconds() - start - others;
    reports_print(&gossip->reports, false);
    return !mesh->ended || set_error(error, "%.500s", mesh->reason.text);
}

/* A founder waits for the other founders. A peer that joins asks one peer after another for half of its weight. */
static bool begin(struct gossip *gossip, struct error *error) {
    struct mesh *mesh = &gossip->mesh;
    double start = clock_seconds(), asked = 0.0;
    uint64_t tries = mesh->ledger.incarnation;
    while (gossip->settings->join ? mesh->ledger.weight == 0 : !mesh_complete(mesh)) {
        double now = clock_seconds();
        if (gossip->settings->join && now > start + gossip->settings->timeout)
            return set_error(error, "no peer pushed a weight to this peer for %g s (--timeout)",
                             gossip->settings->timeout);
        size_t id = (size_t)(random_bits(tries++, 0) % mesh->ledger.peers) + 1;
        if (gossip->settings->join && now > asked + 1.0 && mesh_ready(mesh, id)) {
            mesh_send(mesh, id, LINK_ASK, 0, 0);
            asked = now;
        }
        if (!hear(gossip, 0.05, error)) return false;
    }
    mesh->started = true;
    return true;
}

static bool train(struct gossip *gossip, struct error *error) {
    struct trainer *trainer = gossip->trainer;
    for (; gossip->step < gossip->steps; gossip->step++) {
        trainer_compute(trainer, gossip->step);
        trainer_step(trainer, gossip->step);
        maybe_push(gossip);
        if (!hear(gossip, 0.0, error)) return false;
        uint64_t done = gossip->step + 1;
        if (done % trainer->steps == 0 && !trainer_save(trainer, true, done, error)) return false;
        if (done % trainer->steps == 0 && done < gossip->steps) reports_send(&gossip->reports, done / trainer->steps);
    }
    return true;
}

static void print_weights(const struct settlement *end, const struct ledger *ledger, size_t peers) {
    printf("weights   ");
    for (size_t i = 0; i < peers; i++)
        if (ledger[i].incarnation) printf(" %zu: %.6f", i + 1, (double)ledger[i].weight / (double)WEIGHT_ONE);
    printf("\nwritten off");
    for (size_t i = 0; i < peers; i++)
        if (end->written[i]) printf(" %zu: %.6f", i + 1, (double)end->written[i] / (double)WEIGHT_ONE);
    printf("%s\nsum        %llu living + %lld written off = %llu / 2^56: %s\n", end->written_off ? "" : " nothing",
           (unsigned long long)end->living, (long long)end->written_off,
           (unsigned long long)(end->living + (uint64_t)end->written_off), end->exact ? "exactly 1" : "NOT 1");
}

/* Waits until all peers push no more. Then the peers exchange their statements, and each checks the sum of weights. */
static bool finish(struct gossip *gossip, struct error *error) {
    struct trainer *trainer = gossip->trainer;
    struct mesh *mesh = &gossip->mesh;
    size_t peers = mesh->ledger.peers, bytes = statement_bytes(peers);
    mesh_done(mesh);
    for (bool waits = true; waits;) {
        waits = false;
        for (size_t i = 0; i < peers; i++)
            waits |= !mesh->link[i].gone && (!mesh->link[i].done || mesh->ledger.book[i].flight);
        if (!hear(gossip, waits ? 0.05 : 0.0, error)) return false;
    }
    reports_send(&gossip->reports, trainer->settings.epochs);
    uint8_t *statement = (uint8_t *)allocate(bytes, 1);
    statement_put(statement, &mesh->ledger);
    statement_get(statement, bytes, &gossip->ledgers[trainer->id - 1]);
    mesh_tell(mesh, statement);
    bool good = true;
    for (bool waits = true; waits && good;) {
        waits = false;
        for (size_t i = 0; i < peers; i++)
            waits |= !mesh->link[i].gone && (!mesh->link[i].leaving || !mesh->link[i].told);
        good = hear(gossip, waits ? 0.05 : 0.0, error);
    }
    free(statement);
    if (!good) return false;

    struct settlement end = ledger_settle(gossip->ledgers, peers);
    struct reports *reports = &gossip->reports;
    reports_print(reports, true);
    if (mesh_lowest(mesh) == trainer->id && reports->open) {
        good = metrics_close(&reports->metrics, trainer->parameters.values, reports->accuracy, error) &&
               trainer_sound(trainer, &reports->metrics.workers, error);
        printf("pushed     %llu bytes by all peers\n", (unsigned long long)reports->metrics.workers.bytes_up);
        print_weights(&end, gossip->ledgers, peers);
    }
    if (end.differ[0]) say(trainer->id, "the books of peers %zu and %zu differ", end.differ[0], end.differ[1]);
    good = good && trainer_sound(trainer, &trainer->reported, error);
    if (!end.exact) good = set_error(error, "the weights do not add up to 1: this must not happen");
    free(end.written);
    return good;
}

/* Runs one peer from its start to its end. */
static bool run_peer(struct trainer *trainer, const struct gossip_settings *settings, int listener,
                     struct error *error) {
    size_t peers = (size_t)trainer->settings.workers, batch = (size_t)trainer->settings.batch;
    struct gossip gossip;
    memset(&gossip, 0, sizeof gossip);
    gossip.trainer = trainer;
    gossip.settings = settings;
    trainer_start(trainer, &trainer->settings.codec, batch > TEST_BATCH ? batch : TEST_BATCH);
    reports_create(&gossip.reports, trainer, &gossip.mesh);
    gossip.first = tensors_like(&trainer->parameters);
    tensors_copy(&gossip.first, &trainer->parameters);
    gossip.copies = (struct copies *)allocate(peers, sizeof *gossip.copies);
    gossip.ledgers = (struct ledger *)allocate(peers, sizeof *gossip.ledgers);
    for (size_t i = 0; i < peers; i++) {
        gossip.ledgers[i] = ledger_create(i + 1, peers, 0, false);
        if (!settings->difference) continue;
        gossip.copies[i].out = tensors_like(&trainer->parameters);
        gossip.copies[i].in = tensors_like(&trainer->parameters);
    }
    size_t raw = gossip.reports.raw.capacity, limit = trainer->encoder.capacity;
    mesh_create(&gossip.mesh, trainer->id, peers, settings->peers, !settings->join,
                PUSH_HEAD_BYTES + METER_BYTES + (limit > raw ? limit : raw));
    gossip.mesh.settings = trainer->settings_text;
    gossip.mesh.timeout = settings->timeout;
    gossip.mesh.listener = listener;
    gossip.mesh.pace.bytes_per_second = settings->link_mbps * 1e6 / 8.0;

    bool first = trainer->id == 1 && !settings->join;
    bool good = trainer_resume(trainer, true, &gossip.step, error) &&
                trainer_rounds(trainer, gossip.step, &gossip.steps, error) &&
                (!first || reports_open(&gossip.reports, !trainer->settings.resume, error)) && begin(&gossip, error) &&
                train(&gossip, error) && finish(&gossip, error);
    reports_free(&gossip.reports);
    mesh_free(&gossip.mesh);
    for (size_t i = 0; i < peers; i++) {
        ledger_free(&gossip.ledgers[i]);
        tensors_free(&gossip.copies[i].out);
        tensors_free(&gossip.copies[i].in);
    }
    free(gossip.copies);
    free(gossip.ledgers);
    tensors_free(&gossip.first);
    return good;
}

/* ---- Command line ---------------------------------------------------------------------------------------------- */

#define FIELD(name) offsetof(struct gossip_settings, name)

static const struct option gossip_option[] = {
    {"peers", OPTION_TEXT, FIELD(peers), ROLE_GOSSIP, false, 0, 0, NULL,
     "addresses of all peers, the same list for each, for example 10.0.0.1:7420,10.0.0.2:7420"},
    {"id", OPTION_COUNT, FIELD(id), ROLE_GOSSIP, false, 1, 1024, NULL, "number of this peer in the list, from 1"},
    {"join", OPTION_FLAG, FIELD(join), ROLE_GOSSIP, false, 0, 0, NULL,
     "replace a lost peer; another peer pushes weight and parameters to this one"},
    {"p", OPTION_REAL, FIELD(probability), ROLE_ANY, true, 0, 1, NULL, "probability of a push after a step"},
    {"difference", OPTION_FLAG, FIELD(difference), ROLE_ANY, true, 0, 0, NULL,
     "push differences to a public copy, for codecs of few bits"},
    {"timeout", OPTION_REAL, FIELD(timeout), ROLE_ANY, false, 0.1, 1e6, NULL, "seconds until a silent peer is lost"},
    {"link-mbps", OPTION_REAL, FIELD(link_mbps), ROLE_ANY, false, 0, 1e6, NULL,
     "most Mbit/s that each process sends; 0: no limit"},
    {"key-file", OPTION_TEXT, FIELD(key_file), ROLE_ANY, false, 0, 0, NULL,
     "file with a key that all peers share; without it, --peers must be loopback addresses"},
    {"insecure", OPTION_FLAG, FIELD(insecure), ROLE_ANY, false, 0, 0, NULL,
     "allow any --peers without a key: whoever reaches a port can take part in the training"},
};

static void help(const struct option_table tables[2]) {
    printf(
        "gossip_trainer: trains a neural net among peers that push each other parameters at random\n\n"
        "  gossip_trainer local [options]    --workers peers on this machine\n"
        "  gossip_trainer peer  [options]    one of --peers; all peers have the same options, except --id and "
        "--join\n\n"
        "Options, with their defaults in brackets (--workers is for local only; --peers, --id and --join are for peer "
        "only):\n");
    options_help(tables, 2, ROLE_GOSSIP | ROLE_GOSSIP_LOCAL);
    printf("\nTo bring a lost peer back, start it again with --join. To go on with a training that has ended, start "
           "all peers\n"
           "with --resume.\n"
           "Exit codes: 0 done, 1 failed, 2 wrong options or data, 3 the training diverged.\n");
}

/* Starts all peers as processes on this machine, and waits for them. */
static bool run_local(struct trainer *trainer, struct gossip_settings *settings, struct error *error) {
    size_t peers = (size_t)trainer->settings.workers, length = 0, own, well;
    int *listener = (int *)allocate(peers, sizeof *listener);
    pid_t *process = (pid_t *)allocate(peers, sizeof *process);
    char *list = (char *)allocate(peers, CONNECTION_NAME_BYTES + 1), name[CONNECTION_NAME_BYTES];
    int worst;
    bool good = true;
    for (size_t i = 0; i < peers; i++) {
        listener[i] = good ? tcp_listen("127.0.0.1", "0", name, error) : -1;
        good &= listener[i] >= 0;
        if (good) length += (size_t)sprintf(list + length, i ? ",%s" : "%s", name);
    }
    settings->peers = list;
    own = good ? processes_start(process, peers) : 0;
    for (size_t i = 0; i < peers; i++)
        if (i + 1 != own && listener[i] >= 0) close(listener[i]);
    if (own) {
        trainer->id = own;
        good = run_peer(trainer, settings, listener[own - 1], error);
        close(listener[own - 1]);
    } else if (good) {
        printf("--peers %s\n", list);
        for (size_t i = 0; i < peers; i++) printf("peer %zu is process %ld\n", i + 1, (long)process[i]);
        fflush(stdout);
        well = processes_end(process, peers, false, &worst);
        trainer->diverged = worst == EXIT_DIVERGED;
        if (trainer->diverged)
            good = set_error(error, "the training diverged, see above");
        else if (well == 0)
            good = set_error(error, "no peer ended well, see above");
    }
    free(listener);
    free(process);
    free(list);
    return good;
}

static bool run(struct trainer *trainer, struct gossip_settings *settings, unsigned role, struct error *error) {
    char host[256], port[8], name[CONNECTION_NAME_BYTES];
    if (role == ROLE_GOSSIP_LOCAL) return run_local(trainer, settings, error);
    trainer->id = (size_t)settings->id;
    mesh_address(settings->peers, trainer->id, host, port);
    int listener = tcp_listen(host, port, name, error);
    if (listener < 0) return false;
    bool good = run_peer(trainer, settings, listener, error);
    close(listener);
    return good;
}

/* Checks the options of a peer together. */
static bool check(struct trainer *trainer, const struct gossip_settings *settings, unsigned role, struct error *error) {
    char host[256], port[8];
    if (!security_set(settings->key_file, settings->insecure, error)) return false;
    if (role == ROLE_GOSSIP_LOCAL) return true;
    if (!settings->peers) return set_error(error, "--peers is missing");
    size_t peers = mesh_address_count(settings->peers);
    for (size_t i = 1; i <= peers; i++) {
        if (!mesh_address(settings->peers, i, host, port))
            return set_error(error, "--peers: address %zu is not host:port", i);
        if (!tcp_permitted(host, error)) return false;
    }
    if (settings->id < 1 || settings->id > peers)
        return set_error(error, "--id %llu: there are %zu --peers", (unsigned long long)settings->id, peers);
    if (settings->join && trainer->settings.resume)
        return set_error(error, "--resume: a peer that joins gets its parameters from another one: leave --resume out");
    trainer->settings.workers = peers;
    return true;
}

int main(int argc, char **argv) {
    struct trainer trainer;
    struct gossip_settings settings = {NULL, 0, 0.1, 60.0, false, false, 0.0, NULL, false};
    struct error error;
    memset(&trainer, 0, sizeof trainer);
    trainer_defaults(&trainer.settings);
    say_kind("peer", "local");
    const struct option_table tables[] = {trainer_options(&trainer.settings),
                                          {gossip_option, sizeof gossip_option / sizeof *gossip_option, &settings}};
    if (options_want_help(argc, argv)) {
        help(tables);
        return 0;
    }
    unsigned role = argc < 2                        ? 0
                    : strcmp(argv[1], "local") == 0 ? ROLE_GOSSIP_LOCAL
                    : strcmp(argv[1], "peer") == 0  ? ROLE_GOSSIP
                                                    : 0;
    bool good = role ? options_parse(tables, 2, role, argc - 2, argv + 2, &error) &&
                           check(&trainer, &settings, role, &error) && trainer_load(&trainer, tables, 2, &error)
                     : set_error(&error, "the first argument must be local or peer: see --help");
    int code = good ? 0 : 2;
    if (good && !run(&trainer, &settings, role, &error)) code = trainer.diverged ? EXIT_DIVERGED : 1;
    if (good && code) say(trainer.id, "%s", error.text);
    if (code == 2) fprintf(stderr, "gossip_trainer: %s\n", error.text);
    trainer_free(&trainer);
    return code;
}
