/* Circulant layers on KissFFT's library, and sizes of transforms. */
#define TRANSFORM "KissFFT's library"
#include "layers.h"

/* Against the definition, number by number. */
static void test_good_size(void **state) {
    size_t n, good = 2, m;
    (void)state;
    for (n = 0; n < 20000; n++) {
        for (; good < n; good = m) {
            for (m = good;;) {
                size_t rest = m += 2;
                while (rest % 2 == 0) rest /= 2;
                while (rest % 3 == 0) rest /= 3;
                while (rest % 5 == 0) rest /= 5;
                if (rest == 1) break;
            }
        }
        CHECK(dtc_fft_good_size(n) == good, "%zu: %zu, not %zu", n, dtc_fft_good_size(n), good);
    }
    assert_int_equal(dtc_fft_good_size(((size_t)1 << 30) - 1), (size_t)1 << 30);
    assert_int_equal(dtc_fft_good_size(((size_t)1 << 30) + 1), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_good_size)};
    return cmocka_run_group_tests(tests, NULL, NULL) + layer_tests();
}
