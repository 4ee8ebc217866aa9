/* dtc plan: whether a codec makes the steps of synchronous training with a parameter server faster.
 *
 * The model follows examples/tcp_trainer.c and Jang et al., Homomorphic Parameter Compression for Distributed Deep
 * Learning Training (2017). With W workers, n values a gradient, and a link that carries R bytes a second, a step is
 * the sum of
 *
 *     compute    as the user says
 *     encode     on all workers at once
 *     up         message / R on all links at once; W message / R if the server's link carries all of them
 *     server     W times decoding and adding, then encoding the mean
 *     down       W update / R: the server sends the update to one worker after another
 *     decode     on all workers at once
 *
 * What a step does besides, such as applying the update, takes the same time under every codec and belongs to compute.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/memory.h"
#include "command.h"
#include "input.h"
#include "measure.h"
#include "specs.h"
#include "text.h"

enum { FRAME_BYTES = 16 }; /* of the head of a frame, as the trainers send it */

static const double careful_error = 0.01; /* the default of quant */

/* What is given. */
struct plan {
    double workers, values, bytes_per_second, compute;
    bool shared_uplink;
};

/* The parts of a step, in seconds. */
struct step {
    double encode, up, server, down, decode, total;
};

/* Returns the step with one codec up and one codec down. */
static struct step step_of(const struct plan *plan, const struct measurement *up, const struct measurement *down) {
    double message = FRAME_BYTES + plan->values * up->bits / 8.0,
           update = FRAME_BYTES + plan->values * down->bits / 8.0;
    struct step step;
    step.encode = plan->values * up->encode_s;
    step.up = (plan->shared_uplink ? plan->workers : 1.0) * message / plan->bytes_per_second;
    step.server = plan->values * (plan->workers * up->add_s + down->encode_s);
    step.down = plan->workers * update / plan->bytes_per_second;
    step.decode = plan->values * down->add_s;
    step.total = plan->compute + step.encode + step.up + step.server + step.down + step.decode;
    return step;
}

static void print_step(const struct measurement *up, const char *down, const struct step *step, double fp32) {
    printf("%-32s %-5s %8.3f %10.3e %9.4f %9.4f %9.4f %9.4f %9.4f %10.4f %8.2f\n", up->spec, down, up->bits, up->nmse,
           step->encode, step->up, step->server, step->down, step->decode, step->total, fp32 / step->total);
}

/* A codec with its way down, and its step. */
struct choice {
    const struct measurement *up;
    bool same;
    struct step step;
};

/* Replaces the choice by a faster one. */
static void choose(struct choice *best, const struct choice *other) {
    if (!best->up || other->step.total < best->step.total) *best = *other;
}

static void print_choice(const char *of, const struct choice *choice, double fp32) {
    if (choice->up && choice->step.total < fp32)
        printf("%s %s, %s: %.4f s a step, %.2f times as fast, with an error of %.2g.\n", of, choice->up->spec,
               choice->same ? "both ways" : "with float32 down", choice->step.total, fp32 / choice->step.total,
               choice->up->nmse);
    else
        printf("%s none: no such codec is faster than float32.\n", of);
}

static void print_plan(const struct plan *plan, const struct measurement *rows, size_t count) {
    struct step fp32 = step_of(plan, &rows[0], &rows[0]);
    struct choice best = {NULL, false, fp32}, careful = best;
    printf("%.0f workers, %.0f values, %g Mbit/s, %g s of computing; seconds a step:\n\n", plan->workers, plan->values,
           plan->bytes_per_second * 8e-6, plan->compute);
    printf("%-32s %-5s %8s %10s %9s %9s %9s %9s %9s %10s %8s\n", "codec up", "down", "bits", "error", "encode", "up",
           "server", "down", "decode", "step", "speedup");
    print_step(&rows[0], "raw", &fp32, fp32.total);
    for (size_t i = 1; i < count; i++)
        for (int same = 0; same < 2; same++) {
            struct choice choice = {&rows[i], same == 1, step_of(plan, &rows[i], same ? &rows[i] : &rows[0])};
            print_step(&rows[i], same ? "same" : "raw", &choice.step, fp32.total);
            choose(&best, &choice);
            if (rows[i].nmse <= careful_error) choose(&careful, &choice);
        }
    printf("\nfloat32: %.4f s a step\n", fp32.total);
    print_choice("What pays most:", &best, fp32.total);
    print_choice("What pays most with an error of at most 0.01:", &careful, fp32.total);
}

static int plan_model(const struct plan *plan, const struct settings *settings, const char *path,
                      const struct model *model, const struct specs *specs) {
    struct measurement *rows = (struct measurement *)allocate(specs->count + 1, sizeof *rows);
    struct progress progress = progress_begin(specs->count + 1, model->values);
    struct error error;
    dtc_spec raw;
    memset(&raw, 0, sizeof raw);
    bool good = measure(&raw, model, false, &progress, &rows[0], &error);
    for (size_t i = 0; i < specs->count && good; i++)
        good = measure(&specs->spec[i], model, settings->residual, &progress, &rows[i + 1], &error);
    progress_end(&progress);
    if (good) print_plan(plan, rows, specs->count + 1);
    free(rows);
    return good ? EXIT_GOOD : fail(path, &error);
}

int plan_run(const struct settings *settings, char **arguments, int count) {
    struct plan plan = {(double)settings->workers, 0.0, settings->bits_per_second / 8.0, settings->compute_seconds,
                        settings->shared_uplink};
    struct specs specs;
    struct model model;
    struct error error;
    (void)count;
    if (!(settings->bits_per_second > 0.0)) return misuse("--link is missing: give a rate such as 1Gbit or 12.5MB");
    if (settings->workers == 0) return misuse("--workers is missing: give their number");
    if (!specs_parse(settings->specs, &specs, &error)) return misuse("%s", error.text);
    bool good = model_read(&model, arguments[0], (enum format)settings->from, &error);
    if (good) plan.values = (double)model.values;
    int code = good ? plan_model(&plan, settings, arguments[0], &model, &specs) : fail(arguments[0], &error);
    if (good) model_free(&model);
    free(specs.spec);
    return code;
}
