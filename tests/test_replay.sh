#!/bin/bash
# Runs every fuzz target on its seeds and on the inputs that once broke it. WITHOUT names targets that were not built,
# because a library that they need is missing for that machine.
# CORPUS is a folder of further inputs, under the top folder.
set -u
here=$(dirname "$0")
failed=0
for source in "$here"/../fuzz/*.c; do
    target=$(basename "$source" .c)
    [ "$target" != replay ] && [ "$target" != seeds ] || continue
    if [[ " ${WITHOUT-} " == *" $target "* ]]; then
        echo "ok replay $target # SKIP its library is missing"
        continue
    fi
    mapfile -t inputs < <(find "$here/../build/fuzz/seeds/$target" "$here/../fuzz/regressions/$target" \
        ${CORPUS:+"$here/../$CORPUS/$target"} -type f \
        2>/dev/null | sort)
    if output=$(${RUNNER-} "$here/../${B:-build}/replay/$target" "${inputs[@]}" 2>&1); then
        echo "ok replay $target: $(tail -n 1 <<<"$output")"
    else
        echo "not ok replay $target"
        tail -n 3 <<<"$output"
        failed=1
    fi
done
exit $failed
