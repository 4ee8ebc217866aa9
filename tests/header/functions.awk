# Prints "LINES PARAMETERS NAME" for each function that a header defines, those that its macros define among them. LINES
# are from the line of the opening brace to that of the closing brace. Relies on the format of clang-format: a function
# starts and ends in the first column, or in the fifth within a macro.
function parameters(text,    depth, count, i, c) {
    gsub(/__attribute__\(\([^()]*(\([^()]*\))*[^()]*\)\) */, "", text)
    i = index(text, "(")
    name = i ? substr(text, 1, i - 1) : text
    sub(/ *(\{|parameters).*$/, "", name)
    sub(/^.*[ *]/, "", name)
    if (!i || substr(text, i) ~ /^\((void)?\)/) return 0
    for (count = 1; i <= length(text); i++) {
        c = substr(text, i, 1)
        depth += c == "("
        depth -= c == ")"
        if (c == "," && depth == 1) count++
        if (!depth) break
    }
    return count
}

{
    line = $0
    continued = sub(/[ \t]*\\$/, "", line)
    if (line ~ /^#/) {
        macro = continued
        heading = ""
        next
    }
    if (macro && !sub(/^    /, "", line)) line = ""
    if (!continued) macro = 0
}

opened {
    if (line ~ /^}/) {
        print NR - opened + 1, count, name
        opened = 0
    }
    next
}

line ~ /^(typedef|struct|enum|union)[ {]/ || line ~ /^extern "C"/ {heading = ""; next}
line ~ /^[A-Za-z_]/ {heading = ""; reading = 1}
line ~ /^[^ A-Za-z_]/ {reading = 0}
!reading {next}
{heading = heading " " line}
line ~ /;$/ || heading ~ /=/ {reading = 0; next}
line ~ /\{$/ {
    count = parameters(heading)
    opened = NR
    reading = 0
}
