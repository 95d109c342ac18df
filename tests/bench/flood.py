# SPDX-License-Identifier: MIT
"""supd and suplog while one service writes as fast as it can: how fast others are restarted, how late their lines are."""
import os
import subprocess
import time

from peers.base import Tools
from peers.supd import Supd
from results import middle
from sessions import collect, started

SERVICES = 20
LIFE = (100, 200)  # ms
RESTARTS = 300
TICK = 5  # ms between two lines
LINES = 500
BLOCK = 65500
SECONDS = 30  # at most


class FloodedSupd(Supd):
    """Has beside the services that are restarted one that tells the time and one that is to write without end."""

    def feeder(self, name, *arguments, lines=""):
        command = ", ".join(f'"{word}"' for word in (self.tools.feed, *arguments))
        return f"""service "{name}" {{
    command = {{{command}}}
    log = "{self.path(name + '.log')}"
    {lines}
}}
"""

    def more(self):
        return (self.feeder("ticker", "tick", TICK, lines="log-max-size = 10M") +
                self.feeder("flood", "flow", self.path("gate"), self.path("fed"), 0, BLOCK,
                            lines="log-max-size = 10M"))

    def configure(self):
        os.mkfifo(self.path("gate"))
        super().configure()

    def pid_of(self, name):
        return next(pid for pid in self.own_processes() if arguments_of(pid)[:2] == [self.tools.feed, name])


def arguments_of(pid):
    with open(f"/proc/{pid}/cmdline", encoding="utf-8") as file:
        return file.read().split("\0")


def bytes_written(pid):
    with open(f"/proc/{pid}/io", encoding="utf-8") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("wchar:"))


def restarts_and_lags(peer):
    """([ms], [ms])"""
    lag = subprocess.Popen([peer.tools.feed, "lag", peer.path("ticker.log"), str(LINES)], stdout=subprocess.PIPE, text=True)
    restarts = collect(peer, RESTARTS, SECONDS)
    said = lag.communicate(timeout=SECONDS)[0]
    return restarts, [int(line) / 1e6 for line in said.split()]


def measure(build):
    tools = Tools(build)
    with started(FloodedSupd, tools, SERVICES, LIFE) as peer:
        peer.wait(lambda: os.path.exists(peer.path("ticker.log")) and os.path.exists(peer.path("fed")), "the feeders")
        quiet = restarts_and_lags(peer)
        flow = peer.pid_of("flow")
        before, began = bytes_written(flow), time.monotonic()
        with open(peer.path("gate"), "wb"):
            pass
        flooded = restarts_and_lags(peer)
        speed = (bytes_written(flow) - before) / 1e6 / (time.monotonic() - began)
        return {"flood_quiet": quiet[0], "flood_restart": flooded[0], "flood_quiet_lag": quiet[1],
                "flood_lag": flooded[1], "flood_speed": speed}


def table(results):
    def cells(measure_of):
        found = [middle(results.values("supd", measure_of, which)) for which in ("median", "p99")]
        return " | ".join(f"{value:.2f}" for value in found)

    return "\n".join((
        f"| beside a service that writes {middle(results.values('supd', 'flood_speed')):,.0f} MB/s | median | 99 % |",
        "|---|--:|--:|",
        f"| exit to the successor's main() before it, ms | {cells('flood_quiet')} |",
        f"| exit to the successor's main() beside it, ms | {cells('flood_restart')} |",
        f"| from the write of a line to its being in its file before it, ms | {cells('flood_quiet_lag')} |",
        f"| from the write of a line to its being in its file beside it, ms | {cells('flood_lag')} |",
    ))
