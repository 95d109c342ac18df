#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Control groups where things are not as supd would have them: in other places, moved, removed, or none at all."""
import glob
import json
import os
import re
import signal
import subprocess

from cgroups import cgroup_of, event, leaver, members, mounts, need_cgroups, read, stray, tree, wait_leaver, wait_members
from cgroups import wait_stray
from harness import main, test
from instance import service
from processes import eventually, is_alive, kill, skip


@test
def moved_away(t):
    """A main process that somebody has moved elsewhere is ended; what it has left in the cgroup, too."""
    own = need_cgroups()
    foreign = f"{own}/supd-foreign-{os.getpid()}"
    os.mkdir(foreign)
    try:
        t.configure(stray("a", kill_mode="cgroup", stop_timeout="1h"), stray("b", stop_timeout="1h"))
        t.start()
        for adopted in (False, True):
            t.ctl("start", "a", "b")
            found = {name: wait_stray(t, name) for name in "ab"}
            for main_pid, _ in found.values():
                with open(foreign + "/cgroup.procs", "w", encoding="utf-8") as f:
                    f.write(str(main_pid))
            if adopted:
                t.crash_and_start()
            t.match(t.ctl("pause", "a").err, "moved it", "it is not paused in part")
            t.eq(t.ctl("stop", "a", "b").code, 0, "stop")
            for name, (main_pid, others) in found.items():
                left = [pid for pid in (main_pid, *others) if is_alive(pid)]
                t.eq(left, [], f"{name}, adopted {adopted}: nobody is left")
        t.terminate()
    finally:
        eventually(lambda: event(foreign, "populated") == "0", "it is empty")
        os.rmdir(foreign)


@test
def removed_by_somebody(t):
    """The cgroup is made again for a control process."""
    own = need_cgroups()
    t.configure(t.sleeper("a", post_stop=["/bin/sh", "-c", f"cat /proc/self/cgroup > {t.path('post')}"]))
    t.start()
    pid = t.wait_marked("a")["pid"]
    with open(own + "/cgroup.procs", "w", encoding="utf-8") as f:
        f.write(str(pid))
    os.rmdir(f"{tree(t)}/a.service")
    t.eq(t.ctl("stop", "a").code, 0, "stop")
    t.match(t.read("post"), "/a.service", "post-stop ran, and where")
    t.match(t.log_text(), "a: somebody has removed .*/a.service: it is made again", "it is said")


@test
def what_the_state_file_does_not_tell(t):
    """It is lost with supd, and the main processes have ended: the rest is ended before they are started again."""
    need_cgroups()
    t.configure(stray("a"), stray("kept", kill_mode="process"), stray("off", enabled=False))
    t.start()
    t.ctl("start", "off")
    found = {name: wait_stray(t, name) for name in ("a", "kept", "off")}
    t.crash()
    os.unlink(t.run_dir + "/state")
    for main_pid, _ in found.values():
        kill(main_pid, signal.SIGKILL)
    eventually(lambda: not any(is_alive(main_pid) for main_pid, _ in found.values()), "the main processes have ended")
    t.start()
    t.wait_for("a", lambda s: s["state"] == "running" and s["pid"], "it runs again")
    t.wait_state("off", "stopped")
    for name, (_, others) in found.items():
        left = [pid for pid in others if is_alive(pid)]
        t.eq(left, others if name == "kept" else [], f"{name}: who is left")

    # Another kill-mode by now: what was let go is ended at the next start.
    t.ctl("stop", "kept")
    t.configure(stray("a"), stray("kept"), stray("off", enabled=False))
    t.ctl("reread")
    t.ctl("start", "kept")
    t.match(t.log_text(), r"kept: SIGKILL to what is left of an earlier run: .*\(sleep\)", "it is said")
    others = found["kept"][1]
    eventually(lambda: not any(is_alive(pid) for pid in others), "it has ended")


@test
def stop_leftovers_from_elsewhere(t):
    """`supd --stop-leftovers' in another cgroup finds what is left, and makes nothing where it is."""
    own = need_cgroups()
    t.configure(stray("a"))
    t.start()
    main_pid, others = wait_stray(t, "a")
    top = tree(t)
    t.crash()
    kill(main_pid, signal.SIGKILL)
    eventually(lambda: not is_alive(main_pid), "the main process has ended")
    elsewhere = f"{own}/supd-elsewhere-{os.getpid()}"
    os.mkdir(elsewhere)
    enter = ["/bin/sh", "-c", 'echo 0 >"$0/cgroup.procs" && exec "$@"', elsewhere]
    subprocess.run([*enter, *t.command("--stop-leftovers")], check=True, stderr=subprocess.DEVNULL)
    t.eq([pid for pid in others if is_alive(pid)], [], "nobody is left")
    t.eq((os.path.exists(top), glob.glob(elsewhere + "/*/")), (False, []), "the old tree has gone, there is no new one")
    os.rmdir(elsewhere)


