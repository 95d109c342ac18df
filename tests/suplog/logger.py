# SPDX-License-Identifier: MIT
"""A suplog without supd: the streams it is told of, the FIFOs, and one who writes numbered lines into them."""
import datetime
import fcntl
import glob
import gzip
import json
import os
import re
import signal
import struct
import subprocess
import sys
import termios
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))

from processes import DEADLINE, eventually  # noqa: E402

NOBODY = 2**32 - 1


def stream(name, path=None, **keys):
    """What supd writes of a stream."""
    told = {
        "service": name, "fifo": name + ".fifo", "channel": "both", "sink": "file", "path": path, "mode": 0o640,
        "uid": NOBODY, "gid": NOBODY, "slot": NOBODY, "max-size": 0, "max-age": 0, "keep": 5, "compress": False,
        "format": "plain", "timestamp": None, "prefix": None, "rate-bytes": 0, "rate-period": 0,
        "drop-when-full": False, "inode": 0, "rotation": 0,
    }
    told.update({key.replace("_", "-"): value for key, value in keys.items()})
    return told


class Logger:
    def __init__(self, t):
        self.t = t
        self.process = None
        self.kills = 0
        self.fds = {}
        os.makedirs(t.path("run", "log"))

    def make(self, told):
        """Its FIFO, which we keep open as supd does."""
        fifo = self.t.path("run", "log", told["fifo"])
        if told["fifo"] not in self.fds:
            os.mkfifo(fifo)
            self.fds[told["fifo"]] = os.open(fifo, os.O_RDWR | os.O_CLOEXEC)
        return self.fds[told["fifo"]]

    def tell(self, *streams):
        """The list of streams, and the FIFOs."""
        for told in streams:
            self.make(told)
        new = self.t.write("run/log/new", "".join(json.dumps(told) + "\n" for told in streams))
        os.rename(new, self.t.path("run", "log", "streams"))

    def start(self, under=(), **kwargs):
        with open(self.t.path("suplog.log"), "a", encoding="utf-8") as log:
            kwargs.setdefault("stderr", log)
            self.process = subprocess.Popen(
                [*under, os.environ["SUPLOG"], "--runtime-dir", self.t.path("run")], **kwargs
            )

    def said(self):
        return self.t.read("suplog.log")

    def live(self, slot, pid, channels=("out",)):
        """As supd says it of a process that it starts, for those channels of it whose FIFO is empty."""
        word = pid | ("out" in channels) << 29 | ("err" in channels) << 30
        path = self.t.path("run", "log", "pids")
        with open(path, "r+b" if os.path.exists(path) else "w+b", buffering=0) as pids:
            pids.truncate(4096)
            pids.seek(4 * slot)
            pids.write(struct.pack("=i", word))

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.kills += 1

    def end(self):
        """One that has only just begun may not have come to taking signals."""
        self.process.terminate()
        self.t.check(self.process.wait(DEADLINE) in (0, -signal.SIGTERM), f"suplog's exit status: {self.process.returncode}")

    def write(self, name, data):
        """Blocks while the FIFO is full."""
        fd = self.fds[name + ".fifo"]
        while data:
            data = data[os.write(fd, data):]

    def await_line(self, name, pattern, life=1):
        """What supd and the process that is to write do before that begins; once suplog knows of it, where it runs."""
        return Match(self, name, pattern, life)

    def left(self, name):
        """Bytes in the FIFO."""
        return struct.unpack("i", fcntl.ioctl(self.fds[name + ".fifo"], termios.FIONREAD, b"\0" * 4))[0]

    def drained(self, name):
        eventually(lambda: self.left(name) == 0, f"nothing is left in the FIFO of {name}")

    def text(self, path):
        """All of a log, the oldest file first."""

        def number(name):
            found = re.search(r"\.(\d+)(\.gz)?$", name)
            return -int(found[1]) if found else 1

        parts = []
        for name in sorted(glob.glob(glob.escape(path)) + glob.glob(glob.escape(path) + ".*"), key=number):
            with gzip.open(name) if name.endswith(".gz") else open(name, "rb") as file:
                parts.append(file.read())
        return b"".join(parts)


