#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The attributes of a service's process, as the kernel tells them: each key is looked at in /proc, none is asked of supd."""
import ctypes
import grp
import os
import pwd
import re
import subprocess

from harness import main, test
from instance import service
from processes import environment_of, eventually, is_alive, is_sanitized, run_program, skip

SYS_IOPRIO_GET = {"x86_64": 252, "aarch64": 31, "riscv64": 31, "i686": 290, "s390x": 283, "ppc64le": 274}
CAP_SYS_RESOURCE = 24
LIMITS = {
    "limit-as": "Max address space",
    "limit-core": "Max core file size",
    "limit-cpu": "Max cpu time",
    "limit-data": "Max data size",
    "limit-fsize": "Max file size",
    "limit-locks": "Max file locks",
    "limit-memlock": "Max locked memory",
    "limit-msgqueue": "Max msgqueue size",
    "limit-nice": "Max nice priority",
    "limit-nofile": "Max open files",
    "limit-nproc": "Max processes",
    "limit-rss": "Max resident set",
    "limit-rtprio": "Max realtime priority",
    "limit-rttime": "Max realtime timeout",
    "limit-sigpending": "Max pending signals",
    "limit-stack": "Max stack size",
}


def proc(pid, name):
    with open(f"/proc/{pid}/{name}", encoding="utf-8", errors="replace") as f:
        return f.read()


def status_of(pid):
    return dict(line.split(":\t", 1) for line in proc(pid, "status").splitlines() if ":\t" in line)


def nice_of(pid):
    return int(proc(pid, "stat").rsplit(")", 1)[1].split()[16])


def io_class_of(pid):
    """(class, level)"""
    number = SYS_IOPRIO_GET.get(os.uname().machine)
    if number is None:
        skip("the number of ioprio_get(2) on this machine is not known here")
    got = ctypes.CDLL(None).syscall(number, 1, pid)
    return got >> 13, got & 0x1FFF


def limits_of(pid):
    """name -> (soft, hard)"""
    return {m[1]: (m[2], m[3]) for m in re.finditer(r"^(Max [a-z ]+?)  +(\S+) +(\S+)", proc(pid, "limits"), re.M)}


AS_NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]


def has_capability(number):
    return int(status_of("self")["CapEff"], 16) >> number & 1 != 0


def start_under(t, *program):
    t.spawn(under=program)
    eventually(t.answers, "supd answers")


def start_as_nobody(t):
    """supd as an ordinary user."""
    os.chmod(t.dir, 0o777)
    start_under(t, *AS_NOBODY)


def failed(t, name):
    return t.wait_state(name, "failed")["reason"]


def once(t, name, **keys):
    """A service that is tried once."""
    return t.sleeper(name, restart="no", **keys)


@test(root=True)
def beside_other_processes(t):
    cpu = sorted(os.sched_getaffinity(0))[-1]
    lower = -300 if has_capability(CAP_SYS_RESOURCE) else 300
    t.configure(
        t.sleeper("plain"),
        t.sleeper("first", nice=-5, io_class="realtime:1", oom_score_adj=lower),
        t.sleeper("last", nice=19, io_class="idle", cpu_affinity=[f"{cpu}-{cpu + 9}"], oom_score_adj=700),
        t.sleeper("even", io_class="best-effort", cpu_affinity=f"{cpu}"),
    )
    t.start()
    pid = {name: s["pid"] for name, s in t.wait_all("running").items()}
    t.eq([nice_of(pid[n]) for n in ("plain", "first", "last")], [os.nice(0), -5, 19], "nice")
    t.eq([io_class_of(pid[n]) for n in ("first", "last", "even")], [(1, 1), (3, 0), (2, 4)], "io-class")
    t.eq(os.sched_getaffinity(pid["last"]), {cpu}, "cpu-affinity, of a range of which one is there")
    t.eq(os.sched_getaffinity(pid["even"]), {cpu}, "cpu-affinity")
    t.eq(os.sched_getaffinity(pid["plain"]), os.sched_getaffinity(t.process.pid), "cpu-affinity of others")
    own = int(proc("self", "oom_score_adj"))
    t.eq([int(proc(pid[n], "oom_score_adj")) for n in ("plain", "first", "last")], [own, lower, 700], "oom-score-adj")


