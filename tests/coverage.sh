#!/bin/bash
# coverage.sh FOLDER: of each room of dtcodec.h with lines that ran, or might have, in dtcodec.o of the folder, prints
# how many of the lines of its readers ran; and then every line of a reader that did not. A reader is a function that is
# named for what reading does, see the verbs in .github/CONTRIBUTING.md.
set -u
folder=$1
gcov -t -o "$folder" "$folder/dtcodec.o" 2>/dev/null | awk -F: '
    function trim(text) { gsub(/^ +| +$/, "", text); return text }
    { number = trim($2) + 0; text = substr($0, index($0, $2) + length($2) + 1); ran = trim($1) }
    number == 0 { source = text ~ /dtcodec\.h$/ || (source && text !~ /^Source/); next }
    !source { next }
    text ~ /^\/\* ------------------/ { banner = 1; next }
    banner { room = trim(substr(text, 3)); sub(/:.*/, "", room); banner = 0 }
    text ~ /^(DTCI_[A-Z0-9]+|static) .*\(/ && text !~ /;$/ {
        name = text; sub(/\(.*/, "", name); sub(/.*[ *]/, "", name)
        reader = name ~ /_(read|peek|check|open|valid|verify|decode|emit|unpack|split|start|build|describe|inspect|get|take|refill|skip|of|sort|step|pair|fast|long|next)($|_)/ && name !~ /_(encode|write|choose|pack)/
    }
    !reader || ran == "-" { next }
    { lines[room]++; if (!(room in order)) { order[room] = ++rooms; rooms_by[rooms] = room } }
    ran == "#####" || ran == "=====" { missed[room]++; list[++missing] = sprintf("%6d  %s", number, text) }
    END {
        for (i = 1; i <= rooms; i++)
            printf "%-60s %4d of %4d lines\n", rooms_by[i], lines[rooms_by[i]] - missed[rooms_by[i]], lines[rooms_by[i]]
        for (i = 1; i <= missing; i++) print list[i]
        exit !rooms
    }'
