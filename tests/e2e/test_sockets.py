#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Sockets that supd opens for services: over restarts, reloads, upgrades and the death of supd nobody is refused."""
import json
import os
import random
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time

from harness import main, test
from instance import service
from processes import DEADLINE, Failed, eventually, is_alive, kill, skip

HERE = os.path.dirname(os.path.abspath(__file__))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def listener(t, name, listen, *what, **keys):
    command = [sys.executable, "-IS", os.path.join(HERE, "listener.py"), t.path(name + ".notes"), *what]
    return service(name, command, listen=listen, **keys)


def notes(t, name):
    return [json.loads(line) for line in t.read(name + ".notes").splitlines()]


def connect(address):
    """address: a port, or a path; an abstract one begins with NUL."""
    if isinstance(address, int):
        return socket.create_connection(("127.0.0.1", address), DEADLINE)
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(DEADLINE)
    try:
        s.connect(address)
    except OSError:
        s.close()
        raise
    return s


def begin(address, text="x"):
    s = connect(address)
    s.sendall(text.encode())
    return s


def finish(s):
    """(pid, text) of the answer."""
    with s:
        answer = b""
        while data := s.recv(4096):
            answer += data
    pid, text = answer.decode().split(" ", 1)
    return int(pid), text


def ask(address, text="x"):
    return finish(begin(address, text))


def refused(address):
    try:
        connect(address).close()
    except (ConnectionRefusedError, FileNotFoundError):
        return True
    return False


def socket_inodes(pid):
    """Of the sockets that a process has open."""
    found = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{fd}")
        except FileNotFoundError:
            continue
        if target.startswith("socket:["):
            found.add(int(target[8:-1]))
    return found


def inodes(t, name):
    """What the latest process of a service was given."""
    return [s["inode"] for s in notes(t, name)[-1]["sockets"]]


def wait_serves(t, name, count):
    """Until the count-th process of the service has begun."""
    eventually(lambda: len(notes(t, name)) >= count, f"process {count} of {name}")
    return notes(t, name)[count - 1]


# ---- what a process is given


@test
def every_kind_is_handed_over(t):
    port, other = free_port(), free_port()
    listen = [
        f"tcp:127.0.0.1:{port},name=web,backlog=7",
        f"udp:127.0.0.1:{other}",
        f"unix:{t.path('stream')},mode=0640,name=admin",
        f"unix-dgram:{t.path('dgram')},nonblocking",
        f"unix-seqpacket:{t.path('packet')},mode=0600",
        f"unix:@{t.path('abstract')}",
    ]
    t.configure(listener(t, "s", listen, "serve", environment=["LISTEN_FDS=99"]))
    t.start()
    told = wait_serves(t, "s", 1)
    pid = t.wait_state("s", "running")["pid"]
    t.eq(
        (told["pid"], told["LISTEN_PID"], told["LISTEN_FDS"], told["LISTEN_FDNAMES"]),
        (pid, str(pid), "6", "web:s:admin:s:s:s"),
        "what it was told",
    )
    t.eq(
        [(s["family"], s["type"], s["name"], s["accepts"]) for s in told["sockets"]],
        [
            ("AF_INET", "SOCK_STREAM", ["127.0.0.1", port], 1),
            ("AF_INET", "SOCK_DGRAM", ["127.0.0.1", other], 0),
            ("AF_UNIX", "SOCK_STREAM", t.path("stream"), 1),
            ("AF_UNIX", "SOCK_DGRAM", t.path("dgram"), 0),
            ("AF_UNIX", "SOCK_SEQPACKET", t.path("packet"), 1),
            ("AF_UNIX", "SOCK_STREAM", "\0" + t.path("abstract"), 1),
        ],
        "its sockets",
    )
    t.eq([s["nonblocking"] for s in told["sockets"]], [False] * 3 + [True] + [False] * 2, "nonblocking")
    t.check(not any(s["cloexec"] for s in told["sockets"]), "they go on to its own children")
    t.eq(
        [stat.S_IMODE(os.stat(t.path(p)).st_mode) for p in ("stream", "dgram", "packet")],
        [0o640, 0o666, 0o600],
        "modes",
    )
    for address in (port, t.path("stream"), "\0" + t.path("abstract")):
        t.eq(ask(address, "hello"), (pid, "hello"), f"an answer at {address!r}")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(DEADLINE)
        s.sendto(b"hello", ("127.0.0.1", other))
        t.eq(s.recv(100), b"%d hello" % pid, "an answer by udp")
    held = socket_inodes(t.process.pid)
    t.check(set(inodes(t, "s")) <= held, "supd has them open too")
    lock = os.stat(os.path.join(t.run_dir, "lock")).st_ino
    t.check(
        lock not in [os.stat(f"/proc/{pid}/fd/{fd}").st_ino for fd in os.listdir(f"/proc/{pid}/fd")],
        "and the service nothing else of supd's",
    )
    status = t.status("s")["sockets"]
    t.eq(
        [(s["listen"], s["name"], s["open"], s["error"]) for s in status[:2]],
        [(f"tcp:127.0.0.1:{port}", "web", True, None), (f"udp:127.0.0.1:{other}", "s", True, None)],
        "status",
    )


