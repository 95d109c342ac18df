#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks of services that run: how they are looked at, what follows, and what a crash of supd leaves of it."""
import os
import signal
import socket
import sys
import threading
import time

from cgroups import need_cgroups
from harness import main, test
from instance import quote, service
from processes import eventually, is_alive, kill


class Answerer:
    """What a check asks, beside the service: it answers as the test says, and counts."""

    def __init__(self, address):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.answer, self.asked, self.most, self.now = b"", [], 0, 0
        self.lock = threading.Lock()
        self.held = threading.Event()
        self.held.set()
        self.socket = socket.socket(family)
        self.socket.bind(address)
        self.socket.listen(64)
        threading.Thread(target=self.serve, daemon=True).start()

    def url(self, path):
        name = self.socket.getsockname()
        return f"http://unix:{name}:{path}" if isinstance(name, str) else f"http://127.0.0.1:{name[1]}{path}"

    def says(self, status, body="", head=""):
        self.answer = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{head}\r\n{body}".encode()

    def serve(self):
        while True:
            peer = self.socket.accept()[0]
            threading.Thread(target=self.talk, args=(peer,), daemon=True).start()

    def talk(self, peer):
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        with peer:
            self.asked.append(peer.recv(4096))
            self.held.wait()
            with self.lock:  # before it is answered: then the next may come at once
                self.now -= 1
            peer.sendall(self.answer)

    def wait_asked(self, more=1):
        count = len(self.asked) + more
        eventually(lambda: len(self.asked) >= count, "a check has come")


def checked(t, name, check, command=None, **keys):
    """A service that does nothing, with the section check { }."""
    section = service(name, command or t.worker("mark", t.path(name + ".mark"), "for-ever"), **keys)
    lines = "".join(f"        {key.replace('_', '-')} = {value}\n" for key, value in check.items())
    return section.rstrip().removesuffix("}") + "    check {\n" + lines + "    }\n}\n"


def words(*strings):
    return "{" + ", ".join(quote(s) for s in strings) + "}"


def shown(t, name):
    s = t.status(name)
    return s["state"], s["health"], s["health-text"]


def wait_health(t, name, health):
    return t.wait_for(name, lambda s: s["health"] == health, health)


@test
def http_until_it_is_ready_and_after(t):
    web, path = Answerer(("127.0.0.1", 0)), Answerer(t.path("web.sock"))
    web.says(503)
    path.says(200, "all is fine")
    t.configure(
        checked(t, "a", {"http": quote(web.url("/healthz?x=1")), "interval": "50ms", "failures": 2}, ready="check"),
        checked(t, "b", {"http": quote(path.url("/b")), "http_body": "fine", "interval": "50ms", "on_failure": "mark"}),
        t.sleeper("plain"),
    )
    t.start()
    web.wait_asked(3)
    t.eq(shown(t, "a"), ("starting", "starting", "GET /healthz?x=1: 503"), "it is not ready")
    t.match(t.status("a")["reason"], "waiting for a check that succeeds", "what is waited for")
    request = web.asked[0].decode()
    t.match(request, r"\AGET /healthz\?x=1 HTTP/1.1\r\nHost: 127.0.0.1:\d+\r\n", "the question")
    web.says(204)
    t.wait_state("a", "running")
    t.eq(shown(t, "a"), ("running", "healthy", "GET /healthz?x=1: 204"), "it is ready")
    wait_health(t, "b", "healthy")
    t.match(path.asked[0].decode(), r"\AGET /b HTTP/1.1\r\nHost: localhost\r\n", "the question by a path")
    t.eq(shown(t, "plain"), ("running", None, None), "one that has no check")

    first = t.live("a")
    web.says(500)
    s = t.wait_for("a", lambda s: s["restarts"] == 1, "started again")
    t.eq(s["exit"]["signal"], "TERM", "it was ended in order")
    t.match(t.log_text(), r"a: unhealthy: GET /healthz\?x=1: 500, 2 times in a row", "why")
    t.check(not any(is_alive(pid) for pid in first), "the process before is gone")

    path.says(200, "all is lost")
    s = wait_health(t, "b", "unhealthy")
    t.eq((s["state"], s["restarts"]), ("running", 0), "one that is only marked goes on")
    t.eq(s["reason"], "unhealthy: GET /b: 200, body does not match, 3 times in a row", "and says it")
    t.crash_and_start()
    t.eq(t.status("b")["health"], "unhealthy", "what was known is known after a crash of supd")
    path.says(200, "fine again")
    t.eq(wait_health(t, "b", "healthy")["reason"], None, "it is healthy again")


