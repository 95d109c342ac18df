# SPDX-License-Identifier: MIT
"""A supd whose system calls fail at a chosen place, what is asked of it meanwhile, and the verdicts on what is left."""
import os
import re
import signal
import time

from processes import PAUSE, Failed, eventually, kill, skip
from stepped import Stepped

RESETS = 1200  # records enough for a rewriting of the state file
AT_A_TIME = 100  # so many that neither side has to wait for the other to read
PATIENCE = 30.0  # seconds for a call to be answered, also by a supd that has to try something again
TRIES = 5  # of a call whose connection broke: one client may be lost to a fault, but not one after the other
STARTS_ARE_READ_BY = ("openat", "read@file")  # when a process began: what a state file that is written anew must tell
# glibc asks the kernel for each allocation, so that each may fail.
EACH_BY_ITSELF = {"MALLOC_MMAP_THRESHOLD_": "1", "MALLOC_MMAP_MAX_": "60000", "MALLOC_ARENA_MAX": "1"}
# The third is glibc's word for a failed assertion of a library's for whose text it has no memory either.
ERROR = re.compile(
    r"^(?:error .*|out of memory|Unexpected error\.|.*error while loading shared libraries.*"
    r"|.*lexer\.l:\d+: qputc: Assertion .*)$", re.M  # which is how libconfuse says that it has no memory
)
LOST = re.compile(r".*(?:is not in the state file|makes no sense).*")


class Faulted(Stepped):
    """One fault: a directory and everything in it."""

    def __init__(self, directory, call, when, error):
        super().__init__(directory, "go")
        self.fault = (call, str(when), error)
        self.report = self.path("report")

    def world(self, reloaded=False):
        """Services that run, that start again when they end, that are started, and two that a reload removes and adds."""
        self.removed = {"gone"} if reloaded else set()
        self.configure(
            self.service("again", size=2, restart_delay=0),
            self.service("calm", stop_timeout="11s" if reloaded else "12s"),
            self.service("more") if reloaded else self.service("gone"),
            self.service("off", enabled=False),
            self.service("trio", size=3),
        )

    def spawn_faulted(self):
        # A sanitizer that looks for leaks with ptrace(2) cannot do that in a process that is traced.
        env = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}
        if self.fault[0] == "memory":
            env.update(EACH_BY_ITSELF)
        self.spawn(under=[os.environ["FAULT"], *self.fault, self.report], env=env)

    def hits(self):
        return [line.split()[1:] for line in self.read("report").splitlines() if line.startswith("hit")]

    def counts(self):
        lines = [line.split() for line in self.read("report").splitlines() if line.startswith("count")]
        return {name: int(n) for _, name, n, _ in lines if int(n) > 0}

    # ---- what happens while calls fail

    def try_ask(self, method, **params):
        """The answer, an error too; None when supd is dead."""
        for _ in range(TRIES):
            if self.dead():
                return None
            try:
                with self.client() as client:
                    client.start_call(method, **params)
                    answer = self.answer_within(client)
            except OSError:
                answer = None
            if answer is not None:
                return answer
            time.sleep(PAUSE)  # not for a condition: between two tries
        eventually(self.dead, f"{method} is answered, or supd is dead")
        return None

    def answer_within(self, client):
        """None: the connection broke."""
        client.sock.settimeout(0.2)
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                return client.receive()
            except TimeoutError:
                if self.dead():
                    return None
        raise Failed("no answer comes")

    def begin_faulted(self):
        self.world()
        self.spawn_faulted()
        self.until_marks(again=2, calm=1, gone=1, trio=3)
        if self.dead() and self.process.returncode == 77:
            skip("no process may be traced here")

    def live_through(self):
        """A start, an end, a stop, a restart, a reload, an upgrade; each is tried whatever became of the one before."""
        self.begin_faulted()
        self.try_ask("service.start", names=["off"])
        self.end_leader("again")
        self.until_marks(again=4)
        self.try_ask("service.stop", names=["trio"])
        self.try_ask("service.restart", names=["calm"])
        self.world(reloaded=True)
        self.try_ask("config.reload")
        self.try_ask("supd.upgrade")
        self.try_ask("service.start", names=["trio"])
        self.try_ask("service.list")

    def end_leader(self, name):
        """Its main process is killed, and a process of its group is left to be ended."""
        answer = self.try_ask("service.list", names=[name])
        if answer and answer["result"][0]["pid"]:
            kill(answer["result"][0]["pid"], signal.SIGKILL)

    def make_state_grow(self):
        """Until the state file is written anew."""
        try:
            with self.client() as client:
                for _ in range(RESETS // AT_A_TIME):
                    for _ in range(AT_A_TIME):
                        client.start_call("service.reset", names=["off"])
                    for _ in range(AT_A_TIME):
                        if self.answer_within(client) is None:
                            return
        except OSError:
            pass  # a client may be lost to a fault

    # ---- and what must be so afterwards

    def judge(self):
        if self.dead():
            text = self.log_text()
            ended = f"supd ended with {self.process.returncode}"
            self.check(self.process.returncode not in (0, -signal.SIGSEGV, -signal.SIGBUS), ended)
            self.check(ERROR.search(text), f"{ended} and without an error: {text[-300:]!r}")
        else:
            if self.fault[0] in STARTS_ARE_READ_BY:
                self.make_state_grow()
            self.crash()
        self.start()
        self.call("config.reload")
        self.call("service.start", names=["off", "trio", "calm", "again", "more"])
        before = {name: (s["state"], s["pid"]) for name, s in self.settled().items()}
        self.check(all(state == "running" for state, _ in before.values()), f"not all run: {before}")
        self.whole()
        self.crash_and_start()
        after = {name: (s["state"], s["pid"]) for name, s in self.settled().items()}
        self.eq(after, before, "the processes that the next supd finds")
        self.eq(self.terminate(), 0, "exit code at the end")
        self.eq(self.live(), [], "no process of a service is left")
        for name in self.sizes:
            doubles = self.read(name + ".alone")
            self.check(doubles == "", f"{name}: a second copy ran beside the first: {doubles!r}")
        for line in self.log_text().splitlines():
            self.check(not LOST.match(line), f"supd says: {line}")
