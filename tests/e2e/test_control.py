#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The control socket: JSON-RPC to the letter, clients of every bad kind, and who may call what."""
import json
import os
import signal
import socket
import time

from harness import main, test
from instance import service
from processes import eventually, kill, run_program


PARSE, INVALID, METHOD, PARAMS = -32700, -32600, -32601, -32602


def ping(number=1):
    return {"jsonrpc": "2.0", "id": number, "method": "supd.info"}


def answers_others(t, what):
    t.eq(t.call("supd.info")["pid"], t.process.pid, f"{what}: others are answered")


@test
def keys_that_are_asked_for(t):
    """service.list with `fields`: arrays of just these values, in that order; each is what the object has."""
    t.configure(t.sleeper("a") + t.sleeper("b", enabled=False))
    t.start()
    t.wait_state("a", "running")
    objects = t.call("service.list")
    steady = [key for key in objects[0] if key not in ("uptime", "cpu", "memory")]
    rows = t.call("service.list", fields=steady)
    t.eq(rows, [[s[key] for key in steady] for s in objects], "all that stays")
    t.eq(t.call("service.list", names=["b"], fields=["pid", "name", "state"]), [[None, "b", "stopped"]], "of one")
    memory, uptime = t.call("service.list", names=["a"], fields=["memory", "uptime"])[0]
    t.check(memory > 0 and uptime >= objects[0]["uptime"], f"what is looked for when asked: {memory}, {uptime}")
    for fields in ("name", [], ["name", "no-such"], ["name", 5], ["name"] * 100, {}):
        error = t.error_of("service.list", fields=fields)
        t.eq((error.code, "fields" in str(error)), (PARAMS, True), f"{fields}: {error}")
    t.eq([list(s) for s in t.call("service.list", fields=None)], [list(s) for s in objects], "null is none")
    with t.client() as client:
        client.send([{"jsonrpc": "2.0", "id": 1, "method": "service.list", "params": {"fields": ["name"]}}, ping(2)])
        answers = {answer["id"]: answer["result"] for answer in client.receive()}
        t.eq((answers[1], answers[2]["pid"]), ([["a"], ["b"]], t.process.pid), "in a batch")


