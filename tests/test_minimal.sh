#!/bin/bash
# examples/minimal.c: it is short, needs nothing but dtcodec.h and standard C99, and does what it prints.
set -u
cd "$(dirname "$0")/.." || exit 1
work=$(mktemp -d build/test_minimal_XXXXXX)
trap 'rm -rf "$work"' EXIT
. tests/check.sh

is_short() {
    wc -l examples/minimal.c
    [ "$(wc -l <examples/minimal.c)" -le 60 ]
}

includes_only_the_header() {
    ! grep '#include' examples/minimal.c | grep -vxE '#include ("dtcodec\.h"|<(math|stdio|stdlib)\.h>)'
}

builds_alone() {
    gcc -std=c99 -pedantic-errors -Wall -Wextra -Werror -O1 -I. examples/minimal.c -o "$work/minimal" -lm
}

# Fields of 4 bits would take an eighth of the floats' bytes. The error of the sum was measured: 0.055 with residuals and
# 0.091 without.
runs() {
    "$work/minimal" >"$work/log"
    local code=$?
    cat "$work/log"
    [ $code -eq 0 ] && awk '
        /^sent / {sent = $2; floats = $6}
        /^relative error / {error = $NF}
        END {exit !(NR == 2 && floats == 1272320 && sent > 0 && sent < floats / 8 && error > 0 && error < 0.07)}' "$work/log"
}

# The program is changed so that the first packet arrives with another count than the receiver has.
refuses_another_count() {
    sed 's|receive_message(message, bytes);|message[4] ^= 1, receive_message(message, bytes);|' examples/minimal.c \
        >"$work/changed.c"
    cmp -s examples/minimal.c "$work/changed.c" && return 1
    gcc -std=c99 -O0 -I. "$work/changed.c" -o "$work/changed" -lm || return 1
    "$work/changed" 2>"$work/log" && return 1
    cat "$work/log"
    grep -q '^minimal: count is not' "$work/log"
}

check "minimal.c has at most 60 lines" is_short
check "minimal.c includes dtcodec.h and the standard library alone" includes_only_the_header
check "minimal.c builds without warnings, by itself" builds_alone
check "minimal sends less than an eighth of the bytes, and the sum is near" runs
check "minimal refuses a packet of another count" refuses_another_count
exit $failed
