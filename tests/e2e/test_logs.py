#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Logs that suplog writes: where output goes, and that nothing of it is lost, doubled or out of order, whoever dies."""
import glob
import gzip
import json
import os
import random
import re
import signal
import stat
import time

from harness import comment, main, test
from instance import service
from processes import SLOWER, Failed, eventually, is_alive, kill, read_stat, skip

WHEN = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z "
LINES = int(os.environ.get("LOG_LINES", "100000"))
LENGTH = 60  # less than they are on average
PAUSE_US = 1000  # after each hundred
KILL_PAUSE = 0.1 if LINES < 10**6 else 0.5  # seconds
KILLS = int(os.environ.get("LOG_KILLS", "15")) // SLOWER


def suplog(t):
    """Its pid; 0: there is none."""
    found = t.live("supd:log")
    t.check(len(found) <= 2, f"{len(found)} processes are suplog, but before its exec one and its successor")
    return found[-1] if found else 0


def wait_suplog(t, other_than=0):
    def is_there():
        pid = suplog(t)
        return pid if pid != other_than and pid and comm(pid) == "suplog" else 0

    return eventually(is_there, "suplog runs")


def comm(pid):
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8") as f:
            return f.read().strip()
    except OSError:
        return ""


def state_of(stat_file):
    with open(stat_file, encoding="utf-8") as f:
        return f.read().rsplit(")", 1)[1].split()[0]


def halt(pid):
    """SIGSTOP, until each of its threads has seen it."""

    def stopped():
        tasks = [f"/proc/{pid}/task/{task}/stat" for task in os.listdir(f"/proc/{pid}/task")]
        return all(state_of(task) == "T" for task in tasks)

    kill(pid, signal.SIGSTOP)
    eventually(stopped, f"process {pid} is stopped")


def numbers(count):
    """What the worker's step `numbers` writes."""
    return b"".join(b"%08d %s\n" % (n, b"x" * (n * 7919 % 120)) for n in range(count))


def wait_text(t, name, text, what):
    eventually(lambda: t.read(name) == text, f"{what}: {name} is {text!r}")


@test
def where_it_goes(t):
    """The FIFO and its mode, who reads, what stands in the files; what is kept nowhere has no FIFO."""
    t.configure(
        service("plain", t.worker("print", "out", "complain", "err", "for-ever"), log=t.path("plain.txt")),
        service(
            "stamped", t.worker("print", "out", "complain", "err", "for-ever"), log=t.path("stamped.txt"),
            log_timestamp=True, log_prefix="%n> ", log_mode="0600",
        ),
        service(
            "apart", t.worker("print", "out", "complain", "err", "for-ever"), log=t.path("out.json"),
            log_error=t.path("err.json"), log_format="json",
            pre_start=t.worker("print", "before"),
        ),
        t.sleeper("nowhere", log="/dev/null"),
        t.sleeper("ours", log="inherit"),
    )
    t.start()
    t.wait_all("running")
    wait_text(t, "plain.txt", "out\nerr\n", "as it comes")
    fifo = os.path.join(t.run_dir, "log", "stamped.fifo")
    mode = os.stat(fifo).st_mode
    t.check(stat.S_ISFIFO(mode) and mode & 0o777 == 0o622, f"the mode of the FIFO is {mode:o}")
    t.eq(os.stat(os.path.dirname(fifo)).st_mode & 0o777, 0o700, "the mode of its directory")
    there = [name for name in os.listdir(os.path.dirname(fifo)) if name.endswith(".fifo")]
    t.eq(sorted(there), ["apart.fifo", "apart:err.fifo", "plain.fifo", "stamped.fifo"], "none where none is needed")
    writer = wait_suplog(t)
    t.eq(read_stat(writer)[1], t.process.pid, "suplog's parent")
    with open(f"/proc/{writer}/cmdline", "rb") as f:
        t.eq(f.read().split(b"\0")[1:3], [b"--runtime-dir", t.run_dir.encode()], "its arguments")
    for name, path in (("plain", os.path.join(os.path.dirname(fifo), "plain.fifo")), ("stamped", fifo),
                       ("nowhere", "/dev/null")):
        t.eq(os.readlink(f"/proc/{t.status(name)['pid']}/fd/1"), path, f"stdout of {name}")
    pid = t.status("apart")["pid"]
    eventually(lambda: t.read("stamped.txt").count("\n") == 2, "both lines are there")
    t.match(t.read("stamped.txt"), f"^{WHEN}stamped> out\n{WHEN}stamped> err\n$", "with time and prefix")
    t.eq(os.stat(t.path("stamped.txt")).st_mode & 0o777, 0o600, "the mode of the log")
    eventually(lambda: t.read("out.json").count("\n") == 2 and t.read("err.json").count("\n") == 1, "JSON is there")
    for line, stream, message in ((t.read("out.json").splitlines()[1], "out", "out"), (t.read("err.json"), "err", "err")):
        told = json.loads(line)
        when = told.pop("time")
        t.match(when + " ", f"^{WHEN}$", "time")
        t.eq(told, {"service": "apart", "pid": pid, "stream": stream, "message": message}, "a line of JSON")
    t.eq(json.loads(t.read("out.json").splitlines()[0])["message"], "before", "of the command before the start")
    t.eq(sorted(t.all()), ["apart", "nowhere", "ours", "plain", "stamped"], "suplog is in no list")
    t.eq(t.error_of("service.stop", names=["supd:log"]).code, -32001, "nor to be had by name")
    t.eq(t.call("supd.info")["services"], 5, "nor counted")
    t.terminate()
    t.nothing_left()
    t.eq([n for n in os.listdir(os.path.dirname(fifo)) if n.endswith(".fifo") or n == "streams"], [], "left at the end")


