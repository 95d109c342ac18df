#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Live upgrade: another binary in the same process; services, counters and callers do not notice."""
import os
import shutil
import signal
import socket
import subprocess
import threading
import time

from harness import main, test
from instance import service
from processes import DEADLINE, Failed, eventually, is_alive, kill, read_stat, rounds, skip


def own_binary(t):
    """A copy of supd that a test may replace; what t starts from here on is that."""
    path = t.path("bin")
    shutil.copy(os.environ["SUPD"], path)
    os.environ["SUPD"] = path
    return path


def replace(path, text=None):
    """A new file, as a package manager does it."""
    new = path + ".new"
    if text is None:
        shutil.copy(path, new)
    else:
        with open(new, "w", encoding="utf-8") as f:
            f.write(text)
    os.chmod(new, 0o755)
    os.rename(new, path)


def descriptors(pid):
    found = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.append(os.readlink(f"/proc/{pid}/fd/{fd}").split(":")[0])
        except FileNotFoundError:
            pass
    return sorted(found)


def quiet_descriptors(t):
    """Once nobody but us is connected any more."""
    eventually(lambda: t.call("supd.info")["clients"] == 1, "nobody else is connected")
    with t.client() as client:
        client.call("supd.info")
        return descriptors(t.process.pid)


def upgrade(t):
    done = t.ctl("upgrade")
    t.eq(done.code, 0, f"upgrade: {done}")
    return done


@test
def services_stay_and_stay_children(t):
    binary = own_binary(t)
    t.configure(
        t.sleeper("a"),
        t.trio("b"),
        t.sleeper("off", enabled=False),
        service("done", ["true"], restart="no"),
        service("later", ["false"], restart_delay="1h", restart_delay_max="1h"),
    )
    t.start()
    t.wait_trio("b")
    for name, state in ("a", "running"), ("done", "exited"), ("later", "backoff"):
        t.wait_state(name, state)
    kill(t.status("a")["pid"], signal.SIGKILL)
    t.wait_for("a", lambda s: s["state"] == "running" and s["starts"] == 2, "it runs again")
    before, supd, live = t.all(), t.process.pid, t.live()
    for s in before.values():
        if s["exit"]:
            s["exit"]["usage"] = None  # which is not recorded
    start = t.call("supd.info")["since"]
    replace(binary)
    t.match(upgrade(t).out, rf"upgraded from supd \S+ to \S+, pid {supd}\n", "what supctl says")
    t.check(not os.readlink(f"/proc/{supd}/exe").endswith("(deleted)"), "the new file runs")
    after = t.all()
    for name, old in before.items():
        for key in "state", "desired", "pid", "adopted", "since", "starts", "restarts", "reason", "exit":
            t.eq(after[name][key], old[key], f"{name}: {key}")
        t.check((after[name]["next-start-in"] or 0) <= (old["next-start-in"] or 0), f"{name}: its delay goes on")
    t.eq(t.live(), live, "the same processes")
    t.eq(t.call("supd.info")["since"], start, "supd's own start")
    kill(after["a"]["pid"], signal.SIGTERM)
    s = t.wait_for("a", lambda s: s["starts"] == 3 and s["state"] == "running", "it runs again")
    t.eq((s["exit"]["source"], s["exit"]["signal"]), ("wait", "TERM"), "we were its parent")
    t.eq(read_stat(s["pid"])[1], supd, "and are that of the next")
    t.eq(t.ctl("stop", "b").code, 0, "stop")
    t.eq(t.live("b"), [], "nothing of b is left")
    t.eq(t.terminate(), 0, "exit status")


