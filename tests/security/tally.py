"""How many bad inputs were tried, by their class, and what came of them?

A test that sends bad input is marked `bad(KIND)`. It counts as one input, or as many as it tells by
`tried`. Its failure is a wrong answer; an error nobody foresaw, a backend that ended, or one that
wrote a traceback, is a crash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

KINDS = (
    "request smuggling",
    "remembered heads",
    "header injection",
    "path traversal",
    "JSON size and depth",
    "zip bombs and other archives",
    "bundles that lie",
    "credentials",
    "DNS rebinding and pages of others",
    "endpoint parsing",
    "framed protocol",
    "log decoding",
    "control API from its document",
)
"""Of bad input, in the order of the table."""
PROPERTY = "bad input"
"""Name of what a test's report carries: kind, number and verdict."""

_count = 0
"""Of the test that runs."""


def tried(number: int = 1) -> None:
    """So many more inputs, by the test that runs."""
    global _count
    _count += number


def each_tried(test: Callable[P, T]) -> Callable[P, T]:
    """One more input with every call: for what hypothesis calls."""

    @wraps(test)
    def counted(*args: P.args, **kwargs: P.kwargs) -> T:
        tried()
        return test(*args, **kwargs)

    return counted


def taken() -> int:
    """What was counted since the last call; one when nothing was."""
    global _count
    found, _count = _count, 0
    return found or 1


@dataclass
class Row:
    tried: int = 0
    crashes: int = 0
    wrong: int = 0

    def add(self, number: int, verdict: str) -> None:
        self.tried += number
        self.crashes += verdict == "crash"
        self.wrong += verdict == "wrong"


def markdown(rows: dict[str, Row]) -> str:
    return "\n".join(_lines(rows))


def _lines(rows: dict[str, Row]) -> Iterator[str]:
    yield "| bad input | tried | crashes | wrong answers |"
    yield "|---|---:|---:|---:|"
    for kind in KINDS:
        row = rows.get(kind, Row())
        yield f"| {kind} | {row.tried:,} | {row.crashes} | {row.wrong} |"
    crashes, wrong = (sum(getattr(r, n) for r in rows.values()) for n in ("crashes", "wrong"))
    yield f"| all | {sum(row.tried for row in rows.values()):,} | {crashes} | {wrong} |"
