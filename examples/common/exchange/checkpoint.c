#include "checkpoint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "../bytes.h"
#include "../memory.h"
#include "../settings_text.h"
#include "tensor_message.h"

/* The file holds: "DTCK", the version (4 bytes), the round (8), the length of the settings text (4), the settings text,
 * for each set the length of its message (8) and a message of raw packets, and last the CRC-32 of all bytes before (4).
 */
enum { CHECKPOINT_VERSION = 1, HEAD_BYTES = 20, CRC_BYTES = 4 };

static bool write_file(const char *path, const uint8_t *bytes, size_t size, struct error *error) {
    char beside[4096];
    int length = snprintf(beside, sizeof beside, "%s.new", path);
    if (length < 0 || (size_t)length >= sizeof beside)
        return set_error(error, "checkpoint %s: its path is too long", path);
    FILE *file = fopen(beside, "wb");
    if (!file) return set_error(error, "checkpoint %s: cannot be written: %s", beside, strerror(errno));
    bool good = fwrite(bytes, 1, size, file) == size && fflush(file) == 0 && fsync(fileno(file)) == 0;
    int cause = errno;
    if (fclose(file) != 0 && good) {
        good = false;
        cause = errno;
    }
    if (good && rename(beside, path) == 0) return true;
    if (good) cause = errno;
    unlink(beside);
    return set_error(error, "checkpoint %s: cannot be written: %s", path, strerror(cause));
}

bool checkpoint_write(const char *path, const char *settings, uint64_t round, const struct tensors *const *sets,
                      size_t set_count, struct error *error) {
    dtc_spec raw = raw_spec();
    size_t settings_bytes = strlen(settings), capacity = HEAD_BYTES + settings_bytes + CRC_BYTES;
    for (size_t i = 0; i < set_count; i++) capacity += 8 + message_bound(&raw, sets[i]);
    uint8_t *bytes = (uint8_t *)allocate(capacity, 1);
    memcpy(bytes, "DTCK", 4);
    put_u32(bytes + 4, CHECKPOINT_VERSION);
    put_u64(bytes + 8, round);
    put_u32(bytes + 16, (uint32_t)settings_bytes);
    memcpy(bytes + HEAD_BYTES, settings, settings_bytes);
    size_t at = HEAD_BYTES + settings_bytes;
    bool good = true;
    for (size_t i = 0; i < set_count && good; i++) {
        struct encoder encoder = encoder_create(&raw, false, sets[i]);
        good = encoder_encode(&encoder, sets[i], NULL, 0, error);
        put_u64(bytes + at, encoder.bytes);
        memcpy(bytes + at + 8, encoder.message, encoder.bytes);
        at += 8 + encoder.bytes;
        encoder_free(&encoder);
    }
    put_u32(bytes + at, (uint32_t)crc32_z(0, bytes, at));
    good = good && write_file(path, bytes, at + CRC_BYTES, error);
    free(bytes);
    return good;
}

/* Reads the whole file. The caller frees the bytes. Returns NULL on failure. */
static uint8_t *read_file(const char *path, size_t *size, struct error *error) {
    struct stat status;
    FILE *file = fopen(path, "rb");
    if (!file || fstat(fileno(file), &status) != 0) {
        set_error(error, "checkpoint %s: cannot be read: %s", path, strerror(errno));
        if (file) fclose(file);
        return NULL;
    }
    uint8_t *bytes = (uint8_t *)allocate((size_t)status.st_size, 1);
    *size = fread(bytes, 1, (size_t)status.st_size, file);
    fclose(file);
    return bytes;
}

static bool parse(const char *path, const uint8_t *bytes, size_t size, const char *settings, uint64_t *round,
                  struct tensors *const *sets, size_t set_count, struct error *error) {
    if (size < HEAD_BYTES + CRC_BYTES || memcmp(bytes, "DTCK", 4) != 0)
        return set_error(error, "checkpoint %s: not a checkpoint of these trainers", path);
    if (get_u32(bytes + 4) != CHECKPOINT_VERSION)
        return set_error(error, "checkpoint %s: its version is %u, but this program reads version %d", path,
                         get_u32(bytes + 4), CHECKPOINT_VERSION);
    size -= CRC_BYTES;
    if (crc32_z(0, bytes, size) != get_u32(bytes + size))
        return set_error(error, "checkpoint %s: damaged (its CRC does not match): resume from another one", path);
    size_t settings_bytes = get_u32(bytes + 16), at = HEAD_BYTES + settings_bytes;
    char *theirs = (char *)allocate(settings_bytes + 1, 1), option[256], their_option[256];
    memcpy(theirs, bytes + HEAD_BYTES, at <= size ? settings_bytes : 0);
    bool differ = settings_differ(settings, theirs, option, their_option);
    free(theirs);
    if (differ)
        return set_error(error, "checkpoint %s: made with %s, not %s: resume with the same options", path, their_option,
                         option);
    *round = get_u64(bytes + 8);
    struct decoder decoder = {NULL, 0};
    bool good = true;
    for (size_t i = 0; i < set_count && good; i++) {
        uint64_t message = size - at >= 8 ? get_u64(bytes + at) : 0;
        if (size - at < 8 || message > size - at - 8) {
            good = set_error(error, "checkpoint %s: holds %zu sets of tensors, not %zu", path, i, set_count);
            break;
        }
        struct error cause;
        tensors_clear(sets[i]);
        if (!decoder_add(&decoder, sets[i], 1.0f, bytes + at + 8, (size_t)message, &cause))
            good = set_error(error, "checkpoint %s: %.400s", path, cause.text);
        at += 8 + (size_t)message;
    }
    free(decoder.scratch);
    if (good && at != size)
        return set_error(error, "checkpoint %s: holds more than %zu sets of tensors", path, set_count);
    return good;
}

bool checkpoint_read(const char *path, const char *settings, uint64_t *round, struct tensors *const *sets,
                     size_t set_count, struct error *error) {
    size_t size;
    uint8_t *bytes = read_file(path, &size, error);
    if (!bytes) return false;
    bool good = parse(path, bytes, size, settings, round, sets, set_count, error);
    free(bytes);
    return good;
}