@test
def a_hundred_upgrades_under_load(t):
    names = [f"s{n}" for n in range(6)]
    t.configure(
        *[t.sleeper(n) for n in names],
        service("short", t.worker("sleep", "0.02"), restart_delay="0", restart_limit="0"),
        service("cycled", t.worker("for-ever")),
    )
    t.start()
    before = t.settle(names, "at first")
    supd = t.process.pid
    start = quiet_descriptors(t)
    upgrades = rounds(100)
    done, problems, calls = threading.Event(), [], [0]

    def guarded(function):
        def run():
            try:
                function()
            except Exception as error:
                problems.append(f"{function.__name__}: {error!r}")

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def ask():
        with t.client() as client:
            while not done.is_set():
                for s in client.call("service.list"):
                    if s["name"] in names and [s["pid"]] != before[s["name"]]:
                        problems.append(f"{s['name']} is {s['pid']}")
                calls[0] += 1

    def connect():
        while not done.is_set():
            with t.client() as client:
                client.call("supd.info")

    def cycle():
        with t.client() as client:
            while not done.is_set():
                outcome = client.call("service.restart", names=["cycled"], wait=True)[0]
                if not outcome["ok"]:
                    problems.append(f"restart: {outcome}")

    def batch():
        with t.client() as client:
            while not done.is_set():
                request = {"jsonrpc": "2.0", "method": "service.start", "params": {"names": ["s0"], "wait": True}}
                client.send([{**request, "id": 1}, {**request, "id": 2}])
                answers = client.receive()
                if sorted(a["id"] for a in answers) != [1, 2] or any("error" in a for a in answers):
                    problems.append(f"batch: {answers}")

    threads = [guarded(f) for f in (ask, connect, cycle, batch)]
    try:
        for n in range(upgrades):
            if n % 3 == 0:
                t.call("supd.upgrade")
            else:
                upgrade(t)
            if t.failures or problems:
                break
    finally:
        done.set()
        for thread in threads:
            thread.join()
    t.eq(problems[:3], [], "what callers saw")
    t.eq(t.log_text().count("upgraded from supd"), upgrades, "upgrades")
    t.check(calls[0] > 0, "somebody asked")
    t.eq(t.process.pid, supd, "supd's pid")
    services = t.all()
    for name in names:
        s = services[name]
        t.eq((s["pid"], s["starts"], s["adopted"]), (before[name][0], 1, False), name)
        t.eq(len(t.marks(name)), 1, f"{name} was started once")
    t.eq(services["short"]["exit"]["source"], "wait", "every end was that of a child")
    t.check("unknown" not in t.log_text(), "no status was lost")
    t.eq(t.ctl("stop", "short").code, 0, "stop")

    def as_before():
        now = quiet_descriptors(t)
        return len(now) <= len(start), now

    t.check(as_before()[0], f"descriptors: {start} before, {as_before()[1]} now")
    t.eq(t.terminate(), 0, "exit status")
    t.nothing_left()


@test
def waiting_callers_are_answered(t):
    t.configure(t.deaf("deaf"), t.sleeper("s"), service("fails", ["false"], restart="no"))
    t.start()
    t.wait_marked("deaf")
    t.wait_state("fails", "failed")
    with t.client() as stopper, t.client() as limited, t.client() as watcher, t.client() as batcher:
        watcher.call("events.subscribe", names=["deaf", "s"])
        stop = stopper.start_call("service.stop", names=["deaf", "s"], wait=True)
        limit = limited.start_call("service.stop", names=["deaf"], wait=True, timeout=2)
        request = {"jsonrpc": "2.0", "method": "service.stop", "params": {"names": ["deaf"], "wait": True}}
        listing = {"jsonrpc": "2.0", "method": "service.list", "id": "list"}
        batcher.send([listing, {**request, "id": "one"}, {**request, "id": "two"}])
        t.wait_state("s", "stopped")
        t.wait_state("deaf", "stopping")
        stopper.send_raw(b'{"jsonrpc": "2.0", "id": "half", "meth')
        pid = t.status("deaf")["pid"]
        for _ in range(3):
            t.eq(t.call("supd.upgrade")["pid"], t.process.pid, "upgrade")
        t.eq(t.status("deaf")["state"], "stopping", "the stop goes on")
        answer = limited.receive()
        t.eq((answer["id"], answer["error"]["code"]), (limit, -32005), "the time limit holds")
        kill(pid, signal.SIGKILL)
        answer = stopper.receive()
        t.eq(answer["id"], stop, "the answer to the stop")
        t.eq([(o["name"], o["ok"], o["message"]) for o in answer["result"]],
             [("deaf", True, "stopped"), ("s", True, "stopped")], "its outcomes")
        stopper.send_raw(b'od": "supd.info"}\n')
        t.eq(stopper.receive()["result"]["pid"], t.process.pid, "half a request, and its other half")
        answers = batcher.receive()
        t.eq(sorted(a["id"] for a in answers), ["list", "one", "two"], "the batch")
        seen = []
        while ("deaf", "stopped") not in seen:
            params = watcher.receive()["params"]
            seen.append((params["name"], params["to"]))
        t.check(("s", "stopped") in seen and ("deaf", "stopping") in seen, f"events: {seen}")
    t.eq(t.got("deaf"), ["TERM"], "the stop-signal was sent once")


