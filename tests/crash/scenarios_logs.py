# SPDX-License-Identifier: MIT
"""Logs that suplog writes, while supd is killed: suplog runs once, and what services write is in their logs once."""
import re

from instance import SUPLOG
from processes import SLOWER, eventually
from scenarios import Scenario

WHEN = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z "


class Logs(Scenario):
    """The first start of services with such logs: one that stays, with both streams apart, and one that ends at once."""

    from_start = True
    anew = True

    def world(self, t):
        t.configure(
            t.lines("calm"),
            t.service("told", first=("print", "said", "complain", "sighed"), log=t.path("told.out"),
                      log_error=t.path("told.err"), log_timestamp=True),
            t.service("quick", "print", "last words", "exit", "0", log=t.path("quick.out"), log_max_size="1M",
                      restart="no", passing=True),
        )

    def act(self, t):
        t.until_marks(calm=1, told=1, quick=1)
        t.until(lambda: t.read("told.out") and t.read("told.err") and t.read("quick.out"), "all is written")

    def verify(self, t):
        s = t.settled()
        t.expect_up("calm", s["calm"], 1)
        t.expect_up("told", s["told"], 1)
        if not t.child_was_killed():
            t.expect_marks("quick", 1)
        self.expect_log(t, "told.out", WHEN + "said\n", 1)
        self.expect_log(t, "told.err", WHEN + "sighed\n", 1)
        # A suplog that has hung before its exec, and was ended, is one that is dead together with supd.
        if not t.child_was_killed():
            self.expect_log(t, "quick.out", "last words\n", 1)
        t.check(t.read("quick.out").count("last words\n") <= len(t.marks("quick")), "quick.out: nothing is doubled")
        eventually(lambda: len(t.live(SUPLOG)) == 1, "suplog runs once")

    @staticmethod
    def expect_log(t, name, pattern, times):
        def complete():
            return re.fullmatch(f"(?:{pattern}){{{times}}}", t.read(name))

        eventually(complete, f"{name} is {times} times {pattern!r}: {t.read(name)!r}")


class Awaited(Scenario):
    """The restart of services that are ready with a line of their output, which the life before has written, too."""

    def world(self, t):
        keys = {"ready": "log:^up$", "restart_delay": "20ms", "start_timeout": f"{10 * SLOWER:.0f}s"}
        t.configure(
            t.lines("calm"),
            t.service("says", first=("print", "up"), log=t.path("says.out"), **keys),
            t.service("sighs", first=("complain", "up"), log="none", log_error=t.path("sighs.err"), **keys),
        )

    def before(self, t):
        self.pids = {name: status["pid"] for name, status in t.all().items()}

    def act(self, t):
        t.ask("restart", "service.restart", names=["says", "sighs"])
        t.until_marks(says=2, sighs=2)

    def verify(self, t):
        s = t.settled()
        t.expect_same("calm", s["calm"], self.pids["calm"])
        for name, log in (("says", "says.out"), ("sighs", "sighs.err")):
            if s[name]["pid"] == self.pids[name]:
                t.check("restart" not in t.acknowledged, f"{name}: its restart was acknowledged and is forgotten")
                t.expect_same(name, s[name], self.pids[name])
            else:
                t.expect_up(name, s[name], 2)
            Logs.expect_log(t, log, "up\n", len(t.marks(name)))
        t.check("taken for ready" not in t.log_text(), "what was seen is known")
        eventually(lambda: len(t.live(SUPLOG)) == 1, "suplog runs once")


SCENARIOS = {"logs": Logs, "awaited": Awaited}
