#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""conf/examples/stack.conf with the real programs: in order, and the same picture wherever supd was killed on the way.

usage: test_stack.py [DEATHS] [TEST...]     so often supd is killed in the middle of a start; 3 where nothing is said
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
from processes import Failed, eventually, rounds
from real import program, write_nginx

DEATHS = int(sys.argv.pop(1)) if sys.argv[1:] and sys.argv[1].isdigit() else 3
EXAMPLE = os.path.join(HERE, "..", "..", "conf", "examples", "stack.conf")
UP = {"redis", "migrate", "worker@1", "worker@2", "nginx"}

# What each of them sees around it when it begins; the test looks at nothing else of the order.
LOOK = {
    "redis": 'echo "redis begins" >>"$SEEN"',
    "migrate": 'echo "migrate $("$CLI" -p "$REDIS" PING)" >>"$SEEN"',
    "worker": 'echo "worker $("$CLI" -p "$REDIS" GET schema)" >>"$SEEN"',
    "nginx": 'for port in $WORKERS; do (exec 3<>/dev/tcp/127.0.0.1/$port) 2>/dev/null && echo "nginx up" || echo "nginx down"; '
    'done >>"$SEEN"',
}
RIGHT = {"redis begins", "migrate PONG", "worker 1", "nginx up"}


def is_free(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


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

    # ---- the picture

    def is_up(self):
        states = {name: s["state"] for name, s in self.t.all().items()}
        return all(states[name] == "running" for name in UP) and states["backup"] == "waiting"

    def wait_up(self, what):
        eventually(self.is_up, f"{what}: all are up")

    def answers(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.nginx, timeout=60)
        connection.request("GET", "/hello.txt")
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, body

    def main_processes(self):
        """Those that lead a session, as supd starts each, by the program that they are in the end."""
        leaders = [pid for pid in self.t.others() if os.getsid(pid) == pid]
        return sorted(os.path.basename(os.readlink(f"/proc/{pid}/exe")) for pid in leaders)

    def check(self, what):
        t = self.t
        t.eq(self.answers(), (200, b"hello\n"), f"{what}: nginx answers with what a worker has")
        names = [os.path.basename(os.path.realpath(self.programs[p])) for p in self.programs if "redis-cli" not in p]
        python = os.path.basename(os.path.realpath(sys.executable))
        t.eq(self.main_processes(), sorted([*names, python]), f"{what}: each once, and nobody else")
        seen = t.read("seen").splitlines()
        t.eq(sorted(set(seen)), sorted(RIGHT), f"{what}: what each saw when it began")
        t.eq(seen[0], "redis begins", f"{what}: who was the first")
        for line, count in (("redis begins", 1), ("worker 1", 2), ("nginx up", 2)):
            t.eq(seen.count(line), count, f"{what}: how often '{line}'")
        t.check(not os.path.exists(t.path("mail")), f"{what}: nobody had to be told")

    def end(self, what):
        self.t.eq(self.t.terminate(), 0, f"{what}: the end of supd")
        self.t.nothing_left(what)
        os.unlink(self.seen)


@test
def it_comes_up_in_order(t):
    stack = Stack(t)
    t.start()
    stack.wait_up("at first")
    stack.check("at first")
    tree = t.ctl("tree").out
    for name in (*UP, "backup"):
        t.check(name in tree, f"{name} is in the tree")
    t.eq(t.ctl("stop", "redis").code, 0, "stop redis")
    states = {name: s["state"] for name, s in t.all().items()}
    for name in UP - {"nginx"}:
        t.eq(states[name], "stopped", f"{name} requires redis, or is it")
    t.eq(states["nginx"], "running", "who only wants them runs on")
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
    for n in range(rounds(DEATHS)):
        moment = dice.uniform(0, whole)
        what = f"death {n}, after {moment:.3f} s"
        t.spawn()
        time.sleep(moment)  # not to wait for something: this is the moment
        t.crash()
        t.start()
        stack.wait_up(what)
        stack.check(what)
        stack.end(what)
        if t.failures:
            return


if __name__ == "__main__":
    main()
