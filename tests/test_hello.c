/* The hello and the welcome of the trainers, and how settings are compared. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "examples/common/transport/hello.h"

static const uint8_t worker_hello[] = {2, 1, 0, 0, '-', '-', 'l', 'r', ' ', '1'};
static const uint8_t peer_hello[] = {3, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 1, '-', '-', 'l', 'r', ' ', '1'};

static void hellos_are_read_and_written(void **state) {
    struct hello hello;
    uint8_t bytes[LINK_HELLO_BYTES];
    (void)state;
    assert_true(hello_get(worker_hello, sizeof worker_hello, &hello));
    assert_int_equal(hello.id, 258);
    assert_string_equal(hello.settings, "--lr 1");
    assert_int_equal(hello_put(bytes, 258, "--lr 1"), sizeof worker_hello);
    assert_memory_equal(bytes, worker_hello, sizeof worker_hello);

    assert_true(link_hello_get(peer_hello, sizeof peer_hello, &hello));
    assert_int_equal(hello.id, 3);
    assert_true(hello.process == 0x0807060504030201u && hello.founder);
    assert_string_equal(hello.settings, "--lr 1");
    assert_int_equal(link_hello_put(bytes, 3, 0x0807060504030201u, true, "--lr 1"), sizeof peer_hello);
    assert_memory_equal(bytes, peer_hello, sizeof peer_hello);
}

static void other_bytes_are_no_hello(void **state) {
    uint8_t bytes[LINK_HELLO_BYTES];
    struct hello hello, before;
    size_t n;
    (void)state;
    memset(&hello, 0x5a, sizeof hello);
    before = hello;
    for (n = 0; n < 4; n++) assert_false(hello_get(worker_hello, n, &hello));
    for (n = 0; n < 13; n++) assert_false(link_hello_get(peer_hello, n, &hello));
    memset(bytes, '-', sizeof bytes);
    bytes[12] = 1;
    assert_false(hello_get(bytes, HELLO_BYTES, &hello)); /* the text would fill the room of its final zero byte */
    assert_false(link_hello_get(bytes, LINK_HELLO_BYTES, &hello));
    bytes[4 + 5] = 0; /* within the text */
    assert_false(hello_get(bytes, 20, &hello));
    memcpy(bytes, peer_hello, sizeof peer_hello);
    bytes[sizeof peer_hello - 1] = 0;
    assert_false(link_hello_get(bytes, sizeof peer_hello, &hello));
    memcpy(bytes, peer_hello, sizeof peer_hello);
    bytes[12] = 2; /* neither founder nor not */
    assert_false(link_hello_get(bytes, sizeof peer_hello, &hello));
    memcpy(bytes, peer_hello, sizeof peer_hello);
    bytes[0] = 0; /* peers count from 1 */
    assert_false(link_hello_get(bytes, sizeof peer_hello, &hello));
    assert_memory_equal(&hello, &before, sizeof hello);

    memset(bytes, '-', sizeof bytes);
    bytes[12] = 1;
    assert_true(hello_get(bytes, HELLO_BYTES - 1, &hello));
    assert_int_equal(strlen(hello.settings), SETTINGS_TEXT_BYTES - 1);
    assert_true(link_hello_get(bytes, LINK_HELLO_BYTES - 1, &hello));
    assert_int_equal(strlen(hello.settings), SETTINGS_TEXT_BYTES - 1);
}

static void welcomes_are_read_and_written(void **state) {
    const uint8_t server[] = {44, 1, 0, 0}, peer[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, none[4] = {0};
    uint8_t bytes[LINK_WELCOME_BYTES];
    size_t id = 0;
    uint64_t process;
    uint32_t pushes;
    (void)state;
    assert_false(welcome_get(server, 4, 299, &id));
    assert_false(welcome_get(server, 3, 300, &id));
    assert_false(welcome_get(peer, 5, 300, &id));
    assert_false(welcome_get(none, 4, 300, &id));
    assert_int_equal(id, 0);
    assert_true(welcome_get(server, 4, 300, &id));
    assert_int_equal(id, 300);
    assert_int_equal(welcome_put(bytes, 300), 4);
    assert_memory_equal(bytes, server, 4);
    assert_false(link_welcome_get(peer, 11, &process, &pushes));
    assert_true(link_welcome_get(peer, 12, &process, &pushes));
    assert_true(process == 0x0807060504030201u && pushes == 0x0c0b0a09u);
    assert_int_equal(link_welcome_put(bytes, process, pushes), 12);
    assert_memory_equal(bytes, peer, 12);
}

static void assert_differ(const char *a, const char *b, const char *a_expected, const char *b_expected) {
    char a_option[256], b_option[256];
    assert_true(settings_differ(a, b, a_option, b_option));
    assert_string_equal(a_option, a_expected);
    assert_string_equal(b_option, b_expected);
}

static void settings_are_equal_as_a_whole(void **state) {
    char a[SETTINGS_TEXT_BYTES], b[SETTINGS_TEXT_BYTES], a_option[256], b_option[256];
    (void)state;
    assert_differ("--lr 1 --l1 0", "--lr 1 --l1 1", "--l1 0", "--l1 1");
    assert_differ("--lr 1 --l1 0", "--lr 2 --l1 0", "--lr 1", "--lr 2");
    assert_differ("--lr 1", "--lr 1 --l1 1", "no such option", "--l1 1");
    assert_differ("--lr 1 --l1 1", "--lr 1", "--l1 1", "no such option");
    assert_differ("", "--lr 1", "no such option", "--lr 1");
    snprintf(a, sizeof a, "--net %0300d-1 --lr 1", 0);
    snprintf(b, sizeof b, "--net %0300d-2 --lr 1", 0);
    assert_true(settings_differ(a, b, a_option, b_option)); /* in a place that the copies leave out */
    assert_int_equal(strlen(a_option), 255);
    assert_false(settings_differ(a, a, a_option, b_option));
    assert_string_equal(a_option, "");
    assert_string_equal(b_option, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hellos_are_read_and_written),
        cmocka_unit_test(other_bytes_are_no_hello),
        cmocka_unit_test(welcomes_are_read_and_written),
        cmocka_unit_test(settings_are_equal_as_a_whole),
    };
    return cmocka_run_group_tests_name("hello", tests, NULL, NULL);
}
