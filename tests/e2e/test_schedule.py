#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""schedule: runs are counted by the marks that they leave. Where a time of day matters, supd has a clock of the test's."""
import re
import time

from clock import Clock, tell_clock_is_set
from harness import main, test
from instance import service, setting
from processes import eventually, skip


BERLIN = {"TZ": "CET-1CEST,M3.5.0,M10.5.0/3"}
SPRING = 1774746000  # 29 March 2026, when 03:00 follows 01:59:59
DAY = 86400


def job(s, name, schedule, *steps, **keys):
    return s.marked(name, *steps, type="oneshot", schedule=schedule, **keys)


def is_idle(status):
    return status["state"] == "waiting" and status["next-run"] is not None


def wait_runs(s, name, count):
    return s.wait_for(name, lambda status: len(s.marks(name)) >= count and is_idle(status), f"{count} runs")


@test
def again_and_again(s):
    failing = job(s, "failing", "every 300ms", "exit", 3)
    s.configure(job(s, "tick", "every 300ms"), failing, job(s, "off", "every 300ms", enabled=False))
    s.start()
    status = wait_runs(s, "tick", 3)
    s.eq((status["desired"], status["restarts"], status["exit"]["code"]), ("up", 0, 0), "between two runs")
    s.eq(status["reason"], "waits for its next run", "why it waits")
    s.check(abs(status["next-run"] - time.time()) < 60, f"next run {status['next-run']}")
    failed = wait_runs(s, "failing", 3)
    s.match(failed["reason"], "^run failed: exit 3; waits for its next run$", "what became of the last run")
    s.eq((s.marks("off"), s.status("off")["next-run"]), ([], None), "one that is not enabled")
    s.match(s.ctl("status").out, r"run failed: exit 3; waits for its next run; due 20\d\d-.*, in ", "the table")
    s.match(s.ctl("status", "failing").out, r"next run: +20\d\d-.*, in ", "in full")
    s.match(s.ctl("status", "off").out, r"enabled: +no\n", "one that is not enabled, in full")

    # Each life left one mark, and there is one for each life: none was lost on the way, none made twice.
    for _ in range(6):
        before = len(s.marks("tick"))
        eventually(lambda: len(s.marks("tick")) > before, "a run")
        s.crash_and_start()
    s.eq(s.ctl("stop", "tick", "failing").code, 0, "stop")
    for name in "tick", "failing":
        status = s.status(name)
        s.eq((status["state"], status["next-run"]), ("stopped", None), "a schedule that is stopped")
        cut_short = status["starts"] - len(s.marks(name)) == 1 and status["exit"]["signal"] == "TERM"
        s.check(cut_short or status["starts"] == len(s.marks(name)), f"{name}: marks {s.marks(name)}, {status}")

    before = len(s.marks("tick"))
    started = s.ctl("start", "tick")
    s.eq((started.code, started.out), (0, "tick: ran and ended; waits for its next run\n"), "start runs it now")
    wait_runs(s, "tick", before + 2)
    s.eq(s.ctl("start", "failing").code, 1, "a run that fails")


@test
def never_two_at_a_time(s):
    gate = s.gate("gate")
    s.configure(job(s, "slow", "every 200ms", "gate", gate), job(s, "retried", "every 100ms", "exit", 1,
                restart="on-failure", restart_delay="1h", restart_delay_max="1h"))
    s.start()
    s.wait_for("slow", lambda status: s.marks("slow") and status["state"] == "starting", "it runs")
    eventually(lambda: "slow: the run that was due at" in s.log_text(), "that a run is passed over is said")
    due = s.status("slow")["next-run"]
    s.wait_for("slow", lambda status: status["next-run"] > due + 0.4, "more runs are passed over")
    s.crash_and_start()
    s.eq(len(s.marks("slow")), 1, "one run all the time")
    s.eq(len(re.findall("slow: the run that was due at .* passed over", s.log_text())) <= 2, True, "said once by each supd")
    s.open_gate(gate, "exit", 0)
    eventually(lambda: len(s.marks("slow")) >= 2, "then comes the next one")
    s.eq(s.status("slow")["starts"], len(s.marks("slow")), "starts and marks")
    s.wait_state("retried", "backoff")
    s.eq(len(s.marks("retried")), 1, "within a run it is restarted as `restart` says, and no other run comes between")
    s.open_gate(gate, "exit", 0)


