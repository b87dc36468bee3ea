"""How long things took, as counts of ranges: medians of any number of calls in little memory.

A duration is known to within an eighth of it. Pure.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence

_STEPS = (
    *(1.0, 1.12, 1.25, 1.4, 1.6, 1.8, 2.0, 2.25, 2.5, 2.8),
    *(3.2, 3.6, 4.0, 4.5, 5.0, 5.6, 6.3, 7.1, 8.0, 9.0),
)
"""Of each power of ten; 1, 2.5 and 5 are those that Prometheus is told of."""

BOUNDS: tuple[float, ...] = tuple(
    round(step * 10.0**power, 6) for power in range(-2, 7) for step in _STEPS
)
"""Milliseconds: the upper end of each range, from 0.01 ms to two and a half hours."""


def bucket(milliseconds: float) -> int:
    """The range that a duration is in; the last one has no upper end."""
    return bisect_left(BOUNDS, milliseconds)


def quantile(counts: Mapping[int, int], share: float) -> float | None:
    """Milliseconds that this share of durations does not pass; None when there are none.

    `counts`: how many durations by `bucket`.
    """
    total = sum(counts.values())
    if not total:
        return None
    wanted, seen = share * total, 0
    for index in sorted(counts):
        count = counts[index]
        if seen + count >= wanted:
            return _inside(index, (wanted - seen) / count)
        seen += count
    return None


def _inside(index: int, share: float) -> float:
    if index >= len(BOUNDS):
        return BOUNDS[-1]
    low = BOUNDS[index - 1] if index else 0.0
    return low + (BOUNDS[index] - low) * share


def up_to(counts: Mapping[int, int], bounds: Sequence[float]) -> list[int]:
    """How many durations are within each of `bounds`, milliseconds out of BOUNDS, ascending."""
    last = [bisect_left(BOUNDS, bound) for bound in bounds]
    return [sum(count for index, count in counts.items() if index <= end) for end in last]


class Histogram:
    """Seconds of what is rare, in a few ranges."""

    BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)

    def __init__(self) -> None:
        self.counts = [0] * (len(self.BOUNDS) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(self.BOUNDS, seconds)] += 1
        self.total += seconds

    @property
    def count(self) -> int:
        return sum(self.counts)

    def cumulative(self) -> list[tuple[float, int]]:
        """Upper end of each range, and how many are within it; the last one has all."""
        found, seen = [], 0
        for bound, count in zip((*self.BOUNDS, math.inf), self.counts, strict=True):
            seen += count
            found.append((bound, seen))
        return found