@test
def errors_by_the_letter(t):
    t.configure(t.sleeper("a"))
    t.start()
    cases = [
        # a line, the code of the error, the id of the answer
        (b"{", PARSE, None),
        (b"nonsense", PARSE, None),
        (b'{"jsonrpc":"2.0","id":1,', PARSE, None),
        (b'{"jsonrpc":"2.0","id":1,"method":"supd.info"} x', PARSE, None),
        (b"\xff\xfe", PARSE, None),
        (b'{"jsonrpc":"2.0","id":1,"method":"\xc3\x28"}', PARSE, None),
        (b"[", PARSE, None),
        (b"[1,", PARSE, None),
        (b"1", INVALID, None),
        (b'"x"', INVALID, None),
        (b"null", INVALID, None),
        (b"[]", INVALID, None),
        (b"{}", INVALID, None),
        (b'{"jsonrpc":"2.0","id":1}', INVALID, 1),
        (b'{"id":1,"method":"supd.info"}', INVALID, 1),
        (b'{"jsonrpc":"1.0","id":2,"method":"supd.info"}', INVALID, 2),
        (b'{"jsonrpc":2.0,"id":2,"method":"supd.info"}', INVALID, 2),
        (b'{"jsonrpc":"2.0","id":3,"method":5}', INVALID, 3),
        (b'{"jsonrpc":"2.0","id":3,"method":null}', INVALID, 3),
        (b'{"jsonrpc":"2.0","id":{},"method":"supd.info"}', INVALID, None),
        (b'{"jsonrpc":"2.0","id":[1],"method":"supd.info"}', INVALID, None),
        (b'{"jsonrpc":"2.0","id":true,"method":"supd.info"}', INVALID, None),
        (b'{"jsonrpc":"2.0","id":4,"method":"supd.info","params":"x"}', (INVALID, PARAMS), 4),
        (b'{"jsonrpc":"2.0","id":4,"method":"supd.info","params":7}', (INVALID, PARAMS), 4),
        (b'{"jsonrpc":"2.0","id":5,"method":"no.such"}', METHOD, 5),
        (b'{"jsonrpc":"2.0","id":"five","method":""}', METHOD, "five"),
        (b'{"jsonrpc":"2.0","id":6,"method":"service.start"}', PARAMS, 6),
        (b'{"jsonrpc":"2.0","id":6,"method":"service.start","params":{}}', PARAMS, 6),
        (b'{"jsonrpc":"2.0","id":6,"method":"service.start","params":{"names":"a"}}', PARAMS, 6),
        (b'{"jsonrpc":"2.0","id":6,"method":"service.start","params":{"names":[1]}}', PARAMS, 6),
        (b'{"jsonrpc":"2.0","id":6,"method":"service.list","params":{"names":5}}', PARAMS, 6),
        (b'{"jsonrpc":"2.0","id":6,"method":"service.stop","params":{"names":["a"],"wait":"yes"}}', PARAMS, 6),
        (
            b'{"jsonrpc":"2.0","id":6,"method":"service.stop","params":{"names":["a"],"wait":true,"timeout":"1"}}',
            PARAMS,
            6,
        ),
        (
            b'{"jsonrpc":"2.0","id":6,"method":"service.stop","params":{"names":["a"],"wait":true,"timeout":-1}}',
            PARAMS,
            6,
        ),
        (b'{"jsonrpc":"2.0","id":6,"method":"service.signal","params":{"names":["a"]}}', PARAMS, 6),
        (b'{"jsonrpc":"2.0","id":6,"method":"service.signal","params":{"names":["a"],"signal":"FOO"}}', PARAMS, 6),
        (b'{"jsonrpc":"2.0","id":6,"method":"service.signal","params":{"names":["a"],"signal":9999}}', PARAMS, 6),
        (b'{"jsonrpc":"2.0","id":6,"method":"service.signal","params":{"names":["a"],"signal":0}}', PARAMS, 6),
        (b'{"jsonrpc":"2.0","id":7,"method":"service.list","params":{"names":["none"]}}', -32001, 7),
        (b'{"jsonrpc":"2.0","id":7,"method":"service.start","params":{"names":["a","no*"]}}', -32001, 7),
    ]
    with t.client() as client:
        for line, code, number in cases:
            client.send_raw(line + b"\n")
            answer = client.receive()
            if not t.check(isinstance(answer, dict) and "error" in answer, f"{line!r}: answered by {answer!r}"):
                continue
            codes = code if isinstance(code, tuple) else (code,)
            t.check(answer["error"]["code"] in codes, f"{line!r}: {answer['error']}, expected {code}")
            t.check(isinstance(answer["error"]["message"], str) and answer["error"]["message"], f"{line!r}: has words")
            t.eq((answer["jsonrpc"], "id" in answer, answer.get("id")), ("2.0", True, number), f"{line!r}: id")
            t.check("result" not in answer, f"{line!r}: no result beside an error")
        t.eq(client.call("supd.info")["pid"], t.process.pid, "the same connection goes on")
    t.eq(t.status("a")["starts"], 1, "nothing was done")
    t.eq(t.error_of("service.list", names=["a", "x", "y*"]).data, {"names": ["x", "y*"]}, "data of unknown service")
    refused = t.call("service.reload", names=["a"])[0]
    t.eq(refused["ok"], False, "a service that cannot be reloaded")
    t.match(refused["message"], "neither reload-signal nor reload-command", "it says why")


@test
def ids_and_spellings(t):
    t.configure(t.sleeper("a"))
    t.start()
    with t.client() as client:
        for number in (0, 1, -5, 2**53, "x", "", "ü\n\"\\", 1.5, None):
            client.send({"jsonrpc": "2.0", "id": number, "method": "supd.info"})
            answer = client.receive()
            t.eq((answer.get("id"), "result" in answer), (number, True), f"id {number!r} comes back")
        spellings = [
            b' { "method" : "supd.info" , "id" : 9 , "jsonrpc" : "2.0" } ',
            b'\t{"jsonrpc":"2.0","id":9,"method":"supd.info"}\r',
            b'{"jsonrpc":"2.0","id":9,"method":"supd.\\u0069nfo","params":{}}',
            b'{"jsonrpc":"2.0","id":9,"method":"supd.info","params":[]}',
        ]
        for line in spellings:
            client.send_raw(line + b"\n")
            t.eq(client.receive().get("id"), 9, f"{line!r}")
        client.send_raw(b"\n\n  \n" + json.dumps(ping(10)).encode() + b"\n")
        answer = client.receive()
        while answer.get("id") is None:
            answer = client.receive()
        t.eq(answer["id"], 10, "empty lines do no harm")


