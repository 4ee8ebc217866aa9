/* dtc compare: ranks codecs on the user's tensors. */
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/memory.h"
#include "command.h"
#include "input.h"
#include "measure.h"
#include "plot.h"
#include "specs.h"
#include "text.h"

/* Returns the rate in bits a second below which encoding, sending and decoding take less time than sending float32. */
static double break_even(const struct measurement *row) {
    double seconds = row->encode_s + row->decode_s;
    return row->bits < 32.0 && seconds > 0.0 ? (32.0 - row->bits) / seconds : 0.0;
}

/* Whether another codec has fewer bits and no more error, or as few bits and less error. */
static bool beaten(const struct measurement *rows, size_t count, const struct measurement *row) {
    for (const struct measurement *other = rows; other < rows + count; other++)
        if (other->bits <= row->bits && other->nmse <= row->nmse &&
            (other->bits < row->bits || other->nmse < row->nmse))
            return true;
    return false;
}

static int by_bits(const void *a, const void *b) {
    const struct measurement *x = (const struct measurement *)a, *y = (const struct measurement *)b;
    if (x->bits != y->bits) return x->bits < y->bits ? -1 : 1;
    return x->nmse < y->nmse ? -1 : x->nmse > y->nmse;
}

/* Returns GB/s of float32. */
static double speed(double seconds) {
    return seconds > 0.0 ? 4e-9 / seconds : 0.0;
}

static void print_rows(const struct measurement *rows, size_t count) {
    printf("  %-32s %8s %12s %9s %12s %12s %15s\n", "codec", "bits", "error", "cosine", "encode GB/s", "decode GB/s",
           "pays below");
    for (const struct measurement *row = rows; row < rows + count; row++) {
        char rate[32] = "never";
        double even = break_even(row);
        if (even > 0.0)
            snprintf(rate, sizeof rate, even < 1e9 ? "%.0f Mbit/s" : "%.1f Gbit/s", even / (even < 1e9 ? 1e6 : 1e9));
        printf("%c %-32s %8.3f %12.3e %9.6f %12.3f %12.3f %15s\n", beaten(rows, count, row) ? ' ' : '*', row->spec,
               row->bits, row->nmse, row->cosine, speed(row->encode_s), speed(row->decode_s), rate);
    }
}

static bool print_json(const char *path, const struct model *model, const struct measurement *rows, size_t count) {
    char *name = (char *)allocate(strlen(path) + 1, 1);
    cJSON *root = cJSON_CreateObject(), *list;
    strcpy(name, path);
    bool good = cJSON_AddStringToObject(root, "file", text_utf8(name)) &&
                cJSON_AddNumberToObject(root, "tensors", (double)model->count) &&
                cJSON_AddNumberToObject(root, "values", (double)model->values);
    list = cJSON_AddArrayToObject(root, "codecs");
    for (const struct measurement *row = rows; row < rows + count && good; row++) {
        cJSON *item = cJSON_CreateObject();
        good = cJSON_AddItemToArray(list, item) && cJSON_AddStringToObject(item, "spec", row->spec) &&
               cJSON_AddNumberToObject(item, "bits_per_value", row->bits) &&
               cJSON_AddNumberToObject(item, "nmse", row->nmse) &&
               cJSON_AddNumberToObject(item, "cosine", row->cosine) &&
               cJSON_AddNumberToObject(item, "encode_gbps", speed(row->encode_s)) &&
               cJSON_AddNumberToObject(item, "decode_gbps", speed(row->decode_s)) &&
               cJSON_AddNumberToObject(item, "break_even_bits_per_second", break_even(row)) &&
               cJSON_AddBoolToObject(item, "best", !beaten(rows, count, row));
    }
    char *text = good ? cJSON_Print(root) : NULL;
    if (text) puts(text);
    cJSON_free(text);
    cJSON_Delete(root);
    free(name);
    return text != NULL;
}

static int compare(const struct settings *settings, const char *path, const struct model *model,
                   const struct specs *specs) {
    struct measurement *rows = (struct measurement *)allocate(specs->count, sizeof *rows);
    struct progress progress = progress_begin(specs->count, model->values);
    struct error error;
    bool good = true;
    int code = EXIT_GOOD;
    for (size_t i = 0; i < specs->count && good; i++)
        good = measure(&specs->spec[i], model, false, &progress, &rows[i], &error);
    progress_end(&progress);
    if (good) {
        qsort(rows, specs->count, sizeof *rows, by_bits);
        if (!settings->json)
            print_rows(rows, specs->count);
        else if (!print_json(path, model, rows, specs->count))
            good = set_error(&error, "no memory for the results as JSON");
    }
    if (!good) code = fail(path, &error);
    if (good && settings->plot && !plot_draw(settings->plot, rows, specs->count, &error))
        code = fail(settings->plot, &error);
    free(rows);
    return code;
}

int compare_run(const struct settings *settings, char **arguments, int count) {
    struct specs specs;
    struct model model;
    struct error error;
    (void)count;
    if (!specs_parse(settings->specs, &specs, &error)) return misuse("%s", error.text);
    bool good = model_read(&model, arguments[0], (enum format)settings->from, &error);
    int code = good ? compare(settings, arguments[0], &model, &specs) : fail(arguments[0], &error);
    if (good) model_free(&model);
    free(specs.spec);
    return code;
}
