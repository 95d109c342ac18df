#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""supd is killed at its k-th system call, or its children's before their exec, and must have lost nothing.

    test_crash.py                       a sample, chosen by $CRASH_SEED, for $CRASH_SECONDS
    test_crash.py all [SCENARIO]...     every point of all scenarios, or of some; prints a table
    test_crash.py SCENARIO POINT MODE   one point, as a failure names it

The modes are go, hold and hang: see stepper.c.  Points are numbered by what a run without a kill counts; two runs are
not quite the same, so a point that is not reached is counted as such.  $CRASH_JOBS points are run at a time.
"""
import ctypes
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))

import harness  # noqa: E402
from processes import Failed, Skip  # noqa: E402
from scenarios import SCENARIOS  # noqa: E402
from stepped import Stepped  # noqa: E402

NEVER = 1 << 40
FACTORS = (37, 101)  # no divisor of a likely total: three kills of which each meets every point
MODES = ("go", "hold", "hang")
DEEP_CALLS = 500  # so many a supd makes at least that takes services back and goes on with what it finds
CLONE_NEWNS, CLONE_NEWPID = 0x00020000, 0x20000000
MS_REC, MS_PRIVATE = 0x4000, 0x40000


def kill_points(scenario, point, total):
    """Where supd is killed, and where those that come after it are: all over the place, the same in each run."""
    if not scenario.deep or point == NEVER:
        return [point]
    return [point] + [(point * factor) % max(total, DEEP_CALLS) + 1 for factor in FACTORS]


def run_steps(t, scenario, points):
    """The first supd, and in a deep scenario those after it.  Returns how many system calls the first one came to."""
    scenario.world(t)
    if scenario.from_start:
        scenario.before(t)
        t.step(points[0])
    else:
        t.begin()
        scenario.before(t)
        t.arm(points[0])
    scenario.act(t)
    calls = t.outcome()
    for point in points[1:]:
        if t.dead():
            t.step(point)
            scenario.act_again(t)
            t.outcome()
    return calls


def run_point(directory, name, point, mode, total):
    """Runs one point; returns what came of it."""
    t = Stepped(directory, mode)
    scenario = SCENARIOS[name]()
    result = {"scenario": name, "point": point, "mode": mode, "calls": 0, "skip": None, "why": None}
    try:
        result["calls"] = run_steps(t, scenario, kill_points(scenario, point, total))
        if t.dead():
            scenario.next_supd(t)
        scenario.verify(t)
        t.end(t.sizes)
    except Skip as reason:
        result["skip"] = str(reason)
    except Failed as failed:
        t.failures.append(str(failed))
    except Exception:
        t.failures.append(traceback.format_exc())
    try:
        t.clean()
    except Failed as failed:
        t.failures.append(str(failed))
    if t.failures:
        result["why"] = "\n".join(t.failures)
    result.update(kills=t.kills, children=t.children, where=t.where, unknown=t.unknown)
    return result


def slice_of(points, totals, results, until):
    """The test that runs some of the points, one after the other, until the time is up; one of each scenario always."""

    def run(t):
        for number, (name, point, mode) in enumerate(points):
            if until and number >= len(SCENARIOS) and time.monotonic() > until:
                break
            directory = t.path(str(number))
            os.mkdir(directory)
            result = run_point(directory, name, point, mode, totals.get(name, 0))
            result["dir"] = directory
            with open(results, "a", encoding="utf-8") as f:
                f.write(json.dumps(result) + "\n")
            if result["why"]:
                t.failures.append(f"{name} {point} {mode}")
            else:
                shutil.rmtree(directory, ignore_errors=True)

    run.__name__ = "points"
    return run


def may_hide():
    wrapper = ["unshare", "--pid", "--fork", "--mount-proc", "true"]
    return (
        os.geteuid() == 0
        and shutil.which(wrapper[0]) is not None
        and subprocess.run(wrapper, stderr=subprocess.DEVNULL, check=False).returncode == 0
    )


def hide():
    """Go on in a PID namespace: what else runs here is not looked at by supd, so the points are the same each time."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWPID | CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    inner = os.fork()
    if inner != 0:
        signal.signal(signal.SIGTERM, lambda sig, _: os.kill(inner, sig))
        os._exit(os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1]) & 0xFF)
    for mount in ((None, b"/", None, MS_REC | MS_PRIVATE, None), (b"proc", b"/proc", b"proc", 0, None)):
        if libc.mount(*mount) != 0:
            raise OSError(ctypes.get_errno(), "mount")


class Runner:
    """Runs points in several processes, each with all that it starts below itself."""

    def __init__(self, jobs):
        self.jobs = jobs
        self.hidden = may_hide()
        self.base = tempfile.mkdtemp(prefix="supd-crash-")
        os.chmod(self.base, 0o755)
        self.batches = 0
        self.children = []

    def run(self, points, totals, until=None):
        self.batches += 1
        results = os.path.join(self.base, f"results.{self.batches}")
        self.children = []
        for job in range(min(self.jobs, len(points))):
            pid = os.fork()
            if pid == 0:
                self.job(slice_of(points[job :: self.jobs], totals, results, until), job)
            self.children.append(pid)
        failed = [pid for pid in self.children if os.waitpid(pid, 0)[1] != 0]
        self.children = []
        found = []
        if os.path.exists(results):
            with open(results, encoding="utf-8") as f:
                found = [json.loads(line) for line in f]
        if failed and not any(result["why"] for result in found):
            found.append({"scenario": "?", "why": "a process that runs points ended early: see " + self.base})
        return found

    def job(self, function, job):
        os.environ["TMPDIR"] = tempfile.tempdir = self.base
        with open(os.path.join(self.base, f"job.{self.batches}.{job}"), "w", encoding="utf-8") as out:
            os.dup2(out.fileno(), 1)
        code = 1
        try:
            if self.hidden:
                hide()
            code = harness.run_all([(function, 24 * 3600, True, False)])
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(code)

    def interrupt(self, sig, _frame):
        for pid in self.children:
            os.kill(pid, signal.SIGTERM)
        os._exit(128 + sig)

    def count(self, names):
        """name -> result of a run without a kill."""
        return {result["scenario"]: result for result in self.run([(name, NEVER, "go") for name in names], {})}


