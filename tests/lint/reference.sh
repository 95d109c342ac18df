#!/bin/sh
# SPDX-License-Identifier: MIT
#
# supd.conf(5) is a reference: the entry of each key of a service has its type, its default, since when it is there,
# what systemd and supervisord call it, and an example, which supd itself can read.
set -u

: "${SUPD:?}" "${PRINT_KEYS:?}"
top_srcdir=${top_srcdir:-$(dirname "$0")/../..}
# shellcheck source=tests/lint/verdict.sh
. "$top_srcdir/tests/lint/verdict.sh"
page=$top_srcdir/man/supd.conf.5
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT

# The entry of KEY of a service, from its .It to the next one or to the end of its list; a list within it belongs to it.
entry_of()
{
    awk -v key="$1" '
        inside && /^\.Bl/ { depth++ }
        inside && depth == 0 && (/^\.It/ || /^\.El/) { exit }
        inside && /^\.El/ { depth-- }
        inside { print }
        /^\.Sh SERVICES/ { services = 1 } # what stands before it has keys of the same name
        services && $1 == ".It" && $2 == "Ic" && $3 == key { inside = 1 }' "$page"
}

# The example of an entry as it is written in a file.
example_of()
{
    awk '
        /^\.Dl / { sub(/^\.Dl /, ""); print }
        /^\.Ed/ { inside = 0 }
        inside { print }
        /^\.Bd -literal/ { inside = 1 }' | sed -e 's/\\(dq/"/g' -e "s/\\\\(aq/'/g" -e 's/\\-/-/g' -e 's/\\&//g' -e 's/\\e/\\/g'
}

keys=$("$PRINT_KEYS" | awk '$1 == "service" { print $2 }')
[ -n "$keys" ] || keys='none-are-listed'

verdict "$(for key in $keys; do
    entry=$(entry_of "${key##*.}")
    [ -n "$entry" ] || { echo "$key has no entry"; continue; }
    for field in Type Default Since systemd supervisord; do
        printf '%s\n' "$entry" | grep -qE "^$field: .*\\.\$" || echo "the entry of $key has no line '$field: ... .'"
    done
    printf '%s\n' "$entry" | example_of | grep -qE "(^|[ {])${key##*.} *[={]" || echo "the entry of $key has no example"
done)" 'the entry of each key is complete'

# Each example is a service of its own, named after the key: so an error tells whose it is.  What this machine does not
# have (users, other services, rights) is no fault of an example.
for key in $keys; do
    case $key in
        *.*) continue ;; # within a section of its own, which the example of the section shows
        command) entry_of "$key" | example_of | head -n 1 | sed 's/.*/service "command" { & }/' ;;
        *) entry_of "$key" | example_of | sed "1s|^|service \"$key\" {\\ncommand = /bin/true\\n|; \$s|\$|\\n}|" ;;
    esac
done >"$scratch/examples.conf"
complaints=$("$SUPD" --check -c "$scratch/examples.conf" 2>&1)
status=$?
complaints=$(printf '%s\n' "$complaints" | grep -vE "no errors|there is no |only root|\\(needs |no such processor")
if [ $status -gt 1 ]; then
    complaints="supd --check ended with $status $complaints"
fi
verdict "$complaints" 'every example can be read'

# ---- docs/coming-from.md: the same names the other way round ----

guide=$top_srcdir/docs/coming-from.md

# WHOSE: "SETTING KEY" of each line "systemd: A, B (when)." in the man page that names one.
settings_in_page()
{
    awk -v whose="$1:" '
        $1 == ".It" && $2 == "Ic" { key = $3 }
        $1 == whose {
            line = substr($0, length(whose) + 1)
            gsub(/\([^)]*\)/, "", line)
            n = split(line, pieces, ",")
            for (i = 1; i <= n; i++) {
                split(pieces[i], words, /[ =.]+/)
                word = words[1] == "" ? words[2] : words[1]
                if (whose == "systemd:" ? word ~ /^[A-Z][A-Za-z0-9]+$/ : word ~ /^[a-z_-]+$/ && word != "none")
                    print word, key
            }
        }' "$page" | sort
}

# WHOSE: the same of the rows "| `SETTING=` | `key` | words |" below the heading, with the words behind.
rows_of_guide()
{
    awk -F '|' -v whose="$1" '
        /^## / { inside = $0 == "## From " whose }
        /^\| *(systemd|supervisord) *\|/ { table = 1 }
        !/^\|/ { table = 0 }
        inside && table {
            n = split($2, settings, "`")
            m = split($3, keys, "`")
            for (i = 2; i <= n; i += 2) {
                sub(/=.*/, "", settings[i])
                for (j = 2; j <= m; j += 2)
                    if (keys[j] ~ /^[a-z-]+$/)
                        print settings[i], keys[j], $4
            }
        }' "$guide"
}

for whose in systemd supervisord; do
    settings_in_page "$whose" >"$scratch/page"
    rows_of_guide "$whose" >"$scratch/guide"
    cut -d ' ' -f 1,2 "$scratch/guide" | sort -u >"$scratch/rows"
    verdict "$(
        [ -s "$scratch/page" ] || echo "no setting of $whose is found in supd.conf(5)"
        comm -23 "$scratch/page" "$scratch/rows" | sed 's/\(.*\) \(.*\)/no row of docs\/coming-from.md says that \1 is here \2/'
    )" "what supd.conf(5) calls $whose's is in docs/coming-from.md"
    verdict "$(while read -r setting key words; do
        entry=$(entry_of "$key")
        case "$words" in
        'not yet'*) [ -z "$entry" ] || echo "docs/coming-from.md says of $setting not yet, but $key is there" ;;
        *)
            if printf '%s\n' "$keys" | grep -qE "(^|[.])$key\$"; then
                printf '%s\n' "$entry" | grep -E "^$whose:" | grep -qwF -e "$setting" ||
                    echo "the entry of $key in supd.conf(5) does not name $setting"
            fi
            ;;
        esac
    done <"$scratch/guide")" "what docs/coming-from.md says of $whose is in supd.conf(5)"
done

awk '/^```conf/ { inside = 1; next } /^```/ { inside = 0 } inside' "$guide" >"$scratch/guide.conf"
verdict "$([ -s "$scratch/guide.conf" ] || echo 'there is none'
    "$SUPD" --check -c "$scratch/guide.conf" 2>&1 | grep -vE 'no errors|there is no |only root')" \
    'every example of docs/coming-from.md can be read'
closed
