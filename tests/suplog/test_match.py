#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A line that is waited for is seen, and no other, whoever dies; and what goes into the log is the same as ever."""
import json
import os
import random
import re
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))

from harness import main, test  # noqa: E402
from logger import Logger, Numbers, stream  # noqa: E402
from processes import SLOWER, eventually  # noqa: E402

WHEN = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z "
ROUNDS = 12 // SLOWER


def wait_text(path, text):
    def is_there():
        with open(path, "rb") as file:
            return file.read() == text

    eventually(lambda: os.path.exists(path) and is_there(), f"{path} is {text[-80:]!r}")


@test
def in_every_way(t):
    """Wherever the output goes, whatever is done to it on its way."""
    logger = Logger(t)
    ways = {
        "plain": {}, "stamped": {"timestamp": "rfc3339"}, "json": {"format": "json"}, "prefixed": {"prefix": "ready "},
        "small": {"max_size": 16}, "limited": {"rate_bytes": 8, "rate_period": 3600 * 10**6},
    }
    streams = [stream(name, t.path(name + ".log"), **keys) for name, keys in ways.items()]
    streams.append(stream("device", "/dev/null"))
    streams.append(stream("inherited", sink="inherit"))
    logger.tell(*streams)
    with open(t.path("out"), "wb") as out:
        logger.start(stdout=out)
    names = [told["service"] for told in streams]
    matches = {name: logger.await_line(name, "^ready to serve [0-9]+$") for name in names}
    for name in names:
        logger.write(name, b"beginning\nnot ready to serve 1\nready to serve x\n")
    for name in names:
        logger.drained(name)
        t.check(not matches[name].found(), f"{name}: not yet")
        logger.write(name, b"ready to serve 80\nmore\n")
    for name in names:
        matches[name].wait_found(name)
        logger.drained(name)
    text = b"beginning\nnot ready to serve 1\nready to serve x\nready to serve 80\nmore\n"
    for name in names:
        before = matches[name].taken()
        logger.write(name, b"later\n")
        logger.drained(name)
        t.eq(matches[name].taken(), before, f"{name}: nobody looks at it any more")
    logger.end()
    t.eq(logger.text(t.path("plain.log")), text + b"later\n", "the log")
    t.eq(logger.text(t.path("small.log")), text + b"later\n", "the one that was rotated")
    t.eq(re.sub(rb"(?m)^" + WHEN, b"", logger.text(t.path("stamped.log"))), text + b"later\n", "with times")
    t.eq(t.read("out").encode(), text + b"later\n", "on standard output")


@test
def text_of_an_earlier_life(t):
    """What was written before does not count, also where nobody has taken it out yet, or only a part of it."""
    logger = Logger(t)
    path = t.path("web.log")
    logger.tell(stream("web", path))
    logger.write("web", b"ready\nready\nal")
    match = logger.await_line("web", "^ready$")
    t.eq(match.old(), 14, "measured where no suplog is")
    logger.write("web", b"ready")
    logger.start()
    eventually(lambda: match.taken() == 19, "the log goes on")
    t.check(not match.found(), "only the old text has an end")
    logger.kill()
    logger.write("web", b" not\n")
    logger.start()
    logger.drained("web")
    t.check(not match.found(), "the line that was begun is another")
    logger.write("web", b"ready\n")
    match.wait_found("a line of its own")
    for life in range(2, 20):
        logger.write("web", b"ready\n" * life)
        match = logger.await_line("web", "^ready$", life)
        logger.drained("web")
        t.check(not match.found(), f"life {life}: not yet")
        logger.write("web", b"ready\n")
        match.wait_found(f"life {life}")
    logger.end()


@test
def in_pieces(t):
    """A line that comes bit by bit, each bit to another suplog."""
    logger = Logger(t)
    path = t.path("web.log")
    logger.tell(stream("web", path))
    match = logger.await_line("web", "^the server is ready now$")
    pieces = [b"one\nthe ser", b"ver", b" is", b" read", b"y ", b"no", b"w"]
    for number, piece in enumerate(pieces):
        logger.start()
        logger.write("web", piece)
        wait_text(path, b"".join(pieces[: number + 1]))
        eventually(lambda: match.taken() == len(b"".join(pieces[: number + 1])), "that is noted")
        logger.kill()
    logger.start()
    t.check(not match.found(), "it has not ended")
    logger.write("web", b"\n")
    match.wait_found("all of it")
    logger.end()


@test
def a_prompt(t):
    """A line without an end is looked at as it stands once nothing more comes, but what follows may still be its end."""
    logger = Logger(t)
    logger.tell(stream("a", t.path("a.log")), stream("b", t.path("b.log")))
    logger.start()
    whole = logger.await_line("a", "^enter: $")
    begun = logger.await_line("b", "^enter: ")
    logger.write("a", b"enter: ")
    wait_text(t.path("a.log"), b"enter: ")
    logger.write("b", b"enter: ")
    begun.wait_found("the prompt")
    logger.write("a", b"a name\n")
    logger.drained("a")
    t.check(not whole.found(), "that was not its end")
    logger.write("a", b"enter: \n")
    whole.wait_found("this is")
    logger.end()


@test
def any_bytes(t):
    """Lines that never end, and bytes that are no text."""
    logger = Logger(t)
    path = t.path("web.log")
    logger.tell(stream("web", path))
    logger.start()
    match = logger.await_line("web", "^it .* ready$")
    noise = bytes(b for b in random.Random(1).randbytes(600000) if b != 10)
    for at in range(0, len(noise), 50000):
        logger.write("web", noise[at : at + 50000])
    logger.drained("web")
    logger.write("web", b"\nit is\0 not\n")
    logger.drained("web")
    t.check(not match.found(), "not yet")
    logger.write("web", b"\0\nit is ready\n")
    match.wait_found("after bytes that are no text")
    logger.drained("web")
    logger.end()
    t.check(logger.text(path) == noise + b"\nit is\0 not\n\0\nit is ready\n", "the log, byte for byte")


