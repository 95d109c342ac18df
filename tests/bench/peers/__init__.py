# SPDX-License-Identifier: MIT
"""Those that are measured: a file each."""
from peers.bare import BareFork, BareVfork
from peers.dinit import Dinit
from peers.runit import Runit
from peers.s6 import S6
from peers.supd import Supd, SupdWithCgroups
from peers.supervisord import Supervisord
from peers.systemd import Systemd

BARE = (BareVfork, BareFork)
ALL = (*BARE, Supd, SupdWithCgroups, Dinit, Runit, S6, Systemd, Supervisord)
