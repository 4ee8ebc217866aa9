#include "memory.h"

#include <stdio.h>
#include <stdlib.h>

void *allocate(size_t count, size_t size) {
    void *memory = calloc(count ? count : 1, size ? size : 1);
    if (!memory) {
        fprintf(stderr, "out of memory: %zu x %zu bytes\n", count, size);
        exit(1);
    }
    return memory;
}
