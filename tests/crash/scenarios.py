# SPDX-License-Identifier: MIT
"""What supd does to services while it is killed, and how things must be once the next supd has settled.

A scenario has up to five parts, all but the first two optional: world() configures the services; verify() judges the
end; before() prepares what supd finds; act() is what is counted and killed in; `from_start` says that this begins with
the exec of supd.  In act() supd may die at any moment, and nothing may be asked of it but commands: questions would be
system calls, too.
"""
import os
import signal
import socket

from instance import setting
from processes import Failed, eventually, is_alive, kill


class Scenario:
    from_start = False
    deep = False  # the supds that come after the first are killed, too
    anew = False  # a supd is stepped that has just been started, so a signal may come before its handlers stand
    arguments = ()  # of supd

    def world(self, t):
        raise NotImplementedError

    def before(self, t):
        """supd is settled, or not yet there when it is stepped from its start."""

    def act(self, t):
        """Ends when everything has happened, or supd is dead."""

    def act_again(self, t):
        """What a later supd of a deep scenario is killed in."""
        self.act(t)

    def next_supd(self, t):
        """After the kill."""
        t.start()

    def verify(self, t):
        """supd answers."""
        raise NotImplementedError


def pids(t):
    return {name: status["pid"] for name, status in t.all().items()}


class Start(Scenario):
    """The first start of all: of services that stay, of one that ends at once and of one that cannot be executed."""

    from_start = True
    anew = True

    def world(self, t):
        t.sizes["broken"] = 0
        t.configure(
            t.lines("calm"),
            t.service("trio", size=3),
            t.service("quick", "exit", "0", restart="no", passing=True),
            'service "broken" { command = {"/nonexistent/program"} restart = no }',
        )

    def act(self, t):
        t.until_marks(calm=1, trio=3, quick=1)

    def verify(self, t):
        s = t.settled()
        t.expect_up("calm", s["calm"], 1)
        t.expect_up("trio", s["trio"], 1)
        if not t.child_was_killed() or t.marks("quick"):
            t.expect_marks("quick", 1)
            t.expect_exit("quick", s["quick"], "exited", 0)
        else:
            t.expect_exit("quick", s["quick"], "signaled", "KILL")
        t.check(s["quick"]["state"] in (("exited", "failed") if t.killed else ("exited",)), f"quick: {s['quick']}")
        t.eq(s["broken"]["state"], "failed", "broken: state")


class Attributes(Start):
    """The same of services whose children have a long way to their exec: limits, mounts, ids."""

    def world(self, t):
        t.sizes["broken"] = 0
        os.chmod(t.dir, 0o777)
        rights = {"nice": 5, "io_class": "idle", "limit_nofile": "50:60", "limit_core": "0", "no_new_privileges": True}
        if os.geteuid() == 0:
            rights.update(user="nobody", supplementary_groups="61234", capabilities="KILL", read_only_paths="/usr")
        t.configure(
            "defaults {\n" + "".join(setting(key, value) + "\n" for key, value in rights.items()) + "}",
            t.lines("calm"),
            t.service("trio", size=3),
            t.service("quick", "exit", "0", restart="no", passing=True),
            'service "broken" { command = {"/nonexistent/program"} restart = no }',
        )

    def verify(self, t):
        super().verify(t)
        for name in ("calm", "trio"):
            with open(f"/proc/{t.status(name)['pid']}/status", encoding="ascii") as f:
                t.check("\nNoNewPrivs:\t1\n" in f.read(), f"{name} has its attributes")


class Command(Scenario):
    """supctl start of services that are stopped."""

    def world(self, t):
        t.configure(t.lines("calm"), t.service("trio", size=3, enabled=False), t.service("one", enabled=False))

    def before(self, t):
        self.calm = t.status("calm")["pid"]

    def act(self, t):
        t.ask("start", "service.start", names=["trio", "one"])
        t.until_marks(trio=3, one=1)

    def verify(self, t):
        s = t.settled()
        t.expect_same("calm", s["calm"], self.calm)
        for name in ("trio", "one"):
            if s[name]["desired"] == "up" or "start" in t.acknowledged:
                t.expect_up(name, s[name], 1)
            else:
                t.expect_down(name, s[name])
                t.expect_marks(name, 0)


