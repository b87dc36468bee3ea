"""The keys of a log: moving through it, searching it, taking lines out of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import ClassVar

from textual import events
from textual.binding import BindingType
from textual.message import Message

from fal_serverless.config import pager_command
from fal_serverless.models import LogEntry, LogQuery
from fal_serverless.timelimit import TooSlow
from fal_tui import foreground
from fal_tui.bound import Bound
from fal_tui.logs.buffer import LIMIT, Gap, Item
from fal_tui.logs.clock import following
from fal_tui.logs.lines import seen
from fal_tui.widgets import bindings
from fal_tui.widgets.clipboard import copy
from fal_tui.widgets.line_panel import LinePanel
from fal_tui.widgets.log_drawing import plain
from fal_tui.widgets.log_lines import LogLines

SIDEWAYS = 12
"""Cells that one key scrolls to the side."""


class LogView(LogLines, can_focus=True):
    """`folder` is where lines are saved to; None: the current one. `keys` are those in force."""

    BINDINGS: ClassVar[list[BindingType]] = bindings.LOG_VIEW

    class Asked(Message):
        """Entries are wanted that may be anywhere in the log."""

        def __init__(self, query: LogQuery) -> None:
            super().__init__()
            self.query = query

    def __init__(
        self,
        limit: int = LIMIT,
        *,
        labels: bool = False,
        folder: Path | None = None,
        keys: Bound | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        known = keys or Bound.of(widgets=[bindings.LOG])
        super().__init__(limit, labels=labels, keys=known, id=id, classes=classes)
        self.title = "logs"
        """What it shows, for the name of a saved file."""
        self.asks = False
        """Whether somebody can answer `Asked`."""
        self._folder = folder

    # What is looked for

    def search(self, text: str) -> None:
        """Mark every hit and go to the nearest one above, else below; '' ends the search."""
        self.highlight(text)
        self._tick_anew()
        if self.hits is None:
            return
        hit = self._is_hit
        bottom = self._current_index()
        try:
            found = self.buffer.find(bottom, -1, hit)
            if found is None:
                found = self.buffer.find(bottom + 1, 1, hit)
        except TooSlow:
            self.give_up_search()
            return
        self._go_to_found(found, f"No line matches {text}")

    def _is_hit(self, item: Item) -> bool:
        if self.hits is None or isinstance(item, Gap):
            return False
        return self.hits.search(seen(item.message)) is not None

    def _current_index(self) -> int:
        """Where the reader is among the shown: the cursor's line, else the lowest one seen."""
        if self.cursor is not None:
            return min(self.buffer.index(self.cursor), len(self.buffer.shown) - 1)
        return self._index_at(self.scroll_offset.y + self._rows_seen - 1)

    def _seek(self, step: int, wanted: Callable[[Item], bool], missing: str) -> None:
        start = self._current_index()
        if self.cursor is not None or step > 0:
            start += step
        try:
            found = self.buffer.find(start, step, wanted)
        except TooSlow:
            self.give_up_search()
            return
        self._go_to_found(found, missing)

    def _go_to_found(self, number: int | None, missing: str) -> None:
        if number is None:
            self.app.notify(missing, timeout=3, markup=False)
        else:
            self.go_to(number)

    # Keys

    def action_step(self, steps: int) -> None:
        if not self.buffer.shown or self._read_on(steps):
            return
        if self.cursor is None:
            seen = self._rows_seen - 1 if steps < 0 else 0
            row = self.scroll_offset.y + (self._rows_seen - 1 if self.follow else seen)
            index = self._index_at(row)
        else:
            index = self.buffer.index(self.cursor) + steps
        index = min(max(index, 0), len(self.buffer.shown) - 1)
        self.go_to(self.buffer.shown[index])

    def _read_on(self, steps: int) -> bool:
        """Whether the line under the cursor goes on out of sight; then by one row of it."""
        if self.cursor is None:
            return False
        index = self.buffer.index(self.cursor)
        top = self.scroll_offset.y
        start, end = self._places.start(index) + self._lead, self._places.end(index) + self._lead
        below = end > top + self._rows_seen and start <= top + self._rows_seen
        if (steps > 0 and below) or (steps < 0 and start < top < end):
            self._scroll(top + steps)
            return True
        return False

    def action_first(self) -> None:
        if self.buffer.shown:
            self.go_to(self.buffer.shown[0])
            self._scroll(0)

    def action_last(self) -> None:
        self.follow = True

    def action_scroll_part(self, pages: float) -> None:
        rows = max(round(self._rows_seen * abs(pages)), 1)
        self.cursor = None
        if pages < 0:
            self.follow = False
        self._scroll(self.scroll_offset.y + (rows if pages > 0 else -rows))
        self.refresh()

    def action_sideways(self, steps: int) -> None:
        self.scroll_to(x=self.scroll_x + steps * SIDEWAYS, animate=False, force=True)

    def action_follow(self) -> None:
        self.follow = not self.follow

    def action_wrap(self) -> None:
        self.wrap = not self.wrap

    def action_clock(self) -> None:
        self.clock = following(self.clock)

    def action_pause(self) -> None:
        """Take nothing more in; what comes meanwhile waits, up to the limit."""
        self.paused = not self.paused
        self._flush()
        self._changed()

    def action_hit(self, step: int) -> None:
        if self.hits is None:
            said = self.keys.say("Nothing is searched for[: {log.search} searches]")
            self.app.notify(said, timeout=3, markup=False)
        else:
            self._seek(step, self._is_hit, f"No hit further {_way(step)}")

    def action_level(self, level: str, step: int) -> None:
        """To the next line of that level."""

        def wanted(item: Item) -> bool:
            return isinstance(item, LogEntry) and item.level == level

        self._seek(step, wanted, f"No {level.lower()} further {_way(step)}")

    def action_bookmark(self) -> None:
        number = self._number_in_hand()
        if number is not None:
            self._bookmarks ^= {number}
            self._tick_cells = None
            self.refresh()

    def action_next_bookmark(self) -> None:
        """The next one below; after the last comes the first."""
        if not self._bookmarks:
            said = self.keys.say("No bookmark[: {log.bookmark} sets one]")
            self.app.notify(said, timeout=3, markup=False)
            return
        here = self._number_in_hand()
        below = [n for n in sorted(self._bookmarks) if here is None or n > here]
        self.go_to((below or sorted(self._bookmarks))[0])

    def action_mark(self) -> None:
        """Mark a line for copying, and go on to the next."""
        number = self._number_in_hand()
        if number is not None:
            self._marks ^= {number}
            self.cursor = number
            self.action_step(1)

    def action_open(self) -> None:
        number = self._number_in_hand()
        item = self.buffer.item(number) if number is not None else None
        if isinstance(item, LogEntry):
            self.app.push_screen(LinePanel(item, asks=self.asks), self._ask_for)

    def _ask_for(self, query: LogQuery | None) -> None:
        if query is not None:
            self.post_message(self.Asked(query))

    def action_copy(self) -> None:
        """The marked lines, else the line under the cursor, else what is on the screen."""
        numbers = sorted(self._marks) or self._seen_numbers()
        if not self._marks and self.cursor is not None:
            numbers = [self.cursor]
        if numbers:
            self.app.notify(copy(self.app, self._text(numbers)), timeout=3, markup=False)

    def action_save(self) -> None:
        """Every shown line, filters applied, to a new file."""
        folder = self._folder or Path.cwd()
        name = f"{_file_name(self.title)}-{datetime.now():%Y%m%d-%H%M%S}"
        text = self._text(self.buffer.shown) + "\n"
        try:
            path = _write_new(folder, name, text)
        except OSError as exc:
            said = f"Cannot write {folder / name}.log: {exc.strerror}"
            self.app.notify(said, severity="error", markup=False)
            return
        self.app.notify(f"Saved {len(self.buffer.shown):,} lines to {path}", markup=False)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A browser has no terminal to give to a pager."""
        return action != "pager" or not self.app.is_web

    def action_pager(self) -> None:
        """Every shown line, in the program people read with."""
        text = self._text(self.buffer.shown, colours=True)
        problem = foreground.run(self.app, pager_command(), given=text.encode(errors="replace"))
        if problem:
            self.app.notify(problem, title="Pager", severity="error", markup=False)

    def _number_in_hand(self) -> int | None:
        """The line under the cursor; at the end, the last one."""
        if self.cursor is not None:
            return self.cursor
        return self.buffer.shown[self._current_index()] if self.buffer.shown else None

    def _seen_numbers(self) -> list[int]:
        top = self.scroll_offset.y
        if not self.buffer.shown:
            return []
        first, last = self._index_at(top), self._index_at(top + self._rows_seen - 1)
        return list(self.buffer.shown[first : last + 1])

    def _text(self, numbers: Iterable[int], *, colours: bool = False) -> str:
        items = (self.buffer.item(number) for number in numbers)
        return "\n".join(
            plain(each, labels=self.labels, colours=colours, names=self.names) for each in items
        )

    # Mouse

    def on_click(self, event: events.Click) -> None:
        row = self.scroll_offset.y + event.y - self._lead
        if not 0 <= row < self._places.rows:
            return
        self.go_to(self.buffer.shown[self._places.at(row)[0]])
        if event.chain == 2:
            self.action_open()


def _way(step: int) -> str:
    return "down" if step > 0 else "up"


def _write_new(folder: Path, name: str, text: str) -> Path:
    """Where it was written: nothing that is there already is touched."""
    path, number = folder / f"{name}.log", 1
    while True:
        with suppress(FileExistsError), path.open("x", encoding="utf-8", errors="replace") as file:
            file.write(text)
            return path
        number += 1
        path = folder / f"{name}-{number}.log"


def _file_name(title: str) -> str:
    kept = "".join(c if c.isalnum() or c in "-_." else "-" for c in title)
    return kept.strip("-.")[:60] or "logs"
