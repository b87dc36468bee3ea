"""Counts calls: `count` costs a call half a microsecond, `tick` does the rest once a second."""

from __future__ import annotations

import asyncio
import time
from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from fal_serverless.backend.traffic.durations import BOUNDS, Histogram, quantile
from fal_serverless.backend.traffic.line import WINDOW, Counts, Gathered, Line, add_counts
from fal_serverless.models import ColdStart, Traffic

MOST_LINES = 1000
"""Functions whose past is kept at a time: 30 MB when all of them are called all the time."""
AT_ONCE = 10
"""Functions that are looked at before calls may go on: half a millisecond."""
CLASSES = 16
"""Room for the hundreds of a status in the key of a count."""
COLD_PARTS = ("queue", "environment", "load", "setup")
"""Fields of ColdStart."""

ALL = ""
"""In the place of a function's name: all of the user's."""


class Endpoint(NamedTuple):
    """What a call was answered for."""

    user: str
    function: str
    label: str
    """An alias, or a revision's id."""


class Load(NamedTuple):
    """What is there of a function at a moment."""

    user: str
    function: str
    """ALL for what is of no function in particular."""
    workers: int
    waiting: int
    """Calls without a place."""


class Tally:
    """The calls of one endpoint since the backend started."""

    __slots__ = ("_old", "milliseconds", "new")

    def __init__(self) -> None:
        self.new: dict[int, int] = {}
        """Since the last tick, by duration and status in one number; see `count`."""
        self._old: dict[int, int] = {}
        self.milliseconds = 0.0
        """Of all calls together."""

    def take(self) -> dict[int, int]:
        """What is new, which is old then."""
        new, self.new = self.new, {}
        add_counts(self._old, new)
        return new

    def by_class(self) -> dict[int, int]:
        """Calls by the hundreds of their status; 0: cut off without one."""
        found: dict[int, int] = {}
        for key, count in self._all().items():
            add_counts(found, {key % CLASSES: count})
        return found

    def durations(self) -> Counts:
        return gathered(self._all()).durations

    def _all(self) -> dict[int, int]:
        found = dict(self._old)
        add_counts(found, self.new)
        return found


@dataclass
class Cold:
    """Calls of one function that waited for a worker to start."""

    new: int = 0
    parts: dict[str, Histogram] = field(
        default_factory=lambda: {part: Histogram() for part in COLD_PARTS}
    )