class Exit(Scenario):
    """Services end: one that is started again at once, two that are not, and one that leaves children behind."""

    def world(self, t):
        self.gates = {name: t.gate(name + ".gate") for name in ("again", "bad", "good")}
        t.configure(
            t.lines("calm"),
            t.service("again", "gate", self.gates["again"], restart_delay=0),
            t.service("bad", "gate", self.gates["bad"], restart="no"),
            t.service("good", "gate", self.gates["good"], restart="on-failure"),
            t.service("trio", size=3, restart_delay=0),
        )

    def before(self, t):
        self.pids = pids(t)

    def act(self, t):
        t.open_gate(self.gates["again"], "exit", 3)
        t.open_gate(self.gates["bad"], "exit", 5)
        t.open_gate(self.gates["good"], "exit", 0)
        kill(self.pids["trio"], signal.SIGKILL)
        eventually(lambda: not any(is_alive(pid) for n, pid in self.pids.items() if n != "calm"), "they end")
        t.until_marks(again=2, trio=6)

    def verify(self, t):
        s = t.settled()
        t.expect_same("calm", s["calm"], self.pids["calm"])
        t.expect_up("again", s["again"], 2, not_pid=self.pids["again"])
        t.expect_exit("again", s["again"], "exited", 3, started_again=True)
        t.expect_up("trio", s["trio"], 2, not_pid=self.pids["trio"])
        t.expect_exit("trio", s["trio"], "signaled", "KILL")
        t.eq(s["bad"]["state"], "failed", "bad: state")
        t.expect_marks("bad", 1)
        t.expect_exit("bad", s["bad"], "exited", 5)
        if s["good"]["exit"]["how"] == "unknown":  # which counts as a failure
            t.check(t.killed, "good: its exit is unknown, and supd has not died")
            t.expect_up("good", s["good"], 2, not_pid=self.pids["good"])
        else:
            t.eq(s["good"]["state"], "exited", "good: state")
            t.expect_marks("good", 1)
            t.expect_exit("good", s["good"], "exited", 0)


class Backoff(Scenario):
    """A service is started again after a while; another fails until it is given up."""

    def world(self, t):
        self.gate = t.gate("again.gate")
        fast = {"restart_delay": "20ms", "restart_delay_max": "20ms"}
        t.configure(
            t.lines("calm"),
            t.service("again", "gate", self.gate, restart_delay="250ms"),
            t.service("lost", "exit", "6", restart_limit=3, enabled=False, passing=True, **fast),
        )

    def before(self, t):
        self.pids = pids(t)

    def act(self, t):
        t.exit_by_gate(self.gate, self.pids["again"], 4)
        t.ask("start", "service.start", names=["lost"])
        t.until_marks(again=2, lost=3)

    def verify(self, t):
        s = t.settled()
        t.expect_same("calm", s["calm"], self.pids["calm"])
        t.expect_up("again", s["again"], 2, not_pid=self.pids["again"])
        t.expect_exit("again", s["again"], "exited", 4, started_again=True)
        if not t.child_was_killed():
            t.eq((s["again"]["starts"], s["again"]["restarts"]), (2, 1), "again: starts, restarts")
        if s["lost"]["state"] == "stopped":
            t.check("start" not in t.acknowledged, "lost: its start was acknowledged and is forgotten")
            t.expect_marks("lost", 0)
            return
        t.eq(s["lost"]["state"], "failed", "lost: state")
        t.match(s["lost"]["reason"], "gave up after 3", "lost: reason")
        t.expect_exit("lost", s["lost"], "exited", 6, started_again=True)
        if not t.child_was_killed():
            t.expect_marks("lost", 3)


class Stop(Scenario):
    """supctl stop."""

    def world(self, t):
        t.configure(t.lines("calm"), self.victim(t, "trio", 3), self.victim(t, "one", 1))

    def victim(self, t, name, size):
        return t.service(name, size=size, stop_timeout="500ms")

    def before(self, t):
        self.pids = pids(t)
        self.members = {name: t.live(name) for name in ("trio", "one")}

    def act(self, t):
        t.ask("stop", "service.stop", names=["trio", "one"])
        t.until(lambda: not any(is_alive(p) for m in self.members.values() for p in m), "they end")

    def verify(self, t):
        s = t.settled()
        t.expect_same("calm", s["calm"], self.pids["calm"])
        for name, members in self.members.items():
            if s[name]["desired"] == "down" or "stop" in t.acknowledged:
                t.expect_down(name, s[name])
                self.verify_exit(t, name, s[name])
            else:
                t.expect_same(name, s[name], self.pids[name])
                t.eq(t.live(name), members, f"{name}: the processes of before")
            t.expect_marks(name, 1)

    def verify_exit(self, t, name, status):
        # The stop-signal is recorded before it is sent, and never sent twice: a crash between leaves only SIGKILL.
        signals = ("TERM", "KILL") if t.killed else ("TERM",)
        t.expect_exit(name, status, "signaled", *signals)


class Escalation(Stop):
    """supctl stop of processes that do not listen to SIGTERM."""

    def victim(self, t, name, size):
        return t.service(name, size=size, first=("trap", t.path(name + ".got"), "TERM"), stop_timeout="200ms")

    def verify_exit(self, t, name, status):
        t.expect_exit(name, status, "signaled", "KILL")
        heard = t.read(name + ".got").split("\n")[:-1]
        t.eq(len(set(heard)), len(heard), f"{name}: the stop-signal comes once at most: {heard}")


