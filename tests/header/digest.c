/* What must not depend on compiler, options, or machine:
 *     digest write FILE    encodes one packet a spec and a kind of values into FILE
 *     digest read FILE     decodes the packets in FILE and prints a hash of what each gives
 * Run by two builds, the files must be equal, and so must what is printed of one file.
 * There are no denormals, which -ffast-math may flush to zero. */
#include "dtcodec.h"

#include <stdio.h>
#include <string.h>

enum { COUNT = 10000, SIDE = 100, RANK = 40, KINDS = 4 };

/* Not rate: its search goes by exp2, which is as exact as the C library. Of factor, only what is given. */
static const char *const specs[] = {
    "raw",
    "raw:type=bf16",
    "raw:type=fp16,rows=10",
    "ternary",
    "ternary:pack=base3,block=999,seed=5",
    "ternary:scale=2,workers=7,clip=1",
    "quant",
    "quant:bits=1",
    "quant:bits=3,rounding=stochastic,seed=18446744073709551615",
    "quant:bits=5,grid=even,rounding=stochastic",
    "quant:bits=8,block=100",
    "quant:bits=8,entropy=none,workers=9",
    "quant:bits=11,grid=even",
    "quant:bits=16,min=-1,max=1",
    "quant:max-error=0.001",
    "factor",
    "factor:value=bf16",
    "factor:value=6",
    "circulant:rows=100",
    "circulant:rows=80,block=12,value=bf16",
    "circulant:rows=50,block=30,value=8",
};

/* By integers and powers of two alone, so that all machines have the same. */
static void fill(float *values, int kind) {
    uint32_t state = (uint32_t)kind + 1;
    int i, k;
    for (i = 0; i < COUNT; i++) {
        int32_t sum = 0;
        for (k = 0; k < 4; k++) {
            state = state * 1664525u + 1013904223u;
            sum += (int32_t)(state >> 12) - (1 << 19);
        }
        values[i] = (float)sum * (1.0f / 1048576);
        if (kind == 1 && sum < 1000000) values[i] = 0;
        if (kind == 2) values[i] += 1024;
        if (kind == 3) values[i] *= values[i] < 0 ? 1.0f / 4096 : 16777216.0f;
    }
}

static uint64_t hash(const float *values) {
    uint64_t sum = 14695981039346656037u;
    int i;
    for (i = 0; i < COUNT; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], 4);
        sum = (sum ^ bits) * 1099511628211u;
    }
    return sum;
}

/* Sums that dtc_decode_add rounds otherwise if it rounds them to double first: the products are a little below half of
 * the last bit of what they are added to, or above by their sign. */
static dtc_status add_near_halves(void) {
    static unsigned char packet[4 * COUNT + 64], scratch[65536];
    static float decoded[COUNT], values[COUNT];
    const float last = 1.0f / 8388608;
    dtc_spec spec;
    dtc_status status = dtc_spec_parse("raw", &spec, NULL);
    size_t bytes = 0;
    int i;
    for (i = 0; i < COUNT; i++) {
        float sign = i % 3 ? 1.0f : -1.0f;
        values[i] = (1 + (float)i * last) * (i % 5 ? 1.0f : -4.0f);
        decoded[i] = sign * (1 - last) * (i % 5 ? last / 2 : -2 * last);
    }
    if (status == DTC_OK)
        status = dtc_encode(&spec, packet, sizeof packet, &bytes, decoded, COUNT, scratch, sizeof scratch);
    if (status == DTC_OK)
        status = dtc_decode_add(values, COUNT, 1 + last, packet, bytes, NULL, scratch, sizeof scratch);
    printf("near halves %08lx%08lx\n", (unsigned long)(hash(values) >> 32),
           (unsigned long)(hash(values) & 0xffffffffu));
    return status;
}

/* What a packet of bf16 leaves of the sum of values and residual, where the sum is rounded to fp32. */
static dtc_status leave_residual(void) {
    static unsigned char packet[2 * COUNT + 64], scratch[65536];
    static float values[COUNT], residual[COUNT];
    dtc_spec spec;
    dtc_status status = dtc_spec_parse("raw:type=bf16", &spec, NULL);
    size_t bytes = 0;
    fill(values, 0);
    fill(residual, 2);
    if (status == DTC_OK)
        status =
            dtc_encode_residual(&spec, packet, sizeof packet, &bytes, values, residual, COUNT, scratch, sizeof scratch);
    printf("residual %08lx%08lx\n", (unsigned long)(hash(residual) >> 32),
           (unsigned long)(hash(residual) & 0xffffffffu));
    return status;
}

int main(int argc, char **argv) {
    static unsigned char packets[4 * COUNT * 60], scratch[4000000];
    static float values[COUNT], residual[COUNT];
    size_t size = 0, at, bytes, s;
    FILE *file = argc == 3 ? fopen(argv[2], argv[1][0] == 'w' ? "wb" : "rb") : NULL;
    dtc_info info;
    int kind;
    if (!file) return 2;
    if (argv[1][0] == 'w') {
        for (s = 0; s < sizeof specs / sizeof *specs; s++) {
            for (kind = 0; kind < KINDS; kind++) {
                dtc_spec spec;
                dtc_status status = dtc_spec_parse(specs[s], &spec, NULL);
                fill(values, kind);
                fill(residual, (kind + 1) % KINDS);
                if (status == DTC_OK && spec.codec == DTC_FACTOR)
                    status = dtc_encode_factors(&spec, packets, sizeof packets, &bytes, values, residual, RANK, SIDE,
                                                SIDE, scratch, sizeof scratch);
                else if (status == DTC_OK)
                    status = dtc_encode_residual(&spec, packets, sizeof packets, &bytes, values, residual, COUNT,
                                                 scratch, sizeof scratch);
                if (status != DTC_OK) {
                    printf("%s: %s\n", specs[s], dtc_status_string(status));
                    return 1;
                }
                fwrite(packets, 1, bytes, file);
            }
        }
        return fclose(file) != 0;
    }
    size = fread(packets, 1, sizeof packets, file);
    for (at = 0; at < size; at += info.packet_bytes) {
        uint64_t decoded;
        dtc_status status = dtc_inspect(packets + at, size - at, &info);
        if (status == DTC_OK)
            status = dtc_decode(values, COUNT, packets + at, info.packet_bytes, NULL, scratch, sizeof scratch);
        decoded = hash(values);
        fill(values, 0);
        if (status == DTC_OK)
            status =
                dtc_decode_add(values, COUNT, 0.7f, packets + at, info.packet_bytes, NULL, scratch, sizeof scratch);
        if (status != DTC_OK) {
            printf("at %lu: %s\n", (unsigned long)at, dtc_status_string(status));
            return 1;
        }
        printf("%d %lu %08lx%08lx %08lx%08lx\n", (int)info.codec, (unsigned long)info.packet_bytes,
               (unsigned long)(decoded >> 32), (unsigned long)(decoded & 0xffffffffu),
               (unsigned long)(hash(values) >> 32), (unsigned long)(hash(values) & 0xffffffffu));
    }
    return at != size || size == 0 || add_near_halves() != DTC_OK || leave_residual() != DTC_OK;
}
