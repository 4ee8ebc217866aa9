/* tcp_trainer as a whole: processes that train a small net on small images, stop, resume, fail and meet strangers. */
#include <math.h>

#include "tests/tcp_group.h"

static void run_well(const char *words) {
    free(run("local", words, 0));
}

static void assert_same_file(const char *a, const char *b) {
    char command[1024];
    snprintf(command, sizeof command, "cmp %s %s", in_dir(a), in_dir(b));
    assert_int_equal(system(command), 0);
}

/* ---- Training -------------------------------------------------------------------------------------------------- */

static void every_codec_trains(void **state) {
    (void)state;
    const char *const runs[] = {
        "--codec raw",
        "--codec raw:type=bf16 --down-codec raw:type=fp16 --activation tanh",
        "--codec ternary --residual --down-codec raw:type=bf16",
        "--codec quant --down-codec quant:bits=8",
        "--codec quant:bits=3,rounding=stochastic --residual --down-codec quant:bits=8",
        "--codec ternary --residual --add-packets",
        "--codec quant:bits=4,entropy=none --add-packets",
        "--codec raw --add-packets",
        "--codec factor:rank=2,value=bf16 --residual --down-codec factor:rank=6",
        "--exchange parameters --codec quant:floor=5 --every 2",
        "--exchange changes --codec quant:bits=4 --down-codec quant:bits=4 --residual --l1 1e-4",
        "--workers 3 --codec quant:bits=6 --momentum 0 --lr 0.5",
        "--net conv3x4-pool2-circulant36-4 --codec quant:bits=4 --residual",
        "--net conv3x4-pool2-circulant36-4 --codec circulant:value=8 --down-codec circulant",
    };
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        char words[512];
        snprintf(words, sizeof words, "%s --epochs 8 --metrics %s", runs[i], in_dir("m.csv"));
        char *log = run("local", words, 0), *csv = text_of(in_dir("m.csv"));
        if (!(field_after(log, "accuracy   ") > 90.0)) fail_msg("%s\n%s", runs[i], log);
        assert_says(log, strstr(runs[i], "--net") ? "conv3x4-pool2-circulant36-4 of 260 parameters"
                                                  : "64-16-4 of 1108 parameters");
        assert_true(strncmp(csv,
                            "epoch,worker,codec,values,bytes_up,bytes_down,compute_s,encode_s,transfer_s,"
                            "decode_s,loss,accuracy\n",
                            95) == 0);
        size_t workers = strstr(runs[i], "--workers 3") ? 3 : 2, reports = strstr(runs[i], "--every 2") ? 4 : 8;
        assert_int_equal(occurrences(csv, "\n"), 1 + reports * (workers + 1));
        assert_int_equal(occurrences(csv, ",server,"), reports);
        free(log);
        free(csv);
    }
}

/* The factors of a batch are its gradient: training goes the same way, with fewer bytes. */
static void factors_train_as_the_gradient_does(void **state) {
    (void)state;
    const char *const runs[] = {"raw", "factor", "factor --exchange parameters", "raw --exchange parameters"};
    double accuracy[4], loss[4], bits[4];
    for (size_t i = 0; i < 4; i++) {
        char words[512];
        snprintf(words, sizeof words,
                 "--data /usr/share/datasets/fashion-mnist --limit 3200 --net 784-80-10 --epochs 2 --codec %s",
                 runs[i]);
        char *log = run("local", words, 0);
        accuracy[i] = field_after(log, "accuracy   ");
        loss[i] = field_after(log, "% on the test images; loss ");
        bits[i] = field_after(strstr(log, "up         "), ": ");
        free(log);
    }
    assert_true(accuracy[0] > 65.0);
    for (size_t i = 0; i < 4; i += 2) { /* with and without factors */
        assert_true(fabs(accuracy[i] - accuracy[i + 1]) < 0.1);
        assert_true(fabs(loss[i] - loss[i + 1]) < 1e-3);
    }
    /* 16 * (784 + 80) floats for 784 * 80; the second layer and the biases go as they are. No factors of parameters. */
    assert_true(bits[0] > 32.0 && bits[1] < 32.0 * 0.25);
    assert_true(bits[2] > 32.0 && bits[3] > 32.0);
}

