#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Each configuration in conf/ says in its first line what it is, is installed, and can be read by supd.
set -u

: "${SUPD:?}"
top_srcdir=${top_srcdir:-$(dirname "$0")/../..}
# shellcheck source=tests/lint/verdict.sh
. "$top_srcdir/tests/lint/verdict.sh"

for file in "$top_srcdir"/conf/examples/*.conf; do
    name=$(basename "$file")
    verdict "$("$SUPD" --check -c "$file" 2>&1 >/dev/null || echo "supd --check refuses it")" "$name can be read"
    verdict "$(head -n 1 "$file" | grep -q "^# $name: " || echo 'its first line does not tell what it is')" "$name tells what it is"
    verdict "$(grep -q "conf/examples/$name" "$top_srcdir/Makefile.am" || echo 'it is not in Makefile.am')" "$name is installed"
done
closed
