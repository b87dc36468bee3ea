"""How far back does a log go? Pure: the present is given."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from fal_serverless.models import LogQuery


@dataclass(frozen=True)
class Span:
    chip: str
    """How it is written in a title; '' for what was asked for at first."""
    past: timedelta | None = None
    """None: no bound in time."""
    all: bool = False
    """As many lines as are kept, not only the newest few."""


SPANS = (
    Span(""),
    Span("last 1m", timedelta(minutes=1), all=True),
    Span("last 5m", timedelta(minutes=5), all=True),
    Span("last 15m", timedelta(minutes=15), all=True),
    Span("last 30m", timedelta(minutes=30), all=True),
    Span("last 1h", timedelta(hours=1), all=True),
    Span("all", all=True),
)
"""In the order in which one key goes through them."""


def following(span: Span) -> Span:
    return SPANS[(SPANS.index(span) + 1) % len(SPANS)]


def within(query: LogQuery, span: Span, now: datetime, limit: int) -> LogQuery:
    """The same things, over another time."""
    if span.past is not None:
        query = replace(query, since=now - span.past)
    return replace(query, lines=limit) if span.all else query
