#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""enable and disable: what supd starts with, over what the configuration says, and over the boot."""
import os
import random
import threading

from harness import main, test
from instance import setting
from processes import Failed, eventually
from rpc import RpcError

# What a supd that runs has no right or no room for: a file system that cannot be written, under the state directory.
READ_ONLY = 'mkdir -p "$0" && mount -t tmpfs -o ro none "$0" && exec "$@"'


def configure(s, *services):
    s.configure(setting("state_dir", s.path("var", "state")), *services)


def memory(s):
    return s.read("var/state/enabled")


def enabled(s):
    return {name: status["enabled"] for name, status in s.all().items()}


@test
def holds_over_the_end_of_supd(s):
    configure(s, s.sleeper("on"), s.sleeper("off", enabled=False), s.sleeper("pool", instances=2))
    s.start()
    s.eq(enabled(s), {"on": True, "off": False, "pool@1": True, "pool@2": True}, "as the configuration says")
    on = s.wait_marked("on")["pid"]
    s.eq(s.status("off")["reason"], "not enabled", "why it does not run")
    s.check(not os.path.exists(s.path("var")), "nothing to remember, nothing written")

    done = s.ctl("disable", "on", "pool")
    s.eq((done.code, done.out), (0, "on: disabled\npool@1: disabled\npool@2: disabled\n"), "disable")
    s.eq(s.ctl("enable", "off").code, 0, "enable")
    want = {"on": False, "off": True, "pool@1": False, "pool@2": False}
    s.eq(enabled(s), want, "what was said")
    s.eq(s.status("on")["pid"], on, "disable does not stop")
    s.eq(s.status("off")["state"], "stopped", "enable does not start")
    s.eq(s.status("off")["reason"], "enabled, and not started yet", "why it does not run")
    s.match(memory(s), r"^supd enabled 1\noff 1\non 0\npool@1 0\npool@2 0\nend 4 [0-9a-f]{8}\n$", "the file")
    s.eq(os.stat(s.path("var/state/enabled")).st_mode & 0o777, 0o600, "its mode")

    s.crash_and_start()
    s.eq(enabled(s), want, "after a crash")
    s.eq(s.status("on")["pid"], on, "it runs on")
    s.eq(s.live("off"), [], "it does not run")
    s.eq(s.terminate(), 0, "a clean stop")
    s.start()
    s.wait_marked("off")
    s.eq((s.live("on"), s.status("on")["reason"]), ([], "not enabled"), "not started any more")
    s.eq(s.live("pool@1") + s.live("pool@2"), [], "nor are the instances")

    s.eq(s.ctl("enable", "*").code, 0, "enable all")
    s.match(memory(s), r"^supd enabled 1\noff 1\nend 1 ", "what the configuration says itself needs no memory")
    result = s.ctl("--json", "disable", "--now", "off")
    s.eq(result.code, 0, "disable --now")
    s.eq(s.live("off"), [], "--now stops")
    s.eq(s.ctl("enable", "--now", "off", "on").code, 0, "enable --now")
    s.eq((len(s.live("off")), len(s.live("on"))), (1, 1), "--now starts")
    s.eq(s.ctl("enable", "nobody").code, 4, "an unknown service")
    s.eq(s.ctl("reread", "--now").code, 2, "--now goes with enable and disable only")
    configure(s, s.sleeper("on", enabled=False))
    s.eq(s.ctl("reread").code, 0, "reread")
    s.eq(enabled(s), {"on": False}, "the configuration decides, where no command has said another thing")


@test
def refuses_what_it_cannot_write(s):
    service = s.sleeper("on")
    s.configure(service)
    s.start()
    result = s.ctl("disable", "on")
    s.eq(result.code, 1, "with a runtime directory of its own, and no state directory")
    s.match(result.err, "not done.*name one with state-dir", "the remedy")
    s.eq((enabled(s), s.call("supd.info")["state-dir"]), ({"on": True}, None), "nothing is changed")
    s.terminate()

    s.write("file", "")
    s.configure(setting("state_dir", s.path("file", "state")), service)
    s.start()
    info = s.call("supd.info")
    s.eq(info["state-dir"], None, "there is none")
    s.match(info["state-dir-reason"], "cannot read .*Not a directory", "why")
    s.match(s.error_of("service.disable", names=["on"]).message, "cannot read .*Not a directory", "the reason")
    s.eq(enabled(s), {"on": True}, "nothing is changed")


@test(root=True)
def refuses_where_nothing_can_be_written(s):
    configure(s, s.sleeper("on"))
    s.spawn(under=("unshare", "--mount", "sh", "-c", READ_ONLY, s.path("var")))
    eventually(s.answers, "supd answers")
    result = s.ctl("disable", "on")
    s.eq(result.code, 1, "disable")
    s.match(result.err, "not done.*Read-only file system", "the reason")
    s.eq(enabled(s), {"on": True}, "nothing is changed")
    s.eq(s.ctl("enable", "on").code, 0, "where nothing has to be written nothing is refused")


@test
def tells_of_damage_and_keeps_it(s):
    configure(s, s.sleeper("on"))
    s.start()
    s.ctl("disable", "on")
    good = memory(s)
    s.terminate()
    s.write("var/state/enabled", good.replace("on 0", "on 1"))
    s.start()
    s.wait_marked("on")
    s.match(s.log_text(), "state/enabled cannot be used: it is damaged; it is kept aside", "told")
    s.match(s.read("var/state/enabled.bad"), "on 1", "kept aside")
    s.eq(s.ctl("disable", "on").code, 0, "it can be said anew")
    s.eq(memory(s), good, "and is written anew")
    s.terminate()
    newer = s.write("var/state/enabled", "supd enabled 2\nend 0 b54d0e12\n")
    s.start()
    s.match(s.log_text(), "written by a newer version", "told")
    s.match(s.error_of("service.disable", names=["on"]).message, "newer version", "not written over")
    with open(newer, encoding="ascii") as f:
        s.match(f.read(), "^supd enabled 2", "it stays as it is")


@test
def holds_what_it_has_acknowledged(s):
    configure(s, s.sleeper("on"))
    s.start()
    word = True
    for _ in range(8):
        before, acknowledged = word, []

        def say(what):
            try:
                s.call("service.enable" if what else "service.disable", names=["on"])
                acknowledged.append(what)
            except (OSError, RpcError, Failed):
                pass

        caller = threading.Thread(target=say, args=(not before,))
        caller.start()
        caller.join(random.random() * 0.02)
        s.crash()
        caller.join()
        s.start()
        word = enabled(s)["on"]
        s.check(word in (acknowledged or (before, not before)), f"{before}, acknowledged {acknowledged}, is {word}")
    s.check(not os.path.exists(s.path("var/state/enabled.bad")), "the file was whole at all times")


main()
