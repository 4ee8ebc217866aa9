/* Convolution layers, without padding, at every position. One dense layer is applied to each square patch of the
 * image. */
#include <stdlib.h>
#include <string.h>

#include "../memory.h"
#include "layer.h"

/* Most values of the patch matrix, which must stay in the cache. */
enum { PATCH_VALUES = 1 << 18 };

static bool fit(struct layer *layer, struct error *error) {
    size_t side = layer->number[0], channels = layer->number[1];
    if (side > layer->in.height || side > layer->in.width)
        return set_error(error, "a patch of %zu x %zu does not fit into %zu x %zu", side, side, layer->in.height,
                         layer->in.width);
    struct shape out = {layer->in.height - side + 1, layer->in.width - side + 1, channels};
    layer->out = out;
    layer->weights[0] = layer->biases = channels;
    layer->weights[1] = layer->fan_in = side * side * layer->in.channels;
    layer->fan_out = side * side * channels;
    return true;
}

static size_t positions(const struct layer *layer) {
    return layer->out.height * layer->out.width;
}

/* Number of samples that share one patch matrix. */
static size_t samples_at_once(const struct layer *layer) {
    size_t samples = PATCH_VALUES / (positions(layer) * layer->weights[1]);
    return samples ? samples : 1;
}

static void start(struct layer *layer, size_t batch) {
    size_t samples = samples_at_once(layer);
    layer->state = allocate((samples < batch ? samples : batch) * positions(layer) * layer->weights[1], sizeof(float));
}

static void stop(struct layer *layer) {
    free(layer->state);
}

/* Copies each patch of one image to one row of the patch matrix. */
static void lay_out(const struct layer *layer, const float *image, float *patches) {
    size_t side = layer->number[0], line = layer->in.width * layer->in.channels, run = side * layer->in.channels;
    for (size_t y = 0; y < layer->out.height; y++)
        for (size_t x = 0; x < layer->out.width; x++)
            for (size_t i = 0; i < side; i++, patches += run)
                memcpy(patches, image + (y + i) * line + x * layer->in.channels, run * sizeof(float));
}

/* Adds each row of the patch matrix to the patch of the image that lay_out copies it from. This is the transpose of
 * lay_out. */
static void add_up(const struct layer *layer, const float *patches, float *image) {
    size_t side = layer->number[0], line = layer->in.width * layer->in.channels, run = side * layer->in.channels;
    for (size_t y = 0; y < layer->out.height; y++)
        for (size_t x = 0; x < layer->out.width; x++)
            for (size_t i = 0; i < side; i++, patches += run) {
                float *to = image + (y + i) * line + x * layer->in.channels;
                for (size_t j = 0; j < run; j++) to[j] += patches[j];
            }
}

static void lay_out_all(const struct layer *layer, const float *images, size_t count) {
    float *patches = (float *)layer->state;
    for (size_t i = 0; i < count; i++)
        lay_out(layer, images + i * shape_values(layer->in), patches + i * positions(layer) * layer->weights[1]);
}

static void forward(struct layer *layer, const struct tensor *parameters, const float *inputs, size_t count) {
    size_t in = shape_values(layer->in), out = shape_values(layer->out), step = samples_at_once(layer);
    for (size_t first = 0; first < count; first += step) {
        size_t samples = count - first < step ? count - first : step;
        lay_out_all(layer, inputs + first * in, samples);
        affine_forward(parameters, (float *)layer->state, samples * positions(layer), layer->output + first * out);
    }
}

static void backward(struct layer *layer, const struct tensor *parameters, const float *inputs, size_t count,
                     struct tensor *gradient, float *input_delta) {
    size_t in = shape_values(layer->in), out = shape_values(layer->out), step = samples_at_once(layer);
    float *patches = (float *)layer->state;
    if (input_delta) memset(input_delta, 0, count * in * sizeof(float));
    for (size_t first = 0; first < count; first += step) {
        size_t samples = count - first < step ? count - first : step;
        lay_out_all(layer, inputs + first * in, samples);
        affine_backward(parameters, patches, layer->delta + first * out, samples * positions(layer), first > 0,
                        gradient, input_delta ? patches : NULL);
        for (size_t i = 0; input_delta && i < samples; i++)
            add_up(layer, patches + i * positions(layer) * layer->weights[1], input_delta + (first + i) * in);
    }
}

static const char form[] = "conv5x12: side of the patches, 1 to 256, and number of channels, 1 to 65536";

const struct layer_kind layer_convolution = {"conv", form, 2, 2, {256, 65536}, fit, start, stop, forward, backward};
