/* Every call that reads a packet finds in a malformed one what dtc_decode finds, and leaves its outputs alone. */
#include "damage.h"
#include "dtcodec_fft.h"

/* Copies of each packet that are damaged, and how many malformed ones there have to be in all. */
#define COPIES          1500
#define MALFORMED_LEAST 100000u

/* Packets that ask for more memory are left out, and so are those of more values, after the first few of them. */
#define MEMORY_MOST (64 * MEBI)
#define VALUES_MANY ((size_t)1 << 17)
#define MANY_MOST   24

/* Scratch that adding is given, at the least. */
#define ADD_SCRATCH (8 * MEBI)

/* ---- the sound packets that are damaged */

typedef enum kind { GAUSSIAN, SPARSE, ZEROS, CONSTANT, STAIRS, OUTLIERS, FAR, ONE } kind;

/* A codec's variant: how to come to a packet of it, and what its head, or its first nested packet's, has to say. */
typedef struct variant {
    const char *name, *spec;
    size_t count;
    kind values;
    unsigned terms; /* packets that are added up */
    dtc_codec codec;
    unsigned mask, byte; /* of byte 3 of the head, the nested one's if there is one */
    dtc_codec nested;
} variant;

static const variant variants[] = {
    {"raw fp32", "raw:workers=4", 9, GAUSSIAN, 1, DTC_RAW, 255, 0, DTC_RAW},
    {"raw fp32, no workers", "raw", 8, GAUSSIAN, 1, DTC_RAW, 255, 0, DTC_RAW},
    {"raw fp32, empty", "raw:workers=4", 0, GAUSSIAN, 1, DTC_RAW, 255, 0, DTC_RAW},
    {"raw bf16", "raw:type=bf16,workers=4", 9, GAUSSIAN, 1, DTC_RAW, 255, 1, DTC_RAW},
    {"raw fp16", "raw:type=fp16,workers=4", 9, GAUSSIAN, 2, DTC_RAW, 255, 2, DTC_RAW},
    {"ternary base3", "ternary:pack=base3", 163, GAUSSIAN, 1, DTC_TERNARY, 255, 0, DTC_RAW},
    {"ternary base3, blocks", "ternary:pack=base3,block=7", 20, GAUSSIAN, 1, DTC_TERNARY, 255, 0, DTC_RAW},
    {"ternary tokens", "ternary:scale=3,workers=6", 640, SPARSE, 1, DTC_TERNARY, 255, 1, DTC_RAW},
    {"ternary fields", "ternary:scale=2,workers=5,pack=base3", 37, GAUSSIAN, 1, DTC_TERNARY, 255, 2, DTC_RAW},
    {"ternary fields of sums", "ternary:scale=2,workers=9,pack=base3,block=100", 261, GAUSSIAN, 3, DTC_TERNARY, 255, 2,
     DTC_RAW},
    {"ternary zero", "ternary:workers=4", 50, ZEROS, 1, DTC_TERNARY, 255, 3, DTC_RAW},
    {"ternary digits", "ternary:scale=3,workers=4", 900, SPARSE, 2, DTC_TERNARY, 255, 4, DTC_RAW},
    {"ternary wide", "ternary:scale=1,workers=8", 40, GAUSSIAN, 4, DTC_TERNARY, 255, 5, DTC_RAW},
    {"ternary with coded scales", "ternary:block=8", 512, GAUSSIAN, 1, DTC_TERNARY, 255, 0, DTC_RAW},
    {"ternary with coded scales, tokens", "ternary:block=16", 640, SPARSE, 1, DTC_TERNARY, 255, 1, DTC_RAW},
    {"ternary with coded scales, zeros", "ternary:block=9", 50, ZEROS, 1, DTC_TERNARY, 255, 3, DTC_RAW},
    {"ternary with outliers", "ternary", 256, FAR, 1, DTC_TERNARY, 255, 0, DTC_RAW},
    {"ternary of outliers", "ternary", 200, ONE, 1, DTC_TERNARY, 255, 3, DTC_RAW},
    {"quant fields", "quant:bits=3,entropy=none", 21, GAUSSIAN, 1, DTC_QUANT, 255, 0x02, DTC_RAW},
    {"quant fields of workers", "quant:bits=4,min=-2,max=2,workers=5,entropy=none", 270, GAUSSIAN, 2, DTC_QUANT, 255,
     0x03, DTC_RAW},
    {"quant fields of blocks", "quant:bits=5,min=-2,max=2,workers=3,entropy=none,block=9", 31, GAUSSIAN, 1, DTC_QUANT,
     255, 0x04, DTC_RAW},
    {"quant fields, even", "quant:bits=5,min=-2,max=3,workers=3,entropy=none,grid=even", 31, GAUSSIAN, 1, DTC_QUANT,
     255, 0x14, DTC_RAW},
    {"quant tokens", "quant:bits=4,min=-2,max=2,workers=4", 300, SPARSE, 1, DTC_QUANT, 255, 0x23, DTC_RAW},
    {"quant tokens of sums", "quant:bits=4,min=-2,max=2,workers=4", 300, SPARSE, 2, DTC_QUANT, 255, 0x23, DTC_RAW},
    {"quant tokens of blocks", "quant:bits=3,block=60,workers=2", 240, STAIRS, 1, DTC_QUANT, 255, 0x22, DTC_RAW},
    {"quant tokens, even", "quant:bits=4,min=-2,max=2,workers=3,grid=even", 300, SPARSE, 1, DTC_QUANT, 255, 0x33,
     DTC_RAW},
    {"quant tokens, streams", "quant:bits=2,min=-2,max=2,workers=2", 4200, SPARSE, 1, DTC_QUANT, 255, 0x21, DTC_RAW},
    {"quant constant", "quant:bits=4,workers=3", 40, CONSTANT, 1, DTC_QUANT, 255, 0x43, DTC_RAW},
    {"quant constant, even", "quant:bits=4,workers=3,grid=even", 40, CONSTANT, 1, DTC_QUANT, 255, 0x53, DTC_RAW},
    {"quant constant, zeros", "quant:bits=2,workers=3,block=9", 30, ZEROS, 1, DTC_QUANT, 255, 0x41, DTC_RAW},
    {"quant wide", "quant:bits=4,min=-2,max=2,workers=3", 30, GAUSSIAN, 2, DTC_QUANT, 255, 0x63, DTC_RAW},
    {"quant wide of blocks", "quant:bits=4,workers=3,block=10", 30, GAUSSIAN, 1, DTC_QUANT, 255, 0x63, DTC_RAW},
    {"quant wide, even", "quant:bits=4,min=-2,max=2,workers=3,grid=even", 30, GAUSSIAN, 2, DTC_QUANT, 255, 0x73,
     DTC_RAW},
    {"quant with coded grids", "quant:bits=4,block=8", 512, GAUSSIAN, 1, DTC_QUANT, 255, 0x63, DTC_RAW},
    {"quant with coded grids, tokens", "quant:bits=3,block=16", 640, SPARSE, 1, DTC_QUANT, 255, 0x22, DTC_RAW},
    {"quant with shifts", "quant:rate=2", 255, GAUSSIAN, 1, DTC_QUANT, 0x60, 0x20, DTC_RAW},
    {"quant with shifts of blocks", "quant:bits=4,block=85,rounding=rd", 255, SPARSE, 1, DTC_QUANT, 0x60, 0x20,
     DTC_RAW},
    {"quant with outliers, tokens", "quant:bits=3", 256, OUTLIERS, 1, DTC_QUANT, 255, 0x22, DTC_RAW},
    {"quant with outliers, fields", "quant:bits=5,entropy=none", 100, OUTLIERS, 1, DTC_QUANT, 255, 0x04, DTC_RAW},
    {"quant with outliers, even", "quant:bits=5,grid=even", 99, OUTLIERS, 1, DTC_QUANT, 0x70, 0x30, DTC_RAW},
    {"quant of outliers", "quant:rate=1", 200, GAUSSIAN, 1, DTC_QUANT, 255, 0x40, DTC_RAW},
    {"quant without grids", "quant:rate=0.1", 60, ZEROS, 1, DTC_QUANT, 255, 0x40, DTC_RAW},
    {"quant rotated, fields", "quant:rotate=1,bits=3,min=-3,max=3,workers=3,entropy=none,seed=9", 40, GAUSSIAN, 1,
     DTC_QUANT, 255, 0x82, DTC_RAW},
    {"quant rotated, even", "quant:rotate=1,bits=3,min=-3,max=3,workers=3,grid=even,entropy=none,seed=9", 40, GAUSSIAN,
     1, DTC_QUANT, 255, 0x92, DTC_RAW},
    {"quant rotated, tokens", "quant:rotate=1,bits=6,min=-9,max=9,workers=3,seed=9", 512, GAUSSIAN, 1, DTC_QUANT, 255,
     0xa5, DTC_RAW},
    {"quant rotated, wide", "quant:rotate=1,bits=4,min=-3,max=3,workers=3,block=16", 48, GAUSSIAN, 1, DTC_QUANT, 255,
     0xe3, DTC_RAW},
    {"factor fp32", "factor:rank=1,rows=8,workers=3", 96, GAUSSIAN, 1, DTC_FACTOR, 255, 0, DTC_RAW},
    {"factor bf16", "factor:rank=1,rows=8,value=bf16,workers=3", 96, GAUSSIAN, 1, DTC_FACTOR, 255, 1, DTC_RAW},
    {"factor fp16", "factor:rank=2,rows=10,value=fp16", 120, GAUSSIAN, 1, DTC_FACTOR, 255, 2, DTC_RAW},
    {"factor quantized", "factor:rank=1,rows=16,value=4,workers=3", 320, GAUSSIAN, 1, DTC_FACTOR, 0x9f, 3, DTC_QUANT},
    {"factor of rank 0", "factor:rank=2,rows=8,workers=3", 96, ZEROS, 1, DTC_FACTOR, 0, 0, DTC_RAW},
    {"sensing 1 bit", "sensing:bits=1,scale=2,ratio=0.5,workers=3,seed=4", 200, SPARSE, 1, DTC_SENSING, 15, 0,
     DTC_QUANT},
    {"sensing 4 bits", "sensing:bits=4,scale=3,ratio=0.4,workers=4,seed=4", 60, SPARSE, 2, DTC_SENSING, 15, 3,
     DTC_QUANT},
    {"sensing of blocks", "sensing:bits=4,ratio=0.3,block=256", 300, SPARSE, 1, DTC_SENSING, 15, 3, DTC_QUANT},
    {"sensing, tokens", "sensing:bits=4,scale=3,ratio=0.5,workers=4,seed=4", 400, SPARSE, 1, DTC_SENSING, 255, 0x23,
     DTC_QUANT},
    {"sensing, constant", "sensing:bits=4,scale=3,ratio=0.5,workers=4,seed=4", 90, ZEROS, 1, DTC_SENSING, 255, 0x43,
     DTC_QUANT},
    {"sensing fp32", "sensing:bits=32,ratio=0.5,workers=3", 50, SPARSE, 1, DTC_SENSING, 255, 0, DTC_RAW},
    {"circulant fp32", "circulant:rows=6,workers=3", 48, GAUSSIAN, 1, DTC_CIRCULANT, 255, 0, DTC_RAW},
    {"circulant bf16", "circulant:rows=10,block=4,value=bf16,workers=3", 120, GAUSSIAN, 1, DTC_CIRCULANT, 255, 1,
     DTC_RAW},
    {"circulant fp16", "circulant:rows=10,block=5,value=fp16", 100, GAUSSIAN, 1, DTC_CIRCULANT, 255, 2, DTC_RAW},
    {"circulant quantized", "circulant:rows=16,value=4,workers=3", 256, GAUSSIAN, 1, DTC_CIRCULANT, 0x9f, 3, DTC_QUANT},
    {"circulant, constant", "circulant:rows=16,value=4,workers=3", 256, ZEROS, 1, DTC_CIRCULANT, 255, 0x43, DTC_QUANT},
    {"circulant, tokens", "circulant:rows=40", 1600, SPARSE, 1, DTC_CIRCULANT, 255, 0x2b, DTC_QUANT},
    {"circulant, large", "circulant:rows=40,workers=3", 1600, GAUSSIAN, 1, DTC_CIRCULANT, 255, 0, DTC_RAW},
};

