/* One grid for all workers. Packets add only if they are on the same grid, so that the workers agree on the grid of
 * each tensor first:
 *
 *     each worker      range = dtc_range(&spec, its gradient, its residual, count)
 *     all workers      range = the largest of their ranges; the exchange takes 4 bytes for each tensor
 *     each worker      dtc_spec_set_range(&spec, range), then encode
 */
#ifndef EXAMPLES_GRID_H
#define EXAMPLES_GRID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../error.h"
#include "dtcodec.h"

/* Makes room in the spec for sums of `workers` packets. Returns false if packets of the spec cannot be added; the error
 * says why. */
bool grid_prepare(dtc_spec *spec, uint64_t workers, struct error *error);

/* Returns whether the workers must agree on the grid: packets of this codec have one, and the spec does not give it. */
bool grid_open(const dtc_spec *spec);

/* Returns the seed of a tensor's packets: `shared`, which all workers have, if packets of the codec add only under one
 * seed; else the worker's `own`. */
uint64_t grid_seed(const dtc_spec *spec, uint64_t shared, uint64_t own);

/* Returns whether the size of such packets does not depend on the values, and there is room for sums of `workers`
 * packets. */
bool grid_fixed(const dtc_info *info, uint64_t workers);

#endif
