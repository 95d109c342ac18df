#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a service finds when it starts: its program, environment, user, streams."""
import grp
import os
import pwd

from harness import main, test
from instance import service, setting
from processes import eventually


@test
def environment_of_a_service(t):
    t.write("vars", "FROM_FILE=file\nBOTH=file\n# a comment\n\nQUOTED=\"two words\"\n")
    os.mkdir(t.path("home"))
    t.configure(
        "defaults { environment = {\"SHARED=1\", \"BOTH=defaults\"} }",
        service(
            "a",
            t.worker("describe", t.path("seen"), "for-ever"),
            directory=t.path("home"),
            umask="027",
            environment=["OWN=${HOME}$x", "EMPTY="],
            environment_file=[t.path("vars"), "-" + t.path("missing")],
        ),
    )
    t.start(
        env={
            "NOTIFY_SOCKET": "/nonexistent",
            "WATCHDOG_USEC": "1",
            "WATCHDOG_PID": "1",
            "LISTEN_FDS": "0",
            "LISTEN_PID": "1",
            "JOURNAL_STREAM": "1:1",
            "INVOCATION_ID": "x",
        }
    )
    pid = t.wait_for("a", lambda s: t.read("seen") and s["state"] == "running", "described")["pid"]
    seen = t.read("seen").splitlines()
    env = dict(line[4:].split("=", 1) for line in seen if line.startswith("env ") and "=" in line)
    for key, want in (
        ("FROM_FILE", "file"),
        ("BOTH", "file"),
        ("QUOTED", "two words"),
        ("SHARED", "1"),
        ("EMPTY", ""),
        ("OWN", "${HOME}$x"),
        ("SUPD_SERVICE", "a"),
        ("SUPD_INSTANCE", t.call("supd.info")["instance"]),
    ):
        t.eq(env.get(key), want, f"variable {key}")
    for key in (
        "NOTIFY_SOCKET",
        "WATCHDOG_USEC",
        "WATCHDOG_PID",
        "LISTEN_FDS",
        "LISTEN_PID",
        "JOURNAL_STREAM",
        "INVOCATION_ID",
    ):
        t.check(key not in env, f"{key} is not for services")
    t.check(f"cwd {t.path('home')}" in seen, "directory")
    t.check("umask 0027" in seen, "umask")
    t.check(f"sid {pid}" in seen and f"pgid {pid}" in seen, "a session of its own")
    t.eq(
        [line for line in seen if line.startswith(("blocked", "ignored"))], [], "signal mask and dispositions are clean"
    )
    t.eq([line.split()[1] for line in seen if line.startswith("fd ")], ["0", "1", "2"], "descriptors")
    t.check("fd 0 /dev/null" in seen, "stdin is /dev/null")


@test
def environment_files_by_pattern(t):
    os.mkdir(t.path("env.d"))
    for name, text in (("b.env", "WHO=b\nB=1\n"), ("a.env", "WHO=a\nA=1\n"), ("c.txt", "WHO=c\n")):
        t.write(os.path.join("env.d", name), text)
    t.configure(
        service("a", t.worker("describe", t.path("seen"), "for-ever"),
                environment_file=[t.path("env.d", "*.env"), "-" + t.path("none.d", "*")]),
        service("b", ["/bin/true"], environment_file=t.path("none.d", "*"), restart="no"),
    )
    t.start()
    t.wait_for("a", lambda s: t.read("seen") and s["state"] == "running", "described")
    seen = t.read("seen").splitlines()
    for line in ("env WHO=b", "env A=1", "env B=1"):
        t.check(line in seen, f"no {line}")
    t.match(t.wait_state("b", "failed")["reason"], r"environment-file .*none.d/\*: no file matches", "reason")


@test(root=True)
def user_and_group(t):
    os.chmod(t.dir, 0o777)
    t.configure(
        service("a", t.worker("describe", t.path("a.seen"), "for-ever"), user="nobody"),
        service("b", t.worker("describe", t.path("b.seen"), "for-ever"), user="daemon", group="adm"),
        service("c", t.worker("describe", t.path("c.seen"), "for-ever"), group="adm"),
    )
    t.start()
    t.wait_all("running")

    nobody, daemon, adm = pwd.getpwnam("nobody"), pwd.getpwnam("daemon"), grp.getgrnam("adm").gr_gid
    for name, uid, gid in (("a", nobody.pw_uid, nobody.pw_gid), ("b", daemon.pw_uid, adm), ("c", 0, adm)):
        t.wait_for(name, lambda _, n=name: t.read(n + ".seen"), "described")
        seen = t.read(name + ".seen").splitlines()
        t.check(f"uid {uid} {uid}" in seen and f"gid {gid} {gid}" in seen, f"{name}: {seen[:3]}")
    seen = t.read("a.seen").splitlines()
    t.check(f"groups {nobody.pw_gid}" in seen or "groups" in seen, f"groups of nobody: {seen[2]}")
    t.check("env USER=nobody" in seen and f"env HOME={nobody.pw_dir}" in seen, "USER and HOME follow the user")


@test
def output(t):
    t.configure(
        service("both", t.worker("print", "to-out", "complain", "to-err"), restart="no", log=t.path("both.txt")),
        service(
            "apart",
            t.worker("print", "to-out", "complain", "to-err"),
            restart="no",
            log=t.path("out.txt"),
            log_error=t.path("err.txt"),
        ),
        service("inherit", t.worker("print", "heard-by-supd"), restart="no", log="inherit"),
        service("none", t.worker("print", "never-heard", "complain", "never-heard"), restart="no", log="none"),
    )
    t.write("both.txt", "old\n")
    t.start()
    t.wait_all("exited")
    eventually(lambda: t.read("both.txt") == "old\nto-out\nto-err\n", "both streams, after what was there")
    eventually(lambda: (t.read("out.txt"), t.read("err.txt")) == ("to-out\n", "to-err\n"), "streams apart")
    t.check("heard-by-supd" in t.log_text(), "log = inherit")
    t.check("never-heard" not in t.log_text(), "log = none")


@test
def command_forms(t):
    worker = t.worker_path
    t.configure(
        setting("runtime-dir", t.path("elsewhere")),
        f'service "shell" {{ command = "{worker} print \'two words\' print \\"a $HOME `b` ; c\\""\n'
        f'    log = "{t.path("shell.txt")}"\n    restart = no }}\n',
        f'service "list" {{ command = {{"{worker}", "print", "two words", "print", "${{HOME}} * ~"}}\n'
        f'    log = "{t.path("list.txt")}"\n    restart = no }}\n',
        f'service "path" {{ command = "echo found"\n    log = "{t.path("path.txt")}"\n    restart = no }}\n',
    )
    t.start()
    t.wait_all("exited")
    eventually(lambda: t.read("shell.txt") == "two words\na $HOME `b` ; c\n", "one string")
    eventually(lambda: t.read("list.txt") == "two words\n${HOME} * ~\n", "a list")
    eventually(lambda: t.read("path.txt") == "found\n", "argv[0] is looked up on PATH")
    t.check(not os.path.exists(t.path("elsewhere")), "-r stands over runtime-dir")


if __name__ == "__main__":
    main()
