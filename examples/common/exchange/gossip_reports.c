#include "gossip_reports.h"

#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../log.h"
#include "../memory.h"

/* If samples times parameters is below this, evaluating takes less time than starting a process. */
static const double little = 1e7;

void reports_create(struct reports *reports, struct trainer *trainer, struct mesh *mesh) {
    dtc_spec raw = raw_spec();
    memset(reports, 0, sizeof *reports);
    reports->trainer = trainer;
    reports->mesh = mesh;
    reports->raw = encoder_create(&raw, false, &trainer->parameters);
    reports->report = (struct report *)allocate((size_t)trainer->settings.epochs, sizeof *reports->report);
    reports->reported = (uint64_t *)allocate((size_t)trainer->settings.workers, sizeof *reports->reported);
}

static void report_free(struct report *report) {
    free(report->sum);
    free(report->meter);
    free(report->id);
    memset(report, 0, sizeof *report);
}

void reports_free(struct reports *reports) {
    for (uint64_t i = reports->printed; i < reports->trainer->settings.epochs; i++) report_free(&reports->report[i]);
    encoder_free(&reports->raw);
    free(reports->report);
    free(reports->reported);
    memset(reports, 0, sizeof *reports);
}

bool reports_open(struct reports *reports, bool anew, struct error *error) {
    const struct trainer_settings *settings = &reports->trainer->settings;
    reports->open = true;
    return metrics_open(&reports->metrics, settings->metrics, !anew, &settings->codec, &settings->codec, error);
}

static void add(struct reports *reports, size_t id, uint64_t epoch, const struct meter *meter,
                const struct tensors *parameters) {
    struct report *report = &reports->report[epoch - 1];
    size_t peers = reports->mesh->ledger.peers;
    /* a peer that was started anew repeats epochs of its earlier process */
    if (epoch <= reports->reported[id - 1]) return;
    reports->reported[id - 1] = epoch;
    if (epoch <= reports->printed) return;
    if (!report->sum) {
        report->sum = (double *)allocate(parameters->values, sizeof(double));
        report->meter = (struct meter *)allocate(peers, sizeof *report->meter);
        report->id = (size_t *)allocate(peers, sizeof *report->id);
    }
    for (size_t i = 0; i < parameters->values; i++) {
        double value = (double)parameters->all[i];
        report->sum[i] += value;
        report->squares += value * value;
    }
    report->meter[report->count] = *meter;
    report->id[report->count++] = id;
}

void reports_send(struct reports *reports, uint64_t epoch) {
    struct trainer *trainer = reports->trainer;
    struct mesh *mesh = reports->mesh;
    size_t to = mesh_lowest(mesh);
    struct meter meter = trainer_take_meter(trainer);
    struct error error;
    meter.bytes_up = mesh->bytes_out - reports->bytes_out;
    meter.bytes_down = mesh->bytes_in - reports->bytes_in;
    reports->bytes_out = mesh->bytes_out;
    reports->bytes_in = mesh->bytes_in;
    if (!encoder_encode(&reports->raw, &trainer->parameters, NULL, 0, &error)) {
        say(trainer->id, "cannot report epoch %llu: %s", (unsigned long long)epoch, error.text);
    } else if (to == trainer->id) {
        add(reports, to, epoch, &meter, &trainer->parameters);
    } else if (mesh->link[to - 1].stage == LINK_UP &&
               (epoch == trainer->settings.epochs || mesh_has_room(mesh, to))) { /* the last report must arrive */
        uint8_t *payload = mesh_send(mesh, to, LINK_REPORT, (uint32_t)epoch, METER_BYTES + reports->raw.bytes);
        meter_put(payload, &meter);
        memcpy(payload + METER_BYTES, reports->raw.message, reports->raw.bytes);
    }
}

bool reports_take(struct reports *reports, const struct link *link, struct error *error) {
    struct trainer *trainer = reports->trainer;
    const struct frame *frame = &link->frame;
    if (frame->round < 1 || frame->round > trainer->settings.epochs || frame->bytes < METER_BYTES)
        return set_error(error, "sends a bad report");
    struct meter meter = meter_get(frame->payload);
    tensors_clear(&trainer->values);
    if (!decoder_add(&trainer->decoder, &trainer->values, 1.0f, frame->payload + METER_BYTES,
                     frame->bytes - METER_BYTES, error))
        return false;
    if (!tensors_finite(&trainer->values)) return set_error(error, "reports parameters that are not finite");
    add(reports, link->id, frame->round, &meter, &trainer->values);
    return true;
}

