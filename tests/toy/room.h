/* --------------------------------------------------------------------------------------------------------------------
 * signs: one bit a value, and one scale a block (1-bit SGD with error feedback, Seide et al. 2014; the scale is the
 * mean magnitude, as in signSGD with error feedback, Karimireddy et al. 2019). A toy: tests/test_toy_codec.sh inserts
 * this room into a copy of dtcodec.h, to test that a codec needs nothing but the codec interface.
 *
 * The payload is one scale (fp32) a block, then one field of 1 bit a value: 0 decodes to scale, 1 decodes to -scale.
 * Variant 0: each scale is the mean magnitude of its block. Variant 1: the spec gave the scale.
 * ------------------------------------------------------------------------------------------------------------------*/

/* Returns the bytes of the payload. */
DTCI_FN size_t dtci_signs_bytes(const dtci_head *head) {
    return 4 * dtci_blocks(head) + dtci_fields_bytes(head->count, 1);
}

/* The toy has no fields in dtc_spec. It shares the scale of ternary. */
DTCI_FN dtc_status dtci_signs_check_spec(const dtc_spec *spec) {
    return dtci_finite(spec->ternary.scale) && spec->ternary.scale >= 0 ? DTC_OK : DTC_ERROR_SPEC;
}

/* Encoding takes one double a block. */
DTCI_FN size_t dtci_signs_scratch(const dtc_spec *spec, size_t count) {
    size_t blocks = spec->block && spec->block < count ? dtci_ceil_div(count, spec->block) : 1;
    return dtci_take_bytes(sizeof(double) * blocks);
}

/* Packs the signs of values first .. first + n - 1, n <= DTCI_CHUNK, and adds each magnitude to the sum of its block.
 * Returns whether all values are finite. */
DTCI_FN int dtci_signs_pack(unsigned char *to, double *sums, const dtci_encoding *e, size_t first, size_t n) {
    size_t block = dtci_block(&e->head), i;
    uint32_t fields[DTCI_CHUNK];
    float chunk[DTCI_CHUNK];
    const char *values = dtci_view(chunk, &e->source, first, n);
    int finite = 1;
    for (i = 0; i < n; i++) {
        float x = dtci_float_at(values, i);
        fields[i] = dtci_float_bits(x) >> 31;
        sums[(first + i) / block] += fabs((double)x);
        finite &= dtci_finite(x);
    }
    dtci_fields_pack(to, fields, first, n, 1);
    return finite;
}

DTCI_FN dtc_status dtci_signs_decode(const dtci_packet *packet, const dtci_sink *sink,
                                     const dtc_decode_options *options, dtci_arena *arena) {
    const unsigned char *from = packet->payload + 4 * dtci_blocks(&packet->head);
    size_t count = packet->head.count, block = dtci_block(&packet->head), first, n, i;
    uint32_t fields[DTCI_CHUNK];
    float chunk[DTCI_CHUNK];
    (void)options;
    (void)arena;
    for (first = 0; first < count; first += n) {
        char *to = dtci_sink_place(chunk, sink, first);
        n = count - first < DTCI_CHUNK ? count - first : DTCI_CHUNK;
        dtci_fields_unpack(fields, from, first, n, 1);
        for (i = 0; i < n; i++) {
            uint32_t bits = dtci_get32(packet->payload + 4 * ((first + i) / block)) ^ fields[i] << 31;
            memcpy(to + 4 * i, &bits, 4);
        }
        dtci_sink_finish(sink, first, chunk, n);
    }
    return DTC_OK;
}

