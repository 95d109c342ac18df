# SPDX-License-Identifier: MIT
"""Checks and watchdogs of services, and what follows where they fail, while supd is killed."""
import os

from instance import quote
from processes import eventually
from scenarios import Scenario, pids
from scenarios_types import notes

# Longer than the stepper waits for a call that does not come: between two checks there is rest.
CHECK = "interval = 400ms timeout = 10s failures = 2"


class Health(Scenario):
    """Three services fall ill: one is started again, for one a command is run, one gives no sign of life any more."""

    def world(self, t):
        restart = {"restart_delay": "20ms"}
        t.configure(
            t.lines("calm"),
            self.checked(t, "ill", "restart", **restart),
            self.checked(t, "alarmed", self.command(f'echo "$MAINPID" >> {t.path("alarms")}')),
            t.service("mute", "gate", t.gate("mute.gate"), "for-ever", notify_access="main", **restart),
        )

    @staticmethod
    def command(script):
        return "{" + ", ".join(quote(word) for word in ("/bin/sh", "-c", script)) + "}"

    def checked(self, t, name, on_failure, **keys):
        """It is ill as long as its main process is the one that a file names."""
        # Without a child, which could be told from a second copy of the service by nothing.
        check = self.command(f'test ! -e {t.path(name)}.ill || read -r ill <{t.path(name)}.ill; test "$MAINPID" != "$ill"')
        section = t.service(name, **keys).rstrip().removesuffix("}")
        return f"{section}    check {{ command = {check} {CHECK} on-failure = {on_failure} }}\n}}\n"

    def before(self, t):
        def healthy():
            services = t.all()
            return all(services[name]["health"] == "healthy" for name in ("ill", "alarmed"))

        eventually(healthy, "both are healthy")
        self.pids = pids(t)
        for name in ("ill", "alarmed"):
            os.rename(t.write(name + ".new", f"{self.pids[name]}\n"), t.path(name + ".ill"))

    def act(self, t):
        t.open_gate(t.path("mute.gate"), "notify", "WATCHDOG_USEC=300000", "for-ever")
        t.until_marks(ill=2, mute=2)
        t.until(lambda: notes(t, "alarms"), "the alarm")

    def verify(self, t):
        # The next supd goes on with the checks.
        eventually(lambda: len(t.marks("ill")) == 2, "ill: it is started again")
        eventually(lambda: t.status("alarmed")["health"] == "unhealthy", "alarmed: it is found unhealthy")
        if not t.child_was_killed():
            eventually(lambda: notes(t, "alarms"), "alarmed: its command has run")
        s = t.settled()
        t.expect_same("calm", s["calm"], self.pids["calm"])
        t.expect_up("ill", s["ill"], 2, self.pids["ill"])
        t.expect_same("alarmed", s["alarmed"], self.pids["alarmed"])
        alarms = notes(t, "alarms")
        t.check(alarms == [str(self.pids["alarmed"])] or (not alarms and t.child_was_killed()), f"alarms: {alarms}")
        self.verify_mute(t, s["mute"])

    def verify_mute(self, t, status):
        """What it says of its watchdog may be lost with supd, and after that it is not ended before it has spoken again."""
        if t.killed and status["pid"] == self.pids["mute"]:
            t.expect_same("mute", status, self.pids["mute"])
        else:
            t.expect_up("mute", status, 2, self.pids["mute"])


SCENARIOS = {"health": Health}
