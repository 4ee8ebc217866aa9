#!/bin/bash -eu
# Builds the fuzz targets for OSS-Fuzz: it gives CC, CFLAGS, LIB_FUZZING_ENGINE and OUT, and runs this in the top folder.
# The target safetensors needs cJSON and is left out. Copies of the header are those of the Makefile.
work=$(mktemp -d)
flags=(-std=c99 -D_POSIX_C_SOURCE=200809L -I.)
read -ra user <<<"$CFLAGS"
flags+=("${user[@]}")
common=examples/common

"$CC" "${flags[@]}" -c tests/header/implement.c -o "$work/dtcodec.o"
"$CC" "${flags[@]}" -DCOPY=copy_plain -DDTC_NO_SIMD -c fuzz/copies.c -o "$work/copy-plain.o"
"$CC" "${flags[@]}" -DCOPY=copy_common '-DDTCI_CPU_HAS(feature)=0' -c fuzz/copies.c -o "$work/copy-common.o"
"$CC" "${flags[@]}" -DCOPY=copy_best -c fuzz/copies.c -o "$work/copy-best.o"
cc -std=c99 -I. fuzz/seeds.c -o "$work/seeds" -lm

for source in fuzz/*.c; do
    target=$(basename "$source" .c)
    sources=("$source" "$work/dtcodec.o")
    libraries=(-lm)
    case $target in
    replay | seeds | safetensors) continue ;;
    copies) sources+=("$work"/copy-*.o) ;;
    frames) sources+=("$common"/transport/{connection,security}.c "$common"/{clock,error,memory}.c)
        libraries+=(-lcrypto)
        ;;
    hello) sources+=("$common/transport/hello.c" "$common/settings_text.c") ;;
    npy) sources+=(examples/dtc/npy.c examples/dtc/array.c "$common/error.c") ;;
    esac
    "$CC" "${flags[@]}" "${sources[@]}" "$LIB_FUZZING_ENGINE" -o "$OUT/$target" "${libraries[@]}"
    mkdir -p "$work/corpus/$target"
    cp fuzz/dtcodec.dict "$OUT/$target.dict"
done
mkdir -p "$work/corpus/safetensors"
(cd "$work/corpus" && ../seeds)
for folder in "$work"/corpus/*; do
    target=$(basename "$folder")
    [ ! -d "fuzz/regressions/$target" ] || cp "fuzz/regressions/$target"/* "$folder"
    [ ! -e "$OUT/$target" ] || [ -z "$(ls "$folder")" ] || zip -qj "$OUT/${target}_seed_corpus.zip" "$folder"/*
done
rm -rf "$work"
