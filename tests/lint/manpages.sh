#!/bin/sh
# SPDX-License-Identifier: MIT
#
# mandoc finds nothing to warn of in the man pages.
set -u

top_srcdir=${top_srcdir:-$(dirname "$0")/../..}
if ! command -v mandoc >/dev/null; then
    echo '1..0 # SKIP mandoc is not installed'
    exit 0
fi

number=0
for page in "$top_srcdir"/man/*.[1-8]; do
    number=$((number + 1))
    if complaints=$(mandoc -T lint -W warning "$page" 2>&1); then
        echo "ok $number - $(basename "$page")"
    else
        printf '%s\n' "$complaints" | sed 's/^/# /'
        echo "not ok $number - $(basename "$page")"
    fi
done
echo "1..$number"
