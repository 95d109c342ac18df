#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Types of services and their control processes: what runs, in which order, with what, and once, whoever dies meanwhile."""
import os
import shutil
import signal
import socket

from harness import main, skip, test
from instance import service
from processes import eventually, is_alive

TOLD = "SUPD_EXIT_HOW SUPD_EXIT_STATUS SERVICE_RESULT EXIT_CODE EXIT_STATUS"


def shell(script):
    return ["/bin/sh", "-c", script]


def note(t, word, then="true"):
    """A hook that leaves a line `word` in the file `hooks`, and goes on with a script."""
    return shell(f"echo {word} >> {t.path('hooks')}; {then}")


def hooks(t):
    return t.read("hooks").splitlines()


def gated(t, word, gate):
    """A hook that leaves its line and waits until somebody opens its gate."""
    return note(t, word, f"read answer < {t.gate(gate)}; exit $answer")


def let_go(t, gate, code=0):
    """Opens the gate of a hook that waits there, once; eventually() tries until it does."""

    def writer():
        try:
            return os.open(t.path(gate), os.O_WRONLY | os.O_NONBLOCK) + 1
        except OSError:
            return 0

    fd = eventually(writer, f"somebody waits at {gate}") - 1
    os.write(fd, f"{code}\n".encode())
    os.close(fd)


def in_hook(t, name, role):
    s = t.wait_for(name, lambda s: s["control"] and s["control"]["role"] == role and s["control"]["pid"], f"in {role}")
    t.match(s["reason"], rf"^{role}: process {s['control']['pid']}", f"the reason in {role}")
    return s


@test
def every_hook_in_its_order(t):
    t.configure(
        t.sleeper(
            "a",
            pre_start=note(t, "pre-start:$MAINPID"),
            post_start=note(t, "post-start:$MAINPID"),
            reload_command=note(t, "reload:$MAINPID:$SUPD_HOOK"),
            stop_command=note(t, "stop:$MAINPID"),
            post_stop=note(t, "post-stop:$MAINPID:" + ":".join("$" + v for v in TOLD.split())),
        )
    )
    t.start()
    pid = t.wait_state("a", "running")["pid"]
    t.eq(t.ctl("reload", "a").code, 0, "reload")
    t.eq(t.status("a")["pid"], pid, "a reload keeps the process")
    t.eq(t.ctl("stop", "a").code, 0, "stop")
    t.eq(t.status("a")["state"], "stopped", "stopped")
    want = [
        "pre-start:",
        f"post-start:{pid}",
        f"reload:{pid}:reload-command",
        f"stop:{pid}",
        "post-stop::signaled:TERM:success:killed:TERM",
    ]
    t.eq(hooks(t), want, "the hooks, in their order, and what they were told")
    t.nothing_left()


@test
def what_post_stop_is_told(t):
    ends = {
        "code": (shell("exit 7"), "exited:7:exit-code:exited:7"),
        "good": (shell("exit 0"), "exited:0:success:exited:0"),
        "kill": (shell("kill -KILL $$"), "signaled:KILL:signal:killed:KILL"),
        "none": (["/nonexistent"], "exited:203:exit-code:exited:203"),
    }
    told = ":".join("$" + v for v in TOLD.split())
    t.configure(
        *[service(n, c, restart="no", post_stop=note(t, f"{n}:{told}")) for n, (c, _) in ends.items()],
        service("pre", t.worker("for-ever"), pre_start=shell("exit 3"), restart="no", post_stop=note(t, f"pre:{told}")),
    )
    t.start()
    t.wait_all("exited", "failed")
    want = sorted([f"{n}:{w}" for n, (_, w) in ends.items()] + ["pre:none::exit-code::"])
    t.eq(sorted(hooks(t)), want, "what each was told")
    t.match(t.status("pre")["reason"], "^pre-start: exit 3$", "the reason of a failed pre-start")
    t.eq(t.status("pre")["exit"], None, "there was no main process to end")


