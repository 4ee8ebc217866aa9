/* What a packet can cost: no packet makes a decoder work out of proportion to its bytes and values. Steps are counted,
 * by the formulas of the manual, and not timed. */
#include "damage.h"

enum { SIDE = 64, RANK = 20, COPIES = 3000 };

static dtc_decode_options most_steps(uint64_t steps) {
    dtc_decode_options options;
    memset(&options, 0, sizeof options);
    options.max_work = steps;
    return options;
}

/* Decodes into values of 7, by dtc_decode_add with the weight 1 or by dtc_decode. On failure all values are still 7. */
static dtc_status try_decode(const packet *made, int add, const dtc_decode_options *options) {
    dtc_info info = inspect(made);
    float *values = floats(info.count);
    void *scratch = workspace(info.decode_scratch);
    dtc_status status;
    size_t i;
    for (i = 0; i < info.count; i++) values[i] = 7;
    status = add ? dtc_decode_add(values, info.count, 1, made->bytes, made->size, options, scratch, info.decode_scratch)
                 : dtc_decode(values, info.count, made->bytes, made->size, options, scratch, info.decode_scratch);
    for (i = 0; i < info.count && status != DTC_OK; i++) assert_true(float_bits(values[i]) == 0x40e00000u);
    free(values);
    return status;
}

/* max_work of so many steps is enough, and one step less is not. */
static void check_needs(const packet *made, uint64_t steps, dtc_decode_options options) {
    int add;
    for (add = 0; add < 2; add++) {
        options.max_work = steps;
        assert_int_equal(try_decode(made, add, &options), DTC_OK);
        options.max_work = steps - 1;
        assert_int_equal(try_decode(made, add, &options), DTC_ERROR_LIMIT);
    }
}

/* A packet of factors of ones, which are a few bytes for any rank. */
static packet factors_of_ones(size_t side, size_t rank) {
    dtc_spec spec = spec_of("factor:value=8");
    size_t capacity = 4 * side * side + 100, need = dtc_encode_factors_scratch(&spec, rank, side, side), i;
    float *ones = floats(rank * side);
    packet made;
    for (i = 0; i < rank * side; i++) ones[i] = 1;
    made.bytes = (unsigned char *)memory(capacity);
    assert_int_equal(dtc_encode_factors(&spec, made.bytes, capacity, &made.size, ones, ones, rank, side, side,
                                        workspace(need), need),
                     DTC_OK);
    free(ones);
    return made;
}

static void test_factor(void **state) {
    static const size_t ranks[] = {1, 60, 63, 64, 65, 66, 70, 128, 250};
    packet made = factors_of_ones(SIDE, RANK);
    size_t i, refused = 0;
    (void)state;
    check_needs(&made, (uint64_t)RANK * SIDE * SIDE, most_steps(0));
    assert_int_equal(try_decode(&made, 0, NULL), DTC_OK);
    free(made.bytes);
    for (i = 0; i < LENGTH(ranks); i++) { /* by default 64 steps for each value and byte */
        size_t count = 512 * 512, fair;
        made = factors_of_ones(512, ranks[i]);
        fair = ranks[i] * count <= 64 * (count + made.size);
        assert_int_equal(try_decode(&made, 0, NULL), fair ? DTC_OK : DTC_ERROR_LIMIT);
        assert_int_equal(try_decode(&made, 1, NULL), fair ? DTC_OK : DTC_ERROR_LIMIT);
        refused += !fair;
        free(made.bytes);
    }
    assert_in_range(refused, 3, 6);
    made = factors_of_ones(512, 250);
    check_needs(&made, (uint64_t)250 * 512 * 512, most_steps(0));
    free(made.bytes);
}

/* The largest matrix that a few bytes could ask for takes no time: it is refused before it is multiplied. */
static void test_matvec_is_cheap(void **state) {
    packet large = factors_of_ones(512, 250);
    float x[512], y[512];
    size_t need = dtc_packet_matvec_scratch(large.bytes, large.size, 0), i;
    (void)state;
    for (i = 0; i < LENGTH(x); i++) x[i] = 1;
    assert_int_equal(dtc_packet_matvec(y, large.bytes, large.size, x, 0, workspace(need), need), DTC_OK);
    for (i = 0; i < LENGTH(y); i++) assert_true(y[i] == 250.0f * 512);
    free(large.bytes);
}

static void test_sensing(void **state) {
    float *values = drawn(1500, noise_laplace, 0.9, 1);
    packet made = encode("sensing:ratio=0.5,block=512", values, 1500), whole = encode("sensing:ratio=1", values, 1024);
    dtc_decode_options options = most_steps(0);
    (void)state;
    check_needs(&made, 8 * 3 * 512 * 50, options); /* three blocks, the last of 476 values filled up */
    options.max_iterations = 7;
    check_needs(&made, 8 * 3 * 512 * 7, options);
    options.method = DTC_METHOD_LINEAR;
    check_needs(&made, 8 * 3 * 512, options);
    check_needs(&whole, 8 * 1024, most_steps(0)); /* exact without iterations */
    assert_int_equal(try_decode(&made, 0, NULL), DTC_OK);
    free(made.bytes);
    free(whole.bytes);
    free(values);
}

