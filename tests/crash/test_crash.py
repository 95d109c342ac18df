#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""supd is killed at its k-th system call, or its children's before their exec, and must have lost nothing.

    test_crash.py                       a sample, chosen by $CRASH_SEED, for $CRASH_SECONDS (60)
    test_crash.py all [SCENARIO]...     every point of all scenarios, or of some; prints a table
    test_crash.py SCENARIO POINT MODE   one point, as a failure names it

The modes are go, hold, hang and names of signals that come in place of SIGKILL: see stepper.c.  With CRASH_SIGNALS=each
`all` sends every signal at every point, not one after another.  Points are numbered by what a run without a kill
counts; two runs are not quite the same, so a point that is not reached is counted as such.  $CRASH_JOBS points are run
at a time.
"""
import functools
import json
import os
import random
import shutil
import sys
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))

import harness  # noqa: E402
import scenarios  # noqa: E402
import scenarios_graph  # noqa: E402
import scenarios_health  # noqa: E402
import scenarios_logs  # noqa: E402
import scenarios_supd  # noqa: E402
import scenarios_types  # noqa: E402
from processes import SLOWER, Failed, Skip  # noqa: E402
from runner import Runner  # noqa: E402
from stepped import SIGNALS, Stepped  # noqa: E402

SCENARIOS = {
    **scenarios.SCENARIOS,
    **scenarios_types.SCENARIOS,
    **scenarios_graph.SCENARIOS,
    **scenarios_health.SCENARIOS,
    **scenarios_logs.SCENARIOS,
    **scenarios_supd.SCENARIOS,
}
NEVER = 1 << 40
FACTORS = (37, 101)  # no divisor of a likely total: three kills of which each meets every point
KILLS = ("go", "hold", "hang")
DEEP_CALLS = 500  # so many a supd makes at least that takes services back and goes on with what it finds


def kill_points(scenario, point, mode, total):
    """Where supd is killed, and where those that come after it are: all over the place, the same in each run."""
    if not scenario.deep or point == NEVER or mode in SIGNALS:
        return [point]
    return [point] + [(point * factor) % max(total, DEEP_CALLS) + 1 for factor in FACTORS]


def run_steps(t, scenario, points):
    """The first supd, and in a deep scenario those after it.  Returns how many system calls the first one came to."""
    scenario.world(t)
    if scenario.from_start:
        scenario.before(t)
        t.step(points[0], *scenario.arguments)
    else:
        t.begin(*scenario.arguments)
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


def judge(t, scenario):
    """How things are in the end."""
    t.settle_fate()
    t.check(t.fate != "fatal" or scenario.anew, f"SIG{t.mode} kills supd here")
    if t.told_to_end():
        t.eq(t.wait_end(), 0, "exit code after SIGTERM")
    else:
        if t.dead() or (t.under_init and t.killed):
            scenario.next_supd(t)
        scenario.verify(t)
    t.end(t.sizes)


def run_point(totals, directory, name, point, mode):
    """Runs one point; returns what came of it."""
    t = Stepped(directory, mode)
    scenario = SCENARIOS[name]()
    result = {"scenario": name, "point": point, "mode": mode, "calls": 0, "skip": None, "why": None}
    try:
        result["calls"] = run_steps(t, scenario, kill_points(scenario, point, mode, totals.get(name, 0)))
        judge(t, scenario)
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
    result.update(kills=t.kills, children=t.children, where=t.where, unknown=t.unknown, fate=t.fate)
    return result


def count(runner, names):
    """name -> result of a run without a kill."""
    found = runner.run([(name, NEVER, "go") for name in names], functools.partial(run_point, {}))
    return {result["scenario"]: result for result in found}


def print_failures(found):
    for result in found:
        if result["why"]:
            harness.comment(
                f"{result['scenario']} {result.get('point')} {result.get('mode')}, killed at "
                f"{result.get('where')} ({result.get('dir')}):\n{result['why']}"
            )


def kill_row(of):
    """What to tell of the runs of a scenario in which supd was to be killed."""
    killed = [result for result in of if result.get("kills")]
    return {
        "points": len(killed),
        "kills": sum(result["kills"] for result in killed),
        "in a child": sum(result["where"].startswith("child") for result in killed),
        "child held": sum(result["mode"] != "go" and result["children"] > 0 for result in killed),
        "not reached": len(of) - len(killed),
        "status unknown": sum(result["unknown"] > 0 for result in killed),
        "failures": sum(bool(result["why"]) for result in of),
    }


def signal_row(of):
    """The same of those in which it got another signal."""
    met = [result for result in of if result.get("fate")]
    return {
        "signals": len(met),
        **{name: sum(result["mode"] == name for result in met) for name in SIGNALS},
        "in a child": sum(result["where"].startswith("child") for result in met),
        "pending": sum(result["fate"] == "pending" for result in met),
        "too early": sum(result["fate"] == "fatal" for result in met),
        "not reached": len(of) - len(met),
        "failures": sum(bool(result["why"]) for result in of),
    }


def results_of(name, found, modes):
    return [result for result in found if result["scenario"] == name and result.get("mode") in modes]


def told(row):
    return ", ".join(f"{value} {key}" for key, value in row.items())


def print_table(names, found, modes, make_row):
    rows = {name: make_row(results_of(name, found, modes)) for name in names}
    head = list(next(iter(rows.values())))
    rows["all"] = {key: sum(row[key] for row in rows.values()) for key in head}
    print("| scenario | " + " | ".join(head) + " |")
    print("|---|" + "---|" * len(head))
    for name, row in rows.items():
        print(f"| {name} | " + " | ".join(str(value) for value in row.values()) + " |")


def sample_points(rng, totals):
    """Of each scenario one point after another; every fourth with its children held, every other with a signal."""
    for turn in range(1000):
        for name in totals:
            mode = rng.choice(SIGNALS) if turn % 2 else KILLS[(0, 1, 0, 2)[turn // 2 % 4]]
            yield name, rng.randint(1, max(1, totals[name])), mode


def sample(runner):
    """As many points as there is time for, in an order that the seed decides, the scenarios in turn."""
    seed = int(os.environ.get("CRASH_SEED", random.randrange(1 << 30)))
    seconds = float(os.environ.get("CRASH_SECONDS", 60 / SLOWER))
    print(f"# CRASH_SEED={seed}")
    counted = count(runner, SCENARIOS)
    skipped = {name: result["skip"] for name, result in counted.items() if result["skip"]}
    if len(skipped) == len(SCENARIOS):
        print("1..1\nok 1 - crash # SKIP " + next(iter(skipped.values())))
        return 0
    print(f"1..{2 * len(SCENARIOS) + 1}")
    for number, name in enumerate(SCENARIOS, 1):
        if name in skipped:
            print(f"ok {number} - {name} # SKIP {skipped[name]}")
            continue
        verdict = counted[name]["why"]
        print_failures([counted[name]])
        calls = counted[name]["calls"]
        print(f"{'not ok' if verdict else 'ok'} {number} - {name}: without a crash, {calls} system calls")
    totals = {name: result["calls"] for name, result in counted.items() if name not in skipped}
    points = list(sample_points(random.Random(seed), totals))
    until = time.monotonic() + seconds
    found = runner.run(points, functools.partial(run_point, totals), until, 2 * len(SCENARIOS))
    print_failures(found)
    passed = not any(result["why"] for result in counted.values())
    kills = 0
    for number, name in enumerate(SCENARIOS, len(SCENARIOS) + 1):
        if name in skipped:
            print(f"ok {number} - {name}, killed # SKIP {skipped[name]}")
            continue
        killed = kill_row(results_of(name, found, KILLS))
        signaled = signal_row(results_of(name, found, SIGNALS))
        good = killed["failures"] + signaled["failures"] == 0
        kills += killed["kills"]
        passed &= good
        print(f"{'ok' if good else 'not ok'} {number} - {name}: {told(killed)}; {told(signaled)}")
    print(f"{'ok' if kills else 'not ok'} {2 * len(SCENARIOS) + 1} - supd was killed {kills} times")
    passed &= kills > 0
    print_failures([result for result in found if result["scenario"] not in SCENARIOS])
    return 0 if passed and all(result["scenario"] in SCENARIOS for result in found) else 1


def every_kill(runner, name, total):
    """Every point of a scenario with its children let go, and again with them held where one stood before its exec."""
    run = functools.partial(run_point, {name: total})
    found = runner.run([(name, point, "go") for point in range(1, total + 1)], run)
    held = [(name, r["point"], KILLS[1 + r["point"] % 2]) for r in found if r.get("children")]
    return found + runner.run(sorted(held), run)


def every_signal(runner, name, total):
    """Every point of a scenario with a signal in place of the kill, one after another or each."""
    each = os.environ.get("CRASH_SIGNALS") == "each"
    points = [
        (name, point, mode)
        for point in range(1, total + 1)
        for number, mode in enumerate(SIGNALS)
        if each or point % len(SIGNALS) == number
    ]
    return runner.run(points, functools.partial(run_point, {name: total}))


def all_points(runner, names):
    begin = time.monotonic()
    counted = count(runner, names)
    print_failures(counted.values())
    for name, result in counted.items():
        if result["skip"]:
            print(f"# {name}: skipped: {result['skip']}")
        elif result["why"]:
            print(f"{name}: fails without a crash", file=sys.stderr)
            return 1
    names = [name for name in names if not counted[name]["skip"]]
    if not names:
        return 1
    failed = False
    for every, modes, make_row in (every_kill, KILLS, kill_row), (every_signal, SIGNALS, signal_row):
        found = []
        for name in names:
            now = every(runner, name, counted[name]["calls"])
            print_failures(now)
            print(f"# {name}: {told(make_row(results_of(name, now, modes)))} ({time.monotonic() - begin:.0f} s)")
            found += now
        print_table(names, found, modes, make_row)
        failed |= any(result["why"] for result in found)
    return 1 if failed else 0


def one_point(runner, name, point, mode):
    total = count(runner, [name])[name]["calls"]
    found = runner.run([(name, point, mode)], functools.partial(run_point, {name: total}))
    print_failures(found)
    print(json.dumps({key: value for result in found for key, value in result.items() if key != "why"}))
    return 1 if any(result["why"] for result in found) else 0


def main():
    harness.prepare()
    runner = Runner(int(os.environ.get("CRASH_JOBS", "4")))
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
