/* Messages of any bytes, read into tensors of any shape, and sums of two of them. The first bytes of the input give the
 * shapes, the rest is the message. */

#include "fuzz.h"

enum { TENSORS = 6, MOST = 1 << 22 };

/* Takes the number of tensors and their counts. Returns the number of values of all. */
static size_t take_shapes(struct fuzz_input *input, dtc_tensor *tensors, size_t *number) {
    size_t t, total = 0;
    *number = fuzz_byte(input) % (TENSORS + 1);
    for (t = 0; t < *number; t++) {
        size_t low = fuzz_byte(input), high = fuzz_byte(input) % 5;
        memset(&tensors[t], 0, sizeof tensors[t]);
        tensors[t].count = low + 256 * high;
        total += tensors[t].count;
    }
    return total;
}

/* Decodes into values of 1; on failure every one must still be 1. Returns the status. */
static dtc_status decode(dtc_tensor *tensors, size_t number, size_t total, const uint8_t *message, size_t bytes,
                         float weight) {
    static struct fuzz_memory values_memory, scratch_memory;
    float *values = (float *)fuzz_lend(&values_memory, 4 * total);
    size_t need = 1 << 19, i, t, at = 0;
    void *scratch = fuzz_lend(&scratch_memory, need);
    dtc_decode_options options;
    dtc_status status;
    memset(&options, 0, sizeof options);
    options.skip_checksum = 1; /* so that what a mutation changes is looked at */
    for (i = 0; i < total; i++) values[i] = 1;
    for (t = 0; t < number; at += tensors[t++].count) tensors[t].values = values + at;
    status = weight > 0 ? dtc_message_decode_add(tensors, number, weight, message, bytes, &options, scratch, need)
                        : dtc_message_decode(tensors, number, message, bytes, &options, scratch, need);
    REQUIRE(fuzz_intact(values) && fuzz_intact(scratch));
    for (i = 0; i < total && status != DTC_OK; i++) REQUIRE(fuzz_bits(values[i]) == 0x3f800000u);
    return status;
}

/* A message that is read is one whose packets each decode, and together they take all of its bytes. */
static void check_packets(const uint8_t *message, size_t bytes) {
    static struct fuzz_memory values_memory, scratch_memory;
    dtc_decode_options options;
    dtc_info info;
    size_t at;
    memset(&options, 0, sizeof options);
    options.skip_checksum = 1;
    for (at = 0; at < bytes; at += info.packet_bytes) {
        REQUIRE(dtc_inspect(message + at, bytes - at, &info) == DTC_OK);
        REQUIRE(dtc_decode((float *)fuzz_lend(&values_memory, 4 * info.count), info.count, message + at,
                           info.packet_bytes, &options, fuzz_lend(&scratch_memory, info.decode_scratch),
                           info.decode_scratch) == DTC_OK);
    }
}

static void check_sum(const uint8_t *a, size_t a_bytes, const uint8_t *b, size_t b_bytes) {
    static struct fuzz_memory sum_memory, scratch_memory;
    size_t bound = dtc_message_add_bound(a, a_bytes, b, b_bytes), bytes = 1, at;
    size_t need = dtc_message_add_scratch(a, a_bytes, b, b_bytes);
    void *sum, *scratch;
    dtc_status status;
    dtc_info info;
    if (bound > MOST || need > MOST) return; /* counts that nobody would take */
    sum = fuzz_lend(&sum_memory, bound);
    scratch = fuzz_lend(&scratch_memory, need);
    status = dtc_message_add(sum, bound, &bytes, a, a_bytes, b, b_bytes, scratch, need);
    REQUIRE(fuzz_intact(sum) && fuzz_intact(scratch));
    REQUIRE(status == DTC_OK || bytes == 0);
    for (at = 0; at < bytes; at += info.packet_bytes)
        REQUIRE(dtc_inspect((const uint8_t *)sum + at, bytes - at, &info) == DTC_OK && info.terms >= 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_input input = {data, size};
    dtc_tensor tensors[TENSORS];
    size_t number, total = take_shapes(&input, tensors, &number), at = 0, packets = 0;
    dtc_status status = decode(tensors, number, total, input.data, input.size, 0.0f);
    dtc_info info;
    REQUIRE(decode(tensors, number, total, input.data, input.size, 0.5f) == status);
    if (status == DTC_OK) check_packets(input.data, input.size);
    check_sum(input.data, input.size, input.data, input.size);
    while (packets++ < 2 && dtc_inspect(input.data + at, input.size - at, &info) == DTC_OK) at += info.packet_bytes;
    check_sum(input.data, at, input.data + at, input.size - at);
    return 0;
}
