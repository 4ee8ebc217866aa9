/* dtcodec.h: small self-describing packets for gradients and parameters, in one C99 header.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the dtcodec authors
 *
 * Turns float arrays into packets that are smaller than the floats and back, for any trainer over any transport.
 */

/* ====================================================================================================================
 * MANUAL
 * ====================================================================================================================
 *
 * FIRST USE
 *
 * In exactly one file of the program:
 *
 *     #define DTCODEC_IMPLEMENTATION
 *     #include "dtcodec.h"
 *
 * and in every other one the #include alone. (Or, with DTC_STATIC defined before it, in any file: each then has a copy
 * of its own.) To send:
 *
 *     dtc_spec spec;
 *     dtc_spec_parse("quant:bits=auto", &spec, NULL);
 *     size_t capacity = dtc_encode_bound(&spec, count), scratch_bytes = dtc_encode_scratch(&spec, count), bytes;
 *     void *packet = malloc(capacity), *scratch = malloc(scratch_bytes);
 *     dtc_status status = dtc_encode(&spec, packet, capacity, &bytes, gradient, count, scratch, scratch_bytes);
 *
 * and to receive:
 *
 *     dtc_info info;
 *     status = dtc_inspect(packet, bytes, &info);
 *     void *scratch = malloc(info.decode_scratch);
 *     status = dtc_decode_add(sum, count, 1.0f / workers, packet, bytes, NULL, scratch, info.decode_scratch);
 *
 * Buffers may be kept from step to step: the bound, and scratch for encoding, depend on the spec and the count alone.
 *
 * WHICH CODEC
 *
 *     raw         no loss as fp32; bf16 and fp16 halve the bytes with hardly any. NaN and infinity pass unchanged.
 *     ternary     1.0 to 1.6 bits a value, unbiased, noisy: for gradients, with dtc_encode_residual.
 *     quant       1 to 16 bits on a grid, entropy coded. bits=auto where you do not want to think: gradients or
 *                 parameters, about 3 to 5 bits. bits=N with a residual for less. max-error=E where every value
 *                 counts; rate=B where the bytes do; min=,max= where workers must share one grid. rotate=1,rate=B
 *                 for the least squared error without bias, at 1 to 8 bits and whatever the values are like; sparse
 *                 ones do better without.
 *     factor      matrices, rows=M, as sums of few outer products. The gradient of a dense layer is one of its deltas
 *                 and inputs: dtc_encode_factors sends those to the bit. Or the nearest matrix of a rank, with a
 *                 residual: half a bit a value where a rank of 4 stands for 392 x 784.
 *     sensing     arrays that are zero, or nearly, but for few values whose places are not known beforehand: `ratio`
 *                 measurements a value, in all of which every value of a block has its part, and from which the
 *                 decoder finds them. It sends no places, and packets of one seed and scale measure the sum of their
 *                 values when they are added. Gradients are not that sparse: there quant is better at as many bits,
 *                 and far faster.
 *     circulant   block-circulant matrices as their vectors, to the bit: for the layers of dtcodec_fft.h, whose n x n
 *                 weights are n values. Not for dense gradients: it sends the projection onto the nearest circulant
 *                 matrix, and that keeps next to nothing of them.
 *
 * Spec text is CODEC[:KEY=VALUE[,KEY=VALUE]...]. Every key can be left out:
 *
 *     raw         type=fp32|bf16|fp16
 *     ternary     clip=2.5  scale=auto|S  pack=huffman|base3
 *     quant       bits=auto|1..16  floor=6  probe=4  sample=0.03  rate=BITS  max-error=E  rounding=nearest|stochastic
 *                 entropy=huffman|none  grid=zero|even  rotate=0|1  min=auto|X  max=auto|X
 *     factor      rank=4  value=fp32|bf16|fp16|1..16
 *     sensing     ratio=0.25  bits=4|1..16|32  scale=auto|S
 *     circulant   value=fp32|bf16|fp16|1..16
 *     all         rows=M  seed=S  block=N  workers=K  checksum=1|0
 *
 * Of bits, rate and max-error, give one at the most; dtc_spec, below, tells what each means, and its range.
 *
 * ADDING PACKETS
 *
 * Packets of integers add where they are on one grid. So the workers first agree on it, by a maximum of one float a
 * tensor:
 *
 *     spec.workers = workers;                             room for the sum
 *     range = the largest |x| of all workers;             by any reduction; with error feedback, of x + residual
 *     spec.quant.min_given = spec.quant.max_given = 1;
 *     spec.quant.min = -range, spec.quant.max = range;    ternary.scale = range, bounded by 2.5 sigma first;
 *                                                         sensing.scale = (1.35 + 0.33 bits) sigma, one seed for all
 *     dtc_encode_residual(&spec, packet, ...);            each worker
 *     dtc_packet_add(sum, ..., a, ..., b, ...);           anywhere, in any order
 *     dtc_decode_add(mean, count, 1.0f / info.terms, sum, ...);
 *
 * with info what dtc_inspect tells of the sum.
 *
 * GLOSSARY
 *
 *     value       one float of the array to be sent
 *     packet      what encoding makes of an array: head, payload, checksum. It tells its own size, so that packets can
 *                 be written one after another and walked with dtc_inspect
 *     spec        how to encode; also as text
 *     bin         one interval of a quantizer, and its number
 *     scale       what a packet's integers are multiplied with
 *     block       consecutive values that share one scale; or, in sensing, their measurements (a power of two, 256 to
 *                 65536, the default); or, in circulant, a square of the matrix
 *     factors     vectors u_k and v_k of a matrix that is the sum over k < rank of u_k v_k^T
 *     residual    what has not been sent yet; added to the next values (error feedback)
 *     workers     how many packets a sum may have room for; terms: how many are in it
 *     scratch     working memory of one call, the caller's
 *
 * CONTRACTS
 *
 *   - Nothing is allocated, no state is kept, nothing is read but the arguments: the same call gives the same bytes, in
 *     any thread. Random numbers are a hash of the seed and the value's index: give every tensor of every step and
 *     worker a seed of its own, or their errors are the same.
 *   - Scratch, packets and values may have any alignment. Inputs and outputs must not overlap.
 *   - On failure *packet_bytes is 0, nothing outside the stated capacity was written, and `values` and `residual` are
 *     untouched: a payload is found to be sound before the first value is written.
 *   - A NaN or an infinity to encode is DTC_ERROR_NONFINITE, but for raw without a residual, which carries it.
 *   - Empty, constant, all-zero and denormal tensors all work. Constant ones cost no payload in quant, all-zero ones
 *     none in ternary and four bytes in factor.
 *   - A packet is never larger than 4 * count + its head: what would not shrink is stored as raw fp32 (dtc_info.codec
 *     says so). With fixed-width packing (entropy=none, pack=base3) the size depends on the spec and the count alone
 *     if workers > 1, so that sums have the size of their terms.
 *   - A packet holds at most 2^30 - 256 values.
 *   - Decoding gives the same bits on every platform, compiler, optimization and -ffast-math. Two things are the
 *     processor's: one set to flush denormals gives zeros for them, and x87 arithmetic (32-bit x86 without
 *     -mfpmath=sse) may round the sums of dtc_decode_add, and those of factor, otherwise in the last bit.
 *   - But sensing iterates in floats, which other compilers round otherwise: to some 1e-6 of a block's norm, or, where
 *     the rule that ends it falls otherwise too, to a twentieth of its error. Replicas that must stay equal should
 *     decode it once and pass on what came out. Its residual, too, is what the receiver does not see to that precision,
 *     and if it decodes by AUTO, and each packet alone: of a sum, only the linear estimate is the sum of the estimates.
 *     With a residual each step needs a seed of its own: what one seed's rows do not measure, it never does.
 *   - A rotated tensor's mean over the seeds is the tensor itself to within 1e-5 of its squared norm, if its parts are
 *     of 512 values or more; smaller ones keep something of their shape. rounding=stochastic has no such limit.
 *   - Encoding uses exactly rounded operations in a fixed order, but for rate=, which searches with the C library's
 *     log2 and exp2. What a compiler is allowed to change of that (FMA, -ffast-math) can move the last bit of a scale,
 *     or of an approximation's factors, or a value at the very border of two bins. Either way every receiver decodes
 *     the same packet to the same bits.
 *   - Decoders trust nothing in a packet. What a packet can cost is bounded by the caller's count and scratch, and
 *     linear in them; but in factor it is count * rank, which dtc_inspect tells, and less than count^1.5 / 2; and in
 *     sensing dtc_decode_options bounds the rounds.
 *
 * CONFIGURATION
 *
 *     DTCODEC_IMPLEMENTATION     the functions, in this file
 *     DTC_STATIC                 the functions, static, in every file that defines it
 *     DTC_NO_TERNARY DTC_NO_QUANT DTC_NO_FACTOR DTC_NO_SENSING DTC_NO_CIRCULANT
 *                                leave a codec out; it is then DTC_ERROR_CODEC. raw is always there: the others store
 *                                through it. What they quantize needs quant: sensing then takes bits=32 alone
 *     DTC_NO_SIMD                leave out vector types, and what asks the processor for more than the compiler counts
 *                                on: AVX2 and the CRC instruction of x86-64. Packets and values are the same
 *     DTC_SIMD_FROM              bytes of floats from which on it is asked, each call anew: 131072, for under a
 *                                hypervisor asking takes ten microseconds and more. Elsewhere 4096 would do
 *
 * ====================================================================================================================
 * WIRE FORMAT, version 0
 * ====================================================================================================================
 *
 * Integers are little-endian, floats IEEE 754. A decoder refuses a packet at the first violation, with the status
 * given.
 *
 * HEAD
 *
 *     offset  size  field                                     range; else
 *     0       1     magic                                     0xd7; MAGIC
 *     1       1     codec (bits 0..3), wire version (4..7)    codec 0..5; CODEC. version 0; WIRE_VERSION
 *     2       1     flags: 1 checksum, 2 rows, 4 block,       bits 5..7 zero; HEAD
 *                   8 workers, 16 seed
 *     3       1     variant, the codec's own                  see there; HEAD
 *     4       4     count                                     at most 0x3fffff00; LIMIT
 *     8       4     packet_bytes, from magic to checksum      what the fields imply; SIZE. No more than there are;
 *                                                             TRUNCATED
 *     12      4     rows, if flagged                          1..count, and divides it; HEAD
 *     +       4     block, if flagged                         1..count-1; HEAD
 *     +       2+2   workers, terms, if flagged                2..65535, 1..workers; HEAD
 *     +       8     seed, if flagged                          not 0, and of a codec that has one; HEAD
 *     +       …     payload
 *     end-4   4     CRC-32C of all before it, if flagged      matches; CHECKSUM
 *
 * Without block all values are one block; without workers both are 1. Let blocks = ceil(count / block).
 *
 * RAW: variant 0 fp32, 1 bf16, 2 fp16; no block. The payload is the values.
 *
 * TERNARY: a value is (digit - terms) * scale. The payload is a scale (fp32, finite; PAYLOAD) a block, and by variant
 *
 *     0  ceil(count / 5) bytes of five digits 0..2 each: groups of 32 bytes for 160 values, in plane order: byte j is
 *        d[j] + 3 d[32+j] + 9 d[64+j] + 27 d[96+j] + 81 d[128+j]. The last group may have n < 160 values, then
 *        ceil(n / 5) bytes and that stride. A byte is at most 242; PAYLOAD. terms is 1; HEAD
 *     1  the same bytes as TOKENS of 8 bits
 *     2  FIELDS of the bits that hold 2 * workers
 *     3  nothing: every digit is terms
 *     4  TOKENS of bins that hold g digits below b = 2 * terms + 1: g is 3 of two terms, 2 of three to seven, else 1. n
 *        digits, 1280 at a time, make s = ceil(n / g) bins, j being d[j] + b d[s+j] + b^2 d[2s+j], less than b^g
 *        (PAYLOAD), of 8 bits, or, where g is 1, of those that hold 2 * workers. terms is 2 or more; HEAD. In fewer
 *        bytes than
 *     5  FIELDS as in 2
 *
 * workers is at most 32767; HEAD.
 *
 * QUANT: variant: bits - 1 (bits 0..3), grid even (4), coding (5..6), rotated (7), which alone has a seed.
 * workers * 2^bits is at most 2^24, blocks at most count / 2; HEAD. A block has 8 bytes of grid, if it is not rotated:
 *
 *     zero  step (fp32, finite), lowest (int32, |lowest| * workers <= 2^24); PAYLOAD.
 *           A field f decodes to (f + terms * lowest) * step
 *     even  offset (fp32, finite), half (fp32, finite; 0 or |offset| * workers <= 2^28 |half|); PAYLOAD.
 *           A field f decodes to terms * offset + (2 f + terms) * half
 *
 * computed in double, where it is exact, bounded to +-FLT_MAX and rounded to fp32 once. After the grids, by coding
 *
 *     0  FIELDS of the bits that hold workers * (2^bits - 1)
 *     1  TOKENS of bins b = f + terms * (lowest - the least lowest of all blocks), so that equal multiples of equal
 *        steps are equal bins in every block; of as many bits as hold the largest such b, which must be at most 16;
 *        PAYLOAD. (even: b = f.)
 *     2  nothing: every f is 0
 *     3  FIELDS as in 0, where tokens were not smaller
 *
 * Rotated, a block is cut into parts: as many of 2^16 values as there are, then one of 2^L for each bit L of the rest,
 * the largest first. There are at most count / 2 parts, bits is at least 2 unless even, and workers * 2^bits at most
 * 2^14; HEAD. Instead of grids there is a step (fp32, finite; PAYLOAD) a part. A field f is the integer
 * k = f - terms * (2^(bits-1) - 1), even: 2 f + terms - terms * 2^bits; bins are fields. A part's values are s H k
 * times step / 2^ceil(L/2): H is the Hadamard matrix of size 2^L, its element in row i and column j being 1 or -1 by
 * the parity of i & j, summed modulo 2^32 and taken as a signed integer; s is -1 where bit i % 32 of random number 2^31
 * + floor(i / 32) is set, i counting the packet's values.
 *
 * RANDOM NUMBERS: number i of a seed is
 *
 *     x = i * 0x9e3779b9 + low(key);  x = (x ^ x >> 16) * 0x7feb352d;
 *     x = (x ^ x >> 15) * 0x846ca68b + high(key);  x ^ x >> 16
 *
 * modulo 2^32, the key's halves being those of seed + 0x9e3779b97f4a7c15 after twice x = (x ^ x >> 32) *
 * 0xd6e8feb86659fd93, and x ^ x >> 32, modulo 2^64.
 *
 * FACTOR: variant 0, with rows and without a block; HEAD. Let columns = count / rows. The payload is rank (uint32,
 * rank * (rows + columns) < count; HEAD) and, unless that is 0, u, rank x rows, and v, rank x columns, as NESTED
 * packets (no room for two; SIZE). Value [i][j] is the sum, in double, over k = 0, 1, … of u[k][i] * v[k][j], which is
 * exact there; rounded to fp32 once and bounded to +-FLT_MAX.
 *
 * SENSING: variant 0; block a power of two, 256..65536; without it, it is taken to be 65536, or the least power of two
 * that holds the count, if that is less. The payload is m (uint32, 1..block; HEAD), and as one NESTED packet, which has
 * the workers and terms of the head, the measurements of one block after the other. n values x have ceil(n m / block)
 * measurements. N is the least power of two that holds n; but if m = block, what is left of the array after its whole
 * blocks is cut as rotated parts are, into blocks of its own. Let s be x with the seed's signs, as in rotation, and
 * zeros up to N. The measurements are a choice of the N sums over j of s[j] (-1)^(ones in i AND j), divided by sqrt(N),
 * in ascending i: with `left` of them still to be chosen, i is one if floor(r (N - i) / 2^32) < left, where r is the
 * seed's random number 0xc0000000 + i.
 *
 * CIRCULANT: variant 0, with rows; HEAD. A matrix of rows x columns is cut into blocks of b x b, of which the last may
 * reach beyond it, b being block, or without it the larger of rows and columns. Their vectors are v values c, v =
 * ceil(rows / b) * ceil(columns / b) * b, one row of blocks after the other; v + 3 <= count; HEAD. The payload, of 12
 * to 4 * count bytes (SIZE), is the NESTED packet of the c. At row i and column j of a block stands its c[(i - j) mod
 * b].
 *
 * NESTED: whole packets of raw or quant, not rotated, without checksum, rows or seed, and in factor and circulant
 * without workers; of as many values as their place takes, none of which is NaN or infinite. Any violation in them is
 * PAYLOAD.
 *
 * FIELDS are unsigned integers of N bits, 256 to a group. A group's fields are cut into parts of 8, 4, 2 and 1 bits (as
 * many eights as N holds, then at most one of each), low bits first. Each part of p bits fills 32 p bytes, in plane
 * order: byte j holds the parts of elements j, 32p + j, 2*32p + j, … from its low bits up. What is left after the last
 * whole group is a bit stream of N bits each, low bits first, its last byte filled up with zeros; PAYLOAD.
 *
 * TOKENS are Huffman-coded bins, n of them, in 1 stream if n < 4096, else in 4 of ceil(n / 4) bins each, the last one
 * shorter. All bits stand low first.
 *
 *     size  field
 *     2     mode, the commonest bin                           below 2^bits
 *     1     value precision (bits 0..3), run precision (4..7)
 *     2     values, 2 or more                                 values * runs <= 4096
 *     2     runs, 1 or more; 0: pairs                         pairs: values * values <= 4096, run precision 0
 *     4     bytes of each stream but the last
 *     …     lengths of values * runs codes, to the end of a byte
 *     …     streams, each to the end of a byte
 *
 * With a precision p, an integer m below 2^(p+1) is its own class and has no extra bits. A larger one, shifted down by
 * s so that it lies in [2^p, 2^(p+1)), is of class s 2^p + (m >> s), and its s low bits are the extra bits. A token is
 * a run of r modes followed by one bin b. Its symbol is class(r) * values + v, where v is 0 for the mode, and else,
 * with c = class(|b - mode|), 2c above the mode and 2c - 1 below it. After the symbol's code follow the extra bits of
 * r, then those of |b - mode|, the latter inverted below the mode. A stream ends with a token's bin, in its last byte,
 * the rest of which is zero.
 *
 * In pairs a token is two bins a, b instead: its symbol is v(a) * values + v(b), then come the extra bits of a, then
 * those of b. Where a stream has an odd number of bins, its last token's second one is the mode, and is left out.
 *
 * Code lengths are 1..15, or 0 for a symbol that does not occur, and make a complete canonical code (RFC 1951, 3.2.2;
 * the code's first bit stands lowest). Each is written as one of
 *
 *     0                 the same as the last that was not zero (at first: 8)
 *     1 0 b             one more (b = 0) or one less (b = 1) than that
 *     1 1 0 llll        l
 *     1 1 1 z×0 1 x…x   zero, n times, n = 2^z + x, x of z bits
 *
 * Any violation in tokens is PAYLOAD.
 *
 * EXAMPLES, each with the spec and the values that make it
 *
 * PACKET raw:type=bf16 : 1 -2 0.5
 *   d7 00 01 01 | magic; raw, version 0; with a checksum; bf16
 *   03 00 00 00 | count
 *   16 00 00 00 | packet_bytes
 *   80 3f 00 c0 00 3f | values
 *   5c 6c e8 f9 | checksum
 *
 * PACKET ternary:pack=base3,seed=7 : 1 -1 1 -1 0 0 1
 *   d7 01 01 00 | magic; ternary; with a checksum; five digits a byte
 *   07 00 00 00 | count
 *   16 00 00 00 | packet_bytes
 *   00 00 80 3f | scale 1
 *   98 75 | digits 2 2 1 2 1 and 0 0 1 1 1: of values 0 2 4 6 and 1 3 5, the last ones' fill being 1
 *   bf 17 ce c1 | checksum
 *
 * PACKET quant:bits=3,entropy=none : -3 -2 -1 0 1 2 3 4
 *   d7 02 01 02 | magic; quant; with a checksum; 3 bits, grid zero, fields
 *   08 00 00 00 | count
 *   1b 00 00 00 | packet_bytes
 *   00 00 80 3f fd ff ff ff | step 1, lowest -3
 *   88 c6 fa | 0 1 2 3 4 5 6 7, three bits each
 *   de 00 4c cd | checksum
 *
 * PACKET quant:bits=4 : 7 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 -8 0 0 0 0 0 0 0 0 0 0
 *   d7 02 01 23 | magic; quant; with a checksum; 4 bits, grid zero, tokens
 *   20 00 00 00 | count
 *   27 00 00 00 | packet_bytes
 *   00 00 80 3f f8 ff ff ff | step 1, lowest -8
 *   08 00 0f | mode 8; values exact, runs not coded
 *   10 00 01 00 | 16 values, 1 run
 *   8b 63 03 | lengths: 1, thirteen 0, 2, 2; so 0 is coded 0, 7 is 10 and -8 is 11
 *   01 00 c0 00 00 | 10, twenty times 0, 11, ten times 0
 *   9d 28 e3 96 | checksum
 *
 * PACKET quant:rotate=1,bits=3,entropy=none,seed=9 : 8 0 0 0 0 0 0 0
 *   d7 02 11 82 | magic; quant; with a checksum and a seed; 3 bits, grid zero, fields, rotated
 *   08 00 00 00 | count
 *   1f 00 00 00 | packet_bytes
 *   09 00 00 00 00 00 00 00 | seed 9
 *   ab aa aa 3f | step 4/3 of the one part; over 2^ceil(3/2) it is 1/3
 *   b6 6d db | 6, eight times, three bits each: k = 3. Of H k the first is 24 and the others 0
 *   70 f5 d8 73 | checksum
 *
 * PACKET quant : 2.5 2.5 2.5
 *   d7 02 01 45 | magic; quant; with a checksum; 6 bits, grid zero, constant
 *   03 00 00 00 | count
 *   18 00 00 00 | packet_bytes
 *   00 00 20 40 01 00 00 00 | step 2.5, lowest 1
 *   f3 af e3 79 | checksum
 *
 * PACKET factor:rank=1,rows=4,value=bf16 : 4 4 -4 4 4 4 -4 4 -4 -4 4 -4 4 4 -4 4
 *   d7 03 03 00 | magic; factor; with a checksum and rows
 *   10 00 00 00 | count
 *   40 00 00 00 | packet_bytes
 *   04 00 00 00 | rows
 *   01 00 00 00 | rank
 *   d7 00 00 01 04 00 00 00 14 00 00 00 | a packet of raw, bf16, of 4 values
 *   00 40 00 40 00 c0 00 40 | u_0: 2 2 -2 2
 *   d7 00 00 01 04 00 00 00 14 00 00 00 | and another
 *   00 40 00 40 00 c0 00 40 | v_0: 2 2 -2 2
 *   ff 79 0b 3c | checksum
 *
 * PACKET sensing:ratio=0.5,bits=32,seed=2 : 0 0 0 0 0 8 0 0 0 0 0 0 0 0 0 0
 *   d7 04 11 00 | magic; sensing; with a checksum and a seed
 *   10 00 00 00 | count
 *   48 00 00 00 | packet_bytes
 *   02 00 00 00 00 00 00 00 | seed
 *   08 00 00 00 | measurements of a block
 *   d7 00 00 00 08 00 00 00 2c 00 00 00 | nested: raw, of 8 values
 *   00 00 00 c0 00 00 00 40 00 00 00 c0 00 00 00 c0 | -2 2 -2 -2
 *   00 00 00 40 00 00 00 c0 00 00 00 40 00 00 00 c0 | 2 -2 2 -2
 *   4d f3 12 b0 | checksum
 *   VALUES 1 1 -0 0 2 4 -1 1 1 -1 0 -2 0 -0 1 -1
 *
 * PACKET circulant:rows=3 : 1 3 2 2 1 3 3 2 1
 *   d7 05 03 00 | magic; circulant; with a checksum and rows
 *   09 00 00 00 | count
 *   2c 00 00 00 | packet_bytes
 *   03 00 00 00 | rows
 *   d7 00 00 00 03 00 00 00 18 00 00 00 | a packet of its own: raw fp32, 3 values, 24 bytes
 *   00 00 80 3f 00 00 00 40 00 00 40 40 | 1 2 3, the first column, and down each wrapped diagonal
 *   fe ac 96 f9 | checksum
 */

/* ====================================================================================================================
 * DECLARATIONS
 * ==================================================================================================================*/

#ifndef DTCODEC_H
#define DTCODEC_H

#include <stddef.h>
#include <stdint.h>

#define DTC_VERSION_MAJOR 0
#define DTC_VERSION_MINOR 2
#define DTC_VERSION_PATCH 0

#define DTC_WIRE_VERSION 0 /* counted apart from the library's version; 0 may still change */

#if defined(DTC_STATIC) && defined(__cplusplus)
#define DTC_API inline /* with external linkage, which a C++20 module can export */
#elif defined(DTC_STATIC)
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
    DTC_ERROR_ARGUMENT = 10,   /* a null pointer, a count past 2^30 - 256, or a weight that is not finite */
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
    DTC_ERROR_CODEC = 41, /* this codec is unknown, left out of this build, or not the one that the call is for */

    /* numeric */
    DTC_ERROR_NONFINITE = 50, /* a value to encode is NaN or infinite */

    /* caller's limit */
    DTC_ERROR_LIMIT = 60, /* the packet needs more than this machine or the options allow */

    /* incompatible packets: their sum would not be exact, or no packet */
    DTC_ERROR_INCOMPATIBLE = 70,         /* the sum would be larger than the values themselves */
    DTC_ERROR_INCOMPATIBLE_CODEC = 71,   /* of different codecs */
    DTC_ERROR_INCOMPATIBLE_COUNT = 72,   /* of different counts */
    DTC_ERROR_INCOMPATIBLE_SHAPE = 73,   /* of different rows, or numbers of measurements */
    DTC_ERROR_INCOMPATIBLE_BLOCK = 74,   /* of different blocks */
    DTC_ERROR_INCOMPATIBLE_SEED = 75,    /* rotated, or measured, by different seeds */
    DTC_ERROR_INCOMPATIBLE_GRID = 76,    /* of different scales, steps, or bits */
    DTC_ERROR_INCOMPATIBLE_PACKING = 77, /* of different types, or one of fixed width and one entropy coded */
    DTC_ERROR_INCOMPATIBLE_WORKERS = 78, /* of different workers */
    DTC_ERROR_TERMS = 79                 /* together they are sums of more packets than `workers` has room for */
} dtc_status;

/* One sentence on a status: what was wrong and what to do. Never NULL; static storage. */
DTC_API const char *dtc_status_string(dtc_status status);

typedef enum dtc_type { DTC_TYPE_FP32 = 0, DTC_TYPE_BF16 = 1, DTC_TYPE_FP16 = 2 } dtc_type;
typedef enum dtc_pack { DTC_PACK_HUFFMAN = 0, DTC_PACK_BASE3 = 1 } dtc_pack;
typedef enum dtc_rounding { DTC_ROUNDING_NEAREST = 0, DTC_ROUNDING_STOCHASTIC = 1 } dtc_rounding;
typedef enum dtc_entropy { DTC_ENTROPY_HUFFMAN = 0, DTC_ENTROPY_NONE = 1 } dtc_entropy;
typedef enum dtc_grid { DTC_GRID_ZERO = 0, DTC_GRID_EVEN = 1 } dtc_grid;

/* How factors and vectors are held in a packet: as floats of a type, or, where bits is 1..16, quantized to 2^bits
 * bins. */
typedef struct dtc_value {
    dtc_type type;
    int bits;
} dtc_value;

/* How to encode. All-zero fields mean defaults; the ranges below are of fields that are not zero. */
typedef struct dtc_spec {
    dtc_codec codec;
    uint64_t seed;    /* of the stochastic codecs; give every encoded tensor its own */
    size_t rows;      /* shape: count = rows * columns, rows divides count; 0: a vector */
    size_t block;     /* values that share one scale; 0: the whole tensor. circulant: rows, and columns, of a block; 0:
                       * the larger of the matrix's rows and columns */
    uint32_t workers; /* room for sums of this many packets, 1..65535 (ternary: 32767; quant: over 2^bits); 0: 1 */
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
        float rate;      /* in place of bits: packet bits a value, 0.05..32; 0: unset. Where not even the head fits,
                          * of the values alone */
        float max_error; /* in place of bits: no value is off by more than this, > 0; 0: unset */
        dtc_rounding rounding;
        dtc_entropy entropy;
        dtc_grid grid;
        int rotate;    /* nonzero: a randomized Hadamard transform first, by the seed, which travels; bits at most 14,
                        * workers * 2^bits at most 16384, no max_error, min = -max if given */
        int min_given; /* nonzero: the range starts at min, and values below are clipped to it */
        int max_given;
        float min;
        float max;
    } quant;

    struct {
        int rank;        /* of the approximation, 1..65535; 0: 4 */
        dtc_value value; /* how the factors are held */
    } factor;

    struct {
        float ratio; /* measurements to values, (0, 1]; 0: 0.25 */
        int bits;    /* of a measurement: 1 (signs) .. 16, or 32 (fp32); 0: 4 */
        float scale; /* > 0: the measurements' range is +-scale, shared by the workers; 0: a block's own. They are about
                      * as large as the values' root mean square: three times that suits 4 bits, four times 8 */
    } sensing;

    struct {
        dtc_value value; /* how the vectors are held */
    } circulant;
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
 * Errors: ARGUMENT, SPEC, CODEC, CAPACITY, SCRATCH, NONFINITE. */
DTC_API dtc_status dtc_encode(const dtc_spec *spec, void *packet, size_t capacity, size_t *packet_bytes,
                              const float *values, size_t count, void *scratch, size_t scratch_bytes);

/* Error feedback (Seide et al. 2014; Karimireddy et al. 2019): encodes x = values + residual, summed in fp32, and
 * leaves in residual[i] = x[i] - decoded[i], what the receiver does not see. Start with a residual of zeros; it is the
 * caller's state: save it in checkpoints. Untouched on failure. */
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

/* How sensing finds values behind fewer measurements y = A x. */
typedef enum dtc_method {
    DTC_METHOD_AUTO = 0,  /* approximate message passing; all rows measured: the linear estimate, which is then exact */
    DTC_METHOD_ISTA = 1,  /* x <- soft(x + A^T (y - A x), lambda): the slow reference of FISTA */
    DTC_METHOD_FISTA = 2, /* least |y - A x|^2 / 2 + lambda |x|_1, lambda = max |A^T y| / 1024 */
    DTC_METHOD_LINEAR = 3 /* A^T y: cheap, and linear, so that it may as well be added up before as after */
} dtc_method;

/* What the caller allows a packet to cost. NULL or all-zero: defaults. */
typedef struct dtc_decode_options {
    int skip_checksum;       /* nonzero: do not verify the CRC-32C, if there is one */
    uint32_t max_iterations; /* of sensing, for each of its blocks; 0: AUTO 50, FISTA 200, ISTA 1000. Each takes time
                              * as the logarithm of the block, times the count */
    float tolerance;   /* of sensing. AUTO stops where the noise falls by less than this part of it, twice; 0: .05.
                        * ISTA, FISTA: where x moves by less than this part of its length; 0: 1e-5 */
    dtc_method method; /* of sensing; unknown ones are DTC_ERROR_ARGUMENT */
} dtc_decode_options;

/* Decodes one packet of exactly packet_bytes bytes into values[0..count); count must be the packet's own.
 * Values are written only once nothing can fail any more: untouched on failure.
 * Errors: all of dtc_inspect's, and COUNT, SCRATCH, CHECKSUM, PAYLOAD, SIZE (bytes follow the packet). */
DTC_API dtc_status dtc_decode(float *values, size_t count, const void *packet, size_t packet_bytes,
                              const dtc_decode_options *options, void *scratch, size_t scratch_bytes);

/* values[i] += weight * decoded[i], in one pass: the product exact in double, the sum rounded to fp32. */
DTC_API dtc_status dtc_decode_add(float *values, size_t count, float weight, const void *packet, size_t packet_bytes,
                                  const dtc_decode_options *options, void *scratch, size_t scratch_bytes);

/* Computing with packets ("homomorphic compression", Jang et al. 2017)
 *
 * A packet tells how many it is the sum of (dtc_info.terms) and has room for sums of `workers`, which the spec gives.
 * Packets add that agree in codec, count, rows, block and workers, and further
 *
 *     raw         in type: the sum is rounded to it
 *     ternary     in scale (scale=S), and both pack=base3 or neither: exact
 *     quant       in bits, grid (min=, max=) and rotate's seed, and both entropy=none or neither: exact
 *     factor      the ranks concatenate: exact, while that is smaller than the matrix
 *     sensing     in seed, ratio, bits and scale (scale=S): sums of measurements, exact but for bits=32
 *     circulant   vectors' sums, in fp32, or in the type of both
 *
 * Sums of integers are exact and come out the same, to the byte, in whatever order packets are added; with entropy=none
 * or pack=base3 they also have the size of their terms, so that a network may reduce them in place. */

/* Bytes that are enough for the sum of two packets; 0: by their heads they do not add, and dtc_packet_add tells why. */
DTC_API size_t dtc_packet_add_bound(const void *a, size_t a_bytes, const void *b, size_t b_bytes);

/* Bytes of scratch that dtc_packet_add needs for them; may be 0. */
DTC_API size_t dtc_packet_add_scratch(const void *a, size_t a_bytes, const void *b, size_t b_bytes);

/* sum = a + b, without decoding them. sum may be a or b, if it has the capacity; on failure *sum_bytes is 0, and what
 * sum points to is unspecified within `capacity`.
 * Errors: all of dtc_decode's, CAPACITY, and INCOMPATIBLE in its kinds. */
DTC_API dtc_status dtc_packet_add(void *sum, size_t capacity, size_t *sum_bytes, const void *a, size_t a_bytes,
                                  const void *b, size_t b_bytes, void *scratch, size_t scratch_bytes);

/* packet = weight * packet, in place, rounding its scales (ternary, quant, sensing) or its values to their type. The
 * packet is untouched on failure. Errors: ARGUMENT (weight is not finite), those of dtc_inspect, CHECKSUM, PAYLOAD,
 * NONFINITE (a scale would not be finite). */
DTC_API dtc_status dtc_packet_scale(void *packet, size_t packet_bytes, float weight);

/* Bytes of scratch that dtc_packet_matvec needs; 0: it is no packet. */
DTC_API size_t dtc_packet_matvec_scratch(const void *packet, size_t packet_bytes, int transposed);

/* y = W x, W being the packet's matrix of rows x columns (dtc_inspect), or y = W^T x if transposed, without holding W
 * decoded. x has columns floats and y has rows; transposed, the other way round. Sums are in double, then bounded to
 * +-FLT_MAX. Factors take rank * (rows + columns) operations, circulant matrices all rows * columns: dtcodec_fft.h has
 * dtc_fft_packet_matvec, which takes O(n log n).
 * Errors: as dtc_decode, but COUNT. y is untouched on failure. */
DTC_API dtc_status dtc_packet_matvec(float *y, const void *packet, size_t packet_bytes, const float *x, int transposed,
                                     void *scratch, size_t scratch_bytes);

/* Bytes of scratch that dtc_encode_factors needs; may be 0. */
DTC_API size_t dtc_encode_factors_scratch(const dtc_spec *spec, size_t rank, size_t rows, size_t columns);

/* Encodes the matrix sum over k < rank of u_k v_k^T by its factors (Xie et al., UAI 2016), as is the gradient of a
 * dense layer's weights: u_k the deltas of sample k, v_k its inputs. u is rank x rows, v is rank x columns, row-major.
 * With value=fp32 the receiver gets them to the bit. spec->codec is DTC_FACTOR; its rows and rank are not looked at.
 * dtc_encode_bound of this spec with `rows`, and rows * columns values, is enough. Where rank * (rows + columns) is no
 * smaller than rows * columns, the packet holds the product as raw fp32 instead.
 * Errors: ARGUMENT, SPEC, CODEC, CAPACITY, SCRATCH, NONFINITE (of u and v; a product is bounded to +-FLT_MAX). */
DTC_API dtc_status dtc_encode_factors(const dtc_spec *spec, void *packet, size_t capacity, size_t *packet_bytes,
                                      const float *u, const float *v, size_t rank, size_t rows, size_t columns,
                                      void *scratch, size_t scratch_bytes);

/* Gives the factors of a packet: u is *rank x rows, v is *rank x columns. On entry *rank is the most that they have
 * room for, afterwards the packet's own. rows and columns must be the packet's own, too. Needs the scratch that
 * decoding the packet does. On failure *rank is 0, and u and v are untouched. Errors: as dtc_decode, and CAPACITY (the
 * packet's rank is higher), CODEC (it is no factor packet). */
DTC_API dtc_status dtc_decode_factors(float *u, float *v, size_t *rank, size_t rows, size_t columns, const void *packet,
                                      size_t packet_bytes, const dtc_decode_options *options, void *scratch,
                                      size_t scratch_bytes);

/* Floats of the vectors of a block-circulant matrix of rows x columns: ceil(rows / block) * ceil(columns / block) *
 * block; block 0 stands for max(rows, columns). 0: not representable, or rows or columns are 0. */
DTC_API size_t dtc_circulant_vector_count(size_t rows, size_t columns, size_t block);

/* Bytes of scratch that dtc_encode_circulant needs; may be 0. */
DTC_API size_t dtc_encode_circulant_scratch(const dtc_spec *spec, size_t rows, size_t columns);

/* Encodes the block-circulant matrix of rows x columns that these vectors make, as are the parameters of a circulant
 * layer (dtcodec_fft.h) and their gradient: blocks of spec->block, and dtc_circulant_vector_count of them, row-major,
 * where block (p, q) is W[i][j] = vectors[p][q][(i - j) mod block]. With value=fp32 the receiver gets them to the bit.
 * spec->codec is DTC_CIRCULANT; its rows are not looked at. dtc_encode_bound of this spec with `rows`, and
 * rows * columns values, is enough. Where the vectors are no fewer than the matrix, the packet holds that as raw fp32
 * instead.
 * Errors: ARGUMENT, SPEC, CODEC, CAPACITY, SCRATCH, NONFINITE. */
DTC_API dtc_status dtc_encode_circulant(const dtc_spec *spec, void *packet, size_t capacity, size_t *packet_bytes,
                                        const float *vectors, size_t rows, size_t columns, void *scratch,
                                        size_t scratch_bytes);

/* Gives the vectors of a packet, whose shape dtc_inspect tells; vector_count must be dtc_circulant_vector_count of its
 * rows, columns and spec.block. Needs the scratch that decoding the packet does. Vectors are untouched on failure.
 * Errors: as dtc_decode, and CODEC (it is no circulant packet). */
DTC_API dtc_status dtc_decode_circulant(float *vectors, size_t vector_count, const void *packet, size_t packet_bytes,
                                        const dtc_decode_options *options, void *scratch, size_t scratch_bytes);

#ifdef __cplusplus
}
#endif

/* Users can stop reading here. */

#endif /* DTCODEC_H */

/* ====================================================================================================================
 * IMPLEMENTATION
 * ==================================================================================================================*/

#if (defined(DTCODEC_IMPLEMENTATION) || defined(DTC_STATIC)) && !defined(DTCI_IMPLEMENTED)
#define DTCI_IMPLEMENTED

#include <float.h>
#include <math.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --------------------------------------------------------------------------------------------------------------------
 * Compiler and SIMD
 * ------------------------------------------------------------------------------------------------------------------*/

#define DTCI_FN static inline

#if defined(__GNUC__)
#define DTCI_INLINE                                                                                  \
    static inline __attribute__((always_inline)) /* inner loops' parts, which must stay in registers \
                                                  */
#else
#define DTCI_INLINE static inline
#endif

#if defined(__GNUC__) || defined(_MSC_VER)
#define DTCI_RESTRICT __restrict
#else
#define DTCI_RESTRICT
#endif

#ifdef DTC_STATIC
#define DTCI_API DTC_API
#else
#define DTCI_API
#endif

/* SIMD. Passes over values are plain loops in a shape of which compilers make SIMD by themselves: with a constant
 * number of turns, over arrays on the stack. DTCI_TWIN compiles a pass once more, for AVX2, and takes that where the
 * processor has it: the same operations on each value, hence the same bits. */
#if defined(__GNUC__) && defined(__x86_64__) && !defined(DTC_NO_SIMD)
#define DTCI_X86 1
#elif defined(__ARM_FEATURE_CRC32) && defined(__aarch64__) && !defined(DTC_NO_SIMD)
#include <arm_acle.h>
#define DTCI_CRC_ARM 1
#endif

#ifndef DTC_SIMD_FROM
#define DTC_SIMD_FROM 131072u
#endif

/* What a processor may have. */
#define DTCI_HAS_CRC  1u /* x86's instruction */
#define DTCI_HAS_AVX2 2u

/* Asks the processor what it has that a pass over so many bytes may use. */
DTCI_FN unsigned dtci_ask(size_t bytes) {
#if defined(DTCI_X86) && defined(__AVX2__)
    (void)bytes;
    return DTCI_HAS_CRC | DTCI_HAS_AVX2;
#elif defined(DTCI_X86)
    uint32_t a = 1, b, c = 0, d, system, has;
    if (bytes < DTC_SIMD_FROM) return 0;
    __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    has = c >> 20 & 1 ? DTCI_HAS_CRC : 0;
    if ((c >> 27 & 3) != 3) return has; /* no AVX, or a system that does not save its registers */
    __asm__("xgetbv" : "=a"(system), "=d"(d) : "c"(0));
    a = 7; /* there is such a leaf: xgetbv's is a later one */
    c = 0;
    __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return has | ((system & 6) == 6 && b >> 5 & 1 ? DTCI_HAS_AVX2 : 0);
#else
    (void)bytes;
    return 0;
#endif
}

#if defined(DTCI_X86)
#define DTCI_AVX2        __attribute__((target("avx2"))) DTCI_FN
#define DTCI_AVX2_INLINE __attribute__((target("avx2"))) DTCI_INLINE

/* Vectors by builtins: the intrinsics' header would leave its macros behind. */
typedef float dtci_f8 __attribute__((vector_size(32)));
typedef float dtci_f4 __attribute__((vector_size(16)));
typedef double dtci_d4 __attribute__((vector_size(32)));
typedef uint32_t dtci_u8 __attribute__((vector_size(32)));

#if defined(__clang__)
#define DTCI_DOUBLES(x) __builtin_convertvector(x, dtci_d4)
#else
#define DTCI_DOUBLES(x) __builtin_ia32_cvtps2pd256(x)
#endif
#endif

/* Words that a pass takes at once, where the compiler has a type for several. */
#if defined(__GNUC__) && !defined(DTC_NO_SIMD)
typedef uint64_t dtci_words __attribute__((vector_size(32)));
#else
typedef uint64_t dtci_words;
#endif

/* Defines the function `name` by name_body, which is inline, as are all that it calls in its loops. One of the
 * parameters is `has`, which dtci_ask told. */
#if defined(DTCI_X86) && !defined(__AVX2__)
#define DTCI_TWIN(name, parameters, arguments) \
    DTCI_FN void name##_plain parameters {     \
        name##_body arguments;                 \
    }                                          \
    DTCI_AVX2 void name##_avx2 parameters {    \
        name##_body arguments;                 \
    }                                          \
    DTCI_FN void name parameters {             \
        if (has & DTCI_HAS_AVX2)               \
            name##_avx2 arguments;             \
        else                                   \
            name##_plain arguments;            \
    }
#else
#define DTCI_TWIN(name, parameters, arguments) \
    DTCI_FN void name parameters {             \
        name##_body arguments;                 \
    }
#endif

#define DTCI_COUNT_MAX 0x3fffff00u /* values in a packet: with its head it stays below 4 GiB */
#define DTCI_CHUNK     256u        /* values that a pass holds on the stack; a multiple of every pack's group */

/* Fields of dtc_spec are read and written through a table of their offsets, as int. */
typedef char dtci_assert_enum_is_int[sizeof(dtc_grid) == sizeof(int) ? 1 : -1];
typedef char dtci_assert_float_is_32[sizeof(float) == 4 && sizeof(double) == 8 ? 1 : -1];

/* --------------------------------------------------------------------------------------------------------------------
 * Bytes and checked arithmetic
 * ------------------------------------------------------------------------------------------------------------------*/

/* Known to the compiler. */
DTCI_INLINE int dtci_little_endian(void) {
    const uint16_t one = 1;
    unsigned char first;
    memcpy(&first, &one, 1);
    return first;
}

DTCI_INLINE uint32_t dtci_get16(const unsigned char *p) {
    uint16_t x;
    if (!dtci_little_endian()) return (uint32_t)p[0] | (uint32_t)p[1] << 8;
    memcpy(&x, p, 2);
    return x;
}

DTCI_INLINE uint32_t dtci_get32(const unsigned char *p) {
    uint32_t x;
    if (!dtci_little_endian())
        return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    memcpy(&x, p, 4);
    return x;
}

DTCI_INLINE uint64_t dtci_get64(const unsigned char *p) {
    return (uint64_t)dtci_get32(p) | (uint64_t)dtci_get32(p + 4) << 32;
}

DTCI_INLINE void dtci_put16(unsigned char *p, uint32_t x) {
    uint16_t low = (uint16_t)(x & 65535);
    if (dtci_little_endian()) {
        memcpy(p, &low, 2);
        return;
    }
    p[0] = (unsigned char)(x & 255);
    p[1] = (unsigned char)(x >> 8 & 255);
}

DTCI_INLINE void dtci_put32(unsigned char *p, uint32_t x) {
    if (dtci_little_endian()) {
        memcpy(p, &x, 4);
        return;
    }
    p[0] = (unsigned char)(x & 255);
    p[1] = (unsigned char)(x >> 8 & 255);
    p[2] = (unsigned char)(x >> 16 & 255);
    p[3] = (unsigned char)(x >> 24);
}

DTCI_INLINE void dtci_put64(unsigned char *p, uint64_t x) {
    dtci_put32(p, (uint32_t)(x & 0xffffffffu));
    dtci_put32(p + 4, (uint32_t)(x >> 32));
}

DTCI_FN uint32_t dtci_float_bits(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return bits;
}

DTCI_FN float dtci_bits_float(uint32_t bits) {
    float x;
    memcpy(&x, &bits, 4);
    return x;
}

DTCI_FN float dtci_get_float(const unsigned char *p) {
    return dtci_bits_float(dtci_get32(p));
}

DTCI_FN void dtci_put_float(unsigned char *p, float x) {
    dtci_put32(p, dtci_float_bits(x));
}

/* values[i] of floats that may have any alignment. */
DTCI_INLINE float dtci_float_at(const void *values, size_t i) {
    float x;
    memcpy(&x, (const char *)values + 4 * i, 4);
    return x;
}

/* By the exponent's bits: compilers drop x != x under -ffast-math. */
DTCI_FN int dtci_finite(float x) {
    return (dtci_float_bits(x) & 0x7f800000u) != 0x7f800000u;
}

/* Bounded to +-FLT_MAX. */
DTCI_FN float dtci_to_float(double x) {
    x = x > (double)FLT_MAX ? (double)FLT_MAX : x;
    x = x < -(double)FLT_MAX ? -(double)FLT_MAX : x;
    return (float)x;
}

/* The smallest float that is no smaller than x >= 0. */
DTCI_FN float dtci_float_up(double x) {
    float y = (float)(x < (double)FLT_MAX ? x : (double)FLT_MAX);
    return (double)y < x && (double)y < (double)FLT_MAX ? dtci_bits_float(dtci_float_bits(y) + 1) : y;
}

/* The largest float that is no larger than x; 0 for x <= 0. */
DTCI_FN float dtci_float_down(double x) {
    float y = (float)(x < (double)FLT_MAX ? x > 0 ? x : 0 : (double)FLT_MAX);
    return (double)y > x && y > 0 ? dtci_bits_float(dtci_float_bits(y) - 1) : y;
}

/* ceil(a / b) */
DTCI_FN size_t dtci_ceil_div(size_t a, size_t b) {
    return a / b + (a % b != 0);
}

/* Bits that hold 0..x. */
DTCI_FN unsigned dtci_bit_width(uint32_t x) {
#if defined(__GNUC__)
    return x ? 32 - (unsigned)__builtin_clz(x) : 0;
#else
    unsigned n = 0;
    for (; x; x >>= 1) n++;
    return n;
#endif
}

/* The place of the lowest bit that is set in x, which is not 0. */
DTCI_FN unsigned dtci_lowest_bit(uint64_t x) {
#if defined(__GNUC__)
    return (unsigned)__builtin_ctzll(x);
#else
    unsigned n = 0;
    for (; !(x & 1); x >>= 1) n++;
    return n;
#endif
}

/* log2(x) in 1/65536, x >= 1: integers only, so that every platform finds the same. */
DTCI_FN uint32_t dtci_log2(uint32_t x) {
    unsigned whole = dtci_bit_width(x) - 1, i;
    uint64_t m = (uint64_t)x << (31 - whole);
    uint32_t result = (uint32_t)whole;
    for (i = 0; i < 16; i++) {
        m = m * m >> 31;
        result <<= 1;
        if (m >> 32) {
            m >>= 1;
            result |= 1;
        }
    }
    return result;
}

/* CRC-32C (Castagnoli; RFC 3720, 12.1): reflected polynomial 0x82f63b78. The software table holds eight bytes' worth,
 * so that eight bytes are looked up side by side; being linear, it is spelled by its eight powers of two. */
#if !defined(DTCI_CRC_ARM)
#define DTCI_CRC_2(x, a)                     (x), (x) ^ (a)
#define DTCI_CRC_4(x, a, b)                  DTCI_CRC_2(x, a), DTCI_CRC_2((x) ^ (b), a)
#define DTCI_CRC_8(x, a, b, c)               DTCI_CRC_4(x, a, b), DTCI_CRC_4((x) ^ (c), a, b)
#define DTCI_CRC_16(x, a, b, c, d)           DTCI_CRC_8(x, a, b, c), DTCI_CRC_8((x) ^ (d), a, b, c)
#define DTCI_CRC_32(x, a, b, c, d, e)        DTCI_CRC_16(x, a, b, c, d), DTCI_CRC_16((x) ^ (e), a, b, c, d)
#define DTCI_CRC_64(x, a, b, c, d, e, f)     DTCI_CRC_32(x, a, b, c, d, e), DTCI_CRC_32((x) ^ (f), a, b, c, d, e)
#define DTCI_CRC_128(x, a, b, c, d, e, f, g) DTCI_CRC_64(x, a, b, c, d, e, f), DTCI_CRC_64((x) ^ (g), a, b, c, d, e, f)
#define DTCI_CRC_256(a, b, c, d, e, f, g, h) \
    { DTCI_CRC_128(0u, a, b, c, d, e, f, g), DTCI_CRC_128(h, a, b, c, d, e, f, g) }

static const uint32_t dtci_crc_table[8][256] = {DTCI_CRC_256(0xf26b8303u, 0xe13b70f7u, 0xc79a971fu, 0x8ad958cfu,
                                                             0x105ec76fu, 0x20bd8edeu, 0x417b1dbcu, 0x82f63b78u),
                                                DTCI_CRC_256(0x13a29877u, 0x274530eeu, 0x4e8a61dcu, 0x9d14c3b8u,
                                                             0x3fc5f181u, 0x7f8be302u, 0xff17c604u, 0xfbc3faf9u),
                                                DTCI_CRC_256(0xa541927eu, 0x4f6f520du, 0x9edea41au, 0x38513ec5u,
                                                             0x70a27d8au, 0xe144fb14u, 0xc76580d9u, 0x8b277743u),
                                                DTCI_CRC_256(0xdd45aab8u, 0xbf672381u, 0x7b2231f3u, 0xf64463e6u,
                                                             0xe964b13du, 0xd725148bu, 0xaba65fe7u, 0x52a0c93fu),
                                                DTCI_CRC_256(0x38116facu, 0x7022df58u, 0xe045beb0u, 0xc5670b91u,
                                                             0x8f2261d3u, 0x1ba8b557u, 0x37516aaeu, 0x6ea2d55cu),
                                                DTCI_CRC_256(0xef306b19u, 0xdb8ca0c3u, 0xb2f53777u, 0x6006181fu,
                                                             0xc00c303eu, 0x85f4168du, 0x0e045bebu, 0x1c08b7d6u),
                                                DTCI_CRC_256(0x68032cc8u, 0xd0065990u, 0xa5e0c5d1u, 0x4e2dfd53u,
                                                             0x9c5bfaa6u, 0x3d5b83bdu, 0x7ab7077au, 0xf56e0ef4u),
                                                DTCI_CRC_256(0x493c7d27u, 0x9278fa4eu, 0x211d826du, 0x423b04dau,
                                                             0x847609b4u, 0x0d006599u, 0x1a00cb32u, 0x34019664u)};

#undef DTCI_CRC_2
#undef DTCI_CRC_4
#undef DTCI_CRC_8
#undef DTCI_CRC_16
#undef DTCI_CRC_32
#undef DTCI_CRC_64
#undef DTCI_CRC_128
#undef DTCI_CRC_256
#endif

#if defined(DTCI_X86)
#define DTCI_CRC_STREAM 8192u /* bytes */

/* a * b modulo the polynomial; bit 31 is x^0. */
DTCI_FN uint32_t dtci_crc_multiply(uint32_t a, uint32_t b) {
    uint32_t product = 0;
    unsigned i;
    for (i = 0; i < 32; i++) {
        product ^= b & (0u - (a >> 31));
        a <<= 1;
        b = b >> 1 ^ (0x82f63b78u & (0u - (b & 1)));
    }
    return product;
}

/* The instruction takes three cycles, but one begins every cycle: so there are three streams, joined by what zeros as
 * long as a stream do to a sum before them. By builtins: the intrinsics' header would leave its macros behind. */
__attribute__((target("sse4.2"))) DTCI_FN uint32_t dtci_crc32c_x86(uint32_t start, const unsigned char *p,
                                                                   size_t bytes) {
    const uint32_t zeros = 0x28461564u; /* x^(8 * DTCI_CRC_STREAM) */
    uint64_t crc = start;
    uint32_t rest;
    size_t i, j;
    for (; bytes >= 3 * DTCI_CRC_STREAM; p += 3 * DTCI_CRC_STREAM, bytes -= 3 * DTCI_CRC_STREAM) {
        uint64_t second = 0, third = 0;
        for (i = 0; i < DTCI_CRC_STREAM; i += 64) {
            uintptr_t next = (uintptr_t)p + 3 * DTCI_CRC_STREAM + i; /* beyond what the processor fetches by itself */
            __builtin_prefetch((const void *)next);
            __builtin_prefetch((const void *)(next + DTCI_CRC_STREAM));
            __builtin_prefetch((const void *)(next + 2 * DTCI_CRC_STREAM));
            for (j = i; j < i + 64; j += 8) {
                crc = __builtin_ia32_crc32di(crc, dtci_get64(p + j));
                second = __builtin_ia32_crc32di(second, dtci_get64(p + DTCI_CRC_STREAM + j));
                third = __builtin_ia32_crc32di(third, dtci_get64(p + 2 * DTCI_CRC_STREAM + j));
            }
        }
        rest = dtci_crc_multiply((uint32_t)crc, zeros) ^ (uint32_t)second;
        crc = dtci_crc_multiply(rest, zeros) ^ (uint32_t)third;
    }
    for (; bytes >= 8; p += 8, bytes -= 8) crc = __builtin_ia32_crc32di(crc, dtci_get64(p));
    for (rest = (uint32_t)crc; bytes; p++, bytes--) rest = __builtin_ia32_crc32qi(rest, *p);
    return rest;
}
#endif

/* Goes on with a checksum that begins as all ones and ends inverted. `has` is what dtci_ask told. */
DTCI_FN uint32_t dtci_crc32c_on(uint32_t crc, const unsigned char *p, size_t bytes, unsigned has) {
    (void)has;
#if defined(DTCI_X86)
    if (has & DTCI_HAS_CRC) return dtci_crc32c_x86(crc, p, bytes);
#endif
#if defined(DTCI_CRC_ARM)
    for (; bytes >= 8; p += 8, bytes -= 8) crc = __crc32cd(crc, dtci_get64(p));
    for (; bytes; p++, bytes--) crc = __crc32cb(crc, *p);
#else
    for (; bytes >= 8; p += 8, bytes -= 8) {
        uint32_t low = dtci_get32(p) ^ crc;
        crc = dtci_crc_table[7][low & 255] ^ dtci_crc_table[6][low >> 8 & 255] ^ dtci_crc_table[5][low >> 16 & 255] ^
              dtci_crc_table[4][low >> 24] ^ dtci_crc_table[3][p[4]] ^ dtci_crc_table[2][p[5]] ^
              dtci_crc_table[1][p[6]] ^ dtci_crc_table[0][p[7]];
    }
    for (; bytes; p++, bytes--) crc = crc >> 8 ^ dtci_crc_table[0][(crc ^ *p) & 255];
#endif
    return crc;
}

DTCI_FN uint32_t dtci_crc32c(const unsigned char *p, size_t bytes, unsigned has) {
    return ~dtci_crc32c_on(0xffffffffu, p, bytes, has);
}

/* Floats in and out, of any alignment. Every pass goes by chunks on the stack: they stay in the first-level cache, and
 * error feedback and weighted sums are fused in without a second copy of any codec. Whole chunks, of a constant size,
 * become SIMD. */
typedef struct dtci_source {
    const float *values;
    const float *residual; /* NULL, or added to the values */
} dtci_source;

DTCI_INLINE void dtci_sum_floats(float *DTCI_RESTRICT sum, const char *a, const char *b, size_t n) {
    size_t i;
    for (i = 0; i < n; i++) sum[i] = dtci_float_at(a, i) + dtci_float_at(b, i);
}

/* Values first .. first + n - 1, n <= DTCI_CHUNK: where they are, or, with a residual, in the chunk. */
DTCI_INLINE const char *dtci_view(float *chunk, const dtci_source *source, size_t first, size_t n) {
    const char *values = (const char *)source->values + 4 * first;
    const char *residual = NULL;
    if (!source->residual) return values;
    residual = (const char *)source->residual + 4 * first;
    if (n == DTCI_CHUNK)
        dtci_sum_floats(chunk, values, residual, DTCI_CHUNK);
    else
        dtci_sum_floats(chunk, values, residual, n);
    return (const char *)chunk;
}

/* The same, always in the chunk. */
DTCI_FN void dtci_load(float *chunk, const dtci_source *source, size_t first, size_t n) {
    const char *view = dtci_view(chunk, source, first, n);
    if (!source->residual) memcpy(chunk, view, 4 * n);
}

typedef enum dtci_sink_kind {
    DTCI_SINK_STORE,
    DTCI_SINK_ADD,
    DTCI_SINK_RESIDUAL,
    DTCI_SINK_ROWS,   /* sums[row] += value * x[column] */
    DTCI_SINK_COLUMNS /* sums[column] += value * x[row] */
} dtci_sink_kind;

typedef struct dtci_sink {
    dtci_sink_kind kind;
    float *values;       /* written: decoded; values + weight * decoded; values + addend - decoded */
    const float *addend; /* residual: what was encoded, less the residual */
    float weight;
    double *sums; /* of products with a vector: of a matrix, row by row */
    const float *x;
    size_t columns;
} dtci_sink;

/* Multiplies a stretch of a matrix. */
DTCI_FN void dtci_sink_multiply(const dtci_sink *sink, size_t first, const float *chunk, size_t n) {
    size_t at = 0, i;
    while (at < n) {
        size_t row = (first + at) / sink->columns, column = (first + at) % sink->columns;
        size_t m = n - at < sink->columns - column ? n - at : sink->columns - column;
        if (sink->kind == DTCI_SINK_ROWS) {
            double sum = sink->sums[row];
            for (i = 0; i < m; i++) sum += (double)chunk[at + i] * (double)dtci_float_at(sink->x, column + i);
            sink->sums[row] = sum;
        } else {
            double *sums = sink->sums + column, x = (double)dtci_float_at(sink->x, row);
            for (i = 0; i < m; i++) sums[i] += (double)chunk[at + i] * x;
        }
        at += m;
    }
}

DTCI_INLINE void dtci_add_floats(char *DTCI_RESTRICT to, const float *chunk, double weight, size_t n) {
    size_t i;
    for (i = 0; i < n; i++) {
        float x = (float)((double)dtci_float_at(to, i) + weight * (double)chunk[i]);
        memcpy(to + 4 * i, &x, 4);
    }
}

DTCI_INLINE void dtci_subtract_floats(char *DTCI_RESTRICT to, const float *from, const float *chunk, size_t n) {
    size_t i;
    for (i = 0; i < n; i++) {
        float x = from[i] - chunk[i];
        memcpy(to + 4 * i, &x, 4);
    }
}

/* Where decoded values are to be written: the chunk, for dtci_store, or in their place, where that is all. */
DTCI_INLINE char *dtci_place(float *chunk, const dtci_sink *sink, size_t first) {
    return sink->kind == DTCI_SINK_STORE ? (char *)sink->values + 4 * first : (char *)chunk;
}

/* Takes n <= DTCI_CHUNK decoded values out of dtci_place. */
DTCI_INLINE void dtci_store_placed(const dtci_sink *sink, size_t first, const float *chunk, size_t n) {
    char *to = (char *)sink->values;
    if (sink->kind == DTCI_SINK_STORE) return;
    if (sink->kind == DTCI_SINK_ROWS || sink->kind == DTCI_SINK_COLUMNS) {
        dtci_sink_multiply(sink, first, chunk, n);
        return;
    }
    to += 4 * first;
    if (sink->kind == DTCI_SINK_ADD) {
        if (n == DTCI_CHUNK)
            dtci_add_floats(to, chunk, (double)sink->weight, DTCI_CHUNK);
        else
            dtci_add_floats(to, chunk, (double)sink->weight, n);
    } else {
        float encoded[DTCI_CHUNK];
        const char *addend = (const char *)sink->addend + 4 * first;
        if (n == DTCI_CHUNK) {
            dtci_sum_floats(encoded, addend, to, DTCI_CHUNK);
            dtci_subtract_floats(to, encoded, chunk, DTCI_CHUNK);
        } else {
            dtci_sum_floats(encoded, addend, to, n);
            dtci_subtract_floats(to, encoded, chunk, n);
        }
    }
}

/* The same from anywhere. */
DTCI_FN void dtci_store(const dtci_sink *sink, size_t first, const float *chunk, size_t n) {
    if (sink->kind == DTCI_SINK_STORE) memcpy((char *)sink->values + 4 * first, chunk, 4 * n);
    dtci_store_placed(sink, first, chunk, n);
}

/* What one pass over values[first..first+n) finds. */
typedef struct dtci_stats {
    float min, max;
    double squares;
    int finite;
} dtci_stats;

/* Eight interleaved partial results, so that SIMD finds the same. */
typedef struct dtci_lanes {
    float low[8], high[8];
    double squares[8];
    uint32_t exponents;
} dtci_lanes;

DTCI_INLINE void dtci_scan_lane(dtci_lanes *lanes, size_t j, float x) {
    lanes->exponents |= (dtci_float_bits(x) & 0x7fffffffu) + 0x00800000u; /* bit 31 where the exponent is all ones */
    lanes->low[j] = x < lanes->low[j] ? x : lanes->low[j];
    lanes->high[j] = x > lanes->high[j] ? x : lanes->high[j];
    lanes->squares[j] += (double)x * (double)x;
}

DTCI_INLINE void dtci_scan_chunk(dtci_lanes *lanes, const char *chunk, size_t n) {
    size_t i, j;
    for (i = 0; i + 8 <= n; i += 8)
        for (j = 0; j < 8; j++) dtci_scan_lane(lanes, j, dtci_float_at(chunk, i + j));
    for (j = 0; i + j < n; j++) dtci_scan_lane(lanes, j, dtci_float_at(chunk, i + j));
}

#if defined(DTCI_X86)
/* n is a multiple of 8. */
DTCI_AVX2 void dtci_scan_avx2(dtci_lanes *lanes, const char *values, size_t n) {
    dtci_u8 exponents = {0, 0, 0, 0, 0, 0, 0, 0};
    dtci_d4 left, right; /* sums of squares */
    dtci_f8 low, high;
    size_t i;
    memcpy(&low, lanes->low, sizeof low);
    memcpy(&high, lanes->high, sizeof high);
    memcpy(&left, lanes->squares, sizeof left);
    memcpy(&right, lanes->squares + 4, sizeof right);
    for (i = 0; i < n; i += 8) {
        dtci_f4 first, last;
        dtci_d4 y, z;
        dtci_f8 x;
        memcpy(&x, values + 4 * i, sizeof x);
        memcpy(&first, values + 4 * i, sizeof first);
        memcpy(&last, values + 4 * i + 16, sizeof last);
        exponents |= ((dtci_u8)x & 0x7fffffffu) + 0x00800000u;
        low = __builtin_ia32_minps256(x, low);
        high = __builtin_ia32_maxps256(x, high);
        y = DTCI_DOUBLES(first);
        z = DTCI_DOUBLES(last);
        left += y * y;
        right += z * z;
    }
    memcpy(lanes->low, &low, sizeof low);
    memcpy(lanes->high, &high, sizeof high);
    memcpy(lanes->squares, &left, sizeof left);
    memcpy(lanes->squares + 4, &right, sizeof right);
    for (i = 0; i < 8; i++) lanes->exponents |= exponents[i];
}
#endif

DTCI_FN dtci_stats dtci_scan(const dtci_source *source, size_t first, size_t n, unsigned has) {
    float chunk[DTCI_CHUNK];
    dtci_lanes lanes;
    dtci_stats stats;
    size_t done = 0, j;
    (void)has;
    for (j = 0; j < 8; j++) {
        lanes.low[j] = FLT_MAX;
        lanes.high[j] = -FLT_MAX;
        lanes.squares[j] = 0;
    }
    lanes.exponents = 0;
#if defined(DTCI_X86)
    if (has & DTCI_HAS_AVX2) {
        size_t run = source->residual ? DTCI_CHUNK : n - n % 8;
        for (; run && done + run <= n; done += run)
            dtci_scan_avx2(&lanes, dtci_view(chunk, source, first + done, run), run);
    }
#endif
    for (; done < n; done += DTCI_CHUNK) {
        size_t m = n - done < DTCI_CHUNK ? n - done : DTCI_CHUNK;
        dtci_scan_chunk(&lanes, dtci_view(chunk, source, first + done, m), m);
    }
    stats.finite = !(lanes.exponents >> 31);
    stats.min = lanes.low[0];
    stats.max = lanes.high[0];
    stats.squares = lanes.squares[0];
    for (j = 1; j < 8; j++) {
        if (lanes.low[j] < stats.min) stats.min = lanes.low[j];
        if (lanes.high[j] > stats.max) stats.max = lanes.high[j];
        stats.squares += lanes.squares[j];
    }
    return stats;
}

/* --------------------------------------------------------------------------------------------------------------------
 * Bit reader and writer: least significant bit first. And fields: fixed-width integers in plane order.
 * ------------------------------------------------------------------------------------------------------------------*/

typedef struct dtci_bit_writer {
    unsigned char *p, *end;
    uint64_t bits;
    unsigned n;   /* bits pending, below 8 between calls */
    int overflow; /* something did not fit and was dropped */
} dtci_bit_writer;

DTCI_FN void dtci_bits_open(dtci_bit_writer *w, unsigned char *p, size_t capacity) {
    w->p = p;
    w->end = p + capacity;
    w->bits = 0;
    w->n = 0;
    w->overflow = 0;
}

/* At most 56 bits, the ones above n being zero, where eight bytes of room are left. */
DTCI_INLINE void dtci_bits_push(dtci_bit_writer *w, uint64_t bits, unsigned n) {
    w->bits |= bits << w->n;
    w->n += n;
    dtci_put64(w->p, w->bits);
    w->p += w->n >> 3;
    w->bits >>= w->n & 56;
    w->n &= 7;
}

/* The same, with room or without. */
DTCI_FN void dtci_bits_put(dtci_bit_writer *w, uint64_t bits, unsigned n) {
    if (w->end - w->p >= 8) {
        dtci_bits_push(w, bits, n);
        return;
    }
    w->bits |= bits << w->n;
    w->n += n;
    for (; w->n >= 8; w->n -= 8, w->bits >>= 8) {
        if (w->p < w->end)
            *w->p++ = (unsigned char)(w->bits & 255);
        else
            w->overflow = 1;
    }
}

/* Pads the last byte with zero bits. */
DTCI_FN void dtci_bits_close(dtci_bit_writer *w) {
    if (w->n) dtci_bits_put(w, 0, 8 - w->n);
}

typedef struct dtci_bit_reader {
    const unsigned char *data;
    size_t size, at; /* at may pass size: zeros are read there, and dtci_bits_done tells */
    uint64_t bits;
    unsigned n;
} dtci_bit_reader;

DTCI_FN void dtci_bits_start(dtci_bit_reader *r, const unsigned char *data, size_t size) {
    r->data = data;
    r->size = size;
    r->at = 0;
    r->bits = 0;
    r->n = 0;
}

/* Makes at least 56 bits available. */
DTCI_FN void dtci_bits_refill(dtci_bit_reader *r) {
    if (r->at + 8 <= r->size) {
        r->bits |= dtci_get64(r->data + r->at) << r->n;
        r->at += (63 - r->n) >> 3;
        r->n |= 56;
        return;
    }
    for (; r->n < 56; r->n += 8, r->at++)
        if (r->at < r->size) r->bits |= (uint64_t)r->data[r->at] << r->n;
}

DTCI_FN void dtci_bits_skip(dtci_bit_reader *r, unsigned n) {
    r->bits >>= n;
    r->n -= n;
}

/* At most 32 bits, which a refill has made available. */
DTCI_FN uint32_t dtci_bits_take(dtci_bit_reader *r, unsigned n) {
    uint32_t x = (uint32_t)(r->bits & (((uint64_t)1 << n) - 1));
    dtci_bits_skip(r, n);
    return x;
}

/* Bytes that were begun. */
DTCI_FN size_t dtci_bits_used(const dtci_bit_reader *r) {
    return r->at - r->n / 8;
}

/* Whether all bytes were used, none beyond, and the last one's padding is zero. */
DTCI_FN int dtci_bits_done(const dtci_bit_reader *r) {
    return dtci_bits_used(r) == r->size && (r->bits & (((uint64_t)1 << r->n % 8) - 1)) == 0;
}

/* Fields of 1..24 bits. A group of 256 is split into parts of 8, 4, 2 and 1 bits, low part first, each part of p bits
 * filling 32 p bytes in plane order: byte j holds elements j, 32p + j, 2*32p + j, … from its low bits up. What is left
 * after the last whole group is a plain bit stream. */
DTCI_FN size_t dtci_fields_bytes(size_t count, unsigned bits) {
    return count / 256 * 32 * bits + (count % 256 * bits + 7) / 8;
}

/* The low bytes of a group's fields, also as words, in the machine's order: which byte is which does not matter. */
typedef union dtci_group {
    unsigned char bytes[256];
    uint64_t words[32];
} dtci_group;

/* Packs their low 4, 2 or 1 bits, and shifts these out. */
DTCI_INLINE void dtci_fields_join(unsigned char *to, dtci_group *group, unsigned part) {
    uint64_t mask = 0x0101010101010101u * ((1u << part) - 1), joined[16];
    size_t plane = 4 * part, j;
    unsigned k;
    for (j = 0; j < plane; j++) joined[j] = group->words[j] & mask;
    for (k = 1; k < 8 / part; k++)
        for (j = 0; j < plane; j++) joined[j] |= (group->words[k * plane + j] & mask) << k * part;
    for (j = 0; j < 32; j++) group->words[j] >>= part; /* what comes in from the next byte is above what follows */
    memcpy(to, joined, 8 * plane);
}

/* The inverse, to the bits from `at` up. */
DTCI_INLINE void dtci_fields_split(dtci_group *group, const unsigned char *from, unsigned part, unsigned at) {
    uint64_t mask = 0x0101010101010101u * ((1u << part) - 1), joined[16];
    size_t plane = 4 * part, j;
    unsigned k;
    for (j = 0; j < plane; j++)
        memcpy(joined + j, from + 8 * j, 8); /* no memcpy of all: loads wait for stores as wide */
    for (k = 0; k < 8 / part; k++)
        for (j = 0; j < plane; j++) group->words[k * plane + j] |= (joined[j] >> k * part & mask) << at;
}

/* Packs one group, n = 256, or the rest after the last one, n < 256. */
DTCI_INLINE void dtci_fields_pack(unsigned char *to, const uint32_t *fields, size_t n, unsigned bits) {
    dtci_group group;
    unsigned shift;
    size_t j;
    if (n < 256) {
        dtci_bit_writer w;
        dtci_bits_open(&w, to, dtci_fields_bytes(n, bits));
        for (j = 0; j < n; j++) dtci_bits_put(&w, fields[j], bits);
        dtci_bits_close(&w);
        return;
    }
    for (shift = 0; shift + 8 <= bits; shift += 8, to += 256)
        for (j = 0; j < 256; j++) to[j] = (unsigned char)(fields[j] >> shift & 255);
    if (shift == bits) return;
    for (j = 0; j < 256; j++) group.bytes[j] = (unsigned char)(fields[j] >> shift & 255);
    if (bits & 4) {
        dtci_fields_join(to, &group, 4);
        to += 128;
    }
    if (bits & 2) {
        dtci_fields_join(to, &group, 2);
        to += 64;
    }
    if (bits & 1) dtci_fields_join(to, &group, 1);
}

DTCI_INLINE void dtci_fields_unpack(uint32_t *fields, const unsigned char *from, size_t n, unsigned bits) {
    dtci_group group;
    unsigned shift;
    size_t j;
    if (n < 256) {
        dtci_bit_reader r;
        dtci_bits_start(&r, from, dtci_fields_bytes(n, bits));
        for (j = 0; j < n; j++) {
            dtci_bits_refill(&r);
            fields[j] = dtci_bits_take(&r, bits);
        }
        return;
    }
    if (bits < 8) memset(fields, 0, 4 * 256);
    for (shift = 0; shift + 8 <= bits; shift += 8, from += 256) {
        if (shift)
            for (j = 0; j < 256; j++) fields[j] |= (uint32_t)from[j] << shift;
        else
            for (j = 0; j < 256; j++) fields[j] = from[j];
    }
    if (shift == bits) return;
    for (j = 0; j < 32; j++) group.words[j] = 0;
    if (bits & 4) {
        dtci_fields_split(&group, from, 4, 0);
        from += 128;
    }
    if (bits & 2) {
        dtci_fields_split(&group, from, 2, bits & 4);
        from += 64;
    }
    if (bits & 1) dtci_fields_split(&group, from, 1, bits & 6);
    for (j = 0; j < 256; j++) fields[j] |= (uint32_t)group.bytes[j] << shift;
}

/* (field + k0) * step, where the integer is a float's and no product too large: rounded once, as if by way of double.
 */
DTCI_INLINE void dtci_multiples(char *DTCI_RESTRICT to, const uint32_t *fields, float step, int32_t k0, size_t n) {
    size_t i;
    for (i = 0; i < n; i++) {
        float x = (float)((int32_t)fields[i] + k0) * step;
        memcpy(to + 4 * i, &x, 4);
    }
}

/* Adds one part of a group of fields, each with the bit that is carried there, and leaves in `carry` what each field
 * carries on, a byte each. No sum crosses its field: the top bits are added apart. */
DTCI_INLINE void dtci_fields_add_part(unsigned char *sum, const unsigned char *a, const unsigned char *b,
                                      dtci_words *carry, unsigned part) {
    const uint64_t ones = 0x0101010101010101u;
    const size_t step = sizeof(dtci_words), plane = 32 * part / step;
    uint64_t top = 0;
    unsigned k;
    size_t j;
    for (k = 0; k < 8; k += part) top |= ones << (k + part - 1);
    for (j = 0; j < plane; j++) {
        dtci_words x, y, in = carry[j], out;
        memcpy(&x, a + step * j, step);
        memcpy(&y, b + step * j, step);
        for (k = 1; k < 8 / part; k++) in |= carry[k * plane + j] << k * part;
        in = ((x & ~top) + (y & ~top) + in) ^ ((x ^ y) & top);
        out = (x & y) | ((x | y) & ~in);
        for (k = 0; k < 8 / part; k++) carry[k * plane + j] = out >> (k * part + part - 1) & ones;
        memcpy(sum + step * j, &in, step);
    }
}

/* sum = a + b of whole groups of fields, part by part; sum may be a or b. Tells whether a field of the sum has no room
 * in its bits. */
DTCI_INLINE void dtci_fields_add_body(uint64_t *overflow, unsigned char *sum, const unsigned char *a,
                                      const unsigned char *b, size_t groups, unsigned bits, unsigned has) {
    dtci_words carry[256 / sizeof(dtci_words)], any = {0};
    uint64_t words[sizeof(dtci_words) / 8];
    size_t at = 0, j;
    (void)has;
    for (; groups; groups--) {
        unsigned left = bits;
        memset(carry, 0, sizeof carry);
        for (; left >= 8; left -= 8, at += 256) dtci_fields_add_part(sum + at, a + at, b + at, carry, 8);
        if (left & 4) {
            dtci_fields_add_part(sum + at, a + at, b + at, carry, 4);
            at += 128;
        }
        if (left & 2) {
            dtci_fields_add_part(sum + at, a + at, b + at, carry, 2);
            at += 64;
        }
        if (left & 1) {
            dtci_fields_add_part(sum + at, a + at, b + at, carry, 1);
            at += 32;
        }
        for (j = 0; j < sizeof carry / sizeof *carry; j++) any |= carry[j];
    }
    memcpy(words, &any, sizeof any);
    for (*overflow = 0, j = 0; j < sizeof words / sizeof *words; j++) *overflow |= words[j];
}

DTCI_TWIN(dtci_fields_add,
          (uint64_t * overflow, unsigned char *sum, const unsigned char *a, const unsigned char *b, size_t groups,
           unsigned bits, unsigned has),
          (overflow, sum, a, b, groups, bits, has))

#define DTCI_CHECK_BYTES 24576u /* at least, from one to the next: what the checksum's instruction is fast for */

/* Checksums of two packets and their sum up to somewhere, taken as they are added: while they are in the cache. */
typedef struct dtci_check {
    const unsigned char *a, *b, *sum;
    uint32_t crc_a, crc_b, crc_sum;
} dtci_check;

DTCI_FN void dtci_check_to(dtci_check *check, const unsigned char *a, const unsigned char *b, unsigned has) {
    check->crc_a = dtci_crc32c_on(check->crc_a, check->a, (size_t)(a - check->a), has);
    check->crc_b = dtci_crc32c_on(check->crc_b, check->b, (size_t)(b - check->b), has);
    check->a = a;
    check->b = b;
}

DTCI_FN void dtci_check_sum(dtci_check *check, const unsigned char *sum, unsigned has) {
    check->crc_sum = dtci_crc32c_on(check->crc_sum, check->sum, (size_t)(sum - check->sum), has);
    check->sum = sum;
}

/* The same of any number of fields; returns it. Checks what it adds, unless `check` is NULL. */
DTCI_FN int dtci_fields_sum(unsigned char *sum, const unsigned char *a, const unsigned char *b, size_t count,
                            unsigned bits, unsigned has, dtci_check *check) {
    size_t groups = count / 256, stride = 1 + DTCI_CHECK_BYTES / (32 * (size_t)bits), at = 0, i;
    uint32_t left[256], more[256];
    uint64_t overflow = 0, over;
    for (; groups; groups -= stride, at += stride * 32 * bits) {
        if (stride > groups) stride = groups;
        if (check) dtci_check_to(check, a + at + stride * 32 * bits, b + at + stride * 32 * bits, has);
        dtci_fields_add(&over, sum + at, a + at, b + at, stride, bits, has);
        overflow |= over;
        if (check) dtci_check_sum(check, sum + at + stride * 32 * bits, has);
    }
    count %= 256;
    if (check) dtci_check_to(check, a + at + (count * bits + 7) / 8, b + at + (count * bits + 7) / 8, has);
    dtci_fields_unpack(left, a + at, count, bits);
    dtci_fields_unpack(more, b + at, count, bits);
    for (i = 0; i < count; i++) {
        left[i] += more[i];
        overflow |= left[i] >> bits;
    }
    dtci_fields_pack(sum + at, left, count, bits);
    if (check) dtci_check_sum(check, sum + at + (count * bits + 7) / 8, has);
    return overflow != 0;
}

/* --------------------------------------------------------------------------------------------------------------------
 * Scratch: the caller's memory, handed out in pieces
 * ------------------------------------------------------------------------------------------------------------------*/

#define DTCI_ALIGN 64u

typedef struct dtci_arena {
    unsigned char *p;
    size_t left;
} dtci_arena;

/* What dtci_take of `bytes` uses up at the most; sizes of scratch are sums of these. */
DTCI_FN size_t dtci_room(size_t bytes) {
    return bytes + DTCI_ALIGN - 1;
}

/* `bytes` bytes aligned to DTCI_ALIGN, or NULL. */
DTCI_FN void *dtci_take(dtci_arena *arena, size_t bytes) {
    size_t pad = (size_t)(0 - (uintptr_t)arena->p) % DTCI_ALIGN;
    unsigned char *p = arena->p + pad;
    if (!arena->p || arena->left < pad || arena->left - pad < bytes) return NULL;
    arena->left -= pad + bytes;
    arena->p = p + bytes;
    return p;
}

/* --------------------------------------------------------------------------------------------------------------------
 * Random numbers: a hash of (seed, index), so that any element's number is computed on its own
 * ------------------------------------------------------------------------------------------------------------------*/

typedef struct dtci_random {
    uint32_t key[2];
} dtci_random;

DTCI_FN dtci_random dtci_random_open(uint64_t seed) {
    dtci_random random;
    uint64_t x = seed + 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 32) * 0xd6e8feb86659fd93u;
    x = (x ^ x >> 32) * 0xd6e8feb86659fd93u;
    x ^= x >> 32;
    random.key[0] = (uint32_t)(x & 0xffffffffu);
    random.key[1] = (uint32_t)(x >> 32);
    return random;
}

/* Uniform on 0..2^32-1; a packet has fewer than 2^32 values. A Weyl sequence, without which neighbours are akin,
 * through two rounds of multiplications found by C. Wellons' hash prospector (2018). */
DTCI_FN uint32_t dtci_random_at(const dtci_random *random, uint32_t index) {
    uint32_t x = index * 0x9e3779b9u + random->key[0];
    x = (x ^ x >> 16) * 0x7feb352du;
    x = (x ^ x >> 15) * 0x846ca68bu + random->key[1];
    return x ^ x >> 16;
}

/* --------------------------------------------------------------------------------------------------------------------
 * Packet head
 * ------------------------------------------------------------------------------------------------------------------*/

#define DTCI_MAGIC         0xd7u
#define DTCI_FLAG_CHECKSUM 1u
#define DTCI_FLAG_ROWS     2u
#define DTCI_FLAG_BLOCK    4u
#define DTCI_FLAG_WORKERS  8u
#define DTCI_FLAG_SEED     16u

typedef struct dtci_head {
    dtc_codec codec;
    int checksum;
    uint32_t variant; /* one byte; its meaning is the codec's */
    uint32_t count, packet_bytes;
    uint32_t rows, block; /* 0: not given */
    uint32_t workers, terms;
    uint64_t seed;
    size_t head_bytes;
    unsigned has; /* what dtci_ask told; asked by the calls that read a payload */
} dtci_head;

DTCI_FN size_t dtci_head_bytes(const dtci_head *head) {
    return 12 + (head->rows ? 4u : 0u) + (head->block ? 4u : 0u) + (head->workers > 1 ? 4u : 0u) +
           (head->seed ? 8u : 0u);
}

DTCI_FN size_t dtci_payload_bytes(const dtci_head *head) {
    return head->packet_bytes - head->head_bytes - (head->checksum ? 4 : 0);
}

/* Values that share a scale, and how many such blocks there are. */
DTCI_FN size_t dtci_block(const dtci_head *head) {
    return head->block ? head->block : head->count;
}

DTCI_FN size_t dtci_blocks(const dtci_head *head) {
    return head->count ? dtci_ceil_div(head->count, dtci_block(head)) : 0;
}

DTCI_FN void dtci_head_write(unsigned char *p, const dtci_head *head) {
    unsigned char *at = p + 12;
    uint32_t flags = head->checksum ? DTCI_FLAG_CHECKSUM : 0;
    if (head->rows) {
        flags |= DTCI_FLAG_ROWS;
        dtci_put32(at, head->rows);
        at += 4;
    }
    if (head->block) {
        flags |= DTCI_FLAG_BLOCK;
        dtci_put32(at, head->block);
        at += 4;
    }
    if (head->workers > 1) {
        flags |= DTCI_FLAG_WORKERS;
        dtci_put16(at, head->workers);
        dtci_put16(at + 2, head->terms);
        at += 4;
    }
    if (head->seed) {
        flags |= DTCI_FLAG_SEED;
        dtci_put64(at, head->seed);
    }
    p[0] = DTCI_MAGIC;
    p[1] = (unsigned char)(DTC_WIRE_VERSION << 4 | (unsigned)head->codec);
    p[2] = (unsigned char)flags;
    p[3] = (unsigned char)head->variant;
    dtci_put32(p + 4, head->count);
    dtci_put32(p + 8, head->packet_bytes);
}

/* The head of a fresh packet under a spec that was checked, but for its size. */
DTCI_FN dtc_status dtci_head_open(dtci_head *head, const dtc_spec *spec, size_t count) {
    memset(head, 0, sizeof *head);
    if (count > DTCI_COUNT_MAX) return DTC_ERROR_ARGUMENT;
    if (spec->rows && count % spec->rows) return DTC_ERROR_SPEC;
    head->codec = spec->codec;
    head->checksum = !spec->no_checksum;
    head->count = (uint32_t)count;
    head->rows = count ? (uint32_t)spec->rows : 0; /* nothing has no shape, which could be of any size */
    if (spec->codec != DTC_RAW && spec->codec != DTC_FACTOR && spec->block < count) head->block = (uint32_t)spec->block;
    head->workers = spec->workers ? spec->workers : 1;
    head->terms = 1;
    if (spec->codec == DTC_SENSING || (spec->codec == DTC_QUANT && spec->quant.rotate)) head->seed = spec->seed;
    head->head_bytes = dtci_head_bytes(head);
    return DTC_OK;
}

/* Makes the packet whole, its payload of `bytes` being in its place. */
DTCI_FN void dtci_head_close(unsigned char *packet, dtci_head *head, size_t bytes) {
    bytes += head->head_bytes;
    head->packet_bytes = (uint32_t)(bytes + (head->checksum ? 4 : 0));
    dtci_head_write(packet, head);
    if (head->checksum) dtci_put32(packet + bytes, dtci_crc32c(packet, bytes, head->has));
}

/* Reads and checks what all codecs' heads share. */
DTCI_FN dtc_status dtci_head_read(const unsigned char *p, size_t bytes, dtci_head *head) {
    const unsigned char *at = p + 12;
    uint32_t flags;
    memset(head, 0, sizeof *head);
    if (bytes >= 1 && p[0] != DTCI_MAGIC) return DTC_ERROR_MAGIC;
    if (bytes >= 2 && p[1] >> 4 != DTC_WIRE_VERSION) return DTC_ERROR_WIRE_VERSION;
    if (bytes < 12) return DTC_ERROR_TRUNCATED;
    if ((p[1] & 15) > DTC_CIRCULANT) return DTC_ERROR_CODEC;
    head->codec = (dtc_codec)(p[1] & 15);
    flags = p[2];
    if (flags >> 5) return DTC_ERROR_HEAD;
    head->checksum = (flags & DTCI_FLAG_CHECKSUM) != 0;
    head->variant = p[3];
    head->count = dtci_get32(p + 4);
    head->packet_bytes = dtci_get32(p + 8);
    head->workers = head->terms = 1;
    head->head_bytes = 12 + (flags & DTCI_FLAG_ROWS ? 4u : 0u) + (flags & DTCI_FLAG_BLOCK ? 4u : 0u) +
                       (flags & DTCI_FLAG_WORKERS ? 4u : 0u) + (flags & DTCI_FLAG_SEED ? 8u : 0u);
    if (head->count > DTCI_COUNT_MAX) return DTC_ERROR_LIMIT;
    if (head->packet_bytes < head->head_bytes + (head->checksum ? 4u : 0u)) return DTC_ERROR_SIZE;
    if (bytes < head->packet_bytes) return DTC_ERROR_TRUNCATED;
    if (flags & DTCI_FLAG_ROWS) {
        head->rows = dtci_get32(at);
        at += 4;
        if (!head->rows || head->rows > head->count || head->count % head->rows) return DTC_ERROR_HEAD;
    }
    if (flags & DTCI_FLAG_BLOCK) {
        head->block = dtci_get32(at);
        at += 4;
        if (!head->block || head->block >= head->count) return DTC_ERROR_HEAD;
    }
    if (flags & DTCI_FLAG_WORKERS) {
        head->workers = dtci_get16(at);
        head->terms = dtci_get16(at + 2);
        at += 4;
        if (head->workers < 2 || head->terms < 1 || head->terms > head->workers) return DTC_ERROR_HEAD;
    }
    if (flags & DTCI_FLAG_SEED) {
        head->seed = dtci_get64(at);
        if (!head->seed) return DTC_ERROR_HEAD;
    }
    return DTC_OK;
}

/* --------------------------------------------------------------------------------------------------------------------
 * Huffman: canonical, length-limited codes over tokens
 *
 * What is coded are bins, 0..2^bits-1. A token is a run of r times the commonest bin (the mode) followed by one bin b;
 * runs spend well under a bit a value where the mode prevails, and where they would not pay r is always 0.
 * r and |b - mode| are each split into a class and raw extra bits, exact below 2^(precision+1), with 2^precision
 * classes an octave above, so that a few hundred symbols serve 65536 bins. A token's symbol joins both classes: symbol
 * = class(r) * values + (b == mode ? 0 : 2 * class(|b - mode|) - (b < mode)) followed by the extra bits of r, then
 * those of b. Where runs do not pay, but a code of whole bits for each bin would waste much of them, a token is a pair
 * of bins, the first one in the place of the run.
 * ------------------------------------------------------------------------------------------------------------------*/

#define DTCI_SYMBOLS      4096u /* of an alphabet, at the most */
#define DTCI_CODE_MAX     15u   /* bits of the longest code */
#define DTCI_LOOKUP_BITS  11u   /* codes up to this length are decoded by one look-up */
#define DTCI_RUN_MAX      65535u
#define DTCI_STREAMS      4u /* of a payload of at least DTCI_STREAMS_FROM bins; below, one */
#define DTCI_STREAMS_FROM 4096u
#define DTCI_TOKENS_HEAD  7u /* mode, precisions, values, runs */

/* The class of m: its number, how many extra bits follow, and the smallest member is m less the extra bits' value. */
DTCI_FN uint32_t dtci_class(uint32_t m, unsigned precision, unsigned *extra) {
    unsigned width = dtci_bit_width(m), shift = width > precision + 1 ? width - precision - 1 : 0;
    *extra = shift;
    return ((uint32_t)shift << precision) + (m >> shift);
}

/* The smallest member of a class; 0x10000 and above where the class is none of dtci_class's. */
DTCI_FN uint32_t dtci_class_start(uint32_t number, unsigned precision, unsigned *extra) {
    uint32_t octave = number >> precision;
    *extra = octave > 1 ? octave - 1 : 0;
    if (octave + precision > 16) return 0x10000u;
    return octave > 1 ? (number - (*extra << precision)) << *extra : number;
}

typedef struct dtci_tokens {
    uint32_t mode;
    unsigned value_precision, run_precision;
    uint32_t values, runs; /* classes; symbols = runs * values */
    int pairs;             /* the first of two bins is in the place of the run; runs = values */
} dtci_tokens;

DTCI_FN void dtci_tokens_write(unsigned char *to, const dtci_tokens *tokens) {
    dtci_put16(to, tokens->mode);
    to[2] = (unsigned char)(tokens->value_precision | tokens->run_precision << 4);
    dtci_put16(to + 3, tokens->values);
    dtci_put16(to + 5, tokens->pairs ? 0 : tokens->runs);
}

/* Returns 0 where a field is out of its range. */
DTCI_FN int dtci_tokens_start(dtci_tokens *tokens, const unsigned char *from, unsigned bits) {
    tokens->mode = dtci_get16(from);
    tokens->value_precision = from[2] & 15;
    tokens->run_precision = from[2] >> 4;
    tokens->values = dtci_get16(from + 3);
    tokens->runs = dtci_get16(from + 5);
    tokens->pairs = !tokens->runs;
    if (tokens->pairs) tokens->runs = tokens->values;
    return !(tokens->mode >> bits) && tokens->values >= 2 && tokens->values * (uint64_t)tokens->runs <= DTCI_SYMBOLS &&
           !(tokens->pairs && tokens->run_precision);
}

/* Sorts keys by their low 32 bits, stably, through a spare array of the same size; returns the sorted one of both. */
DTCI_FN uint64_t *dtci_radix_sort(uint64_t *keys, uint64_t *spare, size_t n, uint32_t largest) {
    unsigned shift;
    for (shift = 0; shift < 32 && largest >> shift; shift += 8) {
        uint32_t starts[256], sum = 0;
        uint64_t *sorted = spare;
        size_t i;
        memset(starts, 0, sizeof starts);
        for (i = 0; i < n; i++) starts[keys[i] >> shift & 255]++;
        for (i = 0; i < 256; i++) {
            uint32_t here = starts[i];
            starts[i] = sum;
            sum += here;
        }
        for (i = 0; i < n; i++) sorted[starts[keys[i] >> shift & 255]++] = keys[i];
        spare = keys;
        keys = sorted;
    }
    return keys;
}

/* Depths of n >= 2 leaves of ascending weight in a tree of least total depth, in place; they come out descending.
 * (Moffat and Katajainen, In-place calculation of minimum-redundancy codes, 1995.) */
DTCI_FN void dtci_huffman_depths(uint32_t *a, size_t n) {
    size_t leaf = 2, root = 0, next, open = 1, depth = 0, at;
    a[0] += a[1];
    for (next = 1; next + 1 < n; next++) { /* join the two lightest; a joined node's slot then names its parent */
        uint32_t weight;
        if (leaf >= n || a[root] < a[leaf]) {
            weight = a[root];
            a[root++] = (uint32_t)next;
        } else {
            weight = a[leaf++];
        }
        if (leaf >= n || (root < next && a[root] < a[leaf])) {
            weight += a[root];
            a[root++] = (uint32_t)next;
        } else {
            weight += a[leaf++];
        }
        a[next] = weight;
    }
    a[n - 2] = 0;
    for (next = n - 2; next-- > 0;) a[next] = a[a[next]] + 1; /* parents to depths of joined nodes */
    next = n;
    for (at = n - 1; open > 0; depth++) { /* what is open at a depth and not joined there is a leaf */
        size_t joined = 0;
        for (; at > 0 && a[at - 1] == depth; at--) joined++;
        for (; open > joined; open--) a[--next] = (uint32_t)depth;
        open = 2 * joined;
    }
}

/* Working memory for one code. */
typedef struct dtci_huffman_work {
    uint64_t keys[2][DTCI_SYMBOLS];
    uint32_t weights[DTCI_SYMBOLS];
} dtci_huffman_work;

/* lengths[s] for s in 0..symbols-1: 0 where counts[s] is 0, else 1..DTCI_CODE_MAX. The code is complete; where fewer
 * than two symbols are used, another gets a length, too. symbols >= 2. */
DTCI_FN void dtci_huffman_lengths(uint8_t *lengths, const uint32_t *counts, size_t symbols, dtci_huffman_work *work) {
    uint32_t used[32], largest = 0, kraft = 0;
    uint64_t *sorted;
    size_t n = 0, i;
    unsigned length;
    memset(lengths, 0, symbols);
    for (i = 0; i < symbols; i++) {
        if (!counts[i]) continue;
        if (counts[i] > largest) largest = counts[i];
        work->keys[0][n++] = (uint64_t)i << 32 | counts[i];
    }
    if (n < 2) {
        size_t only = n ? (size_t)(work->keys[0][0] >> 32) : 0;
        lengths[only] = 1;
        lengths[only ? 0 : 1] = 1;
        return;
    }
    sorted = dtci_radix_sort(work->keys[0], work->keys[1], n, largest);
    for (i = 0; i < n; i++) work->weights[i] = (uint32_t)(sorted[i] & 0xffffffffu);
    dtci_huffman_depths(work->weights, n);
    memset(used, 0, sizeof used);
    for (i = 0; i < n; i++) {
        length = work->weights[i] < DTCI_CODE_MAX ? (unsigned)work->weights[i] : DTCI_CODE_MAX;
        used[length]++;
        kraft += 1u << (DTCI_CODE_MAX - length);
    }
    while (kraft > 1u << DTCI_CODE_MAX) { /* lengthen the longest code that can be, and let a longest one join it */
        for (length = DTCI_CODE_MAX - 1; !used[length];) length--;
        used[length]--;
        used[length + 1] += 2;
        used[DTCI_CODE_MAX]--;
        kraft--;
    }
    for (i = 0, length = DTCI_CODE_MAX; i < n; i++) { /* the rarest first, the longest first */
        while (!used[length]) length--;
        used[length]--;
        lengths[sorted[i] >> 32] = (uint8_t)length;
    }
}

/* Code lengths on the wire, each as one of
 *     0              the same as the last that was not zero (at first: 8)
 *     10 b           one more (b = 0) or one less (b = 1) than that
 *     110 llll       l
 *     111 0…01 x…x   zero n times, n in Elias gamma code: z zeros, a one, then the z bits of n below its highest
 * The bits of numbers stand low first. Returns the bits, w being NULL to only count them. */
DTCI_FN size_t dtci_lengths_write(dtci_bit_writer *w, const uint8_t *lengths, size_t symbols) {
    unsigned last = 8, n;
    size_t total = 0, i;
    for (i = 0; i < symbols; i++) {
        uint64_t bits;
        if (!lengths[i]) {
            uint32_t run = 1;
            unsigned z;
            for (; i + 1 < symbols && !lengths[i + 1]; i++) run++;
            z = dtci_bit_width(run) - 1;
            bits = 7 | (uint64_t)1 << (3 + z) | (uint64_t)(run - (1u << z)) << (4 + z);
            n = 4 + 2 * z;
        } else if (lengths[i] == last) {
            bits = 0;
            n = 1;
        } else if (lengths[i] == last + 1 || lengths[i] + 1u == last) {
            bits = 1 | (lengths[i] < last ? 4u : 0u);
            n = 3;
        } else {
            bits = 3 | (uint64_t)lengths[i] << 3;
            n = 7;
        }
        if (lengths[i]) last = lengths[i];
        if (w) dtci_bits_put(w, bits, n);
        total += n;
    }
    return total;
}

/* Reads them back; refuses what is not a complete code. Returns the bytes used, or 0. */
DTCI_FN size_t dtci_lengths_read(uint8_t *lengths, size_t symbols, const unsigned char *p, size_t size) {
    dtci_bit_reader r;
    unsigned last = 8;
    uint32_t kraft = 0;
    size_t i = 0;
    dtci_bits_start(&r, p, size);
    while (i < symbols) {
        dtci_bits_refill(&r);
        if (dtci_bits_used(&r) > size) return 0;
        if (!dtci_bits_take(&r, 1)) {
            lengths[i++] = (uint8_t)last;
        } else if (!dtci_bits_take(&r, 1)) {
            last = dtci_bits_take(&r, 1) ? last - 1 : last + 1;
            lengths[i++] = (uint8_t)last;
        } else if (!dtci_bits_take(&r, 1)) {
            last = dtci_bits_take(&r, 4);
            lengths[i++] = (uint8_t)last;
        } else {
            unsigned z = 0;
            size_t run;
            while (!dtci_bits_take(&r, 1))
                if (++z > 12) return 0;
            run = ((size_t)1 << z) + dtci_bits_take(&r, z);
            if (run > symbols - i) return 0;
            memset(lengths + i, 0, run);
            i += run;
            continue;
        }
        if (last < 1 || last > DTCI_CODE_MAX) return 0;
        kraft += 1u << (DTCI_CODE_MAX - last);
    }
    if (kraft != 1u << DTCI_CODE_MAX) return 0;
    r.size = dtci_bits_used(&r);
    return r.size <= size && dtci_bits_done(&r) ? r.size : 0;
}

/* The lowest `length` <= 16 bits of a code that has no more, in reverse. */
DTCI_FN uint32_t dtci_reverse(uint32_t code, unsigned length) {
    code = (code & 0x5555) << 1 | (code >> 1 & 0x5555);
    code = (code & 0x3333) << 2 | (code >> 2 & 0x3333);
    code = (code & 0x0f0f) << 4 | (code >> 4 & 0x0f0f);
    return ((code & 0xff) << 8 | code >> 8) >> (16 - length);
}

/* Codes in canonical order, first bit lowest: codes[s] = code << 4 | length. */
DTCI_FN void dtci_huffman_codes(uint32_t *codes, const uint8_t *lengths, size_t symbols) {
    uint32_t next[DTCI_CODE_MAX + 2];
    size_t i;
    unsigned length;
    memset(next, 0, sizeof next);
    for (i = 0; i < symbols; i++) next[lengths[i] + 1]++;
    next[1] = 0;
    for (length = 1; length <= DTCI_CODE_MAX; length++) next[length + 1] = (next[length] + next[length + 1]) << 1;
    for (i = 0; i < symbols; i++)
        codes[i] = lengths[i] ? dtci_reverse(next[lengths[i]]++, lengths[i]) << 4 | lengths[i] : 0;
}

/* A bin as a part of a token: its share of the symbol, and its extra bits. */
typedef struct dtci_bin_code {
    uint32_t bits;
    uint16_t value;
    uint16_t extra; /* how many bits */
} dtci_bin_code;

DTCI_FN dtci_bin_code dtci_bin_encode(uint32_t bin, uint32_t mode, unsigned precision) {
    dtci_bin_code code;
    uint32_t distance = bin < mode ? mode - bin : bin - mode, number, mask;
    unsigned extra;
    number = dtci_class(distance, precision, &extra);
    mask = (1u << extra) - 1;
    code.extra = (uint16_t)extra;
    code.value = (uint16_t)(distance ? 2 * number - (bin < mode) : 0);
    /* a class below the mode is counted from its lowest bin, so that decoding only adds */
    code.bits = bin < mode ? mask - (distance & mask) : distance & mask;
    return code;
}

/* The runs of bins[at..end), each with the bin that follows it. The last bin is never in one, so that every token ends
 * in a bin. */
typedef struct dtci_runs {
    const uint16_t *bins;
    size_t at, end;
    size_t next;   /* bins from here on were not looked at yet */
    uint64_t ends; /* bit i: a run ends, at the latest, at bin next - DTCI_RUNS + i */
    uint16_t mode;
} dtci_runs;

#define DTCI_RUNS 64u /* at a time, at the most */

/* Where runs end in the first DTCI_RUNS of n bins: all at once, for a branch at each could not be foreseen. */
DTCI_FN uint64_t dtci_run_ends(const uint16_t *bins, size_t n, uint16_t mode) {
    uint16_t some[DTCI_RUNS];
    unsigned char ends[DTCI_RUNS];
    uint64_t bits = 0;
    size_t i;
    if (n >= DTCI_RUNS) {
        memcpy(some, bins, sizeof some);
    } else {
        memset(some, 0, sizeof some);
        memcpy(some, bins, 2 * n);
    }
    for (i = 0; i < DTCI_RUNS; i++) ends[i] = some[i] != mode;
    if (n <= DTCI_RUNS) ends[n - 1] = 1;
    for (i = 0; i < DTCI_RUNS; i += 8) bits |= dtci_get64(ends + i) * 0x0102040810204080u >> 56 << i; /* a bit a byte */
    return n < DTCI_RUNS ? bits & (((uint64_t)1 << n) - 1) : bits;
}

DTCI_FN dtci_runs dtci_runs_open(const uint16_t *bins, size_t at, size_t end, uint32_t mode) {
    dtci_runs runs;
    runs.bins = bins;
    runs.at = runs.next = at;
    runs.end = end;
    runs.ends = 0;
    runs.mode = (uint16_t)mode;
    return runs;
}

/* The next runs, and how many: run[i] is the length, and above its 16 bits the bin. None are left where runs->at is
 * runs->end. */
DTCI_FN size_t dtci_runs_take(uint32_t *run, dtci_runs *runs) {
    size_t at = runs->at, base, n;
    uint64_t ends;
    while (!runs->ends) {
        runs->ends = dtci_run_ends(runs->bins + runs->next, runs->end - runs->next, runs->mode);
        runs->next += DTCI_RUNS;
    }
    ends = runs->ends;
    base = runs->next - DTCI_RUNS;
    if (base + dtci_lowest_bit(ends) - at > DTCI_RUN_MAX) {
        *run = DTCI_RUN_MAX | (uint32_t)runs->mode << 16;
        runs->at += DTCI_RUN_MAX + 1;
        return 1;
    }
    for (n = 0; ends; n++, ends &= ends - 1) {
        size_t stop = base + dtci_lowest_bit(ends);
        run[n] = (uint32_t)(stop - at) | (uint32_t)runs->bins[stop] << 16;
        at = stop + 1;
    }
    runs->at = at;
    runs->ends = 0;
    return n;
}

DTCI_FN size_t dtci_stream_count(size_t n) {
    return n < DTCI_STREAMS_FROM ? 1 : DTCI_STREAMS;
}

/* Stream j holds bins [j, j+1) * this. */
DTCI_FN size_t dtci_stream_bins(size_t n) {
    return dtci_ceil_div(n, dtci_stream_count(n));
}

typedef struct dtci_tokens_work {
    dtci_huffman_work huffman;
    uint32_t counts[DTCI_SYMBOLS], codes[DTCI_SYMBOLS];
    uint8_t lengths[2][DTCI_SYMBOLS];
} dtci_tokens_work;

/* The encoder's side. Its tables span all bins, but only those that occur are gone through, so that a short tensor
 * costs little whatever its bits. */
typedef struct dtci_coder {
    dtci_tokens_work *work;
    uint32_t *histogram;  /* by bin */
    dtci_bin_code *codes; /* by bin */
    uint16_t *used;       /* the bins that occur */
    size_t used_count;
    const uint16_t *bins; /* what is coded */
    size_t n;
    uint32_t mode, largest; /* distance of a bin from the mode */
} dtci_coder;

DTCI_FN size_t dtci_coder_scratch(unsigned bits) {
    return dtci_room(sizeof(dtci_tokens_work)) + dtci_room(sizeof(uint32_t) << bits) +
           dtci_room(sizeof(dtci_bin_code) << bits) + dtci_room(sizeof(uint16_t) << bits);
}

/* For bins of up to `bits` bits. 0: not enough scratch. */
DTCI_FN int dtci_coder_open(dtci_coder *coder, unsigned bits, dtci_arena *arena) {
    memset(coder, 0, sizeof *coder);
    coder->work = (dtci_tokens_work *)dtci_take(arena, sizeof(dtci_tokens_work));
    coder->histogram = (uint32_t *)dtci_take(arena, sizeof(uint32_t) << bits);
    coder->codes = (dtci_bin_code *)dtci_take(arena, sizeof(dtci_bin_code) << bits);
    coder->used = (uint16_t *)dtci_take(arena, sizeof(uint16_t) << bits);
    return coder->work && coder->histogram && coder->codes && coder->used;
}

/* Counts n > 0 bins below 2^bits. The mode is, of the commonest, the first to come. */
DTCI_FN void dtci_coder_count(dtci_coder *coder, const uint16_t *bins, size_t n, unsigned bits) {
    uint32_t *counts = coder->histogram, first = 65535, last = 0, most = 0;
    size_t all = (size_t)1 << bits, used = 0, i = 0;
    coder->bins = bins;
    coder->n = n;
    if (n < all) {
        for (i = 0; i < n; i++) counts[bins[i]] = 0;
        for (i = 0; i < n; i++)
            if (!counts[bins[i]]++) coder->used[used++] = bins[i];
    } else {
        memset(counts, 0, all * sizeof *counts);
        if (all <= DTCI_SYMBOLS) { /* in four tables, so that equal neighbours need not wait for each other */
            uint32_t *b = coder->work->counts, *c = coder->work->codes, *d = coder->work->huffman.weights, bin;
            memset(b, 0, all * sizeof *b);
            memset(c, 0, all * sizeof *c);
            memset(d, 0, all * sizeof *d);
            for (; i + 4 <= n; i += 4) {
                counts[bins[i]]++;
                b[bins[i + 1]]++;
                c[bins[i + 2]]++;
                d[bins[i + 3]]++;
            }
            for (bin = 0; bin < all; bin++) counts[bin] += b[bin] + c[bin] + d[bin];
        }
        for (; i < n; i++) counts[bins[i]]++;
        for (i = 0; i < all; i++)
            if (counts[i]) coder->used[used++] = (uint16_t)i;
    }
    coder->used_count = used;
    for (i = 0; i < used; i++) {
        uint32_t bin = coder->used[i];
        if (counts[bin] > most) most = counts[bin];
        if (bin < first) first = bin;
        if (bin > last) last = bin;
    }
    for (i = 0; counts[bins[i]] < most;) i++;
    coder->mode = bins[i];
    coder->largest = last - coder->mode > coder->mode - first ? last - coder->mode : coder->mode - first;
}

typedef struct dtci_tokens_plan {
    dtci_tokens tokens;
    uint8_t *lengths;
    size_t bytes; /* of the payload, at the most: each stream may end in a part of a byte */
} dtci_tokens_plan;

/* The bins' parts of tokens; in `tokens`, what follows from their precision. */
DTCI_FN void dtci_coder_classify(dtci_coder *coder, dtci_tokens *tokens, unsigned precision) {
    size_t i;
    tokens->mode = coder->mode;
    tokens->value_precision = precision;
    tokens->values = 2; /* a code has two symbols at least */
    for (i = 0; i < coder->used_count; i++) {
        dtci_bin_code code = dtci_bin_encode(coder->used[i], coder->mode, precision);
        coder->codes[coder->used[i]] = code;
        if (code.value >= tokens->values) tokens->values = code.value + 1u;
    }
}

/* Prices one choice of tokens by their counts, and keeps it if it is the cheapest so far. */
DTCI_FN void dtci_coder_try(dtci_coder *coder, dtci_tokens_plan *best, const dtci_tokens *tokens) {
    dtci_tokens_work *work = coder->work;
    uint8_t *lengths = best->lengths == work->lengths[0] ? work->lengths[1] : work->lengths[0];
    size_t symbols = (size_t)tokens->values * tokens->runs, streams = dtci_stream_count(coder->n), bytes, i = 0;
    uint32_t run, value;
    uint64_t bits = 0;
    dtci_huffman_lengths(lengths, work->counts, symbols, &work->huffman);
    for (run = 0; run < tokens->runs; run++) {
        unsigned run_extra, extra;
        (void)dtci_class_start(tokens->pairs ? (run + 1) / 2 : run,
                               tokens->pairs ? tokens->value_precision : tokens->run_precision, &run_extra);
        for (value = 0; value < tokens->values; value++, i++) {
            (void)dtci_class_start((value + 1) / 2, tokens->value_precision, &extra);
            bits += (uint64_t)work->counts[i] * (lengths[i] + run_extra + extra);
        }
    }
    bytes = DTCI_TOKENS_HEAD + 4 * (streams - 1) + (dtci_lengths_write(NULL, lengths, symbols) + 7) / 8 +
            (size_t)(bits / 8) + streams;
    if (best->lengths && bytes >= best->bytes) return;
    best->tokens = *tokens;
    best->lengths = lengths;
    best->bytes = bytes;
}

/* Without runs. */
DTCI_FN void dtci_coder_try_plain(dtci_coder *coder, dtci_tokens_plan *best, unsigned precision) {
    dtci_tokens tokens;
    size_t i;
    tokens.run_precision = 0;
    tokens.runs = 1;
    tokens.pairs = 0;
    dtci_coder_classify(coder, &tokens, precision);
    memset(coder->work->counts, 0, tokens.values * sizeof(uint32_t));
    for (i = 0; i < coder->used_count; i++) {
        const dtci_bin_code *code = &coder->codes[coder->used[i]];
        coder->work->counts[code->value] += coder->histogram[coder->used[i]];
    }
    dtci_coder_try(coder, best, &tokens);
}

/* A run as a part of a token: its share of the symbol, and its extra bits. */
typedef struct dtci_run_code {
    uint32_t symbol;
    uint16_t bits;
    uint16_t extra; /* how many bits */
} dtci_run_code;

DTCI_INLINE dtci_run_code dtci_run_encode(uint32_t run, const dtci_tokens *tokens) {
    dtci_run_code code;
    unsigned extra;
    code.symbol = dtci_class(run, tokens->run_precision, &extra) * tokens->values;
    code.bits = (uint16_t)(run & ((1u << extra) - 1));
    code.extra = (uint16_t)extra;
    return code;
}

/* Of the short ones. */
DTCI_FN void dtci_runs_encode(dtci_run_code codes[DTCI_RUNS], const dtci_tokens *tokens) {
    uint32_t run;
    for (run = 0; run < DTCI_RUNS; run++) codes[run] = dtci_run_encode(run, tokens);
}

/* Counts tokens with runs. */
DTCI_FN void dtci_coder_count_runs(dtci_coder *coder, const dtci_tokens *tokens) {
    size_t stream = dtci_stream_bins(coder->n), symbols = (size_t)tokens->values * tokens->runs, at, i;
    uint32_t *counts = coder->work->counts;
    dtci_run_code codes[DTCI_RUNS];
    uint32_t run[DTCI_RUNS];
    dtci_runs_encode(codes, tokens);
    memset(counts, 0, symbols * sizeof *counts);
    for (at = 0; at < coder->n; at += stream) {
        dtci_runs runs = dtci_runs_open(coder->bins, at, coder->n - at < stream ? coder->n : at + stream, tokens->mode);
        while (runs.at < runs.end) {
            size_t n = dtci_runs_take(run, &runs);
            for (i = 0; i < n; i++) {
                uint32_t length = run[i] & 0xffff;
                uint32_t symbol = length < DTCI_RUNS ? codes[length].symbol : dtci_run_encode(length, tokens).symbol;
                counts[symbol + coder->codes[run[i] >> 16].value]++;
            }
        }
    }
}

/* The same from the counts of tokens whose classes are parts of theirs. */
DTCI_FN void dtci_coder_join_runs(dtci_coder *coder, const dtci_tokens *tokens, const dtci_tokens *finer) {
    size_t symbols = (size_t)tokens->values * tokens->runs;
    uint32_t *joined = coder->work->codes, run, value;
    const uint32_t *count = coder->work->counts;
    unsigned extra;
    memset(joined, 0, symbols * sizeof *joined);
    for (run = 0; run < finer->runs; run++) {
        uint32_t first = dtci_class_start(run, finer->run_precision, &extra);
        uint32_t *to = joined + dtci_class(first, tokens->run_precision, &extra) * tokens->values;
        for (value = 0; value < finer->values; value++) {
            first = dtci_class_start((value + 1) / 2, finer->value_precision, &extra);
            to[2 * dtci_class(first, tokens->value_precision, &extra) - (value & 1)] += *count++;
        }
    }
    memcpy(coder->work->counts, joined, symbols * sizeof *joined);
}

/* With runs up to `longest`, in an alphabet of at most `symbols`; `counted` are tokens with runs that have just been
 * counted, or NULL. Returns these tokens; no runs where there are too many classes of them. */
DTCI_FN dtci_tokens dtci_coder_try_runs(dtci_coder *coder, dtci_tokens_plan *best, uint32_t longest, size_t symbols,
                                        const dtci_tokens *counted) {
    unsigned extra, precision = 15;
    uint32_t octaves = dtci_class(longest, 0, &extra) + 1;
    dtci_tokens tokens;
    /* a class a number where that leaves room for an octave a class of runs, else coarser */
    while (precision && (2 * dtci_class(coder->largest, precision, &extra) + 1) * octaves > symbols) precision--;
    dtci_coder_classify(coder, &tokens, precision);
    tokens.pairs = 0;
    for (precision = 16, tokens.runs = 0;
         precision && (!tokens.runs || (size_t)tokens.values * tokens.runs > symbols);) {
        tokens.run_precision = --precision;
        tokens.runs = dtci_class(longest, precision, &extra) + 1;
    }
    if ((size_t)tokens.values * tokens.runs > DTCI_SYMBOLS) {
        tokens.runs = 0;
        return tokens;
    }
    if (counted && counted->runs && counted->value_precision >= tokens.value_precision &&
        counted->run_precision >= tokens.run_precision)
        dtci_coder_join_runs(coder, &tokens, counted);
    else
        dtci_coder_count_runs(coder, &tokens);
    dtci_coder_try(coder, best, &tokens);
    return tokens;
}

/* Two bins to a token, in an alphabet of at most `symbols`. */
DTCI_FN void dtci_coder_try_pairs(dtci_coder *coder, dtci_tokens_plan *best, size_t symbols) {
    size_t stream = dtci_stream_bins(coder->n), at, end;
    unsigned extra, precision = 15;
    dtci_tokens tokens;
    for (;;) {
        uint32_t values = 2 * dtci_class(coder->largest, precision, &extra) + 1;
        if ((size_t)values * values <= symbols) break;
        if (precision-- < 4) return; /* such coarse classes waste more than pairs gain */
    }
    dtci_coder_classify(coder, &tokens, precision);
    tokens.run_precision = 0;
    tokens.runs = tokens.values;
    tokens.pairs = 1;
    memset(coder->work->counts, 0, (size_t)tokens.values * tokens.values * sizeof(uint32_t));
    for (at = 0; at < coder->n; at = end) {
        end = coder->n - at < stream ? coder->n : at + stream;
        for (; at < end; at += 2) {
            const dtci_bin_code *a = &coder->codes[coder->bins[at]];
            const dtci_bin_code *b = &coder->codes[at + 1 < end ? coder->bins[at + 1] : tokens.mode];
            coder->work->counts[a->value * tokens.values + b->value]++;
        }
    }
    dtci_coder_try(coder, best, &tokens);
}

/* Chooses how to code what was counted. */
DTCI_FN dtci_tokens_plan dtci_coder_choose(dtci_coder *coder) {
    size_t n = coder->n, symbols = n / 8 < 64 ? 64 : n / 8 < 2048 ? n / 8 : 2048;
    unsigned precision = 15, extra;
    dtci_tokens_plan best;
    memset(&best, 0, sizeof best);
    while (precision && 2 * dtci_class(coder->largest, precision, &extra) + 1 > symbols) precision--;
    dtci_coder_try_plain(coder, &best, precision);
    if (precision > 4) dtci_coder_try_plain(coder, &best, 4);
    if (precision > 2) dtci_coder_try_plain(coder, &best, 2);
    if (coder->histogram[coder->mode] > n / 10 * 3) { /* below, a bin's own code is short enough */
        size_t stream = dtci_stream_bins(n), tokens = 0, at;
        uint32_t run[DTCI_RUNS], longest = 0;
        dtci_tokens counted;
        for (at = 0; at < n; at += stream) {
            dtci_runs runs = dtci_runs_open(coder->bins, at, n - at < stream ? n : at + stream, coder->mode);
            while (runs.at < runs.end) {
                size_t taken = dtci_runs_take(run, &runs), i;
                for (i = 0; i < taken; i++) longest = (run[i] & 0xffff) > longest ? run[i] & 0xffff : longest;
                tokens += taken;
            }
        }
        symbols = tokens / 8 < 64 ? 64 : tokens / 8 < DTCI_SYMBOLS ? tokens / 8 : DTCI_SYMBOLS;
        counted = dtci_coder_try_runs(coder, &best, longest, symbols, NULL);
        if (symbols > 256 && tokens < 131072) /* above, a large table hardly weighs */
            (void)dtci_coder_try_runs(coder, &best, longest, 256, &counted);
    }
    symbols = n / 16 < DTCI_SYMBOLS ? n / 16 : DTCI_SYMBOLS;
    if (coder->histogram[coder->mode] < n / 2) dtci_coder_try_pairs(coder, &best, symbols);
    return best;
}

/* Bits of the longest token's extra bits, or, where there are no runs and codes[bin].bits starts with the bin's code,
 * of the longest token. */
DTCI_FN unsigned dtci_coder_longest(const dtci_coder *coder) {
    unsigned longest = 0;
    size_t i;
    for (i = 0; i < coder->used_count; i++)
        if (coder->codes[coder->used[i]].extra > longest) longest = coder->codes[coder->used[i]].extra;
    return longest;
}

/* Each writes bins[at..end), while there is room enough not to look for it at each token, and returns where it stopped.
 * The writer is copied, so as to stay in registers. Without runs: */
DTCI_FN size_t dtci_write_plain(const dtci_coder *coder, dtci_bit_writer *writer, size_t at, size_t end) {
    const dtci_bin_code *codes = coder->codes;
    const uint16_t *bins = coder->bins;
    dtci_bit_writer w = *writer;
    for (; at + 4 <= end && w.end - w.p >= 16; at += 4) {
        const dtci_bin_code *a = &codes[bins[at]], *b = &codes[bins[at + 1]];
        const dtci_bin_code *c = &codes[bins[at + 2]], *d = &codes[bins[at + 3]];
        dtci_bits_push(&w, a->bits | (uint64_t)b->bits << a->extra, (unsigned)a->extra + b->extra);
        dtci_bits_push(&w, c->bits | (uint64_t)d->bits << c->extra, (unsigned)c->extra + d->extra);
    }
    *writer = w;
    return at;
}

/* Pairs without extra bits. */
DTCI_FN size_t dtci_write_pairs(const dtci_coder *coder, dtci_bit_writer *writer, size_t at, size_t end,
                                uint32_t values) {
    const dtci_bin_code *codes = coder->codes;
    const uint32_t *tokens = coder->work->codes;
    const uint16_t *bins = coder->bins;
    dtci_bit_writer w = *writer;
    for (; at + 4 <= end && w.end - w.p >= 8; at += 4) {
        uint32_t a = tokens[codes[bins[at]].value * values + codes[bins[at + 1]].value];
        uint32_t b = tokens[codes[bins[at + 2]].value * values + codes[bins[at + 3]].value];
        dtci_bits_push(&w, a >> 4 | (uint64_t)(b >> 4) << (a & 15), (a & 15) + (b & 15));
    }
    *writer = w;
    return at;
}

/* Runs: all of them, with room or without. */
DTCI_FN void dtci_write_runs(const dtci_coder *coder, dtci_bit_writer *writer, size_t at, size_t end,
                             const dtci_tokens *tokens) {
    const uint32_t *codes = coder->work->codes;
    const dtci_bin_code *bin_codes = coder->codes;
    dtci_runs runs = dtci_runs_open(coder->bins, at, end, tokens->mode);
    dtci_run_code run_codes[DTCI_RUNS];
    uint32_t run[DTCI_RUNS];
    dtci_runs_encode(run_codes, tokens);
    while (runs.at < runs.end) {
        size_t n = dtci_runs_take(run, &runs), i;
        dtci_bit_writer w = *writer;
        int room = w.end - w.p >= 8 * (int)DTCI_RUNS;
        for (i = 0; i < n; i++) {
            uint32_t length = run[i] & 0xffff;
            dtci_run_code r = length < DTCI_RUNS ? run_codes[length] : dtci_run_encode(length, tokens);
            const dtci_bin_code *b = &bin_codes[run[i] >> 16];
            uint32_t code = codes[r.symbol + b->value];
            uint64_t bits = code >> 4 | (r.bits | (uint64_t)b->bits << r.extra) << (code & 15);
            unsigned width = (code & 15) + r.extra + b->extra;
            if (room)
                dtci_bits_push(&w, bits, width);
            else
                dtci_bits_put(writer, bits, width);
        }
        if (room) *writer = w;
    }
}

/* Writes the payload: tokens' head (mode 16 bits; value and run precision 4 bits each; values 16; runs 16), sizes of
 * all streams but the last (32 each), code lengths, streams. Returns its bytes; 0: capacity. */
DTCI_FN size_t dtci_coder_write(dtci_coder *coder, const dtci_tokens_plan *plan, unsigned char *to, size_t capacity) {
    const uint16_t *bins = coder->bins;
    const uint32_t *codes = coder->work->codes;
    dtci_tokens tokens = plan->tokens;
    size_t symbols = (size_t)tokens.values * tokens.runs, n = coder->n, stream = dtci_stream_bins(n), at, end, i, j = 0;
    size_t head = DTCI_TOKENS_HEAD + 4 * (dtci_stream_count(n) - 1);
    unsigned longest;
    dtci_bit_writer w;
    if (capacity < head) return 0;
    dtci_tokens_write(to, &tokens);
    dtci_bits_open(&w, to + head, capacity - head);
    dtci_lengths_write(&w, plan->lengths, symbols);
    dtci_bits_close(&w);
    dtci_huffman_codes(coder->work->codes, plan->lengths, symbols);
    dtci_coder_classify(coder, &tokens, tokens.value_precision);
    if (tokens.runs == 1) { /* a bin is then its whole token: join its code and extra bits beforehand */
        for (i = 0; i < coder->used_count; i++) {
            dtci_bin_code *bin_code = &coder->codes[coder->used[i]];
            uint32_t code = codes[bin_code->value];
            bin_code->bits = code >> 4 | bin_code->bits << (code & 15);
            bin_code->extra = (uint16_t)(bin_code->extra + (code & 15));
        }
    }
    longest = dtci_coder_longest(coder);
    for (at = 0; at < n; at = end, j++) {
        unsigned char *start = w.p;
        end = n - at < stream ? n : at + stream;
        if (tokens.runs == 1) {
            if (longest <= 28) at = dtci_write_plain(coder, &w, at, end); /* two tokens at once */
            for (; at < end; at++) dtci_bits_put(&w, coder->codes[bins[at]].bits, coder->codes[bins[at]].extra);
        } else if (tokens.pairs) {
            if (!longest) at = dtci_write_pairs(coder, &w, at, end, tokens.values);
            for (; at < end; at += 2) {
                const dtci_bin_code *a = &coder->codes[bins[at]];
                const dtci_bin_code *b = &coder->codes[at + 1 < end ? bins[at + 1] : tokens.mode];
                uint32_t code = codes[a->value * tokens.values + b->value];
                uint64_t token = code >> 4 | (uint64_t)(a->bits | (uint64_t)b->bits << a->extra) << (code & 15);
                dtci_bits_put(&w, token, (code & 15) + a->extra + b->extra);
            }
        } else {
            dtci_write_runs(coder, &w, at, end, &tokens);
        }
        dtci_bits_close(&w);
        if (j + 1 < dtci_stream_count(n)) dtci_put32(to + DTCI_TOKENS_HEAD + 4 * j, (uint32_t)(w.p - start));
    }
    return w.overflow ? 0 : (size_t)(w.p - to);
}

/* What a token stands for. */
typedef struct dtci_token {
    int32_t bin;   /* plus the extra bits */
    uint16_t run;  /* plus the extra bits; or the first of two bins, modulo 2^16 */
    uint8_t width; /* bits of the code and all extra bits */
    uint8_t extra; /* run's low four bits, bin's high four */
} dtci_token;

/* Scratch of the decoder. */
typedef struct dtci_decoder {
    dtci_token lookup[1u << DTCI_LOOKUP_BITS]; /* by the next bits, with extra bits added; else `extra` is not 0 */
    dtci_token symbols[DTCI_SYMBOLS];          /* in canonical order */
    uint32_t used[DTCI_CODE_MAX + 1];          /* codes of each length */
    uint32_t long_code, long_index;            /* the first one too long for a look-up, and its place */
    unsigned widest;                           /* bits of a token */
    uint8_t lengths[DTCI_SYMBOLS];
} dtci_decoder;

/* The bin of a class with no extra bits set. */
DTCI_FN int32_t dtci_class_bin(uint32_t value, const dtci_tokens *tokens, unsigned *extra) {
    int32_t start = (int32_t)dtci_class_start((value + 1) / 2, tokens->value_precision, extra);
    return (int32_t)tokens->mode + (value & 1 ? 1 - start - (1 << *extra) : start);
}

/* With what its extra bits add, of which those of the run come first. */
DTCI_FN dtci_token dtci_token_resolve(dtci_token token, uint64_t bits) {
    unsigned run_extra = token.extra & 15, extra = token.extra >> 4;
    bits >>= token.width - run_extra - extra;
    token.run = (uint16_t)((token.run + (bits & ((1u << run_extra) - 1))) & 0xffff);
    token.bin += (int32_t)(bits >> run_extra & ((1u << extra) - 1));
    token.extra = 0;
    return token;
}

DTCI_FN int dtci_decoder_open(dtci_decoder *decoder, const dtci_tokens *tokens) {
    size_t symbols = (size_t)tokens->values * tokens->runs, i;
    uint32_t starts[DTCI_CODE_MAX + 2], code = 0, at = 0;
    unsigned length, extra;
    dtci_token token;
    if (dtci_class_start(tokens->values / 2, tokens->value_precision, &extra) > 0xffff ||
        (!tokens->pairs && dtci_class_start(tokens->runs - 1, tokens->run_precision, &extra) > 0xffff))
        return 0;
    memset(decoder->used, 0, sizeof decoder->used);
    for (i = 0; i < symbols; i++) decoder->used[decoder->lengths[i]]++;
    decoder->used[0] = 0;
    starts[1] = 0;
    for (length = 1; length <= DTCI_CODE_MAX; length++) starts[length + 1] = starts[length] + decoder->used[length];
    decoder->widest = 0;
    for (i = 0; i < symbols; i++) {
        uint32_t value = (uint32_t)(i % tokens->values), run = (uint32_t)(i / tokens->values);
        unsigned run_extra;
        length = decoder->lengths[i];
        if (!length) continue;
        token.run = tokens->pairs ? (uint16_t)(dtci_class_bin(run, tokens, &run_extra) & 0xffff)
                                  : (uint16_t)dtci_class_start(run, tokens->run_precision, &run_extra);
        token.bin = dtci_class_bin(value, tokens, &extra);
        token.width = (uint8_t)(length + run_extra + extra);
        token.extra = (uint8_t)(run_extra | extra << 4);
        if (token.width > decoder->widest) decoder->widest = token.width;
        decoder->symbols[starts[length]++] = token;
    }
    for (length = 1; length <= DTCI_LOOKUP_BITS; length++, code <<= 1) {
        for (i = 0; i < decoder->used[length]; i++, code++, at++) {
            uint32_t k = dtci_reverse(code, length);
            token = decoder->symbols[at];
            for (; k < 1u << DTCI_LOOKUP_BITS; k += 1u << length)
                decoder->lookup[k] =
                    token.extra && token.width <= DTCI_LOOKUP_BITS ? dtci_token_resolve(token, k) : token;
        }
    }
    decoder->long_code = code;
    decoder->long_index = at;
    memset(&token, 0, sizeof token);
    token.extra = 1;
    for (code >>= 1; code < 1u << DTCI_LOOKUP_BITS; code++) /* what longer codes begin with */
        decoder->lookup[dtci_reverse(code, DTCI_LOOKUP_BITS)] = token;
    return 1;
}

/* A token that one look-up does not find: a long code bit by bit, which is the definition of a canonical one; extra
 * bits. */
DTCI_FN dtci_token dtci_token_long(const dtci_decoder *decoder, uint64_t bits) {
    uint32_t code = (uint32_t)(bits & ((1u << DTCI_LOOKUP_BITS) - 1)), first = decoder->long_code;
    dtci_token token = decoder->lookup[code];
    if (!token.width) {
        const dtci_token *symbols = decoder->symbols + decoder->long_index;
        unsigned length = DTCI_LOOKUP_BITS;
        code = dtci_reverse(code, DTCI_LOOKUP_BITS);
        for (;;) {
            code = code << 1 | (uint32_t)(bits >> length++ & 1);
            if (code - first < decoder->used[length] || length == DTCI_CODE_MAX) break;
            symbols += decoder->used[length];
            first = (first + decoder->used[length]) << 1;
        }
        token = symbols[code - first];
    }
    return dtci_token_resolve(token, bits);
}

/* The token at the reader's next bits, of which there must be enough for any. */
DTCI_INLINE dtci_token dtci_token_at(const dtci_decoder *decoder, uint64_t bits) {
    dtci_token token = decoder->lookup[bits & ((1u << DTCI_LOOKUP_BITS) - 1)];
    return token.extra ? dtci_token_long(decoder, bits) : token;
}

typedef struct dtci_stream {
    dtci_bit_reader reader;
    uint16_t *at, *end;
    uint32_t bad; /* some bin or run was out of range */
} dtci_stream;

/* One token. */
DTCI_FN void dtci_stream_step(dtci_stream *s, const dtci_decoder *decoder, uint32_t mode, uint32_t top) {
    dtci_token token;
    size_t run, left = (size_t)(s->end - s->at), k;
    dtci_bits_refill(&s->reader);
    token = dtci_token_at(decoder, s->reader.bits);
    dtci_bits_skip(&s->reader, token.width);
    s->bad |= ((uint32_t)token.bin > top) | (token.run >= left);
    run = token.run < left ? token.run : left - 1;
    for (k = 0; k < run; k++) s->at[k] = (uint16_t)mode;
    s->at += run;
    *s->at++ = (uint16_t)(token.bin & 0xffff);
}

/* Two bins, of which the last one of a stream may be left out. */
DTCI_FN void dtci_stream_pair(dtci_stream *s, const dtci_decoder *decoder, uint32_t mode, uint32_t top) {
    dtci_token token;
    dtci_bits_refill(&s->reader);
    token = dtci_token_at(decoder, s->reader.bits);
    dtci_bits_skip(&s->reader, token.width);
    s->bad |= (token.run > top) | ((uint32_t)token.bin > top);
    *s->at++ = token.run;
    if (s->at < s->end)
        *s->at++ = (uint16_t)(token.bin & 0xffff);
    else
        s->bad |= (uint32_t)token.bin != mode;
}

/* A stream while eight bytes can be read beyond its place. */
typedef struct dtci_fast {
    uint64_t bits;
    const unsigned char *p;
    unsigned n;
} dtci_fast;

DTCI_INLINE void dtci_fast_refill(dtci_fast *f) {
    f->bits |= dtci_get64(f->p) << f->n;
    f->p += (63 - f->n) >> 3;
    f->n |= 56;
}

/* A few tokens without runs, of one bin or two, from one refill. Returns the bits that are set in any bin. */
DTCI_INLINE uint32_t dtci_fast_step(dtci_fast *f, const dtci_decoder *decoder, uint16_t *to, unsigned tokens,
                                    int pairs) {
    uint32_t any = 0;
    unsigned i;
    dtci_fast_refill(f);
    for (i = 0; i < tokens; i++) {
        dtci_token token = dtci_token_at(decoder, f->bits);
        f->bits >>= token.width;
        f->n -= token.width;
        if (pairs) {
            any |= token.run;
            *to++ = token.run;
        }
        any |= (uint32_t)token.bin;
        *to++ = (uint16_t)(token.bin & 0xffff);
    }
    return any;
}

DTCI_INLINE dtci_fast dtci_fast_open(const dtci_bit_reader *reader) {
    dtci_fast f;
    f.bits = reader->bits;
    f.p = reader->data + reader->at;
    f.n = reader->n;
    return f;
}

DTCI_INLINE void dtci_fast_close(dtci_bit_reader *reader, const dtci_fast *f) {
    reader->at = (size_t)(f->p - reader->data);
    reader->n = f->n;
    reader->bits = f->bits & (((uint64_t)1 << f->n) - 1); /* nothing of the next stream */
}

/* Four streams side by side, so that one's look-ups hide behind the others', to where one of them comes near `end`. How
 * often all can go on without looking for the end is found beforehand. */
DTCI_INLINE void dtci_streams_fast(dtci_stream *s, const dtci_decoder *decoder, uint32_t top, const unsigned char *end,
                                   unsigned tokens, int pairs) {
    dtci_fast f0 = dtci_fast_open(&s[0].reader), f1 = dtci_fast_open(&s[1].reader);
    dtci_fast f2 = dtci_fast_open(&s[2].reader), f3 = dtci_fast_open(&s[3].reader);
    size_t step = pairs ? 2 * tokens : tokens, left = (size_t)(s[3].end - s[3].at), i = 0, j;
    uint32_t any = 0;
    for (;;) {
        const unsigned char *last = f0.p > f1.p ? f0.p : f1.p;
        size_t turns;
        last = f2.p > last ? f2.p : last;
        last = f3.p > last ? f3.p : last;
        turns = end - last < 8 ? 0 : ((size_t)(end - last) - 8) / 7 + 1; /* a refill takes seven bytes at the most */
        turns = (left - i) / step < turns ? (left - i) / step : turns;
        if (!turns) break;
        for (; turns; turns--, i += step) {
            any |= dtci_fast_step(&f0, decoder, s[0].at + i, tokens, pairs);
            any |= dtci_fast_step(&f1, decoder, s[1].at + i, tokens, pairs);
            any |= dtci_fast_step(&f2, decoder, s[2].at + i, tokens, pairs);
            any |= dtci_fast_step(&f3, decoder, s[3].at + i, tokens, pairs);
        }
    }
    dtci_fast_close(&s[0].reader, &f0);
    dtci_fast_close(&s[1].reader, &f1);
    dtci_fast_close(&s[2].reader, &f2);
    dtci_fast_close(&s[3].reader, &f3);
    s[0].bad = any > top; /* top is all ones */
    for (j = 0; j < 4; j++) s[j].at += i;
}

/* The same, as many tokens at a time as a refill holds. */
DTCI_FN void dtci_streams_read(dtci_stream *s, const dtci_decoder *decoder, uint32_t top, const unsigned char *end,
                               int pairs) {
    if (pairs && decoder->widest <= 18)
        dtci_streams_fast(s, decoder, top, end, 3, 1);
    else if (pairs && decoder->widest <= 28)
        dtci_streams_fast(s, decoder, top, end, 2, 1);
    else if (!pairs && decoder->widest <= 18)
        dtci_streams_fast(s, decoder, top, end, 3, 0);
    else if (!pairs && decoder->widest <= 28)
        dtci_streams_fast(s, decoder, top, end, 2, 0);
}

#define DTCI_RUN_SHORT 16u /* bins of the mode that are written at once, whether they are there or not */

/* Whether the next token can be read, and its short run written, without looking for the end of either. */
DTCI_INLINE int dtci_runs_free(const dtci_stream *s, const dtci_fast *f, const unsigned char *end) {
    return end - f->p >= 8 && s->end - s->at > (ptrdiff_t)DTCI_RUN_SHORT;
}

/* Such a token. */
DTCI_INLINE void dtci_runs_step(dtci_stream *s, dtci_fast *f, const dtci_decoder *decoder, const uint16_t *modes,
                                uint32_t top) {
    dtci_token token;
    dtci_fast_refill(f);
    token = dtci_token_at(decoder, f->bits);
    f->bits >>= token.width;
    f->n -= token.width;
    s->bad |= (uint32_t)token.bin > top;
    memcpy(s->at, modes, 2 * DTCI_RUN_SHORT);
    if (token.run > DTCI_RUN_SHORT) {
        size_t left = (size_t)(s->end - s->at), run = token.run, k = DTCI_RUN_SHORT;
        s->bad |= run >= left;
        if (run >= left) run = left - 1;
        for (; k + DTCI_RUN_SHORT <= run; k += DTCI_RUN_SHORT) memcpy(s->at + k, modes, 2 * DTCI_RUN_SHORT);
        for (; k < run; k++) s->at[k] = *modes;
        s->at += run;
    } else {
        s->at += token.run;
    }
    *s->at++ = (uint16_t)(token.bin & 0xffff);
}

/* Four streams with runs side by side while all can, then those that still can. */
DTCI_FN void dtci_streams_runs(dtci_stream *s, size_t streams, const dtci_decoder *decoder, uint32_t mode, uint32_t top,
                               const unsigned char *end) {
    uint16_t modes[DTCI_RUN_SHORT];
    dtci_fast f[DTCI_STREAMS];
    size_t j;
    for (j = 0; j < DTCI_RUN_SHORT; j++) modes[j] = (uint16_t)mode;
    for (j = 0; j < streams; j++) f[j] = dtci_fast_open(&s[j].reader);
    while (streams == DTCI_STREAMS && dtci_runs_free(s, f, end) && dtci_runs_free(s + 1, f + 1, end) &&
           dtci_runs_free(s + 2, f + 2, end) && dtci_runs_free(s + 3, f + 3, end)) {
        dtci_runs_step(s, f, decoder, modes, top);
        dtci_runs_step(s + 1, f + 1, decoder, modes, top);
        dtci_runs_step(s + 2, f + 2, decoder, modes, top);
        dtci_runs_step(s + 3, f + 3, decoder, modes, top);
    }
    for (j = 0; j < streams; j++) {
        while (dtci_runs_free(s + j, f + j, end)) dtci_runs_step(s + j, f + j, decoder, modes, top);
        dtci_fast_close(&s[j].reader, &f[j]);
    }
}

/* Decodes n > 0 bins, each checked to be below 2^bits. */
DTCI_FN dtc_status dtci_tokens_read(uint16_t *bins, size_t n, unsigned bits, const unsigned char *p, size_t size,
                                    dtci_decoder *decoder) {
    size_t streams = dtci_stream_count(n), stream = dtci_stream_bins(n), used, sizes, j;
    size_t head = DTCI_TOKENS_HEAD + 4 * (streams - 1);
    dtci_stream s[DTCI_STREAMS];
    dtci_tokens tokens;
    uint32_t top = (1u << bits) - 1, bad = 0;
    if (size < head) return DTC_ERROR_PAYLOAD;
    if (!dtci_tokens_start(&tokens, p, bits)) return DTC_ERROR_PAYLOAD;
    used = dtci_lengths_read(decoder->lengths, (size_t)tokens.values * tokens.runs, p + head, size - head);
    if (!used || !dtci_decoder_open(decoder, &tokens)) return DTC_ERROR_PAYLOAD;
    used += head;
    for (j = 0; j < streams; j++) {
        sizes = j + 1 < streams ? dtci_get32(p + DTCI_TOKENS_HEAD + 4 * j) : size - used;
        if (sizes > size - used) return DTC_ERROR_PAYLOAD;
        dtci_bits_start(&s[j].reader, p + used, sizes);
        used += sizes;
        s[j].at = bins + j * stream;
        s[j].end = j + 1 < streams ? s[j].at + stream : bins + n;
        s[j].bad = 0;
    }
    if (!tokens.pairs && tokens.runs > 1)
        dtci_streams_runs(s, streams, decoder, tokens.mode, top, p + size);
    else if (streams == DTCI_STREAMS)
        dtci_streams_read(s, decoder, top, p + size, tokens.pairs);
    for (j = 0; j < streams; j++) {
        while (tokens.pairs && s[j].at < s[j].end) dtci_stream_pair(&s[j], decoder, tokens.mode, top);
        while (s[j].at < s[j].end) dtci_stream_step(&s[j], decoder, tokens.mode, top);
        bad |= s[j].bad | (uint32_t)!dtci_bits_done(&s[j].reader);
    }
    return bad ? DTC_ERROR_PAYLOAD : DTC_OK;
}

/* Whether a payload of tokens for n bins is malformed is found by decoding it into scratch; so nothing of a bad packet
 * reaches the caller's values. */
DTCI_FN size_t dtci_decoder_scratch(size_t n) {
    return dtci_room(sizeof(dtci_decoder)) + dtci_room(2 * n);
}

/* --------------------------------------------------------------------------------------------------------------------
 * Hadamard transform: x := H x, unnormalized, H of natural (Sylvester) order, and a seeded diagonal of signs before it
 *
 * On floats for encoders, and on integers, modulo 2^32, for decoders that must be exact. Levels commute, but for how
 * floats are rounded; so their order is fixed: the far ones come first, in passes over everything, and the near ones
 * then stay within what the first-level cache holds.
 * ------------------------------------------------------------------------------------------------------------------*/

#define DTCI_HADAMARD_MAX  16u /* log2 of the largest size */
#define DTCI_HADAMARD_NEAR 12u /* of the parts that near levels stay within: four far levels are left */

/* The reference. A level joins values a stride apart; two make a pass, the one of the smaller stride first. */
#define DTCI_HADAMARD(name, type)                                                                    \
    DTCI_FN void name##_levels(type *x, size_t n, size_t stop, size_t span) {                        \
        for (; span >= 4 * stop; span /= 4) {                                                        \
            size_t h = span / 4, block, i;                                                           \
            for (block = 0; block < n; block += span) {                                              \
                type *p = x + block;                                                                 \
                for (i = 0; i < h; i++) {                                                            \
                    type a = p[i] + p[h + i], b = p[i] - p[h + i];                                   \
                    type c = p[2 * h + i] + p[3 * h + i];                                            \
                    type d = p[2 * h + i] - p[3 * h + i];                                            \
                    p[i] = a + c;                                                                    \
                    p[h + i] = b + d;                                                                \
                    p[2 * h + i] = a - c;                                                            \
                    p[3 * h + i] = b - d;                                                            \
                }                                                                                    \
            }                                                                                        \
        }                                                                                            \
        if (span > stop) {                                                                           \
            size_t h = span / 2, block, i;                                                           \
            for (block = 0; block < n; block += span) {                                              \
                type *p = x + block;                                                                 \
                for (i = 0; i < h; i++) {                                                            \
                    type a = p[i];                                                                   \
                    p[i] = a + p[h + i];                                                             \
                    p[h + i] = a - p[h + i];                                                         \
                }                                                                                    \
            }                                                                                        \
        }                                                                                            \
    }                                                                                                \
                                                                                                     \
    DTCI_FN void name##_far(type *x, unsigned log2_n) {                                              \
        name##_levels(x, (size_t)1 << log2_n, (size_t)1 << DTCI_HADAMARD_NEAR, (size_t)1 << log2_n); \
    }                                                                                                \
    DTCI_FN void name##_near(type *x, unsigned log2_n) {                                             \
        name##_levels(x, (size_t)1 << log2_n, 1, (size_t)1 << log2_n);                               \
    }

DTCI_HADAMARD(dtci_hadamard_reference, float)
DTCI_HADAMARD(dtci_hadamard_integer_reference, uint32_t)

#undef DTCI_HADAMARD

/* The same operations on vectors, in fewer passes: four levels at a time stay in 16 registers. */
#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector) && (defined(__SSE2__) || defined(__aarch64__))
#define DTCI_VECTORS 1
#endif
#endif

#if defined(DTCI_VECTORS)
#define DTCI_HADAMARD_TILE 32u

typedef float dtci_vector_f4 __attribute__((vector_size(16), aligned(4), may_alias));
typedef uint32_t dtci_vector_u4 __attribute__((vector_size(16), aligned(4), may_alias));
#if defined(DTCI_X86)
typedef float dtci_vector_f8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef uint32_t dtci_vector_u8 __attribute__((vector_size(32), aligned(4), may_alias));
#endif

/* A level within a vector: it, its signs changed where `negative` has ones, and its values exchanged. */
#define DTCI_HADAMARD_FLOAT(x, words, negative, swapped) \
    *(x) = (swapped) + (__typeof__(*(x)))((words) * (x) ^ ((negative)&0x80000000u))
#define DTCI_HADAMARD_INTEGER(x, words, negative, swapped) *(x) = (swapped) - (negative) + (*(x) ^ (negative))

#define DTCI_HADAMARD_LANES_4(name, INLINE, type, vector, words, LEVEL)         \
    INLINE void name##_lanes_1(vector *x) {                                     \
        const words negative = {0, ~0u, 0, ~0u};                                \
        LEVEL(x, words, negative, __builtin_shufflevector(*x, *x, 1, 0, 3, 2)); \
    }                                                                           \
    INLINE void name##_lanes_2(vector *x) {                                     \
        const words negative = {0, 0, ~0u, ~0u};                                \
        LEVEL(x, words, negative, __builtin_shufflevector(*x, *x, 2, 3, 0, 1)); \
    }                                                                           \
    /* strides 4, 8, 1, 2 */                                                    \
    INLINE void name##_last_16(type *p) {                                       \
        vector x[4];                                                            \
        name##_load(x, 1, p, 4);                                                \
        name##_lanes_1(x);                                                      \
        name##_lanes_1(x + 1);                                                  \
        name##_lanes_1(x + 2);                                                  \
        name##_lanes_1(x + 3);                                                  \
        name##_lanes_2(x);                                                      \
        name##_lanes_2(x + 1);                                                  \
        name##_lanes_2(x + 2);                                                  \
        name##_lanes_2(x + 3);                                                  \
        name##_store(p, 4, x);                                                  \
    }                                                                           \
    /* strides 2, 4, 1 */                                                       \
    INLINE void name##_last_8(type *p) {                                        \
        vector a = *name##_at(p), b = *name##_at(p + 4);                        \
        name##_lanes_2(&a);                                                     \
        name##_lanes_2(&b);                                                     \
        name##_2(&a, &b);                                                       \
        name##_lanes_1(&a);                                                     \
        name##_lanes_1(&b);                                                     \
        *name##_at(p) = a;                                                      \
        *name##_at(p + 4) = b;                                                  \
    }

#define DTCI_HADAMARD_LANES_8(name, INLINE, type, vector, words, LEVEL)                     \
    INLINE void name##_lanes_1(vector *x) {                                                 \
        const words negative = {0, ~0u, 0, ~0u, 0, ~0u, 0, ~0u};                            \
        LEVEL(x, words, negative, __builtin_shufflevector(*x, *x, 1, 0, 3, 2, 5, 4, 7, 6)); \
    }                                                                                       \
    INLINE void name##_lanes_2(vector *x) {                                                 \
        const words negative = {0, 0, ~0u, ~0u, 0, 0, ~0u, ~0u};                            \
        LEVEL(x, words, negative, __builtin_shufflevector(*x, *x, 2, 3, 0, 1, 6, 7, 4, 5)); \
    }                                                                                       \
    INLINE void name##_lanes_4(vector *x) {                                                 \
        const words negative = {0, 0, 0, 0, ~0u, ~0u, ~0u, ~0u};                            \
        LEVEL(x, words, negative, __builtin_shufflevector(*x, *x, 4, 5, 6, 7, 0, 1, 2, 3)); \
    }                                                                                       \
    INLINE void name##_last_16(type *p) {                                                   \
        vector a = *name##_at(p), b = *name##_at(p + 8);                                    \
        name##_lanes_4(&a);                                                                 \
        name##_lanes_4(&b);                                                                 \
        name##_2(&a, &b);                                                                   \
        name##_lanes_1(&a);                                                                 \
        name##_lanes_1(&b);                                                                 \
        name##_lanes_2(&a);                                                                 \
        name##_lanes_2(&b);                                                                 \
        *name##_at(p) = a;                                                                  \
        *name##_at(p + 8) = b;                                                              \
    }                                                                                       \
    INLINE void name##_last_8(type *p) {                                                    \
        vector x = *name##_at(p);                                                           \
        name##_lanes_2(&x);                                                                 \
        name##_lanes_4(&x);                                                                 \
        name##_lanes_1(&x);                                                                 \
        *name##_at(p) = x;                                                                  \
    }

/* LANES is one of the above. */
#define DTCI_HADAMARD(name, reference, INLINE, FN, type, vector, words, LANES, LEVEL)                              \
    INLINE vector *name##_at(type *p) {                                                                            \
        return (vector *)(void *)p;                                                                                \
    }                                                                                                              \
    INLINE void name##_2(vector *a, vector *b) {                                                                   \
        vector sum = *a + *b;                                                                                      \
        *b = *a - *b;                                                                                              \
        *a = sum;                                                                                                  \
    }                                                                                                              \
    INLINE void name##_4(vector *x, size_t step) {                                                                 \
        name##_2(x, x + step);                                                                                     \
        name##_2(x + 2 * step, x + 3 * step);                                                                      \
        name##_2(x, x + 2 * step);                                                                                 \
        name##_2(x + step, x + 3 * step);                                                                          \
    }                                                                                                              \
    INLINE void name##_load(vector *x, size_t step, type *p, size_t h) {                                           \
        x[0] = *name##_at(p);                                                                                      \
        x[step] = *name##_at(p + h);                                                                               \
        x[2 * step] = *name##_at(p + 2 * h);                                                                       \
        x[3 * step] = *name##_at(p + 3 * h);                                                                       \
        name##_4(x, step);                                                                                         \
    }                                                                                                              \
    INLINE void name##_store(type *p, size_t h, const vector *x) {                                                 \
        *name##_at(p) = x[0];                                                                                      \
        *name##_at(p + h) = x[1];                                                                                  \
        *name##_at(p + 2 * h) = x[2];                                                                              \
        *name##_at(p + 3 * h) = x[3];                                                                              \
    }                                                                                                              \
    /* strides h and 2 h */                                                                                        \
    INLINE void name##_pass_4(type *to, size_t to_h, type *from, size_t h) {                                       \
        vector x[4];                                                                                               \
        name##_load(x, 1, from, h);                                                                                \
        name##_store(to, to_h, x);                                                                                 \
    }                                                                                                              \
    /* strides 4 h, 8 h, h and 2 h */                                                                              \
    INLINE void name##_pass_16(type *p, size_t h) {                                                                \
        vector x[16];                                                                                              \
        name##_load(x, 4, p, 4 * h);                                                                               \
        name##_load(x + 1, 4, p + h, 4 * h);                                                                       \
        name##_load(x + 2, 4, p + 2 * h, 4 * h);                                                                   \
        name##_load(x + 3, 4, p + 3 * h, 4 * h);                                                                   \
        name##_4(x, 1);                                                                                            \
        name##_store(p, h, x);                                                                                     \
        name##_4(x + 4, 1);                                                                                        \
        name##_store(p + 4 * h, h, x + 4);                                                                         \
        name##_4(x + 8, 1);                                                                                        \
        name##_store(p + 8 * h, h, x + 8);                                                                         \
        name##_4(x + 12, 1);                                                                                       \
        name##_store(p + 12 * h, h, x + 12);                                                                       \
    }                                                                                                              \
    LANES(name, INLINE, type, vector, words, LEVEL)                                                                \
                                                                                                                   \
    INLINE void name##_levels(type *x, size_t n, size_t stop, size_t span) {                                       \
        const size_t lanes = sizeof(vector) / sizeof(type);                                                        \
        size_t block, i;                                                                                           \
        for (; span >= 16 * stop; span /= 16)                                                                      \
            for (block = 0; block < n; block += span)                                                              \
                for (i = block; i < block + span / 16; i += lanes) name##_pass_16(x + i, span / 16);               \
        for (; span >= 4 * stop; span /= 4)                                                                        \
            for (block = 0; block < n; block += span)                                                              \
                for (i = block; i < block + span / 4; i += lanes) name##_pass_4(x + i, span / 4, x + i, span / 4); \
        if (span > stop)                                                                                           \
            for (block = 0; block < n; block += span)                                                              \
                for (i = block; i < block + span / 2; i += lanes)                                                  \
                    name##_2(name##_at(x + i), name##_at(x + span / 2 + i));                                       \
    }                                                                                                              \
    /* The four far levels of the largest size. Rows so many bytes apart share lines of the cache: so they         \
     * are read and written four at a time, and between the two a tile of them stands elsewhere. */                \
    INLINE void name##_far_16(type *x) {                                                                           \
        const size_t lanes = sizeof(vector) / sizeof(type), h = (size_t)1 << DTCI_HADAMARD_NEAR;                   \
        const size_t tile = DTCI_HADAMARD_TILE;                                                                    \
        type rows[16 * DTCI_HADAMARD_TILE] __attribute__((aligned(64)));                                           \
        size_t first, row, i;                                                                                      \
        for (first = 0; first < h; first += tile) {                                                                \
            type *p = x + first;                                                                                   \
            for (row = 0; row < 4; row++)                                                                          \
                for (i = 0; i < tile; i += lanes)                                                                  \
                    name##_pass_4(rows + row * tile + i, 4 * tile, p + row * h + i, 4 * h);                        \
            for (row = 0; row < 16; row += 4)                                                                      \
                for (i = 0; i < tile; i += lanes) name##_pass_4(p + row * h + i, h, rows + row * tile + i, tile);  \
        }                                                                                                          \
    }                                                                                                              \
                                                                                                                   \
    FN void name##_far(type *x, unsigned log2_n) {                                                                 \
        size_t n = (size_t)1 << log2_n;                                                                            \
        if (log2_n == DTCI_HADAMARD_NEAR + 4)                                                                      \
            name##_far_16(x);                                                                                      \
        else                                                                                                       \
            name##_levels(x, n, (size_t)1 << DTCI_HADAMARD_NEAR, n);                                               \
    }                                                                                                              \
    FN void name##_near(type *x, unsigned log2_n) {                                                                \
        size_t n = (size_t)1 << log2_n, last = log2_n % 2 ? 8 : 16, i;                                             \
        if (log2_n < 3) {                                                                                          \
            reference##_near(x, log2_n);                                                                           \
            return;                                                                                                \
        }                                                                                                          \
        name##_levels(x, n, last, n);                                                                              \
        for (i = 0; i < n; i += last)                                                                              \
            if (last == 8)                                                                                         \
                name##_last_8(x + i);                                                                              \
            else                                                                                                   \
                name##_last_16(x + i);                                                                             \
    }

DTCI_HADAMARD(dtci_hadamard_vectors, dtci_hadamard_reference, DTCI_INLINE, DTCI_FN, float, dtci_vector_f4,
              dtci_vector_u4, DTCI_HADAMARD_LANES_4, DTCI_HADAMARD_FLOAT)
DTCI_HADAMARD(dtci_hadamard_integer_vectors, dtci_hadamard_integer_reference, DTCI_INLINE, DTCI_FN, uint32_t,
              dtci_vector_u4, dtci_vector_u4, DTCI_HADAMARD_LANES_4, DTCI_HADAMARD_INTEGER)
#if defined(DTCI_X86)
DTCI_HADAMARD(dtci_hadamard_avx2, dtci_hadamard_reference, DTCI_AVX2_INLINE, DTCI_AVX2, float, dtci_vector_f8,
              dtci_vector_u8, DTCI_HADAMARD_LANES_8, DTCI_HADAMARD_FLOAT)
DTCI_HADAMARD(dtci_hadamard_integer_avx2, dtci_hadamard_integer_reference, DTCI_AVX2_INLINE, DTCI_AVX2, uint32_t,
              dtci_vector_u8, dtci_vector_u8, DTCI_HADAMARD_LANES_8, DTCI_HADAMARD_INTEGER)
#endif

#undef DTCI_HADAMARD
#endif

#if defined(DTCI_VECTORS) && defined(DTCI_X86)
#define DTCI_HADAMARD_PASS(name, pass, has) ((has)&DTCI_HAS_AVX2 ? name##_avx2_##pass : name##_vectors_##pass)
#elif defined(DTCI_VECTORS)
#define DTCI_HADAMARD_PASS(name, pass, has) ((void)(has), name##_vectors_##pass)
#else
#define DTCI_HADAMARD_PASS(name, pass, has) ((void)(has), name##_reference_##pass)
#endif

/* The far levels, and the near ones of one part; both leave what is not theirs. `has` is what dtci_ask told. */
#define DTCI_HADAMARD(name, type)                                                                                      \
    DTCI_FN void name##_far(type *x, unsigned log2_n, unsigned has) {                                                  \
        DTCI_HADAMARD_PASS(name, far, has)(x, log2_n);                                                                 \
    }                                                                                                                  \
    DTCI_FN void name##_near(type *x, unsigned log2_n, unsigned has) {                                                 \
        DTCI_HADAMARD_PASS(name, near, has)(x, log2_n);                                                                \
    }                                                                                                                  \
    DTCI_FN void name(type *x, unsigned log2_n, unsigned has) {                                                        \
        unsigned log2_part = log2_n < DTCI_HADAMARD_NEAR ? log2_n : DTCI_HADAMARD_NEAR;                                \
        size_t first;                                                                                                  \
        name##_far(x, log2_n, has);                                                                                    \
        for (first = 0; first >> log2_n == 0; first += (size_t)1 << log2_part) name##_near(x + first, log2_part, has); \
    }

DTCI_HADAMARD(dtci_hadamard, float)
DTCI_HADAMARD(dtci_hadamard_integer, uint32_t)

#undef DTCI_HADAMARD

/* The signs of values first .. first + 31, first being a multiple of 32: bit i is set where it is -1. */
DTCI_FN uint32_t dtci_signs(const dtci_random *random, size_t first) {
    return dtci_random_at(random, 0x80000000u + (uint32_t)(first / 32)); /* apart from the draws of rounding */
}

/* 32 bits as words, from the lowest up: all ones or none. */
DTCI_FN void dtci_spread(uint32_t *to, uint32_t bits) {
    size_t i;
#if defined(DTCI_VECTORS)
    dtci_vector_u4 bit = {1, 2, 4, 8};
    for (i = 0; i < 32; i += 4) {
        *(dtci_vector_u4 *)(void *)(to + i) = (dtci_vector_u4)((bit & bits) == bit);
        bit <<= 4;
    }
#else
    for (i = 0; i < 32; i++) to[i] = 0u - (bits >> i & 1);
#endif
}

/* The signs of any n values: all ones where it is -1. */
DTCI_FN void dtci_negative(uint32_t *negative, const dtci_random *random, size_t first, size_t n) {
    size_t at = first % 32, i;
    uint64_t bits = dtci_signs(random, first - at);
    for (i = 0; i < n; i += 32) {
        uint32_t word;
        bits |= (uint64_t)dtci_signs(random, first - at + i + 32) << 32;
        word = (uint32_t)(bits >> at & 0xffffffffu);
        bits >>= 32;
        if (n - i >= 32) {
            dtci_spread(negative + i, word);
        } else {
            uint32_t last[32];
            dtci_spread(last, word);
            memcpy(negative + i, last, 4 * (n - i));
        }
    }
}

/* The transform's size for what is left of an array: the largest power of two that is not more. */
DTCI_FN unsigned dtci_hadamard_fit(size_t left) {
    return left >> DTCI_HADAMARD_MAX ? DTCI_HADAMARD_MAX : dtci_bit_width((uint32_t)left) - 1;
}

/* --------------------------------------------------------------------------------------------------------------------
 * raw: the values themselves, as fp32, or rounded to bf16 or fp16 (nearest, ties to even; finite stays finite)
 * ------------------------------------------------------------------------------------------------------------------*/

DTCI_FN size_t dtci_raw_bytes(size_t count, uint32_t type) {
    return type == DTC_TYPE_FP32 ? 4 * count : 2 * count;
}

/* condition ? a : b. Written so, no compiler makes a branch of it, which would keep the loop around from SIMD. */
DTCI_INLINE uint32_t dtci_select(int condition, uint32_t a, uint32_t b) {
    uint32_t mask = 0u - (uint32_t)condition;
    return (a & mask) | (b & ~mask);
}

/* NaN stays NaN. */
DTCI_INLINE uint32_t dtci_bf16_from_float(float x) {
    uint32_t bits = dtci_float_bits(x), cut = bits >> 16, rounded = bits + 0x7fffu + (cut & 1);
    uint32_t nan = (bits & 0x7fffffffu) > 0x7f800000u, lost = (bits & 0x7f0000u) == 0;
    uint32_t stays = ((bits & 0x7f800000u) == 0x7f800000u) | ((rounded & 0x7f800000u) == 0x7f800000u);
    return dtci_select((int)stays, cut | (nan & lost), rounded >> 16); /* finite ones not up to infinity */
}

DTCI_INLINE float dtci_bf16_to_float(uint32_t half) {
    return dtci_bits_float(half << 16);
}

DTCI_INLINE uint32_t dtci_fp16_from_float(float x) {
    uint32_t bits = dtci_float_bits(x), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
    uint32_t nan = magnitude > 0x7f800000u, cut = magnitude >> 13 & 0x3ffu, lost = cut == 0;
    uint32_t normal = (magnitude - 0x38000000u + 0xfffu + (magnitude >> 13 & 1)) >> 13;
    /* beside 1/2 a float's last bit is the last of a subnormal fp16 */
    uint32_t half = dtci_float_bits((float)(dtci_bits_float(magnitude) + 0.5f)) - 0x3f000000u;
    half = dtci_select(magnitude < 0x38800000u, half, normal);
    half = dtci_select(magnitude < 0x477fe000u, half, 0x7bffu); /* 65504, the largest */
    half = dtci_select(magnitude < 0x7f800000u, half, 0x7c00u | cut | (nan & lost));
    return sign | half;
}

DTCI_INLINE float dtci_fp16_to_float(uint32_t half) {
    uint32_t sign = (half & 0x8000u) << 16, magnitude = half & 0x7fffu, bits = (magnitude << 13) + 0x38000000u;
    uint32_t subnormal = dtci_float_bits((float)(int32_t)magnitude * (1.0f / 16777216));
    bits = dtci_select(magnitude < 0x400u, subnormal, bits);
    bits = dtci_select(magnitude < 0x7c00u, bits, bits + 0x38000000u);
    return dtci_bits_float(sign | bits);
}

DTCI_FN dtc_status dtci_raw_check(const dtci_head *head) {
    if (head->variant > DTC_TYPE_FP16 || head->block || head->seed) return DTC_ERROR_HEAD;
    return dtci_payload_bytes(head) == dtci_raw_bytes(head->count, head->variant) ? DTC_OK : DTC_ERROR_SIZE;
}

DTCI_INLINE void dtci_raw_floats(char *DTCI_RESTRICT to, const unsigned char *from, uint32_t type, size_t n) {
    size_t i;
    for (i = 0; i < n; i++) {
        float x = type == DTC_TYPE_FP32   ? dtci_get_float(from + 4 * i)
                  : type == DTC_TYPE_BF16 ? dtci_bf16_to_float(dtci_get16(from + 2 * i))
                                          : dtci_fp16_to_float(dtci_get16(from + 2 * i));
        memcpy(to + 4 * i, &x, 4);
    }
}

DTCI_INLINE void dtci_raw_emit_body(const dtci_head *head, const unsigned char *from, const dtci_sink *sink,
                                    unsigned has) {
    size_t size = dtci_raw_bytes(1, head->variant), first, n;
    float chunk[DTCI_CHUNK];
    (void)has;
    for (first = 0; first < head->count; first += n, from += size * n) {
        char *to = dtci_place(chunk, sink, first);
        n = head->count - first < DTCI_CHUNK ? head->count - first : DTCI_CHUNK;
        if (n < DTCI_CHUNK)
            dtci_raw_floats(to, from, head->variant, n);
        else if (head->variant == DTC_TYPE_FP32)
            dtci_raw_floats(to, from, DTC_TYPE_FP32, DTCI_CHUNK);
        else if (head->variant == DTC_TYPE_BF16)
            dtci_raw_floats(to, from, DTC_TYPE_BF16, DTCI_CHUNK);
        else
            dtci_raw_floats(to, from, DTC_TYPE_FP16, DTCI_CHUNK);
        dtci_store_placed(sink, first, chunk, n);
    }
}

DTCI_TWIN(dtci_raw_emit, (const dtci_head *head, const unsigned char *from, const dtci_sink *sink, unsigned has),
          (head, from, sink, has))

DTCI_FN dtc_status dtci_raw_decode(const dtci_head *head, const unsigned char *from, const dtci_sink *sink) {
    if (!head->count) return DTC_OK;
    if (head->variant == DTC_TYPE_FP32 && sink->kind == DTCI_SINK_STORE && dtci_little_endian())
        memcpy((char *)sink->values, from, 4 * (size_t)head->count);
    else
        dtci_raw_emit(head, from, sink, head->has);
    return DTC_OK;
}

/* What does not shrink is stored: how the other codecs hand their values over to raw, as fp32. */
DTCI_FN dtc_status dtci_store_instead(dtci_head *head) {
    head->codec = DTC_RAW;
    head->variant = DTC_TYPE_FP32;
    head->block = 0;
    head->seed = 0;
    head->head_bytes = dtci_head_bytes(head);
    return DTC_OK;
}

DTCI_INLINE void dtci_raw_pack(unsigned char *DTCI_RESTRICT to, const char *values, uint32_t type, size_t n) {
    size_t i;
    for (i = 0; i < n; i++) {
        float x = dtci_float_at(values, i);
        if (type == DTC_TYPE_FP32)
            dtci_put_float(to + 4 * i, x);
        else
            dtci_put16(to + 2 * i, type == DTC_TYPE_BF16 ? dtci_bf16_from_float(x) : dtci_fp16_from_float(x));
    }
}

DTCI_INLINE void dtci_raw_put_all_body(unsigned char *to, const dtci_head *head, const dtci_source *source,
                                       unsigned has) {
    size_t size = dtci_raw_bytes(1, head->variant), first, n;
    float chunk[DTCI_CHUNK];
    (void)has;
    for (first = 0; first < head->count; first += n, to += size * n) {
        const char *values;
        n = head->count - first < DTCI_CHUNK ? head->count - first : DTCI_CHUNK;
        values = dtci_view(chunk, source, first, n);
        if (n < DTCI_CHUNK)
            dtci_raw_pack(to, values, head->variant, n);
        else if (head->variant == DTC_TYPE_FP32)
            dtci_raw_pack(to, values, DTC_TYPE_FP32, DTCI_CHUNK);
        else if (head->variant == DTC_TYPE_BF16)
            dtci_raw_pack(to, values, DTC_TYPE_BF16, DTCI_CHUNK);
        else
            dtci_raw_pack(to, values, DTC_TYPE_FP16, DTCI_CHUNK);
    }
}

DTCI_TWIN(dtci_raw_put_all, (unsigned char *to, const dtci_head *head, const dtci_source *source, unsigned has),
          (to, head, source, has))

/* head->variant is the type. */
DTCI_FN dtc_status dtci_raw_encode(const dtci_head *head, unsigned char *to, size_t capacity, size_t *bytes,
                                   const dtci_source *source, const dtci_sink *residual) {
    *bytes = dtci_raw_bytes(head->count, head->variant);
    if (capacity < *bytes) return DTC_ERROR_CAPACITY;
    if (!head->count) return DTC_OK;
    if (head->variant == DTC_TYPE_FP32 && !source->residual && dtci_little_endian())
        memcpy(to, (const char *)source->values, *bytes);
    else
        dtci_raw_put_all(to, head, source, head->has);
    return residual ? dtci_raw_decode(head, to, residual) : DTC_OK;
}

DTCI_FN float dtci_raw_get(const unsigned char *from, size_t i, uint32_t type) {
    return type == DTC_TYPE_FP32   ? dtci_get_float(from + 4 * i)
           : type == DTC_TYPE_BF16 ? dtci_bf16_to_float(dtci_get16(from + 2 * i))
                                   : dtci_fp16_to_float(dtci_get16(from + 2 * i));
}

DTCI_FN void dtci_raw_put(unsigned char *to, size_t i, uint32_t type, float x) {
    if (type == DTC_TYPE_FP32)
        dtci_put_float(to + 4 * i, x);
    else
        dtci_put16(to + 2 * i, type == DTC_TYPE_BF16 ? dtci_bf16_from_float(x) : dtci_fp16_from_float(x));
}

/* Sums are rounded to the packets' type. `to` may be either's payload. */
DTCI_FN dtc_status dtci_raw_add(const dtci_head *sum, unsigned char *to, size_t capacity, size_t *bytes,
                                const unsigned char *a, const unsigned char *b) {
    size_t i;
    *bytes = dtci_raw_bytes(sum->count, sum->variant);
    if (capacity < *bytes) return DTC_ERROR_CAPACITY;
    for (i = 0; i < sum->count; i++)
        dtci_raw_put(to, i, sum->variant, dtci_raw_get(a, i, sum->variant) + dtci_raw_get(b, i, sum->variant));
    return DTC_OK;
}

DTCI_FN dtc_status dtci_raw_scale(const dtci_head *head, unsigned char *payload, float weight) {
    size_t i;
    for (i = 0; i < head->count; i++)
        dtci_raw_put(payload, i, head->variant, dtci_raw_get(payload, i, head->variant) * weight);
    return DTC_OK;
}

/* Scales of a payload, `n` of them `stride` bytes apart, times weight, if all stay finite. */
DTCI_FN dtc_status dtci_scales_scale(unsigned char *payload, size_t n, size_t stride, float weight) {
    size_t i;
    for (i = 0; i < n; i++)
        if (!dtci_finite(dtci_get_float(payload + i * stride) * weight)) return DTC_ERROR_NONFINITE;
    for (i = 0; i < n; i++) dtci_put_float(payload + i * stride, dtci_get_float(payload + i * stride) * weight);
    return DTC_OK;
}

/* --------------------------------------------------------------------------------------------------------------------
 * ternary: TernGrad (Wen et al., NeurIPS 2017): g~ = s * sign(g) * b, b ~ Bernoulli(|g| / s), s = max |g| after
 * clipping at clip * sigma (section 3). sigma is taken about 0, so that a constant tensor is not clipped to nothing.
 *
 * Payload: a scale (fp32) a block; then by variant
 *     0  five trits a byte
 *     1  these bytes as tokens
 *     2  fields that have room for sums: trit + terms
 *     3  nothing: all is zero
 *     4  tokens of digits: sums of 0 and 1
 *     5  fields, where those tokens would not be smaller
 * A trit is -1, 0 or 1, a digit the trit + 1. Bytes come in groups of 32 for 160 values in plane order: byte j is
 * digit[j] + 3 digit[32+j] + 9 digit[64+j] + 27 digit[96+j] + 81 digit[128+j]. A shorter last group of n values has
 * ceil(n/5) bytes and that stride; digits beyond the end are 1.
 * ------------------------------------------------------------------------------------------------------------------*/

#ifndef DTC_NO_TERNARY

#define DTCI_TERNARY_BASE3   0u
#define DTCI_TERNARY_TOKENS  1u
#define DTCI_TERNARY_FIELDS  2u
#define DTCI_TERNARY_ZERO    3u
#define DTCI_TERNARY_DIGITS  4u
#define DTCI_TERNARY_WIDE    5u
#define DTCI_TERNARY_WORKERS 32767u /* so that a sum's digit has 16 bits */
#define DTCI_TERNARY_CHUNK   1280u  /* digits: whole groups of trits and of fields */
#define DTCI_TERNARY_ROOM    1288u  /* for these and what fills their last bin up */
#define DTCI_TRITS           160u   /* of a group */

DTCI_FN unsigned dtci_ternary_field_bits(const dtci_head *head) {
    return dtci_bit_width(2 * head->workers);
}

/* Bytes of scales and of what follows them, at the most. */
DTCI_FN size_t dtci_ternary_bytes(const dtci_head *head) {
    size_t scales = 4 * dtci_blocks(head);
    if (head->variant == DTCI_TERNARY_ZERO) return scales;
    if (head->variant <= DTCI_TERNARY_TOKENS) return scales + dtci_ceil_div(head->count, 5);
    return scales + dtci_fields_bytes(head->count, dtci_ternary_field_bits(head));
}

DTCI_FN size_t dtci_ternary_scratch(size_t count, size_t blocks) {
    return dtci_room(4 * blocks) + dtci_room(2 * dtci_ceil_div(count, 5)) + dtci_coder_scratch(8);
}

/* Digits of n values, `chance` times which are chances in 2^24. No branch: it could not be foreseen. */
DTCI_INLINE void dtci_ternary_draw(uint32_t *DTCI_RESTRICT digits, const char *values, double chance,
                                   const dtci_random *random, size_t first, size_t n) {
    size_t i;
    for (i = 0; i < n; i++) {
        uint32_t bits = dtci_float_bits(dtci_float_at(values, i));
        uint32_t draw = dtci_random_at(random, (uint32_t)(first + i)) >> 8;
        double magnitude = (double)dtci_bits_float(bits & 0x7fffffffu);
        uint32_t nonzero = (double)(int32_t)draw < magnitude * chance;
        digits[i] = 1 + nonzero - 2 * (nonzero & bits >> 31);
    }
}

/* Digits of values[first..first+n), n <= DTCI_CHUNK; scales as on the wire. */
DTCI_INLINE void dtci_ternary_digits(uint32_t *digits, const dtci_head *head, const unsigned char *scales,
                                     const dtci_random *random, const dtci_source *source, size_t first, size_t n) {
    size_t block = dtci_block(head), at, stop;
    float chunk[DTCI_CHUNK];
    const char *values = dtci_view(chunk, source, first, n);
    for (at = 0; at < n; at = stop) {
        size_t b = (first + at) / block;
        double scale = (double)dtci_get_float(scales + 4 * b);
        double chance = scale > 0 ? 16777216.0 / scale : 0.0;
        stop = (b + 1) * block - first < n ? (b + 1) * block - first : n;
        if (stop - at == DTCI_CHUNK)
            dtci_ternary_draw(digits, values, chance, random, first, DTCI_CHUNK);
        else
            dtci_ternary_draw(digits + at, values + 4 * at, chance, random, first + at, stop - at);
    }
}

/* One group of n digits, 0 < n <= DTCI_TRITS, as ceil(n/5) bytes. */
DTCI_INLINE void dtci_trits_pack(uint16_t *bytes, const uint32_t *digits, size_t n) {
    size_t stride = dtci_ceil_div(n, 5), j;
    if (n == DTCI_TRITS) {
        const uint32_t *d = digits;
        for (j = 0; j < DTCI_TRITS / 5; j++)
            bytes[j] = (uint16_t)(d[j] + 3 * (d[32 + j] + 3 * (d[64 + j] + 3 * (d[96 + j] + 3 * d[128 + j]))));
        return;
    }
    for (j = 0; j < stride; j++) {
        uint32_t byte = 0;
        unsigned k = 5;
        while (k-- > 0) byte = 3 * byte + (k * stride + j < n ? digits[k * stride + j] : 1);
        bytes[j] = (uint16_t)byte;
    }
}

DTCI_INLINE void dtci_trits_unpack(uint32_t *digits, const uint16_t *bytes, size_t n) {
    size_t stride = dtci_ceil_div(n, 5), j, k;
    uint32_t rest[DTCI_TRITS / 5];
    if (n == DTCI_TRITS) {
        for (j = 0; j < DTCI_TRITS / 5; j++) rest[j] = bytes[j];
        for (k = 0; k < 5; k++) {
            for (j = 0; j < DTCI_TRITS / 5; j++) {
                uint32_t third = rest[j] * 171 >> 9; /* exact below 256 */
                digits[k * (DTCI_TRITS / 5) + j] = rest[j] - 3 * third;
                rest[j] = third;
            }
        }
        return;
    }
    for (j = 0; j < stride; j++) {
        uint32_t byte = bytes[j];
        for (k = 0; k < 5; k++, byte /= 3)
            if (k * stride + j < n) digits[k * stride + j] = byte % 3;
    }
}

/* Digits of sums, 0 .. 2 * terms, go as many into a bin as stay below 256: dtci_trits_pack's five of one term, three of
 * two, two of three to seven; from eight on, one. */
DTCI_FN size_t dtci_digits_group(const dtci_head *head) {
    return head->terms > 7 ? 1 : head->terms > 2 ? 2 : head->terms > 1 ? 3 : 5;
}

DTCI_FN size_t dtci_digits_bins(const dtci_head *head, size_t n) {
    size_t group = dtci_digits_group(head);
    return n / DTCI_TERNARY_CHUNK * dtci_ceil_div(DTCI_TERNARY_CHUNK, group) +
           dtci_ceil_div(n % DTCI_TERNARY_CHUNK, group);
}

/* Bits of such a bin, and how many values it may take. */
DTCI_FN unsigned dtci_digits_bits(const dtci_head *head) {
    return head->terms > 7 ? dtci_ternary_field_bits(head) : 8;
}

DTCI_FN uint32_t dtci_digits_top(const dtci_head *head) {
    uint32_t base = 2 * head->terms + 1, top = base;
    size_t group;
    for (group = dtci_digits_group(head); group > 1; group--) top *= base;
    return top - 1;
}

/* Bin j of `stride` holds digits j, stride + j, …, the first one the least. */
DTCI_INLINE void dtci_digits_join(uint16_t *bins, const uint32_t *digits, uint32_t base, size_t group, size_t stride) {
    size_t j, k;
    for (j = 0; j < stride; j++) {
        uint32_t bin = 0;
        for (k = group; k-- > 0;) bin = base * bin + digits[k * stride + j];
        bins[j] = (uint16_t)bin;
    }
}

DTCI_INLINE void dtci_digits_split(uint32_t *digits, const uint16_t *bins, uint32_t base, size_t group, size_t stride) {
    uint32_t inverse = (65535 + base) / base; /* bins below 256 are divided exactly */
    size_t j, k;
    for (j = 0; j < stride; j++) {
        uint32_t bin = bins[j];
        for (k = 0; k < group; k++) {
            uint32_t rest = group > 1 ? bin * inverse >> 16 : 0;
            digits[k * stride + j] = bin - rest * base;
            bin = rest;
        }
    }
}

/* The bins of n <= DTCI_TERNARY_CHUNK digits of a sum. The digits have room for a whole chunk and its last bin, and are
 * `terms` beyond n. */
DTCI_INLINE void dtci_digits_pack(uint16_t *bins, const uint32_t *digits, const dtci_head *head, size_t n) {
    uint32_t base = 2 * head->terms + 1;
    switch (dtci_digits_group(head)) { /* constants, for SIMD */
    case 3:
        dtci_digits_join(bins, digits, base, 3, dtci_ceil_div(n, 3));
        break;
    case 2:
        dtci_digits_join(bins, digits, base, 2, dtci_ceil_div(n, 2));
        break;
    default:
        dtci_digits_join(bins, digits, base, 1, n);
    }
}

DTCI_INLINE void dtci_digits_unpack(uint32_t *digits, const uint16_t *bins, const dtci_head *head, size_t n) {
    uint32_t base = 2 * head->terms + 1;
    switch (dtci_digits_group(head)) {
    case 3:
        dtci_digits_split(digits, bins, base, 3, dtci_ceil_div(n, 3));
        break;
    case 2:
        dtci_digits_split(digits, bins, base, 2, dtci_ceil_div(n, 2));
        break;
    default:
        dtci_digits_split(digits, bins, base, 1, n);
    }
}

/* Digits first .. first + n - 1, n <= DTCI_TERNARY_CHUNK, of a payload that cannot fail any more; first is a multiple
 * of its groups. `tokens` are its bytes of trits, or digits, where those are tokens. */
DTCI_INLINE void dtci_ternary_load(uint32_t *digits, const dtci_head *head, const unsigned char *payload,
                                   const uint16_t *tokens, size_t first, size_t n) {
    const unsigned char *from = payload + 4 * dtci_blocks(head);
    unsigned field_bits = dtci_ternary_field_bits(head);
    size_t done, m, i;
    for (done = 0; done < n; done += m, first += m, digits += m) {
        uint16_t bytes[DTCI_TRITS / 5];
        switch (head->variant) {
        case DTCI_TERNARY_BASE3:
        case DTCI_TERNARY_TOKENS:
            m = n - done < DTCI_TRITS ? n - done : DTCI_TRITS;
            if (head->variant == DTCI_TERNARY_TOKENS)
                for (i = 0; i < dtci_ceil_div(m, 5); i++) bytes[i] = tokens[first / 5 + i];
            else if (m == DTCI_TRITS)
                for (i = 0; i < DTCI_TRITS / 5; i++) bytes[i] = from[first / 5 + i];
            else
                for (i = 0; i < dtci_ceil_div(m, 5); i++) bytes[i] = from[first / 5 + i];
            dtci_trits_unpack(digits, bytes, m);
            break;
        case DTCI_TERNARY_FIELDS:
        case DTCI_TERNARY_WIDE:
            m = n - done < 256 ? n - done : 256;
            dtci_fields_unpack(digits, from + first / 256 * 32 * field_bits, m, field_bits);
            break;
        case DTCI_TERNARY_ZERO:
            m = n - done;
            for (i = 0; i < m; i++) digits[i] = head->terms;
            break;
        default:
            m = n - done;
            dtci_digits_unpack(digits, tokens + first / DTCI_TERNARY_CHUNK * dtci_digits_bins(head, DTCI_TERNARY_CHUNK),
                               head, m);
        }
    }
}

/* Decodes a payload that cannot fail any more. */
DTCI_INLINE void dtci_ternary_emit_body(const dtci_head *head, const unsigned char *payload, const uint16_t *tokens,
                                        const dtci_sink *sink, unsigned has) {
    size_t block = dtci_block(head), first, n, part, m, at, stop;
    int32_t terms = (int32_t)head->terms;
    uint32_t digits[DTCI_TERNARY_ROOM];
    float chunk[DTCI_CHUNK];
    (void)has;
    for (first = 0; first < head->count; first += n) {
        n = head->count - first < DTCI_TERNARY_CHUNK ? head->count - first : DTCI_TERNARY_CHUNK;
        dtci_ternary_load(digits, head, payload, tokens, first, n);
        for (part = 0; part < n; part += m) {
            char *to = dtci_place(chunk, sink, first + part);
            m = n - part < DTCI_CHUNK ? n - part : DTCI_CHUNK;
            for (at = 0; at < m; at = stop) {
                size_t b = (first + part + at) / block, end = (b + 1) * block - first - part;
                float scale = dtci_get_float(payload + 4 * b);
                stop = end < m ? end : m;
                if (131072 * fabs((double)scale) > (double)FLT_MAX) { /* more than any |digit - terms| */
                    for (; at < stop; at++) {
                        float x = dtci_to_float((double)((int32_t)digits[part + at] - terms) * (double)scale);
                        memcpy(to + 4 * at, &x, 4);
                    }
                } else if (stop - at == DTCI_CHUNK) {
                    dtci_multiples(to, digits + part, scale, -terms, DTCI_CHUNK);
                } else {
                    dtci_multiples(to + 4 * at, digits + part + at, scale, -terms, stop - at);
                }
            }
            dtci_store_placed(sink, first + part, chunk, m);
        }
    }
}

DTCI_TWIN(dtci_ternary_emit,
          (const dtci_head *head, const unsigned char *payload, const uint16_t *tokens, const dtci_sink *sink,
           unsigned has),
          (head, payload, tokens, sink, has))

/* Draws all digits and packs them: as fields, or as bytes of trits, which go to `bytes` if that is not NULL. */
DTCI_INLINE void dtci_ternary_pack_body(unsigned char *to, uint16_t *bytes, const dtci_head *head,
                                        const unsigned char *scales, const dtci_random *random,
                                        const dtci_source *source, unsigned has) {
    unsigned field_bits = dtci_ternary_field_bits(head);
    uint32_t digits[DTCI_TERNARY_CHUNK];
    size_t first, n, i, j, m;
    (void)has;
    for (first = 0; first < head->count; first += n) {
        n = head->count - first < DTCI_TERNARY_CHUNK ? head->count - first : DTCI_TERNARY_CHUNK;
        for (i = 0; i < n; i += m) {
            m = n - i < DTCI_CHUNK ? n - i : DTCI_CHUNK;
            dtci_ternary_digits(digits + i, head, scales, random, source, first + i, m);
            if (head->variant == DTCI_TERNARY_FIELDS)
                dtci_fields_pack(to + (first + i) / 256 * 32 * field_bits, digits + i, m, field_bits);
        }
        for (i = 0; i < n && head->variant != DTCI_TERNARY_FIELDS; i += m) {
            uint16_t group[DTCI_TRITS / 5];
            m = n - i < DTCI_TRITS ? n - i : DTCI_TRITS;
            dtci_trits_pack(group, digits + i, m);
            if (bytes)
                memcpy(bytes + (first + i) / 5, group, 2 * dtci_ceil_div(m, 5));
            else if (m == DTCI_TRITS)
                for (j = 0; j < DTCI_TRITS / 5; j++) to[(first + i) / 5 + j] = (unsigned char)group[j];
            else
                for (j = 0; j < dtci_ceil_div(m, 5); j++) to[(first + i) / 5 + j] = (unsigned char)group[j];
        }
    }
}

DTCI_TWIN(dtci_ternary_pack,
          (unsigned char *to, uint16_t *bytes, const dtci_head *head, const unsigned char *scales,
           const dtci_random *random, const dtci_source *source, unsigned has),
          (to, bytes, head, scales, random, source, has))

DTCI_FN dtc_status dtci_ternary_encode(const dtc_spec *spec, dtci_head *head, unsigned char *to, size_t capacity,
                                       size_t *bytes, const dtci_source *source, const dtci_sink *residual,
                                       dtci_arena *arena) {
    size_t blocks = dtci_blocks(head), block = dtci_block(head), groups = dtci_ceil_div(head->count, 5), n, b, i;
    double clip = spec->ternary.clip > 0 ? (double)spec->ternary.clip : 2.5;
    dtci_random random = dtci_random_open(spec->seed);
    unsigned char *scales = (unsigned char *)dtci_take(arena, 4 * blocks);
    uint16_t *trit_bytes = (uint16_t *)dtci_take(arena, 2 * groups);
    dtci_coder coder;
    int zero = 1;
    if (!dtci_coder_open(&coder, 8, arena) || !scales || !trit_bytes) return DTC_ERROR_SCRATCH;
    head->variant =
        head->workers > 1 && spec->ternary.pack == DTC_PACK_BASE3 ? DTCI_TERNARY_FIELDS : DTCI_TERNARY_BASE3;
    *bytes = dtci_ternary_bytes(head);
    for (b = 0; b < blocks; b++) {
        dtci_stats stats;
        double scale, bound;
        n = head->count - b * block < block ? head->count - b * block : block;
        stats = dtci_scan(source, b * block, n, head->has);
        if (!stats.finite) return DTC_ERROR_NONFINITE;
        scale = (double)(-stats.min > stats.max ? -stats.min : stats.max);
        bound = clip * sqrt(stats.squares / (double)n);
        if (bound < scale) scale = bound;
        if (spec->ternary.scale > 0) scale = (double)spec->ternary.scale;
        dtci_put_float(scales + 4 * b, dtci_float_up(scale > 0 ? scale : 0)); /* not -0 */
        zero &= !(scale > 0);
    }
    if (*bytes > 4 * (size_t)head->count) return dtci_store_instead(head);
    if (capacity < 4 * blocks) return DTC_ERROR_CAPACITY;
    memcpy(to, scales, 4 * blocks);
    if (zero && head->variant != DTCI_TERNARY_FIELDS) { /* fields keep their size, for sums */
        head->variant = DTCI_TERNARY_ZERO;
        *bytes = 4 * blocks;
    } else if (head->variant == DTCI_TERNARY_FIELDS || spec->ternary.pack == DTC_PACK_BASE3) {
        if (capacity < *bytes) return DTC_ERROR_CAPACITY;
        dtci_ternary_pack(to + 4 * blocks, NULL, head, scales, &random, source, head->has);
    } else {
        dtci_tokens_plan plan;
        dtci_ternary_pack(NULL, trit_bytes, head, scales, &random, source, head->has);
        dtci_coder_count(&coder, trit_bytes, groups, 8);
        plan = dtci_coder_choose(&coder);
        if (plan.bytes < groups) {
            size_t size = dtci_coder_write(&coder, &plan, to + 4 * blocks, capacity - 4 * blocks);
            if (!size) return DTC_ERROR_CAPACITY;
            head->variant = DTCI_TERNARY_TOKENS;
            *bytes = 4 * blocks + size;
        } else {
            if (capacity < *bytes) return DTC_ERROR_CAPACITY;
            for (i = 0; i < groups; i++) to[4 * blocks + i] = (unsigned char)trit_bytes[i];
        }
    }
    if (residual) dtci_ternary_emit(head, to, trit_bytes, residual, head->has);
    return DTC_OK;
}

/* The size a packet of this head must have; for tokens, the least. */
DTCI_FN dtc_status dtci_ternary_check(const dtci_head *head) {
    size_t size = dtci_payload_bytes(head);
    if (head->variant > DTCI_TERNARY_WIDE || head->seed) return DTC_ERROR_HEAD;
    if (head->variant <= DTCI_TERNARY_TOKENS && head->terms > 1) return DTC_ERROR_HEAD;
    if (head->variant == DTCI_TERNARY_DIGITS && head->terms < 2) return DTC_ERROR_HEAD;
    if (head->workers > DTCI_TERNARY_WORKERS) return DTC_ERROR_HEAD;
    if (head->variant == DTCI_TERNARY_TOKENS || head->variant == DTCI_TERNARY_DIGITS)
        return size > 4 * dtci_blocks(head) && size < dtci_ternary_bytes(head) ? DTC_OK : DTC_ERROR_SIZE;
    return size == dtci_ternary_bytes(head) ? DTC_OK : DTC_ERROR_SIZE;
}

/* How many tokens there are. */
DTCI_FN size_t dtci_ternary_tokens(const dtci_head *head) {
    return head->variant == DTCI_TERNARY_TOKENS   ? dtci_ceil_div(head->count, 5)
           : head->variant == DTCI_TERNARY_DIGITS ? dtci_digits_bins(head, head->count)
                                                  : 0;
}

DTCI_FN size_t dtci_ternary_decode_scratch(const dtci_head *head) {
    size_t tokens = dtci_ternary_tokens(head);
    return tokens ? dtci_decoder_scratch(tokens) : 0;
}

/* Finds a payload sound, and decodes its tokens, if it has any, into the arena. */
DTCI_FN dtc_status dtci_ternary_open(uint16_t **tokens, const dtci_head *head, const unsigned char *payload,
                                     dtci_arena *arena) {
    size_t scales = 4 * dtci_blocks(head), n = dtci_ternary_tokens(head), i;
    int digits = head->variant == DTCI_TERNARY_DIGITS;
    uint32_t bad = 0, top = digits ? dtci_digits_top(head) : 242;
    *tokens = NULL;
    for (i = 0; i < scales; i += 4) {
        if (!dtci_finite(dtci_get_float(payload + i))) return DTC_ERROR_PAYLOAD;
    }
    if (n) {
        dtci_arena work;
        dtci_decoder *decoder;
        dtc_status status;
        *tokens = (uint16_t *)dtci_take(arena, 2 * n);
        work = *arena;
        decoder = (dtci_decoder *)dtci_take(&work, sizeof *decoder);
        if (!decoder || !*tokens) return DTC_ERROR_SCRATCH;
        status = dtci_tokens_read(*tokens, n, digits ? dtci_digits_bits(head) : 8, payload + scales,
                                  dtci_payload_bytes(head) - scales, decoder);
        if (status != DTC_OK) return status;
        for (i = 0; i < n; i++) bad |= (*tokens)[i] > top;
    } else if (head->variant == DTCI_TERNARY_BASE3) {
        const unsigned char *p = payload + scales, *end = p + dtci_ceil_div(head->count, 5);
        unsigned char most = 0;
        for (; end - p >= 256; p += 256)
            for (i = 0; i < 256; i++) most = p[i] > most ? p[i] : most;
        for (; p < end; p++) most = *p > most ? *p : most;
        bad = most > top;
    }
    return bad ? DTC_ERROR_PAYLOAD : DTC_OK;
}

DTCI_FN dtc_status dtci_ternary_decode(const dtci_head *head, const unsigned char *payload, const dtci_sink *sink,
                                       dtci_arena *arena) {
    uint16_t *tokens;
    dtc_status status = dtci_ternary_open(&tokens, head, payload, arena);
    if (status == DTC_OK) dtci_ternary_emit(head, payload, tokens, sink, head->has);
    return status;
}

/* Scratch of adding. Fields of fixed width take none. */
DTCI_FN size_t dtci_ternary_add_scratch(const dtci_head *a, const dtci_head *b) {
    if (a->variant == DTCI_TERNARY_FIELDS) return 0;
    return dtci_room(2 * (size_t)a->count) + dtci_room(2 * dtci_ternary_tokens(a)) +
           dtci_room(2 * dtci_ternary_tokens(b)) + dtci_room(sizeof(dtci_decoder)) +
           dtci_coder_scratch(dtci_ternary_field_bits(a) > 8 ? dtci_ternary_field_bits(a) : 8);
}

/* Bins of the sums of digits; tells the largest sum, and in which bits any is not that of zeros. */
DTCI_INLINE void dtci_ternary_sum_body(uint32_t *any, uint32_t *most, uint16_t *bins, const dtci_head *sum,
                                       const dtci_head *a, const unsigned char *from_a, const uint16_t *tokens_a,
                                       const dtci_head *b, const unsigned char *from_b, const uint16_t *tokens_b,
                                       unsigned has) {
    uint32_t terms = sum->terms, some[DTCI_TERNARY_ROOM], more[DTCI_TERNARY_ROOM], differ = 0, largest = 0;
    size_t first, n, i;
    (void)has;
    for (first = 0; first < sum->count; first += n) {
        n = sum->count - first < DTCI_TERNARY_CHUNK ? sum->count - first : DTCI_TERNARY_CHUNK;
        dtci_ternary_load(some, a, from_a, tokens_a, first, n);
        dtci_ternary_load(more, b, from_b, tokens_b, first, n);
        for (i = n; i < DTCI_TERNARY_ROOM; i++) { /* as the bins are filled up, and for loops of constant bounds */
            some[i] = terms;
            more[i] = 0;
        }
        for (i = 0; i < DTCI_TERNARY_ROOM; i++) {
            some[i] += more[i];
            differ |= some[i] ^ terms;
            largest = some[i] > largest ? some[i] : largest;
        }
        dtci_digits_pack(bins + dtci_digits_bins(sum, first), some, sum, n);
    }
    *any = differ;
    *most = largest;
}

DTCI_TWIN(dtci_ternary_sum,
          (uint32_t * any, uint32_t *most, uint16_t *bins, const dtci_head *sum, const dtci_head *a,
           const unsigned char *from_a, const uint16_t *tokens_a, const dtci_head *b, const unsigned char *from_b,
           const uint16_t *tokens_b, unsigned has),
          (any, most, bins, sum, a, from_a, tokens_a, b, from_b, tokens_b, has))

/* Sums of digits: packed as they are, where both are fields of fixed width; else coded anew, by what the sum is alone,
 * so that the order of adding does not show. `to` may be either's payload. */
DTCI_FN dtc_status dtci_ternary_add(dtci_head *sum, unsigned char *to, size_t capacity, size_t *bytes,
                                    const dtci_head *a, const unsigned char *from_a, const dtci_head *b,
                                    const unsigned char *from_b, dtci_arena *arena, dtci_check *check) {
    size_t scales = 4 * dtci_blocks(sum), first, n, i;
    unsigned bits = dtci_ternary_field_bits(sum);
    uint16_t *tokens_a, *tokens_b, *bins;
    uint32_t any, most;
    dtc_status status;
    for (i = 0; i < scales; i++)
        if (from_a[i] != from_b[i]) return DTC_ERROR_INCOMPATIBLE_GRID;
    if ((a->variant == DTCI_TERNARY_FIELDS) != (b->variant == DTCI_TERNARY_FIELDS))
        return DTC_ERROR_INCOMPATIBLE_PACKING;
    sum->variant = DTCI_TERNARY_FIELDS;
    *bytes = dtci_ternary_bytes(sum);
    if (a->variant == DTCI_TERNARY_FIELDS) {
        if (capacity < *bytes) return DTC_ERROR_CAPACITY;
        memmove(to, from_a, scales);
        return dtci_fields_sum(to + scales, from_a + scales, from_b + scales, sum->count, bits, sum->has, check)
                   ? DTC_ERROR_PAYLOAD
                   : DTC_OK;
    }
    bins = (uint16_t *)dtci_take(arena, 2 * dtci_digits_bins(sum, sum->count));
    if (!bins && sum->count) return DTC_ERROR_SCRATCH;
    status = dtci_ternary_open(&tokens_a, a, from_a, arena);
    if (status == DTC_OK) status = dtci_ternary_open(&tokens_b, b, from_b, arena);
    if (status != DTC_OK) return status;
    dtci_ternary_sum(&any, &most, bins, sum, a, from_a, tokens_a, b, from_b, tokens_b, sum->has);
    if (most > 2 * sum->terms) return DTC_ERROR_PAYLOAD;
    if (capacity < scales) return DTC_ERROR_CAPACITY;
    memmove(to, from_a, scales);
    sum->variant = any ? DTCI_TERNARY_WIDE : DTCI_TERNARY_ZERO;
    *bytes = dtci_ternary_bytes(sum);
    if (any) {
        dtci_tokens_plan plan;
        dtci_coder coder;
        if (!dtci_coder_open(&coder, dtci_digits_bits(sum), arena)) return DTC_ERROR_SCRATCH;
        dtci_coder_count(&coder, bins, dtci_digits_bins(sum, sum->count), dtci_digits_bits(sum));
        plan = dtci_coder_choose(&coder);
        if (scales + plan.bytes < *bytes) {
            *bytes = dtci_coder_write(&coder, &plan, to + scales, capacity - scales);
            sum->variant = DTCI_TERNARY_DIGITS;
            if (!*bytes) return DTC_ERROR_CAPACITY;
            *bytes += scales;
            return DTC_OK;
        }
    }
    if (capacity < *bytes) return DTC_ERROR_CAPACITY;
    for (first = 0; first < sum->count && any; first += n) {
        uint32_t some[DTCI_TERNARY_ROOM];
        n = sum->count - first < DTCI_TERNARY_CHUNK ? sum->count - first : DTCI_TERNARY_CHUNK;
        dtci_digits_unpack(some, bins + dtci_digits_bins(sum, first), sum, n);
        for (i = 0; i < n; i += 256)
            dtci_fields_pack(to + scales + (first + i) / 256 * 32 * bits, some + i, n - i < 256 ? n - i : 256, bits);
    }
    return DTC_OK;
}

#endif /* DTC_NO_TERNARY */

/* --------------------------------------------------------------------------------------------------------------------
 * quant: N-bit quantization by entropy, Huffman coded (Oland and Raj, Reducing communication overhead in distributed
 * learning by an order of magnitude (almost), ICASSP 2015). Stochastic rounding as in QSGD (Alistarh et al., 2017).
 *
 * grid=zero: a value is near k * step, k an integer from `lowest` up: one bin is centred on exact 0.
 * grid=even: a value is in bin k of 2^N over [offset, ...), 2 * half wide; it decodes to the bin's centre.
 *     stochastic rounding is between centres, so that there the outer centres lie on min and max.
 * A range too narrow for its distance from 0 to be an int (|lowest| > 2^24) has no bin on 0: the grid is then even, and
 * so it is for one bit, whose two bins could not both be centred on 0 and cover both sides.
 *
 * rotate: each block is cut into parts of 2^L values, each turned by a seeded randomized Hadamard transform, after
 * which its coordinates are all but Gaussian (DRIVE, Vargaftik et al., NeurIPS 2021; EDEN, ICML 2022). All parts have
 * the same grid in units of their root mean square, and none of them a lowest of its own: it is -(2^(N-1) - 1). A
 * part's step is times |x|^2 / <c, x>, c being what x was rounded to, which makes the mean over the seeds x itself. The
 * decoder's transform is of integers, hence exact.
 *
 * Payload: a grid a block (zero: step fp32, lowest int32; even: offset fp32, half fp32), or, rotated, a step (even:
 * half) a part; then by coding
 *     0  fields of k - lowest, with room for sums
 *     1  tokens of k - the lowest of all blocks; so 0 is the same bin in all blocks
 *     2  nothing: k = lowest everywhere, as in a constant tensor
 *     3  fields, where tokens would not be smaller
 * Variant: bits - 1 (bits 0..3), even (4), coding (5, 6), rotate (7).
 * ------------------------------------------------------------------------------------------------------------------*/

#ifndef DTC_NO_QUANT

#define DTCI_QUANT_FIELDS   0u
#define DTCI_QUANT_TOKENS   1u
#define DTCI_QUANT_CONSTANT 2u
#define DTCI_QUANT_WIDE     3u
#define DTCI_QUANT_BITS_MAX 16
#define DTCI_QUANT_LOWEST   16777216.0  /* |lowest| * workers, at the most: k * step stays exact in double */
#define DTCI_QUANT_HALVES   268435456.0 /* |offset| * workers / half, at the most: so does offset + k * half */
#define DTCI_QUANT_ROTATED  16384u      /* workers * 2^bits, at the most: sums of 2^16 integers stay below 2^31 */

typedef struct dtci_quant {
    const dtci_head *head;
    const unsigned char *grids;           /* as on the wire */
    float *ranges;                        /* min and max a block; of the encoder alone */
    float *deviations;                    /* rotated: root mean square a part; of the encoder alone */
    double reach;                         /* rotated: the largest magnitude, in deviations */
    int *exponents;                       /* rotated: a part's values are times 2^-exponent, to stay clear of limits */
    int even, stochastic, rotate, shared; /* shared: the range is given */
    unsigned bits, bin_bits; /* of a field of one term; of a bin, over all blocks: 17 where that is too many */
    int32_t base;            /* zero: the lowest k of all blocks, terms included */
} dtci_quant;

/* Values that share a grid: a block, or, rotated, a power of two of them. */
typedef struct dtci_part {
    size_t index, first, end;
} dtci_part;

/* Into how many parts n values are cut: as many of 2^16 as there are, then one for each bit of the rest. */
DTCI_FN size_t dtci_rotations(size_t n) {
    size_t parts = n >> DTCI_HADAMARD_MAX;
    for (n &= ((size_t)1 << DTCI_HADAMARD_MAX) - 1; n; n &= n - 1) parts++;
    return parts;
}

DTCI_FN size_t dtci_quant_parts(const dtci_head *head, int rotate) {
    size_t block = dtci_block(head);
    if (!rotate || !head->count) return dtci_blocks(head);
    return head->count / block * dtci_rotations(block) + dtci_rotations(head->count % block);
}

/* The part that value i is in. */
DTCI_FN dtci_part dtci_quant_part(const dtci_head *head, int rotate, size_t i) {
    size_t block = dtci_block(head), b = i / block, left, whole;
    dtci_part part;
    part.index = b;
    part.first = b * block;
    left = head->count - part.first < block ? head->count - part.first : block;
    part.end = part.first + left;
    if (!rotate) return part;
    part.index = b * dtci_rotations(block);
    whole =
        (i - part.first < left >> DTCI_HADAMARD_MAX << DTCI_HADAMARD_MAX ? i - part.first : left) >> DTCI_HADAMARD_MAX;
    for (;;) { /* over the parts of 2^16 at once, then one by one */
        part.index += whole;
        part.first += whole << DTCI_HADAMARD_MAX;
        left -= whole << DTCI_HADAMARD_MAX;
        part.end = part.first + ((size_t)1 << dtci_hadamard_fit(left));
        if (i < part.end) return part;
        part.index++;
        left -= part.end - part.first;
        part.first = part.end;
        whole = 0;
    }
}

typedef struct dtci_grid {
    double origin, step; /* even: offset, half; zero: 0, step */
    int32_t lowest;      /* even: 0 */
} dtci_grid;

DTCI_FN dtci_grid dtci_quant_grid(const dtci_quant *q, size_t b) {
    const unsigned char *p = q->grids + 8 * b;
    dtci_grid grid;
    uint32_t lowest = dtci_get32(p + 4);
    grid.origin = q->even ? (double)dtci_get_float(p) : 0.0;
    grid.step = (double)dtci_get_float(q->even ? p + 4 : p);
    memcpy(&grid.lowest, &lowest, 4);
    if (q->even) grid.lowest = 0;
    return grid;
}

DTCI_FN unsigned dtci_quant_field_bits(const dtci_head *head, unsigned bits) {
    return dtci_bit_width(head->workers * ((1u << bits) - 1));
}

/* base and bin_bits, from the grids. */
DTCI_FN void dtci_quant_bins(dtci_quant *q) {
    int32_t low = INT32_MAX, high = INT32_MIN, terms = (int32_t)q->head->terms;
    size_t blocks = dtci_quant_parts(q->head, q->rotate), b;
    for (b = 0; b < blocks; b++) {
        dtci_grid grid = dtci_quant_grid(q, b);
        if (grid.lowest < low) low = grid.lowest;
        if (grid.lowest > high) high = grid.lowest;
    }
    q->base = blocks ? low * terms : 0;
    q->bin_bits =
        blocks ? dtci_bit_width((uint32_t)(high - low) * q->head->terms + ((1u << q->bits) - 1) * q->head->terms) : 0;
    if (q->bin_bits > DTCI_QUANT_BITS_MAX) q->bin_bits = DTCI_QUANT_BITS_MAX + 1;
}

/* How fine a grid is wanted; one of these is not 0. */
typedef struct dtci_fineness {
    unsigned bits; /* bins: 2^bits a range */
    double levels; /* steps a range, in as many bits as it takes */
    double step;   /* as wide as this, or less, in as many bits as it takes */
} dtci_fineness;

/* The range, in standard deviations, over which 2^bits even bins have nearly the least error for Gaussian values (Max,
 * Quantizing for minimum distortion, 1960, to within 2 % of the range). */
DTCI_FN double dtci_loading(unsigned bits) {
    return 1.35 + 0.33 * (double)bits;
}

/* The same for rotated parts, whose range is symmetric and in units of their deviation; ranges become what to clip to.
 */
DTCI_FN int dtci_quant_rotated_grids(dtci_quant *q, unsigned char *grids, dtci_fineness fineness) {
    size_t parts = dtci_quant_parts(q->head, 1), b;
    double levels = fineness.levels, reach = q->reach, bins, loading = dtci_loading(fineness.bits);
    int32_t most; /* the largest |k| */
    if (fineness.bits == 1) q->even = 1;
    if (fineness.bits) {
        levels = (double)(1u << fineness.bits) - (q->even ? 0 : 1) - (q->stochastic ? 1 : 0);
        if (!q->shared && !q->stochastic && loading < reach) reach = loading; /* to clip would be biased */
    }
    q->grids = grids;
    if (q->even) {
        bins = ceil(levels) + (q->stochastic ? 1 : 0);
        q->bits = bins > 2 ? dtci_bit_width((uint32_t)bins - 1) : 1;
    } else {
        bins = q->stochastic ? ceil(levels / 2) : fineness.bits ? floor(levels / 2) : floor(levels / 2 + 0.5);
        q->bits = bins > 1 ? dtci_bit_width((uint32_t)bins) + 1 : 2;
    }
    if (q->head->workers > DTCI_QUANT_ROTATED >> q->bits) return 0;
    most = (int32_t)(1u << (q->bits - 1)) - 1;
    for (b = 0; b < parts; b++) {
        float step = dtci_float_up(2 * reach * (double)q->deviations[b] / levels / (q->even ? 2 : 1));
        float clip = q->even ? step * (float)((1u << q->bits) - (q->stochastic ? 1 : 0)) : step * (float)bins;
        q->ranges[2 * b] = -clip;
        q->ranges[2 * b + 1] = clip;
        if (q->even) {
            dtci_put_float(grids + 8 * b, -step * (float)(1u << q->bits));
            dtci_put_float(grids + 8 * b + 4, step);
        } else {
            dtci_put_float(grids + 8 * b, step);
            dtci_put32(grids + 8 * b + 4, (uint32_t)-most);
        }
    }
    dtci_quant_bins(q);
    return 1;
}

/* Fills in the grids for q->ranges; turns to even ones where zero is out of reach. Returns 0
 * where it takes more than 16 bits. */
DTCI_FN int dtci_quant_make_grids(dtci_quant *q, unsigned char *grids, dtci_fineness fineness) {
    size_t blocks = dtci_blocks(q->head), b;
    double workers = (double)q->head->workers, levels = fineness.levels;
    const float *ranges = q->ranges;
    if (q->rotate) return dtci_quant_rotated_grids(q, grids, fineness);
    if (fineness.bits == 1) q->even = 1;
    if (fineness.bits) levels = (double)(1u << fineness.bits) - (q->even ? 0 : 1) - (q->stochastic ? 1 : 0);
    q->grids = grids;
    q->bits = fineness.bits ? fineness.bits : 1;
    for (b = 0; b < blocks; b++) {
        double min = (double)ranges[2 * b], max = (double)ranges[2 * b + 1], low = 0, high;
        double step = fineness.step > 0 ? fineness.step : (max - min) / levels;
        unsigned char *p = grids + 8 * b;
        if (!(min < max)) { /* one value: the first bin is exactly on it */
            dtci_put32(p, dtci_float_bits(ranges[2 * b]) & (q->even ? 0xffffffffu : 0x7fffffffu));
            dtci_put32(p + 4, q->even || !(min < 0 || min > 0) ? 0 : min < 0 ? 0xffffffffu : 1);
            continue;
        }
        if (q->even) {
            double least = (-min > max ? -min : max > -max ? max : -max) * workers * (2 / DTCI_QUANT_HALVES), offset;
            float half = fineness.step > 0 ? dtci_float_down(step / 2) : dtci_float_up(step / 2);
            if ((double)half < least) half = dtci_float_up(least);
            if (fineness.step > 0 && (double)half > step / 2) return 0;
            offset = q->stochastic ? min - (double)half : min;
            offset = offset > -(double)FLT_MAX ? offset : -(double)FLT_MAX;
            dtci_put_float(p, (float)offset);
            dtci_put_float(p + 4, half);
            high = floor((max - offset) / (2 * (double)half) + (q->stochastic ? 0.5 : 0.0));
        } else {
            float wire_step = fineness.step > 0 ? dtci_float_down(step) : dtci_float_up(step);
            double inverse = 1 / (double)wire_step;
            low = q->stochastic ? floor(min * inverse) : floor(min * inverse + 0.5);
            high = q->stochastic ? ceil(max * inverse) : floor(max * inverse + 0.5);
            if (low < -DTCI_QUANT_LOWEST / workers || low > DTCI_QUANT_LOWEST / workers) {
                q->even = 1;
                return dtci_quant_make_grids(q, grids, fineness);
            }
            dtci_put_float(p, wire_step);
            dtci_put32(p + 4, (uint32_t)(int32_t)low);
        }
        if (!fineness.bits) {
            unsigned bits = high - low < 65536 ? dtci_bit_width((uint32_t)(high - low)) : DTCI_QUANT_BITS_MAX + 1;
            if (bits > DTCI_QUANT_BITS_MAX) return 0;
            if (bits > q->bits) q->bits = bits;
        }
    }
    dtci_quant_bins(q);
    return 1;
}

/* Whether every block has but one value. */
DTCI_FN int dtci_quant_constant(const float *ranges, size_t blocks) {
    size_t b;
    for (b = 0; b < blocks; b++)
        if (ranges[2 * b] < ranges[2 * b + 1]) return 0;
    return 1;
}

/* How the values of a part become fields, and back. */
typedef struct dtci_quantizer {
    float min, max;
    double origin, inverse, bias, top;
    uint32_t shift;
} dtci_quantizer;

/* Fields of values first .. first + n - 1; without the shift, what is set in any of them. */
DTCI_INLINE uint32_t dtci_quantize(uint32_t *DTCI_RESTRICT fields, const char *values, const dtci_quantizer *by,
                                   int stochastic, const dtci_random *random, size_t first, size_t n) {
    float min = by->min, max = by->max;
    double origin = by->origin, inverse = by->inverse, bias = by->bias, top = by->top;
    uint32_t shift = by->shift, any = 0;
    size_t i;
    for (i = 0; i < n; i++) {
        float value = dtci_float_at(values, i), x = value > min ? value : min;
        double t = ((double)(x < max ? x : max) - origin) * inverse + bias;
        if (stochastic) {
            uint32_t draw = dtci_random_at(random, (uint32_t)(first + i)); /* as an int, which SIMD converts */
            t += ((double)(int32_t)(draw ^ 0x80000000u) + 2147483648.0) * (1 / 4294967296.0);
        }
        t = t < top ? t : top; /* by rounding alone it may be above; or below 0, and come to 0 */
        fields[i] = (uint32_t)(int32_t)t;
    }
    for (i = 0; i < n; i++) any |= fields[i];
    for (i = 0; i < n; i++) fields[i] += shift;
    return any;
}

/* Quantizes values[first..first+n), n <= DTCI_CHUNK: fields of k - lowest, or, as bins, of k - base. */
DTCI_INLINE uint32_t dtci_quant_fields(uint32_t *fields, const dtci_quant *q, int as_bins, const dtci_random *random,
                                       const dtci_source *source, size_t first, size_t n) {
    size_t at, stop, i;
    float chunk[DTCI_CHUNK];
    const char *values = dtci_view(chunk, source, first, n);
    uint32_t any = 0;
    for (at = 0; at < n; at = stop) {
        dtci_part part = dtci_quant_part(q->head, q->rotate, first + at);
        dtci_grid grid = dtci_quant_grid(q, part.index);
        dtci_quantizer by;
        by.min = q->ranges[2 * part.index];
        by.max = q->ranges[2 * part.index + 1];
        by.origin = grid.origin;
        by.inverse = grid.step > 0 ? 1 / (q->even ? 2 * grid.step : grid.step) : 0;
        by.bias = (q->stochastic ? (q->even ? -0.5 : 0) : (q->even ? 0 : 0.5)) - (double)grid.lowest;
        by.top = (double)((1u << q->bits) - 1);
        by.shift = as_bins ? (uint32_t)(grid.lowest - q->base) : 0;
        stop = part.end - first < n ? part.end - first : n;
        if (!(grid.step > 0)) {
            if (q->rotate) by.shift = (uint32_t)-grid.lowest; /* zero, as most of the others may be */
            for (i = at; i < stop; i++) fields[i] = by.shift;
        } else if (stop - at < DTCI_CHUNK) {
            any |= dtci_quantize(fields + at, values + 4 * at, &by, q->stochastic, random, first + at, stop - at);
        } else if (q->stochastic) {
            any |= dtci_quantize(fields, values, &by, 1, random, first, DTCI_CHUNK);
        } else {
            any |= dtci_quantize(fields, values, &by, 0, random, first, DTCI_CHUNK);
        }
    }
    return any;
}

/* origin + (scale * field + k0) * step. Products are exact in double, and so is their sum with the origin: one
 * rounding.
 */
DTCI_INLINE void dtci_dequantize(char *DTCI_RESTRICT to, const uint32_t *fields, double origin, double step,
                                 int32_t scale, int32_t k0, size_t n) {
    size_t i;
    for (i = 0; i < n; i++) {
        float x = (float)(origin + (double)(scale * (int32_t)fields[i] + k0) * step);
        memcpy(to + 4 * i, &x, 4);
    }
}

/* Values of fields, or of bins. */
DTCI_INLINE void dtci_quant_floats(char *to, const dtci_quant *q, int as_bins, const uint32_t *fields, size_t first,
                                   size_t n) {
    int narrow = !q->even && dtci_quant_field_bits(q->head, q->bits) < 24;
    size_t block = dtci_block(q->head), at, stop, i;
    int32_t terms = (int32_t)q->head->terms;
    for (at = 0; at < n; at = stop) {
        size_t b = (first + at) / block;
        dtci_grid grid = dtci_quant_grid(q, b);
        double origin = grid.origin * (double)terms;
        int32_t scale = q->even ? 2 : 1, k0 = q->even ? terms : as_bins ? q->base : grid.lowest * terms;
        stop = (b + 1) * block - first < n ? (b + 1) * block - first : n;
        if (fabs(origin) + 67108864 * fabs(grid.step) > (double)FLT_MAX) { /* more than any |scale * field + k0| */
            for (i = at; i < stop; i++) {
                float x = dtci_to_float(origin + (double)(scale * (int32_t)fields[i] + k0) * grid.step);
                memcpy(to + 4 * i, &x, 4);
            }
        } else if (stop - at < DTCI_CHUNK) {
            dtci_dequantize(to + 4 * at, fields + at, origin, grid.step, scale, k0, stop - at);
        } else if (narrow && grid.step > 0 && k0 > -8388608 && k0 < 8388608) { /* not -0 either */
            dtci_multiples(to, fields, (float)grid.step, k0, DTCI_CHUNK);
        } else {
            dtci_dequantize(to, fields, origin, grid.step, scale, k0, DTCI_CHUNK);
        }
    }
}

/* Decodes what cannot fail any more: bins, or the payload's fields. */
DTCI_INLINE void dtci_quant_emit_body(const dtci_quant *q, uint32_t coding, const uint16_t *bins,
                                      const unsigned char *from, const dtci_sink *sink, unsigned has) {
    unsigned field_bits = dtci_quant_field_bits(q->head, q->bits);
    uint32_t fields[DTCI_CHUNK];
    float chunk[DTCI_CHUNK];
    size_t first, n, i;
    (void)has;
    memset(fields, 0, sizeof fields);
    for (first = 0; first < q->head->count; first += n) {
        n = q->head->count - first < DTCI_CHUNK ? q->head->count - first : DTCI_CHUNK;
        if (coding == DTCI_QUANT_TOKENS)
            for (i = 0; i < n; i++) fields[i] = bins[first + i];
        else if (coding != DTCI_QUANT_CONSTANT)
            dtci_fields_unpack(fields, from + first / 256 * 32 * field_bits, n, field_bits);
        dtci_quant_floats(dtci_place(chunk, sink, first), q, coding == DTCI_QUANT_TOKENS, fields, first, n);
        dtci_store_placed(sink, first, chunk, n);
    }
}

DTCI_TWIN(dtci_quant_emit,
          (const dtci_quant *q, uint32_t coding, const uint16_t *bins, const unsigned char *from, const dtci_sink *sink,
           unsigned has),
          (q, coding, bins, from, sink, has))

/* Quantizes everything to fields. */
DTCI_INLINE void dtci_quant_pack_body(unsigned char *to, const dtci_quant *q, const dtci_random *random,
                                      const dtci_source *source, unsigned has) {
    unsigned field_bits = dtci_quant_field_bits(q->head, q->bits);
    uint32_t fields[DTCI_CHUNK];
    size_t first, n;
    (void)has;
    for (first = 0; first < q->head->count; first += n) {
        n = q->head->count - first < DTCI_CHUNK ? q->head->count - first : DTCI_CHUNK;
        (void)dtci_quant_fields(fields, q, 0, random, source, first, n);
        dtci_fields_pack(to + first / 256 * 32 * field_bits, fields, n, field_bits);
    }
}

DTCI_TWIN(dtci_quant_pack,
          (unsigned char *to, const dtci_quant *q, const dtci_random *random, const dtci_source *source, unsigned has),
          (to, q, random, source, has))

/* Quantizes everything to bins; *any tells what is set in any of them. */
DTCI_INLINE void dtci_quant_bin_body(uint16_t *bins, uint32_t *any, const dtci_quant *q, const dtci_random *random,
                                     const dtci_source *source, unsigned has) {
    uint32_t fields[DTCI_CHUNK];
    size_t first, n, i;
    (void)has;
    *any = 0;
    for (first = 0; first < q->head->count; first += n) {
        n = q->head->count - first < DTCI_CHUNK ? q->head->count - first : DTCI_CHUNK;
        *any |= dtci_quant_fields(fields, q, 1, random, source, first, n);
        if (n == DTCI_CHUNK)
            for (i = 0; i < DTCI_CHUNK; i++) bins[first + i] = (uint16_t)fields[i];
        else
            for (i = 0; i < n; i++) bins[first + i] = (uint16_t)fields[i];
    }
}

DTCI_TWIN(dtci_quant_bin,
          (uint16_t * bins, uint32_t *any, const dtci_quant *q, const dtci_random *random, const dtci_source *source,
           unsigned has),
          (bins, any, q, random, source, has))

/* n <= DTCI_CHUNK values times `unit`, and their signs; within 1e30, where a shared range may be exceeded. */
DTCI_INLINE void dtci_quant_flip(float *x, const uint32_t *negative, double unit, int shared, size_t n) {
    size_t i;
    for (i = 0; i < n; i++) {
        double t = (double)x[i] * unit;
        if (shared) t = t > 1e30 ? 1e30 : t < -1e30 ? -1e30 : t;
        x[i] = dtci_bits_float(dtci_float_bits((float)t) ^ (negative[i] & 0x80000000u));
    }
}

/* What is turned of values first .. end - 1. */
DTCI_INLINE void dtci_quant_flip_all_body(float *rotated, const dtci_random *random, const dtci_source *source,
                                          size_t first, size_t end, double unit, int shared, unsigned has) {
    uint32_t negative[DTCI_CHUNK];
    float chunk[DTCI_CHUNK];
    size_t n;
    (void)has;
    for (; first < end; first += n) {
        n = end - first < DTCI_CHUNK ? end - first : DTCI_CHUNK;
        dtci_load(chunk, source, first, n);
        dtci_negative(negative, random, first, n);
        if (n == DTCI_CHUNK && !shared)
            dtci_quant_flip(chunk, negative, unit, 0, DTCI_CHUNK);
        else
            dtci_quant_flip(chunk, negative, unit, shared, n);
        memcpy(rotated + first, chunk, 4 * n);
    }
}

DTCI_TWIN(dtci_quant_flip_all,
          (float *rotated, const dtci_random *random, const dtci_source *source, size_t first, size_t end, double unit,
           int shared, unsigned has),
          (rotated, random, source, first, end, unit, shared, has))

/* Turns the values, times 2^-exponent, part by part; finds deviations and reach. With a shared range, `max`, it and not
 * the values sets the exponent, and parts' deviation is that range. Returns 0 where a value is not finite. */
DTCI_FN int dtci_quant_rotate(float *rotated, dtci_quant *q, const dtci_random *random, const dtci_source *source,
                              float max) {
    dtci_source turned;
    dtci_part part;
    turned.values = rotated;
    turned.residual = NULL;
    q->reach = q->shared ? 1 : 0;
    for (part.end = 0; part.end < q->head->count;) {
        double unit, deviation, largest;
        dtci_stats stats;
        size_t size;
        part = dtci_quant_part(q->head, 1, part.end);
        size = part.end - part.first;
        stats = dtci_scan(source, part.first, size, q->head->has);
        if (!stats.finite) return 0;
        largest = (double)(-stats.min > stats.max ? -stats.min : stats.max);
        (void)frexp(q->shared ? (double)max : largest, &q->exponents[part.index]);
        unit = ldexp(1, -q->exponents[part.index]);
        dtci_quant_flip_all(rotated, random, source, part.first, part.end, unit, q->shared, q->head->has);
        dtci_hadamard(rotated + part.first, dtci_hadamard_fit(size), q->head->has);
        stats = dtci_scan(&turned, part.first, size, q->head->has);
        largest = (double)(-stats.min > stats.max ? -stats.min : stats.max);
        deviation = sqrt(stats.squares / (double)size);
        if (q->shared) deviation = (double)max * unit * sqrt((double)size);
        q->deviations[part.index] = (float)deviation;
        if (!q->shared && deviation > 0 && largest > q->reach * deviation) q->reach = largest / deviation;
    }
    return 1;
}

/* Integers of a rotated part, of the fields or bins that stand for them. */
DTCI_INLINE void dtci_quant_integers(uint32_t *DTCI_RESTRICT to, const dtci_quant *q, const uint32_t *fields,
                                     size_t n) {
    uint32_t terms = q->head->terms, bins = 1u << q->bits, even = (uint32_t)q->even, i;
    uint32_t least = even ? terms - terms * bins : 0u - terms * (bins / 2 - 1);
    for (i = 0; i < n; i++) to[i] = (fields[i] << even) + least;
}

/* The parts' steps as on the wire: times |x|^2 / <c, x>, unless rounding is unbiased or the grid shared. */
DTCI_FN void dtci_quant_steps(unsigned char *to, const dtci_quant *q, const float *rotated, const uint16_t *bins) {
    dtci_part part;
    for (part.end = 0; part.end < q->head->count;) {
        double squares = 0, dot = 0, step;
        size_t at, n, i;
        part = dtci_quant_part(q->head, 1, part.end);
        step = dtci_quant_grid(q, part.index).step;
        for (at = part.first; at < part.end; at += n) {
            uint32_t fields[DTCI_CHUNK], turned[DTCI_CHUNK];
            int32_t integers[DTCI_CHUNK];
            n = part.end - at < DTCI_CHUNK ? part.end - at : DTCI_CHUNK;
            for (i = 0; i < n; i++) fields[i] = bins[at + i];
            dtci_quant_integers(turned, q, fields, n);
            memcpy(integers, turned, 4 * n);
            for (i = 0; i < n; i++) {
                squares += (double)rotated[at + i] * (double)rotated[at + i];
                dot += (double)rotated[at + i] * (double)integers[i];
            }
        }
        if (!q->shared && !q->stochastic) step = dot > 0 ? squares / dot : 0;
        step = ldexp(step, q->exponents[part.index] - (int)dtci_hadamard_fit(part.end - part.first) / 2);
        step = step < (double)FLT_MAX ? step : (double)FLT_MAX;
        dtci_put_float(to + 4 * part.index, (float)step);
    }
}

/* Signs, and multiples of the step, which may be beyond FLT_MAX where it is huge. */
DTCI_INLINE void dtci_quant_back(char *DTCI_RESTRICT to, const uint32_t *turned, const uint32_t *negative, double step,
                                 int huge, size_t n) {
    size_t i;
    for (i = 0; i < n; i++) {
        uint32_t flipped = (turned[i] ^ negative[i]) - negative[i];
        int32_t k;
        float x;
        memcpy(&k, &flipped, 4);
        x = huge ? dtci_to_float((double)k * step) : (float)((double)k * step);
        memcpy(to + 4 * i, &x, 4);
    }
}

/* Decodes rotated parts, of which nothing can fail any more, in `turned`, of count integers. */
DTCI_INLINE void dtci_quant_emit_rotated_body(const dtci_quant *q, uint32_t coding, const unsigned char *steps,
                                              const uint16_t *bins, const unsigned char *from, uint32_t *turned,
                                              const dtci_sink *sink, unsigned has) {
    unsigned field_bits = dtci_quant_field_bits(q->head, q->bits);
    dtci_random random = dtci_random_open(q->head->seed);
    uint32_t fields[DTCI_CHUNK];
    float chunk[DTCI_CHUNK];
    size_t at, n, i;
    dtci_part part;
    memset(fields, 0, sizeof fields);
    for (at = 0; at < q->head->count; at += n) {
        n = q->head->count - at < DTCI_CHUNK ? q->head->count - at : DTCI_CHUNK;
        if (coding == DTCI_QUANT_TOKENS)
            for (i = 0; i < n; i++) fields[i] = bins[at + i];
        else if (coding != DTCI_QUANT_CONSTANT)
            dtci_fields_unpack(fields, from + at / 256 * 32 * field_bits, n, field_bits);
        if (n == DTCI_CHUNK)
            dtci_quant_integers(turned + at, q, fields, DTCI_CHUNK);
        else
            dtci_quant_integers(turned + at, q, fields, n);
    }
    for (part.end = 0; part.end < q->head->count;) {
        unsigned level;
        double step;
        int huge;
        part = dtci_quant_part(q->head, 1, part.end);
        level = dtci_hadamard_fit(part.end - part.first);
        step = ldexp((double)dtci_get_float(steps + 4 * part.index), -(int)((level + 1) / 2));
        huge = step > 1e28 || step < -1e28; /* there are 2^31 multiples of it */
        dtci_hadamard_integer(turned + part.first, level, has);
        for (at = part.first; at < part.end; at += n) {
            char *to = dtci_place(chunk, sink, at);
            uint32_t negative[DTCI_CHUNK];
            n = part.end - at < DTCI_CHUNK ? part.end - at : DTCI_CHUNK;
            dtci_negative(negative, &random, at, n);
            if (n == DTCI_CHUNK && !huge)
                dtci_quant_back(to, turned + at, negative, step, 0, DTCI_CHUNK);
            else
                dtci_quant_back(to, turned + at, negative, step, huge, n);
            dtci_store_placed(sink, at, chunk, n);
        }
    }
}

DTCI_TWIN(dtci_quant_emit_rotated,
          (const dtci_quant *q, uint32_t coding, const unsigned char *steps, const uint16_t *bins,
           const unsigned char *from, uint32_t *turned, const dtci_sink *sink, unsigned has),
          (q, coding, steps, bins, from, turned, sink, has))

DTCI_FN unsigned dtci_quant_bin_bits_max(const dtc_spec *spec) {
    return spec->quant.bits && (!spec->block || spec->quant.rotate) ? (unsigned)spec->quant.bits : DTCI_QUANT_BITS_MAX;
}

/* Where grids alone would take as much as the values, the values are stored. */
DTCI_FN int dtci_quant_stores(const dtci_head *head, int rotate) {
    return dtci_quant_parts(head, rotate) > head->count / 2;
}

/* Bytes of the grids on the wire. */
DTCI_FN size_t dtci_quant_grid_bytes(const dtci_head *head, int rotate) {
    return (rotate ? 4u : 8u) * dtci_quant_parts(head, rotate);
}

DTCI_FN size_t dtci_quant_scratch(const dtc_spec *spec, const dtci_head *head) {
    size_t parts = dtci_quant_parts(head, spec->quant.rotate);
    uint64_t bytes = 2 * (uint64_t)dtci_room(8 * parts) + dtci_room(2 * (size_t)head->count) +
                     dtci_coder_scratch(dtci_quant_bin_bits_max(spec));
    if (spec->quant.rotate)
        bytes += (uint64_t)dtci_room(4 * parts) + dtci_room(sizeof(int) * parts) + dtci_room(4 * (size_t)head->count);
    return dtci_quant_stores(head, spec->quant.rotate) ? 0 : bytes < SIZE_MAX ? (size_t)bytes : SIZE_MAX;
}

/* Everything the encoder works in. */
typedef struct dtci_quant_work {
    float *ranges;               /* min and max a block */
    float *deviations, *rotated; /* by part; by value */
    int *exponents;
    unsigned char *grids;
    uint16_t *bins;
    dtci_coder coder;
} dtci_quant_work;

DTCI_FN int dtci_quant_take(dtci_quant_work *work, const dtc_spec *spec, const dtci_head *head, dtci_arena *arena) {
    unsigned bits = dtci_quant_bin_bits_max(spec);
    size_t parts = dtci_quant_parts(head, spec->quant.rotate);
    work->ranges = (float *)dtci_take(arena, 8 * parts);
    work->grids = (unsigned char *)dtci_take(arena, 8 * parts);
    work->bins = (uint16_t *)dtci_take(arena, 2 * (size_t)head->count);
    work->deviations = work->rotated = NULL;
    work->exponents = NULL;
    if (spec->quant.rotate) {
        work->exponents = (int *)dtci_take(arena, sizeof(int) * parts);
        work->deviations = (float *)dtci_take(arena, 4 * parts);
        work->rotated = (float *)dtci_take(arena, 4 * (size_t)head->count);
        if (!work->exponents || !work->deviations || !work->rotated) return 0;
    }
    return dtci_coder_open(&work->coder, bits, arena) && work->ranges && work->grids && work->bins;
}

/* The blocks' ranges, found or given. Returns 0 where a value is not finite. */
DTCI_FN int dtci_quant_ranges(float *ranges, const dtc_spec *spec, const dtci_head *head, const dtci_source *source) {
    size_t block = dtci_block(head), blocks = dtci_blocks(head), b;
    for (b = 0; b < blocks; b++) {
        size_t n = head->count - b * block < block ? head->count - b * block : block;
        dtci_stats stats = dtci_scan(source, b * block, n, head->has);
        float min = spec->quant.min_given ? spec->quant.min : stats.min;
        float max = spec->quant.max_given ? spec->quant.max : stats.max;
        if (!stats.finite) return 0;
        if (max < min && spec->quant.min_given) max = min;
        ranges[2 * b] = max < min ? max : min;
        ranges[2 * b + 1] = max;
    }
    return 1;
}

/* The finest that searching may come to. */
DTCI_FN unsigned dtci_quant_bits_max(const dtci_quant *q) {
    return q->rotate ? dtci_bit_width(DTCI_QUANT_ROTATED / q->head->workers) - 1 : DTCI_QUANT_BITS_MAX;
}

/* N = H + floor: H is the entropy of a `probe`-bit quantization of a `sample` of the values. */
DTCI_FN unsigned dtci_quant_auto_bits(const dtc_spec *spec, const dtci_quant *q, const dtci_source *source) {
    size_t count = q->head->count, stride, i;
    double sample = spec->quant.sample > 0 ? (double)spec->quant.sample : 0.03;
    unsigned probe = spec->quant.probe ? (unsigned)spec->quant.probe : 4;
    unsigned floor_bits = spec->quant.floor ? (unsigned)spec->quant.floor : 6;
    uint32_t histogram[256], n = 0;
    uint64_t sum = 0;
    unsigned bits;
    sample *= (double)count;
    stride = (size_t)((double)count / (sample > 1024 ? sample : 1024)); /* small tensors are looked at more closely */
    stride = stride > 1 ? (stride - 1) | 1 : 1; /* odd, so as not to stay in one column of a matrix */
    memset(histogram, 0, sizeof histogram);
    for (i = 0; i < count; i += stride, n++) {
        size_t b = dtci_quant_part(q->head, q->rotate, i).index;
        double min = (double)q->ranges[2 * b], max = (double)q->ranges[2 * b + 1], t;
        float x;
        dtci_load(&x, source, i, 1);
        t = min < max ? ((double)x - min) / (max - min) * (double)(1u << probe) : 0;
        t = t > 0 ? t : 0;
        t = t < (double)(1u << probe) - 1 ? t : (double)(1u << probe) - 1;
        histogram[(uint32_t)(int32_t)t]++;
    }
    if (!n) return floor_bits;
    for (i = 0; i < 1u << probe; i++)
        if (histogram[i]) sum += (uint64_t)histogram[i] * dtci_log2(histogram[i]);
    bits = (unsigned)((dtci_log2(n) - sum / n + 32768) >> 16) + floor_bits;
    return bits < dtci_quant_bits_max(q) ? bits : dtci_quant_bits_max(q);
}

/* Quantizes everything to bins and prices them; plan->bytes is 0 where all of them are lowest. */
DTCI_FN void dtci_quant_price(dtci_tokens_plan *plan, const dtci_quant *q, const dtci_random *random,
                              const dtci_source *source, dtci_quant_work *work) {
    uint32_t any;
    dtci_quant_bin(work->bins, &any, q, random, source, q->head->has);
    memset(plan, 0, sizeof *plan);
    if (!any) return;
    dtci_coder_count(&work->coder, work->bins, q->head->count, q->bin_bits);
    *plan = dtci_coder_choose(&work->coder);
}

/* What max-error asks for; a step of 0 where fp32 cannot tell so close values apart. */
DTCI_FN dtci_fineness dtci_quant_max_error(const dtc_spec *spec, const dtci_quant *q) {
    size_t blocks = dtci_blocks(q->head), i;
    double error = (double)spec->quant.max_error, reach = 0;
    dtci_fineness fineness;
    memset(&fineness, 0, sizeof fineness);
    for (i = 0; i < 2 * blocks; i++) {
        double magnitude = (double)(q->ranges[i] < 0 ? -q->ranges[i] : q->ranges[i]);
        if (magnitude > reach) reach = magnitude;
    }
    error -= (reach + error) * (1.0001 / 16777216) + 7.1e-46; /* what rounding a decoded value to fp32 adds */
    fineness.step = (double)dtci_float_down(q->stochastic ? error : 2 * error);
    return fineness;
}

/* Finds the finest grids whose tokens take at most `budget` bytes, by trial: tokens cost about a bit more for each
 * doubling of the levels. 0: blocks lie too far apart for tokens. */
DTCI_FN int dtci_quant_fit_rate(dtci_quant *q, dtci_tokens_plan *plan, size_t budget, const dtci_random *random,
                                const dtci_source *source, dtci_quant_work *work) {
    double count = (double)q->head->count, fits = 0, fails = 0, slope = 1, last_levels = 0, last_bits = 0;
    double levels = exp2(8.0 * (double)budget / count) * 4,
           least = q->even && !q->stochastic ? 0.9999 : 1.0 / 1024, /* one bin for all */
        most = (double)(1u << dtci_quant_bits_max(q)) * (65000.0 / 65536), best = least;
    size_t most_bytes = 0;
    dtci_fineness fineness;
    int trial;
    memset(&fineness, 0, sizeof fineness);
    for (trial = 0; trial < 40 && levels >= least; trial++) {
        double step = -1; /* of log2(levels) */
        int fit;
        fineness.levels = levels = levels < most ? levels : most;
        fit = dtci_quant_make_grids(q, work->grids, fineness) && q->bin_bits <= DTCI_QUANT_BITS_MAX;
        if (fit) {
            double bits;
            dtci_quant_price(plan, q, random, source, work);
            fit = plan->bytes <= budget;
            bits = 8 * (double)plan->bytes / count;
            if (last_levels > 0) slope = (bits - last_bits) / log2(levels / last_levels);
            slope = slope > 1.0 / 256 ? slope < 2 ? slope : 2 : 1.0 / 256;
            last_levels = levels;
            last_bits = bits;
            step = (8 * 0.9993 * (double)budget / count - bits) / slope;
            step = step > -4 ? step < 4 ? step : 4 : -4;
        }
        *(fit ? &fits : &fails) = levels;
        if (fit && plan->bytes > most_bytes) {
            most_bytes = plan->bytes;
            best = levels;
        }
        if (fit && ((double)plan->bytes >= 0.998 * (double)budget || levels >= most)) return 1;
        if (fits > 0 && fails > 0) {
            if (fails / fits < 1.0001) break;
            levels *= exp2(step);
            if (trial % 3 == 2 || !(levels > fits && levels < fails)) levels = sqrt(fits * fails);
        } else if (fit) {
            levels *= exp2(step > 0.02 ? step : 0.02);
        } else {
            levels *= exp2(step < -0.02 ? step : -0.02);
        }
    }
    fineness.levels = best;
    if (!dtci_quant_make_grids(q, work->grids, fineness) || q->bin_bits > DTCI_QUANT_BITS_MAX) return 0;
    dtci_quant_price(plan, q, random, source, work);
    return 1;
}

DTCI_FN dtc_status dtci_quant_encode(const dtc_spec *spec, dtci_head *head, unsigned char *to, size_t capacity,
                                     size_t *bytes, const dtci_source *source, const dtci_sink *residual,
                                     dtci_arena *arena) {
    int rotate = spec->quant.rotate;
    size_t grids = dtci_quant_grid_bytes(head, rotate), around = head->head_bytes + (head->checksum ? 4 : 0) + grids,
           first;
    double budget = floor((double)spec->quant.rate * (double)head->count / 8);
    int entropy = spec->quant.entropy == DTC_ENTROPY_HUFFMAN;
    dtci_random random = dtci_random_open(spec->seed);
    uint32_t coding = DTCI_QUANT_FIELDS;
    dtci_tokens_plan plan;
    dtci_fineness fineness;
    dtci_quant_work work;
    dtci_source rotated;
    unsigned field_bits;
    dtci_quant q;
    memset(&plan, 0, sizeof plan);
    memset(&q, 0, sizeof q);
    q.head = head;
    q.stochastic = spec->quant.rounding == DTC_ROUNDING_STOCHASTIC;
    q.even = spec->quant.grid == DTC_GRID_EVEN;
    q.rotate = rotate;
    q.shared = spec->quant.min_given || spec->quant.max_given;
    if (dtci_quant_stores(head, rotate))
        return dtci_scan(source, 0, head->count, head->has).finite ? dtci_store_instead(head) : DTC_ERROR_NONFINITE;
    if (!dtci_quant_take(&work, spec, head, arena)) return DTC_ERROR_SCRATCH;
    q.ranges = work.ranges;
    q.deviations = work.deviations;
    if (rotate) {
        q.exponents = work.exponents;
        if (!dtci_quant_rotate(work.rotated, &q, &random, source, spec->quant.max)) return DTC_ERROR_NONFINITE;
        rotated.values = work.rotated;
        rotated.residual = NULL;
        source = &rotated;
        for (first = 0; first < dtci_quant_parts(head, 1); first++) {
            work.ranges[2 * first + 1] = (float)(q.reach * (double)work.deviations[first]);
            work.ranges[2 * first] = -work.ranges[2 * first + 1];
        }
    } else if (!dtci_quant_ranges(work.ranges, spec, head, source)) {
        return DTC_ERROR_NONFINITE;
    }

    memset(&fineness, 0, sizeof fineness);
    fineness.bits = (unsigned)spec->quant.bits;
    if (spec->quant.max_error > 0) {
        fineness = dtci_quant_max_error(spec, &q);
        if (!(fineness.step > 0)) return dtci_store_instead(head);
    } else if (spec->quant.rate > 0) {
        if (budget >= 4 * (double)head->count) return dtci_store_instead(head);
        if (budget >= (double)around && dtci_quant_fit_rate(&q, &plan, (size_t)budget - around, &random, source, &work))
            coding = plan.bytes ? DTCI_QUANT_TOKENS : DTCI_QUANT_CONSTANT;
        else /* the head alone is above it: weigh the values only */
            fineness.bits = spec->quant.rate < 2 ? 2 : spec->quant.rate < 16 ? (unsigned)spec->quant.rate : 16;
        if (fineness.bits > dtci_quant_bits_max(&q)) fineness.bits = dtci_quant_bits_max(&q);
    } else if (!fineness.bits) {
        fineness.bits = dtci_quant_auto_bits(spec, &q, source);
    }
    if (coding == DTCI_QUANT_FIELDS && !dtci_quant_make_grids(&q, work.grids, fineness))
        return dtci_store_instead(head);

    field_bits = dtci_quant_field_bits(head, q.bits);
    *bytes = grids + dtci_fields_bytes(head->count, field_bits);
    if (coding == DTCI_QUANT_FIELDS && entropy && q.bin_bits <= dtci_quant_bin_bits_max(spec)) {
        dtci_quant_price(&plan, &q, &random, source, &work);
        if (!plan.bytes)
            coding = DTCI_QUANT_CONSTANT;
        else if (grids + plan.bytes < *bytes)
            coding = DTCI_QUANT_TOKENS;
    }
    if (coding == DTCI_QUANT_FIELDS && head->workers == 1 &&
        dtci_quant_constant(work.ranges, dtci_quant_parts(head, rotate)))
        coding = DTCI_QUANT_CONSTANT;
    if (coding == DTCI_QUANT_FIELDS && entropy) coding = DTCI_QUANT_WIDE;
    if (coding == DTCI_QUANT_CONSTANT) *bytes = grids;
    if (coding == DTCI_QUANT_TOKENS) *bytes = grids + plan.bytes;
    if (*bytes > 4 * (size_t)head->count) return dtci_store_instead(head);

    head->variant = (q.bits - 1) | (q.even ? 16u : 0) | coding << 5 | (rotate ? 128u : 0);
    if (capacity < grids) return DTC_ERROR_CAPACITY;
    if (rotate) {
        uint32_t any;
        if (coding != DTCI_QUANT_TOKENS) dtci_quant_bin(work.bins, &any, &q, &random, source, head->has);
        dtci_quant_steps(to, &q, work.rotated, work.bins);
    } else {
        memcpy(to, q.grids, grids);
    }
    to += grids;
    capacity -= grids;
    if (coding == DTCI_QUANT_TOKENS) {
        size_t size = dtci_coder_write(&work.coder, &plan, to, capacity);
        if (!size) return DTC_ERROR_CAPACITY;
        *bytes = grids + size;
    } else if (coding != DTCI_QUANT_CONSTANT) {
        if (capacity < *bytes - grids) return DTC_ERROR_CAPACITY;
        dtci_quant_pack(to, &q, &random, source, head->has);
    }
    if (residual && rotate)
        dtci_quant_emit_rotated(&q, coding, to - grids, work.bins, to, (uint32_t *)(void *)work.rotated, residual,
                                head->has);
    else if (residual)
        dtci_quant_emit(&q, coding, work.bins, to, residual, head->has);
    return DTC_OK;
}

DTCI_FN dtc_status dtci_quant_check(const dtci_head *head) {
    uint32_t coding = head->variant >> 5 & 3;
    unsigned bits = (head->variant & 15) + 1;
    int rotate = head->variant >> 7 & 1, even = head->variant >> 4 & 1;
    uint64_t size = dtci_payload_bytes(head), grids = dtci_quant_grid_bytes(head, rotate);
    if (head->workers > (rotate ? DTCI_QUANT_ROTATED : 16777216u) >> bits ||
        (rotate ? !even && bits < 2 : head->seed > 0) || dtci_quant_stores(head, rotate))
        return DTC_ERROR_HEAD;
    if (coding == DTCI_QUANT_TOKENS) return size > grids && head->count ? DTC_OK : DTC_ERROR_SIZE;
    if (coding != DTCI_QUANT_CONSTANT) grids += dtci_fields_bytes(head->count, dtci_quant_field_bits(head, bits));
    return size == grids ? DTC_OK : DTC_ERROR_SIZE;
}

DTCI_FN size_t dtci_quant_decode_scratch(const dtci_head *head) {
    size_t tokens = (head->variant >> 5 & 3) == DTCI_QUANT_TOKENS ? dtci_decoder_scratch(head->count) : 0;
    return tokens + (head->variant >> 7 ? dtci_room(4 * (size_t)head->count) : 0);
}

/* Finds a payload sound, and decodes its tokens, if it has any, into the arena. q->grids are the payload's. */
DTCI_FN dtc_status dtci_quant_open(dtci_quant *q, uint16_t **bins, const dtci_head *head, const unsigned char *payload,
                                   dtci_arena *arena) {
    size_t blocks, grids, size, b;
    uint32_t coding = head->variant >> 5 & 3;
    memset(q, 0, sizeof *q);
    *bins = NULL;
    q->head = head;
    q->bits = (head->variant & 15) + 1;
    q->even = (head->variant & 16) != 0;
    q->rotate = head->variant >> 7 & 1;
    q->grids = payload;
    q->bin_bits = dtci_bit_width(((1u << q->bits) - 1) * head->terms);
    blocks = dtci_quant_parts(head, q->rotate);
    grids = dtci_quant_grid_bytes(head, q->rotate);
    size = dtci_payload_bytes(head) - grids;
    for (b = 0; q->rotate && b < blocks; b++)
        if (!dtci_finite(dtci_get_float(payload + 4 * b))) return DTC_ERROR_PAYLOAD;
    for (b = 0; !q->rotate && b < blocks; b++) {
        double workers = (double)head->workers, least;
        dtci_grid grid = dtci_quant_grid(q, b);
        if (!dtci_finite(dtci_get_float(payload + 8 * b)) ||
            (q->even && !dtci_finite(dtci_get_float(payload + 8 * b + 4))))
            return DTC_ERROR_PAYLOAD;
        if ((double)grid.lowest * workers > DTCI_QUANT_LOWEST || (double)grid.lowest * workers < -DTCI_QUANT_LOWEST)
            return DTC_ERROR_PAYLOAD;
        least = (grid.step < 0 ? -grid.step : grid.step) * DTCI_QUANT_HALVES;
        if (least > 0 && (grid.origin * workers > least || grid.origin * workers < -least)) return DTC_ERROR_PAYLOAD;
    }
    if (!q->rotate) dtci_quant_bins(q);
    payload += grids;
    if (coding == DTCI_QUANT_TOKENS) {
        dtci_arena work;
        dtci_decoder *decoder;
        *bins = (uint16_t *)dtci_take(arena, 2 * (size_t)head->count);
        work = *arena;
        decoder = (dtci_decoder *)dtci_take(&work, sizeof *decoder);
        if (!decoder || !*bins) return DTC_ERROR_SCRATCH;
        if (q->bin_bits > DTCI_QUANT_BITS_MAX) return DTC_ERROR_PAYLOAD;
        return dtci_tokens_read(*bins, head->count, q->bin_bits, payload, size, decoder);
    }
    if (coding != DTCI_QUANT_CONSTANT && head->count % 256) {
        size_t left = (head->count % 256) * dtci_quant_field_bits(head, q->bits) % 8;
        if (left && payload[size - 1] >> left) return DTC_ERROR_PAYLOAD; /* padding */
    }
    return DTC_OK;
}

DTCI_FN dtc_status dtci_quant_decode(const dtci_head *head, const unsigned char *payload, const dtci_sink *sink,
                                     dtci_arena *arena) {
    uint32_t coding = head->variant >> 5 & 3;
    dtci_quant q;
    uint16_t *bins;
    dtc_status status = dtci_quant_open(&q, &bins, head, payload, arena);
    if (status != DTC_OK) return status;
    if (q.rotate) {
        uint32_t *turned = (uint32_t *)dtci_take(arena, 4 * (size_t)head->count);
        if (!turned && head->count) return DTC_ERROR_SCRATCH;
        dtci_quant_emit_rotated(&q, coding, payload, bins, payload + dtci_quant_grid_bytes(head, 1), turned, sink,
                                head->has);
    } else {
        dtci_quant_emit(&q, coding, bins, payload + dtci_quant_grid_bytes(head, 0), sink, head->has);
    }
    return DTC_OK;
}

/* Bits of any bin of a sum, at the most 16, or 17 where only fields have room for it. */
DTCI_FN unsigned dtci_quant_sum_bits(const dtci_head *head) {
    uint32_t bits = (head->variant & 15) + 1;
    if (head->block && !(head->variant & 16) && !(head->variant >> 7)) return DTCI_QUANT_BITS_MAX; /* lowest differ */
    bits = dtci_bit_width(((1u << bits) - 1) * head->workers);
    return bits > DTCI_QUANT_BITS_MAX ? DTCI_QUANT_BITS_MAX : bits;
}

/* Bytes of a sum, at the most. */
DTCI_FN size_t dtci_quant_sum_bytes(const dtci_head *head) {
    return dtci_quant_grid_bytes(head, head->variant >> 7 & 1) +
           dtci_fields_bytes(head->count, dtci_quant_field_bits(head, (head->variant & 15) + 1));
}

/* Scratch of adding. Fields of fixed width take none. */
DTCI_FN size_t dtci_quant_add_scratch(const dtci_head *a, const dtci_head *b) {
    size_t bins = dtci_room(2 * (size_t)a->count);
    if ((a->variant >> 5 & 3) == DTCI_QUANT_FIELDS) return 0;
    return bins + ((a->variant >> 5 & 3) == DTCI_QUANT_TOKENS ? bins : 0) +
           ((b->variant >> 5 & 3) == DTCI_QUANT_TOKENS ? bins : 0) + dtci_room(sizeof(dtci_decoder)) +
           dtci_coder_scratch(dtci_quant_sum_bits(a));
}

/* Fields count from their own block's lowest, bins from that of all blocks. */
DTCI_FN int dtci_quant_rebases(const dtci_quant *q) {
    return !q->even && !q->rotate && q->head->block;
}

DTCI_FN void dtci_quant_rebase(uint32_t *fields, const dtci_quant *q, int to_bins, size_t first, size_t n) {
    size_t at = 0, stop;
    if (!dtci_quant_rebases(q)) return;
    for (; at < n; at = stop) {
        dtci_part part = dtci_quant_part(q->head, 0, first + at);
        uint32_t shift = (uint32_t)(dtci_quant_grid(q, part.index).lowest * (int32_t)q->head->terms - q->base);
        stop = part.end - first < n ? part.end - first : n;
        for (; at < stop; at++) fields[at] = to_bins ? fields[at] + shift : fields[at] - shift;
    }
}

/* Fields first .. first + n - 1, n <= 256, first being a multiple of that. */
DTCI_FN void dtci_quant_load(uint32_t *fields, const dtci_quant *q, const uint16_t *bins, size_t first, size_t n) {
    uint32_t coding = q->head->variant >> 5 & 3;
    unsigned bits = dtci_quant_field_bits(q->head, q->bits);
    size_t i;
    if (coding == DTCI_QUANT_CONSTANT) {
        memset(fields, 0, n * sizeof *fields);
    } else if (coding == DTCI_QUANT_TOKENS) {
        for (i = 0; i < n; i++) fields[i] = bins[first + i];
        dtci_quant_rebase(fields, q, 0, first, n);
    } else {
        dtci_fields_unpack(fields, q->grids + dtci_quant_grid_bytes(q->head, q->rotate) + first / 256 * 32 * bits, n,
                           bits);
    }
}

/* Sums of bins that count from the same lowest; tells the largest, and the bits of all. */
DTCI_INLINE void dtci_quant_sum_body(uint32_t *any, uint32_t *most, uint16_t *bins, const uint16_t *a,
                                     const uint16_t *b, size_t count, unsigned has) {
    uint32_t bits = 0, largest = 0;
    size_t i;
    (void)has;
    for (i = 0; i < count; i++) {
        uint32_t sum = (uint32_t)a[i] + b[i];
        bits |= sum;
        largest = sum > largest ? sum : largest;
        bins[i] = (uint16_t)(sum & 0xffff);
    }
    *any = bits;
    *most = largest;
}

DTCI_TWIN(dtci_quant_sum,
          (uint32_t * any, uint32_t *most, uint16_t *bins, const uint16_t *a, const uint16_t *b, size_t count,
           unsigned has),
          (any, most, bins, a, b, count, has))

/* Sums of fields: packed as they are, where both are of fixed width; else coded anew, by what the sum is alone, so that
 * the order of adding does not show. `to` may be either's payload. */
DTCI_FN dtc_status dtci_quant_add(dtci_head *sum, unsigned char *to, size_t capacity, size_t *bytes, const dtci_head *a,
                                  const unsigned char *from_a, const dtci_head *b, const unsigned char *from_b,
                                  dtci_arena *arena, dtci_check *check) {
    uint32_t coding_a = a->variant >> 5 & 3, coding_b = b->variant >> 5 & 3, any = 0, bad = 0, most;
    size_t grids = dtci_quant_grid_bytes(a, a->variant >> 7 & 1), first, n, i;
    uint16_t *bins_a, *bins_b, *bins = NULL;
    uint32_t fields[256], more[256];
    dtci_quant q, qa, qb;
    unsigned bits;
    dtc_status status;
    if ((a->variant ^ b->variant) & 0x9f) return DTC_ERROR_INCOMPATIBLE_GRID;
    for (i = 0; i < grids; i++)
        if (from_a[i] != from_b[i]) return DTC_ERROR_INCOMPATIBLE_GRID;
    if ((coding_a == DTCI_QUANT_FIELDS) != (coding_b == DTCI_QUANT_FIELDS)) return DTC_ERROR_INCOMPATIBLE_PACKING;
    bits = dtci_quant_field_bits(sum, (a->variant & 15) + 1);
    *bytes = grids + dtci_fields_bytes(sum->count, bits);
    if (coding_a == DTCI_QUANT_FIELDS) {
        if (capacity < *bytes) return DTC_ERROR_CAPACITY;
        memmove(to, from_a, grids);
        return dtci_fields_sum(to + grids, from_a + grids, from_b + grids, sum->count, bits, sum->has, check)
                   ? DTC_ERROR_PAYLOAD
                   : DTC_OK;
    }
    status = dtci_quant_open(&qa, &bins_a, a, from_a, arena);
    if (status == DTC_OK) status = dtci_quant_open(&qb, &bins_b, b, from_b, arena);
    if (status != DTC_OK) return status;
    q = qa;
    q.head = sum;
    if (q.rotate)
        q.bin_bits = dtci_bit_width(((1u << q.bits) - 1) * sum->terms);
    else
        dtci_quant_bins(&q);
    most = ((1u << q.bits) - 1) * sum->terms;
    if (capacity < grids) return DTC_ERROR_CAPACITY;
    if (q.bin_bits <= DTCI_QUANT_BITS_MAX) {
        bins = (uint16_t *)dtci_take(arena, 2 * (size_t)sum->count);
        if (!bins && sum->count) return DTC_ERROR_SCRATCH;
    } else if (capacity < *bytes) {
        return DTC_ERROR_CAPACITY;
    }
    memmove(to, from_a, grids);
    first = 0;
    if (bins && bins_a && bins_b && !dtci_quant_rebases(&q)) {
        uint32_t largest;
        dtci_quant_sum(&any, &largest, bins, bins_a, bins_b, sum->count, sum->has);
        if (largest > most) return DTC_ERROR_PAYLOAD;
        first = sum->count;
    }
    for (; first < sum->count; first += n) {
        n = sum->count - first < 256 ? sum->count - first : 256;
        dtci_quant_load(fields, &qa, bins_a, first, n);
        dtci_quant_load(more, &qb, bins_b, first, n);
        for (i = 0; i < n; i++) {
            fields[i] += more[i];
            any |= fields[i];
            bad |= fields[i] > most;
        }
        if (bad) return DTC_ERROR_PAYLOAD;
        if (!bins) {
            dtci_fields_pack(to + grids + first / 256 * 32 * bits, fields, n, bits);
        } else {
            dtci_quant_rebase(fields, &q, 1, first, n);
            for (i = 0; i < n; i++) bins[first + i] = (uint16_t)(fields[i] & 0xffff);
        }
    }
    sum->variant = (a->variant & 0x9f) | (any ? DTCI_QUANT_WIDE : DTCI_QUANT_CONSTANT) << 5;
    if (!any) *bytes = grids;
    if (any && bins) {
        dtci_tokens_plan plan;
        dtci_coder coder;
        if (!dtci_coder_open(&coder, q.bin_bits, arena)) return DTC_ERROR_SCRATCH;
        dtci_coder_count(&coder, bins, sum->count, q.bin_bits);
        plan = dtci_coder_choose(&coder);
        if (grids + plan.bytes < *bytes) {
            *bytes = dtci_coder_write(&coder, &plan, to + grids, capacity - grids);
            if (!*bytes) return DTC_ERROR_CAPACITY;
            *bytes += grids;
            sum->variant = (a->variant & 0x9f) | DTCI_QUANT_TOKENS << 5;
            return DTC_OK;
        }
        if (capacity < *bytes) return DTC_ERROR_CAPACITY;
        for (first = 0; first < sum->count; first += n) {
            n = sum->count - first < 256 ? sum->count - first : 256;
            for (i = 0; i < n; i++) fields[i] = bins[first + i];
            dtci_quant_rebase(fields, &q, 0, first, n);
            dtci_fields_pack(to + grids + first / 256 * 32 * bits, fields, n, bits);
        }
    }
    return DTC_OK;
}

/* Times weight, by its scales alone. */
DTCI_FN dtc_status dtci_quant_scale(const dtci_head *head, unsigned char *payload, float weight) {
    size_t parts = dtci_quant_parts(head, head->variant >> 7 & 1);
    if (head->variant >> 7) return dtci_scales_scale(payload, parts, 4, weight);
    if (!(head->variant & 16)) return dtci_scales_scale(payload, parts, 8, weight);
    return dtci_scales_scale(payload, 2 * parts, 4, weight); /* offsets and halves */
}

#endif /* DTC_NO_QUANT */

/* --------------------------------------------------------------------------------------------------------------------
 * Nested packets: arrays inside another codec's payload, each a whole packet of raw or quant, without a checksum or a
 * shape of its own
 * ------------------------------------------------------------------------------------------------------------------*/

/* How values are nested: as their type, or quantized, `block` of them to a scale. */
DTCI_FN dtc_spec dtci_nest_spec(const dtc_value *value, size_t block) {
    dtc_spec spec;
    memset(&spec, 0, sizeof spec);
    spec.codec = value->bits ? DTC_QUANT : DTC_RAW;
    spec.raw.type = value->type;
    spec.quant.bits = value->bits;
    spec.block = block;
    spec.no_checksum = 1;
    return spec;
}

/* Bytes of a nested packet of `count` values, at the most. */
DTCI_FN size_t dtci_nest_bound(const dtc_spec *spec, size_t count) {
    dtci_head head;
    return dtci_head_open(&head, spec, count) == DTC_OK ? head.head_bytes + 4 * count : 0;
}

DTCI_FN size_t dtci_nest_scratch(const dtc_spec *spec, size_t count) {
    dtci_head head;
    if (dtci_head_open(&head, spec, count) != DTC_OK) return 0;
#ifndef DTC_NO_QUANT
    if (spec->codec == DTC_QUANT) return dtci_quant_scratch(spec, &head);
#endif
    return 0;
}

/* Encodes values, which are finite, and gives the packet's bytes. The arena is free again afterwards. */
DTCI_FN dtc_status dtci_nest_encode(const dtc_spec *spec, unsigned char *to, size_t capacity, size_t *bytes,
                                    const float *values, size_t count, const dtci_arena *arena) {
    dtci_head head;
    dtci_source source;
    dtci_arena work = *arena;
    dtc_status status = dtci_head_open(&head, spec, count);
    *bytes = 0;
    if (status != DTC_OK) return status;
    if (capacity < head.head_bytes) return DTC_ERROR_CAPACITY;
    source.values = values;
    source.residual = NULL;
    head.has = dtci_ask(4 * count);
    head.variant = (uint32_t)spec->raw.type;
#ifndef DTC_NO_QUANT
    if (spec->codec == DTC_QUANT)
        status = dtci_quant_encode(spec, &head, to + head.head_bytes, capacity - head.head_bytes, bytes, &source, NULL,
                                   &work);
#endif
    (void)work;
    if (status == DTC_OK && head.codec == DTC_RAW)
        status = dtci_raw_encode(&head, to + head.head_bytes, capacity - head.head_bytes, bytes, &source, NULL);
    if (status != DTC_OK) return status;
    dtci_head_close(to, &head, *bytes);
    *bytes = head.packet_bytes;
    return DTC_OK;
}

/* The type that holds both packets' values and, at least, fp32's sums of them. */
DTCI_FN dtc_value dtci_nest_type(const unsigned char *a, const unsigned char *b) {
    dtc_value value;
    memset(&value, 0, sizeof value);
    if ((a[1] & 15) == DTC_RAW && (b[1] & 15) == DTC_RAW && a[3] == b[3] && a[3] <= DTC_TYPE_FP16)
        value.type = (dtc_type)a[3];
    return value;
}

/* The head of the sum of two nested packets, and what adding them takes; theirs have the outer packets' workers and
 * terms. */
DTCI_FN dtc_status dtci_nest_sum(dtci_head *sum, dtci_head *a, const unsigned char *from_a, size_t size_a, dtci_head *b,
                                 const unsigned char *from_b, size_t size_b, size_t *bound, size_t *scratch) {
    if (dtci_head_read(from_a, size_a, a) != DTC_OK || dtci_head_read(from_b, size_b, b) != DTC_OK)
        return DTC_ERROR_PAYLOAD;
    if (a->checksum || b->checksum || a->packet_bytes != size_a || b->packet_bytes != size_b) return DTC_ERROR_PAYLOAD;
    if (a->codec != b->codec) return DTC_ERROR_INCOMPATIBLE_CODEC;
    if (a->count != b->count) return DTC_ERROR_INCOMPATIBLE_COUNT;
    if (a->block != b->block) return DTC_ERROR_INCOMPATIBLE_BLOCK;
    if (a->rows || b->rows || a->seed || b->seed || a->workers != b->workers || a->terms + b->terms > a->workers)
        return DTC_ERROR_PAYLOAD;
    *sum = *a;
    sum->terms += b->terms;
    *scratch = 0;
    if (a->codec == DTC_RAW) {
        if (dtci_raw_check(a) != DTC_OK || dtci_raw_check(b) != DTC_OK) return DTC_ERROR_PAYLOAD;
        *bound = a->head_bytes + dtci_raw_bytes(a->count, a->variant);
        return a->variant == b->variant ? DTC_OK : DTC_ERROR_INCOMPATIBLE_PACKING;
    }
#ifndef DTC_NO_QUANT
    if (a->codec == DTC_QUANT) {
        if (dtci_quant_check(a) != DTC_OK || dtci_quant_check(b) != DTC_OK || (a->variant | b->variant) >> 7)
            return DTC_ERROR_PAYLOAD;
        *bound = a->head_bytes + dtci_quant_sum_bytes(a);
        *scratch = dtci_quant_add_scratch(a, b);
        return DTC_OK;
    }
#endif
    return DTC_ERROR_PAYLOAD;
}

/* Adds two nested packets, of which `to` may be either. */
DTCI_FN dtc_status dtci_nest_add(unsigned char *to, size_t capacity, size_t *bytes, const unsigned char *from_a,
                                 size_t size_a, const unsigned char *from_b, size_t size_b, dtci_arena *arena) {
    dtci_head sum, a, b;
    size_t bound, scratch;
    dtc_status status = dtci_nest_sum(&sum, &a, from_a, size_a, &b, from_b, size_b, &bound, &scratch);
    (void)arena;
    *bytes = 0;
    if (status != DTC_OK) return status;
    if (capacity < sum.head_bytes) return DTC_ERROR_CAPACITY;
    capacity -= sum.head_bytes;
    if (sum.codec == DTC_RAW)
        status = dtci_raw_add(&sum, to + sum.head_bytes, capacity, bytes, from_a + a.head_bytes, from_b + b.head_bytes);
#ifndef DTC_NO_QUANT
    if (sum.codec == DTC_QUANT)
        status = dtci_quant_add(&sum, to + sum.head_bytes, capacity, bytes, &a, from_a + a.head_bytes, &b,
                                from_b + b.head_bytes, arena, NULL);
#endif
    if (status != DTC_OK) return status;
    dtci_head_close(to, &sum, *bytes);
    *bytes = sum.packet_bytes;
    return DTC_OK;
}

/* Scales a nested packet that was found sound in its head. */
DTCI_FN dtc_status dtci_nest_scale(unsigned char *packet, size_t size, float weight) {
    dtci_head head;
    if (dtci_head_read(packet, size, &head) != DTC_OK) return DTC_ERROR_PAYLOAD;
    if (head.codec == DTC_RAW)
        return dtci_raw_check(&head) == DTC_OK ? dtci_raw_scale(&head, packet + head.head_bytes, weight)
                                               : DTC_ERROR_PAYLOAD;
#ifndef DTC_NO_QUANT
    if (head.codec == DTC_QUANT)
        return dtci_quant_check(&head) == DTC_OK ? dtci_quant_scale(&head, packet + head.head_bytes, weight)
                                                 : DTC_ERROR_PAYLOAD;
#endif
    return DTC_ERROR_PAYLOAD;
}

/* What decoding any nested packet of `count` values takes, at the most. */
DTCI_FN size_t dtci_nest_decode_scratch(size_t count) {
    return dtci_decoder_scratch(count);
}

/* Decodes the packet at the start of from[0..size), which must be one of `count` values and of as many terms as the
 * packet around it, and gives its bytes. Values are finite. The arena is free again afterwards. */
DTCI_FN dtc_status dtci_nest_decode(float *values, size_t count, const unsigned char *from, size_t size, size_t *bytes,
                                    uint32_t workers, uint32_t terms, const dtci_arena *arena) {
    dtci_head head;
    dtci_arena work = *arena;
    dtci_source decoded;
    dtci_sink sink;
    dtc_status status = dtci_head_read(from, size, &head);
    if (status != DTC_OK || head.checksum || head.rows || head.seed || head.count != count || head.workers != workers ||
        head.terms != terms || (head.codec == DTC_QUANT && head.variant >> 7)) /* rotated: would take more scratch */
        return DTC_ERROR_PAYLOAD;
    head.has = dtci_ask(4 * count);
    sink.kind = DTCI_SINK_STORE;
    sink.values = values;
    sink.addend = NULL;
    sink.weight = 1;
    (void)work;
    status = head.codec == DTC_QUANT ? DTC_ERROR_CODEC : DTC_ERROR_PAYLOAD; /* left out, or never nested */
    if (head.codec == DTC_RAW) {
        if (dtci_raw_check(&head) != DTC_OK) return DTC_ERROR_PAYLOAD;
        status = dtci_raw_decode(&head, from + head.head_bytes, &sink);
    }
#ifndef DTC_NO_QUANT
    if (head.codec == DTC_QUANT) {
        if (dtci_quant_check(&head) != DTC_OK) return DTC_ERROR_PAYLOAD;
        status = dtci_quant_decode(&head, from + head.head_bytes, &sink, &work);
    }
#endif
    decoded.values = values;
    decoded.residual = NULL;
    if (status == DTC_OK && !dtci_scan(&decoded, 0, count, head.has).finite) status = DTC_ERROR_PAYLOAD;
    *bytes = head.packet_bytes;
    return status;
}

/* --------------------------------------------------------------------------------------------------------------------
 * factor: a matrix as sum over k < rank of u_k v_k^T. Sufficient factors, where the caller has them (Xie et al., UAI
 * 2016); else a low-rank approximation, as in PowerSGD (Vogels et al., NeurIPS 2019).
 *
 * The approximation is found by subspace iteration: a few more vectors than the rank are multiplied with the matrix and
 * its transpose in turn, and made orthonormal in between (Halko, Martinsson and Tropp, SIAM Review 2011, section 4.5).
 * The singular values of the last product, which has few columns, select the best `rank` directions in that subspace.
 * All of it in double, which neither the squares of FLT_MAX nor those of denormals leave: no scaling is needed.
 *
 * Payload: rank (4 bytes); unless it is 0, the nested packets of u (rank x rows), and of v (rank x columns).
 * ------------------------------------------------------------------------------------------------------------------*/

#ifndef DTC_NO_FACTOR

#define DTCI_FACTOR_RANK   4     /* by default */
#define DTCI_FACTOR_MORE   8u    /* vectors iterated on beyond the rank */
#define DTCI_FACTOR_PASSES 4u    /* products with the matrix or its transpose */
#define DTCI_FACTOR_ROWS   4u    /* rows of the matrix that a product takes at once */
#define DTCI_FACTOR_NOISE  1e-15 /* squared singular values below this part of the largest are rounding errors */

typedef struct dtci_factor {
    size_t rows, columns;
    size_t rank;            /* wanted */
    size_t width;           /* vectors iterated on */
    double *left, *right;   /* width x rows, width x columns */
    double *gram, *basis;   /* width x width: inner products, and their eigenvectors */
    double *scales, *chunk; /* width; width x DTCI_CHUNK */
} dtci_factor;

/* Whether factors are no smaller than the values. */
DTCI_FN int dtci_factor_stores(size_t rank, size_t rows, size_t columns) {
    return (uint64_t)rank * ((uint64_t)rows + columns) >= (uint64_t)rows * columns;
}

/* The sizes of approximating what the head tells of. 0: it is stored. */
DTCI_FN int dtci_factor_plan(dtci_factor *f, const dtc_spec *spec, const dtci_head *head) {
    size_t least;
    memset(f, 0, sizeof *f);
    if (!head->rows) return 0;
    f->rows = head->rows;
    f->columns = head->count / head->rows;
    f->rank = spec->factor.rank ? (size_t)spec->factor.rank : DTCI_FACTOR_RANK;
    if (dtci_factor_stores(f->rank, f->rows, f->columns)) return 0;
    least = f->rows < f->columns ? f->rows : f->columns;
    f->width = f->rank + DTCI_FACTOR_MORE < least ? f->rank + DTCI_FACTOR_MORE : least;
    return f->rows + f->columns <= (size_t)-1 / 32 / f->width; /* or scratch could not be addressed */
}

/* Scratch of writing and reading factors once they are there. */
DTCI_FN size_t dtci_factor_nest_scratch(const dtc_value *value, size_t rank, size_t rows, size_t columns) {
    dtc_spec u = dtci_nest_spec(value, rows), v = dtci_nest_spec(value, columns);
    size_t need = dtci_nest_scratch(&u, rank * rows), other = dtci_nest_scratch(&v, rank * columns);
    if (other > need) need = other;
    other = value->bits ? dtci_nest_decode_scratch(rank * (rows > columns ? rows : columns)) : 0;
    return other > need ? other : need;
}

DTCI_FN size_t dtci_factor_scratch(const dtc_spec *spec, const dtci_head *head) {
    dtci_factor f;
    size_t iteration, nest;
    if (!dtci_factor_plan(&f, spec, head)) return 0;
    iteration = dtci_room(8 * f.width * f.rows) + dtci_room(8 * f.width * f.columns) +
                2 * dtci_room(8 * f.width * f.width) + dtci_room(8 * f.width) + dtci_room(8 * f.width * DTCI_CHUNK);
    nest = dtci_factor_nest_scratch(&spec->factor.value, f.rank, f.rows, f.columns);
    return dtci_room(4 * f.rank * f.rows) + dtci_room(4 * f.rank * f.columns) + (iteration > nest ? iteration : nest);
}

DTCI_FN int dtci_factor_take(dtci_factor *f, dtci_arena *arena) {
    f->left = (double *)dtci_take(arena, 8 * f->width * f->rows);
    f->right = (double *)dtci_take(arena, 8 * f->width * f->columns);
    f->gram = (double *)dtci_take(arena, 8 * f->width * f->width);
    f->basis = (double *)dtci_take(arena, 8 * f->width * f->width);
    f->scales = (double *)dtci_take(arena, 8 * f->width);
    f->chunk = (double *)dtci_take(arena, 8 * f->width * DTCI_CHUNK);
    return f->left && f->right && f->gram && f->basis && f->scales && f->chunk;
}

/* In four sums, so that an addition need not wait for the last one. */
DTCI_FN double dtci_factor_dot(const double *x, const double *y, size_t n) {
    double a = 0, b = 0, c = 0, d = 0;
    size_t i;
    for (i = 0; i + 4 <= n; i += 4) {
        a += x[i] * y[i];
        b += x[i + 1] * y[i + 1];
        c += x[i + 2] * y[i + 2];
        d += x[i + 3] * y[i + 3];
    }
    for (; i < n; i++) a += x[i] * y[i];
    return (a + b) + (c + d);
}

/* left = A right or, transposed, right = A^T left; a tile of a few rows at a time, which serves every vector while it
 * is in the first-level cache. */
DTCI_FN void dtci_factor_multiply(const dtci_factor *f, const dtci_source *source, int transposed) {
    double tile[DTCI_FACTOR_ROWS][DTCI_CHUNK];
    float chunk[DTCI_CHUNK];
    size_t row, column, rows, n, k, i, j;
    memset(tile, 0, sizeof tile); /* rows that are not there count as zeros */
    if (transposed)
        memset(f->right, 0, 8 * f->width * f->columns);
    else
        memset(f->left, 0, 8 * f->width * f->rows);
    for (row = 0; row < f->rows; row += rows) {
        rows = f->rows - row < DTCI_FACTOR_ROWS ? f->rows - row : DTCI_FACTOR_ROWS;
        for (column = 0; column < f->columns; column += n) {
            n = f->columns - column < DTCI_CHUNK ? f->columns - column : DTCI_CHUNK;
            for (i = 0; i < DTCI_FACTOR_ROWS; i++) {
                if (i < rows) dtci_load(chunk, source, (row + i) * f->columns + column, n);
                for (j = 0; j < n; j++) tile[i][j] = i < rows ? (double)chunk[j] : 0;
            }
            for (k = 0; k < f->width; k++) {
                double *left = f->left + k * f->rows + row, *right = f->right + k * f->columns + column;
                if (transposed) {
                    double a = left[0], b = rows > 1 ? left[1] : 0, c = rows > 2 ? left[2] : 0;
                    double d = rows > 3 ? left[3] : 0;
                    for (j = 0; j < n; j++)
                        right[j] += (a * tile[0][j] + b * tile[1][j]) + (c * tile[2][j] + d * tile[3][j]);
                } else {
                    for (i = 0; i < rows; i++) left[i] += dtci_factor_dot(tile[i], right, n);
                }
            }
        }
    }
}

/* gram = the inner products of `width` vectors of n values. */
DTCI_FN void dtci_factor_gram(const dtci_factor *f, const double *vectors, size_t n) {
    size_t first, m, i, j;
    memset(f->gram, 0, 8 * f->width * f->width);
    for (first = 0; first < n; first += m) {
        m = n - first < DTCI_CHUNK ? n - first : DTCI_CHUNK;
        for (i = 0; i < f->width; i++)
            for (j = 0; j <= i; j++)
                f->gram[i * f->width + j] += dtci_factor_dot(vectors + i * n + first, vectors + j * n + first, m);
    }
    for (i = 0; i < f->width; i++)
        for (j = 0; j < i; j++) f->gram[j * f->width + i] = f->gram[i * f->width + j];
}

/* (x, y) = (c x - s y, s x + c y) along two rows or columns of a matrix. */
DTCI_FN void dtci_factor_rotate(double *x, double *y, size_t stride, size_t n, double c, double s) {
    size_t i;
    for (i = 0; i < n * stride; i += stride) {
        double a = x[i], b = y[i];
        x[i] = c * a - s * b;
        y[i] = s * a + c * b;
    }
}

/* Eigenvectors of gram into the rows of basis, eigenvalues onto gram's diagonal, the largest first: Jacobi's method,
 * sweep by sweep (Golub and Van Loan, Matrix Computations, section 8.5). */
DTCI_FN void dtci_factor_eigen(const dtci_factor *f) {
    size_t n = f->width, p, q, i;
    int sweep, turned = 1;
    double *g = f->gram;
    for (i = 0; i < n * n; i++) f->basis[i] = i % (n + 1) == 0;
    for (sweep = 0; sweep < 30 && turned; sweep++) { /* it takes six or so */
        turned = 0;
        for (p = 0; p < n; p++) {
            for (q = p + 1; q < n; q++) {
                double x = g[p * n + q], apart = g[q * n + q] - g[p * n + p], t, c;
                if (x * x <= 1e-32 * fabs(g[p * n + p] * g[q * n + q])) continue;
                t = 2 * x / (fabs(apart) + sqrt(apart * apart + 4 * x * x));
                if (apart < 0) t = -t;
                c = 1 / sqrt(1 + t * t);
                dtci_factor_rotate(g + p, g + q, n, n, c, t * c);
                dtci_factor_rotate(g + p * n, g + q * n, 1, n, c, t * c);
                dtci_factor_rotate(f->basis + p * n, f->basis + q * n, 1, n, c, t * c);
                turned = 1;
            }
        }
    }
    for (p = 0; p + 1 < n; p++) {
        size_t most = p;
        double value;
        for (q = p + 1; q < n; q++)
            if (g[q * n + q] > g[most * n + most]) most = q;
        if (most == p) continue;
        value = g[p * n + p];
        g[p * n + p] = g[most * n + most];
        g[most * n + most] = value;
        dtci_factor_rotate(f->basis + p * n, f->basis + most * n, 1, n, 0, 1);
    }
}

/* vectors = diag(scales) basis vectors, n values each. */
DTCI_FN void dtci_factor_turn(const dtci_factor *f, double *vectors, size_t n) {
    size_t first, m, i, j, k;
    for (first = 0; first < n; first += m) {
        m = n - first < DTCI_CHUNK ? n - first : DTCI_CHUNK;
        memset(f->chunk, 0, 8 * f->width * DTCI_CHUNK);
        for (i = 0; i < f->width; i++) {
            double *sum = f->chunk + i * DTCI_CHUNK;
            for (k = 0; k < f->width; k++) {
                const double *vector = vectors + k * n + first;
                double weight = f->scales[i] * f->basis[i * f->width + k];
                for (j = 0; j < m; j++) sum[j] += weight * vector[j];
            }
        }
        for (i = 0; i < f->width; i++) memcpy(vectors + i * n + first, f->chunk + i * DTCI_CHUNK, 8 * m);
    }
}

/* The squared singular value k of what gram was made from; 0 where it is nothing but rounding errors. */
DTCI_FN double dtci_factor_square(const dtci_factor *f, size_t k) {
    double square = f->gram[k * (f->width + 1)];
    return square > DTCI_FACTOR_NOISE * f->gram[0] ? square : 0;
}

/* Makes vectors orthonormal, but for those that become zero where the rank is lower than `width`. Twice, as inner
 * products hold the direction of the shorter ones with half the digits. */
DTCI_FN void dtci_factor_orthonormalize(const dtci_factor *f, double *vectors, size_t n) {
    size_t k;
    int twice;
    for (twice = 0; twice < 2; twice++) {
        dtci_factor_gram(f, vectors, n);
        dtci_factor_eigen(f);
        for (k = 0; k < f->width; k++) {
            double square = dtci_factor_square(f, k);
            f->scales[k] = square > 0 ? 1 / sqrt(square) : 0;
        }
        dtci_factor_turn(f, vectors, n);
    }
}

/* Leaves factors in the first vectors of left and right, u_k and v_k of one length each, and returns their rank. */
DTCI_FN size_t dtci_factor_approximate(const dtci_factor *f, const dtci_source *source, uint64_t seed) {
    dtci_random random = dtci_random_open(seed);
    size_t i, rank = 0;
    unsigned pass;
    for (i = 0; i < f->width * f->columns; i++)
        f->right[i] = (double)dtci_random_at(&random, (uint32_t)i) - 2147483647.5;
    for (pass = 0; pass < DTCI_FACTOR_PASSES; pass++) {
        if (pass > 0) dtci_factor_orthonormalize(f, pass % 2 ? f->left : f->right, pass % 2 ? f->rows : f->columns);
        dtci_factor_multiply(f, source, (int)(pass % 2));
    }
    dtci_factor_gram(f, f->right, f->columns);
    dtci_factor_eigen(f);
    while (rank < f->rank && rank < f->width && dtci_factor_square(f, rank) > 0) rank++;
    for (i = 0; i < f->width; i++) f->scales[i] = i < rank ? sqrt(sqrt(dtci_factor_square(f, i))) : 0;
    dtci_factor_turn(f, f->left, f->rows);
    for (i = 0; i < rank; i++) f->scales[i] = 1 / f->scales[i];
    dtci_factor_turn(f, f->right, f->columns);
    return rank;
}

/* Values first .. first + n - 1 of the product, n <= DTCI_CHUNK. Products of floats are exact in double, so that a
 * fused multiply-add rounds as an addition does. */
DTCI_FN void dtci_factor_product(float *chunk, const float *u, const float *v, size_t rank, size_t rows, size_t columns,
                                 size_t first, size_t n) {
    double sum[DTCI_CHUNK];
    double *volatile sums = sum; /* read anew for each k, so that no compiler joins passes and reorders additions */
    float right[DTCI_CHUNK];
    size_t row = first / columns, column = first % columns, at, m, k, j;
    if (!rank) memset(sum, 0, sizeof sum);
    for (at = 0; at < n; at += m, row++, column = 0) {
        m = columns - column < n - at ? columns - column : n - at;
        for (k = 0; k < rank; k++) {
            double *to = sums + at, weight = (double)dtci_float_at(u, k * rows + row);
            memcpy(right, (const char *)v + 4 * (k * columns + column), 4 * m);
            if (k == 0)
                for (j = 0; j < m; j++) to[j] = weight * (double)right[j];
            else
                for (j = 0; j < m; j++) to[j] += weight * (double)right[j];
        }
    }
    for (j = 0; j < n; j++) { /* bounded by bits: compilers do not vectorize comparisons of floats */
        uint32_t bits = dtci_float_bits((float)sum[j]);
        chunk[j] = dtci_bits_float((bits & 0x7f800000u) == 0x7f800000u ? (bits & 0x80000000u) | 0x7f7fffffu : bits);
    }
}

DTCI_FN void dtci_factor_emit(const dtci_head *head, const float *u, const float *v, size_t rank,
                              const dtci_sink *sink) {
    size_t rows = head->rows, columns = head->count / rows, first, n;
    float chunk[DTCI_CHUNK];
    for (first = 0; first < head->count; first += n) {
        n = head->count - first < DTCI_CHUNK ? head->count - first : DTCI_CHUNK;
        dtci_factor_product(chunk, u, v, rank, rows, columns, first, n);
        dtci_store(sink, first, chunk, n);
    }
}

/* Where the packet of v starts in a payload of `size` bytes; 0 where there cannot be one. */
DTCI_FN size_t dtci_factor_second(const unsigned char *payload, size_t size) {
    size_t first = size >= 16 ? dtci_get32(payload + 12) : 0; /* packet_bytes of the packet of u */
    return first >= 12 && first <= size - 4 && size - 4 - first >= 12 ? 4 + first : 0;
}

/* Writes rank, u and v. */
DTCI_FN dtc_status dtci_factor_write(const dtc_value *value, const dtci_head *head, unsigned char *to, size_t capacity,
                                     size_t *bytes, const float *u, const float *v, size_t rank,
                                     const dtci_arena *arena) {
    size_t rows = head->rows, columns = head->count / rows, used;
    dtc_spec u_spec = dtci_nest_spec(value, rows), v_spec = dtci_nest_spec(value, columns);
    dtc_status status;
    *bytes = 4;
    if (capacity < 4) return DTC_ERROR_CAPACITY;
    dtci_put32(to, (uint32_t)rank);
    if (!rank) return DTC_OK;
    status = dtci_nest_encode(&u_spec, to + 4, capacity - 4, &used, u, rank * rows, arena);
    if (status != DTC_OK) return status;
    *bytes += used;
    status = dtci_nest_encode(&v_spec, to + *bytes, capacity - *bytes, &used, v, rank * columns, arena);
    *bytes += used;
    return status;
}

/* Reads them back from a payload of `size` bytes, which dtci_factor_check has passed. */
DTCI_FN dtc_status dtci_factor_read(float *u, float *v, const dtci_head *head, const unsigned char *payload,
                                    size_t size, const dtci_arena *arena) {
    size_t rank = dtci_get32(payload), rows = head->rows, columns = head->count / rows, used;
    size_t second = dtci_factor_second(payload, size);
    dtc_status status;
    if (!rank) return DTC_OK;
    status = dtci_nest_decode(u, rank * rows, payload + 4, second - 4, &used, 1, 1, arena);
    if (status == DTC_OK)
        status = dtci_nest_decode(v, rank * columns, payload + second, size - second, &used, 1, 1, arena);
    if (status == DTC_OK && used != size - second) status = DTC_ERROR_PAYLOAD;
    return status;
}

DTCI_FN dtc_status dtci_factor_encode(const dtc_spec *spec, dtci_head *head, unsigned char *to, size_t capacity,
                                      size_t *bytes, const dtci_source *source, const dtci_sink *residual,
                                      dtci_arena *arena) {
    size_t most = 4 * (size_t)head->count, rank, i;
    const dtc_value *value = &spec->factor.value;
    dtci_arena work;
    dtci_factor f;
    dtc_status status;
    float *u, *v;
    if (!dtci_scan(source, 0, head->count, head->has).finite) return DTC_ERROR_NONFINITE;
    if (!dtci_factor_plan(&f, spec, head)) return dtci_store_instead(head);
    u = (float *)dtci_take(arena, 4 * f.rank * f.rows);
    v = (float *)dtci_take(arena, 4 * f.rank * f.columns);
    work = *arena;
    if (!u || !v || !dtci_factor_take(&f, &work)) return DTC_ERROR_SCRATCH;
    rank = dtci_factor_approximate(&f, source, spec->seed);
    for (i = 0; i < rank * f.rows; i++) u[i] = (float)f.left[i];
    for (i = 0; i < rank * f.columns; i++) v[i] = (float)f.right[i];
    status = dtci_factor_write(value, head, to, capacity < most ? capacity : most, bytes, u, v, rank, arena);
    if (status == DTC_ERROR_CAPACITY && capacity >= most) return dtci_store_instead(head); /* it does not shrink */
    if (status == DTC_OK && residual)
        status = dtci_factor_read(u, v, head, to, *bytes, arena); /* as they were rounded */
    if (status == DTC_OK && residual) dtci_factor_emit(head, u, v, rank, residual);
    return status;
}

/* The same of factors that are given; where they are no smaller than their product, that is what goes, as raw. */
DTCI_FN dtc_status dtci_factor_encode_given(const dtc_spec *spec, dtci_head *head, unsigned char *to, size_t capacity,
                                            size_t *bytes, const float *u, const float *v, size_t rank, size_t columns,
                                            const dtci_arena *arena) {
    size_t most = 4 * (size_t)head->count, first, n, i;
    dtc_status status = DTC_ERROR_CAPACITY;
    float chunk[DTCI_CHUNK];
    if (!dtci_factor_stores(rank, head->rows, columns))
        status = dtci_factor_write(&spec->factor.value, head, to, capacity < most ? capacity : most, bytes, u, v, rank,
                                   arena);
    if (status != DTC_ERROR_CAPACITY || capacity < most) return status;
    for (first = 0; first < head->count; first += n) {
        n = head->count - first < DTCI_CHUNK ? head->count - first : DTCI_CHUNK;
        dtci_factor_product(chunk, u, v, rank, head->rows, columns, first, n);
        for (i = 0; i < n; i++) dtci_put_float(to + 4 * (first + i), chunk[i]);
    }
    *bytes = most;
    return dtci_store_instead(head);
}

/* Checks the fields of a head, and tells what decoding takes. */
DTCI_FN dtc_status dtci_factor_check(const dtci_head *head, const unsigned char *payload, size_t *scratch) {
    size_t size = dtci_payload_bytes(head), rows = head->rows, columns, rank, second;
    if (head->variant || head->block || head->seed || !rows) return DTC_ERROR_HEAD;
    if (size < 4) return DTC_ERROR_SIZE;
    rank = dtci_get32(payload);
    columns = head->count / rows;
    if (dtci_factor_stores(rank, rows, columns)) return DTC_ERROR_HEAD;
    if (!rank) return size == 4 ? DTC_OK : DTC_ERROR_SIZE;
    second = dtci_factor_second(payload, size);
    if (!second) return DTC_ERROR_SIZE;
    *scratch = dtci_room(4 * rank * rows) + dtci_room(4 * rank * columns);
    if ((payload[5] & 15) != DTC_RAW || (payload[second + 1] & 15) != DTC_RAW)
        *scratch += dtci_nest_decode_scratch(rank * (rows > columns ? rows : columns));
    return DTC_OK;
}

DTCI_FN void dtci_factor_describe(const dtci_head *head, const unsigned char *payload, dtc_info *info) {
    dtci_head u;
    info->spec.factor.rank = (int)dtci_get32(payload);
    if (!info->spec.factor.rank || dtci_head_read(payload + 4, dtci_payload_bytes(head) - 4, &u) != DTC_OK) return;
    if (u.codec == DTC_QUANT) info->spec.factor.value.bits = (int)(u.variant & 15) + 1;
    if (u.codec == DTC_RAW && u.variant <= DTC_TYPE_FP16) info->spec.factor.value.type = (dtc_type)u.variant;
}

/* Takes room for u and v from the arena and reads them into it. */
DTCI_FN dtc_status dtci_factor_open(float **u, float **v, const dtci_head *head, const unsigned char *payload,
                                    dtci_arena *arena) {
    size_t rank = dtci_get32(payload);
    *u = *v = NULL;
    if (!rank) return DTC_OK;
    *u = (float *)dtci_take(arena, 4 * rank * head->rows);
    *v = (float *)dtci_take(arena, 4 * rank * (head->count / head->rows));
    if (!*u || !*v) return DTC_ERROR_SCRATCH;
    return dtci_factor_read(*u, *v, head, payload, dtci_payload_bytes(head), arena);
}

DTCI_FN dtc_status dtci_factor_decode(const dtci_head *head, const unsigned char *payload, const dtci_sink *sink,
                                      dtci_arena *arena) {
    float *u, *v;
    dtc_status status = dtci_factor_open(&u, &v, head, payload, arena);
    if (status == DTC_OK) dtci_factor_emit(head, u, v, dtci_get32(payload), sink);
    return status;
}

DTCI_FN size_t dtci_factor_add_scratch(const dtci_head *a, const unsigned char *from_a, const unsigned char *from_b) {
    size_t rank = (size_t)dtci_get32(from_a) + dtci_get32(from_b), rows = a->rows, columns = a->count / rows;
    return dtci_room(4 * rank * rows) + dtci_room(4 * rank * columns) +
           dtci_nest_decode_scratch(rank * (rows > columns ? rows : columns));
}

/* Ranks concatenate: the factors of a, then those of b, to the bit. `to` may be either's payload. */
DTCI_FN dtc_status dtci_factor_add(const dtci_head *sum, unsigned char *to, size_t capacity, size_t *bytes,
                                   const dtci_head *a, const unsigned char *from_a, const dtci_head *b,
                                   const unsigned char *from_b, dtci_arena *arena) {
    size_t rank_a = dtci_get32(from_a), rank_b = dtci_get32(from_b), rank = rank_a + rank_b, rows = sum->rows;
    size_t columns = sum->count / rows;
    dtc_value value;
    dtc_status status;
    float *u, *v;
    memset(&value, 0, sizeof value);
    if (dtci_factor_stores(rank, rows, columns)) return DTC_ERROR_INCOMPATIBLE;
    if (rank_a && rank_b)
        value = dtci_nest_type(from_a + 4, from_b + 4);
    else if (rank)
        value = dtci_nest_type(rank_a ? from_a + 4 : from_b + 4, rank_a ? from_a + 4 : from_b + 4);
    u = (float *)dtci_take(arena, 4 * rank * rows);
    v = (float *)dtci_take(arena, 4 * rank * columns);
    if (!u || !v) return DTC_ERROR_SCRATCH;
    status = dtci_factor_read(u, v, a, from_a, dtci_payload_bytes(a), arena);
    if (status == DTC_OK)
        status = dtci_factor_read(u + rank_a * rows, v + rank_a * columns, b, from_b, dtci_payload_bytes(b), arena);
    if (status != DTC_OK) return status;
    return dtci_factor_write(&value, sum, to, capacity, bytes, u, v, rank, arena);
}

DTCI_FN dtc_status dtci_factor_scale(const dtci_head *head, unsigned char *payload, float weight) {
    size_t second = dtci_get32(payload) ? dtci_factor_second(payload, dtci_payload_bytes(head)) : 0;
    return second ? dtci_nest_scale(payload + 4, second - 4, weight) : DTC_OK;
}

/* y = sum over k of u_k (v_k^T x), or, transposed, of v_k (u_k^T x): (rows + columns) * rank operations. `sums` has
 * room for y. */
DTCI_FN dtc_status dtci_factor_matvec(double *sums, const dtci_head *head, const unsigned char *payload, const float *x,
                                      int transposed, dtci_arena *arena) {
    size_t rank = dtci_get32(payload), rows = head->rows, columns = head->count / rows, k, i;
    size_t outputs = transposed ? columns : rows, inputs = transposed ? rows : columns;
    float *u, *v;
    dtc_status status = dtci_factor_open(&u, &v, head, payload, arena);
    if (status != DTC_OK) return status;
    memset(sums, 0, outputs * sizeof *sums);
    for (k = 0; k < rank; k++) {
        const float *by = (transposed ? u : v) + k * inputs, *to = (transposed ? v : u) + k * outputs;
        double dot = 0;
        for (i = 0; i < inputs; i++) dot += (double)by[i] * (double)dtci_float_at(x, i);
        for (i = 0; i < outputs; i++) sums[i] += dot * (double)to[i];
    }
    return DTC_OK;
}

#endif /* DTC_NO_FACTOR */

/* --------------------------------------------------------------------------------------------------------------------
 * sensing: quantized compressive sensing (Mitra and Khisti). A block's n values, padded with zeros to N, a power of
 * two, become m measurements y = A x + noise, A = P H D / sqrt(N): D seeded signs, H the Hadamard matrix, P a seeded
 * choice of m of its rows. So A A^T = I, and A^T y is the nearest of all that would be measured so.
 *
 * Payload: measurements of a whole block (uint32), then all blocks' measurements as a nested packet.
 * ------------------------------------------------------------------------------------------------------------------*/

#ifndef DTC_NO_SENSING

#define DTCI_SENSING_BLOCK 256u /* the smallest that can be asked for: a decoder's passes are no shorter */
#define DTCI_SENSING_LANES 8u

/* How an array is cut up. */
typedef struct dtci_sensing {
    size_t count, block, measurements; /* of a whole block, which has a power of two of values */
    dtci_random random;
    unsigned has; /* what dtci_ask told */
} dtci_sensing;

/* One block: values first .. first + values - 1, in a transform of 2^log2_size. */
typedef struct dtci_sensing_part {
    size_t first, values, measurements;
    unsigned log2_size;
} dtci_sensing_part;

/* Values in a block: as given, else 2^16; not more than it takes to hold them all. */
DTCI_FN size_t dtci_sensing_block(const dtci_head *head) {
    if (head->block) return head->block;
    return head->count >> DTCI_HADAMARD_MAX ? (size_t)1 << DTCI_HADAMARD_MAX
                                            : (size_t)1 << dtci_bit_width(head->count ? head->count - 1 : 0);
}

DTCI_FN dtci_sensing dtci_sensing_open(const dtci_head *head, size_t measurements) {
    dtci_sensing s;
    s.count = head->count;
    s.block = dtci_sensing_block(head);
    s.measurements = measurements;
    s.random = dtci_random_open(head->seed);
    s.has = head->has;
    return s;
}

/* Measurements of `values` values. */
DTCI_FN size_t dtci_sensing_share(const dtci_sensing *s, size_t values) {
    uint64_t product = (uint64_t)values * s->measurements;
    return (size_t)(product / s->block) + (product % s->block != 0);
}

DTCI_FN size_t dtci_sensing_total(const dtci_sensing *s) {
    return s->count / s->block * s->measurements + dtci_sensing_share(s, s->count % s->block);
}

/* The block at `first`. What is shorter than a block is padded; but where all rows are measured it is cut into powers
 * of two, so that nothing is lost. */
DTCI_FN dtci_sensing_part dtci_sensing_at(const dtci_sensing *s, size_t first) {
    dtci_sensing_part part;
    part.first = first;
    part.values = s->count - first < s->block ? s->count - first : s->block;
    if (s->measurements == s->block) part.values = (size_t)1 << dtci_hadamard_fit(part.values);
    part.measurements = dtci_sensing_share(s, part.values);
    part.log2_size = dtci_bit_width((uint32_t)part.values - 1);
    return part;
}

/* rows[i] is 1 where row i is measured, else 0: each choice of m of them is as likely (Knuth, 3.4.2, algorithm S). */
DTCI_INLINE void dtci_sensing_rows_body(float *rows, const dtci_sensing *s, const dtci_sensing_part *part,
                                        unsigned has) {
    uint32_t size = (uint32_t)1 << part->log2_size, left = (uint32_t)part->measurements, first, i;
    (void)has;
    for (first = 0; first < size; first += DTCI_CHUNK) {
        uint32_t n = size - first < DTCI_CHUNK ? size - first : DTCI_CHUNK, draws[DTCI_CHUNK];
        for (i = 0; i < DTCI_CHUNK; i++) { /* what is behind the last row is not looked at */
            uint64_t draw = dtci_random_at(&s->random, 0xc0000000u + first + i); /* apart from those of signs */
            draws[i] = (uint32_t)(draw * (size - first - i) >> 32);
        }
        for (i = 0; i < n; i++) {
            draws[i] = draws[i] < left;
            left -= draws[i];
        }
        for (i = 0; i < n; i++) rows[first + i] = (float)(int32_t)draws[i];
    }
}

DTCI_TWIN(dtci_sensing_rows, (float *rows, const dtci_sensing *s, const dtci_sensing_part *part, unsigned has),
          (rows, s, part, has))

/* D, on n <= DTCI_CHUNK values. */
DTCI_FN void dtci_sensing_flip(float *x, const dtci_sensing *s, size_t first, size_t n) {
    uint32_t negative[DTCI_CHUNK];
    size_t i;
    dtci_negative(negative, &s->random, first, n);
    for (i = 0; i < n; i++) x[i] = dtci_bits_float(dtci_float_bits(x[i]) ^ (negative[i] & 0x80000000u));
}

/* The power of two that brings the largest magnitude into [0.5, 1): nothing overflows on the way. */
DTCI_FN double dtci_sensing_unit(const float *x, size_t n) {
    uint32_t largest = 0;
    int exponent;
    size_t i;
    for (i = 0; i < n; i++) {
        uint32_t magnitude = dtci_float_bits(x[i]) & 0x7fffffffu;
        largest = magnitude > largest ? magnitude : largest;
    }
    (void)frexp((double)dtci_bits_float(largest), &exponent);
    return ldexp(1, -exponent);
}

/* y of one block; there is room for one more. */
DTCI_FN void dtci_sensing_measure(float *y, const dtci_sensing *s, const dtci_sensing_part *part,
                                  const dtci_source *source, const float *rows, float *x) {
    size_t size = (size_t)1 << part->log2_size, i, n;
    double unit;
    for (i = 0; i < part->values; i += n) {
        n = part->values - i < DTCI_CHUNK ? part->values - i : DTCI_CHUNK;
        dtci_load(x + i, source, part->first + i, n);
        dtci_sensing_flip(x + i, s, part->first + i, n);
    }
    memset(x + part->values, 0, 4 * (size - part->values));
    unit = dtci_sensing_unit(x, part->values);
    for (i = 0; i < part->values; i++) x[i] = (float)((double)x[i] * unit);
    dtci_hadamard(x, part->log2_size, s->has);
    unit = 1 / (unit * sqrt((double)size));
    for (i = 0; i < size; i++) /* magnitudes are below 65536 */
        x[i] = unit < 1e30 ? (float)((double)x[i] * unit) : dtci_to_float((double)x[i] * unit);
    for (i = 0; i < size; i++) { /* no branch: it could not be foreseen */
        *y = x[i];
        y += rows[i] > 0;
    }
}

/* Limits measurements to what loads a quantizer of Gaussians best: 2^bits steps of the least square error (Max, 1960)
 * reach over (1.35 + 0.325 bits) sigma either way. For their signs, to two bins on either side of 0 whose centres are
 * the mean magnitude. */
DTCI_FN void dtci_sensing_load(float *y, size_t m, unsigned bits) {
    double squares = 0, sum = 0, limit;
    size_t negative = 0, i;
    float most;
    for (i = 0; i < m; i++) {
        squares += (double)y[i] * (double)y[i];
        sum += fabs((double)y[i]);
        negative += dtci_float_bits(y[i]) >> 31;
    }
    limit = (1.35 + 0.325 * (double)bits) * sqrt(squares / (double)m);
    if (bits == 1) limit = sum / (double)m * (negative > 0 && negative < m ? 2 : 1);
    most = dtci_to_float(limit);
    if (bits == 1)
        for (i = 0; i < m; i++) y[i] = y[i] < 0 ? -most : most;
    else
        for (i = 0; i < m; i++) y[i] = y[i] > most ? most : y[i] < -most ? -most : y[i];
}

DTCI_FN dtc_spec dtci_sensing_nest(const dtc_spec *spec, const dtci_sensing *s) {
    dtc_value value;
    dtc_spec nest;
    int scaled = spec->sensing.scale > 0;
    value.type = DTC_TYPE_FP32;
    value.bits = spec->sensing.bits == 32 ? 0 : spec->sensing.bits ? spec->sensing.bits : 4;
    nest = dtci_nest_spec(&value, scaled ? 0 : s->measurements);
    nest.workers = spec->workers;
    nest.quant.entropy = spec->workers > 1 ? DTC_ENTROPY_NONE : DTC_ENTROPY_HUFFMAN;
    nest.quant.min_given = nest.quant.max_given = scaled;
    nest.quant.max = spec->sensing.scale;
    nest.quant.min = -spec->sensing.scale;
    return nest;
}

/* One block to be decoded, in units that leave no float near its limits: arrays of the transform's size, filled up
 * with zeros to a multiple of DTCI_CHUNK. */
typedef struct dtci_sensing_work {
    float *rows, *y;  /* 1 where there is a measurement, and it; else 0 */
    float *x, *w, *v; /* estimate; gradient; FISTA's extrapolated estimate */
    size_t size, room, values, measurements;
    unsigned log2_size, has;
} dtci_sensing_work;

DTCI_FN size_t dtci_sensing_room(size_t size) {
    return size < DTCI_CHUNK ? DTCI_CHUNK : size;
}

DTCI_FN uint64_t dtci_sensing_decode_scratch(const dtci_sensing *s) {
    size_t total = dtci_sensing_total(s), nest = dtci_nest_decode_scratch(total);
    size_t work = 5 * dtci_room(4 * dtci_sensing_room(s->block));
    return (uint64_t)dtci_room(4 * (total + 1)) + (work > nest ? work : nest);
}

/* What a value is taken to be: 0, or with the probability `density` Gaussian of this variance. */
typedef struct dtci_sensing_prior {
    double density, variance;
} dtci_sensing_prior;

/* What dtci_sensing_denoise computes with. */
typedef struct dtci_sensing_denoiser {
    float k, g, c; /* of t = k r^2, x = p g r, p = 1 / (1 + c exp(-t)) */
} dtci_sensing_denoiser;

/* Passes over a block, written once for one value at a time, for four and for eight. Sums are in floats over 256
 * values, and of these in double. */
#define DTCI_SENSING_PASSES(name, FN, vector)                                                                         \
    FN double name##_sum(const vector *x) {                                                                           \
        float lanes[sizeof(vector) / 4];                                                                              \
        double sum = 0;                                                                                               \
        size_t i;                                                                                                     \
        memcpy(lanes, x, sizeof lanes);                                                                               \
        for (i = 0; i < sizeof lanes / 4; i++) sum += (double)lanes[i];                                               \
        return sum;                                                                                                   \
    }                                                                                                                 \
                                                                                                                      \
    /* w := back * (y - scale * rows * w); returns the sum of (y - scale * rows * w)^2, of values begin .. end - 1 */ \
    FN double name##_residual(const dtci_sensing_work *work, size_t begin, size_t end, float scale, float back) {     \
        double squares = 0;                                                                                           \
        size_t first, i;                                                                                              \
        for (first = begin; first < end; first += DTCI_CHUNK) {                                                       \
            vector sum;                                                                                               \
            memset(&sum, 0, sizeof sum);                                                                              \
            for (i = first; i < first + DTCI_CHUNK; i += sizeof(vector) / 4) {                                        \
                vector *w = (vector *)(void *)(work->w + i);                                                          \
                const vector *y = (const vector *)(const void *)(work->y + i);                                        \
                const vector *rows = (const vector *)(const void *)(work->rows + i);                                  \
                vector off = *y - *rows * scale * *w;                                                                 \
                sum += off * off;                                                                                     \
                *w = off * back;                                                                                      \
            }                                                                                                         \
            squares += name##_sum(&sum);                                                                              \
        }                                                                                                             \
        return squares;                                                                                               \
    }                                                                                                                 \
                                                                                                                      \
    /* Adds w^2 and w^4 of values first .. last - 1 to sums. */                                                       \
    FN void name##_moments(const dtci_sensing_work *work, size_t first, size_t last, double *sums) {                  \
        size_t stop, i;                                                                                               \
        for (i = first; i < last;) {                                                                                  \
            vector square, fourth;                                                                                    \
            stop = last - i < DTCI_CHUNK ? last : i + DTCI_CHUNK;                                                     \
            memset(&square, 0, sizeof square);                                                                        \
            memset(&fourth, 0, sizeof fourth);                                                                        \
            for (; i < stop; i += sizeof(vector) / 4) {                                                               \
                const vector *w = (const vector *)(const void *)(work->w + i);                                        \
                vector s = *w * *w;                                                                                   \
                square += s;                                                                                          \
                fourth += s * s;                                                                                      \
            }                                                                                                         \
            sums[0] += name##_sum(&square);                                                                           \
            sums[1] += name##_sum(&fourth);                                                                           \
        }                                                                                                             \
    }                                                                                                                 \
                                                                                                                      \
    /* Of values first .. last - 1, r = x + w: x := their expectation, w := r. Adds to sums p, (g r)^2 p and dx/dr /  \
     * g. */                                                                                                          \
    FN void name##_denoise(const dtci_sensing_work *work, const dtci_sensing_denoiser *with, size_t first,            \
                           size_t last, double *sums) {                                                               \
        const float k = with->k, g = with->g, c = with->c;                                                            \
        size_t stop, i;                                                                                               \
        for (i = first; i < last;) {                                                                                  \
            vector chance, power, slope;                                                                              \
            stop = last - i < DTCI_CHUNK ? last : i + DTCI_CHUNK;                                                     \
            memset(&chance, 0, sizeof chance);                                                                        \
            memset(&power, 0, sizeof power);                                                                          \
            memset(&slope, 0, sizeof slope);                                                                          \
            for (; i < stop; i += sizeof(vector) / 4) {                                                               \
                vector *x = (vector *)(void *)(work->x + i), *w = (vector *)(void *)(work->w + i);                    \
                vector r = *x + *w, t = k * r * r, q = 1.0f / (1.0f + t * 0.03125f), e = q * q, p;                    \
                e *= e;                                                                                               \
                e *= e;                                                                                               \
                e += 1e-8f; /* too little to matter, and no denormals come of it, which are slow */                   \
                e *= e;                                                                                               \
                e *= e;                                                                                               \
                p = 1.0f / (1.0f + c * e);                                                                            \
                *w = r;                                                                                               \
                *x = r = g * r;                                                                                       \
                *x *= p;                                                                                              \
                chance += p;                                                                                          \
                power += p * r * r;                                                                                   \
                slope += p + 2.0f * p * (1.0f - p) * t * q;                                                           \
            }                                                                                                         \
            sums[0] += name##_sum(&chance);                                                                           \
            sums[1] += name##_sum(&power);                                                                            \
            sums[2] += name##_sum(&slope);                                                                            \
        }                                                                                                             \
    }                                                                                                                 \
                                                                                                                      \
    /* x := (x - along * w) * stretch, and w := x */                                                                  \
    FN void name##_onward(const dtci_sensing_work *work, float along, float stretch) {                                \
        size_t i;                                                                                                     \
        for (i = 0; i < work->room; i += sizeof(vector) / 4) {                                                        \
            vector *x = (vector *)(void *)(work->x + i), *w = (vector *)(void *)(work->w + i);                        \
            *w = *x = (*x - along * *w) * stretch;                                                                    \
        }                                                                                                             \
    }

DTCI_SENSING_PASSES(dtci_sensing_1, DTCI_FN, float)
#if defined(DTCI_VECTORS)
DTCI_SENSING_PASSES(dtci_sensing_4, DTCI_FN, dtci_vector_f4)
#endif
#if defined(DTCI_VECTORS) && defined(DTCI_X86)
DTCI_SENSING_PASSES(dtci_sensing_8, DTCI_AVX2, dtci_vector_f8)
#endif

#undef DTCI_SENSING_PASSES
#if defined(DTCI_VECTORS) && defined(DTCI_X86)
#define DTCI_SENSING_PASS(work, pass) ((work)->has & DTCI_HAS_AVX2 ? dtci_sensing_8_##pass : dtci_sensing_4_##pass)
#elif defined(DTCI_VECTORS)
#define DTCI_SENSING_PASS(work, pass) dtci_sensing_4_##pass
#else
#define DTCI_SENSING_PASS(work, pass) dtci_sensing_1_##pass
#endif

/* With w = x: w := gain A^T (y - A x), which is the gradient's step; returns |y - A x|^2. The second transform has its
 * near levels first, so that all passes over a part find it in the cache. */
DTCI_FN double dtci_sensing_gradient(const dtci_sensing_work *work, double gain) {
    float scale = (float)(1 / sqrt((double)work->size)), back = (float)(gain / sqrt((double)work->size));
    unsigned log2_part = work->log2_size < DTCI_HADAMARD_NEAR ? work->log2_size : DTCI_HADAMARD_NEAR;
    size_t first, part = dtci_sensing_room((size_t)1 << log2_part);
    double squares = 0;
    dtci_hadamard_far(work->w, work->log2_size, work->has);
    for (first = 0; first < work->room; first += part) {
        dtci_hadamard_near(work->w + first, log2_part, work->has);
        squares += DTCI_SENSING_PASS(work, residual)(work, first, first + part, scale, back);
        dtci_hadamard_near(work->w + first, log2_part, work->has);
    }
    dtci_hadamard_far(work->w, work->log2_size, work->has);
    return squares;
}

/* The same at x = 0. */
DTCI_FN double dtci_sensing_start(const dtci_sensing_work *work, double gain) {
    double squares;
    memset(work->w, 0, 4 * work->room);
    squares = DTCI_SENSING_PASS(work, residual)(work, 0, work->room, 0, (float)(gain / sqrt((double)work->size)));
    dtci_hadamard(work->w, work->log2_size, work->has);
    return squares;
}

/* x := c A^T y, c = 1 but for padding, which takes part of y's square: there 1 / (m/N + n/N (1 - m/N)), which leaves
 * the least squared error on average. */
DTCI_FN void dtci_sensing_linear(const dtci_sensing_work *work) {
    double part = (double)work->measurements / (double)work->size;
    double scale = 1 / (part + (double)work->values / (double)work->size * (1 - part));
    size_t i;
    (void)dtci_sensing_start(work, 1);
    for (i = 0; i < work->values; i++) work->x[i] = work->w[i] * (float)scale;
}

/* ISTA (Daubechies et al., 2004), x <- soft(x + A^T (y - A x), lambda), to least |y - A x|^2 / 2 + lambda |x|_1; and
 * FISTA (Beck and Teboulle, 2009), which steps from a point v beyond x, and starts anew where that leads uphill
 * (O'Donoghue and Candes, 2015). lambda is a 1024th of that which leaves x = 0. Stops where x moves by less than
 * `tolerance` of its length. */
DTCI_FN void dtci_sensing_ista(const dtci_sensing_work *work, int fista, uint32_t iterations, double tolerance) {
    float lambda = 0, *x = work->x, *v = work->v, *w = work->w;
    double t = 1;
    size_t i;
    (void)dtci_sensing_start(work, 1);
    for (i = 0; i < work->values; i++) {
        float magnitude = w[i] < 0 ? -w[i] : w[i];
        if (magnitude > lambda) lambda = magnitude;
    }
    lambda *= 0.0009765625f;
    memcpy(v, x, 4 * work->room);
    for (; iterations > 0; iterations--) {
        double next = fista ? (1 + sqrt(1 + 4 * t * t)) / 2 : 1, moved = 0, length = 0, uphill = 0;
        float beyond = (float)((t - 1) / next);
        memcpy(w, v, 4 * work->room);
        (void)dtci_sensing_gradient(work, 1);
        for (i = 0; i < work->values; i++) {
            float r = v[i] + w[i];
            r = r > lambda ? r - lambda : r < -lambda ? r + lambda : 0;
            w[i] = r - x[i];
            x[i] = r;
            moved += (double)w[i] * (double)w[i];
            length += (double)r * (double)r;
            uphill += (double)(v[i] - r) * (double)w[i];
        }
        if (moved <= tolerance * tolerance * length) break;
        if (uphill > 0) {
            beyond = 0;
            next = 1;
        }
        for (i = 0; i < work->values; i++) v[i] = x[i] + beyond * w[i];
        t = next;
    }
}

/* The prior that explains how far w, the values with Gaussian noise, is from being Gaussian itself: by its fourth
 * moment, less what chance alone may make of that. `power` is the values' mean square. */
DTCI_FN dtci_sensing_prior dtci_sensing_guess(const dtci_sensing_work *work, double power) {
    double n = (double)work->values, moments[2] = {0, 0}, excess;
    size_t whole = work->values - work->values % DTCI_SENSING_LANES;
    dtci_sensing_prior prior;
    DTCI_SENSING_PASS(work, moments)(work, 0, whole, moments);
    dtci_sensing_1_moments(work, whole, work->values, moments);
    excess = moments[1] / n - (3 + 2 * sqrt(24 / n)) * (moments[0] / n) * (moments[0] / n);
    prior.variance = power + (excess > 0 ? excess / (3 * power) : 0);
    prior.density = power / prior.variance;
    return prior;
}

/* r = x + w is the values with Gaussian noise. x := their expectation under the prior, w := r; the prior is fitted to
 * them (expectation maximization: Vila and Schniter, 2013). Returns the mean of dx/dr, padding included.
 *
 * x = p g r, where p = 1 / (1 + odds exp(-t)) is the chance that the value is not 0, t = k r^2. (1 + t/32)^-32 stands
 * for exp(-t), and the derivative is that of this function. */
DTCI_FN double dtci_sensing_denoise(const dtci_sensing_work *work, double noise, dtci_sensing_prior *prior) {
    double total = prior->variance + noise, gain = prior->variance / total, sums[3] = {0, 0, 0}, chance;
    size_t whole = work->values - work->values % DTCI_SENSING_LANES, i;
    dtci_sensing_denoiser with;
    with.k = (float)(0.5 * gain / noise);
    with.g = (float)gain;
    with.c = (float)((1 - prior->density) / prior->density * sqrt(total / noise));
    DTCI_SENSING_PASS(work, denoise)(work, &with, 0, whole, sums);
    dtci_sensing_1_denoise(work, &with, whole, work->values, sums);
    for (i = work->values; i < work->size; i++) {
        work->w[i] += work->x[i];
        work->x[i] = 0;
    }
    chance = sums[0];
    prior->variance = chance > 0 ? sums[1] / chance + gain * noise : noise;
    prior->density = chance / (double)work->values;
    if (!(chance > 1)) prior->density = 1 / (double)work->values; /* at least one value is not 0 */
    return gain * sums[2] / (double)work->size;
}

/* Orthogonal approximate message passing (Ma and Ping, 2017; Rangan, Schniter and Fletcher, 2019), for the expectation
 * of x under a prior learned on the way. Each round makes r = x + N/m A^T (y - A x), whose error is Gaussian and known
 * from the residual, removes that noise, and takes from the result the part that is along r, so that the next error is
 * again of that kind. Stops where two rounds in turn lower the noise by less than `tolerance` of it. */
DTCI_FN void dtci_sensing_amp(const dtci_sensing_work *work, uint32_t iterations, double tolerance) {
    double m = (double)work->measurements, gain = (double)work->size / m, least = 0, unsent = 0, start = 0;
    dtci_sensing_prior prior;
    uint32_t k, idle = 0;
    for (k = 0; k < iterations; k++) {
        double off = (k > 0 ? dtci_sensing_gradient(work, gain) : dtci_sensing_start(work, gain)) / m;
        double noise = gain * off - unsent, slope;
        if (k == 0 && !(off > 0)) return; /* all is 0 */
        /* the measurements' own noise is between none and all of the residual */
        noise = noise < (gain - 1) * off ? (gain - 1) * off : noise > gain * off ? gain * off : noise;
        if (k == 0) {
            noise = (gain - 1) * off;
            prior = dtci_sensing_guess(work, off * (double)work->size / (double)work->values);
            start = least = noise;
        }
        if (!(noise > 1e-15 * start)) noise = 1e-15 * start;
        idle = k > 0 && noise > (1 - tolerance) * least ? idle + 1 : 0;
        least = noise < least ? noise : least;
        slope = dtci_sensing_denoise(work, noise, &prior);
        if (idle == 2 || k + 1 == iterations) break;
        slope = slope < 0.99 ? slope : 0.99;
        unsent = slope * noise / (1 - slope);
        DTCI_SENSING_PASS(work, onward)(work, (float)slope, (float)(1 / (1 - slope)));
    }
}

/* The blocks' values from their measurements y, which are scaled in place. Nothing can fail any more. */
DTCI_FN void dtci_sensing_emit(const dtci_sensing *s, float *y, const dtc_decode_options *options,
                               const dtci_sink *sink, dtci_sensing_work *work) {
    dtc_method method = options ? options->method : DTC_METHOD_AUTO;
    uint32_t iterations = options ? options->max_iterations : 0;
    double tolerance = options ? (double)options->tolerance : 0;
    dtci_sensing_part part;
    size_t first, i, n, known = 0;
    if (!iterations) iterations = method == DTC_METHOD_ISTA ? 1000 : method == DTC_METHOD_FISTA ? 200 : 50;
    if (!(tolerance > 0)) tolerance = method == DTC_METHOD_AUTO ? 0.05 : 1e-5;
    for (first = 0; first < s->count; first += part.values, y += part.measurements) {
        double unit, back;
        part = dtci_sensing_at(s, first);
        work->size = (size_t)1 << (work->log2_size = part.log2_size);
        work->room = dtci_sensing_room(work->size);
        work->values = part.values;
        work->measurements = part.measurements;
        if (part.values != known) {
            dtci_sensing_rows(work->rows, s, &part, s->has);
            memset(work->rows + work->size, 0, 4 * (work->room - work->size));
            known = part.values;
        }
        unit = dtci_sensing_unit(y, part.measurements);
        back = 1 / unit; /* both are powers of two */
        memset(work->x, 0, 4 * work->room);
        memset(work->y, 0, 4 * work->room);
        for (i = 0; i < part.measurements; i++) y[i] = (float)((double)y[i] * unit);
        for (i = n = 0; i < work->size; i++) {
            work->y[i] = work->rows[i] * y[n];
            n += work->rows[i] > 0;
        }
        if (method == DTC_METHOD_LINEAR || part.measurements == work->size)
            dtci_sensing_linear(work);
        else if (method == DTC_METHOD_AUTO)
            dtci_sensing_amp(work, iterations, tolerance);
        else
            dtci_sensing_ista(work, method == DTC_METHOD_FISTA, iterations, tolerance);
        for (i = 0; i < part.values; i += n) {
            float chunk[DTCI_CHUNK];
            size_t j;
            n = part.values - i < DTCI_CHUNK ? part.values - i : DTCI_CHUNK;
            for (j = 0; j < n; j++) {
                double x = (double)work->x[i + j] * back;
                chunk[j] = back > 1 ? dtci_to_float(x) : (float)x;
            }
            dtci_sensing_flip(chunk, s, first + i, n);
            dtci_store(sink, first + i, chunk, n);
        }
    }
}

DTCI_FN dtc_status dtci_sensing_recover(const dtci_head *head, const unsigned char *payload, size_t size,
                                        const dtc_decode_options *options, const dtci_sink *sink, dtci_arena *arena) {
    dtci_sensing s = dtci_sensing_open(head, dtci_get32(payload));
    size_t total = dtci_sensing_total(&s), room = 4 * dtci_sensing_room(s.block), bytes = 0;
    float *y = (float *)dtci_take(arena, 4 * (total + 1));
    dtci_sensing_work work;
    dtc_status status;
    if (!y) return DTC_ERROR_SCRATCH;
    status = dtci_nest_decode(y, total, payload + 4, size - 4, &bytes, head->workers, head->terms, arena);
    if (status != DTC_OK) return status;
    if (bytes != size - 4) return DTC_ERROR_PAYLOAD;
    y[total] = 0; /* is looked at, where the last row is not measured */
    memset(&work, 0, sizeof work);
    work.rows = (float *)dtci_take(arena, room);
    work.y = (float *)dtci_take(arena, room);
    work.x = (float *)dtci_take(arena, room);
    work.w = (float *)dtci_take(arena, room);
    work.v = (float *)dtci_take(arena, room);
    work.has = s.has;
    if (!work.rows || !work.y || !work.x || !work.w || !work.v) return DTC_ERROR_SCRATCH;
    dtci_sensing_emit(&s, y, options, sink, &work);
    return DTC_OK;
}

/* The shape that a spec asks for. */
DTCI_FN dtci_sensing dtci_sensing_plan(const dtc_spec *spec, const dtci_head *head) {
    double ratio = spec->sensing.ratio > 0 ? (double)spec->sensing.ratio : 0.25;
    dtci_sensing s = dtci_sensing_open(head, 1);
    double measurements = floor(ratio * (double)s.block + 0.5);
    if (measurements > 1) s.measurements = (size_t)measurements;
    return s;
}

DTCI_FN size_t dtci_sensing_scratch(const dtc_spec *spec, const dtci_head *head) {
    dtci_sensing s = dtci_sensing_plan(spec, head);
    dtc_spec nest = dtci_sensing_nest(spec, &s);
    size_t total = dtci_sensing_total(&s);
    uint64_t measure = 2 * (uint64_t)dtci_room(4 * s.block), decode = dtci_sensing_decode_scratch(&s);
    uint64_t encode = (uint64_t)dtci_room(dtci_nest_bound(&nest, total)) + dtci_nest_scratch(&nest, total);
    encode = dtci_room(4 * (total + 1)) + (measure > encode ? measure : encode);
    if (decode > encode) encode = decode;
    return encode < SIZE_MAX ? (size_t)encode : SIZE_MAX;
}

DTCI_FN dtc_status dtci_sensing_encode(const dtc_spec *spec, dtci_head *head, unsigned char *to, size_t capacity,
                                       size_t *bytes, const dtci_source *source, const dtci_sink *residual,
                                       dtci_arena *arena) {
    dtci_sensing s = dtci_sensing_plan(spec, head);
    dtc_spec nest = dtci_sensing_nest(spec, &s);
    size_t total = dtci_sensing_total(&s), bound = dtci_nest_bound(&nest, total), known = 0, done = 0, first;
    dtci_arena after = *arena, work;
    float *y = (float *)dtci_take(&after, 4 * (total + 1)), *rows, *x;
    unsigned char *nested;
    dtci_sensing_part part;
    dtc_status status;
    work = after;
    rows = (float *)dtci_take(&work, 4 * s.block);
    x = (float *)dtci_take(&work, 4 * s.block);
    nested = (unsigned char *)dtci_take(&after, bound);
    if (!y || !rows || !x || !nested) return DTC_ERROR_SCRATCH;
    if (!dtci_scan(source, 0, head->count, head->has).finite) return DTC_ERROR_NONFINITE;
    for (first = 0; first < s.count; first += part.values, done += part.measurements) {
        part = dtci_sensing_at(&s, first);
        if (part.values != known) dtci_sensing_rows(rows, &s, &part, s.has);
        known = part.values;
        dtci_sensing_measure(y + done, &s, &part, source, rows, x);
        if (nest.quant.bits && !nest.quant.max_given)
            dtci_sensing_load(y + done, part.measurements, (unsigned)nest.quant.bits);
    }
    status = dtci_nest_encode(&nest, nested, bound, bytes, y, total, &after);
    if (status != DTC_OK) return status;
    if (*bytes + 4 > 4 * (size_t)head->count) return dtci_store_instead(head);
    if (capacity < *bytes + 4) return DTC_ERROR_CAPACITY;
    dtci_put32(to, (uint32_t)s.measurements);
    memcpy(to + 4, nested, *bytes);
    *bytes += 4;
    return residual ? dtci_sensing_recover(head, to, *bytes, NULL, residual, arena) : DTC_OK;
}

DTCI_FN dtc_status dtci_sensing_check(const dtci_head *head, const unsigned char *payload, size_t *scratch) {
    size_t block = dtci_sensing_block(head);
    uint64_t need;
    dtci_sensing s;
    if (head->variant || !head->count || block >> DTCI_HADAMARD_MAX > 1 || (block & (block - 1)) ||
        (head->block && head->block < DTCI_SENSING_BLOCK))
        return DTC_ERROR_HEAD;
    if (dtci_payload_bytes(head) < 4) return DTC_ERROR_SIZE;
    s = dtci_sensing_open(head, dtci_get32(payload));
    if (!s.measurements || s.measurements > block) return DTC_ERROR_HEAD;
    need = dtci_sensing_decode_scratch(&s);
    *scratch = need < SIZE_MAX ? (size_t)need : SIZE_MAX;
    return DTC_OK;
}

DTCI_FN void dtci_sensing_describe(const dtci_head *head, const unsigned char *payload, dtc_info *info) {
    dtci_head nest;
    info->spec.sensing.ratio = (float)dtci_get32(payload) / (float)dtci_sensing_block(head);
    if (dtci_head_read(payload + 4, dtci_payload_bytes(head) - 4, &nest) == DTC_OK)
        info->spec.sensing.bits = nest.codec == DTC_QUANT ? (int)(nest.variant & 15) + 1 : 32;
}

DTCI_FN dtc_status dtci_sensing_decode(const dtci_head *head, const unsigned char *payload,
                                       const dtc_decode_options *options, const dtci_sink *sink, dtci_arena *arena) {
    if (options && (unsigned)options->method > DTC_METHOD_LINEAR) return DTC_ERROR_ARGUMENT;
    return dtci_sensing_recover(head, payload, dtci_payload_bytes(head), options, sink, arena);
}

/* What adding takes: the measurements add. */
DTCI_FN dtc_status dtci_sensing_sum(const dtci_head *a, const unsigned char *from_a, const dtci_head *b,
                                    const unsigned char *from_b, size_t *bound, size_t *scratch) {
    dtci_head nested, nested_a, nested_b;
    dtc_status status;
    *bound = *scratch = 0;
    if (dtci_get32(from_a) != dtci_get32(from_b)) return DTC_ERROR_INCOMPATIBLE_SHAPE;
    status = dtci_nest_sum(&nested, &nested_a, from_a + 4, dtci_payload_bytes(a) - 4, &nested_b, from_b + 4,
                           dtci_payload_bytes(b) - 4, bound, scratch);
    *bound += 4;
    return status;
}

DTCI_FN dtc_status dtci_sensing_add(unsigned char *to, size_t capacity, size_t *bytes, const dtci_head *a,
                                    const unsigned char *from_a, const dtci_head *b, const unsigned char *from_b,
                                    dtci_arena *arena) {
    uint32_t measurements = dtci_get32(from_a);
    dtc_status status;
    if (capacity < 4) return DTC_ERROR_CAPACITY;
    status = dtci_nest_add(to + 4, capacity - 4, bytes, from_a + 4, dtci_payload_bytes(a) - 4, from_b + 4,
                           dtci_payload_bytes(b) - 4, arena);
    dtci_put32(to, measurements);
    *bytes += 4;
    return status;
}

#endif /* DTC_NO_SENSING */

/* --------------------------------------------------------------------------------------------------------------------
 * circulant: a block-circulant matrix as its vectors (Cheng et al., ICCV 2015; Araujo et al., 2018)
 *
 * Block (p, q) of block x block values has a vector c, and is W[i][j] = c[(i - j) mod block]: its wrapped diagonals are
 * constant. Blocks at the border may reach beyond the matrix; what does is cut off. The nearest block-circulant matrix
 * to any other, in the sum of squares, has the mean of each wrapped diagonal in its place.
 *
 * Payload: the nested packet of the vectors, [block rows][block columns][block].
 * ------------------------------------------------------------------------------------------------------------------*/

#ifndef DTC_NO_CIRCULANT

typedef struct dtci_circulant {
    size_t rows, columns, block;
    size_t across; /* blocks side by side */
    size_t count;  /* of all vectors' values */
} dtci_circulant;

/* The sizes of the matrix that the head tells of, in such blocks. 0: its vectors, with their packet's head, are no
 * smaller than its values. */
DTCI_FN int dtci_circulant_plan(dtci_circulant *c, const dtci_head *head, size_t block) {
    c->rows = head->rows ? head->rows : 1;
    c->columns = head->count / c->rows;
    c->block = block ? block : c->rows > c->columns ? c->rows : c->columns;
    c->across = c->block ? dtci_ceil_div(c->columns, c->block) : 0;
    c->count = dtc_circulant_vector_count(c->rows, c->columns, c->block);
    return c->count > 0 && (uint64_t)c->count + 3 <= head->count;
}

/* Scratch of writing vectors once they are there, and of reading them back. */
DTCI_FN size_t dtci_circulant_nest_scratch(const dtc_value *value, size_t count) {
    dtc_spec nested = dtci_nest_spec(value, 0);
    size_t need = dtci_nest_scratch(&nested, count), other = value->bits ? dtci_nest_decode_scratch(count) : 0;
    return other > need ? other : need;
}

DTCI_FN size_t dtci_circulant_scratch(const dtc_spec *spec, const dtci_head *head) {
    dtci_circulant c;
    size_t sums, nest;
    if (!dtci_circulant_plan(&c, head, spec->block)) return 0;
    sums = dtci_room(8 * c.across * c.block);
    nest = dtci_circulant_nest_scratch(&spec->circulant.value, c.count);
    return dtci_room(4 * c.count) + (sums > nest ? sums : nest);
}

/* How many values of a block of which tall x wide are not cut off are on the wrapped diagonal d. */
DTCI_FN size_t dtci_circulant_diagonal(size_t block, size_t tall, size_t wide, size_t d) {
    size_t below = wide + d < tall ? wide + d : tall, above = wide + d < block + tall ? wide + d : block + tall;
    return (below > d ? below - d : 0) + (above > block ? above - block : 0);
}

/* vectors = the means of the diagonals; sums has room for the vectors of a row of blocks. */
DTCI_FN void dtci_circulant_project(const dtci_circulant *c, float *vectors, double *sums, const dtci_source *source) {
    size_t top, row, column, n, at, stop, k;
    float chunk[DTCI_CHUNK];
    for (top = 0; top < c->rows; top += c->block) {
        size_t tall = c->rows - top < c->block ? c->rows - top : c->block;
        for (k = 0; k < c->across * c->block; k++) sums[k] = -0.0; /* to which adding -0 is -0 */
        for (row = 0; row < tall; row++) {
            for (column = 0; column < c->columns; column += n) {
                n = c->columns - column < DTCI_CHUNK ? c->columns - column : DTCI_CHUNK;
                dtci_load(chunk, source, (top + row) * c->columns + column, n);
                for (at = 0; at < n; at = stop) {
                    size_t j = (column + at) % c->block, d = (row < j ? row + c->block : row) - j;
                    double *sum = sums + (column + at - j);
                    stop = n - at < c->block - j ? n : at + c->block - j;
                    for (; at < stop; at++) {
                        sum[d] += (double)chunk[at];
                        d = (d ? d : c->block) - 1;
                    }
                }
            }
        }
        for (k = 0; k < c->across * c->block; k++) {
            size_t left = c->columns - k / c->block * c->block, wide = left < c->block ? left : c->block;
            size_t terms = dtci_circulant_diagonal(c->block, tall, wide, k % c->block);
            *vectors++ = terms ? (float)(sums[k] / (double)terms) : 0;
        }
    }
}

/* n <= DTCI_CHUNK values of a row of the matrix, from a column on. */
DTCI_FN void dtci_circulant_row(const dtci_circulant *c, float *chunk, const float *vectors, size_t row, size_t column,
                                size_t n) {
    size_t i = row % c->block, at, stop;
    vectors += row / c->block * c->across * c->block;
    for (at = 0; at < n; at = stop) {
        size_t j = (column + at) % c->block, d = (i < j ? i + c->block : i) - j;
        const float *vector = vectors + (column + at - j);
        stop = n - at < c->block - j ? n : at + c->block - j;
        for (; at < stop; at++) {
            chunk[at] = vector[d];
            d = (d ? d : c->block) - 1;
        }
    }
}

DTCI_FN void dtci_circulant_emit(const dtci_circulant *c, const float *vectors, const dtci_sink *sink) {
    size_t row, column, n;
    float chunk[DTCI_CHUNK];
    for (row = 0; row < c->rows; row++) {
        for (column = 0; column < c->columns; column += n) {
            n = c->columns - column < DTCI_CHUNK ? c->columns - column : DTCI_CHUNK;
            dtci_circulant_row(c, chunk, vectors, row, column, n);
            dtci_store(sink, row * c->columns + column, chunk, n);
        }
    }
}

DTCI_FN dtc_status dtci_circulant_write(const dtci_circulant *c, const dtc_value *value, unsigned char *to,
                                        size_t capacity, size_t *bytes, const float *vectors, const dtci_arena *arena) {
    dtc_spec nested = dtci_nest_spec(value, 0);
    return dtci_nest_encode(&nested, to, capacity, bytes, vectors, c->count, arena);
}

/* Reads them back from a payload of `size` bytes. */
DTCI_FN dtc_status dtci_circulant_read(const dtci_circulant *c, float *vectors, const unsigned char *payload,
                                       size_t size, const dtci_arena *arena) {
    size_t used;
    dtc_status status = dtci_nest_decode(vectors, c->count, payload, size, &used, 1, 1, arena);
    return status == DTC_OK && used != size ? DTC_ERROR_PAYLOAD : status;
}

DTCI_FN dtc_status dtci_circulant_encode(const dtc_spec *spec, dtci_head *head, unsigned char *to, size_t capacity,
                                         size_t *bytes, const dtci_source *source, const dtci_sink *residual,
                                         dtci_arena *arena) {
    dtci_circulant c;
    dtci_arena work;
    dtc_status status;
    float *vectors;
    double *sums;
    if (!dtci_scan(source, 0, head->count, head->has).finite) return DTC_ERROR_NONFINITE;
    if (!dtci_circulant_plan(&c, head, spec->block)) return dtci_store_instead(head);
    vectors = (float *)dtci_take(arena, 4 * c.count);
    work = *arena;
    sums = (double *)dtci_take(&work, 8 * c.across * c.block);
    if (!vectors || !sums) return DTC_ERROR_SCRATCH;
    dtci_circulant_project(&c, vectors, sums, source);
    status = dtci_circulant_write(&c, &spec->circulant.value, to, capacity, bytes, vectors, arena);
    if (status == DTC_OK && residual)
        status = dtci_circulant_read(&c, vectors, to, *bytes, arena); /* as they were rounded */
    if (status == DTC_OK && residual) dtci_circulant_emit(&c, vectors, residual);
    return status;
}

/* The same of vectors that are given. Where they are no smaller than the matrix, that is what goes, as raw; so the
 * payload's place is known only here. */
DTCI_FN dtc_status dtci_circulant_encode_given(const dtc_spec *spec, dtci_head *head, unsigned char *packet,
                                               size_t capacity, size_t *bytes, const float *vectors,
                                               dtci_arena *arena) {
    dtci_circulant c;
    int fewer = dtci_circulant_plan(&c, head, spec->block);
    float *aligned = (float *)dtci_take(arena, 4 * c.count), chunk[DTCI_CHUNK];
    size_t row, column, n, i;
    if (!aligned) return DTC_ERROR_SCRATCH;
    memcpy(aligned, vectors, 4 * c.count);
    if (!fewer) (void)dtci_store_instead(head);
    n = head->head_bytes + (head->checksum ? 4 : 0);
    if (capacity < n) return DTC_ERROR_CAPACITY;
    capacity -= n;
    packet += head->head_bytes;
    if (fewer) return dtci_circulant_write(&c, &spec->circulant.value, packet, capacity, bytes, aligned, arena);
    *bytes = 4 * c.rows * c.columns;
    if (capacity < *bytes) return DTC_ERROR_CAPACITY;
    for (row = 0; row < c.rows; row++) {
        for (column = 0; column < c.columns; column += n) {
            n = c.columns - column < DTCI_CHUNK ? c.columns - column : DTCI_CHUNK;
            dtci_circulant_row(&c, chunk, aligned, row, column, n);
            for (i = 0; i < n; i++, packet += 4) dtci_put_float(packet, chunk[i]);
        }
    }
    return DTC_OK;
}

/* Checks the fields of a head, and tells what decoding takes. */
DTCI_FN dtc_status dtci_circulant_check(const dtci_head *head, const unsigned char *payload, size_t *scratch) {
    size_t size = dtci_payload_bytes(head);
    dtci_circulant c;
    if (head->variant || head->seed || !dtci_circulant_plan(&c, head, head->block)) return DTC_ERROR_HEAD;
    if (size < 12 || size > 4 * (size_t)head->count) return DTC_ERROR_SIZE;
    *scratch = dtci_room(4 * c.count);
    if ((payload[1] & 15) != DTC_RAW) *scratch += dtci_nest_decode_scratch(c.count);
    return DTC_OK;
}

DTCI_FN void dtci_circulant_describe(const dtci_head *head, const unsigned char *payload, dtc_info *info) {
    dtci_head nested;
    if (dtci_head_read(payload, dtci_payload_bytes(head), &nested) != DTC_OK) return;
    if (nested.codec == DTC_QUANT) info->spec.circulant.value.bits = (int)(nested.variant & 15) + 1;
    if (nested.codec == DTC_RAW && nested.variant <= DTC_TYPE_FP16)
        info->spec.circulant.value.type = (dtc_type)nested.variant;
}

/* Takes room for the vectors from the arena and reads them into it. */
DTCI_FN dtc_status dtci_circulant_open(dtci_circulant *c, float **vectors, const dtci_head *head,
                                       const unsigned char *payload, dtci_arena *arena) {
    (void)dtci_circulant_plan(c, head, head->block);
    *vectors = (float *)dtci_take(arena, 4 * c->count);
    if (!*vectors) return DTC_ERROR_SCRATCH;
    return dtci_circulant_read(c, *vectors, payload, dtci_payload_bytes(head), arena);
}

DTCI_FN dtc_status dtci_circulant_decode(const dtci_head *head, const unsigned char *payload, const dtci_sink *sink,
                                         dtci_arena *arena) {
    dtci_circulant c;
    float *vectors;
    dtc_status status = dtci_circulant_open(&c, &vectors, head, payload, arena);
    if (status == DTC_OK) dtci_circulant_emit(&c, vectors, sink);
    return status;
}

DTCI_FN size_t dtci_circulant_add_scratch(const dtci_head *a) {
    dtci_circulant c;
    (void)dtci_circulant_plan(&c, a, a->block);
    return 2 * dtci_room(4 * c.count) + dtci_nest_decode_scratch(c.count);
}

/* Sums of vectors, in fp32, or the type of both. `to` may be either's payload. */
DTCI_FN dtc_status dtci_circulant_add(unsigned char *to, size_t capacity, size_t *bytes, const dtci_head *a,
                                      const unsigned char *from_a, const dtci_head *b, const unsigned char *from_b,
                                      dtci_arena *arena) {
    dtc_value value = dtci_nest_type(from_a, from_b);
    dtci_circulant c;
    float *vectors, *others;
    dtc_status status = dtci_circulant_open(&c, &vectors, a, from_a, arena);
    size_t i;
    if (status == DTC_OK) status = dtci_circulant_open(&c, &others, b, from_b, arena);
    if (status != DTC_OK) return status;
    for (i = 0; i < c.count; i++) {
        vectors[i] += others[i];
        if (!dtci_finite(vectors[i])) return DTC_ERROR_NONFINITE;
    }
    return dtci_circulant_write(&c, &value, to, capacity, bytes, vectors, arena);
}

#endif /* DTC_NO_CIRCULANT */

/* --------------------------------------------------------------------------------------------------------------------
 * Generic entry points
 * ------------------------------------------------------------------------------------------------------------------*/

DTCI_FN dtc_status dtci_value_check(const dtc_value *value) {
    if ((unsigned)value->type > DTC_TYPE_FP16 || value->bits < 0 || value->bits > 16 || (value->type && value->bits))
        return DTC_ERROR_SPEC;
#ifdef DTC_NO_QUANT
    if (value->bits) return DTC_ERROR_CODEC;
#endif
    return DTC_OK;
}

DTCI_FN dtc_status dtci_spec_check(const dtc_spec *spec) {
    if (spec->workers > 65535 || spec->rows > DTCI_COUNT_MAX || spec->block > DTCI_COUNT_MAX) return DTC_ERROR_SPEC;
    switch (spec->codec) {
    case DTC_RAW:
        return (unsigned)spec->raw.type > DTC_TYPE_FP16 ? DTC_ERROR_SPEC : DTC_OK;
#ifndef DTC_NO_TERNARY
    case DTC_TERNARY:
        if (!dtci_finite(spec->ternary.clip) || spec->ternary.clip < 0 || !dtci_finite(spec->ternary.scale) ||
            spec->ternary.scale < 0 || (unsigned)spec->ternary.pack > DTC_PACK_BASE3 ||
            spec->workers > DTCI_TERNARY_WORKERS)
            return DTC_ERROR_SPEC;
        return DTC_OK;
#endif
#ifndef DTC_NO_QUANT
    case DTC_QUANT: {
        uint32_t workers = spec->workers ? spec->workers : 1;
        int bits = spec->quant.bits ? spec->quant.bits : DTCI_QUANT_BITS_MAX;
        if (bits < 1 || bits > DTCI_QUANT_BITS_MAX || workers > 16777216u >> bits) return DTC_ERROR_SPEC;
        if (spec->quant.floor < 0 || spec->quant.floor > 12 || spec->quant.probe < 0 || spec->quant.probe > 8)
            return DTC_ERROR_SPEC;
        if (!dtci_finite(spec->quant.sample) || spec->quant.sample < 0 || spec->quant.sample > 1) return DTC_ERROR_SPEC;
        if (!dtci_finite(spec->quant.rate) || spec->quant.rate < 0 || spec->quant.rate > 32) return DTC_ERROR_SPEC;
        if (spec->quant.rate > 0 && ((double)spec->quant.rate < 0.05 || spec->quant.entropy == DTC_ENTROPY_NONE))
            return DTC_ERROR_SPEC;
        if (!dtci_finite(spec->quant.max_error) || spec->quant.max_error < 0) return DTC_ERROR_SPEC;
        if ((spec->quant.bits != 0) + (spec->quant.rate > 0) + (spec->quant.max_error > 0) > 1) return DTC_ERROR_SPEC;
        if ((unsigned)spec->quant.rounding > DTC_ROUNDING_STOCHASTIC ||
            (unsigned)spec->quant.entropy > DTC_ENTROPY_NONE || (unsigned)spec->quant.grid > DTC_GRID_EVEN)
            return DTC_ERROR_SPEC;
        if (!dtci_finite(spec->quant.min) || !dtci_finite(spec->quant.max) ||
            (spec->quant.min_given && spec->quant.max_given && !(spec->quant.min < spec->quant.max)))
            return DTC_ERROR_SPEC;
        if (spec->quant.max_error > 0 && (spec->quant.min_given || spec->quant.max_given)) return DTC_ERROR_SPEC;
        if (!spec->quant.rotate) return DTC_OK;
        if (spec->quant.max_error > 0 || (spec->quant.bits && workers > DTCI_QUANT_ROTATED >> bits) ||
            workers > DTCI_QUANT_ROTATED / 4 || spec->quant.min_given != spec->quant.max_given ||
            (spec->quant.min_given && spec->quant.min < -spec->quant.max) || spec->quant.min > -spec->quant.max)
            return DTC_ERROR_SPEC;
        return DTC_OK;
    }
#endif
#ifndef DTC_NO_FACTOR
    case DTC_FACTOR:
        if (spec->factor.rank < 0 || spec->factor.rank > 65535) return DTC_ERROR_SPEC;
        return dtci_value_check(&spec->factor.value);
#endif
#ifndef DTC_NO_SENSING
    case DTC_SENSING:
        if (!dtci_finite(spec->sensing.ratio) || spec->sensing.ratio < 0 || spec->sensing.ratio > 1)
            return DTC_ERROR_SPEC;
        if (spec->sensing.bits < 0 || (spec->sensing.bits > 16 && spec->sensing.bits != 32)) return DTC_ERROR_SPEC;
        if (!dtci_finite(spec->sensing.scale) || spec->sensing.scale < 0) return DTC_ERROR_SPEC;
        if (spec->block && (spec->block < DTCI_SENSING_BLOCK || spec->block >> DTCI_HADAMARD_MAX > 1 ||
                            (spec->block & (spec->block - 1))))
            return DTC_ERROR_SPEC;
        if (spec->sensing.bits != 32 && spec->workers > 16777216u >> (spec->sensing.bits ? spec->sensing.bits : 4))
            return DTC_ERROR_SPEC;
#ifdef DTC_NO_QUANT
        if (spec->sensing.bits != 32) return DTC_ERROR_CODEC;
#endif
        return DTC_OK;
#endif
#ifndef DTC_NO_CIRCULANT
    case DTC_CIRCULANT:
        return dtci_value_check(&spec->circulant.value);
#endif
    default:
        return DTC_ERROR_CODEC;
    }
}

DTCI_API size_t dtc_encode_bound(const dtc_spec *spec, size_t count) {
    dtci_head head;
    if (!spec || dtci_spec_check(spec) != DTC_OK || dtci_head_open(&head, spec, count) != DTC_OK) return 0;
    return head.head_bytes + 4 * count + (head.checksum ? 4 : 0);
}

DTCI_API size_t dtc_encode_scratch(const dtc_spec *spec, size_t count) {
    dtci_head head;
    if (!spec || dtci_spec_check(spec) != DTC_OK || dtci_head_open(&head, spec, count) != DTC_OK) return 0;
#ifndef DTC_NO_TERNARY
    if (spec->codec == DTC_TERNARY) return dtci_ternary_scratch(count, dtci_blocks(&head));
#endif
#ifndef DTC_NO_QUANT
    if (spec->codec == DTC_QUANT) return dtci_quant_scratch(spec, &head);
#endif
#ifndef DTC_NO_FACTOR
    if (spec->codec == DTC_FACTOR) return dtci_factor_scratch(spec, &head);
#endif
#ifndef DTC_NO_SENSING
    if (spec->codec == DTC_SENSING) return dtci_sensing_scratch(spec, &head);
#endif
#ifndef DTC_NO_CIRCULANT
    if (spec->codec == DTC_CIRCULANT) return dtci_circulant_scratch(spec, &head);
#endif
    return 0;
}

DTCI_FN dtc_status dtci_encode(const dtc_spec *spec, unsigned char *packet, size_t capacity, size_t *packet_bytes,
                               const dtci_source *source, const dtci_sink *residual, size_t count, void *scratch,
                               size_t scratch_bytes) {
    dtci_head head;
    dtci_arena arena;
    size_t bytes = 0, room;
    dtc_status status = dtci_spec_check(spec);
    if (status == DTC_OK) status = dtci_head_open(&head, spec, count);
    if (status != DTC_OK) return status;
    room = head.head_bytes + (head.checksum ? 4 : 0); /* a stored packet's head may be shorter */
    room = capacity > room ? capacity - room : 0;
    if (dtc_encode_scratch(spec, count) > (scratch ? scratch_bytes : 0)) return DTC_ERROR_SCRATCH;
    head.has = dtci_ask(4 * count);
    arena.p = (unsigned char *)scratch;
    arena.left = scratch_bytes;
    (void)arena; /* where the codecs that work in it are left out */
    switch (spec->codec) {
#ifndef DTC_NO_TERNARY
    case DTC_TERNARY:
        status = dtci_ternary_encode(spec, &head, packet + head.head_bytes, room, &bytes, source, residual, &arena);
        break;
#endif
#ifndef DTC_NO_QUANT
    case DTC_QUANT:
        status = dtci_quant_encode(spec, &head, packet + head.head_bytes, room, &bytes, source, residual, &arena);
        break;
#endif
#ifndef DTC_NO_FACTOR
    case DTC_FACTOR:
        status = dtci_factor_encode(spec, &head, packet + head.head_bytes, room, &bytes, source, residual, &arena);
        break;
#endif
#ifndef DTC_NO_SENSING
    case DTC_SENSING:
        status = dtci_sensing_encode(spec, &head, packet + head.head_bytes, room, &bytes, source, residual, &arena);
        break;
#endif
#ifndef DTC_NO_CIRCULANT
    case DTC_CIRCULANT:
        status = dtci_circulant_encode(spec, &head, packet + head.head_bytes, room, &bytes, source, residual, &arena);
        break;
#endif
    default:
        head.variant = (uint32_t)spec->raw.type;
        if (residual && !dtci_scan(source, 0, count, head.has).finite) status = DTC_ERROR_NONFINITE;
    }
    if (status == DTC_OK && capacity < head.head_bytes + (head.checksum ? 4 : 0)) status = DTC_ERROR_CAPACITY;
    if (status == DTC_OK && head.codec == DTC_RAW) {
        room = capacity - head.head_bytes - (head.checksum ? 4 : 0);
        status = dtci_raw_encode(&head, packet + head.head_bytes, room, &bytes, source, residual);
    }
    if (status != DTC_OK) return status;
    dtci_head_close(packet, &head, bytes);
    *packet_bytes = head.packet_bytes;
    return DTC_OK;
}

DTCI_API dtc_status dtc_encode(const dtc_spec *spec, void *packet, size_t capacity, size_t *packet_bytes,
                               const float *values, size_t count, void *scratch, size_t scratch_bytes) {
    dtci_source source;
    if (packet_bytes) *packet_bytes = 0;
    if (!spec || !packet_bytes || (!packet && capacity) || (!values && count)) return DTC_ERROR_ARGUMENT;
    source.values = values;
    source.residual = NULL;
    return dtci_encode(spec, (unsigned char *)packet, capacity, packet_bytes, &source, NULL, count, scratch,
                       scratch_bytes);
}

DTCI_API dtc_status dtc_encode_residual(const dtc_spec *spec, void *packet, size_t capacity, size_t *packet_bytes,
                                        const float *values, float *residual, size_t count, void *scratch,
                                        size_t scratch_bytes) {
    dtci_source source;
    dtci_sink sink;
    if (packet_bytes) *packet_bytes = 0;
    if (!spec || !packet_bytes || (!packet && capacity) || ((!values || !residual) && count)) return DTC_ERROR_ARGUMENT;
    source.values = values;
    source.residual = residual;
    sink.kind = DTCI_SINK_RESIDUAL;
    sink.values = residual;
    sink.addend = values;
    sink.weight = 0;
    return dtci_encode(spec, (unsigned char *)packet, capacity, packet_bytes, &source, &sink, count, scratch,
                       scratch_bytes);
}

/* The codec's own checks of a head, and what decoding it takes. */
DTCI_FN dtc_status dtci_head_check(const unsigned char *packet, size_t bytes, dtci_head *head, size_t *scratch) {
    dtc_status status = dtci_head_read(packet, bytes, head);
    *scratch = 0;
    if (status != DTC_OK) return status;
    switch (head->codec) {
    case DTC_RAW:
        return dtci_raw_check(head);
#ifndef DTC_NO_TERNARY
    case DTC_TERNARY:
        *scratch = dtci_ternary_decode_scratch(head);
        return dtci_ternary_check(head);
#endif
#ifndef DTC_NO_QUANT
    case DTC_QUANT:
        *scratch = dtci_quant_decode_scratch(head);
        return dtci_quant_check(head);
#endif
#ifndef DTC_NO_FACTOR
    case DTC_FACTOR:
        return dtci_factor_check(head, packet + head->head_bytes, scratch);
#endif
#ifndef DTC_NO_SENSING
    case DTC_SENSING:
        return dtci_sensing_check(head, packet + head->head_bytes, scratch);
#endif
#ifndef DTC_NO_CIRCULANT
    case DTC_CIRCULANT:
        return dtci_circulant_check(head, packet + head->head_bytes, scratch);
#endif
    default:
        return DTC_ERROR_CODEC;
    }
}

DTCI_API dtc_status dtc_inspect(const void *packet, size_t bytes, dtc_info *info) {
    dtci_head head;
    dtc_status status;
    size_t scratch;
    if (!info) return DTC_ERROR_ARGUMENT;
    memset(info, 0, sizeof *info);
    if (!packet) return DTC_ERROR_ARGUMENT;
    status = dtci_head_check((const unsigned char *)packet, bytes, &head, &scratch);
    if (status != DTC_OK) return status;
    info->codec = info->spec.codec = head.codec;
    info->count = head.count;
    info->rows = head.rows ? head.rows : 1;
    info->columns = head.count / info->rows;
    info->packet_bytes = head.packet_bytes;
    info->decode_scratch = scratch;
    info->workers = head.workers;
    info->terms = head.terms;
    info->seed = info->spec.seed = head.seed;
    info->spec.rows = head.rows;
    info->spec.block = head.block;
    info->spec.workers = head.workers > 1 ? head.workers : 0;
    info->spec.no_checksum = !head.checksum;
    if (head.codec == DTC_RAW) info->spec.raw.type = (dtc_type)head.variant;
#ifndef DTC_NO_TERNARY
    if (head.codec == DTC_TERNARY)
        info->spec.ternary.pack = head.variant == (head.workers > 1 ? DTCI_TERNARY_FIELDS : DTCI_TERNARY_BASE3)
                                      ? DTC_PACK_BASE3
                                      : DTC_PACK_HUFFMAN;
#endif
#ifndef DTC_NO_QUANT
    if (head.codec == DTC_QUANT) {
        info->spec.quant.bits = (int)(head.variant & 15) + 1;
        info->spec.quant.rotate = head.variant >> 7 & 1;
        info->spec.quant.grid = head.variant & 16 ? DTC_GRID_EVEN : DTC_GRID_ZERO;
        info->spec.quant.entropy =
            (head.variant >> 5 & 3) == DTCI_QUANT_FIELDS ? DTC_ENTROPY_NONE : DTC_ENTROPY_HUFFMAN;
    }
#endif
#ifndef DTC_NO_FACTOR
    if (head.codec == DTC_FACTOR) dtci_factor_describe(&head, (const unsigned char *)packet + head.head_bytes, info);
#endif
#ifndef DTC_NO_SENSING
    if (head.codec == DTC_SENSING) dtci_sensing_describe(&head, (const unsigned char *)packet + head.head_bytes, info);
#endif
#ifndef DTC_NO_CIRCULANT
    if (head.codec == DTC_CIRCULANT)
        dtci_circulant_describe(&head, (const unsigned char *)packet + head.head_bytes, info);
#endif
    return DTC_OK;
}

/* All that is checked of a packet before its payload is looked at. */
DTCI_FN dtc_status dtci_decode_open(dtci_head *head, dtci_arena *arena, size_t count, const unsigned char *packet,
                                    size_t packet_bytes, const dtc_decode_options *options, void *scratch,
                                    size_t scratch_bytes) {
    size_t need;
    dtc_status status = dtci_head_check(packet, packet_bytes, head, &need);
    if (status != DTC_OK) return status;
    if (packet_bytes != head->packet_bytes) return DTC_ERROR_SIZE;
    if (count != head->count) return DTC_ERROR_COUNT;
    if (need > (scratch ? scratch_bytes : 0)) return DTC_ERROR_SCRATCH;
    head->has = dtci_ask(4 * count);
    if (head->checksum && !(options && options->skip_checksum) &&
        dtci_crc32c(packet, packet_bytes - 4, head->has) != dtci_get32(packet + packet_bytes - 4))
        return DTC_ERROR_CHECKSUM;
    arena->p = (unsigned char *)scratch;
    arena->left = scratch_bytes;
    return DTC_OK;
}

DTCI_FN dtc_status dtci_decode(const dtci_sink *sink, size_t count, const unsigned char *packet, size_t packet_bytes,
                               const dtc_decode_options *options, void *scratch, size_t scratch_bytes) {
    const unsigned char *payload;
    dtci_head head;
    dtci_arena arena;
    dtc_status status = dtci_decode_open(&head, &arena, count, packet, packet_bytes, options, scratch, scratch_bytes);
    if (status != DTC_OK) return status;
    payload = packet + head.head_bytes;
    switch (head.codec) {
#ifndef DTC_NO_TERNARY
    case DTC_TERNARY:
        return dtci_ternary_decode(&head, payload, sink, &arena);
#endif
#ifndef DTC_NO_QUANT
    case DTC_QUANT:
        return dtci_quant_decode(&head, payload, sink, &arena);
#endif
#ifndef DTC_NO_FACTOR
    case DTC_FACTOR:
        return dtci_factor_decode(&head, payload, sink, &arena);
#endif
#ifndef DTC_NO_SENSING
    case DTC_SENSING:
        return dtci_sensing_decode(&head, payload, options, sink, &arena);
#endif
#ifndef DTC_NO_CIRCULANT
    case DTC_CIRCULANT:
        return dtci_circulant_decode(&head, payload, sink, &arena);
#endif
    default:
        return dtci_raw_decode(&head, payload, sink);
    }
}

DTCI_API dtc_status dtc_decode(float *values, size_t count, const void *packet, size_t packet_bytes,
                               const dtc_decode_options *options, void *scratch, size_t scratch_bytes) {
    dtci_sink sink;
    if ((!values && count) || !packet) return DTC_ERROR_ARGUMENT;
    sink.kind = DTCI_SINK_STORE;
    sink.values = values;
    sink.addend = NULL;
    sink.weight = 1;
    return dtci_decode(&sink, count, (const unsigned char *)packet, packet_bytes, options, scratch, scratch_bytes);
}

DTCI_API dtc_status dtc_decode_add(float *values, size_t count, float weight, const void *packet, size_t packet_bytes,
                                   const dtc_decode_options *options, void *scratch, size_t scratch_bytes) {
    dtci_sink sink;
    if ((!values && count) || !packet || !dtci_finite(weight)) return DTC_ERROR_ARGUMENT;
    sink.kind = DTCI_SINK_ADD;
    sink.values = values;
    sink.addend = NULL;
    sink.weight = weight;
    return dtci_decode(&sink, count, (const unsigned char *)packet, packet_bytes, options, scratch, scratch_bytes);
}

/* The head of a packet of factors that are given. */
DTCI_FN dtc_status dtci_factors_head(dtci_head *head, const dtc_spec *spec, size_t rank, size_t rows, size_t columns) {
    dtc_spec shaped = *spec;
    dtc_status status = dtci_spec_check(spec);
    if (status != DTC_OK) return status;
    if (spec->codec != DTC_FACTOR) return DTC_ERROR_CODEC;
    if (rank > DTCI_COUNT_MAX || (rows && columns > DTCI_COUNT_MAX / rows)) return DTC_ERROR_ARGUMENT;
    shaped.rows = rows;
    return dtci_head_open(head, &shaped, rows * columns);
}

DTCI_API size_t dtc_encode_factors_scratch(const dtc_spec *spec, size_t rank, size_t rows, size_t columns) {
    dtci_head head;
    if (!spec || dtci_factors_head(&head, spec, rank, rows, columns) != DTC_OK) return 0;
#ifndef DTC_NO_FACTOR
    if (!dtci_factor_stores(rank, rows, columns))
        return dtci_factor_nest_scratch(&spec->factor.value, rank, rows, columns);
#endif
    return 0;
}

DTCI_API dtc_status dtc_encode_factors(const dtc_spec *spec, void *packet, size_t capacity, size_t *packet_bytes,
                                       const float *u, const float *v, size_t rank, size_t rows, size_t columns,
                                       void *scratch, size_t scratch_bytes) {
    dtc_status status;
    dtci_head head;
    if (packet_bytes) *packet_bytes = 0;
    if (!spec || !packet_bytes || (!packet && capacity) || (!u && rank && rows) || (!v && rank && columns))
        return DTC_ERROR_ARGUMENT;
    status = dtci_factors_head(&head, spec, rank, rows, columns);
    if (status != DTC_OK) return status;
#ifndef DTC_NO_FACTOR
    {
        size_t around = head.head_bytes + (head.checksum ? 4 : 0), bytes = 0;
        unsigned char *to = (unsigned char *)packet;
        dtci_source left, right;
        dtci_arena arena;
        if (capacity < around) return DTC_ERROR_CAPACITY;
        if (dtc_encode_factors_scratch(spec, rank, rows, columns) > (scratch ? scratch_bytes : 0))
            return DTC_ERROR_SCRATCH;
        left.values = u;
        right.values = v;
        left.residual = right.residual = NULL;
        head.has = dtci_ask(4 * rank * (rows + columns));
        if (!dtci_scan(&left, 0, rank * rows, head.has).finite ||
            !dtci_scan(&right, 0, rank * columns, head.has).finite)
            return DTC_ERROR_NONFINITE;
        arena.p = (unsigned char *)scratch;
        arena.left = scratch_bytes;
        status = dtci_factor_encode_given(spec, &head, to + head.head_bytes, capacity - around, &bytes, u, v, rank,
                                          columns, &arena);
        if (status != DTC_OK) return status;
        dtci_head_close(to, &head, bytes);
        *packet_bytes = head.packet_bytes;
    }
#else
    (void)scratch;
    (void)scratch_bytes;
#endif
    return status;
}

DTCI_API dtc_status dtc_decode_factors(float *u, float *v, size_t *rank, size_t rows, size_t columns,
                                       const void *packet, size_t packet_bytes, const dtc_decode_options *options,
                                       void *scratch, size_t scratch_bytes) {
    const unsigned char *from = (const unsigned char *)packet;
    size_t most = rank ? *rank : 0;
    dtc_status status;
    dtci_head head;
    dtci_arena arena;
    if (rank) *rank = 0;
    if (!rank || !packet || (!u && most && rows) || (!v && most && columns) ||
        (rows && columns > DTCI_COUNT_MAX / rows))
        return DTC_ERROR_ARGUMENT;
    status = dtci_decode_open(&head, &arena, rows * columns, from, packet_bytes, options, scratch, scratch_bytes);
    if (status != DTC_OK) return status;
    if (head.codec != DTC_FACTOR) return DTC_ERROR_CODEC;
    if (head.rows != rows) return DTC_ERROR_COUNT;
#ifndef DTC_NO_FACTOR
    {
        size_t found = dtci_get32(from + head.head_bytes);
        float *left, *right;
        if (found > most) return DTC_ERROR_CAPACITY;
        status = dtci_factor_open(&left, &right, &head, from + head.head_bytes, &arena);
        if (status != DTC_OK || !found) return status;
        memcpy(u, left, 4 * found * rows);
        memcpy(v, right, 4 * found * columns);
        *rank = found;
    }
#endif
    return status;
}

DTCI_API size_t dtc_circulant_vector_count(size_t rows, size_t columns, size_t block) {
    size_t down, across;
    if (!rows || !columns) return 0;
    if (!block) block = rows > columns ? rows : columns;
    down = dtci_ceil_div(rows, block);
    across = dtci_ceil_div(columns, block);
    return across > (size_t)-1 / sizeof(float) / block / down ? 0 : down * across * block;
}

/* The head of a packet of vectors that are given, and how many these are. */
DTCI_FN dtc_status dtci_circulant_head(dtci_head *head, size_t *vectors, const dtc_spec *spec, size_t rows,
                                       size_t columns) {
    dtc_spec shaped = *spec;
    dtc_status status = dtci_spec_check(spec);
    *vectors = dtc_circulant_vector_count(rows, columns, spec->block);
    if (status != DTC_OK) return status;
    if (spec->codec != DTC_CIRCULANT) return DTC_ERROR_CODEC;
    if (!*vectors || *vectors > DTCI_COUNT_MAX || columns > DTCI_COUNT_MAX / rows) return DTC_ERROR_ARGUMENT;
    shaped.rows = rows;
    return dtci_head_open(head, &shaped, rows * columns);
}

DTCI_API size_t dtc_encode_circulant_scratch(const dtc_spec *spec, size_t rows, size_t columns) {
    dtci_head head;
    size_t vectors;
    if (!spec || dtci_circulant_head(&head, &vectors, spec, rows, columns) != DTC_OK) return 0;
#ifndef DTC_NO_CIRCULANT
    return dtci_room(4 * vectors) + dtci_circulant_nest_scratch(&spec->circulant.value, vectors);
#else
    return 0;
#endif
}

DTCI_API dtc_status dtc_encode_circulant(const dtc_spec *spec, void *packet, size_t capacity, size_t *packet_bytes,
                                         const float *vectors, size_t rows, size_t columns, void *scratch,
                                         size_t scratch_bytes) {
    dtc_status status;
    dtci_head head;
    size_t count;
    if (packet_bytes) *packet_bytes = 0;
    if (!spec || !packet_bytes || (!packet && capacity) || !vectors) return DTC_ERROR_ARGUMENT;
    status = dtci_circulant_head(&head, &count, spec, rows, columns);
    if (status != DTC_OK) return status;
    if (dtc_encode_circulant_scratch(spec, rows, columns) > (scratch ? scratch_bytes : 0)) return DTC_ERROR_SCRATCH;
#ifndef DTC_NO_CIRCULANT
    {
        unsigned char *to = (unsigned char *)packet;
        size_t bytes = 0;
        dtci_source source;
        dtci_arena arena;
        source.values = vectors;
        source.residual = NULL;
        head.has = dtci_ask(4 * count);
        if (!dtci_scan(&source, 0, count, head.has).finite) return DTC_ERROR_NONFINITE;
        arena.p = (unsigned char *)scratch;
        arena.left = scratch_bytes;
        status = dtci_circulant_encode_given(spec, &head, to, capacity, &bytes, vectors, &arena);
        if (status != DTC_OK) return status;
        dtci_head_close(to, &head, bytes);
        *packet_bytes = head.packet_bytes;
    }
#endif
    return status;
}

DTCI_API dtc_status dtc_decode_circulant(float *vectors, size_t vector_count, const void *packet, size_t packet_bytes,
                                         const dtc_decode_options *options, void *scratch, size_t scratch_bytes) {
    const unsigned char *from = (const unsigned char *)packet;
    dtc_status status;
    dtci_head head;
    dtci_arena arena;
    size_t need;
    if ((!vectors && vector_count) || !packet) return DTC_ERROR_ARGUMENT;
    status = dtci_head_check(from, packet_bytes, &head, &need);
    if (status == DTC_OK)
        status = dtci_decode_open(&head, &arena, head.count, from, packet_bytes, options, scratch, scratch_bytes);
    if (status != DTC_OK) return status;
    if (head.codec != DTC_CIRCULANT) return DTC_ERROR_CODEC;
#ifndef DTC_NO_CIRCULANT
    {
        dtci_circulant c;
        float *read;
        (void)dtci_circulant_plan(&c, &head, head.block);
        if (vector_count != c.count) return DTC_ERROR_COUNT;
        status = dtci_circulant_open(&c, &read, &head, from + head.head_bytes, &arena);
        if (status == DTC_OK) memcpy(vectors, read, 4 * vector_count);
    }
#endif
    return status;
}

/* A whole packet, found sound in its head. */
typedef struct dtci_packet {
    dtci_head head;
    const unsigned char *payload;
} dtci_packet;

DTCI_FN dtc_status dtci_packet_open(dtci_packet *packet, const void *bytes, size_t size, size_t *decode_scratch) {
    const unsigned char *p = (const unsigned char *)bytes;
    dtc_status status = p ? dtci_head_check(p, size, &packet->head, decode_scratch) : DTC_ERROR_ARGUMENT;
    if (status != DTC_OK) return status;
    packet->payload = p + packet->head.head_bytes;
    return size == packet->head.packet_bytes ? DTC_OK : DTC_ERROR_SIZE;
}

DTCI_FN dtc_status dtci_packet_verify(dtci_packet *packet, unsigned has) {
    const unsigned char *p = packet->payload - packet->head.head_bytes;
    size_t bytes = packet->head.packet_bytes;
    packet->head.has = has;
    return packet->head.checksum && dtci_crc32c(p, bytes - 4, has) != dtci_get32(p + bytes - 4) ? DTC_ERROR_CHECKSUM
                                                                                                : DTC_OK;
}

DTCI_FN dtc_status dtci_packets_verify(dtci_packet *a, dtci_packet *b, unsigned has) {
    dtc_status status = dtci_packet_verify(a, has);
    return status == DTC_OK ? dtci_packet_verify(b, has) : status;
}

/* Whether fields of fixed width are packed: what adding reads once, from first to last. */
DTCI_FN int dtci_fixed(const dtci_head *head) {
#ifndef DTC_NO_TERNARY
    if (head->codec == DTC_TERNARY) return head->variant == DTCI_TERNARY_FIELDS;
#endif
#ifndef DTC_NO_QUANT
    if (head->codec == DTC_QUANT) return (head->variant >> 5 & 3) == DTCI_QUANT_FIELDS;
#endif
    (void)head;
    return 0;
}

/* Whether `end`, up to which crc was taken, is where a packet has this checksum, if it has any. */
DTCI_FN int dtci_check_good(const dtci_head *head, const unsigned char *end, uint32_t crc) {
    return !head->checksum || dtci_get32(end) == ~crc;
}

/* Opens two packets and the head of their sum; tells the payload's bytes at the most, and scratch. */
DTCI_FN dtc_status dtci_add_open(dtci_packet *a, const void *a_bytes, size_t a_size, dtci_packet *b,
                                 const void *b_bytes, size_t b_size, dtci_head *sum, size_t *bound, size_t *scratch) {
    size_t decode_scratch;
    dtc_status status = dtci_packet_open(a, a_bytes, a_size, &decode_scratch);
    if (status == DTC_OK) status = dtci_packet_open(b, b_bytes, b_size, &decode_scratch);
    if (status != DTC_OK) return status;
    if (a->head.codec != b->head.codec) return DTC_ERROR_INCOMPATIBLE_CODEC;
    if (a->head.count != b->head.count) return DTC_ERROR_INCOMPATIBLE_COUNT;
    if (a->head.rows != b->head.rows) return DTC_ERROR_INCOMPATIBLE_SHAPE;
    if (a->head.block != b->head.block) return DTC_ERROR_INCOMPATIBLE_BLOCK;
    if (a->head.seed != b->head.seed) return DTC_ERROR_INCOMPATIBLE_SEED;
    if (a->head.workers != b->head.workers) return DTC_ERROR_INCOMPATIBLE_WORKERS;
    if (a->head.terms + b->head.terms > a->head.workers) return DTC_ERROR_TERMS;
    *sum = a->head;
    sum->terms += b->head.terms;
    sum->checksum = a->head.checksum || b->head.checksum;
    *scratch = 0;
    switch (sum->codec) {
#ifndef DTC_NO_TERNARY
    case DTC_TERNARY: {
        dtci_head widest = *sum;
        widest.variant = DTCI_TERNARY_WIDE;
        *bound = dtci_ternary_bytes(&widest);
        *scratch = dtci_ternary_add_scratch(&a->head, &b->head);
        return DTC_OK;
    }
#endif
#ifndef DTC_NO_QUANT
    case DTC_QUANT:
        *bound = dtci_quant_sum_bytes(sum);
        *scratch = dtci_quant_add_scratch(&a->head, &b->head);
        return DTC_OK;
#endif
#ifndef DTC_NO_FACTOR
    case DTC_FACTOR: {
        size_t rank = (size_t)dtci_get32(a->payload) + dtci_get32(b->payload), columns = sum->count / sum->rows;
        if (dtci_factor_stores(rank, sum->rows, columns)) return DTC_ERROR_INCOMPATIBLE;
        *bound = 4 + 2 * 16 + 4 * rank * (sum->rows + columns);
        *scratch = dtci_factor_add_scratch(&a->head, a->payload, b->payload);
        return DTC_OK;
    }
#endif
#ifndef DTC_NO_SENSING
    case DTC_SENSING:
        return dtci_sensing_sum(&a->head, a->payload, &b->head, b->payload, bound, scratch);
#endif
#ifndef DTC_NO_CIRCULANT
    case DTC_CIRCULANT: {
        dtci_circulant c;
        (void)dtci_circulant_plan(&c, sum, sum->block);
        *bound = 16 + 4 * c.count;
        *scratch = dtci_circulant_add_scratch(sum);
        return DTC_OK;
    }
#endif
    default:
        *bound = dtci_raw_bytes(sum->count, sum->variant);
        return a->head.variant == b->head.variant ? DTC_OK : DTC_ERROR_INCOMPATIBLE_PACKING;
    }
}

DTCI_API size_t dtc_packet_add_bound(const void *a, size_t a_bytes, const void *b, size_t b_bytes) {
    dtci_packet first, second;
    dtci_head sum;
    size_t bound, scratch;
    if (dtci_add_open(&first, a, a_bytes, &second, b, b_bytes, &sum, &bound, &scratch) != DTC_OK) return 0;
    return sum.head_bytes + bound + (sum.checksum ? 4 : 0);
}

DTCI_API size_t dtc_packet_add_scratch(const void *a, size_t a_bytes, const void *b, size_t b_bytes) {
    dtci_packet first, second;
    dtci_head sum;
    size_t bound, scratch;
    if (dtci_add_open(&first, a, a_bytes, &second, b, b_bytes, &sum, &bound, &scratch) != DTC_OK) return 0;
    return scratch;
}

DTCI_API dtc_status dtc_packet_add(void *sum, size_t capacity, size_t *sum_bytes, const void *a, size_t a_bytes,
                                   const void *b, size_t b_bytes, void *scratch, size_t scratch_bytes) {
    unsigned char *to = (unsigned char *)sum;
    dtci_packet first, second;
    dtci_check check, *late = NULL;
    dtci_arena arena;
    dtci_head head;
    size_t bound, need, bytes = 0, around;
    dtc_status status;
    if (sum_bytes) *sum_bytes = 0;
    if (!sum_bytes || (!sum && capacity)) return DTC_ERROR_ARGUMENT;
    status = dtci_add_open(&first, a, a_bytes, &second, b, b_bytes, &head, &bound, &need);
    if (status != DTC_OK) return status;
    head.has = dtci_ask(a_bytes + b_bytes);
    if (dtci_fixed(&first.head) && dtci_fixed(&second.head) && sum != a && sum != b) {
        check.a = (const unsigned char *)a;
        check.b = (const unsigned char *)b;
        check.sum = to;
        check.crc_a = check.crc_b = check.crc_sum = 0xffffffffu;
        late = &check;
    } else {
        status = dtci_packets_verify(&first, &second, head.has);
        if (status != DTC_OK) return status;
    }
    around = head.head_bytes + (head.checksum ? 4 : 0);
    if (capacity < around) return DTC_ERROR_CAPACITY;
    if (need > (scratch ? scratch_bytes : 0)) return DTC_ERROR_SCRATCH;
    capacity -= around;
    if (late) { /* the sum has the size of its terms */
        head.packet_bytes = (uint32_t)(around + dtci_payload_bytes(&first.head));
        dtci_head_write(to, &head);
    }
    to += head.head_bytes;
    arena.p = (unsigned char *)scratch;
    arena.left = scratch_bytes;
    (void)arena;
    switch (head.codec) {
#ifndef DTC_NO_TERNARY
    case DTC_TERNARY:
        status = dtci_ternary_add(&head, to, capacity, &bytes, &first.head, first.payload, &second.head, second.payload,
                                  &arena, late);
        break;
#endif
#ifndef DTC_NO_QUANT
    case DTC_QUANT:
        status = dtci_quant_add(&head, to, capacity, &bytes, &first.head, first.payload, &second.head, second.payload,
                                &arena, late);
        break;
#endif
#ifndef DTC_NO_FACTOR
    case DTC_FACTOR:
        status = dtci_factor_add(&head, to, capacity, &bytes, &first.head, first.payload, &second.head, second.payload,
                                 &arena);
        break;
#endif
#ifndef DTC_NO_SENSING
    case DTC_SENSING:
        status =
            dtci_sensing_add(to, capacity, &bytes, &first.head, first.payload, &second.head, second.payload, &arena);
        break;
#endif
#ifndef DTC_NO_CIRCULANT
    case DTC_CIRCULANT:
        status =
            dtci_circulant_add(to, capacity, &bytes, &first.head, first.payload, &second.head, second.payload, &arena);
        break;
#endif
    default:
        status = dtci_raw_add(&head, to, capacity, &bytes, first.payload, second.payload);
    }
    if (late && (status != DTC_OK || !dtci_check_good(&first.head, check.a, check.crc_a) ||
                 !dtci_check_good(&second.head, check.b, check.crc_b))) {
        dtc_status found = dtci_packets_verify(&first, &second, head.has);
        if (found != DTC_OK) status = found;
    }
    if (status != DTC_OK) return status;
    if (!late)
        dtci_head_close((unsigned char *)sum, &head, bytes);
    else if (head.checksum)
        dtci_put32(to + bytes, ~check.crc_sum);
    *sum_bytes = head.packet_bytes;
    return DTC_OK;
}

DTCI_API dtc_status dtc_packet_scale(void *packet, size_t packet_bytes, float weight) {
    unsigned char *p = (unsigned char *)packet, *payload;
    dtci_packet opened;
    size_t decode_scratch;
    dtc_status status = dtci_packet_open(&opened, packet, packet_bytes, &decode_scratch);
    if (!dtci_finite(weight)) return DTC_ERROR_ARGUMENT;
    if (status == DTC_OK) status = dtci_packet_verify(&opened, dtci_ask(packet_bytes));
    if (status != DTC_OK) return status;
    payload = p + opened.head.head_bytes;
    switch (opened.head.codec) {
#ifndef DTC_NO_TERNARY
    case DTC_TERNARY:
        status = dtci_scales_scale(payload, dtci_blocks(&opened.head), 4, weight);
        break;
#endif
#ifndef DTC_NO_QUANT
    case DTC_QUANT:
        status = dtci_quant_scale(&opened.head, payload, weight);
        break;
#endif
#ifndef DTC_NO_FACTOR
    case DTC_FACTOR:
        status = dtci_factor_scale(&opened.head, payload, weight);
        break;
#endif
#ifndef DTC_NO_SENSING
    case DTC_SENSING:
        status = dtci_nest_scale(payload + 4, dtci_payload_bytes(&opened.head) - 4, weight);
        break;
#endif
#ifndef DTC_NO_CIRCULANT
    case DTC_CIRCULANT:
        status = dtci_nest_scale(payload, dtci_payload_bytes(&opened.head), weight);
        break;
#endif
    default:
        status = dtci_raw_scale(&opened.head, payload, weight);
    }
    if (status == DTC_OK && opened.head.checksum)
        dtci_put32(p + packet_bytes - 4, dtci_crc32c(p, packet_bytes - 4, opened.head.has));
    return status;
}

DTCI_API size_t dtc_packet_matvec_scratch(const void *packet, size_t packet_bytes, int transposed) {
    dtci_packet opened;
    size_t scratch, rows;
    if (dtci_packet_open(&opened, packet, packet_bytes, &scratch) != DTC_OK) return 0;
    rows = opened.head.rows ? opened.head.rows : 1;
    return scratch + dtci_room(sizeof(double) * (transposed ? opened.head.count / rows : rows));
}

DTCI_API dtc_status dtc_packet_matvec(float *y, const void *packet, size_t packet_bytes, const float *x, int transposed,
                                      void *scratch, size_t scratch_bytes) {
    dtci_packet opened;
    dtci_sink sink;
    dtci_arena arena;
    size_t need, rows, outputs, i;
    dtc_status status = dtci_packet_open(&opened, packet, packet_bytes, &need);
    if (status != DTC_OK) return status;
    rows = opened.head.rows ? opened.head.rows : 1;
    memset(&sink, 0, sizeof sink);
    sink.columns = opened.head.count / rows;
    outputs = transposed ? sink.columns : rows;
    if ((!x && opened.head.count) || (!y && outputs)) return DTC_ERROR_ARGUMENT;
    need = dtc_packet_matvec_scratch(packet, packet_bytes, transposed);
    if (need > (scratch ? scratch_bytes : 0)) return DTC_ERROR_SCRATCH;
    arena.p = (unsigned char *)scratch;
    arena.left = scratch_bytes;
    sink.kind = transposed ? DTCI_SINK_COLUMNS : DTCI_SINK_ROWS;
    sink.x = x;
    sink.sums = (double *)dtci_take(&arena, outputs * sizeof(double));
    if (!sink.sums) return DTC_ERROR_SCRATCH;
    memset(sink.sums, 0, outputs * sizeof(double));
#ifndef DTC_NO_FACTOR
    if (opened.head.codec == DTC_FACTOR) {
        status = dtci_packet_verify(&opened, dtci_ask(packet_bytes));
        if (status == DTC_OK)
            status = dtci_factor_matvec(sink.sums, &opened.head, opened.payload, x, transposed, &arena);
    } else
#endif
        status = dtci_decode(&sink, opened.head.count, (const unsigned char *)packet, packet_bytes, NULL, arena.p,
                             arena.left);
    for (i = 0; i < outputs && status == DTC_OK; i++) {
        double sum = sink.sums[i];
        float bounded = (float)(sum > (double)FLT_MAX    ? (double)FLT_MAX
                                : sum < -(double)FLT_MAX ? -(double)FLT_MAX
                                                         : sum);
        memcpy((char *)y + 4 * i, &bounded, 4);
    }
    return status;
}

DTCI_API const char *dtc_status_string(dtc_status status) {
    switch (status) {
    case DTC_OK:
        return "no error";
    case DTC_ERROR_ARGUMENT:
        return "an argument is unusable: a null pointer, a count past 2^30 - 256, or a weight that is not finite";
    case DTC_ERROR_SPEC:
        return "a field of the spec is out of its range, or excludes another; see dtc_spec";
    case DTC_ERROR_COUNT:
        return "count is not the packet's own; ask dtc_inspect for it";
    case DTC_ERROR_SPEC_CODEC:
        return "the spec's text does not begin with a codec: raw, ternary, quant, factor, sensing or circulant";
    case DTC_ERROR_SPEC_KEY:
        return "the spec's text has a key that this codec does not know, that was given before, or that another "
               "excludes";
    case DTC_ERROR_SPEC_VALUE:
        return "the spec's text has a value that its key does not take, or out of its range";
    case DTC_ERROR_CAPACITY:
        return "the output does not fit into its capacity; dtc_encode_bound tells what is enough";
    case DTC_ERROR_SCRATCH:
        return "scratch is too small; ask dtc_encode_scratch, or dtc_inspect for decode_scratch";
    case DTC_ERROR_TRUNCATED:
        return "the packet is cut short: fewer bytes than its head says";
    case DTC_ERROR_MAGIC:
        return "not a dtcodec packet: the first byte is wrong";
    case DTC_ERROR_HEAD:
        return "malformed packet: a field of its head is out of its range";
    case DTC_ERROR_SIZE:
        return "malformed packet: its size is not the one that its head implies, or bytes follow it";
    case DTC_ERROR_CHECKSUM:
        return "the packet was damaged on its way: its checksum does not match";
    case DTC_ERROR_PAYLOAD:
        return "malformed packet: its payload is not one that an encoder makes";
    case DTC_ERROR_WIRE_VERSION:
        return "the packet is of another wire version; sender and receiver need the same";
    case DTC_ERROR_CODEC:
        return "this codec is unknown to this build, was left out of it, or is not the one that this call is for";
    case DTC_ERROR_NONFINITE:
        return "a value is NaN or infinite; skip the step, or send it with the raw codec";
    case DTC_ERROR_LIMIT:
        return "the packet asks for more than this machine or the decode options allow";
    case DTC_ERROR_INCOMPATIBLE:
        return "the sum of these packets would be larger than its values: decode them and add";
    case DTC_ERROR_INCOMPATIBLE_CODEC:
        return "packets of different codecs cannot be added; one may have been stored as raw";
    case DTC_ERROR_INCOMPATIBLE_COUNT:
        return "packets of different counts cannot be added";
    case DTC_ERROR_INCOMPATIBLE_SHAPE:
        return "packets of different shapes cannot be added: rows or measurements differ";
    case DTC_ERROR_INCOMPATIBLE_BLOCK:
        return "packets of different blocks cannot be added";
    case DTC_ERROR_INCOMPATIBLE_SEED:
        return "packets rotated or measured by different seeds cannot be added; give the workers the same one";
    case DTC_ERROR_INCOMPATIBLE_GRID:
        return "packets of different scales cannot be added; give the workers the same scale, or min and max, and bits";
    case DTC_ERROR_INCOMPATIBLE_PACKING:
        return "packets of different packing cannot be added: types differ, or one is entropy coded and one is not";
    case DTC_ERROR_INCOMPATIBLE_WORKERS:
        return "packets with room for different numbers of workers cannot be added";
    case DTC_ERROR_TERMS:
        return "the sum would be one of more packets than there is room for; encode with a larger workers=";
    default:
        return "unknown status";
    }
}

/* --------------------------------------------------------------------------------------------------------------------
 * Specs as text
 * ------------------------------------------------------------------------------------------------------------------*/

typedef enum dtci_key_kind {
    DTCI_KEY_WORD,  /* an enum, by the words for 0, 1, 2, … */
    DTCI_KEY_INT,   /* "auto" is 0 where words is "auto" */
    DTCI_KEY_FLOAT, /* likewise */
    DTCI_KEY_GIVEN, /* a float that may be 0, and the int that tells it from auto */
    DTCI_KEY_U32,
    DTCI_KEY_SIZE,
    DTCI_KEY_U64,
    DTCI_KEY_NOT,  /* an int that holds the opposite */
    DTCI_KEY_VALUE /* a dtc_value: the word of a type, or bits */
} dtci_key_kind;

typedef struct dtci_key {
    char name[12];  /* arrays, so that the table holds no addresses and stays read-only wherever it is loaded */
    char words[20]; /* separated by | */
    int codec;      /* or -1: all */
    dtci_key_kind kind;
    size_t offset;
    double low, high; /* of numbers */
    size_t given;     /* DTCI_KEY_GIVEN: the int's offset */
    unsigned group;   /* keys of one group exclude each other */
} dtci_key;

#define DTCI_AT(field) offsetof(dtc_spec, field)
#define DTCI_FLOAT_MAX 3.40282356e38 /* whatever rounds to FLT_MAX */
#define DTCI_SIZE_MAX  1073741568.0  /* DTCI_COUNT_MAX */

static const dtci_key dtci_keys[] = {
    {"type", "fp32|bf16|fp16", DTC_RAW, DTCI_KEY_WORD, DTCI_AT(raw.type), 0, 0, 0, 0},
    {"clip", "", DTC_TERNARY, DTCI_KEY_FLOAT, DTCI_AT(ternary.clip), 0, DTCI_FLOAT_MAX, 0, 0},
    {"scale", "auto", DTC_TERNARY, DTCI_KEY_FLOAT, DTCI_AT(ternary.scale), 0, DTCI_FLOAT_MAX, 0, 0},
    {"pack", "huffman|base3", DTC_TERNARY, DTCI_KEY_WORD, DTCI_AT(ternary.pack), 0, 0, 0, 0},
    {"bits", "auto", DTC_QUANT, DTCI_KEY_INT, DTCI_AT(quant.bits), 1, 16, 0, 1},
    {"floor", "", DTC_QUANT, DTCI_KEY_INT, DTCI_AT(quant.floor), 1, 12, 0, 0},
    {"probe", "", DTC_QUANT, DTCI_KEY_INT, DTCI_AT(quant.probe), 1, 8, 0, 0},
    {"sample", "", DTC_QUANT, DTCI_KEY_FLOAT, DTCI_AT(quant.sample), 0, 1, 0, 0},
    {"rate", "", DTC_QUANT, DTCI_KEY_FLOAT, DTCI_AT(quant.rate), 0.05, 32, 0, 1},
    {"max-error", "", DTC_QUANT, DTCI_KEY_FLOAT, DTCI_AT(quant.max_error), 0, DTCI_FLOAT_MAX, 0, 1},
    {"rounding", "nearest|stochastic", DTC_QUANT, DTCI_KEY_WORD, DTCI_AT(quant.rounding), 0, 0, 0, 0},
    {"entropy", "huffman|none", DTC_QUANT, DTCI_KEY_WORD, DTCI_AT(quant.entropy), 0, 0, 0, 0},
    {"grid", "zero|even", DTC_QUANT, DTCI_KEY_WORD, DTCI_AT(quant.grid), 0, 0, 0, 0},
    {"rotate", "0|1", DTC_QUANT, DTCI_KEY_WORD, DTCI_AT(quant.rotate), 0, 0, 0, 0},
    {"min", "auto", DTC_QUANT, DTCI_KEY_GIVEN, DTCI_AT(quant.min), -DTCI_FLOAT_MAX, DTCI_FLOAT_MAX,
     DTCI_AT(quant.min_given), 0},
    {"max", "auto", DTC_QUANT, DTCI_KEY_GIVEN, DTCI_AT(quant.max), -DTCI_FLOAT_MAX, DTCI_FLOAT_MAX,
     DTCI_AT(quant.max_given), 0},
    {"rank", "", DTC_FACTOR, DTCI_KEY_INT, DTCI_AT(factor.rank), 1, 65535, 0, 0},
    {"value", "fp32|bf16|fp16", DTC_FACTOR, DTCI_KEY_VALUE, DTCI_AT(factor.value), 1, 16, 0, 0},
    {"ratio", "", DTC_SENSING, DTCI_KEY_FLOAT, DTCI_AT(sensing.ratio), 0, 1, 0, 0},
    {"bits", "", DTC_SENSING, DTCI_KEY_INT, DTCI_AT(sensing.bits), 1, 32, 0, 0},
    {"scale", "auto", DTC_SENSING, DTCI_KEY_FLOAT, DTCI_AT(sensing.scale), 0, DTCI_FLOAT_MAX, 0, 0},
    {"value", "fp32|bf16|fp16", DTC_CIRCULANT, DTCI_KEY_VALUE, DTCI_AT(circulant.value), 1, 16, 0, 0},
    {"rows", "", -1, DTCI_KEY_SIZE, DTCI_AT(rows), 1, DTCI_SIZE_MAX, 0, 0},
    {"seed", "", -1, DTCI_KEY_U64, DTCI_AT(seed), 0, 18446744073709551615.0, 0, 0},
    {"block", "", -1, DTCI_KEY_SIZE, DTCI_AT(block), 0, DTCI_SIZE_MAX, 0, 0},
    {"workers", "", -1, DTCI_KEY_U32, DTCI_AT(workers), 1, 65535, 0, 0},
    {"checksum", "0|1", -1, DTCI_KEY_NOT, DTCI_AT(no_checksum), 0, 0, 0, 0},
};

#define DTCI_KEYS (sizeof dtci_keys / sizeof dtci_keys[0])

static const char dtci_codec_names[] = "raw|ternary|quant|factor|sensing|circulant"; /* in the order of dtc_codec */

/* The length of a name in an array; bounded, or compilers make a call of it. */
DTCI_FN size_t dtci_length(const char name[12]) {
    size_t n = 0;
    while (n < 12 && name[n]) n++;
    return n;
}

/* The word of that number among words, and its length. */
DTCI_FN const char *dtci_word_at(const char *words, uint64_t number, size_t *n) {
    for (; number; number--) {
        while (*words != '|') words++;
        words++;
    }
    for (*n = 0; words[*n] && words[*n] != '|';) ++*n;
    return words;
}

/* Not memcmp: some compilers import bcmp for it. */
DTCI_FN int dtci_same(const char *a, const char *b, size_t n) {
    while (n && *a == *b) a++, b++, n--;
    return n == 0;
}

/* The number of the word text[0..n) among words; -1: none. */
DTCI_FN int dtci_word(const char *words, const char *text, size_t n) {
    int number = 0;
    while (*words) {
        size_t length = 0;
        while (words[length] && words[length] != '|') length++;
        if (length == n && dtci_same(words, text, n)) return number;
        words += length + (words[length] == '|');
        number++;
    }
    return -1;
}

/* 10^e for any e a float may need; exact to 10^22, then within a few units in the last place of double. */
DTCI_FN double dtci_power10(int e) {
    double power = 1, base = 10;
    unsigned n = e < 0 ? 0u - (unsigned)e : (unsigned)e;
    for (; n; n >>= 1, base *= base)
        if (n & 1) power *= base;
    return e < 0 ? 1 / power : power;
}

/* digits * 10^e, by one multiplication or division with a power that is exact up to 10^22. */
DTCI_FN double dtci_decimal(uint64_t digits, int e) {
    return e < 0 ? (double)digits / dtci_power10(-e) : (double)digits * dtci_power10(e);
}

/* Reads text[0..n), all of it, as an unsigned integer. */
DTCI_FN int dtci_read_integer(const char *text, size_t n, uint64_t *value) {
    size_t i;
    *value = 0;
    for (i = 0; i < n; i++) {
        uint64_t digit = (uint64_t)(unsigned char)text[i] - '0';
        if (digit > 9 || *value > (UINT64_MAX - digit) / 10) return 0;
        *value = *value * 10 + digit;
    }
    return n > 0;
}

/* Reads text[0..n), all of it, as [-]digits[.digits][e[+|-]digits]. */
DTCI_FN int dtci_read_number(const char *text, size_t n, double *value) {
    uint64_t digits = 0, power = 0;
    int e = 0, any = 0, negative = n && text[0] == '-', point = 0;
    size_t i = (size_t)negative;
    for (; i < n && (text[i] == '.' || (text[i] >= '0' && text[i] <= '9')); i++) {
        if (text[i] == '.') {
            if (point++) return 0;
            continue;
        }
        any = 1;
        if (digits < 100000000000000000u) {
            digits = digits * 10 + (uint64_t)(text[i] - '0');
            e -= point;
        } else {
            e += !point;
        }
    }
    if (!any) return 0;
    if (i < n && (text[i] == 'e' || text[i] == 'E')) {
        int minus = ++i < n && text[i] == '-';
        if (i < n && (text[i] == '-' || text[i] == '+')) i++;
        if (!dtci_read_integer(text + i, n - i, &power) || power > 400) return 0;
        e += minus ? -(int)power : (int)power;
        i = n;
    }
    if (i < n || e > 60 || e < -100) return 0;
    *value = dtci_decimal(digits, e);
    if (negative) *value = -*value;
    return 1;
}

DTCI_FN int dtci_key_read(const dtci_key *key, const char *text, size_t n, dtc_spec *spec) {
    char *field = (char *)spec + key->offset;
    int is_auto = n == 4 && dtci_same(text, "auto", 4) && key->words[0] == 'a';
    uint64_t integer = 0;
    double number = 0;
    uint32_t u32;
    size_t size;
    float real;
    int word;
    dtc_value coded;
    switch (key->kind) {
    case DTCI_KEY_VALUE:
        memset(&coded, 0, sizeof coded);
        word = dtci_word(key->words, text, n);
        if (word >= 0) coded.type = (dtc_type)word;
        if (word < 0 &&
            (!dtci_read_integer(text, n, &integer) || (double)integer < key->low || (double)integer > key->high))
            return 0;
        coded.bits = (int)(integer & 0x7fffffff);
        memcpy(field, &coded, sizeof coded);
        return 1;
    case DTCI_KEY_WORD:
    case DTCI_KEY_NOT:
        word = dtci_word(key->words, text, n);
        if (word < 0) return 0;
        if (key->kind == DTCI_KEY_NOT) word = !word;
        memcpy(field, &word, sizeof word);
        return 1;
    case DTCI_KEY_FLOAT:
    case DTCI_KEY_GIVEN:
        if (is_auto) return 1;
        if (!dtci_read_number(text, n, &number) || number < key->low || number > key->high) return 0;
        real = (float)number;
        if (key->kind == DTCI_KEY_FLOAT && !(real > 0)) return 0; /* 0 would be the default */
        memcpy(field, &real, sizeof real);
        word = 1;
        if (key->kind == DTCI_KEY_GIVEN) memcpy((char *)spec + key->given, &word, sizeof word);
        return 1;
    default:
        if (is_auto) return 1;
        if (!dtci_read_integer(text, n, &integer)) return 0;
        if ((double)integer < key->low || (double)integer > key->high) return 0;
        word = (int)(integer & 0x7fffffff);
        u32 = (uint32_t)(integer & 0xffffffffu);
        size = (size_t)integer;
        if (key->kind == DTCI_KEY_INT) memcpy(field, &word, sizeof word);
        if (key->kind == DTCI_KEY_U32) memcpy(field, &u32, sizeof u32);
        if (key->kind == DTCI_KEY_SIZE) memcpy(field, &size, sizeof size);
        if (key->kind == DTCI_KEY_U64) memcpy(field, &integer, sizeof integer);
        return 1;
    }
}

DTCI_API dtc_status dtc_spec_parse(const char *text, dtc_spec *spec, const char **error_at) {
    const char *at = text;
    uint32_t seen = 0, groups = 0;
    dtc_spec parsed;
    dtc_status status = DTC_OK;
    size_t i, n = 0;
    int codec;
    if (error_at) *error_at = text;
    if (!spec) return DTC_ERROR_ARGUMENT;
    memset(spec, 0, sizeof *spec);
    if (!text) return DTC_ERROR_ARGUMENT;
    memset(&parsed, 0, sizeof parsed);
    while (at[n] && at[n] != ':') n++;
    codec = dtci_word(dtci_codec_names, at, n);
    if (codec < 0) return DTC_ERROR_SPEC_CODEC;
    parsed.codec = (dtc_codec)codec;
    at += n;
    while (status == DTC_OK && *at) { /* at a colon or a comma */
        const dtci_key *key = NULL;
        const char *value;
        at++;
        for (n = 0; at[n] && at[n] != '=' && at[n] != ','; n++) {
        }
        for (i = 0; i < DTCI_KEYS && !key; i++)
            if ((dtci_keys[i].codec < 0 || dtci_keys[i].codec == (int)parsed.codec) &&
                dtci_length(dtci_keys[i].name) == n && dtci_same(dtci_keys[i].name, at, n))
                key = &dtci_keys[i];
        if (!key || seen >> (key - dtci_keys) & 1 || (key->group && groups >> key->group & 1)) {
            status = DTC_ERROR_SPEC_KEY;
            break;
        }
        seen |= 1u << (key - dtci_keys);
        groups |= 1u << key->group;
        value = at + n + (at[n] == '=');
        for (n = 0; value[n] && value[n] != ','; n++) {
        }
        at = value;
        if (!dtci_key_read(key, value, n, &parsed))
            status = DTC_ERROR_SPEC_VALUE;
        else
            at += n;
    }
    if (status == DTC_OK) {
        dtc_status check = dtci_spec_check(&parsed);
        if (check == DTC_ERROR_SPEC) { /* each value is in its range: two of them exclude each other */
            status = DTC_ERROR_SPEC_VALUE;
            while (at > text && at[-1] != '=') at--;
        }
    }
    if (error_at) *error_at = at;
    if (status == DTC_OK) *spec = parsed;
    return status;
}

/* Text that grows up to a capacity. */
typedef struct dtci_text {
    char *text;
    size_t length, capacity;
} dtci_text;

DTCI_FN void dtci_text_add(dtci_text *to, const char *text, size_t n) {
    if (to->length + n < to->capacity) memcpy(to->text + to->length, text, n);
    to->length += n;
}

DTCI_FN void dtci_text_integer(dtci_text *to, uint64_t value) {
    char digits[20];
    size_t n = sizeof digits;
    do digits[--n] = (char)('0' + value % 10);
    while (value /= 10);
    dtci_text_add(to, digits + n, sizeof digits - n);
}

/* digits / 10^places */
DTCI_FN void dtci_text_fraction(dtci_text *to, uint64_t digits, int places) {
    uint64_t power = 1;
    for (; places > 0; places--) power *= 10;
    dtci_text_integer(to, digits / power);
    if (power > 1) dtci_text_add(to, ".", 1);
    while (power > 1) {
        char digit;
        digits %= power;
        power /= 10;
        digit = (char)('0' + digits / power);
        dtci_text_add(to, &digit, 1);
    }
}

/* The fewest digits that read back to the same float. */
DTCI_FN void dtci_text_float(dtci_text *to, float value) {
    double magnitude = (double)(value < 0 ? -value : value);
    uint64_t digits = 0, scale;
    int places, e = 0;
    if (value < 0) dtci_text_add(to, "-", 1);
    for (places = 1; places <= 12 && magnitude > 0; places++) { /* significant ones */
        double scaled;
        e = -60;
        while (dtci_decimal(1, e + places) <= magnitude) e++; /* 10^(e+places-1) <= magnitude < 10^(e+places) */
        scaled = e < 0 ? magnitude * dtci_power10(-e) : magnitude / dtci_power10(e);
        digits = (uint64_t)(scaled + 0.5);
        if ((float)dtci_decimal(digits, e) == (float)magnitude) break;
    }
    while (digits && digits % 10 == 0) {
        digits /= 10;
        e++;
    }
    for (scale = 1, places = 0; digits / scale > 9; places++) scale *= 10; /* digits / scale is the first digit */
    if (e >= 0 && e + places < 8) {
        for (; e > 0; e--) digits *= 10;
        dtci_text_integer(to, digits);
    } else if (e < 0 && e >= -8) {
        dtci_text_fraction(to, digits, -e);
    } else {
        e += places;
        dtci_text_fraction(to, digits, places);
        dtci_text_add(to, e < 0 ? "e-" : "e", e < 0 ? 2 : 1);
        dtci_text_integer(to, (uint64_t)(e < 0 ? -e : e));
    }
}

DTCI_API dtc_status dtc_spec_format(const dtc_spec *spec, char *text, size_t capacity) {
    const char *word_text;
    dtci_text to;
    dtc_status status;
    size_t i, n;
    char separator = ':';
    if (!spec || (!text && capacity)) return DTC_ERROR_ARGUMENT;
    if (capacity) text[0] = 0;
    status = dtci_spec_check(spec);
    if (status != DTC_OK) return status;
    to.text = text;
    to.length = 0;
    to.capacity = capacity;
    word_text = dtci_word_at(dtci_codec_names, (uint64_t)spec->codec, &n);
    dtci_text_add(&to, word_text, n);
    for (i = 0; i < DTCI_KEYS; i++) {
        const dtci_key *key = &dtci_keys[i];
        const char *field = (const char *)spec + key->offset;
        uint64_t integer = 0;
        float real = 0;
        int word = 0, given = 0, words = key->kind == DTCI_KEY_WORD;
        if (key->codec >= 0 && key->codec != (int)spec->codec) continue;
        switch (key->kind) {
        case DTCI_KEY_WORD:
        case DTCI_KEY_NOT:
        case DTCI_KEY_INT:
            memcpy(&word, field, sizeof word);
            integer = (uint64_t)(unsigned)word;
            given = word != 0;
            break;
        case DTCI_KEY_FLOAT:
        case DTCI_KEY_GIVEN:
            memcpy(&real, field, sizeof real);
            given = real > 0;
            if (key->kind == DTCI_KEY_GIVEN) memcpy(&given, (const char *)spec + key->given, sizeof given);
            break;
        case DTCI_KEY_U32:
            integer = spec->workers;
            given = integer != 0;
            break;
        case DTCI_KEY_SIZE: {
            size_t size;
            memcpy(&size, field, sizeof size);
            integer = size;
            given = size != 0;
            break;
        }
        case DTCI_KEY_U64:
            memcpy(&integer, field, sizeof integer);
            given = integer != 0;
            break;
        case DTCI_KEY_VALUE: {
            dtc_value coded;
            memcpy(&coded, field, sizeof coded);
            given = coded.type != DTC_TYPE_FP32 || coded.bits;
            words = coded.type != DTC_TYPE_FP32;
            integer = coded.bits ? (uint64_t)(unsigned)coded.bits : (uint64_t)(unsigned)coded.type;
            break;
        }
        }
        if (!given) continue;
        dtci_text_add(&to, &separator, 1);
        separator = ',';
        dtci_text_add(&to, key->name, dtci_length(key->name));
        dtci_text_add(&to, "=", 1);
        if (words) {
            word_text = dtci_word_at(key->words, integer, &n);
            dtci_text_add(&to, word_text, n);
        } else if (key->kind == DTCI_KEY_FLOAT || key->kind == DTCI_KEY_GIVEN) {
            dtci_text_float(&to, real);
        } else {
            dtci_text_integer(&to, key->kind == DTCI_KEY_NOT ? 0 : integer);
        }
    }
    if (to.length >= capacity) {
        if (capacity) text[0] = 0;
        return DTC_ERROR_CAPACITY;
    }
    text[to.length] = 0;
    return DTC_OK;
}

#ifdef __cplusplus
}
#endif

/* Nothing internal is left behind but the mark that the implementation was there. */
#undef DTCI_ALIGN
#undef DTCI_API
#undef DTCI_AT
#undef DTCI_AVX2
#undef DTCI_AVX2_INLINE
#undef DTCI_CHECK_BYTES
#undef DTCI_CHUNK
#undef DTCI_CODE_MAX
#undef DTCI_COUNT_MAX
#undef DTCI_CRC_ARM
#undef DTCI_CRC_STREAM
#undef DTCI_DOUBLES
#undef DTCI_FACTOR_MORE
#undef DTCI_FACTOR_NOISE
#undef DTCI_FACTOR_PASSES
#undef DTCI_FACTOR_RANK
#undef DTCI_FACTOR_ROWS
#undef DTCI_FLAG_BLOCK
#undef DTCI_FLAG_CHECKSUM
#undef DTCI_FLAG_ROWS
#undef DTCI_FLAG_SEED
#undef DTCI_FLAG_WORKERS
#undef DTCI_FN
#undef DTCI_HADAMARD_FLOAT
#undef DTCI_HADAMARD_INTEGER
#undef DTCI_HADAMARD_LANES_4
#undef DTCI_HADAMARD_LANES_8
#undef DTCI_HADAMARD_MAX
#undef DTCI_HADAMARD_NEAR
#undef DTCI_HADAMARD_PASS
#undef DTCI_HADAMARD_TILE
#undef DTCI_VECTORS
#undef DTCI_HAS_AVX2
#undef DTCI_HAS_CRC
#undef DTCI_INLINE
#undef DTCI_KEYS
#undef DTCI_LOOKUP_BITS
#undef DTCI_MAGIC
#undef DTCI_QUANT_BITS_MAX
#undef DTCI_QUANT_CONSTANT
#undef DTCI_QUANT_FIELDS
#undef DTCI_QUANT_HALVES
#undef DTCI_QUANT_LOWEST
#undef DTCI_QUANT_ROTATED
#undef DTCI_QUANT_TOKENS
#undef DTCI_QUANT_WIDE
#undef DTCI_RESTRICT
#undef DTCI_RUN_MAX
#undef DTCI_RUN_SHORT
#undef DTCI_RUNS
#undef DTCI_FLOAT_MAX
#undef DTCI_SENSING_BLOCK
#undef DTCI_SENSING_LANES
#undef DTCI_SENSING_PASS
#undef DTCI_SIZE_MAX
#undef DTCI_STREAMS
#undef DTCI_STREAMS_FROM
#undef DTCI_SYMBOLS
#undef DTCI_TERNARY_BASE3
#undef DTCI_TERNARY_CHUNK
#undef DTCI_TERNARY_DIGITS
#undef DTCI_TERNARY_FIELDS
#undef DTCI_TERNARY_ROOM
#undef DTCI_TERNARY_TOKENS
#undef DTCI_TERNARY_WIDE
#undef DTCI_TERNARY_WORKERS
#undef DTCI_TERNARY_ZERO
#undef DTCI_TOKENS_HEAD
#undef DTCI_TRITS
#undef DTCI_TWIN
#undef DTCI_X86

#endif /* implementation */

/* Change log
 *
 * 0.2.0  rotation, factor, sensing and circulant; pairs of bins; sums, multiples and products of packets
 * 0.1.0  raw, ternary and quant; wire version 0
 */