@test
def nobody_notices(t):
    """suplog is killed while a service writes, and stopped while it ends: started again at once, all is there."""
    gate = t.gate("gate")
    t.configure(
        service("web", t.worker("print", "1", "gate", gate, "print", "2", "gate", gate, "print", "3", "exit", "0"),
                log=t.path("web.txt"), log_max_size="1M", restart="no"),
    )
    t.start()
    wait_text(t, "web.txt", "1\n", "before")
    pid, writer = t.status("web")["pid"], wait_suplog(t)
    kill(writer, signal.SIGKILL)
    other = wait_suplog(t, writer)
    t.open_gate(gate)
    wait_text(t, "web.txt", "1\n2\n", "after its death")
    t.eq(t.status("web")["pid"], pid, "the service runs on")
    halt(other)
    t.open_gate(gate)
    t.wait_state("web", "exited")
    t.eq(t.read("web.txt"), "1\n2\n", "nobody writes")
    kill(other, signal.SIGKILL)
    wait_text(t, "web.txt", "1\n2\n3\n", "last words of one that has ended")


def files_of(path):
    """All files of a log, the oldest first."""

    def age(name):
        found = re.search(r"\.(\d+)(\.gz)?$", name)
        return -int(found[1]) if found else 1

    return sorted(glob.glob(glob.escape(path) + "*"), key=age)


def compare(t, path, count, head):
    """The log is the numbered lines, byte for byte; what suplog puts before each begins with the pattern head."""
    pattern = re.compile(head.encode() + rb"(.*\n)", re.S)
    n = 0
    for name in files_of(path):
        with gzip.open(name) if name.endswith(".gz") else open(name, "rb") as file:
            for line in file:
                found = pattern.fullmatch(line)
                if not found or found[1] != b"%08d %s\n" % (n, b"x" * (n * 7919 % 120)):
                    raise Failed(f"{name}: where line {n} should be, {line!r} is")
                n += 1
    t.eq(n, count, f"lines in {path}")


def size_of(path):
    try:
        return sum(os.path.getsize(name) for name in files_of(path))
    except FileNotFoundError:  # one has got another name just now
        return 0


