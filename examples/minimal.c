/* minimal: two workers send the gradients of a small model as packets, and a receiver adds up their mean. */
#define DTCODEC_IMPLEMENTATION
#include "dtcodec.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { WORKERS = 2, STEPS = 4, TENSORS = 4, VALUES = 39760 };
static const size_t first[TENSORS + 1] = {0, 39200, 39250, 39750, VALUES}; /* where each tensor begins */
static float gradient[VALUES], residual[WORKERS][VALUES], sum[VALUES], exact[VALUES];

static void check(dtc_status status) {
    if (status == DTC_OK) return;
    fprintf(stderr, "minimal: %s\n", dtc_status_string(status));
    exit(1);
}

static size_t encode_message(const dtc_spec *spec, int worker, unsigned char *message, size_t capacity) {
    size_t at = 0, bytes;
    for (int t = 0; t < TENSORS; t++, at += bytes) {
        size_t count = first[t + 1] - first[t], scratch_bytes = dtc_encode_scratch(spec, count);
        void *scratch = malloc(scratch_bytes); /* if malloc fails, the status is DTC_ERROR_SCRATCH */
        check(dtc_encode_residual(spec, message + at, capacity - at, &bytes, gradient + first[t],
                                  residual[worker] + first[t], count, scratch, scratch_bytes));
        free(scratch);
    }
    return at;
}

static void receive_message(const unsigned char *message, size_t bytes) {
    dtc_info info;
    for (int t = 0; t < TENSORS; t++, message += info.packet_bytes, bytes -= info.packet_bytes) {
        check(dtc_inspect(message, bytes, &info));
        check(info.count == first[t + 1] - first[t] ? DTC_OK : DTC_ERROR_COUNT); /* before the packet costs memory */
        void *scratch = malloc(info.decode_scratch);
        check(dtc_decode_add(sum + first[t], info.count, 1.0f / WORKERS, message, info.packet_bytes, NULL, scratch,
                             info.decode_scratch));
        free(scratch);
    }
    check(bytes == 0 ? DTC_OK : DTC_ERROR_SIZE);
}

int main(void) {
    static unsigned char message[4 * VALUES + 64 * TENSORS]; /* large enough, see dtc_encode_bound */
    double sent = 0.0, error = 0.0, square = 0.0;
    dtc_spec spec;
    check(dtc_spec_parse("quant:bits=4", &spec, NULL));
    for (int turn = 0; turn < STEPS * WORKERS; turn++) {
        for (size_t i = 0; i < VALUES; i++) gradient[i] = (float)pow((double)rand() / RAND_MAX - 0.5, 3.0);
        for (size_t i = 0; i < VALUES; i++) exact[i] += gradient[i] / WORKERS;
        size_t bytes = encode_message(&spec, turn % WORKERS, message, sizeof message);
        receive_message(message, bytes); /* a program with several processes sends the message before this call */
        sent += (double)bytes;
    }
    for (size_t i = 0; i < VALUES; i++) error += pow((double)(sum[i] - exact[i]), 2.0);
    for (size_t i = 0; i < VALUES; i++) square += pow((double)exact[i], 2.0);
    printf("sent %.0f bytes instead of %.0f\n", sent, 4.0 * VALUES * STEPS * WORKERS);
    printf("relative error of the sum %.4f\n", sqrt(error / square));
    return 0;
}
