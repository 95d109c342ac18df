# SPDX-License-Identifier: MIT
"""One supd under test: its directory and configuration, its daemon, its services, and the verdicts on them."""
import json
import os
import re
import signal
import subprocess
import sys

from processes import DEADLINE, Failed, Pid, descendants, environment_after_exec, environment_of
from processes import eventually, is_alive, run_program
from rpc import Client, RpcError


def quote(value):
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def setting(key, value):
    key = key.replace("_", "-")
    if isinstance(value, bool):
        return f"{key} = {'yes' if value else 'no'}"
    if isinstance(value, (list, tuple)):
        return f"{key} = {{{', '.join(quote(v) for v in value)}}}"
    return f"{key} = {quote(value)}"


def service(name, command, **keys):
    lines = [setting("command", command)] + [setting(k, v) for k, v in keys.items()]
    return f"service {quote(name)} {{\n" + "".join(f"    {line}\n" for line in lines) + "}\n"


SUPLOG = "supd:log"  # the service that suplog is, which no test has configured


class Supd:
    def __init__(self, directory):
        self.dir = directory
        self.run_dir = self.path("run")
        self.conf = self.path("supd.conf")
        self.log = self.path("supd.log")
        self.socket = os.path.join(self.run_dir, "control.sock")
        self.process = None
        self.failures = []
        self.worker_path = os.environ["WORKER"]

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    # ---- verdicts: check() collects, need() ends the test

    def check(self, condition, what):
        if not condition:
            caller = sys._getframe(1)
            while caller.f_code.co_filename == __file__:
                caller = caller.f_back
            self.failures.append(f"line {caller.f_lineno}: {what}")
        return bool(condition)

    def need(self, condition, what):
        if not condition:
            raise Failed(what)
        return condition

    def eq(self, got, want, what):
        return self.check(got == want, f"{what}: got {got!r}, expected {want!r}")

    def match(self, text, pattern, what):
        return self.check(re.search(pattern, text or "", re.S), f"{what}: {text!r} does not match {pattern!r}")

    # ---- files

    def write(self, name, text):
        path = self.path(name)
        with open(path + ".part", "wb") as f:
            f.write(text.encode() if isinstance(text, str) else text)
        os.rename(path + ".part", path)
        return path

    def read(self, name):
        try:
            with open(self.path(name), encoding="utf-8", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def log_text(self):
        return self.read("supd.log")

    def configure(self, *parts):
        return self.write("supd.conf", "".join(p if p.endswith("\n") else p + "\n" for p in parts))

    def worker(self, *steps):
        return [self.worker_path, *[str(s) for s in steps]]

    def sleeper(self, name, **keys):
        return self.marked(name, "for-ever", **keys)

    def marked(self, name, *steps, **keys):
        """A service that leaves a mark when it starts, and goes on with steps."""
        return service(name, self.worker("mark", self.path(name + ".mark"), *steps), **keys)

    def deaf(self, name, sig="TERM", **keys):
        """A service that notes sig and goes on; got() tells what it noted. It waits an hour for its end."""
        steps = ("trap", self.path(name + ".got"), sig, "mark", self.path(name + ".mark"), "for-ever")
        return service(name, self.worker(*steps), **{"stop_timeout": "1h", **keys})

    def got(self, name):
        return self.read(name + ".got").split()[1::2]

    def wait_marked(self, name):
        return self.wait_for(
            name, lambda s: self.marks(name) and s["state"] == "running", "it runs and has left its mark"
        )

    def marks(self, name):
        """[(pid, monotonic time)] of the starts of a service that leaves marks."""
        words = [line.split() for line in self.read(name + ".mark").splitlines()]
        return [(int(w[0]), float(w[1])) for w in words if len(w) == 2]

    def gate(self, name):
        path = self.path(name)
        os.mkfifo(path)
        return path

    def open_gate(self, path, *steps):
        """Tell a worker that waits at a gate what to do next."""

        def writer():
            try:
                return os.open(path, os.O_WRONLY | os.O_NONBLOCK) + 1
            except OSError:
                return 0

        fd = eventually(writer, f"somebody reads {path}") - 1
        os.write(fd, " ".join(str(s) for s in steps).encode())
        os.close(fd)

    def trio(self, name, *steps, **keys):
        """A service of three processes; each leaves its mark."""
        child = ("child-mark", self.path(name + ".mark"))
        return service(name, self.worker(*steps, *child, *child, "mark", self.path(name + ".mark"), "for-ever"), **keys)

    def wait_trio(self, name, count=3):
        def complete(status):
            return len(self.marks(name)) >= count and status["state"] == "running"

        return self.wait_for(name, complete, "all three run")

    # ---- the daemon

    def command(self, *args):
        return [os.environ["SUPD"], "-c", self.conf, "-r", self.run_dir, *args]

    def spawn(self, *args, env=None, under=(), pass_fds=()):
        """Start supd, by the program and arguments in under if there are any, and return at once."""
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*under, *self.command(*args)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.dir,
                env={**os.environ, **(env or {})},
                start_new_session=True,
                pass_fds=pass_fds,
            )
        return self.process

    def start(self, *args, env=None, deadline=DEADLINE):
        """Start supd and wait until it answers."""
        self.spawn(*args, env=env)

        def answers():
            if self.process.poll() is not None:
                raise Failed(f"supd ended at its start with {self.process.returncode}")
            return self.answers()

        eventually(answers, "supd answers", deadline)
        return self.process

    def answers(self):
        try:
            return self.call("supd.info")["pid"] == self.process.pid
        except (OSError, Failed):
            return False

    def run(self, *args, env=None, timeout=DEADLINE):
        """supd to its end, for options and refusals."""
        return run_program(self.command(*args), cwd=self.dir, env=env, timeout=timeout)

    def crash(self):
        """SIGKILL."""
        self.process.kill()
        self.process.wait()

    def crash_and_start(self):
        self.crash()
        self.start()

    def terminate(self, sig=signal.SIGTERM, deadline=DEADLINE):
        self.process.send_signal(sig)
        return self.wait_end(deadline)

    def wait_end(self, deadline=DEADLINE):
        try:
            return self.process.wait(deadline)
        except subprocess.TimeoutExpired:
            raise Failed(f"supd does not end within {deadline:g} s") from None

    # ---- talking to it

    def client(self, timeout=DEADLINE):
        return Client(self.socket, timeout)

    def call(self, method, **params):
        with self.client() as client:
            return client.call(method, **params)

    def error_of(self, method, **params):
        """The RpcError that a call must end in."""
        try:
            result = self.call(method, **params)
        except RpcError as error:
            return error
        raise Failed(f"{method} {params} is not refused but answered: {json.dumps(result)[:300]}")

    def ctl(self, *args, env=None, timeout=DEADLINE):
        return run_program(
            [os.environ["SUPCTL"], "-s", self.socket, *[str(a) for a in args]], cwd=self.dir, env=env, timeout=timeout
        )

    def list(self, **params):
        services = self.call("service.list", **params)
        for status in services:
            status["pid"] = status["pid"] and Pid(status["pid"])
        return services

    def all(self):
        return {s["name"]: s for s in self.list()}

    def status(self, name):
        return self.list(names=[name])[0]

    def wait_for(self, name, condition, what, deadline=DEADLINE):
        last = [None]

        def holds():
            last[0] = self.status(name)
            return condition(last[0])

        try:
            eventually(holds, what, deadline)
        except Failed as failed:
            raise Failed(f"{name}: {failed}; it is {json.dumps(last[0])}") from None
        return last[0]

    def wait_state(self, name, *states, deadline=DEADLINE):
        return self.wait_for(name, lambda s: s["state"] in states, f"state {' or '.join(states)}", deadline)

    def wait_each(self, condition, what, deadline=DEADLINE):
        """All services, once condition holds for each."""

        def holds():
            services = self.all()
            return services if all(condition(s) for s in services.values()) else None

        return eventually(holds, what, deadline)

    def wait_all(self, *states, deadline=DEADLINE):
        return self.wait_each(lambda s: s["state"] in states, f"all services are {' or '.join(states)}", deadline)

    # ---- counting processes

    def mine(self):
        """pid -> environment of every live process below this test that runs as part of a service."""
        found = {}
        for pid in descendants(os.getppid()):  # orphans come to our parent
            env = environment_of(pid) or environment_after_exec(pid)
            if is_alive(pid) and any(v.startswith(b"SUPD_SERVICE=") for v in env):
                found[Pid(pid)] = env
        return found

    def others(self):
        """pids of all live processes below this test but supd: also of those that have overwritten their environment."""
        ours = (os.getpid(), self.process and self.process.pid)
        return sorted(Pid(pid) for pid in descendants(os.getppid()) if pid not in ours and is_alive(pid))

    def live(self, name=None):
        """pids of live processes that run as part of a service, or of any."""
        want = b"SUPD_SERVICE=" + (name or "").encode()
        return sorted(
            pid for pid, env in self.mine().items() if any(v == want if name else v.startswith(want) for v in env)
        )

    def census(self, names):
        """name -> pids, of all names in one look."""
        found = {name: [] for name in names}
        for pid, env in self.mine().items():
            for value in env:
                if value.startswith(b"SUPD_SERVICE="):
                    found.setdefault(value[len(b"SUPD_SERVICE=") :].decode(), []).append(pid)
        return found

    def settle(self, names, what):
        """Wait until every service runs in one process; a second one ends the test at once."""
        census = {}

        def settled():
            census.clear()
            census.update({n: found for n, found in self.census(names).items() if n in names})
            for name, found in census.items():
                if len(found) > 1:
                    raise Failed(f"{name} runs {len(found)} times: {found}")
            services = self.all()
            return all(services[n]["state"] == "running" and [services[n]["pid"]] == census[n] for n in names)

        try:
            eventually(settled, "one process each")
        except Failed as failed:
            raise Failed(f"{what}: {failed}; processes {census}, services {self.all()}") from None
        return census

    def nothing_left(self, what="after the stop"):
        eventually(lambda: not self.live(), f"no process of a service is left {what}")