@test
def notifications_and_batches(t):
    t.configure(t.sleeper("a"), t.sleeper("b", enabled=False))
    t.start()
    t.wait_state("a", "running")
    with t.client() as client:
        client.send({"jsonrpc": "2.0", "method": "service.start", "params": {"names": ["b"]}})
        client.send({"jsonrpc": "2.0", "method": "no.such"})
        client.send({"jsonrpc": "2.0", "method": "service.start", "params": {"names": ["none"]}})
        client.send(ping(1))
        t.eq(client.receive().get("id"), 1, "notifications are not answered, not even with errors")
        t.wait_state("b", "running")
        client.send(
            [
                ping(1),
                {"jsonrpc": "2.0", "method": "supd.info"},
                5,
                {"jsonrpc": "2.0", "id": 2, "method": "no.such"},
                {"jsonrpc": "2.0", "id": 3, "method": "service.list", "params": {"names": ["a"]}},
            ]
        )
        answers = client.receive()
        t.check(isinstance(answers, list) and len(answers) == 4, f"a batch: {answers}")
        by_id = {a["id"]: a for a in answers}
        t.eq(
            (
                by_id[1]["result"]["pid"],
                by_id[2]["error"]["code"],
                by_id[3]["result"][0]["name"],
                by_id[None]["error"]["code"],
            ),
            (t.process.pid, METHOD, "a", INVALID),
            "answers of the batch",
        )
        client.send([1, 2, 3])
        t.eq([a["error"]["code"] for a in client.receive()], [INVALID] * 3, "a batch of nonsense")
        client.send([{"jsonrpc": "2.0", "method": "supd.info"}] * 2)
        client.send(ping(4))
        t.eq(client.receive().get("id"), 4, "a batch of notifications is not answered")
        client.send(
            [
                {"jsonrpc": "2.0", "id": 5, "method": "service.restart", "params": {"names": ["a"], "wait": True}},
                ping(6),
            ]
        )
        answers = client.receive()
        t.eq(sorted(a["id"] for a in answers), [5, 6], "a batch waits for its slowest")
        t.eq(
            next(a for a in answers if a["id"] == 5)["result"][0]["service"]["state"],
            "running",
            "and it was waited for",
        )
        client.send([ping(n) for n in range(1000)])
        t.eq(len(client.receive()), 1000, "a large batch")


@test
def pipelining_and_pieces(t):
    t.configure(t.sleeper("a"))
    t.start()
    with t.client() as client:
        client.send_raw(b"".join(json.dumps(ping(n)).encode() + b"\n" for n in range(500)))
        t.eq([client.receive()["id"] for _ in range(500)], list(range(500)), "500 requests in one write")
        for byte in json.dumps(ping(7)).encode() + b"\n":
            client.send_raw(bytes([byte]))
        t.eq(client.receive()["id"], 7, "a request byte by byte")
        client.send_raw(json.dumps(ping(8)).encode() + b"\n" + b'{"jsonrpc":"2.0","id":9,')
        t.eq(client.receive()["id"], 8, "one and a half")
        client.send_raw(b'"method":"supd.info"}\n')
        t.eq(client.receive()["id"], 9, "the other half")
        client.start_call("supd.info")
        client.sock.shutdown(socket.SHUT_WR)
        t.eq(client.receive()["result"]["pid"], t.process.pid, "who has closed his side for writing is answered")
        t.eq(client.receive(), None, "and then the connection ends")
    done = (
        run_program(
            ["socat", "-t", "10", "-", f"UNIX-CONNECT:{t.socket}"],
            stdin=b'{"jsonrpc":"2.0","id":1,"method":"service.list"}\n',
        )
        if has("socat")
        else None
    )
    if done:
        t.eq(json.loads(done.out)["result"][0]["name"], "a", "the example of the documentation")


