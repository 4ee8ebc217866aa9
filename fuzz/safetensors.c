/* The reader of .safetensors files on any bytes: the tensors that it finds lie side by side in the bytes, and the
 * writer's head gives the same names and shapes. */

#include "examples/dtc/safetensors.h"
#include "fuzz.h"

/* Tensors of the same names and shapes, written and read again. */
static void check_head(const struct arrays *arrays) {
    static struct fuzz_memory memory;
    struct arrays again;
    struct error error;
    size_t head_bytes, bytes, i;
    uint8_t *head = safetensors_head(arrays, &head_bytes), *file;
    REQUIRE(head && head_bytes % 8 == 0);
    bytes = head_bytes;
    for (i = 0; i < arrays->count; i++) bytes += 4 * arrays->array[i].count;
    file = (uint8_t *)fuzz_lend(&memory, bytes);
    memset(file, 0, bytes);
    memcpy(file, head, head_bytes);
    REQUIRE(safetensors_read(file, bytes, &again, &error));
    REQUIRE(again.count == arrays->count);
    for (i = 0; i < arrays->count; i++) {
        const struct array *a = &arrays->array[i], *b = &again.array[i];
        REQUIRE(strcmp(a->name, b->name) == 0 && b->dtype == DTYPE_F32 && a->dimensions == b->dimensions);
        REQUIRE(memcmp(a->shape, b->shape, a->dimensions * sizeof *a->shape) == 0 && a->count == b->count);
    }
    free(head);
    arrays_free(&again);
    REQUIRE(!safetensors_read(file, bytes - 1, &again, &error) && !again.array);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct fuzz_memory memory;
    struct arrays arrays;
    struct error error;
    size_t i;
    error.text[0] = 0;
    if (!safetensors_read(data, size, &arrays, &error)) {
        REQUIRE(error.text[0] && !arrays.array && !arrays.count);
        return 0;
    }
    const uint8_t *at = arrays.count ? arrays.array[0].bytes : data + size;
    for (i = 0; i < arrays.count; i++) {
        const struct array *array = &arrays.array[i];
        REQUIRE(array->bytes == at && !array->big_endian && !array->fortran_order);
        at += array->count * dtype_bytes(array->dtype);
        REQUIRE(at <= data + size);
        REQUIRE(array->count == 0 || array->count % array_rows(array) == 0);
        float *values = (float *)fuzz_lend(&memory, 4 * array->count);
        array_floats(array, values);
        REQUIRE(fuzz_intact(values));
    }
    REQUIRE(at == data + size);
    check_head(&arrays);
    arrays_free(&arrays);
    return 0;
}
