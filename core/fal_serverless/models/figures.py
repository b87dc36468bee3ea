"""How calls fare, now and over time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Traffic:
    """Calls over the last minute."""

    requests: int = 0
    per_second: float = 0.0
    errors: int = 0
    """Answers with status 500 and up."""
    error_percent: float = 0.0
    p50_ms: float | None = None
    """None: no calls."""
    p99_ms: float | None = None


NO_TRAFFIC = Traffic()
"""No calls in the last minute."""


@dataclass(frozen=True)
class Series:
    """What happened step by step, oldest first; all lists are of one length."""

    requests: tuple[float, ...] = ()
    """Per second."""
    errors: tuple[float, ...] = ()
    """Per second."""
    p50_ms: tuple[float | None, ...] = ()
    """None: no calls."""
    p99_ms: tuple[float | None, ...] = ()
    cold_starts: tuple[float, ...] = ()
    """Calls in the step that waited for a worker to start."""
    workers: tuple[float, ...] = ()
    waiting: tuple[float, ...] = ()
    """Most calls at once that waited for a place."""


@dataclass(frozen=True)
class FunctionPulse:
    """One function's part in it."""

    name: str
    traffic: Traffic
    """Over the last minute."""
    calls: int
    """In all of the time asked for."""
    errors: int
    cold_starts: int
    workers: int
    """Now."""
    waiting: int
    """Calls without a place now."""
    requests: tuple[float, ...] = ()
    """Per second, over the time asked for, in a few parts."""
    failed: tuple[float, ...] = ()
    """Of those, errors per second."""


@dataclass(frozen=True)
class Pulse:
    """How a backend fares: figures of the past, as far as it remembers."""

    seconds: int
    """How far back was asked for; the lists are shorter when the backend has not run so long."""
    step: int
    """Seconds between two entries of a list."""
    function: str
    """Whose the series is; '' for all functions."""
    series: Series
    functions: tuple[FunctionPulse, ...] = ()
    """Those that were called or have workers."""
    traffic: Traffic = NO_TRAFFIC
    """Over the last minute, of what the series is of."""
