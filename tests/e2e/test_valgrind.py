# SPDX-License-Identifier: MIT
"""supd under valgrind: after a thousand restarts, nothing is lost of its memory, and no descriptor but those it began with."""
import os
import re
import shutil
import subprocess

from harness import main, test
from instance import service
from processes import DEADLINE, eventually, is_sanitized, skip

RESTARTS = 1000


def spawn_under_valgrind(t, *options):
    """As Supd.spawn(), with valgrind before it and its report in the file valgrind.log."""
    command = [
        "valgrind",
        "--leak-check=full",
        "--show-leak-kinds=definite,indirect,possible",
        "--track-fds=yes",
        "--child-silent-after-fork=yes",
        f"--log-file={t.path('valgrind.log')}",
        *t.command(*options),
    ]
    with open(t.log, "ab") as log:
        t.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=t.dir, start_new_session=True
        )
    eventually(t.answers, "supd answers under valgrind", 2 * DEADLINE)


@test(limit=500)
def a_thousand_restarts(t):
    if not shutil.which("valgrind"):
        skip("valgrind is not installed")
    if is_sanitized(os.environ["SUPD"]):
        skip("a program built with sanitizers does not run under valgrind")
    t.configure(
        service("no", ["/bin/false"], restart_delay="0"),
        service("yes", ["/bin/true"], restart_delay="0"),
        service("none", ["/nonexistent"], restart_delay="0"),
        t.sleeper("a"),
    )
    spawn_under_valgrind(t)

    def enough():
        return sum(s["restarts"] for s in t.all().values()) >= RESTARTS

    eventually(enough, f"{RESTARTS} restarts", 4 * DEADLINE)
    t.eq(t.status("a")["state"], "running", "the one that stays")
    t.ctl("restart", "a")
    t.ctl("reread", "--restart")
    t.eq(t.terminate(deadline=2 * DEADLINE), 0, "exit status")
    # Without what it says of system calls that it does not know.
    report = "".join(line for line in t.read("valgrind.log").splitlines(True) if line.startswith("=="))
    t.match(report[-400:], r"ERROR SUMMARY: 0 errors", "errors")
    lost = re.findall(r"(definitely|indirectly|possibly) lost: ([\d,]+) bytes", report)
    t.check(all(size == "0" for _, size in lost), f"lost: {lost}")
    # What it inherited is not its own; anything else that is open at the end was forgotten.
    own = [
        d
        for d in re.findall(r"Open (?:file descriptor|AF_UNIX socket) .*?(?=\n==\d+== \n)", report, re.S)
        if "<inherited from parent>" not in d
    ]
    t.check(not own, "open at the end: " + "; ".join(own))
    if t.failures:
        t.write("valgrind.log", report)


if __name__ == "__main__":
    main()
