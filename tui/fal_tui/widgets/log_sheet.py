"""The lines of a log as they lie on the screen: what stands in which row, and how it is drawn.

Line API over a bounded buffer: only what is seen is drawn, and drawn rows are kept. Nothing comes
in here, and no key is known.
"""

from __future__ import annotations

from datetime import UTC, datetime
from re import Pattern
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.cache import LRUCache
from textual.geometry import Size
from textual.reactive import var
from textual.scroll_view import ScrollView
from textual.strip import Strip

from fal_tui.logs.buffer import LIMIT, LogBuffer, dropped
from fal_tui.logs.clock import Clock
from fal_tui.logs.places import Places
from fal_tui.logs.ticks import Ticks, along
from fal_tui.widgets.cells import foreground
from fal_tui.widgets.log_drawing import Look, body, prefix, prefix_width
from fal_tui.widgets.log_looks import COMPONENTS, CSS, LOOKS

STRIPS = 1024
"""Drawn entries that are kept."""
TICKS = {"error": "━", "tick": "━", "mark": "◆"}
"""What is drawn beside the scroll bar; later ones cover earlier ones."""
GUTTER = 2
"""Cells left of the prefix: cursor bar, bookmark or mark."""


class LogSheet(ScrollView):
    """`limit` items are kept; `labels` says for each line whose it is."""

    COMPONENT_CLASSES: ClassVar[set[str]] = COMPONENTS
    DEFAULT_CSS = CSS

    follow: var[bool] = var(True)
    wrap: var[bool] = var(False)
    clock: var[Clock] = var[Clock]("local")
    labels: var[bool] = var(False)

    def __init__(
        self,
        limit: int = LIMIT,
        *,
        labels: bool = False,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.buffer = LogBuffer(limit)
        self.sought = ""
        """What is searched for, as it was typed."""
        self.hits: Pattern[str] | None = None
        self.empty = "No lines yet: they appear here as they are written"
        """Shown while there is none."""
        self._places = Places()
        self._ticks = Ticks()
        self._tick_cells: dict[int, str] | None = None
        self.cursor: int | None = None
        self._bookmarks: set[int] = set()
        self._marks: set[int] = set()
        self._strips: LRUCache[int, list[Strip]] = LRUCache(STRIPS)
        self._look: Look | None = None
        self._widest = 0
        self._own_scroll = False
        self.set_reactive(LogSheet.labels, labels)

    # Where things are

    @property
    def _lead(self) -> int:
        """Rows above the first item: the line that says what was dropped."""
        return 1 if self.buffer.trimmed else 0

    @property
    def _rows_seen(self) -> int:
        return max(self.scrollable_content_region.height, 1)

    @property
    def _prefix(self) -> int:
        return GUTTER + prefix_width(self.clock, self.labels)

    @property
    def _wrap_width(self) -> int | None:
        if not self.wrap:
            return None
        return max(self._width - self._prefix, 10)

    @property
    def _width(self) -> int:
        """Cells of a line; the last column is for ticks."""
        return max(self.scrollable_content_region.width - 1, 0)

    def _fit(self, gone: int = 0) -> None:
        """Make the scrolled area as large as the text, and keep the reader where he is."""
        y = self.scroll_offset.y
        self._tick_cells = None
        width = 0 if self.wrap else self._prefix + self._widest + 1
        self.virtual_size = Size(width, self._lead + self._places.rows)
        self._scroll(self.max_scroll_y if self.follow else y - gone)
        self.refresh()

    def _scroll(self, y: float) -> None:
        self._own_scroll = True
        self.scroll_to(y=y, animate=False, force=True)
        self._own_scroll = False

    def _index_at(self, row: int) -> int:
        row = min(max(row - self._lead, 0), self._places.rows - 1)
        return self._places.at(row)[0] if row >= 0 else -1

    # Drawing

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._look = None
        self._strips.clear()

    def _forget_look(self) -> None:
        self._look = None
        self._strips.clear()
        self.refresh()

    def _looks(self) -> Look:
        if self._look is None:
            styles = {
                name: foreground(self.get_component_rich_style(f"log--{name}")) for name in LOOKS
            }
            styles["hit"] = self.get_component_rich_style("log--hit")
            self._look = Look(styles, self.clock, self.labels, self._wrap_width, self.hits)
        return self._look

    def render_line(self, y: int) -> Strip:
        row = self.scroll_offset.y + y - self._lead
        return Strip.join([self._line(row, y, self._width), self._tick(y)])

    def _line(self, row: int, y: int, width: int) -> Strip:
        if row < 0:
            return self._dropped_line(width)
        if row >= self._places.rows:
            return self._below(y, width)
        index, part = self._places.at(row)
        return self._row(self.buffer.shown[index], part, width)

    def _tick(self, y: int) -> Strip:
        """Errors, hits and bookmarks, as they lie along the scroll bar."""
        if self._tick_cells is None:
            self._tick_cells = self._find_ticks()
        name = self._tick_cells.get(y)
        style = self.rich_style
        if name is None:
            return Strip([Segment(" ", style)])
        mark = foreground(self.get_component_rich_style(f"log--{name}"))
        return Strip([Segment(TICKS[name], style + mark)])

    def _find_ticks(self) -> dict[int, str]:
        kinds = {
            "error": self._ticks.errors,
            "tick": self._ticks.hits,
            "mark": sorted(self._bookmarks),
        }
        shown, places, rows = self.buffer.shown, self._places, self._rows_seen
        return {
            cell: name
            for name, numbers in kinds.items()
            for cell in along(numbers, shown, places, rows)
        }

    def _below(self, y: int, width: int) -> Strip:
        """Nothing; when there is no line at all, why."""
        style = self.rich_style
        if y != 1 or self._places.rows:
            return Strip.blank(width, style)
        style += self._looks().style("aside")
        return Strip([Segment("  " + self._why_empty(), style)]).adjust_cell_length(width, style)

    def _why_empty(self) -> str:
        if self.buffer.total:
            return f"None of {self.buffer.total:,} lines passes: esc takes the last filter away"
        return self.empty

    def _dropped_line(self, width: int) -> Strip:
        text = dropped(self.buffer.missing).text
        style = self.rich_style + self._looks().style("gap")
        return Strip([Segment(" " * self._prefix + text, style)]).adjust_cell_length(width, style)

    def _row(self, number: int, part: int, width: int) -> Strip:
        style = self._row_style(number)
        head = Strip([*self._gutter(number, part), *self._head(number, part)])
        rows = self._body(number)
        text = rows[part] if part < len(rows) else Strip.blank(0)
        room = max(width - head.cell_length, 0)
        x = self.scroll_offset.x
        more = text.cell_length > x + room
        text = text.crop(x, x + room - more)
        if more:
            text = Strip([*text, Segment("›", self._looks().style("time"))])
        return Strip.join([head, text]).adjust_cell_length(width, style).apply_style(style)

    def _gutter(self, number: int, part: int) -> list[Segment]:
        bar = "▌" if number == self.cursor and self.has_focus else " "
        sign = "◆" if number in self._bookmarks else "✓" if number in self._marks else " "
        mark = foreground(self.get_component_rich_style("log--mark"))
        return [Segment(bar), Segment(sign if part == 0 else " ", mark)]

    def _head(self, number: int, part: int) -> list[Segment]:
        if part:
            return [Segment(" " * (self._prefix - GUTTER))]
        return prefix(self.buffer.item(number), self._looks(), datetime.now(UTC))

    def _body(self, number: int) -> list[Strip]:
        rows = self._strips.get(number)
        if rows is None:
            rows = body(self.buffer.item(number), self._looks(), self.app.console)
            self._strips[number] = rows
            self._widen(max(row.cell_length for row in rows))
        return rows

    def _widen(self, cells: int) -> None:
        """Only what was seen counts, so that no line is measured for nothing."""
        if cells > self._widest:
            self._widest = cells
            if not self.wrap:
                self.call_later(self._fit)

    def _row_style(self, number: int) -> Style:
        style = self.rich_style
        if number == self.cursor:
            name = "log--cursor" if self.has_focus else "log--cursor-blurred"
            style += Style(bgcolor=self.get_component_rich_style(name).bgcolor)
        return style
