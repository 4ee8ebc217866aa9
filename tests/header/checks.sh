#!/bin/bash
# What the tests of the headers share. A test sources this file in the top directory, and ends with "finish".
warnings=${WARNINGS:?comes from the Makefile: run by make check}
build=build/$(basename "$0" .sh)
rm -rf "$build"
mkdir -p "$build"
failures=$build/failures
processors=$(nproc)
standard=(gcc:c99 gcc:c11 gcc:c17 gcc:c2x clang:c99 clang:c11 clang:c17 clang:c2x
    g++:c++11 g++:c++14 g++:c++17 g++:c++20 clang++:c++11 clang++:c++14 clang++:c++17 clang++:c++20)

# start COMMAND...: runs the command in the background, at most one command for each processor at a time
start() {
    while [ "$(jobs -rp | wc -l)" -ge "$processors" ]; do wait -n; done
    "$@" &
}

# check_now NAME COMMAND...: a check that passes if the command succeeds
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

# check NAME COMMAND...: a check in the background. A command that needs files of another waits with "wait" first.
check() { start check_now "$@"; }

# skip NAME REASON
skip() { echo "ok $1 # SKIP $2"; }

# Waits for all checks, and ends the script in failure if one failed.
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

# try SOURCE COMPILER:STANDARD OPTION...: compiles likewise, for the warnings alone, and keeps no object
try() {
    local object=$build/try$BASHPID.o code
    compile_to "$object" "$@"
    code=$?
    rm -f "$object"
    return $code
}

# compile COMPILER:STANDARD OPTION...: tries the file $implementation, which the script names
compile() { try "$implementation" "$@"; }

exports() {
    local object=$1 one=$2 names
    names=$(nm -g --defined-only "$object" | awk '{print $3}')
    echo "$names"
    grep -qx "$one" <<<"$names" && ! grep -qv '^dtc_' <<<"$names"
}

# imports OBJECT NAME...: the object imports nothing but the functions of libm, a few of libc, and the names given.
# __cpu_model belongs to the compiler's own library, and tells what the processor has; the linker makes
# _GLOBAL_OFFSET_TABLE_.
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

# compile_all OPTION...: checks the front end's warnings under every standard
compile_all() {
    local options="$*" one
    for one in "${standard[@]}"; do
        check "no warning: ${one/:/ }${options:+ $options}" compile "$one" -fsyntax-only "$@"
    done
}