def print_failures(found):
    for result in found:
        if result["why"]:
            harness.comment(
                f"{result['scenario']} {result.get('point')} {result.get('mode')}, killed at "
                f"{result.get('where')} ({result.get('dir')}):\n{result['why']}"
            )


def summary(name, found):
    of = [result for result in found if result["scenario"] == name]
    killed = [result for result in of if result.get("kills")]
    in_child = sum(result["where"].startswith("child") for result in killed)
    held = sum(result["mode"] != "go" and result["children"] > 0 for result in killed)
    return {
        "points": len(killed),
        "kills": sum(result["kills"] for result in killed),
        "in a child": in_child,
        "child held": held,
        "not reached": len(of) - len(killed),
        "status unknown": sum(result["unknown"] > 0 for result in killed),
        "failures": sum(bool(result["why"]) for result in of),
    }


def print_table(names, found):
    rows = {name: summary(name, found) for name in names}
    head = list(next(iter(rows.values())))
    rows["all"] = {key: sum(row[key] for row in rows.values()) for key in head}
    print("| scenario | " + " | ".join(head) + " |")
    print("|---|" + "---|" * len(head))
    for name, row in rows.items():
        print(f"| {name} | " + " | ".join(str(value) for value in row.values()) + " |")


def sample(runner):
    """As many points as there is time for, in an order that the seed decides, the scenarios in turn."""
    seed = int(os.environ.get("CRASH_SEED", random.randrange(1 << 30)))
    seconds = float(os.environ.get("CRASH_SECONDS", "50"))
    rng = random.Random(seed)
    print(f"# CRASH_SEED={seed}")
    counted = runner.count(SCENARIOS)
    skipped = [result["skip"] for result in counted.values() if result["skip"]]
    if skipped:
        print("1..1\nok 1 - crash # SKIP " + skipped[0])
        return 0
    print(f"1..{2 * len(SCENARIOS) + 1}")
    for number, name in enumerate(SCENARIOS, 1):
        verdict = counted[name]["why"]
        print_failures([counted[name]])
        calls = counted[name]["calls"]
        print(f"{'not ok' if verdict else 'ok'} {number} - {name}: without a crash, {calls} system calls")
    totals = {name: result["calls"] for name, result in counted.items()}
    points = []
    for turn in range(1000):
        for name in SCENARIOS:
            mode = MODES[1 + turn // 4 % 2] if turn % 4 == 3 else "go"
            points.append((name, rng.randint(1, max(1, totals[name])), mode))
    found = runner.run(points, totals, time.monotonic() + seconds)
    print_failures(found)
    passed = not any(result["why"] for result in counted.values())
    kills = 0
    for number, name in enumerate(SCENARIOS, len(SCENARIOS) + 1):
        row = summary(name, found)
        good = row["failures"] == 0
        kills += row["kills"]
        passed &= good
        print(f"{'ok' if good else 'not ok'} {number} - {name}: " + ", ".join(f"{v} {k}" for k, v in row.items()))
    print(f"{'ok' if kills else 'not ok'} {2 * len(SCENARIOS) + 1} - supd was killed {kills} times")
    passed &= kills > 0
    print_failures([result for result in found if result["scenario"] not in SCENARIOS])
    return 0 if passed and all(result["scenario"] in SCENARIOS for result in found) else 1


def all_points(runner, names):
    """Every point with its children let go, and again with them held where a child stood before its exec."""
    begin = time.monotonic()
    found = []
    counted = runner.count(names)
    for name in names:
        result = counted[name]
        print_failures([result])
        if result["skip"] or result["why"]:
            sys.exit(f"{name}: {result['skip'] or 'fails without a crash'}")
        points = [(name, point, "go") for point in range(1, result["calls"] + 1)]
        now = runner.run(points, {name: result["calls"]})
        held = [(name, r["point"], MODES[1 + r["point"] % 2]) for r in now if r.get("children")]
        now += runner.run(sorted(held), {name: result["calls"]})
        print_failures(now)
        row = summary(name, now)
        print(f"# {name}: " + ", ".join(f"{v} {k}" for k, v in row.items()), f"({time.monotonic() - begin:.0f} s)")
        found += now
    print_table(names, found)
    return 1 if any(result["why"] for result in found) else 0


def one_point(runner, name, point, mode):
    total = runner.count([name])[name]["calls"]
    found = runner.run([(name, point, mode)], {name: total})
    print_failures(found)
    print(json.dumps({key: value for result in found for key, value in result.items() if key != "why"}))
    return 1 if any(result["why"] for result in found) else 0


def main():
    harness.prepare()
    runner = Runner(int(os.environ.get("CRASH_JOBS", "4")))
    for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(sig, runner.interrupt)
    harness.compile_worker(runner.base)
    words = sys.argv[1:]
    if not words:
        code = sample(runner)
    elif words[0] == "all":
        code = all_points(runner, words[1:] or list(SCENARIOS))
    else:
        code = one_point(runner, words[0], int(words[1]), words[2])
    if code == 0:
        shutil.rmtree(runner.base, ignore_errors=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
