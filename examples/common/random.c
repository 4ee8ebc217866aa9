#include "random.h"

uint64_t random_bits(uint64_t key, uint64_t counter) {
    /* SplitMix64 (Steele, Lea and Flood 2014). Its state is a counter. Two rounds mix the key into the result. */
    uint64_t x = key;
    for (int round = 0; round < 2; round++) {
        x += (counter + 1) * UINT64_C(0x9e3779b97f4a7c15);
        x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
        x ^= x >> 31;
    }
    return x;
}

double random_unit(uint64_t key, uint64_t counter) {
    return (double)(random_bits(key, counter) >> 11) / 9007199254740992.0; /* 2^53 */
}

void random_permutation(size_t *order, size_t count, uint64_t key) {
    for (size_t i = 0; i < count; i++) {
        size_t j = (size_t)(random_bits(key, i) % (i + 1));
        order[i] = order[j];
        order[j] = i;
    }
}
