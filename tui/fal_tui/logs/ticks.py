"""Where along a scroll bar are the lines worth going to? Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from re import Pattern

from fal_tui.logs.buffer import Gap, Item
from fal_tui.logs.lines import seen
from fal_tui.logs.places import Places


class Ticks:
    """Numbers of the shown items that are errors, and of those that are searched for."""

    def __init__(self) -> None:
        self.errors: list[int] = []
        self.hits: list[int] = []

    def add(self, number: int, item: Item, found: Callable[[str], object] | None) -> None:
        if isinstance(item, Gap):
            return
        if item.level == "ERROR":
            self.errors.append(number)
        if found is not None and found(seen(item.message)):
            self.hits.append(number)

    def forget_before(self, number: int) -> None:
        for kind in (self.errors, self.hits):
            del kind[: bisect_left(kind, number)]


def searcher(hits: Pattern[str] | None) -> Callable[[str], object] | None:
    return None if hits is None else hits.search


def along(numbers: Sequence[int], shown: Sequence[int], places: Places, height: int) -> set[int]:
    """Which of the `height` cells of a bar stand for at least one of the numbers.

    None of them when all rows are seen anyway.
    """
    rows = places.rows
    if not numbers or rows <= height:
        return set()
    cells = set()
    for cell in range(height):
        first = shown[places.at(cell * rows // height)[0]]
        last = shown[places.at((cell + 1) * rows // height - 1)[0]]
        if bisect_left(numbers, first) < bisect_right(numbers, last):
            cells.add(cell)
    return cells