@test
def a_caller_that_does_not_read_gets_everything(t):
    t.configure(*[t.sleeper(f"s{n}") for n in range(20)])
    t.start()
    t.wait_all("running")
    with t.client() as slow:
        for n in range(1, 101):
            slow.send({"jsonrpc": "2.0", "id": n, "method": "service.list"})
        t.call("supd.upgrade")
        for n in range(1, 101):
            answer = slow.receive()
            t.need(answer and answer["id"] == n and len(answer["result"]) == 20, f"answer {n}: {str(answer)[:200]}")


@test
def adopted_services_stay_adopted(t):
    t.configure(t.sleeper("old", restart="no"), t.sleeper("new"))
    t.start()
    t.wait_all("running")
    t.crash_and_start()
    t.eq(t.ctl("restart", "new").code, 0, "restart")
    before = t.all()
    upgrade(t)
    after = t.all()
    for name, adopted in ("old", True), ("new", False):
        t.eq((after[name]["pid"], after[name]["adopted"]), (before[name]["pid"], adopted), name)
    kill(after["old"]["pid"], signal.SIGKILL)
    s = t.wait_state("old", "failed")
    t.check(s["exit"]["how"] in ("signaled", "unknown") and s["exit"]["source"] != "wait", f"its end: {s['exit']}")


@test
def traced_services_stay_traced(t):
    t.configure('watch = "ptrace"', t.deaf("s", "USR1", restart="no"))
    t.start()
    t.wait_marked("s")
    t.crash_and_start()
    if t.call("supd.info")["watch"] != "ptrace":
        skip("nothing can be traced here")
    for _ in range(3):
        upgrade(t)
    s = t.status("s")
    kill(s["pid"], signal.SIGUSR1)
    eventually(lambda: t.got("s") == ["USR1"], "a signal arrives")
    kill(s["pid"], signal.SIGTERM)
    s = t.wait_state("s", "failed", "exited")
    t.eq((s["exit"]["how"], s["exit"]["signal"], s["exit"]["source"]), ("signaled", "TERM", "ptrace"), "its end")


@test
def a_broken_binary_is_not_run(t):
    binary = own_binary(t)
    with open(binary, "rb") as f:
        good = f.read()
    t.configure(t.sleeper("s"))
    t.start()
    before = t.wait_state("s", "running")["pid"]

    def missing():
        os.unlink(binary)

    def not_executable():
        replace(binary)
        os.chmod(binary, 0o644)

    def script(text):
        return lambda: replace(binary, "#!/bin/sh\n" + text)

    def truncated():
        with open(binary + ".new", "wb") as f:
            f.write(good[:5000])
        os.chmod(binary + ".new", 0o755)
        os.rename(binary + ".new", binary)

    broken = [
        (missing, "cannot be run: No such file or directory"),
        (not_executable, "cannot be run: Permission denied"),
        (truncated, "cannot be run|killed by"),
        (script("kill -SEGV $$\n"), "killed by SIGSEGV"),
        (script("echo no such option >&2; exit 2\n"), "refuses: no such option"),
        (script("exit 0\n"), "does not answer as supd would: it says nothing"),
        (script("echo 'x: no errors, 1 service'\n"), "does not answer as supd would"),
        (script("yes | head -c 1000000; exit 1\n"), "refuses: y"),
    ]
    for make, want in broken:
        make()
        done = t.ctl("upgrade")
        t.eq(done.code, 1, f"{want}: exit status: {done}")
        t.match(done.err, want, "what supctl says")
        t.eq((t.status("s")["pid"], t.call("supd.info")["pid"]), (before, t.process.pid), f"{want}: nothing changed")
        replace(binary, "")
        with open(binary, "wb") as f:
            f.write(good)
    t.eq(t.log_text().count("not upgraded"), len(broken), "each is in the log")
    t.configure("service {\n")
    t.match(t.ctl("upgrade").err, r"refuses: .*supd.conf:\d+: ", "a configuration with errors is told with its line")
    t.configure(t.sleeper("s"))
    upgrade(t)
    t.eq(t.status("s")["pid"], before, "and then it is upgraded")


