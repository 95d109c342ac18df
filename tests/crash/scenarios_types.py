# SPDX-License-Identifier: MIT
"""Types of services, their control processes and readiness, while supd is killed: docs/promises.md, "A hook runs once".

What a crash may cost is written there, too: a pre-start whose end is lost has failed, so that its service is started
once more, and a hook that is killed because it hangs before its exec did not run.
"""
from instance import service
from processes import SLOWER, eventually
from scenarios import Scenario

HOOKED = "hooked"


def note(t, word, text=""):
    """A hook that leaves a line in a file of its own."""
    return ["/bin/sh", "-c", f'echo "{text}" >> {t.path(word)}']


def notes(t, word):
    return t.read(word).splitlines()


def daemon(t, name, **keys):
    """A forking service: what its command leaves behind writes a mark, and holds the lock that betrays a second one."""
    t.sizes[name] = 1
    steps = ("alone", t.path(name + ".alone"), "child-mark", t.path(name + ".mark"), "exit", "0")
    return service(name, t.worker(*steps), type="forking", **keys)


def remaining(t, name, **keys):
    """A oneshot service, which is up and has no process."""
    t.remaining.add(name)
    return t.service(name, "exit", "0", type="oneshot", remain_after_exit=True, **keys)


class Types(Scenario):
    """The first start of services with pre-start and post-start, of a oneshot and of a forking one."""

    from_start = True
    anew = True

    def world(self, t):
        fast = {"restart_delay": "20ms"}
        hooks = {word.replace("-", "_"): note(t, word) for word in ("pre-start", "post-start", "post-stop")}
        t.configure(
            t.lines("calm"),
            t.service(HOOKED, **fast, **hooks),
            remaining(t, "once", post_start=note(t, "once.up")),
            daemon(t, "daemon", post_start=note(t, "daemon.up", "$MAINPID"), **fast),
        )

    def act(self, t):
        t.until_marks(calm=1, hooked=1, once=1, daemon=1)
        for word in ("post-start", "once.up", "daemon.up"):
            t.until(lambda word=word: notes(t, word), f"{word} has run")

    def verify(self, t):
        s = t.settled()
        t.expect_up("calm", s["calm"], 1)
        self.verify_hooked(t, s[HOOKED])
        self.verify_once(t, s["once"])
        self.verify_daemon(t, s["daemon"])

    def verify_hooked(self, t, status):
        lives = status["starts"]
        counts = {word: len(notes(t, word)) for word in ("pre-start", "post-start", "post-stop")}
        mains = len(t.marks(HOOKED))
        t.eq(status["state"], "running", "hooked: state")
        t.check(lives == 1 or t.killed, f"hooked: {lives} lives, and supd has not died")
        if t.child_was_killed():
            t.check(counts["pre-start"] <= lives and counts["post-stop"] < lives, f"hooked: {counts} in {lives} lives")
            t.check(1 <= mains <= lives and counts["post-start"] <= mains, f"hooked: {mains} started, {counts}")
            return
        t.eq(counts, {"pre-start": lives, "post-start": 1, "post-stop": lives - 1}, f"hooked: in {lives} lives")
        t.expect_marks(HOOKED, 1)

    def verify_once(self, t, status):
        marks, ups = len(t.marks("once")), len(notes(t, "once.up"))
        if status["state"] == "running":
            t.eq((marks, status["pid"], status["exit"]["code"]), (1, None, 0), "once: marks, pid, exit")
            t.check(ups == 1 or (ups == 0 and t.child_was_killed()), f"once: {ups} times post-start")
            return
        t.check(t.killed, f"once: {status}")
        t.eq(status["state"], "failed", "once: state")
        t.check(marks == 1 or t.child_was_killed(), f"once: {marks} marks")
        t.check(marks <= 1 and ups <= 1, f"once: {marks} times started, {ups} times post-start")
        if not t.child_was_killed():
            t.expect_exit("once", status, "exited", 0)

    def verify_daemon(self, t, status):
        # Its mark may come later than supd's word that it runs.
        t.until_marks(daemon=1)
        marks = [pid for pid, _ in t.marks("daemon")]
        lives = status["starts"]
        t.eq((status["state"], t.live("daemon")), ("running", [status["pid"]]), "daemon: state, processes")
        t.check(status["pid"] in marks, f"daemon: {status['pid']} is its main process, and {marks} were started")
        ups = notes(t, "daemon.up")
        if t.child_was_killed():
            t.check(len(marks) <= lives and len(ups) <= lives, f"daemon: {marks} and {ups} in {lives} lives")
            return
        t.eq((lives, len(marks)), (1, 1), "daemon: lives, processes started")
        t.eq(ups, [str(status["pid"])], "daemon: post-start, and the process it was told")


