#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The system fails supd, for a while: no processes, no writing, no answer from a disk, a clock that jumps."""
import contextlib
import ctypes
import os
import shutil
import signal
import subprocess

from clock import Clock
from harness import main, test
from instance import service
from mounts import DeadServer, own_mounts
from processes import DEADLINE, Failed, eventually, is_alive, is_sanitized, kill, read_stat, skip

PTRACE_SEIZE, PTRACE_O_NONE = 0x4206, 0
YEARS = 10 * 365 * 86400

libc = ctypes.CDLL(None, use_errno=True)


# ---- ways to fail


def spawn_faulted(t, call, when, error, *args):
    """Start supd; of its calls CALL, and its children's, some fail: see tests/faults/fault.c."""
    asan = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
    t.spawn(*args, under=[os.environ["FAULT"], call, when, error, t.path("report")], env={"ASAN_OPTIONS": asan})


def start_faulted(t, call, when, error):
    spawn_faulted(t, call, when, error)

    def answers():
        if t.process.poll() == 77:
            skip("no process may be traced here")
        return t.answers()

    eventually(answers, "supd answers")


def run(*argv):
    return subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0


class Disk:
    """An ext4 file system in a file, mounted at a place: one that can be frozen, and that an error makes read-only."""

    def __init__(self, t, place):
        self.image, self.place = t.path("disk.img"), place
        own_mounts()
        if not shutil.which("mkfs.ext4") or not shutil.which("fsfreeze"):
            skip("there is no mkfs.ext4 or fsfreeze")
        with open(self.image, "wb") as f:
            f.truncate(8 << 20)
        os.mkdir(place)
        if not run("mkfs.ext4", "-q", self.image):
            skip("no file system can be made here")
        self.mount()

    def mount(self):
        if not run("mount", "-o", "loop,errors=remount-ro", self.image, self.place):
            skip("no file system can be mounted here")
        os.chmod(self.place, 0o755)

    def unmount(self):
        return run("umount", self.place)

    def fail(self):
        """As the kernel does when it finds an error: read-only from now on, also for files that are open."""
        run("sync", "-f", self.place)  # what is not on the disk then is lost
        device = os.stat(self.place).st_dev
        name = os.path.basename(os.path.realpath(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}"))
        try:
            with open(f"/sys/fs/ext4/{name}/trigger_fs_error", "w", encoding="ascii") as f:
                f.write("1")
        except OSError:
            skip("this kernel cannot be made to find an error")

    @contextlib.contextmanager
    def frozen(self):
        """Whoever writes hangs, and cannot be killed; should this test be, the disk thaws by itself."""
        with subprocess.Popen(["sh", "-c", f"sleep 40; fsfreeze -u '{self.place}'"], start_new_session=True) as thaw:
            try:
                if not run("fsfreeze", "-f", self.place):
                    skip("the file system cannot be frozen")
                yield
            finally:
                run("fsfreeze", "-u", self.place)
                os.killpg(thaw.pid, signal.SIGKILL)


# ---- processes, descriptors, rights


@test
def forks_that_fail_now_and_then(t):
    """Every second fork fails while services end and start again: in the end all run, each once."""
    names = [f"s{n}" for n in range(4)]
    t.configure(*[t.sleeper(n, restart_delay="10ms", restart_delay_max="20ms") for n in names])
    start_faulted(t, "fork", "%2", "EAGAIN")
    for _ in range(4):
        for pid in t.settle(names, "between").values():
            kill(pid[0], signal.SIGKILL)
        eventually(lambda: len(t.read("report").splitlines()) > 1, "forks fail")
    t.settle(names, "at last")
    t.match(t.log_text(), r"fork: Resource temporarily unavailable; next start in", "what failed is told")
    t.crash_and_start()
    t.settle(names, "after a crash")
    t.eq(t.terminate(), 0, "exit code")


@test
def no_room_to_watch_a_descriptor(t):
    """epoll takes no more: what was to be watched is watched later."""
    t.configure(t.sleeper("a"), t.sleeper("b", enabled=False))
    start_faulted(t, "epoll_ctl", "6+4", "ENOSPC")
    t.eq(t.ctl("start", "b").code, 0, "b starts")
    t.wait_all("running")
    t.match(t.log_text(), r"cannot be watched, trying again: No space left on device", "it is told")
    t.eq(t.terminate(), 0, "exit code")


@test
def watch_that_is_impossible(t):
    """Refused where nothing runs yet; but who lives is taken back, by another way."""
    t.configure('watch = "netlink"', t.sleeper("a"))
    spawn_faulted(t, "bind", "1", "EPERM")
    code = t.process.wait(DEADLINE)
    if code == 77:
        skip("no process may be traced here")
    t.check(code not in (0, 77), f"a first start is refused: {code}")
    t.match(t.log_text(), r"watch = netlink is not possible here .*set watch = auto", "with the remedy")
    t.eq(t.live(), [], "nothing was started")
    t.configure(t.sleeper("a"))
    t.start()
    pid = t.wait_marked("a")["pid"]
    t.crash()
    t.configure('watch = "netlink"', t.sleeper("a"))
    start_faulted(t, "bind", "1", "EPERM")
    t.eq(t.status("a")["pid"], pid, "taken back")
    t.match(t.log_text(), r"error .*watch = netlink is not possible here .*services are running", "it is told")
    kill(pid, signal.SIGKILL)
    t.wait_for("a", lambda s: s["pid"] not in (None, pid) and s["state"] == "running", "its end is seen")
    t.eq(t.terminate(), 0, "exit code")


@test(root=True)
def a_process_that_somebody_traces(t):
    t.configure('watch = "ptrace"', t.sleeper("a"))
    t.start()
    pid = t.wait_marked("a")["pid"]
    t.crash()
    if libc.ptrace(PTRACE_SEIZE, pid, None, PTRACE_O_NONE) != 0:
        skip("no process may be traced here")
    t.start()
    t.match(t.log_text(), rf"process {pid} cannot be traced \(Operation not permitted\)", "the reason is the true one")
    t.eq(t.status("a")["pid"], pid, "taken back")


# ---- disks


@test(root=True)
def an_end_that_is_recorded_at_the_last_moment(t):
    """The disk was full when a service ended and has room when supd is told to leave: the next one knows how it ended."""
    own_mounts()
    os.mkdir(t.run_dir)
    if libc.mount(b"none", t.run_dir.encode(), b"tmpfs", 0, b"size=256k,mode=755"):
        skip("cannot mount a small file system here")
    t.configure(t.sleeper("dies", restart="no"), t.sleeper("b", enabled=False))
    t.start()
    pid = t.wait_marked("dies")["pid"]
    with open(t.path("run/ballast"), "wb", buffering=0) as f, contextlib.suppress(OSError):
        while True:
            f.write(bytes(4096))
    with t.client() as client:

        def refused():  # what is left of the room is filled by the records of those that are not
            return not all(client.call("service.reset", names=["b"])[0]["ok"] for _ in range(100))

        eventually(refused, "nothing can be recorded any more")
    kill(pid, signal.SIGKILL)
    t.wait_state("dies", "failed")
    # Both the room and the order to leave come before supd can look again by itself.
    t.process.send_signal(signal.SIGSTOP)
    eventually(lambda: read_stat(t.process.pid)[0] == "T", "supd is stopped")
    os.unlink(t.path("run/ballast"))
    t.process.send_signal(signal.SIGQUIT)
    t.process.send_signal(signal.SIGCONT)
    t.eq(t.wait_end(), 0, "exit code")
    t.start()
    status = t.status("dies")
    t.eq((status["state"], status["exit"]["signal"]), ("failed", "KILL"), "how it ended")


@test(root=True)
def read_only_runtime_directory(t):
    """As on a full disk: no command is carried out, nobody is harmed, and the next supd says what is wrong."""
    disk = Disk(t, t.run_dir)
    t.configure(t.sleeper("a"), t.sleeper("b", enabled=False), t.sleeper("dies", restart_delay="50ms"))
    t.start()
    pid = t.wait_marked("a")["pid"]
    dying = t.wait_marked("dies")["pid"]
    disk.fail()
    with t.client() as client:
        for method, name in (("service.start", "b"), ("service.stop", "a")):
            done = client.call(method, names=[name])[0]
            t.check(not done["ok"], f"{method} is refused")
            t.match(done["message"], r"cannot be recorded.*Read-only file system", f"{method}: the reason")
    kill(dying, signal.SIGKILL)
    t.wait_for("dies", lambda s: "record: Read-only file system" in (s["reason"] or ""), "its death is seen")
    t.eq(t.live(), [pid], "only a lives")
    t.crash()
    said = len(t.log_text())
    done = t.run()
    t.check(done.code not in (0, None), "the next supd does not start")
    t.match(done.err, rf"^error .*{t.run_dir}/lock: Read-only file system$", "and says why")
    t.eq(len(done.err.splitlines()), 1, "in one line")
    t.eq(t.live(), [pid], "a lives on")
    t.need(disk.unmount(), "the disk is repaired")
    disk.mount()
    t.start()
    t.wait_all("running", "stopped")
    t.eq((t.status("a")["pid"], len(t.marks("a"))), (pid, 1), "a is taken back")
    t.check("state.bad" not in t.log_text()[said:], "the state file is whole")
    t.eq(t.terminate(), 0, "exit code")
    t.check(disk.unmount(), "nobody holds the disk")


@test(root=True)
def hanging_runtime_directory(t):
    """supd hangs with it, for what it cannot record it must not do; when it thaws all goes on and nothing is lost."""
    disk = Disk(t, t.run_dir)
    t.configure(t.sleeper("a"), t.sleeper("dies", restart_delay=0))
    t.start()
    t.wait_marked("a")
    pid = t.wait_marked("dies")["pid"]
    with disk.frozen():
        kill(pid, signal.SIGKILL)
        eventually(lambda: read_stat(t.process.pid)[0] == "D", "supd hangs in a write")
        t.check(is_alive(t.marks("a")[0][0]), "a runs on")
    t.wait_for("dies", lambda s: s["state"] == "running" and s["pid"] not in (None, pid), "supd goes on")
    t.eq(t.status("dies")["exit"]["signal"], "KILL", "the end is known")
    before = t.live()
    t.crash_and_start()
    t.eq((t.live(), len(t.marks("a")), len(t.marks("dies"))), (before, 1, 2), "all of it is on record")
    t.eq(t.terminate(), 0, "exit code")
    t.check(disk.unmount(), "nobody holds the disk")


@test(root=True)
def hanging_input(t):
    """Its server is dead: only that service hangs, in its own child, until start-timeout ends it."""
    dead = DeadServer(t.path("dead"))
    t.configure(
        t.sleeper("a"),
        t.sleeper("b", enabled=False),
        t.sleeper("hangs", stdin=t.path("dead/input"), start_timeout="2s", restart="no", enabled=False),
    )
    t.start()
    t.wait_state("a", "running")
    t.need(t.ctl("start", "--no-wait", "hangs").code == 0, "the start of hangs is asked for")
    t.wait_state("hangs", "starting", "failed")
    t.eq(t.ctl("start", "b").code, 0, "supd goes on")
    failed = t.wait_state("hangs", "failed")
    t.match(failed["reason"], r"start.*time", "reason")
    t.eq((t.live("hangs"), t.read("hangs.mark")), ([], ""), "it never ran")
    t.crash_and_start()
    t.eq((t.status("hangs")["state"], t.status("a")["state"]), ("failed", "running"), "after a crash")
    dead.close()
    t.eq(t.terminate(), 0, "exit code")


@test(root=True)
def hanging_log(t):
    """Its server is dead: that log alone waits, for supd, its service and the logs that are elsewhere go on."""
    dead = DeadServer(t.path("dead"))
    t.configure(
        service("hangs", t.worker("print", "lost", "mark", t.path("hangs.mark"), "for-ever"), log=t.path("dead/log")),
        service("goes", t.worker("print", "written", "for-ever"), log=t.path("goes.txt")),
        t.sleeper("b", enabled=False),
    )
    t.start()
    t.wait_for("hangs", lambda s: t.marks("hangs") and s["state"] == "running", "it runs though nobody writes its log")
    eventually(lambda: t.read("goes.txt") == "written\n", "the other log is written")
    t.eq(t.ctl("start", "b").code, 0, "supd goes on")
    t.crash_and_start()
    t.eq(t.ctl("restart", "goes").code, 0, "also after a crash")
    eventually(lambda: t.read("goes.txt") == "written\n" * 2, "and so does suplog")
    dead.close()
    t.eq(t.terminate(), 0, "exit code")


@test(root=True)
def hanging_configuration(t):
    """A reload hangs in a process of its own; supd goes on, and with the old configuration when it has failed."""
    dead = DeadServer(t.path("dead"))
    t.configure(t.sleeper("a"), t.sleeper("b", enabled=False))
    t.start()
    t.wait_state("a", "running")
    t.configure(f'include("{t.path("dead")}/more.conf")', t.sleeper("c"))
    with t.client() as client:
        client.start_call("config.reload")
        t.eq(t.ctl("start", "b").code, 0, "supd goes on")
        t.eq(sorted(t.all()), ["a", "b"], "the old configuration is in force")
        dead.close()
        t.check("error" in client.receive(), "the reload fails")
    t.eq(sorted(t.all()), ["a", "b"], "nothing has changed")
    t.match(t.log_text(), r"the configuration is not taken", "it is told")
    t.eq(t.terminate(), 0, "exit code")


# ---- clocks


@test
def a_clock_that_jumps(t):
    """Years forth and back, under a running supd and between two: backoffs, time-outs and uptimes do not care."""
    clock = Clock(t)
    t.configure(
        t.sleeper("a"),
        t.deaf("deaf"),
        t.marked("ends", "exit", 1, restart_delay="1h", restart_delay_max="1h"),
        t.deaf("short", stop_timeout="300ms", enabled=False),
    )
    t.start(env=clock.env)
    pids = {name: t.wait_marked(name)["pid"] for name in ("a", "deaf")}
    t.wait_state("ends", "backoff")
    t.need(t.ctl("stop", "--no-wait", "deaf").code == 0, "the stop of deaf is asked for")
    eventually(lambda: t.got("deaf"), "the stop-signal comes")

    def as_before(what):
        status = t.all()
        t.check(0 <= status["a"]["uptime"] < 1800, f"{what}: uptime {status['a']['uptime']}")
        t.eq((status["a"]["pid"], status["a"]["state"]), (pids["a"], "running"), f"{what}: a")
        t.check(0 < (status["ends"]["next-start-in"] or 0) <= 3600, f"{what}: backoff {status['ends']}")
        t.eq((status["deaf"]["pid"], status["deaf"]["state"]), (pids["deaf"], "stopping"), f"{what}: deaf")
        t.check(status["short"]["state"] in ("stopped", "running"), f"{what}: short {status['short']}")
        t.eq((len(t.marks("ends")), t.got("deaf")), (1, ["TERM"]), f"{what}: nothing is done before its time")

    for n, offset in enumerate((YEARS, 0, -YEARS, 3 * YEARS)):
        clock.jump(offset)
        told = t.call("supd.info")
        t.check(told, "supd answers")
        as_before(f"jump to {offset}")
        t.need(t.ctl("start", "short").code == 0, "short starts")
        eventually(lambda k=n: len(t.marks("short")) > k, "it has set its trap")
        t.eq(t.ctl("stop", "short").code, 0, f"jump to {offset}: a stop-timeout comes")
        as_before(f"after a stop at {offset}")
    for offset in (-YEARS, YEARS):
        t.crash()
        clock.jump(offset)
        t.start(env=clock.env)
        as_before(f"a new supd at {offset}")
    t.process.send_signal(signal.SIGTERM)
    t.wait_state("a", "stopped")
    t.process.send_signal(signal.SIGTERM)
    t.eq(t.wait_end(), 0, "exit code")


@test(root=True)
def time_namespaces(t):
    """supd comes back in another time namespace, where every clock but that on the wall is a day ahead."""
    day = ["--monotonic", "86400", "--boottime", "86400"]
    ahead = ["unshare", "--time", "--fork", "--kill-child", *day]
    if not run(*ahead, "true"):
        skip("no time namespace can be had here")
    t.configure(t.sleeper("a"), t.marked("ends", "exit", 1, restart_delay="1h", restart_delay_max="1h"))

    def as_before(what):
        status = t.all()
        t.eq((status["a"]["pid"], len(t.marks("a"))), (pid, 1), f"{what}: a")
        t.check(0 <= status["a"]["uptime"] < 1800, f"{what}: uptime {status['a']['uptime']}")
        t.check(1800 < (status["ends"]["next-start-in"] or 0) <= 3600, f"{what}: backoff {status['ends']}")

    def pid_of_supd():
        """unshare(1) may stand before it, so it is not always our child."""
        with contextlib.suppress(OSError, Failed):
            return t.call("supd.info")["pid"]
        return None

    t.start()
    pid = t.wait_marked("a")["pid"]
    t.wait_state("ends", "backoff")
    for under in (ahead, []):
        kill(before := pid_of_supd(), signal.SIGKILL)
        t.process.wait()
        eventually(lambda p=before: not is_alive(p), "supd is dead")
        t.spawn(under=under)
        eventually(pid_of_supd, "supd answers")
        as_before(f"under {under}")
    t.eq(t.terminate(), 0, "exit code")


if __name__ == "__main__":
    main()
