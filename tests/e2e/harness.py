# SPDX-License-Identifier: MIT
"""What the end-to-end tests share. They know supd only by its documents: programs, sockets, processes.

A test is a function with the decorator @test, called with one Supd object. It runs in a process of its own, in a
private directory. Its parent here is the subreaper of everything the test starts, so that nothing gets away: after
the test, passed or not, all that is left below is killed by pid; also when the program that was started is killed.

$SUPD, $SUPCTL and $WORKER name the programs; a missing $WORKER is compiled from worker.c.
`python3 test_x.py NAME…` runs only the tests named. The output is TAP.
"""
import ctypes
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

from cgroups import remove_trees
from instance import Supd
from processes import Failed, PAUSE, SLOWER, Skip, descendants, kill, skip


HERE = os.path.dirname(os.path.abspath(__file__))
LOG_LINES = 60
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

_tests = []


def test(function=None, *, limit=300, reaper=True, root=False):
    """limit: seconds until the whole test is killed, times $TEST_SLOWER. reaper=False: orphans stay zombies, as under a lazy PID 1."""

    def register(func):
        _tests.append((func, limit * SLOWER, reaper, root))
        return func

    return register(function) if function else register


def comment(text):
    for line in str(text).splitlines():
        print("# " + "".join(c if c.isprintable() else "?" for c in line))


def reap(child, others):
    """Reap what has ended; returns the status of child once that has."""
    status = None
    while True:
        try:
            pid, ended = os.waitpid(-1 if others else child, os.WNOHANG)
        except ChildProcessError:
            return status
        if pid == 0:
            return status
        if pid == child:
            status = ended
            if not others:
                return status


def kill_descendants():
    """Everything below this process; orphans come to us, so it ends when nothing is left."""
    for _ in range(2000):
        while True:
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    break
            except ChildProcessError:
                return
        for pid in descendants(os.getpid()):
            kill(pid, signal.SIGKILL)
        time.sleep(PAUSE)


def child_main(function, root, directory):
    os.setsid()
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    t = Supd(directory)
    verdict, code = "", 1
    try:
        if root and os.geteuid() != 0:
            skip("needs root")
        function(t)
        if t.failures:
            verdict = "\n".join(t.failures)
        else:
            code = 0
    except Skip as reason:
        verdict, code = str(reason), 77
    except Failed as failed:
        where = [
            f for f in traceback.extract_tb(failed.__traceback__) if os.path.basename(f.filename).startswith("test_")
        ]
        verdict = "\n".join(t.failures + [f"line {f.lineno}: {f.line}" for f in where] + [str(failed)])
    except BaseException:
        verdict = "\n".join(t.failures + [traceback.format_exc()])
    with open(os.path.join(directory, "verdict"), "w", encoding="utf-8", errors="replace") as f:
        f.write(verdict)
    os._exit(code)


def run_test(number, function, limit, others, root, base):
    name = function.__name__
    directory = os.path.join(base, name[:24])
    os.mkdir(directory)
    os.chmod(directory, 0o755)
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(sig, signal.SIG_DFL)
        child_main(function, root, directory)
    end = time.monotonic() + limit
    status = None
    while status is None and time.monotonic() < end:
        signal.sigtimedwait([signal.SIGCHLD], 0.2)
        status = reap(child, others)
    kill_descendants()
    remove_trees(directory)

    verdict = ""
    if os.path.exists(os.path.join(directory, "verdict")):
        with open(os.path.join(directory, "verdict"), encoding="utf-8") as f:
            verdict = f.read()
    if status is not None and os.WIFEXITED(status) and os.WEXITSTATUS(status) in (0, 77):
        shutil.rmtree(directory, ignore_errors=True)
        skipped = f" # SKIP {verdict}" if os.WEXITSTATUS(status) == 77 else ""
        print(f"ok {number} - {name}{skipped}")
        return True
    print(f"not ok {number} - {name}")
    comment(f"killed after its limit of {limit} s" if status is None else verdict or f"ended with status {status}")
    for log in sorted(os.listdir(directory)):
        path = os.path.join(directory, log)
        if log.endswith((".log", ".conf")) and os.path.isfile(path):
            with open(path, encoding="utf-8", errors="replace") as f:
                lines = f.read().splitlines()
            comment(f"--- {path}: {len(lines)} lines, the last ones:")
            comment("\n".join(line[:400] for line in lines[-LOG_LINES:]))
    return False


def compile_worker(base):
    if os.environ.get("WORKER"):
        return
    os.environ["WORKER"] = os.path.join(base, "worker")
    subprocess.run(
        [
            os.environ.get("CC", "cc"),
            "-std=gnu17",
            "-D_GNU_SOURCE",
            "-o",
            os.environ["WORKER"],
            os.path.join(HERE, "worker.c"),
        ],
        check=True,
    )


def prctl(option, value):
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}")


def raise_descriptor_limit():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def interrupted(sig, _frame):
    kill_descendants()
    os._exit(128 + sig)


def prepare():
    for variable in ("SUPD", "SUPCTL"):
        if not os.environ.get(variable):
            sys.exit(f"${variable} is not set: it names the program to test")
        os.environ[variable] = os.path.abspath(os.environ[variable])
    sys.stdout.reconfigure(line_buffering=True)
    os.environ.pop("SUPD_SOCKET", None)
    os.environ.pop("NOTIFY_SOCKET", None)
    raise_descriptor_limit()


def run_all(chosen):
    """The runner: in a session of its own, the subreaper of all, and told when the one that waits for it is killed."""
    os.setsid()
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(sig, interrupted)
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    base = tempfile.mkdtemp(prefix="supd-e2e-")
    os.chmod(base, 0o755)
    compile_worker(base)

    print(f"1..{len(chosen)}")
    passed = True
    for number, (function, limit, others, root) in enumerate(chosen, 1):
        passed &= run_test(number, function, limit, others, root, base)
    if passed:
        shutil.rmtree(base, ignore_errors=True)
    else:
        comment(f"the files of the failed tests are kept in {base}")
    return 0 if passed else 1


def main():
    wanted = sys.argv[1:]
    chosen = [t for t in _tests if not wanted or t[0].__name__ in wanted]
    unknown = set(wanted) - {t[0].__name__ for t in chosen}
    if unknown:
        sys.exit(f"no such test: {', '.join(sorted(unknown))}; there are {', '.join(t[0].__name__ for t in _tests)}")
    prepare()
    runner = os.fork()
    if runner == 0:
        code = 1
        try:
            code = run_all(chosen)
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(code)
    for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(sig, lambda number, _: os.kill(runner, number))
    status = os.waitpid(runner, 0)[1]
    sys.exit(os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 1)
