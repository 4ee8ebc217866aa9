/* Specs as text and as structs: every key, every error in its place, and back again. */
#include "helpers.h"

#include <locale.h>

static int specs_equal(const dtc_spec *a, const dtc_spec *b) {
    return a->codec == b->codec && a->seed == b->seed && a->rows == b->rows && a->block == b->block &&
           a->workers == b->workers && a->no_checksum == b->no_checksum && a->raw.type == b->raw.type &&
           float_bits(a->ternary.clip) == float_bits(b->ternary.clip) &&
           float_bits(a->ternary.scale) == float_bits(b->ternary.scale) && a->ternary.pack == b->ternary.pack &&
           a->quant.bits == b->quant.bits && a->quant.floor == b->quant.floor && a->quant.probe == b->quant.probe &&
           float_bits(a->quant.sample) == float_bits(b->quant.sample) &&
           float_bits(a->quant.rate) == float_bits(b->quant.rate) &&
           float_bits(a->quant.max_error) == float_bits(b->quant.max_error) && a->quant.rounding == b->quant.rounding &&
           a->quant.entropy == b->quant.entropy && a->quant.grid == b->quant.grid &&
           a->quant.rotate == b->quant.rotate && a->quant.biased == b->quant.biased &&
           a->quant.min_given == b->quant.min_given && a->quant.max_given == b->quant.max_given &&
           float_bits(a->quant.min) == float_bits(b->quant.min) &&
           float_bits(a->quant.max) == float_bits(b->quant.max) && a->factor.rank == b->factor.rank &&
           a->factor.value.type == b->factor.value.type && a->factor.value.bits == b->factor.value.bits &&
           float_bits(a->sensing.ratio) == float_bits(b->sensing.ratio) && a->sensing.bits == b->sensing.bits &&
           float_bits(a->sensing.scale) == float_bits(b->sensing.scale) &&
           float_bits(a->sensing.keep) == float_bits(b->sensing.keep) &&
           a->circulant.value.type == b->circulant.value.type && a->circulant.value.bits == b->circulant.value.bits;
}

static dtc_spec zero_spec(dtc_codec codec) {
    dtc_spec spec;
    memset(&spec, 0, sizeof spec);
    spec.codec = codec;
    return spec;
}

/* One field, by text and by struct. */
#define CHECK_KEY(text, of_codec, field, value)                        \
    do {                                                               \
        dtc_spec parsed = spec_of(text), wanted = zero_spec(of_codec); \
        wanted.field = value;                                          \
        CHECK(specs_equal(&parsed, &wanted), "%s", text);              \
    } while (0)

