#!/bin/sh
# SPDX-License-Identifier: MIT
#
# mandoc finds nothing to warn of in the man pages.
set -u

top_srcdir=${top_srcdir:-$(dirname "$0")/../..}
# shellcheck source=tests/lint/verdict.sh
. "$top_srcdir/tests/lint/verdict.sh"
if ! command -v mandoc >/dev/null; then
    echo '1..0 # SKIP mandoc is not installed'
    exit 0
fi

for page in "$top_srcdir"/man/*.[1-8]; do
    verdict "$(mandoc -T lint -W warning "$page" 2>&1)" "$(basename "$page")"
done
closed
