/* One grid for all workers: packets add exactly where they are on the same grid, so the workers agree on it first.
 *
 *     each worker      range = grid_range(&spec, its gradient, its residual, count)
 *     among them       range = the largest of theirs: 4 bytes a tensor
 *     each worker      grid_set(&spec, range), then encode
 */
#ifndef EXAMPLES_GRID_H
#define EXAMPLES_GRID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dtcodec.h"
#include "error.h"

/* Gives the spec room for sums of so many workers' packets. The error says why packets of it would not add. */
bool grid_prepare(dtc_spec *spec, uint64_t workers, struct error *error);

/* Whether packets of the spec have a grid that the spec itself does not give. */
bool grid_open(const dtc_spec *spec);

/* The seed of a tensor's packets: `shared` by the workers where packets add only then, else each worker's `own`. */
uint64_t grid_seed(const dtc_spec *spec, uint64_t shared, uint64_t own);

/* How far the grid of this tensor has to reach; `residual` may be NULL. Infinite if a value is NaN or infinite. */
float grid_range(const dtc_spec *spec, const float *values, const float *residual, size_t count);

/* Gives the spec the grid that reaches so far. */
void grid_set(dtc_spec *spec, float range);

/* Whether packets like this one are of one size whatever the values are, and have room for sums of so many. */
bool grid_fixed(const dtc_info *info, uint64_t workers);

#endif
