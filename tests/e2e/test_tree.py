#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The whole tree of a service: whoever comes of it has ended before it is stopped, and before it is started again."""
import glob
import os
import pwd
import re
import shutil
import signal
import subprocess

from harness import main, test
from instance import service
from processes import Pid, eventually, is_alive, kill, read_stat, skip

# What a child does: a process group of its own, a session of its own, or a daemon whose parent has ended.
PYTHON = "/usr/bin/python3"
AWAY = """
import os, signal, sys, time
how, deaf, mark, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])

def stay():
    signal.signal(signal.SIGTERM, note)
    with open(mark, "a") as f:
        f.write(f"{os.getpid()}\\n")
    while True:
        signal.pause()

def note(signo, frame):
    with open(mark + ".got", "a") as f:
        f.write(f"{os.getpid()} {signo}\\n")
    if deaf != "deaf":
        os._exit(0)

for _ in range(count):
    if os.fork() == 0:
        if how == "group":
            os.setpgid(0, 0)
        if how in ("session", "daemon"):
            os.setsid()
        if how == "daemon" and os.fork() != 0:
            os._exit(0)
        stay()
if how == "daemon":
    for _ in range(count):
        os.wait()
if deaf == "leave":
    while not os.path.exists(mark) or len(open(mark).readlines()) < count:
        time.sleep(0.01)
    os._exit(3)
while True:
    signal.pause()
"""
WAYS = ("group", "session", "daemon")


def tree(t, name, how, deaf="hears", count=1, **keys):
    return service(name, [PYTHON, "-c", AWAY, how, deaf, t.path(name + ".pids"), str(count)], **keys)


def configure(t, *services):
    """Control groups find everybody: test_cgroup.py. This is what there is without them."""
    t.configure("cgroup = no", *services)


def children(t, name, count=1):
    """The pids of the children, once all have come so far as to wait."""

    def read():
        pids = [Pid(line) for line in t.read(name + ".pids").splitlines()]
        return pids if len(pids) >= count else None

    return eventually(read, f"{name}: {count} children")


def got(t, name):
    """pid -> the signals it noted, in their order."""
    found = {}
    for line in t.read(name + ".pids.got").splitlines():
        pid, signo = line.split()
        found.setdefault(int(pid), []).append(int(signo))
    return found


def gone(t, pids, what):
    t.eq([pid for pid in pids if is_alive(pid)], [], what)


@test
def wherever_they_go(t):
    """stop-signal reaches each once, and the service is not stopped before all have ended."""
    configure(t, *[tree(t, how, how, count=2) for how in WAYS])
    t.start()
    t.wait_all("running")
    pids = {how: children(t, how, 2) for how in WAYS}
    for how in WAYS:
        for pid in pids[how]:
            parent = t.process.pid if how == "daemon" else t.status(how)["pid"]
            eventually(lambda: read_stat(pid)[1] == parent, f"{how}: {parent} is the parent of {pid}")
            t.check(read_stat(pid)[2] != t.status(how)["pid"], f"{how}: it has left the process group")
    for how in WAYS:
        t.eq(t.ctl("stop", how).code, 0, f"stop {how}")
        gone(t, pids[how], f"{how}: left after the stop")
        t.eq(got(t, how), {pid: [signal.SIGTERM] for pid in pids[how]}, f"{how}: TERM once each")
    t.nothing_left()


# Alone until it is to end; then it leaves one that nobody has seen before, in its process group or in a session of its own.
HEIR = """
import os, signal, sys
def leave(signo, frame):
    if os.fork() != 0:
        os._exit(0)
    if sys.argv[2] == "session":
        os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with open(sys.argv[1], "a") as f:
        f.write(f"{os.getpid()}\\n")
    while True:
        signal.pause()
signal.signal(signal.SIGTERM, leave)
open(sys.argv[1], "w").close()
while True:
    signal.pause()
"""


