#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The commands of supctl and the objects behind them, on services that behave."""
import json
import os
import re
import signal
import time

from harness import main, test
from instance import service
from processes import eventually, is_alive, kill, read_stat, run_program


NUMBER = (int, float)
NOTHING = type(None)

SERVICE_KEYS = {
    "name": str,
    "state": str,
    "desired": str,
    "ready": bool,
    "pid": (int, NOTHING),
    "adopted": bool,
    "since": NUMBER,
    "uptime": NUMBER + (NOTHING,),
    "starts": int,
    "restarts": int,
    "next-start-in": NUMBER + (NOTHING,),
    "reason": (str, NOTHING),
    "exit": (dict, NOTHING),
    "control": (dict, NOTHING),
    "config-stale": bool,
    "stopped": bool,
    "paused": bool,
    "enabled": bool,
    "next-run": (float, NOTHING),
    "log": dict,
    "log-to": dict,
    "memory": (int, NOTHING),
    "cpu": NUMBER + (NOTHING,),
    "tasks": (int, NOTHING),
    "command": list,
    "sockets": list,
    "fd-store": list,
    "cgroup": (str, NOTHING),
    "memory-max": (int, NOTHING),
    "health": (str, NOTHING),
    "health-text": (str, NOTHING),
    "status-text": (str, NOTHING),
}
EXIT_KEYS = {
    "how": str,
    "code": (int, NOTHING),
    "signal": (str, NOTHING),
    "core": bool,
    "oom": bool,
    "at": NUMBER,
    "source": str,
    "usage": (dict, NOTHING),
}
INFO_KEYS = {
    "version": str,
    "pid": int,
    "since": NUMBER,
    "uptime": NUMBER,
    "config": str,
    "config-fallback": bool,
    "runtime-dir": str,
    "socket": str,
    "instance": str,
    "watch": str,
    "watch-reason": (str, NOTHING),
    "services": int,
    "on-event": list,
    "running": int,
    "clients": int,
    "kernel": str,
    "state-dir": (str, NOTHING),
    "state-dir-reason": (str, NOTHING),
    "cgroup": (str, NOTHING),
    "cgroup-reason": (str, NOTHING),
    "pressure": (dict, NOTHING),
}


def check_shape(t, thing, keys, what):
    for key, kind in keys.items():
        if not t.check(key in thing, f"{what}: no key {key!r}"):
            continue
        value = thing[key]
        right = isinstance(value, kind) and (isinstance(value, bool) == (kind is bool))
        t.check(right, f"{what}: {key} = {value!r} has the wrong type")
    t.eq(sorted(set(thing) - set(keys)), [], f"{what}: keys that nobody promised")