@test
def ipv6(t):
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
            port = s.getsockname()[1]
    except OSError:
        skip("no IPv6 here")
    t.configure(listener(t, "s", [f"tcp:[::1]:{port}"], "serve"), listener(t, "any", f"tcp:*:{free_port()}", "serve"))
    t.start()
    told = wait_serves(t, "s", 1)
    t.eq([told["sockets"][0]["family"], told["sockets"][0]["name"]], ["AF_INET6", ["::1", port]], "the socket")
    t.check(refused(port), "IPv4 is another address")
    everywhere = wait_serves(t, "any", 1)["sockets"][0]["name"][1]
    t.eq(ask(everywhere)[1], "x", "an IPv4 client of *")


@test(root=True)
def owner_of_a_path(t):
    t.configure(t.sleeper("s", listen=[f"unix:{t.path('sock')},user=nobody,group=4,mode=0606"]))
    t.start()
    t.wait_state("s", "running")
    st = os.stat(t.path("sock"))
    t.eq((st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)), (65534, 4, 0o606), "owner and mode")


@test
def wrong_entries_are_named(t):
    t.configure(
        service("a", "x", listen="tcp:80"),
        service("b", "x", listen=["unix:/x,mod=0600"]),
        service("c", "x", listen=["unix:/x,user=nosuchuser"]),
        service("d", "x", start="on-demand"),
        service("e", "x", listen=["tcp:127.0.0.1:0"]),
        service("f", "x", listen=["unix:/x"], start="on-demnd"),
    )
    result = t.run("--check")
    t.eq(result.code, 1, "exit status")
    lines = result.err.splitlines()
    for number, pattern in (
        (3, r'service "a": key .listen.: .tcp:80.: it has no address'),
        (7, r"did you mean .mode."),
        (11, r"no user .nosuchuser."),
        (13, r'service "d": start = on-demand needs'),
        (19, r"'0' is not a port"),
        (24, r"did you mean .on-demand."),
    ):
        t.check(any(re.search(rf"supd\.conf:{number}: .*{pattern}", l) for l in lines), f"{pattern} in {result.err}")


# ---- restarts


@test
def nobody_is_refused_while_it_is_restarted(t):
    port = free_port()
    t.configure(
        listener(t, "s", [f"tcp:127.0.0.1:{port}", f"unix:{t.path('sock')}"], "serve", restart_delay="500ms"),
    )
    t.start()
    first = wait_serves(t, "s", 1)["pid"]
    t.wait_state("s", "running")
    kill(first, signal.SIGSTOP)
    waiting = [begin(address) for address in (port, t.path("sock"))]
    kill(first, signal.SIGKILL)
    t.wait_state("s", "backoff")
    waiting += [begin(address) for address in (port, t.path("sock"))]
    second = wait_serves(t, "s", 2)["pid"]
    t.eq([finish(s) for s in waiting], [(second, "x")] * 4, "answered by the next process")
    t.eq(inodes(t, "s"), [s["inode"] for s in notes(t, "s")[0]["sockets"]], "the same sockets")
    t.eq(t.ctl("restart", "s").code, 0, "restart")
    t.eq(ask(port)[0], wait_serves(t, "s", 3)["pid"], "and by the one after a restart by command")
    t.eq(len(set(map(tuple, ([s["inode"] for s in n["sockets"]] for n in notes(t, "s"))))), 1, "always the same")


