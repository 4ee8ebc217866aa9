/* Bits and errors of the codecs, on five kinds of values: Gaussian, Laplace, the gradient of an embedding, and a
 * real gradient and its parameters, which are those of the first layer of 784-392-50-10, a hundred steps into
 * Fashion-MNIST.
 *
 *     bench [DIR]      DIR holds the IDX files of Fashion-MNIST; without them, the first three kinds alone
 *
 * The curves are the errors against the bits, of the codecs and of three compressors of the literature. Rates count
 * every byte of the packet. All is also written to build/bench.csv, from which `make figures` makes the plots and the
 * table of tests/bench/README.md.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "examples/common/error.h"
#include "examples/common/memory.h"
#include "tests/bench/baselines.h"
#include "tests/bench/data.h"
#include "tests/bench/trial.h"
#include "tests/training.h"

enum {
    CURVE_ROWS = 1 << 10,    /* of Gaussian and Laplace values, which are squares for factor and circulant */
    CURVE_SENSING = 1 << 18, /* values: decoding sensing iterates */
    STEPS = 100
};

/* The specs of each curve, in the order of the table. */
static const struct {
    const char *curve, *spec;
} curves[] = {
    {"raw", "raw:type=bf16"},
    {"ternary", "ternary"},
    {"ternary", "ternary:pack=base3"},
    {"ternary", "ternary:block=512"},
    {"quant", "quant"},
    {"quant:bits=auto", "quant:bits=auto"},
    {"quant:rate=B", "quant:rate=0.1"},
    {"quant:rate=B", "quant:rate=0.2"},
    {"quant:rate=B", "quant:rate=0.5"},
    {"quant:rate=B", "quant:rate=1"},
    {"quant:rate=B", "quant:rate=2"},
    {"quant:rate=B", "quant:rate=3"},
    {"quant:rate=B", "quant:rate=4"},
    {"quant:bits=N", "quant:bits=2"},
    {"quant:bits=N", "quant:bits=3"},
    {"quant:bits=N", "quant:bits=4"},
    {"quant:bits=N", "quant:bits=5"},
    {"quant:bits=N", "quant:bits=6"},
    {"quant:bits=N", "quant:bits=7"},
    {"quant:bits=N", "quant:bits=8"},
    {"quant:bits=4,block=1024", "quant:bits=4,block=1024"},
    {"quant:bits=4,rounding=stochastic", "quant:bits=4,rounding=stochastic"},
    {"quant:bits=8,entropy=none", "quant:bits=8,entropy=none"},
    {"quant:rotate=1,rate=B", "quant:rotate=1,rate=1"},
    {"quant:rotate=1,rate=B", "quant:rotate=1,rate=2"},
    {"quant:rotate=1,rate=B", "quant:rotate=1,rate=3"},
    {"quant:rotate=1,rate=B", "quant:rotate=1,rate=4"},
    {"quant:rotate=1,bits=N", "quant:rotate=1,bits=1"},
    {"quant:rotate=1,bits=N", "quant:rotate=1,bits=2"},
    {"quant:rotate=1,bits=N", "quant:rotate=1,bits=3"},
    {"quant:rotate=1,bits=N", "quant:rotate=1,bits=4"},
    {"factor:rank=R,value=8", "factor:rank=1,value=8"},
    {"factor:rank=R,value=8", "factor:rank=2,value=8"},
    {"factor:rank=R,value=8", "factor:rank=4,value=8"},
    {"factor:rank=R,value=8", "factor:rank=8,value=8"},
    {"factor:rank=R,value=8", "factor:rank=16,value=8"},
    {"factor:rank=R,value=8", "factor:rank=32,value=8"},
    {"factor:rank=R", "factor:rank=4"},
    {"sensing", "sensing:ratio=0.1,bits=2"},
    {"sensing", "sensing:ratio=0.25,bits=2"},
    {"sensing", "sensing:ratio=0.6,bits=2"},
    {"sensing", "sensing:ratio=0.6,bits=4"},
    {"sensing", "sensing:ratio=1,bits=4"},
    {"circulant", "circulant:block=16,value=8"},
    {"circulant", "circulant:block=16"},
};

/* The compressors of the literature, after the codecs. */
enum baseline { TOPK, MINMAX, EDEN, EDEN_LEAST };

static const struct {
    const char *curve, *name;
    enum baseline baseline;
    int parameter;
} baselines[] = {
    {"top-k of 4096", "top-k, k=32", TOPK, 32},
    {"top-k of 4096", "top-k, k=64", TOPK, 64},
    {"top-k of 4096", "top-k, k=128", TOPK, 128},
    {"min-max of 512", "min-max, 2 bits", MINMAX, 2},
    {"min-max of 512", "min-max, 3 bits", MINMAX, 3},
    {"min-max of 512", "min-max, 4 bits", MINMAX, 4},
    {"min-max of 512", "min-max, 8 bits", MINMAX, 8},
    {"EDEN", "EDEN, 1 bit", EDEN, 1},
    {"EDEN", "EDEN, 2 bits", EDEN, 2},
    {"EDEN", "EDEN, 3 bits", EDEN, 3},
    {"EDEN", "EDEN, 4 bits", EDEN, 4},
    {"EDEN, least error", "EDEN, least error, 1 bit", EDEN_LEAST, 1},
    {"EDEN, least error", "EDEN, least error, 2 bits", EDEN_LEAST, 2},
    {"EDEN, least error", "EDEN, least error, 3 bits", EDEN_LEAST, 3},
    {"EDEN, least error", "EDEN, least error, 4 bits", EDEN_LEAST, 4},
};

