#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""on-event: commands that are run for news of services, each once, also when supd is killed meanwhile."""
import json
import os
import re

from harness import main, test
from instance import quote, service, setting
from processes import Pid, eventually, is_alive

# Each run appends what it was given to files of its own name, as one write.
TELL = (
    'note=$(cat); printf "%s\\n" "$note" >>"$0.json"; '
    'printf "%s\\n" "$SUPD_EVENT|$SUPD_EVENT_SERVICE|$SUPD_FROM|$SUPD_STATE|$SUPD_EXIT_HOW|$SUPD_EXIT_STATUS|$SUPD_REASON" '
    '>>"$0.env"'
)


def on_event(t, name, events, script=TELL, **keys):
    lines = [setting("events", events), setting("command", ["/bin/sh", "-c", script, t.path(name)])]
    lines += [setting(k, v) for k, v in keys.items()]
    return f"on-event {quote(name)} {{\n" + "".join(f"    {line}\n" for line in lines) + "}\n"


def told(t, name):
    """The notes, as JSON."""
    return [json.loads(line) for line in (t.read(name + ".json") or "").splitlines()]


def rule(t, name):
    return next(r for r in t.call("supd.info")["on-event"] if r["name"] == name)


def short(notes):
    return [(n["event"], n["name"]) for n in notes]


def once(name, *steps, **keys):
    """A service that is started by hand, and not again."""
    return lambda t: service(name, t.worker(*steps), **{"restart": "no", "enabled": False, **keys})


@test
def each_rule_is_told_what_it_asks_for(t):
    gate = t.gate("gate")
    parts = [
        once("bad", "exit", 3),
        once("good", "exit", 0),
        once("killed", "raise", "KILL"),
        once("web", "for-ever"),
    ]
    t.configure(
        *[part(t) for part in parts],
        service("again", t.worker("gate", gate), restart_delay="1h", restart_delay_max="1h"),
        on_event(t, "failures", ["failed", "restarted"]),
        on_event(t, "web", ["started", "stopped", "exited"], services=["w?b", "goo*"]),
    )
    t.start()
    t.wait_state("again", "running")
    for name, event in (("bad", "failed"), ("killed", "failed"), ("again", "restarted")):
        if name == "again":
            t.open_gate(gate, "exit", 4)
        else:
            t.ctl("start", name)
        eventually(lambda n=name, e=event: (e, n) in short(told(t, "failures")), f"{name} is told as {event}")
    t.eq(short(told(t, "failures")), [("failed", "bad"), ("failed", "killed"), ("restarted", "again")], "failures")
    lines = t.read("failures.env").splitlines()
    t.match(lines[0], r"^failed\|bad\|\w+\|failed\|exited\|3\|exit 3$", "variables")
    t.match(lines[1], r"^failed\|killed\|\w+\|failed\|signaled\|KILL\|killed by KILL", "variables of a signal")
    t.match(lines[2], r"^restarted\|again\|\w+\|backoff\|exited\|4\|", "variables of a restart")
    first = told(t, "failures")[0]
    t.eq((first["exit"]["code"], first["state"], first["on-event"], first["number"]), (3, "failed", "failures", 1), "JSON")
    t.check(not re.search(r'"at":\d+\.\d{7}', t.read("failures.json")), "times without noise")

    t.ctl("start", "web", "good")
    t.ctl("stop", "web")
    want = {("started", "web"), ("stopped", "web"), ("started", "good"), ("exited", "good")}
    eventually(lambda: want <= set(short(told(t, "web"))), "the other rule is told what it asks for")
    t.eq(set(short(told(t, "web"))), want, "and nothing else")
    t.eq(set(t.all()), {"bad", "good", "killed", "web", "again"}, "a rule is no service")
    t.eq(t.ctl("status", "event:web").code, 4, "by no name to be had")


@test
def too_many_are_counted(t):
    t.configure(
        *[once(f"s{n}", "exit", 1)(t) for n in range(8)],
        on_event(t, "few", ["failed"], rate_limit="3/2s"),
    )
    t.start()
    t.ctl("start", "s*")
    eventually(lambda: "left-out" in {n["event"] for n in told(t, "few")}, "those left out are told of")
    notes = told(t, "few")
    left = sum(n["left-out"] for n in notes)
    t.eq(len([n for n in notes if n["event"] == "failed"]) + left, 8, "each is told or counted")
    t.check(left >= 1, "some were left out")
    t.eq(rule(t, "few")["left-out"], 0, "nothing is left to be told")


