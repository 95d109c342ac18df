#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Several services of one section: their names, what differs between them, and how they come and go."""
import json
import os

from harness import main, test
from instance import service
from processes import environment_of, eventually, is_alive, read_stat


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
        t.eq(os.readlink(f"/proc/{status['pid']}/fd/1"), t.path(f"web@{k}.log"), f"log of {k}")


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


if __name__ == "__main__":
    main()
