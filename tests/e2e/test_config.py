#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The configuration: what is refused and where, and what re-reading it does to whom."""
import json
import os
import signal

from harness import main, test
from instance import service
from processes import eventually, is_alive, kill


COMMAND = 'command = "/bin/true"'

# Each: a text with @@ on the line that the error must name (the mark itself is taken away), words of the message.
ERRORS = {
    "unknown key": (f'service "a" {{\n    {COMMAND}\n    comand = x @@\n}}', r"comand.*command"),
    "unknown key, nothing near": (f'service "a" {{\n    {COMMAND}\n    zzzzzz = x @@\n}}', r"zzzzzz"),
    "unknown top key": ('runtime-dri = "/x" @@', r"runtime-dri.*runtime-dir"),
    "unknown section": ('servise "a" { @@\n}', r"servise.*service"),
    "unknown control key": ('control {\n    admin-grup = "adm" @@\n}', r"admin-grup.*admin-group"),
    "unknown key in defaults": ('defaults {\n    restrat = always @@\n}', r"restrat.*restart"),
    "bad policy": (f'service "a" {{\n    {COMMAND}\n    restart = alway @@\n}}', r"alway.*always"),
    "bad duration": (f'service "a" {{\n    {COMMAND}\n    stop-timeout = 10parsecs @@\n}}', r"10parsecs"),
    "negative duration": (f'service "a" {{\n    {COMMAND}\n    stop-timeout = -1s @@\n}}', r"-1s"),
    "bad boolean": (f'service "a" {{\n    {COMMAND}\n    enabled = perhaps @@\n}}', r"perhaps"),
    "bad signal": (f'service "a" {{\n    {COMMAND}\n    stop-signal = "TREM" @@\n}}', r"TREM.*TERM"),
    "bad umask": (f'service "a" {{\n    {COMMAND}\n    umask = 0999 @@\n}}', r"0999"),
    "bad number": (f'service "a" {{\n    {COMMAND}\n    restart-limit = many @@\n}}', r"many"),
    "bad kill-mode": (f'service "a" {{\n    {COMMAND}\n    kill-mode = grup @@\n}}', r"grup.*group"),
    "bad success-exit": (f'service "a" {{\n    {COMMAND}\n    success-exit = {{0, 256}} @@\n}}', r"256"),
    "bad restart-prevent-exit": (f'service "a" {{\n    {COMMAND}\n    restart-prevent-exit = {{FOO}} @@\n}}', r"FOO"),
    "bad log-level": ("log-level = loud @@", r"loud"),
    "bad watch": ("watch = pidfs @@", r"pidfs.*pidfd"),
    "unknown user": (f'service "a" {{\n    {COMMAND}\n    user = "no-such-user" @@\n}}', r"no-such-user"),
    "unknown group": (f'service "a" {{\n    {COMMAND}\n    group = "no-such-group" @@\n}}', r"no-such-group"),
    "mistyped user": (f'service "a" {{\n    {COMMAND}\n    user = "nobdy" @@\n}}', r"'nobdy'; did you mean 'nobody'\?"),
    "mistyped group": (f'service "a" {{\n    {COMMAND}\n    group = "dameon" @@\n}}', r"did you mean 'daemon'\?"),
    "unknown admin-group": ('control {\n    admin-group = "no-such-group" @@\n}', r"no-such-group"),
    "relative directory": (f'service "a" {{\n    {COMMAND}\n    directory = "here" @@\n}}', r"here"),
    "relative log": (f'service "a" {{\n    {COMMAND}\n    log = "out.log" @@\n}}', r"out\.log"),
    "relative environment-file": (f'service "a" {{\n    {COMMAND}\n    environment-file = {{"-env"}} @@\n}}', r"env"),
    "bad environment": (f'service "a" {{\n    {COMMAND}\n    environment = {{"A=1", "NOVALUE"}} @@\n}}', r"NOVALUE"),
    "duplicate key": (
        f'service "a" {{\n    {COMMAND}\n    umask = 022\n    umask = 027 @@\n}}',
        r"umask.*(twice|again|already)",
    ),
    "duplicate top key": ("log-level = info\n\nlog-level = debug @@", r"log-level.*(twice|again|already)"),
    "duplicate service": (f'service "a" {{\n    {COMMAND}\n}}\nservice "a" {{ @@\n    {COMMAND}\n}}', r'"?a"?.*\d'),
    "no command": ('service "a" { @@\n    umask = 022\n}', r"command"),
    "empty command": ('service "a" {\n    command = "" @@\n}', r"command"),
    "empty command list": ('service "a" {\n    command = {} @@\n}', r"command"),
    "unbalanced quote in command": ("service \"a\" {\n    command = \"/bin/echo 'x\" @@\n}", r"quot"),
    "bad name": (f'service "a b" {{ @@\n    {COMMAND}\n}}', r"a b"),
    "name starts with dot": (f'service ".a" {{ @@\n    {COMMAND}\n}}', r"\.a"),
    "name starts with dash": (f'service "-a" {{ @@\n    {COMMAND}\n}}', r"-a"),
    "name too long": (f'service "{"x" * 65}" {{ @@\n    {COMMAND}\n}}', r"64"),
    "empty name": (f'service "" {{ @@\n    {COMMAND}\n}}', r"name"),
    "too many instances": (f'service "a" {{\n    {COMMAND}\n    instances = 10001 @@\n}}', r"instances.*0 to 10000"),
    "an unknown % of instances": (
        f'service "a" {{\n    {COMMAND}\n    instances = 3\n    directory = "/x%q" @@\n}}', r"directory.*'%q'.*%i.*%n.*%%"
    ),
    "an expression that is none": (
        f'service "a" {{\n    {COMMAND}\n    ready = "log:up (now" @@\n}}', r"ready.*'up \(now' is no extended regular"
    ),
    "no output to look at": (
        f'service "a" {{ @@\n    {COMMAND}\n    log = none\n    ready = "log:up"\n}}', r"no output to look at with log = none"
    ),
    "output of a terminal": (
        f'service "a" {{ @@\n    {COMMAND}\n    tty = /dev/tty9\n    ready = "log:up"\n}}', r"where that goes to a tty"
    ),
    "missing include": ('# one\ninclude("/nonexistent/x.conf") @@', r"/nonexistent/x\.conf.*No such file"),
    "stray word": (f'service "a" {{\n    {COMMAND}\n}}\n\nnonsense @@\n', r"nonsense|syntax|unexpected|unknown"),
}

