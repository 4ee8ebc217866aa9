/* The hello and the welcome of the trainers, on any bytes. The first byte says whose they are. */

#include "fuzz.h"

#include "../examples/common/transport/hello.h"

enum { WORKERS = 300 };

/* Any two texts that differ are told apart, wherever they do. */
static void check_settings(const char *ours, const char *theirs) {
    char option[256], their_option[256];
    bool differ = settings_differ(ours, theirs, option, their_option);
    REQUIRE(differ == (strcmp(ours, theirs) != 0));
    REQUIRE(strlen(option) < sizeof option && strlen(their_option) < sizeof their_option);
    REQUIRE(differ || (!*option && !*their_option));
    REQUIRE(!differ || strcmp(option, their_option) != 0 || strlen(option) == sizeof option - 1);
}

static void check_texts(const struct hello *hello, size_t place) {
    static const char ours[] = "--epochs 4 --batch 64 --codec quant:bits=4";
    char changed[SETTINGS_TEXT_BYTES];
    check_settings(ours, hello->settings);
    check_settings(hello->settings, ours);
    check_settings(hello->settings, hello->settings);
    memcpy(changed, hello->settings, sizeof changed);
    changed[place % strlen(changed)] ^= 1;
    check_settings(hello->settings, changed);
}

/* What a hello must not be. */
static bool is_bad(const uint8_t *bytes, size_t size, bool link) {
    size_t head = link ? 13 : 4, i;
    if (size < head || size - head >= SETTINGS_TEXT_BYTES) return true;
    for (i = head; i < size; i++)
        if (!bytes[i]) return true;
    return link && (!(bytes[0] | bytes[1] | bytes[2] | bytes[3]) || bytes[12] > 1);
}

static void check_hello(const uint8_t *bytes, size_t size, bool link) {
    static struct fuzz_memory memory;
    struct hello hello, before;
    uint8_t *again;
    memset(&hello, 0x11, sizeof hello);
    before = hello;
    if (!(link ? link_hello_get : hello_get)(bytes, size, &hello)) {
        REQUIRE(is_bad(bytes, size, link) && memcmp(&hello, &before, sizeof hello) == 0);
        return;
    }
    REQUIRE(!is_bad(bytes, size, link));
    again = (uint8_t *)fuzz_lend(&memory, size);
    REQUIRE((link ? link_hello_put(again, hello.id, hello.process, hello.founder, hello.settings)
                  : hello_put(again, hello.id, hello.settings)) == size);
    REQUIRE(memcmp(again, bytes, size) == 0 && fuzz_intact(again));
    if (*hello.settings) check_texts(&hello, hello.id);
}

static void check_welcomes(const uint8_t *bytes, size_t size) {
    uint8_t again[LINK_WELCOME_BYTES];
    size_t id = 7;
    uint64_t process = 7;
    uint32_t pushes = 7;
    if (welcome_get(bytes, size, WORKERS, &id)) {
        REQUIRE(id > 0 && id <= WORKERS && welcome_put(again, id) == size && memcmp(again, bytes, size) == 0);
    } else {
        REQUIRE(id == 7 && (size != 4 || bytes[3] || bytes[2] || bytes[1] > 1 || !(bytes[0] | bytes[1]) ||
                            bytes[0] + 256 * bytes[1] > WORKERS));
    }
    if (link_welcome_get(bytes, size, &process, &pushes))
        REQUIRE(link_welcome_put(again, process, pushes) == size && memcmp(again, bytes, size) == 0);
    else
        REQUIRE(size != 12 && process == 7 && pushes == 7);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!size) return 0;
    if (data[0] % 3 == 2)
        check_welcomes(data + 1, size - 1);
    else
        check_hello(data + 1, size - 1, data[0] % 3);
    return 0;
}
