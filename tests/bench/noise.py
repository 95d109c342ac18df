# SPDX-License-Identifier: MIT
"""supd with others that want something of it at the same time."""
import contextlib
import os
import subprocess

from board import Board
from peers.supd import Supd

CRASHING = 500
GROWING = 7  # starts of each until the delay is as long as it gets
CALLERS = 200
PERIOD = 1000  # ms in which each of them asks once


class NoisySupd(Supd):
    """Has beside the services that are measured those that crash, which are not started yet."""

    setting = (f"{CRASHING} services that end at once, restarted with a delay that grows from 100 ms to 5 s; {CALLERS} "
               f"clients that ask for the status of a service every {PERIOD} ms; one service that floods its log, a file "
               "that is rotated")

    def more(self):
        board = self.crashing = Board(self.dir, CRASHING, "noise")
        flood = (
            f'service "flood" {{\n    command = {{"yes", "what floods a log"}}\n    log = "{self.path("flood.log")}"\n'
            "    log-max-size = 10M\n    log-keep = 1\n    enabled = no\n}\n")
        return flood + "".join(
            self.section(f"noise{i}", f"{board.path}:{i}:0:0", "restart-delay = 100ms", "restart-delay-max = 5s",
                         "enabled = no")
            for i in range(CRASHING))

    @contextlib.contextmanager
    def noise(self):
        self.ctl("start", "--no-wait", "noise*", "flood")
        with open(os.devnull, "wb") as null:
            callers = subprocess.Popen(
                [self.tools.drive, "pollers", self.socket(), str(CALLERS), str(PERIOD), "w0"], stdout=null)
        try:
            self.wait(lambda: self.crashing.arrived() >= GROWING * CRASHING, "the longest delay between two crashes")
            self.wait(lambda: os.path.exists(self.path("flood.log.1")), "a log that is flooded")
            yield
            if callers.poll() is not None:
                raise RuntimeError("the callers have ended")
        finally:
            callers.terminate()
            callers.wait()
