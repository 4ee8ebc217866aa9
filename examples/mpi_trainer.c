/* mpi_trainer: trains a neural net over MPI on one or several machines, without a server.
 *
 * Every rank is a worker with a replica of the parameters. The ranks exchange the gradient tensor by tensor, as
 * packets. The collectives do not block, and those of a layer start when the backward pass has left it. The exchange of
 * a tensor has these stages:
 *
 *     RANGE    with --add-packets, if the spec gives no grid: a max-reduction of one float
 *     OFFER    an all-gather of the size of each rank's packet, and of whether the packets can be summed
 *     SUM      if all packets have one fixed size and room for their sum: an all-reduce by dtc_packet_add, in which one
 *              packet is one element
 *     GATHER   else: an all-gather of the packets
 *
 * Then all ranks decode the same packets and take the same step. If the gradient of a rank is not finite, no rank takes
 * a step.
 */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mpi.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/exchange/grid.h"
#include "common/exchange/metrics.h"
#include "common/exchange/options.h"
#include "common/exchange/tensor_message.h"
#include "common/exchange/trainer.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/net/net.h"
#include "common/settings_text.h"
#include "common/tensors.h"

enum { TEST_BATCH = 1000 };

/* ---- Exchange of one tensor ------------------------------------------------------------------------------------ */

enum stage { DONE, RANGE, OFFER, SUM, GATHER };

struct offer {
    uint32_t bytes; /* of this rank's packet; 0: there is none, and all ranks skip the round */
    uint32_t fixed; /* whether the size does not depend on the values, and the packet has room for the sum */
};

struct transfer {
    enum stage stage; /* the collective that is under way; DONE: none */
    MPI_Comm comm;    /* own communicator: ranks can start stages of different tensors in different orders */
    MPI_Request request;
    MPI_Datatype element; /* of SUM: one packet */
    struct offer own, *offer;
    uint8_t *packet, *gathered;
    size_t capacity; /* of the packet */
    int *bytes, *at; /* of each rank's packet in `gathered` */
};

struct worker {
    struct trainer *trainer;
    int rank, ranks;
    MPI_Op add;
    uint64_t round;
    bool refused, skipped; /* whether this rank, and any rank, has no packet in this round */
    double inside_s;       /* seconds of the exchange within the backward pass, which the trainer counts as computing */
    struct transfer *transfer;
    struct tensors mean;     /* of the ranks' gradients */
    struct tensors residual; /* the residual before this round; it comes back if the round is skipped */
    struct metrics metrics;
};

/* Ends all ranks, because collectives cannot go on without one of them. */
static void give_up(const struct worker *worker, const char *reason) {
    say((size_t)worker->rank + 1, "%s", reason);
    MPI_Abort(MPI_COMM_WORLD, 1);
}

