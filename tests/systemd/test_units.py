#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""supd.service under a real systemd: who lives on when what dies."""

import machine
from machine import Tap, check, skip_all, wait_for

REASON = machine.missing()
if REASON is not None:
    skip_all(REASON)

from machine_supd import Supd  # noqa: E402

supd = Supd()
SLEEPER = 'command = {"/bin/sleep", "100000"}\nlog = none'
STUBBORN = """command = {"/bin/sh", "-c", "trap : TERM; touch DIR/trapped; while :; do sleep 1000; done"}
log = none
kill-mode = mixed
stop-timeout = STOP"""


def started():
    """supd runs with its two services and what the test configured, whatever the test before left."""
    supd.systemctl("start", "supd.service")
    supd.systemctl("reload", "supd.service")
    return supd.wait_running("one", "two")


def test_the_unit_starts():
    supd.configure(one=SLEEPER, two=SLEEPER)
    before = started()
    check(supd.show("ActiveState") == "active", "not active")
    check(supd.status()["one"]["adopted"] is False, "adopted by the first supd")
    check(len(supd.processes()) == len(before) + 1, f"processes: {supd.processes()}")


def test_services_see_nothing_that_is_for_supd():
    log = supd.dir / "env"
    supd.configure(env=f'command = "/usr/bin/env"\nrestart = no\nlog = "{log}"')
    supd.systemctl("reload", "supd.service")
    wait_for("the environment in its log", lambda: log.exists() and "SUPD_SERVICE=env" in log.read_text())
    private = ("NOTIFY_", "WATCHDOG_", "LISTEN_", "FDSTORE", "INVOCATION_ID", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID",
               "MANAGERPID", "MAINPID", "MEMORY_PRESSURE_", "RUNTIME_DIRECTORY", "CREDENTIALS_DIRECTORY")
    leaked = [line for line in log.read_text().splitlines() if line.startswith(private)]
    check(not leaked, f"seen by the service: {leaked}")
    supd.configure(env=None)
    supd.systemctl("reload", "supd.service")


def test_a_kill_of_supd_leaves_the_services_alone():
    before = started()
    for _ in range(5):
        old = supd.main_pid()
        supd.kill("KILL")
        supd.wait_new_main(old)
        supd.check_same(before)
    check(all(supd.status()[n]["adopted"] for n in before), "not adopted")


def test_systemctl_restart_leaves_the_services_alone():
    before = started()
    old = supd.main_pid()
    supd.systemctl("restart", "supd.service")
    supd.wait_new_main(old)
    supd.check_same(before)


def test_a_reload_takes_a_changed_configuration():
    before = started()
    main = supd.main_pid()
    supd.configure(three=SLEEPER)
    supd.systemctl("reload", "supd.service")
    supd.wait_running("one", "two", "three")
    supd.check_same(before)
    supd.configure(three=None)
    supd.systemctl("reload", "supd.service")
    check("three" not in supd.status(), "three is still known")
    check(supd.main_pid() == main, "another supd")


def test_a_reload_reports_a_broken_configuration():
    before = started()
    main = supd.main_pid()
    good = supd.config.read_text()
    supd.config.write_text(good + 'service "four" {\ncommand = "/bin/true"\nrestart = perhaps\n}\n')
    line = good.count("\n") + 3
    result = supd.systemctl("reload", "supd.service", ok=False)
    supd.config.write_text(good)
    check(result.returncode != 0, "systemctl reload says that all is well")
    check(supd.show("ActiveState") == "active", "not active any more")
    check(supd.main_pid() == main, "another supd")
    supd.check_same(before)
    wait_for("the error with its place in the journal",
             lambda: any(f"{supd.config}:{line}: " in e["MESSAGE"] for e in supd.journal()))


def test_sighup_reloads_too():
    started()
    main = supd.main_pid()
    supd.configure(three=SLEEPER)
    supd.kill("HUP")
    supd.wait_running("one", "two", "three")
    wait_for("the unit active again", lambda: supd.show("SubState") == "running")
    supd.configure(three=None)
    supd.kill("HUP")
    wait_for("three gone", lambda: "three" not in supd.status())
    check(supd.main_pid() == main, "another supd")