/* Nested packets as decoders take them, in place of those that encoders make. */
static const struct {
    const char *name, *spec;
} nests[] = {
    {"sensing, tokens", "quant:bits=4,min=-2,max=2,workers=4,checksum=0"},
    {"sensing, constant", "quant:bits=4,workers=4,checksum=0"},
    {"circulant, tokens", "quant:bits=12,checksum=0"},
};

/* Each variant as it is, and by these keys besides. */
static const char *const besides[] = {"", "checksum=0", "rows="};

#define BASES (LENGTH(variants) * LENGTH(besides))

static const char *const codec_names[] = {"raw", "ternary", "quant", "factor", "sensing", "circulant"};

/* ---- what is counted */

typedef enum reader { ADD_INTO, MATVEC, FACTORS, CIRCULANT, SUM, SCALE, BOUNDS, FFT_MATVEC, READERS } reader;

static const char *const reader_names[READERS] = {"dtc_decode_add",       "dtc_packet_matvec",    "dtc_decode_factors",
                                                  "dtc_decode_circulant", "dtc_packet_add",       "dtc_packet_scale",
                                                  "asked memory",         "dtc_fft_packet_matvec"};

static unsigned wrong[READERS], malformed[6], sound[6], left_out, reached[BASES], many;

/* The packet under test. */
typedef struct subject {
    char spec[120];
    const char *what;            /* was done to it */
    const packet *good;          /* what it was */
    packet bad;                  /* in memory of its very size */
    int scales;                  /* nothing but its scales was changed */
    size_t count, rows, columns; /* of a reader's arrays */
    dtc_info info, good_info;
    dtc_status inspected, decoded;
    float weight;
} subject;

