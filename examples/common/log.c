#include "log.h"

#include <stdarg.h>
#include <stdio.h>

static const char *kind_numbered = "worker", *kind_zero = "server";

void say_kind(const char *numbered, const char *zero) {
    kind_numbered = numbered;
    kind_zero = zero;
}

void say(size_t process, const char *format, ...) {
    char text[768], name[32];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    for (char *c = text; *c; c++)
        if (*c < 32 || *c > 126) *c = '?'; /* the text may quote bytes that an unknown sender chose */
    snprintf(name, sizeof name, process ? "%s %zu" : "%s", process ? kind_numbered : kind_zero, process);
    fprintf(stderr, "%s: %s\n", name, text); /* one call per line, because several processes share the terminal */
}
