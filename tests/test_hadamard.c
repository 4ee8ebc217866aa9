/* The Hadamard transform: its definition, and that vectors compute what the reference does, to the bit. */
/* Turns the processor's features on and off for the code under test. */
static int processor_is_asked = 1;
#define DTCI_CPU_HAS(feature) (processor_is_asked && __builtin_cpu_supports(feature))
#define DTC_STATIC
#include "helpers.h"

/* Row i, column j: 1 or -1 by the parity of i & j. */
static int negative(size_t i, size_t j) {
    size_t both = i & j;
    int odd = 0;
    for (; both; both &= both - 1) odd = !odd;
    return odd;
}

static void test_definition(void **state) {
    unsigned log2_n;
    (void)state;
    for (log2_n = 0; log2_n <= 9; log2_n++) {
        size_t n = (size_t)1 << log2_n, i, j;
        uint32_t x[512], turned[512];
        float y[512];
        uint64_t seed = log2_n;
        for (i = 0; i < n; i++) {
            turned[i] = x[i] = (uint32_t)(noise_u64(&seed) % 8192);
            y[i] = (float)x[i]; /* sums of 512 such are exact */
        }
        dtci_hadamard_integer(turned, log2_n);
        dtci_hadamard(y, log2_n);
        for (i = 0; i < n; i++) {
            uint32_t sum = 0;
            for (j = 0; j < n; j++) sum += negative(i, j) ? 0u - x[j] : x[j];
            CHECK(turned[i] == sum, "2^%u, row %zu: %u, not %u", log2_n, i, turned[i], sum);
            CHECK(y[i] == (float)(int32_t)sum, "2^%u, row %zu: %g, not %d", log2_n, i, (double)y[i], (int32_t)sum);
        }
    }
}

#define DTC_REFERENCE(name, type)                                                              \
    static void name(type *x, unsigned log2_n) {                                               \
        unsigned part = log2_n < 12 ? log2_n : 12;                                             \
        size_t i;                                                                              \
        dtci_##name##_far(x, log2_n);                                                          \
        for (i = 0; i >> log2_n == 0; i += (size_t)1 << part) dtci_##name##_near(x + i, part); \
    }

DTC_REFERENCE(hadamard_reference, float)
DTC_REFERENCE(hadamard_integer_reference, uint32_t)

/* Every size, on memory of any alignment, and nothing beyond it; with what the processor has, and without. */
static void test_reference(void **state) {
    static const size_t shifts[] = {0, 1, 3};
    unsigned log2_n;
    size_t s;
    (void)state;
    for (log2_n = 0; log2_n <= 16; log2_n++) {
        for (s = 0; s < 2 * LENGTH(shifts); s++) {
            size_t n = (size_t)1 << log2_n, i;
            guarded room = guarded_new(4 * n, 4 * shifts[s / 2]);
            float *x = drawn(n, noise_laplace, 0.1, log2_n + 1), *at = (float *)(void *)room.p;
            uint32_t *integers = (uint32_t *)memory(4 * n);
            uint64_t seed = log2_n;
            processor_is_asked = s % 2;
            memcpy(at, x, 4 * n);
            dtci_hadamard(at, log2_n);
            hadamard_reference(x, log2_n);
            CHECK(memcmp(at, x, 4 * n) == 0, "floats, 2^%u, shifted by %zu", log2_n, shifts[s / 2]);
            for (i = 0; i < n; i++) integers[i] = (uint32_t)(noise_u64(&seed) >> 32);
            memcpy(room.p, integers, 4 * n);
            dtci_hadamard_integer((uint32_t *)(void *)room.p, log2_n);
            hadamard_integer_reference(integers, log2_n);
            CHECK(memcmp(room.p, integers, 4 * n) == 0, "integers, 2^%u, shifted by %zu", log2_n, shifts[s / 2]);
            assert_true(guarded_intact(&room, 4 * n));
            free(integers);
            free(x);
            guarded_free(&room);
        }
    }
}

/* Signs are bits of random numbers, wherever one starts. */
static void test_signs(void **state) {
    static const size_t starts[] = {0, 32, 1, 31, 45, 64000}, counts[] = {1, 31, 32, 33, 100, 256};
    const dtci_random random = dtci_random_of(7);
    size_t s, c, i;
    (void)state;
    for (s = 0; s < LENGTH(starts); s++) {
        for (c = 0; c < LENGTH(counts); c++) {
            guarded room = guarded_new(4 * counts[c], 4);
            dtci_sign_masks((uint32_t *)(void *)room.p, &random, starts[s], counts[c]);
            assert_true(guarded_intact(&room, 4 * counts[c]));
            for (i = 0; i < counts[c]; i++) {
                size_t at = starts[s] + i;
                uint32_t word = dtci_random_at(&random, 0x80000000u + (uint32_t)(at / 32)), found;
                memcpy(&found, room.p + 4 * i, 4);
                CHECK(found == (word >> at % 32 & 1 ? 0xffffffffu : 0), "%zu + %zu: %x", starts[s], i, found);
            }
            guarded_free(&room);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_definition), cmocka_unit_test(test_reference),
                                       cmocka_unit_test(test_signs)};
    return cmocka_run_group_tests_name("hadamard", tests, NULL, NULL);
}