@test
def shape_of_a_service(t):
    t.configure(
        t.sleeper("up"),
        t.sleeper("down", enabled=False),
        service("ended", t.worker("exit", 3), restart="no"),
        service("again", t.worker("exit", 1), restart_delay="1h", restart_delay_max="1h"),
        t.sleeper("logged", log=t.path("out.txt"), log_error=t.path("err.txt")),
        t.sleeper("silent", log="none", log_error="none"),
    )
    t.start()
    t.wait_state("up", "running")
    t.wait_state("logged", "running")
    t.wait_state("silent", "running")
    t.wait_state("ended", "failed")
    t.wait_state("again", "backoff")
    now = time.time()
    shown = json.loads(t.ctl("status", "--json").out)
    t.eq([s["name"] for s in shown], ["again", "down", "ended", "logged", "silent", "up"], "sorted by name")
    by_name = {s["name"]: s for s in shown}
    for name, s in by_name.items():
        check_shape(t, s, SERVICE_KEYS, name)
        for key in "log", "log-to":
            check_shape(t, s[key], {"out": (str, NOTHING), "err": (str, NOTHING)}, f"{name}: {key}")
        t.check(now - 600 < s["since"] <= time.time() + 1, f"{name}: since is {s['since']}, now is {now}")
        if s["exit"]:
            check_shape(t, s["exit"], EXIT_KEYS, f"{name}: exit")

    up = by_name["up"]
    t.eq((up["state"], up["desired"], up["ready"], up["starts"], up["restarts"]), ("running", "up", True, 1, 0), "up")
    t.eq((up["adopted"], up["stopped"], up["config-stale"], up["next-start-in"]), (False, False, False, None), "up")
    t.eq((up["exit"], up["tasks"]), (None, 1), "up")
    t.check(up["uptime"] >= 0 and up["memory"] > 0 and up["cpu"] >= 0, f"usage of up: {up}")
    t.eq(up["command"], t.worker("mark", t.path("up.mark"), "for-ever"), "command")
    t.eq([up["pid"]], t.live("up"), "pid of the only process of up")

    down = by_name["down"]
    t.eq((down["state"], down["desired"], down["ready"], down["starts"]), ("stopped", "down", False, 0), "down")
    t.eq([down[k] for k in ("pid", "uptime", "next-start-in", "exit", "memory", "cpu", "tasks")], [None] * 7, "down")

    ended = by_name["ended"]
    t.eq((ended["state"], ended["desired"], ended["pid"], ended["uptime"]), ("failed", "up", None, None), "ended")
    e = ended["exit"]
    t.eq((e["how"], e["code"], e["signal"], e["core"], e["source"]), ("exited", 3, None, False, "wait"), "exit")
    t.check(ended["reason"], "ended: a reason is given")

    again = by_name["again"]
    t.eq((again["state"], again["desired"], again["pid"]), ("backoff", "up", None), "again")
    t.check(3500 < again["next-start-in"] <= 3600, f"next-start-in: {again['next-start-in']}")
    t.eq(by_name["logged"]["log"], {"out": t.path("out.txt"), "err": t.path("err.txt")}, "log of two files")
    t.eq(by_name["silent"]["log"], {"out": None, "err": None}, "log of none")
    where = {name: (by_name[name]["log-to"]["out"], by_name[name]["log-to"]["err"]) for name in ("logged", "silent", "up")}
    t.eq(where, {"logged": ("file", "file"), "silent": ("none", "none"), "up": ("inherit", None)}, "where output goes")
    t.eq(
        by_name,
        {
            n: {**s, **{k: by_name[n][k] for k in ("uptime", "cpu", "next-start-in", "memory")}}
            for n, s in t.all().items()
        },
        "supctl --json shows what the socket answers",
    )


@test
def shape_of_info(t):
    t.configure(t.sleeper("a"), t.sleeper("b", enabled=False))
    t.start()
    t.wait_state("a", "running")
    info = t.call("supd.info")
    check_shape(t, info, INFO_KEYS, "supd.info")
    t.eq((info["pid"], info["config"], info["config-fallback"]), (t.process.pid, t.conf, False), "supd.info")
    t.eq((info["runtime-dir"], info["socket"]), (t.run_dir, t.socket), "paths")
    t.eq((info["services"], info["running"]), (2, 1), "counts")
    t.check(info["clients"] >= 1, f"clients: {info['clients']}")
    t.match(info["kernel"], re.escape(os.uname().release), "kernel")
    t.check(info["watch"].startswith("pidfd"), f"watch: {info['watch']}")
    t.eq(info["config"] in t.ctl("info").out, True, "supctl info shows the file")
    t.eq(json.loads(t.ctl("info", "--json").out)["instance"], info["instance"], "supctl info --json")
    environment = t.mine()[t.status("a")["pid"]]
    t.check(b"SUPD_INSTANCE=" + info["instance"].encode() in environment, "SUPD_INSTANCE is the id of the directory")


@test
def runtime_directory(t):
    t.configure(t.sleeper("a"))
    os.umask(0)
    t.start()
    for name, want in (("", 0o755), ("lock", 0o600), ("state", 0o600), ("config.good", 0o600), ("control.sock", 0o600)):
        t.eq(oct(os.stat(os.path.join(t.run_dir, name)).st_mode & 0o7777), oct(want), f"mode of {name or 'directory'}")
    t.match(t.read("run/lock"), rf"\b{t.process.pid}\b", "the lock holds the pid")
    t.terminate()