@test(limit=1200)
def killed(t):
    """supd and suplog are killed over and over while numbered lines come, as they are and with timestamps."""
    keys = {"log_max_size": "1M" if LINES < 10**6 else "100M", "log_keep": 1000}
    names = ("plain", "stamped")

    def writer(name, **more):
        steps = ("numbers-until", t.path(name + ".count"), LINES, PAUSE_US, "for-ever")
        return service(name, t.worker(*steps), log=t.path(name + ".txt"), **keys, **more)

    t.configure(writer("plain"), writer("stamped", log_timestamp=True), t.sleeper("other"))
    t.start()
    pids = {name: t.wait_state(name, "running")["pid"] for name in names}
    supds = logs = 0
    while supds < KILLS // 2 or logs < KILLS or size_of(t.path("plain.txt")) < LINES * LENGTH:
        time.sleep(random.random() * KILL_PAUSE)
        if random.random() < 0.4:
            t.crash_and_start()
            supds += 1
        found = suplog(t)
        if found and random.random() < 0.8:
            logs += kill(found, signal.SIGKILL)
    counts = {}
    for name in names:
        with open(t.path(name + ".count"), "a", encoding="utf-8"):
            pass
        eventually(lambda name=name: t.read(name + ".count").endswith("\n"), f"{name} has written enough", 900)
        counts[name] = int(t.read(name + ".count"))
    t.eq({name: t.status(name)["pid"] for name in names}, pids, "the services were never other processes")
    for name, head in (("plain", 0), ("stamped", 28)):
        size = sum(head + 10 + n * 7919 % 120 for n in range(counts[name]))
        eventually(lambda name=name, size=size: size_of(t.path(name + ".txt")) >= size, f"all of {name} is written")
    wait_suplog(t)
    t.terminate()
    t.nothing_left()
    compare(t, t.path("plain.txt"), counts["plain"], "")
    compare(t, t.path("stamped.txt"), counts["stamped"], WHEN)
    comment(f"{counts} lines; suplog was killed {logs} times, supd {supds} times")


@test
def last_words(t):
    """What services write at their very end is there when supd has ended, also if suplog is killed just then."""
    big = "x" * 20000
    t.configure(
        *(service(f"s{i}", ["/bin/sh", "-c", f"trap 'echo {big}; echo bye; exit 0' TERM; echo up; while :; do sleep 1; done"],
                  log=t.path(f"s{i}.txt"), log_max_size="1M") for i in range(5))
    )
    t.start()
    eventually(lambda: all(t.read(f"s{i}.txt") == "up\n" for i in range(5)), "all are up")
    kill(wait_suplog(t), signal.SIGKILL)
    t.eq(t.terminate(), 0, "exit status of supd")
    for i in range(5):
        t.match(t.read(f"s{i}.txt"), f"^up\n(Terminated\n)?{big}\nbye\n$", f"s{i}")
    t.nothing_left()


@test
def kept_over_an_upgrade(t):
    """suplog dies while supd becomes another binary: the FIFO was open all the time."""
    gate = t.gate("gate")
    t.configure(
        service("web", t.worker("print", "1", "gate", gate, "print", "2", "exit", "0"), log=t.path("web.txt"),
                log_timestamp="%Y", restart="no"),
        t.sleeper("other"),
    )
    t.start()
    eventually(lambda: t.read("web.txt").endswith(" 1\n"), "the first line")
    writer = wait_suplog(t)
    halt(writer)
    t.open_gate(gate)
    t.wait_state("web", "exited")
    t.call("supd.upgrade")
    eventually(lambda: "upgraded from" in t.log_text() and t.answers(), "it is upgraded")
    t.check(is_alive(writer), "suplog is still there")
    kill(writer, signal.SIGKILL)
    eventually(lambda: t.read("web.txt").endswith(" 2\n"), "the last line")
    t.match(t.read("web.txt"), r"^\d{4} 1\n\d{4} 2\n$", "the log")


