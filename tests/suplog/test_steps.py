#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""suplog is killed at its k-th system call, of any of its threads, while it writes and rotates; nothing may be lost.

    test_steps.py                 some points of each way, chosen by $CRASH_SEED
    test_steps.py all [WAY]...    every point
    test_steps.py WAY POINT       one, as a failure names it
"""
import os
import random
import re
import shutil
import socket
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))

from harness import comment  # noqa: E402
from instance import Supd  # noqa: E402
from logger import Logger, json_text, stream  # noqa: E402
from processes import DEADLINE, Failed, Skip  # noqa: E402

NEVER = 1 << 40
SAMPLE = 12
LINES = [b"%04d %s\n" % (i, b"x" * (i * 7919 % 90)) for i in range(120)]
HEAD = rb"(?m)^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z "


WAYS = {
    "plain": ({}, lambda text: text),
    "stamped": ({"timestamp": "rfc3339"}, lambda text: re.sub(HEAD, b"", text)),
    "json": ({"format": "json"}, lambda text: json_text(text, lambda line: line + b"\n" in LINES)),
    "compressed": ({"compress": True}, lambda text: text),
    "watched": ({}, lambda text: text),
    "watched and stamped": ({"timestamp": "rfc3339"}, lambda text: re.sub(HEAD, b"", text)),
}
# The line that is waited for in those two: the last; the same stands in the text of the life before.
BEFORE = LINES[-1] * 20


class Stepper:
    """A suplog that is killed at its point-th system call."""

    def __init__(self, logger, point):
        ours, theirs = socket.socketpair()
        ours.settimeout(DEADLINE)
        # A sanitizer that looks for leaks with ptrace(2) cannot do that in a process that is traced.
        env = dict(os.environ, ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0")
        logger.start([os.environ["STEPPER"], str(theirs.fileno()), str(point), "go"], pass_fds=[theirs.fileno()], env=env)
        theirs.close()
        self.logger = logger
        self.said = ours.makefile("r")
        self.socket = ours

    def outcome(self):
        """Once it is dead, or has nothing to do any more: how many system calls that took."""
        try:
            self.socket.sendall(b"quiet\n")
        except BrokenPipeError:  # it has been killed already
            pass
        words = self.said.readline().split()
        if self.logger.process.poll() == 77:
            raise Skip("no process may be traced here")
        if not words or words[0] not in ("killed", "count"):
            raise Failed(f"the stepper says {words}")
        if words[0] == "killed":
            self.logger.process.wait()
        self.said.close()
        self.socket.close()
        return int(words[1])


def run_point(way, point):
    """Returns the number of calls, and what is wrong."""
    keys, unformat = WAYS[way]
    directory = tempfile.mkdtemp(prefix="supd-steps-")
    t = Supd(directory)
    logger = Logger(t)
    path = t.path("web.log")
    logger.tell(stream("web", path, keep=1000, max_size=1000, **keys))
    half = len(LINES) // 2
    before = BEFORE if way.startswith("watched") else b""
    match = None
    try:
        logger.write("web", before)
        if before:
            match = logger.await_line("web", f"^{LINES[-1].decode().strip()}$")
        logger.write("web", b"".join(LINES[:half])[:-3])
        stepper = Stepper(logger, point)
        calls = stepper.outcome()
        logger.write("web", b"".join(LINES[:half])[-3:])
        if logger.process.poll() is not None:
            logger.start()
        logger.write("web", b"".join(LINES[half:-1]))
        logger.drained("web")
        if match and match.found():
            t.failures.append("the line was seen before it was there")
        logger.write("web", LINES[-1])
        if match:
            match.wait_found("the line")
        logger.drained("web")
        logger.end()
        got = unformat(logger.text(path))
        if got != before + b"".join(LINES):
            t.failures.append(f"the log is not what was written:\n{got.decode(errors='replace')}")
        shutil.rmtree(directory)
    finally:
        if logger.process and logger.process.poll() is None:
            logger.kill()
        for fd in logger.fds.values():
            os.close(fd)
    return calls, t.failures


def main(argv):
    everything = argv[:1] == ["all"]
    if len(argv) == 2 and not everything:
        calls, wrong = run_point(argv[0], int(argv[1]))
        print(calls, *wrong, sep="\n")
        return bool(wrong)
    seed = os.environ.get("CRASH_SEED") or str(random.randrange(10**6))
    chance = random.Random(seed)
    ways = argv[1:] if everything and argv[1:] else list(WAYS)
    print(f"1..{len(ways)}\n# CRASH_SEED={seed}", flush=True)
    bad = False
    for number, way in enumerate(ways, 1):
        try:
            total, wrong = run_point(way, NEVER)
            points = range(1, total + 1) if everything else sorted(chance.sample(range(1, total + 1), SAMPLE))
            for point in points:
                if not wrong:
                    wrong = [f"{way} {point}: {what}" for what in run_point(way, point)[1]]
            print(f"{'not ' if wrong else ''}ok {number} - {way}, {len(points)} of {total} points", flush=True)
            for what in wrong:
                comment(what)
            bad = bad or bool(wrong)
        except Skip as reason:
            print(f"ok {number} - {way} # SKIP {reason}", flush=True)
    return bad


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
