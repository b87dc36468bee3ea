"""A request for a function's own server, on a connection to it that was there before if possible.

Short requests only: all of it is there before a place in a worker is asked for, and goes out in one
go. Answers of any length pass through as they come.
"""

from __future__ import annotations

import asyncio
from functools import lru_cache

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from fal_serverless.backend.engine import Pool
from fal_serverless.backend.engine.pool import Slot, Turn
from fal_serverless.backend.gateway.call import EndpointCall, EndpointForm, Head, Opened
from fal_serverless.backend.gateway.forwarding import (
    HOP_BY_HOP,
    REPLACED,
    Origin,
    forwarded,
    request_head,
    strip_hop_by_hop,
)
from fal_serverless.backend.gateway.ledger import CLIENT_CLOSED
from fal_serverless.backend.gateway.protocol import Connection
from fal_serverless.backend.gateway.upstream import Headers, Lot, Lots, Seen, Upstream
from fal_serverless.backend.network import Proxies
from fal_serverless.errors import FalError

LARGEST = 64 * 1024
"""Bytes of a body that is collected first; larger ones take the general way."""

_SAFE = frozenset((b"GET", b"HEAD"))
"""Methods of requests that may be sent again (RFC 9110, 9.2.1)."""
_SEEN_TO = HOP_BY_HOP | REPLACED
"""Headers of requests that are changed on the way."""
_DROPPED = HOP_BY_HOP | {b"x-fal-request-id"}
"""Headers of answers that stay here."""
_CHUNKED = b"transfer-encoding: chunked\r\n"
_DROPPED_204 = _DROPPED | {b"content-length"}
"""It has no body, so it must not have its length (RFC 9110, 8.6)."""


class PassageForm(EndpointForm):
    """A request that a function's own server answers."""

    __slots__ = ("is_bare", "is_safe", "lots", "places", "start")

    def __init__(
        self,
        opened: Opened,
        places: Pool,
        lots: Lots,
        connection: Connection,
        proxies: Proxies,
    ) -> None:
        super().__init__(opened)
        head = opened.head
        self.places = places
        self.lots = lots
        self.is_bare = head.method == b"HEAD"
        self.is_safe = head.method in _SAFE
        self.start = _start(head, connection, proxies)
        """Of the head as it is sent on, until the request id."""

    def _call(self, connection: Connection) -> Passage:
        return Passage(self, connection)


