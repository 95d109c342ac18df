#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""redis and nginx as somebody would run them: their clients notice nothing of supd's deaths."""
import os
import shutil
import signal
import socket

from harness import main, test
from instance import service
from processes import eventually, is_alive, kill, skip


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def program(name):
    path = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin:/usr/local/sbin")
    return path or skip(f"{name} is not installed")


class Line:
    """A TCP connection that is kept."""

    def __init__(self, port):
        def connect():
            try:
                return socket.create_connection(("127.0.0.1", port), 40)
            except OSError:
                return None

        self.sock = eventually(connect, f"port {port} answers")
        self.file = self.sock.makefile("rb")

    def close(self):
        self.file.close()
        self.sock.close()

    def redis(self, *words):
        self.sock.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w.encode()) for w in words))
        head = self.file.readline()
        if head[:1] != b"$":
            return head[1:].strip().decode()
        body = self.file.read(int(head[1:]) + 2)
        return body[:-2].decode()

    def run_id(self):
        return next(l for l in self.redis("INFO", "server").splitlines() if l.startswith("run_id:"))

    def http(self, path):
        self.sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        status = self.file.readline()
        length = 0
        while (line := self.file.readline()) not in (b"\r\n", b""):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        return status.split()[1].decode(), self.file.read(length).decode()


def redis_service(t, port, **keys):
    os.mkdir(t.path("redis"))
    t.write(
        "redis.conf",
        f"bind 127.0.0.1\nport {port}\ndir {t.path('redis')}\nsave \"\"\nappendonly no\n"
        f"daemonize no\nsupervised no\ntimeout 0\ntcp-keepalive 0\n",
    )
    return service("redis", [program("redis-server"), t.path("redis.conf")], log=t.path("redis.log"), **keys)


def nginx_service(t, port, **keys):
    os.mkdir(t.path("nginx"))
    t.write("nginx/hello.txt", "hello\n")
    temporary = "".join(
        f"    {n}_temp_path {t.path('nginx', n)};\n" for n in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;\n" if os.geteuid() == 0 else ""
    t.write(
        "nginx.conf",
        f"{user}daemon off;\nworker_processes 2;\npid {t.path('nginx/pid')};\n"
        f"error_log stderr;\nevents {{ worker_connections 64; }}\nhttp {{\n{temporary}"
        f"    access_log off;\n    keepalive_timeout 1h;\n    keepalive_requests 100000;\n"
        f"    server {{ listen 127.0.0.1:{port}; root {t.path('nginx')}; }}\n}}\n",
    )
    return service(
        "nginx",
        [program("nginx"), "-p", t.path("nginx"), "-c", t.path("nginx.conf")],
        log=t.path("nginx.log"),
        stop_signal="QUIT",
        kill_mode="mixed",
        **keys,
    )


@test
def ten_deaths_of_supd(t):
    redis_port, nginx_port = free_port(), free_port()
    as_root = {"user": "root", "group": "root"} if os.geteuid() == 0 else {}
    t.configure(
        "# As in the documentation.",
        redis_service(t, redis_port, restart="always", **as_root),
        nginx_service(t, nginx_port, restart="always"),
    )
    t.start()
    t.wait_all("running")
    redis, nginx = Line(redis_port), Line(nginx_port)
    run_id = redis.run_id()
    t.eq(redis.redis("SET", "key", "0"), "OK", "SET")
    pids = {n: s["pid"] for n, s in t.all().items()}
    eventually(lambda: len(t.others()) == 4, "redis, a master and two workers")
    everybody = t.others()
    for n in range(10):
        t.crash()
        t.eq(redis.redis("INCR", "key"), str(n * 2 + 1), f"death {n}: redis while supd is dead")
        t.eq(nginx.http("/hello.txt"), ("200", "hello\n"), f"death {n}: nginx while supd is dead")
        t.start()
        t.eq(redis.redis("INCR", "key"), str(n * 2 + 2), f"death {n}: redis on the same connection")
        t.eq(nginx.http("/hello.txt"), ("200", "hello\n"), f"death {n}: nginx on the same connection")
        t.eq({n: s["pid"] for n, s in t.all().items()}, pids, f"death {n}: the same processes")
        t.eq({s["adopted"] for s in t.all().values()}, {True}, f"death {n}: adopted")
        t.eq(t.others(), everybody, f"death {n}: nobody came, nobody went")
    t.eq(redis.run_id(), run_id, "the same redis")

    kill(pids["redis"], signal.SIGKILL)
    s = t.wait_for(
        "redis", lambda s: s["state"] == "running" and s["pid"] not in (None, pids["redis"]), "a new redis"
    )
    t.eq(s["restarts"], 1, "one restart")
    again = Line(redis_port)
    t.check(again.run_id() != run_id, "it is another one")
    t.eq(nginx.http("/hello.txt"), ("200", "hello\n"), "nginx was not touched")

    for line in (redis, nginx, again):
        line.close()
    stopped = t.ctl("stop", "redis", "nginx")
    t.eq(stopped.code, 0, f"stop: {stopped}")
    t.eq(t.others(), [], "nothing is left")
    for name in ("redis", "nginx"):
        s = t.status(name)
        t.eq(s["state"], "stopped", name)
        t.check(s["exit"]["signal"] != "KILL", f"{name} ended by itself: {s['exit']}")
    t.match(t.read("redis.log"), r"(?i)ready to accept connections", "redis' log")
    t.eq(t.terminate(), 0, "exit code of supd")


@test
def nginx_master_killed(t):
    """The master dies, its workers hold the port: they are ended, or the new one could not bind."""
    port = free_port()
    t.configure(nginx_service(t, port, restart="always"))
    t.start()
    t.wait_state("nginx", "running")
    line = Line(port)
    t.eq(line.http("/hello.txt")[0], "200", "it serves")
    for adopted in (False, True):
        if adopted:
            t.crash_and_start()
        eventually(lambda: len(t.others()) == 3, "a master and two workers")
        old, everybody = t.status("nginx")["pid"], t.others()
        kill(old, signal.SIGKILL)
        t.wait_for("nginx", lambda s, o=old: s["state"] == "running" and s["pid"] not in (o, None), "a new master")
        fresh = Line(port)
        t.eq(fresh.http("/hello.txt"), ("200", "hello\n"), "it serves again")
        fresh.close()
        t.check(not any(is_alive(pid) for pid in everybody), "nobody of the old ones is left")
    line.close()
    t.eq(t.terminate(), 0, "exit code")
    t.eq(t.others(), [], "nobody is left")


@test
def redis_upgraded_configuration(t):
    """A day in the life: change, reread, restart; the other service is not touched."""
    redis_port, nginx_port = free_port(), free_port()
    redis, nginx = redis_service(t, redis_port), nginx_service(t, nginx_port)
    t.configure(redis, nginx)
    t.start()
    t.wait_all("running")
    kept = Line(nginx_port)
    t.eq(kept.http("/hello.txt")[0], "200", "nginx serves")
    run_id = Line(redis_port).run_id()
    t.configure(redis.replace("service \"redis\" {\n", "service \"redis\" {\n    umask = 077\n"), nginx)
    t.match(t.ctl("reread").out, r"change redis: umask", "the plan")
    t.eq((Line(redis_port).run_id(), t.status("redis")["config-stale"]), (run_id, True), "redis goes on as it was")
    t.eq(t.ctl("restart", "redis").code, 0, "restart")
    t.check(Line(redis_port).run_id() != run_id, "a new redis")
    t.eq(kept.http("/hello.txt")[0], "200", "nginx on the same connection")
    kept.close()


if __name__ == "__main__":
    main()