def has(program):
    return any(os.access(os.path.join(d, program), os.X_OK) for d in os.environ["PATH"].split(":"))


@test
def long_lines(t):
    t.configure(t.sleeper("a"))
    t.start()
    with t.client() as client:
        padded = json.dumps(ping(1)).encode()
        client.send_raw(padded + b" " * ((1 << 20) - len(padded) - 1) + b"\n")
        t.eq(client.receive().get("id"), 1, "a line of 1 MiB")
    for what, chunk, end in (
        ("10 MB without a newline", b"x" * 65536, b""),
        ("2 MiB and a newline", b" " * 65536, b"\n"),
    ):
        with t.client() as client:
            try:
                for _ in range(160 if not end else 32):
                    client.send_raw(chunk)
                client.send_raw(end)
            except OSError:
                pass  # closed already
            try:
                answer = client.receive()
                t.check(answer is None or answer["error"]["code"] == INVALID, f"{what}: {answer}")
                t.eq(client.receive() if answer else None, None, f"{what}: the connection is closed")
            except (ConnectionResetError, BrokenPipeError):
                pass
        answers_others(t, what)
    with t.client() as client:
        client.send_raw(b"x" * ((1 << 20) + 1))
        answer = client.receive()
        t.eq(answer and answer["error"]["code"], INVALID, "one byte over 1 MiB: an answer")
        t.eq(client.receive(), None, "one byte over 1 MiB: the connection is closed")
    with t.client() as client:
        client.send_raw(b"[" * 200000 + b"]" * 200000 + b"\n")
        t.check(client.receive()["error"]["code"] in (PARSE, INVALID), "200,000 brackets")
    memory = int(open(f"/proc/{t.process.pid}/statm", encoding="ascii").read().split()[1]) * os.sysconf("SC_PAGESIZE")
    t.check(memory < 64 << 20, f"supd stays small: {memory >> 20} MiB")


@test
def half_a_message_and_away(t):
    t.configure(t.sleeper("a"))
    t.start()
    for n in range(200):
        client = t.client()
        client.send_raw(b'{"jsonrpc":"2.0","id":1,"method":"service.list"' + (b"}\n" if n % 2 else b""))
        client.close()
    answers_others(t, "after 200 that went away")
    eventually(lambda: t.call("supd.info")["clients"] <= 1, "they are forgotten")
    before = len(os.listdir(f"/proc/{t.process.pid}/fd"))
    t.check(before < 40, f"descriptors: {before}")


@test
def clients_that_are_sent_away(t):
    """
    30 seconds without a whole request or a byte of an answer read, whoever has how many unread; but who waits for
    something may be silent, and nobody else waits for those who do not read.
    """
    t.configure(t.deaf("slow"), *[t.sleeper(f"s{n}", enabled=False) for n in range(100)])
    t.start()
    t.wait_marked("slow")
    silent, half, events, waits, greedy = (t.client(100) for _ in range(5))
    half.send_raw(b'{"jsonrpc"')
    events.call("events.subscribe", names=["slow"])
    waits.start_call("service.stop", names=["slow"], wait=True)
    greedy.sock.setblocking(False)
    began = time.monotonic()
    request = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "service.list"}).encode() + b"\n"

    def dropped():
        try:
            for _ in range(50):
                greedy.sock.send(request)
        except BlockingIOError:
            pass
        except OSError:
            return True
        answers_others(t, "beside a client that never reads")
        memory = int(open(f"/proc/{t.process.pid}/statm", encoding="ascii").read().split()[1])
        memory *= os.sysconf("SC_PAGESIZE")
        t.need(memory < 256 << 20, f"supd stays bounded: {memory >> 20} MiB")
        return False

    eventually(dropped, "who never reads is sent away")
    t.eq(silent.receive(), None, "the silent one is sent away")
    t.check(time.monotonic() - began > 20, "not at once")
    t.eq(half.receive(), None, "half a request is none")
    kill(t.status("slow")["pid"], signal.SIGKILL)
    t.eq(waits.receive()["result"][0]["service"]["state"], "stopped", "who waits for an answer is kept")
    t.eq(events.receive()["method"], "event", "who listens for events is kept")


