# SPDX-License-Identifier: MIT
"""supd with services that depend on one another: ten layers, each service behind two of the layer before its own."""
from peers.supd import Supd

LAYERS = 10


class LayeredSupd(Supd):
    setting = f"{LAYERS} layers of one width; each service `requires` and is `after` two of the layer before its own"
    readiness = ()

    def section(self, name, argument, *lines):
        return super().section(name, argument, *self.readiness, *self.dependencies(int(name[1:])), *lines)

    def dependencies(self, number):
        width = self.n // LAYERS
        if number < width:
            return ()
        before = (number // width - 1) * width
        needed = ", ".join(f'"w{before + (number + k) % width}"' for k in (0, 1))
        return f"requires = {{{needed}}}", f"after = {{{needed}}}"


class NotifyingSupd(LayeredSupd):
    setting = "the same; each says by sd_notify(3) that it is ready, and those behind it are not started before"
    readiness = ("ready = notify",)
