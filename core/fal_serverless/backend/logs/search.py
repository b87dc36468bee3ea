"""How is what was asked found in the file? In slices, so that nobody else waits for long.

Generators yield None after each slice of work. Both directions go through windows of ids: a search
from the newest back, a tail from the last one seen on. In a window SQLite does all of the work, by
the best index there is; the next window is larger when that was quick, and a window that takes too
long is tried again smaller.
"""

from __future__ import annotations

import re
import sqlite3
import time
from bisect import bisect_left
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field
from typing import Any

from fal_serverless.backend.logs.events import event, removed
from fal_serverless.backend.logs.file import FIRST_UNUSED, LogFile, Stream, hashed
from fal_serverless.backend.logs.literal import condition_of, is_literal
from fal_serverless.backend.logs.rows import micros
from fal_serverless.backend.logs.selection import Selection
from fal_serverless.backend.logs.wire import Found
from fal_serverless.models import LEVEL_RANK
from fal_serverless.timelimit import TooSlow

WINDOW = 2000
"""Ids in the first window."""
SLICE = 0.01
"""Seconds that a window should take."""
TOO_LONG = 0.05
"""Seconds after which a window is given up."""
CHECK_EVERY = 5000
"""Steps of SQLite's between two looks at the clock."""
PAGE = 1000
"""Entries in one page."""
PAGE_BYTES = 512 * 1024
"""A page with more of them ends."""
KEPT = 256
"""Selections remembered in the file's terms."""

_COLUMNS = "id, time, stream, worker, request_id, message"


@dataclass
class Wanted:
    """A selection in terms of the file."""

    way: str
    """`FROM` with the index to use, and what it is used for."""
    values: list[Any]
    """Of all question marks, before those of the window."""
    nothing: bool = False
    """No entry can match."""
    parts: list[str] = field(default_factory=list)
    """What else must hold for an entry."""
    expression: re.Pattern[str] | None = None
    """What `matches` looks for."""

    def add(self, part: str, *values: Any) -> None:
        self.parts.append(f" AND {part}")
        self.values.extend(values)

    def sql(self, order: str) -> str:
        """For ids in a window; its bounds and the most of them are the last three values."""
        rest = "".join(self.parts)
        return f"SELECT id {self.way}{rest} AND id BETWEEN ? AND ? ORDER BY id {order} LIMIT ?"


