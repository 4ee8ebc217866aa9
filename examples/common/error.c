#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

bool set_error(struct error *error, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    return false;
}

static const char *kind_numbered = "worker", *kind_zero = "server";

void say_kind(const char *numbered, const char *zero) {
    kind_numbered = numbered;
    kind_zero = zero;
}

void say(size_t worker, const char *format, ...) {
    char text[768], name[32];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    for (char *c = text; *c; c++)
        if (*c < 32 || *c > 126) *c = '?'; /* part of it may come from a stranger */
    snprintf(name, sizeof name, worker ? "%s %zu" : "%s", worker ? kind_numbered : kind_zero, worker);
    fprintf(stderr, "%s: %s\n", name, text); /* one call, one line: processes share the terminal */
}

void *allocate(size_t count, size_t size) {
    void *memory = calloc(count ? count : 1, size ? size : 1);
    if (!memory) {
        fprintf(stderr, "out of memory: %zu x %zu bytes\n", count, size);
        exit(1);
    }
    return memory;
}
