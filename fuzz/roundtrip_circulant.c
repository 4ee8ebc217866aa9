/* circulant: what is sent of a dense matrix is the mean of each wrapped diagonal, and vectors that are given come out
 * as raw or quant would give them. */

#include "fuzz.h"

enum { COUNT_MAX = 1200 };

static size_t entry(size_t columns, size_t block, size_t i, size_t j) {
    return (i / block * ((columns + block - 1) / block) + j / block) * block + (block + i % block - j % block) % block;
}

/* In the order of the values, in double: to the bit. */
static void check_means(const float *values, const float *decoded, size_t count, size_t columns, size_t block,
                        int rounded) {
    static double sum[COUNT_MAX];
    static float of[COUNT_MAX];
    static size_t places[COUNT_MAX];
    size_t i;
    memset(places, 0, sizeof places);
    for (i = 0; i < count; i++) {
        size_t at = entry(columns, block, i / columns, i % columns);
        REQUIRE(at < count);
        sum[at] = places[at] ? sum[at] + (double)values[i] : (double)values[i];
        if (places[at]++) REQUIRE(fuzz_bits(of[at]) == fuzz_bits(decoded[i]));
        of[at] = decoded[i];
    }
    for (i = 0; i < count; i++)
        if (places[i] && !rounded) REQUIRE(fuzz_bits(of[i]) == fuzz_bits((float)(sum[i] / (double)places[i])));
}

/* The spec whose packet holds the vectors as the nested packet does, without outliers. Packets for sums have none. At
 * two bits or more, a range that is given makes it such a packet, and the range of the values gives the grid that they
 * would have anyway. One bit takes its grid from means, unless there is a range. So its reference is a packet of two
 * workers, whose grid is the same unless the values are nearly equal; such values have no outliers. */
static dtc_spec nested_spec(const dtc_value *value, const float *vectors, size_t count) {
    float least = HUGE_VALF, most = -HUGE_VALF;
    dtc_spec nested;
    size_t i;
    memset(&nested, 0, sizeof nested);
    nested.codec = value->bits ? DTC_QUANT : DTC_RAW;
    nested.raw.type = value->type;
    nested.quant.bits = value->bits;
    for (i = 0; i < count; i++) {
        least = vectors[i] < least ? vectors[i] : least;
        most = vectors[i] > most ? vectors[i] : most;
    }
    if (value->bits > 1) {
        nested.quant.min_given = nested.quant.max_given = 1;
        nested.quant.min = least;
        nested.quant.max = most;
    } else if (value->bits && !(least > most / 2) && !(most < least / 2)) {
        nested.workers = 2;
    }
    return nested;
}

/* The values as vectors of a matrix of rows x columns. */
static void check_given(const dtc_spec *spec, const float *vectors, size_t count, size_t rows, size_t columns) {
    static struct fuzz_memory packet_memory, scratch_memory, found_memory;
    static float matrix[1 << 16], expected[COUNT_MAX];
    size_t need = dtc_encode_circulant_scratch(spec, rows, columns), bound, bytes, i, block = spec->block;
    dtc_spec shaped = *spec, nested;
    unsigned char *packet;
    void *scratch = fuzz_lend(&scratch_memory, need);
    float *found;
    dtc_info info;
    if (!block) block = rows > columns ? rows : columns;
    shaped.rows = rows;
    bound = dtc_encode_bound(&shaped, rows * columns);
    packet = (unsigned char *)fuzz_lend(&packet_memory, bound);
    REQUIRE(dtc_encode_circulant(spec, packet, bound, &bytes, vectors, rows, columns, scratch, need) == DTC_OK);
    REQUIRE(fuzz_intact(packet) && fuzz_intact(scratch) && bytes <= bound);
    memmove(packet + bound - bytes, packet, bytes);
    packet += bound - bytes;
    REQUIRE(dtc_inspect(packet, bytes, &info) == DTC_OK && info.packet_bytes == bytes && info.count == rows * columns);
    scratch = fuzz_lend(&scratch_memory, info.decode_scratch);
    REQUIRE(dtc_decode(matrix, rows * columns, packet, bytes, NULL, scratch, info.decode_scratch) == DTC_OK);
    memcpy(expected, vectors, count * sizeof *expected);
    if (info.codec == DTC_CIRCULANT) {
        found = (float *)fuzz_lend(&found_memory, 4 * count);
        REQUIRE(dtc_decode_circulant(found, count, packet, bytes, NULL, scratch, info.decode_scratch) == DTC_OK);
        REQUIRE(fuzz_intact(found) && fuzz_intact(scratch));
        nested = nested_spec(&spec->circulant.value, vectors, count);
        REQUIRE(fuzz_roundtrip(&nested, vectors, count, expected, &info));
        REQUIRE(memcmp(found, expected, 4 * count) == 0);
    }
    for (i = 0; i < rows * columns; i++)
        REQUIRE(fuzz_bits(matrix[i]) == fuzz_bits(expected[entry(columns, block, i / columns, i % columns)]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static float values[COUNT_MAX], decoded[COUNT_MAX];
    struct fuzz_input input;
    unsigned options;
    size_t count, rows, columns, vectors, i;
    dtc_spec spec;
    dtc_info info;
    input.data = data;
    input.size = size;
    options = fuzz_byte(&input);
    memset(&spec, 0, sizeof spec);
    spec.codec = DTC_CIRCULANT;
    spec.no_checksum = options & 1;
    if (options & 2) spec.circulant.value.type = (dtc_type)(fuzz_byte(&input) % 3);
    if (options & 4 && !spec.circulant.value.type) spec.circulant.value.bits = (int)(fuzz_byte(&input) % 17);
    if (options & 8) spec.block = fuzz_byte(&input);
    if (options & 16) spec.workers = fuzz_byte(&input);
    spec.rows = rows = 1 + fuzz_byte(&input) % 64;
    columns = 1 + fuzz_byte(&input) % 64;
    count = fuzz_values(&input, values, COUNT_MAX);
    if (options & 128) spec.seed = 1;
    if (fuzz_roundtrip(&spec, values, count / rows * rows, decoded, &info)) {
        REQUIRE(info.codec == DTC_CIRCULANT || memcmp(values, decoded, 4 * info.count) == 0);
        if (info.codec == DTC_CIRCULANT)
            check_means(values, decoded, info.count, info.columns,
                        spec.block            ? spec.block
                        : rows > info.columns ? rows
                                              : info.columns,
                        spec.circulant.value.type || spec.circulant.value.bits);
    }
    vectors = dtc_circulant_vector_count(rows, columns, spec.block);
    if (vectors > count) return 0;
    for (i = 0; i < vectors; i++)
        if (!fuzz_finite(values[i])) return 0;
    check_given(&spec, values, vectors, rows, columns);
    return 0;
}
