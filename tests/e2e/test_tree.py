#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The whole tree of a service: whoever comes of it has ended before it is stopped, and before it is started again."""
import os
import signal

from harness import main, test
from instance import service
from processes import eventually, is_alive, kill, read_stat

# What a child does: a process group of its own, a session of its own, or a daemon whose parent has ended.
PYTHON = "/usr/bin/python3"
AWAY = """
import os, signal, sys, time
how, deaf, mark, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])

def stay():
    signal.signal(signal.SIGTERM, note)
    with open(mark, "a") as f:
        f.write(f"{os.getpid()}\\n")
    while True:
        signal.pause()

def note(signo, frame):
    with open(mark + ".got", "a") as f:
        f.write(f"{os.getpid()} {signo}\\n")
    if deaf != "deaf":
        os._exit(0)

for _ in range(count):
    if os.fork() == 0:
        if how == "group":
            os.setpgid(0, 0)
        if how in ("session", "daemon"):
            os.setsid()
        if how == "daemon" and os.fork() != 0:
            os._exit(0)
        stay()
if how == "daemon":
    for _ in range(count):
        os.wait()
if deaf == "leave":
    while not os.path.exists(mark) or len(open(mark).readlines()) < count:
        time.sleep(0.01)
    os._exit(3)
while True:
    signal.pause()
"""
WAYS = ("group", "session", "daemon")


def tree(t, name, how, deaf="hears", count=1, **keys):
    return service(name, [PYTHON, "-c", AWAY, how, deaf, t.path(name + ".pids"), str(count)], **keys)


def children(t, name, count=1):
    """The pids of the children, once all have come so far as to wait."""

    def read():
        pids = [int(line) for line in t.read(name + ".pids").splitlines()]
        return pids if len(pids) >= count else None

    return eventually(read, f"{name}: {count} children")


def got(t, name):
    """pid -> the signals it noted, in their order."""
    found = {}
    for line in t.read(name + ".pids.got").splitlines():
        pid, signo = line.split()
        found.setdefault(int(pid), []).append(int(signo))
    return found


def gone(t, pids, what):
    t.eq([pid for pid in pids if is_alive(pid)], [], what)


@test
def wherever_they_go(t):
    """stop-signal reaches each once, and the service is not stopped before all have ended."""
    t.configure(*[tree(t, how, how, count=2) for how in WAYS])
    t.start()
    t.wait_all("running")
    pids = {how: children(t, how, 2) for how in WAYS}
    for how in WAYS:
        for pid in pids[how]:
            stat = read_stat(pid)
            t.eq(stat[1] == t.process.pid, how == "daemon", f"{how}: its parent is supd")
            t.check(stat[2] != t.status(how)["pid"], f"{how}: it has left the process group")
    for how in WAYS:
        t.eq(t.ctl("stop", how).code, 0, f"stop {how}")
        gone(t, pids[how], f"{how}: left after the stop")
        t.eq(got(t, how), {pid: [signal.SIGTERM] for pid in pids[how]}, f"{how}: TERM once each")
    t.nothing_left()


@test
def deaf_ones(t):
    """Who does not hear is killed after stop-timeout, and named."""
    t.configure(*[tree(t, how, how, "deaf", 10, stop_timeout="500ms") for how in WAYS])
    t.start()
    t.wait_all("running")
    pids = {how: children(t, how, 10) for how in WAYS}
    t.eq(t.ctl("stop", *WAYS).code, 0, "stop")
    for how in WAYS:
        gone(t, pids[how], f"{how}: left after the stop")
        t.eq(t.status(how)["state"], "stopped", how)
        t.match(t.log_text(), rf"{how}: SIGKILL to {pids[how][0]} \(python3\), .* and [2-9] more\n", "names in the log")


@test
def kill_modes(t):
    t.configure(
        *[tree(t, f"{mode}-{how}", how, kill_mode=mode) for mode in ("mixed", "process") for how in WAYS],
    )
    t.start()
    t.wait_all("running")
    for mode in ("mixed", "process"):
        for how in WAYS:
            name = f"{mode}-{how}"
            pids = children(t, name)
            t.eq(t.ctl("stop", name).code, 0, f"stop {name}")
            t.eq([pid for pid in pids if is_alive(pid)], pids if mode == "process" else [], f"{name}: who is left")
            t.eq(got(t, name), {}, f"{name}: no child gets TERM")


