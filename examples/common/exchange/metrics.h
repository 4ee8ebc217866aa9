/* What a run costs and achieves: the metrics CSV, a line an epoch, and the table at the end. */
#ifndef EXAMPLES_METRICS_H
#define EXAMPLES_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "dtcodec.h"
#include "error.h"

/* Seconds of a clock that only moves forward. */
double clock_seconds(void);

/* What one peer did in one epoch. */
struct meter {
    uint64_t values;               /* float values it sent (the same number came back) */
    uint64_t bytes_up, bytes_down; /* of messages from and to workers, heads included */
    double compute_s, encode_s, decode_s;
    double transfer_s; /* sending and receiving, waiting for the others included */
    double loss;       /* mean of its training samples */
};

enum { METER_BYTES = 64 };

void meter_put(uint8_t bytes[METER_BYTES], const struct meter *meter);
struct meter meter_get(const uint8_t bytes[METER_BYTES]);

struct metrics {
    FILE *csv; /* NULL: none */
    char codec[256], down_codec[256];
    bool terminal;        /* stdout is one: a line is updated as the epoch goes on */
    struct meter workers; /* sums over this run; loss is of the last epoch */
    struct meter server;
    bool has_server;
    uint64_t worker_epochs; /* how many meters of workers are in it */
    uint64_t epochs;
    double started, epoch_started;
};

/* Starts the clocks, and the CSV file unless csv_path is NULL. `append`: go on in the file of a resumed run. */
bool metrics_open(struct metrics *metrics, const char *csv_path, bool append, const dtc_spec *codec,
                  const dtc_spec *down_codec, struct error *error);

/* Shows how far the run is, on a terminal. */
void metrics_progress(const struct metrics *metrics, uint64_t rounds_done, uint64_t rounds);

/* Takes in an epoch: meters of the workers (worker[i] is the number of the one that meter[i] is of; NULL: i + 1) and of
 * the server (whose loss is ignored; NULL: there is none); writes their CSV rows and prints the epoch's line.
 * `accuracy` is 0 to 1. */
void metrics_epoch(struct metrics *metrics, uint64_t epoch, uint64_t epochs, const struct meter *meter,
                   const size_t *worker, size_t workers, const struct meter *server, double accuracy);

/* Prints the table of the whole run, whose messages are of `values` each, and closes the CSV. */
bool metrics_close(struct metrics *metrics, size_t values, double accuracy, struct error *error);

#endif
