#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Every source and test is named in the build (else it is neither built, run nor shipped), says its licence, and is of
# a size that can be read in one go; the mutants of tests/mutants follow the source.
set -u

top_srcdir=${top_srcdir:-$(dirname "$0")/../..}
# shellcheck source=tests/lint/verdict.sh
. "$top_srcdir/tests/lint/verdict.sh"
cd "$top_srcdir" || exit 1
LINES_MAX=700

named_in()
{
    makefile=$1
    while read -r file; do
        grep -qE "(^|[[:space:]])$file([[:space:]]|\$)" "$makefile" || echo "$file is not named in $makefile"
    done
}

verdict "$(find src -name '*.[ch]' | sort | named_in Makefile.am)" 'every source file is in Makefile.am'

verdict "$(
    find tests/unit tests/os -name 'test_*.c' 2>/dev/null | sed 's/\.c$//' | sort | named_in tests/tests.am
    find tests/sim tests/fuzz -name '*.[ch]' 2>/dev/null | sort | named_in tests/tests.am
    find tests/bench tests/crash tests/e2e tests/suplog tests/systemd tests/vm tests/lint \
        \( -name '*.py' -o -name '*.sh' -o -name '*.[ch]' \) \
        2>/dev/null | grep -v __pycache__ | sort | named_in tests/tests.am
)" 'every test is in tests/tests.am'

verdict "$(find src tests \( -name '*.[ch]' -o -name '*.py' -o -name '*.sh' \) | sort | while read -r file; do
    head -n 2 "$file" | grep -q 'SPDX-License-Identifier: MIT' || echo "$file: no SPDX-License-Identifier: MIT on top"
done)" 'every file says its licence'

verdict "$(find src -name '*.[ch]' | sort | while read -r file; do
    lines=$(wc -l <"$file")
    [ "$lines" -le "$LINES_MAX" ] || echo "$file: $lines lines; past some 500 a file is two files"
done)" 'no source file is overlong'

if command -v patch >/dev/null; then
    verdict "$(for mutant in tests/mutants/*.patch; do
        patch -p1 --dry-run --silent --force --fuzz=0 <"$mutant" >/dev/null 2>&1 || echo "$mutant does not apply: make it anew"
    done)" 'every mutant can be made'
else
    untried 'every mutant can be made' 'no patch(1): apt-get install patch'
fi

closed
