#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What the completions of shells offer is what the programs take: all commands, for each command the options that it
# accepts and no others, the names of services.  bash's are run, and zsh's where it is there.
set -u

: "${SUPD:?}" "${SUPCTL:?}"
LC_ALL=C
export LC_ALL
top_srcdir=${top_srcdir:-$(dirname "$0")/../..}
# shellcheck source=tests/lint/verdict.sh
. "$top_srcdir/tests/lint/verdict.sh"
top_srcdir=$(cd "$top_srcdir" && pwd)
if ! command -v bash >/dev/null; then
    echo '1..0 # SKIP bash is not installed'
    exit 0
fi
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT

# A supctl that knows services, without a supd; everything else is asked of the real one.
mkdir "$scratch/bin"
cat >"$scratch/bin/supctl" <<END
#!/bin/sh
case "\$*" in
*status) printf 'NAME STATE\nweb@1 running\nweb@2 running\ndb running\n' ;;
*) exec '$SUPCTL' "\$@" ;;
esac
END
chmod +x "$scratch/bin/supctl"
ln -s "$SUPD" "$scratch/bin/supd"
PATH=$scratch/bin:$PATH
export PATH
cat >"$scratch/complete.bash" <<'END'
source "$1/completions/bash/supctl"
source "$1/completions/bash/supd"
COMP_WORDBREAKS=$' \t\n"\'@><=;|&(:'
while IFS= read -r COMP_LINE; do
    COMP_POINT=${#COMP_LINE}
    read -ra COMP_WORDS <<<"$COMP_LINE"
    [[ $COMP_LINE == *' ' ]] && COMP_WORDS+=('')
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    COMPREPLY=()
    "_${COMP_WORDS[0]}"
    echo "$COMP_LINE|$(printf '%s\n' "${COMPREPLY[@]}" | sort | tr '\n' ' ')"
done
END

# same GOT WANTED NAME
same()
{
    printf '%s\n' "$1" >"$scratch/got"
    printf '%s\n' "$2" >"$scratch/wanted"
    verdict "$(diff -u "$scratch/wanted" "$scratch/got")" "$3"
}

offered()
{
    bash "$scratch/complete.bash" "$top_srcdir" 2>&1
}

commands=$("$SUPCTL" --help | awk '/^Commands:/ { inside = 1; next } inside && /^  [a-z]/ { print $1 } inside && NF == 0 { exit }')
long=$("$SUPCTL" --help | grep -oE -e '--[a-z-]+ ' | sort -u | tr -d ' ' | grep -vE -e '^--(help|version|socket)$')

same "$(echo 'supctl ' | offered)" "supctl |$(printf '%s\n' "$commands" | sort | tr '\n' ' ')" 'every command is offered'
same "$(printf '%s\n' 'supctl sta' 'supctl -s /x sto' 'supctl --timeout 5s shu' | offered)" \
    'supctl sta|start status 
supctl -s /x sto|stop 
supctl --timeout 5s shu|shutdown ' 'the beginning of a command is completed, after options too'

# What a command takes is found out by giving it each: one that does not fit is refused before anything else.
wanted=$(for command in $commands; do
    taken='--help --socket --version -V -h -s'
    for option in $long; do
        case $option in
        --timeout | --interval | --lines | --since | --until | --grep) value=1s ;;
        *) value= ;;
        esac
        "$SUPCTL" -s "$scratch/nobody" "$command" "$option" $value 2>&1 </dev/null | grep -q 'does not go with' || taken="$taken $option"
    done
    [ "$command" != logs ] || taken="$taken -f -n"
    echo "supctl $command -|$(printf '%s\n' $taken | sort | tr '\n' ' ')"
done)
same "$(printf 'supctl %s -\n' $commands | offered)" "$wanted" 'of each command those options are offered that it takes'

same "$(printf '%s\n' 'supctl stop ' 'supctl status db w' 'supctl restart web@' 'supctl signal ' 'supctl signal HUP d' \
    'supctl info ' 'supctl stop --timeout ' | offered | sed 's/HUP INT.*/HUP .../')" \
    'supctl stop |db web web@1 web@2 
supctl status db w|web web@1 web@2 
supctl restart web@|1 2 
supctl signal |CONT HUP ...
supctl signal HUP d|db 
supctl info | 
supctl stop --timeout | ' 'names of services, instances too, and signals'

same "$(echo 'supd --' | offered)" \
    "supd --|$("$SUPD" --help | grep -oE -e '--[a-z-]+ ' | sort -u | tr -d ' ' | sort | tr '\n' ' ')" 'options of supd'

if command -v zsh >/dev/null; then
    cat >"$scratch/complete.zsh" <<'END'
compadd() { shift; print -r -- ${(o)@} }
offered() { local words=("$@") CURRENT=$#; source $completions/zsh/_supctl }
offered supctl ''
offered supctl --json stop --timeout 5s -
offered supctl -s /x stop ''
END
    same "$(completions=$top_srcdir/completions zsh -f "$scratch/complete.zsh" 2>&1)" \
        "$(printf '%s\n' "$commands" | sort | tr '\n' ' ' | sed 's/ $//')
--help --json --no-wait --socket --timeout --version -V -h -s
db web web@1 web@2" 'zsh offers the same'
else
    untried 'zsh offers the same' 'zsh is not installed'
fi
closed
