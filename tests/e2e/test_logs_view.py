#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""supctl logs: what services have written, and write, read from real files; the last words of one that failed."""
import gzip
import json
import os
import pwd
import re
import signal
import subprocess
import time

from harness import main, test
from instance import service
from processes import DEADLINE, eventually, read_stat

LINE = 64 * 1024


def stamp(second):
    return f"2026-11-22T05:00:{second:02d}.000000Z"


def append(path, text):
    with open(path, "ab") as f:
        f.write(text.encode() if isinstance(text, str) else text)


def parked(t, name, **keys):
    """A service that never runs: its log is ours to write."""
    keys.setdefault("log", t.path(name + ".log"))
    return service(name, t.worker("for-ever"), enabled=False, **keys)


def logs(t, *args, **kwargs):
    return t.ctl("logs", *args, **kwargs)


def shows(t, args, want, what, err=""):
    got = logs(t, *args)
    t.eq((got.code, got.out, got.err), (0, want, err), what)


@test
def the_past_of_one_log(t):
    log = t.path("web.log")
    t.configure(parked(t, "web"), parked(t, "bare"), parked(t, "empty"), parked(t, "odd"))
    t.start()
    numbers = [f"line {n}\n" for n in range(40)]
    with gzip.open(log + ".3.gz", "wt") as f:
        f.write("".join(numbers[:10]))
    with gzip.open(log + ".2.gz", "wt") as f:
        f.write("".join(numbers[10:20]))
    t.write("web.log.1", "".join(numbers[20:35]))
    t.write("web.log", "".join(numbers[35:]))
    shows(t, ["web"], "".join(numbers[-10:]), "ten lines unless it is said")
    for count in (0, 1, 5, 6, 20, 21, 30, 39, 100):
        shows(t, ["-n", count, "web"], "".join(numbers[len(numbers) - min(count, 40) :]), f"the last {count}")
    shows(t, ["-n", "all", "web"], "".join(numbers), "all")
    shows(t, ["--grep", "[13]5$", "web"], "line 15\nline 35\n", "a search is one of all that there is")
    got = logs(t, "-n", "all", "web", env={"TMPDIR": t.path("nowhere")})
    t.eq((got.code, got.out), (0, "".join(numbers[20:])), "what cannot be unpacked is left out")
    t.match(got.err, "web.log.3.gz cannot be unpacked: No such file .*; TMPDIR names another", "and said")
    shows(t, ["-n", "2", "--grep", "5", "web"], "line 25\nline 35\n", "the last two in which it is found")
    for name in (".1", ".2.gz", ".3.gz"):
        os.unlink(log + name)
    # A rotation is under way: a number is missing, and then the log itself.
    t.write("web.log.2", "old\n")
    shows(t, ["-n", "all", "web"], "old\n" + "".join(numbers[35:]), "a number is missing")
    os.rename(log, log + ".1")
    shows(t, ["-n", "all", "web"], "old\n" + "".join(numbers[35:]), "the log was renamed just now")
    t.write("web.log.2.gz", b"no gzip at all")
    os.unlink(log + ".2")
    os.truncate(t.write("web.log.3.gz", gzip.compress(os.urandom(LINE) + b"\nend\n")), LINE // 2)
    got = logs(t, "-n", "all", "web")
    t.eq(got.code, 0, "exit status with a damaged file")
    t.check(got.out.endswith("".join(numbers[35:])), "what is whole is shown")
    t.check("web.log.3.gz is damaged" in got.err, f"it is said which file is damaged: {got.err}")

    t.write("bare.log", "a\nb")
    shows(t, ["bare"], "a\nb", "no newline at the end")
    shows(t, ["-n", "1", "bare"], "b", "no newline at the end, one line")
    t.write("empty.log", "")
    shows(t, ["empty"], "", "an empty file")

    odd = b"odd" + bytes(range(256)) * 1000 + b"\n" + b"x" * (3 << 20) + b"\nlast\n"
    t.write("odd.log", odd)
    out = subprocess.run([os.environ["SUPCTL"], "-s", t.socket, "logs", "-n", "all", "odd"], stdout=subprocess.PIPE,
                         check=True, timeout=DEADLINE).stdout
    t.check(out == odd, "into a pipe every byte goes as it is")
    shows(t, ["-n", "1", "odd"], "last\n", "behind a long line")
    # 10 GB that were never written, as a truncated file has them whose writer does not append.
    with open(t.path("odd.log"), "r+b") as f:
        f.truncate(0)
        f.seek(10 << 30)
        f.write(b"first\nsecond\n")
        f.seek(15 << 30)
        f.write(b"third\n")
    shows(t, ["-n", "2", "odd"], "second\nthird\n", "the end of a large file")
    shows(t, ["odd"], "first\nsecond\nthird\n", "what is no line is left out")
    shows(t, ["-n", "all", "odd"], "first\nsecond\nthird\n", "the same from its beginning")


@test
def several_logs(t):
    files = {name: t.path(name + ".log") for name in ("a", "b", "plain", "json")}
    t.configure(
        *[parked(t, name) for name in files],
        parked(t, "two", log_error=t.path("two.err")),
        parked(t, "quiet", log="none"),
        parked(t, "shared", instances=2, log=t.path("shared.log")),
    )
    t.start()
    t.write("a.log", f"{stamp(1)} one\n  more of one\n{stamp(4)} four\n")
    t.write("b.log", f"{stamp(2)} two\n{stamp(3)} three\n  more of three\n")
    t.write("plain.log", "first\nsecond\n")
    told = {"time": stamp(3), "service": "json", "pid": 7, "stream": "err", "message": 'say "x"'}
    t.write("json.log", json.dumps(told) + "\n" + json.dumps({"time": stamp(5), "msg": "own"}) + "\n")
    merged = [
        f"a    | {stamp(1)} one",
        "a    |   more of one",
        f"b    | {stamp(2)} two",
        f"b    | {stamp(3)} three",
        "b    |   more of three",
        f'json | {stamp(3)} say "x"',
        f"a    | {stamp(4)} four",
        "json | " + json.dumps({"time": stamp(5), "msg": "own"}),
    ]
    shows(t, ["a", "b", "json"], "".join(line + "\n" for line in merged), "merged by time")
    got = logs(t, "a", "b", "plain").out.splitlines()
    t.eq(got[:3], ["plain | first", "plain | second", f"a     | {stamp(1)} one"], "without times: whole, and first")
    t.eq(logs(t, "-n", "1", "a", "b").out, f"b | {'  more of three'}\na | {stamp(4)} four\n", "the time of the line before")
    since = ["--since", "2026-11-22T05:00:03Z"]
    shows(t, [*since, "b"], f"{stamp(3)} three\n  more of three\n", "--since")
    shows(t, ["--until", "2026-11-22 05:00:02Z", "b"], f"{stamp(2)} two\n", "--until")
    shows(t, ["--since", "1m", "b"], "", "nothing is as young")
    got = logs(t, *since, "plain", "b")
    t.eq((got.code, got.out), (1, f"b     | {stamp(3)} three\nb     |   more of three\n"), "one of two has no times")
    t.match(got.err, "^supctl: plain: --since .*plain.log.*'log-timestamp = yes'", "what has no times says so")
    lines = [json.loads(line) for line in logs(t, "--json", "a", "json", "plain").out.splitlines()]
    t.eq(lines[0], {"time": None, "service": "plain", "stream": "both", "message": "first"}, "--json of a plain line")
    t.check({"time": stamp(4), "service": "a", "stream": "both", "message": "four"} in lines, "--json with a time")
    t.check({"time": stamp(3), "service": "json", "stream": "err", "message": 'say "x"'} in lines, "--json of JSON")

    t.write("two.log", f"{stamp(1)} out\n")
    t.write("two.err", f"{stamp(0)} err\n")
    shows(t, ["two"], f"two (err) | {stamp(0)} err\ntwo       | {stamp(1)} out\n", "both streams")
    shows(t, ["--stderr", "two"], f"{stamp(0)} err\n", "one of them")
    got = logs(t, "--stderr", "two", "a")
    t.eq((got.code, got.out), (0, f"{stamp(0)} err\n"), "--stderr of one that has it and one that has not")
    t.match(got.err, "^a: its errors go where its output goes .*a.log", "where its errors are")
    t.write("shared.log", "both\n")
    shows(t, ["shared"], "both\n", "a file that instances share is one log")

    got = logs(t, "quiet")
    t.eq((got.code, got.out, got.err), (1, "", "quiet: its output is thrown away (log = none)\n"), "in no file")
    os.unlink(files["plain"])
    got = logs(t, "plain")
    t.eq((got.code, got.out), (1, ""), "no file")
    t.match(got.err, "plain.log does not exist yet; it is made when the service starts\n$", "no file")
    t.eq(logs(t, "nobody").code, 4, "an unknown service")
    for words, why in (
        (["--grep", "a(b"], r"--grep: 'a\(b' is no extended regular expression: .* at '\(b'"),
        (["-n", "some"], "'some' is no number of lines"),
        (["--since", "soon"], "--since: 'soon' is no time"),
        (["--since", "10m", "--until", "20m"], "there is no time between"),
        (["-f", "--until", "now"], "--until does not go with -f"),
    ):
        got = logs(t, *words, "a")
        t.eq((got.code, got.out), (2, ""), f"{words}: refused")
        t.match(got.err, why, f"{words}: why")


@test(root=True)
def a_log_that_may_not_be_read(t):
    nobody = pwd.getpwnam("nobody")
    t.configure('control { read-group = "nogroup" }', parked(t, "mine"), parked(t, "open"))
    t.start()
    os.chmod(t.write("mine.log", "secret\n"), 0o600)
    os.chmod(t.write("open.log", "public\n"), 0o644)
    argv = [os.environ["SUPCTL"], "-s", t.socket, "logs", "mine", "open"]
    got = subprocess.run(argv, user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[], capture_output=True, text=True,
                         timeout=DEADLINE, check=False)
    t.eq((got.returncode, got.stdout), (5, "open | public\n"), "the other one is shown")
    t.match(got.stderr, "^supctl: mine: /[^:]*/mine.log may not be read by this user; .*ls -l /", "which and why")


class Follower:
    """A `supctl logs -f`, and what it has printed so far."""

    def __init__(self, t, *args):
        self.t = t
        self.out = t.path(f"follow.{len(os.listdir(t.dir))}")
        with open(self.out, "wb") as out, open(self.out + ".err", "wb") as err:
            self.process = subprocess.Popen([os.environ["SUPCTL"], "-s", t.socket, "logs", "-f", *args], stdout=out,
                                            stderr=err, stdin=subprocess.DEVNULL)

    def text(self):
        with open(self.out, encoding="utf-8", errors="replace") as f:
            return f.read()

    def errors(self):
        with open(self.out + ".err", encoding="utf-8") as f:
            return f.read()

    def wait(self, ending, what):
        try:
            eventually(lambda: self.text().endswith(ending), what)
        except Exception:
            raise AssertionError(f"{what}: {self.text()[-2000:]!r}, {self.errors()!r}") from None

    def end(self, what="SIGINT"):
        self.process.send_signal(signal.SIGINT)
        self.t.eq(self.process.wait(DEADLINE), 0, f"{what}: exit status")


def switches(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return re.findall(r"ctxt_switches:\s*(\d+)", f.read())


@test
def following_a_file_whatever_becomes_of_it(t):
    log = t.path("web.log")
    t.configure(parked(t, "web"))
    t.start()
    t.write("web.log", "".join(f"old {n}\n" for n in range(20)))
    f = Follower(t, "-n", "2", "web")
    f.wait("old 18\nold 19\n", "the past")
    append(log, "one\ntw")
    f.wait("one\ntw", "a line without an end is shown, as nothing can come between")
    append(log, "o\n")
    f.wait("one\ntwo\n", "its end")
    eventually(lambda: read_stat(f.process.pid)[0] == "S", "it sleeps")

    def sleeps_on():
        before = switches(f.process.pid)
        time.sleep(1.5)
        return switches(f.process.pid) == before

    eventually(sleeps_on, "nobody wakes it, once what was written has been told")

    os.rename(log, log + ".1")
    append(log + ".1", "late\n")
    append(log, "new\n")
    f.wait("new\n", "after a rotation")
    t.check("late\n" in f.text(), "what came into the renamed file")
    append(log + ".1", "later\n")
    f.wait("later\n", "what its writer still writes to the old one")

    # While it is stopped three rotations go by, one file is compressed.
    f.process.send_signal(signal.SIGSTOP)
    eventually(lambda: read_stat(f.process.pid)[0] == "T", "it is stopped")
    append(log, "r1\n")
    for number in (1, 2, 3):
        for old in (3, 2, 1):
            if os.path.exists(f"{log}.{old}"):
                os.rename(f"{log}.{old}", f"{log}.{old + 1}")
        os.rename(log, log + ".1")
        append(log, f"r{number + 1}\n")
    status = os.stat(log + ".2")
    with open(log + ".2", "rb") as plain, gzip.open(log + ".2.gz", "wb") as packed:
        packed.write(plain.read())
    os.utime(log + ".2.gz", ns=(status.st_atime_ns, status.st_mtime_ns))
    os.unlink(log + ".2")
    f.process.send_signal(signal.SIGCONT)
    f.wait("later\nr1\nr2\nr3\nr4\n", "over three rotations, each line once")

    append(log, "longer than what follows\n")
    f.wait("r4\nlonger than what follows\n", "a line")
    os.truncate(log, 0)
    append(log, "short\n")
    f.wait("follows\nshort\n", "a truncated file")
    os.unlink(log)
    append(log, "again\n")
    f.wait("short\nagain\n", "a file that was removed and made anew")
    append(log, "x" * 200000 + "\nend\n")
    f.wait("x" * 200000 + "\nend\n", "a long line")

    t.crash()
    append(log, "alone\n")
    f.wait("alone\n", "without supd")
    eventually(lambda: "supd has ended" in f.errors(), "it says that supd has ended")
    t.start()
    f.end()

    reader = subprocess.Popen([os.environ["SUPCTL"], "-s", t.socket, "logs", "-f", "web"], stdout=subprocess.PIPE)
    t.check(reader.stdout.read(1), "somebody reads")
    reader.stdout.close()
    t.eq(reader.wait(DEADLINE), 0, "it ends when nobody reads any more")


@test
def following_services(t):
    marks = service("marks", t.worker("print", "here I am", "for-ever"), log=t.path("marks.log"), restart="no")
    late = parked(t, "late", log=t.path("new", "late.log"))
    t.configure(marks, late)
    t.start()
    t.wait_state("marks", "running")
    f = Follower(t, "*")
    f.wait("marks | here I am\n", "the past of all")
    t.match(f.errors(), "late: .*late.log does not exist yet; .* and waited for", "what is not there yet")
    t.eq(t.ctl("restart", "marks").code, 0, "restart")
    f.wait("marks | here I am\nmarks | here I am\n", "a second start")
    append(t.path("marks.log"), "a line without an end")
    os.mkdir(t.path("new"))
    append(t.path("new", "late.log"), "I am late\n")
    t.eq(t.ctl("restart", "marks").code, 0, "restart")
    eventually(lambda: "late  | I am late\n" in f.text(), "a log in a directory that was made meanwhile")
    f.wait("marks | a line without an endhere I am\n", "what follows what had no end")
    # Another file, and another service.
    t.configure(marks.replace("marks.log", "other.log"), late, parked(t, "added"))
    append(t.path("added.log"), "of the new one\n")
    t.eq(t.ctl("reread").code, 0, "reread")
    t.eq(t.ctl("restart", "marks").code, 0, "restart")
    eventually(lambda: f.text().count("marks | here I am\n") == 3, "its words in another file")
    eventually(lambda: "added | of the new one\n" in f.text(), "a new service")
    append(t.path("other.log"), "in the other file\n")
    f.wait("marks | in the other file\n", "the other file is followed")
    f.end()


@test
def a_failed_service_shows_its_last_words(t):
    log = t.path("bad.log")
    t.configure(
        service("bad", ["/bin/sh", "-c", "echo no luck; printf 'because\\033[2J' >&2; exit 3"], enabled=False, log=log,
                type="oneshot"),
        service("worse", ["/nowhere"], enabled=False, log=t.path("worse.log"), restart="no"),
    )
    t.start()
    append(log, "".join(f"old {n}\n" for n in range(30)))
    append(t.path("worse.log"), "an old story\n")
    os.utime(t.path("worse.log"), (1000000000, 1000000000))
    got = t.ctl("start", "bad", "worse")
    t.eq(got.code, 1, "start")
    t.match(got.err, r"supctl: bad: .*exit 3.*\nthe last lines of .*/bad.log:\n    old 22\n.*    no luck\n    because\\x1b\[2J\n",
            "its last lines")
    t.check("supctl: worse: " in got.err and "old story" not in got.err, f"nothing that is older: {got.err}")
    view = t.ctl("status", "bad").out
    t.match(view, r"\n  output:     /[^\n]*/bad.log, written [^\n]*\n              old 22\n.*\n              no luck\n"
            r"              because\\x1b\[2J\n", "in the view of it")
    t.check("old 29" not in t.ctl("status", "--json", "bad").out, "not in JSON")
    t.check("old 29" not in t.ctl("status", "*").out, "not in a table")


main()