/* Takes note of what a reader did wrong, and tells the first few. */
static void note(const subject *s, reader who, const char *how, dtc_status got) {
    if (wrong[who]++ >= 4) return;
    print_error("%s%s: %s\n    %s; %s\n    dtc_decode: %s\n", reader_names[who], how, dtc_status_string(got), s->spec,
                s->what, dtc_status_string(s->decoded));
}

static void expect(const subject *s, reader who, const char *how, dtc_status got, int right) {
    if (!right) note(s, who, how, got);
}

/* ---- memory: outputs filled with a pattern, inputs with ones; all of it kept from call to call */

typedef struct room {
    unsigned char *p;
    size_t bytes;
} room;

static void *take(room *r, size_t bytes) {
    if (bytes > r->bytes) {
        free(r->p);
        r->p = (unsigned char *)memory(bytes);
        r->bytes = bytes;
    }
    return r->p;
}

static float *output(room *r, size_t count) {
    float *values = (float *)take(r, 4 * count + 4);
    memset(values, GUARD_FILL, 4 * count + 4);
    return values;
}

static int untouched(const float *values, size_t count) {
    const unsigned char *p = (const unsigned char *)values;
    size_t i;
    for (i = 0; i < 4 * count && p[i] == GUARD_FILL; i++) {
    }
    return i == 4 * count;
}