@test
def table(t):
    t.configure(
        t.sleeper("alpha"), t.sleeper("beta", enabled=False), service("gamma", t.worker("exit", 4), restart="no")
    )
    t.start()
    t.wait_state("alpha", "running")
    t.wait_state("gamma", "failed")
    for args in ((), ("status",)):
        shown = t.ctl(*args)
        t.eq(shown.code, 0, f"exit code of supctl {' '.join(args)}")
        t.match(shown.out, r"^NAME +STATE +PID +UPTIME +RESTARTS", "heading")
        t.match(shown.out, rf"\nalpha +running +{t.status('alpha')['pid']} ", "line of alpha")
        t.match(shown.out, r"\nbeta +stopped ", "line of beta")
        t.match(shown.out, r"\ngamma +failed [^\n]*4", "line of gamma says how it ended")
    t.eq(len(t.ctl("status", "bet?").out.splitlines()), 2, "status of a glob: heading and line")
    pid = t.status("alpha")["pid"]
    t.match(t.ctl("status", "alpha").out, rf"\Aalpha\n  state: [^\n]*\n(  [^\n]*\n)*  pid: +{pid}\n", "of one service: all")


@test
def start_stop_restart(t):
    t.configure(t.sleeper("a"), t.sleeper("b"), t.sleeper("c", enabled=False))
    t.start()
    first = t.wait_state("a", "running")["pid"]
    t.wait_state("b", "running")

    done = t.ctl("stop", "a")
    t.eq(done.code, 0, "stop")
    t.match(done.out, r"\ba\b.*stopped", "stop says what became of it")
    s = t.status("a")
    t.eq((s["state"], s["desired"], s["pid"]), ("stopped", "down", None), "after stop")
    t.eq((s["exit"]["how"], s["exit"]["signal"], s["restarts"]), ("signaled", "TERM", 0), "after stop")
    t.check(not is_alive(first), "the process has ended when stop returns")
    t.eq(t.ctl("stop", "a").code, 0, "stop of a stopped service")

    done = t.ctl("start", "a")
    t.eq(done.code, 0, "start")
    s = t.status("a")
    t.eq((s["state"], s["desired"], s["starts"], s["restarts"]), ("running", "up", 2, 0), "after start")
    t.match(done.out, rf"{s['pid']}", "start tells the pid")
    t.eq(t.ctl("start", "a").code, 0, "start of a running service")
    t.eq(t.status("a")["pid"], s["pid"], "start leaves a running service alone")

    old = s["pid"]
    t.eq(t.ctl("restart", "a").code, 0, "restart")
    s = t.status("a")
    t.check(s["pid"] not in (old, None) and not is_alive(old), "restart makes a new process")
    t.eq((s["state"], s["starts"], s["restarts"]), ("running", 3, 0), "restart by command is no automatic one")
    t.eq(t.ctl("restart", "c").code, 0, "restart of a stopped service starts it")
    t.eq(t.status("c")["state"], "running", "restart of a stopped service starts it")
    t.eq(t.status("b")["starts"], 1, "b was never touched")
    t.eq({n: len(p) for n, p in t.census("abc").items()}, {"a": 1, "b": 1, "c": 1}, "one process each")


@test
def json_outcomes(t):
    t.configure(t.sleeper("a"), t.sleeper("b"))
    t.start()
    t.wait_all("running")
    done = t.ctl("--json", "restart", "b", "a")
    t.eq(done.code, 0, "restart --json")
    outcomes = json.loads(done.out)
    t.eq(sorted(o["name"] for o in outcomes), ["a", "b"], "names")
    for o in outcomes:
        t.eq(sorted(o), ["message", "name", "ok", "service"], "keys of an outcome")
        t.check(o["ok"] is True and isinstance(o["message"], str), f"outcome {o['name']}: {o['message']}")
        check_shape(t, o["service"], SERVICE_KEYS, f"service in the outcome of {o['name']}")
        t.eq((o["service"]["state"], o["service"]["starts"]), ("running", 2), "service in the outcome")