@test
def listener_that_never_reads(t):
    """Nobody else waits for it."""
    t.configure(*[t.sleeper(f"s{n}", enabled=False) for n in range(100)])
    t.start()
    listener = t.client()
    listener.call("events.subscribe")
    for _ in range(30):
        t.ctl("start", "--no-wait", "*")
        t.ctl("stop", "s*")
    answers_others(t, "beside a listener that never reads")


@test
def thousand_clients(t):
    t.configure(t.sleeper("a"))
    t.start()
    clients = []
    try:
        for _ in range(1000):
            clients.append(t.client())
    except OSError as error:
        t.need(False, f"client {len(clients)}: {error}")
    for n, client in enumerate(clients):
        client.send(ping(n))
    for n, client in enumerate(clients):
        answer = client.receive()
        if not t.check(answer and answer.get("id") == n, f"client {n}: {answer}"):
            break
    t.check(t.call("supd.info")["clients"] >= 1000, "counted")
    for client in clients:
        client.close()
    eventually(lambda: t.call("supd.info")["clients"] <= 1, "they are forgotten")
    t.eq(t.ctl("stop", "a").code, 0, "and work goes on")


@test
def flood(t):
    t.configure(t.sleeper("a"), t.sleeper("b", enabled=False))
    t.start()
    t.wait_state("a", "running")
    noisy = [t.client() for _ in range(4)]
    garbage = b"\x00\xff{[\"" * 50 + b"\n"
    for _ in range(200):
        for client in noisy:
            try:
                client.sock.setblocking(False)
                client.sock.send(garbage * 20)
            except OSError:
                pass
    answers_others(t, "under a flood")
    t.eq(t.ctl("start", "b").code, 0, "a start under a flood")
    for client in noisy:
        client.close()


@test
def wait_and_timeout(t):
    t.configure(
        t.deaf("slow"),
        t.sleeper("a"),
        service("ends", t.worker("exit", 0), restart="no", enabled=False),
        service("fails", t.worker("exit", 3), restart="no", enabled=False),
        service("broken", ["/nonexistent/program"], restart="no", enabled=False),
    )
    t.start()
    t.wait_marked("slow")
    done = t.call("service.stop", names=["a"], wait=True)[0]
    t.eq((done["name"], done["ok"], done["service"]["state"]), ("a", True, "stopped"), "stop with wait")
    done = t.call("service.start", names=["a"], wait=True)[0]
    t.eq((done["ok"], done["service"]["state"]), (True, "running"), "start with wait")
    t.check(str(done["service"]["pid"]) in done["message"], f"message: {done['message']}")
    t.check(t.call("service.start", names=["a"], wait=True)[0]["ok"], "start of what runs")
    t.check(t.call("service.start", names=["ends"], wait=True)[0]["ok"], "a start that has run and ended well")
    done = t.call("service.start", names=["broken"], wait=True)[0]
    t.eq((done["ok"], done["service"]["state"]), (False, "failed"), "start that fails")
    t.match(done["message"], "/nonexistent/program.*No such file", "message of the failure")
    t.check(
        t.call("service.start", names=["fails"], wait=True)[0]["service"]["state"] in ("running", "failed"), "fails"
    )

    error = t.error_of("service.stop", names=["slow", "a"], wait=True, timeout=8)
    t.eq(error.code, -32005, "stop that takes too long")
    outcomes = {o["name"]: o for o in error.data}
    t.eq(outcomes["a"]["service"]["state"], "stopped", "outcomes so far")
    t.eq(t.status("slow")["state"], "stopping", "the command goes on")
    with t.client() as first, t.client() as second:
        first.start_call("service.stop", names=["slow"], wait=True)
        second.start_call("service.stop", names=["slow"], wait=True)
        answers_others(t, "beside those that wait")
        kill(t.status("slow")["pid"], signal.SIGKILL)
        for client in (first, second):
            t.eq(client.receive()["result"][0]["service"]["state"], "stopped", "both are answered")
    t.eq(t.got("slow"), ["TERM"], "one signal for all the stop commands")


