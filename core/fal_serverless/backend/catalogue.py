"""Every function of a user as it was told last, and what of it is not so any more.

A list of thousands is asked for every second, while a few of its functions are called. So what was
told is kept, as JSON, with the number of the change it came with; only functions that run or are
called are looked at again, and all of them only after a serve, a move or a deletion. It never
holds up calls for longer than AT_ONCE functions take.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace

import msgspec

from fal_serverless.backend.records import Endpoint, Stored
from fal_serverless.backend.registry import Registry
from fal_serverless.backend.traffic import Meter
from fal_serverless.backend.views import Views
from fal_serverless.errors import NotFound
from fal_serverless.models import Function, Traffic, WorkerState

AT_ONCE = 20
"""Functions that are looked at before calls may go on: half a millisecond."""
MOST_GONE = 1_000
"""Deleted functions that are remembered; who knows an older list gets all of it."""

_encode = msgspec.json.Encoder().encode


@dataclass
class Told:
    """One function, as it was told last."""

    resting: Function
    """Without workers and traffic."""
    shown: Function
    json: bytes
    change: int
    """Which change of the list made it so."""


@dataclass
class Book:
    """One user's functions, newest serve first."""

    registered: int = -1
    """Version of the registry that it is of."""
    told: dict[str, Told] = field(default_factory=dict)
    owner: dict[str, str] = field(default_factory=dict)
    """Revision -> function."""
    moving: set[str] = field(default_factory=set)
    """Those that run or were called when they were looked at."""
    gone: dict[str, int] = field(default_factory=dict)
    """Name -> the change it went with."""
    change: int = 0
    oldest: int = 0
    """Of lists before this change it is not known what went."""
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)


class Catalogue:
    """For the event loop's thread."""

    def __init__(self, registry: Registry, meter: Meter, views: Views) -> None:
        self._registry = registry
        self._meter = meter
        self._views = views
        self._books: dict[str, Book] = {}
        self._began = uuid.uuid4().hex[:12]
        """Changes are counted anew with every start."""

    async def whole(self, user: str) -> bytes:
        """All functions as a JSON list."""
        return b"[%b]" % b",".join(each.json for each in (await self._read(user)).told.values())

    async def since(self, user: str, version: str) -> bytes:
        """A FunctionChanges as JSON. `version`: that of the list known; '' for none."""
        book = await self._read(user)
        known = self._change_of(version, book)
        told = [each.json for each in book.told.values() if known is None or each.change > known]
        gone = [name for name, change in book.gone.items() if known is not None and change > known]
        return b'{"version":%b,"whole":%b,"functions":[%b],"gone":%b}' % (
            _encode(f"{self._began}-{book.change}"),
            _encode(known is None),
            b",".join(told),
            _encode(gone),
        )

    def _change_of(self, version: str, book: Book) -> int | None:
        """None: all of it must be told."""
        began, _, number = version.rpartition("-")
        if began != self._began or not (number.isascii() and number.isdigit()):
            return None
        known = int(number)
        return known if book.oldest <= known <= book.change else None

    async def _read(self, user: str) -> Book:
        book = self._books.setdefault(user, Book())
        # Two who read at once would each miss what the other has seen change.
        async with book.reading:
            change = book.change + 1
            if book.registered != self._registry.version:
                await self._register(user, book, change)
            await self._look(user, book, change)
        return book

    async def _register(self, user: str, book: Book, change: int) -> None:
        """What was served, moved or deleted meanwhile."""
        version = self._registry.version
        grouped: dict[str, list[Stored]] = {}
        for stored in self._registry.revisions(user):
            grouped.setdefault(stored.function, []).append(stored)
        pointing: dict[str, list[Endpoint]] = {}
        for endpoint in self._registry.aliases(user):
            pointing.setdefault(endpoint.function, []).append(endpoint)
        told: dict[str, Told] = {}
        async for name in _in_turns(grouped):
            with suppress(NotFound):  # deleted meanwhile
                resting = self._views.resting(user, name, grouped[name], pointing.get(name, []))
                known = book.told.get(name)
                if known is None or known.resting != resting:
                    # as it rests; whether it moves is looked at next
                    known = Told(resting, resting, _encode(resting), change)
                    book.change = change
                told[name] = known
        fresh = [name for name in told if name not in book.told]
        if list(told) != fresh + [name for name in book.told if name in told]:
            # Whoever knows the list knows another order: all of it is told.
            book.oldest = book.change = change
        self._bury(book, [name for name in book.told if name not in told], change)
        for name in told:
            book.gone.pop(name, None)
        book.told = told
        book.owner = {each.id: name for name, found in grouped.items() for each in found}
        book.registered = version

    def _bury(self, book: Book, names: Iterable[str], change: int) -> None:
        for name in names:
            book.gone[name] = book.change = change
            book.moving.discard(name)
        while len(book.gone) > MOST_GONE:
            book.oldest = book.gone.pop(next(iter(book.gone)))

    def _workers(self, book: Book) -> dict[str, Counter[WorkerState]]:
        found: dict[str, Counter[WorkerState]] = {}
        for worker in self._views.workers():
            name = book.owner.get(worker.revision)
            if name is not None:
                found.setdefault(name, Counter())[worker.state] += 1
        return found

    async def _look(self, user: str, book: Book, change: int) -> None:
        """What moves, or did when it was looked at before."""
        workers, called = self._workers(book), self._meter.called(user)
        wanted = [name for name in book.moving | called | set(workers) if name in book.told]
        async for name in _in_turns(wanted):
            traffic = self._meter.traffic(user, name) if name in called else _NONE
            states = {str(state): count for state, count in workers.get(name, {}).items()}
            told = book.told[name]
            now = replace(told.resting, workers=states, traffic=traffic)
            if now != told.shown:
                told.shown, told.json, told.change = now, _encode(now), change
                book.change = change
            moves = bool(states) or traffic != _NONE
            (book.moving.add if moves else book.moving.discard)(name)


_NONE = Traffic()


async def _in_turns(names: Iterable[str]) -> AsyncIterator[str]:
    for place, name in enumerate(names):
        if place % AT_ONCE == AT_ONCE - 1:
            await asyncio.sleep(0)
        yield name
