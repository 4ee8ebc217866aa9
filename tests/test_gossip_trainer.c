/* gossip_trainer: the books of its weights alone; and as a whole: peers that train, fail, join and meet strangers. */
#include <math.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "examples/common/bytes.h"
#include "examples/common/exchange/tensor_message.h"
#include "examples/common/exchange/trainer.h"
#include "examples/common/random.h"
#include "examples/common/transport/ledger.h"
#include "examples/common/transport/mesh.h"
#include "tests/program.h"

/* ---- Ledger ---------------------------------------------------------------------------------------------------- */

static void shares_are_one(void **state) {
    (void)state;
    for (size_t peers = 1; peers <= 1024; peers++) {
        uint64_t sum = 0;
        for (size_t id = 1; id <= peers; id++) sum += weight_share(id, peers);
        assert_true(sum == WEIGHT_ONE);
    }
}

static void a_weight_halves_until_it_cannot(void **state) {
    (void)state;
    struct ledger ledger = ledger_create(1, 2, 1, true);
    size_t pushes = 0;
    while (ledger_push(&ledger, 2) > 0) {
        ledger_acknowledged(&ledger, 2);
        pushes++;
    }
    assert_int_equal(pushes, 55);
    assert_true(ledger.weight == 1 && ledger.book[1].sent == WEIGHT_ONE / 2 - 1);
    ledger_free(&ledger);
}

enum { PEERS = 5, EVENTS = 200000 };

/* A push on its way from one to another. */
enum way { NONE, FLYING, RECEIVED, ACKNOWLEDGED };

struct world {
    struct ledger ledger[PEERS]; /* incarnation 0: dead */
    enum way way[PEERS][PEERS];
    uint64_t incarnations;
};

static void advance(struct world *world, size_t from, size_t to) {
    struct ledger *sender = &world->ledger[from], *receiver = &world->ledger[to];
    switch (world->way[from][to]) {
    case NONE:
        world->way[from][to] = ledger_push(sender, to + 1) ? FLYING : NONE;
        break;
    case FLYING:
        assert_true(ledger_plausible(receiver, sender->book[to].flight));
        ledger_receive(receiver, from + 1, sender->book[to].flight);
        world->way[from][to] = RECEIVED;
        break;
    case RECEIVED:
        ledger_acknowledged(sender, to + 1);
        world->way[from][to] = ACKNOWLEDGED;
        break;
    case ACKNOWLEDGED:
        ledger_confirmed(receiver, from + 1);
        world->way[from][to] = NONE;
        break;
    }
}

static void kill_peer(struct world *world, size_t peer) {
    world->ledger[peer].incarnation = world->ledger[peer].weight = 0;
    for (size_t i = 0; i < PEERS; i++) {
        if (world->ledger[i].incarnation) ledger_write_off(&world->ledger[i], peer + 1);
        world->way[i][peer] = world->way[peer][i] = NONE;
    }
}

static void start_peer(struct world *world, size_t peer, bool founder) {
    ledger_free(&world->ledger[peer]);
    world->ledger[peer] = ledger_create(peer + 1, PEERS, ++world->incarnations, founder);
    for (size_t i = 0; i < PEERS; i++)
        if (i != peer && world->ledger[i].incarnation) {
            world->ledger[i].book[peer].incarnation = world->ledger[peer].incarnation;
            world->ledger[peer].book[i].incarnation = world->ledger[i].incarnation;
        }
}