/* The reduction of SUM: inout[i] = in[i] + inout[i], where each element is a packet. */
static void add_packets(void *in, void *inout, int *length, MPI_Datatype *element) {
    int size;
    MPI_Type_size(*element, &size);
    for (int i = 0; i < *length; i++) {
        size_t bytes = (size_t)size, sum_bytes;
        const uint8_t *from = (const uint8_t *)in + (size_t)i * bytes;
        uint8_t *to = (uint8_t *)inout + (size_t)i * bytes;
        dtc_status status = dtc_packet_add(to, bytes, &sum_bytes, from, bytes, to, bytes, NULL, 0);
        if (status == DTC_OK && sum_bytes == bytes) continue;
        fprintf(stderr, "mpi_trainer: packets of one size do not add: %s\n", dtc_status_string(status));
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
}

/* Starts RANGE, in which the ranks agree on the range of the tensor's grid. */
static void start_range(struct worker *worker, size_t index) {
    struct encoder *encoder = &worker->trainer->encoder;
    struct transfer *transfer = &worker->transfer[index];
    encoder->range[index] = encoder_range(encoder, index, &worker->trainer->values.tensor[index]);
    MPI_Iallreduce(MPI_IN_PLACE, &encoder->range[index], 1, MPI_FLOAT, MPI_MAX, transfer->comm, &transfer->request);
    transfer->stage = RANGE;
}

/* Encodes the tensor, if it is finite, and starts OFFER, which tells the other ranks about the packet. */
static void start_offer(struct worker *worker, size_t index) {
    struct trainer *trainer = worker->trainer;
    struct transfer *transfer = &worker->transfer[index];
    bool gradient = trainer->settings.exchange == EXCHANGE_GRADIENTS;
    struct tensors values = tensors_one(&trainer->values, index);
    struct factors factors = net_factors(&trainer->net, index);
    struct packet packet = {transfer->packet, transfer->capacity, 0};
    double start = clock_seconds();
    struct error error;
    dtc_info info;
    bool everyone = !trainer->encoder.range || isfinite(trainer->encoder.range[index]);
    bool good = tensors_finite(&values) || set_error(&error, "%s", dtc_status_string(DTC_ERROR_NONFINITE));
    if (good && everyone)
        good = encoder_packet(&trainer->encoder, index, values.tensor, gradient ? &factors : NULL,
                              trainer_seed(trainer, worker->round), &packet, &error);
    if (!good && !worker->refused)
        say(trainer->id, "round %llu is skipped by all: %s", (unsigned long long)worker->round, error.text);
    worker->refused |= !good;
    transfer->own.bytes = (uint32_t)packet.bytes;
    transfer->own.fixed = dtc_inspect(transfer->packet, packet.bytes, &info) == DTC_OK &&
                          grid_fixed(&info, trainer->settings.workers) && trainer->settings.add_packets;
    trainer->meter.encode_s += clock_seconds() - start;
    MPI_Iallgather(&transfer->own, 2, MPI_UINT32_T, transfer->offer, 2, MPI_UINT32_T, transfer->comm,
                   &transfer->request);
    transfer->stage = OFFER;
}

/* Starts SUM or GATHER. All ranks have the same offers and choose the same stage. */
static void start_transfer(struct worker *worker, size_t index) {
    struct transfer *transfer = &worker->transfer[index];
    struct meter *meter = &worker->trainer->meter;
    size_t all = 0, agreed = worker->trainer->encoder.range ? sizeof(float) : 0;
    bool sums = true, complete = true;
    for (int i = 0; i < worker->ranks; i++) {
        complete &= transfer->offer[i].bytes > 0;
        sums &= transfer->offer[i].fixed && transfer->offer[i].bytes == transfer->own.bytes;
        transfer->bytes[i] = (int)transfer->offer[i].bytes;
        transfer->at[i] = (int)all;
        all += transfer->offer[i].bytes;
    }
    meter->bytes_up += agreed + sizeof transfer->own + transfer->own.bytes;
    meter->bytes_down += agreed + (size_t)(worker->ranks - 1) * sizeof transfer->own;
    if (!complete) {
        worker->skipped = true;
        transfer->stage = DONE;
    } else if (sums) {
        MPI_Type_contiguous((int)transfer->own.bytes, MPI_BYTE, &transfer->element);
        MPI_Type_commit(&transfer->element);
        MPI_Iallreduce(MPI_IN_PLACE, transfer->packet, 1, transfer->element, worker->add, transfer->comm,
                       &transfer->request);
        transfer->stage = SUM;
        meter->bytes_down += transfer->own.bytes;
    } else {
        transfer->gathered = (uint8_t *)allocate(all, 1);
        MPI_Iallgatherv(transfer->packet, (int)transfer->own.bytes, MPI_BYTE, transfer->gathered, transfer->bytes,
                        transfer->at, MPI_BYTE, transfer->comm, &transfer->request);
        transfer->stage = GATHER;
        meter->bytes_down += all - transfer->own.bytes;
    }
}

/* Adds the mean of the gathered packets to `mean`. Packets that add are first added without decoding them. */
static bool average(struct worker *worker, const struct transfer *transfer, struct tensors *mean, struct error *error) {
    struct decoder *decoder = &worker->trainer->decoder;
    struct adder *adder = &worker->trainer->adder;
    bool sums = worker->trainer->settings.add_packets, good = true;
    adder->bytes = 0;
    for (int i = 0; i < worker->ranks && sums; i++)
        sums = adder_add(adder, transfer->gathered + transfer->at[i], transfer->offer[i].bytes, error);
    if (sums) return decoder_add(decoder, mean, 1.0f, adder->sum, adder->bytes, error);
    for (int i = 0; i < worker->ranks && good; i++)
        good = decoder_add(decoder, mean, 1.0f / (float)worker->ranks, transfer->gathered + transfer->at[i],
                           transfer->offer[i].bytes, error);
    return good;
}

static void finish(struct worker *worker, size_t index) {
    struct transfer *transfer = &worker->transfer[index];
    struct tensors mean = tensors_one(&worker->mean, index);
    double start = clock_seconds();
    struct error error;
    tensors_clear(&mean);
    bool good = transfer->stage == SUM
                    ? decoder_add(&worker->trainer->decoder, &mean, 1.0f, transfer->packet, transfer->own.bytes, &error)
                    : average(worker, transfer, &mean, &error);
    if (!good) give_up(worker, error.text);
    if (transfer->stage == SUM)
        MPI_Type_free(&transfer->element);
    else
        free(transfer->gathered);
    transfer->stage = DONE;
    worker->trainer->meter.decode_s += clock_seconds() - start;
}

/* Advances a tensor through its stages: as far as possible without waiting, or to DONE if `wait` is true. */
static void advance(struct worker *worker, size_t index, bool wait) {
    struct transfer *transfer = &worker->transfer[index];
    while (transfer->stage != DONE) {
        int arrived = 1;
        double start = clock_seconds();
        if (wait)
            MPI_Wait(&transfer->request, MPI_STATUS_IGNORE);
        else
            MPI_Test(&transfer->request, &arrived, MPI_STATUS_IGNORE);
        worker->trainer->meter.transfer_s += clock_seconds() - start;
        if (!arrived) return;
        if (transfer->stage == RANGE)
            start_offer(worker, index);
        else if (transfer->stage == OFFER)
            start_transfer(worker, index);
        else
            finish(worker, index);
    }
}

/* The net calls this function when the gradient of two tensors is complete; the calls go from the last to the first. */
static void start_exchange(void *context, size_t first_tensor) {
    struct worker *worker = (struct worker *)context;
    double start = clock_seconds();
    for (size_t i = first_tensor + 2; i-- > first_tensor;)
        (worker->trainer->encoder.range ? start_range : start_offer)(worker, i);
    for (size_t i = worker->mean.count; i-- > 0;) advance(worker, i, false);
    worker->inside_s += clock_seconds() - start;
}

/* ---- Training -------------------------------------------------------------------------------------------------- */

static void work_round(struct worker *worker, uint64_t round) {
    struct trainer *trainer = worker->trainer;
    bool gradients = trainer->settings.exchange == EXCHANGE_GRADIENTS;
    worker->round = round;
    worker->refused = worker->skipped = false;
    worker->inside_s = 0.0;
    if (worker->residual.count) tensors_copy(&worker->residual, &trainer->encoder.residual);
    trainer->net.ready = gradients ? start_exchange : NULL;
    trainer->net.ready_context = worker;
    trainer_compute(trainer, round);
    trainer->meter.compute_s -= worker->inside_s;
    for (size_t i = worker->mean.count; !gradients && i > 0; i -= 2) start_exchange(worker, i - 2);
    for (size_t i = worker->mean.count; i-- > 0;) advance(worker, i, true);
    trainer->meter.values += trainer->values.values;

    if (!worker->skipped) {
        tensors_copy(&trainer->values, &worker->mean);
        trainer_step(trainer, round);
    } else if (worker->residual.count) {
        tensors_copy(&trainer->encoder.residual, &worker->residual);
    }
}

static bool same_in_all_ranks(uint64_t value) {
    uint64_t most[2] = {value, ~value};
    MPI_Allreduce(MPI_IN_PLACE, most, 2, MPI_UINT64_T, MPI_MAX, MPI_COMM_WORLD);
    return most[0] == ~most[1];
}

/* Records the epoch and returns the accuracy in rank 0; returns 0 in the other ranks. */
static double end_epoch(struct worker *worker, uint64_t epoch) {
    struct trainer *trainer = worker->trainer;
    size_t ranks = (size_t)worker->ranks;
    struct meter meter = trainer_take_meter(trainer), *meters = (struct meter *)allocate(ranks, sizeof meter);
    MPI_Gather(&meter, sizeof meter, MPI_BYTE, meters, sizeof meter, MPI_BYTE, 0, MPI_COMM_WORLD);
    double accuracy = worker->rank == 0 ? trainer_accuracy(trainer) : 0.0;
    trainer->meter.compute_s = 0.0; /* testing is not computing of the next epoch */
    if (worker->rank == 0)
        metrics_epoch(&worker->metrics, epoch, trainer->settings.epochs, meters, NULL, ranks, NULL, accuracy);
    free(meters);
    return accuracy;
}

static bool train(struct worker *worker, struct error *error) {
    struct trainer *trainer = worker->trainer;
    const struct trainer_settings *settings = &trainer->settings;
    uint64_t round = 0, rounds;
    double accuracy = 0.0;
    if (!trainer_resume(trainer, true, &round, error) || !trainer_rounds(trainer, round, &rounds, error)) return false;
    if (!same_in_all_ranks(round) || !same_in_all_ranks(rounds))
        return set_error(error, "the ranks have different --epochs, or --resume from different rounds");
    if (worker->rank == 0 && !metrics_open(&worker->metrics, settings->metrics, settings->resume != NULL,
                                           &settings->codec, &settings->codec, error))
        return false;
    worker->metrics.terminal = false; /* with mpirun, stdout can look like a terminal and not be one */
    while (round < rounds) {
        work_round(worker, round++);
        if (round % trainer->report_rounds) continue;
        if (!same_in_all_ranks(tensors_crc(&trainer->parameters)))
            return set_error(error, "REPLICAS DRIFT: ranks hold different parameters: this must not happen");
        accuracy = end_epoch(worker, round / trainer->report_rounds * trainer->report_epochs);
        if (!trainer_save(trainer, true, round, error)) return false;
    }
    return worker->rank != 0 || trainer_end(trainer, &worker->metrics, accuracy, error);
}

static bool worker_start(struct worker *worker, struct error *error) {
    struct trainer *trainer = worker->trainer;
    size_t ranks = (size_t)worker->ranks, batch = (size_t)trainer->settings.batch;
    trainer_start(trainer, &trainer->settings.codec, batch > TEST_BATCH ? batch : TEST_BATCH);
    worker->mean = tensors_like(&trainer->parameters);
    worker->residual = trainer->settings.residual ? tensors_like(&trainer->parameters) : tensors_create(NULL, 0);
    worker->transfer = (struct transfer *)allocate(worker->mean.count, sizeof *worker->transfer);
    MPI_Op_create(add_packets, 1, &worker->add);
    for (size_t i = 0; i < worker->mean.count; i++) {
        struct transfer *transfer = &worker->transfer[i];
        const struct tensors one = tensors_one(&worker->mean, i);
        transfer->capacity = message_bound(&trainer->settings.codec, &one);
        if (transfer->capacity > INT_MAX / ranks)
            return set_error(error, "tensor %zu is too large for MPI's counts", i);
        transfer->packet = (uint8_t *)allocate(transfer->capacity, 1);
        transfer->offer = (struct offer *)allocate(ranks, sizeof *transfer->offer);
        transfer->bytes = (int *)allocate(2 * ranks, sizeof *transfer->bytes);
        transfer->at = transfer->bytes + ranks;
        MPI_Comm_dup(MPI_COMM_WORLD, &transfer->comm);
    }
    return true;
}

static void worker_free(struct worker *worker) {
    for (size_t i = 0; i < worker->mean.count; i++) {
        struct transfer *transfer = &worker->transfer[i];
        MPI_Comm_free(&transfer->comm);
        free(transfer->packet);
        free(transfer->offer);
        free(transfer->bytes);
    }
    MPI_Op_free(&worker->add);
    free(worker->transfer);
    tensors_free(&worker->mean);
    tensors_free(&worker->residual);
}

/* ---- Command line ---------------------------------------------------------------------------------------------- */

static void help(const struct option_table *table) {
    printf("mpi_trainer: trains a neural net over MPI, every rank a worker\n\n  mpirun -n 4 mpi_trainer [options]\n\n"
           "Options, with their defaults in brackets:\n");
    options_help(table, 1, ROLE_PEER);
    printf(
        "\nWith --add-packets an all-reduce sums packets of one size (ternary:pack=base3, quant:bits=N,entropy=none);\n"
        "other packets are gathered. Exit codes: 0 done, 1 failed, 2 wrong options or data, 3 the training "
        "diverged.\n");
}

/* Returns whether `good` is true in every rank. The first rank in which it is false prints why. */
static bool agree(const struct worker *worker, bool good, const char *why) {
    int first = good ? worker->ranks : worker->rank;
    MPI_Allreduce(MPI_IN_PLACE, &first, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    if (first == worker->rank) fprintf(stderr, "mpi_trainer: %s\n", why);
    return first == worker->ranks;
}

/* Reads the options and the data, and compares the settings with those of rank 0. */
static bool load(struct worker *worker, const struct option_table *table, int argc, char **argv) {
    struct trainer *trainer = worker->trainer;
    char first[SETTINGS_TEXT_BYTES], theirs[256], ours[256];
    struct error error;
    bool good = options_parse(table, 1, ROLE_PEER, argc - 1, argv + 1, &error);
    if (good && trainer->settings.workers != (uint64_t)worker->ranks)
        good = set_error(&error, "--workers %llu: there are %d ranks", (unsigned long long)trainer->settings.workers,
                         worker->ranks);
    good = good && trainer_load(trainer, table, 1, &error);
    if (!agree(worker, good, error.text)) return false;
    memcpy(first, trainer->settings_text, sizeof first);
    MPI_Bcast(first, sizeof first, MPI_BYTE, 0, MPI_COMM_WORLD);
    bool differ = settings_differ(first, trainer->settings_text, theirs, ours);
    if (differ) set_error(&error, "rank 0 runs with %s, rank %d with %s", theirs, worker->rank, ours);
    return agree(worker, !differ, error.text);
}

int main(int argc, char **argv) {
    struct trainer trainer;
    struct worker worker;
    struct error error;
    MPI_Init(&argc, &argv);
    memset(&trainer, 0, sizeof trainer);
    memset(&worker, 0, sizeof worker);
    MPI_Comm_rank(MPI_COMM_WORLD, &worker.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &worker.ranks);
    worker.trainer = &trainer;
    trainer_defaults(&trainer.settings);
    trainer.settings.workers = (uint64_t)worker.ranks;
    trainer.id = (size_t)worker.rank + 1;
    const struct option_table table = trainer_options(&trainer.settings);
    bool wants_help = options_want_help(argc, argv), loaded = !wants_help && load(&worker, &table, argc, argv);
    if (wants_help && worker.rank == 0) help(&table);
    if (loaded) {
        bool good = worker_start(&worker, &error) && train(&worker, &error);
        if (trainer.diverged)
            say(trainer.id, "%s", error.text); /* the collectives are over: no rank waits for this one */
        else if (!good)
            give_up(&worker, error.text);
        worker_free(&worker);
    }
    const int code = trainer.diverged ? EXIT_DIVERGED : wants_help || loaded ? 0 : 2;
    trainer_free(&trainer);
    MPI_Finalize();
    return code;
}