@test
def opposite_commands(t):
    """Who waits for a start that another one turns into a stop is answered, too."""
    t.configure(t.deaf("a"))
    t.start()
    t.wait_marked("a")
    with t.client() as stopper, t.client() as starter:
        stopper.start_call("service.stop", names=["a"], wait=True)
        t.wait_state("a", "stopping")
        starter.start_call("service.start", names=["a"], wait=True)
        t.wait_for("a", lambda s: s["desired"] == "up", "turned round")
        kill(t.status("a")["pid"], signal.SIGKILL)
        t.eq(starter.receive()["result"][0]["service"]["state"], "running", "the start is done")
        t.check("result" in stopper.receive(), "the stop is answered")


@test
def start_while_it_starts(t):
    """Who asks for a start that is under way learns how it ends. The start is held by a stdin that nobody writes to yet."""
    held = {"runs": t.worker("for-ever"), "breaks": ["/nonexistent/program"], "killed": t.worker("for-ever")}
    held["stopped"] = held["late"] = t.worker("for-ever")
    for name in held:
        os.mkfifo(t.path(name))
    later = {"restart_delay": "1h", "restart_delay_max": "1h", "restart_reset": "1h"}
    t.configure(
        *[
            service(name, command, stdin=t.path(name), start_timeout="8s" if name == "late" else "1h", **later)
            for name, command in held.items()
        ]
    )
    t.start()
    t.wait_all("starting")
    clients = {name: t.client(60) for name in held}
    for name, client in clients.items():
        client.start_call("service.start", names=[name], wait=True)
    answers_others(t, "beside those that wait")
    writers = [os.open(t.path(name), os.O_RDWR) for name in ("runs", "breaks")]
    kill(t.status("killed")["pid"], signal.SIGKILL)
    t.call("service.stop", names=["stopped"])
    want = {
        "runs": (True, "running"),
        "breaks": (False, "backoff"),
        "killed": (False, "backoff"),
        "late": (False, "backoff"),
    }
    for name, client in clients.items():
        try:
            outcome = client.receive()["result"][0]
        except TimeoutError:
            t.check(False, f"{name}: the start is never answered; it is {t.status(name)['state']}")
            continue
        if name in want:
            t.eq((outcome["ok"], outcome["service"]["state"]), want[name], name)
    for fd in writers:
        os.close(fd)


@test
def many_subscribers(t):
    t.configure(t.sleeper("a", enabled=False), t.sleeper("b", enabled=False))
    t.start()
    listeners = [t.client() for _ in range(50)]
    for n, client in enumerate(listeners):
        client.call("events.subscribe", **({"names": ["b*"]} if n % 2 else {}))
    listeners[0].call("events.subscribe", names=["*", "not-yet"])
    t.ctl("start", "a")
    t.ctl("start", "b")
    for n, client in enumerate(listeners):
        seen = []
        while ("b", "running") not in seen:
            event = client.receive()["params"]
            if event["to"] != "waiting":
                seen.append((event["name"], event["to"]))
        want = [("b", "starting"), ("b", "running")]
        t.eq(seen, want if n % 2 else [("a", "starting"), ("a", "running"), *want], f"listener {n}")
    t.configure(t.sleeper("b", enabled=False, environment=["A=1"]), t.sleeper("c", enabled=False))
    t.ctl("stop", "*")
    t.ctl("reread")
    kinds = set()
    while not {("added", "c"), ("removed", "a"), ("changed", "b"), ("reload", None)} <= kinds:
        event = listeners[0].receive()["params"]
        kinds.add((event["type"], event["name"]))


@test
def socket_elsewhere(t):
    t.socket = t.path("other.sock")
    t.configure(f'control {{\n    socket = "{t.socket}"\n}}', t.sleeper("a"))
    t.start()
    t.eq(t.ctl("status", "a").code in (0, 3), True, "a socket of one's own")
    t.eq(t.call("supd.info")["socket"], t.socket, "supd.info tells it")
    t.crash_and_start()
    t.eq(t.call("supd.info")["socket"], t.socket, "a stale socket is replaced")


@test
def shutdown_by_rpc(t):
    t.configure(t.sleeper("a"))
    t.start()
    t.wait_state("a", "running")
    with t.client() as client:
        t.eq(client.call("supd.shutdown"), True, "answered once it is recorded")
        t.eq(client.receive(), None, "the connection ends with supd")
    t.eq((t.wait_end(), t.live()), (0, []), "all is ended")


if __name__ == "__main__":
    main()