static void test_keys(void **state) {
    dtc_spec spec, expected;
    (void)state;
    CHECK_KEY("raw", DTC_RAW, seed, 0);
    CHECK_KEY("raw:type=fp32", DTC_RAW, raw.type, DTC_TYPE_FP32);
    CHECK_KEY("raw:type=bf16", DTC_RAW, raw.type, DTC_TYPE_BF16);
    CHECK_KEY("raw:type=fp16", DTC_RAW, raw.type, DTC_TYPE_FP16);
    CHECK_KEY("ternary", DTC_TERNARY, seed, 0);
    CHECK_KEY("ternary:clip=2.5", DTC_TERNARY, ternary.clip, 2.5f);
    CHECK_KEY("ternary:scale=auto", DTC_TERNARY, seed, 0);
    CHECK_KEY("ternary:scale=1e-3", DTC_TERNARY, ternary.scale, 1e-3f);
    CHECK_KEY("ternary:pack=huffman", DTC_TERNARY, ternary.pack, DTC_PACK_HUFFMAN);
    CHECK_KEY("factor:rank=8", DTC_FACTOR, factor.rank, 8);
    CHECK_KEY("factor:value=bf16", DTC_FACTOR, factor.value.type, DTC_TYPE_BF16);
    CHECK_KEY("factor:value=6", DTC_FACTOR, factor.value.bits, 6);
    CHECK_KEY("sensing:ratio=0.5", DTC_SENSING, sensing.ratio, 0.5f);
    CHECK_KEY("sensing:bits=32", DTC_SENSING, sensing.bits, 32);
    CHECK_KEY("sensing:scale=2", DTC_SENSING, sensing.scale, 2.0f);
    CHECK_KEY("sensing:keep=0.005", DTC_SENSING, sensing.keep, 0.005f);
    CHECK_KEY("sensing:keep=1", DTC_SENSING, sensing.keep, 1.0f);
    CHECK_KEY("circulant:value=fp16", DTC_CIRCULANT, circulant.value.type, DTC_TYPE_FP16);
    CHECK_KEY("circulant:value=16", DTC_CIRCULANT, circulant.value.bits, 16);
    CHECK_KEY("ternary:pack=base3", DTC_TERNARY, ternary.pack, DTC_PACK_BASE3);
    CHECK_KEY("quant", DTC_QUANT, seed, 0);
    CHECK_KEY("quant:bits=auto", DTC_QUANT, quant.bits, DTC_BITS_AUTO);
    CHECK_KEY("quant:nmse=0.25", DTC_QUANT, quant.nmse, 0.25f);
    CHECK_KEY("quant:bits=1", DTC_QUANT, quant.bits, 1);
    CHECK_KEY("quant:bits=16", DTC_QUANT, quant.bits, 16);
    CHECK_KEY("quant:floor=12", DTC_QUANT, quant.floor, 12);
    CHECK_KEY("quant:probe=8", DTC_QUANT, quant.probe, 8);
    CHECK_KEY("quant:sample=1", DTC_QUANT, quant.sample, 1.0f);
    CHECK_KEY("quant:sample=0.03", DTC_QUANT, quant.sample, 0.03f);
    CHECK_KEY("quant:rate=0.05", DTC_QUANT, quant.rate, 0.05f);
    CHECK_KEY("quant:rate=32", DTC_QUANT, quant.rate, 32.0f);
    CHECK_KEY("quant:max-error=1E-6", DTC_QUANT, quant.max_error, 1e-6f);
    CHECK_KEY("quant:rounding=nearest", DTC_QUANT, quant.rounding, DTC_ROUNDING_NEAREST);
    CHECK_KEY("quant:rounding=stochastic", DTC_QUANT, quant.rounding, DTC_ROUNDING_STOCHASTIC);
    CHECK_KEY("quant:rounding=rd", DTC_QUANT, quant.rounding, DTC_ROUNDING_RD);
    CHECK_KEY("quant:rounding=auto", DTC_QUANT, quant.rounding, DTC_ROUNDING_AUTO);
    CHECK_KEY("quant:entropy=huffman", DTC_QUANT, quant.entropy, DTC_ENTROPY_HUFFMAN);
    CHECK_KEY("quant:entropy=none", DTC_QUANT, quant.entropy, DTC_ENTROPY_NONE);
    CHECK_KEY("quant:grid=zero", DTC_QUANT, quant.grid, DTC_GRID_ZERO);
    CHECK_KEY("quant:grid=even", DTC_QUANT, quant.grid, DTC_GRID_EVEN);
    CHECK_KEY("quant:rotate=0", DTC_QUANT, quant.rotate, 0);
    CHECK_KEY("quant:rotate=1", DTC_QUANT, quant.rotate, 1);
    CHECK_KEY("quant:unbiased=1", DTC_QUANT, quant.biased, 0);
    CHECK_KEY("quant:unbiased=0", DTC_QUANT, quant.biased, 1);
    CHECK_KEY("quant:min=auto,max=auto", DTC_QUANT, seed, 0);
    CHECK_KEY("raw:seed=18446744073709551615", DTC_RAW, seed, 18446744073709551615u);
    CHECK_KEY("raw:rows=1073741568", DTC_RAW, rows, 1073741568);
    CHECK_KEY("raw:block=1073741568", DTC_RAW, block, 1073741568);
    CHECK_KEY("raw:block=0", DTC_RAW, block, 0);
    CHECK_KEY("raw:workers=65535", DTC_RAW, workers, 65535);
    CHECK_KEY("raw:checksum=0", DTC_RAW, no_checksum, 1);
    CHECK_KEY("raw:checksum=1", DTC_RAW, no_checksum, 0);

    expected = zero_spec(DTC_QUANT);
    expected.quant.min_given = 1; /* 0 is a bound like any other */
    expected.quant.max_given = 1;
    expected.quant.max = 3.40282347e38f;
    expected.seed = 7;
    spec = spec_of("quant:max=3.40282347e+38,seed=7,min=0");
    assert_true(specs_equal(&spec, &expected));
}

