#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Where suplog hands logs over: a real rsyslog, a disk that hangs, supd's own standard output of every kind."""
import json
import os
import signal
import subprocess

from harness import main, test
from instance import service
from mounts import DeadServer, own_dev
from processes import eventually, kill
from real import program

LINES = 3000

RSYSLOG = """
module(load="imuxsock" SysSock.Name="/dev/log" SysSock.RateLimit.Interval="0"
       SysSock.UseSpecialParser="off" SysSock.ParseHostname="on")
template(name="fields" type="list") {{
    constant(value="{{")
    property(outname="priority" name="syslogseverity" format="jsonf")
    constant(value=",")
    property(outname="facility" name="syslogfacility-text" format="jsonf")
    constant(value=",")
    property(outname="host" name="hostname" format="jsonf")
    constant(value=",")
    property(outname="time" name="timereported" dateFormat="rfc3339" format="jsonf")
    constant(value=",")
    property(outname="service" name="app-name" format="jsonf")
    constant(value=",")
    property(outname="pid" name="procid" format="jsonf")
    constant(value=",")
    property(outname="version" name="protocol-version" format="jsonf")
    constant(value=",")
    property(outname="message" name="msg" format="jsonf")
    constant(value="}}\\n")
}}
global(workDirectory="{dir}" maxMessageSize="128k")
action(type="omfile" file="{dir}/messages" template="fields")
"""


class Rsyslog:
    """Debian's, with nothing but /dev/log."""

    def __init__(self, t):
        self.t = t
        self.program = program("rsyslogd")
        own_dev()
        self.conf = t.write("rsyslog.conf", RSYSLOG.format(dir=t.dir))
        self.process = None

    def start(self):
        with open(self.t.path("rsyslog.log"), "ab") as log:
            self.process = subprocess.Popen(
                [self.program, "-n", "-f", self.conf, "-i", self.t.path("rsyslog.pid")], stdout=log, stderr=log)
        eventually(lambda: os.path.exists("/dev/log"), "rsyslog has its socket")

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def messages(self, name=None):
        found = [json.loads(line) for line in self.t.read("messages").splitlines(keepends=True) if line.endswith("\n")]
        return [m for m in found if name in (None, m["service"])]

    def texts(self, name):
        return [m["message"] for m in self.messages(name)]


def numbers(count, first=0):
    return ["%08d %s" % (n, "x" * (n * 7919 % 120)) for n in range(first, count)]


