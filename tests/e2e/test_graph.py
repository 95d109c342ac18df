#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The order of services, seen in a file to which each of them writes when it begins and when it ends."""
import os
import signal
import subprocess

from harness import main, test
from instance import service
from processes import eventually, is_alive


def logged(t, name, last=":", **keys):
    """A service that writes "+NAME" when it begins and "-NAME" when it ends; last: what it does before that."""
    script = (
        f"trap '{last}; echo -{name} >> {t.path('order')}; exit 0' TERM; echo +{name} >> {t.path('order')}; "
        "echo >&3; exec 3>&-; while :; do sleep 1000 & wait; done"
    )
    return service(name, ["/bin/sh", "-c", script], **{"stop_timeout": "1h", "kill_mode": "mixed", "ready": "fd:3", **keys})


def oneshot(t, name, *, code=0, before=":", **keys):
    script = f"{before}; echo +{name} >> {t.path('order')}; exit {code}"
    return service(name, ["/bin/sh", "-c", script], type="oneshot", **keys)


def order(t):
    try:
        return t.read("order").split()
    except OSError:
        return []


def clear(t):
    t.write("order", "")


def wait_lines(t, *lines):
    eventually(lambda: set(lines) <= set(order(t)), f"{lines} in {t.path('order')}")


def before(t, *lines):
    """Each of the lines is there, and in this order."""
    wait_lines(t, *lines)
    places = [order(t).index(line) for line in lines]
    t.check(places == sorted(places), f"{' '.join(lines)} was wanted, seen: {' '.join(order(t))}")


def run(t, *args):
    """What supctl exits with, and what it says."""
    result = t.ctl(*args)
    return result.code, result.out + result.err


def gate(t, name):
    """A command that waits until somebody opens the gate of this name."""
    return f"read go < {t.gate(name)}"


def let_go(t, name):
    t.open_gate(t.path(name), "go")


def stack(t):
    """db, then a migration, then app, then web; and one beside them. Those that are waited for wait at a gate."""
    return (
        oneshot(t, "db", before=gate(t, "db.go"), remain_after_exit=True, post_stop=note(t, "-db")),
        oneshot(t, "migrate", before=gate(t, "migrate.go"), requires="db", after="db"),
        logged(t, "app", requires=["db", "migrate"], after=["db", "migrate"], last=gate(t, "app.end")),
        logged(t, "web", requires="app", after="app", last=gate(t, "web.end")),
        logged(t, "beside"),
    )


def note(t, word):
    return ["/bin/sh", "-c", f"echo {word} >> {t.path('order')}"]


@test
def started_and_stopped_in_order(t):
    t.configure(*stack(t))
    t.start()
    wait_lines(t, "+beside")
    waiting = t.wait_state("migrate", "waiting")
    t.eq(waiting["reason"], "for db to be ready", "why migrate waits")
    t.eq(waiting["desired"], "up", "what is wanted of it")
    t.eq(t.status("web")["reason"], "for app to be ready", "why web waits")
    t.eq(order(t), ["+beside"], "what ran while db was on its way")

    # supd dies in the middle of the start.
    t.crash_and_start()
    t.eq(t.status("migrate")["reason"], "for db to be ready", "why migrate waits after the crash")
    let_go(t, "db.go")
    t.wait_state("migrate", "starting")
    t.crash_and_start()
    t.eq(t.wait_state("app", "waiting")["reason"], "for migrate to be ready", "why app waits after the crash")
    let_go(t, "migrate.go")
    before(t, "+db", "+migrate", "+app", "+web")
    t.wait_state("web", "running")
    t.eq(t.status("migrate")["state"], "exited", "the migration, once it is done")

    # A stop of what the others require takes those down first.
    clear(t)
    t.call("service.stop", names=["db"])
    t.wait_state("web", "stopping")
    held = t.wait_for("db", lambda s: s["desired"] == "down", "wanted down")
    t.eq((held["state"], held["reason"]), ("running", "for app to stop"), "db, while app runs")
    t.crash_and_start()
    t.eq(t.status("db")["desired"], "down", "db after the crash")
    t.eq(t.status("app")["reason"], "for web to stop", "app after the crash")
    t.eq(order(t), [], "what has ended before web")
    let_go(t, "web.end")
    wait_lines(t, "-web")
    let_go(t, "app.end")
    before(t, "-web", "-app", "-db")
    t.wait_state("db", "stopped")
    t.eq(t.status("beside")["state"], "running", "who has nothing to do with it")

    # A start brings what it requires.
    clear(t)
    with subprocess.Popen([os.environ["SUPCTL"], "-s", t.socket, "start", "web"], stdout=subprocess.PIPE) as starting:
        let_go(t, "db.go")
        let_go(t, "migrate.go")
        out = starting.communicate()[0].decode()
    t.eq(starting.returncode, 0, "supctl start web")
    t.match(out, r"db: started, and its work is done \(required by \w+\)", "what it says")
    before(t, "+db", "+migrate", "+app", "+web")

    # The end of supd, in the middle of which it dies.
    clear(t)
    t.call("supd.shutdown")
    wait_lines(t, "-beside")
    let_go(t, "web.end")
    wait_lines(t, "-web")
    t.crash_and_start()
    let_go(t, "app.end")
    t.wait_end()
    before(t, "-web", "-app", "-db")
    t.nothing_left()


