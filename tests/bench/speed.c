/* Speeds of the codecs on Gaussian values.
 *
 *     speed           one tensor in the cache, 1 MiB, and one in memory, 64 MiB
 *     speed --cost    nanoseconds a value for tensors of 2^6 to 2^26 values
 *
 * A speed is that of the floats. Each operation takes turns with memcpy of the same floats, REPEATS times, and the
 * ratios are to that memcpy. The peer "zstd's Huffman coder" is what one would build without dtcodec: one range, 8 bits
 * a value, and zstd, whose settings let it find next to no matches, so that its Huffman coder does the work. All is
 * also written to build/speed.csv.
 */
#define ZSTD_STATIC_LINKING_ONLY /* declares ZSTD_c_literalCompressionMode */
#include <stdbool.h>
#include <stdint.h>
#include <time.h>
#include <zstd.h>

#include "tests/bench/data.h"
#include "tests/bench/trial.h"

enum { REPEATS = 15, CACHE = 1 << 18, MEMORY = 1 << 24, ROWS = 1 << 9, SMALLEST = 6, LARGEST = 26 };

static const char *const specs[] = {
    "raw",
    "raw:type=bf16",
    "ternary",
    "ternary:pack=base3",
    "quant",
    "quant:bits=2",
    "quant:bits=4",
    "quant:bits=8",
    "quant:rate=0.5",
    "quant:rate=2",
    "quant:bits=2,entropy=none,block=1024",
    "quant:bits=4,entropy=none,block=1024",
    "quant:bits=8,entropy=none,block=1024",
    "quant:bits=8,entropy=none",
    "quant:rotate=1,bits=4",
    "factor:rank=4",
};

static const char *const cost_specs[] = {
    "raw:type=bf16", "ternary", "ternary:pack=base3", "quant:bits=4", "quant:bits=4,entropy=none",
};

/* The arrays of one number of values. */
struct floats {
    const float *values;
    float *decoded, *residual;
    size_t count;
};

/* The pipeline of zstd's Huffman coder. */
struct pipeline {
    ZSTD_CCtx *encoder;
    ZSTD_DCtx *decoder;
    unsigned char *bins;
    void *bytes;
    size_t capacity, size;
    float min, step;
};