@test
def failures_of_hooks(t):
    t.configure(
        t.sleeper("pre", pre_start=shell("exit 1"), restart="no"),
        t.sleeper("pre-dash", pre_start=["-/bin/false"], restart="no"),
        t.sleeper("gone", pre_start=["/nonexistent/x"], restart="no"),
        t.sleeper("post", post_start=shell("exit 1"), restart="no"),
        t.sleeper("slow", pre_start=shell("sleep 1000"), start_timeout="300ms", restart="no"),
        t.sleeper("again", pre_start=shell("exit 1"), restart_delay="100ms"),
    )
    t.start()
    for name, words in (
        ("pre", "pre-start: exit 1"),
        ("gone", "pre-start: exec /nonexistent/x: No such file"),
        ("post", "post-start: exit 1"),
        ("slow", "pre-start: timed out after 300ms"),
    ):
        t.match(t.wait_state(name, "failed")["reason"], words, name)
        t.eq(t.live(name), [], f"{name}: nothing runs")
    t.wait_state("pre-dash", "running")
    t.wait_for("again", lambda s: s["starts"] >= 3 and s["restarts"] >= 2, "a failed pre-start is tried again")
    t.eq(t.marks("pre") + t.marks("gone") + t.marks("slow") + t.marks("again"), [], "the service itself did not run")


@test
def hooks_run_as_the_service(t):
    where = t.path("place")
    os.mkdir(where)
    t.configure(
        t.sleeper(
            "a",
            pre_start=shell("echo $WORD $PWD $SUPD_SERVICE; sleep 1000 &"),
            directory=where,
            environment=["WORD=known"],
            log=t.path("a.out"),
        )
    )
    t.start()
    s = t.wait_state("a", "running")
    words = ["known", where, "a"]
    eventually(lambda: t.read("a.out").split() == words, "environment, directory and log are the service's")
    t.eq(t.live("a"), [s["pid"]], "what pre-start has left is ended")


@test
def stop_in_the_middle(t):
    t.configure(
        t.sleeper("pre", pre_start=gated(t, "pre", "g1"), post_stop=note(t, "pre-end"), stop_timeout="1h"),
        t.sleeper("post", post_start=gated(t, "post", "g2"), post_stop=note(t, "post-end"), stop_timeout="1h"),
        t.sleeper("end", post_stop=gated(t, "end", "g3"), stop_timeout="1h"),
    )
    t.start()
    in_hook(t, "pre", "pre-start")
    in_hook(t, "post", "post-start")
    eventually(lambda: sorted(hooks(t)) == ["post", "pre"], "both have begun")
    t.eq([t.status(n)["state"] for n in ("pre", "post")], ["starting", "starting"], "they are starting")
    t.wait_marked("end")
    t.eq(t.ctl("stop", "pre", "post").code, 0, "stop")
    t.eq(t.marks("pre"), [], "a stopped start gets no further")
    t.eq(sorted(hooks(t)), ["post", "post-end", "pre", "pre-end"], "post-stop runs after a start that was broken off")
    t.call("service.stop", names=["end"])
    t.eq(in_hook(t, "end", "post-stop")["state"], "stopping", "stopping while post-stop runs")
    t.call("service.start", names=["end"])
    t.eq(len(t.marks("end")), 1, "it waits for post-stop")
    let_go(t, "g3")
    t.wait_for("end", lambda s: s["starts"] == 2 and s["state"] == "running", "it is started again")


def survives(t, role, state, gate, act):
    """supd is killed while the hook runs, and again: the same process goes on, and is not run twice."""
    act()
    before = in_hook(t, "a", role)
    for _ in range(2):
        t.crash_and_start()
        now = in_hook(t, "a", role)
        t.eq((now["control"], now["state"], now["starts"]), (before["control"], state, before["starts"]), role)
    let_go(t, gate)
    t.wait_for("a", lambda s: not s["control"] or s["control"]["role"] != role, f"{role} is over")