/* Where an error is found; the caret stands under the offending byte. */
static void test_errors(void **state) {
    static const struct {
        const char *text, *caret;
        dtc_status status;
    } cases[] = {
        {"", "^", DTC_ERROR_SPEC_CODEC},
        {"zip", "^", DTC_ERROR_SPEC_CODEC},
        {"Raw", "^", DTC_ERROR_SPEC_CODEC},
        {" raw", "^", DTC_ERROR_SPEC_CODEC},
        {"raw ", "^", DTC_ERROR_SPEC_CODEC},
        {"rawr", "^", DTC_ERROR_SPEC_CODEC},
        {"quan", "^", DTC_ERROR_SPEC_CODEC},
        {":bits=4", "^", DTC_ERROR_SPEC_CODEC},
        {"quant,bits=4", "^", DTC_ERROR_SPEC_CODEC},
        {"raw:", "    ^", DTC_ERROR_SPEC_KEY},
        {"raw:typo=fp32", "    ^", DTC_ERROR_SPEC_KEY},
        {"raw:bits=4", "    ^", DTC_ERROR_SPEC_KEY},
        {"raw: type=fp32", "    ^", DTC_ERROR_SPEC_KEY},
        {"raw:typ=fp32", "    ^", DTC_ERROR_SPEC_KEY},
        {"raw:=fp32", "    ^", DTC_ERROR_SPEC_KEY},
        {"ternary:clip=2,bits=4", "               ^", DTC_ERROR_SPEC_KEY},
        {"quant:bits=4,", "             ^", DTC_ERROR_SPEC_KEY},
        {"quant:bits=4,,seed=1", "             ^", DTC_ERROR_SPEC_KEY},
        {"quant:bits=4,bits=4", "             ^", DTC_ERROR_SPEC_KEY},
        {"quant:seed=0,bits=4,seed=0", "                    ^", DTC_ERROR_SPEC_KEY},
        {"quant:bits=4,rate=2", "             ^", DTC_ERROR_SPEC_KEY},
        {"quant:max-error=1,bits=4", "                  ^", DTC_ERROR_SPEC_KEY},
        {"quant:rate=3,max-error=1", "             ^", DTC_ERROR_SPEC_KEY},
        {"quant:bits=auto,nmse=0.1", "                ^", DTC_ERROR_SPEC_KEY},
        {"raw:type", "        ^", DTC_ERROR_SPEC_VALUE},
        {"raw:type=", "         ^", DTC_ERROR_SPEC_VALUE},
        {"raw:type=fp64", "         ^", DTC_ERROR_SPEC_VALUE},
        {"raw:type=fp32|bf16", "         ^", DTC_ERROR_SPEC_VALUE},
        {"raw:type=fp", "         ^", DTC_ERROR_SPEC_VALUE},
        {"raw:type=fp16:seed=1", "         ^", DTC_ERROR_SPEC_VALUE},
        {"raw:seed=1,checksum=2", "                    ^", DTC_ERROR_SPEC_VALUE},
        {"raw:checksum=00", "             ^", DTC_ERROR_SPEC_VALUE},
        {"raw:seed=-1", "         ^", DTC_ERROR_SPEC_VALUE},
        {"raw:seed=+1", "         ^", DTC_ERROR_SPEC_VALUE},
        {"raw:seed=1.5", "         ^", DTC_ERROR_SPEC_VALUE},
        {"raw:seed=0x1f", "         ^", DTC_ERROR_SPEC_VALUE},
        {"raw:seed=18446744073709551616", "         ^", DTC_ERROR_SPEC_VALUE},
        {"raw:seed=99999999999999999999999999", "         ^", DTC_ERROR_SPEC_VALUE},
        {"raw:rows=0", "         ^", DTC_ERROR_SPEC_VALUE},
        {"raw:rows=1073741569", "         ^", DTC_ERROR_SPEC_VALUE},
        {"raw:block=1073741569", "          ^", DTC_ERROR_SPEC_VALUE},
        {"raw:block=18446744073709551615", "          ^", DTC_ERROR_SPEC_VALUE},
        {"raw:workers=0", "            ^", DTC_ERROR_SPEC_VALUE},
        {"raw:workers=65536", "            ^", DTC_ERROR_SPEC_VALUE},
        {"raw:workers=4294967297", "            ^", DTC_ERROR_SPEC_VALUE},
        {"ternary:clip=0", "             ^", DTC_ERROR_SPEC_VALUE},
        {"ternary:clip=-1", "             ^", DTC_ERROR_SPEC_VALUE},
        {"ternary:clip=auto", "             ^", DTC_ERROR_SPEC_VALUE},
        {"ternary:clip=2,5", "               ^", DTC_ERROR_SPEC_KEY}, /* no decimal commas, in any locale */
        {"ternary:clip=nan", "             ^", DTC_ERROR_SPEC_VALUE},
        {"ternary:clip=inf", "             ^", DTC_ERROR_SPEC_VALUE},
        {"ternary:scale=1e39", "              ^", DTC_ERROR_SPEC_VALUE},
        {"ternary:scale=3.4028236e38", "              ^", DTC_ERROR_SPEC_VALUE}, /* rounds to infinity */
        {"ternary:scale=1e999", "              ^", DTC_ERROR_SPEC_VALUE},
        {"ternary:scale=1e99999999999999999999", "              ^", DTC_ERROR_SPEC_VALUE},
        {"ternary:scale=1e-60", "              ^", DTC_ERROR_SPEC_VALUE}, /* would be 0, which is auto */
        {"ternary:scale=1e", "              ^", DTC_ERROR_SPEC_VALUE},
        {"ternary:scale=1e+", "              ^", DTC_ERROR_SPEC_VALUE},
        {"ternary:scale=1e5e5", "              ^", DTC_ERROR_SPEC_VALUE},
        {"ternary:scale=1.2.3", "              ^", DTC_ERROR_SPEC_VALUE},
        {"ternary:scale=.", "              ^", DTC_ERROR_SPEC_VALUE},
        {"ternary:scale=-", "              ^", DTC_ERROR_SPEC_VALUE},
        {"ternary:scale=1 ", "              ^", DTC_ERROR_SPEC_VALUE},
        {"factor:rank=0", "            ^", DTC_ERROR_SPEC_VALUE},
        {"factor:rank=65536", "            ^", DTC_ERROR_SPEC_VALUE},
        {"factor:value=fp8", "             ^", DTC_ERROR_SPEC_VALUE},
        {"factor:value=0", "             ^", DTC_ERROR_SPEC_VALUE},
        {"factor:value=17", "             ^", DTC_ERROR_SPEC_VALUE},
        {"sensing:ratio=0", "              ^", DTC_ERROR_SPEC_VALUE},
        {"sensing:ratio=1.5", "              ^", DTC_ERROR_SPEC_VALUE},
        {"sensing:keep=0", "             ^", DTC_ERROR_SPEC_VALUE},
        {"sensing:keep=1.001", "             ^", DTC_ERROR_SPEC_VALUE},
        {"sensing:keep=-0.5", "             ^", DTC_ERROR_SPEC_VALUE},
        {"sensing:keep=auto", "             ^", DTC_ERROR_SPEC_VALUE},
        {"sensing:keep=nan", "             ^", DTC_ERROR_SPEC_VALUE},
        {"sensing:keep=0.5,keep=0.5", "                 ^", DTC_ERROR_SPEC_KEY},
        {"quant:keep=0.5", "      ^", DTC_ERROR_SPEC_KEY},
        {"sensing:bits=17", "             ^", DTC_ERROR_SPEC_VALUE},
        {"sensing:bits=33", "             ^", DTC_ERROR_SPEC_VALUE},
        {"sensing:block=100", "              ^", DTC_ERROR_SPEC_VALUE},
        {"sensing:block=128", "              ^", DTC_ERROR_SPEC_VALUE},
        {"sensing:block=131072", "              ^", DTC_ERROR_SPEC_VALUE},
        {"sensing:bits=12,workers=4097", "                        ^", DTC_ERROR_SPEC_VALUE},
        {"circulant:rank=3", "          ^", DTC_ERROR_SPEC_KEY},
        {"circulant:value=auto", "                ^", DTC_ERROR_SPEC_VALUE},
        {"ternary:pack=base4", "             ^", DTC_ERROR_SPEC_VALUE},
        {"quant:bits=0", "           ^", DTC_ERROR_SPEC_VALUE},
        {"quant:bits=17", "           ^", DTC_ERROR_SPEC_VALUE},
        {"quant:bits=4294967300", "           ^", DTC_ERROR_SPEC_VALUE},
        {"quant:floor=0", "            ^", DTC_ERROR_SPEC_VALUE},
        {"quant:floor=13", "            ^", DTC_ERROR_SPEC_VALUE},
        {"quant:probe=9", "            ^", DTC_ERROR_SPEC_VALUE},
        {"quant:sample=1.01", "             ^", DTC_ERROR_SPEC_VALUE},
        {"quant:sample=0", "             ^", DTC_ERROR_SPEC_VALUE},
        {"quant:rate=0.0019", "           ^", DTC_ERROR_SPEC_VALUE},
        {"quant:rate=32.1", "           ^", DTC_ERROR_SPEC_VALUE},
        {"quant:rate=auto", "           ^", DTC_ERROR_SPEC_VALUE},
        {"quant:max-error=0", "                ^", DTC_ERROR_SPEC_VALUE},
        {"quant:nmse=0", "           ^", DTC_ERROR_SPEC_VALUE},
        {"quant:nmse=0.91", "           ^", DTC_ERROR_SPEC_VALUE},
        {"quant:nmse=1e-11", "           ^", DTC_ERROR_SPEC_VALUE},
        {"quant:nmse=0.1,max=1", "                   ^", DTC_ERROR_SPEC_VALUE},
        {"quant:max-error=-1", "                ^", DTC_ERROR_SPEC_VALUE},
        {"quant:rotate=1,bits=15", "                    ^", DTC_ERROR_SPEC_VALUE},
        {"quant:rotate=1,bits=8,workers=65", "                              ^", DTC_ERROR_SPEC_VALUE},
        {"quant:rotate=1,max-error=1", "                         ^", DTC_ERROR_SPEC_VALUE},
        {"quant:rotate=1,min=-1", "                   ^", DTC_ERROR_SPEC_VALUE},
        {"quant:rotate=1,min=-1,max=2", "                          ^", DTC_ERROR_SPEC_VALUE},
        {"quant:rounding=rd,workers=2", "                          ^", DTC_ERROR_SPEC_VALUE},
        {"quant:rounding=rd,rotate=1", "                         ^", DTC_ERROR_SPEC_VALUE},
        {"quant:rotate=2", "             ^", DTC_ERROR_SPEC_VALUE},
        {"quant:min=-1e39", "          ^", DTC_ERROR_SPEC_VALUE},
        {"quant:min=2,max=1", "                ^", DTC_ERROR_SPEC_VALUE},
        {"quant:max=-1,min=1", "                 ^", DTC_ERROR_SPEC_VALUE},
        {"quant:rate=2,entropy=none", "                     ^", DTC_ERROR_SPEC_VALUE},
        {"quant:bits=16,workers=257", "                      ^", DTC_ERROR_SPEC_VALUE},
    };
    size_t i;
    (void)state;
    for (i = 0; i < LENGTH(cases); i++) {
        const char *at = NULL;
        dtc_spec spec, unread = zero_spec((dtc_codec)7); /* which no encoder takes */
        dtc_status status;
        memset(&spec, 0x55, sizeof spec);
        status = dtc_spec_parse(cases[i].text, &spec, &at);
        CHECK(status == cases[i].status, "\"%s\": %s", cases[i].text, dtc_status_string(status));
        CHECK(at == cases[i].text + strlen(cases[i].caret) - 1, "\"%s\" at \"%s\"", cases[i].text, at);
        CHECK(specs_equal(&spec, &unread), "\"%s\"", cases[i].text);
        assert_int_equal(dtc_spec_parse(cases[i].text, &spec, NULL), cases[i].status);
    }
}