@test
def born_amid_the_stop(t):
    """Who comes of one that was alone when it was told to end, and outlives it, is ended too."""
    ways = ("group", "session")
    heirs = [service(how, [PYTHON, "-c", HEIR, t.path(how + ".pids"), how], stop_timeout="1s") for how in ways]
    configure(t, *heirs)
    t.start()
    eventually(lambda: all(os.path.exists(t.path(how + ".pids")) for how in ways), "all can be told")
    t.eq(t.ctl("stop", *ways).code, 0, "stop")
    for how in ways:
        gone(t, children(t, how), f"{how}: left after the stop")
        t.match(t.log_text(), rf"{how}: SIGKILL to \d+ \(python3\)", f"{how}: its name")
    t.nothing_left()


# It does not end before its child does, which has a session of its own.
WAITS = """
import os, signal, sys
child = os.fork()
if child == 0:
    os.setsid()
    open(sys.argv[1], "w").write(f"{os.getpid()}\\n")
    while True:
        signal.pause()
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.waitpid(child, 0)
"""


@test
def among_a_great_many(t):
    """Where so many are stopped at once that all processes are gone through, who has left the group is reached too."""
    waits = [f"waits{i}" for i in range(3)]
    configure(
        t,
        "defaults {\n    log = none\n    stop-timeout = 1h\n}\n",
        *[service(f"fill{i:03}", ["/bin/sleep", "1000"]) for i in range(300)],
        *[service(name, [PYTHON, "-c", WAITS, t.path(name + ".pids")]) for name in waits],
    )
    t.start()
    t.wait_all("running")
    pids = [pid for name in waits for pid in children(t, name)]
    t.process.send_signal(signal.SIGTERM)
    t.eq(t.wait_end(), 0, "the end of supd")
    gone(t, pids, "left after the stop")


@test
def deaf_ones(t):
    """Who does not hear is killed after stop-timeout, and named."""
    configure(t, *[tree(t, how, how, "deaf", 10, stop_timeout="500ms") for how in WAYS])
    t.start()
    t.wait_all("running")
    pids = {how: children(t, how, 10) for how in WAYS}
    t.eq(t.ctl("stop", *WAYS).code, 0, "stop")
    for how in WAYS:
        gone(t, pids[how], f"{how}: left after the stop")
        t.eq(t.status(how)["state"], "stopped", how)
        said = re.search(rf" {how}: SIGKILL to (.*) and 2 more\n", t.log_text())
        named = [int(pid) for pid in re.findall(r"(\d+) \(python3\)", said[1])] if said else []
        t.check(len(named) == 8 and set(named) < set(pids[how]), f"{how}: {named} of {pids[how]} are named")


@test
def kill_modes(t):
    configure(
        t,
        *[tree(t, f"{mode}-{how}", how, kill_mode=mode) for mode in ("mixed", "process") for how in WAYS],
    )
    t.start()
    t.wait_all("running")
    for mode in ("mixed", "process"):
        for how in WAYS:
            name = f"{mode}-{how}"
            pids = children(t, name)
            t.eq(t.ctl("stop", name).code, 0, f"stop {name}")
            t.eq([pid for pid in pids if is_alive(pid)], pids if mode == "process" else [], f"{name}: who is left")
            t.eq(got(t, name), {}, f"{name}: no child gets TERM")


@test
def main_process_ends(t):
    """It is not started again beside what it left."""
    configure(t, *[tree(t, how, how, "leave", restart="always", restart_delay="0") for how in WAYS])
    t.start()
    for how in WAYS:
        first = children(t, how)[0]
        again = eventually(lambda h=how: t.read(h + ".pids").split()[1:], f"{how} is started again")
        t.check(int(again[0]) != first, f"{how}: another child")
        gone(t, [first], f"{how}: the child of the run before")
        t.match(t.log_text(), rf"{how}: left behind: {first} \(python3\)", f"{how}: its name")
    t.ctl("stop", *WAYS)
    t.nothing_left()