@test
def one_at_a_time_and_by_admins(t):
    binary = own_binary(t)
    t.configure(t.sleeper("s"))
    t.start()
    t.wait_state("s", "running")
    gate = t.gate("gate")
    replace(binary, f"#!/bin/sh\nread line < {gate}\nexit 3\n")
    with t.client() as first:
        first.start_call("supd.upgrade")
        fd = eventually(lambda: open_writer(gate), "the helper waits") - 1
        t.match(t.error_of("supd.upgrade").message, "under way already", "the second one")
        t.eq(t.status("s")["state"], "running", "the loop is not held")
        os.close(fd)
        t.match(first.receive()["error"]["message"], "refuses: it says nothing", "the first one")
    t.eq(t.error_of("supd.upgrade", now=True).code, -32602, "parameters")


def open_writer(path):
    try:
        return os.open(path, os.O_WRONLY | os.O_NONBLOCK) + 1
    except OSError:
        return 0


def busy(milliseconds):
    """So that what follows comes at another moment of what goes on."""
    end = time.monotonic() + milliseconds / 1000
    while time.monotonic() < end:
        pass


def stop_amid_an_upgrade(t, ask):
    binary = own_binary(t)
    t.configure(t.sleeper("s"))
    t.start()
    t.wait_state("s", "running")
    gate = t.gate("gate")
    replace(binary, f"#!/bin/sh\nread line < {gate}\nexit 3\n")
    ask()
    eventually(lambda: "trying" in t.log_text(), "the upgrade has begun")
    t.eq(t.terminate(), 0, "exit status")
    t.nothing_left()


@test
def a_stop_wins_over_an_upgrade(t):
    stop_amid_an_upgrade(t, lambda: t.process.send_signal(signal.SIGUSR2))


@test
def a_caller_waits_for_an_upgrade_when_supd_ends(t):
    """A sanitizer sees whether what it waits for is still there when its connection is closed."""
    caller = []

    def ask():
        caller.append(t.client())
        caller[0].start_call("supd.upgrade")

    stop_amid_an_upgrade(t, ask)
    caller[0].close()


@test
def signals_are_not_lost(t):
    """TERM right behind USR2, at every moment of the upgrade that the machine happens to give."""
    for n in range(30):
        t.configure(t.sleeper("s"))
        t.start()
        t.wait_state("s", "running")
        upgrades = t.log_text().count("trying")
        t.process.send_signal(signal.SIGUSR2)
        eventually(lambda: t.log_text().count("trying") > upgrades, "the upgrade has begun")
        busy(n)
        t.eq(t.terminate(), 0, "exit status")
        t.nothing_left()


@test
def the_configuration_is_read_again(t):
    t.configure(t.sleeper("stays"), t.sleeper("goes"))
    t.start()
    t.wait_all("running")
    pid = t.status("stays")["pid"]
    t.configure(t.sleeper("stays"), t.sleeper("comes"))
    t.process.send_signal(signal.SIGUSR2)
    eventually(lambda: "upgraded from supd" in t.log_text(), "the upgrade")
    t.wait_state("comes", "running")
    eventually(lambda: "goes" not in t.all(), "what is gone is stopped")
    t.eq(t.status("stays")["pid"], pid, "the rest is left alone")


