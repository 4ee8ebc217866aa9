#!/bin/bash
# Whatever compiles dtcodec.h, packets and values have the same bits. A line a check.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/header/checks.sh

# digest_of NAME COMPILER...: what the build NAME of the digest writes, and what it reads from the file it wrote and
# from the plain build's.
digest() {
    local name=$build/digest-$1
    shift
    "$@" -I. tests/header/digest.c -o "$name" -lm && "$name" write "$name.packets" &&
        "$name" read $build/digest-plain.packets >"$name.read"
}
same_packets() { digest "$@" && cmp $build/digest-plain.packets "$build/digest-$1.packets"; }
same_values() { diff $build/digest-plain.read "$build/digest-$1.read"; }

failed=0
gcc -O2 -I. tests/header/digest.c -o $build/digest-plain -lm && $build/digest-plain write $build/digest-plain.packets
check "packets are written and read" digest plain gcc -O2 || failed=1
while read -r name command; do
    # shellcheck disable=SC2086 # a list of options
    check "the same packets: $command" same_packets "$name" $command || failed=1
    check "the same values: $command" same_values "$name" || failed=1
done <<'END'
gcc-O0 gcc -O0
gcc-fast gcc -O3 -ffast-math
gcc-native gcc -O3 -march=native
clang-O2 clang -O2
clang-fast clang -O3 -ffast-math
clang-native clang -O3 -march=native
END
exit $failed
