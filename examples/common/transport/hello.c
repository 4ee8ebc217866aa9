#include "hello.h"

#include <string.h>

#include "../bytes.h"

static size_t put_text(uint8_t *bytes, size_t head, const char *settings) {
    size_t text_bytes = strlen(settings);
    memcpy(bytes + head, settings, text_bytes);
    return head + text_bytes;
}

size_t hello_put(uint8_t *bytes, size_t id, const char *settings) {
    put_u32(bytes, (uint32_t)id);
    return put_text(bytes, HELLO_HEAD, settings);
}

size_t link_hello_put(uint8_t *bytes, size_t id, uint64_t process, bool founder, const char *settings) {
    put_u32(bytes, (uint32_t)id);
    put_u64(bytes + 4, process);
    bytes[12] = founder;
    return put_text(bytes, LINK_HELLO_HEAD, settings);
}

size_t welcome_put(uint8_t bytes[WELCOME_BYTES], size_t id) {
    put_u32(bytes, (uint32_t)id);
    return WELCOME_BYTES;
}

size_t link_welcome_put(uint8_t bytes[LINK_WELCOME_BYTES], uint64_t process, uint32_t pushes) {
    put_u64(bytes, process);
    put_u32(bytes + 8, pushes);
    return LINK_WELCOME_BYTES;
}

/* Returns whether a hello with a head of so many bytes holds a settings text behind it. */
static bool has_text(const uint8_t *bytes, size_t size, size_t head) {
    return size >= head && size - head < SETTINGS_TEXT_BYTES && !memchr(bytes + head, 0, size - head);
}

static void get_text(const uint8_t *bytes, size_t size, size_t head, struct hello *hello) {
    memcpy(hello->settings, bytes + head, size - head);
    hello->settings[size - head] = 0;
}

bool hello_get(const uint8_t *bytes, size_t size, struct hello *hello) {
    if (!has_text(bytes, size, HELLO_HEAD)) return false;
    memset(hello, 0, sizeof *hello);
    hello->id = get_u32(bytes);
    get_text(bytes, size, HELLO_HEAD, hello);
    return true;
}

bool link_hello_get(const uint8_t *bytes, size_t size, struct hello *hello) {
    if (!has_text(bytes, size, LINK_HELLO_HEAD) || get_u32(bytes) == 0 || bytes[12] > 1) return false;
    hello->id = get_u32(bytes);
    hello->process = get_u64(bytes + 4);
    hello->founder = bytes[12];
    get_text(bytes, size, LINK_HELLO_HEAD, hello);
    return true;
}

bool welcome_get(const uint8_t *bytes, size_t size, size_t workers, size_t *id) {
    if (size != WELCOME_BYTES || get_u32(bytes) == 0 || get_u32(bytes) > workers) return false;
    *id = get_u32(bytes);
    return true;
}

bool link_welcome_get(const uint8_t *bytes, size_t size, uint64_t *process, uint32_t *pushes) {
    if (size != LINK_WELCOME_BYTES) return false;
    *process = get_u64(bytes);
    *pushes = get_u32(bytes + 8);
    return true;
}