@test
def hooks_outlive_supd(t):
    t.configure(
        t.sleeper(
            "a",
            post_start=gated(t, "post-start", "g2"),
            reload_command=gated(t, "reload", "g3"),
            stop_command=gated(t, "stop", "g4"),
            post_stop=gated(t, "post-stop", "g5"),
            stop_timeout="1h",
        )
    )
    t.start()
    survives(t, "post-start", "starting", "g2", lambda: None)
    t.wait_state("a", "running")
    survives(t, "reload-command", "running", "g3", lambda: t.call("service.reload", names=["a"]))
    t.wait_for("a", lambda s: s["control"] is None, "reloaded")
    survives(t, "stop-command", "stopping", "g4", lambda: t.call("service.stop", names=["a"]))
    survives(t, "post-stop", "stopping", "g5", lambda: None)
    t.wait_state("a", "stopped")
    t.eq(hooks(t), ["post-start", "reload", "stop", "post-stop"], "each ran once")
    t.nothing_left()


@test
def a_crash_in_pre_start(t):
    t.configure(t.sleeper("a", pre_start=gated(t, "pre-start", "g1"), restart_delay="100ms"))
    t.start()
    before = in_hook(t, "a", "pre-start")
    eventually(lambda: hooks(t), "it has begun")
    t.crash_and_start()
    now = in_hook(t, "a", "pre-start")
    t.eq(now["control"], before["control"], "it is taken back")
    t.eq(hooks(t), ["pre-start"], "and not run twice")
    t.eq(t.marks("a"), [], "the service waits for it")
    let_go(t, "g1")
    s = t.wait_for("a", lambda s: s["control"] is None or s["starts"] > 1, "pre-start is over")
    if s["starts"] > 1:
        # This kernel does not tell how it ended: that counts as a failure.
        in_hook(t, "a", "pre-start")
        let_go(t, "g1")
    s = t.wait_marked("a")
    t.eq(len(hooks(t)), s["starts"], "once in each start")
    t.eq(len(t.marks("a")), 1, "one service")


@test
def an_upgrade_in_a_hook(t):
    t.configure(t.sleeper("a", pre_start=gated(t, "pre-start", "g1")))
    t.start()
    before = in_hook(t, "a", "pre-start")
    t.eq(t.ctl("upgrade").code, 0, "upgrade")
    t.eq(in_hook(t, "a", "pre-start")["control"], before["control"], "it goes on")
    let_go(t, "g1")
    t.eq(t.wait_state("a", "running")["starts"], 1, "its end was told: it is a child still")
    t.eq(hooks(t), ["pre-start"], "run once")


@test
def the_end_of_supd(t):
    t.configure(
        t.sleeper("pre", pre_start=note(t, "pre", "exec sleep 1000"), post_stop=note(t, "pre-end")),
        t.sleeper("run", stop_command=note(t, "stop"), post_stop=note(t, "run-end")),
    )
    t.start()
    in_hook(t, "pre", "pre-start")
    t.wait_state("run", "running")
    eventually(lambda: hooks(t), "pre-start has begun")
    t.eq(t.terminate(), 0, "supd ends")
    t.eq(sorted(hooks(t)), ["pre", "pre-end", "run-end", "stop"], "hooks at the end")
    t.nothing_left()


@test
def removed_in_post_stop(t):
    t.configure(t.sleeper("a", post_stop=gated(t, "end", "g1"), stop_timeout="1h"))
    t.start()
    t.wait_state("a", "running")
    t.configure("")
    t.process.send_signal(signal.SIGHUP)
    in_hook(t, "a", "post-stop")
    let_go(t, "g1")
    eventually(lambda: "a" not in t.all(), "it is gone")
    t.eq(hooks(t), ["end"], "post-stop of a removed service")


