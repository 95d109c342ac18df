#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Limits of cgroup { }: what the kernel makes of them, on a machine that has the controllers."""
import os
import re
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))

from cgroups import cgroup_of, read  # noqa: E402
from harness import main, test  # noqa: E402
from instance import Supd, service  # noqa: E402
from processes import eventually, kill, skip  # noqa: E402

EATER = "b = []\nwhile True:\n    b.append(bytearray(b'x' * 1048576))\n"
SLEEPER = ["/bin/sleep", "1000"]


def need(*controllers):
    path = (cgroup_of("self") or "") + "/cgroup.controllers"
    have = read(path).split()
    for name in controllers:
        if name not in have:
            skip(f"no controller {name} here")


def limited(name, command, limits, **keys):
    """A service with a section cgroup."""
    section = " ".join(f"{key} = {value}" for key, value in limits.items())
    return service(name, command, **keys)[:-2] + f"    cgroup {{ {section} }}\n}}\n"


def value(t, name, file):
    return read(f"{t.call('supd.info')['cgroup']}/{name}.service/{file}").strip()


@test
def out_of_memory(t):
    """It is killed, told so with the limit, and started again by its policy; others are untouched."""
    need("memory")
    eater = [sys.executable, t.write("eater.py", EATER)]
    t.configure(
        limited("eater", eater, {"memory-max": "48M", "swap-max": 0}, restart="on-failure", restart_delay="100ms"),
        limited("once", eater, {"memory-max": "48M", "swap-max": 0}, restart="no"),
        service("other", SLEEPER),
    )
    t.start()
    s = t.wait_state("once", "failed")
    t.eq(s["reason"], "killed by the OOM killer: memory-max 48M", "the reason")
    t.eq((s["exit"]["how"], s["exit"]["signal"], s["exit"]["oom"]), ("signaled", "KILL", True), "the exit")
    t.match(t.log_text(), r"warning .*once: the OOM killer has killed 1 of its processes \(memory-max: 48M\)", "the log")
    t.wait_for("eater", lambda s: s["restarts"] >= 2, "it is started again")
    t.eq(t.status("other")["starts"], 1, "another service runs on")
    usage = t.status("once")["exit"]["usage"]
    t.eq((usage["source"], t.status("eater")["exit"]["oom"]), ("cgroup", True), "what is told of the ends")
    if os.path.exists(f"{t.call('supd.info')['cgroup']}/other.service/memory.peak"):  # Linux 5.19
        t.eq(usage["memory-source"], "cgroup", "where its memory is from")
        t.check((40 << 20) < usage["memory-peak"] <= (48 << 20), f"its memory at most: {usage}")


@test
def a_child_out_of_memory(t):
    """Another process than the main one is killed: that is told, and a later SIGKILL is not put down to it."""
    need("memory")
    eater = t.write("eater.py", EATER)
    script = f"{sys.executable} {eater}; echo $? > {t.path('child')}; exec sleep 1000"
    t.configure(limited("web", ["/bin/sh", "-c", script], {"memory-max": "48M", "swap-max": 0}, restart="no"))
    t.start()
    eventually(lambda: read(t.path("child")) == "137\n", "the child is killed")
    t.eq(t.status("web")["state"], "running", "the service runs on")
    eventually(lambda: "the OOM killer has killed 1 of its processes" in t.log_text(), "it is told")
    t.crash_and_start()
    t.ctl("signal", "KILL", "web")
    s = t.wait_state("web", "failed")
    t.eq((s["reason"], s["exit"]["oom"]), ("killed by KILL", False), "an end that has nothing to do with it")


@test
def out_of_memory_while_supd_is_dead(t):
    need("memory")
    gate = t.gate("gate")
    script = f"read go < {gate}; exec {sys.executable} {t.write('eater.py', EATER)}"
    t.configure(limited("web", ["/bin/sh", "-c", script], {"memory-max": "48M", "swap-max": 0}, restart="no"))
    t.start()
    t.wait_state("web", "running")
    path = f"{t.call('supd.info')['cgroup']}/web.service"
    t.crash()
    t.open_gate(gate, "go\n")
    eventually(lambda: "populated 0" in read(path + "/cgroup.events"), "it is killed")
    t.start()
    s = t.wait_state("web", "failed")
    t.match(t.log_text(), r"web: the OOM killer has killed 1 of its processes", "the log")
    t.check(s["exit"]["how"] == "unknown" or s["exit"]["oom"], f"its end: {s['exit']}")


