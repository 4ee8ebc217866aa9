/* A real gradient: of 784-392-50-10, some steps into training on Fashion-MNIST, which the Makefile's set-up installs.
 */
#ifndef DTC_TESTS_GRADIENT_H
#define DTC_TESTS_GRADIENT_H

#include "examples/common/idx.h"
#include "examples/common/net.h"
#include "helpers.h"

/* Layer l's weights are tensor 2 l. Free with tensors_free. */
static inline struct tensors real_gradient(size_t steps) {
    enum { BATCH = 64, PIXELS = 784 };
    const struct shape sample = {28, 28, 1};
    struct net_plan plan;
    struct net net;
    struct images images;
    struct error error;
    size_t index[BATCH], step, i;
    uint8_t labels[BATCH];
    if (!images_read(&images, "/usr/share/datasets/fashion-mnist", "train", steps * BATCH, 10, &error))
        fail_msg("%s", error.text);
    if (!net_plan_parse("784-392-50-10", &plan, &error) || !net_fit(&net, &plan, sample, ACTIVATION_RELU, &error))
        fail_msg("%s", error.text);
    net_start(&net, BATCH);
    struct tensors parameters = net_parameters(&net, 1), gradient = tensors_like(&parameters);
    struct tensors velocity = tensors_like(&parameters);
    float *inputs = floats((size_t)BATCH * PIXELS);
    for (step = 0; step < steps; step++) {
        for (i = 0; i < BATCH; i++) index[i] = step * BATCH + i;
        images_batch(&images, index, BATCH, inputs, labels);
        net_gradient(&net, &parameters, inputs, labels, BATCH, &gradient);
        sgd_step(&parameters, &velocity, &gradient, 0.05f, 0.9f);
    }
    free(inputs);
    tensors_free(&velocity);
    tensors_free(&parameters);
    net_free(&net);
    images_free(&images);
    return gradient;
}

#endif
