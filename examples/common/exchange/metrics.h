/* What a run costs and achieves: the CSV file of metrics, one printed line per epoch, and the table at the end. */
#ifndef EXAMPLES_METRICS_H
#define EXAMPLES_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "../error.h"
#include "dtcodec.h"

/* What one process did in one epoch. */
struct meter {
    uint64_t values;               /* float values that a worker sent; it received the same number */
    uint64_t bytes_up, bytes_down; /* of messages from workers and to workers, heads included */
    double compute_s, encode_s, decode_s;
    double transfer_s; /* sending and receiving, with the time of waiting for others */
    double loss;       /* mean of the training samples */
    uint64_t diverged; /* the first step, from 1, since which each report has a loss or a gradient that is not finite;
                        * 0: those of this report are finite */
};

enum { METER_BYTES = 72 };

/* A meter as bytes. */
void meter_put(uint8_t bytes[METER_BYTES], const struct meter *meter);
struct meter meter_get(const uint8_t bytes[METER_BYTES]);

struct metrics {
    FILE *csv; /* NULL: there is none */
    char codec[256], down_codec[256];
    bool terminal;        /* whether stdout is a terminal, on which a line shows the progress within an epoch */
    struct meter workers; /* sums over this run; loss and diverged are those of the last report */
    struct meter server;  /* sums over this run */
    bool has_server;
    uint64_t worker_epochs; /* number of meters in `workers` */
    uint64_t epochs;
    double started, epoch_started; /* clock_seconds() */
};

/* Starts the clocks, and opens the CSV file unless csv_path is NULL. If `append` is true, the rows are appended to the
 * file of an earlier run. metrics_close closes the file. */
bool metrics_open(struct metrics *metrics, const char *csv_path, bool append, const dtc_spec *codec,
                  const dtc_spec *down_codec, struct error *error);

/* Prints the number of rounds done, if stdout is a terminal. */
void metrics_progress(const struct metrics *metrics, uint64_t rounds_done, uint64_t rounds);

/* Records an epoch, writes its CSV rows and prints its line. meter[i] is the meter of worker number worker[i], or i + 1
 * if `worker` is NULL. `server` is the meter of the server, whose loss is ignored; NULL: there is no server. `accuracy`
 * is 0 to 1. */
void metrics_epoch(struct metrics *metrics, uint64_t epoch, uint64_t epochs, const struct meter *meter,
                   const size_t *worker, size_t workers, const struct meter *server, double accuracy);

/* Prints the table of the run and closes the CSV file. `values` is the number of values of one message. */
bool metrics_close(struct metrics *metrics, size_t values, double accuracy, struct error *error);

#endif
