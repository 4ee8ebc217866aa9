/* Writes the seed corpora into the current directory, one directory a target: packets of every codec and coding, texts
 * of every key, inputs of the round trips, and files of floats. */

#define DTCODEC_IMPLEMENTATION
#include "dtcodec.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COUNT_MAX = 5000, PACKET_MAX = 4 * COUNT_MAX + 100, SCRATCH_BYTES = 2000000 };

static void write_file(const char *target, int number, const void *data, size_t bytes) {
    char path[64];
    FILE *file;
    snprintf(path, sizeof path, "%s/seed%03d", target, number);
    file = fopen(path, "wb");
    if (!file || fwrite(data, 1, bytes, file) != bytes || fclose(file)) {
        perror(path);
        exit(1);
    }
}

static const char *const specs[] = {
    "raw",
    "raw:type=bf16,rows=3,seed=7",
    "raw:type=fp16,checksum=0",
    "ternary",
    "ternary:pack=base3,rows=3,workers=2",
    "ternary:block=31,clip=1e9,seed=18446744073709551615,checksum=0",
    "ternary:scale=0.5,pack=base3,workers=1000",
    "ternary:clip=.001,block=100",
    "ternary:block=4",
    "quant",
    "quant:bits=1,checksum=0",
    "quant:bits=2,entropy=none,grid=even",
    "quant:bits=3,rounding=stochastic,seed=3",
    "quant:bits=4,min=-1,max=1,workers=16,block=50",
    "quant:bits=5,min=-2,max=2,workers=100,entropy=none",
    "quant:bits=8,grid=even,rounding=stochastic,rows=3",
    "quant:bits=12,entropy=none,checksum=0",
    "quant:bits=16,block=64",
    "quant:bits=auto,floor=2,probe=8,sample=1",
    "quant:rate=0.5",
    "quant:rate=3,block=50",
    "quant:rate=0.01",
    "quant:rounding=rd,bits=3,checksum=0",
    "quant:rate=6.25,grid=even",
    "quant:max-error=0.01",
    "quant:nmse=0.3",
    "quant:nmse=0.001,rotate=1",
    "quant:max-error=1e-7,rounding=stochastic,min=auto,max=auto",
    "quant:rotate=1",
    "quant:rotate=1,bits=4,seed=2,block=40",
    "quant:rotate=1,bits=4,min=-1,max=1,workers=3,checksum=0",
    "quant:bits=4,min=-1,max=1,workers=3,checksum=0",
    "ternary:scale=1,workers=3,checksum=0",
    "ternary:scale=1,pack=base3,block=30,workers=3,checksum=0",
    "quant:rotate=1,bits=2,grid=even,entropy=none,workers=3,checksum=0",
    "factor:rows=10",
    "factor:rank=1,rows=20,value=bf16,checksum=0",
    "factor:rank=2,rows=10,value=5,workers=3",
    "circulant:rows=7",
    "circulant:rows=20,block=6,value=bf16,workers=2",
    "circulant:rows=10,block=16,value=8,checksum=0",
    "circulant:rows=50,checksum=0",
    "circulant:rows=100,block=20,value=4,checksum=0",
    "sensing",
    "sensing:ratio=0.5,bits=1,seed=7,checksum=0",
    "sensing:ratio=1,bits=32,block=256",
    "sensing:ratio=0.1,bits=8,block=1024,rows=5",
    "sensing:bits=5,scale=2,workers=12,seed=3",
    "sensing:ratio=0.2,bits=3,keep=0.03",
};

static const char *const bad_specs[] = {
    "",           "raw:",          "quant:bits=17",      "quant:bits=4,rate=2", "ternary:bits=4", "quant:bits=4,bits=4",
    "quant:bits", "quant:sample=", "quant:sample=1e-99", "raw:rows=1073741569", "fp32",           "quant:min=1,max=-1",
};

/* Heads of .npy files, with the version before them. Zeros follow as values. */
static const char *const npy_heads[] = {
    "\1{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }\n",
    "\1{'descr': '>f4', 'fortran_order': True, 'shape': (2, 3, 4), }\n",
    "\2{'descr': '<f2', 'fortran_order': False, 'shape': (7,), }\n",
    "\3{\"shape\": (), \"descr\": \"<f8\", \"fortran_order\": False}",
    "\1{'descr': '>f8', 'fortran_order': True, 'shape': (2L, 3L)}",
    "\1{'descr': '<f4', 'fortran_order': False, 'shape': (0, 5), }",
    "\1{'descr': '<i4', 'fortran_order': False, 'shape': (2,), }",
    "\1{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }",
    "\1{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }",
};

