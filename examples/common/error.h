/* Errors as text, and memory: what every example uses.
 *
 * A function that can fail returns false and leaves one sentence in a struct error: what was wrong, where, what to do.
 */
#ifndef EXAMPLES_ERROR_H
#define EXAMPLES_ERROR_H

#include <stdbool.h>
#include <stddef.h>

struct error {
    char text[512];
};

#ifdef __GNUC__
#define PRINTF_LIKE(format_at, arguments_at) __attribute__((format(printf, format_at, arguments_at)))
#else
#define PRINTF_LIKE(format_at, arguments_at)
#endif

/* Formats the sentence; always false, so that a function can `return set_error(error, ...)`. */
bool set_error(struct error *error, const char *format, ...) PRINTF_LIKE(2, 3);

/* Prints a line on standard error, headed by who says it: worker 1, 2, … or, for 0, the server. say_kind gives them
 * other names than "worker" and "server", as literals. */
void say_kind(const char *numbered, const char *zero);
void say(size_t worker, const char *format, ...) PRINTF_LIKE(2, 3);

/* count * size zeroed bytes, to be freed by the caller. Never NULL: without memory the program ends with a message. */
void *allocate(size_t count, size_t size);

#endif
