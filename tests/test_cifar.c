/* The reader of CIFAR-10's PNG strips: what it reads, and what it says of files that are not what they should be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <png.h>

#include "examples/common/net/cifar.h"

enum { ROWS = 2, STRIPS = 5, PIXELS = 32 * 32 * 3 };

static char dir[] = "build/test_cifar_XXXXXX";
static const char *const names[] = {"data_batch_1.png", "data_batch_2.png", "data_batch_3.png",  "data_batch_4.png",
                                    "data_batch_5.png", "test_batch.png",   "train_lables.json", "test_lables.json"};

static const char *path_of(const char *name) {
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

/* Channel c of pixel p in image i of a strip. */
static uint8_t pixel_of(size_t strip, size_t i, size_t p, size_t c) {
    return (uint8_t)(strip * 50 + i * 20 + p * 7 + c * 3);
}

static void write_strip(const char *name, size_t strip, unsigned width) {
    uint8_t *pixels = (uint8_t *)malloc((size_t)width * ROWS * 3);
    png_image png;
    memset(&png, 0, sizeof png);
    png.version = PNG_IMAGE_VERSION;
    png.format = PNG_FORMAT_RGB;
    png.width = width;
    png.height = ROWS;
    for (size_t j = 0; j < (size_t)width * ROWS * 3; j++)
        pixels[j] = pixel_of(strip, j / (width * 3), j / 3 % width, j % 3);
    assert_true(png_image_write_to_file(&png, path_of(name), 0, pixels, 0, NULL));
    free(pixels);
}

static void write_text(const char *name, const char *text) {
    FILE *file = fopen(path_of(name), "wb");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static int write_all(void **state) {
    (void)state;
    for (size_t strip = 0; strip <= STRIPS; strip++) write_strip(names[strip], strip, 1024);
    write_text("train_lables.json", "[0,1,2,3,4,5,6,7,8,9]");
    write_text("test_lables.json", " [ 7 , 0 ]\n");
    return 0;
}

static int make_dir(void **state) {
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) unlink(path_of(names[i]));
    return rmdir(dir);
}

static void refused(bool training, const char *file, const char *words) {
    struct images images;
    struct error error;
    assert_false(cifar_read(&images, dir, training, 0, 10, &error));
    if (!strstr(error.text, file) || !strstr(error.text, words))
        fail_msg("\"%s\" names neither %s nor %s", error.text, file, words);
    assert_null(images.pixel);
    assert_null(images.label);
}

static void rows_are_images(void **state) {
    (void)state;
    struct images images;
    struct error error;
    if (!cifar_read(&images, dir, true, 0, 10, &error)) fail_msg("%s", error.text);
    assert_int_equal(images.count, ROWS * STRIPS);
    assert_true(images.height == 32 && images.width == 32 && images.channels == 3 && images.pixels == PIXELS);
    for (size_t i = 0; i < images.count; i++) {
        assert_int_equal(images.label[i], i);
        for (size_t j = 0; j < PIXELS; j++)
            assert_int_equal(images.pixel[i * PIXELS + j], pixel_of(i / ROWS, i % ROWS, j / 3, j % 3));
    }
    images_free(&images);
    if (!cifar_read(&images, dir, false, 0, 10, &error)) fail_msg("%s", error.text);
    assert_true(images.count == ROWS && images.label[0] == 7 && images.label[1] == 0);
    assert_int_equal(images.pixel[PIXELS], pixel_of(5, 1, 0, 0));
    images_free(&images);
}

static void the_limit_keeps_the_first_images(void **state) {
    (void)state;
    struct images images;
    struct error error;
    assert_int_equal(unlink(path_of("data_batch_3.png")), 0); /* is not needed */
    if (!cifar_read(&images, dir, true, 3, 10, &error)) fail_msg("%s", error.text);
    assert_true(images.count == 3 && images.label[2] == 2);
    images_free(&images);
    refused(true, "data_batch_3.png", "make data DATASET=cifar10");
}

static void wrong_strips_are_told(void **state) {
    (void)state;
    char path[4096];
    write_strip("test_batch.png", 0, 1000);
    refused(false, "test_batch.png", "1000 x 2 pixels, not rows of 1024");
    write_text("test_batch.png", "no picture");
    refused(false, "test_batch.png", "make data DATASET=cifar10");
    write_strip("test_batch.png", 0, 1024);
    snprintf(path, sizeof path, "%s", path_of("test_batch.png"));
    assert_int_equal(truncate(path, 100), 0);
    refused(false, "test_batch.png", "damaged");
}

static void wrong_labels_are_told(void **state) {
    (void)state;
    const char *const wrong[][2] = {
        {"[3]", "1 labels for 2 images"},   {"", "0 labels for 2 images"},
        {"3,4]", "0 labels for 2 images"},  {"[3,10]", "label 1 is \"10]\", not 0 to 9"},
        {"[-3,1]", "label 0 is \"-3,1]\""}, {"[3,]", "label 1 is \"]\""},
        {"[3 4]", "1 labels for 2 images"}, {"[99999999999999999999,1]", "label 0 is \"99999999\""},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        write_text("test_lables.json", wrong[i][0]);
        refused(false, "test_lables.json", wrong[i][1]);
    }
    assert_int_equal(unlink(path_of("test_lables.json")), 0);
    refused(false, "test_lables.json", "cannot be opened");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(rows_are_images, write_all),
        cmocka_unit_test_setup(the_limit_keeps_the_first_images, write_all),
        cmocka_unit_test_setup(wrong_strips_are_told, write_all),
        cmocka_unit_test_setup(wrong_labels_are_told, write_all),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