@test
def files_of_the_kernel(t):
    need("memory", "pids", "cpu")
    limits = {"memory-max": "64M", "memory-high": "60M", "pids-max": 17, "cpu-max": "50%", "cpu-weight": 33}
    t.configure(limited("web", SLEEPER, limits), service("plain", SLEEPER))
    t.start()
    t.wait_all("running")
    pid = t.status("web")["pid"]

    def files():
        names = ("memory.max", "memory.high", "pids.max", "cpu.max", "cpu.weight")
        return [value(t, "web", name) for name in names]

    t.eq(files(), [str(64 << 20), str(60 << 20), "17", "50000 100000", "33"], "limits")
    t.eq([value(t, "plain", "memory.max"), value(t, "plain", "pids.max")], ["max", "max"], "a service without")
    s = t.status("web")
    t.check(s["memory"] == int(value(t, "web", "memory.current")) and s["tasks"] == 1, f"what status tells: {s}")

    t.configure(limited("web", SLEEPER, {"memory-max": "80M", "cpu-max": "20ms/40ms"}), service("plain", SLEEPER))
    t.eq(t.ctl("reread").code, 0, "reread")
    t.eq(files(), [str(80 << 20), "max", "max", "20000 40000", "100"], "changed, and lifted, without a restart")
    t.eq((t.status("web")["pid"], t.status("web")["config-stale"]), (pid, False), "the same process")

    path = t.call("supd.info")["cgroup"]
    t.crash()
    for directory in (path, os.path.dirname(path)):
        with open(directory + "/cgroup.subtree_control", "w", encoding="utf-8") as f:
            f.write("-memory -cpu -pids")
    t.check(not os.path.exists(f"{path}/web.service/memory.max"), "the controllers are gone")
    t.start()
    t.eq(files(), [str(80 << 20), "max", "max", "20000 40000", "100"], "supd enables them and writes the limits again")


@test
def out_of_memory_when_adopted(t):
    """It is not our child then; and a SIGKILL from somebody is no OOM kill, also under a limit."""
    need("memory")
    gate = t.gate("gate")
    script = f"read go < {gate}; exec {sys.executable} {t.write('eater.py', EATER)}"
    limits = {"memory-max": "48M", "swap-max": 0}
    t.configure(
        limited("web", ["/bin/sh", "-c", script], limits, restart="no"), limited("a", SLEEPER, limits, restart="no")
    )
    t.start()
    t.wait_all("running")
    t.crash_and_start()
    kill(t.status("a")["pid"], signal.SIGKILL)
    t.check("OOM" not in t.wait_state("a", "failed")["reason"], "the reason of the other")
    t.open_gate(gate, "go\n")
    s = t.wait_state("web", "failed")
    if s["exit"]["how"] == "unknown":
        t.match(t.log_text(), "web: the OOM killer has killed 1 of its processes", "the log")
    else:
        t.eq(s["reason"], "killed by the OOM killer: memory-max 48M", "the reason")


@test
def tasks(t):
    need("pids")
    script = "for i in 1 2 3 4 5 6 7 8; do sleep 1000 & done; exec sleep 1001"
    t.configure(limited("web", ["/bin/bash", "-c", script], {"pids-max": 4}, restart="no"))
    t.start()
    eventually(lambda: "max 0" not in value(t, "web", "pids.events"), "a fork is refused")
    t.check(1 <= int(value(t, "web", "pids.current")) <= 4, "and no more than four are there")
    t.check(1 <= t.status("web")["tasks"] <= 4, "the tasks in status")


@test
def time_of_the_processor(t):
    need("cpu")
    t.configure(limited("busy", ["/bin/sh", "-c", "while :; do :; done"], {"cpu-max": "10%"}))
    t.start()
    t.wait_state("busy", "running")

    def held_back():
        counts = dict(line.split() for line in value(t, "busy", "cpu.stat").splitlines())
        return int(counts["nr_throttled"]) > 2

    eventually(held_back, "it is held back")


@test
def with_cgroups_of_its_own(t):
    """A service that has given controllers to what it made below: no process may be beside them, so a hook is below, too."""
    need("memory")
    own = "cd /sys/fs/cgroup$(sed -n s/^0:://p /proc/self/cgroup)"
    script = f"{own} && mkdir main && echo $$ >main/cgroup.procs && echo +memory >cgroup.subtree_control && exec sleep 1000"
    hook = ["/bin/sh", "-c", f"cat /proc/self/cgroup >> {t.path('hooks')}"]
    t.configure(service("web", ["/bin/sh", "-c", script], reload_command=hook, post_stop=hook))
    t.start()
    eventually(lambda: value(t, "web", "cgroup.subtree_control") == "memory", "it has controllers for its own")
    path = f"{t.call('supd.info')['cgroup']}/web.service"
    for adopted in (False, True):
        if adopted:
            t.crash_and_start()
        t.eq(t.ctl("reload", "web").code, 0, f"reload, adopted {adopted}")
    t.eq(t.ctl("stop", "web").code, 0, "stop")
    t.eq(len(re.findall(r"/web\.service/supd\n", t.read("hooks"))), 3, "all hooks ran below it")
    t.check(not os.path.exists(path), "nothing is left of it")


@test
def two_supds(t):
    """Below one cgroup: the end of one takes no controller from the services of the other."""
    need("memory")
    other = Supd(t.path("other"))
    os.mkdir(other.dir)
    for one in (t, other):
        one.configure(limited("web", SLEEPER, {"memory-max": "64M"}))
        one.start()
        one.wait_state("web", "running")
    other.terminate()
    t.eq(value(t, "web", "memory.max"), str(64 << 20), "its limit")
    t.check(other.failures == [], f"the other: {other.failures}")


if __name__ == "__main__":
    main()
