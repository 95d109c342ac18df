#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The attributes of a service's process, as the kernel tells them: each key is looked at in /proc, none is asked of supd."""
import ctypes
import os
import re

from harness import main, test
from instance import service
from processes import eventually, is_sanitized, skip

SYS_IOPRIO_GET = {"x86_64": 252, "aarch64": 31, "riscv64": 31, "i686": 290, "s390x": 283, "ppc64le": 274}
CAP_SYS_RESOURCE = 24
LIMITS = {
    "limit-as": "Max address space",
    "limit-core": "Max core file size",
    "limit-cpu": "Max cpu time",
    "limit-data": "Max data size",
    "limit-fsize": "Max file size",
    "limit-locks": "Max file locks",
    "limit-memlock": "Max locked memory",
    "limit-msgqueue": "Max msgqueue size",
    "limit-nice": "Max nice priority",
    "limit-nofile": "Max open files",
    "limit-nproc": "Max processes",
    "limit-rss": "Max resident set",
    "limit-rtprio": "Max realtime priority",
    "limit-rttime": "Max realtime timeout",
    "limit-sigpending": "Max pending signals",
    "limit-stack": "Max stack size",
}


def proc(pid, name):
    with open(f"/proc/{pid}/{name}", encoding="utf-8", errors="replace") as f:
        return f.read()


def status_of(pid):
    return dict(line.split(":\t", 1) for line in proc(pid, "status").splitlines() if ":\t" in line)


def nice_of(pid):
    return int(proc(pid, "stat").rsplit(")", 1)[1].split()[16])


def io_class_of(pid):
    """(class, level)"""
    number = SYS_IOPRIO_GET.get(os.uname().machine)
    if number is None:
        skip("the number of ioprio_get(2) on this machine is not known here")
    got = ctypes.CDLL(None).syscall(number, 1, pid)
    return got >> 13, got & 0x1FFF


def limits_of(pid):
    """name -> (soft, hard)"""
    return {m[1]: (m[2], m[3]) for m in re.finditer(r"^(Max [a-z ]+?)  +(\S+) +(\S+)", proc(pid, "limits"), re.M)}


def has_capability(number):
    return int(status_of("self")["CapEff"], 16) >> number & 1 != 0


def start_under(t, *program):
    t.spawn(under=program)
    eventually(t.answers, "supd answers")