@test
def a_stopped_service_refuses(t):
    port = free_port()
    listen = [f"tcp:127.0.0.1:{port}", f"unix:{t.path('sock')}"]
    t.configure(
        listener(t, "s", listen, "serve"),
        listener(t, "off", [f"unix:{t.path('off')}"], "serve", enabled=False),
        service("brief", t.worker("exit", "3"), listen=[f"unix:{t.path('brief')}"], restart="no"),
    )
    t.start()
    t.wait_state("s", "running")
    t.wait_state("brief", "failed")
    t.check(not os.path.exists(t.path("off")), "one that is not enabled has none")
    t.check(not os.path.exists(t.path("brief")), "nor one that has failed for good")
    t.eq(t.ctl("stop", "s").code, 0, "stop")
    t.check(refused(port) and not os.path.exists(t.path("sock")), "closed")
    t.eq([s["open"] for s in t.status("s")["sockets"]], [False, False], "status")
    t.eq(t.ctl("start", "s").code, 0, "start")
    t.eq(ask(port)[0], t.status("s")["pid"], "open again")
    t.eq(t.terminate(), 0, "the end of supd")
    t.check(refused(port) and not os.path.exists(t.path("sock")), "closed at the end")


@test
def a_taken_address_is_a_failed_start(t):
    with socket.socket() as holder, socket.socket(socket.AF_UNIX) as other:
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        other.bind(t.path("sock"))
        other.listen()
        t.write("plain", "")
        t.configure(
            listener(t, "tcp", [f"tcp:127.0.0.1:{port}"], "serve", restart_delay_max="200ms"),
            listener(t, "path", [f"unix:{t.path('sock')}"], "serve", restart_delay_max="200ms"),
            listener(t, "plain", [f"unix:{t.path('plain')}"], "serve", restart="no"),
            listener(t, "idle", [f"tcp:127.0.0.1:{port}"], "serve", start="on-demand", restart="no"),
        )
        t.start()
        s = t.wait_state("tcp", "backoff")
        t.match(s["reason"], rf"^listen tcp:127.0.0.1:{port}: Address already in use$", "the reason")
        t.match(t.wait_state("path", "backoff")["reason"], "another process listens there", "the reason")
        t.match(t.wait_state("plain", "failed")["reason"], "is no socket: remove it", "the reason")
        t.match(t.wait_state("idle", "failed")["reason"], "Address already in use", "the reason")
        t.eq(t.status("plain")["exit"], None, "no process was there")
        other.settimeout(0)
        try:
            other.accept()
            t.check(False, "the one who listens was bothered")
        except BlockingIOError:
            pass
    t.eq(ask(wait_serves(t, "tcp", 1)["sockets"][0]["name"][1])[1], "x", "once it is free")
    # The path is stale now, and ours by its owner.
    t.eq(wait_serves(t, "path", 1)["sockets"][0]["name"], t.path("sock"), "a stale path is used again")
    t.eq(t.read("plain"), "", "a file is left alone")


