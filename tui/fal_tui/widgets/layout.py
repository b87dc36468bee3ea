"""Which columns of a table are drawn where the reader is, and how wide? Measures; draws nothing."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from fal_tui.widgets.cells import width_of
from fal_tui.widgets.columns import GAP, WIDEST, Column, Placed, fit
from fal_tui.widgets.rows import AnyRow

MEASURED = 60
"""Rows above and below the visible ones whose cells decide the width of a column."""
ARROW = 2
"""Cells that the sign of the order takes."""


class Layout:
    """Of one set of columns. Columns only grow while one scrolls, so that they do not jump."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns = tuple(columns)
        self.widest = WIDEST
        """Cells that a column without a width of its own takes at most."""
        self.placed: tuple[Placed, ...] = ()
        self._natural = [0] * len(self.columns)
        self._measured = range(0)
        self._asked: tuple[int, int | None] | None = None

    @property
    def dropped(self) -> str:
        """How many columns there was no room for: `+2`, or nothing."""
        count = len(self.columns) - len(self.placed)
        return f"+{count}" if count else ""

    def forget(self) -> None:
        """Measure from nothing."""
        self._natural = [0] * len(self.columns)
        self.look_again()

    def look_again(self) -> None:
        """There are other rows. No column shrinks for it, unless others have no room meanwhile."""
        if self.dropped:
            self._natural = [0] * len(self.columns)
        self._measured = range(0)
        self._asked = None

    def place(
        self, rows: Sequence[AnyRow], seen: range, room: int, ordered: int | None
    ) -> tuple[Placed, ...]:
        """For the rows that are `seen`; `ordered` is the column that shows an arrow."""
        known = not seen or (seen[0] in self._measured and seen[-1] in self._measured)
        if known and self._asked == (room, ordered):
            return self.placed
        if seen:
            self._measure(rows, range(max(seen[0] - MEASURED, 0), seen[-1] + 1 + MEASURED))
        self._asked = (room, ordered)
        wanted = [self._wanted(place, ordered) for place in range(len(self.columns))]
        self.placed = fit(self.columns, wanted, room, self.widest)
        if self.dropped and not self._is_free(room, cell_len(self.dropped) + 1, ordered):
            self.placed = fit(self.columns, wanted, room - cell_len(self.dropped) - 1, self.widest)
        return self.placed

    def _is_free(self, room: int, cells: int, ordered: int | None) -> bool:
        """Whether no label stands in so many cells at the right end of the header."""
        last = self.placed[-1]
        column = self.columns[last.index]
        left = room - sum(each.width for each in self.placed) - GAP * (len(self.placed) - 1)
        if column.align == "left":
            label = cell_len(column.label) + (ARROW if last.index == ordered else 0)
            left += max(last.width - label, 0)
        return left >= cells

    def _measure(self, rows: Sequence[AnyRow], span: range) -> None:
        self._measured = span
        for row in rows[span.start : span.stop]:
            for place, cell in enumerate(row.cells[: len(self._natural)]):
                self._natural[place] = max(self._natural[place], width_of(cell))

    def _wanted(self, place: int, ordered: int | None) -> int:
        label = cell_len(self.columns[place].label) + (ARROW if place == ordered else 0)
        return max(self._natural[place], label)