@test
def no_such_processor(t):
    t.configure(once(t, "a", cpu_affinity="8000-8191"))
    t.start()
    t.match(failed(t, "a"), r"cpu-affinity 8000-8191: Invalid argument \(supd may use no such processor\)", "reason")


@test
def every_limit(t):
    """Below what the test itself has, so that no rights are needed; in each unit there is."""
    want = {
        "limit-as": ("8G:16G", "8589934592", "17179869184"),
        "limit-core": ("0", "0", "0"),
        "limit-cpu": ("1h:2h", "3600", "7200"),
        "limit-data": ("1G", "1073741824", "1073741824"),
        "limit-fsize": ("10M:20M", "10485760", "20971520"),
        "limit-locks": ("50", "50", "50"),
        "limit-memlock": ("64K", "65536", "65536"),
        "limit-msgqueue": ("1K", "1024", "1024"),
        "limit-nice": ("0", "0", "0"),
        "limit-nofile": ("100:200", "100", "200"),
        "limit-nproc": ("900", "900", "900"),
        "limit-rss": ("1G", "1073741824", "1073741824"),
        "limit-rtprio": ("0", "0", "0"),
        "limit-rttime": ("200ms:2s", "200000", "2000000"),
        "limit-sigpending": ("100", "100", "100"),
        "limit-stack": ("4M", "4194304", "4194304"),
    }
    if is_sanitized(os.environ["SUPD"]):
        del want["limit-as"]  # its shadow is larger, and the limit holds before the exec
    t.configure(service("a", ["/bin/sleep", "10000"], **{key: value[0] for key, value in want.items()}))
    t.start()
    got = limits_of(t.wait_state("a", "running")["pid"])
    t.eq(sorted(LIMITS), sorted(set(LIMITS) | set(want)), "limits that are tried")
    for key, (_, soft, hard) in want.items():
        t.eq(got.get(LIMITS[key]), (soft, hard), key)


@test
def limits_are_not_those_of_supd(t):
    """Only the one that is given changes; what supd raised for itself is not handed on."""
    mine = limits_of(os.getpid())
    t.configure(t.sleeper("plain"), t.sleeper("given", limit_nofile="1000:2000", limit_core="0"))
    start_under(t, "prlimit", "--nofile=300:5000")
    pid = {name: s["pid"] for name, s in t.wait_all("running").items()}
    plain, given = limits_of(pid["plain"]), limits_of(pid["given"])
    t.eq(plain, {**mine, "Max open files": ("300", "5000")}, "without keys")
    t.eq(
        given,
        {**mine, "Max open files": ("1000", "2000"), "Max core file size": ("0", "0")},
        "with keys",
    )


# What an ordinary user asks for in vain, and what is said of it.
REFUSED = {
    "nice": ({"nice": -20}, r"nice -20: Permission denied \(needs CAP_SYS_NICE\)"),
    "io": ({"io_class": "realtime"}, r"io-class realtime:4: Operation not permitted \(needs CAP_SYS_NICE"),
    "oom": ({"oom_score_adj": -900}, r"oom-score-adj -900: Permission denied \(needs CAP_SYS_RESOURCE\)"),
    "caps": (
        {"capabilities": "NET_RAW"},
        r"capabilities CAP_NET_RAW: Operation not permitted \(supd itself does not have it\)",
    ),
    "bound": (
        {"capability_bounding_set": "~NET_RAW"},
        r"capability-bounding-set: Operation not permitted \(needs CAP_SETPCAP\)",
    ),
    "tmp": ({"private_tmp": True}, r"private-tmp: Operation not permitted \(needs CAP_SYS_ADMIN\)"),
    "ro": ({"read_only_paths": "/usr"}, r"read-only-paths: Operation not permitted \(needs CAP_SYS_ADMIN\)"),
    "limit": (
        {"limit_nofile": "10:4000000"},
        r"limit-nofile 10:4000000: Operation not permitted \(needs CAP_SYS_RESOURCE, and no more than fs.nr_open\)",
    ),
}