@test
def a_path_that_was_removed_comes_back(t):
    t.configure(listener(t, "s", [f"unix:{t.path('sock')}"], "serve"))
    t.start()
    wait_serves(t, "s", 1)
    os.unlink(t.path("sock"))
    t.eq(t.ctl("restart", "s").code, 0, "restart")
    t.eq(ask(t.path("sock"))[0], t.status("s")["pid"], "a new socket")
    t.crash()
    os.unlink(t.path("sock"))
    t.start()
    t.eq(t.ctl("restart", "s").code, 0, "restart")
    t.eq(ask(t.path("sock"))[0], t.status("s")["pid"], "and after the death of supd")
    t.crash()
    t.configure(listener(t, "s", [f"unix:{t.path('sock')},mode=0600"], "serve"))
    t.start()
    t.eq(stat.S_IMODE(os.stat(t.path("sock")).st_mode), 0o600, "another mode since supd died")
    t.eq(ask(t.path("sock"))[0], t.status("s")["pid"], "the same process")


# ---- reload and upgrade


@test
def reload_keeps_what_stays(t):
    ports = [free_port() for _ in range(3)]
    keep, drop, new = (f"tcp:127.0.0.1:{p}" for p in ports)
    path = f"unix:{t.path('sock')}"
    t.configure(listener(t, "s", [keep, drop, path], "serve"), listener(t, "gone", [f"unix:{t.path('gone')}"], "serve"))
    t.start()
    pid = wait_serves(t, "s", 1)["pid"]
    t.wait_all("running")
    before = inodes(t, "s")
    t.configure(listener(t, "s", [path + ",mode=0600", keep + ",name=k", new], "serve"))
    t.eq(t.ctl("reread").code, 0, "reread")
    t.eq(t.status("s")["pid"], pid, "the process goes on")
    t.eq(t.status("s")["config-stale"], True, "and is stale")
    t.eq(stat.S_IMODE(os.stat(t.path("sock")).st_mode), 0o600, "the mode is changed at once")
    t.check(not os.path.exists(t.path("gone")), "that of a removed service is gone")
    held = socket_inodes(t.process.pid)
    t.check(before[0] in held and before[2] in held and before[1] not in held, "kept, closed")
    waiting = begin(ports[2])  # nobody serves it yet, and nobody is refused
    t.eq(t.ctl("restart", "s").code, 0, "restart")
    told = wait_serves(t, "s", 2)
    t.eq([s["inode"] for s in told["sockets"]][:2], [before[2], before[0]], "the same ones in their new order")
    t.eq(told["LISTEN_FDNAMES"], "s:k:s", "names")
    t.eq(finish(waiting), (told["pid"], "x"), "the new one")
    t.check(refused(ports[1]), "the old one")


@test
def an_upgrade_keeps_them(t):
    port = free_port()
    t.configure(
        listener(t, "s", [f"tcp:127.0.0.1:{port}"], "serve"),
        listener(t, "idle", [f"unix:{t.path('sock')}"], "serve", start="on-demand"),
    )
    t.start()
    pid = wait_serves(t, "s", 1)["pid"]
    supd = t.process.pid
    before = inodes(t, "s")
    held = len(os.listdir(f"/proc/{supd}/fd"))
    kill(pid, signal.SIGSTOP)
    waiting = begin(port)
    for _ in range(3):
        t.eq(t.ctl("upgrade").code, 0, "upgrade")
    t.check(before[0] in socket_inodes(supd), "the same socket")
    eventually(lambda: len(os.listdir(f"/proc/{supd}/fd")) <= held, "no descriptor is left over")
    kill(pid, signal.SIGKILL)
    t.eq(finish(waiting)[0], wait_serves(t, "s", 2)["pid"], "who waited is answered")
    t.eq(t.status("idle")["state"], "waiting", "the other one still waits")
    t.eq(ask(t.path("sock"))[0], wait_serves(t, "idle", 1)["pid"], "and is started")


# ---- supd dies