@test
def reload_by_signal(t):
    t.configure(t.deaf("a", "HUP", reload_signal="HUP", stop_timeout="1s"), t.sleeper("b"))
    t.start()
    t.wait_marked("a")
    t.eq(t.ctl("reload", "a").code, 0, "reload")
    eventually(lambda: t.got("a") == ["HUP"], "it got the signal")
    refused = t.ctl("reload", "b")
    t.eq(refused.code, 1, "no way to reload")
    t.match(refused.err, "neither reload-signal nor reload-command", "it says so")
    t.ctl("stop", "a")
    t.match(t.ctl("reload", "a").err, "not running", "a stopped service")


@test
def oneshot(t):
    t.configure(
        service("good", note(t, "good"), type="oneshot"),
        service("bad", shell("exit 3"), type="oneshot"),
        service("stays", note(t, "up"), type="oneshot", remain_after_exit=True, stop_command=note(t, "down")),
        service("slow", gated(t, "slow", "g1"), type="oneshot"),
        service("late", shell("sleep 1000"), type="oneshot", start_timeout="300ms"),
        service("wait", note(t, "wait"), type="oneshot", enabled=False, post_start=note(t, "after")),
    )
    t.start()
    t.wait_state("good", "exited")
    t.match(t.wait_state("bad", "failed")["reason"], "exit 3", "a failure is not tried again")
    s = t.wait_state("stays", "running")
    t.eq((s["pid"], s["exit"]["code"], s["ready"]), (None, 0, True), "running without a process")
    t.match(t.wait_state("late", "failed")["reason"], "timed out after 300ms", "a time-out where one is given")
    t.eq(t.wait_for("slow", lambda s: s["pid"], "it works")["state"], "starting", "starting while it works")
    t.crash_and_start()
    t.eq(t.status("slow")["state"], "starting", "after a crash too")
    t.eq((t.status("stays")["state"], t.status("stays")["starts"]), ("running", 1), "and what is done is not done again")
    let_go(t, "g1")
    t.wait_state("slow", "exited", "failed")  # failed where the kernel does not tell the status
    t.eq(t.ctl("start", "wait").code, 0, "a start waits for the work")
    t.eq(t.status("wait")["state"], "exited", "which is done then")
    t.eq(t.ctl("stop", "stays").code, 0, "stop")
    t.eq(sorted(hooks(t)), sorted(["good", "up", "down", "slow", "wait", "after"]), "each did its work once")


DAEMON = "setsid /bin/sh -c 'echo $$ > {pid}; exec sleep 1000' & while ! test -s {pid}; do sleep 0.02; done"


def forking(t, name, script, **keys):
    return service(name, shell(script), type="forking", **keys)


@test
def forking_by_pid_file(t):
    t.write("stale.pid", f"{os.getpid()}\n")
    t.configure(
        forking(t, "a", DAEMON.format(pid=t.path("a.pid")), pid_file=t.path("a.pid"), restart_delay="100ms"),
        forking(t, "guess", "setsid sleep 1000 &"),
        forking(t, "two", "setsid sleep 1000 & setsid sleep 1000 &", restart="no"),
        forking(t, "none", "true", restart="no"),
        forking(t, "bad", "exit 4", restart="no"),
        forking(t, "stale", "sleep 1000 &", pid_file=t.path("stale.pid"), start_timeout="5s", restart="no"),
    )
    t.start()
    s = t.wait_state("a", "running")
    t.eq(s["pid"], int(t.read("a.pid")), "the main process is the one of the file")
    t.check(t.wait_state("guess", "running")["pid"] in t.live("guess"), "one process that is left is the main one")
    for name, words in (
        ("two", "left 2 processes"),
        ("none", "left no process"),
        ("bad", "^exit 4$"),
        ("stale", f"timed out .*process {os.getpid()} is none of this service's"),
    ):
        t.match(t.wait_state(name, "failed")["reason"], words, name)
        eventually(lambda n=name: not t.live(n), f"nothing of {name} is left")
    os.kill(s["pid"], signal.SIGKILL)
    again = t.wait_for("a", lambda n: n["starts"] == 2 and n["state"] == "running", "it is started again")
    t.eq((again["exit"]["signal"], again["exit"]["source"]), ("KILL", "wait"), "its end was told to us as its parent")
    t.crash_and_start()
    t.eq(t.status("a")["pid"], again["pid"], "it is taken back")
    t.eq(t.ctl("stop", "a", "guess").code, 0, "stop")
    t.nothing_left()
    eventually(lambda: not os.path.exists(t.path("a.pid")), "a file that names no process any more is removed")


