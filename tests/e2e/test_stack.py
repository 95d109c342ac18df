#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""conf/examples/stack.conf with the real programs: in order, and the same picture wherever supd was killed on the way.

usage: test_stack.py [STARTS] [TEST...]     so many times all is started, and supd killed five times meanwhile; else 10
"""
import http.client
import json
import os
import random
import re
import socket
import sys
import time

from harness import HERE, comment, main, test
from processes import DEADLINE, Failed, environment_of, eventually, read_stat, rounds, run_program
from real import program, write_nginx

STARTS = int(sys.argv.pop(1)) if sys.argv[1:] and sys.argv[1].isdigit() else 10
DEATHS = 5
EXAMPLE = os.path.join(HERE, "..", "..", "conf", "examples", "stack.conf")
UP = {"redis", "migrate", "worker@1", "worker@2", "nginx"}
TCP_LISTEN = "0A"

# What each of them sees around it when it begins; the test looks at nothing else of the order.
LOOK = {
    "backup": 'echo "backup $("$CLI" -p "$REDIS" PING)" >>"$SEEN"',
    "redis": 'echo "redis begins" >>"$SEEN"',
    "migrate": 'echo "migrate $("$CLI" -p "$REDIS" PING)" >>"$SEEN"',
    "worker": 'echo "worker $("$CLI" -p "$REDIS" GET schema)" >>"$SEEN"',
    "nginx": "for port in $WORKERS; do (exec 3<>/dev/tcp/127.0.0.1/$port) 2>/dev/null && "
    'echo "nginx up" || echo "nginx down"; done >>"$SEEN"',
}
RIGHT = {"redis begins", "migrate PONG", "worker 1", "nginx up", "backup PONG"}
# Done again where nobody could learn how it ended, or when its time has come.
AGAIN = {"migrate PONG", "backup PONG"}


def is_free(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def port_of(address):
    """Of an address in /proc/net/tcp."""
    return int(address.rsplit(":", 1)[1], 16)


def sockets_of(pid):
    """Inodes of the sockets that it has open."""
    found = set()
    try:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            found.update(re.findall(r"^socket:\[(\d+)\]$", os.readlink(f"/proc/{pid}/fd/{fd}")))
    except OSError:
        pass  # it has ended, or closed the descriptor
    return found


def free_ports():
    """Ten ports in a row, below those that the kernel gives to clients, as the first four digits that they share."""
    for prefix in random.sample(range(1100, 3200), 200):
        if all(is_free(prefix * 10 + n) for n in range(5)):
            return prefix
    raise Failed("no free ports")


class Stack:
    """The example, with paths and ports of this test."""

    def __init__(self, t):
        self.t = t
        prefix = free_ports()
        self.workers = [prefix * 10 + 1, prefix * 10 + 2]
        self.redis, self.nginx = prefix * 10 + 3, prefix * 10 + 4
        self.seen = t.path("seen")
        self.programs = {
            "/usr/bin/redis-server": program("redis-server"),
            "/usr/bin/redis-cli": program("redis-cli"),
            "/usr/sbin/nginx": program("nginx"),
            "/usr/bin/python3": sys.executable,
        }
        os.mkdir(t.path("www"))
        t.write("www/hello.txt", "hello\n")
        t.write("redis.conf", f'bind 127.0.0.1\nport {self.redis}\ndir {t.path("www")}\nsave ""\nappendonly no\n')
        servers = "".join(f" server 127.0.0.1:{port};" for port in self.workers)
        write_nginx(
            t,
            "nginx.conf",
            "",
            f"    upstream workers {{{servers} }}\n"
            f"    server {{ listen 127.0.0.1:{self.nginx}; location / {{ proxy_pass http://workers; }} }}\n",
        )
        with open(EXAMPLE, encoding="utf-8") as f:
            text = self.replaced(f.read())
        variables = {
            "SEEN": self.seen,
            "CLI": self.programs["/usr/bin/redis-cli"],
            "REDIS": self.redis,
            "WORKERS": " ".join(str(p) for p in self.workers),
        }
        given = ", ".join(json.dumps(f"{k}={v}") for k, v in variables.items())
        t.configure(f'state-dir = "{t.path("state")}"\n', f"defaults {{\n    environment = {{{given}}}\n}}\n", text)

    def replaced(self, text):
        """Each place must be there, or the example is not what is tested."""
        places = {
            '"/etc/redis/redis.conf"': json.dumps(self.t.path("redis.conf")),
            '"/var/www"': json.dumps(self.t.path("www")),
            '"port:127.0.0.1:6379"': f'"port:127.0.0.1:{self.redis}"',
            '"port:127.0.0.1:80"': f'"port:127.0.0.1:{self.nginx}"',
            '"30 3 * * *"': '"every 1s"',
            "800%i": f"{self.workers[0] // 10}%i",
        }
        for old, new in places.items():
            self.t.need(old in text, f"{old} stands in the example")
            text = text.replace(old, new)
        lines, section = [], ""
        for line in text.splitlines():
            begins = re.match(r'(?:service|on-event) "(\w+)"', line)
            section = begins.group(1) if begins else section
            command = re.match(r"    command +=\s*\{(.*)\}$", line)
            lines.append(f"    command = {{{self.command(section, command.group(1))}}}" if command else line)
        return "\n".join(lines) + "\n"

    def command(self, section, given):
        argv = json.loads(f"[{given}]")
        if section == "mail":
            argv = ["/bin/sh", "-c", f"cat >>{self.t.path('mail')}"]
        argv[0] = self.programs.get(argv[0], argv[0])
        if section in ("migrate", "backup"):
            argv[1:1] = ["-p", str(self.redis)]
        if section == "nginx":
            argv[1:1] = ["-p", self.t.path("nginx"), "-c", self.t.path("nginx.conf")]
        if section in LOOK:
            argv = ["/bin/bash", "-c", LOOK[section] + '; exec "$@"', section, *argv]
        return ", ".join(json.dumps(word) for word in argv)

    # ---- the picture: what is there when all is up, looked at from outside but for the states

    def is_up(self):
        states = {name: s["state"] for name, s in self.t.all().items()}
        return all(states[name] == "running" for name in UP)

    def wait_up(self, what):
        eventually(self.is_up, f"{what}: all are up")

    def redis_says(self, *words):
        return run_program([self.programs["/usr/bin/redis-cli"], "-p", str(self.redis), *words]).out.strip()

    def answer(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.nginx, timeout=DEADLINE)
        connection.request("GET", "/hello.txt")
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, body

    def processes(self):
        """pid -> its program, of all but what comes and goes: the runs of the scheduled job, and redis writing for it."""
        found = {}
        for pid in self.t.others():
            stat = read_stat(pid)
            try:
                name = os.path.basename(os.readlink(f"/proc/{pid}/exe"))
            except OSError:
                continue
            if stat and b"SUPD_SERVICE=backup" not in environment_of(pid):
                # Each that supd has started leads a session; nginx has a process that does not.
                found[pid] = name if stat[3] == pid else f"{name} below"
        return found

    def listeners(self, processes):
        """Of each of our ports, who listens there."""
        with open("/proc/net/tcp", encoding="ascii") as f:
            rows = [line.split() for line in f.read().splitlines()[1:]]
        inodes = {row[9]: port_of(row[1]) for row in rows if row[3] == TCP_LISTEN}
        ports = {"redis": self.redis, "nginx": self.nginx, "worker@1": self.workers[0], "worker@2": self.workers[1]}
        found = {name: [] for name in ports}
        for pid, program_name in processes.items():
            for inode in sockets_of(pid):
                found_at = inodes.get(inode)
                for name, port in ports.items():
                    if port == found_at:
                        found[name].append(program_name)
        return {name: sorted(who) for name, who in found.items()}

    def picture(self):
        processes = self.processes()
        seen = self.t.read("seen").splitlines()
        return {
            "processes": sorted(processes.values()),
            "listeners": self.listeners(processes),
            "states": {name: (s["state"], s["ready"]) for name, s in self.t.all().items() if name != "backup"},
            "answer of nginx": self.answer(),
            "schema in redis": self.redis_says("GET", "schema"),
            "data of redis": os.path.exists(self.t.path("www", "dump.rdb")),
            "what each saw when it began": sorted(set(seen)),
            "how often": {line: seen.count(line) for line in RIGHT - AGAIN},
            "who was the first": seen[:1],
            "mails": self.mails(),
        }

    def mails(self):
        """But for those of a run of the job whose end nobody could learn, because it came while no supd was there."""
        notes = [json.loads(line) for line in self.t.read("mail").splitlines()]
        return [n for n in notes if (n["name"], (n["exit"] or {}).get("how")) != ("backup", "unknown")]

    def wanted(self):
        redis, nginx, python = (
            os.path.basename(os.path.realpath(self.programs[p]))
            for p in ("/usr/bin/redis-server", "/usr/sbin/nginx", "/usr/bin/python3")
        )
        return {
            "processes": sorted([redis, nginx, f"{nginx} below", python, python]),
            "listeners": {
                "redis": [redis],
                "nginx": [nginx, f"{nginx} below"],
                "worker@1": [python],
                "worker@2": [python],
            },
            "states": {name: ("running", True) for name in UP},
            "answer of nginx": (200, b"hello\n"),
            "schema in redis": "1",
            "data of redis": True,
            "what each saw when it began": sorted(RIGHT),
            "how often": {"redis begins": 1, "worker 1": 2, "nginx up": 2},
            "who was the first": ["redis begins"],
            "mails": [],
        }

    def check(self, what):
        """The picture is the one that is wanted, once the scheduled job has had its turn."""
        self.wait_up(what)
        wanted, got = self.wanted(), {}

        def differing():
            got.update(self.picture())
            return [key for key in wanted if got[key] != wanted[key]]

        try:
            eventually(lambda: not differing(), "the picture is right")
        except Failed as failed:
            wrong = "; ".join(f"{key}: {got[key]}, not {wanted[key]}" for key in differing())
            raise Failed(f"{what}: {failed}: {wrong}") from None
        runs = self.runs()
        eventually(lambda: self.runs() > runs, f"{what}: the scheduled job goes on")

    def runs(self):
        return self.t.read("seen").count("backup")

    def end(self, what):
        self.t.eq(self.t.terminate(), 0, f"{what}: the end of supd")
        self.t.nothing_left(what)
        os.unlink(self.seen)
        os.unlink(self.t.path("www", "dump.rdb"))


@test
def it_comes_up_in_order(t):
    stack = Stack(t)
    t.start()
    stack.check("at first")
    tree = t.ctl("tree").out
    for name in (*UP, "backup"):
        t.check(name in tree, f"{name} is in the tree")
    t.eq(t.ctl("stop", "redis").code, 0, "stop redis")
    states = {name: s["state"] for name, s in t.all().items()}
    for name in UP - {"nginx"}:
        t.eq(states[name], "stopped", f"{name} requires redis, or is it")
    t.eq(states["nginx"], "running", "who only wants them runs on")
    t.match(t.log_text(), r"worker@1: stopped: it requires redis\n", "the log tells why")
    t.match(t.ctl("why", "redis").out, r"^redis: stopped: by command\n", "and so does supctl why")
    stack.end("at the end")


@test(limit=1800)
def supd_dies_in_the_middle_of_the_start(t):
    stack = Stack(t)
    begin = time.monotonic()
    t.start()
    stack.wait_up("undisturbed")
    whole = time.monotonic() - begin
    stack.check("undisturbed")
    stack.end("undisturbed")
    seed = random.randrange(1 << 32)
    comment(f"seed {seed}, a start takes {whole:.2f} s")
    dice = random.Random(seed)
    for n in range(rounds(STARTS)):
        what = f"start {n}"
        begin = time.monotonic()
        for moment in sorted(dice.uniform(0, whole) for _ in range(DEATHS)):
            t.spawn()
            time.sleep(max(0, begin + moment - time.monotonic()))  # not to wait for something: this is the moment
            t.crash()
            begun = sorted({line.split()[0] for line in t.read("seen").splitlines()})
            comment(f"{what}: killed after {moment:.3f} s; begun were {', '.join(begun) or 'none'}")
        t.start()
        stack.check(what)
        stack.end(what)


if __name__ == "__main__":
    main()
