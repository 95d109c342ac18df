#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The main promise: supd is killed at any moment, started again, and every service runs on, exactly once."""
import json
import os
import re
import signal
import subprocess

from harness import main, test
from instance import service, setting
from processes import eventually, is_alive, kernel, kernel_tells_exits, kill, read_stat, skip


LATER = {"restart_delay": "1h", "restart_delay_max": "1h"}


@test
def twenty_crashes(t):
    names = [f"s{n}" for n in range(8)]
    t.configure(*[t.sleeper(n) for n in names], t.trio("trio"), t.sleeper("off", enabled=False))
    t.start()
    t.settle(names, "at first")
    t.wait_trio("trio")
    before, everybody = t.all(), t.live()
    for n in range(20):
        t.crash()
        t.eq(t.live(), everybody, f"crash {n}: nobody dies with supd")
        t.start()
        after = t.all()
        for name in [*names, "trio"]:
            s = after[name]
            t.eq(
                (s["pid"], s["state"], s["desired"], s["adopted"], s["ready"], s["starts"], s["restarts"], s["exit"]),
                (before[name]["pid"], "running", "up", True, True, 1, 0, None),
                f"crash {n}: {name}",
            )
            t.check(abs(s["since"] - before[name]["since"]) < 2, f"crash {n}: {name}: running since the start")
            t.check(s["uptime"] >= before[name]["uptime"], f"crash {n}: {name}: uptime goes on")
        t.eq(after["off"]["state"], "stopped", f"crash {n}: off")
        t.eq(t.live(), everybody, f"crash {n}: the same processes")
    for name in names:
        t.eq(len(t.marks(name)), 1, f"{name} was started once")


@test
def an_adopted_service_is_like_any_other(t):
    t.configure(
        t.sleeper("stop"),
        t.sleeper("restart"),
        t.trio("group"),
        t.deaf("signal", "USR1"),
        t.trio("escalate", "ignore", "TERM", stop_timeout="300ms"),
    )
    t.start()
    t.wait_all("running")
    for name in ("group", "escalate"):
        t.wait_trio(name)
    t.wait_marked("signal")
    t.crash_and_start()
    old = t.all()
    t.eq(t.ctl("signal", "USR1", "signal").code, 0, "signal")
    eventually(lambda: t.got("signal") == ["USR1"], "the signal arrives")
    t.eq(t.ctl("restart", "restart").code, 0, "restart")
    s = t.status("restart")
    t.eq(
        (s["state"], s["adopted"], s["starts"], s["pid"] != old["restart"]["pid"]),
        ("running", False, 2, True),
        "restart",
    )
    t.check(not is_alive(old["restart"]["pid"]), "the old process has ended")
    for name in ("stop", "group", "escalate"):
        t.eq(t.ctl("stop", name).code, 0, f"stop {name}")
        s = t.status(name)
        t.eq((s["state"], s["pid"], t.live(name)), ("stopped", None, []), f"stop {name}")
        t.check(
            s["exit"]["how"] != "exited" and s["exit"]["signal"] in (None, "KILL" if name == "escalate" else "TERM"),
            f"{name}: exit {s['exit']}",
        )


ENDS = {
    "exit7": (["exit", 7], ("exited", 7, None)),
    "exit0": (["exit", 0], ("exited", 0, None)),
    "segv": (["raise", "SEGV"], ("signaled", None, "SEGV")),
    "term": (["raise", "TERM"], ("signaled", None, "TERM")),
}


def gated(t, **keys):
    gates = {name: t.gate(name + ".gate") for name in ENDS}
    t.configure(*[service(name, t.worker("gate", gates[name]), restart="no", **keys) for name in ENDS])
    return gates


def check_ends(t, exact):
    told = ("proc", "pidfd") if kernel_tells_exits() else ("proc", "netlink")
    for name, (_, want) in ENDS.items():
        s = t.wait_state(name, "exited", "failed")
        e = s["exit"]
        got = (e["how"], e["code"], e["signal"])
        if exact:
            t.eq(got, want, f"{name}: exit")
            t.check(e["source"] in told, f"{name}: source {e['source']}")
        elif got == want:
            t.check(e["source"] in told, f"{name}: source {e['source']}")
        else:
            t.eq(got, ("unknown", None, None), f"{name}: what could not be learnt is unknown")
            t.eq(e["source"], "none", f"{name}: source")
        succeeded = e["how"] == "exited" and e["code"] == 0
        t.eq(s["state"], "exited" if succeeded else "failed", f"{name}: state after {got}")
        if want != ("exited", 0, None):
            t.check(not succeeded, f"{name}: never a success that was none")


