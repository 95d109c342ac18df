# SPDX-License-Identifier: MIT
"""What services are to one another and to the clock, and their control groups, while supd is killed.

Judged from outside: by the marks that services leave, the signals that they note, and the files of their cgroups.
"""
import os
import time

from cgroups import cgroup_of, need_cgroups
from scenarios import Scenario, pids

PERIOD = 0.3  # seconds between two runs of a schedule


class Graph(Scenario):
    """A stack is brought up by a start of what stands on top, and falls by the stop of what it stands on."""

    STACK = ("db", "web", "side", "top")
    NEEDS = (("web", "db"), ("side", "db"))  # without the second the first does not run
    WANTS = (("top", "web"), ("top", "side"))  # it comes after them, but not after those that have failed once

    def world(self, t):
        keys = {
            "db": {},
            "web": {"requires": ["db"], "after": ["db"]},
            "side": {"binds_to": ["db"], "after": ["db"]},
            "top": {"wants": ["web", "side"], "after": ["web", "side"]},
        }
        self.asked = False
        t.configure(t.lines("calm"), *(self.member(t, name, **keys[name]) for name in self.STACK))

    def member(self, t, name, **keys):
        """It is up when it says so, behind its mark, and notes when it is told to end."""
        trap = ("trap-exit", t.path("ends"), "0", "TERM")
        ready = {"ready": "fd:5", "enabled": False, "restart_delay": "20ms", "stop_timeout": "1s"}
        return t.service(name, "newline", 5, "for-ever", first=trap, **ready, **keys)

    def before(self, t):
        self.calm = t.status("calm")["pid"]

    def act(self, t):
        t.ask("start", "service.start", names=["top"])
        t.until_marks(db=1, web=1, side=1, top=1)
        self.asked = not t.dead()
        if self.asked:
            t.ask("stop", "service.stop", names=["db"])
            t.until(lambda: not t.live("db"), "db ends")

    def verify(self, t):
        s = t.settled()
        t.expect_same("calm", s["calm"], self.calm)
        for name in self.STACK:
            lives = len(t.marks(name))
            t.check(lives <= 1, f"{name}: {lives} times started")
            t.check(s[name]["state"] in ("running", "stopped"), f"{name}: {s[name]['state']}")
        for name, need in self.NEEDS:
            t.check(s[name]["state"] == "stopped" or s[need]["state"] == "running", f"{name} runs without {need}")
        self.verify_commands(t, s)
        self.verify_order(t)

    def verify_commands(self, t, s):
        if "start" in t.acknowledged:
            t.eq(s["top"]["state"], "running", "top: it was started, and wants others but does not need them")
            for name in self.STACK:
                t.check(self.asked or s[name]["state"] == "running", f"{name}: its start was acknowledged")
        if "stop" in t.acknowledged:
            t.eq([s[name]["state"] for name in ("db", "web", "side")], ["stopped"] * 3, "db, and who needs it")

    def verify_order(self, t):
        born = {name: marks[0] for name in self.STACK if (marks := t.marks(name))}
        for late, early in self.NEEDS if t.child_was_killed() else self.NEEDS + self.WANTS:
            if late in born and early in born:
                t.check(born[early][1] < born[late][1], f"{late} was started before {early}: {born}")
        ended = [int(line.split()[0]) for line in t.read("ends").splitlines()]
        for name, need in self.NEEDS:
            if need in born and born[need][0] in ended:
                t.check(not t.live(name), f"{need} was ended, and {name} runs")
                if name in born and born[name][0] in ended:
                    t.check(ended.index(born[name][0]) < ended.index(born[need][0]), f"{need} was ended before {name}")
        t.eq(len(ended), len(set(ended)), "each was told to end once")


class Schedule(Scenario):
    """Runs of a schedule come due."""

    def world(self, t):
        tick = {"type": "oneshot", "schedule": f"every {PERIOD * 1000:.0f}ms"}
        t.configure(t.lines("calm"), t.service("tick", "exit", "0", passing=True, enabled=False, **tick))

    def before(self, t):
        self.calm = t.status("calm")["pid"]

    def act(self, t):
        self.began = time.monotonic()
        t.ask("start", "service.start", names=["tick"])
        t.until_marks(tick=3)

    def verify(self, t):
        if t.status("tick")["desired"] == "up":
            seen = len(t.marks("tick"))
            t.until_marks(tick=seen + 1)
            t.call("service.stop", names=["tick"])
        else:
            t.check("start" not in t.acknowledged, "tick: its start was acknowledged and is forgotten")
        s = t.settled()
        t.expect_same("calm", s["calm"], self.calm)
        t.expect_down("tick", s["tick"])
        runs = len(t.marks("tick"))
        # One may be made up for at the end of a crash.
        due = (time.monotonic() - self.began) / PERIOD + 2
        t.check(runs <= due, f"tick: {runs} runs, and {due:.1f} were due")
        t.check(runs <= s["tick"]["starts"], f"tick: {runs} runs of {s['tick']['starts']} starts")


class Cgroup(Scenario):
    """supctl restart and stop of services with a process that has gone away from them, all but their cgroup."""

    def world(self, t):
        need_cgroups()
        t.configure(t.lines("calm"), self.wild(t, "again"), self.wild(t, "off"))

    def wild(self, t, name):
        text = t.service(name, first=("stray", "mark", t.path(name + ".mark")), kill_mode="cgroup", stop_timeout="1s")
        t.sizes[name] = 2  # two processes, and so two marks
        return text

    def before(self, t):
        self.pids = pids(t)
        self.members = {name: t.live(name) for name in ("again", "off")}
        self.cgroups = {name: cgroup_of(self.pids[name]) for name in ("again", "off")}

    def act(self, t):
        t.ask("restart", "service.restart", names=["again"])
        t.until_marks(again=4)
        t.ask("stop", "service.stop", names=["off"])
        t.until(lambda: not t.live("off"), "they end")

    def verify(self, t):
        s = t.settled()
        t.expect_same("calm", s["calm"], self.pids["calm"])
        if s["again"]["pid"] == self.pids["again"]:
            t.check("restart" not in t.acknowledged, "again: its restart was acknowledged and is forgotten")
            t.eq(t.live("again"), self.members["again"], "again: the processes of before")
        else:
            t.expect_up("again", s["again"], 2)
        self.verify_cgroup(t, "again", True)
        if s["off"]["desired"] == "down" or "stop" in t.acknowledged:
            t.expect_down("off", s["off"])
            t.eq(t.live("off"), [], "off: nothing of it is left")
            self.verify_cgroup(t, "off", False)
        else:
            t.eq(t.live("off"), self.members["off"], "off: the processes of before")
            self.verify_cgroup(t, "off", True)

    def verify_cgroup(self, t, name, there):
        """All processes of the service are in its cgroup, and nobody else."""
        path = self.cgroups[name]
        t.eq(os.path.exists(path), there, f"{name}: {path} is there")
        if there:
            with open(path + "/cgroup.procs", encoding="ascii") as f:
                t.eq(sorted(int(pid) for pid in f), t.live(name), f"{name}: who is in its cgroup")


SCENARIOS = {"graph": Graph, "schedule": Schedule, "cgroup": Cgroup}
