#include "settings_text.h"

#include <stdio.h>
#include <string.h>

/* Copies the option at *at, which ends before the next " --", and moves *at past it. */
static void next_option(const char **at, char option[256]) {
    const char *end = strstr(*at, " --");
    size_t length = end ? (size_t)(end - *at) : strlen(*at);
    snprintf(option, 256, "%.*s", (int)(length < 255 ? length : 255), *at);
    *at += length + (end != NULL);
}

void settings_difference(const char *a, const char *b, char a_option[256], char b_option[256]) {
    do {
        next_option(&a, a_option);
        next_option(&b, b_option);
    } while (strcmp(a_option, b_option) == 0 && (*a || *b));
    if (strcmp(a_option, b_option) == 0) a_option[0] = b_option[0] = 0;
}
