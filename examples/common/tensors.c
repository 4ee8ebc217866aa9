#include "tensors.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "memory.h"

struct tensors tensors_create(const size_t (*shapes)[2], size_t count) {
    struct tensors tensors = {count, (struct tensor *)allocate(count, sizeof(struct tensor)), 0, NULL};
    for (size_t i = 0; i < count; i++) tensors.values += shapes[i][0] * shapes[i][1];
    tensors.all = (float *)allocate(tensors.values, sizeof(float));
    float *values = tensors.all;
    for (size_t i = 0; i < count; i++) {
        struct tensor tensor = {values, shapes[i][0], shapes[i][1], {0, 0}};
        tensors.tensor[i] = tensor;
        values += tensor.rows * tensor.columns;
    }
    return tensors;
}

struct tensors tensors_like(const struct tensors *model) {
    struct tensors tensors = {model->count, (struct tensor *)allocate(model->count, sizeof(struct tensor)),
                              model->values, (float *)allocate(model->values, sizeof(float))};
    for (size_t i = 0; i < model->count; i++) {
        tensors.tensor[i] = model->tensor[i];
        tensors.tensor[i].values = tensors.all + (model->tensor[i].values - model->all);
    }
    return tensors;
}

void tensors_free(struct tensors *tensors) {
    free(tensors->tensor);
    free(tensors->all);
    memset(tensors, 0, sizeof *tensors);
}

struct tensors tensors_one(const struct tensors *tensors, size_t index) {
    struct tensor *tensor = &tensors->tensor[index];
    struct tensors one = {1, tensor, tensor->rows * tensor->columns, tensor->values};
    return one;
}

void tensors_clear(struct tensors *tensors) {
    memset(tensors->all, 0, tensors->values * sizeof(float));
}

void tensors_copy(struct tensors *to, const struct tensors *from) {
    memcpy(to->all, from->all, from->values * sizeof(float));
}

void tensors_add(struct tensors *to, float weight, const struct tensors *from) {
    for (size_t i = 0; i < to->values; i++) to->all[i] += weight * from->all[i];
}

bool tensors_finite(const struct tensors *tensors) {
    const uint32_t exponent = 0x7f800000u; /* NaN and infinity have all of its bits */
    uint32_t infinite = 0;
    for (size_t i = 0; i < tensors->values; i++) { /* no early return: compilers vectorize this loop */
        uint32_t bits;
        memcpy(&bits, &tensors->all[i], sizeof bits);
        infinite |= (uint32_t)((bits & exponent) == exponent);
    }
    return !infinite;
}

uint32_t tensors_crc(const struct tensors *tensors) {
    return (uint32_t)crc32_z(0, (const unsigned char *)tensors->all, tensors->values * sizeof(float));
}