@test
def a_command_is_killed_with_all_it_began(t):
    script = f"echo $$ >>{t.path('pids')}; sleep 1000 & echo $! >>{t.path('pids')}; wait"
    t.configure(
        checked(t, "a", {"command": words("/bin/sh", "-c", script), "timeout": "300ms", "interval": "50ms",
                         "on_failure": "stop"}, restart="always"),
        checked(t, "b", {"command": words("/bin/sh", "-c", "exit 1"), "interval": "50ms", "failures": 1,
                         "on_failure": words("/bin/sh", "-c", f"echo $SUPD_REASON >>{t.path('alarm')}; sleep 0.1")}),
        checked(t, "c", {"command": words("/nowhere/check"), "interval": "50ms", "failures": 1, "on_failure": "mark"}),
    )
    t.start()
    s = t.wait_state("a", "failed")
    t.eq(s["reason"], "unhealthy: /bin/sh: timed out after 300ms, 3 times in a row", "stopped, and not started again")
    pids = [int(pid) for pid in t.read("pids").split()]
    t.eq(len(pids), 6, "three checks")
    eventually(lambda: not any(is_alive(pid) for pid in pids), "nothing is left of them")
    eventually(lambda: os.path.exists(t.path("alarm")) and t.read("alarm"), "on-failure has run")
    wait_health(t, "b", "unhealthy")
    t.eq(t.read("alarm"), "unhealthy: /bin/sh: exit 1\n", "once, with the reason")
    t.match(wait_health(t, "c", "unhealthy")["reason"], "exec /nowhere/check: No such file", "one that is not there")


@test
def a_check_outlives_supd_and_is_not_run_twice(t):
    gate, notes = t.path("gate"), t.path("notes")
    for fifo in (gate, t.path("other")):
        os.mkfifo(fifo)
    script = f"echo $$ >>{notes}; read x <{gate}"
    alarm = f"echo $$ >>{t.path('alarm')}; read x <{t.path('other')}; exit 1"
    t.configure(
        checked(t, "a", {"command": words("/bin/sh", "-c", script), "timeout": "1h", "interval": "1h"}),
        checked(t, "b", {"command": "/bin/true", "max_memory": 1, "interval": "50ms",
                         "on_failure": words("/bin/sh", "-c", alarm)}),
    )
    t.start()

    def began(name="notes"):
        return t.read(name).split() if os.path.exists(t.path(name)) else []

    eventually(began, "the check runs")
    eventually(lambda: began("alarm"), "on-failure's command runs")
    check, alarm = int(began()[0]), int(began("alarm")[0])
    t.crash_and_start()
    t.eq((began(), began("alarm")), ([str(check)], [str(alarm)]), "no other was begun")
    t.check(is_alive(check) and is_alive(alarm), "they go on")
    t.eq(t.ctl("upgrade").code, 0, "upgrade")
    t.eq((began(), is_alive(check)), ([str(check)], True), "the same over an upgrade")
    for fifo in (gate, t.path("other")):
        with open(fifo, "w") as f:
            f.write("x\n")
    eventually(lambda: not is_alive(alarm), "on-failure's command has ended")
    t.match(wait_health(t, "b", "unhealthy")["health-text"] or "", "^$|memory", "it is not taken for a check")
    t.eq(began("alarm"), [str(alarm)], "it was run once")
    eventually(lambda: t.status("a")["health-text"], "its end was seen")
    t.eq(t.ctl("restart", "a").code, 0, "restart")
    eventually(lambda: len(began()) == 2, "a check of the next life")
    second = int(began()[1])
    t.eq(t.ctl("stop", "a").code, 0, "stop")
    t.check(not is_alive(second), "a check ends before its service has stopped")


@test
def never_two_of_one_service(t):
    lock, done = t.path("lock"), t.path("done")
    script = f"mkdir {lock} || echo double >>{done}; sleep 0.03; rmdir {lock}; echo one >>{done}"
    t.configure(checked(t, "a", {"command": words("/bin/sh", "-c", script), "timeout": "1h", "interval": "1ms"}))
    t.start()

    def count():
        return len(t.read("done").split()) if os.path.exists(done) else 0

    for i in range(10):
        before = count()
        eventually(lambda: count() > before, "another check")
        time.sleep(0.007 * i)  # a moment of the next one
        t.crash_and_start()
    before = count()
    eventually(lambda: count() > before + 1, "checks go on")
    t.check("double" not in t.read("done"), "two at a time")
    t.eq(t.status("a")["starts"], 1, "the service itself went on")


