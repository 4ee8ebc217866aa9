/* The plot of dtc compare. */
#ifndef DTC_PLOT_H
#define DTC_PLOT_H

#include <stdbool.h>
#include <stddef.h>

#include "../common/error.h"
#include "measure.h"

/* Draws the errors against the bits as an SVG file, by the program gnuplot. On failure no file remains. */
bool plot_draw(const char *path, const struct measurement *rows, size_t count, struct error *error);

#endif
