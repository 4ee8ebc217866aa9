#include "text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

char *text_printable(char *text) {
    for (char *c = text; *c; c++)
        if (*c < ' ' || *c > '~') *c = '?';
    return text;
}

/* Returns the bytes of the UTF-8 sequence at `text`; 0: it is not valid. The text ends by a zero byte. */
static size_t utf8_bytes(const unsigned char *text) {
    unsigned first = text[0], least, code;
    size_t length = first < 0x80 ? 1 : first < 0xc0 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf8 ? 4 : 0;
    if (length < 2) return length;
    code = first & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xc0u) != 0x80) return 0;
        code = code << 6 | (text[i] & 0x3fu);
    }
    least = length == 2 ? 0x80 : length == 3 ? 0x800 : 0x10000;
    return code < least || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? 0 : length;
}

char *text_utf8(char *text) {
    for (char *c = text; *c;) {
        size_t length = utf8_bytes((const unsigned char *)c);
        if (length == 0) *c = '?';
        c += length ? length : 1;
    }
    return text;
}

bool text_ends(const char *text, const char *ending) {
    size_t length = strlen(text), tail = strlen(ending);
    return length >= tail && strcmp(text + length - tail, ending) == 0;
}

struct unit {
    const char *name;
    double factor;
};

/* Returns a number above or equal to 0 times its unit; -1: the text is no such number. */
static double quantity(const char *text, const struct unit *units, size_t count) {
    char *end;
    double number = strtod(text, &end);
    if (end == text || !(number >= 0.0) || !isfinite(number)) return -1.0;
    for (size_t i = 0; i < count; i++)
        if (strcmp(end, units[i].name) == 0) return number * units[i].factor;
    return -1.0;
}

double text_rate(const char *text) {
    static const struct unit units[] = {{"bit", 1},  {"kbit", 1e3}, {"Mbit", 1e6}, {"Gbit", 1e9},
                                        {"kB", 8e3}, {"MB", 8e6},   {"GB", 8e9}};
    double rate = quantity(text, units, sizeof units / sizeof *units);
    return rate > 0.0 ? rate : 0.0;
}

double text_seconds(const char *text) {
    static const struct unit units[] = {{"s", 1}, {"ms", 1e-3}, {"us", 1e-6}};
    return quantity(text, units, sizeof units / sizeof *units);
}
