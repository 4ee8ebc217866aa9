/* dtcodec.h: small self-describing packets for gradients and parameters, in one C99 header.
 *
 * SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the dtcodec authors
 *
 * The encoder turns an array of floats into a packet that is smaller than the floats. The decoder turns the packet back
 * into floats. Any trainer can use the packets, and any transport can carry them.
 *
 * CONTENTS
 *
 *     Manual              first use, codecs, adding packets, glossary, contracts, configuration, building
 *     Wire format         head, codecs, nested packets, fields, tokens, random numbers, example packets
 *     Declarations        statuses, specs, encoding, decoding, computing with packets, factors, circulant matrices
 *     Implementation      present with DTCODEC_IMPLEMENTATION or DTC_STATIC only; its rooms, each with a banner:
 *         Compiler and SIMD
 *         Bytes and checked arithmetic
 *         CRC-32C
 *         Source and sink
 *         Scanning
 *         Bit reader and writer
 *         Fields
 *         Scratch
 *         Random numbers
 *         Packet head
 *         Codec interface
 *         Huffman tokens
 *         Bins
 *         Coded scales
 *         Outliers
 *         Hadamard transform
 *         raw
 *         ternary
 *         quant
 *         Nested packets
 *         factor
 *         sensing
 *         circulant
 *         Table of codecs
 *         Encoding and inspecting
 *         Decoding
 *         Adding, scaling and multiplying packets
 *         Messages
 *         Statuses in words
 *         Specs as text
 *     End                 #undef of every internal macro, change log
 */

/* ====================================================================================================================
 * MANUAL
 * ====================================================================================================================
 *
 * FIRST USE
 *
 * Exactly one file of the program defines DTCODEC_IMPLEMENTATION before it includes the header:
 *
 *     #define DTCODEC_IMPLEMENTATION
 *     #include "dtcodec.h"
 *
 * Every other file includes the header without that macro. Instead of this, any file may define DTC_STATIC before the
 * include; the file then has a static copy of all functions.
 *
 * The sender encodes:
 *
 *     dtc_spec spec;
 *     dtc_spec_parse("quant", &spec, NULL);
 *     size_t capacity = dtc_encode_bound(&spec, count), scratch_bytes = dtc_encode_scratch(&spec, count), bytes;
 *     void *packet = malloc(capacity), *scratch = malloc(scratch_bytes);
 *     dtc_status status = dtc_encode(&spec, packet, capacity, &bytes, gradient, count, scratch, scratch_bytes);
 *
 * The receiver knows the count of its tensor. It compares that with the count of the packet before it allocates
 * anything, because the packet comes from elsewhere and decode_scratch grows with the packet's count:
 *
 *     dtc_info info;
 *     dtc_status status = dtc_inspect(packet, bytes, &info);
 *     if (status == DTC_OK && info.count != count) status = DTC_ERROR_COUNT;
 *     if (status != DTC_OK) return status;
 *     void *scratch = malloc(info.decode_scratch);
 *     status = dtc_decode_add(sum, count, 1.0f / workers, packet, bytes, NULL, scratch, info.decode_scratch);
 *
 * A program may keep its buffers from step to step. dtc_encode_bound and dtc_encode_scratch depend on the spec and the
 * count only, but not on the seed, and neither result shrinks when the count grows.
 *
 * WHICH CODEC
 *
 *     raw         sends the values themselves. fp32 loses nothing. bf16 and fp16 halve the bytes and round each value
 *                 to 16 bits. NaN and infinity pass unchanged.
 *     ternary     sends -1, 0 or 1 times a scale for each value, at random: 1.0 to 1.6 bits a value, unbiased, noisy.
 *                 Use ternary for gradients. With dtc_encode_residual the digits are not random: the largest values
 *                 are sent, fewer of them than leave the least error, and the rest waits in the residual.
 *     quant       rounds each value to a grid, at 1 to 16 bits a value, and codes the result with Huffman codes.
 *                     (no key)          needs no tuning, for gradients and parameters: nmse=0.01, a relative squared
 *                                       error of 1 %, in general .1 to 4 bits a value
 *                     nmse=E            has this relative squared error, and as few bits as it needs
 *                     bits=N            fewer bits; use it with a residual
 *                     max-error=E       bounds the error of every value
 *                     rate=B            bounds the bytes of the packet, down to .002 bits a value, and has the least
 *                                       error for them. Use a rate below 2 with dtc_encode_residual
 *                     min=X,max=X       gives all workers the same grid, so that their packets can be added
 *                     rotate=1,rate=B   has the least squared error without bias, at 1 to 8 bits a value, for any
 *                                       distribution of the values. Sparse values need fewer bits without rotate
 *     factor      sends a matrix (rows=M) as a sum of few outer products. dtc_encode_factors sends the gradient of a
 *                 dense layer exactly, as the deltas and inputs of the batch. dtc_encode finds the nearest matrix of a
 *                 given rank; use that with a residual. Rank 4 takes half a bit a value for a matrix of 392 x 784.
 *     sensing     sends fewer measurements than there are values, `ratio` measurements a value. Each measurement is a
 *                 sum over all values of a block, and the decoder finds the values from the measurements. Use sensing
 *                 where most values are zero or nearly zero and the places of the others are unknown: a packet holds
 *                 no places, so packets of one seed and one scale add up to the measurements of the sum. Gradients are
 *                 less sparse than that: for gradients quant has less error at the same number of bits and is much
 *                 faster. With keep=F only the part F of the values is measured, those of the largest magnitudes. Use
 *                 keep, with a residual, where values are not sparse and a packet has less than one bit a value.
 *     circulant   sends a block-circulant matrix as its vectors, exactly with value=fp32. Use circulant for the layers
 *                 of dtcodec_fft.h, which have n parameters in place of an n x n matrix. The gradient of a dense layer
 *                 is projected to the nearest block-circulant matrix, which keeps almost nothing of it.
 *
 * Spec text has the form CODEC[:KEY=VALUE[,KEY=VALUE]...]. Every key is optional. The default stands first, or after
 * the equals sign:
 *
 *     raw         type=fp32|bf16|fp16
 *     ternary     clip=2.5  scale=auto|S  pack=huffman|base3
 *     quant       nmse=0.01  bits=1..16|auto  floor=6  probe=4  sample=0.03  rate=BITS  max-error=E
 *                 rounding=auto|stochastic|nearest|rd  entropy=huffman|none  grid=zero|even  rotate=0|1
 *                 unbiased=1|0  min=auto|X  max=auto|X
 *     factor      rank=4  value=fp32|bf16|fp16|1..16
 *     sensing     ratio=0.25  bits=4|1..16|32  scale=auto|S  keep=1
 *     circulant   value=fp32|bf16|fp16|1..16
 *     all         rows=M  seed=S  block=N  workers=K  checksum=1|0
 *
 * At most one of nmse, bits, rate and max-error may be given. The comments of dtc_spec, below, give the meaning and the
 * range of each key.
 *
 * ADDING PACKETS
 *
 * Packets of integers can be added if they have the same grid. The workers agree on a grid before they encode: each
 * worker computes how far its own grid must reach, and the maximum over the workers is the range of all of them. This
 * exchange is one float a tensor.
 *
 *     quant       each worker takes max |x|
 *     ternary     each worker takes the smaller of max |x| and 2.5 sigma
 *     sensing     each worker takes (1.35 + 0.33 bits) sigma; all workers also use one seed
 *
 * where x are the worker's values, with error feedback the values plus the residual, and sigma is the root mean square
 * of x. Then:
 *
 *     spec.workers = workers;                             room for the sum
 *     range = maximum over all workers;                   by any reduction
 *     spec.quant.min_given = spec.quant.max_given = 1;    ternary and sensing have one field instead of these four:
 *     spec.quant.min = -range, spec.quant.max = range;    spec.ternary.scale = range, spec.sensing.scale = range
 *     dtc_encode_residual(&spec, packet, ...);            each worker
 *     dtc_packet_add(sum, ..., a, ..., b, ...);           anywhere, in any order
 *     dtc_inspect(sum, sum_bytes, &info);                 the final receiver
 *     dtc_decode_add(mean, count, 1.0f / info.terms, sum, ...);
 *
 * MESSAGES
 *
 * A model has many tensors. One call encodes all of them as one message, and one call decodes it:
 *
 *     dtc_tensor tensors[] = {{weights, weight_residual, 392 * 784, 392}, {biases, bias_residual, 392, 0}};
 *     size_t capacity = dtc_message_bound(&spec, tensors, 2), scratch_bytes = dtc_message_scratch(&spec, tensors, 2);
 *     spec.seed = dtc_seed(seed, step, worker);
 *     dtc_message_encode(&spec, message, capacity, &bytes, tensors, 2, scratch, scratch_bytes);        each worker
 *     dtc_message_decode_add(sums, 2, 1.0f / workers, message, bytes, NULL, scratch, scratch_bytes);   the receiver
 *
 * Tensors of up to 512 values share one packet, each brought to the same scale first, so that many biases cost one
 * head. A receiver needs no more scratch than dtc_message_scratch, whatever a message from elsewhere says. A worker
 * that also applies its own message calls dtc_message_encode_decoded, and finds in its values what the message decodes
 * to.
 *
 * GLOSSARY
 *
 *     value       one float of the array to be sent
 *     packet      the bytes that encoding makes of one array: a head, a payload and an optional checksum. A packet
 *                 holds its own size, so packets can follow one another, and dtc_inspect finds the next one
 *     message     the packets of several tensors in a row
 *     spec        the choice of a codec and its parameters, as a dtc_spec or as text
 *     bin         one interval of a quantizer; also the number of that interval
 *     grid        the scale and the offset that turn the bins of a block back into values
 *     scale       the float that the integers of a packet are multiplied with
 *     block       ternary and quant: consecutive values that share one scale or one grid. sensing: consecutive values
 *                 that are measured together, a power of two from 256 to 65536; by default 65536, or less for small
 *                 arrays. circulant: one square of the matrix
 *     factors     the vectors u_k and v_k of a matrix that is the sum over k < rank of u_k v_k^T
 *     residual    the part of the values that earlier packets did not carry; dtc_encode_residual adds it to the next
 *                 values (error feedback)
 *     workers     the number of packets that a sum has room for
 *     terms       the number of packets that a packet is the sum of; 1 for a packet that an encoder made
 *     scratch     working memory of one call, which the caller provides
 *
 * CONTRACTS
 *
 * Memory and threads
 *
 *   - The functions allocate nothing and keep no state. Their results depend on their arguments only, in any thread:
 *     the same call gives the same bytes.
 *   - Scratch, packets and values may have any alignment. Inputs and outputs must not overlap, unless a function says
 *     otherwise.
 *   - After a failed encoding *packet_bytes is 0, `residual` is unchanged and nothing outside `capacity` was written.
 *     After a failed decoding `values` is unchanged: a decoder checks the whole payload before it writes a value.
 *   - Random numbers are a hash of the seed and the value's index. Give every tensor of every step and every worker a
 *     seed of its own. Two encodings with the same seed round in the same way, and their errors do not average out.
 *
 * Values and sizes
 *
 *   - A NaN or an infinity to encode is DTC_ERROR_NONFINITE. The exception is raw without a residual, which carries
 *     NaN and infinity.
 *   - Empty, constant, all-zero and denormal tensors all work. For a constant tensor a quant packet with neither min,
 *     max nor rotate holds its grids only (8 bytes a block). For an all-zero tensor a ternary packet holds its scales
 *     only (4 bytes a block, or 8 bytes for all of them if they are coded), and a factor packet holds its rank only
 *     (4 bytes).
 *   - With fixed-width packing (bits=N,entropy=none or pack=base3) and workers > 1, the size of a packet depends on the
 *     spec and the count only, and a sum has the size of its terms. All-zero and constant tensors then take that size,
 *     too. With nmse, bits=auto or max-error the number of bits, and so the size, depends on the values.
 *   - An encoder never makes a packet larger than the head, 4 * count bytes and the checksum. Where a codec would need
 *     more, the encoder stores the values as raw fp32, and dtc_info.codec is DTC_RAW.
 *   - A packet holds at most 2^30 - 256 values.
 *
 * The same bits everywhere
 *
 *   - Decoding gives the same bits on every platform, with every compiler and every optimization, -ffast-math included.
 *     There are three exceptions. A processor that is set to flush denormals gives zeros for denormal values. x87
 *     arithmetic (32-bit x86 without -mfpmath=sse) may round the sums of dtc_decode_add and the values of factor
 *     differently in the last bit. The third exception is sensing.
 *   - sensing iterates in floats, and compilers round floats differently. Decoded values then differ by about 1e-6 of
 *     the norm of a block. If the rounding also changes the iteration at which the decoder stops, they differ by up to
 *     a twentieth of the decoder's error. Replicas that must stay equal should decode a sensing packet once and pass on
 *     the decoded values.
 *   - The residual of sensing is computed with DTC_METHOD_AUTO. It is what the receiver misses, to the precision above,
 *     if the receiver decodes each packet alone and with DTC_METHOD_AUTO. For a sum of packets this does not hold: only
 *     the estimate of DTC_METHOD_LINEAR of a sum is the sum of the estimates.
 *   - sensing with a residual needs a new seed for each step. One seed always measures the same rows, and a residual
 *     that these rows do not see would never be sent.
 *   - Encoding uses correctly rounded operations in a fixed order. The exception is rate=, which searches with log2 and
 *     exp2 of the C library. FMA and -ffast-math change such operations: they can change the last bit of a scale or of
 *     a factor, and can move a value at the border of two bins to the other bin. All receivers still decode the same
 *     packet to the same bits.
 *   - rotate=1: over many seeds, the mean of the decoded values is the tensor, with a squared error of at most 1e-5 of
 *     the squared norm of the tensor, if every part (see PARTS in the wire format) has 512 values or more. Smaller
 *     parts leave a bias that depends on the distribution of the values. rounding=stochastic has no bias for parts of
 *     any size.
 *
 * Packets from elsewhere
 *
 *   - A decoder trusts nothing in a packet. Every function that reads a payload refuses exactly the packets that
 *     dtc_decode refuses, with the same status. dtc_inspect and dtc_packet_scale read less than the payload; their
 *     comments say what they check. LIMIT by max_work is of dtc_decode, dtc_decode_add, dtc_packet_report and the
 *     decoding of messages only, because other functions do not multiply factors.
 *   - The caller's count and scratch bound the time and the memory that a packet can cost, and the cost is linear in
 *     them, at most some ten nanoseconds a byte or value. There are two exceptions. factor costs count * rank steps. By
 *     default a packet of factor is refused whose rank is above 64 * (1 + packet_bytes / count), so that a few bytes
 *     cannot ask for seconds. sensing iterates, by default up to 50 times, at about 8 steps a value.
 *   - A server sets max_work in dtc_decode_options to the nanoseconds that it has for one packet, and max_iterations to
 *     the number that its max_work has room for. A program whose layers need ranks above the default limit sets
 *     max_work to its largest count * rank.
 *
 * CONFIGURATION
 *
 *     DTCODEC_IMPLEMENTATION     compiles the functions in this file
 *     DTC_STATIC                 compiles the functions as static functions in every file that defines the macro
 *     DTC_NO_TERNARY             Each of these five macros leaves out a codec. dtc_spec_parse does not know the name of
 *     DTC_NO_QUANT               a codec that is left out, and returns DTC_ERROR_SPEC_CODEC. For packets and for a
 *     DTC_NO_FACTOR              dtc_spec of the codec, the functions return DTC_ERROR_CODEC. raw cannot be left out,
 *     DTC_NO_SENSING             because the other codecs store through it. factor, circulant and sensing quantize
 *     DTC_NO_CIRCULANT           through quant: without quant, value=1..16 is DTC_ERROR_CODEC, and sensing takes
 *                                bits=32 only.
 *     DTC_NO_MESSAGES            leaves out the functions whose names begin with dtc_message_
 *     DTC_NO_SIMD                leaves out vector types, and leaves out the question (__builtin_cpu_supports, on
 *                                x86-64) whether the processor has AVX2 and the CRC-32C instruction. Without this
 *                                macro, tensors of a few hundred values and more use what the processor has. Packets
 *                                and values are the same with and without it.
 *
 * BUILDING
 *
 * Give the implementation a .c file of its own, because the compiler takes seconds for it: then it is compiled once.
 * -O2 is enough. -O3 makes the object larger by two thirds, most calls 1.0 to 1.4 times as fast, and the decoding of
 * factor 1.9 times as fast.
 *
 * Code and constants of the object in KB (1000 bytes), and processor time of gcc 12 for it, on x86-64:
 *
 *     codecs                          options                  KB    seconds
 *     all                             -O3                     340       15
 *     all                             -O2                     204       10
 *     all                             -O2 -DDTC_NO_SIMD       179        8.8
 *     all, without messages           -O2                     196       10
 *     raw, ternary and quant          -O2                     163        8.4
 *     raw and quant                   -O2                     147        7.5
 *     raw and ternary                 -O2                     105        5.6
 *     raw and factor                  -O2                      62        2.6
 *     raw                             -O2                      46        2.1
 *     raw, without messages           -O2                      39        1.6
 *
 * The object imports memcpy, memmove, memset and memcmp, functions of libm (sqrt, floor, ceil, frexp, ldexp, log2,
 * exp2), and on x86-64 without DTC_NO_SIMD __cpu_model of the compiler's runtime. make install makes a pkg-config file
 * and a CMake package.
 *
 * ====================================================================================================================
 * WIRE FORMAT, version 0
 * ====================================================================================================================
 *
 * Integers are little-endian, floats are IEEE 754. ceil(a / b) is the quotient rounded up, floor(a / b) rounded down.
 * Bit 0 is the lowest bit of a byte or an integer. "The bits that hold x" is the number of binary digits of x, which is
 * floor(log2(x)) + 1. In a product of an integer and a float, the integer is converted to a float first, exactly, and
 * an integer 0 becomes +0.
 *
 * Each rule names the status of its violation, as "; STATUS" or in the last column of a table. The prefix DTC_ERROR_ is
 * left out. A decoder refuses a packet with the status of the first violation. It checks first the head in the order of
 * the table, then the codec's rules for HEAD and SIZE in the order of its section, then the checksum, and the payload
 * last.
 *
 * HEAD
 *
 *     offset  size  field                            allowed                                        otherwise
 *     0       1     magic                            0xd7                                           MAGIC
 *     1       1     bits 4..7: wire version          0                                              WIRE_VERSION
 *                   the first 12 bytes               are there                                      TRUNCATED
 *                   bits 0..3: codec                 0 raw, 1 ternary, 2 quant,                     CODEC
 *                                                    3 factor, 4 sensing, 5 circulant
 *     2       1     flags: 1 checksum, 2 rows,       bits 6..7 are zero                             HEAD
 *                   4 block, 8 workers, 16 seed,
 *                   32 features
 *     4       4     count: values in the packet      0..0x3fffff00                                  LIMIT
 *     8       4     packet_bytes: size from the      at least head and checksum                     SIZE
 *                   magic to the checksum            at most the bytes that there are               TRUNCATED
 *     12      4     rows, if flagged                 1..count, a divisor of count                   HEAD
 *     +       4     block, if flagged                1..count - 1                                   HEAD
 *     +       2     workers, if flagged              2..65535                                       HEAD
 *     +       2     terms, if workers is flagged     1..workers                                     HEAD
 *     +       8     seed, if flagged                 not 0                                          HEAD
 *     +       1     features, if flagged             not 0; ternary and quant only                  HEAD
 *     3       1     variant                          see the codec                                  HEAD
 *     +       …     payload                          its size: see the codec                        SIZE
 *     end-4   4     checksum, if flagged             CRC-32C of all bytes before it                 CHECKSUM
 *
 * A field that is not flagged takes no bytes, and the next field takes its place. Without rows the packet has one row,
 * without block all values are one block, without workers both workers and terms are 1, without seed the seed is 0, and
 * without features they are 0.
 * The number of blocks is ceil(count / block); the last block may be shorter. A packet without values has no blocks.
 *
 * CRC-32C has the reflected polynomial 0x82f63b78 and starts with all bits set; all bits of its result are inverted.
 *
 * Codecs restrict the optional fields; HEAD:
 *
 *     codec       rows       block                              seed             workers
 *     raw         allowed    not allowed                        not allowed      allowed
 *     ternary     allowed    allowed                            not allowed      at most 32767
 *     quant       allowed    allowed                            if rotated       workers * 2^bits at most 2^24,
 *                                                                                rotated at most 2^14
 *     factor      required   not allowed                        not allowed      allowed
 *     sensing     allowed    a power of two, 256..65536         allowed          allowed
 *     circulant   required   allowed                            not allowed      allowed
 *
 * A build without a codec refuses its packets; CODEC.
 *
 * RAW
 *
 *     variant  payload                                          size
 *     0        the values as fp32                               4 * count; SIZE
 *     1        the values as bf16, the upper half of an fp32    2 * count; SIZE
 *     2        the values as fp16, IEEE 754 binary16            2 * count; SIZE
 *
 * Another variant is HEAD.
 *
 * TERNARY
 *
 * Each value is a digit from 0 to 2 * terms, which decodes to (digit - terms) * scale. The product is bounded to
 * +-FLT_MAX and rounded to fp32 once.
 *
 *     part of the payload    size           allowed                                      otherwise
 *     scales                 4 * blocks     fp32, finite; or CODED, see below            PAYLOAD
 *     digits                 by variant     see below                                    PAYLOAD
 *
 *     variant  digits are stored as                      size in bytes                            terms; else HEAD
 *     0        BYTES OF FIVE DIGITS                      ceil(count / 5); SIZE                    1
 *     1        the bytes of variant 0, as TOKENS         1 or more, less than variant 0; SIZE     1
 *              of 8-bit bins
 *     2        FIELDS of the bits that hold              as FIELDS says; SIZE                     1..workers
 *              2 * workers
 *     3        nothing: every digit is `terms`           0; SIZE                                  1..workers
 *     4        TOKENS of BINS OF DIGITS                  1 or more, less than variant 5; SIZE     2..workers
 *     5        FIELDS as in variant 2                    as FIELDS says; SIZE                     1..workers
 *
 * Another variant is HEAD. Variant 2 means fixed-width packing and variant 5 entropy coding that would not have saved
 * bytes: a decoder reads both alike, and they differ for adding. In variants 2 and 5 a field is a digit and is at most
 * 2 * terms; PAYLOAD.
 *
 *     feature  meaning                                                 allowed; else HEAD
 *     2        OUTLIERS follow the scale; see FEATURES OF QUANT        without block, no workers
 *     8        the scales are CODED                                    with block, no workers, at most
 *                                                                      floor(count / 2) blocks
 *
 * Another feature, or both of them, is HEAD. CODED scales take the place of the scales and begin with 8 bytes; SIZE:
 *
 *     bytes   field                                        allowed
 *     4       largest: fp32                                finite; PAYLOAD
 *     4       size of the sequence that follows            the sequence and the digits fit the payload; SIZE
 *
 * The sequence is TOKENS of 16 bits, of a code c for each block. A sequence of 0 bytes stands for codes of 1. The code
 * 0 is a scale of 0, and the code c > 0 is the scale largest * 2^(-d / 64) with d = min(c - 1, 16384), where the power
 * of two is rounded to 24 bits first, and the product is computed in double and rounded to fp32.
 *
 * BYTES OF FIVE DIGITS: the digits, 0..2 each, stand in groups of 160 digits and 32 bytes. With d the digits of a
 * group, byte j is d[j] + 3 d[32+j] + 9 d[64+j] + 27 d[96+j] + 81 d[128+j]. If the last group has n < 160 digits, it
 * has s = ceil(n / 5) bytes, and byte j is d[j] + 3 d[s+j] + 9 d[2s+j] + 27 d[3s+j] + 81 d[4s+j]. Encoders set digits
 * beyond the end to 1, and decoders ignore them. A byte is at most 242; PAYLOAD.
 *
 * BINS OF DIGITS: a bin holds g digits of base b = 2 * terms + 1. The digits stand in groups of 1280, and the last
 * group may be shorter. A group of n digits d has s = ceil(n / g) bins, and bin j is d[j] + b d[s+j] + b^2 d[2s+j],
 * with as many summands as g says. Encoders set digits beyond the end to `terms`, and decoders ignore them. A bin is
 * less than b^g; PAYLOAD.
 *
 *     terms    g    bits of a bin
 *     2        3    8
 *     3..7     2    8
 *     8..      1    the bits that hold 2 * workers
 *
 * QUANT
 *
 *     bits of the variant    meaning
 *     0..3                   bits - 1
 *     4                      the grid: 0 zero, 1 even
 *     5..6                   coding, see below
 *     7                      1 if the packet is rotated
 *
 * Without rotation there are at most floor(count / 2) blocks; HEAD. Rotated packets have rules of their own, below.
 *
 *     part of the payload    size            content
 *     grids                  8 * blocks      one grid a block
 *     fields                 by coding       one field f a value, from 0 to terms * (2^bits - 1)
 *
 *     grid    offset  field               allowed                                                otherwise
 *     zero    0       step (fp32)         finite                                                 PAYLOAD
 *             4       lowest (int32)      |lowest| * workers is at most 2^24                     PAYLOAD
 *     even    0       offset (fp32)       finite                                                 PAYLOAD
 *             4       half (fp32)         finite; 0, or |offset| * workers is at most            PAYLOAD
 *                                         2^28 |half|
 *
 * The comparison of |offset| * workers with 2^28 |half| is exact, also where the processor flushes denormals.
 *
 *     grid    a field f decodes to
 *     zero    0 + (f + terms * lowest) * step
 *     even    terms * offset + (2 f + terms) * half
 *
 * Decoders compute this in double, where it is exact, bound it to +-FLT_MAX and round it to fp32 once. In the grid zero
 * the sum with 0 makes a product of -0, which a negative step gives, +0.
 *
 *     coding  fields are stored as                                                size in bytes
 *     0       FIELDS of the bits that hold workers * (2^bits - 1)                 as FIELDS says; SIZE
 *     1       TOKENS of bins b, see below                                         1 or more, and count is not 0; SIZE
 *     2       nothing: every f is 0                                               0; SIZE
 *     3       FIELDS as in coding 0                                               as FIELDS says; SIZE
 *
 * Coding 0 means fixed-width packing and coding 3 entropy coding that would not have saved bytes: a decoder reads both
 * alike, and they differ for adding. In codings 0 and 3 a field is at most terms * (2^bits - 1); PAYLOAD.
 *
 * In coding 1 a bin of the grid even is b = f. A bin of the grid zero is b = f + terms * (lowest - L), where L is the
 * least lowest of all blocks; so equal multiples of equal steps have equal bins in every block. TOKENS have the bits
 * that hold terms * (M - L + 2^bits - 1), where M is the largest lowest of all blocks; for the grid even, M - L is 0.
 * These are at most 16 bits; PAYLOAD. The field f that a bin and the lowest of its own block give is not negative and
 * at most terms * (2^bits - 1); PAYLOAD.
 *
 * FEATURES OF QUANT
 *
 *     feature  meaning                                                 allowed; else HEAD
 *     1        SHIFTS follow the grids                                 grid zero, no workers, not rotated
 *     2        OUTLIERS follow the grids and the shifts                no workers, not rotated
 *     4        there are no grids: each has step 0 and lowest 0        grid zero, no workers, not rotated, no shifts,
 *                                                                      coding 2
 *     8        the grids are CODED                                     grid zero, more than one block, no workers, not
 *                                                                      rotated, not with 4
 *
 * Another feature is HEAD. With features, the fields follow the parts that the features add to the payload.
 *
 * CODED grids take the place of the grids. They begin with 20 bytes; SIZE:
 *
 *     bytes   field                                        allowed; else PAYLOAD
 *     4       multiplier: fp32                             finite
 *     4       top: position of the largest step            below 12288; multiplier * step(top) is in fp32's range
 *     4       lowest: int32, the least one                 as for the lowest of a grid
 *     4, 4    sizes of the two sequences that follow       both are in the payload; SIZE
 *
 * The sequences are TOKENS of 16 bits, of a code for each block. A sequence of 0 bytes stands for zeros. The first one
 * has the steps: the code 0 is a step of 0 if the sequence has bytes, and the code c > 0 is the position
 * top - (c - 1), at least 0. Without bytes, each position is top. The step of a block is multiplier * step(position)
 * in double, rounded to fp32. step(position) is 2^((position - 8192) / 32), the root rounded to 24 bits. The second
 * sequence has the codes of `lowest`: a block's lowest is the code plus the least one, modulo 2^32. The grids that they
 * give are valid as the grids of other packets are; PAYLOAD.
 *
 * SHIFTS are two int8, a and b. With shifts, lowest of every block is in -65535..0; PAYLOAD. Let k = f + lowest. A
 * value decodes to m * step / 256, where m = 256 k for k = 0, 256 k - a sign(k) for |k| = 1 and 256 k - b sign(k) for
 * the rest. Decoders compute the product in double, where it is exact, add it to 0, bound it to +-FLT_MAX and round it
 * to fp32 once.
 *
 * OUTLIERS are values that decode to a float of their own, whatever their field is. A place has as many bytes as
 * hold count - 1, at least 1. The list begins with the number m of outliers, in as many bytes as a place has. The list
 * and the fields fit the payload; SIZE. m is not 0; PAYLOAD. m places of outliers follow, in ascending order and below
 * count; PAYLOAD. Then follow m floats (fp32, finite; PAYLOAD), in the same order.
 *
 * ROTATED QUANT
 *
 * Each block is cut into PARTS. There are at most floor(count / 2) parts in the packet; HEAD. bits is at least 2 if the
 * grid is zero; HEAD. In place of grids, the payload begins with one step (fp32, finite; PAYLOAD) a part, 4 bytes each.
 * The fields follow, with the same codings and the same range; in coding 1 a bin is the field itself, and TOKENS have
 * the bits that hold terms * (2^bits - 1). A field f stands for an integer k:
 *
 *     grid    k
 *     zero    f - terms * (2^(bits-1) - 1)
 *     even    2 f + terms - terms * 2^bits
 *
 * For a part of 2^L values with the integers k, value i of the part is the integer sign * (H k)[i] times the float
 * step / 2^ceil(L / 2), where
 *
 *   - H is the Hadamard matrix of size 2^L: the element in row i and column j is 1 if i & j has an even number of ones,
 *     else -1;
 *   - H k is summed in integers; no sum leaves the range of int32;
 *   - sign is the sign of the value (see RANDOM NUMBERS).
 *
 * Decoders compute the product in double, where it is exact, bound it to +-FLT_MAX and round it to fp32 once.
 *
 * PARTS: an array of n values is cut into as many parts of 2^16 values as fit; the rest is cut into one part of 2^L
 * values for each bit L that is set in its number of values, the largest part first.
 *
 * RANDOM NUMBERS
 *
 * Random number i of a seed is computed as follows, with operators that bind as in C. The key is computed modulo 2^64,
 * x modulo 2^32:
 *
 *     key = seed + 0x9e3779b97f4a7c15
 *     key = (key ^ key >> 32) * 0xd6e8feb86659fd93
 *     key = (key ^ key >> 32) * 0xd6e8feb86659fd93
 *     key = key ^ key >> 32
 *     x = i * 0x9e3779b9 + (bits 0..31 of key)
 *     x = (x ^ x >> 16) * 0x7feb352d
 *     x = (x ^ x >> 15) * 0x846ca68b + (bits 32..63 of key)
 *     x = x ^ x >> 16
 *
 * The sign of value i, where i counts the values of the whole packet from 0, is -1 if bit i % 32 of random number
 * 2^31 + floor(i / 32) is set, else 1.
 *
 * FACTOR
 *
 * With columns = count / rows, the payload is
 *
 *     offset  size  field                                 allowed                                        otherwise
 *             1     variant, in the head                  0                                              HEAD
 *                   the payload                           has 4 bytes or more                            SIZE
 *     0       4     rank (uint32)                         rank * (rows + columns) < count                HEAD
 *     4       p     u: rank x rows values, NESTED         p >= 12                                        SIZE
 *     4 + p   …     v: rank x columns values, NESTED      12 bytes or more are left for v                SIZE
 *                                                         v ends with the payload                        PAYLOAD
 *
 * With rank 0 the payload ends after the rank; SIZE. With another rank the payload has 16 bytes or more; SIZE. p is the
 * packet_bytes of u, which stands at offset 12 of the payload. u and v are row-major.
 *
 * Value [i][j] is the sum over k = 0, 1, … of u[k][i] * v[k][j]. The products are exact in double. The sum is computed
 * in double: it starts with the product of k = 0 and adds the others in ascending order. The result is rounded to fp32
 * once and bounded to +-FLT_MAX. With rank 0 all values are 0.
 *
 * SENSING
 *
 *     offset  size  field                                 allowed                                        otherwise
 *             1     variant, in the head                  0                                              HEAD
 *             4     count, in the head                    not 0                                          HEAD
 *                   the payload                           has 4 bytes or more                            SIZE
 *     0       4     m (uint32): measurements of a block   1..block                                       HEAD
 *     4       …     the measurements, NESTED,             ends with the payload                          PAYLOAD
 *                   with the workers and terms of
 *                   the head
 *
 * Without a flagged block, block is 65536, or the least power of two that is not below count, if that is less. The
 * measurements stand in the order of the blocks. The last block may have fewer than `block` values; but if m = block,
 * the values of a last, shorter block are cut into PARTS, and each part is a block of its own. A block of n values has
 * ceil(n m / block) measurements.
 *
 * Let N be the least power of two that is not below n. Let s be the n values of the block, each times the sign of its
 * index in the packet (see RANDOM NUMBERS), with zeros after them up to N values. Row i < N yields the sum over j of
 * s[j] (-1)^(number of ones in i & j), divided by sqrt(N). The measurements of a block are the sums of the chosen rows,
 * in ascending order of i. Rows are chosen in that order, too: while `left` rows are still to be chosen, row i is
 * chosen if floor(r (N - i) / 2^32) < left, where r is random number 0xc0000000 + i of the seed. A decoder is free in
 * how it finds values from the measurements.
 *
 * CIRCULANT
 *
 * A matrix of rows x columns is cut into blocks of b x b elements, where b is the block of the head, or the larger of
 * rows and columns without one. Blocks at the right and the lower border may reach beyond the matrix. Each block has a
 * vector c of b values: the element at row i and column j of the block is c[(i - j) mod b].
 *
 *     offset  size  field                                 allowed                                        otherwise
 *             1     variant, in the head                  0                                              HEAD
 *                   v = ceil(rows / b) *                  v + 3 <= count                                 HEAD
 *                   ceil(columns / b) * b
 *                   the payload                           has 12 to 4 * count bytes                      SIZE
 *     0       …     v values: all vectors, one row of     ends with the payload                          PAYLOAD
 *                   blocks after the other, NESTED
 *
 * NESTED packets are whole packets inside the payload of another packet:
 *
 *     rule                                                                                               otherwise
 *     the head is valid, as in HEAD, and no checksum, rows or seed is flagged                            PAYLOAD
 *     count is the number of values that the place takes                                                 PAYLOAD
 *     in sensing, workers and terms are those of the packet around it; else both are 1                   PAYLOAD
 *     the codec is raw, or quant that is not rotated, and follows its own rules                          PAYLOAD
 *     no value is NaN or infinite                                                                        PAYLOAD
 *
 * A build without quant refuses nested packets of quant; CODEC.
 *
 * FIELDS are unsigned integers of N bits each. Groups of 256 fields come first, and the fields that are left follow.
 *
 * In a group each field is cut into parts: as many parts of 8 bits as N holds, then at most one part of 4, of 2 and of
 * 1 bits. The lowest bits of the field are the first part. The first parts of all 256 fields come first, then all
 * second parts, and so on. The parts of p bits of a group fill s = 32 p bytes: byte j holds the parts of the fields j,
 * s + j, 2s + j, …, from its lowest bits up.
 *
 * The fields that are left after the last whole group are a stream of N bits each, the lowest bits first. The stream
 * fills each byte from its lowest bit up, and ends with zeros up to a whole byte; PAYLOAD.
 *
 * TOKENS are n bins below 2^bits, Huffman-coded. The codec gives n and bits. The bins are in 1 stream if n < 4096, else
 * in 4 streams of ceil(n / 4) bins each, of which the last one is shorter. Bits fill each byte from the lowest bit up.
 * Every violation is PAYLOAD.
 *
 *     offset  size               field                                         allowed
 *     0       2                  mode, the commonest bin                       below 2^bits
 *     2       1                  value precision (bits 0..3)                   with pairs, run precision is 0
 *                                run precision (bits 4..7)
 *     3       2                  values: number of value symbols               2 or more
 *     5       2                  runs: number of classes of runs; 0: pairs     values * runs, or with pairs
 *                                                                              values * values, is at most 4096
 *     7       4 * (streams-1)    bytes of each stream but the last             no more bytes than there are
 *     +       …                  CODE LENGTHS, to the end of a byte            of the symbols, see below
 *     +       …                  the streams, each to the end of a byte        the last one ends with the payload
 *
 * CLASSES: with a precision p, an integer m < 2^(p+1) is of class m and has no extra bits. A larger m is shifted down
 * by the s that brings m >> s into [2^p, 2^(p+1)): m is of class s 2^p + (m >> s), and its s low bits are its extra
 * bits. The classes floor(values / 2), at the value precision, and runs - 1, at the run precision and without pairs,
 * are classes of integers below 2^16.
 *
 * The value symbol v of a bin b is 0 if b is the mode. Otherwise, with c the class of |b - mode| at the value
 * precision, v is 2c above the mode and 2c - 1 below it.
 *
 *     without pairs    A token is a run of r bins that are the mode, followed by one bin b. Its symbol is
 *                      class(r) * values + v(b). The code of the symbol is followed by the extra bits of r, then by
 *                      those of |b - mode|, which are inverted if b is below the mode. A token does not reach into the
 *                      next stream: the last bin of a stream is the bin b of its last token.
 *     pairs            A token is two bins a and b. Its symbol is v(a) * values + v(b). The code of the symbol is
 *                      followed by the extra bits of |a - mode|, then by those of |b - mode|, each inverted if its bin
 *                      is below the mode. If a stream has an odd number of bins, the bin b of its last token is the
 *                      mode and is not one of the n bins.
 *
 * Every decoded bin is below 2^bits. Each stream ends in the last byte that it has, and the bits after its last token
 * are zero.
 *
 * CODE LENGTHS: the lengths of all values * runs symbols (with pairs, values * values), in the order of the symbols. A
 * length is 1..15, or 0 for a symbol that does not occur. The lengths make a complete canonical code (RFC 1951, section
 * 3.2.2), so at least two symbols have a code. At most n symbols, or two, have a code, where n is the number of bins.
 * The first bit of a code stands lowest. The lengths are written as a sequence of the items below. The bits of an item
 * are listed in the order in which they are written, and the lowest bit of a number comes first. "Last" is the length
 * that was written last and is not 0; at the start it is 8. After the items, zeros fill the last byte.
 *
 *     0                 one length, the same as last
 *     1 0 b             one length, last + 1 (b = 0) or last - 1 (b = 1)
 *     1 1 0 llll        one length l
 *     1 1 1 z×0 1 x…x   n lengths of 0, n = 2^z + x; z×0 are z zeros, and x has z bits
 *
 * MESSAGES are packets in a row, without a head of their own. Sender and receiver know the counts of the tensors:
 *
 *     packets                             number                     values of a packet
 *     tensors of more than 512 values     one a tensor, in order     the tensor's; COUNT
 *     levels                              0 or 1                     one for each tensor of 1..512 values; COUNT
 *     tensors of 1..512 values            1, if there are any        all their values, in order; COUNT
 *
 * The packet of levels is there if a packet follows the one in its place. It is raw (COUNT), and its values are above 0
 * and at most 1; PAYLOAD. The values of each small tensor are multiplied with its level and rounded to fp32. No bytes
 * follow the last packet; SIZE. A message without values has no bytes.
 *
 * EXAMPLES
 *
 * Each example begins with the spec and the values that dtc_encode makes the packet of. Each line gives bytes in hex
 * and their meaning. Where decoding does not give the encoded values back, the last line gives the decoded values.
 *
 * PACKET raw:type=bf16 : 1 -2 0.5
 *   d7 00 01 01 | magic; raw, version 0; checksum flagged; variant 1, bf16
 *   03 00 00 00 | count
 *   16 00 00 00 | packet_bytes
 *   80 3f 00 c0 00 3f | values
 *   5c 6c e8 f9 | checksum
 *
 * PACKET ternary:pack=base3,seed=7 : 1 -1 1 -1 0 0 1
 *   d7 01 01 00 | magic; ternary; checksum flagged; variant 0, five digits a byte
 *   07 00 00 00 | count
 *   16 00 00 00 | packet_bytes
 *   00 00 80 3f | scale 1
 *   98 75 | digits 2 2 1 2 (1) of the values 0 2 4 6, and digits 0 0 1 (1) (1) of the values 1 3 5; (1) fills up
 *   bf 17 ce c1 | checksum
 *
 * PACKET ternary:block=4 : 8 -8 8*2 0*28 4 -4 4*2 0*4
 *   d7 01 25 00 | magic; ternary; checksum, block and features flagged; variant 0, five digits a byte
 *   28 00 00 00 | count
 *   32 00 00 00 | packet_bytes
 *   04 00 00 00 | block
 *   08 | feature: the scales are coded
 *   00 00 00 41 | the largest scale, 8
 *   0d 00 00 00 | 13 bytes of codes: 1 for a scale of 8, seven times 0, 65 for 8 * 2^(-64 / 64), and 0
 *   00 00 00 | mode 0; value and run precision 0
 *   0f 00 04 00 | values 15, runs 4
 *   93 77 10 17 | code lengths 2, 0, 2, 56 times 0, 1: "0" has the code 10, "1" has 11, "seven 0, then 65" has 0
 *   3b 08 | the codes 11; 0 with the extra bits 11 of the run and 100000 of 65; 10
 *   cb 27 cb cb 79 79 79 79 | digits of the values 0 8 16 24 32, and so on: 2 1 1 1 2, 0 1 1 1 0, twice 2 1 1 1 2, 1s
 *   fb 8e 66 b4 | checksum
 *
 * PACKET quant:bits=3,entropy=none : -3 -2 -1 0 1 2 3 4
 *   d7 02 01 02 | magic; quant; checksum flagged; 3 bits, grid zero, coding 0 (FIELDS)
 *   08 00 00 00 | count
 *   1b 00 00 00 | packet_bytes
 *   00 00 80 3f fd ff ff ff | step 1, lowest -3
 *   88 c6 fa | fields 0 1 2 3 4 5 6 7, three bits each
 *   de 00 4c cd | checksum
 *
 * PACKET quant:bits=4 : 7 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 -8 0 0 0 0 0 0 0 0 0 0
 *   d7 02 01 23 | magic; quant; checksum flagged; 4 bits, grid zero, coding 1 (TOKENS)
 *   20 00 00 00 | count
 *   27 00 00 00 | packet_bytes
 *   00 00 80 3f f8 ff ff ff | step 1, lowest -8
 *   08 00 0f | mode 8; value precision 15, so every distance is its own class; run precision 0
 *   10 00 01 00 | values 16, runs 1: every run has length 0
 *   8b 63 03 | code lengths 1, thirteen times 0, 2, 2: value 0 has the code 0, value 7 has 10, value -8 has 11
 *   01 00 c0 00 00 | the codes 10, twenty times 0, 11, ten times 0
 *   9d 28 e3 96 | checksum
 *
 * PACKET quant:rotate=1,bits=3,entropy=none,seed=9 : 8 0 0 0 0 0 0 0
 *   d7 02 11 82 | magic; quant; checksum and seed flagged; 3 bits, grid zero, coding 0 (FIELDS), rotated
 *   08 00 00 00 | count
 *   1f 00 00 00 | packet_bytes
 *   09 00 00 00 00 00 00 00 | seed 9
 *   ab aa aa 3f | step 4/3 of the only part, L = 3; step / 2^ceil(L / 2) is 1/3
 *   b6 6d db | field 6, eight times, three bits each: every k is 3; H k is 24 0 0 0 0 0 0 0
 *   70 f5 d8 73 | checksum
 *
 * PACKET quant:bits=auto : 2.5 2.5 2.5
 *   d7 02 01 45 | magic; quant; checksum flagged; 6 bits, grid zero, coding 2 (every field is 0)
 *   03 00 00 00 | count
 *   18 00 00 00 | packet_bytes
 *   00 00 20 40 01 00 00 00 | step 2.5, lowest 1
 *   f3 af e3 79 | checksum
 *
 * PACKET quant:rate=7 : 0*13 5 0 -3
 *   d7 02 21 40 | magic; quant; checksum and features flagged; 1 bit, grid zero, coding 2 (every field is 0)
 *   10 00 00 00 | count
 *   17 00 00 00 | packet_bytes
 *   06 | features: outliers, no grids
 *   01 | one outlier
 *   0d | its place, 13
 *   00 00 a0 40 | its float, 5
 *   24 df 32 36 | checksum
 * VALUES 0*13 5 0*2
 *
 * PACKET factor:rank=1,rows=4,value=bf16 : 4 4 -4 4 4 4 -4 4 -4 -4 4 -4 4 4 -4 4
 *   d7 03 03 00 | magic; factor; checksum and rows flagged
 *   10 00 00 00 | count
 *   40 00 00 00 | packet_bytes
 *   04 00 00 00 | rows
 *   01 00 00 00 | rank
 *   d7 00 00 01 04 00 00 00 14 00 00 00 | head of nested u: raw, bf16, 4 values, 20 bytes
 *   00 40 00 40 00 c0 00 40 | u_0: 2 2 -2 2
 *   d7 00 00 01 04 00 00 00 14 00 00 00 | head of nested v: the same
 *   00 40 00 40 00 c0 00 40 | v_0: 2 2 -2 2
 *   ff 79 0b 3c | checksum
 *
 * PACKET sensing:ratio=0.5,bits=32,seed=2 : 0 0 0 0 0 8 0 0 0 0 0 0 0 0 0 0
 *   d7 04 11 00 | magic; sensing; checksum and seed flagged
 *   10 00 00 00 | count
 *   48 00 00 00 | packet_bytes
 *   02 00 00 00 00 00 00 00 | seed 2
 *   08 00 00 00 | m: 8 measurements of a block; the block has 16 values
 *   d7 00 00 00 08 00 00 00 2c 00 00 00 | head of the nested packet: raw, fp32, 8 values, 44 bytes
 *   00 00 00 c0 00 00 00 40 00 00 00 c0 00 00 00 c0 | -2 2 -2 -2
 *   00 00 00 40 00 00 00 c0 00 00 00 40 00 00 00 c0 | 2 -2 2 -2
 *   4d f3 12 b0 | checksum
 *   VALUES 1 1 -0 0 2 4 -1 1 1 -1 0 -2 0 -0 1 -1
 *
 * PACKET circulant:rows=3 : 1 3 2 2 1 3 3 2 1
 *   d7 05 03 00 | magic; circulant; checksum and rows flagged
 *   09 00 00 00 | count
 *   2c 00 00 00 | packet_bytes
 *   03 00 00 00 | rows
 *   d7 00 00 00 03 00 00 00 18 00 00 00 | head of the nested packet: raw, fp32, 3 values, 24 bytes
 *   00 00 80 3f 00 00 00 40 00 00 40 40 | the vector 1 2 3: the first column of the matrix
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
#define DTC_VERSION_MINOR 3
#define DTC_VERSION_PATCH 0

#define DTC_WIRE_VERSION 0 /* independent of the library's version; wire version 0 may still change */

#if defined(DTC_STATIC) && defined(__cplusplus)
#define DTC_API inline /* external linkage: a C++20 module can export these functions, but no static ones */
#elif defined(DTC_STATIC)
#define DTC_API static inline
#else
#define DTC_API extern
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The codec of a spec or a packet. The wire format uses these numbers. */
typedef enum dtc_codec {
    DTC_RAW = 0,
    DTC_TERNARY = 1,
    DTC_QUANT = 2,
    DTC_FACTOR = 3,
    DTC_SENSING = 4,
    DTC_CIRCULANT = 5
} dtc_codec;

/* The result of a call. The numbers never change; there are ten for each group. dtc_status_string gives a text for each
 * status. */
typedef enum dtc_status {
    DTC_OK = 0,

    /* misuse: the call itself is wrong */
    DTC_ERROR_ARGUMENT = 10,   /* a null pointer, a count above 2^30 - 256, or a weight that is not finite */
    DTC_ERROR_SPEC = 11,       /* a field of dtc_spec is out of its range, or excludes another field */
    DTC_ERROR_COUNT = 12,      /* the caller's count or shape is not the packet's */
    DTC_ERROR_SPEC_CODEC = 13, /* spec text: no such codec */
    DTC_ERROR_SPEC_KEY = 14,   /* spec text: no such key for this codec, given twice, or excluded by another key */
    DTC_ERROR_SPEC_VALUE = 15, /* spec text: the value is not one of this key, or out of its range */

    /* capacity: a buffer is too small */
    DTC_ERROR_CAPACITY = 20, /* the output does not fit into its capacity */
    DTC_ERROR_SCRATCH = 21,  /* the scratch is smaller than the call needs */

    /* malformed packet */
    DTC_ERROR_TRUNCATED = 30, /* there are fewer bytes than the head says */
    DTC_ERROR_MAGIC = 31,     /* the first byte is not that of a dtcodec packet */
    DTC_ERROR_HEAD = 32,      /* a field of the head is out of its range */
    DTC_ERROR_SIZE = 33,      /* the packet's size is not the one that its head implies, or bytes follow the packet */
    DTC_ERROR_CHECKSUM = 34,  /* the bytes of the packet do not have the packet's checksum */
    DTC_ERROR_PAYLOAD = 35,   /* the payload breaks a rule of the wire format */

    /* unsupported */
    DTC_ERROR_WIRE_VERSION = 40, /* the packet has another wire version than this library */
    DTC_ERROR_CODEC = 41,        /* the codec is unknown, left out of this build, or not the one that the call is for */

    /* numeric */
    DTC_ERROR_NONFINITE = 50, /* a value to encode is NaN or infinite, or a sum or multiple does not fit its type */

    /* limit */
    DTC_ERROR_LIMIT = 60, /* the packet's count is above 2^30 - 256, decoding takes more than max_work steps, or an FFT
                           * library made no plan (dtcodec_fft.h) */

    /* two packets that cannot be added */
    DTC_ERROR_INCOMPATIBLE = 70,         /* factor: the sum's factors would be no smaller than the matrix */
    DTC_ERROR_INCOMPATIBLE_CODEC = 71,   /* the codecs differ */
    DTC_ERROR_INCOMPATIBLE_COUNT = 72,   /* the counts differ */
    DTC_ERROR_INCOMPATIBLE_SHAPE = 73,   /* the rows differ, or in sensing the measurements of a block */
    DTC_ERROR_INCOMPATIBLE_BLOCK = 74,   /* the blocks differ */
    DTC_ERROR_INCOMPATIBLE_SEED = 75,    /* the seeds of rotation or of measuring differ */
    DTC_ERROR_INCOMPATIBLE_GRID = 76,    /* the scales, steps, offsets or bits differ */
    DTC_ERROR_INCOMPATIBLE_PACKING = 77, /* the types differ, or only one packet has fixed-width packing */
    DTC_ERROR_INCOMPATIBLE_WORKERS = 78, /* the workers differ */
    DTC_ERROR_TERMS = 79                 /* the sum would have more terms than workers */
} dtc_status;

/* Returns one sentence that says what a status means and what to do. The text is never NULL and has static storage. */
DTC_API const char *dtc_status_string(dtc_status status);

typedef enum dtc_type { DTC_TYPE_FP32 = 0, DTC_TYPE_BF16 = 1, DTC_TYPE_FP16 = 2 } dtc_type;
typedef enum dtc_pack { DTC_PACK_HUFFMAN = 0, DTC_PACK_BASE3 = 1 } dtc_pack;
/* How values become grid points. With rd, for rate and distortion, magnitudes are rounded up later than at the half, so
 * that 0 is commoner and costs less, and grid points move to the mean of what was rounded to them. At .1 to 2 bits a
 * value most tensors have 3 to 37 % less error than with nearest at the same bits. Sullivan, Efficient scalar
 * quantization of exponential and Laplacian random variables (1996). */
typedef enum dtc_rounding {
    DTC_ROUNDING_AUTO = 0,       /* dtc_encode with `rate`: rd, unless the packet is for sums; else nearest. A residual
                                  * wants nearest: at one rate, rd waits for larger magnitudes, so that values stay in
                                  * the residual for longer */
    DTC_ROUNDING_STOCHASTIC = 1, /* up or down at random, without bias. dtc_encode_residual rounds to the nearest
                                  * instead, unless min or max is given: the residual makes up for the bias, but would
                                  * grow with the variance of random rounding */
    DTC_ROUNDING_NEAREST = 2,
    DTC_ROUNDING_RD = 3 /* for rate and distortion, see above */
} dtc_rounding;
#define DTC_BITS_AUTO (-1) /* quant.bits: the encoder chooses the bits by the entropy of a sample */
typedef enum dtc_entropy { DTC_ENTROPY_HUFFMAN = 0, DTC_ENTROPY_NONE = 1 } dtc_entropy;
/* Where the points of a grid of quant are. ZERO: 0 is a grid point, so that zeros stay zeros. EVEN: all 2^bits points
 * are used, from the least to the largest value, and 0 need not be one of them. This suits values that are rarely near
 * 0, and sums of one bit. Zeros decode to as much as half a step: on a tensor of which 99 % are zeros, bits=4,grid=even
 * has an error of twice the squared norm. */
typedef enum dtc_grid { DTC_GRID_ZERO = 0, DTC_GRID_EVEN = 1 } dtc_grid;

/* How a packet holds factors and circulant vectors: as floats of `type` if bits is 0, or quantized to 2^bits bins if
 * bits is 1..16 and type is 0. */
typedef struct dtc_value {
    dtc_type type;
    int bits;
} dtc_value;

/* How to encode. A field of 0 stands for its default. The ranges in the comments are those of fields that are not 0. */
typedef struct dtc_spec {
    dtc_codec codec;
    uint64_t seed;    /* of random numbers; give every tensor of every step and worker a seed of its own */
    size_t rows;      /* count = rows * columns, so rows divides count; 0: the array is one row. At most 2^30 - 256 */
    size_t block;     /* ternary, quant: values that share one scale or grid; 0: all values. With Huffman coding,
                       * and without rotation, workers, min, max and grid=even, quant codes its grids: steps are
                       * rounded up by at most 2^(1/32), and with `rate` or `nmse` all values share one grid.
                       * With pack=huffman, and without workers and scale, ternary codes its scales, if that saves
                       * bytes: they are rounded up by at most 2^(1/64), or with a residual to the nearest of these.
                       * sensing: values that are measured together, a power of two, 256..65536; 0: 65536, or less for
                       * small arrays. circulant: rows and columns of a block; 0: the larger of the matrix's rows and
                       * columns. raw, factor: not used. At most 2^30 - 256 */
    uint32_t workers; /* a sum of this many packets must fit, 1..65535; 0: 1. ternary: at most 32767. quant, and sensing
                       * unless its bits are 32: workers * 2^bits is at most 2^24, where quant's bits count as 16 if
                       * they are not given */
    int no_checksum;  /* nonzero: the packet has no CRC-32C */

    struct {
        dtc_type type;
    } raw;

    struct {
        float clip;    /* > 0: values are clipped at this many sigma (root mean square of a block). 0: 2.5; values above
                        * 12 sigma of the others, at most count / 256 or one, are then sent as they are, without block,
                        * workers, scale, residual and pack=base3, and sigma is that of the others. With a residual and
                        * a scale of its own, a block is not rounded at random: the digits and the scale are those that
                        * leave about the least, and clip is only a bound of that choice, if it is given */
        float scale;   /* > 0: the scale of every block, shared by the workers; 0: a block's largest magnitude after
                        * clipping, which is rounded up if scales are coded (see `block`) */
        dtc_pack pack; /* base3: five values a byte. huffman: Huffman codes of these bytes, if they are smaller. With
                        * workers > 1, base3 stands for fixed-width fields that have room for the sum */
    } ternary;

    struct {
        int bits;     /* 1..16: 2^bits bins. 1: two grid points with about the least error, or 0 and one other if most
                       * values are 0. DTC_BITS_AUTO: the entropy of a sample plus `floor`. 0: not given */
        int floor;    /* auto: bits that are added to the entropy, 1..12; 0: 6 */
        int probe;    /* auto: the sample is quantized to this many bits to take its entropy, 1..8; 0: 4 */
        float sample; /* auto: the sample's part of the values, in (0, 1]; 0: 0.03 */
        float nmse; /* in place of bits: the sum of the squared errors, divided by the sum of the squares of the values
                     * (normalized mean squared error), 1e-10..0.9; 0: not given. The packet has about the coarsest
                     * grids whose error is at most nmse; the error is in general above 0.95 nmse. Outliers and a
                     * large mean hide nothing: the error is also at most 4 nmse, and at most 0.9, times the sum of
                     * the squared distances of the values that are not outliers from their mean. Excludes min and
                     * max. With none of bits, nmse, rate, max_error, min and max the default is nmse = 0.01, or
                     * DTC_BITS_AUTO if floor, probe or sample is given. With min or max it is DTC_BITS_AUTO */
        float rate; /* in place of bits: the packet has at most this many bits a value, 0.002..32; 0: not given.
                     * Needs entropy=huffman. If no grid fits, because head and checksum alone take most of the
                     * budget, the packet has the largest values alone, each as its place and fp32, as many as fit
                     * and at least one. So it is never empty, but is above the budget if that has less than about
                     * 24 bytes. A packet for sums (workers above 1, or min or max given) cannot do that: it is
                     * made with bits = floor(rate), at least 2 and at most 16, and may be above the budget */
        float max_error; /* in place of bits: the largest error of any value, > 0; 0: not given. Excludes min and max */
        dtc_rounding rounding; /* rd excludes max_error, min, max, workers, rotate, grid=even and entropy=none */
        dtc_entropy entropy;
        dtc_grid grid;
        int rotate;    /* nonzero: the values first pass a randomized Hadamard transform of the seed, which the packet
                        * holds. bits is then at most 14 and workers * 2^bits at most 16384, where a bits of 1 counts as
                        * 2. Excludes max_error. min and max are given both or not at all, and min = -max */
        int biased;    /* rotate: nonzero: the steps have the least squared error; 0: the mean of what is decoded over
                        * the seeds is the value, unless there is a residual (see there). Its key is unbiased=1|0 */
        int min_given; /* nonzero: the range starts at min, and values below min are clipped to min */
        int max_given; /* nonzero: the range ends at max, and values above max are clipped to max */
        float min;     /* finite, at most max; min = max is a grid of one bin, as a range of 0 needs it */
        float max;
    } quant;

    struct {
        int rank;        /* rank of the approximation that dtc_encode makes, 1..65535; 0: 4 */
        dtc_value value; /* how the packet holds the factors */
    } factor;

    struct {
        float ratio; /* measurements a value, in (0, 1]; 0: 0.25 */
        int bits;    /* bits of a measurement: 1 (the sign) to 16, or 32 (fp32); 0: 4 */
        float scale; /* > 0: the range of the measurements is +-scale, shared by the workers; 0: each block has a range
                      * of its own. The root mean square of measurements is about that of the values; a scale of three
                      * times that suits 4 bits, four times suits 8 bits */
        float keep;  /* the part of the values that is measured, in (0, 1]; 0: 1. The keep * n largest magnitudes of a
                      * block of n values are measured, rounded up; of equal magnitudes the first ones. The other values
                      * are measured as 0, and a residual keeps them. So what is measured is sparse (FedVQCS, Oh et al.,
                      * arXiv 2204.07692). With bits=3 the decoder finds it if keep is at most about ratio / 6. For
                      * gradients, with a residual, ratio=0.19,bits=3,keep=0.03 takes 0.5 bits a value, and
                      * ratio=0.038,bits=3,keep=0.005 takes 0.1 bits. A packet does not tell keep */
    } sensing;

    struct {
        dtc_value value; /* how the packet holds the vectors */
    } circulant;
} dtc_spec;

/* Reads a spec from text, for example "quant:bits=auto,floor=6". Keys may stand in any order, each at most once. A
 * field whose key is missing stays 0, its default. The result does not depend on the locale. On failure *spec is one
 * that no encoder takes, and *error_at is the place of the error in `text`; error_at may be NULL.
 * Errors: SPEC_CODEC, SPEC_KEY, SPEC_VALUE, ARGUMENT. */
DTC_API dtc_status dtc_spec_parse(const char *text, dtc_spec *spec, const char **error_at);

/* Writes the text that dtc_spec_parse reads back to the same spec, with a closing zero byte. A capacity of 256 bytes is
 * enough. On failure text is "" if capacity > 0. Errors: CAPACITY, SPEC, CODEC, ARGUMENT. */
DTC_API dtc_status dtc_spec_format(const dtc_spec *spec, char *text, size_t capacity);

/* Returns the bytes that are enough for any packet of `count` values under this spec. The result does not depend on the
 * seed and does not shrink when count grows. It is 0 if the spec is not valid or its codec was left out of the build,
 * if count is above 2^30 - 256, or if spec->rows does not divide count. */
DTC_API size_t dtc_encode_bound(const dtc_spec *spec, size_t count);

/* Returns the bytes of scratch that dtc_encode and dtc_encode_residual need, which may be 0. The result does not depend
 * on the seed and does not shrink when count grows. It is 0 where dtc_encode_bound is 0. */
DTC_API size_t dtc_encode_scratch(const dtc_spec *spec, size_t count);

/* Returns the bytes of scratch that are enough to decode any packet of `count` values that dtc_encode makes under this
 * spec, or any sum of such packets that is no sum of factors. So a receiver can allocate before the first packet comes.
 * The result does not depend on the seed and does not shrink when count grows. It may be 0, and it is 0 where
 * dtc_encode_bound is 0. */
DTC_API size_t dtc_decode_scratch_bound(const dtc_spec *spec, size_t count);

/* Returns a seed for spec->seed that is different for every step and worker. Consecutive seeds, steps and workers are
 * as good as any others, and the result is never 0. Codecs whose packets add under one seed only (sensing, and quant
 * with rotate=1) take the same `worker`, for example 0, on all workers. */
DTC_API uint64_t dtc_seed(uint64_t seed, uint64_t step, uint64_t worker);

/* Returns how far an agreed grid must reach for these values plus the residual, which may be NULL (see ADDING PACKETS):
 * max |x| for quant, the smaller of max |x| and clip * sigma for ternary, (1.35 + 0.33 bits) sigma for sensing. The
 * result is infinite if a value is NaN or infinite, and 0 for other codecs. All workers take the largest of their
 * ranges, and call dtc_spec_set_range with it. */
DTC_API float dtc_range(const dtc_spec *spec, const float *values, const float *residual, size_t count);

/* Gives the spec the grid from -range to range: min and max of quant, or scale of ternary and sensing. The spec of
 * another codec stays as it is. Encoding under an infinite range is DTC_ERROR_SPEC. */
DTC_API void dtc_spec_set_range(dtc_spec *spec, float range);

/* Encodes values[0..count) as one packet of *packet_bytes bytes. The same call gives the same bytes. On failure
 * *packet_bytes is 0, and packet[0..capacity) is unspecified.
 * Errors: ARGUMENT, SPEC, CODEC, CAPACITY, SCRATCH, NONFINITE. */
DTC_API dtc_status dtc_encode(const dtc_spec *spec, void *packet, size_t capacity, size_t *packet_bytes,
                              const float *values, size_t count, void *scratch, size_t scratch_bytes);

/* Error feedback (Seide et al. 2014; Karimireddy et al. 2019). Encodes x = values + residual, summed in fp32, and sets
 * residual[i] = x[i] - decoded[i], the part of x that the receiver does not get. Where the scales are the packet's own,
 * nothing is rounded at random: ternary and rotated quant send a scale between the one with the least squared error
 * and the unbiased one, and other quant rounds to the nearest grid point. That makes the encoder a
 * contraction: the residual stays bounded. So such a packet is not unbiased, and has other digits and
 * other scales than dtc_encode gives. If each packet leaves at most a part 1 - d of |x|^2, and |values|^2 is at most
 * g, then |residual|^2 stays below 4 g / d^2. In a packet of the k largest values alone (see `rate`), d is at least
 * k / count; everywhere else it is near 1 - error of one packet. The caller owns the residual, of count
 * floats, starts it with zeros and saves it in checkpoints. On failure the residual is unchanged, *packet_bytes is 0
 * and packet[0..capacity) is unspecified. Errors: those of dtc_encode. */
DTC_API dtc_status dtc_encode_residual(const dtc_spec *spec, void *packet, size_t capacity, size_t *packet_bytes,
                                       const float *values, float *residual, size_t count, void *scratch,
                                       size_t scratch_bytes);

/* What dtc_inspect tells of a packet. */
typedef struct dtc_info {
    dtc_codec codec; /* raw also if another codec was asked for but its packet would not have been smaller */
    size_t count, rows, columns; /* count = rows * columns; rows is 1 if the packet has no shape */
    size_t packet_bytes;   /* size of the packet with head and checksum; the next packet of a message starts after it */
    size_t decode_scratch; /* bytes of scratch that dtc_decode needs, which may be 0 */
    uint32_t workers;      /* packets that a sum has room for */
    uint32_t terms;        /* packets that this packet is the sum of; 1 for a packet that an encoder made */
    uint64_t seed;         /* 0 if decoding needs no seed */
    dtc_spec spec;         /* the fields of the encoder's spec that the packet holds; the other fields are 0 */
} dtc_info;

/* Reads the head of the packet that starts at packet[0] and lies in packet[0..bytes). Other bytes may follow the
 * packet. The call takes constant time. Of the payload it reads only what tells sizes, and it does not check the
 * checksum. On failure *info is all zero.
 * Errors: ARGUMENT, TRUNCATED, MAGIC, HEAD, SIZE, WIRE_VERSION, CODEC, LIMIT. */
DTC_API dtc_status dtc_inspect(const void *packet, size_t bytes, dtc_info *info);

/* The method by which sensing finds values x from fewer measurements y = A x. If all rows of a block are measured,
 * every method gives A^T y, which is then exact up to rounding. */
typedef enum dtc_method {
    DTC_METHOD_AUTO = 0,  /* approximate message passing */
    DTC_METHOD_ISTA = 1,  /* x <- soft(x + A^T (y - A x), lambda); a slow reference for FISTA, with the same minimum */
    DTC_METHOD_FISTA = 2, /* the minimum over x of |y - A x|^2 / 2 + lambda |x|_1, lambda = max |A^T y| / 1024 */
    DTC_METHOD_LINEAR = 3 /* A^T y, times a constant in blocks that were filled up with zeros: fast and linear, so the
                           * estimate of a sum is the sum of the estimates */
} dtc_method;

/* Options of decoding. NULL, or fields of 0, stand for the defaults. max_iterations, tolerance and method concern
 * sensing only. */
typedef struct dtc_decode_options {
    int skip_checksum;       /* nonzero: the CRC-32C is not verified */
    uint32_t max_iterations; /* at most this many iterations for each block; 0: AUTO 50, FISTA 200, ISTA 1000. An
                              * iteration over all blocks takes time in proportion to count * log2(block) */
    float tolerance;   /* AUTO stops after two iterations in a row that lower the noise by less than this part of it;
                        * 0: 0.05. ISTA and FISTA stop if x moves by less than this part of its length; 0: 1e-5 */
    dtc_method method; /* another number than those of dtc_method is DTC_ERROR_ARGUMENT */
    uint64_t max_work; /* DTC_ERROR_LIMIT for a packet of factor or sensing whose decoding takes more steps, which are
                        * about nanoseconds: count * rank for factor; for sensing 8 for each value of its blocks, filled
                        * up with zeros, and each iteration that max_iterations allows (LINEAR: 1). 0: for factor
                        * 64 * (count + packet_bytes), for sensing no limit but max_iterations */
} dtc_decode_options;

/* Decodes one packet of exactly packet_bytes bytes into values[0..count), where count is the packet's. On failure the
 * values are unchanged.
 * Errors, in the order of the checks: those of dtc_inspect, SIZE (bytes follow the packet), COUNT, SCRATCH, CHECKSUM,
 * PAYLOAD, LIMIT (max_work); ARGUMENT (a null pointer, or an unknown method of sensing); CODEC (a nested packet of a
 * codec that this build lacks). */
DTC_API dtc_status dtc_decode(float *values, size_t count, const void *packet, size_t packet_bytes,
                              const dtc_decode_options *options, void *scratch, size_t scratch_bytes);

/* Decodes as dtc_decode does, but computes values[i] = weight * decoded[i] + values[i] in one pass. The exact sum is
 * rounded to fp32 once, as by fmaf(weight, decoded[i], values[i]) of the C library. Errors: those of dtc_decode, and
 * ARGUMENT (weight is not finite). */
DTC_API dtc_status dtc_decode_add(float *values, size_t count, float weight, const void *packet, size_t packet_bytes,
                                  const dtc_decode_options *options, void *scratch, size_t scratch_bytes);

/* What a packet makes of the values that it was encoded from. */
typedef struct dtc_report {
    dtc_codec codec;  /* of the packet: raw if the codec of the spec would not have made it smaller */
    double bits;      /* bits a value, of all bytes of the packet */
    double nmse;      /* relative squared error: |values - decoded|^2 / |values|^2. Values of 0: 0, or 1 if wrong */
    double cosine;    /* of the angle between values and decoded values; 0 if one of them is 0 */
    double max_error; /* largest |value - decoded value| */
    double largest;   /* largest |value| */
    double largest_decoded; /* largest |decoded value|; values are clipped where this is much less than `largest` */
    size_t nonzeros;        /* values that are not 0 */
    size_t erased;          /* values that are not 0 and decode to 0. All of them: the packet sends nothing */
} dtc_report;

/* Decodes a packet and compares it with the values that were encoded: with a residual, that is the sum of values and
 * residual before the encoding. scratch_bytes is at least dtc_info.decode_scratch. The call takes about the time of
 * decoding. On failure *report is all zero. Errors: those of dtc_decode. */
DTC_API dtc_status dtc_packet_report(dtc_report *report, const float *values, size_t count, const void *packet,
                                     size_t packet_bytes, void *scratch, size_t scratch_bytes);

/* Computing with packets ("homomorphic compression", Jang et al. 2017)
 *
 * A packet tells the number of packets that it is the sum of (dtc_info.terms), and the number that a sum has room for
 * (dtc_info.workers, from spec.workers). Two packets can be added if they have the same codec, count, rows, block and
 * workers, if their terms together are at most workers, and if the following agree:
 *
 *     codec       must be the same in both                        the sum
 *     raw         type                                            values, rounded to the type
 *     ternary     scales (scale=S); pack=base3 in both or none    digits, exact
 *     quant       bits, grids (min=, max=), rotate and seed;      fields, exact
 *                 entropy=none in both or none
 *     factor      nothing else                                    the factors of both, exact, if they are smaller than
 *                                                                 the matrix
 *     sensing     seed, ratio, bits and scale (scale=S)           measurements, exact unless bits=32
 *     circulant   nothing else                                    vectors, in the type of both, or in fp32 if the types
 *                                                                 differ or the vectors are quantized
 *
 * Sums of integers are exact, and they are the same bytes in whatever order the packets are added. With entropy=none or
 * pack=base3 a sum also has the size of its terms, so a network can reduce packets in place. */

/* Returns the bytes that are enough for the sum of two packets. 0: their heads show that they cannot be added, and
 * dtc_packet_add returns the reason. */
DTC_API size_t dtc_packet_add_bound(const void *a, size_t a_bytes, const void *b, size_t b_bytes);

/* Returns the bytes of scratch that dtc_packet_add needs for two packets, which may be 0. */
DTC_API size_t dtc_packet_add_scratch(const void *a, size_t a_bytes, const void *b, size_t b_bytes);

/* Makes the packet of a + b without decoding the two. sum may be a or b if it has the capacity. On failure *sum_bytes
 * is 0, and sum[0..capacity) is unspecified.
 * Errors: those of dtc_decode except COUNT; CAPACITY; the INCOMPATIBLE statuses; TERMS; NONFINITE (the type cannot hold
 * a sum: raw of any type, or nested floats). Raw packets that already hold a NaN or an infinity are not refused. */
DTC_API dtc_status dtc_packet_add(void *sum, size_t capacity, size_t *sum_bytes, const void *a, size_t a_bytes,
                                  const void *b, size_t b_bytes, void *scratch, size_t scratch_bytes);

/* Multiplies a packet by weight, in place. The call multiplies scales and grids (ternary, quant, quantized
 * measurements, factors and vectors), or else the floats that the packet holds, and rounds the results to their type.
 * It checks the head, the checksum and the parts of the payload that it changes, but no tokens and no fields. A valid
 * packet stays valid, so dtc_decode decodes it. On failure the packet is unchanged.
 * Errors: ARGUMENT (weight is not finite), those of dtc_inspect, SIZE (bytes follow the packet), CHECKSUM, PAYLOAD,
 * NONFINITE (the type cannot hold a multiple: scales, raw of any type, nested floats). Raw packets that already hold a
 * NaN or an infinity are not refused. */
DTC_API dtc_status dtc_packet_scale(void *packet, size_t packet_bytes, float weight);

/* Returns the bytes of scratch that dtc_packet_matvec needs. 0: packet[0..packet_bytes) is not a packet. */
DTC_API size_t dtc_packet_matvec_scratch(const void *packet, size_t packet_bytes, int transposed);

/* Multiplies the matrix W of a packet, of rows x columns as dtc_inspect tells, with a vector. No decoded copy of W is
 * held.
 *
 *     transposed     product      floats of x    floats of y
 *     0              y = W x      columns        rows
 *     not 0          y = W^T x    rows           columns
 *
 * Sums are computed in double, bounded to +-FLT_MAX and rounded to fp32. A factor packet takes rank * (rows + columns)
 * operations, other packets take rows * columns. For circulant packets dtc_fft_packet_matvec of dtcodec_fft.h takes
 * O(n log n). On failure y is unchanged. Errors: those of dtc_decode except COUNT. */
DTC_API dtc_status dtc_packet_matvec(float *y, const void *packet, size_t packet_bytes, const float *x, int transposed,
                                     void *scratch, size_t scratch_bytes);

/* Returns the bytes of scratch that dtc_encode_factors needs, which may be 0. */
DTC_API size_t dtc_encode_factors_scratch(const dtc_spec *spec, size_t rank, size_t rows, size_t columns);

/* Encodes the matrix that is the sum over k < rank of u_k v_k^T by its factors (Xie et al., UAI 2016). The gradient of
 * a dense layer's weights is such a matrix: u_k are the deltas of sample k and v_k its inputs. u is rank x rows, v is
 * rank x columns, both row-major. With value=fp32 the receiver gets the factors exactly. If rank * (rows + columns) is
 * not less than rows * columns, the packet holds the product as raw fp32, bounded to +-FLT_MAX.
 *
 * spec->codec is DTC_FACTOR; spec->rows and spec->factor.rank are not used. A capacity of dtc_encode_bound is enough,
 * of the same spec with spec.rows = rows, and of rows * columns values.
 *
 * Errors: ARGUMENT, SPEC, CODEC, CAPACITY, SCRATCH, NONFINITE (u or v holds a NaN or an infinity). */
DTC_API dtc_status dtc_encode_factors(const dtc_spec *spec, void *packet, size_t capacity, size_t *packet_bytes,
                                      const float *u, const float *v, size_t rank, size_t rows, size_t columns,
                                      void *scratch, size_t scratch_bytes);

/* Decodes the factors of a packet: u is *rank x rows, v is *rank x columns, both row-major. On entry *rank is the
 * largest rank that u and v have room for; on return it is the packet's rank. rows and columns are those of the packet,
 * and scratch_bytes is at least dtc_info.decode_scratch. On failure *rank is 0, and u and v are unchanged.
 * Errors: those of dtc_decode; COUNT (another rows or columns); CODEC (another codec); CAPACITY (the packet's rank is
 * higher than *rank). */
DTC_API dtc_status dtc_decode_factors(float *u, float *v, size_t *rank, size_t rows, size_t columns, const void *packet,
                                      size_t packet_bytes, const dtc_decode_options *options, void *scratch,
                                      size_t scratch_bytes);

/* Returns the number of floats in the vectors of a block-circulant matrix of rows x columns. It is the product of
 * ceil(rows / block), ceil(columns / block) and block. A block of 0 stands for max(rows, columns). 0: rows or columns
 * is 0, or the vectors have more bytes than a size_t holds. */
DTC_API size_t dtc_circulant_vector_count(size_t rows, size_t columns, size_t block);

/* Returns the bytes of scratch that dtc_encode_circulant needs. 0: dtc_encode_circulant refuses these arguments. */
DTC_API size_t dtc_encode_circulant_scratch(const dtc_spec *spec, size_t rows, size_t columns);

/* Encodes the block-circulant matrix of rows x columns that these vectors make. The parameters of a circulant layer of
 * dtcodec_fft.h are such vectors, and so is their gradient. With block = spec->block, or max(rows, columns) if that is
 * 0, the vectors are one array
 *
 *     [ceil(rows / block)][ceil(columns / block)][block]
 *
 * and element (i, j) of block (p, q) of the matrix is vectors[p][q][(i - j) mod block]. With value=fp32 the receiver
 * gets the vectors exactly. If there are more than rows * columns - 3 floats in the vectors, the packet holds the
 * matrix as raw fp32.
 *
 * spec->codec is DTC_CIRCULANT; spec->rows is not used. A capacity of dtc_encode_bound is enough, of the same spec with
 * spec.rows = rows, and of rows * columns values.
 *
 * Errors: ARGUMENT, SPEC, CODEC, CAPACITY, SCRATCH, NONFINITE. */
DTC_API dtc_status dtc_encode_circulant(const dtc_spec *spec, void *packet, size_t capacity, size_t *packet_bytes,
                                        const float *vectors, size_t rows, size_t columns, void *scratch,
                                        size_t scratch_bytes);

/* Decodes the vectors of a packet, with info from dtc_inspect. vector_count is dtc_circulant_vector_count(info.rows,
 * info.columns, info.spec.block), and scratch_bytes is at least info.decode_scratch. On failure the vectors are
 * unchanged.
 * Errors: those of dtc_decode, where COUNT means another vector_count; CODEC (another codec). */
DTC_API dtc_status dtc_decode_circulant(float *vectors, size_t vector_count, const void *packet, size_t packet_bytes,
                                        const dtc_decode_options *options, void *scratch, size_t scratch_bytes);

#ifndef DTC_NO_MESSAGES

/* Messages: all tensors of a model in one call
 *
 * A message is the packets of several tensors in a row. Each tensor of more than 512 values has a packet of its own.
 * All smaller tensors share one packet, so that they share its head (see MESSAGES in the wire format). The receiver
 * passes tensors with the same counts in the same order.
 *
 * Encoding and decoding are all or nothing: on failure no value and no residual of any tensor has changed. */

/* One tensor of a message. The memory belongs to the caller. */
typedef struct dtc_tensor {
    float *values;   /* encoding reads them, decoding writes them */
    float *residual; /* of error feedback, as dtc_encode_residual has it; NULL: none. Decoding does not use it */
    size_t count;    /* number of values; may be 0 */
    size_t rows;     /* rows of a matrix, row-major, which divide count; 0: the tensor is no matrix */
} dtc_tensor;

/* Returns the bytes that are enough for any message of these tensors under this spec. Of the tensors only counts and
 * rows are read. The result does not depend on the seed. 0: no tensor has values, or dtc_encode_bound is 0 for one. */
DTC_API size_t dtc_message_bound(const dtc_spec *spec, const dtc_tensor *tensors, size_t tensor_count);

/* Returns the bytes of scratch that are enough to encode, and also to decode, any message of these tensors under this
 * spec, or a sum of such messages that has no factors. Of the tensors only counts and rows are read. */
DTC_API size_t dtc_message_scratch(const dtc_spec *spec, const dtc_tensor *tensors, size_t tensor_count);

/* Encodes all tensors as one message of *message_bytes bytes. The capacity must be at least dtc_message_bound.
 *
 *   - The spec holds for every tensor, but for its rows, which are the tensor's, and for its seed, which is mixed with
 *     the tensor's number. factor and circulant apply to matrices of at least 2 rows and 2 columns; other tensors are
 *     sent as the codec's value= says, as raw or quant.
 *   - nmse, rate and block apply to the gathered values of the small tensors as to one tensor. Tensors of different
 *     scales do not lose in this: unless the grid is agreed on, or given by max-error or rate, each small tensor is
 *     scaled first.
 *   - A packet whose rate would be less than 64 bytes takes 3 bits a value instead, because it would hold only a few of
 *     its values. The other packets take less for it, down to half of the rate, so that the message keeps the rate if
 *     large tensors have enough values.
 *   - If a small tensor has a residual, all of them should: their common packet is then one of error feedback.
 *
 * Errors: those of dtc_encode. ARGUMENT also if rows do not divide a count, or if the small tensors together have more
 * than 2^30 - 256 values. */
DTC_API dtc_status dtc_message_encode(const dtc_spec *spec, void *message, size_t capacity, size_t *message_bytes,
                                      const dtc_tensor *tensors, size_t tensor_count, void *scratch,
                                      size_t scratch_bytes);

/* Encodes as dtc_message_encode does, and replaces the values of every tensor by those that the message decodes to, so
 * that a worker which also applies its own message need not decode it. The values are the bits that dtc_message_decode
 * gives with default options (on the same machine, for sensing). Applied as x = fmaf(weight, value, x), they give the
 * bits of dtc_message_decode_add. With residuals the call takes the time of dtc_message_encode.
 * On failure no value and no residual has changed. Errors: those of dtc_message_encode. */
DTC_API dtc_status dtc_message_encode_decoded(const dtc_spec *spec, void *message, size_t capacity,
                                              size_t *message_bytes, const dtc_tensor *tensors, size_t tensor_count,
                                              void *scratch, size_t scratch_bytes);

/* Decodes a message into the values of the tensors. The message must have exactly message_bytes bytes. The scratch is
 * at least dtc_message_scratch of the sender's spec; a message that needs more is refused.
 * Errors: those of dtc_decode. COUNT: a packet does not have as many values as its tensor. SIZE also: bytes follow the
 * last packet. */
DTC_API dtc_status dtc_message_decode(const dtc_tensor *tensors, size_t tensor_count, const void *message,
                                      size_t message_bytes, const dtc_decode_options *options, void *scratch,
                                      size_t scratch_bytes);

/* Decodes as dtc_message_decode does, but adds weight * decoded values to the values of the tensors, as dtc_decode_add
 * does. For a sum of messages, dtc_inspect of its first packet tells the number of terms. */
DTC_API dtc_status dtc_message_decode_add(const dtc_tensor *tensors, size_t tensor_count, float weight,
                                          const void *message, size_t message_bytes, const dtc_decode_options *options,
                                          void *scratch, size_t scratch_bytes);

/* Returns the bytes that are enough for the sum of two messages. 0: both are empty, or their heads show that they
 * cannot be added, and dtc_message_add returns the reason. */
DTC_API size_t dtc_message_add_bound(const void *a, size_t a_bytes, const void *b, size_t b_bytes);

/* Returns the bytes of scratch that dtc_message_add needs for two messages, which may be 0. */
DTC_API size_t dtc_message_add_scratch(const void *a, size_t a_bytes, const void *b, size_t b_bytes);

/* Adds two messages packet by packet, as dtc_packet_add does, without decoding them. All packets must be ones that add:
 * the spec has workers, and an agreed grid (dtc_range of all tensors, of which the largest is the grid's range). On
 * failure *sum_bytes is 0 and sum[0..capacity) is unspecified. Errors: those of dtc_packet_add; TRUNCATED if one
 * message has fewer packets. */
DTC_API dtc_status dtc_message_add(void *sum, size_t capacity, size_t *sum_bytes, const void *a, size_t a_bytes,
                                   const void *b, size_t b_bytes, void *scratch, size_t scratch_bytes);

#endif /* DTC_NO_MESSAGES */

#ifdef __cplusplus
}
#endif

/* The documentation for users ends here. */

#endif /* DTCODEC_H */

/* ====================================================================================================================
 * IMPLEMENTATION
 *
 * The implementation is a sequence of rooms. A room begins with a banner, and the contents at the top of this file list
 * all rooms in order.
 *
 * What a room may call: the rooms above it. The one exception is dtci_codec_find, which "Codec interface" declares and
 * "Table of codecs" defines. A codec's room calls no other codec's room; it reaches raw and quant through "Nested
 * packets". Code for all codecs calls a codec through its row of type dtci_codec. Only the storing of values as raw
 * calls dtci_raw_encode directly.
 *
 * A codec's room has these parts, each with a heading of the form "--- Name ---": Options (keys of spec texts, check of
 * a spec, begin), the codec's own kernels, Decode, Scratch, Encoder, Packet (check, open, describe), Sums, Multiples,
 * Row, API. A part is left out where a codec has none.
 *
 * To add a codec: a number in dtc_codec and options in dtc_spec; a room between DTC_NO_NAME guards with the parts
 * above; its row in dtci_codecs; an #undef for each of its macros; its tables in the wire format and the manual, and
 * one annotated packet among the EXAMPLES. The comment on dtci_codec says what each member of a row does.
 * .github/CONTRIBUTING.md has the whole list.
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
 *
 * A kernel is a plain loop that compilers turn into SIMD code by themselves. Most kernels take n <= DTCI_CHUNK values
 * and are made of a DTCI_EACH. DTCI_TWIN compiles a kernel twice, the second time for AVX2. Each call asks the
 * processor which of the two to run; the question costs a load and a branch. Both twins do the same operations on each
 * value, so they give the same bits. Only kernels have twins. The code that calls kernels is compiled once.
 * ------------------------------------------------------------------------------------------------------------------*/

#define DTCI_FN static inline

#if defined(__GNUC__)
#define DTCI_INLINE static inline __attribute__((always_inline)) /* for parts of inner loops, to stay in registers */
/* Loops over values. Without `hot`, GCC makes them small and slow if all their callers are cold. */
#define DTCI_KERNEL static __attribute__((hot, noinline, unused))
#define DTCI_SHARED static __attribute__((noinline, unused)) /* for functions with many callers outside inner loops */
#define DTCI_COLD   static __attribute__((cold, noinline, unused)) /* for functions that few calls reach: small code */
#else
#define DTCI_INLINE static inline
#define DTCI_KERNEL static
#define DTCI_SHARED static
#define DTCI_COLD   static
#endif

/* A condition that seldom holds: the other case is laid out as the straight path. */
#if defined(__GNUC__)
#define DTCI_RARE(condition) __builtin_expect(!!(condition), 0)
#else
#define DTCI_RARE(condition) (condition)
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

#if defined(__GNUC__) && defined(__x86_64__) && !defined(DTC_NO_SIMD)
#define DTCI_X86 1
#elif defined(__ARM_FEATURE_CRC32) && defined(__aarch64__) && !defined(DTC_NO_SIMD)
#include <arm_acle.h>
#define DTCI_CRC_ARM 1
#endif

/* GCC does not align the stack for 32-byte vectors on Windows (GCC bug 54412). */
#if defined(DTCI_X86) && !(defined(_WIN32) && !defined(__clang__))
#define DTCI_AVX2        __attribute__((target("avx2"))) DTCI_KERNEL
#define DTCI_AVX2_INLINE __attribute__((target("avx2"))) DTCI_INLINE
#endif

/* Whether all processors that the program is compiled for have a fused multiply-add of floats. */
#if defined(__GNUC__) && (defined(__FMA__) || defined(__aarch64__) || defined(__FP_FAST_FMAF))
#define DTCI_FUSED 1
#else
#define DTCI_FUSED 0
#endif

/* Tells whether the processor has a feature. Tests define this macro themselves, to run the code for both answers. */
#if defined(DTCI_X86) && !defined(DTCI_CPU_HAS)
#define DTCI_CPU_HAS(feature) __builtin_cpu_supports(feature)
#endif

/* Vector types of floats (f), 32-bit words (u) and doubles (d). A vector may have any alignment. The types use the
 * compiler's vector extension, because the headers of intrinsics define macros that reach the program. */
#if defined(__has_builtin) && !defined(DTC_NO_SIMD)
#if __has_builtin(__builtin_shufflevector) && (defined(__SSE2__) || defined(__aarch64__))
#define DTCI_VECTORS 1
#endif
#endif
#if defined(DTCI_VECTORS) || defined(DTCI_AVX2)
typedef float dtci_f4 __attribute__((vector_size(16), aligned(1), may_alias));
typedef uint32_t dtci_u4 __attribute__((vector_size(16), aligned(1), may_alias));
#endif
#if defined(DTCI_AVX2)
typedef float dtci_f8 __attribute__((vector_size(32), aligned(1), may_alias));
typedef uint32_t dtci_u8 __attribute__((vector_size(32), aligned(1), may_alias));
typedef double dtci_d4 __attribute__((vector_size(32), aligned(1), may_alias));
#endif

/* The widest type that has bitwise operators: a vector of four 64-bit words or, without SIMD, one such word. */
#if defined(__GNUC__) && !defined(DTC_NO_SIMD)
typedef uint64_t dtci_words __attribute__((vector_size(32), aligned(1), may_alias));
#else
typedef uint64_t dtci_words;
#endif

/* Does `work` for each i of 0..n-1. The inner loop has a constant number of iterations, so that compilers vectorize it.
 */
#define DTCI_EACH(i, n, ...)                                             \
    do {                                                                 \
        size_t dtci_at = 0, dtci_step;                                   \
        for (; dtci_at + DTCI_STRIP <= (n); dtci_at += DTCI_STRIP) {     \
            for (dtci_step = 0; dtci_step < DTCI_STRIP; dtci_step++) {   \
                const size_t i = dtci_at + dtci_step;                    \
                __VA_ARGS__;                                             \
            }                                                            \
        }                                                                \
        for (dtci_step = 0; dtci_step < (n) % DTCI_STRIP; dtci_step++) { \
            const size_t i = dtci_at + dtci_step;                        \
            __VA_ARGS__;                                                 \
        }                                                                \
    } while (0)

/* Defines the kernel `name`. The inline function name_body has the code. `parameters` and `arguments` are the lists of
 * the declaration and of the call, both in parentheses. */
#if defined(DTCI_AVX2) && !defined(__AVX2__)
#define DTCI_TWIN(name, parameters, arguments) \
    DTCI_KERNEL void name##_plain parameters { \
        name##_body arguments;                 \
    }                                          \
    DTCI_AVX2 void name##_avx2 parameters {    \
        name##_body arguments;                 \
    }                                          \
    DTCI_INLINE void name parameters {         \
        if (DTCI_CPU_HAS("avx2"))              \
            name##_avx2 arguments;             \
        else                                   \
            name##_plain arguments;            \
    }
#else
#define DTCI_TWIN(name, parameters, arguments) \
    DTCI_KERNEL void name parameters {         \
        name##_body arguments;                 \
    }
#endif

#define DTCI_COUNT_MAX 0x3fffff00u /* most values of a packet: as fp32, with head and checksum, below 4 GiB */
#define DTCI_CHUNK     256u        /* values of a chunk; as many as DTCI_GROUP, since fields are packed by chunks */
#define DTCI_STRIP     32u         /* values that a kernel handles at once where it cannot have whole chunks */

typedef char dtci_assert_float_is_32[sizeof(float) == 4 && sizeof(double) == 8 ? 1 : -1];

/* --------------------------------------------------------------------------------------------------------------------
 * Bytes and checked arithmetic
 *
 * The functions dtci_get16 to dtci_put64, dtci_get_float and dtci_put_float read and write little-endian numbers at any
 * alignment.
 * ------------------------------------------------------------------------------------------------------------------*/

/* Compilers replace calls of this function by a constant. */
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

/* Returns the fp32 at p as a double. A denormal is converted from its bits as an integer, because a processor that
 * flushes denormals would convert the float to 0. */
DTCI_FN double dtci_get_double(const unsigned char *p) {
    uint32_t bits = dtci_get32(p);
    double magnitude = (double)(int32_t)(bits & 0x7fffffu) * 1.401298464324817e-45; /* 2^-149 */
    if (bits & 0x7f800000u) return (double)dtci_bits_float(bits);
    return bits >> 31 ? -magnitude : magnitude;
}

/* Returns values[i] of an array of floats that may have any alignment. */
DTCI_INLINE float dtci_float_at(const void *values, size_t i) {
    float x;
    memcpy(&x, (const char *)values + 4 * i, 4);
    return x;
}

DTCI_INLINE void dtci_float_put(void *values, size_t i, float x) {
    memcpy((char *)values + 4 * i, &x, 4);
}

/* Tells whether x is neither NaN nor infinite. The function tests the bits of the exponent, because compilers drop
 * x != x under -ffast-math. */
DTCI_FN int dtci_finite(float x) {
    return (dtci_float_bits(x) & 0x7f800000u) != 0x7f800000u;
}

/* Returns x, bounded to +-FLT_MAX and rounded to fp32. */
DTCI_FN float dtci_to_float(double x) {
    x = x > (double)FLT_MAX ? (double)FLT_MAX : x;
    x = x < -(double)FLT_MAX ? -(double)FLT_MAX : x;
    return (float)x;
}

/* Returns the smallest float that is not below x >= 0, or FLT_MAX if x is above that. */
DTCI_SHARED float dtci_float_up(double x) {
    float y = (float)(x < (double)FLT_MAX ? x : (double)FLT_MAX);
    return (double)y < x && (double)y < (double)FLT_MAX ? dtci_bits_float(dtci_float_bits(y) + 1) : y;
}

/* Returns the largest float that is not above x. The result is 0 if x <= 0, and at most FLT_MAX. */
DTCI_SHARED float dtci_float_down(double x) {
    float y = (float)(x < (double)FLT_MAX ? x > 0 ? x : 0 : (double)FLT_MAX);
    return (double)y > x && y > 0 ? dtci_bits_float(dtci_float_bits(y) - 1) : y;
}

/* Tells whether n bytes are equal. The function does not call memcmp, because compilers turn that into a call of bcmp,
 * and the header may not import bcmp. */
DTCI_SHARED int dtci_same(const void *a, const void *b, size_t n) {
    const unsigned char *x = (const unsigned char *)a, *y = (const unsigned char *)b;
    while (n && *x == *y) x++, y++, n--;
    return n == 0;
}

/* floor, but compiled once: without SSE4.1 it takes twenty instructions. */
DTCI_SHARED double dtci_floor(double x) {
    return floor(x);
}

DTCI_SHARED size_t dtci_ceil_div(size_t a, size_t b) {
    return a / b + (a % b != 0);
}

/* Returns the number of bits that hold the integers 0..x; 0 if x is 0. */
DTCI_FN unsigned dtci_bit_width(uint32_t x) {
#if defined(__GNUC__)
    return 63 - (unsigned)__builtin_clzll((unsigned long long)x << 1 | 1);
#else
    unsigned n = 0;
    for (; x; x >>= 1) n++;
    return n;
#endif
}

/* Returns the position of the lowest set bit of x, which is not 0. */
DTCI_FN unsigned dtci_lowest_bit(uint64_t x) {
#if defined(__GNUC__)
    return (unsigned)__builtin_ctzll(x);
#else
    unsigned n = 0;
    for (; !(x & 1); x >>= 1) n++;
    return n;
#endif
}

/* Returns log2(x) in units of 1/65536, for x >= 1. The function uses integers only, because log2 of the C library
 * differs between platforms. */
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

/* --------------------------------------------------------------------------------------------------------------------
 * CRC-32C (Castagnoli; RFC 3720, 12.1): reflected polynomial 0x82f63b78
 * ------------------------------------------------------------------------------------------------------------------*/

/* Entry [k][x] is the CRC, without inversions, of the byte x and k zero bytes after it. So the CRC of four bytes is the
 * XOR of four look-ups, none of which waits for another. Entry x ^ y of a table is the XOR of the entries x and y,
 * so the macros compute each table from its eight entries at powers of two. */
#define DTCI_CRC_STREAM 8192u /* bytes of each of three streams */

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

static const uint32_t dtci_crc_table[4][256] = {DTCI_CRC_256(0xf26b8303u, 0xe13b70f7u, 0xc79a971fu, 0x8ad958cfu,
                                                             0x105ec76fu, 0x20bd8edeu, 0x417b1dbcu, 0x82f63b78u),
                                                DTCI_CRC_256(0x13a29877u, 0x274530eeu, 0x4e8a61dcu, 0x9d14c3b8u,
                                                             0x3fc5f181u, 0x7f8be302u, 0xff17c604u, 0xfbc3faf9u),
                                                DTCI_CRC_256(0xa541927eu, 0x4f6f520du, 0x9edea41au, 0x38513ec5u,
                                                             0x70a27d8au, 0xe144fb14u, 0xc76580d9u, 0x8b277743u),
                                                DTCI_CRC_256(0xdd45aab8u, 0xbf672381u, 0x7b2231f3u, 0xf64463e6u,
                                                             0xe964b13du, 0xd725148bu, 0xaba65fe7u, 0x52a0c93fu)};

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

/* Returns the product of two polynomials modulo that of the CRC. Bit 31 is the coefficient of x^0. */
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

/* Continues the CRC `start` with p[0..bytes). The crc32 instruction takes three cycles, and a new one can start in each
 * cycle. So the loop computes the CRCs of three streams at the same time. To join two streams, the CRC of the first is
 * multiplied with x^(8 * DTCI_CRC_STREAM), as if so many zero bytes followed. */
__attribute__((target("sse4.2"))) DTCI_KERNEL uint32_t dtci_crc32c_x86(uint32_t start, const unsigned char *p,
                                                                       size_t bytes) {
    const uint32_t zeros = 0x28461564u; /* x^(8 * DTCI_CRC_STREAM) */
    uint64_t crc = start;
    uint32_t rest;
    size_t i, j;
    for (; bytes >= 3 * DTCI_CRC_STREAM; p += 3 * DTCI_CRC_STREAM, bytes -= 3 * DTCI_CRC_STREAM) {
        uint64_t second = 0, third = 0;
        for (i = 0; i < DTCI_CRC_STREAM; i += 64) {
            uintptr_t next = (uintptr_t)p + 3 * DTCI_CRC_STREAM + i; /* farther than the processor prefetches */
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

/* Continues the CRC `crc` with p[0..bytes). A CRC starts with all bits set, and the last result is inverted. */
DTCI_SHARED uint32_t dtci_crc32c_update(uint32_t crc, const unsigned char *p, size_t bytes) {
#if defined(DTCI_X86)
    if (DTCI_CPU_HAS("sse4.2")) return dtci_crc32c_x86(crc, p, bytes);
#endif
#if defined(DTCI_CRC_ARM)
    for (; bytes >= 8; p += 8, bytes -= 8) crc = __crc32cd(crc, dtci_get64(p));
    for (; bytes; p++, bytes--) crc = __crc32cb(crc, *p);
#else
    for (; bytes >= 4; p += 4, bytes -= 4) {
        crc ^= dtci_get32(p);
        crc = dtci_crc_table[3][crc & 255] ^ dtci_crc_table[2][crc >> 8 & 255] ^ dtci_crc_table[1][crc >> 16 & 255] ^
              dtci_crc_table[0][crc >> 24];
    }
    for (; bytes; p++, bytes--) crc = crc >> 8 ^ dtci_crc_table[0][(crc ^ *p) & 255];
#endif
    return crc;
}

DTCI_FN uint32_t dtci_crc32c(const unsigned char *p, size_t bytes) {
    return ~dtci_crc32c_update(0xffffffffu, p, bytes);
}

/* --------------------------------------------------------------------------------------------------------------------
 * Source and sink: where a codec's floats come from and go to
 *
 * A source is an array of values or the sum of values and a residual. A sink stores decoded values, adds them to an
 * array, subtracts them for the residual or multiplies them with a vector. Codecs process values by chunks of
 * DTCI_CHUNK, which stay in the first-level cache. Source and sink do their work on each chunk, so that no codec needs
 * a second copy of its loops for error feedback or weighted sums.
 * ------------------------------------------------------------------------------------------------------------------*/

typedef struct dtci_source {
    const float *values;   /* at any alignment */
    const float *residual; /* added to the values; NULL without error feedback */
} dtci_source;

DTCI_INLINE void dtci_floats_add_body(float *DTCI_RESTRICT sum, const char *a, const char *b, size_t n) {
    DTCI_EACH(i, n, sum[i] = dtci_float_at(a, i) + dtci_float_at(b, i));
}

DTCI_TWIN(dtci_floats_add, (float *DTCI_RESTRICT sum, const char *a, const char *b, size_t n), (sum, a, b, n))

DTCI_FN dtci_source dtci_source_of(const float *values) {
    dtci_source source;
    source.values = values;
    source.residual = NULL;
    return source;
}

/* Returns values first .. first + n - 1 of a source. If the source has a residual, n is at most DTCI_CHUNK, and the
 * result is `chunk`, which receives the sums. Without a residual the result points into the source. */
DTCI_SHARED const char *dtci_view(float *chunk, const dtci_source *source, size_t first, size_t n) {
    const char *values = (const char *)source->values + 4 * first;
    const char *residual = NULL;
    if (!source->residual) return values;
    residual = (const char *)source->residual + 4 * first;
    dtci_floats_add(chunk, values, residual, n);
    return (const char *)chunk;
}

/* Copies values first .. first + n - 1 of a source to `chunk`, n <= DTCI_CHUNK. The residual is added. */
DTCI_SHARED void dtci_gather(float *chunk, const dtci_source *source, size_t first, size_t n) {
    const char *view = dtci_view(chunk, source, first, n);
    if (!source->residual) memcpy(chunk, view, 4 * n);
}

typedef enum dtci_sink_kind {
    DTCI_SINK_STORE,    /* values[i] = decoded */
    DTCI_SINK_ADD,      /* values[i] = weight * decoded + values[i], rounded once */
    DTCI_SINK_RESIDUAL, /* values[i] = (addend[i] + values[i]) - decoded */
    DTCI_SINK_REPORT,   /* report of addend[i] and decoded */
    DTCI_SINK_ROWS,     /* sums[row] += decoded * x[column] */
    DTCI_SINK_COLUMNS   /* sums[column] += decoded * x[row] */
} dtci_sink_kind;

typedef struct dtci_sink {
    dtci_sink_kind kind;
    float *values;       /* what STORE, ADD and RESIDUAL write, at any alignment */
    const float *addend; /* RESIDUAL: the encoded values, to which the encoder added the residual `values`. REPORT: the
                          * encoded values */
    float *decoded;      /* RESIDUAL: receives the decoded values, and may be `addend`; NULL: nobody wants them */
    dtc_report *report;  /* REPORT; in `nmse` and `cosine` the sums of squared errors and of products */
    float weight;        /* ADD */
    double *sums;   /* REPORT: the sums of squares of values and of decoded values. ROWS: a sum for each row. COLUMNS:
                     * one for each column */
    const float *x; /* ROWS and COLUMNS: the vector */
    size_t columns; /* ROWS and COLUMNS: columns of the matrix, which is row-major */
} dtci_sink;

/* Multiplies values first .. first + n - 1 of the matrix with elements of x, and adds the products to sums. `chunk` has
 * the values. */
DTCI_SHARED void dtci_sink_multiply(const dtci_sink *sink, size_t first, const float *chunk, size_t n) {
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

/* Returns sum, which is product + x in double, with its last bit set if it was rounded ("round to odd"). This double
 * and the exact sum lie on the same side of each point halfway between two floats. `volatile` keeps -ffast-math from
 * simplifying the differences. */
DTCI_COLD double dtci_round_to_odd(double product, double x, double sum) {
    volatile double whole = sum, of_x = whole - product, of_product = whole - of_x;
    double lost = product - of_product, gained = of_x - x; /* the exact sum is sum + lost - gained */
    uint64_t bits;
    memcpy(&bits, &sum, 8);
    if (lost != gained) bits = (bits - ((lost > gained) == bits >> 63)) | 1;
    memcpy(&sum, &bits, 8);
    return sum;
}

/* Returns weight * value + x, rounded once. `fused` is constant: whether the function is compiled for a processor with
 * a fused multiply-add. The others compute in double, where the product is exact; the sum is rounded to double and then
 * to fp32. Two roundings give another float than one only if the sum in double lies halfway between two floats. Sums
 * below 2^-126, where floats are denormal, are all rounded to odd. */
DTCI_INLINE float dtci_fma(float weight, float value, float x, int fused) {
    double product = (double)weight * (double)value, sum = product + (double)x;
    uint64_t bits;
#if defined(__GNUC__)
    if (fused) return __builtin_fmaf(weight, value, x);
#endif
    (void)fused;
    memcpy(&bits, &sum, 8);
    if ((uint32_t)bits << 3 == 0x80000000u || ((uint32_t)(bits >> 32) << 1) - 1u < 0x701fffffu)
        sum = dtci_round_to_odd(product, (double)x, sum);
    return (float)sum;
}

/* to[i] = weight * chunk[i] + to[i], rounded once, n <= DTCI_CHUNK. */
DTCI_INLINE void dtci_floats_add_weighted_body(char *DTCI_RESTRICT to, const float *chunk, float weight, size_t n,
                                               int fused) {
    DTCI_EACH(i, n, dtci_float_put(to, i, dtci_fma(weight, chunk[i], dtci_float_at(to, i), fused)));
}

DTCI_KERNEL void dtci_floats_add_weighted_plain(char *DTCI_RESTRICT to, const float *chunk, float weight, size_t n) {
    dtci_floats_add_weighted_body(to, chunk, weight, n, DTCI_FUSED);
}

#if defined(DTCI_AVX2) && !DTCI_FUSED
__attribute__((target("avx2,fma"))) DTCI_KERNEL void
dtci_floats_add_weighted_fused(char *DTCI_RESTRICT to, const float *chunk, float weight, size_t n) {
    dtci_floats_add_weighted_body(to, chunk, weight, n, 1);
}
#endif

DTCI_FN void dtci_floats_add_weighted(char *DTCI_RESTRICT to, const float *chunk, float weight, size_t n) {
#if defined(DTCI_AVX2) && !DTCI_FUSED
    if (DTCI_CPU_HAS("avx2") && DTCI_CPU_HAS("fma")) {
        dtci_floats_add_weighted_fused(to, chunk, weight, n);
        return;
    }
#endif
    dtci_floats_add_weighted_plain(to, chunk, weight, n);
}

/* residual[i] = (values[i] + residual[i]) - chunk[i], n <= DTCI_CHUNK. The sum is what the encoder encoded; chunk[i] is
 * what the receiver decodes. Two loops, so that no compiler keeps more bits of the sum or reorders the operations. */
DTCI_SHARED void dtci_floats_residual(char *DTCI_RESTRICT residual, const char *values, const float *chunk, size_t n) {
    float sum[DTCI_CHUNK];
    dtci_floats_add(sum, values, residual, n);
    DTCI_EACH(i, n, dtci_float_put(residual, i, sum[i] - chunk[i]));
}

/* Adds n encoded values and what they decoded to to a report. */
DTCI_COLD void dtci_sink_report(const dtci_sink *sink, size_t first, const float *chunk, size_t n) {
    dtc_report *report = sink->report;
    size_t i;
    for (i = 0; i < n; i++) {
        double x = (double)dtci_float_at(sink->addend, first + i), q = (double)chunk[i], error = fabs(x - q);
        report->nmse += error * error;
        report->cosine += x * q;
        sink->sums[0] += x * x;
        sink->sums[1] += q * q;
        if (error > report->max_error) report->max_error = error;
        if (fabs(x) > report->largest) report->largest = fabs(x);
        if (fabs(q) > report->largest_decoded) report->largest_decoded = fabs(q);
        report->nonzeros += dtci_float_bits((float)x) << 1 != 0;
        report->erased += dtci_float_bits((float)x) << 1 != 0 && dtci_float_bits(chunk[i]) << 1 == 0;
    }
}

/* Returns where a codec writes its decoded values from `first` on before it calls dtci_sink_finish. This is the
 * destination itself, which may have any alignment, if the sink stores values; else `chunk`. */
DTCI_INLINE char *dtci_sink_place(float *chunk, const dtci_sink *sink, size_t first) {
    return sink->kind == DTCI_SINK_STORE ? (char *)sink->values + 4 * first : (char *)chunk;
}

/* Gives n <= DTCI_CHUNK decoded values to the sink. The codec has written them to dtci_sink_place. */
DTCI_SHARED void dtci_sink_finish(const dtci_sink *sink, size_t first, const float *chunk, size_t n) {
    char *to = (char *)sink->values;
    switch (sink->kind) {
    case DTCI_SINK_STORE:
        break;
    case DTCI_SINK_ADD:
        dtci_floats_add_weighted(to + 4 * first, chunk, sink->weight, n);
        break;
    case DTCI_SINK_RESIDUAL:
        dtci_floats_residual(to + 4 * first, (const char *)sink->addend + 4 * first, chunk, n);
        if (sink->decoded) memcpy((char *)sink->decoded + 4 * first, chunk, 4 * n);
        break;
    case DTCI_SINK_REPORT:
        dtci_sink_report(sink, first, chunk, n);
        break;
    default:
        dtci_sink_multiply(sink, first, chunk, n);
    }
}

/* Gives n <= DTCI_CHUNK decoded values to the sink. The codec has written them to `chunk`, whatever the sink does. */
DTCI_SHARED void dtci_sink_deliver(const dtci_sink *sink, size_t first, const float *chunk, size_t n) {
    if (sink->kind == DTCI_SINK_STORE) memcpy((char *)sink->values + 4 * first, chunk, 4 * n);
    dtci_sink_finish(sink, first, chunk, n);
}

/* --------------------------------------------------------------------------------------------------------------------
 * Scanning: range, sum of squares and finiteness of values, in one pass
 * ------------------------------------------------------------------------------------------------------------------*/

typedef struct dtci_stats {
    float min, max; /* without values, FLT_MAX and -FLT_MAX */
    double squares; /* sum of the squares */
    int finite;     /* 1 if no value is NaN or infinite */
} dtci_stats;

/* Partial results of a scan. Lane j takes every eighth value from the jth on. The lanes are the same with vectors of
 * any width, so all versions of the scan round the sums in the same way. */
typedef struct dtci_lanes {
    float low[8], high[8]; /* minimum and maximum of a lane */
    double squares[8];     /* sum of the squares of a lane */
    uint32_t exponents;    /* bit 31 is set if a value is NaN or infinite */
} dtci_lanes;

DTCI_INLINE void dtci_scan_lane(dtci_lanes *lanes, size_t j, float x) {
    lanes->exponents |= (dtci_float_bits(x) & 0x7fffffffu) + 0x00800000u; /* sets bit 31 if the exponent is all ones */
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

#if defined(DTCI_AVX2)
/* Converts four floats to doubles. */
#if defined(__clang__)
#define DTCI_DOUBLES(x) __builtin_convertvector(x, dtci_d4)
#else
#define DTCI_DOUBLES(x) __builtin_ia32_cvtps2pd256(x)
#endif

/* Scans n values as dtci_scan_chunk does. n is a multiple of 8. */
DTCI_AVX2 void dtci_scan_avx2(dtci_lanes *lanes, const char *values, size_t n) {
    dtci_u8 exponents = {0, 0, 0, 0, 0, 0, 0, 0};
    dtci_f8 low = *(const dtci_f8 *)lanes->low, high = *(const dtci_f8 *)lanes->high;
    dtci_d4 left = *(const dtci_d4 *)lanes->squares, right = *(const dtci_d4 *)(lanes->squares + 4);
    size_t i;
    for (i = 0; i < n; i += 8) {
        const dtci_f8 x = *(const dtci_f8 *)(values + 4 * i);
        const dtci_d4 y = DTCI_DOUBLES(*(const dtci_f4 *)(values + 4 * i));
        const dtci_d4 z = DTCI_DOUBLES(*(const dtci_f4 *)(values + 4 * i + 16));
        exponents |= ((dtci_u8)x & 0x7fffffffu) + 0x00800000u;
        low = __builtin_ia32_minps256(x, low);
        high = __builtin_ia32_maxps256(x, high);
        left += y * y;
        right += z * z;
    }
    *(dtci_f8 *)lanes->low = low;
    *(dtci_f8 *)lanes->high = high;
    *(dtci_d4 *)lanes->squares = left;
    *(dtci_d4 *)(lanes->squares + 4) = right;
    for (i = 0; i < 8; i++) lanes->exponents |= exponents[i];
}

/* Scans n <= 4096 values as dtci_scan_avx2 does, but sums the squares in fp32. Bit 31 of the exponents is set if the
 * sum is NaN or infinite, as it is if a value is. n is a multiple of 16. */
DTCI_AVX2 void dtci_scan_rough_avx2(dtci_lanes *lanes, const char *values, size_t n) {
    dtci_f8 low = *(const dtci_f8 *)lanes->low, high = *(const dtci_f8 *)lanes->high;
    dtci_f8 left = {0, 0, 0, 0, 0, 0, 0, 0}, right = left;
    size_t i;
    for (i = 0; i < n; i += 16) {
        const dtci_f8 x = *(const dtci_f8 *)(values + 4 * i), y = *(const dtci_f8 *)(values + 4 * i + 32);
        low = __builtin_ia32_minps256(y, __builtin_ia32_minps256(x, low));
        high = __builtin_ia32_maxps256(y, __builtin_ia32_maxps256(x, high));
        left += x * x;
        right += y * y;
    }
    *(dtci_f8 *)lanes->low = low;
    *(dtci_f8 *)lanes->high = high;
    left += right;
    for (i = 0; i < 8; i++) {
        lanes->exponents |= (dtci_float_bits(left[i]) & 0x7fffffffu) + 0x00800000u;
        lanes->squares[i] += (double)left[i];
    }
}
#endif

/* Returns the statistics of values first .. first + n - 1 of a source, for any n. The residual is added. If `rough` is
 * set, the sum of the squares may be wrong by 2^-13 of it and by n * 2^-126, and finite may be 0 where it overflows. */
DTCI_SHARED dtci_stats dtci_scan_as(const dtci_source *source, size_t first, size_t n, int rough) {
    float chunk[DTCI_CHUNK];
    dtci_lanes lanes;
    dtci_stats stats;
    size_t done = 0, j;
    for (j = 0; j < 8; j++) {
        lanes.low[j] = FLT_MAX;
        lanes.high[j] = -FLT_MAX;
        lanes.squares[j] = 0;
    }
    lanes.exponents = 0;
#if defined(DTCI_AVX2)
    if (DTCI_CPU_HAS("avx2")) {
        size_t most = source->residual ? DTCI_CHUNK : rough ? 4096 : n, run;
        for (; n - done >= 16; done += run) {
            run = (n - done < most ? n - done : most) & ~(size_t)15;
            (rough ? dtci_scan_rough_avx2 : dtci_scan_avx2)(&lanes, dtci_view(chunk, source, first + done, run), run);
        }
    }
#endif
    for (; done < n; done += DTCI_CHUNK) {
        size_t m = n - done < DTCI_CHUNK ? n - done : DTCI_CHUNK;
        dtci_scan_chunk(&lanes, dtci_view(chunk, source, first + done, m), m);
    }
    (void)rough;
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

DTCI_SHARED dtci_stats dtci_scan(const dtci_source *source, size_t first, size_t n) {
    return dtci_scan_as(source, first, n, 0);
}

/* Returns the largest magnitude of values with these statistics. There is at least one value. */
DTCI_FN float dtci_stats_reach(const dtci_stats *stats) {
    float reach = -stats->min > stats->max ? -stats->min : stats->max;
    return dtci_bits_float(dtci_float_bits(reach) & 0x7fffffffu); /* not -0, whose bits are no magnitude's */
}

/* Returns the root mean square of count > 0 values with these statistics. */
DTCI_SHARED double dtci_stats_sigma(const dtci_stats *stats, size_t count) {
    return sqrt(stats->squares / (double)count);
}

/* --------------------------------------------------------------------------------------------------------------------
 * Bit reader and writer: least significant bit first
 * ------------------------------------------------------------------------------------------------------------------*/

typedef struct dtci_bit_writer {
    unsigned char *p, *end; /* the next byte to write; the end of the buffer */
    uint64_t bits;          /* bits that are not yet in the buffer, the first one lowest */
    unsigned n;             /* number of these bits, below 8 between calls */
    int overflow;           /* 1 if a byte did not fit into the buffer and was dropped */
} dtci_bit_writer;

DTCI_FN void dtci_bits_begin(dtci_bit_writer *w, unsigned char *p, size_t capacity) {
    w->p = p;
    w->end = p + capacity;
    w->bits = 0;
    w->n = 0;
    w->overflow = 0;
}

/* Writes the n <= 56 low bits of `bits`, whose other bits are zero. The buffer has room for eight bytes more. */
DTCI_INLINE void dtci_bits_push(dtci_bit_writer *w, uint64_t bits, unsigned n) {
    w->bits |= bits << w->n;
    w->n += n;
    dtci_put64(w->p, w->bits);
    w->p += w->n >> 3;
    w->bits >>= w->n & 56;
    w->n &= 7;
}

/* Writes n bits as dtci_bits_push does. Sets w->overflow if the buffer has no room for them. */
DTCI_SHARED void dtci_bits_append(dtci_bit_writer *w, uint64_t bits, unsigned n) {
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

/* Writes zero bits up to the end of a byte. */
DTCI_FN void dtci_bits_close(dtci_bit_writer *w) {
    if (w->n) dtci_bits_append(w, 0, 8 - w->n);
}

typedef struct dtci_bit_reader {
    const unsigned char *data;
    size_t size, at; /* bytes of data; the next byte to load, which may be after the last: zeros are read there */
    uint64_t bits;   /* loaded bits, the next one lowest; above the first n, it may have bits of data[at] */
    unsigned n;      /* number of loaded bits, not below 56 after a refill */
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

/* Drops n bits, which are available. */
DTCI_FN void dtci_bits_skip(dtci_bit_reader *r, unsigned n) {
    r->bits >>= n;
    r->n -= n;
}

/* Reads n <= 32 bits, which a refill has made available. */
DTCI_FN uint32_t dtci_bits_read(dtci_bit_reader *r, unsigned n) {
    uint32_t x = (uint32_t)(r->bits & (((uint64_t)1 << n) - 1));
    dtci_bits_skip(r, n);
    return x;
}

/* Returns the number of bytes of which the reader has used at least one bit. */
DTCI_FN size_t dtci_bits_used(const dtci_bit_reader *r) {
    return r->at - r->n / 8;
}

/* Tells whether the reader has used all bytes of data and none after them, and the unused bits of the last byte are
 * zero. */
DTCI_FN int dtci_bits_done(const dtci_bit_reader *r) {
    return dtci_bits_used(r) == r->size && (r->bits & (((uint64_t)1 << r->n % 8) - 1)) == 0;
}

/* --------------------------------------------------------------------------------------------------------------------
 * Fields: unsigned integers of 1..24 bits (see FIELDS in the wire format, which defines groups and parts)
 *
 * All parts of p bits of a group fill 32 * p bytes.
 * ------------------------------------------------------------------------------------------------------------------*/

#define DTCI_GROUP DTCI_CHUNK /* fields of a group: a chunk of values is packed at once */

DTCI_SHARED size_t dtci_fields_bytes(size_t count, unsigned bits) {
    return count / DTCI_GROUP * 32 * bits + (count % DTCI_GROUP * bits + 7) / 8;
}

/* One byte of each field of a group. The byte order of the words does not matter, because the operations on words treat
 * all bytes of a word alike. */
typedef union dtci_group {
    unsigned char bytes[256];
    dtci_words words[256 / sizeof(dtci_words)];
} dtci_group;

/* Packs the `part` low bits of each byte of `group`, where `part` is 4, 2 or 1. Shifts these bits out of the bytes. */
DTCI_INLINE void dtci_fields_join(unsigned char *to, dtci_group *group, unsigned part) {
    const uint64_t mask = 0x0101010101010101u * ((1u << part) - 1);
    const size_t step = sizeof(dtci_words), plane = 32 * part / step, all = 256 / step;
    size_t j, k;
    for (j = 0; j < plane; j++) {
        dtci_words joined = {0};
        for (k = all + j; k >= plane; joined |= group->words[k] & mask) {
            k -= plane;
            joined <<= part;
        }
        memcpy(to + step * j, &joined, step);
    }
    for (j = 0; j < all; j++) group->words[j] >>= part; /* bits from the next byte stay above those still to pack */
}

/* Unpacks what dtci_fields_join packed, to the bits from `at` up of each byte of `group`. These bits were zero. */
DTCI_INLINE void dtci_fields_split(dtci_group *group, const unsigned char *from, unsigned part, unsigned at) {
    const uint64_t mask = 0x0101010101010101u * ((1u << part) - 1);
    const size_t step = sizeof(dtci_words), plane = 32 * part / step;
    size_t j, k;
    for (j = 0; j < plane; j++) {
        dtci_words joined;
        memcpy(&joined, from + step * j, step);
        for (k = j; k < 256 / step; k += plane, joined >>= part) group->words[k] |= (joined & mask) << at;
    }
}

/* Packs the fields of a group to 32 * bits bytes. */
DTCI_INLINE void dtci_fields_pack_group_body(unsigned char *DTCI_RESTRICT to, const uint32_t *fields, unsigned bits) {
    dtci_group group;
    unsigned shift, part;
    size_t j;
    for (shift = 0; shift < bits; shift += 8) {
        for (j = 0; j < 256; j++) group.bytes[j] = (unsigned char)(fields[j] >> shift & 255);
        if (shift + 8 > bits) break;
        memcpy(to, group.bytes, 256);
        to += 256;
    }
    for (part = 4; part; to += 32 * (bits & part), part >>= 1)
        if (bits & part) dtci_fields_join(to, &group, part);
}

DTCI_TWIN(dtci_fields_pack_group, (unsigned char *to, const uint32_t *fields, unsigned bits), (to, fields, bits))

/* Packs fields[0..n) as fields first .. first + n - 1 of the packed fields that begin at `to`. first is a multiple of
 * DTCI_GROUP. n is DTCI_GROUP, or less for the last fields. */
DTCI_SHARED void dtci_fields_pack(unsigned char *to, const uint32_t *fields, size_t first, size_t n, unsigned bits) {
    dtci_bit_writer w;
    size_t j;
    to += first / DTCI_GROUP * 32 * bits;
    if (n == DTCI_GROUP) {
        dtci_fields_pack_group(to, fields, bits);
        return;
    }
    dtci_bits_begin(&w, to, dtci_fields_bytes(n, bits));
    for (j = 0; j < n; j++) dtci_bits_append(&w, fields[j], bits);
    dtci_bits_close(&w);
}

/* Unpacks the fields of a group. */
DTCI_INLINE void dtci_fields_unpack_group_body(uint32_t *DTCI_RESTRICT fields, const unsigned char *from,
                                               unsigned bits) {
    dtci_group group;
    unsigned shift, part;
    size_t j;
    for (shift = 0; shift < bits; shift += 8) {
        if (shift + 8 <= bits) {
            memcpy(group.bytes, from, 256);
            from += 256;
        } else {
            memset(&group, 0, sizeof group);
            for (part = 4; part; from += 32 * (bits & part), part >>= 1)
                if (bits & part) dtci_fields_split(&group, from, part, bits & (8 - 2 * part));
        }
        if (shift)
            for (j = 0; j < 256; j++) fields[j] |= (uint32_t)group.bytes[j] << shift;
        else
            for (j = 0; j < 256; j++) fields[j] = group.bytes[j];
    }
}

DTCI_TWIN(dtci_fields_unpack_group, (uint32_t * fields, const unsigned char *from, unsigned bits), (fields, from, bits))

/* Unpacks n fields to fields[0..n). The parameters are those of dtci_fields_pack. */
DTCI_SHARED void dtci_fields_unpack(uint32_t *fields, const unsigned char *from, size_t first, size_t n,
                                    unsigned bits) {
    dtci_bit_reader r;
    size_t j;
    from += first / DTCI_GROUP * 32 * bits;
    if (n == DTCI_GROUP) {
        dtci_fields_unpack_group(fields, from, bits);
        return;
    }
    dtci_bits_start(&r, from, dtci_fields_bytes(n, bits));
    for (j = 0; j < n; j++) {
        dtci_bits_refill(&r);
        fields[j] = dtci_bits_read(&r, bits);
    }
}

/* Adds *x, *y and *carry in each part of a word separately. `top` is the top bit of each part. Before, *carry has a
 * carry into each part in its lowest bit; afterwards, the carry out of each part in its top bit. The top bits are added
 * without carry, so that no sum reaches the next part. */
DTCI_INLINE void dtci_parts_add(dtci_words *sum, dtci_words *carry, const dtci_words *x, const dtci_words *y,
                                uint64_t top) {
    *sum = ((*x & ~top) + (*y & ~top) + *carry) ^ ((*x ^ *y) & top);
    *carry = ((*x & *y) | ((*x | *y) & ~*sum)) & top;
}

/* Returns a word in which the top bit of each part of `part` bits is set. */
DTCI_INLINE uint64_t dtci_part_top(unsigned part) {
    const uint64_t ones = 0x0101010101010101u;
    uint64_t top = 0;
    unsigned k;
    for (k = part - 1; k < 8; k += part) top |= ones << k;
    return top;
}

#define DTCI_CARRY_WORDS (256 / sizeof(dtci_words)) /* elements of dtci_words with a byte for each field of a group */

/* Adds one part of all fields of a group. `carry` has a byte for each field: before, the carry of the field into this
 * part; afterwards, its carry into the next part. With `last`, there is no next part and no carry. */
DTCI_INLINE void dtci_fields_add_part(unsigned char *sum, const unsigned char *a, const unsigned char *b,
                                      dtci_words *carry, unsigned part, int last) {
    const uint64_t top = dtci_part_top(part), ones = 0x0101010101010101u;
    const size_t step = sizeof(dtci_words), plane = 32 * part / step;
    unsigned k;
    size_t j;
    for (j = 0; j < plane; j++) {
        dtci_words x, y, in = carry[j], added;
        memcpy(&x, a + step * j, step);
        memcpy(&y, b + step * j, step);
        for (k = 1; k < 8 / part; k++) in |= carry[k * plane + j] << k * part;
        dtci_parts_add(&added, &in, &x, &y, top);
        for (k = 0; k < 8 / part && !last; k++) carry[k * plane + j] = in >> (k * part + part - 1) & ones;
        memcpy(sum + step * j, &added, step);
    }
}

/* Adds the fields of one group. Each sum fits into `bits` bits. */
DTCI_INLINE void dtci_fields_add_group(unsigned char *sum, const unsigned char *a, const unsigned char *b,
                                       unsigned bits) {
    dtci_words carry[DTCI_CARRY_WORDS];
    size_t at = 0;
    memset(carry, 0, sizeof carry);
    for (; bits >= 8; bits -= 8, at += 256) dtci_fields_add_part(sum + at, a + at, b + at, carry, 8, bits == 8);
    if (bits & 4) {
        dtci_fields_add_part(sum + at, a + at, b + at, carry, 4, bits == 4);
        at += 128;
    }
    if (bits & 2) {
        dtci_fields_add_part(sum + at, a + at, b + at, carry, 2, bits == 2);
        at += 64;
    }
    if (bits & 1) dtci_fields_add_part(sum + at, a + at, b + at, carry, 1, 1);
}

/* Adds the fields of whole groups. Each sum fits into `bits` bits. sum may be a or b. */
DTCI_INLINE void dtci_fields_add_body(unsigned char *sum, const unsigned char *a, const unsigned char *b, size_t groups,
                                      unsigned bits) {
    size_t at = 0, bytes = groups * 32 * bits;
    if ((bits & (bits - 1)) == 0 && bits <= 8) { /* a field is one part, which needs no carry */
        for (; at < bytes; at += sizeof(dtci_words)) {
            dtci_words x, y;
            memcpy(&x, a + at, sizeof x);
            memcpy(&y, b + at, sizeof y);
            x += y;
            memcpy(sum + at, &x, sizeof x);
        }
    }
    for (; at < bytes; at += 32 * bits) dtci_fields_add_group(sum + at, a + at, b + at, bits);
}

DTCI_TWIN(dtci_fields_add,
          (unsigned char *sum, const unsigned char *a, const unsigned char *b, size_t groups, unsigned bits),
          (sum, a, b, groups, bits))

/* Returns the bits of the highest part of a field of `bits` bits. */
DTCI_INLINE unsigned dtci_part_highest(unsigned bits) {
    return bits & 1 ? 1 : bits & 2 ? 2 : bits & 4 ? 4 : 8;
}

/* Sets bits of *excess if a field of a group is above `largest` in one part. `a` is the first byte of these parts. A
 * part above `largest` carries if 2^part - 1 - largest is added. */
DTCI_INLINE void dtci_part_excess(dtci_words *excess, const unsigned char *a, unsigned part, uint32_t largest) {
    const uint64_t top = dtci_part_top(part), every = top >> (part - 1);
    dtci_words constant = {0};
    size_t at;
    constant |= (((uint32_t)1 << part) - 1 - largest) * every;
    for (at = 0; at < 32 * part; at += sizeof constant) {
        dtci_words x, sum, carry = {0};
        memcpy(&x, a + at, sizeof x);
        dtci_parts_add(&sum, &carry, &x, &constant, top);
        *excess |= carry;
    }
}

/* Returns the OR of the 64-bit words of *words. */
DTCI_INLINE uint64_t dtci_words_any(const dtci_words *words) {
    uint64_t each[sizeof(dtci_words) / 8], any = 0;
    size_t j;
    memcpy(each, words, sizeof *words);
    for (j = 0; j < sizeof each / sizeof *each; j++) any |= each[j];
    return any;
}

/* Tells whether a field of a group is above `largest`. The function unpacks the group and compares each field. */
DTCI_SHARED int dtci_group_exceeds(const unsigned char *a, unsigned bits, uint32_t largest) {
    uint32_t fields[DTCI_GROUP];
    size_t j;
    dtci_fields_unpack_group(fields, a, bits);
    for (j = 0; j < DTCI_GROUP && fields[j] <= largest; j++) {
    }
    return j < DTCI_GROUP;
}

/* Makes *excess nonzero if a field of whole groups is above `largest`. The high parts in which `largest` is zero must
 * be zero in all fields. The next lower part decides most groups: if it is below that part of `largest` in all fields
 * of a group, no field is above `largest`. All other groups are unpacked. */
DTCI_INLINE void dtci_fields_excess_body(uint64_t *excess, const unsigned char *a, size_t groups, unsigned bits,
                                         uint32_t largest) {
    unsigned used = bits, part = dtci_part_highest(bits);
    dtci_words any = {0};
    size_t j;
    while (used > part && !(largest >> (used - part))) {
        used -= part;
        part = dtci_part_highest(used);
    }
    for (; groups; groups--, a += 32 * bits) {
        dtci_words close = {0};
        for (j = 32 * used; j < 32 * bits; j += sizeof any) {
            dtci_words x;
            memcpy(&x, a + j, sizeof x);
            any |= x;
        }
        dtci_part_excess(&close, a + 32 * (used - part), part, (largest >> (used - part)) - (used > part));
        if (used == part)
            any |= close;
        else if (dtci_words_any(&close))
            *excess |= (uint64_t)dtci_group_exceeds(a, bits, largest);
    }
    *excess |= dtci_words_any(&any);
}

DTCI_TWIN(dtci_fields_excess,
          (uint64_t * excess, const unsigned char *a, size_t groups, unsigned bits, uint32_t largest),
          (excess, a, groups, bits, largest))

/* Tells whether the fields after the last whole group are at most `largest`, and the padding after them is zero. `from`
 * is the first byte of all `count` fields. */
DTCI_SHARED int dtci_fields_rest_valid(const unsigned char *from, size_t count, unsigned bits, uint32_t largest) {
    size_t n = count % DTCI_GROUP, left = n * bits % 8, j;
    uint32_t fields[DTCI_GROUP];
    int valid = 1;
    dtci_fields_unpack(fields, from, count - n, n, bits);
    for (j = 0; j < n; j++) valid &= fields[j] <= largest;
    return valid && !(left && from[dtci_fields_bytes(count, bits) - 1] >> left);
}

/* Tells whether all fields are at most `largest`, and the padding after the last field is zero. */
DTCI_SHARED int dtci_fields_valid(const unsigned char *from, size_t count, unsigned bits, uint32_t largest) {
    uint64_t excess = 0;
    if (largest + 1 < (uint32_t)1 << bits) dtci_fields_excess(&excess, from, count / DTCI_GROUP, bits, largest);
    return !excess && dtci_fields_rest_valid(from, count, bits, largest);
}

#define DTCI_STRIDE_BYTES (3 * DTCI_CRC_STREAM) /* least bytes between two updates of a checksum */

/* The checksums and the ranges of fields of two packets, which are verified while the packets are added: each packet is
 * read from memory once. */
typedef struct dtci_verify {
    const unsigned char *a, *b, *sum; /* the first bytes that the CRCs do not cover yet */
    uint32_t crc_a, crc_b, crc_sum;   /* CRCs, not inverted */
    uint32_t largest_a, largest_b;    /* the largest valid field of a and of b */
    uint64_t excess;                  /* nonzero if a field is larger, or padding is not zero */
} dtci_verify;

/* Continues the CRCs of both terms up to the bytes `a` and `b`. */
DTCI_SHARED void dtci_verify_terms(dtci_verify *verify, const unsigned char *a, const unsigned char *b) {
    verify->crc_a = dtci_crc32c_update(verify->crc_a, verify->a, (size_t)(a - verify->a));
    verify->crc_b = dtci_crc32c_update(verify->crc_b, verify->b, (size_t)(b - verify->b));
    verify->a = a;
    verify->b = b;
}

/* Continues the CRC of the sum up to the byte `sum`. */
DTCI_FN void dtci_verify_sum(dtci_verify *verify, const unsigned char *sum) {
    verify->crc_sum = dtci_crc32c_update(verify->crc_sum, verify->sum, (size_t)(sum - verify->sum));
    verify->sum = sum;
}

/* Adds `count` fields. Each sum fits into `bits` bits. sum may be a or b. The function verifies the terms unless
 * `verify` is NULL. If verify->excess is nonzero afterwards, the sum is meaningless. */
DTCI_FN void dtci_fields_add_all(unsigned char *sum, const unsigned char *a, const unsigned char *b, size_t count,
                                 unsigned bits, dtci_verify *verify) {
    size_t groups = count / DTCI_GROUP, stride = 1 + DTCI_STRIDE_BYTES / (32 * (size_t)bits), at, end = 0, i;
    uint32_t left[DTCI_GROUP] = {0}, more[DTCI_GROUP] = {0};
    for (at = 0; groups; groups -= stride, at = end) {
        if (stride > groups) stride = groups;
        end = at + stride * 32 * bits;
        if (verify) {
            dtci_verify_terms(verify, a + end, b + end);
            dtci_fields_excess(&verify->excess, a + at, stride, bits, verify->largest_a);
            dtci_fields_excess(&verify->excess, b + at, stride, bits, verify->largest_b);
        }
        dtci_fields_add(sum + at, a + at, b + at, stride, bits);
        if (verify) dtci_verify_sum(verify, sum + end);
    }
    count %= DTCI_GROUP;
    end = at + dtci_fields_bytes(count, bits);
    if (verify) {
        dtci_verify_terms(verify, a + end, b + end);
        verify->excess |= !dtci_fields_rest_valid(a + at, count, bits, verify->largest_a);
        verify->excess |= !dtci_fields_rest_valid(b + at, count, bits, verify->largest_b);
    }
    dtci_fields_unpack(left, a + at, 0, count, bits);
    dtci_fields_unpack(more, b + at, 0, count, bits);
    for (i = 0; i < count; i++) left[i] += more[i];
    dtci_fields_pack(sum + at, left, 0, count, bits);
    if (verify) dtci_verify_sum(verify, sum + end);
}

/* to[i] = (fields[i] + first) * step, n <= DTCI_CHUNK. The caller knows that fp32 holds each integer exactly and that
 * no product is above FLT_MAX. Then the product in fp32 has the same bits as the product in double, rounded to fp32. */
DTCI_INLINE void dtci_multiples_body(char *DTCI_RESTRICT to, const uint32_t *fields, float step, int32_t first,
                                     size_t n) {
    DTCI_EACH(i, n, dtci_float_put(to, i, (float)((int32_t)fields[i] + first) * step));
}

DTCI_TWIN(dtci_multiples, (char *DTCI_RESTRICT to, const uint32_t *fields, float step, int32_t first, size_t n),
          (to, fields, step, first, n))

/* Whether fields of so many bits are packed without splitting them: 8, 4 or 2. */
#define DTCI_GROUP_DIRECT(bits) (0x114u >> (bits)&1u)

/* Does what dtci_multiples does for a group of fields of 8, 4 or 2 bits that are packed. On x86-64 only processors with
 * AVX2 may run it; the others unpack first. */
#if defined(DTCI_AVX2)
DTCI_AVX2
#else
DTCI_KERNEL
#endif
void dtci_group_multiples(char *DTCI_RESTRICT to, const unsigned char *from, float step, int32_t first, unsigned bits) {
    const uint64_t mask = 0x0101010101010101u * ((1u << bits) - 1);
    const unsigned char *end = from + 32 * bits, *p;
    unsigned char bytes[sizeof(dtci_words)];
    unsigned shift;
    size_t i;
    for (shift = 0; shift < 8; shift += bits)
        for (p = from; p < end; p += sizeof bytes, to += 4 * sizeof bytes) {
            dtci_words words;
            memcpy(&words, p, sizeof words);
            words = words >> shift & mask;
            memcpy(bytes, &words, sizeof words);
            for (i = 0; i < sizeof bytes; i++) {
                float x = (float)((int32_t)bytes[i] + first) * step;
                memcpy(to + 4 * i, &x, 4);
            }
        }
}

/* --------------------------------------------------------------------------------------------------------------------
 * Scratch: the caller's memory, from which arrays are taken
 * ------------------------------------------------------------------------------------------------------------------*/

#define DTCI_ALIGN 64u /* bytes */

typedef struct dtci_arena {
    unsigned char *p; /* the first free byte; NULL without scratch */
    size_t left;      /* free bytes */
} dtci_arena;

/* Returns the most bytes of an arena that dtci_take uses up for `bytes` bytes. Sizes of scratch are sums of these. */
DTCI_FN size_t dtci_take_bytes(size_t bytes) {
    return bytes + DTCI_ALIGN - 1;
}

/* Takes `bytes` bytes, aligned to DTCI_ALIGN, from the arena. Returns NULL, and leaves the arena
 * empty, if it has fewer. */
DTCI_SHARED void *dtci_take(dtci_arena *arena, size_t bytes) {
    size_t pad = (size_t)(0 - (uintptr_t)arena->p) % DTCI_ALIGN;
    unsigned char *p = arena->p + pad;
    if (!arena->p || arena->left < pad || arena->left - pad < bytes) {
        arena->left = 0; /* so that of several pieces it is enough to test the last one */
        return NULL;
    }
    arena->left -= pad + bytes;
    arena->p = p + bytes;
    return p;
}

DTCI_FN dtci_arena dtci_arena_of(void *scratch, size_t bytes) {
    dtci_arena arena;
    arena.p = (unsigned char *)scratch;
    arena.left = scratch ? bytes : 0;
    return arena;
}

/* --------------------------------------------------------------------------------------------------------------------
 * Random numbers: hashes of a seed and an index, so that each number is computed without the others
 * ------------------------------------------------------------------------------------------------------------------*/

typedef struct dtci_random {
    uint32_t key[2]; /* the hashed seed, low half first */
} dtci_random;

/* Returns a hash of x, which is different for different x. */
DTCI_FN uint64_t dtci_hash(uint64_t x) {
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 32) * 0xd6e8feb86659fd93u;
    x = (x ^ x >> 32) * 0xd6e8feb86659fd93u;
    return x ^ x >> 32;
}

DTCI_SHARED dtci_random dtci_random_of(uint64_t seed) {
    dtci_random random;
    uint64_t x = dtci_hash(seed);
    random.key[0] = (uint32_t)(x & 0xffffffffu);
    random.key[1] = (uint32_t)(x >> 32);
    return random;
}

#define DTCI_WEYL 0x9e3779b9u /* from one number of the Weyl sequence to the next */

/* Returns number `index` of a Weyl sequence. */
DTCI_FN uint32_t dtci_random_weyl(const dtci_random *random, uint32_t index) {
    return index * DTCI_WEYL + random->key[0];
}

/* Returns the hash of a number of the Weyl sequence. The constants of the two rounds were found by C. Wellons' hash
 * prospector (2018). */
DTCI_FN uint32_t dtci_random_hash(const dtci_random *random, uint32_t x) {
    x = (x ^ x >> 16) * 0x7feb352du;
    x = (x ^ x >> 15) * 0x846ca68bu + random->key[1];
    return x ^ x >> 16;
}

/* Returns random number `index`, uniform on 0..2^32-1. The index becomes a number of a Weyl sequence first, because the
 * hashes of adjacent integers are correlated. */
DTCI_FN uint32_t dtci_random_at(const dtci_random *random, uint32_t index) {
    return dtci_random_hash(random, dtci_random_weyl(random, index));
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
#define DTCI_FLAG_FEATURES 32u

typedef struct dtci_head {
    dtc_codec codec;
    int checksum;                 /* 1 if a checksum follows the payload */
    uint32_t variant;             /* one byte, whose meaning depends on the codec */
    uint32_t count, packet_bytes; /* values of the packet; size from the magic to the checksum */
    uint32_t rows, block;         /* 0 if not given */
    uint32_t workers, terms;      /* 1 if not given */
    uint64_t seed;                /* 0 if not given */
    uint32_t features;            /* one byte, whose bits depend on the codec; 0 if not given */
    size_t head_bytes;            /* size of the head, which is the offset of the payload */
} dtci_head;

/* Computes the size of a head from the fields that it has. */
DTCI_SHARED size_t dtci_head_bytes(const dtci_head *head) {
    return 12 + (head->rows ? 4u : 0u) + (head->block ? 4u : 0u) + (head->workers > 1 ? 4u : 0u) +
           (head->seed ? 8u : 0u) + (head->features ? 1u : 0u);
}

DTCI_FN size_t dtci_payload_bytes(const dtci_head *head) {
    return head->packet_bytes - head->head_bytes - (head->checksum ? 4 : 0);
}

/* Returns the number of values of a block. The last block may have fewer. */
DTCI_FN size_t dtci_block(const dtci_head *head) {
    return head->block ? head->block : head->count;
}

/* Returns the number of blocks. A packet without values has none. */
DTCI_SHARED size_t dtci_blocks(const dtci_head *head) {
    return head->count ? dtci_ceil_div(head->count, dtci_block(head)) : 0;
}

DTCI_SHARED void dtci_head_write(unsigned char *p, const dtci_head *head) {
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
        at += 8;
    }
    if (head->features) {
        flags |= DTCI_FLAG_FEATURES;
        at[0] = (unsigned char)head->features;
    }
    p[0] = DTCI_MAGIC;
    p[1] = (unsigned char)(DTC_WIRE_VERSION << 4 | (unsigned)head->codec);
    p[2] = (unsigned char)flags;
    p[3] = (unsigned char)head->variant;
    dtci_put32(p + 4, head->count);
    dtci_put32(p + 8, head->packet_bytes);
}

/* Fills in the fields of a head that do not depend on the codec. Returns DTC_ERROR_ARGUMENT if the count is too large,
 * and DTC_ERROR_SPEC if the rows do not divide it. */
DTCI_SHARED dtc_status dtci_head_begin(dtci_head *head, const dtc_spec *spec, size_t count) {
    memset(head, 0, sizeof *head);
    if (count > DTCI_COUNT_MAX) return DTC_ERROR_ARGUMENT;
    if (spec->rows && count % spec->rows) return DTC_ERROR_SPEC;
    head->codec = spec->codec;
    head->checksum = !spec->no_checksum;
    head->count = (uint32_t)count;
    head->rows = count ? (uint32_t)spec->rows : 0; /* rows of a head are never above count */
    head->workers = spec->workers ? spec->workers : 1;
    head->terms = 1;
    return DTC_OK;
}

/* Returns the size of a packet without its payload: the bytes of the head and the checksum. */
DTCI_SHARED size_t dtci_head_overhead(const dtci_head *head) {
    return dtci_head_bytes(head) + (head->checksum ? 4 : 0);
}

/* Completes a packet whose payload of `bytes` bytes is in its place: writes the head and the checksum around it. Sets
 * head->packet_bytes. */
DTCI_SHARED void dtci_head_close(unsigned char *packet, dtci_head *head, size_t bytes) {
    bytes += head->head_bytes;
    head->packet_bytes = (uint32_t)(bytes + (head->checksum ? 4 : 0));
    dtci_head_write(packet, head);
    if (head->checksum) dtci_put32(packet + bytes, dtci_crc32c(packet, bytes));
}

/* Changes the head to that of a raw fp32 packet, and returns DTC_OK. A codec calls this if it cannot make the values
 * smaller. Its caller then encodes the values with raw. */
DTCI_SHARED dtc_status dtci_head_become_raw(dtci_head *head) {
    head->codec = DTC_RAW;
    head->variant = DTC_TYPE_FP32;
    head->block = 0;
    head->seed = 0;
    head->features = 0;
    head->head_bytes = dtci_head_bytes(head);
    return DTC_OK;
}

/* Reads and checks the fields of a head that do not depend on the codec, from a packet in p[0..bytes). Returns the
 * status of the first violation. The codec's number is not checked. */
DTCI_SHARED dtc_status dtci_head_read(const unsigned char *p, size_t bytes, dtci_head *head) {
    const unsigned char *at = p + 12;
    uint32_t flags;
    memset(head, 0, sizeof *head);
    if (bytes >= 1 && p[0] != DTCI_MAGIC) return DTC_ERROR_MAGIC;
    if (bytes >= 2 && p[1] >> 4 != DTC_WIRE_VERSION) return DTC_ERROR_WIRE_VERSION;
    if (bytes < 12) return DTC_ERROR_TRUNCATED;
    head->codec = (dtc_codec)(p[1] & 15);
    flags = p[2];
    if (flags >> 6) return DTC_ERROR_HEAD;
    head->checksum = (flags & DTCI_FLAG_CHECKSUM) != 0;
    head->variant = p[3];
    head->count = dtci_get32(p + 4);
    head->packet_bytes = dtci_get32(p + 8);
    head->workers = head->terms = 1;
    head->head_bytes = 12 + (flags & DTCI_FLAG_ROWS ? 4u : 0u) + (flags & DTCI_FLAG_BLOCK ? 4u : 0u) +
                       (flags & DTCI_FLAG_WORKERS ? 4u : 0u) + (flags & DTCI_FLAG_SEED ? 8u : 0u) +
                       (flags & DTCI_FLAG_FEATURES ? 1u : 0u);
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
        at += 8;
        if (!head->seed) return DTC_ERROR_HEAD;
    }
    if (flags & DTCI_FLAG_FEATURES) {
        head->features = at[0];
        if (!head->features || (head->codec != DTC_QUANT && head->codec != DTC_TERNARY)) return DTC_ERROR_HEAD;
    }
    return DTC_OK;
}

/* --------------------------------------------------------------------------------------------------------------------
 * Codec interface: the table by which the functions of the library call a codec
 * ------------------------------------------------------------------------------------------------------------------*/

/* How the value of a key in a spec's text is stored in the key's field of dtc_spec. */
typedef enum dtci_key_kind {
    DTCI_KEY_WORD,     /* an enumerator or a flag: 0, 1, 2, … for the first, second, third, … word */
    DTCI_KEY_INTEGER,  /* an integer of the field's size */
    DTCI_KEY_BITS,     /* an int; DTC_BITS_AUTO for the word `auto` */
    DTCI_KEY_FLOAT,    /* a float above 0; 0 for the word `auto`, if the key has it */
    DTCI_KEY_OPTIONAL, /* a float, which may be 0, and an int, which is 0 for the word `auto` and 1 for a number */
    DTCI_KEY_INVERTED, /* an int: 1 for the first word, 0 for the second */
    DTCI_KEY_VALUE     /* a dtc_value: a word gives the type, a number gives the bits */
} dtci_key_kind;

/* A key of a spec's text. */
typedef struct dtci_key {
    char name[12];  /* an array, not a pointer, so that the table needs no relocation */
    char words[32]; /* words that the key takes, separated by | */
    dtci_key_kind kind;
    size_t offset, bytes; /* place and size of the field in dtc_spec */
    double low, high;     /* smallest and largest number that the key takes */
    size_t given;         /* DTCI_KEY_OPTIONAL: offset of the int in dtc_spec */
    unsigned group;       /* a spec gives at most one key of a group; 0: the key has no group */
} dtci_key;

#define DTCI_FIELD(field) offsetof(dtc_spec, field), sizeof(((dtc_spec *)0)->field) /* offset, bytes of dtci_key */
#define DTCI_FLOAT_MAX    3.40282356e38 /* numbers from FLT_MAX up to this one round to FLT_MAX */

struct dtci_codec;

/* A packet that is read. dtci_packet_peek fills in all members but the last two. The codec's `open` fills in these. */
typedef struct dtci_packet {
    const struct dtci_codec *codec;
    dtci_head head;
    const unsigned char *payload;
    size_t payload_bytes;
    size_t scratch;       /* bytes of scratch that opening and decoding the packet take */
    uint64_t work;        /* steps of decoding, where they are not in proportion to values and bytes; see max_work */
    int iterates;         /* nonzero: `work` is that of one iteration */
    const uint16_t *bins; /* decoded tokens, in the scratch; NULL if the payload has no tokens */
    const unsigned char
        *grids; /* decoded CODED grids or scales, in the scratch; NULL if the payload has them as such */
    struct dtci_packet *nested; /* room for two nested packets, which opening fills in; factor has two of them */
} dtci_packet;

/* A packet with room for its nested packets. */
typedef struct dtci_opened {
    dtci_packet packet, nested[2];
} dtci_opened;

/* Flags of what a codec's `open` skips. */
#define DTCI_OPEN_ALL       0u
#define DTCI_OPEN_NO_TOKENS 1u /* decoding of tokens, which takes scratch: the caller leaves the tokens as they are */
#define DTCI_OPEN_NO_FIELDS 2u /* the check of the range of fields: the caller verifies fields while it adds them */

/* The arguments and results of a codec's `encode`. */
typedef struct dtci_encoding {
    const dtc_spec *spec;
    dtci_source source;
    const dtci_sink *residual; /* receives the decoded values; NULL without error feedback */
    dtci_arena arena;          /* scratch */
    unsigned char *packet;     /* the packet; NULL for a nested one, whose head keeps its size */
    size_t room;               /* bytes that the packet may take */
    unsigned char *payload;    /* where the codec writes the payload */
    size_t capacity;           /* bytes that the payload may take */
    dtci_head head;            /* result: the variant; after dtci_head_become_raw the head of a raw packet */
    size_t bytes;              /* result: bytes of the payload */
} dtci_encoding;

/* Places the payload behind the head that the packet now has. */
DTCI_SHARED void dtci_encoding_place(dtci_encoding *e) {
    size_t around;
    e->head.head_bytes = dtci_head_bytes(&e->head);
    around = dtci_head_overhead(&e->head);
    e->payload = e->packet + (e->room < around ? 0 : e->head.head_bytes);
    e->capacity = e->room < around ? 0 : e->room - around;
}

/* The arguments and results of a codec's `plan_add` and `add`. */
typedef struct dtci_addition {
    dtci_packet *a, *b;     /* the terms */
    dtci_head head;         /* head of the sum; result of both functions: the variant */
    dtci_arena arena;       /* scratch */
    unsigned char *payload; /* where `add` writes the payload of the sum; may be the payload of a or b */
    size_t capacity;        /* bytes that the payload of the sum may take */
    size_t bound;           /* result of plan_add: the most bytes of the payload of the sum */
    size_t scratch;         /* result of plan_add: bytes of scratch that opening a and b and adding them take */
    int fixed;              /* result of plan_add: 1 if both payloads are fields, and `add` can verify them */
    int verifying;          /* 1 if `add` verifies the fields, by means of `verify` */
    dtci_verify verify;
    size_t bytes; /* result of `add`: bytes of the payload of the sum */
} dtci_addition;

/* The arguments of a codec's `matvec`: a vector to multiply with the matrix of a packet. */
typedef struct dtci_product {
    double *sums;   /* result: the elements of the product. All are 0 before the call */
    const float *x; /* the vector, at any alignment */
    int transposed; /* 1 if the matrix is transposed first */
} dtci_product;

/* One row of the table of codecs. A returned status is that of the first violation in the packet or the spec. */
typedef struct dtci_codec {
    dtc_codec number;
    char name[12];
    const dtci_key *keys; /* keys of specs that only this codec has */
    size_t key_count;

    /* Checks the fields of a spec that only this codec has. */
    dtc_status (*check_spec)(const dtc_spec *spec);

    /* Fills in those fields of a head that depend on the codec and the spec: variant, block or seed. */
    void (*begin)(dtci_head *head, const dtc_spec *spec);

    /* Returns how far a grid for values with these statistics reaches from 0. If `agreed` is 0, returns what the errors
     * of packets of the spec are in proportion to, or 0 if they do not depend on the scale of the values. NULL: the
     * codec has no grid. */
    float (*range)(const dtc_spec *spec, const dtci_stats *stats, size_t count, int agreed);

    /* Gives the spec a grid that reaches to +-range. NULL where `range` is NULL. */
    void (*set_range)(dtc_spec *spec, float range);

    /* Returns the bytes of scratch that `encode` takes. The result does not shrink when the count grows. */
    size_t (*scratch)(const dtc_spec *spec, size_t count);

    /* Returns the bytes of scratch that opening and decoding take, of any packet that `encode` makes, and of sums of
     * fields. Does not shrink when the count grows. */
    size_t (*read_scratch)(const dtc_spec *spec, size_t count);

    /* Writes the payload, and gives the decoded values to encoding->residual. */
    dtc_status (*encode)(dtci_encoding *encoding);

    /* Checks the head and the size of the payload in constant time. Sets packet->scratch. */
    dtc_status (*check)(dtci_packet *packet);

    /* Checks the payload of a checked packet, and decodes its tokens and nested packets into the arena. */
    dtc_status (*open)(dtci_packet *packet, dtci_arena *arena, unsigned skip);

    /* Sets the fields of *spec that a checked packet tells and only this codec has. */
    void (*describe)(const dtci_packet *packet, dtc_spec *spec);

    /* Decodes an opened packet to the sink. */
    dtc_status (*decode)(const dtci_packet *packet, const dtci_sink *sink, const dtc_decode_options *options,
                         dtci_arena *arena);

    /* Tells what adding two checked packets takes. Returns a status of the kind DTC_ERROR_INCOMPATIBLE if their heads
     * show that they cannot be added, or PAYLOAD if the head of a nested packet is malformed. */
    dtc_status (*plan_add)(dtci_addition *addition);

    /* Writes the payload of the sum of two opened packets. NULL if plan_add refuses all sums. */
    dtc_status (*add)(dtci_addition *addition);

    /* Multiplies the values of an opened packet by a finite weight, in its payload. A failure leaves that unchanged. */
    dtc_status (*scale)(const dtci_packet *packet, unsigned char *payload, float weight);

    /* Multiplies the matrix of an opened packet with a vector. */
    dtc_status (*matvec)(const dtci_packet *packet, const dtci_product *product,
                         dtci_arena *arena); /* NULL: `decode` gives the matrix to a sink that multiplies */
} dtci_codec;

/* Returns the packet that has just been encoded, for its residual. */
DTCI_SHARED dtci_packet *dtci_encoding_packet(dtci_opened *opened, const dtci_encoding *e) {
    memset(opened, 0, sizeof *opened);
    opened->packet.nested = opened->nested;
    opened->packet.head = e->head;
    opened->packet.payload = e->payload;
    opened->packet.payload_bytes = e->bytes;
    return &opened->packet;
}

/* Returns what q is multiplied by where a packet is made with a residual, from <x, q> > 0, <q, q> and <x, x>. The
 * factor <x, q> / <q, q> has the least squared error, 1 - c of |x|^2, and <x, x> / <x, q> sends all of x along x. The
 * latter trains better, as values that wait in the residual catch up sooner; but its error is 1 / c - 1. Bounded to 1.6
 * times the former, at most 0.6 or 1 - 0.64 c is left: the encoder is a contraction, so that the residual stays bounded
 * (Karimireddy et al., ICML 2019, section 4). */
DTCI_FN double dtci_encoding_factor(double dot, double rounded, double squares) {
    double least = dot / rounded, whole = squares / dot;
    return whole < 1.6 * least ? whole : 1.6 * least;
}

#define DTCI_NO_CODEC 7 /* the codec of a spec that could not be read: no codec has this number; C++ knows 0..7 */

/* The row of a codec that the configuration leaves out. */
#define DTCI_LEFT_OUT(number) \
    { number, "", NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL }

/* The `begin` of codecs whose head has neither a block nor a seed. */
DTCI_FN void dtci_begin_nothing(dtci_head *head, const dtc_spec *spec) {
    (void)head;
    (void)spec;
}

/* The `begin` of codecs whose head has the block of the spec, if that is below the count. */
DTCI_FN void dtci_begin_block(dtci_head *head, const dtc_spec *spec) {
    if (spec->block < head->count) head->block = (uint32_t)spec->block;
}

/* Returns the row of a codec, or NULL if the codec is unknown or left out. The table of codecs follows all codecs. */
DTCI_SHARED const dtci_codec *dtci_codec_find(unsigned number);

/* Checks a spec, without a count. Returns DTC_ERROR_CODEC if the codec is unknown or left out, and DTC_ERROR_SPEC if a
 * field is out of its range. */
DTCI_SHARED dtc_status dtci_spec_check(const dtc_spec *spec) {
    const dtci_codec *codec = dtci_codec_find((unsigned)spec->codec);
    if (spec->workers > 65535 || spec->rows > DTCI_COUNT_MAX || spec->block > DTCI_COUNT_MAX) return DTC_ERROR_SPEC;
    return codec ? (codec->check_spec)(spec) : DTC_ERROR_CODEC;
}

/* Checks a spec and fills in the head of a packet of `count` values. The fields packet_bytes and, for most codecs,
 * variant are left to encoding. */
DTCI_SHARED dtc_status dtci_spec_begin(dtci_head *head, const dtc_spec *spec, size_t count) {
    dtc_status status = dtci_spec_check(spec);
    if (status == DTC_OK) status = dtci_head_begin(head, spec, count);
    if (status != DTC_OK) return status;
    (dtci_codec_find((unsigned)spec->codec)->begin)(head, spec);
    head->head_bytes = dtci_head_bytes(head);
    return DTC_OK;
}

/* Fills in a packet whose head was read from `bytes`, and runs the codec's `check`. */
DTCI_SHARED dtc_status dtci_packet_check(dtci_packet *packet, const unsigned char *bytes, const dtci_codec *codec) {
    packet->codec = codec;
    packet->payload = bytes + packet->head.head_bytes;
    packet->payload_bytes = dtci_payload_bytes(&packet->head);
    return (codec->check)(packet);
}

/* Reads the packet at the start of bytes[0..size), and checks its head and its sizes in constant time. The payload and
 * the checksum are not checked. */
DTCI_SHARED dtc_status dtci_packet_peek(dtci_packet *packet, const unsigned char *bytes, size_t size) {
    const dtci_codec *codec = size >= 12 ? dtci_codec_find(bytes[1] & 15) : NULL;
    dtc_status status;
    memset(packet, 0, sizeof *packet);
    if (size >= 12 && bytes[0] == DTCI_MAGIC && bytes[1] >> 4 == DTC_WIRE_VERSION && !codec) return DTC_ERROR_CODEC;
    status = dtci_head_read(bytes, size, &packet->head);
    return status == DTC_OK ? dtci_packet_check(packet, bytes, codec) : status;
}

/* Returns DTC_ERROR_CHECKSUM if a checked packet has a checksum that is wrong. */
DTCI_SHARED dtc_status dtci_checksum_verify(const dtci_packet *packet) {
    const unsigned char *bytes = packet->payload - packet->head.head_bytes;
    size_t size = packet->head.packet_bytes;
    if (!packet->head.checksum || dtci_crc32c(bytes, size - 4) == dtci_get32(bytes + size - 4)) return DTC_OK;
    return DTC_ERROR_CHECKSUM;
}

/* Checks the head of a packet that must take bytes[0..size) exactly, and gives it room for its nested packets. Errors:
 * those of dtci_packet_peek, SIZE (bytes follow the packet). */
DTCI_SHARED dtc_status dtci_opened_peek(dtci_opened *opened, const void *bytes, size_t size) {
    dtc_status status = dtci_packet_peek(&opened->packet, (const unsigned char *)bytes, size);
    opened->packet.nested = opened->nested;
    return status == DTC_OK && size != opened->packet.head.packet_bytes ? DTC_ERROR_SIZE : status;
}

/* Checks that bytes[0..size) is one valid packet, and opens it. Unless `count` is NULL, the packet must have *count
 * values. Tokens are decoded into the arena. Returns DTC_ERROR_SCRATCH if the arena has less than opening and decoding
 * take. Decoding, products with vectors, dtc_decode_factors and dtc_decode_circulant read packets through this
 * function. dtc_packet_add and dtc_packet_scale call the same steps in the same order: dtci_opened_peek,
 * dtci_checksum_verify and the codec's `open`, and tell `open` what they need not see. */
DTCI_SHARED dtc_status dtci_packet_open(dtci_opened *opened, const size_t *count, const void *bytes, size_t size,
                                        const dtc_decode_options *options, dtci_arena *arena) {
    dtci_packet *packet = &opened->packet;
    dtc_status status = dtci_opened_peek(opened, bytes, size);
    if (status != DTC_OK) return status;
    if (count && *count != packet->head.count) return DTC_ERROR_COUNT;
    if (packet->scratch > arena->left) return DTC_ERROR_SCRATCH;
    if (!(options && options->skip_checksum)) status = dtci_checksum_verify(packet);
    return status == DTC_OK ? (packet->codec->open)(packet, arena, DTCI_OPEN_ALL) : status;
}

#define DTCI_WORK_MOST 64u /* steps for each value and byte, by default */

/* Returns how many iterations the options allow for a block. */
DTCI_COLD uint32_t dtci_iterations(const dtc_decode_options *options) {
    dtc_method method = options ? options->method : DTC_METHOD_AUTO;
    if (method == DTC_METHOD_LINEAR) return 1;
    if (options && options->max_iterations) return options->max_iterations;
    return method == DTC_METHOD_ISTA ? 1000 : method == DTC_METHOD_FISTA ? 200 : 50;
}

/* Returns DTC_ERROR_LIMIT if decoding a checked packet takes more steps than the options allow. */
DTCI_COLD dtc_status dtci_work_check(const dtci_packet *packet, const dtc_decode_options *options) {
    uint64_t most = options ? options->max_work : 0;
    if (!packet->work || (packet->iterates && !most)) return DTC_OK;
    if (!most) most = DTCI_WORK_MOST * ((uint64_t)packet->head.count + packet->head.packet_bytes);
    return (packet->iterates ? dtci_iterations(options) : 1) > most / packet->work ? DTC_ERROR_LIMIT : DTC_OK;
}

/* Tells whether n scales, which are `stride` bytes apart, are finite when they are multiplied by a weight. */
DTCI_SHARED int dtci_scales_finite(const unsigned char *payload, size_t n, size_t stride, float weight) {
    size_t i;
    for (i = 0; i < n; i++)
        if (!dtci_finite(dtci_get_float(payload + i * stride) * weight)) return 0;
    return 1;
}

/* Multiplies n finite scales, which are `stride` bytes apart, by a weight. Returns DTC_ERROR_NONFINITE and changes
 * nothing if a product is not finite. */
DTCI_FN dtc_status dtci_scales_scale(unsigned char *payload, size_t n, size_t stride, float weight) {
    size_t i;
    if (!dtci_scales_finite(payload, n, stride, weight)) return DTC_ERROR_NONFINITE;
    for (i = 0; i < n; i++) dtci_put_float(payload + i * stride, dtci_get_float(payload + i * stride) * weight);
    return DTC_OK;
}

/* --------------------------------------------------------------------------------------------------------------------
 * Huffman tokens: canonical, length-limited Huffman codes of tokens
 *
 * The input is an array of bins, 0..2^bits-1. The mode is the commonest bin. The encoder chooses one of three kinds of
 * tokens:
 *
 *     plain    one bin
 *     runs     r bins that are the mode, then one bin b: costs well under one bit a bin if most bins are the mode
 *     pairs    two bins: loses less to codes of whole bits than plain tokens do
 *
 * The run length r and the distance |b - mode| are each split into a class and extra bits. Integers below
 * 2^(precision+1) are classes of their own; above, each octave has 2^precision classes. So a few hundred symbols are
 * enough for 65536 bins. The symbol of a token joins the classes of its two parts; a plain token is a token with runs
 * whose r is always 0. The wire format (TOKENS, at the top of this file) defines symbols and extra bits exactly.
 * ------------------------------------------------------------------------------------------------------------------*/

#define DTCI_SYMBOLS      4096u  /* most symbols of an alphabet */
#define DTCI_CODE_MAX     15u    /* bits of the longest code */
#define DTCI_LOOKUP_BITS  11u    /* one table look-up decodes codes of up to this length; short inputs: fewer */
#define DTCI_RUN_MAX      65535u /* bins of the longest run */
#define DTCI_STREAMS      4u     /* streams of DTCI_STREAMS_FROM bins and more; fewer bins have one stream */
#define DTCI_STREAMS_FROM 4096u
#define DTCI_TOKENS_HEAD  7u /* bytes of mode, precisions, values and runs */

/* Returns the number of the class of m, and in *extra its count of extra bits, which are the lowest bits of m. */
DTCI_FN uint32_t dtci_class(uint32_t m, unsigned precision, unsigned *extra) {
    unsigned width = dtci_bit_width(m), shift = width > precision + 1 ? width - precision - 1 : 0;
    *extra = shift;
    return ((uint32_t)shift << precision) + (m >> shift);
}

/* Returns the smallest integer of a class, and in *extra the class's count of extra bits. The result is 0x10000 if no
 * integer below that has this class. */
DTCI_FN uint32_t dtci_class_least(uint32_t number, unsigned precision, unsigned *extra) {
    uint32_t octave = number >> precision;
    *extra = octave > 1 ? octave - 1 : 0;
    if (octave + precision > 16) return 0x10000u;
    return octave > 1 ? (number - (*extra << precision)) << *extra : number;
}

typedef struct dtci_tokens {
    uint32_t mode;                           /* the commonest bin */
    unsigned value_precision, run_precision; /* precision of the classes of distances, and of runs */
    uint32_t values, runs; /* value symbols of a bin; classes of runs. The alphabet has runs * values symbols */
    int pairs;             /* tokens are pairs: the first bin takes the place of the run, and runs = values */
} dtci_tokens;

DTCI_FN void dtci_tokens_head_write(unsigned char *to, const dtci_tokens *tokens) {
    dtci_put16(to, tokens->mode);
    to[2] = (unsigned char)(tokens->value_precision | tokens->run_precision << 4);
    dtci_put16(to + 3, tokens->values);
    dtci_put16(to + 5, tokens->pairs ? 0 : tokens->runs);
}

/* Reads the head of tokens. Returns 0 if a field is out of its range. */
DTCI_FN int dtci_tokens_head_read(dtci_tokens *tokens, const unsigned char *from, unsigned bits) {
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

/* Sorts n keys by their low 32 bits, which are at most `largest`, and keeps the order of equal ones. `spare` has room
 * for n keys. Returns the array, keys or spare, that holds the result. */
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

/* Replaces n >= 2 ascending weights by the depths of their leaves in a Huffman tree. The depths descend.
 * (Moffat and Katajainen, In-place calculation of minimum-redundancy codes, 1995.) */
DTCI_FN void dtci_huffman_depths(uint32_t *a, size_t n) {
    size_t leaf = 2, root = 0, next, open = 1, depth = 0, at;
    a[0] += a[1];
    for (next = 1; next + 1 < n; next++) { /* join the two lightest nodes, whose slots then hold their parent's index */
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
    for (next = n - 2; next-- > 0;) a[next] = a[a[next]] + 1; /* inner nodes: index of the parent to depth */
    next = n;
    for (at = n - 1; open > 0; depth++) { /* nodes at a depth that are not inner nodes are leaves */
        size_t joined = 0;
        for (; at > 0 && a[at - 1] == depth; at--) joined++;
        for (; open > joined; open--) a[--next] = (uint32_t)depth;
        open = 2 * joined;
    }
}

/* Working memory for one code: each array has an element for each symbol that occurs. The coder also counts bins in
 * these arrays. */
typedef struct dtci_huffman_work {
    uint64_t *keys[2];
    uint32_t *weights;
} dtci_huffman_work;

/* Computes the code lengths of symbols >= 2: lengths[s] is 0 if counts[s] is 0, else 1..DTCI_CODE_MAX. The code is
 * complete. If fewer than two symbols occur, others get a length too, so that there are two. */
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
    while (kraft > 1u << DTCI_CODE_MAX) { /* split the longest code below the limit; one at the limit joins it */
        for (length = DTCI_CODE_MAX - 1; !used[length];) length--;
        used[length]--;
        used[length + 1] += 2;
        used[DTCI_CODE_MAX]--;
        kraft--;
    }
    for (i = 0, length = DTCI_CODE_MAX; i < n; i++) { /* the rarest symbols get the longest codes */
        while (!used[length]) length--;
        used[length]--;
        lengths[sorted[i] >> 32] = (uint8_t)length;
    }
}

/* Writes code lengths as the items that the wire format defines under CODE LENGTHS. A count of zeros is written in
 * Elias gamma code. Returns the number of bits. If w is NULL, nothing is written. */
DTCI_SHARED size_t dtci_lengths_write(dtci_bit_writer *w, const uint8_t *lengths, size_t symbols) {
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
        if (w) dtci_bits_append(w, bits, n);
        total += n;
    }
    return total;
}

/* Reads code lengths. Returns the bytes that they take, or 0 if they are malformed or make no complete code. */
DTCI_FN size_t dtci_lengths_read(uint8_t *lengths, size_t symbols, const unsigned char *p, size_t size) {
    dtci_bit_reader r;
    unsigned last = 8;
    uint32_t kraft = 0;
    size_t i = 0;
    dtci_bits_start(&r, p, size);
    while (i < symbols) {
        dtci_bits_refill(&r);
        if (dtci_bits_used(&r) > size) return 0;
        if (!dtci_bits_read(&r, 1)) {
            lengths[i++] = (uint8_t)last;
        } else if (!dtci_bits_read(&r, 1)) {
            last = dtci_bits_read(&r, 1) ? last - 1 : last + 1;
            lengths[i++] = (uint8_t)last;
        } else if (!dtci_bits_read(&r, 1)) {
            last = dtci_bits_read(&r, 4);
            lengths[i++] = (uint8_t)last;
        } else {
            unsigned z = 0;
            size_t run;
            while (!dtci_bits_read(&r, 1))
                if (++z > 12) return 0;
            run = ((size_t)1 << z) + dtci_bits_read(&r, z);
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

/* Returns the bits of a code in reverse order. The code has `length` <= 16 bits. */
DTCI_FN uint32_t dtci_reverse(uint32_t code, unsigned length) {
    code = (code & 0x5555) << 1 | (code >> 1 & 0x5555);
    code = (code & 0x3333) << 2 | (code >> 2 & 0x3333);
    code = (code & 0x0f0f) << 4 | (code >> 4 & 0x0f0f);
    return ((code & 0xff) << 8 | code >> 8) >> (16 - length);
}

/* Computes the canonical codes: codes[s] = code << 4 | length, where the first bit of the code is its lowest. */
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

/* The code of a bin as a part of a token. dtci_coder_write joins `bits` and `extra` with the code of the symbol if
 * tokens are plain. */
typedef struct dtci_bin_code {
    uint32_t bits;  /* extra bits */
    uint16_t value; /* value symbol */
    uint16_t extra; /* number of bits in `bits` */
} dtci_bin_code;

DTCI_FN dtci_bin_code dtci_bin_code_of(uint32_t bin, uint32_t mode, unsigned precision) {
    dtci_bin_code code;
    uint32_t distance = bin < mode ? mode - bin : bin - mode, number, mask;
    unsigned extra;
    number = dtci_class(distance, precision, &extra);
    mask = (1u << extra) - 1;
    code.extra = (uint16_t)extra;
    code.value = (uint16_t)(distance ? 2 * number - (bin < mode) : 0);
    /* below the mode, extra bits count from the lowest bin of the class, so that decoding only adds */
    code.bits = bin < mode ? mask - (distance & mask) : distance & mask;
    return code;
}

/* Iterates over the runs of bins[at..end), each with the bin that follows it. The last bin is never a part of a run,
 * because every token ends with a bin. */
typedef struct dtci_runs {
    const uint16_t *bins;
    size_t at, end;
    size_t next;   /* the first bin that `ends` does not cover */
    uint64_t ends; /* bit i is set if the token of a run ends with bin next - DTCI_RUNS + i */
    uint16_t mode;
} dtci_runs;

#define DTCI_RUNS 64u /* most runs that one dtci_runs_next returns */

/* Returns the ends of runs in the first DTCI_RUNS of n bins, one bit a bin. Without a branch for each bin, because the
 * processor cannot predict such branches. */
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
    for (i = 0; i < DTCI_RUNS; i += 8) bits |= dtci_get64(ends + i) * 0x0102040810204080u >> 56 << i; /* packs bits 0 */
    return n < DTCI_RUNS ? bits & (((uint64_t)1 << n) - 1) : bits;
}

DTCI_FN dtci_runs dtci_runs_of(const uint16_t *bins, size_t at, size_t end, uint32_t mode) {
    dtci_runs runs;
    runs.bins = bins;
    runs.at = runs.next = at;
    runs.end = end;
    runs.ends = 0;
    runs.mode = (uint16_t)mode;
    return runs;
}

/* The loops that decode several streams at once are written for four. */
typedef char dtci_assert_streams_are_4[DTCI_STREAMS == 4 ? 1 : -1];

/* Takes the next runs and returns their number. run[i] has the length in its low 16 bits and the bin that follows in
 * its high 16 bits. No runs are left if runs->at is runs->end. */
DTCI_FN size_t dtci_runs_next(uint32_t *run, dtci_runs *runs) {
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

/* Returns the number of bins of each stream but the last. Stream j begins at bin j * dtci_stream_bins(n). */
DTCI_FN size_t dtci_stream_bins(size_t n) {
    return dtci_ceil_div(n, dtci_stream_count(n));
}

/* The encoder's working memory for n bins below 2^bits. The tables by index have an element for each of the 2^bits bins
 * if these are at most 4 n + 4. Otherwise the bins that occur are sorted, and the rank of a bin is its index. So a
 * short tensor takes little scratch for any number of bits. */
typedef struct dtci_coder {
    dtci_huffman_work huffman;
    uint32_t *counts;     /* number of tokens, by symbol */
    uint32_t *symbols;    /* code << 4 | length, by symbol */
    uint8_t *lengths[2];  /* code lengths by symbol, of the best choice so far and of the one that is tried */
    uint32_t *histogram;  /* number of bins, by index, which is a bin or its rank */
    dtci_bin_code *codes; /* code of a bin, by index */
    uint16_t *used;       /* the bins that occur, in ascending order */
    uint16_t *places;     /* the indices of the n bins, where they are not the bins themselves */
    uint16_t *pairs;      /* the indices of n / 2 pairs, see dtci_pairs_join */
    size_t table, symbol_room, used_count; /* elements of a table by index; by symbol; of `used` */
    int ranked;                            /* 1 if indices are ranks, 0 if they are bins less `origin` */
    uint32_t origin, first, last;          /* see `ranked`; the least index of a bin and the largest one */
    const uint16_t *bins;                  /* the indices of the n bins */
    size_t n;                              /* number of bins to encode */
    uint32_t mode, mode_index, largest;    /* the mode; its index; the largest distance of a bin from the mode */
} dtci_coder;

/* The number of elements of a coder's arrays, for n bins of `bits` bits. No member shrinks when n grows. */
typedef struct dtci_coder_sizes {
    size_t symbols, table, ranked, keys;
} dtci_coder_sizes;

DTCI_FN dtci_coder_sizes dtci_coder_sizes_of(size_t n, unsigned bits) {
    dtci_coder_sizes sizes;
    size_t bins = (size_t)1 << bits;
    sizes.symbols = n <= 8192 ? 1024 : DTCI_SYMBOLS; /* an alphabet of more than 1024 has at most n / 8 */
    sizes.table = n < bins / 4 ? 4 * n + 4 : bins;
    sizes.ranked = n < bins / 4 ? n : bins / 4;
    sizes.keys = n + 2 < sizes.symbols ? n + 2 : sizes.symbols;
    if (sizes.ranked > sizes.keys) sizes.keys = sizes.ranked;
    return sizes;
}

DTCI_SHARED size_t dtci_coder_scratch(size_t n, unsigned bits) {
    dtci_coder_sizes sizes = dtci_coder_sizes_of(n, bits);
    return 2 * dtci_take_bytes(8 * sizes.keys) + dtci_take_bytes(4 * sizes.keys) +
           2 * dtci_take_bytes(4 * sizes.symbols) + 2 * dtci_take_bytes(sizes.symbols) +
           dtci_take_bytes(4 * sizes.table) + dtci_take_bytes(sizeof(dtci_bin_code) * sizes.table) +
           dtci_take_bytes(2 * sizes.table) + dtci_take_bytes(2 * sizes.ranked) + dtci_take_bytes(n);
}

/* Takes the arrays of a coder, for n bins of up to `bits` bits, from the arena. Returns 0 if the arena has too
 * little for them. */
DTCI_SHARED int dtci_coder_take(dtci_coder *coder, size_t n, unsigned bits, dtci_arena *arena) {
    dtci_coder_sizes sizes = dtci_coder_sizes_of(n, bits);
    memset(coder, 0, sizeof *coder);
    coder->table = sizes.table;
    coder->symbol_room = sizes.symbols;
    coder->huffman.keys[0] = (uint64_t *)dtci_take(arena, 8 * sizes.keys);
    coder->huffman.keys[1] = (uint64_t *)dtci_take(arena, 8 * sizes.keys);
    coder->huffman.weights = (uint32_t *)dtci_take(arena, 4 * sizes.keys);
    coder->counts = (uint32_t *)dtci_take(arena, 4 * sizes.symbols);
    coder->symbols = (uint32_t *)dtci_take(arena, 4 * sizes.symbols);
    coder->lengths[0] = (uint8_t *)dtci_take(arena, sizes.symbols);
    coder->lengths[1] = (uint8_t *)dtci_take(arena, sizes.symbols);
    coder->histogram = (uint32_t *)dtci_take(arena, 4 * sizes.table);
    coder->codes = (dtci_bin_code *)dtci_take(arena, sizeof(dtci_bin_code) * sizes.table);
    coder->used = (uint16_t *)dtci_take(arena, 2 * sizes.table);
    coder->places = (uint16_t *)dtci_take(arena, 2 * sizes.ranked);
    coder->pairs = (uint16_t *)dtci_take(arena, n);
    return coder->pairs != NULL; /* the last array that is taken */
}

/* Returns the index of the bin used[i]. */
DTCI_INLINE uint32_t dtci_coder_index(const dtci_coder *coder, size_t i) {
    return coder->ranked ? (uint32_t)i : coder->used[i] - coder->origin;
}

/* Lowers range[0] and raises range[1] to the least and the largest of n bins. */
DTCI_INLINE void dtci_bins_range_body(uint16_t *range, const uint16_t *bins, size_t n) {
    uint16_t least = range[0], largest = range[1];
    size_t i;
    for (; n >= DTCI_CHUNK; bins += DTCI_CHUNK, n -= DTCI_CHUNK) {
        for (i = 0; i < DTCI_CHUNK; i++) {
            least = bins[i] < least ? bins[i] : least;
            largest = bins[i] > largest ? bins[i] : largest;
        }
    }
    for (i = 0; i < n; i++) {
        least = bins[i] < least ? bins[i] : least;
        largest = bins[i] > largest ? bins[i] : largest;
    }
    range[0] = least;
    range[1] = largest;
}

DTCI_TWIN(dtci_bins_range, (uint16_t * range, const uint16_t *bins, size_t n), (range, bins, n))

/* Adds the number of each of n indices to `counts`. Two increments of one element wait for each other, and so the
 * indices take turns with four tables, or with the first two if the others are NULL. The tables begin with index
 * `first`. */
DTCI_SHARED void dtci_count_in_turn(uint32_t *const tables[4], const uint16_t *indices, uint32_t first, size_t n) {
    uint32_t *a = tables[0], *b = tables[1], *c = tables[2] ? tables[2] : a, *d = tables[3] ? tables[3] : b;
    size_t i;
    for (i = 0; i + 4 <= n; i += 4) {
        uint64_t four;
        memcpy(&four, indices + i, 8);
        four -= first * (uint64_t)0x0001000100010001; /* no index is below first */
        a[four & 0xffff]++;
        b[four >> 16 & 0xffff]++;
        c[four >> 32 & 0xffff]++;
        d[four >> 48]++;
    }
    for (; i < n; i++) a[indices[i] - first]++;
}

/* Counts the indices of all bins, which are not ranks, and lists the bins that occur. */
DTCI_FN void dtci_coder_count_dense(dtci_coder *coder) {
    uint32_t *tables[4], first = coder->first;
    size_t all = coder->last - first + 1, i, j;
    tables[0] = coder->histogram + first;
    tables[1] = coder->counts;
    tables[2] = coder->symbols;
    tables[3] = coder->huffman.weights;
    if (all > coder->symbol_room || all > coder->n) { /* no room for more than one table, or it would take too long */
        memset(tables[0], 0, all * sizeof(uint32_t));
        for (i = 0; i < coder->n; i++) coder->histogram[coder->bins[i]]++;
    } else {
        for (j = 0; j < 4; j++) memset(tables[j], 0, all * sizeof(uint32_t));
        dtci_count_in_turn(tables, coder->bins, first, coder->n);
        for (i = 0; i < all; i++) tables[0][i] += tables[1][i] + tables[2][i] + tables[3][i];
    }
    for (i = first; i <= coder->last; i++)
        if (coder->histogram[i]) coder->used[coder->used_count++] = (uint16_t)(i + coder->origin);
}

/* Returns how often a bin occurs among those that were counted. */
DTCI_SHARED uint32_t dtci_coder_occurrences(const dtci_coder *coder, uint32_t bin) {
    size_t low = 0, high = coder->used_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (coder->used[middle] < bin)
            low = middle + 1;
        else
            high = middle;
    }
    return low < coder->used_count && coder->used[low] == bin ? coder->histogram[dtci_coder_index(coder, low)] : 0;
}

/* Sorts n bins, counts each bin that occurs, and sets the rank of each of the n bins. */
DTCI_FN void dtci_coder_count_ranked(dtci_coder *coder, const uint16_t *bins, size_t n) {
    uint64_t *keys = coder->huffman.keys[0];
    size_t i, used = 0;
    for (i = 0; i < n; i++) keys[i] = (uint64_t)i << 32 | bins[i];
    keys = dtci_radix_sort(keys, coder->huffman.keys[1], n, 65535);
    for (i = 0; i < n; i++) {
        uint16_t bin = (uint16_t)(keys[i] & 65535);
        if (!used || coder->used[used - 1] != bin) {
            coder->histogram[used] = 0;
            coder->used[used++] = bin;
        }
        coder->histogram[used - 1]++;
        coder->places[keys[i] >> 32] = (uint16_t)(used - 1);
    }
    coder->used_count = used;
}

/* Counts n > 0 bins below 2^bits, and finds the mode. If several bins are commonest, the mode is the one of them that
 * comes first in the input. */
DTCI_FN void dtci_coder_count(dtci_coder *coder, const uint16_t *bins, size_t n, unsigned bits) {
    uint32_t *counts = coder->histogram, most = 0;
    uint16_t range[2] = {65535, 0};
    size_t all = (size_t)1 << bits, i;
    int direct = all <= coder->table;
    if (all > 256) {
        dtci_bins_range(range, bins, n);
    } else { /* a small table is counted as fast as a part of it */
        range[0] = 0;
        range[1] = (uint16_t)(all - 1);
    }
    coder->origin = direct ? 0 : range[0];
    coder->ranked = range[1] - coder->origin >= coder->table;
    coder->bins = direct ? bins : coder->places;
    coder->n = n;
    coder->used_count = 0;
    coder->first = range[0] - coder->origin;
    coder->last = range[1] - coder->origin;
    if (coder->ranked) {
        dtci_coder_count_ranked(coder, bins, n);
    } else {
        for (i = 0; i < n && !direct; i++) coder->places[i] = (uint16_t)(bins[i] - coder->origin);
        dtci_coder_count_dense(coder);
    }
    for (i = 0; i < coder->used_count; i++) {
        uint32_t count = counts[dtci_coder_index(coder, i)];
        if (count > most) most = count;
    }
    for (i = 0; counts[coder->bins[i]] < most;) i++;
    coder->mode = bins[i];
    coder->mode_index = coder->bins[i];
    coder->first = dtci_coder_index(coder, 0);
    coder->last = dtci_coder_index(coder, coder->used_count - 1);
    coder->largest = coder->used[coder->used_count - 1] - coder->mode;
    if (coder->mode - coder->used[0] > coder->largest) coder->largest = coder->mode - coder->used[0];
}

typedef struct dtci_tokens_plan {
    dtci_tokens tokens;
    uint8_t *lengths; /* code lengths by symbol, in an array of the coder */
    size_t bytes;     /* upper bound of the bytes on the wire: each stream may end with a part of a byte */
} dtci_tokens_plan;

/* Computes the codes of all bins that occur, at a precision, and sets the fields of `tokens` that follow from them. */
DTCI_SHARED void dtci_coder_classify(dtci_coder *coder, dtci_tokens *tokens, unsigned precision) {
    size_t i;
    tokens->mode = coder->mode;
    tokens->value_precision = precision;
    tokens->values = 2; /* a code has at least two symbols */
    for (i = 0; i < coder->used_count; i++) {
        dtci_bin_code code = dtci_bin_code_of(coder->used[i], coder->mode, precision);
        coder->codes[dtci_coder_index(coder, i)] = code;
        if (code.value >= tokens->values) tokens->values = code.value + 1u;
    }
}

/* Computes the size that one choice of tokens takes, from the counts of its symbols, and keeps the choice in *best if
 * it is the smallest so far. */
DTCI_SHARED void dtci_coder_try(dtci_coder *coder, dtci_tokens_plan *best, const dtci_tokens *tokens) {
    uint8_t *lengths = best->lengths == coder->lengths[0] ? coder->lengths[1] : coder->lengths[0];
    size_t symbols = (size_t)tokens->values * tokens->runs, streams = dtci_stream_count(coder->n), bytes, i = 0;
    uint32_t run, value;
    uint64_t bits = 0;
    dtci_huffman_lengths(lengths, coder->counts, symbols, &coder->huffman);
    for (run = 0; run < tokens->runs; run++) {
        unsigned run_extra, extra;
        (void)dtci_class_least(tokens->pairs ? (run + 1) / 2 : run,
                               tokens->pairs ? tokens->value_precision : tokens->run_precision, &run_extra);
        for (value = 0; value < tokens->values; value++, i++) {
            (void)dtci_class_least((value + 1) / 2, tokens->value_precision, &extra);
            bits += (uint64_t)coder->counts[i] * (lengths[i] + run_extra + extra);
        }
    }
    bytes = DTCI_TOKENS_HEAD + 4 * (streams - 1) + (dtci_lengths_write(NULL, lengths, symbols) + 7) / 8 +
            (size_t)(bits / 8) + streams;
    if (best->lengths && bytes >= best->bytes) return;
    best->tokens = *tokens;
    best->lengths = lengths;
    best->bytes = bytes;
}

/* Tries plain tokens at a precision. */
DTCI_SHARED void dtci_coder_try_plain(dtci_coder *coder, dtci_tokens_plan *best, unsigned precision) {
    dtci_tokens tokens;
    size_t i;
    tokens.run_precision = 0;
    tokens.runs = 1;
    tokens.pairs = 0;
    dtci_coder_classify(coder, &tokens, precision);
    memset(coder->counts, 0, tokens.values * sizeof(uint32_t));
    for (i = 0; i < coder->used_count; i++) {
        uint32_t index = dtci_coder_index(coder, i);
        coder->counts[coder->codes[index].value] += coder->histogram[index];
    }
    dtci_coder_try(coder, best, &tokens);
}

/* The code of a run as a part of a token. */
typedef struct dtci_run_code {
    uint32_t symbol; /* class * values: the symbol of the token less the value symbol */
    uint16_t bits;   /* extra bits */
    uint16_t extra;  /* number of extra bits */
} dtci_run_code;

DTCI_INLINE dtci_run_code dtci_run_code_of(uint32_t run, const dtci_tokens *tokens) {
    dtci_run_code code;
    unsigned extra;
    code.symbol = dtci_class(run, tokens->run_precision, &extra) * tokens->values;
    code.bits = (uint16_t)(run & ((1u << extra) - 1));
    code.extra = (uint16_t)extra;
    return code;
}

/* Computes the codes of the runs shorter than DTCI_RUNS. */
DTCI_FN void dtci_run_codes_of(dtci_run_code codes[DTCI_RUNS], const dtci_tokens *tokens) {
    uint32_t run;
    for (run = 0; run < DTCI_RUNS; run++) codes[run] = dtci_run_code_of(run, tokens);
}

/* Counts the symbols of tokens with runs. */
DTCI_FN void dtci_coder_count_runs(dtci_coder *coder, const dtci_tokens *tokens) {
    size_t stream = dtci_stream_bins(coder->n), symbols = (size_t)tokens->values * tokens->runs, at, i;
    uint32_t *counts = coder->counts;
    dtci_run_code codes[DTCI_RUNS];
    uint32_t run[DTCI_RUNS];
    dtci_run_codes_of(codes, tokens);
    memset(counts, 0, symbols * sizeof *counts);
    for (at = 0; at < coder->n; at += stream) {
        dtci_runs runs =
            dtci_runs_of(coder->bins, at, coder->n - at < stream ? coder->n : at + stream, coder->mode_index);
        while (runs.at < runs.end) {
            size_t n = dtci_runs_next(run, &runs);
            for (i = 0; i < n; i++) {
                uint32_t length = run[i] & 0xffff;
                uint32_t symbol = length < DTCI_RUNS ? codes[length].symbol : dtci_run_code_of(length, tokens).symbol;
                counts[symbol + coder->codes[run[i] >> 16].value]++;
            }
        }
    }
}

/* Counts the symbols of tokens with runs from the counts of finer tokens, whose classes are subsets of these classes.
 * The input is not read again. */
DTCI_FN void dtci_coder_merge_runs(dtci_coder *coder, const dtci_tokens *tokens, const dtci_tokens *finer) {
    size_t symbols = (size_t)tokens->values * tokens->runs;
    uint32_t *joined = coder->symbols, run, value;
    const uint32_t *count = coder->counts;
    unsigned extra;
    memset(joined, 0, symbols * sizeof *joined);
    for (run = 0; run < finer->runs; run++) {
        uint32_t first = dtci_class_least(run, finer->run_precision, &extra);
        uint32_t *to = joined + dtci_class(first, tokens->run_precision, &extra) * tokens->values;
        for (value = 0; value < finer->values; value++) {
            first = dtci_class_least((value + 1) / 2, finer->value_precision, &extra);
            to[2 * dtci_class(first, tokens->value_precision, &extra) - (value & 1)] += *count++;
        }
    }
    memcpy(coder->counts, joined, symbols * sizeof *joined);
}

/* Tries tokens with runs of up to `longest` bins, in an alphabet of at most `symbols` if the coarsest classes allow
 * that. `counted` are the tokens with runs whose symbols are counted at present, or NULL. Returns the tokens tried;
 * their runs are 0 if there would be more than DTCI_SYMBOLS symbols. */
DTCI_FN dtci_tokens dtci_coder_try_runs(dtci_coder *coder, dtci_tokens_plan *best, uint32_t longest, size_t symbols,
                                        const dtci_tokens *counted) {
    unsigned extra, precision = 15;
    uint32_t octaves = dtci_class(longest, 0, &extra) + 1;
    dtci_tokens tokens;
    /* the finest value classes that leave room for run classes of one octave each */
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
        dtci_coder_merge_runs(coder, &tokens, counted);
    else
        dtci_coder_count_runs(coder, &tokens);
    dtci_coder_try(coder, best, &tokens);
    return tokens;
}

/* Returns the most extra bits of any bin that occurs. For plain tokens, where dtci_coder_write has joined the codes of
 * the symbols with the extra bits, it returns the most bits of a token. */
DTCI_SHARED unsigned dtci_coder_longest(const dtci_coder *coder) {
    unsigned longest = 0;
    size_t i;
    for (i = 0; i < coder->used_count; i++)
        if (coder->codes[dtci_coder_index(coder, i)].extra > longest)
            longest = coder->codes[dtci_coder_index(coder, i)].extra;
    return longest;
}

/* to[i] = the index of a pair: the indices bins[2 i] and bins[2 i + 1] less `first`, the second one in the bits from
 * `shift` up. For any n pairs. */
DTCI_INLINE void dtci_pairs_join_body(uint16_t *DTCI_RESTRICT to, const uint16_t *bins, uint32_t first, unsigned shift,
                                      size_t n) {
    DTCI_EACH(i, n, to[i] = (uint16_t)(((bins[2 * i] - first) | (bins[2 * i + 1] - first) << shift) & 0xffff));
}

DTCI_TWIN(dtci_pairs_join,
          (uint16_t * DTCI_RESTRICT to, const uint16_t *bins, uint32_t first, unsigned shift, size_t n),
          (to, bins, first, shift, n))

/* Returns the bits of one index of a pair. Without extra bits these indices span less than an alphabet of pairs has
 * value symbols. */
DTCI_FN unsigned dtci_coder_pair_shift(const dtci_coder *coder) {
    return dtci_bit_width(coder->last - coder->first);
}

/* Joins the bins of each stream to pairs. Stream j has its whole pairs from coder->pairs[j * (stream / 2)] on. */
DTCI_FN void dtci_coder_join_pairs(dtci_coder *coder) {
    size_t stream = dtci_stream_bins(coder->n), at, end, j = 0;
    for (at = 0; at < coder->n; at = end, j++) {
        end = coder->n - at < stream ? coder->n : at + stream;
        dtci_pairs_join(coder->pairs + j * (stream / 2), coder->bins + at, coder->first, dtci_coder_pair_shift(coder),
                        (end - at) / 2);
    }
}

/* Counts the symbols of pairs without extra bits. */
DTCI_FN void dtci_coder_count_pairs(dtci_coder *coder, uint32_t values) {
    uint32_t *tables[4] = {NULL, NULL, NULL, NULL}, mode = coder->codes[coder->mode_index].value;
    size_t stream = dtci_stream_bins(coder->n), at, end, i, j = 0;
    unsigned shift = dtci_coder_pair_shift(coder);
    tables[0] = coder->symbols;
    tables[1] = coder->huffman.weights;
    for (i = 0; i < 2; i++) memset(tables[i], 0, sizeof(uint32_t) << 2 * shift);
    for (at = 0; at < coder->n; at = end, j++) {
        end = coder->n - at < stream ? coder->n : at + stream;
        dtci_count_in_turn(tables, coder->pairs + j * (stream / 2), 0, (end - at) / 2);
        if ((end - at) % 2) coder->counts[coder->codes[coder->bins[end - 1]].value * values + mode]++;
    }
    for (i = 0; i < coder->used_count; i++) {
        uint32_t a = dtci_coder_index(coder, i);
        for (j = 0; j < coder->used_count; j++) {
            uint32_t b = dtci_coder_index(coder, j), pair = (a - coder->first) | (b - coder->first) << shift;
            coder->counts[coder->codes[a].value * values + coder->codes[b].value] += tables[0][pair] + tables[1][pair];
        }
    }
}

/* Tries pairs, in an alphabet of at most `symbols`. */
DTCI_FN void dtci_coder_try_pairs(dtci_coder *coder, dtci_tokens_plan *best, size_t symbols) {
    size_t stream = dtci_stream_bins(coder->n), at, end;
    unsigned extra, precision = 15;
    dtci_tokens tokens;
    for (;;) {
        uint32_t values = 2 * dtci_class(coder->largest, precision, &extra) + 1;
        if ((size_t)values * values <= symbols) break;
        if (precision-- < 4) return; /* coarser classes waste more than pairs save */
    }
    dtci_coder_classify(coder, &tokens, precision);
    tokens.run_precision = 0;
    tokens.runs = tokens.values;
    tokens.pairs = 1;
    memset(coder->counts, 0, (size_t)tokens.values * tokens.values * sizeof(uint32_t));
    if (!dtci_coder_longest(coder)) {
        dtci_coder_join_pairs(coder);
        dtci_coder_count_pairs(coder, tokens.values);
        dtci_coder_try(coder, best, &tokens);
        return;
    }
    for (at = 0; at < coder->n; at = end) {
        end = coder->n - at < stream ? coder->n : at + stream;
        for (; at < end; at += 2) {
            const dtci_bin_code *a = &coder->codes[coder->bins[at]];
            const dtci_bin_code *b = &coder->codes[at + 1 < end ? coder->bins[at + 1] : coder->mode_index];
            coder->counts[a->value * tokens.values + b->value]++;
        }
    }
    dtci_coder_try(coder, best, &tokens);
}

/* Returns the longest run of the mode that a token has. A run that is longer than the longest so far holds the place
 * `longest` bins after its begin: the search looks there first, and most bins need no look. */
DTCI_SHARED uint32_t dtci_coder_longest_run(const dtci_coder *coder) {
    size_t stream = dtci_stream_bins(coder->n), first, longest = 0;
    for (first = 0; first < coder->n; first += stream) {
        size_t last = (coder->n - first < stream ? coder->n : first + stream) - 1, at = first; /* `last` ends a token */
        while (at + longest < last) {
            size_t back = at + longest;
            while (back > at && coder->bins[back] == coder->mode_index) back--;
            if (coder->bins[back] != coder->mode_index) {
                at = back + 1;
                continue;
            }
            for (at += longest; at < last && coder->bins[at] == coder->mode_index; at++) longest++;
        }
    }
    return longest < DTCI_RUN_MAX ? (uint32_t)longest : DTCI_RUN_MAX;
}

/* Chooses the tokens of the bins that dtci_coder_count counted. */
DTCI_FN dtci_tokens_plan dtci_coder_choose(dtci_coder *coder) {
    size_t n = coder->n, symbols = n / 8 < 64 ? 64 : n / 8 < 2048 ? n / 8 : 2048;
    unsigned precision = 15, extra;
    dtci_tokens_plan best;
    memset(&best, 0, sizeof best);
    while (precision && 2 * dtci_class(coder->largest, precision, &extra) + 1 > symbols) precision--;
    dtci_coder_try_plain(coder, &best, precision);
    if (precision > 4) dtci_coder_try_plain(coder, &best, 4);
    if (precision > 2) dtci_coder_try_plain(coder, &best, 2);
    if (coder->histogram[coder->mode_index] > n / 10 * 3) { /* for a rarer mode the code of each bin is short enough */
        size_t tokens = n - coder->histogram[coder->mode_index] + dtci_stream_count(n); /* but for very long runs */
        uint32_t longest = dtci_coder_longest_run(coder);
        dtci_tokens counted;
        symbols = tokens / 8 < 64 ? 64 : tokens / 8 < DTCI_SYMBOLS ? tokens / 8 : DTCI_SYMBOLS;
        counted = dtci_coder_try_runs(coder, &best, longest, symbols, NULL);
        if (symbols > 256 && tokens < 131072) /* for more tokens the size of the code table does not matter */
            (void)dtci_coder_try_runs(coder, &best, longest, 256, &counted);
    }
    symbols = n / 16 < DTCI_SYMBOLS ? n / 16 : DTCI_SYMBOLS;
    if (coder->histogram[coder->mode_index] < n / 10 * 7) dtci_coder_try_pairs(coder, &best, symbols);
    return best;
}

#define DTCI_CODE_WIDTH 6u  /* bits of an element of the table of dtci_write_codes that give a number of bits */
#define DTCI_CODE_MOST  26u /* bits that the rest of such an element holds */

/* Writes codes[indices[i]] for i of 0..n-1, as long as the writer has room for 16 bytes: then no code needs a check. An
 * element of `codes` is bits << DTCI_CODE_WIDTH | number of bits. Returns how many were written. A local copy of the
 * writer stays in registers. */
DTCI_SHARED size_t dtci_write_codes(const uint32_t *codes, dtci_bit_writer *writer, const uint16_t *indices, size_t n) {
    const uint32_t mask = (1u << DTCI_CODE_WIDTH) - 1;
    dtci_bit_writer w = *writer;
    size_t i;
    for (i = 0; i + 4 <= n && w.end - w.p >= 16; i += 4) {
        uint32_t a = codes[indices[i]], b = codes[indices[i + 1]], c = codes[indices[i + 2]], d = codes[indices[i + 3]];
        uint64_t front = a >> DTCI_CODE_WIDTH | (uint64_t)(b >> DTCI_CODE_WIDTH) << (a & mask);
        uint64_t back = c >> DTCI_CODE_WIDTH | (uint64_t)(d >> DTCI_CODE_WIDTH) << (c & mask);
        unsigned width = (a & mask) + (b & mask), more = (c & mask) + (d & mask);
        if (width + more <= 56) { /* as nearly always: one push waits for another */
            dtci_bits_push(&w, front | back << width, width + more);
        } else {
            dtci_bits_push(&w, front, width);
            dtci_bits_push(&w, back, more);
        }
    }
    *writer = w;
    return i;
}

/* Fills a table of dtci_write_codes by the indices of pairs without extra bits. */
DTCI_FN void dtci_coder_pair_codes(const dtci_coder *coder, uint32_t *codes, uint32_t values) {
    unsigned shift = dtci_coder_pair_shift(coder);
    size_t i, j;
    for (i = 0; i < coder->used_count; i++) {
        uint32_t a = dtci_coder_index(coder, i);
        for (j = 0; j < coder->used_count; j++) {
            uint32_t b = dtci_coder_index(coder, j), pair = (a - coder->first) | (b - coder->first) << shift;
            uint32_t code = coder->symbols[coder->codes[a].value * values + coder->codes[b].value];
            codes[pair] = code >> 4 << DTCI_CODE_WIDTH | (code & 15);
        }
    }
}

/* Writes bins[at..end) as tokens with runs. If the writer has room for all runs of one dtci_runs_next, it writes them
 * without a check of each. */
DTCI_FN void dtci_write_runs(const dtci_coder *coder, dtci_bit_writer *writer, size_t at, size_t end,
                             const dtci_tokens *tokens) {
    const uint32_t *codes = coder->symbols;
    const dtci_bin_code *bin_codes = coder->codes;
    dtci_runs runs = dtci_runs_of(coder->bins, at, end, coder->mode_index);
    dtci_run_code run_codes[DTCI_RUNS];
    uint32_t run[DTCI_RUNS];
    dtci_run_codes_of(run_codes, tokens);
    while (runs.at < runs.end) {
        size_t n = dtci_runs_next(run, &runs), i;
        dtci_bit_writer w = *writer;
        int room = w.end - w.p >= 8 * (int)DTCI_RUNS;
        for (i = 0; i < n; i++) {
            uint32_t length = run[i] & 0xffff;
            dtci_run_code r = length < DTCI_RUNS ? run_codes[length] : dtci_run_code_of(length, tokens);
            const dtci_bin_code *b = &bin_codes[run[i] >> 16];
            uint32_t code = codes[r.symbol + b->value];
            uint64_t bits = code >> 4 | (r.bits | (uint64_t)b->bits << r.extra) << (code & 15);
            unsigned width = (code & 15) + r.extra + b->extra;
            if (room)
                dtci_bits_push(&w, bits, width);
            else
                dtci_bits_append(writer, bits, width);
        }
        if (room) *writer = w;
    }
}

/* Joins the code and the extra bits of each bin that occurs, for plain tokens. Fills a table of dtci_write_codes, which
 * is of use if no element has more than DTCI_CODE_MOST bits. */
DTCI_FN void dtci_coder_merge_codes(dtci_coder *coder, uint32_t *codes) {
    size_t i;
    for (i = 0; i < coder->used_count; i++) {
        uint32_t index = dtci_coder_index(coder, i);
        dtci_bin_code *bin_code = &coder->codes[index];
        uint32_t code = coder->symbols[bin_code->value];
        bin_code->bits = code >> 4 | bin_code->bits << (code & 15);
        bin_code->extra = (uint16_t)(bin_code->extra + (code & 15));
        codes[index] = bin_code->bits << DTCI_CODE_WIDTH | bin_code->extra;
    }
}

/* Writes bins[at..end) as pairs. If the number of bins is odd, the second bin of the last pair is the mode. */
DTCI_FN void dtci_write_last_pairs(const dtci_coder *coder, dtci_bit_writer *w, size_t at, size_t end,
                                   uint32_t values) {
    for (; at < end; at += 2) {
        const dtci_bin_code *a = &coder->codes[coder->bins[at]];
        const dtci_bin_code *b = &coder->codes[at + 1 < end ? coder->bins[at + 1] : coder->mode_index];
        uint32_t code = coder->symbols[a->value * values + b->value];
        uint64_t token = code >> 4 | (uint64_t)(a->bits | (uint64_t)b->bits << a->extra) << (code & 15);
        dtci_bits_append(w, token, (code & 15) + a->extra + b->extra);
    }
}

/* Writes bins[at..end) of stream j as plain tokens or pairs. `codes` is a table of dtci_write_codes, and `longest` the
 * most bits of its elements, or of the extra bits of a bin of pairs. */
DTCI_FN void dtci_write_stream(const dtci_coder *coder, dtci_bit_writer *w, size_t j, const dtci_tokens *tokens,
                               const uint32_t *codes, unsigned longest) {
    size_t stream = dtci_stream_bins(coder->n), at = j * stream, end = coder->n - at < stream ? coder->n : at + stream;
    if (tokens->pairs) {
        if (!longest) at += 2 * dtci_write_codes(codes, w, coder->pairs + j * (stream / 2), (end - at) / 2);
        dtci_write_last_pairs(coder, w, at, end, tokens->values);
        return;
    }
    if (longest <= DTCI_CODE_MOST) at += dtci_write_codes(codes, w, coder->bins + at, end - at);
    for (; at < end; at++) dtci_bits_append(w, coder->codes[coder->bins[at]].bits, coder->codes[coder->bins[at]].extra);
}

/* Writes the TOKENS of the wire format: head, sizes of the streams, code lengths, streams. Returns the bytes written,
 * or 0 if the capacity is too small. Overwrites the counts of the coder. */
DTCI_FN size_t dtci_coder_write(dtci_coder *coder, const dtci_tokens_plan *plan, unsigned char *to, size_t capacity) {
    dtci_tokens tokens = plan->tokens;
    size_t symbols = (size_t)tokens.values * tokens.runs, n = coder->n, stream = dtci_stream_bins(n), j;
    size_t head = DTCI_TOKENS_HEAD + 4 * (dtci_stream_count(n) - 1);
    uint32_t *codes = tokens.pairs ? coder->huffman.weights : coder->histogram;
    unsigned longest;
    dtci_bit_writer w;
    if (capacity < head) return 0;
    dtci_tokens_head_write(to, &tokens);
    dtci_bits_begin(&w, to + head, capacity - head);
    dtci_lengths_write(&w, plan->lengths, symbols);
    dtci_bits_close(&w);
    dtci_huffman_codes(coder->symbols, plan->lengths, symbols);
    dtci_coder_classify(coder, &tokens, tokens.value_precision);
    if (tokens.runs == 1) dtci_coder_merge_codes(coder, codes);
    longest = dtci_coder_longest(coder);
    if (tokens.pairs && !longest) dtci_coder_pair_codes(coder, codes, tokens.values);
    for (j = 0; j < dtci_stream_count(n); j++) {
        unsigned char *start = w.p;
        if (tokens.runs == 1 || tokens.pairs)
            dtci_write_stream(coder, &w, j, &tokens, codes, longest);
        else
            dtci_write_runs(coder, &w, j * stream, n - j * stream < stream ? n : (j + 1) * stream, &tokens);
        dtci_bits_close(&w);
        if (j + 1 < dtci_stream_count(n)) dtci_put32(to + DTCI_TOKENS_HEAD + 4 * j, (uint32_t)(w.p - start));
    }
    return w.overflow ? 0 : (size_t)(w.p - to);
}

/* A decoded symbol. */
typedef struct dtci_token {
    int32_t bin;   /* the bin, before its extra bits are added */
    uint16_t run;  /* the run, before its extra bits are added; pairs: the first bin, modulo 2^16 */
    uint8_t width; /* number of bits of the code and of all extra bits */
    uint8_t extra; /* number of extra bits: those of run in the low four bits, those of bin in the high four */
} dtci_token;

/* The decoder's tables. An entry of `lookup` holds a whole token, with its width in bits 0..5: the bin in bits 16..31
 * and the run in bits 8..15, or of a pair the bins less `base` in bits 8..15 and 24..31. An entry with the bit
 * DTCI_ENTRY_OPEN holds no token, because the token does not fit or is invalid. Its bits 16..31 are the index of the
 * symbol, or DTCI_ENTRY_LONG if the code is longer than the index of `lookup`. */
typedef struct dtci_decoder {
    uint32_t lookup[1u << DTCI_LOOKUP_BITS]; /* index: next bits */
    unsigned lookup_bits;                    /* bits of an index of lookup */
    int pairs;                               /* whether tokens are pairs */
    uint32_t mode, top, base;                /* the mode; the largest valid bin; the bin 0 of pairs in entries */
    dtci_token symbols[DTCI_SYMBOLS];        /* in canonical order */
    uint32_t used[DTCI_CODE_MAX + 1];        /* number of codes of each length */
    uint32_t long_code, long_index;          /* the first code longer than a look-up; its index in `symbols` */
    unsigned widest;                         /* most bits of a token */
    unsigned extra;                          /* not 0 if a token has extra bits */
    uint8_t lengths[DTCI_SYMBOLS];
} dtci_decoder;

#define DTCI_ENTRY_OPEN 0x80u
#define DTCI_ENTRY_LONG 0xffffu
#define DTCI_RUN_SHORT                                                                             \
    16u /* bins that are set to the mode at once; entries of `lookup` hold runs of at most so many \
         */

/* Returns the bin of a value symbol whose extra bits are all 0, and in *extra their number. */
DTCI_FN int32_t dtci_class_bin(uint32_t value, const dtci_tokens *tokens, unsigned *extra) {
    int32_t start = (int32_t)dtci_class_least((value + 1) / 2, tokens->value_precision, extra);
    return (int32_t)tokens->mode + (value & 1 ? 1 - start - (1 << *extra) : start);
}

/* Adds the extra bits to a token. `bits` begin with the token's code; the extra bits of run precede those of bin. */
DTCI_INLINE dtci_token dtci_token_resolve(dtci_token token, uint64_t bits) {
    unsigned run_extra = token.extra & 15, extra = token.extra >> 4;
    bits >>= token.width - run_extra - extra;
    token.run = (uint16_t)((token.run + (bits & ((1u << run_extra) - 1))) & 0xffff);
    token.bin += (int32_t)(bits >> run_extra & ((1u << extra) - 1));
    token.extra = 0;
    return token;
}

/* Returns the first symbol from i up that has a code, or `symbols`. A short packet can have a large table. */
DTCI_SHARED size_t dtci_lengths_next(const uint8_t *lengths, size_t i, size_t symbols) {
    while (i + 8 <= symbols && !dtci_get64(lengths + i)) i += 8;
    while (i < symbols && !lengths[i]) i++;
    return i;
}

/* Fills decoder->symbols from decoder->lengths. Returns 0 if `tokens` has classes of integers above 65535, or if more
 * than n symbols have a code. */
DTCI_FN int dtci_decoder_sort(dtci_decoder *decoder, const dtci_tokens *tokens, size_t n) {
    size_t symbols = (size_t)tokens->values * tokens->runs, i;
    const uint8_t *lengths = decoder->lengths;
    uint32_t starts[DTCI_CODE_MAX + 2];
    unsigned length, extra, run_extra;
    if (dtci_class_least(tokens->values / 2, tokens->value_precision, &extra) > 0xffff ||
        (!tokens->pairs && dtci_class_least(tokens->runs - 1, tokens->run_precision, &extra) > 0xffff))
        return 0;
    memset(decoder->used, 0, sizeof decoder->used);
    for (i = 0; (i = dtci_lengths_next(lengths, i, symbols)) < symbols; i++) decoder->used[lengths[i]]++;
    starts[1] = 0;
    for (length = 1; length <= DTCI_CODE_MAX; length++) starts[length + 1] = starts[length] + decoder->used[length];
    if (starts[length] > (n < 2 ? 2 : n)) return 0;
    decoder->widest = decoder->extra = 0;
    for (i = 0; (i = dtci_lengths_next(lengths, i, symbols)) < symbols; i++) {
        uint32_t value = (uint32_t)(i % tokens->values), run = (uint32_t)(i / tokens->values);
        dtci_token token;
        length = lengths[i];
        token.run = tokens->pairs ? (uint16_t)(dtci_class_bin(run, tokens, &run_extra) & 0xffff)
                                  : (uint16_t)dtci_class_least(run, tokens->run_precision, &run_extra);
        token.bin = dtci_class_bin(value, tokens, &extra);
        token.width = (uint8_t)(length + run_extra + extra);
        token.extra = (uint8_t)(run_extra | extra << 4);
        if (token.width > decoder->widest) decoder->widest = token.width;
        decoder->extra |= token.extra;
        decoder->symbols[starts[length]++] = token;
    }
    return 1;
}

/* Returns the entry of a token without extra bits, or an open one for symbol `index` if the token does not fit. */
DTCI_FN uint32_t dtci_entry_of(const dtci_decoder *decoder, dtci_token token, uint32_t index) {
    uint32_t bin = (uint32_t)token.bin, a = token.run - decoder->base, b = bin - decoder->base;
    if (!token.extra && bin <= decoder->top) {
        if (decoder->pairs && token.run <= decoder->top && a < 256 && b < 256) return token.width | a << 8 | b << 24;
        if (!decoder->pairs && token.run <= DTCI_RUN_SHORT) return token.width | (uint32_t)token.run << 8 | bin << 16;
    }
    return DTCI_ENTRY_OPEN | index << 16;
}

/* Replaces the entries of tokens with extra bits that a look-up holds entirely. */
DTCI_FN void dtci_decoder_widen(dtci_decoder *decoder) {
    uint32_t code = 0, at = 0, i, k;
    unsigned length, bits = decoder->lookup_bits;
    for (length = 1; length <= bits; length++, code <<= 1) {
        for (i = 0; i < decoder->used[length]; i++, code++, at++) {
            dtci_token token = decoder->symbols[at];
            if (!token.extra || token.width > bits) continue;
            for (k = dtci_reverse(code, length); k < 1u << bits; k += 1u << length)
                decoder->lookup[k] = dtci_entry_of(decoder, dtci_token_resolve(token, k), at);
        }
    }
}

/* Builds the tables for n bins of up to `bits` bits from decoder->lengths. Returns 0 where dtci_decoder_sort does. */
DTCI_FN int dtci_decoder_build(dtci_decoder *decoder, const dtci_tokens *tokens, size_t n, unsigned bits) {
    uint32_t code = 0, at = 0, i;
    unsigned length, width = dtci_bit_width((uint32_t)n / 4 | 128); /* filling takes less time than decoding then */
    if (!dtci_decoder_sort(decoder, tokens, n)) return 0;
    if (width > DTCI_LOOKUP_BITS) width = DTCI_LOOKUP_BITS;
    if (n < DTCI_STREAMS_FROM && width > decoder->widest) width = decoder->widest;
    decoder->lookup_bits = width;
    decoder->pairs = tokens->pairs;
    decoder->mode = tokens->mode;
    decoder->top = (1u << bits) - 1;
    decoder->base = tokens->mode < 128 ? 0 : tokens->mode - 128;
    decoder->lookup[0] = DTCI_ENTRY_OPEN | DTCI_ENTRY_LONG << 16;
    for (length = 1; length <= width; length++, code <<= 1) { /* each length doubles the table */
        memcpy(decoder->lookup + (1u << (length - 1)), decoder->lookup, sizeof(uint32_t) << (length - 1));
        for (i = 0; i < decoder->used[length]; i++, code++, at++)
            decoder->lookup[dtci_reverse(code, length)] = dtci_entry_of(decoder, decoder->symbols[at], at);
    }
    decoder->long_code = code;
    decoder->long_index = at;
    if (decoder->extra) dtci_decoder_widen(decoder);
    return 1;
}

/* Decodes the token that `bits` begin with and whose entry is open. A long code is read bit by bit, by the definition
 * of canonical codes. `bits` hold at least the widest token. The `extra` of the result is 1 if a bin is out of range.
 */
DTCI_SHARED dtci_token dtci_token_open(const dtci_decoder *decoder, uint32_t entry, uint64_t bits) {
    const dtci_token *symbols = decoder->symbols;
    uint32_t index = entry >> 16;
    dtci_token token;
    if (index == DTCI_ENTRY_LONG) {
        uint32_t code = (uint32_t)(bits & ((1u << decoder->lookup_bits) - 1)), first = decoder->long_code;
        unsigned length = decoder->lookup_bits;
        symbols += decoder->long_index;
        code = dtci_reverse(code, length);
        for (;;) {
            code = code << 1 | (uint32_t)(bits >> length++ & 1);
            if (code - first < decoder->used[length] || length == DTCI_CODE_MAX) break;
            symbols += decoder->used[length];
            first = (first + decoder->used[length]) << 1;
        }
        index = code - first;
    }
    token = dtci_token_resolve(symbols[index], bits);
    token.extra = (uint32_t)token.bin > decoder->top || (decoder->pairs && token.run > decoder->top);
    return token;
}

/* Decodes the token that `bits` begin with. `bits` hold at least the widest token. */
DTCI_FN dtci_token dtci_token_at(const dtci_decoder *decoder, uint64_t bits) {
    uint32_t entry = decoder->lookup[bits & ((1u << decoder->lookup_bits) - 1)];
    dtci_token token;
    if (entry & DTCI_ENTRY_OPEN) return dtci_token_open(decoder, entry, bits);
    token.width = entry & 63;
    token.extra = 0;
    token.run = (uint16_t)((entry >> 8 & 255) + (decoder->pairs ? decoder->base : 0));
    token.bin = (int32_t)(decoder->pairs ? (entry >> 24) + decoder->base : entry >> 16);
    return token;
}

typedef struct dtci_stream {
    dtci_bit_reader reader;
    uint16_t *at, *end; /* where the next bin is written; the end of the stream's bins */
    uint32_t bad;       /* nonzero if a bin or a run was out of range */
} dtci_stream;

/* Writes a token of a run and a bin, with all checks. */
DTCI_SHARED void dtci_stream_put(dtci_stream *s, const dtci_decoder *decoder, dtci_token token) {
    size_t run, left = (size_t)(s->end - s->at), k;
    s->bad |= ((uint32_t)token.bin > decoder->top) | (token.run >= left);
    run = token.run < left ? token.run : left - 1;
    for (k = 0; k < run; k++) s->at[k] = (uint16_t)decoder->mode;
    s->at += run;
    *s->at++ = (uint16_t)(token.bin & 0xffff);
}

/* Writes a pair, with all checks. If the stream has an odd number of bins, the second bin of its last pair must be the
 * mode and is dropped. */
DTCI_SHARED void dtci_stream_put_pair(dtci_stream *s, const dtci_decoder *decoder, dtci_token token) {
    s->bad |= (token.run > decoder->top) | ((uint32_t)token.bin > decoder->top);
    *s->at++ = token.run;
    if (s->at < s->end)
        *s->at++ = (uint16_t)(token.bin & 0xffff);
    else
        s->bad |= (uint32_t)token.bin != decoder->mode;
}

/* Decodes the rest of a stream, with all checks. */
DTCI_FN void dtci_stream_finish(dtci_stream *s, const dtci_decoder *decoder) {
    while (s->at < s->end) {
        dtci_token token;
        dtci_bits_refill(&s->reader);
        token = dtci_token_at(decoder, s->reader.bits);
        dtci_bits_skip(&s->reader, token.width);
        if (decoder->pairs)
            dtci_stream_put_pair(s, decoder, token);
        else
            dtci_stream_put(s, decoder, token);
    }
}

/* Reads bits without a check for the end. */
typedef struct dtci_fast {
    const unsigned char *data;
    uint64_t at;   /* bits of `data` before those that were loaded last */
    uint64_t bits; /* the next bits */
    uint32_t used; /* bits 0..7: bits used since the last load. The other bits have no meaning */
    uint16_t *to;  /* where the next bin is written */
} dtci_fast;

#define DTCI_FAST_BITS   57u                                 /* bits that dtci_fast_load makes available */
#define DTCI_FAST_TOKENS (DTCI_FAST_BITS / DTCI_LOOKUP_BITS) /* tokens with complete entries that one load holds */

/* Loads bits. The caller knows that eight bytes can be read at the position. */
DTCI_INLINE void dtci_fast_load(dtci_fast *f) {
    f->at += f->used & 255;
    f->used = 0;
    f->bits = dtci_get64(f->data + (size_t)(f->at >> 3)) >> (f->at & 7);
}

/* Starts with the first bit of a stream. */
DTCI_INLINE dtci_fast dtci_fast_of(const dtci_stream *s) {
    dtci_fast f;
    f.data = s->reader.data;
    f.at = f.bits = f.used = 0;
    f.to = s->at;
    return f;
}

/* Lets the stream go on where `f` is. */
DTCI_FN void dtci_fast_return(dtci_stream *s, const dtci_fast *f) {
    uint64_t at = f->at + (f->used & 255);
    s->at = f->to;
    s->reader.at = (size_t)(at >> 3);
    dtci_bits_refill(&s->reader);
    dtci_bits_skip(&s->reader, at & 7);
}

/* Decodes the token at bit `at` of `data`, whose entry is open. */
DTCI_SHARED dtci_token dtci_fast_token(const dtci_decoder *decoder, uint32_t entry, const unsigned char *data,
                                       uint64_t at) {
    return dtci_token_open(decoder, entry, dtci_get64(data + (size_t)(at >> 3)) >> (at & 7));
}

/* Decodes a token whose entry is open, and loads bits. */
DTCI_INLINE dtci_token dtci_fast_open(dtci_fast *f, const dtci_decoder *decoder, uint32_t entry) {
    dtci_token token;
    f->at += f->used & 255;
    token = dtci_fast_token(decoder, entry, f->data, f->at);
    f->used = token.width;
    dtci_fast_load(f);
    return token;
}

/* Decodes a plain token or a pair to `to`. `mask` has lookup_bits ones. */
DTCI_INLINE void dtci_fast_step(dtci_fast *f, dtci_stream *s, const dtci_decoder *decoder, uint32_t mask, uint16_t *to,
                                int pairs) {
    uint32_t entry = decoder->lookup[f->bits & mask], both;
    if (DTCI_RARE(entry & DTCI_ENTRY_OPEN)) {
        dtci_token token = dtci_fast_open(f, decoder, entry);
        both = (pairs ? token.run : 0) | (uint32_t)token.bin << 16;
        s->bad |= token.extra;
    } else {
        both = pairs ? (entry >> 8 & 0xff00ff) + decoder->base * 0x10001u : entry;
        f->bits >>= entry & 63;
        f->used += entry;
    }
    if (pairs) to[0] = (uint16_t)(both & 0xffff);
    to[pairs] = (uint16_t)(both >> 16);
}

/* Returns how many times DTCI_FAST_TOKENS tokens of each stream can be decoded without a check for the ends. */
DTCI_FN size_t dtci_fast_turns(const dtci_fast *f, const dtci_stream *s, size_t streams, const dtci_decoder *decoder,
                               const unsigned char *end) {
    size_t worst = DTCI_FAST_TOKENS * (decoder->widest / 8 + 1), j;
    size_t turns = (size_t)(s[streams - 1].end - f[streams - 1].to) / (DTCI_FAST_TOKENS << decoder->pairs);
    for (j = 0; j < streams; j++) {
        size_t bytes = (size_t)(end - f[j].data), at = (size_t)(f[j].at >> 3) + 16; /* up to 8 bytes are used already */
        size_t free = bytes < at ? 0 : (bytes - at) / worst;
        turns = turns < free ? turns : free;
    }
    return turns;
}

/* Decodes four streams of plain tokens or pairs until one comes near `end` or near its last bin. The streams take turns
 * with each token, because their look-ups overlap in time. */
DTCI_INLINE void dtci_streams_fast(dtci_fast *f, dtci_stream *s, const dtci_decoder *decoder, const unsigned char *end,
                                   int pairs) {
    const size_t stream = (size_t)(s[1].at - s[0].at);
    const uint32_t mask = (1u << DTCI_LOOKUP_BITS) - 1;
    size_t turns;
    while ((turns = dtci_fast_turns(f, s, DTCI_STREAMS, decoder, end)) > 0) {
        dtci_fast f0 = f[0], f1 = f[1], f2 = f[2], f3 = f[3];
        uint16_t *to = f0.to;
        unsigned i;
        while (turns--) {
            dtci_fast_load(&f0);
            dtci_fast_load(&f1);
            dtci_fast_load(&f2);
            dtci_fast_load(&f3);
            for (i = 0; i < DTCI_FAST_TOKENS; i++, to += 1 + pairs) {
                dtci_fast_step(&f0, s, decoder, mask, to, pairs);
                dtci_fast_step(&f1, s, decoder, mask, to + stream, pairs);
                dtci_fast_step(&f2, s, decoder, mask, to + 2 * stream, pairs);
                dtci_fast_step(&f3, s, decoder, mask, to + 3 * stream, pairs);
            }
        }
        f0.to = to;
        f1.to = to + stream;
        f2.to = to + 2 * stream;
        f3.to = to + 3 * stream;
        f[0] = f0;
        f[1] = f1;
        f[2] = f2;
        f[3] = f3;
    }
}

/* Decodes streams of plain tokens or pairs until one comes near `end` or near its last bin. */
DTCI_FN void dtci_streams_tokens(dtci_stream *s, size_t streams, const dtci_decoder *decoder,
                                 const unsigned char *end) {
    const uint32_t mask = (1u << decoder->lookup_bits) - 1;
    dtci_fast f[DTCI_STREAMS];
    size_t turns, i, j;
    for (j = 0; j < streams; j++) f[j] = dtci_fast_of(&s[j]);
    if (streams == DTCI_STREAMS && decoder->pairs)
        dtci_streams_fast(f, s, decoder, end, 1);
    else if (streams == DTCI_STREAMS)
        dtci_streams_fast(f, s, decoder, end, 0);
    else
        while ((turns = dtci_fast_turns(f, s, 1, decoder, end)) > 0)
            while (turns--) {
                dtci_fast_load(f);
                for (i = 0; i < DTCI_FAST_TOKENS; i++, f->to += 1 + decoder->pairs)
                    dtci_fast_step(f, s, decoder, mask, f->to, decoder->pairs);
            }
    for (j = 0; j < streams; j++) dtci_fast_return(&s[j], &f[j]);
}

/* Tells whether DTCI_FAST_TOKENS tokens can be read and written without a check of the ends of the input and of the
 * output. The bits used before, those of complete tokens and those of an open one are 8 bytes each at most, and so are
 * the bytes that are loaded last. */
DTCI_INLINE int dtci_runs_free(const dtci_stream *s, const dtci_fast *f, const unsigned char *end) {
    return end - f->data >= (ptrdiff_t)(f->at >> 3) + 32 &&
           s->end - f->to >= (ptrdiff_t)(DTCI_FAST_TOKENS * (DTCI_RUN_SHORT + 1));
}

/* Decodes a token with a run, where there is room for a short run. Returns 0 after an open entry, whose run may be
 * long. */
DTCI_INLINE int dtci_runs_step(dtci_fast *f, dtci_stream *s, const dtci_decoder *decoder, const uint16_t *modes) {
    uint32_t entry = decoder->lookup[f->bits & ((1u << decoder->lookup_bits) - 1)];
    if (DTCI_RARE(entry & DTCI_ENTRY_OPEN)) {
        s->at = f->to;
        dtci_stream_put(s, decoder, dtci_fast_open(f, decoder, entry));
        f->to = s->at;
        return 0;
    }
    memcpy(f->to, modes, 2 * DTCI_RUN_SHORT);
    f->to += entry >> 8 & 255;
    *f->to++ = (uint16_t)(entry >> 16);
    f->bits >>= entry & 63;
    f->used += entry;
    return 1;
}

/* Decodes streams of tokens with runs: four in turn while dtci_runs_free holds for all of them, then each stream alone
 * while it holds for that stream. */
DTCI_FN void dtci_streams_runs(dtci_stream *s, size_t streams, const dtci_decoder *decoder, const unsigned char *end) {
    uint16_t modes[DTCI_RUN_SHORT];
    dtci_fast f[DTCI_STREAMS];
    unsigned i, j;
    for (j = 0; j < DTCI_RUN_SHORT; j++) modes[j] = (uint16_t)decoder->mode;
    for (j = 0; j < streams; j++) f[j] = dtci_fast_of(&s[j]);
    if (streams == DTCI_STREAMS) {
        dtci_fast f0 = f[0], f1 = f[1], f2 = f[2], f3 = f[3];
        while (dtci_runs_free(s, &f0, end) && dtci_runs_free(s + 1, &f1, end) && dtci_runs_free(s + 2, &f2, end) &&
               dtci_runs_free(s + 3, &f3, end)) {
            int go = 1;
            dtci_fast_load(&f0);
            dtci_fast_load(&f1);
            dtci_fast_load(&f2);
            dtci_fast_load(&f3);
            for (i = 0; i < DTCI_FAST_TOKENS && go; i++) {
                go = dtci_runs_step(&f0, s, decoder, modes);
                go &= dtci_runs_step(&f1, s + 1, decoder, modes);
                go &= dtci_runs_step(&f2, s + 2, decoder, modes);
                go &= dtci_runs_step(&f3, s + 3, decoder, modes);
            }
        }
        f[0] = f0;
        f[1] = f1;
        f[2] = f2;
        f[3] = f3;
    }
    for (j = 0; j < streams; j++) {
        while (dtci_runs_free(s + j, &f[j], end)) {
            dtci_fast_load(&f[j]);
            for (i = 0; i < DTCI_FAST_TOKENS && dtci_runs_step(&f[j], &s[j], decoder, modes);) i++;
        }
        dtci_fast_return(&s[j], &f[j]);
    }
}

/* Decodes n > 0 bins from the TOKENS in p[0..size). Returns DTC_ERROR_PAYLOAD if the tokens break a rule of the wire
 * format; all decoded bins are below 2^bits. */
DTCI_FN dtc_status dtci_tokens_read(uint16_t *bins, size_t n, unsigned bits, const unsigned char *p, size_t size,
                                    dtci_decoder *decoder) {
    size_t streams = dtci_stream_count(n), stream = dtci_stream_bins(n), used, sizes, j;
    size_t head = DTCI_TOKENS_HEAD + 4 * (streams - 1);
    dtci_stream s[DTCI_STREAMS];
    dtci_tokens tokens;
    uint32_t bad = 0;
    if (size < head) return DTC_ERROR_PAYLOAD;
    if (!dtci_tokens_head_read(&tokens, p, bits)) return DTC_ERROR_PAYLOAD;
    used = dtci_lengths_read(decoder->lengths, (size_t)tokens.values * tokens.runs, p + head, size - head);
    if (!used || !dtci_decoder_build(decoder, &tokens, n, bits)) return DTC_ERROR_PAYLOAD;
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
        dtci_streams_runs(s, streams, decoder, p + size);
    else
        dtci_streams_tokens(s, streams, decoder, p + size);
    for (j = 0; j < streams; j++) {
        dtci_stream_finish(&s[j], decoder);
        bad |= s[j].bad | (uint32_t)!dtci_bits_done(&s[j].reader);
    }
    return bad ? DTC_ERROR_PAYLOAD : DTC_OK;
}

/* --------------------------------------------------------------------------------------------------------------------
 * Bins: arrays of 16-bit bin numbers between a codec's fields and its tokens
 * ------------------------------------------------------------------------------------------------------------------*/

/* bins[i] = fields[i], n <= DTCI_CHUNK. The fields are below 2^16. */
DTCI_INLINE void dtci_bins_from_fields_body(uint16_t *DTCI_RESTRICT bins, const uint32_t *fields, size_t n) {
    DTCI_EACH(i, n, bins[i] = (uint16_t)(fields[i] & 0xffff));
}

DTCI_TWIN(dtci_bins_from_fields, (uint16_t * DTCI_RESTRICT bins, const uint32_t *fields, size_t n), (bins, fields, n))

/* fields[i] = bins[i] + shift modulo 2^32, n <= DTCI_CHUNK. */
DTCI_INLINE void dtci_fields_from_bins_body(uint32_t *DTCI_RESTRICT fields, const uint16_t *bins, uint32_t shift,
                                            size_t n) {
    DTCI_EACH(i, n, fields[i] = bins[i] + shift);
}

DTCI_TWIN(dtci_fields_from_bins, (uint32_t * DTCI_RESTRICT fields, const uint16_t *bins, uint32_t shift, size_t n),
          (fields, bins, shift, n))

/* bytes[i] = bins[i], n <= DTCI_CHUNK. The bins are below 256. */
DTCI_INLINE void dtci_bytes_from_bins_body(unsigned char *DTCI_RESTRICT bytes, const uint16_t *bins, size_t n) {
    DTCI_EACH(i, n, bytes[i] = (unsigned char)(bins[i] & 255));
}

DTCI_TWIN(dtci_bytes_from_bins, (unsigned char *DTCI_RESTRICT bytes, const uint16_t *bins, size_t n), (bytes, bins, n))

/* bins[i] = bytes[i], n <= DTCI_CHUNK. */
DTCI_INLINE void dtci_bins_from_bytes_body(uint16_t *DTCI_RESTRICT bins, const unsigned char *bytes, size_t n) {
    DTCI_EACH(i, n, bins[i] = bytes[i]);
}

DTCI_TWIN(dtci_bins_from_bytes, (uint16_t * DTCI_RESTRICT bins, const unsigned char *bytes, size_t n), (bins, bytes, n))

/* Raises *most to the largest bins[i] - shift modulo 2^16, for any n. */
DTCI_INLINE void dtci_bins_max_body(uint16_t *most, const uint16_t *bins, uint16_t shift, size_t n) {
    uint16_t largest = *most;
    size_t i;
    for (; n >= DTCI_CHUNK; bins += DTCI_CHUNK, n -= DTCI_CHUNK) {
        for (i = 0; i < DTCI_CHUNK; i++) {
            uint16_t bin = (uint16_t)((bins[i] - shift) & 0xffff);
            largest = bin > largest ? bin : largest;
        }
    }
    for (i = 0; i < n; i++) {
        uint16_t bin = (uint16_t)((bins[i] - shift) & 0xffff);
        largest = bin > largest ? bin : largest;
    }
    *most = largest;
}

DTCI_TWIN(dtci_bins_max, (uint16_t * most, const uint16_t *bins, uint16_t shift, size_t n), (most, bins, shift, n))

/* sum[i] = a[i] + b[i], for any n. The sums are below 2^16. sum may be a or b. */
DTCI_INLINE void dtci_bins_add_body(uint16_t *sum, const uint16_t *a, const uint16_t *b, size_t n) {
    size_t i;
    for (i = 0; i < n; i++) sum[i] = (uint16_t)((a[i] + b[i]) & 0xffff);
}

DTCI_TWIN(dtci_bins_add, (uint16_t * sum, const uint16_t *a, const uint16_t *b, size_t n), (sum, a, b, n))

/* Writes the bins that the coder has counted as TOKENS. Sets *bytes to their size, or writes nothing and sets *bytes to
 * 0 if plan->bytes is not below `limit`. Returns DTC_ERROR_CAPACITY if the tokens do not fit into the capacity. */
DTCI_FN dtc_status dtci_bins_write(dtci_coder *coder, const dtci_tokens_plan *plan, size_t limit, unsigned char *to,
                                   size_t capacity, size_t *bytes) {
    *bytes = 0;
    if (plan->bytes >= limit) return DTC_OK;
    *bytes = dtci_coder_write(coder, plan, to, capacity);
    return *bytes ? DTC_OK : DTC_ERROR_CAPACITY;
}

/* Returns the bytes of scratch that dtci_bins_decode takes for n bins. */
DTCI_FN size_t dtci_bins_scratch(size_t n) {
    return dtci_take_bytes(sizeof(dtci_decoder)) + dtci_take_bytes(2 * n);
}

/* Decodes the TOKENS in from[0..size), n > 0 bins of `bits` bits, into the arena, and sets *bins to the decoded bins.
 * The bins go to the arena because an error may be found at the last token, and a malformed packet must not change the
 * caller's values. The memory of the decoder can be taken again afterwards. */
DTCI_SHARED dtc_status dtci_bins_decode(const uint16_t **bins, size_t n, unsigned bits, const unsigned char *from,
                                        size_t size, dtci_arena *arena) {
    uint16_t *decoded = (uint16_t *)dtci_take(arena, 2 * n);
    dtci_arena after = *arena;
    dtci_decoder *decoder = (dtci_decoder *)dtci_take(&after, sizeof *decoder);
    *bins = decoded;
    if (!decoder || !decoded) return DTC_ERROR_SCRATCH;
    return dtci_tokens_read(decoded, n, bits, from, size, decoder);
}

/* --------------------------------------------------------------------------------------------------------------------
 * Coded scales: the scales of blocks as whole logarithms, which are coded as tokens (CODED in the wire format)
 *
 * Scales of the lattice are powers of 2^(1/64) times one multiplier. A code tells how far a scale is below the largest
 * one, so that it takes a few bits in place of 32, and a block of zeros takes less than one.
 * ------------------------------------------------------------------------------------------------------------------*/

#define DTCI_CODED       8u     /* the feature of a head */
#define DTCI_LATTICE_ONE 16384u /* the position of 1 on the lattice */
#define DTCI_CODE_BITS   16u

/* Returns the number at a position of the lattice: 2^((position - DTCI_LATTICE_ONE) / 64), rounded to 24 bits. */
DTCI_COLD double dtci_lattice(uint32_t position) {
    static const uint32_t roots[64] = {
        /* 2^(23 + i / 64) */
        8388608u,  8479954u,  8572295u,  8665641u,  8760003u,  8855394u,  8951823u,  9049301u,  9147842u,  9247455u,
        9348154u,  9449948u,  9552851u,  9656875u,  9762032u,  9868333u,  9975792u,  10084422u, 10194234u, 10305242u,
        10417458u, 10530897u, 10645571u, 10761494u, 10878679u, 10997140u, 11116891u, 11237946u, 11360319u, 11484025u,
        11609078u, 11735492u, 11863283u, 11992466u, 12123055u, 12255067u, 12388516u, 12523418u, 12659789u, 12797645u,
        12937002u, 13077877u, 13220286u, 13364245u, 13509772u, 13656884u, 13805598u, 13955931u, 14107901u, 14261526u,
        14416824u, 14573813u, 14732511u, 14892937u, 15055111u, 15219050u, 15384775u, 15552304u, 15721658u, 15892855u,
        16065917u, 16240863u, 16417715u, 16596492u,
    };
    return ldexp((double)roots[position & 63], (int)(position >> 6) - (int)(DTCI_LATTICE_ONE >> 6) - 23);
}

/* Returns the scale at a position of the lattice. The product is exact in double. */
DTCI_FN float dtci_lattice_scale(float multiplier, uint32_t position) {
    return (float)((double)multiplier * dtci_lattice(position));
}

/* Writes the n scales of codes, which are `stride` bytes apart. The code 0 is a scale of 0, and c > 0 is the scale at
 * top - pitch * (c - 1), at least at position 0. Without codes, every code is 1. */
DTCI_COLD void dtci_codes_scales(unsigned char *to, size_t stride, float multiplier, uint32_t top, uint32_t pitch,
                                 const uint16_t *codes, size_t n) {
    size_t i;
    for (i = 0; i < n; i++) {
        uint32_t code = codes ? codes[i] : 1, down = code ? pitch * (code - 1) : 0;
        dtci_put_float(to + stride * i, code ? dtci_lattice_scale(multiplier, top > down ? top - down : 0) : 0);
    }
}

/* Decodes the TOKENS of n codes into the arena. Without bytes there are no codes: *codes is then NULL. */
DTCI_COLD dtc_status dtci_codes_open(const uint16_t **codes, size_t n, const unsigned char *from, size_t size,
                                     dtci_arena *arena) {
    *codes = NULL;
    return size ? dtci_bins_decode(codes, n, DTCI_CODE_BITS, from, size, arena) : DTC_OK;
}

/* Writes n codes as TOKENS, in fewer than `room` bytes. Returns the bytes, or SIZE_MAX if there is no room. */
DTCI_COLD size_t dtci_codes_write(unsigned char *to, size_t room, dtci_coder *coder, const uint16_t *codes, size_t n) {
    dtci_tokens_plan plan;
    size_t bytes;
    dtci_coder_count(coder, codes, n, DTCI_CODE_BITS);
    plan = dtci_coder_choose(coder);
    return dtci_bins_write(coder, &plan, room, to, room, &bytes) == DTC_OK && bytes ? bytes : SIZE_MAX;
}

/* --------------------------------------------------------------------------------------------------------------------
 * Outliers: values far outside the others, which are sent apart (OUTLIERS in the wire format)
 * ------------------------------------------------------------------------------------------------------------------*/

#define DTCI_OUTLIERS 2u /* the feature of a head */

/* The outliers of a packet. */
typedef struct dtci_outliers {
    const unsigned char *places, *floats; /* in the payload */
    size_t n, bytes;                      /* number of outliers; bytes of a place */
} dtci_outliers;

/* Which values are outliers: those outside the range of their block, and the first `ties` of those at its ends. */
typedef struct dtci_outlier_rule {
    const float *ranges; /* least and largest value of each block */
    size_t block, ties;
} dtci_outlier_rule;

/* Returns the bytes of the place of one of `count` values, and of the number of outliers. */
DTCI_FN size_t dtci_place_bytes(size_t count) {
    return dtci_ceil_div(dtci_bit_width((uint32_t)(count > 1 ? count - 1 : 1)), 8);
}

/* Returns the place at `p`, or the number of outliers. */
DTCI_SHARED uint32_t dtci_place_get(const unsigned char *p, size_t bytes) {
    uint32_t place = 0;
    size_t i;
    for (i = 0; i < bytes; i++) place |= (uint32_t)p[i] << 8 * i;
    return place;
}

DTCI_SHARED void dtci_place_put(unsigned char *p, size_t bytes, uint32_t place) {
    size_t i;
    for (i = 0; i < bytes; i++) p[i] = (unsigned char)(place >> 8 * i & 255);
}

/* Returns the bytes of a list of n outliers among `count` values; there is no list of none. */
DTCI_SHARED size_t dtci_outliers_bytes(size_t n, size_t count) {
    size_t place = dtci_place_bytes(count);
    return n ? place + n * (place + 4) : 0;
}

/* Returns the end of the list that begins at byte `at` of payload[0..size), or a number above `size` if the payload is
 * too short. */
DTCI_COLD uint64_t dtci_outliers_end(const unsigned char *payload, uint64_t at, uint64_t size, size_t count) {
    size_t place = dtci_place_bytes(count);
    if (size < at + place) return at + place;
    return at + place + dtci_place_get(payload + at, place) * (uint64_t)(place + 4);
}

DTCI_COLD dtci_outliers dtci_outliers_of(const unsigned char *list, size_t count) {
    dtci_outliers outliers;
    outliers.bytes = dtci_place_bytes(count);
    outliers.n = dtci_place_get(list, outliers.bytes);
    outliers.places = list + outliers.bytes;
    outliers.floats = outliers.places + outliers.n * outliers.bytes;
    return outliers;
}

/* Returns the place of outlier i. */
DTCI_FN size_t dtci_outliers_place(const dtci_outliers *outliers, size_t i) {
    return dtci_place_get(outliers->places + outliers->bytes * i, outliers->bytes);
}

/* Returns whether the outliers of a packet of `count` values are valid. */
DTCI_COLD int dtci_outliers_valid(const dtci_outliers *outliers, size_t count) {
    size_t next = 0, i;
    for (i = 0; i < outliers->n; i++) {
        size_t place = dtci_outliers_place(outliers, i);
        if (place < next || place >= count) return 0;
        next = place + 1;
    }
    return outliers->n && dtci_scales_finite(outliers->floats, outliers->n, 4, 1);
}

/* Writes the outliers among values first .. first + n - 1 to their places in `to`. *next is the number of the next
 * outlier. */
DTCI_SHARED void dtci_outliers_emit(char *to, const dtci_outliers *outliers, size_t *next, size_t first, size_t n) {
    for (; *next < outliers->n; ++*next) {
        size_t place = dtci_outliers_place(outliers, *next);
        float x = dtci_get_float(outliers->floats + 4 * *next);
        if (place >= first + n) return;
        memcpy(to + 4 * (place - first), &x, 4);
    }
}

/* Tells whether value i is an outlier. */
DTCI_SHARED int dtci_outlier_is(dtci_outlier_rule *rule, size_t i, float x) {
    const float *range = rule->ranges + 2 * (i / rule->block);
    if (x < range[0] || x > range[1]) return 1;
    if (!rule->ties || (x > range[0] && x < range[1])) return 0;
    rule->ties--;
    return 1;
}

/* Writes the list of the m outliers among `count` values. */
DTCI_COLD void dtci_outliers_write(unsigned char *to, size_t m, const dtci_source *source, size_t count,
                                   dtci_outlier_rule rule) {
    size_t bytes = dtci_place_bytes(count), first, n, i;
    unsigned char *values_to = to + bytes + bytes * m;
    float chunk[DTCI_CHUNK];
    dtci_place_put(to, bytes, (uint32_t)m);
    for (first = 0; first < count; first += n) {
        const char *values;
        n = count - first < DTCI_CHUNK ? count - first : DTCI_CHUNK;
        values = dtci_view(chunk, source, first, n);
        for (i = 0; i < n; i++) {
            float x = dtci_float_at(values, i);
            if (!dtci_outlier_is(&rule, first + i, x)) continue;
            to += bytes;
            dtci_place_put(to, bytes, (uint32_t)(first + i));
            dtci_put_float(values_to, x);
            values_to += 4;
        }
    }
}

/* --------------------------------------------------------------------------------------------------------------------
 * Hadamard transform: x := H x, where H has natural (Sylvester) order and is not normalized; random signs of values
 *
 * The transform of 2^L values has L levels. A level replaces each pair of values a and b that are a stride apart by
 * a + b and a - b; the strides are 2^0 to 2^(L-1). Encoders transform floats. Decoders, which must be exact, transform
 * integers modulo 2^32. The order of the levels changes how floats are rounded, so all versions have the same order.
 * Far levels have strides of 2^DTCI_HADAMARD_NEAR and more. They come first and go over the whole array. Near levels
 * then go over one part of 2^DTCI_HADAMARD_NEAR values after the other, which stays in the first-level cache.
 * ------------------------------------------------------------------------------------------------------------------*/

#define DTCI_HADAMARD_MAX  16u /* log2 of the largest size */
#define DTCI_HADAMARD_NEAR 12u /* log2 of the values that near levels stay within; at most four levels are far */

/* Defines the transform in plain C, as the reference. name_levels does the levels of the strides from span / 2 down to
 * `stop`, for n values. A pass over the values does two levels, the one of the smaller stride first. */
#define DTCI_HADAMARD_REFERENCE(name, type)                                                          \
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

DTCI_HADAMARD_REFERENCE(dtci_hadamard_reference, float)
DTCI_HADAMARD_REFERENCE(dtci_hadamard_integer_reference, uint32_t)

/* The transform with vectors does the same operations in fewer passes: a pass does up to four levels on 16 vectors,
 * which stay in registers. */
#if defined(DTCI_VECTORS)
#define DTCI_HADAMARD_TILE 32u /* columns that name_far_16 processes at a time */

/* Do a level whose stride is less than a vector: *x = swapped + *x, with the signs of *x changed where `negative` has
 * ones. `swapped` is *x with the two values of each pair exchanged. */
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
    /* levels of strides 4, 8, 1, 2 */                                          \
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
    /* levels of strides 2, 4, 1 */                                             \
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

/* Defines the transform with vectors. INLINE and FN declare its functions, `type` is that of the values, and `words` is
 * the type of vectors of uint32_t. LANES is DTCI_HADAMARD_LANES_4 or _8, by the number of values of a vector, and LEVEL
 * is DTCI_HADAMARD_FLOAT or _INTEGER. Transforms of fewer than 8 values are left to `reference`. */
#define DTCI_HADAMARD_VECTORS(name, reference, INLINE, FN, type, vector, words, LANES, LEVEL)                      \
    INLINE vector *name##_at(type *p) {                                                                            \
        return (vector *)p;                                                                                        \
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
    /* levels of strides h and 2 h */                                                                              \
    INLINE void name##_pass_4(type *to, size_t to_h, type *from, size_t h) {                                       \
        vector x[4];                                                                                               \
        name##_load(x, 1, from, h);                                                                                \
        name##_store(to, to_h, x);                                                                                 \
    }                                                                                                              \
    /* levels of strides 4 h, 8 h, h and 2 h */                                                                    \
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
    FN void name##_levels(type *x, size_t n, size_t stop, size_t span) {                                           \
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
    /* Does the four far levels of the largest size. Its 16 rows share the same few sets of the cache, since they  \
     * are 16 KiB apart. So four rows at a time are read or written, and `rows` holds a tile in between. */        \
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

DTCI_HADAMARD_VECTORS(dtci_hadamard_vectors, dtci_hadamard_reference, DTCI_INLINE, DTCI_KERNEL, float, dtci_f4, dtci_u4,
                      DTCI_HADAMARD_LANES_4, DTCI_HADAMARD_FLOAT)
DTCI_HADAMARD_VECTORS(dtci_hadamard_integer_vectors, dtci_hadamard_integer_reference, DTCI_INLINE, DTCI_KERNEL,
                      uint32_t, dtci_u4, dtci_u4, DTCI_HADAMARD_LANES_4, DTCI_HADAMARD_INTEGER)
#if defined(DTCI_AVX2)
DTCI_HADAMARD_VECTORS(dtci_hadamard_avx2, dtci_hadamard_reference, DTCI_AVX2_INLINE, DTCI_AVX2, float, dtci_f8, dtci_u8,
                      DTCI_HADAMARD_LANES_8, DTCI_HADAMARD_FLOAT)
DTCI_HADAMARD_VECTORS(dtci_hadamard_integer_avx2, dtci_hadamard_integer_reference, DTCI_AVX2_INLINE, DTCI_AVX2,
                      uint32_t, dtci_u8, dtci_u8, DTCI_HADAMARD_LANES_8, DTCI_HADAMARD_INTEGER)
#endif
#endif

#if defined(DTCI_VECTORS) && defined(DTCI_AVX2)
#define DTCI_HADAMARD_PASS(name, pass) (DTCI_CPU_HAS("avx2") ? name##_avx2_##pass : name##_vectors_##pass)
#elif defined(DTCI_VECTORS)
#define DTCI_HADAMARD_PASS(name, pass) name##_vectors_##pass
#else
#define DTCI_HADAMARD_PASS(name, pass) name##_reference_##pass
#endif

/* Defines the transform of x[0..2^log2_n). name_far does its far levels. name_near does all levels of an array that has
 * no far levels. `name` itself does both. */
#define DTCI_HADAMARD(name, type)                                                                                 \
    DTCI_FN void name##_far(type *x, unsigned log2_n) {                                                           \
        DTCI_HADAMARD_PASS(name, far)(x, log2_n);                                                                 \
    }                                                                                                             \
    DTCI_FN void name##_near(type *x, unsigned log2_n) {                                                          \
        DTCI_HADAMARD_PASS(name, near)(x, log2_n);                                                                \
    }                                                                                                             \
    DTCI_FN void name(type *x, unsigned log2_n) {                                                                 \
        unsigned log2_part = log2_n < DTCI_HADAMARD_NEAR ? log2_n : DTCI_HADAMARD_NEAR;                           \
        size_t first;                                                                                             \
        name##_far(x, log2_n);                                                                                    \
        for (first = 0; first >> log2_n == 0; first += (size_t)1 << log2_part) name##_near(x + first, log2_part); \
    }

DTCI_HADAMARD(dtci_hadamard, float)
DTCI_HADAMARD(dtci_hadamard_integer, uint32_t)

/* Returns the signs of values first .. first + 31, where first is a multiple of 32. Bit i is set if the sign of value
 * first + i is -1. */
DTCI_FN uint32_t dtci_signs_32(const dtci_random *random, size_t first) {
    return dtci_random_at(random, 0x80000000u + (uint32_t)(first / 32)); /* rounding has the numbers below 2^31 */
}

/* Sets to[i], i < 32, to all ones if bit i of `bits` is set, else to 0. */
DTCI_FN void dtci_masks_from_bits(uint32_t *to, uint32_t bits) {
    size_t i;
#if defined(DTCI_VECTORS)
    dtci_u4 bit = {1, 2, 4, 8};
    for (i = 0; i < 32; i += 4) {
        *(dtci_u4 *)(to + i) = (dtci_u4)((bit & bits) == bit);
        bit <<= 4;
    }
#else
    for (i = 0; i < 32; i++) to[i] = 0u - (bits >> i & 1);
#endif
}

/* Sets negative[i], i < n, to all ones if the sign of value first + i is -1, else to 0. first and n may be any. */
DTCI_SHARED void dtci_sign_masks(uint32_t *negative, const dtci_random *random, size_t first, size_t n) {
    size_t at = first % 32, i;
    uint64_t bits = dtci_signs_32(random, first - at);
    for (i = 0; i < n; i += 32) {
        uint32_t word;
        bits |= (uint64_t)dtci_signs_32(random, first - at + i + 32) << 32;
        word = (uint32_t)(bits >> at & 0xffffffffu);
        bits >>= 32;
        if (n - i >= 32) {
            dtci_masks_from_bits(negative + i, word);
        } else {
            uint32_t last[32];
            dtci_masks_from_bits(last, word);
            memcpy(negative + i, last, 4 * (n - i));
        }
    }
}

/* Returns log2 of the size of the next part, if `left` > 0 values of an array are left (see PARTS in the wire format).
 * The size is the largest power of two that is not above `left` or 2^DTCI_HADAMARD_MAX. */
DTCI_FN unsigned dtci_hadamard_log2(size_t left) {
    return left >> DTCI_HADAMARD_MAX ? DTCI_HADAMARD_MAX : dtci_bit_width((uint32_t)left) - 1;
}

/* --------------------------------------------------------------------------------------------------------------------
 * raw: the values themselves, as fp32, or rounded to bf16 or fp16 (nearest, ties to even; finite stays finite)
 * ------------------------------------------------------------------------------------------------------------------*/

/* --- Options --- */

static const dtci_key dtci_raw_keys[] = {
    {"type", "fp32|bf16|fp16", DTCI_KEY_WORD, DTCI_FIELD(raw.type), 0, 0, 0, 0},
};

DTCI_FN dtc_status dtci_raw_check_spec(const dtc_spec *spec) {
    return (unsigned)spec->raw.type > DTC_TYPE_FP16 ? DTC_ERROR_SPEC : DTC_OK;
}

DTCI_FN void dtci_raw_begin(dtci_head *head, const dtc_spec *spec) {
    head->variant = (uint32_t)spec->raw.type;
}

/* --- Values to payload and back --- */

DTCI_FN size_t dtci_raw_bytes(size_t count, uint32_t type) {
    return type == DTC_TYPE_FP32 ? 4 * count : 2 * count;
}

/* Returns condition ? a : b. The condition is 0 or 1. Compilers may make a branch of the operator ?:, and a loop with a
 * branch does not become SIMD code. */
DTCI_INLINE uint32_t dtci_select(int condition, uint32_t a, uint32_t b) {
    uint32_t mask = 0u - (uint32_t)condition;
    return (a & mask) | (b & ~mask);
}

/* Returns the bits of x rounded to bf16: to nearest, ties to even. A finite value stays finite, and NaN stays NaN. */
DTCI_INLINE uint32_t dtci_bf16_from_float(float x) {
    uint32_t bits = dtci_float_bits(x), cut = bits >> 16, rounded = bits + 0x7fffu + (cut & 1);
    uint32_t nan = (bits & 0x7fffffffu) > 0x7f800000u, lost = (bits & 0x7f0000u) == 0;
    uint32_t stays = ((bits & 0x7f800000u) == 0x7f800000u) | ((rounded & 0x7f800000u) == 0x7f800000u);
    return dtci_select((int)stays, cut | (nan & lost), rounded >> 16); /* a finite value is not rounded to infinity */
}

DTCI_INLINE float dtci_bf16_to_float(uint32_t half) {
    return dtci_bits_float(half << 16);
}

/* Returns the bits of x rounded to fp16: to nearest, ties to even. A finite value stays finite, and NaN stays NaN. */
DTCI_INLINE uint32_t dtci_fp16_round(float x) {
    uint32_t bits = dtci_float_bits(x), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
    uint32_t nan = magnitude > 0x7f800000u, cut = magnitude >> 13 & 0x3ffu, lost = cut == 0;
    uint32_t normal = (magnitude - 0x38000000u + 0xfffu + (magnitude >> 13 & 1)) >> 13;
    /* from 1/2 to 1 the last bit of a float is 2^-24, as in a subnormal fp16: the addition rounds to that bit */
    uint32_t half = dtci_float_bits((float)(dtci_bits_float(magnitude) + 0.5f)) - 0x3f000000u;
    half = dtci_select(magnitude < 0x38800000u, half, normal);
    half = dtci_select(magnitude < 0x477fe000u, half, 0x7bffu); /* the largest fp16 is 65504 */
    half = dtci_select(magnitude < 0x7f800000u, half, 0x7c00u | cut | (nan & lost));
    return sign | half;
}

/* Does what dtci_fp16_round does, outside vector loops: the code is long. */
DTCI_SHARED uint32_t dtci_fp16_from_float(float x) {
    return dtci_fp16_round(x);
}

DTCI_INLINE float dtci_fp16_to_float(uint32_t half) {
    uint32_t sign = (half & 0x8000u) << 16, magnitude = half & 0x7fffu, bits = (magnitude << 13) + 0x38000000u;
    uint32_t subnormal = dtci_float_bits((float)(int32_t)magnitude * (1.0f / 16777216));
    bits = dtci_select(magnitude < 0x400u, subnormal, bits);
    bits = dtci_select(magnitude < 0x7c00u, bits, bits + 0x38000000u);
    return dtci_bits_float(sign | bits);
}

/* Returns the smallest magnitude, as the bits of a float, that is infinity when it is rounded to a type. */
DTCI_FN uint32_t dtci_raw_limit(uint32_t type) {
    return type == DTC_TYPE_FP32 ? 0x7f800000u : type == DTC_TYPE_BF16 ? 0x7f7f8000u : 0x477ff000u;
}

/* Unpacks n values to fp32. */
DTCI_INLINE void dtci_raw_unpack_as(char *DTCI_RESTRICT to, const unsigned char *from, uint32_t type, size_t n) {
    size_t i;
    for (i = 0; i < n; i++) {
        float x = type == DTC_TYPE_FP32   ? dtci_get_float(from + 4 * i)
                  : type == DTC_TYPE_BF16 ? dtci_bf16_to_float(dtci_get16(from + 2 * i))
                                          : dtci_fp16_to_float(dtci_get16(from + 2 * i));
        memcpy(to + 4 * i, &x, 4);
    }
}

/* Unpacks values first .. first + n - 1 of a payload to fp32, n <= DTCI_CHUNK. */
DTCI_INLINE void dtci_raw_unpack_body(char *DTCI_RESTRICT to, const unsigned char *payload, uint32_t type, size_t first,
                                      size_t n) {
    const unsigned char *from = payload + dtci_raw_bytes(first, type);
    if (n < DTCI_CHUNK)
        dtci_raw_unpack_as(to, from, type, n);
    else if (type == DTC_TYPE_FP32)
        dtci_raw_unpack_as(to, from, DTC_TYPE_FP32, DTCI_CHUNK);
    else if (type == DTC_TYPE_BF16)
        dtci_raw_unpack_as(to, from, DTC_TYPE_BF16, DTCI_CHUNK);
    else
        dtci_raw_unpack_as(to, from, DTC_TYPE_FP16, DTCI_CHUNK);
}

DTCI_TWIN(dtci_raw_unpack,
          (char *DTCI_RESTRICT to, const unsigned char *payload, uint32_t type, size_t first, size_t n),
          (to, payload, type, first, n))

DTCI_INLINE void dtci_raw_pack_fp16(unsigned char *DTCI_RESTRICT to, const char *values, size_t n) {
    size_t i;
    for (; n >= DTCI_STRIP; n -= DTCI_STRIP, to += 2 * DTCI_STRIP, values += 4 * DTCI_STRIP)
        for (i = 0; i < DTCI_STRIP; i++) dtci_put16(to + 2 * i, dtci_fp16_round(dtci_float_at(values, i)));
    for (i = 0; i < n; i++) dtci_put16(to + 2 * i, dtci_fp16_from_float(dtci_float_at(values, i)));
}

/* Rounds n values to `type` and packs them. */
DTCI_INLINE void dtci_raw_pack_body(unsigned char *DTCI_RESTRICT payload, const char *values, uint32_t type,
                                    size_t first, size_t n) {
    unsigned char *to = payload + dtci_raw_bytes(first, type);
    if (type == DTC_TYPE_FP32)
        DTCI_EACH(i, n, dtci_put_float(to + 4 * i, dtci_float_at(values, i)));
    else if (type == DTC_TYPE_BF16)
        DTCI_EACH(i, n, dtci_put16(to + 2 * i, dtci_bf16_from_float(dtci_float_at(values, i))));
    else
        dtci_raw_pack_fp16(to, values, n);
}

DTCI_TWIN(dtci_raw_pack,
          (unsigned char *DTCI_RESTRICT payload, const char *values, uint32_t type, size_t first, size_t n),
          (payload, values, type, first, n))

/* --- Decode --- */

DTCI_FN dtc_status dtci_raw_decode(const dtci_packet *packet, const dtci_sink *sink, const dtc_decode_options *options,
                                   dtci_arena *arena) {
    uint32_t type = packet->head.variant;
    size_t count = packet->head.count, first, n;
    float chunk[DTCI_CHUNK];
    (void)options;
    (void)arena;
    if (count && type == DTC_TYPE_FP32 && sink->kind == DTCI_SINK_STORE && dtci_little_endian()) {
        memcpy((char *)sink->values, packet->payload, 4 * count);
        return DTC_OK;
    }
    for (first = 0; first < count; first += n) {
        n = count - first < DTCI_CHUNK ? count - first : DTCI_CHUNK;
        dtci_raw_unpack(dtci_sink_place(chunk, sink, first), packet->payload, type, first, n);
        dtci_sink_finish(sink, first, chunk, n);
    }
    return DTC_OK;
}

/* --- Encoder --- */

DTCI_SHARED dtc_status dtci_raw_encode(dtci_encoding *e) {
    uint32_t type = e->head.variant;
    size_t count = e->head.count, first, n;
    dtci_opened opened;
    float chunk[DTCI_CHUNK];
    e->bytes = dtci_raw_bytes(count, type);
    if (e->residual && !dtci_scan(&e->source, 0, count).finite) return DTC_ERROR_NONFINITE;
    if (e->capacity < e->bytes) return DTC_ERROR_CAPACITY;
    if (count && type == DTC_TYPE_FP32 && !e->source.residual && dtci_little_endian()) {
        memcpy(e->payload, (const char *)e->source.values, e->bytes);
    } else {
        for (first = 0; first < count; first += n) {
            n = count - first < DTCI_CHUNK ? count - first : DTCI_CHUNK;
            dtci_raw_pack(e->payload, dtci_view(chunk, &e->source, first, n), type, first, n);
        }
    }
    if (!e->residual) return DTC_OK;
    return dtci_raw_decode(dtci_encoding_packet(&opened, e), e->residual, NULL, NULL);
}

DTCI_FN size_t dtci_raw_scratch(const dtc_spec *spec, size_t count) {
    (void)spec;
    (void)count;
    return 0;
}

/* --- Packet: check, open, describe --- */

DTCI_FN dtc_status dtci_raw_check(dtci_packet *packet) {
    const dtci_head *head = &packet->head;
    packet->scratch = 0;
    if (head->variant > DTC_TYPE_FP16 || head->block || head->seed) return DTC_ERROR_HEAD;
    return packet->payload_bytes == dtci_raw_bytes(head->count, head->variant) ? DTC_OK : DTC_ERROR_SIZE;
}

/* Every payload is valid, because raw also carries NaN and infinity. */
DTCI_FN dtc_status dtci_raw_open(dtci_packet *packet, dtci_arena *arena, unsigned skip) {
    (void)packet;
    (void)arena;
    (void)skip;
    return DTC_OK;
}

DTCI_COLD void dtci_raw_describe(const dtci_packet *packet, dtc_spec *spec) {
    spec->raw.type = (dtc_type)packet->head.variant;
}

/* Tells whether no value of the payload is NaN or infinite, as nested packets require. */
DTCI_FN int dtci_raw_finite(const dtci_packet *packet) {
    size_t count = packet->head.count, first, n, i;
    uint32_t exponents = 0;
    for (first = 0; first < count; first += n) {
        float chunk[DTCI_CHUNK];
        n = count - first < DTCI_CHUNK ? count - first : DTCI_CHUNK;
        dtci_raw_unpack((char *)chunk, packet->payload, packet->head.variant, first, n);
        for (i = 0; i < n; i++) exponents |= (dtci_float_bits(chunk[i]) & 0x7fffffffu) + 0x00800000u;
    }
    return !(exponents >> 31);
}

/* --- Sums --- */

DTCI_COLD dtc_status dtci_raw_plan_add(dtci_addition *sum) {
    sum->bound = dtci_raw_bytes(sum->head.count, sum->head.variant);
    sum->scratch = 0;
    return sum->a->head.variant == sum->b->head.variant ? DTC_OK : DTC_ERROR_INCOMPATIBLE_PACKING;
}

/* x[i] := x[i] + y[i] or, if y is NULL, x[i] * weight. Returns 1 if finite terms have a result that is infinite when it
 * is rounded to `type`. */
DTCI_SHARED int dtci_raw_combine(float *x, const float *y, float weight, uint32_t type, size_t n) {
    uint32_t limit = dtci_raw_limit(type), lost = 0;
    size_t i;
    for (i = 0; i < n; i++) {
        uint32_t terms = dtci_float_bits(x[i]) & 0x7fffffffu, other = y ? dtci_float_bits(y[i]) & 0x7fffffffu : 0;
        float result = y ? x[i] + y[i] : x[i] * weight;
        lost |= (uint32_t)(((dtci_float_bits(result) & 0x7fffffffu) >= limit) & (terms < 0x7f800000u) &
                           (other < 0x7f800000u));
        x[i] = result;
    }
    return lost != 0;
}

/* The sums are rounded to the type of the packets. Returns DTC_ERROR_NONFINITE if a sum of finite values is infinite in
 * that type. */
DTCI_FN dtc_status dtci_raw_add(dtci_addition *sum) {
    uint32_t type = sum->head.variant;
    size_t count = sum->head.count, first, n;
    sum->bytes = sum->bound;
    if (sum->capacity < sum->bytes) return DTC_ERROR_CAPACITY;
    for (first = 0; first < count; first += n) {
        float x[DTCI_CHUNK], y[DTCI_CHUNK];
        n = count - first < DTCI_CHUNK ? count - first : DTCI_CHUNK;
        dtci_raw_unpack((char *)x, sum->a->payload, type, first, n);
        dtci_raw_unpack((char *)y, sum->b->payload, type, first, n);
        if (dtci_raw_combine(x, y, 0, type, n)) return DTC_ERROR_NONFINITE;
        dtci_raw_pack(sum->payload, (const char *)x, type, first, n);
    }
    return DTC_OK;
}

/* --- Multiples --- */

DTCI_FN dtc_status dtci_raw_scale(const dtci_packet *packet, unsigned char *payload, float weight) {
    uint32_t type = packet->head.variant;
    size_t count = packet->head.count, first, n;
    int write;
    for (write = 0; write < 2; write++) { /* the first turn only checks, so that a failure changes nothing */
        for (first = 0; first < count; first += n) {
            float x[DTCI_CHUNK];
            n = count - first < DTCI_CHUNK ? count - first : DTCI_CHUNK;
            dtci_raw_unpack((char *)x, payload, type, first, n);
            if (dtci_raw_combine(x, NULL, weight, type, n)) return DTC_ERROR_NONFINITE;
            if (write) dtci_raw_pack(payload, (const char *)x, type, first, n);
        }
    }
    return DTC_OK;
}

/* --- Row --- */

static const dtci_codec dtci_raw_codec = {DTC_RAW,
                                          "raw",
                                          dtci_raw_keys,
                                          sizeof dtci_raw_keys / sizeof *dtci_raw_keys,
                                          dtci_raw_check_spec,
                                          dtci_raw_begin,
                                          NULL,
                                          NULL,
                                          dtci_raw_scratch,
                                          dtci_raw_scratch,
                                          dtci_raw_encode,
                                          dtci_raw_check,
                                          dtci_raw_open,
                                          dtci_raw_describe,
                                          dtci_raw_decode,
                                          dtci_raw_plan_add,
                                          dtci_raw_add,
                                          dtci_raw_scale,
                                          NULL};

/* --------------------------------------------------------------------------------------------------------------------
 * ternary: TernGrad (Wen et al., NeurIPS 2017, section 3): g~ = s * sign(g) * b, b ~ Bernoulli(|g| / s), s = max |g|
 * after clipping at clip * sigma. Here sigma is the root mean square, because the standard deviation of a constant
 * tensor is 0 and would clip all values to 0.
 *
 * A trit is -1, 0 or 1. The digit of a value is its trit plus one. The digit of a sum is the sum of the digits of its
 * terms, 0..2 * terms. The wire format defines the payload of each variant (TERNARY, at the top of this file).
 * ------------------------------------------------------------------------------------------------------------------*/

#ifndef DTC_NO_TERNARY

/* The variants of a packet, which tell how its digits are packed. */
#define DTCI_TERNARY_BASE3   0u     /* one byte for five digits of one term */
#define DTCI_TERNARY_TOKENS  1u     /* the bytes of DTCI_TERNARY_BASE3, coded as TOKENS */
#define DTCI_TERNARY_FIELDS  2u     /* fixed-width packing: FIELDS, which have room for the digits of a sum */
#define DTCI_TERNARY_ZERO    3u     /* nothing: every digit is `terms`, which decodes to 0 */
#define DTCI_TERNARY_DIGITS  4u     /* bins of digits of several terms, coded as TOKENS */
#define DTCI_TERNARY_WIDE    5u     /* FIELDS, because TOKENS would not be smaller */
#define DTCI_TERNARY_WORKERS 32767u /* most workers: no digit of a sum then has more than 16 bits */
#define DTCI_TERNARY_CHUNK   1280u  /* digits that are packed at a time; a multiple of DTCI_TRITS and DTCI_GROUP */
#define DTCI_TERNARY_ROOM    1288u  /* elements of an array for a chunk of digits and those that fill up its last bin */
#define DTCI_TRITS           160u   /* digits of a group of 32 bytes of five digits */
#define DTCI_TERNARY_FAR     12.0   /* root mean squares beyond which a value is sent apart */
#define DTCI_TERNARY_CODED   8u     /* bytes of what CODED scales begin with */

/* --- Options --- */

static const dtci_key dtci_ternary_keys[] = {
    {"clip", "", DTCI_KEY_FLOAT, DTCI_FIELD(ternary.clip), 0, DTCI_FLOAT_MAX, 0, 0},
    {"scale", "auto", DTCI_KEY_FLOAT, DTCI_FIELD(ternary.scale), 0, DTCI_FLOAT_MAX, 0, 0},
    {"pack", "huffman|base3", DTCI_KEY_WORD, DTCI_FIELD(ternary.pack), 0, 0, 0, 0},
};

DTCI_COLD dtc_status dtci_ternary_check_spec(const dtc_spec *spec) {
    if (!dtci_finite(spec->ternary.clip) || spec->ternary.clip < 0 || !dtci_finite(spec->ternary.scale) ||
        spec->ternary.scale < 0 || (unsigned)spec->ternary.pack > DTC_PACK_BASE3 ||
        spec->workers > DTCI_TERNARY_WORKERS)
        return DTC_ERROR_SPEC;
    return DTC_OK;
}

/* Returns the magnitude at which values are clipped, in root mean squares. */
DTCI_FN double dtci_ternary_clip(const dtc_spec *spec) {
    return spec->ternary.clip > 0 ? (double)spec->ternary.clip : 2.5;
}

DTCI_COLD float dtci_ternary_range(const dtc_spec *spec, const dtci_stats *stats, size_t count, int agreed) {
    float reach = dtci_stats_reach(stats),
          bound = dtci_float_up(dtci_ternary_clip(spec) * dtci_stats_sigma(stats, count));
    if (!agreed && (spec->ternary.scale > 0 || spec->workers > 1)) return 0;
    return bound < reach ? bound : reach;
}

DTCI_COLD void dtci_ternary_set_range(dtc_spec *spec, float range) {
    spec->ternary.scale = range;
}

/* Returns whether the scales of blocks may be CODED: where entropy coding is allowed, and neither sums nor agreed
 * scales need them as they are. */
DTCI_FN int dtci_ternary_may_code(const dtc_spec *spec) {
    return spec->block && spec->workers <= 1 && spec->ternary.pack == DTC_PACK_HUFFMAN && !(spec->ternary.scale > 0);
}

/* Returns whether a packet may have outliers: where its size may depend on the values, and neither sums nor a scale or
 * a clip that is given exclude them. With a residual, the digits are those of the largest values anyway. */
DTCI_FN int dtci_ternary_may_outlie(const dtci_encoding *e) {
    const dtc_spec *spec = e->spec;
    return !e->head.block && !e->residual && spec->workers <= 1 && spec->ternary.pack == DTC_PACK_HUFFMAN &&
           !(spec->ternary.scale > 0) && !(spec->ternary.clip > 0);
}

/* --- Digits --- */

/* Returns the bits of a digit in FIELDS. */
DTCI_FN unsigned dtci_ternary_field_bits(const dtci_head *head) {
    return dtci_bit_width(2 * head->workers);
}

/* Returns the bytes of the digits. For a variant with TOKENS the result is the size without them, and the tokens must
 * be smaller than that. */
DTCI_FN size_t dtci_ternary_digit_bytes(const dtci_head *head) {
    if (head->variant == DTCI_TERNARY_ZERO) return 0;
    if (head->variant <= DTCI_TERNARY_TOKENS) return dtci_ceil_div(head->count, 5);
    return dtci_fields_bytes(head->count, dtci_ternary_field_bits(head));
}

/* Returns the number of floats that the payload begins with: the scales, or the largest one of CODED scales. */
DTCI_FN size_t dtci_ternary_scale_count(const dtci_head *head) {
    return head->features & DTCI_CODED ? 1 : dtci_blocks(head);
}

/* Returns the bytes of scales and outliers in the payload, which is where the digits begin, or a number above the bytes
 * of the payload if that is too short. */
DTCI_SHARED uint64_t dtci_ternary_digits_at(const dtci_packet *packet) {
    uint64_t at = 4 * (uint64_t)dtci_ternary_scale_count(&packet->head), size = packet->payload_bytes;
    if (packet->head.features & DTCI_CODED)
        return size < DTCI_TERNARY_CODED ? DTCI_TERNARY_CODED
                                         : DTCI_TERNARY_CODED + (uint64_t)dtci_get32(packet->payload + 4);
    return packet->head.features ? dtci_outliers_end(packet->payload, at, size, packet->head.count) : at;
}

/* Returns the digit of a value with these bits: 0 .. 2 for -1, 0 and 1. */
DTCI_INLINE uint32_t dtci_trit(uint32_t bits, uint32_t nonzero) {
    return 1 + nonzero - 2 * (nonzero & bits >> 31);
}

/* Draws the digits of values[0..n), which are values first .. first + n - 1 of the packet. A trit is not 0 with a
 * probability of |value| * chance / 2^24. */
DTCI_SHARED void dtci_trits_draw_exactly(uint32_t *digits, const char *values, double chance, const dtci_random *random,
                                         size_t first, size_t n) {
    size_t i;
    for (i = 0; i < n; i++) {
        uint32_t bits = dtci_float_bits(dtci_float_at(values, i));
        uint32_t draw = dtci_random_at(random, (uint32_t)(first + i)) >> 8;
        digits[i] = dtci_trit(bits, (double)(int32_t)draw < (double)dtci_bits_float(bits & 0x7fffffffu) * chance);
    }
}

/* Does what dtci_trits_draw_exactly does, in fp32, which moves the probability times 2^24 by less than 3. Where a draw
 * comes nearer than 5, *close becomes nonzero, and the digits may be wrong. n is a multiple of DTCI_STRIP. */
DTCI_INLINE void dtci_trits_draw_body(uint32_t *DTCI_RESTRICT digits, uint32_t *close, const char *values, float chance,
                                      const dtci_random *random, size_t first, size_t n) {
    const dtci_random own = *random;
    uint32_t weyl = dtci_random_weyl(&own, (uint32_t)first), any = 0;
    size_t i;
    for (; n; n -= DTCI_STRIP, values += 4 * DTCI_STRIP, digits += DTCI_STRIP) {
        for (i = 0; i < DTCI_STRIP; i++) {
            uint32_t bits = dtci_float_bits(dtci_float_at(values, i)), above;
            int32_t draw = (int32_t)(dtci_random_hash(&own, weyl) >> 8);
            above = dtci_float_bits((float)draw - dtci_bits_float(bits & 0x7fffffffu) * chance);
            digits[i] = dtci_trit(bits, above >> 31);
            any |= (int32_t)(above & 0x7fffffffu) < 0x40a00000; /* the bits of 5.0f */
            weyl += DTCI_WEYL;
        }
    }
    *close |= any;
}

DTCI_TWIN(dtci_trits_draw,
          (uint32_t * DTCI_RESTRICT digits, uint32_t *close, const char *values, float chance,
           const dtci_random *random, size_t first, size_t n),
          (digits, close, values, chance, random, first, n))

/* Draws digits as dtci_trits_draw_exactly does: in vectors, and again where a draw was close. */
DTCI_FN void dtci_trits_draw_all(uint32_t *digits, const char *values, float scale, const dtci_random *random,
                                 size_t first, size_t n) {
    double chance = scale > 0 ? 16777216.0 / (double)scale : 0.0;
    size_t whole = chance < 1e38 ? n - n % DTCI_STRIP : 0; /* a larger one may be infinite in fp32 */
    uint32_t close = 0;
    if (whole) dtci_trits_draw(digits, &close, values, (float)chance, random, first, whole);
    if (close) whole = 0;
    dtci_trits_draw_exactly(digits + whole, values + 4 * whole, chance, random, first + whole, n - whole);
}

/* What a scale is fitted to: the values of a block whose digits are not 0, and the block. */
typedef struct dtci_trits_fit {
    double sum; /* of the magnitudes of these values */
    double nonzeros;
    double squares; /* of all values of the block */
} dtci_trits_fit;

/* Rounds the value with these bits to a digit, which is not 0 if the magnitude is above the float whose bits are
 * `limit`. *kept is the magnitude if the digit is not 0, else 0. */
DTCI_INLINE uint32_t dtci_trit_round(float *kept, uint32_t bits, uint32_t limit) {
    uint32_t magnitude = bits & 0x7fffffffu, nonzero = (int32_t)magnitude > (int32_t)limit;
    *kept = dtci_bits_float(magnitude & (0 - nonzero));
    return dtci_trit(bits, nonzero);
}

/* Rounds values[0..n), n <= DTCI_CHUNK, to digits, and adds them to *fit. The sum has parts, so that the compiler can
 * use vectors, whose width does not change the result. */
DTCI_INLINE void dtci_trits_round_body(uint32_t *DTCI_RESTRICT digits, dtci_trits_fit *fit, const char *values,
                                       uint32_t limit, size_t n) {
    double sums[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    uint32_t zeros = 0;
    float kept[DTCI_CHUNK];
    size_t k, j;
    DTCI_EACH(i, n, digits[i] = dtci_trit_round(kept + i, dtci_float_bits(dtci_float_at(values, i)), limit));
    DTCI_EACH(i, n, zeros += digits[i] & 1);
    for (k = 0; k + 8 <= n; k += 8)
        for (j = 0; j < 8; j++) sums[j] += (double)kept[k + j];
    for (; k < n; k++) sums[k & 7] += (double)kept[k];
    for (j = 0; j < 8; j++) fit->sum += sums[j];
    fit->nonzeros += (double)(n - zeros);
}

DTCI_TWIN(dtci_trits_round,
          (uint32_t * DTCI_RESTRICT digits, dtci_trits_fit *fit, const char *values, uint32_t limit, size_t n),
          (digits, fit, values, limit, n))

/* Packs groups of DTCI_TRITS digits of one term, five to a bin (BYTES OF FIVE DIGITS in the wire format). */
DTCI_INLINE void dtci_trits_pack_groups_body(uint16_t *DTCI_RESTRICT bins, const uint32_t *d, size_t groups) {
    size_t j;
    for (; groups; groups--, d += DTCI_TRITS, bins += DTCI_TRITS / 5)
        for (j = 0; j < DTCI_TRITS / 5; j++)
            bins[j] = (uint16_t)(d[j] + 3 * (d[32 + j] + 3 * (d[64 + j] + 3 * (d[96 + j] + 3 * d[128 + j]))));
}

DTCI_TWIN(dtci_trits_pack_groups, (uint16_t * DTCI_RESTRICT bins, const uint32_t *d, size_t groups), (bins, d, groups))

/* Unpacks groups of DTCI_TRITS digits from bins of five, in 16 bits, where vectors have twice the elements. */
DTCI_INLINE void dtci_trits_unpack_groups_body(uint32_t *DTCI_RESTRICT digits, const uint16_t *bins, size_t groups) {
    size_t j;
    for (; groups; groups--, digits += DTCI_TRITS, bins += DTCI_TRITS / 5) {
        for (j = 0; j < DTCI_TRITS / 5; j++) {
            const uint16_t a = bins[j], b = (uint16_t)(a / 3), c = (uint16_t)(b / 3), d = (uint16_t)(c / 3);
            const uint16_t e = (uint16_t)(d / 3);
            digits[j] = (uint16_t)(a - 3 * b);
            digits[32 + j] = (uint16_t)(b - 3 * c);
            digits[64 + j] = (uint16_t)(c - 3 * d);
            digits[96 + j] = (uint16_t)(d - 3 * e);
            digits[128 + j] = e;
        }
    }
}

DTCI_TWIN(dtci_trits_unpack_groups, (uint32_t * DTCI_RESTRICT digits, const uint16_t *bins, size_t groups),
          (digits, bins, groups))

/* Copies n < DTCI_TRITS digits between their place and a whole group. A group has five columns of DTCI_TRITS / 5
 * digits, and the last digits of a packet have five shorter ones. */
DTCI_SHARED void dtci_trits_copy(uint32_t *to, size_t to_column, const uint32_t *from, size_t from_column, size_t n) {
    size_t column = to_column < from_column ? to_column : from_column;
    for (; n > column; n -= column, to += to_column, from += from_column) memcpy(to, from, 4 * column);
    memcpy(to, from, 4 * n);
}

/* Packs n <= DTCI_TERNARY_CHUNK digits. Digits after the last one count as zeros. */
DTCI_FN void dtci_trits_pack(uint16_t *bins, const uint32_t *digits, size_t n) {
    uint32_t group[DTCI_TRITS];
    uint16_t packed[DTCI_TRITS / 5];
    size_t groups = n / DTCI_TRITS, rest = n % DTCI_TRITS, column = dtci_ceil_div(rest, 5), j;
    dtci_trits_pack_groups(bins, digits, groups);
    if (!rest) return;
    for (j = 0; j < DTCI_TRITS; j++) group[j] = 1;
    dtci_trits_copy(group, DTCI_TRITS / 5, digits + n - rest, column, rest);
    dtci_trits_pack_groups(packed, group, 1);
    memcpy(bins + groups * (DTCI_TRITS / 5), packed, 2 * column);
}

/* Unpacks n <= DTCI_TERNARY_CHUNK digits. */
DTCI_SHARED void dtci_trits_unpack(uint32_t *digits, const uint16_t *bins, size_t n) {
    uint32_t group[DTCI_TRITS];
    uint16_t packed[DTCI_TRITS / 5];
    size_t groups = n / DTCI_TRITS, rest = n % DTCI_TRITS, column = dtci_ceil_div(rest, 5);
    dtci_trits_unpack_groups(digits, bins, groups);
    if (!rest) return;
    memset(packed, 0, sizeof packed);
    memcpy(packed, bins + groups * (DTCI_TRITS / 5), 2 * column);
    dtci_trits_unpack_groups(group, packed, 1);
    dtci_trits_copy(digits + n - rest, column, group, DTCI_TRITS / 5, rest);
}

/* Returns the number of digits of a bin. A bin has as many digits as keep it below 256, and one from eight terms on. */
DTCI_FN size_t dtci_digits_group(const dtci_head *head) {
    return head->terms > 7 ? 1 : head->terms > 2 ? 2 : head->terms > 1 ? 3 : 5;
}

/* Returns the number of bins of n digits, which are packed by chunks of DTCI_TERNARY_CHUNK. */
DTCI_SHARED size_t dtci_digits_bins(const dtci_head *head, size_t n) {
    size_t group = dtci_digits_group(head);
    return n / DTCI_TERNARY_CHUNK * dtci_ceil_div(DTCI_TERNARY_CHUNK, group) +
           dtci_ceil_div(n % DTCI_TERNARY_CHUNK, group);
}

/* Returns the bits of a bin of digits. */
DTCI_FN unsigned dtci_digits_bits(const dtci_head *head) {
    return head->terms > 7 ? dtci_ternary_field_bits(head) : 8;
}

/* Returns the largest valid bin of digits. */
DTCI_FN uint32_t dtci_digits_top(const dtci_head *head) {
    uint32_t base = 2 * head->terms + 1, top = base;
    size_t group;
    for (group = dtci_digits_group(head); group > 1; group--) top *= base;
    return top - 1;
}

/* bins[j] = digits[j] + base * digits[stride + j] + …, for j < stride. A bin has `group` digits. */
DTCI_INLINE void dtci_digits_join(uint16_t *DTCI_RESTRICT bins, const uint32_t *digits, uint32_t base, size_t group,
                                  size_t stride) {
    size_t j, k;
    for (j = 0; j < stride; j++) {
        uint32_t bin = 0;
        for (k = group; k-- > 0;) bin = base * bin + digits[k * stride + j];
        bins[j] = (uint16_t)bin;
    }
}

/* Splits `stride` bins into their digits. The parameters are those of dtci_digits_join. */
DTCI_INLINE void dtci_digits_split(uint32_t *DTCI_RESTRICT digits, const uint16_t *bins, uint32_t base, size_t group,
                                   size_t stride) {
    uint32_t inverse = (65535 + base) / base; /* the division is exact for bins below 256 */
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

/* Packs n <= DTCI_TERNARY_CHUNK digits of a sum, `group` of them to a bin. `digits` has DTCI_TERNARY_ROOM elements, and
 * those after the first n are the digit of 0. */
DTCI_INLINE void dtci_digits_pack_body(uint16_t *DTCI_RESTRICT bins, const uint32_t *digits, uint32_t base,
                                       size_t group, size_t n) {
    if (group == 3)
        dtci_digits_join(bins, digits, base, 3, dtci_ceil_div(n, 3));
    else if (group == 2)
        dtci_digits_join(bins, digits, base, 2, dtci_ceil_div(n, 2));
    else
        dtci_digits_join(bins, digits, base, 1, n);
}

DTCI_TWIN(dtci_digits_pack,
          (uint16_t * DTCI_RESTRICT bins, const uint32_t *digits, uint32_t base, size_t group, size_t n),
          (bins, digits, base, group, n))

/* Unpacks n <= DTCI_TERNARY_CHUNK digits of a sum. `digits` has DTCI_TERNARY_ROOM elements. */
DTCI_INLINE void dtci_digits_unpack_body(uint32_t *DTCI_RESTRICT digits, const uint16_t *bins, uint32_t base,
                                         size_t group, size_t n) {
    if (group == 3)
        dtci_digits_split(digits, bins, base, 3, dtci_ceil_div(n, 3));
    else if (group == 2)
        dtci_digits_split(digits, bins, base, 2, dtci_ceil_div(n, 2));
    else
        dtci_digits_split(digits, bins, base, 1, n);
}

DTCI_TWIN(dtci_digits_unpack,
          (uint32_t * DTCI_RESTRICT digits, const uint16_t *bins, uint32_t base, size_t group, size_t n),
          (digits, bins, base, group, n))

/* --- Decode --- */

/* Unpacks digits first .. first + n - 1 of an opened packet, n <= DTCI_TERNARY_CHUNK. first is a multiple of
 * DTCI_TERNARY_CHUNK, and `digits` has DTCI_TERNARY_ROOM elements. */
DTCI_FN void dtci_ternary_unpack(uint32_t *digits, const dtci_packet *packet, size_t first, size_t n) {
    const dtci_head *head = &packet->head;
    const unsigned char *from = packet->payload + (size_t)dtci_ternary_digits_at(packet);
    uint16_t bins[DTCI_TERNARY_CHUNK / 5];
    size_t i;
    switch (head->variant) {
    case DTCI_TERNARY_BASE3:
        dtci_bins_from_bytes(bins, from + first / 5, dtci_ceil_div(n, 5));
        dtci_trits_unpack(digits, bins, n);
        break;
    case DTCI_TERNARY_TOKENS:
        dtci_trits_unpack(digits, packet->bins + first / 5, n);
        break;
    case DTCI_TERNARY_ZERO:
        for (i = 0; i < n; i++) digits[i] = head->terms;
        break;
    case DTCI_TERNARY_DIGITS:
        dtci_digits_unpack(digits, packet->bins + dtci_digits_bins(head, first), 2 * head->terms + 1,
                           dtci_digits_group(head), n);
        break;
    default:
        for (i = 0; i < n; i += DTCI_GROUP)
            dtci_fields_unpack(digits + i, from, first + i, n - i < DTCI_GROUP ? n - i : DTCI_GROUP,
                               dtci_ternary_field_bits(head));
    }
}

/* Decodes n <= DTCI_CHUNK digits, which are those of values first .. first + n - 1, to floats at `to`. */
DTCI_FN void dtci_ternary_floats(char *to, const dtci_packet *packet, const uint32_t *digits, size_t first, size_t n) {
    const unsigned char *scales = packet->grids ? packet->grids : packet->payload;
    size_t block = dtci_block(&packet->head), at, stop;
    int32_t terms = (int32_t)packet->head.terms;
    for (at = 0; at < n; at = stop) {
        size_t b = (first + at) / block, end = (b + 1) * block - first;
        float scale = dtci_get_float(scales + 4 * b);
        stop = end < n ? end : n;
        if (131072 * fabs((double)scale) > (double)FLT_MAX) { /* any |digit - terms| is below 131072 */
            for (; at < stop; at++) {
                float x = dtci_to_float((double)((int32_t)digits[at] - terms) * (double)scale);
                memcpy(to + 4 * at, &x, 4);
            }
        } else {
            dtci_multiples(to + 4 * at, digits + at, scale, -terms, stop - at);
        }
    }
}

DTCI_FN dtc_status dtci_ternary_decode(const dtci_packet *packet, const dtci_sink *sink,
                                       const dtc_decode_options *options, dtci_arena *arena) {
    size_t count = packet->head.count, first, n, part, m, next = 0;
    uint32_t digits[DTCI_TERNARY_ROOM];
    float chunk[DTCI_CHUNK];
    dtci_outliers outliers;
    (void)options;
    (void)arena;
    outliers.n = 0;
    if (packet->head.features & DTCI_OUTLIERS) outliers = dtci_outliers_of(packet->payload + 4, count);
    for (first = 0; first < count; first += n) {
        n = count - first < DTCI_TERNARY_CHUNK ? count - first : DTCI_TERNARY_CHUNK;
        dtci_ternary_unpack(digits, packet, first, n);
        for (part = 0; part < n; part += m) {
            char *to;
            m = n - part < DTCI_CHUNK ? n - part : DTCI_CHUNK;
            to = dtci_sink_place(chunk, sink, first + part);
            dtci_ternary_floats(to, packet, digits + part, first + part, m);
            if (outliers.n) dtci_outliers_emit(to, &outliers, &next, first + part, m);
            dtci_sink_finish(sink, first + part, chunk, m);
        }
    }
    return DTC_OK;
}

/* --- Scratch --- */

DTCI_COLD size_t dtci_ternary_scratch(const dtc_spec *spec, size_t count) {
    size_t blocks = spec->block && spec->block < count ? dtci_ceil_div(count, spec->block) : 1;
    size_t bins = dtci_ceil_div(count, 5),
           scales = dtci_take_bytes(4 * blocks) + dtci_take_bytes(sizeof(dtci_trits_fit) * blocks);
    size_t coder = dtci_coder_scratch(bins, 8), codes;
    if (spec->ternary.pack == DTC_PACK_BASE3) return scales;
    scales += dtci_take_bytes(2 * bins);
    if (!dtci_ternary_may_code(spec)) return scales + coder;
    codes = dtci_take_bytes(2 * blocks) + dtci_coder_scratch(blocks, DTCI_CODE_BITS);
    return scales + dtci_take_bytes(4 * blocks) + (codes > coder ? codes : coder);
}

/* Sums may have as many bins as values. */
DTCI_COLD size_t dtci_ternary_read_scratch(const dtc_spec *spec, size_t count) {
    size_t blocks = spec->block && spec->block < count ? dtci_ceil_div(count, spec->block) : 1;
    if (spec->ternary.pack == DTC_PACK_BASE3) return 0;
    return dtci_bins_scratch(count) + dtci_take_bytes(4 * blocks);
}

/* --- Encoder --- */

/* What one encoding works with. */
typedef struct dtci_ternary_work {
    dtci_encoding *e;
    unsigned char *scales; /* 4 bytes a block: the scales that the decoder gets */
    unsigned char *coded;  /* the scales as CODED; NULL if they may not be coded */
    size_t scales_bytes;   /* bytes of the scales in the payload */
    uint16_t *bins;        /* bins of five digits; NULL with pack=base3 */
    dtci_trits_fit *fits;  /* one a block; NULL if the digits are drawn from the scales, which need no fit then */
    int may_outlie;        /* whether the packet may have outliers */
    size_t outliers;       /* number of outliers: values outside `range` */
    float range[2];
} dtci_ternary_work;

#define DTCI_CLASSES 1024u /* of magnitudes: quarters of an octave, which are the highest ten bits of a magnitude */

/* Scans values first .. first + n - 1 of a source as dtci_scan does, and adds the values of each class to counts. There
 * are two tables, because neighbours often share a class. */
DTCI_FN dtci_stats dtci_ternary_scan(uint32_t (*counts)[DTCI_CLASSES], const dtci_source *source, size_t first,
                                     size_t n) {
    dtci_stats stats = dtci_scan(source, first, 0);
    float chunk[DTCI_CHUNK];
    size_t at, m, i;
    for (at = 0; at < n; at += m) {
        const char *values;
        dtci_source viewed;
        dtci_stats part;
        m = n - at < DTCI_CHUNK ? n - at : DTCI_CHUNK;
        values = dtci_view(chunk, source, first + at, m);
        viewed = dtci_source_of((const float *)(const void *)values);
        part = dtci_scan(&viewed, 0, m);
        if (part.min < stats.min) stats.min = part.min;
        if (part.max > stats.max) stats.max = part.max;
        stats.squares += part.squares;
        stats.finite &= part.finite;
        for (i = 0; i + 2 <= m; i += 2) {
            counts[0][(dtci_float_bits(dtci_float_at(values, i)) & 0x7fffffffu) >> 21]++;
            counts[1][(dtci_float_bits(dtci_float_at(values, i + 1)) & 0x7fffffffu) >> 21]++;
        }
        if (i < m) counts[0][(dtci_float_bits(dtci_float_at(values, i)) & 0x7fffffffu) >> 21]++;
    }
    return stats;
}

/* Returns twice the magnitude above which digits shall not be 0, for n values whose classes have been counted. The
 * scale that fits k digits best leaves sum^2 / k less than |x|^2 (Li and Liu, Ternary weight networks, 2016, section
 * 2.2). The magnitude is that of the largest sum^2 / k^1.25: fewer digits leave little more, and cost less. `largest`
 * is the largest magnitude. The function sets the counts to 0 again. */
DTCI_FN double dtci_ternary_threshold(uint32_t (*counts)[DTCI_CLASSES], size_t n, float largest) {
    uint32_t top = dtci_float_bits(largest) >> 21, i;
    double threshold = 0, best = 0, sum = 0, number = 0;
    for (i = top + 1; i-- > 0 && n;) {
        uint32_t count = counts[0][i] + counts[1][i];
        counts[0][i] = counts[1][i] = 0;
        n -= count;
        if (!count || !i || top - i >= 63) continue;
        number += count;
        sum += count * (double)dtci_bits_float((i << 21) + (1u << 20)); /* the middle of the class */
        if (sum * sum > best * number * sqrt(sqrt(number))) {
            best = sum * sum / (number * sqrt(sqrt(number)));
            threshold = (double)dtci_bits_float(i << 21);
        }
    }
    return threshold > 0 ? 2 * threshold * (1 - 1e-6) : (double)largest; /* below, so that the class is included */
}

/* Makes the digits of values first .. first + n - 1, n <= DTCI_CHUNK. */
DTCI_FN void dtci_ternary_draw(uint32_t *digits, const dtci_ternary_work *w, const dtci_random *random, size_t first,
                               size_t n) {
    size_t block = dtci_block(&w->e->head), at, stop;
    float chunk[DTCI_CHUNK];
    const char *values = dtci_view(chunk, &w->e->source, first, n);
    for (at = 0; at < n; at = stop) {
        size_t b = (first + at) / block;
        float scale = dtci_get_float(w->scales + 4 * b);
        stop = (b + 1) * block - first < n ? (b + 1) * block - first : n;
        if (w->fits)
            dtci_trits_round(digits + at, w->fits + b, values + 4 * at,
                             dtci_float_bits(scale > 0 ? 0.5f * scale : FLT_MAX), stop - at);
        else
            dtci_trits_draw_all(digits + at, values + 4 * at, scale, random, first + at, stop - at);
    }
}

/* Draws and packs all digits. The variant DTCI_TERNARY_FIELDS gives fields at `to`. Other variants give bins of five
 * digits in w->bins or, if these are NULL, bytes of five digits at `to`. */
DTCI_FN void dtci_ternary_pack(unsigned char *to, const dtci_ternary_work *w) {
    const dtci_encoding *e = w->e;
    dtci_random random = dtci_random_of(e->spec->seed);
    unsigned field_bits = dtci_ternary_field_bits(&e->head);
    uint32_t digits[DTCI_TERNARY_CHUNK];
    size_t count = e->head.count, first, n, i, m;
    for (first = 0; first < count; first += n) {
        uint16_t packed[DTCI_TERNARY_CHUNK / 5];
        n = count - first < DTCI_TERNARY_CHUNK ? count - first : DTCI_TERNARY_CHUNK;
        for (i = 0; i < n; i += m) {
            m = n - i < DTCI_CHUNK ? n - i : DTCI_CHUNK;
            dtci_ternary_draw(digits + i, w, &random, first + i, m);
            if (e->head.variant == DTCI_TERNARY_FIELDS) dtci_fields_pack(to, digits + i, first + i, m, field_bits);
        }
        if (e->head.variant == DTCI_TERNARY_FIELDS) continue;
        dtci_trits_pack(w->bins ? w->bins + first / 5 : packed, digits, n);
        if (!w->bins) dtci_bytes_from_bins(to + first / 5, packed, dtci_ceil_div(n, 5));
    }
}

/* Finds the values that are sent apart: those above DTCI_TERNARY_FAR root mean squares of the others. The clip would
 * take nearly all of such a value, and its share in the scale would be noise in the others. There are at most n / 256
 * of them, or one, so that they cost at most a quarter of a bit a value. Returns the root mean square of the others,
 * and in *largest their largest magnitude; `stats` are those of all values. */
DTCI_COLD double dtci_ternary_find_outliers(dtci_ternary_work *w, const dtci_stats *stats, double *largest) {
    size_t count = w->e->head.count, pass, first, n, i;
    double deviation = dtci_stats_sigma(stats, count);
    float chunk[DTCI_CHUNK];
    for (pass = 0; pass < 8 && *largest > DTCI_TERNARY_FAR * deviation; pass++) {
        float limit = (float)(DTCI_TERNARY_FAR * deviation), top = 0;
        double squares = 0;
        size_t above = 0;
        for (first = 0; first < count; first += n) {
            const char *values;
            n = count - first < DTCI_CHUNK ? count - first : DTCI_CHUNK;
            values = dtci_view(chunk, &w->e->source, first, n);
            for (i = 0; i < n; i++) {
                float magnitude = dtci_bits_float(dtci_float_bits(dtci_float_at(values, i)) & 0x7fffffffu);
                if (magnitude > limit) {
                    above++;
                    continue;
                }
                squares += (double)magnitude * (double)magnitude;
                if (magnitude > top) top = magnitude;
            }
        }
        if (above > 1 && above > count / 256) break;
        w->outliers = above;
        w->range[1] = limit;
        w->range[0] = -limit;
        *largest = (double)top;
        deviation = sqrt(squares / (double)(count - above));
    }
    return deviation;
}

/* Computes the scale of each block, and sets *zero to 1 if all scales are 0, else to 0. Returns DTC_ERROR_NONFINITE if
 * a value is NaN or infinite. */
DTCI_FN dtc_status dtci_ternary_scales(dtci_ternary_work *w, int *zero) {
    const dtci_encoding *e = w->e;
    size_t blocks = dtci_blocks(&e->head), block = dtci_block(&e->head), count = e->head.count, b;
    double clip = dtci_ternary_clip(e->spec);
    uint32_t counts[2][DTCI_CLASSES];
    if (w->fits) memset(counts, 0, sizeof counts);
    for (*zero = 1, b = 0; b < blocks; b++) {
        size_t n = count - b * block < block ? count - b * block : block;
        dtci_stats stats =
            w->fits ? dtci_ternary_scan(counts, &e->source, b * block, n) : dtci_scan(&e->source, b * block, n);
        double scale, bound;
        if (!stats.finite) return DTC_ERROR_NONFINITE;
        scale = (double)dtci_stats_reach(&stats);
        bound = clip * dtci_stats_sigma(&stats, n);
        if (w->may_outlie && scale > DTCI_TERNARY_FAR * dtci_stats_sigma(&stats, n))
            bound = clip * dtci_ternary_find_outliers(w, &stats, &scale);
        if (e->residual && !(e->spec->ternary.clip > 0)) bound = scale;
        if (w->fits) {
            w->fits[b].squares = stats.squares;
            scale = dtci_ternary_threshold(counts, n, (float)scale);
        }
        if (bound < scale) scale = bound;
        if (e->spec->ternary.scale > 0) scale = (double)e->spec->ternary.scale;
        dtci_put_float(w->scales + 4 * b, dtci_float_up(scale > 0 ? scale : 0)); /* never -0 */
        *zero &= !(scale > 0);
    }
    return DTC_OK;
}

/* Takes the arrays of an encoding from its arena. Returns 0 if the scratch is too small. */
DTCI_SHARED int dtci_ternary_take(dtci_ternary_work *w, dtci_encoding *e) {
    size_t blocks = dtci_blocks(&e->head), count = e->head.count;
    memset(w, 0, sizeof *w);
    w->e = e;
    w->may_outlie = dtci_ternary_may_outlie(e);
    w->scales_bytes = 4 * blocks;
    w->scales = (unsigned char *)dtci_take(&e->arena, w->scales_bytes);
    if (e->residual && !(e->spec->ternary.scale > 0)) {
        w->fits = (dtci_trits_fit *)dtci_take(&e->arena, sizeof *w->fits * blocks);
        if (!w->fits) return 0;
        memset(w->fits, 0, sizeof *w->fits * blocks);
    }
    if (dtci_ternary_may_code(e->spec) && blocks <= count / 2 && w->scales_bytes > DTCI_TERNARY_CODED + 1) {
        w->coded = (unsigned char *)dtci_take(&e->arena, w->scales_bytes);
        if (!w->coded) return 0;
    }
    if (e->spec->ternary.pack == DTC_PACK_BASE3) return w->scales != NULL;
    w->bins = (uint16_t *)dtci_take(&e->arena, 2 * dtci_ceil_div(count, 5));
    return w->scales && w->bins;
}

/* Returns the code of a scale that is at most `largest`: of the next scale of the lattice that is not below it, or of
 * the nearest one. */
DTCI_COLD uint16_t dtci_ternary_code(float scale, float largest, int nearest) {
    double octaves = log2((double)largest / (double)scale);
    uint32_t at = DTCI_LATTICE_ONE - (uint32_t)(octaves > 0 ? 64 * octaves : 0);
    while (dtci_lattice_scale(largest, at - 1) >= scale) at--; /* so that the result does not depend on log2 */
    while (at < DTCI_LATTICE_ONE && dtci_lattice_scale(largest, at) < scale) at++;
    if (nearest && scale - dtci_lattice_scale(largest, at - 1) < dtci_lattice_scale(largest, at) - scale) at--;
    return (uint16_t)(DTCI_LATTICE_ONE - at + 1);
}

/* Codes the scales, if that saves bytes. They become scales of the lattice: the next ones that are not smaller, or the
 * nearest ones. */
DTCI_COLD dtc_status dtci_ternary_code_scales(dtci_ternary_work *w, int nearest) {
    size_t blocks = dtci_blocks(&w->e->head), bytes = 0, b;
    dtci_arena arena = w->e->arena; /* the codes are not needed for longer than this function */
    uint16_t *codes = (uint16_t *)dtci_take(&arena, 2 * blocks), differ = 0;
    dtci_coder coder;
    float largest = 0;
    if (!dtci_coder_take(&coder, blocks, DTCI_CODE_BITS, &arena) || !codes) return DTC_ERROR_SCRATCH;
    for (b = 0; b < blocks; b++) {
        float scale = dtci_get_float(w->scales + 4 * b);
        if (scale > 0 && (double)scale < 2 * (double)FLT_MIN) return DTC_OK; /* denormals may be flushed */
        if (scale > largest) largest = scale;
    }
    for (b = 0; b < blocks; b++) {
        float scale = dtci_get_float(w->scales + 4 * b);
        codes[b] = scale > 0 ? dtci_ternary_code(scale, largest, nearest) : 0;
        differ |= codes[b] ^ codes[0];
    }
    if (differ) /* the features take a byte */
        bytes =
            dtci_codes_write(w->coded + DTCI_TERNARY_CODED, 4 * blocks - DTCI_TERNARY_CODED - 1, &coder, codes, blocks);
    if (bytes == SIZE_MAX) return DTC_OK;
    dtci_codes_scales(w->scales, 4, largest, DTCI_LATTICE_ONE, 1, differ ? codes : NULL, blocks);
    dtci_put_float(w->coded, largest);
    dtci_put32(w->coded + 4, (uint32_t)bytes);
    w->scales_bytes = DTCI_TERNARY_CODED + bytes;
    w->e->head.features = DTCI_CODED;
    dtci_encoding_place(w->e);
    return DTC_OK;
}

/* Writes the list of outliers, behind the scale. */
DTCI_COLD void dtci_ternary_write_outliers(const dtci_ternary_work *w) {
    dtci_outlier_rule rule;
    rule.ranges = w->range;
    rule.block = w->e->head.count;
    rule.ties = 0;
    dtci_outliers_write(w->e->payload + 4, w->outliers, &w->e->source, w->e->head.count, rule);
}

/* Writes the bins behind the e->bytes that are written, as TOKENS if these are smaller than bytes of five digits, else
 * as such bytes. */
DTCI_FN dtc_status dtci_ternary_write(const dtci_ternary_work *w) {
    dtci_encoding *e = w->e;
    size_t before = e->bytes, n = dtci_ceil_div(e->head.count, 5), size;
    unsigned char *to = e->payload + before;
    dtci_tokens_plan plan;
    dtci_coder coder;
    dtc_status status;
    if (!dtci_coder_take(&coder, n, 8, &e->arena)) return DTC_ERROR_SCRATCH;
    dtci_coder_count(&coder, w->bins, n, 8);
    plan = dtci_coder_choose(&coder);
    status = dtci_bins_write(&coder, &plan, n, to, e->capacity - before, &size);
    if (status != DTC_OK) return status;
    e->bytes = before + (size ? size : n);
    if (size) e->head.variant = DTCI_TERNARY_TOKENS;
    if (e->capacity < e->bytes) return DTC_ERROR_CAPACITY;
    if (!size) dtci_bytes_from_bins(to, w->bins, n);
    return DTC_OK;
}

/* Fits the scales to the digits that have been rounded; see dtci_encoding_factor. */
DTCI_FN void dtci_ternary_fit(const dtci_ternary_work *w) {
    size_t blocks = dtci_blocks(&w->e->head), b;
    for (b = 0; b < blocks; b++) {
        const dtci_trits_fit *fit = w->fits + b;
        if (!(fit->sum > 0)) continue;
        dtci_put_float(w->scales + 4 * b, dtci_to_float(dtci_encoding_factor(fit->sum, fit->nonzeros, fit->squares)));
    }
}

/* Draws the digits, and decides the scales: before the digits, as their probabilities depend on them, or with fitted
 * scales after the digits. */
DTCI_FN dtc_status dtci_ternary_draw_all(dtci_ternary_work *w) {
    dtci_encoding *e = w->e;
    int zero = e->head.variant == DTCI_TERNARY_ZERO;
    dtc_status status = w->coded && !w->fits ? dtci_ternary_code_scales(w, 0) : DTC_OK;
    if (status != DTC_OK) return status;
    if (e->capacity < (w->bins ? w->scales_bytes : e->bytes)) return DTC_ERROR_CAPACITY;
    if (!zero) dtci_ternary_pack(e->payload + w->scales_bytes, w);
    if (w->fits) dtci_ternary_fit(w);
    return w->coded && w->fits ? dtci_ternary_code_scales(w, 1) : DTC_OK;
}

DTCI_FN dtc_status dtci_ternary_encode(dtci_encoding *e) {
    int base3 = e->spec->ternary.pack == DTC_PACK_BASE3, zero;
    size_t count = e->head.count, around;
    dtci_ternary_work w;
    dtci_opened opened;
    dtci_packet *made;
    dtc_status status;
    if (!dtci_ternary_take(&w, e)) return DTC_ERROR_SCRATCH;
    e->head.variant = base3 && e->head.workers > 1 ? DTCI_TERNARY_FIELDS : DTCI_TERNARY_BASE3;
    e->bytes = w.scales_bytes + dtci_ternary_digit_bytes(&e->head);
    status = dtci_ternary_scales(&w, &zero);
    if (status != DTC_OK) return status;
    if (e->bytes > 4 * count) return dtci_head_become_raw(&e->head);
    if (w.outliers) {
        e->head.features = DTCI_OUTLIERS;
        dtci_encoding_place(e);
    }
    if (zero && e->head.variant != DTCI_TERNARY_FIELDS) { /* fixed-width packing keeps its size, for sums */
        e->head.variant = DTCI_TERNARY_ZERO;
        e->bytes = w.scales_bytes;
    }
    status = dtci_ternary_draw_all(&w);
    if (status != DTC_OK) return status;
    around = w.scales_bytes + dtci_outliers_bytes(w.outliers, count);
    if (e->capacity < around) return DTC_ERROR_CAPACITY;
    memcpy(e->payload, e->head.features & DTCI_CODED ? w.coded : w.scales, w.scales_bytes);
    if (w.outliers) dtci_ternary_write_outliers(&w);
    if (!base3) e->bytes = around;
    if (!base3 && e->head.variant != DTCI_TERNARY_ZERO) status = dtci_ternary_write(&w);
    if (status != DTC_OK || !e->residual) return status;
    made = dtci_encoding_packet(&opened, e);
    made->bins = w.bins;
    made->grids = w.scales;
    return dtci_ternary_decode(made, e->residual, NULL, NULL);
}

/* --- Packet: check, open, describe --- */

/* Returns the number of bins that the TOKENS of a payload have, 0 without TOKENS. */
DTCI_FN size_t dtci_ternary_bins(const dtci_head *head) {
    return head->variant == DTCI_TERNARY_TOKENS   ? dtci_ceil_div(head->count, 5)
           : head->variant == DTCI_TERNARY_DIGITS ? dtci_digits_bins(head, head->count)
                                                  : 0;
}

DTCI_COLD dtc_status dtci_ternary_check(dtci_packet *packet) {
    const dtci_head *head = &packet->head;
    size_t bins = dtci_ternary_bins(head), blocks = dtci_blocks(head), digits;
    uint64_t size = packet->payload_bytes, scales;
    packet->scratch = bins ? dtci_bins_scratch(bins) : 0;
    if (head->variant > DTCI_TERNARY_WIDE || head->seed) return DTC_ERROR_HEAD;
    if (head->variant <= DTCI_TERNARY_TOKENS && head->terms > 1) return DTC_ERROR_HEAD;
    if (head->variant == DTCI_TERNARY_DIGITS && head->terms < 2) return DTC_ERROR_HEAD;
    if (head->workers > DTCI_TERNARY_WORKERS) return DTC_ERROR_HEAD;
    if (head->features && (head->features != (head->block ? DTCI_CODED : DTCI_OUTLIERS) || head->workers > 1))
        return DTC_ERROR_HEAD;
    if (head->features & DTCI_CODED) {
        size_t codes = dtci_bins_scratch(blocks);
        if (blocks > head->count / 2) return DTC_ERROR_HEAD;
        packet->scratch = dtci_take_bytes(4 * blocks) + (codes > packet->scratch ? codes : packet->scratch);
    }
    scales = dtci_ternary_digits_at(packet);
    digits = dtci_ternary_digit_bytes(head);
    if (bins) return size > scales && size < scales + digits ? DTC_OK : DTC_ERROR_SIZE;
    return size == scales + digits ? DTC_OK : DTC_ERROR_SIZE;
}

/* Checks the scales of a packet, and decodes CODED scales into the arena, for packet->grids, unless `skip` leaves them
 * out. */
DTCI_COLD dtc_status dtci_ternary_open_scales(dtci_packet *packet, dtci_arena *arena, unsigned skip) {
    size_t blocks = dtci_blocks(&packet->head);
    const unsigned char *coded = packet->payload;
    unsigned char *scales;
    const uint16_t *codes;
    dtci_arena after;
    dtc_status status;
    packet->grids = NULL;
    if (!dtci_scales_finite(coded, dtci_ternary_scale_count(&packet->head), 4, 1)) return DTC_ERROR_PAYLOAD;
    if (!(packet->head.features & DTCI_CODED) || skip & DTCI_OPEN_NO_TOKENS) return DTC_OK;
    scales = (unsigned char *)dtci_take(arena, 4 * blocks);
    after = *arena; /* the codes are not needed for longer than this function */
    if (!scales) return DTC_ERROR_SCRATCH;
    status = dtci_codes_open(&codes, blocks, coded + DTCI_TERNARY_CODED, dtci_get32(coded + 4), &after);
    if (status != DTC_OK) return status;
    dtci_codes_scales(scales, 4, dtci_get_float(coded), DTCI_LATTICE_ONE, 1, codes, blocks);
    packet->grids = scales;
    return DTC_OK;
}

/* Tells whether n bytes of five digits are at most 242, which is 3^5 - 1. Bytes above that have bit 7, and 13 added to
 * their other bits gives bit 7, too. */
DTCI_FN int dtci_trits_valid(const unsigned char *bytes, size_t n) {
    uint64_t above = 0;
    for (; n >= 8; bytes += 8, n -= 8) {
        uint64_t x = dtci_get64(bytes);
        above |= x & ((x & 0x7f7f7f7f7f7f7f7fu) + 0x0d0d0d0d0d0d0d0du);
    }
    for (; n; bytes++, n--) above |= *bytes & ((*bytes & 0x7fu) + 13);
    return !(above & 0x8080808080808080u);
}

DTCI_FN dtc_status dtci_ternary_open(dtci_packet *packet, dtci_arena *arena, unsigned skip) {
    const dtci_head *head = &packet->head;
    size_t scales = (size_t)dtci_ternary_digits_at(packet), bins = dtci_ternary_bins(head);
    const unsigned char *from = packet->payload + scales;
    int digits = head->variant == DTCI_TERNARY_DIGITS, valid = 1;
    uint16_t most = 0;
    dtc_status status;
    packet->bins = NULL;
    status = dtci_ternary_open_scales(packet, arena, skip);
    if (status != DTC_OK) return status;
    if (head->features & DTCI_OUTLIERS) {
        dtci_outliers outliers = dtci_outliers_of(packet->payload + 4 * dtci_blocks(head), head->count);
        if (!dtci_outliers_valid(&outliers, head->count)) return DTC_ERROR_PAYLOAD;
    }
    if (bins && !(skip & DTCI_OPEN_NO_TOKENS)) {
        status = dtci_bins_decode(&packet->bins, bins, digits ? dtci_digits_bits(head) : 8, from,
                                  packet->payload_bytes - scales, arena);
        if (status != DTC_OK) return status;
        dtci_bins_max(&most, packet->bins, 0, bins);
        valid = most <= (digits ? dtci_digits_top(head) : 242);
    } else if (head->variant == DTCI_TERNARY_BASE3) {
        valid = dtci_trits_valid(from, dtci_ceil_div(head->count, 5));
    } else if ((head->variant == DTCI_TERNARY_FIELDS || head->variant == DTCI_TERNARY_WIDE) &&
               !(skip & DTCI_OPEN_NO_FIELDS)) {
        valid = dtci_fields_valid(from, head->count, dtci_ternary_field_bits(head), 2 * head->terms);
    }
    return valid ? DTC_OK : DTC_ERROR_PAYLOAD;
}

DTCI_COLD void dtci_ternary_describe(const dtci_packet *packet, dtc_spec *spec) {
    uint32_t fixed = packet->head.workers > 1 ? DTCI_TERNARY_FIELDS : DTCI_TERNARY_BASE3;
    spec->ternary.pack = packet->head.variant == fixed && !packet->head.features ? DTC_PACK_BASE3 : DTC_PACK_HUFFMAN;
}

/* --- Sums --- */

DTCI_COLD dtc_status dtci_ternary_plan_add(dtci_addition *sum) {
    size_t bins = dtci_digits_bins(&sum->head, sum->head.count);
    sum->fixed = sum->a->head.variant == DTCI_TERNARY_FIELDS;
    if (sum->fixed != (sum->b->head.variant == DTCI_TERNARY_FIELDS)) return DTC_ERROR_INCOMPATIBLE_PACKING;
    sum->head.variant = sum->fixed ? DTCI_TERNARY_FIELDS : DTCI_TERNARY_WIDE;
    sum->bound = 4 * dtci_blocks(&sum->head) + dtci_ternary_digit_bytes(&sum->head);
    sum->scratch = dtci_take_bytes(2 * bins) + dtci_coder_scratch(bins, dtci_digits_bits(&sum->head));
    sum->scratch = sum->fixed ? 0 : sum->a->scratch + sum->b->scratch + sum->scratch;
    return DTC_OK;
}

/* Adds the digits of two opened packets, and packs the sums to bins. Returns 1 if any sum is not the digit of 0. */
DTCI_FN int dtci_ternary_sum(uint16_t *bins, const dtci_addition *sum) {
    size_t count = sum->head.count, group = dtci_digits_group(&sum->head), first, n, i;
    uint32_t terms = sum->head.terms, some[DTCI_TERNARY_ROOM], more[DTCI_TERNARY_ROOM], differ = 0;
    for (first = 0; first < count; first += n) {
        n = count - first < DTCI_TERNARY_CHUNK ? count - first : DTCI_TERNARY_CHUNK;
        dtci_ternary_unpack(some, sum->a, first, n);
        dtci_ternary_unpack(more, sum->b, first, n);
        for (i = n; i < DTCI_TERNARY_ROOM; i++) { /* fills up the last bin; the next loop reads all */
            some[i] = terms;
            more[i] = 0;
        }
        for (i = 0; i < DTCI_TERNARY_ROOM; i++) {
            some[i] += more[i];
            differ |= some[i] ^ terms;
        }
        dtci_digits_pack(bins + dtci_digits_bins(&sum->head, first), some, 2 * terms + 1, group, n);
    }
    return differ != 0;
}

/* Writes the digits of bins as FIELDS after the scales, which take `scales` bytes. */
DTCI_FN void dtci_ternary_write_fields(dtci_addition *sum, const uint16_t *bins, size_t scales) {
    size_t count = sum->head.count, group = dtci_digits_group(&sum->head), first, n, i;
    unsigned bits = dtci_ternary_field_bits(&sum->head);
    uint32_t digits[DTCI_TERNARY_ROOM];
    for (first = 0; first < count; first += n) {
        n = count - first < DTCI_TERNARY_CHUNK ? count - first : DTCI_TERNARY_CHUNK;
        dtci_digits_unpack(digits, bins + dtci_digits_bins(&sum->head, first), 2 * sum->head.terms + 1, group, n);
        for (i = 0; i < n; i += DTCI_GROUP)
            dtci_fields_pack(sum->payload + scales, digits + i, first + i, n - i < DTCI_GROUP ? n - i : DTCI_GROUP,
                             bits);
    }
}

/* Digits in fixed-width packing are added without unpacking them. Other digits are unpacked, added and coded again. The
 * coding depends on the digits of the sum only, so that packets may be added in any order with the same result. */
DTCI_FN dtc_status dtci_ternary_add(dtci_addition *sum) {
    size_t scales = 4 * dtci_blocks(&sum->head), n = dtci_digits_bins(&sum->head, sum->head.count), size = 0;
    unsigned bits = dtci_digits_bits(&sum->head);
    dtc_status status;
    uint16_t *bins;
    int any;
    sum->bytes = sum->bound;
    if (!dtci_same(sum->a->payload, sum->b->payload, scales)) return DTC_ERROR_INCOMPATIBLE_GRID;
    if (sum->capacity < (sum->fixed ? sum->bytes : scales)) return DTC_ERROR_CAPACITY;
    if (sum->fixed) {
        sum->verify.largest_a = 2 * sum->a->head.terms;
        sum->verify.largest_b = 2 * sum->b->head.terms;
        memmove(sum->payload, sum->a->payload, scales);
        dtci_fields_add_all(sum->payload + scales, sum->a->payload + scales, sum->b->payload + scales, sum->head.count,
                            dtci_ternary_field_bits(&sum->head), sum->verifying ? &sum->verify : NULL);
        return DTC_OK;
    }
    bins = (uint16_t *)dtci_take(&sum->arena, 2 * n);
    if (!bins && n) return DTC_ERROR_SCRATCH;
    any = dtci_ternary_sum(bins, sum);
    memmove(sum->payload, sum->a->payload, scales);
    if (any) {
        dtci_tokens_plan plan;
        dtci_coder coder;
        if (!dtci_coder_take(&coder, n, bits, &sum->arena)) return DTC_ERROR_SCRATCH;
        dtci_coder_count(&coder, bins, n, bits);
        plan = dtci_coder_choose(&coder);
        status =
            dtci_bins_write(&coder, &plan, sum->bytes - scales, sum->payload + scales, sum->capacity - scales, &size);
        if (status != DTC_OK) return status;
        if (!size && sum->capacity < sum->bytes) return DTC_ERROR_CAPACITY;
        if (!size) dtci_ternary_write_fields(sum, bins, scales);
    }
    sum->head.variant = size ? DTCI_TERNARY_DIGITS : any ? DTCI_TERNARY_WIDE : DTCI_TERNARY_ZERO;
    if (size || !any) sum->bytes = scales + size;
    return DTC_OK;
}

/* --- Multiples --- */

DTCI_COLD dtc_status dtci_ternary_scale(const dtci_packet *packet, unsigned char *payload, float weight) {
    dtc_status status;
    dtci_outliers outliers;
    memset(&outliers, 0, sizeof outliers);
    if (packet->head.features & DTCI_OUTLIERS) {
        outliers = dtci_outliers_of(packet->payload + 4, packet->head.count);
        if (!dtci_scales_finite(outliers.floats, outliers.n, 4, weight)) return DTC_ERROR_NONFINITE;
    }
    status = dtci_scales_scale(payload, dtci_ternary_scale_count(&packet->head), 4, weight);
    if (status != DTC_OK || !outliers.n) return status;
    return dtci_scales_scale(payload + (outliers.floats - packet->payload), outliers.n, 4, weight);
}

/* --- Row --- */

static const dtci_codec dtci_ternary_codec = {DTC_TERNARY,
                                              "ternary",
                                              dtci_ternary_keys,
                                              sizeof dtci_ternary_keys / sizeof *dtci_ternary_keys,
                                              dtci_ternary_check_spec,
                                              dtci_begin_block,
                                              dtci_ternary_range,
                                              dtci_ternary_set_range,
                                              dtci_ternary_scratch,
                                              dtci_ternary_read_scratch,
                                              dtci_ternary_encode,
                                              dtci_ternary_check,
                                              dtci_ternary_open,
                                              dtci_ternary_describe,
                                              dtci_ternary_decode,
                                              dtci_ternary_plan_add,
                                              dtci_ternary_add,
                                              dtci_ternary_scale,
                                              NULL};

#else

static const dtci_codec dtci_ternary_codec = DTCI_LEFT_OUT(DTC_TERNARY);

#endif /* DTC_NO_TERNARY */

/* --------------------------------------------------------------------------------------------------------------------
 * quant: N-bit quantization
 *
 * The encoder rounds each value to a grid and stores the number of the grid point. Sources: bits=auto and Huffman codes
 * from Oland and Raj, Reducing communication overhead in distributed learning by an order of magnitude (almost), ICASSP
 * 2015; rounding=stochastic from QSGD (Alistarh et al., 2017); rounding=rd as video coders do it, with a wide zero bin
 * and shifted reconstruction (Sullivan, 1996); outliers as the exceptions of PFOR (Zukowski et al., 2006); rotate from
 * DRIVE (Vargaftik et al., NeurIPS 2021) and EDEN (ICML 2022).
 *
 * grid=zero: the grid points of a block are k * step, where the integer k starts at `lowest`. A range that contains 0
 *     therefore has a grid point at exactly 0.
 * grid=even: 2^bits bins of width 2 * half start at `offset`, and a grid point is the centre of a bin. With stochastic
 *     rounding, which rounds to one of the two neighbouring centres, the outer centres lie on min and max.
 *
 * The encoder replaces grid=zero by grid=even in two cases. For one bit, two bins that are centred on multiples of step
 * cannot cover both sides of 0. For a narrow range far from 0, |lowest| * workers would be above 2^24.
 *
 * rotate: each block is cut into parts of 2^L values. A randomized Hadamard transform, with signs from the seed, makes
 * the values of a part nearly Gaussian. All parts have the same grid in units of their own root mean square; for
 * grid=zero, lowest is -(2^(bits-1) - 1). Let x be the rotated values of a part and c the grid points that they were
 * rounded to. The encoder multiplies the step of the part by |x|^2 / <c, x>, unless rounding is stochastic or the range
 * is given. The mean of the decoded values over the seeds is then the tensor, up to the bias that the manual gives. The
 * decoder transforms integers, which is exact.
 *
 * A field of a value is k - lowest of its block. A bin of a value is k minus the least lowest of all blocks, so that
 * k = 0 is the same bin in every block. With grid=even or rotate, bin and field are the same number.
 * ------------------------------------------------------------------------------------------------------------------*/

/* Returns half the width of the range, in standard deviations, over which 2^bits even bins have nearly the least
 * squared error for Gaussian values. The line fits the optima of Max, Quantizing for minimum distortion (1960), to
 * within 2 % of the range. */
DTCI_FN double dtci_loading(unsigned bits) {
    return 1.35 + 0.33 * (double)bits;
}

#ifndef DTC_NO_QUANT

#define DTCI_QUANT_BITS_MAX 16
#define DTCI_QUANT_LOWEST   16777216.0  /* largest |lowest| * workers: k * step stays exact in double */
#define DTCI_QUANT_HALVES   268435456.0 /* largest |offset| * workers / half: offset + k * half stays exact in double */
#define DTCI_QUANT_ROTATED  16384u      /* largest workers * 2^bits, rotated: sums of 2^16 integers stay below 2^31 */

/* How the payload stores fields (the coding of the wire format). */
#define DTCI_QUANT_FIELDS   0u /* fields of fixed width, as entropy=none asks for */
#define DTCI_QUANT_TOKENS   1u /* Huffman tokens of bins */
#define DTCI_QUANT_CONSTANT 2u /* nothing: every field is 0 */
#define DTCI_QUANT_WIDE     3u /* fields of fixed width, because tokens would not be smaller */

/* Features (see FEATURES OF QUANT in the wire format). */
#define DTCI_QUANT_SHIFTS   1u
#define DTCI_QUANT_NO_GRIDS 4u

#define DTCI_QUANT_CODED_BYTES 20u   /* what the payload of CODED grids begins with */
#define DTCI_QUANT_ONE         8192u /* the position of the step 1; positions of quant are two of the lattice apart */

/* --- Options --- */

static const dtci_key dtci_quant_keys[] = {
    {"bits", "auto", DTCI_KEY_BITS, DTCI_FIELD(quant.bits), 1, 16, 0, 1},
    {"nmse", "", DTCI_KEY_FLOAT, DTCI_FIELD(quant.nmse), 1e-10, 0.9, 0, 1},
    {"floor", "", DTCI_KEY_INTEGER, DTCI_FIELD(quant.floor), 1, 12, 0, 0},
    {"probe", "", DTCI_KEY_INTEGER, DTCI_FIELD(quant.probe), 1, 8, 0, 0},
    {"sample", "", DTCI_KEY_FLOAT, DTCI_FIELD(quant.sample), 0, 1, 0, 0},
    {"rate", "", DTCI_KEY_FLOAT, DTCI_FIELD(quant.rate), 0.002, 32, 0, 1},
    {"max-error", "", DTCI_KEY_FLOAT, DTCI_FIELD(quant.max_error), 0, DTCI_FLOAT_MAX, 0, 1},
    {"rounding", "auto|stochastic|nearest|rd", DTCI_KEY_WORD, DTCI_FIELD(quant.rounding), 0, 0, 0, 0},
    {"entropy", "huffman|none", DTCI_KEY_WORD, DTCI_FIELD(quant.entropy), 0, 0, 0, 0},
    {"grid", "zero|even", DTCI_KEY_WORD, DTCI_FIELD(quant.grid), 0, 0, 0, 0},
    {"rotate", "0|1", DTCI_KEY_WORD, DTCI_FIELD(quant.rotate), 0, 0, 0, 0},
    {"unbiased", "1|0", DTCI_KEY_WORD, DTCI_FIELD(quant.biased), 0, 0, 0, 0},
    {"min", "auto", DTCI_KEY_OPTIONAL, DTCI_FIELD(quant.min), -DTCI_FLOAT_MAX, DTCI_FLOAT_MAX,
     offsetof(dtc_spec, quant.min_given), 0},
    {"max", "auto", DTCI_KEY_OPTIONAL, DTCI_FIELD(quant.max), -DTCI_FLOAT_MAX, DTCI_FLOAT_MAX,
     offsetof(dtc_spec, quant.max_given), 0},
};

/* Returns the relative squared error that a spec asks for, or 0. */
DTCI_FN double dtci_quant_nmse(const dtc_spec *spec) {
    int given = spec->quant.bits != 0 || spec->quant.rate > 0 || spec->quant.max_error > 0 || spec->quant.min_given ||
                spec->quant.max_given || spec->quant.floor || spec->quant.probe || spec->quant.sample > 0;
    return given || spec->quant.nmse > 0 ? (double)spec->quant.nmse : 0.01;
}

/* Of a spec with nmse the errors are in proportion to the root mean square, of the others to the range. */
DTCI_COLD float dtci_quant_range(const dtc_spec *spec, const dtci_stats *stats, size_t count, int agreed) {
    int fixed = spec->quant.min_given || spec->quant.max_given || spec->workers > 1;
    if (agreed) return dtci_stats_reach(stats);
    if (fixed || spec->quant.rate > 0 || spec->quant.max_error > 0) return 0;
    return dtci_quant_nmse(spec) > 0 ? (float)dtci_stats_sigma(stats, count) : dtci_stats_reach(stats);
}

DTCI_COLD void dtci_quant_set_range(dtc_spec *spec, float range) {
    spec->quant.min_given = spec->quant.max_given = 1;
    spec->quant.min = range > 0 ? -range : 0; /* never -0 */
    spec->quant.max = range;
}

DTCI_COLD dtc_status dtci_quant_check_spec(const dtc_spec *spec) {
    uint32_t workers = spec->workers ? spec->workers : 1;
    int bits = spec->quant.bits > 0 ? spec->quant.bits : DTCI_QUANT_BITS_MAX;
    int given = spec->quant.min_given || spec->quant.max_given;
    int both = spec->quant.min_given && spec->quant.max_given;
    if (spec->quant.bits < DTC_BITS_AUTO || bits > DTCI_QUANT_BITS_MAX || workers > 16777216u >> bits)
        return DTC_ERROR_SPEC;
    if (spec->quant.floor < 0 || spec->quant.floor > 12 || spec->quant.probe < 0 || spec->quant.probe > 8)
        return DTC_ERROR_SPEC;
    if (!dtci_finite(spec->quant.sample) || spec->quant.sample < 0 || spec->quant.sample > 1) return DTC_ERROR_SPEC;
    if (!dtci_finite(spec->quant.rate) || spec->quant.rate < 0 || spec->quant.rate > 32) return DTC_ERROR_SPEC;
    if (spec->quant.rate > 0 && ((double)spec->quant.rate < 0.001999 || spec->quant.entropy == DTC_ENTROPY_NONE))
        return DTC_ERROR_SPEC;
    if (!dtci_finite(spec->quant.max_error) || spec->quant.max_error < 0) return DTC_ERROR_SPEC;
    if (!dtci_finite(spec->quant.nmse) || spec->quant.nmse < 0 || (double)spec->quant.nmse > 0.9000001 ||
        (spec->quant.nmse > 0 && (given || (double)spec->quant.nmse < 0.9999e-10)))
        return DTC_ERROR_SPEC;
    if ((spec->quant.bits != 0) + (spec->quant.nmse > 0) + (spec->quant.rate > 0) + (spec->quant.max_error > 0) > 1)
        return DTC_ERROR_SPEC;
    if ((unsigned)spec->quant.rounding > DTC_ROUNDING_RD || (unsigned)spec->quant.entropy > DTC_ENTROPY_NONE ||
        (unsigned)spec->quant.grid > DTC_GRID_EVEN)
        return DTC_ERROR_SPEC;
    if (!dtci_finite(spec->quant.min) || !dtci_finite(spec->quant.max) || (both && spec->quant.min > spec->quant.max))
        return DTC_ERROR_SPEC;
    if (spec->quant.max_error > 0 && given) return DTC_ERROR_SPEC;
    if (spec->quant.rounding == DTC_ROUNDING_RD &&
        (workers > 1 || given || spec->quant.max_error > 0 || spec->quant.rotate || spec->quant.grid == DTC_GRID_EVEN ||
         spec->quant.entropy == DTC_ENTROPY_NONE))
        return DTC_ERROR_SPEC;
    if (!spec->quant.rotate) return DTC_OK;
    if (spec->quant.max_error > 0 || (spec->quant.bits > 0 && workers > DTCI_QUANT_ROTATED >> bits) ||
        workers > DTCI_QUANT_ROTATED / 4 || given != both ||
        (both && (spec->quant.min < -spec->quant.max || spec->quant.min > -spec->quant.max)))
        return DTC_ERROR_SPEC;
    return DTC_OK;
}

/* Returns whether the grids of blocks may be CODED: where entropy coding is allowed, and neither sums nor agreed ranges
 * need them as they are. */
DTCI_FN int dtci_quant_may_code(const dtc_spec *spec) {
    return spec->block && spec->workers <= 1 && spec->quant.entropy == DTC_ENTROPY_HUFFMAN && !spec->quant.rotate &&
           spec->quant.grid == DTC_GRID_ZERO && !spec->quant.min_given && !spec->quant.max_given;
}

/* A searched error or rate gives all blocks one step, so that blocks would cost grids and gain nothing. */
DTCI_FN void dtci_quant_begin(dtci_head *head, const dtc_spec *spec) {
    if (!dtci_quant_may_code(spec) || !(spec->quant.rate > 0 || dtci_quant_nmse(spec) > 0))
        dtci_begin_block(head, spec);
    if (spec->quant.rotate) head->seed = spec->seed;
}

/* --- Grids and parts --- */

/* The contents of the variant byte in the head. */
typedef struct dtci_quant_variant {
    unsigned bits; /* of a field in a packet of one term */
    int even, rotate;
    uint32_t coding;
} dtci_quant_variant;

DTCI_FN uint32_t dtci_quant_variant_byte(const dtci_quant_variant *variant) {
    return (variant->bits - 1) | (variant->even ? 16u : 0) | variant->coding << 5 | (variant->rotate ? 128u : 0);
}

DTCI_FN dtci_quant_variant dtci_quant_variant_of(const dtci_head *head) {
    dtci_quant_variant variant;
    variant.bits = (head->variant & 15) + 1;
    variant.even = head->variant >> 4 & 1;
    variant.coding = head->variant >> 5 & 3;
    variant.rotate = head->variant >> 7 & 1;
    return variant;
}

/* What determines the fields of a packet; the encoder, the decoder and the addition use it. */
typedef struct dtci_quant {
    const dtci_head *head;
    dtci_quant_variant variant;
    const unsigned char *grids; /* 8 bytes a block; with rotate 4 bytes a part, and 8 while encoding */
    unsigned bin_bits;          /* bits of a bin over all blocks; 17 if that is more than 16 */
    int32_t base;               /* grid=zero: terms times the least lowest of all blocks */
    int32_t shifts[2];          /* with SHIFTS: of |k| = 1 and of larger |k|, in 1/256 of a step */
    dtci_outliers outliers;     /* with OUTLIERS */
    size_t fields_at;           /* offset of the fields in the payload */
} dtci_quant;

/* Values first .. end - 1, which share one grid. A part is a block, or with rotate a power of two of values of a
 * block. */
typedef struct dtci_part {
    size_t index, first, end; /* index: number of the part in the packet */
} dtci_part;

/* Returns the number of rotated parts that n values are cut into: as many parts of 2^16 values as fit, then one for
 * each bit that is set in the number of the remaining values. */
DTCI_FN size_t dtci_rotations(size_t n) {
    size_t parts = n >> DTCI_HADAMARD_MAX;
    for (n &= ((size_t)1 << DTCI_HADAMARD_MAX) - 1; n; n &= n - 1) parts++;
    return parts;
}

/* Returns the number of parts, and so of grids, of a packet. */
DTCI_SHARED size_t dtci_quant_parts(const dtci_head *head, int rotate) {
    size_t block = dtci_block(head);
    if (!rotate || !head->count) return dtci_blocks(head);
    return head->count / block * dtci_rotations(block) + dtci_rotations(head->count % block);
}

/* Returns the part that holds value i. */
DTCI_SHARED dtci_part dtci_quant_part(const dtci_head *head, int rotate, size_t i) {
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
    for (;;) { /* the first pass skips whole parts of 2^16 values, later passes one part each */
        part.index += whole;
        part.first += whole << DTCI_HADAMARD_MAX;
        left -= whole << DTCI_HADAMARD_MAX;
        part.end = part.first + ((size_t)1 << dtci_hadamard_log2(left));
        if (i < part.end) return part;
        part.index++;
        left -= part.end - part.first;
        part.first = part.end;
        whole = 0;
    }
}

typedef struct dtci_grid {
    double origin, step; /* grid=even: offset and half; grid=zero: 0 and step */
    int32_t lowest;      /* 0 with grid=even */
} dtci_grid;

/* Returns the grid of part b, from 8 bytes. */
DTCI_SHARED dtci_grid dtci_quant_grid(const dtci_quant *q, size_t b) {
    const unsigned char *p = q->grids + 8 * b;
    dtci_grid grid;
    uint32_t lowest;
    memset(&grid, 0, sizeof grid);
    if (q->head->features & DTCI_QUANT_NO_GRIDS) return grid;
    lowest = dtci_get32(p + 4);
    grid.origin = q->variant.even ? (double)dtci_get_float(p) : 0.0;
    grid.step = (double)dtci_get_float(q->variant.even ? p + 4 : p);
    memcpy(&grid.lowest, &lowest, 4);
    if (q->variant.even) grid.lowest = 0;
    return grid;
}

/* Returns the bytes of all grids in the payload, if they are not CODED. With rotate, a grid is a step alone. */
DTCI_FN size_t dtci_quant_grid_bytes(const dtci_head *head, int rotate) {
    return head->features & DTCI_QUANT_NO_GRIDS ? 0 : (rotate ? 4u : 8u) * dtci_quant_parts(head, rotate);
}

/* Returns the bytes of grids and shifts in the payload, which is where the list of outliers begins. The payload has at
 * least DTCI_QUANT_CODED_BYTES if its grids are CODED. */
DTCI_FN uint64_t dtci_quant_list_at(const dtci_packet *packet) {
    const dtci_head *head = &packet->head;
    uint64_t bytes = head->features & DTCI_QUANT_SHIFTS ? 2 : 0;
    if (!(head->features & DTCI_CODED)) return bytes + dtci_quant_grid_bytes(head, (int)(head->variant >> 7 & 1));
    return bytes + DTCI_QUANT_CODED_BYTES + (uint64_t)dtci_get32(packet->payload + 12) +
           dtci_get32(packet->payload + 16);
}

/* Returns the largest field that a packet of these terms may have. */
DTCI_FN uint32_t dtci_quant_top(const dtci_quant *q) {
    return q->head->terms * ((1u << q->variant.bits) - 1);
}

/* Returns the bits of a field of fixed width. The field has room for the sum of `workers` packets. */
DTCI_SHARED unsigned dtci_quant_field_bits(const dtci_head *head, unsigned bits) {
    return dtci_bit_width(head->workers * ((1u << bits) - 1));
}

/* Sets q->base and q->bin_bits, from the grids. */
DTCI_SHARED void dtci_quant_find_base(dtci_quant *q) {
    int32_t low = INT32_MAX, high = INT32_MIN, terms = (int32_t)q->head->terms;
    size_t blocks = dtci_quant_parts(q->head, q->variant.rotate), b;
    for (b = 0; b < blocks; b++) {
        dtci_grid grid = dtci_quant_grid(q, b);
        if (grid.lowest < low) low = grid.lowest;
        if (grid.lowest > high) high = grid.lowest;
    }
    q->base = blocks ? low * terms : 0;
    q->bin_bits = blocks ? dtci_bit_width((uint32_t)(high - low) * q->head->terms + dtci_quant_top(q)) : 0;
    if (q->bin_bits > DTCI_QUANT_BITS_MAX) q->bin_bits = DTCI_QUANT_BITS_MAX + 1;
}

/* Returns bin minus field, which is one number for all values of block b. */
DTCI_FN uint32_t dtci_quant_shift(const dtci_quant *q, size_t b) {
    if (q->variant.even || q->variant.rotate || !q->head->block) return 0;
    return (uint32_t)(dtci_quant_grid(q, b).lowest * (int32_t)q->head->terms - q->base);
}

/* Returns whether the grid of one block is valid. dtci_get_double converts denormals by their bits, so that a processor
 * that flushes denormals accepts the same packets. */
DTCI_SHARED int dtci_quant_grid_valid(const unsigned char *grid, int even, double workers) {
    uint32_t bits = dtci_get32(grid + 4);
    int32_t lowest;
    memcpy(&lowest, &bits, 4);
    if (!dtci_finite(dtci_get_float(grid))) return 0;
    if (!even) return fabs((double)lowest) * workers <= DTCI_QUANT_LOWEST;
    if (!dtci_finite(dtci_get_float(grid + 4))) return 0;
    return !(bits & 0x7fffffffu) ||
           fabs(dtci_get_double(grid)) * workers <= fabs(dtci_get_double(grid + 4)) * DTCI_QUANT_HALVES;
}

/* --- CODED grids --- */

/* Writes the n grids that codes of steps and of lowests give to `grids`. `coded` is the beginning of the payload. */
DTCI_COLD void dtci_quant_decode_grids(unsigned char *grids, const unsigned char *coded, const uint16_t *steps,
                                       const uint16_t *lowests, size_t n) {
    uint32_t lowest = dtci_get32(coded + 8);
    size_t i;
    dtci_codes_scales(grids, 8, dtci_get_float(coded), 2 * dtci_get32(coded + 4), 2, steps, n);
    for (i = 0; i < n; i++) dtci_put32(grids + 8 * i + 4, lowest + (lowests ? lowests[i] : 0u));
}

/* Returns whether CODED grids can be multiplied by `weight`: the multiplier and the largest step stay finite. */
DTCI_COLD int dtci_quant_coded_valid(const unsigned char *coded, float weight) {
    float multiplier = dtci_get_float(coded) * weight;
    uint32_t top = dtci_get32(coded + 4);
    return dtci_finite(multiplier) && top < DTCI_QUANT_ONE + 32 * 128 &&
           fabs((double)multiplier) * dtci_lattice(2 * top) <= (double)FLT_MAX;
}

/* Decodes CODED grids into the arena, for packet->grids. The caller has checked the beginning of the payload. */
DTCI_COLD dtc_status dtci_quant_open_grids(dtci_packet *packet, dtci_arena *arena) {
    const unsigned char *coded = packet->payload, *from = coded + DTCI_QUANT_CODED_BYTES;
    size_t blocks = dtci_blocks(&packet->head), bytes = dtci_get32(coded + 12);
    unsigned char *grids = (unsigned char *)dtci_take(arena, 8 * blocks);
    const uint16_t *steps, *lowests;
    dtci_arena codes = *arena; /* the codes are not needed for longer than this function */
    dtc_status status;
    if (!grids) return DTC_ERROR_SCRATCH;
    status = dtci_codes_open(&steps, blocks, from, bytes, &codes);
    if (status != DTC_OK) return status;
    status = dtci_codes_open(&lowests, blocks, from + bytes, dtci_get32(coded + 16), &codes);
    if (status != DTC_OK) return status;
    dtci_quant_decode_grids(grids, coded, steps, lowests, blocks);
    packet->grids = grids;
    return DTC_OK;
}

/* --- Fields to values --- */

/* to[i] = origin + (scale * fields[i] + first) * step, for n <= DTCI_CHUNK. The products and their sums with the origin
 * are exact in double, so that each value is rounded once. */
DTCI_INLINE void dtci_dequantize_body(char *DTCI_RESTRICT to, const uint32_t *fields, double origin, double step,
                                      int32_t scale, int32_t first, size_t n) {
    DTCI_EACH(i, n, dtci_float_put(to, i, (float)(origin + (double)(scale * (int32_t)fields[i] + first) * step)));
}

DTCI_TWIN(dtci_dequantize,
          (char *DTCI_RESTRICT to, const uint32_t *fields, double origin, double step, int32_t scale, int32_t first,
           size_t n),
          (to, fields, origin, step, scale, first, n))

/* Does what dtci_dequantize does where values may be beyond FLT_MAX. They are bounded to it. */
DTCI_COLD void dtci_dequantize_bounded(char *to, const uint32_t *fields, double origin, double step, int32_t scale,
                                       int32_t first, size_t n) {
    size_t i;
    for (i = 0; i < n; i++) {
        float x = dtci_to_float(origin + (double)(scale * (int32_t)fields[i] + first) * step);
        memcpy(to + 4 * i, &x, 4);
    }
}

/* Returns the m of SHIFTS in the wire format for the bin k. */
DTCI_INLINE int32_t dtci_quant_shifted_bin(int32_t k, int32_t rest, int32_t more) {
    int32_t down = -(int32_t)(k < 0), magnitude = (k ^ down) - down;
    int32_t m = magnitude * 256 - (rest & -(int32_t)(magnitude > 0)) - (more & -(int32_t)(magnitude == 1));
    return (m ^ down) - down;
}

/* to[i] = m * step with the m of SHIFTS in the wire format, k = fields[i] + first. */
DTCI_INLINE void dtci_quant_shifted_body(char *DTCI_RESTRICT to, const uint32_t *fields, const int32_t *shifts,
                                         double step, int32_t first, size_t n) {
    const int32_t rest = shifts[1], more = shifts[0] - shifts[1];
    DTCI_EACH(i, n,
              dtci_float_put(
                  to, i, (float)(0.0 + (double)dtci_quant_shifted_bin((int32_t)fields[i] + first, rest, more) * step)));
}

DTCI_TWIN(dtci_quant_shifted,
          (char *DTCI_RESTRICT to, const uint32_t *fields, const int32_t *shifts, double step, int32_t first, size_t n),
          (to, fields, shifts, step, first, n))

/* Writes the values of n fields of a packet with shifts to `to`; k = fields[i] + first. */
DTCI_FN void dtci_quant_shifted_floats(char *to, const dtci_quant *q, const uint32_t *fields, double step,
                                       int32_t first, size_t n) {
    size_t i;
    step /= 256;
    if (33554432 * fabs(step) <= (double)FLT_MAX) { /* 2^25 > any |m| */
        dtci_quant_shifted(to, fields, q->shifts, step, first, n);
        return;
    }
    for (i = 0; i < n; i++) {
        int32_t k = (int32_t)fields[i] + first, magnitude = k < 0 ? -k : k;
        double m = 256.0 * magnitude - (magnitude == 1 ? q->shifts[0] : magnitude ? q->shifts[1] : 0);
        float x = dtci_to_float(0.0 + (k < 0 ? -m : m) * step);
        memcpy(to + 4 * i, &x, 4);
    }
}

/* Writes the values of n fields to `to`; if as_bins is set, `fields` holds bins. fields[0] belongs to value `first`. */
DTCI_FN void dtci_quant_floats(char *to, const dtci_quant *q, int as_bins, const uint32_t *fields, size_t first,
                               size_t n) {
    int narrow = !q->variant.even && dtci_quant_field_bits(q->head, q->variant.bits) < 24;
    size_t block = dtci_block(q->head), at, stop;
    int32_t terms = (int32_t)q->head->terms;
    for (at = 0; at < n; at = stop) {
        size_t b = (first + at) / block;
        dtci_grid grid = dtci_quant_grid(q, b);
        double origin = grid.origin * (double)terms;
        int32_t scale = q->variant.even ? 2 : 1, k0 = q->variant.even ? terms : as_bins ? q->base : grid.lowest * terms;
        stop = (b + 1) * block - first < n ? (b + 1) * block - first : n;
        if (q->head->features & DTCI_QUANT_SHIFTS) {
            dtci_quant_shifted_floats(to + 4 * at, q, fields + at, grid.step, k0, stop - at);
        } else if (fabs(origin) + 67108864 * fabs(grid.step) > (double)FLT_MAX) { /* 2^26 > any |scale * field + k0| */
            dtci_dequantize_bounded(to + 4 * at, fields + at, origin, grid.step, scale, k0, stop - at);
        } else if (narrow && grid.step > 0 && k0 > -8388608 && k0 < 8388608) { /* other steps may give -0 */
            dtci_multiples(to + 4 * at, fields + at, (float)grid.step, k0, stop - at);
        } else {
            dtci_dequantize(to + 4 * at, fields + at, origin, grid.step, scale, k0, stop - at);
        }
    }
}

/* Reads the fields of values first .. first + n - 1 from an opened packet; if the coding is TOKENS, their bins. first
 * is a multiple of DTCI_CHUNK. */
DTCI_SHARED void dtci_quant_unpack(uint32_t *fields, const dtci_quant *q, const dtci_packet *packet, size_t first,
                                   size_t n) {
    if (q->variant.coding == DTCI_QUANT_CONSTANT)
        memset(fields, 0, n * sizeof *fields);
    else if (q->variant.coding == DTCI_QUANT_TOKENS)
        dtci_fields_from_bins(fields, packet->bins + first, 0, n);
    else
        dtci_fields_unpack(fields, packet->payload + q->fields_at, first, n,
                           dtci_quant_field_bits(q->head, q->variant.bits));
}

/* Turns the bins of values first .. first + n - 1 into fields, or fields into bins if to_bins is set, in place. */
DTCI_FN void dtci_quant_rebase(uint32_t *fields, const dtci_quant *q, int to_bins, size_t first, size_t n) {
    size_t at = 0, stop;
    if (q->variant.even || q->variant.rotate || !q->head->block) return;
    for (; at < n; at = stop) {
        dtci_part part = dtci_quant_part(q->head, 0, first + at);
        uint32_t shift = dtci_quant_shift(q, part.index);
        stop = part.end - first < n ? part.end - first : n;
        for (; at < stop; at++) fields[at] = to_bins ? fields[at] + shift : fields[at] - shift;
    }
}

/* --- Rotation --- */

/* Multiplies n <= DTCI_CHUNK values by unit, and negates those with a set mask in `negative`. */
DTCI_INLINE void dtci_quant_flip_body(float *DTCI_RESTRICT x, const uint32_t *DTCI_RESTRICT negative, double unit,
                                      size_t n) {
    DTCI_EACH(i, n,
              x[i] = dtci_bits_float(dtci_float_bits((float)((double)x[i] * unit)) ^ (negative[i] & 0x80000000u)));
}

DTCI_TWIN(dtci_quant_flip, (float *DTCI_RESTRICT x, const uint32_t *DTCI_RESTRICT negative, double unit, size_t n),
          (x, negative, unit, n))

/* Bounds n values to what a transform may get. With a shared range, values may be beyond the range by any factor; they
 * become +-1e30 / unit, so that the transform does not overflow. */
DTCI_COLD void dtci_quant_bound(float *x, double unit, size_t n) {
    float bound = dtci_to_float(1e30 / unit);
    size_t i;
    for (i = 0; i < n; i++) x[i] = x[i] > bound ? bound : x[i] < -bound ? -bound : x[i];
}

/* Turns n <= DTCI_CHUNK fields of a rotated packet into the integers that they stand for. `least` is the integer of
 * field 0. */
DTCI_INLINE void dtci_quant_integers_body(uint32_t *DTCI_RESTRICT to, const uint32_t *fields, unsigned even,
                                          uint32_t least, size_t n) {
    DTCI_EACH(i, n, to[i] = (fields[i] << even) + least);
}

DTCI_TWIN(dtci_quant_integers,
          (uint32_t * DTCI_RESTRICT to, const uint32_t *fields, unsigned even, uint32_t least, size_t n),
          (to, fields, even, least, n))

/* Returns the integer that field 0 of a rotated packet stands for, modulo 2^32. */
DTCI_FN uint32_t dtci_quant_least(const dtci_quant *q) {
    uint32_t terms = q->head->terms, bins = 1u << q->variant.bits;
    return q->variant.even ? terms - terms * bins : 0u - terms * (bins / 2 - 1);
}

DTCI_INLINE double dtci_quant_turned(uint32_t turned, uint32_t negative, double step) {
    return (double)(int32_t)((turned ^ negative) - negative) * step;
}

/* to[i] = sign * turned[i] * step, for n <= DTCI_CHUNK. */
DTCI_INLINE void dtci_quant_back_body(char *DTCI_RESTRICT to, const uint32_t *turned, const uint32_t *negative,
                                      double step, size_t n) {
    DTCI_EACH(i, n, dtci_float_put(to, i, (float)dtci_quant_turned(turned[i], negative[i], step)));
}

DTCI_TWIN(dtci_quant_back,
          (char *DTCI_RESTRICT to, const uint32_t *turned, const uint32_t *negative, double step, size_t n),
          (to, turned, negative, step, n))

/* Does what dtci_quant_back does where values may be beyond FLT_MAX. They are bounded to it. */
DTCI_COLD void dtci_quant_back_bounded(char *to, const uint32_t *turned, const uint32_t *negative, double step,
                                       size_t n) {
    size_t i;
    for (i = 0; i < n; i++) dtci_float_put(to, i, dtci_to_float(dtci_quant_turned(turned[i], negative[i], step)));
}

/* Transforms the integers of one part back, and delivers its values to the sink. */
DTCI_FN void dtci_quant_emit_part(const dtci_quant *q, uint32_t *turned, const dtci_part *part, const dtci_sink *sink) {
    dtci_random random = dtci_random_of(q->head->seed);
    unsigned level = dtci_hadamard_log2(part->end - part->first);
    double step = ldexp((double)dtci_get_float(q->grids + 4 * part->index), -(int)((level + 1) / 2));
    float chunk[DTCI_CHUNK];
    size_t at, n;
    dtci_hadamard_integer(turned + part->first, level);
    for (at = part->first; at < part->end; at += n) {
        uint32_t negative[DTCI_CHUNK];
        n = part->end - at < DTCI_CHUNK ? part->end - at : DTCI_CHUNK;
        dtci_sign_masks(negative, &random, at, n);
        if (fabs(step) < 1e28) /* such a step times an int32 is below FLT_MAX */
            dtci_quant_back(dtci_sink_place(chunk, sink, at), turned + at, negative, step, n);
        else
            dtci_quant_back_bounded(dtci_sink_place(chunk, sink, at), turned + at, negative, step, n);
        dtci_sink_finish(sink, at, chunk, n);
    }
}

/* Decodes a rotated packet. `turned` has room for `count` integers. */
DTCI_FN void dtci_quant_emit_rotated(const dtci_quant *q, const dtci_packet *packet, uint32_t *turned,
                                     const dtci_sink *sink) {
    size_t count = q->head->count, at, n;
    uint32_t fields[DTCI_CHUNK];
    dtci_part part;
    for (at = 0; at < count; at += n) {
        n = count - at < DTCI_CHUNK ? count - at : DTCI_CHUNK;
        dtci_quant_unpack(fields, q, packet, at, n);
        dtci_quant_integers(turned + at, fields, (unsigned)q->variant.even, dtci_quant_least(q), n);
    }
    for (part.end = 0; part.end < count;) {
        part = dtci_quant_part(q->head, 1, part.end);
        dtci_quant_emit_part(q, turned, &part, sink);
    }
}

/* Returns what determines the fields of a packet whose grids are valid. */
DTCI_SHARED dtci_quant dtci_quant_of(const dtci_packet *packet) {
    dtci_quant q;
    q.head = &packet->head;
    q.variant = dtci_quant_variant_of(&packet->head);
    q.grids = packet->grids ? packet->grids : packet->payload;
    q.base = 0;
    q.fields_at = (size_t)dtci_quant_list_at(packet);
    q.outliers.n = 0;
    if (q.head->features & DTCI_QUANT_SHIFTS) {
        q.shifts[0] = (int32_t)(packet->payload[q.fields_at - 2] ^ 128u) - 128;
        q.shifts[1] = (int32_t)(packet->payload[q.fields_at - 1] ^ 128u) - 128;
    }
    if (q.head->features & DTCI_OUTLIERS) {
        q.outliers = dtci_outliers_of(packet->payload + q.fields_at, q.head->count);
        q.fields_at += dtci_outliers_bytes(q.outliers.n, q.head->count);
    }
    q.bin_bits = dtci_bit_width(dtci_quant_top(&q));
    if (!q.variant.rotate && (packet->grids || !(q.head->features & DTCI_CODED))) dtci_quant_find_base(&q);
    return q;
}

/* --- Decode --- */

/* Decodes the group of packed fields that begins with value `first`, and returns 1. Returns 0 if it must be unpacked:
 * dtci_group_multiples cannot do it, or the values have not one grid, or products may not be exact in fp32. */
DTCI_FN int dtci_quant_group(char *to, const dtci_quant *q, const unsigned char *packed, size_t first, unsigned bits) {
    uint32_t block = (uint32_t)dtci_block(q->head), b = (uint32_t)first / block;
    dtci_grid grid = dtci_quant_grid(q, b);
    int32_t lowest = grid.lowest * (int32_t)q->head->terms;
    if (first - (size_t)b * block + DTCI_GROUP > block || !(grid.step > 0 && grid.step < 1e30) ||
        (uint32_t)lowest + 8388608u > 16777216u)
        return 0;
    dtci_group_multiples(to, packed + first / DTCI_GROUP * 32 * bits, (float)grid.step, lowest, bits);
    return 1;
}

/* Returns whether the packet may have groups for dtci_quant_group. */
DTCI_FN int dtci_quant_has_groups(const dtci_quant *q, unsigned bits) {
#if defined(DTCI_AVX2)
    if (!DTCI_CPU_HAS("avx2")) return 0;
#endif
    return DTCI_GROUP_DIRECT(bits) && q->variant.coding != DTCI_QUANT_CONSTANT &&
           q->variant.coding != DTCI_QUANT_TOKENS && !q->variant.even && !(q->head->features & DTCI_QUANT_SHIFTS);
}

DTCI_FN dtc_status dtci_quant_decode(const dtci_packet *packet, const dtci_sink *sink,
                                     const dtc_decode_options *options, dtci_arena *arena) {
    dtci_quant q = dtci_quant_of(packet);
    unsigned bits = dtci_quant_field_bits(q.head, q.variant.bits);
    size_t count = packet->head.count, first, n, next = 0;
    int groups = dtci_quant_has_groups(&q, bits);
    uint32_t fields[DTCI_CHUNK];
    float chunk[DTCI_CHUNK];
    (void)options;
    if (q.variant.rotate) {
        uint32_t *turned = (uint32_t *)dtci_take(arena, 4 * count);
        if (!turned && count) return DTC_ERROR_SCRATCH;
        dtci_quant_emit_rotated(&q, packet, turned, sink);
        return DTC_OK;
    }
    for (first = 0; first < count; first += n) {
        char *to = dtci_sink_place(chunk, sink, first);
        n = count - first < DTCI_CHUNK ? count - first : DTCI_CHUNK;
        if (!groups || n < DTCI_CHUNK || !dtci_quant_group(to, &q, packet->payload + q.fields_at, first, bits)) {
            dtci_quant_unpack(fields, &q, packet, first, n);
            dtci_quant_floats(to, &q, q.variant.coding == DTCI_QUANT_TOKENS, fields, first, n);
        }
        if (q.outliers.n) dtci_outliers_emit(to, &q.outliers, &next, first, n);
        dtci_sink_finish(sink, first, chunk, n);
    }
    return DTC_OK;
}

/* --- Encoder: grids --- */

/* What one encoding works with. The encoder finds the ranges (or rotates the values), chooses the grids, chooses the
 * coding and writes. */
typedef struct dtci_quant_work {
    dtci_quant q;
    dtci_encoding *e;
    dtci_source source; /* the values, or the rotated values */
    dtci_random random;
    int stochastic, shared; /* shared: the spec gives min or max */
    int rd;                 /* rounding for rate and distortion, where the grids allow it */
    int shifting;           /* the present bins are made with it */
    double up;              /* rd: a magnitude of k + 1 - up steps is rounded up to k + 1 */
    int32_t shifts[2];      /* rd: see SHIFTS in the wire format */
    size_t outliers;        /* number of values that are sent as outliers: those outside the range of their block */
    int sparse;             /* the packet has outliers alone, which are the largest values */
    float limits[2];        /* sparse: the least magnitude of an outlier, negated and as it is */
    dtci_outlier_rule rule; /* which values are outliers */
    float *ranges;          /* min and max of each part */
    unsigned char *grids;   /* 8 bytes of each part */
    unsigned char *coded;   /* the grids as CODED; NULL if they may not be coded */
    size_t coded_bytes;     /* 0 if CODED would not be smaller */
    uint16_t *bins;         /* the bins of the values, or of a sample of them */
    size_t binned;          /* number of bins */
    float *rotated;         /* the rotated values, times 2^-exponent; NULL without rotate */
    float *deviations;      /* root mean square of each rotated part; see dtci_quant_rotate */
    int *exponents;         /* of each part, so that its values stay far from the limits of float */
    double reach;           /* largest magnitude of any part, in its deviations */
    double squares;         /* sum of the squares of all values */
    dtci_coder coder;
    dtci_tokens_plan plan; /* of the tokens of the bins, if priced is set */
    int priced;            /* whether bins and plan belong to the present grids */
    int ahead;             /* each block is packed as soon as its range is known: see dtci_quant_find_ranges */
} dtci_quant_work;

/* How fine the grids shall be. Exactly one of the fields is not 0. */
typedef struct dtci_fineness {
    unsigned bits; /* a range has 2^bits bins */
    double levels; /* a range has this many steps, and the bits follow from it */
    double step;   /* a step has at most this width, and the bits follow from it */
} dtci_fineness;

/* Makes the grids of a rotated packet, whose ranges are symmetric and in units of the deviation of each part. Sets
 * w->ranges to the limits that values are clipped to. Returns 0 if workers * 2^bits would be too large. */
DTCI_COLD int dtci_quant_rotated_grids(dtci_quant_work *w, dtci_fineness fineness) {
    dtci_quant *q = &w->q;
    unsigned char *grids = w->grids;
    size_t parts = dtci_quant_parts(q->head, 1), b;
    double levels = fineness.levels, reach = w->reach, bins, loading = dtci_loading(fineness.bits);
    int32_t most; /* largest |k| of grid=zero */
    if (fineness.bits == 1) q->variant.even = 1;
    if (fineness.bits) {
        levels = (double)(1u << fineness.bits) - (q->variant.even ? 0 : 1) - (w->stochastic ? 1 : 0);
        if (!w->shared && !w->stochastic && loading < reach) reach = loading; /* clipping biases stochastic rounding */
    }
    if (q->variant.even) {
        bins = ceil(levels) + (w->stochastic ? 1 : 0);
        q->variant.bits = bins > 2 ? dtci_bit_width((uint32_t)bins - 1) : 1;
    } else {
        bins = w->stochastic ? ceil(levels / 2) : fineness.bits ? floor(levels / 2) : floor(levels / 2 + 0.5);
        q->variant.bits = bins > 1 ? dtci_bit_width((uint32_t)bins) + 1 : 2;
    }
    if (q->head->workers > DTCI_QUANT_ROTATED >> q->variant.bits) return 0;
    most = (int32_t)(1u << (q->variant.bits - 1)) - 1;
    for (b = 0; b < parts; b++) {
        float step = dtci_float_up(2 * reach * (double)w->deviations[b] / levels / (q->variant.even ? 2 : 1));
        float clip =
            q->variant.even ? step * (float)((1u << q->variant.bits) - (w->stochastic ? 1 : 0)) : step * (float)bins;
        w->ranges[2 * b] = -clip;
        w->ranges[2 * b + 1] = clip;
        if (q->variant.even) {
            dtci_put_float(grids + 8 * b, -step * (float)(1u << q->variant.bits));
            dtci_put_float(grids + 8 * b + 4, step);
        } else {
            dtci_put_float(grids + 8 * b, step);
            dtci_put32(grids + 8 * b + 4, (uint32_t)-most);
        }
    }
    dtci_quant_find_base(q);
    return 1;
}

/* Makes the even grid of one block for the range [min, max], with the width `step` of a bin. If `given` is set, the
 * width may only become smaller. Returns the number of the highest bin, or a negative number if so fine a width is not
 * possible. */
DTCI_COLD double dtci_quant_even_grid(unsigned char *to, const dtci_quant_work *w, double min, double max, double step,
                                      int given) {
    double workers = (double)w->q.head->workers, offset;
    double least = (-min > max ? -min : max > -max ? max : -max) * workers * (2 / DTCI_QUANT_HALVES);
    float half = given ? dtci_float_down(step / 2) : dtci_float_up(step / 2);
    if ((double)half < least) half = dtci_float_up(least);
    if (given && (double)half > step / 2) return -1;
    offset = w->stochastic ? min - (double)half : min;
    offset = offset > -(double)FLT_MAX ? offset : -(double)FLT_MAX;
    dtci_put_float(to, (float)offset);
    dtci_put_float(to + 4, half);
    return dtci_floor((max - offset) / (2 * (double)half) + (w->stochastic ? 0.5 : 0.0));
}

/* Makes the zero grid of one block for the range [min, max]. If `given` is set, the step may only become smaller.
 * Returns the number of the highest bin, or a negative number if `lowest` would be out of its range. */
DTCI_FN double dtci_quant_zero_grid(unsigned char *to, const dtci_quant_work *w, double min, double max, double step,
                                    int given) {
    double reach = DTCI_QUANT_LOWEST / (double)w->q.head->workers, low, high;
    float wire_step = given ? dtci_float_down(step) : dtci_float_up(step);
    double inverse = 1 / (double)wire_step;
    low = dtci_floor(w->stochastic ? min * inverse : min * inverse + 0.5);
    high = dtci_floor(w->stochastic ? -max * inverse : max * inverse + 0.5);
    if (w->stochastic) high = -high; /* rounded up */
    if (low < -reach || low > reach) return -1;
    dtci_put_float(to, wire_step);
    dtci_put32(to + 4, (uint32_t)(int32_t)low);
    return high - low;
}

/* Makes the grid of a block whose values are all equal. Field 0 decodes to exactly that value. */
DTCI_SHARED void dtci_quant_constant_grid(unsigned char *to, int even, float value) {
    dtci_put32(to, dtci_float_bits(value) & (even ? 0xffffffffu : 0x7fffffffu));
    dtci_put32(to + 4, even || !(value < 0 || value > 0) ? 0 : value < 0 ? 0xffffffffu : 1);
}

/* The sums by which the two grid points of one bit are chosen. */
typedef struct dtci_quant_halves {
    double sums[2];   /* of the values below `middle`, and of the others */
    size_t counts[2]; /* of these values */
    size_t zeros;     /* number of values that are 0 */
} dtci_quant_halves;

DTCI_COLD dtci_quant_halves dtci_quant_halve(const dtci_quant_work *w, size_t first, size_t end, double middle) {
    dtci_quant_halves halves;
    float chunk[DTCI_CHUNK];
    size_t n, i;
    memset(&halves, 0, sizeof halves);
    for (; first < end; first += n) {
        const char *values;
        n = end - first < DTCI_CHUNK ? end - first : DTCI_CHUNK;
        values = dtci_view(chunk, &w->source, first, n);
        for (i = 0; i < n; i++) {
            double x = (double)dtci_float_at(values, i);
            int above = x > middle;
            halves.sums[above] += x;
            halves.counts[above]++;
            halves.zeros += !(x < 0 || x > 0);
        }
    }
    return halves;
}

/* Makes the grid of one bit for part b, whose values are not all equal. If most values are 0, the grid points are 0 and
 * the mean of the positive or of the negative values, whichever leaves less error: grid=zero. Otherwise they are the
 * means of the values on both sides of the mean: grid=even. Returns 0 if the other grid was tried and is needed. */
DTCI_COLD int dtci_quant_one_bit_grid(dtci_quant_work *w, size_t b) {
    dtci_part part = dtci_quant_part(w->q.head, 0, b * dtci_block(w->q.head));
    dtci_quant_halves halves = dtci_quant_halve(w, part.first, part.end, 0);
    double n = (double)(part.end - part.first), low, high;
    unsigned char *to = w->grids + 8 * b;
    if (!w->q.variant.even) {
        size_t negative = halves.counts[0] - halves.zeros, positive = halves.counts[1];
        if (2 * halves.zeros <= part.end - part.first) return 0;
        low = negative ? halves.sums[0] / (double)negative : 0;
        high = positive ? halves.sums[1] / (double)positive : 0;
        if (low * low * (double)negative > high * high * (double)positive) {
            dtci_put_float(to, (float)-low);
            dtci_put32(to + 4, 0xffffffffu);
        } else {
            dtci_put_float(to, (float)high);
            dtci_put32(to + 4, 0);
        }
        return 1;
    }
    halves = dtci_quant_halve(w, part.first, part.end, (halves.sums[0] + halves.sums[1]) / n);
    low = halves.counts[0] ? halves.sums[0] / (double)halves.counts[0] : (double)w->ranges[2 * b];
    high = halves.counts[1] ? halves.sums[1] / (double)halves.counts[1] : (double)w->ranges[2 * b + 1];
    dtci_put_float(to, dtci_to_float(low - (high - low) / 2));
    dtci_put_float(to + 4, (float)((high - low) / 2));
    if (!dtci_quant_grid_valid(to, 1, (double)w->q.head->workers)) {
        double half = ((double)w->ranges[2 * b + 1] - (double)w->ranges[2 * b]) / 4;
        (void)dtci_quant_even_grid(to, w, (double)w->ranges[2 * b], (double)w->ranges[2 * b + 1], 2 * half, 0);
    }
    return 1;
}

/* Makes the grids of one bit. All blocks have grid=even if one of them needs it. */
DTCI_COLD int dtci_quant_one_bit_grids(dtci_quant_work *w) {
    size_t blocks = dtci_blocks(w->q.head), b;
    w->q.variant.bits = 1;
    for (b = 0; b < blocks; b++) {
        if (!(w->ranges[2 * b] < w->ranges[2 * b + 1])) {
            dtci_quant_constant_grid(w->grids + 8 * b, w->q.variant.even, w->ranges[2 * b]);
        } else if (!dtci_quant_one_bit_grid(w, b)) {
            w->q.variant.even = 1;
            return dtci_quant_one_bit_grids(w);
        }
    }
    dtci_quant_find_base(&w->q);
    return 1;
}

/* Returns the step of a block that needs a step of at least `step`. Grids that may be CODED have steps of the lattice.
 */
DTCI_FN double dtci_quant_block_step(const dtci_quant_work *w, double step) {
    uint32_t position;
    if (!w->coded || w->q.variant.even || !(step > (double)FLT_MIN && step < (double)FLT_MAX / 2)) return step;
    position = (uint32_t)(DTCI_QUANT_ONE + floor(32 * log2(step)));
    while (dtci_lattice(2 * position) < step) position++;
    return dtci_lattice(2 * position);
}

/* Makes the grid of block b: with steps of `given`, or if that is 0 with `levels` steps in the range of the block.
 * Returns the number of the highest bin, or a negative number if there is no such grid. */
DTCI_SHARED double dtci_quant_block_grid(dtci_quant_work *w, size_t b, double levels, double given) {
    double min = (double)w->ranges[2 * b], max = (double)w->ranges[2 * b + 1];
    double step = given > 0 ? given : dtci_quant_block_step(w, (max - min) / levels);
    unsigned char *to = w->grids + 8 * b;
    if (!(min < max)) {
        dtci_quant_constant_grid(to, w->q.variant.even, w->ranges[2 * b]);
        return 0;
    }
    return w->q.variant.even ? dtci_quant_even_grid(to, w, min, max, step, given > 0)
                             : dtci_quant_zero_grid(to, w, min, max, step, given > 0);
}

/* Makes the grids of all parts for w->ranges. If a block cannot have grid=zero, all blocks have grid=even. Returns 0 if
 * the grids would need more than 16 bits or cannot be as fine as asked for. */
DTCI_FN int dtci_quant_make_grids(dtci_quant_work *w, dtci_fineness fineness) {
    dtci_quant *q = &w->q;
    size_t blocks = dtci_blocks(q->head), b;
    double levels = fineness.levels;
    if (q->variant.rotate) return dtci_quant_rotated_grids(w, fineness);
    if (fineness.bits == 1 && !w->stochastic && !w->shared) return dtci_quant_one_bit_grids(w);
    if (fineness.bits == 1) q->variant.even = 1;
    if (fineness.bits) levels = (double)(1u << fineness.bits) - (q->variant.even ? 0 : 1) - (w->stochastic ? 1 : 0);
    q->variant.bits = fineness.bits ? fineness.bits : 1;
    for (b = 0; b < blocks; b++) {
        double top = dtci_quant_block_grid(w, b, levels, fineness.step);
        if (top < 0 && q->variant.even) return 0;
        if (top < 0) {
            q->variant.even = 1;
            return dtci_quant_make_grids(w, fineness);
        }
        if (!fineness.bits) {
            unsigned bits = top < 65536 ? dtci_bit_width((uint32_t)top) : DTCI_QUANT_BITS_MAX + 1;
            if (bits > DTCI_QUANT_BITS_MAX) return 0;
            if (bits > q->variant.bits) q->variant.bits = bits;
        }
    }
    dtci_quant_find_base(q);
    return 1;
}

/* --- Encoder: values to fields --- */

/* How a kernel turns the values of one part into fields. A value is bounded to min .. max. Its field is the integer
 * part of (value - origin) * inverse + bias, at most top; stochastic rounding adds a random number in [0, 1) before.
 * With up > 0, the magnitude of the field plus lowest is the integer part of |value| * inverse + up. The kernel adds
 * shift to the field. */
typedef struct dtci_quantizer {
    float min, max;
    double origin, inverse, bias, top, up;
    int32_t lowest;
    uint32_t shift;
    int stochastic;
} dtci_quantizer;

/* Quantizes n values to fields by means of up. n is a multiple of DTCI_STRIP. */
DTCI_INLINE void dtci_quantize_up_body(uint32_t *DTCI_RESTRICT fields, const char *values, const dtci_quantizer *by,
                                       size_t n) {
    float min = by->min, max = by->max;
    double inverse = by->inverse, up = by->up;
    int32_t lowest = by->lowest, top = (int32_t)by->top;
    uint32_t shift = by->shift;
    size_t i;
    for (; n; n -= DTCI_STRIP, values += 4 * DTCI_STRIP, fields += DTCI_STRIP)
        for (i = 0; i < DTCI_STRIP; i++) {
            float value = dtci_float_at(values, i), x = value > min ? value : min;
            uint32_t bits = dtci_float_bits(x < max ? x : max);
            int32_t down = -(int32_t)(bits >> 31); /* -1 for values below 0 */
            int32_t k = (int32_t)((double)dtci_bits_float(bits & 0x7fffffffu) * inverse + up);
            int32_t field = (k ^ down) - down - lowest;
            fields[i] = (uint32_t)(field < top ? field : top) + shift;
        }
}

DTCI_TWIN(dtci_quantize_up, (uint32_t * DTCI_RESTRICT fields, const char *values, const dtci_quantizer *by, size_t n),
          (fields, values, by, n))

/* Quantizes n values to fields; values[0] is value `first`. n is a multiple of DTCI_STRIP. */
DTCI_INLINE void dtci_quantize_as(uint32_t *DTCI_RESTRICT fields, const char *values, const dtci_quantizer *by,
                                  int stochastic, const dtci_random *random, size_t first, size_t n) {
    float min = by->min, max = by->max;
    double origin = by->origin, inverse = by->inverse, bias = by->bias, top = by->top;
    uint32_t shift = by->shift;
    size_t i;
    for (; n; n -= DTCI_STRIP, values += 4 * DTCI_STRIP, fields += DTCI_STRIP, first += DTCI_STRIP)
        for (i = 0; i < DTCI_STRIP; i++) {
            float value = dtci_float_at(values, i), x = value > min ? value : min;
            double t = ((double)(x < max ? x : max) - origin) * inverse + bias;
            if (stochastic) { /* below: SIMD converts int32, not uint32 */
                uint32_t draw = dtci_random_at(random, (uint32_t)(first + i));
                t += ((double)(int32_t)(draw ^ 0x80000000u) + 2147483648.0) * (1 / 4294967296.0);
            }
            t = t < top ? t : top; /* rounding errors can bring t above top; the cast makes a t just below 0 to 0 */
            fields[i] = (uint32_t)(int32_t)t + shift;
        }
}

DTCI_INLINE void dtci_quantize_body(uint32_t *DTCI_RESTRICT fields, const char *values, const dtci_quantizer *by,
                                    const dtci_random *random, size_t first, size_t n) {
    if (by->stochastic)
        dtci_quantize_as(fields, values, by, 1, random, first, n);
    else
        dtci_quantize_as(fields, values, by, 0, random, first, n);
}

DTCI_TWIN(dtci_quantize,
          (uint32_t * DTCI_RESTRICT fields, const char *values, const dtci_quantizer *by, const dtci_random *random,
           size_t first, size_t n),
          (fields, values, by, random, first, n))

#if defined(DTCI_AVX2)
/* How dtci_quantize_group_avx2 finds fields in fp32: value * inverse is bounded to low .. high and rounded to nearest,
 * and the lowest grid point is subtracted. Where the products of a group are nearer than `sure` to these integers, the
 * fields are those of dtci_quantize. Below 0.4997 few groups would be so sure. */
typedef struct dtci_quick {
    float inverse, low, high, shift, sure;
} dtci_quick;

typedef int dtci_i8 __attribute__((vector_size(32)));

/* dtci_quick in vectors. `worst` is the largest distance of a product from its integer, so far. */
typedef struct dtci_quick8 {
    dtci_f8 inverse, low, high, shift, worst;
} dtci_quick8;

/* Puts the fields of eight values below those in `fields`; bits above the low byte are meaningless. The sum of a number
 * and shift = 1.5 * 2^23 - lowest is an integer, with the field in its low bits. */
DTCI_AVX2_INLINE dtci_u8 dtci_quantize_below(dtci_u8 fields, const char *values, dtci_quick8 *by, unsigned bits) {
    dtci_f8 x = *(const dtci_f8 *)values * by->inverse, sum;
    x = __builtin_ia32_minps256(__builtin_ia32_maxps256(x, by->low), by->high);
    sum = x + by->shift;
    __asm__("" : "+x"(sum)); /* keeps -ffast-math from cancelling shift */
    x -= sum - by->shift;
    by->worst = __builtin_ia32_maxps256((dtci_f8)((dtci_u8)x & 0x7fffffffu), by->worst);
    return (fields << bits) + (dtci_u8)sum;
}

/* Quantizes and packs a group of fields of 8, 4 or 2 bits. Returns whether all fields are sure. */
DTCI_AVX2 int dtci_quantize_group_avx2(unsigned char *to, const char *values, const dtci_quick *by, unsigned bits) {
    const dtci_i8 order = {0, 4, 1, 5, 2, 6, 3, 7};
    const dtci_f8 zero = {0, 0, 0, 0, 0, 0, 0, 0};
    const dtci_u8 byte = (dtci_u8)zero + 255;
    dtci_quick8 by8 = {zero + by->inverse, zero + by->low, zero + by->high, zero + by->shift, zero};
    const size_t plane = 128 * (size_t)bits; /* bytes of the values of a part of all bytes */
    const char *end;
    for (end = values + plane; values < end; values += 128, to += 32) {
        dtci_u8 a = (dtci_u8)zero, b = a, c = a, d = a;
        const char *part = values + 1024;
        do {
            part -= plane;
            a = dtci_quantize_below(a, part, &by8, bits);
            b = dtci_quantize_below(b, part + 32, &by8, bits);
            c = dtci_quantize_below(c, part + 64, &by8, bits);
            d = dtci_quantize_below(d, part + 96, &by8, bits);
        } while (part != values);
        *(dtci_u8 *)to = (dtci_u8)__builtin_ia32_permvarsi256(
            (dtci_i8)__builtin_ia32_packuswb256(__builtin_ia32_packusdw256((dtci_i8)(a & byte), (dtci_i8)(b & byte)),
                                                __builtin_ia32_packusdw256((dtci_i8)(c & byte), (dtci_i8)(d & byte))),
            order);
    }
    return __builtin_ia32_movmskps256((dtci_f8)(by8.worst < zero + by->sure)) == 255;
}
#endif

/* Narrows the range of a quantizer of one bit to where fields are 0 or 1. */
DTCI_COLD void dtci_quant_clip_one_bit(dtci_quantizer *by, const dtci_quant *q, const dtci_grid *grid) {
    float min = (float)(q->variant.even ? grid->origin : (double)grid->lowest * grid->step);
    float max = (float)((double)(grid->lowest + 1) * grid->step);
    if (by->min < min) by->min = min;
    if (by->max > max && !q->variant.even) by->max = max;
}

/* Returns how the values of a part with this grid become fields. */
DTCI_SHARED dtci_quantizer dtci_quant_quantizer(const dtci_quant_work *w, size_t part, const dtci_grid *grid) {
    const dtci_quant *q = &w->q;
    dtci_quantizer by;
    by.min = w->ranges[2 * part];
    by.max = w->ranges[2 * part + 1];
    if (q->variant.bits == 1 && !w->stochastic && !w->shared) /* the two grid points do not span the range */
        dtci_quant_clip_one_bit(&by, q, grid);
    by.origin = grid->origin;
    by.inverse = grid->step > 0 ? 1 / (q->variant.even ? 2 * grid->step : grid->step) : 0;
    by.bias = 0.5 * (1 - w->stochastic - q->variant.even) - (double)grid->lowest; /* rounding to nearest adds 0.5 */
    by.top = (double)((1u << q->variant.bits) - 1);
    by.up = w->up;
    by.lowest = grid->lowest;
    by.shift = 0;
    by.stochastic = w->stochastic;
    return by;
}

/* Quantizes values first .. first + n - 1, n <= DTCI_CHUNK. If `any` is NULL, the results are fields. Otherwise the
 * results are bins, and *any becomes nonzero if it was, or if a field whose step is not 0 is. */
DTCI_SHARED void dtci_quant_fields(uint32_t *fields, uint32_t *any, const dtci_quant_work *w, size_t first, size_t n) {
    const dtci_quant *q = &w->q;
    size_t at, stop, i;
    uint32_t quantized[DTCI_CHUNK];
    float chunk[DTCI_CHUNK];
    const char *values = dtci_view(chunk, &w->source, first, n);
    for (at = 0; at < n; at = stop) {
        dtci_part part = dtci_quant_part(q->head, q->variant.rotate, first + at);
        dtci_grid grid = dtci_quant_grid(q, part.index);
        uint32_t shift = (uint32_t)(grid.lowest - q->base);
        stop = part.end - first < n ? part.end - first : n;
        if (!(grid.step > 0)) {
            uint32_t zero = q->variant.rotate ? (uint32_t)-grid.lowest
                            : any             ? shift
                                              : 0; /* probably the commonest bin */
            for (i = at; i < stop; i++) fields[i] = zero;
        } else {
            dtci_quantizer by = dtci_quant_quantizer(w, part.index, &grid);
            size_t m = stop - at, strips = (m + DTCI_STRIP - 1) & ~(size_t)(DTCI_STRIP - 1);
            float copy[DTCI_CHUNK];
            const char *from = values + 4 * at;
            by.shift = any ? shift : 0;
            if (m < strips) {
                memset(copy, 0, 4 * strips);
                from = (const char *)memcpy(copy, from, 4 * m);
            }
            if (w->shifting)
                dtci_quantize_up(quantized, from, &by, strips);
            else
                dtci_quantize(quantized, from, &by, &w->random, first + at, strips);
            memcpy(fields + at, quantized, 4 * m);
            for (i = at; any && !*any && i < stop; i++) *any = fields[i] ^ shift;
        }
    }
}

/* Quantizes one of `stride` chunks of values to w->bins, and sets w->binned to their number. Returns 0 if no field
 * needs to be stored, because each field is 0 or its step is 0. */
DTCI_SHARED uint32_t dtci_quant_bin_all(dtci_quant_work *w, size_t stride) {
    size_t count = w->q.head->count, first, n;
    uint32_t fields[DTCI_CHUNK], any = 0;
    w->binned = 0;
    for (first = 0; first < count; first += stride * DTCI_CHUNK) {
        n = count - first < DTCI_CHUNK ? count - first : DTCI_CHUNK;
        dtci_quant_fields(fields, &any, w, first, n);
        dtci_bins_from_fields(w->bins + w->binned, fields, n);
        w->binned += n;
    }
    return any;
}

#if defined(DTCI_AVX2)
/* Returns how the fields of a part are found in fp32. A product in fp32 is wrong by 2^-23 of it at most, and that of
 * dtci_quantize by far less. Both bound a value to the fields of min and max. */
DTCI_FN dtci_quick dtci_quant_quick(const dtci_quant_work *w, const dtci_part *part) {
    dtci_grid grid = dtci_quant_grid(&w->q, part->index);
    dtci_quantizer by = dtci_quant_quantizer(w, part->index, &grid);
    double least = (double)by.min * by.inverse + by.bias, most = (double)by.max * by.inverse + by.bias;
    dtci_quick quick;
    quick.inverse = (float)by.inverse;
    quick.low = (float)((int32_t)least + grid.lowest);
    quick.high = (float)((int32_t)(most < by.top ? most : by.top) + grid.lowest);
    quick.shift = (float)(12582912 - grid.lowest);
    quick.sure = 0.5f - (1 + (quick.high > -quick.low ? quick.high : -quick.low)) * (1.25f / 8388608);
    if (!(grid.step > 1e-30 && grid.step < 1e30)) quick.sure = 0;
    return quick;
}
#endif

/* Quantizes values first .. end - 1 to fields, and packs the fields. `first` is a multiple of DTCI_CHUNK, and so is
 * `end`, unless it is the number of all values. */
DTCI_SHARED void dtci_quant_pack(unsigned char *to, const dtci_quant_work *w, size_t first, size_t end) {
    unsigned bits = dtci_quant_field_bits(w->q.head, w->q.variant.bits);
    uint32_t fields[DTCI_CHUNK];
    size_t n;
#if defined(DTCI_AVX2)
    int quickly = DTCI_GROUP_DIRECT(bits) && !w->q.variant.even && !w->stochastic && DTCI_CPU_HAS("avx2");
    dtci_part part = {0, 0, 0};
    dtci_quick quick = {0, 0, 0, 0, 0};
#endif
    for (; first < end; first += n) {
        n = end - first < DTCI_CHUNK ? end - first : DTCI_CHUNK;
#if defined(DTCI_AVX2)
        if (quickly && first >= part.end) {
            part = dtci_quant_part(w->q.head, w->q.variant.rotate, first);
            quick = dtci_quant_quick(w, &part);
        }
        if (quick.sure > 0.4997f && n == DTCI_CHUNK && first + n <= part.end) {
            float chunk[DTCI_CHUNK];
            const char *values = dtci_view(chunk, &w->source, first, n);
            if (dtci_quantize_group_avx2(to + first / DTCI_GROUP * 32 * bits, values, &quick, bits)) continue;
        }
#endif
        dtci_quant_fields(fields, NULL, w, first, n);
        dtci_fields_pack(to, fields, first, n, bits);
    }
}

/* Packs the fields of all bins. */
DTCI_SHARED void dtci_quant_pack_bins(unsigned char *to, const dtci_quant *q, const uint16_t *bins) {
    unsigned bits = dtci_quant_field_bits(q->head, q->variant.bits);
    size_t count = q->head->count, first, n;
    uint32_t fields[DTCI_CHUNK];
    for (first = 0; first < count; first += n) {
        n = count - first < DTCI_CHUNK ? count - first : DTCI_CHUNK;
        dtci_fields_from_bins(fields, bins + first, 0, n);
        dtci_quant_rebase(fields, q, 0, first, n);
        dtci_fields_pack(to, fields, first, n, bits);
    }
}

/* --- Encoder: rotation --- */

/* Writes values first .. end - 1, times unit and their signs, to w->rotated. */
DTCI_FN void dtci_quant_flip_all(dtci_quant_work *w, size_t first, size_t end, double unit) {
    uint32_t negative[DTCI_CHUNK];
    float chunk[DTCI_CHUNK];
    size_t n;
    for (; first < end; first += n) {
        n = end - first < DTCI_CHUNK ? end - first : DTCI_CHUNK;
        dtci_gather(chunk, &w->e->source, first, n);
        dtci_sign_masks(negative, &w->random, first, n);
        if (w->shared) dtci_quant_bound(chunk, unit, n);
        dtci_quant_flip(chunk, negative, unit, n);
        memcpy(w->rotated + first, chunk, 4 * n);
    }
}

/* Rotates the values, times 2^-exponent, part by part. Sets w->exponents, deviations, reach and ranges. With a shared
 * range, the exponent follows from the range, and the deviation of a part is the largest that values in the range can
 * have. Returns 0 if a value is not finite. */
DTCI_FN int dtci_quant_rotate(dtci_quant_work *w) {
    double max = (double)w->e->spec->quant.max;
    size_t count = w->q.head->count, size, i;
    dtci_part part;
    w->source = dtci_source_of(w->rotated);
    w->reach = w->shared ? 1 : 0;
    for (part.end = 0; part.end < count;) {
        double unit, deviation, largest;
        dtci_stats stats;
        part = dtci_quant_part(w->q.head, 1, part.end);
        size = part.end - part.first;
        stats = dtci_scan(&w->e->source, part.first, size);
        w->squares += stats.squares;
        if (!stats.finite) return 0;
        largest = (double)dtci_stats_reach(&stats);
        (void)frexp(w->shared ? max : largest, &w->exponents[part.index]);
        unit = ldexp(1, -w->exponents[part.index]);
        dtci_quant_flip_all(w, part.first, part.end, unit);
        dtci_hadamard(w->rotated + part.first, dtci_hadamard_log2(size));
        stats = dtci_scan(&w->source, part.first, size);
        largest = (double)dtci_stats_reach(&stats);
        deviation = dtci_stats_sigma(&stats, size);
        if (w->shared) deviation = max * unit * sqrt((double)size);
        w->deviations[part.index] = (float)deviation;
        if (!w->shared && deviation > 0 && largest > w->reach * deviation) w->reach = largest / deviation;
    }
    for (i = 0; i < dtci_quant_parts(w->q.head, 1); i++) {
        w->ranges[2 * i + 1] = (float)(w->reach * (double)w->deviations[i]);
        w->ranges[2 * i] = -w->ranges[2 * i + 1];
    }
    return 1;
}

/* Sums over the rotated values x of a part and the integers c that they were rounded to. */
typedef struct dtci_quant_products {
    double squares, dot, rounded; /* <x, x>, <c, x> and <c, c> */
} dtci_quant_products;

/* Adds n values and the integers that they were rounded to to *sums. The sums have four parts, so that the compiler can
 * use vectors, whose width does not change the result. */
DTCI_INLINE void dtci_quant_sum_products_body(dtci_quant_products *sums, const float *x, const uint32_t *integers,
                                              size_t n) {
    double squares[4] = {0, 0, 0, 0}, dots[4] = {0, 0, 0, 0}, rounded[4] = {0, 0, 0, 0};
    size_t i, j;
    for (i = 0; i + 4 <= n; i += 4) {
        for (j = 0; j < 4; j++) {
            double value = (double)x[i + j], integer = (double)(int32_t)integers[i + j];
            squares[j] += value * value;
            dots[j] += value * integer;
            rounded[j] += integer * integer;
        }
    }
    for (j = 0; i < n; i++, j++) {
        double value = (double)x[i], integer = (double)(int32_t)integers[i];
        squares[j] += value * value;
        dots[j] += value * integer;
        rounded[j] += integer * integer;
    }
    sums->squares += (squares[0] + squares[1]) + (squares[2] + squares[3]);
    sums->dot += (dots[0] + dots[1]) + (dots[2] + dots[3]);
    sums->rounded += (rounded[0] + rounded[1]) + (rounded[2] + rounded[3]);
}

DTCI_TWIN(dtci_quant_sum_products, (dtci_quant_products * sums, const float *x, const uint32_t *integers, size_t n),
          (sums, x, integers, n))

DTCI_FN dtci_quant_products dtci_quant_multiply(const dtci_quant_work *w, const dtci_part *part) {
    const dtci_quant *q = &w->q;
    dtci_quant_products sums = {0, 0, 0};
    size_t at, n;
    for (at = part->first; at < part->end; at += n) {
        uint32_t fields[DTCI_CHUNK], turned[DTCI_CHUNK];
        n = part->end - at < DTCI_CHUNK ? part->end - at : DTCI_CHUNK;
        dtci_fields_from_bins(fields, w->bins + at, 0, n);
        dtci_quant_integers(turned, fields, (unsigned)q->variant.even, dtci_quant_least(q), n);
        dtci_quant_sum_products(&sums, w->rotated + at, turned, n);
    }
    return sums;
}

/* Returns the step of a part of rotated values. Without stochastic rounding and without a shared range, the step is
 * squares / dot, which removes the bias of rounding; or dot / rounded, which has the least squared error; or with a
 * residual one between them. */
DTCI_FN double dtci_quant_rotated_step(const dtci_quant_work *w, size_t b, const dtci_quant_products *sums) {
    int least = w->e->spec->quant.biased;
    if (w->shared || (w->stochastic && !least)) return dtci_quant_grid(&w->q, b).step;
    if (!(sums->dot > 0)) return 0;
    if (least) return sums->dot / sums->rounded;
    return w->e->residual ? dtci_encoding_factor(sums->dot, sums->rounded, sums->squares) : sums->squares / sums->dot;
}

/* Returns the step of part b in the packet, whose values are not rotated, and not multiplied by 2^-exponent. */
DTCI_FN float dtci_quant_wire_step(const dtci_quant_work *w, const dtci_part *part, const dtci_quant_products *sums) {
    double step = dtci_quant_rotated_step(w, part->index, sums);
    step = ldexp(step, w->exponents[part->index] - (int)dtci_hadamard_log2(part->end - part->first) / 2);
    return (float)(step < (double)FLT_MAX ? step : (double)FLT_MAX);
}

/* Returns the squared error of rotated values with the present bins. */
DTCI_COLD double dtci_quant_rotated_error(const dtci_quant_work *w) {
    double error = 0;
    dtci_part part;
    for (part.end = 0; part.end < w->q.head->count;) {
        dtci_quant_products sums;
        double step;
        int level;
        part = dtci_quant_part(w->q.head, 1, part.end);
        level = (int)dtci_hadamard_log2(part.end - part.first);
        sums = dtci_quant_multiply(w, &part);
        step = ldexp((double)dtci_quant_wire_step(w, &part, &sums), level / 2 - w->exponents[part.index]);
        error +=
            ldexp(sums.squares + step * (step * sums.rounded - 2 * sums.dot), 2 * w->exponents[part.index] - level);
    }
    return error;
}

/* Writes the step of each part. */
DTCI_FN void dtci_quant_write_steps(unsigned char *to, const dtci_quant_work *w) {
    dtci_part part;
    for (part.end = 0; part.end < w->q.head->count;) {
        dtci_quant_products sums;
        part = dtci_quant_part(w->q.head, 1, part.end);
        sums = dtci_quant_multiply(w, &part);
        dtci_put_float(to + 4 * part.index, dtci_quant_wire_step(w, &part, &sums));
    }
}

/* --- Scratch --- */

/* Returns the most bits of a bin that the tables in scratch have room for. */
DTCI_FN unsigned dtci_quant_bin_bits_max(const dtc_spec *spec) {
    return spec->quant.bits > 0 && (!spec->block || spec->quant.rotate) ? (unsigned)spec->quant.bits
                                                                        : DTCI_QUANT_BITS_MAX;
}

/* Returns whether there are more than count / 2 parts. Their grids would be about as large as the values, so the
 * encoder stores the values as raw fp32, and decoders refuse such a packet. */
DTCI_FN int dtci_quant_goes_raw(const dtci_head *head, int rotate) {
    return dtci_quant_parts(head, rotate) > head->count / 2;
}

/* Returns a number of parts that no tensor of at most `count` values exceeds. Scratch must not shrink when count grows,
 * but the exact number of rotated parts does. */
DTCI_FN size_t dtci_quant_most_parts(const dtc_spec *spec, size_t count) {
    size_t block = spec->block && spec->block < count ? spec->block : count, blocks;
    blocks = block ? dtci_ceil_div(count, block) : 0;
    if (!spec->quant.rotate) return blocks;
    return blocks * ((block >> DTCI_HADAMARD_MAX) + dtci_bit_width((uint32_t)(block < 65535 ? block : 65535)));
}

/* The result is bounded to SIZE_MAX, so that a size that cannot be addressed fails as too little scratch. */
DTCI_COLD size_t dtci_quant_scratch(const dtc_spec *spec, size_t count) {
    size_t parts = dtci_quant_most_parts(spec, count);
    uint64_t bytes =
        (dtci_quant_may_code(spec) ? 3 : 2) * (uint64_t)dtci_take_bytes(8 * parts) + dtci_take_bytes(2 * count);
    if (spec->quant.entropy == DTC_ENTROPY_HUFFMAN) bytes += dtci_coder_scratch(count, dtci_quant_bin_bits_max(spec));
    if (spec->quant.rotate)
        bytes +=
            (uint64_t)dtci_take_bytes(4 * parts) + dtci_take_bytes(sizeof(int) * parts) + dtci_take_bytes(4 * count);
    return bytes < SIZE_MAX ? (size_t)bytes : SIZE_MAX;
}

/* See dtci_quant_open_scratch. */
DTCI_COLD size_t dtci_quant_read_scratch(const dtc_spec *spec, size_t count) {
    size_t blocks = spec->block && spec->block < count ? dtci_ceil_div(count, spec->block) : 1;
    size_t tokens = spec->quant.entropy == DTC_ENTROPY_HUFFMAN ? dtci_bins_scratch(count) : 0;
    if (spec->quant.rotate) return tokens + dtci_take_bytes(4 * count);
    if (!dtci_quant_may_code(spec)) return tokens;
    return tokens + dtci_take_bytes(2 * blocks) + dtci_take_bytes(2 * blocks) + dtci_take_bytes(8 * blocks);
}

/* Takes the arrays of an encoding from its arena. Returns 0 if the scratch is too small. */
DTCI_FN int dtci_quant_take(dtci_quant_work *w) {
    const dtc_spec *spec = w->e->spec;
    dtci_arena *arena = &w->e->arena;
    size_t count = w->q.head->count, parts = dtci_quant_parts(w->q.head, w->q.variant.rotate);
    w->ranges = (float *)dtci_take(arena, 8 * parts);
    w->grids = (unsigned char *)dtci_take(arena, 8 * parts);
    w->bins = (uint16_t *)dtci_take(arena, 2 * count);
    w->q.grids = w->grids;
    w->rule.ranges = w->ranges;
    w->rule.block = dtci_block(w->q.head);
    /* a nested head has no room for features */
    if (dtci_quant_may_code(spec) && 8 * parts > DTCI_QUANT_CODED_BYTES && w->e->packet) {
        w->coded = (unsigned char *)dtci_take(arena, 8 * parts);
        if (!w->coded) return 0;
    }
    if (w->q.variant.rotate) {
        w->exponents = (int *)dtci_take(arena, sizeof(int) * parts);
        w->deviations = (float *)dtci_take(arena, 4 * parts);
        w->rotated = (float *)dtci_take(arena, 4 * count);
        if (!w->exponents || !w->deviations || !w->rotated) return 0;
    }
    if (spec->quant.entropy == DTC_ENTROPY_HUFFMAN &&
        !dtci_coder_take(&w->coder, count, dtci_quant_bin_bits_max(spec), arena))
        return 0;
    return w->ranges && w->grids && w->bins;
}

/* --- Encoder: choice of grid and coding --- */

/* Returns whether the packet may have features. Sums, agreed ranges and rotated values exclude them. */
DTCI_SHARED int dtci_quant_may_extend(const dtci_quant_work *w) {
    return w->q.head->workers == 1 && !w->shared && w->e->packet;
}

#define DTCI_QUANT_CLASSES 64u /* of magnitudes, half an octave each, that are counted to find outliers */

/* Counts the magnitudes of n values from `first` by classes of half an octave, downwards from the class of `largest`.
 * The last class has all smaller values that are not 0. */
DTCI_KERNEL void dtci_quant_count_classes(uint32_t *counts, const dtci_quant_work *w, size_t first, size_t n,
                                          float largest) {
    uint32_t top = dtci_float_bits(largest) >> 22;
    size_t at, m, i;
    float chunk[DTCI_CHUNK];
    memset(counts, 0, DTCI_QUANT_CLASSES * sizeof *counts);
    for (at = 0; at < n; at += m) {
        const char *values;
        m = n - at < DTCI_CHUNK ? n - at : DTCI_CHUNK;
        values = dtci_view(chunk, &w->source, first + at, m);
        for (i = 0; i < m; i++) {
            uint32_t bits = dtci_float_bits(dtci_float_at(values, i)) & 0x7fffffffu, below = top - (bits >> 22);
            if (bits) counts[below < DTCI_QUANT_CLASSES ? below : DTCI_QUANT_CLASSES - 1]++;
        }
    }
}

/* Returns the largest magnitude that is not an outlier among n values from `first`; `largest` is that of all. An
 * outlier costs its place and its float. It pays if the step of the others becomes smaller: by log2 of the ranges'
 * quotient, in bits a value. The gain must be 2 bits, and a range below 8 times the median magnitude gains nothing
 * more. With `most` > 0, only magnitudes above `most` are outliers. With a rate, where the step does not follow from
 * the range, only those are outliers for which bins of 16 bits would be too few. */
DTCI_COLD float dtci_quant_outlier_limit(const dtci_quant_work *w, size_t first, size_t n, float largest, double most) {
    double cost = 8.0 * (double)(4 + dtci_place_bytes(w->q.head->count)) / (double)n, least = -2,
           limit = (double)largest;
    double rate = (double)w->e->spec->quant.rate;
    uint32_t counts[DTCI_QUANT_CLASSES], top = dtci_float_bits(largest) >> 22, above = 0, half = 0, median = 0, i;
    dtci_quant_count_classes(counts, w, first, n, largest);
    for (i = 0; i < DTCI_QUANT_CLASSES; i++) half += counts[i];
    for (i = half / 2; i > counts[median] && median + 1 < DTCI_QUANT_CLASSES; median++) i -= counts[median];
    if (rate > 0) {
        most = (double)dtci_bits_float(top > median ? (top - median) << 22 : 0) * exp2(15 - (rate < 11 ? rate : 11));
        if ((double)largest <= most) return largest;
    }
    for (i = 1; i + 6 < median && top > i; i++) { /* outliers are the values of classes 0 .. i - 1 */
        float next = dtci_bits_float(((top - i + 1) << 22) - 1);
        double gain;
        above += counts[i - 1];
        gain = log2((double)next / (double)largest) + cost * above;
        if (most > 0 ? (double)next <= most && cost * above <= (rate > 0 ? rate / 4 : 8) : gain < least) {
            least = gain;
            limit = (double)next;
            if (most > 0) break;
        }
    }
    return (float)limit;
}

/* Shrinks the range of block b, values first .. first + n - 1, to those that are not outliers. */
DTCI_KERNEL void dtci_quant_shrink_range(dtci_quant_work *w, size_t b, size_t first, size_t n, float limit) {
    float chunk[DTCI_CHUNK], min = limit, max = -limit;
    size_t at, m, i;
    for (at = 0; at < n; at += m) {
        const char *values;
        m = n - at < DTCI_CHUNK ? n - at : DTCI_CHUNK;
        values = dtci_view(chunk, &w->source, first + at, m);
        for (i = 0; i < m; i++) {
            float x = dtci_float_at(values, i);
            if (x > limit || x < -limit) {
                w->outliers++;
                continue;
            }
            min = x < min ? x : min;
            max = x > max ? x : max;
        }
    }
    w->ranges[2 * b] = min < max ? min : max;
    w->ranges[2 * b + 1] = max;
}

/* Returns whether the largest of n values is so far outside the others that there may be outliers. */
DTCI_SHARED int dtci_quant_far(const dtci_stats *stats, size_t n, double factor) {
    double count = (double)n, largest = (double)dtci_stats_reach(stats);
    return largest * largest * count * factor > stats->squares * (count < 1024 ? count / 4 : 256);
}

/* Finds the outliers of block b, if values of n from `first` are far outside the others. */
DTCI_FN void dtci_quant_find_outliers(dtci_quant_work *w, size_t b, size_t first, size_t n, const dtci_stats *stats) {
    double error = (double)w->e->spec->quant.max_error, most = 0;
    float largest = dtci_stats_reach(stats), limit;
    if (w->q.variant.rotate || !dtci_quant_may_extend(w)) return;
    if (error > 0) {
        most = 60000 * (w->stochastic ? error / 2 : error); /* bins of 16 bits reach 65536 steps */
        if ((double)largest <= most) return;
    } else if (!dtci_quant_far(stats, n, 1)) {
        return;
    }
    limit = dtci_quant_outlier_limit(w, first, n, largest, most);
    if (limit < largest) dtci_quant_shrink_range(w, b, first, n, limit);
}

/* Returns whether each block may be packed before the ranges of the later blocks are known: where fields have their
 * place, and what they are depends on their block alone, unless there is an outlier or a block needs grid=even. */
DTCI_FN int dtci_quant_may_pack_ahead(const dtci_quant_work *w) {
    const dtc_spec *spec = w->e->spec;
    size_t count = w->q.head->count;
    return spec->quant.entropy == DTC_ENTROPY_NONE && spec->quant.bits > 1 && !w->q.variant.even &&
           count >= DTCI_CHUNK && dtci_block(w->q.head) % DTCI_CHUNK == 0 && w->e->capacity >= 4 * count;
}

/* Makes the grid of block b and packs its values, which are not in any cache later. */
DTCI_FN void dtci_quant_pack_ahead(dtci_quant_work *w, size_t b, size_t first, size_t n) {
    double levels = (double)(1u << w->q.variant.bits) - (w->stochastic ? 2 : 1);
    w->ahead = !w->outliers && dtci_quant_block_grid(w, b, levels, 0) >= 0;
    if (w->ahead) dtci_quant_pack(w->e->payload + 8 * dtci_blocks(w->q.head), w, first, first + n);
}

/* Sets w->ranges to the smallest and the largest value of each block, or to what the spec gives. Returns 0 if a value
 * is not finite. */
DTCI_FN int dtci_quant_find_ranges(dtci_quant_work *w) {
    const dtc_spec *spec = w->e->spec;
    size_t count = w->q.head->count, block = dtci_block(w->q.head), blocks = dtci_blocks(w->q.head), b;
    int rough = spec->quant.bits > 0 && !w->q.variant.even;
    w->ahead = dtci_quant_may_pack_ahead(w);
    if (w->ahead) w->q.variant.bits = (unsigned)spec->quant.bits;
    for (b = 0; b < blocks; b++) {
        size_t n = count - b * block < block ? count - b * block : block;
        dtci_stats stats = dtci_scan_as(&w->source, b * block, n, rough);
        float min, max;
        if (rough && (!stats.finite || !((double)dtci_stats_reach(&stats) > 1e-15) || dtci_quant_far(&stats, n, 1.001)))
            stats = dtci_scan(&w->source, b * block, n);
        min = spec->quant.min_given ? spec->quant.min : stats.min;
        max = spec->quant.max_given ? spec->quant.max : stats.max;
        if (!stats.finite) return 0;
        if (max < min && spec->quant.min_given) max = min;
        w->ranges[2 * b] = max < min ? max : min;
        w->ranges[2 * b + 1] = max;
        w->squares += stats.squares;
        dtci_quant_find_outliers(w, b, b * block, n, &stats);
        if (w->ahead) dtci_quant_pack_ahead(w, b, b * block, n);
    }
    return 1;
}

/* Returns whether the values of each part are all equal. */
DTCI_SHARED int dtci_quant_constant(const dtci_quant_work *w) {
    size_t parts = dtci_quant_parts(w->q.head, w->q.variant.rotate), b;
    for (b = 0; b < parts; b++)
        if (w->ranges[2 * b] < w->ranges[2 * b + 1]) return 0;
    return 1;
}

/* Returns whether the range of each block is 0 alone. */
DTCI_FN int dtci_quant_zero(const dtci_quant_work *w) {
    size_t blocks = dtci_blocks(w->q.head), i;
    for (i = 0; i < 2 * blocks; i++)
        if (w->ranges[i] < 0 || w->ranges[i] > 0) return 0;
    return 1;
}

/* Returns the most bits that the encoder may choose. */
DTCI_SHARED unsigned dtci_quant_bits_max(const dtci_quant *q) {
    return q->variant.rotate ? dtci_bit_width(DTCI_QUANT_ROTATED / q->head->workers) - 1 : DTCI_QUANT_BITS_MAX;
}

/* Returns the bits of bits=auto: the entropy H of a sample of the values, quantized to `probe` bits, plus `floor`
 * (Oland and Raj, Algorithm 1). */
DTCI_COLD unsigned dtci_quant_auto_bits(const dtci_quant_work *w) {
    const dtc_spec *spec = w->e->spec;
    const dtci_quant *q = &w->q;
    size_t count = q->head->count, stride, i;
    double sample = spec->quant.sample > 0 ? (double)spec->quant.sample : 0.03;
    unsigned probe = spec->quant.probe ? (unsigned)spec->quant.probe : 4;
    unsigned floor_bits = spec->quant.floor ? (unsigned)spec->quant.floor : 6;
    uint32_t histogram[256], n = 0;
    uint64_t sum = 0;
    unsigned bits;
    sample *= (double)count;
    stride = (size_t)((double)count / (sample > 1024 ? sample : 1024)); /* small tensors: 1024 values, or all */
    stride = stride > 1 ? (stride - 1) | 1 : 1;                         /* odd: the columns of most matrices are even */
    memset(histogram, 0, sizeof histogram);
    for (i = 0; i < count; i += stride, n++) {
        size_t b = dtci_quant_part(q->head, q->variant.rotate, i).index;
        double min = (double)w->ranges[2 * b], max = (double)w->ranges[2 * b + 1], t;
        float x;
        dtci_gather(&x, &w->source, i, 1);
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

/* Returns whether a packet with the present grids may have shifts. */
DTCI_SHARED int dtci_quant_shiftable(const dtci_quant *q) {
    size_t blocks = dtci_blocks(q->head), b;
    if (q->variant.even) return 0;
    for (b = 0; b < blocks; b++) {
        int32_t lowest = dtci_quant_grid(q, b).lowest;
        if (lowest < -65535 || lowest > 0) return 0;
    }
    return 1;
}

/* Chooses w->up for the next bins from the counts of the present ones. A magnitude that is rounded down costs some
 * error and saves bits, about log2 of how much commoner the lower bin is. 0.05 is the slope at which, for Gaussian,
 * Laplace and heavier distributions at .1 to 4 bits, the error at a given entropy is within 0.5 % of the least. Where
 * zeros come in long runs, they save less: independent values of which few are not 0 take log2 of the ratio and 1.44
 * bits each, and if the tokens take less, that is what counts. */
DTCI_COLD void dtci_quant_choose_up(dtci_quant_work *w) {
    uint32_t zero = (uint32_t)-w->q.base, n = dtci_coder_occurrences(&w->coder, zero),
             next =
                 dtci_coder_occurrences(&w->coder, zero + 1) + (zero ? dtci_coder_occurrences(&w->coder, zero - 1) : 0);
    double ratio = n && next ? (double)dtci_log2(n) / 65536 + 1 - (double)dtci_log2(next) / 65536 : 0;
    double others = (double)w->binned - n, spent = 8 * (double)w->plan.bytes;
    if (others > 0 && ratio > spent / others - 1.44) ratio = spent / others - 1.44;
    w->up = 0.5 - 0.05 * ratio;
    w->up = w->up > 0.1 ? w->up < 0.4999 ? w->up : 0.4999 : 0.1; /* below 0.5, so that no field is below 0 */
}

/* Searches begin with a sample of one of this number of chunks: at least 8 Ki values, and 64 Ki of 1 Mi or more. */
DTCI_SHARED size_t dtci_quant_stride(const dtci_quant_work *w) {
    size_t stride = w->q.head->count / 8192;
    if (stride > 16) stride = stride / 8 > 16 ? stride / 8 : 16;
    return stride ? stride : 1;
}

/* Quantizes one of `stride` chunks of values to bins, and plans their tokens. w->plan.bytes is then the size of the
 * tokens, or 0 if all fields are 0. */
DTCI_SHARED void dtci_quant_price(dtci_quant_work *w, size_t stride) {
    memset(&w->plan, 0, sizeof w->plan);
    w->priced = 1;
    w->shifting = w->rd && dtci_quant_shiftable(&w->q);
    if (!dtci_quant_bin_all(w, stride)) return;
    dtci_coder_count(&w->coder, w->bins, w->binned, w->q.bin_bits);
    w->plan = dtci_coder_choose(&w->coder);
}

/* Returns the step that max-error asks for. The step is <= 0 if fp32 cannot hold the values so exactly. */
DTCI_COLD dtci_fineness dtci_quant_max_error(const dtci_quant_work *w) {
    size_t blocks = dtci_blocks(w->q.head), i;
    double error = (double)w->e->spec->quant.max_error, reach = 0;
    dtci_fineness fineness;
    memset(&fineness, 0, sizeof fineness);
    for (i = 0; i < 2 * blocks; i++) {
        double magnitude = (double)(w->ranges[i] < 0 ? -w->ranges[i] : w->ranges[i]);
        if (magnitude > reach) reach = magnitude;
    }
    error -= (reach + error) * (1.0001 / 16777216) + 7.1e-46; /* the error of rounding a decoded value to fp32 */
    fineness.step = (double)dtci_float_down(w->stochastic ? error : 2 * error);
    return fineness;
}

/* A search for the finest grids whose tokens fit a budget, as levels of a range. */
typedef struct dtci_quant_search {
    double budget;       /* bits a value */
    double slack;        /* what a trial aims below the budget */
    double power;        /* bits grow about as this power of the levels; 0: unknown */
    double levels, bits; /* of the trial before; 0: there was none with the same way of counting */
    size_t stride;       /* a trial takes one of `stride` chunks */
} dtci_quant_search;

/* Tries levels. Returns the step of log2(levels) to the next trial, and sets *fit if the tokens fit. */
DTCI_COLD double dtci_quant_try(dtci_quant_search *search, dtci_quant_work *w, double levels, int *fit) {
    dtci_fineness fineness;
    double bits, step, table = 0, least = search->stride > 1 ? 0.02 : 0.001; /* difference that tells the power */
    memset(&fineness, 0, sizeof fineness);
    fineness.levels = levels;
    *fit = dtci_quant_make_grids(w, fineness) && w->q.bin_bits <= DTCI_QUANT_BITS_MAX;
    if (!*fit) return -1;
    dtci_quant_price(w, search->stride);
    if (!w->plan.bytes) return 1;
    if (search->stride > 1) /* the sample and all values have one table of codes each */
        table = (double)(dtci_lengths_write(NULL, w->plan.lengths, w->plan.tokens.values * w->plan.tokens.runs) + 7);
    bits = (8 * (double)w->plan.bytes - table) / (double)w->binned + table / (double)w->q.head->count;
    *fit = bits <= search->budget;
    if (!(search->power > 0)) /* as it is for Gaussian values */
        search->power = 1.45 / (0.15 + (*fit ? bits : search->budget));
    else if (search->levels > 0 && (levels < (1 - least) * search->levels || levels > (1 + least) * search->levels))
        search->power = log2(bits / search->bits) / log2(levels / search->levels);
    search->power = search->power > 0.05 ? search->power < 16 ? search->power : 16 : 0.05;
    search->levels = levels;
    search->bits = bits;
    step = log2((search->budget - search->slack) / bits) / search->power;
    return step > -4 ? step < 4 ? step : 4 : -4;
}

/* Makes the first trials, on a sample if there are enough values, and chooses w->up. Returns the next levels to try. */
DTCI_COLD double dtci_quant_search_sample(dtci_quant_search *search, dtci_quant_work *w, double levels, double most) {
    size_t stride = dtci_quant_stride(w);
    int trial, fit;
    search->stride = stride;
    for (trial = 0; trial < (stride > 1 ? 8 : 3); trial++) {
        double step = dtci_quant_try(search, w, levels, &fit);
        if (stride <= 1 && !w->shifting) break; /* all values are in the next trial too */
        if (w->shifting && w->plan.bytes && trial < 4) {
            dtci_quant_choose_up(w);
            search->power = 0; /* the next trial rounds otherwise */
        }
        levels *= exp2(step);
        levels = levels < most ? levels : most;
        if (step * search->power > -0.003 && step * search->power < 0.003 && (trial > 3 || !w->shifting)) break;
    }
    search->stride = 1;
    search->levels = 0;
    return levels;
}

/* Makes the finest grids whose tokens have at most `budget` bytes, by trial. The search starts from the rule that
 * tokens cost about one bit more a value when the levels double. Returns 0 if no tokens fit, or none but those of one
 * bin. */
DTCI_COLD int dtci_quant_search_rate(dtci_quant_work *w, size_t budget) {
    double count = (double)w->q.head->count, best = 0, fits = 0, fails = 0, nudge = 1.0 / 8192,
           levels = exp2(8 * (double)budget / count) * 4,
           least = w->q.variant.even && !w->stochastic ? 0.9999 : 1.0 / 1024, /* all values in one bin */
        most = (double)(1u << dtci_quant_bits_max(&w->q)) * (65000.0 / 65536);
    size_t most_bytes = 0;
    int trial, fit, extend = dtci_quant_may_extend(w);
    dtci_quant_search search;
    memset(&search, 0, sizeof search);
    search.budget = 8 * (double)budget / count;
    search.slack = search.budget < 0.35 ? search.budget / 500 : 0.0007;
    levels = dtci_quant_search_sample(&search, w, levels < most ? levels : most, most);
    for (trial = 0; trial < 40 && levels >= least; trial++) {
        double step = dtci_quant_try(&search, w, levels, &fit);
        *(fit ? &fits : &fails) = levels;
        if (fit && (extend ? w->plan.bytes > most_bytes && w->coder.used_count > 1 : w->plan.bytes >= most_bytes)) {
            most_bytes = w->plan.bytes;
            best = levels;
        }
        if (fit && ((double)w->plan.bytes >= floor((search.budget - 2 * search.slack) * count / 8) || levels >= most))
            return best > 0;
        if (fits > 0 && fails > 0) {
            if (fails / fits < 1.00005) break;
            levels *= exp2(step);
            if (trial % 3 == 2 || !(levels > fits && levels < fails)) levels = sqrt(fits * fails);
        } else {
            levels *= exp2(fit ? step > nudge ? step : nudge : step < -nudge ? step : -nudge);
            nudge *= 2;
            levels = levels < most ? levels : most;
        }
    }
    if (!(best > 0) && extend) return 0;
    (void)dtci_quant_try(&search, w, best > 0 ? best : least, &fit);
    return fit && (w->plan.bytes || w->shared || dtci_quant_constant(w)); /* one bin tells nothing: residuals grow */
}

/* Finds the `m` largest magnitudes of all values. Returns the least of them, and in *ties how many values of just that
 * magnitude are among them. The bits of a magnitude are compared digit by digit, the highest first. */
DTCI_COLD float dtci_quant_largest(const dtci_quant_work *w, size_t m, size_t *ties) {
    size_t count = w->q.head->count, first, n, i;
    uint32_t prefix = 0, counts[256];
    float chunk[DTCI_CHUNK];
    int shift;
    for (shift = 24; shift >= 0; shift -= 8) {
        memset(counts, 0, sizeof counts);
        for (first = 0; first < count; first += n) {
            const char *values;
            n = count - first < DTCI_CHUNK ? count - first : DTCI_CHUNK;
            values = dtci_view(chunk, &w->e->source, first, n);
            for (i = 0; i < n; i++) {
                uint32_t bits = dtci_float_bits(dtci_float_at(values, i)) & 0x7fffffffu;
                if ((uint64_t)bits >> (shift + 8) == (uint64_t)prefix >> (shift + 8)) counts[bits >> shift & 255]++;
            }
        }
        for (i = 255; i && counts[i] < m; i--) m -= counts[i];
        prefix |= (uint32_t)i << shift;
    }
    *ties = m;
    return dtci_bits_float(prefix);
}

/* Makes the packet one of outliers alone, as many as the budget has room for, at least one. */
DTCI_COLD void dtci_quant_choose_sparse(dtci_quant_work *w, double budget) {
    dtci_head *head = &w->e->head;
    size_t place = dtci_place_bytes(head->count);
    double around, room;
    head->seed = 0;
    head->features = DTCI_QUANT_NO_GRIDS | DTCI_OUTLIERS;
    around = (double)(dtci_head_overhead(head) + place);
    room = floor((budget - around) / (double)(place + 4));
    w->sparse = 1;
    w->outliers = room < 1 ? 1 : room < (double)head->count ? (size_t)room : head->count;
    w->limits[1] = dtci_quant_largest(w, w->outliers, &w->rule.ties);
    w->limits[0] = -w->limits[1];
    w->rule.ranges = w->limits;
    w->rule.block = head->count;
    if (!(w->limits[1] > 0)) { /* fewer values are not zero */
        w->outliers -= w->rule.ties;
        w->rule.ties = 0;
    }
    memset(&w->q.variant, 0, sizeof w->q.variant);
    w->q.variant.bits = 1;
    w->q.variant.coding = DTCI_QUANT_CONSTANT;
    w->rd = w->shifting = 0;
    head->features = DTCI_QUANT_NO_GRIDS | (w->outliers ? DTCI_OUTLIERS : 0);
    w->e->bytes = 0;
}

/* Sums of the distances of values from their grid points, in 256ths of a step, for |k| = 1 and for all k but 0. */
typedef struct dtci_quant_distances {
    int32_t one, all, one_count, all_count;
} dtci_quant_distances;

/* Computes the distances of DTCI_CHUNK values in the range of `by`, whose inverse is that of 1 / 256 of a step. A bin
 * plus by->lowest is k. */
DTCI_INLINE void dtci_quant_measure_body(dtci_quant_distances *to, const uint16_t *bins, const char *values,
                                         const dtci_quantizer *by) {
    float min = by->min, max = by->max;
    double inverse = by->inverse;
    int32_t lowest = by->lowest, one = 0, all = 0, one_count = 0, all_count = 0;
    size_t i;
    for (i = 0; i < DTCI_CHUNK; i++) {
        float value = dtci_float_at(values, i), x = value > min ? value : min;
        uint32_t bits = dtci_float_bits(x < max ? x : max);
        int32_t k = (int32_t)bins[i] + lowest, distance, is_one, is_counted;
        k = k < 0 ? -k : k;
        distance = 256 * k - (int32_t)((double)dtci_bits_float(bits & 0x7fffffffu) * inverse + 0.5);
        is_counted = -(int32_t)((k != 0) & (bits == dtci_float_bits(value))); /* no outlier */
        is_one = -(int32_t)(k == 1) & is_counted;
        all += distance & is_counted;
        one += distance & is_one;
        all_count -= is_counted;
        one_count -= is_one;
    }
    to->one = one;
    to->all = all;
    to->one_count = one_count;
    to->all_count = all_count;
}

DTCI_TWIN(dtci_quant_measure,
          (dtci_quant_distances * to, const uint16_t *bins, const char *values, const dtci_quantizer *by),
          (to, bins, values, by))

/* Sets w->shifts to the mean distances of the values from their grid points, for |k| = 1 and for larger |k|, by one of
 * `stride` chunks. w->bins holds these chunks, or those of all values. The sums are of integers, so that their order
 * does not matter. */
DTCI_COLD void dtci_quant_choose_shifts(dtci_quant_work *w, size_t stride) {
    size_t count = w->q.head->count, skip = (stride - 1) * DTCI_CHUNK, first, bin = 0, n, i;
    int all = w->binned == count;
    int64_t sums[2] = {0, 0}, counts[2] = {0, 0};
    for (first = 0; first < count; first += n, bin += n) {
        dtci_part part = dtci_quant_part(w->q.head, 0, first);
        dtci_grid grid = dtci_quant_grid(&w->q, part.index);
        size_t end = first / DTCI_CHUNK * DTCI_CHUNK + DTCI_CHUNK;
        float chunk[DTCI_CHUNK];
        uint16_t bins[DTCI_CHUNK];
        dtci_quant_distances found;
        dtci_quantizer by;
        end = part.end < end ? part.end : end;
        n = end - first;
        by.min = w->ranges[2 * part.index];
        by.max = w->ranges[2 * part.index + 1];
        by.lowest = w->q.base;
        by.inverse = 256 / grid.step;
        if (grid.step > 0) {
            for (i = n; i < DTCI_CHUNK; i++) {
                chunk[i] = 0;
                bins[i] = (uint16_t)-w->q.base;
            }
            dtci_gather(chunk, &w->source, first, n);
            memcpy(bins, w->bins + bin, 2 * n);
            dtci_quant_measure(&found, bins, (const char *)chunk, &by);
            sums[0] += found.one;
            sums[1] += found.all - found.one;
            counts[0] += found.one_count;
            counts[1] += found.all_count - found.one_count;
        }
        if (end % DTCI_CHUNK) continue;
        first += skip;
        if (all) bin += skip;
    }
    for (i = 0; i < 2; i++) {
        double shift = counts[i] ? floor((double)sums[i] / (double)counts[i] + 0.5) : 0;
        w->shifts[i] = (int32_t)(shift > -128 ? shift < 127 ? shift : 127 : -128);
    }
}

/* Replaces n floats by the distances of values `first` and following from them; the distance of an outlier is 0.
 * Returns the number of values that are not outliers. */
DTCI_KERNEL size_t dtci_quant_subtract(float *from, const dtci_quant_work *w, const dtci_source *source, size_t first,
                                       size_t n) {
    float chunk[DTCI_CHUNK];
    const char *values = dtci_view(chunk, source, first, n);
    dtci_outlier_rule rule = w->rule;
    size_t others = n, i;
    for (i = 0; i < n; i++) from[i] = dtci_float_at(values, i) - from[i];
    for (i = 0; w->outliers && i < n; i++) {
        if (!dtci_outlier_is(&rule, first + i, dtci_float_at(values, i))) continue;
        from[i] = 0;
        others--;
    }
    return others;
}

/* Returns the sum of the squares of n floats. */
DTCI_FN double dtci_quant_squares(const float *values, size_t n) {
    dtci_source source = dtci_source_of(values);
    return dtci_scan(&source, 0, n).squares;
}

/* Returns the squared error of the present grids, by one of `stride` chunks of the values. */
DTCI_SHARED double dtci_quant_error(dtci_quant_work *w, size_t stride) {
    size_t count = w->q.head->count, first, n, seen = 0;
    uint32_t fields[DTCI_CHUNK];
    float decoded[DTCI_CHUNK];
    double error = 0;
    for (first = 0; first < count; first += stride * DTCI_CHUNK) {
        n = count - first < DTCI_CHUNK ? count - first : DTCI_CHUNK;
        dtci_quant_fields(fields, NULL, w, first, n);
        dtci_quant_floats((char *)decoded, &w->q, 0, fields, first, n);
        (void)dtci_quant_subtract(decoded, w, &w->source, first, n);
        error += dtci_quant_squares(decoded, n);
        seen += n;
    }
    return error * ((double)count / (double)seen);
}

/* Returns the sum of the squared distances of the values that are not outliers from their mean, by one of `stride`
 * chunks. The distances are taken from the first value, which keeps their precision where the mean is large. */
DTCI_KERNEL double dtci_quant_spread(const dtci_quant_work *w, size_t stride) {
    size_t count = w->q.head->count, first, n, seen = 0, others = 0, i;
    double sums[4] = {0, 0, 0, 0}, squares = 0, sum;
    float distances[DTCI_CHUNK], middle = w->outliers ? w->ranges[0] : 0;
    if (!w->outliers) dtci_gather(&middle, &w->e->source, 0, 1);
    for (first = 0; first < count; first += stride * DTCI_CHUNK) {
        n = count - first < DTCI_CHUNK ? count - first : DTCI_CHUNK;
        for (i = 0; i < n; i++) distances[i] = middle;
        others += dtci_quant_subtract(distances, w, &w->e->source, first, n);
        squares += dtci_quant_squares(distances, n);
        for (i = 0; i < n; i++) sums[i % 4] += (double)distances[i];
        seen += n;
    }
    sum = sums[0] + sums[1] + sums[2] + sums[3];
    return (squares - sum * sum / (double)others) * ((double)count / (double)seen);
}

/* Makes grids of this many levels a range. Returns their squared error by one of `stride` chunks, or -1 if there are no
 * such grids. If `choosing` is set, w->up is chosen for the next trial. */
DTCI_COLD double dtci_quant_try_error(dtci_quant_work *w, double levels, size_t stride, int choosing) {
    dtci_head *head = &w->e->head;
    dtci_fineness fineness;
    double error;
    memset(&fineness, 0, sizeof fineness);
    fineness.levels = levels;
    w->priced = w->shifting = 0;
    if (!dtci_quant_make_grids(w, fineness)) return -1;
    if (w->q.variant.rotate) {
        (void)dtci_quant_bin_all(w, 1);
        return dtci_quant_rotated_error(w);
    }
    if (w->rd && w->q.bin_bits <= DTCI_QUANT_BITS_MAX) dtci_quant_price(w, stride);
    if (w->shifting && w->plan.bytes) {
        dtci_quant_choose_shifts(w, stride);
        memcpy(w->q.shifts, w->shifts, sizeof w->shifts);
        head->features |= DTCI_QUANT_SHIFTS;
    }
    error = dtci_quant_error(w, stride);
    head->features = 0;
    if (choosing && w->shifting && w->plan.bytes) dtci_quant_choose_up(w);
    return error;
}

/* Returns the squared error that the packet may have. See nmse in dtc_spec. */
DTCI_COLD double dtci_quant_allowed_error(const dtci_quant_work *w, size_t stride) {
    double nmse = dtci_quant_nmse(w->e->spec), least = 4 * nmse < 0.9 ? 4 * nmse : 0.9;
    double spread = dtci_quant_spread(w, stride);
    if (stride > 1 && least * spread < 1.2 * nmse * w->squares) spread = dtci_quant_spread(w, 1);
    return least * spread < nmse * w->squares ? least * spread : nmse * w->squares;
}

/* A search for the coarsest grids whose error is allowed, as levels of a range. */
typedef struct dtci_quant_approach {
    double allowed;       /* squared error */
    double slope;         /* log2 of the quotient of the errors as levels double */
    double levels, error; /* of the trial before; 0: there was none */
} dtci_quant_approach;

/* Returns the levels to try after a trial. */
DTCI_COLD double dtci_quant_approach_next(dtci_quant_approach *search, double levels, double error) {
    double slope = 2, step = error > 0 ? -1 : -4;
    if (error > 0 && search->error > 0 && (levels < search->levels || levels > search->levels))
        slope = log2(search->error / error) / log2(levels / search->levels);
    slope = slope > 0.5 ? slope < 4 ? slope : 4 : 0.5;
    if (error > 0) step = log2(error / (0.985 * search->allowed)) / slope;
    search->levels = levels;
    search->error = error;
    return levels * exp2(step > -4 ? step < 4 ? step : 4 : -4);
}

/* Returns the levels at which the mean squared error is as allowed if it is a twelfth of the squared step. */
DTCI_COLD double dtci_quant_approach_begin(const dtci_quant_work *w, double allowed) {
    dtci_part part;
    double sum = 0;
    for (part.end = 0; part.end < w->q.head->count;) {
        double range;
        int level = 0;
        part = dtci_quant_part(w->q.head, w->q.variant.rotate, part.end);
        range = (double)w->ranges[2 * part.index + 1] - (double)w->ranges[2 * part.index];
        if (w->q.variant.rotate) level = 2 * w->exponents[part.index] - (int)dtci_hadamard_log2(part.end - part.first);
        sum += ldexp(range * range * (double)(part.end - part.first), level);
    }
    sum = sqrt(sum / (12 * allowed));
    return sum > 0.5 ? sum < 65000 ? sum : 65000 : 0.5;
}

/* Makes the coarsest grids whose squared error is allowed, by trial; the first trials take a sample. Returns 0 if no
 * grids fit. */
DTCI_COLD int dtci_quant_search_error(dtci_quant_work *w) {
    size_t stride = w->q.variant.rotate ? 1 : dtci_quant_stride(w);
    double most = (double)(1u << dtci_quant_bits_max(&w->q)) * (65000.0 / 65536), fits = 0, fails = 0, levels, error;
    int trial, samples = stride > 1 ? 8 : w->rd ? 2 : 0;
    dtci_quant_approach search;
    memset(&search, 0, sizeof search);
    search.allowed = dtci_quant_allowed_error(w, stride);
    levels = dtci_quant_approach_begin(w, search.allowed);
    for (trial = 0; trial < samples; trial++) {
        double before = levels;
        error = dtci_quant_try_error(w, levels < most ? levels : most, stride, 1);
        levels = dtci_quant_approach_next(&search, before, error);
        if (levels > 0.99 * before && levels < 1.01 * before) break;
    }
    for (trial = 0; trial < 40; trial++) {
        double next;
        levels = levels < most ? levels : most;
        error = dtci_quant_try_error(w, levels, 1, 0);
        next = dtci_quant_approach_next(&search, levels, error);
        if (error < 0)
            most = levels;
        else
            *(error <= search.allowed ? &fits : &fails) = levels;
        if ((error >= 0.97 * search.allowed && error <= search.allowed) || levels < 1.0 / 1024) return fits > 0;
        if (fails >= 0.999 * most) return 0;
        if (fails > 0 && (fits > 0 || !(most > 1.01 * next))) {
            double end = fits > 0 ? fits : most;
            if (end < 1.002 * fails) break;
            if (trial % 3 == 2 || !(next > fails && next < end)) next = sqrt(fails * end);
        }
        levels = next;
    }
    return fits > 0 && dtci_quant_try_error(w, fits, 1, 0) >= 0;
}

/* Chooses and makes the grids. Sets *stored if the values shall be stored as raw fp32 instead. */
DTCI_FN void dtci_quant_choose_grid(dtci_quant_work *w, int *stored) {
    const dtc_spec *spec = w->e->spec;
    const dtci_head *head = w->q.head;
    double budget = dtci_floor((double)spec->quant.rate * (double)head->count / 8);
    size_t around = dtci_head_overhead(head) + dtci_quant_grid_bytes(head, w->q.variant.rotate);
    unsigned most = dtci_quant_bits_max(&w->q);
    dtci_fineness fineness;
    int constant;
    memset(&fineness, 0, sizeof fineness);
    fineness.bits = spec->quant.bits > 0 ? (unsigned)spec->quant.bits : 0;
    *stored = 0;
    if (spec->quant.max_error > 0) {
        fineness = dtci_quant_max_error(w);
        *stored = !(fineness.step > 0);
    } else if (spec->quant.rate > 0) {
        *stored = budget >= 4 * (double)head->count;
        constant = dtci_quant_constant(w) && !w->outliers && !w->q.variant.rotate;
        if (constant && dtci_quant_may_extend(w) && dtci_quant_zero(w)) {
            dtci_quant_choose_sparse(w, budget);
            return;
        }
        if (constant && (budget >= (double)around || budget < (double)(around - 1))) {
            fineness.bits = 1;
            (void)dtci_quant_make_grids(w, fineness);
            return;
        }
        around += (w->rd ? 3 : w->outliers ? 1 : 0) + dtci_outliers_bytes(w->outliers, w->q.head->count);
        if (*stored || (budget >= (double)around && dtci_quant_search_rate(w, (size_t)budget - around))) return;
        if (dtci_quant_may_extend(w)) {
            dtci_quant_choose_sparse(w, budget);
            return;
        }
        /* a packet for sums: the rate alone gives the bits */
        fineness.bits = spec->quant.rate < 2 ? 2 : spec->quant.rate < 16 ? (unsigned)spec->quant.rate : 16;
        if (fineness.bits > most) fineness.bits = most;
        w->priced = 0;
    } else if (dtci_quant_nmse(spec) > 0) {
        if (!dtci_quant_constant(w)) {
            *stored = !dtci_quant_search_error(w);
            return;
        }
        fineness.bits = 1;
    } else if (!fineness.bits) {
        fineness.bits = dtci_quant_auto_bits(w);
    }
    if (!*stored) *stored = !dtci_quant_make_grids(w, fineness);
    if (!*stored && w->rd && w->q.bin_bits <= dtci_quant_bin_bits_max(spec)) { /* the counts give `up` */
        dtci_quant_price(w, dtci_quant_stride(w));
        if (w->shifting && w->plan.bytes) dtci_quant_choose_up(w);
        w->priced = 0;
    }
}

/* Returns the position on the lattice of a step times 1 / multiplier, or 0 if it is not there exactly. */
DTCI_COLD uint32_t dtci_quant_position(float step, float multiplier) {
    double exact = (double)step / (double)multiplier;
    uint32_t position;
    if (!(exact >= (double)FLT_MIN && exact <= (double)FLT_MAX)) return 0;
    position = (uint32_t)floor(DTCI_QUANT_ONE + 0.5 + 32 * log2(exact));
    return dtci_lattice_scale(multiplier, 2 * position) == step ? position : 0;
}

/* Appends n codes to w->coded, within 8 bytes a block. Returns the bytes, or SIZE_MAX if there is no room. */
DTCI_COLD size_t dtci_quant_code(dtci_quant_work *w, const uint16_t *codes, size_t n, size_t at) {
    uint16_t most = 0;
    dtci_bins_max(&most, codes, 0, n);
    return most ? dtci_codes_write(w->coded + at, 8 * n - at, &w->coder, codes, n) : 0;
}

/* Codes the grids, if they are all zero or of the lattice, and if that saves bytes. Works in w->bins and w->coder. */
DTCI_COLD void dtci_quant_code_grids(dtci_quant_work *w) {
    size_t blocks = dtci_blocks(w->q.head), bytes = DTCI_QUANT_CODED_BYTES, sizes[2], i;
    uint16_t *steps = w->bins, *lowests = w->bins + blocks;
    float multiplier = 1;
    uint32_t top = 0;
    for (i = 0; i < blocks; i++) { /* the steps of max-error are all equal, and no steps of the lattice */
        float step = dtci_get_float(w->grids + 8 * i);
        uint32_t bits = dtci_float_bits(step);
        uint32_t position = step > 0 ? dtci_quant_position(step, multiplier) : 0;
        if (bits && bits - 0x00800000u >= 0x7f000000u) return; /* negative or denormal, which may be flushed */
        if (bits && !position) multiplier = top ? 0 : step;
        if (!(multiplier > 0)) return;
        if (bits && !position) position = DTCI_QUANT_ONE;
        top = position > top ? position : top;
    }
    for (i = 0; i < blocks; i++) {
        const unsigned char *grid = w->grids + 8 * i;
        uint32_t position = dtci_get_float(grid) > 0 ? dtci_quant_position(dtci_get_float(grid), multiplier) : 0;
        int64_t lowest = (int64_t)dtci_quant_grid(&w->q, i).lowest - w->q.base;
        if (lowest > 65535 || (dtci_get_float(grid) > 0 && !position)) return;
        steps[i] = (uint16_t)(position ? top - position + 1 : 0);
        lowests[i] = (uint16_t)lowest;
    }
    for (i = 0; i < 2; i++) {
        sizes[i] = dtci_quant_code(w, i ? lowests : steps, blocks, bytes);
        if (sizes[i] == SIZE_MAX) return;
        bytes += sizes[i];
    }
    dtci_put_float(w->coded, multiplier);
    dtci_put32(w->coded + 4, top);
    dtci_put32(w->coded + 8, (uint32_t)w->q.base);
    dtci_put32(w->coded + 12, (uint32_t)sizes[0]);
    dtci_put32(w->coded + 16, (uint32_t)sizes[1]);
    if (bytes + 1 < 8 * blocks) w->coded_bytes = bytes; /* the features take a byte */
}

/* Returns the bytes of the grids in the payload that is made. */
DTCI_FN size_t dtci_quant_payload_grids(const dtci_quant_work *w) {
    return w->coded_bytes ? w->coded_bytes : dtci_quant_grid_bytes(w->q.head, w->q.variant.rotate);
}

/* Chooses the coding. Sets e->bytes to an upper bound of the payload. */
DTCI_FN void dtci_quant_choose_coding(dtci_quant_work *w) {
    const dtc_spec *spec = w->e->spec;
    size_t grids = dtci_quant_payload_grids(w), count = w->q.head->count;
    size_t fields = dtci_fields_bytes(count, dtci_quant_field_bits(w->q.head, w->q.variant.bits));
    int entropy = spec->quant.entropy == DTC_ENTROPY_HUFFMAN, searched = w->priced && spec->quant.rate > 0;
    uint32_t *coding = &w->q.variant.coding;
    if (entropy && !w->priced && w->q.bin_bits <= dtci_quant_bin_bits_max(spec)) dtci_quant_price(w, 1);
    *coding = entropy ? DTCI_QUANT_WIDE : DTCI_QUANT_FIELDS;
    if (w->priced && !w->plan.bytes)
        *coding = DTCI_QUANT_CONSTANT;
    else if (w->priced && (searched || w->plan.bytes < fields)) /* a searched rate was met by tokens */
        *coding = DTCI_QUANT_TOKENS;
    else if (w->q.head->workers == 1 && dtci_quant_constant(w))
        *coding = DTCI_QUANT_CONSTANT;
    w->e->bytes = grids + (*coding == DTCI_QUANT_CONSTANT ? 0 : *coding == DTCI_QUANT_TOKENS ? w->plan.bytes : fields);
}

/* Returns the bytes that shifts and outliers add to the payload, and 1 for the features in the head. */
DTCI_SHARED size_t dtci_quant_feature_bytes(const dtci_quant_work *w) {
    size_t outliers = dtci_outliers_bytes(w->outliers, w->q.head->count);
    return w->shifting || outliers || w->sparse || w->coded_bytes ? 1u + (w->shifting ? 2u : 0u) + outliers : 0;
}

/* Gives the head its features, and moves the payload to the end of the head. */
DTCI_FN void dtci_quant_begin_features(dtci_quant_work *w) {
    dtci_encoding *e = w->e;
    if (w->shifting && w->q.variant.coding != DTCI_QUANT_CONSTANT) {
        /* values outside the most frequent bin: a part of many is enough for a mean */
        size_t others = w->binned - w->coder.histogram[w->coder.mode_index];
        dtci_quant_choose_shifts(w, others / 16384 ? others / 16384 : 1);
    }
    w->shifting = w->shifts[0] || w->shifts[1];
    if (w->shifting) e->head.features |= DTCI_QUANT_SHIFTS;
    if (w->outliers) e->head.features |= DTCI_OUTLIERS;
    if (w->coded_bytes) e->head.features |= DTCI_CODED;
    if (!e->head.features) return;
    e->bytes += dtci_quant_feature_bytes(w) - 1;
    dtci_encoding_place(e);
}

/* --- Encoder: payload --- */

/* Writes the payload: the grids, or the steps of a rotated packet, and the fields. */
DTCI_FN dtc_status dtci_quant_write(dtci_quant_work *w) {
    dtci_encoding *e = w->e;
    size_t grids = dtci_quant_payload_grids(w), size = 0;
    size_t list = grids + (e->head.features & DTCI_QUANT_SHIFTS ? 2 : 0),
           around = list + dtci_outliers_bytes(w->outliers, w->q.head->count);
    unsigned char *to = e->payload + around;
    dtc_status status;
    if (e->capacity < around) return DTC_ERROR_CAPACITY;
    if (w->outliers) dtci_outliers_write(e->payload + list, w->outliers, &e->source, w->q.head->count, w->rule);
    if (w->q.variant.rotate) {
        if (!w->priced) (void)dtci_quant_bin_all(w, 1);
        dtci_quant_write_steps(e->payload, w);
    } else {
        memcpy(e->payload, w->coded_bytes ? w->coded : w->grids, grids);
    }
    if (e->head.features & DTCI_QUANT_SHIFTS) {
        e->payload[grids] = (unsigned char)(w->shifts[0] & 255);
        e->payload[grids + 1] = (unsigned char)(w->shifts[1] & 255);
    }
    if (w->q.variant.coding == DTCI_QUANT_TOKENS) {
        status = dtci_bins_write(&w->coder, &w->plan, SIZE_MAX, to, e->capacity - around, &size);
        e->bytes = around + size;
        return status;
    }
    if (w->q.variant.coding == DTCI_QUANT_CONSTANT) return DTC_OK;
    if (e->capacity < e->bytes) return DTC_ERROR_CAPACITY;
    if (w->priced)
        dtci_quant_pack_bins(to, &w->q, w->bins);
    else if (!w->ahead)
        dtci_quant_pack(to, w, 0, w->q.head->count);
    return DTC_OK;
}

/* Leaves in the residual what the receiver does not see. */
DTCI_FN dtc_status dtci_quant_residual(const dtci_quant_work *w) {
    dtci_opened opened;
    dtci_packet *made = dtci_encoding_packet(&opened, w->e);
    dtci_arena turned;
    made->bins = w->bins;
    made->grids = w->coded_bytes ? w->grids : NULL;
    turned.p = (unsigned char *)(void *)w->rotated; /* the rotated values are not needed any more */
    turned.left = w->rotated ? 4 * (size_t)made->head.count : 0;
    return dtci_quant_decode(made, w->e->residual, NULL, &turned);
}

DTCI_FN dtc_status dtci_quant_encode(dtci_encoding *e) {
    const dtc_spec *spec = e->spec;
    dtci_quant_work w;
    dtc_status status;
    int stored;
    memset(&w, 0, sizeof w);
    w.e = e;
    w.source = e->source;
    w.random = dtci_random_of(spec->seed);
    w.shared = spec->quant.min_given || spec->quant.max_given;
    w.stochastic = spec->quant.rounding == DTC_ROUNDING_STOCHASTIC && (!e->residual || w.shared);
    w.rd = spec->quant.rounding == DTC_ROUNDING_RD ||
           (spec->quant.rounding == DTC_ROUNDING_AUTO && spec->quant.rate > 0 && !e->residual && e->head.workers == 1 &&
            !w.shared && !spec->quant.rotate);
    w.up = 0.4;
    w.q.head = &e->head;
    w.q.variant.even = spec->quant.grid == DTC_GRID_EVEN;
    w.q.variant.rotate = spec->quant.rotate != 0;
    if (dtci_quant_goes_raw(&e->head, w.q.variant.rotate))
        return dtci_scan(&e->source, 0, e->head.count).finite ? dtci_head_become_raw(&e->head) : DTC_ERROR_NONFINITE;
    if (!dtci_quant_take(&w)) return DTC_ERROR_SCRATCH;
    if (!(w.q.variant.rotate ? dtci_quant_rotate(&w) : dtci_quant_find_ranges(&w))) return DTC_ERROR_NONFINITE;
    dtci_quant_choose_grid(&w, &stored);
    if (stored) return dtci_head_become_raw(&e->head);
    if (w.coded && !w.priced && !w.sparse && !w.q.variant.even) dtci_quant_code_grids(&w);
    if (!w.sparse) dtci_quant_choose_coding(&w);
    if (e->bytes + dtci_quant_feature_bytes(&w) > 4 * (size_t)e->head.count) return dtci_head_become_raw(&e->head);
    dtci_quant_begin_features(&w);
    e->head.variant = dtci_quant_variant_byte(&w.q.variant);
    status = dtci_quant_write(&w);
    return status == DTC_OK && e->residual ? dtci_quant_residual(&w) : status;
}

/* --- Packet: check, open, describe --- */

/* Returns whether a packet of this variant may have the features of the head. */
DTCI_FN int dtci_quant_features_valid(const dtci_head *head, const dtci_quant_variant *variant) {
    uint32_t features = head->features;
    if (!features) return 1;
    if (features > 15 || head->workers > 1 || variant->rotate) return 0;
    if (features & DTCI_CODED && (!head->block || features & DTCI_QUANT_NO_GRIDS)) return 0;
    if (variant->even && features != DTCI_OUTLIERS) return 0;
    if (!(features & DTCI_QUANT_NO_GRIDS)) return 1;
    return !(features & DTCI_QUANT_SHIFTS) && variant->coding == DTCI_QUANT_CONSTANT;
}

/* Returns the bytes of scratch that opening and decoding a packet take. */
DTCI_FN size_t dtci_quant_open_scratch(const dtci_head *head, const dtci_quant_variant *variant) {
    size_t tokens = variant->coding == DTCI_QUANT_TOKENS ? dtci_bins_scratch(head->count) : 0, blocks, codes;
    if (variant->rotate) return tokens + dtci_take_bytes(4 * (size_t)head->count);
    if (!(head->features & DTCI_CODED)) return tokens;
    blocks = dtci_blocks(head);
    codes = dtci_bins_scratch(blocks) + dtci_take_bytes(2 * blocks);
    return dtci_take_bytes(8 * blocks) + (tokens > codes ? tokens : codes);
}

DTCI_FN dtc_status dtci_quant_check(dtci_packet *packet) {
    const dtci_head *head = &packet->head;
    dtci_quant_variant variant = dtci_quant_variant_of(head);
    uint64_t size = packet->payload_bytes, need;
    if (head->workers > (variant.rotate ? DTCI_QUANT_ROTATED : 16777216u) >> variant.bits ||
        (variant.rotate ? !variant.even && variant.bits < 2 : head->seed > 0) ||
        dtci_quant_goes_raw(head, variant.rotate) || !dtci_quant_features_valid(head, &variant))
        return DTC_ERROR_HEAD;
    packet->scratch = dtci_quant_open_scratch(head, &variant);
    if (head->features & DTCI_CODED && size < DTCI_QUANT_CODED_BYTES) return DTC_ERROR_SIZE;
    need = dtci_quant_list_at(packet);
    if (size < need) return DTC_ERROR_SIZE;
    if (head->features & DTCI_OUTLIERS) need = dtci_outliers_end(packet->payload, need, size, head->count);
    if (size < need) return DTC_ERROR_SIZE;
    if (variant.coding == DTCI_QUANT_TOKENS) return size > need && head->count ? DTC_OK : DTC_ERROR_SIZE;
    if (variant.coding != DTCI_QUANT_CONSTANT)
        need += dtci_fields_bytes(head->count, dtci_quant_field_bits(head, variant.bits));
    return size == need ? DTC_OK : DTC_ERROR_SIZE;
}

/* Returns whether all grids of a packet are valid, as far as they are decoded. */
DTCI_FN int dtci_quant_grids_valid(const dtci_packet *packet) {
    const dtci_head *head = &packet->head;
    const unsigned char *grids = packet->grids ? packet->grids : packet->payload;
    dtci_quant_variant variant = dtci_quant_variant_of(head);
    size_t parts = dtci_quant_parts(head, variant.rotate), b;
    if (variant.rotate) return dtci_scales_finite(grids, parts, 4, 1);
    if (head->features & DTCI_QUANT_NO_GRIDS || (head->features & DTCI_CODED && !packet->grids)) return 1;
    for (b = 0; b < parts; b++)
        if (!dtci_quant_grid_valid(grids + 8 * b, variant.even, (double)head->workers)) return 0;
    return 1;
}

/* Returns whether the lowest of every block is one that a packet with shifts may have, and the outliers are valid. */
DTCI_FN int dtci_quant_extras_valid(const dtci_quant *q, int has_grids) {
    size_t blocks = dtci_blocks(q->head), i;
    if (q->head->features & DTCI_QUANT_SHIFTS && has_grids) {
        for (i = 0; i < blocks; i++) {
            int32_t lowest = dtci_quant_grid(q, i).lowest;
            if (lowest < -65535 || lowest > 0) return 0;
        }
    }
    return !(q->head->features & DTCI_OUTLIERS) || dtci_outliers_valid(&q->outliers, q->head->count);
}

/* Returns whether the bins, which are below 2^bin_bits, give valid fields in every block. */
DTCI_FN int dtci_quant_bins_valid(const dtci_quant *q, const uint16_t *bins) {
    size_t count = q->head->count, block = q->variant.rotate || q->variant.even ? count : dtci_block(q->head), first;
    uint32_t top = dtci_quant_top(q);
    if (block == count && top + 1 == (uint32_t)1 << q->bin_bits) return 1;
    for (first = 0; first < count; first += block) {
        size_t n = count - first < block ? count - first : block;
        uint16_t most = 0;
        dtci_bins_max(&most, bins + first, (uint16_t)(dtci_quant_shift(q, first / block) & 0xffff), n);
        if (most > top) return 0;
    }
    return 1;
}

DTCI_FN dtc_status dtci_quant_open(dtci_packet *packet, dtci_arena *arena, unsigned skip) {
    size_t count = packet->head.count;
    const unsigned char *from;
    dtc_status status;
    dtci_quant q;
    packet->bins = NULL;
    packet->grids = NULL;
    if (packet->head.features & DTCI_CODED) {
        if (!dtci_quant_coded_valid(packet->payload, 1)) return DTC_ERROR_PAYLOAD;
        status = skip & DTCI_OPEN_NO_TOKENS ? DTC_OK : dtci_quant_open_grids(packet, arena);
        if (status != DTC_OK) return status;
    }
    if (!dtci_quant_grids_valid(packet)) return DTC_ERROR_PAYLOAD;
    q = dtci_quant_of(packet);
    from = packet->payload + q.fields_at;
    if (q.head->features && !dtci_quant_extras_valid(&q, packet->grids || !(q.head->features & DTCI_CODED)))
        return DTC_ERROR_PAYLOAD;
    if (q.variant.coding == DTCI_QUANT_CONSTANT) return DTC_OK;
    if (q.variant.coding == DTCI_QUANT_TOKENS) {
        if (q.bin_bits > DTCI_QUANT_BITS_MAX) return DTC_ERROR_PAYLOAD;
        if (skip & DTCI_OPEN_NO_TOKENS) return DTC_OK;
        status = dtci_bins_decode(&packet->bins, count, q.bin_bits, from, packet->payload_bytes - q.fields_at, arena);
        if (status != DTC_OK) return status;
        return dtci_quant_bins_valid(&q, packet->bins) ? DTC_OK : DTC_ERROR_PAYLOAD;
    }
    if (skip & DTCI_OPEN_NO_FIELDS) return DTC_OK;
    return dtci_fields_valid(from, count, dtci_quant_field_bits(q.head, q.variant.bits), dtci_quant_top(&q))
               ? DTC_OK
               : DTC_ERROR_PAYLOAD;
}

DTCI_COLD void dtci_quant_describe(const dtci_packet *packet, dtc_spec *spec) {
    dtci_quant_variant variant = dtci_quant_variant_of(&packet->head);
    spec->quant.bits = (int)variant.bits;
    spec->quant.rotate = variant.rotate;
    spec->quant.grid = variant.even ? DTC_GRID_EVEN : DTC_GRID_ZERO;
    if (packet->head.features & DTCI_QUANT_SHIFTS) spec->quant.rounding = DTC_ROUNDING_RD;
    spec->quant.entropy = variant.coding == DTCI_QUANT_FIELDS ? DTC_ENTROPY_NONE : DTC_ENTROPY_HUFFMAN;
}

/* --- Sums --- */

/* Returns the most bits of a bin that the coder of a sum has room for. Sums whose bins have more bits are stored as
 * fields. */
DTCI_FN unsigned dtci_quant_sum_bits(const dtci_head *head) {
    dtci_quant_variant variant = dtci_quant_variant_of(head);
    unsigned bits = dtci_quant_field_bits(head, variant.bits);
    if (head->block && !variant.even && !variant.rotate) return DTCI_QUANT_BITS_MAX; /* `lowest` may differ by block */
    return bits > DTCI_QUANT_BITS_MAX ? DTCI_QUANT_BITS_MAX : bits;
}

DTCI_COLD dtc_status dtci_quant_plan_add(dtci_addition *sum) {
    dtci_quant_variant a = dtci_quant_variant_of(&sum->a->head), b = dtci_quant_variant_of(&sum->b->head);
    size_t count = sum->head.count;
    if (a.bits != b.bits || a.even != b.even || a.rotate != b.rotate) return DTC_ERROR_INCOMPATIBLE_GRID;
    sum->fixed = a.coding == DTCI_QUANT_FIELDS;
    if (sum->fixed != (b.coding == DTCI_QUANT_FIELDS)) return DTC_ERROR_INCOMPATIBLE_PACKING;
    sum->bound = dtci_quant_grid_bytes(&sum->head, a.rotate) +
                 dtci_fields_bytes(count, dtci_quant_field_bits(&sum->head, a.bits));
    sum->scratch = dtci_take_bytes(2 * count) + dtci_coder_scratch(count, dtci_quant_sum_bits(&sum->head));
    sum->scratch = sum->fixed ? 0 : sum->a->scratch + sum->b->scratch + sum->scratch;
    return DTC_OK;
}

/* Adds the fields of both packets, a chunk at a time. The sums go to `bins` as bins, or packed to `to` if `bins` is
 * NULL. Returns 0 if all sums are 0. */
DTCI_FN uint32_t dtci_quant_sum(uint16_t *bins, unsigned char *to, const dtci_quant *q, const dtci_addition *sum) {
    dtci_quant a = dtci_quant_of(sum->a), b = dtci_quant_of(sum->b);
    unsigned bits = dtci_quant_field_bits(q->head, q->variant.bits);
    uint32_t fields[DTCI_CHUNK], more[DTCI_CHUNK], any = 0;
    size_t count = q->head->count, first, n, i;
    for (first = 0; first < count; first += n) {
        n = count - first < DTCI_CHUNK ? count - first : DTCI_CHUNK;
        dtci_quant_unpack(fields, &a, sum->a, first, n);
        if (a.variant.coding == DTCI_QUANT_TOKENS) dtci_quant_rebase(fields, &a, 0, first, n);
        dtci_quant_unpack(more, &b, sum->b, first, n);
        if (b.variant.coding == DTCI_QUANT_TOKENS) dtci_quant_rebase(more, &b, 0, first, n);
        for (i = 0; i < n; i++) {
            fields[i] += more[i];
            any |= fields[i];
        }
        if (bins) {
            dtci_quant_rebase(fields, q, 1, first, n);
            dtci_bins_from_fields(bins + first, fields, n);
        } else {
            dtci_fields_pack(to, fields, first, n, bits);
        }
    }
    return any;
}

/* Codes the bins of a sum as tokens, or as fields if tokens would not be smaller. The choice depends on the sum alone,
 * so that sums in any order give the same bytes. */
DTCI_FN dtc_status dtci_quant_recode(dtci_addition *sum, dtci_quant *q, const uint16_t *bins, size_t grids) {
    size_t count = sum->head.count, size;
    dtci_tokens_plan plan;
    dtci_coder coder;
    dtc_status status;
    if (!dtci_coder_take(&coder, count, dtci_quant_sum_bits(&sum->head), &sum->arena)) return DTC_ERROR_SCRATCH;
    dtci_coder_count(&coder, bins, count, q->bin_bits);
    plan = dtci_coder_choose(&coder);
    status = dtci_bins_write(&coder, &plan, sum->bytes - grids, sum->payload + grids, sum->capacity - grids, &size);
    if (status != DTC_OK) return status;
    if (size) {
        q->variant.coding = DTCI_QUANT_TOKENS;
        sum->bytes = grids + size;
        return DTC_OK;
    }
    if (sum->capacity < sum->bytes) return DTC_ERROR_CAPACITY;
    dtci_quant_pack_bins(sum->payload + grids, q, bins);
    return DTC_OK;
}

/* Adds fields of fixed width without unpacking them. */
DTCI_FN void dtci_quant_add_fixed(dtci_addition *sum, const dtci_quant *q, size_t grids) {
    sum->verify.largest_a = sum->a->head.terms * ((1u << q->variant.bits) - 1);
    sum->verify.largest_b = sum->b->head.terms * ((1u << q->variant.bits) - 1);
    dtci_fields_add_all(sum->payload + grids, sum->a->payload + grids, sum->b->payload + grids, sum->head.count,
                        dtci_quant_field_bits(&sum->head, q->variant.bits), sum->verifying ? &sum->verify : NULL);
}

DTCI_FN dtc_status dtci_quant_add(dtci_addition *sum) {
    dtci_quant q = dtci_quant_of(sum->a);
    size_t grids = dtci_quant_grid_bytes(q.head, q.variant.rotate), count = sum->head.count;
    const dtci_packet *a = sum->a, *b = sum->b;
    dtc_status status = DTC_OK;
    uint16_t *bins = NULL;
    uint32_t any;
    sum->bytes = sum->bound;
    if (!dtci_same(a->payload, b->payload, grids)) return DTC_ERROR_INCOMPATIBLE_GRID;
    q.head = &sum->head;
    q.bin_bits = dtci_bit_width(dtci_quant_top(&q));
    if (!q.variant.rotate) dtci_quant_find_base(&q);
    if (sum->capacity < grids || ((sum->fixed || q.bin_bits > DTCI_QUANT_BITS_MAX) && sum->capacity < sum->bytes))
        return DTC_ERROR_CAPACITY;
    if (!sum->fixed && q.bin_bits <= DTCI_QUANT_BITS_MAX) {
        bins = (uint16_t *)dtci_take(&sum->arena, 2 * count);
        if (!bins && count) return DTC_ERROR_SCRATCH;
    }
    memmove(sum->payload, a->payload, grids);
    q.grids = sum->payload;
    if (sum->fixed) {
        dtci_quant_add_fixed(sum, &q, grids);
        return DTC_OK;
    }
    if (bins && a->bins && b->bins && (q.variant.even || q.variant.rotate || !q.head->block)) {
        uint16_t most = 0;
        dtci_bins_add(bins, a->bins, b->bins, count);
        dtci_bins_max(&most, bins, 0, count);
        any = most;
    } else {
        any = dtci_quant_sum(bins, sum->payload + grids, &q, sum);
    }
    q.variant.coding = any ? DTCI_QUANT_WIDE : DTCI_QUANT_CONSTANT;
    if (any && bins) status = dtci_quant_recode(sum, &q, bins, grids);
    if (!any) sum->bytes = grids;
    sum->head.variant = dtci_quant_variant_byte(&q.variant);
    return status;
}

/* --- Multiples --- */

/* Multiplies offset and half of each grid. Rounding a small half can make |offset| too large for it; this is
 * NONFINITE. */
DTCI_COLD dtc_status dtci_quant_scale_even(const dtci_head *head, unsigned char *grids, float weight) {
    size_t blocks = dtci_blocks(head), b;
    int write;
    for (write = 0; write < 2; write++) { /* the first pass only checks, so that the packet is unchanged on failure */
        for (b = 0; b < blocks; b++) {
            unsigned char grid[8];
            dtci_put_float(grid, dtci_get_float(grids + 8 * b) * weight);
            dtci_put_float(grid + 4, dtci_get_float(grids + 8 * b + 4) * weight);
            if (!dtci_quant_grid_valid(grid, 1, (double)head->workers)) return DTC_ERROR_NONFINITE;
            if (write) memcpy(grids + 8 * b, grid, 8);
        }
    }
    return DTC_OK;
}

DTCI_COLD dtc_status dtci_quant_scale_grids(const dtci_packet *packet, unsigned char *payload, float weight) {
    dtci_quant_variant variant = dtci_quant_variant_of(&packet->head);
    size_t parts = dtci_quant_parts(&packet->head, variant.rotate);
    if (packet->head.features & DTCI_QUANT_NO_GRIDS) return DTC_OK;
    if (packet->head.features & DTCI_CODED) {
        if (!dtci_quant_coded_valid(payload, weight)) return DTC_ERROR_NONFINITE;
        dtci_put_float(payload, dtci_get_float(payload) * weight);
        return DTC_OK;
    }
    if (variant.even && !variant.rotate) return dtci_quant_scale_even(&packet->head, payload, weight);
    return dtci_scales_scale(payload, parts, variant.rotate ? 4 : 8, weight);
}

DTCI_COLD dtc_status dtci_quant_scale(const dtci_packet *packet, unsigned char *payload, float weight) {
    dtc_status status;
    dtci_quant q;
    if (!(packet->head.features & DTCI_OUTLIERS)) return dtci_quant_scale_grids(packet, payload, weight);
    q = dtci_quant_of(packet);
    if (!dtci_scales_finite(q.outliers.floats, q.outliers.n, 4, weight)) return DTC_ERROR_NONFINITE;
    status = dtci_quant_scale_grids(packet, payload, weight);
    if (status != DTC_OK) return status;
    return dtci_scales_scale(payload + (q.outliers.floats - packet->payload), q.outliers.n, 4, weight);
}

/* --- Row --- */

static const dtci_codec dtci_quant_codec = {DTC_QUANT,
                                            "quant",
                                            dtci_quant_keys,
                                            sizeof dtci_quant_keys / sizeof *dtci_quant_keys,
                                            dtci_quant_check_spec,
                                            dtci_quant_begin,
                                            dtci_quant_range,
                                            dtci_quant_set_range,
                                            dtci_quant_scratch,
                                            dtci_quant_read_scratch,
                                            dtci_quant_encode,
                                            dtci_quant_check,
                                            dtci_quant_open,
                                            dtci_quant_describe,
                                            dtci_quant_decode,
                                            dtci_quant_plan_add,
                                            dtci_quant_add,
                                            dtci_quant_scale,
                                            NULL};

#else

static const dtci_codec dtci_quant_codec = DTCI_LEFT_OUT(DTC_QUANT);

#endif /* DTC_NO_QUANT */

/* --------------------------------------------------------------------------------------------------------------------
 * Nested packets (see NESTED in the wire format)
 *
 * The payloads of factor, sensing and circulant hold their arrays as whole packets of raw or quant, without checksum,
 * rows or seed.
 * ------------------------------------------------------------------------------------------------------------------*/

/* Returns the row of a codec that may be nested, or NULL for another codec. */
DTCI_SHARED const dtci_codec *dtci_nest_codec(dtc_codec codec) {
    return codec == DTC_RAW ? &dtci_raw_codec : codec == DTC_QUANT ? &dtci_quant_codec : NULL;
}

/* Returns the spec of a nested packet: floats of value->type if value->bits is 0, else quant with `block` values a
 * grid. */
DTCI_SHARED dtc_spec dtci_nest_spec(const dtc_value *value, size_t block) {
    dtc_spec spec;
    memset(&spec, 0, sizeof spec);
    spec.codec = value->bits ? DTC_QUANT : DTC_RAW;
    spec.raw.type = value->type;
    spec.quant.bits = value->bits;
    spec.block = block;
    spec.no_checksum = 1;
    return spec;
}

/* Whether the build can quantize what is nested. */
DTCI_FN int dtci_nest_quantizes(void) {
    return dtci_quant_codec.encode != NULL;
}

/* Checks the options of a dtc_value. Errors: SPEC; CODEC (quantized values in a build without quant). */
DTCI_FN dtc_status dtci_value_check(const dtc_value *value) {
    if ((unsigned)value->type > DTC_TYPE_FP16 || value->bits < 0 || value->bits > 16 || (value->type && value->bits))
        return DTC_ERROR_SPEC;
    return value->bits && !dtci_nest_quantizes() ? DTC_ERROR_CODEC : DTC_OK;
}

/* Returns the bytes that are enough for a nested packet of `count` values. */
DTCI_FN size_t dtci_nest_bound(const dtc_spec *spec, size_t count) {
    return 12 + (spec->block ? 4u : 0u) + (spec->workers > 1 ? 4u : 0u) + 4 * count;
}

/* Returns the bytes of scratch that dtci_nest_encode needs. */
DTCI_FN size_t dtci_nest_scratch(const dtc_spec *spec, size_t count) {
    const dtci_codec *codec = dtci_nest_codec(spec->codec);
    return codec->scratch ? (codec->scratch)(spec, count) : 0;
}

/* Encodes finite values as a nested packet of *bytes bytes at `to`. The arena itself does not change, so its memory is
 * free again after the call. Errors: ARGUMENT, CAPACITY, SCRATCH. */
DTCI_SHARED dtc_status dtci_nest_encode(const dtc_spec *spec, unsigned char *to, size_t capacity, size_t *bytes,
                                        const float *values, size_t count, const dtci_arena *arena) {
    const dtci_codec *codec = dtci_nest_codec(spec->codec);
    dtci_encoding e;
    dtc_status status;
    memset(&e, 0, sizeof e);
    *bytes = 0;
    status = dtci_head_begin(&e.head, spec, count);
    if (status != DTC_OK) return status;
    (codec->begin)(&e.head, spec);
    e.head.head_bytes = dtci_head_bytes(&e.head);
    if (capacity < e.head.head_bytes) return DTC_ERROR_CAPACITY;
    e.spec = spec;
    e.source = dtci_source_of(values);
    e.arena = *arena;
    e.payload = to + e.head.head_bytes;
    e.capacity = capacity - e.head.head_bytes;
    status = (codec->encode)(&e);
    if (status == DTC_OK && e.head.codec == DTC_RAW && codec->number != DTC_RAW) { /* raw may have a shorter head */
        e.payload = to + e.head.head_bytes;
        e.capacity = capacity - e.head.head_bytes;
        status = dtci_raw_encode(&e);
    }
    if (status != DTC_OK) return status;
    dtci_head_close(to, &e.head, e.bytes);
    *bytes = e.head.packet_bytes;
    return DTC_OK;
}

/* What the wire format requires of a nested packet in its place. */
typedef struct dtci_nest_slot {
    size_t count;
    uint32_t workers, terms;
} dtci_nest_slot;

/* Checks the head of the nested packet at the start of from[0..size) against its place, in constant time. Every
 * violation is PAYLOAD; a packet of quant in a build without quant is CODEC. */
DTCI_SHARED dtc_status dtci_nest_check(dtci_packet *nested, const unsigned char *from, size_t size,
                                       const dtci_nest_slot *place) {
    dtci_head *head = &nested->head;
    const dtci_codec *codec;
    memset(nested, 0, sizeof *nested);
    if (dtci_head_read(from, size, head) != DTC_OK) return DTC_ERROR_PAYLOAD;
    codec = dtci_nest_codec(head->codec);
    if (!codec || head->checksum || head->rows || head->seed || head->features || head->count != place->count ||
        head->workers != place->workers || head->terms != place->terms)
        return DTC_ERROR_PAYLOAD;
    if (!codec->encode) return DTC_ERROR_CODEC;
    if (dtci_packet_check(nested, from, codec) != DTC_OK) return DTC_ERROR_PAYLOAD;
    return head->codec == DTC_QUANT && head->variant >> 7 ? DTC_ERROR_PAYLOAD : DTC_OK; /* rotated */
}

/* Checks and opens the nested packet at the start of from[0..size), which must fit its place. Its decoded tokens
 * are in memory of the arena. Errors: those of dtci_nest_check, SCRATCH. */
DTCI_SHARED dtc_status dtci_nest_open(dtci_packet *nested, const unsigned char *from, size_t size,
                                      const dtci_nest_slot *place, dtci_arena *arena, unsigned skip) {
    dtc_status status = dtci_nest_check(nested, from, size, place);
    if (status == DTC_OK) status = (nested->codec->open)(nested, arena, skip);
    if (status == DTC_OK && nested->head.codec == DTC_RAW && !dtci_raw_finite(nested)) status = DTC_ERROR_PAYLOAD;
    return status;
}

/* Decodes an opened nested packet to values[0..count), where count is that of the packet. */
DTCI_SHARED void dtci_nest_decode(float *values, const dtci_packet *nested) {
    dtci_sink sink;
    memset(&sink, 0, sizeof sink);
    sink.kind = DTCI_SINK_STORE;
    sink.values = values;
    (void)(dtci_nest_codec(nested->head.codec)->decode)(nested, &sink, NULL, NULL);
}

/* Multiplies an opened nested packet by weight. `payload` is the writable payload of `outer`, which the packet lies
 * in. */
DTCI_FN dtc_status dtci_nest_scale(const dtci_packet *nested, const dtci_packet *outer, unsigned char *payload,
                                   float weight) {
    size_t at = (size_t)(nested->payload - outer->payload);
    return (dtci_nest_codec(nested->head.codec)->scale)(nested, payload + at, weight);
}

/* Returns how a nested packet holds its values, from its head. */
DTCI_FN dtc_value dtci_nest_value(const dtci_head *head) {
    dtc_value value;
    memset(&value, 0, sizeof value);
    if (head->codec == DTC_QUANT) value.bits = (int)(head->variant & 15) + 1;
    if (head->codec == DTC_RAW && head->variant <= DTC_TYPE_FP16) value.type = (dtc_type)head->variant;
    return value;
}

/* Returns how the sum of two nested packets holds its values: in the type that both have, or in fp32 if the types
 * differ or the values are quantized. */
DTCI_FN dtc_value dtci_nest_sum_value(const dtci_packet *a, const dtci_packet *b) {
    dtc_value value;
    memset(&value, 0, sizeof value);
    if (a->head.codec == DTC_RAW && b->head.codec == DTC_RAW && a->head.variant == b->head.variant)
        value.type = (dtc_type)a->head.variant;
    return value;
}

/* Adds others[i] to values[i]. Returns NONFINITE if a sum leaves the range of the type. */
DTCI_FN dtc_status dtci_nest_add_values(float *values, const float *others, const dtc_value *value, size_t n) {
    return dtci_raw_combine(values, others, 0, (uint32_t)value->type, n) ? DTC_ERROR_NONFINITE : DTC_OK;
}

/* Plans the sum of two nested packets whose heads were checked. Sets sum->head, and the outputs of plan_add. */
DTCI_FN dtc_status dtci_nest_plan_add(dtci_addition *sum) {
    const dtci_head *a = &sum->a->head, *b = &sum->b->head;
    if (a->codec != b->codec) return DTC_ERROR_INCOMPATIBLE_CODEC;
    if (a->block != b->block) return DTC_ERROR_INCOMPATIBLE_BLOCK;
    sum->head = *a;
    sum->head.terms += b->terms;
    return (dtci_nest_codec(a->codec)->plan_add)(sum);
}

/* Adds two opened nested packets that were planned. On entry sum->payload and sum->capacity are those of the whole
 * nested packet; on return sum->bytes is its size. */
DTCI_FN dtc_status dtci_nest_add(dtci_addition *sum) {
    unsigned char *packet = sum->payload;
    dtc_status status;
    if (sum->capacity < sum->head.head_bytes) return DTC_ERROR_CAPACITY;
    sum->payload += sum->head.head_bytes;
    sum->capacity -= sum->head.head_bytes;
    status = (dtci_nest_codec(sum->head.codec)->add)(sum);
    if (status != DTC_OK) return status;
    dtci_head_close(packet, &sum->head, sum->bytes);
    sum->bytes = sum->head.packet_bytes;
    return DTC_OK;
}

/* --------------------------------------------------------------------------------------------------------------------
 * factor: a matrix as the sum over k < rank of the outer products u_k v_k^T
 *
 * dtc_encode_factors sends factors that the caller has (sufficient factors: Xie et al., UAI 2016). dtc_encode computes
 * a low-rank approximation of the matrix, as PowerSGD does (Vogels et al., NeurIPS 2019).
 *
 * The approximation is found by subspace iteration (Halko, Martinsson and Tropp, SIAM Review 2011, section 4.5). A few
 * more vectors than the rank are multiplied with the matrix and with its transpose in turn. The vectors are made
 * orthonormal between the products. The singular values of the last product, which has few columns, select the best
 * `rank` directions of the subspace. All computations are in double, whose range holds the squares of FLT_MAX and of
 * denormal floats, so no scaling is needed.
 *
 * The payload is the rank (4 bytes) and, unless the rank is 0, the nested packets of u (rank x rows) and of v
 * (rank x columns).
 * ------------------------------------------------------------------------------------------------------------------*/

#ifndef DTC_NO_FACTOR

#define DTCI_FACTOR_RANK   4     /* the default of the rank */
#define DTCI_FACTOR_MORE   8u    /* the iteration has this many vectors more than the rank */
#define DTCI_FACTOR_PASSES 4u    /* products with the matrix or its transpose */
#define DTCI_FACTOR_ROWS   4u    /* a product takes this many rows of the matrix at once */
#define DTCI_FACTOR_NOISE  1e-15 /* smaller squared singular values, relative to the largest, are rounding errors */

/* --- Options --- */

static const dtci_key dtci_factor_keys[] = {
    {"rank", "", DTCI_KEY_INTEGER, DTCI_FIELD(factor.rank), 1, 65535, 0, 0},
    {"value", "fp32|bf16|fp16", DTCI_KEY_VALUE, DTCI_FIELD(factor.value), 1, 16, 0, 0},
};

DTCI_COLD dtc_status dtci_factor_check_spec(const dtc_spec *spec) {
    if (spec->factor.rank < 0 || spec->factor.rank > 65535) return DTC_ERROR_SPEC;
    return dtci_value_check(&spec->factor.value);
}

/* --- Sizes --- */

/* The sizes and the arrays of one approximation. */
typedef struct dtci_factor {
    size_t rows, columns;
    size_t rank;            /* the largest rank of the packet */
    size_t width;           /* number of vectors in the iteration */
    double *left, *right;   /* width x rows, width x columns */
    double *gram, *basis;   /* width x width: inner products, and their eigenvectors */
    double *scales, *chunk; /* width; width x DTCI_CHUNK */
} dtci_factor;

/* Returns whether the factors have at least as many values as the matrix. The matrix is then stored as raw fp32. */
DTCI_FN int dtci_factor_goes_raw(size_t rank, size_t rows, size_t columns) {
    return (uint64_t)rank * ((uint64_t)rows + columns) >= (uint64_t)rows * columns;
}

/* Sets the sizes for approximating a matrix of spec->rows rows. Returns 0 if the matrix is stored as raw fp32
 * instead. */
DTCI_FN int dtci_factor_plan(dtci_factor *f, const dtc_spec *spec, size_t count) {
    size_t least;
    memset(f, 0, sizeof *f);
    if (!spec->rows || !count) return 0;
    f->rows = spec->rows;
    f->columns = count / spec->rows;
    f->rank = spec->factor.rank ? (size_t)spec->factor.rank : DTCI_FACTOR_RANK;
    if (dtci_factor_goes_raw(f->rank, f->rows, f->columns)) return 0;
    least = f->rows < f->columns ? f->rows : f->columns;
    f->width = f->rank + DTCI_FACTOR_MORE < least ? f->rank + DTCI_FACTOR_MORE : least;
    return f->rows + f->columns <= (size_t)-1 / 32 / f->width; /* a larger scratch could not be addressed */
}

/* --- Scratch --- */

/* Returns the bytes of scratch that opening u and v needs. `tokens` is 0 if both are raw. */
DTCI_FN size_t dtci_factor_open_scratch(size_t rank, size_t rows, size_t columns, int tokens) {
    if (!tokens) return 0;
    return dtci_bins_scratch(rank * rows) + dtci_bins_scratch(rank * columns);
}

/* Returns the bytes of scratch that dtci_factor_write needs. */
DTCI_SHARED size_t dtci_factor_write_scratch(const dtc_value *value, size_t rank, size_t rows, size_t columns) {
    dtc_spec u = dtci_nest_spec(value, rows), v = dtci_nest_spec(value, columns);
    size_t need = dtci_nest_scratch(&u, rank * rows), other = dtci_nest_scratch(&v, rank * columns);
    return other > need ? other : need;
}

/* Returns the bytes of scratch that are enough to write u and v, and also to open them again. */
DTCI_FN size_t dtci_factor_nest_scratch(const dtc_value *value, size_t rank, size_t rows, size_t columns) {
    size_t write = dtci_factor_write_scratch(value, rank, rows, columns);
    size_t read = dtci_factor_open_scratch(rank, rows, columns, value->bits);
    return read > write ? read : write;
}

DTCI_COLD size_t dtci_factor_scratch(const dtc_spec *spec, size_t count) {
    dtci_factor f;
    size_t iteration, nest;
    if (!dtci_factor_plan(&f, spec, count)) return 0;
    iteration = dtci_take_bytes(8 * f.width * f.rows) + dtci_take_bytes(8 * f.width * f.columns) +
                2 * dtci_take_bytes(8 * f.width * f.width) + dtci_take_bytes(8 * f.width) +
                dtci_take_bytes(8 * f.width * DTCI_CHUNK);
    nest = dtci_factor_nest_scratch(&spec->factor.value, f.rank, f.rows, f.columns);
    return dtci_take_bytes(4 * f.rank * f.rows) + dtci_take_bytes(4 * f.rank * f.columns) +
           (iteration > nest ? iteration : nest);
}

DTCI_COLD size_t dtci_factor_read_scratch(const dtc_spec *spec, size_t count) {
    dtci_factor f;
    if (!dtci_factor_plan(&f, spec, count)) return 0;
    return dtci_take_bytes(4 * f.rank * f.rows) + dtci_take_bytes(4 * f.rank * f.columns) +
           dtci_factor_open_scratch(f.rank, f.rows, f.columns, spec->factor.value.bits);
}

/* Takes the arrays of an approximation from the arena. Returns 0 if the scratch is too small. */
DTCI_FN int dtci_factor_take(dtci_factor *f, dtci_arena *arena) {
    f->left = (double *)dtci_take(arena, 8 * f->width * f->rows);
    f->right = (double *)dtci_take(arena, 8 * f->width * f->columns);
    f->gram = (double *)dtci_take(arena, 8 * f->width * f->width);
    f->basis = (double *)dtci_take(arena, 8 * f->width * f->width);
    f->scales = (double *)dtci_take(arena, 8 * f->width);
    f->chunk = (double *)dtci_take(arena, 8 * f->width * DTCI_CHUNK);
    return f->left && f->right && f->gram && f->basis && f->scales && f->chunk;
}

/* --- Encoder: approximation --- */

/* Returns the inner product of x and y. Four sums let the processor add without waiting for the last addition. */
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

/* left = A right or, if `transposed` is set, right = A^T left. A tile of a few rows stays in the first-level cache
 * while it is multiplied with every vector. */
DTCI_KERNEL void dtci_factor_multiply(const dtci_factor *f, const dtci_source *source, int transposed) {
    double tile[DTCI_FACTOR_ROWS][DTCI_CHUNK];
    float chunk[DTCI_CHUNK];
    size_t row, column, rows, n, k, i, j;
    memset(tile, 0, sizeof tile); /* rows of the last tile that the matrix lacks are zeros */
    if (transposed)
        memset(f->right, 0, 8 * f->width * f->columns);
    else
        memset(f->left, 0, 8 * f->width * f->rows);
    for (row = 0; row < f->rows; row += rows) {
        rows = f->rows - row < DTCI_FACTOR_ROWS ? f->rows - row : DTCI_FACTOR_ROWS;
        for (column = 0; column < f->columns; column += n) {
            n = f->columns - column < DTCI_CHUNK ? f->columns - column : DTCI_CHUNK;
            for (i = 0; i < DTCI_FACTOR_ROWS; i++) {
                if (i < rows) dtci_gather(chunk, source, (row + i) * f->columns + column, n);
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

/* f->gram = the inner products of f->width vectors of n values each. */
DTCI_SHARED void dtci_factor_gram(const dtci_factor *f, const double *vectors, size_t n) {
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

/* (x, y) = (c x - s y, s x + c y) for n elements of two rows (stride 1) or two columns of a matrix. */
DTCI_SHARED void dtci_factor_givens(double *x, double *y, size_t stride, size_t n, double c, double s) {
    size_t i;
    for (i = 0; i < n * stride; i += stride) {
        double a = x[i], b = y[i];
        x[i] = c * a - s * b;
        y[i] = s * a + c * b;
    }
}

/* Sets the rows of f->basis to the eigenvectors of f->gram, and the diagonal of f->gram to the eigenvalues, the largest
 * first. The method is that of Jacobi (Golub and Van Loan, Matrix Computations, section 8.5). */
DTCI_FN void dtci_factor_eigen(const dtci_factor *f) {
    size_t n = f->width, p, q, i;
    int sweep, turned = 1;
    double *g = f->gram;
    for (i = 0; i < n * n; i++) f->basis[i] = i % (n + 1) == 0;
    for (sweep = 0; sweep < 30 && turned; sweep++) { /* about six sweeps are enough */
        turned = 0;
        for (p = 0; p < n; p++) {
            for (q = p + 1; q < n; q++) {
                double x = g[p * n + q], apart = g[q * n + q] - g[p * n + p], t, c;
                if (x * x <= 1e-32 * fabs(g[p * n + p] * g[q * n + q])) continue;
                t = 2 * x / (fabs(apart) + sqrt(apart * apart + 4 * x * x));
                if (apart < 0) t = -t;
                c = 1 / sqrt(1 + t * t);
                dtci_factor_givens(g + p, g + q, n, n, c, t * c);
                dtci_factor_givens(g + p * n, g + q * n, 1, n, c, t * c);
                dtci_factor_givens(f->basis + p * n, f->basis + q * n, 1, n, c, t * c);
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
        dtci_factor_givens(f->basis + p * n, f->basis + most * n, 1, n, 0, 1);
    }
}

/* vectors = diag(f->scales) f->basis vectors, for f->width vectors of n values each. */
DTCI_SHARED void dtci_factor_change_basis(const dtci_factor *f, double *vectors, size_t n) {
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

/* Returns the squared singular value k of the vectors that f->gram was computed from, or 0 if it is a rounding
 * error. */
DTCI_FN double dtci_factor_square(const dtci_factor *f, size_t k) {
    double square = f->gram[k * (f->width + 1)];
    return square > DTCI_FACTOR_NOISE * f->gram[0] ? square : 0;
}

/* Makes f->width vectors of n values orthonormal. If their rank is lower than the width, the other vectors become zero.
 * The second pass is needed, because inner products hold the directions of short vectors with half of the digits
 * only. */
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
        dtci_factor_change_basis(f, vectors, n);
    }
}

/* Computes the approximation. The first vectors of f->left and f->right become u_k and v_k, where both have the same
 * length. Returns their number, the rank, which is at most f->rank. */
DTCI_FN size_t dtci_factor_approximate(const dtci_factor *f, const dtci_source *source, uint64_t seed) {
    dtci_random random = dtci_random_of(seed);
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
    dtci_factor_change_basis(f, f->left, f->rows);
    for (i = 0; i < rank; i++) f->scales[i] = 1 / f->scales[i];
    dtci_factor_change_basis(f, f->right, f->columns);
    return rank;
}

/* --- Factors to values, and the payload --- */

/* A matrix as the sum over k < rank of u_k v_k^T: u is rank x rows, v is rank x columns. */
typedef struct dtci_factors {
    const float *u, *v;
    size_t rank, rows, columns;
} dtci_factors;

DTCI_FN dtci_factors dtci_factors_of(const float *u, const float *v, size_t rank, size_t rows, size_t columns) {
    dtci_factors factors;
    factors.u = u;
    factors.v = v;
    factors.rank = rank;
    factors.rows = rows;
    factors.columns = columns;
    return factors;
}

/* sums[j] += weight * right[j], n <= DTCI_CHUNK. Products of floats are exact in double, so a fused multiply-add gives
 * the same sums. */
DTCI_INLINE void dtci_factor_accumulate_body(double *DTCI_RESTRICT sums, const char *right, double weight, size_t n) {
    size_t i, j;
    for (i = 0; i + 16 <= n; i += 16)
        for (j = i; j < i + 16; j++) sums[j] += weight * (double)dtci_float_at(right, j);
    for (; i < n; i++) sums[i] += weight * (double)dtci_float_at(right, i);
}

DTCI_TWIN(dtci_factor_accumulate, (double *sums, const char *right, double weight, size_t n), (sums, right, weight, n))

/* Writes values first .. first + n - 1, n <= DTCI_CHUNK, of the product of the factors to `chunk`. */
DTCI_SHARED void dtci_factor_product(float *chunk, const dtci_factors *f, size_t first, size_t n) {
    double sum[DTCI_CHUNK];
    double *volatile sums = sum; /* volatile: no compiler can join the passes over k and reorder additions */
    size_t rank = f->rank, rows = f->rows, columns = f->columns, at, m, k, j;
    size_t row = first / columns, column = first % columns;
    if (!rank) memset(sum, 0, sizeof sum);
    for (at = 0; at < n; at += m, row++, column = 0) {
        m = columns - column < n - at ? columns - column : n - at;
        for (k = 0; k < rank; k++) {
            const char *right = (const char *)f->v + 4 * (k * columns + column);
            double weight = (double)dtci_float_at(f->u, k * rows + row);
            if (k > 0)
                dtci_factor_accumulate(sums + at, right, weight, m);
            else
                for (j = 0; j < m; j++) sum[at + j] = weight * (double)dtci_float_at(right, j);
        }
    }
    for (j = 0; j < n; j++) { /* the bound is by bits, because compilers do not vectorize comparisons of floats */
        uint32_t bits = dtci_float_bits((float)sum[j]);
        chunk[j] = dtci_bits_float((bits & 0x7f800000u) == 0x7f800000u ? (bits & 0x80000000u) | 0x7f7fffffu : bits);
    }
}

/* Delivers all values of the product of the factors to the sink. */
DTCI_FN void dtci_factor_emit(const dtci_factors *f, const dtci_sink *sink) {
    size_t count = f->rows * f->columns, first, n;
    float chunk[DTCI_CHUNK];
    for (first = 0; first < count; first += n) {
        n = count - first < DTCI_CHUNK ? count - first : DTCI_CHUNK;
        dtci_factor_product(chunk, f, first, n);
        dtci_sink_deliver(sink, first, chunk, n);
    }
}

/* Returns the offset of the packet of v in a payload of `size` bytes, or 0 if there is no place for it. */
DTCI_FN size_t dtci_factor_second(const unsigned char *payload, size_t size) {
    size_t first = size >= 16 ? dtci_get32(payload + 12) : 0; /* packet_bytes of u */
    return first >= 12 && first <= size - 4 && size - 4 - first >= 12 ? 4 + first : 0;
}

/* Writes a payload of *bytes bytes: the rank, u and v. Errors: those of dtci_nest_encode. */
DTCI_FN dtc_status dtci_factor_write(const dtci_factors *factors, const dtc_value *value, unsigned char *to,
                                     size_t capacity, size_t *bytes, const dtci_arena *arena) {
    size_t rank = factors->rank, rows = factors->rows, columns = factors->columns, used;
    dtc_spec u_spec = dtci_nest_spec(value, rows), v_spec = dtci_nest_spec(value, columns);
    dtc_status status;
    *bytes = 4;
    if (capacity < 4) return DTC_ERROR_CAPACITY;
    dtci_put32(to, (uint32_t)rank);
    if (!rank) return DTC_OK;
    status = dtci_nest_encode(&u_spec, to + 4, capacity - 4, &used, factors->u, rank * rows, arena);
    if (status != DTC_OK) return status;
    *bytes += used;
    status = dtci_nest_encode(&v_spec, to + *bytes, capacity - *bytes, &used, factors->v, rank * columns, arena);
    *bytes += used;
    return status;
}

/* Decodes the factors of an opened packet to u and v. With rank 0, nothing is written. */
DTCI_SHARED void dtci_factors_decode(float *u, float *v, const dtci_packet *packet) {
    if (!dtci_get32(packet->payload)) return;
    dtci_nest_decode(u, &packet->nested[0]);
    dtci_nest_decode(v, &packet->nested[1]);
}

/* --- Packet: check, open, describe --- */

DTCI_FN dtc_status dtci_factor_check(dtci_packet *packet) {
    const dtci_head *head = &packet->head;
    size_t size = packet->payload_bytes, rows = head->rows, columns, rank, second;
    int tokens;
    packet->scratch = 0;
    if (head->variant || head->block || head->seed || !rows) return DTC_ERROR_HEAD;
    if (size < 4) return DTC_ERROR_SIZE;
    rank = dtci_get32(packet->payload);
    columns = head->count / rows;
    if (dtci_factor_goes_raw(rank, rows, columns)) return DTC_ERROR_HEAD;
    if (!rank) return size == 4 ? DTC_OK : DTC_ERROR_SIZE;
    second = dtci_factor_second(packet->payload, size);
    if (!second) return DTC_ERROR_SIZE;
    tokens = (packet->payload[5] & 15) != DTC_RAW || (packet->payload[second + 1] & 15) != DTC_RAW;
    packet->scratch = dtci_take_bytes(4 * rank * rows) + dtci_take_bytes(4 * rank * columns) +
                      dtci_factor_open_scratch(rank, rows, columns, tokens);
    packet->work = (uint64_t)rank * head->count;
    return DTC_OK;
}

DTCI_FN dtc_status dtci_factor_open(dtci_packet *packet, dtci_arena *arena, unsigned skip) {
    size_t rank = dtci_get32(packet->payload), size = packet->payload_bytes, second;
    dtci_nest_slot u = {0, 1, 1}, v = {0, 1, 1};
    dtc_status status;
    if (!rank) return DTC_OK;
    u.count = rank * packet->head.rows;
    v.count = rank * (packet->head.count / packet->head.rows);
    second = dtci_factor_second(packet->payload, size);
    status = dtci_nest_open(&packet->nested[0], packet->payload + 4, second - 4, &u, arena, skip);
    if (status == DTC_OK)
        status = dtci_nest_open(&packet->nested[1], packet->payload + second, size - second, &v, arena, skip);
    if (status == DTC_OK && packet->nested[1].head.packet_bytes != size - second) status = DTC_ERROR_PAYLOAD;
    return status;
}

DTCI_COLD void dtci_factor_describe(const dtci_packet *packet, dtc_spec *spec) {
    dtci_head u;
    spec->factor.rank = (int)dtci_get32(packet->payload);
    if (spec->factor.rank && dtci_head_read(packet->payload + 4, packet->payload_bytes - 4, &u) == DTC_OK)
        spec->factor.value = dtci_nest_value(&u);
}

/* --- Decode --- */

/* Decodes the factors of an opened packet to memory of the arena. With rank 0, u and v are NULL. */
DTCI_SHARED dtc_status dtci_factors_take(dtci_factors *factors, const dtci_packet *packet, dtci_arena *arena) {
    size_t rank = dtci_get32(packet->payload), rows = packet->head.rows, columns = packet->head.count / rows;
    float *u = rank ? (float *)dtci_take(arena, 4 * rank * rows) : NULL;
    float *v = rank ? (float *)dtci_take(arena, 4 * rank * columns) : NULL;
    *factors = dtci_factors_of(u, v, rank, rows, columns);
    if (rank && (!u || !v)) return DTC_ERROR_SCRATCH;
    dtci_factors_decode(u, v, packet);
    return DTC_OK;
}

DTCI_FN dtc_status dtci_factor_decode(const dtci_packet *packet, const dtci_sink *sink,
                                      const dtc_decode_options *options, dtci_arena *arena) {
    dtci_factors factors;
    dtc_status status = dtci_factors_take(&factors, packet, arena);
    (void)options;
    if (status == DTC_OK) dtci_factor_emit(&factors, sink);
    return status;
}

/* --- Encoder --- */

/* Decodes the packet that was made, and writes the difference from the values to the residual. u and v are overwritten
 * by the factors as the packet holds them, rounded. */
DTCI_FN dtc_status dtci_factor_residual(const dtci_encoding *e, float *u, float *v, dtci_arena *arena) {
    dtci_opened opened;
    dtci_packet *made = dtci_encoding_packet(&opened, e);
    dtci_factors factors;
    dtc_status status;
    status = dtci_factor_open(made, arena, DTCI_OPEN_ALL);
    if (status != DTC_OK) return status;
    dtci_factors_decode(u, v, made);
    factors = dtci_factors_of(u, v, dtci_get32(e->payload), e->head.rows, e->head.count / e->head.rows);
    dtci_factor_emit(&factors, e->residual);
    return DTC_OK;
}

DTCI_COLD dtc_status dtci_factor_encode(dtci_encoding *e) {
    size_t most = 4 * (size_t)e->head.count, rank, i;
    dtci_arena work;
    dtci_factors factors;
    dtci_factor f;
    dtc_status status;
    float *u, *v;
    if (!dtci_scan(&e->source, 0, e->head.count).finite) return DTC_ERROR_NONFINITE;
    if (!dtci_factor_plan(&f, e->spec, e->head.count)) return dtci_head_become_raw(&e->head);
    u = (float *)dtci_take(&e->arena, 4 * f.rank * f.rows);
    v = (float *)dtci_take(&e->arena, 4 * f.rank * f.columns);
    work = e->arena;
    if (!u || !v || !dtci_factor_take(&f, &work)) return DTC_ERROR_SCRATCH;
    rank = dtci_factor_approximate(&f, &e->source, e->spec->seed);
    for (i = 0; i < rank * f.rows; i++) u[i] = (float)f.left[i];
    for (i = 0; i < rank * f.columns; i++) v[i] = (float)f.right[i];
    factors = dtci_factors_of(u, v, rank, f.rows, f.columns);
    status = dtci_factor_write(&factors, &e->spec->factor.value, e->payload, e->capacity < most ? e->capacity : most,
                               &e->bytes, &e->arena);
    if (status == DTC_ERROR_CAPACITY && e->capacity >= most) return dtci_head_become_raw(&e->head);
    return status == DTC_OK && e->residual ? dtci_factor_residual(e, u, v, &e->arena) : status;
}

/* --- Sums --- */

DTCI_COLD dtc_status dtci_factor_plan_add(dtci_addition *sum) {
    size_t rank = (size_t)dtci_get32(sum->a->payload) + dtci_get32(sum->b->payload), rows = sum->head.rows;
    size_t columns = sum->head.count / rows;
    if (dtci_factor_goes_raw(rank, rows, columns)) return DTC_ERROR_INCOMPATIBLE;
    sum->bound = 4 + 2 * 16 + 4 * rank * (rows + columns);
    sum->scratch =
        sum->a->scratch + sum->b->scratch + dtci_take_bytes(4 * rank * rows) + dtci_take_bytes(4 * rank * columns);
    return DTC_OK;
}

/* The factors of the sum are exactly those of a, followed by those of b. */
DTCI_COLD dtc_status dtci_factor_add(dtci_addition *sum) {
    size_t rank_a = dtci_get32(sum->a->payload), rank = rank_a + dtci_get32(sum->b->payload), rows = sum->head.rows;
    size_t columns = sum->head.count / rows;
    const dtci_packet *one = rank_a ? sum->a->nested : sum->b->nested;
    const dtci_packet *other = rank > rank_a ? sum->b->nested : one;
    dtci_factors factors;
    dtc_value value;
    float *u = (float *)dtci_take(&sum->arena, 4 * rank * rows);
    float *v = (float *)dtci_take(&sum->arena, 4 * rank * columns);
    if (!u || !v) return DTC_ERROR_SCRATCH;
    memset(&value, 0, sizeof value);
    if (rank) value = dtci_nest_sum_value(one, other);
    dtci_factors_decode(u, v, sum->a);
    dtci_factors_decode(u + rank_a * rows, v + rank_a * columns, sum->b);
    factors = dtci_factors_of(u, v, rank, rows, columns);
    return dtci_factor_write(&factors, &value, sum->payload, sum->capacity, &sum->bytes, &sum->arena);
}

/* --- Multiples --- */

/* Multiplies u alone, which multiplies the matrix. */
DTCI_COLD dtc_status dtci_factor_scale(const dtci_packet *packet, unsigned char *payload, float weight) {
    return dtci_get32(payload) ? dtci_nest_scale(&packet->nested[0], packet, payload, weight) : DTC_OK;
}

/* --- Products with vectors --- */

/* Adds u_k (v_k^T x) for all k to the sums or, transposed, v_k (u_k^T x). This takes (rows + columns) * rank
 * operations. */
DTCI_FN dtc_status dtci_factor_matvec(const dtci_packet *packet, const dtci_product *product, dtci_arena *arena) {
    size_t rank = dtci_get32(packet->payload), rows = packet->head.rows, columns = packet->head.count / rows, k, i;
    size_t outputs = product->transposed ? columns : rows, inputs = product->transposed ? rows : columns;
    dtci_factors f;
    dtc_status status = dtci_factors_take(&f, packet, arena);
    if (status != DTC_OK) return status;
    for (k = 0; k < rank; k++) {
        const float *by = (product->transposed ? f.u : f.v) + k * inputs,
                    *to = (product->transposed ? f.v : f.u) + k * outputs;
        double dot = 0;
        for (i = 0; i < inputs; i++) dot += (double)by[i] * (double)dtci_float_at(product->x, i);
        for (i = 0; i < outputs; i++) product->sums[i] += dot * (double)to[i];
    }
    return DTC_OK;
}

/* --- Row --- */

static const dtci_codec dtci_factor_codec = {DTC_FACTOR,
                                             "factor",
                                             dtci_factor_keys,
                                             sizeof dtci_factor_keys / sizeof *dtci_factor_keys,
                                             dtci_factor_check_spec,
                                             dtci_begin_nothing,
                                             NULL,
                                             NULL,
                                             dtci_factor_scratch,
                                             dtci_factor_read_scratch,
                                             dtci_factor_encode,
                                             dtci_factor_check,
                                             dtci_factor_open,
                                             dtci_factor_describe,
                                             dtci_factor_decode,
                                             dtci_factor_plan_add,
                                             dtci_factor_add,
                                             dtci_factor_scale,
                                             dtci_factor_matvec};

/* --- API --- */

/* Checks the arguments of dtc_encode_factors, and makes the head of its packet. Errors: SPEC, CODEC, ARGUMENT. */
DTCI_SHARED dtc_status dtci_factor_begin_given(dtci_head *head, const dtc_spec *spec, size_t rank, size_t rows,
                                               size_t columns) {
    dtc_spec shaped = *spec;
    dtc_status status = dtci_spec_check(spec);
    if (status != DTC_OK) return status;
    if (spec->codec != DTC_FACTOR) return DTC_ERROR_CODEC;
    if (rank > DTCI_COUNT_MAX || (rows && columns > DTCI_COUNT_MAX / rows)) return DTC_ERROR_ARGUMENT;
    shaped.rows = rows;
    return dtci_spec_begin(head, &shaped, rows * columns);
}

/* Writes the payload of factors that the caller gave. If the factors are not smaller than the matrix, the payload is
 * the matrix as raw fp32. */
DTCI_FN dtc_status dtci_factor_write_given(dtci_encoding *e, const dtci_factors *f) {
    size_t most = 4 * (size_t)e->head.count, first, n, i;
    dtc_status status = DTC_ERROR_CAPACITY;
    float chunk[DTCI_CHUNK];
    if (!dtci_factor_goes_raw(f->rank, f->rows, f->columns))
        status = dtci_factor_write(f, &e->spec->factor.value, e->payload, e->capacity < most ? e->capacity : most,
                                   &e->bytes, &e->arena);
    if (status != DTC_ERROR_CAPACITY || e->capacity < most) return status;
    for (first = 0; first < e->head.count; first += n) {
        n = e->head.count - first < DTCI_CHUNK ? e->head.count - first : DTCI_CHUNK;
        dtci_factor_product(chunk, f, first, n);
        for (i = 0; i < n; i++) dtci_put_float(e->payload + 4 * (first + i), chunk[i]);
    }
    e->bytes = most;
    return dtci_head_become_raw(&e->head);
}

DTCI_API size_t dtc_encode_factors_scratch(const dtc_spec *spec, size_t rank, size_t rows, size_t columns) {
    dtci_head head;
    if (!spec || dtci_factor_begin_given(&head, spec, rank, rows, columns) != DTC_OK) return 0;
    if (dtci_factor_goes_raw(rank, rows, columns)) return 0;
    return dtci_factor_write_scratch(&spec->factor.value, rank, rows, columns);
}

DTCI_API dtc_status dtc_encode_factors(const dtc_spec *spec, void *packet, size_t capacity, size_t *packet_bytes,
                                       const float *u, const float *v, size_t rank, size_t rows, size_t columns,
                                       void *scratch, size_t scratch_bytes) {
    dtci_source left = dtci_source_of(u), right = dtci_source_of(v);
    dtci_factors factors = dtci_factors_of(u, v, rank, rows, columns);
    dtci_encoding e;
    dtc_status status;
    size_t around;
    if (packet_bytes) *packet_bytes = 0;
    if (!spec || !packet_bytes || (!packet && capacity) || (!u && rank && rows) || (!v && rank && columns))
        return DTC_ERROR_ARGUMENT;
    memset(&e, 0, sizeof e);
    status = dtci_factor_begin_given(&e.head, spec, rank, rows, columns);
    if (status != DTC_OK) return status;
    around = dtci_head_overhead(&e.head);
    if (capacity < around) return DTC_ERROR_CAPACITY;
    e.spec = spec;
    e.arena = dtci_arena_of(scratch, scratch_bytes);
    if (dtc_encode_factors_scratch(spec, rank, rows, columns) > e.arena.left) return DTC_ERROR_SCRATCH;
    if (!dtci_scan(&left, 0, rank * rows).finite || !dtci_scan(&right, 0, rank * columns).finite)
        return DTC_ERROR_NONFINITE;
    e.payload = (unsigned char *)packet + e.head.head_bytes;
    e.capacity = capacity - around;
    status = dtci_factor_write_given(&e, &factors);
    if (status != DTC_OK) return status;
    dtci_head_close((unsigned char *)packet, &e.head, e.bytes);
    *packet_bytes = e.head.packet_bytes;
    return DTC_OK;
}

DTCI_API dtc_status dtc_decode_factors(float *u, float *v, size_t *rank, size_t rows, size_t columns,
                                       const void *packet, size_t packet_bytes, const dtc_decode_options *options,
                                       void *scratch, size_t scratch_bytes) {
    dtci_arena arena = dtci_arena_of(scratch, scratch_bytes);
    size_t most = rank ? *rank : 0, count = rows * columns, found;
    dtci_opened opened;
    dtc_status status;
    if (rank) *rank = 0;
    if (!rank || !packet || (!u && most && rows) || (!v && most && columns) ||
        (rows && columns > DTCI_COUNT_MAX / rows))
        return DTC_ERROR_ARGUMENT;
    status = dtci_opened_peek(&opened, packet, packet_bytes);
    if (status != DTC_OK) return status;
    if (opened.packet.head.codec == DTC_FACTOR && opened.packet.head.rows != rows) return DTC_ERROR_COUNT;
    status = dtci_packet_open(&opened, &count, packet, packet_bytes, options, &arena);
    if (status != DTC_OK) return status;
    if (opened.packet.head.codec != DTC_FACTOR) return DTC_ERROR_CODEC;
    found = dtci_get32(opened.packet.payload);
    if (found > most) return DTC_ERROR_CAPACITY;
    dtci_factors_decode(u, v, &opened.packet);
    *rank = found;
    return DTC_OK;
}

#else

static const dtci_codec dtci_factor_codec = DTCI_LEFT_OUT(DTC_FACTOR);

DTCI_API size_t dtc_encode_factors_scratch(const dtc_spec *spec, size_t rank, size_t rows, size_t columns) {
    (void)spec, (void)rank, (void)rows, (void)columns;
    return 0;
}

DTCI_API dtc_status dtc_encode_factors(const dtc_spec *spec, void *packet, size_t capacity, size_t *packet_bytes,
                                       const float *u, const float *v, size_t rank, size_t rows, size_t columns,
                                       void *scratch, size_t scratch_bytes) {
    (void)spec, (void)packet, (void)capacity, (void)u, (void)v, (void)rank, (void)rows, (void)columns;
    (void)scratch, (void)scratch_bytes;
    if (packet_bytes) *packet_bytes = 0;
    return DTC_ERROR_CODEC;
}

DTCI_API dtc_status dtc_decode_factors(float *u, float *v, size_t *rank, size_t rows, size_t columns,
                                       const void *packet, size_t packet_bytes, const dtc_decode_options *options,
                                       void *scratch, size_t scratch_bytes) {
    (void)u, (void)v, (void)rows, (void)columns, (void)packet, (void)packet_bytes, (void)options;
    (void)scratch, (void)scratch_bytes;
    if (rank) *rank = 0;
    return DTC_ERROR_CODEC;
}

#endif /* DTC_NO_FACTOR */

/* --------------------------------------------------------------------------------------------------------------------
 * sensing: quantized compressive sensing (Mitra and Khisti)
 *
 * The encoder sends m measurements of the n values x of a block. With `keep` it first sets all but the largest x to 0.
 * The block is filled up with zeros to N values, a power of two. The measurements are y = A x + noise with A = P H D /
 * sqrt(N). D multiplies by signs from the seed, H is the Hadamard matrix, and P chooses m of its rows by the seed.
 * Since A A^T = I, A^T y is the shortest of all vectors that have the measurements y.
 *
 * The payload is the number of measurements of a whole block (uint32), and the measurements of all blocks as one nested
 * packet.
 * ------------------------------------------------------------------------------------------------------------------*/

#ifndef DTC_NO_SENSING

#define DTCI_SENSING_BLOCK 256u /* the smallest block of a spec: passes of the decoder take 256 values at once */
#define DTCI_SENSING_LANES 8u

/* --- Options --- */

static const dtci_key dtci_sensing_keys[] = {
    {"ratio", "", DTCI_KEY_FLOAT, DTCI_FIELD(sensing.ratio), 0, 1, 0, 0},
    {"bits", "", DTCI_KEY_INTEGER, DTCI_FIELD(sensing.bits), 1, 32, 0, 0},
    {"scale", "auto", DTCI_KEY_FLOAT, DTCI_FIELD(sensing.scale), 0, DTCI_FLOAT_MAX, 0, 0},
    {"keep", "", DTCI_KEY_FLOAT, DTCI_FIELD(sensing.keep), 0, 1, 0, 0},
};

DTCI_COLD dtc_status dtci_sensing_check_spec(const dtc_spec *spec) {
    if (!dtci_finite(spec->sensing.ratio) || spec->sensing.ratio < 0 || spec->sensing.ratio > 1) return DTC_ERROR_SPEC;
    if (spec->sensing.bits < 0 || (spec->sensing.bits > 16 && spec->sensing.bits != 32)) return DTC_ERROR_SPEC;
    if (!dtci_finite(spec->sensing.scale) || spec->sensing.scale < 0) return DTC_ERROR_SPEC;
    if (!dtci_finite(spec->sensing.keep) || spec->sensing.keep < 0 || spec->sensing.keep > 1) return DTC_ERROR_SPEC;
    if (spec->block &&
        (spec->block < DTCI_SENSING_BLOCK || spec->block >> DTCI_HADAMARD_MAX > 1 || (spec->block & (spec->block - 1))))
        return DTC_ERROR_SPEC;
    if (spec->sensing.bits == 32) return DTC_OK;
    if (spec->workers > 16777216u >> (spec->sensing.bits ? spec->sensing.bits : 4)) return DTC_ERROR_SPEC;
    return dtci_nest_quantizes() ? DTC_OK : DTC_ERROR_CODEC;
}

/* The measurements of a block are nearly Gaussian, with the root mean square of the values. */
DTCI_COLD float dtci_sensing_range(const dtc_spec *spec, const dtci_stats *stats, size_t count, int agreed) {
    int bits = spec->sensing.bits ? spec->sensing.bits : 4;
    if (!agreed && (spec->sensing.scale > 0 || spec->workers > 1)) return 0;
    return (float)((bits == 32 ? 1 : dtci_loading((unsigned)bits)) * dtci_stats_sigma(stats, count));
}

DTCI_COLD void dtci_sensing_set_range(dtc_spec *spec, float range) {
    spec->sensing.scale = range;
}

DTCI_FN void dtci_sensing_begin(dtci_head *head, const dtc_spec *spec) {
    dtci_begin_block(head, spec);
    head->seed = spec->seed;
}

/* --- Sizes --- */

/* The sizes of a packet. */
typedef struct dtci_sensing {
    size_t count, block, measurements; /* measurements: of a whole block. block is a power of two */
    dtci_random random;
} dtci_sensing;

/* One block: values first .. first + values - 1, in a transform of 2^log2_size values. */
typedef struct dtci_sensing_part {
    size_t first, values, measurements;
    unsigned log2_size;
} dtci_sensing_part;

/* Returns the values of a block: those that the head gives or else 65536, or the least power of two that holds all
 * values, if that is less. */
DTCI_FN size_t dtci_sensing_block(const dtci_head *head) {
    if (head->block) return head->block;
    return head->count >> DTCI_HADAMARD_MAX ? (size_t)1 << DTCI_HADAMARD_MAX
                                            : (size_t)1 << dtci_bit_width(head->count ? head->count - 1 : 0);
}

/* Returns the sizes of a packet with this head and this number of measurements of a whole block. */
DTCI_FN dtci_sensing dtci_sensing_of(const dtci_head *head, size_t measurements) {
    dtci_sensing s;
    s.count = head->count;
    s.block = dtci_sensing_block(head);
    s.measurements = measurements;
    s.random = dtci_random_of(head->seed);
    return s;
}

/* Returns the number of measurements of a block of `values` values: values * measurements / block, rounded up. */
DTCI_FN size_t dtci_sensing_measured(const dtci_sensing *s, size_t values) {
    uint64_t product = (uint64_t)values * s->measurements;
    return (size_t)(product / s->block) + (product % s->block != 0);
}

/* Returns the number of measurements of all blocks. */
DTCI_FN size_t dtci_sensing_total(const dtci_sensing *s) {
    return s->count / s->block * s->measurements + dtci_sensing_measured(s, s->count % s->block);
}

/* Returns the block that starts at value `first`. A last, shorter block is padded with zeros. But if all rows are
 * measured, it is cut into powers of two, so that nothing is lost. */
DTCI_SHARED dtci_sensing_part dtci_sensing_at(const dtci_sensing *s, size_t first) {
    dtci_sensing_part part;
    part.first = first;
    part.values = s->count - first < s->block ? s->count - first : s->block;
    if (s->measurements == s->block) part.values = (size_t)1 << dtci_hadamard_log2(part.values);
    part.measurements = dtci_sensing_measured(s, part.values);
    part.log2_size = dtci_bit_width((uint32_t)part.values - 1);
    return part;
}

/* --- Measuring --- */

/* Sets rows[i] to 1 if row i is measured, else to 0. Every choice of m rows has the same probability (Knuth, The Art of
 * Computer Programming, section 3.4.2, algorithm S). */
DTCI_INLINE void dtci_sensing_rows_body(float *rows, const dtci_sensing *s, const dtci_sensing_part *part) {
    uint32_t size = (uint32_t)1 << part->log2_size, left = (uint32_t)part->measurements, first, i;
    for (first = 0; first < size; first += DTCI_CHUNK) {
        uint32_t n = size - first < DTCI_CHUNK ? size - first : DTCI_CHUNK, draws[DTCI_CHUNK];
        for (i = 0; i < DTCI_CHUNK; i++) { /* draws after the last row are not used */
            uint64_t draw = dtci_random_at(&s->random, 0xc0000000u + first + i); /* the signs use other indices */
            draws[i] = (uint32_t)(draw * (size - first - i) >> 32);
        }
        for (i = 0; i < n; i++) {
            draws[i] = draws[i] < left;
            left -= draws[i];
        }
        for (i = 0; i < n; i++) rows[first + i] = (float)(int32_t)draws[i];
    }
}

DTCI_TWIN(dtci_sensing_rows, (float *rows, const dtci_sensing *s, const dtci_sensing_part *part), (rows, s, part))

/* Multiplies n <= DTCI_CHUNK values by their signs (the matrix D); x[0] is value `first`. */
DTCI_FN void dtci_sensing_flip(float *x, const dtci_sensing *s, size_t first, size_t n) {
    uint32_t negative[DTCI_CHUNK];
    size_t i;
    dtci_sign_masks(negative, &s->random, first, n);
    for (i = 0; i < n; i++) x[i] = dtci_bits_float(dtci_float_bits(x[i]) ^ (negative[i] & 0x80000000u));
}

/* Returns the power of two that brings the largest magnitude into [0.5, 1), so that no sum of the transform
 * overflows. */
DTCI_SHARED double dtci_sensing_unit(const float *x, size_t n) {
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

/* Returns the bits of the float that is the kept-th largest magnitude of n values, 1 <= kept <= n. *equal is the number
 * of values of exactly this magnitude that are among the `kept` largest. Each turn of the loop over x finds eight more
 * bits of the result, the highest bits first. */
DTCI_FN uint32_t dtci_sensing_least(const float *x, size_t n, size_t kept, size_t *equal) {
    uint32_t least = 0, known = 0, digit, counts[256]; /* known: a mask of the bits that are found */
    unsigned shift = 32;
    size_t i;
    while (shift > 0) {
        shift -= 8;
        memset(counts, 0, sizeof counts);
        for (i = 0; i < n; i++) {
            uint32_t magnitude = dtci_float_bits(x[i]) & 0x7fffffffu;
            counts[magnitude >> shift & 255] += (magnitude & known) == least;
        }
        for (digit = 255; counts[digit] < kept; digit--) kept -= counts[digit];
        least |= digit << shift;
        known |= (uint32_t)255 << shift;
    }
    *equal = kept;
    return least;
}

/* Sets all of the n values of x to 0 but the part `keep` of the largest magnitudes. Of equal magnitudes the first ones
 * stay. */
DTCI_FN void dtci_sensing_keep(float *x, size_t n, float keep) {
    size_t kept = (size_t)((double)keep * (double)n), equal, i;
    uint32_t least;
    if (!(keep > 0) || kept >= n) return;
    /* rounds up, but in floats, because 0.1f is above 0.1 and shall keep 100 of 1000 values */
    if ((float)((double)kept / (double)n) < keep) kept++;
    least = dtci_sensing_least(x, n, kept, &equal);
    for (i = 0; i < n; i++) {
        uint32_t bits = dtci_float_bits(x[i]), magnitude = bits & 0x7fffffffu, tied = magnitude == least && equal > 0;
        equal -= tied;
        x[i] = dtci_bits_float(magnitude > least || tied ? bits : 0);
    }
}

/* Measures one block, of which the part `keep` of the largest magnitudes is kept, or all if it is 0. y has room for one
 * float more than the block has measurements. rows and x have the size of the transform; x is working memory. */
DTCI_FN void dtci_sensing_measure(float *y, const dtci_sensing *s, const dtci_sensing_part *part,
                                  const dtci_source *source, float keep, const float *rows, float *x) {
    size_t size = (size_t)1 << part->log2_size, i, n;
    double unit;
    for (i = 0; i < part->values; i += n) {
        n = part->values - i < DTCI_CHUNK ? part->values - i : DTCI_CHUNK;
        dtci_gather(x + i, source, part->first + i, n);
    }
    dtci_sensing_keep(x, part->values, keep);
    for (i = 0; i < part->values; i += n) {
        n = part->values - i < DTCI_CHUNK ? part->values - i : DTCI_CHUNK;
        dtci_sensing_flip(x + i, s, part->first + i, n);
    }
    memset(x + part->values, 0, 4 * (size - part->values));
    unit = dtci_sensing_unit(x, part->values);
    for (i = 0; i < part->values; i++) x[i] = (float)((double)x[i] * unit);
    dtci_hadamard(x, part->log2_size);
    unit = 1 / (unit * sqrt((double)size));
    for (i = 0; i < size; i++) /* here |x| is at most 65536 */
        x[i] = unit < 1e30 ? (float)((double)x[i] * unit) : dtci_to_float((double)x[i] * unit);
    for (i = 0; i < size; i++) { /* no branch, because the processor could not predict it */
        *y = x[i];
        y += rows[i] > 0;
    }
}

/* Clips m measurements, which are nearly Gaussian, to the best range of a quantizer of `bits` bits. For one bit,
 * measurements become +- the mean magnitude. */
DTCI_FN void dtci_sensing_clip(float *y, size_t m, unsigned bits) {
    double squares = 0, sum = 0, limit;
    float most;
    size_t i;
    for (i = 0; i < m; i++) {
        squares += (double)y[i] * (double)y[i];
        sum += fabs((double)y[i]);
    }
    limit = dtci_loading(bits) * sqrt(squares / (double)m);
    if (bits == 1) limit = sum / (double)m;
    most = dtci_to_float(limit);
    if (bits == 1)
        for (i = 0; i < m; i++) y[i] = y[i] < 0 ? -most : most;
    else
        for (i = 0; i < m; i++) y[i] = y[i] > most ? most : y[i] < -most ? -most : y[i];
}

/* Returns the spec of the nested packet of measurements. */
DTCI_SHARED dtc_spec dtci_sensing_nest(const dtc_spec *spec, const dtci_sensing *s) {
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

/* --- Finding the values of a block --- */

/* One block to decode, in units that keep all floats far from their limits. The arrays have the size of the transform,
 * and are filled up with zeros to at least DTCI_CHUNK floats. */
typedef struct dtci_sensing_work {
    float *rows, *y;  /* rows[i]: 1 if row i is measured, else 0; y[i]: the measurement of row i, or 0 */
    float *x, *w, *v; /* x: estimate; w: gradient; v: extrapolated estimate of FISTA */
    size_t size, room, values, measurements;
    unsigned log2_size;
} dtci_sensing_work;

/* Returns the floats of each array of dtci_sensing_work, for a transform of `size` values. */
DTCI_FN size_t dtci_sensing_padded(size_t size) {
    return size < DTCI_CHUNK ? DTCI_CHUNK : size;
}

/* Returns the bytes of scratch that opening and decoding a packet need. */
DTCI_FN uint64_t dtci_sensing_decode_scratch(const dtci_sensing *s) {
    size_t total = dtci_sensing_total(s);
    return (uint64_t)dtci_bins_scratch(total) + dtci_take_bytes(4 * (total + 1)) +
           5 * (uint64_t)dtci_take_bytes(4 * dtci_sensing_padded(s->block));
}

/* The assumed distribution of a value: 0, or with probability `density` Gaussian with this variance. */
typedef struct dtci_sensing_prior {
    double density, variance;
} dtci_sensing_prior;

/* The constants of dtci_sensing_denoise. */
typedef struct dtci_sensing_denoiser {
    float k, g, c; /* t = k r^2, p = 1 / (1 + c exp(-t)), x = p g r */
} dtci_sensing_denoiser;

/* Passes over a block, written once for vectors of one, four and eight values. Sums are in float over 256 values, and
 * in double over these sums. */
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
    /* For values begin .. end - 1: w := back * d, where d = y - scale * rows * w. Returns the sum of d^2. */         \
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
    /* For values first .. last - 1: sums[0] += w^2 and sums[1] += w^4. */                                            \
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
    /* For values first .. last - 1, where r = x + w: x := expectation of each value, w := r. Adds p to sums[0], then \
     * (g r)^2 p to sums[1] and (dx/dr) / g to sums[2]. */                                                            \
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
                e += 1e-8f; /* too small to matter; keeps e from becoming denormal, which is slow */                  \
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
DTCI_SENSING_PASSES(dtci_sensing_4, DTCI_KERNEL, dtci_f4)
#endif
#if defined(DTCI_VECTORS) && defined(DTCI_AVX2)
DTCI_SENSING_PASSES(dtci_sensing_8, DTCI_AVX2, dtci_f8)
#endif

#if defined(DTCI_VECTORS) && defined(DTCI_AVX2)
#define DTCI_SENSING_PASS(pass) (DTCI_CPU_HAS("avx2") ? dtci_sensing_8_##pass : dtci_sensing_4_##pass)
#elif defined(DTCI_VECTORS)
#define DTCI_SENSING_PASS(pass) dtci_sensing_4_##pass
#else
#define DTCI_SENSING_PASS(pass) dtci_sensing_1_##pass
#endif

/* On entry w is x. Sets w := gain A^T (y - A x), the step along the gradient, and returns |y - A x|^2. The second
 * transform begins with its near levels, so that all passes over a part find the part in the cache. */
DTCI_SHARED double dtci_sensing_gradient(const dtci_sensing_work *work, double gain) {
    float scale = (float)(1 / sqrt((double)work->size)), back = (float)(gain / sqrt((double)work->size));
    unsigned log2_part = work->log2_size < DTCI_HADAMARD_NEAR ? work->log2_size : DTCI_HADAMARD_NEAR;
    size_t first, part = dtci_sensing_padded((size_t)1 << log2_part);
    double squares = 0;
    dtci_hadamard_far(work->w, work->log2_size);
    for (first = 0; first < work->room; first += part) {
        dtci_hadamard_near(work->w + first, log2_part);
        squares += DTCI_SENSING_PASS(residual)(work, first, first + part, scale, back);
        dtci_hadamard_near(work->w + first, log2_part);
    }
    dtci_hadamard_far(work->w, work->log2_size);
    return squares;
}

/* Computes what dtci_sensing_gradient computes, at x = 0 and without the first transform. */
DTCI_SHARED double dtci_sensing_first_gradient(const dtci_sensing_work *work, double gain) {
    double squares;
    memset(work->w, 0, 4 * work->room);
    squares = DTCI_SENSING_PASS(residual)(work, 0, work->room, 0, (float)(gain / sqrt((double)work->size)));
    dtci_hadamard(work->w, work->log2_size);
    return squares;
}

/* x := c A^T y. Without padding, c is 1. Padding takes a part of the square of y; then c = 1 / (m/N + n/N (1 - m/N)),
 * which has the least squared error on average. */
DTCI_FN void dtci_sensing_linear(const dtci_sensing_work *work) {
    double part = (double)work->measurements / (double)work->size;
    double scale = 1 / (part + (double)work->values / (double)work->size * (1 - part));
    size_t i;
    (void)dtci_sensing_first_gradient(work, 1);
    for (i = 0; i < work->values; i++) work->x[i] = work->w[i] * (float)scale;
}

/* Finds the x that minimizes |y - A x|^2 / 2 + lambda |x|_1 with lambda = max |A^T y| / 1024. ISTA (Daubechies et al.,
 * 2004) repeats x <- soft(x + A^T (y - A x), lambda). FISTA (Beck and Teboulle, 2009) steps from a point v beyond x,
 * and starts anew if that leads uphill (O'Donoghue and Candes, 2015). The iteration stops if x moves by less than
 * `tolerance` of its length. */
DTCI_FN void dtci_sensing_ista(const dtci_sensing_work *work, int fista, uint32_t iterations, double tolerance) {
    float lambda = 0, *x = work->x, *v = work->v, *w = work->w;
    double t = 1;
    size_t i;
    (void)dtci_sensing_first_gradient(work, 1);
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

/* Returns a first prior. w holds the values with Gaussian noise, and `power` is the mean square of the values. The
 * prior explains the excess of the fourth moment of w over that of a Gaussian, less what chance alone may cause. */
DTCI_FN dtci_sensing_prior dtci_sensing_guess(const dtci_sensing_work *work, double power) {
    double n = (double)work->values, moments[2] = {0, 0}, excess;
    size_t whole = work->values - work->values % DTCI_SENSING_LANES;
    dtci_sensing_prior prior;
    DTCI_SENSING_PASS(moments)(work, 0, whole, moments);
    dtci_sensing_1_moments(work, whole, work->values, moments);
    excess = moments[1] / n - (3 + 2 * sqrt(24 / n)) * (moments[0] / n) * (moments[0] / n);
    prior.variance = power + (excess > 0 ? excess / (3 * power) : 0);
    prior.density = power / prior.variance;
    return prior;
}

/* On entry r = x + w holds the values with Gaussian noise of variance `noise`. Sets x to the expectation of the values
 * under the prior, and w := r. Fits the prior to the result by expectation maximization (Vila and Schniter, 2013).
 * Returns the mean of dx/dr, padding included.
 *
 * The expectation is x = p g r, where p = 1 / (1 + c exp(-t)) is the probability that the value is not 0, t = k r^2.
 * (1 + t/32)^-32 replaces exp(-t), and the derivative is that of this function. */
DTCI_FN double dtci_sensing_denoise(const dtci_sensing_work *work, double noise, dtci_sensing_prior *prior) {
    double total = prior->variance + noise, gain = prior->variance / total, sums[3] = {0, 0, 0}, chance;
    size_t whole = work->values - work->values % DTCI_SENSING_LANES, i;
    dtci_sensing_denoiser with;
    with.k = (float)(0.5 * gain / noise);
    with.g = (float)gain;
    with.c = (float)((1 - prior->density) / prior->density * sqrt(total / noise));
    DTCI_SENSING_PASS(denoise)(work, &with, 0, whole, sums);
    dtci_sensing_1_denoise(work, &with, whole, work->values, sums);
    for (i = work->values; i < work->size; i++) {
        work->w[i] += work->x[i];
        work->x[i] = 0;
    }
    chance = sums[0];
    prior->variance = chance > 0 ? sums[1] / chance + gain * noise : noise;
    prior->density = chance / (double)work->values;
    if (!(chance > 1)) prior->density = 1 / (double)work->values; /* assumes that at least one value is not 0 */
    return gain * sums[2] / (double)work->size;
}

/* Finds the expectation of x under a prior that is learned from the measurements, by orthogonal approximate message
 * passing (Ma and Ping, 2017; Rangan, Schniter and Fletcher, 2019). Each iteration computes r = x + N/m A^T (y - A x),
 * whose error is Gaussian, and takes its variance from the residual. It removes that noise from r. It then subtracts
 * from the result the part that is along r, so that the next error is Gaussian again. The iteration stops after two
 * iterations in a row that lower the noise by less than `tolerance` of it. */
DTCI_FN void dtci_sensing_amp(const dtci_sensing_work *work, uint32_t iterations, double tolerance) {
    double m = (double)work->measurements, gain = (double)work->size / m, least = 0, unsent = 0, start = 0;
    dtci_sensing_prior prior;
    uint32_t k, idle = 0;
    for (k = 0; k < iterations; k++) {
        double off = (k > 0 ? dtci_sensing_gradient(work, gain) : dtci_sensing_first_gradient(work, gain)) / m;
        double noise = gain * off - unsent, slope;
        if (k == 0 && !(off > 0)) return; /* all measurements are 0 */
        /* the noise of the measurements themselves is between none and all of the residual */
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
        DTCI_SENSING_PASS(onward)(work, (float)slope, (float)(1 / (1 - slope)));
    }
}

/* --- Decode --- */

/* Sets work->x to 0 and work->y to the measurements of a block, in units that keep all floats far from their limits. y
 * is scaled in place. Returns the factor, a power of two, from these units back to the units of the values. */
DTCI_FN double dtci_sensing_prepare(dtci_sensing_work *work, const dtci_sensing_part *part, float *y) {
    double unit = dtci_sensing_unit(y, part->measurements);
    size_t i, n;
    memset(work->x, 0, 4 * work->room);
    memset(work->y, 0, 4 * work->room);
    for (i = 0; i < part->measurements; i++) y[i] = (float)((double)y[i] * unit);
    for (i = n = 0; i < work->size; i++) {
        work->y[i] = work->rows[i] * y[n];
        n += work->rows[i] > 0;
    }
    return 1 / unit;
}

/* Delivers the decoded values of a block to the sink, times `back` and their signs. */
DTCI_FN void dtci_sensing_emit_block(const dtci_sensing_work *work, const dtci_sensing *s,
                                     const dtci_sensing_part *part, double back, const dtci_sink *sink) {
    size_t i, j, n;
    for (i = 0; i < part->values; i += n) {
        float chunk[DTCI_CHUNK];
        n = part->values - i < DTCI_CHUNK ? part->values - i : DTCI_CHUNK;
        for (j = 0; j < n; j++) {
            double x = (double)work->x[i + j] * back;
            chunk[j] = back > 1 ? dtci_to_float(x) : (float)x;
        }
        dtci_sensing_flip(chunk, s, part->first + i, n);
        dtci_sink_deliver(sink, part->first + i, chunk, n);
    }
}

/* Computes the values of all blocks from their measurements y, which are scaled in place, and delivers them to the
 * sink. */
DTCI_FN void dtci_sensing_emit(const dtci_sensing *s, float *y, const dtc_decode_options *options,
                               const dtci_sink *sink, dtci_sensing_work *work) {
    dtc_method method = options ? options->method : DTC_METHOD_AUTO;
    uint32_t iterations = dtci_iterations(options);
    double tolerance = options ? (double)options->tolerance : 0, back;
    dtci_sensing_part part;
    size_t first, known = 0;
    if (!(tolerance > 0)) tolerance = method == DTC_METHOD_AUTO ? 0.05 : 1e-5;
    for (first = 0; first < s->count; first += part.values, y += part.measurements) {
        part = dtci_sensing_at(s, first);
        work->size = (size_t)1 << (work->log2_size = part.log2_size);
        work->room = dtci_sensing_padded(work->size);
        work->values = part.values;
        work->measurements = part.measurements;
        if (part.values != known) {
            dtci_sensing_rows(work->rows, s, &part);
            memset(work->rows + work->size, 0, 4 * (work->room - work->size));
            known = part.values;
        }
        back = dtci_sensing_prepare(work, &part, y);
        if (method == DTC_METHOD_LINEAR || part.measurements == work->size)
            dtci_sensing_linear(work);
        else if (method == DTC_METHOD_AUTO)
            dtci_sensing_amp(work, iterations, tolerance);
        else
            dtci_sensing_ista(work, method == DTC_METHOD_FISTA, iterations, tolerance);
        dtci_sensing_emit_block(work, s, &part, back, sink);
    }
}

DTCI_FN dtc_status dtci_sensing_decode(const dtci_packet *packet, const dtci_sink *sink,
                                       const dtc_decode_options *options, dtci_arena *arena) {
    dtci_sensing s = dtci_sensing_of(&packet->head, dtci_get32(packet->payload));
    size_t total = dtci_sensing_total(&s), room = 4 * dtci_sensing_padded(s.block);
    float *y = (float *)dtci_take(arena, 4 * (total + 1));
    dtci_sensing_work work;
    memset(&work, 0, sizeof work);
    work.rows = (float *)dtci_take(arena, room);
    work.y = (float *)dtci_take(arena, room);
    work.x = (float *)dtci_take(arena, room);
    work.w = (float *)dtci_take(arena, room);
    work.v = (float *)dtci_take(arena, room);
    if (!y || !work.rows || !work.y || !work.x || !work.w || !work.v) return DTC_ERROR_SCRATCH;
    dtci_nest_decode(y, &packet->nested[0]);
    y[total] = 0; /* dtci_sensing_prepare reads one float after the last measurement */
    dtci_sensing_emit(&s, y, options, sink, &work);
    return DTC_OK;
}

/* --- Packet: check, open, describe --- */

DTCI_FN dtc_status dtci_sensing_check(dtci_packet *packet) {
    const dtci_head *head = &packet->head;
    size_t block = dtci_sensing_block(head);
    uint64_t need;
    dtci_sensing s;
    packet->scratch = 0;
    if (head->variant || !head->count || block >> DTCI_HADAMARD_MAX > 1 || (block & (block - 1)) ||
        (head->block && head->block < DTCI_SENSING_BLOCK))
        return DTC_ERROR_HEAD;
    if (packet->payload_bytes < 4) return DTC_ERROR_SIZE;
    s = dtci_sensing_of(head, dtci_get32(packet->payload));
    if (!s.measurements || s.measurements > block) return DTC_ERROR_HEAD;
    need = dtci_sensing_decode_scratch(&s);
    packet->scratch = need < SIZE_MAX ? (size_t)need : SIZE_MAX;
    packet->work = 8 * (uint64_t)block * dtci_ceil_div(head->count, block);
    packet->iterates = s.measurements < block;
    return DTC_OK;
}

/* Returns what the wire format requires of the nested packet of the measurements. */
DTCI_FN dtci_nest_slot dtci_sensing_slot(const dtci_packet *packet) {
    dtci_sensing s = dtci_sensing_of(&packet->head, dtci_get32(packet->payload));
    dtci_nest_slot place;
    place.count = dtci_sensing_total(&s);
    place.workers = packet->head.workers;
    place.terms = packet->head.terms;
    return place;
}

DTCI_FN dtc_status dtci_sensing_open(dtci_packet *packet, dtci_arena *arena, unsigned skip) {
    dtci_nest_slot place = dtci_sensing_slot(packet);
    size_t size = packet->payload_bytes - 4;
    dtc_status status = dtci_nest_open(&packet->nested[0], packet->payload + 4, size, &place, arena, skip);
    if (status == DTC_OK && packet->nested[0].head.packet_bytes != size) status = DTC_ERROR_PAYLOAD;
    return status;
}

DTCI_COLD void dtci_sensing_describe(const dtci_packet *packet, dtc_spec *spec) {
    dtci_head nest;
    spec->sensing.ratio = (float)dtci_get32(packet->payload) / (float)dtci_sensing_block(&packet->head);
    if (dtci_head_read(packet->payload + 4, packet->payload_bytes - 4, &nest) == DTC_OK)
        spec->sensing.bits = nest.codec == DTC_QUANT ? (int)(nest.variant & 15) + 1 : 32;
}

/* Returns the sizes that a spec asks for; head->block and head->count are set. */
DTCI_FN dtci_sensing dtci_sensing_of_spec(const dtc_spec *spec, const dtci_head *head) {
    double ratio = spec->sensing.ratio > 0 ? (double)spec->sensing.ratio : 0.25;
    dtci_sensing s = dtci_sensing_of(head, 1);
    double measurements = dtci_floor(ratio * (double)s.block + 0.5);
    if (measurements > 1) s.measurements = (size_t)measurements;
    return s;
}

/* --- Scratch --- */

DTCI_COLD size_t dtci_sensing_scratch(const dtc_spec *spec, size_t count) {
    uint64_t measure, decode, encode;
    dtci_sensing s;
    dtci_head head;
    dtc_spec nest;
    size_t total;
    if (dtci_head_begin(&head, spec, count) != DTC_OK) return 0;
    dtci_sensing_begin(&head, spec);
    s = dtci_sensing_of_spec(spec, &head);
    nest = dtci_sensing_nest(spec, &s);
    total = dtci_sensing_total(&s);
    measure = 2 * (uint64_t)dtci_take_bytes(4 * s.block);
    decode = dtci_sensing_decode_scratch(&s);
    encode = (uint64_t)dtci_take_bytes(dtci_nest_bound(&nest, total)) + dtci_nest_scratch(&nest, total);
    encode = dtci_take_bytes(4 * (total + 1)) + (measure > encode ? measure : encode);
    if (decode > encode) encode = decode;
    return encode < SIZE_MAX ? (size_t)encode : SIZE_MAX;
}

DTCI_COLD size_t dtci_sensing_read_scratch(const dtc_spec *spec, size_t count) {
    uint64_t bytes;
    dtci_sensing s;
    dtci_head head;
    if (dtci_head_begin(&head, spec, count) != DTC_OK) return 0;
    dtci_sensing_begin(&head, spec);
    s = dtci_sensing_of_spec(spec, &head);
    bytes = dtci_sensing_decode_scratch(&s);
    return bytes < SIZE_MAX ? (size_t)bytes : SIZE_MAX;
}

/* --- Encoder --- */

/* Decodes the packet that was made, and writes the difference from the values to the residual. */
DTCI_FN dtc_status dtci_sensing_residual(const dtci_encoding *e, dtci_arena *arena) {
    dtci_opened opened;
    dtci_packet *made = dtci_encoding_packet(&opened, e);
    dtc_status status;
    status = dtci_sensing_open(made, arena, DTCI_OPEN_ALL);
    return status == DTC_OK ? dtci_sensing_decode(made, e->residual, NULL, arena) : status;
}

DTCI_FN dtc_status dtci_sensing_encode(dtci_encoding *e) {
    dtci_sensing s = dtci_sensing_of_spec(e->spec, &e->head);
    dtc_spec nest = dtci_sensing_nest(e->spec, &s);
    size_t total = dtci_sensing_total(&s), bound = dtci_nest_bound(&nest, total), known = 0, done = 0, first, size;
    dtci_arena after = e->arena, work;
    float *y = (float *)dtci_take(&after, 4 * (total + 1)), *rows, *x;
    unsigned char *nested;
    dtci_sensing_part part;
    dtc_status status;
    work = after;
    rows = (float *)dtci_take(&work, 4 * s.block);
    x = (float *)dtci_take(&work, 4 * s.block);
    nested = (unsigned char *)dtci_take(&after, bound);
    if (!y || !rows || !x || !nested) return DTC_ERROR_SCRATCH;
    if (!dtci_scan(&e->source, 0, e->head.count).finite) return DTC_ERROR_NONFINITE;
    for (first = 0; first < s.count; first += part.values, done += part.measurements) {
        part = dtci_sensing_at(&s, first);
        if (part.values != known) dtci_sensing_rows(rows, &s, &part);
        known = part.values;
        dtci_sensing_measure(y + done, &s, &part, &e->source, e->spec->sensing.keep, rows, x);
        if (nest.quant.bits && !nest.quant.max_given)
            dtci_sensing_clip(y + done, part.measurements, (unsigned)nest.quant.bits);
    }
    status = dtci_nest_encode(&nest, nested, bound, &size, y, total, &after);
    if (status != DTC_OK) return status;
    if (size + 4 > 4 * (size_t)e->head.count) return dtci_head_become_raw(&e->head);
    if (e->capacity < size + 4) return DTC_ERROR_CAPACITY;
    dtci_put32(e->payload, (uint32_t)s.measurements);
    memcpy(e->payload + 4, nested, size);
    e->bytes = size + 4;
    return e->residual ? dtci_sensing_residual(e, &e->arena) : DTC_OK;
}

/* --- Sums --- */

/* Plans the sum of the measurements. Both heads of nested packets are checked here, because the size of the sum depends
 * on them. */
DTCI_COLD dtc_status dtci_sensing_plan_add(dtci_addition *sum) {
    dtci_packet a, b;
    dtci_nest_slot place_a = dtci_sensing_slot(sum->a), place_b = dtci_sensing_slot(sum->b);
    dtci_addition nested;
    dtc_status status;
    if (dtci_get32(sum->a->payload) != dtci_get32(sum->b->payload)) return DTC_ERROR_INCOMPATIBLE_SHAPE;
    status = dtci_nest_check(&a, sum->a->payload + 4, sum->a->payload_bytes - 4, &place_a);
    if (status == DTC_OK) status = dtci_nest_check(&b, sum->b->payload + 4, sum->b->payload_bytes - 4, &place_b);
    if (status != DTC_OK) return status;
    memset(&nested, 0, sizeof nested);
    nested.a = &a;
    nested.b = &b;
    status = dtci_nest_plan_add(&nested);
    sum->bound = 4 + nested.head.head_bytes + nested.bound;
    sum->scratch = nested.scratch;
    return status;
}

DTCI_COLD dtc_status dtci_sensing_add(dtci_addition *sum) {
    uint32_t measurements = dtci_get32(sum->a->payload);
    dtci_addition nested;
    dtc_status status;
    if (sum->capacity < 4) return DTC_ERROR_CAPACITY;
    memset(&nested, 0, sizeof nested);
    nested.a = &sum->a->nested[0];
    nested.b = &sum->b->nested[0];
    status = dtci_nest_plan_add(&nested);
    if (status != DTC_OK) return status;
    nested.arena = sum->arena;
    nested.payload = sum->payload + 4;
    nested.capacity = sum->capacity - 4;
    status = dtci_nest_add(&nested);
    dtci_put32(sum->payload, measurements);
    sum->bytes = nested.bytes + 4;
    return status;
}

/* --- Multiples --- */

DTCI_COLD dtc_status dtci_sensing_scale(const dtci_packet *packet, unsigned char *payload, float weight) {
    return dtci_nest_scale(&packet->nested[0], packet, payload, weight);
}

/* --- Row --- */

static const dtci_codec dtci_sensing_codec = {DTC_SENSING,
                                              "sensing",
                                              dtci_sensing_keys,
                                              sizeof dtci_sensing_keys / sizeof *dtci_sensing_keys,
                                              dtci_sensing_check_spec,
                                              dtci_sensing_begin,
                                              dtci_sensing_range,
                                              dtci_sensing_set_range,
                                              dtci_sensing_scratch,
                                              dtci_sensing_read_scratch,
                                              dtci_sensing_encode,
                                              dtci_sensing_check,
                                              dtci_sensing_open,
                                              dtci_sensing_describe,
                                              dtci_sensing_decode,
                                              dtci_sensing_plan_add,
                                              dtci_sensing_add,
                                              dtci_sensing_scale,
                                              NULL};

#else

static const dtci_codec dtci_sensing_codec = DTCI_LEFT_OUT(DTC_SENSING);

#endif /* DTC_NO_SENSING */

/* --------------------------------------------------------------------------------------------------------------------
 * circulant: a block-circulant matrix as its vectors (Cheng et al., ICCV 2015; Araujo et al., 2018)
 *
 * The matrix is cut into blocks of block x block values. Each block has a vector c, and its element (i, j) is
 * c[(i - j) mod block], so the wrapped diagonals of a block are constant. Blocks at the right and the lower border may
 * reach beyond the matrix; elements outside the matrix are not used.
 *
 * dtc_encode projects any matrix to the block-circulant matrix with the least sum of squared differences. Its vectors
 * are the means of the wrapped diagonals. dtc_encode_circulant sends vectors that the caller has.
 *
 * The payload is the nested packet of the vectors, [block rows][block columns][block].
 * ------------------------------------------------------------------------------------------------------------------*/

DTCI_API size_t dtc_circulant_vector_count(size_t rows, size_t columns, size_t block) {
    size_t down, across;
    if (!rows || !columns) return 0;
    if (!block) block = rows > columns ? rows : columns;
    down = dtci_ceil_div(rows, block);
    across = dtci_ceil_div(columns, block);
    return across > (size_t)-1 / sizeof(float) / block / down ? 0 : down * across * block;
}

#ifndef DTC_NO_CIRCULANT

/* --- Options --- */

static const dtci_key dtci_circulant_keys[] = {
    {"value", "fp32|bf16|fp16", DTCI_KEY_VALUE, DTCI_FIELD(circulant.value), 1, 16, 0, 0},
};

DTCI_COLD dtc_status dtci_circulant_check_spec(const dtc_spec *spec) {
    return dtci_value_check(&spec->circulant.value);
}

/* --- Sizes --- */

/* The sizes of a block-circulant matrix. */
typedef struct dtci_circulant {
    size_t rows, columns, block;
    size_t across; /* number of blocks in a row of blocks */
    size_t count;  /* number of floats in all vectors */
} dtci_circulant;

/* Sets the sizes of a matrix of count values in `rows` rows (0: 1 row) and in blocks of block x block values (0: one
 * block). Returns 0 if the vectors and the head of their packet are not smaller than the values of the matrix. */
DTCI_SHARED int dtci_circulant_plan(dtci_circulant *c, size_t count, size_t rows, size_t block) {
    c->rows = rows ? rows : 1;
    c->columns = count / c->rows;
    c->block = block ? block : c->rows > c->columns ? c->rows : c->columns;
    c->across = c->block ? dtci_ceil_div(c->columns, c->block) : 0;
    c->count = dtc_circulant_vector_count(c->rows, c->columns, c->block);
    return c->count > 0 && (uint64_t)c->count + 3 <= count;
}

/* --- Scratch --- */

/* Returns the bytes of scratch that opening the vectors needs. `tokens` is 0 if they are raw. */
DTCI_FN size_t dtci_circulant_open_scratch(size_t count, int tokens) {
    return tokens ? dtci_bins_scratch(count) : 0;
}

/* Returns the bytes of scratch that are enough to write the vectors, and also to open them again. */
DTCI_FN size_t dtci_circulant_nest_scratch(const dtc_value *value, size_t count) {
    dtc_spec nested = dtci_nest_spec(value, 0);
    size_t need = dtci_nest_scratch(&nested, count), other = dtci_circulant_open_scratch(count, value->bits);
    return other > need ? other : need;
}

DTCI_COLD size_t dtci_circulant_scratch(const dtc_spec *spec, size_t count) {
    dtci_circulant c;
    size_t sums, nest;
    if (!dtci_circulant_plan(&c, count, spec->rows, spec->block)) return 0;
    sums = dtci_take_bytes(8 * c.across * c.block);
    nest = dtci_circulant_nest_scratch(&spec->circulant.value, c.count);
    return dtci_take_bytes(4 * c.count) + (sums > nest ? sums : nest);
}

DTCI_COLD size_t dtci_circulant_read_scratch(const dtc_spec *spec, size_t count) {
    dtci_circulant c;
    if (!dtci_circulant_plan(&c, count, spec->rows, spec->block)) return 0;
    return dtci_take_bytes(4 * c.count) + dtci_circulant_open_scratch(c.count, spec->circulant.value.bits);
}

/* --- Projection, vectors to values, and the payload --- */

/* Returns the number of values on wrapped diagonal d of a block, of which only the first `tall` rows and `wide` columns
 * are in the matrix. */
DTCI_FN size_t dtci_circulant_diagonal(size_t block, size_t tall, size_t wide, size_t d) {
    size_t below = wide + d < tall ? wide + d : tall, above = wide + d < block + tall ? wide + d : block + tall;
    return (below > d ? below - d : 0) + (above > block ? above - block : 0);
}

/* vectors = the means of the wrapped diagonals. `sums` has room for the vectors of one row of blocks. */
DTCI_FN void dtci_circulant_project(const dtci_circulant *c, float *vectors, double *sums, const dtci_source *source) {
    size_t top, row, column, n, at, stop, k;
    float chunk[DTCI_CHUNK];
    for (top = 0; top < c->rows; top += c->block) {
        size_t tall = c->rows - top < c->block ? c->rows - top : c->block;
        for (k = 0; k < c->across * c->block; k++) sums[k] = -0.0; /* a diagonal of -0 has the sum -0 */
        for (row = 0; row < tall; row++) {
            for (column = 0; column < c->columns; column += n) {
                n = c->columns - column < DTCI_CHUNK ? c->columns - column : DTCI_CHUNK;
                dtci_gather(chunk, source, (top + row) * c->columns + column, n);
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

/* Writes n <= DTCI_CHUNK values of a row of the matrix to `chunk`, from a column on. */
DTCI_SHARED void dtci_circulant_row(const dtci_circulant *c, float *chunk, const float *vectors, size_t row,
                                    size_t column, size_t n) {
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

/* Delivers all values of the matrix to the sink. */
DTCI_FN void dtci_circulant_emit(const dtci_circulant *c, const float *vectors, const dtci_sink *sink) {
    size_t row, column, n;
    float chunk[DTCI_CHUNK];
    for (row = 0; row < c->rows; row++) {
        for (column = 0; column < c->columns; column += n) {
            n = c->columns - column < DTCI_CHUNK ? c->columns - column : DTCI_CHUNK;
            dtci_circulant_row(c, chunk, vectors, row, column, n);
            dtci_sink_deliver(sink, row * c->columns + column, chunk, n);
        }
    }
}

/* Writes the payload, which is the nested packet of the vectors, of *bytes bytes. Errors: those of dtci_nest_encode. */
DTCI_SHARED dtc_status dtci_circulant_write(const dtci_circulant *c, const dtc_value *value, unsigned char *to,
                                            size_t capacity, size_t *bytes, const float *vectors,
                                            const dtci_arena *arena) {
    dtc_spec nested = dtci_nest_spec(value, 0);
    return dtci_nest_encode(&nested, to, capacity, bytes, vectors, c->count, arena);
}

/* --- Packet: check, open, describe --- */

/* Returns the sizes that the head of a packet gives. */
DTCI_FN dtci_circulant dtci_circulant_of(const dtci_head *head) {
    dtci_circulant c;
    (void)dtci_circulant_plan(&c, head->count, head->rows, head->block);
    return c;
}

DTCI_FN dtc_status dtci_circulant_check(dtci_packet *packet) {
    const dtci_head *head = &packet->head;
    size_t size = packet->payload_bytes;
    dtci_circulant c;
    packet->scratch = 0;
    if (head->variant || head->seed || !dtci_circulant_plan(&c, head->count, head->rows, head->block))
        return DTC_ERROR_HEAD;
    if (size < 12 || size > 4 * (size_t)head->count) return DTC_ERROR_SIZE;
    packet->scratch =
        dtci_take_bytes(4 * c.count) + dtci_circulant_open_scratch(c.count, (packet->payload[1] & 15) != DTC_RAW);
    return DTC_OK;
}

DTCI_FN dtc_status dtci_circulant_open(dtci_packet *packet, dtci_arena *arena, unsigned skip) {
    dtci_circulant c = dtci_circulant_of(&packet->head);
    dtci_nest_slot place = {0, 1, 1};
    dtc_status status;
    place.count = c.count;
    status = dtci_nest_open(&packet->nested[0], packet->payload, packet->payload_bytes, &place, arena, skip);
    if (status == DTC_OK && packet->nested[0].head.packet_bytes != packet->payload_bytes) status = DTC_ERROR_PAYLOAD;
    return status;
}

DTCI_COLD void dtci_circulant_describe(const dtci_packet *packet, dtc_spec *spec) {
    dtci_head nested;
    if (dtci_head_read(packet->payload, packet->payload_bytes, &nested) == DTC_OK)
        spec->circulant.value = dtci_nest_value(&nested);
}

/* --- Decode --- */

DTCI_FN dtc_status dtci_circulant_decode(const dtci_packet *packet, const dtci_sink *sink,
                                         const dtc_decode_options *options, dtci_arena *arena) {
    dtci_circulant c = dtci_circulant_of(&packet->head);
    float *vectors = (float *)dtci_take(arena, 4 * c.count);
    (void)options;
    if (!vectors) return DTC_ERROR_SCRATCH;
    dtci_nest_decode(vectors, &packet->nested[0]);
    dtci_circulant_emit(&c, vectors, sink);
    return DTC_OK;
}

/* --- Encoder --- */

/* Decodes the packet that was made, and writes the difference from the values to the residual. `vectors` is overwritten
 * by the vectors as the packet holds them, rounded. */
DTCI_FN dtc_status dtci_circulant_residual(const dtci_encoding *e, const dtci_circulant *c, float *vectors,
                                           dtci_arena *arena) {
    dtci_opened opened;
    dtci_packet *made = dtci_encoding_packet(&opened, e);
    dtc_status status;
    status = dtci_circulant_open(made, arena, DTCI_OPEN_ALL);
    if (status != DTC_OK) return status;
    dtci_nest_decode(vectors, &opened.nested[0]);
    dtci_circulant_emit(c, vectors, e->residual);
    return DTC_OK;
}

DTCI_FN dtc_status dtci_circulant_encode(dtci_encoding *e) {
    dtci_circulant c;
    dtci_arena work;
    dtc_status status;
    float *vectors;
    double *sums;
    if (!dtci_scan(&e->source, 0, e->head.count).finite) return DTC_ERROR_NONFINITE;
    if (!dtci_circulant_plan(&c, e->head.count, e->head.rows, e->spec->block)) return dtci_head_become_raw(&e->head);
    vectors = (float *)dtci_take(&e->arena, 4 * c.count);
    work = e->arena;
    sums = (double *)dtci_take(&work, 8 * c.across * c.block);
    if (!vectors || !sums) return DTC_ERROR_SCRATCH;
    dtci_circulant_project(&c, vectors, sums, &e->source);
    status =
        dtci_circulant_write(&c, &e->spec->circulant.value, e->payload, e->capacity, &e->bytes, vectors, &e->arena);
    return status == DTC_OK && e->residual ? dtci_circulant_residual(e, &c, vectors, &e->arena) : status;
}

/* --- Sums --- */

DTCI_COLD dtc_status dtci_circulant_plan_add(dtci_addition *sum) {
    dtci_circulant c = dtci_circulant_of(&sum->head);
    sum->bound = 16 + 4 * c.count;
    sum->scratch = sum->a->scratch + sum->b->scratch + 2 * dtci_take_bytes(4 * c.count);
    return DTC_OK;
}

/* The sum has the sums of the vectors, in the type that both packets have, or in fp32. */
DTCI_FN dtc_status dtci_circulant_add(dtci_addition *sum) {
    dtc_value value = dtci_nest_sum_value(&sum->a->nested[0], &sum->b->nested[0]);
    dtci_circulant c = dtci_circulant_of(&sum->head);
    dtc_status status;
    float *vectors = (float *)dtci_take(&sum->arena, 4 * c.count);
    float *others = (float *)dtci_take(&sum->arena, 4 * c.count);
    if (!vectors || !others) return DTC_ERROR_SCRATCH;
    dtci_nest_decode(vectors, &sum->a->nested[0]);
    dtci_nest_decode(others, &sum->b->nested[0]);
    status = dtci_nest_add_values(vectors, others, &value, c.count);
    if (status != DTC_OK) return status;
    return dtci_circulant_write(&c, &value, sum->payload, sum->capacity, &sum->bytes, vectors, &sum->arena);
}

/* --- Multiples --- */

DTCI_COLD dtc_status dtci_circulant_scale(const dtci_packet *packet, unsigned char *payload, float weight) {
    return dtci_nest_scale(&packet->nested[0], packet, payload, weight);
}

/* --- Row --- */

static const dtci_codec dtci_circulant_codec = {DTC_CIRCULANT,
                                                "circulant",
                                                dtci_circulant_keys,
                                                sizeof dtci_circulant_keys / sizeof *dtci_circulant_keys,
                                                dtci_circulant_check_spec,
                                                dtci_begin_block,
                                                NULL,
                                                NULL,
                                                dtci_circulant_scratch,
                                                dtci_circulant_read_scratch,
                                                dtci_circulant_encode,
                                                dtci_circulant_check,
                                                dtci_circulant_open,
                                                dtci_circulant_describe,
                                                dtci_circulant_decode,
                                                dtci_circulant_plan_add,
                                                dtci_circulant_add,
                                                dtci_circulant_scale,
                                                NULL};

/* --- API --- */

/* Checks the arguments of dtc_encode_circulant, and makes the head of its packet. *vectors is the number of floats in
 * the vectors. Errors: SPEC, CODEC, ARGUMENT. */
DTCI_SHARED dtc_status dtci_circulant_begin_given(dtci_head *head, size_t *vectors, const dtc_spec *spec, size_t rows,
                                                  size_t columns) {
    dtc_spec shaped = *spec;
    dtc_status status = dtci_spec_check(spec);
    *vectors = dtc_circulant_vector_count(rows, columns, spec->block);
    if (status != DTC_OK) return status;
    if (spec->codec != DTC_CIRCULANT) return DTC_ERROR_CODEC;
    if (!*vectors || *vectors > DTCI_COUNT_MAX || columns > DTCI_COUNT_MAX / rows) return DTC_ERROR_ARGUMENT;
    shaped.rows = rows;
    return dtci_spec_begin(head, &shaped, rows * columns);
}

/* Writes the payload of vectors that the caller gave, from a copy in the arena, because `vectors` may have any
 * alignment. If the vectors are not smaller than the matrix, the payload is the matrix as raw fp32. */
DTCI_FN dtc_status dtci_circulant_write_given(dtci_encoding *e, unsigned char *packet, size_t capacity,
                                              const float *vectors) {
    dtci_circulant c;
    int fewer = dtci_circulant_plan(&c, e->head.count, e->head.rows, e->spec->block);
    float *aligned = (float *)dtci_take(&e->arena, 4 * c.count), chunk[DTCI_CHUNK];
    size_t row, column, n, i;
    unsigned char *to;
    if (!aligned) return DTC_ERROR_SCRATCH;
    memcpy(aligned, vectors, 4 * c.count);
    if (!fewer) (void)dtci_head_become_raw(&e->head);
    if (capacity < dtci_head_overhead(&e->head)) return DTC_ERROR_CAPACITY;
    capacity -= dtci_head_overhead(&e->head);
    to = packet + e->head.head_bytes;
    if (fewer) return dtci_circulant_write(&c, &e->spec->circulant.value, to, capacity, &e->bytes, aligned, &e->arena);
    e->bytes = 4 * c.rows * c.columns;
    if (capacity < e->bytes) return DTC_ERROR_CAPACITY;
    for (row = 0; row < c.rows; row++) {
        for (column = 0; column < c.columns; column += n) {
            n = c.columns - column < DTCI_CHUNK ? c.columns - column : DTCI_CHUNK;
            dtci_circulant_row(&c, chunk, aligned, row, column, n);
            for (i = 0; i < n; i++, to += 4) dtci_put_float(to, chunk[i]);
        }
    }
    return DTC_OK;
}

DTCI_API size_t dtc_encode_circulant_scratch(const dtc_spec *spec, size_t rows, size_t columns) {
    dtci_head head;
    dtc_spec nested;
    size_t vectors;
    if (!spec || dtci_circulant_begin_given(&head, &vectors, spec, rows, columns) != DTC_OK) return 0;
    nested = dtci_nest_spec(&spec->circulant.value, 0);
    return dtci_take_bytes(4 * vectors) + dtci_nest_scratch(&nested, vectors);
}

DTCI_API dtc_status dtc_encode_circulant(const dtc_spec *spec, void *packet, size_t capacity, size_t *packet_bytes,
                                         const float *vectors, size_t rows, size_t columns, void *scratch,
                                         size_t scratch_bytes) {
    dtci_source source = dtci_source_of(vectors);
    dtci_encoding e;
    dtc_status status;
    size_t count;
    if (packet_bytes) *packet_bytes = 0;
    if (!spec || !packet_bytes || (!packet && capacity) || !vectors) return DTC_ERROR_ARGUMENT;
    memset(&e, 0, sizeof e);
    status = dtci_circulant_begin_given(&e.head, &count, spec, rows, columns);
    if (status != DTC_OK) return status;
    e.spec = spec;
    e.arena = dtci_arena_of(scratch, scratch_bytes);
    if (dtc_encode_circulant_scratch(spec, rows, columns) > e.arena.left) return DTC_ERROR_SCRATCH;
    if (!dtci_scan(&source, 0, count).finite) return DTC_ERROR_NONFINITE;
    status = dtci_circulant_write_given(&e, (unsigned char *)packet, capacity, vectors);
    if (status != DTC_OK) return status;
    dtci_head_close((unsigned char *)packet, &e.head, e.bytes);
    *packet_bytes = e.head.packet_bytes;
    return DTC_OK;
}

DTCI_API dtc_status dtc_decode_circulant(float *vectors, size_t vector_count, const void *packet, size_t packet_bytes,
                                         const dtc_decode_options *options, void *scratch, size_t scratch_bytes) {
    dtci_arena arena = dtci_arena_of(scratch, scratch_bytes);
    dtci_opened opened;
    dtc_status status;
    if ((!vectors && vector_count) || !packet) return DTC_ERROR_ARGUMENT;
    status = dtci_opened_peek(&opened, packet, packet_bytes);
    if (status != DTC_OK) return status;
    if (opened.packet.head.codec == DTC_CIRCULANT && vector_count != dtci_circulant_of(&opened.packet.head).count)
        return DTC_ERROR_COUNT;
    status = dtci_packet_open(&opened, NULL, packet, packet_bytes, options, &arena);
    if (status != DTC_OK) return status;
    if (opened.packet.head.codec != DTC_CIRCULANT) return DTC_ERROR_CODEC;
    dtci_nest_decode(vectors, &opened.nested[0]);
    return DTC_OK;
}

#else

static const dtci_codec dtci_circulant_codec = DTCI_LEFT_OUT(DTC_CIRCULANT);

DTCI_API size_t dtc_encode_circulant_scratch(const dtc_spec *spec, size_t rows, size_t columns) {
    (void)spec, (void)rows, (void)columns;
    return 0;
}

DTCI_API dtc_status dtc_encode_circulant(const dtc_spec *spec, void *packet, size_t capacity, size_t *packet_bytes,
                                         const float *vectors, size_t rows, size_t columns, void *scratch,
                                         size_t scratch_bytes) {
    (void)spec, (void)packet, (void)capacity, (void)vectors, (void)rows, (void)columns;
    (void)scratch, (void)scratch_bytes;
    if (packet_bytes) *packet_bytes = 0;
    return DTC_ERROR_CODEC;
}

DTCI_API dtc_status dtc_decode_circulant(float *vectors, size_t vector_count, const void *packet, size_t packet_bytes,
                                         const dtc_decode_options *options, void *scratch, size_t scratch_bytes) {
    (void)vectors, (void)vector_count, (void)packet, (void)packet_bytes, (void)options;
    (void)scratch, (void)scratch_bytes;
    return DTC_ERROR_CODEC;
}

#endif /* DTC_NO_CIRCULANT */

/* --------------------------------------------------------------------------------------------------------------------
 * Table of codecs
 * ------------------------------------------------------------------------------------------------------------------*/

static const dtci_codec *const dtci_codecs[] = {
    &dtci_raw_codec,    &dtci_ternary_codec, &dtci_quant_codec,
    &dtci_factor_codec, &dtci_sensing_codec, &dtci_circulant_codec,
};

#define DTCI_CODECS (sizeof dtci_codecs / sizeof *dtci_codecs)

DTCI_SHARED const dtci_codec *dtci_codec_find(unsigned number) {
    size_t i;
    for (i = 0; i < DTCI_CODECS; i++)
        if ((unsigned)dtci_codecs[i]->number == number) return dtci_codecs[i]->encode ? dtci_codecs[i] : NULL;
    return NULL;
}

/* --------------------------------------------------------------------------------------------------------------------
 * Encoding and inspecting
 * ------------------------------------------------------------------------------------------------------------------*/

/* The bound always includes the 8 bytes of a seed, so that it does not depend on the seed. */
DTCI_API size_t dtc_encode_bound(const dtc_spec *spec, size_t count) {
    dtci_head head;
    dtc_spec seeded;
    if (!spec) return 0;
    seeded = *spec;
    seeded.seed = 1;
    if (dtci_spec_begin(&head, &seeded, count) != DTC_OK) return 0;
    return dtci_head_overhead(&head) + 4 * count;
}

DTCI_API size_t dtc_encode_scratch(const dtc_spec *spec, size_t count) {
    dtci_head head;
    if (!spec || dtci_spec_begin(&head, spec, count) != DTC_OK) return 0;
    return (dtci_codec_find((unsigned)spec->codec)->scratch)(spec, count);
}

DTCI_API size_t dtc_decode_scratch_bound(const dtc_spec *spec, size_t count) {
    dtci_head head;
    if (!spec || dtci_spec_begin(&head, spec, count) != DTC_OK) return 0;
    return (dtci_codec_find((unsigned)spec->codec)->read_scratch)(spec, count);
}

DTCI_API uint64_t dtc_seed(uint64_t seed, uint64_t step, uint64_t worker) {
    uint64_t mixed = dtci_hash(dtci_hash(dtci_hash(seed) + step) + worker);
    return mixed ? mixed : 1; /* 0 means in a spec that there is no seed */
}

DTCI_API float dtc_range(const dtc_spec *spec, const float *values, const float *residual, size_t count) {
    const dtci_codec *codec = spec ? dtci_codec_find((unsigned)spec->codec) : NULL;
    dtci_source source;
    dtci_stats stats;
    if (!codec || !codec->range || !values || !count) return 0;
    source.values = values;
    source.residual = residual;
    stats = dtci_scan(&source, 0, count);
    return stats.finite ? (codec->range)(spec, &stats, count, 1) : dtci_bits_float(0x7f800000u);
}

DTCI_API void dtc_spec_set_range(dtc_spec *spec, float range) {
    const dtci_codec *codec = spec ? dtci_codec_find((unsigned)spec->codec) : NULL;
    if (codec && codec->set_range) (codec->set_range)(spec, range);
}

/* Encodes e->source, in the arena and with the residual of *e, as one packet. If the codec stores the values as raw
 * instead, raw writes the payload. Errors: those of dtc_encode. */
DTCI_SHARED dtc_status dtci_encode(const dtc_spec *spec, void *packet, size_t capacity, size_t *packet_bytes,
                                   size_t count, dtci_encoding *e) {
    const dtci_codec *codec = dtci_codec_find((unsigned)spec->codec);
    dtc_status status = dtci_spec_begin(&e->head, spec, count);
    size_t around;
    if (status != DTC_OK) return status;
    if ((codec->scratch)(spec, count) > e->arena.left) return DTC_ERROR_SCRATCH;
    e->spec = spec;
    e->packet = (unsigned char *)packet;
    e->room = capacity;
    dtci_encoding_place(e); /* with too little room raw may still fit: its head may be shorter */
    status = (codec->encode)(e);
    around = dtci_head_overhead(&e->head);
    if (status == DTC_OK && capacity < around) status = DTC_ERROR_CAPACITY;
    if (status == DTC_OK && e->head.codec == DTC_RAW && codec->number != DTC_RAW) {
        dtci_encoding_place(e);
        status = dtci_raw_encode(e);
    }
    if (status != DTC_OK) return status;
    dtci_head_close((unsigned char *)packet, &e->head, e->bytes);
    *packet_bytes = e->head.packet_bytes;
    return DTC_OK;
}

DTCI_API dtc_status dtc_encode(const dtc_spec *spec, void *packet, size_t capacity, size_t *packet_bytes,
                               const float *values, size_t count, void *scratch, size_t scratch_bytes) {
    dtci_encoding e;
    if (packet_bytes) *packet_bytes = 0;
    if (!spec || !packet_bytes || (!packet && capacity) || (!values && count)) return DTC_ERROR_ARGUMENT;
    memset(&e, 0, sizeof e);
    e.source = dtci_source_of(values);
    e.arena = dtci_arena_of(scratch, scratch_bytes);
    return dtci_encode(spec, packet, capacity, packet_bytes, count, &e);
}

/* Encodes as dtc_encode_residual does. The sink has residual and values. */
DTCI_FN dtc_status dtci_encode_residual(const dtc_spec *spec, void *packet, size_t capacity, size_t *packet_bytes,
                                        const dtci_sink *sink, size_t count, const dtci_arena *arena) {
    dtci_encoding e;
    memset(&e, 0, sizeof e);
    e.source.values = sink->addend;
    e.source.residual = sink->values;
    e.residual = sink;
    e.arena = *arena;
    return dtci_encode(spec, packet, capacity, packet_bytes, count, &e);
}

DTCI_API dtc_status dtc_encode_residual(const dtc_spec *spec, void *packet, size_t capacity, size_t *packet_bytes,
                                        const float *values, float *residual, size_t count, void *scratch,
                                        size_t scratch_bytes) {
    dtci_arena arena = dtci_arena_of(scratch, scratch_bytes);
    dtci_sink sink;
    if (packet_bytes) *packet_bytes = 0;
    if (!spec || !packet_bytes || (!packet && capacity) || ((!values || !residual) && count)) return DTC_ERROR_ARGUMENT;
    memset(&sink, 0, sizeof sink);
    sink.kind = DTCI_SINK_RESIDUAL;
    sink.values = residual;
    sink.addend = values;
    return dtci_encode_residual(spec, packet, capacity, packet_bytes, &sink, count, &arena);
}

DTCI_API dtc_status dtc_inspect(const void *packet, size_t bytes, dtc_info *info) {
    dtci_packet checked;
    const dtci_head *head = &checked.head;
    dtc_status status;
    if (!info) return DTC_ERROR_ARGUMENT;
    memset(info, 0, sizeof *info);
    if (!packet) return DTC_ERROR_ARGUMENT;
    status = dtci_packet_peek(&checked, (const unsigned char *)packet, bytes);
    if (status != DTC_OK) return status;
    info->codec = info->spec.codec = head->codec;
    info->count = head->count;
    info->rows = head->rows ? head->rows : 1;
    info->columns = head->count / info->rows;
    info->packet_bytes = head->packet_bytes;
    info->decode_scratch = checked.scratch;
    info->workers = head->workers;
    info->terms = head->terms;
    info->seed = info->spec.seed = head->seed;
    info->spec.rows = head->rows;
    info->spec.block = head->block;
    info->spec.workers = head->workers > 1 ? head->workers : 0;
    info->spec.no_checksum = !head->checksum;
    (checked.codec->describe)(&checked, &info->spec);
    return DTC_OK;
}

/* --------------------------------------------------------------------------------------------------------------------
 * Decoding
 * ------------------------------------------------------------------------------------------------------------------*/

/* Decodes a packet of `count` values to the sink. Errors: those of dtc_decode. */
DTCI_SHARED dtc_status dtci_decode(const dtci_sink *sink, size_t count, const void *packet, size_t packet_bytes,
                                   const dtc_decode_options *options, dtci_arena *arena) {
    dtci_opened opened;
    dtc_status status;
    if (options && (unsigned)options->method > DTC_METHOD_LINEAR) return DTC_ERROR_ARGUMENT;
    status = dtci_packet_open(&opened, &count, packet, packet_bytes, options, arena);
    if (status == DTC_OK) status = dtci_work_check(&opened.packet, options);
    return status == DTC_OK ? (opened.packet.codec->decode)(&opened.packet, sink, options, arena) : status;
}

DTCI_API dtc_status dtc_decode(float *values, size_t count, const void *packet, size_t packet_bytes,
                               const dtc_decode_options *options, void *scratch, size_t scratch_bytes) {
    dtci_arena arena = dtci_arena_of(scratch, scratch_bytes);
    dtci_sink sink;
    if ((!values && count) || !packet) return DTC_ERROR_ARGUMENT;
    memset(&sink, 0, sizeof sink);
    sink.kind = DTCI_SINK_STORE;
    sink.values = values;
    return dtci_decode(&sink, count, packet, packet_bytes, options, &arena);
}

DTCI_API dtc_status dtc_decode_add(float *values, size_t count, float weight, const void *packet, size_t packet_bytes,
                                   const dtc_decode_options *options, void *scratch, size_t scratch_bytes) {
    dtci_arena arena = dtci_arena_of(scratch, scratch_bytes);
    dtci_sink sink;
    if ((!values && count) || !packet || !dtci_finite(weight)) return DTC_ERROR_ARGUMENT;
    memset(&sink, 0, sizeof sink);
    sink.kind = DTCI_SINK_ADD;
    sink.values = values;
    sink.weight = weight;
    return dtci_decode(&sink, count, packet, packet_bytes, options, &arena);
}

DTCI_API dtc_status dtc_packet_report(dtc_report *report, const float *values, size_t count, const void *packet,
                                      size_t packet_bytes, void *scratch, size_t scratch_bytes) {
    dtci_arena arena = dtci_arena_of(scratch, scratch_bytes);
    double squares[2] = {0, 0};
    dtci_sink sink;
    dtc_status status;
    dtc_report made;
    if (!report) return DTC_ERROR_ARGUMENT;
    memset(report, 0, sizeof *report);
    if ((!values && count) || !packet) return DTC_ERROR_ARGUMENT;
    memset(&made, 0, sizeof made);
    memset(&sink, 0, sizeof sink);
    sink.kind = DTCI_SINK_REPORT;
    sink.addend = values;
    sink.report = &made;
    sink.sums = squares;
    status = dtci_decode(&sink, count, packet, packet_bytes, NULL, &arena);
    if (status != DTC_OK) return status;
    made.codec = (dtc_codec)(((const unsigned char *)packet)[1] & 15);
    made.bits = count ? 8 * (double)packet_bytes / (double)count : 0;
    made.nmse = squares[0] > 0 ? made.nmse / squares[0] : made.nmse > 0 ? 1 : 0;
    made.cosine = squares[0] > 0 && squares[1] > 0 ? made.cosine / sqrt(squares[0]) / sqrt(squares[1]) : 0;
    *report = made;
    return DTC_OK;
}

/* --------------------------------------------------------------------------------------------------------------------
 * Adding, scaling and multiplying packets
 * ------------------------------------------------------------------------------------------------------------------*/

/* Returns DTC_OK if two checked packets can be added according to their heads, or else an INCOMPATIBLE status or TERMS.
 * Sets sum->head and the outputs of plan_add. */
DTCI_FN dtc_status dtci_addition_plan(dtci_addition *sum) {
    const dtci_head *a = &sum->a->head, *b = &sum->b->head;
    if (a->codec != b->codec) return DTC_ERROR_INCOMPATIBLE_CODEC;
    if (a->count != b->count) return DTC_ERROR_INCOMPATIBLE_COUNT;
    if (a->rows != b->rows) return DTC_ERROR_INCOMPATIBLE_SHAPE;
    if (a->block != b->block) return DTC_ERROR_INCOMPATIBLE_BLOCK;
    if (a->seed != b->seed) return DTC_ERROR_INCOMPATIBLE_SEED;
    if (a->workers != b->workers) return DTC_ERROR_INCOMPATIBLE_WORKERS;
    if (a->terms + b->terms > a->workers) return DTC_ERROR_TERMS;
    sum->head = *a;
    sum->head.terms += b->terms;
    sum->head.checksum = a->checksum || b->checksum;
    return (sum->a->codec->plan_add)(sum);
}

/* Checks two packets and plans their sum. *fits is the result of dtci_addition_plan; two valid packets that cannot be
 * added are no error here. Errors: ARGUMENT, those of dtc_inspect, SIZE (bytes follow a packet). */
DTCI_SHARED dtc_status dtci_addition_check(dtci_addition *sum, dtci_opened packets[2], const void *a, size_t a_bytes,
                                           const void *b, size_t b_bytes, dtc_status *fits) {
    dtc_status status;
    memset(sum, 0, sizeof *sum);
    sum->a = &packets[0].packet;
    sum->b = &packets[1].packet;
    if (!a || !b) return DTC_ERROR_ARGUMENT;
    status = dtci_opened_peek(&packets[0], a, a_bytes);
    if (status == DTC_OK) status = dtci_opened_peek(&packets[1], b, b_bytes);
    if (status != DTC_OK) return status;
    *fits = dtci_addition_plan(sum);
    return DTC_OK;
}

DTCI_API size_t dtc_packet_add_bound(const void *a, size_t a_bytes, const void *b, size_t b_bytes) {
    dtci_opened packets[2];
    dtci_addition sum;
    dtc_status fits;
    if (dtci_addition_check(&sum, packets, a, a_bytes, b, b_bytes, &fits) != DTC_OK || fits != DTC_OK) return 0;
    return sum.head.head_bytes + sum.bound + (sum.head.checksum ? 4 : 0);
}

DTCI_API size_t dtc_packet_add_scratch(const void *a, size_t a_bytes, const void *b, size_t b_bytes) {
    dtci_opened packets[2];
    dtci_addition sum;
    dtc_status fits;
    if (dtci_addition_check(&sum, packets, a, a_bytes, b, b_bytes, &fits) != DTC_OK || fits != DTC_OK) return 0;
    return sum.scratch;
}

/* Opens both packets of a sum, one after the other: so a fault of the first one is found first, as by dtc_decode. With
 * DTCI_OPEN_NO_FIELDS the checksums are left to the caller, too. */
DTCI_SHARED dtc_status dtci_addition_open(dtci_addition *sum, unsigned skip) {
    dtci_packet *packets[2];
    dtc_status status = DTC_OK;
    size_t i;
    packets[0] = sum->a;
    packets[1] = sum->b;
    for (i = 0; i < 2 && status == DTC_OK; i++) {
        if (!(skip & DTCI_OPEN_NO_FIELDS)) status = dtci_checksum_verify(packets[i]);
        if (status == DTC_OK) status = (packets[i]->codec->open)(packets[i], &sum->arena, skip);
    }
    return status;
}

/* Adds two packets of fixed-width fields to the packet `to`. The checksums and fields of both are verified while they
 * are added, so that each packet is read from memory once. Errors: those of dtc_packet_add. */
DTCI_FN dtc_status dtci_addition_fixed(dtci_addition *sum, unsigned char *to, const void *a, const void *b) {
    size_t around = dtci_head_overhead(&sum->head);
    dtc_status status = dtci_addition_open(sum, DTCI_OPEN_NO_FIELDS), fault;
    dtci_verify *verify = &sum->verify;
    verify->a = (const unsigned char *)a;
    verify->b = (const unsigned char *)b;
    verify->sum = to;
    verify->crc_a = verify->crc_b = verify->crc_sum = 0xffffffffu;
    sum->verifying = 1;
    if (status == DTC_OK) { /* the head is written first, because the checksum covers it */
        sum->head.packet_bytes = (uint32_t)(around + sum->bound);
        dtci_head_write(to, &sum->head);
        status = (sum->a->codec->add)(sum);
    }
    if (status == DTC_OK && !verify->excess && (!sum->a->head.checksum || dtci_get32(verify->a) == ~verify->crc_a) &&
        (!sum->b->head.checksum || dtci_get32(verify->b) == ~verify->crc_b)) {
        if (sum->head.checksum) dtci_put32(sum->payload + sum->bytes, ~verify->crc_sum);
        return DTC_OK;
    }
    fault = dtci_addition_open(sum, DTCI_OPEN_ALL); /* finds what verifying has found, and its status */
    return fault != DTC_OK ? fault : status;
}

DTCI_API dtc_status dtc_packet_add(void *sum, size_t capacity, size_t *sum_bytes, const void *a, size_t a_bytes,
                                   const void *b, size_t b_bytes, void *scratch, size_t scratch_bytes) {
    dtc_status status, fits = DTC_OK;
    dtci_opened packets[2];
    dtci_addition adding;
    size_t around;
    if (sum_bytes) *sum_bytes = 0;
    if (!sum_bytes || (!sum && capacity)) return DTC_ERROR_ARGUMENT;
    status = dtci_addition_check(&adding, packets, a, a_bytes, b, b_bytes, &fits);
    if (status != DTC_OK) return status;
    adding.arena = dtci_arena_of(scratch, scratch_bytes);
    if (fits != DTC_OK) { /* a fault of a packet has precedence, if the scratch is large enough to find it */
        status = dtci_addition_open(&adding, DTCI_OPEN_ALL);
        return status != DTC_OK && status != DTC_ERROR_SCRATCH ? status : fits;
    }
    around = dtci_head_overhead(&adding.head);
    if (capacity < around) return DTC_ERROR_CAPACITY;
    if (adding.scratch > adding.arena.left) return DTC_ERROR_SCRATCH;
    adding.payload = (unsigned char *)sum + adding.head.head_bytes;
    adding.capacity = capacity - around;
    if (adding.fixed && sum != a && sum != b && adding.capacity >= adding.bound) {
        status = dtci_addition_fixed(&adding, (unsigned char *)sum, a, b);
        if (status == DTC_OK) *sum_bytes = adding.head.packet_bytes;
        return status;
    }
    status = dtci_addition_open(&adding, DTCI_OPEN_ALL);
    if (status == DTC_OK) status = (adding.a->codec->add)(&adding);
    if (status != DTC_OK) return status;
    dtci_head_close((unsigned char *)sum, &adding.head, adding.bytes);
    *sum_bytes = adding.head.packet_bytes;
    return DTC_OK;
}

/* Tokens are not checked, because scaling does not change them. */
DTCI_API dtc_status dtc_packet_scale(void *packet, size_t packet_bytes, float weight) {
    unsigned char *p = (unsigned char *)packet;
    dtci_arena none = dtci_arena_of(NULL, 0);
    dtci_opened opened;
    dtci_packet *checked = &opened.packet;
    dtc_status status;
    if (!packet || !dtci_finite(weight)) return DTC_ERROR_ARGUMENT;
    status = dtci_opened_peek(&opened, p, packet_bytes);
    if (status == DTC_OK) status = dtci_checksum_verify(checked);
    if (status == DTC_OK) status = (checked->codec->open)(checked, &none, DTCI_OPEN_NO_TOKENS);
    if (status == DTC_OK) status = (checked->codec->scale)(checked, p + checked->head.head_bytes, weight);
    if (status == DTC_OK && checked->head.checksum) dtci_put32(p + packet_bytes - 4, dtci_crc32c(p, packet_bytes - 4));
    return status;
}

/* Returns the number of elements of the product of the matrix of a checked packet and a vector. */
DTCI_FN size_t dtci_matvec_outputs(const dtci_packet *packet, int transposed) {
    size_t rows = packet->head.rows ? packet->head.rows : 1;
    return transposed ? packet->head.count / rows : rows;
}

DTCI_API size_t dtc_packet_matvec_scratch(const void *packet, size_t packet_bytes, int transposed) {
    dtci_packet checked;
    if (!packet || dtci_packet_peek(&checked, (const unsigned char *)packet, packet_bytes) != DTC_OK) return 0;
    return checked.scratch + dtci_take_bytes(sizeof(double) * dtci_matvec_outputs(&checked, transposed));
}

DTCI_API dtc_status dtc_packet_matvec(float *y, const void *packet, size_t packet_bytes, const float *x, int transposed,
                                      void *scratch, size_t scratch_bytes) {
    dtci_arena arena = dtci_arena_of(scratch, scratch_bytes);
    size_t outputs, rows, i;
    const dtci_codec *codec;
    dtci_product product;
    dtci_opened opened;
    dtci_sink sink;
    dtc_status status;
    if (!packet) return DTC_ERROR_ARGUMENT;
    status = dtci_opened_peek(&opened, packet, packet_bytes);
    if (status != DTC_OK) return status;
    rows = opened.packet.head.rows ? opened.packet.head.rows : 1;
    outputs = dtci_matvec_outputs(&opened.packet, transposed);
    if ((!x && opened.packet.head.count) || (!y && outputs)) return DTC_ERROR_ARGUMENT;
    if (opened.packet.scratch + dtci_take_bytes(outputs * sizeof(double)) > arena.left) return DTC_ERROR_SCRATCH;
    status = dtci_packet_open(&opened, NULL, packet, packet_bytes, NULL, &arena);
    if (status != DTC_OK) return status;
    codec = opened.packet.codec;
    product.x = x;
    product.transposed = transposed;
    product.sums = (double *)dtci_take(&arena, outputs * sizeof(double));
    if (!product.sums) return DTC_ERROR_SCRATCH;
    memset(product.sums, 0, outputs * sizeof(double));
    memset(&sink, 0, sizeof sink);
    sink.kind = transposed ? DTCI_SINK_COLUMNS : DTCI_SINK_ROWS;
    sink.columns = opened.packet.head.count / rows;
    sink.x = x;
    sink.sums = product.sums;
    status = codec->matvec ? (codec->matvec)(&opened.packet, &product, &arena)
                           : (codec->decode)(&opened.packet, &sink, NULL, &arena);
    for (i = 0; i < outputs && status == DTC_OK; i++) {
        float bounded = dtci_to_float(product.sums[i]);
        memcpy((char *)y + 4 * i, &bounded, 4);
    }
    return status;
}

/* --------------------------------------------------------------------------------------------------------------------
 * Messages: the tensors of a model as packets in a row (see MESSAGES in the wire format)
 * ------------------------------------------------------------------------------------------------------------------*/

#ifndef DTC_NO_MESSAGES

#define DTCI_SMALL 512u /* a tensor of at most this many values is small: it shares a packet with the others */

/* The tensors of a message, and what the small ones are together. */
typedef struct dtci_message {
    const dtc_tensor *tensors;
    size_t count;            /* number of tensors */
    size_t gathered, values; /* number of small tensors that have values, and of their values */
    size_t packets;          /* number of packets without the one of levels */
    const dtc_spec *spec;    /* NULL if the message is read */
    float rate;              /* of packets that are not starved; 0 if all packets have the rate of the spec */
    int replaces;            /* encoding replaces values by what they decode to */
} dtci_message;

/* Whether the budget of quant:rate=B holds only a few of `count` values beside head and grid, so that most of them
 * would wait in the residual for very long. Their packet takes 3 bits a value instead. */
DTCI_FN int dtci_is_starved(const dtc_spec *spec, size_t count) {
    return (double)spec->quant.rate * (double)count < 512;
}

/* Sets m->rate so that the message keeps its rate if the other tensors can pay for the starved ones. */
DTCI_COLD void dtci_message_share_rate(dtci_message *m) {
    const dtc_spec *spec = m->spec;
    double rate = (double)spec->quant.rate, left = 0, rich = 0;
    size_t t;
    if (spec->codec != DTC_QUANT || !(rate > 0 && rate < 3) || spec->workers > 1 || spec->quant.min_given ||
        spec->quant.max_given)
        return;
    for (t = 0; t <= m->count; t++) {
        size_t count = t < m->count ? m->tensors[t].count : m->values;
        if (t < m->count ? count <= DTCI_SMALL : !count) continue;
        left += rate * (double)count;
        if (dtci_is_starved(spec, count)) {
            left -= 3 * (double)count + 8 * 48; /* 48 bytes: head, checksum, grid and table */
        } else {
            rich += (double)count;
        }
    }
    left -= 16.0 * (double)m->gathered; /* levels */
    m->rate = (float)(rich > 0 && left > rate / 2 * rich ? left / rich : rate / 2);
}

/* Returns DTC_ERROR_ARGUMENT if an array is missing or the small tensors have too many values. */
DTCI_COLD dtc_status dtci_message_of(dtci_message *m, const dtc_spec *spec, const dtc_tensor *tensors, size_t count) {
    size_t t;
    memset(m, 0, sizeof *m);
    if (!tensors && count) return DTC_ERROR_ARGUMENT;
    m->tensors = tensors;
    m->count = count;
    m->spec = spec;
    for (t = 0; t < count; t++) {
        if (tensors[t].count > DTCI_COUNT_MAX) return DTC_ERROR_ARGUMENT;
        if (tensors[t].count > DTCI_SMALL) {
            m->packets++;
        } else if (tensors[t].count) {
            m->gathered++;
            m->values += tensors[t].count;
        }
    }
    m->packets += m->gathered > 0;
    if (spec) dtci_message_share_rate(m);
    return m->values > DTCI_COUNT_MAX ? DTC_ERROR_ARGUMENT : DTC_OK;
}

DTCI_FN int dtci_is_small(const dtc_tensor *tensor) {
    return tensor->count > 0 && tensor->count <= DTCI_SMALL;
}

/* Sets *own to the spec of the packet of large tensor t, or of the gathered packet if t is the number of tensors.
 * Returns the packet's number of values. A value that is no element of a matrix is sent as the values of factors and of
 * circulant vectors are. */
DTCI_COLD size_t dtci_message_spec(dtc_spec *own, const dtci_message *m, size_t t) {
    const dtc_value *value = m->spec->codec == DTC_FACTOR ? &m->spec->factor.value : &m->spec->circulant.value;
    size_t count = t < m->count ? m->tensors[t].count : m->values;
    *own = *m->spec;
    own->rows = t < m->count ? m->tensors[t].rows : 0;
    if ((own->codec == DTC_FACTOR || own->codec == DTC_CIRCULANT) && (own->rows < 2 || own->rows == count)) {
        *own = dtci_nest_spec(value, 0);
        own->workers = m->spec->workers;
        own->no_checksum = m->spec->no_checksum;
    }
    if (m->rate > 0 && dtci_is_starved(m->spec, count)) {
        own->quant.rate = 0;
        own->quant.bits = 3;
    } else if (m->rate > 0) {
        own->quant.rate = m->rate;
    }
    own->seed = dtc_seed(m->spec->seed, t, 0);
    return count;
}

/* Calls `size` for every packet but that of levels. Returns the sum of the results, or SIZE_MAX. *most becomes the
 * largest result. *valid becomes 0 if dtc_encode_bound refuses a packet. */
DTCI_COLD size_t dtci_message_sizes(const dtci_message *m, size_t (*size)(const dtc_spec *, size_t), size_t *most,
                                    int *valid) {
    size_t total = 0, t;
    *most = 0;
    *valid = 1;
    for (t = 0; t <= m->count; t++) {
        size_t count, bytes;
        dtc_spec own;
        if (t < m->count ? m->tensors[t].count <= DTCI_SMALL : !m->values) continue;
        count = dtci_message_spec(&own, m, t);
        bytes = size(&own, count);
        *valid &= dtc_encode_bound(&own, count) > 0;
        total = bytes < SIZE_MAX - total ? total + bytes : SIZE_MAX;
        if (bytes > *most) *most = bytes;
    }
    return total;
}

DTCI_COLD dtc_spec dtci_levels_spec(const dtc_spec *spec) {
    dtc_spec levels;
    memset(&levels, 0, sizeof levels);
    levels.raw.type = DTC_TYPE_BF16;
    levels.no_checksum = spec->no_checksum;
    return levels;
}

/* Returns the bytes of a message that are enough, or 0 if a packet's spec is refused. */
DTCI_COLD size_t dtci_message_bytes(const dtci_message *m) {
    dtc_spec levels = dtci_levels_spec(m->spec);
    size_t most, bytes, extra = m->gathered > 1 ? dtc_encode_bound(&levels, m->gathered) : 0;
    int valid;
    bytes = dtci_message_sizes(m, dtc_encode_bound, &most, &valid);
    return valid && bytes < SIZE_MAX - extra ? bytes + extra : 0;
}

DTCI_API size_t dtc_message_bound(const dtc_spec *spec, const dtc_tensor *tensors, size_t tensor_count) {
    dtci_message m;
    if (!spec || dtci_message_of(&m, spec, tensors, tensor_count) != DTC_OK) return 0;
    return dtci_message_bytes(&m);
}

/* Returns the bytes of scratch that the arrays of the small tensors take: values, residuals or decoded values, levels.
 */
DTCI_COLD size_t dtci_message_arrays(const dtci_message *m) {
    return 3 * dtci_take_bytes(4 * m->values) + dtci_take_bytes(4 * m->gathered);
}

/* Returns the bytes of scratch of encoding, or SIZE_MAX. */
DTCI_COLD size_t dtci_message_encode_scratch(const dtci_message *m) {
    size_t encode, decode, arrays = dtci_message_arrays(m);
    int valid;
    (void)dtci_message_sizes(m, dtc_encode_scratch, &encode, &valid);
    (void)dtci_message_sizes(m, dtc_decode_scratch_bound, &decode, &valid);
    encode = encode > decode ? encode : decode; /* the gathered packet is decoded for its residual */
    return encode < SIZE_MAX - arrays ? encode + arrays : SIZE_MAX;
}

/* Returns the bytes of scratch that an opened packet keeps until it is decoded: its bins, but not the tables of its
 * codes. */
DTCI_COLD size_t dtci_message_kept(const dtc_spec *spec, size_t count) {
    size_t bytes = dtc_decode_scratch_bound(spec, count), tables = dtci_take_bytes(sizeof(dtci_decoder));
    return bytes > tables ? bytes - tables : bytes;
}

DTCI_API size_t dtc_message_scratch(const dtc_spec *spec, const dtc_tensor *tensors, size_t tensor_count) {
    size_t most, kept, encode, decode, fixed;
    dtci_message m;
    int valid;
    if (!spec || dtci_message_of(&m, spec, tensors, tensor_count) != DTC_OK || !dtci_message_bytes(&m)) return 0;
    encode = dtci_message_encode_scratch(&m);
    (void)dtci_message_sizes(&m, dtc_decode_scratch_bound, &most, &valid);
    decode = dtci_message_sizes(&m, dtci_message_kept, &kept, &valid);
    fixed = dtci_take_bytes(m.packets * sizeof(dtci_opened)) + dtci_message_arrays(&m) + most;
    decode = decode < SIZE_MAX - fixed ? decode + fixed : SIZE_MAX;
    return encode > decode ? encode : decode;
}

/* Sets levels[i] to the range of small tensor i, relative to the largest range, as bf16. Returns 0 if no range is below
 * half of the largest one, or if the errors of packets do not depend on ranges. */
DTCI_COLD int dtci_message_levels(float *levels, const dtci_message *m, const dtc_spec *own) {
    const dtci_codec *codec = dtci_codec_find((unsigned)own->codec);
    float largest = 0, least = FLT_MAX;
    size_t t, i = 0;
    if (!codec->range || m->gathered < 2) return 0;
    for (t = 0; t < m->count; t++) {
        const dtc_tensor *tensor = &m->tensors[t];
        dtci_source source;
        dtci_stats stats;
        if (!dtci_is_small(tensor)) continue;
        source.values = tensor->values;
        source.residual = tensor->residual;
        stats = dtci_scan(&source, 0, tensor->count);
        levels[i] = (codec->range)(own, &stats, tensor->count, 0);
        if (levels[i] > largest) largest = levels[i];
        if (levels[i] > 0 && levels[i] < least) least = levels[i];
        i++;
    }
    if (!(2 * (double)least < (double)largest) || !((double)largest < 1e30)) return 0;
    for (i = 0; i < m->gathered; i++) {
        float level = levels[i] > 0 ? levels[i] / largest : 1;
        uint32_t bits = dtci_float_bits((double)level > 1e-30 ? level : (float)1e-30);
        levels[i] = dtci_bits_float((bits + 0x8000u) & 0xffff0000u);
    }
    return 1;
}

/* Gathers the small tensors: x[i] = values + residual, divided by the level of the tensor, and residual[i] = 0. Without
 * levels and residuals, x has the values. Returns whether a tensor has a residual. */
DTCI_COLD int dtci_message_gather(float *x, float *residual, const dtci_message *m, const float *levels) {
    size_t t, i, at = 0, k = 0;
    int feedback = 0;
    for (t = 0; t < m->count; t++) {
        const dtc_tensor *tensor = &m->tensors[t];
        if (!dtci_is_small(tensor)) continue;
        for (i = 0; i < tensor->count; i++, at++) {
            x[at] = dtci_float_at(tensor->values, i);
            if (tensor->residual) x[at] += dtci_float_at(tensor->residual, i);
            if (levels) x[at] /= levels[k];
        }
        feedback |= tensor->residual != NULL;
        k++;
    }
    memset(residual, 0, 4 * m->values);
    return feedback;
}

/* Gives decoded values of the small tensors, times their levels, to the tensors as the sink says. */
DTCI_COLD void dtci_message_scatter(const dtci_message *m, const dtci_sink *sink, const float *decoded,
                                    const float *levels) {
    size_t t, i, at = 0, k = 0;
    for (t = 0; t < m->count; t++) {
        const dtc_tensor *tensor = &m->tensors[t];
        dtci_sink own = *sink;
        float chunk[DTCI_CHUNK];
        if (!dtci_is_small(tensor)) continue;
        own.values = tensor->values;
        if (sink->kind == DTCI_SINK_RESIDUAL) {
            own.kind = tensor->residual ? DTCI_SINK_RESIDUAL : DTCI_SINK_STORE;
            own.addend = tensor->values;
            own.decoded = m->replaces ? tensor->values : NULL;
            own.values = tensor->residual ? tensor->residual : own.decoded;
        }
        for (i = 0; i < tensor->count && own.values; i++) {
            size_t place = i % DTCI_CHUNK, last = place + 1 == DTCI_CHUNK || i + 1 == tensor->count;
            chunk[place] = levels ? (float)(levels[k] * decoded[at + i]) : decoded[at + i];
            if (last) dtci_sink_deliver(&own, i - place, chunk, place + 1);
        }
        at += tensor->count;
        k++;
    }
}

/* Appends a packet to the message. `decoded` receives what it decodes to, and may be the tensor's values; NULL: nobody
 * wants it. */
DTCI_COLD dtc_status dtci_message_append(unsigned char *message, size_t capacity, size_t *bytes, const dtc_spec *own,
                                         const dtc_tensor *tensor, float *decoded, const dtci_arena *arena) {
    unsigned char *packet = message + *bytes;
    dtc_decode_options trusting;
    dtci_sink sink;
    dtc_status status;
    size_t used = 0;
    if (tensor->residual) {
        memset(&sink, 0, sizeof sink);
        sink.kind = DTCI_SINK_RESIDUAL;
        sink.values = tensor->residual;
        sink.addend = tensor->values;
        sink.decoded = decoded;
        status = dtci_encode_residual(own, packet, capacity - *bytes, &used, &sink, tensor->count, arena);
    } else {
        memset(&trusting, 0, sizeof trusting);
        trusting.skip_checksum = 1;
        trusting.max_work = UINT64_MAX;
        status =
            dtc_encode(own, packet, capacity - *bytes, &used, tensor->values, tensor->count, arena->p, arena->left);
        if (status == DTC_OK && decoded)
            status = dtc_decode(decoded, tensor->count, packet, used, &trusting, arena->p, arena->left);
    }
    *bytes += used;
    return status;
}

/* Appends the levels, where they differ, and the gathered packet. */
DTCI_COLD dtc_status dtci_message_append_small(unsigned char *message, size_t capacity, size_t *bytes,
                                               const dtci_message *m, dtci_arena arena) {
    float *x = (float *)dtci_take(&arena, 4 * m->values), *residual = (float *)dtci_take(&arena, 4 * m->values);
    float *decoded = (float *)dtci_take(&arena, 4 * m->values), *levels = (float *)dtci_take(&arena, 4 * m->gathered);
    dtc_tensor gathered;
    dtc_status status = DTC_OK;
    size_t from;
    dtc_spec own;
    int levelled;
    if (!x || !residual || !decoded || !levels) return DTC_ERROR_SCRATCH;
    (void)dtci_message_spec(&own, m, m->count);
    levelled = dtci_message_levels(levels, m, &own);
    if (levelled) {
        dtc_spec raw = dtci_levels_spec(m->spec);
        gathered.values = levels;
        gathered.residual = NULL;
        gathered.count = m->gathered;
        status = dtci_message_append(message, capacity, bytes, &raw, &gathered, NULL, &arena);
    }
    gathered.values = x;
    gathered.residual = dtci_message_gather(x, residual, m, levelled ? levels : NULL) ? residual : NULL;
    gathered.count = m->values;
    from = *bytes;
    if (status == DTC_OK) status = dtci_message_append(message, capacity, bytes, &own, &gathered, NULL, &arena);
    if (status == DTC_OK && (gathered.residual || m->replaces)) {
        dtci_sink sink;
        memset(&sink, 0, sizeof sink);
        sink.kind = DTCI_SINK_RESIDUAL;
        status = dtc_decode(decoded, m->values, message + from, *bytes - from, NULL, arena.p, arena.left);
        if (status == DTC_OK) dtci_message_scatter(m, &sink, decoded, levelled ? levels : NULL);
    }
    return status;
}

/* Returns the first error that encoding could find, so that no tensor is encoded if another one cannot be. */
DTCI_COLD dtc_status dtci_message_refuse(const dtci_message *m, size_t capacity, size_t scratch_bytes) {
    dtc_status status = dtci_spec_check(m->spec);
    size_t t, need;
    if (status != DTC_OK) return status;
    for (t = 0; t < m->count; t++) {
        const dtc_tensor *tensor = &m->tensors[t];
        int passes = m->spec->codec == DTC_RAW && !tensor->residual;
        dtci_source source;
        dtci_head head;
        dtc_spec own;
        if (!tensor->values && tensor->count) return DTC_ERROR_ARGUMENT;
        if (tensor->rows && tensor->count % tensor->rows) return DTC_ERROR_ARGUMENT;
        (void)dtci_message_spec(&own, m, t);
        if (tensor->count > DTCI_SMALL) status = dtci_spec_begin(&head, &own, tensor->count);
        if (status != DTC_OK) return status;
        source.values = tensor->values;
        source.residual = tensor->residual;
        if (!passes && !dtci_scan(&source, 0, tensor->count).finite) return DTC_ERROR_NONFINITE;
    }
    need = dtci_message_bytes(m);
    if (m->packets && !need) return DTC_ERROR_SPEC;
    if (capacity < need) return DTC_ERROR_CAPACITY;
    return scratch_bytes < dtci_message_encode_scratch(m) ? DTC_ERROR_SCRATCH : DTC_OK;
}

/* Writes the message whose tensors dtci_message_of has looked at, with this status. Errors: those of
 * dtc_message_encode. */
DTCI_COLD dtc_status dtci_message_write(const dtci_message *m, dtc_status status, void *message, size_t capacity,
                                        size_t *message_bytes, dtci_arena arena) {
    unsigned char *to = (unsigned char *)message;
    size_t t, bytes = 0;
    if (message_bytes) *message_bytes = 0;
    if (status != DTC_OK || !m->spec || !message_bytes || (!message && capacity)) return DTC_ERROR_ARGUMENT;
    status = dtci_message_refuse(m, capacity, arena.left);
    for (t = 0; t < m->count && status == DTC_OK; t++) {
        const dtc_tensor *tensor = &m->tensors[t];
        dtc_spec own;
        if (tensor->count <= DTCI_SMALL) continue;
        (void)dtci_message_spec(&own, m, t);
        status = dtci_message_append(to, capacity, &bytes, &own, tensor, m->replaces ? tensor->values : NULL, &arena);
    }
    if (status == DTC_OK && m->values) status = dtci_message_append_small(to, capacity, &bytes, m, arena);
    if (status == DTC_OK) *message_bytes = bytes;
    return status;
}

DTCI_API dtc_status dtc_message_encode(const dtc_spec *spec, void *message, size_t capacity, size_t *message_bytes,
                                       const dtc_tensor *tensors, size_t tensor_count, void *scratch,
                                       size_t scratch_bytes) {
    dtci_message m;
    dtc_status status = dtci_message_of(&m, spec, tensors, tensor_count);
    return dtci_message_write(&m, status, message, capacity, message_bytes, dtci_arena_of(scratch, scratch_bytes));
}

DTCI_API dtc_status dtc_message_encode_decoded(const dtc_spec *spec, void *message, size_t capacity,
                                               size_t *message_bytes, const dtc_tensor *tensors, size_t tensor_count,
                                               void *scratch, size_t scratch_bytes) {
    dtci_message m;
    dtc_status status = dtci_message_of(&m, spec, tensors, tensor_count);
    m.replaces = 1;
    return dtci_message_write(&m, status, message, capacity, message_bytes, dtci_arena_of(scratch, scratch_bytes));
}

/* What reading a message goes through. */
typedef struct dtci_reading {
    const unsigned char *message;
    size_t at, bytes; /* the next packet, and the end of the message */
    const dtc_decode_options *options;
    dtci_arena arena;
    size_t most; /* the most scratch that a packet takes */
} dtci_reading;

/* Opens the next packet of the message, which must have `count` values. */
DTCI_COLD dtc_status dtci_reading_open(dtci_reading *r, dtci_opened *opened, size_t count) {
    size_t left = r->bytes - r->at;
    dtc_status status = dtci_packet_peek(&opened->packet, r->message + r->at, left);
    if (status == DTC_OK)
        status = dtci_packet_open(opened, &count, r->message + r->at, opened->packet.head.packet_bytes, r->options,
                                  &r->arena);
    if (status != DTC_OK) return status;
    r->at += opened->packet.head.packet_bytes;
    if (opened->packet.scratch > r->most) r->most = opened->packet.scratch;
    return dtci_work_check(&opened->packet, r->options);
}

/* Reads the packet of levels, if another packet follows the next one; else *levels is NULL. */
DTCI_COLD dtc_status dtci_reading_levels(dtci_reading *r, const dtci_message *m, const float **levels) {
    float *read = (float *)dtci_take(&r->arena, 4 * m->gathered);
    dtci_opened opened;
    dtci_sink sink;
    dtc_status status = dtci_packet_peek(&opened.packet, r->message + r->at, r->bytes - r->at);
    size_t i;
    *levels = NULL;
    if (!read) return DTC_ERROR_SCRATCH;
    if (status != DTC_OK || opened.packet.head.packet_bytes == r->bytes - r->at) return status;
    if (opened.packet.head.codec != DTC_RAW) return DTC_ERROR_COUNT;
    status = dtci_reading_open(r, &opened, m->gathered);
    if (status != DTC_OK) return status;
    memset(&sink, 0, sizeof sink);
    sink.kind = DTCI_SINK_STORE;
    sink.values = read;
    status = (opened.packet.codec->decode)(&opened.packet, &sink, r->options, &r->arena);
    for (i = 0; i < m->gathered && status == DTC_OK; i++)
        if (!(read[i] > 0 && read[i] <= 1)) status = DTC_ERROR_PAYLOAD;
    *levels = read;
    return status;
}

/* Opens every packet of a message, decodes every one, and gives the values to the sink. Nothing fails once all packets
 * are open. */
DTCI_COLD dtc_status dtci_message_decode(const dtci_message *m, dtci_sink *sink, dtci_reading *r) {
    dtci_opened *opened = (dtci_opened *)dtci_take(&r->arena, m->packets * sizeof(dtci_opened));
    float *decoded = (float *)dtci_take(&r->arena, 4 * m->values);
    const float *levels = NULL;
    dtc_status status = opened && decoded ? DTC_OK : DTC_ERROR_SCRATCH;
    size_t t, i = 0;
    for (t = 0; t < m->count && status == DTC_OK; t++)
        if (m->tensors[t].count > DTCI_SMALL) status = dtci_reading_open(r, &opened[i++], m->tensors[t].count);
    if (status == DTC_OK && m->values) status = dtci_reading_levels(r, m, &levels);
    if (status == DTC_OK && m->values) status = dtci_reading_open(r, &opened[i], m->values);
    if (status != DTC_OK) return status;
    if (r->at != r->bytes) return DTC_ERROR_SIZE;
    if (r->most > r->arena.left) return DTC_ERROR_SCRATCH;
    for (t = i = 0; t <= m->count && status == DTC_OK; t++) {
        dtci_arena arena = r->arena;
        dtci_sink own = *sink;
        if (t < m->count ? m->tensors[t].count <= DTCI_SMALL : !m->values) continue;
        own.kind = t < m->count ? sink->kind : DTCI_SINK_STORE;
        own.values = t < m->count ? m->tensors[t].values : decoded;
        status = (opened[i].packet.codec->decode)(&opened[i].packet, &own, r->options, &arena);
        i++;
    }
    if (status == DTC_OK && m->values) dtci_message_scatter(m, sink, decoded, levels);
    return status;
}

/* Checks the arguments of dtc_message_decode and dtc_message_decode_add, and decodes to the sink. */
DTCI_COLD dtc_status dtci_message_read(const dtc_tensor *tensors, size_t tensor_count, dtci_sink *sink,
                                       const void *message, size_t message_bytes, dtci_reading *r) {
    dtci_message m;
    dtc_status status = dtci_message_of(&m, NULL, tensors, tensor_count);
    size_t t;
    if (status != DTC_OK || (!message && message_bytes)) return DTC_ERROR_ARGUMENT;
    if (r->options && (unsigned)r->options->method > DTC_METHOD_LINEAR) return DTC_ERROR_ARGUMENT;
    for (t = 0; t < tensor_count; t++)
        if (!tensors[t].values && tensors[t].count) return DTC_ERROR_ARGUMENT;
    r->message = (const unsigned char *)message;
    r->bytes = message_bytes;
    r->at = r->most = 0;
    return dtci_message_decode(&m, sink, r);
}

DTCI_API dtc_status dtc_message_decode(const dtc_tensor *tensors, size_t tensor_count, const void *message,
                                       size_t message_bytes, const dtc_decode_options *options, void *scratch,
                                       size_t scratch_bytes) {
    dtci_reading reading;
    dtci_sink sink;
    memset(&sink, 0, sizeof sink);
    sink.kind = DTCI_SINK_STORE;
    reading.options = options;
    reading.arena = dtci_arena_of(scratch, scratch_bytes);
    return dtci_message_read(tensors, tensor_count, &sink, message, message_bytes, &reading);
}

DTCI_API dtc_status dtc_message_decode_add(const dtc_tensor *tensors, size_t tensor_count, float weight,
                                           const void *message, size_t message_bytes, const dtc_decode_options *options,
                                           void *scratch, size_t scratch_bytes) {
    dtci_reading reading;
    dtci_sink sink;
    if (!dtci_finite(weight)) return DTC_ERROR_ARGUMENT;
    memset(&sink, 0, sizeof sink);
    sink.kind = DTCI_SINK_ADD;
    sink.weight = weight;
    reading.options = options;
    reading.arena = dtci_arena_of(scratch, scratch_bytes);
    return dtci_message_read(tensors, tensor_count, &sink, message, message_bytes, &reading);
}

/* Two messages that are added packet by packet. */
typedef struct dtci_pair {
    const unsigned char *a, *b; /* the next packets */
    size_t a_left, b_left;      /* bytes from there to the ends of the messages */
    size_t a_bytes, b_bytes;    /* sizes of the next packets */
} dtci_pair;

DTCI_FN dtci_pair dtci_pair_of(const void *a, size_t a_bytes, const void *b, size_t b_bytes) {
    dtci_pair pair;
    pair.a = (const unsigned char *)a;
    pair.b = (const unsigned char *)b;
    pair.a_left = a ? a_bytes : 0;
    pair.b_left = b ? b_bytes : 0;
    pair.a_bytes = pair.b_bytes = 0;
    return pair;
}

/* Moves to the next packets, of which at least one message has one. Errors: those of dtc_inspect. */
DTCI_COLD dtc_status dtci_pair_next(dtci_pair *pair) {
    dtci_packet packet;
    dtc_status status;
    pair->a += pair->a_bytes;
    pair->b += pair->b_bytes;
    pair->a_left -= pair->a_bytes;
    pair->b_left -= pair->b_bytes;
    pair->a_bytes = pair->b_bytes = 0;
    if (!pair->a_left && !pair->b_left) return DTC_OK;
    status = dtci_packet_peek(&packet, pair->a, pair->a_left);
    if (status != DTC_OK) return status;
    pair->a_bytes = packet.head.packet_bytes;
    status = dtci_packet_peek(&packet, pair->b, pair->b_left);
    pair->b_bytes = status == DTC_OK ? packet.head.packet_bytes : 0;
    return status;
}

/* Returns the sum of the results of `size` for all pairs of packets, and in *most the largest result. 0: a packet is
 * malformed or, where every result must be above 0, cannot be added. */
DTCI_COLD size_t dtci_pair_sizes(dtci_pair pair, size_t (*size)(const void *, size_t, const void *, size_t),
                                 size_t *most) {
    size_t total = 0;
    *most = 0;
    while (dtci_pair_next(&pair) == DTC_OK && pair.a_bytes) {
        size_t bytes = size(pair.a, pair.a_bytes, pair.b, pair.b_bytes);
        if (bytes > *most) *most = bytes;
        total = bytes < SIZE_MAX - total ? total + bytes : SIZE_MAX;
    }
    return total;
}

DTCI_API size_t dtc_message_add_bound(const void *a, size_t a_bytes, const void *b, size_t b_bytes) {
    size_t most;
    return dtci_pair_sizes(dtci_pair_of(a, a_bytes, b, b_bytes), dtc_packet_add_bound, &most);
}

DTCI_API size_t dtc_message_add_scratch(const void *a, size_t a_bytes, const void *b, size_t b_bytes) {
    size_t most;
    (void)dtci_pair_sizes(dtci_pair_of(a, a_bytes, b, b_bytes), dtc_packet_add_scratch, &most);
    return most;
}

DTCI_API dtc_status dtc_message_add(void *sum, size_t capacity, size_t *sum_bytes, const void *a, size_t a_bytes,
                                    const void *b, size_t b_bytes, void *scratch, size_t scratch_bytes) {
    dtci_pair pair = dtci_pair_of(a, a_bytes, b, b_bytes);
    dtc_status status;
    size_t at = 0, used;
    if (sum_bytes) *sum_bytes = 0;
    if (!sum_bytes || (!sum && capacity) || (!a && a_bytes) || (!b && b_bytes)) return DTC_ERROR_ARGUMENT;
    for (;;) {
        status = dtci_pair_next(&pair);
        if (status != DTC_OK || !pair.a_bytes) break;
        status = dtc_packet_add((unsigned char *)sum + at, capacity - at, &used, pair.a, pair.a_bytes, pair.b,
                                pair.b_bytes, scratch, scratch_bytes);
        if (status != DTC_OK) break;
        at += used;
    }
    if (status == DTC_OK) *sum_bytes = at;
    return status;
}

#endif /* DTC_NO_MESSAGES */

/* --------------------------------------------------------------------------------------------------------------------
 * Statuses in words
 * ------------------------------------------------------------------------------------------------------------------*/

typedef struct dtci_status_text {
    dtc_status status;
    const char *text;
} dtci_status_text;

static const dtci_status_text dtci_status_texts[] = {
    {DTC_OK, "no error"},
    {DTC_ERROR_ARGUMENT,
     "an argument is unusable: a null pointer, a count past 2^30 - 256, or a weight that is not finite"},
    {DTC_ERROR_SPEC, "a field of the spec is out of its range, or excludes another; see dtc_spec"},
    {DTC_ERROR_COUNT, "count is not the packet's own; ask dtc_inspect for it"},
    {DTC_ERROR_SPEC_CODEC,
     "the spec's text does not begin with a codec: raw, ternary, quant, factor, sensing or circulant"},
    {DTC_ERROR_SPEC_KEY,
     "the spec's text has a key that this codec does not know, that was given before, or that another "
     "excludes"},
    {DTC_ERROR_SPEC_VALUE, "the spec's text has a value that its key does not take, or out of its range"},
    {DTC_ERROR_CAPACITY, "the output does not fit into its capacity; dtc_encode_bound tells what is enough"},
    {DTC_ERROR_SCRATCH, "scratch is too small; ask dtc_encode_scratch, or dtc_inspect for decode_scratch"},
    {DTC_ERROR_TRUNCATED, "the packet is cut short: fewer bytes than its head says"},
    {DTC_ERROR_MAGIC, "not a dtcodec packet: the first byte is wrong"},
    {DTC_ERROR_HEAD, "malformed packet: a field of its head is out of its range"},
    {DTC_ERROR_SIZE, "malformed packet: its size is not the one that its head implies, or bytes follow it"},
    {DTC_ERROR_CHECKSUM, "the packet was damaged on its way: its checksum does not match"},
    {DTC_ERROR_PAYLOAD, "malformed packet: its payload is not one that an encoder makes"},
    {DTC_ERROR_WIRE_VERSION, "the packet is of another wire version; sender and receiver need the same"},
    {DTC_ERROR_CODEC,
     "this codec is unknown to this build, was left out of it, or is not the one that this call is for"},
    {DTC_ERROR_NONFINITE,
     "a value is NaN or infinite, or would leave the range of its type; skip the step, or send raw fp32"},
    {DTC_ERROR_LIMIT, "the packet asks for more than this machine or the decode options allow"},
    {DTC_ERROR_INCOMPATIBLE, "the sum of these packets would be larger than its values: decode them and add"},
    {DTC_ERROR_INCOMPATIBLE_CODEC, "packets of different codecs cannot be added; one may have been stored as raw"},
    {DTC_ERROR_INCOMPATIBLE_COUNT, "packets of different counts cannot be added"},
    {DTC_ERROR_INCOMPATIBLE_SHAPE, "packets of different shapes cannot be added: rows or measurements differ"},
    {DTC_ERROR_INCOMPATIBLE_BLOCK, "packets of different blocks cannot be added"},
    {DTC_ERROR_INCOMPATIBLE_SEED,
     "packets rotated or measured by different seeds cannot be added; give the workers the same one"},
    {DTC_ERROR_INCOMPATIBLE_GRID,
     "packets of different scales cannot be added; give the workers the same scale, or min and max, and bits"},
    {DTC_ERROR_INCOMPATIBLE_PACKING,
     "packets of different packing cannot be added: types differ, or one is entropy coded and one is not"},
    {DTC_ERROR_INCOMPATIBLE_WORKERS, "packets with room for different numbers of workers cannot be added"},
    {DTC_ERROR_TERMS, "the sum would be one of more packets than there is room for; encode with a larger workers="},
};

DTCI_API const char *dtc_status_string(dtc_status status) {
    size_t i;
    for (i = 0; i < sizeof dtci_status_texts / sizeof *dtci_status_texts; i++)
        if (dtci_status_texts[i].status == status) return dtci_status_texts[i].text;
    return "unknown status";
}

/* --------------------------------------------------------------------------------------------------------------------
 * Specs as text
 * ------------------------------------------------------------------------------------------------------------------*/

/* The keys that all codecs have. */
static const dtci_key dtci_common_keys[] = {
    {"rows", "", DTCI_KEY_INTEGER, DTCI_FIELD(rows), 1, DTCI_COUNT_MAX, 0, 0},
    {"seed", "", DTCI_KEY_INTEGER, DTCI_FIELD(seed), 0, 18446744073709551615.0, 0, 0},
    {"block", "", DTCI_KEY_INTEGER, DTCI_FIELD(block), 0, DTCI_COUNT_MAX, 0, 0},
    {"workers", "", DTCI_KEY_INTEGER, DTCI_FIELD(workers), 1, 65535, 0, 0},
    {"checksum", "0|1", DTCI_KEY_INVERTED, DTCI_FIELD(no_checksum), 0, 0, 0, 0},
};

#define DTCI_COMMON_KEYS (sizeof dtci_common_keys / sizeof *dtci_common_keys)

/* Returns key i of a codec, or NULL after the last key. The keys of the codec come first, then the keys that all codecs
 * have. */
DTCI_COLD const dtci_key *dtci_key_at(const dtci_codec *codec, size_t i) {
    if (i < codec->key_count) return &codec->keys[i];
    i -= codec->key_count;
    return i < DTCI_COMMON_KEYS ? &dtci_common_keys[i] : NULL;
}

/* Returns the unsigned integer in a field of 1, 2, 4 or 8 bytes. Enumerators have 1 byte with -fshort-enums. */
DTCI_COLD uint64_t dtci_field_get(const void *field, size_t bytes) {
    uint64_t x8 = 0;
    uint32_t x4 = 0;
    uint16_t x2 = 0;
    if (bytes == 1) return *(const unsigned char *)field;
    if (bytes == 2) memcpy(&x2, field, 2);
    if (bytes == 4) memcpy(&x4, field, 4);
    if (bytes == 8) memcpy(&x8, field, 8);
    return x8 + x4 + x2;
}

/* Writes an unsigned integer to a field of 1, 2, 4 or 8 bytes. */
DTCI_COLD void dtci_field_put(void *field, size_t bytes, uint64_t x) {
    uint32_t x4 = (uint32_t)(x & 0xffffffffu);
    uint16_t x2 = (uint16_t)(x & 0xffffu);
    if (bytes == 1) *(unsigned char *)field = (unsigned char)(x & 255);
    if (bytes == 2) memcpy(field, &x2, 2);
    if (bytes == 4) memcpy(field, &x4, 4);
    if (bytes == 8) memcpy(field, &x, 8);
}

/* Returns the length of a name. The loop is bounded, because compilers replace an unbounded one by a call of strlen. */
DTCI_COLD size_t dtci_length(const char name[12]) {
    size_t n = 0;
    while (n < 12 && name[n]) n++;
    return n;
}

/* Returns word `number` of `words`, and in *n its length. */
DTCI_COLD const char *dtci_word_at(const char *words, uint64_t number, size_t *n) {
    for (; number; number--) {
        while (*words != '|') words++;
        words++;
    }
    for (*n = 0; words[*n] && words[*n] != '|';) ++*n;
    return words;
}

/* Returns the number of the word text[0..n) among `words`, or -1. */
DTCI_COLD int dtci_word(const char *words, const char *text, size_t n) {
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

/* Returns 10^e for any e that a float needs. The result is exact up to 10^22, and beyond within a few units in the last
 * place of a double. */
DTCI_COLD double dtci_power10(int e) {
    double power = 1, base = 10;
    unsigned n = e < 0 ? 0u - (unsigned)e : (unsigned)e;
    for (; n; n >>= 1, base *= base)
        if (n & 1) power *= base;
    return e < 0 ? 1 / power : power;
}

/* Returns digits * 10^e, by one multiplication or division. The power of ten is exact up to 10^22. */
DTCI_COLD double dtci_decimal(uint64_t digits, int e) {
    return e < 0 ? (double)digits / dtci_power10(-e) : (double)digits * dtci_power10(e);
}

/* Reads all of text[0..n) as an unsigned integer. Returns 0 if it is none, or above 2^64 - 1. */
DTCI_COLD int dtci_read_integer(const char *text, size_t n, uint64_t *value) {
    size_t i;
    *value = 0;
    for (i = 0; i < n; i++) {
        uint64_t digit = (uint64_t)(unsigned char)text[i] - '0';
        if (digit > 9 || *value > (UINT64_MAX - digit) / 10) return 0;
        *value = *value * 10 + digit;
    }
    return n > 0;
}

/* Reads all of text[0..n) as [-]digits[.digits][e[+|-]digits]. Returns 0 if it is not of this form, or far beyond the
 * range of floats. */
DTCI_COLD int dtci_read_number(const char *text, size_t n, double *value) {
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

/* Reads the value text[0..n) of a key into its field of *spec. Returns 0 if the key does not take this value. */
DTCI_COLD int dtci_key_read(const dtci_key *key, const char *text, size_t n, dtc_spec *spec) {
    char *field = (char *)spec + key->offset;
    int word = dtci_word(key->words, text, n), is_auto = key->words[0] == 'a' && word == 0, given = 1;
    uint64_t integer = 0;
    double number = 0;
    dtc_value value;
    float real;
    if (is_auto && key->kind != DTCI_KEY_BITS) return 1;
    switch (key->kind) {
    case DTCI_KEY_WORD:
    case DTCI_KEY_INVERTED:
        if (word < 0) return 0;
        dtci_field_put(field, key->bytes, (uint64_t)(unsigned)(key->kind == DTCI_KEY_INVERTED ? !word : word));
        return 1;
    case DTCI_KEY_FLOAT:
    case DTCI_KEY_OPTIONAL:
        if (!dtci_read_number(text, n, &number) || number < key->low || number > key->high) return 0;
        real = (float)number;
        if (key->kind == DTCI_KEY_FLOAT && !(real > 0)) return 0; /* a field of 0 means the default */
        memcpy(field, &real, sizeof real);
        if (key->kind == DTCI_KEY_OPTIONAL) memcpy((char *)spec + key->given, &given, sizeof given);
        return 1;
    default:
        if (is_auto)
            integer = (uint64_t)DTC_BITS_AUTO;
        else if ((word < 0 || key->kind != DTCI_KEY_VALUE) &&
                 (!dtci_read_integer(text, n, &integer) || (double)integer < key->low || (double)integer > key->high))
            return 0;
    }
    if (key->kind != DTCI_KEY_VALUE) {
        dtci_field_put(field, key->bytes, integer);
        return 1;
    }
    memset(&value, 0, sizeof value);
    if (word >= 0) value.type = (dtc_type)word;
    value.bits = (int)(integer & 0x7fffffff);
    memcpy(field, &value, sizeof value);
    return 1;
}

/* Returns the row of the codec with the name text[0..n), or NULL. Codecs that are left out have no name. */
DTCI_COLD const dtci_codec *dtci_codec_named(const char *text, size_t n) {
    size_t i;
    for (i = 0; i < DTCI_CODECS; i++)
        if (n && dtci_length(dtci_codecs[i]->name) == n && dtci_same(dtci_codecs[i]->name, text, n))
            return dtci_codecs[i];
    return NULL;
}

/* Reads the keys at *at into *spec. Each key follows a colon or a comma. On return *at is the end of the text or the
 * place of the error. Errors: SPEC_KEY, SPEC_VALUE. */
DTCI_COLD dtc_status dtci_keys_read(const dtci_codec *codec, const char **at, dtc_spec *spec) {
    uint32_t seen = 0, groups = 0;
    while (**at) {
        const dtci_key *key;
        size_t i, n = 0;
        ++*at;
        while ((*at)[n] && (*at)[n] != '=' && (*at)[n] != ',') n++;
        for (i = 0; (key = dtci_key_at(codec, i)) != NULL; i++)
            if (dtci_length(key->name) == n && dtci_same(key->name, *at, n)) break;
        if (!key || seen >> i & 1 || (key->group && groups >> key->group & 1)) return DTC_ERROR_SPEC_KEY;
        seen |= 1u << i;
        groups |= 1u << key->group;
        *at += n + ((*at)[n] == '=');
        for (n = 0; (*at)[n] && (*at)[n] != ',';) n++;
        if (!dtci_key_read(key, *at, n, spec)) return DTC_ERROR_SPEC_VALUE;
        *at += n;
    }
    return DTC_OK;
}

DTCI_API dtc_status dtc_spec_parse(const char *text, dtc_spec *spec, const char **error_at) {
    const dtci_codec *codec;
    const char *at = text;
    dtc_spec parsed;
    dtc_status status;
    size_t n = 0;
    if (error_at) *error_at = text;
    if (!spec) return DTC_ERROR_ARGUMENT;
    memset(spec, 0, sizeof *spec);
    spec->codec = (dtc_codec)DTCI_NO_CODEC;
    if (!text) return DTC_ERROR_ARGUMENT;
    memset(&parsed, 0, sizeof parsed);
    while (at[n] && at[n] != ':') n++;
    codec = dtci_codec_named(at, n);
    if (!codec) return DTC_ERROR_SPEC_CODEC;
    parsed.codec = codec->number;
    at += n;
    status = dtci_keys_read(codec, &at, &parsed);
    if (status == DTC_OK && dtci_spec_check(&parsed) == DTC_ERROR_SPEC) {
        status = DTC_ERROR_SPEC_VALUE; /* each value is in its range, but two of them exclude each other */
        while (at > text && at[-1] != '=') at--;
    }
    if (error_at) *error_at = at;
    if (status == DTC_OK) *spec = parsed;
    return status;
}

/* The output text. What exceeds the capacity is counted but not written. */
typedef struct dtci_text {
    char *text;
    size_t length, capacity;
} dtci_text;

DTCI_COLD void dtci_text_append(dtci_text *to, const char *text, size_t n) {
    if (to->length + n < to->capacity) memcpy(to->text + to->length, text, n);
    to->length += n;
}

/* Appends an integer in decimal. */
DTCI_COLD void dtci_text_integer(dtci_text *to, uint64_t value) {
    char digits[20];
    size_t n = sizeof digits;
    do digits[--n] = (char)('0' + value % 10);
    while (value /= 10);
    dtci_text_append(to, digits + n, sizeof digits - n);
}

/* Appends digits / 10^places with `places` digits after the point. */
DTCI_COLD void dtci_text_fraction(dtci_text *to, uint64_t digits, int places) {
    uint64_t power = 1;
    for (; places > 0; places--) power *= 10;
    dtci_text_integer(to, digits / power);
    if (power > 1) dtci_text_append(to, ".", 1);
    while (power > 1) {
        char digit;
        digits %= power;
        power /= 10;
        digit = (char)('0' + digits / power);
        dtci_text_append(to, &digit, 1);
    }
}

/* Appends the fewest digits that dtci_read_number reads back to the same float. */
DTCI_COLD void dtci_text_float(dtci_text *to, float value) {
    double magnitude = (double)(value < 0 ? -value : value);
    uint64_t digits = 0, scale;
    int places, e = 0;
    if (value < 0) dtci_text_append(to, "-", 1);
    for (places = 1; places <= 12 && magnitude > 0; places++) { /* places: significant digits */
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
        dtci_text_append(to, e < 0 ? "e-" : "e", e < 0 ? 2 : 1);
        dtci_text_integer(to, (uint64_t)(e < 0 ? -e : e));
    }
}

/* Appends the separator, a key and its value. Appends nothing if the field of the key has its default. */
DTCI_COLD void dtci_key_format(dtci_text *to, const dtci_key *key, const dtc_spec *spec, char separator) {
    const char *field = (const char *)spec + key->offset, *word;
    int words = key->kind == DTCI_KEY_WORD, reals = key->kind == DTCI_KEY_FLOAT || key->kind == DTCI_KEY_OPTIONAL,
        given;
    uint64_t integer = 0;
    dtc_value value;
    float real = 0;
    size_t n;
    if (reals) {
        memcpy(&real, field, sizeof real);
        given = real > 0;
        if (key->kind == DTCI_KEY_OPTIONAL) memcpy(&given, (const char *)spec + key->given, sizeof given);
    } else if (key->kind == DTCI_KEY_VALUE) {
        memcpy(&value, field, sizeof value);
        words = value.type != DTC_TYPE_FP32;
        integer = value.bits ? (uint64_t)(unsigned)value.bits : (uint64_t)(unsigned)value.type;
        given = integer != 0;
    } else {
        integer = dtci_field_get(field, key->bytes);
        given = integer != 0;
        if (key->words[0] == '0') integer = (uint64_t)given; /* any number but 0 is 1 */
        if (key->kind == DTCI_KEY_BITS && integer > (uint64_t)key->high) {
            words = 1;
            integer = 0;
        }
    }
    if (!given) return;
    dtci_text_append(to, &separator, 1);
    dtci_text_append(to, key->name, dtci_length(key->name));
    dtci_text_append(to, "=", 1);
    if (words) {
        word = dtci_word_at(key->words, integer, &n);
        dtci_text_append(to, word, n);
    } else if (reals) {
        dtci_text_float(to, real);
    } else {
        dtci_text_integer(to, key->kind == DTCI_KEY_INVERTED ? 0 : integer);
    }
}

DTCI_API dtc_status dtc_spec_format(const dtc_spec *spec, char *text, size_t capacity) {
    const dtci_codec *codec;
    const dtci_key *key;
    dtci_text to;
    dtc_status status;
    size_t i, name;
    if (!spec || (!text && capacity)) return DTC_ERROR_ARGUMENT;
    if (capacity) text[0] = 0;
    status = dtci_spec_check(spec);
    if (status != DTC_OK) return status;
    codec = dtci_codec_find((unsigned)spec->codec);
    to.text = text;
    to.length = 0;
    to.capacity = capacity;
    name = dtci_length(codec->name);
    dtci_text_append(&to, codec->name, name);
    for (i = 0; (key = dtci_key_at(codec, i)) != NULL; i++)
        dtci_key_format(&to, key, spec, to.length == name ? ':' : ',');
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

/* Every internal macro is undefined here. Only DTCI_IMPLEMENTED stays, so that a second include does not define the
 * functions again. */
#undef DTCI_ALIGN
#undef DTCI_API
#undef DTCI_AVX2
#undef DTCI_AVX2_INLINE
#undef DTCI_CARRY_WORDS
#undef DTCI_CHUNK
#undef DTCI_CLASSES
#undef DTCI_CODECS
#undef DTCI_CODED
#undef DTCI_CODE_BITS
#undef DTCI_CODE_MAX
#undef DTCI_CODE_MOST
#undef DTCI_CODE_WIDTH
#undef DTCI_COLD
#undef DTCI_COMMON_KEYS
#undef DTCI_COUNT_MAX
#undef DTCI_CPU_HAS
#undef DTCI_CRC_ARM
#undef DTCI_CRC_STREAM
#undef DTCI_DOUBLES
#undef DTCI_EACH
#undef DTCI_ENTRY_LONG
#undef DTCI_ENTRY_OPEN
#undef DTCI_FACTOR_MORE
#undef DTCI_FACTOR_NOISE
#undef DTCI_FACTOR_PASSES
#undef DTCI_FACTOR_RANK
#undef DTCI_FACTOR_ROWS
#undef DTCI_FAST_BITS
#undef DTCI_FAST_TOKENS
#undef DTCI_FIELD
#undef DTCI_FLAG_BLOCK
#undef DTCI_FLAG_CHECKSUM
#undef DTCI_FLAG_FEATURES
#undef DTCI_FLAG_ROWS
#undef DTCI_FLAG_SEED
#undef DTCI_FLAG_WORKERS
#undef DTCI_FLOAT_MAX
#undef DTCI_FN
#undef DTCI_FUSED
#undef DTCI_GROUP
#undef DTCI_GROUP_DIRECT
#undef DTCI_HADAMARD
#undef DTCI_HADAMARD_FLOAT
#undef DTCI_HADAMARD_INTEGER
#undef DTCI_HADAMARD_LANES_4
#undef DTCI_HADAMARD_LANES_8
#undef DTCI_HADAMARD_MAX
#undef DTCI_HADAMARD_NEAR
#undef DTCI_HADAMARD_PASS
#undef DTCI_HADAMARD_REFERENCE
#undef DTCI_HADAMARD_TILE
#undef DTCI_HADAMARD_VECTORS
#undef DTCI_INLINE
#undef DTCI_KERNEL
#undef DTCI_LATTICE_ONE
#undef DTCI_LEFT_OUT
#undef DTCI_LOOKUP_BITS
#undef DTCI_MAGIC
#undef DTCI_NO_CODEC
#undef DTCI_OPEN_ALL
#undef DTCI_OPEN_NO_FIELDS
#undef DTCI_OPEN_NO_TOKENS
#undef DTCI_OUTLIERS
#undef DTCI_QUANT_BITS_MAX
#undef DTCI_QUANT_CLASSES
#undef DTCI_QUANT_CODED_BYTES
#undef DTCI_QUANT_CONSTANT
#undef DTCI_QUANT_FIELDS
#undef DTCI_QUANT_HALVES
#undef DTCI_QUANT_LOWEST
#undef DTCI_QUANT_NO_GRIDS
#undef DTCI_QUANT_ONE
#undef DTCI_QUANT_ROTATED
#undef DTCI_QUANT_SHIFTS
#undef DTCI_QUANT_TOKENS
#undef DTCI_QUANT_WIDE
#undef DTCI_RARE
#undef DTCI_RESTRICT
#undef DTCI_RUNS
#undef DTCI_RUN_MAX
#undef DTCI_RUN_SHORT
#undef DTCI_SENSING_BLOCK
#undef DTCI_SENSING_LANES
#undef DTCI_SENSING_PASS
#undef DTCI_SENSING_PASSES
#undef DTCI_SHARED
#undef DTCI_SMALL
#undef DTCI_STREAMS
#undef DTCI_STREAMS_FROM
#undef DTCI_STRIDE_BYTES
#undef DTCI_STRIP
#undef DTCI_SYMBOLS
#undef DTCI_TERNARY_BASE3
#undef DTCI_TERNARY_CHUNK
#undef DTCI_TERNARY_CODED
#undef DTCI_TERNARY_DIGITS
#undef DTCI_TERNARY_FAR
#undef DTCI_TERNARY_FIELDS
#undef DTCI_TERNARY_ROOM
#undef DTCI_TERNARY_TOKENS
#undef DTCI_TERNARY_WIDE
#undef DTCI_TERNARY_WORKERS
#undef DTCI_TERNARY_ZERO
#undef DTCI_TOKENS_HEAD
#undef DTCI_TRITS
#undef DTCI_TWIN
#undef DTCI_VECTORS
#undef DTCI_WEYL
#undef DTCI_WORK_MOST
#undef DTCI_X86

#endif /* implementation */

/* Change log
 *
 * 0.3.0  The enumerators of dtc_type, dtc_entropy and dtc_rounding are named DTC_TYPE_, DTC_ENTROPY_ and DTC_ROUNDING_.
 *        dtc_circulant_vectors is named dtc_circulant_vector_count. The macro DTC_SIMD_FROM is gone.
 *        Every function that reads a payload refuses the packets that dtc_decode refuses; dtc_packet_scale checks what
 *        it changes. Fields and bins above their range, and padding that is not zero, are DTC_ERROR_PAYLOAD.
 *        A sum or a multiple that its type cannot hold is DTC_ERROR_NONFINITE.
 *        dtc_encode_bound and dtc_encode_scratch do not depend on the seed and do not shrink when the count grows. The
 *        scratch grows with the count, so that most short tensors need less.
 *        dtc_encode_residual fits the scales of random and rotated packets to x, so that the residual stays bounded.
 *        rounding=rd, the default of dtc_encode with rate=, has less error at the same bits. The enumerator of the
 *        default is DTC_ROUNDING_AUTO. rate= may be .002, is a ceiling for all values but in packets for sums, and
 *        small packets have the largest values instead of zeros. Values far outside the others are sent apart.
 *        bits=1 decodes to two means. unbiased=0 makes rotated packets with the least squared error. The wire format
 *        has features, which older decoders refuse.
 *        ternary codes the scales of blocks, as quant codes its grids, and sends values far outside the others apart.
 *        min = max is a grid of one bin, so that packets of a tensor of zeros can be added.
 *        For a codec that was left out of the build, dtc_spec_parse returns DTC_ERROR_SPEC_CODEC.
 *        sensing has the key keep: it measures the largest magnitudes only.
 *        dtc_decode_options has max_work: by default a packet of factor is refused whose product would take seconds for
 *        a few bytes. At most as many symbols have a code as there are bins. Outliers decode on big-endian machines.
 *        A message holds all tensors of a model: dtc_message_encode and the other functions of that name.
 *        dtc_message_encode_decoded also replaces the values by what the message decodes to.
 *        dtc_decode_add rounds weight * decoded + value once, as fmaf does. It rounded to double first.
 *        dtc_packet_report tells what a packet makes of its values. dtc_seed, dtc_range, dtc_spec_set_range and
 *        dtc_decode_scratch_bound are new.
 *        A dtc_spec_parse that fails leaves a spec that no encoder takes, not one of raw fp32.
 *        With DTC_STATIC, functions in C++ are inline instead of static, so that a C++20 module can export them.
 * 0.2.0  rotation, factor, sensing and circulant; pairs of bins; sums, multiples and products of packets
 * 0.1.0  raw, ternary and quant; wire version 0
 */