@test
def what_goes_together(s):
    cases = {
        "a": ({"schedule": "@daily"}, "schedule goes with type = oneshot only"),
        "b": ({"schedule": "@daily", "type": "oneshot", "remain_after_exit": True}, "remain-after-exit exclude"),
        "c": ({"schedule": "@daily", "type": "oneshot", "restart": "always"}, "restart = always would repeat"),
        "d": ({"persistent": True}, "persistent goes with schedule only"),
        "e": ({"schedule": ["@daily", "61 * * * *"], "type": "oneshot"}, "key 'schedule': minute '61'"),
        "f": ({"schedule": ["@daily", "every 1h"], "type": "oneshot"}, "goes alone"),
        "g": ({"schedule": "@daily", "type": "oneshot", "listen": "tcp:127.0.0.1:1", "start": "on-demand"}, "on-demand"),
    }
    s.configure(*(service(name, "true", **keys) for name, (keys, _) in cases.items()))
    result = s.run("-t")
    s.eq(result.code, 1, "--check")
    for name, (_, words) in cases.items():
        s.match(result.err, rf"supd\.conf:\d+: [^\n]*\"{name}\"[^\n]*{re.escape(words)}|{re.escape(words)}", name)
    s.eq(len(result.err.splitlines()), len(cases), "one error each")


@test
def times_of_day(s):
    """The night in which the clocks go forward, and one in which somebody sets them."""
    clock = Clock(s)
    at_night = job(s, "night", "30 2 * * *")
    s.configure(at_night, job(s, "often", ["0 3 * * *", "30 * * * *"]))
    clock.set(SPRING - 5)
    s.start(env={**clock.env, **BERLIN})
    s.eq(s.status("night")["next-run"], SPRING, "02:30 does not come: 03:00 instead")
    s.eq(s.status("often")["next-run"], SPRING, "the first of several lines")
    wait_runs(s, "night", 1)
    wait_runs(s, "often", 1)
    s.eq(s.status("night")["next-run"], SPRING + DAY - 1800, "half past two, the day after")
    s.eq(s.status("often")["next-run"], SPRING + 1800, "half past three")

    # While supd is dead runs are due: of each service one is made up.
    s.crash()
    clock.set(SPRING + 5 * DAY)
    s.start(env={**clock.env, **BERLIN})
    wait_runs(s, "night", 2)
    wait_runs(s, "often", 2)
    s.eq(s.status("night")["next-run"], SPRING + 6 * DAY - 1800, "and then as always")
    s.match(s.log_text(), "night: the run that was due at 2026-03-30 02:30:00 is made up now", "it is said")

    # Another schedule counts from now.
    s.configure(job(s, "night", "0 1 * * *"), job(s, "often", ["0 3 * * *", "30 * * * *"]))
    s.eq(s.ctl("reread").code, 0, "reread")
    s.eq(s.status("night")["next-run"], SPRING + 6 * DAY - 7200, "one o'clock")
    s.configure(job(s, "often", ["0 3 * * *", "30 * * * *"], enabled=False), s.marked("night", type="oneshot"))
    s.eq(s.ctl("reread").code, 0, "reread")
    s.wait_for("night", lambda status: status["state"] == "exited", "without a schedule it runs, as it is wanted")
    s.configure(at_night, job(s, "often", ["0 3 * * *", "30 * * * *"]))
    s.eq(s.ctl("reread").code, 0, "reread")
    s.wait_for("night", is_idle, "with one it waits")
    s.eq((len(s.marks("night")), len(s.marks("often"))), (3, 2), "nothing has run but that")
    s.eq(s.ctl("upgrade").code, 0, "an upgrade")
    s.eq(s.status("night")["next-run"], SPRING + 6 * DAY - 1800, "after an upgrade")


