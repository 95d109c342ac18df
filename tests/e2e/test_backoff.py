#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""When a restart comes. Judged by what supd reports and by lower bounds: nothing here fails on a slow machine."""
import signal
import time

from harness import main, test
from instance import service
from processes import DEADLINE, PAUSE, kill


JITTER = 0.10


def gaps(t, name):
    times = [at for _, at in t.marks(name)]
    return [b - a for a, b in zip(times, times[1:])]


def watch(t, name, starts):
    """starts -> the largest next-start-in seen while the service had that many starts."""
    seen = {}
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        s = t.status(name)
        if s["next-start-in"] is not None:
            t.eq(s["state"], "backoff", "next-start-in only in backoff")
            seen[s["starts"]] = max(seen.get(s["starts"], 0), s["next-start-in"])
        if s["starts"] >= starts and s["state"] == "backoff":
            return seen
        time.sleep(PAUSE)
    t.need(False, f"{name} has not reached {starts} starts: {t.status(name)}")
    return seen


@test
def doubles_to_the_maximum(t):
    t.configure(t.marked("a", "exit", 1, restart_delay="200ms", restart_delay_max="1s"))
    t.start()
    seen = watch(t, "a", 7)
    for n, want in enumerate([0.2, 0.4, 0.8, 1.0, 1.0, 1.0], 1):
        jitter = 0 if n == 1 else want * JITTER
        t.check(gaps(t, "a")[n - 1] >= want - jitter - 0.002, f"gap {n} is {gaps(t, 'a')[n - 1]:.3f}, not under {want}")
        t.check(seen.get(n, 0) <= want + jitter + 0.002, f"next-start-in {n} is {seen.get(n)}, not over {want}")
    t.check(seen, "next-start-in was seen at all")
    s = t.status("a")
    t.eq(s["restarts"], s["starts"] - 1, "all but the first are automatic")


@test
def jitter_spreads(t):
    """Services that fail together do not come back together from the second delay on."""
    names = [f"s{n}" for n in range(8)]
    t.configure(
        *[
            service(
                name, t.worker("mark", t.path(name + ".mark"), "exit", 1), restart_delay="500ms", restart_delay_max="1h"
            )
            for name in names
        ]
    )
    t.start()
    delays = set()
    for name in names:
        t.wait_for(name, lambda s: s["starts"] >= 4, "four starts")
        for k, gap in enumerate(gaps(t, name)[:3]):
            want = 0.5 * 2**k
            t.check(gap >= want * (1 - (JITTER if k else 0)) - 0.002, f"{name}: gap {k} is {gap}, not under {want}")
            if k:
                delays.add(round(gap / want, 3))
    t.check(len(delays) > 3, f"delays differ: {sorted(delays)}")


@test
def the_first_delay_is_exact(t):
    t.configure(service("a", t.worker("exit", 1), restart_delay="2h", restart_delay_max="8h"))
    t.start()
    for _ in range(5):
        delay = t.wait_state("a", "backoff")["next-start-in"]
        t.check(7100 < delay <= 7200, f"first delay {delay}")
        t.ctl("start", "a")


@test
def maximum_below_the_delay(t):
    t.configure(service("a", t.worker("exit", 1), restart_delay="1h", restart_delay_max="1h"))
    t.start()
    t.check(t.wait_state("a", "backoff")["next-start-in"] <= 3600, "delay = maximum")


@test
def zero_means_at_once(t):
    t.configure(t.marked("a", "exit", 1, restart_delay="0"), service("b", ["/nonexistent/program"], restart_delay="0"))
    began = time.monotonic()
    t.start()
    t.wait_for("a", lambda s: s["starts"] > 30, "no delay ever: thirty starts")
    b = t.status("b")
    passed = time.monotonic() - began
    t.check(
        b["starts"] <= passed / 0.1 + 2, f"a failure before exec waits 100ms at least: {b['starts']} in {passed:.2f} s"
    )
    t.check(b["next-start-in"] is None or b["next-start-in"] > 0 or b["state"] != "backoff", "b waits")
    t.wait_for("b", lambda s: s["starts"] > 4, "b goes on trying")
    t.eq(t.ctl("stop", "a", "b").code, 0, "stop in the middle")
    t.eq((t.status("a")["state"], t.status("b")["state"]), ("stopped", "stopped"), "stopped")


