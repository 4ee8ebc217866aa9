/* Small IDX files for tests of what reads them. */
#ifndef DTC_TESTS_IDX_FILES_H
#define DTC_TESTS_IDX_FILES_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static inline void put_be32(uint8_t *bytes, uint32_t value) {
    for (int i = 0; i < 4; i++) bytes[i] = (uint8_t)(value >> (24 - 8 * i));
}

/* Writes DIR/NAME, gzipped or not. */
static inline void write_bytes(const char *dir, const char *name, const uint8_t *bytes, size_t size, int gzipped) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    gzFile file = gzopen(path, gzipped ? "wb" : "wbT"); /* T: as it is */
    if (!file || gzwrite(file, bytes, (unsigned)size) != (int)size || gzclose(file) != Z_OK) {
        fprintf(stderr, "%s: cannot be written\n", path);
        exit(1);
    }
}

/* Head of an IDX file: magic number and sizes; returns its bytes. */
static inline size_t idx_head(uint8_t *bytes, uint32_t magic, const uint32_t *sizes, size_t dimensions) {
    put_be32(bytes, magic);
    for (size_t i = 0; i < dimensions; i++) put_be32(bytes + 4 + 4 * i, sizes[i]);
    return 4 + 4 * dimensions;
}

/* Writes count images of side x side pixels and their labels: a class is a bright column, over noise. */
static inline void write_images(const char *dir, const char *prefix, uint32_t count, uint32_t side, uint32_t classes,
                                int gzipped) {
    const uint32_t sizes[3] = {count, side, side};
    size_t pixels = (size_t)side * side;
    uint8_t *images = (uint8_t *)malloc(16 + count * pixels), *labels = (uint8_t *)malloc(8 + (size_t)count);
    size_t at = idx_head(images, 0x803, sizes, 3);
    idx_head(labels, 0x801, sizes, 1);
    uint32_t noise = (uint32_t)strlen(prefix);
    for (uint32_t i = 0; i < count; i++) {
        labels[8 + i] = (uint8_t)(i % classes);
        for (uint32_t p = 0; p < pixels; p++) {
            noise = noise * 1664525u + 1013904223u;
            images[at++] = (uint8_t)((noise >> 25) + (p % side == i % classes ? 100u : 0u));
        }
    }
    char name[64];
    snprintf(name, sizeof name, "%s-images-idx3-ubyte%s", prefix, gzipped ? ".gz" : "");
    write_bytes(dir, name, images, at, gzipped);
    snprintf(name, sizeof name, "%s-labels-idx1-ubyte%s", prefix, gzipped ? ".gz" : "");
    write_bytes(dir, name, labels, 8 + (size_t)count, gzipped);
    free(images);
    free(labels);
}

#endif