/* The mean of the parameters is the last mean plus the mean change. The few roundings of floats differ. */
static void changes_train_as_the_parameters_do(void **state) {
    (void)state;
    const char *const runs[] = {"parameters", "changes", "changes --add-packets", "changes --every 4"};
    double accuracy[4], loss[4];
    for (size_t i = 0; i < 4; i++) {
        char words[512];
        snprintf(words, sizeof words, "--epochs 4 --exchange %s", runs[i]);
        char *log = run("local", words, 0);
        accuracy[i] = field_after(log, "accuracy   ");
        loss[i] = field_after(log, "% on the test images; loss ");
        free(log);
    }
    for (size_t i = 1; i < 3; i++) {
        assert_true(fabs(accuracy[0] - accuracy[i]) < 1.0);
        assert_true(fabs(loss[0] - loss[i]) < 1e-3);
    }
    assert_true(fabs(loss[0] - loss[3]) > 1e-3); /* one exchange in place of four is another training */
}

/* L1 moves weights to 0, and their entropy falls. The rate 0.05 and --l1 0.01 move a weight by 0.005 in each step. */
static void shrunken_weights_need_fewer_bits(void **state) {
    (void)state;
    double bits[2];
    for (size_t i = 0; i < 2; i++) {
        char *log = run("local",
                        i ? "--epochs 4 --exchange parameters --codec quant:floor=3 --l1 0.01"
                          : "--epochs 4 --exchange parameters --codec quant:floor=3",
                        0);
        bits[i] = field_after(strstr(log, "up         "), ": ");
        free(log);
    }
    if (!(bits[1] < bits[0] - 0.5)) fail_msg("%g bits without L1, and %g with it", bits[0], bits[1]);
}

static void every_byte_is_counted(void **state) {
    (void)state;
    char words[512];
    snprintf(words, sizeof words, "--epochs 1 --metrics %s", in_dir("m.csv"));
    char *log = run("local", words, 0), *csv = text_of(in_dir("m.csv"));
    unsigned long values, up, down;
    /* 16 rounds of 1108 values; a message has a head of 16 bytes and at most 24 bytes over each packet's 4 a value */
    assert_int_equal(sscanf(strstr(csv, "\n1,1,"), "\n1,1,\"%*[^\"]\",%lu,%lu,%lu", &values, &up, &down), 3);
    assert_int_equal(values, 16 * 1108);
    assert_true(up > 16 * (16 + 4 * 1108) && up <= 16 * (16 + 4 * 1108 + 4 * 24));
    assert_int_equal(down, up);
    assert_int_equal((unsigned long)field_after(log, "up         raw: 32.58 bits a value, 1/1.0 of fp32; "), up / 16);
    free(log);
    free(csv);
}

static void pacing_takes_its_time(void **state) {
    (void)state;
    double start_s = clock_seconds();
    run_well("--epochs 1 --link-mbps 2"); /* the server sends 16 rounds of 4432 bytes to two workers: 0.56 s */
    assert_true(clock_seconds() - start_s > 0.5);
}

static void a_gradient_that_is_not_finite_is_skipped_visibly(void **state) {
    (void)state;
    const char *const codecs[] = {"raw", "ternary --residual"};
    for (size_t i = 0; i < 2; i++) {
        char words[128];
        snprintf(words, sizeof words, "--lr 1e9 --net 64-16-16-16-16-4 --epochs 2 --codec %s", codecs[i]);
        char *log = run("local", words, EXIT_DIVERGED);
        assert_says(log, ": skips round");
        assert_says(log, "is skipped: there is no worker's message");
        free(log);
    }
}

/* The server fails, and so does each worker that runs on a machine of its own. */
static void a_training_that_diverged_ends_in_failure(void **state) {
    (void)state;
    const char *const why = ": the training diverged: the loss or its gradient is not finite since epoch 1, step ";
    const char *const words[] = {"--lr 1e9 --net 64-16-16-16-16-4 --epochs 2 --port 0",
                                 "--lr 1e9 --net 64-16-16-16-16-4"};
    char *log, worker_words[256];
    pid_t server = start("server.log", "server", words[0]), worker[2];
    await("server.log", "listening at 127.0.0.1:", 1);
    log = text_of(in_dir("server.log"));
    snprintf(worker_words, sizeof worker_words, "%s --port %.0f", words[1],
             field_after(log, "listening at 127.0.0.1:"));
    free(log);
    for (size_t i = 0; i < 2; i++) {
        char own[280];
        snprintf(own, sizeof own, "%s --worker-id %zu", worker_words, i + 1);
        worker[i] = start(i ? "2.log" : "1.log", "worker", own);
    }
    assert_int_equal(end_of(server), EXIT_DIVERGED);
    for (size_t i = 0; i < 2; i++) assert_int_equal(end_of(worker[i]), EXIT_DIVERGED);
    log = text_of(in_dir("server.log"));
    assert_says(log, "\nserver: the training diverged");
    double step = field_after(log, why);
    assert_true(step > 1.0 && step <= 16.0);
    assert_says(log, " of 16: lower --lr, or compress less (--codec)\n");
    assert_says(log, " in every replica\n"); /* what a run prints at its end */
    free(log);
    log = text_of(in_dir("1.log"));
    assert_says(log, "\nworker 1: the training diverged");
    assert_true(field_after(log, why) >= step);
    free(log);
}

