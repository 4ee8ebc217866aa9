#!/bin/bash
# slow_links.sh TRAINER DIR CSV FIGURES RATE...: measures the time to accuracy on links of RATE Mbit/s. TRAINER is
# tcp_trainer. A server and four workers train the same net with the same options under each codec of `settings`, for
# each seed from 1 to $SEEDS (1).
#
# As root, the server and each worker run in a network namespace of their own. A bridge, in a further namespace, joins
# them, and `tc tbf` limits both ends of each cable to RATE. The host's own network is not touched. Without root, or
# without network namespaces, the trainer's --link-mbps limits what each process sends, and the script says so.
#
# Every setting first trains once without a limit. The results do not depend on the links, and so the CRC of the
# parameters must be the same on each link. The target is the last accuracy of fp32, minus .2 points. A training that
# would take more than $MINUTES (20) on a link is not run there in full: twelve steps are, and the time to the target is
# computed from these. The table marks such a time with ~.
#
# The seconds are those that the server counts: computing, encoding, transfer and decoding. The start of the processes
# is left out. The runs' files go to DIR, one line for each run and rate to CSV, and the plot to FIGURES/slow-links.svg.
# The script can be stopped and started again.
set -euo pipefail
export LC_ALL=C
[ $# -ge 5 ] || { echo "usage: slow_links.sh TRAINER DIR CSV FIGURES RATE..." >&2; exit 2; }
trainer=$1 dir=$2 csv=$3 figures=$4
shift 4
here=$(dirname "$0")
seeds=${SEEDS:-1} minutes=${MINUTES:-20}
workers=4 batch=64 steps=12 epochs=4 tolerance=0.2
common=(--workers "$workers" --batch "$batch" --lr 0.1 --lr-decay 0.5)
settings=(
    'fp32 --codec raw --down-codec raw'
    'bf16 --codec raw:type=bf16 --down-codec raw:type=bf16'
    'ternary --codec ternary --down-codec ternary --residual'
    'quant:bits=4 --codec quant:bits=4 --down-codec quant:bits=4 --residual'
    'quant:bits=2 --codec quant:bits=2 --down-codec quant:bits=2 --residual'
    'quant:rate=0.5 --codec quant:rate=0.5 --down-codec quant:rate=0.5 --residual'
    'quant:rate=0.2 --codec quant:rate=0.2 --down-codec quant:rate=0.2 --residual'
    'quant:rate=0.1 --codec quant:rate=0.1 --down-codec quant:rate=0.1 --residual'
    'quant:rate=0.05 --codec quant:rate=0.05 --down-codec quant:rate=0.05 --residual'
)

fail() {
    printf 'slow_links: %s\n' "$*" >&2
    exit 1
}

for rate in "$@"; do
    [[ $rate =~ ^[1-9][0-9]{0,5}$ ]] || fail "$rate: not a rate from 1 to 999999 Mbit/s"
done
[[ $seeds =~ ^[1-9][0-9]?$ ]] || fail "SEEDS=$seeds: not a number from 1 to 99"
[[ $minutes =~ ^[1-9][0-9]{0,3}$ ]] || fail "MINUTES=$minutes: not a number from 1 to 9999"

# ---- the network

net=dtc-$$ children=()

# Ends what was started, and removes the namespaces, and with them cables and bridge.
clean_up() {
    local i
    [ ${#children[@]} -eq 0 ] || kill "${children[@]}" 2>/dev/null || true
    for i in switch $(seq 0 $workers); do
        ip netns del "$net-$i" 2>/dev/null || true
    done
}

# build_network: node 0 is the server's, and node I has the address 10.77.0.(I + 1)
build_network() {
    local i
    ip netns add "$net-switch" && ip -n "$net-switch" link add switch type bridge &&
        ip -n "$net-switch" link set switch up || return 1
    for i in $(seq 0 $workers); do
        ip netns add "$net-$i" && ip -n "$net-$i" link set lo up &&
            ip -n "$net-$i" link add eth0 type veth peer name "port$i" netns "$net-switch" &&
            ip -n "$net-$i" addr add "10.77.0.$((i + 1))/24" dev eth0 && ip -n "$net-$i" link set eth0 up &&
            ip -n "$net-switch" link set "port$i" master switch up || return 1
    done
    limit_links 1000
}

# limit_links RATE: the bucket holds two frames up to 100 Mbit/s, so that small messages are slowed down, too. At higher
# rates the kernel does not wake up often enough for that; the bucket holds about 1 ms of 1000 Mbit/s there.
limit_links() {
    local i burst=3028
    [ "$1" -le 100 ] || burst=131072
    for i in $(seq 0 $workers); do
        tc -n "$net-$i" qdisc replace dev eth0 root tbf rate "$1mbit" burst $burst limit 1mb &&
            tc -n "$net-switch" qdisc replace dev "port$i" root tbf rate "$1mbit" burst $burst limit 1mb || return 1
    done
}

trap clean_up EXIT
trap 'exit 130' INT TERM HUP
mkdir -p "$dir" "$figures" "$(dirname "$csv")"
if build_network 2>"$dir/network"; then
    links=namespaces
    echo "links: network namespaces of their own, joined by veth and a bridge, limited by tc tbf at both ends"
else
    links=paced
    echo "links: sockets paced by --link-mbps, because network namespaces cannot be used: $(head -n 1 "$dir/network")"
fi

# ---- the runs

# train RATE LOG EPOCHS OPTIONS...: runs one training; RATE is 0 for a network without a limit. A training that has ended
# well with the same links and options is not run again.
train() {
    local rate=$1 log=$2 served=(--epochs "$3" --metrics "$2.csv") command="$links $*" i code=0
    [ "$(cat "$log.done" 2>/dev/null)" != "$command" ] || return 0
    rm -f "$log.done"
    shift 3
    if [ "$rate" = 0 ] || [ $links = paced ]; then
        "$trainer" local --link-mbps "$rate" "${served[@]}" "$@" >"$log" 2>&1 </dev/null &
        children=($!)
    else
        ip netns exec "$net-0" "$trainer" server --host 0.0.0.0 --insecure "${served[@]}" "$@" \
            >"$log" 2>&1 </dev/null &
        children=($!)
        for i in $(seq 1 $workers); do
            ip netns exec "$net-$i" "$trainer" worker --host 10.77.0.1 --insecure --worker-id "$i" "$@" \
                >"$log.worker$i" 2>&1 </dev/null &
            children+=($!)
        done
    fi
    wait "${children[0]}" || code=$?
    if [ $code -ne 0 ]; then
        tail -n 5 "$log" >&2
        fail "the training failed with exit code $code: $*; its log is $log"
    fi
    for i in "${children[@]:1}"; do
        wait "$i" || fail "a worker failed: $*; its log is one of $log.worker*"
    done
    children=()
    echo "$command" >"$log.done"
}

# course LOG: a line for each epoch: accuracy in percent, and the seconds since the start of the training
course() {
    awk -F, '$2 == "server" {seconds += $(NF - 5) + $(NF - 4) + $(NF - 3) + $(NF - 2)
        printf "%.2f %.6f\n", 100 * $NF, seconds}' "$1.csv"
}

# link_seconds LOG RATE: the least time that the messages of the training LOG take on the server's link
link_seconds() {
    awk -F, -v rate="$2" '$2 == "server" {bytes += $(NF - 7) + $(NF - 6)} END {print 8e-6 * bytes / rate}' "$1.csv"
}

crc_of() {
    grep -o 'CRC-32 [0-9a-f]*' "$1"
}

# measure RATE NAME SEED OPTIONS...: prints a line of the CSV file
measure() {
    local rate=$1 name=$2 seed=$3 free=$dir/free/$2.$3 log=$dir/$1/$2.$3 how=measured whole
    shift 3
    mkdir -p "$dir/$rate"
    whole=$(awk -v link="$(link_seconds "$free" "$rate")" -v free="$(course "$free" | tail -n 1)" \
        'BEGIN {split(free, field, " "); print link + field[2]}')
    printf 'rate %s Mbit/s, seed %s: %s, about %.0f s\n' "$rate" "$seed" "$name" "$whole" >&2
    if awk -v seconds="$whole" -v minutes="$minutes" 'BEGIN {exit !(seconds > 60 * minutes)}'; then
        how=computed
        train "$rate" "$log" 1 "$@" --limit $((steps * batch * workers))
    else
        train "$rate" "$log" $epochs "$@"
        [ "$(crc_of "$log")" = "$(crc_of "$free")" ] || fail "$name: the result depends on the link: see $log and $free"
    fi
    { course "$free"; echo; course "$log"; } | awk -v OFS=, -v how=$how -v steps=$steps -v target="$target" \
        -v all="$(steps_of "$free")" -v line="$rate,$links,\"$name\",$seed" '
        !NF {epochs = NR - 1; next}
        !epochs {accuracy[NR] = $1; if (!reached && $1 >= target - 1e-9) reached = NR; next}
        {seconds[++count] = $2}
        END {
            step = how == "computed" ? seconds[1] / steps : seconds[epochs] / all
            time = !reached ? "" : how == "computed" ? step * all * reached / epochs : seconds[reached]
            print line, accuracy[epochs], reached, sprintf("%.6f", step), time == "" ? "" : sprintf("%.3f", time), how
        }'
}

# steps_of LOG: the number of steps of a training
steps_of() {
    awk -F, -v parameters="$(sed -n 's/^net .* of \([0-9]*\) parameters$/\1/p' "$1")" -v workers=$workers \
        '$2 == "server" {values += $(NF - 8)} END {print values / parameters / workers}' "$1.csv"
}

# table RATE: the means over the seeds
table() {
    printf '\n== %s Mbit/s: seconds to the last accuracy of fp32 minus %s points, %s %% with seed 1\n' \
        "$1" $tolerance "$first_target"
    awk -F, -v rate="$1" '
        BEGIN {
            format = "%-18s %9s %7s %9s %13s %13s %9s %9s\n"
            printf format, "codec", "accuracy", "reached", "in epochs", "seconds a step", "seconds to it", "to fp32",
                "to bf16"
        }
        FNR == 1 || $1 != rate {next}
        {
            gsub(/"/, "", $3)
            if (!($3 in runs)) name[++count] = $3
            runs[$3]++
            accuracy[$3] += $5
            step[$3] += $7
            if ($6 == "") next
            reached[$3]++
            epochs[$3] += $6
            seconds[$3] += $8
            if ($9 == "computed") mark[$3] = "~"
        }
        function mean(n) {return reached[n] ? seconds[n] / reached[n] : 0}
        function ratio(n, to) {return mean(n) && mean(to) ? sprintf("%.1f x", mean(to) / mean(n)) : ""}
        END {
            for (i = 1; i <= count; i++) {
                n = name[i]
                printf format, n, sprintf("%.2f %%", accuracy[n] / runs[n]), reached[n] + 0 "/" runs[n],
                    reached[n] ? sprintf("%.1f", epochs[n] / reached[n]) : "", sprintf("%.4f", step[n] / runs[n]),
                    reached[n] ? sprintf("%s%.1f", mark[n], mean(n)) : "", ratio(n, "fp32"), ratio(n, "bf16")
            }
        }' "$csv"
}

export OPENBLAS_NUM_THREADS=1 # each process stands for a machine, and all share this one
mkdir -p "$dir/free"
for setting in "${settings[@]}"; do
    read -ra words <<<"$setting"
    for ((seed = 1; seed <= seeds; seed++)); do
        echo "no limit, seed $seed: ${words[0]}" >&2
        train 0 "$dir/free/${words[0]}.$seed" $epochs "${words[@]:1}" "${common[@]}" --seed "$seed"
    done
done
echo rate,links,setting,seed,accuracy,epochs,seconds_per_step,seconds,how >"$csv"
for rate in "$@"; do
    [ $links = paced ] || limit_links "$rate"
    for setting in "${settings[@]}"; do
        read -ra words <<<"$setting"
        for ((seed = 1; seed <= seeds; seed++)); do
            target=$(course "$dir/free/fp32.$seed" | awk -v less=$tolerance 'END {print $1 - less}')
            [ "$seed" -gt 1 ] || first_target=$target
            measure "$rate" "${words[0]}" "$seed" "${words[@]:1}" "${common[@]}" --seed "$seed" >>"$csv"
        done
    done
    table "$rate"
done

# a block for each codec that reached the target: rate and seconds, means over the seeds that did
awk -F, '
    FNR == 1 || $8 == "" {next}
    {
        gsub(/"/, "", $3)
        if (!($3 in rates)) name[++count] = $3
        if (!runs[$1, $3]++) rates[$3] = rates[$3] " " $1
        seconds[$1, $3] += $8
    }
    END {
        for (i = 1; i <= count; i++) {
            printf "%s\"%s\"\n", (i > 1 ? "\n\n" : ""), name[i]
            rows = split(rates[name[i]], rate, " ")
            for (row = 1; row <= rows; row++)
                print rate[row], seconds[rate[row], name[i]] / runs[rate[row], name[i]]
        }
    }' "$csv" >"$dir/curves"
gnuplot -e "data='$dir/curves'; count=$(grep -c '"' "$dir/curves"); figures='$figures'" "$here/slow_links.gp"
echo "drew $figures/slow-links.svg"
