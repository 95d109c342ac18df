# SPDX-License-Identifier: MIT
"""Real programs as services: where they are, and what nginx needs to run in a test's directory."""
import os
import shutil
import socket

from processes import skip


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def program(name):
    path = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin:/usr/local/sbin")
    return path or skip(f"{name} is not installed")


def write_nginx(t, path, top, http):
    """The configuration at PATH; top and http: what stands outside and inside of http { } beside what a test needs."""
    os.makedirs(t.path("nginx"), exist_ok=True)
    temporary = "".join(
        f"    {n}_temp_path {t.path('nginx', n)};\n" for n in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;\n" if os.geteuid() == 0 else ""
    return t.write(
        path,
        f"{user}{top}pid {t.path('nginx/pid')};\nerror_log stderr;\nevents {{ worker_connections 64; }}\n"
        f"http {{\n{temporary}    access_log off;\n{http}}}\n",
    )
