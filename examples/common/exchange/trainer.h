/* One replica of the net, and what it does in a round. The trainer does not know how messages are carried.
 *
 * Rounds count from 0. With --exchange gradients a round is one step of SGD. With --exchange parameters or
 * changes a round is --every epochs of steps. All random numbers of a round derive from --seed, the round and the
 * worker's number.
 */
#ifndef EXAMPLES_TRAINER_H
#define EXAMPLES_TRAINER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../error.h"
#include "../net/idx.h"
#include "../net/net.h"
#include "../settings_text.h"
#include "../tensors.h"
#include "metrics.h"
#include "options.h"
#include "tensor_message.h"
#include "trainer_settings.h"

/* The uses of random numbers. Each use has keys of its own. */
enum { SEED_PARAMETERS, SEED_SHUFFLE, SEED_CODEC, SEED_GOSSIP, SEED_AUGMENTATION };

/* The exit code of a process whose training has diverged. */
enum { EXIT_DIVERGED = 3 };

struct trainer {
    struct trainer_settings settings;
    char settings_text[SETTINGS_TEXT_BYTES]; /* the settings that all processes must share */
    size_t id;                               /* number of a worker, from 1; 0: a server */
    struct images train, test;
    uint64_t steps;                        /* in an epoch */
    uint64_t report_rounds, report_epochs; /* rounds, and epochs, between two reports */

    struct net net;
    struct tensors parameters, velocity;
    struct tensors values;   /* what is exchanged: a gradient, parameters, or their change in a round */
    struct tensors average;  /* working memory: the parameters before a round, with --exchange changes */
    struct factors *factors; /* working memory: the factors of each tensor of `values` */
    struct encoder encoder;  /* of this replica's messages */
    struct decoder decoder;
    struct adder adder;
    struct meter meter;    /* since the last report */
    struct meter reported; /* the last report */

    /* working memory: the samples of a batch, and the order of all samples in one epoch */
    float *inputs;
    uint8_t *labels;
    size_t *order;
    uint64_t order_epoch;
    double loss_sum; /* of loss_steps steps since the last report */
    uint64_t loss_steps;
    uint64_t infinite_steps; /* of loss_steps: those whose loss or gradient is not finite */
    uint64_t infinite_step;  /* the first of them, from 1, since the last report without any; 0: none */
    bool diverged;           /* trainer_sound has failed */
};

/* Checks the settings and reads the data. `tables` holds the options of the settings text. */
bool trainer_load(struct trainer *trainer, const struct option_table *tables, size_t table_count, struct error *error);

/* Creates the parameters, an encoder for `codec` and working memory, after trainer_load. `batch` is the largest number
 * of samples in one pass of the net. */
void trainer_start(struct trainer *trainer, const dtc_spec *codec, size_t batch);

/* Frees all memory. The call is also valid after trainer_load failed. */
void trainer_free(struct trainer *trainer);

/* Computes what worker trainer->id exchanges in a round, and writes it to trainer->values. With --exchange changes the
 * parameters go back to the last average, so that a round without an update changes nothing. */
void trainer_compute(struct trainer *trainer, uint64_t round);

/* Returns the seed of this replica's message in a round. */
uint64_t trainer_seed(const struct trainer *trainer, uint64_t round);

/* Encodes trainer->values into trainer->encoder.message. */
bool trainer_encode(struct trainer *trainer, uint64_t round, struct error *error);

/* Decodes the update of a round into trainer->values and calls trainer_step. All replicas compute the same bits. An
 * empty update changes nothing. */
bool trainer_apply(struct trainer *trainer, uint64_t round, const uint8_t *update, size_t bytes, struct error *error);

/* Applies the decoded update in trainer->values: takes a step of SGD, replaces the parameters, or adds the
 * change to them. If a value is not
 * finite, the function logs it and changes nothing. */
void trainer_step(struct trainer *trainer, uint64_t round);

/* Computes the number of rounds in --epochs epochs. The function fails if a checkpoint has done as many (`done`). */
bool trainer_rounds(const struct trainer *trainer, uint64_t done, uint64_t *rounds, struct error *error);

/* Write and read the checkpoint of this replica after a number of rounds, if --save or --resume names a file. The
 * server uses FILE, worker N uses FILE.workerN. The checkpoint holds momentum and residual. It also holds the
 * parameters if `parameters` is true; the workers of a server do not need them. */
bool trainer_save(const struct trainer *trainer, bool parameters, uint64_t rounds, struct error *error);
bool trainer_resume(struct trainer *trainer, bool parameters, uint64_t *rounds, struct error *error);

/* Reads the checkpoint of a server's worker after `round` rounds. A worker saves shortly before its server does, and so
 * trainer_save without parameters keeps the last checkpoint as FILE.workerN.before, which is read if it is that of the
 * round. */
bool trainer_resume_at(struct trainer *trainer, uint64_t round, struct error *error);

/* Returns the meter since the last report, and starts a new one. */
struct meter trainer_take_meter(struct trainer *trainer);

/* Fails if a loss or a gradient of the last report is NaN or infinite. `meter` is the last one of this replica, or of
 * all workers. */
bool trainer_sound(struct trainer *trainer, const struct meter *meter, struct error *error);

/* Returns the part of the test images, 0 to 1, that the net classifies as their labels say. */
double trainer_accuracy(struct trainer *trainer);

/* Ends the metrics, prints the CRC of the parameters, which is equal in all replicas, and calls trainer_sound for all
 * workers. */
bool trainer_end(struct trainer *trainer, struct metrics *metrics, double accuracy, struct error *error);

#endif
