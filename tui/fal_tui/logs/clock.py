"""How is the time of a log entry written? Pure: the present is given."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import Literal

Clock = Literal["off", "relative", "local", "utc"]
CLOCKS: tuple[Clock, ...] = ("off", "relative", "local", "utc")
"""In the order in which one key goes through them."""

WIDTHS: dict[Clock, int] = {"off": 0, "relative": 4, "local": 12, "utc": 13}
"""Cells each takes."""

_STEPS = ((60, 1, "s"), (3600, 60, "m"), (86400, 3600, "h"))


def following(clock: Clock) -> Clock:
    return CLOCKS[(CLOCKS.index(clock) + 1) % len(CLOCKS)]


def written(time: datetime, clock: Clock, now: datetime) -> str:
    """Exactly `WIDTHS[clock]` characters."""
    if clock == "off":
        return ""
    if clock == "relative":
        return f"{age((now - time).total_seconds()):>4}"
    if clock == "utc":
        return _time(time, now, UTC) + "Z"
    return _time(time, now, None)


def age(seconds: float) -> str:
    """`7s`, `12m`, `3h`, `40d`."""
    seconds = max(seconds, 0)
    for below, unit, letter in _STEPS:
        if seconds < below:
            return f"{int(seconds // unit)}{letter}"
    return f"{min(int(seconds // 86400), 999)}d"


def _time(time: datetime, now: datetime, zone: tzinfo | None) -> str:
    """With milliseconds today; with the day when it was another."""
    there = time.astimezone(zone)
    if there.date() == now.astimezone(zone).date():
        return f"{there:%H:%M:%S}.{there.microsecond // 1000:03}"
    return f"{there:%b} {there.day:>2} {there:%H:%M}"


def in_full(time: datetime) -> str:
    """Local, with the day and the offset."""
    there = time.astimezone()
    return f"{there:%Y-%m-%d %H:%M:%S}.{there.microsecond // 1000:03} {there:%z}"
