/* Grids that workers agree on, and messages that are added: what --add-packets is made of. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "examples/common/exchange/grid.h"
#include "examples/common/exchange/tensor_message.h"
#include "examples/common/memory.h"
#include "examples/common/random.h"

enum { WORKERS = 3, TENSORS = 2 };

static const size_t shapes[TENSORS][2] = {{20, 50}, {1, 7}};

static dtc_spec spec_of(const char *text) {
    dtc_spec spec;
    const char *at;
    if (dtc_spec_parse(text, &spec, &at) != DTC_OK) fail_msg("%s: at %s", text, at);
    return spec;
}

static struct tensors some_values(uint64_t seed) {
    struct tensors values = tensors_create(shapes, TENSORS);
    for (size_t i = 0; i < values.values; i++)
        values.all[i] = (float)pow(random_unit(seed, i) * 2.0 - 1.0, 3.0) * (1.0f + (float)seed);
    return values;
}

static struct encoder encoder_of(const char *text, bool residual, const struct tensors *model) {
    dtc_spec spec = spec_of(text);
    struct error error;
    if (!grid_prepare(&spec, WORKERS, &error)) fail_msg("%s: %s", text, error.text);
    struct encoder encoder = encoder_create(&spec, residual, model);
    if (grid_open(&spec)) encoder.range = (float *)allocate(TENSORS, sizeof(float));
    return encoder;
}

/* Every value of a ternary tensor is its scale, its negative, or zero. */
static double scale_of(const struct encoder *encoder, const struct tensors *model) {
    struct tensors decoded = tensors_like(model);
    struct decoder decoder = {NULL, 0};
    struct error error;
    double scale = 0.0;
    assert_true(decoder_add(&decoder, &decoded, 1.0f, encoder->message, encoder->bytes, &error));
    for (size_t i = 0; i < shapes[0][0] * shapes[0][1]; i++) scale = fmax(scale, (double)decoded.all[i]);
    free(decoder.scratch);
    tensors_free(&decoded);
    return scale;
}

static void a_workers_own_range_is_the_encoders_own_scale(void **state) {
    (void)state;
    const char *const texts[] = {"ternary", "ternary:clip=1.5", "ternary:clip=100,pack=base3"};
    struct tensors values = some_values(1);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct encoder own = encoder_of(texts[i], false, &values), agreed = encoder_of(texts[i], false, &values);
        struct error error;
        free(own.range);
        own.range = NULL;
        for (size_t t = 0; t < TENSORS; t++) agreed.range[t] = encoder_range(&agreed, t, &values.tensor[t]);
        assert_true(encoder_encode(&own, &values, NULL, 5, &error));
        assert_true(encoder_encode(&agreed, &values, NULL, 5, &error));
        double scale = scale_of(&own, &values);
        assert_true(scale > 0.5 && fabs(scale_of(&agreed, &values) - scale) <= 1e-6 * scale);
        encoder_free(&own);
        encoder_free(&agreed);
    }
    tensors_free(&values);
}

static void messages_on_one_grid_add_exactly(void **state) {
    (void)state;
    const char *const texts[] = {"ternary",
                                 "ternary:pack=base3",
                                 "quant:bits=4",
                                 "quant:bits=5,entropy=none",
                                 "quant:bits=3,rounding=stochastic",
                                 "quant:bits=4,grid=even",
                                 "quant:bits=4,min=-1,max=1",
                                 "ternary:scale=2"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct tensors values[WORKERS], decoded = tensors_create(shapes, TENSORS), sum = tensors_like(&decoded);
        struct encoder encoder[WORKERS];
        struct adder adder;
        struct decoder decoder = {NULL, 0};
        struct error error;
        double *exact = (double *)allocate(sum.values, sizeof(double));
        memset(&adder, 0, sizeof adder);
        for (size_t w = 0; w < WORKERS; w++) {
            values[w] = some_values(w);
            encoder[w] = encoder_of(texts[i], true, &values[w]);
        }
        for (size_t t = 0; t < TENSORS && encoder[0].range; t++) {
            float most = 0.0f;
            for (size_t w = 0; w < WORKERS; w++)
                most = fmaxf(most, encoder_range(&encoder[w], t, &values[w].tensor[t]));
            for (size_t w = 0; w < WORKERS; w++) encoder[w].range[t] = most;
        }
        for (size_t w = 0; w < WORKERS; w++) {
            if (!encoder_encode(&encoder[w], &values[w], NULL, w + 1, &error)) fail_msg("%s: %s", texts[i], error.text);
            if (!adder_add(&adder, encoder[w].message, encoder[w].bytes, &error))
                fail_msg("%s: %s", texts[i], error.text);
            tensors_clear(&decoded);
            assert_true(decoder_add(&decoder, &decoded, 1.0f, encoder[w].message, encoder[w].bytes, &error));
            for (size_t k = 0; k < sum.values; k++) exact[k] += (double)decoded.all[k];
        }
        assert_true(message_fits(adder.sum, adder.bytes, &sum));
        assert_true(decoder_add(&decoder, &sum, 1.0f, adder.sum, adder.bytes, &error)); /* as their mean */
        for (size_t k = 0; k < sum.values; k++)
            assert_true(fabs((double)sum.all[k] * WORKERS - exact[k]) <= 4e-7 * (fabs(exact[k]) + 4.0));

        size_t bytes = adder.bytes; /* there is room for three, not for four: and the sum stays what it is */
        uint8_t *before = (uint8_t *)allocate(bytes, 1);
        memcpy(before, adder.sum, bytes);
        assert_false(adder_add(&adder, encoder[0].message, encoder[0].bytes, &error));
        assert_false(adder_add(&adder, encoder[0].message, 3, &error));
        assert_int_equal(adder.bytes, bytes);
        assert_memory_equal(adder.sum, before, bytes);
        assert_false(message_fits(adder.sum, bytes - 1, &sum));
        struct tensors first = tensors_one(&sum, 0);
        assert_false(message_fits(adder.sum, bytes, &first));

        free(before);
        free(exact);
        free(decoder.scratch);
        adder_free(&adder);
        for (size_t w = 0; w < WORKERS; w++) {
            tensors_free(&values[w]);
            encoder_free(&encoder[w]);
        }
        tensors_free(&decoded);
        tensors_free(&sum);
    }
}

