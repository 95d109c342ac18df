# SPDX-License-Identifier: MIT
"""What the end-to-end tests share. They know supd only by its documents: programs, sockets, processes.

A test is a function with the decorator @test, called with one Supd object. It runs in a process of its own, in a
private directory. Its parent here is the subreaper of everything the test starts, so that nothing gets away: after
the test, passed or not, all that is left below is killed by pid. A guard does the same if this program is killed.

$SUPD, $SUPCTL and $WORKER name the programs; a missing $WORKER is compiled from worker.c.
`python3 test_x.py NAME…` runs only the tests named. The output is TAP.
"""
import ctypes
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
MARKER = "SUPD_E2E"
DEADLINE = 40.0  # how long a condition may take on a machine that is busy with other things
PAUSE = 0.01
LOG_LINES = 60
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

_tests = []


class Skip(Exception):
    pass


class Failed(Exception):
    pass


class RpcError(Exception):
    def __init__(self, error):
        super().__init__(f"{error.get('code')}: {error.get('message')}")
        self.code = error.get("code")
        self.message = error.get("message")
        self.data = error.get("data")


def test(function=None, *, limit=120, reaper=True, root=False):
    """limit: seconds until the whole test is killed. reaper=False: orphans stay zombies, as under a lazy PID 1."""

    def register(func):
        _tests.append((func, limit, reaper, root))
        return func

    return register(function) if function else register


def skip(reason):
    raise Skip(reason)


# ---------------------------------------------------------------------------------------------- processes

def read_stat(pid):
    """(state, ppid, pgid, sid, start time) or None when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as f:
            fields = f.read().rsplit(b")", 1)[1].split()
    except (OSError, IndexError):
        return None
    return fields[0].decode(), int(fields[1]), int(fields[2]), int(fields[3]), int(fields[19])


def is_alive(pid):
    stat = read_stat(pid)
    return stat is not None and stat[0] not in "ZX"


def pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def environment_of(pid):
    try:
        with open(f"/proc/{pid}/environ", "rb") as f:
            return f.read().split(b"\0")
    except OSError:
        return []


def descendants(root):
    children = {}
    for pid in pids():
        stat = read_stat(pid)
        if stat:
            children.setdefault(stat[1], []).append(pid)
    found, todo = [], [root]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def kill(pid, sig):
    """By pidfd: the number of a process that we do not hold as a child may have a new owner."""
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        signal.pidfd_send_signal(fd, sig)
        return True
    except OSError:
        return False
    finally:
        os.close(fd)


def eventually(condition, what, deadline=DEADLINE):
    """The first true value of condition(); Failed when the deadline passes."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failed(f"not within {deadline:g} s: {what}")
        time.sleep(PAUSE)


# ---------------------------------------------------------------------------------------------- the control socket

class Client:
    """A connection that speaks JSON-RPC, one message a line."""

    def __init__(self, path, timeout=DEADLINE):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(timeout)
        self.buffer = b""
        self.last_id = 0
        try:
            self.sock.connect(path)
        except OSError:
            self.sock.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def send_raw(self, data):
        self.sock.sendall(data)

    def send(self, message):
        self.send_raw(json.dumps(message).encode() + b"\n")

    def receive_line(self):
        """One line without its end; None when the other side has closed."""
        while b"\n" not in self.buffer:
            try:
                data = self.sock.recv(1 << 16)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line

    def receive(self):
        line = self.receive_line()
        return None if line is None else json.loads(line)

    def start_call(self, method, **params):
        self.last_id += 1
        message = {"jsonrpc": "2.0", "id": self.last_id, "method": method}
        if params:
            message["params"] = params
        self.send(message)
        return self.last_id

    def call(self, method, **params):
        want = self.start_call(method, **params)
        while True:
            answer = self.receive()
            if answer is None:
                raise Failed(f"{method}: the connection ended without an answer")
            if answer.get("id") != want:
                continue
            if "error" in answer:
                raise RpcError(answer["error"])
            return answer["result"]


# ---------------------------------------------------------------------------------------------- configuration

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


# ---------------------------------------------------------------------------------------------- one test's supd

