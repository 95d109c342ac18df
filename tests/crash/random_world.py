# SPDX-License-Identifier: MIT
"""The services of the random run: what they do, what of them must hold, and the files that tell supd of them."""
import os

from instance import service


KEYS = {"restart_delay": "20ms", "restart_delay_max": "200ms", "stop_timeout": "3s"}
BROKEN = ('service "broken" {\n', 'service "broken" { command = "true" restrat = no }\n', "service broken { command }\n")


class Kind:
    """A kind of service. `size`: processes of one that runs; `ends`: by itself; `once`: it is not started again; `files`: keys and suffixes."""

    def __init__(self, prefix, count, size=1, ends=False, once=False, born=True, files=None, keys=None):
        self.prefix, self.count, self.size, self.ends, self.once = prefix, count, size, ends, once
        self.files, self.born, self.keys = files or {}, born, {**KEYS, **(keys or {})}

    def names(self):
        return [f"{self.prefix}{n}" for n in range(self.count)]

    def steps(self, path, name):
        return ["for-ever"]


class Lines(Kind):
    """Numbered lines, for ever, into a log of its own."""

    def steps(self, path, name):
        return ["lines", "40"]


class Fated(Kind):
    """Ends at random within so many milliseconds: exits with some code, or dies of some signal."""

    def __init__(self, *args, within, **kwargs):
        super().__init__(*args, ends=True, **kwargs)
        self.within = within

    def steps(self, path, name):
        return ["fate"]


class Tree(Kind):
    def steps(self, path, name):
        deaf = ["ignore", "TERM"] if int(name[-1]) % 2 else []
        return deaf + ["child-mark", path(name + ".mark")] * (self.size - 1) + ["for-ever"]


class Deaf(Kind):
    """Notes a stop-signal behind its mark, and goes on."""

    def steps(self, path, name):
        return ["trap", path(name + ".mark"), "TERM", "for-ever"]


class Polite(Kind):
    """Notes it and exits 3."""

    def steps(self, path, name):
        return ["trap-exit", path(name + ".mark"), "3", "TERM", "for-ever"]


KINDS = (
    Lines("lines", 10, files={"log": "lines"}),
    Kind("calm", 6),
    Fated("exits", 10, within=400),
    Fated("dies", 6, within=1500, keys={"restart": "on-failure", "restart_delay": "0"}),
    Fated("abnormal", 4, within=600, keys={"restart": "on-abnormal"}),
    Fated("once", 5, within=1000, once=True, keys={"restart": "no"}),
    Fated("row", 3, within=5, keys={"restart_delay": "100ms", "restart_delay_max": "2s"}),
    Fated("limited", 2, within=100, once=True, keys={"restart_limit": "5"}),
    Tree("tree", 6, size=3, keys={"stop_timeout": "100ms"}),
    Deaf("deaf", 5, keys={"stop_timeout": "100ms"}),
    Polite("polite", 4),
    Kind("slow", 2, files={"stdin": "gate"}),
    Kind("missing", 2, born=False),
)
KIND = {name: kind for kind in KINDS for name in kind.names()}
OPTIONAL = {"lines8", "lines9", "calm5", "exits8", "exits9", "tree5", "deaf4", "polite3", "once4"}


class World:
    """What stands in the configuration. `path`: where a file of that name is; `worker`: the command for steps."""

    def __init__(self, path, worker, share):
        self.path, self.worker = path, worker
        self.names = [name for n, name in enumerate(KIND) if n % share == 0]
        self.optional = [name for name in self.names if name in OPTIONAL]
        self.gates = [path(name + ".gate") for name in self.names if "stdin" in KIND[name].files]
        for gate in self.gates:
            os.mkfifo(gate)
        self.sizes = {name: KIND[name].size if KIND[name].born else 0 for name in self.names}

    def section(self, name, rng):
        kind = KIND[name]
        keys = dict(kind.keys)
        keys.update((key, self.path(f"{name}.{suffix}")) for key, suffix in kind.files.items())
        if rng.random() < 0.2:
            keys["environment"] = [f"V={rng.randrange(3)}"]
        if rng.random() < 0.1:
            keys["restart_delay_max"] = "300ms" if kind.prefix != "row" else "1s"
        if not kind.born:
            return service(name, ["/nonexistent/program"], **keys)
        within = kind.within if kind.ends else 0
        steps = ["alone", self.path(name + ".alone"), "mark", self.path(name + ".mark")]
        steps += ["born", self.path("births"), name, within, *kind.steps(self.path, name)]
        return service(name, self.worker(*steps), **keys)

    def text(self, rng, without=()):
        return "".join(self.section(name, rng) for name in self.names if name not in without)

    def ends(self, name):
        return KIND[name].ends

    def is_cycling(self, name):
        return (KIND[name].ends and not KIND[name].once) or not KIND[name].born

    def may_rest(self, name):
        """May a reset find it ended, and so change what is wanted of it?  `unknown` is abnormal, so nothing else."""
        return KIND[name].ends
