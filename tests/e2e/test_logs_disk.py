#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Logs on a disk that takes nothing: whose log it is waits, or loses what is counted; nobody else notices."""
import ctypes
import os
import re
import subprocess

from harness import main, test
from instance import service
from processes import eventually, skip

CLONE_NEWNS = 0x20000
LINES = 40000
BLOCK = 4096


def numbers(count):
    """What the worker's step `numbers` writes."""
    return b"".join(b"%08d %s\n" % (n, b"x" * (n * 7919 % 120)) for n in range(count))


def small_disk(t, options):
    """A file system of our own; where it is."""
    path = t.path("small")
    os.mkdir(path)
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS) != 0:
        skip("no mount namespace can be had here")
    if (
        subprocess.call(["mount", "--make-rprivate", "/"]) != 0
        or subprocess.call(["mount", "-t", "tmpfs", "-o", options, "none", path]) != 0
    ):
        skip("no file system can be mounted here")
    return path


def fill(path, room):
    """A file that leaves so many bytes of the disk."""
    with open(path, "wb", buffering=0) as f:
        try:
            while True:
                f.write(bytes(BLOCK))
        except OSError:
            f.truncate(f.tell() // BLOCK * BLOCK - room)


def bytes_of(path):
    with open(path, "rb") as f:
        return f.read()


def all_services_go_on(t):
    """supd, and a service with a log elsewhere; a line of its first life that comes late is no answer."""
    eventually(lambda: t.read("other.txt"), "what it has said before is written")
    before = t.read("other.txt")
    t.eq(t.ctl("restart", "other").code, 0, "another service is started again")
    eventually(lambda: t.read("other.txt") == before + "here\n", "and its log written")


@test(root=True)
def full_disk(t):
    """It is said once; when there is room all is written, or what was lost is counted."""
    small = small_disk(t, "size=16m")
    gate = t.gate("gate")
    t.configure(
        service("full", t.worker("numbers", LINES, "mark", t.path("full.mark"), "for-ever"), log=small + "/full.txt"),
        service("lossy", t.worker("numbers", LINES, "mark", t.path("lossy.mark"), "gate", gate, "print", "the end", "for-ever"),
                log=small + "/lossy.txt", log_when_full="drop"),
        service("other", t.worker("print", "here", "for-ever"), log=t.path("other.txt")),
    )
    fill(small + "/ballast", 16 * BLOCK)
    t.start()
    for name in ("full", "lossy"):
        eventually(lambda name=name: f"{name}: cannot write its log to" in t.log_text(), f"{name}: it is said")
    eventually(lambda: t.marks("lossy"), "the one that may lose output goes on")
    eventually(lambda: t.call("log.pending", names=["full"]) > 60000, "the other's FIFO is full")
    t.eq(t.marks("full"), [], "it waits")
    all_services_go_on(t)
    t.crash_and_start()
    all_services_go_on(t)
    for name in ("full", "lossy"):
        t.eq(t.log_text().count(f"{name}: cannot write its log to"), 1, f"{name}: how often it is said")
    t.match(t.log_text(), "No space left on device", "why")
    os.unlink(small + "/ballast")
    eventually(lambda: t.marks("full"), "there is room: it goes on")
    eventually(lambda: bytes_of(small + "/full.txt") == numbers(LINES), "nothing is lost or doubled")
    eventually(lambda: "full: its log is written to" in t.log_text(), "that is said, too")
    t.open_gate(gate)
    eventually(lambda: bytes_of(small + "/lossy.txt").endswith(b"the end\n"), "the end of the other")
    text = bytes_of(small + "/lossy.txt")
    notice = rb"suplog: (\d+) bytes were dropped here, for nothing could be written\n"
    lost = sum(int(found) for found in re.findall(notice, text))
    t.check(lost > 0, "something was lost")
    there = re.sub(rb"\n?" + notice, b"", text)
    t.check(0 <= len(numbers(LINES)) + len(b"the end\n") - len(there) - lost <= text.count(b"suplog: "), "each byte is there or counted")
    told = r"lossy: (\d+) bytes of its output were dropped"
    eventually(lambda: sum(int(n) for n in re.findall(told, t.log_text())) == lost, f"it is said that {lost} are lost")
    t.eq(t.terminate(), 0, "exit code")


@test(root=True)
def read_only(t):
    """A log that cannot be made is waited for, and is whole then."""
    small = small_disk(t, "size=16m,ro")
    t.configure(
        service("waits", t.worker("print", "one", "for-ever"), log=small + "/deep/waits.txt"),
        service("other", t.worker("print", "here", "for-ever"), log=t.path("other.txt")),
    )
    t.start()
    eventually(lambda: "waits: cannot write its log to" in t.log_text(), "it is said")
    t.match(t.log_text(), "Read-only file system", "why")
    t.wait_state("waits", "running")
    all_services_go_on(t)
    t.eq(t.log_text().count("waits: cannot write its log to"), 1, "it is said once")
    t.eq(subprocess.call(["mount", "-o", "remount,rw", small]), 0, "somebody repairs it")
    eventually(lambda: t.read("small/deep/waits.txt") == "one\n", "it is written")
    t.eq(t.terminate(), 0, "exit code")


if __name__ == "__main__":
    main()
