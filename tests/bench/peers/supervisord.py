# SPDX-License-Identifier: MIT
"""supervisord."""
from peers.base import Peer


class Supervisord(Peer):
    key = "supervisord"
    title = "supervisord"
    setting = "a section for each program; `startsecs=0`, `autorestart=true`, logs NONE, `loglevel=critical`"
    programs = ("supervisord", "supervisorctl")
    most = 1000  # with 5,000 it took 77 s to start

    def configure(self):
        programs = "".join(
            f"[program:w{i}]\ncommand={self.tools.worker} {self.argument(i)}\nstartsecs=0\nautorestart=true\n"
            "stdout_logfile=NONE\nstderr_logfile=NONE\n" for i in range(self.n))
        socket = self.path("sock")
        self.write("supervisord.conf", f"""[supervisord]
nodaemon=true
loglevel=critical
logfile=/dev/null
logfile_maxbytes=0
pidfile={self.path('pid')}
minfds={3 * self.n + 200}
minprocs=1
[unix_http_server]
file={socket}
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{socket}
{programs}""")

    def command(self):
        return ["supervisord", "-c", self.path("supervisord.conf")]

    def status_command(self, which):
        words = {"one": ["w0"], "all": []}
        return ["supervisorctl", "-c", self.path("supervisord.conf"), "status", *words[which]] if which in words else None
