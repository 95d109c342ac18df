#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The real supctl against a socket that answers by script, so that every answer, right or wrong, can be had at will.

$SUPCTL names the program. The output is TAP.
"""
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
import traceback

SUPCTL = os.path.abspath(os.environ.get("SUPCTL", "supctl"))
DIR = tempfile.mkdtemp(prefix="test_supctl.")
SOCKET = os.path.join(DIR, "sock")
LIMIT = 90 * int(os.environ.get("TEST_SLOWER", "1"))
CLOSE = object()  # in a script: hang up here
TESTS = []


def test(function):
    TESTS.append(function)
    return function


class Fault(Exception):
    """A JSON-RPC error, as an answer."""

    def __init__(self, code, message, data=None):
        super().__init__(message)
        self.error = {"code": code, "message": message}
        if data is not None:
            self.error["data"] = data


def listen(path=SOCKET):
    if os.path.exists(path):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)
    return listener


def of_fields(services, request):
    """As supd gives them: where fields were asked for, arrays of these.  What is no list of services stays as it is."""
    fields = request.get("params", {}).get("fields")
    if not fields or not all(isinstance(s, dict) and "name" in s for s in services):
        return services
    return [[s.get(key) for key in fields] for s in services]


def older(services):
    """The answer of a supd that does not know of fields."""
    def reply(request):
        if "fields" in request["params"]:
            return Fault(-32602, "fields: no such parameter of this method")
        return result(services)
    return reply


def answer(request, script):
    """What is sent back for one request: a list of bytes and CLOSE."""
    replies = script[request["method"]]
    out = []
    for reply in replies if isinstance(replies, list) else [replies]:
        if reply is CLOSE or isinstance(reply, bytes):
            out.append(reply)
            continue
        message = {"jsonrpc": "2.0", "id": request.get("id")}
        if callable(reply):
            reply = reply(request)
        if isinstance(reply, Fault):
            message["error"] = reply.error
        else:
            message["result"] = of_fields(reply["result"], request)
        out.append(json.dumps(message, separators=(",", ":")).encode() + b"\n")
    return out


def converse(connection, script, requests):
    with connection, connection.makefile("rb") as lines:
        for line in lines:
            request = json.loads(line)
            requests.append(request)
            for piece in answer(request, script):
                if piece is CLOSE:
                    connection.shutdown(socket.SHUT_RDWR)
                    return
                try:
                    connection.sendall(piece)
                except OSError:
                    return


class Fake:
    """supd, as far as a script goes: {method: {"result": …} | Fault | [those, bytes, CLOSE]}."""

    def __init__(self, script, path=SOCKET):
        self.script = script
        script.setdefault("log.pending", result(0))
        self.path = path
        self.requests = []

    def __enter__(self):
        self.listener = listen(self.path)
        threading.Thread(target=self.serve, daemon=True).start()
        return self

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=converse, args=(connection, self.script, self.requests), daemon=True).start()

    def __exit__(self, *exc):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        os.unlink(self.path)


def environment(**changes):
    env = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TZ": "UTC", "TERM": "xterm", "SUPD_SOCKET": SOCKET}
    env.update({k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")})
    env.update(changes)
    return {k: v for k, v in env.items() if v is not None}


def supctl(*args, env=None, **kwargs):
    kwargs.setdefault("stdout", subprocess.PIPE)
    return subprocess.run([SUPCTL, *args], env=environment(**(env or {})), stderr=subprocess.PIPE, text=True,
                          timeout=LIMIT, stdin=subprocess.DEVNULL, check=False, **kwargs)


def on_terminal(*args, columns=80, env=None):
    """The output on a terminal that wide."""
    master, slave = pty.openpty()
    subprocess.run(["stty", "columns", str(columns), "rows", "24", "-opost"], stdin=slave, check=True)
    child = subprocess.Popen([SUPCTL, *args], env=environment(**(env or {})), stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    out = b""
    while select.select([master], [], [], LIMIT)[0]:
        try:
            piece = os.read(master, 65536)
        except OSError:
            break
        out += piece
    os.close(master)
    return child.wait(LIMIT), out.decode()


def same(got, want, what=""):
    assert got == want, f"{what}: got {got!r}, want {want!r}"


def check(done, status, out=None, err=None):
    """out and err are patterns that the whole must match; None: nothing there."""
    text = f"exit {done.returncode}\nstdout: {done.stdout}\nstderr: {done.stderr}"
    assert done.returncode == status, text
    assert re.fullmatch(out or "", done.stdout, re.S), text
    assert re.fullmatch(err or "", done.stderr, re.S), text


def service(name, **changes):
    whole = {"name": name, "state": "running", "desired": "up", "ready": True, "pid": 4711, "adopted": False,
             "since": round(time.time() - 3, 3), "uptime": 3.5, "starts": 1, "restarts": 0, "next-start-in": None,
             "reason": None, "exit": None, "config-stale": False, "stopped": False,
             "log": {"out": None, "err": None}, "memory": 4096, "cpu": 0.5, "tasks": 1, "command": ["/bin/x"], "sockets": []}
    whole.update(changes)
    return whole


def result(value):
    return {"result": value}


def outcome(name, message, ok=True):
    return {"name": name, "ok": ok, "message": message, "service": service(name)}


@test
def status_is_a_table():
    dead = {"how": "exited", "code": 1, "signal": None, "core": False, "at": time.time() - 125, "source": "wait"}
    services = [service("cache"),
                service("db", state="backoff", pid=None, uptime=None, restarts=3, starts=4, reason="exit 1",
                        since=time.time() - 125, exit=dead, memory=None, cpu=None, **{"next-start-in": 4.2})]
    with Fake({"service.list": result(services)}) as fake:
        done = supctl("status")
        check(done, 0, "NAME   STATE     PID  UPTIME  RESTARTS  NOTE\n"
                       "cache  running  4711      3s         0\n"
                       "db     backoff     -       -         3  exit 1; next try in 4 s\n")
        same(supctl().stdout, done.stdout, "status is the default")
        same(fake.requests[0]["method"], "service.list")
        fields = fake.requests[0]["params"].pop("fields")
        same(fake.requests[0]["params"], {})
        assert not {"memory", "cpu", "tasks"} & set(fields), f"asks for what is dear to tell: {fields}"
        whole = supctl("status", "--json").stdout
        same(json.loads(whole), services)
        same(fake.requests[-1]["params"], {}, "and all of it as JSON")
    with Fake({"service.list": older(services)}) as fake:
        same(supctl("status").stdout, done.stdout, "of a supd that does not know of fields")
        same([list(r["params"]) for r in fake.requests], [["fields"], []])


@test
def a_row_is_what_the_whole_would_be():
    """The table is made from the text of the answer where there is little to say, and else from what stands there."""
    dead = {"how": "signaled", "code": None, "signal": "KILL", "core": False, "at": time.time() - 125, "source": "wait"}
    one = [service("plain"), service("healthy", health="healthy"), service("sick", health="unhealthy"),
           service("paused", paused=True), service("stale", **{"config-stale": True}), service("stopped", stopped=True),
           service("says", **{"status-text": "up \"and\" \x1b[1m running \u20ac"}), service("again", restarts=1, exit=dead),
           service("why", reason="reloading"), service("new", uptime=0), service("old", uptime=1e9), service("x" * 300),
           service("odd\x1b[2J"), service(""), service("\u00e9\u4e2d"), service("pid", pid=-5), service("none", pid=None),
           service("lots", restarts=12345678901), service("gone", state="exited", pid=None, uptime=None, exit=dead)]
    with Fake({"service.list": result(one)}):
        rows = supctl("status").stdout
    with Fake({"service.list": older(one)}):
        same(rows, supctl("status").stdout)
    with Fake({"service.list": result(one)}) as fake:
        supctl("status")
        fields = fake.requests[0]["params"]["fields"]
    spacious = {"id": 1, "result": [[s.get(key) for key in fields] for s in one], "jsonrpc": "2.0"}
    with Fake({"service.list": json.dumps(spacious, indent=None).encode() + b"\n"}):
        same(rows, supctl("status").stdout, "however it is written")
    assert "\x1b" not in rows and "killed by KILL, 2 min ago" in rows and "reloading" in rows, rows


@test
def what_is_no_table_is_refused():
    for nonsense in ("x", {"a": 1}, [["a"]], [{}], [5], [[None] * 40], [["a", "running", 1, 1.0, 0] + [None] * 30]):
        with Fake({"service.list": result(nonsense)}):
            check(supctl("status"), 1, err="supctl: supd has answered something else than it was asked for; .*\n")


@test
def status_names_decide_the_exit_code():
    with Fake({"service.list": result([service("a"), service("b", state="stopped", pid=None)])}) as fake:
        same(supctl("status").returncode, 0)
        same(supctl("status", "a", "b").returncode, 3)
        same(fake.requests[1]["params"]["names"], ["a", "b"])
        assert supctl("status", "--full").stdout.startswith("a\n  state:")
        assert supctl("status", "--full").stdout.count("\n\nb\n  state:") == 1
        done = supctl("status", "--json", "a", "b")
        same(done.returncode, 3)
        same([s["name"] for s in json.loads(done.stdout)], ["a", "b"])
        assert done.stdout.count("\n") == 1
    with Fake({"service.list": result([service("a")])}):
        same(supctl("status", "a").returncode, 0)
        assert supctl("status", "a").stdout.startswith("a\n"), "one by its name is shown in full"
        assert supctl("status", "?").stdout.startswith("NAME "), "a glob gives a table, however many it fits"


@test
def one_service_in_full():
    dead = {"how": "signaled", "code": None, "signal": "SEGV", "core": True, "at": 1795286400, "source": "wait",
            "usage": {"run-time": 61.5, "cpu-user": 0.25, "cpu-system": 0.5, "memory-peak": 7340032}}
    whole = service("web", pid=12, adopted=True, since=1795286400.5, starts=3, restarts=2, exit=dead, paused=True,
                    memory=7340032, cpu=1.234, tasks=5, command=["/bin/sh", "-c", "echo 'a b'", ""], reason="fine",
                    log={"out": "/var/log/web", "err": None}, cgroup="/sys/fs/cgroup/x",
                    sockets=[{"listen": "tcp:*:80", "name": "web", "open": True, "error": None},
                             {"listen": "tcp:*:81", "name": "web", "open": False, "error": "in use"}],
                    **{"memory-max": 67108864, "config-stale": True, "status-text": "3 clients"})
    with Fake({"service.list": result([whole])}):
        done = supctl("status", "web")
        same(re.sub("(?<=, )[^,\n]*(ago|now)", "AGO", done.stdout), r"""web
  state:      running, paused since 2026-11-21 18:40:00, AGO
  desired:    up
  reason:     fine
  status:     3 clients
  pid:        12, taken over from an earlier supd
  command:    /bin/sh -c 'echo '\''a b'\Q3 ''
  tasks:      5
  memory:     7.0M of at most 64.0M
  CPU:        1.23 s
  starts:     3, 2 of them by supd itself
  last exit:  killed by SEGV, core dumped, 2026-11-21 18:40:00, AGO
  had used:   0.75 s of CPU in 1 min 1 s, memory at most 7.0M
  config:     changed since its start; taken up by the next restart
  listen:     tcp:*:80
  listen:     tcp:*:81, not open: in use
  output:     /var/log/web
  cgroup:     /sys/fs/cgroup/x
