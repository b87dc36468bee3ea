"""How is what was asked found in the file? In slices, so that nobody else waits for long.

Generators yield None after each slice of work. A search goes through the best index there is from
the newest entry back; a tail goes through new entries by id.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec

from fal_serverless.backend.logs.file import Endpoint, LogFile, connect
from fal_serverless.backend.logs.rows import micros, moment
from fal_serverless.backend.logs.selection import Selection
from fal_serverless.backend.logs.wire import BEGIN, END, Found
from fal_serverless.models import LEVEL_RANK, LEVELS, SOURCES, Level, Source

SLICE = 2000
"""Candidates of a search looked at in one go."""
STRIDE = 5000
"""Ids that a tail goes ahead in one go."""
PAGE = 1000
"""Entries in one page."""
PAGE_BYTES = 512 * 1024
"""A page with more of them ends."""

KEPT = 256
"""Selections remembered in the file's terms."""

_COLUMNS = "id, time, level, source, endpoint, worker, request_id, message"


class Line(msgspec.Struct):
    """An entry as `models.LogEntry` has it; cheaper to make."""

    id: int
    time: datetime
    level: Level
    source: Source
    message: str
    user: str
    function: str
    alias: str
    revision: str
    worker: str
    request_id: str


@dataclass
class Wanted:
    """A selection in terms of the file."""

    endpoints: list[int]
    """Of these only."""
    narrow: bool
    """They are few enough to go through the index of each."""
    parts: list[str] = field(default_factory=list)
    """SQL that must hold for an entry."""
    values: list[Any] = field(default_factory=list)

    def add(self, part: str, *values: Any) -> None:
        self.parts.append(part)
        self.values.extend(values)

    def sql(self) -> str:
        return " AND ".join(self.parts) or "1"


class Search:
    """All questions of one process, answered from a connection that only reads."""

    def __init__(self, file: LogFile) -> None:
        self._file = file
        self._connection = connect(file.path)
        self._connection.execute("PRAGMA query_only=1")
        self._kept: dict[Selection, tuple[int, Wanted | None]] = {}
        self._connection.create_function("matches", 2, _matches, deterministic=True)

    def close(self) -> None:
        self._connection.close()

    def find(self, selection: Selection) -> Generator[None, None, Found]:
        """The ids of the newest entries that match, ascending."""
        wanted, most = self._wanted(selection), selection.query.lines
        found: list[int] = []
        last = self._file.last
        candidates = self._candidates(wanted, selection, last)
        for number, (entry, matched) in enumerate(candidates, 1):
            if len(found) >= most:
                break
            if matched:
                found.append(entry)
            if number % SLICE == 0:
                yield
        return Found(found[::-1], last)

    def show(self, ids: list[int]) -> bytes:
        query = f"SELECT {_COLUMNS} FROM entries WHERE id IN ({_listed(ids)}) ORDER BY id"
        with closing(self._connection.execute(query)) as rows:
            return b"".join(event(row, self._file.names) for row in rows)

    def after(self, selection: Selection, seen: int) -> Generator[None, None, tuple[int, bytes]]:
        """The last id looked at, and a page of what matches after `seen`; empty: nothing new."""
        events: list[bytes] = []
        size = 0
        # Endpoints that come up meanwhile have entries after this one only.
        wanted, last = self._wanted(selection), self._file.last
        query = self._forward(wanted)
        while seen < last and len(events) < PAGE and size < PAGE_BYTES:
            upto = min(last, seen + STRIDE)
            values = (seen, upto, *wanted.values, PAGE - len(events))
            with closing(self._connection.execute(query, values)) as rows:
                for row in rows:
                    events.append(event(row, self._file.names))
                    size += len(events[-1])
                    seen = row[0]
                    if size >= PAGE_BYTES:
                        break
                else:
                    if len(events) < PAGE:
                        seen = upto
            yield
        return seen, b"".join(events)

    def _forward(self, wanted: Wanted) -> str:
        # The plus keeps SQLite from an index that would have to be sorted for every page.
        among = f"+endpoint IN ({_listed(wanted.endpoints)})"
        return (
            f"SELECT {_COLUMNS} FROM entries WHERE id > ? AND id <= ? AND {among}"
            f" AND {wanted.sql()} ORDER BY id LIMIT ?"
        )

    def _candidates(
        self, wanted: Wanted, selection: Selection, last: int
    ) -> Iterator[tuple[int, bool]]:
        """Ids from the newest back, and whether each is wanted."""
        query = selection.query
        low = self._begin(query.since) if query.since else 0
        select = f"SELECT id, {wanted.sql()} FROM entries WHERE id BETWEEN {low} AND {last}"
        values = wanted.values
        if query.request_id:
            ways = [f" AND request_id = ? AND +endpoint IN ({_listed(wanted.endpoints)})"]
            values = [*values, query.request_id]
        elif wanted.narrow:
            ways = [f" AND endpoint = {number}" for number in wanted.endpoints]
        else:
            ways = [f" AND +endpoint IN ({_listed(wanted.endpoints)})"]
        cursors = [
            self._connection.execute(f"{select}{way} ORDER BY id DESC", values) for way in ways
        ]
        return heapq.merge(*cursors, reverse=True)

    def _begin(self, since: datetime) -> int:
        """No entry before this id is as late."""
        query = "SELECT max(id) FROM marks WHERE time < ?"
        return self._connection.execute(query, (micros(since),)).fetchone()[0] or 0

    def _wanted(self, selection: Selection) -> Wanted:
        """Kept, because a tail asks the same again and again."""
        count, wanted = self._kept.get(selection, (0, None))
        if wanted is None or count != len(self._file.endpoints):
            if len(self._kept) >= KEPT:
                self._kept.clear()
            wanted = want(selection, self._file.endpoints)
            self._kept[selection] = (len(self._file.endpoints), wanted)
        return wanted


