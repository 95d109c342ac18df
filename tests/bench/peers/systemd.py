# SPDX-License-Identifier: MIT
"""systemd, booted in namespaces of its own as for tests/systemd."""
import machine
from peers.base import Peer


class Systemd(Peer):
    key = "systemd"
    title = "systemd"
    setting = ("a unit for each service, without default dependencies; `RestartSec=0`, no start limit, output to "
               "/dev/null; booted before it is timed; its memory is that of PID 1")
    most = 1000  # with 5,000 it took 68 s to start

    missing = staticmethod(machine.missing)

    def configure(self):
        self.machine = machine.Machine({})
        for i in range(self.n):
            self.machine.unit(f"w{i}.service", f"""[Unit]
DefaultDependencies=no
StartLimitIntervalSec=0
[Service]
ExecStart={self.tools.worker} {self.argument(i)}
Restart=always
RestartSec=0
StandardOutput=null
StandardError=null
""")
        wants = " ".join(f"w{i}.service" for i in range(self.n))
        self.machine.unit("bench.target", f"[Unit]\nDefaultDependencies=no\nWants={wants}\n")
        self.machine.systemctl("daemon-reload")

    def inside(self, argv):
        return ["nsenter", "-t", str(self.machine.pid1), "-m", "-u", "-i", "-n", "-p", "-C", *argv]

    def command(self):
        return self.inside(["systemctl", "start", "bench.target"])

    def launched(self):
        """What was launched is only its client, which ends."""
        self.process.wait()
        self.process = self.machine.boot

    def root(self):
        return self.machine.pid1

    def own_processes(self):
        return [self.machine.pid1]

    def status_command(self, which):
        if which == "one":
            return self.inside(["systemctl", "--no-pager", "status", "w0.service"])
        return self.inside(["systemctl", "--no-pager", "--full", "list-units"]) if which == "all" else None

    def end(self):
        """Its whole machine ends."""
        self.machine.end()

    def clear(self):
        if hasattr(self, "machine"):
            self.machine.end()
