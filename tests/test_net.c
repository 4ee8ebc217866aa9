/* The example trainers' neural net: the gradients of every kind of layer, what --net may say, initialization,
 * optimizer. */
#include <cblas.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "examples/common/exchange/tensor_message.h"
#include "examples/common/memory.h"
#include "examples/common/net/net.h"
#include "examples/common/random.h"

enum { MAX_VALUES = 4096 }; /* of a layer, in the reference below */

static struct net_plan plan_of(const char *text) {
    struct net_plan plan;
    struct error error;
    if (!net_plan_parse(text, &plan, &error)) fail_msg("%s: %s", text, error.text);
    return plan;
}

static struct net net_of(const char *text, struct shape sample, enum activation activation, size_t batch) {
    struct net_plan plan = plan_of(text);
    struct net net;
    struct error error;
    if (!net_fit(&net, &plan, sample, activation, &error)) fail_msg("%s: %s", text, error.text);
    net_start(&net, batch);
    return net;
}

/* Samples and the net's gradient at them. */
struct trial {
    struct net net;
    size_t count;
    float *inputs;
    uint8_t *labels;
    struct tensors parameters, gradient;
    double loss;
};

static struct trial try_net(const char *text, struct shape sample, enum activation activation, size_t count) {
    struct trial trial;
    trial.net = net_of(text, sample, activation, count);
    trial.count = count;
    trial.inputs = (float *)allocate(count * shape_values(sample), sizeof(float));
    trial.labels = (uint8_t *)allocate(count, 1);
    trial.parameters = net_parameters(&trial.net, 3);
    trial.gradient = tensors_like(&trial.parameters);
    size_t classes = shape_values(trial.net.layer[trial.net.count - 1].out);
    for (size_t i = 0; i < count * shape_values(sample); i++) trial.inputs[i] = (float)random_unit(1, i);
    for (size_t i = 0; i < count; i++) trial.labels[i] = (uint8_t)(i % classes);
    for (size_t i = 0; i < trial.parameters.values; i++) /* biases off zero, too */
        trial.parameters.all[i] += 0.1f * (float)random_unit(4, i);
    for (size_t i = 0; i < trial.gradient.values; i++) trial.gradient.all[i] = NAN; /* shall be overwritten */
    trial.loss = net_gradient(&trial.net, &trial.parameters, trial.inputs, trial.labels, count, &trial.gradient);
    return trial;
}

static void trial_free(struct trial *trial) {
    net_free(&trial->net);
    free(trial->inputs);
    free(trial->labels);
    tensors_free(&trial->parameters);
    tensors_free(&trial->gradient);
}

/* ---- Reference: the definitions of the layers, in double -------------------------------------------------------- */

static void reference_dense(const struct layer *layer, const double *weights, const double *biases, const double *in,
                            double *out) {
    size_t inputs = shape_values(layer->in);
    for (size_t i = 0; i < layer->out.channels; i++) {
        out[i] = biases[i];
        for (size_t j = 0; j < inputs; j++) out[i] += weights[i * inputs + j] * in[j];
    }
}

static void reference_circulant(const struct layer *layer, const double *vectors, const double *biases,
                                const double *in, double *out) {
    size_t inputs = shape_values(layer->in), outputs = layer->out.channels, block = layer->weights[1];
    for (size_t i = 0; i < outputs; i++) {
        out[i] = biases[i];
        for (size_t j = 0; j < inputs; j++) {
            size_t vector = i / block * ((inputs + block - 1) / block) + j / block;
            size_t entry = (i % block + block - j % block) % block;
            out[i] += vectors[vector * block + entry] * (double)circulant_sign(layer, j) * in[j];
        }
    }
}

