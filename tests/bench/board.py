# SPDX-License-Identifier: MIT
"""The board of board.h, as Python sees it."""
import mmap
import os
import struct

SAMPLES = 65536
HEADER = struct.Struct("=IIqqII")  # arrived, n_samples, last, began, n_slots, unused
SLOT = struct.Struct("=i4xq")  # pid, ended
SLOTS_AT = HEADER.size + 8 * SAMPLES


class Board:
    """A new board with N slots, in a file of the directory DIR."""

    def __init__(self, directory, slots, name="board"):
        self.path = os.path.join(directory, name)
        self.slots = slots
        with open(self.path, "wb") as file:
            file.write(HEADER.pack(0, 0, 0, 0, slots, 0))
            file.truncate(SLOTS_AT + slots * SLOT.size)
        with open(self.path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 0)

    def header(self):
        return HEADER.unpack_from(self.map, 0)

    def arrived(self):
        return self.header()[0]

    def forget_arrivals(self):
        struct.pack_into("=I", self.map, 0, 0)

    def started_in(self):
        """ms from the exec of the supervisor to the first line of the last worker."""
        _, _, last, began, _, _ = self.header()
        return (last - began) / 1e6

    def count(self):
        return min(self.header()[1], SAMPLES)

    def samples(self, first=0):
        """ms from the end of a worker to its successor, of all since the number FIRST."""
        n = self.count()
        return [ns / 1e6 for ns in struct.unpack_from(f"={n}q", self.map, HEADER.size)[first:]]

    def pids(self):
        return [SLOT.unpack_from(self.map, SLOTS_AT + i * SLOT.size)[0] for i in range(self.slots)]
