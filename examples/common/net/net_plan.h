/* A net as text, what --net says: the inputs, the layers and last the classes, joined by dashes.
 *
 *   784-392-50-10                                784 inputs, two hidden dense layers, 10 classes
 *   conv5x12-pool2-conv5x32-pool2-256-10         convolution by 12 channels of 5 x 5, the maxima of 2 x 2 squares, …
 *   784-circulant392-circulant50x10-10           circulant layers, of one vector or of blocks of 10
 *
 * A first number is that of the inputs, and may be left out before a named layer; all other numbers are dense layers.
 */
#ifndef EXAMPLES_NET_PLAN_H
#define EXAMPLES_NET_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"
#include "layer.h"

enum { NET_MAX_LAYERS = 16, NET_TEXT_BYTES = 200 };

struct layer_plan {
    const struct layer_kind *kind;
    size_t number[2];
    size_t at; /* where in the text it is */
};

struct net_plan {
    char text[NET_TEXT_BYTES];
    size_t inputs;  /* values of a sample; 0: left out */
    size_t classes; /* outputs of the last layer, which is dense */
    size_t count;   /* 1 .. NET_MAX_LAYERS */
    struct layer_plan layer[NET_MAX_LAYERS];
};

/* Errors point at what is wrong in the text. */
bool net_plan_parse(const char *text, struct net_plan *plan, struct error *error);

#endif