@test
def several_names_and_globs(t):
    names = ["web.1", "web.2", "web-3", "db", "db_x"]
    t.configure(*[t.sleeper(n) for n in names])
    t.start()
    t.wait_all("running")
    table_of_patterns = [
        (["web*"], ["web-3", "web.1", "web.2"]),
        (["web.?"], ["web.1", "web.2"]),
        (["web[.]1"], ["web.1"]),
        (["db", "web.1"], ["db", "web.1"]),
        (["db", "d*"], ["db", "db_x"]),
        (["*"], sorted(names)),
        (["db"], ["db"]),
    ]
    for patterns, want in table_of_patterns:
        shown = t.ctl("status", "--json", *patterns)
        t.eq([s["name"] for s in json.loads(shown.out)], want, f"status {patterns}")
    t.eq(t.ctl("stop", "web.*", "db").code, 0, "stop of a glob and a name")
    t.eq(sorted(n for n, s in t.all().items() if s["state"] == "stopped"), ["db", "web.1", "web.2"], "stopped")
    done = t.ctl("stop", "db_x", "nothing*")
    t.eq(done.code, 4, "a glob that matches nothing")
    t.match(done.err, r"nothing\*", "the error names the glob")
    t.eq(t.status("db_x")["state"], "running", "nothing is done for the others either")


@test
def signals(t):
    t.configure(
        service(
            "a",
            t.worker(
                *[w for s in ("HUP", "USR1", "USR2", "WINCH") for w in ("trap", t.path("got"), s)],
                "mark",
                t.path("a.mark"),
                "for-ever",
            ),
        )
    )
    t.start()
    pid = t.wait_state("a", "running")["pid"]
    t.wait_marked("a")
    for spelling, name in (("HUP", "HUP"), ("SIGUSR1", "USR1"), (str(int(signal.SIGUSR2)), "USR2"), ("winch", "WINCH")):
        before = t.read("got").count(name)
        done = t.ctl("signal", spelling, "a")
        if spelling == "winch":  # whether small letters are taken is open; an error must then be clear
            t.check(done.code == 0 or "winch" in done.err, f"signal winch: {done}")
            continue
        t.eq(done.code, 0, f"signal {spelling}")
        t.wait_for("a", lambda _, n=name, b=before: t.read("got").count(n) > b, f"{spelling} arrives")
    t.eq(t.read("got").split()[:6], [str(pid), "HUP", str(pid), "USR1", str(pid), "USR2"], "signals got")
    done = t.ctl("signal", "BOGUS", "a")
    t.check(done.code in (1, 2), f"unknown signal: {done}")
    t.match(done.err, "BOGUS", "the unknown signal is named")
    t.eq(t.ctl("signal", "KILL", "a").code, 0, "signal KILL")
    t.wait_for("a", lambda s: s["starts"] == 2 and s["state"] == "running", "killed by hand means restarted")
    t.eq(t.status("a")["exit"]["signal"], "KILL", "exit after signal KILL")
    t.ctl("stop", "a")
    done = t.ctl("signal", "HUP", "a")
    t.eq(done.code, 1, "signal to a stopped service")
    t.check(done.err.strip(), "signal to a stopped service says why not")


@test
def job_control_stop_is_shown(t):
    t.configure(t.sleeper("a"))
    t.start()
    pid = t.wait_state("a", "running")["pid"]
    kill(pid, signal.SIGSTOP)
    s = t.wait_for("a", lambda s: s["stopped"], "stopped is true")
    t.eq((s["state"], s["pid"]), ("running", pid), "stopped service is running")
    t.match(t.ctl().out, r"(?i)a +running .*stop", "the table tells it")
    kill(pid, signal.SIGCONT)
    t.wait_for("a", lambda s: not s["stopped"], "stopped is false again")
    kill(pid, signal.SIGSTOP)
    eventually_stopped = t.wait_for("a", lambda s: s["stopped"], "stopped again")
    t.check(eventually_stopped["starts"] == 1, "one start")
    t.eq(t.ctl("stop", "a").code, 0, "stop of a stopped process")
    s = t.status("a")
    t.eq((s["state"], s["exit"]["signal"]), ("stopped", "TERM"), "it saw TERM, no KILL was needed")


@test
def reset(t):
    t.configure(service("a", t.worker("exit", 1), restart="no"))
    t.start()
    t.wait_state("a", "failed")
    t.eq(t.ctl("reset", "a").code, 0, "reset")
    s = t.status("a")
    t.check(s["state"] != "failed", f"reset forgets the failure: {s['state']} ({s['reason']})")
    t.eq(s["starts"], 1, "reset starts nothing that has failed")


