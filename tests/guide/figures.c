/* Measures the figures of examples/YOUR_TRAINER.md, and prints them:
 *     figures seeds     the error of the mean of 64 packets of one array, for three ways to choose their seeds
 *     figures rate      the error of a sum of updates if the learning rate is applied before or after encoding
 *     figures tensors   bits and errors of ten tensors of different scales: one array, a packet each, or a message
 *     figures traps     whether floating-point exceptions are raised by encoding a NaN, with and without feholdexcept
 */
#define _GNU_SOURCE /* feenableexcept */
#include "dtcodec.h"
#include <fenv.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TENSORS = 10, VALUES = 437888, LONG = 16384, SCRATCH = 32 << 20 };
static float values[VALUES], decoded[VALUES], residual[VALUES];
static double sums[VALUES], exact[VALUES];
static unsigned char packet[4 * VALUES + 4096];
static void *scratch;

static void check(dtc_status status) {
    if (status == DTC_OK) return;
    fprintf(stderr, "%s\n", dtc_status_string(status));
    exit(2);
}

/* number i of sequence `sequence`, uniform on (0, 1) */
static double uniform(uint64_t sequence, uint64_t i) {
    return ((double)(dtc_seed(9, sequence, i) >> 12) + 0.5) / 4503599627370496.0;
}

/* a Laplace distribution of standard deviation 1: most tensors of gradients are about as peaked */
static double laplace(uint64_t sequence, uint64_t i) {
    double u = 2.0 * uniform(sequence, i) - 1.0;
    return (u < 0.0 ? 1.0 : -1.0) * log(1.0 - fabs(u)) * sqrt(0.5);
}

static size_t encode(const dtc_spec *spec, size_t first, size_t count, int with_residual) {
    size_t bytes;
    check(with_residual ? dtc_encode_residual(spec, packet, sizeof packet, &bytes, values + first, residual + first,
                                              count, scratch, SCRATCH)
                        : dtc_encode(spec, packet, sizeof packet, &bytes, values + first, count, scratch, SCRATCH));
    check(dtc_decode(decoded + first, count, packet, bytes, NULL, scratch, SCRATCH));
    return bytes;
}

/* the squared error of `of`, as a part of the squared norm of what it should be */
static double error_of(const double *of, const double *should, size_t count) {
    double error = 0.0, square = 0.0;
    for (size_t i = 0; i < count; i++) error += pow(of[i] - should[i], 2.0), square += should[i] * should[i];
    return error / square;
}

static int measure_seeds(void) {
    static const char *const names[] = {"one seed", "seeds 1, 2, 3, ...", "dtc_seed(1, step, worker)"};
    double errors[3];
    dtc_spec spec;
    check(dtc_spec_parse("ternary", &spec, NULL));
    for (size_t i = 0; i < LONG; i++) values[i] = (float)laplace(1, i), exact[i] = (double)values[i];
    for (int way = 0; way < 3; way++) {
        memset(sums, 0, sizeof sums);
        for (uint64_t k = 0; k < 64; k++) {
            spec.seed = way == 0 ? 1 : way == 1 ? k + 1 : dtc_seed(1, k / 8, k % 8);
            encode(&spec, 0, LONG, 0);
            for (size_t i = 0; i < LONG; i++) sums[i] += (double)decoded[i] / 64.0;
        }
        errors[way] = error_of(sums, exact, LONG);
        printf("ternary, mean of 64 packets, %-26s squared error %.3f\n", names[way], errors[way]);
    }
    return errors[0] < 5.0 * errors[1] || fabs(errors[1] - errors[2]) > 0.2 * errors[2];
}

static int measure_rate(void) {
    static const char *const names[] = {"encode g, multiply by the rate after decoding", "encode rate * g"};
    double errors[2];
    dtc_spec spec;
    check(dtc_spec_parse("ternary:block=512", &spec, NULL));
    for (int before = 0; before < 2; before++) {
        memset(sums, 0, sizeof sums), memset(exact, 0, sizeof exact), memset(residual, 0, sizeof residual);
        for (uint64_t step = 0; step < 200; step++) {
            float rate = step < 100 ? 1.0f : 0.01f;
            for (size_t i = 0; i < LONG; i++) {
                values[i] = (float)(0.3 + laplace(step, i));
                exact[i] += (double)rate * (double)values[i];
                if (before) values[i] *= rate;
            }
            encode(&spec, 0, LONG, 1);
            for (size_t i = 0; i < LONG; i++) sums[i] += (before ? 1.0 : (double)rate) * (double)decoded[i];
        }
        errors[before] = error_of(sums, exact, LONG);
        printf("%-46s squared error of the sum of updates %.1e\n", names[before], errors[before]);
    }
    return !(errors[0] > 10.0 * errors[1]);
}

