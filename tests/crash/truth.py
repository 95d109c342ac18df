# SPDX-License-Identifier: MIT
"""What truly became of every process of a service, and whether that is what supd has told.

A worker sends its pidfd before it does anything else, and the end that it has drawn for itself if it has. When it has
ended and was reaped, by whomever, the kernel tells its exit status by that pidfd: Linux 6.15. Older kernels: only the
ends are compared that were drawn and nobody has anticipated, which cannot be known then; so none is.

What supd tells is brought together with the lives by its time: supd learns of an end behind the birth of that life and
before the birth of the next one. Some processes are killed before they can say that they were born. Such a life is not
known here, and a signal or `unknown` is believed of it; their number is what supd counts as starts less the births.

An end that the next one overwrites before anybody asks is never heard of. How many are so is the machine's chance; but
there is none where somebody listened to one supd from before the birth of that life until behind that of the next one.
"""
import bisect
import fcntl
import math
import os
import select
import signal
import socket
import struct
import threading


PIDFD_GET_INFO = 0xC040FF0B
PIDFD_INFO_EXIT = 1 << 3
EARLY_SIGNALS = ("TERM", "KILL", "SEGV", "CONT", "HUP", "STOP")  # what may come before a birth is told


class Life:
    def __init__(self, name, pid, born, fate, pidfd):
        self.name, self.pid, self.born, self.fate, self.pidfd = name, pid, born, fate, pidfd
        self.truth = None  # ("exited", code) or ("signaled", "KILL"), once the kernel tells
        self.ended = False

    def __repr__(self):
        return f"{self.name} (pid {self.pid}, born {self.born:.6f}, drew {self.fate}, ended {self.truth})"


class Told:
    """An end as supd tells it."""

    def __init__(self, exit):
        self.at, self.source = exit["at"], exit["source"]
        value = exit["code"] if exit["how"] == "exited" else exit["signal"]
        self.what = ("unknown", None) if exit["how"] == "unknown" else (exit["how"], value)

    def __repr__(self):
        return f"{self.what} at {self.at:.6f} ({self.source})"


def signal_word(number):
    return signal.Signals(number).name[3:]


def from_wait_status(status):
    if os.WIFSIGNALED(status):
        return "signaled", signal_word(os.WTERMSIG(status))
    return "exited", os.WEXITSTATUS(status)


def exit_of(pidfd):
    """What the kernel tells of a reaped process; None: nothing yet, or never."""
    info = bytearray(struct.pack("QQ", PIDFD_INFO_EXIT, 0) + bytes(48))
    try:
        fcntl.ioctl(pidfd, PIDFD_GET_INFO, info)
    except OSError:
        return None
    if not struct.unpack_from("Q", info)[0] & PIDFD_INFO_EXIT:
        return None
    return from_wait_status(struct.unpack_from("i", info, 60)[0])


def has_ended(pidfd):
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    return bool(poller.poll(0))


def kernel_tells():
    """May the end of a process that somebody has reaped be asked for?"""
    pid = os.fork()
    if pid == 0:
        os._exit(7)
    pidfd = os.pidfd_open(pid)
    os.waitpid(pid, 0)
    try:
        return exit_of(pidfd) == ("exited", 7)
    finally:
        os.close(pidfd)


