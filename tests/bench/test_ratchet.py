#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The ratchet: what supd does most must not come to take more instructions without anybody having decided so.

Instructions are counted by valgrind; unlike times they are the same on a busy machine, but not with another compiler. With
--accept the figures of this tree are written down as those that hold from now on.
"""
import os
import platform
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))

from processes import is_sanitized  # noqa: E402

FIGURES = os.path.join(HERE, "ratchet.txt")
SCENARIOS = {
    "restarts": "1,000 restarts",
    "status": "the status of 1,000 services",
    "replay": "the replay of 10,000 records",
    "config": "a configuration of 1,000 services",
}
MOST = 1.05  # times the figure
LEAST = 0.90  # a figure that is so much too high would let a lot through


def program():
    return os.path.join(os.environ.get("top_builddir", "."), "tests", "bench", "ratchet")


def compiler():
    """What the figures depend on beside the source: the C library, and how the program itself was compiled."""
    with open(program(), "rb") as file:
        found = re.search(rb"GNU C17 [0-9.]+[ -~]*", file.read())
    return " ".join((*platform.libc_ver(), found.group(0).decode().strip() if found else "unknown"))


def count(scenario):
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=ratchet_measured",
               program(), scenario]
    # Which of its functions for strings the C library takes must not depend on the processor.
    env = {**os.environ, "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-BMI2,-ERMS,-SSE4_2"}
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False,
                          env=env)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or not found:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr[-1000:]}")
    return int(found.group(1))


def read_figures():
    """(compiler, of scenario to instructions)."""
    with open(FIGURES, encoding="utf-8") as file:
        lines = [line.split(None, 1) for line in file if line.strip() and not line.startswith("#")]
    figures = {name: value.strip() for name, value in lines}
    return figures.pop("compiler"), {name: int(value) for name, value in figures.items()}


def write_figures():
    with open(FIGURES + ".new", "w", encoding="utf-8") as file:
        file.write("# SPDX-License-Identifier: MIT\n"
                   "# Instructions of each scenario of ratchet.c.  Written by `make ratchet-accept`.\n"
                   f"compiler {compiler()}\n")
        for scenario in SCENARIOS:
            file.write(f"{scenario} {count(scenario)}\n")
    os.rename(FIGURES + ".new", FIGURES)


def why_not():
    """Why nothing can be counted here, or None."""
    if not shutil.which("valgrind"):
        return "valgrind is not installed"
    if is_sanitized(program()):
        return "a program built with sanitizers does not run under valgrind"
    if compiler() != read_figures()[0]:
        return f"the figures are of another compiler or of other flags: {read_figures()[0]}"
    return None


def verdict(scenario, figure):
    """(does it hold, what is to be said)."""
    found = count(scenario)
    text = f"{found:,} instructions, {figure:,} accepted ({found / figure - 1:+.1%})"
    if found > MOST * figure:
        return False, text + ". If that is worth it: make ratchet-accept, and say in the commit why"
    if found < LEAST * figure:
        return True, text + ". Well done: make ratchet-accept, so that it stays so"
    return True, text


def main():
    if "--accept" in sys.argv[1:]:
        write_figures()
        return
    print(f"1..{len(SCENARIOS)}")
    reason = why_not()
    for number, (scenario, title) in enumerate(SCENARIOS.items(), 1):
        if reason:
            print(f"ok {number} - {title} # SKIP {reason}")
            continue
        holds, text = verdict(scenario, read_figures()[1][scenario])
        print(f"# {text}\n{'ok' if holds else 'not ok'} {number} - {title}", flush=True)


if __name__ == "__main__":
    main()
