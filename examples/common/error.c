#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

bool fail(struct error *error, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    return false;
}

void *allocate(size_t count, size_t size) {
    void *memory = calloc(count ? count : 1, size ? size : 1);
    if (!memory) {
        fprintf(stderr, "out of memory: %zu x %zu bytes\n", count, size);
        exit(1);
    }
    return memory;
}
