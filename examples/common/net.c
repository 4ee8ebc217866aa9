#include "net.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "random.h"

/* c (m x n) = a b + beta c, all row-major without gaps; a or b taken transposed. */
static void multiply(CBLAS_TRANSPOSE transpose_a, CBLAS_TRANSPOSE transpose_b, size_t m, size_t n, size_t k,
                     const float *a, const float *b, float beta, float *c) {
    size_t a_columns = transpose_a == CblasTrans ? m : k, b_columns = transpose_b == CblasTrans ? k : n;
    cblas_sgemm(CblasRowMajor, transpose_a, transpose_b, (int)m, (int)n, (int)k, 1.0f, a, (int)a_columns, b,
                (int)b_columns, beta, c, (int)n);
}

struct net net_create(const struct net_widths *widths, enum activation activation, size_t batch) {
    struct net net;
    memset(&net, 0, sizeof net);
    net.widths = *widths;
    net.activation = activation;
    net.batch = batch;
    for (size_t l = 1; l < widths->count; l++) {
        net.output[l] = (float *)allocate(batch * widths->width[l], sizeof(float));
        net.delta[l] = (float *)allocate(batch * widths->width[l], sizeof(float));
    }
    openblas_set_num_threads(1); /* the workers of one machine share its cores already */
    return net;
}

void net_free(struct net *net) {
    for (size_t l = 1; l < net->widths.count; l++) {
        free(net->output[l]);
        free(net->delta[l]);
    }
    memset(net, 0, sizeof *net);
}

struct tensors net_parameters(const struct net *net, uint64_t seed) {
    const size_t *width = net->widths.width;
    size_t layers = net->widths.count - 1, shapes[2 * NET_MAX_WIDTHS][2];
    for (size_t l = 0; l < layers; l++) {
        shapes[2 * l][0] = width[l + 1];
        shapes[2 * l][1] = width[l];
        shapes[2 * l + 1][0] = 1;
        shapes[2 * l + 1][1] = width[l + 1];
    }
    struct tensors parameters = tensors_create((const size_t(*)[2])shapes, 2 * layers);
    for (size_t l = 0; l < layers; l++) {
        struct tensor *weights = &parameters.tensor[2 * l];
        double inputs = (double)width[l], outputs = (double)width[l + 1];
        double reach = net->activation == ACTIVATION_RELU ? sqrt(6.0 / inputs) : sqrt(6.0 / (inputs + outputs));
        for (size_t i = 0; i < weights->rows * weights->columns; i++)
            weights->values[i] = (float)(reach * (2.0 * random_unit(random_bits(seed, l), i) - 1.0));
    }
    return parameters;
}

static void dense_forward(const struct tensor *weights, const struct tensor *biases, const float *inputs, size_t count,
                          float *outputs) {
    for (size_t i = 0; i < count; i++)
        memcpy(outputs + i * weights->rows, biases->values, weights->rows * sizeof(float));
    multiply(CblasNoTrans, CblasTrans, count, weights->rows, weights->columns, inputs, weights->values, 1.0f, outputs);
}

/* From the loss's gradient by the layer's outputs to that by its weights, biases and (unless NULL) inputs. */
static void dense_backward(const struct tensor *weights, const float *inputs, const float *output_delta, size_t count,
                           struct tensor *weight_gradient, struct tensor *bias_gradient, float *input_delta) {
    size_t outputs = weights->rows;
    multiply(CblasTrans, CblasNoTrans, outputs, weights->columns, count, output_delta, inputs, 0.0f,
             weight_gradient->values);
    memset(bias_gradient->values, 0, outputs * sizeof(float));
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < outputs; j++) bias_gradient->values[j] += output_delta[i * outputs + j];
    if (input_delta)
        multiply(CblasNoTrans, CblasNoTrans, count, weights->columns, outputs, output_delta, weights->values, 0.0f,
                 input_delta);
}

static void activate(enum activation activation, float *values, size_t count) {
    for (size_t i = 0; i < count; i++)
        values[i] = activation == ACTIVATION_TANH ? tanhf(values[i]) : values[i] > 0.0f ? values[i] : 0.0f;
}

