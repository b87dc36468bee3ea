"""The store's program: what writers send goes into the file, what readers ask is answered from it.

`python -m fal_serverless.backend.logs FOLDER MAX_BYTES MAX_DAYS FD…`. Each FD is a socket to one
process that writes or reads; see `wire`. One thread does all: batches first, then a slice of every
question. It ends when all sockets have ended and all that came through them is in the file.

What the disk or the file does ends nothing: a batch that cannot be written is refused, a damaged
file is replaced.
"""

from __future__ import annotations

import selectors
import signal
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from fal_serverless.backend.logs import wire
from fal_serverless.backend.logs.file import SPAN, TRIM_STEP, LogFile
from fal_serverless.backend.logs.folder import LogFolder, is_damage
from fal_serverless.backend.logs.peer import Peer
from fal_serverless.backend.logs.questions import Questions
from fal_serverless.backend.logs.search import Search
from fal_serverless.backend.logs.selection import Selection
from fal_serverless.timelimit import TimeLimit

TRIM_EVERY = 30.0
"""Seconds between two looks at age; at size, whenever something was written."""
LONGEST_MATCH = 1.0
"""Seconds that an expression may take for one entry."""


class Store:
    """All peers and the one file."""

    def __init__(self, folder: Path, max_bytes: int, max_days: float, fds: list[int]) -> None:
        self._selector = selectors.DefaultSelector()
        self._peers = [Peer(socket.socket(fileno=fd), self._selector, self._heard) for fd in fds]
        self._folder = LogFolder(folder, max_bytes, max_days, self._tell)
        self._file = self._folder.open()
        self._search = Search(self._file, _hurried)
        self._questions = Questions(self._file, self._search)
        self._trimming: Iterator[None] | None = None
        self._trim_at = time.monotonic()
        self._looked = self._file.last

    def run(self) -> None:
        while self._peers:
            for key, events in self._selector.select(self._patience()):
                key.data.ready(events)
            self._answer()
            self._peers = [peer for peer in self._peers if not peer.ended]
            self._trim()
        self._search.close()
        self._file.close()
        self._folder.close()

    def _patience(self) -> float:
        """Seconds to wait for news."""
        if self._trimming or self._questions.is_busy:
            return 0.0
        until = [self._trim_at]
        if self._questions.news_at is not None:
            until.append(self._questions.news_at)
        return max(0.0, min(until) - time.monotonic())

    # What is said

    def _heard(self, peer: Peer) -> None:
        written = 0
        for kind, number, payload in wire.frames(peer.arrived):
            if kind == wire.BATCH:
                written = number if self._write(peer, number, payload) else written
            else:
                self._asked(peer, kind, number, payload)
        if written:
            peer.send(wire.ACK, written, wire.COUNT.pack(self._file.written))
        if peer.ended:
            self._questions.drop_all(peer)

    def _write(self, peer: Peer, number: int, payload: bytes) -> bool:
        """Whether the batch is in the file, also when it was before."""
        if peer.refused and number > peer.refused:
            return False
        try:
            self._keep(peer, number, payload)
        except sqlite3.Error as exc:
            peer.refused = number
            peer.send(wire.REFUSED, number, str(exc).encode())
            return False
        peer.refused = 0
        return True

    def _keep(self, peer: Peer, number: int, payload: bytes) -> None:
        items: list[Any] = []
        if self._file.is_gone:
            self._move(lambda: self._folder.reopen(self._file))
        try:
            items = _items(payload)
            self._file.write(peer.name, number, items)
        except sqlite3.DatabaseError as exc:
            if not is_damage(exc):
                raise
            self._replace(exc)
            self._file.write(peer.name, number, items)
        except Exception as exc:
            # One batch that is none must not keep all others from being written.
            self._tell(f"{len(items) or 'some'} log entries cannot be kept: {exc!r}")

    def _replace(self, why: sqlite3.Error) -> None:
        self._move(lambda: self._folder.replace(self._file, why))

    def _move(self, other: Callable[[], LogFile]) -> None:
        self._trimming = None
        self._search.close()
        self._file = other()
        self._looked = self._file.last
        self._search = Search(self._file, _hurried)
        self._questions.move(self._file, self._search)

    def _tell(self, what: str) -> None:
        for peer in self._peers[:1]:
            peer.send(wire.TOLD, 0, what.encode("utf-8", "backslashreplace"))

    # What is asked

    def _asked(self, peer: Peer, kind: int, number: int, payload: bytes) -> None:
        asker = (peer, number)
        if kind == wire.HELLO:
            peer.name = payload.decode()
        elif kind == wire.FIND:
            self._questions.find(asker, _selection(payload))
        elif kind == wire.SHOW:
            self._questions.show(asker, _ids(payload))
        elif kind == wire.NEXT:
            self._questions.next(asker, _next(payload))
        elif kind == wire.DROP:
            self._questions.drop(asker)

    def _answer(self) -> None:
        try:
            self._questions.work()
        except sqlite3.Error as exc:
            if is_damage(exc):
                self._replace(exc)
            else:
                self._questions.fail(f"the log store cannot read its file: {exc}")

    # Bounds

    def _trim(self) -> None:
        now = time.monotonic()
        written, self._looked = self._file.last - self._looked, self._file.last
        try:
            if self._trimming is None and (
                now >= self._trim_at or (written and self._file.is_full)
            ):
                self._trimming = self._file.trim()
            # Twice as much goes as came: writing does not outrun it.
            for _ in range(1 + 2 * written // (SPAN * TRIM_STEP)):
                if self._trimming is not None and next(self._trimming, self) is self:
                    self._trimming = None
                    self._trim_at = now + TRIM_EVERY
        except sqlite3.Error:
            # Who writes next meets the same, and is told.
            self._trimming = None
            self._trim_at = now + TRIM_EVERY


def _hurried() -> TimeLimit:
    said = f"the search takes more than {LONGEST_MATCH:g} s for one entry; use a simpler expression"
    return TimeLimit(LONGEST_MATCH, said, time.monotonic)


_items = msgspec.msgpack.Decoder(list[Any]).decode
_ids = msgspec.msgpack.Decoder(list[int]).decode
_selection = msgspec.msgpack.Decoder(Selection).decode
_next = msgspec.msgpack.Decoder(wire.Next).decode


def main(arguments: list[str]) -> None:
    # It goes when its writers have gone, not before: what they say last must be kept.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    folder, max_bytes, max_days, *descriptors = arguments
    Store(Path(folder), int(max_bytes), float(max_days), [int(each) for each in descriptors]).run()
