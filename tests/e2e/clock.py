# SPDX-License-Identifier: MIT
"""A wall clock that goes wrong, for supd alone: tests/faults/clock.c is preloaded."""
import ctypes
import os
import struct
import time

from processes import preloaded


ADJ_SETOFFSET = 0x0100


class Timex(ctypes.Structure):
    """struct timex of adjtimex(2), as far as it is needed."""

    _fields_ = [
        ("modes", ctypes.c_uint),
        ("before", ctypes.c_long * 4),
        ("status", ctypes.c_int),
        ("between", ctypes.c_long * 3),
        ("seconds", ctypes.c_long),
        ("micros", ctypes.c_long),
        ("rest", ctypes.c_byte * 256),
    ]


class Clock:
    def __init__(self, t):
        self.path = t.path("clock")
        self.env = preloaded("CLOCK", "SUPD", CLOCK_FILE=self.path)
        with open(self.path, "wb") as f:
            f.write(bytes(8))

    def jump(self, seconds):
        """So many seconds away from the machine's clock."""
        with open(self.path, "r+b", buffering=0) as f:
            f.write(struct.pack("=q", int(seconds)))

    def set(self, when):
        """To seconds since 1970."""
        self.jump(when - time.time())


def tell_clock_is_set():
    """The kernel tells everybody that the clock was set: by one microsecond. False where we may not do that."""
    return ctypes.CDLL(None).adjtimex(ctypes.byref(Timex(modes=ADJ_SETOFFSET, micros=1))) >= 0
