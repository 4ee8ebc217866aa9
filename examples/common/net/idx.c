#include "idx.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "../memory.h"
#include "../random.h"

enum { PATH_BYTES = 4096, MAX_SIDE = 4096, MAX_IMAGES = 100000000 };

/* An open file, with its path for errors. */
struct idx_file {
    char path[PATH_BYTES];
    gzFile file;
};

static bool open_idx(struct idx_file *idx, const char *dir, const char *name, struct error *error) {
    static const char *const endings[] = {"", ".gz"};
    for (size_t i = 0; i < 2; i++) {
        int length = snprintf(idx->path, sizeof idx->path, "%s/%s%s", dir, name, endings[i]);
        if (length < 0 || (size_t)length >= sizeof idx->path)
            return set_error(error, "--data: the path %s is too long", dir);
        if (access(idx->path, F_OK) != 0) continue;
        idx->file = gzopen(idx->path, "rb");
        if (!idx->file) return set_error(error, "%s: cannot be opened: %s", idx->path, strerror(errno));
        return true;
    }
    return set_error(error,
                     "%s/%s: no such file, and none with .gz: run `make data`, or name another directory with --data",
                     dir, name);
}

static bool read_bytes(struct idx_file *idx, uint8_t *bytes, size_t size, const char *what, struct error *error) {
    size_t have = 0;
    while (have < size) {
        size_t piece = size - have < (1u << 30) ? size - have : 1u << 30;
        int got = gzread(idx->file, bytes + have, (unsigned)piece);
        if (got < 0) {
            int code;
            return set_error(error, "%s: damaged: %s: fetch the file again", idx->path, gzerror(idx->file, &code));
        }
        if (got == 0)
            return set_error(error, "%s: truncated: %zu of %zu bytes of %s: fetch the file again", idx->path, have,
                             size, what);
        have += (size_t)got;
    }
    return true;
}

/* Reads the magic number (two zeros, 8 for bytes, the number of dimensions) and the sizes of the dimensions. */
static bool read_head(struct idx_file *idx, size_t *sizes, size_t dimensions, struct error *error) {
    uint8_t head[4 + 4 * 3];
    if (!read_bytes(idx, head, 4 + 4 * dimensions, "head", error)) return false;
    if (head[0] != 0 || head[1] != 0 || head[2] != 8 || head[3] != dimensions)
        return set_error(
            error, "%s: begins with %02x%02x%02x%02x, not 000008%02zx: not an IDX file of bytes in %zu dimensions",
            idx->path, head[0], head[1], head[2], head[3], dimensions, dimensions);
    for (size_t i = 0; i < dimensions; i++) {
        const uint8_t *size = head + 4 + 4 * i;
        size_t limit = i == 0 ? MAX_IMAGES : MAX_SIDE;
        sizes[i] = (size_t)size[0] << 24 | (size_t)size[1] << 16 | (size_t)size[2] << 8 | size[3];
        if (sizes[i] == 0 || sizes[i] > limit)
            return set_error(error, "%s: dimension %zu is %zu, not 1 to %zu: the file is damaged", idx->path, i,
                             sizes[i], limit);
    }
    return true;
}

static bool read_images(struct images *images, struct idx_file *idx, size_t limit, struct error *error) {
    size_t sizes[3];
    if (!read_head(idx, sizes, 3, error)) return false;
    images->count = limit && limit < sizes[0] ? limit : sizes[0];
    images->height = sizes[1];
    images->width = sizes[2];
    images->channels = 1;
    images->pixels = sizes[1] * sizes[2];
    /* The memory grows with the data that the file really holds, so that a false count in the head costs no memory. */
    size_t chunk = 1 + (1u << 26) / images->pixels;
    for (size_t have = 0; have < images->count;) {
        size_t now = images->count - have < chunk ? images->count - have : chunk;
        uint8_t *grown = (uint8_t *)realloc(images->pixel, (have + now) * images->pixels);
        if (!grown) return set_error(error, "%s: no memory for %zu images", idx->path, have + now);
        images->pixel = grown;
        if (!read_bytes(idx, grown + have * images->pixels, now * images->pixels, "images", error)) return false;
        have += now;
    }
    return true;
}