static void test_arguments(void **state) {
    const char *text = "raw", *at = NULL;
    dtc_spec spec;
    char room[16];
    (void)state;
    assert_int_equal(dtc_spec_parse(NULL, &spec, &at), DTC_ERROR_ARGUMENT);
    assert_int_equal(dtc_spec_parse(text, NULL, &at), DTC_ERROR_ARGUMENT);
    assert_int_equal(dtc_spec_parse(text, &spec, &at), DTC_OK);
    assert_ptr_equal(at, text + 3);
    assert_int_equal(dtc_spec_format(NULL, room, sizeof room), DTC_ERROR_ARGUMENT);
    assert_int_equal(dtc_spec_format(&spec, NULL, sizeof room), DTC_ERROR_ARGUMENT);
    assert_int_equal(dtc_spec_format(&spec, NULL, 0), DTC_ERROR_CAPACITY);
}

static void test_format(void **state) {
    static const struct {
        const char *given, *written;
    } cases[] = {
        {"raw", "raw"},
        {"raw:type=fp32,checksum=1,block=0,seed=0", "raw"},
        {"ternary:scale=auto,pack=huffman", "ternary"},
        {"quant:bits=auto,min=auto,rotate=0,grid=zero", "quant:bits=auto"},
        {"quant:rotate=0,nmse=0.010", "quant:nmse=0.01"},
        {"quant:seed=3,bits=4", "quant:bits=4,seed=3"},
        {"factor:rank=3,value=fp32", "factor:rank=3"},
        {"factor:value=fp16,rows=10", "factor:value=fp16,rows=10"},
        {"sensing:bits=8,ratio=0.5,scale=auto", "sensing:ratio=0.5,bits=8"},
        {"sensing:keep=0.03,scale=2,seed=4,ratio=0.19", "sensing:ratio=0.19,scale=2,keep=0.03,seed=4"},
        {"sensing:keep=1.0", "sensing:keep=1"},
        {"circulant:block=64,value=12", "circulant:value=12,block=64"},
        {"ternary:clip=2.50", "ternary:clip=2.5"},
        {"ternary:clip=0.1", "ternary:clip=0.1"},
        {"ternary:clip=100", "ternary:clip=100"},
        {"quant:max-error=0.000001", "quant:max-error=0.000001"},
        {"quant:min=-0.5,max=0", "quant:min=-0.5,max=0"},
        {"raw:rows=7,seed=18446744073709551615,block=9,workers=65535,checksum=0,type=bf16",
         "raw:type=bf16,rows=7,seed=18446744073709551615,block=9,workers=65535,checksum=0"},
    };
    char text[256];
    size_t i;
    (void)state;
    for (i = 0; i < LENGTH(cases); i++) {
        dtc_spec spec = spec_of(cases[i].given);
        assert_int_equal(dtc_spec_format(&spec, text, sizeof text), DTC_OK);
        assert_string_equal(text, cases[i].written);
    }
}

