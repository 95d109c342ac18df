#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What an exit tells of the process: the process itself has measured it too."""
import json
import signal
import sys

from cgroups import need_cgroups
from harness import main, test
from instance import service
from processes import eventually, kill


HUNGRY = """
import json, resource, sys, time
block = bytearray(b"x" * (48 << 20))
while time.process_time() < 0.3:
    pass
time.sleep(0.05)
used = resource.getrusage(resource.RUSAGE_SELF)
with open(sys.argv[1], "w") as f:
    json.dump([used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, used.ru_minflt, used.ru_nvcsw], f)
sys.exit(3)
"""


@test
def what_it_used(t):
    """In status, in the event of the end, and in the log; after a crash of supd it is not known, but what follows is."""
    program = t.write("hungry.py", HUNGRY)
    t.configure(service("a", [sys.executable, program, t.path("truth")], restart="no", enabled=False))
    t.start()
    with t.client() as client:
        client.call("events.subscribe", names=["a"])
        t.ctl("start", "a")
        event = client.receive()["params"]
        while event["to"] != "failed":
            event = client.receive()["params"]
    s = t.wait_state("a", "failed")
    usage = s["exit"]["usage"]
    t.eq(event["exit"], s["exit"], "the event tells the same as status")

    cpu, peak, faults, switches = json.loads(t.read("truth"))
    t.check(cpu <= usage["cpu-user"] + usage["cpu-system"] + 0.001 < cpu + 30, f"CPU: {usage}, measured {cpu}")
    t.check(peak <= usage["memory-peak"] < 2 * peak, f"memory: {usage}, measured {peak}")
    t.check(faults <= usage["faults-minor"], f"faults: {usage}, measured {faults}")
    t.check(switches <= usage["switches-voluntary"], f"switches: {usage}, measured {switches}")
    t.check(usage["run-time"] >= 0.35, f"run time: {usage}")
    t.check(usage["faults-major"] >= 0 and usage["switches-involuntary"] >= 0, f"the rest: {usage}")
    t.match(t.log_text(), r"a: exit 3 after [0-9.minh ]+s, \d+\.\d\d s of CPU, \d+\.\dM at most", "the log")

    t.crash()
    t.start()
    s = t.wait_state("a", "failed")
    t.eq((s["exit"]["code"], s["exit"]["usage"]), (3, None), "a later supd knows the end, and not the usage")
    t.ctl("start", "a")
    s = t.wait_for("a", lambda s: s["state"] == "failed" and s["starts"] == 2, "it has run again")
    t.check(s["exit"]["usage"]["memory-peak"] >= 48 << 20, f"the next exit: {s['exit']}")


@test
def adopted(t):
    """Only a parent is told all; of an adopted process no more is said than /proc does while it is a zombie."""
    gate = t.gate("gate")
    t.configure(service("a", t.worker("mark", t.path("a.mark"), "gate", gate), restart="no"))
    t.start()
    t.wait_marked("a")
    t.crash()
    t.start()
    t.wait_for("a", lambda s: s["adopted"], "it is adopted")
    t.open_gate(gate, "exit", 0)
    s = t.wait_for("a", lambda s: s["exit"], "its end is told")
    usage = s["exit"]["usage"]
    if usage is not None:
        t.eq([usage[k] for k in ("memory-peak", "switches-voluntary", "switches-involuntary")], [None] * 3, "unknown")
        t.check(usage["cpu-user"] >= 0 and usage["run-time"] > 0, f"known: {usage}")


# The child has left session and parent, and is not waited for by anybody but supd.
BURNER = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() != 0:
        os._exit(0)
    while time.process_time() < 0.4:
        pass
    os.rename(sys.argv[1] + ".part", sys.argv[1])
    os._exit(0)
os.wait()
while not os.path.exists(sys.argv[1]):
    time.sleep(0.01)