def check_run(t, *args):
    done = t.run("-t", *args)
    return done, done.err + done.out


def locate(marked):
    """(text without the mark, line of the mark)"""
    line = marked[: marked.index("@@")].count("\n") + 1
    return marked.replace(" @@", ""), line


@test
def errors_name_file_and_line(t):
    for what, (marked, pattern) in ERRORS.items():
        text, line = locate(marked)
        t.write("supd.conf", text + "\n")
        done, said = check_run(t)
        t.eq(done.code, 1, f"{what}: exit code of -t")
        lines = said.splitlines()
        t.check(any(l.startswith(f"{t.conf}:{line}: ") for l in lines), f"{what}: line {line} expected, said {said!r}")
        t.match(said, pattern, f"{what}: message")
    t.check(not os.path.exists(t.run_dir), "-t makes no runtime directory")


@test
def lines_behind_comments(t):
    preludes = {
        "hash": "# one\n# two\n",
        "slashes": "// one\n// two\n",
        "block": "/* one */\n/* two\n three\n*/\n",
        "trailing": f'service "z" {{ # x\n    {COMMAND} // y\n    umask = 022 /* z */\n}}\n',
        "quote in comment": "# don't \"count\n// it's\n/* \" ' */\n",
        "comment in quotes": 'service "z" {\n    command = {"/bin/echo", "# no", "// no", "/* no", "*/"}\n}\n',
        "comment in list": 'service "z" {\n    command = {"/bin/echo", # one\n        /* two */ "x", // three\n        "y"}\n}\n',
        "list over lines": 'service "z" {\n    command = {"/bin/echo",\n\n        "x",\n        "y"\n    }\n}\n',
        "crlf": "# one\r\n# two\r\n",
        "empty lines": "\n\n\n\n",
        "url": 'service "z" {\n    command = "echo http://x/#y"\n}\n',
        "nested defaults": 'defaults {\n    # c\n    restart = no\n}\n',
        "hash only": "#\n#\n//\n/**/\n",
    }
    for what, prelude in preludes.items():
        text, line = locate(prelude + f'service "a" {{\n    # here\n    {COMMAND}\n    stop-timeout = soon @@\n}}\n')
        t.write("supd.conf", text)
        done, said = check_run(t)
        t.eq((done.code, said.split(" ")[0]), (1, f"{t.conf}:{line}:"), f"after {what}: {said!r}")
        t.write("supd.conf", text.replace("soon", "5s"))
        done, said = check_run(t)
        t.eq(done.code, 0, f"{what} is no error: {said!r}")


