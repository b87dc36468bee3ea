"""Which log entries does a reader want to see? A stack of filters, each one chip. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from fal_serverless.models import LEVEL_RANK, LogEntry
from fal_tui.logs.lines import seen
from fal_tui.widgets.filtering import matcher

Passes = Callable[[LogEntry], object]
"""Something true when an entry passes."""

Kind = Literal["keep", "hide", "level", "sources"]


@dataclass(frozen=True)
class Filter:
    """One condition. All of a stack must hold."""

    kind: Kind
    value: str
    """keep, hide: what was typed; level: its name; sources: names with commas."""

    @property
    def chip(self) -> str:
        """How it is written in a title."""
        return _CHIPS[self.kind](self.value)

    def passes(self) -> Passes:
        return _PASSES[self.kind](self.value)


def all_of(filters: Sequence[Filter]) -> Passes | None:
    """One test for the whole stack; None: everything passes."""
    tests = [one.passes() for one in filters]
    if not tests:
        return None
    if len(tests) == 1:
        return tests[0]
    return lambda entry: all(test(entry) for test in tests)


def replaced(filters: Sequence[Filter], new: Filter) -> tuple[Filter, ...]:
    """The stack with `new` on top; of level and sources there is only one at a time."""
    single = new.kind not in ("keep", "hide")
    kept = [one for one in filters if one != new and not (single and one.kind == new.kind)]
    return (*kept, new)


def without(filters: Sequence[Filter], kind: Kind) -> tuple[Filter, ...]:
    return tuple(one for one in filters if one.kind != kind)


def _keep(value: str) -> Passes:
    found = matcher(value)
    return lambda entry: found(seen(entry.message))


def _hide(value: str) -> Passes:
    found = matcher(value)
    return lambda entry: not found(seen(entry.message))


def _level(value: str) -> Passes:
    ranks = LEVEL_RANK
    least = ranks.get(value, 0)
    return lambda entry: ranks[entry.level] >= least


def _sources(value: str) -> Passes:
    wanted = set(value.split(","))
    return lambda entry: entry.source in wanted


_PASSES: dict[Kind, Callable[[str], Passes]] = {
    "keep": _keep,
    "hide": _hide,
    "level": _level,
    "sources": _sources,
}

_CHIPS: dict[Kind, Callable[[str], str]] = {
    "keep": lambda value: f"&{value}",
    "hide": lambda value: f"!{value}",
    "level": lambda value: f"≥{value.lower()}",
    "sources": lambda value: value.replace(",", "+"),
}
