"""How often may a key call? A bucket for each, which fills again as time passes."""

from __future__ import annotations

import time
from collections.abc import Callable

KEYS = 10_000
"""Buckets kept; those that are full again are forgotten first."""


class Rates:
    """`per_second` calls on average; as many at once, if none were made for a second."""

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        """0: no limit."""
        self.per_second = per_second
        self._most = max(1.0, per_second)
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}
        """Calls left, and when that was so."""

    def take(self, key_id: str) -> float:
        """Count a call; 0 when it may go on, else the seconds until one may."""
        if not self.per_second:
            return 0.0
        now = self._clock()
        left, since = self._buckets.get(key_id, (self._most, now))
        left = min(self._most, left + (now - since) * self.per_second)
        if left < 1.0:
            self._buckets[key_id] = (left, now)
            return (1.0 - left) / self.per_second
        if key_id not in self._buckets and len(self._buckets) >= KEYS:
            self._forget(now)
        self._buckets[key_id] = (left - 1.0, now)
        return 0.0

    def _forget(self, now: float) -> None:
        """Those that tell nothing any more; if there are none, all."""
        full = self._most / self.per_second
        kept = {key: at for key, at in self._buckets.items() if now - at[1] < full}
        self._buckets = kept if len(kept) < KEYS else {}