def end_under_a_new_supd(t, exact):
    gates = gated(t)
    t.start()
    t.wait_all("running")
    t.crash_and_start()
    # Where the kernel does not keep the status, its events tell it.
    exact = exact or t.call("supd.info")["watch"].endswith("netlink")
    for name, (steps, _) in ENDS.items():
        t.open_gate(gates[name], *steps)
    check_ends(t, exact)


@test
def end_of_an_adopted_process(t):
    end_under_a_new_supd(t, exact=kernel_tells_exits())


@test(reaper=False, root=True)
def end_of_an_adopted_process_that_nobody_reaps(t):
    end_under_a_new_supd(t, exact=True)


def end_while_supd_is_dead(t, exact):
    gates = gated(t)
    t.start()
    running = t.wait_all("running")
    t.crash()
    for name, (steps, _) in ENDS.items():
        t.open_gate(gates[name], *steps)
    eventually(lambda: not any(is_alive(s["pid"]) for s in running.values()), "all have ended")
    t.start()
    check_ends(t, exact)


@test
def end_while_supd_is_dead_and_reaped(t):
    end_while_supd_is_dead(t, exact=False)


@test(reaper=False, root=True)
def end_while_supd_is_dead_and_not_reaped(t):
    end_while_supd_is_dead(t, exact=kernel() >= (5, 17))  # before, /proc tells of the first thread only


@test
def restarted_by_policy_after_an_end_unseen(t):
    policies = {"no": "failed", "on-failure": "running", "on-abnormal": "running", "always": "running"}
    t.configure(
        *[t.sleeper(p, restart=p, restart_delay="10ms") for p in policies],
        t.sleeper("far", **LATER),
        t.sleeper("limit", restart_limit=1),
    )
    t.start()
    before = t.wait_all("running")
    t.crash()
    for s in before.values():
        kill(s["pid"], signal.SIGKILL)
    t.start()
    for name, state in policies.items():
        s = t.wait_for(name, lambda s, w=state: s["state"] == w, f"state {state}")
        t.check(s["pid"] != before[name]["pid"] and s["exit"]["how"] in ("unknown", "signaled"), f"{name}: {s}")
        t.eq(s["starts"], 2 if state == "running" else 1, f"{name}: starts")
    t.wait_state("far", "backoff")
    t.wait_state("limit", "failed")
    eventually(lambda: [len(t.live(p)) for p in policies] == [0, 1, 1, 1], "one process each")


@test
def what_was_asked_for_survives(t):
    t.configure(
        t.sleeper("stopped"),
        t.sleeper("started", enabled=False),
        t.sleeper("both"),
        service("failed", t.worker("exit", 3), restart="no"),
        service("exited", t.worker("exit", 0), restart="no"),
        service("backoff", t.worker("exit", 4), **LATER),
        service("counted", t.worker("mark", t.path("counted.mark"), "gate", t.gate("gate")), restart_delay="10ms"),
        service("limit", t.worker("exit", 5), restart_limit=3, restart_delay="10ms"),
        service("unstartable", ["/nonexistent/program"], **LATER),
    )
    t.start()
    t.ctl("stop", "stopped", "both")
    t.ctl("start", "started", "both")
    for n in range(3):
        t.open_gate(t.path("gate"), "exit", 6)
        t.wait_for("counted", lambda s, n=n: s["starts"] == n + 2 and s["state"] == "running", "restarted")
    for name, state in (
        ("failed", "failed"),
        ("exited", "exited"),
        ("backoff", "backoff"),
        ("limit", "failed"),
        ("unstartable", "backoff"),
    ):
        t.wait_state(name, state)
    t.ctl("signal", "STOP", "both")
    t.wait_for("both", lambda s: s["stopped"], "held by job control")
    before = t.all()
    for s in before.values():
        if s["exit"]:
            s["exit"]["usage"] = None  # which is not recorded
    for n in range(3):
        t.crash_and_start()
        after = t.all()
        for name, s in after.items():
            for key in ("state", "desired", "pid", "starts", "restarts", "reason", "exit", "stopped"):
                if key == "reason" and s["state"] == "running":
                    continue
                t.eq(s[key], before[name][key], f"crash {n}: {name}: {key}")
            t.check(abs(s["since"] - before[name]["since"]) < 2, f"crash {n}: {name}: since {s['since']}")
        t.check(3000 < after["backoff"]["next-start-in"] <= before["backoff"]["next-start-in"], "the backoff goes on")
    t.ctl("start", "limit")
    t.eq(t.wait_for("limit", lambda s: s["state"] == "failed" and s["starts"] > 3, "again")["starts"], 6, "a fresh row")