/* Flags are any number but 0. */
static void test_flags(void **state) {
    static const int set[] = {1, 2, -1, 1 << 30};
    size_t i;
    (void)state;
    for (i = 0; i < LENGTH(set); i++) {
        dtc_spec spec;
        char text[256];
        assert_int_equal(dtc_spec_parse("quant:bits=4", &spec, NULL), DTC_OK);
        spec.quant.rotate = spec.no_checksum = set[i];
        assert_int_equal(dtc_spec_format(&spec, text, sizeof text), DTC_OK);
        assert_string_equal(text, "quant:bits=4,rotate=1,checksum=0");
    }
}

/* Fields that text cannot give are refused as well. */
static void test_ranges(void **state) {
    dtc_spec bad[40];
    size_t n = 0, i;
    char text[256];
    (void)state;
#define BAD(of_codec, field, value)   \
    do {                              \
        assert_true(n < LENGTH(bad)); \
        bad[n] = zero_spec(of_codec); \
        bad[n++].field = value;       \
    } while (0)
    BAD(DTC_RAW, raw.type, (dtc_type)3);
    BAD(DTC_RAW, raw.type, (dtc_type)-1);
    BAD(DTC_RAW, workers, 65536);
    BAD(DTC_RAW, rows, (size_t)1 << 30);
    BAD(DTC_TERNARY, ternary.clip, -1.0f);
    BAD(DTC_TERNARY, ternary.clip, NAN);
    BAD(DTC_TERNARY, ternary.clip, INFINITY);
    BAD(DTC_TERNARY, ternary.scale, -1.0f);
    BAD(DTC_TERNARY, ternary.scale, NAN);
    BAD(DTC_TERNARY, ternary.pack, (dtc_pack)2);
    BAD(DTC_QUANT, quant.bits, 17);
    BAD(DTC_QUANT, quant.bits, -2);
    BAD(DTC_QUANT, quant.nmse, -0.1f);
    BAD(DTC_QUANT, quant.nmse, 0.95f);
    BAD(DTC_QUANT, quant.nmse, 1e-11f);
    BAD(DTC_QUANT, quant.nmse, NAN);
    BAD(DTC_QUANT, quant.floor, 13);
    BAD(DTC_QUANT, quant.floor, -1);
    BAD(DTC_QUANT, quant.probe, 9);
    BAD(DTC_QUANT, quant.sample, 1.5f);
    BAD(DTC_QUANT, quant.sample, NAN);
    BAD(DTC_QUANT, quant.rate, 0.0015f);
    BAD(DTC_QUANT, quant.rate, 33.0f);
    BAD(DTC_QUANT, quant.max_error, -1.0f);
    BAD(DTC_QUANT, quant.max_error, INFINITY);
    BAD(DTC_QUANT, quant.rounding, (dtc_rounding)4);
    BAD(DTC_QUANT, quant.entropy, (dtc_entropy)2);
    BAD(DTC_QUANT, quant.grid, (dtc_grid)2);
    BAD(DTC_QUANT, quant.min, NAN);
    BAD(DTC_SENSING, sensing.ratio, 1.5f);
    BAD(DTC_SENSING, sensing.ratio, NAN);
    BAD(DTC_SENSING, sensing.keep, 1.5f);
    BAD(DTC_SENSING, sensing.keep, -0.5f);
    BAD(DTC_SENSING, sensing.keep, NAN);
    BAD(DTC_SENSING, sensing.keep, INFINITY);
    BAD(DTC_QUANT, workers, 257); /* of 16 bits, which auto may come to: their sum takes more than 24 bits */
#undef BAD
    for (i = 0; i < n; i++) {
        unsigned char to[64];
        size_t bytes = 9;
        float value = 1;
        CHECK(dtc_encode_bound(&bad[i], 1) == 0, "field %zu", i);
        CHECK(dtc_encode(&bad[i], to, sizeof to, &bytes, &value, 1, NULL, 0) == DTC_ERROR_SPEC, "field %zu", i);
        assert_int_equal(bytes, 0);
        CHECK(dtc_spec_format(&bad[i], text, sizeof text) == DTC_ERROR_SPEC && text[0] == 0, "field %zu", i);
    }
}

