#!/bin/bash
# Packets and values on a little-endian and on a big-endian machine, under qemu: the short form of `make cross`.
set -u
here=$(dirname "$0")
"$here/cross.sh" aarch64/gcc/O2 s390x/gcc/O2 | sed 's/^ok \(cross [^:]*\): none: \(.*\)/ok \1 # SKIP \2/'
exit "${PIPESTATUS[0]}"
