#!/bin/bash
# The command dtc: every format and type of floats, bad files, usage errors, and what compare and plan print.
# shellcheck disable=SC2086,SC2059 # formats and lists of words in variables
set -u
cd "$(dirname "$0")/.." || exit 1
root=$PWD
dtc=$root/${B:-build}/examples/dtc
work=$(mktemp -d "$root/build/test_dtc_XXXXXX")
trap 'rm -rf "$work"' EXIT
. tests/check.sh
for helper in floats json; do
    gcc -std=c99 $WARNINGS -O1 "tests/dtc/$helper.c" -o "$work/$helper" -lcjson -lm || exit 1
done
cd "$work" || exit 1

# number BYTES VALUE: VALUE as a little-endian number
number() {
    local i value=$2
    for ((i = 0; i < $1; i++)); do
        printf "\\x$(printf %02x $((value & 255)))"
        value=$((value >> 8))
    done
}

# npy_of HEAD [VERSION]: a .npy file with this text as its head; its elements come from standard input
npy_of() {
    printf '\x93NUMPY'
    number 1 "${2:-1}"
    printf '\0'
    if [ "${2:-1}" = 1 ]; then number 2 ${#1}; else number 4 ${#1}; fi
    printf '%s' "$1"
    cat
}

# npy TYPE SHAPE C|F [VERSION]
npy() {
    local order=False
    [ "$3" = C ] || order=True
    ./floats "$1" "$2" "$3" | npy_of "{'descr': '$1', 'fortran_order': $order, 'shape': ($2,), }" "${4:-1}"
}

# safe HEAD: a .safetensors file with this text as its head; its elements come from standard input
safe() {
    number 8 ${#1}
    printf '%s' "$1"
    cat
}

# entry NAME DTYPE SHAPE BEGIN END
entry() {
    printf '"%s":{"dtype":"%s","shape":[%s],"data_offsets":[%s,%s]}' "$@"
}

# ---- round trips

npy_types() {
    local type order version=0
    for type in '<f2' '>f2' '<f4' '>f4' '<f8' '>f8'; do
        for order in C F; do
            version=$((version % 3 + 1))
            npy "$type" 5,6,7 $order $version >in.npy
            ./floats '<f4' 5,6,7 C >want
            "$dtc" encode raw in.npy out.dtc && "$dtc" decode out.dtc got || return 1
            cmp want got || { echo "$type $order version $version" && return 1; }
        done
    done
}

npy_written() {
    local head
    npy '>f8' 2,3 F >in.npy
    "$dtc" encode raw in.npy - | "$dtc" decode - out.npy || return 1
    head="{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"
    { ./floats '<f4' 2,3 C | npy_of "$(printf '%-117s' "$head")"$'\n'; } >want.npy
    cmp want.npy out.npy
}

npy_like() {
    npy '<f4' 2,3,4 C >in.npy
    "$dtc" encode raw in.npy out.dtc && "$dtc" decode --like in.npy out.dtc out.npy && grep -aq "(2, 3, 4)" out.npy &&
        "$dtc" decode out.dtc flat.npy && grep -aq "(2, 12)" flat.npy
}

npy_corners() { # a single number, an empty array, other quotes, and the L of Python 2
    printf '\0\0\x80\x3f' | npy_of '{"shape":(),"fortran_order":False,"descr":"<f4"}' >number.npy
    printf '' | npy_of "{'descr': '<f4', 'fortran_order': True, 'shape': (3L, 0L)}" >empty.npy
    "$dtc" encode raw number.npy - | "$dtc" decode - got && cmp got <(printf '\0\0\x80\x3f') || return 1
    "$dtc" encode raw empty.npy out.dtc && "$dtc" decode --like empty.npy out.dtc out.npy && grep -aq "(3, 0)" out.npy
}

tensors() { # three tensors, the second one first in the head
    {
        ./floats '<f4' 4,5 C
        ./floats '<bf' 6 C
        ./floats '<f8' 2,2,2 C
        ./floats '<f2' 3 C
    } | safe "{\"__metadata__\":{\"format\":\"pt\"},$(entry b BF16 6 80 92),$(entry a F32 4,5 0 80),$(
        entry c F64 2,2,2 92 156),$(entry d F16 3 156 162)}  "
}

