#!/bin/bash
# The folders of examples/common: each one includes its own files, those of examples/common, and those of lower folders.
set -u
cd "$(dirname "$0")/../examples/common" || exit 1
failed=0

# only FOLDER PATTERN: the files of FOLDER include nothing of examples/ but paths that match PATTERN
only() {
    local wrong
    wrong=$(grep -H '^#include "' "$1"/*.[ch] | grep -vE "\"($2|dtcodec(_fft)?\.h)\"")
    if [ -z "$wrong" ] && grep -q '^#include "' "$1"/*.[ch]; then
        echo "ok examples/common/$1 includes no higher folder"
    else
        echo "not ok examples/common/$1 includes no higher folder"$'\n'"$wrong"
        failed=1
    fi
}

only . '[a-z_]+\.h'
only net '(\.\./)?[a-z_]+\.h'
only transport '(\.\./)?[a-z_]+\.h'
only exchange '(\.\./((net|transport)/)?)?[a-z_]+\.h'
exit $failed
