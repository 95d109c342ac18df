#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""supd.service under a real systemd: who lives on when what dies."""

import socket

import machine
from machine import Skipped, Tap, check, skip_all, wait_for

REASON = machine.missing()
if REASON is not None:
    skip_all(REASON)

from machine_supd import Supd  # noqa: E402

supd = Supd()
SLEEPER = 'command = {"/bin/sleep", "100000"}\nlog = none'
TWO = {"one": SLEEPER, "two": SLEEPER}


def started(unit="", **more):
    return supd.started(unit, **TWO, **more)


def started_with_stubborn(stop_timeout, unit=""):
    """With a service that does not end before its stop-timeout."""
    trapped = supd.dir / "trapped"
    trapped.unlink(missing_ok=True)
    script = f"trap : TERM; touch {trapped}; while :; do sleep 9; done"
    before = started(unit, stubborn=f"""command = {{"/bin/sh", "-c", "{script}"}}
log = none
kill-mode = mixed
stop-timeout = {stop_timeout}""")
    wait_for("the trap", trapped.exists)
    return before


def test_the_unit_starts():
    supd.configure(**TWO)
    supd.systemctl("start", "supd.service")
    before = supd.wait_running(*TWO)
    check(supd.show("ActiveState") == "active", "not active")
    check(supd.status()["one"]["adopted"] is False, "adopted by the first supd")
    check(len(supd.processes()) == len(before) + 1, f"processes: {supd.processes()}")


def test_services_see_nothing_that_is_for_supd():
    log = supd.dir / "env"
    supd.configure(env=f'command = "/usr/bin/env"\nrestart = no\nlog = "{log}"', **TWO)
    supd.systemctl("reload", "supd.service")
    wait_for("the environment in its log", lambda: log.exists() and "SUPD_SERVICE=env" in log.read_text())
    private = ("NOTIFY_", "WATCHDOG_", "LISTEN_", "FDSTORE", "INVOCATION_ID", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID",
               "MANAGERPID", "MAINPID", "MEMORY_PRESSURE_", "RUNTIME_DIRECTORY", "CREDENTIALS_DIRECTORY")
    leaked = [line for line in log.read_text().splitlines() if line.startswith(private)]
    check(not leaked, f"seen by the service: {leaked}")


def test_a_kill_of_supd_leaves_the_services_alone():
    before = started()
    for _ in range(5):
        old = supd.main_pid()
        restarts = int(supd.show("NRestarts"))
        supd.kill("KILL")
        supd.wait_new_main(old)
        supd.check_same(before)
        check(int(supd.show("NRestarts")) == restarts + 1, "another supd came only when it was tried again")
    check(all(supd.status()[n]["adopted"] for n in before), "not adopted")


def test_systemctl_restart_leaves_the_services_alone():
    before = started()
    old = supd.main_pid()
    supd.systemctl("restart", "supd.service")
    supd.wait_new_main(old)
    supd.check_same(before)


def test_a_live_upgrade_is_the_same_process_to_systemd():
    started()
    supd.supctl("restart", "*")  # so that they are children of this supd, whatever the test before did
    before = supd.wait_running(*TWO)
    main = supd.main_pid()
    for _ in range(3):
        supd.supctl("upgrade")
        supd.check_same(before)
        check(supd.main_pid() == main, "another main process")
        wait_for("the unit is active", lambda: supd.show("ActiveState") == "active")
    check(not any(supd.status()[n]["adopted"] for n in before), "adopted")


def test_a_reload_takes_a_changed_configuration():
    before = started()
    main = supd.main_pid()
    supd.configure(three=SLEEPER, **TWO)
    supd.systemctl("reload", "supd.service")
    supd.wait_running("one", "two", "three")
    supd.check_same(before)
    supd.configure(**TWO)
    supd.systemctl("reload", "supd.service")
    check("three" not in supd.status(), "three is still known")
    check(supd.main_pid() == main, "another supd")


def test_a_reload_reports_a_broken_configuration():
    before = started()
    main = supd.main_pid()
    good = supd.config.read_text()
    supd.config.write_text(good + 'service "four" {\ncommand = "/bin/true"\nrestart = perhaps\n}\n')
    place = f"{supd.config}:{good.count(chr(10)) + 3}: "
    result = supd.systemctl("reload", "supd.service", ok=False)
    check(result.returncode != 0, "systemctl reload says that all is well")
    check(supd.show("ActiveState") == "active", "not active any more")
    check(supd.main_pid() == main, "another supd")
    supd.check_same(before)
    wait_for("the error with its place in the journal",
             lambda: any(place in e["MESSAGE"] for e in supd.journal()))


def test_sighup_reloads_too():
    started()
    main = supd.main_pid()
    supd.configure(three=SLEEPER, **TWO)
    supd.kill("HUP")
    supd.wait_running("one", "two", "three")
    wait_for("the unit active again", lambda: supd.show("SubState") == "running")
    supd.configure(**TWO)
    supd.kill("HUP")
    wait_for("three gone", lambda: "three" not in supd.status())
    check(supd.main_pid() == main, "another supd")


