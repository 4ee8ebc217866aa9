#include "cifar.h"

#include <errno.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../memory.h"

enum { PATH_BYTES = 4096, SIDE = 32, CHANNELS = 3, PIXELS = SIDE * SIDE * CHANNELS, MAX_ROWS = 100000 };

static bool path_of(char path[PATH_BYTES], const char *dir, const char *name, struct error *error) {
    int length = snprintf(path, PATH_BYTES, "%s/%s", dir, name);
    return (length > 0 && length < PATH_BYTES) || set_error(error, "--data: the path %s is too long", dir);
}

/* Appends all rows of one PNG file to the images. */
static bool read_strip(struct images *images, const char *path, struct error *error) {
    png_image png;
    memset(&png, 0, sizeof png);
    png.version = PNG_IMAGE_VERSION;
    if (!png_image_begin_read_from_file(&png, path))
        return set_error(error, "%s: %s: run `make data DATASET=cifar10`, or name another directory with --data", path,
                         png.message);
    if (png.width != SIDE * SIDE || png.height > MAX_ROWS) {
        set_error(error, "%s: %lu x %lu pixels, not rows of %d: not a strip of CIFAR-10", path,
                  (unsigned long)png.width, (unsigned long)png.height, SIDE * SIDE);
        png_image_free(&png);
        return false;
    }
    size_t rows = png.height;
    uint8_t *grown = (uint8_t *)realloc(images->pixel, (images->count + rows) * PIXELS);
    if (!grown) {
        png_image_free(&png);
        return set_error(error, "%s: no memory for %zu images", path, images->count + rows);
    }
    images->pixel = grown;
    png.format = PNG_FORMAT_RGB;
    if (!png_image_finish_read(&png, NULL, grown + images->count * PIXELS, 0, NULL))
        return set_error(error, "%s: damaged: %s: fetch the file again", path, png.message);
    images->count += rows;
    return true;
}

/* Reads the whole file as text; NULL on failure. The caller frees the text. */
static char *read_text(const char *path, struct error *error) {
    enum { MOST_BYTES = 1 << 24 };
    FILE *file = fopen(path, "rb");
    if (!file) {
        set_error(error, "%s: cannot be opened: %s", path, strerror(errno));
        return NULL;
    }
    char *text = (char *)allocate(MOST_BYTES + 1, 1);
    size_t bytes = fread(text, 1, MOST_BYTES, file);
    bool good = !ferror(file) || set_error(error, "%s: cannot be read: %s", path, strerror(errno));
    fclose(file);
    text[bytes] = 0;
    if (good) return text;
    free(text);
    return NULL;
}

/* Reads a list like [6,9,0] into the labels of the images. The file may have more labels than `limit` has left images.
 */
static bool parse_labels(struct images *images, const char *text, const char *path, size_t classes,
                         struct error *error) {
    const char *at = text + strspn(text, " \r\n\t");
    for (size_t i = 0; i < images->count; i++) {
        char *end;
        if (*at != (i ? ',' : '['))
            return set_error(error, "%s: %zu labels for %zu images: the files do not belong together", path, i,
                             images->count);
        at++;
        at += strspn(at, " \r\n\t");
        unsigned long label = strtoul(at, &end, 10);
        if (*at < '0' || *at > '9' || label >= classes)
            return set_error(error,
                             "%s: label %zu is \"%.8s\", not 0 to %zu: does the net have an output for each class?",
                             path, i, at, classes - 1);
        images->label[i] = (uint8_t)label;
        at = end + strspn(end, " \r\n\t");
    }
    return true;
}

static bool read_labels(struct images *images, const char *path, size_t classes, struct error *error) {
    char *text = read_text(path, error);
    if (!text) return false;
    images->label = (uint8_t *)allocate(images->count, 1);
    bool good = parse_labels(images, text, path, classes, error);
    free(text);
    return good;
}

bool cifar_read(struct images *images, const char *dir, bool training, size_t limit, size_t classes,
                struct error *error) {
    char path[PATH_BYTES], name[64];
    bool good = true;
    memset(images, 0, sizeof *images);
    images->height = images->width = SIDE;
    images->channels = CHANNELS;
    images->pixels = PIXELS;
    for (int strip = 1; good && strip <= (training ? 5 : 1) && (!limit || images->count < limit); strip++) {
        snprintf(name, sizeof name, training ? "data_batch_%d.png" : "test_batch.png", strip);
        good = path_of(path, dir, name, error) && read_strip(images, path, error);
    }
    if (limit && images->count > limit) images->count = limit;
    good = good && path_of(path, dir, training ? "train_lables.json" : "test_lables.json", error) &&
           read_labels(images, path, classes, error);
    if (good) images->mean = (float *)allocate(images->pixels, sizeof(float));
    if (!good) images_free(images);
    return good;
}
