#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Several services of one section: their names, what differs between them, and how they come and go."""
import json
import os
import random
import signal
import subprocess
import time

from harness import main, test
from instance import service
from processes import DEADLINE, environment_of, eventually, is_alive, read_stat


def names(base, count):
    return [f"{base}@{k}" for k in range(1, count + 1)]


def web(t, count, **keys):
    return service("web", t.worker("mark", t.path("%n.mark"), "for-ever"), instances=count, **keys)


def pids(t, *wanted):
    return {name: s["pid"] for name, s in t.all().items() if not wanted or name in wanted}


@test
def each_has_its_own_values(t):
    for k in (1, 2):
        os.mkdir(t.path(f"dir{k}"))
        t.write(f"{k}.env", f"FROM_FILE=file-{k}\n")
    t.configure(
        f'defaults {{\n environment = {{"ALL=%n"}}\n log = "{t.path("%n.log")}"\n }}\n',
        service(
            "web",
            t.worker("mark", t.path("%n.mark"), "describe", t.path("seen%i"), "for-ever", "100%%"),
            instances=2,
            environment=["PORT=80%i", "PERCENT=%%i"],
            environment_file=[t.path("%i.env")],
            directory=t.path("dir%i"),
        ),
    )
    t.start()
    t.settle(names("web", 2), "at the start")
    for k in (1, 2):
        status = t.wait_for(f"web@{k}", lambda s: t.read(f"seen{k}"), "described")
        with open(f"/proc/{status['pid']}/cmdline", "rb") as f:
            words = f.read().decode().split("\0")
        t.check(t.path(f"web@{k}.mark") in words and "100%" in words, f"argv of {k}: {words}")
        seen = environment_of(status["pid"])
        for value in (f"PORT=80{k}", "PERCENT=%i", f"ALL=web@{k}", f"FROM_FILE=file-{k}", f"SUPD_SERVICE=web@{k}"):
            t.check(value.encode() in seen, f"{value} is not in the environment of {k}: {seen}")
        t.eq(os.readlink(f"/proc/{status['pid']}/cwd"), t.path(f"dir{k}"), f"directory of {k}")
        t.eq(os.readlink(f"/proc/{status['pid']}/fd/1"), os.path.join(t.run_dir, "log", f"web@{k}.fifo"), f"stdout of {k}")
        t.eq(status["log"]["out"], t.path(f"web@{k}.log"), f"log of {k}")


@test
def one_is_an_instance_too_and_none_is_none(t):
    t.configure(
        service("one", t.worker("for-ever"), instances=1),
        service("none", t.worker("for-ever"), instances=0),
        service("plain", t.worker("mark", t.path("%n%i%s"), "for-ever")),
    )
    t.start()
    t.settle(["one@1", "plain"], "at the start")
    t.eq(sorted(t.all()), ["one@1", "plain"], "services")
    eventually(lambda: os.path.exists(t.path("%n%i%s")), "without instances a % is a %")
    t.eq(t.ctl("status", "none").code, 4, "status of none")


@test
def one_name_means_all(t):
    t.configure(web(t, 11), t.sleeper("webs"))
    t.start()
    all_of_them = names("web", 11)
    t.settle([*all_of_them, "webs"], "at the start")
    before = pids(t)

    table = [line.split()[0] for line in t.ctl("status", "web").out.splitlines()[1:]]
    t.eq(table, all_of_them, "the table, in the order of numbers")
    shown = [s["name"] for s in json.loads(t.ctl("--json", "status", "web@*").out)]
    t.eq(shown, all_of_them, "by a glob")
    t.eq([s["name"] for s in t.call("service.list", names=["w?b"])], all_of_them, "by a glob of the name")

    t.eq(t.ctl("stop", "web").code, 0, "stop")
    t.eq({name: s["state"] == "stopped" for name, s in t.all().items()}, {n: n != "webs" for n in before}, "stopped")
    for name in all_of_them:
        t.check(not is_alive(before[name]), f"{name} lives")
    t.check(is_alive(before["webs"]), "webs was not meant")

    t.eq(t.ctl("start", "web@3").code, 0, "start of one")
    t.eq(sorted(n for n, s in t.all().items() if s["state"] == "running"), ["web@3", "webs"], "running")
    t.eq(t.ctl("start", "web@12").code, 4, "one that there is not")


