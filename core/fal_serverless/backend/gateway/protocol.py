"""The HTTP/1.1 connection: uvicorn's, with a limit on a request's head and a short way for calls.

A request whose head is read is shown at the door. Whoever takes it there answers it himself, with
no scope, task or message in between; everything else goes uvicorn's way, as ASGI has it. A request
that comes while another is being answered always goes that way: it has to wait.

Clients send the same head again and again. After a request that was taken, one with that head, to
the byte, needs no reading: what it asks for is known, on its connection or on all of them.
"""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from typing import Any, NamedTuple, Protocol, cast

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from fal_serverless.backend.gateway import heads
from fal_serverless.backend.gateway.answers import request_id
from fal_serverless.errors import BadInput, FalError, HeadTooLarge, HeadTooSlow, to_json

HEAD_END = b"\r\n\r\n"
HEAD_TIMEOUT = 30.0
"""Seconds for a head when nobody says otherwise."""
LINGER = 5.0
"""Seconds that what is left of a request is read, and dropped, behind the last answer."""


class _Silent:
    """For uvicorn, which wakes whoever waits for messages: nobody does."""

    def set(self) -> None:
        """Nothing."""


class Taken(ABC):
    """A request that somebody took at the door. What uvicorn looks at in its own is here, too."""

    __slots__ = ("disconnected", "keep_alive", "response_complete")
    message_event = _Silent()

    def __init__(self, keep_alive: bool) -> None:
        self.keep_alive = keep_alive
        """The connection may stay after the answer."""
        self.disconnected = False
        self.response_complete = False

    @abstractmethod
    def on_body(self, body: bytes) -> None: ...

    @abstractmethod
    def on_end(self) -> None:
        """The request is whole."""

    @abstractmethod
    def on_gone(self) -> None:
        """The caller hung up before the answer was complete."""

    @abstractmethod
    def on_writable(self) -> None:
        """The caller reads again, after the connection's `flow.write_paused` was true."""


class _Outlet:
    """The transport as uvicorn's answer to a request with a body has it: heard to its end."""

    def __init__(self, connection: Connection, cycle: Any) -> None:
        self._connection = connection
        self._cycle = cycle
        self._send = cycle.send
        cycle.transport, cycle.send = self, self.send

    async def send(self, message: Any) -> None:
        """An answer before the end of the body is the last one, and says so.

        There are proxies (HAProxy 2.6, from HTTP/2) that give up such a request half sent, and
        send the next one where the rest of the body would have been.
        """
        cycle = self._cycle
        if cycle.more_body and not cycle.response_started:
            cycle.keep_alive = False
        await self._send(message)

    def write(self, data: bytes) -> None:
        self._connection.transport.write(data)

    def is_closing(self) -> bool:
        return self._connection.transport.is_closing()

    def close(self) -> None:
        if self._cycle.response_complete:
            self._connection.finish()
        else:
            # Cutting the connection is the only honest signal.
            self._connection.transport.close()


class Form(Protocol):
    """What a request's head asks for, as that of every request with this head."""

    length: int
    """Bytes of the body."""
    is_shared: bool
    """It asks for the same on every connection."""

    def take(self, connection: Connection) -> Taken | None:
        """Somebody who answers such a request; None when it does not hold any more."""


class Door(Protocol):
    """Where requests are shown."""

    def look(self, connection: Connection) -> Form | None:
        """Of a request whose `url` and `headers` (names in lower case) are read; must not raise.

        None: it goes the general way.
        """


class Known(NamedTuple):
    """A request that was read, and how one is answered that begins and is as long as it."""

    head: bytes
    size: int
    """Bytes of all of it."""
    form: Form


class Memo:
    """Heads that were read on any connection, with what they ask for; forgotten when too many."""

    LONGEST = 2048
    """Bytes of a head that is kept."""
    MOST = 4096

    def __init__(self) -> None:
        self._forms: dict[bytes, Form] = {}

    def recall(self, data: bytes) -> Known | None:
        """What is known of these bytes, if they are one request and nothing around it."""
        end = data.find(HEAD_END) + len(HEAD_END)
        head = data[:end]
        form = self._forms.get(head)
        if form is None or len(data) != end + form.length:
            return None
        return Known(head, len(data), form)

    def keep(self, known: Known) -> None:
        if known.form.is_shared and len(known.head) <= self.LONGEST:
            if len(self._forms) >= self.MOST:
                self._forms.clear()
            self._forms[known.head] = known.form


