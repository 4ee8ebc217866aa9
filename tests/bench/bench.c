/* Bits, error and speed of the codecs, on five kinds of values: Gaussian, Laplace, the gradient of an embedding, and a
 * real gradient and its parameters, which are those of the first layer of 784-392-50-10, a hundred steps into
 * Fashion-MNIST.
 *
 *     bench [--curves] [DIR]      DIR holds the IDX files of Fashion-MNIST; without them, the first three kinds alone
 *
 * Speed is floats per second, and the ratio to memcpy of the same floats, timed in turn with it: medians of REPEATS.
 * Speeds are measured on Gaussian values, gradient and parameters; --curves leaves them out. The curves are the errors
 * against the bits, of the codecs and of three compressors of the literature. Rates count every byte of the packet. All
 * is also written to build/bench.csv, from which `make figures` makes the plots and the table of tests/bench/README.md.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dtcodec.h"
#include "examples/common/error.h"
#include "examples/common/memory.h"
#include "tests/bench/baselines.h"
#include "tests/bench/data.h"
#include "tests/training.h"

enum {
    REPEATS = 9,
    GAUSSIAN = 1 << 22,
    GAUSSIAN_ROWS = 1 << 11,
    CURVE_ROWS = 1 << 10,    /* of Gaussian and Laplace values, which are squares for factor and circulant */
    CURVE_SENSING = 1 << 18, /* values: decoding sensing iterates */
    STEPS = 100
};

static const char *const specs[] = {
    "raw",
    "raw:type=bf16",
    "ternary",
    "ternary:pack=base3",
    "quant",
    "quant:bits=2",
    "quant:bits=4",
    "quant:bits=4,block=1024",
    "quant:bits=4,rounding=stochastic",
    "quant:bits=8",
    "quant:bits=8,entropy=none",
    "quant:bits=8,entropy=none,block=1024",
    "quant:bits=10",
    "quant:rate=2",
    "sensing",
    "sensing:ratio=0.6,bits=2",
    "factor:rank=4",
    "factor:rank=8,value=8",
    "circulant:block=16",
};

/* The specs of each curve, in the order of the table. */
static const struct {
    const char *curve, *spec;
} curves[] = {
    {"raw", "raw:type=bf16"},
    {"ternary", "ternary"},
    {"ternary", "ternary:pack=base3"},
    {"ternary", "ternary:block=512"},
    {"quant:bits=auto", "quant"},
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
    bool speeds, curves; /* what is measured */
    const char *tensor;
    const float *values;
    float *decoded;
    size_t rows, count;
    FILE *csv;
};

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void must(dtc_status status, const char *spec) {
    if (status == DTC_OK) return;
    fprintf(stderr, "bench: %s: %s\n", spec, dtc_status_string(status));
    exit(1);
}

/* A spec with the packet and the memory of one tensor. */
struct trial {
    const char *text;
    dtc_spec spec;
    void *packet, *scratch, *decode_scratch;
    size_t count, packet_bytes, capacity, scratch_bytes, decode_bytes;
};

static void encode(struct trial *trial, const float *values) {
    must(dtc_encode(&trial->spec, trial->packet, trial->capacity, &trial->packet_bytes, values, trial->count,
                    trial->scratch, trial->scratch_bytes),
         trial->text);
}

static void decode(const struct trial *trial, float *decoded) {
    must(dtc_decode(decoded, trial->count, trial->packet, trial->packet_bytes, NULL, trial->decode_scratch,
                    trial->decode_bytes),
         trial->text);
}

static void decode_add(const struct trial *trial, float *decoded) {
    must(dtc_decode_add(decoded, trial->count, 0.25f, trial->packet, trial->packet_bytes, NULL, trial->decode_scratch,
                        trial->decode_bytes),
         trial->text);
}

/* Encodes and decodes `count` values of the tensor. */
static struct trial trial_open(const struct bench *bench, const char *text, size_t count) {
    struct trial trial;
    dtc_info info;
    memset(&trial, 0, sizeof trial);
    trial.text = text;
    trial.count = count;
    must(dtc_spec_parse(text, &trial.spec, NULL), text);
    trial.spec.seed = 1;
    if (trial.spec.codec == DTC_FACTOR || trial.spec.codec == DTC_CIRCULANT) trial.spec.rows = bench->rows;
    trial.capacity = dtc_encode_bound(&trial.spec, count);
    trial.scratch_bytes = dtc_encode_scratch(&trial.spec, count);
    trial.packet = allocate(trial.capacity, 1);
    trial.scratch = allocate(trial.scratch_bytes + 1, 1);
    encode(&trial, bench->values);
    must(dtc_inspect(trial.packet, trial.packet_bytes, &info), text);
    trial.decode_bytes = info.decode_scratch;
    trial.decode_scratch = allocate(trial.decode_bytes + 1, 1);
    decode(&trial, bench->decoded);
    return trial;
}

static void trial_free(struct trial *trial) {
    free(trial->packet);
    free(trial->scratch);
    free(trial->decode_scratch);
}

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

