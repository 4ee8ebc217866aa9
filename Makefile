# dtcodec: `make help` lists the targets. Build products go under build/ only.

CC ?= cc
CXX ?= c++
CLANG ?= clang
OPTIMIZE ?= -O2
WARNINGS := -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wundef -Wdouble-promotion -Wcast-align \
            -Werror
C_WARNINGS := $(WARNINGS) -Wc++-compat -Wstrict-prototypes -Wmissing-prototypes
CFLAGS ?= $(OPTIMIZE) -g
BASE_CFLAGS := -std=c99 -D_POSIX_C_SOURCE=200809L $(C_WARNINGS) -I. $(CFLAGS)

HEADERS := dtcodec.h
COMMON := $(wildcard examples/common/*.c)
COMMON_OBJECTS := $(patsubst examples/%.c,build/examples/%.o,$(COMMON))
COMMON_LIBRARY := build/examples/libcommon.a
COMMON_HEADERS := $(wildcard examples/common/*.h)
EXAMPLES := $(patsubst examples/%.c,build/examples/%,$(wildcard examples/*.c))
TESTS := $(patsubst tests/%.c,build/tests/%,$(wildcard tests/test_*.c))

all: examples

examples: $(EXAMPLES)

# -O3 for the codecs and the net; no fused multiply-add, so that replicas on different machines compute the same bits
build/examples/common/%.o: examples/common/%.c $(COMMON_HEADERS) $(HEADERS)
	@mkdir -p $(@D)
	$(CC) $(BASE_CFLAGS) -O3 -ffp-contract=off -c $< -o $@

$(COMMON_LIBRARY): $(COMMON_OBJECTS)
	@rm -f $@
	ar rcs $@ $^

build/examples/%: examples/%.c $(COMMON_LIBRARY)
	@mkdir -p $(@D)
	$(CC) $(BASE_CFLAGS) $< $(COMMON_LIBRARY) -o $@ -lopenblas -lz -lm

build/tests/%: tests/%.c $(wildcard tests/*.h) $(COMMON_LIBRARY) $(COMMON_HEADERS) $(HEADERS)
	@mkdir -p $(@D)
	$(CC) $(BASE_CFLAGS) $< $(COMMON_LIBRARY) -o $@ -lcmocka -lopenblas -lz -lm

.PHONY: all examples
