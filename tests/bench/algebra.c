/* Computing with packets against decoding them first, in one run: each way in turn, medians of REPEATS.
 *
 *     algebra [DIR]    DIR is not looked at
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cblas.h>

#include "dtcodec.h"
#include "examples/common/memory.h"

enum { REPEATS = 5, COUNT = 1 << 24, SENSED = 1 << 18, SENDERS = 16, SIDE = 4096 };

static unsigned char *scratch;
static size_t scratch_bytes;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time); /* other processes then do not count */
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *x) {
    qsort(x, REPEATS, sizeof *x, ascending);
    return x[REPEATS / 2];
}

static void must(dtc_status status) {
    if (status == DTC_OK) return;
    fprintf(stderr, "algebra: %s\n", dtc_status_string(status));
    exit(1);
}

static unsigned char *room(size_t bytes) {
    if (bytes <= scratch_bytes) return scratch;
    free(scratch);
    scratch_bytes = bytes;
    return scratch = (unsigned char *)allocate(bytes, 1);
}

struct packet {
    unsigned char *bytes;
    size_t size, capacity;
};

static void encode(struct packet *to, const dtc_spec *spec, const float *values, size_t count) {
    size_t need = dtc_encode_scratch(spec, count);
    must(dtc_encode(spec, to->bytes, to->capacity, &to->size, values, count, room(need), need));
}

static void decode_add(float *values, const struct packet *from) {
    dtc_info info;
    must(dtc_inspect(from->bytes, from->size, &info));
    must(dtc_decode_add(values, info.count, 1, from->bytes, from->size, NULL, room(info.decode_scratch),
                        info.decode_scratch));
}

static void add(struct packet *sum, const struct packet *a, const struct packet *b) {
    size_t need = dtc_packet_add_scratch(a->bytes, a->size, b->bytes, b->size);
    must(dtc_packet_add(sum->bytes, sum->capacity, &sum->size, a->bytes, a->size, b->bytes, b->size, room(need), need));
}

static void fill(float *values, size_t count, uint64_t seed) {
    for (size_t i = 0; i < count; i++) {
        double u[2];
        for (int k = 0; k < 2; k++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            u[k] = ((double)(seed >> 11) + 0.5) / 9007199254740992.0;
        }
        values[i] = (float)(sqrt(-2 * log(u[0])) * cos(6.283185307179586 * u[1]));
    }
}

static struct packet packet_for(const dtc_spec *spec, size_t count) {
    struct packet made;
    made.capacity = dtc_encode_bound(spec, count);
    made.bytes = (unsigned char *)allocate(made.capacity, 1);
    made.size = 0;
    return made;
}

/* Two packets of COUNT values. */
static void measure_add(const char *text, const float *values, float *work) {
    double packed[REPEATS], decoded[REPEATS];
    struct packet a, b, sum;
    dtc_spec spec;
    must(dtc_spec_parse(text, &spec, NULL));
    a = packet_for(&spec, COUNT);
    b = packet_for(&spec, COUNT);
    sum = packet_for(&spec, COUNT);
    encode(&a, &spec, values, COUNT);
    spec.seed = 2;
    encode(&b, &spec, values + 1, COUNT);
    for (int i = 0; i < REPEATS; i++) {
        double start = now(), middle;
        add(&sum, &a, &b);
        middle = now();
        memset(work, 0, COUNT * sizeof *work);
        decode_add(work, &a);
        decode_add(work, &b);
        encode(&sum, &spec, work, COUNT);
        packed[i] = middle - start;
        decoded[i] = now() - middle;
    }
    printf("%-48s %9.1f ms %9.1f ms %8.1f\n", text, 1e3 * median(packed), 1e3 * median(decoded),
           median(decoded) / median(packed));
    free(a.bytes);
    free(b.bytes);
    free(sum.bytes);
}

