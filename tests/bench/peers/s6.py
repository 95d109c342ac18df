# SPDX-License-Identifier: MIT
"""s6: s6-svscan, and an s6-supervise for each service."""
from peers.base import Peer


class S6(Peer):
    key = "s6"
    title = "s6"
    setting = "`run` is the worker itself, by its line `#!`; `s6-svscan -t 0`; a second between two starts is fixed"
    programs = ("s6-svscan", "s6-svstat")
    most = 5000

    def configure(self):
        for i in range(self.n):
            self.write(f"scan/w{i}/run", self.run_script(i), 0o755)

    def command(self):
        return ["s6-svscan", "-t", "0", "-c", str(self.n + 10), self.path("scan")]

    def status_command(self, which):
        if which == "one":
            return ["s6-svstat", self.path("scan", "w0")]
        if which == "all":  # it takes one at a time
            return ["sh", "-c", f'for s in {self.path("scan")}/w*; do s6-svstat "$s"; done']
        return None
