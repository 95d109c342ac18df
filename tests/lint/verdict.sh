#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What the checks here say, as TAP; to be sourced.  None of these works in a subshell: the tests are counted.

number=0

# verdict COMPLAINTS NAME: it passes when there are none.
verdict()
{
    number=$((number + 1))
    if [ -z "$1" ]; then
        echo "ok $number - $2"
    else
        printf '%s\n' "$1" | sed 's/^/# /'
        echo "not ok $number - $2"
    fi
}

# result STATUS NAME: it passes when that is 0.
result()
{
    if [ "$1" -eq 0 ]; then
        verdict '' "$2"
    else
        verdict "status $1" "$2"
    fi
}

# untried NAME WHY
untried()
{
    number=$((number + 1))
    echo "ok $number - $1 # SKIP $2"
}

# Behind the last of them.
closed()
{
    echo "1..$number"
}
