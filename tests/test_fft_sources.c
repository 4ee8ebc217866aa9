/* Circulant layers on KissFFT's sources, one sample a lane. What the program defines and includes besides is left
 * alone: macros of names that KissFFT's sources define, too, and its own headers. */
#define TRANSFORM "KissFFT's sources"
#define ERROR     "mine"
#define DTCODEC_FFT_KISSFFT_SOURCES
#include "layers.h"

#include "kiss_fftr.h"

/* KissFFT's own types, of plain floats. */
static void test_besides(void **state) {
    kiss_fft_cpx number = {1.0f, 2.0f};
    size_t bytes = 0;
    (void)state;
    assert_string_equal(ERROR, "mine");
    assert_int_equal(sizeof(kiss_fft_scalar), sizeof(float));
    assert_float_equal(number.i, 2.0f, 0);
    assert_null(kiss_fftr_alloc(64, 0, NULL, &bytes));
    assert_true(bytes > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_besides)};
    return cmocka_run_group_tests(tests, NULL, NULL) + layer_tests();
}
