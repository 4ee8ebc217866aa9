/* Circulant layers against dense ones of the same size, by CBLAS on one thread: the best time of a pass in REPEATS
 * turns, and the size from which the circulant layer is the faster one. A program defines on which transform, with
 * TRANSFORM for its name, and includes this.
 *
 * A pass is, of n inputs and n outputs,
 *
 *     forward     W x;                           the vectors' transforms being there already, as in inference
 *     backward    the gradients by x and by W    (dense: W^T g, and g x^T added to what was there)
 *     step        both, and first the transforms of the vectors, which training changes in every step
 *
 * Then circulant packets' matrices times a vector, by dtc_packet_matvec and by dtc_fft_packet_matvec.
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
    unsigned char *packet, *scratch;
    size_t packet_bytes, scratch_bytes;
};

enum pass { FORWARD, BACKWARD, STEP, PASSES };

static void must(dtc_status status) {
    if (status == DTC_OK) return;
    fprintf(stderr, "bench: %s\n", dtc_status_string(status));
    exit(1);
}

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
    if (pass == STEP) must(dtc_circulant_layer_load(l->circulant, l->vectors));
    if (pass != BACKWARD) must(dtc_circulant_forward(l->circulant, l->outputs, l->inputs, batch));
    if (pass == FORWARD) return;
    must(dtc_circulant_backward_inputs(l->circulant, l->input_gradient, l->outputs, batch));
    must(dtc_circulant_backward_vectors(l->circulant, l->vector_gradient, l->inputs, l->outputs, batch));
}

/* A packet's matrix times the inputs; transposed in BACKWARD. */
static void direct(const struct layers *l, enum pass pass) {
    must(dtc_packet_matvec(l->outputs, l->packet, l->packet_bytes, l->inputs, pass == BACKWARD, l->scratch,
                           l->scratch_bytes));
}

static void transformed(const struct layers *l, enum pass pass) {
    must(dtc_fft_packet_matvec(l->outputs, l->packet, l->packet_bytes, l->inputs, pass == BACKWARD, l->scratch,
                               l->scratch_bytes));
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

/* The best times of both ways to do a pass, in turn, so that both have the same machine. */
static void race(double *slow_s, void (*slow)(const struct layers *, enum pass), double *fast_s,
                 void (*fast)(const struct layers *, enum pass), const struct layers *l, enum pass pass) {
    *slow_s = *fast_s = 1e9;
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        double s = seconds(slow, l, pass);
        *slow_s = s < *slow_s ? s : *slow_s;
        s = seconds(fast, l, pass);
        *fast_s = s < *fast_s ? s : *fast_s;
    }
}

static void measure_layers(void) {
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
            must(dtc_circulant_layer_open(&l.circulant, memory, bytes, n, n, 0, (size_t)l.batch));
            must(dtc_circulant_layer_load(l.circulant, l.vectors));
            printf("%6d %6d", l.n, l.batch);
            for (int pass = 0; pass < PASSES; pass++) {
                double dense_s, circulant_s;
                race(&dense_s, dense, &circulant_s, circulant, &l, (enum pass)pass);
                printf("   %9s %9.2f %9.2f %6.1f", "", 1e6 * dense_s / l.batch, 1e6 * circulant_s / l.batch,
                       dense_s / circulant_s);
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
}

/* Packets of one block. */
static void measure_products(void) {
    static const char *const specs[] = {"circulant", "circulant:value=8"};
    struct layers l;
    l.vectors = numbers(LARGEST);
    l.inputs = numbers(LARGEST);
    l.outputs = numbers(LARGEST);
    printf("\nCirculant packets times a vector on %s, microseconds\n", TRANSFORM);
    printf("%6s %-20s %-6s %18s %22s %6s\n", "n", "spec", "", "dtc_packet_matvec", "dtc_fft_packet_matvec", "times");
    for (size_t n = LARGEST / 4; n <= LARGEST; n *= 4) {
        for (size_t k = 0; k < sizeof specs / sizeof *specs; k++) {
            size_t capacity = 4 * n + 100, other;
            dtc_spec spec;
            must(dtc_spec_parse(specs[k], &spec, NULL));
            l.packet = (unsigned char *)room(capacity);
            l.scratch_bytes = dtc_encode_circulant_scratch(&spec, n, n);
            l.scratch = (unsigned char *)room(l.scratch_bytes);
            must(dtc_encode_circulant(&spec, l.packet, capacity, &l.packet_bytes, l.vectors, n, n, l.scratch,
                                      l.scratch_bytes));
            free(l.scratch);
            l.scratch_bytes = dtc_fft_packet_matvec_scratch(l.packet, l.packet_bytes, 0);
            other = dtc_packet_matvec_scratch(l.packet, l.packet_bytes, 0);
            if (l.scratch_bytes < other) l.scratch_bytes = other;
            l.scratch = (unsigned char *)room(l.scratch_bytes);
            for (int pass = FORWARD; pass <= BACKWARD; pass++) {
                double direct_s, transformed_s;
                race(&direct_s, direct, &transformed_s, transformed, &l, (enum pass)pass);
                printf("%6zu %-20s %-6s %18.2f %22.2f %6.1f\n", n, specs[k], pass == FORWARD ? "W x" : "W^T x",
                       1e6 * direct_s, 1e6 * transformed_s, direct_s / transformed_s);
            }
            free(l.scratch);
            free(l.packet);
        }
    }
    free(l.vectors);
    free(l.inputs);
    free(l.outputs);
}

#endif