@test
def all_errors_at_once(t):
    t.write(
        "supd.conf",
        f'include("{t.path("conf.d")}/*.conf")\n'
        f'service "a" {{\n    {COMMAND}\n    restart = sometimes\n    umask = 8\n}}\n'
        f'service "b" {{\n    {COMMAND}\n    user = "no-such-user"\n    stop-signal = NONE\n'
        '    success-exit = {FOO, 0, KILLL, 300}\n}\n',
    )
    os.mkdir(t.path("conf.d"))
    t.write("conf.d/1.conf", f'# c\nservice "c" {{\n    {COMMAND}\n    kill-mode = all\n}}\n')
    t.write(
        "conf.d/2.conf", f'service "d" {{\n    {COMMAND}\n    enabled = 17\n}}\nservice "a" {{\n    {COMMAND}\n}}\n'
    )
    done, said = check_run(t)
    t.eq(done.code, 1, "exit code")
    for place in (
        f"{t.conf}:4",
        f"{t.conf}:5",
        f"{t.conf}:9",
        f"{t.conf}:10",
        f"{t.path('conf.d/1.conf')}:4",
        f"{t.path('conf.d/2.conf')}:3",
    ):
        t.check(any(l.startswith(place + ": ") for l in said.splitlines()), f"{place} is missing in {said!r}")
    t.match(said, r'"?a"?.*(twice|already|duplicate|again)', "the duplicate across files")
    told = [l for l in said.splitlines() if "success-exit" in l]
    for line, word in zip(told, ("FOO", "KILLL", "300"), strict=True):
        t.match(line, rf":11: .*'{word}'", "each element that is wrong")
    done = t.run()
    t.eq(done.code, 1, "supd does not start either")
    t.check(f"{t.conf}:4: " in done.err, "and says the same")


@test
def files(t):
    done, said = check_run(t)
    t.eq(done.code, 1, "missing file")
    t.match(said, rf"{t.conf}.*No such file", "missing file")
    os.mkdir(t.path("supd.conf"))
    done, said = check_run(t)
    t.eq(done.code, 1, "a directory")
    t.check(t.conf in said, "a directory is named")
    os.rmdir(t.path("supd.conf"))
    t.configure(f'include("{t.path("none")}/*.conf")', f'include("{t.path("more.conf")}")', t.sleeper("a"))
    t.write("more.conf", t.sleeper("b"))
    done, said = check_run(t)
    t.eq(done.code, 0, f"a glob without match and a file: {said}")
    t.write("more.conf", f'include("{t.path("more.conf")}")\n')
    done, said = check_run(t)
    t.eq(done.code, 1, "a file that includes itself")
    t.check("more.conf:1" in said, f"a loop is told with its place: {said!r}")
    t.write("supd.conf", "")
    t.eq(check_run(t)[0].code, 0, "an empty file is a configuration")
    t.write("supd.conf", b'service "a" {\n    command = "\xff\xfe\x00"\n}\n')
    t.eq(check_run(t)[0].code, 1, "a zero byte")
    t.write("supd.conf", 'service "a" {\n    command = "/bin/true"\n')
    done, said = check_run(t)
    t.eq(done.code, 1, "a section that never closes")
    t.match(said, rf"{t.conf}:\d+: ", "with a place")
    t.write("supd.conf", 'service "a" {\n    command = "/bin/true\n}\n')
    t.eq(check_run(t)[0].code, 1, "a quote that never closes")


