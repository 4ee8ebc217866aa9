/* floats TYPE SHAPE C|F: prints an array's elements as a file holds them. TYPE is f2, bf, f4 or f8 after < or >; SHAPE
 * is "2,3,4", for example; F lets the first index run fastest. Element i in C order is (37 i mod 129 - 64) / 16, which
 * every type holds exactly. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 8 };

/* Returns the bits of a type of so many bits of exponent and mantissa, for a number that it holds exactly. */
static uint64_t bits_of(double value, int exponent_bits, int mantissa_bits) {
    int exponent;
    double fraction = frexp(fabs(value), &exponent); /* 0.5 <= fraction < 1 */
    if (value == 0) return 0;
    uint64_t sign = value < 0, bias = (UINT64_C(1) << (exponent_bits - 1)) - 1;
    uint64_t mantissa = (uint64_t)ldexp(2 * fraction - 1, mantissa_bits);
    uint64_t biased = bias + (uint64_t)(int64_t)(exponent - 1);
    return sign << (exponent_bits + mantissa_bits) | biased << mantissa_bits | mantissa;
}

static void print_element(const char *type, size_t number) {
    double value = ((double)(number * 37 % 129) - 64) / 16;
    int size = type[1] == 'b' ? 2 : type[2] - '0';
    uint64_t bits = type[1] == 'b' ? bits_of(value, 8, 7)
                    : size == 2    ? bits_of(value, 5, 10)
                    : size == 4    ? bits_of(value, 8, 23)
                                   : bits_of(value, 11, 52);
    for (int i = 0; i < size; i++) putchar((int)(bits >> 8 * (type[0] == '<' ? i : size - 1 - i) & 255));
}

int main(int argc, char **argv) {
    size_t shape[MOST], dimensions = 0, count = 1;
    if (argc != 4) return 2;
    for (char *at = strtok(argv[2], ","); at && dimensions < MOST; at = strtok(NULL, ",")) {
        shape[dimensions] = strtoul(at, NULL, 10);
        count *= shape[dimensions++];
    }
    for (size_t i = 0; i < count; i++) {
        size_t rest = i, number = 0, stride = count;
        if (argv[3][0] == 'C') number = i;
        for (size_t d = 0; d < dimensions && argv[3][0] == 'F'; d++) {
            stride /= shape[d];
            number += rest % shape[d] * stride;
            rest /= shape[d];
        }
        print_element(argv[1], number);
    }
    return ferror(stdout) != 0;
}