class Passage(EndpointCall):
    """One request and its answer on their way; `upstream.Asker`."""

    __slots__ = (
        "_body",
        "_dialling",
        "_is_chunked",
        "_out",
        "_pieces",
        "_slot",
        "_status",
        "_turn",
        "_upstream",
        "_was_kept",
    )
    form: PassageForm

    def __init__(self, form: PassageForm, connection: Connection) -> None:
        super().__init__(form, connection)
        self._body: bytes | bytearray = b""
        self._turn: Turn | None = None
        self._slot: Slot | None = None
        self._dialling: asyncio.Task[None] | None = None
        self._upstream: Upstream | None = None
        self._was_kept = False
        """The connection had been used before."""
        self._status = 0
        """Of the answer; 0: it has not begun."""
        self._is_chunked = False
        self._out: list[bytes] = []
        """The head, as long as it was not written."""
        self._pieces: list[bytes] = []
        """Of the body, not written yet."""

    # The request

    def on_body(self, body: bytes) -> None:
        self._body = bytearray(self._body) + body if self._body else body

    def on_end(self) -> None:
        self._turn = Turn(self._granted, self.failed)
        try:
            self.form.places.seek(self._turn)
        except FalError as error:
            self.failed(error)

    def _granted(self, slot: Slot) -> None:
        self._slot = slot
        try:
            lot = self.form.lots.of(slot.worker)
        except FalError as error:
            self.failed(error)
            return
        kept = lot.take()
        if kept is None:
            self._dial(lot)
        else:
            self._was_kept = True
            self._ask(kept)

    def _dial(self, lot: Lot) -> None:
        tasks = self.connection.tasks
        self._dialling = self.connection.loop.create_task(self._connect(lot))
        tasks.add(self._dialling)
        self._dialling.add_done_callback(tasks.discard)

    async def _connect(self, lot: Lot) -> None:
        try:
            upstream = await lot.connect()
        except FalError as error:
            self.failed(error)
        else:
            self._ask(upstream)

    def _ask(self, upstream: Upstream) -> None:
        self._dialling = None
        self._upstream = upstream
        head = b"%b%b\r\n\r\n" % (self.form.start, self.request_id.encode())
        upstream.ask(head + self._body, self, is_bare=self.form.is_bare)

    def on_gone(self) -> None:
        if self._turn is not None and self._slot is None:
            self.form.places.leave(self._turn)
        if self._dialling is not None:
            self._dialling.cancel()
        if self._upstream is not None:
            self._upstream.leave()
        self.tell(CLIENT_CLOSED, self._give())

    def on_writable(self) -> None:
        if self._upstream is not None:
            self._upstream.resume()

    # The answer

    def began(self, seen: Seen) -> None:
        if not seen.passed:
            seen.passed = self._passed(seen.status, seen.headers)
        self._status = seen.status
        self._is_chunked = seen.passed.endswith(_CHUNKED)
        last = b"\r\n\r\n" if self.keep_alive else b"\r\nconnection: close\r\n\r\n"
        name = self.request_id.encode()
        self._out.append(b"%bx-fal-request-id: %b%b" % (seen.passed, name, last))

    def _passed(self, status: int, headers: Headers) -> bytes:
        """What goes to the caller of a head, without the last lines. Raises _BadHeader."""
        lines = [STATUS_LINE[status]]
        names = {name for name, _ in headers}
        if b"connection" in names:
            headers = list(strip_hop_by_hop(headers))
        dropped = _DROPPED_204 if status == 204 else _DROPPED
        lines += [b"%b: %b\r\n" % pair for pair in headers if pair[0] not in dropped]
        has_body = not self.form.is_bare and status not in (204, 304)
        if has_body and b"content-length" not in names:
            lines.append(_CHUNKED)
        head = b"".join(lines)
        if _line_ends(head) != len(lines):
            raise _BadHeader
        return head

    def came(self, content: bytes) -> None:
        self._pieces.append(content)

    def read(self) -> None:
        """What one read brought is passed on in one write."""
        out, pieces = self._out, self._pieces
        if self._is_chunked and pieces:
            content = b"".join(pieces)
            out.append(b"%x\r\n%b\r\n" % (len(content), content))
        else:
            out += pieces
        pieces.clear()
        if out:
            self.connection.transport.write(b"".join(out))
            out.clear()
            if self.connection.flow.write_paused and self._upstream is not None:
                self._upstream.pause()

    def answered(self) -> None:
        if self._is_chunked:
            self.connection.transport.write(b"0\r\n\r\n")
        cold = self._slot.cold if self._slot is not None else None
        self.done(self._status, self._give(), cold)

    def failed(self, error: FalError) -> None:
        self._out.clear()
        self._pieces.clear()
        if self._status:
            # Too late for an answer of ours: cutting the connection is the only honest signal.
            self.keep_alive = False
            worker = self._give()
            self.say(error.message, worker)
            self.done(self._status, worker)
        elif self._slot is not None and self._may_try_again(error):
            self._was_kept = False
            self._dial(self.form.lots.of(self._slot.worker))
        else:
            self.fail(error, self._give(), ())

    def _may_try_again(self, error: FalError) -> bool:
        """Its server may have closed a kept connection before the request came."""
        return self._was_kept and self.form.is_safe and "unanswered" in error.data

    def _give(self) -> str:
        """The place back, when there is one; the id of the worker it is in."""
        slot, self._slot = self._slot, None
        if slot is None:
            return ""
        slot.worker.give()
        return slot.worker.id


def _start(head: Head, connection: Connection, proxies: Proxies) -> bytes:
    """As `forwarding.request_head`, until the value of its last header, which is the request id."""
    client, scheme = connection.client, connection.scheme or "http"
    address = client[0] if client else ""
    path = head.path.encode("latin-1")
    if not _SEEN_TO.isdisjoint(head.headers):
        origin = Origin(address, scheme, head.prefix, "", proxies.trusts(address))
        made = request_head(head.method, path, head.query, head.listed, origin)
        return made.removesuffix(b"\r\n\r\n")
    lines = b"".join([b"%b: %b\r\n" % pair for pair in head.listed])
    came = forwarded_once(head.headers.get(b"host", b""), address, scheme, head.prefix)
    target = b"%b?%b" % (path, head.query) if head.query else path
    request = b"%b %b HTTP/1.1\r\n" % (head.method, target)
    return b"%b%b%bx-fal-request-id: " % (request, lines, came)


forwarded_once = lru_cache(10_000)(
    lambda host, client, scheme, prefix: forwarded({b"host": host}, client, scheme, prefix, False)
)


def _line_ends(head: bytes) -> int:
    """And whatever somebody might take for one."""
    return head.count(b"\n") + head.count(b"\r") - head.count(b"\r\n") + head.count(b"\0")


class _BadHeader(Exception):
    """A header that would be more than one if it were passed on."""
