"""The HTTP/1.1 connection: uvicorn's, with a limit on a request's head and a short way for calls.

A request whose head is read is shown at the door. Whoever takes it there answers it himself, with
no scope, task or message in between; everything else goes uvicorn's way, as ASGI has it. A request
that comes while another is being answered always goes that way: it has to wait.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, NamedTuple, Protocol, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fal_serverless.backend.gateway.answers import request_id
from fal_serverless.errors import HeadTooLarge, to_json


class Head(NamedTuple):
    """What a request begins with."""

    method: bytes
    url: bytes
    """As sent: path and query."""
    headers: list[tuple[bytes, bytes]]
    """Names in lower case."""
    keep_alive: bool
    """The connection may stay after the answer."""


class Taken(Protocol):
    """A request that somebody took at the door."""

    response_complete: bool

    def on_body(self, body: bytes) -> None: ...

    def on_end(self) -> None:
        """The request is whole."""

    def on_gone(self) -> None:
        """The caller hung up before the answer was complete."""

    def on_writable(self) -> None:
        """The caller reads again, after `Connection.is_full` was true."""


class Door(Protocol):
    """Where requests are shown."""

    def take(self, head: Head, connection: Connection) -> Taken | None:
        """None: it goes the general way. Must not raise."""


class _Silent:
    """For uvicorn, which wakes whoever waits for messages: nobody does."""

    def set(self) -> None:
        """Nothing."""


class _Cycle:
    """What uvicorn has to know of a request that was taken."""

    message_event = _Silent()
    disconnected = False
    keep_alive = True

    def __init__(self, taken: Taken) -> None:
        self._taken = taken

    @property
    def response_complete(self) -> bool:
        return self._taken.response_complete


class Connection(HttpToolsProtocol):
    """Answers 431 and closes when request line and headers are over `max_head` bytes (RFC 6585)."""

    max_head = 64 * 1024
    """Set by whoever makes the server; so is `door`."""
    door: Door

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_head = True
        self._received = 0
        """Bytes since the head began, as far as it is not complete."""
        self._refused = False
        self._taken: Taken | None = None
        """The newest request that was taken."""
        self._reading: Taken | None = None
        """The one whose body comes."""
        self._busy = False
        """A request is on its way, so the connection is not idle."""
        self._idle_since = 0.0
        self._idle_timer: asyncio.TimerHandle | None = None

    @property
    def is_full(self) -> bool:
        """The caller does not read fast enough: no more should be written for now."""
        return self.flow.write_paused

    # What comes

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self._in_head:
            self._received += len(data)
        super().data_received(data)
        # A header that never ends is not told by the parser; a whole head was counted exactly.
        if self._in_head and self._received > self.max_head:
            self._refuse()

    def on_message_begin(self) -> None:
        self._in_head = True
        self.url = b""
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        received, self._received = self._received, 0
        self._in_head = False
        if received > self.max_head and self._head_size() > self.max_head:
            self._refuse()
            return
        if not self._refused and not self._take():
            self._go_general()

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _take(self) -> bool:
        """Whether somebody at the door takes it."""
        parser, cycle = self.parser, self.cycle
        waits = cycle is not None and not cycle.response_complete
        if waits or parser.should_upgrade() or parser.get_http_version() != "1.1":
            return False
        keep_alive = parser.should_keep_alive()
        head = Head(parser.get_method(), self.url, self.headers, keep_alive)
        taken = self.door.take(head, self)
        if taken is None:
            return False
        self._taken = self._reading = taken
        self.cycle = cast(Any, _Cycle(taken))
        return True

    def _go_general(self) -> None:
        url, headers = self.url, self.headers
        super().on_message_begin()
        self.url = url
        for name, value in headers:
            super().on_header(name, value)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self._reading is not None:
            self._reading.on_body(body)
        elif not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_head = True
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.on_end()
        elif not self._refused:
            super().on_message_complete()

    # What is said of a request that was taken

    def answer_complete(self, *, keep_alive: bool) -> None:
        """By whoever took the request, when all of the answer is written."""
        if not keep_alive or self._reading is not None or not self.cycle.keep_alive:
            # The rest of a request that was answered early cannot be told from the next one.
            self.transport.close()
        self.on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._reading = None
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
        if self._taken is not None and not self._taken.response_complete:
            self._taken.on_gone()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._taken is not None and not self._taken.response_complete:
            self._taken.on_writable()

    # Idle connections: a timer for each answer would cost as much as reading the next request

    def _unset_keepalive_if_required(self) -> None:
        self._busy = True

    def on_response_complete(self) -> None:
        if self.pipeline or self.transport.is_closing():
            super().on_response_complete()
            return
        self.server_state.total_requests += 1
        self.flow.resume_reading()
        self._busy = False
        self._idle_since = self.loop.time()
        if self._idle_timer is None:
            self._wait_idle(self.timeout_keep_alive)

    def _wait_idle(self, seconds: float) -> None:
        self._idle_timer = self.loop.call_later(seconds, self._look_idle)

    def _look_idle(self) -> None:
        self._idle_timer = None
        if self._busy:
            return
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._wait_idle(left)
        else:
            self.timeout_keep_alive_handler()

    def _refuse(self) -> None:
        if self._refused:
            return
        self._refused = True
        name = request_id(None)
        error = HeadTooLarge(f"request line and headers are over {self.max_head} bytes")
        body = json.dumps(to_json(error, name)).encode()
        head = (
            "HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nx-fal-request-id: {name}\r\n"
            "connection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


def connection(max_head: int, door: Door) -> type[Connection]:
    """The protocol class with what it uses, as uvicorn wants it."""
    return type("Connection", (Connection,), {"max_head": max_head, "door": door})
