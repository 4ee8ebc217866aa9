/* Errors as text. A function that can fail returns false and writes one sentence to a struct error. The sentence says
 * what is wrong, where it is wrong and what the user can do.
 *
 * The files in examples/common itself (errors, log, memory, clock, random numbers, little-endian numbers, tensors, the
 * settings text, the compiled library) serve all folders below. A folder includes only files of its own, of
 * examples/common and of lower folders. The order, from the lowest, is: net and transport, which do not include each
 * other; then exchange; then the programs in examples/.
 */
#ifndef EXAMPLES_ERROR_H
#define EXAMPLES_ERROR_H

#include <stdbool.h>

struct error {
    char text[512];
};

#ifdef __GNUC__
#define PRINTF_LIKE(format_at, arguments_at) __attribute__((format(printf, format_at, arguments_at)))
#else
#define PRINTF_LIKE(format_at, arguments_at)
#endif

/* Formats the sentence as printf does and cuts it to the size of the text. The function always returns false, so that
 * a caller can write `return set_error(error, ...)`. */
bool set_error(struct error *error, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
