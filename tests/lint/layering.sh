#!/bin/sh
# SPDX-License-Identifier: MIT
#
# A folder is a layer (docs/architecture.md): a file includes only from its own layer or from one below; libevent stays
# in src/loop, libconfuse in src/os/config*, and src/core calls nothing that asks the system.
set -u

top_srcdir=${top_srcdir:-$(dirname "$0")/../..}
# shellcheck source=tests/lint/verdict.sh
. "$top_srcdir/tests/lint/verdict.sh"
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM

# Prints each offending include under DIR/src as FILE:LINE: why.
bad_includes()
{
    # shellcheck disable=SC2016 # the fields are awk's
    find "$1/src" -name '*.[ch]' | sort | xargs awk -v root="$1/" '
    function complain(why) { print where ":" FNR ": " why }
    BEGIN {
        rank["base"] = 1; rank["core"] = 2; rank["os"] = 3; rank["loop"] = 4; rank["supd"] = 5; rank["supctl"] = 5; rank["suplog"] = 5
        n = split("assert ctype errno fnmatch float inttypes jansson limits math signal stdarg stdbool stddef stdint " \
                  "stdio stdlib string strings uthash arpa/inet", words, " ")
        for (i = 1; i <= n; i++)
            pure[words[i] ".h"] = 1
    }
    FNR == 1 {
        where = substr(FILENAME, length(root) + 1)
        split(where, part, "/")
        layer = part[2]
    }
    /^[ \t]*#[ \t]*include[ \t]*"/ {
        split($0, quoted, "\"")
        target = quoted[2]
        split(target, part, "/")
        from = part[1]
        if (!(from in rank) || target !~ "/")
            complain("\"" target "\": write it as \"layer/file.h\"")
        else if (layer == "supctl" && from != "supctl" && from != "base" && target != "core/proto.h")
            complain("\"" target "\": supctl includes base/ and core/proto.h only")
        else if (layer == "suplog" && from != "suplog" && from != "base" && target !~ /^core\/log_(stream|match)[.]h$/)
            complain("\"" target "\": suplog includes base/, core/log_stream.h and core/log_match.h only")
        else if (from != layer && rank[from] >= rank[layer])
            complain("\"" target "\" lies above " layer "/")
    }
    /^[ \t]*#[ \t]*include[ \t]*</ {
        split($0, part, /[<>]/)
        target = part[2]
        if (target ~ /^(event2\/|event[.]h|evutil|evdns|evhttp)/ && layer != "loop")
            complain("<" target ">: libevent belongs to src/loop")
        else if (target == "confuse.h" && where !~ /^src\/os\/config[^\/]*[.]c$/)
            complain("<" target ">: libconfuse belongs to src/os/config*.c")
        else if (target == "jansson.h" && (layer == "base" || layer == "os" || layer == "loop"))
            complain("<" target ">: " layer "/ knows nothing of JSON")
        else if (layer == "core" && !(target in pure))
            complain("<" target ">: core/ is pure; a header that is none of the system is added in tests/lint/layering.sh")
    }'
}

# Prints what the objects of libsupdcore.a call of the system.
impure_calls()
{
    nm -u "$1" | awk '
    BEGIN {
        n = split("open openat creat close read write pread pwrite fopen fopen64 fdopen stat fstat lstat access unlink " \
                  "rename mkdir fork vfork clone clone3 execve execv execvp posix_spawn system popen kill raise signal " \
                  "sigaction waitpid waitid wait4 pipe pipe2 dup dup2 socket connect send recv poll select epoll_wait " \
                  "ioctl mmap getpid getuid geteuid getpwnam getgrnam getenv secure_getenv setenv time clock_gettime " \
                  "gettimeofday localtime localtime_r sleep usleep nanosleep syscall rand random getrandom", words, " ")
        for (i = 1; i <= n; i++)
            system_call[words[i]] = 1
    }
    /[.]o:$/ { object = $1 }
    $1 == "U" { sub(/@.*/, "", $2); if ($2 in system_call) print object " " $2 "()" }'
}

# plant FILE LINE: the check must complain about this line, and about it alone.
plant()
{
    rm -rf "$scratch/src"
    mkdir -p "$scratch/$(dirname "$1")"
    printf '/* SPDX */\n#include <stddef.h>\n%s\n' "$2" >"$scratch/$1"
    bad_includes "$scratch" >"$scratch/out"
    grep -q "^$1:3: " "$scratch/out" && [ "$(wc -l <"$scratch/out")" -eq 1 ]
    result $? "the check sees $2 in $1"
}

allow()
{
    rm -rf "$scratch/src"
    mkdir -p "$scratch/$(dirname "$1")"
    echo "$2" >"$scratch/$1"
    bad_includes "$scratch" >"$scratch/out"
    [ ! -s "$scratch/out" ]
    result $? "the check lets $2 in $1 pass"
}

bad_includes "$top_srcdir" >"$scratch/found"
sed 's/^/# /' "$scratch/found"
[ ! -s "$scratch/found" ]
result $? 'no include runs upward, and each library stays in its place'

library=${top_builddir:-.}/libsupdcore.a
if [ -e "$library" ] && command -v nm >/dev/null; then
    impure_calls "$library" >"$scratch/found"
    sed 's/^/# /' "$scratch/found"
    [ ! -s "$scratch/found" ]
    result $? 'core/ calls nothing that asks the system'
else
    result 0 "core/ calls nothing that asks the system # SKIP no $library or no nm"
fi

plant src/core/x.c '#include "os/clock.h"'
plant src/base/x.h '#include "core/spec.h"'
plant src/os/x.c '  #  include "loop/loop.h"'
plant src/loop/x.c '#include "supd/supervisor.h"'
plant src/supctl/x.c '#include "core/record.h"'
plant src/supctl/x.c '#include "loop/loop.h"'
plant src/suplog/x.c '#include "os/procfs.h"'
plant src/os/x.c '#include "x.h"'
plant src/os/x.c '#include <event2/event.h>'
plant src/supd/x.c '#include <event.h>'
plant src/os/spawn.c '#include <confuse.h>'
plant src/loop/x.c '#include <jansson.h>'
plant src/core/x.c '#include <unistd.h>'
plant src/core/x.h '#include <time.h>'
allow src/os/config_read.c '#include <confuse.h>'
allow src/loop/x.c '#include <event2/event.h>'
allow src/supd/x.c '#include "base/log.h"'
allow src/supctl/x.c '#include "core/proto.h"'
closed
