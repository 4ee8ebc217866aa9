/* Whole files as bytes, and output files that appear only when they are complete. The path "-" is standard input or
 * standard output. */
#ifndef DTC_FILE_H
#define DTC_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "../common/error.h"

/* Reads a whole file. On success the caller frees *bytes, which is never NULL. */
bool file_read(const char *path, uint8_t **bytes, size_t *size, struct error *error);

/* An output that is being written to a temporary file. */
struct output {
    FILE *stream;     /* where to write */
    const char *path; /* as the user gave it */
    char *target;     /* the file to replace; NULL: what was written is copied to `path`, because it is a pipe,
                       * a terminal or a device */
};

/* Begins an output. On success the caller ends it by output_commit or output_discard. A signal that ends the program
 * removes the temporary file, too. Only one output can be open at a time. */
bool output_open(struct output *output, const char *path, struct error *error);

/* Writes bytes to the output. */
bool output_write(struct output *output, const void *bytes, size_t size, struct error *error);

/* Makes the output appear under its path. On failure nothing of it remains. */
bool output_commit(struct output *output, struct error *error);

/* Removes the output. */
void output_discard(struct output *output);

#endif
