#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What can be configured or given on a command line is documented: each key of a service and each setting in
# supd.conf(5) and, as a sample, in conf/supd.conf; each option that --help names in the program's man page, and each
# command of supctl in supctl(1).  The lists come from the programs themselves.
set -u

: "${SUPD:?}" "${SUPCTL:?}" "${PRINT_KEYS:?}"
top_srcdir=${top_srcdir:-$(dirname "$0")/../..}
# shellcheck source=tests/lint/verdict.sh
. "$top_srcdir/tests/lint/verdict.sh"

# A man page as text: escapes and macros that could part a word are gone, "\-" is "-".
page_text()
{
    sed -e 's/\\-/-/g' -e 's/\\f[A-Z]//g' -e 's/\\&//g' -e 's/^\.Fl /&-/' -e 's/ Fl / -/g' -e 's/--\( *-\)/\1/g' "$1"
}

# documented PAGE WORD: WORD stands there as a word of its own.
documented()
{
    page_text "$1" | grep -qE -e "(^|[^A-Za-z0-9_-])$2([^A-Za-z0-9_-]|\$)"
}

# An option may be written as roff text or with the Fl macro, which puts the first dash itself.
option_documented()
{
    documented "$1" "$2" || grep -qE -e "Fl (Fl )?${2#-}([^A-Za-z0-9_-]|\$)" "$1" ||
        grep -qE -e "Fl -?${2#--}([^A-Za-z0-9_-]|\$)" "$1"
}

keys=$("$PRINT_KEYS")
result $? 'the tables of keys and settings can be listed'
conf_page=$top_srcdir/man/supd.conf.5
sample=$top_srcdir/conf/supd.conf

missing=
for key in $(printf '%s\n' "$keys" | awk '$1 == "service" || $1 == "setting" { print $2 }'); do
    key=${key##*.}
    documented "$conf_page" "$key" || missing="$missing $key"
done
[ -n "$missing" ] && echo "# not in supd.conf(5):$missing"
[ -z "$missing" ]
result $? 'every key and setting is in supd.conf(5)'

missing=
for key in $(printf '%s\n' "$keys" | awk '$1 == "service" || $1 == "setting" { print $2 }'); do
    key=${key##*.}
    grep -qE "^[#[:space:]]*${key}[[:space:]]*=" "$sample" || missing="$missing $key"
done
[ -n "$missing" ] && echo "# not in conf/supd.conf:$missing"
[ -z "$missing" ]
result $? 'every key and setting is sampled in conf/supd.conf'

# options_of PROGRAM: what its --help names.
options_of()
{
    "$1" --help 2>&1 | grep -oE -e '(^|[[:space:],[|])--?[A-Za-z][A-Za-z-]*' | sed 's/^[^-]*//' | sort -u
}

for program in "$SUPD" "$SUPCTL"; do
    name=$(basename "$program")
    page=$(ls "$top_srcdir/man/$name".[18])
    options=$(options_of "$program")
    [ -n "$options" ]
    result $? "$name --help names options"
    missing=
    for option in $options; do
        option_documented "$page" "$option" || missing="$missing $option"
    done
    [ -n "$missing" ] && echo "# not in $(basename "$page"):$missing"
    [ -z "$missing" ]
    result $? "every option of $name is in $(basename "$page")"
done

commands=$("$SUPCTL" --help 2>&1 | awk 'tolower($0) ~ /^commands/ { inside = 1; next } inside && /^  [a-z]/ { print $1 }')
[ -n "$commands" ]
result $? 'supctl --help names commands'
missing=
for command in $commands; do
    documented "$top_srcdir/man/supctl.1" "$command" || missing="$missing $command"
done
[ -n "$missing" ] && echo "# not in supctl.1:$missing"
[ -z "$missing" ]
result $? 'every command of supctl is in supctl.1'
closed
