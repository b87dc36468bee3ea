"""The file: entries in the order of their ids, written in whole batches, bounded by size and age.

It belongs to one process at a time. What readers look for is in `search`; what becomes of a file
that cannot be used, in `folder`.

Two things make questions quick. Every entry belongs to a stream, one for each endpoint, level and
source that there is: whatever narrows by these is a short list of streams, and they are indexed.
And entries lie in spans of about a thousand, which know their times and requests.
"""

from __future__ import annotations

import sqlite3
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

from fal_serverless.backend.logs.rows import unpack
from fal_serverless.models import Level, Source

FORM = 2
"""Of the tables below. A file of another form is not read."""
SPAN = 1000
"""Entries that fill a span. A batch is not parted, so that it may have more."""
TRIM_SHARE = 0.05
"""Share of the entries that goes at a time while the file is too large."""
TRIM_STEP = 5
"""Spans removed at once."""
SPARE = 16 << 20
"""Bytes of the bound that entries do not take, an eighth of it at most: half is for what comes
while others are removed, half for what SQLite writes beside the file first."""
GIVE_BACK = 256
"""Free pages at the end of the file that are given back at once."""
AHEAD = 8 << 20
"""Bytes written beside the file that may stay there."""
UNSURE = 1_000_000
"""Ids left out after an end that was none: a power cut may take what had ids, and was read."""
FORGET_WRITERS = 86_400
"""Seconds after its last batch that a writer is taken for gone."""
CACHE_KIB = 8 * 1024
"""Of the writer: request ids are random, and what knows them would be read again and again."""

FIRST_UNUSED = 10**15
"""What `unused` gives is larger, and ids that a file counted from 1 are not."""

INCREMENTAL = 2
"""Of a file: it gives back pages when it is told to."""

_SCHEMA = f"""
CREATE TABLE streams (
    id INTEGER PRIMARY KEY AUTOINCREMENT, user TEXT NOT NULL, function TEXT NOT NULL,
    alias TEXT NOT NULL, revision TEXT NOT NULL, level TEXT NOT NULL, source TEXT NOT NULL
);
CREATE TABLE entries (
    id INTEGER PRIMARY KEY, time INTEGER NOT NULL, stream INTEGER NOT NULL, worker TEXT NOT NULL,
    request_id TEXT NOT NULL, message TEXT NOT NULL
);
CREATE INDEX entries_of_stream ON entries (stream);
-- First and last id; the earliest and the latest time among them, whatever the clock did.
CREATE TABLE spans (
    first INTEGER PRIMARY KEY, last INTEGER NOT NULL, low INTEGER NOT NULL, high INTEGER NOT NULL
);
-- In which spans a request has entries. A hash is enough: a wrong span is looked at for nothing.
CREATE TABLE requests (
    hash INTEGER NOT NULL, span INTEGER NOT NULL, PRIMARY KEY (hash, span)
) WITHOUT ROWID;
CREATE TABLE writers (
    name TEXT PRIMARY KEY, batch INTEGER NOT NULL, at REAL NOT NULL
) WITHOUT ROWID;
-- Ids are never given twice, also when all entries have gone. Those up to `removed` have.
CREATE TABLE given (
    one INTEGER PRIMARY KEY CHECK (one = 1), last INTEGER NOT NULL, removed INTEGER NOT NULL,
    opened INTEGER NOT NULL, closed INTEGER NOT NULL, written INTEGER NOT NULL
);
PRAGMA user_version = {FORM};
"""


class OtherForm(sqlite3.DatabaseError):
    """The file was written by another version of this program."""


class Stream(NamedTuple):
    """What entries have in common."""

    user: str
    function: str
    alias: str
    revision: str
    level: Level
    source: Source