@test(root=True)
def rights_that_are_missing(t):
    """As an ordinary user: each is an error of that service alone, which names the key and the right."""
    t.configure(t.sleeper("plain", nice=5), *[once(t, name, **keys) for name, (keys, _) in REFUSED.items()])
    start_as_nobody(t)
    for name, (_, want) in REFUSED.items():
        t.match(failed(t, name), "^" + want, name)
    t.eq(nice_of(t.wait_state("plain", "running")["pid"]), 5, "what needs no right")


@test(root=True)
def rights_that_are_missed_before(t):
    """--check tells all of them with file and line, and leaves nothing behind."""
    may = [t.sleeper("plain", nice=5), t.sleeper("small", limit_nofile="10:20", oom_score_adj=900)]
    t.configure(*may, *[once(t, name, **keys) for name, (keys, _) in REFUSED.items()])
    os.chmod(t.dir, 0o777)
    done = run_program([*AS_NOBODY, *t.command("--check")])
    t.eq(done.code, 1, "exit code")
    for name, (_, want) in REFUSED.items():
        t.match(done.err, rf'{t.conf}:\d+: service "{name}": {want}', name)
    t.eq(len(done.err.splitlines()), len(REFUSED), f"lines of {done.err!r}")
    t.configure(*may)
    t.eq(run_program([*AS_NOBODY, *t.command("--check")]).code, 0, "what needs no right")
    t.configure(*may, once(t, "a", nice=-20, read_only_paths=["/usr", "/nonexistent/x"], private_tmp=True))
    if may_mount():
        done = t.run("--check")
        t.match(done.err, 'service "a": read-only-paths /nonexistent/x: No such file or directory', "as root")
    t.eq(os.listdir(t.dir), ["supd.conf"], "files")
    t.eq(t.others(), [], "processes")


@test(root=True)
def upgrade_without_rights(t):
    """What a service may not have is no reason to go on with an old binary."""
    t.configure(t.sleeper("a"), once(t, "b", nice=-20))
    start_as_nobody(t)
    pid = t.wait_state("a", "running")["pid"]
    failed(t, "b")
    done = t.ctl("upgrade")
    t.eq(done.code, 0, f"upgrade: {done}")
    t.eq(t.wait_state("a", "running")["pid"], pid, "the service")


CAPABILITIES = {"CAP_CHOWN": 0, "CAP_KILL": 5, "CAP_NET_BIND_SERVICE": 10, "CAP_SYS_ADMIN": 21}


def capabilities_of(pid, which):
    return int(status_of(pid)["Cap" + which], 16)


def bits(*names):
    return sum(1 << CAPABILITIES[name] for name in names)


@test(root=True)
def groups_of_a_service(t):
    more = [name for name in ("daemon", "games") if name in {g.gr_name for g in grp.getgrall()}]
    gids = [grp.getgrnam(name).gr_gid for name in more]
    t.configure(
        t.sleeper("plain"),
        t.sleeper("own", supplementary_groups=[*more, "61234"]),
        t.sleeper("user", user="nobody", supplementary_groups=more),
        t.sleeper("login", user="nobody"),
    )
    os.chmod(t.dir, 0o777)
    t.start()
    pid = {name: s["pid"] for name, s in t.wait_all("running").items()}

    def groups(name):
        return {int(gid) for gid in status_of(pid[name])["Groups"].split()}

    t.eq(groups("plain"), set(os.getgroups()), "supd's own")
    t.eq(groups("own"), {*os.getgroups(), *gids, 61234}, "beside supd's own")
    t.eq(groups("login"), set(os.getgrouplist("nobody", pwd.getpwnam("nobody").pw_gid)), "those of a login")
    t.eq(groups("user"), {*groups("login"), *gids}, "beside those of a login")
    t.eq(status_of(pid["own"])["Uid"].split(), ["0"] * 4, "the user stays")