@test
def an_edited_number_touches_nobody_else(t):
    t.configure(web(t, 3))
    t.start()
    t.settle(names("web", 3), "at the start")
    before = pids(t)

    t.configure(web(t, 5))
    plan = json.loads(t.ctl("--json", "reread", "--dry-run").out)["plan"]
    t.eq([(s["action"], s["name"]) for s in plan], [("add", "web@4"), ("add", "web@5")], "the plan")
    t.eq(sorted(t.all()), names("web", 3), "a dry run does nothing")
    t.eq(t.ctl("reread").code, 0, "reread to five")
    t.settle(names("web", 5), "five")
    t.eq(pids(t, *before), before, "the three go on")

    t.configure(web(t, 2))
    t.eq(t.ctl("reread").code, 0, "reread to two")
    t.eq(sorted(t.all()), names("web", 2), "two are left")
    t.eq(pids(t), {n: before[n] for n in names("web", 2)}, "the two go on")
    eventually(lambda: len(t.live()) == 2, "no process of the others is left")
    t.eq(t.ctl("--json", "reread").code, 0, "nothing to do")
    t.eq(pids(t), {n: before[n] for n in names("web", 2)}, "the two still go on")


@test
def a_plain_service_becomes_instances(t):
    t.configure(t.sleeper("web"))
    t.start()
    t.settle(["web"], "at the start")
    t.configure(web(t, 2))
    t.eq(t.ctl("reread").code, 0, "reread")
    t.settle(names("web", 2), "instances")
    t.eq(sorted(t.all()), names("web", 2), "services")
    t.configure(t.sleeper("web"))
    t.eq(t.ctl("reread").code, 0, "and back")
    t.settle(["web"], "one")
    t.eq(sorted(t.all()), ["web"], "services")


@test
def they_outlive_supd(t):
    """Also when the file has errors, so that supd goes on with the copy, and with another number in it."""
    t.configure(web(t, 3))
    t.start()
    t.settle(names("web", 3), "at the start")
    before = pids(t)
    t.ctl("stop", "web@2")

    t.crash_and_start()
    del before["web@2"]
    t.eq(pids(t, *before), before, "after a crash")
    t.eq(t.status("web@2")["state"], "stopped", "what was stopped")

    t.configure(web(t, 3), "nonsense")
    t.crash_and_start()
    t.check(t.call("supd.info")["config-fallback"], "runs on the copy")
    t.eq(pids(t, *before), before, "with a broken file")
    t.eq(t.ctl("start", "web").code, 0, "the name still means all")
    t.settle(names("web", 3), "all three")
    before = pids(t)

    t.crash()
    t.configure(web(t, 2))
    t.start()
    eventually(lambda: sorted(t.all()) == names("web", 2), "two of three are left")
    eventually(lambda: not is_alive(before["web@3"]), "the third has ended")
    del before["web@3"]
    t.eq(pids(t), before, "the two go on")
    t.eq(t.terminate(), 0, "exit code")
    t.nothing_left()


def linked(t, *numbers):
    """A program for each instance, which can be taken away."""
    for k in numbers:
        os.symlink(t.worker_path, t.path(f"program{k}"))
    return [t.path("program%i"), "mark", t.path("%n.mark"), "for-ever"]


@test
def rolling_restarts_one_after_another(t):
    t.configure(service("web", linked(t, 1, 2, 3), instances=3), t.sleeper("other"))
    t.start()
    t.settle([*names("web", 3), "other"], "at the start")
    for name in names("web", 3):
        t.wait_marked(name)
    before = pids(t)
    done = t.ctl("restart", "--rolling", "web")
    t.eq(done.code, 0, f"rolling: {done}")
    after = pids(t)
    lines = [f"{name}: restarted, pid {after[name]}" for name in names("web", 3)]
    t.eq(done.out.splitlines(), lines, "what became of each")
    t.eq(after["other"], before["other"], "the other was not meant")
    begun = [read_stat(after[name])[4] for name in names("web", 3)]
    t.eq(begun, sorted(begun), "one after another")
    for name in names("web", 3):
        eventually(lambda: len(t.marks(name)) == 2, f"{name} has begun again")
        t.eq([pid for pid, _ in t.marks(name)], [before[name], after[name]], f"processes of {name}")

    os.unlink(t.path("program2"))
    done = t.ctl("restart", "--rolling", "web")
    t.eq(done.code, 1, f"rolling with one that fails: {done}")
    t.match(done.out, r"^web@1: restarted, pid \d+\n$", "the first")
    t.match(done.err, r"web@2: exec .*No such file.*\n.*web@3: not restarted, because web@2 failed", "the others")
    t.eq(t.status("web@3")["pid"], after["web@3"], "the third goes on")
    t.check(t.status("web@1")["pid"] != after["web@1"], "the first was restarted")
    shown = json.loads(t.ctl("--json", "restart", "--rolling", "web@2", "web@3", "other").out)
    t.eq([(o["name"], o["ok"]) for o in shown], [("other", True), ("web@2", False), ("web@3", False)], "as JSON")
    t.eq(t.status("web@3")["pid"], after["web@3"], "the third still goes on")

    t.eq(t.ctl("restart", "--rolling", "web", "nobody").code, 4, "with an unknown name")
    t.eq(t.ctl("restart", "--rolling", "--no-wait", "web").code, 2, "that waits for nothing")
    t.eq(t.ctl("stop", "--rolling", "web").code, 2, "of another command")


