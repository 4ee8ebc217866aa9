/* Random numbers by counter: the number of any (key, counter) can be had on its own, so that nothing but the seed needs
 * to be stored to repeat or to resume a run. */
#ifndef EXAMPLES_RANDOM_H
#define EXAMPLES_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* 64 random bits. Also derives keys: random_bits(random_bits(seed, epoch), worker). */
uint64_t random_bits(uint64_t key, uint64_t counter);

/* Uniform in [0, 1). */
double random_unit(uint64_t key, uint64_t counter);

/* Writes a random order of 0 .. count-1. */
void random_permutation(size_t *order, size_t count, uint64_t key);

#endif
