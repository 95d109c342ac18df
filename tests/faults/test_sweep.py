#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""One system call of supd's, or of its children's before their exec, fails: nothing may be lost, nothing double.

    test_sweep.py                       a sample, chosen by $FAULTS_SEED, for $FAULTS_SECONDS (30)
    test_sweep.py all [CALL]...         every call of the sweep, or some, at every point; prints a table
    test_sweep.py CALL WHEN ERROR       one fault, as a failure names it; see fault.c

A point is the number of a call in a run from supd's start on; two runs are not quite the same, so a point that is not
reached is counted as such.  $FAULTS_JOBS points are tried at a time.
"""
import json
import os
import random
import shutil
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[1:1] = [os.path.join(HERE, "..", "e2e"), os.path.join(HERE, "..", "crash")]

import harness  # noqa: E402
from faulted import Faulted  # noqa: E402
from processes import SLOWER, Failed, Skip, is_sanitized, skip  # noqa: E402

# What may go wrong in the kernel, and with which errors.  N+M: M calls in a row fail.
DESCRIPTORS = ("EMFILE", "ENFILE")
SWEEP = {
    "openat": DESCRIPTORS,
    "pipe2": DESCRIPTORS,
    "pidfd_open": (*DESCRIPTORS, "EPERM"),
    "socket": DESCRIPTORS,
    "accept4": (*DESCRIPTORS, "ECONNABORTED"),
    "epoll_create1": DESCRIPTORS,
    "epoll_ctl": ("ENOMEM", "ENOSPC"),
    "timerfd_create": DESCRIPTORS,
    "memfd_create": DESCRIPTORS,
    "fcntl": ("EMFILE",),
    "fork": ("EAGAIN", "ENOMEM", "EMFILE"),
    "clone3": ("ENOSYS", "EPERM"),
    "execve": ("ENOMEM", "EAGAIN"),
    "memory": ("ENOMEM",),
    "write@file": ("ENOSPC", "EIO", "EINTR", "short"),
    "pwrite64": ("ENOSPC", "short"),
    "fallocate": ("ENOSPC", "EINTR"),
    "rename": ("ENOSPC", "EROFS"),
    "unlink": ("EROFS",),
    "mkdir": ("EROFS",),
    "ftruncate": ("EIO",),
    "read@file": ("EIO", "short"),
    "read": ("EINTR",),
    "waitid": ("EINTR",),
    "wait4": ("EINTR",),
    "poll": ("EINTR",),
    "epoll_wait": ("EINTR",),
    "flock": ("EINTR",),
    "sendto": ("EINTR", "ENOBUFS"),
    "recvfrom": ("EINTR", "ECONNRESET"),
    "getdents64": ("ENOMEM",),
    "newfstatat": ("ENOMEM",),
    "statx": ("ENOMEM",),
    "ioctl": ("ENOTTY",),
    "close_range": ("ENOSYS",),
    "getsockopt": ("ENOBUFS",),
    "pidfd_send_signal": ("EPERM",),
}
STRIDE = {"memory": 7}  # there are thousands of those
IN_A_ROW = {"memory": 8}  # brk(2), and the mmap(2) calls that are tried instead


def pairs_of(calls):
    """(call, error) of the sweep; a sanitizer ends by itself, and in its own words, where it has no memory."""
    without = {"memory"} if is_sanitized(os.environ["SUPD"]) else set()
    return [(call, error) for call in SWEEP if call in calls and call not in without for error in SWEEP[call]]


def run_point(directory, call, point, error):
    """One fault; returns what came of it."""
    os.makedirs(directory)
    result = {"call": call, "point": point, "error": error, "hit": None, "died": False, "skip": None, "why": None}
    when = f"{point}+{IN_A_ROW[call]}" if call in IN_A_ROW and str(point).isdigit() else point
    t = Faulted(directory, call, when, error)
    try:
        t.live_through()
        result["died"] = t.dead()
        t.judge()
        if point == 0:
            result["counts"] = t.counts()
    except Skip as reason:
        result["skip"] = str(reason)
    except Failed as failed:
        t.failures.append(str(failed))
    except Exception:
        t.failures.append(traceback.format_exc())
    result["hit"] = t.hits()
    try:
        t.clean()
    except Failed as failed:
        t.failures.append(str(failed))
    if t.failures:
        result["why"] = "\n".join(t.failures)
    else:
        shutil.rmtree(directory, ignore_errors=True)
    return result


def told(result):
    return f"{result['call']} {result['point']} {result['error']}: {result['hit']}\n{result['why']}"


def counts_of(t, call):
    """Of a run in which calls are only counted, in the way that is right for CALL."""
    whole = Faulted(t.path("count." + call), call, 0, "ENOMEM")
    os.mkdir(whole.dir)
    whole.live_through()
    t.eq(whole.terminate(), 0, "exit code of a run without a fault")
    return whole.counts()


def counted(t, calls):
    """call -> how often it is made in a run without a fault; those are right that are among calls."""
    counts = counts_of(t, "openat")
    if not counts:
        skip("no process may be traced here")
    counts["fork"] = sum(counts.get(name, 0) for name in ("clone", "clone3", "fork"))
    in_memory = counts_of(t, "memory") if "memory" in calls else {}
    counts["memory"] = sum(in_memory.get(name, 0) for name in ("brk", "mmap", "mremap"))
    return counts


def test_of(name, run):
    run.__name__ = name
    return run, 24 * 3600, True, False


def points_of(pairs, counts):
    return [(c, n, error) for c, error in pairs for n in range(1, counts.get(c, 0) + 1, STRIDE.get(c, 1))]


def sweep(name, choose, results=None):
    """The test that tries the points that choose() gives, each (call, point, error)."""

    def run(t):
        for number, point in enumerate(choose(t)):
            result = run_point(t.path(str(number)), *point)
            if results:
                with open(results, "a", encoding="utf-8") as f:
                    f.write(json.dumps(result) + "\n")
            if result["why"]:
                t.failures.append(told(result))

    return test_of(name, run)


def until(end, rng, pairs):
    """As many as there is time for, and one at least."""

    def choose(t):
        points = points_of(pairs, counted(t, {call for call, _ in pairs}))
        rng.shuffle(points)
        for number, point in enumerate(points):
            if number > 0 and time.monotonic() > end:
                return
            yield point

    return choose


def sample():
    """Families in turn, each for its share of the time."""
    seed = int(os.environ.get("FAULTS_SEED", random.randrange(1 << 30)))
    seconds = float(os.environ.get("FAULTS_SECONDS", 30 / SLOWER))
    print(f"# FAULTS_SEED={seed}")
    families = {
        "descriptors": ("openat", "pipe2", "pidfd_open", "socket", "accept4", "epoll_ctl", "epoll_create1", "fcntl"),
        "processes_and_memory": ("fork", "clone3", "execve", "memory", "getdents64", "newfstatat"),
        "disk": ("write@file", "read@file", "pwrite64", "fallocate", "rename", "unlink", "ftruncate"),
        "interruptions": ("read", "waitid", "wait4", "poll", "epoll_wait", "flock", "sendto", "recvfrom"),
    }
    begin = time.monotonic()
    tests = []
    for number, (name, calls) in enumerate(families.items(), 1):
        end = begin + seconds * number / len(families)
        pairs = pairs_of(calls)
        tests.append(sweep(name, until(end, random.Random(seed + number), pairs)))
    return run_tests(tests)


def run_tests(tests):
    """In a process of its own, since it becomes a session leader and the reaper of all."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = harness.run_all(tests)
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def count_into(path):
    """The test that writes the counts of a run without a fault into a file."""

    def run(t):
        with open(path, "w", encoding="utf-8") as f:
            json.dump(counted(t, SWEEP), f)

    return test_of("count", run)