static room values_room, vectors_room, inputs_room, scratch_room, sum_room, decode_room;

/* A vector to multiply with. */
static const float *input(size_t count) {
    float *x = (float *)take(&inputs_room, 4 * count + 4);
    size_t i;
    for (i = 0; i < count; i++) x[i] = i % 2 ? 1.0f : -0.5f;
    return x;
}

/* ---- readers */

static dtc_status decode_of(const packet *p) {
    dtc_info info;
    size_t need = 1;
    if (dtc_inspect(p->bytes, p->size, &info) == DTC_OK) need += info.decode_scratch;
    return dtc_decode(output(&decode_room, info.count), info.count, p->bytes, p->size, NULL, take(&scratch_room, need),
                      need);
}

static void check_decode_add(const subject *s) {
    float *values = output(&values_room, s->count);
    size_t need = s->info.decode_scratch + 1;
    dtc_status status =
        dtc_decode_add(values, s->count, 0.5f, s->bad.bytes, s->bad.size, NULL, take(&scratch_room, need), need);
    expect(s, ADD_INTO, "", status, status == s->decoded);
    expect(s, ADD_INTO, ", values", status, status == DTC_OK || untouched(values, s->count));
}

static void check_matvec(const subject *s, int transposed) {
    size_t outputs = transposed ? s->columns : s->rows;
    size_t need = dtc_packet_matvec_scratch(s->bad.bytes, s->bad.size, transposed) + 1;
    const float *x = input(transposed ? s->rows : s->columns);
    float *y = output(&values_room, outputs);
    dtc_status status = dtc_packet_matvec(y, s->bad.bytes, s->bad.size, x, transposed, take(&scratch_room, need), need),
               direct;
    expect(s, MATVEC, transposed ? " transposed" : "", status, status == s->decoded);
    expect(s, MATVEC, ", y", status, status == DTC_OK || untouched(y, outputs));
    direct = status;
    need = dtc_fft_packet_matvec_scratch(s->bad.bytes, s->bad.size, transposed) + 1;
    y = output(&values_room, outputs);
    status = dtc_fft_packet_matvec(y, s->bad.bytes, s->bad.size, x, transposed, take(&scratch_room, need), need);
    expect(s, FFT_MATVEC, transposed ? " transposed" : "", status, status == s->decoded && status == direct);
    expect(s, FFT_MATVEC, ", y", status, status == DTC_OK || untouched(y, outputs));
}

/* Whether `status` is right for a reader of one codec. A packet of another codec is refused by its head, so that damage
 * to its payload need not be found. */
static int right_for(const subject *s, dtc_codec codec, dtc_status status) {
    if (s->inspected != DTC_OK || s->info.codec == codec) return status == s->decoded;
    if (s->decoded == DTC_OK) return status == DTC_ERROR_CODEC;
    return status == s->decoded || (s->decoded == DTC_ERROR_PAYLOAD && status == DTC_ERROR_CODEC);
}

