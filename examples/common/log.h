/* Log lines on standard error, each headed by the process that writes it. */
#ifndef EXAMPLES_LOG_H
#define EXAMPLES_LOG_H

#include <stddef.h>

#include "error.h"

/* Sets the names of the processes in the log. Process number n > 0 is "`numbered` n", and process 0 is `zero`. The
 * default names are "worker" and "server". Both strings must live as long as the program. */
void say_kind(const char *numbered, const char *zero);

/* Prints one line in the name of a process. The text is formatted as printf does and cut to 767 bytes. Bytes outside
 * printable ASCII are printed as '?'. */
void say(size_t process, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
