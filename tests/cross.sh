#!/bin/bash
# Whether packets and values are the same on other machines, as a table: a row is a machine and a compiler, a column is
# a level of optimization. A cell encodes and decodes the packets of tests/header/digest.c and the golden packets, and
# compares with what gcc -O2 gives here. A cell holds one of
#     same                   the same packets and the same values
#     values same, N coded   the same values of the same packets; the encoder made N packets otherwise, which the manual
#                            allows where a compiler fuses or reorders operations
#     DIFFERS: WHAT          a fault
#     none: REASON           the cell could not run
# cross.sh [MACHINE/COMPILER/LEVEL]... fills these cells alone, LEVEL being O0, O2 or fast.
set -u
cd "$(dirname "$0")/.." || exit 1
build=build/cross
machines=(aarch64 armhf i386 i386-x87 s390x ppc64el riscv64 windows wasm wasm-simd bare-arm926 bare-cortex-a8)
compilers=(gcc clang)
levels=(O0 O2 fast)
declare -A options=([O0]=-O0 [O2]=-O2 [fast]='-O3 -ffast-math')

# linux TRIPLET RUNNER OPTION...: the commands for a Linux that qemu runs; an empty runner for this processor
linux() {
    gcc="$1-gcc ${*:3}" clang="clang --target=$1 ${*:3}" link="$1-gcc -static ${*:3}" run=$2
}

# bare OPTION...: the commands for an ARM without a system; newlib reads the host's files by semihosting
bare() {
    gcc="arm-none-eabi-gcc $*" link="arm-none-eabi-gcc $* --specs=rdimon.specs" run=qemu-arm-static
    clang="clang --target=arm-none-eabi $* -isystem /usr/include/newlib"
}

# machine NAME: sets the commands gcc, clang, link and run; `why` says why one is empty
machine() {
    why=
    case $1 in
    aarch64) linux aarch64-linux-gnu qemu-aarch64-static ;;
    armhf) linux arm-linux-gnueabihf qemu-arm-static ;;
    i386) linux i686-linux-gnu '' -msse2 -mfpmath=sse ;;
    i386-x87) linux i686-linux-gnu '' -mno-sse ;;
    s390x) linux s390x-linux-gnu qemu-s390x-static ;;
    ppc64el) linux powerpc64le-linux-gnu qemu-ppc64le-static ;;
    riscv64) linux riscv64-linux-gnu qemu-riscv64-static ;;
    windows)
        gcc=x86_64-w64-mingw32-gcc clang='clang --target=x86_64-w64-mingw32'
        link='x86_64-w64-mingw32-gcc -static' run=wine
        ;;
    wasm | wasm-simd)
        # shellcheck disable=SC2034 # read by its name
        gcc='' why='gcc lacks it' clang='clang --target=wasm32-wasi --sysroot=/usr'
        [ "$1" = wasm ] || clang="$clang -msimd128"
        link="$clang -Wl,-z,stack-size=1048576" run='node --no-warnings tests/header/wasi.mjs'
        ;;
    bare-arm926) bare -mcpu=arm926ej-s -marm ;;
    bare-cortex-a8) bare -mcpu=cortex-a8 -mthumb -mfpu=vfpv3 -mfloat-abi=softfp ;;
    esac
}

# differences FILE FILE: the number of lines that differ
differences() { diff "$1" "$2" | grep -c '^>'; }

# comparable MACHINE FILE: x87 arithmetic may round sums of values, and the values of factor, otherwise: see the manual
comparable() {
    if [ "$1" = i386-x87 ]; then
        sed -E '/^(3|decode factor)/d; s/^([0-9] [0-9]+ [0-9a-f]+) .*/\1/' "$2"
    else
        cat "$2"
    fi
}

# compare MACHINE NAME: prints what the cell holds, once its programs have run
compare() {
    local own=$2 kind differ
    for kind in decode read encode coded; do
        comparable "$1" $build/native.$kind >"$own.$kind.want"
        comparable "$1" "$own.$kind" >"$own.$kind.have"
        if [ "$(wc -l <"$own.$kind.want")" != "$(wc -l <"$own.$kind.have")" ]; then
            echo "DIFFERS: $kind stops: $(head -n 1 "$own.log" | cut -c 1-60)"
            return 1
        fi
    done
    differ=$(($(differences "$own.decode.want" "$own.decode.have") + $(differences "$own.read.want" "$own.read.have")))
    [ $differ -eq 0 ] || { echo "DIFFERS: $differ values" && return 1; }
    differ=$(($(differences "$own.encode.want" "$own.encode.have") + $(differences "$own.coded.want" "$own.coded.have")))
    [ $differ -eq 0 ] && echo same || echo "values same, $differ coded"
}