@test
def another_configuration(t):
    """Another file, and what is done there, take effect at once; a log that gets a FIFO or loses it does at the next start."""
    gate = t.gate("gate")
    steps = ("print", "1", "gate", gate, "print", "2", "gate", gate, "print", "3", "for-ever")

    def configure(**keys):
        t.configure(service("web", t.worker(*steps), **keys))

    configure(log=t.path("a.txt"), log_max_size="1M")
    t.start()
    wait_text(t, "a.txt", "1\n", "the first file")
    pid = t.status("web")["pid"]
    configure(log=t.path("b.txt"), log_prefix="> ")
    plan = t.call("config.reload")["plan"]
    t.eq(plan, [{"action": "change", "name": "web", "keys": ["log", "log-max-size", "log-prefix"],
                 "needs-restart": False, "restarted": False}], "the plan")
    t.eq((t.status("web")["pid"], t.status("web")["config-stale"]), (pid, False), "nothing is restarted")
    eventually(lambda: os.path.exists(t.path("b.txt")), "the second file is open")
    t.open_gate(gate)
    wait_text(t, "b.txt", "> 2\n", "the second file")
    t.eq(t.read("a.txt"), "1\n", "the first one")
    configure(log="none")
    t.eq(t.call("config.reload")["plan"][0]["needs-restart"], True, "without a FIFO a new process is needed")
    t.open_gate(gate)
    wait_text(t, "b.txt", "> 2\n> 3\n", "until then all is as it was")
    t.ctl("restart", "web")
    t.eq(os.readlink(f"/proc/{t.status('web')['pid']}/fd/1"), "/dev/null", "stdout")
    eventually(lambda: not suplog(t), "nobody needs suplog any more")
    t.check(not os.path.exists(os.path.join(t.run_dir, "log", "web.fifo")), "nor the FIFO")
    configure(log=t.path("d.txt"), log_max_age="1d")
    t.call("config.reload", restart=True)
    wait_text(t, "d.txt", "1\n", "and back")
    t.configure(t.sleeper("other"))
    t.call("config.reload")
    eventually(lambda: not suplog(t) and "web" not in t.all(), "the service and suplog are gone")


@test
def killed_in_a_line(t):
    """The first line of a process begins one, with its time, though the last of the one before has no end."""
    script = "echo out; echo err >&2; printf 'no end'; printf 'nor here' >&2; exec sleep 1000"
    t.configure(
        service("both", ["/bin/sh", "-c", script], log=t.path("both.txt"), log_timestamp=True),
        service("apart", ["/bin/sh", "-c", script], log=t.path("out.txt"), log_error=t.path("err.txt"), log_prefix="> "),
    )
    t.start()
    lives = {
        "both": {"both.txt": f"{WHEN}out\n{WHEN}err\n{WHEN}no endnor here"},
        "apart": {"out.txt": "> out\n> no end", "err.txt": "> err\n> nor here"},
    }
    for name, files in lives.items():
        for count in range(1, 4):
            for file, life in files.items():
                text = "\n".join([life] * count)
                eventually(lambda: re.fullmatch(text, t.read(file)), f"{file} tells of {count} lives")
            if count < 3:
                kill(t.wait_state(name, "running")["pid"], signal.SIGKILL)


@test
def rotation(t):
    """supctl rotate, by name and for all; logrotate's way, a rename and SIGUSR1."""
    gate = t.gate("gate")
    t.configure(
        service("web", t.worker("print", "1", "gate", gate, "print", "2", "gate", gate, "print", "3", "for-ever"),
                log=t.path("web.txt"), log_max_size="1M"),
        t.sleeper("none"),
    )
    t.start()
    wait_text(t, "web.txt", "1\n", "the first line")
    result = t.ctl("rotate", "web")
    t.eq(result.code, 0, f"supctl rotate: {result.out}{result.err}")
    wait_text(t, "web.txt.1", "1\n", "rotated")
    t.open_gate(gate)
    wait_text(t, "web.txt", "2\n", "a new one is begun")
    t.eq(t.ctl("rotate").code, 0, "all that there are")
    wait_text(t, "web.txt.2", "1\n", "one further")
    result = t.ctl("rotate", "none")
    t.eq(result.code, 1, "one that has none")
    t.match(result.out + result.err, "none.*has no log file that suplog writes", "why")
    os.rename(t.path("web.txt.1"), t.path("moved"))
    t.process.send_signal(signal.SIGUSR1)
    eventually(lambda: "opening log files again" in t.log_text(), "supd has passed it on")
    t.open_gate(gate)
    eventually(lambda: t.read("web.txt").endswith("3\n"), "the last line")


