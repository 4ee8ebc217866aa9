#!/bin/bash
# What the tests of the headers share; sourced in the top directory. A test ends with "finish".
warnings=${WARNINGS:?comes from the Makefile: run by make check}
build=build/$(basename "$0" .sh)
rm -rf "$build"
mkdir -p "$build"
failures=$build/failures
processors=$(nproc)
standard=(gcc:c99 gcc:c11 gcc:c17 gcc:c2x clang:c99 clang:c11 clang:c17 clang:c2x
    g++:c++11 g++:c++14 g++:c++17 g++:c++20 clang++:c++11 clang++:c++14 clang++:c++17 clang++:c++20)

# Starts a command, as soon as fewer of them run than there are processors.
start() {
    while [ "$(jobs -rp | wc -l)" -ge "$processors" ]; do wait -n; done
    "$@" &
}

# check_now NAME COMMAND...: a test that passes where the command succeeds
check_now() {
    local name=$1 output
    shift
    if output=$("$@" 2>&1); then
        echo "ok $name"
    else
        echo "not ok $name"$'\n'"$output" | head -n 40
        echo "$name" >>"$failures"
    fi
}

# The same, started as above: "wait" before what needs the files that the command makes.
check() { start check_now "$@"; }

skip() { echo "ok $1 # SKIP $2"; } # NAME REASON

# Waits for all, and tells whether they passed.
finish() {
    wait
    [ ! -s "$failures" ]
    exit
}

# compile_to OBJECT SOURCE COMPILER:STANDARD OPTION...: compiles as a user with all warnings on does
compile_to() {
    local object=$1 source=$2 compiler=${3%%:*} language=c only_c=-Wc++-compat
    [[ $compiler != *++ ]] || language=c++ only_c=
    $compiler -std="${3#*:}" -x $language $warnings $only_c -I. "${@:4}" -c "$source" -o "$object"
}

# try SOURCE COMPILER:STANDARD OPTION...: the same for the warnings alone
try() {
    local object=$build/try$BASHPID.o code
    compile_to "$object" "$@"
    code=$?
    rm -f "$object"
    return $code
}

compile() { try "$implementation" "$@"; }

exports() {
    local object=$1 one=$2 names
    names=$(nm -g --defined-only "$object" | awk '{print $3}')
    echo "$names"
    grep -qx "$one" <<<"$names" && ! grep -qv '^dtc_' <<<"$names"
}

# Of an object file; nothing but these, and what else is named. Compilers ask the processor by __cpu_model, which their
# own library has, and the linker makes the table.
imports() {
    local object=$1
    nm -u "$object" | awk '{print $2}' | sort >"$object.names"
    { nm -D --defined-only "$(gcc -print-file-name=libm.so.6)" | awk '{sub("@.*", "", $3); print $3}'
        printf '%s\n' memcpy memset memmove memcmp __cpu_model _GLOBAL_OFFSET_TABLE_ "${@:2}"; } |
        sort -u >"$object.allowed"
    [ -s "$object.names" ] && ! comm -23 "$object.names" "$object.allowed" | grep .
}

no_writable_data() {
    objdump -h "$1" | awk '$2 ~ /^\.(data|bss|tdata|tbss|sdata|sbss)/ && $2 !~ /^\.data\.rel\.ro/ && $3 !~ /^0+$/ {
        print; found = 1 } $2 == ".text" {text = 1} END {exit found || !text}'
}

# macros_left COMPILER DEFINITIONS HEADER STANDARD...: macros that a header adds to those of the headers it includes.
macros_left() {
    local name=$build/macros$BASHPID include=
    for header in "${@:4}"; do include+="#include <$header>"$'\n'; done
    echo "$include" | $1 -dM -E -x c - | sort >"$name-before"
    # shellcheck disable=SC2086 # a list of options
    { echo "$include"; echo "#include \"$3\""; } | $1 $2 -I. -dM -E -x c - | sort >"$name-after"
    grep -q 'DTC_VERSION_MAJOR' "$name-after" &&
        ! comm -13 "$name-before" "$name-after" | grep -vE '^#define (DTC_|DTCODEC_|DTCI_(FFT_)?IMPLEMENTED )' &&
        ! comm -23 "$name-before" "$name-after" | grep .
}

# Under every standard, with these options.
compile_all() {
    local options="$*" one
    for one in "${standard[@]}"; do
        check "no warning: ${one/:/ }${options:+ $options}" compile "$one" -fsyntax-only "$@"
    done
}