class Match:
    """The file by which suplog is told what line is waited for, as supd writes it (core/log_match.h)."""

    HEAD = struct.Struct("=IIQQIIQQQQ1024s")
    MAGIC = 0x7250554D
    ids = iter(range(1, 1 << 60))

    def __init__(self, logger, name, pattern, life):
        fifo = logger.fds[name + ".fifo"]
        self.path = logger.t.path("run", "log", name + ".match")
        head = self.HEAD.pack(
            self.MAGIC, life, os.fstat(fifo).st_ino, next(self.ids), 0, 0, 0, 0, 0, 0, pattern.encode()
        )
        with open(self.path + ".new", "wb") as file:
            file.write(head.ljust(4096, b"\0"))
        os.rename(self.path + ".new", self.path)
        self.file = open(self.path, "r+b", buffering=0)
        self.lock = os.open(logger.t.path("run", "log", "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        eventually(lambda: self.measured() or self.measure(logger.left(name)), f"the FIFO of {name} is measured")
        os.close(self.lock)

    def read(self):
        return self.HEAD.unpack(os.pread(self.file.fileno(), self.HEAD.size, 0))

    def measured(self):
        return self.read()[4] == 1

    def measure(self, old):
        """Where no suplog is."""
        try:
            fcntl.flock(self.lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if not self.measured():
            os.pwrite(self.file.fileno(), struct.pack("=Q", old), 32)
            os.pwrite(self.file.fileno(), struct.pack("=I", 1), 24)
        return True

    def found(self):
        return self.read()[5] == 1

    def old(self):
        return self.read()[6]

    def taken(self):
        return self.read()[9]

    def wait_found(self, what):
        eventually(self.found, f"it is seen: {what}")

    def forget(self):
        """Nobody waits any more."""
        os.unlink(self.path)


def numbered(i):
    return b"%08d %s" % (i, b"x" * (i * 7919 % 120))


def is_whole(line):
    """Is it all of a line, without its end, that Numbers has written?"""
    return len(line) >= 9 and line[:8].isdigit() and line == numbered(int(line[:8]))


def json_text(text, whole):
    """
    The messages of lines of JSON.  One whose rest its writer leaves out for a second is two, and may be no more than that:
    they are put together again where WHOLE says that the first is not all of a line.  suplog waits by another clock than the
    one by which it tells the time, so nearly a second will do.
    """
    told = [json.loads(line) for line in text.splitlines()]
    times = [datetime.datetime.fromisoformat(line["time"].replace("Z", "+00:00")) for line in told]
    lines, part = [], b""
    for i, line in enumerate(told):
        part += line["message"].encode()
        if whole(part) or i == 0 or times[i] - times[i - 1] < datetime.timedelta(seconds=0.9):
            lines.append(part + b"\n")
            part = b""
    return b"".join(lines) + part


class Numbers(threading.Thread):
    """Writes numbered lines of different lengths, in pieces that do not end with them, until so many are written."""

    def __init__(self, logger, name, count):
        super().__init__(daemon=True)
        self.logger = logger
        self.stream = name
        self.count = count
        self.lines = []
        self.enough = threading.Event()  # no more than what was begun

    @property
    def text(self):
        return b"".join(self.lines)

    def run(self):
        rest, size = b"", 1
        while len(self.lines) < self.count and not self.enough.is_set():
            size = size * 48271 % 9973 + 1
            while len(rest) < size and len(self.lines) < self.count:
                self.lines.append(numbered(len(self.lines)) + b"\n")
                rest += self.lines[-1]
            self.logger.write(self.stream, rest[:size])
            rest = rest[size:]
        self.logger.write(self.stream, rest)