/* Heads of .safetensors files. */
static const char *const safetensors_heads[] = {
    "{\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]}}  ",
    "{\"__metadata__\":{\"format\":\"pt\"},\"b\":{\"dtype\":\"F16\",\"shape\":[4],\"data_offsets\":[8,16]},"
    "\"a\":{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[0,8]},"
    "\"c\":{\"dtype\":\"BF16\",\"shape\":[2,0],\"data_offsets\":[16,16]}}",
    "{\"a\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[0,8]}}",
    "{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,16]}}",
    "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
    "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}",
    "{\"\\u00e9\\n\":{\"dtype\":\"BF16\",\"shape\":[1,2],\"data_offsets\":[0,4]}}",
    "{}",
};

/* Writes the seeds of the readers of files, each with enough zeros after its head. */
static void write_files(void) {
    static const size_t npy_bytes[] = {48, 96, 14, 8, 48, 0, 8, 0, 8}, safetensors_bytes[] = {24, 16, 8, 16, 12, 4, 0};
    unsigned char file[512];
    size_t i, length, start;
    for (i = 0; i < sizeof npy_heads / sizeof *npy_heads; i++) {
        length = strlen(npy_heads[i] + 1);
        start = npy_heads[i][0] == 1 ? 10 : 12;
        memset(file, 0, sizeof file);
        memcpy(file, "\x93NUMPY", 6);
        file[6] = (unsigned char)npy_heads[i][0];
        file[8] = (unsigned char)length;
        memcpy(file + start, npy_heads[i] + 1, length);
        write_file("npy", (int)i, file, start + length + npy_bytes[i]);
    }
    for (i = 0; i < sizeof safetensors_heads / sizeof *safetensors_heads; i++) {
        length = strlen(safetensors_heads[i]);
        memset(file, 0, sizeof file);
        file[0] = (unsigned char)(length & 255);
        file[1] = (unsigned char)(length >> 8);
        memcpy(file + 8, safetensors_heads[i], length);
        write_file("safetensors", (int)i, file, 8 + length + safetensors_bytes[i]);
    }
}

/* Of one of eight kinds, from a small generator of its own. */
static void fill(float *values, size_t count, unsigned kind) {
    uint32_t state = kind + 1;
    size_t i;
    for (i = 0; i < count; i++) {
        double sum = 0;
        int k;
        for (k = 0; k < 4; k++) {
            state = state * 1664525u + 1013904223u;
            sum += (double)(state >> 8) / 16777216.0 - 0.5;
        }
        values[i] = (float)(kind == 0   ? sum
                            : kind == 1 ? sum * sum * sum
                            : kind == 2 ? (fabs(sum) < 1 ? 0 : sum)
                            : kind == 3 ? 0.25
                            : kind == 4 ? 0
                            : kind == 5 ? sum * 1e-42
                            : kind == 6 ? (i % 2 ? -3.4e38 : 3.4e38)
                                        : 1000 + sum / 1000);
    }
}

/* Writes messages of three tensors under every spec: the number of tensors, their counts, and the message. */
static void write_messages(void) {
    static float values[3][700];
    static unsigned char input[PACKET_MAX] = {3, 7, 0, 88, 2, 30, 0}, scratch[SCRATCH_BYTES];
    dtc_tensor tensors[3];
    size_t s, t, bytes;
    for (s = 0; s < sizeof specs / sizeof *specs; s++) {
        dtc_spec spec;
        memset(tensors, 0, sizeof tensors);
        for (t = 0; t < 3; t++) {
            tensors[t].values = values[t];
            tensors[t].count = input[1 + 2 * t] + 256u * input[2 + 2 * t];
            tensors[t].rows = t == 1 ? 20 : 0;
            fill(values[t], tensors[t].count, (unsigned)(s + t) % 8);
        }
        if (dtc_spec_parse(specs[s], &spec, NULL) == DTC_OK &&
            dtc_message_encode(&spec, input + 7, sizeof input - 7, &bytes, tensors, 3, scratch, sizeof scratch) ==
                DTC_OK)
            write_file("message", (int)s, input, 7 + bytes);
    }
}