/* A server that gets SENDERS packets: adds them and decodes once, or decodes each. */
static void measure_sensing(const float *values, float *work) {
    static const char text[] = "sensing:ratio=0.25,bits=8,scale=4,workers=16";
    double packed[REPEATS], decoded[REPEATS];
    struct packet packets[SENDERS], sum;
    dtc_spec spec;
    must(dtc_spec_parse(text, &spec, NULL));
    sum = packet_for(&spec, SENSED);
    for (int k = 0; k < SENDERS; k++) {
        packets[k] = packet_for(&spec, SENSED);
        encode(&packets[k], &spec, values + k * SENSED, SENSED);
    }
    for (int i = 0; i < REPEATS; i++) {
        double start = now(), middle;
        memset(work, 0, SENSED * sizeof *work);
        add(&sum, &packets[0], &packets[1]);
        for (int k = 2; k < SENDERS; k++) add(&sum, &sum, &packets[k]);
        decode_add(work, &sum);
        middle = now();
        memset(work, 0, SENSED * sizeof *work);
        for (int k = 0; k < SENDERS; k++) decode_add(work, &packets[k]);
        packed[i] = middle - start;
        decoded[i] = now() - middle;
    }
    printf("%-48s %9.1f ms %9.1f ms %8.1f\n", "sensing:ratio=0.25,bits=8, server of 16 workers", 1e3 * median(packed),
           1e3 * median(decoded), median(decoded) / median(packed));
    for (int k = 0; k < SENDERS; k++) free(packets[k].bytes);
    free(sum.bytes);
}

/* A product with a matrix of SIDE x SIDE, of rank 4. */
static void measure_matvec(const float *values, float *work) {
    double packed[REPEATS], decoded[REPEATS];
    static float y[SIDE];
    struct packet made;
    dtc_spec spec;
    size_t need;
    must(dtc_spec_parse("factor", &spec, NULL));
    made.capacity = 12 * 4 + 2 * 4 * 4 * SIDE;
    made.bytes = (unsigned char *)allocate(made.capacity, 1);
    need = dtc_encode_factors_scratch(&spec, 4, SIDE, SIDE);
    must(dtc_encode_factors(&spec, made.bytes, made.capacity, &made.size, values, values + 4 * SIDE, 4, SIDE, SIDE,
                            room(need), need));
    need = dtc_packet_matvec_scratch(made.bytes, made.size, 0);
    for (int i = 0; i < REPEATS; i++) {
        double start = now(), middle;
        must(dtc_packet_matvec(y, made.bytes, made.size, values, 0, room(need), need));
        middle = now();
        memset(work, 0, (size_t)SIDE * SIDE * sizeof *work);
        decode_add(work, &made);
        cblas_sgemv(CblasRowMajor, CblasNoTrans, SIDE, SIDE, 1.0f, work, SIDE, values, 1, 0.0f, y, 1);
        packed[i] = middle - start;
        decoded[i] = now() - middle;
    }
    printf("%-48s %9.3f ms %9.1f ms %8.1f\n", "factor, rank 4, times a vector, 4096 x 4096", 1e3 * median(packed),
           1e3 * median(decoded), median(decoded) / median(packed));
    free(made.bytes);
}

int main(void) {
    static const char *const specs[] = {
        "ternary:scale=2.5,workers=16,pack=base3",
        "quant:bits=2,min=-4,max=4,workers=5,entropy=none",
        "quant:bits=4,min=-4,max=4,workers=16,entropy=none",
        "quant:bits=8,min=-4,max=4,workers=16,entropy=none",
        "ternary:scale=2.5,workers=16",
        "quant:bits=4,min=-4,max=4,workers=16",
        "quant:bits=8,min=-4,max=4,workers=16",
    };
    float *values = (float *)allocate(COUNT + 1, sizeof(float)), *work = (float *)allocate(COUNT, sizeof(float));
    openblas_set_num_threads(1);
    fill(values, COUNT + 1, 1);
    printf("%-48s %12s %12s %8s\n", "16 Mi values, two packets", "added", "decoded,", "ratio");
    printf("%-48s %12s %12s\n", "", "as they are", "added, coded");
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) measure_add(specs[i], values, work);
    measure_sensing(values, work);
    measure_matvec(values, work);
    free(work);
    free(values);
    free(scratch);
    return 0;
}