@test
def exit_codes(t):
    slow = t.deaf("slow")
    t.configure(
        t.sleeper("up"),
        t.sleeper("down", enabled=False),
        slow,
        service("broken", ["/nonexistent/program"], enabled=False, restart="no"),
        service("failing", t.worker("exit", 1), restart="no"),
    )
    t.start()
    t.wait_state("up", "running")
    t.wait_state("failing", "failed")
    t.wait_marked("slow")
    cases = [
        (["status"], 0),
        ([], 0),
        (["status", "up"], 0),
        (["status", "down"], 3),
        (["status", "up", "down"], 3),
        (["status", "failing"], 3),
        (["status", "none"], 4),
        (["status", "up", "none"], 4),
        (["start", "none"], 4),
        (["stop", "none"], 4),
        (["restart", "none"], 4),
        (["signal", "HUP", "none"], 4),
        (["reset", "none"], 4),
        (["start", "broken"], 1),
        (["stop", "broken"], 0),
        (["start"], 2),
        (["stop"], 2),
        (["restart"], 2),
        (["signal"], 2),
        (["signal", "HUP"], 2),
        (["reset"], 2),
        (["bogus"], 2),
        (["--bogus"], 2),
        (["status", "--bogus"], 2),
        (["--timeout", "never", "stop", "down"], 2),
        (["stop", "--timeout", "0.2", "slow"], 8),
        (["--timeout", "200ms", "stop", "slow"], 8),
        (["reload", "up"], 1),
        (["upgrade"], 0),
        (["logs", "up"], 1),
        (["enable", "up"], 0),
        (["top", "--interval", "100ms"], 0),
        (["info"], 0),
        (["version"], 0),
        (["--version"], 0),
        (["-V"], 0),
        (["--help"], 0),
        (["-h"], 0),
        (["reread", "--dry-run"], 0),
        (["reread"], 0),
    ]
    for args, want in cases:
        done = t.ctl(*args)
        t.eq(done.code, want, f"supctl {' '.join(args)} ({(done.err or done.out).strip()[:120]})")
        if want not in (0, 3):
            t.check(done.err.strip(), f"supctl {' '.join(args)}: an error on stderr")
    t.match(t.ctl("strat", "up").err, r"\bstart\b", "a mistyped command: the nearest one is offered")
    t.match(
        t.ctl("start", "broken").err, r"/nonexistent/program.*No such file", "a failed start says which step failed"
    )
    t.match(t.ctl("status", "none").err, r"\bnone\b", "an unknown service is named")
    t.eq(t.status("slow")["state"], "stopping", "the command goes on after a timeout")
    kill(t.status("slow")["pid"], signal.SIGKILL)
    t.wait_state("slow", "stopped")


@test
def options_stand_anywhere(t):
    t.configure(t.sleeper("a"))
    t.start()
    t.wait_state("a", "running")
    program = os.environ["SUPCTL"]
    for argv in (
        ["-s", t.socket, "--json", "status", "a"],
        ["status", "-s", t.socket, "a", "--json"],
        ["status", "a", "--json", "-s", t.socket],
    ):
        done = run_program([program, *argv])
        t.check(done.code == 0 and json.loads(done.out)[0]["name"] == "a", f"supctl {argv}: {done}")
    done = run_program([program, "status"], env={"SUPD_SOCKET": t.socket})
    t.eq(done.code, 0, "SUPD_SOCKET")


@test
def unreachable(t):
    t.configure(t.sleeper("a"))
    done = t.ctl("status")
    t.eq(done.code, 7, "no socket there")
    t.check(t.socket in done.err, f"the socket is named: {done.err}")
    t.start()
    t.crash()
    t.eq(t.ctl("status").code, 7, "a socket with nobody behind it")


