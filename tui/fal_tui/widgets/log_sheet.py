"""The lines of a log as they lie on the screen: what stands in which row, and how it is drawn.

Line API over a bounded buffer: only what is seen is drawn, and drawn rows are kept. Nothing comes
in here, and no key is known.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from re import Pattern
from typing import ClassVar, NamedTuple

from rich.segment import Segment
from rich.style import Style
from textual.cache import LRUCache
from textual.geometry import Region, Size
from textual.reactive import var
from textual.strip import Strip
from textual.widget import Widget

from fal_serverless.timelimit import TimeLimit, TooSlow
from fal_tui.bound import UNTOLD, Bound
from fal_tui.logs.buffer import LIMIT, LogBuffer, dropped
from fal_tui.logs.clock import Clock
from fal_tui.logs.places import Places
from fal_tui.logs.ticks import Ticks, along
from fal_tui.naming import Names
from fal_tui.slow import LONGEST_DRAWN, taken_away
from fal_tui.widgets.cells import foreground
from fal_tui.widgets.log_drawing import Look, body, prefix, prefix_width
from fal_tui.widgets.log_looks import COMPONENTS, CSS, LOOKS
from fal_tui.widgets.sheet import Sheet

STRIPS = 256
"""Drawn entries that are kept, and drawn rows: a few screens. Each is dozens of objects."""
TICKS = {"error": "━", "tick": "━", "mark": "◆"}
"""What is drawn beside the scroll bar; later ones cover earlier ones."""
NOTHING = "No lines yet: they appear here as they are written"
GUTTER = 2
"""Cells left of the prefix: cursor bar, bookmark or mark."""


class Row(NamedTuple):
    """All that one row on the screen depends on, besides the look."""

    number: int
    part: int
    width: int
    x: int
    cursor: str
    """The style of the cursor; '' where it is not."""
    sign: str
    tick: str


class LogSheet(Sheet):
    """`limit` items are kept; `labels` says for each line whose it is.

    `keys` are those in force, for hints.
    """

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
        keys: Bound = UNTOLD,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.keys = keys
        self.names: Names = {}
        """Of anonymous functions, for the labels."""
        self.buffer = LogBuffer(limit)
        self.sought = ""
        """What is searched for, as it was typed."""
        self.hits: Pattern[str] | None = None
        self._empty = NOTHING
        self.before = ""
        """Why there may be older lines than those shown; '' when there are none."""
        self._places = Places()
        self._ticks = Ticks()
        self._tick_cells: dict[int, str] | None = None
        self.cursor: int | None = None
        self._bookmarks: set[int] = set()
        self._marks: set[int] = set()
        self._strips: LRUCache[int, list[Strip]] = LRUCache(STRIPS)
        self._rows: LRUCache[Row, Strip] = LRUCache(STRIPS)
        self._look: Look | None = None
        self._looking = TimeLimit(LONGEST_DRAWN)
        """For hits in what is drawn."""
        self._widest = 0
        self._own_scroll = False
        self._measured, self._cells = Size(0, 0), 0
        self._today = date.today()
        self._late_ticks = False
        self.set_reactive(LogSheet.labels, labels)

    # Where things are

    @property
    def _lead(self) -> int:
        """Rows above the first item: the line that says what was dropped, or not asked for."""
        return 1 if self.buffer.trimmed or self.before else 0

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
        if self.size != self._measured:
            self._measured = self.size
            self._cells = max(self.scrollable_content_region.width - 1, 0)
        return self._cells

    def _fit(self, gone: int = 0, *, seen: bool = True) -> None:
        """Make the scrolled area as large as the text, and keep the reader where he is.

        `seen` False: what is on the screen stays as it is, but for ticks, which may wait.
        """
        y = self.scroll_offset.y
        self._tick_cells = None
        width = 0 if self.wrap else self._prefix + self._widest + 1
        self._set_extent(Size(width, self._lead + self._places.rows))
        self._scroll(self.max_scroll_y if self.follow else y - gone)
        if seen:
            self.refresh()
        else:
            self._late_ticks = True

    def _set_extent(self, size: Size) -> None:
        """The scrolled area. Its bar is always there, so that no other widget must be laid out."""
        if size != self.virtual_size:
            self.set_reactive(Widget.virtual_size, size)
            self._scroll_update(size)

    def _scroll(self, y: float) -> None:
        self._own_scroll = True
        self.scroll_to(y=y, animate=False, force=True)
        self._own_scroll = False

    def _index_at(self, row: int) -> int:
        row = min(max(row - self._lead, 0), self._places.rows - 1)
        return self._places.at(row)[0] if row >= 0 else -1

    # What is looked for

    def give_up_search(self) -> None:
        """It takes too long: take it away, and say so."""
        sought, self.sought, self.hits = self.sought, "", None
        self._ticks.hits.clear()
        self._tick_cells = None
        self._forget_look()
        self._warn(f"Search /{sought}")

    def _warn(self, slow: str) -> None:
        self.app.notify(taken_away(slow), severity="warning", timeout=10, markup=False)

    # Drawing

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._look = None
        self._forget_drawn()

    def _forget_look(self) -> None:
        self._look = None
        self._forget_drawn()
        self.refresh()

    def call_by(self, names: Names) -> None:
        """Functions are called so from now on."""
        if names is not self.names:
            same, self.names = names == self.names, names
            if not same:
                self._forget_look()

    def _forget_drawn(self) -> None:
        self._strips.clear()
        self._rows.clear()

    def _grow_older(self) -> None:
        """Ages change each second, other times with the day."""
        today = date.today()
        if self.clock == "relative" or today != self._today:
            self._today = today
            self._rows.clear()
            self.refresh()
        elif self._late_ticks:
            self.refresh()
        self._late_ticks = False

    def _looks(self) -> Look:
        if self._look is None:
            styles = {
                name: foreground(self.get_component_rich_style(f"log--{name}")) for name in LOOKS
            }
            styles["hit"] = self.get_component_rich_style("log--hit")
            # asked for once: to compute it takes longer than to draw a line
            styles["base"] = self.rich_style
            for name in ("mark", "tick"):
                styles[name] = foreground(self.get_component_rich_style(f"log--{name}"))
            for name in ("cursor", "cursor-blurred"):
                background = self.get_component_rich_style(f"log--{name}").bgcolor
                styles[name] = Style(bgcolor=background)
            self._look = Look(
                styles, self.clock, self.labels, self._wrap_width, self.hits, self.names
            )
        return self._look

    def render_lines(self, crop: Region) -> list[Strip]:
        self._looking = TimeLimit(LONGEST_DRAWN)
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        row = self.scroll_offset.y + y - self._lead
        tick = self._tick(y)
        if 0 <= row < self._places.rows:
            return self._row(*self._places.at(row), tick)
        line = self._first_line() if row < 0 else self._below(y)
        return Strip.join([line, self._ticked(tick)])

    def _tick(self, y: int) -> str:
        """Errors, hits and bookmarks, as they lie along the scroll bar; '' for none."""
        if self._tick_cells is None:
            self._tick_cells = self._find_ticks()
        return self._tick_cells.get(y, "")

    def _ticked(self, tick: str) -> Strip:
        base = self._looks().style("base")
        if not tick:
            return Strip([Segment(" ", base)], 1)
        return Strip([Segment(TICKS[tick], base + self._looks().style(tick))], 1)

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

    def _below(self, y: int) -> Strip:
        """Nothing; when there is no line at all, why."""
        width, style = self._width, self._looks().style("base")
        if y != 1 or self._places.rows:
            return Strip.blank(width, style)
        style += self._looks().style("aside")
        return Strip([Segment("  " + self._why_empty(), style)]).adjust_cell_length(width, style)

    def _why_empty(self) -> str:
        if self.buffer.total:
            hint = self.keys.say("[: {log.undo} takes the last filter away]")
            return f"None of {self.buffer.total:,} lines passes{hint}"
        return self._empty

    @property
    def empty(self) -> str:
        """Said while there is no line."""
        return self._empty

    @empty.setter
    def empty(self, text: str) -> None:
        if text != self._empty:
            self._empty = text
            self.refresh()

    def _first_line(self) -> Strip:
        text = dropped(self.buffer.missing).text if self.buffer.trimmed else self.before
        style = self._looks().style("base") + self._looks().style("gap")
        indent = self._prefix if self._prefix + len(text) <= self._width else GUTTER
        line = Strip([Segment(" " * indent + text, style)])
        return line.adjust_cell_length(self._width, style)

    def _row(self, index: int, part: int, tick: str) -> Strip:
        """Drawn once: while new lines come, most rows only stand somewhere else."""
        number = self.buffer.shown[index]
        cursor = sign = ""
        if number == self.cursor:
            cursor = "cursor" if self.has_focus else "cursor-blurred"
        if part == 0:
            sign = "✓" if number in self._marks else "◆" if number in self._bookmarks else ""
        row = Row(number, part, self._width, self.scroll_offset.x, cursor, sign, tick)
        drawn = self._rows.get(row)
        if drawn is None:
            drawn = self._rows[row] = self._draw(row)
        return drawn

    def _draw(self, row: Row) -> Strip:
        """In one go, because this is done for every line that is seen."""
        style = self._looks().style("base")
        if row.cursor:
            style += self._looks().style(row.cursor)
        rows = self._body(row.number)
        text = rows[row.part] if row.part < len(rows) else Strip.blank(0)
        room = max(row.width - self._prefix, 0)
        less = row.x > 0 and room > 1 and text.cell_length > 0
        more = text.cell_length > row.x + room
        if more or row.x:
            text = text.crop(row.x + less, row.x + room - more)
        segments = [*self._gutter(row), *self._head(row.number, row.part)]
        if less:
            segments.append(Segment("‹", self._looks().style("time")))
            room -= 1
        segments += text
        if more:
            segments.append(Segment("›", self._looks().style("time")))
        else:
            segments.append(Segment(" " * (room - text.cell_length)))
        if self._prefix > row.width:
            segments = list(Strip(segments).crop(0, row.width))
        drawn = list(Segment.apply_style(segments, style))
        return Strip([*drawn, *self._ticked(row.tick)], row.width + 1)

    def _gutter(self, row: Row) -> list[Segment]:
        bar = "▌" if row.cursor == "cursor" else " "
        return [Segment(bar), Segment(row.sign or " ", self._looks().style("mark"))]

    def _head(self, number: int, part: int) -> list[Segment]:
        if part:
            # the rest of an entry hangs on its first line
            room = self._prefix - GUTTER
            return [Segment(f"{'│':>{room - 1}} " if room > 1 else "", self._looks().style("time"))]
        return prefix(self.buffer.item(number), self._looks(), datetime.now(UTC))

    def _body(self, number: int) -> list[Strip]:
        rows = self._strips.get(number)
        if rows is None:
            rows = self._strips[number] = self._made(number)
            self._widen(max(row.cell_length for row in rows))
        return rows

    def _made(self, number: int) -> list[Strip]:
        item, console = self.buffer.item(number), self.app.console
        try:
            return body(item, self._looks(), console, self._looking)
        except TooSlow:
            self.give_up_search()
            return body(item, self._looks(), console)

    def _widen(self, cells: int) -> None:
        """Only what was seen counts, so that no line is measured for nothing."""
        if cells > self._widest:
            self._widest = cells
            if not self.wrap:
                self.call_later(self._fit)
