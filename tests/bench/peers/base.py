# SPDX-License-Identifier: MIT
"""What all that are measured have in common: how they are started, found, asked, killed and ended."""
import os
import shutil
import signal
import subprocess
import time

from board import Board
from processes import descendants, eventually, is_alive, kill, read_stat

PATIENCE = 300  # seconds for the slowest; what takes longer is given up
PAUSE = 0.002  # between two looks at the board


class Tools:
    """Where the programs of this directory and of the tree are."""

    def __init__(self, build):
        bench = os.path.join(build, "tests", "bench")
        self.worker = os.path.join(bench, "worker")
        self.bare = os.path.join(bench, "bare")
        self.drive = os.path.join(bench, "drive")
        self.nothing = os.path.join(bench, "nothing")
        self.feed = os.path.join(bench, "feed")
        self.supd = os.path.join(build, "supd")
        self.supctl = os.path.join(build, "supctl")


class Peer:
    """One of those that are measured, with N workers.  Where LIFE is (min, max) ms each ends so long after its start."""

    key = title = setting = None
    programs = ()  # what has to be installed
    most = 20000  # workers that it can have, or is willing to wait for
    json = False  # is there a status for programs?

    def __init__(self, tools, directory, n, life=None):
        self.tools = tools
        self.dir = directory
        self.n = n
        self.life = life
        self.board = Board(directory, n)
        self.process = None

    # ---- what each peer says of itself ----

    @classmethod
    def missing(cls):
        """Why it cannot be measured here, or None."""
        lacks = [p for p in cls.programs if not shutil.which(p)]
        return f"{lacks[0]} is not installed" if lacks else None

    def configure(self):
        """Writes what the supervisor reads."""

    def command(self):
        raise NotImplementedError

    def status_command(self, which):
        """Asks for the status of "one", of "all", or of all in "json"; None: it has no such command."""
        return None

    def launched(self):
        """To be done before the workers are waited for."""

    def end(self):
        """In good order; ms, or None where it is not timed."""
        return self.timed_end(self.process.pid)

    # ---- for them ----

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def write(self, name, text, mode=0o644):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)

    def argument(self, slot):
        """What the worker is given."""
        return ":".join(str(word) for word in (self.board.path, slot, *(self.life or ())))

    def run_script(self, slot):
        """A program without arguments that is the worker, and no shell in between."""
        return f"#!{self.tools.worker} {self.argument(slot)}\n"

    def environment(self):
        return {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}

    def drive(self, *arguments, inside=True):
        """The figures that it prints, in ms."""
        argv = [self.tools.drive, *map(str, arguments)]
        done = subprocess.run(
            self.inside(argv) if inside else argv, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            env=self.environment(), timeout=PATIENCE + 60, check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{self.key}: {' '.join(argv[:3])}: {done.stderr.strip()[-500:]}")
        return [float(line) / 1e6 for line in done.stdout.split()]

    def inside(self, argv):
        """ARGV as it is run where the processes are."""
        return argv

    # ---- what is done with any of them ----

    def launch(self, settled=None):
        """Starts it and waits until all workers have come, or SETTLED() is true."""
        with open(self.path("log"), "ab") as log:
            self.process = subprocess.Popen(
                [self.tools.drive, "launch", self.board.path, *self.command()], stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, env=self.environment(), cwd=self.dir, start_new_session=True,
            )
        self.launched()
        self.wait(settled or (lambda: self.board.arrived() >= self.n), f"{self.n} workers")

    def wait(self, condition, what):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.key} has ended with {self.process.returncode}: {self.log_tail()}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.key}: waited {PATIENCE} s for {what}: {self.log_tail()}")
            time.sleep(PAUSE)

    def log_tail(self):
        with open(self.path("log"), "rb") as log:
            return log.read()[-500:].decode(errors="replace")

    def root(self):
        """The supervisor's first process."""
        return self.process.pid

    def own_processes(self):
        """All its own, without the workers."""
        return [pid for pid in (self.root(), *descendants(self.root())) if is_alive(pid) and not self.is_worker(pid)]

    def is_worker(self, pid):
        try:
            return os.path.samefile(f"/proc/{pid}/exe", self.tools.worker)
        except OSError:
            return False

    def timed_end(self, pid):
        took = self.drive("stop", pid, inside=False)[0]
        self.process.wait()
        return took

    def kill_own(self):
        """All at once: stopped first, so that none sees another end."""
        pids = self.own_processes()
        for signo in (signal.SIGSTOP, signal.SIGKILL):
            for pid in pids:
                kill(pid, signo)
        self.process.wait()
        eventually(lambda: not any(read_stat(p) and is_alive(p) for p in pids), "the end of the supervisor")

    def clear(self):
        """Whatever is left."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