/* delta *= derivative of the activation, told from its output. */
static void activate_backward(enum activation activation, const float *outputs, float *delta, size_t count) {
    for (size_t i = 0; i < count; i++)
        delta[i] *= activation == ACTIVATION_TANH ? 1.0f - outputs[i] * outputs[i] : outputs[i] > 0.0f ? 1.0f : 0.0f;
}

/* Leaves the logits in the last output. */
static void forward(struct net *net, const struct tensors *parameters, const float *inputs, size_t count) {
    size_t last = net->widths.count - 1;
    for (size_t l = 1; l <= last; l++) {
        const struct tensor *layer = &parameters->tensor[2 * (l - 1)];
        dense_forward(&layer[0], &layer[1], l == 1 ? inputs : net->output[l - 1], count, net->output[l]);
        if (l < last) activate(net->activation, net->output[l], count * net->widths.width[l]);
    }
}

/* Mean cross-entropy of softmax(logits) against the labels, and its gradient by the logits. */
static double softmax_loss(const float *logits, const uint8_t *labels, size_t count, size_t classes, float *delta) {
    double loss = 0.0;
    for (size_t i = 0; i < count; i++, logits += classes, delta += classes) {
        float most = logits[0];
        for (size_t c = 1; c < classes; c++) most = fmaxf(most, logits[c]);
        double sum = 0.0;
        for (size_t c = 0; c < classes; c++) sum += exp((double)(logits[c] - most));
        loss += log(sum) - (double)(logits[labels[i]] - most);
        for (size_t c = 0; c < classes; c++) {
            double probability = exp((double)(logits[c] - most)) / sum;
            delta[c] = (float)((probability - (c == labels[i] ? 1.0 : 0.0)) / (double)count);
        }
    }
    return loss / (double)count;
}

double net_gradient(struct net *net, const struct tensors *parameters, const float *inputs, const uint8_t *labels,
                    size_t count, struct tensors *gradient) {
    size_t last = net->widths.count - 1;
    const size_t *width = net->widths.width;
    net->inputs = inputs;
    net->count = count;
    forward(net, parameters, inputs, count);
    double loss = softmax_loss(net->output[last], labels, count, width[last], net->delta[last]);
    for (size_t l = last; l >= 1; l--) {
        struct tensor *layer = &gradient->tensor[2 * (l - 1)];
        dense_backward(&parameters->tensor[2 * (l - 1)], l == 1 ? inputs : net->output[l - 1], net->delta[l], count,
                       &layer[0], &layer[1], l == 1 ? NULL : net->delta[l - 1]);
        if (l > 1) activate_backward(net->activation, net->output[l - 1], net->delta[l - 1], count * width[l - 1]);
    }
    return loss;
}

struct net_factors net_factors(const struct net *net, size_t index) {
    struct net_factors factors = {0, NULL, NULL};
    size_t l = index / 2;
    if (index % 2 || l + 1 >= net->widths.count) return factors;
    factors.rank = net->count;
    factors.u = net->delta[l + 1];
    factors.v = l == 0 ? net->inputs : net->output[l];
    return factors;
}

size_t net_correct(struct net *net, const struct tensors *parameters, const float *inputs, const uint8_t *labels,
                   size_t count) {
    size_t last = net->widths.count - 1, classes = net->widths.width[last], correct = 0;
    forward(net, parameters, inputs, count);
    for (size_t i = 0; i < count; i++) {
        const float *logits = net->output[last] + i * classes;
        size_t best = 0;
        for (size_t c = 1; c < classes; c++)
            if (logits[c] > logits[best]) best = c;
        correct += best == labels[i];
    }
    return correct;
}

void sgd_step(struct tensors *parameters, struct tensors *velocity, const struct tensors *gradient, float rate,
              float momentum) {
    for (size_t i = 0; i < parameters->values; i++) {
        velocity->all[i] = momentum * velocity->all[i] + gradient->all[i];
        parameters->all[i] -= rate * velocity->all[i];
    }
}
