# SPDX-License-Identifier: MIT
"""A service that speaks sd_notify(3) by hand: it obeys the lines of a FIFO and notes what came of each.

usage: teller.py NOTES FIFO [LINE...]     the lines given are obeyed first

SIGHUP is noted, too.  A line is a word and a text that may hold "\\n":
    send TEXT      to NOTIFY_SOCKET         child TEXT     the same, by a child that ends then
    barrier        BARRIER=1; noted once it is answered    fd N     a newline to descriptor N, which is closed
    store NAME     a file in memory that holds NAME, which is left with supd    hangup NAME    the same of a dead pipe
    read N         what is in the file that is descriptor N
    succeed        names a child, which goes on in its place, and ends    appoint    the same, and lives on
    print TEXT     complain TEXT     to its standard output, or error, at once
    flood N        the same STATUS N times  listen PORT    touch PATH    exit CODE
"""
import array
import json
import os
import select
import signal
import socket
import sys

NOTES, FIFO = sys.argv[1:3]
KEEP = []


def note(**what):
    with open(NOTES, "a", encoding="utf-8") as f:
        f.write(json.dumps({"pid": os.getpid(), **what}) + "\n")


def send(text, fds=()):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.settimeout(60)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            s.sendmsg([text.encode("utf-8", "surrogateescape")], rights, 0, os.environ["NOTIFY_SOCKET"])
        except OSError as error:
            return error.strerror
    return "sent"


def barrier():
    read, write = os.pipe()
    answer = send("BARRIER=1", [write])
    os.close(write)
    poll = select.poll()
    poll.register(read, select.POLLHUP)
    answered = bool(poll.poll(60000))
    os.close(read)
    return f"{answer}, {'answered' if answered else 'not answered'}"


def in_child(text):
    pid = os.fork()
    if pid == 0:
        note(answer=send(text))
        os._exit(0)
    os.waitpid(pid, 0)
    return "done"


def store(name, fd, *fds):
    answer = send(f"FDSTORE=1\nFDNAME={name}", [fd])
    for each in (fd, *fds):
        os.close(each)
    return answer


def store_file(name):
    fd = os.memfd_create(name)
    os.write(fd, name.encode())
    return store(name, fd)


def store_pipe(name):
    read, write = os.pipe()
    return store(name, read, write)


def name_child(lives_on):
    """The child is this program anew, at the same FIFO."""
    pid = os.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-IS", *sys.argv[:3]])
    send(f"MAINPID={pid}")
    while lives_on:
        signal.pause()
    os._exit(0)


def obey(line):
    word, _, text = line.partition(" ")
    text = text.replace("\\n", "\n")
    if word == "send":
        return send(text)
    if word == "child":
        return in_child(text)
    if word in ("succeed", "appoint"):
        name_child(word == "appoint")
    if word == "store":
        return store_file(text)
    if word == "hangup":
        return store_pipe(text)
    if word == "read":
        return os.pread(int(text), 100, 0).decode()
    if word == "barrier":
        return barrier()
    if word == "fd":
        os.write(int(text), b"\n")
        os.close(int(text))
    elif word in ("print", "complain"):
        os.write(1 if word == "print" else 2, text.encode())
    elif word == "flood":
        return [send(f"STATUS={i}") for i in range(int(text))].count("sent")
    elif word == "listen":
        KEEP.append(socket.create_server(("127.0.0.1", int(text)), backlog=64))
    elif word == "touch":
        open(text, "w", encoding="utf-8").close()
    elif word == "exit":
        os._exit(int(text))
    return "done"


def descriptors():
    return sorted(int(fd) for fd in os.listdir("/proc/self/fd") if int(fd) > 2 and os.path.exists(f"/proc/self/fd/{fd}"))


signal.signal(signal.SIGHUP, lambda *_: note(signal="HUP"))
note(began={k: v for k, v in os.environ.items() if k.startswith(("NOTIFY_", "WATCHDOG_", "LISTEN_"))}, fds=descriptors())
for given in sys.argv[3:]:
    note(line=given, answer=obey(given))
with os.fdopen(os.open(FIFO, os.O_RDWR), encoding="utf-8") as commands:
    for command in iter(commands.readline, ""):
        note(line=command.rstrip("\n"), answer=obey(command.rstrip("\n")))