@test
def errors_of_the_file_and_of_the_place(t):
    """Where both are wrong both are told, so that one look is enough."""
    t.write("supd.conf", 'service "a" {\n    command = "/bin/true"\n    umask = 9\n}\n')
    t.run_dir = t.path("missing", "deeper")
    done = t.run()
    t.eq(done.code, 1, "exit status")
    t.match(done.err, r"supd\.conf:3: .*umask", "the file")
    t.match(done.err, r"missing/deeper", "the place")


@test
def check_option(t):
    t.configure(t.sleeper("a"))
    done = t.run("-t")
    t.eq(done.code, 0, "-t")
    t.eq(t.run("--check").code, 0, "--check")
    t.start()
    t.wait_state("a", "running")
    t.eq(t.run("-t").code, 0, "-t beside a running supd")
    t.eq(t.call("config.check"), {"ok": True, "services": 1}, "config.check")
    t.write("supd.conf", "bad line\n")
    t.eq(t.run("-t").code, 1, "-t of a bad file")
    error = t.error_of("config.check")
    t.eq(error.code, -32004, "config.check of a bad file")
    t.check(error.data and all(sorted(e) == ["file", "line", "message"] for e in error.data), f"data: {error.data}")
    t.eq((error.data[0]["file"], error.data[0]["line"]), (t.conf, 1), "place")


@test
def defaults(t):
    t.configure(
        'defaults {\n    restart = no\n    stop-signal = INT\n    environment = {"A=1", "B=1"}\n}',
        service("plain", t.worker("describe", t.path("plain"), "for-ever")),
        service("own", t.worker("describe", t.path("own"), "for-ever"), stop_signal="USR1", environment=["B=2", "C=2"]),
        service("ends", t.worker("exit", 0)),
    )
    t.start()
    t.eq(t.wait_state("ends", "exited")["restarts"], 0, "restart of defaults")
    for name, want in (("plain", ["env A=1", "env B=1"]), ("own", ["env A=1", "env B=2", "env C=2"])):
        t.wait_for(name, lambda s, n=name: s["state"] == "running" and t.read(n), "described")
        seen = [l for l in t.read(name).splitlines() if l[:6] in ("env A=", "env B=", "env C=")]
        t.eq(sorted(seen), want, f"environment of {name}")
    t.ctl("stop", "plain", "own")
    t.eq((t.status("plain")["exit"]["signal"], t.status("own")["exit"]["signal"]), ("INT", "USR1"), "stop-signal")


def plan_of(t, *args):
    done = t.ctl("reread", "--json", *args)
    t.eq(done.code, 0, f"reread {args}: {done}")
    return {s["name"]: s for s in json.loads(done.out)["plan"]}


@test
def reread(t):
    # The environment of what changes is a key that needs a new process; stop-timeout is one that does not.
    def text(change="1", timeout="5s", extra=""):
        return (
            t.sleeper("same")
            + t.sleeper("off", enabled=False)
            + t.sleeper("soft", stop_timeout=timeout)
            + t.sleeper("hard", environment=[f"V={change}"])
            + extra
        )

    t.configure(text(extra=t.sleeper("gone")))
    t.start()
    for name in ("same", "soft", "hard", "gone"):
        t.wait_state(name, "running")
    before = t.all()
    t.eq(plan_of(t), {}, "nothing to do")
    t.match(t.ctl("reread").out, r"(?i)nothing", "nothing to do, in words")

    t.configure(text("2", "6s", t.sleeper("new") + t.sleeper("later", enabled=False)))
    dry = t.ctl("reread", "--dry-run")
    t.eq(dry.code, 0, "reread --dry-run")
    for pattern in (
        r"add new",
        r"add later",
        r"remove gone",
        r"change hard: environment",
        r"change soft: stop-timeout",
    ):
        t.match(dry.out, pattern, "plan in words")
    t.check("same" not in dry.out and "off" not in dry.out, f"nobody else is named: {dry.out!r}")
    plan = plan_of(t, "--dry-run")
    t.eq(
        {n: (s["action"], s["keys"], s["needs-restart"], s["restarted"]) for n, s in plan.items()},
        {
            "new": ("add", [], False, False),
            "later": ("add", [], False, False),
            "gone": ("remove", [], False, False),
            "hard": ("change", ["environment"], True, False),
            "soft": ("change", ["stop-timeout"], False, False),
        },
        "plan",
    )
    t.eq(t.call("config.reload", **{"dry-run": True})["applied"], False, "a dry run applies nothing")
    t.eq({n: s["pid"] for n, s in t.all().items()}, {n: s["pid"] for n, s in before.items()}, "a dry run does nothing")

    plan_of(t)
    after = t.all()
    t.eq(sorted(after), ["hard", "later", "new", "off", "same", "soft"], "services")
    t.check(not is_alive(before["gone"]["pid"]), "the removed one has ended")
    for name in ("same", "soft", "hard"):
        t.eq((after[name]["pid"], after[name]["starts"]), (before[name]["pid"], 1), f"{name} is not touched")
    t.eq({n: s["config-stale"] for n, s in after.items()}, {n: n == "hard" for n in after}, "config-stale")
    t.eq(t.wait_state("new", "running")["starts"], 1, "the added one runs")
    t.eq((after["later"]["state"], after["off"]["state"]), ("stopped", "stopped"), "not enabled")
    t.match(t.ctl("status").out, r"(?i)hard +running[^\n]*(restart|config|stale)", "the table tells config-stale")
    t.eq(plan_of(t), {}, "a second time there is nothing to do")

    t.eq(t.ctl("restart", "hard").code, 0, "restart")
    s = t.status("hard")
    t.eq(s["config-stale"], False, "a restart takes the new configuration")
    t.check(b"V=2" in t.mine()[s["pid"]], "the new environment is in force")
    t.eq(
        {n: len(p) for n, p in t.census(after).items()},
        {n: int(n not in ("later", "off")) for n in after},
        "one process each",
    )


