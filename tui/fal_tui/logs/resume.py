"""What must be asked for so that a tail that broke loses nothing and doubles nothing? Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from fal_serverless.models import LogEntry, LogQuery
from fal_tui.logs.span import MOST

DELAYS = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds before each further try; the last one repeats."""


class Resume:
    """One tail over all its connections."""

    def __init__(self, query: LogQuery) -> None:
        self.query_first = query
        self._last: int | None = query.after
        self._newest: datetime | None = None
        """Of the times of the entries seen."""
        self.count = 0
        """Entries seen."""
        self._asked = False

    def query(self) -> LogQuery:
        """For the next connection: all after what was seen.

        Where that is not known yet, what came while the connection was lost may be more than the
        lines that were wanted at first.
        """
        again, self._asked = self._asked, True
        first = self.query_first
        if self._last is not None:
            return replace(first, after=self._last)
        return replace(first, lines=MOST) if again and first.lines else first

    def is_new(self, entry: LogEntry) -> bool:
        """Whether it was not seen before; it counts as seen from now on.

        A backend whose log was lost may count from 1 again: there, the time says that it is new.
        """
        if self._last is not None and entry.id <= self._last and not self._is_newer(entry):
            return False
        self._last = entry.id
        self._newest = max(entry.time, self._newest or entry.time)
        self.count += 1
        return True

    def _is_newer(self, entry: LogEntry) -> bool:
        return self._newest is None or entry.time > self._newest

    def reached(self, place: int) -> None:
        """All up to there was seen, whether it was for us or not."""
        self._last = max(place, self._last or 0)


def delay(attempt: int, delays: Sequence[float] = DELAYS) -> float:
    """Seconds before try number `attempt`, from 0."""
    return delays[min(attempt, len(delays) - 1)]