class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def __repr__(self):
        return f"exit {self.code}\nstdout: {self.out}\nstderr: {self.err}"


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
        self.marker = f"{MARKER}={os.environ[MARKER]}".encode()

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
        """A service that leaves a mark when it starts, and waits for ever."""
        return service(name, self.worker("mark", self.path(name + ".mark"), "for-ever"), **keys)

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

    # ---- the daemon

    def command(self, *args):
        return [os.environ["SUPD"], "-c", self.conf, "-r", self.run_dir, *args]

    def spawn(self, *args, env=None):
        """Start supd and return at once."""
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command(*args), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            cwd=self.dir, env={**os.environ, **(env or {})}, start_new_session=True)
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
        return run_program([os.environ["SUPCTL"], "-s", self.socket, *[str(a) for a in args]], cwd=self.dir, env=env,
                           timeout=timeout)

    def all(self):
        return {s["name"]: s for s in self.call("service.list")}

    def status(self, name):
        return self.call("service.list", names=[name])[0]

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

    def wait_all(self, state, deadline=DEADLINE):
        def all_are():
            services = self.all()
            return services if all(s["state"] == state for s in services.values()) else None
        return eventually(all_are, f"all services are {state}", deadline)

    # ---- counting processes

    def mine(self):
        """pid -> environment of every live process that this test has started below supd."""
        found = {}
        for pid in pids():
            env = environment_of(pid)
            if self.marker in env and is_alive(pid):
                found[pid] = env
        return found

    def live(self, name=None):
        """pids of live processes that run as part of a service, or of any."""
        want = b"SUPD_SERVICE=" + (name or "").encode()
        return sorted(pid for pid, env in self.mine().items()
                      if any(v == want if name else v.startswith(want) for v in env))

    def census(self, names):
        """name -> pids, of all names in one look."""
        found = {name: [] for name in names}
        for pid, env in self.mine().items():
            for value in env:
                if value.startswith(b"SUPD_SERVICE="):
                    found.setdefault(value[len(b"SUPD_SERVICE="):].decode(), []).append(pid)
        return found

    def nothing_left(self, what="after the stop"):
        eventually(lambda: not self.live(), f"no process of a service is left {what}")


def run_program(argv, cwd=None, env=None, timeout=DEADLINE, stdin=b""):
    try:
        done = subprocess.run(argv, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=cwd,
                              env={**os.environ, **(env or {})}, timeout=timeout, check=False)
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{' '.join(argv)} does not end; stdout: {error.stdout!r}, stderr: {error.stderr!r}") from None
    return Result(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))


# ---------------------------------------------------------------------------------------------- running tests

def comment(text):
    for line in str(text).splitlines():
        print("# " + "".join(c if c.isprintable() else "?" for c in line))


def reap(child, others):
    """Reap what has ended; returns the status of child once that has."""
    status = None
    while True:
        try:
            pid, ended = os.waitpid(-1 if others else child, os.WNOHANG)
        except ChildProcessError:
            return status
        if pid == 0:
            return status
        if pid == child:
            status = ended
            if not others:
                return status


def kill_descendants():
    """Everything below this process; orphans come to us, so it ends when nothing is left."""
    for _ in range(2000):
        while True:
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    break
            except ChildProcessError:
                return
        for pid in descendants(os.getpid()):
            if pid != _guard_pid:
                kill(pid, signal.SIGKILL)
        if descendants(os.getpid()) == [_guard_pid]:
            return
        time.sleep(PAUSE)


_guard_pid = None
_guard_pipe = None


def start_guard():
    """A process that kills what carries our marker if we go without a word: a time limit's SIGKILL, for one."""
    global _guard_pid, _guard_pipe
    ours, _guard_pipe = os.pipe()
    _guard_pid = os.fork()
    if _guard_pid > 0:
        os.close(ours)
        return
    os.setsid()
    os.close(_guard_pipe)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    marker = f"{MARKER}={os.environ[MARKER]}".encode()
    os.read(ours, 1)
    for _ in range(200):
        left = [pid for pid in pids() if pid != os.getpid() and marker in environment_of(pid)]
        for pid in left:
            kill(pid, signal.SIGKILL)
        if not left:
            break
        time.sleep(PAUSE)
    os._exit(0)


