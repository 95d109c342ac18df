# SPDX-License-Identifier: MIT
"""What supd itself goes through while it is killed: it comes back, ends, is upgraded, or lives below supd --init."""
import os
import signal

from instance import SUPLOG
from processes import Failed, eventually, is_alive, kill
from scenarios import Scenario, ToBeEnded, pids


class Reattach(Scenario):
    """A crash while the services of a crashed supd are taken back, three deep; much has happened meanwhile."""

    from_start = True
    deep = True
    anew = True

    def world(self, t):
        self.gates = {name: t.gate(name + ".gate") for name in ("again", "bad", "late")}
        t.configure(
            t.lines("calm"),
            t.service("again", "gate", self.gates["again"], restart_delay=0),
            t.service("bad", "gate", self.gates["bad"], restart="no"),
            t.service("late", "gate", self.gates["late"], restart_delay="700ms"),
            t.service("down", enabled=False),
            t.service("deaf", size=3, first=("ignore", "TERM"), stop_timeout="700ms"),
            t.service("trio", size=3),
        )

    def before(self, t):
        t.start()
        t.whole()
        self.begin_things(t)
        t.crash()
        self.end_things(t)

    def begin_things(self, t):
        self.pids = pids(t)
        t.open_gate(self.gates["late"], "exit", 4)
        t.wait_state("late", "backoff")
        t.call("service.stop", names=["deaf"])

    def end_things(self, t):
        """While supd is dead."""
        t.open_gate(self.gates["again"], "exit", 3)
        t.open_gate(self.gates["bad"], "exit", 5)
        kill(self.pids["trio"], signal.SIGKILL)
        eventually(lambda: not any(is_alive(self.pids[n]) for n in ("again", "bad", "trio")), "they end")
        t.killed = True  # so what they ended with may be unknown

    def act(self, t):
        t.until_marks(again=2, trio=6, late=2)
        t.until(lambda: not is_alive(self.pids["deaf"]), "deaf ends")

    def verify(self, t):
        s = t.settled()
        t.expect_same("calm", s["calm"], self.pids["calm"])
        t.expect_up("again", s["again"], 2, not_pid=self.pids["again"])
        t.expect_up("late", s["late"], 2, not_pid=self.pids["late"])
        t.expect_up("trio", s["trio"], 2, not_pid=self.pids["trio"])
        t.expect_marks("bad", 1)
        t.eq((s["bad"]["state"], s["down"]["state"]), ("failed", "stopped"), "bad, down: state")
        t.expect_down("deaf", s["deaf"])
        t.expect_exit("again", s["again"], "exited", 3, started_again=True)
        t.expect_exit("late", s["late"], "exited", 4, started_again=True)
        t.expect_exit("trio", s["trio"], "signaled", "KILL")
        t.expect_exit("bad", s["bad"], "exited", 5)
        t.expect_exit("deaf", s["deaf"], "signaled", "KILL")


class Shutdown(ToBeEnded):
    """supctl shutdown: once it is acknowledged, the next supd finishes it, unless nothing is left to be finished."""

    deep = True

    def act(self, t):
        t.ask("shutdown", "supd.shutdown")
        t.until(lambda: False, "supd ends")

    def act_again(self, t):
        """It goes on by itself, with the shutdown or with its services."""

    def next_supd(self, t):
        """It may end by itself."""
        t.spawn()

    def verify(self, t):
        def ended_or_settled():
            if t.dead():
                return {}
            try:
                return t.settled() if t.answers() else None
            except OSError:
                return None

        def ended_or_up():
            try:
                return t.dead() or all(s["state"] == "running" for s in t.all().values())
            except (OSError, Failed):
                return False

        eventually(ended_or_up, "supd has ended, or everything runs")
        if t.dead():
            t.eq(t.process.returncode, 0, "exit code")
            t.eq(t.live(), [], "no process is left")
            return
        s = t.settled()
        for name, pid in self.pids.items():
            if "shutdown" in t.acknowledged:
                t.expect_up(name, s[name], 2, not_pid=pid)
            elif s[name]["pid"] == pid:
                t.expect_same(name, s[name], pid)
            else:
                t.expect_up(name, s[name], 2)


class Terminate(Shutdown):
    """SIGTERM, which is answered by nothing: the next supd runs everything."""

    def act(self, t):
        t.process.send_signal(signal.SIGTERM)
        t.until(lambda: False, "supd ends")


