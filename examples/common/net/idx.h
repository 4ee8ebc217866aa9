/* Reader of IDX files, the format of MNIST and Fashion-MNIST, gzipped or not. */
#ifndef EXAMPLES_IDX_H
#define EXAMPLES_IDX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../error.h"

/* Images with one label each. */
struct images {
    size_t count;
    size_t height, width, channels;
    size_t pixels;  /* values of one image: height * width * channels, in this order */
    uint8_t *pixel; /* count x pixels, 0..255 */
    float *mean;    /* pixels values, which images_batch subtracts; zero until images_center */
    uint8_t *label; /* count labels, each below the number of classes */
};

/* Random changes of training images, which keep the labels. Image i moves by -shift .. shift pixels in each direction,
 * and is mirrored from left to right in half of the cases. Both are functions of the key and i. */
struct augmentation {
    size_t shift;
    bool flip;
    uint64_t key;
};

/* Reads the files DIR/PREFIX-images-idx3-ubyte and DIR/PREFIX-labels-idx1-ubyte, or the same names with .gz. `prefix`
 * is "train" or "t10k". At most `limit` images are kept; limit 0 keeps all. Every label must be below `classes`.
 * On success the caller frees the images with images_free. On failure there is nothing to free. */
bool images_read(struct images *images, const char *dir, const char *prefix, size_t limit, size_t classes,
                 struct error *error);

void images_free(struct images *images);

/* Makes images_batch subtract the mean image of `set` from `images`. Both must have the same height and width. `set`
 * may be `images` itself. */
void images_center(struct images *images, const struct images *set);

/* Copies the images at index[0..count) to `values` (count x pixels, scaled to [0, 1], minus the mean) and their labels
 * to `labels`. */
void images_batch(const struct images *images, const size_t *index, size_t count, float *values, uint8_t *labels);

/* Does what images_batch does, and changes each image by `augmentation`. The pixels that come from outside the image
 * are 0 before the mean is subtracted. */
void images_augment(const struct images *images, const struct augmentation *augmentation, const size_t *index,
                    size_t count, float *values, uint8_t *labels);

#endif
