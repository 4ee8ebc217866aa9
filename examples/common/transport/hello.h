/* The first two payloads of a connection: the hello of the end that dialed, and the welcome that answers it.
 *
 *     of                payload                                                                             bytes
 *     a worker          number (4; 0: any free one), settings text                                          4 or more
 *     the server        number of the worker (4)                                                            4
 *     a dialing peer    number (4), process (8), whether the process is a founder (1), settings text        13 or more
 *     a dialed peer     process (8), number of the last push that arrived (4)                               12
 *
 * Numbers are little-endian. The settings text takes the rest of a hello, without a zero byte. The functions that read
 * return false if the bytes are anything else, also if a number is out of its range, and then change nothing.
 */
#ifndef EXAMPLES_HELLO_H
#define EXAMPLES_HELLO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../settings_text.h"

enum { HELLO_HEAD = 4, HELLO_BYTES = HELLO_HEAD + SETTINGS_TEXT_BYTES, WELCOME_BYTES = 4 };
enum { LINK_HELLO_HEAD = 13, LINK_HELLO_BYTES = LINK_HELLO_HEAD + SETTINGS_TEXT_BYTES, LINK_WELCOME_BYTES = 12 };

struct hello {
    size_t id;                          /* number of the worker or peer */
    uint64_t process;                   /* of a peer */
    bool founder;                       /* of a peer */
    char settings[SETTINGS_TEXT_BYTES]; /* ends in a zero byte */
};

/* Write a payload and return its bytes, which are fewer than HELLO_BYTES and LINK_HELLO_BYTES. `settings` is a text of
 * fewer than SETTINGS_TEXT_BYTES bytes. */
size_t hello_put(uint8_t *bytes, size_t id, const char *settings);
size_t link_hello_put(uint8_t *bytes, size_t id, uint64_t process, bool founder, const char *settings);
size_t welcome_put(uint8_t bytes[WELCOME_BYTES], size_t id);
size_t link_welcome_put(uint8_t bytes[LINK_WELCOME_BYTES], uint64_t process, uint32_t pushes);

/* Read a hello. */
bool hello_get(const uint8_t *bytes, size_t size, struct hello *hello);
bool link_hello_get(const uint8_t *bytes, size_t size, struct hello *hello);

/* Read a welcome. The number of a worker is from 1 to `workers`. */
bool welcome_get(const uint8_t *bytes, size_t size, size_t workers, size_t *id);
bool link_welcome_get(const uint8_t *bytes, size_t size, uint64_t *process, uint32_t *pushes);

#endif