@test
def groups_that_are_none(t):
    t.configure(once(t, "a", supplementary_groups=["no-such-group"]))
    done = t.run("--check")
    t.eq(done.code, 1, "exit code")
    t.match(done.err, r":4: service \"a\": key 'supplementary-groups': there is no group 'no-such-group'", "error")


@test(root=True)
def groups_without_rights(t):
    """An ordinary user has what he has."""
    t.configure(t.sleeper("a", supplementary_groups=["65534"]))
    os.chmod(t.dir, 0o777)
    start_as_nobody(t)
    t.eq(status_of(t.wait_state("a", "running")["pid"])["Groups"].split(), [], "groups")
    t.configure(t.sleeper("a", supplementary_groups=["65534", "4"]))
    t.match(t.ctl("reread").err, "group '4': only root can give a service groups that supd does not have", "another")


@test(root=True)
def capabilities_of_a_service(t):
    names = ["CAP_NET_BIND_SERVICE", "kill"]
    bounds = ["CAP_NET_BIND_SERVICE", "CAP_KILL", "CAP_CHOWN"]
    wanted = bits("CAP_NET_BIND_SERVICE", "CAP_KILL")
    t.configure(
        t.sleeper("user", user="nobody", capabilities=names),
        t.sleeper("bound", user="nobody", capabilities=names, capability_bounding_set=bounds),
        t.sleeper("root", capability_bounding_set="~CAP_SYS_ADMIN"),
        t.sleeper("bare", user="nobody", capability_bounding_set=[]),
        t.sleeper("plain", user="nobody"),
    )
    os.chmod(t.dir, 0o777)
    t.start()
    pid = {name: s["pid"] for name, s in t.wait_all("running").items()}
    all_of_supd = capabilities_of(t.process.pid, "Bnd")
    for name in ("user", "bound"):
        t.eq([capabilities_of(pid[name], which) for which in ("Amb", "Prm", "Eff", "Inh")], [wanted] * 4, name)
    t.eq(capabilities_of(pid["user"], "Bnd"), all_of_supd, "bounding set without a key")
    t.eq(capabilities_of(pid["bound"], "Bnd"), all_of_supd & bits("CAP_NET_BIND_SERVICE", "CAP_KILL", "CAP_CHOWN"),
         "bounding set")
    t.eq([capabilities_of(pid["root"], which) for which in ("Bnd", "Prm", "Eff")],
         [all_of_supd & ~bits("CAP_SYS_ADMIN")] * 3, "root has what the bounding set leaves")
    t.eq([capabilities_of(pid["bare"], which) for which in ("Bnd", "Prm")], [0, 0], "none")
    t.eq([capabilities_of(pid["plain"], which) for which in ("Bnd", "Prm", "Amb")], [all_of_supd, 0, 0], "without keys")


@test(root=True)
def capability_that_is_of_use(t):
    """A port that is not for everybody."""
    bind = f"import socket; socket.socket(type=socket.SOCK_DGRAM).bind(('127.0.0.1', {privileged_port()}))"
    t.configure(
        service("may", ["python3", "-c", bind], user="nobody", capabilities="NET_BIND_SERVICE", restart="no"),
        service("not", ["python3", "-c", bind], user="nobody", restart="no"),
    )
    os.chmod(t.dir, 0o777)
    t.start()
    t.wait_state("may", "exited")
    t.eq(t.wait_state("not", "failed")["exit"]["code"], 1, "without the capability")


