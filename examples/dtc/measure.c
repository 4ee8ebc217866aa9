#include "measure.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../common/clock.h"

enum { SAMPLE_VALUES = 1 << 24, LEAST_RUNS = 3, MOST_RUNS = 15, RESIDUAL_ROUNDS = 10 };

static const double enough_seconds = 0.3; /* no further run begins after this time, beyond the least number */
static const double long_seconds = 2.0;   /* one run that takes longer is enough */

/* The memory of all runs of one codec. */
struct bench {
    const dtc_spec *spec;
    const struct model *model;
    uint8_t *message, *scratch;
    float *decoded;  /* of the largest tensor */
    float *residual; /* of all tensors; NULL without error feedback */
    size_t *first;   /* where the residual of each tensor begins */
    size_t capacity, scratch_bytes, largest;
    size_t number; /* of the tensor that is coded, for errors */
};

/* Sums over the values x and the decoded values y. */
struct sums {
    double error, square, decoded_square, product;
};

/* Returns how many values of a tensor are timed if `left` values fit: as many whole rows as do. */
static size_t part_of(const struct tensor *tensor, size_t left) {
    if (tensor->count <= left) return tensor->count;
    return tensor->rows == 1 ? left : left / (tensor->count / tensor->rows) * (tensor->count / tensor->rows);
}

static dtc_spec spec_of(const struct bench *bench, size_t number, size_t part) {
    const struct tensor *tensor = &bench->model->tensor[number];
    bool whole = part == tensor->count || tensor->rows == 1;
    return spec_of_tensor(bench->spec, whole ? tensor->rows : part / (tensor->count / tensor->rows), number);
}

static bool bench_create(struct bench *bench, bool residual) {
    size_t left = SAMPLE_VALUES;
    for (size_t i = 0; i < bench->model->count; i++) {
        const struct tensor *tensor = &bench->model->tensor[i];
        size_t part = part_of(tensor, left);
        dtc_spec spec = spec_of(bench, i, tensor->count), part_spec = spec_of(bench, i, part);
        size_t bound = dtc_encode_bound(&spec, tensor->count), scratch = dtc_encode_scratch(&spec, tensor->count);
        bench->capacity += bound > dtc_encode_bound(&part_spec, part) ? bound : dtc_encode_bound(&part_spec, part);
        if (scratch > bench->scratch_bytes) bench->scratch_bytes = scratch;
        scratch = dtc_encode_scratch(&part_spec, part);
        if (scratch > bench->scratch_bytes) bench->scratch_bytes = scratch;
        if (tensor->count > bench->largest) bench->largest = tensor->count;
        left -= part;
    }
    bench->message = (uint8_t *)malloc(bench->capacity + 1);
    bench->scratch = (uint8_t *)malloc(bench->scratch_bytes + 1);
    bench->decoded = (float *)calloc(bench->largest + 1, sizeof(float));
    bench->residual = residual ? (float *)calloc(bench->model->values + 1, sizeof(float)) : NULL;
    bench->first = (size_t *)calloc(bench->model->count + 1, sizeof *bench->first);
    if (!bench->message || !bench->scratch || !bench->decoded || !bench->first || (residual && !bench->residual))
        return false;
    for (size_t i = 0; i < bench->model->count; i++)
        bench->first[i + 1] = bench->first[i] + bench->model->tensor[i].count;
    return true;
}

static void bench_free(struct bench *bench) {
    free(bench->message);
    free(bench->scratch);
    free(bench->decoded);
    free(bench->residual);
    free(bench->first);
}

/* Encodes the first `part` values of a tensor to message[at..). */
static dtc_status encode(struct bench *bench, size_t number, size_t part, size_t at, size_t *bytes) {
    const struct tensor *tensor = &bench->model->tensor[number];
    dtc_spec spec = spec_of(bench, number, part);
    bench->number = number;
    return bench->residual
               ? dtc_encode_residual(&spec, bench->message + at, bench->capacity - at, bytes, tensor->values,
                                     bench->residual + bench->first[number], part, bench->scratch, bench->scratch_bytes)
               : dtc_encode(&spec, bench->message + at, bench->capacity - at, bytes, tensor->values, part,
                            bench->scratch, bench->scratch_bytes);
}

/* Decodes the packet at message[at..end) to bench->decoded, or adds it there. */
static dtc_status decode(struct bench *bench, size_t at, size_t end, bool add, size_t *bytes) {
    dtc_info info;
    dtc_status status = dtc_inspect(bench->message + at, end - at, &info);
    if (status != DTC_OK) return status;
    *bytes = info.packet_bytes;
    if (info.decode_scratch > bench->scratch_bytes) {
        uint8_t *grown = (uint8_t *)realloc(bench->scratch, info.decode_scratch);
        if (!grown) return DTC_ERROR_SCRATCH;
        bench->scratch = grown;
        bench->scratch_bytes = info.decode_scratch;
    }
    return add ? dtc_decode_add(bench->decoded, info.count, 1.0f, bench->message + at, info.packet_bytes, NULL,
                                bench->scratch, bench->scratch_bytes)
               : dtc_decode(bench->decoded, info.count, bench->message + at, info.packet_bytes, NULL, bench->scratch,
                            bench->scratch_bytes);
}

