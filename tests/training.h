/* A net some steps into training on real images, for its gradients: 784-392-50-10 on an IDX data set. */
#ifndef DTC_TESTS_TRAINING_H
#define DTC_TESTS_TRAINING_H

#include <stdbool.h>
#include <stdlib.h>

#include "examples/common/error.h"
#include "examples/common/memory.h"
#include "examples/common/net/idx.h"
#include "examples/common/net/net.h"

enum { TRAINING_BATCH = 64 };

struct training {
    struct net net;
    struct tensors parameters, velocity, gradient; /* the gradient is the last step's */
    float *inputs;
};

static inline void training_free(struct training *training) {
    free(training->inputs);
    tensors_free(&training->velocity);
    tensors_free(&training->gradient);
    tensors_free(&training->parameters);
    net_free(&training->net);
}

/* Takes so many steps through the images in `dir`. Free with training_free, if it succeeds. */
static inline bool training_run(struct training *training, const char *dir, size_t steps, struct error *error) {
    struct images images;
    struct net_plan plan;
    size_t index[TRAINING_BATCH];
    uint8_t labels[TRAINING_BATCH];
    if (!images_read(&images, dir, "train", steps * TRAINING_BATCH, 10, error)) return false;
    const struct shape sample = {images.height, images.width, 1};
    if (!net_plan_parse("784-392-50-10", &plan, error) ||
        !net_fit(&training->net, &plan, sample, ACTIVATION_RELU, error)) {
        images_free(&images);
        return false;
    }
    net_start(&training->net, TRAINING_BATCH);
    training->parameters = net_parameters(&training->net, 1);
    training->gradient = tensors_like(&training->parameters);
    training->velocity = tensors_like(&training->parameters);
    training->inputs = (float *)allocate(TRAINING_BATCH * images.pixels, sizeof(float));
    for (size_t step = 0; step < steps; step++) {
        for (size_t i = 0; i < TRAINING_BATCH; i++) index[i] = step * TRAINING_BATCH + i;
        images_batch(&images, index, TRAINING_BATCH, training->inputs, labels);
        net_gradient(&training->net, &training->parameters, training->inputs, labels, TRAINING_BATCH,
                     &training->gradient);
        sgd_step(&training->parameters, &training->velocity, &training->gradient, 0.05f, 0.9f);
    }
    images_free(&images);
    return true;
}

#endif /* DTC_TESTS_TRAINING_H */