@test
def they_are_taken_back_from_the_process(t):
    port = free_port()
    listen = [f"unix:{t.path('sock')}", f"tcp:127.0.0.1:{port}", f"udp:127.0.0.1:{port}"]
    t.configure(listener(t, "s", listen, "serve"))
    t.start()
    pid = wait_serves(t, "s", 1)["pid"]
    t.wait_state("s", "running")
    before = inodes(t, "s")
    kill(pid, signal.SIGSTOP)
    waiting = [begin(port), begin(t.path("sock"))]
    t.crash()
    waiting.append(begin(port))
    t.start()
    t.eq(t.status("s")["pid"], pid, "the process goes on")
    t.check(set(before) <= socket_inodes(t.process.pid), "supd has the same sockets")
    kill(pid, signal.SIGKILL)
    second = wait_serves(t, "s", 2)["pid"]
    t.eq([finish(s)[0] for s in waiting], [second] * 3, "all are answered by the next process")
    t.eq(inodes(t, "s"), before, "the same sockets")
    # Stopped while supd is away: nothing is left to be taken.
    t.crash()
    kill(second, signal.SIGKILL)
    eventually(lambda: not is_alive(second), "it has ended")
    t.check(refused(port), "nobody is there")
    t.start()
    t.eq(ask(port)[0], wait_serves(t, "s", 3)["pid"], "opened again, the stale path too")
    t.eq(ask(t.path("sock"))[1], "x", "the path")


@test
def without_the_right_to_take_them_back(t):
    """A process that nobody may look into keeps the address until its end."""
    if not shutil.which("setpriv"):
        skip("setpriv is not installed")
    under = ("setpriv", "--bounding-set", "-sys_ptrace") if os.geteuid() == 0 else ()
    port = free_port()
    t.configure(listener(t, "s", [f"tcp:127.0.0.1:{port}"], "serve", "private"))

    def start():
        t.spawn(under=under)
        eventually(t.answers, "supd answers")

    start()
    pid = wait_serves(t, "s", 1)["pid"]
    t.wait_state("s", "running")
    t.crash()
    start()
    (told,) = t.status("s")["sockets"]
    t.eq((told["open"], told["error"]), (False, "Address already in use"), "it is said")
    t.match(t.log_text(), f"tcp:127.0.0.1:{port} cannot be taken back from process {pid}: Operation", "the log")
    t.eq(ask(port)[0], pid, "the process serves on")
    t.eq(t.ctl("restart", "s").code, 0, "restart")
    t.eq(ask(port)[0], t.status("s")["pid"], "the next process has a socket again")
    t.eq(t.status("s")["sockets"][0]["open"], True, "and so has supd")


class Init:
    """supd under --init, which keeps its descriptors."""

    def __init__(self, t):
        self.t = t
        with open(t.log, "ab") as log:
            t.process = subprocess.Popen(
                [os.environ["SUPD"], "--init", "-c", t.conf, "-r", t.run_dir], stdout=log, stderr=log, cwd=t.dir
            )
        self.pid = eventually(self.answer, "supd answers")

    def answer(self):
        try:
            return self.t.call("supd.info")["pid"]
        except (OSError, Failed):
            return None

    def crash(self):
        """Another supd is there when this returns."""
        old = self.pid
        kill(old, signal.SIGKILL)
        self.pid = eventually(lambda: self.answer() not in (None, old) and self.answer(), "the next supd")


@test
def the_fd_store_keeps_them(t):
    """There is no process that could give them back."""
    port = free_port()
    listen = [f"tcp:127.0.0.1:{port}", f"unix:{t.path('sock')}"]
    t.configure(
        service("s", t.worker("exit", "1"), listen=listen, restart_delay="1h", restart_delay_max="1h"),
        listener(t, "gone", [f"unix:{t.path('gone')}"], "serve"),
    )
    init = Init(t)
    t.wait_state("s", "backoff")
    wait_serves(t, "gone", 1)
    t.eq(t.ctl("stop", "gone").code, 0, "stop")
    held = socket_inodes(init.pid)
    waiting = [begin(port), begin(t.path("sock"))]
    for _ in range(3):
        init.crash()
        waiting += [begin(port), begin(t.path("sock"))]
    t.eq(t.status("s")["state"], "backoff", "the service")
    t.check(len(held & socket_inodes(init.pid)) >= 2, "the same sockets")
    t.configure(listener(t, "s", listen, "serve"))
    t.eq(t.ctl("reread").code, 0, "reread")
    t.eq(t.ctl("start", "s").code, 0, "start")
    pid = wait_serves(t, "s", 1)["pid"]
    t.eq([finish(s)[0] for s in waiting], [pid] * len(waiting), "all are answered")
    t.eq(t.ctl("stop", "s").code, 0, "stop")
    eventually(lambda: refused(port), "closed by supd, and a moment later by its keeper")
    t.eq(t.terminate(), 0, "the end")