# run_programs NAME RUNNER...: the two programs of a cell on all packets, and on those that the cell itself makes
run_programs() {
    local own=$1
    shift
    "$@" "$own.golden" $build/golden | tr -d '\r' >"$own.golden.out"
    grep '^decode' "$own.golden.out" >"$own.decode"
    grep '^encode' "$own.golden.out" >"$own.encode"
    "$@" "$own.digest" write "$own.packets"
    "$@" "$own.digest" read "$own.packets" | tr -d '\r' >"$own.coded"
    "$@" "$own.digest" read $build/native.packets | tr -d '\r' >"$own.read"
}

# build_programs NAME COMPILER... -- LINKER...: fails with one line that says why
build_programs() {
    local own=$1 compiler=() program
    shift
    while [ "$1" != -- ]; do compiler+=("$1") && shift; done
    shift
    # shellcheck disable=SC2086 # a list of options
    "${compiler[@]}" -std=gnu17 $WARNINGS -I. -c tests/header/implement.c -o "$own.o" 2>"$own.log" ||
        { grep -m 1 -E 'error|warning' "$own.log" && return 1; }
    for program in digest golden; do
        "$@" -O1 -I. tests/header/$program.c "$own.o" -o "$own.$program" -lm 2>"$own.log" ||
            { grep -m 1 -E 'error|cannot find|undefined' "$own.log" && return 1; }
    done
}

# cell MACHINE COMPILER LEVEL: prints what the table holds there
cell() {
    local own=$build/$1-$2-$3 compiler tool fault
    machine "$1"
    compiler=${!2}
    [ -n "$compiler" ] || { echo "none: $why" && return; }
    for tool in "${compiler%% *}" "${link%% *}" "${run%% *}"; do
        [ -z "$tool" ] || command -v "$tool" >/dev/null || { echo "none: no $tool here" && return; }
    done
    # shellcheck disable=SC2086 # lists of options
    fault=$(build_programs "$own" $compiler ${options[$3]} -- $link) || { echo "DIFFERS: ${fault##*error: }" && return 1; }
    # shellcheck disable=SC2086 # a list of words
    run_programs "$own" ${run:-env} 2>"$own.log"
    compare "$1" "$own"
}

table() {
    local name compiler level row
    printf '%-22s' ''
    printf '%-26s' "${levels[@]/#/-}" | sed 's/-fast /-O3 -ffast-math /; s/ *$//'
    echo
    for name in "${machines[@]}"; do
        for compiler in "${compilers[@]}"; do
            row=$(printf '%-22s' "$name $compiler")
            for level in "${levels[@]}"; do row+=$(printf '%-26s' "$(cat "$build/$name-$compiler-$level.cell")"); done
            echo "${row%"${row##*[! ]}"}"
        done
    done
}

if [ "${1-}" = --cell ]; then # one of them, as started below
    IFS=/ read -r name compiler level <<<"$2"
    cell "$name" "$compiler" "$level" >"$build/$name-$compiler-$level.cell"
    sed "s|^|$2: |; s/^\(.*: \(same\|values same\|none\)\)/ok cross \1/; t; s/^/not ok cross /" \
        "$build/$name-$compiler-$level.cell"
    exit
fi

mkdir -p $build
cat dtcodec.h tests/golden/*.hex >$build/golden
export WINEDEBUG=-all WINEPREFIX=$PWD/$build/wine
echo 'int main(void) { return 0; }' >$build/first.c # wine fills its folder when it first starts something
x86_64-w64-mingw32-gcc $build/first.c -o $build/first.exe 2>/dev/null && wine $build/first.exe >/dev/null 2>&1
if build_programs $build/native gcc -O2 -- gcc && run_programs $build/native env; then
    echo "ok cross: packets are written and read natively"
else
    echo "not ok cross: packets are written and read natively"
    exit 1
fi
if [ $# -gt 0 ]; then
    cells=("$@")
else
    mapfile -t cells < <(for name in "${machines[@]}"; do printf "$name/%s\n" {gcc,clang}/{O0,O2,fast}; done)
fi
printf '%s\n' "${cells[@]}" | xargs -n 1 -P "$(nproc)" "$0" --cell | tee $build/results
[ $# -gt 0 ] || table
! grep -q '^not ok' $build/results && [ "$(grep -c '^ok' $build/results)" -eq ${#cells[@]} ]
