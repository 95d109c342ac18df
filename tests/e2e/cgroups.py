# SPDX-License-Identifier: MIT
"""Where control groups are, and the removal of those that a supd under test has left."""
import os
import re

from processes import skip


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
