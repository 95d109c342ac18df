# SPDX-License-Identifier: MIT
"""Those that write logs, each set so that it does what is measured: one feeder's lines into files of one directory."""
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import time

from processes import descendants

PATIENCE = 120
PAUSE = 0.001
LINE = 100
NOBODY = 2**32 - 1
PIPE_SIZE = 1 << 20  # what supd makes its FIFOs
F_SETPIPE_SZ = 1031


class Logger:
    """One logger in a directory of its own, and the feeder that it is measured with."""

    key = title = setting = None
    programs = ()

    def __init__(self, build, directory, total, block):
        self.build = build
        self.dir = directory
        self.total = total
        self.block = block
        self.process = None
        os.mkdir(self.path("logs"))
        os.mkfifo(self.path("gate"))

    @classmethod
    def missing(cls):
        lacks = [p for p in cls.programs if not shutil.which(p)]
        return f"{lacks[0]} is not installed" if lacks else None

    # ---- what each says of itself ----

    def launch(self):
        """Starts it and the feeder."""
        raise NotImplementedError

    def own(self):
        """All processes but the feeder."""
        raise NotImplementedError

    def finished(self):
        """Is all in the log?  Asked once the feeder has written all."""
        return self.written() >= self.expected()

    def end(self):
        """All its processes."""

    # ---- for them ----

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def feeder(self):
        feed = os.path.join(self.build, "tests", "bench", "feed")
        return [feed, "flow", self.path("gate"), self.path("fed"), str(self.total), str(self.block)]

    def files(self):
        return [e for e in os.scandir(self.path("logs")) if e.is_file() and e.name not in ("lock", "state", "config")]

    def written(self):
        try:
            return sum(e.stat().st_size for e in self.files())
        except FileNotFoundError:  # it has got another name just now
            return 0

    def expected(self):
        """Every line is as long as the first one."""
        for entry in self.files():
            with open(entry.path, "rb") as file:
                first = file.readline(10 * LINE)
            if first.endswith(b"\n"):
                return self.total // LINE * len(first)
        return self.total

    def cpu(self):
        """ns of processor time of all its own processes so far."""
        total = 0
        for pid in self.own():
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/schedstat", encoding="utf-8") as file:
                    total += int(file.read().split()[0])
        return total

    # ---- what is done with any of them ----

    def wait(self, condition, what):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.key}: waited {PATIENCE} s for {what}")
            time.sleep(PAUSE)

    def fed(self):
        try:
            with open(self.path("fed"), encoding="utf-8") as file:
                return file.read().split() or ["waits"]
        except FileNotFoundError:
            return []

    def measure(self):
        """{"speed": MB/s, "cpu": s of the logger, "whole": s with the feeder}"""
        try:
            self.launch()
            self.wait(self.fed, "the feeder")
            self.settle()
            before = self.cpu()
            with open(self.path("gate"), "wb"):
                pass
            self.wait(lambda: len(self.fed()) == 2, "the end of what is fed")
            self.wait(self.finished, "the last line")
            ended = time.monotonic_ns()
            cpu = self.cpu_spent() - before
            self.check()
        finally:
            self.end()
        began, feeding = map(int, self.fed())
        return {"speed": self.total / 1e6 / ((ended - began) / 1e9), "cpu": cpu / 1e9, "whole": (cpu + feeding) / 1e9}

    def settle(self):
        """Until it does nothing any more but wait for lines."""
        spent = [-1]

        def quiet():
            now = self.cpu()
            spent.append(now)
            return len(spent) > 50 and spent[-50] == now

        self.wait(quiet, "rest")

    def cpu_spent(self):
        return self.cpu()

    def check(self):
        """A logger that loses lines is no measure for others."""
        lines = 0
        for entry in self.files():
            with open(entry.path, "rb") as file:
                while block := file.read(1 << 20):
                    lines += block.count(b"\n")
        if lines != self.total // LINE:
            raise RuntimeError(f"{self.key}: {lines} lines of {self.total // LINE} are in the log")


class Piped(Logger):
    """Reads its standard input, until that ends."""

    def argv(self):
        raise NotImplementedError

    def launch(self):
        read, write = os.pipe()
        out = self.stdout()
        self.process = subprocess.Popen(self.argv(), stdin=read, stdout=out, cwd=self.dir)
        os.close(read)
        os.close(out)
        self.feeding = subprocess.Popen(self.feeder(), stdout=write)
        os.close(write)
        self.usage = None

    def stdout(self):
        """A descriptor, to be closed."""
        return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)

    def own(self):
        return [self.process.pid]

    def finished(self):
        pid, status, self.usage = os.wait4(self.process.pid, os.WNOHANG)
        if pid == 0:
            return False
        self.process.returncode = status
        if status != 0:
            raise RuntimeError(f"{self.key} has ended with {status}")
        return True

    def cpu_spent(self):
        return round((self.usage.ru_utime + self.usage.ru_stime) * 1e9)

    def end(self):
        for process in (self.process, self.feeding):
            if process.returncode is None:
                process.kill()
                process.wait()


class Cat(Piped):
    key, title, setting = "cat", "cat", "`cat >file`"

    def argv(self):
        return ["cat"]

    def stdout(self):
        return os.open(self.path("logs", "log"), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)


class S6(Piped):
    key, title, setting, programs = "s6-log", "s6-log", "`s6-log n9 s268435455 DIR`, its largest size", ("s6-log",)
    options = ()

    def argv(self):
        return ["s6-log", "-b", *self.options, "n9", "s268435455", self.path("logs")]


