/* Copies of this process, for programs that run all of their parts on one machine. */
#ifndef EXAMPLES_PROCESSES_H
#define EXAMPLES_PROCESSES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Starts so many copies. Returns 0 here, where process[i] receives the (i + 1)-th's, or -1 with a line that says it;
 * and in each copy its number, from 1. */
size_t processes_start(pid_t *process, size_t count);

/* Waits until all have ended; `stop`: asks them to. Says which were killed, and returns how many ended with exit code
 * 0. */
size_t processes_end(const pid_t *process, size_t count, bool stop);

#endif