@test
def a_command_that_hangs_is_ended_with_its_tree(t):
    hang = 'echo $$ >>"$0.pids"; sleep 1000 & echo $! >>"$0.pids"; wait'
    t.configure(
        once("bad", "exit", 1)(t),
        t.sleeper("other"),
        on_event(t, "hung", ["failed"], script=hang, timeout="500ms"),
    )
    t.start("-v")
    t.wait_state("other", "running")
    t.ctl("start", "bad")
    pids = eventually(lambda: [int(p) for p in (t.read("hung.pids") or "").split()][1:] and
                      [Pid(p) for p in t.read("hung.pids").split()], "the command runs")
    t.eq(t.status("other")["state"], "running", "supd answers meanwhile")
    eventually(lambda: not any(is_alive(p) for p in pids), "all of it has ended")
    t.ctl("start", "bad")
    eventually(lambda: len((t.read("hung.pids") or "").split()) == 4, "the next one has its turn")


@test
def over_a_crash_none_is_lost_and_none_told_twice(t):
    slow = TELL + '; while [ ! -e "$0.go" ]; do sleep 0.05; done'
    gates = {f"s{n}": t.gate(f"s{n}.gate") for n in range(4)}
    parts = [service(name, t.worker("gate", gate), restart="no") for name, gate in gates.items()]
    t.configure(*parts, on_event(t, "slow", ["failed"], script=slow, timeout="5m"))
    t.start()
    t.wait_all("running")
    t.open_gate(gates["s0"], "exit", 1)
    eventually(lambda: told(t, "slow"), "the first is told")
    pid = eventually(lambda: rule(t, "slow")["pid"], "its command runs")
    for name in ("s1", "s2"):
        t.open_gate(gates[name], "exit", 1)
        t.wait_state(name, "failed")
    t.eq(rule(t, "slow")["waiting"], 3, "the one that runs and two that wait")
    t.match(t.ctl("info").out, r"\non-event: +slow 3 waiting\n", "supctl info")
    t.crash()
    t.open_gate(gates["s3"], "exit", 1)
    t.start()
    t.wait_state("s3", "failed")
    t.eq(rule(t, "slow")["pid"], pid, "the command is taken back, not run again")
    t.eq(len(told(t, "slow")), 1, "told so far")
    t.eq(t.ctl("upgrade").code, 0, "upgrade")
    t.eq((rule(t, "slow")["pid"], rule(t, "slow")["waiting"]), (pid, 4), "and by another binary")
    t.write("supd.conf", "this is no configuration\n")
    t.crash_and_start()
    t.eq((rule(t, "slow")["pid"], rule(t, "slow")["waiting"]), (pid, 4), "and on the last good configuration")
    t.configure(*parts, on_event(t, "slow", ["failed"], script=slow, timeout="5m", environment=["X=1"]))
    t.match(t.ctl("reread", "--restart").out, r"change\s+event:slow.*environment", "the rule is changed")
    t.eq((rule(t, "slow")["pid"], len(told(t, "slow"))), (pid, 1), "and what runs is not run again for that")
    t.write("slow.go", "")
    eventually(lambda: rule(t, "slow")["waiting"] == 0, "all are told")
    t.eq(sorted(short(told(t, "slow"))), [("failed", f"s{n}") for n in range(4)], "each once")


@test
def what_happens_twice_in_one_life_is_told_twice(t):
    gates = {name: t.gate(name + ".gate") for name in ("web", "db")}
    ready = t.write("db.ready", "")
    t.configure(
        service("db", t.worker("gate", gates["db"]), restart="no", ready="path:" + ready),
        service("web", t.worker("gate", gates["web"]), restart="no", requires=["db"], after=["db"]),
        on_event(t, "all", ["failed"], script=TELL + '; while [ ! -e "$0.go" ]; do sleep 0.05; done', timeout="5m"),
    )
    t.start()
    t.wait_all("running")
    t.open_gate(gates["web"], "exit", 1)
    t.wait_state("web", "failed")
    t.eq(t.ctl("stop", "db").code, 0, "stop db")
    os.unlink(ready)
    t.call("service.start", names=["web"], wait=False)
    t.wait_state("db", "starting")
    t.eq(t.status("web")["state"], "waiting", "web waits for db")
    t.crash_and_start()
    t.open_gate(gates["db"], "exit", 1)
    t.wait_state("web", "failed")
    t.write("all.go", "")
    eventually(lambda: rule(t, "all")["waiting"] == 0, "all are told")
    t.eq(short(told(t, "all")), [("failed", name) for name in ("web", "db", "web")], "also what has happened before")


@test
def the_health_of_a_service_is_told(t):
    sick = t.path("sick")
    section = service("web", t.worker("for-ever")).rstrip().removesuffix("}")
    command = setting("command", ["/usr/bin/test", "!", "-e", sick])
    check = f"check {{\n{command}\ninterval = 100ms\nfailures = 2\non-failure = mark\n}}"
    t.configure(f"{section}    {check}\n}}\n", on_event(t, "health", ["unhealthy", "healthy"], rate_limit="none"))
    t.start()
    expected = []
    for event in ("healthy", "unhealthy", "healthy", "unhealthy"):
        if event == "unhealthy":
            t.write("sick", "")
        elif expected:
            os.unlink(sick)
        expected.append((event, "web"))
        eventually(lambda: len(told(t, "health")) >= len(expected), f"{event} is told")
        t.crash_and_start()
    t.eq(short(told(t, "health")), expected, "each once, whatever has died behind it")
    t.match(told(t, "health")[1]["reason"], r"^unhealthy: .*exit 1", "with the reason")
    t.eq(t.status("web")["starts"], 1, "and it has gone on all the time")


