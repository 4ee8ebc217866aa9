#!/bin/bash
# Packets and values must be the same on a big-endian and on a 32-bit machine, and the fuzz corpora pass there.
set -u
cd "$(dirname "$0")/.." || exit 1
build=build/cross
mkdir -p $build
failed=0

result() { # CODE NAME
    [ "$1" -eq 0 ] && echo "ok $2" && return
    echo "not ok $2"
    failed=1
}

gcc -O2 -I. -c tests/header/implement.c -o $build/native.o &&
    gcc -O2 -I. tests/header/digest.c $build/native.o -o $build/native -lm &&
    $build/native write $build/native.packets &&
    $build/native read $build/native.packets >$build/native.read
result $? "packets are written and read natively"

# NAME COMPILER... -- RUNNER...
compare() {
    local name=$1 compiler=()
    shift
    while [ "$1" != -- ]; do compiler+=("$1") && shift; done
    shift
    # shellcheck disable=SC2086 # a list of options
    "${compiler[@]}" -std=gnu17 $WARNINGS -O2 -I. -c tests/header/implement.c -o "$build/$name.o"
    result $? "$name: no warning"
    "${compiler[@]}" -O2 -I. tests/header/digest.c "$build/$name.o" -o "$build/$name" -lm &&
        "$@" "$build/$name" write "$build/$name.packets" && cmp $build/native.packets "$build/$name.packets"
    result $? "$name: the same packets"
    "$@" "$build/$name" read $build/native.packets | diff $build/native.read -
    result $? "$name: the same values"
    RUNNER=$* B=build/$name tests/test_replay.sh | sed "s/^\(ok\|not ok\) /&$name: /"
    [ "${PIPESTATUS[0]}" -eq 0 ] || failed=1
}

# The file is only compiled for a Cortex-M4: its enums are as short as they can be.
# shellcheck disable=SC2086 # a list of options
arm-none-eabi-gcc -mcpu=cortex-m4 -mthumb -std=c99 $WARNINGS -Os -isystem /usr/include/newlib -I. \
    -c tests/header/implement.c -o $build/arm.o
result $? "arm: no warning"

compare s390x s390x-linux-gnu-gcc -static -- "$(command -v qemu-s390x-static || command -v qemu-s390x)"
compare i386 gcc -m32 -- env
exit $failed
