/* The reader of IDX files: what it reads, and what it says of files that are not what they should be. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "examples/common/net/idx.h"
#include "tests/idx_files.h"

static char dir[] = "build/test_idx_XXXXXX";

enum { COUNT = 6, SIDE = 2, PIXELS = SIDE * SIDE };

static const char *const names[] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte"};

static int make_dir(void **state) {
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_files(void **state) {
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s%s", dir, names[i / 2], i % 2 ? ".gz" : "");
        unlink(path);
    }
    return 0;
}

static int remove_dir(void **state) {
    remove_files(state);
    return rmdir(dir);
}

/* Writes a file of `head_sizes` and `payload` bytes of zeros. */
static void write_file(const char *name, uint32_t magic, const uint32_t *sizes, size_t dimensions, size_t payload) {
    uint8_t bytes[256];
    memset(bytes, 0, sizeof bytes);
    size_t head = idx_head(bytes, magic, sizes, dimensions);
    write_bytes(dir, name, bytes, head + payload, 0);
}

/* The files as written are refused with an error that has both words. */
static void refused(const char *file, const char *word) {
    struct images images;
    struct error error;
    assert_false(images_read(&images, dir, "train", 0, 3, &error));
    if (!strstr(error.text, file) || !strstr(error.text, word))
        fail_msg("\"%s\" names neither %s nor %s", error.text, file, word);
    assert_null(images.pixel);
    assert_null(images.label);
}

static void read_back(int gzipped) {
    struct images images;
    struct error error;
    const size_t index[2] = {4, 1};
    float values[2 * PIXELS];
    uint8_t labels[2];
    write_images(dir, "train", COUNT, SIDE, 3, gzipped);
    if (!images_read(&images, dir, "train", 0, 3, &error)) fail_msg("%s", error.text);
    assert_int_equal(images.count, COUNT);
    assert_int_equal(images.pixels, PIXELS);
    images_batch(&images, index, 2, values, labels);
    assert_int_equal(labels[0], 1);
    assert_int_equal(labels[1], 1);
    for (size_t i = 0; i < PIXELS; i++) {
        assert_true(values[i] == (float)images.pixel[4 * PIXELS + i] * (1.0f / 255.0f));
        assert_true(values[i] >= 0.0f && values[i] <= 1.0f);
    }
    images_free(&images);

    assert_true(images_read(&images, dir, "train", 4, 3, &error));
    assert_int_equal(images.count, 4);
    images_free(&images);
}

static void images_are_centered(void **state) {
    (void)state;
    struct images train, test;
    struct error error;
    const size_t index[COUNT] = {0, 1, 2, 3, 4, 5};
    float values[COUNT * PIXELS];
    uint8_t labels[COUNT];
    write_images(dir, "train", COUNT, SIDE, 3, 0);
    assert_true(images_read(&train, dir, "train", 0, 3, &error));
    assert_true(images_read(&test, dir, "train", 2, 3, &error));
    images_center(&test, &train);
    images_center(&train, &train);
    images_batch(&train, index, COUNT, values, labels);
    for (size_t j = 0; j < PIXELS; j++) {
        double sum = 0.0, pixels = 0.0;
        for (size_t i = 0; i < COUNT; i++) {
            sum += (double)values[i * PIXELS + j];
            pixels += (double)train.pixel[i * PIXELS + j];
        }
        assert_true(fabs(sum) < 1e-6);
        assert_true(fabs((double)train.mean[j] - pixels / (255.0 * COUNT)) < 1e-7);
    }
    float first = values[PIXELS];
    images_batch(&test, index + 1, 1, values, labels);
    assert_true(values[0] == first); /* by the mean of the others */
    images_free(&train);
    images_free(&test);
}

/* Returns whether `values` are the 2 x 3 image of two channels, whose pixels are 1 to 12, after a move and a flip. */
static bool is_moved(const float *values, int down, int right, int flip) {
    for (int y = 0; y < 2; y++)
        for (int x = 0; x < 3; x++)
            for (int c = 0; c < 2; c++) {
                int row = y + down, column = x + right;
                bool inside = row >= 0 && row < 2 && column >= 0 && column < 3;
                float pixel = inside ? (float)(1 + (row * 3 + (flip ? 2 - column : column)) * 2 + c) : 0.0f;
                if (values[(y * 3 + x) * 2 + c] != pixel * (1.0f / 255.0f) - (float)x) return false;
            }
    return true;
}

/* Every move by at most one pixel, with and without a flip, occurs, and nothing else. The mean is 0, 1 and 2 in the
 * three columns. */