def test_the_journal_knows_priorities():
    started()
    supd.config.write_text("nonsense\n")
    supd.kill("HUP")

    def entries():
        return [e for e in supd.journal() if e.get("SYSLOG_IDENTIFIER") == "supd"]
    wait_for("an error about the configuration, of priority 3",
             lambda: any(e["PRIORITY"] == "3" and f"{supd.config}:1: " in e["MESSAGE"] for e in entries()))
    marked = [e["MESSAGE"] for e in entries() if e["MESSAGE"].startswith("<")]
    check(not marked, f"the priority is part of the text: {marked}")
    seen = {e["PRIORITY"] for e in entries()}
    check({"3", "6"} <= seen <= {"3", "4", "6", "7"}, f"priorities in the journal: {seen}")


def test_the_watchdog_is_answered():
    before = started("WatchdogSec=2s")
    supd.systemctl("restart", "supd.service")
    supd.wait_running(*TWO)
    main = supd.main_pid()
    seen = set()

    def four_signs():
        seen.add(supd.show("WatchdogTimestampMonotonic"))
        return len(seen) > 3
    wait_for("four signs of life", four_signs)
    check(supd.main_pid() == main, "another supd")
    supd.check_same(before)


def test_a_frozen_supd_is_replaced():
    before = started("WatchdogSec=2s")
    supd.systemctl("restart", "supd.service")
    supd.wait_running(*TWO)
    main = supd.main_pid()
    supd.kill("STOP")
    supd.wait_new_main(main)
    supd.check_same(before)


def limits_of(name):
    """What the kernel has of its limits, in whichever cgroup it is; None where that has no controller."""
    files = ("memory.max", "memory.current", "pids.max")
    own = supd.run("sed", "-n", "s/^0:://p", f"/proc/{supd.pids()[name]}/cgroup").stdout.strip()
    result = supd.run("sh", "-c", 'cd "$1" && shift && cat "$@"', "sh", f"/sys/fs/cgroup{own}", *files, ok=False)
    return result.stdout.split() if result.returncode == 0 else None


def test_limits_are_kept_with_another_supd():
    controllers = supd.run("cat", "/sys/fs/cgroup/cgroup.controllers").stdout.split()
    if not {"memory", "pids"} <= set(controllers):
        raise Skipped("no controllers for memory and pids")
    before = started(limited=SLEEPER + "\ncgroup { memory-max = 64M pids-max = 7 }")

    def are_there():
        limits = limits_of("limited")
        return limits is not None and (limits[0], limits[2]) == (str(64 << 20), "7")
    wait_for("the limits", are_there)
    for how in ("kill", "restart", "kill"):
        old = supd.main_pid()
        if how == "kill":
            supd.kill("KILL")
        else:
            supd.systemctl("restart", "supd.service")
        supd.wait_new_main(old)
        supd.check_same(before)
        wait_for(f"the limits after a {how}", are_there)


def test_systemctl_stop_ends_everything():
    before = started_with_stubborn("1s")
    supd.stop()
    check(supd.show("ActiveState") == "inactive", "not inactive: " + supd.show("ActiveState"))
    check(supd.show("Result") == "success", "result " + supd.show("Result"))
    supd.check_gone(before)


def test_a_stop_takes_the_time_that_the_services_need():
    before = started_with_stubborn("3s", unit="TimeoutStopSec=1s")
    supd.stop()
    check(supd.show("Result") == "success", "result " + supd.show("Result"))
    supd.check_gone(before)


def test_a_stop_while_supd_is_dead_ends_everything():
    before = started("RestartSec=1h")
    supd.kill("KILL")
    supd.wait_state("activating", "auto-restart")
    check(all(supd.alive(pid) for pid in before.values()), "the crash of supd ended services")
    supd.stop()
    supd.check_gone(before)


def test_such_a_stop_takes_the_time_that_the_services_need():
    before = started_with_stubborn("3s", unit="RestartSec=1h")
    supd.drop_in("TimeoutStopSec=1s", unit="supd-leftovers.service")
    supd.kill("KILL")
    supd.wait_state("activating", "auto-restart")
    supd.stop()
    check(supd.show("Result", "supd-leftovers.service") == "success", "the companion was cut off")
    supd.check_gone(before)


def test_a_restart_while_supd_is_dead_leaves_the_services_alone():
    before = started("RestartSec=1h")
    supd.kill("KILL")
    supd.wait_state("activating", "auto-restart")
    supd.systemctl("restart", "supd.service")
    supd.check_same(before)


def test_a_service_that_ended_while_supd_was_dead_is_started_again():
    before = started("RestartSec=1h")
    supd.kill("KILL")
    supd.wait_state("activating", "auto-restart")
    supd.run("kill", "-KILL", before["one"])
    supd.systemctl("restart", "supd.service")
    after = supd.wait_running(*TWO)
    check(after["one"] != before["one"] and supd.alive(after["one"]), f"one: {before} and then {after}")
    check(after["two"] == before["two"], f"two: {before} and then {after}")
    check(not supd.alive(before["one"]), "the old one is alive")