static void reference_convolution(const struct layer *layer, const double *weights, const double *biases,
                                  const double *in, double *out) {
    size_t side = layer->number[0], width = layer->in.width, depth = layer->in.channels, at = 0;
    for (size_t y = 0; y < layer->in.height - side + 1; y++)
        for (size_t x = 0; x < width - side + 1; x++)
            for (size_t c = 0; c < layer->number[1]; c++, at++) {
                out[at] = biases[c];
                for (size_t i = 0; i < side; i++)
                    for (size_t j = 0; j < side; j++)
                        for (size_t d = 0; d < depth; d++)
                            out[at] += weights[((c * side + i) * side + j) * depth + d] *
                                       in[((y + i) * width + x + j) * depth + d];
            }
}

static void reference_pool(const struct layer *layer, const double *in, double *out) {
    size_t side = layer->number[0], width = layer->in.width, depth = layer->in.channels, at = 0;
    for (size_t y = 0; y + side <= layer->in.height; y += side)
        for (size_t x = 0; x + side <= width; x += side)
            for (size_t c = 0; c < depth; c++, at++) {
                out[at] = -INFINITY;
                for (size_t i = 0; i < side; i++)
                    for (size_t j = 0; j < side; j++)
                        out[at] = fmax(out[at], in[((y + i) * width + x + j) * depth + c]);
            }
}

/* Mean cross-entropy, with an activation right after every layer that has weights but the last. */
static double reference_loss(const struct trial *trial, const double *parameters) {
    static double buffer[2][MAX_VALUES];
    const struct net *net = &trial->net;
    double loss = 0.0;
    for (size_t n = 0; n < trial->count; n++) {
        double *in = buffer[0], *out = buffer[1];
        const double *next = parameters;
        size_t inputs = shape_values(net->layer[0].in);
        for (size_t i = 0; i < inputs; i++) in[i] = (double)trial->inputs[n * inputs + i];
        for (size_t l = 0; l < net->count; l++) {
            const struct layer *layer = &net->layer[l];
            size_t weights = layer->weights[0] * layer->weights[1], outputs = shape_values(layer->out);
            const double *biases = next + weights;
            assert_true(outputs <= MAX_VALUES);
            if (layer->kind == &layer_dense) reference_dense(layer, next, biases, in, out);
            if (layer->kind == &layer_circulant) reference_circulant(layer, next, biases, in, out);
            if (layer->kind == &layer_convolution) reference_convolution(layer, next, biases, in, out);
            if (layer->kind == &layer_pool) reference_pool(layer, in, out);
            for (size_t i = 0; i < outputs && layer->biases && l + 1 < net->count; i++)
                out[i] = net->activation == ACTIVATION_TANH ? tanh(out[i]) : fmax(out[i], 0.0);
            next = biases + layer->biases;
            double *swap = in;
            in = out;
            out = swap;
        }
        double sum = 0.0;
        for (size_t c = 0; c < shape_values(net->layer[net->count - 1].out); c++) sum += exp(in[c]);
        loss += (log(sum) - in[trial->labels[n]]) / (double)trial->count;
    }
    return loss;
}

/* The net's gradient against central differences of the reference, at up to `most` parameters of each tensor. */
static void check_gradient(const char *text, struct shape sample, enum activation activation, size_t count,
                           size_t most) {
    const double reach = 1e-6;
    struct trial trial = try_net(text, sample, activation, count);
    double *parameters = (double *)allocate(trial.parameters.values, sizeof(double));
    for (size_t i = 0; i < trial.parameters.values; i++) parameters[i] = (double)trial.parameters.all[i];
    assert_true(fabs(reference_loss(&trial, parameters) - trial.loss) < 1e-5);

    for (size_t t = 0, first = 0; t < trial.gradient.count; t++) {
        const struct tensor *tensor = &trial.gradient.tensor[t];
        size_t values = tensor->rows * tensor->columns, step = values > most ? values / most : 1;
        double error = 0.0, size = 0.0;
        for (size_t i = 0; i < values; i += step) {
            double value = parameters[first + i];
            parameters[first + i] = value + reach;
            double above = reference_loss(&trial, parameters);
            parameters[first + i] = value - reach;
            double below = reference_loss(&trial, parameters);
            parameters[first + i] = value;
            double difference = (above - below) / (2.0 * reach);
            error += pow(difference - (double)tensor->values[i], 2.0);
            size += difference * difference;
        }
        if (!(size > 1e-8 && sqrt(error / size) < 1e-4))
            fail_msg("%s: tensor %zu: error %g of %g", text, t, sqrt(error), sqrt(size));
        first += values;
    }
    free(parameters);
    trial_free(&trial);
}