static void weights_add_up_through_loss_and_churn(void **state) {
    (void)state;
    struct world world;
    size_t deaths = 0, taken_back = 0;
    memset(&world, 0, sizeof world);
    for (size_t i = 0; i < PEERS; i++) start_peer(&world, i, true);
    for (uint64_t event = 0; event < EVENTS; event++) {
        size_t from = (size_t)(random_bits(1, event) % PEERS), to = (size_t)(random_bits(2, event) % PEERS);
        uint64_t what = random_bits(3, event) % 1000;
        bool living = world.ledger[from].incarnation && world.ledger[to].incarnation && from != to;
        if (what < 1 && world.ledger[from].incarnation) {
            kill_peer(&world, from);
            deaths++;
        } else if (what < 10 && !world.ledger[from].incarnation) {
            start_peer(&world, from, false);
        } else if (what < 100 && living && world.way[from][to] == FLYING) { /* the connection is lost */
            ledger_returned(&world.ledger[from], to + 1);
            world.way[from][to] = NONE;
            taken_back++;
        } else if (living) {
            advance(&world, from, to);
        }
        if (event % 100) continue;
        struct ledger then[PEERS]; /* what they tell when all that is under way has come */
        uint64_t flights = 0;
        for (size_t i = 0; i < PEERS; i++)
            for (size_t j = 0; j < PEERS; j++)
                flights += world.ledger[i].incarnation ? world.ledger[i].book[j].flight : 0;
        for (size_t i = 0; i < PEERS; i++)
            for (size_t j = 0; j < PEERS; j++)
                while (world.way[i][j] != NONE && world.way[i][j] != ACKNOWLEDGED) advance(&world, i, j);
        for (size_t i = 0; i < PEERS; i++) {
            uint8_t statement[512];
            size_t bytes = statement_bytes(PEERS);
            assert_true(bytes <= sizeof statement);
            then[i] = ledger_create(i + 1, PEERS, 0, false);
            if (!world.ledger[i].incarnation) continue;
            statement_put(statement, &world.ledger[i]);
            assert_true(statement_get(statement, bytes, &then[i]));
            assert_false(statement_get(statement, bytes - 1, &then[i]));
        }
        struct settlement end = ledger_settle(then, PEERS);
        assert_true(end.exact && end.written_off >= 0);
        free(end.written);
        for (size_t i = 0; i < PEERS; i++) ledger_free(&then[i]);
        assert_true(flights <= WEIGHT_ONE);
    }
    assert_true(deaths > 50 && taken_back > 1000);
    for (size_t i = 0; i < PEERS; i++) ledger_free(&world.ledger[i]);
}

static void false_books_are_found(void **state) {
    (void)state;
    struct world world;
    memset(&world, 0, sizeof world);
    for (size_t i = 0; i < PEERS; i++) start_peer(&world, i, true);
    for (int i = 0; i < 3; i++) advance(&world, 0, 1);
    world.ledger[1].book[0].received++;
    struct settlement end = ledger_settle(world.ledger, PEERS);
    assert_true(!end.exact && end.differ[0] == 1 && end.differ[1] == 2);
    free(end.written);
    world.ledger[1].book[0].received--;
    world.ledger[4].weight++;
    end = ledger_settle(world.ledger, PEERS);
    assert_true(!end.exact && end.differ[0] == 0);
    free(end.written);
    for (size_t i = 0; i < PEERS; i++) ledger_free(&world.ledger[i]);
}

/* ---- Training -------------------------------------------------------------------------------------------------- */

static void every_exchange_trains(void **state) {
    (void)state;
    const char *const runs[] = {
        "--codec raw",
        "--codec raw:type=bf16 --p 0.5",
        "--codec quant:bits=8 --workers 3",
        "--codec quant:bits=4 --difference",
        "--codec quant:bits=3,rounding=stochastic --difference --p 1 --workers 2",
        "--codec ternary --difference --momentum 0.5",
        "--workers 1",
    };
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        char words[512];
        snprintf(words, sizeof words, "%s --epochs 60 --metrics %s", runs[i], in_dir("m.csv"));
        char *log = run("local", words, 0), *csv = text_of(in_dir("m.csv"));
        const char *workers = strstr(runs[i], "--workers ");
        size_t peers = workers ? (size_t)(workers[10] - '0') : 4;
        if (!(field_after(log, "accuracy   ") > 90.0)) fail_msg("%s\n%s", runs[i], log);
        assert_says(log, "written off nothing\nsum        72057594037927936 living + 0 written off = "
                         "72057594037927936 / 2^56: exactly 1\n");
        assert_int_equal(occurrences(log, "; consensus distance "), 60);
        assert_int_equal(occurrences(csv, "\n"), 1 + 60 * peers);
        assert_int_equal(occurrences(csv, "\n60,"), peers);
        free(log);
        free(csv);
    }
}

static void a_process_evaluates_what_takes_long(void **state) {
    (void)state;
    char *log = run("local", "--net 64-2048-4 --workers 2 --epochs 4", 0);
    if (!(field_after(log, "accuracy   ") > 90.0)) fail_msg("%s", log);
    assert_int_equal(occurrences(log, "; consensus distance "), 4);
    free(log);
}

