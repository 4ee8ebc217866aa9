#!/bin/bash
# Checks limits of the headers' text that keep it readable. Prints one line for each check.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/header/checks.sh

# lists HEADER FUNCTION CONDITION: prints the functions for which awk's condition is true, and fails if there is one.
# FUNCTION must be among the functions that were found.
lists() {
    local list # no file: checks run at the same time
    list=$(awk -f tests/header/functions.awk "$1")
    grep -q " $2\$" <<<"$list" && ! awk '{lines = $1; parameters = $2; name = $3} '"$3"' {
        print name ": " lines " lines, " parameters " parameters"; found = 1} END {exit !found}' <<<"$list"
}

# conditionals HEADER MACRO: prints the conditionals on the macro
conditionals() { grep -nE "^ *# *(if|ifdef|ifndef|elif)\>.*\<$2\>" "$1"; }
at_most_two() {
    conditionals "$@"
    [ "$(conditionals "$@" | wc -l)" -le 2 ]
}

switches() { ! grep -nE 'switch *\(.*codec' "$1"; }

while read -r header function; do
    check "no function of more than 60 lines: $header" lists $header $function 'lines > 60'
    check "no internal function of more than 8 parameters: $header" \
        lists $header $function 'parameters > 8 && name !~ /^dtc_/'
    check "no switch on a codec: $header" switches $header
done <<'END'
dtcodec.h dtc_encode
dtcodec_fft.h dtc_circulant_forward
END
for codec in TERNARY QUANT FACTOR SENSING CIRCULANT; do
    check "at most two conditionals on DTC_NO_$codec" at_most_two dtcodec.h DTC_NO_$codec
done
finish
