#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Little room, long life, and guests nobody invited: limits, leaks, stray processes and stray signals."""
import os
import re
import resource
import signal
import subprocess

from harness import main, test
from instance import service
from processes import DEADLINE, eventually, is_alive, is_sanitized, kill, read_stat, rounds, run_program


def memory_of(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def descriptors_of(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def spawn_with(t, prepare, **options):
    with open(t.log, "ab") as log:
        t.process = subprocess.Popen(
            t.command(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=t.dir,
            preexec_fn=prepare,
            start_new_session=True,
            **options,
        )
    eventually(t.answers, "supd answers")


def limit_of(pid, name):
    with open(f"/proc/{pid}/limits", encoding="ascii") as f:
        return re.search(rf"^Max {name} +(\S+) +(\S+)", f.read(), re.M).groups()


@test
def limits_are_those_supd_was_started_with(t):
    t.configure(t.sleeper("a"))
    with open("/proc/self/oom_score_adj", encoding="ascii") as f:
        adjust = f.read()
    spawn_with(t, lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (300, 5000)))
    pid = t.wait_state("a", "running")["pid"]
    t.eq(limit_of(pid, "open files"), ("300", "5000"), "open files of a service")
    t.eq(limit_of(pid, "core file size"), limit_of(os.getpid(), "core file size"), "cores of a service")
    with open(f"/proc/{pid}/oom_score_adj", encoding="ascii") as f:
        t.eq(f.read(), adjust, "oom_score_adj of a service")
    t.crash()
    spawn_with(t, lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (300, 5000)))
    t.ctl("restart", "a")
    t.eq(limit_of(t.status("a")["pid"], "open files"), ("300", "5000"), "after a crash too")


@test
def defaults_of_a_service(t):
    t.configure(service("a", t.worker("describe", t.path("seen"), "for-ever")))
    os.umask(0o077)
    t.start()
    t.wait_for("a", lambda s: t.read("seen"), "described")
    seen = t.read("seen").splitlines()
    t.check("umask 0022" in seen, f"umask: {[line for line in seen if line.startswith('umask')]}")
    t.check(f"cwd {t.dir}" in seen, f"directory: {[line for line in seen if line.startswith('cwd')]}")
    t.check(any(line.startswith("env PATH=/") for line in seen), "a PATH")


@test
def few_descriptors(t):
    """More services than descriptors: refused with the number, or all of them run; never a supd that hangs or spins."""
    t.configure(*[t.sleeper(f"s{n}") for n in range(100)])
    program = ["prlimit", "--nofile=64:64", *t.command("-t")]
    done = run_program(program)
    if done.code != 0:
        t.match(done.err, r"\d+", "a configuration that needs more is refused with the number")
        return
    spawn_with(t, lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
    t.wait_each(lambda s: s["state"] in ("running", "backoff", "failed", "waiting"), "each has found its state")
    t.check(t.all(), "supd answers")
    t.eq(t.terminate(), 0, "exit code")
    t.eq(t.live(), [], "nobody is left")


@test(root=True)
def no_more_processes(t):
    """fork fails: an unstable run that is tried again, and works when there is room."""
    uid = 61000 + os.getpid() % 1000
    os.chmod(t.dir, 0o777)
    t.configure(*[t.sleeper(f"s{n}", restart_delay="20ms", restart_delay_max="100ms") for n in range(6)])

    def prepare():
        resource.setrlimit(resource.RLIMIT_NPROC, (4, 1000))

    spawn_with(t, prepare, user=uid, group=uid, extra_groups=[])
    s = eventually(
        lambda: next((s for s in t.all().values() if s["state"] == "backoff"), None), "one could not be started"
    )
    t.match(s["reason"], r"(fork|clone).*Resource temporarily unavailable", "reason")
    eventually(lambda: sum(s["state"] == "running" for s in t.all().values()) >= 2, "others run")
    raised = subprocess.run(
        ["prlimit", f"--pid={t.process.pid}", "--nproc=1000:1000"], user=uid, group=uid, check=False
    )
    t.need(raised.returncode == 0, "prlimit")
    t.wait_all("running")
    t.eq(len(t.live()), 6, "all run now")


@test
def argument_list_too_long(t):
    t.configure(
        service("a", ["/bin/true", *["x" * 1000] * 3000], restart="no"),
        service("b", t.worker("describe", t.path("seen"), "for-ever"), environment=["LONG=" + "y" * 100000]),
    )
    t.start()
    s = t.wait_state("a", "failed")
    t.match(s["reason"], r"exec /bin/true: Argument list too long", "reason")
    t.wait_for("b", lambda s: t.read("seen"), "described")
    t.check("env LONG=" + "y" * 100000 in t.read("seen"), "a long variable")


@test(limit=600)
def long_life(t):
    """Thousands of starts leave nothing behind in memory, descriptors or the state file; a crash in between neither."""
    t.configure(service("flaps", t.worker("exit", 1), restart_delay="0"), t.sleeper("a"))
    t.start()
    t.wait_for("flaps", lambda s: s["starts"] > 300, "starts")
    pid = t.process.pid
    memory, descriptors = memory_of(pid), descriptors_of(pid)
    largest, many = 0, rounds(3000)

    def grown():
        nonlocal largest
        largest = max(largest, os.path.getsize(t.path("run/state")))
        return t.status("flaps")["starts"] > many

    eventually(grown, f"{many} starts", 3 * DEADLINE)
    if not is_sanitized(os.environ["SUPD"]):
        t.check(memory_of(pid) - memory < 2 << 20, f"memory grew from {memory} to {memory_of(pid)}")
    t.check(descriptors_of(pid) <= descriptors + 8, f"descriptors grew from {descriptors} to {descriptors_of(pid)}")
    t.check(largest < 4 << 20, f"the state file had {largest} bytes")
    starts = 0
    for n in range(10):
        t.crash_and_start()
        now = t.status("flaps")["starts"]
        t.check(now >= max(starts, many), f"crash {n}: {now} starts, {starts} before")
        starts = t.wait_for("flaps", lambda s, w=now + 50: s["starts"] > w, "it goes on")["starts"]
    t.eq((len(t.marks("a")), len(t.live("a"))), (1, 1), "the other one was not touched")


@test
def strangers_are_reaped(t):
    t.configure(service("a", t.worker("stray", "stray", "mark", t.path("a.mark"), "for-ever"), restart="no"))
    t.start()
    t.wait_marked("a")
    eventually(lambda: len(t.live("a")) == 3, "two strays")
    main_pid = t.status("a")["pid"]
    strays = [pid for pid in t.live("a") if pid != main_pid]
    kill(main_pid, signal.SIGKILL)
    t.wait_state("a", "failed")
    for pid in strays:
        kill(pid, signal.SIGKILL)
    eventually(lambda: not any(read_stat(pid) for pid in strays), "no zombie is left of them")
    t.eq(t.status("a")["exit"]["signal"], "KILL", "their ends are not taken for the service's")


@test
def stray_signals(t):
    """What supd has no use for does not end it."""
    t.configure(t.sleeper("a"))
    t.start()
    pid = t.wait_state("a", "running")["pid"]
    for sig in ("USR1", "USR2", "HUP", "CHLD", "PIPE", "WINCH", "CONT", "URG", "CHLD", "HUP", "USR1"):
        t.process.send_signal(getattr(signal, "SIG" + sig))
        t.check(t.answers(), f"supd answers after {sig}")
    t.eq((t.status("a")["pid"], t.status("a")["starts"]), (pid, 1), "the service is not touched")
    t.check(is_alive(t.process.pid), "supd lives")


@test
def children_that_are_not_ours(t):
    """supd was exec'd by a process that had children already: their ends are no service's."""
    t.configure(t.sleeper("a"))
    script = 'sleep 0.3 & (exit 3) & sleep 1000 & exec "$0" "$@"'
    with open(t.log, "ab") as log:
        t.process = subprocess.Popen(
            ["sh", "-c", script, *t.command()], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    eventually(t.answers, "supd answers")
    t.wait_state("a", "running")

    def zombies():
        with open(f"/proc/{t.process.pid}/task/{t.process.pid}/children", encoding="ascii") as f:
            return [p for p in f.read().split() if not is_alive(int(p))]

    eventually(lambda: len(t.others()) == 2 and not zombies(), "those that ended are reaped")
    t.eq(t.status("a")["starts"], 1, "the service is not touched")
    t.eq(t.terminate(), 0, "exit code")
    t.eq(len(t.others()), 1, "the stranger was not ours to kill")


if __name__ == "__main__":
    main()
