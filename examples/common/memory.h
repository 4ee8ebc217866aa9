/* Memory allocation that ends the program when there is no memory. */
#ifndef EXAMPLES_MEMORY_H
#define EXAMPLES_MEMORY_H

#include <stddef.h>

/* Returns count * size zeroed bytes. The caller frees them with free. The result is never NULL: if the allocation
 * fails, the program prints a message and exits with code 1. */
void *allocate(size_t count, size_t size);

#endif
