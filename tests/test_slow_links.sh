#!/bin/bash
# examples/slow_links.sh with a trainer that trains nothing: its CSV file, its table, what it computes in place of a long
# training, and that it leaves no network namespace behind.
set -u
cd "$(dirname "$0")/.." || exit 1
work=$(mktemp -d build/test_slow_links_XXXXXX)
trap 'rm -rf "$work"' EXIT
. tests/check.sh

# local, server or worker: four epochs of ten steps and ten seconds each, of a net of 1000 parameters. fp32 takes four
# epochs to its accuracy of .9, bf16 three, and ternary never gets there. A message of fp32 has more bytes than others.
cat >"$work/trainer" <<'STUB'
#!/bin/bash
echo "$*" >>"$(dirname "$0")/runs"
[ "$1" != worker ] || exit 0
while [ $# -gt 0 ]; do
    case $1 in --codec) codec=$2 ;; --epochs) epochs=$2 ;; --metrics) metrics=$2 ;; --seed) seed=$2 ;; esac
    shift
done
[ "$codec" != "$(cat "$(dirname "$0")/broken" 2>/dev/null)" ] || { echo 'out of luck' && exit 3; }
bytes=1000 accuracies=(0.5 0.6 0.7 0.85)
case $codec in
raw) bytes=500000000 accuracies=(0.5 0.6 0.7 0.9) ;;
raw:*) accuracies=(0.5 0.6 0.898 0.898) ;;
esac
echo "net 10-100 of 1000 parameters"
crc=$codec$seed
[ "$codec" != "$(cat "$(dirname "$0")/drifting" 2>/dev/null)" ] || crc=$metrics
printf 'of CRC-32 %08x\n' "$(cksum <<<"$crc" | cut -d ' ' -f 1)"
echo 'epoch,worker,codec,values,bytes_up,bytes_down,compute_s,encode_s,transfer_s,decode_s,loss,accuracy' >"$metrics"
for ((epoch = 1; epoch <= epochs; epoch++)); do
    echo "$epoch,1,\"a=1,b=2\",10000,1,1,9.0,9.0,9.0,9.0,0.3,${accuracies[epoch - 1]}"
    echo "$epoch,server,\"a=1,b=2\",40000,$bytes,$bytes,1.0,2.0,3.0,4.0,0.3,${accuracies[epoch - 1]}"
done >>"$metrics"
STUB
chmod +x "$work/trainer"

slow_links() { # RATE...
    : >"$work/runs"
    examples/slow_links.sh "$work/trainer" "$work/out" "$work/result.csv" "$work/figures" "$@" \
        >"$work/stdout" 2>"$work/stderr" &
    echo $! >"$work/pid"
    wait $!
}

# Two rates in the order of the command. The 4e9 bytes of fp32 take 3200 s at 10 Mbit/s, more than 20 minutes, so that
# twelve steps run there, which take the stub's ten seconds: 10 / 12 s a step, and 33.333 s for the forty steps.
measures() {
    slow_links 100 10 || { cat "$work/stdout" "$work/stderr" && return 1; }
    grep -E 'setting|fp32|bf16|ternary' "$work/result.csv" | sed 's/,\(namespaces\|paced\),/,L,/' | diff - <(
        cat <<'CSV'
rate,links,setting,seed,accuracy,epochs,seconds_per_step,seconds,how
100,L,"fp32",1,90.00,4,1.000000,40.000,measured
100,L,"bf16",1,89.80,3,1.000000,30.000,measured
100,L,"ternary",1,85.00,,1.000000,,measured
10,L,"fp32",1,90.00,4,0.833333,33.333,computed
10,L,"bf16",1,89.80,3,1.000000,30.000,measured
10,L,"ternary",1,85.00,,1.000000,,measured
CSV
    )
}

table_compares() {
    cat "$work/stdout"
    grep -q '^links: ' "$work/stdout" || return 1
    [ "$(grep -cE '^bf16 +89\.80 % +1/1 +3\.0 +1\.0000 +30\.0 +1\.3 x +1\.0 x$' "$work/stdout")" = 1 ] &&
        grep -qE '^fp32 +90\.00 % +1/1 +4\.0 +0\.8333 +~33\.3 +1\.0 x +0\.9 x$' "$work/stdout" &&
        grep -qE '^ternary +85\.00 % +0/1 +1\.0000 *$' "$work/stdout"
}

draws() {
    grep -q '</svg>' "$work/figures/slow-links.svg" &&
        diff <(head -n 3 "$work/out/curves") <(printf '"fp32"\n100 40\n10 33.333\n')
}

runs_nothing_again() {
    cp "$work/result.csv" "$work/before.csv"
    slow_links 100 10 && [ ! -s "$work/runs" ] && cmp "$work/result.csv" "$work/before.csv"
}

leaves_nothing() {
    command -v ip >/dev/null || return 0
    ip netns list >"$work/namespaces"
    ! grep "^dtc-$(cat "$work/pid")-" "$work/namespaces"
}

refuses_drift() {
    echo quant:bits=4 >"$work/drifting"
    rm -r "$work/out"
    slow_links 100 && return 1
    cat "$work/stderr"
    grep -q '^slow_links: quant:bits=4: the result depends on the link' "$work/stderr" && leaves_nothing
}

names_the_failed_run() {
    echo ternary >"$work/broken"
    rm -r "$work/out"
    slow_links 100 && return 1
    cat "$work/stderr"
    grep -q '^out of luck$' "$work/stderr" && leaves_nothing &&
        grep -q '^slow_links: the training failed with exit code 3: --codec ternary .*; its log is ' "$work/stderr"
}

refuses() {
    ! slow_links 0 && grep -q '^slow_links: 0: not a rate' "$work/stderr" &&
        ! SEEDS=x slow_links 10 && grep -q '^slow_links: SEEDS=x: not a number' "$work/stderr"
}

scripts_are_clean() {
    command -v shellcheck >/dev/null || return 0
    shellcheck examples/slow_links.sh examples/homomorphic.sh
}

if command -v gnuplot >/dev/null; then
    check "long trainings are computed, others measured" measures
    check "the table compares with fp32 and bf16" table_compares
    check "the plot shows what the CSV file has" draws
    check "finished trainings are not run again" runs_nothing_again
    check "no network namespace is left" leaves_nothing
    check "a result that depends on the link is refused" refuses_drift
    check "a failed training is named, and nothing is left" names_the_failed_run
fi
check "bad rates and SEEDS are refused" refuses
check "the scripts are clean" scripts_are_clean
exit $failed
