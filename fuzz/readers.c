/* All readers of a packet agree: what one accepts, all accept, and what they say of it is the same. */

#include "fuzz.h"

/* A status of sums and multiples that does not say that a packet is bad. */
static int is_other(dtc_status status) {
    return status == DTC_ERROR_NONFINITE || status >= DTC_ERROR_INCOMPATIBLE;
}

static void check_matvec(const uint8_t *packet, const dtc_info *info, dtc_status status) {
    static struct fuzz_memory x_memory, y_memory, scratch_memory;
    int transposed;
    for (transposed = 0; transposed < 2; transposed++) {
        size_t inputs = transposed ? info->rows : info->columns, i;
        size_t need = dtc_packet_matvec_scratch(packet, info->packet_bytes, transposed);
        float *x = (float *)fuzz_lend(&x_memory, 4 * inputs);
        float *y = (float *)fuzz_lend(&y_memory, 4 * (transposed ? info->columns : info->rows));
        for (i = 0; i < inputs; i++) x[i] = (float)(i % 5) - 2;
        REQUIRE(dtc_packet_matvec(y, packet, info->packet_bytes, x, transposed, fuzz_lend(&scratch_memory, need),
                                  need) == status);
        REQUIRE(fuzz_intact(y));
    }
}

/* Adds the packet to itself; a bad packet is refused with the status that decoding it has. */
static void check_sum(const uint8_t *packet, const dtc_info *info, dtc_status status) {
    static struct fuzz_memory sum_memory, scratch_memory;
    size_t size = info->packet_bytes, bytes, bound = dtc_packet_add_bound(packet, size, packet, size);
    size_t need = dtc_packet_add_scratch(packet, size, packet, size);
    dtc_status added;
    if (!bound) return; /* no such packets can be added */
    added = dtc_packet_add(fuzz_lend(&sum_memory, bound), bound, &bytes, packet, size, packet, size,
                           fuzz_lend(&scratch_memory, need), need);
    REQUIRE(added == status || (status == DTC_OK && is_other(added)) || is_other(added));
    REQUIRE(status == DTC_OK || added != DTC_OK);
}

static void check_parts(const uint8_t *packet, const dtc_info *info, dtc_status status) {
    static struct fuzz_memory u_memory, v_memory, scratch_memory;
    void *scratch = fuzz_lend(&scratch_memory, info->decode_scratch);
    if (info->codec == DTC_FACTOR) {
        size_t most = (size_t)info->spec.factor.rank, rank = most;
        float *u = (float *)fuzz_lend(&u_memory, 4 * most * info->rows);
        float *v = (float *)fuzz_lend(&v_memory, 4 * most * info->columns);
        REQUIRE(dtc_decode_factors(u, v, &rank, info->rows, info->columns, packet, info->packet_bytes, NULL, scratch,
                                   info->decode_scratch) == status);
        REQUIRE(status != DTC_OK || rank == most);
    }
    if (info->codec == DTC_CIRCULANT) {
        size_t block = info->spec.block, count;
        if (!block) block = info->rows > info->columns ? info->rows : info->columns;
        count = dtc_circulant_vector_count(info->rows, info->columns, block);
        REQUIRE(dtc_decode_circulant((float *)fuzz_lend(&u_memory, 4 * count), count, packet, info->packet_bytes, NULL,
                                     scratch, info->decode_scratch) == status);
    }
}

/* A tensor of more than 512 values is a message of one packet. */
static void check_message(const uint8_t *packet, const dtc_info *info, dtc_status status, const float *values) {
    static struct fuzz_memory values_memory, scratch_memory;
    size_t need = info->decode_scratch + 8 * info->count + 4096;
    dtc_tensor tensor;
    if (info->count <= 512) return;
    memset(&tensor, 0, sizeof tensor);
    tensor.values = (float *)fuzz_lend(&values_memory, 4 * info->count);
    tensor.count = info->count;
    REQUIRE(dtc_message_decode(&tensor, 1, packet, info->packet_bytes, NULL, fuzz_lend(&scratch_memory, need), need) ==
            status);
    REQUIRE(status != DTC_OK || memcmp(tensor.values, values, 4 * info->count) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct fuzz_memory packet_memory, values_memory, again_memory, scratch_memory;
    dtc_info info;
    dtc_status status;
    dtc_report report;
    uint8_t *packet;
    float *values, *again;
    void *scratch;
    if (dtc_inspect(data, size, &info) != DTC_OK || info.count > FUZZ_COUNT_MAX) return 0;
    packet = (uint8_t *)fuzz_lend(&packet_memory, info.packet_bytes);
    memcpy(packet, data, info.packet_bytes);
    packet[2] &= 0xfe; /* a mutation has no valid checksum: the packet goes without one, if its size allows that */
    if (dtc_inspect(packet, info.packet_bytes, &info) != DTC_OK) return 0;
    values = (float *)fuzz_lend(&values_memory, 4 * info.count);
    again = (float *)fuzz_lend(&again_memory, 4 * info.count);
    scratch = fuzz_lend(&scratch_memory, info.decode_scratch);
    memset(again, 0, 4 * info.count);
    status = dtc_decode(values, info.count, packet, info.packet_bytes, NULL, scratch, info.decode_scratch);
    REQUIRE(dtc_decode_add(again, info.count, 1, packet, info.packet_bytes, NULL, scratch, info.decode_scratch) ==
            status);
    REQUIRE(dtc_packet_report(&report, again, info.count, packet, info.packet_bytes, scratch, info.decode_scratch) ==
            status);
    check_message(packet, &info, status, values);
    if (status == DTC_ERROR_LIMIT) return 0; /* of a product that others do not form */
    check_matvec(packet, &info, status);
    check_sum(packet, &info, status);
    check_parts(packet, &info, status);
    return 0;
}
