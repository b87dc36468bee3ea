"""The newest log entries, and which of them pass the filters. It knows no widget.

Each item has a number that never changes, whatever is trimmed or filtered: cursor, bookmarks and
drawn lines go by it. Nothing disappears silently: trimmed entries are counted, and gaps stand in
the text where they happened, as do entries of the backend that tell of missing ones.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from fal_serverless.models import LogEntry, tells_of_missing
from fal_serverless.timelimit import TooSlow
from fal_tui.logs.filters import Filter, Passes, all_of
from fal_tui.slow import batches

LIMIT = 100_000
"""Items kept by default."""


@dataclass(frozen=True)
class Gap:
    """Something to say between two entries; no filter hides it."""

    text: str
    missing: int = 0
    """Entries that should have stood here."""


Item = LogEntry | Gap


def dropped(count: int) -> Gap:
    return Gap(f"… {count:,} {'entry' if count == 1 else 'entries'} dropped …", missing=count)


def reconnected(seconds: float, times: int = 1) -> Gap:
    """`times`: how often, with nothing between."""
    took = f"after {max(round(seconds), 1)} s"
    return Gap(f"— reconnected {took if times == 1 else f'{times} times, at last {took}'} —")


@dataclass(frozen=True)
class Delta:
    """What `extend` did to the shown items."""

    added: int
    """At the end."""
    removed: int
    """From the beginning, of those that stood there before."""


class LogBuffer:
    """At most `limit` items."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit = max(limit, 1)
        self.trimmed = 0
        """Items that were over the limit and went; also the number of the first one kept."""
        self.missing = 0
        """Entries that went, those included that a trimmed gap stood for."""
        self._items: list[Item] = []
        self._shown: list[int] = []
        self._filters: tuple[Filter, ...] = ()
        self._passes: Passes | None = None

    @property
    def total(self) -> int:
        return len(self._items)

    @property
    def shown(self) -> Sequence[int]:
        """Numbers of the items that pass, oldest first."""
        return self._shown

    @property
    def filters(self) -> tuple[Filter, ...]:
        return self._filters

    def item(self, number: int) -> Item:
        return self._items[number - self.trimmed]

    def counts(self) -> str:
        """`1,204 of 9,981 shown`, or `9,981 lines` when nothing is hidden."""
        shown, total = len(self._shown), len(self._items)
        if shown != total:
            return f"{shown:,} of {total:,} shown"
        return "1 line" if total == 1 else f"{total:,} lines"

    def extend(self, items: Iterable[Item]) -> Delta:
        """Add at the end, trim at the beginning. After TooSlow nothing was added."""
        before, stored = len(self._shown), len(self._items)
        self._items.extend(items)
        try:
            new = self._passing(self._numbers()[stored:], self._passes)
        except TooSlow:
            del self._items[stored:]
            raise
        self._shown.extend(new)
        removed = min(self._trim(), before)
        return Delta(len(self._shown) - (before - removed), removed)

    def replace_last(self, old: Item, new: Gap) -> bool:
        """Whether `old` was the last; then `new` stands there."""
        if not self._items or self._items[-1] is not old:
            return False
        self._items[-1] = new
        return True

    def clear(self) -> None:
        """Forget everything but the filters."""
        self._items.clear()
        self._shown.clear()
        self.trimmed = self.missing = 0

    def set_filters(self, filters: Sequence[Filter]) -> None:
        """Show what passes all of them; one more on top looks only at what was shown.

        After TooSlow all is as it was.
        """
        new = tuple(filters)
        narrower = new[: len(self._filters)] == self._filters
        tested: Sequence[int] = self._shown if narrower else self._numbers()
        passes = all_of(new[len(self._filters) :] if narrower else new)
        self._shown = self._passing(tested, passes)
        self._filters, self._passes = new, all_of(new)

    def index(self, number: int) -> int:
        """Where among the shown items it stands, or the next one after it; may be their count."""
        return bisect_left(self._shown, number)

    def find(self, start: int, step: int, wanted: Callable[[Item], bool]) -> int | None:
        """The number of the first shown item that is wanted, from index `start` on, by `step`.

        Raises TooSlow.
        """

        def first(indices: Sequence[int]) -> int | None:
            for index in indices:
                if wanted(self.item(self._shown[index])):
                    return self._shown[index]
            return None

        end = len(self._shown) if step > 0 else -1
        found = batches(range(start, end, step), first)
        return next((number for number in found if number is not None), None)

    def _numbers(self) -> range:
        return range(self.trimmed, self.trimmed + len(self._items))

    def _passing(self, numbers: Sequence[int], passes: Passes | None) -> list[int]:
        items, first = self._items, self.trimmed
        if passes is None:
            return list(numbers)

        def passing(batch: Sequence[int]) -> list[int]:
            return [
                number
                for number in batch
                if isinstance(item := items[number - first], Gap)
                or passes(item)
                or (item.source == "system" and tells_of_missing(item))
            ]

        return list(chain.from_iterable(batches(numbers, passing)))

    def _trim(self) -> int:
        over = len(self._items) - self.limit
        if over <= 0:
            return 0
        self.missing += sum(_stands_for(item) for item in self._items[:over])
        del self._items[:over]
        self.trimmed += over
        gone = bisect_left(self._shown, self.trimmed)
        del self._shown[:gone]
        return gone


def _stands_for(item: Item) -> int:
    return item.missing if isinstance(item, Gap) else 1
