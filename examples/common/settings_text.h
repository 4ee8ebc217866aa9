/* The settings that all processes of a run must share, as one text.
 *
 * The text is a command line, such as "--batch 64 --lr 0.1". exchange/options.h writes it. Two processes have the same
 * settings if and only if their texts are equal.
 */
#ifndef EXAMPLES_SETTINGS_TEXT_H
#define EXAMPLES_SETTINGS_TEXT_H

#include <stdbool.h>

enum { SETTINGS_TEXT_BYTES = 1536 }; /* enough for any text, its final zero byte included */

/* Returns whether two texts differ, and copies the first option in which they do, with its value: that of `a` to
 * a_option, that of `b` to b_option. If the texts are equal, both are "". An option longer than 255 bytes is cut. If a
 * text ends before that option, its copy says so. */
bool settings_differ(const char *a, const char *b, char a_option[256], char b_option[256]);

#endif