@test
def backoff_goes_on(t):
    """The row of delays is not begun afresh by a crash, and what is left of a delay is waited for."""
    t.configure(t.marked("a", "exit", 1, restart_delay="400ms", restart_delay_max="1h"))
    t.start()
    for n in range(1, 4):
        t.wait_for("a", lambda s, n=n: s["state"] == "backoff" and s["starts"] >= n, f"backoff {n}")
        t.crash_and_start()
    eventually(lambda: len(t.marks("a")) >= 4, "four runs")
    times = [at for _, at in t.marks("a")]
    for n, want in enumerate((0.4, 0.72, 1.44)):
        t.check(times[n + 1] - times[n] >= want - 0.005, f"gap {n}: {times[n + 1] - times[n]:.3f}, not under {want}")


@test
def stop_in_progress(t):
    t.configure(t.deaf("long"), t.deaf("short", stop_timeout="1s"), t.deaf("restarting"))
    t.start()
    for name in ("long", "short", "restarting"):
        t.wait_marked(name)
    t.ctl("stop", "--no-wait", "long", "short")
    t.ctl("restart", "--no-wait", "restarting")
    eventually(lambda: all(t.got(n) for n in ("long", "short", "restarting")), "the signals have come")
    old = t.status("restarting")["pid"]
    for n in range(3):
        t.crash_and_start()
        s = t.status("long")
        t.eq((s["state"], s["desired"]), ("stopping", "down"), f"crash {n}: long")
        s = t.status("restarting")
        t.eq((s["state"], s["desired"], s["pid"]), ("stopping", "up", old), f"crash {n}: restarting")
    s = t.wait_state("short", "stopped")
    t.check(s["exit"]["signal"] in ("KILL", None) and s["exit"]["how"] != "exited", f"short was killed: {s['exit']}")
    kill(t.status("long")["pid"], signal.SIGKILL)
    kill(old, signal.SIGKILL)
    t.wait_state("long", "stopped")
    s = t.wait_for("restarting", lambda s: s["state"] == "running" and s["pid"] not in (None, old), "the restart is finished")
    t.eq(s["starts"], 2, "started again once")
    for name in ("long", "short", "restarting"):
        t.eq(t.got(name), ["TERM"], f"{name} was signalled once")


@test
def stopped_while_supd_was_dead(t):
    """The process ends between the stop signal and the new supd: a stop, not a failure."""
    t.configure(t.deaf("a"))
    t.start()
    pid = t.wait_for("a", lambda s: t.marks("a") and s["state"] == "running", "runs")["pid"]
    t.ctl("stop", "--no-wait", "a")
    t.crash()
    kill(pid, signal.SIGKILL)
    t.start()
    s = t.wait_state("a", "stopped")
    t.eq((s["desired"], s["starts"], t.live("a")), ("down", 1, []), "stopped for good")


@test
def section_gone_while_supd_was_dead(t):
    t.configure(t.sleeper("a"), t.trio("gone", stop_signal="USR1"), t.sleeper("stopped-gone"))
    t.start()
    pid = t.wait_state("a", "running")["pid"]
    t.wait_trio("gone")
    t.ctl("stop", "stopped-gone")
    t.crash()
    t.configure(t.sleeper("a"))
    t.start()
    eventually(lambda: not t.live("gone"), "the service whose section is gone is stopped")
    eventually(lambda: sorted(t.all()) == ["a"], "and not in the list")
    t.eq(t.status("a")["pid"], pid, "the other one runs on")
    t.crash_and_start()
    t.eq(sorted(t.all()), ["a"], "it does not come back")


