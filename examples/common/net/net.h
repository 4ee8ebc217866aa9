/* Folder net: a small neural net, its layers, its plan as text, and the reader of its data files.
 *
 * The net is a chain of layers with tanh or ReLU between them and softmax cross-entropy on top. SGD trains it. The net
 * holds shapes and working memory. The caller owns the parameters and the gradient as tensors, because they are what
 * processes exchange. Each layer that has parameters has two tensors: its weights, and its biases (1 x outputs).
 */
#ifndef EXAMPLES_NET_H
#define EXAMPLES_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../error.h"
#include "../tensors.h"
#include "layer.h"
#include "net_plan.h"

enum activation { ACTIVATION_RELU, ACTIVATION_TANH };

struct net {
    enum activation activation;
    size_t count; /* of layers */
    struct layer layer[NET_MAX_LAYERS];
    size_t batch;        /* most samples in one pass */
    const float *inputs; /* of the last net_gradient: samples x the first layer's inputs; owned by the caller */
    size_t samples;      /* in the last net_gradient */

    /* net_gradient calls this function, unless it is NULL, when the gradient of tensors first_tensor and
     * first_tensor + 1 is complete. The calls go from the last layer to the first. The function can send these tensors
     * while net_gradient computes the layers below. */
    void (*ready)(void *context, size_t first_tensor);
    void *ready_context;
};

/* Fits the layers of a plan to samples of one shape. The net has no working memory yet. On failure the error names the
 * layer that does not fit. */
bool net_fit(struct net *net, const struct net_plan *plan, struct shape sample, enum activation activation,
             struct error *error);

/* Allocates the working memory for passes of up to `batch` samples, and limits BLAS to one thread. Free the memory with
 * net_free. */
void net_start(struct net *net, size_t batch);

void net_free(struct net *net);

/* Creates the net's parameters. The weights are random numbers of the seed, uniform, with the variance of He et al.
 * (2015) for ReLU and of Glorot and Bengio (2010) for tanh. The biases are zero. Free the result with tensors_free;
 * tensors_like makes memory for a gradient of the same shapes. */
struct tensors net_parameters(const struct net *net, uint64_t seed);

/* Computes the gradient of the mean loss of `count` samples by each parameter, and returns that loss. `inputs` is
 * count x the values of a sample, and 1 <= count <= net->batch. */
double net_gradient(struct net *net, const struct tensors *parameters, const float *inputs, const uint8_t *labels,
                    size_t count, struct tensors *gradient);

/* Returns the factors of tensor `index` of the last gradient (Xie et al. 2016). For each sample k, u_k is the layer's
 * delta divided by the number of samples, and v_k is the layer's input. Only the weights of a dense layer have factors;
 * for any other tensor the rank is 0. The factors point into memory of the net and of the caller's inputs, and are
 * valid until either memory changes. */
struct factors net_factors(const struct net *net, size_t index);

/* Returns how many of `count` samples the net classifies as their labels say. 1 <= count <= net->batch. */
size_t net_correct(struct net *net, const struct tensors *parameters, const float *inputs, const uint8_t *labels,
                   size_t count);

/* Takes one step of SGD with momentum: velocity = momentum * velocity + gradient; parameters -= rate * velocity. */
void sgd_step(struct tensors *parameters, struct tensors *velocity, const struct tensors *gradient, float rate,
              float momentum);

/* L1 regularization: moves every weight towards 0 by `amount`, and not beyond 0. The biases stay as they are. */
void sgd_shrink(struct tensors *parameters, float amount);

#endif
