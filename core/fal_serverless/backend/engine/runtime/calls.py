"""Runs calls of a served function and answers each: the part that threads and event loop share."""

from __future__ import annotations

import contextlib
import json
import struct
import threading
from typing import Any, NamedTuple

from . import channel as wire
from .answers import JSON, Pieces, is_stream, whole
from .binding import Plan, Refused
from .channel import Channel
from .codec import Codec
from .loading import Loaded
from .output import Output

ANSWER = struct.Struct("!HB")
"""Status, length of the content type, which comes before the body."""
WINDOW = 1 << 20
"""Bytes of a stream that may be on their way before the backend asks for more."""
CANCELLED = 499
"""Status of an answer that nobody waits for."""


class CallCancelled(BaseException):
    """Nobody waits for this call any more. Not an Exception: a function must not swallow it."""


class Request(NamedTuple):
    call: int
    request_id: str
    query: list[tuple[str, str]]
    content_type: str
    accept: str
    body: bytes
    describe: bool = False
    """Not to be run: what the function takes and returns is the answer."""


class Served:
    """The function, its first argument when it was set up, and how requests fit it."""

    def __init__(
        self, channel: Channel, output: Output, loaded: Loaded, first: tuple[Any, ...], codec: Codec
    ) -> None:
        self.channel = channel
        self.output = output
        self.codec = codec
        self._func = loaded.func
        self._first = first
        name = getattr(loaded.func, "__name__", "the function")
        self._plan = Plan(loaded.func, name, codec, skip_first=bool(first))

    def request(self, call: int, payload: bytes) -> Request:
        (length,) = wire.META.unpack_from(payload)
        start = wire.META.size + length
        meta = self.codec.decode(payload[wire.META.size : start])
        request_id, query, content_type, accept, describe = meta
        return Request(call, request_id, query, content_type, accept, payload[start:], describe)

    def invoke(self, request: Request) -> Any:
        """What the function returns. Raises Refused, and what the function raises."""
        if request.describe:
            from .describe import description

            return description(self._func, self._plan, self.codec)
        args, kwargs = self._plan.bind(request.query, request.content_type, request.body)
        return self._func(*self._first, *args, **kwargs)

    def stream_of(self, value: Any) -> Any:
        """What gives the pieces of a value that is a stream; None when it is not."""
        return value if is_stream(value) else None

    def whole(self, request: Request, value: Any) -> bytes:
        """The answer for a value that is not a stream; its payload."""
        kind, body = whole(value, self.codec)
        return answer(200, kind, body)

    def pieces(self, request: Request, first: Any) -> Pieces:
        """Tells the backend that a stream begins."""
        pieces = Pieces(first, request.accept, self.codec)
        self.channel.send(wire.STREAM, request.call, answer(200, pieces.content_type))
        return pieces

    def refusal(self, request: Request, error: BaseException) -> bytes:
        """The answer for a call that raised; what the caller must not see goes to the log."""
        if isinstance(error, Refused):
            kind = "bad_input" if error.status == 400 else "invalid_call"
            return failure(error.status, error.detail, kind, request, errors=error.errors)
        if isinstance(error, CallCancelled):
            return answer(CANCELLED, JSON)
        self.output.failure(error)
        return failure(500, "Internal Server Error", "function_error", request)


def answer(status: int, content_type: str, body: bytes = b"") -> bytes:
    kind = content_type.encode("latin-1", "replace")[:255]
    return b"".join((ANSWER.pack(status, len(kind)), kind, body))


def failure(status: int, detail: str, kind: str, request: Request, **more: Any) -> bytes:
    content = {"detail": detail, "error_type": kind, "request_id": request.request_id}
    content.update({name: value for name, value in more.items() if value})
    return answer(status, JSON, json.dumps(content).encode())


class Flow:
    """How much of one stream may still be sent; threads wait here for the backend's reader.

    Every call has one and few need it, so all share what they wait for.
    """

    _change = threading.Condition()

    def __init__(self) -> None:
        self._left = WINDOW
        self._cancelled = False

    def take(self, size: int) -> None:
        """Wait until something may be sent. Raises CallCancelled."""
        with self._change:
            while self._left <= 0 and not self._cancelled:
                self._change.wait()
            if self._cancelled:
                raise CallCancelled
            self._left -= size

    def give(self, size: int) -> None:
        with self._change:
            self._left += size
            self._change.notify_all()

    def cancel(self) -> None:
        with self._change:
            self._cancelled = True
            self._change.notify_all()


@contextlib.contextmanager
def quietly_closed(iterator: Any) -> Any:
    """A generator that is left early runs its `finally` now, not some day."""
    try:
        yield
    finally:
        close = getattr(iterator, "close", None)
        if close is not None:
            close()