struct bench {
    const char *tensor;
    const float *values;
    float *decoded;
    size_t rows, count;
    FILE *csv;
};

static double bits_of(const struct trial *trial) {
    return 8.0 * (double)trial->packet_bytes / (double)trial->count;
}

/* Squared error over squared norm. */
static double error_of(const struct bench *bench, size_t count) {
    double error = 0, square = 0;
    for (size_t i = 0; i < count; i++) {
        double off = (double)bench->values[i] - (double)bench->decoded[i];
        error += off * off;
        square += (double)bench->values[i] * (double)bench->values[i];
    }
    return square > 0 ? error / square : 0;
}

/* One point of a curve: a row of the table and a line in the CSV, without speeds. */
static void print_point(const struct bench *bench, size_t count, const char *curve, const char *text, double bits) {
    double nmse = error_of(bench, count);
    printf("%-11s %-38s %7.3f  %8.3g\n", bench->tensor, text, bits, nmse);
    fprintf(bench->csv, "%s,%zu,\"%s\",%.5f,%.6g,\"%s\"\n", bench->tensor, count, text, bits, nmse, curve);
    fflush(stdout);
}

static double compress(const struct bench *bench, enum baseline baseline, int parameter) {
    switch (baseline) {
    case TOPK:
        return topk(bench->values, bench->count, bench->decoded, parameter);
    case MINMAX:
        return minmax(bench->values, bench->count, bench->decoded, parameter);
    default:
        return eden(bench->values, bench->count, bench->decoded, parameter, baseline == EDEN_LEAST);
    }
}

static void measure_curves(const struct bench *bench) {
    for (size_t i = 0; i < sizeof curves / sizeof *curves; i++) {
        bool sensing = strncmp(curves[i].spec, "sensing", 7) == 0;
        size_t count = sensing && bench->count > CURVE_SENSING ? CURVE_SENSING : bench->count;
        struct trial trial = trial_open(curves[i].spec, bench->values, bench->decoded, count, bench->rows);
        print_point(bench, count, curves[i].curve, curves[i].spec, bits_of(&trial));
        trial_free(&trial);
    }
    for (size_t i = 0; i < sizeof baselines / sizeof *baselines; i++) {
        double bits = compress(bench, baselines[i].baseline, baselines[i].parameter) / (double)bench->count;
        print_point(bench, bench->count, baselines[i].curve, baselines[i].name, bits);
    }
}

static void measure_all(struct bench *bench, const char *tensor, const float *values, size_t rows, size_t columns) {
    bench->tensor = tensor;
    bench->values = values;
    bench->rows = rows;
    bench->count = rows * columns;
    bench->decoded = (float *)allocate(bench->count, sizeof(float));
    measure_curves(bench);
    free(bench->decoded);
}

/* Measures the largest tensor's gradient and parameters. */
static void measure_net(struct bench *bench, const struct training *training) {
    const struct tensor *gradient = &training->gradient.tensor[0], *parameters = &training->parameters.tensor[0];
    measure_all(bench, "gradient", gradient->values, gradient->rows, gradient->columns);
    measure_all(bench, "parameters", parameters->values, parameters->rows, parameters->columns);
}

static void measure_drawn(struct bench *bench) {
    float *normal = gaussian_values(CURVE_ROWS * CURVE_ROWS), *laplace = laplace_values(CURVE_ROWS * CURVE_ROWS);
    float *embedding = embedding_gradient();
    measure_all(bench, "gaussian", normal, CURVE_ROWS, CURVE_ROWS);
    measure_all(bench, "laplace", laplace, CURVE_ROWS, CURVE_ROWS);
    measure_all(bench, "embedding", embedding, EMBEDDING_ROWS, EMBEDDING_COLUMNS);
    free(normal);
    free(laplace);
    free(embedding);
}

int main(int argc, char **argv) {
    struct bench bench = {0};
    struct training training;
    struct error error;
    const char *images = argc > 1 ? argv[1] : NULL;
    if (images && !training_run(&training, images, STEPS, &error)) {
        fprintf(stderr, "bench: %s\n", error.text);
        return 1;
    }
    bench.csv = fopen("build/bench.csv", "w");
    if (!bench.csv) {
        fprintf(stderr, "bench: cannot write build/bench.csv; run it where build/ is\n");
        return 1;
    }
    fprintf(bench.csv, "tensor,values,spec,bits_per_value,nmse,curve\n");
    printf("%-11s %-38s %7s  %8s\n", "tensor", "spec", "bits", "nmse");
    measure_drawn(&bench);
    if (images) {
        measure_net(&bench, &training);
        training_free(&training);
    }
    if (fclose(bench.csv)) {
        fprintf(stderr, "bench: build/bench.csv could not be written whole\n");
        return 1;
    }
    return 0;
}
