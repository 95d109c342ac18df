#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""supd --init as the first process of a machine. This test is one of its services: it kills supd above itself."""
import os
import signal

from harness import main, test
from instance import service
from processes import Failed, all_pids, eventually, is_alive, kill, read_stat

BASE = "/supd.conf"


def attach(t):
    """The Supd object for the one that is there already."""
    t.run_dir = "/run/supd"
    t.socket = t.run_dir + "/control.sock"
    return eventually(lambda: supd_pid(t), "supd answers")


def supd_pid(t):
    """0 while nobody answers."""
    try:
        return t.call("supd.info")["pid"]
    except (OSError, Failed):
        return 0


def crash(t, sig=signal.SIGKILL):
    old = supd_pid(t)
    t.need(old and kill(old, sig), "supd can be killed")
    eventually(lambda: supd_pid(t) not in (0, old), "another supd answers")


def add(t, *services):
    with open(BASE, encoding="utf-8") as f:
        own = f.read().split("# added")[0]
    with open(BASE, "w", encoding="utf-8") as f:
        f.write(own + "# added\n" + "".join(services))
    t.need(t.ctl("reread").code == 0, "the services are added")


@test
def it_is_the_first_process(t):
    supd = attach(t)
    t.eq(os.readlink("/proc/1/exe"), os.environ["SUPD"], "PID 1")
    with open("/proc/1/cmdline", "rb") as f:
        t.check(b"--init" in f.read().split(b"\0"), "with --init")
    t.eq(read_stat(supd)[1], 1, "supd's parent")


@test
def killed_it_comes_back(t):
    attach(t)
    add(t, t.sleeper("a"), t.sleeper("b"))
    first, init = t.wait_all("running"), read_stat(1)[4]
    for sig in signal.SIGKILL, signal.SIGSEGV, signal.SIGKILL:
        crash(t, sig)
        now = t.wait_all("running")
        t.eq({n: s["pid"] for n, s in now.items()}, {n: s["pid"] for n, s in first.items()}, f"{sig.name}: pids")
        t.check(all(s["adopted"] and s["starts"] == 1 for s in now.values()), f"{sig.name}: adopted")
    t.eq(read_stat(1)[4], init, "PID 1 is the same")
    t.eq([len(t.marks("a")), len(t.marks("b"))], [1, 1], "starts")


@test
def an_end_is_known_after_that(t):
    """The services are children of PID 1 then, which reaps them; netlink or the kernel tells how they ended."""
    attach(t)
    gate = t.gate("gate")
    steps = {"seven": ("gate", gate), "killed": ("for-ever",)}
    add(t, *[service(name, t.worker(*what), restart="no") for name, what in steps.items()])
    t.wait_all("running")
    crash(t)
    t.check(t.status("seven")["adopted"], "adopted")
    t.open_gate(gate, "exit", 7)
    kill(t.status("killed")["pid"], signal.SIGKILL)
    seven, killed = (t.wait_state(name, "failed")["exit"] for name in ("seven", "killed"))
    t.eq((seven["how"], seven["code"]), ("exited", 7), "seven")
    t.eq((killed["how"], killed["signal"]), ("signaled", "KILL"), "killed")


@test
def strangers_are_reaped(t):
    """Processes that leave their parent, then their supd: at the end they are PID 1's."""
    attach(t)
    stray = "setsid sh -c 'while [ ! -e \"$0\" ]; do sleep 0.1; done' \"$0\" &"
    strays = f"for i in 1 2 3 4 5 6 7 8; do {stray} done; exec sleep 1d"
    end = t.path("end")
    add(t, service("s", ["/bin/sh", "-c", strays, end], kill_mode="process"))
    t.wait_state("s", "running")

    def the_strays():
        return [p for p in all_pids() if end.encode() in cmdline(p) and cmdline(p).startswith(b"sh")]

    eventually(lambda: len(the_strays()) == 8, "eight strays")
    strays = the_strays()
    t.eq(t.ctl("stop", "s").code, 0, "the service is stopped")
    crash(t)
    t.check(all(is_alive(p) and read_stat(p)[1] == 1 for p in strays), "they are children of PID 1")
    t.write("end", "")
    eventually(lambda: not any(read_stat(p) for p in strays), "they have ended and were reaped")


def cmdline(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return f.read()
    except OSError:
        return b""


if __name__ == "__main__":
    main()