class Load:
    """Clients that ask again and again, with a pause of so many seconds or none; a single failure is one too many."""

    def __init__(self, address, clients, request, pause=0):
        self.address, self.request, self.pause = address, request, pause
        self.failures, self.answers = [], 0
        self.lock, self.over = threading.Lock(), threading.Event()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def run(self):
        while not self.over.is_set():
            try:
                self.request(self.address)
                failure = None
            except Exception as error:  # pylint: disable=broad-except
                failure = repr(error)
            with self.lock:
                self.answers += failure is None
                if failure:
                    self.failures.append(failure)
                    return
            if self.pause:
                self.over.wait(self.pause)

    def wait(self, answers):
        eventually(lambda: self.failures or self.answers >= answers, f"{answers} answers")

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join(DEADLINE)
        return self.failures


@test
def nobody_is_refused_whatever_dies(t):
    """supd is killed again and again, with the service being restarted meanwhile."""
    port = free_port()
    seed = random.randrange(1 << 32)
    dice = random.Random(seed)
    t.configure(listener(t, "s", [f"tcp:127.0.0.1:{port}"], "serve", restart_delay="20ms", restart_delay_max="20ms"))
    init = Init(t)
    wait_serves(t, "s", 1)
    load = Load(port, 4, ask, pause=0.005)  # seconds may pass until the next supd
    for _ in range(8):
        answered = load.answers
        t.ctl("restart", "--no-wait", "s")
        time.sleep(dice.random() * 0.1)  # anywhere in what the restart does
        init.crash()
        load.wait(answered + 10)
    t.eq(load.end()[:3], [], f"failed (seed {seed}) after {load.answers} answers")
    t.check(len(notes(t, "s")) > 4, f"{len(notes(t, 's'))} processes have served")
    t.eq(t.terminate(), 0, "the end")


# ---- start = on-demand


@test
def started_by_the_first_connection(t):
    port = free_port()
    t.configure(
        listener(t, "s", [f"tcp:127.0.0.1:{port}", f"unix:{t.path('sock')}"], "once", start="on-demand"),
        listener(t, "udp", [f"udp:127.0.0.1:{port}"], "once", start="on-demand"),
    )
    t.start()
    s = t.wait_state("s", "waiting")
    t.eq((s["desired"], s["pid"], s["starts"]), ("up", None, 0), "no process")
    t.eq(s["reason"], f"waiting for a connection on tcp:127.0.0.1:{port} and 1 more", "the reason")
    t.eq(t.live(), [], "nothing runs")
    for count, address in enumerate((port, t.path("sock"), port), 1):
        pid, _ = ask(address)
        t.eq(pid, wait_serves(t, "s", count)["pid"], "a process of its own")
        s = t.wait_for("s", lambda s: s["state"] == "waiting" and s["starts"] == count, "it waits again")
        t.eq((s["exit"]["code"], s["restarts"]), (0, 0), "its end is none that is repaired")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(DEADLINE)
        client.sendto(b"x", ("127.0.0.1", port))
        t.eq(int(client.recv(100).split()[0]), wait_serves(t, "udp", 1)["pid"], "started by a datagram")

    t.eq(t.ctl("stop", "s").code, 0, "stop")
    t.check(refused(port), "a stopped one is not started by anybody")
    t.eq(t.ctl("start", "s").code, 0, "start by command")
    t.wait_state("s", "running")
    wait_serves(t, "s", 4)
    t.eq(ask(port)[1], "x", "it serves")
    t.wait_state("s", "waiting")
    t.configure(listener(t, "s", [f"tcp:127.0.0.1:{port}"], "serve"))
    t.eq(t.ctl("reread").code, 0, "reread")
    t.wait_state("s", "running")
    t.wait_for("s", lambda s: s["starts"] == 5, "start = auto starts it")


