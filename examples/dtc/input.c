#include "input.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "npy.h"
#include "safetensors.h"
#include "text.h"

enum format format_of_path(const char *path) {
    return text_ends(path, ".npy") ? FORMAT_NPY : text_ends(path, ".safetensors") ? FORMAT_SAFETENSORS : FORMAT_RAW;
}

/* Takes the bytes as one array of float32. */
static bool read_raw(const uint8_t *bytes, size_t size, struct arrays *arrays, struct error *error) {
    memset(arrays, 0, sizeof *arrays);
    if (size % 4)
        return set_error(error, "%zu bytes are not whole float32: name another format with --from, or fetch it again",
                         size);
    arrays->array = (struct array *)calloc(1, sizeof *arrays->array);
    size_t *shape = (size_t *)calloc(1, sizeof *shape);
    if (!arrays->array || !shape) {
        free(arrays->array);
        free(shape);
        return set_error(error, "no memory to read it");
    }
    shape[0] = size / 4;
    arrays->array->dtype = DTYPE_F32;
    arrays->array->dimensions = 1;
    arrays->array->shape = shape;
    arrays->array->count = size / 4;
    arrays->array->bytes = bytes;
    arrays->count = 1;
    return true;
}

bool input_read(struct input *input, const char *path, enum format format, struct error *error) {
    size_t size;
    memset(input, 0, sizeof *input);
    if (!file_read(path, &input->bytes, &size, error)) return false;
    if (format == FORMAT_AUTO) {
        format = format_of_path(path);
        if (format == FORMAT_RAW && npy_begins(input->bytes, size)) format = FORMAT_NPY;
    }
    input->format = format;
    bool good = format == FORMAT_NPY           ? npy_read(input->bytes, size, &input->arrays, error)
                : format == FORMAT_SAFETENSORS ? safetensors_read(input->bytes, size, &input->arrays, error)
                                               : read_raw(input->bytes, size, &input->arrays, error);
    if (!good) input_free(input);
    return good;
}

void input_free(struct input *input) {
    arrays_free(&input->arrays);
    free(input->bytes);
    memset(input, 0, sizeof *input);
}

/* Checks that every codec accepts the values. */
static bool check_finite(const struct tensor *tensor, size_t number, struct error *error) {
    for (size_t i = 0; i < tensor->count; i++)
        if (!isfinite(tensor->values[i]))
            return set_error(error, "tensor %zu %.100s: value %zu is NaN, or beyond the range of float32: leave it out",
                             number, tensor->name, i);
    return true;
}

bool model_read(struct model *model, const char *path, enum format format, struct error *error) {
    struct input input;
    memset(model, 0, sizeof *model);
    if (!input_read(&input, path, format, error)) return false;
    model->tensor = (struct tensor *)calloc(input.arrays.count + 1, sizeof *model->tensor);
    bool good = model->tensor != NULL;
    for (size_t i = 0; i < input.arrays.count && good; i++) {
        struct array *array = &input.arrays.array[i];
        struct tensor *tensor = &model->tensor[model->count++];
        tensor->name = array->name ? array->name : (char *)calloc(1, 1);
        array->name = NULL;
        tensor->count = array->count;
        tensor->rows = array_rows(array);
        tensor->values = array->count < SIZE_MAX / 4 ? (float *)malloc(4 * array->count + 1) : NULL;
        good = tensor->values && tensor->name;
        if (good) array_floats(array, tensor->values);
        model->values += tensor->count;
    }
    input_free(&input);
    if (!good) set_error(error, "no memory for its values: use a machine with more memory");
    if (good && model->values == 0) good = set_error(error, "holds no values: name a file of a gradient");
    for (size_t i = 0; i < model->count && good; i++) good = check_finite(&model->tensor[i], i, error);
    if (!good) model_free(model);
    return good;
}

void model_free(struct model *model) {
    for (size_t i = 0; i < model->count; i++) {
        free(model->tensor[i].name);
        free(model->tensor[i].values);
    }
    free(model->tensor);
    memset(model, 0, sizeof *model);
}