/* Writes the mean of an epoch's reports to trainer->values. Returns the consensus distance: the root of the peers' mean
 * squared distance from the mean, divided by the norm of the mean. */
static double mean(const struct reports *reports, const struct report *report) {
    struct tensors *values = &reports->trainer->values;
    double count = (double)report->count, norm = 0.0;
    for (size_t i = 0; i < values->values; i++) {
        double value = report->sum[i] / count;
        norm += value * value;
        values->all[i] = (float)value;
    }
    double apart = report->squares / count - norm;
    return apart > 0.0 ? sqrt(apart / norm) : 0.0;
}

/* Computes the accuracy of an epoch's mean and that of this peer's present parameters. */
static void evaluate(const struct reports *reports, const struct report *report, double accuracy[2]) {
    struct trainer *trainer = reports->trainer;
    struct tensors own = trainer->parameters;
    mean(reports, report);
    trainer->parameters = trainer->values;
    accuracy[0] = trainer_accuracy(trainer);
    trainer->parameters = own;
    accuracy[1] = trainer_accuracy(trainer);
}

/* Starts a process that evaluates an epoch. Returns false if the evaluation is short or there is no process. */
static bool start_evaluation(struct reports *reports, const struct report *report) {
    int end[2];
    double accuracy[2];
    const struct trainer *trainer = reports->trainer;
    if ((double)trainer->test.count * (double)trainer->parameters.values < little || pipe(end) != 0) return false;
    fflush(stdout); /* so that the copy does not print the buffered text again */
    reports->process = fork();
    if (reports->process == 0) {
        int listener = reports->mesh->listener;
        mesh_free(reports->mesh); /* the copy must not keep the connections open when the peer ends */
        close(listener);
        evaluate(reports, report, accuracy);
        _exit(write(end[1], accuracy, sizeof accuracy) != (ssize_t)sizeof accuracy);
    }
    close(end[1]);
    reports->answer = end[0];
    if (reports->process < 0) close(end[0]);
    return reports->process > 0;
}

/* Records and prints an epoch. */
static void print(struct reports *reports, struct report *report, const double accuracy[2]) {
    struct trainer *trainer = reports->trainer;
    struct error error;
    if (!reports->open && !reports_open(reports, false, &error)) say(trainer->id, "%s", error.text);
    reports->accuracy = accuracy[0];
    metrics_epoch(&reports->metrics, reports->printed + 1, trainer->settings.epochs, report->meter, report->id,
                  report->count, NULL, accuracy[0]);
    printf("           mean of %zu peers; peer %zu has %.2f %%; consensus distance %.5f\n", report->count, trainer->id,
           100.0 * accuracy[1], mean(reports, report));
    fflush(stdout);
}

void reports_print(struct reports *reports, bool wait) {
    uint64_t ended = reports->trainer->settings.epochs;
    for (size_t i = 0; i < reports->mesh->ledger.peers; i++) {
        bool counts = i + 1 == reports->trainer->id || !reports->mesh->link[i].gone;
        if (counts && reports->reported[i] < ended) ended = reports->reported[i];
    }
    for (; reports->printed < ended; reports->printed++) {
        struct report *report = &reports->report[reports->printed];
        double accuracy[2];
        if (!report->count) continue; /* the epoch was reported to another peer */
        if (reports->process > 0 || start_evaluation(reports, report)) {
            struct pollfd poll_fd = {reports->answer, POLLIN, 0};
            if (!wait && poll(&poll_fd, 1, 0) <= 0) return;
            bool good = read(reports->answer, accuracy, sizeof accuracy) == (ssize_t)sizeof accuracy;
            close(reports->answer);
            waitpid(reports->process, NULL, 0);
            reports->process = 0;
            if (!good) evaluate(reports, report, accuracy);
        } else {
            evaluate(reports, report, accuracy);
        }
        print(reports, report, accuracy);
        report_free(report);
    }
}