/* ---- Checkpoints ----------------------------------------------------------------------------------------------- */

static void a_resumed_run_ends_in_the_same_bits(void **state) {
    (void)state;
    const char *const runs[] = {
        "--codec ternary --residual --down-codec raw:type=bf16",
        "--codec quant:bits=4,rounding=stochastic --down-codec quant:bits=6,rounding=stochastic --residual",
        "--codec quant:bits=5,rounding=stochastic --exchange parameters",
        "--codec quant:bits=3 --exchange changes --residual --l1 1e-4",
        "--codec factor:rank=1 --residual",
        "--codec factor --batch 4 --shift 1 --flip",
        "--codec raw",
    };
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        char words[512];
        snprintf(words, sizeof words, "%s --epochs 4 --save %s", runs[i], in_dir("straight"));
        run_well(words);
        snprintf(words, sizeof words, "%s --epochs 2 --save %s", runs[i], in_dir("stopped"));
        run_well(words);
        snprintf(words, sizeof words, "%s --epochs 4 --save %s --resume %s", runs[i], in_dir("stopped"),
                 in_dir("stopped"));
        run_well(words);
        assert_same_file("straight", "stopped");
        assert_same_file("straight.worker1", "stopped.worker1");
        assert_same_file("straight.worker2", "stopped.worker2");
    }
}

static void a_run_killed_at_any_time_leaves_a_whole_checkpoint(void **state) {
    (void)state;
    char words[512];
    snprintf(words, sizeof words, "--port 0 --epochs 100000 --save %s", in_dir("killed"));
    pid_t server = start("server.log", "server", words);
    await("server.log", "listening at 127.0.0.1:", 1);
    char *log = text_of(in_dir("server.log"));
    snprintf(words, sizeof words, "--port %.0f", field_after(log, "listening at 127.0.0.1:"));
    free(log);
    pid_t worker[2] = {start("a.log", "worker", words), start("b.log", "worker", words)};
    await("server.log", "\nepoch ", 3);
    kill_child(server);
    for (size_t i = 0; i < 2; i++) kill_child(worker[i]);
    snprintf(words, sizeof words, "--port 0 --epochs 1 --resume %s", in_dir("killed"));
    log = run("server", words, 1);
    assert_says(log, "the checkpoint has done as many"); /* so it was read in full */
    free(log);
}

static void other_checkpoints_are_refused(void **state) {
    (void)state;
    const char *const others[][2] = {{"--codec ternary", "made with --codec raw, not --codec ternary"},
                                     {"--net 64-8-4", "made with --net 64-16-4, not --net 64-8-4"},
                                     {"--workers 3", "made with --workers 2, not --workers 3"},
                                     {"--seed 2", "made with --seed 1, not --seed 2"}};
    char words[512];
    snprintf(words, sizeof words, "--epochs 1 --save %s", in_dir("made"));
    run_well(words);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        snprintf(words, sizeof words, "--epochs 2 --resume %s %s", in_dir("made"), others[i][0]);
        char *log = run("local", words, 1);
        assert_says(log, others[i][1]);
        free(log);
    }

    char *whole = text_of(in_dir("made")); /* of the text the first bytes do */
    FILE *file = fopen(in_dir("made"), "r+b");
    fseek(file, 2000, SEEK_SET);
    fputc('x', file);
    fclose(file);
    snprintf(words, sizeof words, "--epochs 2 --resume %s", in_dir("made"));
    char *log = run("local", words, 1);
    assert_says(log, "damaged");
    free(log);
    write_bytes(dir, "made", (const uint8_t *)whole, 10, 0);
    log = run("local", words, 1);
    assert_says(log, "not a checkpoint");
    free(log);
    free(whole);
}