@test
def only_its_own(t):
    """Another service's daemon, and its own while it runs, are left alone."""
    configure(t, tree(t, "a", "daemon"), tree(t, "b", "daemon"), t.sleeper("c"))
    t.start()
    t.wait_all("running")
    a, b = children(t, "a"), children(t, "b")
    t.eq(t.ctl("restart", "c").code, 0, "restart c")
    t.eq(t.ctl("stop", "b").code, 0, "stop b")
    gone(t, b, "b's")
    t.eq([is_alive(pid) for pid in a], [True], "a's lives on")
    t.eq(t.status("a")["state"], "running", "a")


@test
def supd_dies_first(t):
    """An earlier supd's service: what it has orphaned meanwhile belongs to it all the same."""
    configure(t, *[tree(t, how, how, count=2) for how in WAYS], tree(t, "dead", "daemon"), tree(t, "removed", "daemon"))
    t.start()
    t.wait_all("running")
    names = (*WAYS, "dead", "removed")
    pids = {name: children(t, name, 2 if name in WAYS else 1) for name in names}
    dead = t.status("dead")["pid"]
    removed = t.status("removed")["pid"]
    t.crash()
    kill(dead, signal.SIGKILL)
    kill(removed, signal.SIGKILL)
    eventually(lambda: not is_alive(dead) and not is_alive(removed), "both have ended")
    configure(t, *[tree(t, how, how, count=2) for how in WAYS], tree(t, "dead", "daemon"))
    t.start()
    t.wait_for("dead", lambda s: s["state"] == "running" and s["pid"] not in (None, dead), "it runs again")
    gone(t, pids["dead"], "what the dead one had left")
    eventually(lambda: not any(is_alive(pid) for pid in pids["removed"]), "what the removed one had left has ended")
    for how in WAYS:
        t.eq(t.ctl("stop", how).code, 0, f"stop {how}")
        gone(t, pids[how], f"{how}: left after the stop")
        t.eq(got(t, how), {pid: [signal.SIGTERM] for pid in pids[how]}, f"{how}: TERM once each")


@test
def supd_dies_amid(t):
    """SIGKILL of supd while leftovers are being ended: the next one goes on."""
    configure(t, *[tree(t, how, how, "deaf", stop_timeout="3s") for how in WAYS])
    t.start()
    t.wait_all("running")
    pids = {how: children(t, how) for how in WAYS}
    mains = {how: t.status(how)["pid"] for how in WAYS}
    for how in WAYS:
        t.call("service.stop", names=[how], wait=False)
    eventually(lambda: all(got(t, how) for how in WAYS), "all have got TERM")
    eventually(lambda: not any(is_alive(pid) for pid in mains.values()), "the main processes have ended")
    t.crash_and_start()
    for how in WAYS:
        t.wait_state(how, "stopped")
        gone(t, pids[how], f"{how}: left when it is stopped")
        t.eq(got(t, how), {pid: [signal.SIGTERM] for pid in pids[how]}, f"{how}: TERM is not sent again")


@test
def stop_leftovers(t):
    configure(t, *[tree(t, how, how, count=2) for how in WAYS])
    t.start()
    t.wait_all("running")
    pids = [pid for how in WAYS for pid in children(t, how, 2)]
    kill(t.status("session")["pid"], signal.SIGSTOP)
    t.crash()
    t.eq(t.run("--stop-leftovers").code, 0, "supd --stop-leftovers")
    gone(t, pids, "after it")
    t.nothing_left()


STORM = """
import os, signal, sys, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for _ in range(int(sys.argv[1])):
    if os.fork() == 0:
        end = time.monotonic() + 600
        while time.monotonic() < end:
            if os.fork() != 0:
                os._exit(0)
            os.setsid()
            os.close(os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT, 0o600))
        os._exit(0)
while True:
    signal.pause()
"""


@test
def fork_storm(t):
    """Each process lives but for a moment, and has a child that has left its session by then."""
    configure(t, service("storm", [PYTHON, "-c", STORM, "3", t.path("mark")], stop_timeout="300ms"))
    t.start()
    t.wait_state("storm", "running")
    eventually(lambda: os.path.exists(t.path("mark")), "the storm")  # none of it lives long enough to be looked for
    t.eq(t.ctl("stop", "storm", timeout=100).code, 0, "stop")
    t.nothing_left()


