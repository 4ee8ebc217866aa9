/* What the shared library for Python has beside the functions of dtcodec.h. */
#ifndef EXAMPLES_LIBDTCODEC_H
#define EXAMPLES_LIBDTCODEC_H

#include "dtcodec.h"

/* One row of the table. A struct of dtcodec.h: its name, 0, and its size in bytes. A field of a struct: its name, like
 * "dtc_spec.quant.bits", and its offset and size in bytes. An enumerator: its name, its number, and 0. */
typedef struct dtc_layout_row {
    const char *name;
    size_t offset, size;
} dtc_layout_row;

/* Returns the table of all structs, fields and enumerators that dtcodec.py uses. It has *count rows and static storage.
 * dtcodec.py compares the table with its own definitions before it calls anything else. */
extern const dtc_layout_row *dtc_layout(size_t *count);

#endif
