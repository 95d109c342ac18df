# SPDX-License-Identifier: MIT
"""Mounts that only this test and what it starts sees: a /dev of its own, a file system whose server is dead."""
import ctypes
import os
import select
import stat
import struct
import threading

from processes import skip

CLONE_NEWNS = 0x00020000
MS_REC, MS_PRIVATE = 0x4000, 0x40000
DEVICES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}

libc = ctypes.CDLL(None, use_errno=True)


def own_mounts():
    if libc.unshare(CLONE_NEWNS) or libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None):
        skip("no mount namespace can be had here")


def own_dev():
    """An empty /dev with what every program needs; sockets that are made in it are not the machine's."""
    own_mounts()
    if libc.mount(b"none", b"/dev", b"tmpfs", 0, b"mode=755"):
        skip("nothing can be mounted on /dev here")
    umask = os.umask(0)
    for name, (major, minor) in DEVICES.items():
        os.mknod("/dev/" + name, stat.S_IFCHR | 0o666, os.makedev(major, minor))
    os.umask(umask)
    os.symlink("/proc/self/fd", "/dev/fd")


class DeadServer:
    """
    A FUSE file system whose server never answers.  With TAKES it takes what it is asked, as one that dies over its work:
    then who has asked cannot even be killed.
    """

    INIT_IN, INIT_OUT = struct.Struct("<IIQQIIIIII"), struct.Struct("<IIIIHHIIHHI28s")

    def __init__(self, place, takes=False):
        own_mounts()
        os.mkdir(place)
        try:
            self.fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            skip("there is no FUSE here")
        options = f"fd={self.fd},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
        if libc.mount(b"dead", place.encode(), b"fuse", 0, options):
            skip("no FUSE file system can be mounted here")
        unique = struct.unpack_from("<IIQ", os.read(self.fd, 1 << 17))[2]
        answer = self.INIT_OUT.pack(7, 31, 0, 0, 16, 12, 65536, 1, 16, 0, 0, bytes(28))
        os.write(self.fd, struct.pack("<IiQ", 16 + len(answer), 0, unique) + answer)
        self.asked = 0
        self.stop, self.stopped = os.pipe2(os.O_CLOEXEC)
        self.taker = threading.Thread(target=self.take, daemon=True) if takes else None
        if self.taker:
            self.taker.start()

    def take(self):
        """A read that waits would keep the file open, so it is not begun before there is something."""
        while self.stop not in select.select([self.fd, self.stop], [], [])[0]:
            os.read(self.fd, 1 << 17)
            self.asked += 1

    def close(self):
        """What hangs there fails now."""
        os.close(self.stopped)
        if self.taker:
            self.taker.join()
        os.close(self.fd)
