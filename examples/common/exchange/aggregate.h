/* The server's part of a round: it combines what the workers deliver. */
#ifndef EXAMPLES_AGGREGATE_H
#define EXAMPLES_AGGREGATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../error.h"
#include "../transport/clients.h"
#include "metrics.h"
#include "trainer.h"

/* A report holds the CRC-32 of the parameters (4 bytes) and the meter. */
enum { REPORT_BYTES = 4 + METER_BYTES };

/* Collects the ranges of all workers' tensors, and sends the largest range of each tensor to all. */
void aggregate_ranges(struct clients *clients, struct trainer *trainer);

/* Collects the messages of a round and makes the update from them. A message is decoded while the server waits for
 * those of workers with larger numbers. With --add-packets the update is the sum of the messages, undecoded, if they
 * add. Else the update is the encoded mean of the decoded messages. A worker whose message cannot be decoded is
 * dropped. The update is valid until the next round; an empty one means that the round is skipped. */
bool aggregate_messages(struct clients *clients, struct trainer *trainer, const uint8_t **update, size_t *bytes,
                        struct error *error);

/* Collects the workers' reports of an epoch and records them in the metrics. A worker whose parameters differ from the
 * server's is dropped, and the result is false. */
bool aggregate_reports(struct clients *clients, struct trainer *trainer, struct metrics *metrics, uint64_t epoch,
                       double accuracy);

#endif
