#include "measure.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../common/clock.h"

enum { GROUP_VALUES = 1 << 24, LEAST_RUNS = 3, MOST_RUNS = 15, RESIDUAL_ROUNDS = 10 };

static const double enough_seconds = 0.3; /* no further run begins after this time, beyond the least number */
static const double long_seconds = 2.0;   /* one run that takes longer is enough */

/* Tensors in a row that are one message: as many as have 64 MB, or one that is larger. A file of many tensors takes no
 * more memory than that besides its values. */
struct group {
    const dtc_spec *spec;
    dtc_tensor *from, *to; /* the tensors, and those that are decoded */
    size_t count, values;
    float *decoded, *residual; /* of all tensors of the group; the residual is NULL without error feedback */
    uint8_t *message, *scratch;
    size_t bytes, capacity, scratch_bytes;
};

/* Sums over the values x and the decoded values y. */
struct sums {
    double error, square, decoded_square, product, bytes;
};

/* Chooses the tensors from number `first` on. With `cut`, one that is too large alone is cut to whole rows. */
static void group_choose(struct group *group, const struct model *model, size_t first, bool cut) {
    for (size_t i = first; i < model->count; i++) {
        const struct tensor *tensor = &model->tensor[i];
        dtc_tensor from = {tensor->values, NULL, tensor->count, tensor->rows > 1 ? tensor->rows : 0};
        if (group->values && tensor->count > GROUP_VALUES - group->values) return;
        if (cut && from.count > GROUP_VALUES) {
            size_t columns = from.rows ? from.count / from.rows : 1, rows = GROUP_VALUES / columns;
            if (rows == 0) rows = 1;
            if (from.rows) from.rows = rows;
            from.count = rows * columns;
        }
        group->from[group->count++] = from;
        group->values += from.count;
        if (group->values >= GROUP_VALUES) return;
    }
}

static bool group_create(struct group *group, const dtc_spec *spec, const struct model *model, size_t first,
                         bool residual, bool cut) {
    memset(group, 0, sizeof *group);
    group->spec = spec;
    group->from = (dtc_tensor *)calloc(model->count + 1, sizeof *group->from);
    group->to = (dtc_tensor *)calloc(model->count + 1, sizeof *group->to);
    if (!group->from || !group->to) return false;
    group_choose(group, model, first, cut);
    group->capacity = dtc_message_bound(spec, group->from, group->count);
    group->scratch_bytes = dtc_message_scratch(spec, group->from, group->count);
    group->decoded = (float *)calloc(group->values + 1, sizeof(float));
    group->residual = residual ? (float *)calloc(group->values + 1, sizeof(float)) : NULL;
    group->message = (uint8_t *)malloc(group->capacity + 1);
    group->scratch = (uint8_t *)malloc(group->scratch_bytes + 1);
    if (!group->decoded || (residual && !group->residual) || !group->message || !group->scratch) return false;
    for (size_t i = 0, at = 0; i < group->count; at += group->from[i++].count) {
        group->to[i] = group->from[i];
        group->to[i].values = group->decoded + at;
        if (residual) group->from[i].residual = group->residual + at;
    }
    return true;
}

static void group_free(struct group *group) {
    free(group->from);
    free(group->to);
    free(group->decoded);
    free(group->residual);
    free(group->message);
    free(group->scratch);
}

static dtc_status encode(struct group *group) {
    return dtc_message_encode(group->spec, group->message, group->capacity, &group->bytes, group->from, group->count,
                              group->scratch, group->scratch_bytes);
}

static dtc_status decode(struct group *group) {
    return dtc_message_decode(group->to, group->count, group->message, group->bytes, NULL, group->scratch,
                              group->scratch_bytes);
}

static dtc_status decode_add(struct group *group) {
    return dtc_message_decode_add(group->to, group->count, 1.0f, group->message, group->bytes, NULL, group->scratch,
                                  group->scratch_bytes);
}

static void add_sums(struct sums *sums, const float *x, const float *y, size_t count) {
    for (size_t i = 0; i < count; i++) {
        double a = (double)x[i], b = (double)y[i];
        sums->error += (a - b) * (a - b);
        sums->square += a * a;
        sums->decoded_square += b * b;
        sums->product += a * b;
    }
}

