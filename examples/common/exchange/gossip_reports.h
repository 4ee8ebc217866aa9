/* What peers report of their epochs, to the one of the lowest number that is there: it tells how well their mean does,
 * and how far they are from it. Whoever is the lowest when that one is lost goes on.
 *
 * A report is an epoch's meter and the parameters at its end, raw; its bytes are not counted among those of training. A
 * process of its own evaluates what takes long, lest the peer that prints falls behind the others.
 */
#ifndef EXAMPLES_REPORTS_H
#define EXAMPLES_REPORTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "error.h"
#include "links.h"
#include "message.h"
#include "metrics.h"
#include "trainer.h"

/* What was heard of one epoch. */
struct report {
    size_t count;
    double *sum, squares; /* of the parameters; of all their squares */
    struct meter *meter;
    size_t *id;
};

struct reports {
    struct trainer *trainer;
    struct links *links;
    struct encoder raw;
    struct report *report;        /* of epoch e: report[e - 1] */
    uint64_t *reported;           /* the last epoch of peer n: reported[n - 1] */
    uint64_t printed;             /* the last of all */
    uint64_t bytes_out, bytes_in; /* of the links, that were reported */
    pid_t process;                /* evaluates epoch printed + 1; 0: there is none */
    int answer;                   /* where it writes the accuracies */
    struct metrics metrics;
    bool open;
    double accuracy; /* of the last mean */
};

/* Trainer and links are lent. Free with reports_free. */
void reports_create(struct reports *reports, struct trainer *trainer, struct links *links);
void reports_free(struct reports *reports);

/* Starts the table and the CSV, which is begun anew or gone on with; who prints does so by itself, if nobody did. */
bool reports_open(struct reports *reports, bool anew, struct error *error);

/* Sends the report of an epoch that has just ended, or keeps it. */
void reports_send(struct reports *reports, uint64_t epoch);

/* Takes in what a peer sent. */
bool reports_take(struct reports *reports, const struct link *link, struct error *error);

/* Prints the epochs that all who are left have ended, as soon as they are evaluated; `wait`: until there is none left
 * to print. */
void reports_print(struct reports *reports, bool wait);

#endif