@test
def stable_is_restarted_at_once(t):
    t.configure(t.sleeper("a", restart_reset="100ms", restart_delay="1h", restart_delay_max="1h"))
    t.start()
    for starts in range(1, 5):
        s = t.wait_for(
            "a", lambda s, n=starts: s["state"] == "running" and s["starts"] == n and s["uptime"] > 0.15, "stable"
        )
        kill(s["pid"], signal.SIGKILL)
    t.wait_for("a", lambda s: s["state"] == "running" and s["starts"] == 5, "never waited")


@test
def unstable_run_after_a_stable_one(t):
    """A stable run clears the row: the delay after the next unstable run is the first again."""
    gate = t.gate("gate")
    t.configure(t.marked("a", "gate", gate, restart_reset="1s", restart_delay="50ms", restart_delay_max="8h"))
    t.start()
    for n in range(3):
        t.open_gate(gate, "exit", 1)
        t.wait_for("a", lambda s, n=n: s["starts"] == n + 2 and s["state"] == "running", "restarted")
    t.wait_for("a", lambda s: s["uptime"] and s["uptime"] > 1.1, "stable")
    t.open_gate(gate, "exit", 1)
    t.wait_for("a", lambda s: s["starts"] == 5 and s["state"] == "running", "at once")
    t.open_gate(gate, "exit", 1)
    s = t.wait_for("a", lambda s: s["state"] == "backoff" or s["starts"] == 6, "unstable")
    t.check(s["next-start-in"] is None or s["next-start-in"] <= 0.052, f"the first delay: {s['next-start-in']}")


@test
def commands_clear_the_row(t):
    keys = {"restart_delay": "30ms", "restart_delay_max": "100h", "restart_limit": 3}
    t.configure(
        *[service(n, t.worker("mark", t.path(n + ".mark"), "exit", 1), **keys) for n in ("start", "restart", "reset")]
    )
    t.start()
    for command in ("start", "restart"):
        t.eq(t.wait_state(command, "failed")["starts"], 3, "limit reached")
        t.ctl(command, command)
        t.eq(
            t.wait_for(command, lambda s: s["state"] == "failed" and s["starts"] > 3, "again")["starts"],
            6,
            f"{command} clears the row",
        )
    t.wait_state("reset", "failed")
    t.eq(t.ctl("reset", "reset").code, 0, "reset")
    t.ctl("start", "reset")
    t.eq(
        t.wait_for("reset", lambda s: s["state"] == "failed" and s["starts"] > 3, "again")["starts"], 6, "reset, start"
    )


@test
def start_cuts_the_wait(t):
    t.configure(service("a", t.worker("script", t.path("steps")), restart_delay="1h", restart_delay_max="8h"))
    t.write("steps", "exit 1")
    t.start()
    t.wait_state("a", "backoff")
    t.write("steps", "for-ever")
    t.eq(t.ctl("start", "a").code, 0, "start in backoff")
    s = t.status("a")
    t.eq((s["state"], s["starts"], s["restarts"], s["next-start-in"]), ("running", 2, 0, None), "runs at once")


@test
def stop_in_backoff(t):
    t.configure(t.marked("a", "exit", 1, restart_delay="200ms", restart_delay_max="200ms"))
    t.start()
    t.wait_state("a", "backoff")
    t.eq(t.ctl("stop", "a").code, 0, "stop in backoff")
    s = t.status("a")
    t.eq((s["state"], s["desired"], s["next-start-in"]), ("stopped", "down", None), "stopped")
    starts = s["starts"]
    time.sleep(0.5)  # nothing can be polled for: the point is that nothing happens
    t.eq(t.status("a")["starts"], starts, "no timer is left")
    t.check(len(t.marks("a")) <= starts, f"{len(t.marks('a'))} ran, {starts} starts")


@test
def reset_in_backoff(t):
    t.configure(service("a", t.worker("exit", 1), restart_delay="1h", restart_delay_max="8h"))
    t.start()
    t.wait_state("a", "backoff")
    t.eq(t.ctl("reset", "a").code, 0, "reset in backoff")
    s = t.status("a")
    t.eq(s["desired"], "up", "it is still wanted")
    t.check(s["state"] in ("backoff", "starting", "running"), f"it is still on its way: {s['state']}")
    s = t.wait_state("a", "backoff")
    t.check(s["next-start-in"] <= 3600, f"the row is forgotten: {s['next-start-in']}")


if __name__ == "__main__":
    main()
