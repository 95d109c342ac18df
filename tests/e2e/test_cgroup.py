#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Control groups: seen in the hierarchy itself. Limits need controllers, which tests/vm has; here it is who is in which
cgroup, kill-mode = cgroup, pause and resume."""
import os
import re
import signal
import sys

from cgroups import event, leaver, members, need_cgroups, stray, tree, wait_leaver, wait_members, wait_stray
from harness import main, test
from instance import service
from processes import eventually, is_alive, kill


@test
def each_service_has_its_own(t):
    own = need_cgroups()
    t.configure(t.trio("one"), t.sleeper("cpu.max"), t.sleeper("off", enabled=False))
    t.start()
    pids = t.wait_trio("one") and t.live("one")
    other = t.wait_marked("cpu.max")["pid"]
    top = tree(t)
    t.eq(top, f"{own}/supd-{t.call('supd.info')['instance']}", "the tree")
    t.eq(members(f"{top}/one.service"), pids, "the whole of it is in its cgroup")
    t.eq(members(f"{top}/cpu.max.service"), [other], "the name of a kernel's file is a name like any other")
    t.check(not os.path.exists(f"{top}/off.service"), "a service that does not run has none")
    t.eq(t.status("one")["tasks"], 3, "its tasks are told together")
    t.check(t.status("one")["memory"] > t.status("cpu.max")["memory"], "its memory is told together")
    t.ctl("stop", "one")
    eventually(lambda: not os.path.exists(f"{top}/one.service"), "the cgroup goes with the service")
    t.terminate()
    eventually(lambda: not os.path.exists(top), "the tree goes with supd")


@test
def kill_mode_cgroup(t):
    """Who has left session, process group and parent gets the stop-signal all the same."""
    need_cgroups()
    t.configure(leaver("tree", kill_mode="cgroup", stop_timeout="1h"))
    t.start()
    t.wait_state("tree", "running")
    path = tree(t) + "/tree.service"
    pids = wait_leaver(t, "tree")
    t.eq(t.ctl("stop", "tree").code, 0, "stop")
    t.eq([pid for pid in pids if is_alive(pid)], [], "nobody is left")
    t.check(not os.path.exists(path), "the cgroup is gone")


DEAF = "trap : TERM;"


@test
def wiped_and_gone_away(t):
    """Under kill-mode group and mixed the cgroup shows who has left session, parent and environment."""
    need_cgroups()
    modes = {"g": "group", "m": "mixed"}
    t.configure(*[stray(name, kill_mode=mode, stop_timeout="1h") for name, mode in modes.items()])
    t.start()
    for adopted in (False, True):
        found = {name: wait_stray(t, name) for name in modes}
        if adopted:
            t.crash_and_start()
        t.eq(t.ctl("stop", *modes).code, 0, "stop")
        for name, (main_pid, others) in found.items():
            left = [pid for pid in (main_pid, *others) if is_alive(pid)]
            t.eq(left, [], f"{name}, adopted {adopted}: nobody is left")
        t.ctl("start", *modes)
    t.eq(t.ctl("shutdown").code, 0, "shutdown")


@test
def the_deaf_among_them(t):
    """They are killed after stop-timeout, and named; also by a supd that comes when the main process has ended."""
    need_cgroups()
    t.configure(*[stray(m, DEAF, kill_mode=m, stop_timeout="2s") for m in ("group", "cgroup")])
    t.start()
    found = {mode: wait_stray(t, mode, 3) for mode in ("group", "cgroup")}
    for mode in found:
        t.eq(t.ctl("stop", "--no-wait", mode).code, 0, f"{mode}: stop")
    eventually(lambda: not any(is_alive(main_pid) for main_pid, _ in found.values()), "the main processes have ended")
    t.crash_and_start()
    for mode, (_, others) in found.items():
        t.wait_state(mode, "stopped")
        t.eq([pid for pid in others if is_alive(pid)], [], f"{mode}: nobody is left")
        named = re.findall(rf" {mode}: SIGKILL to (.*)\n", t.log_text())
        shell = next(pid for pid in others if f"{pid} (sh)" in "".join(named)) if named else None
        t.check(shell, f"{mode}: the daemon is named: {named}")


@test
def what_a_hook_leaves(t):
    """Before and after the main process the cgroup shows what is left of pre-start and post-stop."""
    need_cgroups()
    away = ["/bin/sh", "-c", f"env -i setsid sh -c 'echo $$ >> {t.path('away')}; exec sleep 1001' & sleep 0.1"]
    t.configure(t.sleeper("a", pre_start=away, post_stop=away, stop_timeout="1h"))
    t.start()
    t.wait_marked("a")
    t.eq(t.ctl("stop", "a").code, 0, "stop")
    pids = [int(pid) for pid in t.read("away").split()]
    t.eq((len(pids), [pid for pid in pids if is_alive(pid)]), (2, []), "who was left by the two")


@test
def the_deaf_are_killed(t):
    need_cgroups()
    deaf = "trap '' TERM; setsid sh -c 'trap \"\" TERM; while :; do sleep 1000; done' & while :; do sleep 1000; done"
    # Linux 6.18 would kill this one, too, if it were forked right into the cgroup.
    after = ["/bin/sh", "-c", f"echo ran > {t.path('after')}"]
    t.configure(service("deaf", ["/bin/sh", "-c", deaf], kill_mode="cgroup", stop_timeout="300ms", post_stop=after))
    t.start()
    t.wait_state("deaf", "running")
    path = tree(t) + "/deaf.service"
    wait_members(path, 4)
    t.eq(t.ctl("stop", "deaf").code, 0, "stop")
    t.eq(t.status("deaf")["exit"]["signal"], "KILL", "how it ended")
    t.eq(t.read("after"), "ran\n", "post-stop")
    t.check(not os.path.exists(path), "nobody is left in its cgroup")


@test
def a_fork_storm_ends(t):
    """It forks faster than one can look, away from its session, and ignores the stop-signal."""
    need_cgroups()
    storm = t.write("storm.py", STORM)
    t.configure(service("storm", [sys.executable, storm], kill_mode="cgroup", stop_timeout="200ms", restart="no"))
    t.start()
    t.wait_state("storm", "running")
    path = tree(t) + "/storm.service"
    eventually(lambda: len(members(path)) > 8, "it storms")
    t.eq(t.ctl("stop", "storm").code, 0, "stop")
    t.check(not os.path.exists(path), "nobody is left in its cgroup")


STORM = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for i in range(8):
    if os.fork() == 0:
        while True:
            os.setpgid(0, 0)
            if os.fork() != 0:
                time.sleep(0.001)
                os._exit(0)
while True:
    time.sleep(1)
"""


