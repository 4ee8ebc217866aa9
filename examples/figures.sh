#!/bin/bash
# figures.sh DIR FIGURES ROW...: draws two plots for each row that reproduce.sh has run with the same DIR. The file
# FIGURES/ROW-bits.svg shows the bits a value against the epoch, and FIGURES/ROW-accuracy.svg the accuracy against the
# bytes that a worker has sent. Each setting is a curve of means over the seeds that have ended.
set -euo pipefail
export LC_ALL=C
[ $# -ge 3 ] || { echo "usage: figures.sh DIR FIGURES ROW..." >&2; exit 2; }
dir=$1 figures=$2
here=$(dirname "$0")
shift 2
mkdir -p "$figures"

# curve METRICS...: a line for each epoch: epoch, bits a value, megabytes that a worker has sent, accuracy in percent. A
# codec in quotes may hold commas, so that fields are counted from the end.
curve() {
    awk -F, '
        FNR > 1 && $2 != "server" {
            values[$1] += $(NF - 8)
            bytes[$1] += $(NF - 7)
            accuracy[$1] += $NF
            lines[$1]++
            if ($1 > last) last = $1 + 0
        }
        END {
            for (epoch = 1; epoch <= last; epoch++) {
                if (!(epoch in lines) || !values[epoch]) continue
                sent += bytes[epoch] / lines[epoch]
                printf "%d %.6g %.6g %.4f\n", epoch, 8 * bytes[epoch] / values[epoch], sent / 1e6,
                    100 * accuracy[epoch] / lines[epoch]
            }
        }' "$@"
}

for file in "$@"; do
    row=$(basename "$file" .sh)
    [ -e "$dir/$row/results" ] || { echo "figures: $row: run make reproduce ROW=$row first" >&2; exit 1; }
    count=0
    while IFS= read -r name; do
        metrics=()
        for run in "$dir/$row/${name//[^A-Za-z0-9.,:=+-]/_}".*/; do
            [[ ! $run =~ \.[0-9]+/$ || ! -e $run/done ]] || metrics+=("$run/metrics.csv")
        done
        [ ${#metrics[@]} -gt 0 ] || continue
        [ $count -eq 0 ] || printf '\n\n' # gnuplot reads one block for each curve
        printf '"%s"\n' "$name"
        curve "${metrics[@]}"
        count=$((count + 1))
    done < <(cut -f 1 "$dir/$row/results") >"$dir/$row/curves"
    [ $count -gt 0 ] || { echo "figures: $row: no run has ended: run make reproduce ROW=$row first" >&2; exit 1; }
    gnuplot -e "data='$dir/$row/curves'; count=$count; row='$row'; figures='$figures'" "$here/figures.gp"
    echo "drew $figures/$row-bits.svg and $figures/$row-accuracy.svg"
done
