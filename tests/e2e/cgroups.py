# SPDX-License-Identifier: MIT
"""Where control groups are, services that fill theirs, and the removal of those that a supd under test has left."""
import os
import re

from instance import service
from processes import Pid, eventually, read_stat, skip


def mounts():
    """[(mount point, its root in the hierarchy)] of cgroup v2."""
    found = []
    with open("/proc/self/mountinfo", encoding="utf-8") as f:
        for line in f:
            words = line.split()
            if words[words.index("-") + 1] == "cgroup2":
                found.append((words[4], words[3].rstrip("/")))
    return found


def cgroup_of(pid):
    """The directory of the cgroup v2 of a process."""
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8") as f:
            name = next(line[3:].rstrip("\n") for line in f if line.startswith("0::"))
    except (OSError, StopIteration):
        return None
    for point, root in mounts():
        if name.startswith(root):
            path = os.path.normpath(point + "/" + name[len(root) :])
            if os.path.exists(path + "/cgroup.procs"):
                return path
    return None


def trees_of(directory):
    """Names of the trees that supd makes for the runtime directories below a directory."""
    names = set()
    for path, _, files in os.walk(directory):
        if "lock" not in files:
            continue
        try:
            with open(os.path.join(path, "lock"), encoding="ascii", errors="replace") as f:
                names.update("supd-" + found for found in re.findall(r"\b[0-9a-f]{32}\b", f.read(4096)))
        except OSError:
            pass
    return names


def remove_trees(directory):
    """A supd that was killed leaves its cgroups; nobody is in them any more."""
    own = cgroup_of("self")
    for name in trees_of(directory) if own else ():
        for path, _, _ in os.walk(os.path.join(own, name), topdown=False):
            try:
                os.rmdir(path)
            except OSError:
                pass


def need_cgroups():
    """The directory of our own, where others can be made."""
    own = cgroup_of("self")
    probe = own and f"{own}/supd-probe-{os.getpid()}"
    try:
        os.mkdir(probe)
        os.rmdir(probe)
    except (OSError, TypeError):
        skip("no cgroups can be made here")
    return own


def read(path):
    """A file; the empty string where it is not there."""
    try:
        with open(path, encoding="utf-8") as f:
            return f.read()
    except OSError:
        return ""


def members(path):
    return sorted(Pid(pid) for pid in read(path + "/cgroup.procs").split())


def event(path, key):
    return dict(line.split() for line in read(path + "/cgroup.events").splitlines()).get(key)


def tree(t):
    return t.call("supd.info")["cgroup"]


def leaver(name, **keys):
    """A service with a child that leaves its session and process group, and a grandchild whose parent has ended."""
    script = "setsid sleep 1000 & (setsid sleep 1001 & ) ; exec sleep 1002"
    return service(name, ["/bin/sh", "-c", script], **keys)


def wait_members(path, count, name=None):
    """count processes, that have all executed the program name."""

    def complete():
        pids = members(path)
        return len(pids) == count and (not name or all(read(f"/proc/{p}/comm") == name + "\n" for p in pids)) and pids

    return eventually(complete, f"{count} processes in {path}")


def wait_leaver(t, name):
    t.wait_state(name, "running")
    return wait_members(f"{tree(t)}/{name}.service", 3, "sleep")


def stray(name, deaf="", **keys):
    """A daemon two forks away in a session of its own, and with nothing in its environment; behind a main process."""
    sleeper = f"{deaf} while :; do sleep 1000; done" if deaf else "exec sleep 1001"
    script = f"env -i setsid sh -c '(exec env -i sh -c \"{sleeper}\") & exit' ; exec sleep 1002"
    return service(name, ["/bin/sh", "-c", script], **keys)


def wait_stray(t, name, count=2):
    """The pids of the main process and of its daemon, whose parent has ended."""
    path = f"{tree(t)}/{name}.service"

    def complete():
        main_pid = t.status(name)["pid"]
        others = [pid for pid in members(path) if pid != main_pid]
        sessions = {read_stat(pid)[3] for pid in others if read_stat(pid)}
        # Who sleeps, or has somebody sleep, has come through all that goes before it.
        asleep = any(read(f"/proc/{pid}/comm") == "sleep\n" for pid in others)
        return asleep and len(others) == count - 1 and main_pid not in sessions and (main_pid, others)

    return eventually(complete, f"{name} and its daemon")
