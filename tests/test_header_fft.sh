#!/bin/bash
# Checks what dtcodec_fft.h promises to whoever includes it, on KissFFT's library and on its sources.
# Prints one line for each check.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/header/checks.sh
implementation=tests/header/implement_fft.c
sources="-DDTCODEC_FFT_KISSFFT_SOURCES -I${KISSFFT:?comes from the Makefile: run by make check}"

# link COMPILER OPTION...: two files that use the header, static in both, or with a third that implements it
link() {
    local name=$build/link$BASHPID code compiler=$1 function objects=() libraries=(-lkissfft-float -lm)
    shift
    for function in main other; do
        $compiler $warnings -I. "$@" -DNAME=$function -c tests/header/use_fft.c -o "$name-$function.o" || return 1
        objects+=("$name-$function.o")
    done
    if [[ $* != *DTC_STATIC* ]]; then
        gcc -std=c99 -I. "${@:2}" -c $implementation -o "$name-implementation.o" || return 1
        objects+=("$name-implementation.o" "$build/dtcodec.o")
    fi
    [[ $* != *KISSFFT_SOURCES* ]] || libraries=(-lm)
    $compiler "${objects[@]}" -o "$name" "${libraries[@]}" && "$name"
    code=$?
    rm -f "$name" "$name"-*.o
    return $code
}

# object NAME COMPILER OPTION...: the implementation, in a file for the checks below
object() { $2 -std=c99 -O2 -fno-stack-protector -U_FORTIFY_SOURCE -I. "${@:3}" -c $implementation -o "$build/$1.o"; }

gcc -std=c99 -I. -c tests/header/implement.c -o $build/dtcodec.o
for compiler in gcc clang; do
    start object $compiler $compiler
    # shellcheck disable=SC2086 # a list of options
    start object $compiler-sources $compiler $sources
done
wait

for options in '' "$sources"; do
    name=${options:+ on sources}
    # shellcheck disable=SC2086 # lists of options
    {
        compile_all $options
        for compiler in gcc clang; do
            for more in -O0 -O2 '-O3 -march=native' '-O3 -ffast-math' '-O2 -mavx2 -DDTCODEC_FFT_LANES=16'; do
                check "no warning: $compiler $more$name" compile $compiler:c99 $more $options
            done
            check "no warning: $compiler -std=gnu17 -O3 -march=native$name" \
                compile $compiler:gnu17 -O3 -march=native $options
            check "two files that use it, and one that implements it: $compiler$name" \
                link $compiler -std=c99 $options
            check "DTC_STATIC in two files: $compiler$name" link $compiler -std=c99 -DDTC_STATIC $options
            object=$build/$compiler${options:+-sources}.o
            check "exports dtc_ only: $compiler$name" exports $object dtc_circulant_forward
            check "no writable data: $compiler$name" no_writable_data $object
            others=(dtc_inspect dtc_circulant_vector_count dtc_decode_circulant dtc_packet_matvec
                dtc_packet_matvec_scratch)
            [ -n "$options" ] || others+=(kiss_fftr kiss_fftri kiss_fftr_alloc)
            check "imports memcpy, memset, memmove, memcmp, libm, __cpu_model, ${others[*]} only: $compiler$name" \
                imports $object "${others[@]}"
        done
        for compiler in g++ clang++; do
            check "DTC_STATIC in two C++ files: $compiler$name" link $compiler -x c++ -DDTC_STATIC $options
        done
    }
done

own=(stddef.h stdint.h float.h limits.h math.h stdio.h stdlib.h string.h)
for compiler in gcc clang; do
    check "no macro left behind by the declarations: $compiler" \
        macros_left $compiler '' dtcodec_fft.h stddef.h stdint.h
    check "no macro but KissFFT's left behind by the implementation: $compiler" macros_left $compiler \
        -DDTCODEC_FFT_IMPLEMENTATION dtcodec_fft.h "${own[@]}" kissfft/kiss_fftr.h
    check "no macro left behind by the implementation, on sources: $compiler" macros_left $compiler \
        "-DDTCODEC_FFT_IMPLEMENTATION $sources" dtcodec_fft.h "${own[@]}"
done

if echo 'int main(void) { return 0; }' | gcc -m32 -x c - -o $build/m32 2>/dev/null; then
    check "no warning: gcc -m32" compile gcc:c99 -O2 -m32
    # shellcheck disable=SC2086 # a list of options
    check "no warning: gcc -m32 on sources" compile gcc:c99 -O2 -m32 -msse2 -mfpmath=sse $sources
else
    skip "no warning: gcc -m32" "no 32-bit libraries here; make cross installs them"
fi
finish
