#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Logs that go to a real journald: what arrives, and that nothing is lost while it is away."""

import json
import os
import shutil

import machine
from machine import Tap, check, skip_all, wait_for

REASON = machine.missing()
if REASON is not None:
    skip_all(REASON)

from machine_supd import Supd  # noqa: E402

MANY = 12000  # more than journald takes from one unit in half a minute, where it is not told otherwise

supd = Supd()
shutil.copy(os.environ["SUPLOG"], supd.dir / "suplog")


def service(script, **keys):
    path = supd.dir / f"script-{abs(hash(script))}"
    path.write_text(script)
    return "\n".join([f'command = {{"/bin/sh", "{path}"}}', *(f'{k.replace("_", "-")} = {v}' for k, v in keys.items())])


def entries(name):
    """Those of a service, the oldest first; fields that are no text are lists of bytes there."""
    supd.run("journalctl", "--sync", ok=False)  # while it is started again there is nobody to ask
    lines = supd.run("journalctl", f"SUPD_SERVICE={name}", "-o", "json", "--all", "--no-pager", "-q").stdout.splitlines()
    return [json.loads(line) for line in lines]


def message(entry):
    found = entry["MESSAGE"]
    return bytes(found) if isinstance(found, list) else found.encode()


def wait_entries(name, count):
    return wait_for(f"{count} messages of {name}", lambda: (e := entries(name)) and len(e) >= count and e)


def numbers(count, start=0):
    return [b"%d" % n for n in range(start, count)]


def test_each_line_is_a_message_with_its_fields():
    lines = [b"plain", b"<3>an error", b'quotes " and \\ and =', "\t é ☃".encode(), b"\xff\xfe no text \x00\x1b[1m", b"x" * 60000,
             b"y" * 100000, b"last"]
    (supd.dir / "lines").write_bytes(b"".join(line + b"\n" for line in lines))
    script = f"cat {supd.dir}/lines\necho to err >&2\nexec sleep 1000000\n"
    pid = supd.started(web=service(script, log="journal", log_error="journal"))["web"]
    found = wait_entries("web", len(lines) + 2)
    out = [e for e in found if e["SUPD_STREAM"] == "out"]
    err = [e for e in found if e["SUPD_STREAM"] == "err"]
    want = lines[:1] + [b"an error"] + lines[2:6] + [b"y" * 65536, b"y" * (100000 - 65536), b"last"]
    check([message(e) for e in out] == want, f"messages: {[message(e)[:100] for e in out]}")
    check([e["PRIORITY"] for e in out] == ["6", "3"] + ["6"] * 7, f"priorities: {[e['PRIORITY'] for e in out]}")
    check([(message(e), e["PRIORITY"]) for e in err] == [(b"to err", "4")], f"of standard error: {err}")
    for entry in found:
        fields = {n: entry.get(n) for n in ("SYSLOG_IDENTIFIER", "SUPD_SERVICE", "SYSLOG_PID", "OBJECT_PID")}
        check(fields == {"SYSLOG_IDENTIFIER": "web", "SUPD_SERVICE": "web", "SYSLOG_PID": str(pid),
                         "OBJECT_PID": str(pid)}, f"fields: {fields}")


def test_nothing_is_lost_while_journald_hangs():
    """Neither another's log nor supd waits for it; then all comes, in order, and once."""
    gate = supd.dir / "gate-hangs"
    os.mkfifo(gate)
    other = supd.dir / "other.log"
    supd.started(many=service(f"read x <{gate}\nseq 0 {MANY - 1}\nexec sleep 1000000\n", log="journal"),
                 other=service("seq 0 99\nexec sleep 1000000\n", log=f'"{other}"', log_max_size="10M"))
    journald = int(supd.show("MainPID", "systemd-journald.service"))
    supd.run("kill", "-STOP", journald)
    gate.write_text("go\n")
    wait_for("the other's log", lambda: other.exists() and other.read_text().count("\n") == 100)
    supd.supctl("restart", "other")
    wait_for("the other's log", lambda: other.read_text().count("\n") == 200)
    supd.run("kill", "-CONT", journald)
    check([message(e) for e in wait_entries("many", MANY)] == numbers(MANY), "not all, or in another order, or twice")


def test_nothing_is_lost_while_journald_is_started_again():
    # A gate for each time: the script may come to the next one before the last one is closed here.
    gates = [supd.dir / f"gate-again-{begin}" for begin in (0, 1000, 2000)]
    for gate in gates:
        os.mkfifo(gate)
    script = f"for i in 0 1000 2000; do read x <{supd.dir}/gate-again-$i; seq $i $((i + 999)); done\nexec sleep 1000000\n"
    supd.started(again=service(script, log="journal"))
    for gate, sig, count in zip(gates, ("KILL", "KILL", "TERM"), (1000, 2000, 3000)):
        supd.systemctl("kill", "-s", sig, "systemd-journald.service")
        gate.write_text("go\n")
        wait_entries("again", count)
    check([message(e) for e in entries("again")] == numbers(3000), "not all, or in another order, or twice")


def test_nothing_is_lost_while_there_is_no_socket():
    def told():
        return any("late: cannot write its log to the journal" in str(e["MESSAGE"]) for e in supd.journal())

    gate = supd.dir / "gate-socket"
    os.mkfifo(gate)
    supd.started(late=service(f"read x <{gate}\nseq 0 999\nexec sleep 1000000\n", log="journal"))
    supd.run("mv", "/run/systemd/journal/socket", "/run/systemd/journal/away")
    suplog = int(supd.run("pgrep", "-x", "suplog").stdout)
    supd.run("kill", "-KILL", suplog)  # the next one has no connection yet
    wait_for("another suplog", lambda: supd.run("pgrep", "-x", "suplog", ok=False).stdout.split() not in ([], [str(suplog)]))
    gate.write_text("go\n")
    wait_for("that it is told", told)
    supd.run("mv", "/run/systemd/journal/away", "/run/systemd/journal/socket")
    check([message(e) for e in wait_entries("late", 1000)] == numbers(1000), "not all, or in another order, or twice")


tap = Tap()
tap.run([f for name, f in list(globals().items()) if name.startswith("test_")], supd.details)
supd.machine.end()
tap.end()