@test
def leftovers_of_an_unasked_end(t):
    """The main process ends by itself: the rest goes before it is started again."""
    need_cgroups()
    t.configure(leaver("tree", kill_mode="cgroup", restart_delay="0"))
    t.start()
    t.wait_state("tree", "running")
    path = tree(t) + "/tree.service"
    old = wait_leaver(t, "tree")
    kill(t.status("tree")["pid"], signal.SIGKILL)
    t.wait_for("tree", lambda s: s["state"] == "running" and s["starts"] == 2, "it runs again")
    t.eq([pid for pid in old if is_alive(pid)], [], "nobody of its first life is left")
    wait_leaver(t, "tree")


@test
def killed_in_the_middle_of_a_stop(t):
    """supd dies while leftovers are waited for; the next one goes on with them."""
    need_cgroups()
    deaf = "setsid sh -c 'trap \"\" TERM; while :; do sleep 1000; done' & exec sleep 1000"
    t.configure(service("deaf", ["/bin/sh", "-c", deaf], kill_mode="cgroup", stop_timeout="3s"))
    t.start()
    t.wait_state("deaf", "running")
    path = tree(t) + "/deaf.service"
    wait_members(path, 3)
    main_pid = t.status("deaf")["pid"]
    t.eq(t.ctl("stop", "--no-wait", "deaf").code, 0, "stop")
    eventually(lambda: not is_alive(main_pid), "the main process has ended")
    t.crash_and_start()
    t.wait_state("deaf", "stopped")
    t.check(not os.path.exists(path), "nobody is left in its cgroup")


