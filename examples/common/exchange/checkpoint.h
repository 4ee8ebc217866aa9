/* Checkpoints: a settings text, a round number and sets of tensors in one file, which is replaced atomically. */
#ifndef EXAMPLES_CHECKPOINT_H
#define EXAMPLES_CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../error.h"
#include "../tensors.h"

/* Writes a checkpoint. The function first writes PATH.new and then renames it to PATH, so that PATH is always a whole
 * file. */
bool checkpoint_write(const char *path, const char *settings, uint64_t round, const struct tensors *const *sets,
                      size_t set_count, struct error *error);

/* Reads a checkpoint into sets of the same shapes. The function fails if the file is damaged or its settings text is
 * not `settings`; the error then names the first option that differs. On failure some sets may have been
 * overwritten. */
bool checkpoint_read(const char *path, const char *settings, uint64_t *round, struct tensors *const *sets,
                     size_t set_count, struct error *error);

#endif
