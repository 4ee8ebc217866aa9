/* Text to spec to text, and spec to text to spec. */

#include "fuzz.h"

enum { TEXT_BYTES = 256 };

static int same_value(const dtc_value *a, const dtc_value *b) {
    return a->type == b->type && a->bits == b->bits;
}

/* Struct members one by one: padding may differ. */
static int same(const dtc_spec *a, const dtc_spec *b) {
    return a->codec == b->codec && a->seed == b->seed && a->rows == b->rows && a->block == b->block &&
           a->workers == b->workers && a->no_checksum == b->no_checksum && a->raw.type == b->raw.type &&
           a->ternary.clip == b->ternary.clip && a->ternary.scale == b->ternary.scale &&
           a->ternary.pack == b->ternary.pack && a->quant.bits == b->quant.bits && a->quant.floor == b->quant.floor &&
           a->quant.probe == b->quant.probe && a->quant.sample == b->quant.sample && a->quant.rate == b->quant.rate &&
           a->quant.nmse == b->quant.nmse && a->quant.max_error == b->quant.max_error &&
           a->quant.rounding == b->quant.rounding && a->quant.entropy == b->quant.entropy &&
           a->quant.grid == b->quant.grid && a->quant.rotate == b->quant.rotate &&
           a->quant.min_given == b->quant.min_given && a->quant.max_given == b->quant.max_given &&
           a->quant.min == b->quant.min && a->quant.max == b->quant.max && a->factor.rank == b->factor.rank &&
           same_value(&a->factor.value, &b->factor.value) && a->sensing.ratio == b->sensing.ratio &&
           a->sensing.bits == b->sensing.bits && a->sensing.scale == b->sensing.scale &&
           a->sensing.keep == b->sensing.keep && same_value(&a->circulant.value, &b->circulant.value);
}

/* Whatever dtc_spec_format takes is read back as the same spec. */
static void check_format(const dtc_spec *spec) {
    char text[TEXT_BYTES];
    const char *error_at = NULL;
    dtc_spec back;
    size_t length;
    if (dtc_spec_format(spec, text, sizeof text) != DTC_OK) return;
    REQUIRE(dtc_spec_parse(text, &back, &error_at) == DTC_OK);
    REQUIRE(same(spec, &back));
    length = strlen(text);
    REQUIRE(dtc_spec_format(spec, text, length + 1) == DTC_OK && strlen(text) == length);
    REQUIRE(dtc_spec_format(spec, text, length) == DTC_ERROR_CAPACITY && text[0] == 0);
}

/* Fields from bytes, each in or near its range; the fields of other codecs stay zero, as text cannot name them. */
static void check_fields(struct fuzz_input input) {
    dtc_spec spec;
    unsigned set = fuzz_byte(&input);
    memset(&spec, 0, sizeof spec);
    spec.codec = (dtc_codec)(fuzz_byte(&input) % 6);
    fuzz_take(&input, &spec.seed, sizeof spec.seed);
    if (set & 1) spec.rows = (size_t)fuzz_byte(&input) << (fuzz_byte(&input) % 32);
    if (set & 2) spec.block = (size_t)fuzz_byte(&input) << (fuzz_byte(&input) % 32);
    if (set & 4) spec.workers = fuzz_byte(&input) << (fuzz_byte(&input) % 12);
    spec.no_checksum = set >> 3 & 1;
    if (spec.codec == DTC_RAW) {
        spec.raw.type = (dtc_type)(fuzz_byte(&input) % 4);
    } else if (spec.codec == DTC_TERNARY) {
        spec.ternary.clip = fuzz_float(&input);
        spec.ternary.scale = fuzz_float(&input);
        spec.ternary.pack = (dtc_pack)(fuzz_byte(&input) % 2);
    } else if (spec.codec == DTC_SENSING) {
        spec.sensing.ratio = fuzz_float(&input);
        spec.sensing.bits = (int)(fuzz_byte(&input) % 34);
        spec.sensing.scale = fuzz_float(&input);
        spec.sensing.keep = fuzz_float(&input);
    } else if (spec.codec != DTC_QUANT) {
        dtc_value *value = spec.codec == DTC_FACTOR ? &spec.factor.value : &spec.circulant.value;
        if (spec.codec == DTC_FACTOR) spec.factor.rank = (int)fuzz_byte(&input) << (fuzz_byte(&input) % 10);
        value->type = (dtc_type)(fuzz_byte(&input) % 4);
        value->bits = (int)(fuzz_byte(&input) % 18);
    } else {
        spec.quant.bits = (int)(fuzz_byte(&input) % 20) - 2;
        spec.quant.floor = (int)(fuzz_byte(&input) % 14);
        spec.quant.probe = (int)(fuzz_byte(&input) % 10);
        if (set & 16) spec.quant.sample = fuzz_float(&input);
        if (set & 32) spec.quant.rate = fuzz_float(&input);
        if (set & 64) spec.quant.max_error = fuzz_float(&input);
        if (set & 128) spec.quant.nmse = fuzz_float(&input);
        spec.quant.rounding = (dtc_rounding)(fuzz_byte(&input) % 4);
        spec.quant.entropy = (dtc_entropy)(fuzz_byte(&input) % 2);
        spec.quant.grid = (dtc_grid)(fuzz_byte(&input) % 2);
        spec.quant.rotate = (int)(fuzz_byte(&input) % 2);
        spec.quant.min_given = (int)(fuzz_byte(&input) % 2);
        spec.quant.max_given = (int)(fuzz_byte(&input) % 2);
        if (spec.quant.min_given) spec.quant.min = fuzz_float(&input);
        if (spec.quant.max_given) spec.quant.max = fuzz_float(&input);
    }
    check_format(&spec);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct fuzz_memory memory;
    struct fuzz_input input;
    const char *error_at = NULL;
    dtc_spec spec, unread;
    dtc_status status;
    char *text = (char *)fuzz_lend(&memory, size + 1);
    if (size) memcpy(text, data, size);
    text[size] = 0;
    memset(&unread, 0, sizeof unread);
    unread.codec = (dtc_codec)7; /* which no encoder takes */
    status = dtc_spec_parse(text, &spec, &error_at);
    REQUIRE(error_at >= text && error_at <= text + strlen(text));
    if (status == DTC_OK) {
        char formatted[TEXT_BYTES];
        REQUIRE(dtc_spec_format(&spec, formatted, sizeof formatted) == DTC_OK);
        check_format(&spec);
    } else {
        REQUIRE(same(&spec, &unread));
        REQUIRE(status == DTC_ERROR_SPEC_CODEC || status == DTC_ERROR_SPEC_KEY || status == DTC_ERROR_SPEC_VALUE);
    }
    input.data = data;
    input.size = size;
    check_fields(input);
    return 0;
}
