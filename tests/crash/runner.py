# SPDX-License-Identifier: MIT
"""Runs kill points, several at a time, each where it disturbs nobody, and leaves nothing behind but failures."""
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

import harness
from cgroups import remove_trees

CLONE_NEWNS, CLONE_NEWPID = 0x00020000, 0x20000000
INTERRUPTS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
MS_REC, MS_PRIVATE = 0x4000, 0x40000


def slice_of(points, run_point, results, until, least):
    """The test that runs some of the points, one after the other, until the time is up, but so many at least."""

    def run(t):
        for number, (name, point, mode) in enumerate(points):
            if until and number >= least and time.monotonic() > until:
                break
            directory = t.path(str(number))
            os.mkdir(directory)
            result = run_point(directory, name, point, mode)
            result["dir"] = directory
            with open(results, "a", encoding="utf-8") as f:
                f.write(json.dumps(result) + "\n")
            if result["why"]:
                t.failures.append(f"{name} {point} {mode}")
            else:
                remove_trees(directory)
                shutil.rmtree(directory, ignore_errors=True)

    run.__name__ = "points"
    return run


def may_hide():
    wrapper = ["unshare", "--pid", "--fork", "--mount-proc", "true"]
    return (
        os.geteuid() == 0
        and shutil.which(wrapper[0]) is not None
        and subprocess.run(wrapper, stderr=subprocess.DEVNULL, check=False).returncode == 0
    )


def hide():
    """Go on in a PID namespace: what else runs here is not looked at by supd, so the points are the same each time."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWPID | CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    inner = os.fork()
    if inner == 0:
        harness.prctl(harness.PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        signal.signal(signal.SIGTERM, lambda *_: os.kill(inner, signal.SIGKILL))  # which ends the namespace
        os._exit(os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1]) & 0xFF)
    for mount in ((None, b"/", None, MS_REC | MS_PRIVATE, None), (b"proc", b"/proc", b"proc", 0, None)):
        if libc.mount(*mount) != 0:
            raise OSError(ctypes.get_errno(), "mount")


class Runner:
    """Runs points in several processes, each with all that it starts below itself."""

    def __init__(self, jobs):
        self.jobs = jobs
        self.hidden = may_hide()
        self.base = tempfile.mkdtemp(prefix="supd-crash-")
        os.chmod(self.base, 0o755)
        self.batches = 0
        self.children = []
        for sig in INTERRUPTS:
            signal.signal(sig, self.interrupt)

    def run(self, points, run_point, until=None, least=0):
        """
        The results of points, (scenario, number, mode), by run_point(directory, scenario, number, mode): all of them,
        or what can be done until then, but so many at least.
        """
        self.batches += 1
        results = os.path.join(self.base, f"results.{self.batches}")
        self.children = []
        signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTS)  # interrupt() must know every child
        for job in range(min(self.jobs, len(points))):
            pid = os.fork()
            if pid == 0:
                share = slice_of(points[job :: self.jobs], run_point, results, until, -(-least // self.jobs))
                self.job(share, job)
            self.children.append(pid)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, INTERRUPTS)
        failed = False
        while self.children:
            failed |= self.wait_for(self.children[0]) != 0
        found = self.read(results)
        if failed and not any(result["why"] for result in found):
            found.append({"scenario": "?", "why": "a process that runs points ended early: see " + self.base})
        return found

    def wait_for(self, pid):
        """The wait status of a child, which interrupt() knows as long as its number is its own."""
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTS)
        self.children.remove(pid)
        status = os.waitpid(pid, 0)[1]
        signal.pthread_sigmask(signal.SIG_UNBLOCK, INTERRUPTS)
        return status

    def job(self, function, job):
        for sig in INTERRUPTS:
            signal.signal(sig, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, INTERRUPTS)
        os.environ["TMPDIR"] = tempfile.tempdir = self.base
        with open(os.path.join(self.base, f"job.{self.batches}.{job}"), "w", encoding="utf-8") as out:
            os.dup2(out.fileno(), 1)
        code = 1
        try:
            if self.hidden:
                hide()
            code = harness.run_all([(function, 24 * 3600, True, False)])
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(code)

    @staticmethod
    def read(results):
        """What has come of points so far."""
        if not os.path.exists(results):
            return []
        with open(results, encoding="utf-8") as f:
            return [json.loads(line) for line in f if line.endswith("\n")]

    def interrupt(self, sig, _frame):
        """Everything is ended, and nothing is left but the files of what has failed."""
        for other in INTERRUPTS:
            signal.signal(other, signal.SIG_IGN)
        for pid in self.children:
            os.kill(pid, signal.SIGTERM)
        for pid in self.children:
            os.waitpid(pid, 0)
        self.clean()
        os._exit(128 + sig)

    def clean(self):
        results = [os.path.join(self.base, name) for name in os.listdir(self.base) if name.startswith("results.")]
        if not any(result["why"] for name in results for result in self.read(name)):
            shutil.rmtree(self.base, ignore_errors=True)