def test_the_journal_knows_priorities():
    started()
    main = supd.main_pid()
    supd.kill("KILL")
    supd.wait_new_main(main)
    entries = [e for e in supd.journal() if e.get("SYSLOG_IDENTIFIER") == "supd"]
    check(entries, "supd says nothing")
    marked = [e["MESSAGE"] for e in entries if e["MESSAGE"].startswith("<")]
    check(not marked, f"the priority is part of the text: {marked}")
    wrong = [e["MESSAGE"] for e in entries if e["PRIORITY"] not in ("3", "4", "6", "7")]
    check(not wrong, f"lines without a priority of their own: {wrong}")


def test_the_watchdog_is_answered():
    supd.drop_in("WatchdogSec=2s")
    supd.systemctl("restart", "supd.service")
    before = started()
    main = supd.main_pid()
    seen = set()

    def three_more_signs():
        seen.add(supd.show("WatchdogTimestampMonotonic"))
        return len(seen) > 3
    wait_for("four signs of life", three_more_signs)
    check(supd.main_pid() == main, "another supd")
    supd.check_same(before)


def test_a_frozen_supd_is_replaced():
    before = started()
    main = supd.main_pid()
    supd.kill("STOP")
    supd.wait_new_main(main)
    supd.check_same(before)
    supd.drop_in("")
    supd.systemctl("restart", "supd.service")


def test_systemctl_stop_ends_everything():
    supd.configure(stubborn=STUBBORN.replace("STOP", "1s").replace("DIR", str(supd.dir)))
    before = started()
    wait_for("the trap", (supd.dir / "trapped").exists)
    before |= supd.wait_running("stubborn")
    supd.stop()
    check(supd.show("ActiveState") == "inactive", "not inactive: " + supd.show("ActiveState"))
    check(supd.show("Result") == "success", "result " + supd.show("Result"))
    supd.check_gone(before)
    supd.configure(stubborn=None)


def test_a_stop_while_supd_is_dead_ends_everything():
    supd.drop_in("RestartSec=1h")
    before = started()
    supd.kill("KILL")
    supd.wait_state("activating", "auto-restart")
    check(all(supd.alive(pid) for pid in before.values()), "the crash of supd ended services")
    supd.stop()
    supd.check_gone(before)


def test_a_restart_while_supd_is_dead_leaves_the_services_alone():
    before = started()
    supd.kill("KILL")
    supd.wait_state("activating", "auto-restart")
    supd.systemctl("restart", "supd.service")
    supd.check_same(before)
    supd.drop_in("")


def test_a_crash_during_the_stop_ends_everything():
    (supd.dir / "trapped").unlink(missing_ok=True)
    supd.configure(stubborn=STUBBORN.replace("STOP", "3s").replace("DIR", str(supd.dir)))
    before = started() | supd.wait_running("stubborn")
    wait_for("the trap", (supd.dir / "trapped").exists)
    supd.systemctl("stop", "--no-block", "supd.service")
    wait_for("stubborn being stopped", lambda: supd.status().get("stubborn", {}).get("state") == "stopping")
    supd.kill("KILL")
    wait_for("the end of the unit", lambda: supd.show("ActiveState") in ("inactive", "failed"))
    supd.wait_companion_stopped()
    supd.check_gone(before)
    supd.configure(stubborn=None)
    supd.systemctl("reset-failed", "supd.service", ok=False)


def test_quit_leaves_the_services_to_the_next_supd():
    before = started()
    supd.kill("QUIT")
    supd.wait_state("inactive")
    check(all(supd.alive(pid) for pid in before.values()), "QUIT ended services")
    supd.systemctl("start", "supd.service")
    supd.check_same(before)


def test_a_stop_after_quit_ends_everything():
    before = started()
    supd.kill("QUIT")
    supd.wait_state("inactive")
    supd.stop()
    supd.check_gone(before)


def test_a_wanted_shutdown_stays_down():
    before = started()
    supd.supctl("shutdown")
    supd.wait_state("inactive")
    check(supd.show("Result") == "success", "result " + supd.show("Result"))
    supd.check_gone(before)


def test_the_stop_of_the_companion_alone_harms_nobody():
    before = started()
    supd.systemctl("stop", "supd-leftovers.service")
    supd.check_same(before)
    supd.systemctl("restart", "supd.service")
    supd.check_same(before)
    check(supd.show("ActiveState", "supd-leftovers.service") == "active", "the companion is not back")
    supd.stop()
    supd.check_gone(before)


tap = Tap()
tap.run([f for name, f in list(globals().items()) if name.startswith("test_")], supd.details)
supd.machine.end()
tap.end()