/* ---- Peers ----------------------------------------------------------------------------------------------------- */

static void strangers_are_dropped_and_training_goes_on(void **state) {
    (void)state;
    struct group group = start_group(2, "", "--timeout 8");
    await("server.log", "\nepoch ", 1);
    const uint8_t version[16] = {'D', 'T', 'C', 'T', 9, HELLO};
    const uint8_t huge[16] = {'D', 'T', 'C', 'T', FRAME_PROTOCOL, HELLO, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff};
    const uint8_t half[20] = {'D', 'T', 'C', 'T', FRAME_PROTOCOL, HELLO, 0, 0, 0, 0, 0, 0, 100};
    const struct {
        const void *bytes;
        size_t size;
        const char *said;
    } strangers[] = {
        {"GET / HTTP/1.1\r\n\r\n", 18, "sends garbage"},
        {version, sizeof version, "speaks protocol version 9"},
        {huge, sizeof huge, "announces 4294967311 bytes"},
        {half, sizeof half, "sends half a frame (20 bytes) and then nothing"},
        {"", 0, "sends no hello for 2 s"},
        {"DTCT\1\5\0\0\0\0\0\0\0\0\0", 16, "does not begin with a hello"},
        {"DTCT\1\1\0\0\0\0\0\0\3\0\0\0hel", 19, "does not begin with a hello"},
    };
    struct connection stranger[sizeof strangers / sizeof *strangers];
    for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++) {
        stranger[i] = connect_to(&group);
        send_raw(&stranger[i], strangers[i].bytes, strangers[i].size);
    }
    for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++) await("server.log", strangers[i].said, 1);
    await("server.log", "dropped 127.0.0.1:", sizeof strangers / sizeof *strangers);
    char *log = text_of(in_dir("server.log"));
    assert_int_equal(occurrences(log, "dropped 127.0.0.1:"), sizeof strangers / sizeof *strangers);
    assert_int_equal(occurrences(log, "dropped worker"), 0);
    free(log);
    await_progress("server.log");
    for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++) connection_close(&stranger[i]);
}

static void a_worker_that_goes_wrong_is_dropped_and_training_goes_on(void **state) {
    (void)state;
    struct group group = start_group(1, "", "--timeout 4");
    for (int wrong = 0; wrong < 7; wrong++) {
        struct connection connection = connect_to(&group);
        uint32_t round = join(&connection, "raw", false);
        uint8_t head[16] = {'D', 'T', 'C', 'T', FRAME_PROTOCOL, MESSAGE};
        put_u32(head + 8, round);
        switch (wrong) {
        case 0: /* a message that holds no packets */
            send_one(&connection, MESSAGE, round, "no packets", 10);
            await("server.log", "packet 0 of the message", 1);
            break;
        case 1: /* of another round */
            send_one(&connection, MESSAGE, round + 1, "", 0);
            await("server.log", "sends a frame out of turn", 1);
            break;
        case 2:
            send_raw(&connection, "garbage garbage ", 16);
            await("server.log", "sends garbage", 1);
            break;
        case 3: /* a length that no message has */
            put_u32(head + 12, 1 << 20);
            send_raw(&connection, head, 16);
            await("server.log", "announces 1048592 bytes", 1);
            break;
        case 4: /* half a frame, then the end */
            put_u32(head + 12, 100);
            send_raw(&connection, head, 16);
            connection_close(&connection);
            await("server.log", "closed the connection after 16 bytes of a frame", 1);
            break;
        case 5: /* half a frame, then silence */
            put_u32(head + 12, 100);
            send_raw(&connection, head, 16);
            await("server.log", "sends half a frame (16 bytes) and then nothing", 1);
            break;
        case 6: /* silence */
            await("server.log", "sends nothing for 4 s", 1);
            break;
        }
        await("server.log", "dropped worker 2 (127.0.0.1:", (size_t)wrong + 1);
        await_progress("server.log");
        if (wrong != 4) connection_close(&connection);
    }
}

