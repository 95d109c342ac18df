# SPDX-License-Identifier: MIT
"""An initramfs made of this machine's own programs: a cpio archive ("newc") that the kernel unpacks at boot.

Several archives one behind the other are one: so what all machines have in common is made once.
"""

import os
import stat
import subprocess
import sys

# What the tests and the guest call; a program that is not installed here is not there either.
PROGRAMS = """
    basename bash cat chmod chown cp cut dd dmesg echo env false find grep head hostname id ip kill ln ls mkdir mkfifo mknod
    mktemp mount mv nice nsenter prlimit ps readlink renice rm rmdir sed seq setpriv setsid sh sleep sort stat stty
    sync tail taskset tee timeout touch tr true umount uname unshare wc xargs yes
""".split()
PATH = ("/usr/bin", "/usr/sbin", "/bin", "/sbin")
FILES = ("/etc/passwd", "/etc/group", "/etc/shadow", "/etc/nsswitch.conf", "/etc/ld.so.cache", "/etc/localtime",
         "/etc/machine-id")
# For tests/systemd.
SYSTEMD = ("/lib/systemd/systemd", "/lib/systemd/systemd-journald", "/usr/bin/systemctl", "/usr/bin/journalctl")
UNUSED_IN_STDLIB = ("site-packages", "dist-packages", "test", "tests", "idlelib", "lib2to3", "pydoc_data", "ensurepip",
                    "tkinter", "distutils", "turtledemo", "config-", "_tkinter", "_sqlite3", "_ssl", "_test")


class Archive:
    """Collects files; a path of this machine keeps its name, and the links on the way to it are kept as well."""

    def __init__(self):
        self.parts = []
        self.names = set()

    def _entry(self, name, mode, data=b"", device=(0, 0)):
        name = name.strip("/")
        if name in self.names:
            return
        self.names.add(name)
        raw = name.encode() + b"\0"
        fields = (len(self.names), mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(raw), 0)
        header = b"070701" + b"".join(b"%08X" % field for field in fields)
        self.parts.append(header + raw + b"\0" * (-(len(header) + len(raw)) % 4) + data + b"\0" * (-len(data) % 4))

    def directory(self, name, mode=0o755):
        parent = os.path.dirname(name.rstrip("/"))
        if parent not in ("", "/"):
            self.directory(parent)
        self._entry(name, stat.S_IFDIR | mode)

    def file(self, name, data, mode=0o644):
        self.directory(os.path.dirname(name))
        self._entry(name, stat.S_IFREG | mode, data.encode() if isinstance(data, str) else data)

    def link(self, name, target):
        self.directory(os.path.dirname(name))
        self._entry(name, stat.S_IFLNK | 0o777, target.encode())

    def console(self):
        """What the kernel opens for the first process, before there is a /dev."""
        self.directory("/dev")
        self._entry("/dev/console", stat.S_IFCHR | 0o600, device=(5, 1))

    def copy(self, source, name):
        """The file SOURCE under another name, or a whole folder."""
        if os.path.isdir(source):
            self.directory(name)
            for entry in sorted(os.listdir(source)):
                if entry != "__pycache__":
                    self.copy(os.path.join(source, entry), f"{name}/{entry}")
            return
        with open(source, "rb") as file:
            self.file(name, file.read(), 0o755 if os.access(source, os.X_OK) else 0o644)

    def take(self, path):
        """A file of this machine under its own name, links on the way included; a folder as a whole."""
        done = "/"
        todo = [part for part in path.split("/") if part]
        while todo:
            here = os.path.join(done, todo.pop(0))
            if os.path.islink(here):
                target = os.readlink(here)
                self.link(here, target)
                todo = [part for part in target.split("/") if part] + todo
                done = "/" if target.startswith("/") else done
            elif todo and todo[0] == "..":
                todo.pop(0)
            else:
                done = here
        if os.path.isdir(done):
            for entry in sorted(os.listdir(done)):
                if not entry.startswith(UNUSED_IN_STDLIB):
                    self.take(os.path.join(done, entry))
        else:
            with open(done, "rb") as file:
                self.file(done, file.read(), stat.S_IMODE(os.stat(done).st_mode) | 0o444)

    def program(self, path, name=None):
        """A program with the libraries that it needs, as NAME or under its own."""
        if name:
            self.copy(path, name)
        else:
            self.take(path)
        for library in libraries_of(path):
            self.take(library)

    def bytes(self):
        # The kernel wants each archive to begin on a multiple of four bytes.
        self._entry("TRAILER!!!", 0)
        data = b"".join(self.parts)
        return data + b"\0" * (-len(data) % 512)


def libraries_of(path):
    """Absolute paths as the loader finds them; none of a script or of what is linked statically."""
    listed = subprocess.run(["ldd", path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    words = [word for line in listed.stdout.splitlines() for word in line.split()]
    return sorted({word for word in words if word.startswith("/")})


def system():
    """An archive with a small system: shell, tools and Python."""
    archive = Archive()
    archive.console()
    for name in ("proc", "sys", "dev", "run", "root", "var/log", "var/tmp", "usr/bin", "usr/sbin", "usr/lib"):
        archive.directory(f"/{name}")
    archive.directory("/tmp", 0o1777)
    for name in ("/bin", "/sbin", "/lib", "/lib64"):
        if os.path.islink(name):
            archive.link(name, os.readlink(name))
    for path in FILES:
        if os.path.exists(path):
            archive.take(path)
    for name in PROGRAMS:
        found = next((f"{folder}/{name}" for folder in PATH if os.access(f"{folder}/{name}", os.X_OK)), None)
        if found:
            archive.program(found)
    for path in SYSTEMD:
        if os.access(path, os.X_OK):
            archive.program(path)
    python(archive)
    return archive


def python(archive):
    """The system's own where it has one: others may carry much that is not needed."""
    own = [f"{folder}/python3" for folder in PATH if os.access(f"{folder}/python3", os.X_OK)]
    interpreter = os.path.realpath((own or [sys.executable])[0])
    ask = "import sysconfig as s; print(s.get_path('stdlib'), s.get_path('platstdlib'))"
    asked = subprocess.run([interpreter, "-I", "-c", ask], stdout=subprocess.PIPE, text=True, check=True)
    archive.program(interpreter)
    archive.link("/usr/bin/python3", interpreter)
    for folder in sorted(set(asked.stdout.split())):
        archive.take(folder)
        modules = os.path.join(folder, "lib-dynload")
        for module in sorted(os.listdir(modules)) if os.path.isdir(modules) else ():
            if not module.startswith(UNUSED_IN_STDLIB):
                for library in libraries_of(os.path.join(modules, module)):
                    archive.take(library)
