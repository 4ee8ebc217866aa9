/* SIMD twins give the same bits as the plain C next to them: on all short lengths and alignments. Where the processor
 * has no AVX2, or all of this is compiled for it, there is nothing to compare. */
#include <stddef.h>
static size_t simd_from;
#define DTC_STATIC
#define DTC_SIMD_FROM simd_from
#include "helpers.h"

enum { PLAIN, SIMD };

static unsigned has_of(int simd) {
    simd_from = simd ? 0 : SIZE_MAX;
    return dtci_ask(SIZE_MAX - 1);
}

static void test_scan(void **state) {
    enum { MOST = 600 };
    static const float odd[] = {0.0f, -0.0f, 1e-40f, -1e-40f, FLT_MAX, -FLT_MAX, INFINITY, -INFINITY, NAN};
    unsigned char *room = (unsigned char *)memory(4 * MOST + 32);
    float *values = floats(MOST), *residual = floats(MOST);
    uint64_t seed = 1;
    size_t n, off, i;
    (void)state;
    for (n = 0; n <= MOST; n++) {
        for (off = 0; off < 32; off += n < 140 ? 1 : 5) {
            dtci_source source;
            dtci_stats stats[2];
            int simd;
            fill(values, n, noise_gaussian, 0.1, ++seed);
            fill(residual, n, noise_laplace, 0.1, ++seed);
            for (i = off % 4; i < n; i += 7 + noise_u64(&seed) % 50)
                values[i] = odd[noise_u64(&seed) % (off % 3 ? 4 : LENGTH(odd))];
            memcpy(room + off, values, 4 * n);
            source.values = (const float *)(const void *)(room + off);
            source.residual = off % 2 ? residual : NULL;
            for (simd = PLAIN; simd <= SIMD; simd++) stats[simd] = dtci_scan(&source, 0, n, has_of(simd));
            assert_int_equal(stats[PLAIN].finite, stats[SIMD].finite);
            assert_memory_equal(&stats[PLAIN].min, &stats[SIMD].min, sizeof(float));
            assert_memory_equal(&stats[PLAIN].max, &stats[SIMD].max, sizeof(float));
            if (stats[PLAIN].finite) assert_memory_equal(&stats[PLAIN].squares, &stats[SIMD].squares, sizeof(double));
        }
    }
    free(room);
    free(values);
    free(residual);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
