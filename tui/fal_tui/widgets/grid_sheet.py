"""The rows of a table as they lie on the screen: which are seen, and how they are drawn.

Line API: only what is seen is measured and drawn. No key is known here, and no message is sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.cache import LRUCache
from textual.geometry import Region
from textual.strip import Strip

from fal_tui.widgets.cells import Cell, centred, draw, foreground
from fal_tui.widgets.columns import GAP, Column, Placed
from fal_tui.widgets.layout import Layout
from fal_tui.widgets.legible import on_row
from fal_tui.widgets.rows import AnyRow, Order, Row
from fal_tui.widgets.sheet import Sheet

GUTTER = 2
"""Cells left of the first column: cursor bar and mark."""
STRIPS = 512
"""Drawn rows that are kept."""


class GridSheet(Sheet):
    """`columns` and, when there is no row, the text `empty`."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "grid--header",
        "grid--picked",
        "grid--cursor",
        "grid--cursor-blurred",
        "grid--mark",
        "grid--dim",
        "grid--empty",
    }

    DEFAULT_CSS = """
    GridSheet {
        background: $surface;
        color: $foreground;
        overflow-x: hidden;
        overflow-y: auto;
        scrollbar-size-vertical: 1;
        scrollbar-color: $foreground 25%;
        scrollbar-background: $surface;
        scrollbar-background-hover: $surface;
        scrollbar-background-active: $surface;
        & > .grid--header { color: $text-muted; text-style: bold; background: $panel; }
        & > .grid--picked { color: $text-accent; text-style: bold; background: $panel; }
        & > .grid--cursor { background: $primary 45%; color: $text; text-style: bold; }
        & > .grid--cursor-blurred { background: $primary 15%; color: $foreground; }
        & > .grid--mark { color: $text-warning; text-style: bold; }
        & > .grid--dim { color: $text-disabled; }
        & > .grid--empty { color: $text-muted; }
        &:ansi > .grid--cursor {
            background: ansi_default; color: ansi_default; text-style: bold reverse;
        }
        &:ansi > .grid--cursor-blurred {
            background: ansi_default; color: ansi_default; text-style: underline;
        }
    }
    """

    def __init__(
        self,
        columns: Sequence[Column],
        empty: Cell = "Nothing here",
        *,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._layout = Layout(columns)
        self._empty = empty
        self.lit = False
        """Draw the cursor as with the focus: another widget passes its keys on."""
        self._given: Sequence[AnyRow] = ()
        self._rows: list[AnyRow] = []
        self._index: dict[str, int] = {}
        self._cursor = 0
        self._marks: set[str] = set()
        self._order: Order | None = None
        self._picked: int | None = None
        self._strips: LRUCache[tuple[str, bool, bool], tuple[Row, Strip]] = LRUCache(STRIPS)

    # What is seen

    @property
    def _visible(self) -> int:
        """Rows that can be seen at once."""
        return max(self.scrollable_content_region.height - 1, 0)

    @property
    def _seen(self) -> range:
        """Places of the rows that are on the screen."""
        top = self.scroll_offset.y
        return range(top, min(top + self._visible, len(self._rows)))

    @property
    def _has_keys(self) -> bool:
        return self.has_focus or self.lit

    @property
    def _sorted_column(self) -> int | None:
        return None if self._order is None else self._order.column

    def _forget_layout(self) -> None:
        self._layout.forget()
        self._strips.clear()
        self.refresh()

    def _place(self) -> tuple[Placed, ...]:
        """The columns that are drawn, measured where the reader is."""
        seen = self._seen
        room = self.scrollable_content_region.width - GUTTER
        before = self._layout.placed
        placed = self._layout.place(self._rows, seen, room, self._sorted_column)
        if placed != before:
            self._strips.clear()
        return placed

    def _refresh_rows(self, *places: int) -> None:
        """Draw these again, where they are seen. A frame of two rows costs a tenth of a whole."""
        if self._place_changed():
            self.refresh()
            return
        seen, width = self._seen, self.size.width
        regions = [Region(0, place - seen.start + 1, width, 1) for place in places if place in seen]
        if regions:
            self.refresh(*regions)

    def _place_changed(self) -> bool:
        """Whether columns are elsewhere than when rows were drawn last."""
        before = self._layout.placed
        return self._place() != before

    # Drawing

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._strips.clear()

    def render_line(self, y: int) -> Strip:
        placed = self._place()
        width = self.scrollable_content_region.width
        if y == 0:
            return self._header(placed, width)
        if not self._rows:
            return self._empty_line(y - 1, width)
        index = self.scroll_offset.y + y - 1
        if index >= len(self._rows):
            return Strip.blank(width, self.rich_style)
        return self._row(self._rows[index].made, index == self._cursor, placed, width)

    def _header(self, placed: tuple[Placed, ...], width: int) -> Strip:
        base = self.get_component_rich_style("grid--header")
        segments = [Segment(" " * GUTTER, base)]
        for column in placed:
            name = "grid--picked" if column.index == self._picked else "grid--header"
            style = self.get_component_rich_style(name)
            segments += self._cell(self._label(column.index), column, style)
            segments.append(Segment(" " * GAP, base))
        dropped = self._layout.dropped
        strip = Strip(segments).adjust_cell_length(width - cell_len(dropped), base)
        return Strip([*strip, Segment(dropped, base)])

    def _label(self, index: int) -> str:
        label = self._layout.columns[index].label
        if self._order is None or self._order.column != index:
            return label
        return f"{label} {'▼' if self._order.flipped else '▲'}"

    def _row(self, row: Row, at_cursor: bool, placed: tuple[Placed, ...], width: int) -> Strip:
        lit = at_cursor and self._has_keys
        key = (row.id, at_cursor, lit)
        cached = self._strips.get(key)
        marked = row.id in self._marks
        if cached is not None and cached[0] is row and not marked:
            return cached[1]
        style = self._row_style(row, at_cursor)
        segments = [*self._gutter(at_cursor, marked, style)]
        for column in placed:
            cell = row.cells[column.index] if column.index < len(row.cells) else ""
            segments += self._cell(cell, column, style)
            segments.append(Segment(" " * GAP, style))
        if at_cursor:
            segments = on_row(segments, style)
        strip = Strip(segments).adjust_cell_length(width, style)
        if not marked:
            self._strips[key] = (row, strip)
        return strip

    def _row_style(self, row: Row, at_cursor: bool) -> Style:
        style = self.rich_style
        if row.dim:
            style += foreground(self.get_component_rich_style("grid--dim"))
        if at_cursor:
            name = "grid--cursor" if self._has_keys else "grid--cursor-blurred"
            full = self.get_component_rich_style(name)
            style += Style(
                color=full.color,
                bgcolor=full.bgcolor,
                bold=full.bold,
                reverse=full.reverse,
                underline=full.underline,
            )
        return style

    def _gutter(self, at_cursor: bool, marked: bool, style: Style) -> tuple[Segment, ...]:
        bar = "▌" if at_cursor and self._has_keys else " "
        mark = foreground(self.get_component_rich_style("grid--mark"))
        return Segment(bar, style), Segment("✓" if marked else " ", style + mark)

    def _cell(self, cell: Cell, column: Placed, style: Style) -> list[Segment]:
        align = self._layout.columns[column.index].align
        return list(draw(cell, column.width, align, style, self.app.console))

    def _empty_line(self, y: int, width: int) -> Strip:
        style = self.get_component_rich_style("grid--empty")
        return centred(self._empty, y, width, self._visible, style, self.app.console)
