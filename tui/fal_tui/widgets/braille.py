"""Curves of braille dots: two dots to a column, four to a row. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

ACROSS, UP = 2, 4
"""Dots of one cell."""
EMPTY = 0x2800
"""The braille character without a dot."""


def _filled(bits: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """By first and last dot: the bits of all from one to the other."""
    places = range(UP)
    return tuple(tuple(sum(bits[first : last + 1]) for last in places) for first in places)


_LEFT = _filled((0x40, 0x04, 0x02, 0x01))
_RIGHT = _filled((0x80, 0x20, 0x10, 0x08))
"""The bits of a cell's dots, counted from below."""

Levels = Sequence[float | None]
"""One for each column of dots, 0 at the bottom and 1 at the top; None where there is nothing."""


class Canvas:
    """So many columns and rows of cells."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.masks = [[0] * columns for _ in range(rows)]
        """Bits of each cell's dots, the uppermost row first."""

    def line(self, levels: Levels) -> None:
        """Neighbours are joined."""
        before: int | None = None
        for x, level in enumerate(levels):
            if level is None:
                before = None
                continue
            y = self._dot(level)
            low, high = (y, y) if before is None else _between(before, y)
            self._fill(x, low, high)
            before = y

    def area(self, levels: Levels) -> None:
        """From the ground; what is more than nothing has a dot at least."""
        for x, level in enumerate(levels):
            if level:
                self._fill(x, 0, self._dot(level))

    def _dot(self, level: float) -> int:
        return round(min(max(level, 0.0), 1.0) * (self.rows * UP - 1))

    def _fill(self, x: int, low: int, high: int) -> None:
        """Set the dots from `low` to `high`."""
        column, bits = x // ACROSS, _RIGHT if x % ACROSS else _LEFT
        for cell in range(low // UP, high // UP + 1):
            ground = cell * UP
            first, last = max(low - ground, 0), min(high - ground, UP - 1)
            self.masks[self.rows - 1 - cell][column] |= bits[first][last]


def _between(before: int, y: int) -> tuple[int, int]:
    """From next to the dot before up or down to this one."""
    if before == y:
        return y, y
    return (before + 1, y) if before < y else (y, before - 1)


def spread(
    values: Levels, length: int, count: int, merge: Callable[[list[float]], float] = max
) -> list[float | None]:
    """The newest of `length` values over `count` places; `merge` makes one of those that meet.

    There may be fewer: nothing is known of what was before.
    """
    missing = max(length - len(values), 0)
    found: list[float | None] = []
    for place in range(count):
        start = place * length // count - missing
        stop = max((place + 1) * length // count - missing, start + 1)
        some = [each for each in values[max(start, 0) : max(stop, 0)] if each is not None]
        found.append(merge(some) if some else None)
    return found
