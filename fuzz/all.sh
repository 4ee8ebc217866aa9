#!/bin/bash
# all.sh TARGET...: fuzzes each target for TIME seconds, as many at a time as there are processors, and prints a table.
# A finding is an input that broke the target; it is left in build/fuzz. Fails if there is one.
set -u
cd "$(dirname "$0")/../build/fuzz" || exit 1
time=${TIME:-60}

if [ "${1-}" = --one ]; then # as started below
    regressions=../../fuzz/regressions/$2
    [ -d "$regressions" ] || regressions=
    mkdir -p "corpus/$2" "seeds/$2"
    # shellcheck disable=SC2086 # a folder or nothing
    "./$2" -max_total_time="$time" -max_len=4096 -print_final_stats=1 -dict=../../fuzz/dtcodec.dict \
        -artifact_prefix="found-$2-" "corpus/$2" "seeds/$2" $regressions >"$2.log" 2>&1
    echo $? >"$2.code"
    exit 0
fi

rm -f found-* ./*.code
printf '%s\n' "$@" | xargs -n 1 -P "$(nproc)" "../../fuzz/$(basename "$0")" --one
failed=0 total=0
printf '%-22s %12s %9s %9s %9s\n' target executions coverage seconds findings
for target; do
    runs=$(sed -n 's/^stat::number_of_executed_units: //p' "$target.log")
    covered=$(grep -o 'cov: [0-9]*' "$target.log" | tail -n 1 | cut -c 6-)
    findings=$(find . -maxdepth 1 -name "found-$target-*" | wc -l)
    [ "$(cat "$target.code")" = 0 ] || [ "$findings" -gt 0 ] || findings='fails'
    printf '%-22s %12s %9s %9s %9s\n' "$target" "${runs:-0}" "${covered:-0}" "$time" "$findings"
    [ "$findings" = 0 ] || failed=1
    total=$((total + ${runs:-0}))
done
printf '%-22s %12s\n' total $total
exit $failed
