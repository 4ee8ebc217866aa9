/* The server's part of a round: what the workers deliver, made one. */
#ifndef EXAMPLES_AGGREGATE_H
#define EXAMPLES_AGGREGATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "metrics.h"
#include "peers.h"
#include "trainer.h"

/* Has the workers agree on the tensors' ranges: collects them, and sends everyone the largest of each. */
void aggregate_ranges(struct peers *peers, struct trainer *trainer);

/* Makes the round's update of the collected messages: with --add-packets their sum, if they add; else the encoded mean
 * of what they decode to. The update is the trainer's until its next round; empty: the round is skipped. A message that
 * does not decode costs its sender the place. */
bool aggregate_messages(struct peers *peers, struct trainer *trainer, const uint8_t **update, size_t *bytes,
                        struct error *error);

/* Collects the reports of an epoch and books it. Drops whoever's parameters are not the server's; false then. */
bool aggregate_reports(struct peers *peers, struct trainer *trainer, struct metrics *metrics, uint64_t epoch,
                       double accuracy);

#endif