def as_user(t, name, directory):
    """What a program that root may not run is run as: the keys of its service, and the prefix of its tools."""
    if os.geteuid() != 0:
        return {}, []
    try:
        pwd.getpwnam(name)
    except KeyError:
        skip(f"there is no user {name}")
    os.chmod(os.path.dirname(t.dir), 0o755)
    shutil.chown(directory, name, name)
    return {"user": name}, ["setpriv", f"--reuid={name}", f"--regid={name}", "--init-groups"]


@test
def postgres(t):
    """A tree of processes that write their titles over their environment; INT is its fast shutdown."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"))
    if not found:
        skip("postgres is not installed")
    programs = os.path.dirname(found[-1])
    os.mkdir(t.path("pg"))
    keys, prefix = as_user(t, "postgres", t.path("pg"))
    data = t.path("pg/data")
    initdb = [*prefix, programs + "/initdb", "-D", data, "-U", "test", "-A", "trust", "--no-sync"]
    subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, cwd="/")
    server = [found[-1], "-D", data, "-k", t.path("pg"), "-c", "listen_addresses=", "-c", "fsync=off"]
    t.configure(service("pg", server, stop_signal="INT", stop_timeout="1m", log=t.path("pg.log"), **keys))
    t.start()
    sql = [programs + "/psql", "-h", t.path("pg"), "-U", "test", "-d", "postgres", "-Atc"]

    def answers():
        return subprocess.run([*sql, "SELECT 1"], capture_output=True, check=False).stdout == b"1\n"

    for adopted in (False, True):
        eventually(answers, "it answers")
        if adopted:
            t.crash_and_start()
        sleep = [*sql, "SELECT pg_sleep(600)"]
        with subprocess.Popen(sleep, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as busy:
            count = [*sql, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%sleep(600)'"]
            eventually(lambda c=count: subprocess.run(c, capture_output=True, check=False).stdout == b"1\n", "busy")
            everybody = [pid for pid in t.others() if pid not in (busy.pid, *t.live("supd:log"))]
            t.check(len(everybody) > 5, f"a tree: {everybody}")
            t.eq(t.ctl("stop", "pg").code, 0, "stop")
            gone(t, everybody, "left after the stop")
        status = t.status("pg")
        t.eq((status["state"], status["exit"]["code"]), ("stopped", 0), "it ended by itself")
        state = subprocess.run([programs + "/pg_controldata", data], capture_output=True, text=True, check=True).stdout
        t.match(state, r"cluster state: +shut down\n", "the database")
        t.eq(t.ctl("start", "pg").code, 0, "start")
    t.eq(t.terminate(), 0, "exit code")
    t.eq(t.others(), [], "nobody is left")


@test
def start_stop_daemon(t):
    """A program whose daemon is two forks away, behind a main process that stays."""
    tool = shutil.which("start-stop-daemon", path="/usr/sbin:/sbin:/usr/bin") or skip("no start-stop-daemon")
    begin = f"{tool} --start --background --make-pidfile --pidfile {t.path('pid')} --startas /bin/sleep -- 1000"
    t.configure(service("d", ["/bin/sh", "-c", f"{begin}; exec sleep 1000"]))
    t.start()
    t.wait_state("d", "running")
    for adopted in (False, True):
        daemon = Pid(eventually(lambda: t.read("pid").strip(), "its pid"))
        if adopted:
            t.crash_and_start()
        t.check(is_alive(daemon), "the daemon runs")
        t.eq(t.ctl("stop", "d").code, 0, "stop")
        gone(t, [daemon], "the daemon")
        os.unlink(t.path("pid"))
        t.eq(t.ctl("start", "d").code, 0, "start")
    t.terminate()
    t.nothing_left()


if __name__ == "__main__":
    main()