@test
def failures_and_ends_are_told_on(t):
    t.configure(
        service("broken", ["/bin/sh", "-c", "exit 3"], type="oneshot"),
        logged(t, "app", requires="broken", after="broken"),
        logged(t, "web", requires="app", after="app"),
        logged(t, "wants", wants=["broken", "extra"], after="broken"),
        logged(t, "extra", enabled=False),
        logged(t, "disk", restart="no"),
        logged(t, "bound", binds_to="disk", after="disk"),
        logged(t, "loose", requires="disk", after="disk"),
        logged(t, "part", part_of="disk"),
        logged(t, "picky", requisite="extra-disk"),
        logged(t, "extra-disk", enabled=False),
        logged(t, "one", enabled=False, conflicts="two"),
        logged(t, "two", enabled=False),
    )
    t.start()
    t.eq(t.wait_state("app", "failed")["reason"], "broken failed: exit 3", "app")
    t.eq(t.wait_state("web", "failed")["reason"], "app failed: broken failed: exit 3", "web")
    t.eq(t.wait_state("picky", "failed")["reason"], "extra-disk is not running", "picky")
    wait_lines(t, "+wants", "+extra", "+disk", "+bound", "+loose", "+part")
    t.wait_state("extra", "running")
    t.eq([x for x in order(t) if x in ("+app", "+web", "+picky")], [], "those that must not run")
    code, out = run(t, "start", "web")
    t.eq(code, 1, "supctl start web")
    t.match(out, r"app: failed: broken failed: exit 3 \(required by web\)", "what it says")

    os.kill(t.wait_state("disk", "running")["pid"], signal.SIGKILL)
    t.eq(t.wait_state("bound", "stopped")["reason"], "disk failed: killed by KILL", "bound")
    t.eq(t.status("loose")["state"], "running", "who requires it only")

    t.ctl("start", "one")
    code, out = run(t, "start", "two")
    t.eq(code, 0, "supctl start two")
    t.match(out, r"one: stopped \(it conflicts with two\)", "what it says")
    before(t, "+one", "-one", "+two")
    code, out = run(t, "restart", "disk")
    t.eq(code, 0, "supctl restart disk")
    t.match(out, r"loose: restarted, pid \d+ \(it requires disk\)", "what it says")
    t.match(out, r"part: restarted, pid \d+ \(it is part of disk\)", "what it says")


@test
def shown_as_a_tree_and_down_the_chain(t):
    t.configure(
        oneshot(t, "db", before=gate(t, "db.go"), remain_after_exit=True),
        service("app", ["sleep", "1000"], requires="db", after="db"),
        service("web", ["sleep", "1000"], wants="app", after=["app", "db"]),
        service("alone", ["sleep", "1000"]),
    )
    t.start()
    t.wait_state("db", "starting")
    pid = t.wait_state("alone", "running")["pid"]
    db = t.status("db")["pid"]
    done = t.ctl("tree", env={**os.environ, "LC_ALL": "C"})
    t.eq(done.code, 0, "supctl tree")
    t.eq(
        done.out.splitlines(),
        [
            f"alone  running, pid {pid}",
            "web  waiting: for app and 1 more to be ready",
            "|- db (after)  " + f"starting, pid {db}",
            "`- app (wants, after)  waiting: for db to be ready",
            "   `- db (requires, after)  " + f"starting, pid {db}  [shown above]",
        ],
        "supctl tree, in ASCII",
    )
    done = t.ctl("tree", "app", env={**os.environ, "LC_ALL": "C.UTF-8"})
    t.eq(done.out.splitlines()[1], f"└─ db (requires, after)  starting, pid {db}", "supctl tree app, in UTF-8")
    code, out = run(t, "why", "web")
    t.eq(
        (code, out.splitlines()),
        (
            0,
            [
                "web: waiting: for app and 1 more to be ready",
                "  app: waiting: for db to be ready (is to be ready)",
                f"    db: starting, pid {db} (is to be ready)",
                f"  db: starting, pid {db} (is to be ready)  [shown above]",
            ],
        ),
        "supctl why web",
    )
    graph = {s["name"]: s for s in t.call("service.graph", names=["app"])}
    t.eq(sorted(graph), ["app", "db"], "service.graph of app")
    t.eq((graph["app"]["requires"], graph["app"]["after"], graph["db"]["before"]), (["db"], ["db"], ["app", "web"]), "")
    t.eq(graph["app"]["waits-for"], [{"name": "db", "for": "ready"}], "waits-for")