/* The TOKENS of a quant packet with one grid and no optional field, behind what fuzz/huffman.c takes first. */
static void write_tokens(int number, const unsigned char *packet, size_t bytes) {
    unsigned char tokens[3000];
    unsigned count = packet[4] | (unsigned)packet[5] << 8;
    if ((packet[1] & 15) != DTC_QUANT || packet[2] > 1 || packet[3] >> 5 != 1 || !count || bytes > 2900) return;
    tokens[0] = packet[3] & 15;
    tokens[1] = (unsigned char)((count - 1) & 255);
    tokens[2] = (unsigned char)(((count - 1) >> 8) & 255);
    memcpy(tokens + 3, packet + 23, 2); /* the number of values; the table may be larger */
    memcpy(tokens + 5, packet + 20, bytes - 20 - 4 * (packet[2] & 1u));
    write_file("huffman", number, tokens, 5 + bytes - 20 - 4 * (packet[2] & 1u));
}

int main(void) {
    static const size_t counts[] = {0, 1, 7, 200, 1000, COUNT_MAX};
    static const char *const roundtrips[] = {"roundtrip_raw",    "roundtrip_ternary", "roundtrip_quant",
                                             "roundtrip_rotate", "roundtrip_factor",  "roundtrip_circulant",
                                             "roundtrip_sensing"};
    static float values[COUNT_MAX];
    static unsigned char packet[PACKET_MAX], scratch[SCRATCH_BYTES], message[2 * PACKET_MAX], pair[2000];
    size_t message_bytes = 0, bytes, s, c;
    unsigned kind, i, options;
    int number = 0, texts = 0;
    for (s = 0; s < sizeof specs / sizeof *specs; s++) {
        dtc_spec spec;
        const char *at;
        write_file("spec", texts++, specs[s], strlen(specs[s]));
        if (dtc_spec_parse(specs[s], &spec, &at) != DTC_OK) {
            fprintf(stderr, "%s: wrong at \"%s\"\n", specs[s], at);
            return 1;
        }
        for (c = 0; c < sizeof counts / sizeof *counts; c++) {
            size_t count = spec.rows ? counts[c] / spec.rows * spec.rows : counts[c];
            kind = (unsigned)(s + c) % 8;
            fill(values, count, kind);
            if (dtc_encode(&spec, packet, sizeof packet, &bytes, values, count, scratch, sizeof scratch) != DTC_OK)
                continue; /* an option that this version does not carry out */
            write_file("inspect", number, packet, bytes);
            write_file("decode", number, packet, bytes);
            write_file("readers", number, packet, bytes);
            write_file("copies", number, packet, bytes);
            write_tokens(number, packet, bytes);
            if (bytes <= 4096) write_file("payload", number, packet, bytes);
            if (bytes <= 1000) { /* with itself */
                memcpy(pair, packet, bytes);
                memcpy(pair + bytes, packet, bytes);
                write_file("algebra", number, pair, 2 * bytes);
            }
            number++;
            if (count == 7) { /* small packets make a message */
                memcpy(message + message_bytes, packet, bytes);
                message_bytes += bytes;
            }
        }
    }
    write_files();
    write_file("inspect", number, message, message_bytes);
    write_file("decode", number, message, message_bytes);
    for (s = 0; s < sizeof bad_specs / sizeof *bad_specs; s++)
        write_file("spec", texts++, bad_specs[s], strlen(bad_specs[s]));
    for (s = 0; s < sizeof roundtrips / sizeof *roundtrips; s++) {
        for (options = 0; options < 256; options += 5) { /* any bytes are values under some spec */
            uint32_t state = options;
            for (i = 0; i < 100; i++) {
                state = state * 1664525u + 1013904223u;
                message[i] = (unsigned char)(state >> 24);
            }
            message[0] = (unsigned char)options;
            message[1] = (unsigned char)(options * 7 & 255);
            write_file(roundtrips[s], (int)options, message, options % 3 ? 100 : 30);
        }
    }
    write_messages();
    return 0;
}