@test
def a_main_process_that_leaves_its_group(t):
    """It is found while it is still in the group of its start command; only then it makes a session of its own."""
    gate = t.gate("gate")
    script = f"python3 -c 'import os, time; open(\"{gate}\").read(); os.setsid(); time.sleep(1000)' &"
    t.configure(forking(t, "a", script), forking(t, "b", script.replace("gate", "gate2")))
    t.gate("gate2")
    t.start()
    for name, gate in (("a", "gate"), ("b", "gate2")):
        pid = t.wait_state(name, "running")["pid"]
        let_go(t, gate)
        eventually(lambda p=pid: os.getsid(p) == p, "it has a session of its own")
    t.eq(t.ctl("stop", "a").code, 0, "stop")
    t.eq(t.status("a")["exit"]["signal"], "TERM", "by the stop-signal")
    t.crash_and_start()
    t.eq(t.ctl("stop", "b").code, 0, "stop of one that was taken back")
    t.nothing_left()


@test
def a_crash_before_the_main_process_is_found(t):
    script = "setsid sleep 1000 & echo started >> {hooks}".format(hooks=t.path("hooks"))
    t.configure(forking(t, "a", script, pid_file=t.path("a.pid"), start_timeout="1h"))
    t.start()
    main_pid = eventually(lambda: t.live("a") if hooks(t) and len(t.live("a")) == 1 else None, "it has forked")[0]
    t.wait_for("a", lambda s: s["state"] == "starting" and s["control"] is None, "the command has ended")
    t.crash_and_start()
    t.eq(t.status("a")["state"], "starting", "still looking")
    t.write("a.pid", f"{main_pid}\n")
    s = t.wait_state("a", "running")
    t.eq((s["pid"], s["starts"], hooks(t)), (main_pid, 1, ["started"]), "found, and nothing was started twice")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def answers(port):
    with socket.socket() as s:
        s.settimeout(5)
        return s.connect_ex(("127.0.0.1", port)) == 0


@test(root=True)
def nginx(t):
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin")
    if not program:
        skip("nginx is not installed")
    port = free_port()
    conf = t.write(
        "nginx.conf",
        f"pid {t.path('nginx.pid')};\nerror_log {t.path('nginx.err')};\nworker_processes 2;\nevents {{ }}\n"
        f"http {{ access_log off; client_body_temp_path {t.dir}; server {{ listen 127.0.0.1:{port}; return 200; }} }}\n",
    )
    command = [program, "-c", conf, "-p", t.dir]
    t.configure(
        service(
            "nginx",
            command,
            type="forking",
            pid_file=t.path("nginx.pid"),
            pre_start=[*command, "-t", "-q"],
            reload_command=[*command, "-s", "reload"],
            stop_signal="QUIT",
            kill_mode="mixed",
        )
    )
    t.start()
    s = t.wait_state("nginx", "running")
    t.eq(s["pid"], int(t.read("nginx.pid")), "the main process is nginx's master")
    eventually(lambda: answers(port), "it serves")
    t.eq(t.ctl("reload", "nginx").code, 0, "reload")
    t.crash_and_start()
    t.eq(t.status("nginx")["pid"], s["pid"], "it is taken back")
    t.check(answers(port) and is_alive(s["pid"]), "and serves")
    t.eq(t.ctl("stop", "nginx").code, 0, "stop")
    t.check(not answers(port), "nothing listens any more")
    t.nothing_left()


if __name__ == "__main__":
    main()
