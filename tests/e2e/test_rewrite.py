#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What is told once holds, though the state file is written anew at that very moment, or supd dies again and again."""
import os
import signal

from harness import main, test
from instance import service
from processes import eventually, is_alive, kill

SLACK = 256 * 1024  # how far the file may outgrow four times its first size before it is written anew
REFUSED = "not in the state file"  # what supd says of a process that only its environment tells of


def state_of(t):
    st = os.stat(os.path.join(t.run_dir, "state"))
    return st.st_ino, st.st_size


def grow(t, client, name, first_size, beyond):
    """Let the file of a supd grow, by commands that change nothing, to the brink; BEYOND: by one record over it."""
    threshold = 4 * first_size + SLACK
    record = 0
    inode, size = state_of(t)
    while size + record <= threshold:
        before = size
        client.call("service.reset", names=[name])
        _, size = state_of(t)
        record = size - before
        t.need(record > 0, "a command is recorded")
    if beyond:
        client.call("service.reset", names=[name])
    return inode


def start_idle(t):
    """supd with one service that is not wanted; the size of its file."""
    t.configure(t.sleeper("idle", enabled=False), t.sleeper("busy", enabled=False))
    t.start()
    return state_of(t)[1]


def command_at_the_brink(t, beyond):
    first_size = start_idle(t)
    with t.client() as client:
        inode = grow(t, client, "idle", first_size, beyond)
        client.call("service.start", names=["idle"])
        t.crash()
        rewritten = state_of(t)[0] != inode
    t.start()
    t.eq(t.status("idle")["desired"], "up", "a start that was acknowledged")
    return rewritten


@test
def a_command_is_the_last_record_that_fits(t):
    command_at_the_brink(t, False)


@test
def a_command_makes_the_file_be_written_anew(t):
    t.check(command_at_the_brink(t, True), "the file was written anew")


@test
def an_exec_lets_the_file_be_written_anew(t):
    """The file waits for a child before its exec; what it then says must do without the record of that child."""
    gate = t.gate("gate")
    t.configure(t.sleeper("late", stdin=gate, enabled=False, start_timeout="1h"), t.sleeper("idle", enabled=False))
    t.start()
    _, first_size = state_of(t)
    with t.client() as client:
        client.call("service.start", names=["late"])
        t.wait_for("late", lambda s: s["state"] == "starting" and s["pid"], "it hangs before its exec")
        inode = grow(t, client, "idle", first_size, True)
        client.call("service.reset", names=["idle"])
        t.eq(state_of(t)[0], inode, "the file waits for the child")
        writer = os.open(gate, os.O_RDWR)
        eventually(lambda: state_of(t)[0] != inode, "the file is written anew")
        t.crash()
    t.start()
    os.close(writer)
    t.wait_state("late", "running")
    t.eq(len(t.live("late")), 1, "one process")
    t.check(REFUSED not in t.log_text(), "it was known by its record")


@test
def a_removed_service_goes_though_supd_died(t):
    """Its main process has ended, what it left is being ended, and the new supd has it no more in its configuration."""
    steps = ("ignore", "TERM", "child-mark", t.path("left.mark"), "gate", t.gate("gate"))
    t.configure(service("gone", t.worker(*steps), stop_timeout="2s", restart="no"), t.sleeper("stays"))
    t.start()
    t.wait_state("gone", "running")
    eventually(lambda: len(t.marks("left")) == 1, "it has forked")
    t.open_gate(t.path("gate"), "exit", "3")
    t.wait_state("gone", "stopping")
    t.crash()
    t.configure(t.sleeper("stays"))
    t.start()
    eventually(lambda: "gone" not in t.all(), "it is forgotten once nothing of it is left")
    t.eq(t.live("gone"), [], "nothing of it is left")


@test
def a_shutdown_survives_two_crashes(t):
    t.configure(t.deaf("deaf"), t.sleeper("other"))
    t.start()
    t.wait_marked("deaf")
    pid = t.status("deaf")["pid"]
    t.call("supd.shutdown")
    t.wait_state("deaf", "stopping")
    for n in (1, 2, 3):
        t.crash_and_start()
        t.eq(t.status("deaf")["state"], "stopping", f"after crash {n}")
    t.check(is_alive(pid), "it is deaf")
    kill(pid, signal.SIGKILL)
    t.eq(t.wait_end(), 0, "supd ends as it was told to before it died")
    t.nothing_left()


if __name__ == "__main__":
    main()
