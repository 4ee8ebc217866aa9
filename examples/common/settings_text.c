#include "settings_text.h"

#include <stdio.h>
#include <string.h>

/* Returns the bytes of the option that a text begins with. It ends before the next " --". */
static size_t option_bytes(const char *text) {
    const char *end = strstr(text, " --");
    return end ? (size_t)(end - text) : strlen(text);
}

static void copy_option(char option[256], const char *text) {
    if (!*text) text = "no such option";
    size_t bytes = option_bytes(text);
    snprintf(option, 256, "%.*s", (int)(bytes < 255 ? bytes : 255), text);
}

bool settings_differ(const char *a, const char *b, char a_option[256], char b_option[256]) {
    size_t bytes;
    a_option[0] = b_option[0] = 0;
    if (strcmp(a, b) == 0) return false;
    while (*a && *b && (bytes = option_bytes(a)) == option_bytes(b) && memcmp(a, b, bytes) == 0) {
        a += bytes + (a[bytes] != 0);
        b += bytes + (b[bytes] != 0);
    }
    copy_option(a_option, a);
    copy_option(b_option, b);
    return true;
}
