/* A spec with its packet and its memory, for the benchmarks. Each function ends the program if the codec fails. */
#ifndef DTC_TESTS_BENCH_TRIAL_H
#define DTC_TESTS_BENCH_TRIAL_H

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dtcodec.h"
#include "examples/common/memory.h"

struct trial {
    const char *text;
    dtc_spec spec;
    void *packet, *scratch, *decode_scratch;
    size_t count, packet_bytes, capacity, scratch_bytes, decode_bytes;
};

static inline void must(dtc_status status, const char *spec) {
    if (status == DTC_OK) return;
    fprintf(stderr, "bench: %s: %s\n", spec, dtc_status_string(status));
    exit(1);
}

static inline void encode(struct trial *trial, const float *values) {
    must(dtc_encode(&trial->spec, trial->packet, trial->capacity, &trial->packet_bytes, values, trial->count,
                    trial->scratch, trial->scratch_bytes),
         trial->text);
}

static inline void decode(const struct trial *trial, float *decoded) {
    must(dtc_decode(decoded, trial->count, trial->packet, trial->packet_bytes, NULL, trial->decode_scratch,
                    trial->decode_bytes),
         trial->text);
}

/* Encodes values[0..count), of a matrix of so many rows, and decodes them to `decoded`. */
static inline struct trial trial_open(const char *text, const float *values, float *decoded, size_t count,
                                      size_t rows) {
    struct trial trial;
    dtc_info info;
    memset(&trial, 0, sizeof trial);
    trial.text = text;
    trial.count = count;
    must(dtc_spec_parse(text, &trial.spec, NULL), text);
    trial.spec.seed = 1;
    if (trial.spec.codec == DTC_FACTOR || trial.spec.codec == DTC_CIRCULANT) trial.spec.rows = rows;
    trial.capacity = dtc_encode_bound(&trial.spec, count);
    trial.scratch_bytes = dtc_encode_scratch(&trial.spec, count);
    trial.packet = allocate(trial.capacity, 1);
    trial.scratch = allocate(trial.scratch_bytes + 1, 1);
    encode(&trial, values);
    must(dtc_inspect(trial.packet, trial.packet_bytes, &info), text);
    trial.decode_bytes = info.decode_scratch;
    trial.decode_scratch = allocate(trial.decode_bytes + 1, 1);
    decode(&trial, decoded);
    return trial;
}

static inline void trial_free(struct trial *trial) {
    free(trial->packet);
    free(trial->scratch);
    free(trial->decode_scratch);
}

#endif /* DTC_TESTS_BENCH_TRIAL_H */
