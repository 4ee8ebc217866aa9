/* Sums, multiples and products of any two packets, hostile ones, too: what comes out is a packet that decodes. */

#include "fuzz.h"

/* No Fourier transform, but one that reads and writes what these do: what is looked for is where they may. */
static inline void copy_forward(float *spectrum, const float *values, size_t size) {
    size_t i;
    for (i = 0; i < size + 2; i++) spectrum[i] = values[i % size];
}

#define DTCODEC_FFT_PLAN_BYTES(size)             sizeof(size_t)
#define DTCODEC_FFT_PLAN_OPEN(plan, bytes, size) (*(size_t *)(plan) = (size), 1)
#define DTCODEC_FFT_PLAN_CLOSE(plan)             ((void)(plan))
#define DTCODEC_FFT_FORWARD(plan, to, from)      copy_forward(to, from, *(const size_t *)(plan))
#define DTCODEC_FFT_INVERSE(plan, to, from)      memcpy(to, from, *(const size_t *)(plan) * sizeof(float))
#define DTCODEC_FFT_IMPLEMENTATION
#include "dtcodec_fft.h"

static void check_sum(const uint8_t *a, size_t a_bytes, const uint8_t *b, size_t b_bytes) {
    static struct fuzz_memory sum_memory, scratch_memory, values_memory;
    size_t bound = dtc_packet_add_bound(a, a_bytes, b, b_bytes), need = dtc_packet_add_scratch(a, a_bytes, b, b_bytes);
    void *sum = fuzz_lend(&sum_memory, bound), *scratch = fuzz_lend(&scratch_memory, need);
    size_t bytes = 1;
    dtc_info info;
    dtc_status status = dtc_packet_add(sum, bound, &bytes, a, a_bytes, b, b_bytes, scratch, need), decoded;
    REQUIRE(fuzz_intact(sum) && fuzz_intact(scratch));
    REQUIRE((status == DTC_OK) == (bytes > 0) && (bound || status != DTC_OK));
    REQUIRE(status != DTC_ERROR_SCRATCH && (!bound || status != DTC_ERROR_CAPACITY));
    if (status != DTC_OK) return;
    REQUIRE(dtc_inspect(sum, bytes, &info) == DTC_OK && info.packet_bytes == bytes && info.terms >= 2);
    scratch = fuzz_lend(&scratch_memory, info.decode_scratch);
    decoded = dtc_decode((float *)fuzz_lend(&values_memory, 4 * info.count), info.count, sum, bytes, NULL, scratch,
                         info.decode_scratch);
    REQUIRE(decoded == DTC_OK || info.codec == DTC_SENSING || decoded == DTC_ERROR_PAYLOAD);
    REQUIRE(decoded == DTC_OK || info.spec.quant.entropy == DTC_ENTROPY_NONE); /* what is packed goes unread */
}

static void check_product(const uint8_t *packet, size_t size, const dtc_info *info) {
    static struct fuzz_memory x_memory, y_memory, scratch_memory, copy_memory;
    int transposed;
    uint8_t *copy;
    for (transposed = 0; transposed < 2; transposed++) {
        size_t inputs = transposed ? info->rows : info->columns, i;
        size_t need = dtc_packet_matvec_scratch(packet, size, transposed);
        float *x = (float *)fuzz_lend(&x_memory, 4 * inputs);
        float *y = (float *)fuzz_lend(&y_memory, 4 * (transposed ? info->columns : info->rows));
        void *scratch = fuzz_lend(&scratch_memory, need);
        dtc_status status;
        for (i = 0; i < inputs; i++) x[i] = (float)i - 3;
        status = dtc_packet_matvec(y, packet, size, x, transposed, scratch, need);
        REQUIRE(status != DTC_ERROR_SCRATCH && fuzz_intact(y) && fuzz_intact(scratch));
        need = dtc_fft_packet_matvec_scratch(packet, size, transposed);
        scratch = fuzz_lend(&scratch_memory, need);
        REQUIRE(dtc_fft_packet_matvec(y, packet, size, x, transposed, scratch, need) == status);
        REQUIRE(fuzz_intact(y) && fuzz_intact(scratch));
    }
    copy = (uint8_t *)fuzz_lend(&copy_memory, size);
    memcpy(copy, packet, size);
    if (dtc_packet_scale(copy, size, 0.5f) == DTC_OK) {
        dtc_info scaled;
        REQUIRE(dtc_inspect(copy, size, &scaled) == DTC_OK && scaled.packet_bytes == size);
    } else {
        REQUIRE(memcmp(copy, packet, size) == 0);
    }
    REQUIRE(fuzz_intact(copy));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    dtc_info a, b;
    if (dtc_inspect(data, size, &a) != DTC_OK || a.count > FUZZ_COUNT_MAX) return 0;
    check_product(data, a.packet_bytes, &a);
    check_sum(data, a.packet_bytes, data, a.packet_bytes);
    if (dtc_inspect(data + a.packet_bytes, size - a.packet_bytes, &b) != DTC_OK || b.count > FUZZ_COUNT_MAX) return 0;
    check_sum(data, a.packet_bytes, data + a.packet_bytes, b.packet_bytes);
    return 0;
}