def privileged_port():
    """A port that needs the capability, and that nobody has."""
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", encoding="ascii") as f:
        if int(f.read()) < 600:
            skip("no port needs a capability here")
    return 500 + os.getpid() % 100


@test
def no_new_privileges(t):
    t.configure(t.sleeper("plain"), t.sleeper("none", no_new_privileges=True))
    t.start()
    pid = {name: s["pid"] for name, s in t.wait_all("running").items()}
    t.eq([status_of(pid[n])["NoNewPrivs"] for n in ("plain", "none")], [status_of("self")["NoNewPrivs"], "1"], "NoNewPrivs")


@test
def supd_dies_and_some_with_it(t):
    """Only the one that asked for it gets the signal, whatever user it runs as; the next supd starts it again."""
    user = {"user": "nobody"} if os.geteuid() == 0 else {}
    os.chmod(t.dir, 0o777)
    mark = t.path("a.mark")
    t.configure(
        service("a", t.worker("trap-exit", t.path("got"), 5, "USR1", "mark", mark, "for-ever"),
                parent_death_signal="USR1", restart_delay="10ms", **user),
        t.sleeper("b"),
    )
    t.start()
    t.wait_for("a", lambda s: len(t.marks("a")) == 1, "it runs")
    before = {name: s["pid"] for name, s in t.all().items()}
    t.crash()
    eventually(lambda: t.read("got").split()[1::2] == ["USR1"], "the service was told")
    t.check(is_alive(before["b"]), "the other one lives")
    t.start()
    t.wait_for("a", lambda s: len(t.marks("a")) == 2 and s["state"] == "running", "it was started again")
    t.eq(t.wait_state("b", "running")["pid"], before["b"], "the other one was taken back")


@test
def a_signal_for_the_end_of_another_supd(t):
    """Taken back by a second supd, a process is no child of it: it outlives that one."""
    t.configure(t.sleeper("a", parent_death_signal="CONT"))
    t.start()
    pid = t.wait_state("a", "running")["pid"]
    t.crash_and_start()
    t.eq(t.wait_state("a", "running")["pid"], pid, "CONT ends nobody")
    t.crash()
    t.check(is_alive(pid), "it lives")


@test
def environment_that_is_cleared(t):
    t.write("vars", "FILE=1\n")
    t.configure(
        service("a", t.worker("describe", t.path("a.seen"), "for-ever"), clear_environment=True,
                environment=["OWN=1"], environment_file=[t.path("vars")]),
        service("b", t.worker("describe", t.path("b.seen"), "for-ever")),
    )
    t.start(env={"OF_SUPD": "1"})
    t.wait_all("running")
    eventually(lambda: t.read("a.seen") and t.read("b.seen"), "both have described what they see")

    def variables(name):
        return dict(v.decode().split("=", 1) for v in environment_of(t.status(name)["pid"]))

    t.eq(sorted(variables("a")), ["FILE", "OWN", "PATH", "SUPD_EXEC_PID", "SUPD_INSTANCE", "SUPD_SERVICE"], "cleared")
    t.match(variables("a")["PATH"], "^/usr/local/sbin:.*:/bin$", "PATH")
    t.eq(variables("b").get("OF_SUPD"), "1", "without the key")


def stream_of(pid, fd):
    return os.readlink(f"/proc/{pid}/fd/{fd}")