/* Codes the group once, and adds to the sums. With error feedback it is then encoded several times, so that what waits
 * in the residual grows as in training; the bytes are the mean of the later half of these rounds. */
static dtc_status code(struct group *group, struct sums *sums) {
    size_t bytes = 0;
    dtc_status status = encode(group);
    if (status == DTC_OK) status = decode(group);
    if (status != DTC_OK) return status;
    for (size_t i = 0; i < group->count; i++)
        add_sums(sums, group->from[i].values, group->to[i].values, group->from[i].count);
    for (int round = 1; round <= RESIDUAL_ROUNDS && group->residual && status == DTC_OK; round++) {
        status = encode(group);
        if (round > RESIDUAL_ROUNDS / 2) bytes += group->bytes;
    }
    sums->bytes += group->residual ? (double)bytes / (RESIDUAL_ROUNDS / 2) : (double)group->bytes;
    return status;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *seconds, size_t count) {
    qsort(seconds, count, sizeof *seconds, ascending);
    return count % 2 ? seconds[count / 2] : 0.5 * (seconds[count / 2 - 1] + seconds[count / 2]);
}

/* Times the encoding and both ways of decoding of a group that was coded before. */
static dtc_status time_group(struct group *group, struct measurement *result) {
    static dtc_status (*const actions[3])(struct group *) = {encode, decode, decode_add};
    double *results[] = {&result->encode_s, &result->decode_s, &result->add_s};
    double times[3][MOST_RUNS], begin = clock_seconds(), spent = 0.0;
    size_t runs = 0;
    while (runs < MOST_RUNS && (runs < LEAST_RUNS ? spent <= long_seconds * (double)runs : spent < enough_seconds)) {
        for (size_t i = 0; i < 3; i++) {
            double start = clock_seconds();
            dtc_status status = (actions[i])(group);
            times[i][runs] = clock_seconds() - start;
            if (status != DTC_OK) return status;
        }
        runs++;
        spent = clock_seconds() - begin;
    }
    for (size_t i = 0; i < 3; i++) *results[i] = median(times[i], runs) / (double)(group->values ? group->values : 1);
    return DTC_OK;
}

/* Times the first group, cut to 64 MB. */
static dtc_status measure_speed(const dtc_spec *spec, const struct model *model, bool residual,
                                struct measurement *result) {
    struct group group;
    struct sums ignored;
    memset(&ignored, 0, sizeof ignored);
    dtc_status status = group_create(&group, spec, model, 0, residual, true) ? DTC_OK : DTC_ERROR_LIMIT;
    if (status == DTC_OK) status = code(&group, &ignored);
    if (status == DTC_OK) status = time_group(&group, result);
    group_free(&group);
    return status;
}

bool measure(const dtc_spec *spec, const struct model *model, bool residual, struct progress *progress,
             struct measurement *result, struct error *error) {
    struct sums sums;
    memset(&sums, 0, sizeof sums);
    memset(result, 0, sizeof *result);
    dtc_status status = dtc_spec_format(spec, result->spec, sizeof result->spec);
    for (size_t first = 0; first < model->count && status == DTC_OK;) {
        struct group group;
        if (!group_create(&group, spec, model, first, residual, false)) {
            group_free(&group);
            return set_error(error, "no memory to try %s", result->spec);
        }
        if (group.values) status = code(&group, &sums); /* a message without values cannot be */
        first += group.count;
        progress_add(progress, group.values);
        group_free(&group);
    }
    if (status == DTC_OK) status = measure_speed(spec, model, residual, result);
    if (status != DTC_OK) return set_error(error, "%s: %s", result->spec, dtc_status_string(status));
    result->bits = 8.0 * sums.bytes / (double)model->values;
    result->nmse = sums.error > 0.0 ? sums.error / sums.square : 0.0;
    double lengths = sqrt(sums.square) * sqrt(sums.decoded_square);
    result->cosine = lengths > 0.0 ? sums.product / lengths : sums.square + sums.decoded_square > 0.0 ? 0.0 : 1.0;
    return true;
}
