"""How much is called, how fast and how often in vain: the last minute, in memory."""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from fal_serverless.models import Traffic

WINDOW = 60
"""Seconds that count."""
SAMPLES = 256
"""Newest durations kept per revision, for the median."""


@dataclass
class _Tally:
    seconds: deque[list[int]] = field(default_factory=deque)
    """[second, requests, errors], oldest first."""
    durations: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=SAMPLES))
    """(when, milliseconds)."""

    def add(self, now: float, milliseconds: float, failed: bool) -> None:
        second = int(now)
        if not self.seconds or self.seconds[-1][0] != second:
            self.seconds.append([second, 0, 0])
            self.forget(now)
        self.seconds[-1][1] += 1
        self.seconds[-1][2] += failed
        self.durations.append((now, milliseconds))

    def forget(self, now: float) -> None:
        while self.seconds and self.seconds[0][0] <= now - WINDOW:
            self.seconds.popleft()
        while self.durations and self.durations[0][0] <= now - WINDOW:
            self.durations.popleft()


class Meter:
    """Counts calls by revision."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tallies: dict[str, _Tally] = {}
        self.changed = False
        """Set by every call; whoever tells about it clears it."""

    def count(self, revision: str, milliseconds: float, failed: bool) -> None:
        tally = self._tallies.get(revision)
        if tally is None:
            tally = self._tallies[revision] = _Tally()
        tally.add(self._clock(), milliseconds, failed)
        self.changed = True

    def traffic(self, revisions: Iterable[str] | None = None) -> Traffic:
        """Over the last minute, of these revisions or of all."""
        now = self._clock()
        wanted = self._tallies if revisions is None else revisions
        tallies = [self._tallies[r] for r in wanted if r in self._tallies]
        requests = errors = 0
        durations: list[float] = []
        for tally in tallies:
            tally.forget(now)
            requests += sum(second[1] for second in tally.seconds)
            errors += sum(second[2] for second in tally.seconds)
            durations += [milliseconds for _, milliseconds in tally.durations]
        return Traffic(
            requests=requests,
            per_second=round(requests / WINDOW, 2),
            errors=errors,
            error_percent=round(100 * errors / requests, 1) if requests else 0.0,
            p50_ms=round(statistics.median(durations), 2) if durations else None,
        )

    def forget(self, revision: str) -> None:
        self._tallies.pop(revision, None)