@test
def standard_input(t):
    t.write("words", "one\ntwo\n")
    t.configure(
        t.sleeper("plain"),
        t.sleeper("file", stdin=t.path("words")),
        t.sleeper("inherit", stdin="inherit"),
        service("cat", ["/bin/cat"], stdin=t.path("words"), log=t.path("cat.out"), restart="no"),
        once(t, "missing", stdin="/nonexistent/input"),
    )
    theirs, ours = os.pipe()
    with open(t.log, "ab") as log:
        t.process = subprocess.Popen(t.command(), stdin=theirs, stdout=log, stderr=log, cwd=t.dir, start_new_session=True)
    eventually(t.answers, "supd answers")
    t.wait_for("inherit", lambda s: s["state"] == "running", "it runs")
    t.eq(stream_of(t.wait_state("plain", "running")["pid"], 0), "/dev/null", "without the key")
    t.eq(stream_of(t.wait_state("file", "running")["pid"], 0), t.path("words"), "a file")
    t.eq(stream_of(t.status("inherit")["pid"], 0), stream_of("self", ours), "supd's own")
    t.wait_state("cat", "exited")
    eventually(lambda: t.read("cat.out") == "one\ntwo\n", "what was read")
    t.match(failed(t, "missing"), "stdin /nonexistent/input: No such file or directory", "reason")


@test
def a_terminal(t):
    """It is the standard streams and controls the session; a log that is given goes before it."""
    pairs = [os.openpty() for _ in range(3)]
    names = [os.ttyname(theirs) for _, theirs in pairs]
    for name in names:
        os.chmod(name, 0o666)
    t.configure(
        t.sleeper("a", tty=names[0]),
        t.sleeper("b", tty=names[1], log=t.path("b.out")),
        service("c", ["/bin/sh", "-c", "read line && echo got $line >/dev/tty"], tty=names[2], restart="no"),
        once(t, "file", tty="/dev/null"),
        once(t, "busy", tty=names[0], enabled=False),
    )
    t.start()
    pid = {name: t.wait_state(name, "running")["pid"] for name in ("a", "b")}
    t.eq([stream_of(pid["a"], fd) for fd in (0, 1, 2)], [names[0]] * 3, "streams")
    t.eq([stream_of(pid["b"], fd) for fd in (0, 1, 2)], [names[1], *[os.path.join(t.run_dir, "log", "b.fifo")] * 2], "with a log")
    device = os.stat(names[0]).st_rdev
    t.eq(int(proc(pid["a"], "stat").rsplit(")", 1)[1].split()[4]), device, "the controlling terminal")
    os.write(pairs[2][0], b"word\n")
    t.wait_state("c", "exited")
    t.match(os.read(pairs[2][0], 100).decode(), "got word", "what the terminal shows")
    t.match(failed(t, "file"), "tty /dev/null: Inappropriate ioctl for device", "no terminal")
    t.match(t.ctl("start", "busy").err, r"tty \S+: Operation not permitted \(it is the terminal of another", "taken")
    t.check(any(v.startswith(b"TERM=") for v in environment_of(pid["a"])), "TERM is set")


@test(root=True)
def home_directory(t):
    home = pwd.getpwnam("daemon").pw_dir
    os.mkdir(t.path("home"))
    os.mkdir(t.path("home", "sub"))
    t.configure(
        t.sleeper("user", user="daemon", directory="~"),
        t.sleeper("own", directory="~/sub"),
        once(t, "missing", directory="~/missing"),
    )
    os.chmod(t.dir, 0o777)
    t.start(env={"HOME": t.path("home")})
    t.eq(os.readlink(f"/proc/{t.wait_state('user', 'running')['pid']}/cwd"), home, "of the user")
    t.eq(os.readlink(f"/proc/{t.wait_state('own', 'running')['pid']}/cwd"), t.path("home", "sub"), "of supd's user")
    t.match(failed(t, "missing"), f"chdir {t.path('home', 'missing')}: No such file or directory", "reason")


def mounts_of(pid):
    """mount point -> (options, type), the one on top"""
    found = {}
    for line in proc(pid, "mountinfo").splitlines():
        fields, _, rest = line.partition(" - ")
        found[fields.split()[4]] = (fields.split()[5].split(","), rest.split()[0])
    return found