/* Encodes all tensors in one of three ways, and prints bits, error and the largest error of a tensor. */
static double measure_way(const char *text, int way, const dtc_tensor *from, const dtc_tensor *to) {
    static const char *const names[] = {"one array", "a packet each", "message"};
    size_t bytes = 0, at = 0;
    double worst = 0.0;
    dtc_spec spec;
    check(dtc_spec_parse(text, &spec, NULL));
    spec.seed = 5;
    if (way == 0) {
        bytes = encode(&spec, 0, VALUES, 0);
    } else if (way == 1) {
        for (int t = 0; t < TENSORS; at += from[t++].count) bytes += encode(&spec, at, from[t].count, 0);
    } else {
        check(dtc_message_encode(&spec, packet, sizeof packet, &bytes, from, TENSORS, scratch, SCRATCH));
        check(dtc_message_decode(to, TENSORS, packet, bytes, NULL, scratch, SCRATCH));
    }
    for (size_t i = 0; i < VALUES; i++) sums[i] = (double)decoded[i];
    at = 0;
    for (int t = 0; t < TENSORS; at += from[t++].count)
        worst = fmax(worst, error_of(sums + at, exact + at, from[t].count));
    printf("%-13s %-14s %6.3f bits a value, squared error %.4f, of the worst tensor %.4f\n", text, names[way],
           8.0 * (double)bytes / VALUES, error_of(sums, exact, VALUES), worst);
    return worst;
}

static int measure_tensors(void) {
    static const size_t counts[TENSORS] = {1728, 64, 64, 36864, 64, 131072, 256, 262144, 512, 5120};
    static const double scales[TENSORS] = {3e-2, 1e-2, 2e-2, 4e-3, 5e-3, 1e-3, 2e-3, 4e-4, 1e-3, 1e-2};
    static const char *const specs[] = {"quant", "quant:bits=4", "quant:rate=1"};
    dtc_tensor from[TENSORS], to[TENSORS];
    size_t at = 0;
    int failed = 0;
    for (int t = 0; t < TENSORS; at += counts[t++]) {
        dtc_tensor source = {values + at, NULL, counts[t], 0}, target = {decoded + at, NULL, counts[t], 0};
        from[t] = source, to[t] = target;
        for (size_t i = 0; i < counts[t]; i++) values[at + i] = (float)(scales[t] * laplace((uint64_t)t, i));
    }
    for (size_t i = 0; i < VALUES; i++) exact[i] = (double)values[i];
    for (int s = 0; s < 3; s++) {
        double flat = measure_way(specs[s], 0, from, to);
        measure_way(specs[s], 1, from, to);
        double message = measure_way(specs[s], 2, from, to);
        failed |= s == 0 && !(message < 0.05 && flat > 4.0 * message);
    }
    return failed;
}

static int measure_traps(void) {
    size_t bytes;
    dtc_spec spec;
    fenv_t before;
    int raised[2];
    check(dtc_spec_parse("quant", &spec, NULL));
    for (size_t i = 0; i < 1000; i++) values[i] = (float)laplace(1, i);
    values[7] = (float)NAN;
    for (int held = 0; held < 2; held++) {
        feclearexcept(FE_ALL_EXCEPT);
        if (held) feenableexcept(FE_INVALID), feholdexcept(&before); /* the trap would end this program */
        if (dtc_encode(&spec, packet, sizeof packet, &bytes, values, 1000, scratch, SCRATCH) != DTC_ERROR_NONFINITE)
            return 1;
        if (held) fesetenv(&before), fedisableexcept(FE_INVALID);
        raised[held] = fetestexcept(FE_INVALID) != 0;
        printf("encoding a NaN raises FE_INVALID, %s feholdexcept and fesetenv: %s\n", held ? "with" : "without",
               raised[held] ? "yes" : "no");
    }
    return raised[1];
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        int (*measure)(void);
    } figures[] = {
        {"seeds", measure_seeds}, {"rate", measure_rate}, {"tensors", measure_tensors}, {"traps", measure_traps}};
    scratch = malloc(SCRATCH);
    for (size_t i = 0; argc == 2 && scratch && i < sizeof figures / sizeof *figures; i++)
        if (!strcmp(argv[1], figures[i].name)) return figures[i].measure();
    return 2;
}
