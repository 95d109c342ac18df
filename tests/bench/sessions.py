# SPDX-License-Identifier: MIT
"""What is done with one supervisor in one go, and which figures come of it."""
import contextlib
import os
import shutil
import tempfile
import time

import peers
from layers import LayeredSupd, NotifyingSupd
from noise import NoisySupd
from peers.base import PAUSE
from processes import all_pids, descendants, is_alive, kill
from stored import StoredSupd

QUIET = 8  # more than it takes any of them to start its first service
REST = 10  # s, at most
IN_MEMORY = "/dev/shm"  # where a runtime directory is, and no disk waited for


class NoRoom(Exception):
    """The machine has no numbers left for so many processes."""


def check_room(n):
    """Those that were killed keep their numbers until they are reaped, and others need some too."""
    with open("/proc/sys/kernel/pid_max", encoding="utf-8") as file:
        most = int(file.read())
    there = len(all_pids())
    if there + 2 * n + 2000 > most:
        raise NoRoom(f"{there} processes are there and {2 * n} more may be needed; kernel.pid_max is {most}")


@contextlib.contextmanager
def started(kind, tools, n, life=None):
    """A running supervisor of KIND with N workers."""
    check_room(n)
    directory = tempfile.mkdtemp(prefix="supd-bench-", dir=IN_MEMORY)
    peer = kind(tools, directory, n, life)
    try:
        peer.configure()
        peer.launch()
        yield peer
    finally:
        end_all_below(peer)
        shutil.rmtree(directory, ignore_errors=True)


def end_all_below(peer):
    """The supervisor, which may start again what is killed, before the workers."""
    peer.clear()
    while pids := [pid for pid in descendants(os.getpid()) if is_alive(pid)]:
        for pid in pids:
            kill(pid, 9)
        time.sleep(0.01)
    reap()


