/* The reader of .npy files on any bytes: what it accepts lies in the bytes, and the writer's head says the same. */

#include "examples/dtc/npy.h"
#include "fuzz.h"

/* An array of the same shape, written and read again. */
static void check_head(const struct array *array) {
    static struct fuzz_memory memory;
    struct arrays again;
    struct error error;
    size_t head_bytes, bytes;
    char *head = npy_head(array->shape, array->dimensions, &head_bytes);
    uint8_t *file;
    REQUIRE(head && head_bytes % 64 == 0);
    bytes = head_bytes + 4 * array->count;
    file = (uint8_t *)fuzz_lend(&memory, bytes);
    memcpy(file, head, head_bytes);
    memset(file + head_bytes, 0, 4 * array->count);
    REQUIRE(npy_read(file, bytes, &again, &error));
    REQUIRE(again.count == 1 && again.array[0].dimensions == array->dimensions);
    REQUIRE(again.array[0].count == array->count && again.array[0].bytes == file + head_bytes);
    REQUIRE(memcmp(again.array[0].shape, array->shape, array->dimensions * sizeof *array->shape) == 0);
    free(head);
    arrays_free(&again);
    REQUIRE(!npy_read(file, bytes - 1, &again, &error) && !again.array);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct fuzz_memory memory;
    struct arrays arrays;
    struct error error;
    error.text[0] = 0;
    if (!npy_read(data, size, &arrays, &error)) {
        REQUIRE(error.text[0] && !arrays.array && !arrays.count);
        return 0;
    }
    REQUIRE(arrays.count == 1 && npy_begins(data, size));
    const struct array *array = &arrays.array[0];
    REQUIRE(array->bytes + array->count * dtype_bytes(array->dtype) == data + size);
    REQUIRE(array->count == 0 || array->count % array_rows(array) == 0);
    float *values = (float *)fuzz_lend(&memory, 4 * array->count);
    array_floats(array, values);
    REQUIRE(fuzz_intact(values));
    check_head(array);
    arrays_free(&arrays);
    return 0;
}