static bool read_labels(struct images *images, struct idx_file *idx, size_t limit, size_t classes,
                        struct error *error) {
    size_t labels = 0;
    if (!read_head(idx, &labels, 1, error)) return false;
    if (limit && limit < labels) labels = limit;
    if (labels != images->count)
        return set_error(error, "%s: %zu labels for %zu images: the two files do not belong together", idx->path,
                         labels, images->count);
    images->label = (uint8_t *)allocate(labels, 1);
    if (!read_bytes(idx, images->label, labels, "labels", error)) return false;
    for (size_t i = 0; i < labels; i++)
        if (images->label[i] >= classes)
            return set_error(error, "%s: label %zu is %d, not 0 to %zu: does the net have an output for each class?",
                             idx->path, i, images->label[i], classes - 1);
    return true;
}

bool images_read(struct images *images, const char *dir, const char *prefix, size_t limit, size_t classes,
                 struct error *error) {
    struct idx_file idx;
    char name[64];
    memset(images, 0, sizeof *images);

    snprintf(name, sizeof name, "%s-images-idx3-ubyte", prefix);
    if (!open_idx(&idx, dir, name, error)) return false;
    bool good = read_images(images, &idx, limit, error);
    gzclose(idx.file);

    snprintf(name, sizeof name, "%s-labels-idx1-ubyte", prefix);
    if (good && (good = open_idx(&idx, dir, name, error))) {
        good = read_labels(images, &idx, limit, classes, error);
        gzclose(idx.file);
    }
    if (good) images->mean = (float *)allocate(images->pixels, sizeof(float));
    if (!good) images_free(images);
    return good;
}

void images_free(struct images *images) {
    free(images->pixel);
    free(images->label);
    free(images->mean);
    memset(images, 0, sizeof *images);
}

void images_center(struct images *images, const struct images *set) {
    uint64_t *sum = (uint64_t *)allocate(set->pixels, sizeof *sum);
    const uint8_t *pixel = set->pixel;
    for (size_t i = 0; i < set->count; i++)
        for (size_t j = 0; j < set->pixels; j++) sum[j] += *pixel++;
    for (size_t j = 0; j < set->pixels; j++) images->mean[j] = (float)((double)sum[j] / (255.0 * (double)set->count));
    free(sum);
}

void images_batch(const struct images *images, const size_t *index, size_t count, float *values, uint8_t *labels) {
    for (size_t i = 0; i < count; i++) {
        const uint8_t *pixel = images->pixel + index[i] * images->pixels;
        for (size_t j = 0; j < images->pixels; j++) *values++ = (float)pixel[j] * (1.0f / 255.0f) - images->mean[j];
        labels[i] = images->label[index[i]];
    }
}

/* Copies `from`, mirrored if `flip`, to `values`: the pixel at (y, x) comes from (y + down, x + right). */
static void move_image(const struct images *images, const uint8_t *from, ptrdiff_t down, ptrdiff_t right, bool flip,
                       float *values) {
    ptrdiff_t height = (ptrdiff_t)images->height, width = (ptrdiff_t)images->width;
    const float *mean = images->mean;
    for (ptrdiff_t y = down; y < down + height; y++)
        for (ptrdiff_t x = right; x < right + width; x++) {
            bool inside = y >= 0 && y < height && x >= 0 && x < width;
            size_t at = inside ? (size_t)(y * width + (flip ? width - 1 - x : x)) * images->channels : 0;
            for (size_t c = 0; c < images->channels; c++)
                *values++ = (inside ? (float)from[at + c] * (1.0f / 255.0f) : 0.0f) - *mean++;
        }
}

void images_augment(const struct images *images, const struct augmentation *augmentation, const size_t *index,
                    size_t count, float *values, uint8_t *labels) {
    uint64_t places = 2 * augmentation->shift + 1;
    for (size_t i = 0; i < count; i++) {
        uint64_t key = random_bits(augmentation->key, index[i]);
        ptrdiff_t down = (ptrdiff_t)(random_bits(key, 0) % places) - (ptrdiff_t)augmentation->shift;
        ptrdiff_t right = (ptrdiff_t)(random_bits(key, 1) % places) - (ptrdiff_t)augmentation->shift;
        bool flip = augmentation->flip && random_bits(key, 2) % 2;
        move_image(images, images->pixel + index[i] * images->pixels, down, right, flip, values + i * images->pixels);
        labels[i] = images->label[index[i]];
    }
}
