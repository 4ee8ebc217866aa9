# Sourced by tests: check NAME COMMAND... runs a command and prints whether it succeeded, and its output if it did not.
# A test ends by `exit $failed`.
failed=0

check() {
    local output
    if output=$("${@:2}" 2>&1); then
        echo "ok $1"
    else
        echo "not ok $1"$'\n'"$output" | head -n 40
        failed=1
        return 1
    fi
}
