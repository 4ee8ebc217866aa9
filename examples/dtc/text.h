/* Text for people and for JSON, of bytes that an unknown sender may have chosen. */
#ifndef DTC_TEXT_H
#define DTC_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Replaces every byte of the text that is not printable ASCII by '?', so that it cannot control a terminal. Returns
 * the text. */
char *text_printable(char *text);

/* Replaces every byte of the text that is not valid UTF-8 by '?', because JSON is UTF-8. Returns the text. */
char *text_utf8(char *text);

/* Returns whether the text ends so. */
bool text_ends(const char *text, const char *ending);

/* Returns the value in bits a second of a rate such as "1Gbit", "100Mbit", "56kbit" or "12.5MB" (bytes); 0: it is no
 * such rate. */
double text_rate(const char *text);

/* Returns the value in seconds of a duration such as "0.12s", "120ms" or "50us"; a negative number: it is none. */
double text_seconds(const char *text);

#endif
