# SPDX-License-Identifier: MIT
"""supd itself."""
import os
import subprocess

from peers.base import Peer


class Supd(Peer):
    key = "supd"
    title = "supd"
    setting = ("a section for each service; `restart-delay = 0`, `stdin = inherit`, `log = inherit`, "
               "`log-level = error`, `cgroup = no`")
    json = True
    globals = "log-level = error\ncgroup = no"
    defaults = "restart-delay = 0\n    stdin = inherit\n    log = inherit"

    def socket(self):
        return self.path("run", "control.sock")

    def section(self, name, argument, *lines):
        body = "\n".join((f'command = {{"{self.tools.worker}", "{argument}"}}', *lines))
        return f'service "{name}" {{\n    {body}\n}}\n'

    def configure(self):
        services = "".join(self.section(f"w{i}", self.argument(i)) for i in range(self.n))
        self.write("supd.conf", f"{self.globals}\ndefaults {{\n    {self.defaults}\n}}\n{services}{self.more()}")

    def more(self):
        """Further services."""
        return ""

    def command(self):
        return [self.tools.supd, "-c", self.path("supd.conf"), "-r", self.path("run")]

    def environment(self):
        return {**super().environment(), "SUPD_SOCKET": self.socket()}

    def ctl(self, *arguments):
        done = subprocess.run([self.tools.supctl, *arguments], env=self.environment(), capture_output=True, text=True,
                              timeout=300, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"supctl {arguments[0]}: {done.stderr.strip()[-500:]}")
        return done.stdout

    def status_command(self, which):
        arguments = {"one": ["status", "w0"], "all": ["status"], "json": ["status", "--json"]}
        return [self.tools.supctl, *arguments[which]]

    def reattach(self):
        """Kills supd and starts it again; ms (from the lock to the first answer, from the exec to the lock)."""
        self.kill_own()
        locked, answered, pid = self.drive("reattach", self.path("run"), self.socket(), *self.command())
        self.process = Adopted(round(pid * 1e6))
        return answered, locked


class SupdWithCgroups(Supd):
    """As it runs with its own defaults as root, where systemd is its peer."""

    key = "supd-cgroups"
    title = "supd, with cgroups"
    setting = "the same, and a control group (v2) for each service, as by default where supd may make them"
    globals = "log-level = error"


class Adopted:
    """A process that is our child because its parent has ended, with what of Popen is needed."""

    def __init__(self, pid):
        self.pid = pid
        self.returncode = None

    def poll(self):
        return self.wait(os.WNOHANG)

    def wait(self, options=0):
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, options)
            if pid == self.pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def kill(self):
        if self.poll() is None:
            os.kill(self.pid, 9)