@test
def rotated_later(t):
    """suplog is dead when a log is to be rotated: the next one does it, once, and nothing that was made since."""
    t.configure(service("web", t.worker("print", "1", "for-ever"), log=t.path("web.txt")))
    t.start()
    wait_text(t, "web.txt", "1\n", "the first line")
    writer = wait_suplog(t)
    halt(writer)
    begun = int(os.stat(t.path("web.txt")).st_ctime) + 1
    eventually(lambda: time.time() > begun, "the file is older than this second")
    t.eq(t.ctl("rotate", "web").code, 0, "supctl rotate")
    kill(writer, signal.SIGKILL)
    wait_text(t, "web.txt.1", "1\n", "rotated by the next one")
    for n in range(2):
        t.eq(t.ctl("restart", "web").code, 0, "restart")
        wait_text(t, "web.txt", "1\n" * (n + 1), "in a new file")
        writer = wait_suplog(t)
        kill(writer, signal.SIGKILL)
        wait_suplog(t, writer)
    t.check(not os.path.exists(t.path("web.txt.2")), "it is rotated once")


@test
def handed_over(t):
    """A FIFO is held before anybody writes into it: supd is killed, and the service has ended, before suplog looks."""
    t.configure(
        service("first", t.worker("print", "here", "for-ever"), log=t.path("first.txt")),
        service("quick", t.worker("print", "last words", "exit", "0"), log=t.path("quick.txt"), restart="no", enabled=False),
    )
    t.start()
    wait_text(t, "first.txt", "here\n", "suplog is at work")
    for n in (1, 2):
        writer = wait_suplog(t)
        halt(writer)
        t.ctl("start", "quick")
        t.wait_state("quick", "exited")
        t.crash()
        kill(writer, signal.SIGCONT)
        wait_text(t, "quick.txt", "last words\n" * n, "written while supd is dead")
        t.start()
        t.eq(suplog(t), writer, "the same suplog")
    halt(writer)
    t.ctl("start", "quick")
    t.wait_state("quick", "exited")
    t.eq(t.call("log.pending", names=["quick"]), len("last words\n"), "what is not written yet")
    kill(writer, signal.SIGCONT)
    eventually(lambda: t.call("log.pending") == 0, "all is written")
    t.eq(t.read("quick.txt"), "last words\n" * 3, "by a suplog that was there before supd")


@test
def without_suplog(t):
    """Services run without it, which is said; --check warns of it."""
    t.configure(service("web", t.worker("print", "1", "for-ever"), log=t.path("web.txt")), t.sleeper("other"))
    alone = t.path("bin")
    os.mkdir(alone)
    os.symlink(os.environ["SUPD"], os.path.join(alone, "supd"))
    with_suplog = os.environ["SUPD"]
    os.environ["SUPD"] = os.path.join(alone, "supd")
    try:
        if os.path.exists(os.path.join("/usr/local/bin", "suplog")):
            skip("suplog is installed")
        checked = t.run("--check")
        t.eq(checked.code, 0, "--check")
        t.match(checked.err, r'warning: .*/suplog: No such file or directory: without it the log of "web" is not written', "warning")
        t.start()
        t.eq(t.wait_state("web", "running")["pid"], t.live("web")[0], "it runs")
        t.match(t.log_text(), r"suplog: No such file or directory: no log is written", "it is said")
        os.symlink(os.environ["SUPLOG"], os.path.join(alone, "suplog"))
        t.ctl("restart", "web")
    finally:
        os.environ["SUPD"] = with_suplog
    t.terminate()
    t.nothing_left()


@test
def shown(t):
    """What suplog has written, rotated and compressed, is what supctl logs shows."""
    t.configure(
        service("web", t.worker("numbers", 400, "for-ever"), log=t.path("web.txt"), log_timestamp=True,
                log_max_size="4K", log_compress=True, log_keep=100),
        service("objects", t.worker("print", "one", "for-ever"), log=t.path("objects.txt"), log_format="json"),
    )
    t.start()
    eventually(lambda: "00000399" in t.read("web.txt"), "all is written")
    eventually(lambda: glob.glob(t.path("web.txt.*.gz")) and t.read("objects.txt"), "older files are compressed")
    said = t.ctl("logs", "web", "-n", "500").out
    t.eq(re.findall(r"\d{8} x*", said), numbers(400).decode().splitlines(), "all, over its files")
    t.check("one" in t.ctl("logs", "objects").out, "JSON")


