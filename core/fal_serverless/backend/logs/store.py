"""The backend's side of the log store: it takes what is said, and asks what was said.

`put` costs the call path a list append. What is taken goes in batches to the store's process (see
`wire`) and is kept until that says it is in the file; so a store that is killed costs nothing but
time. Whoever sends many lines is told when they are in the file, and has to wait for that; what
nobody can be made to wait for is left out and counted when the store is far behind.

When nothing can be written (a full disk) nobody waits: what is said is held up to a bound and tried
again, what is beyond it is left out and counted.
"""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from fal_serverless.backend.logs import wire
from fal_serverless.backend.logs.events import removed
from fal_serverless.backend.logs.program import Program
from fal_serverless.backend.logs.rows import (
    Block,
    LogRow,
    count_lines,
    entries_of,
    entry_of,
    row_of,
)
from fal_serverless.backend.logs.selection import Moves, Selection, check_search
from fal_serverless.errors import from_json
from fal_serverless.models import LogEntry

logger = logging.getLogger("fal_serverless.backend")

BATCH_SECONDS = 0.02
"""How long an entry may wait for its batch."""
FULL = 500
"""Entries that make a batch at once."""
CHUNK = 500
"""Entries asked for at once when many were found."""
MOST_HELD = 64 << 20
"""Bytes of batches that may wait for the store; then rows are left out, and lines too when it
cannot write."""
TRY_AGAIN = 1.0
"""Seconds between two tries to write what could not be written."""
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
        self._refused = ""
        """Why nothing can be written; '' while all is well."""
        self._trying: asyncio.TimerHandle | None = None
        self._questions: dict[int, Question] = {}
        self._last_question = 0
        self._taps: dict[str, Callable[[LogEntry], None]] = {}
        self._written = asyncio.Event()
        self.kept = 0
        """Entries that the file was ever given, as far as is known."""
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
        if self._trying is not None:
            self._trying.cancel()
        await self._program.close()

    # What is asked

    async def read(self, selection: Selection) -> list[LogEntry]:
        """The newest entries that match, oldest first; everything taken before is in it."""
        return _entries(b"".join([events async for events in self.found(selection)]))

    async def follow(self, selection: Selection) -> AsyncGenerator[LogEntry, None]:
        """What `read` gives, then every matching entry as it comes, each once, in order."""
        async with aclosing(self._pages(selection, waits=True)) as pages:
            async for page in pages:
                for entry in _entries(page.events):
                    yield entry

    async def found(self, selection: Selection) -> AsyncGenerator[bytes, None]:
        """What `read` gives, in pieces, as server-sent events."""
        async with aclosing(self._pages(selection, waits=False)) as pages:
            async for page in pages:
                if page.events:
                    yield page.events

    async def tail(
        self, selection: Selection, moves: Moves | None = None
    ) -> AsyncGenerator[bytes, None]:
        """What `follow` gives, in pieces, as server-sent events; `moves` changes the selection.

        An event without content says how far it is: there, a tail that is taken up again goes on.
        """
        async with aclosing(self._pages(selection, moves, waits=True)) as pages:
            async for page in pages:
                yield (
                    page.events
                    if page.events and not page.whole
                    else (page.events + wire.position(page.seen))
                )

    async def _pages(
        self, selection: Selection, moves: Moves | None = None, *, waits: bool
    ) -> AsyncGenerator[Page, None]:
        """The newest that match, or all after those seen; `waits`: and all to come."""
        check_search(selection.query.search)
        seen = selection.query.after
        if seen is None:
            found = _found(await self._ask(wire.FIND, _encode(selection)))
            while moves is not None and moves.now() != selection:
                selection = moves.now()
                found = _found(await self._ask(wire.FIND, _encode(selection)))
            async for page in self._show(found.ids, selection.user):
                yield page
            seen = found.last
            yield Page(seen, True, b"")
        # The first answer comes in any case: who sees nothing learns that there is nothing.
        begun = selection.query.after is None
        whole = begun and not waits
        moved = asyncio.ensure_future(moves.moved()) if moves else None
        try:
            while waits or not whole:
                question = _encode(wire.Next(selection, seen, waits and begun))
                answer = await self._ask_until(moved, wire.NEXT, question)
                if moves is not None and (now := moves.now()) != selection:
                    # What it is about now may have spoken up to where the answer looked.
                    selection = now
                elif answer is not None:
                    page = _page(answer)
                    yield page
                    seen, whole, begun = page.seen, page.whole, True
                if moves is not None and moved is not None and moved.done():
                    moved.result()
                    moved = asyncio.ensure_future(moves.moved())
        finally:
            if moved is not None:
                await _ended(moved)

    async def _show(self, ids: list[int], user: str) -> AsyncGenerator[Page, None]:
        """Those entries; a counted one in place of those that were removed meanwhile."""
        lost, last = 0, 0
        while ids:
            page = _page(await self._ask(wire.SHOW, _encode(ids[:CHUNK])))
            upto = bisect_right(ids, page.seen)
            if not page.events:
                lost, last = lost + upto, ids[upto - 1]
            else:
                told = removed(last, str(lost), user) if lost else b""
                yield Page(page.seen, False, told + page.events)
                lost = 0
            ids = ids[upto:]
        if lost:
            yield Page(last, False, removed(last, str(lost), user))

    async def _ask_until(
        self, moved: asyncio.Future[None] | None, kind: int, payload: bytes
    ) -> bytes | None:
        """The answer's payload; None when something moved before there was one."""
        if moved is None:
            return await self._ask(kind, payload)
        answer = asyncio.ensure_future(self._ask(kind, payload))
        try:
            await asyncio.wait((answer, moved), return_when=asyncio.FIRST_COMPLETED)
            return answer.result() if answer.done() else None
        finally:
            await _ended(answer)

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
        if self._refused:
            _ease(owed)
        self._last_batch += 1
        frame = wire.frame(wire.BATCH, self._last_batch, _packed(items))
        self._batches.append(Batch(self._last_batch, frame, owed))
        self._held += len(frame)
        if not self._refused:
            self._program.send(frame)

    def _leaves_out(self, item: LogRow | Block) -> bool:
        """Lines of workers are bounded by those who send them, unless nobody waits."""
        if len(item) == 6:
            if not self._refused:
                return False
            where, count = (item[0], item[1], item[2]), count_lines(item[5])
        else:
            where, count = (item[4], item[5], item[7]), 1
        self._left_out[where] += count
        self.dropped += count
        return True

    def _acknowledged(self, number: int) -> None:
        while self._batches and self._batches[0].number <= number:
            batch = self._batches.popleft()
            self._held -= len(batch.frame)
            _ease(batch.owed)
        self._written.set()
        if self._refused:
            self._refused = ""
            logger.warning("log entries are written again")
            for batch in self._batches:
                self._program.send(batch.frame)
        if self._left_out and self._held < MOST_HELD // 2:
            self._own_up()

    def _cannot(self, why: str) -> None:
        """Nothing can be written: nobody waits, and it is tried again."""
        if not self._refused:
            logger.error(
                "log entries cannot be written (%s): the last %s MB of them are held until they"
                " can, and functions go on",
                why,
                MOST_HELD >> 20,
            )
        self._refused = why
        for batch in self._batches:
            _ease(batch.owed)
        if self._trying is None:
            self._trying = self._loop.call_later(TRY_AGAIN, self._try_again)

    def _try_again(self) -> None:
        self._trying = None
        if self._batches and self._refused:
            self._program.send(self._batches[0].frame)

    def _own_up(self) -> None:
        """Say how many entries are missing, where they are missing."""
        left_out, self._left_out = self._left_out, Counter()
        for (user, function, revision), count in left_out.items():
            said = f"{count} lines are left out here: the log store could not keep them"
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
            (self.kept,) = wire.COUNT.unpack(payload)
            self._acknowledged(number)
        elif kind == wire.REFUSED:
            self._cannot(payload.decode())
        elif kind == wire.TOLD:
            logger.error("%s", payload.decode())
        elif kind == wire.FAILED and number in self._questions:
            self._fail(self._questions[number], payload)
        elif number in self._questions and not self._questions[number].answer.done():
            self._questions[number].answer.set_result(payload)

    def _fail(self, question: Question, payload: bytes) -> None:
        if not question.answer.done():
            question.answer.set_exception(from_json(json.loads(payload)))


async def _ended(work: asyncio.Future[Any]) -> None:
    """It waits for nothing any more."""
    work.cancel()
    await asyncio.wait((work,))


def _ease(owed: list[tuple[Eased, int]]) -> None:
    for eased, size in owed:
        eased(size)
    owed.clear()


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
