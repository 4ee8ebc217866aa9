/* Circulant layers (Cheng et al. 2015, Araujo et al. 2018). They are dense layers whose matrix consists of circulant
 * blocks, and one vector gives each block. The vectors are the parameters; the matrix itself is never computed. As in
 * Cheng et al., fixed random signs multiply the inputs. The signs need no parameters, and they distinguish inputs that
 * are shifted copies of each other. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dtcodec_fft.h"
#include "../memory.h"
#include "../random.h"
#include "layer.h"

struct circulant {
    dtc_circulant_layer *product;
    void *memory;  /* the memory of `product` */
    float *sign;   /* one for each input */
    float *inputs; /* batch x in: the inputs times the signs */
};

static bool fit(struct layer *layer, struct error *error) {
    size_t inputs = shape_values(layer->in), outputs = layer->number[0], block = layer->number[1];
    size_t largest = inputs > outputs ? inputs : outputs;
    struct shape out = {1, 1, outputs};
    if (block > largest)
        return set_error(error, "blocks of %zu are larger than a matrix of %zu x %zu", block, outputs, inputs);
    if (!dtc_circulant_layer_bytes(outputs, inputs, block, 1))
        return set_error(error, "a matrix of %zu x %zu is too large", outputs, inputs);
    layer->out = out;
    layer->weights[1] = block ? block : largest;
    layer->weights[0] = dtc_circulant_vector_count(outputs, inputs, block) / layer->weights[1];
    layer->biases = layer->fan_out = layer->whole[0] = outputs;
    layer->fan_in = layer->whole[1] = inputs;
    return true;
}

float circulant_sign(const struct layer *layer, size_t input) {
    return random_bits(layer->first_tensor, input) & 1 ? 1.0f : -1.0f;
}

static void must(dtc_status status) {
    if (status == DTC_OK) return;
    fprintf(stderr, "circulant layer: %s\n", dtc_status_string(status));
    exit(1);
}

static void start(struct layer *layer, size_t batch) {
    size_t inputs = shape_values(layer->in), outputs = shape_values(layer->out), block = layer->number[1];
    size_t bytes = dtc_circulant_layer_bytes(outputs, inputs, block, batch);
    struct circulant *circulant = (struct circulant *)allocate(1, sizeof *circulant);
    circulant->memory = allocate(bytes, 1);
    must(dtc_circulant_layer_open(&circulant->product, circulant->memory, bytes, outputs, inputs, block, batch));
    circulant->sign = (float *)allocate(inputs, sizeof(float));
    for (size_t i = 0; i < inputs; i++) circulant->sign[i] = circulant_sign(layer, i);
    circulant->inputs = (float *)allocate(batch * inputs, sizeof(float));
    layer->state = circulant;
}

static void stop(struct layer *layer) {
    struct circulant *circulant = (struct circulant *)layer->state;
    if (!circulant) return; /* net_start was not called */
    dtc_circulant_layer_close(circulant->product);
    free(circulant->memory);
    free(circulant->sign);
    free(circulant->inputs);
    free(circulant);
}

/* to = from times the signs, for each of `count` samples. `to` may be `from`. */
static void apply_signs(const struct layer *layer, float *to, const float *from, size_t count) {
    const float *sign = ((const struct circulant *)layer->state)->sign;
    size_t inputs = shape_values(layer->in);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < inputs; j++) to[i * inputs + j] = from[i * inputs + j] * sign[j];
}

static void forward(struct layer *layer, const struct tensor *parameters, const float *inputs, size_t count) {
    struct circulant *circulant = (struct circulant *)layer->state;
    const float *biases = parameters[1].values;
    size_t outputs = shape_values(layer->out);
    apply_signs(layer, circulant->inputs, inputs, count);
    must(dtc_circulant_layer_load(circulant->product, parameters[0].values));
    must(dtc_circulant_forward(circulant->product, layer->output, circulant->inputs, count));
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < outputs; j++) layer->output[i * outputs + j] += biases[j];
}

/* The parameters and inputs are not used: `forward` left the vectors and the signed inputs in the state. */
static void backward(struct layer *layer, const struct tensor *parameters, const float *inputs, size_t count,
                     struct tensor *gradient, float *input_delta) {
    (void)parameters, (void)inputs;
    struct circulant *circulant = (struct circulant *)layer->state;
    float *biases = gradient[1].values;
    size_t outputs = shape_values(layer->out);
    must(
        dtc_circulant_backward_vectors(circulant->product, gradient[0].values, circulant->inputs, layer->delta, count));
    memset(biases, 0, outputs * sizeof(float));
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < outputs; j++) biases[j] += layer->delta[i * outputs + j];
    if (!input_delta) return;
    must(dtc_circulant_backward_inputs(circulant->product, input_delta, layer->delta, count));
    apply_signs(layer, input_delta, input_delta, count);
}

static const char form[] =
    "circulant512, or circulant512x64 with blocks of 64: number of units and size of the blocks, 1 to 65536 each";

const struct layer_kind layer_circulant = {"circulant", form,  1,    2,       {65536, 65536},
                                           fit,         start, stop, forward, backward};
