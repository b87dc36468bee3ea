"""What happened of one thing, step by step: seconds, tens of seconds, minutes.

The newest steps of each size are kept; of one thing this takes 30 kB when it was called in all of
them. Times are whole seconds of whoever counts.
"""

from __future__ import annotations

import math
from array import array
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from fal_serverless.backend.traffic.durations import quantile

STEPS = {1: 300, 10: 360, 60: 360}
"""Seconds of a step -> how many are kept: five minutes, an hour, six hours."""
WINDOW = 60
"""Seconds that count as now."""


class Point(NamedTuple):
    """One step of one thing."""

    requests: float = 0.0
    errors: float = 0.0
    cold_starts: float = 0.0
    p50: float = math.nan
    """Milliseconds; not a number: no calls."""
    p99: float = math.nan
    workers: float = 0.0
    """Most at once."""
    waiting: float = 0.0
    """Most calls that waited for a place at once."""


NOTHING = Point()

Counts = dict[int, int]
"""How many durations by `durations.bucket`."""


class Ring:
    """The newest steps of one size."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._columns = [array("f", [value]) * length for value in NOTHING]
        self._last = -1
        """The newest step written."""

    def put(self, step: int, point: Point) -> None:
        """Of the newest step, or of the one before again; what lies between was nothing."""
        for passed in range(max(self._last + 1, step - self._length + 1), step):
            self._write(passed, NOTHING)
        self._write(step, point)
        self._last = max(step, self._last)

    def _write(self, step: int, point: Point) -> None:
        place = step % self._length
        for column, value in zip(self._columns, point, strict=True):
            column[place] = value

    def read(self, name: str, first: int, last: int) -> array[float]:
        """One figure of the steps from `first` to `last`."""
        index = Point._fields.index(name)
        column, nothing = self._columns[index], NOTHING[index]
        oldest = max(self._last - self._length + 1, 0)
        start, stop = max(first, oldest), min(last, self._last)
        found = array("f", [nothing]) * max(min(start, last + 1) - first, 0)
        if start <= stop:
            begin, end = start % self._length, stop % self._length
            found += column[begin : end + 1] if begin <= end else column[begin:] + column[: end + 1]
        return found + array("f", [nothing]) * (last - first + 1 - len(found))


@dataclass
class Gathered:
    """What happened in a step that is not over."""

    requests: float = 0.0
    errors: float = 0.0
    cold_starts: float = 0.0
    durations: Counts = field(default_factory=dict)
    workers: int = 0
    waiting: int = 0

    def add(self, more: Gathered) -> None:
        self.requests += more.requests
        self.errors += more.errors
        self.cold_starts += more.cold_starts
        add_counts(self.durations, more.durations)
        self.workers = max(self.workers, more.workers)
        self.waiting = max(self.waiting, more.waiting)

    def point(self, parts: int = 1) -> Point:
        """What each of `parts` equal parts of it had."""
        p50, p99 = quantile(self.durations, 0.5), quantile(self.durations, 0.99)
        return Point(
            self.requests / parts,
            self.errors / parts,
            self.cold_starts / parts,
            math.nan if p50 is None else p50,
            math.nan if p99 is None else p99,
            self.workers,
            self.waiting,
        )


class Line:
    """One function, or all of a user."""

    def __init__(self) -> None:
        self._rings = {step: Ring(length) for step, length in STEPS.items()}
        self._ten, self._sixty = Gathered(), Gathered()
        self.last = -1
        """The last second that is in it."""
        self._shown = -1
        """The last second of which all steps are written."""
        self._minute: deque[tuple[int, Counts]] = deque(maxlen=WINDOW // 10 + 1)
        """Durations of the newest tens of seconds."""

    def fold(self, second: int, parts: int, happened: Gathered) -> None:
        """Add the `parts` seconds up to `second`; all of them came in one."""
        self._settle(second)
        point = happened.point(parts)
        for each in range(second - parts + 1, second + 1):
            self._rings[1].put(each, point)
        self._ten.add(happened)
        self.last, self._shown = second, -1

    def _settle(self, second: int) -> None:
        """Close the steps that are over."""
        last = self.last
        if last < 0 or second // 10 == last // 10:
            return
        ten, self._ten = self._ten, Gathered()
        self._rings[10].put(last // 10, ten.point())
        self._minute.append((last // 10, ten.durations))
        self._sixty.add(ten)
        if second // 60 != last // 60:
            sixty, self._sixty = self._sixty, Gathered()
            self._rings[60].put(last // 60, sixty.point())

    def read(self, name: str, step: int, count: int, second: int) -> array[float]:
        """One figure (a field of Point) of the newest `count` steps, `second` in the last one."""
        if step > 1:
            self._show(second)
        last = second // step
        return self._rings[step].read(name, last - count + 1, last)

    def _show(self, second: int) -> None:
        """Write down what is known of the steps that are not over."""
        if self._shown == second:
            return
        self._shown = second
        self._settle(second)
        if self.last >= 0 and second // 10 == self.last // 10:
            self._rings[10].put(self.last // 10, self._ten.point())
        if self.last >= 0 and second // 60 == self.last // 60:
            both = Gathered()
            both.add(self._sixty)
            both.add(self._ten)
            self._rings[60].put(self.last // 60, both.point())

    def lately(self, second: int) -> Gathered:
        """The last minute; durations of up to ten seconds more."""
        found = Gathered()
        for counts in self._recent(second):
            add_counts(found.durations, counts)
        if self.last > second - WINDOW:
            ring, first = self._rings[1], second - WINDOW + 1
            found.requests = sum(ring.read("requests", first, second))
            found.errors = sum(ring.read("errors", first, second))
        return found

    def _recent(self, second: int) -> Iterable[Counts]:
        first = (second - WINDOW + 1) // 10
        if self.last // 10 >= first:
            yield self._ten.durations
        yield from (counts for ten, counts in self._minute if ten >= first)


def add_counts(to: Counts, more: Counts) -> None:
    for index, count in more.items():
        to[index] = to.get(index, 0) + count