def may_mount():
    return subprocess.run(["unshare", "-m", "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0


@test(root=True)
def mounts_of_its_own(t):
    if not may_mount():
        skip("no mount namespace can be had here")
    os.mkdir(t.path("ro"))
    script = f"cd /tmp && ls -A; echo x >/var/tmp/{os.getpid()} && echo written; touch /usr/x || echo refused"
    t.configure(
        t.sleeper("plain"),
        service("tmp", ["/bin/sh", "-c", f"{script}; exec sleep 10000"], directory="/", private_tmp=True,
                read_only_paths=["/usr", "-/nonexistent/x"], log=t.path("tmp.out"), log_error="none"),
        service("ro", ["/bin/sh", "-c", "touch x || echo refused; exec sleep 10000"], directory=t.path("ro"),
                read_only_paths=[t.path("ro")], log=t.path("ro.out"), log_error="none"),
        service("all", ["/bin/sleep", "10000"], read_only_paths=["/"]),
        service("user", ["/bin/sleep", "10000"], directory="/", private_tmp=True, user="nobody"),
        once(t, "missing", read_only_paths=["/nonexistent/x"]),
        once(t, "hidden", private_tmp=True),
    )
    ours = mounts_of(os.getpid())
    t.start()
    pid = {name: t.wait_state(name, "running")["pid"] for name in ("plain", "tmp", "ro", "all", "user")}
    eventually(lambda: t.read("tmp.out").endswith("refused\n"), "the service with /tmp of its own has tried")
    t.eq(t.read("tmp.out"), "written\nrefused\n", "what it could do, and an empty /tmp")
    t.check(not os.path.exists(f"/var/tmp/{os.getpid()}"), "nothing has come out")
    eventually(lambda: t.read("ro.out") == "refused\n", "nothing can be written by way of the directory either")

    t.eq(os.readlink(f"/proc/{pid['plain']}/ns/mnt"), os.readlink("/proc/self/ns/mnt"), "without the keys")
    t.eq(mounts_of(t.process.pid), ours, "supd's own mounts")
    for name in ("tmp", "user"):
        got = mounts_of(pid[name])
        t.eq([got[path][1] for path in ("/tmp", "/var/tmp")], ["tmpfs", "tmpfs"], name)
        t.eq(os.stat(f"/proc/{pid[name]}/root/tmp").st_mode & 0o7777, 0o1777, "mode of /tmp")
    t.check("ro" in mounts_of(pid["tmp"])["/usr"][0], "/usr is read-only")
    t.check("ro" in mounts_of(pid["ro"])[t.path("ro")][0], "read-only-paths")
    t.eq([path for path, (options, _) in mounts_of(pid["all"]).items() if "ro" not in options], [], "all of them")
    t.match(failed(t, "missing"), "read-only-paths /nonexistent/x: No such file or directory", "missing")
    t.match(failed(t, "hidden"), "chdir .*: No such file or directory .private-tmp hides", "hidden")


@test
def a_change_needs_a_new_process(t):
    """And a supd that comes back to a process does not take it for another one."""
    t.configure(t.sleeper("a", nice=3), t.sleeper("b"))
    t.start()
    pid = {name: s["pid"] for name, s in t.wait_all("running").items()}
    t.crash_and_start()
    t.eq({n: (s["pid"], s["config-stale"]) for n, s in t.wait_all("running").items()},
         {n: (p, False) for n, p in pid.items()}, "after a crash")
    t.configure(t.sleeper("a", nice=4), t.sleeper("b"))
    said = t.ctl("reread").out
    t.match(said, r"\ba\b.*\bnice\b", "what reread says")
    t.eq(t.status("a")["config-stale"], True, "a is as it was")
    t.eq(nice_of(pid["a"]), 3, "nice of the old process")
    t.ctl("restart", "a")
    t.eq(nice_of(t.wait_state("a", "running")["pid"]), 4, "nice of the new process")
    t.eq(t.status("b")["pid"], pid["b"], "nobody else is touched")


if __name__ == "__main__":
    main()
