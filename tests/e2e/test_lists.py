#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Answers that tell of thousands: made while all else goes on, and of one moment all the same in which names they have."""
import contextlib
import json
import signal

from harness import main, test
from instance import service
from processes import eventually, kill, read_stat

MANY = 3000  # takes many turns of the loop


def crowd(t, instances=MANY):
    """So many that do not run, and one behind them by name."""
    t.configure(
        "log-level = warning",
        service("crowd", t.worker("for-ever"), instances=instances, enabled=False),
        service("last", t.worker("for-ever"), enabled=False),
    )


def names_of(instances):
    return [f"crowd@{k}" for k in range(1, instances + 1)] + ["last"]


@contextlib.contextmanager
def stopped(t):
    """What is sent meanwhile has come all at once when supd goes on, in this order."""
    t.process.send_signal(signal.SIGSTOP)
    eventually(lambda: read_stat(t.process.pid)[0] == "T", "supd is stopped")
    yield
    t.process.send_signal(signal.SIGCONT)


def met(client):
    """Accepted, and the one served last, so that what it sends next is not behind what others send after it."""
    client.call("supd.info")
    return client


@test
def others_have_their_turn(t):
    """A command that comes behind a long list is carried out before the list has got to its end."""
    crowd(t)
    t.start()
    with met(t.client()) as other, met(t.client()) as reader:
        with stopped(t):
            reader.start_call("service.list")
            other.start_call("service.start", names=["last"])
        told = reader.receive()["result"]
        t.check([s["name"] for s in told] == names_of(MANY), f"all are told of: {len(told)}")
        t.check(told[-1]["state"] != "stopped", f"the last was started meanwhile: {told[-1]['state']}")
        t.eq(other.receive()["result"][0]["ok"], True, "the command")


@test
def services_come_and_go_meanwhile(t):
    """An answer has the names of before or of after a change, never some of both, and each service in full."""
    crowd(t)
    t.start()
    with met(t.client()) as other, met(t.client()) as reader:
        for before, after in ((MANY, 5), (5, MANY)):
            with stopped(t):
                reader.start_call("service.list")
                reader.start_call("service.list", fields=["name", "state"])
                other.start_call("service.scale", name="crowd", instances=after)
            for answer in (reader.receive(), reader.receive()):
                told = answer["result"]
                rows = isinstance(told[0], list)
                got = [s[0] if rows else s["name"] for s in told]
                t.check(got in (names_of(before), names_of(after)), f"{len(got)} names on the way to {after}")
                t.eq({s[1] if rows else s["state"] for s in told}, {"stopped"}, "their states")
                t.eq({len(s) for s in told}, {2 if rows else len(told[0])}, "each has every key")
            other.receive()
            now = [s["name"] for s in reader.call("service.list")]
            t.check(now == names_of(after), f"{len(now)} names afterwards")


@test
def one_connection_keeps_its_order(t):
    """What is asked behind a list is answered behind it; a batch is one line."""
    crowd(t)
    t.start()
    requests = [
        {"jsonrpc": "2.0", "id": 1, "method": "service.list"},
        {"jsonrpc": "2.0", "id": 2, "method": "supd.info"},
        {"jsonrpc": "2.0", "id": 3, "method": "service.list", "params": {"fields": ["name"]}},
        {"jsonrpc": "2.0", "method": "service.list"},
        {"jsonrpc": "2.0", "id": 4, "method": "service.list", "params": {"names": ["last"]}},
    ]
    with t.client() as client:
        client.send_raw(b"".join(json.dumps(r).encode() + b"\n" for r in requests))
        answers = [client.receive() for _ in range(4)]
        t.eq([a["id"] for a in answers], [1, 2, 3, 4], "the order")
        t.eq([len(answers[i]["result"]) for i in (0, 2, 3)], [MANY + 1, MANY + 1, 1], "how many each tells of")
        client.send(requests)
        batch = client.receive()
        t.eq(sorted(a["id"] for a in batch), [1, 2, 3, 4], "a batch")
        t.eq({len(a["result"]) for a in batch if a["id"] in (1, 3)}, {MANY + 1}, "the lists in it")


@test
def many_ask_at_once_and_some_hang_up(t):
    crowd(t)
    t.start()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(met(t.client())) for _ in range(100)]
        with stopped(t):
            for client in clients:
                client.start_call("service.list", fields=["name"])
            for client in clients[::3]:
                client.close()
        for client in (c for i, c in enumerate(clients) if i % 3):
            told = [row[0] for row in client.receive()["result"]]
            t.check(told == names_of(MANY), f"a list of {len(told)}")
        eventually(lambda: t.call("supd.info")["clients"] == 1 + sum(i % 3 > 0 for i in range(100)), "the others have gone")


@test
def an_upgrade_meanwhile(t):
    """Whatever the caller has asked for is answered, by the old binary or the new one."""
    crowd(t)
    t.start()
    with t.client() as reader, t.client() as other:
        for _ in range(3):
            asked = [reader.start_call("service.list", fields=["name"]) for _ in range(60)]
            t.eq(other.call("supd.upgrade")["pid"], t.process.pid, "the upgrade")
            for number in asked:
                answer = reader.receive()
                t.eq((answer["id"], len(answer["result"])), (number, MANY + 1), "a list")


@test
def the_end_meanwhile(t):
    """A list that was begun is answered before supd goes."""
    crowd(t)
    t.start()
    with met(t.client()) as reader:
        with stopped(t):
            reader.start_call("service.list")
            t.process.send_signal(signal.SIGTERM)
        answer = reader.receive()
        t.check(answer is None or len(answer["result"]) == MANY + 1, "the whole list, or none")
    t.eq(t.wait_end(), 0, "exit code")


@test
def what_many_use(t):
    """Where many run, all processes are looked at in one go: each service has its own, and none of another."""
    t.configure("cgroup = no", *(t.trio(f"three{i}") for i in range(20)), *(t.sleeper(f"one{i}") for i in range(20)))
    t.start()
    for i in range(20):
        t.wait_trio(f"three{i}")
        t.wait_marked(f"one{i}")
    tasks = {s["name"]: s["tasks"] for s in t.list()}
    t.eq(tasks, {f"three{i}": 3 for i in range(20)} | {f"one{i}": 1 for i in range(20)}, "tasks")
    child = next(pid for pid, _ in t.marks("three7") if pid != t.status("three7")["pid"])
    kill(child, signal.SIGKILL)
    t.wait_for("three7", lambda s: s["tasks"] == 2, "it has one less")
    t.eq(sum(s["tasks"] for s in t.list()), 79, "all together")


if __name__ == "__main__":
    main()