struct subject {
    struct floats floats;
    struct trial trial;
    struct pipeline *pipeline; /* NULL: a codec */
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

static size_t zstd_must(size_t result) {
    if (!ZSTD_isError(result)) return result;
    fprintf(stderr, "speed: zstd: %s\n", ZSTD_getErrorName(result));
    exit(1);
}

static struct pipeline pipeline_open(size_t count) {
    struct pipeline p;
    memset(&p, 0, sizeof p);
    p.encoder = ZSTD_createCCtx();
    p.decoder = ZSTD_createDCtx();
    zstd_must(ZSTD_CCtx_setParameter(p.encoder, ZSTD_c_compressionLevel, ZSTD_minCLevel()));
    zstd_must(ZSTD_CCtx_setParameter(p.encoder, ZSTD_c_literalCompressionMode, (int)ZSTD_lcm_huffman));
    p.bins = (unsigned char *)allocate(count, 1);
    p.capacity = ZSTD_compressBound(count);
    p.bytes = allocate(p.capacity, 1);
    return p;
}

static void pipeline_free(struct pipeline *p) {
    ZSTD_freeCCtx(p->encoder);
    ZSTD_freeDCtx(p->decoder);
    free(p->bins);
    free(p->bytes);
}

/* Counts of 64 values are multiples of the lanes, which let compilers use vectors. */
static void pipeline_encode(struct pipeline *p, const float *values, size_t count) {
    enum { LANES = 16 };
    float least[LANES], largest[LANES], min, max, inverse;
    for (size_t j = 0; j < LANES; j++) least[j] = largest[j] = values[0];
    for (size_t i = 0; i < count; i += LANES) {
        for (size_t j = 0; j < LANES; j++) {
            least[j] = values[i + j] < least[j] ? values[i + j] : least[j];
            largest[j] = values[i + j] > largest[j] ? values[i + j] : largest[j];
        }
    }
    min = least[0];
    max = largest[0];
    for (size_t j = 1; j < LANES; j++) {
        min = least[j] < min ? least[j] : min;
        max = largest[j] > max ? largest[j] : max;
    }
    p->min = min;
    p->step = (max - min) / 255;
    inverse = 255 / (max - min);
    for (size_t i = 0; i < count; i++) p->bins[i] = (unsigned char)(int)((values[i] - min) * inverse + 0.5f);
    p->size = zstd_must(ZSTD_compress2(p->encoder, p->bytes, p->capacity, p->bins, count));
}

static void pipeline_decode(struct pipeline *p, float *decoded, size_t count) {
    zstd_must(ZSTD_decompressDCtx(p->decoder, p->bins, count, p->bytes, p->size));
    for (size_t i = 0; i < count; i++) decoded[i] = p->min + (float)p->bins[i] * p->step;
}

typedef void operation(struct subject *);

static void run_encode(struct subject *s) {
    if (s->pipeline)
        pipeline_encode(s->pipeline, s->floats.values, s->floats.count);
    else
        encode(&s->trial, s->floats.values);
}

static void run_decode(struct subject *s) {
    if (s->pipeline)
        pipeline_decode(s->pipeline, s->floats.decoded, s->floats.count);
    else
        decode(&s->trial, s->floats.decoded);
}

static void run_decode_add(struct subject *s) {
    struct trial *t = &s->trial;
    must(dtc_decode_add(s->floats.decoded, t->count, 0.25f, t->packet, t->packet_bytes, NULL, t->decode_scratch,
                        t->decode_bytes),
         t->text);
}

static void run_encode_residual(struct subject *s) {
    struct trial *t = &s->trial;
    must(dtc_encode_residual(&t->spec, t->packet, t->capacity, &t->packet_bytes, s->floats.values, s->floats.residual,
                             t->count, t->scratch, t->scratch_bytes),
         t->text);
}

static operation *const operations[] = {run_encode, run_decode, run_decode_add, run_encode_residual};
static const char *const names[] = {"encode", "decode", "decode_add", "encode_residual"};

struct speed {
    double best, median, best_ratio, median_ratio; /* seconds; memcpy's seconds to these */
};

/* Times an operation in turn with memcpy. Small tensors are run several times for one measurement. */
static struct speed speed_of(operation *run, struct subject *s) {
    double seconds[REPEATS], copies[REPEATS], ratios[REPEATS];
    size_t times = s->floats.count < CACHE ? CACHE / s->floats.count : 1;
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        double start = now(), copied;
        for (size_t i = 0; i < times; i++) {
            memcpy(s->floats.decoded, s->floats.values, s->floats.count * sizeof(float));
            __asm__ volatile("" : : "r"(s->floats.decoded) : "memory"); /* all copies are made */
        }
        copied = now();
        for (size_t i = 0; i < times; i++) run(s);
        seconds[repeat] = (now() - copied) / (double)times;
        copies[repeat] = (copied - start) / (double)times;
        ratios[repeat] = copies[repeat] / seconds[repeat];
    }
    qsort(seconds, REPEATS, sizeof *seconds, ascending);
    qsort(copies, REPEATS, sizeof *copies, ascending);
    qsort(ratios, REPEATS, sizeof *ratios, ascending);
    return (struct speed){seconds[0], seconds[REPEATS / 2], copies[0] / seconds[0], ratios[REPEATS / 2]};
}

/* Prints the first `number` operations of one subject. */
static void measure(struct subject *s, const char *text, double bytes, int number, FILE *csv) {
    double count = (double)s->floats.count;
    printf("%5.0f MiB  %-37s %6.3f", count / (1 << 18), text, 8 * bytes / count);
    for (int op = 0; op < number; op++) {
        struct speed speed = speed_of(operations[op], s);
        printf("  %6.2f %4.2f %4.2f", 4e-9 * count / speed.best, speed.best_ratio, speed.median_ratio);
        fprintf(csv, "%.0f,\"%s\",%s,%.5f,%.4f,%.4f,%.4f,%.4f\n", count, text, names[op], 8 * bytes / count,
                4e-9 * count / speed.best, 4e-9 * count / speed.median, speed.best_ratio, speed.median_ratio);
        fflush(stdout);
    }
    printf("\n");
}

