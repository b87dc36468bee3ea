"""What must be asked for so that a tail that broke loses nothing and doubles nothing? Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fal_serverless.models import LogEntry, LogQuery

DELAYS = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds before each further try; the last one repeats."""


class Resume:
    """One tail over all its connections."""

    def __init__(self, query: LogQuery) -> None:
        self._query = query
        self._last: int | None = query.after

    def query(self) -> LogQuery:
        """For the next connection: all after the last entry seen."""
        return self._query if self._last is None else replace(self._query, after=self._last)

    def is_new(self, entry: LogEntry) -> bool:
        """Whether it was not seen before; it counts as seen from now on."""
        if self._last is not None and entry.id <= self._last:
            return False
        self._last = entry.id
        return True


def delay(attempt: int, delays: Sequence[float] = DELAYS) -> float:
    """Seconds before try number `attempt`, from 0."""
    return delays[min(attempt, len(delays) - 1)]