static void every_byte_is_counted(void **state) {
    (void)state;
    char words[512];
    snprintf(words, sizeof words, "--epochs 60 --p 1 --workers 2 --metrics %s", in_dir("m.csv"));
    char *log = run("local", words, 0), *csv = text_of(in_dir("m.csv")), *row = csv;
    unsigned long long values = 0, up = 0, down = 0, all[3];
    for (size_t i = 0; i < 2 * 60; i++) {
        row = strchr(row, '\n') + 1;
        assert_int_equal(sscanf(row, "%*d,%*d,\"%*[^\"]\",%llu,%llu,%llu", &all[0], &all[1], &all[2]), 3);
        values += all[0];
        up += all[1];
        down += all[2];
    }
    /* a push: head, weight and step, 1108 values in four packets of at most 24 bytes more each; its acknowledgement and
     * that one's confirmation are heads alone */
    unsigned long long pushes = values / 1108, least = pushes * (16 + 12 + 4 * 1108 + 2 * 16);
    assert_true(pushes > 4 && values % 1108 == 0);
    assert_true(up >= least && up <= least + pushes * 4 * 24);
    assert_true(down == up);
    assert_true((unsigned long long)field_after(log, "pushed     ") == up);
    free(log);
    free(csv);
}

/* Since which step of the first epoch, of so many, the peer's training has diverged. */
static void assert_diverged(const char *log, size_t peer, double first, double last, unsigned steps) {
    char words[128], of[16];
    snprintf(words, sizeof words,
             "\npeer %zu: the training diverged: the loss or its gradient is not finite since epoch 1, step ", peer);
    double step = field_after(log, words);
    if (!(step >= first && step <= last)) fail_msg("not from step %g to %g:%s%g\n%s", first, last, words, step, log);
    snprintf(of, sizeof of, " of %u: ", steps);
    assert_says(strstr(log, words), of);
}

static void what_is_not_finite_stays_where_it_is(void **state) {
    (void)state;
    const char *const words = "--lr 1e9 --net 64-16-16-16-16-4 --epochs 2";
    char with[128];
    snprintf(with, sizeof with, "%s --p 1", words);
    char *log = run("local", with, EXIT_DIVERGED);
    assert_says(log, "is skipped: the update is not finite");
    assert_says(log, ": the training diverged: the loss or its gradient is not finite since epoch 1, step ");
    assert_says(log, "\nlocal: the training diverged, see above\n");
    assert_int_equal(occurrences(log, "is written off"), 0);
    assert_says(log, " / 2^56: exactly 1\n");
    free(log);
    /* Pushes arrive between any two steps, and with them the steps differ from run to run. Without pushes each peer has
     * finite parameters in step 1, and those of its own first step later. */
    snprintf(with, sizeof with, "%s --p 0", words);
    log = run("local", with, EXIT_DIVERGED);
    for (size_t peer = 1; peer <= 4; peer++) assert_diverged(log, peer, 2.0, 8.0, 8);
    assert_says(log, "\nlocal: the training diverged, see above\n");
    free(log);
}

static void a_resumed_run_goes_on(void **state) {
    (void)state;
    const char *const alone = "--workers 2 --p 0 --momentum 0.9"; /* without pushes a run is the same each time */
    char words[512], command[1024];
    snprintf(words, sizeof words, "%s --epochs 12 --save %s", alone, in_dir("straight"));
    free(run("local", words, 0));
    snprintf(words, sizeof words, "%s --epochs 5 --save %s", alone, in_dir("stopped"));
    free(run("local", words, 0));
    snprintf(words, sizeof words, "%s --epochs 12 --save %s --resume %s", alone, in_dir("stopped"), in_dir("stopped"));
    char *log = run("local", words, 0);
    assert_int_equal(occurrences(log, "; consensus distance "), 7);
    free(log);
    for (int id = 1; id <= 2; id++) {
        snprintf(command, sizeof command, "cmp %s.worker%d %s.worker%d", in_dir("straight"), id, in_dir("stopped"), id);
        assert_int_equal(system(command), 0);
    }
    log = run("local", words, 1);
    assert_says(log, "the checkpoint has done as many already");
    free(log);
}

