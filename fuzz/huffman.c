/* The reader of code lengths and the decoder of tokens on any bytes, with no packet around them. The first bytes of the
 * input are the number of bins, their bits, and the sizes of the table. */

#define DTC_STATIC
#include "fuzz.h"

enum { BINS_MAX = 1 << 13, SYMBOLS_MOST = 4096 };

/* Lengths that are read make a complete code, and what is written of them is read as the same lengths. */
static void check_lengths(const uint8_t *lengths, size_t symbols) {
    static unsigned char written[2 * SYMBOLS_MOST];
    static uint8_t again[SYMBOLS_MOST];
    uint32_t kraft = 0;
    dtci_bit_writer writer;
    size_t i, bits;
    for (i = 0; i < symbols; i++) {
        REQUIRE(lengths[i] <= 15);
        if (lengths[i]) kraft += 1u << (15 - lengths[i]);
    }
    REQUIRE(kraft == 1u << 15);
    dtci_bits_begin(&writer, written, sizeof written);
    bits = dtci_lengths_write(&writer, lengths, symbols);
    dtci_bits_close(&writer);
    REQUIRE(dtci_lengths_read(again, symbols, written, (bits + 7) / 8) == (bits + 7) / 8);
    REQUIRE(memcmp(again, lengths, symbols) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct fuzz_memory bytes_memory, bins_memory;
    static dtci_decoder decoder;
    struct fuzz_input input = {data, size};
    unsigned bits = 1 + fuzz_byte(&input) % 16;
    size_t n = 1 + (fuzz_byte(&input) | (size_t)fuzz_byte(&input) << 8) % BINS_MAX, symbols, used, i;
    uint8_t *bytes;
    uint16_t *bins;
    dtc_status status;
    symbols = 1 + (fuzz_byte(&input) | (size_t)fuzz_byte(&input) << 8) % SYMBOLS_MOST;
    bytes = (uint8_t *)fuzz_lend(&bytes_memory, input.size);
    if (input.size) memcpy(bytes, input.data, input.size);
    memset(&decoder, 0x5a, sizeof decoder);
    used = dtci_lengths_read(decoder.lengths, symbols, bytes, input.size);
    REQUIRE(used <= input.size);
    if (used) check_lengths(decoder.lengths, symbols);
    bins = (uint16_t *)fuzz_lend(&bins_memory, 2 * n);
    status = dtci_tokens_read(bins, n, bits, bytes, input.size, &decoder);
    REQUIRE(fuzz_intact(bins) && (status == DTC_OK || status == DTC_ERROR_PAYLOAD));
    for (i = 0; i < n && status == DTC_OK; i++) REQUIRE(bins[i] < 1u << bits);
    return 0;
}
