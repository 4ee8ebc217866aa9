/* dtc encode: a file of floats to packets. */
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "file.h"
#include "input.h"
#include "message.h"
#include "specs.h"

/* Encodes one array and appends its packet to the output. */
static bool encode_array(const dtc_spec *spec, const struct array *array, struct output *output, struct error *error) {
    size_t capacity = dtc_encode_bound(spec, array->count), scratch_bytes = dtc_encode_scratch(spec, array->count);
    size_t bytes = 0;
    float *values = (float *)malloc(4 * array->count + 1);
    uint8_t *packet = (uint8_t *)malloc(capacity + 1), *scratch = (uint8_t *)malloc(scratch_bytes + 1);
    bool good = values && packet && scratch;
    if (!good) {
        set_error(error, "no memory to encode %zu values", array->count);
    } else {
        array_floats(array, values);
        dtc_status status = dtc_encode(spec, packet, capacity, &bytes, values, array->count, scratch, scratch_bytes);
        good = status == DTC_OK || set_error(error, "%s", dtc_status_string(status));
    }
    good = good && output_write(output, packet, bytes, error);
    free(values);
    free(packet);
    free(scratch);
    return good;
}

/* Encodes all arrays. The error names the file that is at fault. */
static int encode(const dtc_spec *spec, const struct input *input, const char *from, const char *to) {
    struct output output;
    struct error error, why;
    if (!output_open(&output, to, &error)) return fail(to, &error);
    for (size_t i = 0; i < input->arrays.count; i++) {
        const struct array *array = &input->arrays.array[i];
        dtc_spec own = spec_of_tensor(spec, array_rows(array), i);
        if (encode_array(&own, array, &output, &why)) continue;
        output_discard(&output);
        set_error(&error, array->name ? "tensor %.100s: %.350s" : "%s%.350s", array->name ? array->name : "", why.text);
        return fail(from, &error);
    }
    return output_commit(&output, &error) ? EXIT_GOOD : fail(to, &error);
}

/* Encodes all arrays as one message. */
static int encode_message(const dtc_spec *spec, const struct input *input, const char *from, const char *to) {
    struct output output;
    struct error error;
    uint8_t *message;
    size_t bytes;
    if (!message_encode(spec, &input->arrays, &message, &bytes, &error)) return fail(from, &error);
    bool good = output_open(&output, to, &error);
    if (good && !output_write(&output, message, bytes, &error)) {
        output_discard(&output);
        good = false;
    }
    good = good && output_commit(&output, &error);
    free(message);
    return good ? EXIT_GOOD : fail(to, &error);
}

int encode_run(const struct settings *settings, char **arguments, int count) {
    struct input input;
    struct error error;
    dtc_spec spec;
    (void)count;
    if (!spec_parse(arguments[0], &spec, &error)) return misuse("%s", error.text);
    if (!input_read(&input, arguments[1], (enum format)settings->from, &error)) return fail(arguments[1], &error);
    int code;
    if (input.arrays.count) {
        code = (settings->message ? encode_message : encode)(&spec, &input, arguments[1], arguments[2]);
    } else {
        set_error(&error, "holds no tensor: there is nothing to encode");
        code = fail(arguments[1], &error);
    }
    input_free(&input);
    return code;
}
