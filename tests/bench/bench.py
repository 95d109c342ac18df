#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures supd, the bare loop and those other supervisors that are installed: docs/performance.md.

Round by round each session (sessions.py) is gone through with each peer (peers/), so that whatever disturbs the machine
disturbs all of them; only ratios within a round mean anything.
"""
import argparse
import ctypes
import datetime
import os
import resource
import signal
import sys
from typing import NamedTuple

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "e2e"), os.path.join(HERE, "..", "systemd")]

import peers  # noqa: E402
import report  # noqa: E402
from peers.base import Tools  # noqa: E402
from results import Results  # noqa: E402
from sessions import SESSIONS, NoRoom  # noqa: E402

PR_SET_CHILD_SUBREAPER = 36


class Scale(NamedTuple):
    """How much of each is measured in one round."""

    rounds: int
    restarts: int
    latency_seconds: float
    aged_restarts: int
    aged_seconds: float
    idle_seconds: float
    status_rounds: int


FULL = Scale(5, 1000, 5, 120, 15, 60, 50)
QUICK = Scale(3, 300, 1, 25, 4, 2, 20)
QUICK_SESSIONS = ("young", "aged", "thousand", "killed", "noisy")


def machine_model():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        return next((line.split(":")[1].strip() for line in file if line.startswith("model name")), os.uname().machine)


def about(missing):
    with open("/proc/loadavg", encoding="utf-8") as file:
        load = file.read().split()[0]
    return {
        "date": datetime.date.today().isoformat(),
        "kernel": os.uname().release,
        "processors": os.cpu_count(),
        "model": machine_model(),
        "load": load,
        "command": "make bench",
        "missing": missing,
    }


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--build", default=".", help="build tree (default: the working directory)")
    parser.add_argument("--quick", action="store_true", help="the bare loops and supd alone, in about two minutes")
    parser.add_argument("--rounds", type=int, help=f"default: {FULL.rounds}, with --quick {QUICK.rounds}")
    parser.add_argument("--peers", help="of " + ", ".join(p.key for p in peers.ALL))
    parser.add_argument("--sessions", help="of " + ", ".join(name for name, _, _ in SESSIONS))
    parser.add_argument("--results", default="bench.json", help="where all figures are kept (default: %(default)s)")
    parser.add_argument("--document", help="measure nothing: write the kept results into this document")
    return parser.parse_args()


def chosen(options):
    """(sessions, keys of peers)."""
    names = options.sessions.split(",") if options.sessions else QUICK_SESSIONS if options.quick else None
    keys = options.peers.split(",") if options.peers else ["vfork", "fork", "supd"] if options.quick else None
    known = [p.key for p in peers.ALL]
    unknown = [n for n in names or () if n not in [s[0] for s in SESSIONS]] + [k for k in keys or () if k not in known]
    if unknown:
        sys.exit(f"bench: there is no session or peer {', '.join(unknown)}")
    return [s for s in SESSIONS if names is None or s[0] in names], known if keys is None else keys


def say(text):
    print(text, file=sys.stderr, flush=True)


def measure(results, sessions, keys, tools, scale):
    """One round."""
    results.rounds.append({})
    for name, session, kinds in sessions:
        for kind in kinds:
            if kind.key not in keys:
                continue
            say(f"round {len(results.rounds)}: {name}, {kind.title}")
            try:
                results.add(kind.key, session(kind, tools, scale))
            except NoRoom as why:
                say(f"left out: {why}")


def write_document(options):
    results = Results.load(options.results)
    plot = os.path.splitext(options.document)[0] + ".svg"
    drawn = report.draw(results, plot)
    report.write_into(options.document, report.text(results, os.path.basename(plot) if drawn else None))


def main():
    options = arguments()
    if options.document:
        write_document(options)
        return
    # What a supervisor leaves behind comes to us, and ends with us.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.signal(signal.SIGTERM, lambda signo, frame: sys.exit(1))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    scale = QUICK if options.quick else FULL
    tools = Tools(os.path.abspath(options.build))
    sessions, keys = chosen(options)
    missing = {p.title: p.missing() for p in peers.ALL if p.key in keys and p.missing()}
    keys = [p.key for p in peers.ALL if p.key in keys and not p.missing()]
    results = Results(about(missing))
    for _ in range(options.rounds or scale.rounds):
        measure(results, sessions, keys, tools, scale)
        results.save(options.results)
    print(report.text(results))


if __name__ == "__main__":
    main()