static void gradients_are_those_of_the_reference(void **state) {
    (void)state;
    const struct {
        const char *text;
        struct shape sample;
    } nets[] = {
        {"6-7-5-3", {1, 6, 1}},
        {"8-3", {2, 4, 1}},
        {"conv3x4-pool2-5-3", {8, 7, 1}}, /* a row of 6 x 5 is left over */
        {"conv2x3-conv3x2-6-3", {7, 6, 2}},
        {"96-conv2x3-pool2-conv2x5-4-3", {6, 8, 2}},
        {"pool2-conv1x3-pool2-pool2-3", {17, 16, 1}},
        {"conv4x5-3", {4, 4, 3}},
        {"pool3-5-3", {6, 6, 2}},
        {"circulant8-3", {2, 4, 1}},
        {"12-circulant7-circulant9-3", {3, 4, 1}},
        {"12-circulant7x3-circulant10x4-3", {3, 4, 1}}, /* the last blocks are cut off */
        {"conv3x2-pool2-circulant16-circulant1-3", {8, 8, 1}},
    };
    for (size_t i = 0; i < sizeof nets / sizeof *nets; i++) {
        check_gradient(nets[i].text, nets[i].sample, ACTIVATION_RELU, 5, 1000);
        check_gradient(nets[i].text, nets[i].sample, ACTIVATION_TANH, 5, 1000);
    }
}

/* More patches than are laid out at once. */
static void gradients_of_a_larger_batch_are_those_of_the_reference(void **state) {
    (void)state;
    const struct shape sample = {28, 28, 1};
    check_gradient("conv5x3-pool2-conv5x4-pool2-3", sample, ACTIVATION_RELU, 40, 12);
}

/* ---- Nets of dense layers: the same bits as ever, whatever other kinds there are --------------------------------- */

static void dense_nets_compute_the_same_bits_as_ever(void **state) {
    (void)state;
    enum { COUNT = 8, IN = 784, HIDDEN = 392, CLASSES = 10 };
    static float hidden[COUNT * HIDDEN], logits[COUNT * CLASSES], delta[COUNT * HIDDEN], weights[HIDDEN * IN];
    const struct shape sample = {28, 28, 1};
    struct net whole = net_of("784-392-50-10", sample, ACTIVATION_RELU, 1);
    struct tensors first = net_parameters(&whole, 1);
    assert_int_equal(first.values, 327880);
    assert_int_equal(tensors_crc(&first), 0x09437c7c);
    tensors_free(&first);
    net_free(&whole);

    struct trial trial = try_net("784-392-10", sample, ACTIVATION_RELU, COUNT);
    const struct tensor *tensor = trial.parameters.tensor;
    for (size_t i = 0; i < COUNT * HIDDEN; i++) hidden[i] = tensor[1].values[i % HIDDEN];
    for (size_t i = 0; i < COUNT * CLASSES; i++) logits[i] = tensor[3].values[i % CLASSES];
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, COUNT, HIDDEN, IN, 1.0f, trial.inputs, IN, tensor[0].values,
                IN, 1.0f, hidden, HIDDEN);
    for (size_t i = 0; i < COUNT * HIDDEN; i++) hidden[i] = hidden[i] > 0.0f ? hidden[i] : 0.0f;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, COUNT, CLASSES, HIDDEN, 1.0f, hidden, HIDDEN, tensor[2].values,
                HIDDEN, 1.0f, logits, CLASSES);
    const struct layer *last = &trial.net.layer[1];
    assert_memory_equal(last->output, logits, sizeof logits);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, COUNT, HIDDEN, CLASSES, 1.0f, last->delta, CLASSES,
                tensor[2].values, HIDDEN, 0.0f, delta, HIDDEN);
    for (size_t i = 0; i < COUNT * HIDDEN; i++) delta[i] = hidden[i] > 0.0f ? delta[i] : delta[i] * 0.0f;
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, HIDDEN, IN, COUNT, 1.0f, delta, HIDDEN, trial.inputs, IN, 0.0f,
                weights, IN);
    assert_memory_equal(trial.gradient.tensor[0].values, weights, sizeof weights);
    trial_free(&trial);
}

