"""The log store: every line of every function, build and request, kept beyond its worker's life.

`append` costs the caller a list append; one thread writes batches to a SQLite file of the store's
own. Readers poll by id, woken by an event, so a slow reader neither loses a line nor holds up a
writer. Size and age are bounded; the oldest lines go first.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fal_serverless.errors import BadInput
from fal_serverless.models import LEVEL_RANK, Level, LogEntry, LogQuery, Source

RECENT = 20_000
"""Entries kept in memory, so that a tail that keeps up never reads the file."""
BATCH_SECONDS = 0.05
"""How long a line may wait for its batch."""
PAGE = 1000
"""Entries a tail reads at once."""
TRIM_EVERY = 30.0
"""Seconds between two looks at size and age."""
TRIM_SHARE = 0.1
"""Share of the entries that goes when the store is too large."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    id INTEGER PRIMARY KEY, time INTEGER NOT NULL, level TEXT NOT NULL, rank INTEGER NOT NULL,
    source TEXT NOT NULL, message TEXT NOT NULL, user TEXT NOT NULL, function TEXT NOT NULL,
    alias TEXT NOT NULL, revision TEXT NOT NULL, worker TEXT NOT NULL, request_id TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS entries_of_revision ON entries (revision, id);
CREATE INDEX IF NOT EXISTS entries_of_request ON entries (request_id, id) WHERE request_id != '';
"""

_COLUMNS = "id, time, level, source, message, user, function, alias, revision, worker, request_id"


LogRow = tuple[int, Level, Source, str, str, str, str, str, str, str]
"""Microseconds since 1970, level, source, message, user, function, alias, revision, worker,
request id. A plain tuple: the call path makes one per call."""


@dataclass(frozen=True)
class Selection:
    """A query with its label resolved: whose entries, and of which revisions."""

    user: str
    query: LogQuery
    revisions: frozenset[str] | None = None
    """None: all."""


class LogStore:
    """One file. `append` from the event loop; `close` writes what is left."""

    def __init__(
        self,
        folder: Path,
        max_bytes: int,
        max_days: int,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = folder / "logs.db"
        self._max_bytes = max_bytes
        self._max_age = timedelta(days=max_days)
        self._clock = clock
        self._pending: list[LogEntry] = []
        self._recent: deque[LogEntry] = deque(maxlen=RECENT)
        self._followers: set[asyncio.Event] = set()
        self._taps: dict[str, Callable[[LogEntry], None]] = {}
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._closing = False
        self._hurry = threading.Event()
        with closing(_connect(self._path)) as connection:
            connection.executescript(_SCHEMA)
            self._last = int(connection.execute("SELECT max(id) FROM entries").fetchone()[0] or 0)
        self._written = self._last
        self._writer = threading.Thread(target=self._write_batches, name="log store", daemon=True)
        self._writer.start()

    def append(self, entry: LogEntry) -> LogEntry:
        """Keep an entry; returns it with its id. Call from the event loop's thread."""
        with self._lock:
            self._last += 1
            stored = replace(entry, id=self._last)
            self._pending.append(stored)
            self._recent.append(stored)
            if len(self._pending) == 1:
                self._work.notify_all()
        for follower in self._followers:
            follower.set()
        if self._taps and stored.revision in self._taps:
            self._taps[stored.revision](stored)
        return stored

    def put(self, row: LogRow) -> None:
        """Keep an entry; what the call path uses. Call from the event loop's thread."""
        self.append(_entry((0, *row)))

    @contextmanager
    def tap(self, revision: str, heard: Callable[[LogEntry], None]) -> Iterator[None]:
        """Hear every line of one revision as it is appended; one listener per revision."""
        self._taps[revision] = heard
        try:
            yield
        finally:
            del self._taps[revision]

    async def read(self, selection: Selection) -> list[LogEntry]:
        """The newest entries that match, oldest first; everything appended before is in it."""
        check_search(selection.query.search)
        return await asyncio.to_thread(self._read, selection)

    async def follow(self, selection: Selection) -> AsyncIterator[LogEntry]:
        """What `read` gives, then every matching entry as it comes, each once, in order."""
        matches = matcher(selection)
        wake = asyncio.Event()
        self._followers.add(wake)
        try:
            seen = self._last
            for entry in await self.read(selection):
                seen = max(seen, entry.id)
                yield entry
            while True:
                batch = await self._after(seen)
                if not batch:
                    await wake.wait()
                    wake.clear()
                    continue
                seen = batch[-1].id
                for entry in batch:
                    if matches(entry):
                        yield entry
        finally:
            self._followers.discard(wake)

    def close(self) -> None:
        with self._lock:
            self._closing = True
            self._hurry.set()
            self._work.notify_all()
        self._writer.join()

    # Reading

    async def _after(self, seen: int) -> list[LogEntry]:
        """The next entries after an id: from memory, or from the file when memory has moved on."""
        if self._last <= seen:
            return []
        if self._recent and self._recent[0].id <= seen + 1:
            fresh = self._last - seen
            return list(self._recent)[-fresh:][:PAGE]
        return await asyncio.to_thread(self._page_after, seen)

    def _page_after(self, seen: int) -> list[LogEntry]:
        self._flush()
        query = f"SELECT {_COLUMNS} FROM entries WHERE id > ? ORDER BY id LIMIT ?"
        with closing(_connect(self._path)) as connection:
            return [_entry(row) for row in connection.execute(query, (seen, PAGE))]

    def _read(self, selection: Selection) -> list[LogEntry]:
        self._flush()
        where, values = _where(selection)
        query = f"SELECT {_COLUMNS} FROM entries WHERE {where} ORDER BY id DESC"
        if selection.query.after is None:
            query += " LIMIT ?"
            values.append(selection.query.lines)
        with closing(_connect(self._path)) as connection:
            if selection.query.search:
                pattern = re.compile(selection.query.search)
                connection.create_function(
                    "matches", 1, lambda text: pattern.search(text) is not None
                )
            found = [_entry(row) for row in connection.execute(query, values)]
        return found[::-1]

    def _flush(self) -> None:
        """Wait until all that was appended so far is in the file."""
        with self._lock:
            target = self._last
            self._hurry.set()
            self._work.wait_for(lambda: self._written >= target or not self._writer.is_alive())

    # Writing

    def _write_batches(self) -> None:
        connection = _connect(self._path)
        trimmed_at = time.monotonic()
        while True:
            with self._lock:
                self._work.wait_for(lambda: self._pending or self._closing, TRIM_EVERY)
                batch, self._pending = self._pending, []
                done = self._closing and not batch
            if batch:
                self._write(connection, batch)
            if done:
                break
            if time.monotonic() - trimmed_at > TRIM_EVERY:
                self._trim(connection)
                trimmed_at = time.monotonic()
            # The next batch collects meanwhile; whoever waits for a flush ends the wait.
            self._hurry.wait(BATCH_SECONDS)
            self._hurry.clear()
        connection.close()

    def _write(self, connection: sqlite3.Connection, batch: list[LogEntry]) -> None:
        marks = ",".join("?" * 12)
        with connection:
            connection.executemany(f"INSERT INTO entries VALUES ({marks})", _rows(batch))
        with self._lock:
            self._written = batch[-1].id
            self._work.notify_all()

    def _trim(self, connection: sqlite3.Connection) -> None:
        oldest = _micros(self._clock() - self._max_age)
        with connection:
            connection.execute("DELETE FROM entries WHERE time < ?", (oldest,))
        pages, free, size = (
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        if (pages - free) * size > self._max_bytes:
            first, last = connection.execute("SELECT min(id), max(id) FROM entries").fetchone()
            with connection:
                cut = first + int((last - first) * TRIM_SHARE)
                connection.execute("DELETE FROM entries WHERE id <= ?", (cut,))


def check_search(text: str) -> None:
    """Raises BadInput when it is not a regular expression."""
    try:
        re.compile(text)
    except re.error as exc:
        raise BadInput(f"search {text!r} is not a regular expression: {exc}") from exc


def matcher(selection: Selection) -> Callable[[LogEntry], bool]:
    """The same choice as the store's query, for one entry. Raises BadInput."""
    query = selection.query
    check_search(query.search)
    pattern = re.compile(query.search) if query.search else None
    rank = LEVEL_RANK[query.level] if query.level else 0

    def matches(entry: LogEntry) -> bool:
        return (
            entry.user == selection.user
            and (selection.revisions is None or entry.revision in selection.revisions)
            and LEVEL_RANK[entry.level] >= rank
            and (not query.sources or entry.source in query.sources)
            and (not query.revision or entry.revision == query.revision)
            and (not query.worker or entry.worker == query.worker)
            and (not query.request_id or entry.request_id == query.request_id)
            and (query.since is None or entry.time >= query.since)
            and (query.until is None or entry.time <= query.until)
            and (pattern is None or pattern.search(entry.message) is not None)
        )

    return matches


def _where(selection: Selection) -> tuple[str, list[Any]]:
    query = selection.query
    parts: list[str] = ["user = ?"]
    values: list[Any] = [selection.user]

    def add(part: str, *more: Any) -> None:
        parts.append(part)
        values.extend(more)

    if selection.revisions is not None:
        add(f"revision IN ({_marks(selection.revisions)})", *sorted(selection.revisions))
    if query.level:
        add("rank >= ?", LEVEL_RANK[query.level])
    if query.sources:
        add(f"source IN ({_marks(query.sources)})", *query.sources)
    for column in ("revision", "worker", "request_id"):
        if getattr(query, column):
            add(f"{column} = ?", getattr(query, column))
    if query.since:
        add("time >= ?", _micros(query.since))
    if query.until:
        add("time <= ?", _micros(query.until))
    if query.after is not None:
        add("id > ?", query.after)
    if query.search:
        add("matches(message)")
    return " AND ".join(parts), values


def _marks(items: Iterable[Any]) -> str:
    return ",".join("?" for _ in items)


def _rows(batch: list[LogEntry]) -> Iterable[tuple[Any, ...]]:
    for e in batch:
        rank = LEVEL_RANK[e.level]
        who = (e.user, e.function, e.alias, e.revision, e.worker, e.request_id)
        yield (e.id, _micros(e.time), e.level, rank, e.source, e.message, *who)


def _entry(row: tuple[Any, ...]) -> LogEntry:
    when = datetime.fromtimestamp(row[1] / 1_000_000, UTC)
    return LogEntry(row[0], when, *row[2:])


def _micros(when: datetime) -> int:
    return round(when.timestamp() * 1_000_000)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, check_same_thread=False, timeout=10)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    return connection