class Pace:
    """How many ids the next window has."""

    def __init__(self) -> None:
        self.size = WINDOW

    def took(self, seconds: float) -> None:
        if seconds < SLICE / 4:
            self.size *= 4
        elif seconds > SLICE:
            self.size = max(1, self.size // 2)

    def took_too_long(self) -> None:
        self.size = max(1, self.size // 8)


Guard = Callable[[], AbstractContextManager[object]]
"""Around what may take for ever; it raises TooSlow inside then."""


class Search:
    """All questions of one process, answered from a connection that only reads.

    Every method may raise sqlite3.Error and TooSlow.
    """

    def __init__(self, file: LogFile, guard: Guard = nullcontext) -> None:
        self._file = file
        self._guard = guard
        self._connection = file.reader()
        self._kept: dict[Selection, tuple[int, Wanted]] = {}
        self._late = 0.0
        """When the window that is looked at has taken too long."""
        self._too_slow: TooSlow | None = None
        self._expression: re.Pattern[str] | None = None
        self._connection.create_function("matches", 1, self._matches, deterministic=True)

    def close(self) -> None:
        if self._file.path is not None:
            self._connection.close()

    def find(self, selection: Selection) -> Generator[None, None, Found]:
        """The ids of the newest entries that match, ascending."""
        wanted, most, last = self._wanted(selection), selection.query.lines, self._file.last
        found: list[int] = []
        pace = Pace()
        for first, end in [] if wanted.nothing else self._ranges(selection, last):
            while end >= first and len(found) < most:
                begin = max(first, end - pace.size + 1)
                ids = self._ids(wanted, "DESC", (begin, end, most - len(found)), pace)
                if ids is not None:
                    found += ids
                    end = begin - 1
                yield
        return Found(found[::-1], last)

    def show(self, ids: list[int]) -> tuple[int, bytes]:
        """The last id looked at, and the entries up to it, none of which was removed since.

        As many as fit a page; no entry: all up to that id have been removed.
        """
        events: list[bytes] = []
        size = seen = 0
        query = f"SELECT {_COLUMNS} FROM entries WHERE id IN ({_listed(ids)}) ORDER BY id"
        with closing(self._connection.execute(query)) as rows:
            for wanted, row in zip(ids, rows, strict=False):
                if row[0] != wanted:
                    return seen or ids[bisect_left(ids, row[0]) - 1], b"".join(events)
                events.append(event(row, self._file.names[row[2]]))
                size, seen = size + len(events[-1]), row[0]
                if size >= PAGE_BYTES:
                    break
        return seen or ids[-1], b"".join(events)

    def after(self, selection: Selection, seen: int) -> Generator[None, None, tuple[int, bytes]]:
        """The last id looked at, and a page of what matches after `seen`; empty: nothing new."""
        # Streams that come up meanwhile have entries after this one only.
        wanted, last = self._wanted(selection), self._file.last
        if seen > last:
            # Of a file that is not there any more. All of this one is new, unless that was kept in
            # memory while this one could not be had.
            seen = self._file.began if seen >= FIRST_UNUSED else 0
        # Who begins at the beginning misses nothing of what had gone before.
        seen = seen or self._file.after(0)[0] - 1
        pace = Pace()
        # Entries may go between two slices: looked at before each, and what is read in it is whole.
        while True:
            end = last
            if self._file.removed > seen:
                # Not all up to there has gone, when a clock was wrong.
                first, end = self._file.after(seen)
                if first > seen + 1:
                    gone = min(first - 1, self._file.removed)
                    return gone, removed(gone, f"up to {gone - seen}", selection.user)
            seen = max(seen, self._file.first - 1)
            if seen >= last:
                return seen, b""
            upto = end if wanted.nothing else min(last, end, seen + pace.size)
            window = (seen + 1, upto, PAGE)
            ids = [] if wanted.nothing else self._ids(wanted, "ASC", window, pace)
            if ids:
                shown, events = self.show(ids)
                whole = shown == ids[-1] and len(ids) < PAGE
                return upto if whole else shown, events
            if ids is not None:
                seen = upto
            yield

    def _ids(
        self, wanted: Wanted, order: str, window: tuple[int, int, int], pace: Pace
    ) -> list[int] | None:
        """Those that match in a window; None when it has to be smaller."""
        began = time.monotonic()
        self._late, self._expression = began + TOO_LONG, wanted.expression
        # A window of one entry cannot be smaller.
        hurry = self._is_late if window[1] > window[0] else None
        self._connection.set_progress_handler(hurry, CHECK_EVERY)
        try:
            with self._guard():
                rows = self._connection.execute(wanted.sql(order), (*wanted.values, *window))
                ids = [row[0] for row in rows]
        except sqlite3.OperationalError as exc:
            self._connection.set_progress_handler(None, 0)
            slow, self._too_slow = self._too_slow, None
            if slow is not None:
                raise slow from exc
            if exc.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                raise
            pace.took_too_long()
            return None
        self._connection.set_progress_handler(None, 0)
        pace.took(time.monotonic() - began)
        return ids

    def _is_late(self) -> bool:
        return time.monotonic() > self._late

    def _matches(self, text: str) -> bool:
        assert self._expression is not None
        try:
            return self._expression.search(text) is not None
        except TooSlow as exc:
            # SQLite forgets what it was.
            self._too_slow = exc
            raise

    def _ranges(self, selection: Selection, last: int) -> Iterator[tuple[int, int]]:
        """First and last id of where entries can be, from the newest back."""
        query = selection.query
        if query.request_id:
            way = "spans JOIN requests ON span = first WHERE hash = ?"
            values = [hashed(query.request_id)]
        elif query.since or query.until:
            way, values = "spans WHERE 1", []
        else:
            yield self._file.first, last
            return
        if query.since:
            way += " AND high >= ?"
            values.append(micros(query.since))
        if query.until:
            way += " AND low <= ?"
            values.append(micros(query.until))
        select = f"SELECT first, last FROM {way} AND first <= ? ORDER BY first DESC"
        found = self._connection.execute(select, (*values, last)).fetchall()
        yield from _joined(found)

    def _wanted(self, selection: Selection) -> Wanted:
        """Kept, because a tail asks the same again and again."""
        version, wanted = self._kept.get(selection, (0, None))
        if wanted is None or version != self._file.version:
            if len(self._kept) >= KEPT:
                self._kept.clear()
            wanted = want(selection, self._file.streams)
            self._kept[selection] = (self._file.version, wanted)
        return wanted


def want(selection: Selection, streams: dict[Stream, int]) -> Wanted:
    query = selection.query
    lowest = LEVEL_RANK[query.level] if query.level else 0
    chosen = [
        number
        for stream, number in streams.items()
        if stream.user == selection.user
        and (selection.revisions is None or stream.revision in selection.revisions)
        and stream.revision.startswith(query.revision)
        and (not query.sources or stream.source in query.sources)
        and LEVEL_RANK[stream.level] >= lowest
    ]
    among = f"stream IN ({_listed(chosen)})"
    if len(chosen) == len(streams):
        wanted = Wanted("FROM entries NOT INDEXED WHERE 1", [], not chosen)
    elif query.request_id:
        wanted = Wanted(f"FROM entries NOT INDEXED WHERE +{among}", [], not chosen)
    else:
        way = f"FROM entries INDEXED BY entries_of_stream WHERE {among}"
        wanted = Wanted(way, [], not chosen)
    if query.worker:
        wanted.add("worker = ?", query.worker)
    if query.request_id:
        wanted.add("request_id = ?", query.request_id)
    if query.since:
        wanted.add("time >= ?", micros(query.since))
    if query.until:
        wanted.add("time <= ?", micros(query.until))
    if query.search:
        condition = condition_of(query.search)
        if condition is not None:
            wanted.add(*condition)
        if not is_literal(query.search):
            wanted.expression = re.compile(query.search, re.MULTILINE)
            wanted.add("matches(message)")
    return wanted


def _listed(numbers: list[int]) -> str:
    return ",".join(map(str, numbers))


def _joined(spans: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Spans that lie side by side as one; both from the newest back."""
    first = last = 0
    for begin, end in spans:
        if end + 1 == first:
            first = begin
            continue
        if last:
            yield first, last
        first, last = begin, end
    if last:
        yield first, last
