#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures what writes logs, supd's beside others that are installed: docs/performance.md.

Round by round each session is gone through with each logger, so that whatever disturbs the machine disturbs all of them.
"""
import argparse
import ctypes
import os
import shutil
import signal
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "e2e"), os.path.join(HERE, "..", "systemd")]

import flood  # noqa: E402
import loggers  # noqa: E402
from bench import PR_SET_CHILD_SUBREAPER, about, say  # noqa: E402
from report import spread, verdict, write_into  # noqa: E402
from results import Results, middle  # noqa: E402

IN_MEMORY = "/dev/shm"
BLOCK = 65500  # whole lines, as many as a pipe takes at once
ROUNDS = 5
BEGIN = "<!-- begin: written by make bench-logs-doc -->"
END = "<!-- end: written by make bench-logs-doc -->"

# Name, title, loggers, MB, bytes in each write.
SESSIONS = (
    ("plain", "200 MB in blocks, as they are", loggers.PLAIN, 200, BLOCK),
    ("times", "200 MB in blocks, a time before each line", loggers.TIMES, 200, BLOCK),
    ("lines", "50 MB, each line a write of its own", loggers.EACH_LINE, 50, loggers.LINE),
)


def measure(results, build, names):
    """One round."""
    results.rounds.append({})
    for name, _, kinds, megabytes, block in SESSIONS:
        for kind in kinds:
            if (names and name not in names) or kind.missing():
                continue
            say(f"round {len(results.rounds)}: {name}, {kind.title}")
            directory = tempfile.mkdtemp(prefix="supd-bench-", dir=IN_MEMORY)
            try:
                figures = kind(build, directory, megabytes * 1000000, block).measure()
                results.add(kind.key, {f"{name}_{what}": value for what, value in figures.items()})
            finally:
                shutil.rmtree(directory, ignore_errors=True)
    if not names or "flood" in names:
        say(f"round {len(results.rounds)}: beside a flood")
        results.add("supd", flood.measure(build))


def ratios(results, key, measure_of, against):
    """Within each round, to the logger AGAINST."""
    pairs = ((r.get(key, {}).get(measure_of), r.get(against, {}).get(measure_of)) for r in results.rounds)
    return [a["median"] / b["median"] for a, b in pairs if a and b]


def table(results, name, title, kinds):
    first = kinds[0]
    lines = [f"| {title} | MB/s | times {first.title} | CPU s of the logger | times {first.title} | CPU s with the writer |",
             "|---|--:|--:|--:|--:|--:|"]
    for kind in kinds:
        if not results.values(kind.key, f"{name}_speed"):
            continue
        cells = [spread(results.values(kind.key, f"{name}_speed"), 0),
                 spread(ratios(results, kind.key, f"{name}_speed", first.key)),
                 spread(results.values(kind.key, f"{name}_cpu"), 3),
                 spread(ratios(results, kind.key, f"{name}_cpu", first.key)),
                 spread(results.values(kind.key, f"{name}_whole"), 3)]
        lines.append(f"| {kind.title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def goals(results):
    """(what, goal, reached, does it hold) of those that have figures."""
    for kind in (loggers.Suplog, loggers.Supd):
        speed = ratios(results, kind.key, "plain_speed", "cat")
        cpu = ratios(results, kind.key, "plain_cpu", "cat")
        if speed:
            yield f"{kind.title}, plain: throughput", "≥ 1 × cat", f"{spread(speed)} ×", middle(speed) >= 1
            yield f"{kind.title}, plain: processor time", "≤ 1 × cat", f"{spread(cpu)} ×", middle(cpu) <= 1
    others = [k.key for k in (loggers.S6Times, loggers.RunitTimes, loggers.MultilogTimes)]
    for kind in (loggers.SuplogTimes, loggers.SupdTimes):
        best = [min(found) for found in zip(*(ratios(results, kind.key, "times_speed", o) for o in others)) if found]
        if best:
            yield f"{kind.title}: throughput", "≥ 2 × the best of the others", f"{spread(best)} ×", middle(best) >= 2


def text(results):
    a = results.about
    parts = [f"Measured on {a['date']}, Linux {a['kernel']}, {a['processors']} processors ({a['model']}), "
             f"{len(results.rounds)} rounds, load before of {a['load']}; by `make bench-logs`."]
    rows = [f"| {what} | {goal} | {reached} | {verdict(holds)} |" for what, goal, reached, holds in goals(results)]
    if rows:
        parts.append("\n".join(["| | goal | reached | |", "|---|--:|--:|---|", *rows]))
    parts += [table(results, name, title, kinds) for name, title, kinds, _, _ in SESSIONS
              if any(results.values(k.key, f"{name}_speed") for k in kinds)]
    if results.values("supd", "flood_speed"):
        parts.append(flood.table(results))
    settings = {k.key: f"* {k.title}: {k.setting}." for _, _, kinds, _, _ in SESSIONS for k in kinds}
    parts.append("\n".join(settings.values()))
    return "\n\n".join(parts)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--build", default=".", help="build tree (default: the working directory)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="default: %(default)s")
    parser.add_argument("--sessions", help="of " + ", ".join([s[0] for s in SESSIONS] + ["flood"]))
    parser.add_argument("--results", default="bench-logs.json", help="where all figures are kept (default: %(default)s)")
    parser.add_argument("--add", action="store_true", help="to the rounds that are kept there")
    parser.add_argument("--document", help="measure nothing: write the kept results into this document")
    return parser.parse_args()


def main():
    options = arguments()
    if options.document:
        write_into(options.document, text(Results.load(options.results)), BEGIN, END)
        return
    # What a supervisor leaves behind comes to us, and ends with us.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.signal(signal.SIGTERM, lambda signo, frame: sys.exit(1))
    names = options.sessions.split(",") if options.sessions else None
    results = Results.load(options.results) if options.add and os.path.exists(options.results) else Results(about({}))
    for _ in range(options.rounds):
        measure(results, os.path.abspath(options.build), names)
        results.save(options.results)
    print(text(results))


if __name__ == "__main__":
    main()
