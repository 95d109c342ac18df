# SPDX-License-Identifier: MIT
"""The bare loop: no supervisor at all.  All others are compared with the faster of the two."""
from peers.base import Peer


class Bare(Peer):
    how = None

    def command(self):
        return [self.tools.bare, self.how, self.board.path, str(self.n), self.tools.worker, *map(str, self.life or ())]

    def status_command(self, which):
        return [self.tools.nothing]


class BareVfork(Bare):
    key = how = "vfork"
    title = "bare loop, vfork"
    setting = "posix_spawn(3), waitpid(2); its status is the exec of a program that does nothing"


class BareFork(Bare):
    key = how = "fork"
    title = "bare loop, fork"
    setting = "fork(2), execv(3), waitpid(2)"
