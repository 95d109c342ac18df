#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""supd's own options, and the classic daemon."""
import os
import re
import signal
import socket
import subprocess

from harness import main, test
from instance import service
from processes import DEADLINE, eventually, is_alive, kill, read_stat, run_program


OPTIONS = ["--config", "--runtime-dir", "--check", "--daemon", "--verbose", "--version", "--help"]


def daemon_pid(t):
    return t.call("supd.info")["pid"]


@test
def usage(t):
    program = os.environ["SUPD"]
    for option in ("-h", "--help"):
        done = run_program([program, option])
        t.eq((done.code, done.err), (0, ""), option)
        for name in OPTIONS:
            t.check(name in done.out, f"{option} tells of {name}")
    for option in ("-V", "--version"):
        done = run_program([program, option])
        t.eq((done.code, done.err), (0, ""), option)
        t.match(done.out, r"^supd \d+\.\d+", option)
    t.match(run_program([os.environ["SUPCTL"], "-V"]).out, r"^supctl \d+\.\d+", "supctl -V")
    for args in (["--bogus"], ["-x"], ["-c"], ["-r"], ["stray"], ["--config"], ["-t", "stray"], ["-r", ""]):
        done = run_program([program, *args])
        t.eq(done.code, 2, f"supd {' '.join(args)}: exit code")
        t.check(done.err and not done.out, f"supd {' '.join(args)}: an error on stderr: {done}")
    t.match(run_program([program, "--chek"]).err, "did you mean '--check'", "the nearest option is offered")


@test
def daemon_returns_when_the_socket_answers(t):
    t.configure(t.sleeper("a"))
    for n in range(3):
        done = t.run("-d")
        t.eq(done.code, 0, f"-d: {done}")
        pid = daemon_pid(t)  # at once, without waiting
        stat = read_stat(pid)
        t.check(stat[3] != pid and stat[3] != os.getsid(0), f"a session of its own that it does not lead: {stat}")
        t.eq(os.readlink(f"/proc/{pid}/cwd"), "/", "chdir")
        for fd in (0, 1, 2):
            t.eq(os.readlink(f"/proc/{pid}/fd/{fd}"), "/dev/null", f"descriptor {fd}")
        t.match(t.read("run/lock"), rf"\b{pid}\b", "the lock holds the pid of the daemon")
        again = t.run("-d")
        t.eq(again.code, 1, "a second one")
        t.match(again.err, rf"already running.*\b{pid}\b", "is told to the starter")
        service_pid = t.wait_state("a", "running")["pid"]
        kill(pid, signal.SIGKILL if n < 2 else signal.SIGTERM)
        eventually(lambda p=pid: not is_alive(p), "ended")
        if n == 0:
            first = service_pid
        t.eq(service_pid, first, "the service runs through it all")
    t.nothing_left()


@test
def a_daemon_lets_go_of_what_its_starter_had_open(t):
    t.configure(t.sleeper("a"))
    ours, theirs = os.pipe()
    os.set_inheritable(theirs, True)
    done = subprocess.run(t.command("-d"), cwd=t.dir, close_fds=False, capture_output=True, check=False)
    os.close(theirs)
    t.eq(done.returncode, 0, f"-d: {done.stderr}")
    t.eq(os.read(ours, 1), b"", "nobody has the other end of the starter's pipe")
    os.close(ours)
    pid = daemon_pid(t)
    t.wait_state("a", "running")
    kill(pid, signal.SIGTERM)
    eventually(lambda: not is_alive(pid), "ended")


@test
def daemon_errors_are_seen_by_the_starter(t):
    done = t.run("-d")
    t.eq(done.code, 1, "no configuration")
    t.match(done.err, rf"{re.escape(t.conf)}.*No such file", "told on stderr")
    t.configure("log-level = loud")
    done = t.run("-d")
    t.eq(done.code, 1, "an error in the configuration")
    t.match(done.err, rf"{re.escape(t.conf)}:1: .*loud", "told on stderr")
    t.configure(t.sleeper("a"))
    t.run_dir = t.write("file", "no directory")
    done = t.run("-d")
    t.eq(done.code, 1, "the runtime directory is a file")
    t.check(t.run_dir in done.err, f"told on stderr: {done.err!r}")
    t.eq(t.mine(), {}, "nothing runs")


