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
    ! grep '#include' examples/minimal.c | grep -vxE '#include ("dtcodec\.h"|<(stdio|stdlib)\.h>)'
}

builds_alone() {
    gcc -std=c99 -pedantic-errors -Wall -Wextra -Werror -O1 -I. examples/minimal.c -o "$work/minimal" -lm
}

# Fields of 4 bits would take an eighth of the floats' bytes. Raw fp32 ends at the same error.
runs() {
    "$work/minimal" >"$work/log"
    local code=$?
    cat "$work/log"
    [ $code -eq 0 ] && awk '
        /^step +0:/ {first = $NF}
        /^step +200:/ {last = $NF; steps = 1}
        /^sent / {sent = $2; floats = $6}
        END {exit !(NR == 6 && steps && first > 1 && last < 1e-4 && floats == 1624080 && sent > 0 && sent < floats / 8)}' \
        "$work/log"
}

# The program is changed so that the first message arrives with 990 values in place of 1000.
refuses_another_count() {
    sed 's|check(dtc_message_decode_add|((unsigned char *)message)[4] = 0xde, &|' examples/minimal.c \
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
check "minimal sends less than an eighth of the bytes, and learns" runs
check "minimal refuses a message of another count" refuses_another_count
exit $failed