@test
def main_process_ends(t):
    """It is not started again beside what it left."""
    t.configure(*[tree(t, how, how, "leave", restart="always", restart_delay="0") for how in WAYS])
    t.start()
    for how in WAYS:
        first = children(t, how)[0]
        again = eventually(lambda h=how: t.read(h + ".pids").split()[1:], f"{how} is started again")
        t.check(int(again[0]) != first, f"{how}: another child")
        gone(t, [first], f"{how}: the child of the run before")
        t.match(t.log_text(), rf"{how}: left behind: {first} \(python3\)", f"{how}: its name")
    t.ctl("stop", *WAYS)
    t.nothing_left()


@test
def only_its_own(t):
    """Another service's daemon, and its own while it runs, are left alone."""
    t.configure(tree(t, "a", "daemon"), tree(t, "b", "daemon"), t.sleeper("c"))
    t.start()
    t.wait_all("running")
    a, b = children(t, "a"), children(t, "b")
    t.eq(t.ctl("restart", "c").code, 0, "restart c")
    t.eq(t.ctl("stop", "b").code, 0, "stop b")
    gone(t, b, "b's")
    t.eq([is_alive(pid) for pid in a], [True], "a's lives on")
    t.eq(t.status("a")["state"], "running", "a")


@test
def supd_dies_first(t):
    """An earlier supd's service: what it has orphaned meanwhile belongs to it all the same."""
    t.configure(*[tree(t, how, how, count=2) for how in WAYS], tree(t, "dead", "daemon"), tree(t, "removed", "daemon"))
    t.start()
    t.wait_all("running")
    names = (*WAYS, "dead", "removed")
    pids = {name: children(t, name, 2 if name in WAYS else 1) for name in names}
    dead = t.status("dead")["pid"]
    removed = t.status("removed")["pid"]
    t.crash()
    kill(dead, signal.SIGKILL)
    kill(removed, signal.SIGKILL)
    eventually(lambda: not is_alive(dead) and not is_alive(removed), "both have ended")
    t.configure(*[tree(t, how, how, count=2) for how in WAYS], tree(t, "dead", "daemon"))
    t.start()
    t.wait_for("dead", lambda s: s["state"] == "running" and s["pid"] != dead, "it runs again")
    gone(t, pids["dead"], "what the dead one had left")
    eventually(lambda: not any(is_alive(pid) for pid in pids["removed"]), "what the removed one had left has ended")
    for how in WAYS:
        t.eq(t.ctl("stop", how).code, 0, f"stop {how}")
        gone(t, pids[how], f"{how}: left after the stop")
        t.eq(got(t, how), {pid: [signal.SIGTERM] for pid in pids[how]}, f"{how}: TERM once each")


@test
def supd_dies_amid(t):
    """SIGKILL of supd while leftovers are being ended: the next one goes on, and does not start the service beside them."""
    t.configure(*[tree(t, how, how, "deaf", stop_timeout="3s") for how in WAYS])
    t.start()
    t.wait_all("running")
    pids = {how: children(t, how) for how in WAYS}
    mains = {how: t.status(how)["pid"] for how in WAYS}
    for how in WAYS:
        t.call("service.stop", names=[how], wait=False)
    eventually(lambda: all(got(t, how) for how in WAYS), "all have got TERM")
    eventually(lambda: not any(is_alive(pid) for pid in mains.values()), "the main processes have ended")
    t.crash_and_start()
    for how in WAYS:
        t.wait_state(how, "stopped")
        gone(t, pids[how], f"{how}: left when it is stopped")
        t.eq(got(t, how), {pid: [signal.SIGTERM] for pid in pids[how]}, f"{how}: TERM is not sent again")


@test
def stop_leftovers(t):
    t.configure(*[tree(t, how, how, count=2) for how in WAYS])
    t.start()
    t.wait_all("running")
    pids = [pid for how in WAYS for pid in children(t, how, 2)]
    kill(t.status("session")["pid"], signal.SIGSTOP)
    t.crash()
    t.eq(t.run("--stop-leftovers").code, 0, "supd --stop-leftovers")
    gone(t, pids, "after it")
    t.nothing_left()


STORM = """
import os, signal, sys, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for _ in range(int(sys.argv[1])):
    if os.fork() == 0:
        end = time.monotonic() + 600
        while time.monotonic() < end:
            if os.fork() != 0:
                os._exit(0)
            os.setsid()
        os._exit(0)
while True:
    signal.pause()
"""


@test
def fork_storm(t):
    """Each process lives but for a moment, and has a child that has left its session by then."""
    t.configure(service("storm", [PYTHON, "-c", STORM, "3"], stop_timeout="300ms"))
    t.start()
    t.wait_state("storm", "running")
    eventually(lambda: len(t.live("storm")) > 1, "the storm")
    t.eq(t.ctl("stop", "storm", timeout=100).code, 0, "stop")
    t.nothing_left()


if __name__ == "__main__":
    main()
