"""One call on its way: its answer as a future, and as a stream when the function streams."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from fal_serverless.backend.engine import frames
from fal_serverless.backend.engine.frames import Link
from fal_serverless.errors import WorkerFailed


class ReplyStream:
    """The pieces of an answer. Reading gives the function leave to send more.

    `aclose` before the end tells the function that nobody listens.
    """

    def __init__(self, link: Link, number: int) -> None:
        self._link = link
        self._number = number
        self._pieces: deque[bytes] = deque()
        self._more = asyncio.Event()
        self._done = False
        self._error: WorkerFailed | None = None

    def __aiter__(self) -> ReplyStream:
        return self

    async def __anext__(self) -> bytes:
        while not self._pieces:
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            if self._done:
                raise StopAsyncIteration
            self._more.clear()
            await self._more.wait()
        piece = self._pieces.popleft()
        if not self._done:
            self._link.send(frames.CREDIT, self._number, frames.META.pack(len(piece)))
        return piece

    async def aclose(self) -> None:
        self.cancel()

    def cancel(self) -> None:
        """Nobody reads any more."""
        self._pieces.clear()
        if not self._done:
            self._link.send(frames.CANCEL, self._number)

    def feed(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._more.set()

    def end(self) -> None:
        self._done = True
        self._more.set()

    def break_off(self, error: WorkerFailed) -> None:
        """The rest will never come; what came is still read."""
        self._error = error
        self.end()


@dataclass(slots=True)
class Exchange:
    """One call that a worker has."""

    future: asyncio.Future[tuple[int, str, bytes | ReplyStream]]
    """Status, content type, body."""
    request_id: str
    stream: ReplyStream | None = None
    late: bool = False
    """Its time is up and its caller has been told; the function has not ended yet."""