@test
def inherited(t):
    """With a prefix, lines of many services on supd's own standard output stay whole."""
    t.configure(*(service(f"s{i}", t.worker("numbers", 300, "for-ever"), log="inherit", log_prefix=f"s{i}: ")
                  for i in range(4)))
    t.start()
    want = numbers(300).decode().splitlines()

    def lines(i):
        return [line[4:] for line in t.log_text().splitlines() if line.startswith(f"s{i}: ") and line[4:12].isdigit()]

    eventually(lambda: all(len(lines(i)) >= 300 for i in range(4)), "all is there")
    for i in range(4):
        t.check(lines(i) == want, f"the lines of s{i}")


@test(limit=900)
def thousand(t):
    """A thousand services write at once while suplog and supd are killed, alone and together: each line is there once."""
    names = [f"s{i:04}" for i in range(1000 // SLOWER)]

    def steps(name):
        return "numbers-until", t.path("counts", name), 100, 500000 * SLOWER, "for-ever"

    os.mkdir(t.path("counts"))
    t.configure(
        "defaults {\n log-max-size = 1M\n stop-timeout = 60s\n}\n",
        *(service(name, t.worker(*steps(name)), log=t.path("logs", name)) for name in names),
    )
    t.start()

    def all_write():
        """All have written more than they had."""
        before = {name: size_of(t.path("logs", name)) for name in names}
        eventually(lambda: all(size_of(t.path("logs", name)) > before[name] for name in names), "all write", 300)

    all_write()
    pids = {name: s["pid"] for name, s in t.all().items()}
    kill(wait_suplog(t), signal.SIGKILL)
    all_write()
    t.crash_and_start()
    all_write()
    t.crash()
    kill(suplog(t), signal.SIGKILL)
    t.start()
    all_write()
    for name in names:
        t.write(f"counts/{name}", "")
    eventually(lambda: all(t.read(f"counts/{name}").endswith("\n") for name in names), "all have written enough", 300)
    t.eq({name: s["pid"] for name, s in t.all().items()}, pids, "no service was started again")
    t.terminate(deadline=300)
    for name in names:
        compare(t, t.path("logs", name), int(t.read(f"counts/{name}")), "")


@test
def flood(t):
    """One that writes without end, with a limit: what passes and what is told of add up, and another's log goes on."""
    limit, line = 20000, "y" * 99  # less than comes in any half second
    gate = t.gate("gate")
    t.configure(
        service("mad", ["yes", line], log=t.path("mad.txt"), log_rate_limit=f"{limit}/500ms",
                log_max_size="1G"),
        service("other", t.worker("gate", gate, "numbers", 1000, "for-ever"), log=t.path("other.txt"),
                log_max_size="10M"),
    )
    t.start()
    told = rf"suplog: (\d+) bytes \((\d+) lines\) were dropped here, for more than {limit} came in 500ms\n"
    eventually(lambda: len(re.findall(told, t.read("mad.txt"))) > 2, "it is told what was dropped")
    t.open_gate(gate)
    eventually(lambda: t.read("other.txt").count("\n") == 1000, "the other goes on")
    parts = re.split(told, t.read("mad.txt"))
    for i in range(1, len(parts) - 3, 3):
        t.eq(int(parts[i]), int(parts[i + 1]) * 100, "the bytes of so many lines")
        t.check(int(parts[i]) > 0, "more than none")
    for passed in parts[3:-1:3]:
        t.check(0 < len(passed) <= limit, f"{len(passed)} bytes passed in half a second")
        t.check(not passed.replace(line + "\n", ""), "whole lines")
    t.terminate()


def with_stdout(t, target):
    """supd with another standard output, its own messages still in its log."""
    t.spawn(under=["/bin/sh", "-c", f'exec "$@" >"{target}"', "sh"])
    eventually(t.answers, "supd answers")


def two_writers(t, **keys):
    t.configure(*(service(f"s{i}", t.worker("numbers", 300, "for-ever"), log="inherit", log_prefix=f"s{i}: ", **keys)
                  for i in range(2)))


def check_two(t, lines, what):
    """The lines of both services are among these, whole and in order."""
    want = numbers(300).decode().splitlines()
    for i in range(2):
        t.check([line[4:] for line in lines if line.startswith(f"s{i}: ")] == want, f"{what}: the lines of s{i}")
    t.eq(len(lines), 600, f"{what}: lines")


@test
def inherited_by_a_file(t):
    two_writers(t)
    with_stdout(t, t.path("out"))
    eventually(lambda: t.read("out").count("\n") >= 600, "all is there")
    check_two(t, t.read("out").splitlines(), "a file")
    t.terminate()


@test
def inherited_by_nothing(t):
    """/dev/null takes all."""
    two_writers(t)
    with_stdout(t, "/dev/null")
    wait_suplog(t)
    t.wait_all("running")
    t.eq(t.terminate(), 0, "exit status")
    t.check("cannot write" not in t.log_text() and "could not be written" not in t.log_text(), "nothing is missing")


@test
def inherited_by_a_terminal(t):
    two_writers(t)
    master, slave = os.openpty()
    with_stdout(t, os.ttyname(slave))
    text = b""
    while text.count(b"\n") < 600:
        text += os.read(master, 4096)
    check_two(t, text.decode().replace("\r\n", "\n").splitlines(), "a terminal")
    t.terminate()


@test
def inherited_by_a_pipe(t):
    """Nobody reads for a while: another's log and supd go on.  The reader goes: it is told, and what is left at the end."""
    two_writers(t, log_timestamp="%Y")
    with open(t.conf, "a", encoding="utf-8") as conf:
        conf.write(service("other", t.worker("numbers", 100, "exit", 0), log=t.path("other.txt"), log_max_size="10M",
                           restart="no"))
        conf.write(service("more", t.worker("gate", t.gate("gate"), "numbers", 300, "for-ever"), log="inherit",
                           log_prefix="more: "))
    os.mkfifo(t.path("pipe"))
    read = os.open(t.path("pipe"), os.O_RDONLY | os.O_NONBLOCK)
    with_stdout(t, t.path("pipe"))
    os.set_blocking(read, True)
    eventually(lambda: t.read("other.txt").count("\n") == 100, "another's log goes on")
    t.wait_state("other", "exited")
    text = b""
    while text.count(b"\n") < 600:
        text += os.read(read, 1000)
    lines = text.decode().splitlines()
    t.check(all(re.match(r"\d{4} s", line) for line in lines), "each has its time")
    check_two(t, [line[5:] for line in lines], "a pipe")
    os.close(read)
    t.open_gate(t.path("gate"))
    eventually(lambda: "more: cannot write its log to standard output: Broken pipe" in t.log_text(), "it is told")
    t.eq(t.terminate(), 0, "exit status")
    t.match(t.log_text(), r"more: the last \d+ bytes of its output could not be written", "what is left")


@test
def what_is_refused(t):
    """Bad values, each told with what would be right."""
    cases = {
        "log-max-size = big": "'big' is not a size",
        "log-timestamp = maybe": "neither yes nor no nor a format",
        "log-format = xml": "'xml' is none of plain, json",
        "log-when-full = stop": "'stop' is none of block, drop",
        "log-rate-limit = 10M": "neither off nor SIZE/DURATION",
        "log-rate-limit = 0/1s": "neither off nor SIZE/DURATION",
        "log-owner = \"no-such-user\"": "no-such-user",
        "log-owner = \"root:\"": "neither USER nor USER:GROUP",
        "log-mode = 999": "999",
        "log = logs": "none of journal, syslog, inherit and none, nor the absolute path",
        "log = \"/var/log/\"": "it has to be a file",
        "log-prefix = \"a\\nb\"": "a part of a line",
    }
    for line, words in cases.items():
        t.configure(f'service "web" {{\n command = "/bin/true"\n {line}\n}}\n')
        result = t.run("--check")
        t.eq(result.code, 1, line)
        t.check(words in result.err and "supd.conf:3:" in result.err, f"{line}: {result.err}")


if __name__ == "__main__":
    main()
