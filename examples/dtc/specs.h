/* Codecs as the user names them, and what a tensor adds to them. */
#ifndef DTC_SPECS_H
#define DTC_SPECS_H

#include <stdbool.h>
#include <stddef.h>

#include "../common/error.h"
#include "dtcodec.h"

enum { SPEC_TEXT_BYTES = 256 }; /* enough for the text of any spec */

struct specs {
    size_t count;
    dtc_spec *spec;
};

/* Reads one spec from text. */
bool spec_parse(const char *text, dtc_spec *spec, struct error *error);

/* Reads a list of specs that are separated by blanks or semicolons; NULL: the usual ones. The caller frees
 * specs->spec. */
bool specs_parse(const char *list, struct specs *specs, struct error *error);

/* Returns the spec of tensor `number` of a file, which has so many rows: the rows, unless the spec has rows of its own,
 * and a seed that no other tensor has. */
dtc_spec spec_of_tensor(const dtc_spec *spec, size_t rows, size_t number);

#endif
