#!/bin/bash
# examples/reproduce.sh with a trainer that trains nothing: what it runs and what it does not run again, its CSV file, its
# table, and what it says of a run that fails. examples/figures.sh draws its curves. The rows of examples/reproduce have
# valid options.
set -u
cd "$(dirname "$0")/.." || exit 1
build=${B:-build}
work=$(mktemp -d build/test_reproduce_XXXXXX)
trap 'rm -rf "$work"' EXIT
. tests/check.sh

# trainer CODEC ... --seed S --metrics FILE: two workers of 1000 values and 125 * S bytes up, in two epochs. The accuracy
# is .8 + S / 100, or .5 + S / 100 with the codec bad. The codec broken fails at seed 2.
cat >"$work/trainer" <<'STUB'
#!/bin/bash
echo "$*" >>"$(dirname "$0")/runs"
while [ $# -gt 0 ]; do
    case $1 in --codec) codec=$2 ;; --seed) seed=$2 ;; --metrics) metrics=$2 ;; esac
    shift
done
[ "$codec" = broken ] && [ "$seed" = 2 ] && echo 'worker 1: out of luck' && exit 3
accuracy=0.8$seed
[ "$codec" != bad ] || accuracy=0.5$seed
echo 'epoch,worker,codec,values,bytes_up,bytes_down,compute_s,encode_s,transfer_s,decode_s,loss,accuracy' >"$metrics"
for epoch in 1 2; do
    [ $epoch = 2 ] && now=$accuracy || now=0.1
    for worker in 1 2 server; do
        echo "$epoch,$worker,\"codec:a=1,b=2\",1000,$((125 * seed)),9,1.0,1.0,1.0,1.0,0.3,$now"
    done
done >>"$metrics"
STUB
chmod +x "$work/trainer"

mkdir "$work/rows"
cat >"$work/rows/one.sh" <<'ROW'
setting 'base, plain' 81.5 trainer --codec good
against='base, plain' goal=-40
setting near '3 bits' trainer --codec bad
goal=-20
setting far '' trainer --codec bad --lr 1
ROW
echo "setting a '' trainer --codec good" >"$work/rows/two.sh"
echo "setting good '' trainer --codec good
setting broken '' trainer --codec broken" >"$work/rows/three.sh"

reproduce() { # SEEDS ROW...
    local rows=("${@:2}")
    : >"$work/runs"
    SEEDS=$1 examples/reproduce.sh "$work" "$work/out" "$work/result.csv" "${rows[@]/#/$work/rows/}" \
        >"$work/stdout" 2>"$work/stderr"
}

runs() { # COUNT: so many runs were started
    cat "$work/runs" "$work/stderr"
    [ "$(wc -l <"$work/runs")" -eq "$1" ]
}

lines_of() { # ROW: the lines of the CSV file without the minutes
    sed -n "s/^\\($1,.*\\),[0-9.]*\$/\\1/p" "$work/result.csv"
}

# 3 settings of 3 seeds; 82 is the mean of .81, .82 and .83; 125 to 375 bytes for 1000 values are 1 to 3 bits
runs_all() {
    reproduce 3 one.sh && runs 9 && diff <(lines_of one) - <<'CSV' &&
one,"base, plain",81.5,82.00,2.00,3,2.000
one,"near",3 bits,52.00,2.00,3,2.000
one,"far",,52.00,2.00,3,2.000
CSV
        [ "$(head -n 1 "$work/result.csv")" = row,setting,paper,ours,spread,seeds,bits_per_value,minutes ]
}

table_judges() {
    cat "$work/stdout"
    grep -qE '^near +3 bits +52\.00 ' "$work/stdout" || return 1
    grep -qE '^base, plain +81\.5 +82\.00 +2\.00 ' "$work/stdout" &&
        grep -qE '^near .*-30\.00 to base, plain, goal -40: reached$' "$work/stdout" &&
        grep -qE '^far .*-30\.00 to base, plain, goal -20: missed$' "$work/stdout"
}

runs_nothing_again() {
    cp "$work/result.csv" "$work/before.csv"
    reproduce 3 one.sh && runs 0 && cmp "$work/result.csv" "$work/before.csv" && [ ! -s "$work/stderr" ]
}

runs_what_is_new() {
    reproduce 4 one.sh && runs 3 && sed -i 's/--lr 1/--lr 2/' "$work/rows/one.sh" &&
        reproduce 4 one.sh && runs 4 && grep -q 'lr 2' "$work/runs" && ! grep -q 'lr 1' "$work/runs"
}

# a run that was stopped has written no `done`
runs_what_was_stopped() {
    rm "$work/out/one/near.2/done"
    reproduce 4 one.sh && runs 1 && grep -q -- '--codec bad --seed 2' "$work/runs"
}

tells_the_time_left() {
    rm "$work/out/one/near.2/done" "$work/out/one/near.3/done"
    for seed in 1 4; do sed -i '2s/.*/600/' "$work/out/one/near.$seed/done"; done
    reproduce 4 one.sh
    cat "$work/stderr"
    grep -q '^run 6 of 12, about 20 min left: one: near, seed 2$' "$work/stderr"
}

keeps_other_rows() {
    lines_of one >"$work/one.csv"
    reproduce 2 two.sh && runs 2 && lines_of one | diff - "$work/one.csv" &&
        [ "$(lines_of two)" = 'two,"a",,81.50,1.00,2,1.500' ]
}

