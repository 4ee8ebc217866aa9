/* The example trainers' neural net: its gradient against finite differences, its initialization, its optimizer. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "examples/common/net.h"
#include "examples/common/random.h"

enum { SAMPLES = 5, INPUTS = 6, CLASSES = 3 };

static const struct net_widths widths = {4, {INPUTS, 7, 5, CLASSES}};

static void make_samples(float *inputs, uint8_t *labels) {
    for (size_t i = 0; i < SAMPLES * INPUTS; i++) inputs[i] = (float)random_unit(1, i);
    for (size_t i = 0; i < SAMPLES; i++) labels[i] = (uint8_t)(i % CLASSES);
}

/* Central differences of every parameter. A float loss is good to 1e-7, so the quotient to 1e-7 / 1e-2. */
static void check_gradient(enum activation activation) {
    const float reach = 5e-3f;
    float inputs[SAMPLES * INPUTS];
    uint8_t labels[SAMPLES];
    make_samples(inputs, labels);
    struct net net = net_create(&widths, activation, SAMPLES);
    struct tensors parameters = net_parameters(&net, 3);
    struct tensors gradient = tensors_like(&parameters), unused = tensors_like(&parameters);
    for (size_t i = 0; i < parameters.values; i++) /* biases off zero, too */
        parameters.all[i] += 0.1f * (float)random_unit(4, i);
    net_gradient(&net, &parameters, inputs, labels, SAMPLES, &gradient);

    double error = 0.0, size = 0.0;
    for (size_t i = 0; i < parameters.values; i++) {
        float value = parameters.all[i];
        parameters.all[i] = value + reach;
        double above = net_gradient(&net, &parameters, inputs, labels, SAMPLES, &unused);
        parameters.all[i] = value - reach;
        double below = net_gradient(&net, &parameters, inputs, labels, SAMPLES, &unused);
        parameters.all[i] = value;
        double difference = (above - below) / (2.0 * (double)reach);
        error += pow(difference - (double)gradient.all[i], 2.0);
        size += difference * difference;
    }
    assert_true(size > 1e-3);
    assert_true(sqrt(error / size) < 1e-3);
    tensors_free(&parameters);
    tensors_free(&gradient);
    tensors_free(&unused);
    net_free(&net);
}

static void gradient_with_relu_is_that_of_finite_differences(void **state) {
    (void)state;
    check_gradient(ACTIVATION_RELU);
}

static void gradient_with_tanh_is_that_of_finite_differences(void **state) {
    (void)state;
    check_gradient(ACTIVATION_TANH);
}

static void factors_make_the_gradient(void **state) {
    (void)state;
    float inputs[SAMPLES * INPUTS];
    uint8_t labels[SAMPLES];
    make_samples(inputs, labels);
    struct net net = net_create(&widths, ACTIVATION_RELU, SAMPLES);
    struct tensors parameters = net_parameters(&net, 3), gradient = tensors_like(&parameters);
    net_gradient(&net, &parameters, inputs, labels, SAMPLES, &gradient);
    for (size_t t = 0; t < gradient.count; t++) {
        const struct tensor *tensor = &gradient.tensor[t];
        struct net_factors factors = net_factors(&net, t);
        assert_int_equal(factors.rank, t % 2 ? 0 : SAMPLES); /* biases have none */
        for (size_t i = 0; factors.rank && i < tensor->rows; i++)
            for (size_t j = 0; j < tensor->columns; j++) {
                double sum = 0.0;
                for (size_t k = 0; k < factors.rank; k++)
                    sum += (double)factors.u[k * tensor->rows + i] * (double)factors.v[k * tensor->columns + j];
                assert_true(fabs(sum - (double)tensor->values[i * tensor->columns + j]) < 1e-6);
            }
    }
    assert_int_equal(net_factors(&net, gradient.count).rank, 0);
    tensors_free(&parameters);
    tensors_free(&gradient);
    net_free(&net);
}

static void parameters_derive_from_the_seed(void **state) {
    (void)state;
    struct net net = net_create(&widths, ACTIVATION_TANH, 1);
    struct tensors a = net_parameters(&net, 5), b = net_parameters(&net, 5), c = net_parameters(&net, 6);
    assert_int_equal(a.count, 6);
    assert_int_equal(a.tensor[2].rows, 5);
    assert_int_equal(a.tensor[2].columns, 7);
    assert_int_equal(a.values, 7 * 6 + 7 + 5 * 7 + 5 + 3 * 5 + 3);
    assert_int_equal(tensors_crc(&a), tensors_crc(&b));
    assert_int_not_equal(tensors_crc(&a), tensors_crc(&c));
    tensors_free(&a);
    tensors_free(&b);
    tensors_free(&c);
    net_free(&net);
}

static void momentum_and_rate_do_what_they_say(void **state) {
    (void)state;
    const size_t shape[1][2] = {{1, 2}};
    struct tensors parameters = tensors_create(shape, 1), velocity = tensors_create(shape, 1);
    struct tensors gradient = tensors_create(shape, 1);
    gradient.all[0] = 1.0f;
    gradient.all[1] = -2.0f;
    sgd_step(&parameters, &velocity, &gradient, 0.5f, 0.5f);
    sgd_step(&parameters, &velocity, &gradient, 0.25f, 0.5f);
    assert_true(parameters.all[0] == -0.5f - 0.25f * 1.5f);
    assert_true(parameters.all[1] == 1.0f + 0.25f * 3.0f);
    tensors_free(&parameters);
    tensors_free(&velocity);
    tensors_free(&gradient);
}

static void training_fits_what_it_is_shown(void **state) {
    (void)state;
    float inputs[SAMPLES * INPUTS];
    uint8_t labels[SAMPLES];
    make_samples(inputs, labels);
    struct net net = net_create(&widths, ACTIVATION_RELU, SAMPLES);
    struct tensors parameters = net_parameters(&net, 2);
    struct tensors velocity = tensors_like(&parameters), gradient = tensors_like(&parameters);
    double loss = 0.0;
    for (int step = 0; step < 400; step++) {
        loss = net_gradient(&net, &parameters, inputs, labels, SAMPLES, &gradient);
        sgd_step(&parameters, &velocity, &gradient, 0.05f, 0.9f);
    }
    assert_true(loss < 0.01);
    assert_int_equal(net_correct(&net, &parameters, inputs, labels, SAMPLES), SAMPLES);
    tensors_free(&parameters);
    tensors_free(&velocity);
    tensors_free(&gradient);
    net_free(&net);
}

static void a_permutation_holds_every_number_once(void **state) {
    (void)state;
    size_t order[1000];
    unsigned char seen[1000];
    memset(seen, 0, sizeof seen);
    random_permutation(order, 1000, 9);
    size_t in_place = 0;
    for (size_t i = 0; i < 1000; i++) {
        assert_true(order[i] < 1000 && !seen[order[i]]);
        seen[order[i]] = 1;
        in_place += order[i] == i;
    }
    assert_true(in_place < 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradient_with_relu_is_that_of_finite_differences),
        cmocka_unit_test(gradient_with_tanh_is_that_of_finite_differences),
        cmocka_unit_test(factors_make_the_gradient),
        cmocka_unit_test(parameters_derive_from_the_seed),
        cmocka_unit_test(momentum_and_rate_do_what_they_say),
        cmocka_unit_test(training_fits_what_it_is_shown),
        cmocka_unit_test(a_permutation_holds_every_number_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
