#!/bin/sh
# reproduce.sh TRAINER DIR CSV OPTIONS...: repeats the setting of Oland and Raj (ICASSP 2015) with and without
# compression: MNIST, a tanh net, and five workers that average their parameters after every epoch. The script prints one
# line for each epoch and writes the same numbers to the file CSV. The metrics files of the two runs go to DIR.
set -eu
trainer=$1 dir=$2 csv=$3
shift 3

mkdir -p "$dir"
setting='--dataset mnist --activation tanh --workers 5 --exchange parameters'
# shellcheck disable=SC2086 # $setting holds several words
for codec in raw quant:floor=5; do
    echo "== $setting --codec $codec --down-codec $codec $*"
    "$trainer" local --metrics "$dir/$codec.csv" $setting --codec $codec --down-codec $codec "$@"
    echo
done

awk -F, -v csv="$csv" '
FNR == 1 { run++; next }
$2 != "server" {
    epoch = $1
    values[run, epoch] += $(NF - 8)
    up[run, epoch] += $(NF - 7)
    down[run, epoch] += $(NF - 6)
    loss[run, epoch] = $(NF - 1)
    accuracy[run, epoch] = $NF
    if (epoch > epochs) epochs = epoch
}
END {
    split("raw,quant:floor=5", codec, ",")
    print "setting,epoch,codec,bits_up,bits_down,loss,accuracy" >csv
    print "epoch   bits up   bits down   accuracy   of the uncompressed run"
    for (epoch = 1; epoch <= epochs; epoch++) {
        for (run = 1; run <= 2; run++) {
            bits_up[run] = 8 * up[run, epoch] / values[run, epoch]
            bits_down[run] = 8 * down[run, epoch] / values[run, epoch]
            printf "oland-raj,%d,%s,%.4f,%.4f,%s,%s\n", epoch, codec[run], bits_up[run], bits_down[run],
                loss[run, epoch], accuracy[run, epoch] >csv
        }
        mean_up += bits_up[2] / epochs
        mean_down += bits_down[2] / epochs
        printf "%5d %9.2f %11.2f %8.2f %% %10.2f %%\n", epoch, bits_up[2], bits_down[2], 100 * accuracy[2, epoch],
            100 * accuracy[1, epoch]
    }
    printf " mean %9.2f %11.2f    theirs: 3.55 bits, with a minor loss of accuracy\n", mean_up, mean_down
}' "$dir/raw.csv" "$dir/quant:floor=5.csv"
