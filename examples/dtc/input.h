/* A file of floats: raw float32, .npy or .safetensors. */
#ifndef DTC_INPUT_H
#define DTC_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/error.h"
#include "array.h"

enum format { FORMAT_AUTO, FORMAT_RAW, FORMAT_NPY, FORMAT_SAFETENSORS };

/* Returns the format that the ending of a path tells: .npy, .safetensors, and raw for all others. */
enum format format_of_path(const char *path);

/* A file that was read. The arrays point into `bytes`. Raw float32 is one array of one dimension. */
struct input {
    enum format format;
    uint8_t *bytes;
    struct arrays arrays;
};

/* Reads a file of floats. FORMAT_AUTO takes the format from the ending; a file of another ending, and standard input,
 * is .npy if it begins as such a file does, else raw. Free the result with input_free; on failure there is nothing to
 * free. */
bool input_read(struct input *input, const char *path, enum format format, struct error *error);

void input_free(struct input *input);

/* A tensor as fp32 in C order. */
struct tensor {
    char *name; /* never NULL; "" if it has none */
    float *values;
    size_t count, rows; /* rows divides count; 1: no matrix */
};

/* All tensors of a file. */
struct model {
    size_t count;
    struct tensor *tensor;
    size_t values; /* number of values in all tensors together */
};

/* Reads all tensors of a file. Free the result with model_free; on failure there is nothing to free. */
bool model_read(struct model *model, const char *path, enum format format, struct error *error);

void model_free(struct model *model);

#endif