names_the_failed_run() {
    reproduce 3 three.sh && return 1
    runs 5 && grep -q 'out of luck' "$work/stderr" &&
        grep -q '^reproduce: three: broken, seed 2 failed with exit code 3: trainer --codec broken --seed 2; its log is ' \
            "$work/stderr" && [ -z "$(lines_of three)" ]
}

resumes_after_the_failed_run() {
    sed -i 's/broken$/good --lr 3/' "$work/rows/three.sh"
    reproduce 3 three.sh && runs 3 && [ "$(lines_of three | wc -l)" -eq 2 ]
}

refuses_a_second_script() {
    : >"$work/runs"
    ! flock "$work/out/lock" examples/reproduce.sh "$work" "$work/out" "$work/result.csv" "$work/rows/one.sh" \
        2>"$work/stderr" && grep -q 'another reproduce.sh, or a trainer of it, is running there' "$work/stderr" && runs 0
}

refuses() {
    ! reproduce 3 four.sh && grep -q 'no such row; the rows are: one three two' "$work/stderr" || return 1
    ! reproduce 0 one.sh && grep -q 'SEEDS=0: not a number' "$work/stderr" || return 1
    cat "$work/rows/two.sh" "$work/rows/two.sh" >"$work/rows/twice.sh"
    ! reproduce 1 twice.sh && grep -q "two settings have the name 'a'" "$work/stderr"
}

# In each epoch, a worker of seed S sends 125 * S bytes for 1000 values. The means of the seeds 1 to 3 are 250 bytes and
# 2 bits. The accuracy is .1 in the first epoch.
figures_show_the_means() {
    sed -i 's/--lr 2/--lr 1/' "$work/rows/one.sh"
    reproduce 3 one.sh && rm -r "$work"/out/one/*.4 &&
        examples/figures.sh "$work/out" "$work/figures" "$work/rows/one.sh" &&
        diff "$work/out/one/curves" - <<'CURVES' &&
"base, plain"
1 2 0.00025 10.0000
2 2 0.0005 82.0000


"near"
1 2 0.00025 10.0000
2 2 0.0005 52.0000


"far"
1 2 0.00025 10.0000
2 2 0.0005 52.0000
CURVES
        grep -q '</svg>' "$work/figures/one-bits.svg" && grep -q 'base, plain' "$work/figures/one-accuracy.svg"
}

figures_need_runs() {
    ! examples/figures.sh "$work/out" "$work/figures" "$work/rows/none.sh" 2>"$work/stderr" || return 1
    cat "$work/stderr"
    grep -q '^figures: none: run make reproduce ROW=none first$' "$work/stderr"
}

# The Makefile names OpenBLAS's kernels, unless the environment does or the processor lacks AVX2.
kernels_are_named() {
    local plan="env -u MAKEFLAGS -u MAKELEVEL make -n SETUP=true reproduce ROW=low-rate" named
    named=$(env -u OPENBLAS_CORETYPE $plan | grep -o 'OPENBLAS_CORETYPE=[A-Za-z]* SEEDS')
    echo "named: $named"
    if grep -qsw avx2 /proc/cpuinfo && grep -qsw fma /proc/cpuinfo; then
        [ "$named" = 'OPENBLAS_CORETYPE=Haswell SEEDS' ] || return 1
    else
        [ -z "$named" ] || return 1
    fi
    ! OPENBLAS_CORETYPE=Zen $plan | grep 'OPENBLAS_CORETYPE'
}

# A program looks at the options first, and then refuses data that is not there. Both have the exit code 2.
rows_are_valid() {
    local file program words code
    setting() {
        program=$3
        read -ra words <<<"${*:4}"
        "$build/examples/$program" "${words[@]}" --data /nowhere >"$work/log" 2>&1
        code=$?
        [ $code -ne 2 ] || ! grep -q /nowhere "$work/log" || return 0
        echo "$file: $*"
        cat "$work/log"
        return 1
    }
    for file in examples/reproduce/*.sh; do
        # shellcheck source=/dev/null # a row
        (against='' goal='' && . "$file") >"$work/rows.log"
        cat "$work/rows.log"
        [ ! -s "$work/rows.log" ] || return 1
    done
}

scripts_are_clean() {
    command -v shellcheck >/dev/null || return 0
    shellcheck examples/reproduce.sh examples/figures.sh &&
        shellcheck --shell=bash --exclude=SC2034,SC2086 examples/reproduce/*.sh # their variables are the script's
}

check "each setting runs for each seed, and the CSV file has their means" runs_all
check "the table says whether a goal is reached" table_judges
check "a finished run is not run again" runs_nothing_again
check "more seeds or another command run only what is new" runs_what_is_new
check "a stopped run is run again" runs_what_was_stopped
check "the time left is that of the runs left" tells_the_time_left
check "the lines of other rows stay in the CSV file" keeps_other_rows
check "a failed run ends the script and is named" names_the_failed_run
check "a changed command goes on where the failed run ended the script" resumes_after_the_failed_run
check "a second script at the same time is refused" refuses_a_second_script
check "unknown rows, bad SEEDS and names used twice are refused" refuses
if command -v gnuplot >/dev/null; then
    check "the figures show the means of the seeds" figures_show_the_means
    check "figures of a row that has not run are refused" figures_need_runs
fi
check "the runs name OpenBLAS's kernels, unless the environment does" kernels_are_named
check "the rows have valid options" rows_are_valid
check "the scripts are clean" scripts_are_clean
exit $failed
