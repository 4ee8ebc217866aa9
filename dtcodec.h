/* dtcodec.h: small self-describing packets for gradients and parameters, in one C99 header.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the dtcodec authors
 *
 * Turns float arrays into packets that are smaller than the floats and back, for any trainer over any transport.
 */

/* ====================================================================================================================
 * DECLARATIONS
 * ==================================================================================================================*/

#ifndef DTCODEC_H
#define DTCODEC_H

#include <stddef.h>
#include <stdint.h>

#define DTC_VERSION_MAJOR 0
#define DTC_VERSION_MINOR 1
#define DTC_VERSION_PATCH 0

#define DTC_WIRE_VERSION 0 /* counted apart from the library's version; 0 may still change */

#ifdef DTC_STATIC
#define DTC_API static inline
#else
#define DTC_API extern
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Which codec made a packet. The numbers are on the wire. */
typedef enum dtc_codec {
    DTC_RAW = 0,
    DTC_TERNARY = 1,
    DTC_QUANT = 2,
    DTC_FACTOR = 3,
    DTC_SENSING = 4,
    DTC_CIRCULANT = 5
} dtc_codec;

/* What a call found. The numbers are pinned, ten to a group; dtc_status_string says each in words. */
typedef enum dtc_status {
    DTC_OK = 0,

    /* misuse: the call itself is wrong */
    DTC_ERROR_ARGUMENT = 10,   /* a null pointer where one is needed, or a non-finite weight */
    DTC_ERROR_SPEC = 11,       /* a field of dtc_spec is out of its range */
    DTC_ERROR_COUNT = 12,      /* the caller's count is not the packet's */
    DTC_ERROR_SPEC_CODEC = 13, /* spec text: no such codec */
    DTC_ERROR_SPEC_KEY = 14,   /* spec text: no such key, or not for this codec, or given twice */
    DTC_ERROR_SPEC_VALUE = 15, /* spec text: not a value of this key, or out of its range */

    /* capacity: a buffer is too small */
    DTC_ERROR_CAPACITY = 20,
    DTC_ERROR_SCRATCH = 21,

    /* malformed packet */
    DTC_ERROR_TRUNCATED = 30, /* fewer bytes than the packet says it has */
    DTC_ERROR_MAGIC = 31,     /* not a dtcodec packet */
    DTC_ERROR_HEAD = 32,      /* a field of the head is out of its range */
    DTC_ERROR_SIZE = 33,      /* the packet's size is not the one its head implies, or bytes follow it */
    DTC_ERROR_CHECKSUM = 34,
    DTC_ERROR_PAYLOAD = 35, /* the payload is not one that an encoder makes */

    /* unsupported */
    DTC_ERROR_WIRE_VERSION = 40,
    DTC_ERROR_CODEC = 41,  /* this codec is unknown, or left out of this build */
    DTC_ERROR_OPTION = 42, /* a spec that this version does not carry out */

    /* numeric */
    DTC_ERROR_NONFINITE = 50, /* a value to encode is NaN or infinite */

    /* caller's limit */
    DTC_ERROR_LIMIT = 60, /* the packet needs more than this machine or the options allow */

    /* incompatible packets */
    DTC_ERROR_INCOMPATIBLE = 70
} dtc_status;

/* One sentence on a status: what was wrong and what to do. Never NULL; static storage. */
DTC_API const char *dtc_status_string(dtc_status status);

typedef enum dtc_type { DTC_FP32 = 0, DTC_BF16 = 1, DTC_FP16 = 2 } dtc_type;
typedef enum dtc_pack { DTC_PACK_HUFFMAN = 0, DTC_PACK_BASE3 = 1 } dtc_pack;
typedef enum dtc_rounding { DTC_NEAREST = 0, DTC_STOCHASTIC = 1 } dtc_rounding;
typedef enum dtc_entropy { DTC_HUFFMAN = 0, DTC_NO_ENTROPY = 1 } dtc_entropy;
typedef enum dtc_grid { DTC_GRID_ZERO = 0, DTC_GRID_EVEN = 1 } dtc_grid;

/* How to encode. All-zero fields mean defaults; the ranges below are of fields that are not zero. */
typedef struct dtc_spec {
    dtc_codec codec;
    uint64_t seed;    /* of the stochastic codecs; give every encoded tensor its own */
    size_t rows;      /* shape: count = rows * columns, rows divides count; 0: a vector */
    size_t block;     /* values that share one scale; 0: the whole tensor */
    uint32_t workers; /* room for sums of this many packets, 1..65535; 0: 1 */
    int no_checksum;  /* nonzero: leave the CRC-32C out */

    struct {
        dtc_type type;
    } raw;

    struct {
        float clip;    /* > 0: clip at this many sigma (root mean square); 0: 2.5 */
        float scale;   /* > 0: the scale, shared by the workers; 0: the largest magnitude after clipping */
        dtc_pack pack; /* base3: five values a byte; huffman: these bytes entropy-coded where that is smaller */
    } ternary;

    struct {
        int bits;        /* 1..16: 2^bits bins; 0: auto, entropy of a sample + floor */
        int floor;       /* auto: bits on top of the entropy, 1..12; 0: 6 */
        int probe;       /* auto: bits of the quantization whose entropy is taken, 1..8; 0: 4 */
        float sample;    /* auto: part of the values looked at, (0, 1]; 0: 0.03 */
        float rate;      /* in place of bits: packet bits a value, 0.05..32; 0: unset */
        float max_error; /* in place of bits: no value is off by more than this, > 0; 0: unset */
        dtc_rounding rounding;
        dtc_entropy entropy;
        dtc_grid grid;
        int rotate;    /* nonzero: randomized Hadamard transform first */
        int min_given; /* nonzero: the range starts at min, and values below are clipped to it */
        int max_given;
        float min;
        float max;
    } quant;
} dtc_spec;

