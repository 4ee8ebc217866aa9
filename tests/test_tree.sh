#!/bin/bash
# What the source tree promises: its layout, its formatting, the README's first program, and what is installed.
set -u
cd "$(dirname "$0")/.." || exit 1
mkdir -p build/tree
. tests/check.sh

top_level() {
    ! find . -maxdepth 1 -not -name '.*' -printf '%f\n' |
        grep -vxE 'dtcodec\.h|dtcodec_fft\.h|examples|tests|fuzz|Makefile|README\.md|LICENSE|build'
}

readme_program() {
    awk '/^```/ {if (inside) exit; inside = $0 == "```c"; next} inside' README.md >build/tree/readme.c
    [ -s build/tree/readme.c ] && gcc -std=c99 $WARNINGS -I. build/tree/readme.c -o build/tree/readme -lm &&
        build/tree/readme
}

installs() {
    rm -rf build/tree/installed
    make -s install DESTDIR=build/tree/installed PREFIX=/usr &&
        for header in dtcodec.h dtcodec_fft.h; do
            cmp $header build/tree/installed/usr/include/$header || return 1
        done
}

# a compiler without any header stands for a machine without packages
without_packages() {
    rm -rf build/tree/bare
    ! make -s B=build/tree/bare CC="${CC:-cc} -nostdinc" >build/tree/bare.log 2>/dev/null &&
        grep -q "^[a-z/]*\.h is not here. Run 'make setup'" build/tree/bare.log &&
        [ "$(wc -l <build/tree/bare.log)" = 1 ]
}

check "the top level holds nothing else" top_level
check "sources are formatted" make -s format-check
check "the README's first program compiles and runs" readme_program
check "make install installs the headers" installs
check "make says what to do where packages are missing" without_packages
exit $failed
