#!/bin/bash
# homomorphic.sh TRAINER DIR CSV FIGURES: the cost model of Jang et al. (Homomorphic Parameter Compression for
# Distributed Deep Learning Training, 2017), evaluated with measured seconds and bytes. A step has 256 samples, which 1,
# 2, 4 or 8 workers share, and a parameter server, whose link of $LINK (1000) Mbit/s carries all messages up and down:
#
#     T_compute    the gradient of a worker, encoding and decoding there, and decoding and encoding on the server
#     T_transfer   the bytes of all messages / the rate of the link
#     h            T_compute with compression / T_compute of plain fp32
#     rho          the bytes with compression / those of plain fp32
#
# With M workers, W bytes of plain messages for each worker, C seconds of computing for the whole step and a link of BW
# bytes a second, compression makes a step of at most r times the computing of plain fp32 if
#
#     h <= r - (M^2 W) / (C BW) rho
#
# Here r is that of plain fp32, 1 + (M^2 W) / (C BW): below the bound a step is faster than without compression.
#
# The seconds of a worker are from runs with one worker, and those of the server from runs with M workers, where it
# works alone while they wait. So the model is that of machines of their own. Each is the least of three runs. `gzip -1`
# is measured on a gradient of the net, which a checkpoint without momentum holds.
set -euo pipefail
export LC_ALL=C
[ $# -eq 4 ] || { echo "usage: homomorphic.sh TRAINER DIR CSV FIGURES" >&2; exit 2; }
trainer=$1 dir=$2 csv=$3 figures=$4
here=$(dirname "$0")
link=${LINK:-1000} samples=256 steps=10 repeats=3
net='--net 784-512-512-10' circulant='--net 784-circulant512-circulant512-10'
settings=(
    "plain $net"
    "bf16 $net --codec raw:type=bf16 --down-codec raw:type=bf16"
    "ternary $net --codec ternary --down-codec ternary --residual"
    "quant:bits=4 $net --codec quant:bits=4 --down-codec quant:bits=4 --residual"
    "quant:bits=2 $net --codec quant:bits=2 --down-codec quant:bits=2 --residual"
    "quant:rate=0.1 $net --codec quant:rate=0.1 --down-codec quant:rate=0.1 --residual"
    "quant:bits=4+added $net --codec quant:bits=4 --residual --add-packets"
    "ternary:pack=base3+added $net --codec ternary:pack=base3 --residual --add-packets"
    "circulant-net $circulant --codec circulant --down-codec circulant"
)

fail() {
    printf 'homomorphic: %s\n' "$*" >&2
    exit 1
}

[[ $link =~ ^[1-9][0-9]{0,5}$ ]] || fail "LINK=$link: not a rate from 1 to 999999 Mbit/s"

# run WORKERS LOG OPTIONS...: one epoch of so many steps, with a share of the samples for each of MACHINES workers
run() {
    "$trainer" local --workers "$1" --batch $((samples / machines)) --epochs 1 \
        --limit $((steps * samples * $1 / machines)) "${@:3}" --metrics "$2.csv" >"$2" 2>&1 </dev/null ||
        fail "a training failed: ${*:3}; its log is $2"
}

# meter LOG: seconds of a step: gradient, encoding, decoding of worker 1; decoding, encoding of the server; bytes up and
# down of all workers. The server's computing is left out: it applies the update while the workers do.
meter() {
    awk -F, -v steps=$steps '
        $2 == 1 {worker = $(NF - 5) / steps " " $(NF - 4) / steps " " $(NF - 2) / steps}
        $2 == "server" {print worker, $(NF - 2) / steps, $(NF - 4) / steps, ($(NF - 7) + $(NF - 6)) / steps}' "$1.csv"
}

# least COMMAND...: repeats a command that prints numbers, and prints the least of each
least() {
    local i
    for ((i = 0; i < repeats; i++)); do "$@"; done |
        awk '{for (i = 1; i <= NF; i++) if (NR == 1 || $i < least[i]) least[i] = $i}
            END {for (i = 1; i <= NF; i++) printf "%s%s", least[i], i < NF ? " " : "\n"}'
}

run_and_meter() {
    run "${@:1:2}" "${@:3}"
    meter "$2"
}

# gradient FILE: the gradient of the 40th step as a message of raw packets, from a checkpoint (examples/common/exchange)
gradient() {
    local text parameters velocity
    # shellcheck disable=SC2086 # a list of options
    "$trainer" local --workers 1 --batch 64 --limit 2560 --epochs 1 --momentum 0 $net --save "$dir/checkpoint" \
        >"$dir/checkpoint.log" 2>&1 </dev/null || fail "a training failed; its log is $dir/checkpoint.log"
    number() { od -An -t "u$1" -j "$2" -N "$1" "$dir/checkpoint" | tr -d ' '; }
    text=$((20 + $(number 4 16)))
    parameters=$(number 8 $text)
    velocity=$(number 8 $((text + 8 + parameters)))
    tail -c +$((text + 8 + parameters + 8 + 1)) "$dir/checkpoint" | head -c "$velocity" >"$1"
}

# gzip_meter FILE: seconds of gzip -1, seconds of gzip -d, and the ratio of the sizes
gzip_meter() {
    local start=$EPOCHREALTIME middle
    gzip -1 -c "$1" >"$1.gz"
    middle=$EPOCHREALTIME
    gzip -dc "$1.gz" >/dev/null
    awk -v start="$start" -v middle="$middle" -v end="$EPOCHREALTIME" -v all="$(wc -c <"$1")" \
        -v packed="$(wc -c <"$1.gz")" 'BEGIN {print middle - start, end - middle, packed / all}'
}

# line NAME WORKERS GRADIENT ENCODE DECODE SERVER BYTES: prints a line of the CSV file; `plain` has those of plain fp32
line() {
    awk -v OFS=, -v name="$1" -v M="$2" -v gradient="$3" -v encode="$4" -v decode="$5" -v server="$6" -v bytes="$7" \
        -v plain="$plain" -v rate="$((link * 125000))" 'BEGIN {
            split(plain, field, " ")
            compute = gradient + encode + decode + server
            h = compute / field[1]
            rho = bytes / field[2]
            slope = field[2] / rate / field[1]
            print M, "\"" name "\"", sprintf("%.6f,%.6f,%.4f,%.5f,%.4f", compute, bytes / rate, h, rho,
                1 + slope - slope * rho)
        }'
}

