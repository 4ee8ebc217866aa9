/* gradient DIR: prints a gradient of the net 784-392-50-10 as a .safetensors file, after 40 steps on the IDX data set
 * in DIR. */
#include <stdio.h>

#include "tests/training.h"

enum { STEPS = 40 };

int main(int argc, char **argv) {
    struct training training;
    struct error error;
    char head[4096];
    size_t used = 0, at = 0;
    if (argc != 2 || !training_run(&training, argv[1], STEPS, &error)) {
        fprintf(stderr, "gradient: %s\n", argc == 2 ? error.text : "the folder of a data set is missing");
        return 1;
    }
    const struct tensors *gradient = &training.gradient;
    for (size_t i = 0; i < gradient->count; i++) {
        const struct tensor *tensor = &gradient->tensor[i];
        size_t bytes = 4 * tensor->rows * tensor->columns;
        used += (size_t)snprintf(head + used, sizeof head - used,
                                 "%s\"%zu\":{\"dtype\":\"F32\",\"shape\":[%zu,%zu],\"data_offsets\":[%zu,%zu]}",
                                 i ? "," : "{", i, tensor->rows, tensor->columns, at, at + bytes);
        at += bytes;
    }
    used += (size_t)snprintf(head + used, sizeof head - used, "}");
    for (size_t i = 0; i < 8; i++) putchar((int)(used >> 8 * i & 255));
    fwrite(head, 1, used, stdout);
    fwrite(gradient->all, 4, gradient->values, stdout); /* little-endian, as the trainers assume, too */
    training_free(&training);
    return fflush(stdout) != 0;
}