static void factors_make_the_gradient(void **state) {
    (void)state;
    const struct shape sample = {6, 5, 1};
    struct trial trial = try_net("30-conv3x2-pool2-7-5-3", sample, ACTIVATION_RELU, 5);
    for (size_t t = 0; t < trial.gradient.count; t++) {
        const struct tensor *tensor = &trial.gradient.tensor[t];
        struct factors factors = net_factors(&trial.net, t);
        assert_int_equal(factors.rank, t % 2 || t < 2 ? 0 : 5); /* biases and convolutions have none */
        for (size_t i = 0; factors.rank && i < tensor->rows; i++)
            for (size_t j = 0; j < tensor->columns; j++) {
                double sum = 0.0;
                for (size_t k = 0; k < factors.rank; k++)
                    sum += (double)factors.u[k * tensor->rows + i] * (double)factors.v[k * tensor->columns + j];
                assert_true(fabs(sum - (double)tensor->values[i * tensor->columns + j]) < 1e-6);
            }
    }
    assert_int_equal(net_factors(&trial.net, trial.gradient.count).rank, 0);
    trial_free(&trial);
}

/* Which tensors the net has told of, and what was in the gradient then. */
struct told {
    const struct tensors *gradient;
    struct tensors at[3]; /* copies */
    size_t first_tensor[3], count;
};

static void take_note(void *context, size_t first_tensor) {
    struct told *told = (struct told *)context;
    assert_true(told->count < 3);
    told->at[told->count] = tensors_like(told->gradient);
    tensors_copy(&told->at[told->count], told->gradient);
    told->first_tensor[told->count++] = first_tensor;
}

static void a_layers_gradient_is_told_of_before_the_next_is_computed(void **state) {
    (void)state;
    const struct shape sample = {6, 5, 1};
    struct trial trial = try_net("30-conv3x2-pool2-7-3", sample, ACTIVATION_RELU, 5);
    struct tensors again = tensors_like(&trial.gradient);
    struct told told;
    memset(&told, 0, sizeof told);
    told.gradient = &again;
    trial.net.ready = take_note;
    trial.net.ready_context = &told;
    for (size_t i = 0; i < again.values; i++) again.all[i] = NAN;
    net_gradient(&trial.net, &trial.parameters, trial.inputs, trial.labels, trial.count, &again);
    assert_int_equal(told.count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(told.first_tensor[i], 4 - 2 * i);
        for (size_t t = 0; t < 6; t++) {
            const struct tensor *then = &told.at[i].tensor[t], *last = &trial.gradient.tensor[t];
            if (t >= told.first_tensor[i])
                assert_memory_equal(then->values, last->values, last->rows * last->columns * sizeof(float));
            else
                assert_true(isnan(then->values[0]));
        }
        tensors_free(&told.at[i]);
    }
    tensors_free(&again);
    trial_free(&trial);
}

