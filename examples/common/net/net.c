#include "net.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../memory.h"
#include "../random.h"

/* Decides which layers are activated. The activation of a layer below a pool is applied after the pool: activations are
 * monotonic, so the maxima are the same, and a pool has fewer outputs. */
static void place_activations(struct net *net) {
    bool linear = false; /* whether weights were applied since the last activation */
    for (size_t l = 0; l + 1 < net->count; l++) {
        linear |= net->layer[l].biases > 0;
        net->layer[l].activated = linear && net->layer[l + 1].kind != &layer_pool;
        if (net->layer[l].activated) linear = false;
    }
}

bool net_fit(struct net *net, const struct net_plan *plan, struct shape sample, enum activation activation,
             struct error *error) {
    size_t tensors = 0;
    memset(net, 0, sizeof *net);
    net->activation = activation;
    if (plan->inputs && plan->inputs != shape_values(sample))
        return set_error(error, "%zu inputs, but a sample has %zu x %zu x %zu values", plan->inputs, sample.height,
                         sample.width, sample.channels);
    for (size_t l = 0; l < plan->count; l++) {
        struct layer *layer = &net->layer[net->count++];
        struct error why;
        layer->kind = plan->layer[l].kind;
        memcpy(layer->number, plan->layer[l].number, sizeof layer->number);
        layer->in = l == 0 ? sample : net->layer[l - 1].out;
        if (!layer->kind->fit(layer, &why))
            return set_error(error, "at \"%s\": %.300s", plan->text + plan->layer[l].at, why.text);
        layer->first_tensor = tensors;
        if (layer->biases) tensors += 2;
    }
    place_activations(net);
    return true;
}

void net_start(struct net *net, size_t batch) {
    net->batch = batch;
    for (size_t l = 0; l < net->count; l++) {
        struct layer *layer = &net->layer[l];
        layer->output = (float *)allocate(batch * shape_values(layer->out), sizeof(float));
        layer->delta = (float *)allocate(batch * shape_values(layer->out), sizeof(float));
        if (layer->kind->start) layer->kind->start(layer, batch);
    }
    openblas_set_num_threads(1); /* all workers of a machine already share its cores */
}

void net_free(struct net *net) {
    for (size_t l = 0; l < net->count; l++) {
        struct layer *layer = &net->layer[l];
        free(layer->output);
        free(layer->delta);
        if (layer->kind->stop) layer->kind->stop(layer);
    }
    memset(net, 0, sizeof *net);
}

struct tensors net_parameters(const struct net *net, uint64_t seed) {
    size_t shapes[2 * NET_MAX_LAYERS][2], count = 0;
    for (size_t l = 0; l < net->count; l++) {
        const struct layer *layer = &net->layer[l];
        if (!layer->biases) continue;
        memcpy(shapes[count++], layer->weights, sizeof layer->weights);
        shapes[count][0] = 1;
        shapes[count++][1] = layer->biases;
    }
    struct tensors parameters = tensors_create((const size_t(*)[2])shapes, count);
    for (size_t l = 0; l < net->count; l++) {
        const struct layer *layer = &net->layer[l];
        if (!layer->biases) continue;
        struct tensor *weights = &parameters.tensor[layer->first_tensor];
        memcpy(weights->whole, layer->whole, sizeof layer->whole);
        double inputs = (double)layer->fan_in, outputs = (double)layer->fan_out;
        double reach = net->activation == ACTIVATION_RELU ? sqrt(6.0 / inputs) : sqrt(6.0 / (inputs + outputs));
        for (size_t i = 0; i < weights->rows * weights->columns; i++)
            weights->values[i] = (float)(reach * (2.0 * random_unit(random_bits(seed, l), i) - 1.0));
    }
    return parameters;
}

static void activate(enum activation activation, float *values, size_t count) {
    for (size_t i = 0; i < count; i++)
        values[i] = activation == ACTIVATION_TANH ? tanhf(values[i]) : values[i] > 0.0f ? values[i] : 0.0f;
}

/* delta *= the derivative of the activation, which its outputs determine. */
static void activate_backward(enum activation activation, const float *outputs, float *delta, size_t count) {
    for (size_t i = 0; i < count; i++)
        delta[i] *= activation == ACTIVATION_TANH ? 1.0f - outputs[i] * outputs[i] : outputs[i] > 0.0f ? 1.0f : 0.0f;
}

/* Computes all layers and returns the last one. Its output holds the logits, count x classes. */
static const struct layer *forward(struct net *net, const struct tensors *parameters, const float *inputs,
                                   size_t count) {
    struct layer *layer = NULL;
    for (size_t l = 0; l < net->count; l++) {
        layer = &net->layer[l];
        layer->kind->forward(layer, &parameters->tensor[layer->first_tensor], inputs, count);
        if (layer->activated) activate(net->activation, layer->output, count * shape_values(layer->out));
        inputs = layer->output;
    }
    return layer;
}

/* Returns the mean cross-entropy of softmax(logits) and the labels, and writes its gradient by the logits to delta. */
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
    net->inputs = inputs;
    net->samples = count;
    const struct layer *last = forward(net, parameters, inputs, count);
    double loss = softmax_loss(last->output, labels, count, shape_values(last->out), last->delta);
    for (size_t l = net->count; l-- > 0;) {
        struct layer *layer = &net->layer[l], *below = l > 0 ? layer - 1 : NULL;
        size_t t = layer->first_tensor;
        if (layer->activated)
            activate_backward(net->activation, layer->output, layer->delta, count * shape_values(layer->out));
        layer->kind->backward(layer, &parameters->tensor[t], below ? below->output : inputs, count,
                              &gradient->tensor[t], below ? below->delta : NULL);
        if (net->ready && layer->biases) net->ready(net->ready_context, t);
    }
    return loss;
}

struct factors net_factors(const struct net *net, size_t index) {
    struct factors factors = {0, NULL, NULL};
    for (size_t l = 0; l < net->count; l++) {
        const struct layer *layer = &net->layer[l];
        if (layer->kind != &layer_dense || layer->first_tensor != index) continue;
        factors.rank = net->samples;
        factors.u = layer->delta;
        factors.v = l > 0 ? net->layer[l - 1].output : net->inputs;
    }
    return factors;
}

size_t net_correct(struct net *net, const struct tensors *parameters, const float *inputs, const uint8_t *labels,
                   size_t count) {
    const struct layer *last = forward(net, parameters, inputs, count);
    size_t classes = shape_values(last->out), correct = 0;
    for (size_t i = 0; i < count; i++) {
        const float *logits = last->output + i * classes;
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

void sgd_shrink(struct tensors *parameters, float amount) {
    for (size_t t = 0; t < parameters->count; t += 2) { /* the tensors between them are biases */
        struct tensor *weights = &parameters->tensor[t];
        for (size_t i = 0; i < weights->rows * weights->columns; i++) {
            float move = weights->values[i]; /* NaN stays NaN, so that a diverged training is seen */
            move = move > amount ? amount : move;
            move = move < -amount ? -amount : move;
            weights->values[i] -= move;
        }
    }
}
