/* A progress bar on standard error, for work of several seconds. */
#ifndef DTC_PROGRESS_H
#define DTC_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>

struct progress {
    bool shown;         /* whether standard error is a terminal, and the work is long */
    double total, done; /* in values */
    int percent;        /* that is shown */
};

/* Begins a bar for `runs` runs over `values` values. */
struct progress progress_begin(size_t runs, size_t values);

/* Counts values as done. `progress` may be NULL. */
void progress_add(struct progress *progress, size_t values);

/* Removes the bar. */
void progress_end(struct progress *progress);

#endif
