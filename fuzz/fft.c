/* dtcodec_fft.h with any sizes: what dtc_circulant_layer_bytes says is enough memory for every call. */

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

enum { MOST = 1 << 20 };

/* A size near 0, near a power of two, or near the end of size_t. */
static size_t take_size(struct fuzz_input *input) {
    unsigned kind = fuzz_byte(input), low = fuzz_byte(input);
    if (kind < 200) return low;
    if (kind < 230) return ((size_t)1 << low % (8 * sizeof(size_t))) + fuzz_byte(input) - 128;
    return SIZE_MAX - low;
}

static float *lend_floats(struct fuzz_memory *memory, size_t n) {
    float *values = (float *)fuzz_lend(memory, 4 * n);
    size_t i;
    for (i = 0; i < n; i++) values[i] = (float)(i % 7) - 3;
    return values;
}

static void check_layer(void *memory, size_t need, const size_t *sizes, size_t batch) {
    static struct fuzz_memory input_memory, output_memory, vector_memory;
    size_t rows = sizes[0], columns = sizes[1], block = sizes[2] ? sizes[2] : rows > columns ? rows : columns;
    size_t vectors = dtc_circulant_vector_count(rows, columns, block);
    float *inputs, *outputs, *vector;
    dtc_circulant_layer *layer;
    REQUIRE(dtc_circulant_layer_open(&layer, memory, need - 1, rows, columns, sizes[2], sizes[3]) == DTC_ERROR_SCRATCH);
    REQUIRE(dtc_circulant_layer_open(&layer, memory, need, rows, columns, sizes[2], sizes[3]) == DTC_OK && layer);
    if (vectors < MOST && batch * rows < MOST && batch * columns < MOST) {
        inputs = lend_floats(&input_memory, batch * columns);
        outputs = lend_floats(&output_memory, batch * rows);
        vector = lend_floats(&vector_memory, vectors);
        REQUIRE(dtc_circulant_forward(layer, outputs, inputs, batch) == DTC_ERROR_ARGUMENT);
        REQUIRE(dtc_circulant_layer_load(layer, vector) == DTC_OK);
        REQUIRE(dtc_circulant_forward(layer, outputs, inputs, sizes[3] + 1) == DTC_ERROR_ARGUMENT);
        REQUIRE(dtc_circulant_forward(layer, outputs, inputs, batch) == DTC_OK);
        REQUIRE(dtc_circulant_backward_inputs(layer, inputs, outputs, batch) == DTC_OK);
        REQUIRE(dtc_circulant_backward_vectors(layer, vector, inputs, outputs, batch) == DTC_OK);
        REQUIRE(fuzz_intact(inputs) && fuzz_intact(outputs) && fuzz_intact(vector));
    }
    REQUIRE(fuzz_intact(memory));
    dtc_circulant_layer_close(layer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct fuzz_memory memory;
    struct fuzz_input input = {data, size};
    size_t sizes[4], i, need, good;
    void *lent;
    for (i = 0; i < 4; i++) sizes[i] = take_size(&input);
    for (i = 0; i < 4; i++) {
        good = dtc_fft_good_size(sizes[i]);
        REQUIRE(good ? good >= sizes[i] && good % 2 == 0 : sizes[i] > (size_t)1 << 30);
    }
    need = dtc_circulant_layer_bytes(sizes[0], sizes[1], sizes[2], sizes[3]);
    if (!need) {
        dtc_circulant_layer *layer;
        char none[1];
        REQUIRE(dtc_circulant_layer_open(&layer, none, 1, sizes[0], sizes[1], sizes[2], sizes[3]) ==
                DTC_ERROR_ARGUMENT);
        REQUIRE(!layer);
        return 0;
    }
    if (need > MOST) return 0;
    lent = fuzz_lend(&memory, need);
    check_layer(lent, need, sizes, 1 + fuzz_byte(&input) % sizes[3]);
    return 0;
}
