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

static void test_vectors(void **state) {
    (void)state;
    assert_int_equal(dtc_circulant_vectors(4, 4, 0), 4);
    assert_int_equal(dtc_circulant_vectors(50, 784, 0), 784);
    assert_int_equal(dtc_circulant_vectors(50, 784, 16), 4 * 49 * 16);
    assert_int_equal(dtc_circulant_vectors(5, 3, 8), 8);
    assert_int_equal(dtc_circulant_vectors(5, 3, 1), 15);
    assert_int_equal(dtc_circulant_vectors(0, 3, 1), 0);
    assert_int_equal(dtc_circulant_vectors(3, 0, 1), 0);
    assert_int_equal(dtc_circulant_vectors(SIZE_MAX, SIZE_MAX, 2), 0);
    assert_int_equal(dtc_circulant_vectors(SIZE_MAX, 1, 0), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_good_size), cmocka_unit_test(test_vectors)};
    return cmocka_run_group_tests(tests, NULL, NULL) + layer_tests();
}