@test(root=True)
def rsyslog(t):
    """RFC 5424 as it takes it: each field in its place, whatever is in a line."""
    receiver = Rsyslog(t)
    receiver.start()
    lines = ["plain", "<3>an error", "quotes \" and \\", "é and ☃", "x" * 60000, "last"]
    t.write("lines", "\n".join(lines) + "\n")
    t.configure(
        service("web", ["/bin/sh", "-c", f"cat {t.path('lines')}; echo to err >&2; exec sleep 1000000"], log="syslog",
                log_error="syslog", log_prefix="p: "),
        service("a" * 60, t.worker("print", "a long name", "for-ever"), log="syslog"),
    )
    t.start()
    pid = t.wait_state("web", "running")["pid"]
    eventually(lambda: len(receiver.messages("web")) > len(lines), "all messages are there")
    found = receiver.messages("web")
    out = [m for m in found if m["message"] != "p: to err"]
    t.eq([m["message"] for m in out], ["p: " + line.removeprefix("<3>") for line in lines], "the messages, in order")
    t.eq([m["priority"] for m in out], ["6", "3", "6", "6", "6", "6"], "their priorities")
    t.eq([m["priority"] for m in found if m not in out], ["4"], "of standard error")
    for message in found:
        t.eq((message["facility"], message["pid"], message["version"], message["host"]),
             ("daemon", str(pid), "1", os.uname().nodename), "facility, pid, version and host")
        t.match(message["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}", "the time")
    eventually(lambda: receiver.texts("a" * 48) == ["a long name"], "a name of more than 48 characters is cut")
    t.terminate()
    receiver.stop()


@test(root=True)
def rsyslog_is_away(t):
    """Nothing blocks while it is, a log in a file goes on, and all is there once it is back."""
    receiver = Rsyslog(t)
    gate = t.gate("gate")
    t.configure(
        service("web", t.worker("gate", gate, "gate", gate, "gate", gate, "for-ever"), log="syslog"),
        service("other", t.worker("numbers", 100, "for-ever"), log=t.path("other.txt"), log_max_size="10M"),
    )
    t.start()
    t.open_gate(gate, "numbers", LINES)
    eventually(lambda: "cannot write its log to the system log" in t.log_text(), "it is told")
    eventually(lambda: t.read("other.txt").count("\n") == 100, "the other goes on")
    receiver.start()
    eventually(lambda: len(receiver.texts("web")) >= LINES, "what has waited is there")
    receiver.stop()
    t.open_gate(gate, "numbers", LINES)
    eventually(lambda: t.log_text().count("cannot write its log to the system log") == 2, "it is told again")
    receiver.start()
    eventually(lambda: len(receiver.texts("web")) >= 2 * LINES, "all is there")
    eventually(lambda: t.log_text().count("its log is written to the system log (/dev/log) again") == 2, "that it goes on is told")
    receiver.stop()
    receiver.start()
    t.open_gate(gate, "numbers", LINES)
    eventually(lambda: len(receiver.texts("web")) >= 3 * LINES, "what came after it was started again is there")
    t.eq(receiver.texts("web"), numbers(LINES) * 3, "the messages, in order")
    t.eq(t.log_text().count("cannot write"), 2, "there was nothing to tell of this time")
    t.terminate()
    receiver.stop()


@test(root=True)
def rsyslog_hangs(t):
    """It takes nothing and has not gone: the others' logs go on, and supd ends, and says what it leaves."""
    receiver = Rsyslog(t)
    receiver.start()
    t.configure(
        service("web", t.worker("numbers", LINES, "for-ever"), log="syslog"),
        service("other", t.worker("gate", t.gate("gate"), "for-ever"), log=t.path("other.txt"), log_max_size="10M"),
    )
    kill(receiver.process.pid, signal.SIGSTOP)
    t.start()
    t.open_gate(t.path("gate"), "numbers", 100)
    eventually(lambda: t.read("other.txt").count("\n") == 100, "the other goes on")
    eventually(lambda: t.call("log.pending", names=["web"]) > 60000, "its own waits")
    t.eq(t.terminate(), 0, "exit status of supd")
    t.match(t.log_text(), r"web: the last \d+ bytes of its output could not be written to its log", "what is left is told")
    kill(receiver.process.pid, signal.SIGCONT)
    receiver.stop()
    found = receiver.texts("web")
    t.eq(found, numbers(len(found)), "what was handed over is there, in order")


def beside_a_dead_disk(t, takes):
    dead = DeadServer(t.path("dead"), takes)
    gate = t.gate("gate")
    t.configure(
        service("hangs", t.worker("numbers", 10, "for-ever"), log=t.path("dead/log"), log_max_size="10M"),
        service("other", t.worker("gate", gate, "gate", gate, "for-ever"), log=t.path("other.txt"), log_max_size="10M"),
        service("ends", t.worker("mark", t.path("ends.mark"), "gate", t.gate("end"), "exit", 0), log=t.path("ends.txt"),
                log_max_size="10M", restart_delay="0"),
    )
    t.start()
    for name in ("hangs", "other", "ends"):
        t.wait_state(name, "running")
    t.open_gate(gate, "numbers", LINES)
    eventually(lambda: t.read("other.txt").count("\n") == LINES, "the other's log goes on")
    for starts in range(1, 6):
        eventually(lambda starts=starts: len(t.marks("ends")) == starts, "it is started again")
        t.open_gate(t.path("end"))
    t.crash_and_start()
    t.open_gate(gate, "numbers", LINES)
    eventually(lambda: t.read("other.txt").count("\n") == 2 * LINES, "after a crash of supd, too")
    return dead


@test(root=True)
def a_disk_hangs(t):
    """It hangs its own log alone; others are started again, and the end comes in time, and says what was left."""
    dead = beside_a_dead_disk(t, takes=False)
    t.eq(t.terminate(), 0, "exit status of supd")
    t.match(t.log_text(), r"hangs: the last \d+ bytes of its output could not be written to its log", "what was left is told")
    dead.close()


@test(root=True)
def a_disk_hangs_for_ever(t):
    """The same where not even SIGKILL gets through."""
    dead = beside_a_dead_disk(t, takes=True)
    t.eq(t.terminate(), 0, "exit status of supd")
    t.match(t.log_text(), r"hangs: the last \d+ bytes of its output could not be written to its log", "what was left is told")
    t.check(dead.asked > 0, "the disk was asked")
    dead.close()


if __name__ == "__main__":
    main()