@test
def limits_and_environment_are_the_first_ones(t):
    described = t.path("described")
    t.configure(service("s", ["/bin/sh", "-c", f"ulimit -Sn > {described}; env | sort >> {described}; exec sleep 1000"]))
    t.start(env={"TEST_MARK": "kept"})
    t.wait_state("s", "running")
    eventually(lambda: "TEST_MARK=kept" in t.read("described"), "the first look")
    first = [line for line in t.read("described").splitlines() if "PID" not in line]
    upgrade(t)
    os.unlink(described)
    t.eq(t.ctl("restart", "s").code, 0, "restart")
    eventually(lambda: "TEST_MARK=kept" in t.read("described"), "the second look")
    eventually(lambda: len(t.read("described").splitlines()) >= len(first), "all of it")
    t.eq([line for line in t.read("described").splitlines() if "PID" not in line], first, "what the service gets")


@test
def systemd_is_told(t):
    address = t.path("notify.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(address)
        notify.settimeout(DEADLINE)

        def wait_for(line):
            while line not in notify.recv(4096).decode().split("\n"):
                pass

        t.configure(t.sleeper("s"))
        t.start(env={"NOTIFY_SOCKET": address})
        wait_for("READY=1")
        t.process.send_signal(signal.SIGUSR2)
        wait_for("RELOADING=1")
        wait_for("READY=1")
        t.check("upgraded from supd" in t.log_text(), "ready after the upgrade")
        t.eq(t.terminate(), 0, "exit status")


@test
def the_lock_stays_held(t):
    t.configure(t.sleeper("s"))
    t.start()
    for n in range(2):
        done = t.run()
        t.eq(done.code, 1, f"after {n} upgrades: exit status of a second supd")
        t.match(done.err, f"already running for .*, pid {t.process.pid}", "what it says")
        upgrade(t)
    t.eq(t.terminate(), 0, "exit status")


@test
def killed_in_the_middle(t):
    t.configure(t.sleeper("a"), t.sleeper("b"))
    t.start()
    t.wait_all("running")
    before = {n: s["pid"] for n, s in t.all().items()}
    for n in range(30):
        trying = t.log_text().count("trying")
        t.process.send_signal(signal.SIGUSR2)
        eventually(lambda c=trying: t.log_text().count("trying") > c, "the upgrade has begun")
        busy(n)
        t.crash_and_start()
        t.eq({n: s["pid"] for n, s in t.all().items()}, before, "the same processes")
    upgrade(t)
    t.eq(sorted(t.live()), sorted(before.values()), "nobody else")
    for name in before:
        t.eq(len(t.marks(name)), 1, f"{name} was started once")


@test
def in_a_container(t):
    """--init stays the parent, and hears of the next binary's readiness."""
    gate = t.gate("gate")
    t.configure(t.sleeper("s"), service("ends", t.worker("gate", gate, "for-ever"), restart="no"))
    with open(t.log, "ab") as log:
        t.process = subprocess.Popen(t.command("--init"), stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def answer():
        try:
            return t.call("supd.info")
        except (OSError, Failed):  # nobody there, or dying just now
            return None

    info = eventually(answer, "supd answers")
    pid = t.wait_state("s", "running")["pid"]
    t.process.send_signal(signal.SIGUSR2)  # is passed on
    eventually(lambda: "upgraded from supd" in t.log_text(), "the upgrade")
    t.eq(t.call("supd.info")["pid"], info["pid"], "supd's pid")
    s = t.status("s")
    t.eq((s["pid"], s["adopted"]), (pid, False), "the service")
    old = t.wait_state("ends", "running")["pid"]
    kill(info["pid"], signal.SIGKILL)
    t.open_gate(gate, "exit", 7)
    eventually(lambda: not is_alive(old), "it ends")
    eventually(lambda: (answer() or {}).get("pid", info["pid"]) != info["pid"], "another supd")
    s = t.wait_state("ends", "failed")
    t.eq((s["exit"]["how"], s["exit"]["code"]), ("exited", 7), "what was kept before the upgrade tells its end")
    for _ in range(2):  # with LISTEN_FDS of its own in the environment
        upgrade(t)
        t.eq(t.status("s")["pid"], pid, "the service")
    t.match(t.run().err, "already running", "a second supd")
    t.eq(t.terminate(), 0, "exit status")
    t.nothing_left()


if __name__ == "__main__":
    main()
