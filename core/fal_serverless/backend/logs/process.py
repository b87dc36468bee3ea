"""The store's program: what writers send goes into the file, what readers ask is answered from it.

`python -m fal_serverless.backend.logs FOLDER MAX_BYTES MAX_DAYS FD…`. Each FD is a socket to one
process that writes or reads; see `wire`. One thread does all: batches first, then a slice of every
question. It ends when all sockets have ended and all that came through them is in the file.
"""

from __future__ import annotations

import selectors
import signal
import socket
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import msgspec

from fal_serverless.backend.logs import wire
from fal_serverless.backend.logs.file import LogFile
from fal_serverless.backend.logs.search import Search
from fal_serverless.backend.logs.selection import Selection

BLOCK = 1 << 20
"""Bytes asked of a socket at once."""
TRIM_EVERY = 30.0
"""Seconds between two looks at size and age."""
TAIL_EVERY = 0.01
"""Seconds between two looks for tails while entries come."""
AHEAD = 4 << 20
"""Bytes a reader may leave unread before its questions wait."""

Work = Generator[None, None, bytes | None]
"""Slices of work; the answer's frame in the end, None while there is none to give."""


class Store:
    """All peers and the one file."""

    def __init__(self, file: LogFile, sockets: list[socket.socket]) -> None:
        self.file = file
        self.search = Search(file)
        self._selector = selectors.DefaultSelector()
        self._peers = {Peer(self, sock, self._selector) for sock in sockets}
        self._trimming: Iterator[None] | None = None
        self._trim_at = time.monotonic()
        self._tail_at = 0.0
        self._tailed = file.last

    def run(self) -> None:
        while self._peers:
            for key, events in self._selector.select(self._patience()):
                key.data.ready(events)
            self._tail()
            for peer in self._peers:
                peer.work()
            self._peers = {peer for peer in self._peers if not peer.ended}
            self._trim()
        self.search.close()
        self.file.close()

    def _patience(self) -> float:
        """Seconds to wait for news."""
        if self._trimming or any(peer.busy for peer in self._peers):
            return 0.0
        now = time.monotonic()
        until = self._trim_at if self._tailed == self.file.last else self._tail_at
        return max(0.0, until - now)

    def _tail(self) -> None:
        """Wake the questions that wait, when there is something new."""
        now = time.monotonic()
        if self._tailed != self.file.last and now >= self._tail_at:
            self._tailed, self._tail_at = self.file.last, now + TAIL_EVERY
            for peer in self._peers:
                peer.wake()

    def _trim(self) -> None:
        if self._trimming is None and time.monotonic() >= self._trim_at:
            self._trimming = self.file.trim()
        if self._trimming is not None and next(self._trimming, self) is self:
            self._trimming = None
            self._trim_at = time.monotonic() + TRIM_EVERY


class Peer:
    """One process at the other end of a socket."""

    def __init__(self, store: Store, sock: socket.socket, selector: selectors.BaseSelector) -> None:
        sock.setblocking(False)
        self.ended = False
        self._store = store
        self._socket = sock
        self._selector = selector
        self._in = bytearray()
        self._out = bytearray()
        self._name = ""
        self._working: dict[int, Work] = {}
        self._waiting: dict[int, wire.Next] = {}
        selector.register(sock, selectors.EVENT_READ, self)

    @property
    def busy(self) -> bool:
        return bool(self._working) and len(self._out) < AHEAD

    def ready(self, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            self._flush()
        if events & selectors.EVENT_READ:
            self._read()

    def wake(self) -> None:
        for number, question in self._waiting.items():
            self._working[number] = self._more(number, question)
        self._waiting.clear()

    def work(self) -> None:
        """A slice of each question."""
        if not self.busy:
            return
        for number, work in list(self._working.items()):
            try:
                next(work)
            except StopIteration as done:
                self._working.pop(number)
                if done.value is not None:
                    self._send(done.value)

    # What it sends

    def _read(self) -> None:
        try:
            block = self._socket.recv(BLOCK)
        except BlockingIOError:
            return
        except ConnectionError:
            block = b""
        if not block:
            self._end()
            return
        self._in += block
        written = 0
        for kind, number, payload in wire.frames(self._in):
            if kind == wire.BATCH:
                self._store.file.write(self._name, number, _items(payload))
                written = number
            else:
                self._asked(kind, number, payload)
        if written:
            last = wire.LAST.pack(self._store.file.last)
            self._send(wire.frame(wire.ACK, written, last))

    def _asked(self, kind: int, number: int, payload: bytes) -> None:
        if kind == wire.HELLO:
            self._name = payload.decode()
        elif kind == wire.FIND:
            self._working[number] = self._find(number, _selection(payload))
        elif kind == wire.SHOW:
            self._working[number] = self._show(number, _ids(payload))
        elif kind == wire.NEXT:
            self._working[number] = self._more(number, _next(payload))
        elif kind == wire.DROP:
            self._working.pop(number, None)
            self._waiting.pop(number, None)

    # What it asks

    def _find(self, number: int, selection: Selection) -> Work:
        found = yield from self._store.search.find(selection)
        return wire.frame(wire.FOUND, number, _encode(found))

    def _show(self, number: int, ids: list[int]) -> Work:
        yield
        return _page(number, 0, True, self._store.search.show(ids))

    def _more(self, number: int, question: wire.Next) -> Work:
        while True:
            last = self._store.file.last
            seen, events = yield from self._store.search.after(question.selection, question.seen)
            if events or not question.wait:
                return _page(number, seen, seen >= last, events)
            question.seen = seen
            if seen == self._store.file.last:
                self._waiting[number] = question
                return None

    # The socket

    def _send(self, frame: bytes) -> None:
        self._out += frame
        self._flush()

    def _flush(self) -> None:
        try:
            while self._out:
                del self._out[: self._socket.send(self._out)]
        except BlockingIOError:
            pass
        except OSError:
            self._out.clear()
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._out else 0)
        if not self.ended and self._selector.get_key(self._socket).events != wanted:
            self._selector.modify(self._socket, wanted, self)

    def _end(self) -> None:
        self.ended = True
        self._selector.unregister(self._socket)
        self._socket.close()
        self._working.clear()
        self._waiting.clear()


def _page(number: int, seen: int, whole: bool, events: bytes) -> bytes:
    return wire.frame(wire.PAGE, number, wire.PAGE_HEAD.pack(seen, whole) + events)


_encode = msgspec.msgpack.Encoder().encode
_items = msgspec.msgpack.Decoder(list[Any]).decode
_ids = msgspec.msgpack.Decoder(list[int]).decode
_selection = msgspec.msgpack.Decoder(Selection).decode
_next = msgspec.msgpack.Decoder(wire.Next).decode


def main(arguments: list[str]) -> None:
    # It goes when its writers have gone, not before: what they say last must be kept.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    folder, max_bytes, max_days, *descriptors = arguments
    file = LogFile(Path(folder), int(max_bytes), float(max_days))
    Store(file, [socket.socket(fileno=int(each)) for each in descriptors]).run()