@test
def gone_service_is_stopped_in_its_own_way(t):
    """The start record carries how to stop the process, also when the section is gone."""
    t.configure(
        t.sleeper("a"),
        service(
            "gone",
            t.worker(
                "trap-exit", t.path("gone.got"), 0, "USR2", "ignore", "TERM", "mark", t.path("gone.mark"), "for-ever"
            ),
            stop_signal="USR2",
            stop_timeout="1h",
        ),
    )
    t.start()
    t.wait_marked("gone")
    t.crash()
    t.configure(t.sleeper("a"))
    t.start()
    eventually(lambda: not t.live("gone"), "gone")
    t.eq(t.got("gone"), ["USR2"], "by its own stop signal")


@test
def removal_in_progress(t):
    """A removed service's main process has ended, another of its group has not; supd dies, and the removal goes on."""
    got, mark = t.path("gone.got"), t.path("gone.mark")
    steps = ("ignore", "TERM", "child-mark", mark, "trap-exit", got, "0", "TERM", "mark", mark, "for-ever")
    for when in ("before", "after"):
        t.configure(service("gone", t.worker(*steps), stop_timeout="1h"), t.sleeper("calm"))
        t.start()
        t.wait_for("gone", lambda s: s["state"] == "running" and len(t.live("gone")) == 2, "both run")
        eventually(lambda: len(t.marks("gone")) == 2, "both have left their mark")
        left = next(pid for pid in t.live("gone") if pid != t.status("gone")["pid"])
        t.configure(t.sleeper("calm"))
        t.process.send_signal(signal.SIGHUP)
        t.wait_for("gone", lambda s: s["state"] == "stopping" and s["pid"] is None, "its main process has ended")
        t.crash()
        if when == "before":
            kill(left, signal.SIGKILL)
            eventually(lambda: not is_alive(left), "the other ends before the new start")
        t.start()
        if when == "after":
            t.eq(t.status("gone")["state"], "stopping", "while the other lives")
            kill(left, signal.SIGKILL)
        eventually(lambda: sorted(t.all()) == ["calm"], f"it is removed; the other ended {when} the new start")
        t.eq(t.terminate(), 0, "exit code")
        os.remove(mark)


@test
def section_changed_while_supd_was_dead(t):
    t.configure(t.sleeper("a", environment=["V=1"]), t.sleeper("b"), t.sleeper("c"))
    t.start()
    t.wait_all("running")
    before = t.all()
    t.crash()
    t.configure(
        t.sleeper("a", environment=["V=2"]), t.sleeper("b", stop_timeout="3s"), t.sleeper("c"), t.sleeper("new")
    )
    t.start()
    after = t.all()
    for name, stale in (("a", True), ("b", False), ("c", False)):
        t.eq((after[name]["pid"], after[name]["config-stale"]), (before[name]["pid"], stale), name)
    t.wait_state("new", "running")
    t.crash_and_start()
    t.eq(t.status("a")["config-stale"], True, "it stays stale over a second crash")
    t.ctl("restart", "a")
    s = t.status("a")
    t.eq((s["config-stale"], b"V=2" in t.mine()[s["pid"]]), (False, True), "a restart takes the new one")


@test
def broken_file_and_living_services(t):
    text = t.sleeper("a") + t.sleeper("b", restart_delay="10ms")
    t.configure(text)
    t.start()
    t.wait_all("running")
    before = t.all()
    t.crash()
    t.configure(text, "nonsense")
    t.start()
    t.eq({n: s["pid"] for n, s in t.all().items()}, {n: s["pid"] for n, s in before.items()}, "services run on")
    t.eq(t.call("supd.info")["config-fallback"], True, "it says that it runs on the last good copy")
    t.match(t.log_text(), rf"{re.escape(t.conf)}:\d+: ", "the log tells the error")
    kill(before["b"]["pid"], signal.SIGKILL)
    t.wait_for("b", lambda s: s["starts"] == 2 and s["state"] == "running", "restarted from the copy")
    t.crash_and_start()
    t.eq(t.call("supd.info")["config-fallback"], True, "a second time too")
    t.eq(t.ctl("reread").code, 1, "reread of the broken file")
    t.configure(text, t.sleeper("c"))
    t.eq(t.ctl("reread").code, 0, "reread of the repaired file")
    t.eq((t.call("supd.info")["config-fallback"], sorted(t.all())), (False, ["a", "b", "c"]), "back to the file")
    t.eq(t.status("a")["pid"], before["a"]["pid"], "a was never touched")
    t.crash()
    os.unlink(t.conf)
    t.start()
    t.eq(t.status("a")["pid"], before["a"]["pid"], "a missing file is a broken one")