"""


@test
def the_whole_tree(t):
    """With a control group it is what all processes used, those before the main one among them; else its own."""
    need_cgroups()
    for use in ("auto", "no"):
        done = t.path(f"done-{use}")
        t.write(f"done-{use}.part", "")
        before = [sys.executable, "-c", "import time\nwhile time.process_time() < 0.2: pass"]
        burner = [sys.executable, t.write("burner.py", BURNER), done]
        t.configure(f"cgroup = {use}", service("a", burner, pre_start=before, restart="no"))
        t.start()
        usage = t.wait_state("a", "exited")["exit"]["usage"]
        cpu = usage["cpu-user"] + usage["cpu-system"]
        if use == "auto":
            t.eq(usage["source"], "cgroup", "where it is from")
            t.check(0.59 <= cpu < 30, f"the CPU time of all: {usage}")
        else:
            t.eq((usage["source"], usage["memory-source"]), ("wait", "wait"), "where it is from")
            t.check(cpu < 0.4, f"its own CPU time: {usage}")
        t.terminate()


@test
def the_whole_tree_of_an_adopted_service(t):
    """What it used before the crash of supd counts; of its memory at most nothing is known for certain."""
    need_cgroups()
    gate = t.gate("gate")
    burn = [sys.executable, "-c", "import time\nwhile time.process_time() < 0.2: pass"]
    t.configure(service("a", t.worker("mark", t.path("a.mark"), "gate", gate), pre_start=burn, restart="no"))
    t.start()
    t.wait_marked("a")
    t.crash_and_start()
    t.open_gate(gate, "exit", 0)
    usage = t.wait_for("a", lambda s: s["exit"], "its end is told")["exit"]["usage"]
    t.eq((usage["source"], usage["memory-peak"]), ("cgroup", None), "what is known")
    t.check(usage["cpu-user"] + usage["cpu-system"] >= 0.19, f"CPU: {usage}")


FAMILY = "sleep 1000 & sh -c 'sleep 1000 & wait' & wait"
MANY = 20


@test
def many_looked_at_together(t):
    """However many are asked for in one go, each is told the same as when it is asked for alone."""
    t.configure("cgroup = no\n" + "".join(t.sleeper(f"s{i:02}") for i in range(MANY)) +
                service("family", ["/bin/sh", "-c", FAMILY]))
    t.start()
    t.wait_for("family", lambda s: s["tasks"] == 4, "it and all below it")
    t.wait_for(f"s{MANY - 1:02}", lambda s: s["state"] == "running", "the last")
    tasks = {s["name"]: s["tasks"] for s in t.call("service.list")}
    t.eq(tasks, {**{f"s{i:02}": 1 for i in range(MANY)}, "family": 4}, "tasks")

    def told_the_same(name):
        return t.all()[name]["memory"] == t.status(name)["memory"]

    for name in ("family", "s07"):
        eventually(lambda name=name: told_the_same(name), f"memory of {name}, once it grows no more")


@test
def stopped_without_proc(t):
    """The kernel is asked whether a child is stopped where nothing else is wanted of /proc; of an adopted one it stands there."""
    t.configure(t.sleeper("a") + t.sleeper("b") + t.sleeper("c", enabled=False))
    t.start()

    def stopped():
        return dict(t.call("service.list", fields=["name", "stopped"]))

    for who in ("our child", "adopted"):
        pid = t.wait_state("b", "running")["pid"]
        t.eq(stopped(), {"a": False, "b": False, "c": False}, f"{who}: all go on")
        kill(pid, signal.SIGSTOP)
        eventually(lambda: stopped() == {"a": False, "b": True, "c": False}, f"{who}: it is stopped")
        t.eq(stopped()["b"], True, f"{who}: and stays so however often that is asked")
        t.match(t.ctl("status").out, r"b +running .*stopped by signal \(SIGSTOP\)", f"{who}: in the table")
        kill(pid, signal.SIGCONT)
        eventually(lambda: stopped()["b"] is False, f"{who}: it goes on")
        t.crash()
        t.start()


if __name__ == "__main__":
    main()