@test
def removal_survives_a_crash(t):
    """supd dies while the instances that an edited file takes away are on their way out."""
    t.configure(
        service(
            "web", t.worker("trap", t.path("%n.got"), "TERM", "mark", t.path("%n.mark"), "for-ever"),
            instances=3, stop_timeout="1h",
        )
    )
    t.start()
    t.settle(names("web", 3), "at the start")
    for name in names("web", 3):
        t.wait_marked(name)
    before = pids(t)
    t.configure(
        service(
            "web", t.worker("trap", t.path("%n.got"), "TERM", "mark", t.path("%n.mark"), "for-ever"),
            instances=1, stop_timeout="1h",
        )
    )
    done = t.ctl("reread", "--timeout", "100ms")
    t.eq(done.code, 8, "the removal takes longer")
    for name in ("web@2", "web@3"):
        eventually(lambda: t.got(name) == ["TERM"], f"{name} was asked to end")
    t.crash_and_start()
    t.eq(pids(t, *before), before, "all live on")
    for name in ("web@2", "web@3"):
        os.kill(before[name], 9)
    eventually(lambda: sorted(t.all()) == ["web@1"], "they are gone, and not started again")
    t.eq(pids(t), {"web@1": before["web@1"]}, "the first goes on")
    t.eq(t.live(), [before["web@1"]], "processes")


def kept(t, before, *still):
    t.eq(pids(t, *still), {name: before[name] for name in still}, "those that were there go on")


@test
def scale_adds_and_removes(t):
    t.configure(web(t, 3), t.sleeper("other"), service("shared", t.worker("for-ever"), instances=1, listen=["unix:@%n"]))
    t.start()
    t.settle([*names("web", 3), "other"], "at the start")
    before = pids(t)

    done = t.ctl("scale", "web", "5")
    t.eq(done.code, 0, f"to five: {done}")
    after = pids(t)
    t.eq(done.out.splitlines(), [f"web@{k}: started, pid {after[f'web@{k}']}" for k in (4, 5)], "what is told")
    t.settle([*names("web", 5), "other"], "five")
    kept(t, before, *names("web", 3), "other")
    t.eq(json.loads(t.ctl("--json", "reread", "--dry-run").out)["plan"], [], "nothing to re-read")

    done = t.ctl("scale", "web", "2")
    t.eq((done.code, done.out.splitlines()), (0, [f"web@{k}: removed by scale" for k in (5, 4, 3)]), "to two")
    t.check(not any(is_alive(after[f"web@{k}"]) for k in (3, 4, 5)), "they have ended")
    t.eq(t.ctl("status", "web@3").code, 4, "status of one that is gone")
    t.eq(t.ctl("reread").code, 0, "reread")
    t.eq(t.ctl("scale", "web", "2").out, "Nothing to do: they are so many already.\n", "the same again")
    two = [*names("web", 2), "other", "shared@1"]
    for what in ("reread", "a crash", "an upgrade", "a crash, with a broken file", "a reread of the repaired one"):
        if what == "a crash":
            t.crash_and_start()
        elif what == "an upgrade":
            t.eq(t.ctl("upgrade").code, 0, what)
        elif "broken" in what:
            text = t.read("supd.conf")
            t.configure(text, "nonsense")
            t.crash_and_start()
        elif "repaired" in what:
            t.configure(text)
            t.eq(t.ctl("reread").code, 0, what)
        eventually(lambda: sorted(t.all()) == sorted(two), f"two after {what}")
        t.settle(two[:3], what)
        kept(t, before, *two[:3])

    t.eq(t.ctl("scale", "web", "0").code, 0, "to none")
    t.eq(sorted(t.all()), ["other", "shared@1"], "none is left")
    t.eq(t.ctl("scale", "web", "1", "--no-wait").code, 0, "to one")
    t.settle(["web@1", "other"], "one")
    t.eq(t.terminate(), 0, "a clean stop")
    t.start()
    t.settle([*names("web", 3), "other"], "as the file says")


