#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""suplog by itself: nothing is lost, doubled or out of order, whatever happens to it and around it."""
import fcntl
import glob
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))

from harness import main, test  # noqa: E402
from logger import Logger, Numbers, is_whole, json_text, stream  # noqa: E402
from processes import DEADLINE, SLOWER, eventually, is_stopped, preloaded, skip  # noqa: E402

WHEN = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z "
KILLS = 24 // SLOWER
LINES = 10**9  # at most: they end with the kills
MIB = 1 << 20
F_SETPIPE_SZ = 1031


def survive_kills(t, unformat, **keys):
    """suplog is killed over and over while numbered lines come in; unformat takes its own additions away again."""
    logger = Logger(t)
    path = t.path("web.log")
    logger.tell(stream("web", path, keep=10**6, max_size=MIB // 4, **keys))
    numbers = Numbers(logger, "web", LINES)
    logger.start()
    numbers.start()
    while logger.kills < KILLS or not os.path.exists(path + ".4"):
        time.sleep(random.random() * 0.02)
        logger.kill()
        logger.start()
    numbers.enough.set()
    numbers.join()
    logger.drained("web")
    logger.end()
    t.check(unformat(logger.text(path)) == numbers.text, "the log is what was written, byte for byte")
    sizes = [os.path.getsize(p) for p in (path + f".{i}" for i in range(1, 10**6)) if os.path.exists(p)]
    t.check(len(sizes) > 3 and all(MIB // 4 <= size < MIB // 4 + 300 for size in sizes if size), f"sizes: {sizes}")


@test
def killed(t):
    survive_kills(t, lambda text: text)


@test
def killed_with_timestamps(t):
    survive_kills(t, lambda text: re.sub(rb"(?m)^" + WHEN, b"", text), timestamp="rfc3339")


@test
def killed_with_json(t):
    survive_kills(t, lambda text: json_text(text, is_whole), format="json")


@test
def the_rest_of_a_line_comes(t):
    """A FIFO that is being filled while its beginning is looked at: the line that stands there unfinished stays whole."""
    env = preloaded("PAUSE", "SUPLOG")
    logger = Logger(t)
    path = t.path("web.log")
    logger.tell(stream("web", path, format="json"))
    logger.write("web", b"half")
    logger.start(env={**os.environ, **env})
    eventually(lambda: is_stopped(logger.process.pid), "suplog asks whether more would fit in")
    logger.write("web", b" a line\n" + (b"x" * 4095 + b"\n") * 15)
    logger.process.send_signal(signal.SIGCONT)
    logger.drained("web")
    logger.end()
    t.eq([message[:11] for message in messages(logger.text(path))], [b"half a line"] + [b"x" * 11] * 15, "messages")


@test
def many(t):
    """Hundreds of streams at once, into one file each."""
    logger = Logger(t)
    names = [f"s{i}" for i in range(400)]
    logger.tell(*(stream(name, t.path("logs", name)) for name in names))
    logger.start()
    for i in range(20):
        for name in names:
            logger.write(name, f"{name} {i}\n".encode())
    for name in names:
        logger.drained(name)
    logger.end()
    for name in names:
        t.eq(t.read(f"logs/{name}"), "".join(f"{name} {i}\n" for i in range(20)), name)


def writes_of(pid):
    with open(f"/proc/{pid}/io", encoding="utf-8") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("syscw:"))


@test
def lines_come_together(t):
    """Many lines, each a write of its own, are moved by the half millisecond and not one by one."""
    logger = Logger(t)
    logger.tell(stream("web", t.path("web.log"), timestamp="%Y"))
    logger.start()
    logger.write("web", b"first\n")
    eventually(lambda: os.path.exists(t.path("web.log")) and t.read("web.log").endswith("first\n"), "the first line")
    before, began = writes_of(logger.process.pid), time.monotonic()
    for i in range(50000):
        logger.write("web", b"%08d\n" % i)
    logger.drained("web")
    took = time.monotonic() - began
    writes = writes_of(logger.process.pid) - before
    logger.end()
    # After each half millisecond what is there, what has come meanwhile, and so on, a few times.
    t.check(writes < 4 * took / 0.0005 + 100, f"{writes} writes in {took:.3f} s")
    t.eq(t.read("web.log").count("\n"), 50001, "lines")


@test
def one_file_for_several(t):
    """Lines stay whole when two streams have the same file, also by two names; unfinished lines are ended."""
    logger = Logger(t)
    path = t.path("both.log")
    t.write("both.log", "")
    os.symlink(path, t.path("other.log"))
    logger.tell(stream("a", path), stream("b", t.path("other.log")))
    logger.start()
    logger.write("a", b"begin\n")
    logger.write("b", b"begin\n")
    eventually(lambda: t.read("both.log") == "begin\n" * 2, "both have begun")
    writers = [Numbers(logger, name, 5000) for name in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    logger.drained("a")
    logger.drained("b")
    logger.end()
    lines = t.read("both.log").encode().splitlines(keepends=True)[2:]
    t.eq(sorted(lines), sorted(writers[0].lines + writers[1].lines), "all lines, none torn")


@test
def rotated_when_it_is_wanted(t):
    """Also in the middle of a line that does not end, and where somebody has moved the file away just before."""
    logger = Logger(t)
    path = t.path("web.log")

    def want(number):
        logger.tell(stream("web", path, rotation=number))

    want(0)
    logger.start()
    logger.write("web", b"begun")
    eventually(lambda: logger.text(path) == b"begun", "the line is begun")
    want(1)
    eventually(lambda: os.path.exists(path + ".1"), "a new file, though the line has no end")
    logger.write("web", b", ended\n")
    eventually(lambda: os.path.exists(path) and t.read("web.log") == ", ended\n", "the rest of the line")
    for number in range(2, 12):
        os.rename(path, t.path(f"moved.{number}"))
        want(number)
        eventually(lambda: os.path.exists(path), "the name has a file again")
        logger.write("web", b"%d\n" % number)
        eventually(lambda: logger.left("web") == 0 and os.path.getsize(path), "which is written")
    logger.end()
    t.eq(logger.said(), "", "complaints")
    t.eq(t.read("web.log.1"), "begun", "the file that was rotated")
    t.eq(t.read("moved.2") + t.read("moved.3"), ", ended\n2\n", "those that were moved")
    t.check(not os.path.exists(path + ".2"), "and not rotated, too")


@test
def lives(t):
    """A process that ends in the middle of a line does not spoil the first line of the next, whenever suplog is killed."""
    logger = Logger(t)
    paths = {name: t.path(name + ".log") for name in ("stamped", "prefixed", "plain", "out", "err")}
    logger.tell(
        stream("stamped", paths["stamped"], slot=0, timestamp="rfc3339"),
        stream("prefixed", paths["prefixed"], slot=1, prefix="> "),
        stream("plain", paths["plain"], slot=2),
        stream("out", paths["out"], slot=3, prefix="> ", channel="out"),
        stream("err", paths["err"], slot=3, prefix="> ", channel="err"),
    )
    logger.live(0, 0)
    logger.start()
    count = 40 // SLOWER
    for i in range(count):
        for slot in range(4):
            logger.live(slot, 1000 + i, ("out", "err"))
        for piece in (b"%d first\n%d" % (i, i), b" sec", b"ond"):
            for name in paths:
                logger.write(name, piece)
            time.sleep(random.random() * 0.004)
            if random.random() < 0.5:
                logger.kill()
                logger.start()
        for name in paths:
            logger.drained(name)
    logger.end()
    want = b"".join(b"%d first\n%d second\n" % (i, i) for i in range(count))[:-1]
    t.eq(re.sub(rb"(?m)^" + WHEN, b"", logger.text(paths["stamped"])), want, "with times")
    t.eq(len(re.findall(rb"(?m)^" + WHEN, logger.text(paths["stamped"]))), 2 * count, "times")
    for name in ("prefixed", "out", "err"):
        t.eq(logger.text(paths[name]), re.sub(rb"(?m)^", b"> ", want), name)
    t.eq(logger.text(paths["plain"]), want.replace(b" second\n", b" second"), "plain: what was written")


@test
def handed_over_before_it_is_listed(t):
    """The first stream that wants to know the pid comes over the line, before the list that tells of it."""
    logger = Logger(t)
    logger.tell(stream("other", t.path("other.log")))
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(t.path("run", "log", "line"))
        listener.listen()
        listener.setblocking(False)
        logger.start(stdin=listener)
    logger.write("other", b"x\n")
    logger.drained("other")
    logger.live(0, 1000)
    told = stream("web", t.path("web.log"), slot=0, format="json")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as line:
        line.connect(t.path("run", "log", "line"))
        socket.send_fds(line, [json.dumps(told).encode()], [logger.make(told)])
        logger.write("web", b"begun\n")
        logger.drained("web")
    logger.end()
    t.eq(json.loads(t.read("web.log"))["pid"], 1000, "pid")


@test
def lives_that_are_not_told_apart(t):
    """Where the last words of one were not taken yet when the next was started, nothing is guessed."""
    logger = Logger(t)
    path = t.path("web.log")
    logger.tell(stream("web", path, slot=0, prefix="> "))
    logger.live(0, 1000)
    logger.start()
    logger.write("web", b"la")
    eventually(lambda: os.path.exists(path) and t.read("web.log") == "> la", "half of a line")
    logger.kill()
    logger.write("web", b"st words")
    logger.live(0, 1001, ())
    logger.write("web", b" and first\nsecond")
    logger.start()
    logger.drained("web")
    logger.live(0, 1002)
    logger.write("web", b"third\n")
    logger.drained("web")
    logger.end()
    t.eq(t.read("web.log"), "> last words and first\n> second\n> third\n", "the log")


@test
def moved_and_truncated(t):
    """logrotate's ways: a file that is moved away, one that is copied and truncated, and SIGUSR1."""
    logger = Logger(t)
    logger.tell(stream("web", t.path("web.log")))
    logger.start()
    logger.write("web", b"one\n")
    eventually(lambda: os.path.exists(t.path("web.log")) and t.read("web.log") == "one\n", "the first line")
    os.truncate(t.path("web.log"), 0)
    logger.write("web", b"two\n")
    eventually(lambda: t.read("web.log") == "two\n", "no hole where it was truncated")
    os.rename(t.path("web.log"), t.path("old.log"))
    logger.process.send_signal(10)

    def anew():
        logger.write("web", b"three\n")
        return os.path.exists(t.path("web.log"))

    eventually(anew, "the name has a file again")
    logger.drained("web")
    logger.end()
    t.match(t.read("old.log"), r"^two\n(three\n)*$", "the file that was moved")
    t.match(t.read("web.log"), r"^(three\n)+$", "the new one")


@test
def rotation(t):
    """By size on line ends, by age; so many are kept, the older ones compressed; rights and directories are made."""
    logger = Logger(t)
    path = t.path("deep", "er", "web.log")
    logger.tell(stream("web", path, max_size=1000, keep=4, compress=True, mode=0o600))
    logger.start()
    for i in range(200):
        logger.write("web", b"%05d %s\n" % (i, b"y" * 93))
    logger.drained("web")
    there = {path, path + ".1", path + ".2.gz", path + ".3.gz", path + ".4.gz"}

    def settled():
        return {os.path.join(os.path.dirname(path), name) for name in os.listdir(os.path.dirname(path))} == there

    eventually(settled, "the older ones are compressed, and no more is there")
    logger.end()
    text = logger.text(path)
    t.check(text.endswith(b"%05d %s\n" % (199, b"y" * 93)) and text.startswith(b"00160"), f"what is kept: {text[:200]}")
    t.eq(os.path.getsize(path + ".1"), 1000, "as large as it may be")
    for name in there:
        t.eq(os.stat(name).st_mode & 0o7777, 0o600, name)


def sizes_of(path):
    return [os.path.getsize(name) for name in glob.glob(glob.escape(path) + "*")]


@test
def no_longer_than_by_a_line(t):
    """No line, however long, makes a file larger than its size and 64 KiB, and the time in front of it."""
    size, line = 100000, 65536
    data = b"x" * 29999 + b"\n" + b"y" * 10**6 + b"\n" + b"z" * 10**6
    ways = {
        "plain": ({}, 0),
        "stamped": ({"timestamp": "rfc3339"}, len("2026-11-21T18:40:00.123456Z ")),
        "prefixed": ({"prefix": "> "}, len("> ")),
        "shared": ({}, 0),
    }
    logger = Logger(t)
    streams = [stream(way, t.path(way, "log"), max_size=size, keep=1000, **keys) for way, (keys, _) in ways.items()]
    logger.tell(*streams, stream("other", t.path("shared", "log"), max_size=size, keep=1000))
    logger.start()
    for way in ways:
        logger.write(way, data)
        logger.drained(way)
    logger.end()
    for way, (_, head) in ways.items():
        sizes = sizes_of(t.path(way, "log"))
        t.check(len(sizes) > 10 and max(sizes) <= size + line + head, f"{way}: {sorted(sizes)}")
        text = logger.text(t.path(way, "log"))
        t.eq(re.sub(rb"(?:%s|> )(?=[xyz])" % WHEN, b"", text), data, f"{way}: nothing is lost")


@test
def whole_lines_up_to_the_size(t):
    """Also where several write into a file, it is over its size by one line only."""
    logger = Logger(t)
    path = t.path("both.log")
    logger.tell(*(stream(name, path, max_size=10000, keep=1000) for name in "ab"))
    lines = b"".join(b"%098d\n" % i for i in range(5000))
    for name in "ab":
        logger.write(name, lines[:60000])
    logger.start()
    logger.write("a", lines[60000:])
    logger.drained("a")
    logger.drained("b")
    logger.end()
    sizes = sizes_of(path)
    t.check(len(sizes) > 40 and max(sizes) < 10000 + 99, f"sizes: {sorted(sizes)}")


def messages(text):
    return [json.loads(line)["message"].encode() for line in text.splitlines()]


@test
def a_long_line_waits_for_nothing(t):
    """What shows no end of its line, for it is longer than a line may be or comes in too many pieces, goes on at once."""
    env = preloaded("CLOCK", "SUPLOG", CLOCK_STILL="1")
    logger = Logger(t)
    path = t.path("web.log")
    logger.tell(stream("web", path, format="json"))
    fifo = logger.fds["web.fifo"]
    fcntl.fcntl(fifo, fcntl.F_SETPIPE_SZ, MIB)
    logger.write("web", b"short\n" + b"x" * 10**6 + b"\n")
    # Where the clock stands still, nobody can wait for an unfinished line until it has waited long enough.
    logger.start(env={**os.environ, **env})
    logger.drained("web")
    logger.process.send_signal(signal.SIGSTOP)
    fcntl.fcntl(fifo, fcntl.F_SETFL, os.O_DIRECT)  # each write is a piece of its own
    for _ in range(200):
        os.write(fifo, b"y" * 10)
    os.write(fifo, b"\n")
    logger.process.send_signal(signal.SIGCONT)
    logger.drained("web")
    logger.end()
    got = messages(logger.text(path))
    t.eq([len(message) for message in got[:17]], [5] + [65536] * 15 + [10**6 - 15 * 65536], "cut into lines of 64 KiB")
    t.eq(b"".join(got[17:]), b"y" * 2000, "what came in small pieces")


@test
def a_line_in_pieces(t):
    """A line that was written in many pieces is one line, though they fill more pages than it would."""
    logger = Logger(t)
    path = t.path("web.log")
    logger.tell(stream("web", path, format="json"))
    fcntl.fcntl(logger.fds["web.fifo"], fcntl.F_SETPIPE_SZ, MIB)
    for _ in range(29):
        logger.write("web", b"x" * 2100)
    logger.write("web", b"\n")
    logger.start()
    logger.drained("web")
    logger.end()
    t.eq([len(message) for message in messages(logger.text(path))], [29 * 2100], "messages")


@test
def no_plain_file(t):
    """A terminal, a pipe, supd's own streams, also if they are a socket, and a link: written, and none of it rotated."""
    logger = Logger(t)
    master, slave = os.openpty()
    ours, its = socket.socketpair()
    os.mkfifo(t.path("pipe"))
    reader = os.open(t.path("pipe"), os.O_RDONLY | os.O_NONBLOCK)
    os.symlink(t.write("target", ""), t.path("link"))
    size = {"max_size": 1000}
    logger.tell(
        stream("tty", os.ttyname(slave), **size), stream("pipe", t.path("pipe"), **size),
        stream("out", "/dev/stdout", **size), stream("err", "/dev/stderr", prefix="> ", **size),
        stream("linked", t.path("link"), **size),
    )
    with open(t.path("suplog.log"), "w", encoding="utf-8") as err:
        err.write("before\n")
        err.flush()
        logger.start(stdout=its, stderr=err)
    its.close()
    lines = b"".join(b"%05d %s\n" % (i, b"y" * 93) for i in range(30))
    names = ("tty", "pipe", "out", "err", "linked")
    for name in names:
        logger.write(name, lines)

    def all_of(read):
        got = b""
        while len(got) < len(lines):
            got += read()
        return got

    t.eq(all_of(lambda: os.read(master, 4096).replace(b"\r\n", b"\n")), lines, "the terminal")
    eventually(lambda: logger.left("pipe") == 0, "the pipe is written")
    t.eq(all_of(lambda: os.read(reader, 4096)), lines, "the pipe")
    t.eq(all_of(lambda: ours.recv(4096)), lines, "standard output")
    for name in names:
        logger.drained(name)
    logger.end()
    t.check(logger.said().startswith("before\n> 00000 ") and logger.said().count("\n> ") == 30, "standard error, at its end")
    t.eq(t.read("target"), lines.decode(), "what the link leads to")
    t.eq(sorted(name for name in os.listdir(t.dir) if "." in name), ["suplog.log"], "nothing is rotated")


@test
def cannot_be_rotated(t):
    """What cannot be rotated is said, and grows on, also if it ends just where it should have been."""
    logger = Logger(t)
    path = t.path("web.log")
    os.mkdir(path + ".1")
    logger.tell(stream("web", path, max_size=1000, keep=1))
    logger.start()
    for i in range(30):
        logger.write("web", b"%05d %s\n" % (i, b"y" * 93))
    logger.drained("web")
    logger.end()
    t.match(logger.said(), "web.log: cannot be rotated: .*; it grows on", "it is told")
    t.eq(os.path.getsize(path), 3000, "all is there")


@test
def a_line_is_cut(t):
    """One line that never ends does not keep a file from being rotated."""
    logger = Logger(t)
    path = t.path("web.log")
    logger.tell(stream("web", path, max_size=100000))
    logger.start()
    logger.write("web", b"z" * 400000)
    logger.drained("web")
    logger.end()
    t.eq(logger.text(path), b"z" * 400000, "all of it")
    t.check(os.path.getsize(path + ".1") < 100000 + 2 * 65536, f"size: {os.path.getsize(path + '.1')}")


@test
def long_lines_stay_whole(t):
    """One that is shorter than where it would be cut is not, wherever it begins, in whatever pieces it comes."""
    logger = Logger(t)
    lines = [b"%05d" % size + b"j" * (size - 6) + b"\n" for size in (60000, 65535, 65000, 100, 65536, 63333)]
    logger.tell(stream("web", t.path("web.json"), format="json"))
    fcntl.fcntl(logger.fds["web.fifo"], F_SETPIPE_SZ, MIB)  # as supd does
    logger.start()
    text = b"".join(lines)
    for at in range(0, len(text), 3000):
        logger.write("web", text[at:at + 3000])
    logger.drained("web")
    logger.end()
    found = [json.loads(line)["message"] for line in t.read("web.json").splitlines()]
    t.eq([len(text) for text in found], [len(line) - 1 for line in lines], "the lengths of the lines")


@test(root=True)
def full_disk(t):
    """The service waits, and another on another disk does not; with `drop` it goes on, and the log tells how much is missing."""
    small = t.path("small")
    os.mkdir(small)
    if subprocess.call(["mount", "-t", "tmpfs", "-o", "size=1m", "none", small]) != 0:
        skip("no file system can be mounted here")
    try:
        logger = Logger(t)
        logger.tell(
            stream("full", small + "/full.log"),
            stream("stamped", small + "/stamped.log", timestamp="rfc3339"),
            stream("lossy", small + "/lossy.log", drop_when_full=True),
            stream("other", t.path("other.log")),
        )
        with open(small + "/ballast", "wb") as ballast:
            ballast.write(b"b" * (MIB - 16384))
        logger.start()
        full, stamped = Numbers(logger, "full", 3000), Numbers(logger, "stamped", 3000)
        full.start()
        stamped.start()
        eventually(lambda: "No space left" in logger.said(), "it is told")
        logger.write("other", b"not hindered\n")
        eventually(lambda: os.path.exists(t.path("other.log")) and t.read("other.log"), "the other goes on")
        for _ in range(40):
            logger.write("lossy", b"l" * 9999 + b"\n")
        eventually(lambda: logger.left("lossy") == 0, "what may be lost is taken")
        t.check(full.is_alive() or logger.left("full"), "the one on the full disk waits")
        logger.kill()
        logger.start()
        logger.write("lossy", b"l" * 9999 + b"\n")
        logger.drained("lossy")
        os.unlink(small + "/ballast")
        full.join(DEADLINE)
        stamped.join(DEADLINE)
        logger.write("lossy", b"the end\n")
        for name in ("full", "stamped", "lossy"):
            logger.drained(name)
        logger.end()
        t.check(logger.text(small + "/full.log") == full.text, "nothing of it is lost")
        text = re.sub(rb"(?m)^" + WHEN, b"", logger.text(small + "/stamped.log"))
        t.check(text == stamped.text, "nor of the one with timestamps")
        t.match(logger.text(small + "/lossy.log").decode(), r"suplog: \d+ bytes were dropped here", "what was lost is told")
    finally:
        subprocess.call(["umount", "-l", small])


@test
def rate(t):
    """What comes too fast is dropped, in whole lines, and told."""
    logger = Logger(t)
    path = t.path("web.log")
    logger.tell(stream("web", path, rate_bytes=1000, rate_period=500000))
    logger.start()
    for i in range(100):
        logger.write("web", b"%09d %s\n" % (i, b"r" * 89))
    told = re.compile(rb"suplog: (\d+) bytes \((\d+) lines\) were dropped here, for more than 1000 came in 500ms\n")
    eventually(lambda: os.path.exists(path) and sum(int(m[0]) for m in told.findall(logger.text(path))) + len(
        told.sub(b"", logger.text(path))) == 10000, "what is there and what is told of are all")
    logger.end()
    for line in told.sub(b"", logger.text(path)).splitlines():
        t.eq(len(line), 99, "a whole line")


@test
def inherited(t):
    """Lines of several services on our own standard output are not mixed up."""
    logger = Logger(t)
    logger.tell(stream("a", sink="inherit", prefix="a: "), stream("b", sink="inherit", prefix="b: "))
    with open(t.path("out"), "wb") as out:
        logger.start(stdout=out)
    writers = [Numbers(logger, name, 3000) for name in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    logger.drained("a")
    logger.drained("b")
    logger.end()
    lines = t.read("out").encode().splitlines(keepends=True)
    for writer in writers:
        mark = writer.stream.encode() + b": "
        t.check([line[3:] for line in lines if line.startswith(mark)] == writer.lines, f"the lines of {writer.stream}")
    t.eq(len(lines), 6000, "lines")


@test
def inherited_by_a_pipe(t):
    """Lines stay whole beside those that others write into the same pipe, full as it is most of the time."""
    logger = Logger(t)
    logger.tell(stream("a", sink="inherit", prefix="a: "))
    read, write = os.pipe()
    logger.start(stdout=write)
    numbers = Numbers(logger, "a", 60000)
    other = subprocess.Popen(["/bin/sh", "-c", "while :; do echo other; done"], stdout=write)
    numbers.start()
    eventually(lambda: logger.left("a") > 40000, "the pipe is full, and suplog waits")
    lines, rest = [], b""
    while len(lines) < 60000:
        *more, rest = (rest + os.read(read, 1000)).split(b"\n")
        lines += [line + b"\n" for line in more if line != b"other"]
    other.kill()
    other.wait()
    logger.end()
    for got, want in zip(lines, numbers.lines):
        t.need(got == b"a: " + want, f"where {want!r} should be, {got!r} is")


@test
def links_in_shared_places(t):
    """A link that somebody has put where everybody may write does not lead suplog anywhere."""
    logger = Logger(t)
    shared = t.path("shared")
    os.mkdir(shared)
    os.chmod(shared, 0o1777)
    t.write("precious", "")
    os.symlink(t.path("precious"), shared + "/web.log")
    os.link(t.path("precious"), shared + "/linked.log")
    os.symlink(t.path("loop.log"), t.path("loop.log"))
    names = {"web": shared + "/web.log", "linked": shared + "/linked.log", "loop": t.path("loop.log")}
    logger.tell(*(stream(name, path) for name, path in names.items()))
    logger.start()
    for name in names:
        logger.write(name, b"x\n")
    for name, why in (
        ("web", "a symbolic link where everybody may write is not followed: give the path that it leads to"),
        ("linked", "a file with another name (a hard link) is not written where everybody may write: remove"),
        ("loop", "Too many levels of symbolic links; it waits until"),
    ):
        eventually(lambda: f"{name}: cannot write its log to {names[name]}: {why}" in logger.said(), f"{name} is told")
    os.unlink(shared + "/linked.log")
    os.unlink(t.path("loop.log"))
    os.unlink(shared + "/web.log")
    eventually(lambda: os.path.exists(shared + "/web.log") and os.path.getsize(shared + "/web.log"), "then it is written")
    logger.end()
    t.eq(t.read("precious"), "", "what the link led to")


@test
def nobody_listens(t):
    """Where there is no journal or system log, it is told where that would be, and what to do."""
    sinks = {"journal": "the journal (/run/systemd/journal/socket)", "syslog": "the system log (/dev/log)"}
    missing = [sink for sink in sinks if not os.path.exists(re.search(r"\((.*)\)", sinks[sink])[1])]
    if not missing:
        skip("both are there")
    logger = Logger(t)
    logger.tell(*(stream(sink, sink=sink) for sink in missing))
    logger.start()
    for sink in missing:
        logger.write(sink, b"x\n")
        want = f"{sink}: cannot write its log to {sinks[sink]}: nobody listens there: start what does, or let log be a file; it"
        eventually(lambda: want in logger.said(), f"{sink} is told")
    logger.kill()


@test
def one_at_a_time(t):
    """A second one waits until the first has ended."""
    logger = Logger(t)
    logger.tell(stream("web", t.path("web.log")))
    logger.start()
    logger.write("web", b"a\n")
    logger.drained("web")
    first = logger.process
    logger.start()
    second = logger.process
    logger.process = first
    logger.write("web", b"b\n")
    logger.drained("web")
    logger.end()
    logger.process = second
    logger.write("web", b"c\n")
    logger.drained("web")
    logger.end()
    t.eq(t.read("web.log"), "a\nb\nc\n", "the log")


@test
def another_configuration(t):
    """Streams come, change and go while it runs; what was written before is written first."""
    logger = Logger(t)
    logger.tell(stream("a", t.path("a.log")))
    logger.start()
    logger.write("a", b"plain\n")
    logger.drained("a")
    logger.tell(stream("a", t.path("a2.log"), prefix="> "), stream("b", t.path("b.log")))
    logger.write("b", b"new\n")
    eventually(lambda: os.path.exists(t.path("b.log")) and t.read("b.log") == "new\n", "the new one")
    logger.write("a", b"changed\n")
    eventually(lambda: os.path.exists(t.path("a2.log")) and t.read("a2.log") == "> changed\n", "the changed one")
    logger.write("b", b"last words\n")
    logger.tell(stream("a", t.path("a2.log"), prefix="> "))
    eventually(lambda: t.read("b.log") == "new\nlast words\n", "what was left is written before it goes")
    logger.end()
    t.eq(t.read("a.log"), "plain\n", "the first file")


if __name__ == "__main__":
    sys.exit(main())
