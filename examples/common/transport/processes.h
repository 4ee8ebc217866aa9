/* Copies of the current process, for programs that run all their parts on one machine. */
#ifndef EXAMPLES_PROCESSES_H
#define EXAMPLES_PROCESSES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Starts `count` copies of the process. In each copy the function returns the number of the copy, from 1. In the
 * original it returns 0, and process[i] receives the id of copy i + 1, or -1 if that copy could not be started. */
size_t processes_start(pid_t *process, size_t count);

/* Waits until all copies have ended, and returns how many ended with exit code 0. If `stop` is true, the function first
 * sends SIGTERM to each copy; else it reports the copies that a signal killed. *worst receives the largest
 * exit code, unless `worst` is NULL. */
size_t processes_end(const pid_t *process, size_t count, bool stop, int *worst);

#endif
