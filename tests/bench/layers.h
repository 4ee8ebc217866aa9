/* Circulant layers against dense ones of the same size, by CBLAS on one thread: the best time of a pass in REPEATS
 * turns, and the size from which the circulant layer is the faster one. A program defines on which transform, with
 * TRANSFORM for its name, and includes this.
 *
 * A pass is, of n inputs and n outputs,
 *
 *     forward     W x;                           the vectors' transforms being there already, as in inference
 *     backward    the gradients by x and by W    (dense: W^T g, and g x^T added to what was there)
 *     step        both, and first the transforms of the vectors, which training changes in every step
 */
#ifndef DTC_BENCH_LAYERS_H
#define DTC_BENCH_LAYERS_H

#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define DTC_STATIC
#include "dtcodec_fft.h"

enum { REPEATS = 25, SMALLEST = 32, LARGEST = 4096, BATCH = 32 };

struct layers {
    int n, batch;
    dtc_circulant_layer *circulant;
    float *vectors, *vector_gradient;
    float *matrix, *matrix_gradient;
    float *inputs, *outputs, *input_gradient;
};

enum pass { FORWARD, BACKWARD, STEP, PASSES };

static void dense(const struct layers *l, enum pass pass) {
    int n = l->n, b = l->batch;
    if (pass != BACKWARD && b == 1)
        cblas_sgemv(CblasRowMajor, CblasNoTrans, n, n, 1, l->matrix, n, l->inputs, 1, 0, l->outputs, 1);
    else if (pass != BACKWARD)
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, b, n, n, 1, l->inputs, n, l->matrix, n, 0, l->outputs, n);
    if (pass != FORWARD && b == 1) {
        cblas_sgemv(CblasRowMajor, CblasTrans, n, n, 1, l->matrix, n, l->outputs, 1, 0, l->input_gradient, 1);
        cblas_sger(CblasRowMajor, n, n, 1, l->outputs, 1, l->inputs, 1, l->matrix_gradient, n);
    } else if (pass != FORWARD) {
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, b, n, n, 1, l->outputs, n, l->matrix, n, 0,
                    l->input_gradient, n);
        cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, n, n, b, 1, l->outputs, n, l->inputs, n, 1,
                    l->matrix_gradient, n);
    }
}

static void circulant(const struct layers *l, enum pass pass) {
    size_t batch = (size_t)l->batch;
    dtc_status status = DTC_OK;
    if (pass == STEP) status = dtc_circulant_layer_load(l->circulant, l->vectors);
    if (pass != BACKWARD && status == DTC_OK)
        status = dtc_circulant_forward(l->circulant, l->outputs, l->inputs, batch);
    if (pass != FORWARD && status == DTC_OK)
        status = dtc_circulant_backward_inputs(l->circulant, l->input_gradient, l->outputs, batch);
    if (pass != FORWARD && status == DTC_OK)
        status = dtc_circulant_backward_vectors(l->circulant, l->vector_gradient, l->inputs, l->outputs, batch);
    if (status == DTC_OK) return;
    fprintf(stderr, "bench: %s\n", dtc_status_string(status));
    exit(1);
}

/* Processor time, so that what else runs on the machine counts less. */
static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Seconds of one call, from as many as take half a millisecond. */
static double seconds(void (*layer)(const struct layers *, enum pass), const struct layers *l, enum pass pass) {
    double start = now(), end;
    int calls = 0;
    do {
        layer(l, pass);
        calls++;
        end = now();
    } while (end - start < 0.0005);
    return (end - start) / calls;
}

static void *room(size_t bytes) {
    void *p = calloc(bytes, 1);
    if (p) return p;
    fprintf(stderr, "bench: out of memory\n");
    exit(1);
}

static float *numbers(size_t count) {
    float *values = (float *)room(count * sizeof(float));
    uint32_t state = 1;
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        values[i] = (float)(state >> 8) / 16777216.0f - 0.5f;
    }
    return values;
}

static int measure_layers(void) {
    static const char *const names[] = {"forward", "backward", "step"};
    static const int batches[] = {1, BATCH};
    int from[2][PASSES] = {{0}}; /* the size from which on circulant has been faster */
    size_t most = (size_t)LARGEST * LARGEST;
    struct layers l;
    openblas_set_num_threads(1);
    l.matrix = numbers(most);
    l.matrix_gradient = numbers(most);
    l.vectors = numbers(LARGEST);
    l.vector_gradient = numbers(LARGEST);
    l.inputs = numbers(LARGEST * BATCH);
    l.outputs = numbers(LARGEST * BATCH);
    l.input_gradient = numbers(LARGEST * BATCH);
    printf("\nCirculant layers on %s against dense ones, microseconds a sample\n", TRANSFORM);
    printf("%6s %6s", "n", "batch");
    for (int pass = 0; pass < PASSES; pass++) printf("   %9s:%9s %9s %6s", names[pass], "dense", "circulant", "times");
    printf("\n");
    for (l.n = SMALLEST; l.n <= LARGEST; l.n *= 2) {
        for (int b = 0; b < 2; b++) {
            l.batch = batches[b];
            size_t n = (size_t)l.n, bytes = dtc_circulant_layer_bytes(n, n, 0, (size_t)l.batch);
            void *memory = room(bytes);
            if (dtc_circulant_layer_open(&l.circulant, memory, bytes, n, n, 0, (size_t)l.batch) != DTC_OK ||
                dtc_circulant_layer_load(l.circulant, l.vectors) != DTC_OK) {
                fprintf(stderr, "bench: no circulant layer of %d\n", l.n);
                return 1;
            }
            printf("%6d %6d", l.n, l.batch);
            for (int pass = 0; pass < PASSES; pass++) {
                double dense_s = 1e9, circulant_s = 1e9, s;
                for (int repeat = 0; repeat < REPEATS; repeat++) { /* in turn, so that both have the same machine */
                    s = seconds(dense, &l, (enum pass)pass) / l.batch;
                    dense_s = s < dense_s ? s : dense_s;
                    s = seconds(circulant, &l, (enum pass)pass) / l.batch;
                    circulant_s = s < circulant_s ? s : circulant_s;
                }
                printf("   %9s %9.2f %9.2f %6.1f", "", 1e6 * dense_s, 1e6 * circulant_s, dense_s / circulant_s);
                if (dense_s <= circulant_s)
                    from[b][pass] = 0;
                else if (!from[b][pass])
                    from[b][pass] = l.n;
            }
            printf("\n");
            fflush(stdout);
            dtc_circulant_layer_close(l.circulant);
            free(memory);
        }
    }
    for (int b = 0; b < 2; b++) {
        printf("batch %d: circulant is faster", batches[b]);
        for (int pass = 0; pass < PASSES; pass++) {
            if (from[b][pass])
                printf("%s %s from n = %d", pass ? "," : "", names[pass], from[b][pass]);
            else
                printf("%s %s at none of these", pass ? "," : "", names[pass]);
        }
        printf("\n");
    }
    free(l.matrix);
    free(l.matrix_gradient);
    free(l.vectors);
    free(l.vector_gradient);
    free(l.inputs);
    free(l.outputs);
    free(l.input_gradient);
    return 0;
}

#endif