class LogFile:
    """Written by one process. Every method may raise sqlite3.Error; a batch is whole or not there.

    `path` None: in memory, for as long as the process lives.
    """

    def __init__(
        self,
        path: Path | None,
        max_bytes: int,
        max_days: float,
        clock: Callable[[], float] = time.time,
        begin: int = 0,
    ) -> None:
        """`begin`: ids in a new file are larger."""
        self.path = path
        self._max_bytes = max_bytes
        self._spare = min(SPARE, max_bytes // 8)
        self._max_seconds = max_days * 86_400
        self._clock = clock
        self._connection = connect(path)
        try:
            self._open(begin)
        except BaseException:
            self._connection.close()
            raise

    def _open(self, begin: int) -> None:
        self._connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
        self._connection.execute(f"PRAGMA journal_size_limit={AHEAD}")
        self._gives_back = self._number("PRAGMA auto_vacuum") == INCREMENTAL
        if self._number("SELECT count(*) FROM sqlite_master") == 0:
            self._connection.executescript(f"BEGIN;{_SCHEMA}")
            self._connection.execute("INSERT INTO given VALUES (1, ?, 0, 0, 0, 0)", (begin,))
            self._connection.commit()
        form = self._number("PRAGMA user_version")
        if form != FORM:
            raise OtherForm(f"it has form {form}, not {FORM}")
        self._load()
        if self._number("SELECT opened - closed FROM given"):
            self.last += UNSURE
        self.began = self.last
        """Ids up to this one were given before it was opened."""
        # That the disk takes anything shows here, not with the first lines.
        with self._connection:
            self._connection.execute(
                "UPDATE given SET opened = opened + 1, closed = opened, last = ?", (self.last,)
            )
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._identity = _identity(self.path) if self.path is not None else (0, 0)

    def _load(self) -> None:
        """What is known of the file, as it is in the file."""
        self.last = max(
            self._number("SELECT last FROM given"), self._number("SELECT max(id) FROM entries")
        )
        self.removed = self._number("SELECT removed FROM given")
        self.written = self._number("SELECT written FROM given")
        rows = self._connection.execute("SELECT * FROM streams").fetchall()
        self.names = {row[0]: Stream(*row[1:]) for row in rows}
        self.streams = {stream: number for number, stream in self.names.items()}
        self.version = time.monotonic_ns()
        """Another one when the streams are others."""
        self._batches: dict[str, int] = dict(
            self._connection.execute("SELECT name, batch FROM writers")
        )
        query = "SELECT first, last, low, high FROM spans ORDER BY first DESC LIMIT 1"
        found = self._connection.execute(query).fetchone()
        self._span: tuple[int, int, int, int] | None = found

    def reader(self) -> sqlite3.Connection:
        """For one who only reads."""
        # Nothing else can see what is in memory.
        return self._connection if self.path is None else connect(self.path, reads=True)

    def close(self) -> None:
        with suppress(sqlite3.Error), self._connection:
            self._connection.execute("UPDATE given SET closed = opened")
        self._connection.close()

    @property
    def is_gone(self) -> bool:
        """Whether somebody removed it: what is written then, nobody will find."""
        if self.path is None:
            return False
        try:
            return _identity(self.path) != self._identity
        except FileNotFoundError:
            return True
        except OSError:
            return False

    # Writing

    def write(self, writer: str, batch: int, items: Iterable[Any]) -> bool:
        """A batch of rows and blocks, whole; False when it was written before."""
        if batch <= self._batches.get(writer, 0):
            return False
        try:
            with self._connection:
                self._insert(items)
                self._connection.execute(
                    "UPDATE given SET last = ?, written = ?", (self.last, self.written)
                )
                known = (writer, batch, self._clock())
                self._connection.execute("INSERT OR REPLACE INTO writers VALUES (?, ?, ?)", known)
        except BaseException:
            self._load()
            raise
        self._batches[writer] = batch
        return True

    def _insert(self, items: Iterable[Any]) -> None:
        rows: list[tuple[Any, ...]] = []
        for item in items:
            if len(item) == 6:
                rows.extend(self._of_block(item))
            else:
                rows.append(self._of_row(item))
        if rows:
            self._connection.executemany("INSERT INTO entries VALUES (?,?,?,?,?,?)", rows)
            self._extend(rows)
            self.written += len(rows)

    def _of_row(self, row: Any) -> tuple[Any, ...]:
        at, level, source, message, user, function, alias, revision, worker, request_id = row
        self.last += 1
        stream = self._stream(Stream(user, function, alias, revision, level, source))
        return (self.last, at, stream, worker, request_id, message)

    def _of_block(self, block: Any) -> Iterator[tuple[Any, ...]]:
        user, function, revision, worker, aliases, packed = block
        known: dict[tuple[str, Level], int] = {}
        number = self.last
        for level, at, request_id, text in unpack(packed):
            alias = aliases.get(request_id, "") if aliases else ""
            stream = known.get((alias, level))
            if stream is None:
                stream = self._stream(Stream(user, function, alias, revision, level, "user"))
                known[alias, level] = stream
            number += 1
            yield (number, at, stream, worker, request_id, text)
        self.last = number

    def _stream(self, stream: Stream) -> int:
        found = self.streams.get(stream)
        if found is None:
            query = "INSERT INTO streams VALUES (NULL, ?, ?, ?, ?, ?, ?)"
            found = self._connection.execute(query, stream).lastrowid or 0
            self.streams[stream] = found
            self.names[found] = stream
            self.version += 1
        return found

    def _extend(self, rows: list[tuple[Any, ...]]) -> None:
        """The span that the rows belong to: the last one, or a new one."""
        times = [row[1] for row in rows]
        first, low, high = rows[0][0], min(times), max(times)
        if self._span is not None and first - self._span[0] < SPAN:
            first, low, high = self._span[0], min(low, self._span[2]), max(high, self._span[3])
        self._span = (first, rows[-1][0], low, high)
        self._connection.execute("INSERT OR REPLACE INTO spans VALUES (?, ?, ?, ?)", self._span)
        named = {row[4] for row in rows}
        named.discard("")
        self._connection.executemany(
            "INSERT OR IGNORE INTO requests VALUES (?, ?)",
            sorted((hashed(request_id), first) for request_id in named),
        )

    @property
    def first(self) -> int:
        """No entry that is there has a smaller id."""
        return self._number("SELECT min(first) FROM spans") or self.last

    def after(self, seen: int) -> tuple[int, int]:
        """First and last id of the next span that has more than `seen`; none: behind all."""
        query = """SELECT first, last FROM spans WHERE last > ? AND first >= coalesce(
            (SELECT max(first) FROM spans WHERE first <= ?), 0) ORDER BY first LIMIT 1"""
        found: tuple[int, int] | None = self._connection.execute(query, (seen, seen)).fetchone()
        return found or (self.last + 1, self.last)

    # Bounds

    @property
    def is_full(self) -> bool:
        pages, free, size = self._pages()
        return (pages - free) * size > self._max_bytes - self._spare

    def trim(self) -> Iterator[None]:
        """Remove what is too old or too much, a step at a time."""
        with self._connection:
            before = self._clock() - FORGET_WRITERS
            self._connection.execute("DELETE FROM writers WHERE at < ?", (before,))
        oldest = max(0, round((self._clock() - self._max_seconds) * 1_000_000))
        yield from self._remove("SELECT first FROM spans WHERE high < ?", oldest)
        while self.is_full and (first := self.first) < self.last:
            upto = first + int((self.last - first) * TRIM_SHARE)
            yield from self._remove("SELECT first FROM spans WHERE first <= ?", upto)
        self._forget_streams()
        yield from self._give_back()

    def _remove(self, which: str, value: int) -> Iterator[None]:
        spans = [row[0] for row in self._connection.execute(which, (value,))]
        for start in range(0, len(spans), TRIM_STEP):
            with self._connection:
                for span in spans[start : start + TRIM_STEP]:
                    self._remove_span(span)
                self._connection.execute("UPDATE given SET removed = ?", (self.removed,))
            yield

    def _remove_span(self, first: int) -> None:
        last = self._number("SELECT last FROM spans WHERE first = ?", first)
        query = "SELECT DISTINCT request_id FROM entries WHERE id BETWEEN ? AND ?"
        named = self._connection.execute(query, (first, last)).fetchall()
        self._connection.executemany(
            "DELETE FROM requests WHERE hash = ? AND span = ?",
            sorted((hashed(request_id), first) for (request_id,) in named),
        )
        self._connection.execute("DELETE FROM entries WHERE id BETWEEN ? AND ?", (first, last))
        self._connection.execute("DELETE FROM spans WHERE first = ?", (first,))
        self.removed = max(self.removed, last)
        if self._span is not None and self._span[0] == first:
            self._span = None

    def _forget_streams(self) -> None:
        """Those of which no entry is left."""
        query = """SELECT id FROM streams
            WHERE NOT EXISTS (SELECT 1 FROM entries WHERE entries.stream = streams.id)"""
        empty = self._connection.execute(query).fetchall()
        if empty:
            with self._connection:
                self._connection.executemany("DELETE FROM streams WHERE id = ?", empty)
            for (number,) in empty:
                del self.streams[self.names.pop(number)]
            self.version += 1

    def _give_back(self) -> Iterator[None]:
        """Free pages beyond the bound, a step at a time; those within it are written again.

        A file of an earlier version cannot: it keeps its size.
        """
        while self._gives_back and (count := self._too_many()):
            # `execute` ends with the first page, which is a row without columns.
            self._connection.executescript(f"PRAGMA incremental_vacuum({count})")
            yield
        if self.path is not None and self._is_large_on_disk(self.path):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _too_many(self) -> int:
        """Free pages to be given back at once."""
        pages, free, size = self._pages()
        beyond = pages - (self._max_bytes - self._spare // 2) // size
        return max(0, min(beyond, free, GIVE_BACK))

    def _is_large_on_disk(self, path: Path) -> bool:
        """Whether a checkpoint makes it smaller."""
        pages, _, size = self._pages()
        try:
            ahead = path.with_name(f"{path.name}-wal").stat().st_size
            return ahead > AHEAD or path.stat().st_size > max(pages * size, self._max_bytes)
        except OSError:
            return False

    def _pages(self) -> tuple[int, int, int]:
        """All, those that are free, and the bytes of one."""
        return (
            self._number("PRAGMA page_count"),
            self._number("PRAGMA freelist_count"),
            self._number("PRAGMA page_size"),
        )

    def _number(self, query: str, *values: int) -> int:
        """What a query for one number comes to; 0 for NULL and for nothing."""
        with closing(self._connection.execute(query, values)) as cursor:
            return int((cursor.fetchone() or (0,))[0] or 0)


def unused() -> int:
    """Larger than ids that were ever given by a file that nobody can ask any more.

    No file takes a million entries a second.
    """
    return round(time.time() * 1_000_000)


def _identity(path: Path) -> tuple[int, int]:
    """Raises OSError."""
    found = path.stat()
    return found.st_dev, found.st_ino


def hashed(request_id: str) -> int:
    """Of a request; the same in every process."""
    return zlib.crc32(request_id.encode())


def connect(path: Path | None, *, reads: bool = False) -> sqlite3.Connection:
    connection = sqlite3.connect(path or ":memory:", timeout=10)
    try:
        if not reads and connection.execute("PRAGMA page_count").fetchone() == (0,):
            # Later, it is too late for this, and with WAL the first page is there.
            connection.execute(f"PRAGMA auto_vacuum={INCREMENTAL}")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        if reads:
            connection.execute("PRAGMA query_only=1")
    except BaseException:
        connection.close()
        raise
    return connection
