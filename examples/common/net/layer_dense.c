/* Dense layers. Every output is a weighted sum of all inputs, plus a bias. */
#include <cblas.h>
#include <string.h>

#include "layer.h"

/* c (m x n) = a b + beta c, where a is m x k and b is k x n after the given transpositions. All matrices are row-major
 * without gaps. */
static void multiply(CBLAS_TRANSPOSE transpose_a, CBLAS_TRANSPOSE transpose_b, size_t m, size_t n, size_t k,
                     const float *a, const float *b, float beta, float *c) {
    size_t a_columns = transpose_a == CblasTrans ? m : k, b_columns = transpose_b == CblasTrans ? k : n;
    cblas_sgemm(CblasRowMajor, transpose_a, transpose_b, (int)m, (int)n, (int)k, 1.0f, a, (int)a_columns, b,
                (int)b_columns, beta, c, (int)n);
}

void affine_forward(const struct tensor *parameters, const float *inputs, size_t count, float *outputs) {
    const struct tensor *weights = &parameters[0], *biases = &parameters[1];
    for (size_t i = 0; i < count; i++)
        memcpy(outputs + i * weights->rows, biases->values, weights->rows * sizeof(float));
    multiply(CblasNoTrans, CblasTrans, count, weights->rows, weights->columns, inputs, weights->values, 1.0f, outputs);
}

void affine_backward(const struct tensor *parameters, const float *inputs, const float *output_delta, size_t count,
                     bool add, struct tensor *gradient, float *input_delta) {
    size_t outputs = parameters[0].rows, columns = parameters[0].columns;
    float *biases = gradient[1].values;
    multiply(CblasTrans, CblasNoTrans, outputs, columns, count, output_delta, inputs, add ? 1.0f : 0.0f,
             gradient[0].values);
    if (!add) memset(biases, 0, outputs * sizeof(float));
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < outputs; j++) biases[j] += output_delta[i * outputs + j];
    if (input_delta)
        multiply(CblasNoTrans, CblasNoTrans, count, columns, outputs, output_delta, parameters[0].values, 0.0f,
                 input_delta);
}

static bool fit(struct layer *layer, struct error *error) {
    (void)error;
    size_t inputs = shape_values(layer->in), outputs = layer->number[0];
    struct shape out = {1, 1, outputs};
    layer->out = out;
    layer->weights[0] = layer->biases = layer->fan_out = outputs;
    layer->weights[1] = layer->fan_in = inputs;
    return true;
}

static void forward(struct layer *layer, const struct tensor *parameters, const float *inputs, size_t count) {
    affine_forward(parameters, inputs, count, layer->output);
}

static void backward(struct layer *layer, const struct tensor *parameters, const float *inputs, size_t count,
                     struct tensor *gradient, float *input_delta) {
    affine_backward(parameters, inputs, layer->delta, count, false, gradient, input_delta);
}

static const char form[] = "50: number of units, 1 to 65536";

const struct layer_kind layer_dense = {"", form, 1, 1, {65536, 0}, fit, NULL, NULL, forward, backward};
