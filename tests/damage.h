/* Damage to packets that knows their structure: fields of heads and tables set to values at their limits, bits flipped,
 * sizes changed, and what covers the change up (packet_bytes, the checksum) repaired. */
#ifndef DTC_TESTS_DAMAGE_H
#define DTC_TESTS_DAMAGE_H

#include "helpers.h"

#define DAMAGE_ROOM   (1u << 15) /* bytes of a damaged packet, at the most */
#define DAMAGE_FIELDS 400u

/* ---- bytes */

static inline uint32_t get16(const unsigned char *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static inline void put_bytes(unsigned char *p, uint64_t value, size_t bytes) {
    size_t i;
    for (i = 0; i < bytes; i++) p[i] = (unsigned char)(value >> 8 * i & 255);
}

static inline uint64_t get_bytes(const unsigned char *p, size_t bytes) {
    uint64_t value = 0;
    while (bytes--) value = value << 8 | p[bytes];
    return value;
}

/* CRC-32C, a byte at a time. */
static inline uint32_t crc32c(const unsigned char *p, size_t bytes) {
    static uint32_t table[256];
    uint32_t crc = 0xffffffffu, i, bit;
    for (i = 0; i < 256 && !table[255]; i++) {
        uint32_t x = i;
        for (bit = 0; bit < 8; bit++) x = x >> 1 ^ (x & 1 ? 0x82f63b78u : 0);
        table[i] = x;
    }
    while (bytes--) crc = crc >> 8 ^ table[(crc ^ *p++) & 255];
    return ~crc;
}

/* Gives a packet of `size` bytes the checksum of its contents, if its flags name one. */
static inline void repair_checksum(unsigned char *p, size_t size) {
    if (size >= 16 && p[2] & 1) put_bytes(p + size - 4, crc32c(p, size - 4), 4);
}

/* ---- random choices: xorshift, whose state is not 0 */

static inline uint64_t draw(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static inline size_t below(uint64_t *state, size_t n) {
    return n ? (size_t)(draw(state) >> 20) % n : 0;
}

/* ---- layout of a sound packet */

typedef enum place {
    PLACE_HEAD,
    PLACE_SCALE, /* what dtc_packet_scale multiplies or reads: scales, grids, values of nested raw packets */
    PLACE_OTHER
} place;

typedef struct field {
    size_t at;
    unsigned bytes;
    int is_float;
    place where;
} field;

/* A packet inside the packet, or the packet itself. */
typedef struct extent {
    size_t at, end;
} extent;

typedef struct layout {
    field fields[DAMAGE_FIELDS];
    size_t field_count;
    extent bodies[3], packets[3]; /* packets[0] is the outer one */
    size_t body_count, packet_count;
} layout;

static inline void layout_field(layout *to, size_t at, unsigned bytes, int is_float, place where) {
    field *next = &to->fields[to->field_count];
    if (to->field_count == DAMAGE_FIELDS) return;
    next->at = at;
    next->bytes = bytes;
    next->is_float = is_float;
    next->where = where;
    to->field_count++;
}

static inline void layout_body(layout *to, size_t at, size_t end) {
    assert_true(to->body_count < LENGTH(to->bodies) && at <= end);
    to->bodies[to->body_count].at = at;
    to->bodies[to->body_count++].end = end;
}

/* What is read of a head for the layout of its payload. */
typedef struct outline {
    size_t at, payload, end; /* end: of the payload */
    uint32_t codec, variant, features, count, block, rows;
} outline;

static inline outline layout_head(layout *to, const unsigned char *p, size_t at) {
    outline head;
    uint32_t flags = p[at + 2];
    size_t next = at + 12, end = at + get32(p + at + 8);
    unsigned i;
    head.at = at;
    head.codec = p[at + 1] & 15;
    head.variant = p[at + 3];
    head.count = get32(p + at + 4);
    head.rows = flags & 2 ? get32(p + next) : 1;
    for (i = 0; i < 4; i++) layout_field(to, at + i, 1, 0, PLACE_HEAD);
    layout_field(to, at + 4, 4, 0, PLACE_HEAD);
    layout_field(to, at + 8, 4, 0, PLACE_HEAD);
    if (flags & 2) layout_field(to, next, 4, 0, PLACE_HEAD), next += 4;
    head.block = flags & 4 ? get32(p + next) : head.count;
    if (flags & 4) layout_field(to, next, 4, 0, PLACE_HEAD), next += 4;
    if (flags & 8) {
        layout_field(to, next, 2, 0, PLACE_HEAD);
        layout_field(to, next + 2, 2, 0, PLACE_HEAD);
        next += 4;
    }
    if (flags & 16) layout_field(to, next, 8, 0, PLACE_HEAD), next += 8;
    head.features = flags & 32 ? p[next] : 0;
    if (flags & 32) layout_field(to, next, 1, 0, PLACE_HEAD), next += 1;
    assert_true(to->packet_count < LENGTH(to->packets));
    to->packets[to->packet_count].at = at;
    to->packets[to->packet_count++].end = end;
    head.payload = next;
    head.end = end - (flags & 1 ? 4 : 0);
    return head;
}

/* The table before Huffman-coded bins, of which there are n. */
static inline void layout_tokens(layout *to, size_t at, size_t end, size_t n) {
    size_t streams = n < 4096 ? 1 : 4, i;
    layout_field(to, at, 2, 0, PLACE_OTHER);
    layout_field(to, at + 2, 1, 0, PLACE_OTHER);
    layout_field(to, at + 3, 2, 0, PLACE_OTHER);
    layout_field(to, at + 5, 2, 0, PLACE_OTHER);
    for (i = 1; i < streams; i++) layout_field(to, at + 3 + 4 * i, 4, 0, PLACE_OTHER);
    layout_body(to, at + 7 + 4 * (streams - 1), end);
}

static inline size_t layout_parts(const outline *head) {
    size_t parts = 0, first, n;
    for (first = 0; first < head->count; first += head->block) {
        n = head->count - first < head->block ? head->count - first : head->block;
        for (parts += n >> 16, n &= 65535; n; n &= n - 1) parts++;
    }
    return parts;
}

/* Outliers of fewer than 256 values, whose places have one byte. */
static inline size_t layout_outliers(layout *to, const unsigned char *p, const outline *head, size_t at) {
    size_t n = p[at], i;
    assert_true(head->count <= 256);
    for (i = 0; i <= n; i++) layout_field(to, at++, 1, 0, PLACE_OTHER);
    for (i = 0; i < n; i++, at += 4) layout_field(to, at, 4, 1, PLACE_SCALE);
    return at;
}

/* Coded grids: what they begin with, and two sequences of tokens. */
static inline size_t layout_coded(layout *to, const unsigned char *p, size_t at, size_t blocks, place scales) {
    size_t sizes[2], i;
    for (i = 0; i < 5; i++) layout_field(to, at + 4 * i, 4, i == 0, i < 2 ? scales : PLACE_OTHER);
    sizes[0] = get32(p + at + 12);
    sizes[1] = get32(p + at + 16);
    for (i = 0, at += 20; i < 2; at += sizes[i++])
        if (sizes[i]) layout_tokens(to, at, at + sizes[i], blocks);
    return at;
}

static inline void layout_quant(layout *to, const unsigned char *p, const outline *head, place scales) {
    size_t blocks = head->count ? (head->count + head->block - 1) / head->block : 0, at = head->payload, i;
    unsigned rotated = head->variant >> 7, even = head->variant >> 4 & 1;
    if (rotated) blocks = layout_parts(head);
    if (head->features & 8) at = layout_coded(to, p, at, blocks, scales);
    if (head->features & 12) blocks = 0;
    for (i = 0; i < blocks; i++, at += rotated ? 4 : 8) {
        layout_field(to, at, 4, 1, scales);
        if (!rotated) layout_field(to, at + 4, 4, (int)even, scales);
    }
    for (i = 0; head->features & 1 && i < 2; i++) layout_field(to, at++, 1, 0, PLACE_OTHER);
    if (head->features & 2) at = layout_outliers(to, p, head, at);
    if ((head->variant >> 5 & 3) == 1)
        layout_tokens(to, at, head->end, head->count);
    else
        layout_body(to, at, head->end);
}

static inline void layout_raw(layout *to, const outline *head, place values) {
    unsigned bytes = head->variant ? 2 : 4;
    size_t at;
    for (at = head->payload; at < head->end && at < head->payload + 8 * bytes; at += bytes)
        layout_field(to, at, bytes, 1, values);
    layout_body(to, head->payload, head->end);
}

/* Lays out a packet of raw or quant inside another, and gives its end. */
static inline size_t layout_nested(layout *to, const unsigned char *p, size_t at, place scales) {
    outline head = layout_head(to, p, at);
    if (head.codec == DTC_RAW)
        layout_raw(to, &head, scales);
    else
        layout_quant(to, p, &head, scales);
    return head.end;
}

static inline void layout_ternary(layout *to, const unsigned char *p, const outline *head) {
    size_t blocks = (head->count + head->block - 1) / head->block, at = head->payload, i;
    if (head->features & 8) { /* coded scales: the largest one, and a sequence of tokens after its size */
        size_t size = get32(p + at + 4);
        layout_field(to, at, 4, 1, PLACE_SCALE);
        layout_field(to, at + 4, 4, 0, PLACE_OTHER);
        at += 8 + size;
        if (size) layout_tokens(to, at - size, at, blocks);
    }
    for (i = 0; i < blocks && !(head->features & 8); i++, at += 4) layout_field(to, at, 4, 1, PLACE_SCALE);
    if (head->features & 2) at = layout_outliers(to, p, head, at);
    if (head->variant == 1 || head->variant == 4)
        layout_tokens(to, at, head->end, head->variant == 1 ? (head->count + 4) / 5 : head->count / 3);
    else
        layout_body(to, at, head->end);
}

static inline void layout_of(layout *to, const unsigned char *p) {
    outline head;
    memset(to, 0, sizeof *to);
    head = layout_head(to, p, 0);
    if (head.codec == DTC_RAW) layout_raw(to, &head, PLACE_OTHER);
    if (head.codec == DTC_TERNARY) layout_ternary(to, p, &head);
    if (head.codec == DTC_QUANT) layout_quant(to, p, &head, PLACE_SCALE);
    if (head.codec == DTC_FACTOR) {
        layout_field(to, head.payload, 4, 0, PLACE_HEAD);
        if (get32(p + head.payload))
            (void)layout_nested(to, p, layout_nested(to, p, head.payload + 4, PLACE_SCALE), PLACE_OTHER);
    }
    if (head.codec == DTC_SENSING) {
        layout_field(to, head.payload, 4, 0, PLACE_HEAD);
        (void)layout_nested(to, p, head.payload + 4, PLACE_SCALE);
    }
    if (head.codec == DTC_CIRCULANT) (void)layout_nested(to, p, head.payload, PLACE_SCALE);
    if (p[2] & 1) layout_field(to, head.end, 4, 0, PLACE_OTHER);
}

/* ---- damage */

typedef struct damaged {
    unsigned char bytes[DAMAGE_ROOM];
    size_t size;
    int scales;    /* nothing but a PLACE_SCALE field was changed */
    char what[80]; /* in words */
} damaged;

static inline uint64_t edge_integer(uint64_t *state, uint64_t old, unsigned bits) {
    uint64_t top = bits == 64 ? ~(uint64_t)0 : ((uint64_t)1 << bits) - 1, one = (uint64_t)1 << below(state, bits), made;
    switch (below(state, 14)) {
    case 0:
        made = below(state, 4);
        break;
    case 1:
        made = old + 1;
        break;
    case 2:
        made = old - 1;
        break;
    case 3:
        made = old * 2;
        break;
    case 4:
        made = old / 2;
        break;
    case 5:
        made = top;
        break;
    case 6:
        made = top / 2;
        break;
    case 7:
        made = top / 2 + 1;
        break;
    case 8:
        made = one;
        break;
    case 9:
        made = one - 1;
        break;
    case 10:
        made = 0 - one;
        break;
    case 11:
        made = old ^ one;
        break;
    default:
        made = draw(state);
    }
    return made & top;
}

static inline uint64_t edge_float(uint64_t *state, uint64_t old, unsigned bytes) {
    static const uint32_t singles[] = {0x7fc00000, 0xffc00001, 0x7f800001, 0x7f800000, 0xff800000,
                                       0x7f7fffff, 0xff7fffff, 0x00800000, 0x00000001, 0x000116c2,
                                       0x807fffff, 0,          0x80000000, 0x33800000, 0x4b800000};
    static const uint32_t halves[] = {0x7c00, 0xfc00, 0x7e00, 0xfe01, 0x7bff, 0xfbff, 0x7f80, 0xff80,
                                      0x7fc0, 0x7f7f, 0xff7f, 0x0001, 0x8001, 0,      0x8000};
    size_t choice = below(state, 20);
    if (choice >= LENGTH(singles)) return edge_integer(state, old, 8 * bytes);
    return bytes == 4 ? singles[choice] : halves[choice];
}

static inline void damage_field(damaged *d, const layout *shape, uint64_t *state) {
    const field *f = &shape->fields[below(state, shape->field_count)];
    uint64_t old = get_bytes(d->bytes + f->at, f->bytes), made;
    made = f->is_float ? edge_float(state, old, f->bytes) : edge_integer(state, old, 8 * f->bytes);
    put_bytes(d->bytes + f->at, made, f->bytes);
    d->scales = f->where == PLACE_SCALE;
    snprintf(d->what, sizeof d->what, "%u bytes at %zu: %llx became %llx", f->bytes, f->at, (unsigned long long)old,
             (unsigned long long)made);
}

static inline void damage_two_fields(damaged *d, const layout *shape, uint64_t *state) {
    char first[sizeof d->what];
    int scales;
    damage_field(d, shape, state);
    scales = d->scales;
    memcpy(first, d->what, sizeof first);
    damage_field(d, shape, state);
    d->scales = d->scales && scales;
    snprintf(d->what + strlen(d->what), sizeof d->what - strlen(d->what), "; %.30s", first);
}

static inline void damage_bits(damaged *d, uint64_t *state) {
    size_t flips = 1 + below(state, 4), used = 0;
    while (flips--) {
        size_t bit = below(state, 8 * d->size);
        d->bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        used += (size_t)snprintf(d->what + used, sizeof d->what - used, "bit %zu; ", bit);
    }
}

/* The end of a body, where fill bits are, or a run of bytes within it. */
static inline void damage_body(damaged *d, const layout *shape, uint64_t *state) {
    const extent *body = &shape->bodies[below(state, shape->body_count)];
    size_t size = body->end - body->at, at = body->end - 1, n = 1;
    unsigned way = (unsigned)below(state, 4);
    if (!size) return;
    if (way == 0) {
        d->bytes[at] |= (unsigned char)(0x80u >> below(state, 8));
    } else {
        n = 1 + below(state, size < 32 ? size : 32);
        at = body->at + below(state, size - n + 1);
        for (size = 0; size < n; size++)
            d->bytes[at + size] = (unsigned char)(way == 1 ? 255 : way == 2 ? 0 : draw(state) & 255);
    }
    snprintf(d->what, sizeof d->what, "bytes %zu..%zu, way %u", at, at + n - 1, way);
}

/* Takes `gone` bytes away and puts `come` in their place; packet_bytes of the packets around follows, of the inner one
 * only if asked for. */
static inline void splice(damaged *d, const layout *shape, size_t at, size_t gone, size_t come, int inner) {
    size_t i;
    assert_true(at + gone <= d->size && d->size - gone + come <= DAMAGE_ROOM);
    memmove(d->bytes + at + come, d->bytes + at + gone, d->size - at - gone);
    memset(d->bytes + at, 0, come);
    d->size = d->size - gone + come;
    for (i = 0; i < shape->packet_count; i++) {
        const extent *around = &shape->packets[i];
        if (at < around->at + 12 || at > around->end || (i && !inner)) continue;
        put_bytes(d->bytes + around->at + 8, around->end - around->at - gone + come, 4);
    }
}

static inline void damage_size(damaged *d, const layout *shape, uint64_t *state) {
    const extent *body = &shape->bodies[below(state, shape->body_count)];
    size_t size = body->end - body->at, n = below(state, 3) ? 1 + below(state, 4) : 1 + below(state, 40), at, i;
    int inner = below(state, 4) > 0, longer = (int)below(state, 2);
    if (!longer && n > size) n = size;
    at = below(state, 2) ? body->at + below(state, longer ? size + 1 : size - n + 1) : body->end - (longer ? 0 : n);
    splice(d, shape, at, longer ? 0 : n, longer ? n : 0, inner);
    for (i = 0; longer && i < n; i++)
        d->bytes[at + i] = (unsigned char)(n % 2 ? 0 : draw(state) & 255); /* zeros, or noise */
    snprintf(d->what, sizeof d->what, "%zu bytes %s at %zu, inner size %s", n, longer ? "more" : "less", at,
             inner ? "repaired" : "kept");
}

/* Sets a flag and inserts what it stands for, or clears it and takes that out. */
static inline void damage_flag(damaged *d, const layout *shape, uint64_t *state) {
    static const unsigned bytes[] = {4, 4, 4, 4, 8, 1};
    size_t which = below(state, shape->packet_count), at = shape->packets[which].at;
    unsigned flag = (unsigned)below(state, 6), flags = d->bytes[at + 2], i;
    int set = !(flags >> flag & 1);
    size_t from = at + 12;
    for (i = 1; i < flag; i++) from += flags >> i & 1 ? bytes[i] : 0;
    if (flag == 0) from = shape->packets[which].end - (set ? 0 : 4);
    splice(d, shape, from, set ? 0 : bytes[flag], set ? bytes[flag] : 0, 1);
    d->bytes[at + 2] = (unsigned char)(flags ^ 1u << flag);
    if (set && flag) put_bytes(d->bytes + from, flag == 3 ? 0x00010002 : 1 + below(state, 9), bytes[flag]);
    snprintf(d->what, sizeof d->what, "flag %u of the head at %zu %s", 1u << flag, at, set ? "set" : "cleared");
}

/* More bytes than the packet has, or fewer. */
static inline void damage_length(damaged *d, uint64_t *state) {
    size_t n = 1 + below(state, d->size);
    if (below(state, 2)) {
        d->size -= n;
        snprintf(d->what, sizeof d->what, "cut to %zu bytes", d->size);
    } else {
        memset(d->bytes + d->size, 0, n);
        d->size += n;
        snprintf(d->what, sizeof d->what, "%zu bytes follow", n);
    }
}

/* Makes number `number` of the damaged copies of a packet. */
static inline void damage(damaged *d, const packet *sound, const layout *shape, uint64_t *state) {
    size_t way = below(state, 32);
    memcpy(d->bytes, sound->bytes, sound->size);
    d->size = sound->size;
    d->scales = 0;
    d->what[0] = 0;
    if (way < 13)
        damage_field(d, shape, state);
    else if (way < 18)
        damage_two_fields(d, shape, state);
    else if (way < 21)
        damage_bits(d, state);
    else if (way < 25)
        damage_body(d, shape, state);
    else if (way < 29)
        damage_size(d, shape, state);
    else if (way < 31)
        damage_flag(d, shape, state);
    else
        damage_length(d, state);
    if (way < 31 && below(state, 16)) repair_checksum(d->bytes, d->size);
}

#endif /* DTC_TESTS_DAMAGE_H */
