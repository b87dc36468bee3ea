"""A table of thousands of rows that changes every second and stays where the reader is.

Cursor and marks go by a row's id. It knows rows, columns and keys; what a row stands for is the
screen's matter.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from operator import is_
from typing import ClassVar

from textual import events
from textual.binding import BindingType
from textual.geometry import Size
from textual.message import Message

from fal_tui.widgets import bindings
from fal_tui.widgets.cells import Cell
from fal_tui.widgets.columns import GAP, UNBOUND, WIDEST, Column
from fal_tui.widgets.grid_sheet import GUTTER, GridSheet
from fal_tui.widgets.layout import Layout
from fal_tui.widgets.rows import AnyRow, LateRow, Order, Row, merged, nearest, sorted_rows

__all__ = ["Column", "Grid", "Order", "Row"]


class Grid(GridSheet, can_focus=True):
    """`columns` and, when there is no row, the text `empty`."""

    BINDINGS: ClassVar[list[BindingType]] = bindings.LIST

    class Said(Message):
        """What all messages of a table have in common."""

        def __init__(self, grid: Grid) -> None:
            super().__init__()
            self.grid = grid

        @property
        def control(self) -> Grid:
            return self.grid

    class Moved(Said):
        """The cursor is on another item; None when there is none."""

        def __init__(self, grid: Grid, id: str | None) -> None:
            super().__init__(grid)
            self.id = id

    class Opened(Said):
        """Enter or a double click on an item."""

        def __init__(self, grid: Grid, id: str) -> None:
            super().__init__(grid)
            self.id = id

    class Marked(Said):
        """Other items are marked than before."""

        def __init__(self, grid: Grid, ids: frozenset[str]) -> None:
            super().__init__(grid)
            self.ids = ids

    # What it holds

    @property
    def columns(self) -> Sequence[Column]:
        """All of them, those that there is no room for too."""
        return self._layout.columns

    @property
    def rows(self) -> Sequence[AnyRow]:
        """In the order shown."""
        return self._rows

    @property
    def cursor_id(self) -> str | None:
        """Id of the item under the cursor; None when the table is empty."""
        return self._rows[self._cursor].id if self._rows else None

    @property
    def marked(self) -> frozenset[str]:
        return frozenset(self._marks)

    @property
    def hidden(self) -> frozenset[str]:
        """Those of the marked that have no row now."""
        return frozenset(id for id in self._marks if id not in self._index)

    @property
    def order(self) -> Order | None:
        return self._order

    @property
    def empty(self) -> Cell:
        """What is shown when there is no row."""
        return self._empty

    @empty.setter
    def empty(self, text: Cell) -> None:
        self._empty = text
        self.refresh()

    def set_rows(
        self,
        rows: Sequence[AnyRow],
        in_order: tuple[Order, list[AnyRow]] | None = None,
        *,
        known: Container[str] | None = None,
    ) -> None:
        """Show these; cursor, marks and the cursor's place on the screen stay with their items.

        `in_order`: the same rows, if somebody has sorted them already. `known`: ids of all items
        there are, those too that have no row; None: of the rows.
        """
        if known is not None:
            self._forget_marks(known)
        old, index, was = self._rows, self._cursor, self.cursor_id
        self._given = rows
        if in_order is not None and in_order[0] == self._order:
            new = in_order[1]
        else:
            new = sorted_rows(self._merged(rows), self._order)
        if len(new) == len(old) and all(map(is_, new, old)):
            return
        seen, top = self._seen, self.scroll_offset.y
        self._put(new)
        if known is None:
            self._forget_marks(self._index)
        above = index - round(self.scroll_y)
        kept = was if was in self._index else nearest(old, index, self._index)
        self._cursor = self._index.get(kept, 0) if kept is not None else 0
        self._keep_in_place(above)
        self._tell_moved(was)
        if len(new) != len(old) or self._seen != seen or self.scroll_offset.y != top:
            self.refresh()
            return
        other = [place for place in seen if new[place] is not old[place]]
        self._refresh_rows(*other, index, self._cursor)

    def _merged(self, rows: Sequence[AnyRow]) -> Sequence[AnyRow]:
        if rows and isinstance(rows[0], LateRow):
            return rows  # who makes rows late keeps those that are as they were
        return merged({row.id: row for row in self._rows}, rows)

    def grow_older(self) -> None:
        """Rows that are seen and were made late are looked at again: time has passed."""
        seen = self._rows[self._seen.start : self._seen.stop]
        older = [
            place
            for place, row in zip(self._seen, seen, strict=True)
            if isinstance(row, LateRow) and row.look_again()
        ]
        if older:
            self._refresh_rows(*older)

    def set_columns(self, columns: Sequence[Column], rows: Sequence[AnyRow] = ()) -> None:
        """Other columns, with the rows that belong to them; an order goes with its column's key."""
        keys = {column.key: place for place, column in enumerate(columns)}
        order = self._order
        if order is not None:
            place = keys.get(self._layout.columns[order.column].key)
            self._order = None if place is None else Order(place, order.flipped)
        self._layout = Layout(columns)
        self._picked = None
        self._forget_layout()
        self.set_rows(rows)

    def move_to(self, id: str) -> bool:
        """Put the cursor on an item; False when it is not there."""
        if id not in self._index:
            return False
        self._move_to_index(self._index[id])
        return True

    def set_wide(self, wide: bool) -> None:
        """Whether a column may be as wide as its widest cell."""
        self._layout.widest = UNBOUND if wide else WIDEST
        self._forget_layout()

    def action_clear_marks(self) -> None:
        if self._marks:
            self._marks.clear()
            self.refresh()
            self.post_message(self.Marked(self, self.marked))

    def sort_by(self, order: Order | None) -> None:
        """Sort, and keep the cursor on its item."""
        was = self.cursor_id
        above = self._cursor - round(self.scroll_y)
        self._order = order
        self._forget_layout()
        self._put(sorted_rows(self._merged(self._given), order))
        self._cursor = self._index.get(was, 0) if was is not None else 0
        self._keep_in_place(above)

    # Keys

    def action_move(self, steps: int) -> None:
        self._move_to_index(self._cursor + steps)

    def action_first(self) -> None:
        self._move_to_index(0)

    def action_last(self) -> None:
        self._move_to_index(len(self._rows) - 1)

    def action_half_page(self, direction: int) -> None:
        self._move_to_index(self._cursor + direction * max(self._visible // 2, 1))

    def action_page(self, direction: int) -> None:
        self._move_to_index(self._cursor + direction * max(self._visible - 1, 1))

    def action_open(self) -> None:
        if self.cursor_id is not None:
            self.post_message(self.Opened(self, self.cursor_id))

    def action_mark(self) -> None:
        """Mark or unmark the item, and go on to the next."""
        if self.cursor_id is None:
            return
        self._marks ^= {self.cursor_id}
        self._refresh_rows(self._cursor)
        self.post_message(self.Marked(self, self.marked))
        self.action_move(1)

    def action_pick_column(self, steps: int) -> None:
        shown = [placed.index for placed in self._place()]
        if not shown:
            return
        start = self._picked if self._picked is not None else self._sorted_column
        if start in shown:
            place = (shown.index(start) + steps) % len(shown)
        else:
            place = 0 if steps > 0 else len(shown) - 1
        self._picked = shown[place]
        self._forget_layout()

    def action_sort(self) -> None:
        """By the picked column, else the first; the same column again flips."""
        column = self._picked if self._picked is not None else self._sorted_column or 0
        again = self._order is not None and self._order.column == column
        flipped = again and self._order is not None and not self._order.flipped
        self.sort_by(Order(column, flipped))

    # Mouse

    def on_click(self, event: events.Click) -> None:
        if event.y == 0:
            self._sort_at(event.x)
            return
        index = self.scroll_offset.y + event.y - 1
        if not 0 <= index < len(self._rows):
            return
        self._move_to_index(index)
        if event.chain == 2:
            self.action_open()

    def _sort_at(self, x: int) -> None:
        left = GUTTER
        for placed in self._place():
            if left <= x < left + placed.width + GAP:
                self._picked = placed.index
                self.action_sort()
                return
            left += placed.width + GAP

    # Places

    def _put(self, rows: list[AnyRow]) -> None:
        self._rows = rows
        self._index = {row.id: index for index, row in enumerate(rows)}
        self._layout.look_again()
        self.virtual_size = Size(self.scrollable_content_region.width, len(rows) + 1)

    def _forget_marks(self, known: Container[str]) -> None:
        gone = {id for id in self._marks if id not in known}
        if gone:
            self._marks -= gone
            self.post_message(self.Marked(self, self.marked))

    def _keep_in_place(self, above: int) -> None:
        """Show the cursor as many rows below the top as before."""
        if self.size.height:
            inside = min(max(above, 0), max(self._visible - 1, 0))
            if above == inside:
                self.scroll_to(y=self._cursor - inside, animate=False, force=True)

    def _move_to_index(self, index: int) -> None:
        if not self._rows:
            return
        was, before = self.cursor_id, self._cursor
        self._cursor = min(max(index, 0), len(self._rows) - 1)
        self._show_cursor()
        if self._tell_moved(was):
            self._refresh_rows(before, self._cursor)

    def _tell_moved(self, was: str | None) -> bool:
        """Whether the cursor is on another item than that one."""
        moved = self.cursor_id != was
        if moved:
            self.post_message(self.Moved(self, self.cursor_id))
        return moved

    def _show_cursor(self) -> None:
        top, visible = round(self.scroll_y), self._visible
        if self._cursor < top:
            self.scroll_to(y=self._cursor, animate=False, force=True)
        elif visible and self._cursor >= top + visible:
            self.scroll_to(y=self._cursor - visible + 1, animate=False, force=True)

    def on_resize(self) -> None:
        self._forget_layout()
        self.virtual_size = Size(self.scrollable_content_region.width, len(self._rows) + 1)
        self._show_cursor()