@test
def reread_restart(t):
    t.configure(
        t.sleeper("a", environment=["V=1"]), t.sleeper("b"), t.sleeper("down", enabled=False, environment=["V=1"])
    )
    t.start()
    t.wait_state("a", "running")
    t.wait_state("b", "running")
    before = t.all()
    t.configure(
        t.sleeper("a", environment=["V=2"]), t.sleeper("b"), t.sleeper("down", enabled=False, environment=["V=2"])
    )
    plan = plan_of(t, "--restart")
    t.eq((plan["a"]["needs-restart"], plan["a"]["restarted"]), (True, True), "plan of a")
    t.check(not plan["down"]["restarted"], "what is down is not restarted")
    s = t.status("a")
    t.eq((s["state"], s["config-stale"], s["starts"]), ("running", False, 2), "restarted now")
    t.check(b"V=2" in t.mine()[s["pid"]], "new environment")
    t.eq(t.status("b")["pid"], before["b"]["pid"], "b is not touched")
    t.eq(t.status("down")["state"], "stopped", "down stays down")


@test
def reread_restart_of_one_that_stops(t):
    """Who has stopped a service does not get it back, however long it takes."""
    deaf = t.worker("ignore", "TERM", "for-ever")
    t.configure(service("deaf", deaf, stop_timeout="1h", environment=["V=1"]))
    t.start()
    pid = t.wait_state("deaf", "running")["pid"]
    t.eq(t.ctl("stop", "--no-wait", "deaf").code, 0, "stop")
    t.wait_state("deaf", "stopping")
    t.configure(service("deaf", deaf, stop_timeout="1h", environment=["V=2"]))
    plan = plan_of(t, "--restart")
    t.eq((plan["deaf"]["needs-restart"], plan["deaf"]["restarted"]), (False, False), "the plan")
    t.eq(plan_of(t, "--restart"), {}, "nor is there something to do a second time")
    os.kill(pid, signal.SIGKILL)
    s = t.wait_state("deaf", "stopped")
    t.eq((s["desired"], s["starts"]), ("down", 1), "what was asked for")


@test
def reread_by_signal(t):
    t.configure(t.sleeper("a"))
    t.start()
    pid = t.wait_state("a", "running")["pid"]
    with t.client() as client:
        client.call("events.subscribe")
        t.configure(t.sleeper("a"), t.sleeper("b"))
        t.process.send_signal(1)
        while True:
            event = client.receive()["params"]
            if event["type"] == "reload":
                break
        t.eq((event["ok"], event["name"]), (True, None), "reload event")
        t.eq((t.wait_state("b", "running")["starts"], t.status("a")["pid"]), (1, pid), "SIGHUP re-reads")
        t.write("supd.conf", "nonsense here\n")
        t.process.send_signal(1)
        while True:
            event = client.receive()["params"]
            if event["type"] == "reload":
                break
        t.eq(event["ok"], False, "reload event of a bad file")
    t.match(t.log_text(), r"supd\.conf:1: ", "the log tells the error")
    t.eq(t.status("a")["pid"], pid, "nothing changed")


