#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A server that is given its sockets, for test_sockets.py: listener.py NOTES WHAT [WHAT]...

Appends a line of JSON to NOTES: its pid, what it was told, and what its descriptors from 3 on are. Then:

  serve     answer what comes in with "PID TEXT", until SIGTERM; what was accepted is answered before the end
  once      answer one, and exit 0
  private   forbid everybody without the right to trace any process to look into this one
"""
import fcntl
import json
import os
import select
import signal
import socket
import sys

PR_SET_DUMPABLE = 4


def describe(fd):
    with socket.socket(fileno=os.dup(fd)) as s:
        name = s.getsockname()
        return {
            "family": s.family.name,
            "type": s.type.name,
            "name": name.decode() if isinstance(name, bytes) else name if isinstance(name, str) else list(name[:2]),
            "accepts": s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN),
            "nonblocking": bool(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK),
            "cloexec": bool(fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC),
            "inode": os.fstat(fd).st_ino,
        }


def answer(fd):
    with socket.socket(fileno=os.dup(fd)) as s:
        if not s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            text, sender = s.recvfrom(4096)
            if sender:
                s.sendto(b"%d %s" % (os.getpid(), text), sender)
            return
        connection = s.accept()[0]
    with connection:
        text = connection.recv(4096)
        connection.sendall(b"%d %s" % (os.getpid(), text))


def serve(fds, once):
    wake, end = socket.socketpair()
    for s in (wake, end):
        s.setblocking(False)
    signal.set_wakeup_fd(end.fileno())
    signal.signal(signal.SIGTERM, lambda *_: None)
    while True:
        ready = select.select([*fds, wake], [], [])[0]
        if wake in ready:
            return
        answer(ready[0])
        if once:
            return


def main():
    notes, *what = sys.argv[1:]
    if "private" in what:
        import ctypes  # pylint: disable=import-outside-toplevel

        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    fds = list(range(3, 3 + int(os.environ["LISTEN_FDS"])))
    note = {"pid": os.getpid(), "sockets": [describe(fd) for fd in fds]}
    note.update({k: v for k, v in os.environ.items() if k.startswith("LISTEN_")})
    with open(notes, "a", encoding="utf-8") as f:
        f.write(json.dumps(note) + "\n")
    serve(fds, "once" in what)


main()
