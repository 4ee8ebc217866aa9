/* The settings that all processes of a run must share, as one text.
 *
 * The text is a command line, such as "--batch 64 --lr 0.1". exchange/options.h writes it. Two processes have the same
 * settings if and only if their texts are equal.
 */
#ifndef EXAMPLES_SETTINGS_TEXT_H
#define EXAMPLES_SETTINGS_TEXT_H

enum { SETTINGS_TEXT_BYTES = 1536 }; /* enough for any text, its final zero byte included */

/* Finds the first option in which two texts differ and copies that option of each text, with its value. If the texts
 * are equal, both results are "". An option longer than 255 bytes is cut. */
void settings_difference(const char *a, const char *b, char a_option[256], char b_option[256]);

#endif
