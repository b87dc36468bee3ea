"""A live log that follows its end, or stands still under the reader's eyes.

Entries come by `write`; where they come from, and what keys do, is not known here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from time import monotonic

from textual.message import Message
from textual.timer import Timer

from fal_serverless.timelimit import TooSlow
from fal_tui.bound import UNTOLD, Bound
from fal_tui.logs.buffer import LIMIT, Gap, Item, LogBuffer
from fal_tui.logs.filters import Filter, culprit
from fal_tui.logs.inbox import Inbox
from fal_tui.logs.lines import height
from fal_tui.logs.places import Places
from fal_tui.logs.ticks import Ticks, searcher
from fal_tui.slow import batches
from fal_tui.widgets.filtering import pattern
from fal_tui.widgets.log_sheet import LogSheet

FRAME = 0.05
"""Seconds between two repaints at least, however fast entries come."""


@dataclass(frozen=True)
class Held:
    """All that was shown, and how, to come back to it."""

    buffer: LogBuffer
    places: Places
    cursor: int | None
    bookmarks: set[int]
    marks: set[int]
    sought: str
    before: str
    widest: int
    follow: bool
    counts_new: bool
    new: int
    x: int
    y: int


class LogLines(LogSheet):
    """`limit` items are kept; `labels` says for each line whose it is."""

    class Changed(Message):
        """Counts, follow, pause or filters are not what they were."""

        def __init__(self, view: LogLines) -> None:
            super().__init__()
            self.view = view

        @property
        def control(self) -> LogLines:
            return self.view

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, LogLines.Changed) and message.view is self.view

    def __init__(
        self,
        limit: int = LIMIT,
        *,
        labels: bool = False,
        keys: Bound = UNTOLD,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(limit, labels=labels, keys=keys, id=id, classes=classes)
        self.new = 0
        """Lines that came since the reader left the end."""
        self.counts_new = True
        """False: one reads from the top, and what comes is not new but further down."""
        self.paused = False
        self._inbox = Inbox(limit)
        self._flushed = 0.0
        self._timer: Timer | None = None

    def on_mount(self) -> None:
        self.set_interval(1, self._grow_older)
        self._flush()

    # What comes in

    def write(self, items: Iterable[Item]) -> None:
        """Add entries; they are seen at the next repaint, or when the pause is over."""
        self._inbox.put(items)
        self._flush_soon()

    def say_again(self, gap: Gap, before: Gap) -> bool:
        """Say it in place of what was said before; False when something came after that."""
        if self._inbox.count:
            return self._inbox.replace_last(before, gap)
        said = self.buffer.replace_last(before, gap)
        if said:
            self._forget_drawn()
            self.refresh()
        return said

    def clear(self) -> None:
        """Start anew; filters, search and the way of reading stay."""
        self._inbox.take()
        self.new = 0
        self.before = ""
        self.buffer.clear()
        self._places, self._ticks = Places(), Ticks()
        self.cursor = None
        self._bookmarks.clear()
        self._marks.clear()
        self._forget_drawn()
        self._widest = 0
        self.paused = False
        self.follow = True
        self._fit()
        self._changed()

    def set_aside(self) -> Held:
        """Start anew without filters and search; `put_back` brings back all there was."""
        self.paused = False
        self._flush()
        held = Held(
            self.buffer,
            self._places,
            self.cursor,
            set(self._bookmarks),
            set(self._marks),
            self.sought,
            self.before,
            self._widest,
            self.follow,
            self.counts_new,
            self.new,
            round(self.scroll_offset.x),
            round(self.scroll_offset.y),
        )
        self.buffer = LogBuffer(held.buffer.limit)
        self.sought, self.hits = "", None
        self.clear()
        return held

    def put_back(self, held: Held) -> None:
        """What was set aside, in place of what is shown."""
        self.clear()
        self.buffer, self._places = held.buffer, held.places
        self.cursor, self._bookmarks, self._marks = held.cursor, held.bookmarks, held.marks
        self.before, self._widest, self.new = held.before, held.widest, held.new
        self.sought, self.hits = held.sought, pattern(held.sought) if held.sought else None
        self.counts_new = held.counts_new
        self.set_reactive(LogLines.follow, held.follow)
        self._fit()
        if not held.follow:
            self._scroll(held.y)
        # the pane may have another width now
        self._arrange()
        self.scroll_to(x=held.x, animate=False, force=True)
        self._changed()

    def say_before(self, text: str) -> None:
        """Say above the first line why there may be older ones."""
        lead = self._lead
        self.before = text
        self._fit(lead - self._lead)

    @property
    def waiting(self) -> int:
        """Entries that came and wait for the next repaint, or for the end of the pause."""
        return self._inbox.count

    def _flush_soon(self) -> None:
        if not self.is_mounted or self._timer is not None:
            return
        if self.paused:
            self._timer = self.set_timer(FRAME, self._tell_waiting)
            return
        wait = self._flushed + FRAME - monotonic()
        if wait <= 0:
            self._flush()
        else:
            self._timer = self.set_timer(wait, self._flush)

    def _tell_waiting(self) -> None:
        self._timer = None
        self._changed()

    def _flush(self) -> None:
        self._timer = None
        self._flushed = monotonic()
        if not self.paused and self._inbox.count:
            self._take_in(self._inbox.take())

    def _take_in(self, items: Sequence[Item]) -> None:
        lead = self._lead
        below = self._places.rows + lead >= self.scroll_offset.y + self._rows_seen
        try:
            delta = self.buffer.extend(items)
        except TooSlow as exc:
            self.set_filters(self._without_slow(self.filters, exc))
            self._take_in(items)
            return
        gone = self._places.drop(delta.removed) - (self._lead - lead)
        self._add_places(delta.added)
        self._forget_trimmed()
        if not self.follow and self.counts_new:
            self.new += delta.added
        self._fit(gone, seen=self.follow or gone != 0 or not below)
        self._changed()

    def _add_places(self, count: int) -> None:
        width = self._wrap_width
        shown = self.buffer.shown
        self._tick_from(len(shown) - count)
        for index in range(len(shown) - count, len(shown)):
            self._places.add(self._height(shown[index], width))

    def _height(self, number: int, width: int | None) -> int:
        item = self.buffer.item(number)
        return 1 if isinstance(item, Gap) else height(item.message, width)

    def _tick_anew(self) -> None:
        self._ticks, self._tick_cells = Ticks(), None
        self._tick_from(0)

    def _tick_from(self, index: int) -> None:
        """Look for errors and hits in what is shown from there on."""
        found, numbers = searcher(self.hits), self.buffer.shown[index:]

        def tick(batch: Sequence[int]) -> None:
            for number in batch:
                self._ticks.add(number, self.buffer.item(number), found)

        if found is None:
            tick(numbers)
            return
        try:
            for _ in batches(numbers, tick):
                pass
        except TooSlow:
            self.give_up_search()
            self._tick_anew()

    def _forget_trimmed(self) -> None:
        first = self.buffer.trimmed
        if first:
            self._ticks.forget_before(first)
            self._bookmarks = {number for number in self._bookmarks if number >= first}
            self._marks = {number for number in self._marks if number >= first}
            if self.cursor is not None and self.cursor < first:
                self.cursor = None

    # What is shown

    @property
    def filters(self) -> tuple[Filter, ...]:
        return self.buffer.filters

    def chips(self) -> list[str]:
        """What narrows the view, as it is written in a title."""
        search = [f"/{self.sought}"] if self.sought else []
        return [one.chip for one in self.filters] + search

    def highlight(self, text: str) -> None:
        """Make every hit that is seen stand out; quick enough for each key that is typed."""
        self.sought = text
        self.hits = pattern(text) if text else None
        self._ticks.hits.clear()
        self._tick_cells = None
        self._forget_look()
        self._changed()

    def give_up_search(self) -> None:
        super().give_up_search()
        self._changed()

    def set_filters(self, filters: Sequence[Filter]) -> None:
        """Show what passes; the line being read stays where it is, or the next one does.

        A filter that takes too long is left out, and it is said.
        """
        try:
            self._arrange(filters)
        except TooSlow as exc:
            self.set_filters(self._without_slow(filters, exc))
            return
        self._changed()

    def _without_slow(self, filters: Sequence[Filter], error: TooSlow) -> list[Filter]:
        slow = culprit(error, filters)
        if slow is None:
            raise error
        self._warn(f"Filter {slow.chip}")
        return [one for one in filters if one != slow]

    def go_to(self, number: int) -> None:
        """Leave the end and put the cursor on a shown item."""
        index = self.buffer.index(number)
        if index >= len(self.buffer.shown):
            return
        top, before = self.scroll_offset.y, self.cursor
        self.follow = False
        self.cursor = self.buffer.shown[index]
        self._show_index(index)
        if before is None or self.scroll_offset.y != top:
            self.refresh()
            return
        for each in (before, self.cursor):
            place = self._shown_index(each)
            start, end = self._places.start(place), self._places.end(place)
            self.refresh_lines(start + self._lead, end - start)

    # Where things are

    def _show_index(self, index: int) -> None:
        """Scroll as little as needed; to the upper third when it was out of sight."""
        start = self._places.start(index) + self._lead
        end = self._places.end(index) + self._lead
        top, rows = self.scroll_offset.y, self._rows_seen
        if start < top - 1 or end > top + rows + 1:
            self._scroll(start - rows // 3)
        elif start < top:
            self._scroll(start)
        elif end > top + rows:
            self._scroll(min(end - rows, start))

    def _arrange(self, filters: Sequence[Filter] | None = None) -> None:
        """Measure all shown items anew; the one being read keeps its row."""
        anchor, below_top = self._anchor()
        if filters is not None:
            self.buffer.set_filters(filters)
        width, shown = self._wrap_width, self.buffer.shown
        self._places = Places(self._height(number, width) for number in shown)
        self._tick_anew()
        self._forget_look()
        if not shown:
            self.cursor = None
            self._fit()
            return
        if self.cursor is not None:
            self.cursor = shown[self._shown_index(self.cursor)]
        start = self._places.start(self._shown_index(anchor)) + self._lead
        self._fit(self.scroll_offset.y + below_top - start)

    def _anchor(self) -> tuple[int, int]:
        """The number of the item being read, and its distance from the top."""
        if not len(self._places):
            return self.buffer.trimmed, 0
        top = self.scroll_offset.y
        number = self.cursor
        if number is None:
            number = self.buffer.shown[self._index_at(top)]
        return number, self._places.start(self.buffer.index(number)) + self._lead - top

    def _shown_index(self, number: int) -> int:
        """Of the item, or of the one nearest to it."""
        return min(self.buffer.index(number), len(self.buffer.shown) - 1)

    # What changes

    def watch_follow(self, follow: bool) -> None:
        if follow:
            self.new = 0
            self.cursor = None
            self._fit()
        self._changed()

    def watch_wrap(self) -> None:
        self._arrange()
        if self.wrap:
            self.scroll_to(x=0, animate=False, force=True)
        self._changed()

    def watch_clock(self) -> None:
        if self.wrap:
            self._arrange()
        else:
            self._forget_look()
            self._fit()

    def watch_labels(self) -> None:
        self.watch_clock()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        # at the end it still follows: a pane that grew higher is moved there by the layout
        if new_value < min(old_value, self.max_scroll_y) and not self._own_scroll:
            self.follow = False

    def on_resize(self) -> None:
        if self.wrap:
            self._arrange()
        else:
            self._fit()

    def _changed(self) -> None:
        if self.is_mounted:
            self.post_message(self.Changed(self))
