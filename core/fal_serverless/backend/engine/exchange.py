"""One call on its way: from its turn in the queue to its answer, which may be a stream."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from fal_serverless.backend.engine import frames
from fal_serverless.backend.engine.frames import Link
from fal_serverless.backend.engine.spec import Call, Reply
from fal_serverless.errors import FalError, WorkerFailed
from fal_serverless.models import ColdStart

if TYPE_CHECKING:
    from fal_serverless.backend.engine.calls import Calls


class ReplyStream:
    """The pieces of an answer. Reading gives the function leave to send more.

    `aclose` before the end tells the function that nobody listens.
    """

    credit, cancelled = frames.CREDIT, frames.CANCEL
    """Kinds of the frames that say so."""

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
            self._link.send(self.credit, self._number, frames.META.pack(len(piece)))
        return piece

    async def aclose(self) -> None:
        self.cancel()

    def cancel(self) -> None:
        """Nobody reads any more."""
        self._pieces.clear()
        if not self._done:
            self._link.send(self.cancelled, self._number)

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


class Exchange:
    """A call and what becomes of it. Slotted and without tasks: there is one for every call.

    `heard` is called once: when there is an answer, when a stream of one begins, or when there
    will be none; never after it was cancelled.
    """

    __slots__ = (
        "alias",
        "began",
        "body",
        "cancelled",
        "cold",
        "content",
        "content_type",
        "error",
        "heard",
        "late",
        "meta",
        "number",
        "queued",
        "queued_at",
        "request_id",
        "status",
        "stream",
        "wanted_back",
        "worker",
        "worker_id",
    )

    def __init__(
        self,
        request_id: str,
        alias: str,
        meta: bytes,
        body: bytes,
        heard: Callable[[Exchange], object],
    ) -> None:
        """`meta`: what `meta_of` makes."""
        self.request_id = request_id
        self.alias = alias
        self.meta = meta
        self.body = body
        self.heard = heard
        self.worker: Calls | None = None
        """Who has it; None: it waits."""
        self.worker_id = ""
        self.number = 0
        """Its id in the worker's channel."""
        self.queued_at = 0.0
        """By the monotonic clock; 0: it did not wait for a place."""
        self.queued = 0.0
        """Seconds that it waited for one."""
        self.cold: ColdStart | None = None
        """Set when it waited for its worker's start."""
        self.began = 0.0
        """By the monotonic clock; 0: it waits in the pool, or in its worker behind another."""
        self.wanted_back = False
        """Its worker was asked to give it back."""
        self.cancelled = False
        self.late = False
        """Its caller has been told that there is no answer; the function has not ended yet."""
        self.status = 0
        self.content_type = ""
        self.content = b""
        self.stream: ReplyStream | None = None
        self.error: FalError | None = None

    def fail(self, error: FalError) -> None:
        """There will be no answer."""
        if not self.cancelled and not self.late and not self.status:
            self.error = error
            self.heard(self)

    def reply(self) -> Reply:
        """What was heard. Raises its error."""
        if self.error is not None:
            raise self.error
        headers = [("content-type", self.content_type)]
        content = self.content if self.stream is None else self.stream
        return Reply(self.status, headers, content, self.worker_id, self.cold, self.queued)


def meta_of(call: Call) -> bytes:
    """What the worker is told of a call beside its body."""
    after = meta_after_id(call.query, call.content_type, call.accept, call.describe)
    return b"[%b%b" % (_encode(call.request_id), after)


def meta_after_id(
    query: list[tuple[str, str]], content_type: str, accept: str, describe: bool = False
) -> bytes:
    """What follows the request id, which is all that differs in calls with one head.

    The id has no character that JSON would write otherwise.
    """
    after: bytes = _encode((query, content_type, accept, describe))
    return b"," + after[1:]


_encode = msgspec.json.Encoder().encode
