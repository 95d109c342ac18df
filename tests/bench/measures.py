# SPDX-License-Identifier: MIT
"""What is measured: the rows of the table, each with its goal."""
from typing import NamedTuple, Optional


class Measure(NamedTuple):
    key: str
    title: str
    unit: str
    ratio: Optional[float] = None  # supd's goal: at most so many times the faster bare loop
    p99: Optional[float] = None  # the same for the 99th percentile
    most: Optional[float] = None  # supd's goal: at most so much
    least: Optional[float] = None
    against: Optional[str] = None  # compared with this measure of the same peer, not with the bare loop
    compared: bool = True  # is a ratio to the bare loop of any use?


MEASURES = (
    Measure("young", "exit to the successor's main(), ends at once", "ms", ratio=1.15, p99=1.5),
    Measure("aged", "the same after 1–2 s of life", "ms", ratio=1.15, p99=1.5),
    Measure("start_1000", "start 1,000", "ms", ratio=1.15),
    Measure("start_5000", "start 5,000", "ms", ratio=1.15),
    Measure("layers_5000", "start 5,000 in ten layers, each behind two of the layer before", "ms", ratio=1.15),
    Measure("ready_5000", "the same, each `ready = notify`", "ms"),
    Measure("start_10000", "start 10,000", "ms", ratio=1.15),
    Measure("storm_1000", "1,000 killed at once, all back", "ms", ratio=1.25),
    Measure("storm_10000", "10,000 killed at once, all back", "ms", ratio=1.25),
    Measure("memory_1000", "memory of all its own processes (PSS), 1,000 services", "MiB", most=2, compared=False),
    Measure("memory_10000", "the same, 10,000 services", "MiB", most=8, compared=False),
    Measure("idle_switches", "context switches, idle, 10,000 services", "", most=0, compared=False),
    Measure("idle_cpu", "processor time in the same time", "ms", most=0, compared=False),
    Measure("status_one", "status of one of 1,000", "ms", ratio=2),
    Measure("status_all", "status of all 1,000", "ms", ratio=6),
    Measure("json_10000", "status of all 10,000 as JSON", "ms", most=100, compared=False),
    Measure("kept", "supervisor killed and started again, 100 services: kept", "", least=100, compared=False),
    Measure("doubled", "the same: doubled", "", most=0, compared=False),
    Measure("reattach_10000", "taking back 10,000 after SIGKILL: lock to first answer", "ms", most=300, compared=False),
    Measure("reattach_to_lock", "the same: exec to lock", "ms", compared=False),
    Measure("storm_adopted", "all of these killed at once, all back", "ms", compared=False),
    Measure("stop_adopted", "clean stop of 10,000 after that", "ms", compared=False),
    Measure("stored_10000", "taking back 10,000 with the fd store: lock to first answer", "ms", most=1000, compared=False),
    Measure("stored_to_lock", "the same: exec to lock", "ms", compared=False),
    Measure("noisy", "exit to successor beside 500 that crash, 200 clients and a flooded log", "ms", ratio=2,
            against="quiet"),
    Measure("stop_10000", "clean stop of 10,000", "ms", ratio=1.5),
)