@test
def where_cgroups_cannot_be_made(t):
    """A hierarchy that is only shown, as in many containers; and one that is not."""
    need_cgroups()
    if os.geteuid() != 0:
        skip("needs root")
    mount = next(point for point, _ in mounts())
    for change, reason in (
        (f"mount -o remount,bind,ro {mount}", "cgroup.procs cannot be written: Read-only file system"),
        (f"while umount -l {mount}; do :; done 2>/dev/null", "no cgroup v2 hierarchy is mounted"),
    ):
        t.configure(t.sleeper("plain"), t.sleeper("whole", kill_mode="cgroup", restart="no"))
        t.spawn(under=["unshare", "--mount", "/bin/sh", "-c", change + '; exec "$@"', "sh"])
        eventually(t.answers, "supd answers")
        info = t.call("supd.info")
        t.eq(info["cgroup"], None, f"{reason}: no tree")
        t.match(info["cgroup-reason"], reason, "why there is none")
        t.eq(t.wait_marked("plain")["state"], "running", "a service that needs none runs")
        t.match(t.wait_state("whole", "failed")["reason"], "kill-mode = cgroup needs a cgroup", "one that does is refused")
        t.terminate()
        os.unlink(t.path("plain.mark"))


def take_controllers(top):
    """As the unit does it when supd has ended: nobody could enter, who has services with controllers below."""
    for path, _, _ in os.walk(top, topdown=False):
        for name in read(path + "/cgroup.subtree_control").split():
            with open(path + "/cgroup.subtree_control", "w", encoding="utf-8") as f:
                f.write("-" + name)


@test
def in_a_cgroup_namespace(t):
    """Where the own cgroup is the root of all that is seen."""
    own = need_cgroups()
    if os.geteuid() != 0:
        skip("needs root")
    inside = f"{own}/supd-inside-{os.getpid()}"
    mount = next(point for point, _ in mounts())
    os.mkdir(inside)
    enter = f'echo 0 >{inside}/cgroup.procs && exec unshare --cgroup --mount /bin/sh -c "$0" sh "$@"'
    again = f'while umount -l {mount}; do :; done 2>/dev/null; mount -t cgroup2 cgroup2 {mount} && exec "$@"'
    try:
        t.configure(stray("a", kill_mode="cgroup"), stray("b"))
        for _ in range(2):
            t.spawn(under=["/bin/sh", "-c", enter, again])
            eventually(t.answers, "supd answers")
            t.wait_all("running")
            t.eq(t.call("supd.info")["cgroup"], f"{mount}/supd-{t.call('supd.info')['instance']}", "the tree, inside")
            paths = {name: glob.glob(f"{inside}/**/{name}.service", recursive=True) for name in "ab"}
            t.eq({name: len(found) for name, found in paths.items()}, {"a": 1, "b": 1}, "and outside")
            t.eq(members(f"{inside}/supd"), [t.process.pid], "supd is beside it")
            t.crash()
            take_controllers(inside)
        t.spawn(under=["/bin/sh", "-c", enter, again])
        eventually(t.answers, "supd answers")
        t.eq(t.terminate(), 0, "it ends")
        t.nothing_left()
        t.eq(glob.glob(inside + "/*/"), [], "and leaves nothing")
    finally:
        os.rmdir(inside)


@test
def a_crash_changes_nothing(t):
    need_cgroups()
    t.configure(t.sleeper("a"), leaver("b", kill_mode="cgroup"))
    t.start()
    t.wait_marked("a")
    t.wait_state("b", "running")
    top = tree(t)
    before = [wait_members(f"{top}/a.service", 1), wait_leaver(t, "b")]
    os.mkdir(f"{top}/gone.service")
    for _ in range(3):
        t.crash_and_start()
        t.eq(tree(t), top, "the tree")
        t.eq([members(f"{top}/a.service"), members(f"{top}/b.service")], before, "who is where")
    t.check(not os.path.exists(f"{top}/gone.service"), "a cgroup that nobody is in, and of no service, is removed")
    t.eq(t.ctl("shutdown").code, 0, "shutdown")
    t.check(not os.path.exists(top), "nothing is left in the hierarchy")


@test
def foreign_cgroups_are_left_alone(t):
    """A service that somebody has moved elsewhere is stopped, and who is there with it is not."""
    own = need_cgroups()
    t.configure(t.sleeper("moved", kill_mode="cgroup"))
    t.start()
    pid = t.wait_marked("moved")["pid"]
    foreign = f"{own}/supd-foreign-{os.getpid()}"
    os.mkdir(foreign)
    stranger = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    try:
        for member in (pid, stranger.pid):
            with open(foreign + "/cgroup.procs", "w", encoding="utf-8") as f:
                f.write(str(member))
        t.crash_and_start()
        t.eq(t.ctl("pause", "moved").code, 1, "it is not paused in a cgroup that is not ours")
        t.eq(t.ctl("stop", "moved").code, 0, "stop")
        t.check(not is_alive(pid), "it has ended")
        t.check(is_alive(stranger.pid), "the stranger has not")
    finally:
        stranger.kill()
        stranger.wait()
        kill(pid, signal.SIGKILL)
        eventually(lambda: event(foreign, "populated") == "0", "it is empty")
        os.rmdir(foreign)


