#!/bin/sh
# figures.sh CSV: draws the curves of the CSV that bench has written, one plot for each kind of values, into
# tests/bench/figures, and puts their table between the two marks in tests/bench/README.md.
set -eu
export LC_ALL=C
cd "$(dirname "$0")/../.."
csv=$1
here=tests/bench
kinds='gaussian laplace gradient parameters embedding'
work=build/figures
mkdir -p "$work" "$here/figures"

# Of each line: the kind, the curve, bits, error and spec, with tabs between them. A spec may hold commas.
awk -F '"' -v OFS='\t' 'NR > 1 { split($1, head, ","); split($3, rest, ",")
    print head[1], $4, rest[2], rest[3], $2 }' "$csv" >"$work/points"

for kind in $kinds; do
    if ! grep -q "^$kind	" "$work/points"; then
        echo "$csv has no curves of $kind: run make bench first" >&2
        exit 1
    fi
    # gnuplot reads one block for each curve, in the order of the bits
    grep "^$kind	" "$work/points" | sort -t '	' -k 2,2 -k 3,3g |
        awk -F '\t' '$2 != curve { curve = $2; printf "%s# %s\n", (NR > 1 ? "\n\n" : ""), curve } { print $3, $4 }' \
            >"$work/$kind"
    gnuplot -e "data='$work/$kind'; figure='$here/figures/$kind.svg'; kind='$kind'" "$here/figures.gp"
done

awk -F '\t' -v kinds="$kinds" '
    BEGIN {
        n = split(kinds, kind, " ")
        printf "| spec |"
        for (k = 1; k <= n; k++) printf " %s: bits | error |", kind[k]
        printf "\n|---|"
        for (k = 1; k <= n; k++) printf "---|---|"
        print ""
    }
    !($5 in seen) { seen[$5] = 1; spec[++specs] = $5 }
    { bits[$1, $5] = sprintf("%.3f", $3); error[$1, $5] = sprintf("%.3g", $4) }
    END {
        for (s = 1; s <= specs; s++) {
            quote = spec[s] ~ /^(top-k|min-max|EDEN)/ ? "" : "`"
            printf "| %s%s%s |", quote, spec[s], quote
            for (k = 1; k <= n; k++) printf " %s | %s |", bits[kind[k], spec[s]], error[kind[k], spec[s]]
            print ""
        }
    }' "$work/points" >"$work/table"

awk -v table="$work/table" '
    /^<!-- end of the table/ { inside = 0 }
    !inside
    /^<!-- table/ { inside = 1; print ""; while ((getline line < table) > 0) print line; print "" }
    ' "$here/README.md" >"$work/README.md"
cp "$work/README.md" "$here/README.md"
echo "drew $here/figures/*.svg and wrote the table of $here/README.md"
