/* One replica and what it does in a round, whatever carries the messages.
 *
 * Rounds count from 0. With --exchange gradients a round is one step of SGD, with --exchange parameters it is --every
 * epochs of them. What random numbers a round needs derives from --seed, the round and the worker's number alone.
 */
#ifndef EXAMPLES_TRAINER_H
#define EXAMPLES_TRAINER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "idx.h"
#include "message.h"
#include "metrics.h"
#include "net.h"
#include "options.h"
#include "tensors.h"

enum { SHARED_BYTES = 1536 };

/* What random numbers are drawn for, so that no two uses share them. */
enum { SEED_PARAMETERS, SEED_SHUFFLE, SEED_CODEC, SEED_GOSSIP };

struct trainer {
    struct trainer_settings settings;
    char shared[SHARED_BYTES]; /* the settings that all peers must share, as text */
    size_t id;                 /* of a worker, from 1; a server is 0 */
    struct images train, test;
    uint64_t steps;                        /* in an epoch */
    uint64_t report_rounds, report_epochs; /* rounds, and epochs, from one report to the next */

    struct net net;
    struct tensors parameters, velocity;
    struct tensors values;  /* what is exchanged: a gradient, or parameters */
    struct encoder encoder; /* of what this replica sends */
    struct decoder decoder;
    struct adder adder;
    struct meter meter; /* since the last report */

    /* working memory: a batch, and the order of the samples in one epoch */
    float *inputs;
    uint8_t *labels;
    size_t *order;
    uint64_t order_epoch;
    double loss_sum; /* over loss_steps, since the last report */
    uint64_t loss_steps;
};

/* Checks the settings and reads the data. `tables` hold the options, for the text of the shared ones. */
bool trainer_load(struct trainer *trainer, const struct option_table *tables, size_t table_count, struct error *error);

/* Makes the net, its first parameters and an encoder. `batch`: most samples that the net sees at once. */
void trainer_start(struct trainer *trainer, const dtc_spec *codec, size_t batch);

/* Frees all that the two made; harmless after either failed. */
void trainer_free(struct trainer *trainer);

/* Computes what worker trainer->id exchanges in this round, into trainer->values. */
void trainer_compute(struct trainer *trainer, uint64_t round);

/* The seed of what this replica encodes in a round. */
uint64_t trainer_seed(const struct trainer *trainer, uint64_t round);

/* Encodes trainer->values into trainer->encoder.message. */
bool trainer_encode(struct trainer *trainer, uint64_t round, struct error *error);

/* Decodes the round's update and takes the step it says: the same bits give the same result in every replica.
 * An update that is empty, or not finite, changes nothing. */
bool trainer_apply(struct trainer *trainer, uint64_t round, const uint8_t *update, size_t bytes, struct error *error);

/* The last part of trainer_apply: takes the step that trainer->values, the decoded update, says; none, if it is not
 * finite. */
void trainer_step(struct trainer *trainer, uint64_t round);

/* Rounds in --epochs epochs, which must be more than a checkpoint has done already. */
bool trainer_rounds(const struct trainer *trainer, uint64_t done, uint64_t *rounds, struct error *error);

/* Write, and read, this replica's checkpoint after so many rounds, if --save and --resume ask for it: FILE, of a worker
 * FILE.workerN. Momentum and residual are in it, and the parameters unless a server keeps them (`parameters` false). */
bool trainer_save(const struct trainer *trainer, bool parameters, uint64_t rounds, struct error *error);
bool trainer_resume(struct trainer *trainer, bool parameters, uint64_t *rounds, struct error *error);

/* The meter since the last report, which starts anew. */
struct meter trainer_take_meter(struct trainer *trainer);

/* The part of the test images that is classified as labelled. */
double trainer_accuracy(struct trainer *trainer);

/* Ends the metrics, and prints the CRC of the parameters, in which all replicas agree. */
bool trainer_end(const struct trainer *trainer, struct metrics *metrics, double accuracy, struct error *error);

#endif