@test
def killed_all_the_time_it_tells_each_once(t):
    names = [f"s{n:02}" for n in range(30)]
    t.configure(
        *[once(name, "exit", 1)(t) for name in names],
        on_event(t, "all", ["failed"], rate_limit="none"),
    )
    t.start()
    for n, name in enumerate(names):
        t.call("service.start", names=[name], wait=False)
        if n % 3 == 2:
            t.crash_and_start()
    eventually(lambda: all(t.status(name)["state"] == "failed" for name in names), "all have ended")
    eventually(lambda: rule(t, "all")["waiting"] == 0, "all are told")
    t.eq(sorted(short(told(t, "all"))), [("failed", name) for name in names], "each once")


@test
def an_end_of_supd_tells_first(t):
    gate = t.gate("gate")
    slow = 'sleep 0.3; ' + TELL
    t.configure(
        service("job", t.worker("gate", gate), restart="no", essential=True),
        on_event(t, "last", ["failed", "stopped"], script=slow),
        on_event(t, "other", ["failed"]),
    )
    t.start()
    t.wait_all("running")
    t.open_gate(gate, "exit", 9)
    t.eq(t.wait_end(), 9, "the status of the essential service")
    t.eq(short(told(t, "last")), [("failed", "job")], "told before supd has gone")
    t.eq(short(told(t, "other")), [("failed", "job")], "by every rule")
    t.nothing_left()


@test
def a_command_that_hangs_does_not_hold_up_the_end(t):
    hang = 'echo $$ >>"$0.pids"; exec sleep 1000'
    t.configure(once("bad", "exit", 1)(t), on_event(t, "hung", ["failed"], script=hang, timeout="1h"))
    t.start()
    t.ctl("start", "bad")
    pid = int(eventually(lambda: (t.read("hung.pids") or "").strip(), "the command runs"))
    t.process.terminate()
    eventually(lambda: "stopping every service" in t.log_text(), "supd is ending")
    t.check(is_alive(pid), "the command may go on for a while")
    t.eq(t.terminate(), 0, "a second SIGTERM ends that")
    t.check(not is_alive(pid), "and the command")
    t.match(t.log_text(), r'on-event "hung": supd ends, and 1 event could not be told', "which is said")


@test
def a_reload_changes_rules(t):
    t.configure(once("bad", "exit", 1)(t))
    t.start()
    t.ctl("start", "bad")
    t.configure(once("bad", "exit", 1)(t), on_event(t, "new", ["failed"]))
    t.eq(t.ctl("reread").code, 0, "reread")
    t.ctl("start", "bad")
    eventually(lambda: len(told(t, "new")) == 1, "a rule that was added is told")
    t.configure(once("bad", "exit", 1)(t), on_event(t, "new", ["stopped"]))
    t.match(t.ctl("reread").out, r"change\s+event:new.*events", "the change is named")
    t.ctl("start", "bad")
    t.configure(once("bad", "exit", 1)(t))
    t.eq(t.ctl("reread").code, 0, "reread")
    eventually(lambda: not t.call("supd.info")["on-event"], "a rule that was removed is gone")
    t.eq(short(told(t, "new")), [("failed", "bad")], "and is not told any more")


@test
def what_is_wrong_is_said(t):
    cases = {
        'on-event "a" { command = "true" }': r"supd.conf:1: on-event \"a\": key 'events' is missing",
        'on-event "a" { events = {"failed"} }': r"key 'command' is missing",
        'on-event "a" {\n events = {"faild"}\n command = "true" }': r":2: .*'faild' is no event.*did you mean 'failed'",
        'on-event "a" {\n events = {"failed"}\n command = "true"\n rate-limit = "often" }': r":4: .*'often' is no rate",
        'on-event "a" {\n events = {"failed"}\n command = "true"\n timeout = 0 }': r":4: .*above 0",
        'on-event "a" {\n events = {"failed"}\n command = "true"\n restart = no }': r"unknown key 'restart' in on-event",
        'on-event { events = {"failed"} }': r"on-event",
        'on-event "a/b" {\n events = {"failed"}\n command = "true" }': r"a name is 1 to 64 of",
        'on-event "a" {\n events = {"failed"}\n command = "true" }\n' * 2: r":4: .*defined twice, first in",
    }
    for text, want in cases.items():
        t.write("supd.conf", text + "\n")
        got = t.run("--check")
        t.eq(got.code, 1, f"exit code of {text!r}")
        t.match(got.out + got.err, want, text)


if __name__ == "__main__":
    main()
