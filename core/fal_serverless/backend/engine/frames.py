"""What goes over a worker's channel: the backend's copy of the numbers in `runtime/channel.py`.

The worker's program imports nothing of ours, so both sides keep their own; a test compares them.
The steps of the protocol stand in `runtime/child.py`.
"""

from __future__ import annotations

import asyncio
import os
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import cast

HEAD = struct.Struct("!IBI")
"""Payload length, kind, call id (0: no call)."""
META = struct.Struct("!I")
"""Length of the JSON in front of a body; count in front of lines; the number that is told."""
CALL_HEAD = struct.Struct("!IBII")
"""HEAD and META of a CALL."""
ANSWER = struct.Struct("!HB")
"""Status, length of the content type, which comes before the body."""

INIT, CALL, CANCEL, CREDIT, STOP, WITHDRAW, KEPT = 1, 2, 3, 4, 5, 6, 7
READY, FAILED, RETURNED, REPLY, STREAM, CHUNK, END, BROKEN, LOG = 10, 11, 12, 13, 14, 15, 16, 17, 18
WITHDRAWN, DROPPED = 19, 20

MOST = 256 * 1024
"""Bytes that are taken in at once."""


class Link(asyncio.Protocol):
    """The backend's end of one channel."""

    def __init__(
        self, received: Callable[[int, int, bytes], None], lost: Callable[[], None]
    ) -> None:
        self._received = received
        self._lost = lost
        self._buffer = bytearray()
        self._unsent: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._unsent.clear()
        self._lost()

    def send(self, kind: int, call: int = 0, *parts: bytes) -> None:
        """One frame, with all others of this turn of the event loop.

        A worker that is gone gets nothing; its end is told by its process.
        """
        self._send(HEAD.pack(sum(map(len, parts)), kind, call), *parts)

    def call(self, number: int, meta: bytes, body: bytes) -> None:
        """A CALL."""
        length = len(meta)
        head = CALL_HEAD.pack(META.size + length + len(body), CALL, number, length)
        self._send(head, meta, body)

    def _send(self, *parts: bytes) -> None:
        if self._transport is not None:
            if not self._unsent:
                self._loop.call_soon(self._flush)
            self._unsent += parts

    def _flush(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(self._unsent))
        self._unsent.clear()

    def take_in(self) -> None:
        """What has been said and not been read yet, ahead of the event loop."""
        if self._transport is None or self._transport.is_closing():
            return
        channel = self._transport.get_extra_info("socket").fileno()
        with suppress(BlockingIOError, InterruptedError, ConnectionError):
            while True:
                data = os.read(channel, MOST)
                self.data_received(data)
                if len(data) < MOST:
                    return

    def data_received(self, data: bytes) -> None:
        if not self._buffer:
            used = self._take(data)
            if used < len(data):
                self._buffer += data[used:]
        else:
            self._buffer += data
            del self._buffer[: self._take(self._buffer)]

    def _take(self, data: bytes | bytearray) -> int:
        """Tell of the whole frames at the beginning; how many bytes they are."""
        start, size, end = 0, HEAD.size, len(data)
        while end - start >= size:
            length, kind, call = HEAD.unpack_from(data, start)
            stop = start + size + length
            if stop > end:
                break
            self._received(kind, call, bytes(data[start + size : stop]))
            start = stop
        return start

    def finish(self) -> None:
        """Close it when all that was said is on its way."""
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


def number(payload: bytes) -> int:
    """The number that is told, or in front of what follows."""
    found: int = META.unpack_from(payload)[0]
    return found


def answer(payload: bytes) -> tuple[int, str, bytes]:
    """Status, content type, body."""
    status, length = ANSWER.unpack_from(payload)
    start = ANSWER.size + length
    return status, payload[ANSWER.size : start].decode("latin-1"), payload[start:]
