#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Stopping: who gets which signal, what happens to those that do not listen, and what supd leaves behind."""
import os
import signal

from harness import main, test
from instance import service
from processes import eventually, is_alive, kill


def names_got(t, name):
    """signal -> how many processes got it"""
    got = [line.split()[1] for line in t.read(name).splitlines()]
    return {sig: got.count(sig) for sig in got}


@test
def kill_modes(t):
    cases = {"group": {"TERM": 3}, "process": {"TERM": 1}, "mixed": {"TERM": 1}}
    t.configure(
        *[
            t.trio(mode, "trap-exit", t.path("got." + mode), 0, "TERM", kill_mode=mode, stop_timeout="3s")
            for mode in cases
        ]
    )
    t.start()
    pids = {}
    for mode in cases:
        t.wait_trio(mode)
        pids[mode] = t.live(mode)
        t.eq(len(pids[mode]), 3, f"{mode}: processes")
    for mode, want in cases.items():
        main_pid = t.status(mode)["pid"]
        t.eq(t.ctl("stop", mode).code, 0, f"stop of kill-mode {mode}")
        t.eq(names_got(t, "got." + mode), want, f"kill-mode {mode}: who got TERM")
        s = t.status(mode)
        t.eq(
            (s["state"], s["exit"]["how"], s["exit"]["code"]),
            ("stopped", "exited", 0),
            f"{mode}: exit of the main process",
        )
        t.check(not is_alive(main_pid), f"{mode}: the main process has ended")
    for mode in ("group", "mixed"):
        t.eq(t.live(mode), [], f"kill-mode {mode} leaves nobody")
    t.eq(len(t.live("process")), 2, "kill-mode process leaves the children alone")


@test
def escalation(t):
    """Who ignores the stop signal is killed after stop-timeout, according to the kill mode."""
    t.configure(
        t.trio("group", "ignore", "TERM", stop_timeout="300ms"),
        t.trio("mixed", "ignore", "TERM", stop_timeout="300ms", kill_mode="mixed"),
        t.trio("process", "ignore", "TERM", stop_timeout="300ms", kill_mode="process"),
    )
    t.start()
    for name in ("group", "mixed", "process"):
        t.wait_trio(name)
    for name in ("group", "mixed", "process"):
        t.eq(t.ctl("stop", name).code, 0, f"stop {name}")
        s = t.status(name)
        t.eq((s["state"], s["exit"]["signal"]), ("stopped", "KILL"), f"{name} was killed")
    t.eq((t.live("group"), t.live("mixed"), len(t.live("process"))), ([], [], 2), "who is left")


@test
def other_stop_signals(t):
    names = ["INT", "QUIT", "USR1", "HUP", "KILL"]
    t.configure(
        *[t.sleeper(n, stop_signal=n) for n in names],
        t.sleeper("number", stop_signal="2"),
        t.sleeper("long", stop_signal="SIGUSR2"),
    )
    t.start()
    t.wait_all("running")
    for name, want in [*zip(names, names), ("number", "INT"), ("long", "USR2")]:
        t.eq(t.ctl("stop", name).code, 0, f"stop by {name}")
        t.eq(t.status(name)["exit"]["signal"], want, f"stop by {name}")


@test
def leftovers_of_a_group(t):
    """The main process dies, its children live: they are ended before the service starts again."""
    t.configure(
        t.trio("a", restart_delay="10ms"),
        t.trio("deaf", "ignore", "TERM", restart_delay="10ms", stop_timeout="300ms"),
        t.trio("last", restart="no"),
    )
    t.start()
    old = {}
    for name in ("a", "deaf", "last"):
        t.wait_trio(name)
        old[name] = t.live(name)
    for name in ("a", "deaf", "last"):
        kill(t.status(name)["pid"], signal.SIGKILL)
    for name in ("a", "deaf"):
        t.wait_for(name, lambda s: s["state"] == "running" and s["starts"] == 2, "restarted")
        eventually(lambda n=name: len(t.marks(n)) == 6, f"the new {name} is complete")
        t.eq(len(t.live(name)), 3, f"{name}: only the new ones live")
        t.check(not set(old[name]) & set(t.live(name)), f"{name}: none of the old ones")
    t.wait_state("last", "failed")
    eventually(lambda: not t.live("last"), "leftovers of a service that is not restarted are ended")


@test
def leftovers_after_a_stop(t):
    """The main process ends at TERM at once, a child ignores it: it is killed at the end of stop-timeout."""
    child = ("ignore", "TERM", "child-mark", t.path("a.mark"))
    parent = ("trap-exit", t.path("a.got"), 0, "TERM", "mark", t.path("a.mark"), "for-ever")
    t.configure(service("a", t.worker(*child, *parent), stop_timeout="3s"))
    t.start()
    t.wait_trio("a", 2)
    t.eq(t.ctl("stop", "a").code, 0, "stop")
    t.eq(t.live("a"), [], "nobody is left when stop returns")
    t.eq(t.status("a")["exit"]["code"], 0, "the exit is that of the main process")


@test
def two_hundred_at_once(t):
    """TERM to supd ends all together: the deaf ones share one timeout."""
    deaf = [f"deaf{n}" for n in range(40)]
    t.configure(
        *[t.sleeper(f"s{n}") for n in range(160)],
        *[
            service(n, t.worker("ignore", "TERM", "mark", t.path(n + ".mark"), "for-ever"), stop_timeout="1s")
            for n in deaf
        ],
    )
    t.start()
    t.wait_all("running")
    eventually(lambda: all(t.marks(n) for n in deaf), "all are deaf")
    t.eq(len(t.live()), 200, "processes")
    t.eq(t.terminate(), 0, "exit code of supd")
    t.eq(t.live(), [], "no process is left")
    t.check(not os.path.exists(t.socket), "the socket is gone")


