# SPDX-License-Identifier: MIT
"""The figures of all rounds, kept in a file, and what is reckoned from them."""
import json
import math
import os
import statistics

BARE = ("vfork", "fork")


def p99(samples):
    return sorted(samples)[math.ceil(len(samples) * 0.99) - 1]


def middle(values):
    return statistics.median(values) if values else None


class Results:
    """rounds: a dictionary for each, of peer, of measure, to {"median", "p99", "n"} ("p99" where there are samples)."""

    def __init__(self, about=None):
        self.about = about or {}
        self.rounds = []

    @classmethod
    def load(cls, path):
        with open(path, encoding="utf-8") as file:
            kept = json.load(file)
        results = cls(kept["about"])
        results.rounds = kept["rounds"]
        return results

    def save(self, path):
        with open(path + ".new", "w", encoding="utf-8") as file:
            json.dump({"about": self.about, "rounds": self.rounds}, file, indent=1)
        os.rename(path + ".new", path)

    def add(self, peer, figures):
        """FIGURES of one session in the present round: of measure, to a number, a list of samples, or None."""
        kept = self.rounds[-1].setdefault(peer, {})
        for measure, figure in figures.items():
            if isinstance(figure, list) and figure:
                kept[measure] = {"median": middle(figure), "p99": p99(figure), "n": len(figure)}
            elif isinstance(figure, (int, float)):
                kept[measure] = {"median": figure}

    def values(self, peer, measure, which="median"):
        """One for each round that has it."""
        found = (r.get(peer, {}).get(measure, {}).get(which) for r in self.rounds)
        return [v for v in found if v is not None]

    def ratios(self, peer, measure, which="median", against=None):
        """For each round: to the lower of the two bare loops, or to the measure AGAINST of the same peer."""
        ratios = []
        for one in self.rounds:
            value = one.get(peer, {}).get(measure, {}).get(which)
            others = [one.get(b, {}).get(measure, {}).get(which) for b in BARE]
            if against:
                others = [one.get(peer, {}).get(against, {}).get(which)]
            others = [o for o in others if o]
            if value is not None and others:
                ratios.append(value / min(others))
        return ratios
