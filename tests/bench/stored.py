# SPDX-License-Identifier: MIT
"""supd below one that keeps its descriptors, as systemd does."""
from peers.supd import Adopted, Supd


class StoredSupd(Supd):
    """Is killed as soon as it has stored a descriptor of each worker, and comes back to them."""

    setting = "below a program that keeps what it stores (`FDSTORE=1`), and hands that to the next supd"

    def launch(self, settled=None):
        """ms from the exec to the lock, and on to the first answer, of the one that comes back."""
        self.locked, self.answered, pid = self.drive(
            "stored", self.path("run"), self.socket(), self.board.path, *self.command())
        self.process = Adopted(round(pid * 1e6))