def child_main(function, root, directory):
    os.setsid()
    os.close(_guard_pipe)
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    t = Supd(directory)
    verdict, code = "", 1
    try:
        if root and os.geteuid() != 0:
            skip("needs root")
        function(t)
        if t.failures:
            verdict = "\n".join(t.failures)
        else:
            code = 0
    except Skip as reason:
        verdict, code = str(reason), 77
    except Failed as failed:
        where = [f for f in traceback.extract_tb(failed.__traceback__) if os.path.basename(f.filename) != "harness.py"]
        verdict = "\n".join(t.failures + [f"line {f.lineno}: {f.line}" for f in where[1:] or where] + [str(failed)])
    except BaseException:
        verdict = "\n".join(t.failures + [traceback.format_exc()])
    with open(os.path.join(directory, "verdict"), "w", encoding="utf-8", errors="replace") as f:
        f.write(verdict)
    os._exit(code)


def run_test(number, function, limit, others, root, base):
    name = function.__name__
    directory = os.path.join(base, name[:24])
    os.mkdir(directory)
    os.chmod(directory, 0o755)
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(sig, signal.SIG_DFL)
        child_main(function, root, directory)
    end = time.monotonic() + limit
    status = None
    while status is None and time.monotonic() < end:
        signal.sigtimedwait([signal.SIGCHLD], 0.2)
        status = reap(child, others)
    kill_descendants()

    verdict = ""
    if os.path.exists(os.path.join(directory, "verdict")):
        with open(os.path.join(directory, "verdict"), encoding="utf-8") as f:
            verdict = f.read()
    if status is not None and os.WIFEXITED(status) and os.WEXITSTATUS(status) in (0, 77):
        shutil.rmtree(directory, ignore_errors=True)
        skipped = f" # SKIP {verdict}" if os.WEXITSTATUS(status) == 77 else ""
        print(f"ok {number} - {name}{skipped}")
        return True
    print(f"not ok {number} - {name}")
    comment(f"killed after its limit of {limit} s" if status is None else verdict or f"ended with status {status}")
    for log in sorted(os.listdir(directory)):
        path = os.path.join(directory, log)
        if log.endswith((".log", ".conf")) and os.path.isfile(path):
            with open(path, encoding="utf-8", errors="replace") as f:
                lines = f.read().splitlines()
            comment(f"--- {path}: {len(lines)} lines, the last ones:")
            comment("\n".join(line[:400] for line in lines[-LOG_LINES:]))
    return False


def compile_worker(base):
    if os.environ.get("WORKER"):
        return
    os.environ["WORKER"] = os.path.join(base, "worker")
    subprocess.run([os.environ.get("CC", "cc"), "-std=gnu17", "-D_GNU_SOURCE", "-o", os.environ["WORKER"],
                    os.path.join(HERE, "worker.c")], check=True)


def prctl(option, value):
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}")


def raise_descriptor_limit():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def interrupted(sig, _frame):
    kill_descendants()
    os._exit(128 + sig)


def main():
    wanted = sys.argv[1:]
    chosen = [t for t in _tests if not wanted or t[0].__name__ in wanted]
    unknown = set(wanted) - {t[0].__name__ for t in chosen}
    if unknown:
        sys.exit(f"no such test: {', '.join(sorted(unknown))}; there are {', '.join(t[0].__name__ for t in _tests)}")
    for variable in ("SUPD", "SUPCTL"):
        if not os.environ.get(variable):
            sys.exit(f"${variable} is not set: it names the program to test")
        os.environ[variable] = os.path.abspath(os.environ[variable])
    sys.stdout.reconfigure(line_buffering=True)
    os.environ.pop("SUPD_SOCKET", None)
    os.environ.pop("NOTIFY_SOCKET", None)
    base = tempfile.mkdtemp(prefix="supd-e2e-")
    os.chmod(base, 0o755)
    os.environ[MARKER] = os.path.basename(base)
    raise_descriptor_limit()
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    compile_worker(base)
    start_guard()
    for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(sig, interrupted)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])

    print(f"1..{len(chosen)}")
    passed = True
    for number, (function, limit, others, root) in enumerate(chosen, 1):
        passed &= run_test(number, function, limit, others, root, base)
    kill(_guard_pid, signal.SIGKILL)
    os.waitpid(_guard_pid, 0)
    if passed:
        shutil.rmtree(base, ignore_errors=True)
    else:
        comment(f"the files of the failed tests are kept in {base}")
    sys.exit(0 if passed else 1)