static void a_resumed_run_with_differences_learns(void **state) {
    (void)state;
    const char *const codec = "--codec quant:bits=4 --difference --p 0.5";
    char words[512];
    snprintf(words, sizeof words, "%s --epochs 30 --save %s", codec, in_dir("half"));
    free(run("local", words, 0));
    snprintf(words, sizeof words, "%s --epochs 60 --resume %s", codec, in_dir("half"));
    char *log = run("local", words, 0);
    double first = field_after(strstr(log, "\nepoch 31/"), "accuracy ");
    if (!(first > 90.0 && field_after(log, "accuracy   ") > 90.0)) fail_msg("%s", log);
    assert_says(log, " / 2^56: exactly 1\n");
    assert_int_equal(occurrences(log, "is written off"), 0);
    free(log);
}

/* ---- Peers ----------------------------------------------------------------------------------------------------- */

enum { PORT = 7420 };

/* A loopback address that no other process of this machine has, and the list of so many peers there. */
static const char *own_host(void) {
    static char host[32];
    unsigned pid = (unsigned)getpid();
    snprintf(host, sizeof host, "127.%u.%u.%u", 64 + (pid >> 14) % 64, (pid >> 7) % 128, 1 + pid % 128);
    return host;
}

static pid_t start_gossip(size_t id, size_t peers, const char *words) {
    char all[1024], log[32];
    size_t at = (size_t)snprintf(all, sizeof all, "--id %zu --peers ", id);
    for (size_t i = 0; i < peers; i++)
        at += (size_t)snprintf(all + at, sizeof all - at, i ? ",%s:%zu" : "%s:%zu", own_host(), PORT + i);
    snprintf(all + at, sizeof all - at, " %s", words);
    snprintf(log, sizeof log, strstr(words, "--join") ? "%zu-again.log" : "%zu.log", id);
    return start(log, "peer", all);
}

static void assert_well(pid_t child, const char *log) {
    int code = end_of(child);
    if (code) fail_msg("exit code %d\n%s", code, text_of(in_dir(log)));
}

static void a_key_is_demanded_of_every_peer(void **state) {
    (void)state;
    char words[512];
    write_bytes(dir, "key", (const uint8_t *)"a key that has more than 32 bytes, for all", 42, 0);
    assert_int_equal(chmod(in_dir("key"), 0600), 0);
    snprintf(words, sizeof words, "--key-file %s --epochs 60 --codec quant:bits=4 --difference", in_dir("key"));
    char *log = run("local", words, 0);
    if (!(field_after(log, "accuracy   ") > 90.0)) fail_msg("%s", log);
    assert_says(log, "written off nothing\n");
    free(log);
    pid_t keyed = start_gossip(1, 2, words), other = start_gossip(2, 2, "--epochs 60 --timeout 2");
    await("1.log", ": does not show that it has the key (--key-file)", 1);
    await("2.log", "is written off: has a key, but this process has none: give both the same --key-file", 1);
    kill_child(keyed);
    kill_child(other);
}

static void two_of_eight_are_killed_and_one_comes_back(void **state) {
    (void)state;
    const char *const words = "--epochs 1500 --codec quant:bits=4 --difference --batch 8";
    char again[128], log[32];
    pid_t peer[9];
    for (size_t id = 1; id <= 8; id++) peer[id] = start_gossip(id, 8, words);
    await("1.log", "\nepoch 10/", 1);
    kill_child(peer[3]);
    kill_child(peer[5]);
    await("1.log", ":7422) is written off: ", 1);
    await("1.log", ":7424) is written off: ", 1);
    snprintf(again, sizeof again, "%s --join", words);
    peer[5] = start_gossip(5, 8, again);
    await("1.log", "peer 1: peer 5 (127.0.0.1:", 1);
    for (size_t id = 1; id <= 8; id++) {
        snprintf(log, sizeof log, id == 5 ? "%zu-again.log" : "%zu.log", id);
        if (id != 3) assert_well(peer[id], log);
    }
    char *said = text_of(in_dir("1.log"));
    assert_says(said, ") joined\n");
    assert_says(said, "epoch 1500/1500");
    const char *last = strstr(said, "\nepoch 1500/1500");
    assert_says(last, "mean of 7 peers; ");
    assert_says(last, "written off 3: ");
    assert_says(last, " / 2^56: exactly 1\n");
    assert_true(field_after(last, "\nsum        ") < 72057594037927936.0);
    assert_int_equal(occurrences(said, "is written off"), 2);
    free(said);
}

