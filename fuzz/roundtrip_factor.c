/* factor: given factors decode to their product and come back to the bit; an approximation is no worse than zeros. */

#include "fuzz.h"

enum { COUNT_MAX = 700 };

static double norm(const float *x, const float *y, size_t count) {
    double sum = 0;
    size_t i;
    for (i = 0; i < count; i++) sum += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
    return sqrt(sum);
}

static void check_dense(dtc_spec *spec, const float *values, size_t count) {
    static float decoded[COUNT_MAX], zeros[COUNT_MAX];
    dtc_info info;
    if (!fuzz_roundtrip(spec, values, count, decoded, &info)) return;
    if (info.codec == DTC_RAW) {
        REQUIRE(memcmp(values, decoded, 4 * count) == 0);
        return;
    }
    REQUIRE(info.spec.factor.rank <= (spec->factor.rank ? spec->factor.rank : 4));
    if (!spec->factor.value.bits && spec->factor.value.type == DTC_TYPE_FP32)
        REQUIRE(norm(values, decoded, count) <= (1 + 1e-6) * norm(values, zeros, count));
}

static void check_given(dtc_spec *spec, const float *u, const float *v, size_t rank, size_t rows, size_t columns) {
    static struct fuzz_memory packet_memory, scratch_memory, u_memory, v_memory;
    static float decoded[COUNT_MAX * COUNT_MAX];
    size_t need = dtc_encode_factors_scratch(spec, rank, rows, columns), count = rows * columns, bound, bytes, i, j, k;
    void *scratch = fuzz_lend(&scratch_memory, need);
    unsigned char *packet;
    float *u_back = (float *)fuzz_lend(&u_memory, 4 * rank * rows);
    float *v_back = (float *)fuzz_lend(&v_memory, 4 * rank * columns);
    int finite = 1;
    dtc_info info;
    dtc_status status;
    for (i = 0; i < rank * rows; i++) finite &= fuzz_finite(u[i]);
    for (i = 0; i < rank * columns; i++) finite &= fuzz_finite(v[i]);
    spec->rows = rows;
    bound = dtc_encode_bound(spec, count);
    packet = (unsigned char *)fuzz_lend(&packet_memory, bound);
    status = dtc_encode_factors(spec, packet, bound, &bytes, u, v, rank, rows, columns, scratch, need);
    REQUIRE(fuzz_intact(packet) && fuzz_intact(scratch));
    if (status != DTC_OK) {
        REQUIRE(bytes == 0 && (bound ? status == DTC_ERROR_NONFINITE && !finite : status == DTC_ERROR_SPEC));
        return;
    }
    REQUIRE(finite && bytes <= bound && dtc_inspect(packet, bytes, &info) == DTC_OK && info.packet_bytes == bytes);
    scratch = fuzz_lend(&scratch_memory, info.decode_scratch);
    REQUIRE(dtc_decode(decoded, count, packet, bytes, NULL, scratch, info.decode_scratch) == DTC_OK);
    REQUIRE(fuzz_intact(scratch));
    if (info.codec == DTC_FACTOR) {
        size_t found = rank;
        REQUIRE(info.spec.factor.rank == (int)rank);
        REQUIRE(dtc_decode_factors(u_back, v_back, &found, rows, columns, packet, bytes, NULL, scratch,
                                   info.decode_scratch) == DTC_OK);
        REQUIRE(found == rank && fuzz_intact(u_back) && fuzz_intact(v_back));
        if (!spec->factor.value.bits && spec->factor.value.type == DTC_TYPE_FP32)
            REQUIRE(memcmp(u, u_back, 4 * rank * rows) == 0 && memcmp(v, v_back, 4 * rank * columns) == 0);
        u = u_back;
        v = v_back;
    }
    for (i = 0; i < rows; i++)
        for (j = 0; j < columns; j++) {
            volatile double sum = rank ? (double)u[i] * (double)v[j] : 0;
            for (k = 1; k < rank; k++) sum += (double)u[k * rows + i] * (double)v[k * columns + j];
            sum = sum > (double)FLT_MAX ? (double)FLT_MAX : sum < -(double)FLT_MAX ? -(double)FLT_MAX : sum;
            REQUIRE(fuzz_bits(decoded[i * columns + j]) == fuzz_bits((float)sum));
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static float values[COUNT_MAX];
    struct fuzz_input input;
    unsigned options;
    size_t count, rank, rows;
    dtc_spec spec;
    input.data = data;
    input.size = size;
    options = fuzz_byte(&input);
    memset(&spec, 0, sizeof spec);
    spec.codec = DTC_FACTOR;
    spec.no_checksum = options & 1;
    if ((options >> 1 & 3) < 3)
        spec.factor.value.type = (dtc_type)(options >> 1 & 3);
    else
        spec.factor.value.bits = (int)(fuzz_byte(&input) % 16) + 1;
    if (options & 8) spec.seed = fuzz_byte(&input);
    if (options & 16) spec.workers = fuzz_byte(&input) * 257u;
    rank = fuzz_byte(&input) % 12;
    rows = fuzz_byte(&input) % 40;
    count = fuzz_values(&input, values, COUNT_MAX);
    if (options & 32) {
        size_t side = rank ? count / rank : count, columns = side > rows ? side - rows : 0;
        if (rank && rank * (rows + columns) <= count)
            check_given(&spec, values, values + rank * rows, rank, rows, columns);
        return 0;
    }
    spec.factor.rank = (int)rank;
    spec.rows = rows;
    if (rows) count -= count % rows; /* others are refused as any codec's */
    check_dense(&spec, values, count);
    return 0;
}
