/* minimal: two workers train y = W x + b together. In each step every worker sends its gradient as one message. */
#define DTCODEC_IMPLEMENTATION
#include "dtcodec.h"
#include <stdio.h>
#include <stdlib.h>

enum { WORKERS = 2, STEPS = 200, BATCH = 16, ROWS = 10, COLUMNS = 100, WEIGHTS = ROWS * COLUMNS };
static float truth[WEIGHTS], weights[WEIGHTS], biases[ROWS]; /* the parameters, which all workers hold */
static float gradient[WEIGHTS + ROWS], residual[WORKERS][WEIGHTS + ROWS];

static void check(dtc_status status) {
    if (status == DTC_OK) return;
    fprintf(stderr, "minimal: %s\n", dtc_status_string(status));
    exit(1);
}

/* Sets `gradient` to that of half the mean squared error on a batch, and returns the mean squared error. */
static double backward(void) {
    double squares = 0.0;
    for (int i = 0; i < WEIGHTS + ROWS; i++) gradient[i] = 0.0f;
    for (int sample = 0; sample < BATCH; sample++) {
        float x[COLUMNS];
        for (int j = 0; j < COLUMNS; j++) x[j] = (float)rand() / (float)RAND_MAX - 0.5f;
        for (int i = 0; i < ROWS; i++) {
            float error = biases[i] - 1.0f; /* the true biases are 1 */
            for (int j = 0; j < COLUMNS; j++) error += (weights[i * COLUMNS + j] - truth[i * COLUMNS + j]) * x[j];
            for (int j = 0; j < COLUMNS; j++) gradient[i * COLUMNS + j] += error * x[j] / BATCH;
            gradient[WEIGHTS + i] += error / BATCH;
            squares += (double)(error * error) / (BATCH * ROWS);
        }
    }
    return squares;
}

int main(void) {
    dtc_tensor parameters[2] = {{weights, NULL, WEIGHTS, ROWS}, {biases, NULL, ROWS, 0}};
    dtc_spec spec;
    size_t sent = 0, bytes;
    check(dtc_spec_parse("quant:bits=4", &spec, NULL));
    size_t capacity = dtc_message_bound(&spec, parameters, 2), need = dtc_message_scratch(&spec, parameters, 2);
    void *message = malloc(capacity), *scratch = malloc(need); /* if malloc fails, a status says so */
    for (int i = 0; i < WEIGHTS; i++) truth[i] = (float)rand() / (float)RAND_MAX - 0.5f;
    for (int step = 0; step <= STEPS; step++) {
        double error = 0.0;
        for (int worker = 0; worker < WORKERS; worker++) {
            float *left = residual[worker];
            dtc_tensor tensors[2] = {{gradient, left, WEIGHTS, ROWS}, {gradient + WEIGHTS, left + WEIGHTS, ROWS, 0}};
            error += backward() / WORKERS;
            spec.seed = dtc_seed(1, (uint64_t)step, (uint64_t)worker);
            check(dtc_message_encode(&spec, message, capacity, &bytes, tensors, 2, scratch, need));
            /* a program with several processes sends the message here; each one decodes the messages of all */
            check(dtc_message_decode_add(parameters, 2, -0.5f / WORKERS, message, bytes, NULL, scratch, need));
            sent += bytes;
        }
        if (step % (STEPS / 4) == 0) printf("step %3d: mean squared error %.5f\n", step, error);
    }
    printf("sent %zu bytes instead of %zu\n", sent, sizeof gradient * WORKERS * (STEPS + 1));
    free(message), free(scratch);
    return 0;
}
