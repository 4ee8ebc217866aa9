#!/bin/bash
# plan_check.sh BUILD: compares what `dtc plan` says with what tcp_trainer measures, in ten settings of workers, link
# and codec, and prints a table. The plan takes the seconds of computing from the run that it is compared with, and the
# gradient from a run of its own. It passes if the plan tells in nine settings or more whether the codec is faster than
# float32, and if no predicted time is off by more than 25 %. Times are measured, so the machine must be idle. On a busy
# one, `chrt -f 5 make plan-check` lets root put other processes off.
set -eu
cd "$(dirname "$0")/.."
build=$1
data=/usr/share/datasets/fashion-mnist
work=$build/plan
settings='2 100 raw:type=bf16 same no
4 50 raw:type=bf16 raw no
4 100 quant:bits=4 raw yes
2 10 quant:bits=4 same yes
2 100 quant:bits=8 same no
2 20 ternary same yes
4 10 ternary same yes
8 100 quant:rotate=1,bits=3 same no
2 1000 sensing:ratio=0.5 raw no
2 2000 quant:bits=8 same no'
export OPENBLAS_NUM_THREADS=1

# The server tests the net after each epoch while the workers wait. With ten images, that takes no time.
mkdir -p "$work/data"
for file in train-images-idx3 train-labels-idx1; do
    zcat "$data/$file-ubyte.gz" >"$work/data/$file-ubyte"
done
{
    printf '\0\0\10\3\0\0\0\12'
    zcat "$data/t10k-images-idx3-ubyte.gz" | tail -c +9 | head -c $((8 + 7840)) || true
} >"$work/data/t10k-images-idx3-ubyte"
{
    printf '\0\0\10\1\0\0\0\12'
    zcat "$data/t10k-labels-idx1-ubyte.gz" | tail -c +9 | head -c 10 || true
} >"$work/data/t10k-labels-idx1-ubyte"
"$build/tests/dtc/gradient" "$data" >"$work/gradient.safetensors"

# plan WORKERS MBIT UP raw|same RESIDUAL COMPUTE: the seconds of a step that `dtc plan` says of the codec and of float32
plan() {
    local options=()
    [ "$5" = no ] || options=(--residual)
    "$build/examples/dtc" plan --workers "$1" --link "$2Mbit" --specs "$3" --compute "$6s" "${options[@]}" \
        "$work/gradient.safetensors" |
        awk -v down="$4" '/^codec up/ { rows = 4 } # then float32, the codec with raw down, and both ways
            rows-- == 3 { float32 = $10 } rows >= 0 && rows < 2 && $2 == down { step = $10 } END { print step, float32 }'
}

# measure WORKERS MBIT UP DOWN RESIDUAL SECONDS: runs two epochs of 30 steps, or of fewer steps if a step takes about so
# many seconds that 30 would take more than ten. The gradient of the plan is that of step 40, because packets become
# smaller in the course of a training. Prints the seconds of a step in the second epoch, and those of computing in it,
# as means over the workers.
measure() {
    local options=() rounds
    [ "$5" = no ] || options=(--residual)
    rounds=$(awk -v step="$6" 'BEGIN { n = int(10 / step); print (n < 4 ? 4 : n > 30 ? 30 : n) }')
    "$build/examples/tcp_trainer" local --data "$work/data" --workers "$1" --link-mbps "$2" --codec "$3" \
        --down-codec "$4" "${options[@]}" --epochs 2 --batch 64 --limit $((64 * $1 * rounds)) \
        --metrics "$work/metrics.csv" >"$work/log" </dev/null || { cat "$work/log" >&2 && return 1; }
    awk -F , -v rounds="$rounds" '$1 == 2 && $2 != "server" {
        workers++ # the quoted codec may hold commas: count the fields from the end
        computing += $(NF - 5)
        step += $(NF - 5) + $(NF - 4) + $(NF - 3) + $(NF - 2)
    } END { print step / workers / rounds, computing / workers / rounds }' "$work/metrics.csv"
}

# raw WORKERS MBIT: the seconds of a step of float32, measured once for each link
raw() {
    local file=$work/raw-$1-$2
    [ -s "$file" ] || measure "$1" "$2" raw raw no "$(plan "$1" "$2" raw raw no 0.02 | cut -d ' ' -f 1)" >"$file"
    cut -d ' ' -f 1 "$file"
}

rm -f "$work"/raw-*
echo '| workers | Mbit/s | codec up | codec down | residual | measured | plan | error | fp32 measured | faster | said |'
echo '|---|---|---|---|---|---|---|---|---|---|---|'
while read -r workers mbit up down residual; do
    float32=$(raw "$workers" "$mbit")
    way=$up
    [ "$down" = same ] || way=$down
    read -r guess _ < <(plan "$workers" "$mbit" "$up" "$down" "$residual" 0.02)
    read -r measured computing < <(measure "$workers" "$mbit" "$up" "$way" "$residual" "$guess")
    read -r said said_float32 < <(plan "$workers" "$mbit" "$up" "$down" "$residual" "$computing")
    echo "$workers $mbit $up $way $residual $measured $said $float32 $said_float32"
done <<<"$settings" | awk '
    function yes(is) { return is ? "yes" : "no" }
    {
        error = $7 / $6 - 1
        faster = $6 < $8
        said = $7 < $9
        right += faster == said
        far += error > 0.25 || error < -0.25
        printf "| %s | %s | %s | %s | %s | %.3f s | %.3f s | %+.0f %% | %.3f s | %s | %s |\n", $1, $2, $3, $4, $5, $6, $7,
            100 * error, $8, yes(faster), yes(said)
        fflush()
    }
    END {
        printf "\nright about faster or slower in %d of %d settings; off by more than 25 %% in %d\n", right, NR, far
        exit right < 9 || far > 0
    }'
