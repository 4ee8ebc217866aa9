/* A net as text, the value of --net: the inputs, the layers and last the classes, joined by dashes.
 *
 *   784-392-50-10                                784 inputs, two hidden dense layers, 10 classes
 *   conv5x12-pool2-conv5x32-pool2-256-10         convolution by 12 channels of 5 x 5, the maxima of 2 x 2 squares, …
 *   784-circulant392-circulant50x10-10           circulant layers, one of a single vector, one of blocks of 10
 *
 * If the first part is a plain number, it is the number of inputs. A text that begins with a named layer leaves the
 * inputs out. Every other plain number is a dense layer of so many units.
 */
#ifndef EXAMPLES_NET_PLAN_H
#define EXAMPLES_NET_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "../error.h"
#include "layer.h"

enum { NET_MAX_LAYERS = 16, NET_TEXT_BYTES = 200 };

struct layer_plan {
    const struct layer_kind *kind;
    size_t number[2];
    size_t at; /* offset of the layer in the text */
};

struct net_plan {
    char text[NET_TEXT_BYTES];
    size_t inputs;  /* values of a sample; 0: left out */
    size_t classes; /* outputs of the last layer, which is dense */
    size_t count;   /* of layers, 1 .. NET_MAX_LAYERS */
    struct layer_plan layer[NET_MAX_LAYERS];
};

/* Reads a text. On failure the error quotes the text from the place where it is wrong. */
bool net_plan_parse(const char *text, struct net_plan *plan, struct error *error);

#endif