class Register:
    """Takes births, and watches until the end of each. A thread of its own, so that no worker waits for long."""

    def __init__(self, path):
        self.path = path
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(path)
        self.lives = {}  # name -> lives in the order of their births
        self.open = []  # those whose end is not told yet
        self.problems = []
        self.lock = threading.Lock()
        self.closing = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.closing.is_set():
            if select.select([self.sock], [], [], 0.05)[0]:
                self.take()
            self.look()

    def take(self):
        text, fds, _, _ = socket.recv_fds(self.sock, 512, 4)
        name, pid, born, *fate = text.decode().split()
        life = Life(name, int(pid), float(born), tuple(fate), fds[0])
        with self.lock:
            before = self.lives.setdefault(name, [])
            if before and not before[-1].ended and not has_ended(before[-1].pidfd):
                self.problems.append(f"{life} is born while {before[-1]} lives")
            before.append(life)
            self.open.append(life)

    def look(self):
        with self.lock:
            for life in self.open:
                life.ended = life.ended or has_ended(life.pidfd)
                if life.ended:
                    life.truth = exit_of(life.pidfd)
                    if life.truth:
                        os.close(life.pidfd)
                        life.pidfd = -1
            self.open = [life for life in self.open if life.pidfd >= 0]

    def living(self):
        with self.lock:
            return [life for life in self.open if not life.ended]

    def signal(self, life, sig):
        with self.lock:
            if life.pidfd >= 0:
                try:
                    signal.pidfd_send_signal(life.pidfd, sig)
                except ProcessLookupError:
                    pass

    def all_told(self):
        with self.lock:
            return not self.open

    def close(self):
        self.closing.set()
        self.thread.join()
        self.sock.close()
        for life in self.open:
            os.close(life.pidfd)


class Verdict:
    """Every life against what supd has told of it. heard: the times (from, to) of listening without a break."""

    def __init__(self, heard):
        self.heard = heard
        self.lives = 0
        self.right = 0
        self.unknown = 0
        self.untold = 0  # overwritten by the next end before anybody could ask
        self.covered = 0  # lives whose end somebody who listened must have heard of
        self.early = 0  # told of processes that ended before they had said that they were born
        self.by_source = {}
        self.unknown_lives = []
        self.problems = []

    def judge(self, name, lives, told, unborn):
        """lives and told of one service, in order; unborn: how many starts may be without a birth, None: any number."""
        births = [life.born for life in lives]
        by_life = {}
        early = []
        for one in told:
            at = bisect.bisect_right(births, one.at) - 1
            by_life.setdefault(at, []).append(one)
        for n, life in enumerate(lives):
            self.lives += 1
            self.check_fate(life)
            here = by_life.get(n, [])
            must_be_heard = self.is_heard(life.born, births[n + 1] if n + 1 < len(lives) else math.inf)
            self.covered += must_be_heard
            mine = here[:1] if here and self.may_be(life, here[0]) else []
            early += here[len(mine) :]
            if mine:
                self.count(life, mine[0])
            else:
                self.untold += 1
                if must_be_heard:
                    self.problems.append(f"{life}: its end was not told to who listened; told was {here}")
        early += by_life.get(-1, [])
        for one in early:
            if one.what[0] == "exited" or (one.what[0] == "signaled" and one.what[1] not in EARLY_SIGNALS):
                self.problems.append(f"{name}: {one} is no end that any process had: {near(lives, one)}")
        self.early += len(early)
        if unborn is not None and len(early) > unborn:
            self.problems.append(f"{name}: {len(early)} ends of nobody, but {unborn} starts without a birth: {early}")

    def is_heard(self, begin, end):
        return any(since <= begin and end <= until for since, until in self.heard)

    @staticmethod
    def may_be(life, told):
        return told.what in (life.truth, ("unknown", None))

    def check_fate(self, life):
        """The kernel against the ledger: a fate that was drawn is met, or a signal came before."""
        if len(life.fate) != 2 or life.truth is None or life.truth[0] == "signaled":
            return
        how, value = life.fate
        if life.truth != (how, signal_word(int(value)) if how == "signaled" else int(value)):
            self.problems.append(f"{life}: the kernel and the ledger do not agree")

    def count(self, life, told):
        self.by_source[told.source] = self.by_source.get(told.source, 0) + 1
        if told.what[0] == "unknown":
            self.unknown += 1
            self.unknown_lives.append((life, told))
        else:
            self.right += 1


def near(lives, told):
    return [life for life in lives if abs(life.born - told.at) < 5][:4]
