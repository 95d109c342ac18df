# SPDX-License-Identifier: MIT
"""dinit, where it is installed (Debian 12 has none)."""
from peers.base import Peer


class Dinit(Peer):
    key = "dinit"
    title = "dinit"
    setting = "`restart = true`, `restart-delay = 0`, `restart-limit-interval = 0`"
    programs = ("dinit", "dinitctl")

    def configure(self):
        for i in range(self.n):
            self.write(f"services/w{i}", f"type = process\ncommand = {self.tools.worker} {self.argument(i)}\n"
                       "restart = true\nrestart-delay = 0\nrestart-limit-interval = 0\n")
        depends = "".join(f"waits-for = w{i}\n" for i in range(self.n))
        self.write("services/boot", f"type = internal\n{depends}")

    def command(self):
        return ["dinit", "-q", "-d", self.path("services"), "-p", self.path("control"), "boot"]

    def status_command(self, which):
        arguments = {"one": ["status", "w0"], "all": ["list"]}
        return ["dinitctl", "-p", self.path("control"), *arguments[which]] if which in arguments else None