@test
def no_wait(t):
    t.configure(t.deaf("slow"), t.sleeper("a", enabled=False))
    t.start()
    t.wait_marked("slow")
    t.eq(t.ctl("start", "--no-wait", "a").code, 0, "start --no-wait")
    t.wait_state("a", "running")
    t.eq(t.ctl("--no-wait", "stop", "slow").code, 0, "stop --no-wait")
    s = t.status("slow")
    t.eq((s["state"], s["desired"]), ("stopping", "down"), "slow is stopping")
    eventually(lambda: t.got("slow") == ["TERM"], "one TERM")
    t.eq(t.ctl("stop", "--no-wait", "slow").code, 0, "stop again")
    kill(s["pid"], signal.SIGKILL)
    t.wait_state("slow", "stopped")
    t.eq(t.got("slow"), ["TERM"], "a second stop command sends no second TERM")


@test
def start_during_stop(t):
    t.configure(t.deaf("a"))
    t.start()
    old = t.wait_for("a", lambda s: t.marks("a") and s["state"] == "running", "runs")["pid"]
    t.ctl("stop", "--no-wait", "a")
    t.wait_state("a", "stopping")
    t.ctl("start", "--no-wait", "a")
    t.eq(t.status("a")["desired"], "up", "a start during a stop is taken")
    kill(old, signal.SIGKILL)
    s = t.wait_for("a", lambda s: s["state"] == "running" and s["pid"] not in (None, old), "it runs again")
    t.eq(len(t.live("a")), 1, "one process")
    t.eq(s["starts"], 2, "two starts")


@test
def events(t):
    t.configure(t.sleeper("a", enabled=False), t.sleeper("b", enabled=False))
    t.start()
    with t.client() as client:
        t.eq(client.call("events.subscribe", names=["a"]), True, "subscribe")
        t.ctl("start", "b")
        t.ctl("start", "a")
        t.ctl("stop", "a")
        seen = []
        while not seen or seen[-1]["to"] != "stopped":
            message = client.receive()
            t.eq((message.get("method"), "id" in message), ("event", False), "a notification")
            seen.append(message["params"])
    seen = [e for e in seen if e["to"] != "waiting"]  # which may be passed through
    t.eq({e["name"] for e in seen}, {"a"}, "only what was asked for")
    t.eq([e["to"] for e in seen], ["starting", "running", "stopping", "stopped"], "states in order")
    t.eq([e["from"] for e in seen[1:]], ["starting", "running", "stopping"], "from what states")
    for e in seen:
        t.eq(
            sorted(e), sorted(["type", "at", "name", "from", "to", "state", "desired", "pid", "reason", "exit"]), "keys"
        )
        t.eq((e["type"], e["state"]), ("state", e["to"]), "type and state")
    t.eq((seen[1]["pid"] is not None, seen[3]["pid"]), (True, None), "pid")
    t.eq(seen[3]["exit"]["signal"], "TERM", "exit in the event")


@test
def shutdown(t):
    t.configure(t.sleeper("a"), t.sleeper("b"))
    t.start()
    t.wait_all("running")
    left = t.live()
    t.eq(t.ctl("shutdown", "--leave-services").code, 0, "shutdown --leave-services")
    t.eq(t.wait_end(), 0, "exit code of supd")
    t.eq(t.live(), left, "the services run on")
    t.start()
    t.eq(sorted(s["pid"] for s in t.all().values()), left, "and are taken again")
    t.eq(t.ctl("shutdown").code, 0, "shutdown")
    t.eq(t.wait_end(), 0, "exit code of supd")
    t.nothing_left()


@test
def no_services(t):
    t.configure("# nothing yet")
    t.start()
    t.eq(t.ctl("status").code, 0, "status of an empty set")
    t.eq(t.ctl("status", "--json").out.strip(), "[]", "status --json of an empty set")
    t.eq(t.terminate(), 0, "TERM")


@test
def idle_supd_sleeps(t):
    """Without work there is no work: no polling, no timer that runs for nothing."""
    t.configure(*[t.sleeper(f"s{n}") for n in range(5)])
    t.start()
    t.wait_all("running")

    def used():
        with open(f"/proc/{t.process.pid}/schedstat", encoding="ascii") as f:
            return int(f.read().split()[2])

    def sleeps():
        before = used()
        time.sleep(1.5)
        return used() - before <= 5 and read_stat(t.process.pid)[0] == "S"

    eventually(sleeps, "supd runs five times at most in 1.5 s of doing nothing")


if __name__ == "__main__":
    main()