static void add_sums(struct sums *sums, const float *x, const float *y, size_t count) {
    struct sums own = {0.0, 0.0, 0.0, 0.0};
    for (size_t i = 0; i < count; i++) {
        double a = (double)x[i], b = (double)y[i];
        own.error += (a - b) * (a - b);
        own.square += a * a;
        own.decoded_square += b * b;
        own.product += a * b;
    }
    sums->error += own.error;
    sums->square += own.square;
    sums->decoded_square += own.decoded_square;
    sums->product += own.product;
}

/* Codes every tensor once, and computes bits, error and cosine. */
static dtc_status measure_error(struct bench *bench, struct progress *progress, struct measurement *result) {
    struct sums sums = {0.0, 0.0, 0.0, 0.0};
    double bytes = 0.0;
    for (size_t i = 0; i < bench->model->count; i++) {
        const struct tensor *tensor = &bench->model->tensor[i];
        size_t packet_bytes = 0;
        dtc_status status = encode(bench, i, tensor->count, 0, &packet_bytes);
        bytes += (double)packet_bytes;
        if (status == DTC_OK) status = decode(bench, 0, packet_bytes, false, &packet_bytes);
        if (status != DTC_OK) return status;
        add_sums(&sums, tensor->values, bench->decoded, tensor->count);
        progress_add(progress, tensor->count);
    }
    result->bits = 8.0 * bytes / (double)bench->model->values;
    result->nmse = sums.error > 0.0 ? sums.error / sums.square : 0.0;
    double lengths = sqrt(sums.square) * sqrt(sums.decoded_square);
    result->cosine = lengths > 0.0 ? sums.product / lengths : sums.square + sums.decoded_square > 0.0 ? 0.0 : 1.0;
    return DTC_OK;
}

/* Encodes every tensor several times, so that what waits in the residual grows as in training, and sets the bits to the
 * mean of the later half of the rounds. */
static dtc_status measure_rounds(struct bench *bench, struct measurement *result) {
    double bytes = 0.0, values = 0.0;
    for (int round = 1; round < RESIDUAL_ROUNDS; round++)
        for (size_t i = 0; i < bench->model->count; i++) {
            size_t packet_bytes;
            dtc_status status = encode(bench, i, bench->model->tensor[i].count, 0, &packet_bytes);
            if (status != DTC_OK) return status;
            if (round < RESIDUAL_ROUNDS / 2) continue;
            bytes += (double)packet_bytes;
            values += (double)bench->model->tensor[i].count;
        }
    result->bits = 8.0 * bytes / values;
    return DTC_OK;
}

/* Encodes, decodes, and decodes and adds the timed part of the model once. Returns the values of that part. */
static size_t time_run(struct bench *bench, double seconds[3]) {
    size_t left = SAMPLE_VALUES, end = 0, bytes;
    double start = clock_seconds();
    for (size_t i = 0; i < bench->model->count && left; i++) {
        size_t part = part_of(&bench->model->tensor[i], left);
        if (part == 0 && bench->model->tensor[i].count) break; /* one row is longer than what is left */
        if (encode(bench, i, part, end, &bytes) != DTC_OK) break;
        end += bytes;
        left -= part;
    }
    seconds[0] = clock_seconds() - start;
    for (int add = 0; add < 2; add++) {
        start = clock_seconds();
        for (size_t at = 0; at < end; at += bytes)
            if (decode(bench, at, end, add == 1, &bytes) != DTC_OK) break;
        seconds[1 + add] = clock_seconds() - start;
    }
    return SAMPLE_VALUES - left;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *seconds, size_t count) {
    qsort(seconds, count, sizeof *seconds, ascending);
    return count % 2 ? seconds[count / 2] : 0.5 * (seconds[count / 2 - 1] + seconds[count / 2]);
}

static void measure_speed(struct bench *bench, struct measurement *result) {
    double times[3][MOST_RUNS], start = clock_seconds(), spent = 0.0;
    size_t runs = 0, values = 0;
    while (runs < MOST_RUNS &&
           (runs < LEAST_RUNS ? spent < long_seconds * (double)runs || runs == 0 : spent < enough_seconds)) {
        double seconds[3];
        values = time_run(bench, seconds);
        for (size_t i = 0; i < 3; i++) times[i][runs] = seconds[i];
        runs++;
        spent = clock_seconds() - start;
    }
    double each = values ? 1.0 / (double)values : 0.0;
    result->encode_s = median(times[0], runs) * each;
    result->decode_s = median(times[1], runs) * each;
    result->add_s = median(times[2], runs) * each;
}

bool measure(const dtc_spec *spec, const struct model *model, bool residual, struct progress *progress,
             struct measurement *result, struct error *error) {
    struct bench bench;
    memset(result, 0, sizeof *result);
    memset(&bench, 0, sizeof bench);
    bench.spec = spec;
    bench.model = model;
    dtc_status status = dtc_spec_format(spec, result->spec, sizeof result->spec);
    bool good = bench_create(&bench, residual) || set_error(error, "no memory to try %s", result->spec);
    if (good && status == DTC_OK) status = measure_error(&bench, progress, result);
    if (good && status == DTC_OK && residual) status = measure_rounds(&bench, result);
    if (good && status != DTC_OK)
        good = set_error(error, "%s: tensor %zu %.100s: %s", result->spec, bench.number,
                         model->tensor[bench.number].name, dtc_status_string(status));
    if (good) measure_speed(&bench, result);
    bench_free(&bench);
    return good;
}
