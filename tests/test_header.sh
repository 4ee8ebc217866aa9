#!/bin/bash
# Checks what dtcodec.h promises to whoever compiles it: no warnings, few symbols, and packets and values of the same
# bits. Prints one line for each check.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/header/checks.sh
implementation=tests/header/implement.c
# Hardening is the compiler's, not the header's, and imports functions of its own.
bare='-fno-stack-protector -U_FORTIFY_SOURCE'
codecs=(TERNARY QUANT FACTOR SENSING CIRCULANT)

# object NAME COMPILER:STANDARD OPTION...: the implementation, in a file for the checks below
object() {
    # shellcheck disable=SC2086 # a list of options
    compile_to "$build/$1.o" $implementation "${@:2}" $bare
}

# build_and_run NAME COMPILER OPTION... FILE...
build_and_run() {
    local program=$build/program-$1 compiler=$2
    shift 2
    $compiler -std=c99 $warnings -I. "$@" -o "$program" -lm && "$program"
}

# link COMPILER OPTION...: two files that use the header, and a third that implements it if it is not static
link() {
    local name=$build/link$BASHPID code compiler=$1 implemented=$build/gcc-O0.o
    shift
    [[ $* != *DTC_STATIC* ]] || implemented=
    # shellcheck disable=SC2086 # a list of files
    $compiler $warnings -I. -DNAME=main "$@" -c tests/header/use.c -o "$name-main.o" &&
        $compiler $warnings -I. -DNAME=other "$@" -c tests/header/use.c -o "$name-other.o" &&
        $compiler "$name-main.o" "$name-other.o" $implemented -o "$name" -lm && "$name"
    code=$?
    rm -f "$name" "$name"-*.o
    return $code
}

# digest NAME OPTION...: what the object of that name writes, and what it reads from the packets that gcc-O2 wrote
digest() {
    local program=$build/digest-$1
    gcc -std=c99 -I. "${@:2}" tests/header/digest.c "$build/$1.o" -o "$program" -lm &&
        "$program" write "$program.packets"
}
same_packets() { digest "$@" && cmp $build/digest-gcc-O2.packets "$build/digest-$1.packets"; }
same_values() {
    "$build/digest-$1" read $build/digest-gcc-O2.packets >"$build/digest-$1.read" &&
        diff $build/digest-gcc-O2.read "$build/digest-$1.read"
}
digests_agree() {
    check_now "the same packets as gcc-O2: $1" same_packets "$@"
    check_now "the same values as gcc-O2: $1" same_values "$1"
}

no_vectors() {
    local text
    text=$($1 -DDTC_NO_SIMD -I. -E $implementation) && [ -n "$text" ] && ! grep -nE 'vector_size|"avx2"' <<<"$text"
}

# the bytes of an object's code and constants
text_bytes() { size "$1" | awk 'NR == 2 {print $1}'; }
# check_size COMPILER OBJECT MOST
check_size() {
    local bytes
    bytes=$(text_bytes "$2")
    check_now "the size of the object of $1: $bytes bytes, at most $3" test "${bytes:-$3$3}" -le "$3"
}

# ---- Objects, the slowest first. gnu17 lets gcc fuse a multiplication and an addition, and c99 does not.

check "no warning: gcc -O3 -ffast-math" object gcc-fast gcc:gnu17 -O3 -ffast-math
check "no warning: gcc -O3 -march=native" object gcc-native gcc:gnu17 -O3 -march=native
check "no warning: gcc -O2" object gcc-O2 gcc:c99 -O2
check "no warning: gcc -O2 -DDTC_NO_MESSAGES" object gcc-codecs gcc:c99 -O2 -DDTC_NO_MESSAGES
check "no warning: clang -O3 -ffast-math" object clang-fast clang:gnu17 -O3 -ffast-math
check "no warning: clang -O2" object clang-O2 clang:c99 -O2
check "no warning: gcc -O2 -DDTC_NO_SIMD" object gcc-plain gcc:c99 -O2 -DDTC_NO_SIMD
check "no warning: clang -O3 -march=native" object clang-native clang:gnu17 -O3 -march=native
check "no warning: g++ -O2" compile g++:c++17 -O2
check "no warning: clang++ -O2" compile clang++:c++17 -O2
check "no warning: x86_64-w64-mingw32-gcc -O2" compile x86_64-w64-mingw32-gcc:c99 -O2
if echo 'int main(void) { return 0; }' | gcc -m32 -x c - -o $build/m32 2>/dev/null; then
    check "no warning: gcc -m32" compile gcc:c99 -O2 -m32
else
    skip "no warning: gcc -m32" "no 32-bit libraries here; make cross installs them"
