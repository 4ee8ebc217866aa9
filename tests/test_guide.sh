#!/bin/bash
# examples/YOUR_TRAINER.md: its C blocks are a program that compiles without a warning and trains, and its figures hold.
set -u
cd "$(dirname "$0")/.." || exit 1
work=build/test_guide
rm -rf "$work"
mkdir -p "$work"
. tests/check.sh
guide=examples/YOUR_TRAINER.md
left_out='-DDTC_NO_FACTOR -DDTC_NO_SENSING -DDTC_NO_CIRCULANT'

is_short() {
    wc -lL $guide
    [ "$(wc -l <$guide)" -le 150 ] && [ "$(wc -L <$guide)" -le 120 ]
}

# All blocks but those of other languages, which have no "c" after the fence; there must be one for each step and more.
extract() {
    awk '/^```/ {inside = $0 == "```c"; n += inside; next} inside; END {exit n < 6}' $guide >"$work/guide.c" &&
        cat "$work/guide.c" tests/guide/workers.c >"$work/workers.c"
}

# compile COMPILER...: the guide alone has no missing declaration and no warning either
compile() {
    "$@" ${WARNINGS:?comes from the Makefile} -I. -fsyntax-only "$work/guide.c"
}

builds_workers() {
    # shellcheck disable=SC2086 # lists of options
    gcc -std=c99 -D_POSIX_C_SOURCE=200809L $WARNINGS $left_out -O0 -I. "$work/workers.c" -o "$work/workers" -lm
}

builds_figures() {
    # shellcheck disable=SC2086 # a list of options
    gcc -std=c99 $WARNINGS -O1 -I. tests/guide/figures.c "${LIBRARY:?comes from the Makefile}" -o "$work/figures" -lm
}

# figure NAME NUMBER...: the program prints the numbers that the guide has
figure() {
    local number
    "$work/figures" "$1" >"$work/$1.log"
    local code=$?
    cat "$work/$1.log"
    [ $code -eq 0 ] || return 1
    for number in "${@:2}"; do
        grep -q -- "$number" "$work/$1.log" || return 1
    done
}

check "the guide has at most 150 lines, of at most 120 characters" is_short
check "the guide has C blocks" extract
check "the blocks compile: gcc" compile gcc -std=c99
check "the blocks compile: clang" compile clang -std=c11
check "the blocks compile: g++" compile g++ -std=c++11 -x c++
check "the program compiles" builds_workers
for spec in quant:bits=4 ternary:block=512; do
    check "three workers train, and their replicas are equal: $spec" "$work/workers" $spec
done
check "the figures compile" builds_figures
check "figures: seeds" figure seeds 'one seed .* 0\.859' 'seeds 1, .* 0\.04' 'dtc_seed.* 0\.04'
check "figures: the learning rate" figure rate 'multiply.* 6\.[6-9]e-04' 'encode rate.* 6\.[3-7]e-08'
check "figures: tensors of different scales" figure tensors 'quant  *one array  *3\.2.* 0\.22' \
    'quant  *message  *3\.5.* 0\.01' 'rate=1  *one array .* error 0\.02' 'rate=1  *message .* error 0\.33'
check "figures: trapped exceptions" figure traps 'without .* yes' 'with .* no'
exit $failed
