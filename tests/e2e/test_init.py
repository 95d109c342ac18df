#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""supd --init: the first process of a container, which is a PID namespace here; and a parent like any other elsewhere."""
import os
import shutil
import signal
import socket
import subprocess

from harness import main, test
from instance import service
from processes import DEADLINE, Failed, descendants, environment_of, eventually, is_alive, is_stopped
from processes import kernel_tells_exits, kill, preloaded, read_stat, skip


CONTAINER = ["unshare", "--fork", "--pid", "--mount-proc", "--kill-child"]


def spawn(t, *command, env=None):
    with open(t.log, "ab") as log:
        t.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=t.dir, env={**os.environ, **(env or {})},
            start_new_session=True
        )
    return t.process


def answer(t):
    try:
        return t.call("supd.info")
    except (OSError, Failed):
        return None


class Container:
    """supd --init as PID 1 of a PID namespace. Pids are the host's, but in what supd says."""

    def __init__(self, t, *args):
        self.t = t
        if subprocess.run([*CONTAINER, "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
            skip("no PID namespace can be had here")
        spawn(t, *CONTAINER, *t.command("--init", *args))
        eventually(lambda: self.ended() or answer(t), "supd answers in the container")
        self.init = eventually(lambda: self.below(t.process.pid)[:1], "PID 1 is there")[0]

    def ended(self):
        if self.t.process.poll() is not None:
            raise Failed(f"the container ended at its start with {self.t.process.returncode}")
        return False

    @staticmethod
    def below(pid):
        return [p for p in descendants(pid) if (read_stat(p) or (None, 0))[1] == pid and is_alive(p)]

    @staticmethod
    def inner(pid):
        """The number that a process has in the container."""
        with open(f"/proc/{pid}/status", encoding="utf-8") as f:
            return next(int(line.split()[-1]) for line in f if line.startswith("NSpid:"))

    def supd(self):
        """supd's pid: the child of PID 1 that is no service."""
        for pid in self.below(self.init):
            if not any(v.startswith(b"SUPD_SERVICE=") for v in environment_of(pid)):
                return pid
        return None

    def crash(self, sig=signal.SIGKILL):
        """Kills supd and waits for the next one."""
        old = self.supd()
        self.t.need(kill(old, sig), "supd can be killed")
        eventually(lambda: self.supd() not in (old, None) and answer(self.t), "supd answers again")

    def wait(self):
        return self.t.wait_end()


def pids(t):
    return {name: s["pid"] for name, s in t.all().items()}


@test(root=True)
def killing_supd_leaves_pid_1_and_the_services(t):
    # A sanitizer would make an exit of a crash.
    os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":handle_segv=0"
    t.configure(t.sleeper("a"), t.sleeper("b"))
    container = Container(t)
    t.wait_all("running")
    before, init, first = pids(t), container.init, container.supd()
    t.eq(container.inner(init), 1, "supd --init is PID 1")
    for sig in signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT:
        container.crash(sig)
        t.eq(pids(t), before, f"{sig.name}: the same processes")
        t.check(all(s["adopted"] for s in t.all().values()), f"{sig.name}: adopted")
    t.check(is_alive(init) and container.supd() != first, "PID 1 lives, with another supd")
    for name in before:
        t.eq(len(t.marks(name)), 1, f"{name} was started once")
    t.eq(t.ctl("shutdown").code, 0, "shutdown")
    t.eq(container.wait(), 0, "the container's exit status")


@test(root=True)
def a_service_that_ends_while_supd_is_dead_is_told_rightly(t):
    gate = t.gate("gate")
    t.configure(service("s", t.worker("gate", gate, "for-ever"), restart="no"))
    container = Container(t)
    t.wait_state("s", "running")
    supd = container.supd()
    kill(supd, signal.SIGKILL)
    t.open_gate(gate, "exit", 7)
    eventually(lambda: container.supd() not in (supd, None) and answer(t), "supd answers again")
    s = t.wait_state("s", "failed")
    t.eq((s["exit"]["how"], s["exit"]["code"]), ("exited", 7), "its exit")
    t.eq(t.ctl("shutdown").code, 0, "shutdown")
    t.eq(container.wait(), 0, "the container's exit status")


@test(root=True)
def strangers_are_reaped(t):
    # The middle process ends at once, so that its child has no parent but PID 1.
    strays = "for i in 1 2 3 4 5 6 7 8; do (sleep 0.2 & ) ; done; exec sleep 1000"
    t.configure(service("s", ["/bin/sh", "-c", strays]))
    container = Container(t)
    t.wait_state("s", "running")
    container.crash()  # its children are PID 1's from now on
    kill_main = t.status("s")["pid"]
    t.eq(t.ctl("restart", "s").code, 0, "restart")
    t.check(t.status("s")["pid"] != kill_main, "another process")

    def nobody_unreaped():
        return not any((read_stat(p) or "-")[0] == "Z" for p in descendants(container.init))

    eventually(nobody_unreaped, "no zombie is left")
    t.eq(t.ctl("shutdown").code, 0, "shutdown")
    t.eq(container.wait(), 0, "the container's exit status")


@test(root=True)
def sigterm_stops_everything(t):
    t.configure(t.deaf("slow", stop_timeout="200ms"), t.sleeper("s"))
    container = Container(t)
    t.wait_marked("slow")
    kill(container.init, signal.SIGTERM)
    t.eq(container.wait(), 0, "the container's exit status")
    t.eq(t.got("slow"), ["TERM"], "the stop-signal came first")


@test(root=True)
def sigterm_while_supd_is_dead_stops_everything(t):
    t.configure(t.deaf("s", stop_timeout="200ms"))
    container = Container(t)
    t.wait_marked("s")
    kill(container.supd(), signal.SIGKILL)
    kill(container.init, signal.SIGTERM)
    t.eq(container.wait(), 0, "the container's exit status")
    t.eq(t.got("s"), ["TERM"], "the stop-signal came")


@test(root=True)
def nothing_is_started_again_in_the_middle_of_the_end(t):
    t.configure(t.deaf("slow"), t.sleeper("web"), t.sleeper("late", enabled=False))
    container = Container(t)
    slow = t.wait_marked("slow")["pid"]
    t.wait_marked("web")
    kill(container.init, signal.SIGTERM)
    t.wait_state("web", "stopped")
    eventually(lambda: t.got("slow") == ["TERM"], "the slow one was told to end")
    container.crash()
    t.eq(t.status("web")["state"], "stopped", "what had been stopped")
    t.eq(t.status("slow")["state"], "stopping", "what was being stopped")
    outer = next(p for p in descendants(container.init) if container.inner(p) == slow)
    kill(outer, signal.SIGKILL)
    t.eq(container.wait(), 0, "the container's exit status")
    t.eq([len(t.marks(name)) for name in ("slow", "web", "late")], [1, 1, 0], "starts")


@test(root=True)
def signals_are_passed_on(t):
    t.configure(t.sleeper("a"))
    container = Container(t)
    t.wait_state("a", "running")
    t.configure(t.sleeper("a"), t.sleeper("b"))
    kill(container.init, signal.SIGHUP)
    eventually(lambda: "b" in t.all(), "HUP is a reload")
    kill(container.init, signal.SIGUSR1)
    eventually(lambda: "SIGUSR1" in t.log_text(), "USR1 arrives")
    for sig in signal.SIGALRM, signal.SIGWINCH, signal.SIGRTMIN, signal.SIGTSTP:
        kill(container.init, sig)
    t.check(answer(t) and is_alive(container.init), "other signals change nothing")
    kill(container.init, signal.SIGQUIT)
    t.eq(container.wait(), 0, "QUIT ends it")


@test(root=True)
def the_exit_status_is_supds(t):
    t.configure("service {\n")
    spawn(t, *CONTAINER, *t.command("--init"))
    t.eq(t.wait_end(), 1, "a configuration with errors")
    t.eq(t.run("--init", "--check").code, 1, "--check wins")
    t.eq(t.run("--init", "--daemon").code, 2, "--init --daemon")
    t.eq(t.run("--init", "--stop-leftovers").code, 2, "--init --stop-leftovers")


@test(root=True)
def a_restarted_container_begins_afresh(t):
    t.configure(t.sleeper("s"))
    container = Container(t)
    t.wait_marked("s")
    t.process.kill()  # --kill-child: PID 1 dies, and everything with it
    t.process.wait()
    eventually(lambda: not is_alive(container.init), "the container is gone")
    container = Container(t)
    t.wait_for("s", lambda s: len(t.marks("s")) == 2, "a new process")
    s = t.wait_state("s", "running")
    t.eq((s["starts"], s["adopted"], s["exit"]), (1, False, None), "as if for the first time")
    t.match(t.log_text(), "earlier life of this container", "it is said")
    t.eq(t.ctl("shutdown").code, 0, "shutdown")
    t.eq(container.wait(), 0, "the container's exit status")


@test
def it_works_for_anybody_and_not_as_pid_1(t):
    t.configure(t.sleeper("s"))
    process = spawn(t, *t.command("--init"))
    info = eventually(lambda: answer(t), "supd answers")
    t.check(info["pid"] != process.pid, "supd is a child")
    pid = t.wait_state("s", "running")["pid"]
    kill(info["pid"], signal.SIGKILL)
    again = eventually(lambda: (answer(t) or {}).get("pid", info["pid"]) != info["pid"] and answer(t), "another supd")
    s = t.status("s")
    t.eq((s["pid"], s["adopted"], read_stat(pid)[1]), (pid, True, process.pid), "adopted, and below --init")
    t.eq(read_stat(again["pid"])[1], process.pid, "the next supd's parent")
    t.eq(t.terminate(), 0, "exit status after SIGTERM")
    t.nothing_left()


STORER = r"""#!/usr/bin/env python3
import os, signal, socket, sys
log = {log!r}
def note(*words):
    with open(log, "a") as f:
        print(*words, file=f, flush=True)
def tell(text, *fds):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.connect("\0" + os.environ["NOTIFY_SOCKET"][1:])
    socket.send_fds(s, [text.encode()], fds)
names = os.environ.get("LISTEN_FDNAMES", "")
count = int(os.environ.get("LISTEN_FDS", "0"))
mine = os.environ.get("LISTEN_PID", str(os.getpid())) == str(os.getpid())
held = {{}}
for number, name in enumerate(names.split(":") if names else []):
    held.setdefault(name, []).append(3 + number)
step = len(open(log).read().splitlines()) if os.path.exists(log) else 0
if step == 0:
    r, w = os.pipe()
    os.write(w, b"kept")
    tell("FDSTORE=1\nFDNAME=pipe", r, w)
    tell("FDSTORE=1\nFDNAME=pipe", r)  # the same open file: once
    child = os.fork()
    if child == 0:
        signal.pause()
    tell("FDSTORE=1\nFDNAME=proc\nFDPOLL=0", os.pidfd_open(child))
    other_r, other_w = os.pipe()
    tell("FDSTORE=1\nFDNAME=hungup", other_r)
    tell("FDSTORE=1", os.open("/dev/null", os.O_RDONLY))
    if os.fork() == 0:  # another process may not
        tell("FDSTOREREMOVE=1\nFDNAME=pipe")
        os._exit(0)
    os.wait()
    note(count, "first", mine)
    os.close(other_w)
    os.kill(child, signal.SIGKILL)
elif step == 1:
    text = os.read(held["pipe"][0], 10).decode()
    note(count, ",".join(sorted(held)), len(held["pipe"]), text, mine, os.readlink(f"/proc/self/fd/{{held['stored'][0]}}"))
    tell("FDSTOREREMOVE=1\nFDNAME=pipe")
    tell("FDSTOREREMOVE=1\nFDNAME=stored")
else:
    note(count, ",".join(sorted(held)), mine)
    sys.exit(23)
os.kill(os.getpid(), signal.SIGKILL)
"""


@test
def descriptors_are_kept(t):
    """The binary is replaced by a program that uses the store: what --init starts, it starts by its path."""
    binary = t.path("supd")
    shutil.copy(os.environ["SUPD"], binary)
    t.configure(t.sleeper("s", enabled=False))
    spawn(t, binary, "--init", "-c", t.conf, "-r", t.run_dir)
    supd = eventually(lambda: answer(t), "supd answers")["pid"]
    notes = t.path("notes")
    t.write("storer", STORER.format(log=notes))
    os.chmod(t.path("storer"), 0o755)
    os.rename(t.path("storer"), binary)
    kill(supd, signal.SIGKILL)
    t.eq(t.wait_end(), 23, "the exit status of what ran last")
    t.eq(
        t.read("notes").splitlines(),
        ["0 first True", "4 pipe,proc,stored 2 kept True /dev/null", "1 proc True"],
        "what each start was given",
    )


@test
def no_room_for_two_of_each(t):
    """As many services as the limit of descriptors lets be: each has one here, and they all are handed to the next supd."""
    count, spare = 300, 260
    t.configure(service("s", t.worker("for-ever"), instances=count))
    limit = f"--nofile={count + spare}:{count + spare}"
    init = spawn(t, "prlimit", limit, os.environ["SUPD"], "--init", "-c", t.conf, "-r", t.run_dir)
    supd = eventually(lambda: answer(t), "supd answers")["pid"]
    before = {s["name"]: s["pid"] for s in t.wait_each(lambda s: s["state"] == "running", "all run").values()}
    eventually(lambda: len(os.listdir(f"/proc/{init.pid}/fd")) > count, "a descriptor of each is kept")
    kill(supd, signal.SIGKILL)
    eventually(lambda: (answer(t) or {}).get("pid", supd) != supd, "the next supd")
    t.eq({s["name"]: s["pid"] for s in t.list() if s["adopted"]}, before, "all are taken back")
    t.eq(t.terminate(), 0, "exit status after SIGTERM")


@test
def an_end_while_supd_is_dead_is_known(t):
    """--init keeps a descriptor of each service and reaps it when it ends; the pidfd then tells how (Linux 6.15)."""
    script = f"trap 'exit 7' USR1; : >{t.path('ready')}; while :; do sleep 0.05; done"
    t.configure(service("seven", ["/bin/sh", "-c", script], restart="no"), t.sleeper("other"))
    init = spawn(t, os.environ["SUPD"], "--init", "-c", t.conf, "-r", t.run_dir)
    info = eventually(lambda: answer(t), "supd answers")
    pid = t.wait_state("seven", "running")["pid"]
    eventually(lambda: os.path.exists(t.path("ready")), "the trap stands")
    other = t.wait_marked("other")["pid"]
    init.send_signal(signal.SIGSTOP)  # so that no new supd is there too early
    kill(info["pid"], signal.SIGKILL)
    eventually(lambda: not is_alive(info["pid"]), "supd is dead")
    kill(pid, signal.SIGUSR1)
    eventually(lambda: not is_alive(pid), "the service has ended")
    init.send_signal(signal.SIGCONT)
    eventually(lambda: (answer(t) or info)["pid"] != info["pid"], "a new supd")
    told = t.wait_state("seven", "failed")["exit"]
    if kernel_tells_exits():
        t.eq((told["how"], told["code"]), ("exited", 7), "how it ended")
        t.check(told["source"] in ("pidfd", "proc"), f"source {told['source']}")
    else:
        t.check((told["how"], told["code"]) in (("unknown", None), ("exited", 7)), f"exit {told}")
    t.eq(t.status("other")["pid"], other, "the other one was not touched")
    t.eq(t.terminate(), 0, "exit status after SIGTERM")


def it_ends_without_supd(t, supd, gate):
    """A service that waits at the gate, once supd is dead."""
    kill(supd, signal.SIGKILL)
    eventually(lambda: not is_alive(supd), "supd is dead")
    t.open_gate(gate, "exit", 7)


def the_next_supd_sees_the_zombie(t, supd):
    eventually(lambda: (answer(t) or {}).get("pid", supd) != supd, "the next supd")
    s = t.wait_state("s", "failed")
    t.eq((s["exit"]["code"], s["exit"]["source"]), (7, "proc"), "it was still a zombie")
    t.eq(t.terminate(), 0, "exit status after SIGTERM")


@test
def no_zombie_is_reaped_before_supd_has_seen_it(t):
    """Reaping is due when supd dies, since a stranger has ended; a service that ends then must wait for the next supd."""
    gate = t.gate("gate")
    t.configure(service("s", t.worker("gate", gate, "for-ever"), restart="no"), service("stray", t.worker("for-ever")))
    spawn(t, *t.command("--init"))
    supd = eventually(lambda: answer(t), "supd answers")["pid"]
    t.wait_all("running")
    for _ in range(3):  # so that the next supd comes late
        kill(supd, signal.SIGKILL)
        supd = eventually(lambda old=supd: (answer(t) or {"pid": old})["pid"] != old and answer(t), "the next")["pid"]
    pids = {name: status["pid"] for name, status in t.all().items()}
    kill(pids["stray"], signal.SIGKILL)
    eventually(lambda: not is_alive(pids["stray"]), "the stranger has ended")
    it_ends_without_supd(t, supd, gate)
    the_next_supd_sees_the_zombie(t, supd)


@test
def no_zombie_is_reaped_that_ended_while_supd_was_looked_at(t):
    """The same where supd dies and the service ends when it is just being reaped."""
    env = preloaded("PAUSE", "SUPD")
    gate = t.gate("gate")
    t.configure(service("s", t.worker("gate", gate, "for-ever"), restart="no"))
    spawn(t, *t.command("--init"), env=env)
    first = eventually(lambda: answer(t), "supd answers")["pid"]
    pid = t.wait_state("s", "running")["pid"]
    kill(first, signal.SIGKILL)
    eventually(lambda: is_stopped(t.process.pid), "it is about to reap")
    supd = eventually(lambda: answer(t), "the next supd")["pid"]
    it_ends_without_supd(t, supd, gate)
    eventually(lambda: not is_alive(pid), "the service has ended")
    t.process.send_signal(signal.SIGCONT)
    the_next_supd_sees_the_zombie(t, supd)


@test
def a_broken_binary_does_not_end_it(t):
    binary = t.path("supd")
    shutil.copy(os.environ["SUPD"], binary)
    t.configure(t.sleeper("s"))
    spawn(t, binary, "--init", "-c", t.conf, "-r", t.run_dir)
    supd = eventually(lambda: answer(t), "supd answers")["pid"]
    pid = t.wait_state("s", "running")["pid"]
    os.unlink(binary)
    kill(supd, signal.SIGKILL)
    eventually(lambda: (answer(t) or {}).get("pid", supd) != supd, "the old binary runs again")
    t.eq(t.status("s")["pid"], pid, "the service")
    t.match(t.log_text(), "cannot be run: No such file or directory", "it is said")
    t.eq(t.terminate(), 0, "exit status after SIGTERM")


@test
def what_supd_says_is_passed_on(t):
    address = t.path("notify.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(address)
        notify.settimeout(DEADLINE)
        t.configure(t.sleeper("s"))
        os.environ["NOTIFY_SOCKET"] = address
        process = spawn(t, *t.command("--init"))
        message = ""
        while "READY=1" not in message.split("\n"):
            message = notify.recv(4096).decode()
        t.wait_state("s", "running")
        process.terminate()
        while "STOPPING=1" not in message.split("\n"):
            message = notify.recv(4096).decode()
        t.eq(t.wait_end(), 0, "exit status")


if __name__ == "__main__":
    main()
