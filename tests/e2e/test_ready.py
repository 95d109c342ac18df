#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A service is running once it is of use: what it says (sd_notify), what is looked for, and what a crash of supd leaves."""
import concurrent.futures
import contextlib
import json
import os
import shutil
import signal
import socket
import stat
import sys
import threading
import time

from harness import main, test
from instance import service
from processes import Failed, eventually, is_alive, kill, skip

HERE = os.path.dirname(os.path.abspath(__file__))


class Teller:
    """A service that does what it is told; see teller.py."""

    def __init__(self, t, name, *first, **keys):
        self.t, self.name = t, name
        self.fifo = t.path(name + ".fifo")
        os.mkfifo(self.fifo)
        self.fd = os.open(self.fifo, os.O_RDWR)  # so that writing never waits, and lines wait for their reader
        command = [sys.executable, "-IS", os.path.join(HERE, "teller.py"), t.path(name + ".notes"), self.fifo, *first]
        self.section = service(name, command, **{"ready": "notify", **keys})

    def notes(self):
        return [json.loads(line) for line in self.t.read(self.name + ".notes").splitlines()]

    def wait_began(self, count=1):
        def began():
            found = [n for n in self.notes() if "began" in n]
            return found[count - 1] if len(found) >= count else None

        return eventually(began, f"process {count} of {self.name} has begun")

    def begin(self, line):
        """Returns how many lines were answered before."""
        before = self.answers()
        os.write(self.fd, line.encode() + b"\n")
        return before

    def answers(self):
        return [n for n in self.notes() if "line" in n]

    def do(self, line):
        """What came of it."""
        before = len(self.begin(line))

        def done():
            return [n for n in self.answers()[before:] if n["line"] == line]

        return eventually(done, f"{self.name} has done {line!r}")[0]["answer"]

    def settle(self):
        """Until supd has read all that was sent before."""
        answer = self.do("barrier")
        if answer != "sent, answered":
            raise Failed(f"{self.name}: barrier: {answer}")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def shown(t, name):
    s = t.status(name)
    return s["state"], s["ready"], s["status-text"]


# ---- what a service says


@test
def a_service_says_that_it_is_ready(t):
    a = Teller(t, "a", post_start=f"/bin/touch {t.path('after')}")
    quiet = Teller(t, "quiet", ready="exec")
    t.configure(a.section, quiet.section)
    t.start()
    began = a.wait_began()
    path = began["began"]["NOTIFY_SOCKET"]
    t.eq(path, os.path.join(t.run_dir, "notify", "a"), "where the socket is")
    t.eq(stat.S_IMODE(os.stat(path).st_mode), 0o666, "a service may change its user")
    t.eq(stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode), 0o711, "nobody else puts anything there")
    t.eq(quiet.wait_began()["began"], {}, "who is not to say anything gets no socket")
    t.wait_state("quiet", "running")

    a.settle()
    t.eq(shown(t, "a"), ("starting", False, None), "before it is ready")
    t.match(t.status("a")["reason"], "READY=1", "what is waited for")
    t.check(not os.path.exists(t.path("after")), "post-start comes behind")
    a.do("send STATUS=half\t\x1b[31mway\\nSTRANGE=1\\nREADY=0\\nREADY\\n=\\n")
    a.settle()
    t.eq(shown(t, "a"), ("starting", False, "half??[31mway"), "a status, cleaned")
    a.do("send STATUS=up\\nREADY=1")
    t.wait_state("a", "running")
    t.check(os.path.exists(t.path("after")), "post-start has run")
    t.eq(shown(t, "a"), ("running", True, "up"), "ready")
    t.eq(t.status("a")["pid"], began["pid"], "the process")

    a.do("send RELOADING=1\\nMONOTONIC_USEC=1")
    a.settle()
    t.match(t.status("a")["reason"], "reloading", "it reloads")
    t.crash_and_start()
    t.match(t.status("a")["reason"], "reloading", "also after a crash of supd")
    a.do("send READY=1\\nSTATUS=")
    a.settle()
    t.eq((t.status("a")["reason"], *shown(t, "a")), (None, "running", True, None), "it has reloaded")
    a.do("send STOPPING=1")
    a.settle()
    t.eq(shown(t, "a")[:2], ("running", False), "it says that it ends")
    a.begin("exit 0")
    a.wait_began(2)
    t.eq(shown(t, "a"), ("starting", False, None), "of the next life nothing is known")


