#include "security.h"

#include <errno.h>
#include <netinet/in.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../bytes.h"

enum { LEAST_KEY_BYTES = 32, MOST_KEY_BYTES = 1024, MAC_BYTES = 32, SENT = 0, RECEIVED = 1 };

/* A process has one key. */
static struct {
    uint8_t bytes[MOST_KEY_BYTES + 1];
    size_t size; /* 0: there is no key */
    bool insecure;
} shared;

struct part {
    const uint8_t *bytes;
    size_t size;
};

/* libcrypto fails when memory is out or its installation is broken. */
static void demand(bool good) {
    if (good) return;
    fprintf(stderr, "libcrypto failed: check the installation of OpenSSL\n");
    exit(1);
}

static void hmac(const uint8_t *key, size_t key_bytes, const struct part *part, size_t parts, uint8_t mac[MAC_BYTES]) {
    static EVP_MAC *algorithm;
    char digest[] = "SHA256";
    OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                               OSSL_PARAM_construct_end()};
    size_t bytes = 0;
    if (!algorithm) algorithm = EVP_MAC_fetch(NULL, "HMAC", NULL);
    demand(algorithm != NULL);
    EVP_MAC_CTX *context = EVP_MAC_CTX_new(algorithm);
    demand(context != NULL && EVP_MAC_init(context, key, key_bytes, parameters) == 1);
    for (size_t i = 0; i < parts; i++) demand(EVP_MAC_update(context, part[i].bytes, part[i].size) == 1);
    demand(EVP_MAC_final(context, mac, &bytes, MAC_BYTES) == 1 && bytes == MAC_BYTES);
    EVP_MAC_CTX_free(context);
}

bool security_set(const char *key_file, bool insecure, struct error *error) {
    uint8_t bytes[MOST_KEY_BYTES + 1];
    size_t size = 0;
    if (key_file) {
        struct stat status;
        FILE *file = fopen(key_file, "rb");
        if (!file || fstat(fileno(file), &status) != 0) {
            if (file) fclose(file);
            return set_error(error, "--key-file %s: cannot be read: %s", key_file, strerror(errno));
        }
        size = fread(bytes, 1, sizeof bytes, file);
        fclose(file);
        if (status.st_mode & 077)
            return set_error(error, "--key-file %s: other users can read it: chmod 600 %s", key_file, key_file);
        while (size && (bytes[size - 1] == '\n' || bytes[size - 1] == '\r')) size--;
        if (size < LEAST_KEY_BYTES || size > MOST_KEY_BYTES)
            return set_error(error, "--key-file %s: a key has %d to %d bytes: openssl rand -hex 32 >%s", key_file,
                             LEAST_KEY_BYTES, MOST_KEY_BYTES, key_file);
    }
    memcpy(shared.bytes, bytes, size);
    shared.size = size;
    shared.insecure = insecure;
    OPENSSL_cleanse(bytes, sizeof bytes);
    return true;
}

bool security_keyed(void) {
    return shared.size > 0;
}

bool security_permits(const struct sockaddr *address) {
    if (shared.size || shared.insecure) return true;
    if (address->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof v4);
        return ntohl(v4.sin_addr.s_addr) >> 24 == 127;
    }
    struct sockaddr_in6 v6;
    memcpy(&v6, address, sizeof v6);
    return address->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
}

void session_begin(struct session *session) {
    memset(session, 0, sizeof *session);
    if (security_keyed()) demand(RAND_bytes(session->nonce, NONCE_BYTES) == 1);
}

void session_start(struct session *session, bool dialed, const uint8_t nonce[NONCE_BYTES]) {
    static const uint8_t label[] = "dtcodec trainers 1";
    const uint8_t *dialer = dialed ? session->nonce : nonce, *other = dialed ? nonce : session->nonce;
    for (uint8_t i = 0; i < 2; i++) {
        uint8_t sender = dialed ? i : !i;
        const struct part part[] = {
            {label, sizeof label - 1}, {&sender, 1}, {dialer, NONCE_BYTES}, {other, NONCE_BYTES}};
        hmac(shared.bytes, shared.size, part, 4, session->key[i]);
    }
    session->keyed = true;
}

void session_tag(struct session *session, const uint8_t *head, size_t head_bytes, const uint8_t *payload, size_t bytes,
                 uint8_t tag[TAG_BYTES]) {
    uint8_t mac[MAC_BYTES], counter[8];
    put_u64(counter, session->count[SENT]++);
    const struct part part[] = {{counter, sizeof counter}, {head, head_bytes}, {payload, bytes}};
    hmac(session->key[SENT], MAC_BYTES, part, 3, mac);
    memcpy(tag, mac, TAG_BYTES);
}

bool session_verify(struct session *session, const uint8_t *frame, size_t bytes, const uint8_t tag[TAG_BYTES]) {
    uint8_t mac[MAC_BYTES], counter[8];
    put_u64(counter, session->count[RECEIVED]);
    const struct part part[] = {{counter, sizeof counter}, {frame, bytes}};
    hmac(session->key[RECEIVED], MAC_BYTES, part, 2, mac);
    if (CRYPTO_memcmp(mac, tag, TAG_BYTES) != 0) return false; /* in constant time */
    session->count[RECEIVED]++;
    return true;
}