/* Any float that is not 0, from the least to the largest. */
static float any_float(uint64_t *seed, uint32_t largest) {
    switch (noise_u64(seed) % 8) {
    case 0:
        return float_from_bits(largest);
    case 1:
        return float_from_bits(1);
    default:
        return float_from_bits((uint32_t)(noise_u64(seed) % largest) + 1);
    }
}

static dtc_spec any_spec(uint64_t *seed) {
    dtc_spec spec = zero_spec((dtc_codec)(noise_u64(seed) % 3));
#define SOMETIMES(field, value)                      \
    do {                                             \
        if (noise_u64(seed) % 2) spec.field = value; \
    } while (0)
    SOMETIMES(seed, noise_u64(seed) >> noise_u64(seed) % 64);
    SOMETIMES(rows, (size_t)(1 + noise_u64(seed) % 1000000));
    SOMETIMES(block, (size_t)(1 + noise_u64(seed) % 1000000));
    SOMETIMES(workers, (uint32_t)(1 + noise_u64(seed) % 256));
    SOMETIMES(no_checksum, 1);
    if (spec.codec == DTC_RAW) SOMETIMES(raw.type, (dtc_type)(noise_u64(seed) % 3));
    if (spec.codec == DTC_TERNARY) {
        SOMETIMES(ternary.clip, any_float(seed, float_bits(1e30f)));
        SOMETIMES(ternary.scale, any_float(seed, float_bits(FLT_MAX)));
        SOMETIMES(ternary.pack, DTC_PACK_BASE3);
    }
    if (spec.codec == DTC_QUANT) {
        uint64_t fineness = noise_u64(seed) % 4;
        if (fineness == 1) spec.quant.bits = (int)(1 + noise_u64(seed) % 16);
        if (fineness == 2) spec.quant.rate = (float)(0.05 + noise_uniform(seed) * 31.9);
        if (fineness == 3) spec.quant.max_error = any_float(seed, float_bits(FLT_MAX));
        SOMETIMES(quant.floor, (int)(1 + noise_u64(seed) % 12));
        SOMETIMES(quant.probe, (int)(1 + noise_u64(seed) % 8));
        SOMETIMES(quant.sample, any_float(seed, float_bits(1)));
        SOMETIMES(quant.rounding, DTC_ROUNDING_STOCHASTIC);
        if (fineness != 2) SOMETIMES(quant.entropy, DTC_ENTROPY_NONE);
        SOMETIMES(quant.grid, DTC_GRID_EVEN);
        if (fineness != 3) {
            SOMETIMES(quant.min_given, 1);
            SOMETIMES(quant.max_given, 1);
            if (spec.quant.min_given) spec.quant.min = -any_float(seed, float_bits(FLT_MAX));
            if (spec.quant.max_given) spec.quant.max = any_float(seed, float_bits(FLT_MAX));
            if (spec.quant.bits < 7 && spec.quant.min_given == spec.quant.max_given) SOMETIMES(quant.rotate, 1);
            SOMETIMES(quant.biased, 1);
            if (spec.quant.rotate && spec.quant.min_given) spec.quant.min = -spec.quant.max;
        }
    }
#undef SOMETIMES
    return spec;
}

