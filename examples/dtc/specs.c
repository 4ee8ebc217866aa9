#include "specs.h"

#include <stdlib.h>
#include <string.h>

#include "../common/memory.h"
#include "../common/random.h"

/* Sensing and circulant are missing: one is slow, the other is only for circulant layers. */
static const char usual[] = "raw:type=bf16 raw:type=fp16 ternary quant quant:bits=2 quant:bits=4 quant:bits=8 "
                            "quant:rate=0.1 quant:rate=1 quant:rotate=1,bits=3 factor";

bool spec_parse(const char *text, dtc_spec *spec, struct error *error) {
    const char *at = text;
    dtc_status status = dtc_spec_parse(text, spec, &at);
    return status == DTC_OK || set_error(error, "spec %.200s: at \"%.60s\": %s", text, at, dtc_status_string(status));
}

bool specs_parse(const char *list, struct specs *specs, struct error *error) {
    static const char between[] = " \t\n;";
    if (!list) list = usual;
    specs->count = 0;
    specs->spec = (dtc_spec *)allocate(strlen(list) + 1, sizeof *specs->spec);
    for (const char *at = list + strspn(list, between); *at; at += strspn(at, between)) {
        char text[SPEC_TEXT_BYTES];
        size_t length = strcspn(at, between);
        bool good = length < sizeof text || set_error(error, "spec %.200s...: too long for any spec", at);
        if (good) {
            memcpy(text, at, length);
            text[length] = 0;
            good = spec_parse(text, &specs->spec[specs->count++], error);
        }
        if (!good) {
            free(specs->spec);
            return false;
        }
        at += length;
    }
    if (specs->count) return true;
    free(specs->spec);
    return set_error(error, "--specs: the list is empty: name a codec, such as quant:bits=4");
}

dtc_spec spec_of_tensor(const dtc_spec *spec, size_t rows, size_t number) {
    dtc_spec own = *spec;
    bool matrix = rows > 1 || spec->codec == DTC_FACTOR || spec->codec == DTC_CIRCULANT;
    if (own.rows == 0 && matrix) own.rows = rows;
    if (number) own.seed = random_bits(spec->seed, number);
    return own;
}
