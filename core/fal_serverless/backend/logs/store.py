"""The backend's side of the log store: it takes what is said, and asks what was said.

`put` costs the call path a list append. What is taken goes in batches to the store's process (see
`wire`) and is kept until that says it is in the file; so a store that is killed costs nothing but
time. Whoever sends many lines is told when they are in the file, and has to wait for that; what
nobody can be made to wait for is left out and counted when the store is far behind.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from fal_serverless.backend.logs import wire
from fal_serverless.backend.logs.program import Program
from fal_serverless.backend.logs.rows import Block, LogRow, entries_of, entry_of, row_of
from fal_serverless.backend.logs.selection import Selection, check_search
from fal_serverless.models import LogEntry

BATCH_SECONDS = 0.02
"""How long an entry may wait for its batch."""
FULL = 500
"""Entries that make a batch at once."""
CHUNK = 500
"""Entries asked for at once when many were found."""
MOST_HELD = 64 << 20
"""Bytes of batches that may wait for the store; then rows are left out."""
CLOSE_SECONDS = 10.0
"""How long the end waits for the store to write what is left."""

Eased = Callable[[int], None]
"""So many bytes of somebody's lines are in the file."""


@dataclass
class Batch:
    number: int
    frame: bytes
    owed: list[tuple[Eased, int]]
    """Who is to be told when it is written, and how much it was of each."""


@dataclass
class Question:
    frame: bytes
    answer: asyncio.Future[bytes]


@dataclass
class Page:
    """Entries as server-sent events."""

    seen: int
    """The last id looked at."""
    whole: bool
    """There was nothing more at that time."""
    events: bytes = field(repr=False)