static void test_message(void **state) {
    dtc_spec spec = spec_of("factor:rank=3");
    float *values = drawn(2 * SIDE * SIDE, noise_gaussian, 0, 3), *decoded = floats(2 * SIDE * SIDE);
    dtc_tensor from[2] = {{NULL, NULL, SIDE * SIDE, SIDE}, {NULL, NULL, SIDE * SIDE, SIDE}}, to[2];
    dtc_decode_options options = most_steps(3 * SIDE * SIDE);
    size_t bytes, i, need, bound;
    unsigned char *message;
    (void)state;
    memcpy(to, from, sizeof to);
    for (i = 0; i < 2; i++) from[i].values = values + i * SIDE * SIDE, to[i].values = decoded + i * SIDE * SIDE;
    bound = dtc_message_bound(&spec, from, 2);
    need = dtc_message_scratch(&spec, from, 2);
    message = (unsigned char *)memory(bound);
    assert_int_equal(dtc_message_encode(&spec, message, bound, &bytes, from, 2, workspace(need), need), DTC_OK);
    for (i = 0; i < 2 * SIDE * SIDE; i++) decoded[i] = 7;
    options.max_work--;
    assert_int_equal(dtc_message_decode(to, 2, message, bytes, &options, workspace(need), need), DTC_ERROR_LIMIT);
    for (i = 0; i < 2 * SIDE * SIDE; i++) assert_true(float_bits(decoded[i]) == 0x40e00000u);
    options.max_work++;
    assert_int_equal(dtc_message_decode(to, 2, message, bytes, &options, workspace(need), need), DTC_OK);
    free(message);
    free(values);
    free(decoded);
}

/* A packet may have codes for as many symbols as it has bins, and not for one more: a table of 16 codes of four bits,
 * and bins that all have the first code. */
static void test_codes(void **state) {
    unsigned char bytes[] = {0xd7, 2, 0,    0x23, 16, 0, 0, 0, 38, 0, 0, 0, /* head: quant, 4 bits, TOKENS */
                             0,    0, 0x80, 0x3f, 0,  0, 0, 0,              /* step 1, lowest 0 */
                             0,    0, 15,   16,   0,  1, 0,                 /* mode 0; every distance is a class */
                             0x23, 0, 0,                                    /* lengths: 4, and 15 times the same */
                             0,    0, 0,    0,    0,  0, 0, 0};
    packet made = {bytes, sizeof bytes};
    (void)state;
    assert_int_equal(try_decode(&made, 0, NULL), DTC_OK);
    bytes[4] = 15;
    assert_int_equal(try_decode(&made, 0, NULL), DTC_ERROR_PAYLOAD);
}

/* The steps beyond those that every value and byte takes, under default options. */
static double steps_of(const packet *made) {
    dtc_info info = inspect(made);
    if (info.codec == DTC_FACTOR) return (double)info.spec.factor.rank * (double)info.count;
    return 0;
}

/* Looks for packets that cost much, among damaged ones. */
static void test_search(void **state) {
    static const char *const specs[] = {"factor:rank=1,value=8", "factor:rank=5",
                                        "factor:rank=3,value=bf16,checksum=0"};
    static damaged d;
    float *values = drawn(SIDE * SIDE, noise_gaussian, 0, 5);
    dtc_decode_options options = most_steps(0);
    double most = 0;
    uint64_t random = 7;
    unsigned accepted = 0, refused = 0, copy;
    size_t s;
    (void)state;
    options.skip_checksum = 1;
    for (s = 0; s < LENGTH(specs); s++) {
        dtc_spec spec = spec_of(specs[s]);
        packet good;
        layout shape;
        spec.rows = SIDE;
        good = encode_spec(&spec, values, SIDE * SIDE);
        layout_of(&shape, good.bytes);
        for (copy = 0; copy < COPIES; copy++) {
            packet bad;
            dtc_info info;
            damage(&d, &good, &shape, &random);
            if (dtc_inspect(d.bytes, d.size, &info) != DTC_OK || info.packet_bytes != d.size || info.count > MEBI)
                continue;
            bad.bytes = d.bytes;
            bad.size = d.size;
            if (try_decode(&bad, 0, &options) == DTC_OK) {
                double cost = steps_of(&bad) / ((double)info.count + (double)bad.size);
                most = cost > most ? cost : most;
                accepted++;
            } else {
                refused++;
            }
        }
        free(good.bytes);
    }
    print_message("%u packets decode, at up to %.1f steps a value and byte; %u are refused\n", accepted, most, refused);
    assert_true(accepted > 100 && refused > 100 && most > 0 && most <= 64);
    free(values);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_factor),  cmocka_unit_test(test_matvec_is_cheap),
                                       cmocka_unit_test(test_sensing), cmocka_unit_test(test_message),
                                       cmocka_unit_test(test_codes),   cmocka_unit_test(test_search)};
    return cmocka_run_group_tests_name("work", tests, NULL, NULL);
}