/* One spec on one tensor: a row of the table, and a line an operation in the CSV. */
static void measure(const struct bench *bench, const char *text) {
    static const char *const names[] = {"encode", "decode", "decode_add"};
    size_t n = bench->count;
    double seconds[REPEATS], ratio[REPEATS];
    struct trial trial = trial_open(bench, text, n);
    double bits = bits_of(&trial), nmse = error_of(bench, n);
    printf("%-11s %-38s %7.3f  %8.2g ", bench->tensor, text, bits, nmse);
    for (int op = 0; op < 3; op++) {
        for (int repeat = 0; repeat < REPEATS; repeat++) {
            double start = now(), copied, done;
            memcpy(bench->decoded, bench->values, n * sizeof(float));
            copied = now();
            if (op == 0)
                encode(&trial, bench->values);
            else
                (op == 1 ? decode : decode_add)(&trial, bench->decoded);
            done = now();
            seconds[repeat] = done - copied;
            ratio[repeat] = (copied - start) / (done - copied);
        }
        qsort(seconds, REPEATS, sizeof *seconds, ascending);
        qsort(ratio, REPEATS, sizeof *ratio, ascending);
        double gbps = 4e-9 * (double)n / seconds[REPEATS / 2];
        printf("  %6.2f %5.3f", gbps, ratio[REPEATS / 2]);
        fprintf(bench->csv, "%s,%zu,\"%s\",%s,%.4f,%.4f,%.5f,%.4g,\n", bench->tensor, n, text, names[op], gbps,
                ratio[REPEATS / 2], bits, nmse);
    }
    printf("\n");
    fflush(stdout);
    trial_free(&trial);
}

/* One point of a curve: a row of the table and a line in the CSV, without speeds. */
static void print_point(const struct bench *bench, size_t count, const char *curve, const char *text, double bits) {
    double nmse = error_of(bench, count);
    printf("%-11s %-38s %7.3f  %8.3g\n", bench->tensor, text, bits, nmse);
    fprintf(bench->csv, "%s,%zu,\"%s\",curve,,,%.5f,%.6g,\"%s\"\n", bench->tensor, count, text, bits, nmse, curve);
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
        struct trial trial = trial_open(bench, curves[i].spec, count);
        print_point(bench, count, curves[i].curve, curves[i].spec, bits_of(&trial));
        trial_free(&trial);
    }
    for (size_t i = 0; i < sizeof baselines / sizeof *baselines; i++) {
        double bits = compress(bench, baselines[i].baseline, baselines[i].parameter) / (double)bench->count;
        print_point(bench, bench->count, baselines[i].curve, baselines[i].name, bits);
    }
}

/* Measures the speeds, the curves, or both on one tensor. */
static void measure_all(struct bench *bench, const char *tensor, const float *values, size_t rows, size_t columns) {
    bench->tensor = tensor;
    bench->values = values;
    bench->rows = rows;
    bench->count = rows * columns;
    bench->decoded = (float *)allocate(bench->count, sizeof(float));
    for (size_t i = 0; i < sizeof specs / sizeof *specs && bench->speeds; i++) measure(bench, specs[i]);
    if (bench->curves) measure_curves(bench);
    free(bench->decoded);
}

/* Measures the largest tensor's gradient and parameters. */
static void measure_net(struct bench *bench, const struct training *training) {
    const struct tensor *gradient = &training->gradient.tensor[0], *parameters = &training->parameters.tensor[0];
    measure_all(bench, "gradient", gradient->values, gradient->rows, gradient->columns);
    measure_all(bench, "parameters", parameters->values, parameters->rows, parameters->columns);
}

static void measure_drawn(struct bench *bench) {
    float *normal = gaussian_values(GAUSSIAN), *laplace = laplace_values(CURVE_ROWS * CURVE_ROWS);
    float *embedding = embedding_gradient();
    bool speeds = bench->speeds;
    bench->curves = false;
    measure_all(bench, "gaussian", normal, GAUSSIAN_ROWS, GAUSSIAN / GAUSSIAN_ROWS);
    bench->speeds = false;
    bench->curves = true;
    measure_all(bench, "gaussian", normal, CURVE_ROWS, CURVE_ROWS);
    measure_all(bench, "laplace", laplace, CURVE_ROWS, CURVE_ROWS);
    measure_all(bench, "embedding", embedding, EMBEDDING_ROWS, EMBEDDING_COLUMNS);
    bench->speeds = speeds;
    free(normal);
    free(laplace);
    free(embedding);
}

int main(int argc, char **argv) {
    struct bench bench = {0};
    struct training training;
    struct error error;
    bench.speeds = argc < 2 || strcmp(argv[1], "--curves") != 0;
    const char *images = argv[argc < 2 ? argc : bench.speeds ? 1 : 2];
    if (images && !training_run(&training, images, STEPS, &error)) {
        fprintf(stderr, "bench: %s\n", error.text);
        return 1;
    }
    bench.csv = fopen("build/bench.csv", "w");
    if (!bench.csv) {
        fprintf(stderr, "bench: cannot write build/bench.csv; run it where build/ is\n");
        return 1;
    }
    fprintf(bench.csv, "tensor,values,spec,op,gbps,memcpy_ratio,bits_per_value,nmse,curve\n");
    printf("%-11s %-38s %7s  %8s   %12s  %12s  %12s\n", "", "", "", "", "encode", "decode", "decode_add");
    printf("%-11s %-38s %7s  %8s   %6s %5s  %6s %5s  %6s %5s\n", "tensor", "spec", "bits", "nmse", "GB/s", "x cpy",
           "GB/s", "x cpy", "GB/s", "x cpy");
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