class ToBeEnded(Scenario):
    """A service that obeys, and one that must be killed."""

    def world(self, t):
        t.configure(
            t.lines("calm"),
            t.service("trio", size=3),
            t.service("deaf", first=("ignore", "TERM"), stop_timeout="100ms"),
        )

    def before(self, t):
        self.pids = pids(t)


class Restart(ToBeEnded):
    """supctl restart."""

    def act(self, t):
        t.ask("restart", "service.restart", names=["trio", "deaf"])
        t.until_marks(trio=6, deaf=2)

    def verify(self, t):
        s = t.settled()
        t.expect_same("calm", s["calm"], self.pids["calm"])
        for name, sig in (("trio", "TERM"), ("deaf", "KILL")):
            if s[name]["pid"] == self.pids[name]:
                t.check("restart" not in t.acknowledged, f"{name}: its restart was acknowledged and is forgotten")
                t.expect_same(name, s[name], self.pids[name])
            else:
                t.expect_up(name, s[name], 2)
                t.expect_exit(name, s[name], "signaled", sig, "KILL" if t.killed else sig, started_again=True)


def connects(path):
    with socket.socket(socket.AF_UNIX) as s:
        try:
            s.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
    return True


class Sockets(Scenario):
    """The restart of a service with a socket, the first connection to one that waits for it, the stop of a third."""

    def world(self, t):
        t.configure(
            *(
                t.service(name, listen=[f"unix:{t.path(name + '.sock')}"], **keys)
                for name, keys in (("web", {}), ("idle", {"start": "on-demand"}), ("off", {}))
            )
        )

    def before(self, t):
        self.pids = pids(t)

    def act(self, t):
        t.ask("restart", "service.restart", names=["web"])
        t.until_marks(web=2)
        with socket.socket(socket.AF_UNIX) as client:
            if client.connect_ex(t.path("idle.sock")) == 0:
                t.until_marks(idle=1)
            t.ask("stop", "service.stop", names=["off"])

    def verify(self, t):
        s = t.settled()
        if s["web"]["pid"] == self.pids["web"]:
            t.check("restart" not in t.acknowledged, "web: its restart was acknowledged and is forgotten")
            t.expect_same("web", s["web"], self.pids["web"])
        else:
            t.expect_up("web", s["web"], 2)
        t.check(connects(t.path("web.sock")), "web: its socket is closed")
        if s["off"]["pid"] == self.pids["off"]:
            t.check("stop" not in t.acknowledged, "off: its stop was acknowledged and is forgotten")
            t.expect_same("off", s["off"], self.pids["off"])
        else:
            t.expect_down("off", s["off"])
        t.eq(connects(t.path("off.sock")), s["off"]["desired"] == "up", "off: its socket is open")
        t.check(connects(t.path("idle.sock")), "idle: its socket is closed")
        t.until_marks(idle=1)
        t.expect_up("idle", t.settled()["idle"], 1)
        for name, status in s.items():
            t.eq(status["sockets"][0]["open"], status["desired"] == "up", f"{name}: supd has its socket")


class Reload(Scenario):
    """A changed configuration: a service more, one less, one that must be restarted for it and one that need not."""

    def configure(self, t, value, timeout, extra):
        t.configure(
            t.lines("calm"),
            t.service("changed", size=3, environment=[f"V={value}"]),
            t.service("eased", stop_timeout=timeout),
            t.service(extra),
        )

    def world(self, t):
        self.configure(t, "1", "5s", "old")

    def before(self, t):
        self.pids = pids(t)
        self.configure(t, "2", "6s", "new")
        t.removed.add("old")

    def act(self, t):
        t.ask("reload", "config.reload", restart=True)
        t.until_marks(new=1, changed=6)

    def verify(self, t):
        s = t.settled()
        t.expect_same("calm", s["calm"], self.pids["calm"])
        t.expect_same("eased", s["eased"], self.pids["eased"])
        t.eq(sorted(s), ["calm", "changed", "eased", "new"], "the services there are")
        t.eq(t.live("old"), [], "old: no process is left")
        t.expect_up("new", s["new"], 1)
        if s["changed"]["pid"] == self.pids["changed"]:
            t.check("reload" not in t.acknowledged, "changed: the reload was acknowledged, and it was not restarted")
            t.expect_same("changed", s["changed"], self.pids["changed"])
            t.eq(s["changed"]["config-stale"], True, "changed: config-stale")
        else:
            t.expect_up("changed", s["changed"], 2)
            t.eq(s["changed"]["config-stale"], False, "changed: config-stale")


SCENARIOS = {
    "start": Start,
    "attributes": Attributes,
    "command": Command,
    "exit": Exit,
    "backoff": Backoff,
    "stop": Stop,
    "escalation": Escalation,
    "restart": Restart,
    "reload": Reload,
    "sockets": Sockets,
}