@test
def nothing_can_be_written(t):
    """That a disk is full, and its text waits or is dropped, does not make a service less ready."""
    logger = Logger(t)
    logger.tell(stream("waits", "/dev/full"), stream("drops", "/dev/full", drop_when_full=True))
    logger.start()
    for name in ("waits", "drops"):
        logger.write(name, b"ready\n")
        match = logger.await_line(name, "^ready$")
        logger.write(name, b"beginning\n")
        eventually(lambda: f"{name}: cannot write its log" in logger.said(), "it is told")
        t.check(not match.found(), f"{name}: not yet")
        logger.write(name, b"ready\n")
        match.wait_found(name)
    logger.drained("drops")
    t.eq(logger.left("waits"), 22, "all of it waits")
    logger.end()


@test
def nobody_waits_any_more(t):
    """A life that never became ready is over; the next one has its own line."""
    logger = Logger(t)
    logger.tell(stream("web", t.path("web.log")))
    logger.start()
    first = logger.await_line("web", "^one$")
    logger.write("web", b"text\n")
    eventually(lambda: first.taken() == 5, "it is looked at")
    first.forget()
    logger.write("web", b"one\n")
    logger.drained("web")
    t.eq((first.taken(), first.found()), (5, False), "it is not any more")
    second = logger.await_line("web", "^two$", 2)
    third = logger.await_line("web", "^three$", 3)
    logger.write("web", b"one\ntwo\nthree\n")
    third.wait_found("the line of the last")
    t.eq([m.found() for m in (first, second)], [False, False], "of the others nothing is said")
    logger.tell(stream("web", t.path("web.log"), prefix="> "))
    fourth = logger.await_line("web", "^four$", 4)
    logger.tell(stream("web", t.path("other.log")))
    logger.write("web", b"four\n")
    fourth.wait_found("whatever becomes of the stream")
    logger.end()


def begin_page(t, told, data, match, taken, passed_on):
    """What a suplog leaves that is killed right behind its read(2), suplog/page.h: DATA is out of the FIFO."""
    mark = bytes(b ^ 255 for b in data[-16:])
    head = struct.pack(
        "=IIIiQQQqII16s12000sQQI", 0x7355504C, 1, len(data), 0, 0, 0, 2**64 - 1, 0, 0, len(mark), mark,
        json.dumps(told).encode(), match, taken, passed_on,
    )
    with open(t.path("run", "log", "page.0"), "wb") as file:
        file.write(head.ljust(12288, b"\0") + data.ljust(65536, b"\0"))


@test
def killed_behind_a_read(t):
    """What was taken out is known, also where nobody came to write that down."""
    for passed_on, first in ((0, b"one\n"), (1, b"")):
        name = f"web{passed_on}"
        logger = Logger(t) if passed_on == 0 else logger
        told = stream(name, t.path(name + ".log"))
        logger.tell(told)
        logger.write(name, b"one\n")
        match = logger.await_line(name, "^up$")
        t.eq(os.read(logger.fds[name + ".fifo"], 4), b"one\n", "it is taken out")
        logger.write(name, b"not up\n")
        begin_page(t, told, b"one\n", match.read()[3], 4, passed_on)
        logger.start()
        logger.drained(name)
        wait_text(t.path(name + ".log"), first + b"not up\n")
        t.check(not match.found(), "its text does not begin in the middle of a line")
        logger.write(name, b"up\n")
        match.wait_found(name)
        logger.end()


def survive_kills(t, check, **keys):
    """suplog is killed over and over in each of many lives."""
    logger = Logger(t)
    logger.tell(stream("web", **keys))
    written = []
    with open(t.path("out"), "ab") as out:
        logger.start(stdout=out)
        for life in range(1, ROUNDS + 1):
            logger.write("web", b"ready\n" * (life * 700))  # of the life before; some of it is on its way now
            match = logger.await_line("web", "^ready$", life)
            numbers = Numbers(logger, "web", 10**9)
            numbers.start()
            for _ in range(4):
                time.sleep(random.random() * 0.02)
                logger.kill()
                logger.start(stdout=out)
            numbers.enough.set()
            numbers.join()
            logger.drained("web")
            t.need(not match.found(), f"life {life}: seen before it was there")
            logger.kill()
            logger.write("web", b"ready\n")
            logger.start(stdout=out)
            match.wait_found(f"life {life}")
            logger.drained("web")
            written += [b"ready\n" * (life * 700), numbers.text, b"ready\n"]
        logger.end()
    check(logger, b"".join(written))


@test
def killed(t):
    def check(logger, written):
        t.check(logger.text(t.path("web.log")) == written, "the log is what was written, byte for byte")

    survive_kills(t, check, path=t.path("web.log"), keep=10**6, max_size=1 << 18)


@test
def killed_with_timestamps(t):
    def check(logger, written):
        text = re.sub(rb"(?m)^" + WHEN, b"", logger.text(t.path("web.log")))
        t.check(text == written, "the log is what was written, byte for byte")

    survive_kills(t, check, path=t.path("web.log"), timestamp="rfc3339")


@test
def killed_on_standard_output(t):
    def check(_logger, written):
        with open(t.path("out"), "rb") as file:
            text = file.read()
        t.check(set(written.splitlines()) <= set(text.splitlines()), "every line is there, some of them more than once")

    survive_kills(t, check, sink="inherit")


if __name__ == "__main__":
    sys.exit(main())
