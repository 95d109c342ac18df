#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""supd is killed at random moments, and while a child of it hangs before its exec. Then heads are counted."""
import os
import random
import signal
import subprocess
import threading
import time

from harness import main, test
from instance import service
from processes import Failed, eventually, kill, rounds


@test
def one_supervisor(t):
    t.configure(t.sleeper("a"))
    t.start()
    t.wait_state("a", "running")
    done = t.run()
    t.eq(done.code, 1, "a second supd")
    t.match(done.err, rf"already running.*\b{t.process.pid}\b", "names the first")
    t.eq((len(t.live("a")), t.answers()), (1, True), "the first is not disturbed")
    t.process.send_signal(signal.SIGSTOP)
    done = t.run()
    t.eq(done.code, 1, "a second supd beside one that is held by job control")
    t.process.send_signal(signal.SIGCONT)
    t.eq(t.answers(), True, "the first goes on")


@test
def many_start_at_once(t):
    """Of several that are started together exactly one stays."""
    t.configure(*[t.sleeper(f"s{n}") for n in range(5)])
    t.start()
    t.settle([f"s{n}" for n in range(5)], "at first")
    before = t.live()
    t.crash()

    with open(t.log, "ab") as log:
        many = [subprocess.Popen(t.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log) for _ in range(6)]
    eventually(lambda: sum(p.poll() is None for p in many) == 1, "one is left")
    t.eq(sorted(p.returncode for p in many if p.poll() is not None), [1] * 5, "the others exit 1")
    t.process = next(p for p in many if p.poll() is None)
    eventually(t.answers, "the one answers")
    t.eq(t.live(), before, "the same services")


def commands_until_it_dies(t, rng, names, expected, acknowledged):
    """Commands for random services; expected[name] is what the last one that was answered asked for."""
    try:
        with t.client() as client:
            while True:
                name, verb = rng.choice(names), rng.choice(["start", "stop", "restart", "restart", "reset"])
                if verb != "reset":
                    expected[name] = None
                client.call(f"service.{verb}", names=[name])
                acknowledged[0] += 1
                if verb != "reset":
                    expected[name] = "down" if verb == "stop" else "up"
    except (OSError, Failed):
        pass


@test(limit=400)
def random_crashes(t):
    names = [f"s{n}" for n in range(5)]
    fickle = ["fickle0", "fickle1"]
    keys = {"restart_delay": "10ms", "restart_delay_max": "20ms", "stop_timeout": "2s"}
    t.configure(
        *[t.sleeper(n, **keys) for n in names[:-1]],
        service(
            names[-1], t.worker("ignore", "TERM", "mark", t.path(names[-1] + ".mark"), "for-ever"), stop_timeout="50ms"
        ),
        *[service(n, t.worker("mark", t.path(n + ".mark"), "sleep", "0.03", "exit", "1"), **keys) for n in fickle],
    )
    seed = int(os.environ.get("E2E_SEED", random.randrange(1 << 30)))
    rng = random.Random(seed)
    expected = {n: "up" for n in names}
    acknowledged = [0]
    for n in range(rounds(60)):
        what = f"seed {seed}, round {n}"
        t.start()
        services, census = t.all(), t.census(names + fickle)
        for name, pids in census.items():
            t.need(len(pids) <= 1, f"{what}: {name} runs {len(pids)} times: {pids}")
        for name, desired in expected.items():
            if desired:
                t.eq(services[name]["desired"], desired, f"{what}: {name}: what was acknowledged")
        timer = threading.Timer(rng.random() ** 2 * 0.25, t.process.kill)
        timer.start()
        commands_until_it_dies(t, rng, names, expected, acknowledged)
        timer.join()
        t.process.wait()
    t.check(acknowledged[0] > rounds(60), f"commands were answered at all: {acknowledged[0]}")
    t.start()

    def settled():
        services, census = t.all(), t.census(names)
        return all(
            (s["state"], len(census[n])) == (("running", 1) if s["desired"] == "up" else ("stopped", 0))
            and (s["pid"] or 0) == (census[n] or [0])[0]
            for n, s in services.items()
            if n in names
        )

    eventually(settled, f"seed {seed}: exactly one process of each that is up, none of each that is down")
    for name in names + fickle:
        ran = len(t.marks(name))  # first, for some are started over and over
        starts = t.status(name)["starts"]
        t.check(ran <= starts, f"seed {seed}: {name}: {ran} ran, {starts} recorded")
    t.eq(t.terminate(), 0, "exit code")
    t.eq(t.live(), [], "no process is left")


def disturb(t, rng, names):
    """One thing that happens in a day: a command, a signal from outside, a new configuration."""
    name = rng.choice(names)
    what = rng.randrange(8)
    if what < 4:
        t.call(
            f"service.{rng.choice(['start', 'stop', 'restart', 'start'])}",
            names=[rng.choice([name, "s*", "trio*", "*"])],
        )
    elif what < 6:
        victims = t.live(name)
        if victims:
            kill(rng.choice(victims), rng.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP, signal.SIGSEGV]))
    elif what == 6:
        write_world(t, names, rng.choice("123"))
        t.process.send_signal(signal.SIGHUP)
    else:
        t.call("config.reload", restart=rng.random() < 0.3)


