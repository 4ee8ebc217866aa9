#!/bin/bash
# mpi_trainer as a whole, with Open MPI and with MPICH: that it ends in the very bits of tcp_trainer, stops, resumes, and
# says what is wrong.
set -u
cd "$(dirname "$0")/.." || exit 1
build=${B:-build}
work=$(mktemp -d "$build/test_mpi_XXXXXX")
trap 'rm -rf "$work"' EXIT
failed=0

# four ranks on any machine, as root too; ranks that wait leave the processor to those that work
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_btl_vader_single_copy_mechanism=none

# first COUNT NAME: the first so many images of a set, and their labels, as IDX files
first() {
    local from=/usr/share/datasets/fashion-mnist count
    count=$(printf '\\x%02x\\x%02x' $(($1 / 256)) $(($1 % 256)))
    { printf "\\0\\0\\x08\\x03\\0\\0$count\\0\\0\\0\\x1c\\0\\0\\0\\x1c" && zcat $from/$2-images-idx3-ubyte.gz |
        tail -c +17 | head -c $(($1 * 784)); } >"$work/$2-images-idx3-ubyte" 2>/dev/null
    { printf "\\0\\0\\x08\\x01\\0\\0$count" && zcat $from/$2-labels-idx1-ubyte.gz |
        tail -c +9 | head -c "$1"; } >"$work/$2-labels-idx1-ubyte" 2>/dev/null
}
first 512 train
first 256 t10k

ok() {
    echo "ok $1"
}

not_ok() {
    echo "not ok $1"
    sed 's/^/    /' "$work/log" | tail -n 20
    failed=1
}

# mpi IMPLEMENTATION OPTIONS…: four ranks; what they print goes to the log
mpi() {
    timeout 120 "mpirun.$1" -n 4 "$build/examples/mpi_trainer.$1" --data "$work" "${@:2}" >"$work/log" 2>&1 </dev/null
}

crc() {
    sed -n 's/.*of CRC-32 \([0-9a-f]*\) in every replica.*/\1/p' "$work/log" | tr -d '\r'
}

same_bits() { # OPTIONS…: three rounds
    local tcp implementation
    "$build/examples/tcp_trainer" local --data "$work" "${net[@]}" "$@" >"$work/log" 2>&1
    tcp=$(crc)
    for implementation in openmpi mpich; do
        if [ -n "$tcp" ] && mpi "$implementation" "${net[@]}" "$@" && [ "$(crc)" = "$tcp" ]; then
            ok "$implementation ends in the bits of tcp_trainer: $*"
        else
            echo "tcp_trainer: $tcp" >>"$work/log"
            not_ok "$implementation ends in the bits of tcp_trainer: $*"
        fi
    done
}

net=(--net 784-24-10 --limit 384 --batch 32 --epochs 1)
same_bits --codec ternary:pack=base3 --add-packets --residual
same_bits --codec quant:bits=4,entropy=none --add-packets
same_bits --codec quant:bits=3,rounding=stochastic --add-packets --residual
same_bits --codec ternary --residual
same_bits --codec sensing:bits=2 --add-packets --residual
same_bits --codec raw
same_bits --codec factor --batch 4 --limit 48
same_bits --exchange parameters --codec quant:bits=6,entropy=none --add-packets
same_bits --exchange changes --codec quant:bits=4 --residual --l1 1e-4
# packets of more than 64 KiB, which take other ways through the libraries
net=(--limit 256 --batch 32 --epochs 1)
same_bits --codec quant:bits=2,entropy=none --add-packets

net=(--net 784-24-10 --limit 256 --batch 32)
for implementation in openmpi mpich; do
    name="$implementation sums packets by an all-reduce, and gathers others"
    options=(--metrics "$work/m.csv" --epochs 2 --add-packets)
    if mpi $implementation "${net[@]}" "${options[@]}" --codec ternary:pack=base3 &&
        awk -F, 'NR > 1 {rows++; bad += !($5 > 0 && $6 < 1.1 * $5)} END {exit !(rows == 8 && !bad)}' \
            <(sed 's/"[^"]*"/codec/' "$work/m.csv") &&
        mpi $implementation "${net[@]}" "${options[@]}" --codec ternary &&
        awk -F, 'NR > 1 {rows++; bad += !($5 > 0 && $6 > 2.5 * $5)} END {exit !(rows == 8 && !bad)}' \
            <(sed 's/"[^"]*"/codec/' "$work/m.csv"); then
        ok "$name"
    else
        cat "$work/m.csv" >>"$work/log"
        not_ok "$name"
    fi

    name="$implementation resumes to the same bits"
    options=(--codec quant:bits=3,entropy=none,rounding=stochastic --add-packets --residual)
    if mpi $implementation "${net[@]}" "${options[@]}" --epochs 2 --save "$work/straight" &&
        mpi $implementation "${net[@]}" "${options[@]}" --epochs 1 --save "$work/stopped" &&
        mpi $implementation "${net[@]}" "${options[@]}" --epochs 2 --save "$work/stopped" --resume "$work/stopped" &&
        cmp "$work/straight.worker1" "$work/stopped.worker1" && cmp "$work/straight.worker4" "$work/stopped.worker4"; then
        ok "$name"
    else
        not_ok "$name"
    fi

    name="$implementation skips a round whose gradient is not finite, and fails as the training diverged"
    mpi $implementation --net 784-16-16-16-16-10 --limit 256 --batch 16 --epochs 3 --lr 1e9 --residual --add-packets \
        --codec ternary:pack=base3
    if [ $? -eq 3 ] && grep -q 'worker .: round .* is skipped by all' "$work/log" && [ -n "$(crc)" ] &&
        grep -q 'worker 1: the training diverged: the loss or its gradient is not finite since epoch 1, step . of 4: ' "$work/log"; then
        ok "$name"
    else
        not_ok "$name"
    fi
done

refused() { # WORDS OPTIONS…
    mpi openmpi --limit 256 "${@:2}"
    if [ $? -eq 2 ] && grep -qF -e "$1" "$work/log"; then
        ok "refused: ${*:2}"
    else
        not_ok "refused: ${*:2}"
    fi
}
refused '--workers 3: there are 4 ranks' --workers 3
refused '--down-codec: not an option of this' --down-codec quant
refused 'block=64: workers agree on one grid a tensor' --add-packets --codec ternary:block=64
refused 'bits chosen by the values' --add-packets --codec quant
refused 'use raw, ternary, quant or sensing' --add-packets --codec factor
refused 'workers=2: room for sums of fewer' --add-packets --codec ternary:workers=2
exit $failed
