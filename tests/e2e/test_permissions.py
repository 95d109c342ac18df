#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Who may call what on the control socket."""
import grp
import json
import os
import pwd
import signal
import subprocess

from harness import main, test
from processes import Failed, eventually, kill
from rpc import Client, RpcError


READ = {"service.list": {}, "supd.info": {}, "config.check": {}, "events.subscribe": {}}


CHANGE = {
    "service.start": {"names": ["a"]},
    "service.stop": {"names": ["a"]},
    "service.restart": {"names": ["a"]},
    "service.signal": {"names": ["a"], "signal": "WINCH"},
    "service.reset": {"names": ["a"]},
    "config.reload": {},
    "supd.shutdown": {},
}


def as_user(t, uid, gid, groups, function):
    """What function returns when it is run as somebody else."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups(groups)
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            answer = function()
        except BaseException as error:
            answer = {"failed": repr(error)}
        os.write(theirs, json.dumps(answer).encode())
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as f:
        answer = json.loads(f.read())
    os.waitpid(pid, 0)
    t.need(not (isinstance(answer, dict) and "failed" in answer), f"as uid {uid}: {answer}")
    return answer


def try_all(t, methods):
    """method -> "ok", an error's code, "closed" or "refused" """
    answers = {}
    for method, params in methods.items():
        try:
            with Client(t.socket) as client:
                client.call(method, **params)
                answers[method] = "ok"
        except RpcError as error:
            answers[method] = error.code
        except PermissionError:
            answers[method] = "refused"
        except Failed:
            answers[method] = "closed"
    return answers


@test(root=True)
def permissions(t):
    nobody, daemon = pwd.getpwnam("nobody"), pwd.getpwnam("daemon")
    adm, users = grp.getgrnam("adm").gr_gid, grp.getgrnam("users").gr_gid
    t.configure('control {\n    admin-group = "adm"\n    read-group = "users"\n}', t.sleeper("a"))
    t.start()
    t.wait_state("a", "running")
    t.eq(oct(os.stat(t.socket).st_mode & 0o777), oct(0o666), "mode of the socket with groups")
    everything = {**READ, **CHANGE}
    harmless = {m: p for m, p in everything.items() if m != "supd.shutdown"}
    for what, uid, gid, groups, read, change in (
        ("a stranger", nobody.pw_uid, nobody.pw_gid, [], -32002, -32002),
        ("a reader by his first group", nobody.pw_uid, users, [], "ok", -32002),
        ("a reader by another group", nobody.pw_uid, nobody.pw_gid, [users], "ok", -32002),
        ("an admin by his first group", daemon.pw_uid, adm, [], "ok", "ok"),
        ("an admin by another group", daemon.pw_uid, daemon.pw_gid, [12345, adm], "ok", "ok"),
        ("root", 0, 0, [], "ok", "ok"),
    ):
        got = as_user(
            t, uid, gid, groups, lambda methods=everything if change != "ok" else harmless: try_all(t, methods)
        )
        for method, answer in got.items():
            want = read if method in READ else change
            t.eq(answer, want, f"{what}: {method}")
    t.eq(t.process.poll(), None, "supd runs on")

    def stranger():
        with Client(t.socket) as client:
            return [client.receive()["error"]["code"], client.receive()]

    t.eq(
        as_user(t, nobody.pw_uid, nobody.pw_gid, [], stranger), [-32002, None], "a stranger is told, then disconnected"
    )
    dry_run = {"config.reload": {"dry-run": True}}
    got = as_user(t, nobody.pw_uid, users, [], lambda: try_all(t, dry_run))
    t.eq(got, {"config.reload": "ok"}, "what would be changed may be read")
    codes = {}
    for what, groups in (("stranger", []), ("reader", [users]), ("admin", [adm])):
        codes[what] = as_user(
            t, nobody.pw_uid, nobody.pw_gid, groups, lambda: [t.ctl("status").code, t.ctl("restart", "a").code]
        )
    t.eq(codes, {"stranger": [5, 5], "reader": [0, 5], "admin": [0, 0]}, "exit codes of supctl")


@test(root=True)
def permissions_without_groups(t):
    nobody = pwd.getpwnam("nobody")
    t.configure(t.sleeper("a"))
    t.start()
    t.eq(oct(os.stat(t.socket).st_mode & 0o777), oct(0o600), "mode of the socket")
    got = as_user(t, nobody.pw_uid, nobody.pw_gid, [], lambda: try_all(t, READ))
    t.eq(set(got.values()), {"refused"}, "nobody but us gets in")
    t.eq(as_user(t, nobody.pw_uid, nobody.pw_gid, [], lambda: t.ctl("status").code), 5, "supctl: not permitted")


@test(root=True)
def groups_that_come_and_go(t):
    nobody, users = pwd.getpwnam("nobody"), grp.getgrnam("users").gr_gid

    def asks():
        return as_user(t, nobody.pw_uid, nobody.pw_gid, [users], lambda: try_all(t, READ))["supd.info"]

    groups = 'control {\n    read-group = "users"\n}'
    t.configure(t.sleeper("a"))
    t.start()
    t.eq(asks(), "refused", "without a group")
    t.configure(groups, t.sleeper("a"))
    t.eq(t.ctl("reread").out, "change supd itself: control.read-group\n", "what a reload says")
    t.eq(asks(), "ok", "with the group")
    t.configure(t.sleeper("a"))
    t.ctl("reread")
    t.eq(asks(), "refused", "without it again")
    t.configure(groups, t.sleeper("a"))
    t.eq(t.ctl("upgrade").code, 0, "an upgrade reads the file, too")
    t.eq(asks(), "ok", "with the group, after an upgrade")


@test(root=True)
def supd_of_an_ordinary_user(t):
    nobody = pwd.getpwnam("nobody")
    os.chown(t.dir, nobody.pw_uid, nobody.pw_gid)
    t.configure(t.sleeper("a"), t.sleeper("b"))

    def start():
        with open(t.log, "ab") as log:
            t.process = subprocess.Popen(
                t.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=t.dir,
                user=nobody.pw_uid,
                group=nobody.pw_gid,
                extra_groups=[],
                start_new_session=True,
            )
        eventually(t.answers, "supd answers")

    start()
    before = {n: s["pid"] for n, s in t.wait_all("running").items()}
    t.eq(as_user(t, nobody.pw_uid, nobody.pw_gid, [], lambda: t.ctl("restart", "b").code), 0, "its user may command")
    before["b"] = t.status("b")["pid"]
    t.crash()
    start()
    t.eq({n: s["pid"] for n, s in t.all().items()}, before, "adopted")
    kill(before["a"], signal.SIGKILL)
    s = t.wait_for("a", lambda s: s["starts"] == 2 and s["state"] == "running", "restarted")
    t.check(s["exit"]["how"] in ("signaled", "unknown"), f"exit {s['exit']}")
    t.eq(as_user(t, nobody.pw_uid, nobody.pw_gid, [], lambda: t.ctl("stop", "*").code), 0, "stop")
    t.eq(t.live(), [], "nobody is left")
    t.eq(t.terminate(), 0, "exit code")


if __name__ == "__main__":
    main()