fi
check "no warning: clang for a Cortex-M4" compile clang:c99 --target=thumbv7em-none-eabi -mcpu=cortex-m4 -Os \
    -isystem /usr/include/newlib
check "no warning: x86_64-w64-mingw32-gcc -O0" compile x86_64-w64-mingw32-gcc:c99 -O0
check "no warning: behind windows.h" try tests/header/windows.c x86_64-w64-mingw32-gcc:c99 -O0
check "no warning: gcc -O0" object gcc-O0 gcc:c99 -O0
check "no warning: clang -O0" object clang-O0 clang:c99 -O0
check "no warning: gcc -fshort-enums" object gcc-short-enums gcc:c99 -O0 -fshort-enums
check "no warning: clang -O0 -DDTC_NO_SIMD" object clang-plain clang:c99 -O0 -DDTC_NO_SIMD
compile_all
wait

# ---- Checks of the objects, and of small programs

check_now "packets are written and read" digest gcc-O2
$build/digest-gcc-O2 read $build/digest-gcc-O2.packets >$build/digest-gcc-O2.read
for name in gcc-O0 gcc-fast gcc-native gcc-plain clang-O0 clang-O2 clang-fast clang-native clang-plain; do
    start digests_agree $name
done
start digests_agree gcc-short-enums -fshort-enums
for compiler in gcc clang; do
    for left_out in '' "${codecs[@]/#/-DDTC_NO_}" "${codecs[*]/#/-DDTC_NO_}"; do
        # shellcheck disable=SC2086 # a list of options
        check "codecs left out: $compiler ${left_out:-none}" \
            build_and_run "left-out-$compiler${left_out// /}" $compiler $left_out tests/header/left_out.c
    done
    check "two files that use it and one that implements it: $compiler" link $compiler -std=c99
    check "DTC_STATIC in two files: $compiler" link $compiler -std=c99 -DDTC_STATIC
    check "included twice, with the implementation: $compiler" \
        build_and_run twice-$compiler $compiler tests/header/twice.c
    check "NaN and infinity are refused: $compiler -O3 -ffast-math" build_and_run nonfinite-$compiler $compiler \
        -O3 -ffast-math tests/header/nonfinite.c $build/$compiler-fast.o
    for level in O0 O2; do
        object=$build/$compiler-$level.o
        check "exports dtc_ only: $compiler -$level" exports $object dtc_encode
        check "imports memcpy, memset, memmove, memcmp, libm and __cpu_model only: $compiler -$level" imports $object
        check "no writable data: $compiler -$level" no_writable_data $object
    done
    check "no vectors with DTC_NO_SIMD: $compiler" no_vectors $compiler
    check "no macro left behind by the declarations: $compiler" \
        macros_left $compiler '' dtcodec.h stddef.h stdint.h
    check "no macro left behind by the implementation: $compiler" \
        macros_left $compiler -DDTCODEC_IMPLEMENTATION dtcodec.h stddef.h stdint.h float.h math.h string.h
    check "DTC_STATIC as 1: $compiler" \
        try tests/header/configured.c $compiler:c99 -fsyntax-only -DDTC_STATIC=1
    for macro in "${codecs[@]/#/DTC_NO_}" DTC_NO_SIMD DTC_NO_MESSAGES; do
        check "$macro as 1: $compiler" try tests/header/configured.c $compiler:c99 -fsyntax-only \
            -DDTCODEC_IMPLEMENTATION=1 -D$macro=1
    done
done
for compiler in g++ clang++; do
    check "C++ files that use it and a C file that implements it: $compiler" link $compiler -x c++
    check "DTC_STATIC in two C++ files: $compiler" link $compiler -x c++ -DDTC_STATIC
done
for compiler in gcc:c99 clang:c99 g++:c++17 clang++:c++17; do
    check "macros of many platforms: ${compiler/:/ }" \
        try tests/header/hostile.c $compiler -fsyntax-only
done
check "a C++20 module: clang++" clang++ -std=c++20 -I. --precompile tests/header/codec.cppm -o $build/codec.pcm

if [ "$(gcc -dumpmachine)" = x86_64-linux-gnu ]; then
    check_size "gcc -O2 -DDTC_NO_MESSAGES" $build/gcc-codecs.o 200000
    check_size "gcc -O2" $build/gcc-O2.o 210000
    # the library of the examples is compiled with -O3
    ar p "${LIBRARY:?comes from the Makefile}" dtcodec.o >$build/library.o
    if readelf -p .comment $build/library.o | grep -q GCC; then
        check_size "gcc -O3" $build/library.o 380000
    else
        skip "the size of the object of gcc -O3" "the library was compiled by another compiler"
    fi
fi
finish