static void images_move_and_flip(void **state) {
    (void)state;
    uint8_t pixel[12], label[1] = {2}, labels[1];
    float mean[12], values[12];
    const size_t index[1] = {0};
    struct images images = {1, 2, 3, 2, 12, pixel, mean, label};
    int seen[18] = {0}, kinds = 0;
    for (size_t i = 0; i < 12; i++) {
        pixel[i] = (uint8_t)(i + 1);
        mean[i] = (float)(i / 2 % 3);
    }
    for (uint64_t key = 0; key < 600; key++) {
        const struct augmentation augmentation = {1, true, key};
        int found = 0;
        labels[0] = 0;
        images_augment(&images, &augmentation, index, 1, values, labels);
        assert_int_equal(labels[0], 2);
        for (int kind = 0; kind < 18; kind++)
            if (is_moved(values, kind / 2 / 3 - 1, kind / 2 % 3 - 1, kind % 2)) {
                found++;
                seen[kind]++;
            }
        assert_int_equal(found, 1);
    }
    for (int kind = 0; kind < 18; kind++) kinds += seen[kind] > 0;
    assert_int_equal(kinds, 18);
    const struct augmentation none = {0, false, 7};
    images_augment(&images, &none, index, 1, values, labels);
    assert_true(is_moved(values, 0, 0, 0));
}

static void plain_files_are_read(void **state) {
    (void)state;
    read_back(0);
}

static void gzipped_files_are_read(void **state) {
    (void)state;
    read_back(1);
}

static void a_missing_file_is_told(void **state) {
    (void)state;
    refused(names[0], "no such file");
    write_images(dir, "train", COUNT, SIDE, 3, 0);
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", dir, names[1]);
    unlink(path);
    refused(names[1], "no such file");
}

static void truncated_files_are_told(void **state) {
    (void)state;
    const uint32_t sizes[3] = {COUNT, SIDE, SIDE};
    write_images(dir, "train", COUNT, SIDE, 3, 0);
    write_file(names[0], 0x803, sizes, 3, COUNT * PIXELS - 1);
    refused(names[0], "truncated");
    write_bytes(dir, names[0], (const uint8_t *)"\0\0", 2, 0);
    refused(names[0], "truncated");
    write_bytes(dir, names[0], (const uint8_t *)"", 0, 0);
    refused(names[0], "truncated");
    write_images(dir, "train", COUNT, SIDE, 3, 0);
    write_file(names[1], 0x801, sizes, 1, COUNT - 1);
    refused(names[1], "truncated");
}

static void a_truncated_gzip_stream_is_told(void **state) {
    (void)state;
    char path[4096];
    uint8_t bytes[4096];
    write_images(dir, "train", 60, SIDE, 3, 1);
    snprintf(path, sizeof path, "%s/%s.gz", dir, names[0]);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    write_bytes(dir, "train-images-idx3-ubyte.gz", bytes, size / 2, 0);
    refused(names[0], "fetch the file again");
}

static void a_wrong_magic_number_is_told(void **state) {
    (void)state;
    const uint32_t sizes[3] = {COUNT, SIDE, SIDE};
    write_images(dir, "train", COUNT, SIDE, 3, 0);
    write_file(names[0], 0x801, sizes, 3, COUNT * PIXELS);
    refused(names[0], "begins with 00000801");
    write_file(names[0], 0xd03, sizes, 3, COUNT * PIXELS);
    refused(names[0], "begins with 00000d03");
}

static void absurd_sizes_are_told(void **state) {
    (void)state;
    const uint32_t many[3] = {UINT32_MAX, SIDE, SIDE}, none[3] = {0, SIDE, SIDE};
    const uint32_t wide[3] = {COUNT, SIDE, 1u << 30}, large[3] = {90000000, 4096, 4096};
    write_images(dir, "train", COUNT, SIDE, 3, 0);
    write_file(names[0], 0x803, many, 3, COUNT * PIXELS);
    refused(names[0], "dimension 0 is 4294967295");
    write_file(names[0], 0x803, none, 3, 0);
    refused(names[0], "dimension 0 is 0");
    write_file(names[0], 0x803, wide, 3, COUNT * PIXELS);
    refused(names[0], "dimension 2");
    write_file(names[0], 0x803, large, 3, COUNT * PIXELS); /* must not cost 1.5 petabytes to find out */
    refused(names[0], "truncated");
}

static void labels_that_do_not_match_are_told(void **state) {
    (void)state;
    const uint32_t fewer = COUNT - 1;
    write_images(dir, "train", COUNT, SIDE, 4, 0); /* refused() asks for 3 classes */
    refused(names[1], "label 3 is 3, not 0 to 2");
    write_images(dir, "train", COUNT, SIDE, 3, 0);
    write_file(names[1], 0x801, &fewer, 1, fewer);
    refused(names[1], "5 labels for 6 images");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(plain_files_are_read, remove_files),
        cmocka_unit_test_teardown(gzipped_files_are_read, remove_files),
        cmocka_unit_test_teardown(images_are_centered, remove_files),
        cmocka_unit_test(images_move_and_flip),
        cmocka_unit_test_teardown(a_missing_file_is_told, remove_files),
        cmocka_unit_test_teardown(truncated_files_are_told, remove_files),
        cmocka_unit_test_teardown(a_truncated_gzip_stream_is_told, remove_files),
        cmocka_unit_test_teardown(a_wrong_magic_number_is_told, remove_files),
        cmocka_unit_test_teardown(absurd_sizes_are_told, remove_files),
        cmocka_unit_test_teardown(labels_that_do_not_match_are_told, remove_files),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
