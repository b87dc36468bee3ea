"""The file: entries in the order of their ids, written in whole batches, bounded by size and age.

It belongs to one process at a time. What readers look for is in `search`.
"""

from __future__ import annotations

import fcntl
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from fal_serverless.backend.logs.rows import unpack
from fal_serverless.models import LEVELS, SOURCES

MARK_EVERY = 1000
"""Entries between two marks."""
TRIM_SHARE = 0.1
"""Share of the entries that goes when the file is too large."""
TRIM_STEP = 5000
"""Entries removed at once."""
FORGET_WRITERS = 86_400
"""Seconds after its last batch that a writer is taken for gone."""
CACHE_KIB = 8 * 1024
"""Of the writer: request ids are random, and their index would be read again for every line."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS endpoints (
    id INTEGER PRIMARY KEY, user TEXT NOT NULL, function TEXT NOT NULL, alias TEXT NOT NULL,
    revision TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS entries (
    id INTEGER PRIMARY KEY, time INTEGER NOT NULL, level INTEGER NOT NULL, source INTEGER NOT NULL,
    endpoint INTEGER NOT NULL, worker TEXT NOT NULL, request_id TEXT, message TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS entries_of_endpoint ON entries (endpoint);
CREATE INDEX IF NOT EXISTS entries_of_request ON entries (request_id)
    WHERE request_id IS NOT NULL;
-- No entry with a smaller id has a later time: where to begin for "since", and to end for "age".
CREATE TABLE IF NOT EXISTS marks (id INTEGER PRIMARY KEY, time INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS writers (
    name TEXT PRIMARY KEY, batch INTEGER NOT NULL, at REAL NOT NULL
) WITHOUT ROWID;
-- Ids are never given twice, also when all entries have gone.
CREATE TABLE IF NOT EXISTS given (one INTEGER PRIMARY KEY CHECK (one = 1), last INTEGER NOT NULL);
INSERT OR IGNORE INTO given VALUES (1, 0);
"""

Endpoint = tuple[str, str, str, str]
"""User, function, alias, revision."""

_LEVEL = {name: number for number, name in enumerate(LEVELS)}
_SOURCE = {name: number for number, name in enumerate(SOURCES)}
_USER = _SOURCE["user"]