DTCI_FN dtc_status dtci_signs_encode(dtci_encoding *e) {
    size_t blocks = dtci_blocks(&e->head), block = dtci_block(&e->head), count = e->head.count, first, n, b;
    double *sums = (double *)dtci_take(&e->arena, sizeof(double) * (blocks ? blocks : 1));
    dtci_packet made;
    if (!sums) return DTC_ERROR_SCRATCH;
    e->head.variant = e->spec->ternary.scale > 0;
    e->bytes = dtci_signs_bytes(&e->head);
    if (e->bytes > 4 * count)
        return dtci_scan(&e->source, 0, count).finite ? dtci_head_become_raw(&e->head) : DTC_ERROR_NONFINITE;
    if (e->capacity < e->bytes) return DTC_ERROR_CAPACITY;
    for (b = 0; b < blocks; b++) sums[b] = 0;
    for (first = 0; first < count; first += n) {
        n = count - first < DTCI_CHUNK ? count - first : DTCI_CHUNK;
        if (!dtci_signs_pack(e->payload + 4 * blocks, sums, e, first, n)) return DTC_ERROR_NONFINITE;
    }
    for (b = 0; b < blocks; b++) {
        n = count - b * block < block ? count - b * block : block;
        dtci_put_float(e->payload + 4 * b,
                       e->head.variant ? e->spec->ternary.scale : dtci_to_float(sums[b] / (double)n));
    }
    if (!e->residual) return DTC_OK;
    made.head = e->head;
    made.payload = e->payload;
    return dtci_signs_decode(&made, e->residual, NULL, NULL);
}

/* There are no sums of signs, so terms is always 1. */
DTCI_FN dtc_status dtci_signs_check(dtci_packet *packet) {
    const dtci_head *head = &packet->head;
    packet->scratch = 0;
    if (head->variant > 1 || head->seed || head->terms > 1) return DTC_ERROR_HEAD;
    return packet->payload_bytes == dtci_signs_bytes(head) ? DTC_OK : DTC_ERROR_SIZE;
}

DTCI_FN dtc_status dtci_signs_open(dtci_packet *packet, dtci_arena *arena, unsigned skip) {
    size_t blocks = dtci_blocks(&packet->head);
    (void)arena;
    (void)skip;
    if (!dtci_scales_finite(packet->payload, blocks, 4, 1)) return DTC_ERROR_PAYLOAD;
    return dtci_fields_valid(packet->payload + 4 * blocks, packet->head.count, 1, 1) ? DTC_OK : DTC_ERROR_PAYLOAD;
}

/* A scale that was given is told, unless dtc_packet_scale has left no positive one. */
DTCI_FN void dtci_signs_describe(const dtci_packet *packet, dtc_spec *spec) {
    float scale = packet->head.variant && packet->head.count ? dtci_get_float(packet->payload) : 0;
    if (dtci_finite(scale) && scale > 0) spec->ternary.scale = scale;
}

/* A sum of signs is no sign. */
DTCI_FN dtc_status dtci_signs_plan_add(dtci_addition *sum) {
    (void)sum;
    return DTC_ERROR_INCOMPATIBLE;
}

DTCI_FN dtc_status dtci_signs_scale(const dtci_packet *packet, unsigned char *payload, float weight) {
    return dtci_scales_scale(payload, dtci_blocks(&packet->head), 4, weight);
}

static const dtci_key dtci_signs_keys[] = {
    {"scale", "auto", DTCI_KEY_FLOAT, DTCI_FIELD(ternary.scale), 0, DTCI_FLOAT_MAX, 0, 0},
};

static const dtci_codec dtci_signs_codec = {DTC_SIGNS,
                                            "signs",
                                            dtci_signs_keys,
                                            sizeof dtci_signs_keys / sizeof *dtci_signs_keys,
                                            dtci_signs_check_spec,
                                            dtci_begin_block,
                                            NULL,
                                            NULL,
                                            dtci_signs_scratch,
                                            dtci_signs_scratch,
                                            dtci_signs_encode,
                                            dtci_signs_check,
                                            dtci_signs_open,
                                            dtci_signs_describe,
                                            dtci_signs_decode,
                                            dtci_signs_plan_add,
                                            NULL, /* add: plan_add refuses every sum */
                                            dtci_signs_scale,
                                            NULL};