static void circulant_layers_travel_as_their_vectors(void **state) {
    (void)state;
    const struct shape sample = {3, 4, 1};
    struct trial trial = try_net("circulant7x4-circulant5-3", sample, ACTIVATION_RELU, 5);
    dtc_spec spec = raw_spec();
    spec.codec = DTC_CIRCULANT;
    struct encoder encoder = encoder_create(&spec, false, &trial.gradient);
    struct error error;
    assert_true(encoder_encode(&encoder, &trial.gradient, NULL, 1, &error));
    dtc_info info;
    assert_int_equal(dtc_inspect(encoder.message, encoder.bytes, &info), DTC_OK);
    assert_int_equal(info.codec, DTC_CIRCULANT);
    assert_int_equal(info.rows, 7);
    assert_int_equal(info.columns, 12);
    assert_int_equal(info.spec.block, 4);

    struct tensors sum = tensors_like(&trial.gradient);
    struct decoder decoder = {NULL, 0};
    assert_true(decoder_add(&decoder, &sum, 1.0f, encoder.message, encoder.bytes, &error));
    assert_memory_equal(sum.all, trial.gradient.all, sum.values * sizeof(float));
    assert_true(decoder_add(&decoder, &sum, 1.0f, encoder.message, encoder.bytes, &error));
    for (size_t i = 0; i < sum.values; i++) assert_true(sum.all[i] == 2.0f * trial.gradient.all[i]);

    const char *const others[] = {"circulant7x3-circulant5-3", "circulant8x4-circulant5-3", "circulant5-3"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        struct net net = net_of(others[i], sample, ACTIVATION_RELU, 1);
        struct tensors parameters = net_parameters(&net, 1);
        assert_false(decoder_add(&decoder, &parameters, 1.0f, encoder.message, encoder.bytes, &error));
        assert_non_null(strstr(error.text, dtc_status_string(DTC_ERROR_COUNT)));
        tensors_free(&parameters);
        net_free(&net);
    }
    free(decoder.scratch);
    encoder_free(&encoder);
    tensors_free(&sum);
    trial_free(&trial);
}

/* ---- What --net may say ------------------------------------------------------------------------------------------ */

static void plans_are_read(void **state) {
    (void)state;
    struct net_plan plan = plan_of("784-392-50-10");
    assert_int_equal(plan.inputs, 784);
    assert_int_equal(plan.classes, 10);
    assert_int_equal(plan.count, 3);
    assert_true(plan.layer[0].kind == &layer_dense);
    assert_int_equal(plan.layer[0].number[0], 392);
    plan = plan_of("conv5x12-pool2-50-10");
    assert_int_equal(plan.inputs, 0);
    assert_int_equal(plan.count, 4);
    assert_true(plan.layer[0].kind == &layer_convolution && plan.layer[1].kind == &layer_pool);
    assert_int_equal(plan.layer[0].number[0], 5);
    assert_int_equal(plan.layer[0].number[1], 12);
    assert_int_equal(plan.layer[1].number[0], 2);
    plan = plan_of("circulant512-circulant256x64-10");
    assert_true(plan.layer[0].kind == &layer_circulant && plan.layer[1].kind == &layer_circulant);
    assert_int_equal(plan.layer[0].number[0], 512);
    assert_int_equal(plan.layer[0].number[1], 0);
    assert_int_equal(plan.layer[1].number[0], 256);
    assert_int_equal(plan.layer[1].number[1], 64);
    plan = plan_of("10");
    assert_int_equal(plan.inputs, 0);
    assert_int_equal(plan.count, 1);
    plan_of("1-1-1-1-1-1-1-1-1-1-1-1-1-1-1-1-1"); /* inputs and 16 layers */
}