def write_world(t, names, value):
    keys = {"restart_delay": "5ms", "restart_delay_max": "50ms", "stop_timeout": "200ms"}
    parts = []
    for n, name in enumerate(names):
        changes = {"environment": [f"V={value if n % 3 == 0 else 0}"]}
        if name.startswith("trio"):
            parts.append(t.trio(name, *(["ignore", "TERM"] if n % 2 else []), **keys, **changes))
        elif name.startswith("ends"):
            parts.append(t.marked(name, "sleep", "0.02", "exit", n % 2, **keys, **changes))
        else:
            parts.append(t.sleeper(name, **keys, **changes))
    t.configure(*parts)


@test
def a_bad_day(t):
    """Everything at once, and supd dies again and again. Then all is started: one whole process group of each."""
    names = ["s0", "s1", "s2", "trio0", "trio1", "ends0", "ends1"]
    seed = int(os.environ.get("E2E_SEED", random.randrange(1 << 30)))
    rng = random.Random(seed)
    write_world(t, names, "0")
    for n in range(rounds(40)):
        t.start()
        for name, pids in t.census(["s0", "s1", "s2"]).items():
            if name.startswith("s"):
                t.need(len(pids) <= 1, f"seed {seed}, round {n}: {name} runs {len(pids)} times: {pids}")
        timer = threading.Timer(rng.random() ** 2 * 0.3, t.process.kill)
        timer.start()
        try:
            while True:
                disturb(t, rng, names)
        except (OSError, Failed):
            pass
        timer.join()
        t.process.wait()
    write_world(t, names, "9")
    t.start()
    t.ctl("restart", "*")
    sizes = {"s0": 1, "s1": 1, "s2": 1, "trio0": 3, "trio1": 3}

    def whole():
        census, services = t.census(names), t.all()
        return all(len(census[n]) == size and services[n]["pid"] in census[n] for n, size in sizes.items())

    eventually(whole, f"seed {seed}: one process group of each")
    t.eq(t.terminate(), 0, "exit code")
    t.eq(t.live(), [], f"seed {seed}: no process is left")


@test
def crashes_at_the_start(t):
    """supd dies again and again while it starts many services, or takes them over."""
    names = [f"s{n}" for n in range(40)]
    t.configure(*[t.sleeper(n) for n in names])
    rng = random.Random(3)
    for n in range(rounds(40)):
        t.spawn()
        time.sleep(rng.random() * 0.08)  # a random moment is the point
        t.crash()
        for name, pids in t.census(names).items():
            t.need(len(pids) <= 1, f"round {n}: {name} runs {len(pids)} times: {pids}")
    t.start()
    t.settle(names, "at the end")
    t.eq(t.terminate(), 0, "exit code")
    t.eq(t.live(), [], "no process is left")


@test
def crashes_during_the_shutdown(t):
    """TERM was taken: whoever comes next finishes nothing that was not begun and leaves no double."""
    names = [f"s{n}" for n in range(20)]
    t.configure(*[t.sleeper(n) for n in names])
    rng = random.Random(4)
    for n in range(10):
        t.start()
        t.settle(names, f"round {n}")
        t.process.send_signal(signal.SIGTERM)
        time.sleep(rng.random() * 0.02)  # a random moment is the point
        t.crash()
        for name, pids in t.census(names).items():
            t.need(len(pids) <= 1, f"round {n}: {name} runs {len(pids)} times: {pids}")
    t.start()
    t.settle(names, "at the end")


def hold_before_exec(t):
    """A service whose child waits before its exec, in opening a FIFO that nobody writes."""
    os.mkfifo(t.path("held"))
    t.configure(t.marked("held", "for-ever", stdin=t.path("held")), t.sleeper("a"))
    t.start()
    pid = t.wait_state("a", "running")["pid"]
    t.wait_state("held", "starting")
    return pid


@test
def child_held_before_its_exec(t):
    pid = hold_before_exec(t)
    for n in range(3):
        t.crash()
        t.start()
        t.eq((t.status("a")["pid"], t.live("held")), (pid, []), f"crash {n}")
        t.wait_state("held", "starting")
    fd = os.open(t.path("held"), os.O_RDWR)
    s = t.wait_state("held", "running")
    eventually(lambda: t.marks("held"), "it runs")
    t.eq((t.live("held"), len(t.marks("held"))), ([s["pid"]], 1), "one process, one start")
    t.eq(t.terminate(), 0, "exit code")
    t.nothing_left()
    os.close(fd)


@test
def held_child_goes_on_meanwhile(t):
    """The child execs after supd's death and before, or while, the new one takes over."""
    hold_before_exec(t)
    t.crash()
    fd = os.open(t.path("held"), os.O_RDWR)
    t.spawn()
    eventually(t.answers, "the new supd answers")
    s = t.wait_state("held", "running")
    eventually(lambda: t.marks("held"), "it runs")
    t.eq((t.live("held"), len(t.marks("held"))), ([s["pid"]], 1), "one process, one start")
    os.close(fd)


@test
def supd_of_two_hundred(t):
    names = [f"s{n}" for n in range(200)]
    t.configure(*[t.sleeper(n) for n in names])
    t.start()
    before = t.settle(names, "at first")
    for _ in range(3):
        t.crash_and_start()
        t.eq(t.settle(names, "after a crash"), before, "the same processes")
    t.eq(t.terminate(), 0, "exit code")
    t.eq(t.live(), [], "no process is left")


if __name__ == "__main__":
    main()
