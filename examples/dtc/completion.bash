# Completion of dtc for bash: source this file, or put it into /usr/share/bash-completion/completions as dtc. The words
# come from the program's own help.
_dtc() {
    local dtc=${COMP_WORDS[0]} word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} words=
    if [ "$COMP_CWORD" -eq 1 ]; then
        words="$("$dtc" --help 2>/dev/null | sed -n 's/^  dtc \([a-z]*\) .*/\1/p') --help --version"
    elif [ "$before" = --from ]; then
        words='auto raw npy safetensors'
    elif [[ $word == -* ]]; then
        words=$("$dtc" "${COMP_WORDS[1]}" --help 2>/dev/null | sed -n 's/^  \(--[a-z-]*\).*/\1/p')
    elif [ "${COMP_WORDS[1]}" = encode ] && [ "$COMP_CWORD" -eq 2 ]; then
        words='raw ternary quant factor sensing circulant'
    fi
    if [ -n "$words" ]; then
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
    else
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
    fi
}
complete -o filenames -F _dtc dtc