static void measure_codec(const struct floats *floats, const char *text, FILE *csv) {
    struct subject s = {*floats, trial_open(text, floats->values, floats->decoded, floats->count, ROWS), NULL};
    memset(floats->residual, 0, floats->count * sizeof(float));
    measure(&s, text, (double)s.trial.packet_bytes, 4, csv);
    trial_free(&s.trial);
}

static void measure_pipeline(const struct floats *floats, FILE *csv) {
    struct pipeline pipeline = pipeline_open(floats->count);
    struct subject s = {*floats, {0}, &pipeline};
    pipeline_encode(&pipeline, floats->values, floats->count);
    measure(&s, "zstd's Huffman coder, 8 bits", (double)pipeline.size, 2, csv);
    pipeline_free(&pipeline);
}

/* One line a spec and size: nanoseconds a value. */
static void measure_cost(struct floats *floats, FILE *csv) {
    printf("%-26s %9s %8s %8s\n", "nanoseconds a value", "values", "encode", "decode");
    for (size_t i = 0; i < sizeof cost_specs / sizeof *cost_specs; i++) {
        for (int size = SMALLEST; size <= LARGEST; size += size < 18 ? 1 : 4) {
            floats->count = (size_t)1 << size;
            struct subject s = {*floats, trial_open(cost_specs[i], floats->values, floats->decoded, floats->count, 8),
                                NULL};
            double count = (double)floats->count, bits = 8 * (double)s.trial.packet_bytes / count;
            struct speed speeds[2] = {speed_of(run_encode, &s), speed_of(run_decode, &s)};
            printf("%-26s %9zu", cost_specs[i], floats->count);
            for (int op = 0; op < 2; op++) {
                printf(" %8.3f", 1e9 * speeds[op].best / count);
                fprintf(csv, "%zu,\"%s\",%s,%.5f,%.4f,%.4f,%.4f,%.4f\n", floats->count, cost_specs[i], names[op], bits,
                        4e-9 * count / speeds[op].best, 4e-9 * count / speeds[op].median, speeds[op].best_ratio,
                        speeds[op].median_ratio);
            }
            printf("\n");
            fflush(stdout);
            trial_free(&s.trial);
        }
    }
}

int main(int argc, char **argv) {
    bool cost = argc > 1 && strcmp(argv[1], "--cost") == 0;
    size_t most = cost ? (size_t)1 << LARGEST : MEMORY;
    float *values = gaussian_values(most), *decoded = (float *)allocate(most, sizeof(float));
    float *residual = (float *)allocate(most, sizeof(float));
    FILE *csv = fopen("build/speed.csv", "w");
    if (!csv) {
        fprintf(stderr, "speed: cannot write build/speed.csv; run it where build/ is\n");
        return 1;
    }
    struct floats floats = {values, decoded, residual, most};
    fprintf(csv, "values,spec,op,bits_per_value,best_gbps,median_gbps,best_ratio,median_ratio\n");
    if (cost) measure_cost(&floats, csv);
    if (!cost) printf("%-55s", "each: best GB/s; best, median of memcpy");
    for (int op = 0; op < 4 && !cost; op++) printf("  %-16s", names[op]);
    for (floats.count = CACHE; floats.count <= MEMORY && !cost; floats.count *= MEMORY / CACHE) {
        printf("\n");
        for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) measure_codec(&floats, specs[i], csv);
        measure_pipeline(&floats, csv);
    }
    free(values);
    free(decoded);
    free(residual);
    if (fclose(csv)) {
        fprintf(stderr, "speed: build/speed.csv could not be written whole\n");
        return 1;
    }
    return 0;
}
