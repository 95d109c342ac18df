# SPDX-License-Identifier: MIT
"""A real systemd to test against, booted by boot.sh in namespaces of its own, and TAP."""

import atexit
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
TOP = pathlib.Path(os.environ.get("top_srcdir", HERE.parent.parent)).resolve()
DEADLINE = 90 * max(1, int(os.environ.get("TEST_SLOWER", "1")))  # for conditions that must come true; reached only on failure

JOURNALD_SOCKET = """[Unit]
DefaultDependencies=no
[Socket]
ListenDatagram=/run/systemd/journal/socket
ListenStream=/run/systemd/journal/stdout
PassCredentials=yes
PassSecurity=yes
ReceiveBuffer=8M
Service=systemd-journald.service
"""

JOURNALD_SERVICE = """[Unit]
DefaultDependencies=no
Requires=systemd-journald.socket
After=systemd-journald.socket
[Service]
Type=notify
ExecStart=/lib/systemd/systemd-journald
Restart=always
RestartSec=0
FileDescriptorStoreMax=100
RuntimeDirectory=systemd/journal
RuntimeDirectoryPreserve=yes
Sockets=systemd-journald.socket
StandardOutput=null
"""

# Every unit depends on these by default.
EMPTY_TARGET = """[Unit]
DefaultDependencies=no
"""

TARGET = EMPTY_TARGET + """Requires=systemd-journald.service
After=systemd-journald.service
"""


class Failed(Exception):
    """A check that did not hold."""


class Skipped(Exception):
    """The machine lacks what the test needs."""


def wait_for(what, condition):
    """Asks until CONDITION gives something true, and returns that; less often the longer it takes."""
    began = time.monotonic()
    while True:
        result = condition()
        if result:
            return result
        waited = time.monotonic() - began
        if waited > DEADLINE:
            raise Failed(f"waited {DEADLINE} s in vain: {what}")
        time.sleep(min(max(0.02, waited / 10), 0.2))


def check(condition, message):
    if not condition:
        raise Failed(message)


def missing():
    """Why no systemd can be booted here, or None."""
    if os.geteuid() != 0:
        return "needs root (namespaces, mounts)"
    if not os.access("/lib/systemd/systemd", os.X_OK):
        return "no /lib/systemd/systemd"
    for program in ("unshare", "nsenter", "setpriv", "systemctl", "journalctl"):
        if shutil.which(program) is None:
            return f"no {program}"
    probe = ["unshare", "--fork", "--kill-child", "--pid", "--mount", "--mount-proc", "--uts", "--ipc", "--net",
             "sh", "-c", "d=$(mktemp -d) && mount -t cgroup2 none $d && touch $d/cgroup.procs && umount $d; "
             "r=$?; rmdir $d; exit $r"]
    result = subprocess.run(probe, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    if result.returncode != 0:
        return "no namespaces or cgroup2 for us: " + " ".join(result.stderr.split())
    return None


class Machine:
    """One booted systemd.  `run` executes inside of it, files are shared with the outside."""

    def __init__(self, units):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="supd-systemd-", dir="/tmp"))
        self.dir.chmod(0o755)
        self.pid1 = None
        self.boot = None
        atexit.register(self.end)
        self.units = self.dir / "units"
        self.units.mkdir()
        self.unit("systemd-journald.socket", JOURNALD_SOCKET)
        self.unit("systemd-journald.service", JOURNALD_SERVICE)
        self.unit("test.target", TARGET)
        for name in ("sysinit", "basic", "shutdown"):
            self.unit(f"{name}.target", EMPTY_TARGET)
        for name, text in units.items():
            self.unit(name, text)
        self.start()

    def unit(self, name, text):
        path = self.units / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    def start(self):
        with open(self.dir / "boot.log", "w", encoding="utf-8") as log:
            # A process group of its own: a Ctrl-C at the terminal reaches us alone, and we end it.
            self.boot = subprocess.Popen([HERE / "boot.sh", self.dir], stdin=subprocess.DEVNULL, stdout=log,
                                         stderr=log, process_group=0)
        self.pid1 = wait_for("a systemd as PID 1", self.find_pid1)
        wait_for("test.target", lambda: self.systemctl("is-active", "test.target", check=False).returncode == 0)

    def find_pid1(self):
        if self.boot.poll() is not None:
            raise Failed("boot.sh: " + (self.dir / "boot.log").read_text())
        pid = self.boot.pid
        try:
            while True:
                pid = int(pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
                if os.path.basename(os.readlink(f"/proc/{pid}/exe")) == "systemd":
                    return pid
        except (OSError, IndexError):
            return None  # one of the commands of boot.sh that has ended meanwhile, or nothing below it yet

    def end(self):
        """Ends everything inside: the death of its PID 1 ends a PID namespace."""
        if self.boot is not None and self.boot.poll() is None:
            if self.pid1 is not None:
                os.kill(self.pid1, signal.SIGKILL)
            else:
                self.boot.kill()
            self.boot.wait()
        self.boot = None
        shutil.rmtree(self.dir, ignore_errors=True)

    def run(self, *argv, check=True, env=None, user=None):
        """ARGV inside, as root or the uid USER."""
        command = ["nsenter", "-t", str(self.pid1), "-m", "-u", "-i", "-n", "-p", "-C"]
        if user is not None:
            command += ["setpriv", "--reuid", str(user), "--regid", str(user), "--clear-groups"]
        command += [str(a) for a in argv]
        result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                timeout=DEADLINE, env={**os.environ, **(env or {})}, check=False)
        if check and result.returncode != 0:
            raise Failed(f"{' '.join(map(str, argv))}: exit {result.returncode}: {result.stdout}{result.stderr}")
        return result

    def systemctl(self, *argv, check=True):
        return self.run("systemctl", "--no-pager", *argv, check=check)

    def show(self, unit, *names):
        """Properties of a unit, as a dictionary."""
        lines = self.systemctl("show", unit, *(f"-p{n}" for n in names)).stdout.splitlines()
        return dict(line.split("=", 1) for line in lines)

    def journal(self, *units):
        """The journal's entries of some units, oldest first."""
        self.run("journalctl", "--sync")
        wanted = [option for unit in units for option in ("-u", unit)]
        lines = self.run("journalctl", *wanted, "-o", "json", "--no-pager", "-q").stdout.splitlines()
        return [json.loads(line) for line in lines]


class Tap:
    """Runs test functions, in order, and tells in TAP what became of them."""

    def __init__(self):
        self.count = 0
        self.failed = False

    def run(self, tests, details):
        wanted = sys.argv[1:]
        for test in tests:
            if wanted and test.__name__ not in wanted:
                continue
            self.count += 1
            name = test.__name__.removeprefix("test_").replace("_", " ")
            try:
                test()
                print(f"ok {self.count} - {name}", flush=True)
            except Skipped as why:
                print(f"ok {self.count} - {name} # SKIP {why}", flush=True)
            except Exception as error:  # whatever it is, it is this test's result
                self.failed = True
                print(f"not ok {self.count} - {name}")
                text = str(error) if isinstance(error, Failed) else traceback.format_exc()
                for line in (text + "\n" + details()).splitlines():
                    print("# " + line)
                sys.stdout.flush()

    def end(self):
        print(f"1..{self.count}")
        sys.exit(1 if self.failed else 0)


def skip_all(reason):
    print(f"1..0 # SKIP {reason}")
    sys.exit(0)