@test
def what_is_added_has_its_place_in_the_order(t):
    t.configure(t.sleeper("db", enabled=False), web(t, 1, requires=["db"], after=["db"]), t.sleeper("other"))
    t.start()
    t.settle(["db", "web@1", "other"], "at the start")
    t.eq(t.ctl("stop", "db").code, 0, "stop")
    t.eq([n for n, s in t.all().items() if s["state"] == "running"], ["other"], "who requires it stops, too")
    t.eq(t.ctl("scale", "web", "3").code, 0, "scale")
    t.settle(["db", "web@2", "web@3", "other"], "what was added brings what it requires")
    began = [read_stat(t.status(name)["pid"])[4] for name in ("db", "web@2", "web@3")]
    t.eq(began[0], min(began), "that began first")
    t.eq(t.ctl("stop", "db").code, 0, "stop")
    t.eq([n for n, s in t.all().items() if s["state"] == "running"], ["other"], "those that were added stop, too")
    t.eq(t.terminate(), 0, "a clean stop")


@test
def scale_refuses(t):
    t.configure(
        t.sleeper("plain"),
        service("web", t.worker("for-ever"), instances=1, listen=["unix:@all"]),
        service("port", t.worker("for-ever"), instances=2, listen=["tcp:127.0.0.1:6551%i"], enabled=False),
    )
    t.start()
    t.settle(["plain", "web@1"], "at the start")
    services = t.all().keys()
    refusals = {
        ("nobody", "2"): (4, "there is no service 'nobody'"),
        ("web@1", "2"): (1, "web@1 is one instance: scale 'web'"),
        ("plain", "2"): (1, "plain has no instances: give its section the key 'instances'"),
        ("web", "two"): (2, "'two' is no number of instances"),
        ("web", "10001"): (1, "instances: must be a number from 0 to 10000"),
        ("web", "2"): (1, "web@2: all instances would listen at 'unix:@all'"),
        ("port", "30"): (1, "port@10: key 'listen': .*655110"),
        ("web", "2", "3"): (2, "scale: takes fewer words; usage: supctl scale NAME NUMBER"),
    }
    for words, (code, text) in refusals.items():
        done = t.ctl("scale", *words)
        t.eq(done.code, code, f"scale {words}: {done}")
        t.match(done.err, text, f"scale {words}")
        t.eq(t.all().keys(), services, f"services after scale {words}")
    # Whom others name by its number.
    t.configure(
        service("db", t.worker("for-ever"), instances=3),
        service("app", t.worker("for-ever"), requires="db@2", after="db@2"),
        service("side", t.worker("for-ever"), instances=2, wants="db@%i"),
        service("port", t.worker("for-ever"), instances=2, listen=["tcp:127.0.0.1:6551%i"], enabled=False),
    )
    t.eq(t.ctl("reread").code, 0, "reread")
    services = t.all().keys()
    refusals = {
        ("db", "1"): "app after db@2, which would not be there: scale db to 2 or more, or take that out",
        ("side", "4"): "side@4 wants db@4, which would not be there: scale db to 4 or more",
    }
    for words, text in refusals.items():
        done = t.ctl("scale", *words)
        t.eq((done.code, t.all().keys()), (1, services), f"scale {words}: {done}")
        t.match(done.err, f"nothing is done: {text}", f"scale {words}")
    t.eq(t.ctl("scale", "db", "2").code, 0, "one that nobody names")
    named = t.read("supd.conf").replace('"db@2"', '"db@3"')
    t.configure(named)
    done = t.ctl("reread")
    t.match(done.err, "app after db@3, which `supctl scale` has removed: take that out", "a configuration that names it")
    t.eq((done.code, sorted(t.all())), (1, sorted(services - {"db@3"})), "it is not taken")
    done = t.ctl("scale", "port", "3")
    t.eq((done.code, done.out), (0, "port@3: not enabled\n"), "one that is not enabled")
    t.eq(t.status("port@3")["state"], "stopped", "is not started")


