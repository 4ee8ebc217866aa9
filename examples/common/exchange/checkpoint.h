/* Checkpoints: a settings text, a round number and sets of tensors in one file, replaced atomically. */
#ifndef EXAMPLES_CHECKPOINT_H
#define EXAMPLES_CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "tensors.h"

/* Writes the file anew: first beside it, then renamed over it, so that there is always a whole one. */
bool checkpoint_write(const char *path, const char *settings, uint64_t round, const struct tensors *const *sets,
                      size_t set_count, struct error *error);

/* Reads it back into sets of the same shapes. Refuses a file that is damaged, or of other settings than these (texts of
 * options_shared_text; the error says which differs). On failure part of the sets may have been overwritten. */
bool checkpoint_read(const char *path, const char *settings, uint64_t *round, struct tensors *const *sets,
                     size_t set_count, struct error *error);

#endif
