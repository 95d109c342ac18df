# SPDX-License-Identifier: MIT
"""What runs in the machine: the test of the plan under tests/run-test, its TAP to the second serial line.

A line that begins with @ is ours: "@begin", "@end STATUS", "@done".  At the end the machine is switched off; where its
first process is supd, that is shut down, and this program with it.
"""

import ctypes
import json
import os
import subprocess
import sys
import termios
import tty

LINUX_REBOOT_CMD_POWER_OFF = 0x4321FEDC
SRC, BUILD = "/src", "/build"
# What the tests call, by the variables in which tests.am tells them of it; tests/vm/run puts it there.
PROGRAMS = {
    "SUPD": "supd",
    "SUPCTL": "supctl",
    "SUPLOG": "suplog",
    "WORKER": "tests/e2e/worker",
    "STEPPER": "tests/crash/stepper",
    "FAULT": "tests/faults/fault",
    "CLOCK": "tests/faults/clock.so",
    "PAUSE": "tests/faults/pause.so",
}


def environment(plan):
    """As tests.am has it."""
    return {
        **os.environ,
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LC_ALL": "C.UTF-8",
        **{variable: f"{BUILD}/{name}" for variable, name in PROGRAMS.items()},
        "top_srcdir": SRC,
        "top_builddir": BUILD,
        "CK_DEFAULT_TIMEOUT": "120",
        "PYTHONPATH": f"{SRC}/tests/e2e",
        "PYTHONDONTWRITEBYTECODE": "1",
        **plan["environment"],
    }


def run(line, name, env):
    path = next(p for p in (f"{BUILD}/{name}", f"{SRC}/{name}") if os.path.exists(p))
    line.write(b"@begin\n")
    process = subprocess.Popen(
        [sys.executable, f"{SRC}/tests/run-test", path],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=env,
        cwd="/tmp",
    )
    for text in process.stdout:
        line.write(text.rstrip(b"\n") + b"\n")
    line.write(f"@end {process.wait()}\n".encode())


def main():
    with open("/plan.json", encoding="utf-8") as file:
        plan = json.load(file)
    env = environment(plan)
    with open("/dev/ttyS1", "wb", buffering=0) as line:
        tty.setraw(line.fileno())
        run(line, plan["test"], env)
        line.write(b"@done\n")
        # What was written must have left before the machine goes.
        termios.tcdrain(line.fileno())
    if plan["init"]:
        os.execv(env["SUPCTL"], ["supctl", "shutdown"])
    ctypes.CDLL(None).reboot(ctypes.c_int(LINUX_REBOOT_CMD_POWER_OFF))


if __name__ == "__main__":
    main()