static void measurements_are_added_and_decoded_once(void **state) {
    (void)state;
    struct tensors values[WORKERS], sum = tensors_create(shapes, TENSORS);
    struct encoder encoder[WORKERS];
    struct adder adder;
    struct decoder decoder = {NULL, 0};
    struct error error;
    double wrong = 0.0, squares = 0.0;
    memset(&adder, 0, sizeof adder);
    for (size_t w = 0; w < WORKERS; w++) {
        values[w] = tensors_create(shapes, TENSORS);
        for (size_t i = 0; i < 1000; i += 40) values[w].all[i] = 1.0f + (float)w; /* 25 of 1000, at the same places */
        encoder[w] = encoder_of("sensing:ratio=0.3,bits=8", false, &values[w]);
    }
    for (size_t t = 0; t < TENSORS; t++) {
        float most = 0.0f;
        for (size_t w = 0; w < WORKERS; w++) most = fmaxf(most, encoder_range(&encoder[w], t, &values[w].tensor[t]));
        for (size_t w = 0; w < WORKERS; w++) encoder[w].range[t] = most;
    }
    for (size_t w = 0; w < WORKERS; w++) {
        uint64_t seed = grid_seed(&encoder[w].spec, 7, w);
        assert_true(encoder_encode(&encoder[w], &values[w], NULL, seed, &error));
        if (!adder_add(&adder, encoder[w].message, encoder[w].bytes, &error)) fail_msg("%s", error.text);
    }
    assert_true(decoder_add(&decoder, &sum, 1.0f, adder.sum, adder.bytes, &error));
    for (size_t i = 0; i < 1000; i++) {
        double mean = i % 40 == 0 ? 2.0 : 0.0;
        wrong += ((double)sum.all[i] - mean) * ((double)sum.all[i] - mean);
        squares += mean * mean;
    }
    assert_true(wrong < 0.01 * squares);
    free(decoder.scratch);
    adder_free(&adder);
    for (size_t w = 0; w < WORKERS; w++) {
        tensors_free(&values[w]);
        encoder_free(&encoder[w]);
    }
    tensors_free(&sum);
}

static void specs_that_would_not_add_are_refused(void **state) {
    (void)state;
    const char *const wrong[][2] = {
        {"factor", "use raw, ternary, quant or sensing"},
        {"quant", "bits chosen by the values"},
        {"quant:rate=2", "bits chosen by"},
        {"quant:bits=4,rotate=1", "rotate=1: "},
        {"quant:max-error=0.01", "bits chosen by"},
        {"quant:bits=4,min=0", "give both"},
        {"quant:bits=4,block=100", "block=100: "},
        {"ternary:workers=2", "workers=2: room"},
        {"ternary:block=100", "block=100: "},
        {"quant:bits=16", "do not fit"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        dtc_spec spec = spec_of(wrong[i][0]);
        struct error error;
        assert_false(grid_prepare(&spec, spec.quant.bits == 16 ? 257 : WORKERS, &error));
        if (!strstr(error.text, wrong[i][1])) fail_msg("%s: %s", wrong[i][0], error.text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_workers_own_range_is_the_encoders_own_scale),
        cmocka_unit_test(messages_on_one_grid_add_exactly),
        cmocka_unit_test(measurements_are_added_and_decoded_once),
        cmocka_unit_test(specs_that_would_not_add_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