static void test_there_and_back(void **state) {
    uint64_t seed = 1;
    int i;
    (void)state;
    for (i = 0; i < 100000; i++) {
        dtc_spec spec = any_spec(&seed), back;
        char text[256], again[256];
        const char *at;
        assert_int_equal(dtc_spec_format(&spec, text, sizeof text), DTC_OK);
        CHECK(dtc_spec_parse(text, &back, &at) == DTC_OK, "%s at %s", text, at);
        CHECK(specs_equal(&spec, &back), "%s", text);
        assert_int_equal(dtc_spec_format(&back, again, sizeof again), DTC_OK);
        assert_string_equal(text, again);
    }
}

static void test_capacity(void **state) {
    uint64_t seed = 2;
    int i;
    (void)state;
    for (i = 0; i < 30; i++) {
        dtc_spec spec = any_spec(&seed);
        char text[256];
        size_t capacity;
        assert_int_equal(dtc_spec_format(&spec, text, sizeof text), DTC_OK);
        for (capacity = 0; capacity < sizeof text; capacity++) {
            guarded room = guarded_new(capacity, 0);
            dtc_status status = dtc_spec_format(&spec, (char *)room.p, capacity);
            assert_true(guarded_intact(&room, capacity));
            if (capacity > strlen(text)) {
                assert_int_equal(status, DTC_OK);
                assert_string_equal((char *)room.p, text);
            } else {
                assert_int_equal(status, DTC_ERROR_CAPACITY);
                if (capacity) assert_int_equal(room.p[0], 0);
            }
            guarded_free(&room);
        }
    }
}