static void who_was_here_comes_back_as_a_joiner_alone(void **state) {
    (void)state;
    pid_t peer[4];
    for (size_t id = 1; id <= 3; id++) peer[id] = start_gossip(id, 3, "--epochs 1000000");
    await("1.log", "\nepoch ", 1);
    kill_child(peer[3]);
    await("1.log", "peer 3 (", 1);
    peer[3] = start_gossip(3, 3, "--epochs 1000000");
    assert_int_equal(end_of(peer[3]), 1);
    char *log = text_of(in_dir("3.log"));
    assert_says(log, "there was a peer 3 already: start it with --join");
    free(log);
    peer[3] = start_gossip(3, 3, "--epochs 1000000 --lr 0.06 --join");
    assert_int_equal(end_of(peer[3]), 1);
    log = text_of(in_dir("3-again.log"));
    assert_says(log, "runs with --lr 0.05, you with --lr 0.06");
    free(log);
    peer[3] = start_gossip(3, 3, "--epochs 1000000 --join");
    await("1.log", ") joined", 1);
}

static void a_silent_peer_is_written_off_and_told_so(void **state) {
    (void)state;
    pid_t peer[4];
    for (size_t id = 1; id <= 3; id++) peer[id] = start_gossip(id, 3, "--epochs 1000000 --timeout 4");
    await("1.log", "\nepoch ", 1);
    kill(peer[2], SIGSTOP);
    await("1.log", "peer 2 (", 1);
    await("3.log", "peer 2 (", 1);
    kill(peer[2], SIGCONT);
    assert_int_equal(end_of(peer[2]), 1);
    char *log = text_of(in_dir("1.log"));
    assert_says(log, "is written off: nothing came for 4 s (--timeout)");
    free(log);
    log = text_of(in_dir("2.log"));
    assert_says(log, "this peer 2 was written off: start it again with --join");
    free(log);
}

/* The test as peer 2 of 2. */
struct impostor {
    pid_t peer; /* 1 */
    int listener;
    struct connection out, in; /* dialed, and dialed by peer 1 */
    char shared[SETTINGS_TEXT_BYTES];
    uint64_t incarnation;
};

/* Dials peer 1 and says hello as the next process of peer 2. */
static void dial_peer_1(struct impostor *impostor, bool founder) {
    uint8_t hello[LINK_HELLO_BYTES];
    struct error error;
    size_t text_bytes = strlen(impostor->shared);
    if (!tcp_connect(own_host(), "7420", PATIENCE_S, &impostor->out, &error)) fail_msg("%s", error.text);
    connection_limit(&impostor->out, 1 << 20);
    put_u32(hello, 2);
    put_u64(hello + 4, ++impostor->incarnation);
    hello[12] = founder;
    memcpy(hello + LINK_HELLO_HEAD, impostor->shared, text_bytes);
    send_one(&impostor->out, LINK_HELLO, 0, hello, LINK_HELLO_HEAD + text_bytes);
}

static void say_hello(struct impostor *impostor, bool founder) {
    dial_peer_1(impostor, founder);
    receive_one(&impostor->out, LINK_WELCOME);
}

static void welcome(struct impostor *impostor, uint32_t pushes) {
    uint8_t answer[LINK_WELCOME_BYTES];
    put_u64(answer, impostor->incarnation);
    put_u32(answer + 8, pushes);
    send_one(&impostor->in, LINK_WELCOME, 0, answer, sizeof answer);
}

/* Takes the connection that peer 1 dials, up to its hello. */
static void take_connection(struct impostor *impostor) {
    struct error error;
    struct frame frame;
    double patience = clock_seconds() + PATIENCE_S;
    while (!tcp_accept(impostor->listener, &impostor->in)) {
        assert_true(clock_seconds() < patience);
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    }
    connection_limit(&impostor->in, 1 << 20);
    if (!frame_wait(&impostor->in, PATIENCE_S, &frame, &error)) fail_msg("%s", error.text);
    assert_int_equal(frame.type, LINK_HELLO);
    snprintf(impostor->shared, sizeof impostor->shared, "%.*s", (int)(frame.bytes - LINK_HELLO_HEAD),
             (const char *)frame.payload + LINK_HELLO_HEAD);
    frame_done(&impostor->in);
}

static struct impostor start_impostor(const char *words) {
    struct impostor impostor;
    struct error error;
    char name[CONNECTION_NAME_BYTES];
    memset(&impostor, 0, sizeof impostor);
    impostor.listener = tcp_listen(own_host(), "7421", name, &error);
    if (impostor.listener < 0) fail_msg("%s", error.text);
    fcntl(impostor.listener, F_SETFD, FD_CLOEXEC); /* peer 1 shall not have it, too */
    impostor.peer = start_gossip(1, 2, words);
    take_connection(&impostor);
    say_hello(&impostor, true);
    welcome(&impostor, 0);
    return impostor;
}

