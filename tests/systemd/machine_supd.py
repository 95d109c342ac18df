# SPDX-License-Identifier: MIT
"""supd in a Machine: the units of the tree, a configuration, and questions to it."""

import json
import os
import pathlib
import shutil
import sys

from machine import TOP, Failed, Machine, check, wait_for


def fill_in(template, values):
    text = (TOP / "systemd" / template).read_text()
    for key, value in values.items():
        text = text.replace(f"@{key}@", str(value))
    check("@" not in text, f"{template}: a placeholder is left that nobody fills in")
    return text


class Supd:
    """supd as a system service, or with USER (a uid) as a service of that user's systemd."""

    def __init__(self, user=None):
        if not {"SUPD", "SUPCTL", "SUPLOG"} <= os.environ.keys():
            sys.exit("Bail out! SUPD, SUPCTL and SUPLOG must name the programs to test")
        self.user = user
        self.machine = Machine({})
        self.dir = self.machine.dir
        self.config = self.dir / "etc" / "supd" / "supd.conf"
        self.config.parent.mkdir(parents=True)
        # Copies, for a build tree may be closed to other users.
        for program in ("SUPD", "SUPCTL", "SUPLOG"):
            shutil.copy(os.environ[program], self.dir / program.lower())
        self.socket = "/run/supd/control.sock" if user is None else f"/run/user/{user}/supd/control.sock"
        self.install()

    def install(self):
        prefix = "supd" if self.user is None else "supd-user"
        directory = "" if self.user is None else "user/"
        values = {"sbindir": self.dir, "bindir": self.dir, "sysconfdir": self.dir / "etc"}
        self.machine.unit(f"{directory}supd.service", fill_in(f"{prefix}.service.in", values))
        self.machine.unit(f"{directory}supd-leftovers.service", fill_in(f"{prefix}-leftovers.service.in", values))

    def drop_in(self, text, unit="supd.service"):
        """Settings over those of the unit, for all that follows."""
        directory = "" if self.user is None else "user/"
        (self.machine.units / f"{directory}{unit}.d").mkdir(exist_ok=True)
        self.machine.unit(f"{directory}{unit}.d/test.conf", f"[Service]\n{text}\n")
        self.systemctl("daemon-reload")

    def run(self, *argv, ok=True):
        env = None
        if self.user is not None:
            env = {"XDG_RUNTIME_DIR": f"/run/user/{self.user}", "DBUS_SESSION_BUS_ADDRESS": ""}
        return self.machine.run(*argv, check=ok, env=env, user=self.user)

    def systemctl(self, *argv, ok=True):
        scope = [] if self.user is None else ["--user"]
        return self.run("systemctl", "--no-pager", *scope, *argv, ok=ok)

    def show(self, name, unit="supd.service"):
        return self.systemctl("show", "--value", "-p", name, unit).stdout.strip()

    def configure(self, **services):
        """The whole configuration, NAME=TEXT for each section."""
        self.config.write_text("".join(f'service "{n}" {{\n{t}\n}}\n' for n, t in services.items()))

    def started(self, unit="", **services):
        """supd running with exactly these services, whatever the test before left.  UNIT: see drop_in()."""
        self.drop_in(unit)
        self.configure(**services)
        self.systemctl("start", "supd.service")
        self.systemctl("reload", "supd.service")
        return self.wait_running(*services)

    def supctl(self, *argv, ok=True):
        return self.run(self.dir / "supctl", "-s", self.socket, *argv, ok=ok)

    def status(self):
        """{name: object}; empty while supd does not answer."""
        result = self.supctl("--json", "status", ok=False)
        return {s["name"]: s for s in json.loads(result.stdout)} if result.returncode == 0 else {}

    def pids(self):
        """{name: pid} of what runs, as supd says, once every enabled service runs."""
        return {name: s["pid"] for name, s in self.status().items() if s["state"] == "running"}

    def wait_running(self, *names):
        def all_run():
            pids = self.pids()
            return pids if set(names) <= set(pids) else None
        return wait_for(f"{', '.join(names)} running; status is {self.status()}", all_run)

    def stop(self):
        """Stops the unit; systemctl itself does not wait for the companion."""
        self.systemctl("stop", "supd.service")
        self.wait_companion_stopped()

    def wait_companion_stopped(self):
        wait_for("the companion stopped", lambda: self.show("ActiveState", "supd-leftovers.service") == "inactive")

    def main_pid(self):
        return int(self.show("MainPID"))

    def kill(self, signal):
        self.systemctl("kill", "--kill-who=main", "-s", signal, "supd.service")

    def wait_new_main(self, old):
        """The pid of the supd that followed OLD and answers."""
        def answers():
            pid = self.main_pid()
            return pid if pid not in (0, old) and self.show("ActiveState") == "active" else None
        return wait_for(f"a supd after pid {old}", answers)

    def wait_state(self, state, sub=None):
        wait_for(f"supd.service {state} {sub or ''}; it is {self.show('ActiveState')} {self.show('SubState')}",
                 lambda: self.show("ActiveState") == state and sub in (None, self.show("SubState")))

    def processes(self):
        """Pids in the control group of the unit, supd included, numbered as outside."""
        group = self.show("ControlGroup")
        if not group:
            return []
        path = pathlib.Path(f"/proc/{self.machine.pid1}/root/sys/fs/cgroup{group}")
        return [int(pid) for file in path.rglob("cgroup.procs") for pid in file.read_text().split()]

    def alive(self, pid):
        """A zombie is not: only its parent has not looked yet."""
        return self.run("grep", "-q", "^State:.[^ZX]", f"/proc/{pid}/status", ok=False).returncode == 0

    def check_same(self, before):
        """Every process of BEFORE is the process of its service still."""
        after = self.wait_running(*before)
        check({n: after[n] for n in before} == before, f"the processes were {before} and are {after}")
        check(all(self.alive(pid) for pid in before.values()), f"not all of {before} are alive")

    def check_gone(self, before):
        """None of BEFORE lives, nor does anything else in the control group."""
        living = [f"{name} ({pid})" for name, pid in before.items() if self.alive(pid)]
        check(not living, f"still alive: {', '.join(living)}")
        check(not self.processes(), f"processes in the control group: {self.processes()}")

    def kernel_keeps_exits(self):
        """Does a pidfd still tell how its process ended (Linux 6.15)?  As supd has found."""
        reason = json.loads(self.supctl("--json", "info").stdout)["watch-reason"]
        return "tells the exit status" in reason

    def journal(self):
        if self.user is None:
            return self.machine.journal("supd.service", "supd-leftovers.service")
        return self.machine.journal("user-manager.service")

    def details(self):
        """What helps to understand a failure."""
        noise = ("remains running after", "Found left-over process", "This usually indicates unclean termination")
        try:
            lines = [f"{e.get('SYSLOG_IDENTIFIER')}[{e.get('_PID')}] {e.get('MESSAGE')}" for e in self.journal()]
            return "\n".join([line for line in lines if not any(n in line for n in noise)][-25:])
        except (Failed, OSError, ValueError) as error:
            return f"(no journal: {error})"