/* Reads a spec from text, as in "quant:bits=auto,floor=6". Keys may stand in any order, each once; what is not named
 * is left at zero, its default. On failure *spec is all zero and *error_at (error_at may be NULL) is where in `text` it
 * went wrong. Independent of the locale. Errors: SPEC_CODEC, SPEC_KEY, SPEC_VALUE, ARGUMENT. */
DTC_API dtc_status dtc_spec_parse(const char *text, dtc_spec *spec, const char **error_at);

/* Writes the text that dtc_spec_parse reads back to the same spec, with a closing zero byte; 256 bytes are enough.
 * Errors: CAPACITY (text is then "", if capacity > 0), SPEC, ARGUMENT. */
DTC_API dtc_status dtc_spec_format(const dtc_spec *spec, char *text, size_t capacity);

/* Bytes that are enough for any packet of `count` values under this spec. 0: not representable (overflow, or a spec out
 * of range). */
DTC_API size_t dtc_encode_bound(const dtc_spec *spec, size_t count);

/* Bytes of scratch that dtc_encode needs; may be 0. */
DTC_API size_t dtc_encode_scratch(const dtc_spec *spec, size_t count);

/* Encodes values[0..count) as one packet of *packet_bytes bytes. The same call gives the same bytes.
 * On failure *packet_bytes is 0 and the packet's bytes are unspecified within `capacity`.
 * Errors: ARGUMENT, SPEC, OPTION, CODEC, CAPACITY, SCRATCH, NONFINITE. */
DTC_API dtc_status dtc_encode(const dtc_spec *spec, void *packet, size_t capacity, size_t *packet_bytes,
                              const float *values, size_t count, void *scratch, size_t scratch_bytes);

/* Error feedback (Seide et al. 2014; Karimireddy et al. 2019): encodes x = values + residual, summed in fp32, and leaves
 * in residual[i] = x[i] - decoded[i], what the receiver does not see. Start with a residual of zeros; it is the caller's
 * state: save it in checkpoints. Untouched on failure. */
DTC_API dtc_status dtc_encode_residual(const dtc_spec *spec, void *packet, size_t capacity, size_t *packet_bytes,
                                       const float *values, float *residual, size_t count, void *scratch,
                                       size_t scratch_bytes);

/* What a packet's head says. */
typedef struct dtc_info {
    dtc_codec codec; /* raw also where another codec's packet would not have been smaller */
    size_t count, rows, columns;
    size_t packet_bytes;   /* with head and checksum: the next packet of a message starts here */
    size_t decode_scratch; /* bytes of scratch that dtc_decode needs; may be 0 */
    uint32_t workers;      /* packets that may be summed into this one */
    uint32_t terms;        /* packets that are summed in it: 1 fresh from the encoder */
    uint64_t seed;         /* 0 where decoding needs none */
    dtc_spec spec;         /* what the head tells of the spec it was encoded with */
} dtc_info;

/* Reads the head at the start of packet[0..bytes); more may follow it. O(1), reads no payload and no checksum.
 * Errors: ARGUMENT, TRUNCATED, MAGIC, HEAD, SIZE, WIRE_VERSION, CODEC, LIMIT; *info is then all zero. */
DTC_API dtc_status dtc_inspect(const void *packet, size_t bytes, dtc_info *info);

/* What the caller allows a packet to cost. NULL or all-zero: defaults. */
typedef struct dtc_decode_options {
    int skip_checksum;       /* nonzero: do not verify the CRC-32C, if there is one */
    uint32_t max_iterations; /* of iterative decoders; no codec of this version has one */
} dtc_decode_options;

/* Decodes one packet of exactly packet_bytes bytes into values[0..count); count must be the packet's own.
 * Values are written only once nothing can fail any more: untouched on failure.
 * Errors: all of dtc_inspect's, and COUNT, SCRATCH, CHECKSUM, PAYLOAD, SIZE (bytes follow the packet). */
DTC_API dtc_status dtc_decode(float *values, size_t count, const void *packet, size_t packet_bytes,
                              const dtc_decode_options *options, void *scratch, size_t scratch_bytes);

/* values[i] += weight * decoded[i], in one pass: the product exact in double, the sum rounded to fp32. */
DTC_API dtc_status dtc_decode_add(float *values, size_t count, float weight, const void *packet, size_t packet_bytes,
                                  const dtc_decode_options *options, void *scratch, size_t scratch_bytes);

#ifdef __cplusplus
}
#endif

/* Users can stop reading here. */

#endif /* DTCODEC_H */
