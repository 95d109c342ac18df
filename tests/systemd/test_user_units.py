#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The units for `systemctl --user`, under the systemd of a user who may do little."""

import machine
from machine import Tap, check, skip_all

REASON = machine.missing()
if REASON is not None:
    skip_all(REASON)

from machine_supd import Supd  # noqa: E402

UID = 65534
SLEEPER = 'command = {"/bin/sleep", "100000"}\nlog = none'
TWO = {"one": SLEEPER, "two": SLEEPER}

supd = Supd(user=UID)
supd.machine.unit("user-manager.service", f"""[Service]
User={UID}
Type=notify
ExecStart=/lib/systemd/systemd --user --unit=test.target
Environment=HOME={supd.dir} XDG_CONFIG_HOME={supd.dir}/etc XDG_RUNTIME_DIR=/run/user/{UID}
Environment=SYSTEMD_UNIT_PATH={supd.machine.units}/user SYSTEMD_GENERATOR_PATH={supd.dir}/generators
Delegate=yes
""")
for name in ("test", "basic", "shutdown"):
    supd.machine.unit(f"user/{name}.target", machine.EMPTY_TARGET)
supd.machine.run("mkdir", "-p", "/run/user")
supd.machine.run("install", "-d", "-m", "700", "-o", UID, f"/run/user/{UID}")
supd.machine.systemctl("daemon-reload")
supd.machine.systemctl("start", "user-manager.service")


def started(unit=""):
    return supd.started(unit, **TWO)


def test_the_unit_starts():
    supd.configure(**TWO)
    supd.systemctl("start", "supd.service")
    before = supd.wait_running(*TWO)
    owner = supd.machine.run("stat", "-c", "%u", supd.socket, f"/proc/{before['one']}").stdout.split()
    check(owner == [str(UID)] * 2, f"owners {owner}")


def test_a_kill_of_supd_leaves_the_services_alone():
    before = started()
    old = supd.main_pid()
    supd.kill("KILL")
    supd.wait_new_main(old)
    supd.check_same(before)


def test_a_restart_leaves_the_services_alone():
    before = started()
    old = supd.main_pid()
    supd.systemctl("restart", "supd.service")
    supd.wait_new_main(old)
    supd.check_same(before)


def test_a_reload_takes_a_changed_configuration_and_reports_a_broken_one():
    before = started()
    supd.configure(three=SLEEPER, **TWO)
    supd.systemctl("reload", "supd.service")
    supd.wait_running("one", "two", "three")
    good = supd.config.read_text()
    supd.config.write_text(good + 'service "four" {\ncommand = "/bin/true"\nrestart = perhaps\n}\n')
    result = supd.systemctl("reload", "supd.service", ok=False)
    check(result.returncode != 0, "systemctl reload says that all is well")
    supd.check_same(before)


def test_a_stop_while_supd_is_dead_ends_everything():
    before = started("RestartSec=1h")
    supd.kill("KILL")
    supd.wait_state("activating", "auto-restart")
    check(all(supd.alive(pid) for pid in before.values()), "the crash of supd ended services")
    supd.stop()
    supd.check_gone(before)


def test_a_stop_ends_everything():
    before = started()
    supd.stop()
    check(supd.show("Result") == "success", "result " + supd.show("Result"))
    supd.check_gone(before)


tap = Tap()
tap.run([f for name, f in list(globals().items()) if name.startswith("test_")], supd.details)
supd.machine.end()
tap.end()
