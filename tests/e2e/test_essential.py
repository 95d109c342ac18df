#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Essential services: when one has ended for good, supd stops everything and exits with its status."""
import os
import signal

from harness import main, test
from instance import service
from processes import DEADLINE, Failed, eventually, is_alive, kill


def essential(t, *steps, name="job", **keys):
    return service(name, t.worker(*steps), **{"essential": True, "restart": "no", **keys})


def gated(t, **keys):
    """An essential service whose end open_gate() decides."""
    gate = t.gate("gate")
    return gate, essential(t, "gate", gate, "for-ever", **keys)


def ended_whole(t, status, what):
    t.eq(t.wait_end(), status, what)
    t.nothing_left(what)
    t.check(not os.path.exists(t.path("run", "state")), f"{what}: nothing is to be taken back")


def answering(t):
    """pid of the supd that answers."""
    try:
        return t.call("supd.info")["pid"]
    except (OSError, Failed):
        return None


@test
def its_status_is_supds(t):
    endings = {
        "exit": (["exit", 7], 7),
        "success": (["exit", 0], 0),
        "signal": (["raise", "KILL"], 128 + signal.SIGKILL),
    }
    for what, (steps, status) in endings.items():
        gate, job = gated(t)
        t.configure(job, t.trio("other"))
        t.start()
        t.wait_trio("other")
        t.open_gate(gate, *steps)
        ended_whole(t, status, what)
        os.unlink(gate)
        os.unlink(t.path("other.mark"))
    t.match(t.log_text(), "job is essential and has ended: stopping every service", "it is said")
    t.configure(service("job", [t.path("nowhere")], essential=True, restart="no"), t.sleeper("other"))
    t.spawn()
    ended_whole(t, 203, "a program that is not there")
    t.configure(essential(t, "for-ever", pre_start=["/bin/false"]))
    t.spawn()
    ended_whole(t, 1, "one that could not be started")


@test
def the_policy_comes_first(t):
    t.configure(
        essential(t, "mark", t.path("job.mark"), "exit", 9, restart="on-failure", restart_limit=3, restart_delay=0),
        t.sleeper("other"),
    )
    t.spawn()
    ended_whole(t, 9, "after three runs")
    t.eq(len(t.marks("job")), 3, "runs")


@test
def what_is_wanted_is_no_end(t):
    """A stop by command, a restart, and the end of one that is essential no more."""
    gate, job = gated(t)
    t.configure(job, t.sleeper("other"))
    t.start()
    t.wait_all("running")
    for command in ("restart", "stop", "start"):
        t.eq(t.ctl(command, "job").code, 0, command)
    other = t.wait_marked("other")["pid"]
    t.configure(job.replace("essential = yes", "essential = no"), t.sleeper("other"))
    t.eq(t.ctl("reread").code, 0, "reread")
    t.check(not t.status("job")["config-stale"], "it is applied at once")
    t.open_gate(gate, "exit", 7)
    t.wait_state("job", "failed")
    # Only an end counts, not that it has ended before it became essential.
    t.configure(job, t.sleeper("other"))
    t.eq(t.ctl("reread").code, 0, "reread")
    t.crash_and_start()
    t.eq((t.status("job")["state"], t.status("other")["pid"]), ("failed", other), "supd goes on")
    t.eq(t.terminate(), 0, "a wanted end")


@test
def it_ends_while_supd_is_dead(t):
    gate, job = gated(t)
    t.configure(job, t.sleeper("other"))
    t.start()
    t.wait_marked("other")
    pid = t.wait_state("job", "running")["pid"]
    t.crash()
    kill(pid, signal.SIGKILL)
    eventually(lambda: not is_alive(pid), "it has ended")
    t.spawn()
    status = t.wait_end()
    t.check(status in (1, 137), f"exit status {status}, where nobody has kept a descriptor of it for supd")
    t.nothing_left()


@test
def supd_dies_in_the_middle(t):
    """Of stopping the others: the next supd goes on, also where none of them is left, and exits with the same status."""
    for what in ("goes on", "has nothing left to stop"):
        gate, job = gated(t)
        t.configure(job, t.deaf("other"))
        t.start()
        t.wait_state("job", "running")
        other = t.wait_marked("other")["pid"]
        t.open_gate(gate, "exit", 7)
        eventually(lambda: t.got("other") == ["TERM"], f"{what}: the other was asked to end")
        t.crash()
        if what == "goes on":
            t.start()
            t.check(is_alive(other), "the other still has its time")
        kill(other, signal.SIGKILL)
        if what != "goes on":
            eventually(lambda: not is_alive(other), "the other has ended")
            t.spawn()
        ended_whole(t, 7, what)
        for name in ("gate", "other.got", "other.mark"):
            os.unlink(t.path(name))
    t.configure(t.sleeper("job"))
    t.start()
    t.wait_state("job", "running")
    t.eq(t.terminate(), 0, "the next start is a fresh one")


@test
def below_init_the_status_is_passed_on(t):
    gate, job = gated(t)
    t.configure(job, t.deaf("other"))
    init = t.spawn("--init")
    supd = eventually(lambda: answering(t), "supd answers")
    t.wait_state("job", "running")
    other = t.wait_marked("other")["pid"]
    t.open_gate(gate, "exit", 42)
    eventually(lambda: t.got("other") == ["TERM"], "the other was asked to end")
    kill(supd, signal.SIGKILL)
    eventually(lambda: answering(t) not in (None, supd), "another supd")
    kill(other, signal.SIGKILL)
    t.eq(init.wait(DEADLINE), 42, "exit status of --init")
    t.nothing_left()


if __name__ == "__main__":
    main()
