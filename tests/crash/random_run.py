# SPDX-License-Identifier: MIT
"""supd dies at random moments, again and again, while everything happens that happens in its life.

Three threads disturb it: one gives commands and changes the configuration, one kills processes of services, one lets
those go on that hang before their exec. One listens to what supd tells. The main thread kills supd and starts it again
(or lets --init do that), and now and then lets everything come to rest and counts.
"""
import math
import os
import random
import re
import signal
import subprocess
import threading
import time

from instance import SUPLOG, Supd
from processes import DEADLINE, Failed, all_pids, descendants, eventually, is_alive, kill, read_stat
from random_world import BROKEN, KIND, World
from rpc import RpcError
from truth import Register, Told, Verdict


SETTLED = ("running", "stopped", "exited", "failed")
STATE_MAX = 1 << 20  # bytes; it is written anew when it has grown by some 256 KiB
AWAY = re.compile(r"\d (\S+): its process ended while supd was away; the status is not known")
DAMAGE = re.compile(r".*(?:damaged|makes no sense|not in the state file|cannot be (?:written|reaped)|cannot record).*")


class Stopped(Exception):
    """The run is over, or has failed."""


class RandomRun(Supd):
    def __init__(self, directory, seed, share=1, init=False):
        super().__init__(directory)
        self.seed, self.init = seed, init
        self.rng = random.Random(seed)
        self.world = World(self.path, self.worker, share)
        self.register = Register(self.path("births"))
        self.calm = threading.Event()  # nobody disturbs
        self.over = threading.Event()
        self.busy = threading.Lock()  # held by the one who disturbs
        self.expected = {name: "up" for name in self.world.names}  # what was acknowledged; None: either
        self.changes = 0  # of `expected`
        self.told = {}  # name -> exit time -> Told
        self.heard = []  # of each connection that listened: since when, and the time of the last event
        self.counts = dict.fromkeys(
            ("kills", "quits", "upgrades", "starts", "calms", "commands", "acknowledged", "supctl killed", "reloads",
             "broken files", "worker crashes", "events"), 0,
        )
        self.descriptors = None
        self.valid = True  # does the file on disk hold no errors?
        self.threads = []
        self.write_config(())

    def add(self, what, n=1):
        self.counts[what] += n

    # ---- supd

    def spawn_next(self):
        with open(self.log, "a", encoding="utf-8") as log:
            log.write("---- another supd\n")
        self.spawn(*(["--init"] if self.init else []))
        self.add("starts")

    def supd_pid(self):
        """The supd to be killed. Under --init its youngest child that runs our binary and has no service's name."""
        if not self.init:
            return self.process.pid
        found = []
        for pid in descendants(self.process.pid):
            stat = read_stat(pid)
            if stat and stat[1] == self.process.pid and stat[0] not in "ZX" and same_program(pid, os.environ["SUPD"]):
                found.append((stat[4], pid))
        return max(found)[1] if found else None

    def answers(self):
        try:
            return self.call("supd.info")["pid"] > 0
        except (OSError, Failed):
            return False

    def wait_answer(self):
        def answers():
            if self.process.poll() is not None:
                raise Failed(f"supd ended by itself with {self.process.returncode}")
            return self.answers()

        eventually(answers, "supd answers")

    def end_supd(self):
        """By SIGKILL, now and then by SIGQUIT; under --init only the former, since the latter ends that, too.

        Returns whether there was one to be ended."""
        pid = self.supd_pid()
        if pid is None:
            return False
        if not self.init and self.rng.random() < 0.05:
            self.process.send_signal(signal.SIGQUIT)
            code = self.wait_end()
            self.need(code in (0, -signal.SIGQUIT), f"SIGQUIT: supd ended with {code}")
            self.add("quits")
        elif kill(pid, signal.SIGKILL):
            self.add("kills")
            if not self.init:
                self.process.wait()
            else:
                eventually(lambda: not is_alive(pid), "a supd that is killed is dead")
        if not self.init:
            self.spawn_next()
        return True

    def upgrade(self):
        try:
            with self.client() as client:
                client.call("supd.upgrade")
                self.add("upgrades")
        except RpcError as error:
            # The file on disk may have errors, or an upgrade be under way; anything else is a fault.
            self.check(
                re.search(r"refuses: .*supd\.conf|under way already", error.message), f"upgrade: {error.message}"
            )
        except (OSError, Failed):
            self.problem_unless_dead("upgrade")

    def problem_unless_dead(self, what):
        if not self.init and self.process.poll() is None:
            eventually(lambda: self.process.poll() is not None or self.answers(), f"supd answers after {what}")

    # ---- those who disturb

    def disturber(self, function, pause):
        """A thread that calls function now and then, until the run is over; it waits where there is to be calm."""
        rng = random.Random(self.rng.random())

        def run():
            while not self.over.wait(rng.random() * pause):
                if self.calm.is_set():
                    continue
                with self.busy:
                    if not self.calm.is_set():
                        self.guard(function, rng)

        self.thread(run)

    def guard(self, function, *args):
        try:
            function(*args)
        except (OSError, Failed):
            pass  # supd died
        except Exception as error:
            self.failures.append(f"{function.__name__}: {error!r}")

    def thread(self, run):
        thread = threading.Thread(target=run)
        thread.start()
        self.threads.append(thread)

    def expect(self, names, wanted):
        self.changes += 1
        for name in names:
            self.expected[name] = wanted

    def disturb(self, rng):
        what = rng.random()
        if what < 0.75:
            self.one_command(rng)
        elif what < 0.85:
            self.supctl_killed(rng)
        else:
            self.reload(rng)

    def one_command(self, rng):
        verb = rng.choice(["start", "start", "stop", "restart", "restart", "reset", "signal"])
        names = rng.sample(self.world.names, 1 if rng.random() < 0.9 else 4)
        params = {"names": names}
        if verb == "signal":
            params["signal"] = rng.choice(["WINCH", "CONT", "KILL", "SEGV"])
        elif verb in ("start", "stop", "restart") and rng.random() < 0.2:
            params.update(wait=True, timeout=rng.random())
        touched = [n for n in names if verb in ("start", "stop", "restart") or self.world.may_rest(n)]
        if verb != "signal":
            self.expect(touched, None)
        self.add("commands")
        try:
            outcomes = self.call(f"service.{verb}", **params)
        except RpcError as error:
            self.check(
                error.code == -32005 or (error.code == -32001 and set(names) & set(self.world.optional)),
                f"{verb} {names}: {error}",
            )
            if error.code != -32005:
                return
            outcomes = error.data
        self.add("acknowledged")
        if verb in ("start", "stop", "restart"):
            for outcome in outcomes:
                if outcome["name"] not in self.world.optional:
                    self.expect([outcome["name"]], "down" if verb == "stop" else "up")

    def supctl_killed(self, rng):
        names = rng.sample(self.world.names, rng.choice([1, 3]))
        self.expect(names, None)
        program = subprocess.Popen(
            [os.environ["SUPCTL"], "-s", self.socket, rng.choice(["start", "stop", "restart"]), *names],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        self.over.wait(rng.random() * 0.03)
        program.kill()
        program.wait()
        self.add("supctl killed")

    def write_config(self, without, rng=None):
        self.configure(self.world.text(rng or self.rng, without))
        self.expect(self.world.optional, None)
        self.valid = True

    def reload(self, rng):
        if rng.random() < 0.2:
            self.configure(rng.choice(BROKEN))
            self.valid = False
            self.add("broken files")
        else:
            self.write_config([n for n in self.world.optional if rng.random() < 0.3], rng)
        try:
            if rng.random() < 0.7:
                self.call("config.reload", restart=rng.random() < 0.2, timeout=rng.random())
                self.check(self.valid, "a broken file is taken")
                self.add("reloads")
            else:
                kill(self.call("supd.info")["pid"], signal.SIGHUP)  # to one that answers: it has its handlers
        except RpcError as error:
            self.check(
                error.code == -32005 or (error.code == -32004 and not self.valid) or "under way" in error.message,
                f"reload: {error}",
            )

    def crash_worker(self, rng):
        """Some always live: where the file has errors, a supd that finds nobody alive refuses to start, and rightly so."""
        living = self.register.living()
        if sum(not self.world.ends(life.name) for life in living) <= len(self.world.names) // 5:
            return
        life = rng.choice(living)
        sig = rng.choice([signal.SIGKILL, signal.SIGSEGV, signal.SIGSTOP, signal.SIGCONT])
        self.register.signal(life, sig)
        if sig == signal.SIGSTOP:
            self.over.wait(rng.random() * 0.05)
            self.register.signal(life, signal.SIGCONT)
        self.add("worker crashes", sig in (signal.SIGKILL, signal.SIGSEGV))

    def open_gates(self):
        """Children hang before their exec, in opening their stdin, until somebody writes to it."""
        rng = random.Random(self.rng.random())

        def run():
            while not self.over.wait(0.02 + rng.random() * 0.2):
                for gate in self.world.gates:
                    os.close(os.open(gate, os.O_RDWR))

        self.thread(run)

    # ---- who listens

    def hear(self, name, state, exit):
        if exit:
            self.check(state != "exited" or exit["how"] != "unknown", f"{name}: an unknown end is taken for success")
            self.told.setdefault(name, {}).setdefault(round(exit["at"], 5), Told(exit))

    def listen(self):
        with self.client() as client:
            client.sock.settimeout(0.2)
            client.start_call("events.subscribe")
            client.start_call("service.list")
            span = [math.inf, 0]
            self.heard.append(span)
            while not self.over.is_set():
                try:
                    message = client.receive()
                except TimeoutError:
                    continue
                if message is None:
                    return
                if isinstance(message.get("result"), list):
                    span[0] = time.time()
                    for status in message["result"]:
                        self.hear(status["name"], status["state"], status["exit"])
                params = message.get("params", {})
                if params.get("type") == "state":
                    span[1] = params["at"]
                    self.add("events")
                    self.hear(params["name"], params["to"], params["exit"])

    def listener(self):
        while not self.over.wait(0.005):
            self.guard(self.listen)

    # ---- rest, and a count

    def check_expected(self):
        """What was acknowledged stands; a command that is under way meanwhile says nothing."""
        before, expected = self.changes, dict(self.expected)
        services = self.all()
        if before != self.changes:
            return
        for name, wanted in expected.items():
            if wanted and name not in self.world.optional:
                status = self.need(services.get(name), f"{name} is not known any more")
                self.check(status["desired"] == wanted, f"{name}: {wanted} was acknowledged; it is {status}")

    def is_right(self, name, status, pids):
        if status is None:
            return False
        if status["state"] == "running":
            return len(pids) == self.world.sizes[name] and status["pid"] in pids and status["desired"] == "up"
        if status["desired"] == "up" and not self.world.ends(name) and KIND[name].born:
            return False
        return status["state"] in SETTLED and not pids

    def settled(self):
        """One process group of each service that should be up, the other ones have none."""
        seen = {}

        def holds():
            census, services = self.census(self.world.names), self.all()
            for name, pids in census.items():
                if len(pids) > self.world.sizes.get(name, name == SUPLOG):
                    raise Failed(f"{name} runs {len(pids)} times: {pids}")
            seen.clear()
            seen.update({n: (services.get(n), census[n]) for n in self.world.names})
            return all(self.is_right(n, *found) for n, found in seen.items())

        try:
            eventually(holds, "every service is settled")
        except Failed as failed:
            wrong = {n: found for n, found in seen.items() if not self.is_right(n, *found)}
            raise Failed(f"{failed}; wrong are {wrong}") from None
        return seen

    def check_descriptors(self):
        """As many as at the first time, but for one pidfd of each service that runs, which has one where it is no child of
        supd's or where --init keeps it."""
        pid = self.supd_pid()

        def kinds():
            found = {}
            for fd in os.listdir(f"/proc/{pid}/fd"):
                try:
                    kind = re.sub(rf"/{pid}\b", "/PID", os.readlink(f"/proc/{pid}/fd/{fd}").split(":")[0])
                except FileNotFoundError:
                    continue
                found[kind] = found.get(kind, 0) + 1
            pidfds = sum(found.pop(kind, 0) for kind in ("pidfd", "anon_inode"))
            held = sum(s["state"] == "running" and (self.init or s["adopted"]) for s in self.all().values())
            return found, pidfds - held

        def as_ever():
            now = kinds()
            if self.descriptors is None:
                self.descriptors = now
            return now[1] <= self.descriptors[1] and all(n <= self.descriptors[0].get(k, 0) for k, n in now[0].items())

        eventually(lambda: self.call("supd.info")["clients"] == 2, "who listens is connected, and nobody else")
        try:
            eventually(as_ever, "the descriptors are those of before")
        except Failed:
            raise Failed(f"supd's descriptors: {kinds()}, at first {self.descriptors}") from None

    def check_state_file(self):
        size = os.path.getsize(os.path.join(self.run_dir, "state"))
        self.check(size < STATE_MAX, f"the state file has {size} bytes")

    def rest(self):
        """Nobody disturbs, and supd lives: what holds then?"""
        self.calm.set()
        with self.busy:
            self.wait_answer()
            self.write_config(())
            self.call("config.reload")
            self.check_expected()
            for life in self.register.living():
                self.register.signal(life, signal.SIGCONT)
            cycling = [n for n in self.world.names if self.world.is_cycling(n)]
            self.call("service.stop", names=cycling, wait=True)
            self.expect(cycling, "down")
            self.settled()
            self.check_expected()
            self.check_descriptors()
            self.check_state_file()
            self.no_zombies()
            self.call("service.start", names=[n for n in self.world.names if self.rng.random() < 0.8 or n in cycling])
            self.expect(self.world.names, None)
            self.expected.update({n: s["desired"] for n, s in self.all().items()})
            self.add("calms")
        if self.failures or self.register.problems:
            raise Failed("see above")
        self.calm.clear()

    def no_zombies(self):
        def zombies():
            return [p for p in descendants(os.getppid()) if p in all_pids() and (read_stat(p) or "-")[0] == "Z"]

        try:
            eventually(lambda: not zombies(), "no zombie is left")
        except Failed:
            raise Failed(f"zombies: {zombies()}") from None

    # ---- the run

    def storm(self, seconds, kills):
        """supd is killed 50 to 500 ms after its start, or upgraded first; until the time is up, or as often as kills."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and kills > 0 and not self.failures:
            self.over.wait(0.05 + self.rng.random() * 0.45)
            if self.rng.random() < 0.04:
                self.upgrade()
                continue
            if self.rng.random() < 0.3:
                self.guard(self.check_expected)
            self.check_state_file()
            kills -= self.end_supd()

    def run_for(self, seconds):
        begin = time.monotonic()
        self.spawn_next()
        self.thread(self.listener)
        self.open_gates()
        try:
            self.wait_answer()
            self.disturber(self.disturb, 0.1)
            self.disturber(self.crash_worker, 0.1)
            while time.monotonic() < begin + seconds:
                left = max(begin + seconds - time.monotonic(), 1)
                self.storm(min(left, 20), 6 if self.init else 1 << 30)
                # --init waits the longer the younger supd has died, but not for one that became ten seconds old.
                if self.init and left > 20:
                    self.wait_answer()
                    self.over.wait(10.5)
                self.rest()
            self.finish()
        finally:
            self.over.set()
            for thread in self.threads:
                thread.join()
            self.register.close()
        self.failures += self.register.problems

    def finish(self):
        """The end of everything; supd tells what it knows, and then it is judged."""
        self.calm.set()
        with self.busy:
            self.call("service.stop", names=["*"], wait=True)
            services = self.all()
            for name, status in services.items():
                self.hear(name, status["state"], status["exit"])
            eventually(lambda: self.live() == self.live(SUPLOG), "no process of a service is left")
            eventually(self.register.all_told, "the kernel has told every end")
            self.over.set()
            self.eq(self.terminate(), 0, "exit status at the end")
        self.judge(services)

    def judge(self, services):
        verdict = Verdict(self.heard)
        for name in self.world.names:
            if not KIND[name].born:
                continue
            lives = self.register.lives.get(name, [])
            told = [one for _, one in sorted(self.told.get(name, {}).items())]
            starts = services[name]["starts"] if name not in self.world.optional else None
            verdict.judge(name, lives, told, None if starts is None else starts - len(lives))
            self.eq(self.read(name + ".alone"), "", f"{name}: a second copy ran beside the first")
            if starts is not None:
                self.check(len(lives) <= starts, f"{name}: born {len(lives)} times, started {starts} times")
        self.failures += verdict.problems
        self.check_log(verdict)
        for name in self.world.names:
            self.check_lines(name)
            self.check_stop_signals(name)
        self.verdict = verdict

    def check_log(self, verdict):
        """`unknown` is told only of what ended while supd was away."""
        text = self.log_text()
        away = {}
        for name in AWAY.findall(text):
            away[name] = away.get(name, 0) + 1
        unknown = {}
        for life, _ in verdict.unknown_lives:
            unknown[life.name] = unknown.get(life.name, 0) + 1
        for name, n in unknown.items():
            self.check(n <= away.get(name, 0), f"{name}: {n} unknown ends, {away.get(name, 0)} while supd was away")
        for line in text.splitlines():
            self.check(not DAMAGE.match(line), f"supd says: {line}")

    def check_lines(self, name):
        """Each is whole and behind the one before; a new life begins at 1."""
        text = self.read(name + ".lines")
        self.check(text == "" or text.endswith("\n"), f"{name}: the last line is cut: {text[-20:]!r}")
        begun, born = text.split("\n").count("1"), len(self.register.lives.get(name, []))
        self.check(begun <= born, f"{name}: {begun} lives in the log, born {born} times")
        before = 0
        for line in text.splitlines():
            if not self.check(line.isdigit() and int(line) in (before + 1, 1), f"{name}: {line!r} behind {before}"):
                return
            before = int(line)

    def check_stop_signals(self, name):
        """Marks and noted signals of a service stand in one file: no process has two TERMs."""
        noted = set()
        for line in self.read(name + ".mark").splitlines():
            pid, what = line.split()
            if what != "TERM":
                noted.discard(pid)
            elif not self.check(pid not in noted, f"{name}: the stop-signal came twice to {pid}"):
                return
            else:
                noted.add(pid)


def same_program(pid, path):
    try:
        return os.path.samefile(f"/proc/{pid}/exe", path)
    except OSError:
        return False
