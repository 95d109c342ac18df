#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""supd is killed at random, again and again, under load: docs/crash-testing.md.

RUN_SECONDS: how long each test runs (4); RUN_SEED: its seed, printed. The seed chooses what is done, not what comes of
it, for that the machine has its own chance.
"""
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))

from harness import comment, main, test  # noqa: E402
from processes import Failed  # noqa: E402
from random_run import RandomRun  # noqa: E402
from truth import kernel_tells  # noqa: E402


SECONDS = float(os.environ.get("RUN_SECONDS", "4"))
LIMIT = SECONDS + 250


def run(t, init):
    seed = int(os.environ.get("RUN_SEED", random.randrange(1 << 30)))
    comment(f"seed {seed}, {SECONDS:g} s")
    os.mkdir(t.path("run"))
    world = RandomRun(t.path("run"), seed, share=1 if SECONDS >= 60 else 3, init=init)
    try:
        world.run_for(SECONDS)
        report(t, world, init)
    except Failed as failed:
        t.failures.append(str(failed))
    t.failures += world.failures
    if t.failures:
        t.failures.append(f"seed {seed}; {world.counts}; the files are in {world.dir}")


def report(t, world, init):
    verdict = world.verdict
    comment(", ".join(f"{n} {what}" for what, n in world.counts.items()))
    comment(
        f"{len(world.world.names)} services, {verdict.lives} lives: told rightly {verdict.right}, unknown "
        f"{verdict.unknown}, untold {verdict.untold}; of those who ended before they were born {verdict.early}; "
        f"sources {verdict.by_source}; heard without a break {verdict.covered}"
    )
    t.check(verdict.right > 0, "ends were told at all")
    for life, told in verdict.unknown_lives if init else ():
        comment(f"unknown: {life}, {told}")


@test(limit=LIMIT)
def killed_at_random(t):
    run(t, False)


@test(limit=LIMIT)
def killed_at_random_under_init(t):
    run(t, True)


if __name__ == "__main__":
    if not kernel_tells():
        print("1..0 # SKIP the kernel does not tell how a process ended that somebody has reaped")
        sys.exit(0)
    main()
