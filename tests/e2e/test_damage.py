#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What supd keeps on disk is damaged, lost, or cannot be written: never two of a service, and it is told."""
import ctypes
import os
import random
import re
import shutil
import signal

from harness import main, test
from processes import kill, rounds, skip


DAMAGE = r"(?i)damage|corrupt|truncat|torn|garbage|unreadable|makes no sense|bad record|crc|checksum|skipped|incomplete"


def damaged_start(t, names, damage, what):
    """Crash, damage the state file, start: never two of a service."""
    before = {n: s["pid"] for n, s in t.all().items()}
    t.crash()
    with open(t.path("run/state"), "rb") as f:
        state = f.read()
    changed = damage(bytearray(state))
    if changed is None:
        os.unlink(t.path("run/state"))
    else:
        with open(t.path("run/state"), "wb") as f:
            f.write(changed)
    said = len(t.log_text())
    t.start()
    t.settle(names, what)
    kept = all(s["pid"] == before[n] for n, s in t.all().items())
    if changed is not None and not kept:
        t.match(t.log_text()[said:], DAMAGE, f"{what}: processes were lost, so the log tells the damage")
    return kept, t.log_text()[said:]


def damage_services(t):
    names = [f"s{n}" for n in range(4)]
    t.configure(*[t.sleeper(n) for n in names])
    t.start()
    t.settle(names, "at first")
    return names


@test
def state_file_cut_short(t):
    names = damage_services(t)
    size = os.path.getsize(t.path("run/state"))
    steps = sorted({0, 1, size - 1, *range(2, size, max(1, size // rounds(24)))})
    kept = 0
    for offset in steps:
        t.ctl("restart", "s0")
        kept += damaged_start(t, names, lambda s, o=offset: s[: min(o, len(s) - 1)], f"cut at {offset} of {size}")[0]
    t.check(kept > 0, "a cut in the last record loses no more than that")


@test
def state_file_flipped_bytes(t):
    names = damage_services(t)
    rng = random.Random(1)

    def flip(state, at, bit):
        state[at % len(state)] ^= 1 << bit
        return state

    told, flips = 0, rounds(24)
    for n in range(flips):
        at = rng.randrange(os.path.getsize(t.path("run/state")))
        told += bool(
            re.search(
                DAMAGE, damaged_start(t, names, lambda s, a=at: flip(s, a, rng.randrange(8)), f"flip {n} at {at}")[1]
            )
        )
    t.check(told >= flips * 5 // 6, f"a flipped bit is told in the log: only {told} of {flips} were")


@test
def state_file_that_cannot_be_read(t):
    names = damage_services(t)
    t.crash()
    os.rename(t.path("run/state"), t.path("run/kept"))
    os.mkdir(t.path("run/state"))
    done = t.run()
    t.eq(done.code, 1, "it does not start beside services that it cannot know of")
    t.match(done.err, r"run/state: Is a directory; .*: make it readable, or move it away", "place and remedy")
    os.rmdir(t.path("run/state"))
    os.rename(t.path("run/kept"), t.path("run/state"))
    t.start()
    t.settle(names, "all are taken back")


@test
def state_file_of_garbage(t):
    names = damage_services(t)
    rng = random.Random(2)
    cases = {
        "random bytes": lambda s: bytes(rng.randrange(256) for _ in range(5000)),
        "zeros": lambda s: bytes(len(s)),
        "empty": lambda s: b"",
        "text": lambda s: b"hello\n" * 1000,
        "garbage in front": lambda s: bytes(rng.randrange(256) for _ in range(777)) + s,
        "garbage behind": lambda s: s + bytes(rng.randrange(256) for _ in range(777)),
        "garbage in the middle": lambda s: s[: len(s) // 2] + b"\xff" * 300 + s[len(s) // 2 :],
        "twice": lambda s: s + s,
    }
    for what, damage in cases.items():
        said = damaged_start(t, names, damage, what)[1]
        if what not in ("empty", "twice"):
            t.match(said, DAMAGE, f"{what}: told in the log")
    t.check(os.path.exists(t.path("run/state.bad")), "a file that makes no sense is kept aside")


@test
def state_file_deleted(t):
    names = damage_services(t)
    for n in range(3):
        damaged_start(t, names, lambda s: None, f"state file deleted, {n}")


@test
def runtime_directory_deleted(t):
    """All that is known is gone: at worst the services begin afresh, and supd starts."""
    names = damage_services(t)
    t.crash()
    for pid in t.live():
        kill(pid, signal.SIGKILL)

    shutil.rmtree(t.run_dir)
    t.start()
    t.settle(names, "a new runtime directory")


@test(root=True)
def full_disk(t):
    """What cannot be recorded does not run; what runs is not harmed; when there is room, it goes on."""
    libc = ctypes.CDLL(None, use_errno=True)
    os.mkdir(t.run_dir)
    if (
        libc.unshare(0x00020000)
        or libc.mount(b"none", b"/", None, 0x44000, None)
        or libc.mount(b"tmpfs", t.run_dir.encode(), b"tmpfs", 0, b"size=256k,mode=755")
    ):
        skip("cannot mount a small file system here")
    t.configure(t.sleeper("a"), t.sleeper("b", enabled=False), t.sleeper("dies", restart_delay="50ms"))
    t.start()
    t.wait_state("a", "running")
    pid = t.wait_state("dies", "running")["pid"]
    with open(t.path("run/ballast"), "wb", buffering=0) as f:
        try:
            while True:
                f.write(bytes(4096))
        except OSError:
            pass
        try:
            while True:
                f.write(b"x")
        except OSError:
            pass
    refused = []
    for _ in range(300):  # the state file may still have room in its last page
        t.ctl("start", "b")
        if t.status("b")["state"] != "running":
            refused.append(t.status("b"))
            break
        t.ctl("stop", "b")
    if t.check(refused, "a start is refused at some time"):
        t.match(str(refused[0]["reason"]) + t.log_text(), r"No space left on device", "and the reason is told")
        t.eq(t.live("b"), [], "what is not recorded does not run")
    with t.client() as client:
        for _ in range(300):
            done = client.call("service.reset", names=["b"])[0]
            if not done["ok"]:
                break
        t.match(done["message"], r"cannot be recorded.*No space left", "a command is refused")
        done = client.call("service.stop", names=["a"])[0]
        t.eq((done["ok"], done["service"]["desired"]), (False, "up"), "a stop that cannot be recorded is not done")
    kill(pid, signal.SIGKILL)
    t.wait_for("dies", lambda s: s["exit"], "the death is seen")
    t.eq(t.status("a")["state"], "running", "a runs on")
    os.unlink(t.path("run/ballast"))
    t.wait_for("dies", lambda s: s["state"] == "running" and s["pid"] not in (None, pid), "with room it goes on")
    t.eq(t.ctl("start", "b").code, 0, "b starts")
    before = t.live()
    t.crash_and_start()
    t.eq((t.live(), len(before)), (before, 3), "and all of it is on record")
    t.eq(t.terminate(), 0, "exit code")


if __name__ == "__main__":
    main()