static void check_factors(const subject *s) {
    const dtc_info *info = s->inspected == DTC_OK ? &s->info : &s->good_info;
    size_t most = info->codec == DTC_FACTOR ? (size_t)info->spec.factor.rank : 1, rank = most;
    size_t need = s->info.decode_scratch + 1;
    float *u = output(&values_room, most * s->rows), *v = output(&vectors_room, most * s->columns);
    dtc_status status = dtc_decode_factors(u, v, &rank, s->rows, s->columns, s->bad.bytes, s->bad.size, NULL,
                                           take(&scratch_room, need), need);
    expect(s, FACTORS, "", status, right_for(s, DTC_FACTOR, status));
    expect(s, FACTORS, ", u and v", status,
           status == DTC_OK || (rank == 0 && untouched(u, most * s->rows) && untouched(v, most * s->columns)));
}

static void check_circulant(const subject *s) {
    const dtc_info *info = s->inspected == DTC_OK ? &s->info : &s->good_info;
    size_t n = info->codec == DTC_CIRCULANT ? dtc_circulant_vector_count(s->rows, s->columns, info->spec.block) : 1;
    size_t need = s->info.decode_scratch + 1;
    float *vectors = output(&values_room, n);
    dtc_status status =
        dtc_decode_circulant(vectors, n, s->bad.bytes, s->bad.size, NULL, take(&scratch_room, need), need);
    expect(s, CIRCULANT, "", status, right_for(s, DTC_CIRCULANT, status));
    expect(s, CIRCULANT, ", vectors", status, status == DTC_OK || untouched(vectors, n));
}

/* ---- sums */

static int of_sums(dtc_status status) {
    return (status >= DTC_ERROR_INCOMPATIBLE && status <= DTC_ERROR_TERMS) || status == DTC_ERROR_NONFINITE;
}

/* Whether two packets, sound in their heads, do not add by these: dtc_packet_add may then say so, and look no further.
 */
static int heads_differ(const packet *a, const packet *b) {
    unsigned byte_a = a->bytes[3], byte_b = b->bytes[3];
    dtc_info x, y;
    if (dtc_inspect(a->bytes, a->size, &x) != DTC_OK || dtc_inspect(b->bytes, b->size, &y) != DTC_OK) return 0;
    if (x.packet_bytes != a->size || y.packet_bytes != b->size) return 0;
    if (x.codec != y.codec || x.count != y.count || x.spec.rows != y.spec.rows || x.spec.block != y.spec.block ||
        x.seed != y.seed || x.workers != y.workers || x.terms + y.terms > x.workers)
        return 1;
    if (x.codec == DTC_RAW) return byte_a != byte_b;
    if (x.codec == DTC_TERNARY) return (byte_a == 2) != (byte_b == 2);
    if (x.codec == DTC_QUANT) return ((byte_a ^ byte_b) & 0x9f) || !(byte_a & 0x60) != !(byte_b & 0x60);
    if (x.codec == DTC_FACTOR)
        return (size_t)(x.spec.factor.rank + y.spec.factor.rank) * (x.rows + x.columns) >= x.count;
    return x.spec.sensing.ratio < y.spec.sensing.ratio || x.spec.sensing.ratio > y.spec.sensing.ratio;
}

/* What adding may ask for. The largest sums have a field of 24 bits for each value and a grid of 8 bytes for each two,
 * and two heads. Scratch holds the bins, the factors or the vectors of both packets, and tables of a coder. */
static size_t bound_most(const dtc_info *info) {
    return 64 + 8 * info->count;
}

static size_t scratch_most(const dtc_info *info, size_t packet_bytes) {
    return 4 * MEBI + 64 * info->count + packet_bytes;
}

/* Adds two packets in the memory that is asked for, once that is found to be linear in the count. In place, the sum is
 * written onto a copy of a. */
