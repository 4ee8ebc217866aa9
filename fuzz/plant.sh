#!/bin/bash
# Plants faults into copies of dtcodec.h, one at a time, and tells which target finds each, and after how many seconds
# of fuzzing. A fault that no run finds within SECONDS (60) is a failure, as is one whose place in the header is gone.
# plant.sh [NAME]... plants these alone. Seeds are those of `make build-fuzz`.
set -u
cd "$(dirname "$0")/.." || exit 1
seconds=${SECONDS_MOST:-60}
clang=${CLANG:-clang}
work=build/fuzz/planted
mkdir -p $work

# NAME, TARGET, and the sed script that plants it, one a line
faults='
kraft        huffman         s/    if (kraft != 1u << DTCI_CODE_MAX) return 0;//
zero-run     huffman         s/            if (run > symbols - i) return 0;//
token-run    huffman         s|    run = token.run < left ? token.run : left - 1;|    run = token.run;|
stream-size  decode          s/        if (sizes > size - used) return DTC_ERROR_PAYLOAD;//
truncated    inspect         s/    if (bytes < head->packet_bytes) return DTC_ERROR_TRUNCATED;//
outlier      decode          s/        if (place >= first + n) return;//
fields-tail  roundtrip_quant s/DTCI_GROUP \* bits + 7) \/ 8;/DTCI_GROUP * bits + 6) \/ 8;/
widening     roundtrip_quant s/(uint64_t)dtci_get32(p + 4) << 32;/(uint64_t)(dtci_get32(p + 4) << 16 << 16);/
rows-of-y    decode          s/ || s.measurements > block) return DTC_ERROR_HEAD;/) return DTC_ERROR_HEAD;/
nested-count decode          s/ || head->count != place->count ||/ ||/
'

# find NAME TARGET SCRIPT: prints a row of the table
find_fault() {
    local folder=$work/$1 start took
    mkdir -p "$folder/corpus"
    sed "$3" dtcodec.h >"$folder/dtcodec.h"
    if cmp -s dtcodec.h "$folder/dtcodec.h"; then
        printf '%-14s %-16s its line is gone from the header\n' "$1" "$2"
        return 1
    fi
    "$clang" -std=c99 -D_POSIX_C_SOURCE=200809L -I"$folder" -I. -O1 -g -fsanitize=fuzzer,address \
        -DDTCODEC_IMPLEMENTATION "fuzz/$2.c" -o "$folder/$2" -lm || return 1
    start=$(date +%s%N)
    (cd "$folder" && timeout -k 5 $((seconds + 30)) "./$2" -max_total_time="$seconds" -max_len=4096 \
        -dict=../../../../fuzz/dtcodec.dict corpus "../../seeds/$2") >"$folder/log" 2>&1
    local code=$?
    took=$(($(date +%s%N) - start))
    if [ $code -eq 0 ] || ! grep -qE 'broken:|ERROR: (Address|lib)' "$folder/log"; then
        printf '%-14s %-16s not found in %d s\n' "$1" "$2" "$seconds"
        return 1
    fi
    printf '%-14s %-16s %6.1f s  %s\n' "$1" "$2" "$((took / 100000000))e-1" \
        "$(grep -m 1 -oE 'broken: .*|(Address|lib)[A-Za-z]*: [a-z -]*' "$folder/log" | cut -c 1-60)"
}

failed=0
while read -r name target script; do
    [ -n "$name" ] || continue
    [ $# -eq 0 ] || [[ " $* " == *" $name "* ]] || continue
    find_fault "$name" "$target" "$script" || failed=1
done <<<"$faults"
exit $failed
