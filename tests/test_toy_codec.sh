#!/bin/bash
# A new codec needs the codec interface alone: a copy of dtcodec.h gets the toy codec of tests/toy by three insertions,
# an enumerator, a room and a row. The toy then works by all public functions, and the other codecs work as before.
set -u
cd "$(dirname "$0")/.." || exit 1
build=build/toy
warnings="${WARNINGS:?comes from the Makefile: run by make check} -Wc++-compat -Wstrict-prototypes -Wmissing-prototypes"
mkdir -p $build
rm -f $build/*
. tests/check.sh

# once PATTERN: the number of the line of dtcodec.h that holds the only match
once() {
    local lines
    lines=$(grep -no -- "$1" dtcodec.h | cut -d : -f 1)
    if [ "$(wc -w <<<"$lines")" -ne 1 ]; then
        echo "dtcodec.h has $(wc -w <<<"$lines") matches, not one, of the marker: $1" >&2
        return 1
    fi
    echo "$lines"
}

# The room goes before the line that opens the banner.
insert() {
    local enumerator banner row
    enumerator=$(once '\<DTC_CIRCULANT = [0-9]') && banner=$(once '^ \* Table of codecs$') &&
        row=$(once '&dtci_circulant_codec\>') || return 1
    sed -e "${enumerator}s/DTC_CIRCULANT = [0-9]*/&, DTC_SIGNS = 6/" \
        -e "$((banner - 2))r tests/toy/room.h" \
        -e "${row}s/&dtci_circulant_codec/&, \\&dtci_signs_codec/" dtcodec.h >$build/dtcodec.h
}

compile() {
    local name=$1
    # shellcheck disable=SC2086 # a list of options
    gcc -std=c99 -D_POSIX_C_SOURCE=200809L $warnings -O1 -I$build -I. "${@:2}" -o "$build/$name" -lcmocka -lm
}

check "three insertions add the toy codec to a copy of dtcodec.h" insert || exit 1
check "the toy codec compiles without warnings" compile toy tests/toy/toy.c &&
    CMOCKA_MESSAGE_OUTPUT=TAP $build/toy || failed=1
check "the example packets of dtcodec.h and tests/golden compile with the copy" \
    compile golden -O0 -DDTC_STATIC tests/test_golden.c &&
    check "the example packets decode as before" $build/golden || failed=1
exit $failed
