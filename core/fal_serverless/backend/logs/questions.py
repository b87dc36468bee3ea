"""What is being asked, and who waits for the answer: work in slices, each for all who ask alike.

Two hundred readers who follow the same endpoint, and have read it to the same place, are one
question. Nothing here knows a socket: an answer is called with its kind and payload.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Hashable
from dataclasses import dataclass, field
from functools import partial

import msgspec

from fal_serverless.backend.logs import wire
from fal_serverless.backend.logs.file import LogFile
from fal_serverless.backend.logs.peer import Peer
from fal_serverless.backend.logs.search import Search
from fal_serverless.backend.logs.selection import Selection
from fal_serverless.errors import BadInput, FalError, to_json
from fal_serverless.timelimit import TooSlow

BUDGET = 0.02
"""Seconds of questions between two looks at the sockets."""
FAR = 50_000
"""Ids without an entry that matches, after which a reader who waits is told how far it is."""
TAIL_EVERY = 0.01
"""Seconds between two answers for tails while entries come, …"""
TAIL_EACH = 0.0003
"""… and how much longer for each reader who got the last one."""

Answer = tuple[int, bytes]
"""Kind and payload."""
Work = Generator[None, None, Answer | None]
"""Slices of work; None in the end while there is nothing to answer."""


@dataclass(eq=False)
class Question:
    begin: Callable[[], Work]
    work: Work
    key: Hashable
    askers: set[tuple[Peer, int]]
    """Who, and under which number."""


@dataclass(eq=False)
class Tail:
    """A question that waits for entries to come."""

    selection: Selection
    began: int
    """The last id that they had seen who asked."""
    seen: int
    """The last id looked at."""
    askers: set[tuple[Peer, int]] = field(default_factory=set)


class Questions:
    """All of one store's."""

    def __init__(self, file: LogFile, search: Search) -> None:
        self._file = file
        self._search = search
        self._working: deque[Question] = deque()
        self._keys: dict[Hashable, Question] = {}
        self._tails: dict[Hashable, Tail] = {}
        """By what was asked."""
        self._tailed = file.last
        self._tail_at = 0.0

    @property
    def is_busy(self) -> bool:
        return any(_can_hear(question) for question in self._working)

    @property
    def news_at(self) -> float | None:
        """When tails are to be told what came; None: nothing came."""
        return None if self._tailed == self._file.last else self._tail_at

    # Asking

    def find(self, asker: tuple[Peer, int], selection: Selection) -> None:
        self._ask(("find", *asker), lambda: self._find(selection), asker)

    def show(self, asker: tuple[Peer, int], ids: list[int]) -> None:
        self._ask(("show", *asker), lambda: self._show(ids), asker)

    def next(self, asker: tuple[Peer, int], asked: wire.Next) -> None:
        selection, seen = asked.selection, asked.seen
        if not asked.wait:
            self._ask(("now", *asker), lambda: self._now(selection, seen), asker)
        elif (tail := self._tails.get((selection, seen))) is not None:
            tail.askers.add(asker)
        else:
            self._ask((selection, seen), lambda: self._more(selection, seen, seen), asker)

    def drop(self, asker: tuple[Peer, int]) -> None:
        for question in self._working:
            question.askers.discard(asker)
        for key, tail in list(self._tails.items()):
            tail.askers.discard(asker)
            if not tail.askers:
                del self._tails[key]

    def drop_all(self, peer: Peer) -> None:
        waiting = [question.askers for question in self._working]
        waiting += [tail.askers for tail in self._tails.values()]
        for askers in waiting:
            askers -= {asker for asker in askers if asker[0] is peer}

    def _ask(self, key: Hashable, begin: Callable[[], Work], *askers: tuple[Peer, int]) -> None:
        known = self._keys.get(key)
        if known is not None:
            known.askers.update(askers)
            return
        self._keys[key] = question = Question(begin, begin(), key, set(askers))
        self._working.append(question)

    # Answering

    def work(self) -> None:
        """A slice of every question in turn, until the time is up. Raises sqlite3.Error."""
        self._wake()
        until = time.monotonic() + BUDGET
        for _ in range(len(self._working)):
            question = self._working.popleft()
            if not question.askers:
                del self._keys[question.key]
                continue
            self._working.append(question)
            if _can_hear(question):
                self._go_on(question)
                if time.monotonic() > until:
                    return

    def _go_on(self, question: Question) -> None:
        try:
            next(question.work)
            return
        except StopIteration as done:
            answer: Answer | None = done.value
        except TooSlow as exc:
            answer = (wire.FAILED, _failed(BadInput(str(exc))))
        self._working.remove(question)
        del self._keys[question.key]
        if answer is not None:
            for peer, number in question.askers:
                peer.send(answer[0], number, answer[1])
        elif question.key in self._tails:
            self._tails[question.key].askers |= question.askers

    def fail(self, why: str) -> None:
        """The answer to all that is being looked for."""
        for question in self._working:
            for peer, number in question.askers:
                peer.send(wire.FAILED, number, _failed(FalError(why)))
        self._working.clear()
        self._keys.clear()

    def move(self, file: LogFile, search: Search) -> None:
        """Questions go on with another file; those that are worked on begin again."""
        self._file, self._search = file, search
        for question in self._working:
            question.work = question.begin()
        self._tailed = -1

    def _wake(self) -> None:
        """Look again for those who wait, when there is something new."""
        now = time.monotonic()
        if self._tailed == self._file.last or now < self._tail_at:
            return
        self._tailed = self._file.last
        waiting, self._tails = self._tails, {}
        count = 0
        for key, tail in waiting.items():
            count += len(tail.askers)
            if tail.askers:
                self._ask(key, partial(self._more_of, tail), *tail.askers)
        self._tail_at = now + max(TAIL_EVERY, count * TAIL_EACH)

    def _find(self, selection: Selection) -> Work:
        found = yield from self._search.find(selection)
        return wire.FOUND, _encode(found)

    def _show(self, ids: list[int]) -> Work:
        yield
        seen, events = self._search.show(ids)
        return wire.PAGE, _page(seen, seen == ids[-1], events)

    def _now(self, selection: Selection, seen: int) -> Work:
        last = self._file.last
        seen, events = yield from self._search.after(selection, seen)
        return wire.PAGE, _page(seen, seen >= last, events)

    def _more_of(self, tail: Tail) -> Work:
        return self._more(tail.selection, tail.began, tail.seen)

    def _more(self, selection: Selection, began: int, seen: int) -> Work:
        while True:
            last = self._file.last
            seen, events = yield from self._search.after(selection, seen)
            if events or seen - began > FAR:
                return wire.PAGE, _page(seen, seen >= last, events)
            if seen == self._file.last:
                self._tails[selection, began] = Tail(selection, began, seen)
                return None


def _can_hear(question: Question) -> bool:
    return not all(peer.is_behind for peer, _ in question.askers)


def _failed(error: FalError) -> bytes:
    return msgspec.json.encode(to_json(error))


def _page(seen: int, whole: bool, events: bytes) -> bytes:
    return wire.PAGE_HEAD.pack(seen, whole) + events


_encode = msgspec.msgpack.Encoder().encode
