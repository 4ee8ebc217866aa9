/* Random numbers by counter. Each number is a function of a key and a counter, and any number can be computed alone. A
 * run can therefore be repeated or resumed from its seed: no generator state has to be stored. */
#ifndef EXAMPLES_RANDOM_H
#define EXAMPLES_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Returns 64 random bits. The result can also serve as a key: random_bits(random_bits(seed, epoch), worker). */
uint64_t random_bits(uint64_t key, uint64_t counter);

/* Returns a number that is uniform in [0, 1). */
double random_unit(uint64_t key, uint64_t counter);

/* Writes the numbers 0 .. count-1 to `order`, each once, in a random order. */
void random_permutation(size_t *order, size_t count, uint64_t key);

#endif
