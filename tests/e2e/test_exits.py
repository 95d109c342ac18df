#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every road by which a service can end, and what each policy makes of it.

Where a restart is due it is put an hour away, so that `backoff` stands still and can be looked at.
"""
import os
import signal

from harness import main, test
from instance import service
from processes import is_alive, kill, skip


FATAL = [
    "HUP",
    "INT",
    "QUIT",
    "ILL",
    "TRAP",
    "ABRT",
    "BUS",
    "FPE",
    "KILL",
    "USR1",
    "SEGV",
    "USR2",
    "PIPE",
    "ALRM",
    "TERM",
    "STKFLT",
    "XCPU",
    "XFSZ",
    "VTALRM",
    "PROF",
    "POLL",
    "PWR",
    "SYS",
]
LATER = {"restart_delay": "1h", "restart_delay_max": "1h"}


def exited(code):
    return {"how": "exited", "code": code, "signal": None, "core": False, "oom": False, "source": "wait"}


def signaled(name, core=False):
    return {"how": "signaled", "code": None, "signal": name, "core": core, "oom": False, "source": "wait"}


def check_exit(t, s, want, what):
    got = s["exit"] and {k: v for k, v in s["exit"].items() if k not in ("at", "usage")}
    t.eq(got, want, f"{what}: exit")
    t.check(s["reason"], f"{what}: a reason is given for {s['state']}")
    t.eq((s["pid"], s["uptime"], s["stopped"], s["ready"]), (None, None, False, False), f"{what}: no process")


@test
def codes_and_signals(t):
    os.mkdir(t.path("core"))
    cases = {"code0": (["exit", 0], "exited", exited(0))}
    for code in (1, 2, 3, 77, 126, 127, 128, 143, 200, 203, 255):
        cases[f"code{code}"] = (["exit", code], "failed", exited(code))
    for name in FATAL + ["34", "64"]:
        cases[f"sig{name}"] = (["raise", name], "failed", None)
    t.configure(
        *[
            service(name, t.worker(*steps), restart="no", directory=t.path("core"))
            for name, (steps, _, _) in cases.items()
        ]
    )
    t.start()
    services = t.wait_each(lambda s: s["state"] in ("exited", "failed"), "all have ended")
    for name, (_, state, exit_) in cases.items():
        s = services[name]
        t.eq((s["state"], s["starts"], s["restarts"], s["desired"]), (state, 1, 0, "up"), name)
        if exit_:
            check_exit(t, s, exit_, name)
            continue
        t.eq((s["exit"]["how"], s["exit"]["code"], s["exit"]["core"]), ("signaled", None, False), name)
        if name[3:] in FATAL:
            t.check(s["exit"]["signal"] in (name[3:], "IO" if name == "sigPOLL" else name[3:]), f"{name}: {s['exit']}")
            t.check(s["exit"]["signal"] in s["reason"], f"{name}: reason {s['reason']!r} names the signal")
        else:
            t.check(s["exit"]["signal"], f"{name}: a real-time signal has a name too: {s['exit']}")


@test
def first_thread_leaves(t):
    """How the program ends counts, not how its first thread did; what it leaves behind is ended as ever."""
    cases = {
        "success": (["exit", 0], "exited", exited(0)),
        "failure": (["exit", 9], "failed", exited(9)),
        "killed": (["raise", "KILL"], "failed", signaled("KILL")),
    }
    t.configure(
        *[
            service(name, t.worker("children", 2, "thread", *steps), restart="no")
            for name, (steps, _, _) in cases.items()
        ]
    )
    t.start()
    services = t.wait_each(lambda s: s["state"] in ("exited", "failed"), "all have ended")
    for name, (_, state, exit_) in cases.items():
        t.eq(services[name]["state"], state, name)
        check_exit(t, services[name], exit_, name)
    t.eq(t.live(), [], "what they left")


@test
def core_dump(t):
    os.mkdir(t.path("cores"))
    pid = os.fork()
    if pid == 0:
        os.chdir(t.path("cores"))
        os.execv(t.worker_path, [t.worker_path, "core"])
    if not os.WCOREDUMP(os.waitpid(pid, 0)[1]):
        skip("no cores are written here")
    t.configure(service("a", t.worker("core"), restart="no", directory=t.path("cores")))
    t.start()
    check_exit(t, t.wait_state("a", "failed"), signaled("ABRT", core=True), "core")


# (steps, keys, state after the end) with an exit code or a signal
POLICIES = [
    # what                restart         more keys                                            state
    ("exit 0", "no", {}, "exited"),
    ("exit 0", "on-failure", {}, "exited"),
    ("exit 0", "on-abnormal", {}, "exited"),
    ("exit 0", "always", {}, "backoff"),
    ("exit 1", "no", {}, "failed"),
    ("exit 1", "on-failure", {}, "backoff"),
    ("exit 1", "on-abnormal", {}, "failed"),
    ("exit 1", "always", {}, "backoff"),
    ("raise KILL", "no", {}, "failed"),
    ("raise KILL", "on-failure", {}, "backoff"),
    ("raise KILL", "on-abnormal", {}, "backoff"),
    ("raise KILL", "always", {}, "backoff"),
    ("raise TERM", "on-failure", {"success_exit": ["TERM"]}, "exited"),
    ("raise TERM", "on-abnormal", {"success_exit": ["0", "TERM"]}, "exited"),
    ("raise TERM", "always", {"success_exit": ["TERM"]}, "backoff"),
    ("raise TERM", "no", {"success_exit": ["SIGTERM"]}, "exited"),
    ("exit 3", "on-failure", {"success_exit": ["0", "3"]}, "exited"),
    ("exit 3", "no", {"success_exit": ["3"]}, "exited"),
    ("exit 4", "on-failure", {"success_exit": ["0", "3"]}, "backoff"),
    ("exit 7", "always", {"restart_prevent_exit": ["7"]}, "failed"),
    ("exit 0", "always", {"restart_prevent_exit": ["0"]}, "exited"),
    ("exit 8", "always", {"restart_prevent_exit": ["7"]}, "backoff"),
    ("exit 7", "on-failure", {"restart_prevent_exit": ["7", "KILL"]}, "failed"),
    ("raise KILL", "on-failure", {"restart_prevent_exit": ["7", "KILL"]}, "failed"),
    ("raise KILL", "on-abnormal", {"restart_prevent_exit": ["KILL"]}, "failed"),
    ("raise KILL", "always", {"restart_prevent_exit": ["9"]}, "backoff"),
    ("exit 9", "always", {"restart_prevent_exit": ["KILL"]}, "backoff"),
    ("exit 3", "always", {"success_exit": ["3"], "restart_prevent_exit": ["3"]}, "exited"),
    ("exit 1", "always", {"restart_limit": 1}, "failed"),
]


@test
def restart_policies(t):
    t.configure(
        *[
            service(f"p{n}", t.worker(*what.split()), restart=restart, **keys, **LATER)
            for n, (what, restart, keys, _) in enumerate(POLICIES)
        ]
    )
    t.start()
    services = t.wait_all("exited", "failed", "backoff")
    for n, (what, restart, keys, state) in enumerate(POLICIES):
        s = services[f"p{n}"]
        case = f"{what}, restart = {restart}, {keys}"
        t.eq((s["state"], s["starts"]), (state, 1), case)
        word = what.split()[1]
        check_exit(t, s, exited(int(word)) if word.isdigit() else signaled(word), case)
        t.eq(s["next-start-in"] is not None, state == "backoff", f"{case}: next-start-in {s['next-start-in']}")


@test
def restart_is_the_default(t):
    gate = t.gate("gate")
    t.configure(t.marked("a", "gate", gate, restart_delay="10ms"))
    t.start()
    for n, steps in enumerate((["exit", 0], ["exit", 5], ["raise", "SEGV"]), 1):
        t.open_gate(gate, *steps)
        s = t.wait_for("a", lambda s, n=n: s["starts"] == n + 1 and s["state"] == "running", "restarted")
        t.eq((s["restarts"], s["reason"] is None or isinstance(s["reason"], str)), (n, True), "restarts")
        t.eq(len(t.live("a")), 1, "one process")
    t.eq(t.status("a")["exit"]["signal"], "SEGV", "the last exit is shown while it runs")


# what cannot be started: (keys, words that the reason holds)
UNSTARTABLE = {
    "no-such-program": ({"command": ["/nonexistent/program"]}, r"exec /nonexistent/program: No such file or directory"),
    "not-on-path": (
        {"command": ["supd-no-such-program"]},
        r"supd-no-such-program.*(No such file|not found|Permission denied)",
    ),
    "not-executable": ({"command": ["/etc/passwd"]}, r"exec /etc/passwd: Permission denied"),
    "directory-as-program": ({"command": ["/tmp"]}, r"exec /tmp: (Permission denied|Is a directory)"),
    "chdir": ({"directory": "/nonexistent/dir"}, r"(chdir|directory) /nonexistent/dir: No such file or directory"),
    "chdir-file": ({"directory": "/etc/passwd"}, r"(chdir|directory) /etc/passwd: Not a directory"),
    "environment-file": ({"environment_file": ["/nonexistent/env"]}, r"/nonexistent/env: No such file or directory"),
    "stdin": ({"stdin": "/nonexistent/dir/in"}, r"/nonexistent/dir/in: No such file or directory"),
}


@test
def what_cannot_be_started(t):
    parts = []
    for policy in ("no", "on-failure", "always"):
        for name, (keys, _) in UNSTARTABLE.items():
            keys = dict(keys)
            command = keys.pop("command", t.worker("mark", t.path("never.mark")))
            parts.append(service(f"{name}.{policy}", command, restart=policy, **keys, **LATER))
    t.configure(*parts)
    t.start()
    services = t.wait_each(lambda s: s["state"] in ("failed", "backoff"), "none could be started")
    for policy, state in (("no", "failed"), ("on-failure", "backoff"), ("always", "backoff")):
        for name, (_, pattern) in UNSTARTABLE.items():
            s = services[f"{name}.{policy}"]
            t.eq((s["state"], s["pid"]), (state, None), f"{name}.{policy}")
            t.match(s["reason"], pattern, f"{name}.{policy}: reason")
    t.eq(t.read("never.mark"), "", "no program ran")
    done = t.ctl("start", "chdir.no")
    t.eq(done.code, 1, "start of what cannot be started")
    t.match(done.err, "chdir|directory", "and the reason is told")
    t.match(t.log_text(), r"no-such-program.*No such file", "the log tells it too")


@test
def cured_by_itself(t):
    """What could not be started is tried again, and starts when the cause is gone."""
    t.configure(t.marked("a", "for-ever", directory=t.path("late"), restart_delay="20ms"))
    t.start()
    t.wait_for("a", lambda s: s["starts"] > 1 and s["state"] == "backoff", "tried again")
    os.mkdir(t.path("late"))
    t.wait_marked("a")
    t.eq(len(t.marks("a")), 1, "one process ran")


@test
def restart_limit(t):
    t.configure(
        t.marked("a", "exit", 1, restart_limit=3, restart_delay="10ms"),
        service("b", ["/nonexistent/program"], restart_limit=2, restart_delay="10ms"),
    )
    t.start()
    s = t.wait_state("a", "failed")
    t.eq((s["starts"], s["restarts"], len(t.marks("a"))), (3, 2, 3), "three unstable runs in a row")
    t.match(s["reason"], r"(?i)limit|row|3", "reason")
    t.eq(t.wait_state("b", "failed")["starts"], 2, "failures before exec count")
    t.ctl("start", "a")
    s = t.wait_for("a", lambda s: s["state"] == "failed" and s["starts"] > 3, "a start clears the row")
    t.eq(s["starts"], 6, "three more runs")


@test
def hanging_start(t):
    """A child that hangs before its exec: here in opening a FIFO that nobody writes."""
    for name in ("timed", "stopped", "killed", "go"):
        os.mkfifo(t.path(name))
    t.configure(
        service("timed", t.worker("for-ever"), stdin=t.path("timed"), start_timeout="300ms", restart="no"),
        service("stopped", t.worker("for-ever"), stdin=t.path("stopped"), stop_timeout="1h"),
        service("killed", t.worker("for-ever"), stdin=t.path("killed"), restart="no"),
        service("go", t.worker("for-ever"), stdin=t.path("go")),
    )
    t.start()
    s = t.wait_state("timed", "failed")
    t.match(s["reason"], r"(?i)time", "a start that took too long")
    t.eq(s["pid"], None, "its process is gone")
    s = t.wait_state("stopped", "starting")
    t.eq((s["ready"], s["uptime"] is None or s["uptime"] >= 0), (False, True), "starting")
    t.eq(t.ctl("stop", "stopped").code, 0, "stop of a start that hangs")
    t.eq((t.status("stopped")["state"], t.status("stopped")["pid"]), ("stopped", None), "stopped")
    pid = t.status("killed")["pid"]
    if t.check(pid, "a pid is shown while it starts"):
        kill(pid, signal.SIGKILL)
        t.eq(t.wait_state("killed", "failed")["exit"]["signal"], "KILL", "killed while it started")
    t.wait_state("go", "starting")
    with open(t.path("go"), "w", encoding="ascii"):  # the start goes on when somebody writes to the FIFO
        t.wait_state("go", "running")
    t.eq(t.terminate(), 0, "supd ends")


@test
def ends_during_a_stop(t):
    """A stop that was asked for ends in `stopped`, however the process ended."""
    cases = {
        "term": ([], signaled("TERM")),
        "exit0": (["trap-exit", t.path("got"), 0, "TERM"], exited(0)),
        "exit9": (["trap-exit", t.path("got"), 9, "TERM"], exited(9)),
        "ignore": (["ignore", "TERM"], signaled("KILL")),
    }
    t.configure(
        *[
            service(name, t.worker(*steps, "mark", t.path(name + ".mark"), "for-ever"), stop_timeout="3s")
            for name, (steps, _) in cases.items()
        ],
        service("outside", t.worker("ignore", "TERM", "mark", t.path("outside.mark"), "for-ever"), stop_timeout="1h"),
    )
    t.start()
    for name in [*cases, "outside"]:
        t.wait_for(name, lambda _, n=name: t.marks(n), "runs")
    for name, (_, want) in cases.items():
        t.eq(t.ctl("stop", name).code, 0, f"stop {name}")
        s = t.status(name)
        t.eq((s["state"], s["starts"], s["desired"]), ("stopped", 1, "down"), name)
        t.eq({k: v for k, v in s["exit"].items() if k not in ("at", "usage")}, want, f"{name}: exit")
    t.ctl("stop", "--no-wait", "outside")
    kill(t.status("outside")["pid"], signal.SIGKILL)
    t.eq(t.wait_state("outside", "stopped")["exit"]["signal"], "KILL", "killed by somebody else")
    t.nothing_left()


@test
def killed_while_job_control_holds_it(t):
    t.configure(t.sleeper("a", restart_delay="10ms"))
    t.start()
    pid = t.wait_state("a", "running")["pid"]
    kill(pid, signal.SIGSTOP)
    s = t.wait_for("a", lambda s: s["stopped"], "stopped")
    t.eq((s["state"], s["starts"], s["exit"]), ("running", 1, None), "SIGSTOP is no end")
    kill(pid, signal.SIGKILL)
    s = t.wait_for("a", lambda s: s["starts"] == 2 and s["state"] == "running", "restarted")
    t.eq((s["exit"]["signal"], s["stopped"]), ("KILL", False), "the new one runs")


@test
def many_exit_at_once(t):
    """SIGCHLD is not queued: none may be lost when many end together."""
    count = 300
    t.configure(
        "defaults { restart-delay = 1h\n restart-delay-max = 1h\n restart-reset = 1h }",
        *[t.sleeper(f"s{n}") for n in range(count)],
    )
    t.start()
    services = t.wait_all("running")
    for s in services.values():
        kill(s["pid"], signal.SIGSTOP)
    for s in services.values():
        kill(s["pid"], signal.SIGKILL)
    services = t.wait_all("backoff")
    t.eq({(s["exit"]["signal"], s["exit"]["source"]) for s in services.values()}, {("KILL", "wait")}, "exits")
    t.eq(t.live(), [], "no process")
    with open("/proc/self/task/%d/children" % os.getpid(), encoding="ascii") as f:
        t.eq(f.read().split(), [str(t.process.pid)], "supd is our only child")
    t.eq([p for p in _children(t.process.pid) if not is_alive(p)], [], "no zombies")


def _children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        return [int(p) for p in f.read().split()]


if __name__ == "__main__":
    main()
