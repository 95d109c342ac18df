#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The same promises with every way to watch a process that is not supd's child."""
import ctypes
import os
import signal

from harness import main, test
from instance import service, setting
from processes import eventually, is_alive, is_stopped, kernel_tells_exits, kill, read_stat, skip


WAYS = ("pidfd", "netlink", "poll", "ptrace")
CROWD = 200
SYS_CLONE3 = 435


def in_first_namespaces():
    """Events of the kernel come to the first PID namespace only, whose PID 1 is asked for its inode by a fixed number."""
    return os.stat("/proc/self/ns/pid").st_ino == 0xEFFFFFFC and os.stat("/proc/self/ns/user").st_ino == 0xEFFFFFFD


def each_way(t, scenario):
    done = 0
    for way in WAYS:
        if way == "netlink" and not in_first_namespaces():
            continue
        scenario(t, way)
        done += 1
    t.need(done >= 3, "at least three ways are tried")


def begin(t, way, *services):
    t.configure(setting("watch", way), *services)
    for name in os.listdir(t.dir):
        if name.endswith((".mark", ".gate", ".got")):
            os.unlink(t.path(name))


def finish(t):
    t.eq(t.terminate(), 0, "supd's end")
    t.nothing_left()


def expect(t, way, status, code=None, sig=None):
    """The end of a process that was watched while it ended."""
    e = status["exit"]
    # As a zombie it may have been seen also where its pidfd tells nothing.
    if way == "poll" or (way == "pidfd" and e["source"] == "none" and not kernel_tells_exits()):
        t.eq((e["how"], e["source"]), ("unknown", "none"), f"{way}: {status['name']}")
        return
    t.eq((e["how"], e["code"], e["signal"]), ("exited" if sig is None else "signaled", code, sig), f"{way}: exit")
    sources = ("proc", "pidfd") if way == "pidfd" else (way,)
    t.check(e["source"] in sources, f"{way}: {status['name']}: source {e['source']}")


@test
def what_is_picked_is_told(t):
    for way in (*WAYS, "auto"):
        if way == "netlink" and not in_first_namespaces():
            continue
        begin(t, way, t.sleeper("a"))
        t.start()
        info = t.call("supd.info")
        t.check(info["watch"].startswith("pidfd" if way == "auto" else way), f"{way}: {info['watch']}")
        t.match(info["watch-reason"], r"kernel|pidfds" if way == "auto" else "by configuration", f"{way}: reason")
        finish(t)


@test(root=True)
def a_way_that_is_not_possible(t):
    t.configure(setting("watch", "netlink"), t.sleeper("a"))
    prefix = ["unshare", "--net"]
    command = t.command
    t.command = lambda *args: [*prefix, *command(*args)]
    done = t.run()
    t.eq(done.code, 1, "supd does not start")
    t.match(done.err, r"watch = netlink is not possible here.*watch = auto", "the key and the remedy")
    t.check(not t.marks("a"), "nothing was started")


def ends(t, way):
    gates = {name: None for name in ("exit", "signal", "success")}
    begin(t, way)
    for name in gates:
        gates[name] = t.gate(name + ".gate")
    t.configure(
        setting("watch", way), *[service(n, t.worker("gate", gates[n]), restart="no") for n in gates]
    )
    t.start()
    before = t.wait_all("running")
    t.crash_and_start()
    for name, s in t.all().items():
        t.eq((s["pid"], s["adopted"], s["state"]), (before[name]["pid"], True, "running"), f"{way}: {name}: taken back")
    t.open_gate(gates["exit"], "exit", 7)
    t.open_gate(gates["success"], "exit", 0)
    kill(before["signal"]["pid"], signal.SIGKILL)
    for name, code, sig in (("exit", 7, None), ("success", 0, None), ("signal", None, "KILL")):
        expect(t, way, t.wait_state(name, "exited", "failed"), code, sig)
    finish(t)


@test
def ends_are_seen(t):
    each_way(t, ends)


def crashes(t, way):
    begin(t, way, t.sleeper("a"), t.deaf("b", "USR1"), t.trio("c"))
    t.start()
    t.settle(["a", "b"], way)
    t.wait_trio("c")
    t.wait_marked("b")
    before, everybody = t.all(), t.live()
    for n in range(4):
        t.crash()
        kill(before["b"]["pid"], signal.SIGUSR1)
        eventually(lambda n=n: len(t.got("b")) == 2 * n + 1, f"{way}: a signal arrives while supd is dead")
        t.start()
        t.eq(t.live(), everybody, f"{way}: crash {n}: the same processes")
        kill(before["b"]["pid"], signal.SIGUSR1)
        eventually(lambda n=n: len(t.got("b")) == 2 * n + 2, f"{way}: and while it watches")
    for name, s in t.all().items():
        t.eq((s["pid"], s["starts"]), (before[name]["pid"], 1), f"{way}: {name}")
    t.eq(t.ctl("restart", "a").code, 0, f"{way}: restart")
    t.check(not is_alive(before["a"]["pid"]), f"{way}: the old process has ended")
    t.eq(t.ctl("stop", "c").code, 0, f"{way}: stop")
    expect(t, way, t.status("c"), None, "TERM")
    finish(t)


