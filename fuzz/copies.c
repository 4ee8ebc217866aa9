/* Three copies of the header in one program decode to the same bits, and encode what they decoded to the same bytes:
 * without vectors, with those that every processor has, and with the best ones of this processor. The Makefile compiles
 * this file once more for each copy, with COPY as its name. */

#ifdef COPY
#define DTC_STATIC
#endif
#include "fuzz.h"

typedef struct job {
    const uint8_t *packet;
    size_t count, packet_bytes, capacity;
    float *values, *sums;
    void *scratch;
    size_t scratch_bytes;
    uint8_t *again; /* what is encoded of the values */
    size_t again_bytes;
    dtc_spec spec;
    dtc_status decoded, added, encoded;
} job;

void copy_plain(job *work);
void copy_common(job *work);
void copy_best(job *work);

#ifdef COPY

void COPY(job *work) {
    dtc_decode_options options;
    memset(&options, 0, sizeof options);
    options.skip_checksum = 1;
    options.max_iterations = 3;
    work->decoded = dtc_decode(work->values, work->count, work->packet, work->packet_bytes, &options, work->scratch,
                               work->scratch_bytes);
    work->added = dtc_decode_add(work->sums, work->count, 0.3f, work->packet, work->packet_bytes, &options,
                                 work->scratch, work->scratch_bytes);
    work->encoded = DTC_ERROR_SPEC;
    work->again_bytes = 0;
    if (work->decoded != DTC_OK || dtc_encode_scratch(&work->spec, work->count) > work->scratch_bytes) return;
    work->encoded = dtc_encode(&work->spec, work->again, work->capacity, &work->again_bytes, work->values, work->count,
                               work->scratch, work->scratch_bytes);
}

#else

enum { COPIES = 3, SCRATCH = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static void (*const copies[COPIES])(job *) = {copy_plain, copy_common, copy_best};
    static float values[COPIES][FUZZ_COUNT_MAX], sums[COPIES][FUZZ_COUNT_MAX];
    static uint8_t again[COPIES][4 * FUZZ_COUNT_MAX + 64], scratch[SCRATCH];
    job jobs[COPIES];
    dtc_info info;
    size_t i, k;
    if (dtc_inspect(data, size, &info) != DTC_OK || info.count > FUZZ_COUNT_MAX || info.decode_scratch > SCRATCH)
        return 0;
    for (k = 0; k < COPIES; k++) {
        job *work = &jobs[k];
        memset(work, 0, sizeof *work);
        work->packet = data;
        work->count = info.count;
        work->packet_bytes = info.packet_bytes;
        work->capacity = sizeof again[k];
        work->values = values[k];
        work->sums = sums[k];
        work->again = again[k];
        work->scratch = scratch;
        work->scratch_bytes = SCRATCH;
        work->spec = info.spec;
        for (i = 0; i < info.count; i++) values[k][i] = sums[k][i] = (float)(i % 9) - 4;
        copies[k](work);
        REQUIRE(work->decoded == jobs[0].decoded && work->added == jobs[0].added);
        if (info.codec == DTC_SENSING) continue; /* rounds as its sums are split */
        REQUIRE(memcmp(values[k], values[0], 4 * info.count) == 0);
        if (info.codec != DTC_RAW) REQUIRE(memcmp(sums[k], sums[0], 4 * info.count) == 0); /* NaN has many bits */
        REQUIRE(work->encoded == jobs[0].encoded && work->again_bytes == jobs[0].again_bytes);
        REQUIRE(memcmp(again[k], again[0], work->again_bytes) == 0);
    }
    return 0;
}

#endif
