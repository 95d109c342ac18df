#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Few process numbers, which a machine of our own may have: they are used again all the time, by whoever comes."""
import contextlib
import os
import random
import signal
import subprocess
import time

from harness import main, test
from instance import service, setting
from processes import eventually, is_alive, kill, read_stat, skip

PID_MAX = "/proc/sys/kernel/pid_max"
FEW = 500
FIRST_AGAIN = 300  # numbers below are given out once
WAYS = ("pidfd", "netlink", "poll", "ptrace")
ROUNDS = 3
CROWD = 8


def use_one():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


@contextlib.contextmanager
def few_numbers():
    """While it lasts: whoever comes after us may need more."""
    if not os.path.exists("/plan.json"):
        skip("would change the numbers of processes of this whole machine: see docs/vm-testing.md")
    with open(PID_MAX, "r+", encoding="ascii") as f:
        usual = f.read()
        f.seek(0)
        f.write(str(FEW))
    while last_number() < FIRST_AGAIN:
        use_one()
    try:
        yield
    finally:
        with open(PID_MAX, "w", encoding="ascii") as f:
            f.write(usual)


def last_number():
    with open("/proc/loadavg", encoding="ascii") as f:
        return int(f.read().split()[4])


def noting(t, name):
    """A program that notes every signal which it may get."""
    notes = t.path(name + ".got")
    traps = [word for sig in ("TERM", "CONT", "HUP", "INT", "QUIT", "USR1") for word in ("trap", notes, sig)]
    return t.worker(*traps, "mark", t.path(name + ".mark"), "for-ever")


def take_number(pid):
    """Forks until somebody got the number: a process that then waits for a line. Returns its other end."""
    for _ in range(2 * FEW):
        reader, writer = os.pipe()
        got = os.fork()
        if got == 0:
            if os.getpid() == pid:
                os.close(writer)
                command = os.read(reader, 4096).decode().split("\n")
                os.execv(command[0], command)
            os._exit(0)
        os.close(reader)
        if got == pid:
            return writer
        os.close(writer)
        os.waitpid(got, 0)
    return None


def stranger(t, way):
    t.configure(setting("watch", way), service("a", t.worker("for-ever"), restart="no"))
    t.start()
    pid = t.wait_state("a", "running")["pid"]
    t.crash()
    kill(pid, signal.SIGKILL)
    eventually(lambda: read_stat(pid) is None, f"{way}: it has ended and was reaped")
    line = t.need(take_number(pid), f"{way}: the number comes round")
    name = f"stranger-{way}"
    os.write(line, "\n".join(noting(t, name)).encode())
    os.close(line)
    eventually(lambda: t.marks(name), f"{way}: the stranger runs")
    t.eq(t.marks(name)[0][0], pid, f"{way}: it has the number of the service")
    t.start()
    s = t.wait_state("a", "failed")
    t.eq((s["pid"], s["exit"]["how"], s["adopted"]), (None, "unknown", False), f"{way}: it is not adopted")
    t.check(t.ctl("signal", "USR1", "a").code != 0, f"{way}: there is nobody to be signalled")
    t.eq(t.ctl("start", "a").code, 0, f"{way}: the service is started anew")
    t.check(t.status("a")["pid"] != pid, f"{way}: as another process")
    t.eq(t.terminate(), 0, f"{way}: supd's end")
    t.check(is_alive(pid), f"{way}: the stranger lives")
    t.eq(t.got(name), [], f"{way}: and got no signal")
    kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


@test(limit=300, root=True)
def a_number_that_comes_round(t):
    with few_numbers():
        for way in WAYS:
            stranger(t, way)


class Rounds:
    """How often the numbers have begun anew."""

    def __init__(self):
        self.last, self.count = last_number(), 0

    def look(self):
        now = last_number()
        self.count += now < self.last
        self.last = now
        return self.count


@test(limit=600, root=True)
def round_and_round(t):
    """Services and strangers come and go under numbers that all of them had before; supd is killed all the while."""
    with few_numbers():
        come_and_go(t)


def come_and_go(t):
    dice = random.Random(time.time_ns())
    names = ["a", "b", "c"]
    t.configure(
        *[t.sleeper(name) for name in names],
        *[service(f"short{n}", ["/bin/false"], restart_delay="10ms", restart_delay_max="100ms") for n in range(3)],
    )
    t.start()
    before = {name: t.wait_state(name, "running")["pid"] for name in names}
    crowd, notes, rounds, crashes = {}, 0, Rounds(), 0
    while rounds.look() < ROUNDS:
        # The crowd is renewed one by one, so that strangers get numbers from all over.
        if len(crowd) == CROWD:
            old = dice.choice(list(crowd))
            process = crowd.pop(old)
            t.check(process.poll() is None, f"{old} was not killed by anybody")
            t.eq(t.got(old), [], f"{old}: signals")
            process.kill()
            process.wait()
        notes += 1
        name = f"crowd{notes}"
        crowd[name] = subprocess.Popen(noting(t, name), stdin=subprocess.DEVNULL, start_new_session=True)
        eventually(lambda name=name: t.marks(name), f"{name} runs")
        for _ in range(dice.randrange(30)):
            use_one()
        if dice.random() < 0.3:
            t.crash_and_start()
            crashes += 1
    for name, process in crowd.items():
        t.check(process.poll() is None and not t.got(name), f"{name}: alive, and without a signal: {t.got(name)}")
    for name in names:
        s = t.status(name)
        t.eq((s["pid"], s["starts"]), (before[name], 1), f"{name}: the same process all along")
    t.check(crashes > 0 and notes > CROWD, f"{crashes} crashes, {notes} strangers: too few to show anything")
    t.eq(t.terminate(), 0, "supd's end")
    for process in crowd.values():
        t.check(process.poll() is None, "the crowd outlives supd")
        process.kill()
        process.wait()
    t.nothing_left()


if __name__ == "__main__":
    main()