@test
def broken_file_changes_nothing(t):
    t.configure(t.sleeper("a"), t.sleeper("b"))
    t.start()
    t.wait_all("running")
    before = t.all()
    t.configure(
        t.sleeper("c"), service("a", t.worker("exit", 1)), 'service "x" {\n    restart = never\n    umask = 9\n}'
    )
    done = t.ctl("reread")
    t.eq(done.code, 1, "reread of a broken file")
    t.match(done.err, rf"{t.conf}:\d+: .*never", "the error is told")
    error = t.error_of("config.reload")
    t.eq(error.code, -32004, "config.reload of a broken file")
    t.check(len(error.data) >= 2 and all(isinstance(e["line"], int) for e in error.data), f"all errors: {error.data}")
    t.eq(
        {n: (s["pid"], s["starts"], s["config-stale"]) for n, s in t.all().items()},
        {n: (s["pid"], 1, False) for n, s in before.items()},
        "nothing changed",
    )
    t.configure(t.sleeper("a"), t.sleeper("b"))
    t.eq(plan_of(t), {}, "repaired: nothing to do")


@test
def changing_what_runs_and_what_waits(t):
    """Each state in which a service can be when its section changes or goes."""

    def text(value):
        return (
            service("backoff", t.worker("exit", 1), restart_delay="1h", restart_delay_max="1h", environment=[value])
            + service("failed", t.worker("exit", 1), restart="no", environment=[value])
            + t.deaf("stopping", environment=[value])
            + t.sleeper("stopped", enabled=False, environment=[value])
        )

    t.configure(text("V=1"))
    t.start()
    t.wait_state("backoff", "backoff")
    t.wait_state("failed", "failed")
    t.wait_marked("stopping")
    t.ctl("stop", "--no-wait", "stopping")
    before = t.all()
    t.configure(text("V=2"))
    plan = plan_of(t)
    t.eq({n: s["action"] for n, s in plan.items()}, {n: "change" for n in before}, "plan")
    after = t.all()
    t.eq(
        {n: (s["state"], s["pid"], s["starts"]) for n, s in after.items()},
        {n: (s["state"], s["pid"], s["starts"]) for n, s in before.items()},
        "states are kept",
    )
    t.check(not any(after[n]["config-stale"] for n in ("backoff", "failed", "stopped")), "no process, nothing stale")

    stop_pid = after["stopping"]["pid"]
    t.configure("# all gone")
    t.eq(t.ctl("reread", "--timeout", "500ms").code, 8, "the removal of one that does not end")

    kill(stop_pid, signal.SIGKILL)

    eventually(lambda: t.all() == {}, "all are gone")
    t.nothing_left()
    t.configure(text("V=3"))
    t.eq({s["action"] for s in plan_of(t).values()}, {"add"}, "and come back")


@test
def enabled_changes(t):
    """`enabled` says what starts with supd; what runs or stands now is for the operator."""
    t.configure(t.sleeper("on"), t.sleeper("off", enabled=False))
    t.start()
    pid = t.wait_state("on", "running")["pid"]
    t.configure(t.sleeper("on", enabled=False), t.sleeper("off", enabled=True))
    plan_of(t)
    t.eq((t.status("on")["pid"], t.status("on")["state"]), (pid, "running"), "not enabled any more, but runs on")


@test
def long_configuration(t):
    count = 2000
    t.configure(*[t.sleeper(f"s{n}", enabled=False, environment=[f"A={n}"]) for n in range(count)])
    t.eq(t.run("-t").code, 0, "check")
    t.start()
    t.eq(len(t.all()), count, "services")
    t.eq(plan_of(t), {}, "reread")
    t.eq(len(json.loads(t.ctl("--json").out)), count, "status --json")
    t.eq(t.terminate(), 0, "TERM")


if __name__ == "__main__":
    main()
