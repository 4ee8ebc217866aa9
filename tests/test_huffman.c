/* The entropy coder from inside: codes, tables, classes, tokens. */
#define DTC_STATIC
#include "helpers.h"

enum { SYMBOLS = 4096, LONGEST = 15 };

static uint64_t work_keys[2][SYMBOLS];
static uint32_t work_weights[SYMBOLS];
static dtci_huffman_work work = {{work_keys[0], work_keys[1]}, work_weights};
static dtci_coder coder;
static dtci_decoder decoder;

static uint64_t cost_of(const uint8_t *lengths, const uint32_t *counts, size_t symbols) {
    uint64_t cost = 0;
    size_t i;
    for (i = 0; i < symbols; i++) cost += (uint64_t)counts[i] * lengths[i];
    return cost;
}

static int by_weight(const void *a, const void *b) {
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Least cost of a code whose lengths are at most `limit`: by package-merge (Larmore and Hirschberg, 1990). With a limit
 * of one less than the used symbols it is Huffman's. */
static uint64_t least_cost(const uint32_t *counts, size_t symbols, unsigned limit) {
    static uint64_t coins[SYMBOLS], row[2 * SYMBOLS];
    size_t n = 0, size, i, j, k;
    uint64_t cost = 0;
    for (i = 0; i < symbols; i++)
        if (counts[i]) coins[n++] = counts[i];
    qsort(coins, n, sizeof *coins, by_weight);
    memcpy(row, coins, n * sizeof *coins);
    for (size = n; limit > 1; limit--) {
        static uint64_t merged[2 * SYMBOLS];
        for (i = j = k = 0; j < n || i + 1 < size; k++) {
            uint64_t package = i + 1 < size ? row[i] + row[i + 1] : UINT64_MAX;
            if (j < n && coins[j] <= package) {
                merged[k] = coins[j++];
            } else {
                merged[k] = package;
                i += 2;
            }
        }
        size = k;
        memcpy(row, merged, size * sizeof *row);
    }
    for (i = 0; i < 2 * n - 2; i++) cost += row[i];
    return cost;
}

/* Counts of many shapes; at least two of them are not 0. */
static size_t any_counts(uint32_t *counts, uint64_t *seed) {
    size_t symbols = 2 + noise_u64(seed) % (noise_u64(seed) % 4 ? 40 : SYMBOLS - 1), i;
    unsigned shape = (unsigned)(noise_u64(seed) % 5);
    for (i = 0; i < symbols; i++) {
        if (shape == 0) counts[i] = 7;
        if (shape == 1) counts[i] = (uint32_t)(noise_u64(seed) % 1000);
        if (shape == 2) counts[i] = (uint32_t)(noise_u64(seed) >> 44 >> noise_u64(seed) % 20);
        if (shape == 3) counts[i] = noise_u64(seed) % 10 ? 0 : 1 + (uint32_t)(noise_u64(seed) % 9);
        if (shape == 4) counts[i] = (uint32_t)(1e6 * exp(-0.02 * (double)i));
    }
    counts[0] += !counts[0];
    counts[symbols - 1] += !counts[symbols - 1];
    return symbols;
}

static uint32_t kraft_of(const uint8_t *lengths, size_t symbols) {
    uint32_t kraft = 0;
    size_t i;
    for (i = 0; i < symbols; i++)
        if (lengths[i]) kraft += 1u << (LONGEST - lengths[i]);
    return kraft;
}

static void test_lengths(void **state) {
    static uint32_t counts[SYMBOLS];
    static uint8_t lengths[SYMBOLS];
    uint64_t seed = 1;
    int i;
    (void)state;
    for (i = 0; i < 1000; i++) {
        size_t symbols = any_counts(counts, &seed), s;
        uint64_t cost;
        dtci_huffman_lengths(lengths, counts, symbols, &work);
        assert_int_equal(kraft_of(lengths, symbols), 1u << LONGEST);
        for (s = 0; s < symbols; s++) {
            assert_in_range(lengths[s], 0, LONGEST);
            assert_int_equal(lengths[s] == 0, counts[s] == 0);
        }
        cost = cost_of(lengths, counts, symbols);
        if (symbols > 1000 && i % 10) continue; /* the reference is slow */
        /* a tree deeper than 40 takes counts above those here */
        if (least_cost(counts, symbols, 40) == least_cost(counts, symbols, LONGEST))
            assert_int_equal(cost, least_cost(counts, symbols, LONGEST));
        else
            assert_true((double)cost <= 1.015 * (double)least_cost(counts, symbols, LONGEST));
    }
}

/* Fibonacci's numbers make the deepest trees. */
static void test_length_limit(void **state) {
    uint32_t counts[40] = {1, 1};
    uint8_t lengths[40];
    size_t symbols;
    (void)state;
    for (symbols = 2; symbols <= 40; symbols++) {
        uint64_t cost, least;
        if (symbols > 2) counts[symbols - 1] = counts[symbols - 2] + counts[symbols - 3];
        dtci_huffman_lengths(lengths, counts, symbols, &work);
        assert_int_equal(kraft_of(lengths, symbols), 1u << LONGEST);
        cost = cost_of(lengths, counts, symbols);
        least = least_cost(counts, symbols, LONGEST);
        CHECK((double)cost <= 1.006 * (double)least, "%zu symbols: %g above", symbols,
              (double)cost / (double)least - 1);
        if (symbols <= LONGEST + 1) assert_int_equal(cost, least);
    }
}

/* A code of fewer than two symbols is made up to two. */
static void test_few_symbols(void **state) {
    uint32_t counts[5] = {0, 0, 0, 0, 0};
    uint8_t lengths[5];
    size_t used;
    (void)state;
    dtci_huffman_lengths(lengths, counts, 5, &work);
    assert_int_equal(kraft_of(lengths, 5), 1u << LONGEST);
    for (used = 0; used < 5; used++) {
        counts[used] = 9;
        dtci_huffman_lengths(lengths, counts, 5, &work);
        assert_int_equal(kraft_of(lengths, 5), 1u << LONGEST);
        assert_int_equal(lengths[used], 1);
        counts[used] = 0;
    }
}

static size_t write_lengths(unsigned char *to, size_t capacity, const uint8_t *lengths, size_t symbols) {
    dtci_bit_writer w;
    size_t bits;
    dtci_bits_begin(&w, to, capacity);
    bits = dtci_lengths_write(&w, lengths, symbols);
    dtci_bits_close(&w);
    assert_false(w.overflow);
    assert_int_equal(w.p - to, (bits + 7) / 8);
    assert_int_equal(dtci_lengths_write(NULL, lengths, symbols), bits);
    return (size_t)(w.p - to);
}

static void test_table(void **state) {
    static uint32_t counts[SYMBOLS];
    static uint8_t lengths[SYMBOLS], back[SYMBOLS];
    static unsigned char table[SYMBOLS];
    uint64_t seed = 2;
    int i;
    (void)state;
    for (i = 0; i < 300; i++) {
        size_t symbols = any_counts(counts, &seed), bytes, size;
        dtci_huffman_lengths(lengths, counts, symbols, &work);
        bytes = write_lengths(table, sizeof table, lengths, symbols);
        memset(back, 77, sizeof back);
        assert_int_equal(dtci_lengths_read(back, symbols, table, bytes), bytes);
        assert_memory_equal(back, lengths, symbols);
        assert_int_equal(back[symbols == SYMBOLS ? 0 : symbols], symbols == SYMBOLS ? lengths[0] : 77);
        assert_int_equal(dtci_lengths_read(back, symbols, table, bytes + 1), bytes); /* streams follow */
        for (size = 0; size < bytes; size++) {
            unsigned char *exact = (unsigned char *)memory(size);
            memcpy(exact, table, size);
            assert_int_equal(dtci_lengths_read(back, symbols, exact, size), 0);
            free(exact);
        }
        if (symbols > 2) assert_int_equal(dtci_lengths_read(back, symbols - 1, table, bytes), 0);
    }
}

/* Of all lengths, only complete codes are read. */
static void test_malformed_table(void **state) {
    static uint8_t lengths[40], back[SYMBOLS];
    static const struct {
        uint64_t bits;
        unsigned n;
        size_t symbols;
    } streams[] = {
        {7 | 3u << 3, 32, 10},                      /* length 0 spelled by z = 0 runs only leaves no code */
        {0x7u | 1u << 6, 12, 4},                    /* eight to fifteen zeros among four symbols */
        {3u | 15u << 3 | 1u << 7, 16, 2},           /* one more than 15 */
        {3u | 0u << 3, 16, 2},                      /* length 0 spelled as a length */
        {3u | 1u << 3 | 5u << 7, 16, 2},            /* one less than 1 */
        {0xffffffffffffffu, 56, SYMBOLS},           /* ones */
        {7, 56, SYMBOLS},                           /* a run of a gamma code without end */
        {3u | 1u << 3 | 1u << 7 | 1u << 13, 16, 3}, /* lengths 1, 2, 2, and padding that is not 0 */
    };
    static unsigned char table[64];
    uint64_t seed = 3;
    size_t i, s;
    int complete = 0;
    (void)state;
    for (i = 0; i < 100000; i++) {
        size_t symbols = 2 + noise_u64(&seed) % 4, bytes;
        for (s = 0; s < symbols; s++) lengths[s] = (uint8_t)(noise_u64(&seed) % 5);
        bytes = write_lengths(table, sizeof table, lengths, symbols);
        if (kraft_of(lengths, symbols) == 1u << LONGEST) {
            assert_int_equal(dtci_lengths_read(back, symbols, table, bytes), bytes);
            complete++;
        } else {
            assert_int_equal(dtci_lengths_read(back, symbols, table, bytes), 0);
        }
    }
    assert_in_range(complete, 1000, 99000);
    for (i = 0; i < LENGTH(streams); i++) {
        dtci_bit_writer w;
        dtci_bits_begin(&w, table, sizeof table);
        dtci_bits_append(&w, streams[i].bits & (((uint64_t)1 << streams[i].n) - 1), streams[i].n);
        dtci_bits_close(&w);
        CHECK(dtci_lengths_read(back, streams[i].symbols, table, (size_t)(w.p - table)) == 0, "stream %zu", i);
    }
}

/* Canonical codes as RFC 1951, 3.2.2 assigns them, compared bit by bit with what the look-ups find; extra bits too. The
 * tables of short inputs have fewer elements. */
static void test_codes(void **state) {
    static uint32_t counts[SYMBOLS], codes[SYMBOLS];
    uint64_t seed = 4;
    int i, j;
    (void)state;
    for (i = 0; i < 100; i++) {
        size_t symbols = any_counts(counts, &seed), s, used, bins;
        uint32_t next[LONGEST + 2] = {0}, code = 0;
        unsigned length;
        dtci_tokens tokens;
        if (i == 0) { /* long codes */
            symbols = 30;
            for (s = 0; s < symbols; s++) counts[s] = 1u << s;
        }
        dtci_huffman_lengths(decoder.lengths, counts, symbols, &work);
        memset(&tokens, 0, sizeof tokens);
        tokens.values = (uint32_t)symbols;
        tokens.runs = 1;
        tokens.value_precision = i % 2 ? 8 : 15;
        for (s = used = 0; s < symbols; s++) used += decoder.lengths[s] > 0;
        bins = i % 3 ? (size_t)50 << i % 7 : 100000;
        assert_true(used < 3 || !dtci_decoder_build(&decoder, &tokens, used - 1, 16));
        assert_true(dtci_decoder_build(&decoder, &tokens, bins > used ? bins : used, i % 4 ? 16 : 6));
        dtci_huffman_codes(codes, decoder.lengths, symbols);
        for (length = 1; length <= LONGEST; length++) {
            next[length] = code;
            for (s = 0; s < symbols; s++) code += decoder.lengths[s] == length;
            code <<= 1;
        }
        for (s = 0; s < symbols; s++) {
            uint32_t reversed = 0;
            unsigned k;
            length = decoder.lengths[s];
            if (!length) {
                assert_int_equal(codes[s], 0);
                continue;
            }
            for (k = 0; k < length; k++) reversed |= (next[length] >> k & 1) << (length - 1 - k);
            next[length]++;
            assert_int_equal(codes[s], reversed << 4 | length);
            for (j = 0; j < 20; j++) { /* whatever bits follow */
                uint64_t bits = reversed | noise_u64(&seed) << length;
                dtci_token found = dtci_token_at(&decoder, bits);
                unsigned extra;
                int32_t start = (int32_t)dtci_class_least((uint32_t)(s + 1) / 2, tokens.value_precision, &extra);
                int32_t more = (int32_t)(bits >> length & ((1u << extra) - 1));
                assert_int_equal(found.width, length + extra);
                assert_int_equal(found.bin, s % 2 ? more + 1 - start - (1 << extra) : start + more);
            }
        }
    }
}

static void test_classes(void **state) {
    unsigned precision;
    (void)state;
    for (precision = 0; precision <= 15; precision++) {
        uint32_t m, last = 0, end = 0;
        for (m = 0; m <= 65535; m++) {
            unsigned extra, again;
            uint32_t number = dtci_class(m, precision, &extra), start = dtci_class_least(number, precision, &again);
            assert_int_equal(extra, again);
            assert_true(start <= m && m - start < 1u << extra);
            if (m < 2u << precision) assert_int_equal(number, m); /* exact */
            if (m && number != last) {                            /* the next class starts where the last one ended */
                assert_int_equal(number, last + 1);
                assert_int_equal(start, end);
            }
            last = number;
            end = start + (1u << extra);
        }
        assert_int_equal(end, 65536);
        for (m = last + 1; m < last + 70000; m++) {
            unsigned extra;
            CHECK(dtci_class_least(m, precision, &extra) > 65535, "class %u, precision %u", (unsigned)m, precision);
        }
    }
}

/* Plans for n bins, counting them first, in tables for `tables` bins, which are full of what the last ones left. */
static dtci_tokens_plan plan_in(size_t tables, const uint16_t *bins, size_t n, unsigned bits) {
    static dtci_arena all;
    dtci_arena arena;
    if (!all.p) {
        all.left = dtci_coder_scratch((size_t)1 << 20, 16);
        all.p = (unsigned char *)memory(all.left);
    }
    arena = all;
    assert_true(dtci_coder_take(&coder, tables, 16, &arena));
    dtci_coder_count(&coder, bins, n, bits);
    return dtci_coder_choose(&coder);
}

/* In tables of all bins and, every other time, in tables for no more than n, which go by ranks where n is small. */
static dtci_tokens_plan plan_for(const uint16_t *bins, size_t n, unsigned bits) {
    static unsigned turn;
    return plan_in(turn++ % 2 ? n : (size_t)1 << 20, bins, n, bits);
}

/* Bins of many shapes: they come back; less memory, or fewer bytes, fail. */
static void test_tokens(void **state) {
    static const size_t counts[] = {1, 2, 3, 63, 64, 65, 500, 4095, 4096, 4097, 4099, 9000, 70000};
    static uint16_t bins[70000], back[70000];
    uint64_t seed = 5;
    unsigned bits;
    size_t c, i;
    int shape;
    (void)state;
    for (bits = 1; bits <= 16; bits++) {
        for (c = 0; c < LENGTH(counts); c++) {
            for (shape = 0; shape < 5; shape++) {
                size_t n = counts[c], size, room, cut;
                uint32_t top = (1u << bits) - 1, bin = 0;
                dtci_tokens_plan plan;
                unsigned char *to, *exact;
                for (i = 0; i < n; i++) {
                    if (shape == 0) bin = (uint32_t)noise_u64(&seed) & top;
                    if (shape == 1) bin = noise_u64(&seed) % 20 ? top / 3 : (uint32_t)noise_u64(&seed) & top;
                    if (shape == 2) bin = top; /* all the same */
                    if (shape == 3) bin = i > n / 2 ? top / 2 : (uint32_t)(i & top);
                    if (shape == 4) bin = (uint32_t)fmin(floor(fabs(noise_laplace(&seed)) * (1 + top / 20)), top);
                    bins[i] = (uint16_t)bin;
                }
                plan = plan_for(bins, n, bits);
                to = (unsigned char *)memory(plan.bytes);
                size = dtci_coder_write(&coder, &plan, to, plan.bytes);
                CHECK(size && size <= plan.bytes && plan.bytes - size <= 4, "%u bits, %zu bins of shape %d", bits, n,
                      shape);
                exact = (unsigned char *)memory(size);
                memcpy(exact, to, size);
                memset(back, 0xee, sizeof back);
                CHECK(dtci_tokens_read(back, n, bits, exact, size, &decoder) == DTC_OK, "%u bits, %zu bins of shape %d",
                      bits, n, shape);
                assert_memory_equal(back, bins, 2 * n);
                if (n < 70000) assert_int_equal(back[n], 0xeeee);
                for (cut = 1; cut <= size; cut += 1 + size / 8)
                    assert_int_equal(dtci_tokens_read(back, n, bits, exact, size - cut, &decoder), DTC_ERROR_PAYLOAD);
                free(exact);
                for (room = 0; room < size; room += room + 9 < size ? 1 + size / 5 : 1) {
                    guarded short_room = guarded_new(room, 0);
                    assert_int_equal(dtci_coder_write(&coder, &plan, short_room.p, room), 0);
                    assert_true(guarded_intact(&short_room, room));
                    guarded_free(&short_room);
                }
                free(to);
            }
        }
    }
}

/* Bins and runs that are longer than there is room for are refused, in whichever stream they are. */
static void test_token_ranges(void **state) {
    static uint16_t bins[6000], back[6000];
    static unsigned char to[12000];
    size_t place, size, i;
    int sparse;
    dtci_tokens_plan plan;
    (void)state;
    for (sparse = 0; sparse < 2; sparse++) { /* with runs, and without */
        for (place = 0; place < 6000; place += 599) {
            for (i = 0; i < 6000; i++) bins[i] = (uint16_t)(sparse ? (i % 50 == 0 ? 6 : 5) : i * i % 61);
            bins[place] = 200;
            plan = plan_for(bins, 6000, 8);
            assert_int_equal(plan.tokens.runs > 1, sparse);
            size = dtci_coder_write(&coder, &plan, to, sizeof to);
            assert_int_equal(dtci_tokens_read(back, 6000, 8, to, size, &decoder), DTC_OK);
            assert_int_equal(dtci_tokens_read(back, 6000, 7, to, size, &decoder), DTC_ERROR_PAYLOAD);
        }
    }
    for (i = 0; i < 500; i++) bins[i] = 5;
    plan = plan_for(bins, 500, 8); /* one run, to the last bin */
    size = dtci_coder_write(&coder, &plan, to, sizeof to);
    assert_int_equal(dtci_tokens_read(back, 500, 8, to, size, &decoder), DTC_OK);
    assert_int_equal(dtci_tokens_read(back, 400, 8, to, size, &decoder), DTC_ERROR_PAYLOAD);
}

static dtci_tokens_plan pairs_for(const uint16_t *bins, size_t n, unsigned bits) {
    dtci_tokens_plan plan = plan_in((size_t)1 << 20, bins, n, bits);
    memset(&plan, 0, sizeof plan);
    dtci_coder_try_pairs(&coder, &plan, SYMBOLS);
    assert_true(plan.tokens.pairs);
    return plan;
}

/* Bins two to a token: they come back, odd ones of a stream and far ones of coarse classes, too. */
static void test_pairs(void **state) {
    static const size_t counts[] = {1, 2, 3, 64, 501, 4095, 4096, 4097, 4098, 4099, 4101, 9001};
    static uint16_t bins[60000], back[9002];
    static unsigned char to[40000];
    uint64_t seed = 7;
    size_t c, i, n, size;
    dtci_tokens_plan plan;
    int far;
    (void)state;
    for (c = 0; c < LENGTH(counts); c++) {
        for (far = 0; far < 3; far++) {
            n = counts[c];
            for (i = 0; i < n; i++) bins[i] = (uint16_t)(100 + floor(2 * noise_gaussian(&seed)));
            for (i = 0; i < n && far; i += 37) bins[i] = (uint16_t)(75 + noise_u64(&seed) % 50);
            if (far == 2) bins[n - 1] = 130;
            plan = pairs_for(bins, n, 8);
            size = dtci_coder_write(&coder, &plan, to, plan.bytes);
            assert_in_range(size, plan.bytes - 4, plan.bytes);
            memset(back, 0xee, sizeof back);
            CHECK(dtci_tokens_read(back, n, 8, to, size, &decoder) == DTC_OK, "%zu bins, %d", n, far);
            assert_memory_equal(back, bins, 2 * n);
            assert_int_equal(back[n], 0xeeee);
            assert_int_equal(dtci_tokens_read(back, n, 8, to, size - 1, &decoder), DTC_ERROR_PAYLOAD);
            if (far == 2) assert_int_equal(dtci_tokens_read(back, n, 7, to, size, &decoder), DTC_ERROR_PAYLOAD);
        }
    }
    for (i = 0; i < 9000; i++) bins[i] = (uint16_t)(40000 + floor(2 * noise_gaussian(&seed)));
    for (i = 1; i < 9000; i += 500) bins[i] = (uint16_t)(39950 + noise_u64(&seed) % 100); /* bins of 16 bits */
    plan = pairs_for(bins, 9000, 16);
    size = dtci_coder_write(&coder, &plan, to, plan.bytes);
    assert_int_equal(dtci_tokens_read(back, 9000, 16, to, size, &decoder), DTC_OK);
    assert_memory_equal(back, bins, 18000);
    for (i = 0; i < 1000; i++) bins[i] = (uint16_t)(i * i % 7); /* one bin less is refused, but for the mode */
    for (i = 0; i < 7; i++) {
        bins[999] = (uint16_t)i;
        plan = pairs_for(bins, 1000, 3);
        size = dtci_coder_write(&coder, &plan, to, sizeof to);
        assert_int_equal(dtci_tokens_read(back, 1000, 3, to, size, &decoder), DTC_OK);
        assert_int_equal(dtci_tokens_read(back, 999, 3, to, size, &decoder),
                         i == plan.tokens.mode ? DTC_OK : DTC_ERROR_PAYLOAD);
    }
    for (i = 0; i < 60000; i++) bins[i] = (uint16_t)(20 + floor(1.9 * noise_gaussian(&seed)));
    plan = plan_for(bins, 60000, 6); /* about 3 bits: whole ones for each would waste some percent */
    assert_true(plan.tokens.pairs);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lengths), cmocka_unit_test(test_length_limit),    cmocka_unit_test(test_few_symbols),
        cmocka_unit_test(test_table),   cmocka_unit_test(test_malformed_table), cmocka_unit_test(test_codes),
        cmocka_unit_test(test_classes), cmocka_unit_test(test_tokens),          cmocka_unit_test(test_token_ranges),
        cmocka_unit_test(test_pairs),
    };
    return cmocka_run_group_tests_name("huffman", tests, NULL, NULL);
}