def want(selection: Selection, endpoints: dict[Endpoint, int]) -> Wanted:
    query = selection.query
    mine = {number: key[3] for key, number in endpoints.items() if key[0] == selection.user}
    chosen = [
        number
        for number, revision in mine.items()
        if (selection.revisions is None or revision in selection.revisions)
        and (not query.revision or revision == query.revision)
    ]
    wanted = Wanted(chosen, len(chosen) < len(mine) or len(chosen) == 1)
    if query.level:
        lowest = LEVEL_RANK[query.level]
        levels = [number for number, name in enumerate(LEVELS) if LEVEL_RANK[name] >= lowest]
        wanted.add(f"level IN ({_listed(levels)})")
    if query.sources:
        wanted.add(f"source IN ({_listed([SOURCES.index(name) for name in query.sources])})")
    if query.worker:
        wanted.add("worker = ?", query.worker)
    if query.request_id:
        wanted.add("request_id = ?", query.request_id)
    if query.since:
        wanted.add("time >= ?", micros(query.since))
    if query.until:
        wanted.add("time <= ?", micros(query.until))
    if query.search:
        wanted.add("matches(?, message)", query.search)
    return wanted


def event(row: Any, names: dict[int, Endpoint]) -> bytes:
    """One entry, as a tail sends it."""
    number, time, level, source, endpoint, worker, request_id, message = row
    line = Line(
        number,
        moment(time),
        LEVELS[level],
        SOURCES[source],
        message,
        *names[endpoint],
        worker,
        request_id or "",
    )
    content = _encode(line)
    if not content.isascii():
        # Readers that split text into lines take these for line ends.
        content = content.replace(b"\xc2\x85", b"\\u0085")
        content = content.replace(b"\xe2\x80\xa8", b"\\u2028").replace(b"\xe2\x80\xa9", b"\\u2029")
    return b"%b%b%b" % (BEGIN, content, END)


_encode = msgspec.json.Encoder().encode


_compiled = lru_cache(64)(re.compile)


def _matches(pattern: str, text: str) -> bool:
    return _compiled(pattern).search(text) is not None


def _listed(numbers: list[int]) -> str:
    return ",".join(map(str, numbers))