class Connection(HttpToolsProtocol):
    """Answers 431 and closes when request line and headers are over `max_head` bytes (RFC 6585).

    And 400 when they can be read in more than one way, and 408 when they are not complete
    `head_timeout` seconds after they were first seen to be begun, which is looked at every few
    seconds; a connection that brings nothing is closed.
    """

    max_head = 64 * 1024
    """Set by whoever makes the server; so are `door` and `memo`."""
    head_timeout = HEAD_TIMEOUT
    door: Door
    memo: Memo

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_head = True
        self._received = 0
        """Bytes since the head began, as far as it is not complete."""
        self._apart = False
        """It began behind another request, in bytes that were not counted."""
        self._refused = False
        self._lingers = False
        """The last answer is written, and what is left of its request is read and dropped."""
        self._taken: Taken | None = None
        """The newest request that was taken."""
        self._reading: Taken | None = None
        """The one whose body comes."""
        self._form: Form | None = None
        """Of the one that was taken, as long as no other begins."""
        self._known: Known | None = None
        self._begun = 0
        """Counts requests that began."""
        self.first = b""
        """What was read of it before it came here."""
        self._busy = False
        """A request is on its way, so the connection is not idle."""
        self._idle_since = 0.0
        self._idle_timer: asyncio.TimerHandle | None = None
        self._half: int | None = None
        """The request, as `_begun` counts, whose head was begun at the last look, and …"""
        self._half_since = 0.0
        """… when that was first seen."""

    # What comes

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._idle_since = self.loop.time()
        self._wait_idle(min(self.head_timeout, self.timeout_keep_alive))
        if self.first:
            self.data_received(self.first)

    def data_received(self, data: bytes) -> None:
        """As uvicorn does, which would touch a timer each time."""
        if self._refused:
            return
        if self._take_again(data):
            return
        is_between, begun = self._in_head and not self._received, self._begun
        if self._in_head:
            self._received += len(data)
        self._busy = True
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._upgrade()
        except httptools.HttpParserError:
            self._malformed()
        # A header that never ends is not told by the parser; a whole head was counted exactly.
        if self._in_head and self._received > self.max_head:
            self._refuse_large()
        elif self._form is not None and is_between and self._begun == begun + 1:
            self._learn(self._form, data)

    def _take_again(self, data: bytes) -> bool:
        """Whether these bytes are a request whose head was seen before, and somebody took it."""
        known = self._known
        if known is not None and data.startswith(known.head) and len(data) == known.size:
            if not self._take_known(known, data):
                self._known = None
            return self._known is not None
        if not self._in_head or self._received:
            return False
        known = self.memo.recall(data)
        if known is None or not self._take_known(known, data):
            return False
        self._known = known
        return True

    def _take_known(self, known: Known, data: bytes) -> bool:
        """Whether it was taken: the connection is between two requests, and nothing changed."""
        cycle = self.cycle
        is_between = self._in_head and not self._received
        if not is_between or (cycle is not None and not cycle.response_complete):
            return False
        taken = known.form.take(self)
        if taken is None:
            return False
        self._busy = True
        self._taken = self.cycle = cast(Any, taken)
        if known.form.length:
            taken.on_body(data[len(known.head) :])
        taken.on_end()
        return True

    def _learn(self, form: Form, data: bytes) -> None:
        """From bytes that were one request, if they were just that and nothing around it."""
        end = len(data) - form.length
        if self._in_head and self._reading is None and data.find(HEAD_END) + len(HEAD_END) == end:
            head = data[:end]
            # Whatever takes a lone line feed for the end of a line finds the same end.
            if head.count(b"\n") == head.count(b"\r\n"):
                self._known = Known(head, len(data), form)
                self.memo.keep(self._known)

    def _upgrade(self) -> None:
        cycle = self.cycle
        if self._refused:
            return
        if self._should_upgrade():
            if cycle is not None and not cycle.response_complete:
                # The answer before would come behind what the other protocol says.
                self._refuse(BadInput("an upgrade has to wait for the answers before it"))
            else:
                self._end_timer()
                self.handle_websocket_upgrade()
        else:
            self._unsupported_upgrade_warning()

    def _malformed(self) -> None:
        if self._lingers:
            self.transport.close()
        elif not self._refused:
            self.send_400_response("Invalid HTTP request received.")

    def on_message_begin(self) -> None:
        self._begun += 1
        self._form = None
        self._in_head = True
        self._apart = not self._received
        self.url = b""
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        # What comes behind the body is none of the headers that were checked (RFC 9110, 6.5.1).
        if self._in_head:
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        received, self._received = self._received, 0
        self._in_head = False
        counts = received > self.max_head or self._apart
        if counts and self._head_size() > self.max_head:
            self._refuse_large()
            return
        cycle = self.cycle
        waits = cycle is not None and not cycle.response_complete
        form = None if waits or self._refused else self.door.look(self)
        taken = None if form is None else form.take(self)
        if taken is not None:
            self._form = form
            self._taken = self._reading = self.cycle = cast(Any, taken)
        elif not self._refused:
            self._go_general()

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _go_general(self) -> None:
        url, headers = self.url, self.headers
        fault = self._fault()
        if fault is not None:
            self._refuse(BadInput(fault))
            return
        super().on_message_begin()
        self.url = url
        for name, value in headers:
            super().on_header(name, value)
        super().on_headers_complete()
        if heads.has_body(headers):
            _Outlet(self, self.cycle)

    def _fault(self) -> str | None:
        parser = self.parser
        found = heads.fault(parser.get_method(), self.url, parser.get_http_version(), self.headers)
        if found is None and parser.should_upgrade() and heads.has_body(self.headers):
            return "a request that asks for an upgrade must have no body"
        return found

    def on_body(self, body: bytes) -> None:
        if self._lingers:
            return
        if self._reading is not None:
            self._reading.on_body(body)
        elif not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_head = True
        reading, self._reading = self._reading, None
        if self._lingers:
            self._refused = True
            self.transport.close()
        elif reading is not None:
            reading.on_end()
        elif not self._refused:
            super().on_message_complete()

    # What is said of a request that was taken

    def answer_complete(self, taken: Taken) -> None:
        """By whoever took the request, when all of the answer is written."""
        taken.response_complete = True
        if not taken.keep_alive:
            self.finish()
        self.on_response_complete()

    def finish(self) -> None:
        """Close behind an answer; while its request still comes, not before that was read.

        What is unread when a connection is closed resets it, and that takes the answer away from
        whoever is still sending (RFC 9112, 9.6): a proxy would say 502 in its place.
        """
        if self._in_head or self._lingers or self.transport.is_closing():
            self.transport.close()
            return
        self._lingers = True
        self._end_timer()
        self._idle_timer = self.loop.call_later(LINGER, self.transport.close)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._reading = None
        self._end_timer()
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
        if self._lingers:
            self.server_state.total_requests += 1
            return
        self.server_state.total_requests += 1
        self.flow.resume_reading()
        self._busy = False
        self._idle_since = self.loop.time()
        if self._idle_timer is None:
            self._wait_idle(self.timeout_keep_alive)

    def _wait_idle(self, seconds: float) -> None:
        self._idle_timer = self.loop.call_later(seconds, self._look_idle)

    def _end_timer(self) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None

    def _look_idle(self) -> None:
        self._idle_timer = None
        if self._refused:
            return
        left = self._head_left() if self._busy else self._idle_left()
        if left > 0:
            # Whatever begins meanwhile is seen to at the next look.
            self._wait_idle(min(left, self.timeout_keep_alive))
        elif self._busy:
            said = f"request line and headers took longer than {self.head_timeout:g} s"
            self._refuse(HeadTooSlow(said))
        else:
            self.timeout_keep_alive_handler()

    def _idle_left(self) -> float:
        """Seconds until it is closed; one that never brought a request may take as for a head."""
        limit = self.head_timeout if self.cycle is None else self.timeout_keep_alive
        return self._idle_since + limit - self.loop.time()

    def _head_left(self) -> float:
        """Seconds that are left for a head that was begun; while a request runs, no matter."""
        cycle = self.cycle
        waits = cycle is not None and not cycle.response_complete
        if waits or not self._in_head or not self._received:
            self._half = None
            return min(self.head_timeout, self.timeout_keep_alive)
        now = self.loop.time()
        if self._half != self._begun:
            self._half, self._half_since = self._begun, now
        return self._half_since + self.head_timeout - now

    def _refuse_large(self) -> None:
        self._refuse(HeadTooLarge(f"request line and headers are over {self.max_head} bytes"))

    def _refuse(self, error: FalError) -> None:
        """Answer for good: nothing of what comes behind is read."""
        if self._refused:
            return
        self._refused = True
        name = request_id(None)
        body = json.dumps(to_json(error, name)).encode()
        head = (
            "content-type: application/json\r\n"
            f"content-length: {len(body)}\r\nx-fal-request-id: {name}\r\n"
            "connection: close\r\n\r\n"
        )
        self.transport.write(STATUS_LINE[error.status] + head.encode() + body)
        self.transport.close()


def connection(
    max_head: int,
    door: Door,
    head_timeout: float = HEAD_TIMEOUT,
    *,
    kind: type[Connection] = Connection,
    **more: object,
) -> type[Connection]:
    """The protocol class with what it uses, as uvicorn wants it; `more` is what `kind` adds."""
    uses = {"max_head": max_head, "door": door, "memo": Memo(), "head_timeout": head_timeout}
    return type(kind.__name__, (kind,), uses | more)