def start_as_nobody(t):
    """supd as an ordinary user."""
    os.chmod(t.dir, 0o777)
    start_under(t, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all")


def failed(t, name):
    return t.wait_state(name, "failed")["reason"]


def once(t, name, **keys):
    """A service that is tried once."""
    return t.sleeper(name, restart="no", **keys)


@test(root=True)
def beside_other_processes(t):
    cpu = sorted(os.sched_getaffinity(0))[-1]
    lower = -300 if has_capability(CAP_SYS_RESOURCE) else 300
    t.configure(
        t.sleeper("plain"),
        t.sleeper("first", nice=-5, io_class="realtime:1", oom_score_adj=lower),
        t.sleeper("last", nice=19, io_class="idle", cpu_affinity=[f"{cpu}-{cpu + 9}"], oom_score_adj=700),
        t.sleeper("even", io_class="best-effort", cpu_affinity=f"{cpu}"),
    )
    t.start()
    pid = {name: s["pid"] for name, s in t.wait_all("running").items()}
    t.eq([nice_of(pid[n]) for n in ("plain", "first", "last")], [os.nice(0), -5, 19], "nice")
    t.eq([io_class_of(pid[n]) for n in ("first", "last", "even")], [(1, 1), (3, 0), (2, 4)], "io-class")
    t.eq(os.sched_getaffinity(pid["last"]), {cpu}, "cpu-affinity, of a range of which one is there")
    t.eq(os.sched_getaffinity(pid["even"]), {cpu}, "cpu-affinity")
    t.eq(os.sched_getaffinity(pid["plain"]), os.sched_getaffinity(t.process.pid), "cpu-affinity of others")
    own = int(proc("self", "oom_score_adj"))
    t.eq([int(proc(pid[n], "oom_score_adj")) for n in ("plain", "first", "last")], [own, lower, 700], "oom-score-adj")


@test
def no_such_processor(t):
    t.configure(once(t, "a", cpu_affinity="8000-8191"))
    t.start()
    t.match(failed(t, "a"), r"cpu-affinity 8000-8191: Invalid argument \(supd may use no such processor\)", "reason")


@test
def every_limit(t):
    """Below what the test itself has, so that no rights are needed; in each unit there is."""
    want = {
        "limit-as": ("8G:16G", "8589934592", "17179869184"),
        "limit-core": ("0", "0", "0"),
        "limit-cpu": ("1h:2h", "3600", "7200"),
        "limit-data": ("1G", "1073741824", "1073741824"),
        "limit-fsize": ("10M:20M", "10485760", "20971520"),
        "limit-locks": ("50", "50", "50"),
        "limit-memlock": ("64K", "65536", "65536"),
        "limit-msgqueue": ("1K", "1024", "1024"),
        "limit-nice": ("0", "0", "0"),
        "limit-nofile": ("100:200", "100", "200"),
        "limit-nproc": ("900", "900", "900"),
        "limit-rss": ("1G", "1073741824", "1073741824"),
        "limit-rtprio": ("0", "0", "0"),
        "limit-rttime": ("200ms:2s", "200000", "2000000"),
        "limit-sigpending": ("100", "100", "100"),
        "limit-stack": ("4M", "4194304", "4194304"),
    }
    if is_sanitized(os.environ["SUPD"]):
        del want["limit-as"]  # its shadow is larger, and the limit holds before the exec
    t.configure(service("a", ["/bin/sleep", "10000"], **{key: value[0] for key, value in want.items()}))
    t.start()
    got = limits_of(t.wait_state("a", "running")["pid"])
    t.eq(sorted(LIMITS), sorted(set(LIMITS) | set(want)), "limits that are tried")
    for key, (_, soft, hard) in want.items():
        t.eq(got.get(LIMITS[key]), (soft, hard), key)


@test
def limits_are_not_those_of_supd(t):
    """Only the one that is given changes; what supd raised for itself is not handed on."""
    mine = limits_of(os.getpid())
    t.configure(t.sleeper("plain"), t.sleeper("given", limit_nofile="1000:2000", limit_core="0"))
    start_under(t, "prlimit", "--nofile=300:5000")
    pid = {name: s["pid"] for name, s in t.wait_all("running").items()}
    plain, given = limits_of(pid["plain"]), limits_of(pid["given"])
    t.eq(plain, {**mine, "Max open files": ("300", "5000")}, "without keys")
    t.eq(
        given,
        {**mine, "Max open files": ("1000", "2000"), "Max core file size": ("0", "0")},
        "with keys",
    )


@test(root=True)
def rights_that_are_missing(t):
    """As an ordinary user: each is an error of that service alone, which names the key and the right."""
    cases = {
        "nice": ({"nice": -5}, r"nice -5: Permission denied \(needs CAP_SYS_NICE\)"),
        "io": ({"io_class": "realtime"}, r"io-class realtime:4: Operation not permitted \(needs CAP_SYS_NICE"),
        "oom": ({"oom_score_adj": -900}, r"oom-score-adj -900: Permission denied \(needs CAP_SYS_RESOURCE\)"),
        "limit": (
            {"limit_nofile": "10:4000000"},
            r"limit-nofile 10:4000000: Operation not permitted \(needs CAP_SYS_RESOURCE, and no more than fs.nr_open\)",
        ),
    }
    t.configure(t.sleeper("plain", nice=5), *[once(t, name, **keys) for name, (keys, _) in cases.items()])
    start_as_nobody(t)
    for name, (_, want) in cases.items():
        t.match(failed(t, name), want, name)
    t.eq(nice_of(t.wait_state("plain", "running")["pid"]), 5, "what needs no right")


@test
def a_change_needs_a_new_process(t):
    """And a supd that comes back to a process does not take it for another one."""
    t.configure(t.sleeper("a", nice=3), t.sleeper("b"))
    t.start()
    pid = {name: s["pid"] for name, s in t.wait_all("running").items()}
    t.crash_and_start()
    t.eq({n: (s["pid"], s["config-stale"]) for n, s in t.wait_all("running").items()},
         {n: (p, False) for n, p in pid.items()}, "after a crash")
    t.configure(t.sleeper("a", nice=4), t.sleeper("b"))
    said = t.ctl("reread").out
    t.match(said, r"\ba\b.*\bnice\b", "what reread says")
    t.eq(t.status("a")["config-stale"], True, "a is as it was")
    t.eq(nice_of(pid["a"]), 3, "nice of the old process")
    t.ctl("restart", "a")
    t.eq(nice_of(t.wait_state("a", "running")["pid"]), 4, "nice of the new process")
    t.eq(t.status("b")["pid"], pid["b"], "nobody else is touched")


if __name__ == "__main__":
    main()
