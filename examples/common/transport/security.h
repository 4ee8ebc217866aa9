/* Who may talk to this process: whoever knows a shared key, or without a key loopback addresses alone.
 *
 * With a key both ends of a connection first send a challenge, which is a frame with a random nonce of 32 bytes. Every
 * later frame ends with a tag of 16 bytes, which its length does not count:
 *
 *     tag = first 16 bytes of HMAC-SHA-256(direction key, counter || head || payload)
 *     direction key = HMAC-SHA-256(shared key, "dtcodec trainers 1" || sender || dialer's nonce || other end's nonce)
 *
 * `counter` (8 bytes, little-endian) is the number of frames that were sent in this direction after the challenge.
 * `sender` is the byte 0 for frames of the end that dialed, and 1 for those of the other end. So nobody who lacks the
 * key can write, change, repeat or leave out a frame. Whoever can read the network can still read all frames, and
 * whoever has the key can say that it is any worker or peer. HMAC and random numbers are those of OpenSSL's libcrypto.
 */
#ifndef EXAMPLES_SECURITY_H
#define EXAMPLES_SECURITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "../error.h"

enum { NONCE_BYTES = 32, TAG_BYTES = 16 };

/* The state of one connection. */
struct session {
    bool keyed;                 /* the other end's challenge has arrived, so that there are direction keys */
    uint8_t nonce[NONCE_BYTES]; /* of this end */
    uint8_t key[2][32];         /* direction keys: of sent and of received frames */
    uint64_t count[2];          /* sent and received frames */
};

/* Reads the shared key of this process from a file; NULL: there is no key. `insecure`: without a key, addresses that
 * are no loopback addresses are allowed, too. The key holds for all connections that begin later. On failure nothing
 * changes. */
bool security_set(const char *key_file, bool insecure, struct error *error);

/* Returns whether this process has a key. */
bool security_keyed(void);

/* Returns whether this process may listen at an address or connect to it. */
bool security_permits(const struct sockaddr *address);

/* Begins a session with a new nonce. */
void session_begin(struct session *session);

/* Computes the direction keys when the other end's nonce has arrived. `dialed`: this end dialed. */
void session_start(struct session *session, bool dialed, const uint8_t nonce[NONCE_BYTES]);

/* Writes the tag of the next sent frame. The payload need not follow the head in memory. */
void session_tag(struct session *session, const uint8_t *head, size_t head_bytes, const uint8_t *payload, size_t bytes,
                 uint8_t tag[TAG_BYTES]);

/* Returns whether a frame, head and payload, is the next received one. */
bool session_verify(struct session *session, const uint8_t *frame, size_t bytes, const uint8_t tag[TAG_BYTES]);

#endif