@test
def relative_paths(t):
    """What was said relative to the starter's directory holds after chdir("/")."""
    t.configure(t.sleeper("a"))
    done = run_program([os.environ["SUPD"], "-d", "-c", "supd.conf", "-r", "run"], cwd=t.dir)
    t.eq(done.code, 0, f"-d with relative paths: {done}")
    info = t.call("supd.info")
    t.eq((info["config"], info["runtime-dir"], info["socket"]), (t.conf, t.run_dir, t.socket), "made absolute")
    t.configure(t.sleeper("a"), t.sleeper("b"))
    t.eq(t.ctl("reread").code, 0, "reread finds the file")
    t.eq(sorted(t.all()), ["a", "b"], "reread")
    t.eq(t.ctl("shutdown").code, 0, "shutdown")
    t.nothing_left()


@test
def runtime_dir_refused(t):
    t.configure(t.sleeper("a"))
    os.mkdir(t.run_dir)
    for mode in (0o777, 0o775, 0o1777):
        os.chmod(t.run_dir, mode)
        done = t.run()
        t.eq(done.code, 1, f"mode {mode:o}")
        t.check(t.run_dir in done.err, f"mode {mode:o}: named: {done.err!r}")
    os.chmod(t.run_dir, 0o755)
    if os.geteuid() == 0:
        os.chown(t.run_dir, 65534, 65534)
        done = t.run()
        t.eq(done.code, 1, "somebody else's directory")
        t.check(t.run_dir in done.err, f"named: {done.err!r}")
        os.chown(t.run_dir, 0, 0)
    os.rmdir(t.run_dir)
    os.symlink(t.path("missing", "run"), t.run_dir)
    t.eq(t.run().code, 1, "a dangling link")
    os.unlink(t.run_dir)
    t.run_dir = "/proc/nowhere/run"
    done = t.run()
    t.eq(done.code, 1, "a place where nothing can be made")
    t.check("/proc/nowhere" in done.err, f"named: {done.err!r}")
    t.eq(t.live(), [], "nothing was started")


@test
def without_a_runtime_dir(t):
    """An ordinary user without XDG_RUNTIME_DIR is told of -r; with it, that is where it goes."""
    if os.geteuid() != 0:
        return
    t.configure(t.sleeper("a"))
    os.mkdir(t.path("xdg"), 0o700)
    os.chown(t.path("xdg"), 65534, 65534)
    argv = [os.environ["SUPD"], "-c", t.conf]
    env = {k: v for k, v in os.environ.items() if k != "XDG_RUNTIME_DIR"}
    done = subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=env,
        user=65534,
        group=65534,
        extra_groups=[],
        timeout=DEADLINE,
        check=False,
    )
    t.eq(done.returncode, 1, "no runtime directory")
    t.match(done.stderr, r"XDG_RUNTIME_DIR.*-r|-r.*XDG_RUNTIME_DIR", "the remedy is told")
    t.socket = t.path("xdg/supd/control.sock")
    t.process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        env={**env, "XDG_RUNTIME_DIR": t.path("xdg")},
        user=65534,
        group=65534,
        extra_groups=[],
    )
    eventually(t.answers, "it answers in XDG_RUNTIME_DIR")
    t.eq(t.terminate(), 0, "exit code")


@test
def log_priorities_for_the_journal(t):
    """With stderr on the journal each line starts with its priority; without, it does not."""
    t.configure(t.sleeper("a"))
    t.start()
    t.terminate()
    t.check(t.log_text(), "something is logged")
    t.check(not re.search(r"^<\d>", t.log_text(), re.M), "no prefix without the journal")
    os.unlink(t.log)
    with open(t.log, "ab") as f:
        stat = os.fstat(f.fileno())
    t.start(env={"JOURNAL_STREAM": f"{stat.st_dev}:{stat.st_ino}"})
    t.terminate()
    lines = t.log_text().splitlines()
    t.check(lines and all(re.match(r"<[0-7]>", line) for line in lines), f"prefixes: {lines[:5]}")
    os.unlink(t.log)
    t.start(env={"JOURNAL_STREAM": "1:1"})
    t.terminate()
    t.check(not re.search(r"^<\d>", t.log_text(), re.M), "stderr is not that journal")


