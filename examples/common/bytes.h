/* Numbers in byte strings, little-endian, as files and frames hold them. */
#ifndef EXAMPLES_BYTES_H
#define EXAMPLES_BYTES_H

#include <stdint.h>
#include <string.h>

static inline void put_u64(uint8_t *bytes, uint64_t value) {
    for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)(value >> 8 * i);
}

static inline uint64_t get_u64(const uint8_t *bytes) {
    uint64_t value = 0;
    for (int i = 0; i < 8; i++) value |= (uint64_t)bytes[i] << 8 * i;
    return value;
}

static inline void put_u32(uint8_t *bytes, uint32_t value) {
    for (int i = 0; i < 4; i++) bytes[i] = (uint8_t)(value >> 8 * i);
}

static inline uint32_t get_u32(const uint8_t *bytes) {
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) value |= (uint32_t)bytes[i] << 8 * i;
    return value;
}

static inline void put_f32(uint8_t *bytes, float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_u32(bytes, bits);
}

static inline float get_f32(const uint8_t *bytes) {
    uint32_t bits = get_u32(bytes);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline void put_f64(uint8_t *bytes, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_u64(bytes, bits);
}

static inline double get_f64(const uint8_t *bytes) {
    uint64_t bits = get_u64(bytes);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

#endif