static void check_sum(const subject *s, const packet *a, const packet *b, const char *how, int in_place) {
    size_t bound = dtc_packet_add_bound(a->bytes, a->size, b->bytes, b->size), capacity, bytes = 1;
    size_t need = dtc_packet_add_scratch(a->bytes, a->size, b->bytes, b->size);
    const dtc_info *info = s->inspected == DTC_OK ? &s->info : &s->good_info;
    packet sum;
    dtc_status status;
    int right;
    if (bound > bound_most(info) || need > scratch_most(info, a->size + b->size)) {
        note(s, BOUNDS, how, DTC_OK);
        bound = need = 0;
    }
    if (need < ADD_SCRATCH) need = ADD_SCRATCH;
    capacity = bound > a->size ? bound : a->size;
    sum.bytes = (unsigned char *)take(&sum_room, capacity);
    if (in_place) memcpy(sum.bytes, a->bytes, a->size);
    status = dtc_packet_add(sum.bytes, capacity, &bytes, in_place ? sum.bytes : a->bytes, a->size, b->bytes, b->size,
                            take(&scratch_room, need), need);
    right = s->decoded == DTC_OK ? status == DTC_OK || of_sums(status) : status == s->decoded;
    if (!right && of_sums(status) && (s->decoded == DTC_ERROR_PAYLOAD || s->decoded == DTC_ERROR_CHECKSUM))
        right = heads_differ(a, b);
    expect(s, SUM, how, status, right);
    expect(s, SUM, ", bytes of failure", status, status == DTC_OK ? bound > 0 && bytes <= bound : bytes == 0);
    if (status != DTC_OK || s->decoded != DTC_OK) return;
    sum.size = bytes;
    status = decode_of(&sum);
    expect(s, SUM, ", decoding the sum", status, status == DTC_OK);
}

static void check_sums(const subject *s) {
    check_sum(s, &s->bad, &s->bad, " (bad, bad)", 0);
    check_sum(s, &s->bad, s->good, " (bad, good)", 0);
    check_sum(s, s->good, &s->bad, " (good, bad)", 0);
    check_sum(s, &s->bad, &s->bad, " (bad, bad) in place", 1);
}

/* ---- multiples */

/* Whether the grids of a packet tell what its tokens stand for, which dtc_packet_scale does not read: of quant, in
 * blocks on grids that have a bin on zero. */
static int tells_tokens(const unsigned char *p) {
    return (p[1] & 15) == DTC_QUANT && (p[2] & 4) && !(p[3] & 0x90) && (p[3] >> 5 & 3) == 1;
}

/* Whether dtc_packet_scale is right about a packet, `after` being what dtc_decode says of the multiple. A malformed
 * packet is refused with the status of dtc_decode. It may be accepted only if the damage lies where scaling does not
 * write, and then dtc_decode refuses the multiple as it refuses the packet. */
static int right_to_scale(const subject *s, dtc_status status, dtc_status after) {
    if (s->decoded == DTC_OK) return status == DTC_OK ? after == DTC_OK : status == DTC_ERROR_NONFINITE;
    if (status == s->decoded) return 1;
    if (s->decoded != DTC_ERROR_PAYLOAD || (s->scales && !tells_tokens(s->bad.bytes))) return 0;
    return status == DTC_OK ? after == s->decoded : status == DTC_ERROR_NONFINITE;
}

static void check_scale(const subject *s) {
    packet scaled;
    dtc_status status, after = DTC_OK;
    scaled.size = s->bad.size;
    scaled.bytes = (unsigned char *)memory(scaled.size);
    memcpy(scaled.bytes, s->bad.bytes, scaled.size);
    status = dtc_packet_scale(scaled.bytes, scaled.size, s->weight);
    if (status != DTC_OK)
        expect(s, SCALE, ", packet", status, memcmp(scaled.bytes, s->bad.bytes, scaled.size) == 0);
    else
        after = decode_of(&scaled);
    expect(s, SCALE, status == DTC_OK && s->decoded == DTC_OK ? ", decoding the multiple" : "",
           status == DTC_OK ? after : status, right_to_scale(s, status, after));
    free(scaled.bytes);
}

/* ---- all of them */

/* What a packet asks for is linear in its count, whatever it claims further. */
static void check_asked(const subject *s) {
    size_t decode = s->info.decode_scratch, most = scratch_most(&s->info, s->bad.size);
    size_t matvec = dtc_packet_matvec_scratch(s->bad.bytes, s->bad.size, 0);
    expect(s, BOUNDS, ", dtc_inspect", s->inspected, decode <= most);
    expect(s, BOUNDS, ", dtc_packet_matvec_scratch", s->inspected, matvec <= decode + 128 + 8 * s->info.count);
    if (s->inspected != DTC_OK) expect(s, BOUNDS, ", no packet", s->inspected, decode == 0 && matvec == 0);
}

/* Whether it asks for so much that it is left out. */
static int dear(const subject *s) {
    if (s->inspected != DTC_OK) return 0;
    if (4 * s->info.count + s->info.decode_scratch > MEMORY_MOST) return 1;
    return s->info.count > VALUES_MANY && many++ >= MANY_MOST;
}

