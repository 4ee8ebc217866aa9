#!/bin/bash
# reproduce.sh PROGRAMS DIR CSV ROW...: repeats experiments. A ROW is a file of examples/reproduce/, and the programs of
# the trainers are in the folder PROGRAMS. Each setting of a row runs once for each seed from 1 to $SEEDS (3).
#
# The log and the metrics of a run go to DIR/ROW/SETTING.SEED. A run that has ended well is not run again, unless its
# command in the row has changed. The script prints a table for each row, and writes the same numbers to the file CSV,
# in which the lines of other rows stay. Progress goes to stderr.
#
# A row is made of lines
#
#     setting NAME PAPER PROGRAM OPTIONS...
#
# NAME is unique in its row. PAPER is the accuracy that a paper reports, in percent, or '', or a figure with its unit,
# such as '3.55 bits'. A line against=NAME before them names the setting that the following ones are compared with.
# goal=POINTS is the least difference of the means that the row is meant to reach; it is empty where nothing is meant.
set -euo pipefail
[ $# -ge 4 ] || { echo "usage: reproduce.sh PROGRAMS DIR CSV ROW..." >&2; exit 2; }
programs=$1 dir=$2 csv=$3
shift 3
seeds=${SEEDS:-3}
[[ $seeds =~ ^[1-9][0-9]{0,2}$ ]] || { echo "reproduce: SEEDS=$seeds: not a number from 1 to 999" >&2; exit 2; }

rows=() names=() papers=() commands=() againsts=() goals=() # one element a setting

setting() {
    local i
    for i in "${!names[@]}"; do
        [ "${rows[i]}/${names[i]}" != "$row/$1" ] || fail "$row: two settings have the name '$1'"
    done
    rows+=("$row") names+=("$1") papers+=("$2") commands+=("${*:3}") againsts+=("$against") goals+=("$goal")
}

fail() {
    printf 'reproduce: %s\n' "$*" >&2
    exit 1
}

# folder_of SETTING SEED: where the files of a run are
folder_of() {
    local name=${names[$1]//[^A-Za-z0-9.,:=+-]/_}
    echo "$dir/${rows[$1]}/$name.$2"
}

# is_done SETTING SEED: whether this very command has ended well. The first line of `done` is the command.
is_done() {
    [ "$(head -n 1 "$(folder_of "$1" "$2")/done" 2>/dev/null)" = "${commands[$1]} --seed $2" ]
}

# time_left: the time that the runs which are not done will take, if each takes as long as those of its setting, or as
# those of all settings
time_left() {
    local i seed
    for i in "${!names[@]}"; do
        for ((seed = 1; seed <= seeds; seed++)); do
            if is_done "$i" "$seed"; then
                echo "$i $(sed -n 2p "$(folder_of "$i" "$seed")/done")"
            else
                echo "$i"
            fi
        done
    done | awk '
        NF == 2 {sum[$1] += $2; runs[$1]++; total += $2; count++}
        NF == 1 {left[$1]++}
        END {
            if (!count) {print "unknown time"; exit}
            for (i in left) seconds += left[i] * (runs[i] ? sum[i] / runs[i] : total / count)
            if (seconds < 90) printf "about %d s", seconds; else printf "about %d min", seconds / 60 + 0.5
        }'
}

# run SETTING SEED
run() {
    local folder code=0 start=$EPOCHREALTIME words
    folder=$(folder_of "$1" "$2")
    rm -rf "$folder"
    mkdir -p "$folder"
    read -ra words <<<"${commands[$1]} --seed $2"
    "$programs/${words[0]}" "${words[@]:1}" --metrics "$folder/metrics.csv" >"$folder/log" 2>&1 </dev/null || code=$?
    if [ $code -ne 0 ]; then
        tail -n 5 "$folder/log" >&2
        fail "${rows[$1]}: ${names[$1]}, seed $2 failed with exit code $code: ${words[*]}; its log is $folder/log"
    fi
    [ -s "$folder/metrics.csv" ] || fail "${rows[$1]}: ${names[$1]}, seed $2 wrote no metrics: ${words[*]}"
    awk -v command="${words[*]}" -v start="$start" -v end="$EPOCHREALTIME" \
        'BEGIN {print command; printf "%.1f\n", end - start}' >"$folder/done.new"
    mv "$folder/done.new" "$folder/done"
}

# results ROW: one line a setting, of fields that are separated by tabs: name, paper, mean of the accuracies, spread,
# seeds, bits, minutes, the setting it is compared with, and the goal
results() {
    local i seed folder
    for i in "${!names[@]}"; do
        [ "${rows[i]}" = "$1" ] || continue
        for ((seed = 1; seed <= seeds; seed++)); do
            folder=$(folder_of "$i" "$seed")
            # the quoted codec may hold commas: count the fields from the end
            awk -F, 'FNR > 1 && $2 != "server" {values += $(NF - 8); bytes += $(NF - 7)}
                END {printf "%s %.6f ", $NF, values ? 8 * bytes / values : 0}' "$folder/metrics.csv"
            sed -n 2p "$folder/done"
        done | awk -v OFS='\t' -v name="${names[i]}" -v paper="${papers[i]}" -v against="${againsts[i]}" \
            -v goal="${goals[i]}" '
            {
                accuracy = 100 * $1
                sum += accuracy
                bits += $2
                seconds += $3
                if (NR == 1 || accuracy < least) least = accuracy
                if (NR == 1 || accuracy > most) most = accuracy
            }
            END {
                print name, paper, sprintf("%.2f", sum / NR), sprintf("%.2f", most - least), NR,
                    sprintf("%.3f", bits / NR), sprintf("%.1f", seconds / 60), against, goal
            }'
    done
}

# report ROW: the table, and the row's lines of the CSV file
report() {
    results "$1" >"$dir/$1/results"
    echo
    echo "== $1: accuracies in percent; spread is the largest minus the least of $seeds seeds"
    awk -F '\t' '
        BEGIN {
            format = "%-34s %9s %8s %7s %8s %8s  %s\n"
            printf format, "setting", "paper", "ours", "spread", "bits up", "minutes", "difference"
        }
        {
            ours[$1] = $3
            difference = ""
            if ($8 in ours && $8 != $1) difference = sprintf("%+.2f to %s", $3 - ours[$8], $8)
            if (difference != "" && $9 != "")
                difference = difference sprintf(", goal %s: %s", $9, $3 - ours[$8] >= $9 - 1e-9 ? "reached" : "missed")
            printf format, $1, $2, $3, $4, $6, $7, difference
        }' "$dir/$1/results"
    {
        echo row,setting,paper,ours,spread,seeds,bits_per_value,minutes
        [ ! -e "$csv" ] || awk -F, -v row="$1" 'FNR > 1 && $1 != row' "$csv"
        awk -F '\t' -v row="$1" '{printf "%s,\"%s\",%s,%s,%s,%s,%s,%s\n", row, $1, $2, $3, $4, $5, $6, $7}' \
            "$dir/$1/results"
    } >"$csv.new"
    mv "$csv.new" "$csv"
}

for file in "$@"; do
    row=$(basename "$file" .sh) against='' goal=''
    [ -e "$file" ] || fail "$file: there is no such row; the rows are: $(basename -s .sh "$(dirname "$file")"/*.sh | xargs)"
    # shellcheck source=/dev/null # a row
    . "$file"
done

mkdir -p "$dir" "$(dirname "$csv")"
# The trainers inherit the lock, so that one that outlives a stopped script is not disturbed either.
exec 9>"$dir/lock"
flock -n 9 || fail "$dir: another reproduce.sh, or a trainer of it, is running there: wait for its end"
total=$((${#names[@]} * seeds)) number=0
for file in "$@"; do
    row=$(basename "$file" .sh)
    for i in "${!names[@]}"; do
        [ "${rows[i]}" = "$row" ] || continue
        for ((seed = 1; seed <= seeds; seed++)); do
            number=$((number + 1))
            ! is_done "$i" "$seed" || continue
            echo "run $number of $total, $(time_left) left: $row: ${names[i]}, seed $seed" >&2
            run "$i" "$seed"
        done
    done
    report "$row"
done