safetensors() {
    tensors >in.safetensors
    "$dtc" encode raw in.safetensors out.dtc && "$dtc" inspect out.dtc >log || return 1
    [ "$(awk 'NR > 1 {print $4}' log | xargs)" = '20 6 8 3' ] || { cat log && return 1; }
    for shape in 4,5 6 2,2,2 3; do ./floats '<f4' $shape C; done >want
    "$dtc" decode out.dtc got && cmp want got || return 1
    "$dtc" decode --like in.safetensors out.dtc out.safetensors || return 1
    local head
    head="{$(entry a F32 4,5 0 80),$(entry b F32 6 80 104),$(entry c F32 2,2,2 104 136),$(entry d F32 3 136 148)}"
    while [ $((${#head} % 8)) -ne 0 ]; do head+=' '; done
    safe "$head" <want >want.safetensors
    cmp want.safetensors out.safetensors
}

messages() { # of 700, 30 and 9 values: the last two share a packet
    { ./floats '<f4' 70,10 C && ./floats '<f4' 5,6 C && ./floats '<f4' 9 C; } >want
    safe "{$(entry a F32 70,10 0 2800),$(entry b F32 5,6 2800 2920),$(entry c F32 9 2920 2956)}" <want >in.safetensors
    "$dtc" encode --message raw in.safetensors out.dtc && "$dtc" inspect out.dtc >log || return 1
    [ "$(awk 'NR > 1 {print $4}' log | xargs)" = '700 39' ] || { cat log && return 1; }
    "$dtc" decode --like in.safetensors out.dtc got && cmp want got || return 1
    "$dtc" decode --like in.safetensors out.dtc out.safetensors && "$dtc" encode raw out.safetensors - |
        "$dtc" decode - got && cmp want got
}

pipes() {
    ./floats '<f4' 100 C >want
    "$dtc" encode quant:bits=8 - - <want | "$dtc" decode - - >got && [ "$(wc -c <got)" -eq 400 ] || return 1
    npy '<f2' 9 C | "$dtc" encode raw - - | "$dtc" decode - - | cmp - <(./floats '<f4' 9 C) || return 1
    tensors | "$dtc" encode --from safetensors raw - - | "$dtc" inspect - | wc -l | grep -qx 5
}

lossy_error() { # compare's error and bits, against the definition
    ./floats '<f4' 40,50 C >in
    "$dtc" encode quant:bits=3 in out.dtc && "$dtc" decode out.dtc got || return 1
    paste <(od -A n -t f4 -v -w4 in) <(od -A n -t f4 -v -w4 got) >pairs
    "$dtc" compare --specs 'quant:bits=3' in >log || return 1
    awk -v bytes="$(wc -c <out.dtc)" '
        FILENAME == "pairs" {e += ($1 - $2)^2; s += $1^2; t += $2^2; p += $1 * $2; n++}
        $2 == "quant:bits=3" {bits = $3; error = $4; cosine = $5}
        function near(a, b, within) {return a - b < within && b - a < within}
        END {
            print bits, error, cosine, 8 * bytes / n, e / s, p / sqrt(s * t)
            exit !(near(bits, 8 * bytes / n, 1e-3) && e > 0 && near(error / (e / s), 1, 1e-3) &&
                near(cosine, p / sqrt(s * t), 2e-6))
        }' pairs log
}

check "encode reads every type, order and version of .npy" npy_types
check "decode writes .npy with rows and columns" npy_written
check "--like keeps the shape of a .npy" npy_like
check "a single number, an empty array and other spellings of the head are read" npy_corners
check "every type of .safetensors is encoded in file order, and decoded to names and shapes" safetensors
check "--message lets small tensors share a packet, and --like decodes them" messages
check "- is standard input and standard output" pipes
check "compare prints bits, error and cosine as defined" lossy_error

# ---- bad files

# one_line CODE PATTERN COMMAND...: the command ends with CODE and one line on standard error, which the pattern matches.
# It prints nothing else, and leaves no file that was not there.
one_line() {
    local code
    ls -A >before
    "${@:3}" >log 2>error
    code=$?
    cat log error
    ls -A | diff before - || return 1
    [ $code -eq "$1" ] && [ ! -s log ] && [ "$(wc -l <error)" -eq 1 ] && grep -qE "^dtc: .*$2" error
}
touch before log error

# bad FILE PATTERN: encode and compare refuse the file with one line
bad() {
    check "$1 is refused" one_line 1 "$1: .*$2" "$dtc" encode raw "$1" bad.dtc
    check "compare refuses $1" one_line 1 "$1: .*$2" "$dtc" compare "$1"
}

start="'descr': '<f4', 'fortran_order': False"
four=1234567812345678
printf 'PK\3\4abcdefgh' >magic.npy
printf '\x93NUMPY\1\0' >short.npy
printf '\x93NUMPY\4\0\2\0{}' >version.npy
printf '\x93NUMPY\1\0\xff\0{}' >head.npy
printf '\x93NUMPY\2\0\xff\xff\xff\xff{}' >head2.npy
npy '<f4' 10 C | head -c -1 >truncated.npy
{ npy '<f4' 10 C && printf x; } >longer.npy
printf $four | npy_of "{'descr': '<i4', 'fortran_order': False, 'shape': (4,)}" >int.npy
printf $four | npy_of "{'descr': '<c8', 'fortran_order': False, 'shape': (2,)}" >complex.npy
printf $four | npy_of "{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (4,)}" >record.npy
printf $four | npy_of "{$start, 'shape': (4611686018427387904, 2)}" >overflow.npy
printf $four | npy_of "{$start, 'shape': (99999999999999999999,)}" >number.npy
printf $four | npy_of "{$start, 'shape': (-4,)}" >negative.npy
printf $four | npy_of "{$start, 'shape': [4]}" >list.npy
printf $four | npy_of "{$start, $start, 'shape': (4,)}" >twice.npy
printf $four | npy_of "{$start}" >noshape.npy
printf $four | npy_of "{$start, 'shape': (4,)} x" >after.npy
printf $four | npy_of "{$start, 'shape': (4,), 'more': 1}" >key.npy
printf $four | npy_of "{'descr': '<f4', 'fortran_order': 0, 'shape': (4,)}" >order.npy
bad magic.npy 'does not begin'
bad short.npy truncated
bad version.npy 'version 4.0'
bad head.npy 'head has 255 bytes, but 2'
bad head2.npy 'head has 4294967295 bytes'
bad truncated.npy 'asks for 40 bytes of values, but 39'
bad longer.npy 'asks for 40 bytes of values, but 41'
bad int.npy 'dtype is <i4: convert'
bad complex.npy 'dtype is <c8'
bad record.npy 'no plain type'
bad overflow.npy 'more values than memory'
bad number.npy 'dimension 1 of its shape'
bad negative.npy 'dimension 1 of its shape'
bad list.npy 'no tuple'
bad twice.npy 'key descr twice'
bad noshape.npy 'lacks'
bad after.npy 'text follows'
bad key.npy 'unknown key more'
bad order.npy 'neither True nor False'

two=$(entry a F32 2 0 8)
printf 'abc' >short.safetensors
{ number 8 99 && printf '{}'; } >head.safetensors
{ number 8 -1 && printf '{}'; } >head2.safetensors
{ number 8 20000000 && printf '{' && head -c 19999999 /dev/zero | tr '\0' ' '; } >huge.safetensors
printf $four | safe '{"a":' >json.safetensors
printf $four | safe '[1,2]' >array.safetensors
printf $four | safe "{$two,$(entry b F32 2 8 16)}x" >after.safetensors
printf $four | safe "{$two}" >longer.safetensors
printf 1234567 | safe "{$two}" >truncated.safetensors
printf $four | safe "{$(entry a I32 4 0 16)}" >int.safetensors
printf $four | safe "{$(entry a F32 4503599627370496,4096 0 16)}" >overflow.safetensors
printf $four | safe "{$(entry a F32 9223372036854775808 0 16)}" >number.safetensors
printf $four | safe "{$(entry a F32 -2 0 16)}" >negative.safetensors
printf $four | safe "{$(entry a F32 1.5 0 6)}" >fraction.safetensors
printf 123456781234 | safe "{$two,$(entry b F32 2 4 12)}" >overlap.safetensors
printf $four | safe "{$two,$(entry b F32 1 12 16)}" >hole.safetensors
printf $four | safe "{$two,$(entry b F32 2 12 20)}" >range.safetensors
printf $four | safe "{$(entry a F32 2 8 0)}" >backward.safetensors
printf $four | safe "{$(entry a F32 2 0 16)}" >size.safetensors
printf $four | safe "{$two,$(entry a F32 2 8 16)}" >twice.safetensors
printf $four | safe '{"a":{"dtype":"F32","dtype":"F32","shape":[4],"data_offsets":[0,16]}}' >twice2.safetensors
printf $four | safe '{"a":{"shape":[4],"data_offsets":[0,16]}}' >dtype.safetensors
printf $four | safe '{"a":{"dtype":"F32","shape":4,"data_offsets":[0,16]}}' >shape.safetensors
printf $four | safe '{"a":7}' >object.safetensors
printf '' | safe '{}' >none.safetensors
bad short.safetensors truncated
bad head.safetensors 'head has 99 bytes, but 2'
bad head2.safetensors 'head has 18446744073709551615 bytes'
bad huge.safetensors 'head has 20000000 bytes, more than'
bad json.safetensors 'no JSON'
bad array.safetensors 'no JSON object'
bad after.safetensors 'text follows'
bad longer.safetensors '8 bytes follow its last tensor'
bad truncated.safetensors 'truncated: tensor a ends at byte 8 of 7'
bad int.safetensors 'dtype I32'
bad overflow.safetensors 'more values than memory'
bad number.safetensors 'dimension 1 of its shape'
bad negative.safetensors 'dimension 1 of its shape'
bad fraction.safetensors 'dimension 1 of its shape'
bad overlap.safetensors 'tensor b begins at byte 4 .* ends at 8'
bad hole.safetensors 'tensor b begins at byte 12 .* from 8'
bad range.safetensors 'truncated: tensor b ends at byte 20 of 16'
bad backward.safetensors 'no data_offsets'
bad size.safetensors 'needs 8 bytes, but its data_offsets hold 16'
bad twice.safetensors 'tensor a is there twice'
bad twice2.safetensors 'key dtype twice'
bad dtype.safetensors 'no dtype'
bad shape.safetensors 'no shape'
bad object.safetensors 'no object'
bad none.safetensors 'holds no'
printf 12345 >odd.f32
printf '\0\0\xc0\x7f' >nan.f32
bad odd.f32 '5 bytes are not whole float32'
check "NaN is refused" one_line 1 'nan.f32: .*NaN' "$dtc" encode quant nan.f32 bad.dtc
check "compare refuses NaN" one_line 1 'nan.f32: tensor 0 : value 0 is NaN' "$dtc" compare --specs raw nan.f32
bad missing.npy 'cannot be opened'

# ---- bad packets, and files that cannot be written

./floats '<f4' 3,4 C >in
"$dtc" encode raw in good.dtc
head -c -1 good.dtc >cut.dtc
{ head -c 20 good.dtc && printf '\xff' && tail -c +22 good.dtc; } >damaged.dtc
{ cat good.dtc && printf trailer; } >trailer.dtc
printf '' >empty.dtc
npy '<f4' 3,5 C >other.npy
echo old >old
for name in cut trailer empty missing; do
    check "decode refuses $name.dtc" one_line 1 "$name.dtc: " "$dtc" decode $name.dtc out
done
check "decode refuses a damaged packet" one_line 1 'damaged.dtc: packet 0 at byte 0: .*checksum' "$dtc" decode damaged.dtc old
check "a failed command leaves the old file" grep -qx old old
check "decode refuses shapes of other tensors" one_line 1 'its 1 packets are not those of the 1 tensors' \
    "$dtc" decode --like other.npy good.dtc out
check "a full disk is an error" one_line 1 '/dev/full: cannot be written' "$dtc" decode good.dtc /dev/full
check "a missing directory is an error" one_line 1 'no/out: cannot be written' "$dtc" decode good.dtc no/out
check "a directory is no output" one_line 1 '/: is a directory' "$dtc" decode good.dtc ./

inspect_damage() {
    "$dtc" inspect damaged.dtc good.dtc trailer.dtc >log 2>error
    [ $? -eq 1 ] && cat log error && [ "$(grep -c ' bad ' log)" -eq 1 ] && [ "$(grep -c ' ok ' log)" -eq 2 ] &&
        [ "$(wc -l <error)" -eq 2 ] && grep -q '^dtc: damaged.dtc: packet 0 at byte 0: ' error &&
        grep -q '^dtc: trailer.dtc: packet 1 at byte 64: ' error
}
check "inspect names damaged packets and shows the others" inspect_damage

inspect_json() {
    tensors >in.safetensors
    "$dtc" encode quant:bits=6,checksum=0 in.safetensors $'odd\x1b"\xff.dtc' || return 1
    "$dtc" inspect --json good.dtc $'odd\x1b"\xff.dtc' >log && ./json <log && iconv -f UTF-8 log &&
        [ "$(grep -c '"offset"' log)" -eq 5 ] && grep -q '"checksum":.*"none"' log && grep -q '"rows":.*4,' log
}
check "inspect --json prints JSON" inspect_json

# ---- usage errors

misused() {
    check "exit code 2: dtc $2" one_line 2 "$1" "$dtc" $2
}
misused 'no command' ''
misused 'nothing: no such command' nothing
misused 'inspect takes' inspect
misused 'encode takes' 'encode raw in'
misused 'decode takes' 'decode a b c'
misused 'spec quant:bits=17' 'encode quant:bits=17 in out'
misused 'no such option' 'compare --best in'
misused 'no such option' 'inspect --json=1 good.dtc'
misused 'no such option' 'inspect --link 1Gbit good.dtc'
misused 'value is missing' 'compare in --specs'
misused 'spec none' 'compare --specs none in'
misused 'from npz' 'encode --from npz raw in out'
misused 'link is missing' 'plan --workers 3 in'
misused 'link 5: not a rate' 'plan --link 5 --workers 3 in'
misused 'workers is missing' 'plan --link 1Gbit in'
misused 'workers 0: not a number' 'plan --link 1Gbit --workers 0 in'
misused 'compute -1s: not a time' 'plan --link 1Gbit --workers 2 --compute -1s in'
misused 'names and shapes are needed' 'decode good.dtc out.safetensors'

# ---- compare, plan, plot, manual and completion

compare_ranks() {
    tensors >in.safetensors
    "$dtc" compare --specs 'raw;quant:bits=8 raw:type=bf16' in.safetensors >log && cat log || return 1
    [ "$(awk 'NR > 1 {print $(NF > 8 ? 2 : 1)}' log | tr -d '*' | xargs)" = 'quant:bits=8 raw:type=bf16 raw' ] || return 1
    "$dtc" compare --json in.safetensors >log && ./json <log && [ "$(grep -c '"spec"' log)" -ge 8 ]
}

# A file of 4 Mi values or more has a progress bar on a terminal, which is erased before the table.
draws_a_bar() {
    ./floats '<f4' 4194304 C >in
    "$dtc" compare --specs raw:type=bf16 in 2>error >log && cat error && [ ! -s error ] || return 1
    script -qec "'$dtc' compare --specs 'raw raw:type=bf16 raw:type=fp16' in" typescript </dev/null >log || return 1
    tr '\r' '\n' <typescript >lines
    [ "$(grep -oE '^\[#*\.*\] +[0-9]+ %$' lines | tr -d '#[].' | xargs)" = '0 % 33 % 66 % 100 %' ] || return 1
    grep -A 2 -E '^\[#{50}\] 100 %$' lines | tail -n 2 >end
    grep -qE '^ {58}$' end && grep -q '^ *codec  *bits' end
}

# The transfer of W workers with n values each: 4 n bytes, a packet's head and checksum of 16, a frame's head of 16.
plan_model() {
    ./floats '<f4' 1000 C >in
    "$dtc" plan --link 1kB --workers 5 --compute 2s --specs raw:type=bf16 in >log && cat log || return 1
    awk '$1 == "raw" {up = $6; down = $8; step = $10}
        $1 == "raw:type=bf16" && $2 == "same" {bf16 = $10; speedup = $11}
        function near(a, b) {return a - b < 0.01 * b && b - a < 0.01 * b}
        END {exit !(near(up, 4.032) && near(down, 20.16) && near(step, 26.192) && near(bf16, 14.192) &&
            near(speedup, 26.192 / 14.192))}' log || return 1
    grep -q 'pays most: raw:type=bf16, both ways' log || return 1
    "$dtc" plan --link 1kB --workers 5 --shared-uplink --residual --specs raw:type=bf16 in |
        awk '$1 == "raw" {exit !($6 > 20.1 && $6 < 20.2)}' || return 1
    "$dtc" plan --link 9000Gbit --workers 2 --specs quant:rate=1 in | grep 'pays most: none'
}

plots() {
    if command -v gnuplot >/dev/null; then
        "$dtc" compare --specs 'raw quant:bits=8' --plot out.svg in >log && grep -q '<svg' out.svg || return 1
        rm out.svg
    fi
    PATH=/nowhere "$dtc" compare --specs raw --plot out.svg in 2>error >log
    [ $? -eq 1 ] && cat error && [ "$(wc -l <error)" -eq 1 ] && grep -q '^dtc: out.svg: gnuplot is missing' error &&
        [ ! -e out.svg ]
}

manual() {
    "$root/examples/dtc/man.sh" "$dtc" >dtc.1 && grep -q '^\.TH DTC 1' dtc.1 || return 1
    for command in inspect encode decode compare plan; do
        "$dtc" $command --help >log && grep -q "^.SH \"DTC ${command^^}\"" dtc.1 && grep -q -- '--help' log || return 1
    done
    ! command -v man >/dev/null || [ -z "$(LC_ALL=C.UTF-8 man -l --warnings dtc.1 2>&1 >log)" ]
}

completes() {
    . "$root/examples/dtc/completion.bash"
    COMP_WORDS=("$dtc" de) COMP_CWORD=1
    _dtc && [ "${COMPREPLY[*]}" = decode ] || return 1
    COMP_WORDS=("$dtc" plan --w) COMP_CWORD=2
    _dtc && [ "${COMPREPLY[*]}" = --workers ] || return 1
    touch some_file
    COMP_WORDS=("$dtc" inspect some) COMP_CWORD=2
    _dtc && [ "${COMPREPLY[*]}" = some_file ]
}

check "compare ranks codecs by bits" compare_ranks
check "compare draws a progress bar on a terminal" draws_a_bar
check "plan prints the times of its model" plan_model
check "compare --plot draws, or says that gnuplot is missing" plots
check "the manual is made of the help" manual
check "bash completes commands, options and files" completes
exit $failed