static void ranges_are_not_trusted(void **state) {
    (void)state;
    const float bad[] = {-1.0f, INFINITY, NAN};
    struct group group = start_group(1, "--codec ternary --add-packets", "--timeout 8");
    for (size_t wrong = 0; wrong < 5; wrong++) {
        struct connection connection = connect_to(&group);
        uint32_t round = join(&connection, "ternary", true);
        uint8_t ranges[16] = {0};
        size_t sent = wrong == 3 ? 12 : 16;
        if (wrong < 3) put_f32(ranges + 8, bad[wrong]);
        send_one(&connection, wrong == 4 ? MESSAGE : RANGES, round, ranges, sent); /* 4: without ranges */
        await("server.log", wrong == 4 ? "sends a frame out of turn" : "sends invalid ranges",
              wrong == 4 ? 1 : wrong + 1);
        await("server.log", "dropped worker 2 (127.0.0.1:", wrong + 1);
        await_progress("server.log");
        connection_close(&connection);
    }
    char *log = text_of(in_dir("server.log"));
    assert_int_equal(occurrences(log, "dropped"), 5);
    free(log);
}

/* A round as the worker has it, up to the update; returns its type: the server may want a report next. */
static int take_part(struct connection *connection, uint32_t round, const void *message, size_t bytes) {
    const uint8_t ranges[16] = {0};
    struct frame update;
    struct error error;
    send_one(connection, RANGES, round, ranges, sizeof ranges);
    receive_one(connection, RANGES);
    send_one(connection, MESSAGE, round, message, bytes);
    if (!frame_wait(connection, PATIENCE_S, &update, &error)) fail_msg("%s", error.text);
    frame_done(connection);
    return update.type;
}

static void messages_that_do_not_add_are_decoded(void **state) {
    (void)state;
    struct group group = start_group(1, "--codec ternary:pack=base3 --add-packets", "--timeout 8");
    struct connection connection = connect_to(&group);
    uint32_t round = join(&connection, "ternary:pack=base3", true);
    size_t bytes;
    uint8_t *message = zeros_message("raw", &bytes); /* sound packets, but not what the others send */
    take_part(&connection, round, message, bytes);
    await("server.log",
          "the messages are decoded, because that of worker 2 does not add: the sum of two messages: ", 1);
    connection_close(&connection);
    await("server.log", "dropped worker 2 (127.0.0.1:", 1);
    free(message);

    size_t drops = 1;
    int type;
    do {
        connection = connect_to(&group);
        round = join(&connection, "ternary:pack=base3", true);
        type = take_part(&connection, round, NULL, 0); /* skips */
        if (type == UPDATE) break;
        connection_close(&connection); /* a round that ends an epoch: come back in another */
        await("server.log", "dropped worker 2 (127.0.0.1:", ++drops);
    } while (drops < 20);
    assert_int_equal(type, UPDATE);
    send_one(&connection, RANGES, round + 1, NULL, 0);
    receive_one(&connection, RANGES);
    send_one(&connection, MESSAGE, round + 1, "no packets", 10);
    await("server.log", ": not a dtcodec packet", 2);
    await("server.log", "dropped worker 2 (127.0.0.1:", drops + 1);
    connection_close(&connection);
    await_progress("server.log");
    char *log = text_of(in_dir("server.log"));
    assert_int_equal(occurrences(log, "DRIFT"), 0);
    free(log);
}

static void a_worker_with_other_settings_is_refused(void **state) {
    (void)state;
    struct group group = start_group(2, "", "");
    char words[128];
    await("server.log", "\nepoch ", 1);
    snprintf(words, sizeof words, "--port %s --lr 0.06", group.port);
    char *log = run("worker", words, 1);
    assert_says(log, "refuses: the server runs with --lr 0.05, the worker with --lr 0.06");
    free(log);
    snprintf(words, sizeof words, "--port %s --worker-id 2", group.port);
    log = run("worker", words, 1);
    assert_says(log, "refuses: there is a worker 2 already");
    free(log);
    await_progress("server.log");
}

static void a_killed_worker_comes_back(void **state) {
    (void)state;
    char words[512];
    snprintf(words, sizeof words, "--metrics %s", in_dir("back.csv"));
    struct group group = start_group(2, "", words);
    await("server.log", "\nepoch ", 2);
    kill_child(group.worker[1]);
    await("server.log", "dropped worker 2 (127.0.0.1:", 1);
    await_progress("server.log");
    snprintf(words, sizeof words, "--port %s --worker-id 2", group.port);
    group.worker[1] = start("b.log", "worker", words);
    await("server.log", "server: worker 2 (127.0.0.1:", 1);
    await_progress("server.log");
    char *log = text_of(in_dir("server.log")), *csv = text_of(in_dir("back.csv"));
    assert_int_equal(occurrences(log, "DRIFT"), 0);
    assert_int_equal(occurrences(log, "dropped"), 1);
    assert_true(occurrences(csv, ",2,\"raw") < occurrences(csv, ",1,\"raw")); /* it was away for some epochs */
    free(log);
    free(csv);
}