class S6Times(S6):
    key, title, setting = "s6-log T", "s6-log T", "the same with `T`"
    options = ("T",)


class Runit(Piped):
    key, title, setting, programs = "svlogd", "svlogd", "`svlogd DIR`, size 0", ("svlogd",)
    options = ()

    def argv(self):
        self.write("logs/config", "s0\n")
        return ["svlogd", *self.options, self.path("logs")]


class RunitTimes(Runit):
    key, title, setting = "svlogd -tt", "svlogd -tt", "the same with `-tt`"
    options = ("-tt",)


class Multilog(Piped):
    key, title, setting, programs = "multilog", "multilog", "`multilog s16777215 n99 DIR`, its largest size", ("multilog",)
    options = ()

    def argv(self):
        return ["multilog", *self.options, "s16777215", "n99", self.path("logs")]


class MultilogTimes(Multilog):
    key, title, setting = "multilog t", "multilog t", "the same with `t`"
    options = ("t",)


class Suplog(Logger):
    """suplog by itself, told of one FIFO as supd does."""

    key, title, setting = "suplog", "suplog", "suplog as supd starts it, the feeder writing into its FIFO"
    keys = {}

    def told(self):
        stream = {
            "service": "feed", "fifo": "feed.fifo", "channel": "both", "sink": "file", "path": self.path("logs", "log"),
            "mode": 0o640, "uid": NOBODY, "gid": NOBODY, "slot": NOBODY, "max-size": 0, "max-age": 0, "keep": 99,
            "compress": False, "format": "plain", "timestamp": None, "prefix": None, "rate-bytes": 0, "rate-period": 0,
            "drop-when-full": False, "inode": 0, "rotation": 0,
        }
        return json.dumps({**stream, **self.keys}) + "\n"

    def launch(self):
        os.makedirs(self.path("run", "log"))
        os.mkfifo(self.path("run", "log", "feed.fifo"))
        fifo = os.open(self.path("run", "log", "feed.fifo"), os.O_RDWR)
        fcntl.fcntl(fifo, F_SETPIPE_SZ, PIPE_SIZE)
        self.write("run/log/streams", self.told())
        self.process = subprocess.Popen([os.path.join(self.build, "suplog"), "--runtime-dir", self.path("run")])
        self.feeding = subprocess.Popen(self.feeder(), stdout=fifo)
        os.close(fifo)

    def own(self):
        return [self.process.pid]

    def end(self):
        self.feeding.kill()
        self.feeding.wait()
        self.process.terminate()
        self.process.wait()


class SuplogTimes(Suplog):
    key, title, setting = "suplog times", "suplog, times", "the same with timestamps (RFC 3339)"
    keys = {"timestamp": "rfc3339"}


class SuplogJson(Suplog):
    key, title, setting = "suplog json", "suplog, JSON", "the same with `log-format = json`"
    keys = {"format": "json"}


class Supd(Logger):
    """The whole of supd."""

    key, title, setting = "supd", "supd", "a service with `log-max-size = 1G`"
    size = "1G"
    lines = ""

    def launch(self):
        command = ", ".join(f'"{word}"' for word in self.feeder())
        conf = self.write("supd.conf", f"""log-level = error
cgroup = no
service "feed" {{
    command = {{{command}}}
    log = "{self.path('logs', 'log')}"
    log-max-size = {self.size}
    log-keep = 99
    restart = no
    {self.lines}
}}
""")
        self.process = subprocess.Popen([os.path.join(self.build, "supd"), "-c", conf, "-r", self.path("run")])

    def own(self):
        feeding = os.path.join(self.build, "tests", "bench", "feed")
        return [p for p in (self.process.pid, *descendants(self.process.pid)) if exe_of(p) not in ("", feeding)]

    def end(self):
        self.process.terminate()
        self.process.wait()


class SupdRotates(Supd):
    key, title, setting = "supd 10M", "supd, rotating", "the same with `log-max-size = 10M`"
    size = "10M"


class SupdTimes(Supd):
    key, title, setting = "supd times", "supd, times", "a service with `log-timestamp = yes`"
    lines = "log-timestamp = yes"


class Supervisord(Logger):
    key, title, setting, programs = "supervisord", "supervisord", "`stdout_logfile_maxbytes=0`", ("supervisord",)

    def launch(self):
        conf = self.write("supervisord.conf", f"""[supervisord]
nodaemon=true
loglevel=critical
logfile=/dev/null
logfile_maxbytes=0
pidfile={self.path('pid')}
[program:feed]
command={' '.join(self.feeder())}
autorestart=false
startsecs=0
stdout_logfile={self.path('logs', 'log')}
stdout_logfile_maxbytes=0
""")
        self.process = subprocess.Popen(
            ["supervisord", "-c", conf], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.dir)

    def own(self):
        return [self.process.pid]

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def exe_of(pid):
    try:
        return re.sub(r" \(deleted\)$", "", os.readlink(f"/proc/{pid}/exe"))
    except OSError:
        return ""


PLAIN = (Cat, Suplog, Supd, SupdRotates, S6, Runit, Multilog, Supervisord)
TIMES = (SuplogTimes, SuplogJson, SupdTimes, S6Times, RunitTimes, MultilogTimes)
EACH_LINE = (Cat, Suplog, SuplogTimes, S6, S6Times)
