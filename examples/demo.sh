#!/bin/sh
# demo.sh TRAINER DIR OPTIONS...: trains once for each line of `runs`, with the same OPTIONS, and prints one table of the
# results. The table is computed from the metrics files, which the script writes to DIR.
set -eu
trainer=$1 dir=$2
shift 2

runs='--codec raw --down-codec raw
--codec raw:type=bf16 --down-codec raw:type=bf16
--codec ternary:block=512 --down-codec raw:type=bf16 --residual
--codec quant:bits=auto --down-codec raw:type=bf16
--codec quant:bits=4 --down-codec quant:bits=4 --residual
--codec quant:bits=4 --down-codec raw --residual --add-packets
--codec quant:rotate=1,bits=3 --down-codec raw:type=bf16
--codec factor --down-codec raw:type=bf16
--codec sensing:ratio=0.63,bits=2 --down-codec raw:type=bf16 --residual
--codec circulant --down-codec circulant --net 784-circulant400x80-50-10
--codec quant:bits=4 --difference gossip'

mkdir -p "$dir"
rm -f "$dir"/*.csv
number=0
echo "$runs" | while read -r run; do
    number=$((number + 1))
    echo
    echo "== $run"
    program=$trainer
    case $run in *' gossip') program=$(dirname "$trainer")/gossip_trainer run=${run% gossip} ;; esac
    # shellcheck disable=SC2086 # $run holds several words
    "$program" local --metrics "$dir/$number.csv" $run "$@" </dev/null
done

echo
echo "$runs" | awk -v dir="$dir" '
function ratio(bits) { return sprintf("%.2f (1/%.1f)", bits, 32 / bits) }
BEGIN {
    row = "%-25s %-14s %-8s %-14s %-14s %9s %7s %9s %9s %9s %9s\n"
    printf row, "codec up", "codec down", "residual", "bits up", "bits down", "accuracy", "to fp32", "compute",
        "encode", "transfer", "decode"
}
{
    file = dir "/" NR ".csv"
    values = up = down = accuracy = 0
    split("", seconds)
    split("", workers)
    getline line <file
    while ((getline line <file) > 0) { # the quoted codec may hold commas: count the fields from the end
        n = split(line, field, ",")
        accuracy = field[n]
        if (field[2] == "server") continue
        workers[field[2]] = 1
        values += field[n - 8]
        up += field[n - 7]
        down += field[n - 6]
        for (i = 0; i < 4; i++) seconds[i] += field[n - 5 + i]
    }
    close(file)
    count = 0
    for (worker in workers) count++
    if (NR == 1) {
        first = accuracy
        dense = values
    }
    result = sprintf("%.2f %%", 100 * accuracy)
    change = sprintf("%+.2f", 100 * (accuracy - first))
    for (i = 0; i < 4; i++) seconds[i] = sprintf("%.1f s", seconds[i] / count)
    if (/--net/) note = "* This run trains the circulant net" substr($0, index($0, "--net") + 5) ". Its bits are for each value of the dense net."
    printf row, $2 (/--net/ ? " *" : ""), /--add-packets/ ? "the sum" : $4, /--residual/ ? "yes" : "no", ratio(8 * up / dense), ratio(8 * down / dense), result, change,
        seconds[0], seconds[1], seconds[2], seconds[3]
}
END {
    if (note) print note
    print "The run \"gossip\" is gossip_trainer: peers push parameters to each other, after a tenth of their steps."
    print "Bits are for each value exchanged, heads included; in brackets is the part of fp32. Seconds are those of one"
    print "worker; transfer includes waiting for the server and the other workers."
}'
