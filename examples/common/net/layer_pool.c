/* Max pooling layers. An output is the largest value of a square of the image, for each channel. The squares do not
 * overlap. Rows and columns at the end that fill no square are dropped. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../memory.h"
#include "layer.h"

static bool fit(struct layer *layer, struct error *error) {
    size_t side = layer->number[0];
    struct shape out = {layer->in.height / side, layer->in.width / side, layer->in.channels};
    layer->out = out;
    return shape_values(out) || set_error(error, "a square of %zu x %zu does not fit into %zu x %zu", side, side,
                                          layer->in.height, layer->in.width);
}

/* For each output the state holds the offset of its value from the first corner of the square. The offset is as wide as
 * a float, so that the compiler can vectorize the comparison. */
static void start(struct layer *layer, size_t batch) {
    layer->state = allocate(batch * shape_values(layer->out), sizeof(uint32_t));
}

static void stop(struct layer *layer) {
    free(layer->state);
}

static void forward(struct layer *layer, const struct tensor *parameters, const float *inputs, size_t count) {
    (void)parameters;
    size_t side = layer->number[0], channels = layer->in.channels, line = layer->in.width * channels;
    float *output = layer->output;
    uint32_t *place = (uint32_t *)layer->state;
    for (size_t n = 0; n < count; n++, inputs += shape_values(layer->in))
        for (size_t y = 0; y < layer->out.height; y++)
            for (size_t x = 0; x < layer->out.width; x++, output += channels, place += channels) {
                const float *corner = inputs + y * side * line + x * side * channels;
                memcpy(output, corner, channels * sizeof(float));
                memset(place, 0, channels * sizeof *place);
                for (size_t i = 1; i < side * side; i++) {
                    uint32_t offset = (uint32_t)(i / side * line + i % side * channels);
                    const float *value = corner + offset;
                    for (size_t c = 0; c < channels; c++) {
                        /* a mask, because compilers do not vectorize a conditional assignment here */
                        uint32_t larger = 0u - (uint32_t)(value[c] > output[c]);
                        place[c] = (offset & larger) | (place[c] & ~larger);
                        output[c] = value[c] > output[c] ? value[c] : output[c];
                    }
                }
            }
}

static void backward(struct layer *layer, const struct tensor *parameters, const float *inputs, size_t count,
                     struct tensor *gradient, float *input_delta) {
    (void)parameters, (void)inputs, (void)gradient;
    if (!input_delta) return;
    size_t side = layer->number[0], channels = layer->in.channels, line = layer->in.width * channels;
    const float *delta = layer->delta;
    const uint32_t *place = (const uint32_t *)layer->state;
    memset(input_delta, 0, count * shape_values(layer->in) * sizeof(float));
    for (size_t n = 0; n < count; n++, input_delta += shape_values(layer->in))
        for (size_t y = 0; y < layer->out.height; y++)
            for (size_t x = 0; x < layer->out.width; x++) {
                float *corner = input_delta + y * side * line + x * side * channels;
                for (size_t c = 0; c < channels; c++, delta++, place++) corner[*place + c] = *delta;
            }
}

static const char form[] = "pool2: side of the squares, 1 to 16";

const struct layer_kind layer_pool = {"pool", form, 1, 1, {16, 0}, fit, start, stop, forward, backward};
