/* A small neural net: layers with tanh or ReLU between them, softmax cross-entropy on top, trained by SGD.
 *
 * The net holds shapes and working memory; its parameters and gradients are tensors of the caller's, as they are what
 * travels: for each layer that has any its weights, then its biases, 1 x outputs.
 */
#ifndef EXAMPLES_NET_H
#define EXAMPLES_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "layer.h"
#include "net_plan.h"
#include "tensors.h"

enum activation { ACTIVATION_RELU, ACTIVATION_TANH };

struct net {
    enum activation activation;
    size_t count;
    struct layer layer[NET_MAX_LAYERS];
    size_t batch;        /* samples that one pass takes at most */
    const float *inputs; /* of the last net_gradient, `samples` x the first layer's in; the caller's */
    size_t samples;

    /* Called by net_gradient, unless NULL, as soon as it has computed the gradient of two tensors, first_tensor and the
     * next: from the last layer to the first, so that they can be sent while it goes on. */
    void (*ready)(void *context, size_t first_tensor);
    void *ready_context;
};

/* A gradient as its factors (Xie et al. 2016): sum over k < rank of u_k v_k^T. */
struct net_factors {
    size_t rank;
    const float *u; /* rank x rows */
    const float *v; /* rank x columns */
};

/* Fits the plan's layers to samples of a shape; without working memory yet. The error says which does not fit. */
bool net_fit(struct net *net, const struct net_plan *plan, struct shape sample, enum activation activation,
             struct error *error);

/* Takes the working memory for passes of up to `batch` samples. Free with net_free. BLAS is set to one thread. */
void net_start(struct net *net, size_t batch);

void net_free(struct net *net);

/* The net's parameters, drawn from the seed (He et al. 2015 for ReLU, Glorot and Bengio 2010 for tanh; biases zero).
 * Free with tensors_free; tensors_like makes room for a gradient. */
struct tensors net_parameters(const struct net *net, uint64_t seed);

/* Mean loss of `count` samples (inputs: count x sample) and, in `gradient`, its gradient by each parameter.
 * 1 <= count <= net->batch. */
double net_gradient(struct net *net, const struct tensors *parameters, const float *inputs, const uint8_t *labels,
                    size_t count, struct tensors *gradient);

/* The factors of what the last net_gradient left in tensor `index` of its gradient: a sample's deltas, already divided
 * by the batch's samples, and its inputs. Of rank 0 where there are none: only a dense layer's weights have them. They
 * are the net's and the caller's memory, good until either changes its contents. */
struct net_factors net_factors(const struct net *net, size_t index);

/* How many of `count` samples are classified as labelled. 1 <= count <= net->batch. */
size_t net_correct(struct net *net, const struct tensors *parameters, const float *inputs, const uint8_t *labels,
                   size_t count);

/* One step of SGD with momentum: velocity = momentum * velocity + gradient; parameters -= rate * velocity. */
void sgd_step(struct tensors *parameters, struct tensors *velocity, const struct tensors *gradient, float rate,
              float momentum);

#endif