static void await_progress(void) {
    char *log = text_of(in_dir("1.log"));
    size_t epochs = occurrences(log, "\nepoch ");
    free(log);
    await("1.log", "\nepoch ", epochs + 2);
}

/* A push of these weights: the first parameters of the net, with one value in them. Returns its bytes. */
static size_t make_push(uint8_t push[8192], uint64_t weight, const size_t (*shapes)[2], float value) {
    dtc_spec raw = raw_spec();
    struct tensors tensors = tensors_create(shapes, 4);
    struct encoder encoder = encoder_create(&raw, false, &tensors);
    size_t at = 12, bytes;
    put_u64(push, weight);
    put_u32(push + 8, 0);
    tensors.all[7] = value;
    for (size_t i = 0; i < tensors.count; i++, at += bytes)
        assert_int_equal(dtc_encode(&raw, push + at, 8192 - at, &bytes, tensors.tensor[i].values,
                                    tensors.tensor[i].rows * tensors.tensor[i].columns, encoder.scratch,
                                    encoder.scratch_bytes),
                         DTC_OK);
    encoder_free(&encoder);
    tensors_free(&tensors);
    return at;
}

static void a_peer_that_goes_wrong_is_written_off_and_training_goes_on(void **state) {
    (void)state;
    static const size_t shapes[4][2] = {{16, 64}, {1, 16}, {4, 16}, {1, 4}};
    static const size_t others[4][2] = {{16, 64}, {1, 16}, {4, 16}, {1, 5}};
    static uint8_t push[8192];
    const char *const said[] = {"sends garbage (",
                                "announces 1048592 bytes",
                                "sends a frame out of turn", /* push 2 before push 1 */
                                "sends a frame out of turn", /* no weight */
                                "sends a frame out of turn", /* more than there is */
                                "sends a frame out of turn", /* push 1 twice */
                                "packet 0 of the message: ",
                                "packet 3 of the message: ",
                                "bytes follow the message's 4 packets",
                                "pushes parameters that are not finite",
                                "sends a frame out of turn", /* confirms what it did not push */
                                "sends a frame out of turn", /* an unknown type */
                                "sends a bad report",
                                "sends an invalid ledger",
                                "closed the connection"};
    const uint64_t weight = WEIGHT_ONE / 8;
    struct impostor impostor = start_impostor("--epochs 1000000");
    struct connection *out = &impostor.out;
    for (size_t wrong = 0; wrong < sizeof said / sizeof *said; wrong++) {
        if (wrong) {
            say_hello(&impostor, false);
            take_connection(&impostor);
        }
        size_t bytes = make_push(push,
                                 wrong == 3   ? 0
                                 : wrong == 4 ? WEIGHT_ONE
                                              : weight,
                                 wrong == 7 ? others : shapes, wrong == 9 ? NAN : 0.5f);
        uint8_t head[16] = {'D', 'T', 'C', 'T', FRAME_PROTOCOL, LINK_PUSH};
        switch (wrong) {
        case 0:
            send_raw(out, "garbage garbage ", 16);
            break;
        case 1:
            put_u32(head + 12, 1 << 20);
            send_raw(out, head, 16);
            break;
        case 2:
            send_one(out, LINK_PUSH, 2, push, bytes);
            break;
        case 5:
            send_one(out, LINK_PUSH, 1, push, bytes);
            assert_int_equal(receive_one(out, LINK_ACK).round, 1);
            send_one(out, LINK_CONFIRM, 1, NULL, 0);
            send_one(out, LINK_PUSH, 1, push, bytes);
            break;
        case 6:
            send_one(out, LINK_PUSH, 1, push, 100);
            break;
        case 8:
            send_one(out, LINK_PUSH, 1, push, bytes + 1);
            break;
        case 10:
            send_one(out, LINK_CONFIRM, 1, NULL, 0);
            break;
        case 11:
            send_one(out, 77, 1, NULL, 0);
            break;
        case 12:
            send_one(out, LINK_REPORT, 0, push, bytes);
            break;
        case 13:
            send_one(out, LINK_LEDGER, 0, push, bytes);
            break;
        case 14: /* half a frame, and nobody there any more */
            put_u32(head + 12, 100);
            send_raw(out, head, 16);
            close(impostor.listener);
            connection_close(&impostor.in);
            connection_close(out);
            break;
        default:
            send_one(out, LINK_PUSH, 1, push, bytes);
        }
        await("1.log", "is written off: ", wrong + 1);
        char *log = text_of(in_dir("1.log")), *last = log;
        for (char *next = log; (next = strstr(next, "is written off: ")); next++) last = next;
        assert_says(last, said[wrong]);
        free(log);
        await_progress();
        if (wrong == 14) break;
        connection_close(&impostor.in);
        connection_close(out);
    }
}

