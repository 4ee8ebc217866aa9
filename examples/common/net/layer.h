/* The layers of a net. The values of an image are ordered by row, column and channel; the channel changes fastest.
 *
 * A kind of layer is a struct layer_kind, defined in a file of its own and listed in net_plan.c. The net owns the
 * outputs and deltas of the layers and applies the activations. The user of the net owns parameters and gradients.
 */
#ifndef EXAMPLES_LAYER_H
#define EXAMPLES_LAYER_H

#include <stdbool.h>
#include <stddef.h>

#include "../error.h"
#include "../tensors.h"

struct shape {
    size_t height, width, channels;
};

static inline size_t shape_values(struct shape shape) {
    return shape.height * shape.width * shape.channels;
}

struct layer {
    const struct layer_kind *kind;
    size_t number[2];      /* the numbers after the kind's name in --net; 0: left out */
    struct shape in, out;  /* of one sample */
    size_t weights[2];     /* rows and columns of the first tensor; 0, 0: the layer has no tensors */
    size_t biases;         /* columns of the second tensor, which has one row */
    size_t whole[2];       /* `whole` of the first tensor */
    size_t fan_in;         /* products in the sum of one output */
    size_t fan_out;        /* outputs that depend on one input */
    size_t first_tensor;   /* number of the layer's first tensor among those of the net */
    bool activated;        /* whether the activation is applied to the outputs */
    float *output, *delta; /* batch x out: the outputs, and the gradient of the loss by them */
    void *state;           /* working memory, which `start` allocates */
};

struct layer_kind {
    const char *name;   /* in --net; the name of dense layers is "", so that they are a number alone */
    const char *form;   /* an example, and the meaning and range of its numbers */
    size_t least, most; /* how many numbers the layer takes; they are joined by x */
    size_t limit[2];    /* largest value of each number; the smallest is 1 */

    /* Sets the layer's shapes from `number` and `in`. On failure the error says why the layer does not fit. */
    bool (*fit)(struct layer *layer, struct error *error);

    /* `start` allocates working memory for up to `batch` samples and stores it in `state`; `stop` frees it. Both are
     * NULL if the layer needs none. */
    void (*start)(struct layer *layer, size_t batch);
    void (*stop)(struct layer *layer);

    /* Computes layer->output from `inputs` (count x in). `parameters` are the layer's own two tensors. */
    void (*forward)(struct layer *layer, const struct tensor *parameters, const float *inputs, size_t count);

    /* Computes the layer's two tensors of the gradient from layer->delta, after `forward` with the same arguments. If
     * input_delta is not NULL, the function also writes the gradient of the loss by the inputs (count x in) to it. */
    void (*backward)(struct layer *layer, const struct tensor *parameters, const float *inputs, size_t count,
                     struct tensor *gradient, float *input_delta);
};

extern const struct layer_kind layer_dense, layer_convolution, layer_pool, layer_circulant;

/* Computes outputs (count x rows) = inputs (count x columns) * transposed weights (rows x columns) + biases. */
void affine_forward(const struct tensor *parameters, const float *inputs, size_t count, float *outputs);

/* Computes the gradients that belong to affine_forward, from the loss's gradient by the outputs (count x rows). The
 * gradient by weights and biases is written to `gradient`, or added to it if `add` is true. Then, if input_delta is not
 * NULL, the gradient by the inputs (count x columns) is written to it. input_delta may be the memory of `inputs`. */
void affine_backward(const struct tensor *parameters, const float *inputs, const float *output_delta, size_t count,
                     bool add, struct tensor *gradient, float *input_delta);

/* Returns the sign, 1 or -1, by which a circulant layer multiplies input number `input`. It depends only on `input` and
 * on layer->first_tensor. */
float circulant_sign(const struct layer *layer, size_t input);

#endif