@test
def an_edited_number_ends_a_scale(t):
    t.configure(web(t, 3))
    t.start()
    before = {name: t.wait_state(name, "running")["pid"] for name in names("web", 3)}
    t.eq(t.ctl("scale", "web", "6").code, 0, "scale")
    t.configure(web(t, 3, umask="0027"))
    t.eq(t.ctl("reread").code, 0, "another key")
    t.eq(sorted(t.all()), names("web", 6), "still six")
    t.check(all(s["config-stale"] for s in t.all().values()), "all have changed")
    t.configure(web(t, 4, umask="0027"))
    plan = json.loads(t.ctl("--json", "reread", "--dry-run").out)["plan"]
    t.eq([(s["action"], s["name"]) for s in plan], [("remove", "web@5"), ("remove", "web@6")], "the plan")
    t.eq(sorted(t.all()), names("web", 6), "a dry run does nothing")
    t.eq(t.ctl("reread").code, 0, "reread")
    t.eq(sorted(t.all()), names("web", 4), "four")
    # The number that it was scaled from is back, the scale is not; also not for the next supd.
    t.crash()
    t.configure(web(t, 3))
    t.start()
    eventually(lambda: sorted(t.all()) == names("web", 3), "three")
    t.settle(names("web", 3), "three")
    kept(t, before, *before)


@test
def supd_dies_in_the_middle_of_scale(t):
    """At a random moment: what was answered holds, what was not is done or not, and nobody else is touched."""
    t.configure(web(t, 3))
    t.start()
    t.settle(names("web", 3), "at the start")
    first = pids(t)
    count = 3
    for turn in range(6):
        want = 12 if count == 3 else 3
        command = subprocess.Popen(
            [os.environ["SUPCTL"], "-s", t.socket, "scale", "web", str(want)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(random.uniform(0, 0.03))
        t.crash()
        done = command.wait(DEADLINE)
        t.start()
        possible = [names("web", want)] if done == 0 else [names("web", count), names("web", want)]

        def complete():
            services = t.all()
            return list(services) in possible and all(s["state"] == "running" for s in services.values())

        eventually(complete, f"turn {turn}: {count} or {want}")
        count = len(t.all())
        t.settle(names("web", count), f"turn {turn}")
        eventually(lambda: len(t.live()) == count, f"turn {turn}: no process of another is left")
        kept(t, first, *first)


@test
def a_rolling_restart_stops_at_one_that_takes_too_long(t):
    deaf = t.worker("trap", t.path("%n.got"), "TERM", "mark", t.path("%n.mark"), "for-ever")
    t.configure(service("web", deaf, instances=2, stop_timeout="1h"))
    t.start()
    for name in names("web", 2):
        t.wait_marked(name)
    done = t.ctl("restart", "--rolling", "--timeout", "100ms", "web")
    t.eq(done.code, 8, f"the first does not end: {done}")
    t.match(done.err, r"web@2: not restarted, because web@1 took too long\n", "what is said of the second")
    t.eq(t.got("web@2"), [], "which is not touched")


@test
def one_that_is_scaled_back_in_while_it_ends(t):
    """It is stopped, and started again once it has ended; also when supd dies meanwhile."""
    deaf = t.worker("trap", t.path("%n.got"), "TERM", "mark", t.path("%n.mark"), "for-ever")
    t.configure(service("web", deaf, instances=3, stop_timeout="1h"))
    t.start()
    for name in names("web", 3):
        t.wait_marked(name)
    before = pids(t)
    waiting = subprocess.Popen(
        [os.environ["SUPCTL"], "-s", t.socket, "scale", "web", "1"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    for name in ("web@2", "web@3"):
        eventually(lambda: t.got(name) == ["TERM"], f"{name} was asked to end")
    t.eq(t.ctl("scale", "web", "2", "--timeout", "100ms").code, 8, "one is to stay, once it has ended")
    os.kill(before["web@3"], signal.SIGKILL)
    err = waiting.communicate(timeout=DEADLINE)[1].decode()
    t.eq((waiting.returncode, err), (1, "supctl: web@2: added again meanwhile\n"), "who waited for its end")
    t.crash_and_start()
    t.eq(pids(t), {name: before[name] for name in names("web", 2)}, "the second has not ended yet")
    os.kill(before["web@2"], signal.SIGKILL)
    eventually(lambda: t.status("web@2")["pid"] not in (None, before["web@2"]), "it is started again")
    t.settle(names("web", 2), "two")
    t.check(pids(t)["web@2"] != before["web@2"], "the second was started again")
    kept(t, before, "web@1")


if __name__ == "__main__":
    main()