@test
def slots_instances_and_bonds(t):
    head = "start-slots = 2\n"
    t.configure(
        head,
        *(oneshot(t, f"job{i}", before=gate(t, f"job{i}.go")) for i in range(4)),
        logged(t, "w%i", instances=2, after="job3").replace("w%i", "w", 1),
        logged(t, "x", after="w"),
        service("bus", ["sleep", "1000"], restart_delay=0),
        service("user", ["sleep", "1000"], binds_to="bus", after="bus"),
    )
    t.start()
    job = t.wait_for("job2", lambda s: s["reason"] == "for a start slot", "waits for a slot")
    t.eq(job["state"], "waiting", "job2")
    for i in range(4):
        let_go(t, f"job{i}.go")
    before(t, "+job3", "+w1", "+x")
    before(t, "+job3", "+w2", "+x")

    # A service that is bound to another goes through its restarts with it.
    first = t.wait_state("user", "running")
    bus = t.wait_state("bus", "running")
    os.kill(bus["pid"], signal.SIGKILL)
    user = t.wait_for("user", lambda s: s["state"] == "running" and s["pid"] != first["pid"], "restarted with bus")
    t.check(not is_alive(first["pid"]), "the one before is gone")
    t.check(t.status("bus")["since"] <= user["since"], "bus was there first")


@test
def a_new_graph_touches_nobody(t):
    t.configure(logged(t, "a"), logged(t, "b"))
    t.start()
    wait_lines(t, "+a", "+b")
    pids = {name: t.wait_state(name, "running")["pid"] for name in "ab"}
    t.configure(logged(t, "a"), logged(t, "b", after="a", binds_to="a"), logged(t, "c", requires="d", after="d"),
                logged(t, "d", enabled=False))
    code, out = run(t, "reread")
    t.eq(code, 0, "supctl reread")
    t.match(out, r"change b: after, binds-to", "the plan")
    before(t, "+d", "+c")
    t.eq({name: t.status(name)["pid"] for name in "ab"}, pids, "those that ran")
    clear(t)
    t.ctl("stop", "a")
    before(t, "-b", "-a")

    clear(t)
    t.configure(logged(t, "a"))
    t.eq(run(t, "reread")[0], 0, "supctl reread")
    before(t, "-c", "-d")


@test
def a_second_signal_hurries_those_that_wait_too(t):
    t.configure(t.deaf("a"), t.deaf("b", after="a"), t.deaf("c", after="b"))
    t.start()
    for name in "abc":
        t.wait_marked(name)
    t.process.send_signal(signal.SIGTERM)
    eventually(lambda: t.got("c"), "c has its stop-signal")
    t.eq((t.status("a")["state"], t.status("b")["state"]), ("running", "running"), "those that wait for it")
    t.terminate()
    t.nothing_left()


@test
def faults_of_a_graph_are_told_where_they_stand(t):
    t.configure(
        'service "a" {\n    command = "true"\n    after = {"b", "bb"}\n}\n'
        'service "b" {\n    command = "true"\n    before = "c"\n    requires = "nobody"\n}\n'
        'service "c" {\n    command = "true"\n    before = "b"\n    wants = "c"\n}\n'
        'service "web" {\n    command = "true"\n    instances = 0\n}\n'
        'service "d" {\n    command = "true"\n    after = "web"\n    conflicts = {"e"}\n    binds-to = "e"\n}\n'
        'service "e" {\n    command = "true"\n    start-timeout = "never"\n}\n'
        "start-slots = many\n"
    )
    result = t.run("-t")
    out = result.out + result.err
    t.eq(result.code, 1, "supd -t")
    for line in (
        r':3: service "a": key \'after\': there is no service \'bb\'; did you mean \'b\'\?',
        r':8: service "b": key \'requires\': there is no service \'nobody\'',
        r':13: service "c": key \'wants\': \'c\' is the service itself',
        r":12: .*the order goes round in a circle: c before b \(\S+:12\), b before c \(\S+:7\): take one of these away",
        r":\d+: key 'start-slots': 'many' is not a number",
    ):
        t.match(out, line, "supd -t")
    t.check("'e'" not in out and "web" not in out, "nothing is told of those that are known:\n" + out)


main()