static void wrong_plans_are_refused_where_they_are_wrong(void **state) {
    (void)state;
    char long_text[300];
    memset(long_text, '1', sizeof long_text);
    long_text[sizeof long_text - 1] = 0;
    const char *const wrong[][2] = {
        {"", "at \"\": not in the form 50: number of units"},
        {"784-", "at \"\": not in the form 50"},
        {"784--10", "at \"-10\": not in the form 50"},
        {"784-50-0", "at \"0\": not in the form 50"},
        {"784-65537-10", "at \"65537-10\": not in the form 50"},
        {"784-99999999999999999999-10", "at \"99999999999999999999-10\": not in the form 50"},
        {"784-50 -10", "at \"50 -10\": not in the form 50"},
        {"784-5x5-10", "at \"5x5-10\": not in the form 50"},
        {"784-+5-10", "at \"+5-10\": not in the form 50"},
        {"784-257", "at \"257\": the last layer must be the number of classes, from 1 to 256"},
        {"784-conv5x12", "at \"conv5x12\": the last layer"},
        {"784-50-pool2", "at \"pool2\": the last layer"},
        {"conv5-10", "at \"conv5-10\": not in the form conv5x12: side"},
        {"conv5x-10", "at \"conv5x-10\": not in the form conv5x12"},
        {"conv5x12x3-10", "at \"conv5x12x3-10\": not in the form conv5x12"},
        {"conv257x1-10", "at \"conv257x1-10\": not in the form conv5x12"},
        {"conv5x12-pool-10", "at \"pool-10\": not in the form pool2"},
        {"pool17-10", "at \"pool17-10\": not in the form pool2"},
        {"circulant-10", "at \"circulant-10\": not in the form circulant512, or"},
        {"circulant8x0-10", "at \"circulant8x0-10\": not in the form circulant512, or"},
        {"784-50-circulant10", "at \"circulant10\": the last layer"},
        {"convolution5x12-10", "at \"convolution5x12-10\": no such layer"},
        {"con5x12-10", "at \"con5x12-10\": no such layer"},
        {"Conv5x12-10", "at \"Conv5x12-10\": not in the form 50"},
        {"1-1-1-1-1-1-1-1-1-1-1-1-1-1-1-1-1-1", "at \"1\": more than 16 layers"},
        {long_text, "longer than 199 characters"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct net_plan plan;
        struct error error;
        if (net_plan_parse(wrong[i][0], &plan, &error)) fail_msg("%s: accepted", wrong[i][0]);
        if (strncmp(error.text, wrong[i][1], strlen(wrong[i][1])) != 0)
            fail_msg("%s: \"%s\", not \"%s\"", wrong[i][0], error.text, wrong[i][1]);
    }
}

static void plans_that_do_not_fit_the_samples_are_refused(void **state) {
    (void)state;
    const struct shape sample = {8, 6, 1};
    const char *const wrong[][2] = {
        {"47-10", "47 inputs, but a sample has 8 x 6 x 1 values"},
        {"conv7x2-10", "at \"conv7x2-10\": a patch of 7 x 7 does not fit into 8 x 6"},
        {"conv5x2-pool2-conv2x2-10", "at \"conv2x2-10\": a patch of 2 x 2 does not fit into 2 x 1"},
        {"conv5x2-pool3-10", "at \"pool3-10\": a square of 3 x 3 does not fit into 4 x 2"},
        {"48-circulant30x49-10", "at \"circulant30x49-10\": blocks of 49 are larger than a matrix of 30 x 48"},
        {"48-20-conv2x2-10", "at \"conv2x2-10\": a patch of 2 x 2 does not fit into 1 x 1"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct net_plan plan = plan_of(wrong[i][0]);
        struct net net;
        struct error error;
        assert_false(net_fit(&net, &plan, sample, ACTIVATION_RELU, &error));
        assert_string_equal(error.text, wrong[i][1]);
    }
}

/* ---- Parameters and training ------------------------------------------------------------------------------------- */

static void parameters_derive_from_the_seed(void **state) {
    (void)state;
    const struct shape sample = {8, 8, 3};
    struct net net = net_of("conv3x7-pool2-5-3", sample, ACTIVATION_TANH, 1);
    struct tensors a = net_parameters(&net, 5), b = net_parameters(&net, 5), c = net_parameters(&net, 6);
    assert_int_equal(a.count, 6);
    assert_int_equal(a.tensor[0].rows, 7);
    assert_int_equal(a.tensor[0].columns, 27);
    assert_int_equal(a.tensor[2].rows, 5);
    assert_int_equal(a.tensor[2].columns, 63);
    assert_int_equal(a.values, 7 * 27 + 7 + 5 * 63 + 5 + 3 * 5 + 3);
    assert_int_equal(tensors_crc(&a), tensors_crc(&b));
    assert_int_not_equal(tensors_crc(&a), tensors_crc(&c));
    tensors_free(&a);
    tensors_free(&b);
    tensors_free(&c);
    net_free(&net);

    net = net_of("circulant20-circulant7x3-3", sample, ACTIVATION_RELU, 1);
    a = net_parameters(&net, 5);
    assert_int_equal(a.tensor[0].rows, 1);
    assert_int_equal(a.tensor[0].columns, 8 * 8 * 3); /* the larger of inputs and outputs */
    assert_int_equal(a.tensor[2].rows, 3 * 7);        /* blocks */
    assert_int_equal(a.tensor[2].columns, 3);
    assert_int_equal(a.values, 192 + 20 + 21 * 3 + 7 + 3 * 7 + 3);
    tensors_free(&a);
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

static void weights_shrink_but_biases_do_not(void **state) {
    (void)state;
    const size_t shapes[4][2] = {{1, 3}, {1, 1}, {2, 1}, {1, 2}};
    const float before[] = {1.0f, -1.0f, 0.25f, 0.5f, -0.125f, 0.0f, -3.0f, 0.125f};
    const float after[] = {0.75f, -0.75f, 0.0f, 0.5f, 0.0f, 0.0f, -3.0f, 0.125f};
    struct tensors parameters = tensors_create(shapes, 4);
    memcpy(parameters.all, before, sizeof before);
    sgd_shrink(&parameters, 0.25f);
    for (size_t i = 0; i < 8; i++) assert_true(parameters.all[i] == after[i]);
    parameters.all[0] = NAN;
    sgd_shrink(&parameters, 0.25f);
    assert_true(isnan(parameters.all[0]));
    tensors_free(&parameters);
}

static void training_fits_what_it_is_shown(void **state) {
    (void)state;
    const struct shape sample = {6, 6, 1};
    const char *const nets[] = {"36-7-5-3", "conv3x4-pool2-5-3", "conv3x4-pool2-circulant16-circulant16-3"};
    for (size_t i = 0; i < sizeof nets / sizeof *nets; i++) {
        struct trial trial = try_net(nets[i], sample, ACTIVATION_RELU, 5);
        struct tensors velocity = tensors_like(&trial.parameters);
        double loss = 0.0;
        for (int step = 0; step < 1000; step++) {
            loss =
                net_gradient(&trial.net, &trial.parameters, trial.inputs, trial.labels, trial.count, &trial.gradient);
            sgd_step(&trial.parameters, &velocity, &trial.gradient, 0.05f, 0.9f);
        }
        if (!(loss < 0.01)) fail_msg("%s: loss %g", nets[i], loss);
        assert_int_equal(net_correct(&trial.net, &trial.parameters, trial.inputs, trial.labels, trial.count), 5);
        tensors_free(&velocity);
        trial_free(&trial);
    }
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
        cmocka_unit_test(gradients_are_those_of_the_reference),
        cmocka_unit_test(gradients_of_a_larger_batch_are_those_of_the_reference),
        cmocka_unit_test(dense_nets_compute_the_same_bits_as_ever),
        cmocka_unit_test(factors_make_the_gradient),
        cmocka_unit_test(a_layers_gradient_is_told_of_before_the_next_is_computed),
        cmocka_unit_test(circulant_layers_travel_as_their_vectors),
        cmocka_unit_test(plans_are_read),
        cmocka_unit_test(wrong_plans_are_refused_where_they_are_wrong),
        cmocka_unit_test(plans_that_do_not_fit_the_samples_are_refused),
        cmocka_unit_test(parameters_derive_from_the_seed),
        cmocka_unit_test(momentum_and_rate_do_what_they_say),
        cmocka_unit_test(weights_shrink_but_biases_do_not),
        cmocka_unit_test(training_fits_what_it_is_shown),
        cmocka_unit_test(a_permutation_holds_every_number_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
