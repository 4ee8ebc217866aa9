#!/bin/bash
# What dtcodec.h promises to whoever includes it. A line a check.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/header/checks.sh
implementation=tests/header/implement.c

build_and_run() {
    local compiler=$1 program
    program=$(mktemp -p $build)
    shift
    $compiler -std=c99 $warnings -I. "$@" -o "$program" -lm && "$program"
    local code=$?
    rm -f "$program"
    return $code
}

# Two files that use the header; with more options, or with a third file that implements it.
link() {
    local name=$build/link$$-$RANDOM code compiler=$1
    shift
    $compiler $warnings -I. -DNAME=main "$@" -c tests/header/use.c -o "$name-main.o" &&
        $compiler $warnings -I. -DNAME=other "$@" -c tests/header/use.c -o "$name-other.o" &&
        gcc -std=c99 -I. -c tests/header/implement.c -o "$name-implement.o" &&
        if [[ $* == *DTC_STATIC* ]]; then
            $compiler "$name-main.o" "$name-other.o" -o "$name" -lm
        else
            $compiler "$name-main.o" "$name-other.o" "$name-implement.o" -o "$name" -lm
        fi && "$name"
    code=$?
    rm -f "$name" "$name"-*.o
    return $code
}

failed=0
compile_all || failed=1
for compiler in gcc clang; do
    check "no warning: $compiler -O0" compile $compiler:c99 -O0 || failed=1
    check "no warning: $compiler -O2" compile $compiler:c99 -O2 || failed=1
    check "no warning: $compiler -O3 -march=native" compile $compiler:c99 -O3 -march=native || failed=1
    check "no warning: $compiler -O3 -ffast-math" compile $compiler:c99 -O3 -ffast-math || failed=1
    for left_out in '' -DDTC_NO_TERNARY -DDTC_NO_QUANT -DDTC_NO_FACTOR -DDTC_NO_SENSING -DDTC_NO_CIRCULANT \
        '-DDTC_NO_TERNARY -DDTC_NO_QUANT -DDTC_NO_FACTOR -DDTC_NO_SENSING -DDTC_NO_CIRCULANT'; do
        # shellcheck disable=SC2086 # a list of options
        check "codecs left out: $compiler ${left_out:-none}" build_and_run $compiler $left_out tests/header/left_out.c ||
            failed=1
    done
    check "two files that use it and one that implements it: $compiler" link $compiler -std=c99 || failed=1
    check "DTC_STATIC in two files: $compiler" link $compiler -std=c99 -DDTC_STATIC || failed=1
    check "included twice, with the implementation: $compiler" build_and_run $compiler tests/header/twice.c || failed=1
    check "NaN and infinity are refused: $compiler -O3 -ffast-math" \
        build_and_run $compiler -O3 -ffast-math tests/header/nonfinite.c || failed=1
    for level in -O0 -O2; do
        object=$build/$compiler$level.o
        rm -f "$object"
        # without hardening, which is not the header's and imports functions of its own
        $compiler -std=c99 $level -fno-stack-protector -U_FORTIFY_SOURCE -I. -c tests/header/implement.c -o "$object"
        check "exports dtc_ only: $compiler $level" exports "$object" dtc_encode || failed=1
        check "imports memcpy, memset, memmove, memcmp and libm only: $compiler $level" imports "$object" || failed=1
        check "no writable data: $compiler $level" no_writable_data "$object" || failed=1
    done
    check "no macro left behind by the declarations: $compiler" \
        macros_left $compiler '' dtcodec.h stddef.h stdint.h || failed=1
    check "no macro left behind by the implementation: $compiler" \
        macros_left $compiler -DDTCODEC_IMPLEMENTATION dtcodec.h stddef.h stdint.h float.h math.h string.h || failed=1
done
for compiler in g++ clang++; do
    check "no warning: $compiler -O2" compile $compiler:c++17 -O2 || failed=1
    check "C++ files that use it and a C file that implements it: $compiler" link $compiler -x c++ || failed=1
    check "DTC_STATIC in two C++ files: $compiler" link $compiler -x c++ -DDTC_STATIC || failed=1
done

if echo 'int main(void) { return 0; }' | gcc -m32 -x c - -o $build/m32 2>/dev/null; then
    check "no warning: gcc -m32" compile gcc:c99 -O2 -m32 || failed=1
else
    echo "# no 32-bit libraries here; make cross installs them"
fi
exit $failed
