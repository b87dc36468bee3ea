"""What was measured, round by round, and what it comes to.

Ratios are taken within a round and the median of them counts: a machine that gets slower between
two rounds changes both sides of each. Knows no peer by name.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple


class Key(NamedTuple):
    """One figure of one peer (or of one state of ours)."""

    peer: str
    figure: str
    """As `rate@32`: requests per second at 32 connections. Seconds, bytes or per second."""


@dataclass
class Figures:
    """All figures of a run."""

    values: dict[Key, list[float]] = field(default_factory=lambda: defaultdict(list))
    """One value per round."""
    failures: dict[str, str] = field(default_factory=dict)
    """What went wrong, by peer: wrong answers, a program that did not start."""
    absent: dict[str, str] = field(default_factory=dict)
    """Why a peer was not measured, where that is no failure."""

    def add(self, peer: str, figure: str, value: float) -> None:
        self.values[Key(peer, figure)].append(value)

    def median(self, key: Key) -> float | None:
        """None: it was not measured."""
        found = self.values.get(key)
        return statistics.median(found) if found else None

    def ratio(self, over: Key, under: Key) -> float | None:
        """Median of the rounds' ratios; None when one side was not measured."""
        pairs = zip(self.values.get(over, ()), self.values.get(under, ()), strict=False)
        found = [one / other for one, other in pairs if other]
        return statistics.median(found) if found else None
