/* The reports of gossiping peers. Each peer sends a report of each epoch to the living peer of the lowest number. That
 * peer prints the accuracy of the peers' mean and their distance from it. If that peer is lost, the next one goes on.
 *
 * A report holds the meter of an epoch and the raw parameters at its end. The bytes of reports do not count as bytes of
 * training. A long evaluation runs in a process of its own, so that the peer that prints does not fall behind.
 */
#ifndef EXAMPLES_GOSSIP_REPORTS_H
#define EXAMPLES_GOSSIP_REPORTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../error.h"
#include "../transport/mesh.h"
#include "metrics.h"
#include "tensor_message.h"
#include "trainer.h"

/* The reports of one epoch. */
struct report {
    size_t count;
    double *sum, squares; /* sum of the parameters of all peers; sum of the squares of all parameters */
    struct meter *meter;  /* count meters */
    size_t *id;           /* count numbers of peers */
};

struct reports {
    struct trainer *trainer;
    struct mesh *mesh;
    struct encoder raw;
    struct report *report;        /* report[e - 1] is that of epoch e */
    uint64_t *reported;           /* reported[n - 1] is the last epoch that peer n reported */
    uint64_t printed;             /* last epoch that was printed */
    uint64_t bytes_out, bytes_in; /* bytes of the mesh in the reports so far */
    pid_t process;                /* evaluates epoch printed + 1; 0: there is none */
    int answer;                   /* pipe to which that process writes the accuracies */
    struct metrics metrics;
    bool open;
    double accuracy; /* of the last mean */
};

/* Creates the reports. `trainer` and `mesh` stay the caller's. Free the reports with reports_free. */
void reports_create(struct reports *reports, struct trainer *trainer, struct mesh *mesh);
void reports_free(struct reports *reports);

/* Starts the metrics. If `anew` is true, the CSV file is begun anew, else continued. A peer that prints and has not
 * called the function does so itself. */
bool reports_open(struct reports *reports, bool anew, struct error *error);

/* Sends this peer's report of an epoch that has just ended. The peer that prints keeps its own report. */
void reports_send(struct reports *reports, uint64_t epoch);

/* Reads the report in link->frame. */
bool reports_take(struct reports *reports, const struct link *link, struct error *error);

/* Prints the epochs that all living peers have reported, as far as they are evaluated. If `wait` is true, the function
 * waits for the evaluation and prints all of them. */
void reports_print(struct reports *reports, bool wait);

#endif
