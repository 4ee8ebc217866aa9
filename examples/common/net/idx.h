/* Reader of IDX files, the format of MNIST and Fashion-MNIST, gzipped or not. */
#ifndef EXAMPLES_IDX_H
#define EXAMPLES_IDX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

/* Images with one label each. */
struct images {
    size_t count;
    size_t height, width;
    size_t pixels;  /* of one image: height * width */
    uint8_t *pixel; /* count x pixels, 0..255 */
    float *mean;    /* pixels: what images_batch subtracts; at first, nothing */
    uint8_t *label; /* count; each below the classes asked for */
};

/* Reads the pair DIR/PREFIX-images-idx3-ubyte and DIR/PREFIX-labels-idx1-ubyte, or the same names with .gz.
 * `prefix` is "train" or "t10k"; at most `limit` images are kept (0: all). Every label must be below `classes`.
 * On success the caller frees with images_free; on failure nothing is left to free. */
bool images_read(struct images *images, const char *dir, const char *prefix, size_t limit, size_t classes,
                 struct error *error);

void images_free(struct images *images);

/* Lets images_batch subtract the mean of a set's images, of the same size; these may be it. */
void images_center(struct images *images, const struct images *set);

/* Copies the images at index[0..count) to `values` (count x pixels, scaled to [0, 1], less the mean) and their labels
 * to `labels`. */
void images_batch(const struct images *images, const size_t *index, size_t count, float *values, uint8_t *labels);

#endif
