# SPDX-License-Identifier: MIT
"""runit: runsvdir, and a runsv for each service."""
import os
import signal
import subprocess

from peers.base import Peer
from processes import eventually, is_alive


class Runit(Peer):
    key = "runit"
    title = "runit"
    setting = "`run` is the worker itself, by its line `#!`, without a shell; a second between two starts is fixed"
    programs = ("runsvdir", "sv")
    most = 1000  # runsvdir's own limit

    def configure(self):
        for i in range(self.n):
            self.write(f"sv/w{i}/run", self.run_script(i), 0o755)

    def command(self):
        return ["runsvdir", self.path("sv")]

    def status_command(self, which):
        names = {"one": [self.path("sv", "w0")], "all": [self.path("sv", f"w{i}") for i in range(self.n)]}
        return ["sv", "status", *names[which]] if which in names else None

    def end(self):
        """runsvdir does not wait for those below it, so this is not timed."""
        below = self.own_processes()
        os.kill(self.process.pid, signal.SIGHUP)
        self.process.wait()
        eventually(lambda: not any(map(is_alive, below)), "the end of every runsv", 60)

    def kill_own(self):
        super().kill_own()
        subprocess.run(["find", self.path("sv"), "-name", "lock", "-delete"], check=True)