@test
def a_start_that_never_gets_healthy(t):
    web = Answerer(("127.0.0.1", 0))
    web.says(503)
    check = {"http": quote(web.url("/")), "interval": "50ms"}
    t.configure(checked(t, "a", check, ready="check", start_timeout="1s", restart="no"))
    t.start()
    t.eq(t.wait_state("a", "failed")["reason"], "start timed out after 1s: GET /: 503", "why")
    t.eq((t.live("a"), t.status("a")["health"]), ([], None), "nothing is left of it")


@test(root=True)
def one_that_is_paused_is_let_be(t):
    need_cgroups()
    web = Answerer(("127.0.0.1", 0))
    web.says(200)
    check = {"http": quote(web.url("/")), "interval": "20ms", "failures": 1}
    other = {**check, "http": quote(web.url("/other")), "on_failure": "mark"}
    t.configure(checked(t, "a", check), checked(t, "b", other))
    t.start()
    wait_health(t, "a", "healthy")
    t.eq(t.ctl("pause", "a").code, 0, "pause")
    web.says(503)
    wait_health(t, "b", "unhealthy")
    asked = len([a for a in web.asked if a.startswith(b"GET / ")])
    web.wait_asked(10)
    t.check(len([a for a in web.asked if a.startswith(b"GET / ")]) <= asked + 1, "it is not asked")
    t.eq(shown(t, "a")[:2], ("running", "healthy"), "nothing is held against it")
    t.eq(t.ctl("resume", "a").code, 0, "resume")
    t.wait_for("a", lambda s: s["restarts"] >= 1, "it is looked at again")


@test
def so_many_at_a_time(t):
    web = Answerer(("127.0.0.1", 0))
    web.says(200)
    web.held.clear()
    names = [f"s{i}" for i in range(6)]
    t.configure(
        "check-slots = 2\n",
        *(checked(t, n, {"http": quote(web.url("/" + n)), "interval": "20ms", "timeout": "1h"}) for n in names),
    )
    t.start()
    eventually(lambda: len(web.asked) == 2, "as many checks as may have come")
    t.eq(t.status("s0")["state"], "running", "supd answers meanwhile")
    web.held.set()
    for name in names:
        wait_health(t, name, "healthy")
    t.check(web.most <= 2, f"{web.most} at a time")


@test
def connections_and_what_is_used(t):
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    busy = [sys.executable, "-IS", "-c", "while True: pass"]
    t.configure(
        checked(t, "tcp", {"tcp": quote(f"127.0.0.1:{port}"), "interval": "50ms", "on_failure": "mark"}),
        checked(t, "big", {"max_memory": "10K", "interval": "50ms", "on_failure": "stop"}),
        checked(t, "busy", {"max_cpu": quote("1%"), "interval": "200ms", "on_failure": "stop"}, busy),
        checked(t, "young", {"tcp": quote("127.0.0.1:1"), "interval": "20ms", "start_period": "1h"}),
    )
    t.start()
    wait_health(t, "tcp", "healthy")
    listener.close()
    s = wait_health(t, "tcp", "unhealthy")
    t.eq(s["health-text"], f"tcp 127.0.0.1:{port}: Connection refused", "nobody is there")
    t.match(t.wait_state("big", "failed")["reason"], "unhealthy: memory .*, more than max-memory 10K", "memory")
    t.match(t.wait_state("busy", "failed")["reason"], "unhealthy: CPU .*, more than max-cpu 1%", "CPU time")
    t.eq(shown(t, "young"), ("running", "starting", "tcp 127.0.0.1:1: Connection refused"), "it has time to start")
    stopped = t.live("tcp")[0]
    kill(stopped, signal.SIGKILL)
    t.wait_for("tcp", lambda s: s["restarts"] == 1 and s["health"] != "healthy", "of the next life nothing is known")
    t.configure(*(service(n, t.worker("mark", t.path(n + ".mark"), "for-ever")) for n in ("tcp", "young")))
    t.eq(t.ctl("reread").code, 0, "a configuration without checks")
    t.eq([shown(t, n) for n in ("tcp", "young")], [("running", None, None)] * 2, "they run on and are not looked at")
    t.eq(t.status("young")["starts"], 1, "none was started again for that")


main()
