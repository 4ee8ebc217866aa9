/* Bits, error and speed of the codecs, on Gaussian values and on a real gradient and its parameters: the first layer of
 * 784-392-50-10, a hundred steps into Fashion-MNIST.
 *
 *     bench [DIR]      DIR holds the IDX files of Fashion-MNIST; without them, Gaussian values alone
 *
 * Speed is floats per second, and the ratio to memcpy of the same floats, timed in turn with it: medians of REPEATS.
 * Rates count every byte of the packet. The table is also written to build/bench.csv.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dtcodec.h"
#include "examples/common/error.h"
#include "examples/common/memory.h"
#include "tests/training.h"

enum { REPEATS = 9, GAUSSIAN = 1 << 22, GAUSSIAN_ROWS = 1 << 11, STEPS = 100 };

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

struct bench {
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

/* One spec on one tensor: a row of the table, and a line an operation in the CSV. */
static void measure(const struct bench *bench, const char *text) {
    static const char *const names[] = {"encode", "decode", "decode_add"};
    size_t n = bench->count, packet_bytes = 0, capacity, scratch_bytes, i;
    double seconds[REPEATS], ratio[REPEATS], error = 0, square = 0, bits, nmse;
    dtc_spec spec;
    dtc_info info;
    must(dtc_spec_parse(text, &spec, NULL), text);
    spec.seed = 1;
    if (spec.codec == DTC_FACTOR || spec.codec == DTC_CIRCULANT) spec.rows = bench->rows;
    capacity = dtc_encode_bound(&spec, n);
    scratch_bytes = dtc_encode_scratch(&spec, n);
    void *packet = allocate(capacity, 1), *scratch = allocate(scratch_bytes + 1, 1);
    must(dtc_encode(&spec, packet, capacity, &packet_bytes, bench->values, n, scratch, scratch_bytes), text);
    must(dtc_inspect(packet, packet_bytes, &info), text);
    void *decode_scratch = allocate(info.decode_scratch + 1, 1);
    must(dtc_decode(bench->decoded, n, packet, packet_bytes, NULL, decode_scratch, info.decode_scratch), text);
    for (i = 0; i < n; i++) {
        double off = (double)bench->values[i] - (double)bench->decoded[i];
        error += off * off;
        square += (double)bench->values[i] * (double)bench->values[i];
    }
    bits = 8.0 * (double)packet_bytes / (double)n;
    nmse = square > 0 ? error / square : 0;
    printf("%-11s %-38s %7.3f  %8.2g ", bench->tensor, text, bits, nmse);
    for (int op = 0; op < 3; op++) {
        for (int repeat = 0; repeat < REPEATS; repeat++) {
            double start = now(), copied, done;
            memcpy(bench->decoded, bench->values, n * sizeof(float));
            copied = now();
            if (op == 0)
                must(dtc_encode(&spec, packet, capacity, &packet_bytes, bench->values, n, scratch, scratch_bytes),
                     text);
            else if (op == 1)
                must(dtc_decode(bench->decoded, n, packet, packet_bytes, NULL, decode_scratch, info.decode_scratch),
                     text);
            else
                must(dtc_decode_add(bench->decoded, n, 0.25f, packet, packet_bytes, NULL, decode_scratch,
                                    info.decode_scratch),
                     text);
            done = now();
            seconds[repeat] = done - copied;
            ratio[repeat] = (copied - start) / (done - copied);
        }
        qsort(seconds, REPEATS, sizeof *seconds, ascending);
        qsort(ratio, REPEATS, sizeof *ratio, ascending);
        double gbps = 4e-9 * (double)n / seconds[REPEATS / 2];
        printf("  %6.2f %5.3f", gbps, ratio[REPEATS / 2]);
        fprintf(bench->csv, "%s,%zu,\"%s\",%s,%.4f,%.4f,%.5f,%.4g\n", bench->tensor, n, text, names[op], gbps,
                ratio[REPEATS / 2], bits, nmse);
    }
    printf("\n");
    fflush(stdout);
    free(packet);
    free(scratch);
    free(decode_scratch);
}

static void measure_all(struct bench *bench, const char *tensor, const float *values, size_t rows, size_t columns) {
    bench->tensor = tensor;
    bench->values = values;
    bench->rows = rows;
    bench->count = rows * columns;
    bench->decoded = (float *)allocate(bench->count, sizeof(float));
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) measure(bench, specs[i]);
    free(bench->decoded);
}

/* Measures the largest tensor's gradient and parameters. */
static void measure_net(struct bench *bench, const struct training *training) {
    const struct tensor *gradient = &training->gradient.tensor[0], *parameters = &training->parameters.tensor[0];
    measure_all(bench, "gradient", gradient->values, gradient->rows, gradient->columns);
    measure_all(bench, "parameters", parameters->values, parameters->rows, parameters->columns);
}

int main(int argc, char **argv) {
    struct bench bench = {0};
    struct training training;
    struct error error;
    uint64_t state = 1;
    bool have_images = argc > 1;
    if (have_images && !training_run(&training, argv[1], STEPS, &error)) {
        fprintf(stderr, "bench: %s\n", error.text);
        return 1;
    }
    float *values = (float *)allocate(GAUSSIAN, sizeof(float));
    for (size_t i = 0; i < GAUSSIAN; i++) { /* sum of twelve uniforms would have no tail: Box and Muller */
        double u[2];
        for (int k = 0; k < 2; k++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            u[k] = ((double)(state >> 11) + 0.5) / 9007199254740992.0;
        }
        values[i] = (float)(sqrt(-2 * log(u[0])) * cos(6.283185307179586 * u[1]));
    }
    bench.csv = fopen("build/bench.csv", "w");
    if (!bench.csv) {
        fprintf(stderr, "bench: cannot write build/bench.csv; run it where build/ is\n");
        return 1;
    }
    fprintf(bench.csv, "tensor,values,spec,op,gbps,memcpy_ratio,bits_per_value,nmse\n");
    printf("%-11s %-38s %7s  %8s   %12s  %12s  %12s\n", "", "", "", "", "encode", "decode", "decode_add");
    printf("%-11s %-38s %7s  %8s   %6s %5s  %6s %5s  %6s %5s\n", "tensor", "spec", "bits", "nmse", "GB/s", "x cpy",
           "GB/s", "x cpy", "GB/s", "x cpy");
    measure_all(&bench, "gaussian", values, GAUSSIAN_ROWS, GAUSSIAN / GAUSSIAN_ROWS);
    if (have_images) {
        measure_net(&bench, &training);
        training_free(&training);
    }
    free(values);
    if (fclose(bench.csv)) {
        fprintf(stderr, "bench: build/bench.csv could not be written whole\n");
        return 1;
    }
    return 0;
}
