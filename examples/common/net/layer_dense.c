/* Dense layers. Every output is a weighted sum of all inputs, plus a bias. */
#include <cblas.h>
#include <string.h>

#include "layer.h"

/* A factor of a product: a row-major matrix without gaps, which may be taken transposed. */
struct matrix {
    const float *values; /* rows x columns */
    size_t rows, columns;
    CBLAS_TRANSPOSE transpose;
};

/* c = a b + beta c, where a and b are transposed first if they say so. */
static void multiply(struct matrix a, struct matrix b, float beta, float *c) {
    size_t m = a.transpose == CblasTrans ? a.columns : a.rows, k = a.transpose == CblasTrans ? a.rows : a.columns;
    size_t n = b.transpose == CblasTrans ? b.rows : b.columns;
    cblas_sgemm(CblasRowMajor, a.transpose, b.transpose, (int)m, (int)n, (int)k, 1.0f, a.values, (int)a.columns,
                b.values, (int)b.columns, beta, c, (int)n);
}

void affine_forward(const struct tensor *parameters, const float *inputs, size_t count, float *outputs) {
    const struct tensor *weights = &parameters[0], *biases = &parameters[1];
    for (size_t i = 0; i < count; i++)
        memcpy(outputs + i * weights->rows, biases->values, weights->rows * sizeof(float));
    const struct matrix in = {inputs, count, weights->columns, CblasNoTrans};
    const struct matrix by = {weights->values, weights->rows, weights->columns, CblasTrans};
    multiply(in, by, 1.0f, outputs);
}

void affine_backward(const struct tensor *parameters, const float *inputs, const float *output_delta, size_t count,
                     bool add, struct tensor *gradient, float *input_delta) {
    size_t outputs = parameters[0].rows, columns = parameters[0].columns;
    float *biases = gradient[1].values;
    const struct matrix in = {inputs, count, columns, CblasNoTrans};
    const struct matrix weights = {parameters[0].values, outputs, columns, CblasNoTrans};
    struct matrix delta = {output_delta, count, outputs, CblasTrans};
    multiply(delta, in, add ? 1.0f : 0.0f, gradient[0].values);
    if (!add) memset(biases, 0, outputs * sizeof(float));
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < outputs; j++) biases[j] += output_delta[i * outputs + j];
    delta.transpose = CblasNoTrans;
    if (input_delta) multiply(delta, weights, 0.0f, input_delta);
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