@test
def a_clock_that_is_set(s):
    clock = Clock(s)
    if not tell_clock_is_set():
        skip("the kernel may not be asked to say that the clock was set")
    jobs = [job(s, "day", "0 12 * * *"), job(s, "made-up", "0 12 * * *", persistent=True), job(s, "beat", "every 1h")]
    s.configure(setting("state_dir", s.path("var")), *jobs)
    noon = SPRING - 3600 + 20 * DAY + 10 * 3600  # in Berlin, in summer
    clock.set(noon - 7200)
    s.start(env={**clock.env, **BERLIN})
    beat = s.status("beat")["next-run"]
    s.eq(s.status("day")["next-run"], noon, "before")

    clock.set(noon + 3600)
    tell_clock_is_set()
    wait_runs(s, "day", 1)
    wait_runs(s, "made-up", 1)
    s.eq(s.status("day")["next-run"], noon + DAY, "an hour too late it was made up")
    s.check(abs(s.status("beat")["next-run"] - beat - 3 * 3600) < 2, "`every` does not go by that clock")
    clock.set(noon - 600)
    tell_clock_is_set()
    s.wait_for("day", lambda status: status["next-run"] == noon + DAY, "noon comes again, and the run has been")
    clock.set(noon + 2 * DAY + 6 * 3600)
    tell_clock_is_set()
    wait_runs(s, "made-up", 2)
    s.wait_for("day", lambda status: status["next-run"] == noon + 3 * DAY, "six hours too late")
    s.match(s.log_text(), "day: the run that was due at .* is too late", "it is said")
    s.eq((len(s.marks("day")), len(s.marks("made-up")), s.marks("beat")), (1, 2, []), "runs")


@test
def over_the_boot(s):
    clock = Clock(s)
    s.configure(setting("state_dir", s.path("var")), job(s, "kept", "0 4 * * *", persistent=True), job(s, "not", "0 4 * * *"))
    clock.set(SPRING)
    s.start(env={**clock.env, **BERLIN})
    s.eq(s.status("kept")["next-run"], SPRING + 3600, "one that has never run is not made up")
    eventually(lambda: re.search(r"^kept \d+$", s.read("var/runs"), re.M), "since when it counts is remembered")
    s.eq(s.terminate(), 0, "a clean stop, after which no state file tells of anything")

    clock.set(SPRING + 3 * DAY)
    s.start(env={**clock.env, **BERLIN})
    wait_runs(s, "kept", 1)
    s.eq(s.status("not")["next-run"], s.status("kept")["next-run"], "then both go on alike")
    s.eq((len(s.marks("kept")), s.marks("not")), (1, []), "three were missed: one is made up, where that is asked for")
    s.terminate()
    s.match(s.read("var/runs"), rf"^supd runs 1\nkept {int((SPRING + 3 * DAY) / 1000)}\d{{9}}\nend 1 ", "remembered at the end")

    s.start(env={**clock.env, **BERLIN})
    s.wait_for("kept", is_idle, "it waits")
    s.eq(len(s.marks("kept")), 1, "it is not made up twice")
    s.terminate()
    s.write("var/runs", "kept yesterday")
    s.start(env={**clock.env, **BERLIN})
    s.match(s.log_text(), "runs cannot be used: it is damaged; it is kept aside", "damage is told")
    s.wait_for("kept", is_idle, "it waits")
    s.terminate()
    s.configure(job(s, "kept", "0 4 * * *", persistent=True))
    s.start(env={**clock.env, **BERLIN})
    s.match(s.log_text(), "kept: persistent, but when it ran last cannot be remembered.*state-dir", "no state directory")


main()
