"""What must be reached, as data, and whether it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.figures import Figures, Key

Verdict = Literal["reached", "missed", "not measured"]


@dataclass(frozen=True)
class Threshold:
    """One sentence about figures that shall be true."""

    text: str
    """For people."""
    figure: Key
    limit: float
    """Of the figure itself, or of its ratio to `against`."""
    against: Key | None = None
    """None: `limit` is absolute."""
    at_most: bool = False
    """False: at least."""
    unit: str = "x"
    scale: float = 1
    """What one unit is, in the figure's own."""

    def value(self, figures: Figures) -> float | None:
        """In units; None: not measured."""
        if self.against:
            return figures.ratio(self.figure, self.against)
        found = figures.median(self.figure)
        return None if found is None else found / self.scale

    def verdict(self, figures: Figures) -> Verdict:
        value = self.value(figures)
        if value is None:
            return "not measured"
        held = value <= self.limit if self.at_most else value >= self.limit
        return "reached" if held else "missed"

    @property
    def demand(self) -> str:
        return f"{'≤' if self.at_most else '≥'} {self.limit:g} {self.unit}"


def _rate(text: str, peer: str, other: str, limit: float) -> Threshold:
    return Threshold(text, Key(peer, "rate@32"), limit, Key(other, "rate@32"))


def _latency(text: str, figure: str, other: str, limit: float) -> Threshold:
    return Threshold(text, Key("served", figure), limit, Key(other, figure), at_most=True)


MEGABYTE = 1e6

THRESHOLDS = (
    _rate("served, 32 connections, vs FastAPI def", "served", "fastapi_def", 7),
    _rate("served, 32 connections, vs raw ASGI", "served", "raw_asgi", 0.9),
    _latency("served, 32 connections, p99 vs FastAPI def", "p99@32", "fastapi_def", 0.2),
    _latency("served, 1 connection, p50 vs FastAPI def", "p50@1", "fastapi_def", 0.7),
    _latency("served, 1 connection, p50 vs raw ASGI", "p50@1", "raw_asgi", 2.5),
    _rate("exposed_port raw ASGI, 32, vs direct", "exposed_raw", "raw_asgi", 0.85),
    _rate("exposed_port FastAPI, 32, vs direct", "exposed_fastapi", "fastapi_def", 0.85),
    _rate("served, 32 connections, vs LitServe", "served", "litserve", 15),
    _rate("served, 32 connections, vs BentoML", "served", "bentoml", 30),
    _rate("served, 32 connections, vs Ray Serve", "served", "ray_serve", 100),
    Threshold(
        "p99 at 32 while logs are written and followed",
        Key("logs.loud", "p99@32"),
        2,
        Key("logs.quiet", "p99@32"),
        at_most=True,
    ),
    Threshold(
        "lines kept of a function that prints as fast as it can",
        Key("printing.alone", "kept"),
        100_000,
        unit="lines/s",
    ),
    Threshold(
        "p99 at 32 while a function prints as fast as it can",
        Key("printing.beside", "p99@32"),
        2,
        Key("printing.quiet", "p99@32"),
        at_most=True,
    ),
    Threshold(
        "cold start, request to answer, vs python -c pass",
        Key("cold.call", "seconds"),
        2,
        Key("cold.python", "seconds"),
        at_most=True,
    ),
    Threshold(
        "memory of the idle backend, 0 functions",
        Key("idle.0", "rss"),
        90,
        at_most=True,
        unit="MB",
        scale=MEGABYTE,
    ),
    Threshold(
        "CPU of the idle backend, 0 functions",
        Key("idle.0", "cpu"),
        1,
        at_most=True,
        unit="%",
        scale=0.01,
    ),
    _rate("1,000 endpoints vs 1", "endpoints.1000", "endpoints.1", 0.9),
)


def missed(thresholds: Sequence[Threshold], figures: Figures) -> list[Threshold]:
    return [each for each in thresholds if each.verdict(figures) == "missed"]