static void a_hello_cannot_take_the_place_of_a_living_peer(void **state) {
    (void)state;
    struct impostor impostor = start_impostor("--epochs 1000000 --timeout 3"); /* tells the settings */
    kill_child(impostor.peer);
    close(impostor.listener);
    connection_close(&impostor.in);
    connection_close(&impostor.out);
    pid_t peer[3];
    for (size_t id = 1; id <= 2; id++) peer[id] = start_gossip(id, 2, "--epochs 1000000 --timeout 3");
    await("1.log", "\nepoch ", 1);
    impostor.incarnation = UINT64_MAX / 2;
    dial_peer_1(&impostor, false);
    await("1.log", "says that it is peer 2, which is here already", 1);
    await_progress();
    char *log = text_of(in_dir("1.log"));
    assert_int_equal(occurrences(log, "is written off"), 0);
    free(log);
    assert_int_equal(waitpid(peer[2], NULL, WNOHANG), 0);
    connection_close(&impostor.out);

    kill_child(peer[2]); /* a true successor is let in, however early it comes */
    peer[2] = start_gossip(2, 2, "--epochs 1000000 --timeout 3 --join");
    await("1.log", "is written off: ", 1);
    await("1.log", ") joined", 1);
    await_progress();
}

/* Peer 1 prints an epoch when all peers have reported it. */
static void report_last_epoch(struct impostor *impostor, uint32_t epoch) {
    static const size_t shapes[4][2] = {{16, 64}, {1, 16}, {4, 16}, {1, 4}};
    static uint8_t push[8192], report[8192];
    size_t bytes = make_push(push, 1, shapes, 0.5f) - 12;
    memcpy(report + METER_BYTES, push + 12, bytes);
    send_one(&impostor->out, LINK_REPORT, epoch, report, METER_BYTES + bytes);
}

static void a_flood_of_beats_delays_nobody(void **state) {
    (void)state;
    enum { BEATS = 4096 };
    static uint8_t beats[BEATS * FRAME_HEAD_BYTES];
    const uint8_t beat[FRAME_HEAD_BYTES] = {'D', 'T', 'C', 'T', FRAME_PROTOCOL, LINK_BEAT};
    for (size_t i = 0; i < BEATS; i++) memcpy(beats + i * sizeof beat, beat, sizeof beat);
    struct impostor impostor = start_impostor("--epochs 1000000 --timeout 30");
    report_last_epoch(&impostor, 1000000);
    await("1.log", "\nepoch ", 4);
    double before_kb = memory_kb(impostor.peer), start_s = clock_seconds(), wait_s = 0.0;
    size_t at = 0, epochs = 0, sent = 0;
    while (clock_seconds() < start_s + 3.0) { /* and read no answer */
        ssize_t now = send(impostor.out.fd, beats + at, sizeof beats - at, MSG_NOSIGNAL);
        if (now > 0) sent += (size_t)now;
        at = now > 0 ? (at + (size_t)now) % sizeof beats : at;
        if (now < 0) nanosleep(&(struct timespec){0, 1000000}, NULL);
        char *log = text_of(in_dir("1.log"));
        size_t said = occurrences(log, "\nepoch ");
        free(log);
        if (said != epochs) wait_s = clock_seconds();
        epochs = said;
        if (wait_s > 0.0 && clock_seconds() > wait_s + 1.0) fail_msg("no epoch for a second");
    }
    assert_true(sent > sizeof beats);
    assert_true(memory_kb(impostor.peer) < before_kb + GROWTH_KB);
    await_progress();
    close(impostor.listener);
    connection_close(&impostor.in);
    connection_close(&impostor.out);
}

