# SPDX-License-Identifier: MIT
"""Processes as /proc tells them, waiting for a condition, and how a test ends early."""
import os
import re
import signal
import subprocess
import time


SLOWER = max(1, int(os.environ.get("TEST_SLOWER", "1")))  # where tests run so many times slower, less is repeated
DEADLINE = 90.0 * SLOWER  # how long a condition may take on a machine that is busy with other things
PAUSE = float(os.environ.get("TEST_PAUSE", "0.01"))  # between two looks; longer where looking is slow
LONG_PAUSE = max(PAUSE, 0.1)  # of what has not come true for a second


class Skip(Exception):
    pass


class Failed(Exception):
    pass


def skip(reason):
    raise Skip(reason)


def read_stat(pid):
    """(state, ppid, pgid, sid, start time) or None when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as f:
            fields = f.read().rsplit(b")", 1)[1].split()
    except (OSError, IndexError):
        return None
    return fields[0].decode(), int(fields[1]), int(fields[2]), int(fields[3]), int(fields[19])


class Pid(int):
    """
    The number of a process that was there when this was made, and its start time.  Numbers come again, and on a machine
    where much is started they come again soon: is_alive() and kill() do not take another one for it.
    """

    def __new__(cls, number):
        self = super().__new__(cls, number)
        stat = read_stat(int(self))
        self.start = stat[4] if stat else None
        return self


def is_itself(pid, stat):
    """Is that, of read_stat(), the process that was meant?  Of a plain number nothing more is known."""
    return stat is not None and (not isinstance(pid, Pid) or stat[4] == pid.start)


def is_alive(pid):
    stat = read_stat(pid)
    return is_itself(pid, stat) and stat[0] not in "ZX"


def is_stopped(pid):
    stat = read_stat(pid)
    return stat is not None and stat[0] in "Tt"


def all_pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def environment_of(pid):
    try:
        with open(f"/proc/{pid}/environ", "rb") as f:
            return f.read().split(b"\0")[:-1]
    except OSError:
        return []


def environment_after_exec(pid):
    """A process right behind its exec shows no environment for a moment: it is looked at again."""
    for _ in range(50):
        env = environment_of(pid)
        if env or not is_alive(pid):
            return env
        time.sleep(0.001)
    return []


def descendants(root):
    children = {}
    for pid in all_pids():
        stat = read_stat(pid)
        if stat:
            children.setdefault(stat[1], []).append(pid)
    found, todo = [], [root]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def kill(pid, sig):
    """By pidfd: the number of a process that we do not hold as a child may have a new owner."""
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if not is_itself(pid, read_stat(pid)):
            return False
        signal.pidfd_send_signal(fd, sig)
        return True
    except OSError:
        return False
    finally:
        os.close(fd)


def kernel():
    major, minor = re.match(r"(\d+)\.(\d+)", os.uname().release).groups()
    return int(major), int(minor)


def kernel_tells_exits():
    """Is the exit status of a reaped process that is not our child to be had of its pidfd?"""
    return kernel() >= (6, 15)


def rounds(count):
    """How often to do what is done COUNT times where tests run at full speed: once at least."""
    return max(1, count // SLOWER)


def eventually(condition, what, deadline=DEADLINE):
    """
    The first true value of condition(); Failed when the deadline passes.  It is looked at less often the longer it takes,
    so that those who wait leave the processor to those they wait for.
    """
    began = time.monotonic()
    while True:
        value = condition()
        if value:
            return value
        waited = time.monotonic() - began
        if waited > deadline:
            raise Failed(f"not within {deadline:g} s: {what}")
        time.sleep(min(max(PAUSE, waited / 10), LONG_PAUSE))


class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def __repr__(self):
        return f"exit {self.code}\nstdout: {self.out}\nstderr: {self.err}"


def run_program(argv, cwd=None, env=None, timeout=DEADLINE, stdin=b""):
    try:
        done = subprocess.run(
            argv,
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{' '.join(argv)} does not end; stdout: {error.stdout!r}, stderr: {error.stderr!r}") from None
    return Result(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))


def is_sanitized(path):
    """Was the program built with the address sanitizer?  It keeps freed memory for a while and cannot run under valgrind."""
    with open(path, "rb") as f:
        return b"__asan_init" in f.read()


def preloaded(library, program, **more):
    """What is to be in the environment of $PROGRAM, so that our $LIBRARY stands before all others; skips where none may."""
    if is_sanitized(os.environ[program]):
        skip("a sanitizer wants to be preloaded first")
    return {"LD_PRELOAD": os.environ[library], **more}
