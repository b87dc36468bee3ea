"""What does an entry look like on its way? A plain row, or a block of lines as a worker sent it.

Nothing here knows where it goes.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from fal_serverless.models import Level, LogEntry, Source

LogRow = tuple[int, Level, Source, str, str, str, str, str, str, str]
"""Microseconds since 1970, level, source, message, user, function, alias, revision, worker,
request id. A plain tuple: the call path makes one per call."""

Block = tuple[str, str, str, str, dict[str, str], bytes]
"""User, function, revision, worker, the aliases of running calls by request id, packed lines."""

LINE_HEAD = struct.Struct("!BdBI")
"""Index in LINE_LEVELS, seconds since 1970, bytes of the request id and of the text behind it."""
END_OF_TIME = 253_402_300_800_000_000
"""Microseconds since 1970 of the year 10000, which no datetime can have."""
LINE_LEVELS: tuple[Level, ...] = (
    "DEBUG", "INFO", "WARNING", "ERROR", "STDOUT", "STDERR", "TRACE",
)  # fmt: skip


def row_of(entry: LogEntry) -> LogRow:
    return (
        micros(entry.time),
        entry.level,
        entry.source,
        entry.message,
        entry.user,
        entry.function,
        entry.alias,
        entry.revision,
        entry.worker,
        entry.request_id,
    )


def entry_of(row: LogRow) -> LogEntry:
    """Its id is not known before it is stored: 0."""
    return LogEntry(0, moment(row[0]), *row[1:])


def entries_of(block: Block) -> Iterator[LogEntry]:
    user, function, revision, worker, aliases, packed = block
    for level, time, request_id, text in unpack(packed):
        yield LogEntry(
            id=0,
            time=moment(time),
            level=level,
            source="user",
            message=text,
            user=user,
            function=function,
            alias=aliases.get(request_id, ""),
            revision=revision,
            worker=worker,
            request_id=request_id,
        )


def pack(level: Level, seconds: float, text: str) -> bytes:
    """One line that belongs to no call."""
    return pack_raw(level, seconds, [text.encode("utf-8", "backslashreplace")])


def pack_raw(level: Level, seconds: float, texts: Sequence[bytes], request_id: str = "") -> bytes:
    """Lines of one call, or of none. What is not UTF-8 is replaced where they are read."""
    index, head = LINE_LEVELS.index(level), LINE_HEAD.pack
    name = request_id.encode("utf-8", "replace")[:255]
    size = len(name)
    return b"".join(
        [part for text in texts for part in (head(index, seconds, size, len(text)), name, text)]
    )


def unpack(packed: bytes) -> Iterator[tuple[Level, int, str, str]]:
    """Level, microseconds, request id, text of each line.

    Ends where the form does: a function can harm its worker, and must not harm who reads.
    """
    start, end, head = 0, len(packed), LINE_HEAD.size
    while start < end:
        try:
            level, seconds, name, length = LINE_HEAD.unpack_from(packed, start)
            known, time = LINE_LEVELS[level], round(seconds * 1_000_000)
        except (struct.error, IndexError, ValueError, OverflowError):
            return
        if not 0 <= time < END_OF_TIME:
            return
        text = start + head + name
        request_id = packed[start + head : text].decode("utf-8", "replace") if name else ""
        start = text + length
        yield known, time, request_id, packed[text:start].decode("utf-8", "replace")


def last_texts(packed: bytes, most: int) -> list[str]:
    """The texts of the last lines, without reading the others."""
    spans: deque[tuple[int, int]] = deque(maxlen=most)
    start, end, head = 0, len(packed), LINE_HEAD.size
    while start + head <= end:
        _, _, name, length = LINE_HEAD.unpack_from(packed, start)
        text = start + head + name
        start = text + length
        spans.append((text, start))
    return [packed[a:b].decode("utf-8", "replace") for a, b in spans]


def count_lines(packed: bytes) -> int:
    """How many `unpack` gives, without reading them."""
    start, count, head = 0, 0, LINE_HEAD.size
    while start + head <= len(packed):
        _, _, name, length = LINE_HEAD.unpack_from(packed, start)
        start, count = start + head + name + length, count + 1
    return count


def micros(when: datetime) -> int:
    return round(when.timestamp() * 1_000_000)


def moment(time: int) -> datetime:
    return datetime.fromtimestamp(time / 1_000_000, UTC)