""".replace("Q3", "'" * 3))
        _, text = on_terminal("status", "web")
        assert "\033[33mrunning\033[0m, paused" in text, text


@test
def an_empty_set_says_so():
    with Fake({"service.list": result([])}):
        check(supctl(), 0, "No services are configured.\n")
        check(supctl("--json"), 0, r"\[\]\n")


@test
def a_terminal_cuts_and_colours_a_pipe_does_not():
    reason = "exec /usr/local/bin/something-long: No such file or directory " * 3
    with Fake({"service.list": result([service("web"), service("bad", state="failed", pid=None, uptime=None,
                                                               reason=reason)])}):
        status, text = on_terminal("status", columns=60)
        same(status, 0)
        assert "\033[32mrunning\033[0m" in text and "\033[31mfailed\033[0m" in text, text
        lines = re.sub("\033\\[[0-9]*m", "", text).splitlines()
        assert lines[2].endswith("…") and len(lines[2]) == 60, lines
        assert max(map(len, lines)) <= 60, lines
        _, text = on_terminal("status", columns=60, env={"COLUMNS": "70", "NO_COLOR": "1"})
        assert "\033" not in text and max(map(len, text.splitlines())) == 70, text
        _, text = on_terminal("status", env={"TERM": "dumb", "LC_ALL": "C"})
        assert "\033" not in text and text.splitlines()[2].endswith(".."), text
        done = supctl("status")
        assert reason.strip() in done.stdout and "\033" not in done.stdout


@test
def control_characters_are_made_harmless():
    evil = "\x1b[2J\x1b]0;owned\x07\n\u202efoo"
    with Fake({"service.list": result([service("a", state="failed", reason=evil)]),
               "service.start": result([outcome("a", evil, False), outcome("b", evil)]),
               "supd.info": result({"config": evil}),
               "service.stop": Fault(-32003, evil)}):
        for words in (["status"], ["status", "a"], ["start", "a", "b"], ["info"], ["stop", "a"],
                      ["top", "--once", "--interval", "10ms"]):
            done = supctl(*words)
            for text in done.stdout, done.stderr:
                assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202e]", text), (words, text)
            assert "\\x1b[2J" in done.stdout + done.stderr


@test
def logs_on_a_terminal():
    path = os.path.join(DIR, "evil.log")
    with open(path, "wb") as f:
        f.write(b"\x1b[2J\x1b[31mred\ttab \xff\n")
    files = {"out": path, "err": None}
    other = {**files, "out": path + ".other"}
    with open(other["out"], "w", encoding="ascii") as f:
        f.write("calm\n")
    with Fake({"service.list": result([service("a", log=files)])}):
        same(on_terminal("logs", "a")[1], "\\x1b[2J\x1b[31mred\ttab \\xff\x1b[0m\n", "one log has no marks")
        for words, env in (["--no-color"], {}), ([], {"NO_COLOR": "1"}), ([], {"TERM": "dumb"}):
            same(on_terminal("logs", "a", *words, env=env)[1], "\\x1b[2J\\x1b[31mred\ttab \\xff\n")
        same(subprocess.run([SUPCTL, "logs", "a"], env=environment(), stdout=subprocess.PIPE, timeout=LIMIT,
                            check=True).stdout, b"\x1b[2J\x1b[31mred\ttab \xff\n", "a pipe gets what is there")
    with Fake({"service.list": result([service("a", log=files), service("bc", log=other)])}):
        same(on_terminal("logs", "*")[1].splitlines()[1], "\x1b[33mbc |\x1b[0m calm")
        same(on_terminal("logs", "*", "--no-color")[1].splitlines()[1], "bc | calm")
        same(supctl("logs", "--json", "*").stdout.splitlines()[1],
             '{"time":null,"service":"bc","stream":"both","message":"calm"}')


@test
def commands_say_what_became_of_each():
    replies = [outcome("a", "started, pid 12"), outcome("b", "exec /x: No such file or directory", False)]
    with Fake({"service.start": result(replies), "service.stop": result(replies[:1])}) as fake:
        check(supctl("start", "a", "b"), 1, "a: started, pid 12\n", "supctl: b: exec /x: No such file or directory\n")
        same(fake.requests[-1]["params"], {"names": ["a", "b"], "wait": True})
        check(supctl("stop", "a"), 0, "a: started, pid 12\n")
        done = supctl("start", "a", "b", "--json")
        same(done.returncode, 1)
        same(json.loads(done.stdout), replies)
        supctl("stop", "*", "--no-wait")
        same(fake.requests[-1]["params"], {"names": ["*"]})
        supctl("--timeout", "1m30s", "stop", "a")
        same(fake.requests[-1]["params"], {"names": ["a"], "wait": True, "timeout": 90.0})


@test
def signal_and_reset():
    with Fake({"service.signal": result([outcome("a", "sent")]), "service.reset": result([outcome("a", "reset")]),
               "service.restart": result([outcome("a", "restarted")])}) as fake:
        check(supctl("signal", "SIGHUP", "a", "b"), 0, "a: sent\n")
        same(fake.requests[-1]["params"], {"names": ["a", "b"], "signal": "SIGHUP"})
        check(supctl("reset", "a"), 0, "a: reset\n")
        check(supctl("restart", "a"), 0, "a: restarted\n")
        seen = len(fake.requests)
        check(supctl("signal", "NOSUCH", "a"), 2, None, "supctl: signal: 'NOSUCH' is no signal; .*\n")
        check(supctl("signal", "TRM", "a"), 2, None, "supctl: signal: 'TRM' is no signal; did you mean 'TERM'\\?\n")
        check(supctl("signal", "HUP"), 2, None, "supctl: signal: too few words; .*\n")
        same(len(fake.requests), seen)


@test
def options_stand_anywhere():
    with Fake({"service.list": result([])}, os.path.join(DIR, "other")):
        for words in (["-s", os.path.join(DIR, "other"), "--json", "status"],
                      ["status", "--json", "-s" + os.path.join(DIR, "other")],
                      ["--socket=" + os.path.join(DIR, "other"), "status", "--json"]):
            for posix in None, "1":
                check(supctl(*words, env={"POSIXLY_CORRECT": posix, "SUPD_SOCKET": None}), 0, r"\[\]\n")


@test
def a_dash_dash_ends_the_options():
    with Fake({"service.list": result([service("-x")])}) as fake:
        same(supctl("status", "--", "-x").returncode, 0)
        same(fake.requests[-1]["params"], {"names": ["-x"]})


@test
def wrong_usage():
    cases = [
        (["strat", "a"], "supctl: unknown command 'strat'; did you mean 'start'\\?\n"),
        (["update"], "supctl: unknown command 'update'; here it is 'supctl reread'\n"),
        (["xyzzy"], "supctl: unknown command 'xyzzy'; 'supctl --help' lists all\n"),
        (["start"], "supctl: start: too few words; usage: supctl start NAME.*\n"),
        (["info", "a"], "supctl: info: takes no names; .*\n"),
        (["--jason"], "supctl: unknown option '--jason'; did you mean '--json'\\?\n"),
        (["signal", "-TERM", "a"], "supctl: a signal is written without '-': supctl signal TERM NAME\n"),
        (["-q"], "supctl: unknown option '-q'; .*\n"),
        (["--json=1"], "supctl: option '--json' takes no value\n"),
        (["-s"], "supctl: option '-s' needs a value\n"),
        (["status", "--timeout"], "supctl: option '--timeout' needs a value\n"),
        (["start", "a", "--timeout", "soon"], "supctl: 'soon' is no time to wait; .*\n"),
        (["start", "a", "--timeout", "0"], "supctl: '0' is no time to wait; .*\n"),
        (["status", "--dry-run"], "supctl: status: option '--dry-run' does not go with this command; .*\n"),
        (["-s", "x" * 200], "supctl: the socket path x+ is too long; .*\n"),
    ]
    for words, err in cases:
        check(supctl(*words), 2, None, err)


@test
def help_and_version_need_no_supd():
    for words in ["-h"], ["--help"], ["help"]:
        check(supctl(*words), 0, "Usage: supctl .*\nCommands:\n  status .*Exit status: .*")
    check(supctl("help", "stpo"), 2, "", "supctl: unknown command 'stpo'; did you mean 'stop'\\?\n")
    for words in ["stop", "-h"], ["--help", "stop", "x"], ["help", "stop"]:
        check(supctl(*words), 0, r"Usage: supctl stop \[OPTION...\] NAME...\n\nStop services, .*--no-wait .*")
    assert "--no-wait" not in supctl("info", "--help").stdout
    for words in ["-V"], ["--version"], ["status", "-V"]:
        check(supctl(*words), 0, "supctl [0-9.]+\n")


@test
def help_fits_a_terminal():
    texts = [supctl("--help").stdout]
    commands = re.findall("^  ([a-z]+) ", texts[0], re.M)
    assert len(commands) > 10, commands
    texts += [supctl(command, "--help").stdout for command in commands]
    for line in "".join(texts).splitlines():
        assert len(line) <= 80, line


@test
def version_tells_both():
    with Fake({"supd.info": result({"version": "9.8.7"})}):
        check(supctl("version"), 0, "supctl [0-9.]+\nsupd 9.8.7\n")
        same(json.loads(supctl("version", "--json").stdout)["supd"], "9.8.7")
    check(supctl("version"), 7, "supctl [0-9.]+\n", "supctl: supd cannot be reached.*\n")


@test
def supd_that_cannot_be_reached():
    check(supctl(), 7, None, "supctl: supd cannot be reached: .*/sock does not exist; start supd, .*\n")
    listen().close()
    check(supctl("start", "a"), 7, None, "supctl: supd cannot be reached: nobody listens on .*; start supd, .*\n")
    os.unlink(SOCKET)
    with open(SOCKET, "wb"):
        pass
    check(supctl(), 7, None, "supctl: supd cannot be reached: .*/sock is no socket; .*\n")
    os.unlink(SOCKET)


@test
def a_socket_that_may_not_be_opened():
    if os.geteuid() != 0:
        return
    with Fake({}):
        os.chmod(SOCKET, 0o600)
        os.chmod(DIR, 0o711)
        shutil.copy(SUPCTL, os.path.join(DIR, "supctl"))
        done = subprocess.run([os.path.join(DIR, "supctl"), "status"], env=environment(), user=65534, group=65534,
                              extra_groups=[], capture_output=True, text=True, timeout=LIMIT, check=False)
        check(done, 5, None, "supctl: .* may not be opened by this user; .*\n")


@test
def where_the_socket_is():
    run = os.path.join(DIR, "run")
    os.makedirs(run + "/supd", exist_ok=True)
    env = {"SUPD_SOCKET": None, "XDG_RUNTIME_DIR": run}
    if os.geteuid() == 0:
        os.chmod(DIR, 0o755)
        shutil.copy(SUPCTL, os.path.join(DIR, "supctl"))
    with Fake({"service.list": result([])}, run + "/supd/control.sock"):
        os.chmod(run + "/supd/control.sock", 0o666)
        other = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
        program = os.path.join(DIR, "supctl") if os.geteuid() == 0 else SUPCTL
        done = subprocess.run([program], env=environment(**env), capture_output=True, text=True, timeout=LIMIT,
                              check=False, **other)
        check(done, 0, "No services are configured.\n")
    done = supctl(env={"SUPD_SOCKET": "/nowhere/sock"})
    assert "/nowhere/sock" in done.stderr
    done = supctl("-s", "/elsewhere", env={"SUPD_SOCKET": "/nowhere/sock"})
    assert "/elsewhere" in done.stderr


@test
def unknown_services():
    known = result([service("web"), service("database")])
    with Fake({"service.start": Fault(-32001, "unknown service", {"names": ["wbe", "x*", "qqqqqq"]}),
               "service.list": known}):
        check(supctl("start", "wbe", "x*", "qqqqqq"), 4, None,
              "supctl: there is no service 'wbe'; did you mean 'web'\\?\n"
              "supctl: no service matches 'x\\*'; .*\n"
              "supctl: there is no service 'qqqqqq'; 'supctl status' lists all\n")
    with Fake({"service.list": Fault(-32001, "unknown service", {"names": ["a"]})}):
        check(supctl("status", "a"), 4, None, "supctl: there is no service 'a'; .*\n")
    with Fake({"service.list": Fault(-32001, "unknown service: a")}):
        check(supctl("status", "a"), 4, None, "supctl: unknown service: a\n")


@test
def other_errors():
    with Fake({"service.stop": Fault(-32002, "not permitted"), "service.start": Fault(-32003, "shutting down"),
               "service.reset": Fault(-32601, "method not found"), "supd.info": Fault(-32603, "oops")}):
        check(supctl("stop", "a"), 5, None, "supctl: supd refuses: not permitted; be root, .*\n")
        check(supctl("start", "a"), 1, None, "supctl: shutting down\n")
        check(supctl("reset", "a"), 1, None, "supctl: this supd does not know that command; .*\n")
        check(supctl("info"), 1, None, "supctl: oops\n")


@test
def a_timeout_that_supd_minds():
    so_far = [outcome("a", "stopped"), outcome("b", "stopping", False)]
    with Fake({"service.stop": Fault(-32005, "timed out", so_far), "config.reload": Fault(-32005, "timed out")}):
        check(supctl("stop", "a", "b", "--timeout", "1s"), 8, "a: stopped\n",
              "supctl: b: stopping\nsupctl: timed out; .*\n")
        done = supctl("stop", "a", "b", "--timeout", "1s", "--json")
        same(done.returncode, 8)
        same(json.loads(done.stdout), so_far)
        check(supctl("reread", "--timeout", "1s"), 8, None, "supctl: timed out; .*\n")


@test
def a_supd_that_is_stuck():
    with Fake({"service.list": []}):
        check(supctl("--timeout", "200ms"), 8, None, "supctl: supd did not answer within 200ms; .*\n")
    with Fake({"service.list": b'{"jsonrpc":"2.0","id":1,"res'}):
        check(supctl("--timeout", "200ms"), 8, None, "supctl: supd did not answer within 200ms; .*\n")
    # One that does not even accept: the queue is full, and connect itself waits.
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(SOCKET)
    listener.listen(0)
    first = socket.socket(socket.AF_UNIX)
    first.connect(SOCKET)
    check(supctl("--timeout", "200ms"), 8, None, "supctl: supd did not answer within 200ms; .*\n")
    first.close()
    listener.close()
    os.unlink(SOCKET)


@test
def answers_that_are_none():
    cases = [
        (b"hello\n", 1, "supctl: what listens there does not speak supd's protocol.*\n"),
        (b"[]\n", 1, "supctl: what listens there does not speak supd's protocol.*\n"),
        (b"{\xff}\n", 1, "supctl: what listens there does not speak supd's protocol.*\n"),
        ([CLOSE], 7, "supctl: supd closed the connection before it answered.*\n"),
        ([b'{"jsonrpc":"2.0","id":1,"resu', CLOSE], 7, "supctl: supd closed the connection before it answered.*\n"),
        (b'{"jsonrpc":"2.0","id":1}\n', 1, "supctl: supd gave an error without a word\n"),
        (b'{"jsonrpc":"2.0","id":1,"error":[]}\n', 1, "supctl: supd gave an error without a word\n"),
        (b'{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"parse error"}}\n', 1, "supctl: parse error\n"),
    ]
    for reply, status, err in cases:
        with Fake({"service.list": reply}):
            check(supctl(), status, None, err)
    # Somebody else's answer and a notification come before ours.
    with Fake({"service.list": [b'{"jsonrpc":"2.0","id":77,"result":[1]}\n{"jsonrpc":"2.0","method":"event"}\n',
                                result([])]}):
        check(supctl(), 0, "No services are configured.\n")
    # Results of the wrong shape must not bring it down.
    for value in ({}, [1, None, "x", {}], "x", 3, [{"name": 3, "state": [], "pid": "x", "exit": 4}]):
        with Fake({"service.list": result(value), "service.start": result(value), "config.reload": result(value),
                   "supd.info": result(value), "events.subscribe": [result(value), CLOSE]}):
            for words in (["status"], ["status", "--full"], ["start", "a"], ["reread"], ["info"], ["version"],
                          ["events"], ["top", "--interval", "10ms"]):
                done = supctl(*words)
                assert done.returncode in (0, 1, 7), (words, value, done)
                assert "Sanitizer" not in done.stderr, done.stderr


@test
def one_that_is_refused_hears_why():
    """supd answers and hangs up before it has read anything."""
    listener = listen()
    reply = {"jsonrpc": "2.0", "id": None, "error": {"code": -32002, "message": "not permitted"}}

    def refuse():
        connection, _ = listener.accept()
        connection.sendall(json.dumps(reply).encode() + b"\n")
        connection.close()

    thread = threading.Thread(target=refuse, daemon=True)
    thread.start()
    check(supctl("stop", "a"), 5, None, "supctl: supd refuses: not permitted; .*\n")
    thread.join()
    listener.close()
    os.unlink(SOCKET)


class Looks(dict):
    """Answers to service.list, the last one again and again."""

    def __init__(self, *lists):
        super().__init__()
        self.left = list(lists)

    def __getitem__(self, method):
        return result(self.left.pop(0) if len(self.left) > 1 else self.left[0])


@test
def top_once_is_a_table():
    first = [service("a", cpu=5.0), service("b", cpu=1.0, memory=1 << 20), service("c", state="failed", pid=None,
                                                                                   uptime=None, memory=None, cpu=None)]
    second = [service("a", cpu=5.0), service("b", cpu=31.0, memory=1 << 20), first[2], service("new", cpu=3.0)]
    with Fake(Looks(first, second)) as fake:
        done = supctl("top", "--interval", "100ms", "a", "b")
        lines = [line.split() for line in done.stdout.splitlines()]
        same((done.returncode, done.stderr), (0, ""))
        same(lines[0], ["NAME", "STATE", "PID", "%CPU", "MEMORY", "TASKS", "UPTIME", "RESTARTS", "NOTE"])
        same([line[0] for line in lines[1:]], ["b", "a", "new", "c"], "by CPU, unknown ones last")
        assert 0 < float(lines[1][3]) <= 30000, lines
        same([line[3] for line in lines[2:]], ["0.0", "-", "-"])
        same([r["params"] for r in fake.requests], [{"names": ["a", "b"]}] * 2)
    # A new life has used all that it has used since the last look.
    with Fake(Looks([service("a", cpu=50.0, starts=1)], [service("a", cpu=10.0, starts=2)])):
        assert float(supctl("top", "--once", "--interval", "100ms").stdout.splitlines()[1].split()[3]) > 0
    check(supctl("top", "--interval", "x"), 2, None, "supctl: 'x' is no time to wait; .*\n")


class Screen:
    """supctl top on a terminal."""

    def __init__(self, *args, lines=10):
        self.master, self.slave = pty.openpty()
        self.resize(80, lines)
        self.before = termios.tcgetattr(self.slave)
        self.child = subprocess.Popen([SUPCTL, "top", *args], env=environment(), stdin=self.slave, stdout=self.slave,
                                      stderr=self.slave, start_new_session=True)
        self.seen = ""

    def resize(self, columns, lines):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def wait_for(self, pattern):
        """What comes from here on and fits; what stands before it is forgotten."""
        end = time.monotonic() + LIMIT
        while True:
            found = re.search(pattern, self.seen, re.S)
            if found:
                self.seen = self.seen[found.end():]
                return found.group().replace("\r", "")
            assert time.monotonic() < end and select.select([self.master], [], [], LIMIT)[0], (pattern, self.seen)
            self.seen += os.read(self.master, 65536).decode()

    def screen_with(self, pattern):
        """The next whole screen in which that stands, by lines."""
        while True:
            screen = self.wait_for("\033\\[H.*?\033\\[J")
            if re.search(pattern, screen):
                return screen.split("\n")

    def press(self, key):
        os.write(self.master, key)

    def ends(self):
        """The status; the terminal must be as it was."""
        status = self.child.wait(LIMIT)
        self.wait_for("\033\\[\\?25h")
        same(termios.tcgetattr(self.slave), self.before)
        os.close(self.master)
        os.close(self.slave)
        return status


@test
def top_follows_and_obeys_keys():
    services = [service(f"s{i:02}", memory=(30 - i) << 20) for i in range(30)]
    with Fake({"service.list": result(services)}):
        screen = Screen("--interval", "50ms")
        lines = screen.screen_with("30 services, 30 running; [0-9.]+ % CPU, ")
        assert "by CPU; m by memory" in lines[1] and len(lines) == 10, lines
        screen.press(b"n")
        assert screen.screen_with("by name;")[3].startswith("s00 ")
        screen.press(b"m")
        assert screen.screen_with("by memory;")[3].startswith("s00 ")
        screen.resize(80, 20)
        screen.child.send_signal(signal.SIGWINCH)
        assert screen.screen_with("\ns08 ")[18].startswith("s15 ")
        screen.press(b"q")
        same(screen.ends(), 0)
        # A signal leaves the terminal as it was, too.
        screen = Screen()
        screen.wait_for("30 services")
        screen.child.send_signal(signal.SIGINT)
        same(screen.ends(), -signal.SIGINT)
    with Fake({"service.list": [result(services), CLOSE]}):
        screen = Screen("--interval", "50ms")
        same(screen.ends(), 7)


def event(**params):
    return json.dumps({"jsonrpc": "2.0", "method": "event", "params": params}).encode() + b"\n"


EVENTS = [
    event(type="state", at=1795286400.125, name="web", **{"from": "starting"}, to="running", desired="up", pid=12,
          reason=None, exit=None),
    event(type="state", at=1795286401.5, name="web", **{"from": "running"}, to="backoff", desired="up", pid=None,
          reason=None, exit={"how": "signaled", "code": None, "signal": "SEGV", "core": True}),
    event(type="state", at=1795286402, name="web", **{"from": "backoff"}, to="failed", desired="up", pid=None,
          reason="gave up", exit=None),
    event(type="added", at=1795286403, name="new"),
    event(type="reload", at=1795286404, name=None, ok=True),
    event(type="reload", at=1795286405, name=None, ok=False),
]


@test
def events_are_lines():
    with Fake({"events.subscribe": [result(True), *EVENTS, CLOSE]}) as fake:
        check(supctl("events", "web"), 7,
              "2026-11-21 18:40:00.125 web: starting -> running, pid 12\n"
              "2026-11-21 18:40:01.500 web: running -> backoff \\(killed by SEGV\\)\n"
              "2026-11-21 18:40:02.000 web: backoff -> failed \\(gave up\\)\n"
              "2026-11-21 18:40:03.000 new: added\n"
              "2026-11-21 18:40:04.000 configuration read again\n"
              "2026-11-21 18:40:05.000 configuration has errors, nothing was changed\n",
              "supctl: the connection to supd has ended\n")
        same(fake.requests[0]["params"], {"names": ["web"]})
        lines = supctl("events", "--json").stdout.splitlines()
        same([json.loads(line)["type"] for line in lines], ["state"] * 3 + ["added", "reload", "reload"])


@test
def events_end_quietly():
    with Fake({"events.subscribe": [result(True), EVENTS[0]]}):
        child = subprocess.Popen([SUPCTL, "events"], env=environment(), stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True)
        assert "running" in child.stdout.readline()
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=LIMIT)
        same((child.returncode, err), (-signal.SIGINT, ""))
    with Fake({"events.subscribe": [result(True), *EVENTS * 100, CLOSE]}):
        for ignored in False, True:
            read, write = os.pipe()
            os.close(read)
            action = signal.SIG_IGN if ignored else signal.SIG_DFL
            done = supctl("events", stdout=write, restore_signals=False,
                          preexec_fn=lambda action=action: signal.signal(signal.SIGPIPE, action))
            os.close(write)
            same((done.returncode, done.stderr), (1 if ignored else -signal.SIGPIPE, ""))


@test
def output_that_cannot_be_written_is_a_failure():
    with Fake({"service.list": result([service("a")]), "events.subscribe": [result(True), *EVENTS]}):
        with open("/dev/full", "w", encoding="ascii") as full:
            for words in ["status"], ["status", "--json"], ["--help"], ["events"]:
                done = supctl(*words, stdout=full)
                same(done.returncode, 1, words)
                assert re.fullmatch("supctl: writing the output: .*\n", done.stderr), done.stderr


@test
def reread_prints_the_plan():
    plan = [{"action": "add", "name": "web", "keys": [], "needs-restart": False, "restarted": False},
            {"action": "change", "name": "redis", "keys": ["environment", "log"], "needs-restart": True,
             "restarted": False},
            {"action": "change", "name": "mail", "keys": ["command"], "needs-restart": True, "restarted": True},
            {"action": "change", "name": "dns", "keys": ["restart"], "needs-restart": False, "restarted": False},
            {"action": "remove", "name": "old", "keys": [], "needs-restart": False, "restarted": False}]
    with Fake({"config.reload": result({"applied": True, "plan": plan, "warnings": ["look here"]})}) as fake:
        check(supctl("reread"), 0,
              "add web\nchange redis: environment, log \\(restart pending\\)\nchange mail: command \\(restarted\\)\n"
              "change dns: restart\nremove old\n", "supctl: warning: look here\n")
        same(fake.requests[-1]["params"], {})
        done = supctl("reread", "--dry-run", "--restart", "--timeout", "5s")
        assert "change redis: environment, log (needs a restart)\n" in done.stdout
        same(fake.requests[-1]["params"], {"dry-run": True, "restart": True, "timeout": 5.0})
        same(json.loads(supctl("reread", "--json").stdout)["plan"], plan)
    with Fake({"config.reload": result({"applied": True, "plan": [], "warnings": []})}):
        check(supctl("reread"), 0, "nothing to do\n")
    with Fake({"config.reload": result({"applied": True, "plan": [], "settings": ["log-level"], "warnings": []})}):
        check(supctl("reread"), 0, "change supd itself: log-level\n")


@test
def reread_tells_errors_with_their_place():
    errors = [{"file": "/etc/supd.conf", "line": 3, "message": "unknown key 'x'"},
              {"file": "/etc/other.conf", "line": 0, "message": "No such file or directory"}]
    with Fake({"config.reload": Fault(-32004, "the configuration has errors", errors)}):
        check(supctl("reread"), 1, None,
              "/etc/supd.conf:3: unknown key 'x'\n/etc/other.conf: No such file or directory\n"
              "supctl: the configuration has errors; nothing was changed\n")


@test
def info_is_aligned():
    info = {"version": "1", "pid": 7, "since": 1795286400.1, "uptime": 3700.2, "config-fallback": False,
            "watch-reason": None, "kernel": "6.18", "pressure": None}
    with Fake({"supd.info": result(info)}):
        check(supctl("info"), 0,
              "version:         1\npid:             7\nsince:           2026-11-21 18:40:00\n"
              "uptime:          1 h 1 min\nconfig-fallback: no\nwatch-reason:    -\nkernel:          6.18\n"
              "pressure:        -\n")
        same(json.loads(supctl("info", "--json").stdout), info)
    share = {"some": {"avg10": 1.26, "avg60": 9, "avg300": 9}, "full": {"avg10": 0.5, "avg60": 9, "avg300": 9}}
    with Fake({"supd.info": result({"pressure": {"memory": share, "io": share}})}):
        check(supctl("info"), 0, "pressure: memory some 1.3 %, full 0.5 %; io some 1.3 %, full 0.5 % of the last 10 s\n")


def mortal_supd(script, live):
    """A fake in a process of its own. LIVE: both ends of a pipe with which it ends, and where it says how far it is."""
    pid = os.fork()
    if pid > 0:
        return pid
    os.close(live[1])
    listener = listen()
    os.write(live[2], b"r")
    connection, _ = listener.accept()
    request = json.loads(connection.makefile("rb").readline())
    for piece in answer(request, script):
        connection.sendall(piece)
    os.write(live[2], b"a")
    os.read(live[0], 1)
    os._exit(0)


@test
def shutdown_waits_until_supd_is_gone():
    for words, waits in (["shutdown"], True), (["shutdown", "--leave-services"], True), (["shutdown", "--no-wait"],
                                                                                        False):
        live, said = os.pipe(), os.pipe()
        pid = mortal_supd({"supd.shutdown": result(True)}, (live[0], live[1], said[1]))
        try:
            os.read(said[0], 1)
            child = subprocess.Popen([SUPCTL, *words], env=environment(), stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE, text=True)
            os.read(said[0], 1)
            if waits:
                assert child.poll() is None
            else:
                same(child.wait(LIMIT), 0)
        finally:
            for fd in live:
                os.close(fd)
        os.waitpid(pid, 0)
        out, err = child.communicate(timeout=LIMIT)
        same((child.returncode, out, err), (0, "supd has ended\n" if waits else "supd is shutting down\n", ""))
        for fd in said:
            os.close(fd)
    with Fake({"supd.shutdown": result(True)}) as fake:
        check(supctl("shutdown", "--timeout", "200ms"), 8, None, "supctl: supd has not ended within 200ms; .*\n")
        supctl("shutdown", "--leave-services", "--no-wait")
        same(fake.requests[-1]["params"], {"leave-services": True})


@test
def ten_thousand_services():
    services = [service(f"service-{i:05}", command=["/usr/bin/program", "x" * 200]) for i in range(10000)]
    with Fake({"service.list": result(services)}):
        done = supctl("status")
        same((done.returncode, done.stdout.count("\n")), (0, 10001))
        same(len(json.loads(supctl("status", "--json").stdout)), 10000)


@test
def it_links_little():
    shown = subprocess.run(["ldd", SUPCTL], capture_output=True, text=True, check=False).stdout
    assert "event" not in shown and "confuse" not in shown, shown


def main():
    chosen = [t for t in TESTS if len(sys.argv) == 1 or t.__name__ in sys.argv[1:]]
    failed = 0
    print(f"1..{len(chosen)}", flush=True)
    try:
        for number, function in enumerate(chosen, 1):
            try:
                function()
                print(f"ok {number} - {function.__name__}", flush=True)
            except Exception:  # pylint: disable=broad-except
                failed += 1
                for line in traceback.format_exc().splitlines():
                    print("# " + line)
                print(f"not ok {number} - {function.__name__}", flush=True)
                if os.path.exists(SOCKET):
                    os.unlink(SOCKET)
    finally:
        shutil.rmtree(DIR)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