@test
def broken_file_and_nobody_alive(t):
    t.configure(t.sleeper("a"))
    t.start()
    pid = t.wait_state("a", "running")["pid"]
    t.crash()
    kill(pid, signal.SIGKILL)
    eventually(lambda: not t.live(), "nobody is alive")
    t.configure(t.sleeper("a"), "nonsense")
    done = t.run()
    t.eq(done.code, 1, "refused")
    t.match(done.err, rf"{re.escape(t.conf)}:\d+: ", "the error is told")


@test
def leftovers_of_an_adopted_group(t):
    t.configure(
        t.trio("seen", restart_delay="10ms"), t.trio("unseen", restart_delay="10ms"), t.trio("down", restart="no")
    )
    t.start()
    old = {}
    for name in ("seen", "unseen", "down"):
        t.wait_trio(name)
        old[name] = t.live(name)
    main_pid = {n: s["pid"] for n, s in t.all().items()}
    t.crash()
    kill(main_pid["unseen"], signal.SIGKILL)
    kill(main_pid["down"], signal.SIGKILL)
    t.start()
    kill(main_pid["seen"], signal.SIGKILL)
    for name in ("seen", "unseen"):
        t.wait_trio(name, 6)
        t.eq((len(t.live(name)), set(t.live(name)) & set(old[name])), (3, set()), f"{name}: the old group is gone")
    t.wait_state("down", "failed")
    eventually(lambda: not t.live("down"), "the group of a service that stays down is ended")


def fork_as(pid):
    """A stranger with this pid: the rest of the machine forks too, so it may take some tries."""
    for _ in range(500):
        try:
            with open("/proc/sys/kernel/ns_last_pid", "w", encoding="ascii") as f:
                f.write(str(pid - 1))
        except OSError:
            skip("cannot choose a pid here")
        stranger = os.fork()
        if stranger == 0:
            os.execv("/bin/sleep", ["sleep", "1000"])
        if stranger == pid:
            return stranger
        os.kill(stranger, signal.SIGKILL)
        os.waitpid(stranger, 0)
    skip("somebody else keeps the pid")


@test
def signals_reach_nobody_else(t):
    """A recorded pid that now belongs to somebody else is not ours: the old process has ended."""
    t.configure(t.sleeper("a", restart="no"))
    t.start()
    pid = t.wait_state("a", "running")["pid"]
    t.crash()
    kill(pid, signal.SIGKILL)
    eventually(lambda: read_stat(pid) is None or not is_alive(pid), "ended")
    stranger = fork_as(pid)
    t.start()
    s = t.wait_state("a", "failed")
    t.check(s["exit"]["how"] in ("unknown", "signaled"), f"exit {s['exit']}")
    t.ctl("stop", "a")
    t.check(is_alive(stranger), "the stranger lives")
    t.eq(t.terminate(), 0, "exit code")
    t.check(is_alive(stranger), "the stranger lives still")
    os.kill(stranger, signal.SIGKILL)


@test
def runtime_dir_in_the_file(t):
    """Without -r the file says where; the copy of the configuration is found there."""

    t.configure(setting("runtime-dir", t.run_dir), t.sleeper("a"))
    argv = [os.environ["SUPD"], "-c", t.conf]

    def start():
        with open(t.log, "ab") as log:
            t.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        eventually(t.answers, "supd answers")

    start()
    pid = t.wait_state("a", "running")["pid"]
    t.crash()
    start()
    t.eq((t.status("a")["pid"], t.status("a")["adopted"]), (pid, True), "adopted")
    t.eq(json.loads(t.ctl("--json", "info").out)["runtime-dir"], t.run_dir, "runtime-dir")


if __name__ == "__main__":
    main()
