/* The clock that measures durations and deadlines. */
#ifndef EXAMPLES_CLOCK_H
#define EXAMPLES_CLOCK_H

/* Seconds since an arbitrary start. The clock never goes backwards. */
double clock_seconds(void);

#endif