export OPENBLAS_NUM_THREADS=1 # each process stands for a machine
mkdir -p "$dir" "$figures" "$(dirname "$csv")"
gradient "$dir/gradient"
read -r pack unpack ratio < <(least gzip_meter "$dir/gradient")
awk -v pack="$pack" -v unpack="$unpack" -v ratio="$ratio" -v bytes="$(wc -c <"$dir/gradient")" 'BEGIN {
    printf "gzip -1 of a gradient of %.2f MB: %.1f MB/s, ratio %.3f; gzip -d: %.1f MB/s\n", bytes / 1e6,
        bytes / pack / 1e6, 1 / ratio, bytes / unpack / 1e6}'
echo workers,codec,compute_s,transfer_s,h,rho,bound >"$csv"
for machines in 1 2 4 8; do
    for setting in "${settings[@]}"; do
        read -ra words <<<"$setting"
        [[ $machines -gt 1 || $setting != *--add-packets ]] || continue # one packet is no sum
        echo "$machines workers: ${words[0]}" >&2
        alone=$(least run_and_meter 1 "$dir/${words[0]}.1" "${words[@]:1}")
        all=$(least run_and_meter $machines "$dir/${words[0]}.$machines" "${words[@]:1}")
        read -r gradient encode decode _ <<<"$alone"
        read -r _ _ _ add update bytes <<<"$all"
        server=$(awk -v add="$add" -v update="$update" 'BEGIN {print add + update}')
        if [ "${words[0]}" = plain ]; then
            plain=$(awk -v g="$gradient" -v e="$encode" -v d="$decode" -v s="$server" -v bytes="$bytes" \
                'BEGIN {print g + e + d + s, bytes}')
            line plain $machines "$gradient" "$encode" "$decode" "$server" "$bytes"
            line 'gzip -1' $machines "$gradient" "$(awk -v a="$encode" -v b="$pack" 'BEGIN {print a + b}')" \
                "$(awk -v a="$decode" -v b="$unpack" 'BEGIN {print a + b}')" \
                "$(awk -v a="$server" -v b="$pack" -v c="$unpack" -v M=$machines 'BEGIN {print a + b + M * c}')" \
                "$(awk -v bytes="$bytes" -v ratio="$ratio" 'BEGIN {print bytes * ratio}')"
        else
            line "${words[0]}" $machines "$gradient" "$encode" "$decode" "$server" "$bytes"
        fi
    done
done >>"$csv"

printf '\n== a step of %s samples: milliseconds of computing + of transfer at %s Mbit/s; %s\n' $samples "$link" \
    'h and rho with 8 workers, the bound of h there, and the step in parts of the plain one'
awk -F, '
    FNR == 1 {next}
    {
        gsub(/"/, "", $2)
        if (!($2 in seen)) name[++count] = $2
        seen[$2]
        cell[$2, $1] = sprintf("%.1f + %.1f", 1e3 * $3, 1e3 * $4)
        step[$2] = $3 + $4
        h[$2] = $5
        rho[$2] = $6
        bound[$2] = $7
    }
    END {
        format = "%-26s %15s %15s %15s %15s %8s %8s %8s %8s\n"
        printf format, "codec", "1 worker", "2 workers", "4 workers", "8 workers", "h", "rho", "bound", "step"
        for (i = 1; i <= count; i++) {
            n = name[i]
            printf format, n, cell[n, 1], cell[n, 2], cell[n, 4], cell[n, 8], sprintf("%.2f", h[n]),
                sprintf("%.4f", rho[n]), sprintf("%.2f", bound[n]), sprintf("%.3f", step[n] / step["plain"])
        }
    }' "$csv"

# a block for each codec with 4 workers: rho and h; and the slopes of the bounds of 1, 2, 4 and 8 workers
awk -F, 'FNR > 1 && $1 == 4 {gsub(/"/, "", $2); printf "\"%s\"\n%s %s\n\n\n", $2, $6, $5}' "$csv" >"$dir/points"
slopes=$(awk -F, '$2 == "\"bf16\"" {printf "%s ", ($7 - 1) / (1 - $6)}' "$csv")
gnuplot -e "points='$dir/points'; count=$(grep -c '"' "$dir/points"); slopes='$slopes'; link='$link'" \
    -e "figures='$figures'" "$here/homomorphic.gp"
echo "drew $figures/homomorphic.svg"