@test
def commands_wait_until_it_is_ready(t):
    a = Teller(t, "a", enabled=False, start_timeout="1h")
    t.configure(a.section)
    t.start()
    t.ctl("start", "--no-wait", "a")
    a.wait_began()
    done = t.ctl("start", "--timeout", "200ms", "a")
    t.eq(done.code, 8, f"it is not ready: {done}")
    a.do("send READY=1")
    done = t.ctl("start", "a")
    t.eq(done.code, 0, f"it is: {done}")


@test
def one_that_never_gets_ready_is_ended(t):
    late = Teller(t, "late", start_timeout="1s", restart="no")
    early = Teller(t, "early", "exit 0", restart="no")
    fails = Teller(t, "fails", "exit 3", restart="no")
    quick = Teller(t, "quick", "send READY=1", "exit 0", restart="no")
    long = Teller(t, "long", "send EXTEND_TIMEOUT_USEC=3600000000", start_timeout="8s", restart="no")
    t.configure(late.section, early.section, fails.section, quick.section, long.section)
    t.start()
    s = t.wait_state("late", "failed")
    t.eq(s["reason"], "start timed out after 1s: waited in vain for READY=1", "the reason")
    t.eq(t.live("late"), [], "its process")
    s = t.wait_state("early", "failed")
    t.eq(s["reason"], "exit 0 before it was ready", "success is to get ready first")
    t.eq(t.wait_state("fails", "failed")["reason"], "exit 3 before it was ready", "an exit is what it is")
    s = t.wait_state("quick", "exited")
    t.eq(s["exit"]["code"], 0, "what it said last was heard")
    long.wait_began()
    long.settle()
    eventually(lambda: t.status("long")["uptime"] > 8.2, "its start-timeout has passed")
    t.eq(shown(t, "long")[0], "starting", "it has asked for more time")
    t.eq(t.ctl("stop", "long").code, 0, "stopped while it starts")
    eventually(lambda: not os.path.exists(os.path.join(t.run_dir, "notify", "long")), "its socket is gone")