class Meter:
    """For the event loop's thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.tallies: dict[tuple[str, str, str], Tally] = {}
        """By Endpoint."""
        self._of: defaultdict[tuple[str, str], list[Tally]] = defaultdict(list)
        """By user and function."""
        self.cold: dict[tuple[str, str], Cold] = {}
        self._lines: dict[tuple[str, str], Line] = {}
        self._second = int(clock())
        self._began = self._second
        self.changed = False
        """Set by every call; whoever tells about it clears it."""

    def count(
        self,
        user: str,
        function: str,
        label: str,
        status: int,
        milliseconds: float,
        cold: ColdStart | None = None,
    ) -> None:
        """A call was answered. `cold`: what it waited for, if a worker was started for it."""
        tally = self.tallies.get((user, function, label))
        if tally is None:
            tally = self._begin(Endpoint(user, function, label))
        new = tally.new
        key = bisect_left(BOUNDS, milliseconds) * CLASSES + status // 100
        new[key] = new.get(key, 0) + 1
        tally.milliseconds += milliseconds
        self.changed = True
        if cold is not None:
            self._count_cold(user, function, cold)

    def _begin(self, endpoint: Endpoint) -> Tally:
        tally = self.tallies[endpoint] = Tally()
        self._of[endpoint.user, endpoint.function].append(tally)
        return tally

    def _count_cold(self, user: str, function: str, cold: ColdStart) -> None:
        kept = self.cold.setdefault((user, function), Cold())
        kept.new += 1
        for part, histogram in kept.parts.items():
            histogram.add(getattr(cold, part))

    # Step by step

    async def tick(self, loads: Iterable[Load] = ()) -> None:
        """A second is over. Seconds without a tick share what happened in them."""
        second = int(self._clock())
        parts = min(second - self._second, WINDOW)
        if parts <= 0:
            return
        users: defaultdict[str, Gathered] = defaultdict(Gathered)
        work = self._gather(loads)
        while some := list(islice(work, AT_ONCE)):
            for user, function, happened in some:
                if function != ALL:
                    self._line(user, function).fold(second, parts, happened)
                _add_beside(users[user], happened)
            # Calls come first.
            await asyncio.sleep(0)
        for user, all_of_them in users.items():
            self._line(user, ALL).fold(second, parts, all_of_them)
        self._second = second

    def _gather(self, loads: Iterable[Load]) -> Iterator[tuple[str, str, Gathered]]:
        """What is new of every function of which something is."""
        there: dict[tuple[str, str], Gathered] = {}
        for load in loads:
            here = there.setdefault((load.user, load.function), Gathered())
            here.workers += load.workers
            here.waiting += load.waiting
        for name, tallies in list(self._of.items()):
            happened = there.pop(name, None)
            cold = self.cold.get(name)
            if cold is not None and cold.new:
                happened = happened or Gathered()
                happened.cold_starts, cold.new = cold.new, 0
            for tally in tallies:
                if tally.new:
                    happened = happened or Gathered()
                    gather(happened, tally.take())
            if happened is not None:
                yield *name, happened
        for (user, function), happened in there.items():
            yield user, function, happened

    def _line(self, user: str, function: str) -> Line:
        line = self._lines.get((user, function))
        if line is None:
            known = [name for name in self._lines if name[1] != ALL]
            if function != ALL and len(known) >= MOST_LINES:
                del self._lines[min(known, key=lambda name: self._lines[name].last)]
            line = self._lines[user, function] = Line()
        return line

    # What is asked

    def traffic(self, user: str, function: str = ALL) -> Traffic:
        """Over the last minute."""
        line = self._lines.get((user, function))
        lately = line.lately(self._second) if line is not None else Gathered()
        for tally in self._tallies(user, function):
            if tally.new:
                gather(lately, tally.new)
        requests, errors = round(lately.requests), round(lately.errors)
        p50, p99 = quantile(lately.durations, 0.5), quantile(lately.durations, 0.99)
        return Traffic(
            requests=requests,
            per_second=round(requests / WINDOW, 2),
            errors=errors,
            error_percent=round(100 * errors / requests, 1) if requests else 0.0,
            p50_ms=None if p50 is None or not requests else round(p50, 2),
            p99_ms=None if p99 is None or not requests else round(p99, 2),
        )

    def _tallies(self, user: str, function: str) -> Iterator[Tally]:
        if function != ALL:
            yield from self._of.get((user, function), ())
            return
        for (owner, _), tallies in self._of.items():
            if owner == user:
                yield from tallies

    def seen(self, user: str) -> list[str]:
        """Functions of a user that have a past."""
        return [function for owner, function in self._lines if owner == user and function != ALL]

    def called(self, user: str) -> set[str]:
        """Functions of a user that may have had a call in the last minute."""
        since = self._second - WINDOW
        lately = {
            function
            for (owner, function), line in self._lines.items()
            if owner == user and function != ALL and line.last > since
        }
        for (owner, function), tallies in self._of.items():
            if owner == user and any(tally.new for tally in tallies):
                lately.add(function)
        return lately

    def steps(self, step: int, count: int) -> int:
        """How many of the newest `count` steps there are since the start; at least one."""
        return max(1, min(count, self._second // step - self._began // step + 1))

    def passed(self, step: int) -> int:
        """Seconds of the newest step that are over."""
        return self._second % step + 1

    def past(self, user: str, function: str, name: str, step: int, count: int) -> array[float]:
        """One figure (a field of Point) of the newest `count` steps, oldest first."""
        line = self._lines.get((user, function)) or Line()
        return line.read(name, step, count, self._second)

    def keep(self, exists: Callable[[Endpoint], bool]) -> None:
        """Forget endpoints that are no more, and functions that have none."""
        for name in [Endpoint(*each) for each in self.tallies]:
            if not exists(name):
                self._of[name.user, name.function].remove(self.tallies.pop(name))
        for gone in [name for name, tallies in self._of.items() if not tallies]:
            del self._of[gone]
            self.cold.pop(gone, None)
            self._lines.pop(gone, None)


def gather(to: Gathered, counts: dict[int, int]) -> None:
    """Add counts like those of `Tally`."""
    durations = to.durations
    for key, count in counts.items():
        bucket = key // CLASSES
        durations[bucket] = durations.get(bucket, 0) + count
        to.requests += count
        if key % CLASSES >= 5:
            to.errors += count


def gathered(counts: dict[int, int]) -> Gathered:
    found = Gathered()
    gather(found, counts)
    return found


def _add_beside(total: Gathered, more: Gathered) -> None:
    """Unlike steps, functions have their workers at the same time."""
    workers, waiting = total.workers + more.workers, total.waiting + more.waiting
    total.add(more)
    total.workers, total.waiting = workers, waiting