@test
def second_term_hurries(t):
    t.configure(*[t.deaf(f"deaf{n}") for n in range(5)])
    t.start()
    for n in range(5):
        t.wait_marked(f"deaf{n}")
    t.process.send_signal(signal.SIGTERM)
    t.wait_all("stopping")
    t.eq(t.terminate(signal.SIGINT), 0, "exit code after the second signal")
    t.eq(t.live(), [], "no process is left")


@test
def nothing_restarts_during_the_shutdown(t):
    t.configure(
        t.sleeper("a", restart_delay="0"),
        service("b", t.worker("exit", 1), restart_delay="10ms", restart_delay_max="10ms"),
        t.deaf("deaf"),
    )
    t.start()
    t.wait_marked("deaf")
    t.wait_state("a", "running")
    t.process.send_signal(signal.SIGTERM)
    t.wait_state("a", "stopped")
    t.wait_state("b", "stopped")
    error = t.error_of("service.start", names=["a"])
    t.eq(error.code, -32003, "start during the shutdown is refused")
    t.eq(t.live("a") + t.live("b"), [], "nobody came back")
    kill(t.status("deaf")["pid"], signal.SIGKILL)
    t.eq(t.wait_end(), 0, "exit code")


@test
def signals_while_supd_ends(t):
    """Also behind the last service, when supd clears up: they change nothing, and it was no crash."""
    t.configure(t.sleeper("s"))
    for _ in range(5):
        t.start()
        t.wait_state("s", "running")
        t.process.send_signal(signal.SIGTERM)
        while t.process.poll() is None:
            t.process.send_signal(signal.SIGUSR1)
            t.process.send_signal(signal.SIGHUP)
        t.eq(t.process.returncode, 0, "exit status")
    t.nothing_left()


@test
def a_reload_does_not_outlive_a_shutdown(t):
    """The configuration is still being read when the shutdown begins: nothing is started by it any more."""
    t.configure(t.deaf("slow"))
    t.start()
    t.wait_marked("slow")
    t.configure("# takes its time\n" * 200000, t.deaf("slow"), t.sleeper("new"))
    with t.client() as caller:
        caller.start_call("config.reload")
        caller.call("supd.info")  # so it is being read
        t.process.send_signal(signal.SIGTERM)
        answer = caller.receive()
        if "error" in answer:
            t.eq((answer["error"]["code"], answer["error"]["message"]), (-32003, "supd is shutting down"), "its answer")
            t.eq(sorted(t.all()), ["slow"], "the services there are")
    kill(t.status("slow")["pid"], signal.SIGKILL)
    t.eq(t.wait_end(), 0, "exit status")
    t.check("result" in answer or not t.marks("new"), "new was started")
    t.nothing_left()


@test
def a_caller_waits_for_a_reload_when_supd_ends(t):
    """A sanitizer sees whether what it waits for is still there when its connection is closed."""
    t.configure(t.sleeper("s"))
    t.start()
    t.wait_state("s", "running")
    t.configure("# takes its time\n" * 200000, t.sleeper("s"))
    with t.client() as caller:
        caller.start_call("config.reload")
        caller.call("supd.info")  # so it is being read
        t.eq(t.terminate(), 0, "exit status")
    t.nothing_left()


@test
def quit_leaves_services(t):
    t.configure(
        t.sleeper("a"), t.trio("b"), service("c", t.worker("exit", 1), restart_delay="1h", restart_delay_max="1h")
    )
    t.start()
    t.wait_state("a", "running")
    t.wait_trio("b")
    t.wait_state("c", "backoff")
    before = t.all()
    left = t.live()
    t.eq(t.terminate(signal.SIGQUIT), 0, "exit code")
    t.eq(t.live(), left, "every process lives")
    t.start()
    for name in ("a", "b"):
        s = t.status(name)
        t.eq((s["pid"], s["state"], s["adopted"], s["starts"]), (before[name]["pid"], "running", True, 1), name)
    c = t.status("c")
    t.eq((c["state"], c["starts"]), ("backoff", 1), "a backoff outlives it")
    t.eq(t.live(), left, "nobody was started twice")
    t.eq(t.terminate(), 0, "exit code")
    t.nothing_left()


@test
def clean_stop_begins_afresh(t):
    t.configure(t.sleeper("a"), t.sleeper("off", enabled=False), service("c", t.worker("exit", 1), restart="no"))
    t.start()
    t.wait_state("a", "running")
    t.wait_state("c", "failed")
    t.ctl("start", "off")
    t.ctl("stop", "a")
    t.eq(t.terminate(), 0, "exit code")
    t.nothing_left()
    t.start()
    s = t.wait_state("a", "running")
    t.eq((s["starts"], s["restarts"], s["exit"], s["adopted"]), (1, 0, None, False), "a as on the first day")
    t.eq(t.status("off")["state"], "stopped", "what is not enabled is down again")
    t.eq(t.wait_state("c", "failed")["starts"], 1, "c as on the first day")


@test
def stop_waits_for_the_whole_group(t):
    """`stop` of many at once returns when all have ended."""
    t.configure(*[t.trio(f"s{n}") for n in range(10)])
    t.start()
    for n in range(10):
        t.wait_trio(f"s{n}")
    t.eq(t.ctl("stop", "*").code, 0, "stop *")
    t.eq(t.live(), [], "nobody is left")
    t.eq({s["state"] for s in t.all().values()}, {"stopped"}, "stopped")


if __name__ == "__main__":
    main()