/* Nothing is longer than the longest of each key; that is below 256 bytes. */
static void test_longest(void **state) {
    dtc_spec spec = spec_of("quant:floor=12,probe=8,sample=1.17549435e-38,max-error=1.17549435e-38,"
                            "rounding=stochastic,entropy=none,grid=even,rows=1073741568,"
                            "seed=18446744073709551615,block=1073741568,workers=256,checksum=0");
    char text[256];
    (void)state;
    assert_int_equal(dtc_spec_format(&spec, text, sizeof text), DTC_OK);
    spec.quant.max_error = 0;
    spec.quant.bits = 16;
    spec.quant.min_given = spec.quant.max_given = 1;
    spec.quant.min = -1.17549435e-38f;
    spec.quant.max = 1.17549435e-38f;
    assert_int_equal(dtc_spec_format(&spec, text, sizeof text), DTC_OK);
    spec.quant.bits = 14;
    spec.quant.rotate = 1;
    spec.workers = 1;
    assert_int_equal(dtc_spec_format(&spec, text, sizeof text), DTC_OK);
}

/* Damaged text never reads past its end or gives a spec that cannot be written. */
static void test_damaged(void **state) {
    uint64_t seed = 3;
    int i;
    (void)state;
    for (i = 0; i < 50000; i++) {
        dtc_spec spec = any_spec(&seed);
        char text[256], *exact;
        const char *at = NULL;
        size_t length;
        assert_int_equal(dtc_spec_format(&spec, text, sizeof text), DTC_OK);
        length = strlen(text);
        text[noise_u64(&seed) % length] = (char)(noise_u64(&seed) % 96 + 32);
        text[noise_u64(&seed) % length] = ",:=.-e0a"[noise_u64(&seed) % 8];
        exact = (char *)memory(length + 1);
        memcpy(exact, text, length + 1);
        if (dtc_spec_parse(exact, &spec, &at) == DTC_OK)
            assert_int_equal(dtc_spec_format(&spec, text, sizeof text), DTC_OK);
        assert_true(at >= exact && at <= exact + length);
        free(exact);
    }
}

/* Numbers have decimal points where the C library's have commas. Few machines have such a locale: one is made. */
static void test_locale(void **state) {
    char text[256];
    dtc_spec spec;
    int made;
    (void)state;
    made = system("mkdir -p build/locale && cd build/locale && printf 'LC_NUMERIC\\ndecimal_point \",\"\\n"
                  "thousands_sep \"\"\\ngrouping -1\\nEND LC_NUMERIC\\n' >comma.def && "
                  "localedef --no-archive -c -i comma.def ./comma >comma.log 2>&1");
    (void)made; /* not 0, as the other categories are missing */
    assert_int_equal(setenv("LOCPATH", "build/locale", 1), 0);
    if (!setlocale(LC_NUMERIC, "comma")) {
        print_message("# cannot make a locale with a decimal comma: not tested\n");
        return;
    }
    snprintf(text, sizeof text, "%.1f", 2.5);
    assert_string_equal(text, "2,5");
    spec = spec_of("ternary:clip=2.5");
    assert_true(spec.ternary.clip == 2.5f);
    assert_int_equal(dtc_spec_format(&spec, text, sizeof text), DTC_OK);
    assert_string_equal(text, "ternary:clip=2.5");
    assert_int_equal(dtc_spec_parse("ternary:clip=2,5", &spec, NULL), DTC_ERROR_SPEC_KEY);
    setlocale(LC_NUMERIC, "C");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys),           cmocka_unit_test(test_errors),   cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_format),         cmocka_unit_test(test_flags),    cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_capacity), cmocka_unit_test(test_longest),
        cmocka_unit_test(test_damaged),        cmocka_unit_test(test_locale),
    };
    return cmocka_run_group_tests_name("spec", tests, NULL, NULL);
}
