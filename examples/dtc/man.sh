#!/bin/sh
# man.sh DTC: prints the manual page of dtc, made of what DTC --help, DTC COMMAND --help and DTC --version print.
set -eu
dtc=$1

# Text as it stands, for roff: backslashes, dashes, and the characters that begin a request are escaped.
verbatim() {
    printf '.nf\n'
    sed -e 's/\\/\\e/g' -e 's/-/\\-/g' -e "s/^[.']/\\\\\&&/"
    printf '.fi\n'
}

help=$("$dtc" --help)
printf '.TH DTC 1 "" "%s" "User Commands"\n' "$("$dtc" --version | cut -d , -f 1)"
printf '.SH NAME\n%s\n' "$(printf '%s\n' "$help" | head -n 1 | sed 's/^dtc: /dtc \\- /')"
printf '.SH SYNOPSIS\n.B dtc\nCOMMAND [OPTIONS] ARGUMENTS...\n.SH DESCRIPTION\n'
printf '%s\n' "$help" | tail -n +3 | verbatim
for command in $(printf '%s\n' "$help" | sed -n 's/^  dtc \([a-z]*\) .*/\1/p'); do
    printf '.SH "DTC %s"\n' "$(printf '%s' "$command" | tr '[:lower:]' '[:upper:]')"
    "$dtc" "$command" --help | verbatim
done