static void wrong_options_name_the_flag(void **state) {
    (void)state;
    const char *const wrong[][2] = {
        {"--bogus 1", "--bogus: no such option"},
        {"--lr fast", "--lr fast: not a number"},
        {"--batch 0", "--batch 0: not a whole number from 1"},
        {"--batch 600", "--batch 600: 2 workers need 1200 samples a step, but there are 512"},
        {"--codec quant:bits=99", "--codec quant:bits=99: at \"99\""},
        {"--codec factor:rows=3", "--codec factor:rows=3: the net's layers give the shapes: leave rows out"},
        {"--codec circulant:block=4", "--codec circulant:block=4: the net's layers give the shapes: leave block"},
        {"--activation sigmoid", "--activation sigmoid: not one of relu|tanh"},
        {"--net 63-4", "--net: 63 inputs, but a sample has 8 x 8 x 1 values"},
        {"--net 64-four", "--net 64-four: at \"four\": no such layer"},
        {"--net conv9x2-4", "--net: at \"conv9x2-4\": a patch of 9 x 9 does not fit into 8 x 8"},
        {"--net 64-3", "label 3 is 3, not 0 to 2"},
        {"--every 2", "--every 2: gradients are exchanged every step"},
        {"--exchange parameters --residual", "--residual: "},
        {"--add-packets --codec ternary --down-codec quant", "leave --down-codec out"},
        {"--add-packets --codec ternary:block=8", "--codec with block=8: workers agree on one grid a tensor"},
        {"--worker-id 1", "--worker-id: not an option of this sub-command"},
        {"--residual=yes", "--residual takes no value"},
        {"--seed", "--seed: its value is missing"},
        {"extra", "extra: not an option"},
        {"--data /nowhere", "/nowhere/train-images-idx3-ubyte: no such file"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char *log = run("local", wrong[i][0], 2);
        assert_says(log, wrong[i][1]);
        free(log);
    }
    free(run("train", "", 2));
    char *log = run("local", "--help", 0);
    assert_says(log, "--link-mbps");
    free(log);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(every_codec_trains, kill_children),
        cmocka_unit_test_teardown(factors_train_as_the_gradient_does, kill_children),
        cmocka_unit_test_teardown(changes_train_as_the_parameters_do, kill_children),
        cmocka_unit_test_teardown(shrunken_weights_need_fewer_bits, kill_children),
        cmocka_unit_test_teardown(every_byte_is_counted, kill_children),
        cmocka_unit_test_teardown(pacing_takes_its_time, kill_children),
        cmocka_unit_test_teardown(a_gradient_that_is_not_finite_is_skipped_visibly, kill_children),
        cmocka_unit_test_teardown(a_training_that_diverged_ends_in_failure, kill_children),
        cmocka_unit_test_teardown(a_resumed_run_ends_in_the_same_bits, kill_children),
        cmocka_unit_test_teardown(a_run_killed_at_any_time_leaves_a_whole_checkpoint, kill_children),
        cmocka_unit_test_teardown(other_checkpoints_are_refused, kill_children),
        cmocka_unit_test_teardown(strangers_are_dropped_and_training_goes_on, kill_children),
        cmocka_unit_test_teardown(a_worker_that_goes_wrong_is_dropped_and_training_goes_on, kill_children),
        cmocka_unit_test_teardown(ranges_are_not_trusted, kill_children),
        cmocka_unit_test_teardown(messages_that_do_not_add_are_decoded, kill_children),
        cmocka_unit_test_teardown(a_worker_with_other_settings_is_refused, kill_children),
        cmocka_unit_test_teardown(a_killed_worker_comes_back, kill_children),
        cmocka_unit_test_teardown(wrong_options_name_the_flag, kill_children),
    };
    program_start(argc, argv, "tcp_trainer", TCP_WORDS);
    return cmocka_run_group_tests(tests, make_data, remove_data);
}