static void pacing_takes_its_time(void **state) {
    (void)state;
    /* 64 * 2048 + 2048 + 2048 * 4 + 4 floats are 565 KB, and a link of 8 Mbit/s sends 1 MB in a second */
    struct impostor impostor = start_impostor("--net 64-2048-4 --p 1 --link-mbps 8 --epochs 1000000");
    double start_s = clock_seconds();
    assert_true(receive_one(&impostor.in, LINK_PUSH).bytes > 565000);
    double took_s = clock_seconds() - start_s;
    if (!(took_s > 0.5 && took_s < 5.0)) fail_msg("a push took %g s", took_s);
    close(impostor.listener);
    connection_close(&impostor.in);
    connection_close(&impostor.out);
}

static void wrong_options_name_the_flag(void **state) {
    (void)state;
    const char *const wrong[][3] = {
        {"local", "--p 2", "--p 2: not a number from 0 to 1"},
        {"local", "--down-codec raw", "--down-codec: not an option of this sub-command"},
        {"local", "--residual", "--residual: not an option of this sub-command"},
        {"local", "--id 1", "--id: not an option of this sub-command"},
        {"peer", "--workers 2", "--workers: not an option of this sub-command"},
        {"peer", "--id 1", "--peers is missing"},
        {"peer", "--id 3 --peers localhost:1,localhost:2", "--id 3: there are 2 --peers"},
        {"peer", "--id 1 --peers 127.0.0.1:1,192.0.2.1:2", "192.0.2.1 is no loopback address"},
        {"peer", "--peers localhost:1,localhost:2", "--id 0: there are 2 --peers"},
        {"peer", "--id 1 --peers localhost:1,localhost", "--peers: address 2 is not host:port"},
        {"peer", "--id 1 --peers [::1]:1,::1]:2", "--peers: address 2 is not host:port"},
        {"peer", "--id 1 --peers ::1:1", "--peers: address 1 is not host:port"},
        {"peer", "--id 1 --peers localhost:1,", "--peers: address 2 is not host:port"},
        {"peer", "--id 1 --peers 127.0.0.1:1,127.0.0.1:2 --join --resume x", "leave --resume out"},
        {"listen", "", "the first argument must be local or peer"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char *log = run(wrong[i][0], wrong[i][1], 2);
        assert_says(log, wrong[i][2]);
        free(log);
    }
    char *log = run("local", "--help", 0);
    assert_says(log, "--difference");
    assert_int_equal(occurrences(log, "--down-codec"), 0);
    free(log);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_are_one),
        cmocka_unit_test(a_weight_halves_until_it_cannot),
        cmocka_unit_test(weights_add_up_through_loss_and_churn),
        cmocka_unit_test(false_books_are_found),
        cmocka_unit_test_teardown(every_exchange_trains, kill_children),
        cmocka_unit_test_teardown(a_process_evaluates_what_takes_long, kill_children),
        cmocka_unit_test_teardown(every_byte_is_counted, kill_children),
        cmocka_unit_test_teardown(a_resumed_run_goes_on, kill_children),
        cmocka_unit_test_teardown(a_resumed_run_with_differences_learns, kill_children),
        cmocka_unit_test_teardown(what_is_not_finite_stays_where_it_is, kill_children),
        cmocka_unit_test_teardown(a_key_is_demanded_of_every_peer, kill_children),
        cmocka_unit_test_teardown(two_of_eight_are_killed_and_one_comes_back, kill_children),
        cmocka_unit_test_teardown(who_was_here_comes_back_as_a_joiner_alone, kill_children),
        cmocka_unit_test_teardown(a_silent_peer_is_written_off_and_told_so, kill_children),
        cmocka_unit_test_teardown(a_peer_that_goes_wrong_is_written_off_and_training_goes_on, kill_children),
        cmocka_unit_test_teardown(a_hello_cannot_take_the_place_of_a_living_peer, kill_children),
        cmocka_unit_test_teardown(a_flood_of_beats_delays_nobody, kill_children),
        cmocka_unit_test_teardown(pacing_takes_its_time, kill_children),
        cmocka_unit_test_teardown(wrong_options_name_the_flag, kill_children),
    };
    program_start(argc, argv, "gossip_trainer", "--net 64-16-4 --batch 16 --lr 0.05 --lr-decay 1 --timeout 60");
    return cmocka_run_group_tests(tests, make_data, remove_data);
}