@test
def waiting_outlives_supd(t):
    port = free_port()
    t.configure(
        listener(t, "s", [f"tcp:127.0.0.1:{port}"], "once", start="on-demand"),
        listener(t, "now", [f"unix:{t.path('sock')}"], "once", start="on-demand"),
    )
    t.start()
    t.wait_all("waiting")
    t.crash_and_start()
    t.wait_all("waiting")
    t.eq(t.live(), [], "nothing runs")
    t.eq(ask(port)[0], wait_serves(t, "s", 1)["pid"], "started")
    t.wait_state("s", "waiting")
    t.eq(t.ctl("start", "now").code, 0, "start by command")
    pid = wait_serves(t, "now", 1)["pid"]
    t.crash_and_start()
    t.eq(t.status("now")["pid"], pid, "the process is taken back")
    t.eq(ask(t.path("sock"))[0], pid, "serves")
    t.wait_state("now", "waiting")
    t.crash_and_start()
    s = t.wait_state("now", "waiting")
    t.eq((s["starts"], s["pid"]), (1, None), "and waits again")


@test
def one_that_takes_nothing_does_not_spin(t):
    port = free_port()
    keys = {"listen": [f"tcp:127.0.0.1:{port}"], "start": "on-demand", "restart_delay": "1h", "restart_delay_max": "1h"}
    t.configure(service("s", t.worker("exit", "0"), **keys))
    t.start()
    t.wait_state("s", "waiting")
    with begin(port):
        s = t.wait_state("s", "backoff")
        t.match(s["reason"], "started more than 20 times within 2s", "the reason")
        t.check(s["starts"] >= 20, f"{s['starts']} starts")
        with begin(port):
            t.eq(t.status("s")["state"], "backoff", "more of them change nothing")


# ---- a real program


NGINX = """daemon off;
worker_processes 2;
pid {dir}/nginx.pid;
error_log {dir}/nginx.err;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {dir}/tmp; proxy_temp_path {dir}/tmp; fastcgi_temp_path {dir}/tmp;
    uwsgi_temp_path {dir}/tmp; scgi_temp_path {dir}/tmp;
    server {{ listen 127.0.0.1:{port}; return 200 "fine\\n"; }}
}}
"""


def get(port):
    with connect(port) as s:
        s.sendall(b"GET / HTTP/1.0\r\n\r\n")
        answer = b""
        while data := s.recv(4096):
            answer += data
    if not answer.startswith(b"HTTP/1.1 200 ") or not answer.endswith(b"\r\n\r\nfine\n"):
        raise Failed(f"{answer!r} is no answer")


@test
def nginx_answers_10000_requests_over_20_restarts(t):
    nginx = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin:/sbin") or skip("nginx is not installed")
    port = free_port()
    t.write("nginx.conf", NGINX.format(dir=t.dir, port=port))
    # With this variable nginx takes its sockets over instead of opening them.
    t.configure(
        service(
            "nginx",
            [nginx, "-e", t.path("nginx.err"), "-c", t.path("nginx.conf")],
            listen=[f"tcp:127.0.0.1:{port}"],
            environment=["NGINX=3;"],
            stop_signal="QUIT",
            stop_timeout="1m",
        )
    )
    t.start()
    t.wait_state("nginx", "running")
    load = Load(port, 4, get)
    for number in range(1, 21):
        load.wait(number * 475)
        t.eq(t.ctl("restart", "nginx").code, 0, "restart")
    load.wait(10000)
    t.eq(load.end()[:3], [], f"failed requests after {load.answers}")
    t.eq(t.status("nginx")["starts"], 21, "starts")
    t.eq(t.terminate(), 0, "the end")
    t.nothing_left()


if __name__ == "__main__":
    main()