def exit_told(names):
    """{name: (how, code, signal, source)} of services that have ended."""
    status = supd.status()
    if not all(status.get(n, {}).get("state") in ("failed", "exited") for n in names):
        return None
    return {n: tuple(status[n]["exit"][k] for k in ("how", "code", "signal", "source")) for n in names}


def test_how_a_service_ended_while_supd_was_dead_is_known():
    quits = """command = {"/bin/sh", "-c", "trap 'exit %d' USR1; while :; do sleep 0.05; done"}
log = none
restart = no"""
    before = started("RestartSec=3s", seven=quits % 7, zero=quits % 0, killed=SLEEPER + "\nrestart = no")
    old = supd.main_pid()
    supd.kill("KILL")
    supd.wait_state("activating", "auto-restart")
    supd.run("kill", "-USR1", before["seven"], before["zero"])
    supd.run("kill", "-SEGV", before["killed"])
    wait_for("the ends", lambda: not any(supd.alive(before[n]) for n in ("seven", "zero", "killed")))
    check(supd.show("SubState") == "auto-restart", "supd was there again too early for this test")
    supd.wait_new_main(old)
    told = wait_for("three ends", lambda: exit_told(("seven", "zero", "killed")))
    known = supd.kernel_keeps_exits()
    check(not known or told == {"seven": ("exited", 7, None, "pidfd"), "zero": ("exited", 0, None, "pidfd"),
                                "killed": ("signaled", None, "SEGV", "pidfd")}, f"known, and told as {told}")
    check(known or all(t[0] == "unknown" for t in told.values()), f"this kernel cannot know it, and it is {told}")
    check(supd.pids().get("two") == before["two"], "another one was touched")


def test_nothing_is_kept_for_what_has_ended():
    started()
    supd.supctl("restart", "one", "two")
    supd.supctl("stop", "two")
    wait_for("one descriptor in the store", lambda: supd.show("NFileDescriptorStore") == "1")
    old = supd.main_pid()
    supd.kill("KILL")
    supd.wait_new_main(old)
    wait_for("the same after a crash", lambda: supd.show("NFileDescriptorStore") == "1")
    supd.supctl("start", "two")
    wait_for("and two with both", lambda: supd.show("NFileDescriptorStore") == "2")


def test_sockets_are_kept_while_supd_is_dead():
    path = supd.dir / "web.sock"
    before = started("RestartSec=3s", web=f'{SLEEPER}\nlisten = "unix:{path}"')
    old = supd.main_pid()
    with socket.socket(socket.AF_UNIX) as early, socket.socket(socket.AF_UNIX) as late:
        early.connect(str(path))
        supd.kill("KILL")
        supd.wait_state("activating", "auto-restart")
        supd.run("kill", "-KILL", before["web"])
        wait_for("the end of the service", lambda: not supd.alive(before["web"]))
        late.connect(str(path))
        check(supd.show("SubState") == "auto-restart", "supd was there again too early for this test")
        supd.wait_new_main(old)
        wait_for("the service", lambda: supd.pids().get("web") not in (None, before["web"]))
        check(supd.status()["web"]["sockets"][0]["open"], "supd does not have it")
        for client in (early, late):
            client.setblocking(False)
            try:
                check(client.recv(1) != b"", "a client that waited was sent away")
            except BlockingIOError:
                pass
    supd.supctl("stop", "web")
    wait_for("its descriptors to be removed", lambda: supd.show("NFileDescriptorStore") == "2")


def test_output_reaches_the_journal_while_supd_is_dead():
    lines = supd.dir / "lines"
    lines.touch()
    supd.started("RestartSec=1h", talker=f'command = {{"/usr/bin/tail", "-f", "{lines}"}}')
    supd.kill("KILL")
    supd.wait_state("activating", "auto-restart")
    with open(lines, "a", encoding="utf-8") as file:
        file.write("said while supd was dead\n")
    wait_for("the line in the journal",
             lambda: any(e["MESSAGE"] == "said while supd was dead" for e in supd.journal()))


def test_a_broken_configuration_is_survived_by_services_that_run():
    before = started()
    supd.config.write_text("nonsense\n")
    old = supd.main_pid()
    supd.kill("KILL")
    supd.wait_new_main(old)
    supd.check_same(before)


def test_a_broken_configuration_fails_the_start_and_a_repair_is_taken_up():
    started()
    supd.stop()
    supd.config.write_text("nonsense\n")
    check(supd.systemctl("start", "supd.service", ok=False).returncode != 0, "systemctl start says that all is well")
    supd.configure(**TWO)
    supd.wait_running(*TWO)


def test_a_crash_during_the_stop_ends_everything():
    before = started_with_stubborn("3s")
    supd.systemctl("stop", "--no-block", "supd.service")
    wait_for("stubborn being stopped", lambda: supd.status().get("stubborn", {}).get("state") == "stopping")
    supd.kill("KILL")
    wait_for("the end of the unit", lambda: supd.show("ActiveState") in ("inactive", "failed"))
    supd.wait_companion_stopped()
    supd.check_gone(before)


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
