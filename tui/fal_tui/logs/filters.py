"""Which log entries does a reader want to see? A stack of filters, each one chip. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from fal_serverless.models import LEVEL_RANK, LogEntry
from fal_serverless.timelimit import TooSlow
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
        return _PASSES[self.kind](self)

    @property
    def is_typed(self) -> bool:
        """Whether its value may be any expression."""
        return self.kind in ("keep", "hide")


class FilterTooSlow(TooSlow):
    """Of several filters it was this one."""

    def __init__(self, filter: Filter) -> None:
        super().__init__(filter.chip)
        self.filter = filter


def culprit(error: TooSlow, filters: Sequence[Filter]) -> Filter | None:
    """The one that took too long; between two tests it may be any, most likely the newest."""
    if isinstance(error, FilterTooSlow):
        return error.filter
    return next((one for one in reversed(filters) if one.is_typed), None)


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


def _keep(one: Filter) -> Passes:
    found = matcher(one.value)

    def passes(entry: LogEntry) -> object:
        try:
            return found(seen(entry.message))
        except TooSlow as exc:
            raise FilterTooSlow(one) from exc

    return passes


def _hide(one: Filter) -> Passes:
    found = matcher(one.value)

    def passes(entry: LogEntry) -> object:
        try:
            return not found(seen(entry.message))
        except TooSlow as exc:
            raise FilterTooSlow(one) from exc

    return passes


def _level(one: Filter) -> Passes:
    ranks = LEVEL_RANK
    least = ranks.get(one.value, 0)
    return lambda entry: ranks[entry.level] >= least


def _sources(one: Filter) -> Passes:
    wanted = set(one.value.split(","))
    return lambda entry: entry.source in wanted


_PASSES: dict[Kind, Callable[[Filter], Passes]] = {
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
