#include "message.h"

#include <stdlib.h>

/* Creates tensors of the shapes of `arrays`, in one memory of values, which is not set. The caller frees the result and
 * *values. NULL: no memory. */
static dtc_tensor *create(const struct arrays *arrays, float **values) {
    dtc_tensor *tensors = (dtc_tensor *)calloc(arrays->count + 1, sizeof *tensors);
    size_t total = 0;
    for (size_t i = 0; i < arrays->count; i++) { /* the sum of counts may not fit where files are smaller than values */
        if (arrays->array[i].count > SIZE_MAX / 8 - total) {
            free(tensors);
            return NULL;
        }
        total += arrays->array[i].count;
    }
    *values = (float *)malloc(4 * total + 1);
    if (!tensors || !*values) {
        free(tensors);
        free(*values);
        return NULL;
    }
    float *at = *values;
    for (size_t i = 0; i < arrays->count; at += arrays->array[i++].count) {
        size_t rows = array_rows(&arrays->array[i]);
        tensors[i].values = at;
        tensors[i].count = arrays->array[i].count;
        tensors[i].rows = rows > 1 ? rows : 0;
    }
    return tensors;
}

bool message_encode(const dtc_spec *spec, const struct arrays *arrays, uint8_t **message, size_t *bytes,
                    struct error *error) {
    float *values = NULL;
    dtc_tensor *tensors = create(arrays, &values);
    if (!tensors) return set_error(error, "no memory to encode it");
    size_t capacity = dtc_message_bound(spec, tensors, arrays->count);
    size_t scratch_bytes = dtc_message_scratch(spec, tensors, arrays->count);
    uint8_t *scratch = (uint8_t *)malloc(scratch_bytes + 1);
    *message = (uint8_t *)malloc(capacity + 1);
    bool good = scratch && *message;
    if (good) {
        for (size_t i = 0; i < arrays->count; i++) array_floats(&arrays->array[i], tensors[i].values);
        dtc_status status =
            dtc_message_encode(spec, *message, capacity, bytes, tensors, arrays->count, scratch, scratch_bytes);
        good = status == DTC_OK || set_error(error, "%s", dtc_status_string(status));
    } else {
        set_error(error, "no memory to encode it");
    }
    free(tensors);
    free(values);
    free(scratch);
    if (!good) free(*message);
    return good;
}

bool message_decode(const uint8_t *message, size_t bytes, const struct arrays *like, float **values,
                    struct error *error) {
    dtc_tensor *tensors = create(like, values);
    if (!tensors) return set_error(error, "no memory to decode it");
    dtc_status status = DTC_ERROR_SCRATCH;
    /* the sender's spec would tell the scratch: try more and more of it */
    for (size_t scratch_bytes = 1 << 20; status == DTC_ERROR_SCRATCH && scratch_bytes < SIZE_MAX / 4;
         scratch_bytes *= 4) {
        void *scratch = malloc(scratch_bytes);
        if (!scratch) break;
        status = dtc_message_decode(tensors, like->count, message, bytes, NULL, scratch, scratch_bytes);
        free(scratch);
    }
    free(tensors);
    if (status == DTC_OK) return true;
    free(*values);
    return set_error(error, "%s", dtc_status_string(status));
}