class Hooks(Scenario):
    """supctl stop of services with stop-command and post-stop, a reload-command before."""

    def world(self, t):
        told = "$SUPD_EXIT_HOW:$SUPD_EXIT_STATUS"
        t.configure(
            t.lines("calm"),
            t.service(
                HOOKED,
                reload_command=note(t, "reload"),
                stop_command=note(t, "stop", "$MAINPID"),
                post_stop=note(t, "post", told),
                stop_timeout="2s",
            ),
            remaining(t, "once", post_stop=note(t, "once.post", told)),
            daemon(t, "daemon", post_stop=note(t, "daemon.post", told), stop_timeout="2s"),
        )

    def before(self, t):
        eventually(lambda: t.status("daemon")["state"] == "running", "the daemon is up")
        self.pids = {name: status["pid"] for name, status in t.all().items()}

    def act(self, t):
        t.ask("reload", "service.reload", names=[HOOKED])
        t.ask("stop", "service.stop", names=[HOOKED, "once", "daemon"])
        for word in ("post", "once.post", "daemon.post"):
            t.until(lambda word=word: notes(t, word), f"{word} has run")

    def verify(self, t):
        s = t.settled()
        t.expect_same("calm", s["calm"], self.pids["calm"])
        t.check(len(notes(t, "reload")) <= 1, f"hooked: {len(notes(t, 'reload'))} times reload-command")
        for name, post in ((HOOKED, "post"), ("once", "once.post"), ("daemon", "daemon.post")):
            if s[name]["desired"] == "down" or "stop" in t.acknowledged:
                self.verify_down(t, name, s[name], post)
            else:
                t.eq((s[name]["state"], s[name]["pid"]), ("running", self.pids[name]), f"{name}: the process of before")
                t.eq(notes(t, post), [], f"{name}: its post-stop has run")
            t.expect_marks(name, 1)
        self.verify_stop_command(t, s[HOOKED])

    def verify_down(self, t, name, status, post):
        t.expect_down(name, status)
        ran = notes(t, post)
        t.check(len(ran) == 1 or (not ran and t.child_was_killed()), f"{name}: post-stop has run {len(ran)} times")
        if name == "once":
            good = {"exited:0"}
        else:
            # The stop-signal is recorded before it is sent, and never sent twice.
            good = {"signaled:TERM", "signaled:KILL", "unknown:"} if t.killed else {"signaled:TERM"}
            t.expect_exit(name, status, "signaled", "TERM", "KILL" if t.killed else "TERM")
        t.check(set(ran) <= good, f"{name}: post-stop was told {ran}")

    def verify_stop_command(self, t, status):
        ran = notes(t, "stop")
        if status["desired"] == "up":
            t.eq(ran, [], "hooked: its stop-command has run")
        elif ran or not t.child_was_killed():
            t.eq(ran, [str(self.pids[HOOKED])], "hooked: stop-command, and the process it was told")


class Ready(Scenario):
    """The first start of services that tell when they are ready, one of which leaves a descriptor with supd."""

    from_start = True
    anew = True

    def world(self, t):
        # Longer than a child is held, and short enough to be waited for where the word was lost.
        fast = {"restart_delay": "20ms", "start_timeout": f"{10 * SLOWER:.0f}s"}
        t.configure(
            t.lines("calm"),
            t.service("told", "notify", "READY=1", "for-ever", ready="notify", **fast),
            t.service("line", "newline", 5, "for-ever", ready="fd:5", **fast),
            t.service("keeps", "keep", "mine", "for-ever", fd_store=1, **fast),
        )

    def act(self, t):
        t.until_marks(calm=1, told=1, line=1, keeps=1)
        for name in ("told", "line"):
            t.until(lambda name=name: f"{name}: running" in t.log_text(), f"{name} is ready")

    def verify(self, t):
        s = t.settled()
        for name in ("calm", "told", "line", "keeps"):
            t.expect_up(name, s[name], 1)
            t.check(s[name]["starts"] == 1 or t.child_was_killed(), f"{name}: {s[name]['starts']} lives")
        # What it sends while supd is dead is lost, as there is no fd store.
        eventually(lambda: t.killed or t.status("keeps")["fd-store"] == ["mine"], "keeps: its descriptor is kept")
        t.check(t.status("keeps")["fd-store"] in ([], ["mine"]), f"keeps: {t.status('keeps')['fd-store']}")


SCENARIOS = {"types": Types, "hooks": Hooks, "ready": Ready}