def everything(calls):
    """Every point; the table of what came of them."""
    jobs = int(os.environ.get("FAULTS_JOBS", "2"))
    base = tempfile.mkdtemp(prefix="supd-faults-")
    pairs = pairs_of(calls or SWEEP)
    results = os.path.join(base, "results")
    os.chmod(base, 0o755)
    if run_tests([count_into(os.path.join(base, "counts"))]) != 0:
        return 1
    with open(os.path.join(base, "counts"), encoding="utf-8") as f:
        points = points_of(pairs, json.load(f))
    children = []
    for job in range(jobs):
        pid = os.fork()
        if pid == 0:
            with open(os.path.join(base, f"job.{job}"), "w", encoding="utf-8") as out:
                os.dup2(out.fileno(), 1)
            sys.stdout.reconfigure(line_buffering=True)
            os._exit(run_tests([sweep("points", lambda _, j=job: points[j::jobs], results)]))
        children.append(pid)
    failed = [pid for pid in children if os.waitpid(pid, 0)[1] != 0]
    found = []
    if os.path.exists(results):
        with open(results, encoding="utf-8") as f:
            found = [json.loads(line) for line in f]
    for result in found:
        if result["why"]:
            harness.comment(told(result))
    print("| call | error | points | reached | supd ended | failures |\n|---|---|---|---|---|---|")
    rows = [[r for r in found if (r["call"], r["error"]) == pair] for pair in pairs]
    for (call, error), of in zip([*pairs, ("all", "")], [*rows, found]):
        numbers = (
            len(of),
            sum(bool(r["hit"]) for r in of),
            sum(r["died"] for r in of),
            sum(bool(r["why"]) for r in of),
        )
        print(f"| {call} | {error} | " + " | ".join(str(n) for n in numbers) + " |")
    if failed:
        print(f"see {base}")
        return 1
    shutil.rmtree(base)
    return 0


def hide():
    """Begin again in a PID namespace, where supd sees no processes but ours: so a run makes the same calls each time."""
    wrapper = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    may = os.geteuid() == 0 and shutil.which(wrapper[0]) and os.system(" ".join(wrapper) + " true 2>/dev/null") == 0
    if may and "FAULTS_HIDDEN" not in os.environ:
        os.execvpe(wrapper[0], [*wrapper, sys.executable, *sys.argv], {**os.environ, "FAULTS_HIDDEN": "1"})


def main():
    hide()
    harness.prepare()
    words = sys.argv[1:]
    if not words:
        return sample()
    if words[0] == "all":
        return everything(words[1:])
    call, when, error = words
    when = int(when) if when.isdigit() else when
    return run_tests([sweep("fault", lambda _: [(call, when, error)])])


if __name__ == "__main__":
    sys.exit(main())
