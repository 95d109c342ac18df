#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""redis, nginx and sshd as somebody would run them: their clients notice nothing of supd's deaths."""
import os
import signal
import socket
import subprocess

from cgroups import cgroup_of
from harness import main, test
from instance import service
from processes import eventually, is_alive, kill
from real import free_port, program, write_nginx


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


def redis_service(t, port, before=None, supervised="no", **keys):
    """before: what a shell does until redis may begin."""
    os.mkdir(t.path("redis"))
    t.write(
        "redis.conf",
        f"bind 127.0.0.1\nport {port}\ndir {t.path('redis')}\nsave \"\"\nappendonly no\n"
        f"daemonize no\nsupervised {supervised}\ntimeout 0\ntcp-keepalive 0\n",
    )
    command = [program("redis-server"), t.path("redis.conf")]
    if before:
        command = ["/bin/sh", "-c", f'{before}; exec "$@"', "sh", *command]
    return service("redis", command, log=t.path("redis.log"), **keys)


def nginx_service(t, port, **keys):
    os.mkdir(t.path("nginx"))
    t.write("nginx/hello.txt", "hello\n")
    write_nginx(
        t,
        "nginx.conf",
        "daemon off;\nworker_processes 2;\n",
        "    keepalive_timeout 1h;\n    keepalive_requests 100000;\n"
        f"    server {{ listen 127.0.0.1:{port}; root {t.path('nginx')}; }}\n",
    )
    return service(
        "nginx",
        [program("nginx"), "-p", t.path("nginx"), "-c", t.path("nginx.conf")],
        log=t.path("nginx.log"),
        stop_signal="QUIT",
        kill_mode="mixed",
        **keys,
    )


def served(t):
    """pids of all processes of the services."""
    suplog = t.live("supd:log")
    return [pid for pid in t.others() if pid not in suplog]


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
    eventually(lambda: len(served(t)) == 4, "redis, a master and two workers")
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
    t.eq(served(t), [], "nothing is left")
    for name in ("redis", "nginx"):
        s = t.status(name)
        t.eq(s["state"], "stopped", name)
        t.check(s["exit"]["signal"] != "KILL", f"{name} ended by itself: {s['exit']}")
    eventually(lambda: "ready to accept connections" in t.read("redis.log").lower(), "redis' log")
    t.eq(t.terminate(), 0, "exit code of supd")


@test
def redis_says_when_it_is_ready(t):
    """supd is killed before redis says that it is ready, while it does, and after it."""
    port, gate = free_port(), t.path("gate")
    wait = f"until [ -e {gate} ]; do sleep 0.02; done"
    t.configure(
        redis_service(t, port, wait, "systemd", ready="notify", start_timeout="3s", watchdog="1h", restart="no")
    )
    t.start()
    first = t.wait_for("redis", lambda s: s["pid"], "it is on its way")
    t.crash_and_start()
    t.eq((t.status("redis")["state"], t.status("redis")["pid"]), ("starting", first["pid"]), "not ready")
    t.write("gate", "")
    s = t.wait_state("redis", "running")
    t.match(s["status-text"], "(?i)ready", "in its own words")
    line = Line(port)
    run_id = line.run_id()
    t.crash_and_start()
    t.eq((t.status("redis")["state"], t.status("redis")["pid"]), ("running", first["pid"]), "still ready")
    t.eq(line.run_id(), run_id, "the same redis")
    line.close()

    os.unlink(gate)
    t.eq(t.ctl("restart", "--no-wait", "redis").code, 0, "restart")
    fresh = t.wait_for("redis", lambda s: s["pid"] not in (None, first["pid"]), "another redis")["pid"]
    t.crash()
    t.write("gate", "")
    line = Line(port)  # it is ready, and nobody has heard that
    run_id = line.run_id()
    t.start()
    s = t.wait_state("redis", "running", "failed")
    t.eq((s["state"], s["pid"], line.run_id()), ("running", fresh, run_id), "it is neither ended nor waited for for ever")
    line.close()


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
        eventually(lambda: len(served(t)) == 3, "a master and two workers")
        old, everybody = t.status("nginx")["pid"], served(t)
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


def sshd_service(t, port, **keys):
    """It goes into the background by itself, and would once more at a SIGHUP: its parent is not process 1."""
    for key in ("host_key", "user_key"):
        subprocess.run([program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", t.path(key)], check=True)
    conf = t.write(
        "sshd_config",
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {t.path('host_key')}\nPidFile {t.path('sshd.pid')}\n"
        f"AuthorizedKeysFile {t.path('user_key.pub')}\nPermitRootLogin yes\nStrictModes no\nUsePAM no\n"
        "PasswordAuthentication no\nPrintMotd no\nPrintLastLog no\n",
    )
    command = [program("sshd"), "-f", conf, "-E", t.path("sshd.log")]
    directory = ["/bin/mkdir", "-p", "-m", "0755", "/run/sshd"]
    return service(
        "sshd", command, type="forking", pid_file=t.path("sshd.pid"), pre_start=directory, **keys
    )


def open_session(t, port, name):
    """The client, and the pid of what it runs over there."""
    options = ["BatchMode=yes", "StrictHostKeyChecking=no", f"UserKnownHostsFile={t.path('known')}"]
    command = [program("ssh"), "-F", "none", "-i", t.path("user_key"), "-p", str(port)]
    for option in options:
        command += ["-o", option]
    run = f"echo $$ > {t.path(name)}.part && mv {t.path(name)}.part {t.path(name)} && exec sleep 1000"
    with open(t.path("ssh.log"), "ab") as log:
        client = subprocess.Popen([*command, "root@127.0.0.1", run], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def begun():
        t.need(client.poll() is None, f"ssh: {t.read('ssh.log')}{t.read('sshd.log')}")
        return t.read(name).strip()

    return client, int(eventually(begun, "the session"))


@test(root=True)
def sessions_of_sshd(t):
    """Its main process is two forks away, and sessions wipe their environment: kill-mode says what becomes of them."""
    program("sshd")
    made = not os.path.exists("/run/sshd")
    port = free_port()
    sshd = sshd_service(t, port)
    modes = ["process", "group"] + (["cgroup"] if cgroup_of("self") else [])
    for mode in modes:
        t.configure(sshd[:-2] + f"    kill-mode = {mode}\n}}\n")
        t.start()
        s = t.wait_state("sshd", "running")
        t.eq(s["pid"], int(t.read("sshd.pid")), f"{mode}: the main process is the one of the pid-file")
        client, session = open_session(t, port, mode)
        t.crash_and_start()
        t.eq(t.status("sshd")["pid"], s["pid"], f"{mode}: it is taken back")
        t.eq((is_alive(session), client.poll()), (True, None), f"{mode}: the session goes on")
        t.eq(t.ctl("stop", "sshd").code, 0, f"{mode}: stop")
        t.check(not is_alive(s["pid"]), f"{mode}: sshd has ended")
        t.eq(is_alive(session), mode == "process", f"{mode}: does its session live?")
        if mode == "process":
            t.eq(t.ctl("start", "sshd").code, 0, "start beside the old session")
            other, fresh = open_session(t, port, "fresh")
            t.eq(t.ctl("restart", "sshd").code, 0, "restart")
            t.eq((is_alive(session), is_alive(fresh)), (True, True), "both sessions go on")
            for pid in (session, fresh):
                kill(pid, signal.SIGKILL)
            other.wait()
        client.wait()
        t.eq(t.terminate(), 0, f"{mode}: exit code")
    eventually(lambda: t.others() == [], "nobody is left")
    if made:
        os.rmdir("/run/sshd")


if __name__ == "__main__":
    main()