class LogFile:
    """Opened by one process, which is waited for: a killed backend's store writes to its end."""

    def __init__(
        self, folder: Path, max_bytes: int, max_days: float, clock: Callable[[], float] = time.time
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = (folder / "logs.lock").open("a")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.path = folder / "entries.db"
        self._max_bytes = max_bytes
        self._max_seconds = max_days * 86_400
        self._clock = clock
        self._connection = connect(self.path)
        self._connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
        self._connection.executescript(_SCHEMA)
        self.last = self._number("SELECT last FROM given")
        self.endpoints: dict[Endpoint, int] = {
            (row[1], row[2], row[3], row[4]): row[0]
            for row in self._connection.execute("SELECT * FROM endpoints")
        }
        self.names = {number: key for key, number in self.endpoints.items()}
        self._batches: dict[str, int] = dict(
            self._connection.execute("SELECT name, batch FROM writers")
        )
        self._marked = self._number("SELECT max(id) FROM marks")
        self._latest = self._number("SELECT max(time) FROM entries WHERE id >= ?", self._marked)
        self._latest = max(self._latest, self._number("SELECT max(time) FROM marks"))

    def close(self) -> None:
        self._connection.close()
        self._lock.close()

    # Writing

    def write(self, writer: str, batch: int, items: list[Any]) -> bool:
        """A batch of rows and blocks, whole; False when it was written before.

        An error here (a full disk) ends the process: its successor begins with what is in the file.
        """
        if batch <= self._batches.get(writer, 0):
            return False
        with self._connection:
            self._insert(items)
            self._connection.execute("UPDATE given SET last = ?", (self.last,))
            known = (writer, batch, self._clock())
            self._connection.execute("INSERT OR REPLACE INTO writers VALUES (?, ?, ?)", known)
        self._batches[writer] = batch
        return True

    def _insert(self, items: list[Any]) -> None:
        rows: list[tuple[Any, ...]] = []
        for item in items:
            if len(item) == 6:
                rows.extend(self._of_block(item))
            else:
                rows.append(self._of_row(item))
        if rows:
            if self.last - self._marked >= MARK_EVERY:
                self._mark(rows[0][0])
            self._latest = max(self._latest, max(row[1] for row in rows))
            self._connection.executemany("INSERT INTO entries VALUES (?,?,?,?,?,?,?,?)", rows)

    def _of_row(self, row: Any) -> tuple[Any, ...]:
        at, level, source, message, user, function, alias, revision, worker, request_id = row
        self.last += 1
        endpoint = self._endpoint((user, function, alias, revision))
        where = (_LEVEL[level], _SOURCE[source], endpoint)
        return (self.last, at, *where, worker, request_id or None, message)

    def _of_block(self, block: Any) -> Iterator[tuple[Any, ...]]:
        user, function, revision, worker, aliases, packed = block
        plain = self._endpoint((user, function, "", revision))
        called = {
            name: self._endpoint((user, function, alias, revision))
            for name, alias in aliases.items()
        }
        for level, at, request_id, text in unpack(packed):
            self.last += 1
            endpoint = called.get(request_id, plain)
            yield (self.last, at, _LEVEL[level], _USER, endpoint, worker, request_id or None, text)

    def _endpoint(self, key: Endpoint) -> int:
        found = self.endpoints.get(key)
        if found is None:
            found = len(self.endpoints) + 1
            self._connection.execute("INSERT INTO endpoints VALUES (?,?,?,?,?)", (found, *key))
            self.endpoints[key] = found
            self.names[found] = key
        return found

    def _mark(self, first: int) -> None:
        self._connection.execute(
            "INSERT OR REPLACE INTO marks VALUES (?, ?)", (first, self._latest)
        )
        self._marked = first

    # Bounds

    def trim(self) -> Iterator[None]:
        """Remove what is too old or too much, a step at a time."""
        self._forget()
        yield from self._remove(self._first(), self._too_old(), True)
        if self._size() > self._max_bytes:
            first = self._first()
            yield from self._remove(first, first + int((self.last - first) * TRIM_SHARE), False)

    def _forget(self) -> None:
        before = self._clock() - FORGET_WRITERS
        with self._connection:
            self._connection.execute("DELETE FROM writers WHERE at < ?", (before,))

    def _first(self) -> int:
        return self._number("SELECT min(id) FROM entries")

    def _too_old(self) -> int:
        """The last id that may be of an entry that is too old."""
        query = "SELECT min(id) FROM marks WHERE time >= ?"
        return self._number(query, self._oldest()) or self.last

    def _oldest(self) -> int:
        return round((self._clock() - self._max_seconds) * 1_000_000)

    def _remove(self, first: int, last: int, only_old: bool) -> Iterator[None]:
        aged = " AND time < ?" if only_old else ""
        for begin in range(first, last + 1, TRIM_STEP):
            end = min(last, begin + TRIM_STEP - 1)
            values = (begin, end, self._oldest()) if only_old else (begin, end)
            with self._connection:
                query = f"DELETE FROM entries WHERE id BETWEEN ? AND ?{aged}"
                gone = self._connection.execute(query, values).rowcount
            if only_old and not gone:
                break
            yield
        with self._connection:
            self._connection.execute("DELETE FROM marks WHERE id < ?", (self._first(),))

    def _size(self) -> int:
        pages, free, size = (
            self._number(f"PRAGMA {name}") for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * size

    def _number(self, query: str, *values: int) -> int:
        """What a query for one number comes to; 0 for NULL."""
        with closing(self._connection.execute(query, values)) as cursor:
            return int(cursor.fetchone()[0] or 0)


def connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=10)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    return connection
