"""Which part of a log is shown: its end, its beginning, some minutes, or from here to there? Pure.

The present is given. How a part is asked for is said as a query to the backend, so that it goes
back to what the backend has stored, not only to what was seen.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta

from fal_serverless.errors import BadInput
from fal_serverless.models import LogQuery

MOST = 100_000
"""Entries that a backend gives for one question about the past."""

FORMS = "14:00 – 14:30, 2h – 1h (ago), 2026-05-04T09:00 – (open end)"
"""What `parse` reads, for people."""


@dataclass(frozen=True)
class Span:
    chip: str
    """How it is written in a title; '' for the newest lines, as at first."""
    past: timedelta | None = None
    """From so long ago until now and on; None: no such bound."""
    since: datetime | None = None
    until: datetime | None = None
    all: bool = False
    """As many lines as can be kept, not only the newest few."""
    head: bool = False
    """From the first stored line on, until no more can be kept."""

    @property
    def from_top(self) -> bool:
        """Whether one begins to read at its first line."""
        return self.head or self.until is not None

    def ended(self, now: datetime) -> bool:
        """Whether nothing new can come."""
        return self.until is not None and self.until <= now


TAIL = Span("")
HEAD = Span("head", head=True)
ALL = Span("all", all=True)
MINUTES = (1, 5, 15, 30, 60)


def last(minutes: int) -> Span:
    text = "1h" if minutes == 60 else f"{minutes}m"
    return Span(f"last {text}", timedelta(minutes=minutes), all=True)


def within(query: LogQuery, span: Span, now: datetime, limit: int) -> LogQuery:
    """The same things, over another part; `limit` lines can be kept."""
    since = now - span.past if span.past is not None else span.since
    if since is not None or span.until is not None:
        query = replace(query, since=since, until=span.until)
    if span.head:
        return replace(query, after=0)
    return replace(query, lines=min(limit, MOST)) if span.all else query


def parse(text: str, now: datetime) -> Span:
    """From one moment to another, or on. Raises BadInput that says which forms there are."""
    first, last = _halves(text.strip())
    since, until = _moment(first, now), _moment(last, now, fold=1) if last else None
    if until is not None and until <= since and _CLOCK.fullmatch(last):
        # still to come, or past midnight
        until = _a_day_later(until)
    if until is not None and until <= since:
        raise BadInput(f"{first} is not before {last}")
    return Span(f"{first} – {last}".strip(), since=since, until=until, all=True)


_BETWEEN = re.compile(r"\s*(?:–|—|\.\.|\bto\b|\s-(?=\s|$))\s*|(?<!\d\d\d\d-\d\d-\d\d)\s+(?=\S+$)")
"""A word or a dash, or just a space, but not the one between a day and its clock."""
_AGO = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d)")
_CLOCK = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d))?")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _halves(text: str) -> tuple[str, str]:
    parts = [part.strip() for part in _BETWEEN.split(text, maxsplit=1)]
    first, last = parts[0], parts[1] if len(parts) > 1 else ""
    if not first:
        raise BadInput(f"from when? As {FORMS}")
    return first, "" if last.lower() in ("now", "") else last


def _moment(text: str, now: datetime, fold: int = 0) -> datetime:
    """Local unless it says otherwise; a clock alone is its last time.

    `fold`: which one is meant when clocks are put back and show a time twice.
    """
    try:
        if ago := _AGO.fullmatch(text):
            return now - timedelta(seconds=float(ago[1]) * _SECONDS[ago[2]])
        if clock := _CLOCK.fullmatch(text):
            hour, minute, second = (int(part or 0) for part in clock.groups())
            return _last_time(time(hour, minute, second, fold=fold), now)
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise BadInput(f"{text!r} is no time: as {FORMS}") from exc


def _last_time(clock: time, now: datetime) -> datetime:
    """Today, else yesterday. Without a zone: what that is here may differ from day to day."""
    day = now.astimezone().date()
    found = datetime.combine(day, clock).astimezone(UTC)
    if found <= now:
        return found
    return datetime.combine(day - timedelta(days=1), clock).astimezone(UTC)


def _a_day_later(moment: datetime) -> datetime:
    """When the clocks here show the same; that may be 23 hours, or 25."""
    return (moment.astimezone().replace(tzinfo=None) + timedelta(days=1)).astimezone(UTC)