@test
def limits_where_there_is_no_controller(t):
    """The service is refused with the reason, or with `cgroup = optional' started without."""
    own = need_cgroups()
    if "memory" in read(own + "/cgroup.controllers").split():
        skip("there is a controller for memory here")
    config = service("web", t.worker("for-ever"), restart="no")[:-2] + "    cgroup { memory-max = 64M }\n}\n"
    t.configure(config)
    t.start()
    reason = t.wait_state("web", "failed")["reason"]
    t.match(reason, r"cgroup\.memory-max: there is no controller 'memory' in " + re.escape(own), "the reason")
    t.terminate()
    t.configure("cgroup = optional", config)
    t.start()
    t.wait_state("web", "running")
    t.match(t.log_text(), r"warning .*web: skipped: cgroup\.memory-max: there is no", "it is said")


@test
def without_cgroups(t):
    t.configure(
        "cgroup = no",
        t.sleeper("plain"),
        t.sleeper("killed", kill_mode="cgroup", restart="no"),
        t.trio("three"),
    )
    t.start()
    pid = t.wait_marked("plain")["pid"]
    info = t.call("supd.info")
    t.eq((info["cgroup"], info["pressure"]), (None, None), "what supd tells of itself")
    t.match(info["cgroup-reason"], "cgroup = no", "and why")
    t.eq(cgroup_of(pid), cgroup_of("self"), "the service is where supd is")
    t.match(t.wait_state("killed", "failed")["reason"], r"kill-mode = cgroup needs a cgroup, .*cgroup = no", "refused")
    t.wait_trio("three")
    t.eq(t.status("three")["tasks"], 3, "tasks are added up without a cgroup, too")
    t.eq(t.ctl("pause", "plain").code, 1, "pause")
    t.match(t.ctl("pause", "plain").err, "has no cgroup", "why it cannot be paused")


@test
def settings_change_with_the_next_supd(t):
    """From cgroups to none and back, with a crash between: what runs keeps what it has."""
    own = need_cgroups()
    t.configure(leaver("tree", kill_mode="cgroup"), t.sleeper("plain"))
    t.start()
    t.wait_state("tree", "running")
    path = tree(t) + "/tree.service"
    pids = wait_leaver(t, "tree")
    t.wait_marked("plain")
    t.crash()
    t.configure("cgroup = no", leaver("tree", kill_mode="cgroup"), t.sleeper("plain"))
    t.start()
    t.eq(members(path), pids, "it is still there")
    t.eq(t.ctl("pause", "tree").code, 0, "what has a cgroup is paused")
    t.eq(t.ctl("stop", "tree").code, 0, "and stopped")
    t.eq([pid for pid in pids if is_alive(pid)], [], "as a whole")
    t.crash()
    t.configure("cgroup = auto", leaver("tree", kill_mode="cgroup"), t.sleeper("plain"))
    t.start()
    t.ctl("restart", "plain")
    t.eq(os.path.dirname(os.path.dirname(cgroup_of(t.status("plain")["pid"]))), own, "with `auto' it gets one")


@test
def removed_from_the_configuration(t):
    need_cgroups()
    t.configure(leaver("tree", kill_mode="cgroup"), t.sleeper("stays"))
    t.start()
    t.wait_state("tree", "running")
    t.wait_marked("stays")
    top = tree(t)
    pids = wait_leaver(t, "tree")
    t.crash()
    t.configure(t.sleeper("stays"))
    t.start()
    eventually(lambda: "tree" not in t.all(), "it is removed")
    t.eq([pid for pid in pids if is_alive(pid)], [], "all of it has ended")
    t.eq([os.path.basename(d) for d in glob.glob(top + "/*.service")], ["stays.service"], "the cgroups that are left")


@test
def pressure_is_told(t):
    own = need_cgroups()
    t.configure(t.sleeper("a"))
    t.start()
    t.wait_marked("a")
    pressure = t.call("supd.info")["pressure"]
    if not os.path.exists(own + "/memory.pressure") and not glob.glob(own + "/*/memory.pressure"):
        t.eq(pressure, None, "no pressure is known here")
        return
    t.eq(sorted(pressure), ["cpu", "io", "memory"], "resources")
    t.eq(sorted(pressure["io"]["some"]), ["avg10", "avg300", "avg60"], json.dumps(pressure))


if __name__ == "__main__":
    main()