static void check_subject(subject *s) {
    const dtc_info *shape;
    size_t bound, need;
    s->inspected = dtc_inspect(s->bad.bytes, s->bad.size, &s->info);
    s->decoded = DTC_OK;
    check_asked(s);
    if (dear(s)) {
        bound = dtc_packet_add_bound(s->bad.bytes, s->bad.size, s->bad.bytes, s->bad.size);
        need = dtc_packet_add_scratch(s->bad.bytes, s->bad.size, s->bad.bytes, s->bad.size);
        expect(s, BOUNDS, ", sums", DTC_OK,
               bound <= bound_most(&s->info) && need <= scratch_most(&s->info, 2 * s->bad.size));
        left_out++;
        return;
    }
    shape = s->inspected == DTC_OK ? &s->info : &s->good_info;
    s->count = shape->count;
    s->rows = shape->rows;
    s->columns = shape->columns;
    {
        float *values = output(&values_room, s->count);
        need = s->info.decode_scratch + 1;
        s->decoded = dtc_decode(values, s->count, s->bad.bytes, s->bad.size, NULL, take(&scratch_room, need), need);
        CHECK(s->decoded == DTC_OK || untouched(values, s->count), "%s; %s", s->spec, s->what);
        CHECK(s->inspected == DTC_OK || s->inspected == s->decoded, "%s; %s: %s, but to decode %s", s->spec, s->what,
              dtc_status_string(s->inspected), dtc_status_string(s->decoded));
    }
    check_decode_add(s);
    check_matvec(s, 0);
    check_matvec(s, 1);
    check_factors(s);
    check_circulant(s);
    check_sums(s);
    check_scale(s);
}

static float *values_of(const variant *v, uint64_t seed) {
    float *values = drawn(v->count, noise_gaussian, v->values == SPARSE ? 0.92 : v->values == OUTLIERS ? 0.8 : 0, seed);
    size_t i;
    for (i = 0; i < v->count; i++) {
        if (v->values == ZEROS) values[i] = 0;
        if (v->values == CONSTANT) values[i] = -0.3f;
        if (v->values == OUTLIERS && i % 70 == 20) values[i] *= 1e6f;
        if (v->values == ONE) values[i] = 0;
        if ((v->values == FAR || v->values == ONE) && i == 20) values[i] = 1e6f;
        if (v->values == STAIRS) values[i] = (i % 8 ? 0.0f : values[i]) + (float)(i / 60);
    }
    return values;
}

/* Puts the nested packet that `nests` has for the variant, if any, into the place of the one that is there. */
static void replace_nest(packet *made, const variant *v) {
    unsigned char *whole;
    layout shape;
    size_t i, before, after;
    layout_of(&shape, made->bytes);
    for (i = 0; i < LENGTH(nests); i++) {
        float *values;
        packet nest;
        if (strcmp(nests[i].name, v->name)) continue;
        before = shape.packets[1].at;
        after = made->size - shape.packets[1].end;
        values = drawn(get32(made->bytes + before + 4), noise_gaussian, v->values == ZEROS ? 1 : 0.9, 5);
        nest = encode(nests[i].spec, values, get32(made->bytes + before + 4));
        whole = (unsigned char *)memory(before + nest.size + after);
        memcpy(whole, made->bytes, before);
        memcpy(whole + before, nest.bytes, nest.size);
        memset(whole + before + nest.size, 0, after);
        free(made->bytes);
        made->bytes = whole;
        made->size = before + nest.size + after;
        put_bytes(whole + 8, made->size, 4);
        repair_checksum(whole, made->size);
        free(nest.bytes);
        free(values);
    }
}

/* The packet of a variant by these keys besides, terms added up. */
static packet make(const variant *v, const char *text) {
    packet sum = {NULL, 0};
    unsigned term;
    for (term = 0; term < v->terms; term++) {
        dtc_spec spec = spec_of(text);
        float *values = values_of(v, 1 + term);
        packet next = encode_spec(&spec, values, v->count), longer;
        free(values);
        if (!term) {
            sum = next;
            continue;
        }
        longer.bytes = (unsigned char *)memory(64 + 8 * v->count);
        assert_int_equal(dtc_packet_add(longer.bytes, 64 + 8 * v->count, &longer.size, sum.bytes, sum.size, next.bytes,
                                        next.size, take(&scratch_room, ADD_SCRATCH), ADD_SCRATCH),
                         DTC_OK);
        free(next.bytes);
        free(sum.bytes);
        sum = longer;
    }
    replace_nest(&sum, v);
    return sum;
}