class LogStore:
    """For the event loop's thread. Made in a running loop; `close` writes what is left."""

    def __init__(self, folder: Path, max_bytes: int, max_days: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._name = uuid.uuid4().hex
        self._items: list[LogRow | Block] = []
        self._owed: list[tuple[Eased, int]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._last_batch = 0
        self._batches: deque[Batch] = deque()
        """Not known to be written."""
        self._held = 0
        """Bytes of them."""
        self._left_out: Counter[tuple[str, str, str]] = Counter()
        """By user, function and revision."""
        self._questions: dict[int, Question] = {}
        self._last_question = 0
        self._taps: dict[str, Callable[[LogEntry], None]] = {}
        self._written = asyncio.Event()
        self.last = 0
        """The last id that an entry was given, as far as is known: ids count entries."""
        self.dropped = 0
        """Entries and lines that were left out since the start."""
        arguments = (str(folder), str(max_bytes), str(max_days))
        self._program = Program(arguments, self._begun, self._received)

    # What is said

    def put(self, row: LogRow) -> None:
        """Keep an entry; what the call path uses."""
        items = self._items
        items.append(row)
        if self._taps and row[7] in self._taps:
            self._taps[row[7]](entry_of(row))
        if self._timer is None:
            self._timer = self._loop.call_later(BATCH_SECONDS, self._flush)
        elif len(items) >= FULL:
            self._flush()

    def append(self, entry: LogEntry) -> None:
        self.put(row_of(entry))

    def lines(self, block: Block, eased: Eased) -> None:
        """Keep a block of lines; `eased` is called with its size when it is in the file."""
        self._items.append(block)
        self._owed.append((eased, len(block[5])))
        if self._taps and block[2] in self._taps:
            for entry in entries_of(block):
                self._taps[block[2]](entry)
        if self._timer is None:
            self._timer = self._loop.call_later(BATCH_SECONDS, self._flush)
        elif len(self._items) >= FULL:
            self._flush()

    def missing(self, count: int) -> None:
        """So many lines were never sent here."""
        self.dropped += count

    @contextmanager
    def tap(self, revision: str, heard: Callable[[LogEntry], None]) -> Iterator[None]:
        """Hear every line of one revision as it is taken; one listener per revision."""
        self._taps[revision] = heard
        try:
            yield
        finally:
            del self._taps[revision]

    async def close(self) -> None:
        self._flush()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                while self._batches:
                    self._written.clear()
                    await self._written.wait()
        except TimeoutError:
            pass
        for question in self._questions.values():
            question.answer.cancel()
        await self._program.close()

    # What is asked

    async def read(self, selection: Selection) -> list[LogEntry]:
        """The newest entries that match, oldest first; everything taken before is in it."""
        return _entries(b"".join([events async for events in self.found(selection)]))

    async def follow(self, selection: Selection) -> AsyncGenerator[LogEntry, None]:
        """What `read` gives, then every matching entry as it comes, each once, in order."""
        async for events in self.tail(selection):
            for entry in _entries(events):
                yield entry

    async def found(self, selection: Selection) -> AsyncGenerator[bytes, None]:
        """What `read` gives, in pieces, as server-sent events."""
        check_search(selection.query.search)
        if selection.query.after is None:
            found = await self._find(selection)
            async for events in self._show(found.ids):
                yield events
            return
        page = Page(selection.query.after, False, b"")
        while not page.whole:
            page = await self._next(selection, page.seen, wait=False)
            yield page.events

    async def tail(self, selection: Selection) -> AsyncGenerator[bytes, None]:
        """What `follow` gives, in pieces, as server-sent events."""
        check_search(selection.query.search)
        seen = selection.query.after
        if seen is None:
            found = await self._find(selection)
            async for events in self._show(found.ids):
                yield events
            seen = found.last
        while True:
            page = await self._next(selection, seen, wait=True)
            yield page.events
            seen = page.seen

    async def _find(self, selection: Selection) -> wire.Found:
        return _found(await self._ask(wire.FIND, _encode(selection)))

    async def _show(self, ids: list[int]) -> AsyncGenerator[bytes, None]:
        for start in range(0, len(ids), CHUNK):
            yield _page(await self._ask(wire.SHOW, _encode(ids[start : start + CHUNK]))).events

    async def _next(self, selection: Selection, seen: int, *, wait: bool) -> Page:
        return _page(await self._ask(wire.NEXT, _encode(wire.Next(selection, seen, wait))))

    async def _ask(self, kind: int, payload: bytes) -> bytes:
        """The answer's payload, when the store has one."""
        self._flush()
        self._last_question = number = (self._last_question + 1) & 0xFFFFFFFF
        question = Question(wire.frame(kind, number, payload), self._loop.create_future())
        self._questions[number] = question
        self._program.send(question.frame)
        try:
            return await question.answer
        except asyncio.CancelledError:
            self._program.send(wire.frame(wire.DROP, number))
            raise
        finally:
            del self._questions[number]

    # Batches

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._items:
            return
        items, self._items = self._items, []
        owed, self._owed = self._owed, []
        if self._held > MOST_HELD:
            items = [item for item in items if not self._leaves_out(item)]
        self._last_batch += 1
        frame = wire.frame(wire.BATCH, self._last_batch, _packed(items))
        self._batches.append(Batch(self._last_batch, frame, owed))
        self._held += len(frame)
        self._program.send(frame)

    def _leaves_out(self, item: LogRow | Block) -> bool:
        """Lines of workers are bounded by those who send them; rows are not."""
        if isinstance(item[-1], bytes):
            return False
        self._left_out[item[4], item[5], item[7]] += 1
        self.dropped += 1
        return True

    def _acknowledged(self, number: int) -> None:
        while self._batches and self._batches[0].number <= number:
            batch = self._batches.popleft()
            self._held -= len(batch.frame)
            for eased, size in batch.owed:
                eased(size)
        self._written.set()
        if self._left_out and self._held < MOST_HELD // 2:
            self._own_up()

    def _own_up(self) -> None:
        """Say how many entries are missing, where they are missing."""
        left_out, self._left_out = self._left_out, Counter()
        for (user, function, revision), count in left_out.items():
            said = f"{count} lines are left out here: the log store could not keep up"
            now = datetime.now(UTC)
            self.append(
                LogEntry(0, now, "WARNING", "system", said, user, function, revision=revision)
            )

    # The process

    def _begun(self) -> list[bytes]:
        """All that a new process has to be told."""
        return [
            wire.frame(wire.HELLO, 0, self._name.encode()),
            *(batch.frame for batch in self._batches),
            *(question.frame for question in self._questions.values()),
        ]

    def _received(self, kind: int, number: int, payload: bytes) -> None:
        if kind == wire.ACK:
            (self.last,) = wire.LAST.unpack(payload)
            self._acknowledged(number)
        elif number in self._questions and not self._questions[number].answer.done():
            self._questions[number].answer.set_result(payload)


_encode = msgspec.msgpack.Encoder().encode
_found = msgspec.msgpack.Decoder(wire.Found).decode
_decode = msgspec.json.Decoder(list[LogEntry]).decode


def _entries(events: bytes) -> list[LogEntry]:
    return _decode(wire.json_list(events))


def _page(payload: bytes) -> Page:
    seen, whole = wire.PAGE_HEAD.unpack_from(payload)
    return Page(seen, whole, payload[wire.PAGE_HEAD.size :])


def _packed(items: list[Any]) -> bytes:
    try:
        return _encode(items)
    except UnicodeEncodeError:
        return _encode([tuple(map(_sound, item)) for item in items])


def _sound(value: Any) -> Any:
    """Text that can be written: half of a surrogate pair cannot."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    return value