@test
def crash_after_crash(t):
    each_way(t, crashes)


def stopped(t, way):
    begin(t, way, t.sleeper("a"), t.sleeper("b"))
    t.start()
    t.settle(["a", "b"], way)
    pids = {name: s["pid"] for name, s in t.all().items()}
    kill(pids["a"], signal.SIGSTOP)
    eventually(lambda: is_stopped(pids["a"]), f"{way}: stopped")
    t.crash()
    eventually(lambda: is_stopped(pids["a"]), f"{way}: it stays stopped when supd dies")
    t.start()
    t.check(t.status("a")["stopped"] and is_stopped(pids["a"]), f"{way}: and when it is taken back")
    kill(pids["b"], signal.SIGSTOP)
    eventually(lambda: is_stopped(pids["b"]), f"{way}: stopped under the new supd")
    t.crash()
    # The kernel puts one that was traced from the tracer's stop into the plain one by way of "running".
    eventually(lambda: is_stopped(pids["a"]) and is_stopped(pids["b"]), f"{way}: both stay stopped")
    t.start()
    t.check(t.status("a")["stopped"] and t.status("b")["stopped"], f"{way}: and do so under the next supd")
    kill(pids["a"], signal.SIGCONT)
    eventually(lambda: not is_stopped(pids["a"]), f"{way}: it goes on")
    t.eq(t.ctl("stop", "b").code, 0, f"{way}: one that is stopped can be ended")
    expect(t, way, t.status("b"), None, "TERM")
    t.eq(t.status("a")["pid"], pids["a"], f"{way}: the same process")
    finish(t)


@test
def stopped_services(t):
    each_way(t, stopped)


def crowd(t, way):
    names = [f"s{n:03}" for n in range(CROWD)]
    begin(t, way, *[service(n, t.worker("for-ever"), restart="no") for n in names])
    t.start()
    before = t.wait_all("running")
    t.crash_and_start()
    for s in before.values():
        os.kill(s["pid"], signal.SIGTERM)
    for s in t.wait_all("failed", "exited").values():
        expect(t, way, s, None, "TERM")
    t.eq(t.live(), [], f"{way}: nobody is left")
    finish(t)


@test
def two_hundred_die_at_once(t):
    each_way(t, crowd)


def clone_as(pid, argv):
    """A process of ours that is given the number pid."""
    number = ctypes.c_int(pid)
    args = (ctypes.c_uint64 * 11)()
    args[4] = signal.SIGCHLD
    args[8] = ctypes.addressof(number)
    args[9] = 1
    libc = ctypes.CDLL(None, use_errno=True)
    got = libc.syscall(SYS_CLONE3, ctypes.byref(args), ctypes.c_size_t(ctypes.sizeof(args)))
    if got == 0:
        try:
            os.execv(argv[0], argv)
        finally:
            os._exit(127)
    return got


def stranger(t, way):
    begin(t, way, service("a", t.worker("for-ever"), restart="no"))
    t.start()
    pid = int(t.wait_state("a", "running")["pid"])  # a plain number, that of the stranger next
    t.crash()
    kill(pid, signal.SIGKILL)
    eventually(lambda: read_stat(pid) is None, f"{way}: it has ended and was reaped")
    notes = t.path("stranger.got")
    traps = [word for sig in ("TERM", "CONT", "HUP", "USR1") for word in ("trap", notes, sig)]
    got = clone_as(pid, t.worker(*traps, "mark", t.path("stranger.mark"), "for-ever"))
    if got == -1:
        skip("clone3 with set_tid is not permitted here")
    t.eq(got, pid, f"{way}: the number is used again")
    eventually(lambda: t.marks("stranger"), f"{way}: the stranger runs")
    t.start()
    s = t.wait_state("a", "failed")
    t.eq((s["pid"], s["exit"]["how"], s["adopted"]), (None, "unknown", False), f"{way}: the stranger is not adopted")
    t.check(t.ctl("signal", "USR1", "a").code != 0, f"{way}: there is nobody to be signalled")
    t.ctl("stop", "a")
    t.eq(t.ctl("start", "a").code, 0, f"{way}: it is started anew")
    t.check(t.status("a")["pid"] != pid, f"{way}: as another process")
    t.eq(t.terminate(), 0, f"{way}: supd's end")
    t.check(is_alive(pid) and not is_stopped(pid), f"{way}: the stranger lives")
    t.eq(t.got("stranger"), [], f"{way}: and got no signal")
    kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


@test(root=True)
def a_number_used_again(t):
    each_way(t, stranger)


if __name__ == "__main__":
    main()