static void check_variant(const variant *v, const char *text, const packet *made) {
    layout shape;
    size_t nest;
    layout_of(&shape, made->bytes);
    nest = shape.packet_count > 1 ? shape.packets[1].at : 0;
    CHECK((made->bytes[1] & 15) == v->codec && (made->bytes[nest + 3] & v->mask) == v->byte &&
              (!nest || (made->bytes[nest + 1] & 15) == v->nested),
          "%s: codec %d, variant %02x, nested codec %d", text, made->bytes[1] & 15, made->bytes[nest + 3],
          made->bytes[nest + 1] & 15);
}

/* The text of variant v with the keys `which` besides; 0: they do not go together. */
static int spec_text(char *text, size_t capacity, const variant *v, size_t which) {
    int matrix = v->codec == DTC_FACTOR || v->codec == DTC_CIRCULANT;
    if (which == 2 && (matrix || !v->count)) return 0;
    snprintf(text, capacity, "%s%s%s", v->spec, which == 0 ? "" : strchr(v->spec, ':') ? "," : ":", besides[which]);
    if (which == 2)
        snprintf(text + strlen(text), capacity - strlen(text), "%d", v->count % 3 ? v->count % 2 ? 1 : 2 : 3);
    return 1;
}

static void check_base(const variant *v, size_t which, uint64_t *state) {
    static const float weights[] = {0.5f, -3, 1, 1e38f, 0, 1e-38f, FLT_MAX};
    unsigned *count = &reached[(size_t)(v - variants) * LENGTH(besides) + which], copy;
    static damaged d;
    layout shape;
    packet good;
    subject s;
    if (!spec_text(s.spec, sizeof s.spec, v, which)) return;
    good = make(v, s.spec);
    check_variant(v, s.spec, &good);
    layout_of(&shape, good.bytes);
    s.good = &good;
    s.good_info = inspect(&good);
    s.decoded = decode_of(&good);
    assert_int_equal(s.decoded, DTC_OK);
    for (copy = 0; copy < COPIES; copy++) {
        damage(&d, &good, &shape, state);
        s.what = d.what;
        s.scales = d.scales;
        s.weight = weights[below(state, LENGTH(weights))];
        s.bad.size = d.size;
        s.bad.bytes = (unsigned char *)memory(d.size);
        memcpy(s.bad.bytes, d.bytes, d.size);
        check_subject(&s);
        if (s.decoded != DTC_OK) malformed[v->codec]++, (*count)++;
        if (s.decoded == DTC_OK) sound[v->codec]++;
        free(s.bad.bytes);
    }
    free(good.bytes);
}

static int check_all(void **state) {
    uint64_t random = 0x9e3779b97f4a7c15u;
    size_t v, which, i;
    (void)state;
    for (v = 0; v < LENGTH(variants); v++)
        for (which = 0; which < LENGTH(besides); which++) check_base(&variants[v], which, &random);
    for (i = 0; i < LENGTH(codec_names); i++)
        print_message("%-10s %6u malformed packets, %6u that decode\n", codec_names[i], malformed[i], sound[i]);
    print_message("%u packets ask for too much and were left out\n", left_out);
    return 0;
}

/* ---- what came of it */

static void test_reached(void **state) {
    size_t i, which, sum = 0;
    char text[120];
    (void)state;
    for (i = 0; i < LENGTH(variants); i++)
        for (which = 0; which < LENGTH(besides); which++)
            CHECK(reached[i * LENGTH(besides) + which] >= COPIES / 4 ||
                      !spec_text(text, sizeof text, &variants[i], which),
                  "%s (%s): %u malformed packets", variants[i].name, text, reached[i * LENGTH(besides) + which]);
    for (i = 0; i < LENGTH(malformed); i++) sum += malformed[i];
    CHECK(sum >= MALFORMED_LEAST, "%zu malformed packets", sum);
}

static void test_reader(void **state) {
    size_t who = (size_t)((const char *const *)*state - reader_names);
    CHECK(wrong[who] == 0, "%s: %u times", reader_names[who], wrong[who]);
}

#define READER(name, who) \
    { name, test_reader, NULL, NULL, (void *)(uintptr_t)&reader_names[who] }

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reached),  READER("test_decode_add", ADD_INTO), READER("test_matvec", MATVEC),
        READER("test_factors", FACTORS), READER("test_circulant", CIRCULANT), READER("test_sums", SUM),
        READER("test_scale", SCALE),     READER("test_asked_memory", BOUNDS), READER("test_fft_matvec", FFT_MATVEC)};
    return cmocka_run_group_tests_name("readers", tests, check_all, NULL);
}
