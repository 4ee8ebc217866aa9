/* The layers of a net. Values of an image are ordered by row, column and channel, the channel running fastest.
 *
 * A kind of layer is a struct layer_kind, in a file of its own, and a line in layer_kinds. The net owns the layers'
 * outputs and deltas and puts activations between them; parameters and gradients belong to the net's user.
 */
#ifndef EXAMPLES_LAYER_H
#define EXAMPLES_LAYER_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"
#include "tensors.h"

struct shape {
    size_t height, width, channels;
};

static inline size_t shape_values(struct shape shape) {
    return shape.height * shape.width * shape.channels;
}

struct layer {
    const struct layer_kind *kind;
    size_t number[2];     /* those after the kind's name in --net; 0: left out */
    struct shape in, out; /* of one sample */
    size_t weights[2];    /* rows and columns of its first tensor; its second are the biases, a row; 0: has neither */
    size_t biases;
    size_t whole[2]; /* of the first tensor, see there */
    size_t fan_in;   /* products that one output sums up, and outputs that one input goes into */
    size_t fan_out;
    size_t first_tensor;   /* of the net's, if it has any */
    bool activated;        /* whether its outputs go through the activation */
    float *output, *delta; /* batch x out: its outputs, and the loss's gradient by them */
    void *state;           /* what `start` made */
};

struct layer_kind {
    const char *name;   /* in --net; dense layers, "", are their number alone */
    const char *form;   /* an example, and what its numbers are */
    size_t least, most; /* how many numbers, joined by x */
    size_t limit[2];    /* the largest that each may be; the smallest is 1 */

    /* From `number` and `in` to the layer's shapes; the error says why it does not fit. */
    bool (*fit)(struct layer *layer, struct error *error);

    /* Working memory for up to `batch` samples, into `state`; NULL, as stop may be: needs none. */
    void (*start)(struct layer *layer, size_t batch);
    void (*stop)(struct layer *layer);

    /* From inputs (count x in) to layer->output. `parameters` are the layer's own tensors. */
    void (*forward)(struct layer *layer, const struct tensor *parameters, const float *inputs, size_t count);

    /* After forward, from layer->delta to the layer's tensors of the gradient and (unless NULL) the inputs' delta. */
    void (*backward)(struct layer *layer, const struct tensor *parameters, const float *inputs, size_t count,
                     struct tensor *gradient, float *input_delta);
};

extern const struct layer_kind layer_dense, layer_convolution, layer_pool, layer_circulant;

/* outputs (count x rows) = inputs (count x columns) times the weights (rows x columns) transposed, plus the biases. */
void affine_forward(const struct tensor *parameters, const float *inputs, size_t count, float *outputs);

/* From the loss's gradient by those outputs to that by weights and biases, which is added to `gradient` if `add` says
 * so, and last to that by the inputs, unless input_delta is NULL; it may be the inputs' own memory. */
void affine_backward(const struct tensor *parameters, const float *inputs, const float *output_delta, size_t count,
                     bool add, struct tensor *gradient, float *input_delta);

/* The sign, 1 or -1, by which a circulant layer multiplies an input: always the same for the layer's place in a net. */
float circulant_sign(const struct layer *layer, size_t input);

#endif