@test
def tells_systemd(t):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(t.path("notify"))
        notify.settimeout(DEADLINE)
        t.configure(t.sleeper("a"))
        t.start(env={"NOTIFY_SOCKET": t.path("notify")})
        said = ""
        while "READY=1" not in said:
            said += notify.recv(65536).decode() + "\n"
        t.process.send_signal(signal.SIGTERM)
        while "STOPPING=1" not in said:
            said += notify.recv(65536).decode() + "\n"
        t.eq(t.wait_end(), 0, "exit code")


@test
def broken_pipes_do_no_harm(t):
    """supd's stderr goes away: it lives on, and so do its services."""
    t.configure(t.sleeper("a", restart_delay="10ms"))
    t.process = subprocess.Popen(
        t.command("-v"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    eventually(t.answers, "supd answers")
    t.process.stderr.close()
    for n in range(3):
        kill(t.wait_state("a", "running")["pid"], signal.SIGKILL)
        t.wait_for("a", lambda s, n=n: s["starts"] == n + 2 and s["state"] == "running", "restarted")
    t.eq(t.terminate(), 0, "exit code")


@test
def stderr_that_nobody_reads(t):
    """A full pipe holds supd no longer than a dead one."""
    t.configure(t.sleeper("a"))
    ours, theirs = os.pipe()
    t.process = subprocess.Popen(t.command("-v"), stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs)
    eventually(t.answers, "supd answers")
    os.set_blocking(theirs, False)
    try:
        while True:
            os.write(theirs, b"x" * 4096)
    except BlockingIOError:
        pass
    try:
        while True:
            os.write(theirs, b"x")
    except BlockingIOError:
        pass
    os.set_blocking(theirs, True)
    for _ in range(5):
        t.eq(t.ctl("restart", "a").code, 0, "a command while stderr is full")
    t.process.kill()
    os.close(ours)


@test
def closed_descriptors(t):
    """Started with descriptors 0 to 2 closed, as some do."""
    t.configure(t.sleeper("a"))
    script = 'exec "$0" "$@" <&- >&- 2>&-'
    t.process = subprocess.Popen(["sh", "-c", script, *t.command()], cwd=t.dir)
    eventually(t.answers, "supd answers")
    pid = t.wait_marked("a")["pid"]
    # Right after its mark the worker still has the file of marks open.
    eventually(lambda: len(os.listdir(f"/proc/{pid}/fd")) <= 3, "the service has its three descriptors and no more")
    t.check(
        "control.sock" not in "".join(os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")),
        "and none of supd's",
    )
    t.eq(t.terminate(), 0, "exit code")


@test
def started_with_a_bad_signal_state(t):
    """Signals blocked or ignored by who starts supd: it works, and services start clean."""

    t.configure(service("a", t.worker("describe", t.path("seen"), "for-ever")))
    with open(t.log, "ab") as log:
        blocked = [signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1]

        def spoil():
            signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            signal.signal(signal.SIGPIPE, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)

        t.process = subprocess.Popen(
            t.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=spoil, restore_signals=False
        )
    eventually(t.answers, "supd answers")
    pid = t.wait_for("a", lambda s: s["state"] == "running" and t.read("seen"), "described")["pid"]
    t.eq([l for l in t.read("seen").splitlines() if l.startswith(("blocked", "ignored"))], [], "a clean start")
    kill(pid, signal.SIGKILL)
    s = t.wait_for("a", lambda s: s["starts"] == 2 and s["state"] == "running", "the death is seen")
    t.eq(s["exit"]["signal"], "KILL", "with its status")
    t.eq(t.terminate(), 0, "TERM ends supd")
    t.nothing_left()


@test
def inherited_descriptors_stay_with_supd(t):
    t.configure(service("a", t.worker("describe", t.path("seen"), "for-ever")))
    extra = os.open("/dev/zero", os.O_RDONLY)
    with open(t.log, "ab") as log:
        t.process = subprocess.Popen(t.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[extra])
    eventually(t.answers, "supd answers")
    t.wait_for("a", lambda s: t.read("seen"), "described")
    t.eq([l.split()[1] for l in t.read("seen").splitlines() if l.startswith("fd ")], ["0", "1", "2"], "descriptors")


if __name__ == "__main__":
    main()
