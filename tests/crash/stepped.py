# SPDX-License-Identifier: MIT
"""A supd that is killed at a chosen system call, the one that comes after it, and the verdicts on what it finds."""
import os
import re
import select
import signal
import socket

from instance import SUPLOG, Supd, service
from processes import PAUSE, Failed, eventually, is_alive, kill, read_stat, skip


SETTLED = ("running", "stopped", "exited", "failed")
SIGNALS = ("HUP", "TERM", "USR1", "USR2", "CHLD", "PIPE", "STOP")  # modes in which supd is not killed
ANSWER = 60.0  # seconds until the stepper must have said something
PROTO_E_REFUSED = -32003
DAMAGE = re.compile(r".*(?:damaged|makes no sense|not in the state file|cannot ).*")


def is_settled(status):
    """At rest is also one that is started on demand, and waits for that."""
    return status["state"] in SETTLED or (status["reason"] or "").startswith("waiting for a connection")


def is_hook(pid, env):
    """A control process, and none of what it has left."""
    return any(v.startswith(b"SUPD_HOOK=") for v in env) and b"SUPD_EXEC_PID=%d" % pid in env


class Stepped(Supd):
    """One kill point: a directory and everything in it."""

    def __init__(self, directory, mode):
        super().__init__(directory)
        self.mode = mode
        self.under_init = False  # process is supd's parent
        self.stepper = None
        self.killed = False  # so the exit status of what ended meanwhile may be unknown
        self.always_known = False  # but it may not
        self.kills = 0
        self.fate = None  # what the signal met, where supd was not killed
        self.children = 0  # children before their exec at that time
        self.where = "nowhere"
        self.acknowledged = set()
        self.unknown = 0  # exit statuses that could not be learnt
        self.sizes = {}
        self.passing = set()  # services that end by themselves
        self.remaining = set()  # services that are up when their process has ended
        self.removed = set()  # services that the configuration does not name any more

    # ---- services that betray a second copy of themselves

    def service(self, name, *steps, size=1, first=(), passing=False, **keys):
        """A service of size processes, all with the steps of first; one beside one of another life leaves a note."""
        self.sizes[name] = size
        if passing:
            self.passing.add(name)
        mark = self.path(name + ".mark")
        children = ["child-mark", mark] * (size - 1)
        alone = ["alone", self.path(name + ".alone")]
        steps = steps or ["for-ever"]
        return service(name, self.worker(*alone, *first, *children, "mark", mark, *steps), **keys)

    def lines(self, name):
        """A service that writes numbered lines into a log of its own."""
        return self.service(name, "lines", "5", log=self.path(name + ".lines"))

    # ---- the stepper

    def step(self, point, *args):
        """Start supd, to be killed at its point-th system call; 0: none before arm()."""
        ours, theirs = socket.socketpair()
        ours.settimeout(ANSWER)
        self.under_init = "--init" in args
        init = ["--init"] if self.under_init else []
        under = [os.environ["STEPPER"], *init, str(theirs.fileno()), str(point), self.mode]
        # A sanitizer that looks for leaks with ptrace(2) cannot do that in a process that is traced.
        asan = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
        self.spawn(*args, under=under, pass_fds=[theirs.fileno()], env={"ASAN_OPTIONS": asan})
        theirs.close()
        self.forget_stepper()
        self.stepper = ours

    def forget_stepper(self):
        if self.stepper:
            self.stepper.close()
        self.stepper = None

    def said(self):
        """The next line of the stepper's, as words; none when it has ended."""
        line = b""
        while not line.endswith(b"\n"):
            byte = self.stepper.recv(1)
            if not byte:
                break
            line += byte
        return line.decode().split()

    def arm(self, point):
        """supd is counted from now on; under --init the next one."""
        self.stepper.sendall(f"arm {point} {self.mode}\n".encode())
        self.need(self.said() == ["armed"], "the stepper is armed")

    def begin(self, *args):
        """supd under the stepper, not yet counted, with everything settled."""
        self.step(0, *args)

        def answers():
            if self.process.poll() == 77:
                skip("no process may be traced here")
            return self.answers()

        eventually(answers, "supd answers")
        self.whole()

    def ended(self):
        return self.process.poll() is not None

    def dead(self):
        """Is supd dead?  Under --init that is a question only while the stepper is there, for the next one comes soon."""
        if not self.under_init or self.ended() or not self.stepper:
            return self.ended()
        if not select.select([self.stepper], [], [], 0)[0]:
            return False
        try:
            said = self.stepper.recv(100, socket.MSG_PEEK)
        except ConnectionResetError:  # it has ended with a line of ours unread
            return False
        return said.startswith((b"killed", b"ended"))

    def answers(self):
        if not self.under_init:
            return super().answers()
        try:
            return read_stat(self.call("supd.info")["pid"])[1] == self.process.pid
        except (OSError, Failed, TypeError):
            return False

    def until(self, condition, what):
        """Wait until condition holds or supd is dead; nothing is asked of supd, since that is system calls, too."""
        eventually(lambda: condition() or self.dead(), what)

    def until_marks(self, **counts):
        for name, count in counts.items():
            self.until(lambda name=name, count=count: len(self.marks(name)) >= count, f"{count} marks of {name}")

    def ask(self, name, method, meanwhile=None, **params):
        """A command; it counts as acknowledged, by this name, when it is answered.  meanwhile() is done in any case."""
        todo = [meanwhile] if meanwhile else []
        try:
            with self.client() as client:
                client.start_call(method, **params)
                while todo:
                    todo.pop()()
                answer = self.answer_of(client)
        except OSError:
            answer = None
        while todo:
            todo.pop()()
        if not answer:
            self.until(lambda: False, f"{method} is answered")
        elif not self.may_refuse(answer):
            self.need("result" in answer, f"{method}: {answer}")
            self.acknowledged.add(name)

    def may_refuse(self, answer):
        """A supd that is to end, or is upgraded already, says so."""
        return self.mode in ("TERM", "USR2") and answer.get("error", {}).get("code") == PROTO_E_REFUSED

    def open_gate(self, path, *steps):
        """Where supd has been told to end, or has died before it was started, nobody waits there."""
        if self.mode != "TERM":
            super().open_gate(path, *steps)
            return

        def opened():
            try:
                fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:
                return False
            try:
                os.write(fd, " ".join(str(s) for s in steps).encode())
            except BrokenPipeError:
                pass
            os.close(fd)
            return True

        self.until(opened, f"somebody reads {path}")

    def exit_by_gate(self, path, pid, code):
        """Until it has exited, though supd may be dead by then: who looks at what the next supd makes of it must not be
        sooner."""
        self.open_gate(path, "exit", code)
        wait = self.until if self.mode == "TERM" else eventually
        wait(lambda: not is_alive(pid), f"process {pid} exits")

    def answer_of(self, client):
        """None: supd died before.  A child of it that hangs before its exec keeps the connection open even so."""
        client.sock.settimeout(PAUSE)
        while True:
            dead = self.dead()
            try:
                return client.receive()
            except TimeoutError:
                if dead:
                    return None

    def outcome(self):
        """How many system calls came until supd was killed, or had no more to do."""
        try:
            self.stepper.sendall(b"quiet\n")
        except OSError:
            pass
        said = self.said()
        if not said:
            if self.dead() and self.process.returncode == 77:
                skip("no process may be traced here")
            raise Failed("the stepper ended without a word")
        if said[0] == "killed":
            self.note_kill(said)
            self.expect_death(-signal.SIGKILL)
        elif said[0] == "ended":
            self.expect_death(0)
        elif said[0] == "signaled":
            self.note_signal(said)
        elif said[0] == "count":
            self.forget_stepper()
        return int(said[1])

    def note_kill(self, said):
        self.killed = True
        self.kills += 1
        self.children += int(said[2])
        self.where = f"{said[3]}, {said[2]} before exec"

    def note_signal(self, said):
        self.forget_stepper()
        self.children += int(said[2])
        self.where = f"{said[3]}, {said[4]}"
        self.fate = said[4]

    def expect_death(self, code):
        """supd has ended: with this exit code, or minus the number of a signal; below supd --init only that is told."""
        if not self.under_init and self.process.wait() != code:
            raise Failed(f"supd ended with {self.process.returncode}")

    def told_to_end(self):
        return self.mode == "TERM" and self.fate in ("caught", "pending")

    def settle_fate(self):
        """
        What has become of a signal that met no handler: the call at which it came may have been the one that set it, or
        it was blocked until one stood.  Below supd --init nobody can tell, but of an end in good order.
        """
        if self.fate not in ("pending", "fatal"):
            return
        if self.under_init and not self.ended() or self.ended_by_signal():
            self.fate = "fatal"
            self.killed = True
        elif self.fate == "fatal":
            self.fate = "caught"

    def ended_by_signal(self):
        return self.ended() and self.process.returncode == -signal.Signals["SIG" + self.mode]

    # ---- what the next supd makes of it

    def mine(self):
        """Control processes are no copies of their service; what a start command leaves behind is."""
        return {pid: env for pid, env in super().mine().items() if not is_hook(pid, env)}

    def settled(self):
        """All services, once none is on its way and as many processes live as that means."""
        seen = {}

        def holds():
            census = self.census(self.sizes)
            for name, pids in census.items():
                if len(pids) > self.sizes.get(name, name == SUPLOG):
                    raise Failed(f"{name} runs {len(pids)} times: {pids}")
            seen.clear()
            seen.update(self.all())
            if any(not is_settled(s) or name in self.removed for name, s in seen.items()):
                return False
            for name, size in self.sizes.items():
                status = seen.get(name, {"state": "stopped", "pid": None})
                running = status["state"] == "running"
                if running and name in self.passing:
                    return False
                present = running and name not in self.remaining
                if len(census[name]) != (size if present else 0) or (present and status["pid"] not in census[name]):
                    return False
            return True

        try:
            eventually(holds, "every service is settled")
        except Failed as failed:
            raise Failed(f"{failed}; processes {self.census(self.sizes)}, services {seen}") from None
        return seen

    def whole(self):
        """Settled, and every process of what runs has left its mark, as it must before anybody may end it."""
        for name, status in self.settled().items():
            if status["state"] == "running":
                eventually(lambda name=name: len(self.marks(name)) >= self.sizes[name], f"all marks of {name}")

    def child_was_killed(self):
        """Has a supd found a child that did not reach its exec, and ended it?  That life was killed, or is unknown."""
        return "that never reached its program" in self.log_text()

    def expect_same(self, name, status, pid):
        """Untouched: it runs, in the process it had, and was started once."""
        self.eq((status["state"], status["pid"]), ("running", pid), f"{name}: the process of before")
        self.expect_marks(name, 1)

    def expect_up(self, name, status, lives, not_pid=None):
        self.eq((status["state"], status["desired"]), ("running", "up"), f"{name}: state")
        self.check(status["pid"] != not_pid, f"{name}: still the process that has ended, {not_pid}")
        self.expect_marks(name, lives)

    def expect_down(self, name, status, pid=None):
        self.eq((status["state"], status["desired"], status["pid"]), ("stopped", "down", pid), f"{name}: state")

    def expect_marks(self, name, lives):
        """So many times it has reached its program; the mark may be later than supd's word that it runs."""
        want = lives * self.sizes[name]
        try:
            eventually(lambda: len(self.marks(name)) >= want, "marks")
        except Failed:
            pass
        self.eq(len(self.marks(name)), want, f"{name}: processes started")

    def expect_exit(self, name, status, how, *values, started_again=False):
        """
        The true exit status, one of values, or `unknown` where supd was dead at that time.  Of a service that was
        started again after that end, the exit may also be that of a later life which was killed before its exec.
        """
        exit = status["exit"]
        if not self.check(exit is not None, f"{name}: no exit is told"):
            return
        if exit["how"] == "unknown" and self.killed and not self.always_known:
            self.unknown += 1
            self.eq((exit["code"], exit["signal"]), (None, None), f"{name}: an unknown exit")
            self.check(status["state"] != "exited", f"{name}: an unknown exit is taken for success")
            return
        if started_again and self.child_was_killed() and (exit["how"], exit["signal"]) == ("signaled", "KILL"):
            return
        value = exit["code"] if how == "exited" else exit["signal"]
        self.check(exit["how"] == how and value in values, f"{name}: exit {exit}, expected {how} {values}")

    def expect_lines(self, name):
        """Numbered lines, each whole and behind the one before; a new life begins at 1."""
        text = self.read(name + ".lines")
        self.check(text == "" or text.endswith("\n"), f"{name}: the last line is cut: {text[-20:]!r}")
        before = 0
        for line in text.splitlines():
            if not self.check(line.isdigit() and int(line) in (before + 1, 1), f"{name}: {line!r} behind {before}"):
                return
            before = int(line)
        lives = text.splitlines().count("1")
        self.check(lives <= len(self.marks(name)), f"{name}: {lives} lives in the log")

    def end(self, names):
        """An orderly end of all, and what was never to be seen on the way."""
        if not self.ended():
            self.eq(self.terminate(), 0, "exit code at the end")
        self.eq(self.live(), [], "no process of a service is left")
        for name in names:
            doubles = self.read(name + ".alone")
            self.check(doubles == "", f"{name}: a second copy ran beside the first: {doubles!r}")
            if os.path.exists(self.path(name + ".lines")):
                self.expect_lines(name)
        for line in self.log_text().splitlines():
            self.check(not DAMAGE.match(line), f"supd says: {line}")

    def clean(self):
        """Nothing of this point is left, whatever became of it."""
        self.forget_stepper()
        if self.process and not self.ended():
            self.crash()

        def gone():
            for pid in self.others():
                kill(pid, signal.SIGKILL)
            return not self.others()

        eventually(gone, "everything is killed")