class Upgrade(Scenario):
    """supd.upgrade: the old binary, the new one that is tried, and the new one in place; much goes on meanwhile."""

    def configure(self, t, extra):
        t.configure(
            t.lines("calm"),
            t.service("trio", size=3),
            t.service("before", "gate", self.gates["before"], restart_delay=0),
            t.service("amid", "gate", self.gates["amid"], restart_delay=0),
            t.service("late", "gate", self.gates["late"], restart_delay="500ms"),
            t.service("deaf", first=("trap", t.path("deaf.got"), "TERM"), stop_timeout="600ms"),
            t.service(extra),
        )

    def world(self, t):
        self.gates = {name: t.gate(name + ".gate") for name in ("before", "amid", "late")}
        self.configure(t, "old")

    def before(self, t):
        self.pids = pids(t)
        self.configure(t, "new")
        t.removed.add("old")
        t.open_gate(self.gates["late"], "exit", 4)
        t.wait_state("late", "backoff")
        t.call("service.stop", names=["deaf"])

    def act(self, t):
        t.exit_by_gate(self.gates["before"], self.pids["before"], 3)
        t.ask(
            "upgrade",
            "supd.upgrade",
            meanwhile=lambda: t.exit_by_gate(self.gates["amid"], self.pids["amid"], 5),
        )
        t.until_marks(before=2, amid=2, late=2, new=1)
        t.until(lambda: not is_alive(self.pids["deaf"]), "deaf ends")

    def verify(self, t):
        s = t.settled()
        for name in ("calm", "trio"):
            t.expect_same(name, s[name], self.pids[name])
            t.check(t.killed or not s[name]["adopted"], f"{name}: it is supd's child no more")
        for name, code in (("before", 3), ("amid", 5), ("late", 4)):
            t.expect_up(name, s[name], 2, not_pid=self.pids[name])
            t.expect_exit(name, s[name], "exited", code, started_again=True)
            t.check(t.killed or s[name]["exit"]["source"] == "wait", f"{name}: its end was told by {s[name]['exit']}")
        t.expect_down("deaf", s["deaf"])
        t.expect_exit("deaf", s["deaf"], "signaled", "KILL")
        t.eq(len(t.got("deaf")), 1, "deaf: the stop-signal came once")
        t.expect_up("new", s["new"], 1)
        t.check("old" not in s, "old: there still")
        t.check(t.killed or "upgraded from supd" in t.log_text(), "supd has not been upgraded")


def kept_by(pid):
    """The pids whose pidfds a process holds."""
    found = set()
    for fd in os.listdir(f"/proc/{pid}/fdinfo"):
        try:
            with open(f"/proc/{pid}/fdinfo/{fd}", encoding="utf-8") as f:
                found.update(int(line.split()[1]) for line in f if line.startswith("Pid:"))
        except FileNotFoundError:
            pass
    return found


def exits_outlive_processes():
    """PIDFD_INFO_EXIT: since Linux 6.15 a pidfd that is kept tells the exit status for ever."""
    major, minor = os.uname().release.split(".")[:2]
    return (int(major), int(minor.split("-")[0])) >= (6, 15)


def verify_store(t):
    """The parent of supd keeps every service, and nothing that has ended."""

    def all_kept():
        running = {s["pid"] for s in t.all().values() if s["state"] == "running"}
        return kept_by(t.process.pid) - {0, -1} == running | set(t.live(SUPLOG))

    eventually(all_kept, "supd --init keeps the pidfds of what runs")


class Init(Scenario):
    """supd is killed as the child of supd --init, which starts the next one: first start of all, and an end."""

    from_start = True
    anew = True
    arguments = ("--init",)

    def world(self, t):
        t.always_known = exits_outlive_processes()
        self.gate = t.gate("again.gate")
        t.configure(
            t.lines("calm"), t.service("trio", size=3), t.service("again", "gate", self.gate, restart_delay=0)
        )

    def act(self, t):
        t.until_marks(calm=1, trio=3, again=1)
        born = t.marks("again")
        self.lives = 1 + bool(born)
        if born:
            t.exit_by_gate(self.gate, born[0][0], 3)
            t.until_marks(again=2)

    def next_supd(self, t):
        eventually(t.answers, "the next supd answers")

    def verify(self, t):
        s = t.settled()
        t.expect_up("calm", s["calm"], 1)
        t.expect_up("trio", s["trio"], 1)
        t.expect_up("again", s["again"], self.lives)
        if self.lives > 1:
            t.expect_exit("again", s["again"], "exited", 3, started_again=True)
        verify_store(t)


class Revive(Reattach):
    """The same with what supd --init has kept for the next supd: how services ended meanwhile is known exactly."""

    from_start = False
    deep = False
    arguments = ("--init",)

    def world(self, t):
        super().world(t)
        t.always_known = exits_outlive_processes()

    def before(self, t):
        self.supd = t.call("supd.info")["pid"]
        self.begin_things(t)

    def act(self, t):
        kill(self.supd, signal.SIGKILL)
        self.end_things(t)
        super().act(t)

    def next_supd(self, t):
        eventually(t.answers, "the next supd answers")

    def verify(self, t):
        eventually(t.answers, "supd answers")
        super().verify(t)
        verify_store(t)


SCENARIOS = {
    "reattach": Reattach,
    "shutdown": Shutdown,
    "terminate": Terminate,
    "upgrade": Upgrade,
    "init": Init,
    "revive": Revive,
}
