"""Which item stands in which row, when items take several rows and the oldest go? Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate


class Places:
    """Items one below the other. Finding is a binary search; adding and dropping are cheap."""

    def __init__(self, heights: Iterable[int] = ()) -> None:
        self._base = 0
        """Rows dropped since the beginning; `_ends` counts from there."""
        self._ends = list(accumulate(heights))

    def __len__(self) -> int:
        return len(self._ends)

    @property
    def rows(self) -> int:
        return self._ends[-1] - self._base if self._ends else 0

    def add(self, height: int) -> None:
        self._ends.append((self._ends[-1] if self._ends else self._base) + height)

    def drop(self, count: int) -> int:
        """Forget the first `count` items; the rows that they took."""
        if not count:
            return 0
        before = self._base
        self._base = self._ends[count - 1]
        del self._ends[:count]
        return self._base - before

    def at(self, row: int) -> tuple[int, int]:
        """The item in a row and which of its rows that is, both from 0."""
        index = bisect_right(self._ends, row + self._base)
        return index, row - self.start(index)

    def start(self, index: int) -> int:
        """The first row of an item."""
        return (self._ends[index - 1] if index else self._base) - self._base

    def end(self, index: int) -> int:
        """The row after its last."""
        return self._ends[index] - self._base