@test
def leftovers_of_an_end_while_supd_was_dead(t):
    need_cgroups()
    t.configure(leaver("tree", kill_mode="cgroup", restart="no"))
    t.start()
    t.wait_state("tree", "running")
    path = tree(t) + "/tree.service"
    old = wait_leaver(t, "tree")
    main_pid = t.status("tree")["pid"]
    t.crash()
    kill(main_pid, signal.SIGKILL)
    eventually(lambda: not is_alive(main_pid), "the main process has ended")
    t.start()
    t.wait_state("tree", "failed", "exited")
    t.eq([pid for pid in old if is_alive(pid)], [], "nobody is left")
    t.check(not os.path.exists(path), "the cgroup is gone")


@test
def kill_mode_process_leaves_the_others(t):
    """Its cgroup stays for them, is used again, and goes when they do."""
    need_cgroups()
    t.configure(t.trio("shy", kill_mode="process"))
    t.start()
    t.wait_trio("shy")
    path = tree(t) + "/shy.service"
    main_pid = t.status("shy")["pid"]
    left = [pid for pid in members(path) if pid != main_pid]
    t.ctl("stop", "shy")
    t.eq(members(path), left, "the others are left alone, in its cgroup")
    t.ctl("start", "shy")
    t.wait_trio("shy", 6)
    t.eq(len(members(path)), 5, "the next life joins them")
    t.ctl("stop", "shy")
    for pid in members(path):
        kill(pid, signal.SIGKILL)
    eventually(lambda: not os.path.exists(path), "the cgroup goes with the last of them")


@test
def pause_and_resume(t):
    need_cgroups()
    t.configure(t.trio("one"), t.sleeper("two"), t.sleeper("off", enabled=False))
    t.start()
    t.wait_trio("one")
    t.wait_marked("two")
    path = tree(t) + "/one.service"
    t.eq((t.status("one")["paused"], event(path, "frozen")), (False, "0"), "at first")
    answer = t.ctl("pause", "one")
    t.eq(answer.code, 0, "pause")
    eventually(lambda: event(path, "frozen") == "1", "all of it is frozen")
    s = t.status("one")
    t.eq((s["paused"], s["state"], t.status("two")["paused"]), (True, "running", False), "the state of both")
    t.match(t.ctl("status").out, r"one +running .* paused", "the table tells it")
    t.eq(t.ctl("pause", "off").code, 1, "pause of what does not run")

    t.crash_and_start()
    t.eq((t.status("one")["paused"], event(path, "frozen")), (True, "1"), "it stays so over a crash of supd")
    t.eq(t.ctl("upgrade").code, 0, "upgrade")
    t.eq(t.status("one")["paused"], True, "and over an upgrade")
    t.eq(t.ctl("resume", "one").code, 0, "resume")
    eventually(lambda: event(path, "frozen") == "0", "it goes on")
    t.eq(t.status("one")["paused"], False, "and is said to")


@test
def what_is_paused_can_be_stopped(t):
    """It gets to see the stop-signal, also with the crash of supd between."""
    need_cgroups()
    for mode in ("group", "process", "cgroup"):
        t.configure(t.sleeper("quick", kill_mode=mode, stop_timeout="1h"))
        t.start()
        t.wait_marked("quick")
        t.ctl("pause", "quick")
        t.crash_and_start()
        t.eq(t.ctl("stop", "quick").code, 0, f"{mode}: stop")
        t.eq(t.status("quick")["exit"]["signal"] or t.status("quick")["exit"]["how"], "TERM", f"{mode}: how it ended")
        t.terminate()
        os.unlink(t.path("quick.mark"))


if __name__ == "__main__":
    main()