@test
def only_its_own_processes_are_believed(t):
    strict = Teller(t, "strict")
    open_ = Teller(t, "open", notify_access="all")
    t.configure(strict.section, open_.section)
    t.start()
    path = strict.wait_began()["began"]["NOTIFY_SOCKET"]
    other = open_.wait_began()["began"]["NOTIFY_SOCKET"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        for address in (path, other):
            s.sendto(b"READY=1\nSTATUS=wrong", address)
            s.sendto(b"READY=1\n" + b"x" * 5000, address)
            s.sendto(b"READY=1\0\nREADY=1", address)
    strict.do("child READY=1\\nSTATUS=wrong")
    strict.settle()
    open_.settle()
    t.eq([shown(t, n) for n in ("strict", "open")], [("starting", False, None)] * 2, "strangers")
    t.match(t.log_text(), "strict: a message of process [0-9]+ .* passed over", "it is said")
    t.eq(t.log_text().count("passed over"), 2, "once each")
    open_.do("child STATUS=mine\\nREADY=1")
    # It may have ended, and be no more to be asked about, before it was looked at.
    open_.do("send READY=1")
    t.wait_state("open", "running")
    strict.do("send READY=1")
    t.wait_state("strict", "running")


@test
def systemd_notify_is_understood(t):
    if not shutil.which("systemd-notify"):
        skip("systemd-notify is not installed")
    script = "systemd-notify --status='from a script' --ready && exec sleep 1000"
    t.configure(service("a", ["/bin/sh", "-c", script], ready="notify", notify_access="all"))
    t.start()
    s = t.wait_state("a", "running")
    t.eq(s["status-text"], "from a script", "its words")


@test
def a_flood_does_not_stop_supd(t):
    a = Teller(t, "a")
    t.configure(a.section, t.sleeper("other"))
    t.start()
    a.wait_began()
    a.do("send READY=1")
    t.wait_state("a", "running")
    a.begin("flood 3000")
    for _ in range(20):
        t.eq(t.ctl("restart", "other").code, 0, "others are served")
    last = eventually(lambda: [n for n in a.answers() if n["line"].startswith("flood")], "the flood is over")
    t.eq(last[0]["answer"], 3000, "nothing was refused")
    t.wait_for("a", lambda s: s["status-text"] == "2999", "all was read")
    fds = len(os.listdir(f"/proc/{t.process.pid}/fd"))
    for _ in range(5):
        a.settle()
    now = len(os.listdir(f"/proc/{t.process.pid}/fd"))
    t.check(now <= fds, f"descriptors that come along are closed: {fds} before, {now} now")


# ---- what is looked for


@test
def readiness_is_looked_for(t):
    port = free_port()
    tellers = {
        "fd": Teller(t, "fd", ready="fd:7"),
        "port": Teller(t, "port", ready=f"port:127.0.0.1:{port}"),
        "path": Teller(t, "path", ready=f"path:{t.path('there')}"),
    }
    t.configure(*[x.section for x in tellers.values()], t.sleeper("after", ready="after 1500ms"))
    t.start()
    for teller in tellers.values():
        teller.wait_began()
    t.eq(tellers["fd"].notes()[0]["fds"], [7], "its descriptor, and no other")
    t.eq(tellers["port"].notes()[0]["fds"], [], "nothing is handed over")
    eventually(lambda: t.marks("after"), "it runs")
    t.crash_and_start()
    for name in tellers:
        t.eq(shown(t, name)[:2], ("starting", False), f"{name}: not yet")
    tellers["fd"].do("fd 7")
    tellers["port"].do(f"listen {port}")
    tellers["path"].do(f"touch {t.path('there')}")
    services = t.wait_all("running")
    t.check(services["after"]["uptime"] >= 1.5, f"not before its time: {services['after']}")
    t.eq(os.listdir(os.path.join(t.run_dir, "notify")), [], "nothing is left behind")
    for name, teller in tellers.items():
        t.eq(services[name]["pid"], teller.notes()[0]["pid"], f"{name}: one process")


# ---- a line in its output


def suplog(t):
    """Its pid; 0: there is none, or none that has begun."""
    for pid in t.live("supd:log"):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/comm", encoding="utf-8") as f:
            if f.read() == "suplog\n":
                return pid
    return 0


def kill_suplog(t):
    pid = eventually(lambda: suplog(t), "suplog runs")
    kill(pid, signal.SIGKILL)
    eventually(lambda: not is_alive(pid), "it is dead")


def matches(t):
    return [name for name in os.listdir(os.path.join(t.run_dir, "log")) if "match" in name]


@test
def a_line_is_waited_for(t):
    """On standard output or error, wherever that goes, of a program that is forked or stays, of each instance."""
    keys = {"ready": "log:^ready( [0-9]+)?$", "start_timeout": "1h"}
    tellers = {
        "file": Teller(t, "file", log=t.path("file.log"), **keys),
        "error": Teller(t, "error", log="none", log_error=t.path("error.log"), **keys),
        "apart": Teller(t, "apart", log=t.path("out.log"), log_error=t.path("err.log"), log_timestamp=True, **keys),
        "inherit": Teller(t, "inherit", pre_start=t.worker("print", "ready", "complain", "ready"), **keys),
    }
    forks = ["/bin/sh", "-c", f"echo ready 1; (echo pid; sleep 1; echo ready now; exec sleep 1000) & echo $! >{t.path('pid')}"]
    t.configure(
        *[teller.section for teller in tellers.values()],
        service("forks", forks, type="forking", pid_file=t.path("pid"), ready="log:^ready now$"),
        service("each", ["/bin/sh", "-c", "echo this is %i; exec sleep 1000"], instances=2, ready="log:^this is %i$"),
        service("other", ["/bin/sh", "-c", "echo this is 3; exec sleep 1000"], instances=1, ready="log:^this is %i$"),
    )
    t.start()
    for name, teller in tellers.items():
        teller.wait_began()
        teller.do("complain " if name == "error" else "print not ready\\nready not\\n")
    t.wait_state("forks", "running")
    t.eq([t.wait_state(f"each@{k}", "running")["state"] for k in (1, 2)], ["running"] * 2, "each its own")
    t.match(t.status("file")["reason"], r"a line of output that matches \^ready", "what is waited for")
    for name in ("file", "error", "apart", "inherit", "other@1"):
        t.eq(shown(t, name)[:2], ("starting", False), f"{name}: not yet")
    tellers["file"].do("print rea")
    tellers["error"].do("complain ready 80\\n")
    tellers["apart"].do("complain ready\\n")
    tellers["inherit"].do("print ready\\n")
    tellers["file"].do("print dy\\nmore\\n")
    for name, teller in tellers.items():
        t.eq(t.wait_state(name, "running")["pid"], teller.notes()[0]["pid"], f"{name}: one process")
    eventually(lambda: t.read("file.log") == "not ready\nready not\nready\nmore\n", "the log is what it would be")
    t.eq(t.ctl("stop", "other").code, 0, "one that is not ready")
    t.eq(matches(t), [], "nothing is left behind")
    t.eq(t.terminate(), 0, "exit status")


@test
def the_line_of_an_earlier_life(t):
    """Each life has to say it anew; what was not yet taken out of the FIFO of what was said before is of no life any more."""
    a = Teller(t, "a", "print up\\n", log=t.path("a.log"), ready="log:^up$", restart_delay="0", start_timeout="1h")
    b = Teller(t, "b", log=t.path("b.log"), ready="log:^up$", restart_delay="0", start_timeout="1h")
    t.configure(a.section, b.section)
    t.start()
    for life in range(1, 6):
        t.wait_for("a", lambda s: s["restarts"] == life - 1 and s["state"] == "running", f"life {life} is ready")
        b.wait_began(life)
        t.eq(shown(t, "b")[:2], ("starting", False), f"life {life}: not yet")
        b.do("print up\\n")
        t.wait_state("b", "running")
        for teller in (a, b):
            teller.do("print " + "up\\n" * 500)
            teller.begin("exit 1")
        t.wait_for("b", lambda s: s["restarts"] == life and s["state"] == "starting", "the next life")
    # Nobody takes out anything while the next life begins.
    writer = suplog(t)
    kill(writer, signal.SIGSTOP)
    b.wait_began(6)
    b.do("print up\\nup\\nu")
    b.begin("exit 1")
    t.wait_for("b", lambda s: s["pid"] and s["restarts"] == 6, "there is a process")
    kill(writer, signal.SIGKILL)
    b.wait_began(7)
    b.do("print p\\nup!\\n")
    a.do("print done\\n")
    eventually(lambda: t.read("b.log").endswith("up\nup\nup\nup!\n"), "all is in the log")
    t.eq(shown(t, "b")[:2], ("starting", False), "not yet")
    b.do("print up\\n")
    t.wait_state("b", "running")


@test
def one_that_never_says_it_is_ended(t):
    t.configure(
        service("mute", ["/bin/sh", "-c", "echo ready; exec sleep 1000"], ready="log:^up$", log=t.path("mute.log"),
                start_timeout="1s", restart="no"),
        service("brief", ["/bin/sh", "-c", "echo ready"], ready="log:^up$", log=t.path("brief.log"), restart="no"),
    )
    t.start()
    reason = "start timed out after 1s: waited in vain for a line of output that matches ^up$"
    t.eq(t.wait_state("mute", "failed")["reason"], reason, "the reason")
    t.eq(t.wait_state("brief", "failed")["reason"], "exit 0 before it was ready", "success is to get ready first")
    t.eq((t.read("mute.log"), matches(t)), ("ready\n", []), "its log, and nothing else")


@test
def a_line_that_comes_while_somebody_is_dead(t):
    """supd, suplog or both die while it starts; it is ready all the same, and in the same process."""
    kinds = ("first", "second", "both", "upgrade")
    tellers = {kind: Teller(t, kind, log=t.path(kind + ".log"), ready="log:^up$", start_timeout="1h") for kind in kinds}
    t.configure(*[teller.section for teller in tellers.values()])
    t.start()
    for teller in tellers.values():
        teller.wait_began()
        teller.do("print one\\nu")
    kill_suplog(t)
    tellers["second"].do("print p\\n")
    t.wait_state("second", "running")
    t.eq(t.ctl("upgrade").code, 0, "an upgrade")
    tellers["upgrade"].do("print p\\n")
    t.wait_state("upgrade", "running")
    t.crash()
    tellers["first"].do("print p\\n")
    eventually(lambda: t.read("first.log").endswith("up\n"), "suplog goes on")
    kill_suplog(t)
    tellers["both"].do("print p\\n")
    t.start()
    services = t.wait_all("running")
    for kind, teller in tellers.items():
        t.eq((services[kind]["pid"], services[kind]["restarts"]), (teller.notes()[0]["pid"], 0), f"{kind}: one process")
    t.check("taken for ready" not in t.log_text(), "nothing was lost")
    t.match(t.log_text(), f"first: running, pid {services['first']['pid']}\n", "it is told who has become ready")
    eventually(lambda: [t.read(kind + ".log") for kind in kinds] == ["one\nup\n"] * 4, "the logs")
    said = len(t.log_text())
    t.crash_and_start()
    told = t.log_text()[said:].replace("supd:log:", "")
    t.check(": running, pid" not in told, "and of others only that they are taken back")
    t.eq({s["state"] for s in t.all().values()}, {"running"}, "that is remembered")
    t.eq(matches(t), [], "nothing is left behind")


@test
def a_start_while_suplog_does_not_answer(t):
    """It fails and says why, for nobody could see the line; and the next one is as good as ever."""
    a = Teller(t, "a", "print up\\n", log=t.path("a.log"), ready="log:^up$", restart="no")
    t.configure(a.section)
    t.start()
    t.wait_state("a", "running")
    writer = suplog(t)
    kill(writer, signal.SIGSTOP)
    done = t.ctl("restart", "a")
    t.eq(done.code, 1, f"restart: {done}")
    t.match(t.wait_state("a", "failed")["reason"], "ready: suplog does not answer for 10 s", "the reason")
    kill(writer, signal.SIGCONT)
    t.eq(t.ctl("start", "a").code, 0, "start")


# ---- descriptors that it leaves with supd


def given(began):
    """LISTEN_FDNAMES as a list, and the descriptors that are there."""
    names = began["began"].get("LISTEN_FDNAMES", "")
    return names.split(":") if names else [], began["fds"]


@test
def descriptors_are_kept(t):
    a = Teller(t, "a", "send READY=1", fd_store=3, listen=f"unix:{t.path('a.sock')}", restart_delay="0")
    t.configure(a.section)
    t.start()
    t.eq(given(a.wait_began()), (["a"], [3]), "a socket, and no more")
    t.wait_state("a", "running")
    for line in ("store x", "store y", "hangup gone", "store more"):
        t.eq(a.do(line), "sent", line)
    a.settle()
    t.eq(t.status("a")["fd-store"], ["x", "y", "gone"], "what is kept")
    t.match(t.log_text(), "a: a descriptor .* is closed: fd-store = 3 allows no more", "it is said")

    def next_one(count):
        a.begin("exit 1")
        return given(a.wait_began(count))

    t.eq(next_one(2), (["a", "x", "y"], [3, 4, 5]), "the next start gets them, but what is dead")
    t.eq((a.do("read 4"), a.do("read 5")), ("x", "y"), "they are what they are called")
    t.wait_state("a", "running")
    t.eq(t.ctl("upgrade").code, 0, "an upgrade")
    t.eq(next_one(3), (["a", "x", "y"], [3, 4, 5]), "they are handed over")
    t.wait_state("a", "running")
    t.crash_and_start()
    t.eq(t.status("a")["fd-store"], ["x", "y"], "its process has them: they are copied back")
    t.eq(next_one(4), (["a", "x", "y"], [3, 4, 5]), "and given on")
    a.do("send FDSTOREREMOVE=1\\nFDNAME=x")
    a.settle()
    t.crash_and_start()
    t.eq(t.status("a")["fd-store"], ["y"], "it has taken one back")

    a.do("store z")
    a.settle()
    t.crash_and_start()
    t.eq(t.status("a")["fd-store"], ["y"], "what nobody else had is lost")
    t.match(t.log_text(), "a: the descriptor 'z' .* is lost", "that is said")
    t.eq(t.ctl("restart", "a").code, 0, "a restart")
    t.eq(given(a.wait_began(5)), (["a", "y"], [3, 4]), "keeps the rest")
    t.eq(t.ctl("stop", "a").code, 0, "a stop")
    t.eq(t.status("a")["fd-store"], [], "ends it")
    t.eq(t.ctl("start", "a").code, 0, "a start")
    t.eq(given(a.wait_began(6)), (["a"], [3]), "begins anew")


# ---- another main process


@test
def a_main_process_names_its_successor(t):
    a = Teller(t, "a", "send READY=1", restart_delay="0")
    t.configure(a.section)
    t.start()
    first = t.wait_state("a", "running")["pid"]
    a.do("send MAINPID=1")
    a.do(f"send MAINPID={os.getpid()}")
    a.settle()
    t.eq(t.status("a")["pid"], first, "a process of others is none of its own")
    t.match(t.log_text(), "a: MAINPID=1 is not followed: process 1 is none of this service's", "that is said")

    def next_is_there(count):
        pid = a.wait_began(count)["pid"]
        return t.wait_for("a", lambda s: s["pid"] == pid, "the next one is the main process")

    a.begin("succeed")
    s = next_is_there(2)
    t.eq((s["state"], s["restarts"]), ("running", 0), "the end of the one before is no end of the service")
    eventually(lambda: not is_alive(first), "it has ended")
    t.crash_and_start()
    t.eq(t.status("a")["pid"], s["pid"], "it is taken back")
    t.eq(t.ctl("upgrade").code, 0, "an upgrade")
    t.eq(t.status("a")["pid"], s["pid"], "it is the same process")
    kill(s["pid"], signal.SIGKILL)
    s = t.wait_for("a", lambda s: s["restarts"] == 1 and s["state"] == "running", "its end is one of the service")
    t.eq(s["exit"]["signal"], "KILL", "how it ended")

    # Handed to supd by the end of its parent, it is a child like any other.
    a.begin("succeed")
    next_is_there(4)
    a.begin("exit 7")
    s = t.wait_for("a", lambda s: s["restarts"] == 2 and s["state"] == "running", "its end")
    t.eq((s["exit"]["code"], s["exit"]["source"]), (7, "wait"), "how it ended")

    before = s["pid"]
    a.begin("appoint")
    now = next_is_there(6)["pid"]
    t.check(is_alive(before) and is_alive(now), "both live")
    t.crash_and_start()
    t.eq((t.status("a")["pid"], t.status("a")["starts"]), (now, s["starts"]), "the later one is the main process")
    t.eq(t.ctl("stop", "a").code, 0, "a stop")
    t.eq(t.live("a"), [], "nothing is left of either")


# ---- reloads


@test
def a_reload_is_waited_for(t):
    a = Teller(t, "a", "send READY=1", ready="notify-reload")
    t.configure(a.section)
    t.start()
    pid = t.wait_state("a", "running")["pid"]

    def reload_begins(pool, count):
        caller = pool.submit(t.ctl, "reload", "a")
        eventually(lambda: t.read("a.notes").count("HUP") == count, "it gets its signal")
        return caller

    with concurrent.futures.ThreadPoolExecutor() as pool:
        caller = reload_begins(pool, 1)
        a.do("send READY=1\\nRELOADING=1\\nMONOTONIC_USEC=1")
        a.do("send READY=1")
        a.settle()
        t.eq(t.status("a")["reason"], "it was asked to reload", "what it says of an earlier reload is not meant")
        refused = t.ctl("reload", "a")
        t.eq(refused.code, 1, f"one at a time: {refused}")
        a.do(f"send RELOADING=1\\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        a.settle()
        t.eq(t.status("a")["reason"], "it says that it is reloading", "it has begun")
        t.eq(t.ctl("upgrade").code, 0, "an upgrade meanwhile")
        t.check(not caller.done(), "who has asked waits")
        a.do("send READY=1")
        done = caller.result()
        t.eq((done.code, t.status("a")["reason"]), (0, None), f"it is over: {done}")

        caller = reload_begins(pool, 2)
        t.crash_and_start()
        t.eq(caller.result().code, 7, "nobody answers")
    t.eq((t.status("a")["reason"], t.status("a")["pid"]), (None, pid), "its answer may be lost: it is not waited for")
    t.eq(t.ctl("reload", "--no-wait", "a").code, 0, "it may be asked again")


# ---- the watchdog


@test
def one_that_gives_no_sign_of_life_is_ended(t):
    keys = {"restart": "no", "limit_core": "0", "start_timeout": "1h"}
    hangs = Teller(t, "hangs", watchdog="1s", **keys)
    asks = Teller(t, "asks", watchdog="1h", watchdog_signal="USR1", **keys)
    late = Teller(t, "late", watchdog="1h", **keys)
    after = Teller(t, "after", "send READY=1\nWATCHDOG_USEC=1000000", watchdog="1h", **keys)
    t.configure(hangs.section, asks.section, late.section, after.section)
    t.start()
    began = hangs.wait_began()
    t.eq(began["began"]["WATCHDOG_USEC"], "1000000", "it is told how often")
    t.eq(began["began"]["WATCHDOG_PID"], str(began["pid"]), "and who")
    after.wait_began()
    t.wait_state("after", "running", "failed")
    t.crash()
    eventually(lambda: began and t.read("after.notes").count("line") >= 1, "it has said what it had to say")
    t.start()
    # Nobody could hear it: it is not ended before it has been heard again.  Nor is one that is not ready yet.
    pid = after.notes()[0]["pid"]
    if t.status("after")["state"] == "running":
        up = t.status("hangs")["uptime"] + 1.5
        t.wait_for("hangs", lambda s: s["uptime"] > up, "time has passed")
        t.eq((t.status("after")["pid"], t.status("after")["state"]), (pid, "running"), "it is not ended for that")
        after.do("send WATCHDOG=1")
    t.match(t.wait_state("after", "failed")["reason"], "watchdog: no sign of life for 1s", "heard once, and no more")
    t.eq(shown(t, "hangs")[0], "starting", "the watchdog begins when it is ready")
    hangs.do("send READY=1")
    s = t.wait_state("hangs", "failed")
    t.eq((s["reason"], s["exit"]["signal"]), ("watchdog: no sign of life for 1s", "ABRT"), "how it ended")

    asks.do("send READY=1\\nWATCHDOG=1")
    asks.begin("send WATCHDOG=trigger")
    s = t.wait_state("asks", "failed")
    t.eq((s["reason"], s["exit"]["signal"]), ("watchdog: triggered by the service itself", "USR1"), "at its own wish")

    # supd stands still for longer than that, and finds what has come meanwhile before it judges.
    late.do("send READY=1\\nWATCHDOG_USEC=3000000")
    late.settle()
    t.process.send_signal(signal.SIGSTOP)
    late.do("send WATCHDOG=1")
    since = time.monotonic()
    eventually(lambda: time.monotonic() - since > 3.2, "the time is over")
    late.do("send WATCHDOG=1\\nWATCHDOG_USEC=3600000000")
    t.process.send_signal(signal.SIGCONT)
    late.settle()
    t.eq(shown(t, "late")[0], "running", "it was in time")


# ---- over the death of supd


@test
def what_is_said_while_supd_is_dead(t):
    heard = Teller(t, "heard", start_timeout="1h")
    void = Teller(t, "void", start_timeout="4s")
    line = Teller(t, "line", ready="fd:3", start_timeout="1h")
    t.configure(heard.section, void.section, line.section)
    t.start()
    for teller in (heard, void, line):
        teller.wait_began()
    t.crash()
    t.eq(void.do("send READY=1"), "Connection refused", "nobody waits for a supd that is dead")
    line.do("fd 3")
    t.start()
    t.wait_state("line", "running")
    t.eq(shown(t, "heard")[0], "starting", "not ready yet")
    heard.do("send READY=1")
    t.wait_state("heard", "running")
    s = t.wait_state("void", "running")
    t.match(t.log_text(), "void: it may have said READY=1", "that is said")
    t.eq((s["pid"], s["restarts"]), (void.notes()[0]["pid"], 0), "it is taken for ready, not ended")
    t.crash_and_start()
    t.eq({s["state"] for s in t.all().values()}, {"running"}, "readiness is remembered")


def answers(t):
    try:
        return t.call("supd.info")["pid"]
    except (OSError, Failed):
        return None


@test
def what_is_said_while_the_socket_is_kept(t):
    a = Teller(t, "a", "send WATCHDOG_USEC=3600000000", "store x", start_timeout="1h", fd_store=1)
    t.configure(a.section)
    init = t.spawn("--init")
    first = eventually(lambda: answers(t), "supd answers")
    a.wait_began()
    a.settle()
    init.send_signal(signal.SIGSTOP)  # so that no new supd is there too early
    kill(first, signal.SIGKILL)
    eventually(lambda: not is_alive(first), "supd is dead")
    t.eq(a.do("send READY=1\\nSTATUS=kept"), "sent", "somebody keeps it")
    init.send_signal(signal.SIGCONT)
    eventually(lambda: answers(t) not in (None, first), "a new supd")
    t.wait_state("a", "running")
    t.eq((shown(t, "a"), t.status("a")["pid"]), (("running", True, "kept"), a.notes()[0]["pid"]), "it was heard")
    t.eq(t.status("a")["fd-store"], ["x"], "and what it has left is kept, too")
    a.begin("exit 1")
    t.eq(given(a.wait_began(2)), (["x"], [3]), "for its next start")
    t.eq(t.terminate(), 0, "exit status")


class Manager(threading.Thread):
    """Who started supd: takes what comes to its NOTIFY_SOCKET, and counts the sockets, but not pidfds, it is to keep."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.sockets = 0
        self.start()

    def run(self):
        while True:
            text, fds, _, _ = socket.recv_fds(self.socket, 4096, 8)
            self.sockets += b"FDSTORE=1" in text and b"FDNAME=s" in text
            for fd in fds:
                os.close(fd)  # for BARRIER=1, too


@test
def a_supd_that_does_not_get_up_hides_no_loss(t):
    """The new socket is kept once it is recorded that something may be lost, or the next supd would not know."""
    a = Teller(t, "a", start_timeout="2s")
    t.configure(a.section)
    t.start()
    a.wait_began()
    t.crash()
    t.eq(a.do("send READY=1"), "Connection refused", "nobody waits for a supd that is dead")
    os.mkdir(t.path("run", "state.new"))
    manager = Manager(t.path("manager"))
    env = {"NOTIFY_SOCKET": t.path("manager")}
    t.spawn(env=env)
    t.check(t.wait_end() != 0, "one that cannot write its state ends")
    t.match(t.log_text(), "cannot write .*/state", "for that")
    t.eq(manager.sockets, 0, "sockets that it has stored")
    os.rmdir(t.path("run", "state.new"))
    t.start(env=env)
    t.wait_state("a", "running")
    t.match(t.log_text(), "a: it may have said READY=1", "that is said")
    t.eq(t.terminate(), 0, "exit status")
    t.eq(manager.sockets, 1, "sockets that the next one has stored")


@test
def a_live_upgrade_loses_nothing(t):
    a = Teller(t, "a", start_timeout="1h")
    t.configure(a.section)
    t.start()
    a.wait_began()
    a.do("send STATUS=wait")
    a.settle()
    t.eq(t.ctl("upgrade").code, 0, "the upgrade")
    t.eq(shown(t, "a"), ("starting", False, "wait"), "as before")
    a.do("send READY=1")
    t.wait_state("a", "running")
    t.check("READY_LOST" not in t.log_text() and "may have said" not in t.log_text(), "nothing was lost")


if __name__ == "__main__":
    main()