def reap():
    """What was orphaned is our child now, and keeps its number until then."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0] != 0:
            pass


def collect(peer, want, seconds):
    """WANT restart latencies in ms, or those of so many SECONDS."""
    first = peer.board.count()
    deadline = time.monotonic() + seconds
    while peer.board.count() - first < want and time.monotonic() < deadline:
        peer.wait(lambda: True, "a restart")
        time.sleep(PAUSE)
    return peer.board.samples(first)


def young(kind, tools, scale):
    """One service that ends as soon as it has come."""
    with started(kind, tools, 1, (0, 0)) as peer:
        collect(peer, 20, 3)  # the first are slower for all
        return {"young": collect(peer, scale.restarts, scale.latency_seconds)}


def aged(kind, tools, scale):
    """Services that live for one to two seconds each."""
    with started(kind, tools, 20, (1000, 2000)) as peer:
        return {"aged": collect(peer, scale.aged_restarts, scale.aged_seconds)}


def status(peer, which, rounds):
    command = peer.status_command(which)
    return peer.drive("time", rounds, *command, inside=False) if command else None


def activity(peer):
    """(context switches, CPU ns) of all its own processes so far."""
    switches = cpu = 0
    for pid in peer.own_processes():
        with open(f"/proc/{pid}/status", encoding="utf-8") as file:
            switches += sum(int(line.split()[1]) for line in file if "ctxt_switches" in line)
        with open(f"/proc/{pid}/schedstat", encoding="utf-8") as file:
            cpu += int(file.read().split()[0])
    return switches, cpu


def come_to_rest(peer):
    """The last worker has come before supd has heard of it."""
    before, now = None, activity(peer)
    deadline = time.monotonic() + REST
    while now != before and time.monotonic() < deadline:
        time.sleep(0.1)
        before, now = now, activity(peer)


def memory(peer):
    """MiB of all its own processes, once they have nothing to do; what several share counts once."""
    come_to_rest(peer)
    total = 0
    for pid in peer.own_processes():
        with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as file:
            total += next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
    return total / 1024


def idle(peer, seconds):
    time.sleep(1)
    switches, cpu = activity(peer)
    time.sleep(seconds)
    switches_then, cpu_then = activity(peer)
    return {"idle_switches": switches_then - switches, "idle_cpu": (cpu_then - cpu) / 1e6}


def thousand(kind, tools, scale):
    with started(kind, tools, 1000) as peer:
        figures = {"start_1000": peer.board.started_in(), "memory_1000": memory(peer)}
        figures["status_one"] = status(peer, "one", scale.status_rounds)
        figures["status_all"] = status(peer, "all", max(1, scale.status_rounds // 5))
        figures["storm_1000"] = peer.drive("storm", peer.board.path)[0]
        return figures


def five_thousand(kind, tools, scale):
    with started(kind, tools, 5000) as peer:
        return {"start_5000": peer.board.started_in()}


def layers(kind, tools, scale):
    with started(kind, tools, 5000) as peer:
        return {"layers_5000": peer.board.started_in()}


def ready_layers(kind, tools, scale):
    with started(kind, tools, 5000) as peer:
        return {"ready_5000": peer.board.started_in()}


def storm_and_stop(peer):
    """ms from the first kill until all are back, and from the signal to the end of the last."""
    storm = peer.drive("storm", peer.board.path)[0]
    reap()  # as init does: those of a supervisor before were orphaned, and 10,000 zombies are in the way of all
    return storm, peer.end()


def ten_thousand(kind, tools, scale):
    with started(kind, tools, 10000) as peer:
        figures = {"start_10000": peer.board.started_in(), "memory_10000": memory(peer)}
        figures.update(idle(peer, scale.idle_seconds))
        if peer.json:
            figures["json_10000"] = status(peer, "json", 5)
        figures["storm_10000"], figures["stop_10000"] = storm_and_stop(peer)
        return figures


def taken_back(kind, tools, scale):
    """As ten_thousand, but it was killed and has started none of those that are there."""
    with started(kind, tools, 10000) as peer:
        figures = {}
        figures["reattach_10000"], figures["reattach_to_lock"] = peer.reattach()
        figures["storm_adopted"], figures["stop_adopted"] = storm_and_stop(peer)
        return figures


def stored(kind, tools, scale):
    with started(kind, tools, 10000) as peer:
        return {"stored_10000": peer.answered, "stored_to_lock": peer.locked}


def nobody_comes_any_more(peer):
    """A condition: all workers have come once more, or none for QUIET seconds, since nobody need come if nobody has gone."""
    seen = [0, time.monotonic()]

    def quiet():
        arrived = peer.board.arrived()
        if arrived != seen[0]:
            seen[:] = [arrived, time.monotonic()]
        return arrived >= peer.n or time.monotonic() - seen[1] > QUIET

    return quiet


def killed(kind, tools, scale):
    """All its own processes are killed and it is started again: which workers are the same, which are there twice?"""
    with started(kind, tools, 100) as peer:
        before = peer.board.pids()
        peer.kill_own()
        alive = sum(map(is_alive, before))
        peer.board.forget_arrivals()
        peer.launch(nobody_comes_any_more(peer))
        after = peer.board.pids()
        return {
            "kept": sum(old == new and is_alive(new) for old, new in zip(before, after)) * 100 / alive,
            "doubled": sum(old != new and is_alive(old) and is_alive(new) for old, new in zip(before, after)),
        }


def noisy(kind, tools, scale):
    """Restart latency beside 200 callers, 500 that crash and one that floods its log; compared with the quiet one."""
    with started(kind, tools, 20, (1000, 2000)) as peer:
        quiet = collect(peer, scale.aged_restarts, scale.aged_seconds)
        with peer.noise():
            loud = collect(peer, scale.aged_restarts, scale.aged_seconds)
        return {"quiet": quiet, "noisy": loud}


EVERYBODY = peers.ALL
OURS = (*peers.BARE, peers.Supd)

# Name, what is done, with whom.
SESSIONS = (
    ("young", young, EVERYBODY),
    ("aged", aged, EVERYBODY),
    ("thousand", thousand, EVERYBODY),
    ("five_thousand", five_thousand, [p for p in EVERYBODY if p.most >= 5000 and p != peers.SupdWithCgroups]),
    ("layers", layers, (*peers.BARE, LayeredSupd)),
    ("ready_layers", ready_layers, (*peers.BARE, NotifyingSupd)),
    ("ten_thousand", ten_thousand, OURS),
    ("taken_back", taken_back, (peers.Supd,)),
    ("stored", stored, (StoredSupd,)),
    ("killed", killed, [p for p in EVERYBODY if p not in (*peers.BARE, peers.SupdWithCgroups, peers.Systemd)]),
    ("noisy", noisy, (NoisySupd,)),
)
